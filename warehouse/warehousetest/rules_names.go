package warehousetest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/warehouse"
)

func nameRules() []rule {
	return []rule{
		{
			name:     "quoting",
			sentence: "Names are quoted: words of SQL, and characters that SQL reads otherwise, are names like any others.",
			test:     testQuoting,
		},
		{
			name:     "long-names",
			sentence: "Schemas, tables and columns whose names have Dialect.MaxName bytes are told apart by the last one.",
			test:     testLongNames,
		},
		{
			name:     "names-of-databases",
			sentence: "Names that a database has itself, or begins its own with, are names like any others: sqlite, temp, main, public, information, pg.",
			test:     testNamesOfDatabases,
		},
		{
			name:     "taken-names",
			sentence: "Tables has the name of what is no table but has its name, such as a view or an index, without columns; a table of that name cannot be made.",
			taking:   true,
			test:     testTakenNames,
		},
	}
}

// oddNames are names that need quotes. The first ones are what names look like.
var oddNames = []string{
	"select", "order", "group", "user", "table", "from", "null", "default", "rowid", "check", "values", "excluded",
	`double"quote`, `two""`, "single'quote", "back`tick", "a b", "semi;colon", `back\slash`, "comment--", "q?", "$1", "[x]", "%s",
}

func testQuoting(t *trial) {
	s := t.open()
	cols := columns("id")
	for _, name := range oddNames {
		cols = append(cols, warehouse.Column{Name: name, Kind: warehouse.String})
	}
	values := row("a")
	for _, name := range oddNames {
		values = append(values, value("value of "+name))
	}
	last := len(cols) - 1
	for _, name := range oddNames {
		s.do(func(x *tx) {
			x.create(name, name, cols[:last]...)
			x.addColumns(name, name, cols[last])
			x.write(name, name, rowsOf(cols, values), warehouse.Keep, 1)
			x.write(name, name, rowsOf(cols, values), warehouse.Replace, 0)
			x.delete(name, name, name, 0, "another value")
			t.sameTable("in the transaction", x.tables(name), name, cols)
		})
	}
	s.look(func(x *tx) {
		for _, name := range oddNames {
			x.expect("in "+name, name, name, names(cols), warehouse.Query{Keys: []string{"a"}}, values)
		}
	})
	s.do(func(x *tx) {
		for i, name := range oddNames[:last-1] {
			x.swap(name, name, oddNames[i+1], name)
			x.expect("after SwapColumn", name, name, []string{"id", oddNames[i+1]}, warehouse.Query{}, row("a", "value of "+name))
			x.delete(name, name, oddNames[i+1], 1, "value of "+name)
		}
	})
}

func testLongNames(t *trial) {
	s := t.open()
	long := func(end string) string { return strings.Repeat("n", maxName(s.Dialect())-len(end)) + end }
	cols := []warehouse.Column{column("id"), {Name: long("_a"), Kind: warehouse.Int}, {Name: long("_b"), Kind: warehouse.Int}}
	tables := [][2]string{{long("_a"), long("_a")}, {long("_a"), long("_b")}, {long("_b"), long("_a")}, {long("_b"), long("_b")}}
	for i, name := range tables {
		x := s.begin(name[0])
		x.create(name[0], name[1], cols...)
		for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
			x.write(name[0], name[1], rowsOf(cols, row(fmt.Sprint("key", on), i, -i)), on, 1)
		}
		x.commit()
	}
	s.do(func(x *tx) {
		for i, name := range tables {
			t.sameTable("after Commit", x.tables(name[0]), name[1], cols)
			x.expect("after Commit", name[0], name[1], names(cols), warehouse.Query{}, row("key0", i, -i), row("key1", i, -i))
			x.addColumns(name[0], name[1], warehouse.Column{Name: long("_c"), Kind: warehouse.String})
			x.swap(name[0], name[1], cols[1].Name, cols[2].Name)
			x.expect("after SwapColumn", name[0], name[1], names(cols)[:2], warehouse.Query{}, row("key0", -i), row("key1", -i))
		}
	})
}

// databaseNames are names, or beginnings of names, of databases; databaseTables are what
// comes behind them there.
var (
	databaseNames  = []string{"sqlite", "temp", "main", "public", "information", "pg"}
	databaseTables = []string{"orders", "master", "sequence", "schema", "class", "tables"}
)

func testNamesOfDatabases(t *trial) {
	s := t.open()
	tables := slices.Concat(databaseTables, databaseNames)
	cols := columns("id", "n:int")
	for _, schema := range databaseNames {
		for i, table := range tables {
			s.do(func(x *tx) {
				x.create(schema, table, cols[0])
				x.addColumns(schema, table, cols[1])
				x.write(schema, table, rowsOf(cols, row("a", i), row(schema, -i)), warehouse.Keep, 2)
				x.write(schema, table, rowsOf(cols, row("a", i), row("b", i)), warehouse.Replace, 1)
				x.delete(schema, table, "id", 1, "b")
				t.sameTable("in the transaction", x.tables(schema), table, cols)
			})
		}
	}
	s.again().look(func(x *tx) {
		for _, schema := range databaseNames {
			for i, table := range tables {
				t.sameTable("after Commit, in "+schema, x.tables(schema), table, cols)
				x.expect("after Commit, in "+schema+"."+table, schema, table, names(cols), warehouse.Query{}, row("a", i), row(schema, -i))
			}
		}
	})
}

func testTakenNames(t *trial) {
	s := t.open()
	const taken = "ordered" // between the others
	cols := columns("id", "s")
	s.do(func(x *tx) {
		x.create(home, "a", cols...)
		x.create(home, "users", cols...)
	})
	t.must("Take", func() error { return t.setup.Take(t.testing, s.Store, home, taken) })
	for _, one := range []*store{s, s.again()} {
		one.look(func(x *tx) {
			tables := x.tables(home)
			var got []string
			for _, table := range tables {
				got = append(got, table.Name)
			}
			if want := []string{"a", taken, "users"}; !slices.Equal(got, want) {
				t.errorf("with a name that is taken Tables has %q, want %q", got, want)
				return
			}
			if n := len(tables[1].Columns); n > 0 {
				t.errorf("Tables has %d columns of what is no table, want none", n)
			}
			t.sameTable("beside what is no table", tables, "users", cols)
		})
	}
	x := s.begin(home)
	create := func() error { return x.Create(bg, home, warehouse.Table{Name: taken, Columns: cols}) }
	if err := t.try("Create of a name that is taken", create); err == nil {
		t.errorf("Create of a name that is taken: no error")
	}
	x.rollback()
	s.do(func(x *tx) {
		x.create(home, "orders", cols...)
		x.write(home, "users", rowsOf(cols, row("a", "text")), warehouse.Keep, 1)
	})
}
