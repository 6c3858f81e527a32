package braze_test

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
	"github.com/tributary-dev/analytics/destinations/braze"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

const (
	endpoint = "https://rest.iad-01.braze.com"
	secret   = "braze-secret-4711"
	appID    = "braze-app"
	content  = "content-of-an-event" // must never be in an error
)

func settings() *braze.Destination {
	return &braze.Destination{APIKey: secret, Endpoint: endpoint, AppID: appID}
}

func withEverything() *braze.Destination {
	return &braze.Destination{
		APIKey: secret, Endpoint: endpoint, AppID: appID, EcommerceEvents: true,
		AnonymousAliasLabel: "anonymous", AliasLabel: "former", UpdateExistingOnly: true,
	}
}

// start opens d with a fake Braze.
func start(t testing.TB, d *braze.Destination) (*fake, *desttest.Tool) {
	t.Helper()
	f := newFake()
	f.updateOnly = d.UpdateExistingOnly
	tool := desttest.Serve(f)
	desttest.Open(t, d, tool)
	return f, tool
}

func messageID(n int) string { return fmt.Sprintf("0d3f1a52-7f5e-4b0e-9a44-%012d", n) }

// event is message n: rest is its JSON behind the ids and the time.
func event(t testing.TB, n int, rest string) *analytics.Event {
	t.Helper()
	return desttest.Event(t, fmt.Sprintf(`{"messageId":%q,"timestamp":"2026-05-02T18:04:05.250Z",%s}`, messageID(n), rest))
}

func track(t testing.TB, n int, user, name string) *analytics.Event {
	t.Helper()
	return event(t, n, fmt.Sprintf(`"type":"track","userId":%q,"event":%q,"properties":{"note":%q}`, user, name, content))
}

func identify(t testing.TB, n int, user string) *analytics.Event {
	t.Helper()
	return event(t, n, fmt.Sprintf(`"type":"identify","userId":%q,"traits":{"plan":%q,"email":"%s@example.com"}`, user, content, user))
}

func order(t testing.TB, n int, user string, products ...string) *analytics.Event {
	t.Helper()
	list := make([]string, len(products))
	for i, id := range products {
		list[i] = fmt.Sprintf(`{"product_id":%q,"price":2.5,"quantity":%d}`, id, i+1)
	}
	return event(t, n, fmt.Sprintf(`"type":"track","userId":%q,"event":"Order Completed","properties":{"order_id":"o-%d","currency":"eur","products":[%s]}`,
		user, n, strings.Join(list, ",")))
}

func alias(t testing.TB, n int, user string) *analytics.Event {
	t.Helper()
	return event(t, n, fmt.Sprintf(`"type":"alias","userId":%q,"previousId":"before-%s"`, user, user))
}

// mixed are five messages of all kinds, with an order of two products in their middle.
func mixed(t testing.TB) []*analytics.Event {
	return []*analytics.Event{
		identify(t, 1, "u1"), track(t, 2, "u1", "E2"), order(t, 3, "u2", "p1", "p2"), track(t, 4, "u3", "E4"), identify(t, 5, "u4"),
	}
}

// batch is the one batch that the events make.
func batch(t testing.TB, d analytics.Destination, events ...*analytics.Event) *analytics.Batch {
	t.Helper()
	batches := desttest.Batches(t, d, desttest.Translate(t, d, events...))
	require.Len(t, batches, 1)
	return batches[0]
}

// words returns for each message the word that decides on it: the first of its items'
// that is not "delivered".
func words(results desttest.Results, events ...*analytics.Event) []analytics.Word {
	list := make([]analytics.Word, len(events))
	for i, e := range events {
		for _, r := range results {
			if strings.HasPrefix(r.ID, e.MessageID) && list[i] == analytics.WordDelivered {
				list[i] = r.Word
			}
		}
	}
	return list
}

func TestFixtures(t *testing.T) {
	desttest.Fixtures(t, "testdata/examples.json", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &braze.Destination{APIKey: "braze_key", AppID: "braze_app", Endpoint: endpoint}
		f, tool := start(t, d)
		f.key, f.appID = "braze_key", "braze_app"
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	})
}

