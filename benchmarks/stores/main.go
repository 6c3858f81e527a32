// Command stores compares ways to keep events on disk until they are delivered: how
// fast they are, what they leave behind, and what happens to events when the process
// is killed, a file is damaged or the disk is full.
//
//	go run . -out ../../docs/benchmarks-stores.md
//	go run . -size 20 -limit 500ms -only speed -stores 'bbolt,tidwall/wal'
//
// Where go.work does not name this module, the commands begin with GOWORK=off. A store
// is a file with its type and a line in contenders.
//
// Each measurement has a process of its own. Killing, and finding out what a process
// used, need a Unix; the small disk needs root on Linux and is skipped without.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"
)

func main() {
	workIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "stores:", err)
		os.Exit(1)
	}
}

// settings are the flags.
type settings struct {
	size      int
	limit     time.Duration
	reps      int
	only      string
	stores    string
	dir       string
	out, json string
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("stores", flag.ContinueOnError)
	flags.IntVar(&s.size, "size", 200, "`megabytes` of events in the backlog that is drained")
	flags.DurationVar(&s.limit, "limit", 3*time.Second, "how long each of the other measurements of speed may take")
	flags.IntVar(&s.reps, "reps", 1, "runs of each measurement of speed")
	flags.StringVar(&s.only, "only", "", "\"speed\" or \"faults\"")
	flags.StringVar(&s.stores, "stores", "", "comma-separated `names`; empty means all")
	flags.StringVar(&s.dir, "dir", "", "`folder` on the disk to measure; empty means the one for temporary files")
	flags.StringVar(&s.out, "out", "", "write the page to this `file`, too")
	flags.StringVar(&s.json, "json", "", "write all that was measured to this `file`, too")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	var errs []error
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", flags.Arg(0)))
	}
	if s.only != "" && s.only != "speed" && s.only != "faults" {
		errs = append(errs, fmt.Errorf("-only is %q, want speed or faults", s.only))
	}
	if s.size < 1 || s.reps < 1 || s.limit <= 0 {
		errs = append(errs, errors.New("-size, -reps and -limit must be positive"))
	}
	return s, errors.Join(errs...)
}

// chosen returns the contenders of a list of names.
func chosen(names string) (all []contender, err error) {
	if names == "" {
		return contenders(), nil
	}
	for name := range strings.SplitSeq(names, ",") {
		c, err := find(strings.TrimSpace(name))
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func run(ctx context.Context, args []string) error {
	s, err := parse(args)
	if err != nil {
		return err
	}
	all, err := chosen(s.stores)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "stores")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	start := time.Now()
	progress := func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%5.0f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}
	r := &report{Events: s.size * 1_000_000 / eventSize, Reps: s.reps}
	r.describe(args, all, dir)
	if s.only != "faults" {
		z := speedSizes{events: r.Events, limit: s.limit, reps: s.reps}
		if r.Speed, r.Failed, err = measure(ctx, all, dir, z, progress); err != nil {
			return err
		}
	}
	if s.only != "speed" {
		r.Faults = map[string]faults{}
		for _, c := range all {
			if r.Faults[c.name], err = provoke(ctx, c, dir, usualFaults, progress); err != nil {
				return err
			}
		}
	}
	fmt.Print(r.render(all, true))
	return r.write(s, all)
}

// write leaves the files that were asked for.
func (r *report) write(s settings, all []contender) error {
	if s.out != "" {
		if err := os.WriteFile(s.out, []byte(r.render(all, false)), 0o644); err != nil {
			return err
		}
	}
	if s.json == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(s.json, append(data, '\n'), 0o644)
}
