package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
	"github.com/tributary-dev/analytics/benchmarks/internal/usage"
)

// task is one measurement of one library. A child process does it, so that no
// library pays for what another has left behind.
type task struct {
	Kind    kind
	Library string
	Plan    receiver.Plan

	N          int // events or calls
	Warm       int // events before
	Goroutines int
	Appending  bool
	Plain      bool
	Block      bool
	Room       int
	Dir        string // where a library keeps events that keeps them on disk

	// Of faults: so many events a second, with ids of our own. Close is the ctx
	// of libraries that take one, Patience how long the others get.
	Rate            int
	Close, Patience time.Duration
}

type kind string

const (
	saturated kind = "saturated" // time per call while everything is busy
	single    kind = "single"    // one call at a time, with pauses
	counted   kind = "counted"   // allocations
	pipeline  kind = "pipeline"  // from the first call until Close has returned
	flooded   kind = "flooded"   // as fast as it goes into a receiver that fails
	faulty    kind = "faulty"    // a steady load and a fault
	endless   kind = "endless"   // a steady load until the process is killed
	restarted kind = "restarted" // Close, in the process after that
	encoding  kind = "encoding"  // no client: the encoder named Library
)

// result is what a task found out.
type result struct {
	PerCall       float64 // nanoseconds; saturated, encoding
	P50, P99      time.Duration
	Allocs, Bytes float64 // per call
	CPU, Wall     time.Duration
	PeakRSS       int64
	Closing       time.Duration
	Closed        bool // Close returned
	CloseError    string
	Ran           time.Duration // from the first call on
	Account       account
	Report        receiver.Report
	Failed        []uint64 // ids that were reported; restarted
}

const workerFlag = "-worker"

// workIfAsked is what child processes do in place of main.
func workIfAsked() {
	if len(os.Args) < 2 || os.Args[1] != workerFlag {
		return
	}
	if err := work(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0) // whatever may still be running
}

func work() error {
	var in struct {
		Task task
		URL  string
	}
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		return err
	}
	r, err := in.Task.run(context.Background(), receiver.Control{URL: in.URL})
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// inChild runs a task in a process of its own, against a receiver in another. Where
// events are kept on disk, that is in a folder below dir.
func (t task) inChild(ctx context.Context, dir string) (r result, err error) {
	err = t.surrounded(ctx, dir, func(ctx context.Context, t task, server *receiver.Process) error {
		r, err = t.finish(ctx, server.URL)
		return err
	})
	return r, err
}

// surrounded has a receiver and a folder as long as do runs.
func (t task) surrounded(ctx context.Context, dir string, do func(context.Context, task, *receiver.Process) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	server, err := receiver.Start(ctx)
	if err != nil {
		return err
	}
	defer server.Stop()
	if t.Library == sdk.Spool {
		if t.Dir, err = os.MkdirTemp(dir, "compare"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(t.Dir)) }()
	}
	return do(ctx, t, server)
}

// finish runs the task in a child process until that ends.
func (t task) finish(ctx context.Context, url string) (r result, err error) {
	cmd, err := t.process(ctx, url)
	if err != nil {
		return r, err
	}
	out, err := cmd.Output()
	if err != nil {
		return r, fmt.Errorf("%s, %s: %w", t.Kind, t.Library, err)
	}
	return r, json.Unmarshal(out, &r)
}

// process is the child process of a task, not yet started.
func (t task) process(ctx context.Context, url string) (*exec.Cmd, error) {
	in, err := json.Marshal(map[string]any{"Task": t, "URL": url})
	if err != nil {
		return nil, err
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, workerFlag)
	cmd.Stdin, cmd.Stderr = strings.NewReader(string(in)), os.Stderr
	return cmd, nil
}

// run does the task.
func (t task) run(ctx context.Context, server receiver.Control) (r result, err error) {
	if t.Kind == encoding {
		return t.encode()
	}
	libs, err := sdk.Select(t.Library)
	if err != nil {
		return r, err
	}
	lib, books := libs[0], &ledger{keep: t.Kind == faulty || t.Kind == restarted}
	switch t.Kind {
	case endless:
		return r, t.untilKilled(lib, server.URL)
	case restarted:
		return t.again(ctx, lib, server.URL, books)
	}
	t.Plan.Marker, t.Plan.Distinct = lib.Marker, true
	if t.Kind == pipeline {
		if err := t.warm(ctx, lib, server); err != nil {
			return r, err
		}
	}
	if err := server.Plan(ctx, t.Plan); err != nil {
		return r, err
	}
	c, err := lib.New(t.options(server.URL, books))
	if err != nil {
		return r, err
	}
	if t.warmsUp() {
		if _, err := sdk.Saturate(c, 1, t.Warm, t.call(), &sdk.Stopwatch{}); err != nil {
			return r, err
		}
		books.accepted = t.Warm
		time.Sleep(settle)
	}
	runtime.GC()
	before, start := usage.CPU(), time.Now()
	if err := t.load(c, &r, books); err != nil {
		return r, err
	}
	r.Ran = time.Since(start)
	t.close(ctx, lib, c, &r)
	r.CPU, r.Wall, r.PeakRSS = usage.CPU()-before, time.Since(start), usage.PeakRSS()
	time.Sleep(settle) // for callbacks, and for what is on its way
	if r.Report, err = server.Report(ctx); err != nil {
		return r, err
	}
	all := r.Report
	if lib.Keeps && all.Distinct < books.accepted {
		if all, err = t.next(ctx, lib, server); err != nil {
			return r, err
		}
	}
	ids, err := server.IDs(ctx)
	r.Account = books.balance(all, ids, c.Dropped())
	r.Account.Kept = all.Distinct - r.Report.Distinct
	r.Account.Delivered -= r.Account.Kept
	return r, err
}

