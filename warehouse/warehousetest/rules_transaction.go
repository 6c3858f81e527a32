package warehousetest

import (
	"context"
	"runtime"
	"slices"

	"github.com/tributary-dev/analytics/warehouse"
)

func transactionRules() []rule {
	return []rule{
		{
			name:     "own-writes",
			sentence: "A transaction sees what it has done itself, to tables and to rows.",
			test:     testOwnWrites,
		},
		{
			name:     "rollback",
			sentence: "Rollback undoes everything: rows, tables, columns.",
			test:     testRollback,
		},
		{
			name:     "rollback-after-commit",
			sentence: "Rollback after Commit does nothing, also to the transaction that has come after it.",
			test:     testRollbackAfterCommit,
		},
		{
			name:     "invisible",
			sentence: "Before Commit nobody else sees a table or a row, after it everybody sees them all.",
			writers:  true,
			test:     testInvisible,
		},
		{
			name:     "again",
			sentence: "What is committed is there for every other store of the database, also when the one that wrote it is closed.",
			test:     testAgain,
		},
		{
			name:     "begin-ctx",
			sentence: "The ctx of Begin is for Begin: the transaction goes on when it ends.",
			test:     testBeginCtx,
		},
	}
}

func testOwnWrites(t *trial) {
	s := t.open()
	cols := columns("id", "s")
	x := s.begin(home)
	x.create(home, "orders", cols...)
	t.sameTable("after Create", x.tables(home), "orders", cols)
	x.write(home, "orders", rowsOf(cols, row("a", "1"), row("b", "2")), warehouse.Keep, 2)
	x.expect("after Write", home, "orders", names(cols), warehouse.Query{}, row("a", "1"), row("b", "2"))
	x.write(home, "orders", rowsOf(cols, row("a", "3"), row("c", "4")), warehouse.Replace, 1)
	x.delete(home, "orders", "s", 1, "2")
	x.addColumns(home, "orders", column("n:int"))
	all := slices.Concat(cols, columns("n:int"))
	t.sameTable("after AddColumns", x.tables(home), "orders", all)
	x.write(home, "orders", rowsOf(columns("id", "n:int"), row("a", 5)), warehouse.Replace, 0)
	x.expect("at the end", home, "orders", names(all), warehouse.Query{}, row("a", "3", 5), row("c", "4", nil))
	x.swap(home, "orders", "s", "n")
	x.expect("after SwapColumn", home, "orders", names(cols), warehouse.Query{}, row("a", 5), row("c", nil))
	x.rollback()
}

func testRollback(t *trial) {
	s := t.open()
	cols := columns("id", "s", "n:int")
	want := [][]warehouse.Value{row("a", "1", 1), row("b", "2", 2)}
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", rowsOf(cols, want...), warehouse.Keep, 2)
	})
	for _, c := range []struct {
		what string
		f    func(x *tx)
	}{
		{"nothing", func(*tx) {}},
		{"Write", func(x *tx) {
			x.write(home, "orders", rowsOf(cols, row("c", "3", 3)), warehouse.Keep, 1)
			x.write(home, "orders", rowsOf(cols, row("a", "0", 0)), warehouse.Replace, 0)
		}},
		{"Delete", func(x *tx) { x.delete(home, "orders", "id", 2, "a", "b") }},
		{"Create", func(x *tx) {
			x.create(home, "users", cols...)
			x.create("another", "orders", cols...)
			x.write(home, "users", rowsOf(cols, want...), warehouse.Keep, 2)
		}},
		{"AddColumns", func(x *tx) {
			x.addColumns(home, "orders", columns("x", "y:json")...)
			x.write(home, "orders", rowsOf(columns("id", "y:json"), row("a", text("1"))), warehouse.Replace, 0)
		}},
		{"SwapColumn", func(x *tx) { x.swap(home, "orders", "s", "n") }},
	} {
		x := s.begin(home)
		c.f(x)
		x.rollback()
		for _, one := range []*store{s, s.again()} {
			one.look(func(x *tx) {
				when := c.what + " undone"
				if n, m := len(x.tables(home)), len(x.tables("another")); n != 1 || m != 0 {
					t.errorf("%s: Tables has %d and %d, want 1 and 0", when, n, m)
				}
				t.sameTable(when, x.tables(home), "orders", cols)
				x.expect(when, home, "orders", names(cols), warehouse.Query{}, want...)
			})
		}
	}
}

