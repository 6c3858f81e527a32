// Testing is about the tests of code that tracks: read shop/shop_test.go and run it.
//
//	go test -v ./examples/testing/shop
//
// The program itself does what those tests do, with a recorder in place of a tool:
//
//	go run ./examples/testing
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
	"github.com/tributary-dev/analytics/examples/testing/shop"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "testing:", err)
		os.Exit(1)
	}
}

func run() error {
	rec := analyticstest.NewRecorder()
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{rec}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()

	s := shop.Shop{Events: client}
	if err := s.Checkout(ctx, "u-42", "o-1", []shop.Line{{SKU: "tent-2p", Quantity: 1, Cents: 24900}}); err != nil {
		return err
	}
	if err := s.Refund(ctx, "u-42", "o-1"); err != nil {
		return err
	}
	if err := client.Close(ctx); err != nil {
		return err
	}

	fmt.Println("What the shop told about a sale and a refund:")
	for _, e := range rec.Events() {
		facts, err := json.Marshal(factsOf(e))
		if err != nil {
			return err
		}
		fmt.Printf("  %-9s %-16s %s  %s\n", e.Type, e.Event, e.UserID, facts)
	}
	fmt.Println("The tests that look at it: go test -v ./examples/testing/shop")
	return nil
}

// factsOf are the traits of an identify call, the properties of the others.
func factsOf(e *analytics.Event) map[string]any {
	if e.Type == analytics.CallIdentify {
		return e.Traits
	}
	return e.Properties
}
