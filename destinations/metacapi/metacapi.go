// Package metacapi sends events to Meta through the Conversions API.
//
// Personal data leaves the process as SHA-256 only, normalised as Meta asks for; what
// is a hash already stays as it is. Orders, carts, product views and searches become
// Meta's standard events, everything else goes under its own name without properties
// about a person. Meta takes a request whole or not at all, so that events are checked
// before they are sent and those that are too old are rejected here.
package metacapi

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to the Conversions API. Its fields are its settings.
type Destination struct {
	// PixelID is the id of the pixel or dataset.
	PixelID string `json:"pixelId" required:"true"`

	// AccessToken authorizes the requests, in their bodies.
	AccessToken string `json:"accessToken" required:"true" secret:"true"`

	// APIVersion is the version of the Graph API.
	APIVersion string `json:"apiVersion,omitempty" default:"v24.0"`

	// TestEventCode marks events as tests, for the tool that shows those.
	TestEventCode string `json:"testEventCode,omitempty"`

	// ActionSource says where events happen. Without it each message tells: app for
	// iOS and Android, website where there is a page or a browser, else
	// system_generated.
	ActionSource string `json:"actionSource,omitempty" oneof:"email website app phone_call chat physical_store system_generated business_messaging other"`

	// LimitedDataUse asks Meta for its limited processing of each event.
	LimitedDataUse bool `json:"limitedDataUse,omitempty"`

	// EventMap names the standard events for names of events that Segment's spec does
	// not have.
	EventMap map[string]string `json:"eventMap,omitempty"`

	// Gender and Country send these traits too, hashed.
	Gender  bool `json:"gender,omitempty"`
	Country bool `json:"country,omitempty"`

	dest.Hooks

	client dest.Client
	logger *slog.Logger
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	name     = "Facebook Conversions API"
	nameOld  = "Facebook Conversions API (Actions)"
	nameMeta = "Meta Conversions API"

	// maxItems is a tenth of what Meta takes: one bad event fails its whole request.
	maxItems = 100
	opening  = `{"data":[`

	maxAge        = 7 * 24 * time.Hour
	maxAgeInStore = 62 * 24 * time.Hour
	inStore       = "physical_store"
)

// Describe states what Meta takes.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:    name,
		Aliases: []string{nameOld, nameMeta},
		Calls:   analytics.CallsOf(analytics.CallTrack, analytics.CallPage),
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: maxItems, Overhead: len(opening) + len(d.closing()), ItemOverhead: len(","),
			Linger: dest.Linger, Timeout: 10 * time.Second,
		}},
	}
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	d.client, d.logger = dest.NewClient("metacapi", env), env.Logger
	return dest.Check(d).Err()
}

func (d *Destination) closing() string {
	j := dest.NewJSON()
	j.Open()
	j.Text("access_token", d.AccessToken)
	j.TextUnlessEmpty("test_event_code", d.TestEventCode)
	j.Close()
	b, _ := j.Bytes() // texts only
	return "]," + string(b[1:])
}

// event is what Deliver has to know of one.
type event struct {
	at     time.Time
	source string
}

// Deliver sends one batch in one request, without the events that are too old.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	now := time.Now()
	return dest.Sieve(b, func(it *analytics.Item) error {
		e, most := it.Data.(event), maxAge
		if e.source == inStore {
			most = maxAgeInStore
		}
		if now.Sub(e.at) > most {
			return errOld
		}
		return nil
	}, func(items []analytics.Item) error { return d.send(ctx, items) })
}

var errOld = errors.New("metacapi: older than Meta takes")

func (d *Destination) send(ctx context.Context, items []analytics.Item) error {
	answer, err := d.client.Do(ctx, dest.Request{
		URL:  "https://graph.facebook.com/" + url.PathEscape(cmp.Or(d.APIVersion, "v24.0")) + "/" + url.PathEscape(d.PixelID) + "/events",
		Body: dest.Join(opening, items, d.closing()),
	})
	if err != nil {
		return err
	}
	return d.answerError(answer, len(items))
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
