package warehousetest

import (
	"fmt"
	"strings"
	"unsafe"

	"github.com/tributary-dev/analytics/warehouse"
)

func writeRules() []rule {
	return []rule{
		{
			name:     "keep",
			sentence: "Under Keep a row whose key is there already stays as it is, of two in one call the first one counts, and only new rows are counted.",
			test:     testKeep,
		},
		{
			name:     "replace",
			sentence: "Replace sets the columns that are written, also to NULL, and no others; rows that are not there are inserted, and only these are counted.",
			test:     testReplace,
		},
		{
			name:     "columns-written",
			sentence: "Rows may name some of the columns, in any order behind the key; the others are NULL in new rows.",
			test:     testColumnsWritten,
		},
		{
			name:     "nothing-written",
			sentence: "No rows are no error, nor are rows of nothing but a key.",
			test:     testNothingWritten,
		},
		{
			name:     "writes",
			sentence: "A transaction may write to one table many times, with other columns each time, and to many tables.",
			test:     testWrites,
		},
		{
			name:     "keys",
			sentence: "Keys are compared byte by byte: neither case nor accents nor blanks make two the same.",
			test:     testKeys,
		},
		{
			name:     "nothing-kept",
			sentence: "Strings of rows are valid until Write returns: what is needed longer is copied.",
			test:     testNothingKept,
		},
	}
}

func testKeep(t *trial) {
	s := t.open()
	cols := columns("id", "s", "n:int")
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", rowsOf(cols, row("a", "old", nil)), warehouse.Keep, 1)
	})
	s.do(func(x *tx) {
		r := rowsOf(cols, row("c", "first", 1), row("a", "new", 2), row("c", "second", 3), row("b", nil, 4), row("a", "newer", 5), row("c", "third", nil))
		x.write(home, "orders", r, warehouse.Keep, 2)
		x.write(home, "orders", r, warehouse.Keep, 0)
	})
	s.look(func(x *tx) {
		x.expect("after Commit", home, "orders", names(cols), warehouse.Query{}, row("a", "old", nil), row("b", nil, 4), row("c", "first", 1))
	})
}

func testReplace(t *trial) {
	s := t.open()
	cols := columns("id", "s", "n:int", "j:json")
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", rowsOf(cols, row("a", "old", 1, text("1")), row("b", "old", 2, text("2"))), warehouse.Replace, 2)
	})
	s.do(func(x *tx) {
		some := columns("id", "n:int", "s")
		x.write(home, "orders", rowsOf(some, row("c", 3, "new"), row("a", 4, nil), row("b", nil, "new")), warehouse.Replace, 1)
		x.expect("in the transaction", home, "orders", names(cols), warehouse.Query{},
			row("a", nil, 4, text("1")), row("b", "new", nil, text("2")), row("c", "new", 3, nil))
		x.write(home, "orders", rowsOf(columns("id", "j:json"), row("b", nil), row("c", text("{}"))), warehouse.Replace, 0)
	})
	s.look(func(x *tx) {
		x.expect("after Commit", home, "orders", names(cols), warehouse.Query{},
			row("a", nil, 4, text("1")), row("b", "new", nil, nil), row("c", "new", 3, text("{}")))
	})
}

func testColumnsWritten(t *trial) {
	s := t.open()
	cols := columns("id", "s", "n:int", "b:bool")
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
			key := conflict(on)
			x.write(home, "orders", rowsOf(columns("id", "b:bool", "s"), row(key+"1", true, "x"), row(key+"2", nil, nil)), on, 2)
			x.write(home, "orders", rowsOf(columns("id", "n:int"), row(key+"3", 3)), on, 1)
		}
	})
	s.look(func(x *tx) {
		for _, key := range []string{"Keep", "Replace"} {
			x.expect(key, home, "orders", names(cols), warehouse.Query{Keys: []string{key + "1", key + "2", key + "3"}},
				row(key+"1", "x", nil, true), row(key+"2", nil, nil, nil), row(key+"3", nil, 3, nil))
		}
	})
}

func testNothingWritten(t *trial) {
	s := t.open()
	cols := columns("id", "s")
	key := cols[:1]
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.create(home, "keys", key...)
		x.addColumns(home, "orders")
		for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
			x.write(home, "orders", rowsOf(cols), on, 0)
			x.write(home, "keys", rowsOf(key), on, 0)
			for _, table := range []string{"orders", "keys"} {
				x.write(home, table, rowsOf(key, row("a"), row(conflict(on))), on, 2-int64(on))
			}
		}
	})
	s.look(func(x *tx) {
		x.expect("a table of keys", home, "keys", []string{"id"}, warehouse.Query{}, row("Keep"), row("Replace"), row("a"))
		x.expect("rows of keys", home, "orders", names(cols), warehouse.Query{}, row("Keep", nil), row("Replace", nil), row("a", nil))
	})
}

func testWrites(t *trial) {
	s := t.open()
	cols := columns("id", "s", "n:int")
	const tables = 30
	name := func(i int) string { return fmt.Sprint("table_", i) }
	s.do(func(x *tx) {
		for i := range tables {
			x.create(home, name(i), cols...)
		}
		for i := range tables {
			x.write(home, name(i), rowsOf(columns("id", "s"), row("a", "x")), warehouse.Keep, 1)
			x.write(home, name(i), rowsOf(columns("id", "n:int"), row("b", i)), warehouse.Keep, 1)
			x.write(home, name(i), rowsOf(columns("id", "n:int"), row("a", i)), warehouse.Replace, 0)
			x.write(home, name(i), rowsOf(columns("id", "s"), row("b", "y"), row("c", "z")), warehouse.Replace, 1)
			x.write(home, name(i), rowsOf(cols, row("c", "no", -1)), warehouse.Keep, 0)
		}
	})
	s.look(func(x *tx) {
		for i := range tables {
			x.expect(name(i), home, name(i), names(cols), warehouse.Query{}, row("a", "x", i), row("b", "y", i), row("c", "z", nil))
		}
	})
}

func testKeys(t *trial) {
	s := t.open()
	cols := columns("id", "n:int")
	for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
		table := strings.ToLower(conflict(on))
		r := rowsOf(cols)
		for i, key := range shortStrings {
			r.values = append(r.values, row(key, i))
		}
		s.do(func(x *tx) {
			x.create(home, table, cols...)
			x.write(home, table, r, on, int64(len(shortStrings)))
			x.write(home, table, r, on, 0)
		})
		s.do(func(x *tx) {
			for i, key := range shortStrings {
				x.expect(fmt.Sprintf("the key %q", key), home, table, names(cols), warehouse.Query{Keys: []string{key}}, row(key, i))
				x.delete(home, table, "id", 1, key)
			}
		})
	}
}

func testNothingKept(t *trial) {
	s := t.open()
	cols := columns("id", "s", "j:json")
	key, s1, j := []byte("key"), []byte("a string"), []byte(`"a JSON"`)
	shared := func(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
	values := []warehouse.Value{warehouse.StringValue(shared(key)), warehouse.StringValue(shared(s1)), warehouse.JSONValue(shared(j))}
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", rowsOf(cols, values), warehouse.Keep, 1)
		for _, b := range [][]byte{key, s1, j} {
			for i := range b {
				b[i] = '#' // as the next rows do that are made in the same place
			}
		}
		x.expect("in the transaction", home, "orders", names(cols), warehouse.Query{}, row("key", "a string", text(`"a JSON"`)))
	})
	s.look(func(x *tx) {
		x.expect("after Commit", home, "orders", names(cols), warehouse.Query{}, row("key", "a string", text(`"a JSON"`)))
	})
}
