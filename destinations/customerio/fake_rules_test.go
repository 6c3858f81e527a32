package customerio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
)

// rule returns the rule that an item breaks.
func (f *fake) rule(it item) string {
	if it.fields == nil {
		return "is not an object"
	}
	if len(it.raw) > f.maxItem { // sheet: Limits, item ≤ 32 kB
		return fmt.Sprintf("has %d bytes", len(it.raw))
	}
	for key := range it.fields {
		if !slices.Contains(strings.Fields("type action identifiers attributes name id timestamp device cio_relationships primary secondary"), key) {
			return fmt.Sprintf("%q is none of its keys", key)
		}
	}
	if v, ok := it.fields["timestamp"]; ok && !isSeconds(v) {
		return "timestamp is not in whole seconds"
	}
	if rule := f.attributes(it); rule != "" {
		return rule
	}
	switch it.text("type") {
	case "person":
		return f.personRule(it)
	case "object":
		return f.objectRule(it)
	}
	return "type is neither person nor object"
}

// isSeconds tells whether v is a point in time in Unix seconds: milliseconds would be
// behind the year 9999.
func isSeconds(v any) bool {
	n, ok := v.(json.Number)
	if !ok {
		return false
	}
	i, err := n.Int64()
	return err == nil && i <= time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).Unix()
}

func (f *fake) personRule(it item) string {
	action := it.text("action")
	if action == "merge" {
		for _, key := range []string{"primary", "secondary"} {
			if rule := f.person(it.fields[key], "id", "email", "cio_id"); rule != "" {
				return key + ": " + rule
			}
		}
		return ""
	}
	if rule := f.person(it.fields["identifiers"], "id", "email", "cio_id", "anonymous_id"); rule != "" {
		return "identifiers: " + rule
	}
	switch action {
	case "identify":
		return f.relationships(it, f.object)
	case "event", "page", "screen":
		_, hasID := it.fields["id"]
		switch name := it.text("name"); {
		case name == "" || len(name) > f.maxName:
			return "name is missing, empty or too long"
		case hasID && it.text("id") == "":
			return "id is empty or no string"
		case it.fields["timestamp"] == nil:
			return "timestamp is missing"
		}
		return ""
	case "add_device", "delete_device":
		return f.device(it)
	case "delete", "suppress", "unsuppress":
		return ""
	}
	return "the action is unknown"
}

// person checks what a person is known by: exactly one of the keys.
func (f *fake) person(v any, keys ...string) string {
	m, _ := v.(map[string]any)
	if len(m) != 1 {
		return "not exactly one key"
	}
	for key, v := range m {
		if !slices.Contains(keys, key) {
			return key + " cannot be used here"
		}
		if s, ok := v.(string); !ok || s == "" || len(s) > f.maxID {
			return key + " is empty, too long or no string"
		}
	}
	return ""
}

// object checks what an object is known by.
func (f *fake) object(v any) string {
	m, _ := v.(map[string]any)
	if len(m) != 2 {
		return "not exactly two keys"
	}
	for _, key := range []string{"object_type_id", "object_id"} {
		if s, ok := m[key].(string); !ok || s == "" || len(s) > f.maxID {
			return key + " is missing, empty, too long or no string"
		}
	}
	return ""
}

func (f *fake) device(it item) string {
	device, _ := it.fields["device"].(map[string]any)
	if s, _ := device["token"].(string); s == "" {
		return "device has no token"
	}
	if it.text("action") == "delete_device" {
		return ""
	}
	if s, _ := device["platform"].(string); s == "" {
		return "device has no platform"
	}
	if v, ok := device["last_used"]; ok && !isSeconds(v) {
		return "last_used is not in whole seconds"
	}
	if v, ok := device["attributes"]; ok {
		if _, ok := v.(map[string]any); !ok {
			return "attributes of the device are no object"
		}
	}
	return ""
}

func (f *fake) objectRule(it item) string {
	if rule := f.object(it.fields["identifiers"]); rule != "" {
		return "identifiers: " + rule
	}
	known := func(v any) string { return f.person(v, "id", "email", "cio_id") }
	switch it.text("action") {
	case "identify", "delete":
		return f.relationships(it, known)
	case "identify_anonymous":
		if it.fields["cio_relationships"] == nil {
			return "nobody is related"
		}
		return f.relationships(it, func(v any) string { return f.person(v, "anonymous_id") })
	case "delete_relationships":
		if it.fields["cio_relationships"] == nil {
			return "nobody is related"
		}
		return f.relationships(it, func(v any) string { return f.person(v, "id", "email", "cio_id", "anonymous_id") })
	}
	return "the action is unknown"
}

func (f *fake) relationships(it item, check func(any) string) string {
	v, ok := it.fields["cio_relationships"]
	list, isList := v.([]any)
	if ok && (!isList || len(list) == 0) {
		return "cio_relationships is no list, or empty"
	}
	for _, one := range list {
		m, _ := one.(map[string]any)
		if rule := check(m["identifiers"]); rule != "" {
			return "cio_relationships: " + rule
		}
		if v, ok := m["relationship_attributes"]; ok {
			if _, ok := v.(map[string]any); !ok {
				return "relationship_attributes are no object"
			}
		}
	}
	return ""
}

// attributes checks them. The limits of names, values and their number are those of
// profiles: the data of an event may be of any form.
func (f *fake) attributes(it item) string {
	v, ok := it.fields["attributes"]
	m, isObject := v.(map[string]any)
	if ok && !isObject {
		return "attributes are no object"
	}
	if !f.keepDates {
		if key := dateIn(m); key != "" {
			return key + " is a date that is not in seconds"
		}
	}
	if !strings.HasPrefix(it.text("action"), "identify") {
		return ""
	}
	if v := m["created_at"]; v != nil && !f.keepDates && !isNumber(v) {
		return "created_at is no number"
	}
	if len(m) > f.maxAttributes {
		return fmt.Sprintf("has %d attributes", len(m))
	}
	for key, v := range m {
		if key == "" || len(key) > f.maxID {
			return "the name of an attribute is empty or too long"
		}
		if s, _ := v.(string); len(s) > f.maxValue {
			return fmt.Sprintf("the attribute %q has %d bytes", key, len(s))
		}
	}
	return ""
}

func isNumber(v any) bool { _, ok := v.(json.Number); return ok }

var dateLike = regexp.MustCompile(`^(\d{4}-\d\d-\d\d)(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$`)

// dateIn returns the key of a string that is a date, in objects at any depth and not
// inside lists. Sheet: Mapping, Dates.
func dateIn(m map[string]any) string {
	for key, v := range m {
		switch v := v.(type) {
		case map[string]any:
			if inner := dateIn(v); inner != "" {
				return key + "." + inner
			}
		case string:
			if isDate(v) {
				return key
			}
		}
	}
	return ""
}

func isDate(s string) bool {
	parts := dateLike.FindStringSubmatch(s)
	if parts == nil {
		return false
	}
	layout := "2006-01-02"
	if parts[2] != "" {
		layout += "T15:04"
	}
	if parts[3] != "" {
		layout += ":05"
	}
	if parts[5] != "" {
		layout += "Z07:00"
	}
	_, err := time.Parse(layout, s)
	return err == nil
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
