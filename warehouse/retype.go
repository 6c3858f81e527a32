package warehouse

import (
	"context"
	"fmt"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// Retyped says what Retype did.
type Retyped struct {
	// Rows are those that had a value.
	Rows int64 `json:"rows"`

	// Restored are values of _unmapped that fit now, SetAside those that no longer do.
	Restored int64 `json:"restored"`
	SetAside int64 `json:"setAside"`
}

// retypeRows is how many rows are rewritten at a time.
const retypeRows = 5000

// retypeColumn is the name of the new column until it takes the place of the old.
const retypeColumn = "_retyped"

// Retype gives a column of Source another kind, in one transaction. Values that fit it
// are converted, as when they are loaded, and a text that is the JSON of such a value, or a
// time, becomes that; those in _unmapped that fit come back, and those that fit no longer
// go there. Loads wait meanwhile.
func (d *Destination) Retype(ctx context.Context, table, column string, kind Kind) (Retyped, error) {
	r := retype{table: table, column: column, kind: kind}
	err := d.within(ctx, func(tx Tx) error { return d.retype(ctx, tx, &r) })
	if err != nil {
		return Retyped{}, fmt.Errorf("warehouse: retype %s.%s: %w", table, column, err)
	}
	return r.done, nil
}

type retype struct {
	table, column string
	kind          Kind
	old           Kind
	key           Column
	done          Retyped
}

func (d *Destination) retype(ctx context.Context, tx Tx, r *retype) error {
	if err := r.check(ctx, tx, d.home); err != nil {
		return err
	}
	if err := tx.AddColumns(ctx, d.home, r.table, []Column{{retypeColumn, r.kind}}); err != nil {
		return err
	}
	for after := ""; ; {
		rows := plainRows{columns: []Column{r.key, {retypeColumn, r.kind}, standardColumns[colUnmapped]}}
		n := 0
		err := tx.Read(ctx, d.home, r.table, []string{"id", r.column, "_unmapped"}, Query{After: after, Limit: retypeRows}, func(v []Value) error {
			n++
			after = cloned(v[0].S)
			if row := r.row(after, v[1], v[2]); row != nil {
				rows.values = append(rows.values, row)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if len(rows.values) > 0 {
			if _, err := tx.Write(ctx, d.home, r.table, rows, Replace); err != nil {
				return err
			}
		}
		if n < retypeRows {
			break
		}
	}
	if err := tx.SwapColumn(ctx, d.home, r.table, r.column, retypeColumn); err != nil {
		return err
	}
	return d.changed(ctx, tx)
}

// changed tells all loaders that tables are not what they were.
func (d *Destination) changed(ctx context.Context, tx Tx) error {
	l := &d.loader
	if _, _, err := l.position(ctx, tx, analytics.LogID{}); err != nil {
		return err
	}
	l.forget()
	rows := plainRows{columns: positionColumns, values: [][]Value{{StringValue(rowVersion), IntValue(l.version + 1), TimeValue(time.Now())}}}
	_, err := tx.Write(ctx, d.home, tablePositions, rows, Replace)
	return err
}

// check finds the column, which must be one of data.
func (r *retype) check(ctx context.Context, tx Tx, schema string) error {
	if r.kind == Null || r.kind > JSON {
		return &analytics.InvalidError{Field: "kind", Reason: "is none of bool, int, float, time, string and json"}
	}
	tables, err := tx.Tables(ctx, schema)
	if err != nil {
		return err
	}
	for i := range tables {
		t := &tables[i]
		if t.Name != r.table || internal(t.Name) || !t.ours() {
			continue
		}
		c, ok := t.Column(r.column)
		if !ok {
			return &analytics.InvalidError{Field: "column", Reason: "is none of the table"}
		}
		for _, std := range stem(t).columns {
			if standardColumns[std].Name == c.Name {
				return &analytics.InvalidError{Field: "column", Reason: "is a standard column"}
			}
		}
		if c.Kind == r.kind {
			return &analytics.InvalidError{Field: "kind", Reason: "is the one that the column has"}
		}
		if c.Kind == Null {
			return &analytics.InvalidError{Field: "column", Reason: "is of a type that is none of the loader's"}
		}
		r.old, r.key = c.Kind, t.Columns[0]
		return nil
	}
	return &analytics.InvalidError{Field: "table", Reason: "is none of the source"}
}

// row is what a row becomes; nil if it has no value.
func (r *retype) row(key string, value, unmapped Value) []Value {
	kept := jsontext.Member(unmapped.S, r.column)
	if value.Kind == Null && kept == "" {
		return nil
	}
	r.done.Rows++
	c := cell{kind: value.Kind, n: value.N, text: value.text()}
	switch {
	case value.Kind == JSON: // which may be a number or a text
		c = cellOf(value.S)
	case value.Kind == String && r.kind == JSON && jsontext.SkipValue(value.S, 0, 0) == len(value.S) && value.S != "" && value.S[0] == '[':
		c = cellOf(value.S) // lists stand in columns of texts as what they are
	}
	if kept != "" {
		c = cellOf(kept)
	}
	v, fits := c.fit(r.kind)
	if !fits {
		v = r.parsed(c)
		fits = v.Kind != Null
	}
	switch rest := (Value{Kind: JSON, S: cloned(unmapped.S)}); {
	case fits && kept != "":
		r.done.Restored++
		return []Value{StringValue(key), owned(v), withMember(unmapped.S, r.column, "")}
	case fits:
		if unmapped.Kind == Null {
			rest = Value{}
		}
		return []Value{StringValue(key), owned(v), rest}
	case kept == "":
		r.done.SetAside++
	}
	return []Value{StringValue(key), {}, withMember(unmapped.S, r.column, c.json())}
}

// parsed reads a text as what it was before it was put into a column of texts.
func (r *retype) parsed(c cell) Value {
	if r.old != String || c.kind != String && c.kind != Time {
		return Value{}
	}
	if micros, ok := timestamp(c.text); ok && r.kind == Time {
		return Value{Kind: Time, N: micros}
	}
	if c.text == "" || jsontext.SkipValue(c.text, 0, 0) != len(c.text) || c.text[0] == '"' {
		return Value{}
	}
	was := cellOf(c.text)
	if r.kind == Int && was.kind != Int { // "7.0" would not come back as it was
		return Value{}
	}
	v, _ := was.fit(r.kind)
	return v
}

// owned does not hold on to what was read.
func owned(v Value) Value {
	v.S = cloned(v.S)
	return v
}

// cellOf is the cell of a JSON value.
func cellOf(json string) cell {
	switch json[0] {
	case '"':
		c, _ := str(json)
		return c
	case 't', 'f':
		c := cell{kind: Bool, text: json}
		if json[0] == 't' {
			c.n = 1
		}
		return c
	case 'n':
		return cell{text: json}
	case '[':
		return cell{kind: String, n: isJSON, text: json}
	case '{':
		return cell{kind: JSON, text: json}
	}
	return number(json)
}

// withMember is a JSON object with another value for a member, or without it.
func withMember(object, key, json string) Value {
	b := []byte{'{'}
	add := func(k, v string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(jsontext.AppendKey(b, k), v...)
	}
	if object != "" {
		jsontext.EachMember(object, func(k, v string) bool {
			if k != key {
				add(k, v)
			}
			return true
		})
	}
	if json != "" {
		add(key, json)
	}
	if len(b) == 1 {
		return Value{}
	}
	return JSONValue(string(append(b, '}')))
}
