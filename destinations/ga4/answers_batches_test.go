package ga4_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/ga4"
)

func TestBatches(t *testing.T) {
	t.Run("kinds are mixed in one request", func(t *testing.T) { // sheet: Differences, D8
		d := settings()
		f, tool := start(t, d)
		require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 1)
		require.Equal(t, mixedNames, f.names())
		require.Empty(t, f.violations)
	})
	t.Run("the items of a batch are those of single requests in order", func(t *testing.T) {
		together, apart := settings(), settings()
		all, _ := start(t, together)
		one, tool := start(t, apart)
		desttest.Deliver(t, together, mixed(t)...)
		for _, e := range mixed(t) {
			desttest.Deliver(t, apart, e)
		}
		require.Len(t, tool.Requests(), len(mixedNames))
		require.Equal(t, one.accepted, all.accepted)
	})
	t.Run("one more than the most makes two requests", func(t *testing.T) {
		d := settings()
		f, tool := start(t, d)
		most := d.Describe().Lanes[""].MaxItems
		var events []*analytics.Event
		for n := range most + 1 {
			events = append(events, track(t, n, "u1", "E"))
		}
		require.True(t, desttest.Deliver(t, d, events...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 2)
		require.Len(t, f.accepted, most+1)
		require.Empty(t, f.violations)
	})
	t.Run("the same events twice are the same items", func(t *testing.T) {
		d, again := settings(), settings()
		f, _ := start(t, d)
		g, _ := start(t, again)
		require.Equal(t, bare(desttest.Translate(t, d, mixed(t)...)), bare(desttest.Translate(t, again, mixed(t)...)))
		desttest.Deliver(t, d, mixed(t)...)
		desttest.Deliver(t, again, mixed(t)...)
		require.Equal(t, f.accepted, g.accepted)
		require.Equal(t, "o-5", f.accepted[4].params["transaction_id"]) // sheet: Limits, the only dedupe key
	})
}

// bare are items without what travels beside their bodies.
func bare(items []analytics.Item) []analytics.Item {
	for i := range items {
		items[i].Data = nil
	}
	return items
}

func TestOnlyEventsOfOneClientShareARequest(t *testing.T) { // sheet: Limits, group by that key
	const same = `"type":"track","event":"E%d","anonymousId":"a1","userId":"u1"`
	for fact, other := range map[string]string{
		"another anonymousId":     `"type":"track","event":"E%d","anonymousId":"a2","userId":"u1"`,
		"another userId":          `"type":"track","event":"E%d","anonymousId":"a1","userId":"u2"`,
		"no userId":               `"type":"track","event":"E%d","anonymousId":"a1"`,
		"the option clientId":     same + `,"integrations":{"GA4":{"clientId":"c1"}}`,
		"user properties":         same + `,"integrations":{"GA4":{"userProperties":{"plan":"pro"}}}`,
		"an instance of the app":  same + `,"integrations":{"GA4":{"firebaseAppInstanceId":"a1"}}`,
		"ids that look like both": `"type":"track","event":"E%d","anonymousId":"a1u1"`,
	} {
		t.Run(fact, func(t *testing.T) {
			d := withEverything()
			f, tool := start(t, d)
			var events []*analytics.Event
			for n := range 6 {
				rest := []string{same, other}[n%2]
				events = append(events, event(t, n, fmt.Sprintf(rest, n)))
			}
			require.True(t, desttest.Deliver(t, d, events...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 2)
			require.Empty(t, f.violations)
			require.Equal(t, []string{"E0", "E2", "E4", "E1", "E3", "E5"}, f.names())
			require.Equal(t, f.accepted[0].envelope, f.accepted[2].envelope)
			require.NotEqual(t, f.accepted[0].envelope, f.accepted[3].envelope)
		})
	}
	t.Run("another session", func(t *testing.T) { // a session belongs to its event
		d := settings()
		_, tool := start(t, d)
		desttest.Deliver(t, d, event(t, 1, fmt.Sprintf(same, 1)), event(t, 2, fmt.Sprintf(same, 2)+`,"integrations":{"GA4":{"sessionId":"7"}}`))
		require.Len(t, tool.Requests(), 1)
	})
}

func TestABodyIsNeverLargerThanAllowed(t *testing.T) { // sheet: Limits, < 130 kB
	for name, build := range map[string]func() *ga4.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			d := build()
			f, tool := start(t, d)
			l := d.Describe().Lanes[""]
			require.True(t, desttest.Deliver(t, d, full(t, d, 0)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 1)
			n := len(tool.Requests()[0].Body)
			require.LessOrEqual(t, n, l.MaxBytes)
			require.Greater(t, n, l.MaxBytes-10_000) // what all events share may be counted with each
			require.True(t, desttest.Deliver(t, d, full(t, d, 1)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 3)
			require.Empty(t, f.violations)
		})
	}
}

// full are 20 events of one client that fill a request to the last byte and so many
// more.
func full(t testing.TB, d analytics.Destination, more int) (events []*analytics.Event) {
	t.Helper()
	const count = 20
	l := d.Describe().Lanes[""]
	left := l.MaxBytes - l.Overhead - count*l.ItemOverhead + more
	for n := range count {
		size := left / (count - n)
		events = append(events, padded(t, d, n+100*more, size))
		left -= size
	}
	return events
}

