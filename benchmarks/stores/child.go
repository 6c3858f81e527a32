package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// outcome is what is known of a task when its process has ended.
type outcome struct {
	Result   result
	Accepted int    // the last number that the process told
	Died     string // how it ended, when there is no result
}

// hanging begins what is said of a process that did not end.
const hanging = "hangs"

// childLimit is how long a task may take.
const childLimit = 5 * time.Minute

// run does a task in a process of its own. If kill is not nil, it is called with
// each number that the process tells, and the process is killed once it returned
// true.
func (t task) run(ctx context.Context, limit time.Duration, kill func(accepted int) bool) (o outcome, err error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	in, err := json.Marshal(t)
	if err != nil {
		return o, err
	}
	exe, err := os.Executable()
	if err != nil {
		return o, err
	}
	results, out, err := os.Pipe()
	if err != nil {
		return o, err
	}
	defer results.Close()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, exe, workerFlag)
	cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = bytes.NewReader(in), &stderr, []*os.File{out}
	err = cmd.Start()
	_ = out.Close()
	if err != nil {
		return o, err
	}
	killed, got := false, false
	for r := bufio.NewReader(results); ; {
		line, err := r.ReadString('\n')
		if err != nil { // what a killed process has not finished to write, it has not told
			if err != io.EOF {
				return o, err
			}
			break
		}
		if strings.HasPrefix(line, "{") {
			got = json.Unmarshal([]byte(line), &o.Result) == nil
			continue
		}
		if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
			o.Accepted = n
			if kill != nil && !killed && kill(n) {
				killed = true
				_ = cmd.Process.Kill()
			}
		}
	}
	err = cmd.Wait()
	switch {
	case got:
		return o, nil
	case killed:
		o.Died = "killed"
	case ctx.Err() == context.DeadlineExceeded:
		o.Died = fmt.Sprintf("%s for %.0f s", hanging, limit.Seconds())
	case ctx.Err() != nil:
		return o, ctx.Err()
	default:
		o.Died = lastWords(stderr.String(), t.Dir)
		if o.Died == "" {
			o.Died = fmt.Sprint(err)
		}
	}
	return o, nil
}

// lastWords finds the line in which a Go process says why it ends.
func lastWords(stderr, dir string) string {
	for _, sign := range []string{"fatal error: ", "panic: ", "unexpected fault", "worker: "} {
		for line := range strings.Lines(stderr) {
			if strings.HasPrefix(line, sign) {
				return oneLine(line, dir)
			}
		}
	}
	return ""
}
