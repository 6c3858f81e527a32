package ga4

import (
	"maps"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// What Google takes, in characters and in numbers.
const (
	maxParams         = 25
	maxUserProperties = 25
	maxValue          = 100
	maxUserName       = 24
	maxUserValue      = 36
)

// sender is what the events of one request share, and what Deliver has to know.
type sender struct {
	head string // the body up to its events
	app  bool
	at   time.Time
}

// Translate is a pure function from an event to the one event that Google gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	options := dest.Options(e, name, nameCloud, nameShort)
	from, err := d.sender(e, options)
	if err != nil {
		return nil, err
	}
	name, write, err := d.event(e)
	if err != nil {
		return nil, err
	}
	j := dest.NewJSON()
	j.Open()
	j.Text("name", name)
	j.Int("timestamp_micros", e.Timestamp.UnixMicro())
	j.OpenAt("params")
	p := params{j: j}
	p.field("session_id", dest.AsScalar(first(options, "sessionId", e.Properties, "session_id")))
	p.field("engagement_time_msec", engagement(options))
	if err := write(&p); err != nil {
		return nil, err
	}
	j.Close()
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Group: from.head, Body: body, Data: from, Size: len(body) + len(from.head)}}, nil
}

func first(a map[string]any, keyA string, b map[string]any, keyB string) dest.Value {
	if v := dest.Of(a[keyA]); !v.Empty() {
		return v
	}
	return dest.Of(b[keyB])
}

// engagement is one millisecond where nothing is known: without any, users do not show
// in reports.
func engagement(options map[string]any) dest.Value {
	if n, ok := dest.WholeNumber(dest.Of(options["engagementTimeMsec"])); ok {
		return dest.Of(n)
	}
	return dest.Int(1)
}

// sender writes the part of a request that its events share.
func (d *Destination) sender(e *analytics.Event, options map[string]any) (sender, error) {
	s := sender{at: e.Timestamp}
	j := dest.NewJSON()
	j.Open()
	instance := dest.AsText(dest.Of(options["firebaseAppInstanceId"]))
	s.app = d.FirebaseAppID != "" && !instance.Empty()
	switch {
	case s.app:
		j.Field("app_instance_id", instance)
	case d.MeasurementID == "":
		return s, &analytics.InvalidError{Field: "integrations", Reason: "has no firebaseAppInstanceId, which an app stream needs"}
	default:
		client := dest.AsText(dest.Of(options["clientId"]))
		for _, id := range []string{e.AnonymousID, e.UserID} {
			if client.Empty() {
				client = dest.Text(id)
			}
		}
		if client.Empty() {
			return s, &analytics.InvalidError{Field: "anonymousId", Reason: "is missing, and userId and the option clientId as well"}
		}
		j.Field("client_id", client)
	}
	j.TextUnlessEmpty("user_id", e.UserID)
	userProperties(j, dest.Of(options["userProperties"]).Object())
	d.consent(j)
	b, err := j.Bytes()
	s.head = string(b)
	return s, err
}

func userProperties(j *dest.JSON, properties map[string]any) {
	var written []string
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		v := dest.AsScalar(dest.Of(properties[key]))
		name := cleanName(key, "p_", maxUserName)
		if v.Empty() || name == "" || isReserved(key) || isReserved(name) ||
			len(written) == maxUserProperties || slices.Contains(written, name) {
			continue
		}
		if len(written) == 0 {
			j.OpenAt("user_properties")
		}
		j.OpenAt(name)
		j.Field("value", cut(v, maxUserValue))
		j.Close()
		written = append(written, name)
	}
	if len(written) > 0 {
		j.Close()
	}
}

func (d *Destination) consent(j *dest.JSON) {
	if d.AdUserData == "" && d.AdPersonalization == "" {
		return
	}
	j.OpenAt("consent")
	j.TextUnlessEmpty("ad_user_data", d.AdUserData)
	j.TextUnlessEmpty("ad_personalization", d.AdPersonalization)
	j.Close()
}

// params writes the parameters of an event, at most as many as Google takes, each name
// once.
type params struct {
	j     *dest.JSON
	names []string
}

// field writes a parameter unless v is empty; texts are cut.
func (p *params) field(name string, v dest.Value) { p.text(name, v, maxValue) }

func (p *params) text(name string, v dest.Value, most int) {
	if v.Empty() || !p.take(name) {
		return
	}
	p.j.Field(name, cut(v, most))
}

// take tells whether there is room for another parameter of that name.
func (p *params) take(name string) bool {
	if len(p.names) == maxParams || slices.Contains(p.names, name) {
		return false
	}
	p.names = append(p.names, name)
	return true
}

func cut(v dest.Value, most int) dest.Value {
	if s, ok := v.Text(); ok {
		return dest.Text(dest.Truncate(s, most))
	}
	return v
}

// The longest values that Google takes for these, in characters.
const (
	maxLocation = 1000
	maxReferrer = 420
	maxTitle    = 300
)

var (
	pageLocation = dest.From("page_location", "context.page.url", "properties.url").With(dest.AsText)
	pageReferrer = dest.From("page_referrer", "context.page.referrer", "properties.referrer").With(dest.AsText)
	pageTitle    = dest.From("page_title", "context.page.title", "properties.title").With(dest.AsText)
)

// event returns the name of the event and what writes its own parameters.
func (d *Destination) event(e *analytics.Event) (string, func(*params) error, error) {
	switch e.Type {
	case analytics.CallPage:
		return d.named("page_view", func(p *params) error {
			p.text("page_location", pageLocation.In(e), maxLocation)
			p.text("page_referrer", pageReferrer.In(e), maxReferrer)
			p.text("page_title", pageTitle.In(e), maxTitle)
			return nil
		})
	case analytics.CallScreen:
		return d.named("screen_view", func(p *params) error {
			p.field("screen_name", dest.Text(e.Name))
			return nil
		})
	case analytics.CallGroup:
		return d.named("join_group", func(p *params) error {
			p.field("group_id", dest.Text(e.GroupID))
			return nil
		})
	case analytics.CallTrack:
		if r, ok := recommended[e.Event]; ok {
			return d.named(r.name, func(p *params) error { return r.write(p, e) })
		}
		return d.named(e.Event, func(p *params) error {
			d.custom(p, e.Properties)
			return nil
		})
	}
	return "", nil, analytics.ErrIgnored
}

// named asks the hooks for a name and makes it fit.
func (d *Destination) named(name string, write func(*params) error) (string, func(*params) error, error) {
	name, err := d.Name(name)
	if err != nil {
		return "", nil, err
	}
	if name = eventName(name); name == "" {
		return "", nil, &analytics.InvalidError{Field: "event", Reason: "has neither a letter nor a digit"}
	}
	return name, write, nil
}

// custom writes the properties that are texts, numbers or booleans.
func (d *Destination) custom(p *params, properties map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		if isReserved(key) || dest.Personal(key) && !d.KeepPII {
			continue
		}
		if name := cleanName(key, "p_", maxName); name != "" && !isReserved(name) {
			p.field(name, dest.AsScalar(dest.Of(properties[key])))
		}
	}
}

// has tells whether a parameter was written.
func (p *params) has(name string) bool { return slices.Contains(p.names, name) }
