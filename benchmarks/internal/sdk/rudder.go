package sdk

import (
	"context"
	"time"

	"github.com/rudderlabs/analytics-go/v4"
)

var rudder = Library{
	Name: "rudder-go", Module: "github.com/rudderlabs/analytics-go/v4", Marker: `"messageId":"`,
	OwnIDs: true, Gzip: true, Plain: true,
	New: newRudder,
}

type rudderClient struct {
	c analytics.Client
	noAppending
	blocking
}

func newRudder(o Options) (Client, error) {
	cfg := analytics.Config{DataPlaneUrl: o.URL, DisableGzip: o.Plain, Logger: silent{}, BatchSize: o.Batch}
	if o.Batch > 0 {
		cfg.Interval = time.Hour
	}
	if o.Outcome != nil {
		cfg.Callback = rudderCallback(o.Outcome)
	}
	c, err := analytics.NewWithConfig("key", cfg)
	return &rudderClient{c: c}, err
}

func (c *rudderClient) Track(id string, properties map[string]any) error {
	return c.c.Enqueue(analytics.Track{MessageId: id, UserId: UserID, Event: Event, Properties: properties})
}

func (c *rudderClient) Close(ctx context.Context) error { return within(ctx, c.c.Close) }

type rudderCallback func(id string, n int, delivered bool)

func (f rudderCallback) Success(m analytics.Message) { f(rudderID(m), 1, true) }

func (f rudderCallback) Failure(m analytics.Message, _ error) { f(rudderID(m), 1, false) }

func rudderID(m analytics.Message) string {
	t, _ := m.(analytics.Track)
	return t.MessageId
}
