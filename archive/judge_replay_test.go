package archive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// sink is a destination that keeps what it gets.
type sink struct {
	desc   analytics.Description
	before func(n int) error // called before each delivery, with how many came before
	mu     sync.Mutex
	got    []string
	times  []time.Time
}

func newSink(name string) *sink {
	return &sink{desc: analytics.Description{Name: name, Calls: analytics.SixCalls | analytics.CallsOf(analytics.CallObject),
		Lanes: map[string]analytics.Limits{"": {Linger: -1, Concurrency: 1, MaxItems: 10}}}}
}

func (d *sink) Describe() analytics.Description { return d.desc }

func (d *sink) Translate(*analytics.Event) ([]analytics.Item, error) { panic("nobody decodes") }

func (d *sink) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	return analytics.Item{Body: raw}, nil
}

func (d *sink) Deliver(_ context.Context, b *analytics.Batch) error {
	if d.before != nil {
		d.mu.Lock()
		n := len(d.got)
		d.mu.Unlock()
		if err := d.before(n); err != nil {
			return err
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, it := range b.Items {
		d.got = append(d.got, string(it.Body))
		d.times = append(d.times, time.Now())
	}
	return nil
}

// ids are those of what came, sorted, each once.
func (d *sink) ids(t *testing.T) []string {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	ids := map[string]bool{}
	for _, e := range d.got {
		ids[idOf(t, e)] = true
	}
	return slices.Sorted(maps.Keys(ids))
}

// decoded is an event as a map, and its integrations apart.
func decoded(t *testing.T, event string) (rest, integrations map[string]any) {
	t.Helper()
	in := json.NewDecoder(bytes.NewReader([]byte(event)))
	in.UseNumber()
	require.NoError(t, in.Decode(&rest))
	integrations, _ = rest["integrations"].(map[string]any)
	delete(rest, "integrations")
	return rest, integrations
}

// keptDay is an archive of a day.
func keptDay(t *testing.T) (*shelf, *tap) {
	t.Helper()
	s := newShelf()
	tap := archived(t, analytics.Config{}, &archive.Destination{Bucket: s, SourceOf: byUserPrefix}, func(c *analytics.Client) {
		sendDay(t, c)
		for _, i := range []analytics.Integrations{{"Sink": false}, {"All": true, "Other": map[string]any{"x": 1}}, {"All": false}} {
			require.NoError(t, c.Track(t.Context(), analytics.Track{UserID: "u", Event: "Chosen", Integrations: i}))
		}
		_ = c.Enqueue(t.Context(), analytics.Event{Type: "track", UserID: "u", Event: "Extra", Extra: map[string]any{"unknown": []any{1, nil}},
			SentAt: time.Unix(5, 0), OriginalTimestamp: time.Unix(4, 0), Timestamp: time.Unix(6, 5e6), Metadata: map[string]any{"bundled": []any{"Sink"}}})
	})
	return s, tap
}

func replayed(t *testing.T, b archive.Bucket, q archive.Query, to archive.Target, o archive.ReplayOptions) archive.Replayed {
	t.Helper()
	a, err := archive.Open(b, "")
	require.NoError(t, err)
	done, err := a.Replay(t.Context(), q, to, o)
	require.NoError(t, err)
	return done
}

// requireReplayed expects that a sink has got these events, and that nothing of them has
// changed but their integrations, which are what chosen says of those that they had.
func requireReplayed(t *testing.T, d *sink, want []*accepted, chosen func(was map[string]any) map[string]any) {
	t.Helper()
	byID := map[string]*accepted{}
	for _, e := range want {
		byID[e.id] = e
	}
	require.Len(t, d.got, len(want))
	for _, event := range d.got {
		e := byID[idOf(t, event)]
		require.NotNil(t, e, event)
		delete(byID, e.id)
		rest, integrations := decoded(t, event)
		was, before := decoded(t, e.line())
		require.Equal(t, was, rest)
		require.Equal(t, chosen(before), integrations, "before: %v", before)
	}
}

func TestJudgeReplayToClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tap := keptDay(t)
		target, other, stubborn := newSink("Sink"), newSink("Other"), newSink("Stubborn")
		stubborn.desc.IgnoreAll = true
		files := newShelf()
		var plugged int
		client, err := analytics.New(analytics.Config{
			Destinations: []analytics.Destination{target, other, stubborn, &archive.Destination{Bucket: files, Dir: quickDir(t)}},
			Context:      &analytics.Context{App: analytics.App{Name: "replayer"}},
			Plugins:      []analytics.Plugin{analytics.PluginFunc(func(context.Context, *analytics.Event) error { plugged++; return nil })},
		})
		require.NoError(t, err)
		leftAlone(t, client)
		done := replayed(t, s, archive.Query{}, archive.ToClient(client, "Sink", ""), archive.ReplayOptions{})
		want := slices.DeleteFunc(slices.Clone(tap.events), func(e *accepted) bool {
			return bytes.Contains(e.raw, []byte(`"bundled"`)) // which the device has delivered
		})
		requireReplayed(t, target, want, func(map[string]any) map[string]any {
			return map[string]any{"All": false, "Sink": true, "Stubborn": false, "Archive": false}
		})
		require.EqualValues(t, len(want), done.Events)
		require.EqualValues(t, len(tap.events)-len(want), done.Refused)
		require.EqualValues(t, len(s.data()), done.Files)
		require.Empty(t, other.got)
		require.Empty(t, stubborn.got)
		require.Zero(t, plugged)
		require.NoError(t, client.Close(t.Context()))
		require.Empty(t, files.data())
	})
}

func TestJudgeReplayToDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tap := keptDay(t)
		target := newSink("Sink")
		target.desc.IgnoreAll = true // as a warehouse
		replayed(t, s, archive.Query{}, archive.ToDestination(target), archive.ReplayOptions{})
		requireReplayed(t, target, tap.events, func(was map[string]any) map[string]any {
			if was["Sink"] == false {
				return map[string]any{"All": false, "Sink": true}
			}
			return was // All does not stop it
		})

		weak := newSink("Sink")
		replayed(t, s, archive.Query{Types: []analytics.Call{analytics.CallScreen}}, archive.ToDestination(weak), archive.ReplayOptions{})
		require.Len(t, weak.got, 15, "All has said no")

		first := target.ids(t)
		again := newSink("Sink")
		again.desc.IgnoreAll = true
		replayed(t, s, archive.Query{}, archive.ToDestination(again), archive.ReplayOptions{})
		require.Equal(t, first, again.ids(t), "twice has the same ids")

		// An archive is a destination as well: what is replayed into it can be replayed again.
		second := newShelf()
		replayed(t, s, archive.Query{}, archive.ToDestination(&archive.Destination{Bucket: second, Dir: quickDir(t), SourceOf: byUserPrefix}), archive.ReplayOptions{})
		copies := read(t, second, "", archive.Query{})
		require.Len(t, copies, len(tap.events))
		for _, e := range tap.events {
			was, _ := decoded(t, e.line())
			is, _ := decoded(t, copies[e.id])
			require.Equal(t, was, is, "receivedAt included")
		}
		requireVerified(t, second, "", len(tap.events))
	})
}

