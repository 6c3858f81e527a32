package analytics_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// picky is a recorder that refuses what comes as long as it is told to.
type picky struct {
	recorder
	desc    analytics.Description
	refuses bool
}

func (p *picky) Describe() analytics.Description {
	d := p.recorder.Describe()
	d.Name, d.Aliases, d.IgnoreAll = p.desc.Name, p.desc.Aliases, p.desc.IgnoreAll
	d.Calls = cmp.Or(p.desc.Calls, d.Calls)
	return d
}

func (p *picky) Deliver(ctx context.Context, b *analytics.Batch) error {
	_ = p.recorder.Deliver(ctx, b)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuses {
		return analytics.Permanent(errCause)
	}
	return nil
}

func (p *picky) refuse(on bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = on
}

// taken returns what has come since it was asked last.
func (p *picky) taken() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	events := p.events
	p.events = nil
	return events
}

func newPicky(name string, aliases ...string) *picky {
	return &picky{desc: analytics.Description{Name: name, Aliases: aliases}}
}

func ignoringAll(name string) *picky {
	return &picky{desc: analytics.Description{Name: name, IgnoreAll: true}}
}

// replayed replays a letter and waits for its outcome.
func replayed(t *testing.T, c *analytics.Client, destination, event string) {
	t.Helper()
	require.NoError(t, c.Replay(t.Context(), analytics.DeadLetter{Destination: destination, Event: []byte(event)}))
	require.NoError(t, c.Flush(in(t, time.Minute)))
	balanced(t, c)
}

// From the answer of a tool to a file, and back: the whole way of a dead letter.
func TestReplayEndToEnd(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(dir, "dead.ndjson")
		letters := &analytics.DeadLetterFile{Path: path}
		a, b, cloud := newPicky("A"), newPicky("B"), ignoringAll("Segment.io")
		outs := &outcomes{}
		c := open(t, analytics.Config{Destinations: []analytics.Destination{cloud, a, b}, DeadLetters: letters.Write, OnOutcome: outs.add})

		a.refuse(true)
		track(t, c, "u", "m1")
		track(t, c, "u", "m2")
		require.NoError(t, c.Flush(in(t, time.Minute)))
		require.Len(t, a.taken(), 2)
		require.Len(t, b.taken(), 2)
		first := cloud.taken()
		require.Len(t, first, 2)
		require.NoError(t, letters.Close())

		a.refuse(false)
		time.Sleep(24 * time.Hour)
		file, err := os.Open(path)
		require.NoError(t, err)
		defer file.Close()
		n := 0
		for letter, err := range analytics.ReadDeadLetters(file) {
			require.NoError(t, err)
			require.Equal(t, "A", letter.Destination)
			require.Equal(t, analytics.ReasonRejected, letter.Reason)
			require.Equal(t, 1, letter.Attempts)
			require.Equal(t, errCause.Error(), letter.Error)
			require.NoError(t, c.Replay(t.Context(), letter))
			n++
		}
		require.Equal(t, 2, n)
		require.NoError(t, c.Flush(in(t, time.Minute)))
		synctest.Wait()

		have := a.taken()
		require.Len(t, have, 2)
		for i, event := range have {
			require.Equal(t, fmt.Sprintf(`"m%d"`, i+1), get(t, event, "messageId"))
			require.Equal(t, get(t, first[i], "timestamp"), get(t, event, "timestamp"))
			require.JSONEq(t, `{"B":false,"Segment.io":false}`, get(t, event, "integrations"))
		}
		require.Empty(t, b.taken())
		require.Empty(t, cloud.taken())
		balanced(t, c)
		s := c.Stats()
		require.Equal(t, uint64(4), s.Accepted)
		require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonRejected: 2}, s.Destinations["A"].Dropped)
		require.Equal(t, uint64(2), s.Destinations["A"].Delivered)
		for _, name := range []string{"B", "Segment.io"} {
			require.Equal(t, uint64(2), s.Destinations[name].Delivered)
			require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonIntegrations: 2}, s.Destinations[name].Filtered)
		}
		require.Len(t, outs.of("m1"), 6, "two accounts of one id: the call's and the replay's")
	})
}

