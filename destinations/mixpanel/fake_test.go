package mixpanel_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// fake plays Mixpanel: it checks what it is sent, keeps what it accepts, and answers as
// Mixpanel does. Its limits can be changed.
type fake struct {
	host, token, groupKey string
	user, secret, project string // of the import of events
	aliases               bool   // the project has the original ID merge

	maxItems, maxBytes, maxItem          int // of a request: items, bytes, bytes of an item
	maxProperties, maxElements, maxDepth int // of an event: properties, elements and keys of a value, levels

	// now is the fake's clock: its rules about time do not depend on the day of the test.
	now time.Time
	// bad tells of items that break no rule and are refused all the same; with blind set
	// the answer of the import does not say which, and keeps nothing.
	bad   func(item) bool
	blind bool

	mu         sync.Mutex
	queue      []answer
	violations []string // of rules that the adapter has to know
	refused    []string // what users can do wrong
	accepted   []item
	duplicates int // events that were there already: Mixpanel counts them once
	seen       map[string]bool
}

type answer struct {
	status int
	header http.Header
	body   string
}

// item is an element of a request's list.
type item struct {
	path   string
	raw    string
	fields map[string]any
}

func newFake() *fake {
	return &fake{
		host: "api.mixpanel.com", token: token, groupKey: "$group_id", user: token,
		maxItems: 2000, maxBytes: 2_000_000, maxItem: 1_000_000, maxProperties: 255, maxElements: 255, maxDepth: 3, // sheet: Limits
		now: time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC), seen: map[string]bool{},
	}
}

// next lets the next request be answered so, whatever it holds. Nothing of it is kept.
func (f *fake) next(status int, header http.Header, body string) {
	f.queue = append(f.queue, answer{status, header, body})
}

func (it item) text(key string) string {
	s, _ := it.fields[key].(string)
	return s
}

func (it item) properties() map[string]any {
	m, _ := it.fields["properties"].(map[string]any)
	return m
}

// label is what the tests know an item by: the name of an event, else its endpoint.
func (it item) label() string {
	if name := it.text("event"); name != "" {
		return name
	}
	return it.path
}

// dedupeKey is what Mixpanel knows an event by. Sheet: Limits, dedupe key.
func (it item) dedupeKey() string {
	if it.path != "/import" {
		return ""
	}
	p := it.properties()
	return fmt.Sprintf("%q %q %v %q", it.text("event"), p["distinct_id"], p["time"], p["$insert_id"])
}

func (f *fake) labels() []string {
	list := []string{}
	for _, it := range f.accepted {
		list = append(list, it.label())
	}
	return list
}

