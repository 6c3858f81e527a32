package receiver

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"
)

const childFlag = "-receiver"

// RunIfAsked is the first line of a program that uses [Start]: in the child process
// it serves and does not return.
func RunIfAsked() {
	if len(os.Args) < 2 || os.Args[1] != childFlag {
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "receiver:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// run serves until the parent closes the standard input.
func run() error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(l.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = l.Close()
	}()
	if err := New().Serve(l); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil
}

// Process is a receiver in a process of its own.
type Process struct {
	Control

	cmd   *exec.Cmd
	stdin io.Closer
}

// Control asks a receiver, from any process. Asking does not count as a request.
type Control struct {
	URL string // "http://127.0.0.1:1234"
}

// Start runs the current executable as a receiver. It ends when ctx does, at Stop,
// or with the calling process.
func Start(ctx context.Context) (*Process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe, childFlag)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		p.Stop()
		return nil, fmt.Errorf("start receiver: %w", err)
	}
	p.URL = "http://" + strings.TrimSpace(line)
	return p, nil
}

// Stop ends the process and waits for it.
func (p *Process) Stop() {
	control.CloseIdleConnections()
	_ = p.stdin.Close()
	_ = p.cmd.Wait()
}

// Plan forgets what was received and follows a new plan.
func (c Control) Plan(ctx context.Context, plan Plan) error {
	return c.ask(ctx, "plan", plan, nil)
}

// Heal ends the faults of the plan; what was received still counts.
func (c Control) Heal(ctx context.Context) error {
	return c.ask(ctx, "heal", nil, nil)
}

// Report tells what was received since the last plan.
func (c Control) Report(ctx context.Context) (r Report, err error) {
	err = c.ask(ctx, "report", nil, &r)
	return r, err
}

// IDs are the hashes of the distinct ids received.
func (c Control) IDs(ctx context.Context) (ids []uint64, err error) {
	err = c.ask(ctx, "ids", nil, &ids)
	return ids, err
}

// control has connections of its own, which those of the libraries do not see.
var control = http.Client{Timeout: time.Minute, Transport: http.DefaultTransport.(*http.Transport).Clone()}

func (c Control) ask(ctx context.Context, what string, in, out any) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.URL+controlPath+what, bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := control.Do(req)
	if err != nil {
		return fmt.Errorf("receiver: %w", err)
	}
	defer res.Body.Close()
	if out == nil {
		out = new(any)
	}
	if err := json.NewDecoder(res.Body).Decode(out); err != nil {
		return fmt.Errorf("receiver: %s: %w", what, err)
	}
	return nil
}
