package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tributary-dev/analytics/warehouse"
)

const (
	// writeRows is how many rows are asked for and copied at a time, which bounds memory.
	writeRows = 16 << 10

	// fewRows replace others without a temporary table, which costs more than they do.
	fewRows = 100

	// maxParams is the most parameters of a statement.
	maxParams = 65_535
)

// load is a Write: where to, and what.
type load struct {
	x       *tx
	conn    *pgconn.PgConn
	target  string
	rows    warehouse.Rows
	columns string
	row     []warehouse.Value
	buf     []byte
}

func (x *tx) Write(ctx context.Context, schema, table string, rows warehouse.Rows, on warehouse.Conflict) (inserted int64, err error) {
	err = x.use(ctx, "write "+schema+"."+table, duringRows, func(ctx context.Context, conn *pgconn.PgConn) error {
		l := &load{
			x: x, conn: conn, target: qualified(schema, table),
			rows: rows, columns: list(rows.Columns()), row: make([]warehouse.Value, len(rows.Columns())),
		}
		write := l.keep
		if on == warehouse.Replace {
			write = l.replace
		}
		if types := x.types[l.target]; types != nil {
			if err := checkKinds(rows.Columns(), types); err != nil {
				return err
			}
		}
		for from := 0; from < rows.Len(); from += writeRows {
			n, err := write(ctx, from, min(from+writeRows, rows.Len()))
			if err != nil {
				return err
			}
			inserted += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return inserted, nil
}

// askTypes has the server tell the columns of the target, and keep them as they are until
// the transaction ends.
func (l *load) askTypes() string { return "SELECT * FROM " + l.target + " LIMIT 0" }

// learn checks the rows against the answer to askTypes. The server does not: it takes the
// bytes of a COPY in binary format for whatever type its column has.
func (l *load) learn(answer *pgconn.ResultReader) error {
	types := make(map[string]uint32)
	for _, f := range answer.FieldDescriptions() {
		types[f.Name] = f.DataTypeOID
	}
	if _, err := answer.Close(); err != nil {
		return err
	}
	l.x.types[l.target] = types
	return checkKinds(l.rows.Columns(), types)
}

func checkKinds(columns []warehouse.Column, types map[string]uint32) error {
	for _, c := range columns {
		oid, ok := types[c.Name]
		switch kind := kindOf(oid); {
		case !ok:
			return kindError("column " + c.Name + " is missing, the rows have " + c.Kind.String())
		case kind == warehouse.Null:
			return kindError("column " + c.Name + " has a type of no kind, the rows have " + c.Kind.String())
		case kind != c.Kind:
			return kindError("column " + c.Name + " is " + kind.String() + ", the rows have " + c.Kind.String())
		}
	}
	return nil
}

// keep copies the rows that are new straight into the table, which takes half the time of
// a way through a temporary one.
func (l *load) keep(ctx context.Context, from, to int) (int64, error) {
	skip, err := l.known(ctx, from, to)
	if err != nil {
		return 0, err
	}
	if l.x.n.careful {
		return l.merge(ctx, from, to, skip, " DO NOTHING")
	}
	n, err := l.copy(ctx, l.target, from, to, skip)
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) && e.Code == uniqueViolation {
		// Either somebody else has inserted the key just now, and has committed, or
		// another index of the table is in the way. The next try will tell.
		l.x.n.careful = true
		return 0, errKeyTurnedUp
	}
	return n, err
}

// replace inserts rows or updates those that are there.
func (l *load) replace(ctx context.Context, from, to int) (int64, error) {
	if l.x.types[l.target] == nil {
		if err := l.learn(l.conn.ExecParams(ctx, l.askTypes(), nil, nil, nil, nil)); err != nil {
			return 0, err
		}
	}
	set := l.set()
	if n := to - from; n <= fewRows && n*len(l.row) <= maxParams {
		return l.values(ctx, from, to, set)
	}
	return l.merge(ctx, from, to, nil, set)
}

// set is what happens to a row that is there under Replace.
func (l *load) set() string {
	columns := l.rows.Columns()[1:]
	if len(columns) == 0 {
		return " DO NOTHING"
	}
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = quote(c.Name) + " = excluded." + quote(c.Name)
	}
	return " DO UPDATE SET " + strings.Join(parts, ", ")
}

// known marks the rows whose key is in the table, or in an earlier row.
func (l *load) known(ctx context.Context, from, to int) ([]bool, error) {
	skip := make([]bool, to-from)
	keys := make(map[string]int, to-from)
	l.buf = beginArray(l.buf[:0])
	for i := range skip {
		l.rows.Row(from+i, l.row)
		key := &l.row[0]
		if key.Kind != warehouse.String {
			continue // it is refused when it is written
		}
		if _, skip[i] = keys[key.S]; !skip[i] {
			keys[key.S] = i
			l.buf = appendValue(l.buf, key)
		}
	}
	endArray(l.buf, len(keys))
	id := quote(l.rows.Columns()[0].Name)
	var b pgconn.Batch
	if l.x.types[l.target] == nil {
		b.ExecParams(l.askTypes(), nil, nil, nil, nil)
	}
	b.ExecParams("SELECT "+id+" FROM "+l.target+" WHERE "+id+" = ANY($1)", [][]byte{l.buf}, []uint32{oidTextArray}, binaryFormat, binaryFormat)
	answers := l.conn.ExecBatch(ctx, &b)
	for answers.NextResult() {
		rows := answers.ResultReader()
		if l.x.types[l.target] == nil {
			if err := l.learn(rows); err != nil {
				_ = answers.Close() // an error of the other question has the same reason
				return nil, err
			}
			continue
		}
		for rows.NextRow() {
			if i, ok := keys[string(rows.Values()[0])]; ok {
				skip[i] = true
			}
		}
	}
	return skip, answers.Close()
}

// copy sends rows to a table by COPY and returns how many.
func (l *load) copy(ctx context.Context, target string, from, to int, skip []bool) (int64, error) {
	e := newEncoder(l.rows, from, to, skip, l.buf)
	tag, err := l.conn.CopyFrom(ctx, e, "COPY "+target+" ("+l.columns+") FROM STDIN BINARY")
	l.buf = e.stop()
	switch {
	case e.panicked != nil:
		panic(e.panicked)
	case e.wrong != nil:
		err = e.wrong
	}
	return tag.RowsAffected(), err
}

// temporary is the name of the table that merge makes, and drops at once.
const temporary = `pg_temp."analytics_load"`

// merge copies rows into a temporary table and inserts them from there.
func (l *load) merge(ctx context.Context, from, to int, skip []bool, conflict string) (int64, error) {
	err := run(ctx, l.conn, "CREATE TEMPORARY TABLE "+temporary+" ON COMMIT DROP AS SELECT "+l.columns+" FROM "+l.target+" WITH NO DATA")
	if err != nil {
		return 0, err
	}
	if _, err := l.copy(ctx, temporary, from, to, skip); err != nil {
		return 0, err
	}
	results, err := l.conn.Exec(ctx, l.insert("SELECT * FROM "+temporary, conflict)+"; DROP TABLE "+temporary).ReadAll()
	if err != nil {
		return 0, err
	}
	return parseCount(results[0].Rows[0][0])
}

// values inserts a few rows as parameters.
func (l *load) values(ctx context.Context, from, to int, conflict string) (int64, error) {
	p, err := newParams(l.rows, from, to, l.row)
	if err != nil {
		return 0, err
	}
	rows := l.conn.ExecParams(ctx, l.insert("VALUES "+placeholders(to-from, len(l.row)), conflict), p.values, p.oids, binaryFormat, binaryFormat)
	var n int64
	for rows.NextRow() {
		n = int64(binary.BigEndian.Uint64(rows.Values()[0]))
	}
	_, err = rows.Close()
	return n, err
}

// insert counts the rows that were new: an update has locked the row that it replaced,
// which is written in xmax. The alias is for a table that is called "excluded".
func (l *load) insert(source, conflict string) string {
	return "WITH loaded AS (INSERT INTO " + l.target + " AS target (" + l.columns + ") " + source +
		" ON CONFLICT (" + quote(l.rows.Columns()[0].Name) + ")" + conflict +
		" RETURNING xmax) SELECT count(*) FILTER (WHERE xmax = 0) FROM loaded"
}
