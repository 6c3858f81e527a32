// Package braze sends attributes, events and purchases to Braze through /users/track.
//
// Order Completed becomes a purchase for each of its products, with the currency of the
// order where the product has none. With EcommerceEvents, orders, carts and product
// views become the events that Braze recommends, where a message has all that those
// require. Braze has no key to dedupe by: what is sent again after a lost answer counts
// twice, so requests have the full 30 seconds.
package braze

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to Braze. Its fields are its settings.
type Destination struct {
	// APIKey is a REST key with the permission users.track, and users.alias.new where
	// AliasLabel is set.
	APIKey string `json:"apiKey" required:"true" secret:"true"`

	// Endpoint is the REST endpoint of the cluster: "https://rest.iad-01.braze.com".
	Endpoint string `json:"endpoint" required:"true"`

	// AppID is the app of events and purchases.
	AppID string `json:"appId,omitempty"`

	// EcommerceEvents sends the recommended e-commerce events.
	EcommerceEvents bool `json:"ecommerceEvents,omitempty"`

	// AnonymousAliasLabel is the label of the alias under which messages without userId
	// and e-mail are sent, with their anonymousId as its name. Without it they are
	// invalid.
	AnonymousAliasLabel string `json:"anonymousAliasLabel,omitempty"`

	// AliasLabel is the label of the aliases that alias calls make. Without it they are
	// ignored.
	AliasLabel string `json:"aliasLabel,omitempty"`

	// UpdateExistingOnly makes no new users.
	UpdateExistingOnly bool `json:"updateExistingOnly,omitempty"`

	dest.Hooks

	client        dest.Client
	authorization http.Header
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	laneUsers   = ""
	laneAliases = "aliases"

	aliasesOpening = `{"user_aliases":[`
	aliasesClosing = `]}`
)

// Describe states what Braze takes.
func (d *Destination) Describe() analytics.Description {
	description := analytics.Description{
		Name:    "Braze",
		Aliases: []string{"Braze Cloud Mode (Actions)", "Actions Braze Cloud"},
		Calls:   analytics.CallsOf(analytics.CallTrack, analytics.CallIdentify),
		Order:   analytics.PerKey, // the last attributes of a user win
		Lanes: map[string]analytics.Limits{laneUsers: {
			MaxItems: 75, MaxBytes: 4_000_000, MaxItemBytes: 100_000,
			Overhead: envelope, ItemOverhead: len(","), Linger: dest.Linger, Timeout: 30 * time.Second,
			Rates: []analytics.Rate{{Requests: 2700, Per: 3 * time.Second, Burst: 300}},
		}},
	}
	if d.AliasLabel != "" {
		description.Calls |= analytics.CallsOf(analytics.CallAlias)
		description.Lanes[laneAliases] = analytics.Limits{
			MaxItems: 50, Overhead: len(aliasesOpening) + len(aliasesClosing), ItemOverhead: len(","), Linger: dest.Linger,
		}
	}
	return description
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	faults := dest.Check(d)
	faults.URL("Endpoint", d.Endpoint)
	d.client = dest.NewClient("braze", env)
	d.authorization = http.Header{"Authorization": {"Bearer " + d.APIKey}}
	return faults.Err()
}

// Deliver makes one request.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	endpoint := strings.TrimSuffix(d.Endpoint, "/")
	r := dest.Request{Header: d.authorization}
	var sent [kinds][]int
	if b.Lane == laneAliases {
		r.URL, r.Body = endpoint+"/users/alias/new", dest.Join(aliasesOpening, b.Items, aliasesClosing)
	} else {
		r.URL = endpoint + "/users/track"
		r.Body, sent = body(b.Items)
	}
	answer, err := d.client.Do(ctx, r)
	if err != nil {
		return err
	}
	switch answer.Status {
	case http.StatusOK, http.StatusCreated:
		return refused(answer, func(array string) []int {
			if b.Lane == laneAliases { // its one list has several names in answers
				indexes := make([]int, len(b.Items))
				for i := range indexes {
					indexes[i] = i
				}
				return indexes
			}
			if k := slices.Index(arrays[:], array); k >= 0 {
				return sent[k]
			}
			return nil
		})
	case http.StatusNotFound: // another cluster
		return analytics.Unauthorized(answer.Fault("no_such_endpoint"))
	case http.StatusTooManyRequests:
		return analytics.RetryAfter(answer.RetryAfter("X-Ratelimit-Retry-After"), answer.Fault("rate_limited"))
	}
	return answer.Err()
}

// kind is the array of a request that an object belongs to.
type kind int

const (
	attributes kind = iota
	events
	purchases
	kinds
)

var arrays = [kinds]string{attributes: "attributes", events: "events", purchases: "purchases"}

// envelope is all of a request that is not its objects.
var envelope = func() int {
	n := len("{}")
	for _, name := range arrays {
		n += len(`"":[],`) + len(name)
	}
	return n
}()

// body sorts the items into their arrays, and notes for each array which items it has.
func body(items []analytics.Item) ([]byte, [kinds][]int) {
	var sent [kinds][]int
	size := envelope
	for i := range items {
		k, _ := items[i].Data.(kind)
		sent[k] = append(sent[k], i)
		size += len(items[i].Body) + 1
	}
	b := append(make([]byte, 0, size), '{')
	for k, indexes := range sent {
		if len(indexes) == 0 {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(append(append(b, '"'), arrays[k]...), `":[`...)
		for n, i := range indexes {
			if n > 0 {
				b = append(b, ',')
			}
			b = append(b, items[i].Body...)
		}
		b = append(b, ']')
	}
	return append(b, '}'), sent
}

// refused reads which objects were not taken, counted within their arrays. itemsOf
// returns the items of an array.
func refused(answer *dest.Answer, itemsOf func(array string) []int) error {
	var body struct {
		Errors []struct {
			Array string `json:"input_array"`
			Index *int   `json:"index"`
		} `json:"errors"`
	}
	if answer.Decode(&body) != nil {
		return nil
	}
	var failed analytics.BatchError
	for _, e := range body.Errors {
		items := itemsOf(e.Array)
		if e.Index != nil && *e.Index >= 0 && *e.Index < len(items) {
			failed.Set(items[*e.Index], analytics.Permanent(answer.Fault("refused")))
		}
	}
	return failed.OrNil()
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
