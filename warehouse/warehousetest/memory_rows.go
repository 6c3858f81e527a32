package warehousetest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// Write refuses values that the contract does not allow; those of a row are [analytics.Split].
func (tx *memoryTx) Write(ctx context.Context, schema, name string, rows warehouse.Rows, on warehouse.Conflict) (inserted int64, err error) {
	err = tx.change(ctx, "write to", schema, name, func(t *table) (err error) {
		inserted, err = t.writeAll(ctx, rows, on)
		return err
	})
	return inserted, err
}

func (t *table) writeAll(ctx context.Context, rows warehouse.Rows, on warehouse.Conflict) (inserted int64, err error) {
	columns := rows.Columns()
	at, err := t.columnsOf(columns)
	if err != nil {
		return 0, err
	}
	seen := map[string]bool{} // keys of this call
	values := make([]warehouse.Value, len(columns))
	for i := range rows.Len() {
		clear(values)
		rows.Row(i, values)
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		if err := checkRow(columns, values); err != nil {
			return 0, analytics.Split(fmt.Errorf("row %d: %w", i, err))
		}
		if on == warehouse.Replace {
			if seen[values[0].S] {
				return 0, fmt.Errorf("row %d has the key of another one", i)
			}
			seen[strings.Clone(values[0].S)] = true
		}
		if t.write(at, values, on) {
			inserted++
		}
	}
	return inserted, nil
}

// Read hands over the same slice each time.
func (tx *memoryTx) Read(ctx context.Context, schema, name string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
	if err := tx.ready(ctx); err != nil {
		return err
	}
	t := tx.sorted(schema, name)
	if t == nil || !t.real() {
		return fmt.Errorf("warehousetest: read %q.%q: %w", schema, name, errNoTable)
	}
	index, err := t.index(columns...)
	if err != nil {
		return fmt.Errorf("warehousetest: read %q.%q: %w", schema, name, err)
	}
	values := make([]warehouse.Value, len(columns))
	for _, key := range t.selected(q) {
		for i, c := range index {
			values[i] = at(t.rows[key], c)
		}
		if err := f(values); err != nil {
			return err
		}
		clear(values)
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// sorted returns a table whose keys are sorted once, however often it is read. A table
// that others see as well is not touched for that.
func (tx *memoryTx) sorted(schema, name string) *table {
	t := tx.now[schema][name]
	if t == nil || t.sorted != nil {
		return t
	}
	if !t.mine {
		c := *t
		t = &c
		tx.now[schema][name] = t
	}
	t.sorted = slices.Sorted(maps.Keys(t.rows))
	return t
}

// Delete refuses a column that is no String.
func (tx *memoryTx) Delete(ctx context.Context, schema, name, column string, values []string) (deleted int64, err error) {
	err = tx.change(ctx, "delete from", schema, name, func(t *table) (err error) {
		deleted, err = t.deleteAll(column, values)
		return err
	})
	return deleted, err
}
