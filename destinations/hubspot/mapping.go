package hubspot

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

var (
	traitEmail    = dest.At("traits.email")
	userID        = dest.At("userId")
	propertyEmail = dest.At("properties.email")
	contextEmail  = dest.At("context.traits.email")
)

// contact and company are the properties of the mapping.
var (
	contact = dest.Table{
		dest.From("firstname", "traits.first_name", "traits.firstName").With(trimmed),
		dest.From("lastname", "traits.last_name", "traits.lastName").With(trimmed),
		dest.From("phone", "traits.phone").With(trimmed),
		dest.From("company", "traits.company", "traits.company.name").With(companyName),
		dest.From("address", "traits.address.street").With(trimmed),
		dest.From("city", "traits.address.city").With(trimmed),
		dest.From("state", "traits.address.state").With(trimmed),
		dest.From("country", "traits.address.country").With(trimmed),
		dest.From("zip", "traits.address.postalCode", "traits.address.postal_code").With(trimmed),
		dest.From("website", "traits.website").With(trimmed),
	}
	company = dest.Table{
		dest.From("name", "traits.name").With(trimmed),
		dest.From("description", "traits.description").With(trimmed),
		dest.From("address", "traits.address.street").With(trimmed),
		dest.From("city", "traits.address.city").With(trimmed),
		dest.From("state", "traits.address.state").With(trimmed),
		dest.From("zip", "traits.address.postalCode", "traits.address.postal_code").With(trimmed),
		dest.From("domain", "traits.website").With(domain),
		dest.From("phone", "traits.phone").With(trimmed),
		dest.From("numberofemployees", "traits.employees").With(dest.AsNumber),
		dest.From("industry", "traits.industry").With(trimmed),
	}
)

// trimmed takes texts, and numbers and booleans as text, without blanks around them.
func trimmed(v dest.Value) dest.Value {
	return dest.Text(strings.TrimSpace(dest.AsText(v).String()))
}

// companyName takes the name of a company, also out of an object.
func companyName(v dest.Value) dest.Value {
	if m := v.Object(); m != nil {
		v = dest.Of(m["name"])
	}
	return trimmed(v)
}

// domain takes the host out of an address of a website.
func domain(v dest.Value) dest.Value {
	s := strings.TrimSpace(dest.AsText(v).String())
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	if end := strings.IndexAny(s, "/?#"); end >= 0 {
		s = s[:end]
	}
	return dest.Text(s)
}

// Translate is a pure function from an event to what HubSpot gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	switch e.Type {
	case analytics.CallIdentify:
		return d.contact(e)
	case analytics.CallGroup:
		return d.company(e)
	case analytics.CallTrack:
		return d.event(e)
	}
	return nil, analytics.ErrIgnored
}

func (d *Destination) item(e *analytics.Event, it analytics.Item, write func(*dest.JSON)) ([]analytics.Item, error) {
	j := dest.NewJSON()
	j.Open()
	write(j)
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	it.Body = body
	return []analytics.Item{it}, nil
}

func email(e *analytics.Event, places ...dest.Path) (string, bool) {
	s, ok := dest.FirstEmail(e, places...)
	return strings.ToLower(s), ok
}

func (d *Destination) contact(e *analytics.Event) ([]analytics.Item, error) {
	address, ok := email(e, traitEmail, userID)
	if !ok {
		return nil, &analytics.InvalidError{Field: "traits.email", Reason: "is not an e-mail address, nor is userId"}
	}
	return d.object(e, laneContacts, "email", address, contact, d.ContactProperties)
}

func (d *Destination) company(e *analytics.Event) ([]analytics.Item, error) {
	if !d.Companies {
		return nil, analytics.ErrIgnored
	}
	return d.object(e, laneCompanies, groupProperty, e.GroupID, company, d.CompanyProperties)
}

// object is an object of the CRM, found by the property by.
func (d *Destination) object(e *analytics.Event, lane, by, id string, table dest.Table, more map[string]string) ([]analytics.Item, error) {
	return d.item(e, analytics.Item{Lane: lane, Key: id, Data: object{id}}, func(j *dest.JSON) {
		j.Text("idProperty", by)
		j.Text("id", id)
		j.OpenAt("properties")
		added := extra(e.Traits, more)
		delete(added, by)
		table.Write(j, e, func(name string) bool {
			_, over := added[name]
			return over
		})
		for _, name := range slices.Sorted(maps.Keys(added)) {
			j.Field(name, added[name])
		}
		j.Text(by, id)
		j.Close()
	})
}

