package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// prepared are the rows of a batch for one table.
type prepared struct {
	name    string
	columns []warehouse.Column
	rows    [][]warehouse.Value
}

// reader is a store that keeps nothing but what a loader notes of itself: it reads each
// value of the other rows.
type reader struct {
	*warehousetest.Store
	keep bool // what was read last, in tables
	read int  // rows

	tables []prepared
}

func newReader(keep bool) *reader { return &reader{Store: warehousetest.NewStore(), keep: keep} }

func (s *reader) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	tx, err := s.Store.Begin(ctx, home)
	if err != nil {
		return nil, err
	}
	s.tables = nil
	return &readerTx{tx, s}, nil
}

type readerTx struct {
	warehouse.Tx
	s *reader
}

func (x *readerTx) Write(ctx context.Context, schema, table string, rows warehouse.Rows, on warehouse.Conflict) (int64, error) {
	if strings.HasPrefix(table, "_") {
		return x.Tx.Write(ctx, schema, table, rows, on)
	}
	columns := rows.Columns()
	var p *prepared
	if x.s.keep {
		var err error
		if p, err = x.s.table(table, columns); err != nil {
			return 0, err
		}
	}
	values := make([]warehouse.Value, len(columns))
	for i := range rows.Len() {
		clear(values)
		rows.Row(i, values)
		if x.s.keep {
			p.rows = append(p.rows, cloned(values))
		}
	}
	x.s.read += rows.Len()
	return int64(rows.Len()), nil
}

// table finds or adds a table of the batch, whose rows may come in parts.
func (s *reader) table(name string, columns []warehouse.Column) (*prepared, error) {
	for i := range s.tables {
		if p := &s.tables[i]; p.name == name {
			if !slices.Equal(p.columns, columns) {
				return nil, fmt.Errorf("two parts of %s have other columns", name)
			}
			return p, nil
		}
	}
	s.tables = append(s.tables, prepared{name: name, columns: slices.Clone(columns)})
	return &s.tables[len(s.tables)-1], nil
}

// cloned has texts of its own.
func cloned(values []warehouse.Value) []warehouse.Value {
	row := append([]warehouse.Value(nil), values...)
	for i := range row {
		row[i].S = strings.Clone(row[i].S)
	}
	return row
}

// source is the schema of everything.
const source = "shop"

// opened is a destination over a store, ready to be fed.
func opened(s warehouse.Store) (*warehouse.Destination, error) {
	d := &warehouse.Destination{Store: s, Source: source}
	return d, d.Open(analytics.Env{})
}
