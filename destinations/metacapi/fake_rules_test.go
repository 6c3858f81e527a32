package metacapi_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"time"
)

var (
	eventKeys = strings.Fields("event_name event_time event_id event_source_url action_source user_data custom_data " +
		"data_processing_options data_processing_options_country data_processing_options_state")
	actionSources = strings.Fields("email website app phone_call chat physical_store system_generated business_messaging other")
	hashedKeys    = strings.Fields("em ph fn ln db ct st zp ge country")
	plainKeys     = strings.Fields("client_ip_address client_user_agent fbc fbp")
	personalKeys  = strings.Fields("address birthday email firstName first_name firstname gender lastName last_name lastname phone zip")
	ownNames      = strings.Fields("Purchase InitiateCheckout AddToCart ViewContent Search PageView") // sheet: Mapping, the table
	isHash        = regexp.MustCompile(`^[0-9a-f]{64}$`)
	isCurrency    = regexp.MustCompile(`^[A-Z]{3}$`)
)

// parse reads an event and returns the rule that it breaks.
func (f *fake) parse(raw []byte) (r record, rule string) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&r.fields); err != nil {
		return r, "it is no object"
	}
	if key := repeated(raw); key != "" {
		return r, "it has two of " + key
	}
	for key := range r.fields {
		if !slices.Contains(eventKeys, key) {
			return r, "unknown field " + key
		}
	}
	r.raw = string(raw)
	r.name, _ = r.fields["event_name"].(string)
	r.id, _ = r.fields["event_id"].(string)
	r.userData, _ = r.fields["user_data"].(map[string]any)
	r.customData, _ = r.fields["custom_data"].(map[string]any)
	if r.name == "" || r.id == "" {
		return r, "event_name or event_id is missing, empty or no string"
	}
	for _, check := range []func(*record) string{f.when, f.processing, where, who, what} {
		if rule := check(&r); rule != "" {
			return r, rule
		}
	}
	return r, ""
}

// when checks the time. Sheet: Mapping, event_time; Limits.
func (f *fake) when(r *record) string {
	n, _ := r.fields["event_time"].(json.Number)
	seconds, err := n.Int64()
	if err != nil {
		return "event_time is no whole number"
	}
	most := f.maxAge
	if r.fields["action_source"] == "physical_store" {
		most = f.maxStoreAge
	}
	if time.Since(time.Unix(seconds, 0)) > most {
		return "it is too old"
	}
	return ""
}

// processing checks what the event says of limited data use. Sheet: Settings.
func (f *fake) processing(r *record) string {
	options, some := r.fields["data_processing_options"]
	country, state := r.fields["data_processing_options_country"], r.fields["data_processing_options_state"]
	if !f.limited {
		if some || country != nil || state != nil {
			return "limited data use was not asked for"
		}
		return ""
	}
	list, _ := options.([]any)
	if len(list) != 1 || list[0] != "LDU" || country != json.Number("0") || state != json.Number("0") {
		return "it does not ask for limited data use"
	}
	return ""
}

// where checks what the event says of its place.
func where(r *record) string {
	source, _ := r.fields["action_source"].(string)
	if !slices.Contains(actionSources, source) {
		return "action_source is missing or unknown"
	}
	if v, ok := r.fields["event_source_url"]; ok && !isText(v) {
		return "event_source_url is empty or no string"
	}
	if source == "website" && slices.Contains(ownNames, r.name) && !isText(r.userData["client_user_agent"]) {
		return "a standard event of a website has no client_user_agent" // sheet: below the tables of Mapping
	}
	return ""
}

// who checks user_data. Sheet: Mapping.
func who(r *record) string {
	if len(r.userData) == 0 {
		return "user_data is missing or empty"
	}
	for key, v := range r.userData {
		ok := false
		switch {
		case slices.Contains(hashedKeys, key):
			ok = isHashed(v)
		case slices.Contains(plainKeys, key):
			ok = isText(v)
		case key == "external_id":
			list, _ := v.([]any)
			ok = len(list) == 1 && isHashed(list[0])
		}
		if !ok {
			return "user_data." + key + " is unknown or not what it should be"
		}
	}
	return ""
}

func isText(v any) bool {
	s, ok := v.(string)
	return ok && s != ""
}

func isHashed(v any) bool {
	s, _ := v.(string)
	return isHash.MatchString(s)
}

// what checks custom_data. Sheet: Mapping, custom_data.
func what(r *record) string {
	if _, ok := r.fields["custom_data"]; ok && r.customData == nil {
		return "custom_data is no object"
	}
	for key, v := range r.customData {
		if v == nil || slices.Contains(personalKeys, key) {
			return "custom_data." + key + " is null or about a person"
		}
	}
	if !slices.Contains(ownNames, r.name) {
		return ""
	}
	if r.name == "PageView" && r.customData != nil {
		return "a page view has custom_data"
	}
	for _, key := range []string{"currency", "value"} {
		if _, ok := r.customData[key]; !ok && r.name == "Purchase" {
			return "a purchase has no " + key
		}
	}
	if v, ok := r.customData["currency"]; ok {
		if s, _ := v.(string); !isCurrency.MatchString(s) {
			return "currency is no code"
		}
	}
	if v, ok := r.customData["value"]; ok && !isNumber(v) {
		return "value is no number"
	}
	return contents(r.customData)
}

func isNumber(v any) bool {
	_, ok := v.(json.Number)
	return ok
}

// contents checks the products. Sheet: Mapping, contents.
func contents(custom map[string]any) string {
	kind, typed := custom["content_type"]
	v, ok := custom["contents"]
	if ok != typed || typed && kind != "product" {
		return "content_type does not go with contents"
	}
	if !ok {
		return ""
	}
	list, _ := v.([]any)
	if len(list) == 0 {
		return "contents are empty or no list"
	}
	for _, one := range list {
		c, _ := one.(map[string]any)
		if !isText(c["id"]) {
			return "a product has no id"
		}
		for key, v := range c {
			if key != "id" && (key != "quantity" && key != "item_price" || !isNumber(v)) {
				return "contents: " + key + " is unknown or no number"
			}
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
