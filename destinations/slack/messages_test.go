package slack_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/slack"
)

func TestFixtures(t *testing.T) {
	desttest.Fixtures(t, "testdata/examples.json", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		f := &fake{}
		d := hook("{{.Event}} by {{.UserID}}")
		tool := open(t, d, f)
		t.Cleanup(func() { require.Empty(t, f.violations) })
		return d, tool
	})
}

func TestDescription(t *testing.T) {
	desc := hook("{{.Event}}").Describe()
	require.Equal(t, "Slack", desc.Name)
	require.Len(t, desc.Lanes, 1)
	lane := desc.Lanes[""]
	require.Equal(t, 1, lane.MaxItems) // sheet: Limits, no batching
	// sheet: Limits, one sender per channel with a token bucket 1/s, burst 3.
	require.Len(t, lane.Rates, 1)
	rate := lane.Rates[0]
	require.True(t, rate.PerGroup)
	require.Equal(t, 1, rate.Requests)
	require.Equal(t, 3, rate.Burst)
	require.Contains(t, []time.Duration{0, time.Second}, rate.Per)
	require.NotEqual(t, analytics.Unordered, desc.Order) // sheet: Limits, order kept per channel
}

// sheet: Limits, order kept per channel: the items of a channel have one group, and one
// key unless everything is in order anyway.
func TestAChannelIsAGroup(t *testing.T) {
	ds := []*slack.Destination{hook("{{.Event}}"), bot("{{.Event}}")}
	ds[0].Events["C"] = slack.Rule{Template: "{{.Event}}", WebhookURL: otherURL}
	ds[1].Events["C"] = slack.Rule{Template: "{{.Event}}", Channel: "#other"}
	for _, d := range ds {
		open(t, d, &fake{})
		items := desttest.Translate(t, d, track(t, "A", "u-1"), track(t, "B", "u-2"), track(t, "C", "u-1"))
		require.Len(t, items, 3)
		require.Equal(t, items[0].Group, items[1].Group)
		require.NotEqual(t, items[0].Group, items[2].Group)
		if d.Describe().Order == analytics.PerKey {
			require.Equal(t, items[0].Key, items[1].Key)
			require.NotEqual(t, items[0].Key, items[2].Key)
		}
	}
}

func TestOneMessageForEachRequest(t *testing.T) {
	f := &fake{}
	d := hook("{{.Event}}")
	tool := open(t, d, f)
	require.True(t, desttest.Deliver(t, d, tracks(t, "A", "B")...).All(delivered))
	require.Len(t, tool.Requests(), 2)
	require.Equal(t, []string{"A", "B"}, f.texts())
}

func TestRules(t *testing.T) {
	d := hook("any {{.Event}}")
	d.Events["Order Completed"] = slack.Rule{Template: "exact"}
	d.Events["/^Order (C|R)/"] = slack.Rule{Template: "pattern {{.Event}}"}
	d.Events["Elsewhere"] = slack.Rule{Template: "other", WebhookURL: otherURL}
	d.Events["In A Channel"] = slack.Rule{Template: "channel", Channel: "#orders"}
	d.Events["type:page"] = slack.Rule{Template: "page"}
	f := &fake{}
	open(t, d, f)
	page := desttest.Event(t, `{"type":"page","messageId":"m","userId":"u","name":"Home"}`)
	events := append(tracks(t, "Order Completed", "Order Refunded", "Order Created", "Song Played", "Elsewhere", "In A Channel"), page)
	settle(t, d, events...)
	require.ElementsMatch(t, []string{"exact", "pattern Order Refunded", "pattern Order Created", "any Song Played", "other", "channel", "page"}, f.texts())
	for _, m := range f.accepted {
		switch m.Text {
		case "other":
			require.Equal(t, otherURL, m.URL)
		case "channel":
			require.Equal(t, "#orders", m.Channel)
		default:
			require.Equal(t, hookURL, m.URL)
			require.Empty(t, m.Channel)
		}
	}
	require.Empty(t, f.violations)
}

func TestABotsChannels(t *testing.T) {
	f := &fake{}
	d := bot("{{.Event}}")
	d.Events["B"] = slack.Rule{Template: "{{.Event}}", Channel: "C024BE91L"}
	open(t, d, f)
	settle(t, d, tracks(t, "A", "B", "C")...)
	channels := map[string]string{}
	for _, m := range f.accepted {
		channels[m.Text] = m.Channel
	}
	require.Equal(t, map[string]string{"A": "#shop", "B": "C024BE91L", "C": "#shop"}, channels)
	require.Empty(t, f.violations)
}

