package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
)

// patience is how long the command waits for deliveries once the last event is
// accepted. It bounds what does not count as a retry: pauses that the endpoint asks
// for.
const patience = 2 * time.Minute

// send runs an input and reports what became of it.
func (c *command) send(in input) report {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	log := newOutcomes(cancel)
	dest := &destination{Cloud: analytics.Cloud{WriteKey: in.WriteKey, Endpoint: endpoint(in.APIHost), Timeout: in.Config.timeout(), MaxBatch: min(in.Config.FlushAt, 2500)}}
	client, err := analytics.New(analytics.Config{
		Destinations:  []analytics.Destination{dest},
		FlushAt:       in.Config.FlushAt,
		FlushInterval: duration(in.Config.FlushInterval, time.Millisecond),
		MaxAttempts:   in.Config.attempts(),
		WhenFull:      analytics.Block,
		HTTPClient:    c.client(),
		OnOutcome:     log.add,
		Logger:        slog.New(slog.NewTextHandler(c.stderr, nil)),
	})
	if err != nil {
		return report{Error: err.Error()}
	}

	refused := enqueue(ctx, client, in.Sequences)
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	// What Close leaves is in the account, with its reason.
	_ = client.Close(ctx)

	account := client.Stats().Destinations[analytics.IntegrationSegment]
	faults := refused
	if account.Delivered != account.Accepted {
		faults = append(faults, fmt.Sprintf("%d of %d accepted events were not delivered: %s",
			account.Accepted-account.Delivered, account.Accepted, cmp.Or(log.first(), "no outcome")))
	}
	return report{Success: len(faults) == 0, SentBatches: int(dest.sent.Load()), Error: strings.Join(faults, "; ")}
}

func (c *command) client() *http.Client {
	if c.transport == nil {
		return nil
	}
	return &http.Client{Transport: c.transport}
}

// enqueue hands in the events, sequence after sequence, and returns what is wrong with
// those that were not accepted. It stops waiting, but for nothing else, when ctx ends.
func enqueue(ctx context.Context, client *analytics.Client, sequences []sequence) (refused []string) {
	for i, seq := range sequences {
		pause(ctx, duration(seq.DelayMS, time.Millisecond))
		for j, raw := range seq.Events {
			var e analytics.Event
			err := json.Unmarshal(raw, &e)
			if err == nil {
				err = client.Enqueue(ctx, e)
			}
			if err != nil {
				refused = append(refused, fmt.Sprintf("sequences[%d].events[%d]: %s", i, j, oneLine(err)))
			}
		}
	}
	return refused
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// oneLine joins the faults of one event.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", " and ") }

// destination is the cloud mode, which counts the requests that got through.
type destination struct {
	analytics.Cloud
	sent atomic.Int64
}

// Deliver counts.
func (d *destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	err := d.Cloud.Deliver(ctx, b)
	if err == nil {
		d.sent.Add(1)
	}
	return err
}

// outcomes keeps the first failure. Credentials that are refused end the run: waiting
// for better ones is for programs that stay.
type outcomes struct {
	refused func()

	mu      sync.Mutex
	failure string
}

func newOutcomes(refused func()) *outcomes { return &outcomes{refused: refused} }

func (o *outcomes) add(out analytics.Outcome) {
	if out.Status == analytics.Delivered {
		return
	}
	o.mu.Lock()
	if o.failure == "" {
		o.failure = describe(out)
	}
	o.mu.Unlock()
	if out.Status == analytics.Paused {
		o.refused()
	}
}

func (o *outcomes) first() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.failure
}

// describe says what became of an event, and why.
func describe(out analytics.Outcome) string {
	if out.Err == nil {
		return fmt.Sprintf("%v: %v", out.Status, out.Reason)
	}
	return fmt.Sprintf("%v: %s", out.Reason, oneLine(out.Err))
}
