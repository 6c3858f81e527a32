package warehousetest

import (
	"context"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/warehouse"
)

// home is the schema whose lock the rules take, and where they have their tables.
const home = "shop"

// tx is a transaction and what the rules do with it. Its methods with small letters
// have to succeed.
type tx struct {
	warehouse.Tx
	t *trial
}

var bg = context.Background()

func (x *tx) tables(schema string) (tables []warehouse.Table) {
	x.t.must("Tables", func() (err error) {
		tables, err = x.Tables(bg, schema)
		return err
	})
	return tables
}

func (x *tx) create(schema, name string, columns ...warehouse.Column) {
	x.t.must("Create", func() error { return x.Create(bg, schema, warehouse.Table{Name: name, Columns: columns}) })
}

func (x *tx) addColumns(schema, name string, columns ...warehouse.Column) {
	x.t.must("AddColumns", func() error { return x.AddColumns(bg, schema, name, columns) })
}

func (x *tx) swap(schema, name, old, by string) {
	x.t.must("SwapColumn", func() error { return x.SwapColumn(bg, schema, name, old, by) })
}

// write reports a count that is not as wanted.
func (x *tx) write(schema, name string, r *rows, on warehouse.Conflict, want int64) {
	var inserted int64
	x.t.must("Write", func() (err error) {
		inserted, err = x.Write(bg, schema, name, r, on)
		return err
	})
	if inserted != want {
		x.t.errorf("Write of %d rows, %s, returns %d as inserted, want %d", r.Len(), conflict(on), inserted, want)
	}
}

func conflict(on warehouse.Conflict) string {
	if on == warehouse.Keep {
		return "Keep"
	}
	return "Replace"
}

// delete reports a count that is not as wanted.
func (x *tx) delete(schema, name, column string, want int64, values ...string) {
	var deleted int64
	x.t.must("Delete", func() (err error) {
		deleted, err = x.Delete(bg, schema, name, column, values)
		return err
	})
	if deleted != want {
		x.t.errorf("Delete with %d values returns %d, want %d", len(values), deleted, want)
	}
}

func (x *tx) read(schema, name string, columns []string, q warehouse.Query) (all [][]warehouse.Value) {
	x.t.must("Read", func() error {
		all = nil
		return x.Read(bg, schema, name, columns, q, func(values []warehouse.Value) error {
			all = append(all, kept(values))
			return nil
		})
	})
	return all
}

// kept copies what is valid during a call only.
func kept(values []warehouse.Value) []warehouse.Value {
	values = slices.Clone(values)
	for i := range values {
		values[i].S = strings.Clone(values[i].S)
	}
	return values
}

// expect reads and compares.
func (x *tx) expect(when, schema, name string, columns []string, q warehouse.Query, want ...[]warehouse.Value) {
	got := x.read(schema, name, columns, q)
	if len(got) != len(want) {
		x.t.errorf("%s: Read gives %d rows, want %d", when, len(got), len(want))
		return
	}
	for i := range want {
		if len(got[i]) != len(columns) {
			x.t.errorf("%s: row %d has %d values, want %d", when, i, len(got[i]), len(columns))
			return
		}
		for j := range want[i] {
			if !same(got[i][j], want[i][j]) {
				x.t.errorf("%s: %s of row %d is %s, want %s", when, columns[j], i, show(got[i][j]), show(want[i][j]))
			}
		}
	}
}

func (x *tx) commit() {
	x.t.must("Commit", func() error { return x.Commit(bg) })
}

func (x *tx) rollback() {
	x.t.must("Rollback", func() error { return x.Rollback() })
}

// giveUp rolls back where the connection may be gone: what counts is what comes after.
func (x *tx) giveUp() {
	_ = x.t.try("Rollback", func() error { return x.Rollback() })
}
