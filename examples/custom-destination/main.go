// Custom-destination sends events to a tool that the library does not know, through
// the adapter in the folder acme: what the tool takes, a pure translation, and one
// request. Queueing, batches, order, rates, retries and the account come with the
// library.
//
//	go run ./examples/custom-destination
package main

import (
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/examples/custom-destination/acme"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "custom-destination:", err)
		os.Exit(1)
	}
}

func run() error {
	service := &acme.Service{Key: "secret"}
	srv := httptest.NewServer(service)
	defer srv.Close()

	var letters []analytics.DeadLetter
	client, err := analytics.New(analytics.Config{
		Destinations: []analytics.Destination{&acme.Destination{APIKey: "secret", Endpoint: srv.URL}},
		DeadLetters:  func(l analytics.DeadLetter) error { letters = append(letters, l); return nil },
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, m := range []analytics.Message{
		analytics.Identify{UserID: "u-42", Traits: analytics.Traits{"plan": "pro"}},
		analytics.Track{UserID: "u-42", Event: "Order Completed", Properties: analytics.Properties{}.SetRevenue(39.95)},
		analytics.Identify{AnonymousID: "a-7"},                              // Acme has no profiles of visitors: ignored
		analytics.Page{UserID: "u-42", Name: "Home"},                        // and no pages: unsupported
		analytics.Track{UserID: strings.Repeat("u", 65), Event: "Too Long"}, // the translation refuses it
		analytics.Track{UserID: "u-42", Event: "Forbidden"},                 // the tool refuses it
		analytics.Track{UserID: "u-42", Event: "Order Refunded"},
	} {
		if err := client.Enqueue(ctx, m); err != nil {
			return err
		}
	}
	if err := client.Close(ctx); err != nil {
		return err
	}

	fmt.Println("Acme has:")
	for _, e := range service.Events() {
		fmt.Printf("  %-8s %-16s %s  %s\n", e.Kind, e.Name, e.User, e.Data)
	}
	fmt.Println("\nDead letters:")
	for _, l := range letters {
		fmt.Printf("  %-8v %s\n", l.Reason, l.Error)
	}
	a := client.Stats().Destinations["Acme"]
	fmt.Printf("\n%d accepted = %d delivered + %d filtered (%s) + %d dropped (%s) + %d pending\n", a.Accepted, a.Delivered,
		analytics.Sum(a.Filtered), reasons(a.Filtered), analytics.Sum(a.Dropped), reasons(a.Dropped), a.Pending)
	return nil
}

// reasons lists counts by reason.
func reasons(counts map[analytics.Reason]uint64) string {
	var all []string
	for _, why := range slices.Sorted(maps.Keys(counts)) {
		all = append(all, fmt.Sprintf("%d %v", counts[why], why))
	}
	return strings.Join(all, ", ")
}
