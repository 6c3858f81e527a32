package amplitude_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// fake plays Amplitude: it checks what it is sent, keeps what it accepts, and answers as
// Amplitude does: a request with one bad event is refused as a whole. Its limits can be
// changed.
type fake struct {
	host, path, mapHost, key string
	groupType                string // empty: events have no groups
	minID                    int    // as options.min_id_length has to say; zero: the option has to be left out

	maxItems, maxBytes         int // of a request; the bytes are general knowledge
	maxDepth, maxGroups, minOf int // of a value, of an event's groups, of an id where no option says it

	// bad and silenced tell of events that break no rule and are refused all the same.
	bad, silenced func(event) bool
	// throttled and quota are the users and devices that send too much, by the second and
	// by the day.
	throttled, quota map[string]bool

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []event
	duplicates int // events whose insert_id was there already
	mapped     []mapping
}

type answer struct {
	status int
	header http.Header
	body   string
}

// event is an element of a request's list.
type event struct {
	raw    string
	fields map[string]any
}

// mapping makes one user of two ids.
type mapping struct {
	UserID       string `json:"user_id"`
	GlobalUserID string `json:"global_user_id"`
}

func newFake() *fake {
	return &fake{
		host: "api2.amplitude.com", path: "/2/httpapi", mapHost: "api.amplitude.com", key: apiKey, groupType: "company",
		maxItems: 2000, maxBytes: 1_000_000, maxDepth: 40, maxGroups: 5, minOf: 5, // sheet: Limits, and Settings, MinIDLength
	}
}

// next lets the next request be answered so, whatever it holds. Nothing of it is kept.
func (f *fake) next(status int, header http.Header, body string) {
	f.queue = append(f.queue, answer{status, header, body})
}

func (e event) text(key string) string {
	s, _ := e.fields[key].(string)
	return s
}

