package warehousetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

// trial is one run of one rule, on databases of its own.
type trial struct {
	testing *testing.T
	setup   *Setup
	opened  []warehouse.Store

	mu    sync.Mutex
	found []string
}

// over ends a rule that cannot go on, after it was said why.
type over struct{}

// try tests the rule once.
func (r *rule) try(t *testing.T, s Setup) (found []string, skipped string) {
	if reason, ok := s.Skip[r.name]; ok && strings.TrimSpace(reason) != "" {
		return nil, reason
	}
	tr := &trial{testing: t, setup: &s}
	if r.name == "setup" {
		r.test(tr)
		return tr.found, ""
	}
	if s.New == nil || s.Again == nil {
		return nil, "Setup has no New or no Again"
	}
	if r.writers && s.OneWriter {
		return nil, "the database has one transaction at a time"
	}
	if r.taking && s.Take == nil {
		return nil, "Setup has no Take"
	}
	tr.run(r)
	return tr.found, ""
}

func (t *trial) run(r *rule) {
	defer t.closeAll()
	defer func() {
		v := recover()
		if _, ok := v.(over); v != nil && !ok {
			panic(v)
		}
	}()
	r.test(t)
}

// closeAll closes what was opened. What goes wrong there is the business of one rule.
func (t *trial) closeAll() {
	for _, s := range t.opened {
		_ = t.await(func() error { return s.Close() })
	}
}

func (t *trial) errorf(format string, args ...any) {
	const most = 8
	t.mu.Lock()
	defer t.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	switch {
	case len(t.found) < most && !slices.Contains(t.found, text):
		t.found = append(t.found, text)
	case len(t.found) == most:
		t.found = append(t.found, "and more")
	}
}

// fatalf is errorf and the end of the rule. The test's goroutine calls it.
func (t *trial) fatalf(format string, args ...any) {
	t.errorf(format, args...)
	panic(over{})
}

// patience is how long a call may take, brief how long it is left to wait where it has to.
func (t *trial) patience() time.Duration { return cmp.Or(t.setup.patience, time.Minute) }
func (t *trial) brief() time.Duration    { return cmp.Or(t.setup.brief, 300*time.Millisecond) }

var (
	errHangs = errors.New("it does not return")
	errPanic = errors.New("panic")
)

// await runs f and does not wait for ever. A panic becomes an error.
func (t *trial) await(f func() error) error {
	done := make(chan error, 1)
	go func() {
		defer func() {
			if v := recover(); v != nil {
				done <- fmt.Errorf("%w: %v", errPanic, v)
			}
		}()
		done <- f()
	}()
	timer := time.NewTimer(t.patience())
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return errHangs
	}
}

// try is await for a call that may well fail: all but a panic and a hang is right.
func (t *trial) try(what string, f func() error) error {
	err := t.await(f)
	if errors.Is(err, errHangs) || errors.Is(err, errPanic) {
		t.fatalf("%s: %v", what, err)
	}
	return err
}

// must is await for a call that has to succeed.
func (t *trial) must(what string, f func() error) {
	if err := t.await(f); err != nil {
		t.fatalf("%s: %v", what, err)
	}
}

// store is a store that was opened, and what the rules do with it.
type store struct {
	warehouse.Store
	t *trial
}

// open returns a store on a new database.
func (t *trial) open() *store { return t.opens(t.setup.New(t.testing)) }

// again returns another store on the same database.
func (s *store) again() *store { return s.t.opens(s.t.setup.Again(s.t.testing, s.Store)) }

func (t *trial) opens(s warehouse.Store) *store {
	t.opened = append(t.opened, s)
	t.must("Open", func() error { return s.Open(context.Background()) })
	return &store{s, t}
}

// begin starts a transaction, which has to be possible within the patience.
func (s *store) begin(home string) *tx {
	x, err := s.beginWith(context.Background(), home)
	if err != nil {
		s.t.fatalf("Begin: %v", err)
	}
	return x
}

// beginWith starts a transaction, or not.
func (s *store) beginWith(ctx context.Context, home string) (*tx, error) {
	var x warehouse.Tx
	err := s.t.try("Begin", func() (err error) {
		x, err = s.Begin(ctx, home)
		return err
	})
	if err != nil {
		return nil, err
	}
	if x == nil {
		s.t.fatalf("Begin returns neither a transaction nor an error")
	}
	return &tx{x, s.t}, nil
}

// do runs f in a transaction that is committed.
func (s *store) do(f func(x *tx)) {
	x := s.begin(home)
	f(x)
	x.commit()
}

// look runs f in a transaction that is rolled back.
func (s *store) look(f func(x *tx)) {
	x := s.begin(home)
	f(x)
	x.rollback()
}
