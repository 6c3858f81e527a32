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
	OwnIDs: true, Gzip: true, Plain: true, Appends: true, Hurries: true,
	New: newOurs,
}

type oursClient struct {
	c   *analytics.Client
	ctx context.Context
}

// bytesAnEvent is what an event of the work takes in the log, about.
const bytesAnEvent = 400

func newOurs(o Options) (Client, error) {
	cfg := analytics.Config{
		Destinations: []analytics.Destination{&analytics.Cloud{WriteKey: "key", Endpoint: o.URL, NoGzip: o.Plain}},
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if o.Block {
		cfg.WhenFull = analytics.Block
	}
	if o.Room > 0 {
		cfg.MaxMemory = max(o.Room*bytesAnEvent, 256<<10)
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
	return &oursClient{c, context.Background()}, nil
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

func (c *oursClient) Idle() bool {
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
