package warehouse

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// version says which of two values is newer. Its order does not depend on that of
// loading.
type version struct {
	timestamp, received int64
	id                  string
}

func (v version) compare(w version) int {
	return cmp.Or(cmp.Compare(v.timestamp, w.timestamp), cmp.Compare(v.received, w.received), strings.Compare(v.id, w.id))
}

// object is what a load says of one row of users, accounts or a collection: for each
// column the newest value that is not null.
type object struct {
	key    string
	fields []field
	byName map[string]int // of the fields, once there are many
}

// field is a column of an object. Those without a column are in _unmapped by name.
type field struct {
	name    string
	column  *column // nil: a stray
	value   Value   // Null if it has no place in its column
	json    string  // then it is this
	version version
}

// objects folds the rows of a table by key. Keys are in byte order.
func (b *batch) objects(t *table) []*object {
	byKey := make(map[string]*object)
	for i := range t.rows {
		r := &t.rows[i]
		if r.out || b.refused[int(r.event)] {
			continue
		}
		key := r.cells[0].text // the first that fill sets
		o := byKey[key]
		if o == nil {
			o = &object{key: key}
			byKey[key] = o
		}
		for k := range r.cells[1:] {
			c := &r.cells[k+1]
			if c.column < 0 || c.kind == Null || c.column == t.std[colUUID] || c.column == t.std[colUUIDTS] {
				continue
			}
			col := t.columns[c.column]
			f := field{name: col.Name, column: col, version: r.version}
			if c.lost {
				if f.json = c.json(); col.Kind == Null {
					f.column = nil // it is not made
				}
			} else {
				f.value, _ = c.fit(col.Kind)
			}
			o.set(f)
		}
		for _, s := range t.strays[int32(i)] {
			o.set(field{name: cleanKey(s.path), json: s.json, version: r.version})
		}
	}
	list := make([]*object, 0, len(byKey))
	for _, o := range byKey {
		list = append(list, o)
	}
	slices.SortFunc(list, func(a, b *object) int { return strings.Compare(a.key, b.key) })
	return list
}

// set takes a value if none is newer.
func (o *object) set(f field) {
	if old := o.field(f.name); old != nil {
		if f.version.compare(old.version) >= 0 {
			*old = f
		}
		return
	}
	if o.byName != nil {
		o.byName[f.name] = len(o.fields)
	}
	o.fields = append(o.fields, f)
}

// fewFields are found faster without a map.
const fewFields = 32

func (o *object) field(name string) *field {
	if len(o.fields) <= fewFields {
		for i := range o.fields {
			if o.fields[i].name == name {
				return &o.fields[i]
			}
		}
		return nil
	}
	if o.byName == nil {
		o.byName = make(map[string]int)
		for i := range o.fields {
			o.byName[o.fields[i].name] = i
		}
	}
	if i, ok := o.byName[name]; ok {
		return &o.fields[i]
	}
	return nil
}

// objectsAtATime bounds what is read and written at a time.
const objectsAtATime = 2000

// upsert brings the objects of a load into their table.
func (b *batch) upsert(ctx context.Context, tx Tx, t *table) (int64, error) {
	list := b.objects(t)
	written := int64(len(list))
	for len(list) > 0 {
		n := min(len(list), objectsAtATime)
		if err := b.upsertSome(ctx, tx, t, list[:n]); err != nil {
			return 0, err
		}
		list = list[n:]
	}
	return written, nil
}

func (b *batch) upsertSome(ctx context.Context, tx Tx, t *table, list []*object) error {
	rows := &objectRows{columns: []Column{standardColumns[colID], standardColumns[colUUID], standardColumns[colUUIDTS],
		standardColumns[colUnmapped], standardColumns[colNewest]}}
	for _, c := range t.columns {
		c.place = -1
	}
	keys := make([]string, len(list))
	for i, o := range list {
		keys[i] = o.key
		for _, f := range o.fields {
			if f.column != nil && f.column.place < 0 {
				f.column.place = int32(len(rows.columns))
				rows.columns = append(rows.columns, f.column.Column)
			}
		}
	}
	if most := b.d.dialect.MaxRow; most > 0 && t.live*wideCell > most { // then rows are looked at as a whole
		for _, c := range t.columns {
			if c.live && !c.standard && c.Kind != Null && c.place < 0 {
				c.place = int32(len(rows.columns))
				rows.columns = append(rows.columns, c.Column)
			}
		}
	}
	names := make([]string, len(rows.columns))
	for i, c := range rows.columns {
		names[i] = c.Name
	}
	stored := make(map[string][]Value)
	if t.stored {
		err := tx.Read(ctx, t.source.name, t.name, names, Query{Keys: keys}, func(v []Value) error {
			v = slices.Clone(v)
			for i := range v {
				v[i].S = cloned(v[i].S)
			}
			stored[v[0].S] = v
			return nil
		})
		if err != nil {
			return err
		}
	}
	for _, o := range list {
		row, err := b.merge(t, o, rows.columns, stored[o.key])
		if err != nil {
			return fmt.Errorf("warehouse: %s.%s: _newest or _unmapped of a row is not what was written: %w", t.source.name, t.name, err)
		}
		rows.values = append(rows.values, row)
	}
	_, err := tx.Write(ctx, t.source.name, t.name, rows, Replace)
	return err
}

