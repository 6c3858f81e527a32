package sqlite

import (
	"context"
	"fmt"
	"math"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/tributary-dev/analytics/warehouse"
)

// The shape of an INSERT. Up to about 6,000 variables the time per row falls, and rises
// again behind that. The bytes bound what the driver's memory holds beside its cache.
const (
	maxRows      = 256
	maxRowValues = 8192 // of a statement with several rows
	maxStatement = (1 + 3*bits64) << 20
	maxRowBytes  = (4 + 28*bits64) << 20
	sizeStep     = 4       // statements have 256, 64, 16, 4 or 1 row, so that few are kept
	keptBytes    = 1 << 20 // of texts that a statement may hold until the next rows come
)

// Write inserts with statements of many rows.
func (t *Tx) Write(ctx context.Context, schema, name string, rows warehouse.Rows, on warehouse.Conflict) (inserted int64, err error) {
	name = tableName(schema, name)
	err = t.do(ctx, "write to "+name, func(c *conn) error {
		w := writer{conn: c, name: name, rows: rows, columns: rows.Columns(), on: on}
		if err := w.check(); err != nil {
			return err
		}
		w.values = make([]warehouse.Value, len(w.columns))
		if on == warehouse.Replace {
			c.UpdateHook(w.count)
			defer c.UpdateHook(nil)
		}
		defer w.clear()
		err := w.all()
		inserted = w.inserted
		return err
	})
	if err != nil {
		return 0, err
	}
	return inserted, nil
}

// writer is one call of Write.
type writer struct {
	conn     *conn
	name     string
	rows     warehouse.Rows
	columns  []warehouse.Column
	on       warehouse.Conflict
	values   []warehouse.Value // of one row
	key      []byte
	stmt     *statement // the one that has bindings
	size     int        // its rows
	inserted int64
	clock    clock
}

// check compares the columns with those of the table: SQLite would take a text for a
// number, and where it does not, as for a key, it would be the fault of a row.
func (w *writer) check() error {
	kinds, err := w.conn.target(w.name)
	if err != nil {
		return err
	}
	for _, c := range w.columns {
		kind, ok := kinds[lower(c.Name)]
		if !ok {
			return fmt.Errorf("there is no column %q", c.Name)
		}
		if kind != c.Kind {
			return fmt.Errorf("the column %q holds %s, and the rows have %s", c.Name, kind, c.Kind)
		}
	}
	return nil
}

// count is told of each row that is inserted or replaced, which the number of changes
// does not tell apart.
func (w *writer) count(op sqlite3.AuthorizerActionCode, _, table string, _ int64) {
	if op == sqlite3.AUTH_INSERT && table == w.name {
		w.inserted++
	}
}

func (w *writer) all() error {
	most := maxRows
	for most > 1 && most*len(w.columns) > maxRowValues {
		most /= sizeStep
	}
	n := w.rows.Len()
	for from := 0; from < n; {
		size := shrink(most, n-from)
		for {
			bound, err := w.insert(from, size)
			if err != nil {
				return err
			}
			if bound == size {
				break
			}
			size = shrink(size, max(bound, 1)) // the rows are large
		}
		from += size
	}
	return nil
}

// shrink makes the size of a statement at most n.
func shrink(size, n int) int {
	for size > n {
		size /= sizeStep
	}
	return size
}

// insert writes size rows. If they are too large for one statement it does nothing, and
// returns how many would not be.
func (w *writer) insert(from, size int) (bound int, err error) {
	if size != w.size {
		w.clear()
		if w.stmt, err = w.statement(size); err != nil {
			return 0, err
		}
		w.size = size
	}
	left := maxStatement
	for i := range size {
		clear(w.values)
		w.rows.Row(from+i, w.values)
		bytes, err := w.bind(i * len(w.values))
		if err != nil {
			return 0, err
		}
		if left -= bytes; left < 0 && size > 1 {
			return i, nil
		}
	}
	if err := w.stmt.Exec(); err != nil {
		return 0, withoutText(err)
	}
	if maxStatement-left > keptBytes {
		w.clear()
	}
	if w.on == warehouse.Keep {
		w.inserted += w.conn.Changes()
	}
	return size, nil
}

