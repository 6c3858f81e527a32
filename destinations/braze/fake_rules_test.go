package braze_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// rule returns the rule that an object breaks.
func (f *fake) rule(o object) string {
	if o.fields == nil {
		return "is not an object"
	}
	if len(o.raw) > f.maxObject {
		return fmt.Sprintf("has %d bytes", len(o.raw))
	}
	if s, ok := o.fields["external_id"].(string); ok && len(s) > f.maxUser {
		return "external_id is too long"
	}
	if o.kind == "user_aliases" {
		return f.texts(o.fields, "external_id", "alias_name", "alias_label")
	}
	if text := f.longText(o.fields); text != "" {
		return text + " is too long"
	}
	if v, ok := o.fields["_update_existing_only"]; ok != f.updateOnly || ok && v != true { // sheet: Differences, D3
		return "_update_existing_only is not as it was set"
	}
	if rule := f.identity(o.fields); rule != "" {
		return rule
	}
	switch o.kind {
	case "events":
		return f.event(o.fields)
	case "purchases":
		return f.purchase(o.fields)
	}
	return f.attributes(o.fields)
}

// texts says which of the keys is no text that Braze could keep.
func (f *fake) texts(m map[string]any, keys ...string) string {
	for _, key := range keys {
		if s, ok := m[key].(string); !ok || s == "" || key != "external_id" && utf8.RuneCountInString(s) > f.maxString {
			return key + " is missing, empty, too long, or no string"
		}
	}
	return ""
}

// longText finds a text that is longer than Braze keeps it, at any depth. Sheet: Limits.
func (f *fake) longText(v any) string {
	switch v := v.(type) {
	case string:
		if utf8.RuneCountInString(v) > f.maxString {
			return "a text"
		}
	case []any:
		for _, one := range v {
			if found := f.longText(one); found != "" {
				return found
			}
		}
	case map[string]any:
		for key, one := range v {
			if found := f.longText(one); found != "" && key != "external_id" {
				return key
			}
		}
	}
	return ""
}

// identity checks what says whose object it is. Sheet: Mapping, identity of every object.
func (f *fake) identity(m map[string]any) string {
	found := false
	for _, key := range []string{"external_id", "braze_id", "email"} {
		if _, ok := m[key]; !ok || key == "email" && m[key] == nil {
			continue
		}
		if rule := f.texts(m, key); rule != "" {
			return rule
		}
		found = true
	}
	if v, ok := m["user_alias"]; ok {
		alias, _ := v.(map[string]any)
		if rule := f.texts(alias, "alias_name", "alias_label"); rule != "" {
			return "user_alias: " + rule
		}
		found = true
	}
	if !found {
		return "is nobody's"
	}
	return ""
}

var isoTime = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)

// common checks what events and purchases share.
func (f *fake) common(m map[string]any) string {
	at, _ := m["time"].(string)
	app, hasApp := m["app_id"]
	_, isObject := m["properties"].(map[string]any)
	_, hasProperties := m["properties"]
	switch {
	case !isoTime.MatchString(at):
		return "time is not ISO 8601 in UTC with milliseconds"
	case hasApp != (f.appID != "") || hasApp && app != f.appID:
		return "app_id is not the one of the settings"
	case hasProperties && !isObject:
		return "properties is not an object"
	}
	return only(m, "external_id", "user_alias", "braze_id", "email", "app_id", "time", "properties", "_update_existing_only",
		"name", "product_id", "currency", "price", "quantity")
}

func only(m map[string]any, keys ...string) string {
	for key := range m {
		if !strings.Contains(" "+strings.Join(keys, " ")+" ", " "+key+" ") {
			return fmt.Sprintf("%q is none of its keys", key)
		}
	}
	return ""
}

func (f *fake) event(m map[string]any) string {
	if rule := f.common(m); rule != "" {
		return rule
	}
	if rule := f.texts(m, "name"); rule != "" {
		return rule
	}
	if name := m["name"].(string); strings.HasPrefix(name, "ecommerce.") {
		p, _ := m["properties"].(map[string]any)
		return recommended(name, p)
	}
	return ""
}

var currencyCode = regexp.MustCompile(`^[A-Z]{3}$`)

