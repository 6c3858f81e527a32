package integration_test

import (
	"fmt"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	amplitudedest "github.com/tributary-dev/analytics/destinations/amplitude"
	brazedest "github.com/tributary-dev/analytics/destinations/braze"
	customeriodest "github.com/tributary-dev/analytics/destinations/customerio"
	filedest "github.com/tributary-dev/analytics/destinations/file"
	ga4dest "github.com/tributary-dev/analytics/destinations/ga4"
	hubspotdest "github.com/tributary-dev/analytics/destinations/hubspot"
	intercomdest "github.com/tributary-dev/analytics/destinations/intercom"
	klaviyodest "github.com/tributary-dev/analytics/destinations/klaviyo"
	metadest "github.com/tributary-dev/analytics/destinations/metacapi"
	mixpaneldest "github.com/tributary-dev/analytics/destinations/mixpanel"
	posthogdest "github.com/tributary-dev/analytics/destinations/posthog"
	slackdest "github.com/tributary-dev/analytics/destinations/slack"
	webhookdest "github.com/tributary-dev/analytics/destinations/webhook"
)

// kind is a kind of event in the mix.
type kind string

const (
	track    kind = "track"
	order    kind = "order"
	identify kind = "identify"
	page     kind = "page"
	screen   kind = "screen"
	group    kind = "group"
	alias    kind = "alias"
)

// event is one of the mix.
type event struct {
	mark    string
	user    string
	kind    kind
	message analytics.Message
}

// Whatever stands in an event begins so, that it can be looked for in errors and logs.
const content = "confidential"

// mix makes n events of so many users. Each is identified first.
func mix(start time.Time, n, users int) []event {
	kinds := []kind{track, order, page, track, screen, group, identify, alias, track}
	identified := map[string]int{}
	list := make([]event, n)
	for i := range list {
		user, k := content+"-"+strconv.Itoa(i%users), identify
		if i >= users {
			k = kinds[i%len(kinds)]
		}
		list[i] = newEvent(i, k, user, start.Add(time.Duration(i)*time.Millisecond), identified[user])
		if k == identify {
			identified[user]++
		}
	}
	return list
}

// newEvent makes the event number i; identified is how often its user was identified
// before.
func newEvent(i int, k kind, user string, at time.Time, identified int) event {
	mark := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	email := user + "@shop.example"
	ctx := &analytics.Context{
		UserAgent: "Mozilla/5.0", Traits: analytics.Traits{"email": email},
		Page: analytics.PageInfo{URL: "https://shop.example/" + mark},
	}
	properties := analytics.Properties{"mark": mark, "song": content + " tune"}
	e := event{mark: mark, user: user, kind: k}
	switch k {
	case track:
		e.message = analytics.Track{MessageID: mark, UserID: user, Event: "Song Played", Timestamp: at, Context: ctx, Properties: properties}
	case order:
		properties["order_id"], properties["currency"], properties["revenue"], properties["total"] = mark, "EUR", 25, 29.5
		properties["products"] = []any{
			map[string]any{"product_id": "p1", "name": "LP", "price": 20, "quantity": 1},
			map[string]any{"product_id": "p2", "name": "Sleeve", "price": 2.5, "quantity": 2},
		}
		e.message = analytics.Track{MessageID: mark, UserID: user, Event: "Order Completed", Timestamp: at, Context: ctx, Properties: properties}
	case identify:
		traits := analytics.Traits{"email": email, "firstName": content, "mark": mark, markTrait(identified): mark}
		e.message = analytics.Identify{MessageID: mark, UserID: user, AnonymousID: mark, Timestamp: at, Traits: traits}
	case page:
		e.message = analytics.Page{MessageID: mark, UserID: user, Name: "Pricing", Timestamp: at, Context: ctx, Properties: properties}
	case screen:
		e.message = analytics.Screen{MessageID: mark, UserID: user, Name: "Player " + mark, Timestamp: at, Context: ctx, Properties: properties}
	case group:
		e.message = analytics.Group{MessageID: mark, UserID: user, GroupID: "org-" + mark, Timestamp: at, Traits: analytics.Traits{"name": content, "mark": mark}}
	case alias:
		e.message = analytics.Alias{MessageID: mark, UserID: user, PreviousID: mark, Timestamp: at}
	}
	return e
}

// markTrait is a trait that a later identify call of the user does not overwrite.
func markTrait(n int) string { return "mark_" + strconv.Itoa(n) }