func (f *fake) violation(format string, args ...any) {
	f.violations = append(f.violations, fmt.Sprintf(format, args...))
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
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func (f *fake) answer(r *http.Request, body []byte) answer {
	if len(f.queue) > 0 {
		a := f.queue[0]
		f.queue = f.queue[1:]
		return a
	}
	if a := f.checkRequest(r); a.status != 0 {
		return a
	}
	if r.URL.Path == "/import" && len(body) > f.maxBytes {
		return f.refuse(413, "a request of %d bytes", len(body))
	}
	items, reason := f.parse(r.URL.Path, body)
	switch {
	case reason != "":
		return f.refuse(400, "%s", reason)
	case len(items) > f.maxItems:
		return f.refuse(413, "a request of %d items", len(items))
	case r.URL.Path == "/import":
		return f.takeEvents(items)
	}
	return f.takeAll(items)
}

// refuse notes a violation and answers for the whole request.
func (f *fake) refuse(status int, format string, args ...any) answer {
	f.violation(format, args...)
	text, _ := json.Marshal(map[string]any{"code": status, "error": fmt.Sprintf(format, args...), "status": http.StatusText(status)})
	return answer{status: status, body: string(text)}
}

// checkRequest checks what is around the body. Sheet: Requests.
func (f *fake) checkRequest(r *http.Request) answer {
	query, authorization := "verbose=1", ""
	switch r.URL.Path {
	case "/import":
		query = "strict=1"
		if f.project != "" {
			query = "project_id=" + f.project + "&strict=1"
		}
		authorization = "Basic " + base64.StdEncoding.EncodeToString([]byte(f.user+":"+f.secret))
	case "/track", "/engage", "/groups":
	default:
		return f.refuse(404, "a request to %s", r.URL.Path)
	}
	switch {
	case r.Host != f.host:
		return f.refuse(404, "a request to %s", r.Host)
	case r.Method != http.MethodPost:
		return f.refuse(405, "a request by %s", r.Method)
	case r.Header.Get("Authorization") != authorization:
		return f.refuse(401, "a request to %s with other credentials", r.URL.Path)
	case r.URL.Query().Encode() != query:
		f.violation("a request to %s?%s", r.URL.Path, r.URL.RawQuery)
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return f.refuse(400, "a request that says it is not JSON")
	}
	return answer{}
}

// parse takes a request apart. A reason says why Mixpanel would refuse the whole.
func (f *fake) parse(path string, body []byte) (items []item, reason string) {
	if !utf8.Valid(body) {
		return nil, "a body that is not UTF-8"
	}
	if key := repeatedKey(body); key != "" {
		f.violation("the key %q stands twice in one object", key)
	}
	var all []json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil || len(all) == 0 {
		return nil, "a body that is no list of items"
	}
	for _, raw := range all {
		it := item{path: path, raw: string(raw)}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		_ = dec.Decode(&it.fields)
		items = append(items, it)
	}
	return items, ""
}

// takeEvents keeps the good events and names the others. Sheet: Responses, 400 /import.
func (f *fake) takeEvents(items []item) answer {
	type failed struct {
		Index    int    `json:"index"`
		InsertID string `json:"insert_id"`
		Field    string `json:"field"`
		Message  string `json:"message"`
	}
	var no []failed
	var good []item
	for i, it := range items {
		insertID, _ := it.properties()["$insert_id"].(string)
		rule, content := f.eventRule(it), f.contentRule(it)
		switch {
		case rule != "":
			f.violation("event %d: %s", i, rule)
			no = append(no, failed{i, insertID, "properties", rule})
		case content != "":
			f.refused = append(f.refused, content)
			no = append(no, failed{i, insertID, "properties", content})
		case f.bad != nil && f.bad(it):
			no = append(no, failed{i, insertID, "properties.note", "'properties.note' is invalid: " + it.raw})
		default:
			good = append(good, it)
		}
	}
	if f.blind && len(no) > 0 {
		return answer{status: 400, body: `{"code":400,"error":"something is wrong","status":"Bad Request"}`}
	}
	f.keep(good)
	if len(no) == 0 {
		return answer{status: 200, body: fmt.Sprintf(`{"code":200,"num_records_imported":%d,"status":"OK"}`, len(good))}
	}
	text, _ := json.Marshal(map[string]any{
		"code": 400, "error": "some data points in the request failed validation", "status": "Bad Request",
		"num_records_imported": len(good), "failed_records": no,
	})
	return answer{status: 400, body: string(text)}
}

// takeAll keeps all items or none, and never says which is bad. Sheet: Responses, 200
// /engage.
func (f *fake) takeAll(items []item) answer {
	for i, it := range items {
		if rule := f.itemRule(it); rule != "" {
			f.violation("item %d for %s: %s", i, it.path, rule)
			return answer{status: 200, body: `{"status":0,"error":"some data is invalid"}`}
		}
		if f.bad != nil && f.bad(it) {
			text, _ := json.Marshal(map[string]any{"status": 0, "error": "invalid: " + it.raw})
			return answer{status: 200, body: string(text)}
		}
	}
	f.keep(items)
	return answer{status: 200, body: `{"error":null,"status":1}`}
}

func (f *fake) keep(items []item) {
	for _, it := range items {
		if key := it.dedupeKey(); key != "" {
			if f.seen[key] {
				f.duplicates++
			}
			f.seen[key] = true
		}
		f.accepted = append(f.accepted, it)
	}
}

// settle does with a batch what the client does, but for the waiting: what is to be
// split is halved, what is to be tried again is tried again. It returns the last word
// for each item, in the order in which they ended.
func settle(t testing.TB, d analytics.Destination, b *analytics.Batch) desttest.Results {
	t.Helper()
	if b.Attempt > 5 {
		t.Fatalf("%d items are tried again and again", len(b.Items))
	}
	var done desttest.Results
	var again []analytics.Item
	for i, r := range desttest.DeliverBatch(t, d, b) {
		switch {
		case r.Word == analytics.WordSplit && len(b.Items) > 1:
			half := len(b.Items) / 2
			done = append(done, settle(t, d, &analytics.Batch{Lane: b.Lane, Items: b.Items[:half], Attempt: b.Attempt})...)
			return append(done, settle(t, d, &analytics.Batch{Lane: b.Lane, Items: b.Items[half:], Attempt: b.Attempt})...)
		case r.Word == analytics.WordSplit:
			r.Word = analytics.WordPermanent
			done = append(done, r)
		case r.Word == analytics.WordAgain, r.Word == analytics.WordRetryAfter:
			again = append(again, b.Items[i])
		default:
			done = append(done, r)
		}
	}
	if len(again) > 0 {
		done = append(done, settle(t, d, &analytics.Batch{Lane: b.Lane, Items: again, Attempt: b.Attempt + 1})...)
	}
	return done
}
