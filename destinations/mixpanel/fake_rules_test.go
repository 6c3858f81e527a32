package mixpanel_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// eventRule returns the rule for events that an item of /import breaks.
func (f *fake) eventRule(it item) string {
	p := it.properties()
	switch {
	case !keysAre(it.fields, "event properties") || p == nil:
		return "has other keys than event and properties"
	case it.text("event") == "":
		return "event is empty or no text"
	case len(it.raw) > f.maxItem: // sheet: Limits, 1 MB per event
		return fmt.Sprintf("has %d bytes", len(it.raw))
	}
	if _, ok := p["id"]; ok { // sheet: Mapping, and D2
		return "has the property id"
	}
	if ms, ok := milliseconds(p["time"]); !ok || ms > 253402300799999 { // of the year 9999
		return "time is not in milliseconds"
	}
	if id, _ := p["$insert_id"].(string); !isInsertID(id) { // sheet: D1
		return fmt.Sprintf("$insert_id is %q", id)
	}
	for _, key := range []string{"$user_id", "$anon_id", "$group_id"} { // sheet: Mapping, empty values are left out
		if v, ok := p[key]; ok && (v == nil || v == "") {
			return key + " is empty"
		}
	}
	want := p["$user_id"] // sheet: Mapping, distinct_id
	if want == nil {
		want = p["$anon_id"]
	}
	if want == nil {
		want = ""
	}
	if p["distinct_id"] != want {
		return fmt.Sprintf("distinct_id is %v, not %v", p["distinct_id"], want)
	}
	return ""
}

// contentRule returns the rule that what a user sends breaks: Mixpanel names the event.
// Sheet: Limits.
func (f *fake) contentRule(it item) string {
	p := it.properties()
	id, _ := p["distinct_id"].(string)
	ms, _ := milliseconds(p["time"])
	at := time.UnixMilli(ms)
	switch {
	case isPlaceholder(id):
		return "distinct_id is a placeholder"
	case at.Before(time.Date(1971, 1, 1, 0, 0, 0, 0, time.UTC)), at.After(f.now.Add(time.Hour)):
		return "time is too early or too late"
	case len(p) > f.maxProperties:
		return "has too many properties"
	case longest(p, true) > f.maxElements:
		return "has a value of too many elements or keys"
	case depth(p)-1 > f.maxDepth:
		return "has a value that is too deep"
	}
	return ""
}

// itemRule returns the rule that an item of the other endpoints breaks. Sheet: the
// table of calls.
func (f *fake) itemRule(it item) string {
	var keys, optional string
	of := it.fields
	switch {
	case it.path == "/engage":
		keys, optional = "$token $distinct_id $set", "$ip"
	case it.path == "/groups":
		keys = "$token $group_key $group_id $set"
	case it.text("event") == "$identify":
		keys, of = "$identified_id $anon_id token", it.properties()
	case it.text("event") == "$create_alias" && f.aliases:
		keys, of = "distinct_id alias token", it.properties()
	default:
		return fmt.Sprintf("event is %q", it.text("event"))
	}
	for _, key := range strings.Fields(keys) {
		if _, ok := of[key].(map[string]any); key == "$set" && !ok {
			return "$set is no object"
		}
		if id, _ := of[key].(string); key != "$set" && (id == "" || isPlaceholder(id)) {
			return key + " is missing or a placeholder"
		}
	}
	for key, v := range of {
		if !slices.Contains(strings.Fields(keys+" "+optional), key) || key == optional && !isText(v) {
			return fmt.Sprintf("%q is none of its keys, or bad", key)
		}
	}
	switch {
	case it.path == "/track" && (!keysAre(it.fields, "event properties") || of["token"] != f.token):
		return "is for another project, or has other keys than event and properties"
	case it.path != "/track" && of["$token"] != f.token:
		return "is for another project"
	case it.path == "/groups" && of["$group_key"] != f.groupKey: // sheet: Settings, GroupKey
		return "is for another kind of group"
	}
	return f.setRule(it)
}

// setRule checks that traits with a key of Mixpanel have not kept their own as well.
// Sheet: the table of calls, identify and group.
func (f *fake) setRule(it item) string {
	set, _ := it.fields["$set"].(map[string]any)
	own := map[string]string{"name": "$name", "createdAt": "$created", "created_at": "$created"}
	if it.path == "/engage" {
		maps.Copy(own, map[string]string{
			"email": "$email", "firstName": "$first_name", "lastName": "$last_name", "username": "$username", "phone": "$phone",
		})
	}
	for from, to := range own {
		_, kept := set[from]
		_, moved := set[to]
		if kept && moved {
			return fmt.Sprintf("has both %s and %s", from, to)
		}
	}
	return ""
}

func keysAre(m map[string]any, keys string) bool {
	return slices.Equal(slices.Sorted(maps.Keys(m)), strings.Fields(keys))
}

func isText(v any) bool {
	s, ok := v.(string)
	return ok && s != ""
}

func milliseconds(v any) (ms int64, ok bool) {
	n, ok := v.(json.Number)
	if !ok {
		return 0, false
	}
	ms, err := n.Int64()
	return ms, err == nil
}

// isInsertID tells whether Mixpanel takes id under strict. Sheet: D1.
func isInsertID(id string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-"
	return id != "" && len(id) <= 36 && strings.Trim(id, allowed) == "" && !isPlaceholder(id)
}

// isPlaceholder tells whether id is one of those that usually are a mistake. Sheet:
// Limits.
func isPlaceholder(id string) bool {
	return slices.Contains([]string{"anon", "anonymous", "nil", "null", "none", "n/a", "undefined", "00000000-0000-0000-0000-000000000000"}, strings.ToLower(id))
}

// longest is the largest number of elements or keys of a value inside v.
func longest(v any, top bool) int {
	var n int
	var inside []any
	switch v := v.(type) {
	case map[string]any:
		n, inside = len(v), slices.Collect(maps.Values(v))
	case []any:
		n, inside = len(v), v
	}
	if top {
		n = 0
	}
	for _, one := range inside {
		n = max(n, longest(one, false))
	}
	return n
}

// depth counts the objects and lists that v is and holds, one inside the other.
func depth(v any) int {
	var inside []any
	switch v := v.(type) {
	case map[string]any:
		inside = slices.Collect(maps.Values(v))
	case []any:
		inside = v
	default:
		return 0
	}
	deepest := 0
	for _, one := range inside {
		deepest = max(deepest, depth(one))
	}
	return deepest + 1
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
