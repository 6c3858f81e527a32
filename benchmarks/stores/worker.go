package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"time"
)

// task is what one child process does with one store.
type task struct {
	Kind  kind
	Store string
	Dir   string

	Batch  int           // events in an append
	Synced bool          // a sync after each append
	Small  bool          // the disk is
	N      int           // events to append, at most
	Limit  time.Duration // of appending; zero means none

	Accepted int // events that an earlier process was told are safe; their numbers are 0 to Accepted-1
}

type kind string

const (
	appending kind = "append"  // N events or until Limit, and nothing else
	backlog   kind = "backlog" // N events in, then all out
	passing   kind = "pass"    // in and out at the same time
	filling   kind = "fill"    // N events and a sync, then waits to be killed
	endless   kind = "endless" // until killed, or until the disk is full
	draining  kind = "drain"   // opens what another process left, and reads all
)

// result is what a task found out. Errors are texts without names of folders.
type result struct {
	Appended      int
	Append, Drain time.Duration // in calls of the store
	AppendCPU     time.Duration
	DrainCPU      time.Duration
	Wall          time.Duration // passing
	Allocs        float64       // of an event appended, in the whole process
	PeakRSS       int64
	Left          int64 // bytes on disk after close

	Account account // draining

	OpenErr, AppendErr, SyncErr, CloseErr string
	// AgainErr is of an append after draining.
	AgainErr string
}

const workerFlag = "-worker"

// workIfAsked is what child processes do in place of main.
func workIfAsked() {
	if len(os.Args) < 2 || os.Args[1] != workerFlag {
		return
	}
	var t task
	out := os.NewFile(3, "results")
	err := json.NewDecoder(os.Stdin).Decode(&t)
	if err == nil {
		w := worker{task: t, out: out}
		err = w.work()
		w.r.PeakRSS = peakRSS()
		if err == nil {
			err = json.NewEncoder(out).Encode(w.r)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0) // whatever a store may still be doing
}

// worker runs one task.
type worker struct {
	task
	out *os.File // numbers of accepted events, one a line, then the result
	r   result
}

func (w *worker) work() error {
	c, err := find(w.Store)
	if err != nil {
		return err
	}
	s, err := c.open(options{dir: w.Dir, batch: w.Batch, synced: w.Synced, small: w.Small})
	if err != nil {
		w.r.OpenErr = w.text(err)
		return nil
	}
	switch w.Kind {
	case appending:
		w.fill(s)
	case backlog:
		err = w.backlog(s)
	case passing:
		err = w.pass(s)
	case filling:
		err = w.fillAndWait(s)
	case endless:
		w.appendOn(s)
	case draining:
		w.drainAll(s)
	default:
		err = fmt.Errorf("unknown kind of task %q", w.Kind)
	}
	if err != nil {
		return err
	}
	w.r.CloseErr = w.text(s.close())
	if w.Kind == backlog {
		w.r.Left, err = allocated(w.Dir)
	}
	return err
}

// accepted tells the parent process, which keeps it when this process dies.
func (w *worker) accepted(n int) { fmt.Fprintln(w.out, n) }

// text is what an error says, in one line and without the folder it happened in.
func (w *worker) text(err error) string {
	if err == nil {
		return ""
	}
	return oneLine(err.Error(), w.Dir)
}

func oneLine(s, dir string) string {
	s = strings.ReplaceAll(s, dir+"/", "")
	s = strings.ReplaceAll(s, dir, "the folder")
	return strings.Join(strings.Fields(s), " ")
}
