// Package ecommerce has the events of a shop as types: what a Track call gets as its
// properties, with the names and keys that tools know.
//
//	err := client.Track(ctx, analytics.Track{
//		UserID: "u-42",
//		Event:  ecommerce.EventOrderCompleted,
//		Properties: ecommerce.OrderCompleted{
//			OrderID:  "o-1",
//			Total:    29.5,
//			Currency: "EUR",
//			Products: []ecommerce.Product{{ProductID: "p-1", Price: 14.75, Quantity: 2}},
//		},
//	})
//
// No property is required, and nothing is checked but that it can be written as JSON.
//
// # Zeros and Extra
//
// A field at its zero value is absent: an empty string, 0, a nil list. An empty list
// that is not nil is written. Extra holds what has no field, and zeros that matter. Its
// keys win over the fields, also with null, and its values may be all that
// encoding/json takes:
//
//	ecommerce.OrderCompleted{
//		OrderID: "o-2",
//		Extra:   map[string]any{ecommerce.PropertyTotal: 0, "gift": true},
//	}
//
// Where an event is about one product, [Product] is embedded and its keys stand beside
// those of the event. The Extra of both is used, and that of the event wins.
//
// # Money
//
// Amounts are in whole units of the currency, so that 29.5 is 29 euros and 50 cents. What
// revenue, total, subtotal and value mean differs from event to event; it stands with
// the fields. How coupons and discounts enter them is up to you. Some tools take total
// or revenue, not both.
//
// # Version 1
//
// Old clients send events with the names of version 1 of the specification.
// [Canonical] tells today's names. Their properties are those of today, but for
// [LegacyPropertyID] and [LegacyPropertyOrderID].
package ecommerce
