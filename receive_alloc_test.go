//go:build !race

package analytics_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

func TestReceivingAllocatesNothing(t *testing.T) {
	client, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{&sleeper{}}, MaxMemory: 256 << 20})
	require.NoError(t, err)
	ctx := t.Context()
	t.Cleanup(func() { _ = client.Close(ctx) })
	last := 0
	in := &analytics.Inbound{ReceivedAt: orderTime, SentAt: orderTime, IP: "203.0.113.9", Claim: func(id string) bool { last = len(id); return true }}
	const body = `"anonymousId":"a-1","timestamp":"2026-01-02T03:04:05.678Z","sentAt":"2026-01-02T03:04:06.001Z","type":"track","event":"Order Completed","writeKey":"w","version":2,` +
		`"properties":{"orderId":"ord-7741","revenue":39.95,"title":"caf\u00e9"},"context":{"page":{"url":"https://lee.example/"},"library":{"name":"analytics.js","version":"next-1.70.0"}},"integrations":{}}`
	for name, message := range map[string]string{"with a messageId": `{"messageId":"m",` + body, "without": `{` + body} {
		t.Run(name, func(t *testing.T) {
			raw := []byte(message)
			var failed error
			fewest := math.Inf(1)
			for range 5 { // what other tests left running may allocate meanwhile
				fewest = min(fewest, testing.AllocsPerRun(1000, func() {
					if err := client.EnqueueJSON(ctx, raw, in); err != nil {
						failed = err
					}
				}))
			}
			require.NoError(t, failed)
			require.NotZero(t, last)
			require.Zero(t, fewest)
		})
	}
}