// extra are the properties that the settings add.
func extra(traits map[string]any, more map[string]string) map[string]dest.Value {
	if len(more) == 0 {
		return nil
	}
	added := make(map[string]dest.Value, len(more))
	for _, trait := range slices.Sorted(maps.Keys(more)) {
		to, v := more[trait], flat(dest.Lookup(traits, trait))
		if to == "lifecyclestage" {
			v = dest.Text(strings.ToLower(v.String()))
		}
		if !v.Empty() {
			added[to] = v
		}
	}
	return added
}

// What HubSpot takes of an event, in properties and in characters of a value.
const (
	maxProperties = 50
	maxText       = 1024
)

func (d *Destination) event(e *analytics.Event) ([]analytics.Item, error) {
	name, allowed, err := d.definition(e.Event)
	if err != nil {
		return nil, err
	}
	options := dest.Options(e, displayName, nameCloud, nameShort)
	address, _ := email(e, propertyEmail, contextEmail)
	contactID := dest.AsText(dest.Of(options["contactId"])).String()
	cookie := dest.AsText(dest.Of(options["hubspotutk"])).String()
	if address == "" && contactID == "" && cookie == "" {
		return nil, &analytics.InvalidError{Field: "properties.email", Reason: "is not an e-mail address, nor is context.traits.email, and no option names the contact"}
	}
	return d.item(e, analytics.Item{Lane: laneEvents, Key: cmp.Or(address, contactID, cookie)}, func(j *dest.JSON) {
		j.Text("eventName", name)
		j.Time("occurredAt", e.Timestamp)
		j.TextUnlessEmpty("email", address)
		j.TextUnlessEmpty("objectId", contactID)
		j.TextUnlessEmpty("utk", cookie)
		j.OpenAt("properties")
		writeProperties(j, e.Properties, allowed)
		j.Close()
		if dest.IsUUID(e.MessageID) {
			j.Text("uuid", e.MessageID)
		}
	})
}

// definition finds the event's name in HubSpot and the properties that it takes, nil
// for all.
func (d *Destination) definition(event string) (name string, allowed []string, err error) {
	if defined, ok := d.Events[event]; ok {
		name, allowed = defined.Name, defined.Properties
	} else if d.AutoEvents {
		name = "pe" + d.PortalID + "_" + strings.NewReplacer(" ", "_", ".", "_").Replace(strings.ToLower(event))
	}
	if name == "" {
		return "", nil, analytics.ErrIgnored
	}
	name, err = d.Name(name)
	return name, allowed, err
}

func writeProperties(j *dest.JSON, properties map[string]any, allowed []string) {
	written := 0
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		if allowed != nil && !slices.Contains(allowed, key) {
			continue
		}
		v := flat(dest.Of(properties[key]))
		if v.Empty() || written == maxProperties {
			continue
		}
		if s, ok := v.Text(); ok {
			v = dest.Text(dest.Truncate(s, maxText))
		}
		j.Field(key, v)
		written++
	}
}

// flat makes one value of what has a structure: the elements of a list with semicolons
// between them, objects as their JSON.
func flat(v dest.Value) dest.Value {
	switch list := v.List(); {
	case list != nil:
		parts := make([]string, 0, len(list))
		for _, one := range list {
			if one != nil {
				parts = append(parts, plain(dest.Of(one)))
			}
		}
		return dest.Text(strings.Join(parts, ";"))
	case v.Object() != nil:
		return dest.Text(plain(v))
	}
	if s, ok := v.Text(); ok {
		return dest.Text(strings.TrimSpace(s))
	}
	return v
}

// plain is a value as text.
func plain(v dest.Value) string {
	if v.Scalar() {
		return strings.TrimSpace(v.String())
	}
	raw, err := v.JSON()
	if err != nil {
		return ""
	}
	return string(raw)
}
