package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
)

// sizes are how much is measured.
type sizes struct {
	backlog int           // events of 1 KB, opened
	rounds  int           // of lanes
	lanes   time.Duration // of a round
	heap    int
	syncs   time.Duration
	durable int
	drain   int
	calls   int
}

var (
	full  = sizes{backlog: 1_000_000, rounds: 3, lanes: 3 * time.Second, heap: 500_000, syncs: 4 * time.Second, durable: 400_000, drain: 300_000, calls: 25_000}
	quick = sizes{backlog: 20_000, rounds: 1, lanes: 250 * time.Millisecond, heap: 10_000, syncs: 200 * time.Millisecond, durable: 10_000, drain: 20_000, calls: 1_000}
)

const (
	inflow  = 1_000 // events a second
	callers = 64    // goroutines that sync
)

// run is what the measurements have in common.
type run struct {
	sizes
	ctx      context.Context
	dir      string
	progress func(string, ...any)
}

type measurement struct {
	name string
	do   func(*run) ([]page.Figure, error)
}

var measurements = []measurement{
	{"open", (*run).open}, {"lanes", (*run).lane}, {"heap", (*run).heaps}, {"sync", (*run).sync},
	{"durable", (*run).end}, {"drain", (*run).drains}, {"hog", (*run).hog},
}

func find(name string) *measurement {
	i := slices.IndexFunc(measurements, func(m measurement) bool { return m.name == name })
	if i < 0 {
		return nil
	}
	return &measurements[i]
}

func names() string {
	var all []string
	for _, m := range measurements {
		all = append(all, m.name)
	}
	return strings.Join(all, ", ")
}

// in has a folder for a spool as long as do runs.
func (r *run) in(do func(dir string) error) error {
	dir, err := os.MkdirTemp(r.dir, "run")
	if err != nil {
		return err
	}
	return errors.Join(do(filepath.Join(dir, "spool")), os.RemoveAll(dir))
}

// alone runs one task in a folder of its own.
func (r *run) alone(t task) (got result, err error) {
	err = r.in(func(dir string) error {
		t.Dir = dir
		got, err = t.run(r.ctx, nil)
		return err
	})
	if err == nil && got.Missing != 0 {
		err = fmt.Errorf("%s: %d events are missing", t.Kind, got.Missing)
	}
	return got, err
}

func (r *run) open() ([]page.Figure, error) {
	n := r.backlog
	var filled, killed, closed result
	err := r.in(func(dir string) (err error) {
		if filled, err = (task{Kind: filling, Dir: dir, N: n}).run(r.ctx, func(result) error { return nil }); err != nil {
			return err
		}
		if killed, err = (task{Kind: opening, Dir: dir, N: n}).run(r.ctx, nil); err != nil {
			return err
		}
		closed, err = task{Kind: opening, Dir: dir, N: n}.run(r.ctx, nil)
		return err
	})
	if missing := killed.Missing + closed.Missing; err == nil && missing != 0 {
		err = fmt.Errorf("%d events are missing", missing)
	}
	return append(openFigures(n, killed, closed), diskFigure(n, filled)), err
}

func openFigures(n int, killed, closed result) []page.Figure {
	name := fmt.Sprintf("New with %s events of 1 KB waiting", page.Grouped(n))
	row := func(how string, took time.Duration) page.Figure {
		return page.Figure{Name: name + ", " + how, Value: milli(took), Target: "≤ 200 ms", Met: took <= 200*time.Millisecond}
	}
	rss := max(killed.PeakRSS, closed.PeakRSS)
	return []page.Figure{
		row("after SIGKILL", killed.Took), row("after Close", closed.Took),
		{Name: "the same: RSS", Value: fmt.Sprintf("%.0f MB", float64(rss)/1e6), Target: "≤ 64 MB", Met: rss <= 64e6},
	}
}

func diskFigure(n int, r result) page.Figure {
	payload := r.Payload * float64(n)
	target := 1.05*payload + ringSize + float64(segmentSize(roomFor(n)))
	return page.Figure{
		Name:   "disk for each of them",
		Value:  fmt.Sprintf("%.0f bytes, %.3f × payload of %.0f bytes", float64(r.Disk)/float64(n), float64(r.Disk)/payload, r.Payload),
		Target: fmt.Sprintf("≤ 1.05 × payload + ring + segment = %.0f bytes", target/float64(n)),
		Met:    float64(r.Disk) <= target,
	}
}

