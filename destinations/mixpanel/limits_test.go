package mixpanel_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/mixpanel"
)

func TestABodyIsNeverLargerThanAllowed(t *testing.T) {
	for name, d := range map[string]*mixpanel.Destination{"few settings": settings(), "all settings": withEverything()} {
		t.Run(name, func(t *testing.T) {
			f, tool := start(t, d)
			l := d.Describe().Lanes["events"]
			fill := func(spare int) (events []*analytics.Event) {
				const parts = 5
				left := l.MaxBytes - l.Overhead - spare
				for n := range parts {
					size := left/(parts-n) - l.ItemOverhead
					events = append(events, padded(t, d, n, size))
					left -= size + l.ItemOverhead
				}
				return events
			}
			require.True(t, desttest.Deliver(t, d, fill(0)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 1)
			n := len(tool.Requests()[0].Body)
			require.LessOrEqual(t, n, l.MaxBytes)
			require.Greater(t, n, l.MaxBytes-10) // what is counted is what is sent, but for a comma
			require.True(t, desttest.Deliver(t, d, fill(-1)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 3)
			require.Empty(t, f.violations)
			require.Empty(t, f.refused)
		})
	}
}

// padded is a track event whose item has exactly so many bytes, within the limits for
// texts and lists.
func padded(t testing.TB, d analytics.Destination, n, size int) *analytics.Event {
	t.Helper()
	const text, list = 200, 250 // characters, elements
	build := func(texts, rest int) *analytics.Event {
		var b strings.Builder
		for i := 0; i < texts; i += list {
			one := strings.Repeat(`,"`+strings.Repeat("x", text)+`"`, min(list, texts-i))
			fmt.Fprintf(&b, `"k%03d":[%s],`, i/list, one[1:])
		}
		return message(t, n, fmt.Sprintf(`"type":"track","userId":"u%d","event":"Padded","properties":{%s"rest":%q}`, n, b.String(), strings.Repeat("x", rest)))
	}
	sizeOf := func(e *analytics.Event) int { return desttest.Translate(t, d, e)[0].Size }
	texts := (size - sizeOf(build(0, 0))) / (text + len(`"",`) + 1)
	for {
		rest := size - sizeOf(build(texts, 0))
		if rest <= text {
			require.GreaterOrEqual(t, rest, 0)
			e := build(texts, rest)
			require.Equal(t, size, sizeOf(e))
			return e
		}
		texts += max(1, rest/(text+20))
	}
}

// Sheet: Limits. What Mixpanel would refuse costs the field, not the event.
func TestLimitsOfProperties(t *testing.T) {
	properties := func(n int, value string) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`"p%03d":%s`, i, value)
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	for fact, c := range map[string]struct {
		properties string
		kept       int // of the properties
	}{
		"240 properties are taken":         {properties(240, "1"), 240},
		"a list of 255 is taken":           {`{"p":[1` + strings.Repeat(",1", 254) + `]}`, 1},
		"a list of 256 is not":             {`{"p":[1` + strings.Repeat(",1", 255) + `],"p1":1}`, 1},
		"an object of 255 keys is taken":   {`{"p":` + properties(255, "1") + `}`, 1},
		"an object of 256 keys is not":     {`{"p":` + properties(256, "1") + `,"p1":1}`, 1},
		"a depth of 3 is taken":            {`{"p":{"a":{"b":{"c":1}}}}`, 1},
		"a depth of 4 is not":              {`{"p":{"a":{"b":{"c":{"d":1}}}},"p1":1}`, 1},
		"lists count for the depth":        {`{"p":[[[[1]]]],"p1":1}`, 1},
		"a placeholder as a value is fine": {`{"p":"undefined"}`, 1},
	} {
		t.Run(fact, func(t *testing.T) {
			d := settings()
			f, _ := start(t, d)
			e := message(t, 1, `"type":"track","userId":"u1","event":"E","properties":`+c.properties)
			require.True(t, desttest.Deliver(t, d, e).All(analytics.WordDelivered), "%v", f.refused)
			kept := 0
			for key := range f.accepted[0].properties() {
				if strings.HasPrefix(key, "p") {
					kept++
				}
			}
			require.Equal(t, c.kept, kept)
		})
	}
	t.Run("what is too much is cut, the context counts", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		rich := desttest.Inputs(t)[0].Event
		rich.Properties = message(t, 1, `"type":"track","event":"E","properties":`+properties(300, "1")).Properties
		poor := message(t, 2, `"type":"track","event":"E","properties":`+properties(300, "1"))
		require.True(t, desttest.Deliver(t, d, rich, poor).All(analytics.WordDelivered), "%v", f.refused)
		for _, it := range f.accepted {
			require.Greater(t, len(it.properties()), 240)
			require.Equal(t, it.text("event"), it.properties()["event_original_name"])
		}
	})
	t.Run("240 traits are taken", func(t *testing.T) {
		d := settings()
		f, _ := start(t, d)
		for _, rest := range []string{`"type":"identify","userId":"u1"`, `"type":"group","userId":"u1","groupId":"g1"`} {
			require.True(t, desttest.Deliver(t, d, message(t, 1, rest+`,"traits":`+properties(240, "1"))).All(analytics.WordDelivered))
		}
		for _, it := range f.accepted {
			set, _ := it.fields["$set"].(map[string]any)
			require.Equal(t, 240, len(set))
		}
	})
}

func TestPlaceholders(t *testing.T) { // sheet: Limits, placeholder ids are refused
	for _, id := range []string{"anonymous", "NULL", "none", "n/a", "undefined", "00000000-0000-0000-0000-000000000000"} {
		t.Run(id, func(t *testing.T) {
			d := settings()
			f, _ := start(t, d)
			for _, rest := range []string{
				`"type":"track","event":"E","userId":"` + id + `"`,
				`"type":"track","event":"E","anonymousId":"` + id + `"`,
				`"type":"track","event":"E","userId":"` + id + `","anonymousId":"a1"`,
				`"type":"identify","userId":"` + id + `","anonymousId":"a1","traits":{"plan":"pro"}`,
				`"type":"identify","userId":"u1","anonymousId":"` + id + `","traits":{"plan":"pro"}`,
				`"type":"identify","userId":"` + id + `","traits":{"plan":"pro"}`,
			} {
				for _, b := range desttest.Batches(t, d, translated(t, d, desttest.Input{Event: message(t, 1, rest)})) {
					desttest.DeliverBatch(t, d, b)
				}
			}
			require.Empty(t, f.violations)
			require.Empty(t, f.refused)
		})
	}
}
