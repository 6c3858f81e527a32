package analytics_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

const aReceived = `{"type":"track","messageId":"m","userId":"u","event":"E"}`

// member is aReceived with one more.
func member(m string) string { return aReceived[:len(aReceived)-1] + "," + m + "}" }

// received takes one message and returns its event.
func (r *recording) received(message string, in *analytics.Inbound) string {
	r.t.Helper()
	require.NoError(r.t, r.EnqueueJSON(r.t.Context(), []byte(message), in))
	events := r.wire()
	require.Len(r.t, events, 1)
	return events[0]
}

// ways are an Inbound and one that says the same, but for which messages are decoded.
func ways(in analytics.Inbound) map[string]*analytics.Inbound {
	odd := in
	odd.Integrations = analytics.Integrations{}
	return map[string]*analytics.Inbound{"copied": &in, "decoded": &odd}
}

// isoText is a time as events have it, in quotes; "" of none.
func isoText(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return `"` + at.UTC().Format("2006-01-02T15:04:05.000Z") + `"`
}

// Every time may be there or not, of the message and of the batch.
func TestReceivedTimes(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	receivedAt := orderTime.Add(24*time.Hour + 999*time.Microsecond)
	zone := time.FixedZone("", -7*3600)
	of := func(mask, bit int, at time.Time) time.Time {
		if mask&bit == 0 {
			return time.Time{}
		}
		return at
	}
	first := func(a, b time.Time) time.Time {
		if !a.IsZero() {
			return a
		}
		return b
	}
	for mask := range 32 {
		timestamp, original, sent := of(mask, 1, orderTime), of(mask, 2, orderTime.Add(-time.Hour)), of(mask, 4, orderTime.Add(10*time.Minute))
		batch := analytics.Inbound{ReceivedAt: receivedAt, Timestamp: of(mask, 8, orderTime.Add(-2*time.Hour).In(zone)), SentAt: of(mask, 16, orderTime.Add(time.Minute).In(zone))}
		message := aReceived[:len(aReceived)-1]
		for key, at := range map[string]time.Time{"timestamp": timestamp, "originalTimestamp": original, "sentAt": sent} {
			if !at.IsZero() {
				message += `,"` + key + `":"` + at.In(zone).Format(time.RFC3339Nano) + `"`
			}
		}
		original, sent = first(original, first(timestamp, batch.Timestamp)), first(sent, batch.SentAt)
		want := receivedAt.Truncate(time.Millisecond)
		if !original.IsZero() && !sent.IsZero() {
			want = want.Add(-sent.Sub(original))
		} else if !original.IsZero() {
			want = original
		}
		for way, in := range ways(batch) {
			event := r.received(message+"}", in)
			require.Equal(t, isoText(want), get(t, event, "timestamp"), "%s: %s", way, message)
			require.Equal(t, isoText(original), get(t, event, "originalTimestamp"), "%s: %s", way, message)
			require.Equal(t, isoText(sent), get(t, event, "sentAt"), "%s: %s", way, message)
			require.Equal(t, isoText(receivedAt.Truncate(time.Millisecond)), get(t, event, "receivedAt"), "%s: %s", way, message)
		}
	}
}

