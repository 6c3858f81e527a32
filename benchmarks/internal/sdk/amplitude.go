package sdk

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/amplitude/analytics-go/amplitude"
)

// Amplitude's call returns nothing and drops without a word where its queue of
// 20,000 is full. Where the work is to be accepted, Options.Room makes it larger.
var amplitudeGo = Library{
	Name: "amplitude-go", Module: "github.com/amplitude/analytics-go", Marker: `"insert_id":"`,
	OwnIDs: true, Plain: true,
	New: newAmplitude,
}

type amplitudeClient struct {
	c amplitude.Client
	noAppending
	blocking
}

func newAmplitude(o Options) (Client, error) {
	cfg := amplitude.NewConfig("key")
	cfg.ServerURL = o.URL + "/2/httpapi"
	cfg.Logger = silent{}
	cfg.MaxStorageCapacity = o.Room
	cfg.FlushInterval = 5 * time.Second // as the others, instead of ten
	if o.Batch > 0 {
		cfg.FlushQueueSize, cfg.FlushInterval = o.Batch, time.Hour
		cfg.MaxStorageCapacity = cmp.Or(o.Room, o.Batch)
	}
	if o.Outcome != nil {
		cfg.ExecuteCallback = func(r amplitude.ExecuteResult) {
			o.Outcome(r.Event.InsertID, 1, r.Code == http.StatusOK)
		}
	}
	return &amplitudeClient{c: amplitude.NewClient(cfg)}, nil
}

func (c *amplitudeClient) Track(id string, properties map[string]any) error {
	c.c.Track(amplitude.Event{
		UserID: UserID, EventType: Event, EventProperties: properties,
		EventOptions: amplitude.EventOptions{InsertID: id},
	})
	return nil
}

func (c *amplitudeClient) Close(ctx context.Context) error {
	return within(ctx, func() error {
		c.c.Shutdown()
		return nil
	})
}
