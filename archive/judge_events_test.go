package archive_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// oddEvents are messages of other clients, of which the log keeps what they look like.
func oddEvents() []string {
	odd := []string{
		`{ "type" : "track" , "event" : "Spaced" , "userId" : "u" , "properties" : { "a" : [ 1 , 2 ] } }`,
		"{\n\t\"type\": \"track\",\r\n\t\"event\": \"Lines\",\n\t\"userId\": \"u\",\n\t\"properties\": {\n\t\t\"a\": [\n\t\t\t1\n\t\t]\n\t}\n}\n",
		"{\"type\":\"track\",\"event\":\"Carriage\",\"userId\":\"u\",\"properties\":{\"a\":\r1}}",
		"{\"type\":\"track\",\"event\":\"Line in list\",\"userId\":\"u\",\"context\":{\"x\":[1,\n2]}}",
		`{"type":"track","event":"Escapes","userId":"\u0075\/\"\\","properties":{"a":"\u0000\u001f\n\r\t\b\f","\u006b":"\ud83d\ude00"}}`,
		`{"type":"track","event":"Line separators","userId":"u","properties":{"a":"` + "\u2028\u2029\u0085\u007f\ufeff" + `"}}`,
		`{"type":"track","event":"Ümläut ☃","userId":"日本","properties":{"ключ":"значение"}}`,
		`{"type":"track","event":"Numbers","userId":"u","properties":{"a":9007199254740993,"b":1e400,"c":-0.0,"d":1E+2}}`,
		`{"type":"track","event":"Twice","userId":"u","properties":{"a":1,"a":2}}`,
		`{"type":"track","event":"Html <b>&amp;</b>","userId":"u","properties":{"a":"<script>&'"}}`,
		`{"type":"track","event":"Empty things","userId":"u","properties":{},"context":{},"integrations":{},"extra":[],"none":null}`,
		`{"type":"track","event":"Times","userId":"u","timestamp":"2020-01-01T00:00:00Z","sentAt":"2020-01-01T00:00:01Z","receivedAt":"1999-01-01T00:00:00Z"}`,
		`{"type":"track","event":"No archive, please","userId":"u","integrations":{"All":false}}`,
		`{"type":"track","event":"Bundled","userId":"u","_metadata":{"bundled":["Archive"],"unbundled":[]}}`,
		`{"type":"identify","anonymousId":"a\tb","traits":{"messageId":"not mine","receivedAt":"nor this"}}`,
		`{"type":"track","event":"","userId":"u"}`,
	}
	deep := strings.Repeat(`{"a":`, 90) + `"receivedAt"` + strings.Repeat(`}`, 90)
	odd = append(odd, `{"type":"track","event":"Deep","userId":"u","properties":`+deep+`}`)
	for _, size := range []int{16 << 10, 32_000, 32_300} {
		odd = append(odd, fmt.Sprintf(`{"type":"track","event":"Large","userId":"u","properties":{"a":"%s"}}`, strings.Repeat("x", size)))
	}
	return odd
}

func TestJudgeOddEventsStayAsTheyAre(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		synctest.Test(t, func(t *testing.T) {
			s := newShelf()
			d := &archive.Destination{Bucket: s, Compression: compression}
			refused := 0
			tap := archived(t, analytics.Config{}, d, func(c *analytics.Client) {
				for _, message := range oddEvents() {
					if err := c.EnqueueJSON(t.Context(), []byte(message), nil); err != nil {
						refused++
					}
					// As a plain event, whose fields the client writes itself.
					e := analytics.Event{}
					require.NoError(t, e.UnmarshalJSON([]byte(message)))
					if err := c.Enqueue(t.Context(), e); err != nil {
						refused++
					}
				}
			})
			require.Less(t, refused, 12, "the test is about events that are accepted")
			breaks := 0
			for _, e := range tap.events {
				if strings.Contains(string(e.raw), "\n") {
					breaks++
				}
			}
			t.Logf("%d events, %d refused, %d with line breaks in the log", len(tap.events), refused, breaks)
			requireArchived(t, s, shape{compression: compression}, tap.events)
			requireVerified(t, s, "", len(tap.events))
			found := read(t, s, "", archive.Query{})
			for _, e := range tap.events {
				require.Equal(t, e.line(), found[e.id])
			}
		})
	}
}

// handed gives an event to a Destination as a log may have it, whatever made that log.
func handed(t *testing.T, s *shelf, raws ...string) []*accepted {
	t.Helper()
	d := opened(t, &archive.Destination{Bucket: s, Dir: quickDir(t)})
	f := &feed{log: analytics.LogID{'h'}}
	b := &analytics.Batch{Log: f.log}
	for i, raw := range raws {
		h := headerOf(t, []byte(raw))
		h.Log, h.Seq = f.log, uint64(i)
		it, err := d.TranslateRaw(&h, []byte(raw))
		require.NoError(t, err)
		it.ID = h.MessageID
		b.Items = append(b.Items, it)
		f.events = append(f.events, &accepted{id: h.MessageID, log: f.log.String(), seq: uint64(i), raw: []byte(raw), at: night, source: "default"})
	}
	b.To = uint64(len(raws))
	require.NoError(t, d.Deliver(t.Context(), b))
	require.NoError(t, d.Close(t.Context()))
	return f.events
}

