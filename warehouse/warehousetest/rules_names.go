package warehousetest

import (
	"fmt"
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
