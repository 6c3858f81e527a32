package warehouse

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// A Sync is one load: the events of one range of a log, in one transaction.
type Sync struct {
	ID     string `json:"id"`
	Source string `json:"source"`

	// Log, From and To are the range, To not included.
	Log  string `json:"log"`
	From uint64 `json:"from"`
	To   uint64 `json:"to"`

	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Status   Status    `json:"status"`

	// Events are those of the range that were for this destination.
	Events int `json:"events"`

	// Tables are the rows by table, with "source." in front where the source is another:
	// inserted ones, or objects that were written.
	Tables map[string]int64 `json:"tables"`

	Notices []Notice `json:"notices,omitempty"`
	Error   string   `json:"error,omitempty"`

	// Prepare is the time until the rows were ready, Load that of the database, which may
	// begin before.
	Prepare time.Duration `json:"prepare"`
	Load    time.Duration `json:"load"`
}

// Status is how a load went.
type Status string

const (
	// Success means: all rows, or there were none.
	Success Status = "success"

	// Partial means: loaded, but there are notices.
	Partial Status = "partial"

	// Failure means: nothing was loaded; it is tried again.
	Failure Status = "failure"
)

// A Notice says what did not go into its place, and how often. It holds no values.
type Notice struct {
	Kind   NoticeKind `json:"kind"`
	Table  string     `json:"table,omitempty"`
	Column string     `json:"column,omitempty"`
	Count  int        `json:"count"`
}

// NoticeKind is what a notice is about.
type NoticeKind string

const (
	// Misfit means: the value does not fit its column and is kept in _unmapped. See Retype.
	Misfit NoticeKind = "misfit"

	// ColumnLimit means: the table has as many columns as it may, or a load has brought more
	// keys than there is memory for; the value is kept in _unmapped.
	ColumnLimit NoticeKind = "column_limit"

	// TableLimit means: the source has as many tables as it may; the properties are kept in
	// tracks._unmapped.
	TableLimit NoticeKind = "table_limit"

	// RowLimit means: the row is wider than the database takes; the value is kept in _unmapped.
	RowLimit NoticeKind = "row_limit"

	// Unnamed means: a key or an event name has neither letter nor digit of ASCII; the value is
	// kept in _unmapped.
	Unnamed NoticeKind = "unnamed"

	// DynamicKeys means: an object brought ever new keys; its column takes it as JSON.
	DynamicKeys NoticeKind = "dynamic_keys"

	// ReplacedNUL means: a NUL in a string became U+FFFD.
	ReplacedNUL NoticeKind = "replaced_nul"

	// ReservedName means: a property is named like a standard column, and was discarded.
	ReservedName NoticeKind = "reserved_name"

	// DiscardedValue means: the contract has left out a value.
	DiscardedValue NoticeKind = "discarded_value"

	// DiscardedRow means: the contract has left out a row.
	DiscardedRow NoticeKind = "discarded_row"

	// Refused means: the contract has refused an event, which is a dead letter.
	Refused NoticeKind = "refused"
)

// maxNotices bounds what one load reports; the rest is counted under no name.
const maxNotices = 200

// notices counts.
type notices map[Notice]int

func (n *notices) add(kind NoticeKind, table, column string, count int) {
	if *n == nil {
		*n = make(notices)
	}
	key := Notice{Kind: kind, Table: table, Column: column}
	if _, ok := (*n)[key]; !ok && len(*n) >= maxNotices {
		key = Notice{Kind: kind}
	}
	(*n)[key] += count
}

func (n notices) list() []Notice {
	list := make([]Notice, 0, len(n))
	for notice, count := range n {
		notice.Count = count
		list = append(list, notice)
	}
	slices.SortFunc(list, func(a, b Notice) int {
		return cmp.Or(cmp.Compare(a.Table, b.Table), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Kind, b.Kind))
	})
	return list
}

// The tables of the loader itself.
const (
	tablePositions = "_positions"
	tableSyncs     = "_syncs"
)

var positionColumns = []Column{{"id", String}, {"next", Int}, {"loaded_at", Time}}

var syncColumns = []Column{
	{"id", String}, {"log", String}, {"first", Int}, {"next", Int}, {"started_at", Time}, {"finished_at", Time},
	{"status", String}, {"events", Int}, {"rows", JSON}, {"notices", JSON}, {"error", String}, {"prepare_ms", Float}, {"load_ms", Float},
}

// syncID sorts the newest first.
func syncID(started time.Time, log string, from uint64) string {
	return fmt.Sprintf("%019d-%.8s-%d", math.MaxInt64-started.UnixMicro(), log, from)
}

