package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// task is what one child process does.
type task struct {
	Kind kind
	Dir  string // of the spool
	URL  string // of a receiver, where there is one

	N    int           // events, calls or goroutines
	Rate int           // calls a second
	For  time.Duration // how long
	Bad  bool          // with destinations that fail

	Linger time.Duration // zero: the default
}

type kind string

// result is what a task found out.
type result struct {
	N       int // events or calls that were counted
	Took    time.Duration
	CPU     time.Duration
	PeakRSS int64

	P50, P99, P999, Most time.Duration

	Payload     float64 // bytes of an encoded event
	Disk        int64
	Half, Live  uint64 // heap after a collection, with half of the events and with all
	InUse       uint64 // the most that was seen
	Waiting     int    // events that a destination had before it
	Missing     int
	Disks       []time.Duration // p50 of fdatasync: appending, in place
	DelayOfWork time.Duration
}

const workerFlag = "-worker"

// workIfAsked is what child processes do in place of main.
func workIfAsked() {
	if len(os.Args) < 2 || os.Args[1] != workerFlag {
		return
	}
	var t task
	err := json.NewDecoder(os.Stdin).Decode(&t)
	var r result
	if err == nil {
		if do, ok := works[t.Kind]; ok {
			r, err = do(t)
		} else {
			err = fmt.Errorf("unknown kind of task %q", t.Kind)
		}
	}
	if err == nil {
		err = json.NewEncoder(os.Stdout).Encode(r)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
	os.Exit(0) // whatever may still be running
}

const childLimit = 3 * time.Minute

// run does a task in a child process. If then is not nil, the process is expected to
// stay: then is called when it has told its result, and the process is killed.
func (t task) run(ctx context.Context, then func(result) error) (r result, err error) {
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	defer cancel()
	in, err := json.Marshal(t)
	if err != nil {
		return r, err
	}
	exe, err := os.Executable()
	if err != nil {
		return r, err
	}
	cmd := exec.CommandContext(ctx, exe, workerFlag)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(in), os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return r, err
	}
	if err := cmd.Start(); err != nil {
		return r, err
	}
	err = json.NewDecoder(out).Decode(&r)
	switch {
	case err == nil && then != nil:
		err = then(r)
	case errors.Is(err, io.EOF):
		err = nil // the process says why
	}
	if then != nil {
		_ = cmd.Process.Kill()
	}
	ended := cmd.Wait()
	if then != nil {
		ended = nil
	}
	if err = errors.Join(err, ended); err != nil {
		return r, fmt.Errorf("%s: %w", t.Kind, err)
	}
	return r, nil
}

// stay tells the result and waits to be killed.
func stay(r result) error {
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	time.Sleep(childLimit)
	return errors.New("was not killed")
}
