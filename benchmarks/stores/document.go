package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
)

// document is a page of Markdown, or text for a terminal with the same tables.
type document struct {
	strings.Builder
	aligned bool // columns, for a terminal
}

func (d *document) printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// table appends rows; the first is the head.
func (d *document) table(rows ...[]string) {
	widths := make([]int, len(rows[0]))
	for _, cells := range rows {
		for i, c := range cells {
			widths[i] = max(widths[i], utf8.RuneCountInString(c))
		}
	}
	for i, cells := range rows {
		if !d.aligned {
			d.printf("| %s |\n", strings.Join(cells, " | "))
			if i == 0 {
				d.printf("|%s\n", strings.Repeat("---|", len(cells)))
			}
			continue
		}
		var line strings.Builder
		for k, c := range cells {
			line.WriteString(c + strings.Repeat(" ", widths[k]-utf8.RuneCountInString(c)+2))
		}
		d.printf("%s\n", strings.TrimRight(line.String(), " "))
	}
	d.printf("\n")
}

// report is all that a run found out.
type report struct {
	Date, Machine, Go, FileSystem string
	Args                          []string
	Events                        int // of the backlog
	Reps                          int
	Versions                      []string
	Speed                         map[string][]speeds `json:",omitempty"`
	Failed                        map[string]string   `json:",omitempty"`
	Faults                        map[string]faults   `json:",omitempty"`
}

// describe fills in what ran where.
func (r *report) describe(args []string, all []contender, dir string) {
	r.Date = time.Now().UTC().Format("2006-01-02 15:04 MST")
	r.Machine = fmt.Sprintf("%s/%s, %d CPUs, %s", runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), processor())
	r.Go = runtime.Version()
	r.FileSystem = fileSystem(dir)
	for _, a := range args {
		r.Args = append(r.Args, argument(a))
	}
	info, _ := debug.ReadBuildInfo()
	for _, c := range all {
		if c.module == "" {
			continue
		}
		version := "?"
		if c.whole {
			version = "v" + analytics.Version
		}
		if info != nil {
			for _, dep := range info.Deps {
				if dep.Path == c.module && !c.whole {
					version = dep.Version
				}
			}
		}
		r.Versions = append(r.Versions, fmt.Sprintf("%s = `%s` %s", c.name, c.module, version))
	}
}

// argument leaves out where on this machine a file is.
func argument(a string) string {
	flag, value, ok := strings.Cut(a, "=")
	switch {
	case filepath.IsAbs(a):
		a = filepath.Base(a)
	case ok && filepath.IsAbs(value):
		a = flag + "=" + filepath.Base(value)
	}
	if strings.ContainsAny(a, " |") {
		a = "'" + a + "'"
	}
	return a
}

// render writes the page for a file, or the tables alone for a terminal.
func (r *report) render(all []contender, aligned bool) string {
	d := &document{aligned: aligned}
	if !aligned {
		r.header(d)
	}
	if r.Speed != nil {
		r.speed(d, all)
	}
	if r.Faults != nil {
		r.faults(d, all)
	}
	return d.String()
}

func (r *report) header(d *document) {
	d.printf("# Stores\n\nWritten by a command; do not edit. In benchmarks/stores:\n\n    GOWORK=off go run . %s\n\nThe spool of this library beside other ways to keep events on disk; more about it is in [benchmarks-spool.md](benchmarks-spool.md).\n\n", strings.Join(r.Args, " "))
	d.table([]string{"", ""},
		[]string{"date", r.Date},
		[]string{"machine", r.Machine},
		[]string{"file system", r.FileSystem},
		[]string{"Go", r.Go},
		[]string{"modules", strings.Join(r.Versions, ", ")},
	)
}

// paragraph appends text; a terminal does without.
func (d *document) paragraph(text string) {
	if !d.aligned {
		d.printf("%s\n\n", strings.TrimSpace(text))
	}
}

