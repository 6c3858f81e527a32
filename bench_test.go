package analytics

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"
)

var sixProperties = map[string]any{
	"orderId": "ord-7741", "currency": "EUR", "revenue": 39.95, "quantity": 3, "gift": true,
	"shipping": map[string]any{"carrier": "DHL", "express": false, "cost": 4.95},
}

func BenchmarkEncodeProperties(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	for b.Loop() {
		buf, _ = appendValue(buf[:0], sixProperties, 0)
	}
}

func BenchmarkEncodePropertiesStdlib(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		_, _ = json.Marshal(sixProperties)
	}
}

func BenchmarkEncodeMessage(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	env, _ := newSurroundings(nil)
	for b.Loop() {
		now := time.Now()
		m := Track{UserID: "user-42", Event: "Order Completed", Properties: sixProperties}.fields()
		m.stamp(now, Identity{})
		buf, _, _ = m.append(buf[:0], now, env, nil)
	}
}

func BenchmarkEncodeMessageCtx(b *testing.B) {
	b.ReportAllocs()
	buf := make([]byte, 0, 1024)
	env, _ := newSurroundings(nil)
	c := &Context{IP: "1.2.3.4", UserAgent: "Mozilla", Page: PageInfo{URL: "https://x"}}
	for b.Loop() {
		now := time.Now()
		m := Track{UserID: "user-42", Event: "Order Completed", Properties: sixProperties}.fields()
		m.stamp(now, Identity{})
		buf, _, _ = m.append(buf[:0], now, env, c)
	}
}

func BenchmarkDecodeEvent(b *testing.B) {
	b.ReportAllocs()
	env, _ := newSurroundings(nil)
	now := time.Now()
	m := Track{UserID: "user-42", Event: "Order Completed", Properties: sixProperties}.fields()
	m.stamp(now, Identity{})
	buf, _, _ := m.append(nil, now, env, nil)
	b.Log(string(buf))
	for b.Loop() {
		var e Event
		if err := e.UnmarshalJSON(buf); err != nil {
			b.Fatal(err)
		}
	}
}

// asleep is a destination that takes everything and wakes once an hour, so that a
// benchmark of the call measures nothing beside it.
type asleep struct{}

func (asleep) Describe() Description {
	return Description{Name: "asleep", Every: time.Hour}
}
func (asleep) Translate(*Event) ([]Item, error)           { return nil, ErrIgnored }
func (asleep) TranslateRaw(*Header, []byte) (Item, error) { return Item{}, ErrIgnored }
func (asleep) Deliver(context.Context, *Batch) error      { return nil }

func BenchmarkTrack(b *testing.B) {
	b.Run("memory", func(b *testing.B) { benchmarkTrack(b, Config{}) })
	b.Run("spool", func(b *testing.B) {
		benchmarkTrack(b, Config{Spool: Spool{Dir: b.TempDir(), MaxBytes: 256 << 20, Sync: Never}})
	})
}

// benchmarkTrack measures the call. While the ring is full, since the disk is slower
// than the calls, the clock stands still.
func benchmarkTrack(b *testing.B, cfg Config) {
	cfg.Destinations, cfg.WhenFull = []Destination{asleep{}}, DropOldest
	client, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer func() {
		cancel()
		_ = client.Close(ctx)
	}()
	b.ReportAllocs()
	for b.Loop() {
		err := client.Track(ctx, Track{UserID: "user-42", Event: "Order Completed", Properties: sixProperties})
		if errors.Is(err, ErrQueueFull) {
			b.StopTimer()
			<-client.log.space()
			b.StartTimer()
		} else if err != nil {
			b.Fatal(err)
		}
	}
}
