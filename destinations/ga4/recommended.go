package ga4

import (
	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/b2b"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/ecommerce"
)

// source is where the items of an event come from.
type source int

const (
	noItems source = iota
	one            // the properties are the product
	list           // properties.products
)

// recommendation says how a track event becomes one of Google's.
type recommendation struct {
	name     string
	money    bool // currency and value
	value    string
	texts    dest.Table
	numbers  dest.Table
	required []need
	items    source
	needs    bool // at least one item
}

// need is a parameter that an event must have, and where it comes from.
type need struct{ param, property string }

func text(to, property string) dest.Row {
	return dest.From(to, "properties."+property).With(dest.AsText)
}

func number(to, property string) dest.Row {
	return dest.From(to, "properties."+property).With(dest.AsNumber)
}

const (
	paramCurrency = "currency"
	paramValue    = "value"
)

var recommended = map[string]recommendation{
	ecommerce.EventOrderCompleted: {
		name: "purchase", money: true, value: ecommerce.PropertyTotal,
		texts: dest.Table{
			text("transaction_id", ecommerce.PropertyOrderID), text("affiliation", ecommerce.PropertyAffiliation),
			text("coupon", ecommerce.PropertyCoupon),
		},
		numbers:  dest.Table{number("tax", ecommerce.PropertyTax), number("shipping", ecommerce.PropertyShipping)},
		required: []need{{paramCurrency, ecommerce.PropertyCurrency}, {"transaction_id", ecommerce.PropertyOrderID}}, items: list, needs: true,
	},
	ecommerce.EventOrderRefunded: {
		name: "refund", money: true, value: ecommerce.PropertyTotal,
		texts:    dest.Table{text("transaction_id", ecommerce.PropertyOrderID), text("affiliation", ecommerce.PropertyAffiliation)},
		numbers:  dest.Table{number("shipping", ecommerce.PropertyShipping)},
		required: []need{{"transaction_id", ecommerce.PropertyOrderID}}, items: list,
	},
	ecommerce.EventProductAdded:           {name: "add_to_cart", money: true, items: one, needs: true},
	ecommerce.EventProductRemoved:         {name: "remove_from_cart", money: true, items: one, needs: true},
	ecommerce.EventProductAddedToWishlist: {name: "add_to_wishlist", money: true, items: one, needs: true},
	ecommerce.EventCartViewed:             {name: "view_cart", money: true, items: list, needs: true},
	ecommerce.EventCheckoutStarted: {
		name: "begin_checkout", money: true, texts: dest.Table{text("coupon", ecommerce.PropertyCoupon)}, items: list, needs: true,
	},
	ecommerce.EventPaymentInfoEntered: {
		name: "add_payment_info", money: true, texts: dest.Table{text("payment_type", ecommerce.PropertyPaymentMethod)}, items: list, needs: true,
	},
	ecommerce.EventProductViewed: {name: "view_item", money: true, items: one, needs: true},
	ecommerce.EventProductListViewed: {
		name:  "view_item_list",
		texts: dest.Table{text("item_list_id", ecommerce.PropertyListID), text("item_list_name", ecommerce.PropertyCategory)},
		items: list, needs: true,
	},
	ecommerce.EventProductClicked: {name: "select_item", items: one, needs: true},
	ecommerce.EventPromotionViewed: {
		name: "view_promotion", texts: append(dest.Table{text("location_id", ecommerce.PropertyPosition)}, promotion...), items: one,
	},
	ecommerce.EventPromotionClicked: {name: "select_promotion", texts: promotion, items: one},
	ecommerce.EventProductsSearched: {
		name: "search", texts: dest.Table{text("search_term", ecommerce.PropertyQuery)}, required: []need{{"search_term", ecommerce.PropertyQuery}},
	},
	b2b.EventSignedUp: {name: "sign_up", texts: dest.Table{text("method", b2b.PropertyType)}},
	b2b.EventSignedIn: {name: "login"},
}

var promotion = dest.Table{
	text("promotion_id", ecommerce.PropertyPromotionID), text("promotion_name", ecommerce.PropertyName),
	text("creative_slot", ecommerce.PropertyCreative),
}

// write writes the parameters, and says which required one is missing.
func (r *recommendation) write(p *params, e *analytics.Event) error {
	if r.money {
		r.writeMoney(p, e)
	}
	for _, row := range r.texts {
		p.field(row.To, row.In(e))
	}
	for _, row := range r.numbers {
		p.field(row.To, row.In(e))
	}
	for _, need := range r.required {
		if !p.has(need.param) {
			return missing(need.property, r.name)
		}
	}
	if n := r.writeItems(p, e); n == 0 && r.needs {
		if r.items == list {
			return missing(ecommerce.PropertyProducts, r.name)
		}
		return missing(ecommerce.PropertyProductID, r.name)
	}
	return nil
}

func missing(property, name string) error {
	return &analytics.InvalidError{Field: "properties." + property, Reason: "is missing or not valid, and " + name + " needs it"}
}

func (r *recommendation) writeMoney(p *params, e *analytics.Event) {
	if code, ok := dest.Currency(dest.Of(e.Properties[ecommerce.PropertyCurrency])); ok {
		p.field(paramCurrency, dest.Text(code))
	}
	from := r.value
	if from == "" {
		from = ecommerce.PropertyValue
	}
	p.field(paramValue, dest.AsNumber(dest.Of(e.Properties[from])))
}

// maxProducts is the most items of an event.
const maxProducts = 200

// writeItems writes the products and returns how many there are.
func (r *recommendation) writeItems(p *params, e *analytics.Event) (n int) {
	products := dest.Products(e.Properties)
	switch r.items {
	case noItems:
		return 0
	case one:
		products = []map[string]any{e.Properties}
	}
	for _, product := range products {
		id, name := dest.AsText(dest.Of(product[ecommerce.PropertyProductID])), dest.AsText(dest.Of(product[ecommerce.PropertyName]))
		if id.Empty() && name.Empty() || n == maxProducts {
			continue
		}
		if n == 0 {
			if !p.take("items") {
				return 0
			}
			p.j.OpenListAt("items")
		}
		n++
		p.j.Open()
		writeItem(p.j, product, r.items == list)
		p.j.Close()
	}
	if n > 0 {
		p.j.CloseList()
	}
	return n
}

var itemTexts = [][2]string{
	{"item_id", ecommerce.PropertyProductID}, {"item_name", ecommerce.PropertyName},
	{"affiliation", ecommerce.PropertyAffiliation}, {"coupon", ecommerce.PropertyCoupon},
	{"item_brand", ecommerce.PropertyBrand}, {"item_category", ecommerce.PropertyCategory},
	{"item_variant", ecommerce.PropertyVariant},
}

func writeItem(j *dest.JSON, product map[string]any, inList bool) {
	for _, names := range itemTexts {
		j.Field(names[0], cut(dest.AsText(dest.Of(product[names[1]])), maxValue))
	}
	if inList {
		j.Field("index", dest.AsNumber(dest.Of(product[ecommerce.PropertyPosition])))
	}
	j.Field("price", dest.AsNumber(dest.Of(product[ecommerce.PropertyPrice])))
	j.Field("quantity", dest.AsNumber(dest.Of(product[ecommerce.PropertyQuantity])))
}
