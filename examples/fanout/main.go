// Fanout sends events to three destinations at once: a Segment-compatible endpoint
// and two funcs of the program, each at its own pace. The integrations object of an
// event says who gets it.
//
//	go run ./examples/fanout
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "fanout:", err)
		os.Exit(1)
	}
}

// inbox is what one tool of the company has received: names of events.
type inbox struct {
	mu     sync.Mutex
	events map[string]bool
	broken bool
}

// receive is the func of a destination. What it returns are the words of Deliver:
// nil, an error to be tried again, analytics.Permanent and so on.
func (in *inbox) receive(_ context.Context, events []*analytics.Event) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.broken {
		in.broken = false
		return errors.New("the CRM restarts")
	}
	if in.events == nil {
		in.events = make(map[string]bool)
	}
	for _, e := range events {
		in.events[e.Event] = true
	}
	return nil
}

func (in *inbox) has(event string) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.events[event]
}

func run() error {
	srv := analyticstest.NewServer() // stands for Segment
	defer srv.Close()
	crm := inbox{broken: true} // its first delivery fails, which is nobody else's business
	var audit inbox

	client, err := analytics.New(analytics.Config{
		WriteKey: "fanout",
		Endpoint: srv.Start(),
		Destinations: []analytics.Destination{
			analytics.DestinationFunc("CRM", crm.receive),
			// A plugin in front of one destination keeps from it what is not for it.
			analytics.With(analytics.DestinationFunc("Audit", audit.receive), analytics.PluginFunc(
				func(_ context.Context, e *analytics.Event) error {
					if e.Event == "Page Scrolled" {
						return analytics.Drop("noise")
					}
					return nil
				})),
		},
		FlushInterval: 50 * time.Millisecond,
	})
	if err != nil {
		return err
	}

	events := []analytics.Track{
		{Event: "Order Completed"},
		{Event: "Coupon Tried", Integrations: analytics.Integrations{"CRM": false}},
		{Event: "Password Changed", Integrations: analytics.Integrations{"All": false, "Audit": true}},
		{Event: "Secret Kept", Integrations: analytics.Integrations{"All": false, "Audit": true, "Segment.io": false}},
		{Event: "Page Scrolled"},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, e := range events {
		e.UserID = "u-42"
		if err := client.Track(ctx, e); err != nil {
			return err
		}
	}
	if err := client.Close(ctx); err != nil {
		return err
	}

	cloud := make(map[any]bool)
	for _, m := range srv.Decoded() {
		cloud[m["event"]] = true
	}
	const row = "%-17s %-10s %-5s %-6s %s\n"
	fmt.Printf(row, "event", "Segment.io", "CRM", "Audit", "integrations")
	for _, e := range events {
		given := ""
		if e.Integrations != nil {
			given = fmt.Sprint(map[string]any(e.Integrations))
		}
		fmt.Printf(row, e.Event, mark(cloud[e.Event]), mark(crm.has(e.Event)), mark(audit.has(e.Event)), given)
	}

	const account = "%-11s %9s %10s %9s %8s %8s\n"
	fmt.Printf("\n"+account, "destination", "accepted", "delivered", "filtered", "dropped", "retries")
	stats := client.Stats()
	for _, name := range []string{"Segment.io", "CRM", "Audit"} {
		d := stats.Destinations[name]
		fmt.Printf(account, name, fmt.Sprint(d.Accepted), fmt.Sprint(d.Delivered), fmt.Sprint(analytics.Sum(d.Filtered)),
			fmt.Sprint(analytics.Sum(d.Dropped)), fmt.Sprint(d.Retries))
	}
	return nil
}

func mark(yes bool) string {
	if yes {
		return "yes"
	}
	return "-"
}
