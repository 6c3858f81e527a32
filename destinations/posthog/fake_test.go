package posthog_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// fake plays PostHog: it checks what it is sent, keeps what it accepts, and answers as
// PostHog does.
type fake struct {
	host, key  string
	historical bool // every request has to be marked as an import
	success    string

	maxBody, maxEvent int // bytes
	quota             string

	// bad tells of events that break no rule and are refused all the same.
	bad func(record) bool

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []record
	duplicates int
}

type answer struct {
	status int
	header http.Header
	body   string
}

// record is an element of a batch.
type record struct {
	raw        string
	event      string
	uuid       string
	timestamp  string
	distinctID string
	properties map[string]any
}

func newFake() *fake {
	return &fake{
		host: "us.i.posthog.com", key: secret, // sheet: Settings
		success: `{"status":"Ok"}`, // sheet: Responses, 200
		maxBody: 20_000_000, maxEvent: 1_000_000,
	}
}

// next lets the next request be answered so, whatever it holds. Nothing of it is kept.
func (f *fake) next(status int, header http.Header, body string) {
	f.queue = append(f.queue, answer{status, header, body})
}

// names are the events that were accepted, of one person or of all.
func (f *fake) names(person ...string) (list []string) {
	for _, r := range f.accepted {
		if len(person) == 0 || slices.Contains(person, r.distinctID) {
			list = append(list, r.event)
		}
	}
	return list
}

// uuids are the dedupe keys of what was accepted.
func (f *fake) uuids() (list []string) {
	for _, r := range f.accepted {
		list = append(list, r.uuid)
	}
	return list
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	raw, _ := io.ReadAll(r.Body)
	a := answer{status: http.StatusOK}
	if len(f.queue) > 0 {
		a, f.queue = f.queue[0], f.queue[1:]
	} else {
		a.status, a.body = f.answer(r, raw)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func (f *fake) answer(r *http.Request, raw []byte) (status int, body string) {
	switch {
	case r.Method != http.MethodPost:
		return f.refuse(http.StatusMethodNotAllowed, "the method is "+r.Method)
	case r.Host != f.host || r.URL.Path != "/batch/" || r.URL.RawQuery != "":
		return f.refuse(http.StatusNotFound, "the address is "+r.URL.String())
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return f.refuse(http.StatusBadRequest, "the body is no JSON by its Content-Type")
	case len(raw) > f.maxBody:
		return http.StatusRequestEntityTooLarge, "" // sheet: Limits, Responses 413
	}
	var request struct {
		APIKey     any               `json:"api_key"`
		Historical *bool             `json:"historical_migration"`
		Batch      []json.RawMessage `json:"batch"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&request); err != nil || dec.More() {
		return f.refuse(http.StatusBadRequest, "the body is not what it should be")
	}
	if request.APIKey != f.key {
		return http.StatusUnauthorized, failure("authentication_error", "invalid_api_key") // sheet: Responses, 401
	}
	if got := request.Historical != nil && *request.Historical; got != f.historical || request.Historical != nil && !got {
		return f.refuse(http.StatusBadRequest, "historical_migration is not as it was set")
	}
	return f.batch(request.Batch)
}

// batch takes all events or none.
func (f *fake) batch(list []json.RawMessage) (status int, body string) {
	if len(list) == 0 {
		return f.refuse(http.StatusBadRequest, "the batch is empty")
	}
	records := make([]record, len(list))
	for i, raw := range list {
		if len(raw) > f.maxEvent { // sheet: Limits, an event over about 1 MB is refused
			return f.refuse(http.StatusRequestEntityTooLarge, fmt.Sprintf("event %d has %d bytes", i, len(raw)))
		}
		rule := ""
		if records[i], rule = parse(raw); rule != "" {
			return f.refuse(http.StatusBadRequest, fmt.Sprintf("event %d: %s", i, rule))
		}
	}
	if f.bad != nil && slices.ContainsFunc(records, f.bad) {
		return http.StatusBadRequest, failure("validation_error", "invalid_payload") // sheet: Responses, 400
	}
	if f.quota != "" {
		return http.StatusOK, fmt.Sprintf(`{"status":"Ok","quota_limited":[%q]}`, f.quota) // sheet: Responses, 200
	}
	for _, r := range records {
		if r.uuid != "" && slices.ContainsFunc(f.accepted, r.same) {
			f.duplicates++
			continue
		}
		f.accepted = append(f.accepted, r)
	}
	return http.StatusOK, f.success
}

// same tells what PostHog takes for the same event. Sheet: Mapping, uuid; Limits, retries.
func (r record) same(o record) bool {
	return r.uuid == o.uuid && r.event == o.event && r.timestamp == o.timestamp && r.distinctID == o.distinctID
}

func (f *fake) refuse(status int, rule string) (int, string) {
	f.violations = append(f.violations, rule)
	return status, failure("validation_error", "invalid_payload")
}

func failure(kind, code string) string {
	return fmt.Sprintf(`{"type":%q,"code":%q,"detail":"refused","attr":null}`, kind, code)
}

var isUUID = regexp.MustCompile(`^(?i)[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// parse reads an event and returns the rule that it breaks. Properties of the user may
// be anything. Sheet: Mapping.
func parse(raw []byte) (r record, rule string) {
	var e struct {
		Event      *string        `json:"event"`
		Timestamp  *string        `json:"timestamp"`
		UUID       *string        `json:"uuid"`
		Properties map[string]any `json:"properties"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&e); err != nil {
		return r, "it is not what it should be"
	}
	if key := repeated(raw); key != "" {
		return r, "it has two of " + key
	}
	r = record{raw: string(raw), properties: e.Properties}
	r.distinctID, _ = e.Properties["distinct_id"].(string)
	switch {
	case e.Event == nil || *e.Event == "":
		return r, "it has no name"
	case r.distinctID == "":
		return r, "it has no distinct_id"
	case e.UUID != nil && !isUUID.MatchString(*e.UUID):
		return r, "its uuid is none"
	}
	r.event = *e.Event
	if e.UUID != nil {
		r.uuid = *e.UUID
	}
	if e.Timestamp != nil {
		r.timestamp = *e.Timestamp
		if _, err := time.Parse(time.RFC3339Nano, r.timestamp); err != nil {
			return r, "its timestamp is none"
		}
	}
	return r, special(r.event, r.properties)
}

// special checks the events that PostHog acts upon.
func special(event string, p map[string]any) string {
	if _, ok := p["$process_person_profile"]; !ok {
		return "$process_person_profile is missing"
	}
	var texts, objects []string
	switch event {
	case "$set":
		objects = []string{"$set"}
	case "$identify":
		if _, ok := p["$anon_distinct_id"]; ok {
			texts = []string{"$anon_distinct_id"}
		}
		if _, ok := p["$set"]; ok {
			objects = []string{"$set"}
		}
	case "$create_alias":
		texts = []string{"alias"}
	case "$groupidentify":
		texts, objects = []string{"$group_type", "$group_key"}, []string{"$groups"}
	}
	for _, key := range texts {
		if s, ok := p[key].(string); !ok || s == "" {
			return key + " is missing, empty or no string"
		}
	}
	for _, key := range objects {
		if _, ok := p[key].(map[string]any); !ok {
			return key + " is missing or no object"
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
