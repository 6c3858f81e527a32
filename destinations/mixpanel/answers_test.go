package mixpanel_test

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
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/mixpanel"
)

const (
	token         = "mp-token-4710" // no secret: it is in web pages
	apiSecret     = "mp-secret-4711"
	serviceSecret = "mp-service-4712"
	content       = "content-of-an-event" // must never be in an error
)

func settings() *mixpanel.Destination {
	return &mixpanel.Destination{ProjectToken: token, APISecret: apiSecret}
}

func withEverything() *mixpanel.Destination {
	return &mixpanel.Destination{
		ProjectToken: token, ServiceAccount: "service-1", ServiceSecret: serviceSecret, ProjectID: "77",
		Region: "eu", GroupKey: "company_id", OriginalIDMerge: true, Gzip: true,
	}
}

// start opens d with a fake Mixpanel.
func start(t testing.TB, d *mixpanel.Destination) (*fake, *desttest.Tool) {
	t.Helper()
	f := newFake()
	f.token, f.aliases, f.groupKey = d.ProjectToken, d.OriginalIDMerge, cmp.Or(d.GroupKey, f.groupKey)
	// sheet: Settings, the user of the import
	f.user, f.secret, f.project = cmp.Or(d.ServiceAccount, d.APISecret, d.ProjectToken), d.ServiceSecret, d.ProjectID
	switch d.Region { // sheet: Requests, hosts
	case "eu":
		f.host = "api-eu.mixpanel.com"
	case "in":
		f.host = "api-in.mixpanel.com"
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

// identify becomes an item for the lane of identities and one for that of profiles.
func identify(t testing.TB, n int, user string) *analytics.Event {
	t.Helper()
	return message(t, n, fmt.Sprintf(`"type":"identify","userId":%q,"anonymousId":"visitor-%d","traits":{"plan":%q,"n":%d}`, user, n, content, n))
}

func group(t testing.TB, n int, id string) *analytics.Event {
	t.Helper()
	return message(t, n, fmt.Sprintf(`"type":"group","userId":"u","groupId":%q,"traits":{"note":%q,"n":%d}`, id, content, n))
}

// lanes are the lanes with the endpoint of each.
var lanes = map[string]string{"events": "/import", "identity": "/track", "profiles": "/engage", "groups": "/groups"}

// four are messages that become one item each for a lane, but for identify, whose other
// item is left out by batch.
func four(t testing.TB, lane string) (events []*analytics.Event) {
	for n := 1; n <= 4; n++ {
		who := fmt.Sprintf("who-%d", n)
		switch lane {
		case "events":
			events = append(events, track(t, n, who, fmt.Sprintf("E%d", n)))
		case "groups":
			events = append(events, group(t, n, who))
		default:
			events = append(events, identify(t, n, who))
		}
	}
	return events
}

// batch is the one batch that the events make for a lane.
func batch(t testing.TB, d analytics.Destination, lane string, events ...*analytics.Event) *analytics.Batch {
	t.Helper()
	all := desttest.Batches(t, d, desttest.Translate(t, d, events...))
	all = slices.DeleteFunc(all, func(b *analytics.Batch) bool { return b.Lane != lane })
	require.Len(t, all, 1)
	return all[0]
}

// mixed are messages of all kinds, but for alias. The order has three events.
func mixed(t testing.TB) []*analytics.Event {
	return []*analytics.Event{
		track(t, 1, "u1", "E1"), identify(t, 2, "u2"), group(t, 3, "g3"), track(t, 4, "u4", "E4"),
		message(t, 5, `"type":"page","anonymousId":"a5","name":"P5"`), message(t, 6, `"type":"screen","userId":"u6"`),
		message(t, 7, `"type":"track","userId":"u7","event":"Order Completed","properties":{"revenue":25,"products":[
			{"product_id":"p1","price":20,"quantity":1},{"product_id":"p2","price":2.5,"quantity":2}]}`),
	}
}

// mixedLabels are what the fake knows the items of mixed by, those of each endpoint in
// their order. Sheet: the table of calls.
func mixedLabels() []string {
	return []string{
		"E1", "E4", "Viewed P5", "Viewed Screen", "Order Completed", "Product Purchased", "Product Purchased", "$identify", "/engage", "/groups",
	}
}

// who tells of the items for somebody.
func who(ids ...string) func(item) bool {
	return func(it item) bool {
		p := it.properties()
		id := cmp.Or(it.text("$distinct_id"), it.text("$group_id"))
		for _, key := range []string{"distinct_id", "$identified_id"} {
			s, _ := p[key].(string)
			id = cmp.Or(id, s)
		}
		return slices.Contains(ids, id)
	}
}

func TestFixtures(t *testing.T) {
	desttest.Fixtures(t, "testdata/examples.json", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &mixpanel.Destination{ProjectToken: "mp_token", APISecret: "mp_secret"}
		f, tool := start(t, d)
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	})
}

func TestDescription(t *testing.T) {
	for name, d := range map[string]*mixpanel.Destination{"few settings": settings(), "all settings": withEverything()} {
		is := d.Describe()
		require.Equal(t, "Mixpanel", is.Name, name)
		require.ElementsMatch(t, []string{"Mixpanel (Actions)", "Actions Mixpanel"}, is.Aliases)
		require.Equal(t, analytics.Unordered, is.Order) // sheet: Limits, order is not needed
		require.Len(t, is.Lanes, len(lanes))
		for lane := range lanes {
			l := is.Lanes[lane]
			require.True(t, l.MaxItems > 0 && l.MaxItems <= 2000, "%s: %d items", lane, l.MaxItems) // sheet: Limits
		}
		l := is.Lanes["events"]
		require.Equal(t, 2_000_000, l.MaxBytes) // sheet: Limits, default to 2 MB
		require.True(t, l.MaxItemBytes > 0 && l.MaxItemBytes <= 1_000_000, "%d bytes", l.MaxItemBytes)
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
		{"401 is the key", 401, nil, `{"error":"unauthorized"}`, analytics.WordUnauthorized, 0}, // sheet: Responses, 401
		{"413 splits", 413, nil, ``, analytics.WordSplit, 0},                                    // sheet: Responses, 413
		// sheet: Responses, 429, 502, 503
		{"429 waits for the backoff", 429, nil, `{"code":429}`, analytics.WordRetryAfter, 0},
		{"429 waits for its Retry-After", 429, http.Header{"Retry-After": {"7"}}, ``, analytics.WordRetryAfter, 7 * time.Second},
		{"502 is tried again", 502, nil, `<html>`, analytics.WordAgain, 0},
		{"503 is tried again after its Retry-After", 503, http.Header{"Retry-After": {"5"}}, ``, analytics.WordAgain, 5 * time.Second},
		// the contract's table, where the sheet says nothing
		{"403 is the key", 403, nil, ``, analytics.WordUnauthorized, 0},
		{"408 is tried again", 408, nil, ``, analytics.WordAgain, 0},
		{"500 is tried again", 500, nil, ``, analytics.WordAgain, 0},
		{"504 is tried again", 504, nil, ``, analytics.WordAgain, 0},
		{"422 splits", 422, nil, ``, analytics.WordSplit, 0},
		{"302 is not followed", 302, http.Header{"Location": {"https://elsewhere.example/"}}, ``, analytics.WordPermanent, 0},
		{"404 is never", 404, nil, ``, analytics.WordPermanent, 0},
		{"410 is never", 410, nil, ``, analytics.WordPermanent, 0},
		{"501 is never", 501, nil, ``, analytics.WordPermanent, 0},
	} {
		for lane := range lanes {
			t.Run(c.fact+" by "+lane, func(t *testing.T) {
				d := settings()
				f, tool := start(t, d)
				f.next(c.status, c.header, c.body)
				results := desttest.DeliverBatch(t, d, batch(t, d, lane, four(t, lane)...))
				require.True(t, results.All(c.word), "%v", results.Words())
				for _, r := range results {
					require.Equal(t, c.after, r.After)
				}
				require.Len(t, tool.Requests(), 1)
			})
		}
	}
}

// Sheet: Responses, 400 /import: a partial success. Listed indexes are rejected, the
// others delivered.
func TestAnswersOfTheImport(t *testing.T) {
	for _, c := range []struct {
		fact     string
		status   int
		body     string
		rejected []int
	}{
		{"200 is delivered", 200, `{"code":200,"num_records_imported":4,"status":"OK"}`, nil},
		{"400 rejects the one that it names", 400, `{"num_records_imported":3,"failed_records":[{"index":1,"insert_id":"x","field":"properties.time","message":"m"}]}`, []int{1}},
		{"400 rejects several", 400, `{"num_records_imported":2,"failed_records":[{"index":3},{"index":0}]}`, []int{0, 3}},
		{"400 can name one twice", 400, `{"num_records_imported":3,"failed_records":[{"index":2,"field":"a"},{"index":2,"field":"b"}]}`, []int{2}},
		{"400 can name all", 400, `{"num_records_imported":0,"failed_records":[{"index":0},{"index":1},{"index":2},{"index":3}]}`, []int{0, 1, 2, 3}},
		{"an index outside is nobody's", 400, `{"num_records_imported":3,"failed_records":[{"index":1},{"index":4},{"index":-1}]}`, []int{1}},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := settings()
			f, tool := start(t, d)
			f.next(c.status, nil, c.body)
			for i, r := range desttest.DeliverBatch(t, d, batch(t, d, "events", four(t, "events")...)) {
				want := analytics.WordDelivered
				if slices.Contains(c.rejected, i) {
					want = analytics.WordPermanent
				}
				require.Equal(t, want, r.Word, "item %d", i)
			}
			require.Len(t, tool.Requests(), 1)
		})
	}
	// sheet: Responses, 400 without a list: reject all; by the contract's table that
	// begins with a search for the bad one
	for fact, body := range map[string]string{
		"400 without a list splits":        `{"code":400,"error":"invalid JSON","status":"Bad Request"}`,
		"400 with an empty list splits":    `{"code":400,"num_records_imported":0,"failed_records":[]}`,
		"400 that names nobody splits":     `{"code":400,"failed_records":[{"index":4},{"index":-1},{"field":"properties"}]}`,
		"400 whose list is no list splits": `{"code":400,"failed_records":{"index":0}}`,
		"400 that is no JSON splits":       `<html>`,
	} {
		t.Run(fact, func(t *testing.T) {
			d := settings()
			f, _ := start(t, d)
			f.next(400, nil, body)
			require.True(t, desttest.DeliverBatch(t, d, batch(t, d, "events", four(t, "events")...)).All(analytics.WordSplit))
		})
	}
	t.Run("splitting finds the bad one", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		f.blind, f.bad = true, who("who-2")
		for i, r := range settle(t, d, batch(t, d, "events", four(t, "events")...)) {
			require.Equal(t, i == 1, r.Word == analytics.WordPermanent)
		}
		require.Equal(t, []string{"E1", "E3", "E4"}, f.labels())
		require.Zero(t, f.duplicates)
	})
	t.Run("a partial success keeps each good event once", func(t *testing.T) {
		d := settings()
		f, tool := start(t, d)
		f.bad = who("who-2")
		for i, r := range settle(t, d, batch(t, d, "events", four(t, "events")...)) {
			require.Equal(t, i == 1, r.Word == analytics.WordPermanent)
		}
		require.Equal(t, []string{"E1", "E3", "E4"}, f.labels())
		require.Zero(t, f.duplicates)
		require.Len(t, tool.Requests(), 1)
	})
	t.Run("events that are too early or too late cost nobody else", func(t *testing.T) { // sheet: Limits, time
		d := settings()
		f, tool := start(t, d)
		events := four(t, "events")
		events[1].Timestamp = time.Date(1971, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600)) // still 1970 in UTC
		events[3].Timestamp = f.now.Add(2 * time.Hour)
		var items []analytics.Item
		for _, e := range events {
			items = append(items, translated(t, d, desttest.Input{Event: e})...)
		}
		for _, r := range settle(t, d, desttest.Batches(t, d, items)[0]) {
			bad := r.ID == messageID(2) || r.ID == messageID(4)
			require.Equal(t, bad, r.Word == analytics.WordPermanent)
		}
		require.Equal(t, []string{"E1", "E3"}, f.labels())
		require.Len(t, tool.Requests(), 1)
	})
	t.Run("the year counts in UTC", func(t *testing.T) { // sheet: Limits, time before 1971
		d := settings()
		f, _ := start(t, d)
		e := desttest.Event(t, `{"type":"track","messageId":"m-1","userId":"u1","event":"E","timestamp":"1970-12-31T20:00:00-05:00"}`)
		require.True(t, desttest.Deliver(t, d, e).All(analytics.WordDelivered))
		require.Empty(t, f.violations)
	})
	t.Run("413 halves until one is left, which is rejected", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		for range 3 { // four, the first two, the first
			f.next(413, nil, ``)
		}
		for i, r := range settle(t, d, batch(t, d, "events", four(t, "events")...)) {
			require.Equal(t, i == 0, r.Word == analytics.WordPermanent)
		}
		require.Equal(t, []string{"E2", "E3", "E4"}, f.labels())
		require.Zero(t, f.duplicates)
	})
}

