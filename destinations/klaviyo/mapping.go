package klaviyo

import (
	"cmp"
	"encoding/json"
	"slices"
	"strconv"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/ecommerce"
)

var (
	contextEmail  = dest.At("context.traits.email")
	propertyEmail = dest.At("properties.email")
	contextPhone  = dest.At("context.traits.phone")
	traitEmail    = dest.At("traits.email")
	traitPhone    = dest.At("traits.phone")

	amount = dest.From("value", "properties.revenue", "properties.total", "properties.value").With(dest.AsNumber)
)

// What Klaviyo takes of an event, in characters and in numbers.
const (
	maxName       = 128
	maxID         = 255
	maxProperties = 400
	maxElements   = 4000
	maxDepth      = 10
	maxText       = 100_000 // bytes
	firstYear     = 2000
)

// Translate is a pure function from an event to the events or the profile that Klaviyo
// gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	switch e.Type {
	case analytics.CallTrack:
		return d.track(e)
	case analytics.CallIdentify:
		return d.identify(e)
	}
	return nil, analytics.ErrIgnored
}

// ids writes what Klaviyo finds a profile by; it needs one of them.
func ids(j *dest.JSON, e *analytics.Event, phone dest.Path, emails ...dest.Path) error {
	before := j.Len()
	if s, ok := dest.FirstEmail(e, emails...); ok {
		j.Text("email", s)
	}
	if s, ok := dest.Phone(phone.In(e)); ok {
		j.Text("phone_number", s)
	}
	if dest.Truncate(e.UserID, maxID) == e.UserID {
		j.TextUnlessEmpty("external_id", e.UserID)
	}
	j.TextUnlessEmpty("anonymous_id", e.AnonymousID)
	if j.Len() == before {
		return &analytics.InvalidError{Field: "userId", Reason: "is missing or too long, and so is all else by which Klaviyo finds a profile"}
	}
	return nil
}

func (d *Destination) track(e *analytics.Event) ([]analytics.Item, error) {
	if e.Timestamp.Year() < firstYear {
		return nil, &analytics.InvalidError{Field: "timestamp", Reason: "is before 2000, which Klaviyo refuses"}
	}
	name := e.Event
	var products []map[string]any
	if name == ecommerce.EventOrderCompleted {
		name = cmp.Or(d.OrderEvent, name)
		products = dest.Products(e.Properties)
	}
	var items []analytics.Item
	add := func(name, id string, properties func(*dest.JSON), value dest.Value) error {
		name, err := d.Name(name)
		if err != nil {
			return nil // the others of the message go out all the same
		}
		it, err := d.event(e, name, id, properties, value)
		items = append(items, it)
		return err
	}
	err := add(name, e.MessageID, func(j *dest.JSON) { properties(j, e.Properties, nil) }, amount.In(e))
	if err != nil {
		return nil, err
	}
	for i, p := range products {
		value := dest.Value{}
		if sum, ok := dest.Sum(dest.Of(p[ecommerce.PropertyPrice]), dest.Of(p[ecommerce.PropertyQuantity])); ok {
			value = dest.RoundCents(sum)
		}
		id := e.MessageID + ":" + strconv.Itoa(i)
		err := add(cmp.Or(d.ProductEvent, "Ordered Product"), id, func(j *dest.JSON) { properties(j, e.Properties, p) }, value)
		if err != nil {
			return nil, err
		}
	}
	return items, nil
}

// event is one event with its profile.
func (d *Destination) event(e *analytics.Event, name, id string, properties func(*dest.JSON), value dest.Value) (analytics.Item, error) {
	j := dest.NewJSON()
	j.Open()
	j.OpenAt("properties")
	properties(j)
	j.Close()
	j.Text("time", dest.FormatMillis(e.Timestamp))
	j.Text("unique_id", id)
	j.OpenAt("metric")
	j.OpenAt("data")
	j.Text("type", "metric")
	j.OpenAt("attributes")
	j.Text("name", dest.Truncate(name, maxName))
	j.Close()
	j.Close()
	j.Close()
	if !value.Empty() {
		j.Field("value", value)
		if code, ok := dest.Currency(dest.Of(e.Properties[ecommerce.PropertyCurrency])); ok {
			j.Text("value_currency", code)
		}
	}
	end := j.Len()
	j.Key("profile")
	from := j.Len()
	j.Raw([]byte(`{"data":{"type":"profile","attributes":{`))
	if err := ids(j, e, contextPhone, contextEmail, propertyEmail); err != nil {
		return analytics.Item{}, err
	}
	j.Close()
	j.Close()
	j.Close()
	to := j.Len()
	j.Close()
	body, err := j.Bytes()
	if err != nil {
		return analytics.Item{}, err
	}
	changed, err := d.Apply(e, body)
	if err != nil {
		return analytics.Item{}, err
	}
	it := analytics.Item{Lane: laneEvents, ID: id, Body: changed}
	if d.Changes() {
		p, err := split(changed)
		p.at = e.Timestamp
		it.Data = p
		return it, err
	}
	it.Data = parts{event: append(slices.Clone(body[:end]), '}'), profile: body[from:to], at: e.Timestamp}
	return it, nil
}

