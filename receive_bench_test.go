package analytics

import (
	"context"
	"errors"
	"testing"
)

// receivedMessage has the size of an ordinary one from a browser.
const receivedMessage = `{"type":"track","messageId":"ajs-next-1767323045678-0c5d6b1e-2f3a-4b5c-8d7e-9f0a1b2c3d4e","timestamp":"2026-01-02T03:04:05.678Z",` +
	`"anonymousId":"4d1d3ff9-9d1f-4f0e-8a7b-0c3e5a1f2b6d","userId":"user-42","event":"Order Completed",` +
	`"properties":{"orderId":"ord-7741","currency":"EUR","revenue":39.95,"quantity":3,"gift":true,"shipping":{"carrier":"DHL","cost":4.95}},` +
	`"context":{"page":{"path":"/pricing","title":"Pricing","url":"https://lee.example/pricing"},"locale":"de-DE","library":{"name":"analytics.js","version":"next-1.70.0"}},` +
	`"integrations":{},"sentAt":"2026-01-02T03:04:06.001Z"}`

// BenchmarkEnqueueJSON compares the two ways to accept what others have sent.
func BenchmarkEnqueueJSON(b *testing.B) {
	in := &Inbound{ReceivedAt: receiveNow, IP: "203.0.113.9", Claim: func(string) bool { return true }}
	raw := []byte(receivedMessage)
	b.Run("json", func(b *testing.B) {
		benchmarkAccept(b, func(ctx context.Context, c *Client) error { return c.EnqueueJSON(ctx, raw, in) })
	})
	b.Run("batch", func(b *testing.B) { // with a context for all, which makes every message odd
		in := *in
		in.Context = &Context{Locale: "de-DE"}
		benchmarkAccept(b, func(ctx context.Context, c *Client) error { return c.EnqueueJSON(ctx, raw, &in) })
	})
	b.Run("event", func(b *testing.B) {
		benchmarkAccept(b, func(ctx context.Context, c *Client) error {
			e := &Event{}
			if err := e.UnmarshalJSON(raw); err != nil {
				return err
			}
			return c.Enqueue(ctx, e)
		})
	})
	b.Run("decoded event", func(b *testing.B) {
		e := &Event{}
		if err := e.UnmarshalJSON(raw); err != nil {
			b.Fatal(err)
		}
		benchmarkAccept(b, func(ctx context.Context, c *Client) error { return c.Enqueue(ctx, e) })
	})
}

func benchmarkAccept(b *testing.B, accept func(context.Context, *Client) error) {
	client, err := New(Config{Destinations: []Destination{asleep{}}, WhenFull: DropOldest})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		cancel()
		_ = client.Close(ctx)
	}()
	b.ReportAllocs()
	b.SetBytes(int64(len(receivedMessage)))
	for b.Loop() {
		if err := accept(ctx, client); err != nil && !errors.Is(err, ErrQueueFull) {
			b.Fatal(err)
		}
	}
}