// The place of a receivedAt of the event's own, and what only looks like one.
func TestJudgeReceivedAtIsAddedWhereItIsMissing(t *testing.T) {
	const head = `{"type":"track","messageId":"m-%d","timestamp":"2026-01-01T00:00:00.000Z","userId":"u","event":"E"`
	s := newShelf()
	var raws []string
	for i, tail := range []string{
		`}`, ` }`, `,"receivedAt":"2026-11-23T12:00:00.000Z"}`, ` , "receivedAt" : "2026-11-23T12:00:00.000Z" }`,
		`,"properties":{"receivedAt":"2020-01-01T00:00:00.000Z"}}`, `,"properties":{"a":"\"receivedAt\":\"2020-01-01T00:00:00.000Z\""}}`,
		`,"context":{"receivedAt":1}}`, `,"x":"receivedAt"}`, `,"x":["receivedAt"]}`, `,"\"receivedAt":"a"}`, `,"\\":{"receivedAt":1}}`,
		",\n\"x\":\n1}", ",\"x\":\"a\\n\\r\"}", ",\"receivedAt\":\n\"2026-11-23T12:00:00.000Z\"\n}",
		`,"receivedAt":"2026-11-23T14:00:00.123456789+02:00"}`,
	} {
		raws = append(raws, fmt.Sprintf(head, i)+tail)
	}
	want := handed(t, s, raws...)
	requireArchived(t, s, shape{compression: archive.Gzip}, want)
	requireVerified(t, s, "", len(want))
	a, err := archive.Open(s, "")
	require.NoError(t, err)
	for e, err := range a.Events(t.Context(), archive.Query{}) {
		require.NoError(t, err)
		for _, w := range want {
			if w.id == e.MessageID {
				require.True(t, w.receivedAt().Equal(e.ReceivedAt), "%s: %s", w.raw, e.ReceivedAt)
			}
		}
	}
}

// A message that was received on one day and accepted on the next lies on the first.
func TestJudgeTheDayIsThatOfReceivedAt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		tap := archived(t, analytics.Config{}, &archive.Destination{Bucket: s, Layout: archive.Hive}, func(c *analytics.Client) {
			received := time.Now().Add(24*time.Hour - 5*time.Millisecond)
			time.Sleep(24*time.Hour + 5*time.Millisecond)
			in := &analytics.Inbound{ReceivedAt: received}
			require.NoError(t, c.EnqueueJSON(t.Context(), []byte(`{"type":"track","event":"Late","userId":"u"}`), in))
			require.NoError(t, c.Enqueue(t.Context(), analytics.Event{Type: "track", Event: "Old", UserID: "u", ReceivedAt: received.Add(-48 * time.Hour)}))
		})
		requireArchived(t, s, shape{layout: archive.Hive, env: "production", compression: archive.Gzip}, tap.events)
		for _, e := range tap.events {
			at := e.receivedAt()
			require.Contains(t, read(t, s, "", archive.Query{From: at, To: at.Add(time.Millisecond)}), e.id)
			require.Empty(t, read(t, s, "", archive.Query{From: at.Add(-time.Minute), To: at}), "To is not included")
		}
	})
}

// Plugins in front of the archive decode the event, which stays what it was otherwise.
func TestJudgePluginsInFront(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		d := &archive.Destination{Bucket: s, Dir: quickDir(t)}
		var drop analytics.Plugin = analytics.PluginFunc(func(_ context.Context, e *analytics.Event) error {
			if e.Event == "Secret" {
				return analytics.Drop("secret")
			}
			return nil
		})
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{analytics.With(d, drop)}})
		require.NoError(t, err)
		leftAlone(t, client)
		for _, name := range []string{"Open", "Secret", "Open"} {
			require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: name}))
		}
		require.NoError(t, client.Close(t.Context()))
		require.Len(t, read(t, s, "", archive.Query{Events: []string{"Open"}}), 2)
		requireVerified(t, s, "", 2)
	})
}

// Sources are taken from events, so they may be anything.
func TestJudgeOddSources(t *testing.T) {
	sources := []string{"a/b", "../x", "..", ".", "a b", "ü", "a=b", `c:\d`, "_manifest", "%2F", "a%2Fb", "A", "a", strings.Repeat("long", 100), "nul\x00", "new\nline"}
	s := newShelf()
	at := 0
	d := opened(t, &archive.Destination{Bucket: s, Dir: quickDir(t), SourceOf: func([]byte) string { at++; return sources[(at-1)%len(sources)] }})
	f := newFeed('s', 40, night, 0)
	require.NoError(t, f.run(t, d, 8, 40))
	require.NoError(t, d.Close(t.Context()))
	requireVerified(t, s, "", len(f.all()))
	a, err := archive.Open(s, "")
	require.NoError(t, err)
	for i, e := range f.all() {
		source := sources[i%len(sources)]
		require.Contains(t, read(t, s, "", archive.Query{Sources: []string{source}}), e.id, "%q", source)
		require.NotContains(t, read(t, s, "", archive.Query{Sources: []string{"other"}}), e.id)
	}
	folders := map[string]string{}
	for file, err := range a.Files(t.Context(), archive.Query{}) {
		require.NoError(t, err)
		require.Len(t, strings.Split(file.Key, "/"), 4, file.Key)
		require.NotContains(t, file.Key, "/../")
		folder := file.Key[:strings.LastIndexByte(file.Key, '/')]
		require.Contains(t, []string{"", file.Source}, folders[folder], "two sources share the folder %s", folder)
		folders[folder] = file.Source
	}
}

// headerOf is what the log knows of an event.
func headerOf(t *testing.T, raw []byte) analytics.Header {
	t.Helper()
	var top struct {
		MessageID, UserID, AnonymousID, Event, Name, Collection string
		Type                                                    analytics.Call
	}
	require.NoError(t, json.Unmarshal(raw, &top))
	h := analytics.Header{Type: top.Type, MessageID: top.MessageID, UserID: top.UserID, AnonymousID: top.AnonymousID, AcceptedAt: night}
	h.Event = map[analytics.Call]string{"track": top.Event, "page": top.Name, "screen": top.Name, "object": top.Collection}[top.Type]
	return h
}
