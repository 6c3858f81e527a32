package analytics

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// tool is a destination of the tests in this file.
type tool struct {
	desc      Description
	translate func(*Event) ([]Item, error)
	deliver   func(context.Context, *Batch) error
}

func (d *tool) Describe() Description { return d.desc }

func (d *tool) Translate(e *Event) ([]Item, error) {
	if d.translate != nil {
		return d.translate(e)
	}
	return []Item{{Body: []byte("1")}}, nil
}

func (d *tool) Deliver(ctx context.Context, b *Batch) error { return d.deliver(ctx, b) }

// put accepts a message as another process did, at a time of its own.
func put(t *testing.T, l eventLog, m Message, at time.Time) {
	t.Helper()
	env, err := newSurroundings(nil)
	require.NoError(t, err)
	f := m.fields()
	f.stamp(at, Identity{})
	var buf buffer
	flags, err := f.check(&buf, at, env, nil)
	require.NoError(t, err)
	require.NoError(t, l.append(at.UnixMilli(), flags, buf.b))
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

func shutNow(c *Client) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_ = c.Close(ctx)
	time.Sleep(time.Hour)
}

// What was accepted before the clock was set back does not wait for it to catch up.
func TestClockSetBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &tool{desc: Description{Name: "acme"}, deliver: func(context.Context, *Batch) error { return nil }}
		log := newMemoryLog(1<<20, false)
		c, err := open(Config{Destinations: []Destination{d}, Logger: quiet()}.withDefaults(), log)
		require.NoError(t, err)
		defer shutNow(c)
		put(t, log, Track{UserID: "u", Event: "E"}, time.Now().Add(time.Hour))
		time.Sleep(10 * time.Minute)
		require.EqualValues(t, 1, c.Stats().Destinations["acme"].Delivered, "FlushInterval is the longest that an event waits")
	})
}

// A log that another process left is not read while there is enough of our own.
func TestLeftoversDoNotStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &tool{
			desc:    Description{Name: "acme", Lanes: map[string]Limits{"": {MaxItems: 10, Concurrency: 1}}},
			deliver: func(_ context.Context, b *Batch) error { time.Sleep(time.Second); return nil },
		}
		old := newMemoryLog(1<<20, false)
		old.cursor("acme", nil, make(chan struct{}, 1))
		for range 30 {
			put(t, old, Track{UserID: "u", Event: "E"}, time.Now())
		}
		c, err := open(Config{Destinations: []Destination{d}, Logger: quiet()}.withDefaults(), newMemoryLog(8<<20, false), old)
		require.NoError(t, err)
		defer shutNow(c)
		for range 4000 {
			for range 11 { // a little more than it can take
				require.NoError(t, c.Track(t.Context(), Track{UserID: "u", Event: "E"}))
			}
			time.Sleep(time.Second)
		}
		require.EqualValues(t, 30, c.loops[0].sources[1].cursor.state().done, "an hour later")
	})
}

// Every batch leaves an entry behind in the order of the queues.
func TestQueuesDoNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &tool{desc: Description{Name: "acme"}, deliver: func(context.Context, *Batch) error { return nil }}
		c, err := open(Config{Destinations: []Destination{d}, Logger: quiet()}.withDefaults(), newMemoryLog(1<<20, false))
		require.NoError(t, err)
		defer shutNow(c)
		for range 500 {
			require.NoError(t, c.Track(t.Context(), Track{UserID: "u", Event: "E"}))
			time.Sleep(6 * time.Second)
		}
		synctest.Wait()
		require.LessOrEqual(t, len(c.loops[0].lanes[0].batcher.order), 1)
	})
}
