package warehousetest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/warehouse"
)

// table is a table in memory. Rows may be shorter than columns: the rest is NULL. A row
// never changes; another one takes its place.
type table struct {
	columns []warehouse.Column
	rows    map[string][]warehouse.Value
	sorted  []string // the keys; nil if nobody has asked
	mine    bool     // belongs to a transaction that may change it
}

// real tells whether it is a table, and not something else that has its name.
func (t *table) real() bool { return len(t.columns) > 0 }

// own returns a copy that may be changed.
func (t *table) own() *table {
	return &table{columns: slices.Clone(t.columns), rows: maps.Clone(t.rows), sorted: t.sorted, mine: true}
}

// behind returns the keys behind after, in byte order; all if it is empty.
func (t *table) behind(after string) []string {
	if after == "" {
		return t.sorted
	}
	i, found := slices.BinarySearch(t.sorted, after)
	if found {
		i++
	}
	return t.sorted[i:]
}

// index finds columns by their names.
func (t *table) index(names ...string) ([]int, error) {
	places := make(map[string]int, len(t.columns))
	for i, c := range t.columns {
		places[c.Name] = i
	}
	at := make([]int, len(names))
	for i, name := range names {
		place, ok := places[name]
		if !ok {
			return nil, fmt.Errorf("there is no column %q, or it is named twice", name)
		}
		at[i] = place
		delete(places, name)
	}
	return at, nil
}

func (t *table) column(name string) (warehouse.Column, bool) {
	of := warehouse.Table{Columns: t.columns}
	return of.Column(name)
}

// add puts columns behind the others.
func (t *table) add(columns []warehouse.Column, d warehouse.Dialect) error {
	for _, c := range columns {
		if _, ok := t.column(c.Name); ok {
			return fmt.Errorf("there is a column %q already", c.Name)
		}
		if err := checkName(c.Name, d); err != nil {
			return err
		}
		if c.Kind == warehouse.Null || c.Kind > warehouse.JSON {
			return fmt.Errorf("the column %q has the kind %s", c.Name, c.Kind)
		}
		t.columns = append(t.columns, c)
	}
	if len(t.columns) > maxColumns(d) {
		return fmt.Errorf("%d columns are too many", len(t.columns))
	}
	return nil
}

// swap drops old and gives its name to by.
func (t *table) swap(old, by string) error {
	at, err := t.index(old, by)
	if err != nil {
		return err
	}
	if at[0] == 0 || at[1] == 0 {
		return errors.New("the key cannot be swapped")
	}
	t.columns[at[1]].Name = old
	t.columns = slices.Delete(t.columns, at[0], at[0]+1)
	for key, row := range t.rows {
		if at[0] < len(row) {
			t.rows[key] = slices.Concat(row[:at[0]], row[at[0]+1:])
		}
	}
	return nil
}

// write inserts or replaces one row. at says which columns the values are for.
func (t *table) write(at []int, values []warehouse.Value, on warehouse.Conflict) (inserted bool) {
	old, exists := t.rows[values[0].S]
	if exists && on == warehouse.Keep {
		return false
	}
	row := make([]warehouse.Value, len(t.columns))
	copy(row, old)
	for i, v := range values {
		v.S = strings.Clone(v.S)
		row[at[i]] = v
	}
	t.rows[row[0].S] = row
	if !exists {
		t.sorted = nil
	}
	return !exists
}

// at returns column i of a row.
func at(row []warehouse.Value, i int) warehouse.Value {
	if i < len(row) {
		return row[i]
	}
	return warehouse.Value{}
}

func maxName(d warehouse.Dialect) int {
	if d.MaxName == 0 {
		return 63
	}
	return d.MaxName
}

func maxColumns(d warehouse.Dialect) int {
	if d.MaxColumns == 0 {
		return 1000
	}
	return d.MaxColumns
}

func checkName(name string, d warehouse.Dialect) error {
	if name == "" || len(name) > maxName(d) {
		return fmt.Errorf("the name %q has %d bytes, want 1 to %d", name, len(name), maxName(d))
	}
	return nil
}