func TestDescription(t *testing.T) {
	for name, d := range map[string]*braze.Destination{"few settings": settings(), "all settings": withEverything()} {
		t.Run(name, func(t *testing.T) {
			is := d.Describe()
			require.Equal(t, "Braze", is.Name)
			require.ElementsMatch(t, []string{"Braze Cloud Mode (Actions)", "Actions Braze Cloud"}, is.Aliases)
			require.Equal(t, analytics.PerKey, is.Order) // sheet: Limits, keep order per user
			for lane, l := range is.Lanes {
				most := map[string]int{"": 75, "aliases": 50}[lane] // sheet: Requests
				require.True(t, l.MaxItems > 0 && l.MaxItems <= most, "lane %q takes %d items", lane, l.MaxItems)
				require.GreaterOrEqual(t, cmp.Or(l.Timeout, 30*time.Second), 30*time.Second) // sheet: Limits, time out late
			}
			l := is.Lanes[""]
			require.LessOrEqual(t, cmp.Or(l.MaxBytes, 1_000_000), 4_000_000) // sheet: Limits, 4 MB
			require.NotZero(t, l.MaxItemBytes)
			require.LessOrEqual(t, l.MaxItemBytes, 100_000) // sheet: Limits, 100 KB per object
			require.True(t, slices.ContainsFunc(l.Rates, func(r analytics.Rate) bool {
				per := cmp.Or(r.Per, time.Second)
				return r.Requests > 0 && float64(r.Requests)/per.Seconds() <= 1000 // sheet: Limits, 3,000 per 3 s
			}), "rates: %+v", l.Rates)
			_, described := is.Lanes["aliases"]
			require.Equal(t, d.AliasLabel != "", described) // sheet: Settings, AliasLabel
		})
	}
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
		{"200 is delivered", 200, nil, `{"message":"success"}`, analytics.WordDelivered, 0},
		{"201 is delivered", 201, nil, `{"message":"success","events_processed":2}`, analytics.WordDelivered, 0},
		{"201 without faults in its list is delivered", 201, nil, `{"message":"success","errors":[]}`, analytics.WordDelivered, 0},
		// sheet: Responses, 400: reject all, split in two first
		{"400 splits", 400, nil, `{"message":"Valid data must be provided"}`, analytics.WordSplit, 0},
		// sheet: Responses, 401, 403, 404
		{"401 is the key", 401, nil, `{"message":"Invalid API key"}`, analytics.WordUnauthorized, 0},
		{"403 is the permission", 403, nil, `{"message":"Forbidden"}`, analytics.WordUnauthorized, 0},
		{"404 is the wrong cluster", 404, nil, `{"message":"Not found"}`, analytics.WordUnauthorized, 0},
		// sheet: Limits, the two headers of 429
		{"429 waits for its Retry-After", 429, http.Header{"Retry-After": {"7"}}, `{}`, analytics.WordRetryAfter, 7 * time.Second},
		{"429 waits for its X-Ratelimit-Retry-After", 429, http.Header{"X-Ratelimit-Retry-After": {"9"}}, `{}`, analytics.WordRetryAfter, 9 * time.Second},
		{"429 without a header waits for the backoff", 429, nil, ``, analytics.WordRetryAfter, 0},
		{"500 is tried again", 500, nil, `{"message":"Internal error"}`, analytics.WordAgain, 0},
		{"502 is tried again", 502, nil, `<html>`, analytics.WordAgain, 0},
		{"503 is tried again after its Retry-After", 503, http.Header{"Retry-After": {"5"}}, ``, analytics.WordAgain, 5 * time.Second},
		{"504 is tried again", 504, nil, ``, analytics.WordAgain, 0},
		// the contract's table, where the sheet says nothing
		{"408 is tried again", 408, nil, ``, analytics.WordAgain, 0},
		{"413 splits", 413, nil, ``, analytics.WordSplit, 0},
		{"422 splits", 422, nil, ``, analytics.WordSplit, 0},
		{"302 is not followed", 302, http.Header{"Location": {"https://elsewhere.example/"}}, ``, analytics.WordPermanent, 0},
		{"405 is never", 405, nil, ``, analytics.WordPermanent, 0},
		{"410 is never", 410, nil, ``, analytics.WordPermanent, 0},
		{"501 is never", 501, nil, ``, analytics.WordPermanent, 0},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := withEverything()
			f, tool := start(t, d)
			for _, events := range [][]*analytics.Event{mixed(t), {alias(t, 6, "u1"), alias(t, 7, "u2"), alias(t, 8, "u3")}} {
				f.next(c.status, c.header, c.body)
				results := desttest.DeliverBatch(t, d, batch(t, d, events...))
				require.True(t, results.All(c.word), "%v", results.Words())
				for _, r := range results {
					require.Equal(t, c.after, r.After)
				}
			}
			require.Len(t, tool.Requests(), 2)
		})
	}
}

