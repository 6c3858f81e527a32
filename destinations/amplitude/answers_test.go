package amplitude_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/amplitude"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

const (
	apiKey  = "amp-key-4711"
	content = "content-of-an-event" // must never be in an error
)

func settings() *amplitude.Destination { return &amplitude.Destination{APIKey: apiKey} }

func withEverything() *amplitude.Destination {
	return &amplitude.Destination{
		APIKey: apiKey, Region: "eu", GroupType: "team", MinIDLength: 1,
		UseBatchEndpoint: true, MapUsers: true, TrackRevenuePerProduct: true, Gzip: true,
	}
}

// start opens d with a fake Amplitude.
func start(t testing.TB, d *amplitude.Destination) (*fake, *desttest.Tool) {
	t.Helper()
	f := newFake()
	if d.Region == "eu" { // sheet: Requests, hosts
		f.host, f.mapHost = "api.eu.amplitude.com", "api.eu.amplitude.com"
	}
	if d.UseBatchEndpoint { // sheet: Limits, 20 MB on /batch
		f.path, f.maxBytes = "/batch", 20_000_000
	}
	f.key, f.minID = d.APIKey, d.MinIDLength
	f.groupType = cmp.Or(d.GroupType, f.groupType)
	if d.NoGroups {
		f.groupType = ""
	}
	tool := desttest.Serve(f)
	desttest.Open(t, d, tool)
	return f, tool
}

func messageID(n int) string { return fmt.Sprintf("0d3f1a52-7f5e-4b0e-9a44-%012d", n) }

// message is message n: rest is its JSON behind the ids and the time.
func message(t testing.TB, n int, rest string) *analytics.Event {
	t.Helper()
	return desttest.Event(t, fmt.Sprintf(`{"messageId":%q,"timestamp":"2026-05-02T18:04:05.250Z",%s}`, messageID(n), rest))
}

func track(t testing.TB, n int, user, name string) *analytics.Event {
	t.Helper()
	return message(t, n, fmt.Sprintf(`"type":"track","userId":%q,"event":%q,"properties":{"note":%q}`, user, name, content))
}

func identify(t testing.TB, n int, user string) *analytics.Event {
	t.Helper()
	return message(t, n, fmt.Sprintf(`"type":"identify","userId":%q,"traits":{"plan":%q}`, user, content))
}

func alias(t testing.TB, n int, user string) *analytics.Event {
	t.Helper()
	return message(t, n, fmt.Sprintf(`"type":"alias","userId":%q,"previousId":"before-%s"`, user, user))
}

// four are messages of four users, each of which becomes one event.
func four(t testing.TB) []*analytics.Event {
	return []*analytics.Event{
		identify(t, 1, "user-1"), track(t, 2, "user-2", "E2"),
		message(t, 3, `"type":"page","anonymousId":"device-3","name":"P3"`), track(t, 4, "user-4", "E4"),
	}
}

// fourLabels are the types of the events of four.
func fourLabels() []string { return []string{"$identify", "E2", "Viewed P3", "E4"} }

// mixed are messages of all kinds, but for alias. The group has two events, the order
// three.
func mixed(t testing.TB) []*analytics.Event {
	return append(four(t),
		message(t, 5, `"type":"group","userId":"user-1","groupId":"org-9","traits":{"name":"Lee Inc"}`),
		message(t, 6, `"type":"screen","userId":"user-6"`),
		message(t, 7, `"type":"track","userId":"user-2","event":"Order Completed","properties":{"revenue":25,"products":[
			{"product_id":"p1","price":20,"quantity":1},{"product_id":"p2","price":2.5,"quantity":2}]}`),
	)
}

// mixedLabels are the types of the events of mixed. Sheet: the table of calls.
func mixedLabels() []string {
	return append(fourLabels(), "$identify", "$groupidentify", "Viewed Screen", "Order Completed", "Product Purchased", "Product Purchased")
}

// batch is the one batch that the events make.
func batch(t testing.TB, d analytics.Destination, events ...*analytics.Event) *analytics.Batch {
	t.Helper()
	batches := desttest.Batches(t, d, desttest.Translate(t, d, events...))
	require.Len(t, batches, 1)
	return batches[0]
}

