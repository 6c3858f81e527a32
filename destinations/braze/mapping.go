package braze

import (
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/ecommerce"
)

var (
	contextEmail  = dest.At("context.traits.email")
	propertyEmail = dest.At("properties.email")
	traitEmail    = dest.At("traits.email")
	brazeID       = dest.At("properties.braze_id")
)

// maxText is the longest name and text that Braze takes, in characters; longer ones are
// cut.
const maxText = 255

// Translate is a pure function from an event to the objects that Braze gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	t := translation{d: d, e: e}
	var err error
	switch e.Type {
	case analytics.CallTrack:
		err = t.track()
	case analytics.CallIdentify:
		err = t.identify()
	case analytics.CallAlias:
		err = t.alias()
	default:
		err = analytics.ErrIgnored
	}
	if err != nil {
		return nil, err
	}
	return t.items, nil
}

// translation is the work on one event.
type translation struct {
	d     *Destination
	e     *analytics.Event
	items []analytics.Item
}

func (t *translation) add(lane string, k kind, write func(*dest.JSON)) error {
	j := dest.NewJSON()
	j.Open()
	write(j)
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = t.d.Apply(t.e, body)
	}
	if err != nil {
		return err
	}
	t.items = append(t.items, analytics.Item{Lane: lane, Body: body, Data: k})
	return nil
}

// identity is how Braze finds the user.
type identity struct{ external, email, braze, alias string }

func (t *translation) identity(emails ...dest.Path) (identity, error) {
	id := identity{external: t.e.UserID, braze: dest.AsText(brazeID.In(t.e)).String()}
	id.email, _ = dest.FirstEmail(t.e, emails...)
	if id.external == "" && id.email == "" && t.d.AnonymousAliasLabel != "" {
		id.alias = t.e.AnonymousID
	}
	if id == (identity{}) {
		return id, &analytics.InvalidError{Field: "userId", Reason: "is missing, and so is all else by which Braze finds a user"}
	}
	return id, nil
}

func (t *translation) user(j *dest.JSON, id identity) {
	j.TextUnlessEmpty("external_id", id.external)
	j.TextUnlessEmpty("braze_id", id.braze)
	if id.alias != "" {
		j.OpenAt("user_alias")
		j.Text("alias_name", id.alias)
		j.Text("alias_label", t.d.AnonymousAliasLabel)
		j.Close()
	}
	if t.d.UpdateExistingOnly {
		j.Bool("_update_existing_only", true)
	}
}

func (t *translation) track() error {
	id, err := t.identity(contextEmail, propertyEmail)
	if err != nil {
		return err
	}
	if t.d.EcommerceEvents {
		if r, ok := recommend(t.e); ok {
			return t.event(id, r.name, r.write)
		}
	}
	if t.e.Event == ecommerce.EventOrderCompleted {
		for _, p := range dest.Products(t.e.Properties) {
			if err := t.purchase(id, p); err != nil {
				return err
			}
		}
		if len(t.items) > 0 {
			return nil
		}
	}
	return t.event(id, t.e.Event, func(j *dest.JSON) { j.Object(t.e.Properties, nil) })
}

func (t *translation) event(id identity, name string, properties func(*dest.JSON)) error {
	name, err := t.d.Name(name)
	if err != nil {
		return err
	}
	return t.add(laneUsers, events, func(j *dest.JSON) {
		t.user(j, id)
		j.TextUnlessEmpty("email", id.email)
		j.TextUnlessEmpty("app_id", t.d.AppID)
		j.Text("name", dest.Truncate(name, maxText))
		j.Text("time", dest.FormatMillis(t.e.Timestamp))
		j.MaxText = maxText
		j.OpenAt("properties")
		properties(j)
		j.Close()
	})
}

var ofPurchase = dest.Keys(ecommerce.PropertyProductID, ecommerce.PropertyCurrency, ecommerce.PropertyPrice, ecommerce.PropertyQuantity)

