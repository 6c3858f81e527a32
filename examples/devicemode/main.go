// Devicemode sends events of a shop to three tools at once, without a server in between:
// Amplitude, PostHog and Customer.io, each through its adapter, each at its own pace.
// PostHog is down for the first part of the run. It gets everything when it is back, and
// the other two never notice.
//
//	go run ./examples/devicemode [-out page.html]
//
// The tools are fakes on the loopback interface. The program prints what they have as it
// goes, writes a page that shows it over time, and ends with 0 only if every promise
// held; they are in check.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/amplitude"
	"github.com/tributary-dev/analytics/destinations/customerio"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/posthog"
	"github.com/tributary-dev/analytics/ecommerce"
)

func main() {
	page := flag.String("out", "", "where to write the page; empty means a temporary file")
	flag.Parse()
	if err := play(os.Stdout, *page); err != nil {
		fmt.Fprintln(os.Stderr, "devicemode:", err)
		os.Exit(1)
	}
}

// play opens the tools on the loopback interface and runs the shop.
func play(out io.Writer, page string) error {
	t := newTools()
	network, shut := t.listen()
	defer shut()
	r, err := run(out, t, network)
	if r == nil {
		return err
	}
	r.print(out)
	return errors.Join(err, writePage(out, page, r), r.check())
}

// newClient is all that it takes. The hosts of the tools are fixed in their adapters, so
// network decides where a request ends up.
func newClient(network http.RoundTripper) (*analytics.Client, error) {
	return analytics.New(analytics.Config{
		Destinations: []analytics.Destination{
			&amplitude.Destination{APIKey: amplitudeKey},

			// A hook changes what an adapter sends: PostHog gets order_completed.
			&posthog.Destination{APIKey: posthogKey, Hooks: dest.Hooks{EventName: snake}},

			// A plugin in front of one destination keeps from it what is not for it.
			analytics.With(&customerio.Destination{SiteID: customerioSite, APIKey: customerioKey}, analytics.PluginFunc(
				func(_ context.Context, e *analytics.Event) error {
					if e.Event == ecommerce.EventProductViewed {
						return analytics.Drop("no mails about what somebody looked at")
					}
					return nil
				})),
		},
		HTTPClient: &http.Client{Transport: network},
		FlushAt:    12, // small requests, so that there is something to see
	})
}

func snake(name string) string { return strings.ToLower(strings.ReplaceAll(name, " ", "_")) }

const (
	pace     = 16 * time.Millisecond // between two events
	patience = 10 * time.Second      // with the tools that are up
	lineTime = 250 * time.Millisecond
)

// run plays both parts, and prints a line from time to time.
func run(out io.Writer, t *tools, network http.RoundTripper) (*result, error) {
	client, err := newClient(network)
	if err != nil {
		return nil, err
	}
	r := &result{tools: t, start: time.Now()}
	var tracked atomic.Int64
	done := make(chan error, 1)
	go func() { done <- trade(client, r, &tracked) }()

	line := progress(out, r)
	tick := time.NewTicker(lineTime)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			line(tracked.Load())
		case err := <-done:
			line(tracked.Load())
			r.stats = client.Stats()
			return r, err
		}
	}
}

// trade tracks what the customers do. PostHog comes back between the parts, once the
// others have everything: if it held them up, that would be never.
func trade(client *analytics.Client, r *result, tracked *atomic.Int64) error {
	ctx := context.Background()
	morning, evening := parts()
	r.tools.posthog.set(true)
	track := func(acts []act) error {
		for _, a := range acts {
			if err := client.Enqueue(ctx, a.message); err != nil {
				return err
			}
			a.at = time.Now()
			r.acts = append(r.acts, a)
			tracked.Add(1)
			time.Sleep(pace)
		}
		return nil
	}
	if err := track(morning); err != nil {
		return err
	}
	r.await(patience)
	r.tools.posthog.set(false)
	if err := track(evening); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return client.Close(ctx)
}