// wants is how many pieces an event becomes at a tool, by the tool's name. What is not
// listed is not for it.
var wants = map[string]map[kind]int{
	"Amplitude":                {track: 1, order: 3, identify: 1, page: 1, screen: 1, group: 2},
	"PostHog":                  {track: 1, order: 1, identify: 1, page: 1, screen: 1, group: 1, alias: 1},
	"Mixpanel":                 {track: 1, order: 3, identify: 2, page: 1, screen: 1, group: 1},
	"Customer.io":              {track: 1, order: 1, identify: 1, page: 1, screen: 1, group: 1, alias: 1},
	"Braze":                    {track: 1, order: 2, identify: 1},
	"Google Analytics 4":       {track: 1, order: 1, page: 1, screen: 1, group: 1},
	"Facebook Conversions API": {track: 1, order: 1, page: 1},
	"HubSpot":                  {track: 1, order: 1, identify: 1, group: 1},
	"Intercom":                 {track: 1, order: 1, identify: 1, group: 1},
	"Klaviyo":                  {track: 1, order: 3, identify: 1},
	"Slack":                    {order: 1},
	"Webhook":                  {track: 1, order: 1, identify: 1, page: 1, screen: 1, group: 1, alias: 1},
	"File":                     {track: 1, order: 1, identify: 1, page: 1, screen: 1, group: 1, alias: 1},
}

// hosts are where the tools are found.
var hosts = map[string]string{
	"Amplitude": "api2.amplitude.com", "PostHog": "us.i.posthog.com", "Mixpanel": "api.mixpanel.com", "Customer.io": "track.customer.io",
	"Braze": "rest.braze.example", "Google Analytics 4": "www.google-analytics.com", "Facebook Conversions API": "graph.facebook.com",
	"HubSpot": "api.hubapi.com", "Intercom": "api.intercom.io", "Klaviyo": "a.klaviyo.com", "Slack": "hooks.slack.com", "Webhook": "hook.shop.example",
}

// newTools returns a network with a new tool for each vendor.
func newTools() tools {
	n := tools{}
	for name, v := range map[string]vendor{
		"Amplitude": amplitude, "PostHog": posthog, "Mixpanel": mixpanel, "Customer.io": customerio, "Braze": braze,
		"Google Analytics 4": ga4, "Facebook Conversions API": meta, "HubSpot": newHubspot(), "Intercom": newIntercom(),
		"Klaviyo": klaviyo, "Slack": slack, "Webhook": hook,
	} {
		n[hosts[name]] = &tool{vendor: v, bad: map[string]bool{}}
	}
	return n
}

// of finds a tool by its name.
func (n tools) of(name string) *tool { return n[hosts[name]] }

// secret is in every key.
const secret = "s3cret"

// adapters are the adapters of all tools by the tools' names, the file in a folder.
func adapters(folder string) map[string]analytics.Destination {
	identities := map[string]string{}
	for n := range 10 {
		identities[markTrait(n)] = markTrait(n)
	}
	list := []analytics.Destination{
		&amplitudedest.Destination{APIKey: secret + "-amplitude"},
		&posthogdest.Destination{APIKey: secret + "-posthog"},
		&mixpaneldest.Destination{ProjectToken: "token", APISecret: secret + "-mixpanel"},
		&customeriodest.Destination{SiteID: "site", APIKey: secret + "-customerio"},
		&brazedest.Destination{APIKey: secret + "-braze", Endpoint: "https://rest.braze.example"},
		&ga4dest.Destination{APISecret: secret + "-ga4", MeasurementID: "G-1"},
		&metadest.Destination{PixelID: "1", AccessToken: secret + "-meta"},
		&hubspotdest.Destination{AccessToken: secret + "-hubspot", PortalID: "1", AutoEvents: true, Companies: true, ContactProperties: identities},
		&intercomdest.Destination{AccessToken: secret + "-intercom", ContactAttributes: []string{"mark"}, CompanyAttributes: []string{"mark"}},
		&klaviyodest.Destination{APIKey: secret + "-klaviyo"},
		&slackdest.Destination{
			WebhookURL: "https://hooks.slack.com/services/" + secret,
			Events:     map[string]slackdest.Rule{"Order Completed": {Template: "Order {{.Properties.order_id}}"}},
		},
		&webhookdest.Destination{URL: "https://hook.shop.example/in?token=" + secret, SharedSecret: secret + "-webhook", Batch: true},
		&filedest.Destination{Path: filepath.Join(folder, "events.ndjson")},
	}
	all := map[string]analytics.Destination{}
	for _, d := range list {
		all[d.Describe().Name] = d
	}
	return all
}

// send enqueues events, a hundred a second.
func send(t *testing.T, client *analytics.Client, events []event) {
	t.Helper()
	for _, e := range events {
		require.NoError(t, client.Enqueue(t.Context(), e.message))
		time.Sleep(10 * time.Millisecond)
	}
}