// next is the next run over the same spool: it delivers what is left, to a server that
// is healthy.
func (t task) next(ctx context.Context, lib sdk.Library, server receiver.Control) (all receiver.Report, err error) {
	if err := server.Heal(ctx); err != nil {
		return all, err
	}
	c, err := lib.New(sdk.Options{URL: server.URL, Plain: t.Plain, Dir: t.Dir})
	if err != nil {
		return all, err
	}
	ctx, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	_ = c.Close(ctx) // what it could not deliver is missed
	return server.Report(ctx)
}

const settle = 100 * time.Millisecond

// warmsUp tells whether the first calls of the client are not measured. Their events
// count in the account.
func (t task) warmsUp() bool {
	return t.Kind == saturated || t.Kind == single || t.Kind == counted
}

// warm sends some events with a client of its own: where the account and the
// connections are measured.
func (t task) warm(ctx context.Context, lib sdk.Library, server receiver.Control) error {
	if err := server.Plan(ctx, receiver.Plan{}); err != nil {
		return err
	}
	c, err := lib.New(t.options(server.URL, &ledger{}))
	if err != nil {
		return err
	}
	if _, err := sdk.Saturate(c, 1, t.Warm, t.call(), &sdk.Stopwatch{}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	return c.Close(ctx)
}

func (t task) options(url string, books *ledger) sdk.Options {
	o := sdk.Options{URL: url, Plain: t.Plain, Block: t.Block, Room: t.Room, Dir: t.Dir}
	switch t.Kind {
	case counted:
		o.Batch = 100_000
	case flooded, faulty, restarted:
		o.Outcome = books.outcome
	}
	return o
}

// call is the call on the work.
func (t task) call() func(sdk.Client) error {
	if t.Appending {
		o := sdk.TheOrder()
		return func(c sdk.Client) error { return c.TrackAppending(o) }
	}
	properties := sdk.Properties()
	return func(c sdk.Client) error { return c.Track("", properties) }
}

func (t task) load(c sdk.Client, r *result, books *ledger) error {
	switch t.Kind {
	case saturated, pipeline:
		var w sdk.Stopwatch
		refused, err := sdk.Saturate(c, t.Goroutines, t.N, t.call(), &w)
		r.PerCall = float64(w.Elapsed) / float64(t.N)
		books.accepted, books.refused = books.accepted+t.N, refused
		return err
	case single:
		return t.oneByOne(c, r, books)
	case counted:
		return t.countAllocations(c, r, books)
	case flooded:
		return t.flood(c, books)
	case faulty:
		return t.steady(c, books)
	}
	return fmt.Errorf("unknown kind of task %q", t.Kind)
}

// pace is the pause between single calls.
const pace = 200 * time.Microsecond

func (t task) oneByOne(c sdk.Client, r *result, books *ledger) error {
	call, took := t.call(), make([]time.Duration, t.N)
	next := time.Now()
	for i := range took {
		next = next.Add(pace)
		time.Sleep(time.Until(next))
		start := time.Now()
		err := call(c)
		took[i] = time.Since(start)
		if err != nil {
			return err
		}
	}
	slices.Sort(took)
	r.P50, r.P99 = page.Quantile(took, 0.5), page.Quantile(took, 0.99)
	books.accepted += t.N
	return nil
}

// countAllocations counts those of the whole process while nothing is sent, because
// no batch is full: the call, and what a library does with an event at once.
func (t task) countAllocations(c sdk.Client, r *result, books *ledger) error {
	var before, after runtime.MemStats
	call := t.call()
	runtime.ReadMemStats(&before)
	for range t.N {
		if err := call(c); err != nil {
			return err
		}
	}
	time.Sleep(settle)
	runtime.ReadMemStats(&after)
	r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(t.N)
	r.Bytes = float64(after.TotalAlloc-before.TotalAlloc) / float64(t.N)
	books.accepted += t.N
	return nil
}

// flood calls n times, whatever the answer.
func (t task) flood(c sdk.Client, books *ledger) error {
	call := t.call()
	for range t.N {
		if err := books.called(0, call(c)); err != nil {
			return err
		}
	}
	return nil
}

// steady calls n times at a rate. Every event has an id of ours.
func (t task) steady(c sdk.Client, books *ledger) error {
	properties := sdk.Properties()
	start := time.Now()
	for i := range t.N {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(t.Rate))))
		id := sdk.ID(i)
		if err := books.called(receiver.Hash(id), c.Track(id, properties)); err != nil {
			return err
		}
	}
	return nil
}

func (t task) close(ctx context.Context, lib sdk.Library, c sdk.Client, r *result) {
	limit := t.Patience
	if lib.Hurries {
		limit = t.Close
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	start := time.Now()
	err := c.Close(ctx)
	r.Closing = time.Since(start)
	r.Closed = lib.Hurries || ctx.Err() == nil
	if err != nil {
		r.CloseError = err.Error()
	}
}
