package hubspot_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// The addresses of HubSpot that may be called. sheet: Requests
const (
	contactsURL = "https://api.hubapi.com/crm/v3/objects/contacts/batch/upsert"
	companyURL  = "https://api.hubapi.com/crm/v3/objects/companies/batch/upsert"
	propertyURL = "https://api.hubapi.com/crm/v3/properties/companies"
	eventsURL   = "https://api.hubapi.com/events/v3/send/batch"
)

// fake plays HubSpot: it checks what it is sent, keeps what it accepts, and answers as
// HubSpot does.
type fake struct {
	token, portal          string
	maxObjects, maxEvents  int  // in a request
	maxProperties, maxText int  // of an event, and characters of a value; zero: any
	noGroupID              bool // companies have no segment_group_id yet

	contactProperties, companyProperties map[string]bool // others are unknown

	// bad tells of inputs that break no rule and are refused all the same: the whole
	// request with 400, or with partial set only these, with 207, by their ids, or by
	// their objectWriteTraceId where byTrace is set and they have one.
	bad              func(input map[string]any) bool
	partial, byTrace bool

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []record
	created    int // how often the property of companies was asked for
}

type answer struct {
	status int
	header http.Header
	body   string
}

// record is an input that was accepted.
type record struct {
	kind  string // contact, company, event
	id    string // the e-mail, the groupId, the uuid
	input map[string]any
}

func newFake() *fake {
	return &fake{
		token: secret, portal: portal,
		maxObjects: 100, maxEvents: 500, // sheet: Requests
		maxProperties: 50, maxText: 1024, // sheet: Limits
		// sheet: Mapping
		contactProperties: set("email firstname lastname phone company address city state country zip website"),
		companyProperties: set("name description address city state zip domain phone numberofemployees industry segment_group_id"),
	}
}

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// next lets the next request be answered so, whatever it holds. Nothing of it is kept.
func (f *fake) next(status int, header http.Header, body string) {
	f.queue = append(f.queue, answer{status, header, body})
}

// ids are those of what was accepted, in its order.
func (f *fake) ids() []string {
	list := make([]string, 0, len(f.accepted))
	for _, r := range f.accepted {
		list = append(list, r.id)
	}
	return list
}

// repeated counts the events that came more than once under one uuid.
func (f *fake) repeated() (n int) {
	seen := map[string]bool{}
	for _, r := range f.accepted {
		if r.kind == "event" && seen[r.id] {
			n++
		}
		seen[r.id] = true
	}
	return n
}

// ServeHTTP answers a request.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, _ := io.ReadAll(r.Body)
	a := f.answer(r, body)
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func (f *fake) answer(r *http.Request, body []byte) answer {
	if len(f.queue) > 0 {
		a := f.queue[0]
		f.queue = f.queue[1:]
		return a
	}
	address := "https://" + r.Host + r.URL.RequestURI()
	switch {
	case !slices.Contains([]string{contactsURL, companyURL, propertyURL, eventsURL}, address):
		return f.refuse(404, "a request to %s", address)
	case r.Method != http.MethodPost:
		return f.refuse(405, "a request by %s", r.Method)
	case r.Header.Get("Authorization") != "Bearer "+f.token:
		return f.refuse(401, "Authorization is not the token")
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return f.refuse(415, "Content-Type is %q", r.Header.Get("Content-Type"))
	case address == propertyURL:
		return f.create(body)
	}
	inputs, a := f.inputs(address, body)
	switch {
	case a.status != 0:
		return a
	case address == contactsURL:
		return f.upsert("contact", "email", f.contactProperties, inputs)
	case address == companyURL:
		return f.upsert("company", "segment_group_id", f.companyProperties, inputs)
	}
	return f.take(inputs)
}

// inputs reads the list of a batch.
func (f *fake) inputs(address string, body []byte) ([]map[string]any, answer) {
	var request struct {
		Inputs []map[string]any `json:"inputs"`
	}
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&request); err != nil || dec.More() {
		return nil, f.refuse(400, "a body that is not {inputs}: %v", err)
	}
	most := f.maxObjects
	if address == eventsURL {
		most = f.maxEvents
	}
	if n := len(request.Inputs); n == 0 || n > most {
		return nil, f.refuse(400, "%d inputs", n)
	}
	return request.Inputs, answer{}
}

// refuse notes a violation and answers for the whole request.
func (f *fake) refuse(status int, format string, args ...any) answer {
	f.violations = append(f.violations, fmt.Sprintf(format, args...))
	return fault(status, "VALIDATION_ERROR", fmt.Sprintf(format, args...))
}

