package warehouse

import (
	"maps"
	"slices"
	"strings"
)

// standard columns are those that an event or object gives to a table by itself.
type standard uint8

const (
	colID standard = iota
	colAnonymousID
	colUserID
	colGroupID
	colPreviousID
	colEvent
	colEventText
	colName
	colCategory
	colOriginalTimestamp
	colSentAt
	colReceivedAt
	colTimestamp
	colUUID
	colUUIDTS
	colUnmapped
	colNewest
	standards
)

var standardColumns = [standards]Column{
	{"id", String}, {"anonymous_id", String}, {"user_id", String}, {"group_id", String}, {"previous_id", String},
	{"event", String}, {"event_text", String}, {"name", String}, {"category", String},
	{"original_timestamp", Time}, {"sent_at", Time}, {"received_at", Time}, {"timestamp", Time},
	{"uuid", Int}, {"uuid_ts", Time}, {"_unmapped", JSON}, {"_newest", JSON},
}

// The tables that every source has.
const (
	tableIdentifies = "identifies"
	tableUsers      = "users"
	tableGroups     = "groups"
	tableAccounts   = "accounts"
	tablePages      = "pages"
	tableScreens    = "screens"
	tableTracks     = "tracks"
	tableAliases    = "aliases"
)

// fixed tells whether a name is that of a table that every source has.
func fixed(name string) bool {
	switch name {
	case tableIdentifies, tableUsers, tableGroups, tableAccounts, tablePages, tableScreens, tableTracks, tableAliases:
		return true
	}
	return false
}

// layout is a kind of table.
type layout struct {
	columns []standard
	objects bool // rows are objects, of which the newest values count
}

func events(own ...standard) *layout {
	front := []standard{colID, colAnonymousID, colUserID}
	back := []standard{colOriginalTimestamp, colSentAt, colReceivedAt, colTimestamp, colUUID, colUUIDTS, colUnmapped}
	return &layout{columns: slices.Concat(front, own, back)}
}

var (
	identifyLayout = events()
	groupLayout    = events(colGroupID)
	aliasLayout    = events(colPreviousID)
	trackLayout    = events(colEvent, colEventText)
	pageLayout     = events(colName, colCategory)
	objectLayout   = &layout{
		columns: []standard{colID, colReceivedAt, colUUID, colUUIDTS, colUnmapped, colNewest}, objects: true,
	}
)

// source is what is known of a schema.
type source struct {
	name    string
	tables  map[string]*table
	taken   map[string]bool   // names of what is not the loader's
	tracks  map[string]*table // by name of the event as sent
	size    int               // how many of tables count for MaxTables
	context *trie
}

func (d *Destination) newSource(name string) *source {
	return &source{
		name: name, tables: make(map[string]*table), taken: make(map[string]bool), tracks: make(map[string]*table),
		context: newTrie("context", d.dialect.MaxName, &d.loader.held),
	}
}

// table is one of a schema: its columns, and the rows of the load at work.
type table struct {
	source   *source
	name     string
	layout   *layout
	contract Contract
	stored   bool // in the database
	refused  bool // one too many, or not to be made
	skipped  bool // by Only or Skip

	columns []*column
	byName  map[string]int32
	std     [standards]int32 // where the standard columns are; -1: not in this table
	live    int              // columns that are in the database or will be, standard ones included
	data    *trie            // of properties or traits
	of      [2][]int32       // the column of each node of data and of the context, and one more

	rows    []row
	strays  map[int32][]stray // by row
	turn    int64             // of filling a row
	touched bool
	decided int // how many of rows no further pass changes
}

// What table.of says besides a column.
const (
	unknown  = 0
	unwanted = -1 // by Only or Skip
	clashing = -2 // named like a standard column
	crowded  = -3 // one too many for now
)

// The containers of an event, as indices of table.of.
const (
	ofData = iota
	ofContext
)

type column struct {
	Column
	stored   bool
	standard bool
	live     bool    // has a value, or is stored
	seen     kindSet // of this load
	rows     int32   // of this load that have a value
	turn     int64   // in which it was last set
	cell     int32   // and the cell of its row
	from     *node   // whose values they are
	place    int32   // among the columns that are written; -1: not written
}

// row is one on its way into a table.
type row struct {
	cells   []cell
	event   int32 // which of the batch
	out     bool  // left out
	odd     bool  // has cells that are lost, or strays
	version version
}

// newTable adds a table. Objects that events describe share the keys of those events.
func (s *source) newTable(d *Destination, name string, l *layout) *table {
	t := &table{source: s, name: name, layout: l, byName: make(map[string]int32), contract: d.contract(name)}
	t.skipped = !selected(d.only, d.skip, s.name, name, "")
	for i := range t.std {
		t.std[i] = -1
	}
	if sibling := s.tables[siblings[name]]; sibling != nil {
		t.data = sibling.data
	} else {
		t.data = newTrie("", d.dialect.MaxName, &d.loader.held)
	}
	s.tables[name] = t
	return t
}