func testRollbackAfterCommit(t *trial) {
	s := t.open()
	other := s.again()
	cols := columns("id")
	x := s.begin(home)
	x.create(home, "orders", cols...)
	x.write(home, "orders", rowsOf(cols, row("a")), warehouse.Keep, 1)
	x.commit()
	x.rollback()
	next := other.begin(home)
	x.rollback()
	s.again().waits(home, "after a second Rollback of a transaction that has ended")
	next.expect("after Commit and Rollback", home, "orders", names(cols), warehouse.Query{}, row("a"))
	next.write(home, "orders", rowsOf(cols, row("b")), warehouse.Keep, 1)
	next.commit()
	s.look(func(x *tx) {
		x.expect("at the end", home, "orders", names(cols), warehouse.Query{}, row("a"), row("b"))
	})
}

func testInvisible(t *trial) {
	s := t.open()
	cols := s.filled("orders", "a")
	other := s.again()
	x := s.begin(home)
	x.create(home, "users", cols...)
	x.create("another", "users", cols...)
	for _, table := range []string{"users", "orders"} {
		x.write(home, table, rowsOf(cols, row("b", 2, nil)), warehouse.Keep, 1)
	}
	y := other.begin("elsewhere")
	if n, m := len(y.tables(home)), len(y.tables("another")); n != 1 || m != 0 {
		t.errorf("before Commit another loader sees %d and %d tables, want 1 and 0", n, m)
	}
	y.expect("before Commit", home, "orders", names(cols), warehouse.Query{}, row("a", 0, "text"))
	y.rollback()
	x.commit()
	y = other.begin("elsewhere")
	if n, m := len(y.tables(home)), len(y.tables("another")); n != 2 || m != 1 {
		t.errorf("after Commit another loader sees %d and %d tables, want 2 and 1", n, m)
	}
	y.expect("after Commit", home, "orders", names(cols), warehouse.Query{}, row("a", 0, "text"), row("b", 2, nil))
	y.rollback()
}

func testAgain(t *trial) {
	s := t.open()
	cols := s.filled("orders", "a", "b")
	want := [][]warehouse.Value{row("a", 0, "text"), row("b", 1, "text")}
	s.again().look(func(x *tx) {
		x.expect("beside the first store", home, "orders", names(cols), warehouse.Query{}, want...)
	})
	t.must("Close", s.Close)
	other := s.again()
	other.do(func(x *tx) {
		x.expect("after the first store was closed", home, "orders", names(cols), warehouse.Query{}, want...)
		x.write(home, "orders", rowsOf(cols, row("c", 2, "text")), warehouse.Keep, 1)
	})
	other.again().look(func(x *tx) {
		x.expect("in a third store", home, "orders", names(cols), warehouse.Query{}, append(want, row("c", 2, "text"))...)
	})
}

func testBeginCtx(t *trial) {
	s := t.open()
	cols := columns("id")
	ctx, cancel := context.WithCancel(bg)
	defer cancel()
	x, err := s.beginWith(ctx, home)
	if err != nil {
		t.fatalf("Begin: %v", err)
	}
	x.create(home, "orders", cols...)
	cancel()
	var want [][]warehouse.Value
	for i := range 50 {
		runtime.Gosched() // whatever listens to ctx has time to hear of it
		want = append(want, row(padded(i)))
		x.write(home, "orders", rowsOf(cols, want[i]), warehouse.Keep, 1)
	}
	x.commit()
	s.look(func(x *tx) { x.expect("after Commit", home, "orders", names(cols), warehouse.Query{}, want...) })
}
