package sdk

import (
	"context"
	"time"

	"github.com/posthog/posthog-go"
)

// PostHog makes no ids in the client: the server does.
var posthogGo = Library{
	Name: "posthog-go", Module: "github.com/posthog/posthog-go", Marker: `"uuid":"`,
	Plain: true,
	New:   newPosthog,
}

type posthogClient struct {
	c posthog.Client
	noAppending
	blocking
}

func newPosthog(o Options) (Client, error) {
	geoIP := false // on, it would write into the properties of the caller
	cfg := posthog.Config{Endpoint: o.URL, Logger: silent{}, BatchSize: o.Batch, DisableGeoIP: &geoIP}
	if o.Batch > 0 {
		cfg.Interval = time.Hour
	}
	if o.Outcome != nil {
		cfg.Callback = posthogCallback(o.Outcome)
	}
	c, err := posthog.NewWithConfig("key", cfg)
	return &posthogClient{c: c}, err
}

func (c *posthogClient) Track(id string, properties map[string]any) error {
	return c.c.Enqueue(posthog.Capture{Uuid: id, DistinctId: UserID, Event: Event, Properties: properties})
}

func (c *posthogClient) Close(ctx context.Context) error { return within(ctx, c.c.Close) }

type posthogCallback func(id string, n int, delivered bool)

func (f posthogCallback) Success(m posthog.APIMessage) { f(posthogID(m), 1, true) }

func (f posthogCallback) Failure(m posthog.APIMessage, _ error) { f(posthogID(m), 1, false) }

func posthogID(m posthog.APIMessage) string {
	c, _ := m.(posthog.CaptureInApi)
	return c.Uuid
}
