package metacapi

import (
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/ecommerce"
)

var (
	pageURL    = dest.At("context.page.url")
	userAgent  = dest.At("context.userAgent")
	deviceType = dest.At("context.device.type")
)

// Translate is a pure function from an event to the one event that Meta gets.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if err := dest.Required(e); err != nil {
		return nil, err
	}
	name, custom, err := d.event(e)
	if err != nil {
		return nil, err
	}
	source := d.source(e)
	agent := dest.AsText(userAgent.In(e))
	if source == "website" && standard(name) && agent.Empty() {
		return nil, &analytics.InvalidError{Field: "context.userAgent", Reason: "is missing, which standard events of a website need"}
	}
	j := dest.NewJSON()
	j.Open()
	j.Text("event_name", name)
	j.Int("event_time", e.Timestamp.Unix())
	j.Text("event_id", e.MessageID) // by which Meta dedupes, also against the browser's pixel
	j.Field("event_source_url", dest.AsText(pageURL.In(e)))
	j.Text("action_source", source)
	j.OpenAt("user_data")
	before := j.Len()
	d.userData(j, e, agent)
	if j.Len() == before {
		return nil, &analytics.InvalidError{Field: "userId", Reason: "is missing, and so is all else by which Meta finds a person"}
	}
	j.Close()
	if custom != nil {
		if err := custom(j); err != nil {
			return nil, err
		}
	}
	if d.LimitedDataUse {
		j.OpenListAt("data_processing_options")
		j.Value(dest.Text("LDU"))
		j.CloseList()
		j.Int("data_processing_options_country", 0)
		j.Int("data_processing_options_state", 0)
	}
	j.Close()
	body, err := j.Bytes()
	if err == nil {
		body, err = d.Apply(e, body)
	}
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Body: body, Data: event{at: e.Timestamp, source: source}}}, nil
}

func (d *Destination) source(e *analytics.Event) string {
	if d.ActionSource != "" {
		return d.ActionSource
	}
	switch strings.ToLower(deviceType.In(e).String()) {
	case "ios", "android":
		return "app"
	}
	if !pageURL.In(e).Empty() || !userAgent.In(e).Empty() {
		return "website"
	}
	return "system_generated"
}

// standard tells whether a name is one of Meta's own.
var standard = dest.Keys("AddPaymentInfo", "AddToCart", "AddToWishlist", "CompleteRegistration", "Contact", "CustomizeProduct",
	"Donate", "FindLocation", "InitiateCheckout", "Lead", "PageView", "Purchase", "Schedule", "Search", "StartTrial",
	"SubmitApplication", "Subscribe", "ViewContent")

// event returns the name of the event and what writes its custom_data, nil if it has
// none.
func (d *Destination) event(e *analytics.Event) (string, func(*dest.JSON) error, error) {
	name, write := e.Event, custom
	switch e.Type {
	case analytics.CallPage:
		name, write = "PageView", nil
	case analytics.CallTrack:
		if r, ok := rules[e.Event]; ok {
			name, write = r.name, r.write
		} else if to, ok := d.EventMap[e.Event]; ok {
			name = to
		}
	default:
		return "", nil, analytics.ErrIgnored
	}
	name, err := d.Name(name)
	if err != nil || write == nil {
		return name, nil, err
	}
	return name, func(j *dest.JSON) error { return write(j, e) }, nil
}

// custom writes the properties that are not about a person, if there are any.
func custom(j *dest.JSON, e *analytics.Event) error {
	skip := func(key string) bool { return e.Properties[key] == nil || dest.Personal(key) }
	for key := range e.Properties {
		if !skip(key) {
			j.OpenAt("custom_data")
			j.Object(e.Properties, skip)
			j.Close()
			break
		}
	}
	return nil
}

// rule says how a track event becomes one of Meta's.
type rule struct {
	name     string
	value    string // the property; empty: none
	one      bool   // the properties are the product
	list     bool   // properties.products
	ids      bool   // content_ids
	purchase bool   // has an order, and needs currency and value
	search   bool
}

var rules = map[string]rule{
	ecommerce.EventOrderCompleted:   {name: "Purchase", value: ecommerce.PropertyRevenue, list: true, purchase: true},
	ecommerce.EventCheckoutStarted:  {name: "InitiateCheckout", value: ecommerce.PropertyRevenue, list: true},
	ecommerce.EventProductAdded:     {name: "AddToCart", value: ecommerce.PropertyPrice, one: true},
	ecommerce.EventProductViewed:    {name: "ViewContent", value: ecommerce.PropertyPrice, one: true, ids: true},
	ecommerce.EventProductsSearched: {name: "Search", search: true},
}

func (r rule) write(j *dest.JSON, e *analytics.Event) error {
	p := e.Properties
	code := dest.Of(p[ecommerce.PropertyCurrency])
	currency, known := dest.Currency(code)
	value := dest.Value{}
	if r.value != "" {
		value = dest.AsNumber(dest.Of(p[r.value]))
	}
	switch {
	case !code.Empty() && !known:
		return &analytics.InvalidError{Field: "properties.currency", Reason: "is not an ISO 4217 code"}
	case r.purchase && !known:
		return &analytics.InvalidError{Field: "properties.currency", Reason: "is missing, which a purchase needs"}
	case r.purchase && value.Empty():
		return &analytics.InvalidError{Field: "properties.revenue", Reason: "is not a number, which a purchase needs"}
	}
	j.OpenAt("custom_data")
	defer j.Close()
	j.TextUnlessEmpty("currency", currency)
	j.Field("value", value)
	switch {
	case r.search:
		j.Field("search_string", dest.AsText(dest.Of(p[ecommerce.PropertyQuery])))
	case r.one:
		r.contents(j, []map[string]any{p})
	case r.list:
		r.contents(j, dest.Products(p))
	}
	if r.purchase {
		j.Field("order_id", dest.AsText(dest.Of(p[ecommerce.PropertyOrderID])))
	}
	return nil
}

// contents writes the products that have an id.
func (r *rule) contents(j *dest.JSON, products []map[string]any) {
	open := false
	for _, p := range products {
		id := dest.AsText(dest.Of(p[ecommerce.PropertyProductID]))
		if id.Empty() {
			continue
		}
		if !open {
			if r.ids {
				j.OpenListAt("content_ids")
				j.Value(id)
				j.CloseList()
			}
			j.Text("content_type", "product")
			j.OpenListAt("contents")
			open = true
		}
		j.Open()
		j.Field("id", id)
		j.Field("quantity", dest.AsNumber(dest.Of(p[ecommerce.PropertyQuantity])))
		j.Field("item_price", dest.AsNumber(dest.Of(p[ecommerce.PropertyPrice])))
		j.Close()
	}
	if open {
		j.CloseList()
	}
}