func TestReceivedSkew(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for _, row := range []struct{ name, original, sent, want string }{
		{"a clock that is right", "2026-01-02T03:04:00Z", "2026-01-02T03:04:05.678Z", "2026-01-02T03:04:00.000Z"},
		{"behind by a day", "2026-01-01T03:04:00Z", "2026-01-01T03:04:05Z", "2026-01-02T03:04:00.678Z"},
		{"ahead by a year", "2027-01-02T03:04:00Z", "2027-01-02T03:04:05Z", "2026-01-02T03:04:00.678Z"},
		{"sent before it happened", "2026-01-02T03:04:05Z", "2026-01-02T03:04:00Z", "2026-01-02T03:04:10.678Z"},
		{"zones", "2026-01-02T05:04:00+02:00", "2026-01-01T20:04:05.678-07:00", "2026-01-02T03:04:00.000Z"},
		{"digits below a millisecond", "2026-01-02T03:04:00.000000001Z", "2026-01-02T03:04:00Z", "2026-01-02T03:04:05.678000001Z"},
		{"further apart than a Duration reaches", "0500-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z", "0500-01-02T03:04:05.678Z"},
		{"so far in the future as well", "9000-01-02T03:04:05.678Z", "2026-01-02T03:04:05.678Z", "9000-01-02T03:04:05.678Z"},
		{"before the year 1", "0001-01-02T00:00:00Z", "9999-01-01T00:00:00Z", "2026-01-02T03:04:05.678Z"},
		{"beyond the year 9999", "9999-12-31T23:59:59Z", "0001-01-02T00:00:00Z", "2026-01-02T03:04:05.678Z"},
		{"the last moment", "9999-12-31T23:59:59.999Z", "2026-01-02T03:04:05.678Z", "9999-12-31T23:59:59.999Z"},
		{"forms of ISO 8601", "20260102T030400Z", "2026-01-02", "2026-01-02T06:08:05.678Z"},
	} {
		for way, in := range ways(analytics.Inbound{ReceivedAt: orderTime}) {
			event := r.received(member(`"originalTimestamp":"`+row.original+`","sentAt":"`+row.sent+`"`), in)
			require.Equal(t, `"`+row.want+`"`, get(t, event, "timestamp"), "%s, %s", row.name, way)
		}
	}
}

// What is beyond the years that can be written is refused, of the receiver as well.
func TestReceivedTimesOutOfRange(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for _, at := range []time.Time{time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<55, 0), time.Unix(-1<<55, 0)} {
		for field, batch := range map[string]analytics.Inbound{"sentAt": {SentAt: at}, "receivedAt": {ReceivedAt: at}, "originalTimestamp": {Timestamp: at}} {
			for _, in := range ways(batch) {
				var err error
				require.NotPanics(t, func() { err = r.EnqueueJSON(t.Context(), []byte(aReceived), in) }, "%s %v", field, at)
				require.Contains(t, faultsOf(t, err), field)
			}
		}
	}
	for _, key := range []string{"timestamp", "sentAt", "originalTimestamp"} {
		for _, value := range []string{`"0000-12-31T23:59:59Z"`, `"9999-12-31T23:59:59-00:01"`, `"12026-01-02T03:04:05Z"`, `""`, `"yesterday"`, `1767323045`, `true`, `{}`} {
			require.Equal(t, []string{key}, faultsOf(t, r.EnqueueJSON(t.Context(), []byte(member(`"`+key+`":`+value)), nil)), value)
		}
	}
	require.Empty(t, r.wire())
}

func TestReceivedWithoutATimeOfReceipt(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for way, in := range ways(analytics.Inbound{}) {
		e := decoded(t, r.received(aReceived, in))
		require.WithinDuration(t, time.Now(), e.ReceivedAt, time.Minute, way)
		require.Equal(t, e.ReceivedAt, e.Timestamp, way)
	}
}

func TestReceivedMessageIDs(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	const rest = `"type":"track","userId":"u","event":"E"`
	for name, row := range map[string]struct{ member, want string }{ // want "": one is made
		"given": {`,"messageId":"m-7"`, "m-7"}, "absent": {"", ""}, "null": {`,"messageId":null`, ""}, "empty": {`,"messageId":""`, ""},
		"of 100 letters": {`,"messageId":"` + strings.Repeat("m", 100) + `"`, strings.Repeat("m", 100)},
		"of 100 others":  {`,"messageId":"` + strings.Repeat("é", 100) + `"`, strings.Repeat("é", 100)},
		"escaped":        {`,"messageId":"\u006d\"\\\n"`, "m\"\\\n"}, "of 100 escapes": {`,"messageId":"` + strings.Repeat(`\u006d`, 100) + `"`, strings.Repeat("m", 100)},
		"twice": {`,"messageId":"first","messageId":"m-7"`, "m-7"},
	} {
		for way, in := range ways(analytics.Inbound{}) {
			var claimed []string
			in.Claim = func(id string) bool {
				require.Zero(t, r.Stats().QueueBytes, "not accepted yet")
				claimed = append(claimed, strings.Clone(id))
				return true
			}
			id := decoded(t, r.received("{"+rest+row.member+"}", in)).MessageID
			require.Equal(t, []string{id}, claimed, "%s, %s", name, way)
			if row.want != "" {
				require.Equal(t, row.want, id, "%s, %s", name, way)
				continue
			}
			made, err := uuid.Parse(id)
			require.NoError(t, err, "%s, %s", name, way)
			require.Equal(t, uuid.Version(7), made.Version())
		}
	}
	for _, bad := range []string{`"` + strings.Repeat("m", 101) + `"`, `"` + strings.Repeat("é", 101) + `"`, `"` + strings.Repeat(`\u006d`, 101) + `"`, `7`, `{}`} {
		in := &analytics.Inbound{Claim: func(string) bool { t.Error("claimed what is refused"); return true }}
		require.Equal(t, []string{"messageId"}, faultsOf(t, r.EnqueueJSON(t.Context(), []byte("{"+rest+`,"messageId":`+bad+"}"), in)))
	}
	require.Empty(t, r.wire())
}

