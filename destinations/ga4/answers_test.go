package ga4_test

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/ga4"
)

const (
	measurementID = "G-TEST12345"
	appID         = "1:4711:android:0a1b2c"
	secret        = "ga4-secret+4711&x"
	escaped       = "ga4-secret%2B4711%26x" // as it is in the query
	content       = "content-of-an-event"   // must never be in an error
)

// settings are those of most tests: their events are of May 2026.
func settings() *ga4.Destination {
	return &ga4.Destination{APISecret: secret, MeasurementID: measurementID, AllowOld: true}
}

func withEverything() *ga4.Destination {
	return &ga4.Destination{
		APISecret: secret, MeasurementID: measurementID, FirebaseAppID: appID, Region: "eu", KeepPII: true, AllowOld: true,
		AdUserData: "GRANTED", AdPersonalization: "DENIED",
	}
}

// start opens d with a fake Google.
func start(t testing.TB, d *ga4.Destination) (*fake, *desttest.Tool) {
	t.Helper()
	f := newFake()
	f.secret, f.measurementID, f.app = d.APISecret, d.MeasurementID, d.FirebaseAppID
	f.debug, f.allowOld = d.Debug, d.AllowOld
	if d.Region == "eu" {
		f.host = "region1.google-analytics.com" // sheet: Settings, Region
	}
	for key, v := range map[string]string{"ad_user_data": d.AdUserData, "ad_personalization": d.AdPersonalization} {
		if v != "" && f.consent == nil {
			f.consent = map[string]any{}
		}
		if v != "" {
			f.consent[key] = v // sheet: Settings, AdUserData
		}
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
	return event(t, n, fmt.Sprintf(`"type":"track","userId":%q,"event":%q,"properties":{"n":%d,"note":%q}`, user, name, n, content))
}

const product = `"product_id":"p1","name":"LP","price":20,"quantity":1`

// mixed are messages of all kinds of one client.
func mixed(t testing.TB) []*analytics.Event {
	t.Helper()
	const who = `"anonymousId":"a1","userId":"u1"`
	return []*analytics.Event{
		event(t, 1, `"type":"track","event":"E1","properties":{"note":"`+content+`"},`+who),
		event(t, 2, `"type":"page","properties":{"url":"https://shop.example/2"},`+who),
		event(t, 3, `"type":"screen","name":"S3",`+who),
		event(t, 4, `"type":"group","groupId":"org-4",`+who),
		event(t, 5, `"type":"track","event":"Order Completed","properties":{"order_id":"o-5","total":"25","currency":"eur","products":[{`+product+`}]},`+who),
		event(t, 6, `"type":"track","event":"Product Added","properties":{`+product+`},`+who),
	}
}

// mixedNames are the events that mixed become. Sheet: Mapping.
var mixedNames = []string{"E1", "page_view", "screen_view", "join_group", "purchase", "add_to_cart"}

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
		d := &ga4.Destination{MeasurementID: "G-TEST12345", APISecret: "ga4_secret", AllowOld: true}
		f, tool := start(t, d)
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	})
}