func TestAnswersOfObjects(t *testing.T) {
	for _, c := range []struct {
		fact string
		bad  []string // labels
		want []analytics.Word
		kept []string
	}{
		// sheet: Responses, 201 with errors: only these objects failed, the index counts
		// within the named list
		{
			"an event that failed takes its message with it", []string{"E4"},
			[]analytics.Word{0, 0, 0, analytics.WordPermanent, 0}, []string{"u1", "u4", "E2", "p1", "p2"},
		},
		{
			"attributes that failed take their message with them", []string{"u4"},
			[]analytics.Word{0, 0, 0, 0, analytics.WordPermanent}, []string{"u1", "E2", "E4", "p1", "p2"},
		},
		{
			"the first purchase that failed takes the order with it", []string{"p1"},
			[]analytics.Word{0, 0, analytics.WordPermanent, 0, 0}, []string{"u1", "u4", "E2", "E4", "p2"},
		},
		{
			"the last purchase that failed takes the order with it", []string{"p2"},
			[]analytics.Word{0, 0, analytics.WordPermanent, 0, 0}, []string{"u1", "u4", "E2", "E4", "p1"},
		},
		{
			"faults of all lists find their messages", []string{"u1", "E2", "p1", "p2"},
			[]analytics.Word{analytics.WordPermanent, analytics.WordPermanent, analytics.WordPermanent, 0, 0}, []string{"u4", "E4"},
		},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d, events := settings(), mixed(t)
			f, tool := start(t, d)
			f.bad = func(o object) bool { return slices.Contains(c.bad, o.label()) }
			results := settle(t, d, batch(t, d, events...))
			require.Equal(t, c.want, words(results, events...))
			require.Len(t, tool.Requests(), 1) // what is stored is not sent again: Braze does not dedupe
			require.ElementsMatch(t, c.kept, f.labels())
			require.Empty(t, f.violations)
		})
	}
	t.Run("an alias that failed takes its message with it", func(t *testing.T) {
		d := withEverything()
		events := []*analytics.Event{alias(t, 1, "u1"), alias(t, 2, "u2"), alias(t, 3, "u3")}
		f, _ := start(t, d)
		f.bad = func(o object) bool { return o.label() == "u2" }
		results := settle(t, d, batch(t, d, events...))
		require.Equal(t, []analytics.Word{0, analytics.WordPermanent, 0}, words(results, events...))
		require.Equal(t, []string{"u1", "u3"}, f.labels())
	})
	t.Run("a fault of an object that was not sent rejects nobody", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		f.next(201, nil, `{"message":"success","errors":[{"type":"x","input_array":"events","index":2},{"type":"x","input_array":"events","index":-1},`+
			`{"type":"x","input_array":"others","index":0}]}`)
		results := desttest.DeliverBatch(t, d, batch(t, d, mixed(t)...))
		require.True(t, results.All(analytics.WordDelivered), "%v", results.Words())
	})
}

func TestSplittingFindsTheBadOne(t *testing.T) {
	for name, c := range map[string]struct {
		bad  string
		want []analytics.Word
		kept []string
	}{
		"an event":   {"E4", []analytics.Word{0, 0, 0, analytics.WordPermanent, 0}, []string{"u1", "u4", "E2", "p1", "p2"}},
		"attributes": {"u1", []analytics.Word{analytics.WordPermanent, 0, 0, 0, 0}, []string{"u4", "E2", "E4", "p1", "p2"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, events := settings(), mixed(t)
			f, _ := start(t, d)
			f.fatal, f.bad = true, func(o object) bool { return o.label() == c.bad }
			results := settle(t, d, batch(t, d, events...))
			require.Equal(t, c.want, words(results, events...))
			require.ElementsMatch(t, c.kept, f.labels())
			require.Zero(t, f.repeated())
		})
	}
	t.Run("an alias", func(t *testing.T) {
		d := withEverything()
		events := []*analytics.Event{alias(t, 1, "u1"), alias(t, 2, "u2"), alias(t, 3, "u3")}
		f, _ := start(t, d)
		f.fatal, f.bad = true, func(o object) bool { return o.label() == "u2" }
		results := settle(t, d, batch(t, d, events...))
		require.Equal(t, []analytics.Word{0, analytics.WordPermanent, 0}, words(results, events...))
		require.Equal(t, []string{"u1", "u3"}, f.labels())
	})
}

func TestOrderHoldsOverRetries(t *testing.T) {
	d := settings()
	f, tool := start(t, d)
	f.next(503, nil, ``)
	f.next(429, http.Header{"Retry-After": {"1"}}, ``)
	var events []*analytics.Event
	for n := range 5 {
		events = append(events, track(t, n, "u1", fmt.Sprintf("E%d", n)))
	}
	results := settle(t, d, batch(t, d, events...))
	require.True(t, results.All(analytics.WordDelivered))
	require.Equal(t, []string{"E0", "E1", "E2", "E3", "E4"}, f.labels())
	sent := tool.Requests()
	require.Len(t, sent, 3)
	require.Equal(t, string(sent[0].Body), string(sent[2].Body))
}
