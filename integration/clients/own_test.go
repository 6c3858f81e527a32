package clients_test

import (
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// TestOwnClient runs ours in cloud mode.
func TestOwnClient(t *testing.T) {
	for name, c := range map[string]struct {
		cloud   *analytics.Cloud
		trouble []trouble
	}{
		"as it is":      {cloud: &analytics.Cloud{}},
		"plain":         {cloud: &analytics.Cloud{NoGzip: true}},
		"one at a time": {cloud: &analytics.Cloud{MaxBatch: 1}},
		"trouble":       {cloud: &analytics.Cloud{MaxBatch: 50}, trouble: bad},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, c.trouble...)
			list := messages(t, most)
			c.cloud.WriteKey, c.cloud.Endpoint = writeKey, r.url
			client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{c.cloud}, Logger: slog.New(slog.DiscardHandler)})
			require.NoError(t, err)
			for _, m := range list {
				var e analytics.Event
				require.NoError(t, e.UnmarshalJSON(encode(t, m)))
				require.NoError(t, client.Enqueue(t.Context(), e))
			}
			require.NoError(t, client.Close(t.Context()))
			r.expect(list, nil)
			if c.trouble != nil {
				r.expectTrouble()
			} else if c.cloud.MaxBatch == 0 && !c.cloud.NoGzip {
				r.expectFacts("own")
			}
		})
	}
}
