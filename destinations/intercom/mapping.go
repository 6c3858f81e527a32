package intercom

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/ecommerce"
)

var (
	traitEmail    = dest.At("traits.email")
	propertyEmail = dest.At("properties.email")
	contextEmail  = dest.At("context.traits.email")

	phone    = dest.From("phone", "traits.phone").With(dest.AsText)
	avatar   = dest.From("avatar", "traits.avatar").With(dest.AsText)
	signedUp = dest.From("signed_up_at", "traits.createdAt", "traits.created_at").With(dest.AsUnixSeconds)

	company = dest.Table{
		dest.From("name", "traits.name").With(dest.AsText),
		dest.From("plan", "traits.plan").With(dest.AsText),
		dest.From("website", "traits.website").With(dest.AsText),
		dest.From("industry", "traits.industry").With(dest.AsText),
		dest.From("size", "traits.employees").With(wholeNumber),
		dest.From("monthly_spend", "traits.monthly_spend").With(dest.AsNumber),
		dest.From("remote_created_at", "traits.createdAt").With(dest.AsUnixSeconds),
	}
)

func wholeNumber(v dest.Value) dest.Value {
	n, ok := dest.WholeNumber(v)
	if !ok {
		return dest.Value{}
	}
	return dest.Of(n)
}

// maxText is the longest text that Intercom takes in metadata and attributes, in
// characters; longer ones are cut.
const maxText = 255

// Translate is a pure function from an event to what Intercom gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	p, err := who(e)
	if err != nil {
		return nil, err
	}
	j := dest.NewJSON()
	j.Open()
	switch e.Type {
	case analytics.CallIdentify:
		d.writeContact(j, e)
	case analytics.CallGroup:
		j.Text("company_id", e.GroupID)
		company.Write(j, e, nil)
		attributes(j, e.Traits, d.CompanyAttributes)
	case analytics.CallTrack:
		name, err := d.Name(e.Event)
		if err != nil {
			return nil, err
		}
		d.writeEvent(j, e, name)
	default:
		return nil, analytics.ErrIgnored
	}
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Body: body, Data: p}}, nil
}

// who says which contact has to be looked for. An event with a userId needs no search.
func who(e *analytics.Event) (plan, error) {
	p := plan{call: e.Type}
	switch {
	case e.UserID != "" && e.Type == analytics.CallTrack:
		return p, nil
	case e.UserID != "":
		p.who = contact{"external_id", e.UserID}
		return p, nil
	}
	places := []dest.Path{traitEmail}
	field := "traits.email"
	if e.Type == analytics.CallTrack {
		places, field = []dest.Path{propertyEmail, contextEmail}, "properties.email"
	}
	if email, ok := dest.FirstEmail(e, places...); ok {
		p.who = contact{"email", email}
	} else if e.Type != analytics.CallGroup {
		return p, &analytics.InvalidError{Field: field, Reason: "is not an e-mail address, and userId is missing"}
	}
	return p, nil
}

func (d *Destination) writeContact(j *dest.JSON, e *analytics.Event) {
	role := cmp.Or(d.Role, "user")
	j.Text("role", role)
	if role != "lead" {
		j.TextUnlessEmpty("external_id", e.UserID)
	}
	if email, ok := dest.Email(traitEmail.In(e)); ok {
		j.Text("email", email)
	}
	j.Field(phone.To, phone.In(e))
	j.TextUnlessEmpty("name", dest.Name(e.Traits))
	j.Field(avatar.To, avatar.In(e))
	j.Field(signedUp.To, signedUp.In(e))
	j.Int("last_seen_at", e.Timestamp.Unix())
	attributes(j, e.Traits, d.ContactAttributes)
}

// attributes writes the traits that the settings name.
func attributes(j *dest.JSON, traits map[string]any, names []string) {
	open := false
	for _, name := range names {
		v := dest.AsScalar(dest.Of(traits[name]))
		if v.Empty() {
			continue
		}
		if !open {
			j.OpenAt("custom_attributes")
			open = true
		}
		j.Field(name, cut(v))
	}
	if open {
		j.Close()
	}
}

func cut(v dest.Value) dest.Value {
	if s, ok := v.Text(); ok {
		return dest.Text(dest.Truncate(s, maxText))
	}
	return v
}

func (d *Destination) writeEvent(j *dest.JSON, e *analytics.Event, name string) {
	j.Text("event_name", name)
	j.Int("created_at", e.Timestamp.Unix())
	j.TextUnlessEmpty("user_id", e.UserID)
	if email, ok := dest.Email(propertyEmail.In(e)); ok {
		j.Text("email", email)
	}
	d.writeMetadata(j, e.Properties)
}

// price are the properties that make one field of metadata.
var price = dest.Keys(analytics.TraitEmail, ecommerce.PropertyRevenue, ecommerce.PropertyCurrency)

func (d *Destination) writeMetadata(j *dest.JSON, properties map[string]any) {
	room := cmp.Or(d.MetadataKeys, 20)
	amount, hasPrice := cents(properties)
	if hasPrice {
		room--
	}
	open := false
	member := func() {
		if !open {
			j.OpenAt("metadata")
			open = true
		}
	}
	for _, key := range slices.Sorted(maps.Keys(properties)) {
		v := dest.AsScalar(dest.Of(properties[key]))
		if v.Empty() || price(key) || room == 0 || hasPrice && key == "price" {
			continue
		}
		member()
		j.Field(key, cut(v))
		room--
	}
	if hasPrice {
		member()
		currency, ok := dest.Of(properties[ecommerce.PropertyCurrency]).Text()
		if !ok {
			currency = "USD"
		}
		j.OpenAt("price")
		j.Int("amount", amount)
		j.Text("currency", strings.TrimSpace(currency))
		j.Close()
	}
	if open {
		j.Close()
	}
}

// cents is the revenue in the smallest unit, if it is a number.
func cents(properties map[string]any) (int64, bool) {
	v := dest.Of(properties[ecommerce.PropertyRevenue])
	f, ok := v.Float()
	f = math.Round(f * 100)
	if !ok || !v.IsNumber() || math.Abs(f) > 1<<53 {
		return 0, false
	}
	return int64(f), true
}
