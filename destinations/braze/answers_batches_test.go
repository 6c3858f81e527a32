package braze_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func TestBatches(t *testing.T) {
	t.Run("kinds are mixed in one request", func(t *testing.T) { // sheet: Differences, D5
		d, events := settings(), mixed(t)
		f, tool := start(t, d)
		require.True(t, desttest.Deliver(t, d, events...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 1)
		var lists map[string][]json.RawMessage
		require.NoError(t, json.Unmarshal(tool.Requests()[0].Body, &lists))
		require.Len(t, lists["attributes"], 2)
		require.Len(t, lists["events"], 2)
		require.Len(t, lists["purchases"], 2)
		require.Empty(t, f.violations)
	})
	t.Run("the items of a batch are those of single requests in order", func(t *testing.T) {
		together, apart := settings(), settings()
		all, _ := start(t, together)
		one, _ := start(t, apart)
		desttest.Deliver(t, together, mixed(t)...)
		for _, e := range mixed(t) {
			desttest.Deliver(t, apart, e)
		}
		for _, kind := range []string{"attributes", "events", "purchases"} {
			ofKind := func(o object) bool { return o.kind != kind }
			require.Equal(t, slices.DeleteFunc(slices.Clone(one.accepted), ofKind), slices.DeleteFunc(slices.Clone(all.accepted), ofKind))
		}
		require.Equal(t, []string{"E2", "E4"}, all.labels("events"))
		require.Equal(t, []string{"p1", "p2"}, all.labels("purchases"))
	})
	t.Run("one more than the most makes two requests", func(t *testing.T) {
		d := withEverything()
		f, tool := start(t, d)
		most, mostAliases := d.Describe().Lanes[""].MaxItems, d.Describe().Lanes["aliases"].MaxItems
		var tracks, aliases []*analytics.Event
		for n := range most + 1 {
			tracks = append(tracks, track(t, n, fmt.Sprintf("u%d", n), "E"))
		}
		for n := range mostAliases + 1 {
			aliases = append(aliases, alias(t, n, fmt.Sprintf("u%d", n)))
		}
		require.True(t, desttest.Deliver(t, d, tracks...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 2)
		require.True(t, desttest.Deliver(t, d, aliases...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 4)
		require.Len(t, f.labels("user_aliases"), mostAliases+1)
		require.Empty(t, f.violations)
	})
	t.Run("an order of many products is cut at 75 objects", func(t *testing.T) { // sheet: Limits, 75 objects
		var products []string
		for n := range 100 {
			products = append(products, fmt.Sprintf("p%d", n))
		}
		d := settings()
		f, tool := start(t, d)
		require.True(t, desttest.Deliver(t, d, track(t, 1, "u1", "E"), order(t, 2, "u1", products...)).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 2)
		require.Equal(t, products, f.labels("purchases"))
		require.Empty(t, f.violations)
	})
	t.Run("the same events twice are the same items", func(t *testing.T) {
		d := withEverything()
		start(t, d)
		events := append(mixed(t), alias(t, 6, "u1"))
		require.Equal(t, desttest.Translate(t, d, events...), desttest.Translate(t, d, events...))
	})
}

func TestABodyIsNeverLargerThanAllowed(t *testing.T) {
	d := settings()
	f, tool := start(t, d)
	l := d.Describe().Lanes[""]
	most := cmp.Or(l.MaxBytes, 1_000_000)
	fill := func(spare int) (events []*analytics.Event) {
		left := most - l.Overhead - spare
		for n := 0; left > 0; n++ {
			size := min(left-l.ItemOverhead, l.MaxItemBytes)
			if rest := left - l.ItemOverhead - size; rest > 0 && rest < 10_000 {
				size -= 10_000 // what is left has to make an item
			}
			events = append(events, padded(t, d, n, size))
			left -= size + l.ItemOverhead
		}
		return events
	}
	require.True(t, desttest.Deliver(t, d, fill(0)...).All(analytics.WordDelivered))
	require.Len(t, tool.Requests(), 1)
	n := len(tool.Requests()[0].Body)
	require.LessOrEqual(t, n, most)
	require.Greater(t, n, most-200) // the rest is the room for the other lists
	require.True(t, desttest.Deliver(t, d, fill(-1)...).All(analytics.WordDelivered))
	require.Len(t, tool.Requests(), 3)
	require.Empty(t, f.violations)
}

// padded is a track event whose item has exactly so many bytes. Its texts are no longer
// than 255 characters.
func padded(t testing.TB, d analytics.Destination, n, size int) *analytics.Event {
	t.Helper()
	const part = 250 // characters
	build := func(parts, rest int) *analytics.Event {
		list := strings.TrimSuffix(strings.Repeat(`"`+strings.Repeat("x", part)+`",`, parts), ",")
		return event(t, n, fmt.Sprintf(`"type":"track","userId":"u%d","event":"Padded","properties":{"list":[%s],"rest":%q}`, n%10, list, strings.Repeat("x", rest)))
	}
	room := size - desttest.Translate(t, d, build(1, 0))[0].Size
	parts := 1 + room/(part+3)
	e := build(parts, room%(part+3))
	require.Equal(t, size, desttest.Translate(t, d, e)[0].Size)
	return e
}

func TestWhoseAnObjectIs(t *testing.T) { // sheet: Mapping, identity of every object; Settings, AnonymousAliasLabel
	for _, c := range []struct {
		fact, event string
		want        string // JSON; empty: invalid
		label       string
	}{
		{"userId is the external_id", `"type":"track","event":"E","userId":"u1","anonymousId":"a1"`, `{"external_id":"u1"}`, "anonymous"},
		{"an e-mail is enough", `"type":"track","event":"E","anonymousId":"a1","properties":{"email":"ann@example.com"}`, `{"email":"ann@example.com"}`, ""},
		{"the e-mail of the context comes first", `"type":"track","event":"E","properties":{"email":"b@example.com"},"context":{"traits":{"email":"a@example.com"}}`, `{"email":"a@example.com"}`, ""},
		{"a braze_id is enough", `"type":"track","event":"E","properties":{"braze_id":"b1"}`, `{"braze_id":"b1"}`, ""},
		{"the anonymousId is an alias where it has a label", `"type":"identify","anonymousId":"a1"`, `{"user_alias":{"alias_name":"a1","alias_label":"anonymous"}}`, "anonymous"},
		{"nobody's event is invalid", `"type":"track","event":"E","anonymousId":"a1"`, ``, ""},
		{"nobody's attributes are invalid", `"type":"identify","anonymousId":"a1","traits":{"plan":"pro"}`, ``, ""},
		{"nobody's order is invalid", `"type":"track","event":"Order Completed","properties":{"products":[{"product_id":"p1","price":1}]}`, ``, ""},
	} {
		t.Run(c.fact, func(t *testing.T) {
			d := settings()
			d.AnonymousAliasLabel = c.label
			f, _ := start(t, d)
			e := event(t, 1, c.event)
			if c.want == "" {
				_, err := d.Translate(e)
				require.Error(t, err)
				desttest.CheckError(t, err, secret)
				require.NotErrorIs(t, err, analytics.ErrIgnored)
				return
			}
			require.True(t, desttest.Deliver(t, d, e).All(analytics.WordDelivered))
			require.Empty(t, f.violations)
			who := map[string]any{}
			for _, key := range []string{"external_id", "user_alias", "braze_id", "email"} {
				if v, ok := f.accepted[0].fields[key]; ok {
					who[key] = v
				}
			}
			got, err := json.Marshal(who)
			require.NoError(t, err)
			require.JSONEq(t, c.want, string(got))
		})
	}
}

func TestAliasIsIgnoredWithoutItsLabel(t *testing.T) { // sheet: Settings, AliasLabel
	d := settings()
	_, tool := start(t, d)
	require.Empty(t, desttest.Deliver(t, d, alias(t, 1, "u1")))
	require.Empty(t, tool.Requests())
}

func TestCurrencyOfAnOrder(t *testing.T) { // sheet: Mapping, track Order Completed; Differences, D1
	for want, products := range map[string]string{
		"CHF": `"currency":"eur","products":[{"product_id":"p1","price":1,"currency":"chf"}]`,
		"EUR": `"currency":"eur","products":[{"product_id":"p1","price":1}]`,
		"USD": `"products":[{"product_id":"p1","price":1}]`,
	} {
		d := settings()
		f, _ := start(t, d)
		desttest.Deliver(t, d, event(t, 1, `"type":"track","userId":"u1","event":"Order Completed","properties":{`+products+`}`))
		require.Empty(t, f.violations)
		require.Equal(t, want, f.accepted[0].fields["currency"])
	}
}
