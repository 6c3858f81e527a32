package warehousetest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/warehouse"
)

// rows are what the rules write.
type rows struct {
	columns []warehouse.Column
	values  [][]warehouse.Value
	called  func(i int) // before row i is handed over; may be nil
}

// Columns are those of the values.
func (r *rows) Columns() []warehouse.Column { return r.columns }

// Len counts the rows.
func (r *rows) Len() int { return len(r.values) }

// Row hands over row i.
func (r *rows) Row(i int, into []warehouse.Value) {
	if len(into) != len(r.columns) {
		panic(fmt.Sprintf("Row is given room for %d values, want %d", len(into), len(r.columns)))
	}
	if r.called != nil {
		r.called(i)
	}
	copy(into, r.values[i])
}

func rowsOf(columns []warehouse.Column, values ...[]warehouse.Value) *rows {
	return &rows{columns: columns, values: values}
}

// column is a Column written as "name:kind", or "name" for a String.
func column(text string) warehouse.Column {
	name, kind, ok := strings.Cut(text, ":")
	c := warehouse.Column{Name: name, Kind: warehouse.String}
	if !ok {
		return c
	}
	if err := c.Kind.UnmarshalText([]byte(kind)); err != nil {
		panic(err) // a bug of the kit
	}
	return c
}

func columns(texts ...string) []warehouse.Column {
	list := make([]warehouse.Column, len(texts))
	for i, text := range texts {
		list[i] = column(text)
	}
	return list
}

func names(columns []warehouse.Column) []string {
	list := make([]string, len(columns))
	for i, c := range columns {
		list[i] = c.Name
	}
	return list
}

// text is the JSON of a value.
type text string

// row makes a row of what Go has: nil is NULL.
func row(values ...any) []warehouse.Value {
	list := make([]warehouse.Value, len(values))
	for i, v := range values {
		list[i] = value(v)
	}
	return list
}

func value(v any) warehouse.Value {
	switch v := v.(type) {
	case nil:
		return warehouse.Value{}
	case warehouse.Value:
		return v
	case bool:
		return warehouse.BoolValue(v)
	case int:
		return warehouse.IntValue(int64(v))
	case int64:
		return warehouse.IntValue(v)
	case float64:
		return warehouse.FloatValue(v)
	case time.Time:
		return warehouse.TimeValue(v)
	case string:
		return warehouse.StringValue(v)
	case text:
		return warehouse.JSONValue(string(v))
	}
	panic(fmt.Sprintf("no value is made of %T", v)) // a bug of the kit
}

// same compares values: floats as numbers, since -0 may come back as 0, and JSON by
// what it says.
func same(a, b warehouse.Value) bool {
	if a.Kind != b.Kind {
		return false
	}
	switch a.Kind {
	case warehouse.Null:
		return true
	case warehouse.Float:
		return a.Float() == b.Float()
	case warehouse.String:
		return a.S == b.S
	case warehouse.JSON:
		return sameJSON(a.S, b.S)
	}
	return a.N == b.N
}

func sameJSON(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := decode(a)
	y, errY := decode(b)
	return errX == nil && errY == nil && alike(x, y)
}

// decode reads one JSON value with the digits of its numbers.
func decode(text string) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("more behind the value")
	}
	return v, nil
}

// alike compares decoded JSON. 1e2 and 100 are the same number.
func alike(a, b any) bool {
	switch a := a.(type) {
	case map[string]any:
		b, ok := b.(map[string]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for k, v := range a {
			if w, ok := b[k]; !ok || !alike(v, w) {
				return false
			}
		}
		return true
	case []any:
		b, ok := b.([]any)
		if !ok || len(a) != len(b) {
			return false
		}
		for i := range a {
			if !alike(a[i], b[i]) {
				return false
			}
		}
		return true
	case json.Number:
		b, ok := b.(json.Number)
		return ok && (a == b || sameNumber(string(a), string(b)))
	}
	return a == b
}

func sameNumber(a, b string) bool {
	x, okX := new(big.Rat).SetString(a)
	y, okY := new(big.Rat).SetString(b)
	return okX && okY && x.Cmp(y) == 0
}

// show is a value in a finding: the kit's own, so there is nothing to hide.
func show(v warehouse.Value) string {
	switch v.Kind {
	case warehouse.Null:
		return "NULL"
	case warehouse.Bool:
		return fmt.Sprint(v.Bool())
	case warehouse.Int:
		return fmt.Sprint(v.N)
	case warehouse.Float:
		return fmt.Sprint(v.Float())
	case warehouse.Time:
		return v.Time().Format(time.RFC3339Nano)
	}
	const most = 40
	if len(v.S) <= most {
		return fmt.Sprintf("%s %q", v.Kind, v.S)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(v.S[cut]) {
		cut--
	}
	return fmt.Sprintf("%s %q… of %d bytes", v.Kind, v.S[:cut], len(v.S))
}
