package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// speedSizes are how much is measured.
type speedSizes struct {
	events int           // of the backlog
	limit  time.Duration // of the other measurements
	reps   int
}

// speeds is what was measured of one store in one run.
type speeds struct {
	One, Synced, Pass, Backlog result
}

// measure takes all figures of all stores; the order of stores rotates from run to
// run. A store that fails has no figures, and its error stands in failed.
func measure(ctx context.Context, all []contender, parent string, z speedSizes, progress func(string, ...any)) (by map[string][]speeds, failed map[string]string, err error) {
	by, failed = map[string][]speeds{}, map[string]string{}
	for rep := range z.reps {
		for i := range all {
			c := all[(i+rep)%len(all)]
			s, problem, err := z.one(ctx, c, parent, progress)
			if err != nil {
				return nil, nil, err
			}
			if problem != "" {
				failed[c.name] = problem
				progress("%s: %s", c.name, problem)
				continue
			}
			by[c.name] = append(by[c.name], s)
		}
	}
	return by, failed, nil
}

// one takes the figures of one store, each in a process and a folder of its own.
func (z speedSizes) one(ctx context.Context, c contender, parent string, progress func(string, ...any)) (s speeds, problem string, err error) {
	for _, m := range []struct {
		task task
		to   *result
		name string
	}{
		{task{Kind: appending, Batch: 1, N: z.events, Limit: z.limit}, &s.One, "one by one"},
		{task{Kind: appending, Batch: 100, Synced: true, N: z.events, Limit: z.limit}, &s.Synced, "with syncs"},
		{task{Kind: passing, Batch: 100, N: z.events, Limit: z.limit}, &s.Pass, "in and out"},
		{task{Kind: backlog, Batch: 100, N: z.events}, &s.Backlog, "backlog"},
	} {
		progress("%s: %s", c.name, m.name)
		dir, remove, err := folder(parent)
		if err != nil {
			return s, "", err
		}
		m.task.Store, m.task.Dir = c.name, dir
		o, err := m.task.run(ctx, childLimit, nil)
		if err != nil {
			return s, "", err
		}
		if err := remove(); err != nil {
			return s, "", err
		}
		r := o.Result
		if said := o.Died + r.OpenErr + r.AppendErr + r.SyncErr; said != "" {
			return s, fmt.Sprintf("%s: %s", m.name, said), nil
		}
		*m.to = r
	}
	return s, "", nil
}

// column is a column of the table of speed.
type column struct {
	name string
	cell func(runs []speeds) string
}

func columns() []column {
	type value = func(speeds) float64
	of := func(format func(float64) string, values ...value) func([]speeds) string {
		return func(runs []speeds) string {
			var cells []string
			for _, v := range values {
				cells = append(cells, format(median(runs, v)))
			}
			return strings.Join(cells, " / ")
		}
	}
	return []column{
		{"append 1", of(rate, func(s speeds) float64 { return perSecond(s.One.Appended, s.One.Append) })},
		{"append 100", of(rate, func(s speeds) float64 { return perSecond(s.Backlog.Appended, s.Backlog.Append) })},
		{"append 100, sync", of(rate, func(s speeds) float64 { return perSecond(s.Synced.Appended, s.Synced.Append) })},
		{"drain", of(rate, func(s speeds) float64 { return perSecond(s.Backlog.Appended, s.Backlog.Drain) })},
		{"in and out", of(rate, func(s speeds) float64 { return perSecond(s.Pass.Appended, s.Pass.Wall) })},
		{"allocations an event, append 1 / 100", of(decimal,
			func(s speeds) float64 { return s.One.Allocs }, func(s speeds) float64 { return s.Backlog.Allocs })},
		{"CPU an event, append 1 / 100 / drain", of(micros,
			func(s speeds) float64 { return each(s.One.AppendCPU, s.One.Appended) },
			func(s speeds) float64 { return each(s.Backlog.AppendCPU, s.Backlog.Appended) },
			func(s speeds) float64 { return each(s.Backlog.DrainCPU, s.Backlog.Appended) })},
		{"left on disk", of(megabytes, func(s speeds) float64 { return float64(s.Backlog.Left) })},
		{"peak RSS", of(megabytes, func(s speeds) float64 { return float64(s.Backlog.PeakRSS) })},
	}
}

func perSecond(n int, d time.Duration) float64 { return float64(n) / max(d, 1).Seconds() }

func each(d time.Duration, n int) float64 { return float64(d) / float64(max(n, 1)) }

// median of what runs gave.
func median(runs []speeds, value func(speeds) float64) float64 {
	var all []float64
	for _, r := range runs {
		all = append(all, value(r))
	}
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func rate(v float64) string {
	if v >= 99_500 {
		return fmt.Sprintf("%.0f k/s", v/1000)
	}
	return fmt.Sprintf("%.1f k/s", v/1000)
}

func decimal(v float64) string { return fmt.Sprintf("%.1f", v) }

func micros(ns float64) string { return fmt.Sprintf("%.1f µs", ns/1000) }

func megabytes(bytes float64) string {
	switch mb := bytes / 1e6; {
	case mb >= 10:
		return fmt.Sprintf("%.0f MB", mb)
	case bytes == 0:
		return "0"
	default:
		return fmt.Sprintf("%.1f MB", mb)
	}
}
