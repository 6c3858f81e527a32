package ecommerce_test

import (
	"encoding/json"
	"fmt"

	"github.com/tributary-dev/analytics/ecommerce"
)

// An event goes as it is into the Properties of an analytics.Track, and its name into
// Event. This is what is sent.
func Example() {
	order := ecommerce.OrderCompleted{
		OrderID:  "o-1",
		Total:    29.5,
		Currency: "EUR",
		Products: []ecommerce.Product{{ProductID: "p-1", Price: 14.75, Quantity: 2}},
		Extra:    map[string]any{"gift": true, ecommerce.PropertyTax: 0},
	}
	text, err := json.Marshal(order)
	fmt.Println(order.EventName())
	fmt.Println(string(text), err)
	// Output:
	// Order Completed
	// {"order_id":"o-1","total":29.5,"currency":"EUR","products":[{"product_id":"p-1","price":14.75,"quantity":2}],"gift":true,"tax":0} <nil>
}

func ExampleProductAdded() {
	text, err := json.Marshal(ecommerce.ProductAdded{
		CartID:  "c-1",
		Product: ecommerce.Product{ProductID: "p-1", Price: 14.75},
	})
	fmt.Println(string(text), err)
	// Output: {"cart_id":"c-1","product_id":"p-1","price":14.75} <nil>
}

func ExampleCanonical() {
	for _, name := range []string{"Completed Order", "Song Played"} {
		today, old := ecommerce.Canonical(name)
		fmt.Println(today, old)
	}
	// Output:
	// Order Completed true
	// Song Played false
}
