package main

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

// measurement is one task for each library, and the figures that come out of it.
type measurement struct {
	name    string
	task    func(sdk.Library) task
	figures []figure
}

// figure is a row of the table.
type figure struct {
	name   string
	value  func(result) float64
	format func(float64) string

	goal       // of events in memory
	spool goal // of the spool
}

// goal is a target: nothing, a ratio, a limit, or both.
type goal struct {
	ratio float64 // at the most so many times the anchor's; 0: no such target
	limit func(result) float64
	above string // what the limit is, in words
}

func below(limit float64, words string) goal { return goal{limit: atMost(limit), above: words} }

// sizes are the numbers of a mode.
type sizes struct {
	calls, warm, singles, events, flood, encoded, reps int
}

var (
	full  = sizes{calls: 200_000, warm: 5_000, singles: 20_000, events: 200_000, flood: 400_000, encoded: 1_000_000, reps: 5}
	quick = sizes{calls: 20_000, warm: 1_000, singles: 1_000, events: 20_000, flood: 40_000, encoded: 50_000, reps: 1}
)

const enough = 2 * time.Minute // for Close, where it is not what is measured

// measurements are the rows of the speed table.
func measurements(s sizes) []measurement {
	base := func(k kind, l sdk.Library) task {
		return task{Kind: k, Library: l.Name, Warm: s.warm, Goroutines: 1, Close: enough, Patience: enough}
	}
	var all []measurement
	for _, goroutines := range []int{1, 8, 64} {
		f := figure{
			name: fmt.Sprintf("call, saturated, %s", page.Plural(goroutines, "goroutine")), value: perCall, format: page.Nanoseconds,
			goal: goal{ratio: 1. / 3}, spool: goal{ratio: 1. / 3},
		}
		switch goroutines {
		case 1:
			f.limit, f.above = atMost(500), "500 ns"
			f.spool.limit, f.spool.above = atMost(600), "600 ns"
		case 8:
			f.spool.limit, f.spool.above = atMost(450), "450 ns"
		}
		all = append(all, measurement{f.name, func(l sdk.Library) task {
			t := base(saturated, l)
			t.N, t.Goroutines, t.Room = s.calls, goroutines, roomFor(l, s.calls+s.warm)
			return t
		}, []figure{f}})
	}
	all = append(all, measurement{"call, saturated, waiting", func(l sdk.Library) task {
		t := base(saturated, l)
		t.N, t.Goroutines, t.Room, t.Block = s.calls, 8, roomFor(l, s.calls+s.warm), true
		return t
	}, []figure{{name: "the same with 8 goroutines, waiting for room in place of refusing", value: perCall, format: page.Nanoseconds}}})
	all = append(all, measurement{"call, appending", func(l sdk.Library) task {
		t := base(saturated, l)
		t.N, t.Room, t.Appending = s.calls, roomFor(l, s.calls+s.warm), l.Appends
		return t
	}, []figure{{
		name: "call, saturated, properties append their own JSON (others: the map)", value: perCall, format: page.Nanoseconds,
		goal: below(400, "400 ns"), spool: below(450, "450 ns"),
	}}})
	all = append(all, measurement{"allocations", func(l sdk.Library) task {
		t := base(counted, l)
		t.N, t.Warm = 1_000, 200
		return t
	}, []figure{
		{name: "allocations a call, with what the library does at once", value: func(r result) float64 { return r.Allocs }, format: decimal, goal: below(0.1, "0"), spool: below(0.1, "0")},
		{name: "bytes allocated a call", value: func(r result) float64 { return r.Bytes }, format: bytes},
	}})
	all = append(all, measurement{"single", func(l sdk.Library) task {
		t := base(single, l)
		t.N = s.singles
		return t
	}, []figure{
		{name: "single call, one each 200 µs, p50", value: func(r result) float64 { return float64(r.P50) }, format: page.Nanoseconds},
		{name: "single call, one each 200 µs, p99", value: func(r result) float64 { return float64(r.P99) }, format: page.Nanoseconds, goal: goal{ratio: 0.5}, spool: goal{ratio: 0.5}},
	}})
	send := func(l sdk.Library, plain bool) task {
		t := base(pipeline, l)
		t.N, t.Goroutines, t.Room, t.Plain, t.Block = s.events, 8, roomFor(l, s.events+s.warm), plain || !l.Gzip, true
		return t
	}
	events := page.Grouped(s.events)
	all = append(all, measurement{"pipeline", func(l sdk.Library) task { return send(l, true) }, []figure{
		{name: events + " events until Close, no gzip: CPU an event", value: cpuPerEvent, format: page.Nanoseconds, goal: goal{ratio: 0.35}, spool: goal{ratio: 1}},
		{name: "the same: wall", value: wall, format: page.Milliseconds, goal: goal{ratio: 0.5}},
		{name: "the same: TCP connections", value: connections, format: integer, goal: goal{limit: func(r result) float64 { return float64(4 + r.Report.Resets) }, above: "concurrency (4) + resets"}},
	}})
	all = append(all, measurement{"pipeline, gzip", func(l sdk.Library) task { return send(l, false) }, []figure{
		{name: events + " events until Close, gzip where there is: CPU an event", value: cpuPerEvent, format: page.Nanoseconds, goal: goal{ratio: 0.6}, spool: below(5_000, "5 µs")},
		{name: "the same: wall", value: wall, format: page.Milliseconds},
		{name: "the same: bytes on the wire an event", value: func(r result) float64 { return float64(r.Report.Bytes) / float64(r.Account.Accepted) }, format: bytes},
	}})
	all = append(all, measurement{"flood", func(l sdk.Library) task {
		t := base(flooded, l)
		t.N, t.Close, t.Patience = s.flood, 5*time.Second, 20*time.Second
		t.Plan = receiver.Plan{For: -1, Status: 503}
		return t
	}, []figure{
		{name: page.Grouped(s.flood) + " events into an endless 503: peak RSS", value: func(r result) float64 { return float64(r.PeakRSS) }, format: page.Mebibytes, goal: below(100<<20, "100 MiB"), spool: below(100<<20, "100 MiB")},
		{name: "the same: neither delivered nor refused nor reported nor on disk for the next run", value: func(r result) float64 { return float64(r.Account.Lost) }, format: integer, goal: below(0, "0"), spool: below(0, "0")},
	}})
	return all
}

