// Package customerio sends people, events and objects to Customer.io through its Track
// API v2, all of them in ordered batches.
//
// A userId that begins with cio_ is the person's cio_id, one that is an e-mail address
// the e-mail, any other the id. Dates in ISO 8601 become Unix seconds unless KeepDates
// is set. Certain track events, such as Device Deleted and User Deleted, become the
// operations of these names.
package customerio

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to Customer.io. Its fields are its settings.
type Destination struct {
	// SiteID and APIKey are the credentials of the Track API.
	SiteID string `json:"siteId" required:"true"`
	APIKey string `json:"apiKey" required:"true" secret:"true"`

	// Region is where the account is stored.
	Region string `json:"region,omitempty" oneof:"us eu" default:"us"`

	// ObjectTypeID is the type of the objects of group calls that name none.
	ObjectTypeID string `json:"objectTypeId,omitempty" default:"1"`

	// KeepDates leaves dates in attributes as they are.
	KeepDates bool `json:"keepDates,omitempty"`

	dest.Hooks

	client        dest.Client
	authorization http.Header
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	opening = `{"batch":[`
	closing = `]}`

	maxItems   = 100
	maxRequest = 500_000
	maxItem    = 32_000
)

// Describe states what Customer.io takes.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:    "Customer.io",
		Aliases: []string{"Actions Customerio", "Customer.io (Actions)"},
		Calls:   analytics.SixCalls,
		Order:   analytics.PerKey, // a person first, then the events
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: maxItems, MaxBytes: maxRequest, MaxItemBytes: maxItem,
			Overhead: len(opening) + len(closing), ItemOverhead: len(","), Linger: dest.Linger,
			Rates: []analytics.Rate{{Requests: 2700, Per: 3 * time.Second, Burst: 300}},
		}},
	}
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	d.client = dest.NewClient("customerio", env)
	d.authorization = http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(d.SiteID+":"+d.APIKey))}}
	return dest.Check(d).Err()
}

// Deliver sends one batch in one request.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	host := "https://track.customer.io"
	if d.Region == "eu" {
		host = "https://track-eu.customer.io"
	}
	answer, err := d.client.Do(ctx, dest.Request{
		URL: host + "/api/v2/batch", Header: d.authorization, Body: dest.Join(opening, b.Items, closing),
	})
	if err != nil {
		return err
	}
	switch answer.Status {
	case http.StatusMultiStatus, http.StatusBadRequest:
		if failed := refused(answer, b); failed != nil {
			return failed
		}
	}
	return answer.Err()
}

// refused reads which items were not taken; the others were. Nil if none is named.
func refused(answer *dest.Answer, b *analytics.Batch) error {
	var body struct {
		Errors []struct {
			Index  *int   `json:"batch_index"`
			Reason string `json:"reason"`
		} `json:"errors"`
	}
	if answer.Decode(&body) != nil {
		return nil
	}
	var failed analytics.BatchError
	for _, e := range body.Errors {
		if e.Index != nil && *e.Index >= 0 && *e.Index < len(b.Items) {
			failed.Set(*e.Index, analytics.Permanent(answer.Fault(e.Reason)))
		}
	}
	return failed.OrNil()
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