func TestJudgeQueries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tap := keptDay(t)
		begin := tap.events[0].receivedAt()
		has := func(part string) func(*accepted) bool {
			return func(e *accepted) bool { return bytes.Contains(e.raw, []byte(part)) }
		}
		for name, c := range map[string]struct {
			q    archive.Query
			want func(*accepted) bool
		}{
			"everything":     {archive.Query{}, func(*accepted) bool { return true }},
			"from":           {archive.Query{From: begin.Add(time.Hour)}, func(e *accepted) bool { return !e.receivedAt().Before(begin.Add(time.Hour)) }},
			"to":             {archive.Query{To: begin.Add(time.Hour)}, func(e *accepted) bool { return e.receivedAt().Before(begin.Add(time.Hour)) }},
			"a millisecond":  {archive.Query{From: begin, To: begin.Add(time.Millisecond)}, func(e *accepted) bool { return e.receivedAt().Equal(begin) }},
			"nothing":        {archive.Query{From: begin, To: begin}, func(*accepted) bool { return false }},
			"before":         {archive.Query{To: begin}, func(*accepted) bool { return false }},
			"sources":        {archive.Query{Sources: []string{"shop", "blog"}}, func(e *accepted) bool { return e.source != "default" }},
			"types":          {archive.Query{Types: []analytics.Call{"alias", "object"}}, func(e *accepted) bool { return has(`"type":"alias"`)(e) || has(`"type":"object"`)(e) }},
			"names":          {archive.Query{Events: []string{"Step 1"}}, has(`"event":"Step 1"`)},
			"name of a page": {archive.Query{Events: []string{"Home"}}, func(*accepted) bool { return false }},
			"user":           {archive.Query{UserIDs: []string{"shop:1"}}, has(`"userId":"shop:1"`)},
			"anonymous":      {archive.Query{AnonymousIDs: []string{"lonely", "a-1"}}, func(e *accepted) bool { return has(`"anonymousId":"lonely"`)(e) || has(`"anonymousId":"a-1"`)(e) }},
			"both":           {archive.Query{UserIDs: []string{"shop:1"}, AnonymousIDs: []string{"a-1"}}, func(e *accepted) bool { return has(`"userId":"shop:1"`)(e) && has(`"anonymousId":"a-1"`)(e) }},
			"stranger":       {archive.Query{UserIDs: []string{"nobody"}}, func(*accepted) bool { return false }},
			"messages":       {archive.Query{MessageIDs: []string{tap.events[3].id, tap.events[50].id, "none"}}, func(e *accepted) bool { return e == tap.events[3] || e == tap.events[50] }},
			"all of it": {archive.Query{From: begin.Add(time.Millisecond), Sources: []string{"shop"}, Types: []analytics.Call{"track"}, Events: []string{"Step 1"}, UserIDs: []string{"shop:1"}},
				func(e *accepted) bool {
					return e.source == "shop" && has(`"event":"Step 1"`)(e) && e.receivedAt().After(begin)
				}},
		} {
			want := map[string]string{}
			var ids []string
			for _, e := range tap.events {
				if c.want(e) {
					want[e.id] = e.line()
					ids = append(ids, e.id)
				}
			}
			require.Equal(t, want, read(t, s, "", c.q), name)
			slices.Sort(ids)
			target := newSink("Target")
			target.desc.IgnoreAll = true
			done := replayed(t, s, c.q, archive.ToDestination(target), archive.ReplayOptions{})
			require.Equal(t, ids, target.ids(t), name)
			require.EqualValues(t, len(ids), done.Events, name)
		}
	})
}

// Consent is kept, and counts.
func TestJudgeReplayKeepsConsent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		archived(t, analytics.Config{}, &archive.Destination{Bucket: s}, func(c *analytics.Client) {
			for i, yes := range []bool{true, false} {
				require.NoError(t, c.Track(t.Context(), analytics.Track{UserID: "u", Event: fmt.Sprint("E", i), Context: &analytics.Context{
					Consent: analytics.ConsentPreferences{CategoryPreferences: map[string]bool{"ads": yes}}}}))
			}
		})
		target := newSink("Sink")
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{target}, Consent: map[string][]string{"ads": {"Sink"}}})
		require.NoError(t, err)
		leftAlone(t, client)
		done := replayed(t, s, archive.Query{}, archive.ToClient(client, "Sink", ""), archive.ReplayOptions{})
		require.Len(t, target.got, 1)
		require.EqualValues(t, 1, done.Events)
		require.EqualValues(t, 1, done.Refused)
		require.NoError(t, client.Close(t.Context()))
	})
}

func TestJudgeReplayToNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := keptDay(t)
		target := newSink("Sink")
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{target}})
		require.NoError(t, err)
		leftAlone(t, client)
		a, err := archive.Open(s, "")
		require.NoError(t, err)
		_, err = a.Replay(t.Context(), archive.Query{}, archive.ToClient(client, "Nobody", ""), archive.ReplayOptions{})
		require.Error(t, err)
		require.Empty(t, target.got)
		require.NoError(t, client.Close(t.Context()))
		_, err = a.Replay(t.Context(), archive.Query{}, archive.ToClient(client, "Sink", ""), archive.ReplayOptions{})
		require.True(t, errors.Is(err, analytics.ErrClosed), "%v", err)
	})
}
