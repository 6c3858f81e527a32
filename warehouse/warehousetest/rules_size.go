package warehousetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

func sizeRules() []rule {
	return []rule{
		{
			name:     "columns",
			sentence: "A table has as many columns as Dialect.MaxColumns says, up to 1,000, all of which can be written and read at once.",
			test:     testColumns,
		},
		{
			name:     "row-size",
			sentence: "A row that is within Dialect.MaxRow is taken, however long its texts are.",
			test:     testRowSize,
		},
		{
			name:     "rows",
			sentence: "One call writes, reads, replaces and deletes 20,000 rows.",
			test:     testRows,
		},
	}
}

// padded is a number whose byte order is that of numbers.
func padded(i int) string { return fmt.Sprintf("%06d", i) }

// incompressible is a text that a database cannot make much shorter, always the same.
func incompressible(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	random := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = letters[random.IntN(len(letters))]
	}
	return string(b)
}

// cost is what Dialect.MaxRow counts.
func cost(v warehouse.Value) int {
	switch v.Kind {
	case warehouse.Null:
		return 0
	case warehouse.String:
		return min((len(v.S)+8)&^7, 24)
	case warehouse.JSON:
		return 24
	}
	return 8
}

// within makes values NULL as soon as the row is longer than MaxRow.
func within(d warehouse.Dialect, values []warehouse.Value) []warehouse.Value {
	left := d.MaxRow
	for i, v := range values {
		if d.MaxRow > 0 && left < cost(v) {
			values[i] = warehouse.Value{}
		}
		left -= cost(values[i])
	}
	return values
}

func testColumns(t *trial) {
	s := t.open()
	cols := columns("id")
	full, odd := row("full"), row("odd")
	for i := len(cols); i < widest(s.Dialect()); i++ {
		kind := warehouse.Bool + warehouse.Kind(i%6)
		v := []any{true, i, float64(i) / 2, time.Unix(int64(i), 0), fmt.Sprint("text", i), text(fmt.Sprint(i))}[i%6]
		cols = append(cols, warehouse.Column{Name: fmt.Sprint("column_", i), Kind: kind})
		full = append(full, value(v))
		if i%2 == 0 {
			v = nil
		}
		odd = append(odd, value(v))
	}
	full, odd = within(s.Dialect(), full), within(s.Dialect(), odd)
	s.do(func(x *tx) {
		x.create(home, "made", cols...)
		x.create(home, "grown", cols[:10]...)
		x.addColumns(home, "grown", cols[10:]...)
		for _, table := range []string{"made", "grown"} {
			x.write(home, table, rowsOf(cols, full, odd), warehouse.Keep, 2)
			x.write(home, table, rowsOf(cols, odd), warehouse.Replace, 0)
		}
	})
	s.look(func(x *tx) {
		for _, table := range []string{"made", "grown"} {
			t.sameTable("after Commit", x.tables(home), table, cols)
			x.expect(table, home, table, names(cols), warehouse.Query{}, full, odd)
		}
	})
}

func testRowSize(t *trial) {
	s := t.open()
	cols := columns("id")
	long, short, mixed := row("long"), row("short"), row("mixed")
	for i := len(cols); i < widest(s.Dialect()); i++ {
		cols = append(cols, column(fmt.Sprint("column_", i)))
		long = append(long, value(incompressible(2_000+i%7)))
		short = append(short, value(incompressible(i%40)))
		mixed = append(mixed, value(incompressible(i*i%5_000)))
	}
	want := [][]warehouse.Value{within(s.Dialect(), long), within(s.Dialect(), mixed), within(s.Dialect(), short)}
	r := rowsOf(cols, want...)
	s.do(func(x *tx) {
		x.create(home, "inserted", cols...)
		x.write(home, "inserted", r, warehouse.Keep, 3)
		x.create(home, "replaced", cols...)
		x.write(home, "replaced", r, warehouse.Replace, 3)
		x.write(home, "replaced", r, warehouse.Replace, 0)
	})
	s.look(func(x *tx) {
		for _, table := range []string{"inserted", "replaced"} {
			x.expect(table, home, table, names(cols), warehouse.Query{}, want...)
		}
	})
}

func testRows(t *trial) {
	const n = 20_000
	s := t.open()
	cols := columns("id", "n:int", "s", "f:float")
	r, newer := rowsOf(cols), rowsOf(cols)
	keys := make([]string, n)
	for i := range n {
		keys[i] = padded(i)
		r.values = append(r.values, row(keys[i], i, fmt.Sprint("row ", i), nil))
		newer.values = append(newer.values, row(keys[i], -i, nil, float64(i)))
	}
	half := rowsOf(cols, r.values[n/2:]...)
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", half, warehouse.Keep, n/2)
	})
	s.do(func(x *tx) {
		x.write(home, "orders", r, warehouse.Keep, n/2)
		x.expect("after Keep", home, "orders", names(cols), warehouse.Query{}, r.values...)
		x.write(home, "orders", newer, warehouse.Replace, 0)
	})
	s.do(func(x *tx) {
		x.expect("after Replace", home, "orders", names(cols), warehouse.Query{Keys: keys}, newer.values...)
		x.delete(home, "orders", "id", n, keys...)
		x.expect("after Delete", home, "orders", names(cols), warehouse.Query{})
		x.write(home, "orders", r, warehouse.Replace, n)
	})
}
