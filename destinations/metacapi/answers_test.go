package metacapi_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/metacapi"
)

const (
	pixel   = "123321"
	secret  = "fb-secret-4711"
	content = "content-of-an-event" // must never be in an error
)

func settings() *metacapi.Destination {
	return &metacapi.Destination{PixelID: pixel, AccessToken: secret}
}

func withEverything() *metacapi.Destination {
	return &metacapi.Destination{
		PixelID: pixel, AccessToken: secret, APIVersion: "v23.0", TestEventCode: "TEST4711", ActionSource: "app",
		LimitedDataUse: true, EventMap: map[string]string{"Trial Started": "StartTrial"}, Gender: true, Country: true,
	}
}

// early delivers in the year 2000, where the clock of a bubble begins: no event of the
// tests is too old then.
type early struct {
	*metacapi.Destination
	t *testing.T
}

// Deliver delivers in a bubble.
func (e early) Deliver(ctx context.Context, b *analytics.Batch) (err error) {
	synctest.Test(e.t, func(*testing.T) { err = e.Destination.Deliver(ctx, b) })
	return err
}

// start opens d with a fake Meta.
func start(t *testing.T, d *metacapi.Destination) (early, *fake, *desttest.Tool) {
	t.Helper()
	f := newFake()
	f.testCode, f.limited = d.TestEventCode, d.LimitedDataUse
	if d.APIVersion != "" {
		f.version = d.APIVersion
	}
	tool := desttest.Serve(f)
	desttest.Open(t, d, tool)
	return early{d, t}, f, tool
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

const browser = `"context":{"userAgent":"Mozilla/5.0","page":{"url":"https://shop.example/"},"traits":{"email":"ann@example.com"}}`

// mixed are messages of all kinds that Meta takes.
func mixed(t testing.TB) []*analytics.Event {
	t.Helper()
	return []*analytics.Event{
		track(t, 1, "u1", "E1"),
		event(t, 2, `"type":"page","anonymousId":"a2",`+browser),
		event(t, 3, `"type":"track","userId":"u3","event":"Order Completed","properties":{"order_id":"o-3","revenue":"25","currency":"eur",`+
			`"products":[{"product_id":"p1","price":20,"quantity":1},{"name":"no id"}]},`+browser),
		track(t, 4, "u1", "E4"),
		event(t, 5, `"type":"track","userId":"u5","event":"Products Searched","properties":{"query":"`+content+`"},`+browser),
		track(t, 6, "u6", "E6"),
	}
}

// mixedNames are the events that mixed become. Sheet: Mapping.
var mixedNames = []string{"E1", "PageView", "Purchase", "E4", "Search", "E6"}

// batch is the one batch that the events make.
func batch(t testing.TB, d analytics.Destination, events ...*analytics.Event) *analytics.Batch {
	t.Helper()
	batches := desttest.Batches(t, d, desttest.Translate(t, d, events...))
	require.Len(t, batches, 1)
	return batches[0]
}

// settle delivers a batch until each item has an outcome, as the client does.
func settle(t testing.TB, d analytics.Destination, b *analytics.Batch) desttest.Results {
	t.Helper()
	if b.Attempt > 5 {
		t.Fatalf("%d items are tried again and again", len(b.Items))
	}
	var done desttest.Results
	var again []analytics.Item
	results := desttest.DeliverBatch(t, d, b)
	if len(b.Items) > 1 && results.All(analytics.WordSplit) {
		half := len(b.Items) / 2
		done = settle(t, d, &analytics.Batch{Lane: b.Lane, Items: b.Items[:half], Attempt: b.Attempt})
		return append(done, settle(t, d, &analytics.Batch{Lane: b.Lane, Items: b.Items[half:], Attempt: b.Attempt})...)
	}
	for i, r := range results {
		switch r.Word {
		case analytics.WordSplit: // of one item it is Permanent
			r.Word = analytics.WordPermanent
			done = append(done, r)
		case analytics.WordAgain, analytics.WordRetryAfter:
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

func TestFixtures(t *testing.T) {
	desttest.Fixtures(t, "testdata/examples.json", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d, f, tool := start(t, &metacapi.Destination{PixelID: "123321", AccessToken: "fb_token"})
		f.token = "fb_token"
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	})
}

func TestDescription(t *testing.T) {
	is := settings().Describe()
	require.Equal(t, "Facebook Conversions API", is.Name)
	require.ElementsMatch(t, []string{"Facebook Conversions API (Actions)", "Meta Conversions API"}, is.Aliases)
	require.Equal(t, analytics.Unordered, is.Order) // sheet: Limits, order not needed
	require.Len(t, is.Lanes, 1)
	l := is.Lanes[""]
	require.Equal(t, 100, l.MaxItems)               // sheet: Limits, batches ≤ 100 by default
	require.Equal(t, 10*time.Second, l.Timeout)     // sheet: Limits, 10 s here
	require.LessOrEqual(t, l.Linger.Seconds(), 5.0) // README: linger is 5 s at most
}

func TestAnswers(t *testing.T) {
	type row struct {
		fact   string
		status int
		header http.Header
		body   string
		word   analytics.Word
		after  time.Duration
	}
	rows := []row{
		// sheet: Responses
		{"200 is delivered", 200, nil, received(len(mixedNames)), analytics.WordDelivered, 0},
		{"200 that counts fewer is delivered", 200, nil, `{"events_received":1,"messages":["2 events dropped"],"fbtrace_id":"x"}`, analytics.WordDelivered, 0},
		{"200 without a body is delivered", 200, nil, ``, analytics.WordDelivered, 0},
		{"400 that is transient is tried again", 400, nil, `{"error":{"code":9999,"is_transient":true}}`, analytics.WordAgain, 0},
		{"400 about a parameter that is transient is tried again", 400, nil, `{"error":{"code":100,"is_transient":true}}`, analytics.WordAgain, 0},
		{"400 about a parameter is split", 400, nil, failure(100, "Invalid parameter"), analytics.WordSplit, 0},
		{"401 is unauthorized", 401, nil, failure(190, "x"), analytics.WordUnauthorized, 0},
		{"403 is unauthorized", 403, nil, ``, analytics.WordUnauthorized, 0},
		{"429 pauses", 429, nil, ``, analytics.WordRetryAfter, 0},
		{"429 pauses as long as it is told", 429, http.Header{"Retry-After": {"12"}}, ``, analytics.WordRetryAfter, 12 * time.Second},
		{"500 is tried again", 500, nil, failure(2, "x"), analytics.WordAgain, 0},
		{"502 is tried again", 502, nil, `<html>`, analytics.WordAgain, 0},
		{"503 waits as long as it is told", 503, http.Header{"Retry-After": {"30"}}, ``, analytics.WordAgain, 30 * time.Second},
		// README: Errors, retries, limits
		{"408 is tried again", 408, nil, ``, analytics.WordAgain, 0},
		{"425 is tried again", 425, nil, ``, analytics.WordAgain, 0},
		{"423 pauses", 423, nil, ``, analytics.WordRetryAfter, 0},
		{"413 is split", 413, nil, ``, analytics.WordSplit, 0},
		{"302 is never", 302, http.Header{"Location": {"https://elsewhere.example/"}}, ``, analytics.WordPermanent, 0},
		{"404 is never", 404, nil, ``, analytics.WordPermanent, 0},
		{"501 is never", 501, nil, ``, analytics.WordPermanent, 0},
	}
	for word, codes := range map[analytics.Word][]int{ // sheet: Responses, 400
		analytics.WordAgain:        {1, 2},
		analytics.WordRetryAfter:   {4, 17, 32, 341, 368, 613, 80004},
		analytics.WordUnauthorized: {190, 102, 10, 200, 250, 299},
	} {
		for _, code := range codes {
			rows = append(rows, row{fmt.Sprintf("400 of code %d is %v", code, word), 400, nil, failure(code, "x"), word, 0})
		}
	}
	for _, c := range rows {
		t.Run(c.fact, func(t *testing.T) {
			d, f, tool := start(t, settings())
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

func TestOtherCodesAreRejectedInTheEnd(t *testing.T) { // sheet: Responses, 400: else reject; contract: 400 of several may be split
	for _, code := range []int{3, 33, 199, 300, 803, 2500} {
		d, f, _ := start(t, settings())
		f.bad, f.code = func(record) bool { return true }, code
		results := settle(t, d, batch(t, d, mixed(t)...))
		require.Len(t, results, len(mixedNames))
		require.True(t, results.All(analytics.WordPermanent), "%d: %v", code, results.Words())
		require.Empty(t, f.accepted)
	}
}

func TestAWrongTokenIsFoundOut(t *testing.T) { // sheet: Responses, 400: 190 is auth
	d, f, _ := start(t, settings())
	f.token = "another"
	results := desttest.DeliverBatch(t, d, batch(t, d, mixed(t)...))
	require.True(t, results.All(analytics.WordUnauthorized), "%v", results.Words())
	require.Empty(t, f.accepted)
}

func TestTheBadOneIsFound(t *testing.T) { // sheet: Responses, 400: code 100, and the text below
	for _, naming := range []bool{false, true} {
		for _, bad := range [][]string{{"E1"}, {"Purchase"}, {"E6"}, {"PageView", "Search"}, mixedNames} {
			t.Run(fmt.Sprintf("%v, named %v", bad, naming), func(t *testing.T) {
				d, f, _ := start(t, settings())
				f.naming, f.bad = naming, func(r record) bool { return slices.Contains(bad, r.name) }
				want, got := map[string]analytics.Word{}, map[string]analytics.Word{}
				var kept []string
				for i, name := range mixedNames {
					want[messageID(i+1)] = analytics.WordPermanent
					if !slices.Contains(bad, name) {
						want[messageID(i+1)] = analytics.WordDelivered
						kept = append(kept, name)
					}
				}
				for _, r := range settle(t, d, batch(t, d, mixed(t)...)) {
					got[r.ID] = r.Word
				}
				require.Equal(t, want, got)
				require.ElementsMatch(t, kept, f.names()) // each once
				require.Zero(t, f.duplicates)
				require.Empty(t, f.violations)
			})
		}
	}
}

func TestAnIndexRejectsThatOneAndTheOthersAreSentAgain(t *testing.T) { // sheet: Responses, Event with index 3
	d, f, _ := start(t, settings())
	f.naming, f.bad = true, func(r record) bool { return r.name == "E4" }
	b := batch(t, d, mixed(t)...)
	for i, r := range desttest.DeliverBatch(t, d, b) {
		if i == 3 {
			require.Equal(t, analytics.WordPermanent, r.Word)
			continue
		}
		require.Contains(t, again, r.Word, i) // nothing was taken
	}
	require.Empty(t, f.accepted)
}

// again are the words by which an item is sent again as it is.
var again = []analytics.Word{analytics.WordAgain, analytics.WordRetryAfter}

func TestAnIndexThatIsNoneNamesNobody(t *testing.T) {
	for _, text := range []string{"Event with index 6 is bad", "Event with index -1 is bad", "Event with index", "Event with index 99999999999999999999999 is bad"} {
		t.Run(text, func(t *testing.T) {
			d, f, _ := start(t, settings())
			f.next(400, nil, failure(100, text))
			results := desttest.DeliverBatch(t, d, batch(t, d, mixed(t)...))
			require.True(t, results.All(analytics.WordSplit), "%v", results.Words())
		})
	}
}

func TestRetriesCarryTheSameKeys(t *testing.T) { // sheet: Mapping, event_id
	d, f, tool := start(t, settings())
	f.next(503, nil, ``)
	f.next(400, nil, failure(2, "Service temporarily unavailable"))
	require.True(t, settle(t, d, batch(t, d, mixed(t)...)).All(analytics.WordDelivered))
	require.Equal(t, mixedNames, f.names())
	sent := tool.Requests()
	require.Len(t, sent, 3)
	require.Equal(t, string(sent[0].Body), string(sent[2].Body))

	require.True(t, settle(t, d, batch(t, d, mixed(t)...)).All(analytics.WordDelivered)) // the answer was lost
	require.Equal(t, len(mixedNames), f.duplicates)
	require.Len(t, f.accepted, len(mixedNames))
}
