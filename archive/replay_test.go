package archive_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// stored is an archive of these events.
func stored(t *testing.T, raws ...string) (*archive.Archive, *memory) {
	t.Helper()
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir()})
	require.NoError(t, deliver(t, d, 0, raws...))
	require.NoError(t, d.Close(t.Context()))
	a, err := archive.Open(m, "")
	require.NoError(t, err)
	return a, m
}

// taking is a fresh destination that notes the ids of what it gets.
func taking(got *[]string) archive.Target {
	return archive.ToDestination(analytics.DestinationFunc("Fresh", func(_ context.Context, events []*analytics.Event) error {
		for _, e := range events {
			*got = append(*got, e.MessageID)
		}
		return nil
	}))
}

// A destination that refuses its settings ends a replay, which would wait for ever.
func TestReplayToADestinationThatRefuses(t *testing.T) {
	a, _ := stored(t, track("m-0", "u"))
	synctest.Test(t, func(t *testing.T) {
		refused := errors.New("no such key")
		fresh := analytics.DestinationFunc("Fresh", func(context.Context, []*analytics.Event) error { return analytics.Unauthorized(refused) })
		done, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(fresh), archive.ReplayOptions{})
		require.ErrorContains(t, err, "no such key")
		require.Empty(t, done.Last)
	})
}

// What it refuses for good is counted.
func TestReplayCountsWhatIsDropped(t *testing.T) {
	a, _ := stored(t, track("m-0", "u"), track("m-1", "u"), `{"type":"object","messageId":"m-2","collection":"products","id":"p","properties":{}}`)
	synctest.Test(t, func(t *testing.T) {
		fresh := analytics.DestinationFunc("Fresh", func(_ context.Context, events []*analytics.Event) error {
			var failed analytics.BatchError
			failed.Set(0, analytics.Permanent(errors.New("bad")))
			return failed.OrNil()
		})
		done, err := a.Replay(t.Context(), archive.Query{Types: []analytics.Call{analytics.CallTrack}}, archive.ToDestination(fresh), archive.ReplayOptions{})
		require.NoError(t, err)
		require.EqualValues(t, 2, done.Events)
		require.EqualValues(t, 1, done.Dropped)
	})
}

// An event that is as large as may be is not lost by the receivedAt that was added.
func TestReplayOfTheLargestEvent(t *testing.T) {
	head := `{"type":"track","messageId":"m-0","timestamp":"2026-11-23T11:59:00.000Z","userId":"u","event":"E","properties":{"x":"`
	raw := fmt.Sprintf(`%s%0*d"}}`, head, 32<<10-len(head)-len(`"}}`), 0)
	require.Len(t, raw, 32<<10)
	a, _ := stored(t, raw)
	synctest.Test(t, func(t *testing.T) {
		got := 0
		fresh := analytics.DestinationFunc("Fresh", func(_ context.Context, events []*analytics.Event) error {
			got += len(events)
			return nil
		})
		done, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(fresh), archive.ReplayOptions{})
		require.NoError(t, err)
		require.Equal(t, 1, got, done.Reason)
	})
}

// A second destination of the client that is stuck does not hold a replay up.
func TestReplayWaitsForItsTargetOnly(t *testing.T) {
	a, _ := stored(t, track("m-0", "u"))
	synctest.Test(t, func(t *testing.T) {
		stuck := analytics.DestinationFunc("Stuck", func(context.Context, []*analytics.Event) error { return errors.New("down") })
		got := 0
		fine := analytics.DestinationFunc("Fine", func(_ context.Context, events []*analytics.Event) error {
			for _, e := range events {
				if e.MessageID == "m-0" {
					got++
				}
			}
			return nil
		})
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{stuck, fine}})
		require.NoError(t, err)
		require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
		start := time.Now()
		_, err = a.Replay(t.Context(), archive.Query{}, archive.ToClient(client, "Fine", ""), archive.ReplayOptions{})
		require.NoError(t, err)
		require.Less(t, time.Since(start), 10*time.Second)
		require.Equal(t, 1, got)

		_, err = a.Replay(t.Context(), archive.Query{}, archive.ToClient(client, "Nobody", ""), archive.ReplayOptions{})
		require.ErrorContains(t, err, "no destination of the client")
		_, err = a.Replay(t.Context(), archive.Query{}, archive.ToClient(nil, "Fine", ""), archive.ReplayOptions{})
		require.ErrorContains(t, err, "no target")
		_, err = a.Replay(t.Context(), archive.Query{}, archive.ToClient(client, "Fine", ""), archive.ReplayOptions{Rate: -1})
		require.ErrorContains(t, err, "Rate")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.Error(t, client.Close(ctx))
	})
}

// A file that Forget has changed since the checkpoint is sent from its start.
func TestReplayBehindAForget(t *testing.T) {
	a, _ := stored(t, track("m-0", "gone"), track("m-1", "u"), track("m-2", "u"))
	synctest.Test(t, func(t *testing.T) {
		var got []string
		fresh := func() archive.Target { return taking(&got) }
		done, err := a.Replay(t.Context(), archive.Query{}, fresh(), archive.ReplayOptions{})
		require.NoError(t, err)
		require.EqualValues(t, 3, done.Last.Line)
		again, err := a.Replay(t.Context(), archive.Query{}, fresh(), archive.ReplayOptions{From: done.Last})
		require.NoError(t, err)
		require.Zero(t, again.Events)

		_, err = a.Forget(t.Context(), archive.Identity{UserID: "gone"})
		require.NoError(t, err)
		got = nil
		_, err = a.Replay(t.Context(), archive.Query{}, fresh(), archive.ReplayOptions{From: done.Last})
		require.NoError(t, err)
		require.Equal(t, []string{"m-1", "m-2"}, got)
	})
}

