// Command storage measures what loads events into databases and archives: how fast beside
// what can be written by hand with the same driver or compressor for the same rows and
// bytes, and how much memory it takes however much is waiting. It prints the page
// docs/benchmarks-storage.md, each figure with its target. It fails if a row or an event is
// missing, and for no figure.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

func main() {
	workIfAsked()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := measure(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "storage:", err)
		os.Exit(1)
	}
}

// sizes are how much is measured.
type sizes struct {
	rounds  int // of loads and of archives
	batches int // of a round
	batch   int // events
	flatten int // rounds of one batch
	tries   int // of each size of a statement of SQLite; zero: some size
	backlog int // events that wait for a loader
}

func (z sizes) events() int { return z.rounds * z.batches * z.batch }

var (
	full  = sizes{rounds: 20, batches: 5, batch: 10_000, flatten: 100, tries: 3, backlog: 2_000_000}
	quick = sizes{rounds: 2, batches: 1, batch: 10_000, flatten: 5, backlog: 20_000}
)

// settings are the flags.
type settings struct {
	quick    bool
	out      string
	dir      string
	only     string
	postgres string
	profile  string
}

func parse(args []string) (s settings, err error) {
	flags := flag.NewFlagSet("storage", flag.ContinueOnError)
	flags.BoolVar(&s.quick, "quick", false, "small numbers: shows in seconds that everything works, says nothing about speed")
	flags.StringVar(&s.out, "out", "", "write the page to this `file` in place of the standard output")
	flags.StringVar(&s.dir, "dir", "", "`folder` on the disk to measure; empty means the one for temporary files")
	flags.StringVar(&s.only, "only", "", "the `name` of one measurement: "+names())
	flags.StringVar(&s.postgres, "postgres", "", "`URL` of a PostgreSQL server, of a role that may create databases; empty means $"+
		postgresEnv+", else a role of its own if this is root on the server's machine")
	flags.StringVar(&s.profile, "cpuprofile", "", "write a CPU profile to this `file`; ours has the label side=ours")
	if err := flags.Parse(args); err != nil {
		return s, err
	}
	if flags.NArg() > 0 {
		return s, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if s.only != "" && !slices.ContainsFunc(measurements, func(m measurement) bool { return m.name == s.only }) {
		return s, fmt.Errorf("-only is %q, want one of %s", s.only, names())
	}
	return s, nil
}

// run is what the measurements have in common.
type run struct {
	sizes
	ctx      context.Context
	dir      string
	server   *server // nil: there is none
	progress func(string, ...any)
}

type measurement struct {
	name string
	do   func(*run) ([]page.Figure, error)
}

var measurements = []measurement{
	{"postgres", (*run).postgres}, {"sqlite", (*run).sqlite}, {"flatten", (*run).flattening},
	{"archive", (*run).archives}, {"memory", (*run).memory},
}

func names() string {
	var all []string
	for _, m := range measurements {
		all = append(all, m.name)
	}
	return strings.Join(all, ", ")
}

func measure(ctx context.Context, args []string) (err error) {
	s, err := parse(args)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(s.dir, "storage")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	start := time.Now()
	r := &run{ctx: ctx, dir: dir, sizes: full, progress: func(format string, args ...any) {
		fmt.Fprintf(os.Stderr, "%5.1f s  %s\n", time.Since(start).Seconds(), fmt.Sprintf(format, args...))
	}}
	if s.quick {
		r.sizes = quick
	}
	if r.server, err = findServer(ctx, s.postgres); err != nil {
		return err
	}
	switch {
	case r.server != nil:
		defer func() { err = errors.Join(err, r.server.drop()) }()
	case s.quick:
		r.progress("NO POSTGRESQL: its measurements are left out")
	default:
		return errors.New("there is no PostgreSQL server: see -postgres")
	}
	var figures []page.Figure
	err = profiled(s.profile, func() error {
		figures, err = r.all(s.only)
		return err
	})
	if err != nil {
		return err
	}
	d := &document{}
	d.header(s, args, r)
	d.figures(figures)
	return d.Save(s.out)
}

func (r *run) all(only string) (figures []page.Figure, err error) {
	for _, m := range measurements {
		if only != "" && only != m.name {
			continue
		}
		r.progress("%s", m.name)
		some, err := m.do(r)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		for _, f := range some {
			r.progress("    %s: %s (target: %s)", f.Name, f.Value, f.Target)
		}
		figures = append(figures, some...)
	}
	return figures, nil
}

// profiled writes a profile of what do does, if there is a file for it.
func profiled(file string, do func() error) error {
	if file == "" {
		return do()
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return errors.Join(err, f.Close())
	}
	err = do()
	pprof.StopCPUProfile()
	return errors.Join(err, f.Close())
}

// in has a folder as long as do runs.
func (r *run) in(do func(dir string) error) error {
	dir, err := os.MkdirTemp(r.dir, "run")
	if err != nil {
		return err
	}
	return errors.Join(do(dir), os.RemoveAll(dir))
}

func (d *document) header(s settings, args []string, r *run) {
	mode := "full"
	if s.quick {
		mode = "quick: shows that everything works, says nothing about speed"
	}
	d.Header("Benchmarks of storage", "storage", shown(args),
		[]string{"PostgreSQL", r.server.describe()},
		[]string{"file system", page.FileSystem(s.dir)},
		[]string{"other programs at the end", busy()},
		[]string{"mode", mode},
	)
}

// shown leaves out the URL of a server, which has a password in it.
func shown(args []string) (rest []string) {
	for i := 0; i < len(args); i++ {
		name, _, whole := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if name != "postgres" {
			rest = append(rest, args[i])
		} else if !whole {
			i++
		}
	}
	return rest
}

// busy says how many programs wanted a CPU in the last minutes, where the system tells.
func busy() string {
	raw, err := os.ReadFile("/proc/loadavg")
	f := strings.Fields(string(raw))
	if err != nil || len(f) < 3 {
		return "unknown"
	}
	return fmt.Sprintf("load average %s, %s, %s, this one included", f[0], f[1], f[2])
}