func TestDescription(t *testing.T) {
	is := settings().Describe()
	require.Equal(t, "Google Analytics 4", is.Name)
	require.ElementsMatch(t, []string{"Google Analytics 4 Cloud", "GA4"}, is.Aliases)
	require.Equal(t, analytics.Unordered, is.Order) // sheet: Limits, order not needed
	require.Len(t, is.Lanes, 1)
	l := is.Lanes[""]
	require.Equal(t, 25, l.MaxItems)                                          // sheet: Limits, 25 events per request
	require.True(t, l.MaxBytes > 0 && l.MaxBytes < 130_000, "%d", l.MaxBytes) // sheet: Limits, body < 130 kB
	require.Empty(t, l.Rates)                                                 // sheet: Limits, no published rate limit
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
		{"204 is delivered", 204, nil, ``, analytics.WordDelivered, 0},
		{"200 is delivered", 200, nil, `{"validationMessages":[{"description":"x"}]}`, analytics.WordDelivered, 0},
		{"202 is delivered", 202, nil, `<html>`, analytics.WordDelivered, 0},
		{"408 is tried again", 408, nil, ``, analytics.WordAgain, 0},
		{"429 pauses", 429, nil, ``, analytics.WordRetryAfter, 0},
		{"429 pauses as long as it is told", 429, http.Header{"Retry-After": {"12"}}, ``, analytics.WordRetryAfter, 12 * time.Second},
		{"500 is tried again", 500, nil, ``, analytics.WordAgain, 0},
		{"502 is tried again", 502, nil, ``, analytics.WordAgain, 0},
		{"503 waits as long as it is told", 503, http.Header{"Retry-After": {"30"}}, ``, analytics.WordAgain, 30 * time.Second},
		{"504 is tried again", 504, nil, ``, analytics.WordAgain, 0},
		{"404 is never", 404, nil, ``, analytics.WordPermanent, 0},
		{"405 is never", 405, nil, ``, analytics.WordPermanent, 0},
		{"410 is never", 410, nil, ``, analytics.WordPermanent, 0},
		{"415 is never", 415, nil, ``, analytics.WordPermanent, 0},
		// README: Errors, retries, limits; the contract's table wins over the sheet's "other 4xx: reject"
		{"400 of several is split", 400, nil, ``, analytics.WordSplit, 0},
		{"413 is split", 413, nil, ``, analytics.WordSplit, 0},
		{"401 is unauthorized", 401, nil, ``, analytics.WordUnauthorized, 0},
		{"403 is unauthorized", 403, nil, ``, analytics.WordUnauthorized, 0},
		{"425 is tried again", 425, nil, ``, analytics.WordAgain, 0},
		{"423 pauses", 423, nil, ``, analytics.WordRetryAfter, 0},
		{"302 is never", 302, http.Header{"Location": {"https://elsewhere.example/"}}, ``, analytics.WordPermanent, 0},
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

func TestAFalseSecretIsNotFoundOut(t *testing.T) { // sheet: Responses, 2xx even if the secret is false
	d := settings()
	f, _ := start(t, d)
	f.secret = "another"
	require.True(t, desttest.DeliverBatch(t, d, batch(t, d, mixed(t)...)).All(analytics.WordDelivered))
	require.Empty(t, f.accepted)
	require.Empty(t, f.violations)
}

func TestRetriesAreTheSame(t *testing.T) {
	d := settings()
	f, tool := start(t, d)
	f.next(503, nil, ``)
	f.next(429, http.Header{"Retry-After": {"1"}}, ``)
	require.True(t, settle(t, d, batch(t, d, mixed(t)...)).All(analytics.WordDelivered))
	require.Equal(t, mixedNames, f.names())
	sent := tool.Requests()
	require.Len(t, sent, 3)
	require.Equal(t, string(sent[0].Body), string(sent[2].Body))

	require.True(t, settle(t, d, batch(t, d, mixed(t)[4])).All(analytics.WordDelivered)) // the answer was lost
	require.Equal(t, 1, f.duplicates)                                                    // sheet: Limits, transaction_id
}

func TestWhatIsTooLargeIsSplit(t *testing.T) { // README: 413
	d := settings()
	f, _ := start(t, d)
	f.next(413, nil, ``)
	f.next(413, nil, ``)
	require.True(t, settle(t, d, batch(t, d, mixed(t)...)).All(analytics.WordDelivered))
	require.Equal(t, mixedNames, f.names())
	require.Zero(t, f.duplicates)
}

// aged is message n, so old by the clock of the bubble.
func aged(t testing.TB, n int, age time.Duration) *analytics.Event {
	t.Helper()
	e := track(t, n, "u1", fmt.Sprintf("E%d", n))
	e.Timestamp = time.Now().Add(-age).UTC()
	return e
}

// recent opens the adapter as it is by default with a fake Google. In bubbles only.
func recent(t testing.TB) (*ga4.Destination, *fake, *desttest.Tool) {
	t.Helper()
	d := settings()
	d.AllowOld = false
	f, tool := start(t, d)
	return d, f, tool
}

func TestWhatIsTooOldIsRejectedAlone(t *testing.T) { // sheet: Limits, backdating
	const most = 72 * time.Hour
	synctest.Test(t, func(t *testing.T) {
		d, f, tool := recent(t)
		b := batch(t, d, aged(t, 1, 0), aged(t, 2, most+time.Millisecond), aged(t, 3, most), aged(t, 4, 100*most), aged(t, 5, time.Hour))
		results := desttest.DeliverBatch(t, d, b)
		require.Equal(t, []analytics.Word{0, analytics.WordPermanent, 0, analytics.WordPermanent, 0}, results.Words())
		require.Equal(t, []string{"E1", "E3", "E5"}, f.names())
		require.Empty(t, f.violations)
		require.Len(t, tool.Requests(), 1)

		results = desttest.DeliverBatch(t, d, batch(t, d, aged(t, 6, 2*most), aged(t, 7, 3*most)))
		require.True(t, results.All(analytics.WordPermanent))
		require.Len(t, tool.Requests(), 1) // there was nothing to send

		d = settings() // with AllowOld
		f, _ = start(t, d)
		require.True(t, desttest.DeliverBatch(t, d, batch(t, d, aged(t, 6, 2*most), aged(t, 7, 3*most))).All(analytics.WordDelivered))
		require.Equal(t, []string{"E6", "E7"}, f.names())
	})
}

func TestARejectedOneStaysRejectedWhereTheOthersFail(t *testing.T) {
	for status, word := range map[int]analytics.Word{
		503: analytics.WordAgain, 429: analytics.WordRetryAfter, 401: analytics.WordUnauthorized, 404: analytics.WordPermanent,
	} {
		synctest.Test(t, func(t *testing.T) {
			d, f, _ := recent(t)
			f.next(status, nil, ``)
			results := desttest.DeliverBatch(t, d, batch(t, d, aged(t, 1, time.Hour), aged(t, 2, 80*time.Hour), aged(t, 3, time.Hour)))
			require.Equal(t, []analytics.Word{word, analytics.WordPermanent, word}, results.Words(), status)
		})
	}
}

func TestASplitReachesThoseBesideOneThatIsTooOld(t *testing.T) { // contract: Split of an item is Permanent
	synctest.Test(t, func(t *testing.T) {
		d, f, _ := recent(t)
		f.next(413, nil, ``)
		got := map[string]analytics.Word{}
		for _, r := range settle(t, d, batch(t, d, aged(t, 1, 80*time.Hour), aged(t, 2, time.Hour), aged(t, 3, time.Hour), aged(t, 4, time.Hour))) {
			got[r.ID] = r.Word
		}
		require.Equal(t, map[string]analytics.Word{
			messageID(1): analytics.WordPermanent, messageID(2): analytics.WordDelivered,
			messageID(3): analytics.WordDelivered, messageID(4): analytics.WordDelivered,
		}, got)
		require.ElementsMatch(t, []string{"E2", "E3", "E4"}, f.names())
	})
}
