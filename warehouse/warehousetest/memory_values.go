package warehousetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/warehouse"
)

var (
	firstTime = time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	lastTime  = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()
)

// columnsOf finds the columns of rows in the table.
func (t *table) columnsOf(columns []warehouse.Column) ([]int, error) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	at, err := t.index(names...)
	if err != nil {
		return nil, err
	}
	if len(at) == 0 || at[0] != 0 {
		return nil, errors.New("the first column of the rows is not the key")
	}
	for i, c := range columns {
		if have := t.columns[at[i]].Kind; c.Kind != have {
			return nil, fmt.Errorf("the column %q holds %s and not %s", c.Name, have, c.Kind)
		}
	}
	return at, nil
}

// checkRow says what is wrong with a row, without its values.
func checkRow(columns []warehouse.Column, values []warehouse.Value) error {
	if values[0].Kind == warehouse.Null {
		return errors.New("the key is NULL")
	}
	for i, v := range values {
		if v.Kind == warehouse.Null {
			continue
		}
		if v.Kind != columns[i].Kind {
			return fmt.Errorf("the column %q has a value of kind %s, want %s", columns[i].Name, v.Kind, columns[i].Kind)
		}
		if !valid(v) {
			return fmt.Errorf("the column %q has a value that no %s is", columns[i].Name, v.Kind)
		}
	}
	return nil
}

// valid tells whether a value is what its kind says.
func valid(v warehouse.Value) bool {
	switch v.Kind {
	case warehouse.Bool:
		return v.N == 0 || v.N == 1
	case warehouse.Float:
		return !math.IsNaN(v.Float()) && !math.IsInf(v.Float(), 0)
	case warehouse.Time:
		return v.N >= firstTime && v.N <= lastTime
	case warehouse.String:
		return utf8.ValidString(v.S) && !strings.Contains(v.S, "\x00")
	case warehouse.JSON:
		return utf8.ValidString(v.S) && json.Valid([]byte(v.S)) && !hasNUL(v.S)
	}
	return true
}

// hasNUL tells whether a string of a JSON text has a NUL: \u0000 behind an even number
// of backslashes.
func hasNUL(text string) bool {
	for {
		i := strings.Index(text, `\u0000`)
		if i < 0 {
			return false
		}
		before := len(text[:i]) - len(strings.TrimRight(text[:i], `\`))
		if before%2 == 0 {
			return true
		}
		text = text[i+1:]
	}
}

// selected returns the keys of the rows that q describes.
func (t *table) selected(q warehouse.Query) []string {
	if q.Keys == nil {
		keys := t.behind(q.After)
		if q.Limit > 0 && len(keys) > q.Limit {
			keys = keys[:q.Limit]
		}
		return keys
	}
	keys := slices.Clone(q.Keys)
	slices.Sort(keys)
	keys = slices.Compact(keys)
	return slices.DeleteFunc(keys, func(k string) bool { return t.rows[k] == nil })
}

// deleteAll removes the rows whose column has one of the values.
func (t *table) deleteAll(column string, values []string) (deleted int64, err error) {
	index, err := t.index(column)
	if err != nil {
		return 0, err
	}
	if kind := t.columns[index[0]].Kind; kind != warehouse.String {
		return 0, fmt.Errorf("the column %q holds %s and not string", column, kind)
	}
	gone := make(map[string]bool, len(values))
	for _, v := range values {
		gone[v] = true
	}
	for key, row := range t.rows {
		if v := at(row, index[0]); v.Kind == warehouse.String && gone[v.S] {
			delete(t.rows, key)
			deleted++
		}
	}
	if deleted > 0 {
		t.sorted = nil
	}
	return deleted, nil
}