var siblings = map[string]string{
	tableUsers: tableIdentifies, tableIdentifies: tableUsers, tableAccounts: tableGroups, tableGroups: tableAccounts,
}

// maxTracks bounds the names of events that are known between two loads.
const maxTracks = 20_000

// begin forgets the rows of the last load, and all keys if they are too many.
func (s *source) begin(tooMany bool) {
	s.again()
	s.size = 0
	for name, t := range s.tables {
		if !t.stored && !t.touched && !fixed(name) { // it came to nothing
			s.drop(t)
		} else if t.counts() {
			s.size++
		}
	}
	if len(s.tracks) > maxTracks {
		clear(s.tracks)
	}
	if tooMany {
		s.context = s.context.anew()
		clear(s.tracks)
		fresh := make(map[*trie]*trie) // some tables share one
		for _, t := range s.tables {
			if fresh[t.data] == nil {
				fresh[t.data] = t.data.anew()
			}
			t.data = fresh[t.data]
			t.forget()
		}
	}
	for _, t := range s.tables {
		if t.touched {
			t.reset()
		}
	}
}

// drop forgets a table that is not in the database.
func (s *source) drop(t *table) {
	t.forget()
	*t.data.held -= t.data.own
	delete(s.tables, t.name)
	clear(s.tracks)
}

// again has it found out once more for which tables there is room.
func (s *source) again() {
	for _, t := range s.tables {
		if t.refused {
			s.drop(t)
		}
	}
}

// table finds a table that every source has.
func (s *source) table(d *Destination, name string, l *layout) *table {
	if t := s.tables[name]; t != nil {
		return t
	}
	return s.planned(d, name, l)
}

// ofEvent finds the table of a track call by the name of the event; nil if that is no
// name.
func (s *source) ofEvent(d *Destination, event string) *table {
	t, known := s.tracks[event]
	if !known {
		t = s.named(d, event, trackLayout)
		s.tracks[cloned(event)] = t
	}
	return t
}

// ofCollection finds the table of a collection of objects.
func (s *source) ofCollection(d *Destination, collection string) *table {
	return s.named(d, collection, objectLayout)
}

// named finds a table by the text that names it. A table that every source has, or one
// of the other layout, is avoided by an underscore.
func (s *source) named(d *Destination, text string, l *layout) *table {
	name := identifier(snake(text), d.dialect.MaxName)
	if name == "" {
		return nil
	}
	for {
		t := s.tables[name]
		switch {
		case fixed(name), internal(name), s.taken[name], t != nil && t.layout.objects != l.objects:
			name = identifier("_"+name, d.dialect.MaxName)
		case t == nil:
			return s.planned(d, name, l)
		default:
			return t
		}
	}
}

// planned adds a table that is not in the database.
func (s *source) planned(d *Destination, name string, l *layout) *table {
	t := s.newTable(d, name, l)
	if t.refused = t.counts() && !fixed(name) && s.size >= d.maxTables(); t.counts() {
		s.size++
	}
	for _, std := range l.columns {
		t.addColumn(standardColumns[std])
	}
	return t
}

// counts tells whether a table is one of those of which there may be MaxTables: it is
// there, or is to be.
func (t *table) counts() bool {
	return t.stored || t.contract == Evolve && !t.skipped && !t.refused
}

func (t *table) addColumn(c Column) int32 {
	i := int32(len(t.columns))
	col := &column{Column: c}
	for std, s := range standardColumns {
		if s.Name == c.Name && (c.Name[0] == '_' || slices.Contains(t.layout.columns, standard(std))) {
			t.std[std], col.standard = i, true
		}
	}
	if c.Kind != Null {
		col.live = true
		t.live++
	} else {
		*t.data.held += columnCost + len(c.Name)
	}
	t.columns, t.byName[c.Name] = append(t.columns, col), i
	return i
}

// addStored adds a column of the database.
func (t *table) addStored(c Column) int32 {
	at := t.addColumn(c)
	col := t.columns[at]
	if col.stored = true; c.Kind == Null { // of a foreign type
		col.live = true
		t.live++
		*t.data.held -= columnCost + len(c.Name)
	}
	return at
}

// made says that the table and its columns are in the database now.
func (t *table) made() {
	t.stored = true
	for _, c := range t.columns {
		if c.stored || c.Kind == Null {
			continue
		}
		if c.stored = true; !c.standard {
			*t.data.held -= columnCost + len(c.Name)
		}
	}
}

// stem is what a stored table is, by its name or its columns.
func stem(t *Table) *layout {
	has := func(std standard) bool { _, ok := t.Column(standardColumns[std].Name); return ok }
	switch { // names first: a trait may be called like a column
	case t.Name == tableIdentifies:
		return identifyLayout
	case t.Name == tablePages, t.Name == tableScreens:
		return pageLayout
	case t.Name == tableGroups:
		return groupLayout
	case t.Name == tableAliases:
		return aliasLayout
	case has(colNewest):
		return objectLayout
	case has(colEventText):
		return trackLayout
	}
	return identifyLayout
}

// reset forgets the rows of the last load.
func (t *table) reset() {
	t.decided = 0
	t.rewind()
	t.touched = false
}

