package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
)

// note is properties that are already encoded, so that an event has about 1 KB.
type note []byte

func (n note) AppendJSON(b []byte) ([]byte, error) { return append(b, n...), nil }

// noteSize makes 1 KB of it, with what the client puts around.
const noteSize = 800

// notes are different texts of made-up words, which compress about as events do.
func notes() []note {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 512)
	for i := range words {
		words[i] = strconv.FormatUint(random.Uint64(), 36)[:3+random.IntN(8)]
	}
	all := make([]note, 256)
	for i := range all {
		b := []byte(`{"note":"`)
		for len(b) < noteSize-2 {
			b = append(append(b, words[random.IntN(len(words))]...), ' ')
		}
		all[i] = append(b[:noteSize-2], `"}`...)
	}
	return all
}

// sink is a destination inside the process. It counts what it is given and delivers as
// it is told to.
type sink struct {
	name    string
	deliver func(context.Context, *analytics.Batch) error

	events, bytes atomic.Int64
}

func (s *sink) Describe() analytics.Description { return analytics.Description{Name: s.name} }

func (s *sink) Translate(*analytics.Event) ([]analytics.Item, error) {
	return nil, errors.New("events come as JSON")
}

func (s *sink) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	s.events.Add(1)
	s.bytes.Add(int64(len(raw)))
	return analytics.Item{ID: h.MessageID, Body: raw}, nil
}

func (s *sink) Deliver(ctx context.Context, b *analytics.Batch) error { return s.deliver(ctx, b) }

// takes everything at once.
func takes(context.Context, *analytics.Batch) error { return nil }

// hangs until its time is over.
func hangs(ctx context.Context, _ *analytics.Batch) error {
	<-ctx.Done()
	return ctx.Err()
}

// dead refuses everything.
func dead(context.Context, *analytics.Batch) error { return errors.New("connection refused") }

// slow takes half a second.
func slow(ctx context.Context, _ *analytics.Batch) error {
	select {
	case <-time.After(500 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// flaky refuses every second batch.
func flaky() func(context.Context, *analytics.Batch) error {
	var n atomic.Int64
	return func(context.Context, *analytics.Batch) error {
		if n.Add(1)%2 == 0 {
			return errors.New("connection reset")
		}
		return nil
	}
}

// config is a client over the spool of a task, with room for n events of 1 KB.
func (t task) config(n int, destinations ...analytics.Destination) analytics.Config {
	return analytics.Config{
		Destinations: destinations,
		Spool:        analytics.Spool{Dir: t.Dir, MaxBytes: roomFor(n)},
		WhenFull:     analytics.Block,
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
}

// roomFor is the default, or more.
func roomFor(n int) int64 { return max(1<<30, int64(n)*1200) }

// The ring and a segment of a spool with room for so many bytes; see the fields of
// analytics.Spool and docs/spool.md.
const ringSize = 16<<20 + 4096

func segmentSize(room int64) int64 { return min(room/64, 16<<20) }

// cloud is the destination for receivers.
func (t task) cloud() analytics.Destination {
	return &analytics.Cloud{WriteKey: "key", Endpoint: t.URL}
}

// id is the messageId of the event of a number, numberOf the way back.
func id(n int) string { return "event-" + strconv.Itoa(n) }

func numberOf(id string) (int, bool) {
	n, err := strconv.Atoi(strings.TrimPrefix(id, "event-"))
	return n, err == nil
}

// at once: a Close that leaves everything to the next process.
func atOnce() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