// speed appends the first table, and one of its own for clients.
func (r *report) speed(d *document, all []contender) {
	d.printf("## Speed\n\n")
	d.paragraph(fmt.Sprintf(`
Events are JSON objects of 1 KB, already encoded. Every figure is taken in a process and a folder of its own, median of %d.
Append 1 and append 100 hand over so many events at once and do not ask for a sync, but for stores that always sync; the
third makes each hundred durable before the next. Drain reads a backlog of %d MB in hundreds and finishes each hundred; left on disk
is what the folder takes after that and after close, peak RSS that of the process that did both. In and out is
one goroutine that appends hundreds and one that drains. CPU is that of the process, user and system.
`, r.Reps, r.Events*eventSize/1_000_000))
	r.speedTable(d, all, false)
	r.speedTable(d, all, true)
	var notes []string
	for _, c := range all {
		if said := r.Failed[c.name]; said != "" {
			notes = append(notes, fmt.Sprintf("%s, %s", c.name, quoted(said)))
		}
	}
	d.notes(notes)
}

func (r *report) speedTable(d *document, all []contender, whole bool) {
	head, rows := []string{"store"}, [][]string{nil}
	for _, c := range columns() {
		head = append(head, c.name)
	}
	rows[0] = head
	for _, c := range all {
		if c.whole != whole {
			continue
		}
		cells := []string{c.name}
		for _, col := range columns() {
			if runs := r.Speed[c.name]; len(runs) > 0 {
				cells = append(cells, col.cell(runs))
			} else {
				cells = append(cells, "failed")
			}
		}
		rows = append(rows, cells)
	}
	if len(rows) == 1 {
		return
	}
	if whole {
		d.paragraph(`
The same through the call of a client, with stamping and encoding: each event is a Track, whether one or a hundred belong
together, and drained by a destination that is given a hundred at a time. Its processes also sync in the background, once a second.`)
	}
	d.table(rows...)
}

// faults appends the second table.
func (r *report) faults(d *document, all []contender) {
	d.printf("## Faults\n\n")
	d.paragraph(fmt.Sprintf(`
Killed: SIGKILL in the middle of appending, without a sync, by turns of one and of a hundred; every accepted number went to
another process before the next append. Cut: %d bytes less at the end of the file with the newest events, counted from its
last byte that is not zero where space is reserved. Flipped: one byte of or beside an event, another event in each trial;
where the store compresses, a byte of its largest file. Both are done to a copy of what a process leaves that is killed after
a sync. Full disk: appending to a tmpfs of %d MB until it is refused; then another process opens the folder on
the full disk, drains it, and appends again, if not at once, then within two seconds. Lost is what was accepted and did not come out whole; damaged is what came out with other bytes.
`, cutBytes, fullMB))
	rows := [][]string{{"store", "killed", "cut", "flipped", "full disk"}}
	var notes []string
	for _, c := range all {
		f, ok := r.Faults[c.name]
		if !ok {
			continue
		}
		full := "failed"
		if f.Skipped != "" {
			full = "skipped"
		} else if len(f.Full) > 0 {
			full = fullCell(f.Full[0])
		}
		rows = append(rows, []string{c.name, killedCell(f.Killed), damageCell(f.Cut), damageCell(f.Flipped), full})
		notes = append(notes, f.notes(c.name)...)
	}
	d.table(rows...)
	d.notes(notes)
}

func (d *document) notes(notes []string) {
	for _, n := range notes {
		d.printf("- %s\n", n)
	}
	if len(notes) > 0 {
		d.printf("\n")
	}
}

// quoted is what a library said, in the form of code.
func quoted(s string) string {
	const longest = 160
	if utf8.RuneCountInString(s) > longest {
		s = string([]rune(s)[:longest]) + "…"
	}
	return "`" + strings.ReplaceAll(s, "`", "'") + "`"
}

// processor is the model's name, where the system tells.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err == nil {
		for line := range strings.Lines(string(info)) {
			if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
				return strings.TrimSpace(value)
			}
		}
	}
	return "unknown model"
}

// fileSystem is the type of the one that a folder is on, where the system tells.
func fileSystem(dir string) string {
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		return "unknown"
	}
	return parseMounts(string(mounts), dir)
}

func parseMounts(mounts, dir string) string {
	best, kind := -1, "unknown"
	for line := range strings.Lines(mounts) {
		f := strings.Fields(line)
		if len(f) < 3 || len(f[1]) <= best {
			continue
		}
		if at := f[1]; at == dir || strings.HasPrefix(dir, strings.TrimSuffix(at, "/")+"/") {
			best, kind = len(at), f[2]
		}
	}
	return kind
}
