package main

import (
	"reflect"

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

// An adapter is a row of the catalogue: what its code does not say of itself.
type adapter struct {
	// category is that of the tool; api and auth say in a word or two what is called
	// there, and how it is authorized.
	category, api, auth string

	// key is what has an order of its own, where there is an order; empty: the user.
	key string

	// example has the settings that the adapter cannot do without.
	example analytics.Destination

	// also is what else changes what Describe says, where that needs a certain value.
	also []try
}

// adapters are in the order of the catalogue, the most asked for first.
var adapters = []adapter{
	{
		category: "generic", api: "any URL", auth: "headers, HMAC",
		example: &webhook.Destination{URL: "https://example.com/events"},
	}, {
		category: "product analytics", api: "/batch/", auth: "key in body",
		example: &posthog.Destination{APIKey: "phc_…"},
	}, {
		category: "product analytics", api: "HTTP V2", auth: "key in body",
		example: &amplitude.Destination{APIKey: "…"},
	}, {
		category: "product analytics", api: "/import, /engage, /groups", auth: "Basic",
		example: &mixpanel.Destination{ProjectToken: "…"},
	}, {
		category: "web analytics", api: "Measurement Protocol", auth: "secret in query",
		example: &ga4.Destination{APISecret: "…", MeasurementID: "G-…"},
	}, {
		category: "messaging", api: "Track v2 /batch", auth: "Basic",
		example: &customerio.Destination{SiteID: "…", APIKey: "…"},
	}, {
		category: "ops", api: "webhook or chat.postMessage", auth: "URL or Bearer", key: "channel",
		example: &slack.Destination{
			WebhookURL: "https://hooks.slack.com/services/…",
			Events:     map[string]slack.Rule{"Order Completed": {Template: "{{.Event}} by {{.UserID}}"}},
		},
		also: []try{{"Events", "type:…", map[string]slack.Rule{"type:page": {}, "type:screen": {}, "type:group": {}, "type:alias": {}}}},
	}, {
		category: "CRM", api: "CRM v3, events v3", auth: "Bearer",
		example: &hubspot.Destination{AccessToken: "…"},
	}, {
		category: "messaging", api: "/users/track", auth: "Bearer",
		example: &braze.Destination{APIKey: "…", Endpoint: "https://rest.iad-01.braze.com"},
	}, {
		category: "support", api: "contacts, events, companies", auth: "Bearer",
		example: &intercom.Destination{AccessToken: "…"},
	}, {
		category: "marketing", api: "JSON:API events, profiles, jobs", auth: "key header",
		example: &klaviyo.Destination{APIKey: "…"},
	}, {
		category: "ads", api: "Graph /events", auth: "token in body",
		example: &metacapi.Destination{PixelID: "1234567890", AccessToken: "…"},
	}, {
		category: "storage", api: "NDJSON file, stdout, rotation",
		example: &file.Destination{Path: "events.ndjson"},
	},
}

// importPath is that of the adapter's package.
func (a *adapter) importPath() string { return a.typeOf().PkgPath() }

func (a *adapter) typeOf() reflect.Type { return reflect.TypeOf(a.example).Elem() }