func (s *Sync) values() []Value {
	text := StringValue(s.Error)
	if s.Error == "" {
		text = Value{}
	}
	return []Value{
		StringValue(s.ID), StringValue(s.Log), IntValue(int64(s.From)), IntValue(int64(s.To)), TimeValue(s.Started), TimeValue(s.Finished),
		StringValue(string(s.Status)), IntValue(int64(s.Events)), jsonOf(s.Tables), jsonOf(s.Notices), text,
		FloatValue(float64(s.Prepare) / float64(time.Millisecond)), FloatValue(float64(s.Load) / float64(time.Millisecond)),
	}
}

// jsonOf encodes what always can be.
func jsonOf(v any) Value {
	b, err := json.Marshal(v)
	if err != nil {
		return Value{}
	}
	return JSONValue(string(b))
}

func syncOf(source string, v []Value) (Sync, error) {
	s := Sync{
		ID: v[0].S, Source: source, Log: v[1].S, From: uint64(v[2].N), To: uint64(v[3].N), Started: v[4].Time(), Finished: v[5].Time(),
		Status: Status(v[6].S), Events: int(v[7].N), Error: v[10].S,
		Prepare: time.Duration(v[11].Float() * float64(time.Millisecond)), Load: time.Duration(v[12].Float() * float64(time.Millisecond)),
	}
	s.ID, s.Log, s.Error = cloned(s.ID), cloned(s.Log), cloned(s.Error)
	s.Status = Status(cloned(string(s.Status)))
	if err := json.Unmarshal([]byte(v[8].S), &s.Tables); err != nil {
		return s, fmt.Errorf("warehouse: rows of sync %s: %w", s.ID, err)
	}
	if err := json.Unmarshal([]byte(v[9].S), &s.Notices); err != nil {
		return s, fmt.Errorf("warehouse: notices of sync %s: %w", s.ID, err)
	}
	return s, nil
}

// record writes a sync into the history, and once an hour removes what is too old.
func (d *Destination) record(ctx context.Context, tx Tx, s *Sync) error {
	if _, err := tx.Write(ctx, d.home, tableSyncs, plainRows{syncColumns, [][]Value{s.values()}}, Replace); err != nil {
		return err
	}
	if s.Started.Sub(d.pruned) < time.Hour {
		return nil
	}
	d.pruned = s.Started
	return d.prune(ctx, tx, s.Started.Add(-d.keepSyncs()))
}

// prune removes what is older than before: of the history, and of the positions of logs
// that have come to nothing since. A log in memory is a new one with each process, and
// one that does go on after so long has its messages checked by their ids.
func (d *Destination) prune(ctx context.Context, tx Tx, before time.Time) error {
	var syncs, positions []string
	limit := Query{After: syncID(before, "", 0), Limit: pruneRows}
	err := tx.Read(ctx, d.home, tableSyncs, []string{"id"}, limit, func(v []Value) error {
		syncs = append(syncs, cloned(v[0].S))
		return nil
	})
	if err != nil {
		return err
	}
	err = tx.Read(ctx, d.home, tablePositions, []string{"id", "loaded_at"}, Query{}, func(v []Value) error {
		if v[1].Time().Before(before) && len(v[0].S) == 2*len(analytics.LogID{}) && !strings.HasPrefix(v[0].S, rowSource) && len(positions) < pruneRows {
			positions = append(positions, cloned(v[0].S))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for table, ids := range map[string][]string{tableSyncs: syncs, tablePositions: positions} {
		if len(ids) == 0 {
			continue
		}
		if _, err := tx.Delete(ctx, d.home, table, "id", ids); err != nil {
			return err
		}
	}
	return nil
}

// pruneRows is how many rows of a table go at a time.
const pruneRows = 10_000

// Syncs returns the history of loads, the newest first, at most limit; zero is all that
// is kept. Loads of ranges in which nothing was for the warehouse are not in it.
func (d *Destination) Syncs(ctx context.Context, limit int) (list []Sync, err error) {
	err = d.within(ctx, func(tx Tx) error {
		tables, err := tx.Tables(ctx, d.home)
		if err != nil || !slices.ContainsFunc(tables, func(t Table) bool { return t.Name == tableSyncs }) {
			return err
		}
		names := make([]string, len(syncColumns))
		for i, c := range syncColumns {
			names[i] = c.Name
		}
		return tx.Read(ctx, d.home, tableSyncs, names, Query{Limit: limit}, func(v []Value) error {
			s, err := syncOf(d.home, v)
			list = append(list, s)
			return err
		})
	})
	return list, err
}

// plainRows are rows that are there already.
type plainRows struct {
	columns []Column
	values  [][]Value
}

func (r plainRows) Columns() []Column       { return r.columns }
func (r plainRows) Len() int                { return len(r.values) }
func (r plainRows) Row(i int, into []Value) { copy(into, r.values[i]) }
