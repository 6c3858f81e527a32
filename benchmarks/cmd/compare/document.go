package main

import (
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

// document is the page of this command.
type document struct{ page.Document }

// header says what ran where.
func (d *document) header(s settings, args []string, mode string, reps int, libs []sdk.Library) {
	d.Header("Benchmarks", "compare", args,
		[]string{"file system", page.FileSystem(s.dir)},
		[]string{"mode", fmt.Sprintf("%s, median of %s, ± half the range", mode, page.Plural(reps, "run"))},
		[]string{"libraries", versions(libs)},
	)
	d.Printf("More about the spool is in [benchmarks-spool.md](benchmarks-spool.md), about other ways to keep events on disk in\n[benchmarks-stores.md](benchmarks-stores.md), about warehouses and archives in [benchmarks-storage.md](benchmarks-storage.md).\n\n")
	if mode != "full" {
		d.Printf("Quick mode: numbers of events are a tenth, loads and faults a fifth as long as the text says.\n\n")
	}
	d.Printf("%s\n", strings.TrimSpace(`
The work is one Track with a user id and six properties as a map[string]any (two strings, a float, an int, a
bool, a nested object); ids and time come from the library, but for posthog-go, which leaves ids to its server. Every
figure is taken in a process of its own, after a warm-up, against a receiver in another process on loopback; the order of
libraries rotates from run to run. Libraries have their defaults, with these exceptions: no logging; amplitude-go flushes each
5 s like the others and gets a queue that holds all events, because it drops without a word what does not fit; posthog-go
does not add its GeoIP property, which it would write into the map of the caller. "analytics, spool" is this library with
Spool.Dir set and no other option: events are on disk before a call returns, and synced each second.

A call is saturated when calls follow one another without a pause. What counts is the wall time per accepted call. Where a
library waits in the call, the waiting counts. Where it refuses, callers stop until there is room again, the clock stops
with them, and the refusals stand below the table; one row has the figure for callers that wait. With the spool, calls are
refused while its ring of 16 MiB is full, which means that they outran the disk.
`)+"\n")
}

func versions(libs []sdk.Library) string {
	info, _ := debug.ReadBuildInfo()
	var names []string
	for _, l := range libs {
		version := "?"
		if l.Keeps {
			continue
		}
		if l.Own {
			version = "v" + analytics.Version
		} else if info != nil {
			for _, dep := range info.Deps {
				if dep.Path == l.Module {
					version = dep.Version
				}
			}
		}
		names = append(names, fmt.Sprintf("%s = `%s` %s", l.Name, l.Module, version))
	}
	return strings.Join(names, ", ")
}

// speed appends the tables of speed: all libraries, with the targets for events in
// memory, then the spool with its own.
func (d *document) speed(all []measurement, libs []sdk.Library, by []runs) {
	d.Printf("\n## Speed\n\n")
	head := []string{"figure"}
	for _, l := range libs {
		head = append(head, l.Title)
	}
	rows := [][]string{append(head, "÷ "+sdk.Anchor, "÷ fastest peer", "target", "met")}
	var notes []string
	for i, m := range all {
		for _, f := range m.figures {
			r := f.row(libs, by[i], sdk.Ours)
			cells := []string{f.name}
			for k := range libs {
				cells = append(cells, f.cell(r.medians[k])+plusMinus(r.spreads[k]))
			}
			rows = append(rows, append(cells, page.Ratio(r.anchor), page.Ratio(r.fastest), r.target, r.met))
		}
		notes = append(notes, remarks(m, libs, by[i])...)
	}
	d.Table(rows...)
	d.Notes(notes)
	if slices.ContainsFunc(libs, func(l sdk.Library) bool { return l.Name == sdk.Spool }) {
		d.spool(all, libs, by)
	}
}

// spool appends what is asked of the spool.
func (d *document) spool(all []measurement, libs []sdk.Library, by []runs) {
	d.Printf("The spool against events in memory and against the others, which keep theirs in memory:\n\n")
	rows := [][]string{{"figure", "analytics, spool", "÷ " + sdk.Ours, "÷ " + sdk.Anchor, "÷ fastest peer", "target", "met"}}
	for i, m := range all {
		for _, f := range m.figures {
			r := f.row(libs, by[i], sdk.Spool)
			v, spread := f.median(by[i][sdk.Spool])
			memory, _ := f.median(by[i][sdk.Ours])
			against := math.NaN()
			if memory > 0 {
				against = v / memory
			}
			rows = append(rows, []string{f.name, f.cell(v) + plusMinus(spread), page.Ratio(against), page.Ratio(r.anchor), page.Ratio(r.fastest), r.target, r.met})
		}
	}
	d.Table(rows...)
}

func (f *figure) cell(v float64) string {
	if math.IsNaN(v) {
		return "failed"
	}
	return f.format(v)
}

func plusMinus(percent float64) string {
	if percent < 0.5 {
		return ""
	}
	return fmt.Sprintf(" ±%.0f %%", percent)
}

// encoding appends the table of encoders.
func (d *document) encoding(by runs) {
	d.Printf("## Encoder\n\n%s\n\n", strings.TrimSpace(`
The map of the six properties, to the end of a buffer that is used again. Ours neither sorts keys nor escapes for HTML, and
neither does segmentio/encoding in its first row; in the second it has its defaults. encoding/json always sorts. What the
call uses is not exported, so its row comes from BenchmarkEncodeProperties of the root, run in turn with the others; the
last row is Event.AppendJSON, the exported way, which encodes an event around the properties.
`))
	f := figure{value: perCall, format: page.Nanoseconds}
	ours, _ := f.median(by[callEncoder])
	rows := [][]string{{"encoder", "time", "allocations", "the call's ÷ this", "target", "met"}}
	for _, name := range encoderNames() {
		m, spread := f.median(by[name])
		cells := []string{name, "not measured", "", page.Ratio(ours / m), "", ""}
		if len(by[name]) > 0 {
			cells[1], cells[2] = page.Nanoseconds(m)+plusMinus(spread), integer(by[name][0].Allocs)
		}
		if target, ok := encoderTargets[name]; ok {
			cells[4], cells[5] = fmt.Sprintf("≤ %g", target), page.Verdict(ours/m, target)
		}
		rows = append(rows, cells)
	}
	d.Table(rows...)
}

// faultsIntro explains the columns.
func (d *document) faultsIntro() {
	d.Printf("## Faults\n\n%s\n\n", strings.TrimSpace(`
Every library gets the same load at the same pace, each event with an id of its own, then Close. Refused at the call
means an error of the call. Delivered by the next run is what arrives after that: the server is healed, and the same program
started again, which matters only where events are on disk. Reported failed is what the library tells through its callback or
outcomes. Lost silently is what was accepted, did not arrive and was not reported. The libraries run at the same time, each with a receiver of its own.
`))
}

// fault appends one section.
func (d *document) fault(f fault, libs []sdk.Library, results []result) {
	d.Printf("### %s\n\n%s\n\n", f.name, f.about)
	rows := [][]string{faultHead(f)}
	for i, l := range libs {
		rows = append(rows, faultRow(f, l, results[i]))
	}
	d.Table(rows...)
}
