package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

const childLimit = 3 * time.Minute

// process is a server in a process of its own.
type process struct {
	address string

	cmd     *exec.Cmd
	stdin   io.Closer
	asks    *json.Encoder
	answers *json.Decoder
	cancel  context.CancelFunc
}

// start runs the current executable as a server. It ends at stop, when ctx does, or with
// the calling process.
func (t task) start(ctx context.Context) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, childLimit)
	p := &process{cmd: exec.CommandContext(ctx, exe, serverFlag), cancel: cancel}
	p.cmd.Stderr = os.Stderr
	if err := p.begin(t); err != nil {
		cancel()
		return nil, fmt.Errorf("start a server: %w", err)
	}
	return p, nil
}

func (p *process) begin(t task) error {
	stdin, err := p.cmd.StdinPipe()
	if err != nil {
		return err
	}
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	p.stdin, p.asks, p.answers = stdin, json.NewEncoder(stdin), json.NewDecoder(stdout)
	var hello report
	err = p.asks.Encode(t)
	if err == nil {
		err = p.answers.Decode(&hello)
	}
	if err != nil {
		return errors.Join(err, p.stop())
	}
	p.address = hello.URL
	return nil
}

func (p *process) ask(q question) (r report, err error) {
	if err = p.asks.Encode(q); err == nil {
		err = p.answers.Decode(&r)
	}
	if err == nil && r.Err != "" {
		err = errors.New(r.Err)
	}
	if err != nil {
		err = fmt.Errorf("server, asked to tell %s: %w", q, err)
	}
	return r, err
}

// stop ends the process and waits for it.
func (p *process) stop() error {
	defer p.cancel()
	_ = p.stdin.Close()
	return p.cmd.Wait()
}
