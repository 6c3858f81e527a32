// Package posthog sends events to PostHog, its cloud or one's own, through the capture
// API.
//
// Persons are linked as PostHog's own libraries do it: identify with both ids and alias
// join two ids into one person, group describes a group. Anonymous events are sent, and
// make no person profile unless PersonProfiles says so.
package posthog

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to PostHog. Its fields are its settings.
type Destination struct {
	// APIKey is the project's key, "phc_…".
	APIKey string `json:"apiKey" required:"true" secret:"true"`

	// Endpoint is the host: of the EU cloud https://eu.i.posthog.com, or one's own.
	Endpoint string `json:"endpoint,omitempty" default:"https://us.i.posthog.com"`

	// GroupType is the type of the groups of group calls and of context.groupId.
	GroupType string `json:"groupType,omitempty" default:"company"`

	// NoGroups ignores group calls and context.groupId.
	NoGroups bool `json:"noGroups,omitempty"`

	// PersonProfiles says which events make or change a person: of identified_only those
	// with a userId.
	PersonProfiles string `json:"personProfiles,omitempty" oneof:"identified_only always never" default:"identified_only"`

	// DisableGeoIP keeps PostHog from looking up where the IP address is.
	DisableGeoIP bool `json:"disableGeoIP,omitempty"`

	// HistoricalMigration marks what is sent as an import of old events.
	HistoricalMigration bool `json:"historicalMigration,omitempty"`

	// Gzip compresses the requests.
	Gzip bool `json:"gzip,omitempty"`

	dest.Hooks

	client       dest.Client
	url, opening string
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	closing = `]}`

	// maxRequest is a quarter of what PostHog takes, and maxEvent what was found to be
	// safe of its megabyte. Bytes.
	maxItems   = 250
	maxRequest = 5_000_000
	maxEvent   = 900_000
)

// Describe states what PostHog takes.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:    "PostHog",
		Aliases: []string{"Posthog"},
		Calls:   analytics.SixCalls,
		Order:   analytics.PerKey, // what comes behind $identify belongs to the joined person
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: maxItems, MaxBytes: maxRequest, MaxItemBytes: maxEvent,
			Linger:   dest.Linger,
			Overhead: len(d.envelope()) + len(closing), ItemOverhead: len(","),
		}},
	}
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	faults := dest.Check(d)
	faults.URL("Endpoint", d.Endpoint)
	if err := faults.Err(); err != nil {
		return err
	}
	d.client = dest.NewClient("posthog", env)
	d.url = strings.TrimSuffix(cmp.Or(d.Endpoint, "https://us.i.posthog.com"), "/") + "/batch/"
	d.opening = d.envelope()
	return nil
}

// envelope is the body of a request up to its first event.
func (d *Destination) envelope() string {
	j := dest.NewJSON()
	j.Open()
	j.Text("api_key", d.APIKey)
	if d.HistoricalMigration {
		j.Bool("historical_migration", true)
	}
	j.OpenListAt("batch")
	b, _ := j.Bytes() // texts only
	return string(b)
}

// Deliver sends one batch in one request.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	answer, err := d.client.Do(ctx, dest.Request{URL: d.url, Body: dest.Join(d.opening, b.Items, closing), Gzip: d.Gzip})
	if err != nil {
		return err
	}
	if err := answer.Err(); err != nil {
		return err
	}
	var body struct {
		QuotaLimited []string `json:"quota_limited"`
	}
	if answer.Decode(&body) == nil && slices.Contains(body.QuotaLimited, "events") {
		return analytics.Permanent(answer.Fault("quota")) // accepted, and dropped over there
	}
	return nil
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
