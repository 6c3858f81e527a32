package posthog_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/posthog"
)

const (
	secret  = "phc_secret4711"
	content = "content-of-an-event" // must never be in an error
)

func settings() *posthog.Destination { return &posthog.Destination{APIKey: secret} }

func withEverything() *posthog.Destination {
	return &posthog.Destination{
		APIKey: secret, Endpoint: "https://eu.i.posthog.com", GroupType: "team",
		PersonProfiles: "always", DisableGeoIP: true, HistoricalMigration: true, Gzip: true,
	}
}

// start opens d with a fake PostHog.
func start(t testing.TB, d *posthog.Destination) (*fake, *desttest.Tool) {
	t.Helper()
	f := newFake()
	f.key, f.historical = d.APIKey, d.HistoricalMigration
	if d.Endpoint != "" {
		f.host = strings.TrimPrefix(strings.TrimSuffix(d.Endpoint, "/"), "https://")
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

// mixed are messages of all kinds.
func mixed(t testing.TB) []*analytics.Event {
	t.Helper()
	return []*analytics.Event{
		event(t, 1, `"type":"identify","userId":"u1","anonymousId":"a1","traits":{"plan":"`+content+`","email":"ann@example.com"}`),
		track(t, 2, "u1", "E2"),
		event(t, 3, `"type":"page","anonymousId":"a3","properties":{"url":"https://shop.example/3"}`),
		event(t, 4, `"type":"screen","userId":"u4","name":"S4"`),
		event(t, 5, `"type":"group","userId":"u1","groupId":"org-5","traits":{"name":"`+content+`"}`),
		event(t, 6, `"type":"alias","userId":"u6","previousId":"a6"`),
		event(t, 7, `"type":"identify","anonymousId":"a7","traits":{"plan":"pro"}`),
	}
}

// mixedNames are the events that mixed become. Sheet: Mapping.
var mixedNames = []string{"$identify", "E2", "$pageview", "$screen", "$groupidentify", "$create_alias", "$set"}

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
		d := &posthog.Destination{APIKey: "phc_test"}
		f, tool := start(t, d)
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	})
}

