package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/benchmarks/internal/usage"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// The targets.
const (
	maxTranslate   = int64(10 * time.Microsecond)
	maxAllocs      = int64(40)
	maxCallerShare = 1.10
	maxSumShare    = 1.5
)

// cost is what a destination costs for each event.
type cost struct {
	name         string
	track, order measured
}

type measured struct{ ns, allocs int64 }

// translations measures each adapter for the two track events that all of them have
// recorded requests for.
func translations() ([]cost, error) {
	var costs []cost
	for _, d := range adapters() {
		c := cost{name: d.Describe().Name}
		for i, to := range []*measured{&c.track, &c.order} {
			r := testing.Benchmark(func(b *testing.B) {
				desttest.Open(b, d, desttest.Serve(nil))
				translate(b, d, desttest.Inputs(b)[i].Event)
			})
			if r.N == 0 {
				return nil, fmt.Errorf("%s does not translate", c.name)
			}
			*to = measured{r.NsPerOp(), r.AllocsPerOp()}
		}
		costs = append(costs, c)
	}
	return costs, nil
}

// translate does what the client does for one event.
func translate(b *testing.B, d analytics.Destination, e *analytics.Event) {
	b.ReportAllocs()
	raw, ok := d.(analytics.RawTranslator)
	if !ok {
		for b.Loop() {
			if _, err := d.Translate(e); err != nil {
				b.Fatal(err)
			}
		}
		return
	}
	body, err := e.AppendJSON(nil)
	if err != nil {
		b.Fatal(err)
	}
	h := &analytics.Header{Type: e.Type, MessageID: e.MessageID, UserID: e.UserID, Event: e.Event}
	for b.Loop() {
		if _, err := raw.TranslateRaw(h, body); err != nil {
			b.Fatal(err)
		}
	}
}

// window is more events than a destination holds between its cursor and where it has
// read to.
const window = 12_000

var errPaused = errors.New("paused")

// beside measures a call beside paused destinations.
func beside(ctx context.Context, z sizes) ([][]string, error) {
	counts := []int{0, 1, 13}
	rounds := make([][]float64, len(counts))
	for range z.rounds {
		for i, n := range counts {
			ns, err := round(ctx, n, z.calls)
			if err != nil {
				return nil, err
			}
			rounds[i] = append(rounds[i], ns)
		}
	}
	alone := median(rounds[0])
	rows := [][]string{{"call, beside none", fmt.Sprintf("%.0f ns", alone), "", ""}}
	for i, n := range counts[1:] {
		ns := median(rounds[i+1])
		rows = append(rows, []string{
			fmt.Sprintf("call, beside %d paused", n), fmt.Sprintf("%.0f ns, %.2f × alone", ns, ns/alone),
			fmt.Sprintf("≤ %.2f ×", maxCallerShare), met(ns/alone <= maxCallerShare),
		})
	}
	return rows, nil
}

// round returns the nanoseconds of a call beside n paused destinations.
func round(ctx context.Context, n, calls int) (float64, error) {
	live := analytics.DestinationFunc("live", func(context.Context, []*analytics.Event) error { return nil })
	destinations := []analytics.Destination{live}
	for i, d := range adapters()[:n] {
		destinations = append(destinations, analytics.Named(fmt.Sprint("paused-", i), quiet(d, analytics.Unauthorized(errPaused))))
	}
	client, err := open(destinations, 1<<30)
	if err != nil {
		return 0, err
	}
	track := ordinary()
	for range window {
		if err := client.Track(ctx, track); err != nil {
			return 0, err
		}
	}
	settle(client)
	start := time.Now()
	for range calls {
		if err := client.Track(ctx, track); err != nil {
			return 0, err
		}
	}
	took := time.Since(start)
	return float64(took.Nanoseconds()) / float64(calls), closeNow(client)
}

// settle waits until the destination that is not paused has everything.
func settle(client *analytics.Client) {
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if client.Stats().Destinations["live"].Pending == 0 {
			return
		}
	}
}

func closeNow(client *analytics.Client) error {
	done, cancel := context.WithCancel(context.Background())
	cancel() // what is paused would hold it up
	_ = client.Close(done)
	return nil
}

// behindOneLog compares the CPU of all destinations, and of those that send many events
// in a request, with the sum of their translations.
func behindOneLog(ctx context.Context, z sizes, costs []cost) ([][]string, error) {
	var rows [][]string
	for _, g := range []struct {
		what    string
		batches bool
	}{{"those with batches", true}, {"all", false}} {
		var destinations []analytics.Destination
		sum := int64(0)
		for i, d := range adapters() {
			if !g.batches || !single(d) {
				destinations = append(destinations, quiet(d, nil))
				sum += costs[i].track.ns
			}
		}
		each, err := behind(ctx, destinations, z.events)
		if err != nil {
			return nil, err
		}
		share := float64(each) / float64(sum)
		rows = append(rows, []string{
			fmt.Sprintf("CPU of an event, %d destinations behind one log (%s)", len(destinations), g.what),
			fmt.Sprintf("%s, %.2f × the sum %s of their translations", microseconds(each), share, microseconds(sum)),
			fmt.Sprintf("≤ %.1f ×", maxSumShare), met(share <= maxSumShare),
		})
	}
	return rows, nil
}

// single tells whether each event needs a request of its own.
func single(d analytics.Destination) bool {
	for _, limits := range d.Describe().Lanes {
		if limits.MaxItems == 1 {
			return true
		}
	}
	return false
}

// pace is how many events follow one another, and how long the pause behind them is:
// 5,000 events a second, which nobody lags behind.
const (
	burst = 50
	pause = 10 * time.Millisecond
)

// behind returns the nanoseconds of CPU that an event takes of the whole process.
func behind(ctx context.Context, destinations []analytics.Destination, events int) (int64, error) {
	client, err := open(destinations, 64<<20)
	if err != nil {
		return 0, err
	}
	track := ordinary()
	start := usage.CPU()
	for i := range events {
		if err := client.Track(ctx, track); err != nil {
			return 0, err
		}
		if i%burst == burst-1 {
			time.Sleep(pause)
		}
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	return int64(usage.CPU()-start) / int64(events), client.Close(ctx)
}

func open(destinations []analytics.Destination, memory int) (*analytics.Client, error) {
	return analytics.New(analytics.Config{
		Destinations: destinations, MaxMemory: memory, WhenFull: analytics.Block, Logger: slog.New(slog.DiscardHandler),
	})
}

// ordinary is the first of the recorded inputs as a call.
func ordinary() analytics.Track {
	return analytics.Track{
		UserID: "user-1001", AnonymousID: "7c9e6679-7425-40de-944b-e07fc1f90ae7", Event: "Song Played",
		Properties: analytics.Properties{"title": "Blue Train", "seconds": 642, "tags": []string{"jazz", "vinyl"}, "shared": false, "note": nil},
		Context: &analytics.Context{
			IP: "192.0.2.10", Locale: "en-US", GroupID: "org-9",
			UserAgent: "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
			Page:      analytics.PageInfo{URL: "https://music.example/play", Referrer: "https://music.example/"},
			Campaign:  analytics.Campaign{Source: "mail", Name: "may"},
			Traits:    analytics.Traits{"email": "ann@example.com"},
		},
	}
}

func median(of []float64) float64 {
	sorted := slices.Sorted(slices.Values(of))
	return sorted[len(sorted)/2]
}
