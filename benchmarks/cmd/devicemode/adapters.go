package main

import (
	"context"
	"io"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/amplitude"
	"github.com/tributary-dev/analytics/destinations/braze"
	"github.com/tributary-dev/analytics/destinations/customerio"
	"github.com/tributary-dev/analytics/destinations/file"
	"github.com/tributary-dev/analytics/destinations/ga4"
	"github.com/tributary-dev/analytics/destinations/hubspot"
	"github.com/tributary-dev/analytics/destinations/intercom"
	"github.com/tributary-dev/analytics/destinations/klaviyo"
	"github.com/tributary-dev/analytics/destinations/metacapi"
	"github.com/tributary-dev/analytics/destinations/mixpanel"
	"github.com/tributary-dev/analytics/destinations/posthog"
	"github.com/tributary-dev/analytics/destinations/slack"
	"github.com/tributary-dev/analytics/destinations/webhook"
)

// adapters are all of them, with settings under which they take the events.
func adapters() []analytics.Destination {
	return []analytics.Destination{
		&webhook.Destination{URL: "https://hook.example"},
		&posthog.Destination{APIKey: "key"},
		&amplitude.Destination{APIKey: "key"},
		&mixpanel.Destination{ProjectToken: "token"},
		&ga4.Destination{APISecret: "secret", MeasurementID: "G-1"},
		&customerio.Destination{SiteID: "site", APIKey: "key"},
		&slack.Destination{WebhookURL: "https://hooks.slack.com/services/T/B/X", Events: map[string]slack.Rule{"*": {Template: "{{.Event}} by {{.Name}}"}}},
		&hubspot.Destination{AccessToken: "token", PortalID: "1", AutoEvents: true},
		&braze.Destination{APIKey: "key", Endpoint: "https://rest.iad-01.braze.com"},
		&intercom.Destination{AccessToken: "token"},
		&klaviyo.Destination{APIKey: "key"},
		&metacapi.Destination{PixelID: "1", AccessToken: "token"},
		&file.Destination{Writer: io.Discard},
	}
}

// silent is a destination whose requests are left out: each ends at once, with answer.
type silent struct {
	analytics.Destination
	answer error
}

// Unwrap lets the client open the destination.
func (s *silent) Unwrap() analytics.Destination { return s.Destination }

// Describe leaves out how fast the tool is.
func (s *silent) Describe() analytics.Description {
	d := s.Destination.Describe()
	lanes := make(map[string]analytics.Limits, len(d.Lanes))
	for name, limits := range d.Lanes {
		limits.Rates = nil
		lanes[name] = limits
	}
	d.Lanes = lanes
	return d
}

func (s *silent) Deliver(context.Context, *analytics.Batch) error { return s.answer }

// silentRaw is one that takes events as they are in the log.
type silentRaw struct {
	*silent
	analytics.RawTranslator
}

func quiet(d analytics.Destination, answer error) analytics.Destination {
	s := &silent{d, answer}
	if raw, ok := d.(analytics.RawTranslator); ok {
		return &silentRaw{s, raw}
	}
	return s
}
