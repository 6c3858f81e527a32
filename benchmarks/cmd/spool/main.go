// Command spool measures the spool alone: what it costs in time, memory and disk, and
// how it behaves beside destinations that fail and programs that want the same disk.
// It prints the page docs/benchmarks-spool.md, each figure with its target, and fails
// if an event is missing, and for no figure. What a call costs beside other SDKs is
// measured by cmd/compare.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
)

func main() {
	receiver.RunIfAsked()
	workIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "spool:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	quick bool
	out   string
	dir   string
	only  string
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("spool", flag.ContinueOnError)
	flags.BoolVar(&s.quick, "quick", false, "small numbers: shows in seconds that everything works, says nothing about speed")
	flags.StringVar(&s.out, "out", "", "write the page to this `file` in place of the standard output")
	flags.StringVar(&s.dir, "dir", "", "`folder` on the disk to measure; empty means the one for temporary files")
	flags.StringVar(&s.only, "only", "", "the `name` of one measurement: "+names())
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.only != "" && find(s.only) == nil {
		return s, fmt.Errorf("-only is %q, want one of %s", s.only, names())
	}
	return s, nil
}

func measure(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "spool")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	start := time.Now()
	z := full
	if s.quick {
		z = quick
	}
	r := run{ctx: ctx, dir: dir, sizes: z, progress: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}}
	p := &document{}
	p.header(s, args)
	var figures []page.Figure
	for _, m := range measurements {
		if s.only != "" && s.only != m.name {
			continue
		}
		r.progress("%s", m.name)
		some, err := m.do(&r)
		if err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
		for _, f := range some {
			r.progress("    %s: %s (target: %s)", f.Name, f.Value, f.Target)
		}
		figures = append(figures, some...)
	}
	p.figures(figures)
	return p.Save(s.out)
}
