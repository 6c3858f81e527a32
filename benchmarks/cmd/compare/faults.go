package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

// fault is a section of the second table: a load, and what goes wrong meanwhile.
type fault struct {
	name, about string
	task        task // without library
	extra       func(result) string
	extraName   string

	kill time.Duration // after which the process is killed, and then started again; 0: it lives
	heal bool          // the server, before the process is started again
}

func (f *fault) kills() bool { return f.kill > 0 }

// faults are those of the issue. unit is one second in full mode; in quick mode
// everything is shorter.
func faults(unit time.Duration) []fault {
	load := func(rate int, seconds float64) task {
		n := int(float64(rate) * seconds * unit.Seconds())
		return task{Kind: faulty, N: max(n, 200), Rate: rate, Close: 60 * unit, Patience: 60 * unit}
	}
	with := func(t task, p receiver.Plan) task {
		t.Plan = p
		return t
	}
	closing := func(t task, ctx, patience time.Duration) task {
		t.Close, t.Patience = ctx, patience
		return t
	}
	pause := fmt.Sprintf("%g", max(unit.Seconds()*2, 1))
	return []fault{
		{
			name: "500 for 5 s", about: "1,000 events a second for 10 s; every request is answered 500 in the first 5 s.",
			task: with(load(1_000, 10), receiver.Plan{For: 5 * unit, Status: 500}),
		}, {
			name: "503 for 20 s", about: "500 events a second for 30 s; 503 in the first 20 s.",
			task: with(load(500, 30), receiver.Plan{For: 20 * unit, Status: 503}),
		}, {
			name: "429 with Retry-After: 2 for 4 s", about: "1,000 events a second for 8 s; 429 in the first 4 s. Requests inside the pause count from 20 ms after the answer.",
			task:      with(load(1_000, 8), receiver.Plan{For: 4 * unit, Status: 429, RetryAfter: pause}),
			extraName: "requests inside the pause", extra: func(r result) string { return fmt.Sprint(r.Report.InsidePause) },
		}, {
			name: "every second request reset", about: "2,000 events a second for 5 s; every second request is reset before it is processed.",
			task: with(load(2_000, 5), receiver.Plan{ResetEvery: 2}),
		}, {
			name: "every fourth answer lost", about: "2,000 events a second for 5 s; every fourth request is processed, then the connection is cut. Duplicates are the price of losing nothing; the id stays the same, so that the receiver can drop them.",
			task: with(load(2_000, 5), receiver.Plan{LoseEvery: 4}),
		}, {
			name: "Close in a 3 s outage", about: "1,000 events in 10 ms, then Close with a ctx of 30 s; requests are reset for 3 s from the first on. The Close of the others takes no ctx.",
			task: closing(with(load(100_000, 0.01), receiver.Plan{For: 3 * unit, Reset: true}), 30*unit, 30*unit),
		}, {
			name: "500 ms a request, a queue of 1,000", about: "2,000 events a second for 5 s; every answer takes 500 ms. The queue holds about 1,000 events where there is an option: MaxMemory 400 KB here, Spool.MaxBytes 1 MiB (its least) with the spool, MaxStorageCapacity for amplitude-go; the others have none.",
			task: roomy(with(load(2_000, 5), receiver.Plan{Delay: unit / 2}), 1_000),
		}, {
			name: "a server that never answers", about: "2,000 events in 2 s, then Close with a ctx of 5 s. Libraries whose Close takes no ctx are given 30 s.",
			task: closing(with(load(1_000, 2), receiver.Plan{For: -1, Hang: true}), 5*unit, 30*unit),
		}, {
			name: "401 for ever", about: "100 events a second for 65 s, then Close with a ctx of 5 s. The API of Amplitude does not use this status: it refuses a key with 400 and a text, at which amplitude-go drops the events and reports them.",
			task:      closing(with(load(100, 65), receiver.Plan{For: -1, Status: 401}), 5*unit, 30*unit),
			extraName: "requests a minute after the first", extra: func(r result) string {
				return fmt.Sprintf("%.1f", float64(max(r.Report.Requests-1, 0))/(r.Ran+r.Closing).Minutes())
			},
		}, {
			name: "SIGKILL", about: "1,000 events a second; after 5 s the process is killed, in the middle of a healthy server's answers. It is started again with the same settings, and Close called at once. Each call that returned was noted in another process. Close is that of the second process.",
			task: load(1_000, 60), kill: 5 * unit,
		}, {
			name: "SIGKILL in an outage", about: "The same while every request is answered 503; the server is healthy again when the process is started for the second time.",
			task: with(load(1_000, 60), receiver.Plan{For: -1, Status: 503}), kill: 5 * unit, heal: true,
		},
	}
}

func roomy(t task, events int) task {
	t.Room = events
	return t
}

// provoke runs a fault with all libraries at once: what they do is waiting, mostly.
func provoke(ctx context.Context, f fault, libs []sdk.Library, dir string, progress func(string, ...any)) ([]result, error) {
	progress("fault: %s", f.name)
	out, errs := make([]result, len(libs)), make([]error, len(libs))
	var wg sync.WaitGroup
	for i, l := range libs {
		t := f.task
		t.Library = l.Name
		wg.Go(func() {
			if f.kills() {
				out[i], errs[i] = t.killed(ctx, dir, f.kill, f.heal)
			} else {
				out[i], errs[i] = t.inChild(ctx, dir)
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// faultRow is what one library did.
func faultRow(f fault, l sdk.Library, r result) []string {
	a := r.Account
	closed := fmt.Sprintf("%.1f s", r.Closing.Seconds())
	if !r.Closed {
		closed = "> " + closed
	}
	cells := []string{l.Title, page.Grouped(a.Accepted), page.Grouped(a.Refused), page.Grouped(a.Delivered), page.Grouped(a.Kept), page.Grouped(a.Reported), page.Grouped(a.Lost), page.Grouped(a.Duplicates), page.Grouped(r.Report.Requests), closed}
	if f.extra != nil {
		cells = append(cells, f.extra(r))
	}
	note := ""
	if r.CloseError != "" && r.Closed {
		note = "`" + strings.ReplaceAll(r.CloseError, "\n", "; ") + "`"
	}
	if !r.Closed {
		note = "Close had not returned"
	}
	return append(cells, note)
}

func faultHead(f fault) []string {
	cells := []string{"", "accepted", "refused at the call", "delivered", "delivered by the next run", "reported failed", "lost silently", "duplicates", "requests", "Close took"}
	if f.extra != nil {
		cells = append(cells, f.extraName)
	}
	return append(cells, "Close said")
}
