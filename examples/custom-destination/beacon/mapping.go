package beacon

import (
	"cmp"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// surroundings are the flat fields of every signal.
var surroundings = dest.Table{
	dest.From("ip", "context.ip"),
	dest.From("url", "context.page.url", "properties.url"), // the first that is not empty
	dest.From("plan", "context.traits.plan").With(dest.AsText),
	dest.From("amount", "properties.revenue", "properties.total").With(dest.AsNumber),
}

// Translate is a pure function from an event to the signal that stands for it.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	who := cmp.Or(e.UserID, e.AnonymousID)
	if who == "" {
		return nil, &analytics.InvalidError{Field: "userId", Reason: "is missing, and anonymousId as well"}
	}
	name := e.Event
	if e.Type == analytics.CallPage {
		name = "page.viewed"
	}
	name, err := d.Name(name)
	if err != nil {
		return nil, err
	}
	j := dest.NewJSON()
	j.Open()
	j.Text("id", e.MessageID) // Beacon drops the second of two with one id
	j.Text("name", dest.Truncate(name, 80))
	j.Text("who", who)
	j.Time("at", e.Timestamp)
	surroundings.Write(j, e, nil)
	if len(e.Properties) > 0 {
		j.OpenAt("data")
		j.Object(e.Properties, dest.Personal) // what is about a person is not sent
		j.Close()
	}
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Body: body, Data: e.Timestamp}}, nil
}