func TestReceivedDuplicates(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for way, in := range ways(analytics.Inbound{}) {
		seen := map[string]bool{}
		in.Claim = func(id string) bool {
			fresh := !seen[id]
			seen[strings.Clone(id)] = true
			return fresh
		}
		before := r.Stats().Accepted
		require.NoError(t, r.EnqueueJSON(t.Context(), []byte(aReceived), in))
		for range 3 {
			require.ErrorIs(t, r.EnqueueJSON(t.Context(), []byte(aReceived), in), analytics.ErrDuplicate, way)
		}
		require.Equal(t, before+1, r.Stats().Accepted)
		require.Zero(t, r.Stats().Refused)
		require.Len(t, r.wire(), 1)
	}
}

func TestReceivedAddress(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	const peer = `"203.0.113.9"`
	for context, want := range map[string]string{
		``: peer, `null`: peer, `{}`: peer, "{ \t\r\n}": peer, `{ "locale" : "de" }`: peer,
		`{"ip":"198.51.100.7"}`: `"198.51.100.7"`, `{"ip":"198.51.100.7","direct":true}`: `"198.51.100.7"`, `{"\u0069p":"198.51.100.7"}`: `"198.51.100.7"`,
		`{"ip":null}`: `null`, `{"ip":""}`: `""`, `{"ip":7,"direct":true}`: `7`,
		`{"direct":true}`: peer, `{"direct":false}`: "", `{"direct":null}`: peer, `{"direct":"false"}`: peer,
		`{"library":{"name":"analytics.js"}}`: peer, `{"library":{"name":"analytics-android"}}`: peer, `{"library":"analytics-node"}`: peer, `{"library":{}}`: peer, `{"library":null}`: peer,
		`{"library":{"name":"analytics-node","version":"2"}}`: "", `{"library":{"name":"@segment/analytics-node"}}`: "", `{"library":{"name":"Analytics-Python"}}`: "",
		`{"library":{"name":"analytics\u002dgo"}}`: "", `{"library":{"name":"Analytics.NET"}}`: "", `{"library":{"name":"tributary-go"}}`: "",
		`{"library":{"name":"analytics-ruby"},"direct":true}`: peer, `{"library":{"name":"analytics-ruby"},"direct":null}`: "", `{"library":{"name":"analytics.js"},"direct":false}`: "",
		`{"library":{"name":"analytics-ruby"},"library":{"name":"analytics.js"}}`: peer, `{"direct":false,"direct":true}`: peer,
	} {
		message := aReceived
		if context != "" {
			message = member(`"context":` + context)
		}
		for way, in := range ways(analytics.Inbound{IP: "203.0.113.9"}) {
			event := r.received(message, in)
			got := ""
			if get(t, event, "context") != "" {
				got = get(t, event, "context.ip")
			}
			require.Equal(t, want, got, "%s, %s", context, way)
			require.Equal(t, want == "" && context == "", get(t, event, "context") == "", context)
		}
		for way, in := range ways(analytics.Inbound{}) {
			require.NotContains(t, r.received(message, in), "203.0.113.9", "%s, %s", context, way)
		}
	}
	batch := &analytics.Inbound{IP: "203.0.113.9", Context: &analytics.Context{IP: "198.51.100.7"}}
	require.Equal(t, `"198.51.100.7"`, get(t, r.received(aReceived, batch), "context.ip"))
	batch.Context = &analytics.Context{Library: analytics.Library{Name: "analytics-node"}}
	require.Empty(t, get(t, r.received(aReceived, batch), "context.ip"))
	batch.Context = &analytics.Context{Direct: analytics.Ptr(true)}
	require.Equal(t, peer, get(t, r.received(aReceived, batch), "context.ip"))
}

