package warehousetest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

func with(edit func(*warehousetest.Setup)) warehousetest.Setup {
	s := store(func(*twisted) {})
	edit(&s)
	return s
}

func brokenSetups() []broken {
	return []broken{
		{rule: "setup", how: "has no New", setup: with(func(s *warehousetest.Setup) { s.New = nil })},
		{rule: "setup", how: "has no Again", setup: with(func(s *warehousetest.Setup) { s.Again = nil })},
		{rule: "setup", how: "skips a rule that is none", setup: with(func(s *warehousetest.Setup) { s.Skip = map[string]string{"maybe": "who knows"} })},
		{rule: "setup", how: "skips without a reason", setup: with(func(s *warehousetest.Setup) { s.Skip = map[string]string{"again": " "} })},
		{rule: "open", how: "refuses", setup: store(func(s *twisted) { s.open = func() error { return errors.New("no") } }), more: true},
		{rule: "open", how: "has a table of somebody else", setup: tx(func(x *twistedTx) {
			x.tables = func(ctx context.Context, schema string) ([]warehouse.Table, error) {
				tables, err := x.Tx.Tables(ctx, schema)
				if schema == "events" {
					tables = append(tables, warehouse.Table{Name: "theirs"})
				}
				return tables, err
			}
		}), consequences: []string{"schemas"}},
		{rule: "dialect", how: "is known after Open only", setup: store(func(s *twisted) {
			opened := false
			s.open = func() error { opened = true; return s.Store.Open(context.Background()) }
			s.dialect = func(d warehouse.Dialect) warehouse.Dialect {
				if !opened {
					d.MaxRow = 4000
				}
				return d
			}
		})},
		{rule: "dialect", how: "has no name", setup: dialect(func(d *warehouse.Dialect) { d.Name = "" })},
		{rule: "dialect", how: "has a schema that needs quotes", setup: dialect(func(d *warehouse.Dialect) { d.Schema = "My Events" })},
		{rule: "dialect", how: "has narrow tables", setup: dialect(func(d *warehouse.Dialect) { d.MaxColumns = 16 })},
		{rule: "dialect", how: "has short rows", setup: dialect(func(d *warehouse.Dialect) { d.MaxRow = 100 })},
		{rule: "dialect", how: "has short names", setup: dialect(func(d *warehouse.Dialect) { d.MaxName = 8 })},
	}
}

func dialect(edit func(*warehouse.Dialect)) warehousetest.Setup {
	return store(func(s *twisted) {
		s.dialect = func(d warehouse.Dialect) warehouse.Dialect { edit(&d); return d }
	})
}

// listing makes stores whose Tables returns something else.
func listing(edit func([]warehouse.Table) []warehouse.Table) warehousetest.Setup {
	return tx(func(x *twistedTx) {
		x.tables = func(ctx context.Context, schema string) ([]warehouse.Table, error) {
			tables, err := x.Tx.Tables(ctx, schema)
			return edit(tables), err
		}
	})
}

