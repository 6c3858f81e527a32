// Package ga4 sends events to Google Analytics 4 through the Measurement Protocol.
//
// E-commerce events become Google's own (Order Completed is purchase, Product Added is
// add_to_cart, and so on); every other track event goes under its name, made to fit
// Google's rules, with those of its properties that are texts, numbers or booleans.
// Properties about a person are left out, as Google's terms want it, unless KeepPII is
// set. Sessions and clients of the web join with the options clientId and sessionId of
// the integrations object.
//
// Google answers 204 to whatever it is sent, also with a false secret: use
// [Destination.Validate] once.
package ga4

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination sends events to Google Analytics 4. Its fields are its settings.
type Destination struct {
	// APISecret is a secret of the data stream's Measurement Protocol.
	APISecret string `json:"apiSecret" required:"true" secret:"true"`

	// MeasurementID names a web stream: "G-…". It or FirebaseAppID is required.
	MeasurementID string `json:"measurementId,omitempty"`

	// FirebaseAppID names an app stream, which gets the messages that have the option
	// firebaseAppInstanceId.
	FirebaseAppID string `json:"firebaseAppId,omitempty"`

	// Region is where the data is collected.
	Region string `json:"region,omitempty" oneof:"global eu" default:"global"`

	// Debug sends to the endpoint that checks events and stores nothing.
	Debug bool `json:"debug,omitempty"`

	// KeepPII keeps properties of custom events that are about a person.
	KeepPII bool `json:"keepPII,omitempty"`

	// AllowOld sends events older than 72 hours, which Google loses in silence. Without
	// it they are rejected.
	AllowOld bool `json:"allowOld,omitempty"`

	// AdUserData and AdPersonalization are the consent that each request states.
	AdUserData        string `json:"adUserData,omitempty" oneof:"GRANTED DENIED"`
	AdPersonalization string `json:"adPersonalization,omitempty" oneof:"GRANTED DENIED"`

	dest.Hooks

	client dest.Client
}

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	name      = "Google Analytics 4"
	nameCloud = "Google Analytics 4 Cloud"
	nameShort = "GA4"

	maxItems   = 25
	maxRequest = 130_000 - 1 // Google wants less than 130 kB
	maxAge     = 72 * time.Hour

	eventsOpening = `,"events":[`
	closing       = `]}`
)

// Describe states what Google takes.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:    name,
		Aliases: []string{nameCloud, nameShort},
		Calls:   analytics.CallsOf(analytics.CallTrack, analytics.CallPage, analytics.CallScreen, analytics.CallGroup),
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: maxItems, MaxBytes: maxRequest,
			Overhead: len(eventsOpening) + len(closing), ItemOverhead: len(","), Linger: dest.Linger,
		}},
	}
}

// Open checks the settings.
func (d *Destination) Open(env analytics.Env) error {
	faults := dest.Check(d)
	if d.MeasurementID == "" && d.FirebaseAppID == "" {
		faults.Add("MeasurementID", "or FirebaseAppID is required")
	}
	d.client = dest.NewClient("ga4", env)
	return faults.Err()
}

// Deliver sends the events of one client in one request.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	now := time.Now()
	return dest.Sieve(b, func(it *analytics.Item) error {
		if now.Sub(it.Data.(sender).at) > maxAge && !d.AllowOld {
			return errOld
		}
		return nil
	}, func(items []analytics.Item) error {
		answer, err := d.post(ctx, items, d.Debug)
		if err != nil {
			return err
		}
		return answer.Err()
	})
}

var errOld = errors.New("ga4: older than 72 hours")

func (d *Destination) post(ctx context.Context, items []analytics.Item, debug bool) (*dest.Answer, error) {
	from := items[0].Data.(sender)
	return d.client.Do(ctx, dest.Request{
		URL:  d.url(from.app, debug),
		Body: dest.Join(from.head+eventsOpening, items, closing),
	})
}

func (d *Destination) url(app, debug bool) string {
	host, path := "https://www.google-analytics.com", "/mp/collect"
	if d.Region == "eu" {
		host = "https://region1.google-analytics.com"
	}
	if debug {
		path = "/debug" + path
	}
	stream := "&measurement_id=" + url.QueryEscape(d.MeasurementID)
	if app {
		stream = "&firebase_app_id=" + strings.ReplaceAll(url.QueryEscape(d.FirebaseAppID), "%3A", ":")
	}
	return host + path + "?api_secret=" + url.QueryEscape(d.APISecret) + stream
}

// A Fault is what Google has to say against an event.
type Fault struct {
	Field       string `json:"fieldPath"`
	Description string `json:"description"`
	Code        string `json:"validationCode"`
}

// Validate asks Google what is wrong with an event, without storing it: none if all is
// well. An event that is not for Google is an error that says so. The destination has
// to be open.
func (d *Destination) Validate(ctx context.Context, e *analytics.Event) ([]Fault, error) {
	items, err := d.Translate(e)
	if err != nil {
		return nil, err
	}
	answer, err := d.post(ctx, items, true)
	if err != nil {
		return nil, err
	}
	if err := answer.Err(); err != nil {
		return nil, err
	}
	var body struct {
		Messages []Fault `json:"validationMessages"`
	}
	if err := answer.Decode(&body); err != nil {
		return nil, err
	}
	return body.Messages, nil
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
