package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

// killed runs the task's load in a process that is killed after a time, and then the
// same program again. What was accepted is known from what the first process told this
// one after each call.
func (t task) killed(ctx context.Context, dir string, after time.Duration, heal bool) (r result, err error) {
	err = t.surrounded(ctx, dir, func(ctx context.Context, t task, server *receiver.Process) error {
		r, err = t.killAndRestart(ctx, server, after, heal)
		return err
	})
	return r, err
}

func (t task) killAndRestart(ctx context.Context, server *receiver.Process, after time.Duration, heal bool) (r result, err error) {
	libs, err := sdk.Select(t.Library)
	if err != nil {
		return r, err
	}
	t.Plan.Marker, t.Plan.Distinct = libs[0].Marker, true
	if err := server.Plan(ctx, t.Plan); err != nil {
		return r, err
	}
	books, err := t.kill(ctx, server.URL, after)
	if err != nil {
		return r, err
	}
	time.Sleep(settle) // for what the server is still reading
	before, err := server.IDs(ctx)
	if err != nil {
		return r, err
	}
	if heal {
		if err := server.Heal(ctx); err != nil {
			return r, err
		}
	}
	t.Kind = restarted
	if r, err = t.finish(ctx, server.URL); err != nil {
		return r, err
	}
	for _, id := range r.Failed {
		books.failed[id] = struct{}{}
	}
	if r.Report, err = server.Report(ctx); err != nil {
		return r, err
	}
	ids, err := server.IDs(ctx)
	if err != nil {
		return r, err
	}
	// An event may arrive whose call had not returned when the process was killed.
	known, all := books.known(ids), r.Report
	all.Messages -= len(ids) - len(known)
	r.Account = books.balance(all, known, -1)
	r.Account.Kept = len(known) - len(books.known(before))
	r.Account.Delivered -= r.Account.Kept
	return r, nil
}

// What a process says of an event, a line each.
const (
	saysAccepted = "accepted"
	saysRefused  = "refused"
	saysFailed   = "failed"
)

// kill starts the process, lets it live for a time from its first call on, and kills it.
func (t task) kill(ctx context.Context, url string, after time.Duration) (*ledger, error) {
	t.Kind = endless
	cmd, err := t.process(ctx, url)
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	books := &ledger{keep: true, failed: make(map[uint64]struct{})}
	lines := bufio.NewReader(out)
	var timer *time.Timer
	for {
		line, err := lines.ReadString('\n')
		if err == io.EOF { // a line that is cut off was not told
			break
		}
		if err != nil {
			return nil, err
		}
		if timer == nil {
			timer = time.AfterFunc(after, func() { _ = cmd.Process.Kill() })
			defer timer.Stop()
		}
		if err := books.hear(line); err != nil {
			return nil, err
		}
	}
	err = cmd.Wait()
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if state := cmd.ProcessState; timer == nil || state.Exited() {
		return nil, fmt.Errorf("%s ended before it was killed: %w", t.Library, err)
	}
	return books, nil
}

// hear enters a line of the process that is going to be killed.
func (l *ledger) hear(line string) error {
	what, number, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
	id, err := strconv.ParseUint(number, 10, 64)
	if err != nil {
		return fmt.Errorf("a process said %q: %w", line, err)
	}
	switch what {
	case saysAccepted:
		return l.called(id, nil)
	case saysRefused:
		return l.called(id, sdk.ErrRefused)
	case saysFailed:
		l.failed[id] = struct{}{}
	}
	return nil
}

// untilKilled is the load, told line by line.
func (t task) untilKilled(lib sdk.Library, url string) error {
	say := func(what string, id uint64) { fmt.Fprintf(os.Stdout, "%s %d\n", what, id) }
	o := t.options(url, nil)
	o.Outcome = func(id string, _ int, delivered bool) {
		if !delivered {
			say(saysFailed, receiver.Hash(id))
		}
	}
	c, err := lib.New(o)
	if err != nil {
		return err
	}
	properties := sdk.Properties()
	start := time.Now()
	for i := range t.N {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(t.Rate))))
		id := sdk.ID(i)
		switch err := c.Track(id, properties); err {
		case nil:
			say(saysAccepted, receiver.Hash(id))
		case sdk.ErrRefused:
			say(saysRefused, receiver.Hash(id))
		default:
			return err
		}
	}
	return errors.New("all events were accepted before the process was killed")
}

// again is the process after the one that was killed.
func (t task) again(ctx context.Context, lib sdk.Library, url string, books *ledger) (r result, err error) {
	c, err := lib.New(t.options(url, books))
	if err != nil {
		return r, err
	}
	t.close(ctx, lib, c, &r)
	time.Sleep(settle) // for callbacks
	books.mu.Lock()
	defer books.mu.Unlock()
	r.Failed = slices.Collect(maps.Keys(books.failed))
	return r, nil
}