// clear takes the rows out of the statement. Among the rows of one Write that is not worth
// it: a text that takes the place of another finds its memory.
func (w *writer) clear() {
	if w.stmt != nil {
		_ = w.stmt.ClearBindings()
		clear(w.stmt.bound)
	}
	w.stmt, w.size = nil, 0
}

func (w *writer) statement(size int) (*statement, error) {
	w.key = append(w.key[:0], 'w', byte(w.on))
	w.key = fmt.Appendf(w.key, "%d", size)
	w.key = appendName(w.key, w.name)
	for i := range w.columns {
		w.key = appendName(w.key, w.columns[i].Name)
	}
	s, err := w.conn.statement(w.key, size*len(w.columns), func() string { return w.sql(size) })
	if err == nil && s.bound == nil {
		s.bound = make([]bool, size*len(w.columns))
	}
	return s, err
}

// appendName adds a name to the key of a statement so that no two lists look the same.
func appendName(key []byte, name string) []byte {
	return append(append(key, 0), name...)
}

// sql is the statement. OR ROLLBACK saves SQLite the copies of pages by which it could
// undo one statement alone.
func (w *writer) sql(size int) string {
	var b strings.Builder
	names := make([]string, len(w.columns))
	sets := make([]string, 0, len(w.columns))
	for i, c := range w.columns {
		names[i] = quote(c.Name)
		if i > 0 {
			sets = append(sets, names[i]+" = excluded."+names[i])
		}
	}
	fmt.Fprintf(&b, "INSERT OR ROLLBACK INTO %s (%s) VALUES ", table(w.name), strings.Join(names, ", "))
	row := "(" + placeholders(len(names)) + ")"
	b.WriteString(row)
	for range size - 1 {
		b.WriteString(", " + row)
	}
	fmt.Fprintf(&b, " ON CONFLICT (%s) DO ", names[0])
	if w.on == warehouse.Replace && len(sets) > 0 {
		b.WriteString("UPDATE SET " + strings.Join(sets, ", "))
	} else {
		b.WriteString("NOTHING")
	}
	return b.String()
}

// bind sets the variables behind number at to the row in values. It returns the bytes of
// the row's texts.
func (w *writer) bind(at int) (bytes int, err error) {
	if w.values[0].Kind == warehouse.Null {
		return 0, errKey
	}
	s := w.stmt
	for i := range w.values {
		v := &w.values[i]
		n := at + i + 1
		if v.Kind == warehouse.Null {
			if s.bound[n-1] {
				s.bound[n-1] = false
				if err := s.BindNull(n); err != nil {
					return 0, err
				}
			}
			continue
		}
		if v.Kind != w.columns[i].Kind {
			return 0, fmt.Errorf("the column %q holds %s, and a row has %s", w.columns[i].Name, w.columns[i].Kind, v.Kind)
		}
		s.bound[n-1] = true
		switch v.Kind {
		case warehouse.Bool, warehouse.Int:
			err = s.BindInt64(n, v.N)
		case warehouse.Float:
			if f := v.Float(); math.IsInf(f, 0) || f != f {
				err = errFloat
			} else {
				err = s.BindFloat(n, f)
			}
		case warehouse.Time:
			text, ok := w.clock.put(v.N)
			if !ok {
				return 0, errTime
			}
			err = s.BindRawText(n, text)
		case warehouse.String, warehouse.JSON:
			if bytes += len(v.S); bytes > maxRowBytes {
				return 0, errLarge
			}
			err = s.BindText(n, v.S)
		}
		if err != nil {
			return 0, err
		}
	}
	return bytes, nil
}