// Sheet: Responses, 200 /engage, /groups, /track: the body says what the status does not.
func TestAnswersOfTheOthers(t *testing.T) {
	for lane, path := range lanes {
		if lane == "events" {
			continue
		}
		for _, c := range []struct {
			fact, body string
			word       analytics.Word
		}{
			{"status 1 is delivered", `{"status":1}`, analytics.WordDelivered},
			{"status 1 beside no error is delivered", `{"error":null,"status":1}`, analytics.WordDelivered},
			{"status 0 is rejected", `{"status":0,"error":"$distinct_id is missing"}`, analytics.WordPermanent},
			{"status 0 without an error too", `{"status":0}`, analytics.WordPermanent},
		} {
			t.Run(c.fact+" by "+lane, func(t *testing.T) {
				d := settings()
				f, tool := start(t, d)
				f.next(200, nil, c.body)
				b := batch(t, d, lane, four(t, lane)...)
				b.Items = b.Items[:1]
				results := desttest.DeliverBatch(t, d, b)
				if results[0].Word == analytics.WordSplit { // of one item
					results[0].Word = analytics.WordPermanent
				}
				require.Equal(t, []analytics.Word{c.word}, results.Words())
				require.Len(t, tool.Requests(), 1)
			})
		}
		t.Run("status 0 does not cost the others of the request by "+lane, func(t *testing.T) {
			d := settings()
			f, _ := start(t, d)
			f.bad = who("who-2")
			for i, r := range settle(t, d, batch(t, d, lane, four(t, lane)...)) {
				require.Equal(t, i == 1, r.Word == analytics.WordPermanent, "item %d", i)
			}
			require.Len(t, f.accepted, 3)
			for _, it := range f.accepted {
				require.Equal(t, path, it.path)
				require.False(t, who("who-2")(it))
			}
			require.Empty(t, f.violations)
		})
	}
}