// purchase adds what was bought of one product. Without an id or a price it is none.
func (t *translation) purchase(id identity, p map[string]any) error {
	product, ok := dest.AsText(dest.Of(p[ecommerce.PropertyProductID])).Text()
	price, priced := dest.Of(p[ecommerce.PropertyPrice]).Number()
	if !ok || !priced {
		return nil
	}
	return t.add(laneUsers, purchases, func(j *dest.JSON) {
		t.user(j, id)
		if id.external == "" {
			j.TextUnlessEmpty("email", id.email)
		}
		j.TextUnlessEmpty("app_id", t.d.AppID)
		j.Text("time", dest.FormatMillis(t.e.Timestamp))
		j.Text("product_id", dest.Truncate(product, maxText))
		j.Text("currency", currency(p, t.e.Properties))
		j.Number("price", price)
		quantity, ok := dest.WholeNumber(dest.Of(p[ecommerce.PropertyQuantity]))
		if !ok {
			quantity = "1"
		}
		j.Number("quantity", quantity)
		j.MaxText = maxText
		j.OpenAt("properties")
		j.Object(p, func(key string) bool {
			_, over := t.e.Properties[key]
			return over || ofPurchase(key)
		})
		j.Object(t.e.Properties, func(key string) bool { return key == ecommerce.PropertyProducts })
		j.Close()
	})
}

// currency is that of the first which has one that exists.
func currency(from ...map[string]any) string {
	for _, m := range from {
		if code, ok := dest.Currency(dest.Of(m[ecommerce.PropertyCurrency])); ok {
			return code
		}
	}
	return "USD"
}

// named are the attributes for which Braze has names of its own; traits of these names
// count where there is no other. cleared are those that a null of the trait clears.
// reserved are the traits that are not sent as custom attributes.
var (
	named = dest.Table{
		dest.From("first_name", "traits.firstName", "traits.first_name").With(dest.AsText),
		dest.From("last_name", "traits.lastName", "traits.last_name").With(dest.AsText),
		dest.From("phone", "traits.phone").With(dest.AsText),
		dest.From("image_url", "traits.avatar", "traits.image_url").With(dest.AsText),
		dest.From("home_city", "traits.address.city", "traits.home_city").With(dest.AsText),
		dest.From("gender", "traits.gender").With(gender),
		dest.From("country", "context.location.country", "traits.country").With(dest.AsText),
	}
	cleared = map[string]string{
		"first_name": analytics.TraitFirstName, "last_name": analytics.TraitLastName, "phone": analytics.TraitPhone,
		"image_url": analytics.TraitAvatar, "gender": analytics.TraitGender,
	}
	reserved = dest.Keys(analytics.TraitFirstName, analytics.TraitLastName, analytics.TraitAvatar, analytics.TraitPhone, analytics.TraitGender,
		"first_name", "last_name", "image_url", "home_city", "country", "current_location", "external_id", "user_alias",
		"email", "braze_id", "time", "products", "properties", "_update_existing_only", "enable_batching", "batch_size")

	latitude  = dest.At("context.location.latitude")
	longitude = dest.At("context.location.longitude")
)

func (t *translation) identify() error {
	id, err := t.identity(traitEmail)
	if err != nil {
		return err
	}
	return t.add(laneUsers, attributes, func(j *dest.JSON) {
		t.user(j, id)
		j.TextUnlessEmpty("email", id.email)
		j.MaxText = maxText
		for i := range named {
			if v := named[i].In(t.e); !v.Empty() {
				j.Field(named[i].To, v)
			} else if from, ok := cleared[named[i].To]; ok && isNull(t.e.Traits, from) {
				j.Any(named[i].To, nil) // Braze clears the attribute
			}
		}
		lat, lng := latitude.In(t.e), longitude.In(t.e)
		if located(lat, 90) && located(lng, 180) {
			j.OpenAt("current_location")
			j.Field("latitude", dest.AsNumber(lat))
			j.Field("longitude", dest.AsNumber(lng))
			j.Close()
		}
		j.Object(t.e.Traits, reserved)
	})
}

// isNull tells whether the trait is there and null.
func isNull(traits map[string]any, trait string) bool {
	v, ok := traits[trait]
	return ok && v == nil
}

func located(v dest.Value, most float64) bool {
	f, ok := v.Float()
	return ok && f >= -most && f <= most
}

// gender is the letter that Braze has for a word; other words stay.
func gender(v dest.Value) dest.Value {
	s, ok := v.Text()
	if !ok {
		return dest.Value{}
	}
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "man", "male", "m":
		s = "M"
	case "woman", "female", "w", "f":
		s = "F"
	case "other", "o":
		s = "O"
	case "not applicable", "n":
		s = "N"
	case "prefer not to say", "p":
		s = "P"
	}
	return dest.Text(s)
}

func (t *translation) alias() error {
	if t.d.AliasLabel == "" {
		return analytics.ErrIgnored
	}
	return t.add(laneAliases, attributes, func(j *dest.JSON) {
		j.Text("external_id", t.e.UserID)
		j.Text("alias_name", t.e.PreviousID)
		j.Text("alias_label", t.d.AliasLabel)
	})
}
