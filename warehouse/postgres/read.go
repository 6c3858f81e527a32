package postgres

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tributary-dev/analytics/warehouse"
)

// key is the first column of every table.
const key = `"id" COLLATE "C"`

// Read streams. An error of f leaves the rest of the rows unread, but they have to come
// in before the connection can be used again: a reader who may stop says a Limit.
func (x *tx) Read(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
	var stopped error
	err := x.use(ctx, "read "+schema+"."+table, duringRows, func(ctx context.Context, conn *pgconn.PgConn) error {
		rows := query(ctx, conn, qualified(schema, table), columns, q)
		var err error
		d := decoder{row: make([]warehouse.Value, len(columns))}
		for err == nil && stopped == nil && rows.NextRow() {
			if err = d.decode(rows.FieldDescriptions(), rows.Values()); err == nil {
				stopped = f(d.row)
			}
		}
		_, closed := rows.Close()
		return errors.Join(err, closed)
	})
	if stopped != nil {
		return stopped
	}
	return err
}

func query(ctx context.Context, conn *pgconn.PgConn, target string, columns []string, q warehouse.Query) *pgconn.ResultReader {
	sql := "SELECT "
	for i, name := range columns {
		if i > 0 {
			sql += ", "
		}
		sql += quote(name)
	}
	sql += " FROM " + target
	if q.Keys != nil {
		return exec(ctx, conn, sql+` WHERE "id" = ANY($1) ORDER BY `+key, oidTextArray, textArray(q.Keys))
	}
	compare := " > "
	if q.After == "" {
		compare = " >= " // the empty key is the first one
	}
	sql += " WHERE " + key + compare + "$1 ORDER BY " + key
	if q.Limit > 0 {
		sql += " LIMIT " + strconv.Itoa(q.Limit)
	}
	return exec(ctx, conn, sql, oidText, []byte(q.After))
}

// decoder turns what the server sends into values. The strings of a row share one
// allocation.
type decoder struct {
	row  []warehouse.Value
	text []byte
}

var errType = errors.New("a column has a type that cannot be read")

func (d *decoder) decode(fields []pgconn.FieldDescription, values [][]byte) error {
	d.text = d.text[:0]
	for i, b := range values {
		kind := kindOf(fields[i].DataTypeOID)
		d.row[i] = warehouse.Value{}
		switch {
		case b == nil:
		case kind == warehouse.Null:
			return errType
		case kind == warehouse.JSON:
			d.row[i].Kind = kind
			d.text = append(d.text, b[1:]...)
		case kind == warehouse.String:
			d.row[i].Kind = kind
			d.text = append(d.text, b...)
		default:
			d.row[i] = number(kind, b)
		}
	}
	d.cut(values)
	return nil
}

// cut gives each string its part of the text.
func (d *decoder) cut(values [][]byte) {
	text, at := string(d.text), 0
	for i := range d.row {
		v := &d.row[i]
		n := len(values[i])
		switch v.Kind {
		case warehouse.JSON:
			n--
		case warehouse.String:
		default:
			continue
		}
		v.S = text[at : at+n]
		at += n
	}
}

func number(kind warehouse.Kind, b []byte) warehouse.Value {
	if kind == warehouse.Bool {
		return warehouse.BoolValue(b[0] != 0)
	}
	n := int64(binary.BigEndian.Uint64(b))
	if kind == warehouse.Time {
		n += epoch
	}
	return warehouse.Value{Kind: kind, N: n}
}

func (x *tx) Delete(ctx context.Context, schema, table, column string, values []string) (deleted int64, err error) {
	err = x.use(ctx, "delete from "+schema+"."+table, duringRows, func(ctx context.Context, conn *pgconn.PgConn) error {
		tag, err := exec(ctx, conn, "DELETE FROM "+qualified(schema, table)+" WHERE "+quote(column)+" = ANY($1)", oidTextArray, textArray(values)).Close()
		deleted = tag.RowsAffected()
		return err
	})
	return deleted, err
}
