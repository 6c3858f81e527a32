//go:build !race

package analytics_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// sleeper takes everything, but wakes once an hour: while the calls are measured,
// nothing runs beside them.
type sleeper struct{ recorder }

func (s *sleeper) Describe() analytics.Description {
	d := s.recorder.Describe()
	d.Every = time.Hour
	return d
}

func TestCallsAllocateNothing(t *testing.T) {
	client, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{&sleeper{}}, MaxMemory: 256 << 20})
	require.NoError(t, err)
	ctx := t.Context()
	t.Cleanup(func() { _ = client.Close(ctx) })

	properties := analytics.Properties{
		"orderId": "ord-7741", "currency": "EUR", "revenue": 39.95, "quantity": 3, "gift": true,
		"shipping": map[string]any{"carrier": "DHL", "express": false, "cost": 4.95},
	}
	var boxed any = properties
	plain := any(map[string]any(properties))
	var own any = appender(`{"orderId":"ord-7741","currency":"EUR","revenue":39.95,"quantity":3,"gift":true}`)
	integrations := analytics.Integrations{"All": true}
	given := &analytics.Context{IP: "203.0.113.9", Page: analytics.PageInfo{URL: "https://lee.example/pricing"}, Active: analytics.Ptr(true)}

	for _, tt := range []struct {
		name string
		call func() error
	}{
		{"Track with a map", func() error {
			return client.Track(ctx, analytics.Track{UserID: "u-42", Event: "Order Completed", Properties: plain})
		}},
		{"Track with Properties", func() error {
			return client.Track(ctx, analytics.Track{UserID: "u-42", Event: "Order Completed", Properties: boxed, Integrations: integrations})
		}},
		{"Track with AppendJSON", func() error {
			return client.Track(ctx, analytics.Track{UserID: "u-42", AnonymousID: "a-1", Event: "Order Completed", Properties: own})
		}},
		{"Track without properties", func() error { return client.Track(ctx, analytics.Track{UserID: "u-42", Event: "Order Completed"}) }},
		{"Track with a context", func() error {
			return client.Track(ctx, analytics.Track{UserID: "u-42", Event: "Order Completed", Properties: plain, Context: given})
		}},
		{"Identify", func() error { return client.Identify(ctx, analytics.Identify{UserID: "u-42", Traits: plain}) }},
		{"Page", func() error {
			return client.Page(ctx, analytics.Page{UserID: "u-42", Name: "Pricing", Properties: plain, MessageID: "m", Timestamp: orderTime})
		}},
		{"Alias", func() error { return client.Alias(ctx, analytics.Alias{UserID: "u-42", PreviousID: "a-1"}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			require.NoError(t, tt.call())
			var failed error
			fewest := math.Inf(1)
			for range 5 { // what other tests left running may allocate meanwhile
				fewest = min(fewest, testing.AllocsPerRun(1000, func() {
					if err := tt.call(); err != nil {
						failed = err
					}
				}))
			}
			require.NoError(t, failed)
			require.Zero(t, fewest)
		})
	}
}
