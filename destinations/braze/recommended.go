package braze

import (
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/ecommerce"
)

// recommendation is an event as Braze recommends it for commerce.
type recommendation struct {
	name  string
	write func(*dest.JSON) // its properties
}

// rule says how a track event becomes a recommended one.
type rule struct {
	name     string
	one      bool   // the properties are the product
	flat     bool   // its keys stand among the properties
	action   string // of a cart
	total    bool   // total_value is required
	required []string
}

var rules = map[string]rule{
	ecommerce.EventOrderCompleted:  {name: "ecommerce.order_placed", total: true, required: []string{ecommerce.PropertyOrderID}},
	ecommerce.EventCheckoutStarted: {name: "ecommerce.checkout_started", total: true, required: []string{ecommerce.PropertyCheckoutID}},
	ecommerce.EventOrderRefunded:   {name: "ecommerce.order_refunded", total: true, required: []string{ecommerce.PropertyOrderID}},
	ecommerce.EventOrderCancelled:  {name: "ecommerce.order_cancelled", total: true, required: []string{ecommerce.PropertyOrderID, ecommerce.PropertyReason}},
	ecommerce.EventProductAdded:    {name: "ecommerce.cart_updated", one: true, action: "add", required: []string{ecommerce.PropertyCartID}},
	ecommerce.EventProductRemoved:  {name: "ecommerce.cart_updated", one: true, action: "remove", required: []string{ecommerce.PropertyCartID}},
	ecommerce.EventProductViewed:   {name: "ecommerce.product_viewed", one: true, flat: true},
}

// texts and amounts are the properties with another name over there.
var (
	texts = dest.Table{
		dest.From("order_id", "properties.order_id").With(dest.AsText),
		dest.From("checkout_id", "properties.checkout_id").With(dest.AsText),
		dest.From("cart_id", "properties.cart_id").With(dest.AsText),
		dest.From("cancel_reason", "properties.reason").With(dest.AsText),
	}
	amounts = dest.Table{
		dest.From("total_value", "properties.total").With(dest.AsNumber),
		dest.From("subtotal_value", "properties.subtotal").With(dest.AsNumber),
		dest.From("tax", "properties.tax").With(dest.AsNumber),
		dest.From("shipping", "properties.shipping").With(dest.AsNumber),
		dest.From("total_discounts", "properties.discount").With(dest.AsNumber),
	}
)

// recommend returns the recommended event for e, if e has all that Braze requires of
// it.
func recommend(e *analytics.Event) (recommendation, bool) {
	r, ok := rules[e.Event]
	code, known := dest.Currency(dest.Of(e.Properties[ecommerce.PropertyCurrency]))
	if !ok || !known {
		return recommendation{}, false
	}
	for _, key := range r.required {
		if dest.AsText(dest.Of(e.Properties[key])).Empty() {
			return recommendation{}, false
		}
	}
	if r.total && amounts[0].In(e).Empty() {
		return recommendation{}, false
	}
	products := dest.Products(e.Properties)
	if r.one {
		products = []map[string]any{e.Properties}
	}
	if len(products) == 0 {
		return recommendation{}, false
	}
	for _, p := range products {
		if !complete(p, !r.flat) {
			return recommendation{}, false
		}
	}
	return recommendation{r.name, func(j *dest.JSON) { r.write(j, e, code, products) }}, true
}

// complete tells whether a product has all that Braze requires.
func complete(p map[string]any, counted bool) bool {
	_, priced := dest.Of(p[ecommerce.PropertyPrice]).Number()
	_, whole := dest.WholeNumber(dest.Of(p[ecommerce.PropertyQuantity]))
	return priced && (whole || !counted) &&
		!dest.AsText(dest.Of(p[ecommerce.PropertyProductID])).Empty() &&
		!dest.AsText(dest.Of(p[ecommerce.PropertyName])).Empty()
}

func (r *rule) write(j *dest.JSON, e *analytics.Event, currency string, products []map[string]any) {
	j.Text("currency", currency)
	source, ok := dest.Of(e.Properties["source"]).Text()
	if !ok {
		source = "web"
	}
	j.Text("source", strings.TrimSpace(source))
	j.TextUnlessEmpty("action", r.action)
	texts.Write(j, e, nil)
	amounts.Write(j, e, nil)
	discounts(j, e)
	if r.flat {
		writeProduct(j, products[0])
		return
	}
	j.OpenListAt("products")
	for _, p := range products {
		j.Open()
		writeProduct(j, p)
		j.Close()
	}
	j.CloseList()
}

func writeProduct(j *dest.JSON, p map[string]any) {
	id := dest.AsText(dest.Of(p[ecommerce.PropertyProductID]))
	variant := dest.AsText(dest.Of(p[ecommerce.PropertyVariant]))
	if variant.Empty() {
		variant = id
	}
	j.Field("product_id", id)
	j.Field("product_name", dest.AsText(dest.Of(p[ecommerce.PropertyName])))
	j.Field("variant_id", variant)
	j.Field("image_url", dest.AsText(dest.Of(p[ecommerce.PropertyImageURL])))
	j.Field("product_url", dest.AsText(dest.Of(p[ecommerce.PropertyURL])))
	if n, ok := dest.WholeNumber(dest.Of(p[ecommerce.PropertyQuantity])); ok {
		j.Number("quantity", n)
	}
	j.Field("price", dest.AsNumber(dest.Of(p[ecommerce.PropertyPrice])))
}

// discounts writes those of discount_items that have a code or an amount.
func discounts(j *dest.JSON, e *analytics.Event) {
	list := dest.Of(e.Properties["discount_items"]).List()
	if len(list) == 0 {
		return
	}
	j.OpenListAt("discounts")
	for _, one := range list {
		d := dest.Of(one).Object()
		code, amount := dest.AsText(dest.Of(d["code"])), dest.AsNumber(dest.Of(d["amount"]))
		if code.Empty() && amount.Empty() {
			continue
		}
		j.Open()
		j.Field("code", code)
		j.Field("amount", amount)
		j.Close()
	}
	j.CloseList()
}
