package sqlite

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/tributary-dev/analytics/warehouse"
)

// Read reads in the order of the index of the key.
func (t *Tx) Read(ctx context.Context, schema, name string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
	name = tableName(schema, name)
	var stopped error
	before, whole := t.err, true
	err := t.do(ctx, "read "+name, func(c *conn) error {
		defer func() { whole = !c.GetAutocommit() }()
		key, err := c.keyOf(name)
		if err != nil {
			return err
		}
		r := reader{conn: c, name: name, key: key, columns: columns, f: f}
		err = r.read(q)
		if r.stopped != nil {
			stopped, err = r.stopped, nil
		}
		return err
	})
	if whole && !t.over {
		t.err = before // reading changes nothing
	}
	if stopped != nil {
		return stopped
	}
	return err
}

// keyOf is the first column of a table.
func (c *conn) keyOf(name string) (key string, err error) {
	err = c.rows("SELECT name FROM pragma_table_xinfo(?, 'main') WHERE cid = 0", []string{name}, func(s *sqlite3.Stmt) error {
		key = s.ColumnText(0)
		return nil
	})
	if err == nil && key == "" {
		err = errNoTable
	}
	return key, err
}

// reader is one call of Read.
type reader struct {
	conn    *conn
	name    string
	key     string
	columns []string
	f       func([]warehouse.Value) error
	stopped error // what f said

	kinds  []warehouse.Kind
	values []warehouse.Value
}

func (r *reader) read(q warehouse.Query) error {
	if q.Keys == nil {
		limit := -1
		if q.Limit > 0 {
			limit = q.Limit
		}
		condition := "> ?"
		if q.After == "" { // a key may be empty as well
			condition = ">= ?"
		}
		return r.run(condition, []string{q.After}, limit)
	}
	keys := slices.Compact(slices.Sorted(slices.Values(q.Keys)))
	for _, some := range groups(keys) {
		if err := r.run("IN ("+placeholders(len(some))+")", some, -1); err != nil {
			return err
		}
	}
	return nil
}

// run reads the rows whose key meets a condition.
func (r *reader) run(condition string, values []string, limit int) error {
	key := appendName(append([]byte("r"), condition...), strconv.Itoa(limit))
	key = appendName(key, r.name)
	for _, column := range r.columns {
		key = appendName(key, column)
	}
	s, err := r.conn.statement(key, len(values)+len(r.columns), func() string {
		names := make([]string, len(r.columns))
		for i, column := range r.columns {
			names[i] = quote(column)
		}
		return fmt.Sprintf("SELECT %s FROM %s WHERE %s %s ORDER BY %[5]s LIMIT %[6]d",
			strings.Join(names, ", "), table(r.name), quote(r.key), condition, quote(r.key), limit)
	})
	if err != nil {
		return err
	}
	return each(s.Stmt, values, r.row)
}

// row hands over a row.
func (r *reader) row(s *sqlite3.Stmt) error {
	if r.kinds == nil {
		r.kinds = make([]warehouse.Kind, len(r.columns))
		r.values = make([]warehouse.Value, len(r.columns))
		for i := range r.kinds {
			r.kinds[i] = kindOf(s.ColumnDeclType(i))
		}
	}
	for i, kind := range r.kinds {
		var ok bool
		if r.values[i], ok = value(s, i, kind); !ok {
			// It is not said of which row: a key is a value, and errors are logged.
			return fmt.Errorf("the column %q holds %s, and a row has something else there, where typeof(%s) = '%s'",
				r.columns[i], kind, quote(r.columns[i]), typeNames[s.ColumnType(i)])
		}
	}
	r.stopped = r.f(r.values)
	return r.stopped
}

// typeNames are what SQLite's typeof says.
var typeNames = map[sqlite3.Datatype]string{
	sqlite3.INTEGER: "integer", sqlite3.FLOAT: "real", sqlite3.TEXT: "text", sqlite3.BLOB: "blob",
}

// value is that of a column as a kind. Somebody else may have written what is none of
// it: ok is false then, unless nothing is lost. As NULL it would be lost where the row is
// written again. A column of a type that we do not make has no values.
func value(s *sqlite3.Stmt, i int, kind warehouse.Kind) (v warehouse.Value, ok bool) {
	typ := s.ColumnType(i)
	switch {
	case typ == sqlite3.NULL, kind == warehouse.Null:
		return warehouse.Value{}, true
	case typ == sqlite3.BLOB:
	case kind == warehouse.String, kind == warehouse.JSON:
		return warehouse.Value{Kind: kind, S: s.ColumnText(i)}, true
	case kind == warehouse.Time && typ == sqlite3.TEXT:
		micros, ok := parseTime(s.ColumnText(i))
		return warehouse.Value{Kind: kind, N: micros}, ok
	case kind == warehouse.Int && typ == sqlite3.INTEGER:
		return warehouse.IntValue(s.ColumnInt64(i)), true
	case kind == warehouse.Bool && typ == sqlite3.INTEGER:
		n := s.ColumnInt64(i)
		return warehouse.Value{Kind: kind, N: n}, n == 0 || n == 1
	case kind == warehouse.Float && (typ == sqlite3.FLOAT || typ == sqlite3.INTEGER):
		f := s.ColumnFloat(i)
		return warehouse.FloatValue(f), !math.IsInf(f, 0)
	}
	return warehouse.Value{}, false
}

// Delete removes rows by the values of a column.
func (t *Tx) Delete(ctx context.Context, schema, name, column string, values []string) (deleted int64, err error) {
	name = tableName(schema, name)
	err = t.do(ctx, "delete from "+name, func(c *conn) error {
		for _, some := range groups(values) {
			n, err := c.delete(name, column, some)
			if err != nil {
				return err
			}
			deleted += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}

func (c *conn) delete(name, column string, values []string) (int64, error) {
	key := appendName(appendName(fmt.Appendf(nil, "d%d", len(values)), name), column)
	s, err := c.statement(key, len(values), func() string {
		return fmt.Sprintf("DELETE FROM %s WHERE %s IN (%s)", table(name), quote(column), placeholders(len(values)))
	})
	if err != nil {
		return 0, err
	}
	if err := each(s.Stmt, values, func(*sqlite3.Stmt) error { return nil }); err != nil {
		return 0, err
	}
	return c.Changes(), nil
}

// groups cuts values into lists for IN, of few lengths, so that few statements are kept:
// the last value is there again until one is reached.
func groups(values []string) (all [][]string) {
	const most = 4096
	for len(values) > most {
		all = append(all, values[:most])
		values = values[most:]
	}
	if len(values) == 0 {
		return all
	}
	n := 1
	for n < len(values) {
		n *= 8
	}
	last := slices.Clone(values)
	for len(last) < n {
		last = append(last, values[len(values)-1])
	}
	return append(all, last)
}
