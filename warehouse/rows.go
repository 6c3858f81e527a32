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
		for k := r.from; k < r.to; k++ {
			v := &t.cells[k]
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

// settle gives new columns their kinds, finds rows that are too wide, and returns the
// columns that are new in the order in which they are made: that of their names, by which
// those are chosen for which there is room.
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
	if most := b.d.dialect.MaxRow; most > 0 && !t.layout.objects {
		for i := range t.rows {
			if r := &t.rows[i]; int(r.to-r.from)*wideCell > most {
				b.narrow(t, r, most)
			}
		}
	}
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
		for k := r.from; k < r.to; k++ {
			v := &t.cells[k]
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

// narrow moves the last values of a row to _unmapped until it fits.
func (b *batch) narrow(t *table, r *row, most int) {
	width := 2 * wideCell // of _unmapped
	for i := r.from; i < r.to; i++ {
		c := &t.cells[i]
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

// eventRows are the rows of an event table.
type eventRows struct {
	t       *table
	columns []Column
	rows    []int32
}

func (e *eventRows) Columns() []Column { return e.columns }
func (e *eventRows) Len() int          { return len(e.rows) }

// Row sets into to the values of a row.
func (e *eventRows) Row(i int, into []Value) {
	clear(into)
	t := e.t
	r := &t.rows[e.rows[i]]
	for k := r.from; k < r.to; k++ {
		c := &t.cells[k]
		if c.column < 0 || c.lost || c.kind == Null {
			continue
		}
		col := t.columns[c.column]
		into[col.place], _ = c.fit(col.Kind)
	}
	if r.odd {
		if at := t.std[colUnmapped]; at >= 0 {
			into[t.columns[at].place] = JSONValue(string(t.unmapped(e.rows[i])))
		}
	}
}

// unmapped is what row i keeps that has no place.
func (t *table) unmapped(i int32) []byte {
	r := &t.rows[i]
	b := []byte{'{'}
	member := func(key, value string) {
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(jsontext.AppendKey(b, key), value...)
	}
	for k := r.from; k < r.to; k++ {
		if c := &t.cells[k]; c.lost && c.column >= 0 {
			member(t.columns[c.column].Name, c.json())
		}
	}
	for _, s := range t.strays[i] {
		member(cleanKey(s.path), s.json)
	}
	return append(b, '}')
}

// kept are the rows of a table that are loaded, with the columns that they use. The key
// comes first.
func (b *batch) kept(t *table) *eventRows {
	e := &eventRows{t: t}
	for _, c := range t.columns {
		c.place = -1
	}
	use := func(at int32) {
		if c := t.columns[at]; c.place < 0 {
			c.place = int32(len(e.columns))
			e.columns = append(e.columns, c.Column)
		}
	}
	use(t.std[colID])
	for i := range t.rows {
		r := &t.rows[i]
		if r.out || b.refused[int(r.event)] {
			continue
		}
		e.rows = append(e.rows, int32(i))
		for k := r.from; k < r.to; k++ {
			if c := &t.cells[k]; c.column >= 0 && !c.lost && c.kind != Null {
				use(c.column)
			}
		}
		if r.odd && t.std[colUnmapped] >= 0 {
			use(t.std[colUnmapped])
		}
	}
	return e
}
