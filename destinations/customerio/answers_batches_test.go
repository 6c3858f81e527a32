package customerio_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func TestBatches(t *testing.T) {
	t.Run("the items of a batch are those of single requests in order", func(t *testing.T) {
		together, apart := settings(), settings()
		all, tool := start(t, together)
		one, _ := start(t, apart)
		require.True(t, desttest.Deliver(t, together, mixed(t)...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 1)
		for _, e := range mixed(t) {
			require.True(t, desttest.Deliver(t, apart, e).All(analytics.WordDelivered))
		}
		require.Equal(t, one.accepted, all.accepted)
		require.Equal(t, mixedLabels(), all.labels())
		require.Empty(t, all.violations)
	})
	t.Run("one more than the most makes two requests", func(t *testing.T) {
		d := settings()
		f, tool := start(t, d)
		var events []*analytics.Event
		for n := range d.Describe().Lanes[""].MaxItems + 1 {
			events = append(events, track(t, n, fmt.Sprintf("u%d", n), "E"))
		}
		require.True(t, desttest.Deliver(t, d, events...).All(analytics.WordDelivered))
		require.Len(t, tool.Requests(), 2)
		require.Len(t, f.accepted, len(events))
		require.Empty(t, f.violations)
	})
	t.Run("the same events twice are counted once", func(t *testing.T) { // sheet: Mapping, id dedupes events
		d := settings()
		f, _ := start(t, d)
		events := []*analytics.Event{track(t, 1, "u1", "E1"), track(t, 2, "u2", "E2"), mixed(t)[4], mixed(t)[5]}
		first := desttest.Translate(t, d, events...)
		require.Equal(t, first, desttest.Translate(t, d, events...))
		for range 2 {
			desttest.Deliver(t, d, events...)
		}
		require.Equal(t, len(events), f.duplicates)
		for i, it := range f.accepted[:4] {
			require.Equal(t, events[i].MessageID, it.dedupeKey())
		}
	})
}

func TestABodyIsNeverLargerThanAllowed(t *testing.T) {
	d := settings()
	f, tool := start(t, d)
	l := d.Describe().Lanes[""]
	fill := func(spare int) (events []*analytics.Event) {
		left := l.MaxBytes - l.Overhead - spare
		for n := 0; left > 0; n++ {
			size := min(left-l.ItemOverhead, l.MaxItemBytes)
			if rest := left - l.ItemOverhead - size; rest > 0 && rest < 5_000 {
				size -= 5_000 // what is left has to make an item
			}
			events = append(events, padded(t, d, n, size))
			left -= size + l.ItemOverhead
		}
		return events
	}
	require.True(t, desttest.Deliver(t, d, fill(0)...).All(analytics.WordDelivered))
	require.Len(t, tool.Requests(), 1)
	n := len(tool.Requests()[0].Body)
	require.LessOrEqual(t, n, l.MaxBytes)
	require.Greater(t, n, l.MaxBytes-50) // what is counted is what is sent, but for a comma
	require.True(t, desttest.Deliver(t, d, fill(-1)...).All(analytics.WordDelivered))
	require.Len(t, tool.Requests(), 3)
	require.Empty(t, f.violations)
}

// padded is a track event whose item has exactly so many bytes. None of its values is
// longer than 1,000.
func padded(t testing.TB, d analytics.Destination, n, size int) *analytics.Event {
	t.Helper()
	const part = 800 // bytes of a value
	build := func(parts, rest int) *analytics.Event {
		var b strings.Builder
		for i := range parts {
			fmt.Fprintf(&b, `"k%03d":%q,`, i, strings.Repeat("x", part))
		}
		return event(t, n, fmt.Sprintf(`"type":"track","userId":"u%d","event":"Padded","properties":{%s"rest":%q}`, n%10, b.String(), strings.Repeat("x", rest)))
	}
	const each = part + len(`"k000":"",`)
	room := size - desttest.Translate(t, d, build(0, 0))[0].Size
	e := build(room/each, room%each)
	require.Equal(t, size, desttest.Translate(t, d, e)[0].Size)
	return e
}

func TestIDs(t *testing.T) {
	long := strings.Repeat("x", 151) // sheet: Limits, ids ≤ 150 bytes
	for _, c := range []struct{ fact, event string }{
		// sheet: Identifiers, none is invalid; Differences, D5
		{"nobody's event", `"type":"track","event":"E"`},
		{"nobody's traits", `"type":"identify","traits":{"plan":"pro"}`},
		{"nobody's group", `"type":"group","groupId":"g1"`},
		{"nobody's device", `"type":"track","event":"Device Deleted","context":{"device":{"token":"t1"}}`},
		{"a page without an address", `"type":"page","userId":"u1","name":"Home"`}, // sheet: Mapping, page
		{"a screen without a name", `"type":"screen","userId":"u1"`},               // sheet: Mapping, screen
		{"an object without an id", `"type":"track","userId":"u1","event":"Object Deleted"`},
		{"a relationship without an id", `"type":"track","userId":"u1","event":"Relationship Deleted"`},
		{"a long userId", `"type":"track","event":"E","userId":"` + long + `"`},
		{"a long anonymousId", `"type":"track","event":"E","anonymousId":"` + long + `"`},
		{"a long groupId", `"type":"group","userId":"u1","groupId":"` + long + `"`},
		{"a long previousId", `"type":"alias","previousId":"` + long + `","userId":"u1"`},
		{"an object with a long id", `"type":"track","userId":"u1","event":"Object Deleted","properties":{"objectId":"` + long + `"}`},
		{"a relationship with a long id", `"type":"track","userId":"u1","event":"Relationship Deleted","properties":{"objectId":"` + long + `"}`},
	} {
		t.Run(c.fact+" is invalid", func(t *testing.T) {
			d := settings()
			start(t, d)
			_, err := d.Translate(event(t, 1, c.event))
			require.Error(t, err)
			require.NotErrorIs(t, err, analytics.ErrIgnored)
			desttest.CheckError(t, err, secret)
		})
	}
	for _, c := range []struct{ fact, event string }{
		{"a trait with the long id of an object", `"type":"identify","userId":"u1","traits":{"objectId":"` + long + `"}`},
		{"a long type of a group", `"type":"group","userId":"u1","groupId":"g1","traits":{"object_type_id":"` + long + `"}`},
		{"a userId that is a prefix only", `"type":"track","event":"E","userId":"cio_"`},
		{"an id of an object that is a number", `"type":"track","userId":"u1","event":"Object Deleted","properties":{"objectId":7,"objectTypeId":2}`},
	} {
		t.Run(c.fact+" does no harm", func(t *testing.T) {
			d := settings()
			f, _ := start(t, d)
			for _, it := range translated(t, d, desttest.Input{Event: event(t, 1, c.event)}) {
				desttest.DeliverBatch(t, d, &analytics.Batch{Items: []analytics.Item{it}})
			}
			require.Empty(t, f.violations)
		})
	}
}
