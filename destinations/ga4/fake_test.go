package ga4_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// fake plays Google: it answers 204 to everything, whatever it is, and notes what it
// would lose in silence.
type fake struct {
	host, secret       string
	measurementID, app string
	debug              bool // requests belong to the endpoint that checks events
	allowOld           bool
	consent            map[string]any

	maxEvents, maxBytes, maxParams, maxUserProperties int
	maxName, maxValue                                 int // characters
	maxAge                                            time.Duration
	faults                                            string // what the endpoint that checks events finds

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []record
	duplicates int // of purchases
}

type answer struct {
	status int
	header http.Header
	body   string
}

// record is one event as it was sent, and what stands around it.
type record struct {
	raw      string
	envelope string // the body without its events
	name     string
	micros   int64
	params   map[string]any
}

func newFake() *fake {
	return &fake{
		host: "www.google-analytics.com", secret: secret, measurementID: measurementID, // sheet: Settings
		maxEvents: 25, maxBytes: 130_000, maxParams: 25, maxUserProperties: 25, // sheet: Limits
		maxName: 40, maxValue: 100, maxAge: 72 * time.Hour,
		faults: `[]`,
	}
}

// next lets the next request be answered so, whatever it holds. Nothing of it is kept.
func (f *fake) next(status int, header http.Header, body string) {
	f.queue = append(f.queue, answer{status, header, body})
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
	a := answer{status: http.StatusNoContent} // sheet: Responses
	switch {
	case len(f.queue) > 0:
		a, f.queue = f.queue[0], f.queue[1:]
	case r.URL.Path == "/debug/mp/collect":
		a = answer{http.StatusOK, nil, fmt.Sprintf(`{"validationMessages":%s}`, f.faults)}
		_ = f.check(r, raw, nil) // stores nothing
	default:
		f.accepted = f.check(r, raw, f.accepted)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func (f *fake) note(format string, args ...any) {
	f.violations = append(f.violations, fmt.Sprintf(format, args...))
}

// check notes what is wrong with a request and returns what is stored after it.
func (f *fake) check(r *http.Request, raw []byte, stored []record) []record {
	before := len(f.violations)
	f.request(r)
	if len(raw) >= f.maxBytes { // sheet: Limits, body < 130 kB
		f.note("the body has %d bytes", len(raw))
	}
	if key := repeated(raw); key != "" {
		f.note("there are two of %s", key)
	}
	body := decode(raw)
	f.around(r.URL.Query(), body)
	records := f.events(raw, body)
	if len(f.violations) > before || r.URL.Query().Get("api_secret") != f.secret {
		return stored
	}
	for _, one := range records {
		if id := one.params["transaction_id"]; one.name == "purchase" && slices.ContainsFunc(stored, func(o record) bool {
			return o.name == one.name && o.params["transaction_id"] == id
		}) {
			f.duplicates++ // sheet: Limits, transaction_id is the dedupe key of purchases
			continue
		}
		stored = append(stored, one)
	}
	return stored
}

// request checks method, address and header. Sheet: Request.
func (f *fake) request(r *http.Request) {
	path := "/mp/collect"
	if f.debug {
		path = "/debug/mp/collect"
	}
	q := r.URL.Query()
	var keys []string
	for key := range q {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	switch {
	case r.Method != http.MethodPost:
		f.note("the method is %s", r.Method)
	case r.URL.Scheme != "https" || r.Host != f.host || r.URL.Path != path:
		f.note("the address is %s", r.URL)
	case !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		f.note("the body is no JSON by its Content-Type")
	case slices.Equal(keys, []string{"api_secret", "measurement_id"}):
		if q.Get("measurement_id") != f.measurementID {
			f.note("measurement_id is another one")
		}
	case slices.Equal(keys, []string{"api_secret", "firebase_app_id"}):
		if !strings.Contains(r.URL.RawQuery+"&", "firebase_app_id="+f.app+"&") { // sheet: Settings, colons stay unescaped
			f.note("firebase_app_id is another one, or escaped")
		}
	default:
		f.note("the query has %v", keys)
	}
}

// around checks what all events of a request share. Sheet: Ids, times, session; Limits.
func (f *fake) around(q url.Values, body map[string]any) {
	id, other := "client_id", "app_instance_id"
	if q.Has("firebase_app_id") {
		id, other = other, id
	}
	for key, v := range body {
		switch key {
		case id, "user_id":
			if !isText(v) {
				f.note("%s is empty or no string", key)
			}
		case other:
			f.note("%s does not go with the stream", key)
		case "user_properties":
			f.userProperties(v)
		case "consent", "events":
		default:
			f.note("unknown field %s", key)
		}
	}
	if !isText(body[id]) {
		f.note("%s is missing", id)
	}
	got, _ := body["consent"].(map[string]any)
	if fmt.Sprint(got) != fmt.Sprint(f.consent) {
		f.note("consent is not as it was set")
	}
}

// events checks the events and returns them.
func (f *fake) events(raw []byte, body map[string]any) (list []record) {
	var events struct {
		Events []json.RawMessage `json:"events"`
	}
	if json.Unmarshal(raw, &events) != nil || len(events.Events) == 0 || len(events.Events) > f.maxEvents {
		f.note("there are %d events", len(events.Events))
	}
	envelope := map[string]any{}
	for key, v := range body {
		if key != "events" {
			envelope[key] = v
		}
	}
	around, _ := json.Marshal(envelope)
	for i, one := range events.Events {
		r := record{raw: string(one), envelope: string(around)}
		if rule := f.parse(&r); rule != "" {
			f.note("event %d: %s", i, rule)
		}
		list = append(list, r)
	}
	return list
}
