package klaviyo_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"
)

var (
	email    = regexp.MustCompile(`^[!-?A-~]+@[!-?A-~]*\.[!-?A-~]*$`) // sheet: Mapping, as in hubspot
	phone    = regexp.MustCompile(`^\+[0-9]{7,15}$`)
	currency = regexp.MustCompile(`^[A-Z]{3}$`)
)

// checkIdentity checks the ids of a profile. sheet: Mapping, at least one
func checkIdentity(a map[string]any) string {
	found := false
	for _, key := range []string{"email", "phone_number", "external_id", "anonymous_id"} {
		v, ok := a[key]
		if !ok {
			continue
		}
		s, _ := v.(string)
		switch {
		case s == "":
			return fmt.Sprintf("%s is %T, or empty", key, v)
		case key == "email" && !email.MatchString(s), key == "phone_number" && !phone.MatchString(s):
			return "a bad " + key
		case key == "external_id" && len([]rune(s)) > 255: // sheet: Limits
			return "a long external_id"
		}
		found = true
	}
	if !found {
		return "a profile without an identifier"
	}
	return ""
}

// checkProfile checks the attributes of a profile by itself.
func (f *fake) checkProfile(a map[string]any) string {
	for key, v := range a {
		_, isText := v.(string)
		_, isObject := v.(map[string]any)
		switch key {
		case "email", "phone_number", "external_id", "anonymous_id":
		case "first_name", "last_name", "organization", "title", "image":
			if !isText {
				return fmt.Sprintf("%s is %T", key, v)
			}
		case "location", "properties":
			if !isObject || len(v.(map[string]any)) == 0 { // sheet: Mapping, empty ones are left out
				return fmt.Sprintf("%s is %T, or empty", key, v)
			}
		default:
			return "an attribute " + key
		}
	}
	location, _ := a["location"].(map[string]any)
	for key, v := range location {
		if _, isText := v.(string); !isText || !slices.Contains([]string{"address1", "city", "region", "zip", "country"}, key) {
			return fmt.Sprintf("location.%s is %T", key, v)
		}
	}
	return checkIdentity(a)
}

// checkEvent checks the attributes of an event, and its profile.
func (f *fake) checkEvent(a map[string]any, profile any) string {
	for key := range a {
		if !slices.Contains([]string{"metric", "properties", "time", "unique_id", "value", "value_currency", "profile"}, key) {
			return "an attribute " + key
		}
	}
	who, reason := attributes(in(profile, "data"), "profile")
	if reason == "" {
		reason = checkIdentity(who)
	}
	if reason != "" {
		return reason
	}
	for key := range who {
		if !slices.Contains([]string{"email", "phone_number", "external_id", "anonymous_id"}, key) {
			return "an attribute " + key + " of an event's profile"
		}
	}
	metric, reason := attributes(in(a["metric"], "data"), "metric")
	name, _ := metric["name"].(string)
	id, _ := a["unique_id"].(string)
	_, isObject := a["properties"].(map[string]any)
	switch {
	case reason != "":
		return reason
	case name == "" || len([]rune(name)) > 128 || len(metric) != 1: // sheet: Limits
		return "a metric without a name, or with a long one"
	case id == "":
		return "no unique_id"
	case !isObject:
		return "properties that are no object"
	}
	if reason = checkValue(a); reason == "" {
		reason = f.checkTime(a["time"])
	}
	if reason == "" {
		reason = checkProperties(a["properties"].(map[string]any))
	}
	return reason
}

// sheet: Mapping, the value is a number and the currency goes with it only
func checkValue(a map[string]any) string {
	value, has := a["value"]
	if _, isNumber := value.(json.Number); has && !isNumber {
		return fmt.Sprintf("value is %T", value)
	}
	code, hasCode := a["value_currency"]
	if s, _ := code.(string); hasCode && (!has || !currency.MatchString(s)) {
		return fmt.Sprintf("value_currency %v", code)
	}
	return ""
}

// sheet: Mapping, ISO UTC with ms; Limits, from 2000 to one year ahead
func (f *fake) checkTime(v any) string {
	s, _ := v.(string)
	at, err := time.Parse("2006-01-02T15:04:05.000Z", s)
	if err != nil || at.Year() < 2000 || at.After(f.now.AddDate(1, 0, 0)) {
		return fmt.Sprintf("time %v", v)
	}
	return ""
}

// sheet: Limits, 400 properties, strings 100 KB, lists 4,000, depth 10
func checkProperties(properties map[string]any) string {
	if len(properties) > 400 {
		return fmt.Sprintf("%d properties", len(properties))
	}
	return checkNested(properties, 0)
}

func checkNested(v any, depth int) string {
	const most = 10
	inner := []any{}
	switch v := v.(type) {
	case string:
		if len(v) > 100_000 {
			return "a long string"
		}
	case map[string]any:
		inner = slices.Collect(maps.Values(v))
	case []any:
		if inner = v; len(v) > 4000 {
			return "a long list"
		}
	}
	if depth > most && len(inner) > 0 {
		return "a value that runs too deep"
	}
	for _, one := range inner {
		if reason := checkNested(one, depth+1); reason != "" {
			return reason
		}
	}
	return ""
}
