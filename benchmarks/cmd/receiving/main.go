// Command receiving measures sources/trackingapi: what an event costs a server that
// receives it, how many requests it answers beside one that only reads them, what is
// allocated, and how it behaves when the queue is full. It prints the page
// docs/benchmarks-receiving.md, each figure with its target. It fails if an event is lost
// or comes twice, and for no figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

func main() {
	serveIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "receiving:", err)
		os.Exit(1)
	}
}

// sizes are how much is done.
type sizes struct {
	rounds   int
	requests int           // of a round
	loading  time.Duration // of the load test
}

var (
	full  = sizes{rounds: 7, requests: 4000, loading: 30 * time.Second}
	quick = sizes{rounds: 1, requests: 100, loading: 2 * time.Second}
)

// settings are the flags.
type settings struct {
	quick bool
	out   string
	dir   string
	load  time.Duration
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("receiving", flag.ContinueOnError)
	flags.BoolVar(&s.quick, "quick", false, "small numbers: shows in seconds that everything works, says nothing about speed")
	flags.StringVar(&s.out, "out", "", "write the page to this `file` in place of the standard output")
	flags.StringVar(&s.dir, "dir", "", "`folder` for spools; empty means the one for temporary files")
	flags.DurationVar(&s.load, "load", 0, "how long the load test takes at least, in place of 30 s, or 2 s with -quick")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.load < 0 {
		return s, fmt.Errorf("-load is %s", s.load)
	}
	return s, nil
}

// sizes are those that the flags ask for.
func (s settings) sizes() sizes {
	z := full
	if s.quick {
		z = quick
	}
	if s.load > 0 {
		z.loading = s.load
	}
	return z
}

// run is what the measurements have in common.
type run struct {
	sizes
	ctx      context.Context
	dir      string
	progress func(string, ...any)
}

func measure(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	testing.Init() // the flags of testing.Benchmark
	mode := "full"
	if s.quick {
		mode = "quick: shows that everything works, says nothing about speed"
		if err := flag.Set("test.benchtime", "20x"); err != nil {
			return err
		}
	}
	dir, err := os.MkdirTemp(s.dir, "receiving")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	start := time.Now()
	r := &run{ctx: ctx, dir: dir, sizes: s.sizes(), progress: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}}
	d := &document{}
	d.Header("Benchmarks of receiving", "receiving", args, []string{"file system", page.FileSystem(s.dir)}, []string{"mode", mode})
	if err := r.all(d); err != nil {
		return err
	}
	r.progress("done")
	return d.Save(s.out)
}

// all measures everything and describes it.
func (r *run) all(d *document) error {
	r.progress("allocations")
	allocated, err := allocations()
	if err != nil {
		return fmt.Errorf("allocations: %w", err)
	}
	fast, err := r.speeds()
	if err != nil {
		return err
	}
	r.progress("load")
	loaded, err := r.load()
	if err != nil {
		return fmt.Errorf("load: %w", err)
	}
	d.figures(append(append(speedFigures(fast), allocationFigures(allocated)...), loaded.figures()...))
	return nil
}