// is tells of events by their types.
func is(types ...string) func(event) bool {
	return func(e event) bool { return slices.Contains(types, e.text("event_type")) }
}

// requireAtOnce fails unless the item is to be sent again as soon as can be, which is
// no failure of its own.
func requireAtOnce(t testing.TB, r desttest.Result) {
	t.Helper()
	require.Equal(t, analytics.WordRetryAfter, r.Word)
	require.Positive(t, r.After) // zero would leave the pause to the backoff
	require.LessOrEqual(t, r.After, time.Second)
}

func TestFixtures(t *testing.T) {
	desttest.Fixtures(t, "testdata/examples.json", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &amplitude.Destination{APIKey: "amp_api_key"}
		f, tool := start(t, d)
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	})
}

func TestDescription(t *testing.T) {
	is := settings().Describe()
	require.Equal(t, "Amplitude", is.Name)
	require.Equal(t, []string{"Actions Amplitude"}, is.Aliases)
	require.Equal(t, analytics.PerKey, is.Order) // sheet: Limits, order matters per device or user
	require.Len(t, is.Lanes, 1)                  // sheet: Requests, one ordered batch carries all calls
	require.Equal(t, 200, is.Lanes[""].MaxItems) // sheet: Limits, start at 200
	require.LessOrEqual(t, is.Lanes[""].MaxBytes, 1_000_000)
	is = withEverything().Describe()
	require.True(t, is.Calls == 0 || is.Calls.Has(analytics.CallAlias))
	require.True(t, is.Lanes[""].MaxItems > 0 && is.Lanes[""].MaxItems <= 2000, "%d items", is.Lanes[""].MaxItems) // sheet: Limits
	require.LessOrEqual(t, is.Lanes[""].MaxBytes, 20_000_000)                                                      // sheet: Limits, /batch
}

func TestAnswersOfStatuses(t *testing.T) {
	for _, c := range []struct {
		fact   string
		status int
		header http.Header
		body   string
		word   analytics.Word
		after  time.Duration
	}{
		{"200 is delivered", 200, nil, `{"code":200,"events_ingested":4}`, analytics.WordDelivered, 0}, // sheet: Responses, 200
		// sheet: Responses, 400: the whole request is wrong
		{"400 for another key is the key", 400, nil, `{"code":400,"error":"Invalid API key: x"}`, analytics.WordUnauthorized, 0},
		{"400 with a missing field of the request is the settings", 400, nil, `{"code":400,"error":"Request missing required field","missing_field":"api_key"}`, analytics.WordUnauthorized, 0},
		// the contract's table: nothing names the bad ones
		{"400 without lists splits", 400, nil, `{"code":400,"error":"Invalid JSON"}`, analytics.WordSplit, 0},
		{"400 with empty lists splits", 400, nil, `{"code":400,"error":"x","missing_field":null,"events_with_invalid_fields":{},"silenced_events":[]}`, analytics.WordSplit, 0},
		{"400 that is no JSON splits", 400, nil, `<html>`, analytics.WordSplit, 0},
		{"400 that names nobody of the batch splits", 400, nil, `{"code":400,"events_with_invalid_fields":{"time":[4,99,-1]}}`, analytics.WordSplit, 0},
		{"413 splits", 413, nil, `{"code":413,"error":"Payload too large"}`, analytics.WordSplit, 0}, // sheet: Responses, 413
		// sheet: Responses, 408 and 5xx
		{"408 is tried again", 408, nil, ``, analytics.WordAgain, 0},
		{"500 is tried again", 500, nil, ``, analytics.WordAgain, 0},
		{"502 is tried again", 502, nil, `<html>`, analytics.WordAgain, 0},
		{"503 is tried again after its Retry-After", 503, http.Header{"Retry-After": {"5"}}, ``, analytics.WordAgain, 5 * time.Second},
		{"504 is tried again", 504, nil, ``, analytics.WordAgain, 0},
		{"429 waits for its Retry-After", 429, http.Header{"Retry-After": {"7"}}, `{"code":429}`, analytics.WordRetryAfter, 7 * time.Second},
		// the contract's table
		{"401 is the key", 401, nil, ``, analytics.WordUnauthorized, 0},
		{"403 is the key", 403, nil, ``, analytics.WordUnauthorized, 0},
		{"302 is not followed", 302, http.Header{"Location": {"https://elsewhere.example/"}}, ``, analytics.WordPermanent, 0},
		{"404 is never", 404, nil, ``, analytics.WordPermanent, 0}, // sheet: Responses, other 4xx
		{"405 is never", 405, nil, ``, analytics.WordPermanent, 0},
		{"410 is never", 410, nil, ``, analytics.WordPermanent, 0},
		{"422 splits", 422, nil, ``, analytics.WordSplit, 0},
		{"501 is never", 501, nil, ``, analytics.WordPermanent, 0},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := settings()
			f, tool := start(t, d)
			f.next(c.status, c.header, c.body)
			results := desttest.DeliverBatch(t, d, batch(t, d, four(t)...))
			require.True(t, results.All(c.word), "%v", results.Words())
			for _, r := range results {
				require.Equal(t, c.after, r.After)
			}
			require.Len(t, tool.Requests(), 1)
		})
	}
	t.Run("429 without lists pauses all", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		f.next(429, nil, `{"code":429,"error":"Too many requests"}`)
		require.True(t, desttest.DeliverBatch(t, d, batch(t, d, four(t)...)).All(analytics.WordRetryAfter))
	})
}

