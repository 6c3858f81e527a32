package archive_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// A replay that is cancelled anywhere goes on behind its checkpoint, which has been through
// JSON: no event is left out.
func TestJudgeReplayResumes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tap := keptDay(t)
		want := newSink("Sink")
		want.desc.IgnoreAll = true
		replayed(t, s, archive.Query{}, archive.ToDestination(want), archive.ReplayOptions{})
		require.Len(t, want.got, len(tap.events))
		a, err := archive.Open(s, "")
		require.NoError(t, err)
		for stop := 0; stop < len(tap.events); stop += 10 {
			target := newSink("Sink")
			target.desc.IgnoreAll = true
			ctx, cancel := context.WithCancel(t.Context())
			target.before = func(n int) error {
				if n >= stop {
					cancel()
				}
				return nil
			}
			done, err := a.Replay(ctx, archive.Query{}, archive.ToDestination(target), archive.ReplayOptions{Rate: 100})
			if err != nil {
				require.True(t, errors.Is(err, context.Canceled), "%v", err)
			}
			text, err := json.Marshal(done.Last)
			require.NoError(t, err)
			var from archive.Checkpoint
			require.NoError(t, json.Unmarshal(text, &from))
			target.before = nil
			rest, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(target), archive.ReplayOptions{From: from})
			require.NoError(t, err)
			require.Equal(t, want.ids(t), target.ids(t), "stopped after %d at %+v", stop, from)
			end, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(target), archive.ReplayOptions{From: rest.Last})
			require.NoError(t, err)
			require.Zero(t, end.Events, "behind the end there is nothing")
		}
	})
}

// What a checkpoint says that was saved has an outcome: a process that dies at any moment
// goes on behind it.
func TestJudgeCheckpointsAreKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		const events = 25_000
		event := func(i int) string {
			return fmt.Sprintf(`{"type":"track","messageId":"m-%06d","timestamp":"2026-11-23T00:00:00.000Z","userId":"u-%d","event":"E"}`, i, i%10)
		}
		written(t, s, '1', events-5000, event)
		written(t, s, '2', 5000, func(i int) string { return event(i + events - 5000) })
		a, err := archive.Open(s, "")
		require.NoError(t, err)
		target := newSink("Sink")
		target.desc.Lanes = map[string]analytics.Limits{"": {Linger: -1}}
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{target}})
		require.NoError(t, err)
		leftAlone(t, client)
		var from archive.Checkpoint
		saves, full := 0, errors.New("the disk of checkpoints is full")
		for {
			var last archive.Checkpoint
			done, err := a.Replay(t.Context(), archive.Query{}, archive.ToClient(client, "Sink", ""), archive.ReplayOptions{From: from, Save: func(c archive.Checkpoint) error {
				saves++
				stats := client.Stats().Destinations["Sink"]
				require.Zero(t, stats.Pending, "events before the checkpoint are on their way")
				last = c
				if saves%2 == 1 {
					from = c // the next process begins here
				}
				if saves < 4 {
					return full
				}
				return nil
			}})
			if err == nil {
				require.Equal(t, last, done.Last)
				break
			}
			require.ErrorIs(t, err, full)
		}
		require.Len(t, target.ids(t), events)
		require.GreaterOrEqual(t, saves, 4)
		require.Less(t, len(target.got), 2*events, "it has begun anew")
		require.NoError(t, client.Close(t.Context()))
	})
}

func TestJudgeReplayRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tap := keptDay(t)
		target := newSink("Sink")
		target.desc.IgnoreAll = true
		start := time.Now()
		replayed(t, s, archive.Query{}, archive.ToDestination(target), archive.ReplayOptions{Rate: 10})
		took := time.Since(start)
		perfect := time.Duration(len(tap.events)) * time.Second / 10
		require.InDelta(t, perfect.Seconds(), took.Seconds(), 1.5)
		for i, at := range target.times {
			require.LessOrEqual(t, float64(i+1), 10*at.Sub(start).Seconds()+11, "event %d after %s", i, at.Sub(start))
		}
	})
}

func TestJudgeProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tap := keptDay(t)
		target := newSink("Sink")
		target.desc.IgnoreAll = true
		var last archive.Progress
		calls := 0
		watch := func(p archive.Progress) {
			calls++
			require.GreaterOrEqual(t, p.Files, last.Files)
			require.GreaterOrEqual(t, p.Events, last.Events)
			require.GreaterOrEqual(t, p.Bytes, last.Bytes)
			require.LessOrEqual(t, p.Files, p.AllFiles)
			require.LessOrEqual(t, p.Bytes, p.AllBytes)
			last = p
		}
		complete := func() {
			t.Helper()
			require.GreaterOrEqual(t, calls, len(s.data()))
			require.EqualValues(t, len(s.data()), last.Files)
			require.Equal(t, last.AllFiles, last.Files)
			require.Equal(t, last.AllBytes, last.Bytes)
			require.EqualValues(t, len(tap.events), last.Events)
			last, calls = archive.Progress{}, 0
		}
		replayed(t, s, archive.Query{}, archive.ToDestination(target), archive.ReplayOptions{Progress: watch})
		complete()
		a, err := archive.Open(s, "")
		require.NoError(t, err)
		_, err = a.Verify(t.Context(), watch)
		require.NoError(t, err)
		complete()
	})
}

// A full queue is waited for, as long as ctx lasts.
func TestJudgeReplayWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		written(t, s, 'q', 3000, func(i int) string {
			return fmt.Sprintf(`{"type":"track","messageId":"m-%06d","timestamp":"2026-11-23T00:00:00.000Z","userId":"u","event":"E","properties":{"x":"%0500d"}}`, i, i)
		})
		target := newSink("Sink")
		target.before = func(int) error { time.Sleep(time.Second); return nil }
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{target}, MaxMemory: 256 << 10})
		require.NoError(t, err)
		leftAlone(t, client)
		done := replayed(t, s, archive.Query{}, archive.ToClient(client, "Sink", ""), archive.ReplayOptions{})
		require.EqualValues(t, 3000, done.Events)
		require.Len(t, target.ids(t), 3000)
		require.NoError(t, client.Close(t.Context()))

		target = newSink("Sink")
		target.before = func(int) error { return errBroken }
		client, err = analytics.New(analytics.Config{Destinations: []analytics.Destination{target}, MaxMemory: 256 << 10})
		require.NoError(t, err)
		leftAlone(t, client)
		a, err := archive.Open(s, "")
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		done, err = a.Replay(ctx, archive.Query{}, archive.ToClient(client, "Sink", ""), archive.ReplayOptions{})
		require.Error(t, err)
		require.LessOrEqual(t, time.Since(start), 61*time.Second)
		require.Zero(t, done.Last, "nothing is done")
		ended, end := context.WithCancel(t.Context())
		end()
		require.Error(t, client.Close(ended))
	})
}

// A bucket that breaks off in the middle ends a replay with an error, never with nil.
func TestJudgeReplayOfABrokenBucket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tap := keptDay(t)
		eachFailureInBubble(t, func(at int, how failure) []string {
			door := s.door()
			door.at, door.how = at, how
			target := newSink("Sink")
			target.desc.IgnoreAll = true
			a, err := archive.Open(door, "")
			require.NoError(t, err)
			done, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(target), archive.ReplayOptions{})
			if at >= 0 && len(target.ids(t)) < len(tap.events) {
				require.Error(t, err, "call %d %s %s", at, door.calls[at], how)
			}
			if err != nil {
				done, err = a.Replay(t.Context(), archive.Query{}, archive.ToDestination(target), archive.ReplayOptions{From: done.Last})
			}
			require.NoError(t, err)
			require.Len(t, target.ids(t), len(tap.events), "call %d %s", at, how)
			return door.calls
		}, refuses, truncates, breaksOff, cutsClean)
	})
}

// eachFailureInBubble is eachFailure without subtests, which bubbles cannot have.
func eachFailureInBubble(t *testing.T, run func(at int, how failure) []string, failures ...failure) {
	t.Helper()
	calls := run(-1, refuses)
	require.NotEmpty(t, calls)
	for at, call := range calls {
		for _, how := range failures {
			if how.concerns(call) {
				run(at, how)
			}
		}
	}
}