// Sheet: Limits, dedupe key: a retry must be identical in what makes it.
func TestRetriesAreIdentical(t *testing.T) {
	for lane := range lanes {
		d := settings()
		f, tool := start(t, d)
		f.next(503, nil, ``)
		f.next(429, http.Header{"Retry-After": {"1"}}, ``)
		require.True(t, settle(t, d, batch(t, d, lane, four(t, lane)...)).All(analytics.WordDelivered), lane)
		requests := tool.Requests()
		require.Len(t, requests, 3)
		require.Equal(t, string(requests[0].Body), string(requests[1].Body))
		require.Equal(t, string(requests[0].Body), string(requests[2].Body))
		require.Len(t, f.accepted, 4)
		require.Zero(t, f.duplicates)
	}
}

func TestBatches(t *testing.T) {
	t.Run("the items of a batch are those of single requests in order", func(t *testing.T) {
		together, apart := settings(), settings()
		all, tool := start(t, together)
		one, _ := start(t, apart)
		require.True(t, desttest.Deliver(t, together, mixed(t)...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), len(lanes)) // one for each endpoint
		for _, e := range mixed(t) {
			require.True(t, desttest.Deliver(t, apart, e).All(analytics.WordDelivered))
		}
		byPath := func(a, b item) int { return strings.Compare(a.path, b.path) }
		slices.SortStableFunc(one.accepted, byPath)
		slices.SortStableFunc(all.accepted, byPath)
		require.Equal(t, one.accepted, all.accepted)
		require.ElementsMatch(t, mixedLabels(), all.labels())
		require.Empty(t, all.violations)
		require.Zero(t, all.duplicates)
	})
	for lane := range lanes {
		t.Run("one more than the most makes two requests by "+lane, func(t *testing.T) {
			d := settings()
			f, tool := start(t, d)
			var items []analytics.Item
			for n := range d.Describe().Lanes[lane].MaxItems + 1 {
				e := four(t, lane)[0]
				e.MessageID = messageID(n)
				items = append(items, desttest.Translate(t, d, e)...)
			}
			items = slices.DeleteFunc(items, func(it analytics.Item) bool { return it.Lane != lane })
			for _, b := range desttest.Batches(t, d, items) {
				require.True(t, desttest.DeliverBatch(t, d, b).All(analytics.WordDelivered))
			}
			require.Len(t, tool.Requests(), 2)
			require.Len(t, f.accepted, len(items))
			require.Empty(t, f.violations)
		})
	}
	t.Run("the same events twice are counted once", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		events := append(mixed(t), message(t, 8, `"type":"track","userId":"u8","event":"E8"`))
		events[7].MessageID = "not an insert_id: " + content
		first := desttest.Translate(t, d, events...)
		require.Equal(t, first, desttest.Translate(t, d, events...))
		for range 2 {
			require.True(t, desttest.Deliver(t, d, events...).All(analytics.WordDelivered))
		}
		imported := slices.DeleteFunc(f.accepted, func(it item) bool { return it.path != "/import" })
		require.Equal(t, len(imported), 2*f.duplicates)
		require.Equal(t, 8, f.duplicates)
		ids := map[string]bool{}
		for _, it := range first {
			require.False(t, ids[it.Lane+it.ID], "%s twice", it.ID)
			ids[it.Lane+it.ID] = true
		}
	})
}