func (r *run) lane() ([]page.Figure, error) {
	var by [2][2][]result // lingering or not, alone or beside bad ones
	for range r.rounds {
		for k, linger := range []time.Duration{0, -1} {
			for i, bad := range []bool{false, true} {
				got, err := r.alone(task{Kind: lanes, Rate: inflow, For: r.lanes, Bad: bad, Linger: linger})
				if err != nil {
					return nil, err
				}
				r.progress("    lingering: %t, bad ones: %t, p50 %s, p99 %s", linger == 0, bad, short(got.P50), short(got.P99))
				by[k][i] = append(by[k][i], got)
			}
		}
	}
	return laneFigures(by), nil
}

func laneFigures(by [2][2][]result) []page.Figure {
	row := func(name string, by [2][]result, of func(result) time.Duration, most float64) page.Figure {
		a, b := median(by[0], of), median(by[1], of)
		f := page.Figure{Name: name, Value: fmt.Sprintf("%s, %.2f × the %s alone", short(b), float64(b)/float64(a), short(a))}
		if most > 0 {
			f.Target, f.Met = fmt.Sprintf("≤ %g × alone", most), float64(b) <= most*float64(a)
		}
		return f
	}
	p50 := func(r result) time.Duration { return r.P50 }
	p99 := func(r result) time.Duration { return r.P99 }
	return []page.Figure{
		row(fmt.Sprintf("a healthy destination beside a dead, a hanging, a slow and a flaky one, %s events/s: p50 from call to Deliver", page.Grouped(inflow)), by[0], p50, 1.2),
		row("the same: p99", by[0], p99, 2),
		row("the same where no event waits for others: p50", by[1], p50, 0),
		row("the same: p99", by[1], p99, 0),
	}
}

func median(all []result, of func(result) time.Duration) time.Duration {
	var times []time.Duration
	for _, r := range all {
		times = append(times, of(r))
	}
	slices.Sort(times)
	return page.Quantile(times, 0.5)
}

func (r *run) heaps() ([]page.Figure, error) {
	got, err := r.alone(task{Kind: heaping, N: r.heap})
	if err != nil {
		return nil, err
	}
	return heapFigures(r.heap, got), nil
}

func heapFigures(n int, r result) []page.Figure {
	flat := float64(r.Live) / float64(r.Half)
	return []page.Figure{
		{
			Name:  fmt.Sprintf("heap in use, five destinations, four with a backlog of %s events of 1 KB", page.Grouped(n)),
			Value: fmt.Sprintf("%.1f MB", float64(r.InUse)/1e6), Target: "≤ 32 MB", Met: r.InUse <= 32e6,
		},
		{
			Name: "the same: live, against half of the backlog", Value: fmt.Sprintf("%.1f MB, %.2f ×", float64(r.Live)/1e6, flat),
			Target: "≤ 1.1 × (flat)", Met: flat <= 1.1,
		},
	}
}

func (r *run) sync() ([]page.Figure, error) {
	got, err := r.alone(task{Kind: syncing, N: callers, For: r.syncs})
	if err != nil {
		return nil, err
	}
	return []page.Figure{syncFigure(got)}, nil
}

func syncFigure(r result) page.Figure {
	return page.Figure{
		Name:   fmt.Sprintf("Sync with %d goroutines, p50", callers),
		Value:  fmt.Sprintf("%s, %.1f × one fdatasync of %s (%s)", short(r.P50), float64(r.P50)/float64(r.Disks[0]), short(r.Disks[0]), short(r.Disks[1])),
		Target: "≤ 5 × one fdatasync", Met: r.P50 <= 5*r.Disks[0],
	}
}