// roomFor makes a queue large enough where a full one would drop events without a
// word, so that everybody accepts the same number.
func roomFor(l sdk.Library, n int) int {
	if l.Own {
		return 0
	}
	return n + 1_000
}

func atMost(limit float64) func(result) float64 {
	return func(result) float64 { return limit }
}

func perCall(r result) float64     { return r.PerCall }
func wall(r result) float64        { return float64(r.Wall) }
func connections(r result) float64 { return float64(r.Report.Connections) }
func cpuPerEvent(r result) float64 { return float64(r.CPU) / float64(r.Account.Accepted) }

// runs are the repetitions of a measurement, by library.
type runs map[string][]result

// measure runs every measurement with every library, as often as wanted: all of
// them once before any of them twice, in an order that rotates. A peer that fails has
// a run less.
func measure(ctx context.Context, all []measurement, libs []sdk.Library, dir string, reps int, progress func(string, ...any)) ([]runs, error) {
	out := make([]runs, len(all))
	for i := range out {
		out[i] = runs{}
	}
	type done struct {
		task task
		rep  int
	}
	known := map[done]result{} // tasks that several measurements share
	for rep := range reps {
		for i, m := range all {
			for k := range libs {
				l := libs[(k+rep)%len(libs)]
				key := done{m.task(l), rep}
				r, ok := known[key]
				if !ok {
					progress("%d/%d  %s, %s", rep+1, reps, m.name, l.Title)
					var err error
					r, err = key.task.inChild(ctx, dir)
					if err != nil && (l.Own || ctx.Err() != nil) {
						return nil, err
					}
					if err != nil { // the others go on without it
						progress("failed: %v", err)
						continue
					}
					known[key] = r
				}
				out[i][l.Name] = append(out[i][l.Name], r)
			}
		}
	}
	return out, nil
}

// median and spread, half the range in percent of it.
func (f *figure) median(rs []result) (m, spread float64) {
	if len(rs) == 0 {
		return math.NaN(), 0
	}
	values := make([]float64, len(rs))
	for i, r := range rs {
		values[i] = f.value(r)
	}
	slices.Sort(values)
	m = page.Quantile(values, 0.5)
	if m == 0 {
		return m, 0
	}
	return m, 100 * (values[len(values)-1] - values[0]) / 2 / m
}

// row is a figure over all libraries.
type row struct {
	figure
	medians, spreads []float64 // by library, as in the list
	anchor, fastest  float64   // the judged one in relation; NaN if there is nothing to relate to
	target           string
	met              string
}

// row judges one of ours.
func (f figure) row(libs []sdk.Library, by runs, judged string) row {
	r := row{figure: f, anchor: math.NaN(), fastest: math.NaN()}
	ours, anchor, best := math.NaN(), math.NaN(), math.Inf(1)
	for _, l := range libs {
		m, spread := f.median(by[l.Name])
		r.medians, r.spreads = append(r.medians, m), append(r.spreads, spread)
		switch l.Name {
		case judged:
			ours = m
		case sdk.Anchor:
			anchor = m
		}
		if !l.Own && !math.IsNaN(m) {
			best = min(best, m)
		}
	}
	if anchor > 0 {
		r.anchor = ours / anchor
	}
	if best > 0 && !math.IsInf(best, 0) {
		r.fastest = ours / best
	}
	if judged == sdk.Spool {
		r.goal = f.spool
	}
	r.judge(ours, by[judged])
	return r
}

// judge compares with the targets.
func (r *row) judge(ours float64, results []result) {
	met := true
	if r.ratio > 0 {
		r.target = fmt.Sprintf("≤ %.2g × %s", r.ratio, sdk.Anchor)
		met = met && r.anchor <= r.ratio
	}
	if r.limit != nil && len(results) > 0 {
		if r.target != "" {
			r.target += ", "
		}
		r.target += "≤ " + r.above
		met = met && ours <= r.limit(results[0])
	}
	switch {
	case r.target == "" || math.IsNaN(ours):
	case met:
		r.met = "yes"
	default:
		r.met = "**no**"
	}
}

// remarks tell where libraries did not do the same work.
func remarks(m measurement, libs []sdk.Library, by runs) (notes []string) {
	for _, l := range libs {
		var refused, missing, offered int
		for _, r := range by[l.Name] {
			refused += r.Account.Refused
			missing += r.Account.Lost
			offered += r.Account.Accepted + r.Account.Refused
		}
		if refused > 0 {
			notes = append(notes, fmt.Sprintf("%s: %s refused %s of %s calls", m.name, l.Title, page.Grouped(refused), page.Grouped(offered)))
		}
		if missing > 0 && m.name != "flood" {
			notes = append(notes, fmt.Sprintf("%s: %s accepted %s events that did not arrive", m.name, l.Title, page.Grouped(missing)))
		}
	}
	return notes
}

func bytes(v float64) string   { return fmt.Sprintf("%.0f B", v) }
func decimal(v float64) string { return fmt.Sprintf("%.2f", v) }
func integer(v float64) string { return page.Grouped(int(v)) }
