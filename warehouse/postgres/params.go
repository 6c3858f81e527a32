package postgres

import (
	"encoding/binary"
	"errors"
	"strconv"
	"strings"

	"github.com/tributary-dev/analytics/warehouse"
)

// params are the values of a statement, row by row.
type params struct {
	values [][]byte
	oids   []uint32
}

// newParams encodes rows as COPY does, and cuts the result.
func newParams(rows warehouse.Rows, from, to int, row []warehouse.Value) (params, error) {
	var b []byte
	columns := rows.Columns()
	for i := from; i < to; i++ {
		rows.Row(i, row)
		if err := checkRow(columns, row); err != nil {
			return params{}, err
		}
		for j := range row {
			b = appendValue(b, &row[j])
		}
	}
	p := params{}
	for len(b) > 0 {
		n := int32(binary.BigEndian.Uint32(b))
		p.oids = append(p.oids, oidOf(columns[len(p.oids)%len(columns)].Kind))
		if b = b[4:]; n < 0 {
			p.values = append(p.values, nil)
			continue
		}
		p.values = append(p.values, b[:n:n])
		b = b[n:]
	}
	return p, nil
}

// placeholders makes "($1,$2),($3,$4)".
func placeholders(rows, columns int) string {
	var sql strings.Builder
	for i := range rows * columns {
		switch {
		case i == 0:
			sql.WriteByte('(')
		case i%columns == 0:
			sql.WriteString("),(")
		default:
			sql.WriteByte(',')
		}
		sql.WriteByte('$')
		sql.WriteString(strconv.Itoa(i + 1))
	}
	sql.WriteByte(')')
	return sql.String()
}

// beginArray begins an array of text in binary format: dimensions, whether there is a
// NULL, type; then the length, which endArray sets, and the lower bound.
func beginArray(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, 0)
	b = binary.BigEndian.AppendUint32(b, oidText)
	b = binary.BigEndian.AppendUint32(b, 0)
	return binary.BigEndian.AppendUint32(b, 1)
}

func endArray(b []byte, n int) { binary.BigEndian.PutUint32(b[12:], uint32(n)) }

// textArray is an array of strings.
func textArray(values []string) []byte {
	b := beginArray(nil)
	for _, v := range values {
		b = appendValue(b, &warehouse.Value{Kind: warehouse.String, S: v})
	}
	endArray(b, len(values))
	return b
}

// parseCount reads a number that the server has sent as text.
func parseCount(text []byte) (int64, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, errors.New("the server counts in no numbers")
	}
	return n, nil
}
