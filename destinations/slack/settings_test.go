package slack_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/slack"
)

func TestSettings(t *testing.T) {
	one := rules("{{.Event}}")
	for name, c := range map[string]struct {
		d    slack.Destination
		want []string // for each fault the fields that may be named, with | between them
	}{
		"no address":                   {slack.Destination{Events: one}, []string{"WebhookURL|BotToken"}},
		"a channel without a token":    {slack.Destination{Channel: "#a", Events: one}, []string{"WebhookURL|BotToken"}},
		"a token without a channel":    {slack.Destination{BotToken: botToken, Events: one}, []string{"Channel"}},
		"another scheme":               {slack.Destination{WebhookURL: "ftp://hooks.slack.com/services/T/B/X", Events: one}, []string{"WebhookURL"}},
		"an address that is none":      {slack.Destination{WebhookURL: "nowhere", Events: one}, []string{"WebhookURL"}},
		"a template that does not end": {slack.Destination{WebhookURL: hookURL, Events: rules("{{.Event")}, []string{"Events"}},
		"an unknown function":          {slack.Destination{WebhookURL: hookURL, Events: rules("{{shout .Event}}")}, []string{"Events"}},
		"a pattern that is none":       {slack.Destination{WebhookURL: hookURL, Events: map[string]slack.Rule{"/(/": {Template: "x"}}}, []string{"Events"}},
		"an address of a rule":         {slack.Destination{WebhookURL: hookURL, Events: map[string]slack.Rule{"A": {Template: "x", WebhookURL: "nowhere"}}}, []string{"Events"}},
		"a template for identify":      {slack.Destination{WebhookURL: hookURL, IdentifyTemplate: "{{"}, []string{"IdentifyTemplate"}},
		"everything at once": {
			slack.Destination{WebhookURL: "nowhere", Events: rules("{{"), IdentifyTemplate: "{{"},
			[]string{"WebhookURL", "Events", "IdentifyTemplate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			requireFields(t, c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client()}), c.want...)
		})
	}
	for _, address := range []string{hookURL, "https://hooks.slack-gov.com/services/T000/B000/XXXX"} {
		d := &slack.Destination{WebhookURL: address, Events: one}
		require.NoError(t, d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client()}))
	}
}

// requireFields checks that err names one of each of these settings, each in an
// InvalidError.
func requireFields(t *testing.T, err error, want ...string) {
	t.Helper()
	require.Error(t, err)
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	require.Len(t, list, len(want), "%v", err)
	for _, fields := range want {
		require.True(t, slices.ContainsFunc(list, func(one error) bool {
			invalid, ok := one.(*analytics.InvalidError)
			return ok && invalid.Reason != "" && slices.Contains(strings.Split(fields, "|"), invalid.Field)
		}), "%v does not name %s", err, fields)
	}
}

// wide has a rule for every call.
func wide(address slack.Destination) *slack.Destination {
	d := address
	d.Events = rules("{{.Event}} {{.Name}} {{.Properties.title}} {{json .Properties}} {{json .Context}} {{.Timestamp}}")
	for _, call := range []string{"page", "screen", "group", "alias"} {
		d.Events["type:"+call] = slack.Rule{Template: "{{.Name}} {{.UserID}} {{json .Traits}} {{.Properties.url}}"}
	}
	d.IdentifyTemplate = "{{.Name}} {{json .Traits}} {{.Traits.email | default `none`}}"
	return &d
}

func TestWide(t *testing.T) {
	for _, address := range []slack.Destination{{WebhookURL: hookURL}, {BotToken: botToken, Channel: "#shop"}} {
		f := &fake{}
		d := wide(address)
		open(t, d, f)
		for _, in := range append(desttest.Inputs(t), desttest.Wide(t)...) {
			if _, err := d.Translate(in.Event); err != nil {
				desttest.CheckError(t, err, "XXXX", botToken)
				continue
			}
			settle(t, d, in.Event)
		}
		require.Empty(t, f.violations)
		require.GreaterOrEqual(t, len(f.accepted), len(desttest.Inputs(t)))
	}
}

func FuzzTranslate(f *testing.F) {
	d := wide(slack.Destination{WebhookURL: hookURL})
	open(f, d, &fake{})
	desttest.FuzzTranslate(f, d, "XXXX")
}

func TestConforms(t *testing.T) {
	for name, c := range map[string]struct {
		d       slack.Destination
		success string
	}{
		"a webhook": {slack.Destination{WebhookURL: hookURL}, "ok"},
		"a bot":     {slack.Destination{BotToken: botToken, Channel: "#shop"}, `{"ok":true}`},
		"a digest":  {slack.Destination{WebhookURL: hookURL, Digest: true}, "ok"},
	} {
		t.Run(name, func(t *testing.T) {
			const gone = "the webhook or its channel is gone: not to be used until it is configured anew"
			destinationtest.Run(t, destinationtest.Setup{
				New:  func(*destinationtest.Service) analytics.Destination { return tagged{wide(c.d)} },
				Seen: func(r *destinationtest.Request) []string { return r.Header.Values(tag) },
				Env:  func(env *analytics.Env) { env.HTTP = tagging(env.HTTP) },
				Answer: func(*destinationtest.Request) destinationtest.Response {
					return destinationtest.Response{Body: c.success}
				},
				Secrets: []string{"B000/XXXX", botToken},
				Words:   map[int]destinationtest.Exception{404: {Word: unauthorized, Reason: gone}, 410: {Word: unauthorized, Reason: gone}},
			})
		})
	}
}

// A message holds no id, so the kit sees those of the batch in a header, which the test
// adds on the way from Deliver to the tool.
const tag = "X-Test-Items"

type idsKey struct{}

type tagged struct{ *slack.Destination }

func (d tagged) Unwrap() analytics.Destination { return d.Destination }

// Deliver puts the ids of the batch into the ctx of its requests.
func (d tagged) Deliver(ctx context.Context, b *analytics.Batch) error {
	var ids []string
	for _, it := range b.Items {
		ids = append(ids, it.ID)
	}
	return d.Destination.Deliver(context.WithValue(ctx, idsKey{}, ids), b)
}

// tagging returns a client that puts the ids of the ctx into the header.
func tagging(client *http.Client) *http.Client {
	c := *client
	c.Transport = taggingTransport{client.Transport}
	return &c
}

type taggingTransport struct{ next http.RoundTripper }

func (t taggingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ids, _ := r.Context().Value(idsKey{}).([]string)
	r = r.Clone(r.Context())
	r.Header[tag] = ids
	return t.next.RoundTrip(r)
}
