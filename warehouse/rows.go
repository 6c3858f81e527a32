package warehouse

import (
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// count looks at the values of new columns, in rows that are kept.
func (t *table) count(b *batch) {
	if !slices.ContainsFunc(t.columns, (*column).planned) {
		return
	}
	for i := range t.rows {
		r := &t.rows[i]
		if r.out || b.refused[int(r.event)] {
			continue
		}
		for k := range r.cells {
			v := &r.cells[k]
			if v.column < 0 || v.kind == Null || v.lost {
				continue
			}
			if c := t.columns[v.column]; c.planned() {
				c.live = true
				c.seen.add(v)
				c.rows++
			}
		}
	}
}

// planned tells whether a column is not in the database.
func (c *column) planned() bool { return c.Kind == Null && !c.stored }

// settle gives new columns their kinds and returns them in the order in which they are
// made: that of their names, by which those are chosen for which there is room.
func (t *table) settle(b *batch) (added []Column) {
	var fresh []*column
	for _, c := range t.columns {
		if c.live && c.planned() {
			fresh = append(fresh, c)
		}
	}
	slices.SortFunc(fresh, func(a, b *column) int { return strings.Compare(a.Name, b.Name) })
	room := max(b.d.maxColumns()-t.live, 0)
	if len(fresh) > room {
		b.refuseColumns(t, fresh[room:])
		fresh = fresh[:room]
	}
	for _, c := range fresh {
		c.Kind = c.seen.join(c.Name)
		added = append(added, c.Column)
	}
	t.live += len(fresh)
	return added
}

// refuseColumns moves the values of columns for which there is no room to _unmapped.
func (b *batch) refuseColumns(t *table, refused []*column) {
	for _, c := range refused {
		c.live = false
	}
	for i := range t.rows {
		r := &t.rows[i]
		if r.out || b.refused[int(r.event)] {
			continue
		}
		for k := range r.cells {
			v := &r.cells[k]
			if v.column < 0 || v.kind == Null || v.lost {
				continue
			}
			if c := t.columns[v.column]; c.planned() && !c.live {
				v.lost, r.odd = true, true
				b.notices.add(ColumnLimit, t.name, c.Name, 1)
			}
		}
	}
}

// wideCell is the most bytes that a value takes in a row; longer ones stand elsewhere.
const wideCell = 24

// width is what MaxRow counts.
func (v *Value) width() int {
	switch v.Kind {
	case Null:
		return 0
	case String:
		return min((len(v.S)+8)&^7, wideCell)
	case JSON:
		return wideCell
	}
	return 8
}

// narrowRows sees to rows of events that are too wide.
func (b *batch) narrowRows(t *table) {
	most := b.d.dialect.MaxRow
	if most == 0 {
		return
	}
	for i := range t.rows {
		if r := &t.rows[i]; len(r.cells)*wideCell > most {
			b.narrow(t, r, most)
		}
	}
}

// narrow moves the last values of a row to _unmapped until it fits.
func (b *batch) narrow(t *table, r *row, most int) {
	width := 2 * wideCell // of _unmapped
	for i := range r.cells {
		c := &r.cells[i]
		if c.column < 0 || c.lost {
			continue
		}
		v, _ := c.fit(t.columns[c.column].Kind)
		if width += v.width(); width <= most || t.columns[c.column].standard {
			continue
		}
		width -= v.width()
		c.lost, r.odd = true, true
		b.notices.add(RowLimit, t.name, "", 1)
	}
}

// eventRows are the rows of an event table that are loaded. They do not change when the
// table gets further rows and columns.
type eventRows struct {
	table    *table
	columns  []Column
	kept     []int32 // which of rows
	rows     []row
	strays   map[int32][]stray
	known    []*column // of the table; of them only names are read
	place    []int32   // of each among columns; -1: not written
	unmapped int32     // the place of _unmapped; -1: not written
}

func (e *eventRows) Columns() []Column { return e.columns }
func (e *eventRows) Len() int          { return len(e.kept) }

// Row sets into to the values of a row.
func (e *eventRows) Row(i int, into []Value) {
	clear(into)
	r := &e.rows[e.kept[i]]
	for k := range r.cells {
		c := &r.cells[k]
		if c.column < 0 || c.lost || c.kind == Null {
			continue
		}
		at := e.place[c.column]
		into[at], _ = c.fit(e.columns[at].Kind)
	}
	if r.odd && e.unmapped >= 0 {
		into[e.unmapped] = JSONValue(string(e.homeless(e.kept[i])))
	}
}

// homeless is what row i keeps that has no place.
func (e *eventRows) homeless(i int32) []byte {
	r := &e.rows[i]
	b := []byte{'{'}
	member := func(key, value string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(jsontext.AppendKey(b, key), value...)
	}
	for k := range r.cells {
		if c := &r.cells[k]; c.lost && c.column >= 0 {
			member(e.known[c.column].Name, c.json())
		}
	}
	for _, s := range e.strays[i] {
		member(cleanKey(s.path), s.json)
	}
	return append(b, '}')
}

// keeps tells whether a table has a row that is loaded.
func (t *table) keeps(b *batch) bool {
	return slices.ContainsFunc(t.rows, func(r row) bool { return !r.out && !b.refused[int(r.event)] })
}

// kept are the rows of a table that are loaded, with the columns that they use. The key
// comes first.
func (b *batch) kept(t *table) *eventRows {
	e := &eventRows{table: t, rows: t.rows, strays: t.strays, known: t.columns, unmapped: -1}
	e.place = make([]int32, len(t.columns))
	for i := range e.place {
		e.place[i] = -1
	}
	use := func(at int32) {
		if e.place[at] < 0 {
			e.place[at] = int32(len(e.columns))
			e.columns = append(e.columns, t.columns[at].Column)
		}
	}
	use(t.std[colID])
	e.kept = make([]int32, 0, len(t.rows))
	for i := range t.rows {
		r := &t.rows[i]
		if r.out || b.refused[int(r.event)] {
			continue
		}
		e.kept = append(e.kept, int32(i))
		for k := range r.cells {
			if c := &r.cells[k]; c.column >= 0 && !c.lost && c.kind != Null {
				use(c.column)
			}
		}
		if at := t.std[colUnmapped]; r.odd && at >= 0 {
			use(at)
			e.unmapped = e.place[at]
		}
	}
	return e
}