// described is a destination with another description.
type described struct {
	analytics.Destination
	change func(*analytics.Description)
}

func (d described) Describe() analytics.Description {
	desc := d.Destination.Describe()
	d.change(&desc)
	return desc
}

// A destination gets what its integrations keep from it, whatever name they use.
func TestReplayKnowsEveryNameOfADestination(t *testing.T) {
	for name, change := range map[string]func(*analytics.Description){
		"an alias":       func(d *analytics.Description) { d.Aliases = []string{"Older", "Oldest"} },
		"off by default": func(d *analytics.Description) { d.Name = "Salesforce" },
	} {
		t.Run(name, func(t *testing.T) {
			var raws []string
			for i, integrations := range []string{`{"Older":false}`, `{"All":false,"Oldest":true}`, `{"Fresh":null,"Oldest":false}`, `{"Salesforce":false}`, `{}`} {
				raws = append(raws, strings.Replace(track(fmt.Sprint("m-", i), "u"), "{", `{"integrations":`+integrations+`,`, 1))
			}
			a, _ := stored(t, append(raws, track("m-5", "u"))...)
			synctest.Test(t, func(t *testing.T) {
				got := 0
				fresh := described{analytics.DestinationFunc("Fresh", func(_ context.Context, events []*analytics.Event) error {
					got += len(events)
					return nil
				}), change}
				done, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(fresh), archive.ReplayOptions{})
				require.NoError(t, err, done)
				require.Equal(t, 6, got)
			})
		})
	}
}

// Damage ends a replay, or is skipped and told.
func TestReplayBesideDamage(t *testing.T) {
	m, a := files(t, "u", "u", "u", "u")
	bad := []string{m.below(t, "archive/_manifest/")[1], m.below(t, "segment-logs/")[2]}
	for _, key := range bad {
		m.files[key] = m.files[key][:20]
	}
	synctest.Test(t, func(t *testing.T) {
		var got []string
		fresh := func() archive.Target { return taking(&got) }
		_, err := a.Replay(t.Context(), archive.Query{}, fresh(), archive.ReplayOptions{})
		require.ErrorIs(t, err, archive.ErrDamaged)
		require.Empty(t, got)
		done, err := a.Replay(t.Context(), archive.Query{}, fresh(), archive.ReplayOptions{SkipDamaged: true})
		require.NoError(t, err)
		require.Equal(t, []string{"m-0", "m-3"}, got)
		require.Len(t, done.Faults, 2)
		require.Equal(t, bad, []string{done.Faults[0].Key, done.Faults[1].Key})
		require.EqualValues(t, 2, done.Files)
	})
}

// Live events that never end, at a tool that takes longer for a request than they take to
// come, do not keep a replay from its end.
func TestReplayBesideLiveEvents(t *testing.T) {
	a, _ := stored(t, track("m-0", "u"), track("m-1", "u"))
	synctest.Test(t, func(t *testing.T) {
		slow := analytics.DestinationFunc("Slow", func(ctx context.Context, _ []*analytics.Event) error {
			time.Sleep(1500 * time.Millisecond)
			return nil
		})
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{slow}})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		live := make(chan error, 1)
		go func() {
			for ctx.Err() == nil {
				if err := client.Track(ctx, analytics.Track{UserID: "live", Event: "E"}); err != nil && ctx.Err() == nil {
					live <- err
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
			live <- nil
		}()
		time.Sleep(10 * time.Second)
		_, err = a.Replay(ctx, archive.Query{}, archive.ToClient(client, "Slow", ""), archive.ReplayOptions{})
		require.NoError(t, err)
		cancel()
		require.NoError(t, <-live)
		require.NoError(t, client.Close(t.Context()))
	})
}

// Of a file that is being rewritten nobody knows which lines a checkpoint has counted.
func TestCheckpointsOfFilesThatAreRewritten(t *testing.T) {
	_, a, file, _ := halfForgotten(t)
	synctest.Test(t, func(t *testing.T) {
		var got []string
		fresh := func() archive.Target { return taking(&got) }
		before, err := a.Replay(t.Context(), archive.Query{}, fresh(), archive.ReplayOptions{})
		require.NoError(t, err)
		require.Len(t, got, 4)
		require.Equal(t, archive.Checkpoint{FirstReceived: before.Last.FirstReceived, Key: file, Line: 4}, before.Last)
		_, err = a.Replay(t.Context(), archive.Query{}, fresh(), archive.ReplayOptions{From: before.Last})
		require.NoError(t, err)
		require.Len(t, got, 8, "all of them once more")
		_, err = a.Forget(t.Context(), archive.Identity{UserID: "gone"})
		require.NoError(t, err)
		_, err = a.Replay(t.Context(), archive.Query{}, fresh(), archive.ReplayOptions{From: before.Last})
		require.NoError(t, err)
		require.Len(t, got, 11)
	})
}
