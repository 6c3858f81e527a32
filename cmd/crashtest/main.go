// Command crashtest proves that the spool loses nothing when its process is killed: it
// starts processes of its own that track events, kills them at random moments, starts the
// next ones on the same spool, and compares in the end what was accepted with what has
// arrived.
//
//	go run ./cmd/crashtest              # 200 kills
//	go run ./cmd/crashtest -kills 5000 -seed 7 -dir /var/tmp/crashtest
//
// Each process has four writers and two destinations, the cloud mode and one in device
// mode that wants its events in order. Both post to this command, which fails part of the
// time in every way that receivers fail. Before and after each call, a writer notes it
// outside the spool; so does each destination for each request. Some processes are killed
// while they open the spool, some while they close it, and some share it with another.
//
// What must not be: an accepted event that does not arrive (lost), one that arrives and was
// never made, or with another content (invented), order that is broken where it was asked
// for, a duplicate that nothing explains (see bounds.go), and anything that is left when a
// last process has closed in peace. Two more rows belong to it: a queue in memory, which
// has to lose events, or this test could not fail; and a process that delivers what
// another one has left while it runs.
//
// The exit code is 0 if all is well, 1 if not, and 2 if the command was called wrongly.
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

func main() {
	if order := os.Getenv(taskEnv); order != "" {
		os.Exit(serve(order))
	}
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// serve is the main func of a process that is to be killed.
func serve(order string) int {
	var t task
	err := json.Unmarshal([]byte(order), &t)
	if err == nil {
		err = child(t)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "crashtest:", err)
		return exitBad
	}
	return exitGood
}

func run(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("crashtest", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var s settings
	flags.IntVar(&s.kills, "kills", 200, "how often to kill")
	flags.Uint64Var(&s.seed, "seed", 1, "of everything that is random, but for the timing")
	flags.StringVar(&s.dir, "dir", "", "folder for the spool and what else is written; the default is a temporary one, kept if something is wrong")
	flags.Float64Var(&s.two, "two", 0.2, "share of the rounds in which two processes share the spool")
	progress := flags.Bool("progress", true, "say how far it is")
	asJSON := flags.Bool("json", false, "print the result as JSON")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 0 || s.kills < 1:
		fmt.Fprintln(stderr, "crashtest: give no arguments beside the flags, and at least one kill")
		return 2
	}
	if *progress && !*asJSON {
		s.progress = func(format string, args ...any) { fmt.Fprintf(stdout, format+"\n", args...) }
	}

	temporary := s.dir == ""
	if temporary {
		dir, err := os.MkdirTemp("", "crashtest-")
		if err != nil {
			fmt.Fprintln(stderr, "crashtest:", err)
			return 1
		}
		s.dir = dir
	}
	r, err := crash(s)
	if err != nil {
		fmt.Fprintln(stderr, "crashtest:", err)
	} else if *asJSON {
		_ = json.NewEncoder(stdout).Encode(r)
	} else {
		r.print(stdout)
	}
	if err != nil || len(r.Violations) > 0 {
		fmt.Fprintln(stderr, "crashtest: what was written is kept in", s.dir)
		return 1
	}
	if temporary {
		_ = os.RemoveAll(s.dir)
	}
	return 0
}

// crash runs all rows.
func crash(s settings) (report, error) {
	orphan := make(chan error, 1)
	var took time.Duration
	go func() {
		var err error
		took, err = adopt(settings{seed: s.seed, dir: filepath.Join(s.dir, "orphan")})
		orphan <- err
	}()
	lost, err := control(s)
	if err != nil {
		return report{}, err
	}
	r, err := spooled(s)
	if err != nil {
		return report{}, err
	}
	if s.progress != nil {
		s.progress("waiting for a process to find what another one has left")
	}
	if err := <-orphan; err != nil {
		r.violation("the row of two processes: %v", err)
	}
	r.ControlLost, r.OrphanSeconds = lost, took.Seconds()
	if lost == 0 {
		r.violation("the queue in memory has lost nothing: this test cannot fail")
	}
	return r, nil
}

// spooled is the main row.
func spooled(s settings) (report, error) {
	begun := time.Now()
	s.dir = filepath.Join(s.dir, "main")
	d, err := newDriver(s)
	if err != nil {
		return report{}, err
	}
	if err := d.run(); err != nil {
		return report{}, err
	}
	r := d.report()
	r.Seconds = time.Since(begun).Seconds()
	return r, nil
}

const controlKills = 6

// control does the same with the queue in memory. What it loses is returned.
func control(s settings) (lost int, err error) {
	s.dir, s.kills, s.memory, s.progress = filepath.Join(s.dir, "control"), controlKills, true, nil
	d, err := newDriver(s)
	if err != nil {
		return 0, err
	}
	if err := d.run(); err != nil {
		return 0, err
	}
	for p := range places {
		lost += d.history.verdict(p).Lost
	}
	return lost, nil
}

// adopt lets two processes share a spool and kills one of them while nothing can be
// delivered. The other one has to deliver what it has left: how long that took is
// returned.
func adopt(s settings) (took time.Duration, err error) {
	d, err := newDriver(s)
	if err != nil {
		return 0, err
	}
	defer d.receiver.close()
	living, err := d.start(d.reader())
	if err != nil {
		return 0, err
	}
	if !living.reach(running) {
		return 0, errors.Join(errors.New("the first process does not start"), d.wait(living))
	}
	d.receiver.set([places]weather{outage, outage})
	other, err := d.start(d.task(plan{stage: running}))
	if err != nil {
		return 0, errors.Join(err, d.kill(living))
	}
	err = d.end(other, plan{running, 100 * time.Millisecond})
	d.receiver.set([places]weather{})
	killed := time.Now()
	if err == nil {
		d.await(killed)
	}
	took = time.Since(killed)
	_ = living.stdin.Close()
	if err := errors.Join(err, d.wait(living)); err != nil {
		return 0, err
	}
	if err := d.countSlots(); err != nil {
		return 0, err
	}
	r := d.report()
	if r.Accepted == 0 || r.Slots != 2 {
		r.violation("accepted %d events in %d slots", r.Accepted, r.Slots)
	}
	for _, v := range r.Violations {
		err = errors.Join(err, errors.New(v))
	}
	return took, err
}
