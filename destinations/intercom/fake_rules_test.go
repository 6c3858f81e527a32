package intercom_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// broken says which rule of its route a body breaks. sheet: Requests and call flow,
// Mapping, Limits.
func (f *fake) broken(route string, m map[string]any) string {
	switch route {
	case "POST /contacts/search":
		return brokenSearch(m)
	case "POST /contacts", "PUT /contacts/{id}":
		return brokenContact(m)
	case "POST /contacts/{id}/companies":
		return only(m, "id")
	case "POST /companies":
		return brokenCompany(m)
	case "POST /events":
		return f.brokenEvent(m)
	}
	return "no such route"
}

// only refuses other fields, and fields without a value: what is absent is left out.
func only(m map[string]any, names ...string) string {
	for name, v := range m {
		switch {
		case !slices.Contains(names, name):
			return fmt.Sprintf("field %q", name)
		case v == nil, v == "":
			return name + " is empty"
		}
	}
	return ""
}

func brokenSearch(m map[string]any) string {
	query, _ := m["query"].(map[string]any)
	if query == nil || len(m) != 1 {
		return "no query"
	}
	value, isText := query["value"].(string)
	switch {
	case query["field"] != "external_id" && query["field"] != "email":
		return "field of the query"
	case query["operator"] != "=" || !isText || value == "" || len(query) != 3:
		return "query"
	}
	return ""
}

func brokenContact(m map[string]any) string {
	if bad := only(m, "role", "external_id", "email", "phone", "name", "avatar", "signed_up_at", "last_seen_at", "custom_attributes"); bad != "" {
		return bad
	}
	role, externalID := m["role"], m["external_id"]
	switch {
	case role != "user" && role != "lead":
		return "role"
	case role == "lead" && externalID != nil:
		return "external_id of a lead"
	case externalID == nil && m["email"] == nil && role == "user":
		return "neither external_id nor email"
	}
	if email, ok := m["email"]; ok && !isEmail(email) {
		return "email"
	}
	return brokenTypes(m, []string{"external_id", "email", "phone", "name", "avatar"}, []string{"signed_up_at", "last_seen_at"})
}

func brokenCompany(m map[string]any) string {
	if bad := only(m, "company_id", "name", "plan", "website", "industry", "size", "monthly_spend", "remote_created_at", "custom_attributes"); bad != "" {
		return bad
	}
	if _, ok := m["company_id"].(string); !ok {
		return "company_id"
	}
	for _, name := range []string{"size", "monthly_spend"} {
		if v, ok := m[name]; ok && !isNumber(v) {
			return name
		}
	}
	return brokenTypes(m, []string{"company_id", "name", "plan", "website", "industry"}, []string{"remote_created_at"})
}

func (f *fake) brokenEvent(m map[string]any) string {
	if bad := only(m, "event_name", "created_at", "user_id", "id", "email", "metadata"); bad != "" {
		return bad
	}
	switch {
	case m["event_name"] == nil:
		return "no event_name"
	case m["created_at"] == nil:
		return "no created_at"
	case m["user_id"] == nil && m["id"] == nil:
		return "no user"
	}
	if email, ok := m["email"]; ok && !isEmail(email) {
		return "email"
	}
	if bad := brokenTypes(m, []string{"event_name", "user_id", "id", "email"}, []string{"created_at"}); bad != "" {
		return bad
	}
	return f.brokenMetadata(m)
}

// brokenMetadata checks metadata. sheet: Mapping, only strings, numbers and booleans are
// kept, empty metadata is left out, price is an amount in cents and a currency.
func (f *fake) brokenMetadata(m map[string]any) string {
	v, ok := m["metadata"]
	metadata, isObject := v.(map[string]any)
	if ok && (!isObject || len(metadata) == 0) {
		return "metadata"
	}
	most := f.maxText
	if most == 0 {
		most = 255
	}
	for name, v := range metadata {
		switch v := v.(type) {
		case string:
			if utf8.RuneCountInString(v) > most {
				return "a text in metadata is too long"
			}
		case bool, json.Number:
		case map[string]any:
			currency, isText := v["currency"].(string)
			if name != "price" || !isWhole(v["amount"]) || !isText || currency == "" || len(v) != 2 {
				return "an object in metadata"
			}
		default:
			return "a list or null in metadata"
		}
	}
	for _, name := range []string{"email", "revenue", "currency"} {
		if _, ok := metadata[name]; ok {
			return name + " in metadata"
		}
	}
	return ""
}

// brokenTypes checks texts and times, which are whole Unix seconds.
func brokenTypes(m map[string]any, texts, times []string) string {
	for _, name := range texts {
		if _, ok := m[name].(string); m[name] != nil && !ok {
			return name + " is no text"
		}
	}
	for _, name := range times {
		// sheet: Mapping, numbers above 10¹¹ are milliseconds.
		if v, ok := m[name]; ok && (!isWhole(v) || len(strings.TrimPrefix(string(v.(json.Number)), "-")) > 12) {
			return name + " is no Unix second"
		}
	}
	v, ok := m["custom_attributes"]
	attributes, isObject := v.(map[string]any)
	if ok && (!isObject || len(attributes) == 0) {
		return "custom_attributes"
	}
	for _, v := range attributes {
		switch v.(type) {
		case string, bool, json.Number:
		default:
			return "a list or object in custom_attributes"
		}
	}
	return ""
}

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

func isWhole(v any) bool {
	n, ok := v.(json.Number)
	_, err := strconv.ParseInt(string(n), 10, 64)
	return ok && err == nil
}

// isEmail is the sheets' rule: ASCII without blanks, one @, a dot behind it.
func isEmail(v any) bool {
	s, _ := v.(string)
	user, domain, ok := strings.Cut(s, "@")
	return ok && user != "" && !strings.Contains(domain, "@") && strings.Contains(domain, ".") &&
		!strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
