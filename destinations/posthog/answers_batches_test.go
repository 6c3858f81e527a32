package posthog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/posthog"
)

func TestBatches(t *testing.T) {
	t.Run("kinds are mixed in one request", func(t *testing.T) {
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
			events = append(events, track(t, n, fmt.Sprintf("u%d", n), "E"))
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
		require.Equal(t, desttest.Translate(t, d, mixed(t)...), desttest.Translate(t, again, mixed(t)...))
		desttest.Deliver(t, d, mixed(t)...)
		desttest.Deliver(t, again, mixed(t)...)
		require.Equal(t, f.uuids(), g.uuids())
		for i, id := range f.uuids() {
			require.Equal(t, messageID(i+1), id) // sheet: Mapping, uuid is the messageId
		}
	})
	t.Run("what is kept in order is a person", func(t *testing.T) { // sheet: Limits, order per distinct_id
		d := settings()
		f, _ := start(t, d)
		items := desttest.Translate(t, d, mixed(t)...)
		desttest.Deliver(t, d, mixed(t)...)
		require.Len(t, f.accepted, len(items))
		for i, it := range items {
			require.Equal(t, f.accepted[i].distinctID, it.Key, f.accepted[i].event)
		}
	})
}

func TestABodyIsNeverLargerThanAllowed(t *testing.T) {
	for name, d := range map[string]*posthog.Destination{
		"few settings": settings(),
		"an import":    {APIKey: secret, HistoricalMigration: true},
	} {
		t.Run(name, func(t *testing.T) {
			f, tool := start(t, d)
			l := d.Describe().Lanes[""]
			require.True(t, desttest.Deliver(t, d, full(t, d, 0)...).All(analytics.WordDelivered))
			require.Len(t, tool.Requests(), 1)
			n := len(tool.Requests()[0].Body)
			require.LessOrEqual(t, n, l.MaxBytes)
			require.Greater(t, n, l.MaxBytes-100)
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
	left := l.MaxBytes - l.Overhead + more
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

// padded is a track event whose item has exactly so many bytes.
func padded(t testing.TB, d analytics.Destination, n, size int) *analytics.Event {
	t.Helper()
	build := func(pad int) *analytics.Event {
		return event(t, n, fmt.Sprintf(`"type":"track","userId":"u%d","event":"Padded","properties":{"pad":%q}`, n%10, strings.Repeat("x", pad)))
	}
	e := build(1 + size - desttest.Translate(t, d, build(1))[0].Size)
	require.Equal(t, size, desttest.Translate(t, d, e)[0].Size)
	return e
}

// sent are the properties of what the only event becomes.
func sent(t testing.TB, d *posthog.Destination, rest string) map[string]any {
	t.Helper()
	f, _ := start(t, d)
	require.True(t, desttest.Deliver(t, d, event(t, 1, rest)).All(analytics.WordDelivered))
	require.Empty(t, f.violations)
	require.Len(t, f.accepted, 1)
	return f.accepted[0].properties
}

func TestPersonProfiles(t *testing.T) { // sheet: Settings, PersonProfiles; Mapping, $process_person_profile
	user, visitor := `"type":"track","event":"E","userId":"u1"`, `"type":"track","event":"E","anonymousId":"a1"`
	for setting, want := range map[string][2]bool{
		"": {true, false}, "identified_only": {true, false}, "always": {true, true}, "never": {false, false},
	} {
		build := func() *posthog.Destination { return &posthog.Destination{APIKey: secret, PersonProfiles: setting} }
		require.Equal(t, want[0], sent(t, build(), user)["$process_person_profile"], setting)
		require.Equal(t, want[1], sent(t, build(), visitor)["$process_person_profile"], setting)
	}
}

func TestGroups(t *testing.T) { // sheet: Settings, GroupType; Mapping, group
	inContext := `"type":"track","event":"E","userId":"u1","context":{"groupId":"org-1"}`
	call := `"type":"group","userId":"u1","groupId":"org-1","traits":{"name":"Org"},"context":{"groupId":"org-2","ip":"192.0.2.1"}`
	for setting, kind := range map[string]string{"": "company", "team": "team"} {
		build := func() *posthog.Destination { return &posthog.Destination{APIKey: secret, GroupType: setting} }
		require.Equal(t, map[string]any{kind: "org-1"}, sent(t, build(), inContext)["$groups"])
		require.Equal(t, map[string]any{
			"$group_type": kind, "$group_key": "org-1", "$group_set": map[string]any{"name": "Org"},
			"$groups": map[string]any{kind: "org-1"}, "distinct_id": "u1", "$process_person_profile": true,
		}, sent(t, build(), call)) // only the properties named in the sheet
	}
	off := func() *posthog.Destination { return &posthog.Destination{APIKey: secret, NoGroups: true} }
	require.NotContains(t, sent(t, off(), inContext), "$groups")
	d := off()
	_, tool := start(t, d)
	require.Empty(t, desttest.Deliver(t, d, event(t, 1, call)))
	require.Empty(t, tool.Requests())
}

func TestAliasHasOnlyItsOwnProperties(t *testing.T) { // sheet: Mapping, alias
	require.Equal(t, map[string]any{"distinct_id": "u1", "alias": "a1", "$process_person_profile": true, "$lib": "go"},
		sent(t, settings(), `"type":"alias","userId":"u1","previousId":"a1","context":{"ip":"192.0.2.1","library":{"name":"go"}}`))
}

func TestThePersonIsNoProperty(t *testing.T) { // sheet: Mapping, distinct_id and properties
	p := sent(t, settings(), `"type":"track","event":"E","userId":"u1","properties":{"distinct_id":"u2","$ip":"198.51.100.7","$lib":"mine"},`+
		`"context":{"ip":"192.0.2.1","library":{"name":"go","version":"1"},"locale":"","os":{"name":""}}`)
	require.Equal(t, "u1", p["distinct_id"])
	require.Equal(t, "198.51.100.7", p["$ip"]) // the user's own key stays
	require.Equal(t, "mine", p["$lib"])
	require.Equal(t, "1", p["$lib_version"])
	for _, key := range []string{"$locale", "$os", "$current_url", "$groups"} {
		require.NotContains(t, p, key) // empty values are left out
	}
}

func TestNobodyIsInvalid(t *testing.T) { // sheet: Mapping, distinct_id
	d := settings()
	start(t, d)
	for _, rest := range []string{`"type":"track","event":"E"`, `"type":"page"`, `"type":"screen","name":"S"`, `"type":"group","groupId":"g"`} {
		_, err := d.Translate(event(t, 1, rest))
		require.Error(t, err, rest)
		require.NotErrorIs(t, err, analytics.ErrIgnored, rest)
		desttest.CheckError(t, err, secret)
	}
}

func TestSettingsAreSent(t *testing.T) { // sheet: Settings
	d := withEverything()
	f, tool := start(t, d)
	require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
	require.Empty(t, f.violations)
	r := tool.Requests()[0]
	require.Equal(t, "https://eu.i.posthog.com/batch/", r.URL)
	require.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
	for _, one := range f.accepted {
		require.Equal(t, true, one.properties["$geoip_disable"], one.event) // to each event
	}
	require.NotContains(t, sent(t, settings(), `"type":"track","event":"E","userId":"u1"`), "$geoip_disable")
}

func TestEndpoints(t *testing.T) { // sheet: Settings, Endpoint
	for endpoint, want := range map[string]string{
		"":                             "https://us.i.posthog.com/batch/",
		"https://us.i.posthog.com":     "https://us.i.posthog.com/batch/",
		"https://posthog.own.example":  "https://posthog.own.example/batch/",
		"https://posthog.own.example/": "https://posthog.own.example/batch/",
	} {
		d := &posthog.Destination{APIKey: secret, Endpoint: endpoint}
		f, tool := start(t, d)
		require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
		require.Equal(t, want, tool.Requests()[0].URL)
		require.Empty(t, f.violations)
	}
}
