package warehousetest

import (
	"fmt"
	"slices"

	"github.com/tributary-dev/analytics/warehouse"
)

func tableRules() []rule {
	return []rule{
		{
			name:     "create",
			sentence: "Create makes a table, and its schema where it is missing; Tables returns it with its columns in order, each of its kind.",
			test:     testCreate,
		},
		{
			name:     "tables",
			sentence: "Tables returns the tables of one schema, sorted by name, and none of a schema that is not there.",
			test:     testTables,
		},
		{
			name:     "schemas",
			sentence: "Tables of the same name in two schemas have nothing to do with each other, nor have names that look alike when put together.",
			test:     testSchemas,
		},
		{
			name:     "add-columns",
			sentence: "AddColumns puts columns behind the others, in order, NULL in the rows that are there; they can be read and written at once.",
			test:     testAddColumns,
		},
		{
			name:     "swap-column",
			sentence: "SwapColumn drops the column old and gives its name to the column by, with kind and values; the rest stays.",
			test:     testSwapColumn,
		},
		{
			name:     "changed-elsewhere",
			sentence: "A table that another loader has changed meanwhile is read and written as it is now.",
			test:     testChangedElsewhere,
		},
	}
}

// every is a column of each kind behind the key.
func every() []warehouse.Column {
	return columns("id", "b:bool", "n:int", "f:float", "t:time", "s:string", "j:json")
}

func (t *trial) sameTable(when string, got []warehouse.Table, name string, want []warehouse.Column) {
	i := slices.IndexFunc(got, func(g warehouse.Table) bool { return g.Name == name })
	if i < 0 {
		t.errorf("%s: Tables has no %q", when, name)
		return
	}
	if !slices.Equal(got[i].Columns, want) {
		t.errorf("%s: Tables says that %q has %s, want %s", when, name, list(got[i].Columns), list(want))
	}
}

// list writes columns as column reads them.
func list(columns []warehouse.Column) string {
	const most = 12
	texts := make([]string, 0, most)
	for _, c := range columns[:min(len(columns), most)] {
		texts = append(texts, c.Name+":"+c.Kind.String())
	}
	if len(columns) > most {
		return fmt.Sprintf("%v and %d more", texts, len(columns)-most)
	}
	return fmt.Sprint(texts)
}

func testCreate(t *trial) {
	s := t.open()
	s.do(func(x *tx) {
		x.create(home, "orders", every()...)
		x.create("another", "keys", columns("id")...)
		t.sameTable("in the transaction", x.tables(home), "orders", every())
	})
	for _, one := range []*store{s, s.again()} {
		one.look(func(x *tx) {
			t.sameTable("after Commit", x.tables(home), "orders", every())
			t.sameTable("after Commit", x.tables("another"), "keys", columns("id"))
		})
	}
}

func testTables(t *trial) {
	s := t.open()
	want := []string{"a", "a1", "a_", "a_b", "aa", "b", "users"}
	s.do(func(x *tx) {
		for _, i := range []int{6, 2, 0, 5, 1, 3, 4} {
			x.create(home, want[i], columns("id")...)
		}
		x.create("shopx", "c", columns("id")...)
	})
	s.look(func(x *tx) {
		var got []string
		for _, table := range x.tables(home) {
			got = append(got, table.Name)
		}
		if !slices.Equal(got, want) {
			t.errorf("Tables has %q, want %q", got, want)
		}
		for _, schema := range []string{"missing", "sho_", "shop_", "sho"} {
			if tables := x.tables(schema); len(tables) > 0 {
				t.errorf("Tables of the schema %q, which is not there, has %d", schema, len(tables))
			}
		}
	})
}

func testSchemas(t *trial) {
	s := t.open()
	alike := [][2]string{
		{"shop", "orders"}, {"store", "orders"}, {"shop_eu", "orders"}, {"shop", "eu_orders"},
		{"shop_", "eu_orders"}, {"shop", "_eu_orders"}, {"shopxeu", "orders"}, {"shop__eu", "orders"}, {"shop", "eu__orders"},
	}
	for _, table := range []string{"orders", "shop_orders", "shop__orders"} { // where there is a schema that need not be named
		alike = append(alike, [2]string{s.Dialect().Schema, table})
	}
	cols := columns("id", "n:int")
	s.do(func(x *tx) {
		for i, name := range alike {
			x.create(name[0], name[1], cols...)
			x.write(name[0], name[1], rowsOf(cols, row("a", i), row(fmt.Sprint(i), i)), warehouse.Keep, 2)
		}
	})
	s.look(func(x *tx) {
		for i, name := range alike {
			x.expect(name[0]+"."+name[1], name[0], name[1], names(cols), warehouse.Query{}, row(fmt.Sprint(i), i), row("a", i))
		}
		for schema, want := range map[string]int{"shop": 4, "shop_": 1, "shop_eu": 1, "shopxeu": 1, s.Dialect().Schema: 3} {
			if got := len(x.tables(schema)); got != want {
				t.errorf("Tables of the schema %q has %d, want %d", schema, got, want)
			}
		}
	})
}