// padded is an order whose item has exactly so many bytes: its products have texts of
// up to 100 characters.
func padded(t testing.TB, d analytics.Destination, n, size int) *analytics.Event {
	t.Helper()
	const longest = 100
	keys := []string{"product_id", "name", "brand", "category", "variant", "affiliation", "coupon"}
	build := func(products, pad int) *analytics.Event {
		var list []string
		for range products {
			var fields []string
			for _, key := range keys {
				some := min(pad, longest-1)
				pad -= some
				fields = append(fields, fmt.Sprintf("%q:%q", key, strings.Repeat("x", 1+some)))
			}
			list = append(list, "{"+strings.Join(fields, ",")+"}")
		}
		require.Zero(t, pad)
		return event(t, n, fmt.Sprintf(`"type":"track","userId":"u1","event":"Order Completed","properties":{"order_id":"o-%04d","currency":"EUR","products":[%s]}`,
			n, strings.Join(list, ",")))
	}
	products := 1
	for ; ; products++ {
		pad := size - desttest.Translate(t, d, build(products, 0))[0].Size
		if pad <= products*len(keys)*(longest-1) {
			e := build(products, pad)
			require.Equal(t, size, desttest.Translate(t, d, e)[0].Size)
			return e
		}
	}
}

// sent is what the only event becomes.
func sent(t testing.TB, d *ga4.Destination, rest string) record {
	t.Helper()
	f, _ := start(t, d)
	require.True(t, desttest.Deliver(t, d, event(t, 1, rest)).All(analytics.WordDelivered))
	require.Empty(t, f.violations)
	require.Len(t, f.accepted, 1)
	return f.accepted[0]
}

func TestAppsAndSites(t *testing.T) { // sheet: Settings, FirebaseAppID; Ids, times, session
	const site = `"type":"track","event":"E","anonymousId":"a1","userId":"u1"`
	const app = site + `,"integrations":{"Google Analytics 4":{"firebaseAppInstanceId":"i1"}}`
	require.JSONEq(t, `{"client_id":"a1","user_id":"u1"}`, sent(t, settings(), site).envelope)
	require.JSONEq(t, `{"client_id":"a1","user_id":"u1"}`, sent(t, settings(), app).envelope) // there is no app
	both := func() *ga4.Destination {
		return &ga4.Destination{APISecret: secret, MeasurementID: measurementID, FirebaseAppID: appID, AllowOld: true}
	}
	require.JSONEq(t, `{"app_instance_id":"i1","user_id":"u1"}`, sent(t, both(), app).envelope)
	require.JSONEq(t, `{"client_id":"a1","user_id":"u1"}`, sent(t, both(), site).envelope)

	only := both()
	only.MeasurementID = ""
	f, tool := start(t, only)
	require.True(t, desttest.Deliver(t, only, event(t, 1, app)).All(analytics.WordDelivered))
	require.Equal(t, "https://www.google-analytics.com/mp/collect?api_secret="+escaped+"&firebase_app_id="+appID, tool.Requests()[0].URL)
	require.Empty(t, f.violations)
	_, err := only.Translate(event(t, 1, site))
	require.Error(t, err) // no stream takes it
	desttest.CheckError(t, err, secret)
}

func TestWhoTheClientIs(t *testing.T) { // sheet: Ids, times, session; Differences, D1 and D2
	for rest, want := range map[string]string{
		`"anonymousId":"a1","userId":"u1"`: `{"client_id":"a1","user_id":"u1"}`,
		`"anonymousId":"a1"`:               `{"client_id":"a1"}`,
		`"userId":"u1"`:                    `{"client_id":"u1","user_id":"u1"}`,
		`"anonymousId":"a1","integrations":{"GA4":{"clientId":"c1"}}`: `{"client_id":"c1"}`,
		`"integrations":{"Google Analytics 4":{"clientId":"c1"}}`:     `{"client_id":"c1"}`,
	} {
		require.JSONEq(t, want, sent(t, settings(), `"type":"track","event":"E",`+rest).envelope)
	}
	_, err := settings().Translate(event(t, 1, `"type":"track","event":"E"`))
	require.Error(t, err) // none is invalid
	require.NotErrorIs(t, err, analytics.ErrIgnored)
	desttest.CheckError(t, err, secret)
}

func TestSettingsAreSent(t *testing.T) { // sheet: Settings
	d := withEverything()
	f, tool := start(t, d)
	require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
	require.Empty(t, f.violations) // the fake checks the consent
	require.Equal(t, "https://region1.google-analytics.com/mp/collect?api_secret="+escaped+"&measurement_id="+measurementID, tool.Requests()[0].URL)
	require.Contains(t, f.accepted[0].envelope, `"ad_personalization":"DENIED"`)

	rest := `"type":"track","userId":"u1","event":"E","properties":{"email":"ann@example.com","zip":"1","plan":"pro"}`
	require.Equal(t, []string{"email", "engagement_time_msec", "plan", "zip"}, slices.Sorted(maps.Keys(sent(t, withEverything(), rest).params)))
	require.Equal(t, []string{"engagement_time_msec", "plan"}, slices.Sorted(maps.Keys(sent(t, settings(), rest).params))) // sheet: Differences, D5
}

func TestWhatIsNotForGoogle(t *testing.T) { // sheet: Mapping, identify and alias
	d := settings()
	_, tool := start(t, d)
	require.Empty(t, desttest.Deliver(t, d,
		event(t, 1, `"type":"identify","userId":"u1","traits":{"plan":"pro"}`), event(t, 2, `"type":"alias","userId":"u1","previousId":"a1"`)))
	require.Empty(t, tool.Requests())
}