func TestWhatIsIgnored(t *testing.T) {
	f := &fake{}
	d := &slack.Destination{WebhookURL: hookURL, Events: map[string]slack.Rule{
		"A":         {Template: "{{.Event}}"},
		"Empty":     {Template: `{{if eq .Event "none"}}text{{end}}`},
		"Blank":     {Template: " \n{{if false}}{{end}}\t"},
		"type:page": {Template: "page"},
	}}
	tool := open(t, d, f)
	// sheet: Mapping, without a rule nothing is posted; an empty result is not sent.
	events := tracks(t, "B", "Empty", "Blank")
	for _, raw := range []string{
		`{"type":"identify","messageId":"m","userId":"u","traits":{"name":"Ann"}}`,
		`{"type":"screen","messageId":"m","userId":"u","name":"Home"}`,
		`{"type":"group","messageId":"m","userId":"u","groupId":"g"}`,
		`{"type":"alias","messageId":"m","userId":"u","previousId":"p"}`,
	} {
		events = append(events, desttest.Event(t, raw))
	}
	require.Empty(t, desttest.Deliver(t, d, events...))
	require.Empty(t, tool.Requests())
}

func TestEveryCallCanHaveARule(t *testing.T) {
	d := hook("")
	d.Events = map[string]slack.Rule{}
	d.IdentifyTemplate = "identify"
	var events []*analytics.Event
	for _, call := range []string{"page", "screen", "group", "alias"} {
		d.Events["type:"+call] = slack.Rule{Template: call}
	}
	for _, call := range []string{"identify", "page", "screen", "group", "alias"} {
		events = append(events, desttest.Event(t, `{"type":"`+call+`","messageId":"m","userId":"u","groupId":"g","previousId":"p"}`))
	}
	f := &fake{}
	open(t, d, f)
	settle(t, d, events...)
	require.Equal(t, []string{"identify", "page", "screen", "group", "alias"}, f.texts())
}

func TestUserNameAndIcon(t *testing.T) {
	for _, d := range []*slack.Destination{hook("{{.Event}}"), bot("{{.Event}}")} {
		f := &fake{}
		text(t, d, f, track(t, "A", "u"))
		require.Empty(t, f.accepted[0].Username) // sheet: D1
		require.Empty(t, f.accepted[0].IconURL)
	}
	d := hook("{{.Event}}")
	d.Username, d.IconURL = "Shop", "https://shop.example/icon.png"
	f := &fake{}
	text(t, d, f, track(t, "A", "u"))
	require.Equal(t, "Shop", f.accepted[0].Username)
	require.Equal(t, "https://shop.example/icon.png", f.accepted[0].IconURL)
}

// sheet: Limits, Digest joins the texts of one flush with line breaks, and a text is cut
// at 40,000 characters at the latest.
func TestDigest(t *testing.T) {
	for name, of := range map[string]func(string) *slack.Destination{"a webhook": hook, "a bot": bot} {
		t.Run("the texts of a channel go to "+name+" as one", func(t *testing.T) {
			d := of("{{.Event}}")
			d.Digest = true
			d.Events["C"] = slack.Rule{Template: "{{.Event}}", Channel: "#other"}
			f := &fake{}
			open(t, d, f)
			require.Empty(t, settle(t, d, tracks(t, "A", "B", "C", "D")...))
			require.ElementsMatch(t, []string{"A\nB\nD", "C"}, f.texts())
			require.Empty(t, f.violations)
		})
		t.Run("one message that "+name+" refuses costs no other", func(t *testing.T) {
			d := of("{{.Event}}")
			d.Digest = true
			f := &fake{bad: "X"}
			open(t, d, f)
			require.Equal(t, []string{"m-X"}, settle(t, d, tracks(t, "A", "B", "X", "C", "D")...))
			require.Equal(t, "A\nB\nC\nD", strings.Join(f.texts(), "\n"))
		})
		t.Run("long texts do not make one that is too long for "+name, func(t *testing.T) {
			d := of("{{.Event}} {{.Properties.title}}")
			d.Digest = true
			var events []*analytics.Event
			for _, e := range tracks(t, "A", "B", "C", "D", "E", "F", "G", "H", "I", "J", "K") {
				e.Properties["title"] = strings.Repeat("x", 5000)
				events = append(events, e)
			}
			f := &fake{most: 40_000}
			open(t, d, f)
			require.Empty(t, settle(t, d, events...))
			require.Empty(t, f.violations)
			require.Equal(t, len(events), strings.Count(strings.Join(f.texts(), "\n"), "\n")+1)
		})
	}
}
