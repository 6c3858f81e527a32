package sdk

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/tributary-dev/analytics"
)

var ours = Library{
	Name: Ours, Module: "github.com/tributary-dev/analytics", Marker: `"messageId":"`,
	OwnIDs: true, Gzip: true, Plain: true, Appends: true, Hurries: true, Own: true,
	New: newOurs,
}

// The same, with a spool that has its defaults.
var spooled = Library{
	Name: Spool, Title: "analytics, spool", Module: ours.Module, Marker: ours.Marker,
	OwnIDs: true, Gzip: true, Plain: true, Appends: true, Hurries: true, Own: true, Keeps: true,
	New: newOurs,
}

type oursClient struct {
	c    *analytics.Client
	ctx  context.Context
	disk bool
}

// bytesAnEvent is what an event of the work takes in the log, about.
const bytesAnEvent = 400

func newOurs(o Options) (Client, error) {
	cfg := analytics.Config{
		Destinations: []analytics.Destination{&analytics.Cloud{WriteKey: "key", Endpoint: o.URL, NoGzip: o.Plain}},
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	cfg.Spool.Dir = o.Dir
	if o.Block {
		cfg.WhenFull = analytics.Block
	}
	if o.Room > 0 {
		cfg.MaxMemory = max(o.Room*bytesAnEvent, 256<<10)
		cfg.Spool.MaxBytes = max(int64(o.Room*bytesAnEvent), 1<<20)
	}
	if o.Batch > 0 {
		cfg.FlushAt, cfg.FlushInterval = o.Batch, time.Hour
	}
	if o.Outcome != nil {
		cfg.OnOutcome = func(e analytics.Outcome) {
			if e.Status != analytics.Paused {
				o.Outcome(e.MessageID, max(e.Events, 1), e.Status == analytics.Delivered)
			}
		}
	}
	c, err := analytics.New(cfg)
	if err != nil {
		return nil, err
	}
	return &oursClient{c, context.Background(), o.Dir != ""}, nil
}

func (c *oursClient) Track(id string, properties map[string]any) error {
	return refusal(c.c.Track(c.ctx, analytics.Track{MessageID: id, UserID: UserID, Event: Event, Properties: properties}))
}

func (c *oursClient) TrackAppending(o *Order) error {
	return refusal(c.c.Track(c.ctx, analytics.Track{UserID: UserID, Event: Event, Properties: o}))
}

func refusal(err error) error {
	if err != nil && errors.Is(err, analytics.ErrQueueFull) {
		return ErrRefused
	}
	return err
}

// Idle tells whether half of the queue is free. With a spool, the ring is what refuses:
// there is room in it when what it held is on disk.
func (c *oursClient) Idle() bool {
	if c.disk && c.c.Sync(c.ctx) != nil {
		return false
	}
	s := c.c.Stats()
	return s.QueueBytes < s.QueueLimit/2
}

func (c *oursClient) Close(ctx context.Context) error { return c.c.Close(ctx) }

func (c *oursClient) Dropped() (n int) {
	for _, d := range c.c.Stats().Destinations {
		n += int(analytics.Sum(d.Dropped))
	}
	return n
}
