package ga4_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

var (
	isName     = regexp.MustCompile(`^\p{L}[\p{L}\p{Nd}_]*$`) // sheet: Mapping, Names
	isCurrency = regexp.MustCompile(`^[A-Z]{3}$`)
	reserved   = []string{"_", "firebase_", "ga_", "google_", "gtag."} // sheet: Mapping, Parameters
	texts      = strings.Fields("item_id item_name affiliation coupon item_brand item_category item_variant")
	numbers    = strings.Fields("index price quantity")
	amounts    = strings.Fields("value tax shipping")
	longer     = map[string]int{"page_location": 1000, "page_referrer": 420, "page_title": 300} // sheet: Limits
	needed     = map[string]string{                                                             // sheet: Mapping, marked with a star
		"purchase": "currency transaction_id items", "refund": "transaction_id", "search": "search_term",
		"add_to_cart": "items", "remove_from_cart": "items", "add_to_wishlist": "items", "view_cart": "items", "begin_checkout": "items",
		"add_payment_info": "items", "view_item": "items", "view_item_list": "items", "select_item": "items", "join_group": "group_id",
	}
)

func decode(raw []byte) (m map[string]any) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	_ = dec.Decode(&m)
	return m
}

func isText(v any) bool {
	s, ok := v.(string)
	return ok && s != ""
}

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

// name checks a name. Sheet: Mapping, Names; Limits.
func name(s string, most int, prefixes ...string) bool {
	return isName.MatchString(s) && utf8.RuneCountInString(s) <= most &&
		!slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}

// userProperties checks the properties of the user. Sheet: Request; Limits.
func (f *fake) userProperties(v any) {
	const maxName, maxValue = 24, 36
	all, _ := v.(map[string]any)
	if len(all) == 0 || len(all) > f.maxUserProperties {
		f.note("there are %d user properties", len(all))
	}
	for key, v := range all {
		one, _ := v.(map[string]any)
		value, ok := one["value"]
		text, _ := value.(string)
		if !name(key, maxName) || !ok || len(one) != 1 || utf8.RuneCountInString(text) > maxValue {
			f.note("user property %s is not as it should be", key)
		}
		switch value.(type) {
		case string, json.Number, bool:
		default:
			f.note("user property %s is a %T", key, value)
		}
	}
}

// parse reads an event and returns the rule that it breaks.
func (f *fake) parse(r *record) string {
	e := decode([]byte(r.raw))
	for key := range e {
		if !slices.Contains([]string{"name", "params", "timestamp_micros"}, key) {
			return "unknown field " + key
		}
	}
	r.name, _ = e["name"].(string)
	r.params, _ = e["params"].(map[string]any)
	if !name(r.name, f.maxName) {
		return "its name is none: " + r.name
	}
	n, _ := e["timestamp_micros"].(json.Number)
	var err error
	if r.micros, err = n.Int64(); err != nil {
		return "timestamp_micros is no whole number"
	}
	if time.Since(time.UnixMicro(r.micros)) > f.maxAge && !f.allowOld { // sheet: Limits, backdating
		return "it is too old"
	}
	if len(r.params) > f.maxParams {
		return fmt.Sprintf("it has %d parameters", len(r.params))
	}
	if !isNumber(r.params["engagement_time_msec"]) { // sheet: Ids, times, session
		return "engagement_time_msec is missing or no number"
	}
	for key, v := range r.params {
		if rule := f.param(key, v); rule != "" {
			return "parameter " + key + " " + rule
		}
	}
	return commerce(r)
}

// param checks a parameter. Sheet: Mapping, Parameters; Limits.
func (f *fake) param(key string, v any) string {
	most := f.maxValue
	if n, ok := longer[key]; ok {
		most = n
	}
	switch v := v.(type) {
	case string:
		if v == "" || utf8.RuneCountInString(v) > most {
			return "is empty or too long"
		}
	case json.Number, bool:
	case []any:
		if key != "items" {
			return "is a list"
		}
		return f.items(v)
	default:
		return fmt.Sprintf("is a %T", v)
	}
	if !name(key, f.maxName, reserved...) {
		return "has no name that can be used"
	}
	return ""
}

// items checks the items. Sheet: Mapping, Item from a product.
func (f *fake) items(list []any) string {
	if len(list) == 0 {
		return "is empty"
	}
	for _, one := range list {
		item, _ := one.(map[string]any)
		if item["item_id"] == nil && item["item_name"] == nil {
			return "has an item without id and name"
		}
		for key, v := range item {
			s, _ := v.(string)
			switch {
			case slices.Contains(texts, key) && s != "" && utf8.RuneCountInString(s) <= f.maxValue:
			case slices.Contains(numbers, key) && isNumber(v):
			default:
				return "has an item whose " + key + " is not as it should be"
			}
		}
	}
	return ""
}

// commerce checks what Google's own events need.
func commerce(r *record) string {
	for key := range strings.FieldsSeq(needed[r.name]) {
		if _, ok := r.params[key]; !ok {
			return r.name + " has no " + key
		}
	}
	if _, ok := r.params["items"]; !ok && r.name != "refund" {
		return ""
	}
	if v, ok := r.params["currency"]; ok {
		if s, _ := v.(string); !isCurrency.MatchString(s) {
			return "currency is no code"
		}
	}
	if v, ok := r.params["transaction_id"]; ok && !isText(v) {
		return "transaction_id is no string"
	}
	for _, key := range amounts {
		if v, ok := r.params[key]; ok && !isNumber(v) {
			return key + " is no number"
		}
	}
	return ""
}

// repeated finds a key that an object has twice.
func repeated(raw []byte) string {
	var keys []map[string]bool // of the objects around; nil for a list
	key := false               // a key comes next
	dec := json.NewDecoder(bytes.NewReader(raw))
	for {
		token, err := dec.Token()
		if err != nil {
			return ""
		}
		top := len(keys) - 1
		switch v := token.(type) {
		case json.Delim:
			switch v {
			case '{':
				keys = append(keys, map[string]bool{})
			case '[':
				keys = append(keys, nil)
			default:
				keys = keys[:top]
			}
			key = len(keys) > 0 && keys[len(keys)-1] != nil
		case string:
			if key {
				if keys[top][v] {
					return v
				}
				keys[top][v] = true
				key = false
				continue
			}
			key = top >= 0 && keys[top] != nil
		default:
			key = top >= 0 && keys[top] != nil
		}
	}
}