// Sheet: Responses, 400: those that are named are rejected, the others sent again at
// once, since none was stored.
func TestAnswersThatNameEvents(t *testing.T) {
	for _, c := range []struct {
		fact, body string
		rejected   []int
	}{
		{"invalid fields reject", `{"missing_field":null,"events_with_invalid_fields":{"time":[1]}}`, []int{1}},
		{"missing fields reject", `{"events_with_missing_fields":{"event_type":[0,3]}}`, []int{0, 3}},
		{"ids of the wrong length reject", `{"events_with_invalid_id_lengths":{"user_id":[0],"device_id":[2]}}`, []int{0, 2}},
		{"silenced events are rejected", `{"silenced_events":[3]}`, []int{3}},
		{"all lists count", `{"missing_field":"","events_with_invalid_fields":{"time":[0]},"events_with_missing_fields":{"event_type":[0]},"silenced_events":[2]}`, []int{0, 2}},
		{"all can be rejected", `{"events_with_invalid_fields":{"time":[0,1],"ip":[1,2,3]}}`, []int{0, 1, 2, 3}},
		{"an index outside is nobody's", `{"events_with_invalid_fields":{"time":[1,4,-1,99]}}`, []int{1}},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := settings()
			f, tool := start(t, d)
			f.next(400, nil, c.body)
			b := batch(t, d, four(t)...)
			results := desttest.DeliverBatch(t, d, b)
			for i, r := range results {
				if slices.Contains(c.rejected, i) {
					require.Equal(t, analytics.WordPermanent, r.Word)
				} else {
					requireAtOnce(t, r)
				}
			}
			require.Len(t, tool.Requests(), 1)
		})
	}
	for fact, spoil := range map[string]func(*fake){
		"400 rejects the bad ones and stores the others once":      func(f *fake) { f.bad = is("E2") },
		"400 rejects the silenced ones and stores the others once": func(f *fake) { f.silenced = is("E2") },
		"429 for the day rejects and stores the others once":       func(f *fake) { f.quota = map[string]bool{"user-2": true} },
	} {
		t.Run(fact, func(t *testing.T) {
			d := settings()
			f, tool := start(t, d)
			spoil(f)
			for _, r := range settle(t, d, batch(t, d, four(t)...)) {
				require.Equal(t, r.ID == messageID(2), r.Word == analytics.WordPermanent)
			}
			require.Equal(t, []string{"$identify", "Viewed P3", "E4"}, f.labels())
			require.Zero(t, f.duplicates)
			require.Len(t, tool.Requests(), 2)
			require.Empty(t, f.violations)
		})
	}
	t.Run("413 halves until one is left, which is rejected", func(t *testing.T) { // sheet: Responses, 413
		d := settings()
		f, _ := start(t, d)
		for range 3 { // four, the first two, the first
			f.next(413, nil, ``)
		}
		for _, r := range settle(t, d, batch(t, d, four(t)...)) {
			require.Equal(t, r.ID == messageID(1), r.Word == analytics.WordPermanent)
		}
		require.Equal(t, []string{"E2", "Viewed P3", "E4"}, f.labels())
		require.Zero(t, f.duplicates)
	})
}

