package customerio_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// fake plays Customer.io: it checks what it is sent, keeps what it accepts, and answers
// as Customer.io does. Its limits can be changed.
type fake struct {
	host, site, key string
	keepDates       bool

	maxItems, maxBytes, maxItem int // of a request: items, bytes, bytes of an item
	maxName, maxID, maxValue    int // bytes: of a name, of ids and attribute names, of an attribute of a profile
	maxAttributes               int // of a profile; general knowledge

	// bad tells of items that break no rule and are refused all the same. The answer is
	// 207, or 400 with strict set; blind leaves the places out and keeps nothing.
	bad           func(item) bool
	strict, blind bool

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []item
	duplicates int // events whose id was there already: Customer.io counts them once
}

type answer struct {
	status int
	header http.Header
	body   string
}

// item is an element of a batch.
type item struct {
	raw    string
	fields map[string]any
}

func newFake() *fake {
	return &fake{
		host: "track.customer.io", site: site, key: secret,
		maxItems: 100, maxBytes: 500_000, maxItem: 32_000, maxName: 100, maxID: 150, maxValue: 1000, maxAttributes: 300, // sheet: Limits
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

// label is what the tests know an item by: the name of an event, else its action.
func (it item) label() string {
	if name := it.text("name"); name != "" {
		return name
	}
	return it.text("action")
}

// dedupeKey is the id of an event, if it has the form that Customer.io dedupes by.
// Sheet: Mapping, id.
func (it item) dedupeKey() string {
	id := it.text("id")
	isULID := len(id) == 26 && strings.Trim(id, "0123456789ABCDEFGHJKMNPQRSTVWXYZ") == ""
	if isULID || dest.IsUUID(id) {
		return id
	}
	return ""
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
	if len(body) > f.maxBytes {
		return f.refuse(413, "a request of %d bytes", len(body))
	}
	items, reason := f.parse(body)
	if reason != "" {
		return f.refuse(400, "%s", reason)
	}
	return f.take(items)
}

// refuse notes a violation and answers for the whole request.
func (f *fake) refuse(status int, format string, args ...any) answer {
	f.violation(format, args...)
	text, _ := json.Marshal(map[string]any{"meta": map[string]string{"error": fmt.Sprintf(format, args...)}})
	return answer{status: status, body: string(text)}
}

func (f *fake) checkRequest(r *http.Request) answer {
	site, key, _ := r.BasicAuth()
	switch {
	case r.Host != f.host, r.URL.Path != "/api/v2/batch": // sheet: Request, one endpoint for all calls
		return f.refuse(404, "a request to %s%s", r.Host, r.URL.Path)
	case r.Method != http.MethodPost:
		return f.refuse(405, "a request by %s", r.Method)
	case site != f.site || key != f.key:
		return f.refuse(401, "a request without site and key")
	case r.URL.RawQuery != "":
		f.violation("a request with a query")
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return f.refuse(400, "a request that says it is not JSON")
	}
	return answer{}
}

// parse takes a request apart. A reason says why Customer.io would refuse the whole.
func (f *fake) parse(body []byte) (items []item, reason string) {
	if !utf8.Valid(body) {
		return nil, "a body that is not UTF-8"
	}
	if key := repeatedKey(body); key != "" {
		f.violation("the key %q stands twice in one object", key)
	}
	var all map[string][]json.RawMessage
	if err := json.Unmarshal(body, &all); err != nil || len(all) != 1 || len(all["batch"]) == 0 {
		return nil, "a body that is not an object with a batch"
	}
	if n := len(all["batch"]); n > f.maxItems {
		f.violation("a batch of %d", n)
	}
	for _, raw := range all["batch"] {
		it := item{raw: string(raw)}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		_ = dec.Decode(&it.fields)
		items = append(items, it)
	}
	return items, ""
}

// take keeps the good items and names the others.
func (f *fake) take(items []item) answer {
	type fault struct {
		Index   int    `json:"batch_index"`
		Reason  string `json:"reason"`
		Field   string `json:"field"`
		Message string `json:"message"`
	}
	var faults []fault
	var good []item
	for i, it := range items {
		rule := f.rule(it)
		switch {
		case rule != "":
			f.violation("item %d: %s", i, rule)
			faults = append(faults, fault{i, "invalid", "batch", rule})
		case f.bad != nil && f.bad(it):
			faults = append(faults, fault{i, "required", "identifiers", "must be there: " + it.raw})
		default:
			good = append(good, it)
		}
	}
	if f.blind && len(faults) > 0 {
		return answer{status: 400, body: `{"meta":{"error":"something is wrong"}}`}
	}
	f.keep(good)
	if len(faults) == 0 {
		return answer{status: 200, body: `{}`}
	}
	text, _ := json.Marshal(map[string]any{"errors": faults})
	if f.strict {
		return answer{status: 400, body: string(text)}
	}
	return answer{status: 207, body: string(text)}
}

func (f *fake) keep(items []item) {
	for _, it := range items {
		for _, old := range f.accepted {
			if key := it.dedupeKey(); key != "" && key == old.dedupeKey() {
				f.duplicates++
				break
			}
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