// What the batch says is for messages that say nothing themselves, and nobody changes it.
func TestReceivedBatchValues(t *testing.T) {
	r := changing(t, func(e *analytics.Event) {
		if a, ok := e.Integrations["A"].(map[string]any); ok {
			a["seen"] = true
		}
		e.Context.Traits["seen"] = true
	})
	in := &analytics.Inbound{
		Context:      &analytics.Context{Locale: "de", Traits: analytics.Traits{"t": 1}, App: analytics.App{Name: "batch"}},
		Integrations: analytics.Integrations{"A": map[string]any{"o": 1}, "B": false},
	}
	for range 2 {
		event := r.received(member(`"context":{"locale":"fr","app":{"version":"2"}},"integrations":{"B":true}`), in)
		require.JSONEq(t, `{"locale":"fr","app":{"name":"batch","version":"2"},"traits":{"t":1,"seen":true}}`, get(t, event, "context"))
		require.JSONEq(t, `{"A":{"o":1,"seen":true},"B":true}`, get(t, event, "integrations"))
	}
	require.Equal(t, &analytics.Context{Locale: "de", Traits: analytics.Traits{"t": 1}, App: analytics.App{Name: "batch"}}, in.Context)
	require.Equal(t, analytics.Integrations{"A": map[string]any{"o": 1}, "B": false}, in.Integrations)
	require.Equal(t, []string{"context"}, faultsOf(t, r.EnqueueJSON(t.Context(), []byte(member(`"context":"x"`)), in)))
	require.Equal(t, []string{"integrations"}, faultsOf(t, r.EnqueueJSON(t.Context(), []byte(member(`"integrations":true`)), in)))
}

// An event that was received takes the way of one that was enqueued.
func TestReceivedEventsAreRoutedAlike(t *testing.T) {
	for _, members := range []string{
		`"x":1`, `"integrations":{}`, `"integrations":{"All":false}`, `"integrations":{"All":false,"A":true}`, `"integrations":{"A":false}`, `"integrations":{"Old B":false}`, `"integrations":{"B":{"o":1},"All":false}`,
		`"integrations":null`, `"integrations":{"\u0041":false}`, `"integrations": { "A" : false }`, `"integrations":{"A":true},"integrations":{"A":false}`,
		`"context":{"consent":{}}`, `"context":{"consent":null}`, `"context":{"consent":{"categoryPreferences":{}}}`, `"context":{"consent":{"categoryPreferences":{"ads":true}}}`,
		`"context":{"consent":{"categoryPreferences":{"ads":false}}}`, `"context":{"cons\u0065nt":{"categoryPreferences":{"ads":false}}}`, `"context":{"consent":{"categoryPreferences":{"ads":"yes"}}}`,
		`"context":{"consent":{"x":1}},"integrations":{"B":true}`, `"context":{"consent":{"categoryPreferences":{"ads":false}}},"context":{}`,
		`"_metadata":{"bundled":["A"]}`, `"_metadata":{"bundled":["Old B"],"unbundled":["A"]}`, `"_metadata":{ "bundled" : [ "\u0041" ] }`, `"_metadata":null`, `"_metadata":["A"]`, `"_metadata":{}`,
	} {
		message := member(members)
		routed := func(enqueue func(*analytics.Client) error) string {
			old := newDouble("B")
			old.desc.Aliases = []string{"Old B"}
			page := newDouble("Pages")
			page.desc.Calls = analytics.CallsOf(analytics.CallPage)
			all := newDouble("Whatever")
			all.desc.IgnoreAll = true
			client, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{newDouble("A"), old, page, all, newDouble("Salesforce")}, Consent: map[string][]string{"ads": {"B", "Whatever"}}})
			require.NoError(t, err)
			require.NoError(t, enqueue(client), members)
			require.NoError(t, client.Close(in(t, time.Minute)))
			text := ""
			for name, s := range sorted(client.Stats().Destinations) {
				text += fmt.Sprintln(name, s.Delivered, s.Filtered, s.Dropped)
			}
			return text
		}
		want := routed(func(c *analytics.Client) error { return c.Enqueue(t.Context(), decoded(t, message)) })
		for way, in := range ways(analytics.Inbound{}) {
			require.Equal(t, want, routed(func(c *analytics.Client) error { return c.EnqueueJSON(t.Context(), []byte(message), in) }), "%s, %s", members, way)
		}
	}
}

