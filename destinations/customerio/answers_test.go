package customerio_test

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/customerio"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

const (
	site    = "cio-site"
	secret  = "cio-secret-4711"
	content = "content-of-an-event" // must never be in an error
)

func settings() *customerio.Destination {
	return &customerio.Destination{SiteID: site, APIKey: secret}
}

func withEverything() *customerio.Destination {
	return &customerio.Destination{SiteID: site, APIKey: secret, Region: "eu", ObjectTypeID: "2", KeepDates: true}
}

// start opens d with a fake Customer.io.
func start(t testing.TB, d *customerio.Destination) (*fake, *desttest.Tool) {
	t.Helper()
	f := newFake()
	f.keepDates = d.KeepDates
	if d.Region == "eu" {
		f.host = "track-eu.customer.io" // sheet: Settings, Region
	}
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

func group(t testing.TB, n int, user string) *analytics.Event {
	t.Helper()
	return event(t, n, fmt.Sprintf(`"type":"group","userId":%q,"groupId":"org-%d","traits":{"name":%q}`, user, n, content))
}

func alias(t testing.TB, n int, user string) *analytics.Event {
	t.Helper()
	return event(t, n, fmt.Sprintf(`"type":"alias","userId":%q,"previousId":"before-%s"`, user, user))
}

// mixed are messages of all kinds.
func mixed(t testing.TB) []*analytics.Event {
	return []*analytics.Event{
		identify(t, 1, "u1"), track(t, 2, "u1", "E2"), group(t, 3, "u2"), track(t, 4, "u3", "E4"),
		event(t, 5, `"type":"page","userId":"u4","properties":{"url":"https://shop.example/5"}`),
		event(t, 6, `"type":"screen","anonymousId":"a5","name":"S6"`),
		track(t, 7, "u6", "User Suppressed"), alias(t, 8, "u7"),
	}
}

// mixedLabels are what the fake knows mixed by.
func mixedLabels() []string {
	return []string{"identify", "E2", "identify", "E4", "https://shop.example/5", "S6", "suppress", "merge"}
}

// batch is the one batch that the events make.
func batch(t testing.TB, d analytics.Destination, events ...*analytics.Event) *analytics.Batch {
	t.Helper()
	batches := desttest.Batches(t, d, desttest.Translate(t, d, events...))
	require.Len(t, batches, 1)
	return batches[0]
}

// wordOf returns the words by message.
func wordOf(results desttest.Results) map[string]analytics.Word {
	m := map[string]analytics.Word{}
	for _, r := range results {
		m[r.ID] = r.Word
	}
	return m
}

func TestFixtures(t *testing.T) {
	desttest.Fixtures(t, "testdata/examples.json", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &customerio.Destination{SiteID: "cio_site", APIKey: "cio_key"}
		f, tool := start(t, d)
		f.site, f.key = "cio_site", "cio_key"
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	})
}

func TestDescription(t *testing.T) {
	is := settings().Describe()
	require.Equal(t, "Customer.io", is.Name)
	require.ElementsMatch(t, []string{"Actions Customerio", "Customer.io (Actions)"}, is.Aliases)
	require.Equal(t, analytics.PerKey, is.Order) // sheet: Limits, keep order per person
	require.Len(t, is.Lanes, 1)
	l := is.Lanes[""]
	require.True(t, l.MaxItems > 0 && l.MaxItems <= 100, "%d items", l.MaxItems) // sheet: Limits, ≤ 100 items
	require.LessOrEqual(t, l.MaxBytes, 500_000)                                  // sheet: Limits, batch ≤ 500 kB
	require.NotZero(t, l.MaxBytes)
	require.LessOrEqual(t, l.MaxItemBytes, 32_000) // sheet: Limits, item ≤ 32 kB
	require.NotZero(t, l.MaxItemBytes)
	require.True(t, slices.ContainsFunc(l.Rates, func(r analytics.Rate) bool {
		per := cmp.Or(r.Per, time.Second)
		return r.Requests > 0 && float64(r.Requests)/per.Seconds() <= 1000 // sheet: Limits, 3,000 per 3 s
	}), "rates: %+v", l.Rates)
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
		{"200 is delivered", 200, nil, `{}`, analytics.WordDelivered, 0},
		{"207 with an empty list is delivered", 207, nil, `{"errors":[]}`, analytics.WordDelivered, 0}, // sheet: Responses, 207
		// sheet: Responses, 400 without indexes: reject all, bisect
		{"400 without a list splits", 400, nil, `{"meta":{"error":"malformed JSON"}}`, analytics.WordSplit, 0},
		{"400 with an empty list splits", 400, nil, `{"errors":[]}`, analytics.WordSplit, 0},
		{"400 whose list has no index splits", 400, nil, `{"errors":[{"reason":"parse","field":"batch","message":"x"}]}`, analytics.WordSplit, 0},
		// sheet: Responses, 401, 403
		{"401 is the key", 401, nil, `{"meta":{"error":"unauthorized"}}`, analytics.WordUnauthorized, 0},
		{"403 is the permission", 403, nil, `{"meta":{"error":"forbidden"}}`, analytics.WordUnauthorized, 0},
		{"413 splits", 413, nil, ``, analytics.WordSplit, 0}, // sheet: Responses, 413
		// sheet: Responses, 429, 5xx
		{"429 waits for its Retry-After", 429, http.Header{"Retry-After": {"7"}}, `{}`, analytics.WordRetryAfter, 7 * time.Second},
		{"429 without a header waits for the backoff", 429, nil, ``, analytics.WordRetryAfter, 0},
		{"500 is tried again", 500, nil, `{"meta":{"error":"internal"}}`, analytics.WordAgain, 0},
		{"502 is tried again", 502, nil, `<html>`, analytics.WordAgain, 0},
		{"503 is tried again after its Retry-After", 503, http.Header{"Retry-After": {"5"}}, ``, analytics.WordAgain, 5 * time.Second},
		{"504 is tried again", 504, nil, ``, analytics.WordAgain, 0},
		// the contract's table, where the sheet says nothing
		{"408 is tried again", 408, nil, ``, analytics.WordAgain, 0},
		{"422 splits", 422, nil, ``, analytics.WordSplit, 0},
		{"302 is not followed", 302, http.Header{"Location": {"https://elsewhere.example/"}}, ``, analytics.WordPermanent, 0},
		{"404 is never", 404, nil, ``, analytics.WordPermanent, 0},
		{"405 is never", 405, nil, ``, analytics.WordPermanent, 0},
		{"410 is never", 410, nil, ``, analytics.WordPermanent, 0},
		{"501 is never", 501, nil, ``, analytics.WordPermanent, 0},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := settings()
			f, tool := start(t, d)
			f.next(c.status, c.header, c.body)
			results := desttest.DeliverBatch(t, d, batch(t, d, mixed(t)...))
			require.True(t, results.All(c.word), "%v", results.Words())
			for _, r := range results {
				require.Equal(t, c.after, r.After)
			}
			require.Len(t, tool.Requests(), 1)
		})
	}
}