// served runs do with a receiver that follows a plan.
func (r *run) served(p receiver.Plan, do func(*receiver.Process) error) error {
	server, err := receiver.Start(r.ctx)
	if err != nil {
		return err
	}
	defer server.Stop()
	p.Marker, p.Distinct = `"messageId":"`, true
	if err := server.Plan(r.ctx, p); err != nil {
		return err
	}
	return do(server)
}

// arrived fails unless so many distinct events have.
func (r *run) arrived(server *receiver.Process, n int) error {
	report, err := server.Report(r.ctx)
	if err == nil && report.Distinct != n {
		err = fmt.Errorf("%d of %d events have arrived", report.Distinct, n)
	}
	return err
}

func (r *run) end() (figures []page.Figure, err error) {
	err = r.served(receiver.Plan{}, func(server *receiver.Process) error {
		got, err := r.alone(task{Kind: durable, N: r.durable, URL: server.URL})
		if err != nil {
			return err
		}
		figures = endFigures(got)
		return r.arrived(server, r.durable)
	})
	return figures, err
}

func endFigures(r result) []page.Figure {
	each := float64(r.CPU) / float64(r.N)
	return []page.Figure{
		{
			Name: "end to end, durable, gzip, one destination: events/s per core", Value: fmt.Sprintf("%s k", page.Grouped(int(1e6/each))), Target: "≥ 200 k", Met: 1e9/each >= 200_000,
		},
		{Name: "the same: CPU an event", Value: page.Nanoseconds(each), Target: "≤ 5 µs", Met: each <= 5_000},
		{Name: "the same: events/s", Value: fmt.Sprintf("%s k", page.Grouped(int(float64(r.N)/r.Took.Seconds()/1e3))), Target: "", Met: false},
	}
}

func (r *run) drains() (figures []page.Figure, err error) {
	err = r.served(receiver.Plan{For: -1, Status: 503}, func(server *receiver.Process) error {
		return r.in(func(dir string) error {
			t := task{Kind: filling, Dir: dir, N: r.drain, URL: server.URL}
			if _, err := t.run(r.ctx, func(result) error { return nil }); err != nil {
				return err
			}
			if err := server.Heal(r.ctx); err != nil {
				return err
			}
			t.Kind, t.Rate = draining, inflow
			got, err := t.run(r.ctx, nil)
			if err != nil {
				return err
			}
			figures = drainFigures(r.drain, got)
			return r.arrived(server, got.Waiting)
		})
	})
	return figures, err
}

func drainFigures(n int, r result) []page.Figure {
	rate := float64(r.N) / r.Took.Seconds()
	return []page.Figure{
		{
			Name:  fmt.Sprintf("drain of a backlog of %s events of 1 KB, %s events/s coming in", page.Grouped(n), page.Grouped(inflow)),
			Value: fmt.Sprintf("%s events/s, %.0f × the inflow", page.Grouped(int(rate)), rate/inflow), Target: "≥ 10 × the inflow", Met: rate >= 10*inflow,
		},
		{Name: "the same: from New to the first delivery, after an outage", Value: milli(r.DelayOfWork), Target: "", Met: false},
	}
}

func (r *run) hog() (figures []page.Figure, err error) {
	alone, err := r.alone(task{Kind: calling, N: r.calls})
	if err != nil {
		return nil, err
	}
	err = r.in(func(dir string) error {
		_, err := task{Kind: hogging, Dir: dir}.run(r.ctx, func(result) error {
			got, err := task{Kind: calling, Dir: dir, N: r.calls}.run(r.ctx, nil)
			figures = []page.Figure{hogFigure(alone, got)}
			return err
		})
		return err
	})
	return figures, err
}

func hogFigure(alone, beside result) page.Figure {
	return page.Figure{
		Name: "call p99.9 beside a disk hog, one call each 200 µs",
		Value: fmt.Sprintf("%s (p50 %s, p99 %s, most %s; alone %s, %s, %s, %s)", short(beside.P999), short(beside.P50), short(beside.P99), short(beside.Most),
			short(alone.P999), short(alone.P50), short(alone.P99), short(alone.Most)),
		Target: "≤ 1 ms", Met: beside.P999 <= time.Millisecond,
	}
}

func milli(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d)/1e6) }

func short(d time.Duration) string { return page.Nanoseconds(float64(d)) }
