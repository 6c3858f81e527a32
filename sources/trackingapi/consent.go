package trackingapi

import "strings"

// consentUpdated is the one event whose consent is checked: it changes what later events
// may do.
const consentUpdated = "Segment Consent Preference Updated"

// consentCode says what is wrong with the consent of a message, nothing if that is not
// such an event. The context of the batch stands in for what the message's own lacks.
func consentCode(message, batch string) Code {
	if message[0] != '{' || !strings.Contains(message, consentUpdated) || str(member(message, "event")) != consentUpdated {
		return ""
	}
	part := func(name string) string {
		for _, context := range []string{member(message, "context"), batch} {
			if v := memberOf(context, name); v != "" {
				return v
			}
		}
		return ""
	}
	consent := part("consent")
	preferences := memberOf(consent, "categoryPreferences")
	switch {
	case consent != "" && !isObject(consent), preferences != "" && !isObject(preferences):
		return CodeConsentNoObject
	case preferences == "":
		return CodeConsentMissing
	}
	code := Code("")
	eachMember(preferences, func(_, value string) {
		if value != "true" && value != "false" {
			code = CodeConsentNoBool
		}
	})
	if v := memberOf(consent, "version"); code == "" && v != "" && v[0] != '-' && (v[0] < '0' || v[0] > '9') {
		code = CodeConsentVersion
	}
	if id := memberOf(part("device"), "advertisingId"); code == "" && id != "" && id[0] != '"' {
		code = CodeConsentAdvertising
	}
	return code
}

// memberOf is member of what may be no object; null is as good as nothing.
func memberOf(value, key string) string {
	if !isObject(value) {
		return ""
	}
	if v := member(value, key); v != "null" {
		return v
	}
	return ""
}

func isObject(value string) bool { return value != "" && value[0] == '{' }