// fault is an error as HubSpot words it. The properties named are those at fault.
func fault(status int, category, message string, properties ...string) answer {
	body := map[string]any{"status": "error", "category": category, "message": message, "correlationId": "c-1"}
	if properties != nil {
		body["errors"] = []any{map[string]any{"message": message, "context": map[string]any{"propertyName": properties}}}
	}
	return answer{status: status, body: text(body)}
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}

// create answers for a new property of companies.
func (f *fake) create(body []byte) answer {
	f.created++
	// sheet: Requests, group
	const want = `{"fieldType":"text","groupName":"companyinformation","hasUniqueValue":true,"hidden":true,` +
		`"label":"Segment Group ID","name":"segment_group_id","type":"string"}`
	var v map[string]any
	if json.Unmarshal(body, &v) != nil || text(v) != want {
		return f.refuse(400, "a new property %s", body)
	}
	if !f.noGroupID {
		return fault(409, "OBJECT_ALREADY_EXISTS", `A property named "segment_group_id" already exists`)
	}
	f.noGroupID = false
	return answer{status: 201, body: want}
}

// upsert checks the inputs of one of the two kinds of objects, all before any is kept.
func (f *fake) upsert(kind, idProperty string, known map[string]bool, inputs []map[string]any) answer {
	if kind == "company" && f.noGroupID {
		return fault(400, "VALIDATION_ERROR", `Property "segment_group_id" does not exist`, "segment_group_id")
	}
	seen := map[any]bool{}
	for i, in := range inputs {
		if reason := checkObject(in, idProperty); reason != "" {
			return f.refuse(400, "%s %d: %s", kind, i, reason)
		}
		if seen[in["id"]] { // sheet: Requests, unique within a request
			return f.refuse(400, "%s %d: Duplicate IDs found in batch input", kind, i)
		}
		seen[in["id"]] = true
		for name, v := range in["properties"].(map[string]any) {
			if !known[name] { // sheet: nothing unmapped is sent
				f.violations = append(f.violations, fmt.Sprintf("%s %d: unknown property %s", kind, i, name))
				return fault(400, "VALIDATION_ERROR", `Property "`+name+`" does not exist`, name)
			}
			if reason := checkValue(name, v); reason != "" {
				return f.refuse(400, "%s %d: %s", kind, i, reason)
			}
		}
	}
	return f.store(kind, inputs)
}

// store keeps the objects and answers as the mode of the fake has it.
func (f *fake) store(kind string, inputs []map[string]any) answer {
	results, errors := []any{}, []any{}
	for i, in := range inputs {
		if f.bad == nil || !f.bad(in) {
			results = append(results, map[string]any{"id": fmt.Sprint(1000 + i), "properties": in["properties"]})
			continue
		}
		where := map[string]any{"ids": []any{in["id"]}}
		if trace, ok := in["objectWriteTraceId"]; ok && f.byTrace {
			where = map[string]any{"objectWriteTraceId": []any{trace}}
		}
		errors = append(errors, map[string]any{
			"status": "error", "category": "VALIDATION_ERROR", "message": "Property values were not valid: " + text(in), "context": where,
		})
	}
	if len(errors) > 0 && !f.partial {
		return fault(400, "VALIDATION_ERROR", "Property values were not valid") // sheet: 400, nothing stored
	}
	for _, in := range inputs {
		if f.bad == nil || !f.bad(in) {
			f.accepted = append(f.accepted, record{kind, in["id"].(string), in})
		}
	}
	body := map[string]any{"status": "COMPLETE", "results": results}
	if len(errors) == 0 {
		return answer{status: 200, body: text(body)}
	}
	body["errors"], body["numErrors"] = errors, len(errors)
	return answer{status: 207, body: text(body)}
}

// take checks events, all before any is kept.
func (f *fake) take(inputs []map[string]any) answer {
	for i, in := range inputs {
		if reason := f.checkEvent(in); reason != "" {
			return f.refuse(400, "event %d: %s", i, reason)
		}
	}
	if f.bad != nil && slices.ContainsFunc(inputs, f.bad) {
		return fault(400, "VALIDATION_ERROR", "Event could not be read")
	}
	for _, in := range inputs {
		id, _ := in["uuid"].(string)
		f.accepted = append(f.accepted, record{"event", id, in})
	}
	return answer{status: 204}
}