// split takes an event apart that the hooks have changed.
func split(body []byte) (parts, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return parts{}, &analytics.InvalidError{Field: "Edit", Reason: "made something else of an event"}
	}
	profile, ok := members["profile"]
	if !ok {
		return parts{}, &analytics.InvalidError{Field: "Edit", Reason: "took the profile out of an event"}
	}
	delete(members, "profile")
	event, err := dest.Marshal(members)
	return parts{event: event, profile: profile}, err
}

// properties writes those of an event, with those of a product over them. What Klaviyo
// would refuse the event for is left out.
func properties(j *dest.JSON, m, product map[string]any) {
	keys := make([]string, 0, len(m)+len(product))
	for key := range m {
		if _, over := product[key]; !over && (product == nil || key != ecommerce.PropertyProducts) {
			keys = append(keys, key)
		}
	}
	for key := range product {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	written := 0
	for _, key := range keys {
		v, ok := product[key]
		if !ok {
			v = m[key]
		}
		if fits(v, 1) && written < maxProperties {
			j.Any(key, v)
			written++
		}
	}
}

func fits(v any, depth int) bool {
	switch v := dest.Of(v); {
	case len(v.String()) > maxText:
		return false
	case v.Object() != nil:
		if depth > maxDepth {
			return false
		}
		for _, inner := range v.Object() {
			if !fits(inner, depth+1) {
				return false
			}
		}
	case v.List() != nil:
		if depth > maxDepth || len(v.List()) > maxElements {
			return false
		}
		for _, inner := range v.List() {
			if !fits(inner, depth+1) {
				return false
			}
		}
	}
	return true
}

// The traits for which Klaviyo has places of its own.
var (
	named = dest.Table{
		dest.From("first_name", "traits.firstName").With(dest.AsText),
		dest.From("last_name", "traits.lastName").With(dest.AsText),
		dest.From("organization", "traits.company.name").With(dest.AsText),
		dest.From("title", "traits.title").With(dest.AsText),
		dest.From("image", "traits.avatar").With(dest.AsText),
	}
	location = dest.Table{
		dest.From("address1", "traits.address.street").With(dest.AsText),
		dest.From("city", "traits.address.city").With(dest.AsText),
		dest.From("region", "traits.address.state").With(dest.AsText),
		dest.From("zip", "traits.address.postalCode", "traits.address.postal_code").With(dest.AsText),
		dest.From("country", "traits.address.country").With(dest.AsText),
	}
	ofProfile = dest.Keys(analytics.TraitEmail, analytics.TraitPhone, analytics.TraitFirstName, analytics.TraitLastName,
		analytics.TraitTitle, analytics.TraitAvatar, analytics.TraitAddress)
)

func (d *Destination) identify(e *analytics.Event) ([]analytics.Item, error) {
	j := dest.NewJSON()
	j.Open()
	if err := ids(j, e, traitPhone, traitEmail); err != nil {
		return nil, err
	}
	named.Write(j, e, nil)
	for i := range location {
		if !location[i].In(e).Empty() {
			j.OpenAt("location")
			location.Write(j, e, nil)
			j.Close()
			break
		}
	}
	skip := func(key string) bool { return ofProfile(key) || !fits(e.Traits[key], 1) }
	for key := range e.Traits {
		if !skip(key) {
			j.OpenAt("properties")
			j.Object(e.Traits, skip)
			j.Close()
			break
		}
	}
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	id, ok := dest.Of(dest.Options(e, name, nameNew, nameShort)["listId"]).Text()
	if !ok {
		id = d.ListID
	}
	return []analytics.Item{{Lane: laneProfiles, Group: id, Body: body, Data: list{id}}}, nil
}
