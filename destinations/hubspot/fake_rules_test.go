package hubspot_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"
)

func checkObject(in map[string]any, idProperty string) string {
	for key := range in {
		if !set("idProperty id properties objectWriteTraceId")[key] {
			return "a field " + key
		}
	}
	id, _ := in["id"].(string)
	properties, ok := in["properties"].(map[string]any)
	trace, hasTrace := in["objectWriteTraceId"]
	_, isText := trace.(string)
	switch {
	case in["idProperty"] != idProperty:
		return fmt.Sprintf("idProperty %v", in["idProperty"])
	case id == "":
		return "no id"
	case !ok || properties[idProperty] != id:
		return "its properties do not have the id"
	case hasTrace && !isText:
		return "an objectWriteTraceId that is no string"
	case idProperty == "email" && !isEmail(id):
		return "an id that is no e-mail in lower case"
	}
	return ""
}

// email is an e-mail as the sheet has it: ASCII without blanks, one @, a dot behind
// it. sheet: Mapping
var email = regexp.MustCompile(`^[!-?A-~]+@[!-?A-~]*\.[!-?A-~]*$`)

func isEmail(s string) bool { return email.MatchString(s) && s == strings.ToLower(s) }

// checkValue checks a value of an object, where some properties have a type.
func checkValue(name string, v any) string {
	s, isText := v.(string)
	switch {
	case isText && name == "domain" && strings.ContainsAny(s, "/:?#"): // sheet: without scheme and path
		return "domain is no host"
	case isText && name == "numberofemployees" && json.Unmarshal([]byte(s), new(float64)) != nil:
		return name + " is no number"
	}
	return checkScalar(name, v)
}

// checkScalar checks what values have in common. sheet: Mapping, strings are trimmed,
// nulls left out, lists and objects become text
func checkScalar(name string, v any) string {
	switch v := v.(type) {
	case string:
		if v != strings.TrimSpace(v) {
			return name + " has blanks around it"
		}
		return ""
	case json.Number, bool:
		return ""
	}
	return fmt.Sprintf("%s is %T", name, v)
}

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

func (f *fake) checkEvent(in map[string]any) string {
	texts := map[string]string{}
	for key, v := range in {
		if key == "properties" {
			continue
		}
		s, isText := v.(string)
		if !set("eventName occurredAt email objectId utk uuid")[key] || !isText || s == "" {
			return fmt.Sprintf("a field %s of %T", key, v)
		}
		texts[key] = s
	}
	at, err := time.Parse("2006-01-02T15:04:05.000Z", texts["occurredAt"])
	switch {
	case !strings.HasPrefix(texts["eventName"], "pe"+f.portal+"_"):
		return "an event name without the portal's prefix"
	case strings.ContainsAny(texts["eventName"], " .") || texts["eventName"] != strings.ToLower(texts["eventName"]):
		return "an event name with blanks, dots or upper case" // sheet: Settings, AutoEvents
	case err != nil || at.IsZero():
		return "occurredAt " + texts["occurredAt"]
	case texts["email"] == "" && texts["objectId"] == "" && texts["utk"] == "":
		return "neither email nor objectId nor utk"
	case texts["email"] != "" && !isEmail(texts["email"]):
		return "an e-mail that is none"
	case texts["uuid"] != "" && !uuid.MatchString(texts["uuid"]):
		return "uuid is none"
	}
	properties, ok := in["properties"].(map[string]any)
	if in["properties"] != nil && !ok {
		return "properties that are no object"
	}
	if f.maxProperties > 0 && len(properties) > f.maxProperties {
		return fmt.Sprintf("%d properties", len(properties))
	}
	for name, v := range properties {
		if reason := checkScalar(name, v); reason != "" {
			return reason
		}
		if s, _ := v.(string); f.maxText > 0 && len([]rune(s)) > f.maxText {
			return "a value that is too long: " + name
		}
	}
	return ""
}