func brokenTables() []broken {
	return []broken{
		{rule: "create", how: "forgets what is JSON", setup: listing(func(tables []warehouse.Table) []warehouse.Table {
			for _, table := range tables {
				for i := range table.Columns {
					if table.Columns[i].Kind == warehouse.JSON {
						table.Columns[i].Kind = warehouse.String
					}
				}
			}
			return tables
		}), consequences: []string{"add-columns"}},
		{rule: "create", how: "sorts columns", setup: listing(func(tables []warehouse.Table) []warehouse.Table {
			for _, table := range tables {
				slices.SortFunc(table.Columns, func(a, b warehouse.Column) int { return strings.Compare(a.Name, b.Name) })
			}
			return tables
		}), consequences: []string{"add-columns", "own-writes", "quoting", "rollback"}},
		{rule: "tables", how: "does not sort", setup: listing(func(tables []warehouse.Table) []warehouse.Table {
			slices.Reverse(tables)
			return tables
		}), consequences: []string{"taken-names"}},
		{rule: "tables", how: "takes a name for a pattern", setup: tx(func(x *twistedTx) {
			x.tables = func(ctx context.Context, schema string) ([]warehouse.Table, error) {
				return x.Tx.Tables(ctx, strings.ReplaceAll(schema, "sho_", "shop"))
			}
		})},
		{rule: "schemas", how: "puts schema and table together", setup: prefixing("_"), consequences: []string{"long-names"}},
		{rule: "add-columns", how: "sorts the new ones", setup: tx(func(x *twistedTx) {
			x.add = func(ctx context.Context, schema, table string, columns []warehouse.Column) error {
				columns = slices.Clone(columns)
				slices.SortFunc(columns, func(a, b warehouse.Column) int { return strings.Compare(a.Name, b.Name) })
				return x.Tx.AddColumns(ctx, schema, table, columns)
			}
		})},
		{rule: "swap-column", how: "drops the wrong one", setup: tx(func(x *twistedTx) {
			x.swap = func(ctx context.Context, schema, table, old, by string) error {
				return x.Tx.SwapColumn(ctx, schema, table, by, old)
			}
		}), consequences: []string{"changed-elsewhere", "long-names", "own-writes", "quoting"}},
		{rule: "swap-column", how: "keeps the old one under the other name", setup: tx(func(x *twistedTx) {
			x.swap = func(ctx context.Context, schema, table, old, by string) error {
				if err := x.Tx.SwapColumn(ctx, schema, table, old, by); err != nil {
					return err
				}
				return x.Tx.AddColumns(ctx, schema, table, []warehouse.Column{{Name: by, Kind: warehouse.String}})
			}
		}), consequences: []string{"changed-elsewhere"}},
		{rule: "changed-elsewhere", how: "remembers the kinds of columns", setup: remembering()},
		{rule: "quoting", how: "leaves quotes out", setup: named(func(name string) string { return strings.ReplaceAll(name, `"`, "") })},
		{rule: "quoting", how: "does not know words of SQL", setup: tx(func(x *twistedTx) {
			x.create = func(ctx context.Context, schema string, t warehouse.Table) error {
				if t.Name == "order" {
					return errors.New(`syntax error at or near "order"`)
				}
				return x.Tx.Create(ctx, schema, t)
			}
		})},
		{rule: "long-names", how: "cuts names", setup: named(func(name string) string { return name[:min(len(name), 62)] })},
		{rule: "names-of-databases", how: "has a prefix that the database keeps for itself", setup: tx(func(x *twistedTx) {
			x.create = func(ctx context.Context, schema string, t warehouse.Table) error {
				if schema == "sqlite" {
					return errors.New("object name reserved for internal use: sqlite_orders")
				}
				return x.Tx.Create(ctx, schema, t)
			}
		})},
		{rule: "names-of-databases", how: "leaves out what is temporary", setup: tx(func(x *twistedTx) {
			x.tables = func(ctx context.Context, schema string) ([]warehouse.Table, error) {
				if strings.HasPrefix(schema, "temp") {
					return nil, nil
				}
				return x.Tx.Tables(ctx, schema)
			}
		})},
		{rule: "taken-names", how: "looks at tables only", setup: listing(func(tables []warehouse.Table) []warehouse.Table {
			return slices.DeleteFunc(tables, func(t warehouse.Table) bool { return len(t.Columns) == 0 })
		})},
		{rule: "taken-names", how: "takes a view for a table", setup: listing(func(tables []warehouse.Table) []warehouse.Table {
			for i := range tables {
				if len(tables[i].Columns) == 0 {
					tables[i].Columns = []warehouse.Column{{Name: "id", Kind: warehouse.String}}
				}
			}
			return tables
		})},
		{rule: "taken-names", how: "puts what is no table behind the tables", setup: listing(func(tables []warehouse.Table) []warehouse.Table {
			slices.SortStableFunc(tables, func(a, b warehouse.Table) int { return min(len(b.Columns), 1) - min(len(a.Columns), 1) })
			return tables
		})},
		{rule: "columns", how: "takes 999", setup: tx(func(x *twistedTx) {
			x.create = func(ctx context.Context, schema string, t warehouse.Table) error {
				if len(t.Columns) > 999 {
					return errors.New("too many columns")
				}
				return x.Tx.Create(ctx, schema, t)
			}
		}), consequences: []string{"row-size"}},
		{rule: "row-size", how: "has a limit that it does not tell", setup: tx(func(x *twistedTx) {
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
				for _, values := range copyOf(r).values {
					if len(values) > 500 && values[len(values)-1].Kind == warehouse.String {
						return 0, errors.New("the row is too long")
					}
				}
				return x.Tx.Write(ctx, schema, table, r, on)
			}
		})},
		{rule: "rows", how: "takes 10,000", setup: tx(func(x *twistedTx) {
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
				if r.Len() > 10_000 {
					return 0, errors.New("too many parameters")
				}
				return x.Tx.Write(ctx, schema, table, r, on)
			}
		})},
	}
}