func TestDescription(t *testing.T) {
	is := settings().Describe()
	require.Equal(t, "PostHog", is.Name)
	require.Equal(t, []string{"Posthog"}, is.Aliases)
	require.Equal(t, analytics.PerKey, is.Order) // sheet: Limits, keep order per distinct_id
	for _, call := range []analytics.Call{
		analytics.CallTrack, analytics.CallPage, analytics.CallScreen, analytics.CallIdentify, analytics.CallGroup, analytics.CallAlias,
	} {
		require.True(t, is.Calls == 0 || is.Calls.Has(call), call) // one endpoint for every call
	}
	require.Len(t, is.Lanes, 1)
	l := is.Lanes[""]
	require.Equal(t, 250, l.MaxItems) // sheet: Limits, default 250 items or 5 MB
	require.Equal(t, 5_000_000, l.MaxBytes)
	require.True(t, l.MaxItemBytes > 0 && l.MaxItemBytes <= 900_000, "%d bytes", l.MaxItemBytes) // sheet: Limits, 900,000 are safe
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		fact   string
		status int
		header http.Header
		body   string
		word   analytics.Word
		after  time.Duration
	}{
		// sheet: Responses
		{"200 is delivered", 200, nil, `{"status":"Ok"}`, analytics.WordDelivered, 0},
		{"200 of older servers is delivered", 200, nil, `{"status":1}`, analytics.WordDelivered, 0},
		{"200 without a body is delivered", 200, nil, ``, analytics.WordDelivered, 0},
		{"200 with a quota of events is never", 200, nil, `{"status":"Ok","quota_limited":["events"]}`, analytics.WordPermanent, 0},
		{"200 with the quota of events among others is never", 200, nil, `{"status":1,"quota_limited":["recordings","events"]}`, analytics.WordPermanent, 0},
		{"200 with another quota is delivered", 200, nil, `{"status":"Ok","quota_limited":["recordings"]}`, analytics.WordDelivered, 0},
		{"400 of several is split", 400, nil, `{"type":"validation_error","code":"invalid_payload"}`, analytics.WordSplit, 0},
		{"401 is unauthorized", 401, nil, `{"type":"authentication_error","code":"invalid_api_key"}`, analytics.WordUnauthorized, 0},
		{"413 is split", 413, nil, ``, analytics.WordSplit, 0},
		{"408 is tried again", 408, nil, ``, analytics.WordAgain, 0},
		{"408 waits as long as it is told", 408, http.Header{"Retry-After": {"7"}}, ``, analytics.WordAgain, 7 * time.Second},
		{"429 pauses", 429, nil, ``, analytics.WordRetryAfter, 0},
		{"429 pauses as long as it is told", 429, http.Header{"Retry-After": {"12"}}, ``, analytics.WordRetryAfter, 12 * time.Second},
		{"500 is tried again", 500, nil, ``, analytics.WordAgain, 0},
		{"502 is tried again", 502, nil, `<html>`, analytics.WordAgain, 0},
		{"503 is tried again", 503, nil, ``, analytics.WordAgain, 0},
		{"503 waits as long as it is told", 503, http.Header{"Retry-After": {"30"}}, ``, analytics.WordAgain, 30 * time.Second},
		{"504 is tried again", 504, nil, ``, analytics.WordAgain, 0},
		// README: Errors, retries, limits
		{"403 is unauthorized", 403, nil, ``, analytics.WordUnauthorized, 0},
		{"425 is tried again", 425, nil, ``, analytics.WordAgain, 0},
		{"423 pauses", 423, nil, ``, analytics.WordRetryAfter, 0},
		{"302 is never", 302, http.Header{"Location": {"https://elsewhere.example/"}}, ``, analytics.WordPermanent, 0},
		{"404 is never", 404, nil, ``, analytics.WordPermanent, 0},
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

func TestAQuotaIsToldFromOtherRefusals(t *testing.T) { // sheet: Responses, 200: code quota
	d := settings()
	f, _ := start(t, d)
	f.quota = "events"
	for _, r := range settle(t, d, batch(t, d, mixed(t)...)) {
		require.Equal(t, analytics.WordPermanent, r.Word)
		require.ErrorContains(t, r.Err, "quota")
	}
	require.Empty(t, f.accepted)
}

func TestAWrongKeyIsFoundOut(t *testing.T) { // sheet: Responses, 401
	d := settings()
	f, _ := start(t, d)
	f.key = "phc_another"
	results := desttest.DeliverBatch(t, d, batch(t, d, mixed(t)...))
	require.True(t, results.All(analytics.WordUnauthorized), "%v", results.Words())
	require.Empty(t, f.accepted)
}

func TestTheBadOneIsFound(t *testing.T) { // sheet: Responses, 400
	for _, c := range []struct {
		fact string
		bad  []string
	}{
		{"at the beginning", []string{"$identify"}},
		{"in the middle", []string{"$screen"}},
		{"at the end", []string{"$set"}},
		{"twice", []string{"E2", "$create_alias"}},
		{"everywhere", mixedNames},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := settings()
			f, _ := start(t, d)
			f.bad = func(r record) bool { return slices.Contains(c.bad, r.event) }
			want := map[string]analytics.Word{}
			var kept []string
			for i, name := range mixedNames {
				if slices.Contains(c.bad, name) {
					want[messageID(i+1)] = analytics.WordPermanent
					continue
				}
				want[messageID(i+1)] = analytics.WordDelivered
				kept = append(kept, name)
			}
			got := map[string]analytics.Word{}
			for _, r := range settle(t, d, batch(t, d, mixed(t)...)) {
				got[r.ID] = r.Word
			}
			require.Equal(t, want, got)
			require.Equal(t, kept, f.names()) // each once, in order
			require.Zero(t, f.duplicates)
			require.Empty(t, f.violations)
		})
	}
	t.Run("a single one is rejected", func(t *testing.T) {
		d := settings()
		f, tool := start(t, d)
		f.bad = func(record) bool { return true }
		results := settle(t, d, batch(t, d, track(t, 1, "u1", "E")))
		require.Equal(t, []analytics.Word{analytics.WordPermanent}, results.Words())
		require.Len(t, tool.Requests(), 1)
	})
}

func TestWhatIsTooLargeIsSplit(t *testing.T) { // sheet: Responses, 413
	d := settings()
	f, _ := start(t, d)
	f.maxBody = 900
	results := settle(t, d, batch(t, d, mixed(t)...))
	require.True(t, results.All(analytics.WordDelivered), "%v", results.Words())
	require.Equal(t, mixedNames, f.names())
	require.Zero(t, f.duplicates)
}

func TestOrderHoldsOverRetries(t *testing.T) { // sheet: Limits, order per distinct_id
	d := settings()
	f, tool := start(t, d)
	f.next(503, nil, ``)
	f.next(429, http.Header{"Retry-After": {"1"}}, ``)
	var events []*analytics.Event
	for n := range 6 {
		events = append(events, track(t, n, "u1", fmt.Sprintf("E%d", n)))
	}
	f.bad = func(r record) bool { return r.event == "E2" }
	results := settle(t, d, batch(t, d, events...))
	require.Len(t, results, 6)
	require.Equal(t, []string{"E0", "E1", "E3", "E4", "E5"}, f.names("u1"))
	require.Zero(t, f.duplicates)
	sent := tool.Requests()
	require.Equal(t, string(sent[0].Body), string(sent[2].Body)) // with the keys by which PostHog dedupes
}

func TestARetryIsDeduped(t *testing.T) { // sheet: Limits, retries are safe through uuid and timestamp
	d := settings()
	f, _ := start(t, d)
	for range 2 { // the first answer was lost
		require.True(t, desttest.DeliverBatch(t, d, batch(t, d, mixed(t)...)).All(analytics.WordDelivered))
	}
	require.Equal(t, mixedNames, f.names())
	require.Equal(t, len(mixedNames), f.duplicates)
}