func testAddColumns(t *trial) {
	s := t.open()
	cols := columns("id", "s")
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", rowsOf(cols, row("a", "old")), warehouse.Keep, 1)
		x.expect("before AddColumns", home, "orders", names(cols), warehouse.Query{}, row("a", "old"))
	})
	more := columns("z:int", "y:json", "x:time", "w:bool", "v:float")
	all := slices.Concat(cols, more)
	s.do(func(x *tx) {
		x.write(home, "orders", rowsOf(cols, row("b", "old")), warehouse.Keep, 1)
		x.expect("before AddColumns", home, "orders", names(cols), warehouse.Query{}, row("a", "old"), row("b", "old"))
		x.addColumns(home, "orders", more[:2]...)
		x.addColumns(home, "orders", more[2:]...)
		x.expect("after AddColumns", home, "orders", names(cols), warehouse.Query{}, row("a", "old"), row("b", "old"))
		x.write(home, "orders", rowsOf(all, row("c", "new", 1, text("[]"), nil, true, 0.5)), warehouse.Keep, 1)
		x.write(home, "orders", rowsOf(columns("id", "z:int"), row("b", 7)), warehouse.Replace, 0)
		t.sameTable("in the transaction", x.tables(home), "orders", all)
	})
	s.look(func(x *tx) {
		t.sameTable("after Commit", x.tables(home), "orders", all)
		x.expect("after Commit", home, "orders", names(all), warehouse.Query{},
			row("a", "old", nil, nil, nil, nil, nil), row("b", "old", 7, nil, nil, nil, nil), row("c", "new", 1, text("[]"), nil, true, 0.5))
	})
}

func testSwapColumn(t *trial) {
	s := t.open()
	cols := columns("id", "price", "s", "price_new:float", "n:int")
	swapped := columns("id", "price:float", "s", "n:int")
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", rowsOf(cols, row("a", "1.50", "x", 1.5, 1), row("b", "much", "y", nil, 2), row("c", nil, nil, 3.0, nil)), warehouse.Keep, 3)
		x.expect("before SwapColumn", home, "orders", []string{"id", "price"}, warehouse.Query{}, row("a", "1.50"), row("b", "much"), row("c", nil))
	})
	want := [][]warehouse.Value{row("a", 1.5, "x", 1), row("b", nil, "y", 2), row("c", 3.0, nil, nil)}
	s.do(func(x *tx) {
		x.swap(home, "orders", "price", "price_new")
		x.expect("after SwapColumn", home, "orders", names(swapped), warehouse.Query{}, want...)
	})
	s.look(func(x *tx) {
		t.sameColumns(x.tables(home), swapped)
		x.expect("after Commit", home, "orders", names(swapped), warehouse.Query{}, want...)
	})
	s.do(func(x *tx) { // the name by is free again
		x.addColumns(home, "orders", column("price_new:int"))
		x.write(home, "orders", rowsOf(columns("id", "price_new:int"), row("a", 15)), warehouse.Replace, 0)
		x.swap(home, "orders", "price", "price_new")
		x.expect("after a second SwapColumn", home, "orders", []string{"id", "price"}, warehouse.Query{}, row("a", 15), row("b", nil), row("c", nil))
	})
}

// sameColumns compares the columns of the only table, the key first and the others in
// any order.
func (t *trial) sameColumns(got []warehouse.Table, want []warehouse.Column) {
	if len(got) != 1 {
		t.errorf("Tables has %d, want 1", len(got))
		return
	}
	have := got[0].Columns
	for _, c := range want {
		if !slices.Contains(have, c) {
			t.errorf("Tables has no column %s:%s", c.Name, c.Kind)
		}
	}
	if len(have) != len(want) || have[0] != want[0] {
		t.errorf("Tables has the columns %s, want %s", list(have), list(want))
	}
}

func testChangedElsewhere(t *trial) {
	s := t.open()
	other := s.again()
	cols := columns("id", "v", "w:int")
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "orders", rowsOf(cols, row("a", "1", 1)), warehouse.Replace, 1)
		x.expect("before the change", home, "orders", names(cols), warehouse.Query{}, row("a", "1", 1))
	})
	other.do(func(x *tx) {
		x.swap(home, "orders", "v", "w")
		x.addColumns(home, "orders", column("u:bool"))
	})
	now := columns("id", "v:int", "u:bool")
	s.do(func(x *tx) {
		t.sameColumns(x.tables(home), now)
		x.expect("after the change", home, "orders", []string{"id", "v"}, warehouse.Query{}, row("a", 1))
		x.write(home, "orders", rowsOf(now, row("a", 2, true), row("b", 3, nil)), warehouse.Replace, 1)
		x.expect("after the change", home, "orders", names(now), warehouse.Query{}, row("a", 2, true), row("b", 3, nil))
		x.delete(home, "orders", "id", 1, "b")
	})
}
