package metacapi_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/metacapi"
)

func TestBatches(t *testing.T) {
	t.Run("kinds are mixed in one request", func(t *testing.T) {
		d, f, tool := start(t, settings())
		require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 1)
		require.Equal(t, mixedNames, f.names())
		require.Empty(t, f.violations)
	})
	t.Run("the items of a batch are those of single requests in order", func(t *testing.T) {
		together, all, _ := start(t, settings())
		apart, one, tool := start(t, settings())
		desttest.Deliver(t, together, mixed(t)...)
		for _, e := range mixed(t) {
			desttest.Deliver(t, apart, e)
		}
		require.Len(t, tool.Requests(), len(mixedNames))
		require.Equal(t, one.accepted, all.accepted)
	})
	t.Run("one more than the most makes two requests", func(t *testing.T) {
		d, f, tool := start(t, settings())
		most := d.Describe().Lanes[""].MaxItems
		var events []*analytics.Event
		for n := range most + 1 {
			events = append(events, track(t, n, fmt.Sprintf("u%d", n), "E"))
		}
		require.True(t, desttest.Deliver(t, d, events...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 2)
		require.Len(t, f.accepted, most+1)
		require.Empty(t, f.violations)
	})
	t.Run("the same events twice are the same items", func(t *testing.T) {
		d, f, _ := start(t, settings())
		again, g, _ := start(t, settings())
		require.Equal(t, desttest.Translate(t, d, mixed(t)...), desttest.Translate(t, again, mixed(t)...))
		desttest.Deliver(t, d, mixed(t)...)
		desttest.Deliver(t, again, mixed(t)...)
		require.Equal(t, f.ids(), g.ids())
		for i, id := range f.ids() {
			require.Equal(t, messageID(i+1), id) // sheet: Mapping, event_id is the messageId
		}
	})
}

func TestABodyIsNeverLargerThanCounted(t *testing.T) {
	for name, build := range map[string]func() *metacapi.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			d, f, tool := start(t, build())
			most := cmp.Or(d.Describe().Lanes[""].MaxBytes, 1_000_000)
			require.True(t, desttest.Deliver(t, d, full(t, d, 0)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 1)
			n := len(tool.Requests()[0].Body)
			require.LessOrEqual(t, n, most)
			require.Greater(t, n, most-100)
			require.True(t, desttest.Deliver(t, d, full(t, d, 1)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 3)
			require.Empty(t, f.violations)
		})
	}
}

// full are events that fill a request to the last byte and so many more.
func full(t testing.TB, d analytics.Destination, more int) (events []*analytics.Event) {
	t.Helper()
	l := d.Describe().Lanes[""]
	left := cmp.Or(l.MaxBytes, 1_000_000) - l.Overhead + more
	for n := 0; left > 0; n++ {
		size := min(left-l.ItemOverhead, cmp.Or(l.MaxItemBytes, 100_000))
		if rest := left - l.ItemOverhead - size; rest > 0 && rest < 10_000 {
			size -= 10_000 // what is left has to make an item
		}
		events = append(events, padded(t, d, n, size))
		left -= size + l.ItemOverhead
	}
	return events
}

// padded is a track event whose item has exactly so many bytes.
func padded(t testing.TB, d analytics.Destination, n, size int) *analytics.Event {
	t.Helper()
	build := func(pad int) *analytics.Event {
		return event(t, n, fmt.Sprintf(`"type":"track","userId":"u1","event":"Padded","properties":{"pad":%q}`, strings.Repeat("x", pad)))
	}
	e := build(1 + size - desttest.Translate(t, d, build(1))[0].Size)
	require.Equal(t, size, desttest.Translate(t, d, e)[0].Size)
	return e
}

// sent is what the only event becomes.
func sent(t *testing.T, d *metacapi.Destination, rest string) record {
	t.Helper()
	at, f, _ := start(t, d)
	require.True(t, desttest.Deliver(t, at, event(t, 1, rest)).All(analytics.WordDelivered))
	require.Empty(t, f.violations)
	require.Len(t, f.accepted, 1)
	return f.accepted[0]
}

