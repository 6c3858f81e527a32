package warehousetest

import (
	"context"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

func endRules() []rule {
	return []rule{
		{
			name:     "cancelled",
			sentence: "A ctx that ends ends the call, before it begins or in the middle, and the next transaction is as good as any.",
			test:     testCancelled,
		},
		{
			name:     "close",
			sentence: "Close may be called twice, and on a store that was not opened; what comes after it is an error.",
			test:     testClose,
		},
		{
			name:     "close-early",
			sentence: "Close ends a store whose transaction is open: nothing of it is committed, and its home is free for others when it was rolled back.",
			test:     testCloseEarly,
		},
		{
			name:     "reopened",
			sentence: "Close gives back the homes of transactions that are open, and when the store was opened again they do nothing to it: Commit and Write fail, and Rollback ends no other transaction.",
			test:     testReopened,
		},
	}
}

// many are rows enough that something can happen meanwhile.
const many = 1000

func manyRows(columns []warehouse.Column) *rows {
	r := rowsOf(columns)
	for i := range many {
		r.values = append(r.values, row("new"+padded(i), i, "text"))
	}
	return r
}

func testCancelled(t *trial) {
	s := t.open()
	cols := s.filled("orders", "a")
	s.do(func(x *tx) { x.write(home, "orders", manyRows(cols), warehouse.Keep, many) })
	ended, cancel := context.WithCancel(bg)
	cancel()
	if x, err := s.beginWith(ended, home); err == nil {
		x.giveUp()
		t.errorf("Begin with a ctx that has ended: no error")
	}
	next := rowsOf(cols, row("b", 1, "text"))
	for _, c := range []struct {
		what string
		may  bool // it may be too quick to notice
		call func(x *tx) error
	}{
		{"Tables", true, func(x *tx) error { return tablesErr(x.Tables(ended, home)) }},
		{"Create", true, func(x *tx) error { return x.Create(ended, home, warehouse.Table{Name: "users", Columns: cols}) }},
		{"AddColumns", true, func(x *tx) error { return x.AddColumns(ended, home, "orders", columns("m")) }},
		{"SwapColumn", true, func(x *tx) error { return x.SwapColumn(ended, home, "orders", "s", "n") }},
		{"Delete", true, func(x *tx) error { return second(x.Delete(ended, home, "orders", "id", []string{"a"})) }},
		{"Write", false, func(x *tx) error { return second(x.Write(ended, home, "orders", next, warehouse.Keep)) }},
		{"Read", false, func(x *tx) error {
			return x.Read(ended, home, "orders", names(cols), warehouse.Query{}, func([]warehouse.Value) error { return nil })
		}},
		{"Write that is under way", false, func(x *tx) error { return x.writeUntil(cols, many/2) }},
		{"Read that is under way", true, func(x *tx) error { return x.readUntil(cols, 2) }},
	} {
		x := s.begin(home)
		if err := t.try(c.what, func() error { return c.call(x) }); err == nil && !c.may {
			t.errorf("%s with a ctx that has ended: no error", c.what)
		}
		x.giveUp()
		s.unchanged("after "+c.what+" with a ctx that has ended", cols)
	}
	t.cancelledCommit(s, cols, ended)
}

func tablesErr(_ []warehouse.Table, err error) error { return err }

// writeUntil ends the ctx when row n is asked for. Rows that are there already and such
// that are not take turns.
func (x *tx) writeUntil(cols []warehouse.Column, n int) error {
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	r := manyRows(cols)
	for i := range r.values {
		r.values[i] = row(r.values[i][0].S+"x"[:i%2], -1, nil)
	}
	r.called = func(i int) {
		if i == n {
			cancel()
		}
	}
	return second(x.Write(ctx, home, "orders", r, warehouse.Replace))
}

// readUntil ends the ctx when row n is read.
func (x *tx) readUntil(cols []warehouse.Column, n int) error {
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	return x.Read(ctx, home, "orders", names(cols), warehouse.Query{}, func([]warehouse.Value) error {
		if n--; n == 0 {
			cancel()
		}
		return nil
	})
}

// unchanged reports what a transaction has left behind that was given up.
func (s *store) unchanged(when string, cols []warehouse.Column) {
	s.look(func(x *tx) {
		if n := len(x.tables(home)); n != 1 {
			s.t.errorf("%s: Tables has %d, want 1", when, n)
		}
		s.t.sameTable(when, x.tables(home), "orders", cols)
		want := append([][]warehouse.Value{row("a", 0, "text")}, manyRows(cols).values...)
		x.expect(when, home, "orders", names(cols), warehouse.Query{}, want...)
	})
}

// cancelledCommit asks for a Commit that says what has become of it.
func (t *trial) cancelledCommit(s *store, cols []warehouse.Column, ended context.Context) {
	x := s.begin(home)
	x.delete(home, "orders", "s", many+1, "text")
	x.write(home, "orders", rowsOf(cols, row("b", 1, "text")), warehouse.Keep, 1)
	err := t.try("Commit", func() error { return x.Commit(ended) })
	x.giveUp()
	if err != nil {
		s.unchanged("after Commit with a ctx that has ended, and an error", cols)
		return
	}
	s.look(func(x *tx) {
		x.expect("after Commit without an error", home, "orders", names(cols), warehouse.Query{}, row("b", 1, "text"))
	})
}

func testClose(t *trial) {
	s := t.open()
	s.filled("orders", "a")
	unopened := s.t.setup.Again(t.testing, s.Store)
	for what, one := range map[string]warehouse.Store{"": s.Store, " of a store that was not opened": unopened} {
		t.must("Close"+what, one.Close)
		t.must("a second Close"+what, one.Close)
	}
	if x, err := s.beginWith(bg, home); err == nil {
		x.giveUp()
		t.errorf("Begin after Close: no error")
	}
	s.again().look(func(x *tx) { x.expect("after Close", home, "orders", []string{"id"}, warehouse.Query{}, row("a")) })
}

func testCloseEarly(t *trial) {
	s := t.open()
	cols := s.filled("orders", "a")
	other := s.again()
	x := s.begin(home)
	x.write(home, "orders", rowsOf(cols, row("b", 1, "text")), warehouse.Keep, 1)
	if !s.closeUnder(x) {
		x.giveUp()
	}
	other.look(func(x *tx) {
		x.expect("after Close and Rollback", home, "orders", names(cols), warehouse.Query{}, row("a", 0, "text"))
	})
}

// closeUnder closes the store of a transaction that is open, and tells whether it had to
// end this for it: Close may wait.
func (s *store) closeUnder(x *tx) (ended bool) {
	closed := make(chan error, 1)
	go func() { closed <- s.t.await(s.Close) }()
	timer := time.NewTimer(s.t.brief())
	defer timer.Stop()
	var err error
	select {
	case err = <-closed:
	case <-timer.C:
		x.giveUp()
		ended, err = true, <-closed
	}
	if err != nil {
		s.t.errorf("Close while a transaction is open: %v", err)
	}
	return ended
}

// reopen opens a store that was closed, or another one if that cannot be done.
func (s *store) reopen() *store {
	if err := s.t.try("Open after Close", func() error { return s.Open(bg) }); err != nil {
		return s.again()
	}
	return s
}

func testReopened(t *trial) {
	rollback := func(x *tx, _ []warehouse.Column) error { return x.Rollback() }
	t.reopened("Rollback before the next Begin", true, true, rollback)
	t.reopened("Rollback", false, true, rollback)
	t.reopened("Commit", false, false, func(x *tx, _ []warehouse.Column) error { return x.Commit(bg) })
	t.reopened("Write", false, false, func(x *tx, cols []warehouse.Column) error {
		return second(x.Write(bg, home, "orders", rowsOf(cols, row("later", 4, "text")), warehouse.Keep))
	})
}

// reopened calls something of a transaction from before Close, early: before the next one
// begins. It may return no error, or has to return one.
func (t *trial) reopened(what string, early, may bool, call func(x *tx, cols []warehouse.Column) error) {
	what += " of a transaction from before Close"
	s := t.open()
	cols := s.filled("orders", "a")
	x := s.begin(home)
	x.write(home, "orders", rowsOf(cols, row("before", 1, "text")), warehouse.Keep, 1)
	ended := s.closeUnder(x)
	s = s.reopen()
	disturb := func() {
		if err := t.try(what, func() error { return call(x, cols) }); err == nil && !may && !ended {
			t.errorf("%s: no error", what)
		}
		x.giveUp()
	}
	if early {
		disturb()
	}
	y := s.begin(home)
	y.write(home, "orders", rowsOf(cols, row("b", 2, "text")), warehouse.Keep, 1)
	if !early {
		disturb()
	}
	s.again().waits(home, "after "+what)
	y.write(home, "orders", rowsOf(cols, row("c", 3, "text")), warehouse.Keep, 1)
	y.commit()
	s.look(func(x *tx) {
		x.expect("after "+what, home, "orders", names(cols), warehouse.Query{}, row("a", 0, "text"), row("b", 2, "text"), row("c", 3, "text"))
	})
}
