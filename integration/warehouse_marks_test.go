package integration

import (
	"context"
	"strings"

	"github.com/tributary-dev/analytics/warehouse"
)

// markedStore says what is done in a store.
type markedStore struct {
	warehouse.Store
	signs *beacon
}

func (s *markedStore) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	tx, err := s.Store.Begin(ctx, home)
	if err != nil {
		return nil, err
	}
	return &markedTx{Tx: tx, signs: s.signs}, nil
}

// markedTx marks nothing until something is written: transactions that only read are
// none of a load.
type markedTx struct {
	warehouse.Tx
	signs  *beacon
	writes bool
}

func (x *markedTx) mark(m byte) {
	if !x.writes {
		x.writes = true
		x.signs.mark(markBegun)
	}
	x.signs.mark(m)
}

func (x *markedTx) Create(ctx context.Context, schema string, t warehouse.Table) error {
	x.mark(markTables)
	return x.Tx.Create(ctx, schema, t)
}

func (x *markedTx) AddColumns(ctx context.Context, schema, table string, columns []warehouse.Column) error {
	x.mark(markTables)
	return x.Tx.AddColumns(ctx, schema, table, columns)
}

func (x *markedTx) Write(ctx context.Context, schema, table string, rows warehouse.Rows, on warehouse.Conflict) (int64, error) {
	x.mark(markRows)
	return x.Tx.Write(ctx, schema, table, rows, on)
}

func (x *markedTx) Commit(ctx context.Context) error {
	if !x.writes {
		return x.Tx.Commit(ctx)
	}
	x.signs.mark(markCommit)
	err := x.Tx.Commit(ctx)
	x.signs.mark(markDone)
	return err
}

// tornStore does what a warehouse must not: it commits the position first, and the rows
// in a transaction of their own. The test has to find out.
type tornStore struct {
	warehouse.Store
	signs *beacon
}

func (s *tornStore) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	tx, err := s.Store.Begin(ctx, home)
	if err != nil {
		return nil, err
	}
	return &tornTx{Tx: tx, store: s, home: home}, nil
}

type tornTx struct {
	warehouse.Tx
	store *tornStore
	home  string
	later []func(context.Context, warehouse.Tx) error
}

// Write keeps a copy of rows that are not of the journal.
func (x *tornTx) Write(ctx context.Context, schema, table string, rows warehouse.Rows, on warehouse.Conflict) (int64, error) {
	if strings.HasPrefix(table, "_") {
		return x.Tx.Write(ctx, schema, table, rows, on)
	}
	kept := copyRows(rows)
	x.later = append(x.later, func(ctx context.Context, tx warehouse.Tx) error {
		_, err := tx.Write(ctx, schema, table, kept, on)
		return err
	})
	return int64(rows.Len()), nil
}

func (x *tornTx) Commit(ctx context.Context) error {
	if err := x.Tx.Commit(ctx); err != nil || len(x.later) == 0 {
		return err
	}
	x.store.signs.mark(markTorn)
	tx, err := x.store.Store.Begin(ctx, x.home)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, and before it there is an error already
	for _, write := range x.later {
		if err := write(ctx, tx); err != nil {
			return err
		}
	}
	return tx.Commit(ctx)
}

// copiedRows are rows that outlive Write.
type copiedRows struct {
	columns []warehouse.Column
	values  [][]warehouse.Value
}

func copyRows(rows warehouse.Rows) *copiedRows {
	c := &copiedRows{columns: append([]warehouse.Column(nil), rows.Columns()...)}
	for i := range rows.Len() {
		values := make([]warehouse.Value, len(c.columns))
		rows.Row(i, values)
		for k := range values {
			values[k].S = strings.Clone(values[k].S)
		}
		c.values = append(c.values, values)
	}
	return c
}

func (c *copiedRows) Columns() []warehouse.Column       { return c.columns }
func (c *copiedRows) Len() int                          { return len(c.values) }
func (c *copiedRows) Row(i int, into []warehouse.Value) { copy(into, c.values[i]) }
