package analytics_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// scheduled is a destination that delivers once an hour, and when it flushes itself.
type scheduled struct {
	name  string
	env   analytics.Env
	early error // of a flush while it is opened
	ids   []string
}

func (d *scheduled) Describe() analytics.Description {
	return analytics.Description{Name: d.name, Every: time.Hour}
}

func (d *scheduled) Open(env analytics.Env) error {
	d.env, d.early = env, env.Flush(context.Background())
	return nil
}

func (d *scheduled) Translate(e *analytics.Event) ([]analytics.Item, error) {
	return []analytics.Item{{Body: []byte("x")}}, nil
}

func (d *scheduled) Deliver(_ context.Context, b *analytics.Batch) error {
	for _, it := range b.Items {
		d.ids = append(d.ids, it.ID)
	}
	return nil
}

func TestADestinationFlushesItselfAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		one, other := &scheduled{name: "One"}, &scheduled{name: "Other"}
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{one, other}})
		require.NoError(t, err)
		require.Error(t, one.early, "the client had not started")
		synctest.Wait() // the first round, of nothing

		require.NoError(t, client.Track(t.Context(), analytics.Track{MessageID: "m-1", UserID: "u-1", Event: "Song Played"}))
		start := time.Now()
		require.NoError(t, one.env.Flush(t.Context()))
		require.Equal(t, []string{"m-1"}, one.ids)
		require.Empty(t, other.ids)
		require.Zero(t, time.Since(start), "no schedule was waited for")

		ended, cancel := context.WithCancel(t.Context())
		cancel()
		require.NoError(t, client.Track(t.Context(), analytics.Track{MessageID: "m-2", UserID: "u-1", Event: "Song Played"}))
		var pending *analytics.PendingError
		require.ErrorAs(t, one.env.Flush(ended), &pending)
		require.Contains(t, pending.Destinations, "One")
		require.NotContains(t, pending.Destinations, "Other")
		require.NoError(t, client.Close(t.Context()))
		require.Equal(t, []string{"m-1", "m-2"}, other.ids)
	})
}