// rewind forgets the rows that are not decided.
func (t *table) rewind() {
	t.rows = t.rows[:t.decided]
	maps.DeleteFunc(t.strays, func(row int32, _ []stray) bool { return int(row) >= t.decided })
	t.touched = t.stored
	for _, c := range t.columns {
		c.seen, c.rows, c.live = 0, 0, c.Kind != Null || c.stored
	}
}

// forget forgets keys, and columns that are not in the database.
func (t *table) forget() {
	t.of = [2][]int32{}
	columns, moved := t.columns, make([]int32, len(t.columns))
	t.columns, t.live = nil, 0
	clear(t.byName)
	for i, c := range columns {
		switch {
		case c.stored:
			moved[i] = t.addStored(c.Column)
		case c.standard:
			moved[i] = t.addColumn(c.Column)
		default:
			moved[i] = -1
			if c.Kind == Null {
				*t.data.held -= columnCost + len(c.Name)
			}
		}
	}
	for i := range t.rows {
		for k := range t.rows[i].cells {
			if c := &t.rows[i].cells[k]; c.column >= 0 {
				c.column = moved[c.column]
			}
		}
	}
}

// columnOf finds the column of a key, and plans it if there is none: it is made if a
// value comes.
func (t *table) columnOf(d *Destination, container int, n *node) int32 {
	if n.number < 0 {
		return t.resolve(d, n)
	}
	of := t.of[container]
	if int(n.number) < len(of) && of[n.number] != unknown {
		if at := of[n.number]; at > 0 {
			return at - 1
		} else {
			return at
		}
	}
	at := t.resolve(d, n)
	if at == crowded {
		return at
	}
	if missing := int(n.number) + 1 - len(of); missing > 0 {
		of = append(of, make([]int32, missing)...)
	}
	t.of[container] = of
	if of[n.number] = at; at >= 0 {
		of[n.number]++
	}
	return at
}

func (t *table) resolve(d *Destination, n *node) int32 {
	name := n.name
	if t.clashes(n.path) {
		if !d.PrefixReserved {
			return clashing
		}
		name = identifier("_"+n.path, d.dialect.MaxName)
	}
	at, known := t.byName[name]
	if !selected(d.only, d.skip, t.source.name, t.name, name) {
		return unwanted
	}
	if !known && t.data.crowded() {
		return crowded
	}
	if !known {
		at = t.addColumn(Column{Name: cloned(name)})
	}
	return at
}

// clashes tells whether a name is that of a standard column of the table. Users never
// have an anonymous id, though identifies has that column.
func (t *table) clashes(name string) bool {
	if t.name == tableUsers && name == standardColumns[colAnonymousID].Name {
		return true
	}
	at, known := t.byName[name]
	return known && t.columns[at].standard
}

// stray keeps a value without a column with the last row.
func (t *table) stray(r *row, s stray) {
	if t.strays == nil {
		t.strays = make(map[int32][]stray)
	}
	i := int32(len(t.rows) - 1)
	t.strays[i] = append(t.strays[i], s)
	r.odd = true
}

// internal tells whether a table is none of data.
func internal(name string) bool { return name == tablePositions || name == tableSyncs }

// Contract says what happens to what has no place in a table: a table that does not
// exist, a column that does not, a value that does not fit its column.
type Contract string

const (
	// Evolve makes tables and columns; a value that does not fit is kept in _unmapped.
	Evolve Contract = "evolve"

	// Freeze refuses the event: it becomes a dead letter.
	Freeze Contract = "freeze"

	// DiscardValue leaves the value out; without a table, the row.
	DiscardValue Contract = "discard_value"

	// DiscardRow leaves the row out.
	DiscardRow Contract = "discard_row"
)

func (c Contract) valid() bool {
	switch c {
	case "", Evolve, Freeze, DiscardValue, DiscardRow:
		return true
	}
	return false
}

// nameless is what no pattern names.
const nameless = "\x00"

// loads tells whether only and Skip let the column of a path pass; an empty one names none.
func (d *Destination) loads(t *table, only []string, path string) bool {
	name := nameless
	if path != "" {
		name = identifier(path, d.dialect.MaxName)
	}
	return !d.picky || selected(only, d.skip, t.source.name, t.name, name)
}

// selected tells whether patterns let a table or, with a name, a column pass.
func selected(only, skip []string, source, table, column string) bool {
	for _, p := range skip {
		if matches(p, source, table, column, false) {
			return false
		}
	}
	for _, p := range only {
		if matches(p, source, table, column, true) {
			return true
		}
	}
	return len(only) == 0
}

// matches compares a pattern. Of a table (no column), one that names a column matches if
// open says so.
func matches(pattern, source, table, column string, open bool) bool {
	parts := strings.Split(pattern, ".")
	for i, name := range [...]string{source, table, column} {
		switch {
		case i >= len(parts):
			return true
		case i == 2 && column == "":
			return open
		case parts[i] != "*" && parts[i] != name:
			return false
		}
	}
	return true
}
