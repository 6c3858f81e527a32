// Package intercom sends contacts, events and companies to Intercom.
//
// Intercom has no batches: a message is a request, and before it a search for the
// contact where its id is not known yet. The ids that were found are remembered for an
// hour. Attributes that Intercom does not know make it refuse a contact, so that of the
// traits only those of its own fields are sent, and those that the settings name.
package intercom

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to Intercom. Its fields are its settings.
type Destination struct {
	// AccessToken authorizes the requests.
	AccessToken string `json:"accessToken" required:"true" secret:"true"`

	// Region is where the workspace is stored.
	Region string `json:"region,omitempty" oneof:"us eu au" default:"us"`

	// Version is that of the API.
	Version string `json:"version,omitempty" default:"2.11"`

	// Role is that of contacts. Leads have no userId.
	Role string `json:"role,omitempty" oneof:"user lead" default:"user"`

	// ContactAttributes and CompanyAttributes are traits to send as custom attributes,
	// which have to exist in Intercom.
	ContactAttributes []string `json:"contactAttributes,omitempty"`
	CompanyAttributes []string `json:"companyAttributes,omitempty"`

	// MetadataKeys is the most properties of an event that are sent.
	MetadataKeys int `json:"metadataKeys,omitempty" default:"20"`

	dest.Hooks

	client dest.Client
	header http.Header
	known  contacts
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

// Describe states what Intercom takes: 10,000 calls a minute, metered in windows of ten
// seconds, of which a message needs up to four.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:    "Intercom",
		Aliases: []string{"Intercom Cloud Mode (Actions)", "Actions Intercom Cloud"},
		Calls:   analytics.CallsOf(analytics.CallTrack, analytics.CallIdentify, analytics.CallGroup),
		Order:   analytics.PerKey, // an event for an unknown contact is refused
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: 1, Linger: -1, Concurrency: 5,
			Rates: []analytics.Rate{{Requests: 360, Per: 10 * time.Second, Burst: 40}},
		}},
	}
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	d.client = dest.NewClient("intercom", env)
	d.header = http.Header{
		"Authorization":    {"Bearer " + d.AccessToken},
		"Accept":           {"application/json"},
		"Intercom-Version": {cmp.Or(d.Version, "2.11")},
	}
	return dest.Check(d).Err()
}

// Deliver does what one message asks for.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	it := &b.Items[0]
	p := it.Data.(plan)
	switch p.call {
	case analytics.CallIdentify:
		return d.contact(ctx, p, it.Body)
	case analytics.CallGroup:
		return d.company(ctx, p, it.Body)
	}
	return d.event(ctx, p, it.Body)
}

func (d *Destination) do(ctx context.Context, method, path string, body []byte) (*dest.Answer, error) {
	host := "https://api.intercom.io"
	if d.Region == "eu" || d.Region == "au" {
		host = "https://api." + d.Region + ".intercom.io"
	}
	// A copy: net/http may read a body after the request is over.
	return d.client.Do(ctx, dest.Request{Method: method, URL: host + path, Header: d.header, Body: append([]byte(nil), body...)})
}

// word is what a status means where nothing else is known.
func word(answer *dest.Answer) error {
	if answer.Status != http.StatusTooManyRequests {
		return answer.Err()
	}
	return analytics.RetryAfter(answer.Until("X-RateLimit-Reset"), answer.Fault("rate_limit_exceeded"))
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
