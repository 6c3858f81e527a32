// Package slack posts messages to Slack: for chosen events, with a text made from a
// template. Slack is not a firehose, so that nothing is posted without a rule.
//
// Templates are those of text/template over [Message]:
//
//	{{.Event}} by {{.Name}}: {{money .Properties.total .Properties.currency}}
//
// What a template inserts is escaped for Slack, so that a property cannot ping
// <!channel>; raw switches that off: {{raw .Properties.link}}. Further functions are
// default, upper, lower, json, money and traits, which lists the traits of the setting
// Traits.
package slack

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination posts messages to Slack. Its fields are its settings.
type Destination struct {
	// WebhookURL is an incoming webhook, "https://hooks.slack.com/services/…". It or
	// BotToken is required.
	WebhookURL string `json:"webhookUrl,omitempty" secret:"true"`

	// BotToken posts as an app, "xoxb-…", to Channel.
	BotToken string `json:"botToken,omitempty" secret:"true"`

	// Channel is where BotToken posts what no rule sends elsewhere.
	Channel string `json:"channel,omitempty"`

	// Events are the rules: by the name of a track event, by a regular expression between
	// slashes, "*" for all others, or "type:page" for the calls page, screen, group and
	// alias.
	Events map[string]Rule `json:"events,omitempty"`

	// IdentifyTemplate is the text for identify calls. Without it they are ignored.
	IdentifyTemplate string `json:"identifyTemplate,omitempty"`

	// Traits are those that {{traits}} lists.
	Traits []string `json:"traits,omitempty"`

	// Digest joins the texts of one channel that come within a second.
	Digest bool `json:"digest,omitempty"`

	// Username and IconURL are honoured by old custom webhooks only.
	Username string `json:"username,omitempty"`
	IconURL  string `json:"iconUrl,omitempty"`

	dest.Hooks

	client dest.Client
	rules  rules
}

// A Rule says how an event is posted. In JSON it may be just the template.
type Rule struct {
	// Template is the text that is posted.
	Template string `json:"template"`

	// Channel and WebhookURL replace the settings of these names.
	Channel    string `json:"channel,omitempty"`
	WebhookURL string `json:"webhookUrl,omitempty" secret:"true"`
}

// String prints the template. The address of a webhook is a secret.
func (r Rule) String() string { return r.Template }

// GoString prints what String does.
func (r Rule) GoString() string { return r.Template }

// UnmarshalJSON takes an object, or a text that is the template.
func (r *Rule) UnmarshalJSON(raw []byte) error { return unmarshalRule(r, raw) }

var (
	_ analytics.Destination = (*Destination)(nil)
	_ analytics.Opener      = (*Destination)(nil)
)

const (
	name = "Slack"

	// maxText is what Slack advises for a text, in characters. It takes 40,000, for
	// which maxDigest texts have room.
	maxText   = 4000
	maxDigest = 9

	typePrefix = "type:"
)

// Describe states what Slack takes: a message a second for each webhook or channel.
func (d *Destination) Describe() analytics.Description {
	limits := analytics.Limits{
		MaxItems: 1, Linger: -1,
		Rates: []analytics.Rate{{Requests: 1, Per: time.Second, Burst: 3, PerGroup: true}},
	}
	if d.Digest {
		limits.MaxItems, limits.Linger = maxDigest, dest.Linger
	}
	calls := analytics.CallsOf(analytics.CallTrack, analytics.CallIdentify)
	for _, call := range []analytics.Call{analytics.CallPage, analytics.CallScreen, analytics.CallGroup, analytics.CallAlias} {
		if _, ok := d.Events[typePrefix+string(call)]; ok {
			calls |= analytics.CallsOf(call)
		}
	}
	return analytics.Description{
		Name: name, Calls: calls,
		Order: analytics.PerKey, // a key is a channel
		Lanes: map[string]analytics.Limits{"": limits},
	}
}

