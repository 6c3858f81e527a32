package main

import (
	"fmt"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/ecommerce"
)

// customers act at the same time, each of them in order.
const customers = 24

// An act is something that a customer does: the message that is tracked, and what each
// tool has to have of it, by name of the tool. That is written down here, and not asked
// of the adapters.
type act struct {
	what    string // for the table of who got what
	message analytics.Message
	want    map[string][]record
	at      time.Time // of the call
}

// A record is what a tool has of an event. It counts as the same when its key is: by that
// the tool dedupes.
type record struct{ person, key, name string }

// parts are the acts of before and after PostHog comes back.
func parts() (morning, evening []act) {
	n := 0
	everybody := func(does func(id, person string) act) (acts []act) {
		for c := range customers {
			n++
			// Ids are UUIDs, as those are that the client makes by itself. PostHog dedupes by
			// nothing else.
			id := fmt.Sprintf("00000000-0000-4000-8000-%012d", n)
			acts = append(acts, does(id, fmt.Sprintf("customer-%02d", c+1)))
		}
		return acts
	}
	for _, does := range []func(id, person string) act{signUp, visit, look, add} {
		morning = append(morning, everybody(does)...)
	}
	for _, does := range []func(id, person string) act{look, order, visit} {
		evening = append(evening, everybody(does)...)
	}
	return morning, append(evening, deny("00000000-0000-4000-8000-999999999999", "customer-01"))
}

func signUp(id, person string) act {
	return act{
		what:    "identify",
		message: analytics.Identify{MessageID: id, UserID: person, Traits: analytics.Traits{"plan": "pro"}},
		want: map[string][]record{
			amplitudeName:  {{person, id, "$identify"}},
			posthogName:    {{person, id, "$identify"}},
			customerioName: {{person, person, "identify"}}, // a person is its own key there
		},
	}
}

func visit(id, person string) act {
	const url = "https://shop.example/lamps"
	return act{
		what:    "page",
		message: analytics.Page{MessageID: id, UserID: person, Name: "Lamps", Properties: analytics.Properties{}.SetURL(url)},
		want: map[string][]record{
			amplitudeName:  {{person, id, "Viewed Lamps"}},
			posthogName:    {{person, id, "$pageview"}},
			customerioName: {{person, id, url}},
		},
	}
}

var lamp = ecommerce.Product{ProductID: "lamp", Name: "Lamp", Price: 29.5, Quantity: 1}

func look(id, person string) act {
	return act{
		what: ecommerce.EventProductViewed,
		message: analytics.Track{
			MessageID: id, UserID: person, Event: ecommerce.EventProductViewed,
			Properties: ecommerce.ProductViewed{Product: lamp, Currency: "EUR"},
		},
		want: map[string][]record{
			amplitudeName: {{person, id, "Product Viewed"}},
			posthogName:   {{person, id, "product_viewed"}},
		},
	}
}

func add(id, person string) act {
	return act{
		what: ecommerce.EventProductAdded,
		message: analytics.Track{
			MessageID: id, UserID: person, Event: ecommerce.EventProductAdded,
			Properties: ecommerce.ProductAdded{CartID: "cart of " + person, Product: lamp},
		},
		want: map[string][]record{
			amplitudeName:  {{person, id, "Product Added"}},
			posthogName:    {{person, id, "product_added"}},
			customerioName: {{person, id, "Product Added"}},
		},
	}
}

// order is one event that becomes three at Amplitude, which counts products.
func order(id, person string) act {
	bulb := ecommerce.Product{ProductID: "bulb", Name: "Bulb", Price: 4.5, Quantity: 2}
	return act{
		what: ecommerce.EventOrderCompleted,
		message: analytics.Track{
			MessageID: id, UserID: person, Event: ecommerce.EventOrderCompleted,
			Properties: ecommerce.OrderCompleted{
				OrderID: "order of " + person, Revenue: 38.5, Currency: "EUR",
				Products: []ecommerce.Product{lamp, bulb},
			},
		},
		want: map[string][]record{
			amplitudeName: {
				{person, id, "Order Completed"},
				{person, id + "-2", "Product Purchased"},
				{person, id + "-3", "Product Purchased"},
			},
			posthogName:    {{person, id, "order_completed"}},
			customerioName: {{person, id, "Order Completed"}},
		},
	}
}

// deny has integrations: an object is options for a tool, false keeps the message from
// one.
func deny(id, person string) act {
	return act{
		what: ecommerce.EventCouponDenied,
		message: analytics.Track{
			MessageID: id, UserID: person, Event: ecommerce.EventCouponDenied,
			Properties: ecommerce.CouponDenied{CouponID: "winter", Reason: "expired"},
			Integrations: analytics.Integrations{
				amplitudeName:  map[string]any{"session_id": 1795176000000},
				customerioName: false,
			},
		},
		want: map[string][]record{
			amplitudeName: {{person, id, "Coupon Denied in session 1795176000000"}},
			posthogName:   {{person, id, "coupon_denied"}},
		},
	}
}
