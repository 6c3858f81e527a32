// Package hubspot sends contacts, companies and custom events to HubSpot.
//
// HubSpot refuses a whole batch for one property that it does not know, so that nothing
// is sent but the properties of the mapping and those that the settings add. Custom
// events have to be defined in HubSpot first: only those in Events are sent, or all with
// AutoEvents. Contacts are found by their e-mail address, companies by the property
// segment_group_id, which is made where it is missing.
package hubspot

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to HubSpot. Its fields are its settings.
type Destination struct {
	// AccessToken is that of a private app with the scopes crm.objects.contacts.write,
	// crm.objects.companies.write and analytics.behavioral_events.send.
	AccessToken string `json:"accessToken" required:"true" secret:"true"`

	// PortalID is the id of the hub, which begins the names of AutoEvents.
	PortalID string `json:"portalId,omitempty"`

	// Events are the track events that are sent, by their names.
	Events map[string]Event `json:"events,omitempty"`

	// AutoEvents sends all other track events too, as pe{PortalID}_ and their name in
	// small letters with _ in place of blanks and dots. Without it they are ignored.
	AutoEvents bool `json:"autoEvents,omitempty"`

	// ContactProperties and CompanyProperties are sent beside those of the mapping: from
	// the path of the trait ("address.county") to the property in HubSpot.
	ContactProperties map[string]string `json:"contactProperties,omitempty"`
	CompanyProperties map[string]string `json:"companyProperties,omitempty"`

	// Companies sends group calls. Without it they are ignored.
	Companies bool `json:"companies,omitempty"`

	dest.Hooks

	client        dest.Client
	authorization http.Header
	prepared      atomic.Bool // the property for the ids of groups was made
}

// An Event is a custom event that is defined in HubSpot.
type Event struct {
	// Name is the full internal name: "pe123_order_completed".
	Name string `json:"name"`

	// Properties are those that are sent; nil sends all.
	Properties []string `json:"properties,omitempty"`
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

// The lanes, one for each endpoint.
const (
	laneContacts  = "contacts"
	laneCompanies = "companies"
	laneEvents    = "events"
)

const (
	displayName = "HubSpot"
	nameCloud   = "HubSpot Cloud Mode (Actions)"
	nameShort   = "Actions Hubspot Cloud"

	opening = `{"inputs":[`
	closing = `]}`

	// trace is what an input gets so that answers can name it, at the most.
	trace = `"objectWriteTraceId":"99",`
)

// Describe states what HubSpot takes. Its limit of 100 requests in ten seconds is for
// contacts and companies together.
func (d *Destination) Describe() analytics.Description {
	objects := analytics.Limits{
		MaxItems: 100, Overhead: len(opening) + len(closing), ItemOverhead: len(",") + len(trace), Linger: dest.Linger,
		Rates: []analytics.Rate{{Requests: 90, Per: 10 * time.Second, Burst: 10}},
	}
	events := analytics.Limits{
		MaxItems: 500, Overhead: objects.Overhead, ItemOverhead: len(","), Linger: dest.Linger,
		Rates: []analytics.Rate{{Requests: 1250}},
	}
	description := analytics.Description{
		Name: displayName, Aliases: []string{nameCloud, nameShort},
		Calls: analytics.CallsOf(analytics.CallTrack, analytics.CallIdentify),
		Order: analytics.PerKey, // an event needs its contact
	}
	if d.Companies {
		description.Calls |= analytics.CallsOf(analytics.CallGroup)
		objects.Rates = []analytics.Rate{{Requests: 45, Per: 10 * time.Second, Burst: 4}}
	}
	description.Lanes = map[string]analytics.Limits{laneContacts: objects, laneEvents: events}
	if d.Companies {
		description.Lanes[laneCompanies] = objects
	}
	return description
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	faults := dest.Check(d)
	if d.AutoEvents && d.PortalID == "" {
		faults.Add("PortalID", "is required for AutoEvents")
	}
	for _, event := range slices.Sorted(maps.Keys(d.Events)) {
		if strings.TrimSpace(d.Events[event].Name) == "" {
			faults.Add("Events", "%q has no name in HubSpot", event)
		}
	}
	checkProperties(faults, "ContactProperties", d.ContactProperties)
	checkProperties(faults, "CompanyProperties", d.CompanyProperties)
	d.client = dest.NewClient("hubspot", env)
	d.authorization = http.Header{"Authorization": {"Bearer " + d.AccessToken}}
	return faults.Err()
}

func checkProperties(faults *dest.Faults, field string, properties map[string]string) {
	for _, trait := range slices.Sorted(maps.Keys(properties)) {
		if trait == "" || properties[trait] == "" {
			faults.Add(field, "has an empty trait or property: %q", trait)
		}
	}
}

// Deliver makes one request; the first one with companies may take three.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	switch b.Lane {
	case laneEvents:
		answer, err := d.post(ctx, "/events/v3/send/batch", dest.Join(opening, b.Items, closing))
		if err != nil {
			return err
		}
		return word(answer)
	case laneCompanies:
		return d.upsert(ctx, "/crm/v3/objects/companies/batch/upsert", b, d.makeProperty)
	}
	return d.upsert(ctx, "/crm/v3/objects/contacts/batch/upsert", b, nil)
}

func (d *Destination) post(ctx context.Context, path string, body []byte) (*dest.Answer, error) {
	return d.client.Do(ctx, dest.Request{URL: "https://api.hubapi.com" + path, Header: d.authorization, Body: body})
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
