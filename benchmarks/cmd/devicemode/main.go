// Command devicemode measures the adapters: what a translation costs, what further
// destinations cost the caller, and what all of them cost behind one log. It prints the
// page docs/benchmarks-devicemode.md, each figure with its target, and fails for none.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

func main() {
	if err := measure(context.Background(), os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "devicemode:", err)
		os.Exit(1)
	}
}

// sizes are how much is done.
type sizes struct {
	events int // behind one log
	calls  int // of one round
	rounds int
}

var (
	full  = sizes{events: 50_000, calls: 100_000, rounds: 15}
	quick = sizes{events: 2000, calls: 1000, rounds: 2}
)

func measure(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("devicemode", flag.ContinueOnError)
	small := flags.Bool("quick", false, "small numbers: shows in seconds that everything works, says nothing about speed")
	out := flags.String("out", "", "write the page to this `file` in place of the standard output")
	if err := flags.Parse(args); err != nil {
		return err
	}
	z, mode := full, "full"
	testing.Init() // the flags of testing.Benchmark
	if *small {
		if err := flag.Set("test.benchtime", "20x"); err != nil {
			return err
		}
		z, mode = quick, "quick: shows that everything works, says nothing about speed"
	}
	start := time.Now()
	progress := func(what string) { fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(start).Seconds(), what) }

	d := &page.Document{}
	d.Header("Benchmarks of the destinations", "devicemode", args, []string{"mode", mode})
	progress("translations")
	costs, err := translations()
	if err != nil {
		return err
	}
	progress("calls beside paused destinations")
	callers, err := beside(ctx, z)
	if err != nil {
		return err
	}
	progress("all destinations behind one log")
	behind, err := behindOneLog(ctx, z, costs)
	if err != nil {
		return err
	}
	write(d, costs, append(callers, behind...))
	progress("done")
	return d.Save(*out)
}

func write(d *page.Document, costs []cost, figures [][]string) {
	d.Table(append([][]string{{"figure", "measured", "target", "met"}}, figures...)...)
	rows := [][]string{{"destination", "track", "allocations", "order of two products", "allocations", "target", "met"}}
	for _, c := range costs {
		rows = append(rows, []string{
			c.name, microseconds(c.track.ns), fmt.Sprint(c.track.allocs), microseconds(c.order.ns), fmt.Sprint(c.order.allocs),
			fmt.Sprintf("track ≤ %s, ≤ %d", microseconds(maxTranslate), maxAllocs), met(c.track.ns <= maxTranslate && c.track.allocs <= maxAllocs),
		})
	}
	d.Table(rows...)
	d.Printf("%s\n", strings.TrimSpace(`
- Destinations: translating and encoding one event, as the client does it, once for each destination. What it makes is what is sent;
  file and webhook take the event as it is in the log.
- Calls: the caller's goroutine alone, on a client with one destination that takes everything at once, beside others that have their
  windows full and are paused. Rounds with and without follow one another; the median of the rounds counts.
- Behind one log: CPU of the whole process, from the first call to the end of Flush, for each event, with the requests left out, at
  5,000 events a second. The event is decoded once for all of them. The sum is that of the translations above. Webhook, Slack and
  Intercom have a Deliver for each event, which the core runs on a goroutine of its own with a time-out.
`))
}

func microseconds(ns int64) string { return fmt.Sprintf("%.1f µs", float64(ns)/1000) }

func met(ok bool) string {
	if ok {
		return "yes"
	}
	return "**no**"
}