func TestReceivedEventsGetNothingOfOurs(t *testing.T) {
	var seen []*analytics.Event
	look := analytics.PluginFunc(func(_ context.Context, e *analytics.Event) error {
		seen = append(seen, e.Clone())
		return nil
	})
	ctx := analytics.NewIdentity(analytics.NewContext(t.Context(), &analytics.Context{IP: "1.2.3.4"}), analytics.Identity{UserID: "other", AnonymousID: "other"})
	for name, plugins := range map[string][]analytics.Plugin{"no plugin": nil, "a plugin": {look}} {
		r := newRecording(t, analytics.Config{Plugins: plugins, Context: &analytics.Context{Locale: "de", App: analytics.App{Name: "ours"}}})
		for way, in := range ways(analytics.Inbound{ReceivedAt: orderTime}) {
			for message, want := range map[string]string{
				aReceived: `{"type":"track","messageId":"m","timestamp":"2026-01-02T03:04:05.678Z","userId":"u","event":"E","receivedAt":"2026-01-02T03:04:05.678Z"}`,
				member(`"writeKey":"secret","context":{"page":{"url":"x"}},"properties":{"n":9007199254740993,"f":1.50},"version":2`): `{"type":"track","messageId":"m","timestamp":"2026-01-02T03:04:05.678Z","userId":"u","event":"E",` +
					`"receivedAt":"2026-01-02T03:04:05.678Z","context":{"page":{"url":"x"}},"properties":{"n":9007199254740993,"f":1.50},"version":2}`,
			} {
				require.NoError(t, r.EnqueueJSON(ctx, []byte(message), in))
				events := r.wire()
				require.Len(t, events, 1)
				require.JSONEq(t, want, events[0], "%s, %s", name, way)
				require.Equal(t, strings.Contains(message, "9007199254740993"), strings.Contains(events[0], "9007199254740993"), "digits are kept")
				if plugins != nil {
					require.Equal(t, decoded(t, want), seen[len(seen)-1], way)
				}
			}
		}
	}
	require.Len(t, seen, 4)
}

func TestReceivedEventsThatPluginsChange(t *testing.T) {
	r := changing(t, func(e *analytics.Event) {
		e.Event, e.Integrations, e.Context = "Changed", analytics.Integrations{"Recorder": false}, nil
	})
	require.NoError(t, r.EnqueueJSON(t.Context(), []byte(member(`"context":{"ip":"1.2.3.4"}`)), nil))
	require.Empty(t, r.wire())
	require.EqualValues(t, 1, r.Stats().Destinations["Recorder"].Filtered[analytics.ReasonIntegrations])

	r = plug(t, func(context.Context, *analytics.Event) error { return analytics.Drop("no") })
	require.NoError(t, r.EnqueueJSON(t.Context(), []byte(aReceived), nil))
	require.EqualValues(t, 1, r.Stats().Filtered)
	require.Zero(t, r.Stats().Accepted)

	r = plug(t, func(context.Context, *analytics.Event) error { return errCause })
	require.ErrorIs(t, r.EnqueueJSON(t.Context(), []byte(aReceived), nil), errCause)

	r = changing(t, func(e *analytics.Event) { e.Properties = analytics.Properties{"x": strings.Repeat("x", 33_000)} })
	require.Equal(t, []string{"message"}, faultsOf(t, r.EnqueueJSON(t.Context(), []byte(aReceived), nil)))
}
