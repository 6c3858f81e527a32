package braze_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// fake plays Braze: it checks what it is sent, keeps what it accepts, and answers as
// Braze does. Its limits can be changed.
type fake struct {
	endpoint, key, appID string
	updateOnly           bool // every object has to say _update_existing_only

	maxObjects, maxAliases int    // in one request
	maxBytes, maxObject    int    // of a request, of an object
	maxString              int    // characters of names and texts
	maxUser                int    // bytes of an external id
	aliasFaults            string // the name of the list in faults of aliases

	// bad tells of objects that break no rule and are refused all the same. With fatal
	// set, one of them takes the whole request with it.
	bad   func(object) bool
	fatal bool

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []object
}

type answer struct {
	status int
	header http.Header
	body   string
}

// object is an element of one of the lists of a request.
type object struct {
	kind   string // the list: attributes, events, purchases, user_aliases
	raw    string
	fields map[string]any
}

func newFake() *fake {
	return &fake{
		endpoint: endpoint, key: secret, appID: appID,
		maxObjects: 75, maxAliases: 50, maxBytes: 4_000_000, maxObject: 100_000, maxString: 255, // sheet: Limits
		maxUser:     997,                // as Braze's own libraries have it
		aliasFaults: "user_identifiers", // which is not the name of the list in the request
	}
}

// next lets the next request be answered so, whatever it holds. Nothing of it is kept.
func (f *fake) next(status int, header http.Header, body string) {
	f.queue = append(f.queue, answer{status, header, body})
}

// label is what the tests know an object by: the name of an event, the product of a
// purchase, the external id behind attributes and aliases.
func (o object) label() string {
	for _, key := range []string{"name", "product_id", "external_id"} {
		if s, ok := o.fields[key].(string); ok {
			return s
		}
	}
	return ""
}

// labels are those of what was accepted in these lists; none named: in all.
func (f *fake) labels(kinds ...string) []string {
	list := []string{}
	for _, o := range f.accepted {
		if len(kinds) == 0 || strings.Contains(strings.Join(kinds, " "), o.kind) {
			list = append(list, o.label())
		}
	}
	return list
}

// repeated counts the objects that came more than once. Braze has no dedupe key: each
// of them would be counted twice.
func (f *fake) repeated() (n int) {
	seen := map[string]bool{}
	for _, o := range f.accepted {
		if key := o.kind + o.raw; seen[key] {
			n++
		} else {
			seen[key] = true
		}
	}
	return n
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
	if len(body) > f.maxBytes {
		return f.refuse(413, "a request of %d bytes", len(body))
	}
	objects, reason := f.parse(r.URL.Path, body)
	if reason != "" {
		return f.refuse(400, "%s", reason)
	}
	return f.take(objects)
}

// refuse notes a violation and answers for the whole request.
func (f *fake) refuse(status int, format string, args ...any) answer {
	f.violation(format, args...)
	text, _ := json.Marshal(map[string]string{"message": fmt.Sprintf(format, args...)})
	return answer{status: status, body: string(text)}
}

func (f *fake) checkRequest(r *http.Request) answer {
	u, _ := url.Parse(f.endpoint)
	switch {
	case r.Host != u.Host, r.URL.Path != "/users/track" && r.URL.Path != "/users/alias/new":
		return f.refuse(404, "a request to %s%s", r.Host, r.URL.Path)
	case r.Method != http.MethodPost:
		return f.refuse(405, "a request by %s", r.Method)
	case r.Header.Get("Authorization") != "Bearer "+f.key:
		return f.refuse(401, "a request without the key")
	case r.URL.RawQuery != "":
		f.violation("a request with a query")
	case r.Header.Get("X-Braze-Batch") != "":
		f.violation("the header X-Braze-Batch") // sheet: Differences, D6
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return f.refuse(400, "a request that says it is not JSON")
	}
	return answer{}
}

// parse takes a request apart. A reason says why Braze would refuse the whole.
func (f *fake) parse(path string, body []byte) (objects []object, reason string) {
	kinds, most := []string{"attributes", "events", "purchases"}, f.maxObjects
	if path == "/users/alias/new" {
		kinds, most = []string{"user_aliases"}, f.maxAliases
	}
	if !utf8.Valid(body) {
		return nil, "a body that is not UTF-8"
	}
	if key := repeatedKey(body); key != "" {
		f.violation("the key %q stands twice in one object", key)
	}
	var lists map[string][]json.RawMessage
	if err := json.Unmarshal(body, &lists); err != nil {
		return nil, "a body that is not an object of lists"
	}
	for _, kind := range kinds {
		for _, raw := range lists[kind] {
			objects = append(objects, object{kind: kind, raw: string(raw), fields: fieldsOf(raw)})
		}
		delete(lists, kind)
	}
	switch {
	case len(lists) > 0:
		return nil, "a list that Braze does not know"
	case len(objects) == 0:
		return nil, "a request without objects"
	case len(objects) > most: // sheet: Limits, 75 objects in total; Requests, ≤ 50 aliases
		return nil, fmt.Sprintf("%d objects in one request", len(objects))
	}
	return objects, ""
}

func fieldsOf(raw []byte) (m map[string]any) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	_ = dec.Decode(&m)
	return m
}

// take keeps the good objects and names the others, by their place in their list.
func (f *fake) take(objects []object) answer {
	type fault struct {
		Type  string `json:"type"`
		List  string `json:"input_array"`
		Index int    `json:"index"`
	}
	var faults []fault
	var good []object
	counts := map[string]int{}
	for _, o := range objects {
		i := counts[o.kind]
		counts[o.kind]++
		if rule := f.rule(o); rule != "" {
			f.violation("%s %d: %s", o.kind, i, rule)
			faults = append(faults, fault{rule, f.listOf(o), i})
		} else if f.bad != nil && f.bad(o) {
			faults = append(faults, fault{"the object is invalid", f.listOf(o), i})
		} else {
			good = append(good, o)
		}
	}
	if f.fatal && len(faults) > 0 {
		return answer{status: 400, body: `{"message":"a fatal error"}`} // sheet: Responses, 400: nothing stored
	}
	f.accepted = append(f.accepted, good...)
	body := map[string]any{"message": "success"}
	for kind, n := range counts {
		body[strings.TrimPrefix(kind, "user_")+"_processed"] = n
	}
	if len(faults) > 0 {
		body["errors"] = faults
	}
	text, _ := json.Marshal(body)
	return answer{status: 201, body: string(text)}
}

func (f *fake) listOf(o object) string {
	if o.kind == "user_aliases" {
		return f.aliasFaults
	}
	return o.kind
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
