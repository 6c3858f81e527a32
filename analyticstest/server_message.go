package analyticstest

import "encoding/json"

// reject returns the code under which the delivery overview lists the message
// as "failed on ingest", or an empty code if it passes. An explicit null counts
// as absent, as stored payloads of anonymous users carry a null userId.
func (m message) reject(batchContext json.RawMessage) (code, reason string) {
	if m.fields == nil {
		return "bad_request", "message is no object"
	}
	checks := []func() (string, string){
		m.rejectType, m.rejectIDs, m.rejectEvent, m.rejectObjects, m.rejectNames,
		func() (string, string) { return m.rejectConsent(batchContext) },
	}
	for _, check := range checks {
		if code, reason = check(); code != "" {
			return code, reason
		}
	}
	return "", ""
}

// rejectType: inside a batch the type is mandatory. There is no code of its
// own for it in the documents.
func (m message) rejectType() (code, reason string) {
	switch m.kind {
	case "identify", "track", "page", "screen", "group", "alias":
		return "", ""
	case "":
		return "bad_request", "message has no type"
	}
	return "bad_request", "message has an unknown type"
}

// rejectIDs: every message needs a userId or an anonymousId, and ids are
// strings that are not empty. A group needs its groupId, an alias its userId.
func (m message) rejectIDs() (code, reason string) {
	for _, name := range []string{"userId", "anonymousId", "groupId", "previousId"} {
		if raw := m.fields[name]; !absent(raw) && !nonEmpty(raw) {
			return "id_not_string", name + " is empty or not a string"
		}
	}
	switch {
	case absent(m.fields["userId"]) && absent(m.fields["anonymousId"]):
		return "no_user_anon_id", "neither userId nor anonymousId"
	case m.kind == "alias" && absent(m.fields["userId"]):
		return "id_required", "alias without userId"
	case m.kind == "group" && absent(m.fields["groupId"]):
		return "id_required", "group without groupId"
	}
	return "", ""
}

// rejectEvent: a track call names its event with a string.
func (m message) rejectEvent() (code, reason string) {
	if m.kind != "track" {
		return "", ""
	}
	event := m.fields["event"]
	name, ok := text(event)
	switch {
	case absent(event) || ok && name == "":
		return "event_not_defined", "track without event name"
	case !ok:
		return "event_not_string", "event is not a string"
	}
	return "", ""
}

// rejectObjects: properties and traits are objects. For context and
// integrations the documents give the type but no code.
func (m message) rejectObjects() (code, reason string) {
	codes := [][2]string{
		{"properties", "properties_not_object"},
		{"traits", "traits_not_object"},
		{"context", "bad_request"},
		{"integrations", "bad_request"},
	}
	for _, c := range codes {
		if raw := m.fields[c[0]]; !absent(raw) && !isObject(raw) {
			return c[1], c[0] + " is no object"
		}
	}
	return "", ""
}

// rejectNames: name and category of page and screen, where present, are strings
// that are not empty.
func (m message) rejectNames() (code, reason string) {
	if m.kind != "page" && m.kind != "screen" {
		return "", ""
	}
	for _, name := range []string{"name", "category"} {
		if raw := m.fields[name]; !absent(raw) && !nonEmpty(raw) {
			return name + "_not_string", name + " is empty or not a string"
		}
	}
	return "", ""
}

// consentEvent is the only event whose consent object is validated.
const consentEvent = "Segment Consent Preference Updated"

// rejectConsent checks the consent object of the consent event. The context of
// the batch stands in for what the message's own lacks.
func (m message) rejectConsent(batchContext json.RawMessage) (code, reason string) {
	if event, _ := text(m.fields["event"]); m.kind != "track" || event != consentEvent {
		return "", ""
	}
	part := func(name string) map[string]json.RawMessage {
		raw := inside(m.fields["context"])[name]
		if absent(raw) {
			raw = inside(batchContext)[name]
		}
		return inside(raw)
	}
	consent := part("consent")
	preferences := consent["categoryPreferences"]
	switch {
	case absent(preferences):
		return "consent_categorypreferences_should_exist", "no context.consent.categoryPreferences"
	case !isObject(preferences):
		return "consent_categorypreferences_fields_should_be_object", "categoryPreferences is no object"
	}
	for _, granted := range members(preferences) {
		if !isBool(granted) {
			return "consent_categorypreferences_fields_should_be_bool", "a category preference is no boolean"
		}
	}
	if version := consent["version"]; !absent(version) && !isNumber(version) {
		return "consent_version_should_be_number", "context.consent.version is no number"
	}
	if id := part("device")["advertisingId"]; !absent(id) {
		if _, ok := text(id); !ok {
			return "device_advertisingid_should_be_string", "context.device.advertisingId is no string"
		}
	}
	return "", ""
}

// inside returns the members of an object, and none of anything else.
func inside(raw json.RawMessage) map[string]json.RawMessage {
	if !isObject(raw) {
		return nil
	}
	return members(raw)
}

func nonEmpty(raw json.RawMessage) bool {
	s, ok := text(raw)
	return ok && s != ""
}