func TestAnswersOfItems(t *testing.T) {
	for _, c := range []struct {
		fact     string
		strict   bool // sheet: Responses, 400 with indexes is as 207
		bad      []string
		rejected []int // messages
	}{
		{"207 rejects the item that it names", false, []string{"E4"}, []int{4}},
		{"207 rejects several items", false, []string{"identify", "S6", "merge"}, []int{1, 3, 6, 8}},
		{"207 rejects all items", false, mixedLabels(), []int{1, 2, 3, 4, 5, 6, 7, 8}},
		{"400 with indexes rejects those items", true, []string{"E2", "suppress"}, []int{2, 7}},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := settings()
			f, tool := start(t, d)
			f.strict, f.bad = c.strict, func(it item) bool { return slices.Contains(c.bad, it.label()) }
			said := wordOf(settle(t, d, batch(t, d, mixed(t)...)))
			for n := 1; n <= 8; n++ {
				want := analytics.WordDelivered // sheet: Responses, 207, the rest is delivered
				if slices.Contains(c.rejected, n) {
					want = analytics.WordPermanent
				}
				require.Equal(t, want, said[messageID(n)], "message %d", n)
			}
			require.Len(t, tool.Requests(), 1)
			kept := slices.DeleteFunc(mixedLabels(), func(l string) bool { return slices.Contains(c.bad, l) })
			require.Equal(t, kept, f.labels())
			require.Empty(t, f.violations)
		})
	}
	for _, reason := range []string{"required", "invalid", "parse"} {
		t.Run("an item that is named twice is rejected once, as "+reason, func(t *testing.T) {
			d := settings()
			f, _ := start(t, d)
			f.next(207, nil, fmt.Sprintf(`{"errors":[{"batch_index":2,"reason":%q,"field":"a","message":"x"},{"batch_index":2,"reason":%q,"field":"b","message":"y"}]}`, reason, reason))
			results := desttest.DeliverBatch(t, d, batch(t, d, mixed(t)[:4]...))
			require.Equal(t, []analytics.Word{0, 0, analytics.WordPermanent, 0}, results.Words())
		})
	}
	t.Run("an index outside the batch rejects nobody", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		f.next(207, nil, `{"errors":[{"batch_index":8,"reason":"invalid"},{"batch_index":-1,"reason":"invalid"}]}`)
		err := d.Deliver(t.Context(), batch(t, d, mixed(t)...))
		for n := range 8 {
			require.NotEqual(t, analytics.WordPermanent, wordFor(err, n))
		}
	})
}

// wordFor is the word for one item; those outside the batch are not asked for.
func wordFor(err error, n int) analytics.Word {
	if each, ok := err.(*analytics.BatchError); ok {
		err = each.Items[n]
	}
	word, _ := analytics.Classify(err)
	return word
}

func TestSplittingFindsTheBadOne(t *testing.T) {
	d := settings()
	f, _ := start(t, d)
	f.blind, f.bad = true, func(it item) bool { return it.label() == "E4" }
	said := wordOf(settle(t, d, batch(t, d, mixed(t)...)))
	for n := 1; n <= 8; n++ {
		require.Equal(t, n == 4, said[messageID(n)] == analytics.WordPermanent, "message %d", n)
	}
	require.Equal(t, slices.DeleteFunc(mixedLabels(), func(l string) bool { return l == "E4" }), f.labels())
	require.Zero(t, f.duplicates)
}

func TestOrderHoldsOverRetries(t *testing.T) {
	d := settings()
	f, tool := start(t, d)
	f.next(503, nil, ``)
	f.next(429, http.Header{"Retry-After": {"1"}}, ``)
	f.next(413, nil, ``)
	// sheet: Limits, identify, then events; merges last
	events := []*analytics.Event{identify(t, 1, "u1"), track(t, 2, "u1", "E2"), track(t, 3, "u1", "E3"), alias(t, 4, "u1")}
	for _, it := range desttest.Translate(t, d, events...) {
		require.Equal(t, "u1", it.Key)
	}
	require.True(t, settle(t, d, batch(t, d, events...)).All(analytics.WordDelivered))
	require.Equal(t, []string{"identify", "E2", "E3", "merge"}, f.labels())
	require.Len(t, tool.Requests(), 5)
	require.Equal(t, string(tool.Requests()[0].Body), string(tool.Requests()[1].Body))
}
