package amplitude_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The fields of an event by what they hold. Sheet: Mapping.
var (
	texts = strings.Fields(`user_id device_id event_type insert_id app_version os_name os_version carrier language ip platform
		device_brand device_manufacturer device_model country region city idfa idfv adid library user_agent revenueType productId`)
	numbers = strings.Fields("location_lat location_lng price revenue")
	whole   = strings.Fields("time session_id quantity")
	objects = strings.Fields("event_properties user_properties group_properties groups")
)

// rule returns the field and the rule that an event breaks: the first in the order of
// the fields.
func (f *fake) rule(e event) (field, rule string) {
	for _, key := range slices.Sorted(maps.Keys(e.fields)) {
		if rule := f.valueRule(key, e.fields[key]); rule != "" {
			return key, rule
		}
	}
	for _, key := range []string{"event_type", "insert_id", "time"} { // sheet: Mapping, and D1
		if _, ok := e.fields[key]; !ok {
			return key, "is missing"
		}
	}
	if field, rule := f.idRule(e); rule != "" {
		return field, rule
	}
	return f.kindRule(e)
}

func (f *fake) valueRule(key string, v any) string {
	switch v := v.(type) {
	case string:
		if !slices.Contains(texts, key) {
			return "is a text"
		}
		if v == "" {
			return "is empty"
		}
	case json.Number:
		_, err := v.Int64()
		switch {
		case slices.Contains(whole, key) && err != nil:
			return "is no whole number"
		case !slices.Contains(whole, key) && !slices.Contains(numbers, key):
			return "is a number"
		}
		if n, err := v.Float64(); err != nil || n != n {
			return "is out of range"
		}
	case map[string]any:
		switch {
		case !slices.Contains(objects, key):
			return "is an object"
		case depth(v) > f.maxDepth: // sheet: Limits, object depth
			return fmt.Sprintf("is %d levels deep", depth(v))
		}
		return f.objectRule(key, v)
	default:
		return fmt.Sprintf("is a %T", v)
	}
	return ""
}

func (f *fake) objectRule(key string, v map[string]any) string {
	switch key {
	case "groups":
		return f.groupsRule(v)
	case "user_properties", "group_properties": // sheet: D5, never plain keys beside operations
		if len(v) == 0 {
			return "is empty"
		}
		for op, values := range v {
			_, ok := values.(map[string]any)
			if op != "$set" && (op != "$setOnce" || key == "group_properties") || !ok {
				return fmt.Sprintf("has %q", op)
			}
		}
	}
	return ""
}

func (f *fake) groupsRule(v map[string]any) string {
	if len(v) == 0 || len(v) > f.maxGroups { // sheet: Limits, ≤ 5 group types
		return fmt.Sprintf("has %d types", len(v))
	}
	for name, id := range v {
		if name != f.groupType { // sheet: Settings, GroupType
			return fmt.Sprintf("has the type %q", name)
		}
		if s, ok := id.(string); !ok || s == "" {
			return "has an id that is no text"
		}
	}
	return ""
}

// idRule is about who did it. An id that is too short is dropped, and then there has to
// be another. Sheet: Settings, MinIDLength, and Mapping, user_id and device_id.
func (f *fake) idRule(e event) (field, rule string) {
	least := f.minOf
	if f.minID > 0 {
		least = f.minID
	}
	user, device := e.text("user_id"), e.text("device_id")
	switch {
	case user == "" && device == "":
		return "user_id", "is missing"
	case utf8.RuneCountInString(user) >= least || utf8.RuneCountInString(device) >= least:
		return "", ""
	case user != "":
		return "user_id", "is too short"
	}
	return "device_id", "is too short"
}

// kindRule is about what belongs together. Sheet: the table of calls.
func (f *fake) kindRule(e event) (field, rule string) {
	has := func(key string) bool { return e.fields[key] != nil }
	switch kind := e.text("event_type"); {
	case kind == "$groupidentify" && !has("groups"):
		return "groups", "is missing"
	case kind == "$groupidentify" && has("user_properties"):
		return "user_properties", "is in an event about a group"
	case kind != "$groupidentify" && has("group_properties"):
		return "group_properties", "is in an event about a user"
	case has("idfa") && has("adid"):
		return "adid", "is of another platform than idfa" // sheet: D7
	case has("revenue") && !has("revenueType"):
		return "revenueType", "is missing"
	}
	return "", ""
}

// depth counts the objects and lists that v is and holds, one inside the other.
func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case map[string]any:
		for _, one := range v {
			deepest = max(deepest, depth(one))
		}
	case []any:
		for _, one := range v {
			deepest = max(deepest, depth(one))
		}
	default:
		return 0
	}
	return deepest + 1
}

// nth is the insert_id of the n-th event of a message. Sheet: Mapping, insert_id.
func nth(messageID string, n int) string {
	if n < 2 {
		return messageID
	}
	return messageID + "-" + strconv.Itoa(n)
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
