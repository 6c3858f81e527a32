package metacapi_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// fake plays Meta: it checks what it is sent, takes all events of a request or none,
// and answers as Meta does.
type fake struct {
	version, pixel, token string
	testCode              string
	limited               bool // every event has to ask for limited data use

	maxItems            int
	maxAge, maxStoreAge time.Duration

	// bad tells of events that break no rule and are refused all the same, with that
	// code. With naming set, the answer tells the index of the first one.
	bad    func(record) bool
	code   int
	naming bool

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

// record is one event as it was sent.
type record struct {
	raw        string
	name, id   string
	userData   map[string]any
	customData map[string]any
	fields     map[string]any
}

func newFake() *fake {
	return &fake{
		version: "v24.0", pixel: pixel, token: secret, // sheet: Settings
		maxItems: 1000, maxAge: 7 * day, maxStoreAge: 62 * day, // sheet: Limits
		code: 100, // sheet: Responses, 400
	}
}

const day = 24 * time.Hour

// next lets the next request be answered so, whatever it holds. Nothing of it is kept.
func (f *fake) next(status int, header http.Header, body string) {
	f.queue = append(f.queue, answer{status, header, body})
}

// ids are the dedupe keys of what was accepted.
func (f *fake) ids() (list []string) {
	for _, r := range f.accepted {
		list = append(list, r.id)
	}
	return list
}

// names are the events that were accepted.
func (f *fake) names() (list []string) {
	for _, r := range f.accepted {
		list = append(list, r.name)
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
		return f.refuse(2500, "the method is "+r.Method)
	case r.Host != "graph.facebook.com" || r.URL.Path != "/"+f.version+"/"+f.pixel+"/events" || r.URL.RawQuery != "":
		return f.refuse(2500, "the address is "+r.URL.String())
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return f.refuse(100, "the body is no JSON by its Content-Type")
	case r.Header.Get("Authorization") != "":
		return f.refuse(190, "the token is in a header") // sheet: Differences, D7
	}
	var request struct {
		Data     []json.RawMessage `json:"data"`
		Token    any               `json:"access_token"`
		TestCode *string           `json:"test_event_code"`
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&request); err != nil || dec.More() {
		return f.refuse(100, "the body is not what it should be")
	}
	if request.Token != f.token {
		return http.StatusBadRequest, failure(190, "Invalid OAuth access token.") // sheet: Responses, 400
	}
	if (request.TestCode != nil) != (f.testCode != "") || request.TestCode != nil && *request.TestCode != f.testCode {
		return f.refuse(100, "test_event_code is not as it was set")
	}
	return f.events(request.Data)
}

// events takes all events or none. Sheet: Limits.
func (f *fake) events(list []json.RawMessage) (status int, body string) {
	if n := len(list); n == 0 || n > f.maxItems {
		return f.refuse(100, fmt.Sprintf("there are %d events", n))
	}
	records := make([]record, len(list))
	for i, raw := range list {
		rule := ""
		if records[i], rule = f.parse(raw); rule != "" {
			return f.refuse(100, fmt.Sprintf("event %d: %s", i, rule))
		}
	}
	if f.bad != nil {
		if i := slices.IndexFunc(records, f.bad); i >= 0 && f.naming {
			return http.StatusBadRequest, failure(f.code, fmt.Sprintf("Event with index %d has an invalid parameter.", i))
		} else if i >= 0 {
			return http.StatusBadRequest, failure(f.code, "One of the events has an invalid parameter.")
		}
	}
	for _, r := range records {
		if slices.ContainsFunc(f.accepted, func(o record) bool { return r.name == o.name && r.id == o.id }) {
			f.duplicates++ // sheet: Mapping, event_id dedupes with the same event_name
			continue
		}
		f.accepted = append(f.accepted, r)
	}
	return http.StatusOK, received(len(records))
}

func (f *fake) refuse(code int, rule string) (int, string) {
	f.violations = append(f.violations, rule)
	return http.StatusBadRequest, failure(code, "Invalid parameter")
}

// received is the answer of success. Sheet: Responses, 200.
func received(n int) string {
	return fmt.Sprintf(`{"events_received":%d,"messages":[],"fbtrace_id":"A1b2"}`, n)
}

// failure is an answer of failure. Sheet: Responses, 400.
func failure(code int, text string) string {
	return fmt.Sprintf(`{"error":{"message":"(#%[1]d) refused","type":"OAuthException","code":%[1]d,"error_subcode":2804003,`+
		`"is_transient":false,"error_user_title":"Refused","error_user_msg":%[2]q,"fbtrace_id":"A1b2"}}`, code, text)
}