// Open checks the settings and reads the templates.
func (d *Destination) Open(env analytics.Env) error {
	faults := dest.Check(d)
	faults.URL("WebhookURL", d.WebhookURL)
	switch {
	case d.WebhookURL == "" && d.BotToken == "" && !d.allHaveWebhooks():
		faults.Add("WebhookURL", "or BotToken is required")
	case d.WebhookURL != "" && d.BotToken != "":
		faults.Add("WebhookURL", "and BotToken exclude each other")
	case d.BotToken != "" && d.Channel == "" && !d.allHaveChannels():
		faults.Add("Channel", "is required with BotToken")
	}
	d.rules = d.readRules(faults)
	d.client = dest.NewClient("slack", env)
	return faults.Err()
}

func (d *Destination) allHaveWebhooks() bool {
	for _, r := range d.Events {
		if r.WebhookURL == "" {
			return false
		}
	}
	return len(d.Events) > 0 && d.IdentifyTemplate == ""
}

func (d *Destination) allHaveChannels() bool {
	for _, r := range d.Events {
		if r.Channel == "" {
			return false
		}
	}
	return len(d.Events) > 0 && d.IdentifyTemplate == ""
}

// rules are the settings made ready.
type rules struct {
	byName   map[string]*rule // also "*" and "type:…"
	patterns []pattern        // in the order of their text
	identify *rule
}

type rule struct {
	template parsed
	target   target
	group    string
	channel  bool   // the rule names one
	field    string // the setting that the rule is in
}

type pattern struct {
	re   *regexp.Regexp
	rule *rule
}

func (d *Destination) readRules(faults *dest.Faults) rules {
	all := rules{byName: map[string]*rule{}}
	for _, key := range slices.Sorted(maps.Keys(d.Events)) {
		r := d.readRule(faults, "Events", key, d.Events[key])
		if len(key) > 1 && strings.HasPrefix(key, "/") && strings.HasSuffix(key, "/") {
			re, err := regexp.Compile(key[1 : len(key)-1])
			if err != nil {
				faults.Add("Events", "%q is not a regular expression", key)
				continue
			}
			all.patterns = append(all.patterns, pattern{re, r})
			continue
		}
		all.byName[key] = r
	}
	if d.IdentifyTemplate != "" {
		all.identify = d.readRule(faults, "IdentifyTemplate", "identify", Rule{Template: d.IdentifyTemplate})
	}
	return all
}

func (d *Destination) readRule(faults *dest.Faults, field, key string, r Rule) *rule {
	t, err := parseTemplate(r.Template)
	if err != nil {
		faults.Add(field, "%q has a template that cannot be read: %v", key, err)
	}
	faults.URL(field, r.WebhookURL)
	to := d.target(r)
	return &rule{template: t, target: to, group: to.group(), channel: r.Channel != "", field: field}
}

// target is where a message goes.
type target struct{ webhook, channel string }

func (d *Destination) target(r Rule) target {
	t := target{webhook: d.WebhookURL, channel: d.Channel}
	if r.WebhookURL != "" {
		t.webhook = r.WebhookURL
	}
	if r.Channel != "" {
		t.channel = r.Channel
	}
	return t
}

// group is the name of a target that holds no secret.
func (t target) group() string { return dest.Hash(t.webhook + " " + t.channel)[:16] }

// Deliver posts one message.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	to := b.Items[0].Data.(target)
	r := dest.Request{URL: to.webhook, Body: digest(b.Items)}
	if to.webhook == "" {
		r.URL = "https://slack.com/api/chat.postMessage"
		r.Type = "application/json; charset=utf-8"
		r.Header = http.Header{"Authorization": {"Bearer " + d.BotToken}}
	}
	answer, err := d.client.Do(ctx, r)
	if err != nil {
		return err
	}
	return answerError(answer, to.webhook == "", len(b.Items))
}

// Format prints the settings, without the secret ones.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