func (f *fake) purchase(m map[string]any) string {
	currency, _ := m["currency"].(string)
	switch {
	case f.common(m) != "":
		return f.common(m)
	case f.texts(m, "product_id") != "":
		return f.texts(m, "product_id")
	case !currencyCode.MatchString(currency):
		return "currency is not a code in upper case"
	case !isNumber(m["price"]):
		return "price is not a number"
	case !isInteger(m["quantity"]):
		return "quantity is not an integer"
	}
	return ""
}

func isNumber(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	_, err := n.Float64()
	return err == nil
}

func isInteger(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	_, err := n.Int64()
	return err == nil
}

// reserved are keys that mean something else in an object of Braze, or that have become
// another key. Sheet: Mapping, reserved trait keys.
var reserved = []string{"firstName", "lastName", "avatar", "time", "products", "properties", "enable_batching", "batch_size"}

func (f *fake) attributes(m map[string]any) string {
	for _, key := range reserved {
		if _, ok := m[key]; ok {
			return fmt.Sprintf("%q is reserved", key)
		}
	}
	for _, key := range []string{"first_name", "last_name", "phone", "image_url", "home_city", "gender", "country"} {
		if v := m[key]; v != nil { // null clears the attribute
			if _, ok := v.(string); !ok {
				return key + " is not a string"
			}
		}
	}
	if v := m["current_location"]; v != nil {
		place, _ := v.(map[string]any)
		if !isNumber(place["latitude"]) || !isNumber(place["longitude"]) {
			return "current_location has no latitude or no longitude"
		}
	}
	return ""
}

// recommended checks one of Braze's recommended events. Sheet: Mapping, EcommerceEvents.
func recommended(name string, p map[string]any) string {
	needs := map[string][]string{
		"ecommerce.order_placed": {"order_id", "total_value"}, "ecommerce.order_refunded": {"order_id", "total_value"},
		"ecommerce.order_cancelled":  {"order_id", "total_value", "cancel_reason"},
		"ecommerce.checkout_started": {"checkout_id", "total_value"}, "ecommerce.cart_updated": {"cart_id"}, "ecommerce.product_viewed": {},
	}
	own, known := needs[name]
	if !known {
		return "is not a recommended event"
	}
	for _, key := range append([]string{"currency", "source"}, own...) {
		_, isText := p[key].(string)
		if isText == (key == "total_value") || key == "total_value" && !isNumber(p[key]) {
			return key + " is missing or of the wrong type"
		}
	}
	if code := p["currency"].(string); !currencyCode.MatchString(code) {
		return "currency is not a code in upper case"
	}
	if name == "ecommerce.product_viewed" {
		return product(p, false)
	}
	if name == "ecommerce.cart_updated" && p["action"] != "add" && p["action"] != "remove" {
		return "action is neither add nor remove"
	}
	products, _ := p["products"].([]any)
	if len(products) == 0 {
		return "has no products"
	}
	for _, one := range products {
		m, _ := one.(map[string]any)
		if rule := product(m, true); rule != "" {
			return rule
		}
	}
	return ""
}

func product(m map[string]any, quantity bool) string {
	for _, key := range []string{"product_id", "product_name", "variant_id"} {
		if s, _ := m[key].(string); s == "" {
			return key + " of a product is missing or no string"
		}
	}
	if !isNumber(m["price"]) || quantity && !isInteger(m["quantity"]) {
		return "price or quantity of a product is no number"
	}
	return ""
}

// repeatedKey returns a key that stands twice in one object: readers differ in which of
// the two they take.
func repeatedKey(raw []byte) string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var found string
	var walk func()
	walk = func() {
		token, _ := dec.Token()
		open, _ := token.(json.Delim)
		if open != '{' && open != '[' {
			return
		}
		seen := map[string]bool{}
		for dec.More() {
			if open == '{' {
				token, err := dec.Token()
				key, ok := token.(string)
				if err != nil || !ok {
					return
				}
				if seen[key] {
					found = key
				}
				seen[key] = true
			}
			walk()
		}
		_, _ = dec.Token()
	}
	if json.Valid(raw) {
		walk()
	}
	return found
}