// Sheet: Responses, 429.
func TestThrottling(t *testing.T) {
	const pause = 30 * time.Second
	for fact, c := range map[string]struct {
		body string
		want []any // word or pause; zero: at once
	}{
		"those of the list wait":          {`{"throttled_events":[1,3],"throttled_users":{"user-2":31,"user-4":40}}`, []any{0, pause, 0, pause}},
		"the list is enough":              {`{"throttled_events":[2]}`, []any{0, 0, pause, 0}},
		"the ids are enough":              {`{"throttled_users":{"user-2":31},"throttled_devices":{"device-3":33}}`, []any{0, pause, pause, 0}},
		"users over the day are rejected": {`{"throttled_events":[0,1],"throttled_users":{"user-1":31},"exceeded_daily_quota_users":{"user-2":500001}}`, []any{pause, analytics.WordPermanent, 0, 0}},
		"devices alike":                   {`{"throttled_events":[2],"exceeded_daily_quota_devices":{"device-3":500001}}`, []any{0, 0, analytics.WordPermanent, 0}},
		"a quota needs no list":           {`{"exceeded_daily_quota_users":{"user-4":500001}}`, []any{0, 0, 0, analytics.WordPermanent}},
		"a user is no device":             {`{"throttled_events":[1],"exceeded_daily_quota_devices":{"user-2":500001}}`, []any{0, pause, 0, 0}},
		"an index outside is nobody's":    {`{"throttled_events":[0,4,-1]}`, []any{pause, 0, 0, 0}},
	} {
		t.Run(fact, func(t *testing.T) {
			d := settings()
			f, _ := start(t, d)
			f.next(429, nil, c.body)
			results := desttest.DeliverBatch(t, d, batch(t, d, four(t)...))
			for i, want := range c.want {
				switch want {
				case pause:
					require.Equal(t, analytics.WordRetryAfter, results[i].Word, "item %d", i)
					require.Equal(t, pause, results[i].After, "item %d", i)
				case analytics.WordPermanent:
					require.Equal(t, want, results[i].Word, "item %d", i)
				default:
					requireAtOnce(t, results[i])
				}
			}
		})
	}
	t.Run("others do not wait for the one that is throttled", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		f.throttled = map[string]bool{"user-2": true}
		b := batch(t, d, four(t)...)
		var others, waiting []analytics.Item
		for i, r := range desttest.DeliverBatch(t, d, b) {
			if r.After >= pause {
				waiting = append(waiting, b.Items[i])
			} else {
				others = append(others, b.Items[i])
			}
		}
		require.True(t, desttest.DeliverBatch(t, d, &analytics.Batch{Items: others}).All(analytics.WordDelivered))
		f.throttled = nil
		require.True(t, desttest.DeliverBatch(t, d, &analytics.Batch{Items: waiting}).All(analytics.WordDelivered))
		require.Equal(t, []string{"$identify", "Viewed P3", "E4", "E2"}, f.labels())
		require.Zero(t, f.duplicates)
	})
}

func TestOrderHoldsOverRetries(t *testing.T) {
	d := settings()
	f, tool := start(t, d)
	f.next(503, nil, ``)
	f.next(429, http.Header{"Retry-After": {"1"}}, ``)
	f.next(413, nil, ``)
	f.next(400, nil, `{"events_with_invalid_fields":{"time":[1]}}`) // of the first half
	events := []*analytics.Event{identify(t, 1, "user-1"), track(t, 2, "user-1", "E2"), track(t, 3, "user-1", "E3"), track(t, 4, "user-1", "E4")}
	for _, it := range desttest.Translate(t, d, events...) {
		require.Equal(t, "user-1", it.Key) // sheet: Limits, one request in flight per key
	}
	for _, r := range settle(t, d, batch(t, d, events...)) {
		require.Equal(t, r.ID == messageID(2), r.Word == analytics.WordPermanent)
	}
	require.Equal(t, []string{"$identify", "E3", "E4"}, f.labels())
	require.JSONEq(t, string(tool.Requests()[0].Body), string(tool.Requests()[1].Body))
}

