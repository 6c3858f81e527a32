package sdk

import (
	"context"
	"time"

	"github.com/segmentio/analytics-go/v3"
)

var segment = Library{
	Name: Anchor, Module: "github.com/segmentio/analytics-go/v3", Marker: `"messageId":"`,
	OwnIDs: true, Plain: true,
	New: newSegment,
}

type segmentClient struct {
	c analytics.Client
	noAppending
	blocking
}

func newSegment(o Options) (Client, error) {
	cfg := analytics.Config{Endpoint: o.URL, Logger: silent{}, BatchSize: o.Batch}
	if o.Batch > 0 {
		cfg.Interval = time.Hour
	}
	if o.Outcome != nil {
		cfg.Callback = segmentCallback(o.Outcome)
	}
	c, err := analytics.NewWithConfig("key", cfg)
	return &segmentClient{c: c}, err
}

func (c *segmentClient) Track(id string, properties map[string]any) error {
	return c.c.Enqueue(analytics.Track{MessageId: id, UserId: UserID, Event: Event, Properties: properties})
}

func (c *segmentClient) Close(ctx context.Context) error { return within(ctx, c.c.Close) }

type segmentCallback func(id string, n int, delivered bool)

func (f segmentCallback) Success(m analytics.Message) { f(segmentID(m), 1, true) }

func (f segmentCallback) Failure(m analytics.Message, _ error) { f(segmentID(m), 1, false) }

func segmentID(m analytics.Message) string {
	t, _ := m.(analytics.Track)
	return t.MessageId
}
