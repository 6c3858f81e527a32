package trackingapi_test

import (
	"context"
	"log/slog"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/sourcetest"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// TestConforms runs what the clients of others send: analytics.js, analytics-node, the
// libraries for phones, and whoever uses HTTP by hand.
func TestConforms(t *testing.T) {
	requests, err := sourcetest.Load(os.DirFS("testdata/recorded"), "*.json")
	require.NoError(t, err)
	require.Greater(t, len(requests), 15)
	sourcetest.Run(t, sourcetest.Setup{
		New: func(t testing.TB, client *analytics.Client) http.Handler {
			h, err := trackingapi.New(trackingapi.Config{
				Keys:   trackingapi.Keys{fixtureKey: {Name: "web", Client: client}},
				Tokens: fixtureTokens{},
				Logger: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
			})
			require.NoError(t, err)
			t.Cleanup(func() { _ = h.Close(context.Background()) })
			return h
		},
		Requests: requests,
		Secrets:  []string{fixtureKey, fixtureToken},
	})
}