func TestBatches(t *testing.T) {
	t.Run("the items of a batch are those of single requests in order", func(t *testing.T) {
		together, apart := settings(), settings()
		all, tool := start(t, together)
		one, _ := start(t, apart)
		require.True(t, desttest.Deliver(t, together, mixed(t)...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 1) // sheet: Requests, one ordered batch carries all calls
		for _, e := range mixed(t) {
			require.True(t, desttest.Deliver(t, apart, e).All(analytics.WordDelivered))
		}
		require.Equal(t, one.accepted, all.accepted)
		require.Equal(t, mixedLabels(), all.labels())
		require.Empty(t, all.violations)
		require.Zero(t, all.duplicates)
	})
	t.Run("one more than the most makes two requests", func(t *testing.T) {
		d := settings()
		f, tool := start(t, d)
		var events []*analytics.Event
		for n := range d.Describe().Lanes[""].MaxItems + 1 {
			events = append(events, track(t, n, fmt.Sprintf("user-%d", n), "E"))
		}
		require.True(t, desttest.Deliver(t, d, events...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 2)
		require.Len(t, f.accepted, len(events))
		require.Empty(t, f.violations)
	})
	t.Run("the same events twice have the same insert_ids", func(t *testing.T) { // sheet: Mapping, insert_id
		d := settings()
		f, _ := start(t, d)
		items := desttest.Translate(t, d, mixed(t)...)
		require.Equal(t, items, desttest.Translate(t, d, mixed(t)...))
		for range 2 {
			desttest.Deliver(t, d, mixed(t)...)
		}
		require.Equal(t, len(items), f.duplicates)
		want := []string{}
		for n, more := range []int{1, 1, 1, 1, 2, 1, 3} { // the events of each message of mixed
			for i := range more {
				want = append(want, nth(messageID(n+1), i+1))
			}
		}
		for i, e := range f.accepted[:len(items)] {
			require.Equal(t, want[i], e.text("insert_id"))
			require.Equal(t, want[i], items[i].ID)
		}
	})
}

func TestABodyIsNeverLargerThanAllowed(t *testing.T) {
	for name, d := range map[string]*amplitude.Destination{"few settings": settings(), "batch": {APIKey: apiKey, UseBatchEndpoint: true, MinIDLength: 3}} {
		t.Run(name, func(t *testing.T) {
			f, tool := start(t, d)
			l := d.Describe().Lanes[""]
			fill := func(spare int) (events []*analytics.Event) {
				left := l.MaxBytes - l.Overhead - spare
				parts := 5
				if l.MaxItemBytes > 0 {
					parts = max(parts, left/l.MaxItemBytes+1)
				}
				for n := range parts {
					size := left/(parts-n) - l.ItemOverhead
					events = append(events, padded(t, d, n, size))
					left -= size + l.ItemOverhead
				}
				return events
			}
			require.True(t, desttest.Deliver(t, d, fill(0)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 1)
			n := len(tool.Requests()[0].Body)
			require.LessOrEqual(t, n, l.MaxBytes)
			require.Greater(t, n, l.MaxBytes-10) // what is counted is what is sent, but for a comma
			require.True(t, desttest.Deliver(t, d, fill(-1)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 3)
			require.Empty(t, f.violations)
		})
	}
}

// padded is a track event whose item has exactly so many bytes.
func padded(t testing.TB, d analytics.Destination, n, size int) *analytics.Event {
	t.Helper()
	build := func(pad int) *analytics.Event {
		return message(t, n, fmt.Sprintf(`"type":"track","userId":"user-%d","event":"Padded","properties":{"pad":%q}`, n, strings.Repeat("x", pad)))
	}
	e := build(size - desttest.Translate(t, d, build(0))[0].Size)
	require.Equal(t, size, desttest.Translate(t, d, e)[0].Size)
	return e
}
