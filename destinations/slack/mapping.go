package slack

import (
	"bytes"
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// A Message is what templates see of an event.
type Message struct {
	Event               string // the name of a track event, a page or a screen
	UserID, AnonymousID string

	// Name is the best name of the user: traits.name, first and last name, username,
	// e-mail, userId, or "Anonymous user" with the anonymousId.
	Name string

	Properties, Traits, Context map[string]any
	Timestamp                   time.Time
}

var contextPart = dest.At("context")

func message(e *analytics.Event) Message {
	traits := map[string]any(e.Traits)
	if e.Type != analytics.CallIdentify && e.Type != analytics.CallGroup {
		traits = dest.Context(e).Traits
	}
	return Message{
		Event: cmp.Or(e.Event, e.Name), UserID: e.UserID, AnonymousID: e.AnonymousID, Name: userName(e, traits),
		Properties: e.Properties, Traits: traits, Timestamp: e.Timestamp,
	}
}

func userName(e *analytics.Event, traits map[string]any) string {
	if e.Type == analytics.CallGroup {
		traits = dest.Context(e).Traits // its own are those of the group
	}
	username, _ := dest.Of(traits[analytics.TraitUsername]).Text()
	email, _ := dest.Of(traits[analytics.TraitEmail]).Text()
	return cmp.Or(dest.Name(traits), username, email, e.UserID, "Anonymous user "+e.AnonymousID)
}

// find finds the rule for an event: by its exact name, then by the patterns, then "*".
func (r *rules) find(e *analytics.Event) *rule {
	switch e.Type {
	case analytics.CallIdentify:
		return r.identify
	case analytics.CallTrack:
	default:
		return r.byName[typePrefix+string(e.Type)]
	}
	if exact, ok := r.byName[e.Event]; ok && e.Event != "*" && !strings.HasPrefix(e.Event, typePrefix) {
		return exact
	}
	for _, p := range r.patterns {
		if p.re.MatchString(e.Event) {
			return p.rule
		}
	}
	return r.byName["*"]
}

// Translate is a pure function from an event to the message that is posted.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	r := d.rules.find(e)
	if r == nil {
		return nil, analytics.ErrIgnored
	}
	m := message(e)
	if m.Event != "" {
		name, err := d.Name(m.Event)
		if err != nil {
			return nil, err
		}
		m.Event = name
	}
	if r.template.context {
		m.Context = contextPart.In(e).Object()
	}
	text, err := d.render(r, m)
	if err != nil {
		return nil, &analytics.InvalidError{Field: r.field, Reason: "the template fails for this event"}
	}
	if text = strings.TrimSpace(text); text == "" {
		return nil, analytics.ErrIgnored
	}
	j := dest.NewJSON()
	j.Open()
	j.Text("text", shorten(text))
	if r.target.webhook == "" || r.channel { // a webhook has a channel of its own
		j.TextUnlessEmpty("channel", r.target.channel)
	}
	j.TextUnlessEmpty("username", d.Username)
	j.TextUnlessEmpty("icon_url", d.IconURL)
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Key: r.group, Group: r.group, Body: body, Data: r.target}}, nil
}

func shorten(text string) string {
	if cut := dest.Truncate(text, maxText); cut == text {
		return text
	}
	cut := dest.Truncate(text, maxText-1)
	if i := strings.LastIndexByte(cut, '&'); i > len(cut)-len("&amp;") {
		cut = cut[:i] // half an escape would show
	}
	return cut + "…"
}

// digest is the body of one request: that of the only item, or that of the first with
// the texts of all.
func digest(items []analytics.Item) []byte {
	first := bytes.Clone(items[0].Body)
	if len(items) == 1 {
		return first
	}
	var body map[string]json.RawMessage
	if json.Unmarshal(first, &body) != nil {
		return first
	}
	texts := make([]string, 0, len(items))
	for i := range items {
		var one struct{ Text string }
		if json.Unmarshal(items[i].Body, &one) == nil {
			texts = append(texts, one.Text)
		}
	}
	body["text"] = dest.AppendText(nil, strings.Join(texts, "\n"))
	joined, err := dest.Marshal(body)
	if err != nil {
		return first
	}
	return joined
}

func unmarshalRule(r *Rule, raw []byte) error {
	if len(raw) > 0 && raw[0] == '"' {
		return json.Unmarshal(raw, &r.Template)
	}
	type plain Rule
	return json.Unmarshal(raw, (*plain)(r))
}
