package klaviyo_test

import (
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

// The addresses of Klaviyo that may be called. sheet: Requests
const (
	host            = "https://a.klaviyo.com"
	eventURL        = host + "/api/events/"
	eventsJobURL    = host + "/api/event-bulk-create-jobs/"
	profileURL      = host + "/api/profile-import/"
	profilesJobURL  = host + "/api/profile-bulk-import-jobs/"
	eventsPointer   = "/data/attributes/events-bulk-create/data/"
	profilesPointer = "/data/attributes/profiles/data/"
)

var listURL = regexp.MustCompile(`^` + host + `/api/lists/([^/]+)/relationships/profiles/$`)

// fake plays Klaviyo: it checks what it is sent, keeps what it accepts, and answers as
// Klaviyo does.
type fake struct {
	key, revision            string
	maxEvents, maxProfiles   int // of a job
	maxBytes, maxProfileSize int // of a job, of a profile in it
	now                      time.Time

	bad        func(attributes map[string]any) bool // refused although it breaks no rule
	noPointers bool                                 // a refusal does not say of what
	refusal    int                                  // the status of a refusal: 400 or 422

	// conflicts are profiles under another identifier: from the external_id to the id
	// that has to be named.
	conflicts map[string]string

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []record
	members    map[string][]string // of a list: the external_ids
	profiles   map[string]string   // from the id that was given to the external_id
}

type answer struct {
	status int
	header http.Header
	body   string
}

// record is an event or a profile that was accepted.
type record struct {
	kind       string // event, profile
	id         string // unique_id, external_id
	attributes map[string]any
}

func newFake() *fake {
	return &fake{
		key: secret, revision: "2025-01-15", // sheet: Settings
		maxEvents: 1000, maxProfiles: 10_000, maxBytes: 5_000_000, maxProfileSize: 100_000, // sheet: Limits
		now: time.Now(), refusal: 400,
		members: map[string][]string{}, profiles: map[string]string{},
	}
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

// repeated counts the events that came more than once: Klaviyo dedupes by metric and
// unique_id.
func (f *fake) repeated() (n int) {
	seen := map[string]bool{}
	for _, r := range f.accepted {
		key := r.id + text(r.attributes["metric"])
		if r.kind == "event" && seen[key] {
			n++
		}
		seen[key] = true
	}
	return n
}

func text(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
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
	w.Header().Set("Content-Type", "application/vnd.api+json")
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
	list := listURL.FindStringSubmatch(address)
	switch {
	case !slices.Contains([]string{eventURL, eventsJobURL, profileURL, profilesJobURL}, address) && list == nil:
		return f.refuse(404, "/", "a request to %s", address)
	case r.Method != http.MethodPost:
		return f.refuse(405, "/", "a request by %s", r.Method)
	case r.Header.Get("Authorization") != "Klaviyo-API-Key "+f.key:
		return f.refuse(401, "/", "Authorization is not the key")
	case r.Header.Get("Revision") != f.revision:
		return f.refuse(400, "/", "revision %q", r.Header.Get("Revision"))
	case r.Header.Get("Content-Type") != "application/json", r.Header.Get("Accept") != "application/json":
		return f.refuse(415, "/", "content-type %q, accept %q", r.Header.Get("Content-Type"), r.Header.Get("Accept"))
	case len(body) > f.maxBytes:
		return fault(413, "payload_too_large", "/")
	}
	var document map[string]any
	dec := json.NewDecoder(strings.NewReader(string(body)))
	dec.UseNumber()
	if err := dec.Decode(&document); err != nil || dec.More() || len(document) != 1 {
		return f.refuse(400, "/", "a body that is not {data}: %v", err)
	}
	switch address {
	case eventURL:
		return f.event(document)
	case eventsJobURL:
		return f.eventsJob(document)
	case profileURL:
		return f.profile(document)
	case profilesJobURL:
		return f.profilesJob(document)
	}
	return f.addToList(list[1], document)
}

// refuse notes a violation and answers for it.
func (f *fake) refuse(status int, pointer, format string, args ...any) answer {
	f.violations = append(f.violations, fmt.Sprintf(format, args...)+" at "+pointer)
	return fault(status, "invalid", pointer)
}

// fault is an answer with an error for each pointer. sheet: Responses
func fault(status int, code string, pointers ...string) answer {
	errors := []any{}
	for _, p := range pointers {
		errors = append(errors, map[string]any{
			"id": "e-1", "status": status, "code": code, "title": "Invalid input.", "detail": "Something is wrong with it.",
			"source": map[string]any{"pointer": p}, "links": map[string]any{}, "meta": map[string]any{},
		})
	}
	return answer{status: status, body: text(map[string]any{"errors": errors})}
}

// in follows keys into objects; nil where that is not how it is.
func in(v any, keys ...string) any {
	for _, k := range keys {
		m, _ := v.(map[string]any)
		v = m[k]
	}
	return v
}

// attributes of {"type": kind, "attributes": {…}}, and nothing else but what is allowed.
func attributes(v any, kind string, others ...string) (map[string]any, string) {
	m, _ := v.(map[string]any)
	for k := range m {
		if k != "type" && k != "attributes" && !slices.Contains(others, k) {
			return nil, "a member " + k + " of a " + kind
		}
	}
	a, ok := m["attributes"].(map[string]any)
	if m["type"] != kind || !ok {
		return nil, "no " + kind
	}
	return a, ""
}

func (f *fake) event(document map[string]any) answer {
	a, reason := attributes(document["data"], "event")
	if reason == "" {
		reason = f.checkEvent(a, a["profile"])
	}
	switch {
	case reason != "":
		return f.refuse(400, "/data/attributes/", "%s", reason)
	case f.bad != nil && f.bad(a):
		return fault(f.refusal, "invalid", "/data/attributes/properties/")
	}
	f.keepEvent(a, a["profile"])
	return answer{status: 202}
}

func (f *fake) keepEvent(a map[string]any, profile any) {
	whole := map[string]any{"profile": profile}
	for k, v := range a {
		whole[k] = v
	}
	f.accepted = append(f.accepted, record{"event", a["unique_id"].(string), whole})
}

// eventsJob takes all or nothing.
func (f *fake) eventsJob(document map[string]any) answer {
	job, reason := attributes(document["data"], "event-bulk-create-job")
	list, ok := in(job, "events-bulk-create", "data").([]any)
	if reason != "" || !ok || len(list) == 0 || len(list) > f.maxEvents {
		return f.refuse(400, "/data/attributes/events-bulk-create/", "%s a job of %d events", reason, len(list))
	}
	refused := []string{}
	for i, one := range list {
		pointer := fmt.Sprint(eventsPointer, i, "/attributes/events/data/0/attributes/")
		a, e, reason := entry(one)
		if reason == "" {
			reason = f.checkEvent(e, a["profile"])
		}
		if _, inside := e["profile"]; inside {
			reason = "a profile inside an event of a job"
		}
		if reason != "" {
			return f.refuse(400, pointer, "%s", reason)
		}
		if f.bad != nil && f.bad(e) {
			refused = append(refused, pointer+"properties/", pointer+"time")
		}
	}
	if len(refused) > 0 {
		return f.refusalOf(refused)
	}
	for _, one := range list {
		a, e, _ := entry(one)
		f.keepEvent(e, a["profile"])
	}
	return answer{status: 202}
}

func (f *fake) refusalOf(pointers []string) answer {
	if f.noPointers {
		pointers = []string{"/data/attributes/"}
	}
	return fault(f.refusal, "invalid", pointers...)
}

// entry is one element of an events job and the one event in it.
func entry(v any) (create, event map[string]any, reason string) {
	create, reason = attributes(v, "event-bulk-create")
	list, _ := in(create, "events", "data").([]any)
	switch {
	case reason != "":
		return nil, nil, reason
	case len(list) != 1:
		return nil, nil, fmt.Sprintf("%d events of one entry", len(list))
	}
	event, reason = attributes(list[0], "event")
	return create, event, reason
}

// profile creates or updates one.
func (f *fake) profile(document map[string]any) answer {
	a, reason := attributes(document["data"], "profile", "id")
	if reason == "" {
		reason = f.checkProfile(a)
	}
	external, _ := a["external_id"].(string)
	id, named := in(document, "data", "id").(string)
	other, conflict := f.conflicts[external]
	switch {
	case reason != "":
		return f.refuse(400, "/data/attributes/", "%s", reason)
	case f.bad != nil && f.bad(a):
		return fault(f.refusal, "invalid", "/data/attributes/")
	case conflict && !named: // sheet: Responses, 409
		return answer{status: 409, body: `{"errors":[{"id":"e-1","status":409,"code":"duplicate_profile","title":"Conflict.",` +
			`"source":{"pointer":"/data/attributes"},"meta":{"duplicate_profile_id":"` + other + `"}}]}`}
	case named && (!conflict || id != other):
		return f.refuse(404, "/data/", "a profile under the id %s", id)
	case !named:
		id = fmt.Sprintf("01GDDKASAP8TKDDA2GRZ%04d", len(f.profiles))
	}
	status := 201
	if named || slices.Contains(f.ids(), external) {
		status = 200
	}
	f.profiles[id] = external
	f.accepted = append(f.accepted, record{"profile", external, a})
	return answer{status: status, body: text(map[string]any{"data": map[string]any{"type": "profile", "id": id, "attributes": a}})}
}

// profilesJob takes all or nothing.
func (f *fake) profilesJob(document map[string]any) answer {
	job, reason := attributes(document["data"], "profile-bulk-import-job", "relationships")
	list, ok := in(job, "profiles", "data").([]any)
	if reason != "" || !ok || len(list) == 0 || len(list) > f.maxProfiles {
		return f.refuse(400, "/data/attributes/profiles/", "%s a job of %d profiles", reason, len(list))
	}
	refused := []string{}
	for i, one := range list {
		pointer := fmt.Sprint(profilesPointer, i, "/attributes/")
		a, reason := attributes(one, "profile")
		if reason == "" {
			reason = f.checkProfile(a)
		}
		if len(text(one)) > f.maxProfileSize {
			reason = "a profile that is too large"
		}
		if reason != "" {
			return f.refuse(400, pointer, "%s", reason)
		}
		if f.bad != nil && f.bad(a) {
			refused = append(refused, pointer+"first_name")
		}
	}
	if len(refused) > 0 {
		return f.refusalOf(refused)
	}
	lists, _ := in(document, "data", "relationships", "lists", "data").([]any)
	for _, one := range list {
		a, _ := attributes(one, "profile")
		external, _ := a["external_id"].(string)
		f.accepted = append(f.accepted, record{"profile", external, a})
		for _, l := range lists {
			if in(l, "type") != "list" {
				return f.refuse(400, "/data/relationships/", "a list of another type")
			}
			id, _ := in(l, "id").(string)
			f.members[id] = append(f.members[id], external)
		}
	}
	return answer{status: 202, body: `{"data":{"type":"profile-bulk-import-job","id":"job-1"}}`}
}

// addToList takes profiles that were created before.
func (f *fake) addToList(list string, document map[string]any) answer {
	data, _ := document["data"].([]any)
	if len(data) == 0 || len(data) > 1000 {
		return f.refuse(400, "/data/", "%d profiles for a list", len(data))
	}
	for _, one := range data {
		id, _ := in(one, "id").(string)
		external, ok := f.profiles[id]
		if in(one, "type") != "profile" || !ok {
			return f.refuse(404, "/data/", "an unknown profile for a list: %v", one)
		}
		f.members[list] = append(f.members[list], external)
	}
	return answer{status: 204}
}
