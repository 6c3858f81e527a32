package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

func errorRules() []rule {
	return []rule{
		{
			name:     "missing",
			sentence: "A table or column that is not there is an error, and so is one that is made twice; never is it passed over.",
			test:     testMissing,
		},
		{
			name:     "failed",
			sentence: "After an error the transaction can be rolled back, which undoes all of it, and the next one is as good as any.",
			test:     testFailed,
		},
		{
			name:     "no-values",
			sentence: "An error holds no value of a row, since it is logged.",
			test:     testNoValues,
		},
		{
			name:     "split",
			sentence: "A row is stored as it is, or the database will never take it and the error is analytics.Split.",
			test:     testSplit,
		},
		{
			name:     "panic",
			sentence: "A panic of Rows.Row arrives at the caller of Write; the transaction can be rolled back, which undoes all of it, and the next one is as good as any.",
			test:     testPanic,
		},
	}
}

// fault is a call that has to fail.
type fault struct {
	what string
	call func(x *tx) error
}

// marker is in every value of the calls that fail.
const marker = "xyzzy-4711"

// faults are calls about what is not there, in a schema with the table "orders".
func faults() []fault {
	cols := columns("id", "n:int", "s")
	one := rowsOf(cols, row(marker, 1, marker))
	unknown := rowsOf(columns("id", "missing"), row(marker, marker))
	none := func([]warehouse.Value) error { return nil }
	return []fault{
		{"Create of a table that is there", func(x *tx) error { return x.Create(bg, home, warehouse.Table{Name: "orders", Columns: cols}) }},
		{"AddColumns with a column that is there", func(x *tx) error { return x.AddColumns(bg, home, "orders", columns("m", "s")) }},
		{"AddColumns to no table", func(x *tx) error { return x.AddColumns(bg, home, "missing", columns("m")) }},
		{"SwapColumn of no column", func(x *tx) error { return x.SwapColumn(bg, home, "orders", "missing", "s") }},
		{"SwapColumn by no column", func(x *tx) error { return x.SwapColumn(bg, home, "orders", "s", "missing") }},
		{"SwapColumn in no table", func(x *tx) error { return x.SwapColumn(bg, home, "missing", "s", "n") }},
		{"Write to no table", func(x *tx) error { return second(x.Write(bg, home, "missing", one, warehouse.Keep)) }},
		{"Write to no schema", func(x *tx) error { return second(x.Write(bg, "missing", "orders", one, warehouse.Replace)) }},
		{"Write to no column", func(x *tx) error { return second(x.Write(bg, home, "orders", unknown, warehouse.Keep)) }},
		{"Write over no column", func(x *tx) error { return second(x.Write(bg, home, "orders", unknown, warehouse.Replace)) }},
		{"Delete in no table", func(x *tx) error { return second(x.Delete(bg, home, "missing", "id", []string{marker})) }},
		{"Delete by no column", func(x *tx) error { return second(x.Delete(bg, home, "orders", "missing", []string{marker})) }},
		{"Read of no table", func(x *tx) error {
			return x.Read(bg, home, "missing", []string{"id"}, warehouse.Query{Keys: []string{marker}}, none)
		}},
		{"Read of no column", func(x *tx) error {
			return x.Read(bg, home, "orders", []string{"id", "missing"}, warehouse.Query{Keys: []string{"a", marker}}, none)
		}},
	}
}

func second(_ int64, err error) error { return err }

func testMissing(t *trial) {
	s := t.open()
	s.filled("orders", "a")
	for _, f := range faults() {
		x := s.begin(home)
		if err := t.try(f.what, func() error { return f.call(x) }); err == nil {
			t.errorf("%s: no error", f.what)
		}
		x.giveUp()
	}
}

func testFailed(t *trial) {
	s := t.open()
	cols := s.filled("orders", "a")
	other := s.again()
	for _, f := range faults() {
		x := s.begin(home)
		x.create(home, "users", cols...)
		x.write(home, "orders", rowsOf(cols, row("b", 1, "text")), warehouse.Keep, 1)
		_ = t.try(f.what, func() error { return f.call(x) })
		x.rollback()
		for _, one := range []*store{other, s} {
			one.look(func(x *tx) {
				if n := len(x.tables(home)); n != 1 {
					t.errorf("after %s and Rollback there are %d tables, want 1", f.what, n)
				}
				x.expect("after "+f.what+" and Rollback", home, "orders", names(cols), warehouse.Query{}, row("a", 0, "text"))
			})
		}
	}
	s.do(func(x *tx) { x.write(home, "orders", rowsOf(cols, row("b", 1, "text")), warehouse.Keep, 1) })
}

