// Package page writes the pages of Markdown that the commands of this module leave in
// docs, and says what machine they ran on.
package page

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// Document is a page of Markdown.
type Document struct{ strings.Builder }

// Printf appends text.
func (d *Document) Printf(format string, args ...any) { fmt.Fprintf(d, format, args...) }

// Table appends rows; the first is the head.
func (d *Document) Table(rows ...[]string) {
	for i, cells := range rows {
		d.Printf("| %s |\n", strings.Join(cells, " | "))
		if i == 0 {
			d.Printf("|%s\n", strings.Repeat("---|", len(cells)))
		}
	}
	d.Printf("\n")
}

// Notes appends a list.
func (d *Document) Notes(notes []string) {
	for _, n := range notes {
		d.Printf("- %s\n", n)
	}
	if len(notes) > 0 {
		d.Printf("\n")
	}
}

// Figure is one that was measured.
type Figure struct {
	Name   string
	Value  string
	Target string // empty: there is none
	Met    bool
}

// Figures appends a table of figures and says which of them meet their targets.
func (d *Document) Figures(all []Figure) {
	rows := [][]string{{"figure", "measured", "target", "met"}}
	for _, f := range all {
		met := ""
		switch {
		case f.Target == "":
		case f.Met:
			met = "yes"
		default:
			met = "**no**"
		}
		rows = append(rows, []string{f.Name, f.Value, f.Target, met})
	}
	d.Table(rows...)
}

// Header says how the page comes about, and what ran where. command is in the folder
// cmd; more are further rows of two cells.
func (d *Document) Header(title, command string, args []string, more ...[]string) {
	d.Printf("# %s\n\nWritten by a command; do not edit. From the root of the repository:\n\n", title)
	d.Printf("    go run ./benchmarks/cmd/%s%s\n\n", command, CommandLine(args))
	d.Table(append([][]string{
		{"", ""},
		{"date", time.Now().UTC().Format("2006-01-02 15:04 MST")},
		{"machine", fmt.Sprintf("%s/%s, %s, %s", runtime.GOOS, runtime.GOARCH, Plural(runtime.NumCPU(), "CPU"), processor())},
		{"Go", runtime.Version()},
	}, more...)...)
}

// Save writes the page to a file, or to the standard output if there is no name.
func (d *Document) Save(file string) error {
	if file == "" {
		_, err := fmt.Print(d.String())
		return err
	}
	return os.WriteFile(file, []byte(d.String()), 0o644)
}

// CommandLine leaves out where on this machine files are.
func CommandLine(args []string) string {
	var b strings.Builder
	for _, arg := range args {
		flag, value, ok := strings.Cut(arg, "=")
		switch {
		case filepath.IsAbs(arg):
			arg = filepath.Base(arg)
		case ok && filepath.IsAbs(value):
			arg = flag + "=" + filepath.Base(value)
		}
		if strings.ContainsAny(arg, " |") {
			arg = "'" + arg + "'"
		}
		b.WriteString(" " + arg)
	}
	return b.String()
}

// processor is the model's name, where the system tells.
func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return unknownModel
	}
	return parseModel(string(info))
}

const unknownModel = "unknown model"

func parseModel(cpuinfo string) string {
	for line := range strings.Lines(cpuinfo) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return unknownModel
}

// FileSystem is the type of the one that a folder is on, where the system tells. An
// empty name stands for the folder of temporary files.
func FileSystem(dir string) string {
	if dir == "" {
		dir = os.TempDir()
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "unknown"
	}
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

// Verdict says whether a target is met, where there is something to compare.
func Verdict(value, target float64) string {
	switch {
	case math.IsNaN(value):
		return ""
	case value <= target:
		return "yes"
	}
	return "**no**"
}

// Ratio is empty where there is nothing to relate to.
func Ratio(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return fmt.Sprintf("%.2f", v)
}

// Plural counts things.
func Plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// Nanoseconds writes a time in the unit that suits it.
func Nanoseconds(v float64) string {
	switch {
	case v < 10_000:
		return fmt.Sprintf("%.0f ns", v)
	case v < 10_000_000:
		return fmt.Sprintf("%.1f µs", v/1e3)
	}
	return Milliseconds(v)
}

// Milliseconds writes nanoseconds as whole milliseconds.
func Milliseconds(v float64) string { return fmt.Sprintf("%.0f ms", v/1e6) }

// Mebibytes writes bytes as whole MiB.
func Mebibytes(v float64) string { return fmt.Sprintf("%.0f MiB", v/(1<<20)) }

// Grouped writes 1234567 as 1,234,567.
func Grouped(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Quantile of a sorted list.
func Quantile[T any](sorted []T, q float64) T {
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