// prefixing makes stores that have one schema only.
func prefixing(between string) warehousetest.Setup {
	const all = "main"
	s := tx(func(x *twistedTx) {
		x.tables = func(ctx context.Context, schema string) (tables []warehouse.Table, err error) {
			list, err := x.Tx.Tables(ctx, all)
			for _, t := range list {
				if name, ok := strings.CutPrefix(t.Name, schema+between); ok {
					t.Name = name
					tables = append(tables, t)
				}
			}
			return tables, err
		}
		x.create = func(ctx context.Context, schema string, t warehouse.Table) error {
			t.Name = schema + between + t.Name
			return x.Tx.Create(ctx, all, t)
		}
		x.add = func(ctx context.Context, schema, table string, columns []warehouse.Column) error {
			return x.Tx.AddColumns(ctx, all, schema+between+table, columns)
		}
		x.swap = func(ctx context.Context, schema, table, old, by string) error {
			return x.Tx.SwapColumn(ctx, all, schema+between+table, old, by)
		}
		x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
			return x.Tx.Write(ctx, all, schema+between+table, r, on)
		}
		x.read = func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			return x.Tx.Read(ctx, all, schema+between+table, columns, q, f)
		}
		x.delete = func(ctx context.Context, schema, table, column string, values []string) (int64, error) {
			return x.Tx.Delete(ctx, all, schema+between+table, column, values)
		}
	})
	s.Take = func(_ *testing.T, s warehouse.Store, schema, name string) error {
		return s.(*twisted).Take(all, schema+between+name)
	}
	return s
}

// remembering makes stores with prepared statements that know the kinds of columns, and
// do not hear of changes that other stores make.
func remembering() warehousetest.Setup {
	return store(func(s *twisted) {
		known := map[string]warehouse.Kind{}
		s.twist = func(x *twistedTx) {
			forget := func() { clear(known) }
			x.read = func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
				return x.Tx.Read(ctx, schema, table, columns, q, func(values []warehouse.Value) error {
					for i, v := range values {
						name := schema + "." + table + "." + columns[i]
						if kind, ok := known[name]; ok && v.Kind != warehouse.Null && kind != v.Kind {
							return errors.New("cached plan must not change result type")
						}
						if v.Kind != warehouse.Null {
							known[name] = v.Kind
						}
					}
					return f(values)
				})
			}
			x.swap = func(ctx context.Context, schema, table, old, by string) error {
				forget()
				return x.Tx.SwapColumn(ctx, schema, table, old, by)
			}
			x.rollback = func() error { forget(); return x.Tx.Rollback() }
		}
	})
}

func brokenValues() []broken {
	return []broken{
		{rule: "null", how: "has empty strings for NULL", setup: writing(func(r *rows, _ warehouse.Conflict) {
			for _, values := range r.values {
				for i := range values {
					if r.columns[i].Kind == warehouse.String && values[i].Kind == warehouse.Null {
						values[i] = warehouse.StringValue("")
					}
				}
			}
		}), more: true},
		{rule: "bool", how: "has numbers other than 0", setup: storing(func(v warehouse.Value) warehouse.Value {
			if v.Kind == warehouse.Bool {
				v.N = 1
			}
			return v
		}), consequences: []string{"null"}},
		{rule: "int", how: "has 53 bits", setup: storing(func(v warehouse.Value) warehouse.Value {
			if v.Kind == warehouse.Int {
				v.N = int64(float64(v.N) / 2 * 2)
			}
			return v
		})},
		{rule: "float", how: "has 32 bits", setup: storing(func(v warehouse.Value) warehouse.Value {
			if v.Kind == warehouse.Float && v.Float() < 1e38 && v.Float() > -1e38 {
				v = warehouse.FloatValue(float64(float32(v.Float())))
			}
			return v
		})},
		{rule: "time", how: "has milliseconds", setup: storing(func(v warehouse.Value) warehouse.Value {
			if v.Kind == warehouse.Time {
				v.N -= v.N % 1000
			}
			return v
		})},
		{rule: "string", how: "makes numbers of what looks like one", setup: storing(func(v warehouse.Value) warehouse.Value {
			var n float64
			if v.Kind == warehouse.String && json.Unmarshal([]byte(v.S), &n) == nil {
				v.S = fmt.Sprint(n)
			}
			return v
		}), consequences: []string{"swap-column"}},
		{rule: "string", how: "takes \\N for NULL", setup: storing(func(v warehouse.Value) warehouse.Value {
			if v.Kind == warehouse.String && v.S == `\N` {
				return warehouse.Value{}
			}
			return v
		})},
		{rule: "json", how: "decodes numbers", setup: storing(func(v warehouse.Value) warehouse.Value {
			var x any
			if v.Kind == warehouse.JSON && json.Unmarshal([]byte(v.S), &x) == nil {
				b, _ := json.Marshal(x)
				v.S = string(b)
			}
			return v
		})},
		{rule: "json", how: "takes null for NULL", setup: storing(func(v warehouse.Value) warehouse.Value {
			if v.Kind == warehouse.JSON && v.S == "null" {
				return warehouse.Value{}
			}
			return v
		})},
	}
}