// mistakes are rows that a Destination does not write. What is not an error by another
// rule a store may take, or not.
func mistakes() []fault {
	write := func(on warehouse.Conflict, columns []warehouse.Column, values ...[]warehouse.Value) func(x *tx) error {
		return func(x *tx) error { return second(x.Write(bg, home, "every", rowsOf(columns, values...), on)) }
	}
	keyed := func(name string, v any) func(x *tx) error {
		return write(warehouse.Keep, []warehouse.Column{column("id"), column(name)}, row(marker, v))
	}
	huge := warehouse.Value{Kind: warehouse.Time, N: 1<<62 + 4711}
	return []fault{
		{"a key twice under Replace", write(warehouse.Replace, columns("id", "s"), row(marker, marker), row(marker, marker))},
		{"a key that is NULL", write(warehouse.Keep, columns("id", "s"), row(nil, marker))},
		{"a string with NUL", keyed("s", marker+"\x00"+marker)},
		{"a string that is no UTF-8", keyed("s", marker+"\xff"+marker)},
		{"a JSON that is none", keyed("j:json", text(marker))},
		{"a JSON with NUL", keyed("j:json", text(`"`+marker+`\u0000"`))},
		{"a column of strings for one of numbers", write(warehouse.Keep, columns("id", "n"), row(marker, marker))},
		{"a string for a number", keyed("n:int", marker)},
		{"a string for a time", keyed("t:time", marker)},
		{"a time far away", keyed("t:time", huge)},
	}
}

func testNoValues(t *trial) {
	s := t.open()
	s.filled("orders", "a")
	s.do(func(x *tx) { x.create(home, "every", every()...) })
	for _, f := range append(faults(), mistakes()...) {
		x := s.begin(home)
		err := t.try(f.what, func() error { return f.call(x) })
		if text := fmt.Sprintf("%v %+v", err, err); strings.Contains(text, marker) {
			t.errorf("%s: the error holds a value: %s", f.what, strings.ReplaceAll(text, marker, "<value>"))
		}
		x.giveUp()
	}
}

func testSplit(t *trial) {
	s := t.open()
	cols := columns("id", "j:json")
	s.do(func(x *tx) { x.create(home, "orders", cols...) })
	for _, c := range []struct {
		what   string
		values []warehouse.Value
	}{
		{"a key of 100,000 bytes", row(incompressible(100_000), nil)},
		{"a JSON of 5,000 levels", row("deep", text(strings.Repeat("[", 5_000)+strings.Repeat("]", 5_000)))},
		{"a JSON with a number of 200,000 digits", row("digits", text(strings.Repeat("9", 200_000)))},
		{"a JSON with an exponent of a million", row("exponent", text("1e1000000"))},
		{"a JSON with half a character", row("half", text(`"\ud83d"`))},
	} {
		x := s.begin(home)
		ctx, cancel := context.WithTimeout(bg, t.patience())
		err := t.try(c.what, func() error { return second(x.Write(ctx, home, "orders", rowsOf(cols, c.values), warehouse.Keep)) })
		cancel()
		if err == nil {
			x.expect(c.what, home, "orders", names(cols), warehouse.Query{Keys: []string{c.values[0].S}}, c.values)
		} else if word, _ := analytics.Classify(err); word != analytics.WordSplit {
			t.errorf("%s: the error is not analytics.Split, but %q", c.what, word)
		}
		x.rollback()
	}
}

var errRow = errors.New("the rows are broken")

func testPanic(t *trial) {
	s := t.open()
	cols := s.filled("orders", "a")
	other := s.again()
	for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
		for _, c := range []struct{ rows, at int }{{1, 0}, {many, 0}, {many, many / 2}, {many, many - 1}} {
			what := fmt.Sprintf("a panic at row %d of %d, %s", c.at, c.rows, conflict(on))
			r := rowsOf(cols, manyRows(cols).values[:c.rows]...)
			r.called = func(i int) {
				if i == c.at {
					panic(errRow)
				}
			}
			x := s.begin(home)
			x.write(home, "orders", rowsOf(cols, row("b", 1, "text")), warehouse.Keep, 1)
			t.panics(what, func() error { return second(x.Write(bg, home, "orders", r, on)) })
			x.rollback()
			for _, one := range []*store{other, s} {
				one.look(func(x *tx) {
					x.expect("after "+what+" and Rollback", home, "orders", names(cols), warehouse.Query{}, row("a", 0, "text"))
				})
			}
		}
	}
	s.do(func(x *tx) { x.write(home, "orders", manyRows(cols), warehouse.Keep, many) })
}

// panics wants that f panics with errRow.
func (t *trial) panics(what string, f func() error) {
	var arrived any
	err := t.try(what, func() error {
		defer func() { arrived = recover() }()
		return f()
	})
	switch {
	case arrived == nil:
		t.errorf("%s: it does not arrive (error: %v)", what, err)
	case arrived != any(errRow):
		t.errorf("%s: it arrives as %v", what, arrived)
	}
}
