// Command compare measures this library and other Go SDKs side by side in one run
// and prints the tables of docs/benchmarks.md. It fails if ours lost an event without
// a word, and for no figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

func main() {
	receiver.RunIfAsked()
	workIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := compare(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "compare:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	quick bool
	out   string
	reps  int
	only  string
	libs  string
	dir   string
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("compare", flag.ContinueOnError)
	flags.BoolVar(&s.quick, "quick", false, "small numbers, one run and short faults: shows that everything works, says nothing about speed")
	flags.StringVar(&s.out, "out", "", "write the page to this `file` in place of the standard output")
	flags.IntVar(&s.reps, "reps", 0, "runs of each figure; 0 means 5, or 1 with -quick")
	flags.StringVar(&s.only, "only", "", "\"speed\" or \"faults\"")
	flags.StringVar(&s.libs, "libs", "", "comma-separated `names`; empty means all, or analytics,analytics-spool,analytics-go for the faults of -quick")
	flags.StringVar(&s.dir, "dir", "", "`folder` on the disk to measure the spool on; empty means the one for temporary files")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.only != "" && s.only != "speed" && s.only != "faults" {
		return s, fmt.Errorf("-only is %q, want speed or faults", s.only)
	}
	if s.reps < 0 {
		return s, errors.New("-reps is negative")
	}
	return s, nil
}

func compare(ctx context.Context, args []string) error {
	s, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	libs, err := sdk.Select(s.libs)
	if err != nil {
		return err
	}
	start := time.Now()
	progress := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	size, unit, mode := full, time.Second, "full"
	if s.quick {
		size, unit, mode = quick, time.Second/5, "quick"
	}
	if s.reps > 0 {
		size.reps = s.reps
	}
	d := &document{}
	d.header(s, args, mode, size.reps, libs)
	lost := 0
	if s.only != "faults" {
		n, err := d.addSpeed(ctx, size, libs, s.dir, progress)
		if err != nil {
			return err
		}
		lost += n
	}
	if s.only != "speed" {
		if s.quick && s.libs == "" {
			libs, _ = sdk.Select(sdk.Ours + "," + sdk.Spool + "," + sdk.Anchor)
		}
		n, err := d.addFaults(ctx, faults(unit), libs, s.dir, s.quick, progress)
		if err != nil {
			return err
		}
		lost += n
	}
	if err := d.Save(s.out); err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%s lost %d events without a word", sdk.Ours, lost)
	}
	return nil
}

// addSpeed measures and appends the tables of speed, and counts what ours lost.
func (d *document) addSpeed(ctx context.Context, s sizes, libs []sdk.Library, dir string, progress func(string, ...any)) (lost int, err error) {
	all := measurements(s)
	by, err := measure(ctx, all, libs, dir, s.reps, progress)
	if err != nil {
		return 0, err
	}
	d.speed(all, libs, by)
	enc, err := encoders(ctx, s, progress)
	if err != nil {
		return 0, err
	}
	d.encoding(enc)
	for _, runs := range by {
		for _, r := range append(runs[sdk.Ours], runs[sdk.Spool]...) {
			lost += r.Account.Lost
		}
	}
	return lost, nil
}

// addFaults runs the faults one after the other, or all at once.
func (d *document) addFaults(ctx context.Context, all []fault, libs []sdk.Library, dir string, together bool, progress func(string, ...any)) (lost int, err error) {
	d.faultsIntro()
	results, errs := make([][]result, len(all)), make([]error, len(all))
	done := make(chan struct{}, len(all))
	for i, f := range all {
		run := func() {
			results[i], errs[i] = provoke(ctx, f, libs, dir, progress)
			done <- struct{}{}
		}
		if together {
			go run()
		} else {
			run()
		}
	}
	for range all {
		<-done
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	for i, f := range all {
		d.fault(f, libs, results[i])
		for k, l := range libs {
			if l.Keeps || l.Own && !f.kills() { // memory does not survive
				lost += results[i][k].Account.Lost
			}
		}
	}
	return lost, nil
}
