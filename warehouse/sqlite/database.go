package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// database is a store between Open and Close: one connection, and who may use it.
type database struct {
	file   string
	sync   bool
	turn   chan struct{} // full while there is a transaction
	closed chan struct{}

	mu   sync.Mutex // held during each use of conn
	conn *conn      // nil until Begin
}

func newDatabase(file string, sync bool) *database {
	return &database{file: file, sync: sync, turn: make(chan struct{}, 1), closed: make(chan struct{})}
}

// begin starts a transaction when no other one goes on: first none of this store, then
// none of anybody. Most of the waiting for others is done inside, by [conn.wait]; a few
// states of the file that pass as well do not lead there.
func (d *database) begin(ctx context.Context) error {
	select {
	case d.turn <- struct{}{}:
	case <-ctx.Done():
		return fmt.Errorf("sqlite: begin: another transaction goes on: %w", ctx.Err())
	case <-d.closed:
		return fmt.Errorf("sqlite: begin: %w", errClosed)
	}
	var err error
	for count := 0; ; count++ {
		err = d.do(ctx, "begin", func(c *conn) error { return c.begin(d.with(ctx)) })
		if !passes(err) {
			break
		}
		pause(d.with(ctx), count)
	}
	if err != nil {
		d.end()
	}
	return err
}

// end lets the next transaction begin.
func (d *database) end() { <-d.turn }

// do lets f use the connection. Its error is told in the words of the contract.
func (d *database) do(ctx context.Context, what string, f func(*conn) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	call := d.with(ctx)
	if err := call.Err(); err != nil {
		return fmt.Errorf("sqlite: %s: %w", what, err)
	}
	if d.conn == nil {
		d.conn = &conn{file: d.file, sync: d.sync}
	}
	return explain(call, what, d.conn.run(call, f))
}

// close waits for the statement that goes on, which it ends.
func (d *database) close() error {
	close(d.closed)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conn == nil {
		return nil
	}
	if err := d.conn.close(); err != nil {
		return fmt.Errorf("sqlite: close: %w", err)
	}
	return nil
}

// callCtx ends with the context of a call or with the store.
type callCtx struct {
	context.Context
	closed <-chan struct{}
}

func (d *database) with(ctx context.Context) *callCtx { return &callCtx{ctx, d.closed} }

// Err is what the driver asks for again and again during a statement.
func (c *callCtx) Err() error {
	select {
	case <-c.closed:
		return errClosed
	default:
		return c.Context.Err()
	}
}

var errClosed = errors.New("the store is closed")

// The pauses between two looks whether the file is free.
const (
	minPause = time.Millisecond
	maxPause = 25 * time.Millisecond
)

// pause waits before look count+1, and tells whether there is to be one.
func pause(ctx *callCtx, count int) bool {
	timer := time.NewTimer(min(minPause<<min(count, 10), maxPause))
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
	case <-ctx.closed:
	}
	return false
}
