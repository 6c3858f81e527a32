// Package amplitude sends events to Amplitude through the HTTP V2 API.
//
// Each event has its messageId as insert_id, by which Amplitude dedupes for seven days.
// Traits become user properties with $set; referrer and campaign become user properties
// with $set, and with $setOnce under initial_…; an order brings a Product Purchased for
// each of its products. Identify, group and their properties go through the same
// endpoint as all else, so that one ordered stream carries everything.
package amplitude

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to Amplitude. Its fields are its settings.
type Destination struct {
	// APIKey is the project's key.
	APIKey string `json:"apiKey" required:"true" secret:"true"`

	// Region is where the project is stored.
	Region string `json:"region,omitempty" oneof:"us eu" default:"us"`

	// GroupType is the type of the groups of group calls and of context.groupId.
	GroupType string `json:"groupType,omitempty" default:"company"`

	// NoGroups ignores group calls and context.groupId.
	NoGroups bool `json:"noGroups,omitempty"`

	// MinIDLength is the least length of user and device ids. Amplitude drops events with
	// ids shorter than five characters otherwise.
	MinIDLength int `json:"minIdLength,omitempty" default:"5"`

	// UseBatchEndpoint sends to the endpoint for large amounts of old events.
	UseBatchEndpoint bool `json:"useBatchEndpoint,omitempty"`

	// MapUsers sends alias calls to the user mapping, which needs the cross-project plan.
	// Without it they are ignored.
	MapUsers bool `json:"mapUsers,omitempty"`

	// TrackRevenuePerProduct books the revenue of an order with its products in place of
	// the order.
	TrackRevenuePerProduct bool `json:"trackRevenuePerProduct,omitempty"`

	// Gzip compresses the requests.
	Gzip bool `json:"gzip,omitempty"`

	dest.Hooks

	client dest.Client
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	laneEvents  = ""
	laneAliases = "aliases"

	// maxItems is a tenth of what Amplitude takes, as it advises.
	maxItems        = 200
	maxRequest      = 1_000_000
	maxBatchRequest = 20_000_000
)

// Describe states what Amplitude takes.
func (d *Destination) Describe() analytics.Description {
	opening, closing := d.envelope()
	events := analytics.Limits{
		MaxItems: maxItems, MaxBytes: maxRequest,
		Overhead: len(opening) + len(closing), ItemOverhead: len(","), Linger: dest.Linger,
	}
	if d.UseBatchEndpoint {
		events.MaxBytes, events.MaxItemBytes = maxBatchRequest, maxRequest
	}
	description := analytics.Description{
		Name: name, Aliases: []string{alias},
		Calls: analytics.SixCalls &^ analytics.CallsOf(analytics.CallAlias),
		Order: analytics.PerKey,
		Lanes: map[string]analytics.Limits{laneEvents: events},
	}
	if d.MapUsers {
		description.Calls = analytics.SixCalls
		description.Lanes[laneAliases] = analytics.Limits{MaxItems: 1, Linger: -1, Overhead: len(d.form(""))}
	}
	return description
}

const (
	name  = "Amplitude"
	alias = "Actions Amplitude"
)

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	d.client = dest.NewClient("amplitude", env)
	return dest.Check(d).Err()
}

func (d *Destination) envelope() (opening, closing string) {
	j := dest.NewJSON()
	j.Open()
	j.Text("api_key", d.APIKey)
	j.OpenListAt("events")
	b, _ := j.Bytes() // texts only
	if d.MinIDLength > 0 {
		return string(b), fmt.Sprintf(`],"options":{"min_id_length":%d}}`, d.MinIDLength)
	}
	return string(b), `]}`
}

// Deliver makes one request.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	if b.Lane == laneAliases {
		return d.mapUser(ctx, b.Items[0])
	}
	opening, closing := d.envelope()
	answer, err := d.client.Do(ctx, dest.Request{URL: d.eventsURL(), Body: dest.Join(opening, b.Items, closing), Gzip: d.Gzip})
	if err != nil {
		return err
	}
	return answerError(answer, b)
}

func (d *Destination) eventsURL() string {
	host, path := "https://api2.amplitude.com", "/2/httpapi"
	if d.Region == "eu" {
		host = "https://api.eu.amplitude.com"
	}
	if d.UseBatchEndpoint {
		path = "/batch"
	}
	return host + path
}

// mapUser sends one mapping, as the form that the endpoint takes.
func (d *Destination) mapUser(ctx context.Context, it analytics.Item) error {
	host := "https://api.amplitude.com"
	if d.Region == "eu" {
		host = "https://api.eu.amplitude.com"
	}
	answer, err := d.client.Do(ctx, dest.Request{
		URL: host + "/usermap", Type: "application/x-www-form-urlencoded", Body: []byte(d.form(string(it.Body))),
	})
	if err != nil {
		return err
	}
	return answer.Err()
}

func (d *Destination) form(mapping string) string {
	return url.Values{"api_key": {d.APIKey}, "mapping": {"[" + mapping + "]"}}.Encode()
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
