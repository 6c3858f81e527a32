package warehouse

import (
	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

var (
	errNoEvent = &analytics.InvalidError{Field: "message", Reason: "is not one whole JSON object with a messageId"}
	errNoType  = &analytics.InvalidError{Field: "type", Reason: "is none that a warehouse knows"}
	errBroken  = &analytics.InvalidError{Field: "message", Reason: "is broken within properties, traits or context"}
)

// add makes the rows of an event.
func (b *batch) add(m *meta) error {
	e := &b.env
	accepted := m.accepted
	if !m.known {
		accepted = b.now
	}
	if !e.open(b.body, accepted) {
		return errNoEvent
	}
	src := b.sources[b.d.sourceOf(b.body)]
	switch e.call {
	case analytics.CallTrack:
		return b.track(src)
	case analytics.CallPage:
		return b.plain(src.table(b.d, tablePages, pageLayout), e.properties)
	case analytics.CallScreen:
		return b.plain(src.table(b.d, tableScreens, pageLayout), e.properties)
	case analytics.CallAlias:
		return b.plain(src.table(b.d, tableAliases, aliasLayout), 0)
	case analytics.CallIdentify:
		return b.traits(src, src.table(b.d, tableIdentifies, identifyLayout), tableUsers, e.userID)
	case analytics.CallGroup:
		return b.traits(src, src.table(b.d, tableGroups, groupLayout), tableAccounts, e.groupID)
	case analytics.CallObject:
		return b.object(src)
	}
	return errNoType
}

// plain makes the one row of an event.
func (b *batch) plain(t *table, at int) error {
	if !b.walk(t, at) {
		return errBroken
	}
	b.row(t, b.env.id, true)
	return nil
}

// traits makes the row of an identify or group call, and that of its user or account.
func (b *batch) traits(src *source, t *table, objects, key string) error {
	if err := b.plain(t, b.env.traits); err != nil || key == "" {
		return err
	}
	b.row(src.table(b.d, objects, objectLayout), key, true)
	return nil
}

// track makes the rows of a track call: one in the table of the event, one in tracks.
func (b *batch) track(src *source) error {
	tracks, t := src.table(b.d, tableTracks, trackLayout), src.ofEvent(b.d, b.env.event)
	b.event = ""
	if t == nil {
		b.notices.add(Unnamed, tableTracks, "", 1)
		if !b.walk(tracks, 0) {
			return errBroken
		}
	} else {
		b.event = t.name
		if !b.walk(t, b.env.properties) {
			return errBroken
		}
		b.row(t, b.env.id, true)
	}
	r := b.row(tracks, b.env.id, false)
	if r != nil && (t == nil || t.refused) {
		b.keepProperties(tracks, t, r)
	}
	return nil
}

// keepProperties keeps the properties of an event without a table in its row of tracks;
// unmade is the table that it would have, or nil.
func (b *batch) keepProperties(t, unmade *table, r *row) {
	if b.env.properties == 0 {
		return
	}
	told := b.data.nuls
	jsontext.EachMember(b.body[b.env.properties:], func(key, value string) bool {
		if value == "null" {
			return true
		}
		path := snake(key)
		value, ok := b.sift(t, path, value, b.d.only)
		if ok && unmade != nil {
			value, ok = b.sift(unmade, path, value, b.d.only)
		}
		if ok {
			b.homeless(t, r, stray{cloned(key), b.data.tidy(value)}, "")
		}
		return true
	})
	b.tell()
	if n := b.data.nuls - told; n > 0 && b.event == "" { // else walk has told it
		b.notices.add(ReplacedNUL, t.name, "", n)
	}
}

// object makes the row of an object.
func (b *batch) object(src *source) error {
	e := &b.env
	t := src.ofCollection(b.d, e.collection)
	switch {
	case t == nil:
		return &analytics.InvalidError{Field: "collection", Reason: "has no letter or digit of ASCII to name a table"}
	case t.refused:
		b.notices.add(TableLimit, t.name, "", 1)
		return &analytics.InvalidError{Field: "collection", Reason: "would be one table more than MaxTables"}
	case e.objectID == "":
		return &analytics.InvalidError{Field: "id", Reason: "is required"}
	}
	e.context = 0
	if !b.walk(t, e.properties) {
		return errBroken
	}
	b.row(t, e.objectID, true)
	return nil
}

// walk reads the containers of an event into leaves.
func (b *batch) walk(t *table, at int) bool {
	b.at = at
	b.data.reset(b.careful)
	b.context.reset(b.careful)
	ok := at == 0 || b.data.walk(t.data, b.body, at) >= 0
	if b.env.context != 0 {
		ok = ok && b.context.walk(t.source.context, b.body, b.env.context) >= 0
	}
	if ok && !b.careful && (b.data.twice || b.context.twice) {
		b.careful = true
		return b.walk(t, at)
	}
	if n := b.env.nuls + b.data.nuls + b.context.nuls; n > 0 && !b.told {
		b.told = true
		b.notices.add(ReplacedNUL, t.name, "", n)
	}
	return ok
}

// row adds a row to a table, and returns it, or nil if there is to be none. withData
// are properties or traits; the context belongs to every row.
func (b *batch) row(t *table, key string, withData bool) *row {
	if !b.admit(t) {
		return nil
	}
	t.rows = append(t.rows, row{event: b.index, version: version{b.env.timestamp, b.env.received, b.env.id}})
	r := &t.rows[len(t.rows)-1]
	if !b.fill(t, r, key, withData) { // two keys are one column
		b.careful = true
		b.walk(t, b.at)
		r.out, r.odd = false, false
		delete(t.strays, int32(len(t.rows)-1))
		b.fill(t, r, key, withData)
	}
	b.tell()
	r.cells = b.cells
	b.arena.use(len(r.cells))
	for i := range r.cells {
		if v := &r.cells[i]; v.column >= 0 && v.kind != Null {
			b.judge(t, r, t.columns[v.column], v)
		}
	}
	return r
}

// admit tells whether a table takes a row, and sees to its contract where it does not
// exist yet.
func (b *batch) admit(t *table) bool {
	switch {
	case t.skipped:
		return false
	case t.refused:
		b.notices.add(TableLimit, t.name, "", 1)
		return false
	case t.stored || t.contract == Evolve:
	case t.contract == Freeze:
		b.refuse(t, "")
		return false
	default:
		b.notices.add(DiscardedRow, t.name, "", 1)
		return false
	}
	if !t.stored {
		b.fresh = true
	}
	if !t.touched {
		t.touched = true
		b.touched = append(b.touched, t)
	}
	if t.rows == nil {
		b.lend(t)
	}
	return true
}

func (b *batch) refuse(t *table, column string) {
	b.refused[int(b.index)] = true
	b.notices.add(Refused, t.name, column, 1)
}

// fill sets the values of a row; false if two leaves are of one column, and have to be
// brought into order first.
func (b *batch) fill(t *table, r *row, key string, withData bool) bool {
	t.turn++
	b.noted = b.noted[:0]
	e := &b.env
	b.cells = b.arena.room(int(standards) + len(b.data.leaves) + len(b.context.leaves))
	b.setText(t, colID, key)
	b.setInt(t, colUUID, Int, idHash(key))
	b.setInt(t, colUUIDTS, Time, b.now)
	b.setInt(t, colReceivedAt, Time, e.received)
	if !t.layout.objects {
		b.setText(t, colAnonymousID, e.anonymousID)
		b.setText(t, colUserID, e.userID)
		b.setText(t, colGroupID, e.groupID)
		b.setText(t, colPreviousID, e.previousID)
		b.setText(t, colEvent, b.event)
		b.setText(t, colEventText, e.event)
		b.setText(t, colName, e.name)
		b.setText(t, colCategory, e.category)
		b.setInt(t, colOriginalTimestamp, Time, e.original)
		b.setInt(t, colSentAt, Time, e.sent)
		b.setInt(t, colTimestamp, Time, e.timestamp)
	}
	if withData && !b.leaves(t, r, ofData, &b.data) {
		return false
	}
	return b.leaves(t, r, ofContext, &b.context)
}

// setText sets a standard column, if the table has it and there is a text.
func (b *batch) setText(t *table, std standard, s string) {
	if at := t.std[std]; at >= 0 && s != "" {
		b.cells = append(b.cells, cell{column: at, kind: String, text: s})
	}
}

func (b *batch) setInt(t *table, std standard, kind Kind, n int64) {
	if at := t.std[std]; at >= 0 {
		b.cells = append(b.cells, cell{column: at, kind: kind, n: n})
	}
}

// given tells whether a property of a page only repeats a field of the call, as
// analytics.js has it.
func (b *batch) given(t *table, l *leaf) bool {
	switch {
	case t.layout != pageLayout:
		return false
	case l.node.path == standardColumns[colName].Name:
		return l.cell.text == b.env.name
	}
	return l.node.path == standardColumns[colCategory].Name && l.cell.text == b.env.category
}

// leaves adds the leaves of a container.
func (b *batch) leaves(t *table, r *row, container int, w *walker) bool {
	for i := range w.leaves {
		l := &w.leaves[i]
		at := t.columnOf(b.d, container, l.node)
		if at < 0 {
			switch {
			case l.cell.kind == Null:
			case at == crowded:
				b.homeless(t, r, stray{l.node.rawPath(w.trie.prefix), l.cell.json()}, ColumnLimit)
			case at == clashing && !b.given(t, l):
				b.noted = append(b.noted, Notice{Kind: ReservedName, Table: t.name, Column: l.node.path})
			}
			continue
		}
		c := t.columns[at]
		if c.turn == t.turn {
			if !b.careful {
				return false
			}
			b.cells[c.cell].column = -1
		}
		if c.turn, c.cell = t.turn, int32(len(b.cells)); c.Kind == Null {
			c.from = l.node
		}
		b.cells = append(b.cells, l.cell)
		v := &b.cells[c.cell]
		if v.column = at; v.kind == JSON {
			v.text, _ = b.sift(t, l.node.path, v.text, nil)
		}
	}
	for _, s := range w.strays {
		if b.d.loads(t, b.d.only, "") {
			b.homeless(t, r, s, Unnamed)
		}
	}
	return true
}

// homeless does with a value that no column can have what the contract says. Where it is
// kept, it is noted as why, if that says anything.
func (b *batch) homeless(t *table, r *row, s stray, why NoticeKind) {
	switch t.contract {
	case Freeze:
		b.refused[int(b.index)] = true
		why = Refused
	case DiscardRow:
		r.out = true
		why = DiscardedRow
	case DiscardValue:
		why = DiscardedValue
	default:
		t.stray(r, s)
	}
	if why != "" {
		b.noted = append(b.noted, Notice{Kind: why, Table: t.name})
	}
}

// tell counts what was noted of a row, once it is final.
func (b *batch) tell() {
	for _, n := range b.noted {
		b.notices.add(n.Kind, n.Table, n.Column, 1)
	}
	b.noted = b.noted[:0]
}

// sift is a value that is kept as JSON, without the members that have no column because of
// only and Skip; false if nothing of it passes. path is that of its column.
func (b *batch) sift(t *table, path, value string, only []string) (string, bool) {
	if !b.d.picky {
		return value, true
	}
	own := b.d.loads(t, only, path)
	if value[0] != '{' {
		return value, own
	}
	if own {
		only = nil
	} else if !b.d.loads(t, nil, path) {
		return "", false
	}
	kept := []byte{'{'}
	jsontext.EachMember(value, func(key, value string) bool {
		word := snake(key)
		if word != "" && path != "" {
			word = path + "_" + word
		}
		if value, ok := b.sift(t, word, value, only); ok {
			if len(kept) > 1 {
				kept = append(kept, ',')
			}
			kept = append(jsontext.AppendKey(kept, key), value...)
		}
		return true
	})
	return string(append(kept, '}')), own || len(kept) > 1
}

// judge sees to what has no place: a new column, or a value that does not fit.
func (b *batch) judge(t *table, r *row, c *column, v *cell) {
	switch {
	case c.Kind == v.kind, c.standard && !t.stored:
	case c.Kind != Null || c.stored: // where a column of a foreign type takes nothing
		if _, fits := v.fit(c.Kind); !fits {
			b.misplaced(t, r, c, v, Misfit)
		}
	case t.stored && t.contract != Evolve:
		b.misplaced(t, r, c, v, ColumnLimit)
	default:
		b.fresh = true
	}
}

// misplaced does with a value what the contract says.
func (b *batch) misplaced(t *table, r *row, c *column, v *cell, why NoticeKind) {
	switch t.contract {
	case Freeze:
		b.refuse(t, c.Name)
	case DiscardRow:
		b.notices.add(DiscardedRow, t.name, c.Name, 1)
		r.out = true
	case DiscardValue:
		b.notices.add(DiscardedValue, t.name, c.Name, 1)
		v.column = -1
	default:
		b.notices.add(why, t.name, c.Name, 1)
		v.lost, r.odd = true, true
	}
}
