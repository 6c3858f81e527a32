package main

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

// document is a page of Markdown.
type document struct{ strings.Builder }

func (d *document) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// table appends rows; the first is the head.
func (d *document) table(rows ...[]string) {
	for i, cells := range rows {
		d.printf("| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			d.printf("|%s\n", strings.Repeat("---|", len(cells)))
		}
	}
	d.printf("\n")
}

// header says what ran where.
func (d *document) header(args []string, mode string, reps int, libs []sdk.Library) {
	d.printf("# Benchmarks\n\nWritten by a command; do not edit. From the root of the repository:\n\n")
	d.printf("    go run ./benchmarks/cmd/compare%s\n\n", commandLine(args))
	d.table([]string{"", ""},
		[]string{"date", time.Now().UTC().Format("2006-01-02 15:04 MST")},
		[]string{"machine", fmt.Sprintf("%s/%s, %s, %s", runtime.GOOS, runtime.GOARCH, plural(runtime.NumCPU(), "CPU"), processor())},
		[]string{"Go", runtime.Version()},
		[]string{"mode", fmt.Sprintf("%s, median of %s, ± half the range", mode, plural(reps, "run"))},
		[]string{"libraries", versions(libs)},
	)
	if mode != "full" {
		d.printf("Quick mode: numbers of events are a tenth, loads and faults a fifth as long as the text says.\n\n")
	}
	d.printf("%s\n", strings.TrimSpace(`
The work is one Track with a user id and six properties as a map[string]any (two strings, a float, an int, a
bool, a nested object); ids and time come from the library, but for posthog-go, which leaves ids to its server. Every
figure is taken in a process of its own, after a warm-up, against a receiver in another process on loopback; the order of
libraries rotates from run to run. Libraries have their defaults, with these exceptions: no logging; amplitude-go flushes each
5 s like the others and gets a queue that holds all events, because it drops without a word what does not fit; posthog-go
does not add its GeoIP property, which it would write into the map of the caller.

A call is saturated when calls follow one another without a pause. What counts is the wall time per accepted call. Where a
library waits in the call, the waiting counts. Where it refuses, callers stop until there is room again, the clock stops
with them, and the refusals stand below the table; one row has the figure for callers that wait.
`)+"\n")
}

// commandLine leaves out where on this machine the result went.
func commandLine(args []string) string {
	var b strings.Builder
	for i, arg := range args {
		if filepath.IsAbs(arg) {
			arg = filepath.Base(arg)
		}
		if flag, value, ok := strings.Cut(args[i], "="); ok && filepath.IsAbs(value) {
			arg = flag + "=" + filepath.Base(value)
		}
		if strings.ContainsAny(arg, " |") {
			arg = "'" + arg + "'"
		}
		b.WriteString(" " + arg)
	}
	return b.String()
}

func versions(libs []sdk.Library) string {
	info, _ := debug.ReadBuildInfo()
	var names []string
	for _, l := range libs {
		version := "?"
		if l.Name == sdk.Ours {
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

// processor is the model's name, where the system tells.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown model"
	}
	return parseModel(string(info))
}

func parseModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown model"
}

// speed appends the first table.
func (d *document) speed(all []measurement, libs []sdk.Library, by []runs) {
	d.printf("\n## Speed\n\n")
	head := []string{"figure"}
	for _, l := range libs {
		head = append(head, l.Name)
	}
	rows := [][]string{append(head, "÷ "+sdk.Anchor, "÷ fastest peer", "target", "met")}
	var notes []string
	for i, m := range all {
		for _, f := range m.figures {
			r := f.row(libs, by[i])
			cells := []string{f.name}
			for k := range libs {
				cells = append(cells, f.cell(r.medians[k])+plusMinus(r.spreads[k]))
			}
			rows = append(rows, append(cells, ratio(r.anchor), ratio(r.fastest), r.target, r.met))
		}
		notes = append(notes, remarks(m, libs, by[i])...)
	}
	d.table(rows...)
	for _, n := range notes {
		d.printf("- %s\n", n)
	}
	if len(notes) > 0 {
		d.printf("\n")
	}
}

// verdict says whether a target is met, where there is something to compare.
func verdict(value, target float64) string {
	switch {
	case math.IsNaN(value):
		return ""
	case value <= target:
		return "yes"
	}
	return "**no**"
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

func ratio(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}

// encoding appends the table of encoders.
func (d *document) encoding(by runs) {
	d.printf("## Encoder\n\n%s\n\n", strings.TrimSpace(`
The map of the six properties, to the end of a buffer that is used again. Ours neither sorts keys nor escapes for HTML, and
neither does segmentio/encoding in its first row; in the second it has its defaults. encoding/json always sorts. What the
call uses is not exported, so its row comes from BenchmarkEncodeProperties of the root, run in turn with the others; the
last row is Event.AppendJSON, the exported way, which encodes an event around the properties.
`))
	f := figure{value: perCall, format: nanoseconds}
	ours, _ := f.median(by[callEncoder])
	rows := [][]string{{"encoder", "time", "allocations", "the call's ÷ this", "target", "met"}}
	for _, name := range encoderNames() {
		m, spread := f.median(by[name])
		cells := []string{name, "not measured", "", ratio(ours / m), "", ""}
		if len(by[name]) > 0 {
			cells[1], cells[2] = nanoseconds(m)+plusMinus(spread), integer(by[name][0].Allocs)
		}
		if target, ok := encoderTargets[name]; ok {
			cells[4], cells[5] = fmt.Sprintf("≤ %g", target), verdict(ours/m, target)
		}
		rows = append(rows, cells)
	}
	d.table(rows...)
}

// faultsIntro explains the columns.
func (d *document) faultsIntro() {
	d.printf("## Faults\n\n%s\n\n", strings.TrimSpace(`
Every library gets the same load at the same pace, each event with an id of its own, then Close. Refused at the call
means an error of the call. Reported failed is what the library tells through its callback or outcomes. Lost silently is
what was accepted, did not arrive and was not reported. The libraries run at the same time, each with a receiver of its own.
`))
}

// fault appends one section.
func (d *document) fault(f fault, libs []sdk.Library, results []result) {
	d.printf("### %s\n\n%s\n\n", f.name, f.about)
	rows := [][]string{faultHead(f)}
	for i, l := range libs {
		rows = append(rows, faultRow(f, l, results[i]))
	}
	d.table(rows...)
}