func TestSettingsAreSent(t *testing.T) { // sheet: Settings
	d, f, tool := start(t, withEverything())
	require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
	require.Empty(t, f.violations) // the fake checks version, test code and limited data use
	require.Equal(t, "https://graph.facebook.com/v23.0/123321/events", tool.Requests()[0].URL)
	for _, r := range f.accepted {
		require.Equal(t, "app", r.fields["action_source"])
	}
	r := sent(t, withEverything(), `"type":"track","userId":"u1","event":"Trial Started"`)
	require.Equal(t, "StartTrial", r.name)
	r = sent(t, settings(), `"type":"track","userId":"u1","event":"Trial Started"`)
	require.Equal(t, "Trial Started", r.name)
}

func TestGenderAndCountryAreSentIfAskedFor(t *testing.T) { // sheet: Mapping, user_data
	rest := `"type":"track","userId":"u1","event":"E","context":{"traits":{"gender":%q,"address":{"country":"Germany"}}}`
	for gender, want := range map[string]any{"male": hash("m"), "M": hash("m"), "Female": hash("f"), "f": hash("f"), "other": nil} {
		who := sent(t, withEverything(), fmt.Sprintf(rest, gender)).userData
		require.Equal(t, want, who["ge"], gender)
		require.Equal(t, hash("de"), who["country"]) // the country's ISO code
		who = sent(t, settings(), fmt.Sprintf(rest, gender)).userData
		require.NotContains(t, who, "ge")
		require.NotContains(t, who, "country")
	}
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestWhatIsInvalid(t *testing.T) { // sheet: Mapping, and below its tables
	for fact, c := range map[string]struct{ rest, field string }{
		"a purchase without a currency":                 {`"type":"track","userId":"u1","event":"Order Completed","properties":{"revenue":1}`, "properties.currency"},
		"a purchase without a value":                    {`"type":"track","userId":"u1","event":"Order Completed","properties":{"currency":"EUR"}`, "properties.revenue"},
		"a checkout in an unknown currency":             {`"type":"track","userId":"u1","event":"Checkout Started","properties":{"currency":"XXQ"}`, "properties.currency"},
		"a page of a website without a browser":         {`"type":"page","userId":"u1","context":{"page":{"url":"https://shop.example/"}}`, "context.userAgent"},
		"a search on a website without a browser":       {`"type":"track","userId":"u1","event":"Products Searched","context":{"page":{"url":"https://shop.example/"}}`, "context.userAgent"},
		"a mapped event of a website without a browser": {`"type":"track","userId":"u1","event":"Trial Started","context":{"page":{"url":"https://shop.example/"}}`, "context.userAgent"},
		"nobody's event":                                {`"type":"track","event":"E","properties":{"a":1}`, ""},
	} {
		t.Run(fact, func(t *testing.T) {
			d, _, _ := start(t, settings())
			d.EventMap = map[string]string{"Trial Started": "StartTrial"}
			_, err := d.Translate(event(t, 1, c.rest))
			require.Error(t, err)
			require.NotErrorIs(t, err, analytics.ErrIgnored)
			desttest.CheckError(t, err, secret)
			var invalid *analytics.InvalidError
			require.ErrorAs(t, err, &invalid)
			if c.field != "" {
				require.Equal(t, c.field, invalid.Field)
			}
		})
	}
	custom := sent(t, settings(), `"type":"track","userId":"u1","event":"E","context":{"page":{"url":"https://shop.example/"}}`)
	require.Equal(t, "website", custom.fields["action_source"]) // a custom event needs no browser
}

func TestWhatMetaDropsIsLoggedWithoutContent(t *testing.T) { // sheet: Responses, 200 with fewer than sent
	synctest.Test(t, func(t *testing.T) {
		d, f := settings(), newFake()
		var log bytes.Buffer
		require.NoError(t, d.Open(analytics.Env{HTTP: desttest.Serve(f).Client(), Logger: slog.New(slog.NewTextHandler(&log, nil))}))
		b := batch(t, d, aged(t, 1, time.Hour), aged(t, 2, time.Hour))

		f.next(200, nil, received(2))
		require.True(t, desttest.DeliverBatch(t, d, b).All(analytics.WordDelivered))
		require.Empty(t, log.String())

		messages, err := json.Marshal([]string{content + " of " + secret})
		require.NoError(t, err)
		f.next(200, nil, fmt.Sprintf(`{"events_received":1,"messages":%s,"fbtrace_id":"A1b2"}`, messages))
		require.True(t, desttest.DeliverBatch(t, d, b).All(analytics.WordDelivered))
		require.NotEmpty(t, log.String())
		require.NotContains(t, log.String(), content)
		require.NotContains(t, log.String(), secret)
	})
}
