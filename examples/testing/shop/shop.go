// Package shop is code that tracks. How it is tested is in shop_test.go.
package shop

import (
	"context"
	"errors"
	"fmt"

	"github.com/tributary-dev/analytics"
)

// Shop sells things and tells about it.
type Shop struct {
	Events *analytics.Client
}

// Line is a line of a cart. Cents, because money is no float.
type Line struct {
	SKU      string `json:"product_id"`
	Quantity int    `json:"quantity"`
	Cents    int    `json:"-"` // of one
}

// ErrEmpty is returned for a cart without lines.
var ErrEmpty = errors.New("shop: the cart is empty")

// Checkout sells a cart to a user. An order that cannot be tracked is an order all the
// same.
func (s *Shop) Checkout(ctx context.Context, user, order string, cart []Line) error {
	if len(cart) == 0 {
		return ErrEmpty
	}
	cents := 0
	for _, l := range cart {
		cents += l.Quantity * l.Cents
	}
	_ = s.Events.Track(ctx, analytics.Track{
		UserID: user,
		Event:  "Order Completed",
		Properties: analytics.Properties{"order_id": order, "products": cart}.
			SetRevenue(float64(cents) / 100).
			SetCurrency("EUR"),
	})
	if cents >= 10_000 {
		_ = s.Events.Identify(ctx, analytics.Identify{UserID: user, Traits: analytics.Traits{"big_spender": true}})
	}
	return nil
}

// Refund pays an order back.
func (s *Shop) Refund(ctx context.Context, user, order string) error {
	if order == "" {
		return fmt.Errorf("shop: %s wants money for no order", user)
	}
	_ = s.Events.Track(ctx, analytics.Track{UserID: user, Event: "Order Refunded", Properties: analytics.Properties{"order_id": order}})
	return nil
}