// Everything around the event that could change it is there, and does not.
func TestReplayChangesNothingOfTheEvent(t *testing.T) {
	changed := analytics.PluginFunc(func(_ context.Context, e *analytics.Event) error {
		e.Traits = map[string]any{"changed": true}
		return nil
	})
	r := newRecording(t, analytics.Config{Plugins: []analytics.Plugin{changed}, Context: &analytics.Context{Locale: "de", IP: "1.2.3.4"}})
	ctx := analytics.NewContext(t.Context(), &analytics.Context{UserAgent: "changed"})
	ctx = analytics.NewIdentity(ctx, analytics.Identity{UserID: "changed", AnonymousID: "changed"})
	for _, doc := range append(eventDocuments(), `{}`,
		`{"sentAt":"2026-01-02T03:04:05.678Z","receivedAt":"2026-01-02T03:04:06.123456Z","originalTimestamp":"2026-01-02T03:04:04.000Z","_metadata":{"bundled":["X"]}}`,
		`{"integrations":{"All":false,"Recorder":{"session":1}},"channel":"browser","later":[null,{"n":12345678901234567890}]}`,
	) {
		e := decoded(t, doc)
		e.Type, e.UserID, e.AnonymousID, e.Event, e.MessageID, e.Timestamp = "track", "u", "", "E", "m", orderTime
		for _, key := range []string{"type", "userId", "anonymousId", "event", "messageId", "timestamp", "context"} {
			delete(e.Extra, key)
		}
		event, err := e.MarshalJSON()
		require.NoError(t, err)
		before := string(event)
		if err := r.Replay(ctx, analytics.DeadLetter{Destination: "Recorder", Event: event}); err != nil {
			faultsOf(t, err)
			continue
		}
		require.Equal(t, before, string(event), "the letter is only read")
		require.Equal(t, sameInstants(exactly(t, before)), sameInstants(exactly(t, r.wire()[0])))
	}
}

// What the log has held comes back as it was, whatever the call.
func TestReplayOfEveryCall(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for _, m := range []analytics.Message{
		analytics.Identify{UserID: "u", Traits: analytics.Traits{"a": 1}}, analytics.Track{AnonymousID: "a", Event: "E", Properties: analytics.Properties{"<": "&"}},
		analytics.Page{UserID: "u", Name: "N"}, analytics.Screen{UserID: "u"}, analytics.Group{UserID: "u", GroupID: "g"}, analytics.Alias{UserID: "u", PreviousID: "p"},
		analytics.Object{Collection: "c", ID: "1", Properties: map[string]any{"a": 1}},
	} {
		event := r.sent(t.Context(), m)
		require.NoError(t, r.Replay(t.Context(), analytics.DeadLetter{Destination: "Recorder", Event: []byte(event)}))
		require.JSONEq(t, event, r.wire()[0])
	}
}

