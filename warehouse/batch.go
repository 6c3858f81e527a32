package warehouse

import (
	"cmp"
	"maps"
	"slices"
	"unsafe"

	"github.com/tributary-dev/analytics"
)

// batch turns the events of a load into rows of tables. It knows the tables of the
// database, asks it nothing and writes nothing.
type batch struct {
	d       *Destination
	sources map[string]*source
	now     int64 // uuid_ts

	refused map[int]bool  // events that a contract refuses
	invalid map[int]error // events that are none
	notices notices
	noted   []Notice // of the row at work
	events  int
	touched []*table
	fresh   bool    // there is a table or a column that is not in the database
	arena   arena   // the cells of all rows
	spare   [][]row // memory of tables that were loaded before
	room    int     // rows that it has room for

	decided struct { // what no further pass changes
		events  int
		notices notices
		cells   mark
	}
	part, partRows int // zero: the constants of that name

	// Of the event at work:
	index         int32
	body          string
	env           envelope
	data, context walker
	cells         []cell // of the row at work, in the arena
	at            int    // where data begins
	event         string // what the column event holds
	careful       bool   // the leaves are in the order of their keys, the later ones count
	told          bool   // that a NUL was replaced
}

// meta travels with an event from TranslateRaw to Deliver.
type meta struct {
	accepted int64 // microseconds
	seq      uint64
	known    bool // the two above
}

// The rows of a load are offered to the database in parts.
const (
	partEvents = 256 // how many events are read before rows are offered again
	partRows   = 256 // how many rows of a table are worth a statement of their own
)

// prepare makes the rows of all items with a number of at least next. As long as they
// bring no new table and no new column, their rows are decided, and early is called after
// each part: it may take them. What it leaves stays in the tables, and so does all that
// comes behind the first news, since the kind of a column is that of all its values.
func (b *batch) prepare(items []analytics.Item, next uint64, early func() error) error {
	b.begin()
	at := 0
	for at < len(items) {
		end := min(at+cmp.Or(b.part, partEvents), len(items))
		if b.read(items[:end], at, next); b.fresh {
			b.read(items, end, next)
			b.settleNews(items, at, next)
			return nil
		}
		at = end
		if err := early(); err != nil { // which may have notices of rows that are too wide
			return err
		}
		b.decide()
	}
	return nil
}

// read makes the rows of the items from number at.
func (b *batch) read(items []analytics.Item, at int, next uint64) {
	for i := at; i < len(items); i++ {
		m, _ := items[i].Data.(*meta)
		if m == nil || m.known && m.seq < next {
			continue
		}
		b.events++
		b.index, b.body, b.careful, b.told = int32(i), text(items[i].Body), false, false
		if err := b.add(m); err != nil {
			b.invalid[i] = err
		}
	}
}

// settleNews looks at new columns as a whole. The items from number at, which have brought
// them, were read, and are read again when keys turn out to be data.
func (b *batch) settleNews(items []analytics.Item, at int, next uint64) {
	for pass := 0; ; pass++ {
		for _, t := range b.touched {
			t.count(b)
		}
		if pass == mostPasses {
			return
		}
		dynamic := b.foldDynamicKeys()
		if dynamic == nil {
			return
		}
		b.rewind(at)
		for notice, count := range dynamic { // what the next pass finds no more
			b.notices.add(notice.Kind, notice.Table, notice.Column, count)
		}
		b.read(items, at, next)
	}
}

// mostPasses bounds how often a load is read again because of dynamic keys.
const mostPasses = 8

func (b *batch) begin() {
	b.refused, b.invalid, b.events, b.touched = make(map[int]bool), make(map[int]error), 0, b.touched[:0]
	b.notices, b.fresh = nil, false
	tooMany := b.d.loader.held > mostHeld
	for _, s := range b.sources {
		s.begin(tooMany)
	}
	b.decide()
}

// decide says that what was read is not read again.
func (b *batch) decide() {
	b.decided.events, b.decided.notices, b.decided.cells = b.events, maps.Clone(b.notices), b.arena.mark()
	for _, t := range b.touched {
		t.decided = len(t.rows)
	}
}

// rewind forgets what was read behind the last decide: the items from number at.
func (b *batch) rewind(at int) {
	b.events, b.notices = b.decided.events, maps.Clone(b.decided.notices)
	maps.DeleteFunc(b.refused, func(i int, _ bool) bool { return i >= at })
	maps.DeleteFunc(b.invalid, func(i int, _ error) bool { return i >= at })
	b.touched = slices.DeleteFunc(b.touched, func(t *table) bool {
		t.rewind()
		return !t.touched
	})
	b.arena.rewind(b.decided.cells)
	for _, s := range b.sources {
		s.again()
	}
}

// take takes decided rows out of tables that have enough of them. Objects stay: all that a
// load says of one is written at once.
func (b *batch) take() (all []*eventRows) {
	for _, t := range b.touched {
		if t.layout.objects || len(t.rows) < cmp.Or(b.partRows, partRows) {
			continue
		}
		b.narrowRows(t)
		if rows := b.kept(t); rows.Len() > 0 {
			all = append(all, rows)
		}
		t.rows, t.strays, t.decided = nil, nil, 0
	}
	return all
}

// mostSpare is how many rows there is room for between two loads, of 64 bytes each.
const mostSpare = 32 << 10

// lend gives a table memory that another one has given back.
func (b *batch) lend(t *table) {
	if n := len(b.spare); n > 0 {
		t.rows, b.spare = b.spare[n-1], b.spare[:n-1]
		b.room -= cap(t.rows)
	}
}

// giveBack keeps the memory of rows that nobody needs any more.
func (b *batch) giveBack(rows []row) {
	if room := cap(rows); room > 0 && b.room+room <= mostSpare {
		clear(rows)
		b.spare = append(b.spare, rows[:0])
		b.room += room
	}
}

// release lets go of the events of the load, and of memory beyond what the next one needs.
func (b *batch) release() {
	for _, t := range b.touched {
		b.leave(t)
	}
	b.arena.release()
	b.cells = nil
	b.data.release()
	b.context.release()
	b.env, b.body, b.event = envelope{}, "", ""
}

// leave takes its rows from a table.
func (b *batch) leave(t *table) {
	b.giveBack(t.rows)
	t.rows, t.strays, t.decided = nil, nil, 0
}

// text looks at bytes that nobody changes.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