// labels are the types of the accepted events.
func (f *fake) labels() []string {
	list := []string{}
	for _, e := range f.accepted {
		list = append(list, e.text("event_type"))
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
	if r.URL.RawQuery != "" || r.Header.Get("Authorization") != "" {
		f.violation("the key belongs into the body") // sheet: Settings, APIKey
	}
	kind, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	switch {
	case r.Method != http.MethodPost:
		return f.refuse(405, "a request by %s", r.Method)
	case r.Host == f.mapHost && r.URL.Path == "/usermap" && kind == "application/x-www-form-urlencoded":
		return f.usermap(body)
	case r.Host != f.host || r.URL.Path != f.path:
		return f.refuse(404, "a request to %s%s as %q", r.Host, r.URL.Path, kind)
	case kind != "application/json":
		return f.refuse(400, "a request that says it is not JSON")
	case len(body) > f.maxBytes:
		return f.refuse(413, "a request of %d bytes", len(body))
	}
	return f.events(body)
}

// refuse notes a violation and answers for the whole request.
func (f *fake) refuse(status int, format string, args ...any) answer {
	f.violation(format, args...)
	text, _ := json.Marshal(map[string]any{"code": status, "error": fmt.Sprintf(format, args...)})
	return answer{status: status, body: string(text)}
}

// usermap takes mappings. Sheet: Requests, alias.
func (f *fake) usermap(body []byte) answer {
	form, err := url.ParseQuery(string(body))
	if err != nil || len(form) != 2 || form.Get("api_key") != f.key {
		return f.refuse(400, "a mapping that is no form with api_key and mapping")
	}
	var list []mapping
	dec := json.NewDecoder(strings.NewReader(form.Get("mapping")))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil || len(list) == 0 {
		return f.refuse(400, "a mapping that is no list of pairs")
	}
	for _, m := range list {
		if m.UserID == "" || m.GlobalUserID == "" {
			return f.refuse(400, "a mapping without an id")
		}
	}
	f.mapped = append(f.mapped, list...)
	return answer{status: 200, body: "success"}
}

// events takes a request with events apart.
func (f *fake) events(body []byte) answer {
	if !utf8.Valid(body) {
		return f.refuse(400, "a body that is not UTF-8")
	}
	if key := repeatedKey(body); key != "" {
		f.violation("the key %q stands twice in one object", key)
	}
	var request struct {
		Key     string            `json:"api_key"`
		Events  []json.RawMessage `json:"events"`
		Options *struct {
			MinIDLength int `json:"min_id_length"`
		} `json:"options"`
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&request); err != nil || dec.More() {
		return f.refuse(400, "a body that is not an object with api_key, events and options")
	}
	switch {
	case request.Key != f.key:
		f.violation("a request with another key")
		return answer{status: 400, body: fmt.Sprintf(`{"code":400,"error":"Invalid API key: %s"}`, request.Key)}
	case len(request.Events) == 0:
		f.violation("a request without events")
		return answer{status: 400, body: `{"code":400,"error":"Request missing required field","missing_field":"events"}`}
	case len(request.Events) > f.maxItems:
		return f.refuse(413, "a request of %d events", len(request.Events))
	case request.Options != nil && (f.minID == 0 || request.Options.MinIDLength != f.minID), request.Options == nil && f.minID > 0:
		f.violation("options are %+v", request.Options) // sheet: Settings, MinIDLength
	}
	var list []event
	for _, raw := range request.Events {
		e := event{raw: string(raw)}
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		_ = dec.Decode(&e.fields)
		list = append(list, e)
	}
	return f.take(list)
}

// take keeps all events, or refuses all and names the bad ones.
func (f *fake) take(list []event) answer {
	no := refusal{Code: 400, Error: "Invalid events", Invalid: map[string][]int{}, Missing: map[string][]int{}, Lengths: map[string][]int{}, Silenced: []int{}}
	for i, e := range list {
		field, rule := f.rule(e)
		switch {
		case rule == "is missing":
			no.Missing[field] = append(no.Missing[field], i)
		case rule == "is too short": // which is up to the user, so no violation
			no.Lengths[field] = append(no.Lengths[field], i)
			continue
		case rule != "":
			no.Invalid[field] = append(no.Invalid[field], i)
		case f.bad != nil && f.bad(e):
			no.Invalid["event_properties"] = append(no.Invalid["event_properties"], i)
		case f.silenced != nil && f.silenced(e):
			no.Silenced = append(no.Silenced, i)
		}
		if rule != "" {
			f.violation("event %d: %s %s", i, field, rule)
		}
	}
	if len(no.Invalid)+len(no.Missing)+len(no.Lengths)+len(no.Silenced) > 0 {
		text, _ := json.Marshal(no)
		return answer{status: 400, body: string(text)}
	}
	if a := f.throttle(list); a.status != 0 {
		return a
	}
	for _, e := range list {
		if slices.ContainsFunc(f.accepted, func(old event) bool { return old.text("insert_id") == e.text("insert_id") }) {
			f.duplicates++
		}
		f.accepted = append(f.accepted, e)
	}
	return answer{status: 200, body: fmt.Sprintf(`{"code":200,"events_ingested":%d,"payload_size_bytes":1,"server_upload_time":1777745045250}`, len(list))}
}

// refusal is the body of a 400. Sheet: Responses, 400.
type refusal struct {
	Code         int              `json:"code"`
	Error        string           `json:"error"`
	MissingField *string          `json:"missing_field"`
	Invalid      map[string][]int `json:"events_with_invalid_fields"`
	Missing      map[string][]int `json:"events_with_missing_fields"`
	Lengths      map[string][]int `json:"events_with_invalid_id_lengths"`
	Silenced     []int            `json:"silenced_events"`
}

// throttle answers 429 if one of the events is of somebody who sends too much. Sheet:
// Responses, 429.
func (f *fake) throttle(list []event) answer {
	no := struct {
		Code      int            `json:"code"`
		Error     string         `json:"error"`
		Threshold int            `json:"eps_threshold"`
		Events    []int          `json:"throttled_events"`
		Users     map[string]int `json:"throttled_users"`
		Devices   map[string]int `json:"throttled_devices"`
		DayUsers  map[string]int `json:"exceeded_daily_quota_users"`
		DayDevice map[string]int `json:"exceeded_daily_quota_devices"`
	}{Code: 429, Error: "Too many requests for some devices and users", Threshold: 30}
	no.Users, no.Devices, no.DayUsers, no.DayDevice = map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for i, e := range list {
		user, device := e.text("user_id"), e.text("device_id")
		for _, hit := range []struct {
			is   bool
			of   map[string]int
			id   string
			rate int
		}{
			{f.throttled[user], no.Users, user, 32}, {f.throttled[device], no.Devices, device, 31},
			{f.quota[user], no.DayUsers, user, 500_200}, {f.quota[device], no.DayDevice, device, 500_100},
		} {
			if hit.is {
				hit.of[hit.id] = hit.rate
				if !slices.Contains(no.Events, i) {
					no.Events = append(no.Events, i)
				}
			}
		}
	}
	if len(no.Events) == 0 {
		return answer{}
	}
	text, _ := json.Marshal(no)
	return answer{status: 429, body: string(text)}
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