func TestReplayReachesOneDestinationOnly(t *testing.T) {
	for _, row := range []struct{ name, to, integrations, want string }{
		{"no integrations", "A", ``, `{"B":false,"Old B":false,"Segment.io":false,"Warehouses":false}`},
		{"null", "A", `null`, `{"B":false,"Old B":false,"Segment.io":false,"Warehouses":false}`},
		{"an empty object", "A", `{}`, `{"B":false,"Old B":false,"Segment.io":false,"Warehouses":false}`},
		{"All true", "A", `{"All":true}`, `{"All":true,"B":false,"Old B":false,"Segment.io":false,"Warehouses":false}`},
		{"All false stops those that heed it", "A", `{"All":false,"A":true}`, `{"All":false,"A":true,"Segment.io":false,"Warehouses":false}`},
		{"options stay", "A", `{"A":{"s":"1"}}`, `{"A":{"s":"1"},"B":false,"Old B":false,"Segment.io":false,"Warehouses":false}`},
		{"options under an alias", "A", `{"All":false,"Old A":{"s":"1"},"B":{"t":1}}`, `{"All":false,"Old A":{"s":"1"},"B":false,"Segment.io":false,"Warehouses":false}`},
		{"the other has an entry under its alias", "A", `{"B (Actions)":{"t":1}}`, `{"B (Actions)":{"t":1},"B":false,"Old B":false,"Segment.io":false,"Warehouses":false}`},
		{"unknown names stay", "A", `{"Elsewhere":{"x":1},"B":false,"Old B":null}`, `{"Elsewhere":{"x":1},"B":false,"Old B":false,"Segment.io":false,"Warehouses":false}`},
		{"what the cloud mode passes on finds All as it was", "Segment.io", ``, `{"A":false,"B":false,"Old B":false,"Warehouses":false}`},
		{"All false before the cloud mode", "Segment.io", `{"All":false}`, `{"All":false,"Warehouses":false}`},
		{"a warehouse", "Warehouses", `{"All":false}`, `{"All":false,"Segment.io":false}`},
		{"a warehouse with ids", "Warehouses", `{"Warehouses":{"warehouseIds":["w","Warehouses"]}}`, `{"Warehouses":{"warehouseIds":["w","Warehouses"]},"A":false,"B":false,"Old B":false,"Segment.io":false}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				all := map[string]*picky{
					"A": newPicky("A", "Old A"), "B": newPicky("B", "B (Actions)"), "Old B": newPicky("Old B"),
					"Segment.io": ignoringAll("Segment.io"), "Warehouses": ignoringAll("Warehouses"),
				}
				cfg := analytics.Config{}
				for _, name := range []string{"Segment.io", "Old B", "A", "Warehouses", "B"} {
					cfg.Destinations = append(cfg.Destinations, all[name])
				}
				c := open(t, cfg)
				event := `{"type":"track","messageId":"m","timestamp":"2026-01-02T03:04:05.678Z","userId":"u","event":"E","context":{"library":{"name":"l"}}`
				if row.integrations != "" {
					event += `,"integrations":` + row.integrations
				}
				replayed(t, c, row.to, event+"}")
				for name, d := range all {
					events := d.taken()
					if name != row.to {
						require.Empty(t, events, name)
						continue
					}
					require.Len(t, events, 1)
					require.JSONEq(t, event+`,"integrations":`+row.want+"}", events[0])
				}
			})
		})
	}
}

func TestReplayToOneOfSeveralWarehouses(t *testing.T) {
	for before, want := range map[string]string{
		``:                                  `{"Warehouses":{"warehouseIds":["west"]}}`,
		`{"All":false}`:                     `{"All":false,"Warehouses":{"warehouseIds":["west"]}}`,
		`{"Warehouses":{"all":true,"x":1}}`: `{"Warehouses":{"all":true,"x":1,"warehouseIds":["west"]}}`,
		`{"Warehouses":{"warehouseIds":["west","east"]}}`:   `{"Warehouses":{"warehouseIds":["west"]}}`,
		`{"Warehouses":{"warehouseIds":["west","beyond"]}}`: `{"Warehouses":{"warehouseIds":["west","beyond"]}}`,
	} {
		synctest.Test(t, func(t *testing.T) {
			west, east := ignoringAll("Warehouses"), ignoringAll("Warehouses")
			c := open(t, analytics.Config{Destinations: []analytics.Destination{analytics.Named("west", west), analytics.Named("east", east)}})
			event := `{"type":"track","messageId":"m","timestamp":"2026-01-02T03:04:05.678Z","userId":"u","event":"E"`
			if before != "" {
				event += `,"integrations":` + before
			}
			replayed(t, c, "west", event+"}")
			require.Empty(t, east.taken())
			events := west.taken()
			require.Len(t, events, 1)
			require.JSONEq(t, want, get(t, events[0], "integrations"))
		})
	}
}

const replayable = `{"type":"track","messageId":"m","timestamp":"2026-01-02T03:04:05.678Z","userId":"u","event":"secret"}`

func TestReplayRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		west, east, tracks := newPicky("A"), newPicky("A"), newPicky("T")
		tracks.desc.Calls = analytics.CallsOf(analytics.CallTrack)
		asked := newPicky("Asked")
		c := open(t, analytics.Config{
			Destinations: []analytics.Destination{analytics.Named("west", west), analytics.Named("east", east), tracks, asked, newPicky("X", "T")},
			Consent:      map[string][]string{"Ads": {"Asked"}},
		})
		with := func(members string) string { return replayable[:len(replayable)-1] + "," + members + "}" }
		without := func(member string) string {
			var m map[string]any
			require.NoError(t, json.Unmarshal([]byte(replayable), &m))
			delete(m, member)
			b, _ := json.Marshal(m)
			return string(b)
		}
		for _, row := range []struct{ name, to, event, want string }{
			{"no destination", "", replayable, "letter.destination: is none of this client, which has west, east, T, Asked, X"},
			{"a destination of another client", "A", replayable, "letter.destination: is none of this client, which has west, east, T, Asked, X"},
			{"no event", "T", ``, "letter.event: is not one whole JSON object, or nested deeper than 100 levels"},
			{"half an event", "T", replayable[:80], "letter.event: is not one whole JSON object, or nested deeper than 100 levels"},
			{"two events", "T", replayable + replayable, "letter.event: is not one whole JSON object, or nested deeper than 100 levels"},
			{"nested without end", "T", with(`"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200)), "letter.event: is not one whole JSON object, or nested deeper than 100 levels"},
			{"no messageId", "T", without("messageId"), "messageId: is required: a replay keeps it"},
			{"no timestamp", "T", without("timestamp"), "timestamp: is required: a replay keeps it"},
			{"a timestamp that is none", "T", with(`"timestamp":"secret"`), "timestamp: is not an ISO 8601 date of the years 1 to 9999"},
			{"many faults", "T", `{"type":"track"}`, "messageId: is required: a replay keeps it\ntimestamp: is required: a replay keeps it\nevent: is required\nuserId: is required, or anonymousId"},
			{"an unknown call", "T", with(`"type":"secret"`), "type: is none of identify, track, page, screen, group, alias and object"},
			{"integrations that are a list", "T", with(`"integrations":[]`), "integrations: is not an object"},
			{"an object that is not flat", "Asked", `{"type":"object","messageId":"m","timestamp":"2026-01-02T03:04:05.678Z","collection":"c","id":"1","properties":{"a":[]}}`,
				"properties.a: is an object or a list, which objects cannot hold"},
			{"integrations say no", "T", with(`"integrations":{"T":false}`), "letter.destination: would not get the event: integrations"},
			{"a call that is not taken", "T", with(`"type":"identify"`), "letter.destination: would not get the event: unsupported"},
			{"consent says no", "Asked", with(`"context":{"consent":{"categoryPreferences":{"Ads":false}}}`), "letter.destination: would not get the event: consent"},
			{"consent without preferences", "Asked", with(`"context":{"consent":{"x":1}}`),
				"letter.destination: would not get the event once others are shut off: consent; replay with a client that has no other"},
			{"instances of one key", "west", replayable, "letter.destination: shares its key of the integrations object with east: replay with a client that has no other"},
			{"the other is known by an alias of it", "X", replayable, "letter.destination: shares its key of the integrations object with T: replay with a client that has no other"},
		} {
			before := c.Stats()
			err := c.Replay(t.Context(), analytics.DeadLetter{Destination: row.to, Event: []byte(row.event)})
			require.EqualError(t, err, row.want, row.name)
			faultsOf(t, err)
			require.NotContains(t, err.Error(), "secret")
			require.Equal(t, before, c.Stats(), "nothing has happened")
		}
		err := c.Replay(t.Context(), analytics.DeadLetter{Destination: "T", Event: []byte(with(`"x":"` + strings.Repeat("x", 40_000) + `"`))})
		require.Equal(t, []string{"message"}, faultsOf(t, err))
		require.ErrorContains(t, err, "the limit is 32768")

		replayed(t, c, "T", replayable)
		require.Empty(t, asked.taken())
		require.Len(t, tracks.taken(), 1)

		alone := open(t, analytics.Config{Destinations: []analytics.Destination{analytics.Named("west", west)}})
		replayed(t, alone, "west", with(`"context":{"consent":{"x":1},"library":{"name":"l"}}`))
		events := west.taken()
		require.Len(t, events, 1, "a client that has no other")
		require.JSONEq(t, with(`"context":{"consent":{"x":1},"library":{"name":"l"}}`), events[0])
	})
}

func TestReplayIsRefusedAsACallIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := newDouble("A")
		stuck.deliver = func(ctx context.Context, _ *analytics.Batch) error {
			<-ctx.Done()
			return ctx.Err()
		}
		letter := analytics.DeadLetter{Destination: "A", Event: []byte(replayable)}
		for _, when := range []analytics.WhenFull{analytics.Reject, analytics.Block} {
			c := open(t, analytics.Config{Destinations: []analytics.Destination{stuck}, MaxMemory: 256 << 10, WhenFull: when})
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			var err error
			for err == nil {
				err = c.Replay(ctx, letter)
			}
			require.ErrorIs(t, err, analytics.ErrQueueFull)
			require.Equal(t, when == analytics.Block, errors.Is(err, context.DeadlineExceeded))
			require.Equal(t, uint64(1), c.Stats().Refused)
			balanced(t, c)
			cancel()
			_ = c.Close(ctx)
			require.ErrorIs(t, c.Replay(t.Context(), letter), analytics.ErrClosed)
			balanced(t, c)
		}
	})
}

func TestReplayFromManyGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := newPicky("A"), newPicky("B")
		c := open(t, analytics.Config{Destinations: []analytics.Destination{a, b}})
		letter := analytics.DeadLetter{Destination: "A", Event: []byte(strings.Replace(replayable, "}", `,"integrations":{"A":{"x":{}}}}`, 1))}
		const callers, each = 8, 50
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				for range each {
					if err := c.Replay(t.Context(), letter); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.NoError(t, c.Flush(in(t, time.Minute)))
		require.Len(t, a.taken(), callers*each)
		require.Empty(t, b.taken())
		balanced(t, c)
	})
}

func ExampleClient_Replay() {
	dir, err := os.MkdirTemp("", "letters")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	letters := &analytics.DeadLetterFile{Path: filepath.Join(dir, "dead.ndjson")}
	down := true
	crm := analytics.DestinationFunc("CRM", func(_ context.Context, events []*analytics.Event) error {
		if down {
			return analytics.Permanent(errors.New("no such account"))
		}
		fmt.Println("CRM got", events[0].MessageID)
		return nil
	})
	client, err := analytics.New(analytics.Config{
		Destinations: []analytics.Destination{crm}, DeadLetters: letters.Write, FlushInterval: -1, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_ = client.Track(ctx, analytics.Track{MessageID: "m-1", UserID: "u-42", Event: "Order Completed"})
	_ = client.Flush(ctx)
	down = false

	file, err := os.Open(letters.Path)
	if err != nil {
		panic(err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		panic(err)
	}
	for letter, err := range analytics.ReadDeadLetters(io.LimitReader(file, info.Size())) {
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(letter.MessageID, letter.Reason, letter.Error)
		if err := client.Replay(ctx, letter); err != nil {
			fmt.Println(err)
		}
	}
	_ = client.Close(ctx)
	_ = letters.Close()
	// Output:
	// m-1 rejected no such account
	// CRM got m-1
}