// objectRows are rows of objects, each as long as the columns.
type objectRows = plainRows

// The places of the columns that every row of objects has.
const (
	placeID = iota
	placeUUID
	placeUUIDTS
	placeUnmapped
	placeNewest
	placeRest
)

// merge is the row of an object: what is stored, and what the load knows better.
func (b *batch) merge(t *table, o *object, columns []Column, stored []Value) ([]Value, error) {
	row := make([]Value, len(columns))
	newest, unmapped := map[string]version{}, map[string]string{}
	if stored != nil {
		copy(row, stored)
		var err error
		if newest, err = parseNewest(stored[placeNewest].S); err != nil {
			return nil, err
		}
		if s := stored[placeUnmapped].S; s != "" && !jsontext.EachMember(s, func(key, value string) bool {
			unmapped[key] = value
			return true
		}) {
			return nil, errNotObject
		}
	}
	for i := range o.fields {
		f := &o.fields[i]
		if had, ok := newest[f.name]; ok && had.compare(f.version) > 0 {
			continue
		}
		newest[f.name] = f.version
		if delete(unmapped, f.name); f.json != "" {
			unmapped[f.name] = f.json
		}
		if f.column != nil {
			row[f.column.place] = f.value
		}
	}
	row[placeID], row[placeUUID] = StringValue(o.key), IntValue(idHash(o.key))
	row[placeUUIDTS] = Value{Kind: Time, N: b.now}
	if most := b.d.dialect.MaxRow; most > 0 {
		b.narrowObject(t, row, columns, unmapped, most)
	}
	row[placeUnmapped], row[placeNewest] = Value{}, JSONValue(formatNewest(newest))
	if len(unmapped) > 0 {
		row[placeUnmapped] = JSONValue(formatObject(unmapped))
	}
	return row, nil
}

// narrowObject moves the last values of a row to _unmapped until it fits.
func (b *batch) narrowObject(t *table, row []Value, columns []Column, unmapped map[string]string, most int) {
	width := 2*wideCell + 2*8
	for i := placeRest; i < len(row); i++ {
		w := row[i].width()
		if width += w; width <= most || columns[i].Name == standardColumns[colReceivedAt].Name {
			continue
		}
		width -= w
		c := cell{kind: row[i].Kind, n: row[i].N, text: row[i].text()}
		unmapped[columns[i].Name], row[i] = c.json(), Value{}
		b.notices.add(RowLimit, t.name, "", 1)
	}
}

// text is the value as it would be sent, without the quotes of a string.
func (v *Value) text() string {
	switch v.Kind {
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Int:
		return strconv.FormatInt(v.N, 10)
	case Float:
		return string(jsonFloat(v.Float()))
	case Time:
		return v.Time().Format("2006-01-02T15:04:05.999999Z07:00")
	}
	return v.S
}

func jsonFloat(f float64) []byte {
	b, err := json.Marshal(f)
	if err != nil {
		return []byte("null")
	}
	return b
}

var errNotObject = fmt.Errorf("not a JSON object")

// parseNewest reads [[timestamp, received, "messageId", ["column", …]], …].
func parseNewest(s string) (map[string]version, error) {
	newest := make(map[string]version)
	if s == "" {
		return newest, nil
	}
	var groups [][]json.RawMessage
	if err := json.Unmarshal([]byte(s), &groups); err != nil {
		return nil, err
	}
	for _, g := range groups {
		var v version
		var names []string
		if len(g) != 4 {
			return nil, errNotObject
		}
		for i, to := range []any{&v.timestamp, &v.received, &v.id, &names} {
			if err := json.Unmarshal(g[i], to); err != nil {
				return nil, err
			}
		}
		for _, name := range names {
			newest[name] = v
		}
	}
	return newest, nil
}

// formatNewest writes what parseNewest reads, the same for the same versions.
func formatNewest(newest map[string]version) string {
	names := make([]string, 0, len(newest))
	for name := range newest {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(newest[a].compare(newest[b]), strings.Compare(a, b))
	})
	b := []byte{'['}
	for i, name := range names {
		v := newest[name]
		if i > 0 && newest[names[i-1]] == v {
			b = append(jsontext.AppendString(append(b[:len(b)-2], ','), name), ']', ']')
			continue
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(append(b, '['), v.timestamp, 10)
		b = strconv.AppendInt(append(b, ','), v.received, 10)
		b = jsontext.AppendString(append(b, ','), v.id)
		b = append(jsontext.AppendString(append(b, ",["...), name), ']', ']')
	}
	return string(append(b, ']'))
}

func formatObject(members map[string]string) string {
	names := make([]string, 0, len(members))
	for name := range members {
		names = append(names, name)
	}
	slices.Sort(names)
	b := []byte{'{'}
	for i, name := range names {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(jsontext.AppendKey(b, name), members[name]...)
	}
	return string(append(b, '}'))
}

// cleanKey is a key or an id that every database takes.
func cleanKey(key string) string {
	return strings.ReplaceAll(key, "\x00", string(utf8.RuneError))
}
