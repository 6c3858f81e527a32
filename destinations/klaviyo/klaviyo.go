// Package klaviyo sends events and profiles to Klaviyo.
//
// Two or more events go as one job, which Klaviyo checks later and whose result is not
// awaited; NoBulk sends each by itself. Order Completed brings an Ordered Product for
// each of its products. Every event has a unique_id made from its messageId, by which
// Klaviyo dedupes. Phone numbers have to be international; one that is not is left out,
// as is an invalid e-mail address.
package klaviyo

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to Klaviyo. Its fields are its settings.
type Destination struct {
	// APIKey is a private key with the scopes events:write and profiles:write, and
	// lists:write where ListID is set.
	APIKey string `json:"apiKey" required:"true" secret:"true"`

	// Revision is the version of the API; each is supported for two years.
	Revision string `json:"revision,omitempty" default:"2025-01-15"`

	// ListID is a list to which profiles are added. The option listId of a message has
	// precedence.
	ListID string `json:"listId,omitempty"`

	// NoBulk sends each event in a request of its own.
	NoBulk bool `json:"noBulk,omitempty"`

	// OrderEvent and ProductEvent are the names of the events that an order becomes.
	OrderEvent   string `json:"orderEvent,omitempty" default:"Order Completed"`
	ProductEvent string `json:"productEvent,omitempty" default:"Ordered Product"`

	dest.Hooks

	client dest.Client
	header http.Header
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

// The lanes.
const (
	laneEvents   = "events"
	laneProfiles = "profiles"
)

const (
	name      = "Klaviyo"
	nameNew   = "Klaviyo (Actions)"
	nameShort = "Actions Klaviyo"

	maxRequest = 5_000_000
	maxItem    = 100_000
)

// Describe states what Klaviyo takes.
func (d *Destination) Describe() analytics.Description {
	events := analytics.Limits{
		MaxItems: 1000, MaxBytes: maxRequest, Overhead: len(eventsOpening) + len(eventsClosing),
		ItemOverhead: len(",") + itemOverhead, Linger: dest.Linger,
		Rates: []analytics.Rate{{Requests: 8, Burst: 2}, {Requests: 140, Per: time.Minute, Burst: 10}},
	}
	if d.NoBulk {
		events = analytics.Limits{MaxItems: 1, MaxBytes: maxRequest, Overhead: len(eventOpening) + len(eventClosing), Linger: -1,
			Rates: []analytics.Rate{{Requests: 300, Burst: 50}, {Requests: 3300, Per: time.Minute, Burst: 200}}}
	}
	return analytics.Description{
		Name: name, Aliases: []string{nameNew, nameShort},
		Calls: analytics.CallsOf(analytics.CallTrack, analytics.CallIdentify),
		Lanes: map[string]analytics.Limits{
			laneEvents: events,
			laneProfiles: {
				MaxItems: 10_000, MaxBytes: maxRequest, MaxItemBytes: maxItem,
				Overhead: profilesOverhead, ItemOverhead: len(",") + len(profileOpening) + len(profileClosing), Linger: dest.Linger,
				// Up to twenty profiles are a request each, of which 700 a minute are allowed.
				Rates: []analytics.Rate{{Requests: 32, Per: time.Minute, Burst: 3}},
			},
		},
	}
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	d.client = dest.NewClient("klaviyo", env)
	d.header = http.Header{
		"Authorization": {"Klaviyo-API-Key " + d.APIKey},
		"Revision":      {cmp.Or(d.Revision, "2025-01-15")},
		"Accept":        {"application/json"},
	}
	return dest.Check(d).Err()
}

// Deliver sends events in one request, and profiles in a job where there are many.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	switch {
	case b.Lane == laneProfiles && len(b.Items) > maxSingles:
		return d.job(ctx, "/api/profile-bulk-import-jobs/", profilesBody(b.Items), len(b.Items))
	case b.Lane == laneProfiles:
		return d.profiles(ctx, b)
	}
	latest := time.Now().Add(maxAhead)
	return dest.Sieve(b, func(it *analytics.Item) error {
		if it.Data.(parts).at.After(latest) {
			return errAhead
		}
		return nil
	}, func(items []analytics.Item) error { return d.events(ctx, items) })
}

// maxAhead is how far in the future an event may be. One that is farther would cost the
// whole job.
const maxAhead = 365 * 24 * time.Hour

var errAhead = errors.New("klaviyo: more than a year ahead")

func (d *Destination) events(ctx context.Context, items []analytics.Item) error {
	if len(items) > 1 {
		return d.job(ctx, "/api/event-bulk-create-jobs/", eventsBody(items), len(items))
	}
	answer, err := d.post(ctx, "/api/events/", dest.Join(eventOpening, items, eventClosing))
	if err != nil {
		return err
	}
	return answer.Err()
}

func (d *Destination) post(ctx context.Context, path string, body []byte) (*dest.Answer, error) {
	return d.client.Do(ctx, dest.Request{URL: "https://a.klaviyo.com" + path, Header: d.header, Body: body})
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
