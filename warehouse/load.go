package warehouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
)

// loader loads batches, one at a time. It keeps what it knows of the tables between two
// of them.
type loader struct {
	d       *Destination
	batch   batch
	sources map[string]*source
	held    int   // what keys need, see mostHeld
	version int64 // of the tables, when they were read
	ready   bool  // the tables of the loader itself are there
}

// rowVersion is the row of _positions that counts changes of tables, so that another
// loader learns of them.
const rowVersion = "version"

// rowSource begins the rows of _positions that name the schemas of further sources.
const rowSource = "source."

// load loads a batch. What it returns are the words of Deliver.
func (l *loader) load(ctx context.Context, b *analytics.Batch) error {
	s := Sync{Source: l.d.home, Log: b.Log.String(), From: b.From, To: b.To, Started: time.Now().UTC()}
	s.ID = syncID(s.Started, s.Log, s.From)
	failed, err := l.try(ctx, b, &s)
	if err != nil {
		err = fmt.Errorf("warehouse: %w", err)
		l.fail(ctx, &s, err)
		return err
	}
	l.report(&s)
	return failed.OrNil()
}

func (l *loader) report(s *Sync) {
	if l.d.OnSync != nil && (s.Events > 0 || s.Status == Failure) {
		l.d.OnSync(*s)
	}
}

// try loads a batch in one transaction. failed are the items that were refused.
func (l *loader) try(ctx context.Context, b *analytics.Batch, s *Sync) (failed *analytics.BatchError, err error) {
	failed = &analytics.BatchError{}
	undone := true // what the loader believes of the tables, also by a panic
	defer func() {
		if undone {
			l.forget()
			l.ready = false
		}
	}()
	tx, err := l.d.Store.Begin(ctx, l.d.home)
	if err != nil {
		return failed, err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, and before it there is an error already
	next, _, err := l.position(ctx, tx, b.Log)
	if err != nil {
		return failed, err
	}
	if err = l.open(ctx, tx, b.Items); err != nil {
		return failed, err
	}
	work := &l.batch
	work.d, work.sources, work.now = l.d, l.sources, s.Started.UnixMicro()
	defer work.release()
	if next >= b.To && b.To > b.From { // the rows are there; what was refused is said once more
		err = work.prepare(b.Items, b.From, func() error { work.take(); return nil })
		work.tellRefused(failed)
		return failed, err
	}
	s.Tables = make(map[string]int64)
	early := &ahead{l: l, s: s, ctx: ctx, tx: tx}
	defer early.leave()
	if err = work.prepare(b.Items, next, early.offer); err != nil {
		return failed, err
	}
	s.Events, s.Prepare = work.events, time.Since(s.Started)
	if err = early.wait(); err != nil {
		return failed, err
	}
	rest := time.Now()
	changed, err := l.write(ctx, tx, s)
	if err != nil {
		return failed, err
	}
	if changed {
		l.version++
	}
	if err = l.advance(ctx, tx, b, changed); err != nil {
		return failed, err
	}
	s.Notices, s.Status = work.notices.list(), Success
	if len(s.Notices) > 0 {
		s.Status = Partial
	}
	s.Finished = time.Now().UTC()
	s.Load = early.took + s.Finished.Sub(rest)
	if s.Events > 0 {
		if err = l.d.record(ctx, tx, s); err != nil {
			return failed, err
		}
	}
	if err = tx.Commit(ctx); err != nil {
		return failed, err
	}
	undone = false
	l.settle()
	work.tellRefused(failed)
	return failed, nil
}

// tellRefused says which events were refused.
func (b *batch) tellRefused(failed *analytics.BatchError) {
	for i := range b.refused {
		failed.Set(i, analytics.Permanent(errRefused))
	}
	for i, err := range b.invalid {
		failed.Set(i, analytics.Permanent(err))
	}
}

var errRefused = errors.New("warehouse: the contract of a table has no place for it")

// position reads how far a log was loaded.
func (l *loader) position(ctx context.Context, tx Tx, log analytics.LogID) (next uint64, ok bool, err error) {
	if !l.ready {
		tables, err := tx.Tables(ctx, l.d.home)
		if err != nil {
			return 0, false, err
		}
		has := func(name string) bool {
			for _, t := range tables {
				if t.Name == name {
					return true
				}
			}
			return false
		}
		if !has(tablePositions) || !has(tableSyncs) {
			return 0, false, nil
		}
		l.ready = true
	}
	version := int64(0)
	err = tx.Read(ctx, l.d.home, tablePositions, []string{"id", "next"}, Query{Keys: []string{log.String(), rowVersion}}, func(v []Value) error {
		if v[0].S == rowVersion {
			version = v[1].N
		} else {
			next, ok = uint64(v[1].N), true
		}
		return nil
	})
	if version != l.version {
		l.forget()
		l.version = version
	}
	return next, ok, err
}

// forget has the tables read again.
func (l *loader) forget() { l.sources, l.held = nil, 0 }

// open reads the tables of the sources that the items come from, as far as they are not
// known.
func (l *loader) open(ctx context.Context, tx Tx, items []analytics.Item) error {
	if !l.ready {
		if err := l.create(ctx, tx); err != nil {
			return err
		}
	}
	if l.sources == nil {
		l.sources = make(map[string]*source)
	}
	if err := l.openSource(ctx, tx, l.d.home); err != nil || l.d.SourceOf == nil {
		return err
	}
	for i := range items {
		if err := l.openSource(ctx, tx, l.d.sourceOf(text(items[i].Body))); err != nil {
			return err
		}
	}
	return nil
}

// create makes the tables of the loader.
func (l *loader) create(ctx context.Context, tx Tx) error {
	tables, err := tx.Tables(ctx, l.d.home)
	if err != nil {
		return err
	}
	for _, t := range []Table{{tablePositions, positionColumns}, {tableSyncs, syncColumns}} {
		if at := slices.IndexFunc(tables, func(other Table) bool { return other.Name == t.Name }); at >= 0 {
			if c, ok := tables[at].Column("id"); !ok || c.Kind != String {
				return errTaken(l.d.home, t.Name)
			}
		} else {
			if err := tx.Create(ctx, l.d.home, t); err != nil {
				return err
			}
		}
	}
	l.ready = true
	return nil
}

func (l *loader) openSource(ctx context.Context, tx Tx, name string) error {
	if l.sources[name] != nil {
		return nil
	}
	tables, err := tx.Tables(ctx, name)
	if err != nil {
		return err
	}
	s := l.d.newSource(name)
	for i := range tables {
		stored := &tables[i]
		if internal(stored.Name) {
			continue
		}
		if !stored.ours() {
			if fixed(stored.Name) {
				return errTaken(name, stored.Name)
			}
			s.taken[stored.Name] = true
			continue
		}
		t := s.newTable(l.d, stored.Name, stem(stored))
		t.stored = true
		for _, c := range stored.Columns {
			if t.addStored(c); c.Kind == JSON && !t.columns[t.byName[c.Name]].standard {
				t.data.whole[c.Name] = true
				s.context.whole[c.Name] = true
			}
		}
	}
	l.sources[name] = s
	return nil
}

// ours tells whether a table may be one of a warehouse: an application's own has no
// uuid_ts.
func (t *Table) ours() bool {
	id, ok := t.Column(standardColumns[colID].Name)
	_, stamped := t.Column(standardColumns[colUUIDTS].Name)
	return ok && id.Kind == String && stamped
}

func errTaken(schema, name string) error {
	return fmt.Errorf("%s.%s is there and is no table of a warehouse: set Source to a schema of its own", schema, name)
}

// write changes tables and writes the rows.
func (l *loader) write(ctx context.Context, tx Tx, s *Sync) (changed bool, err error) {
	b := &l.batch
	b.touched = slices.DeleteFunc(b.touched, func(t *table) bool {
		none := !t.stored && !t.keeps(b)
		if none {
			b.leave(t)
		}
		return none
	})
	for _, t := range b.touched {
		added := t.settle(b)
		switch {
		case !t.stored:
			columns := make([]Column, 0, len(t.layout.columns)+len(added))
			for _, std := range t.layout.columns {
				columns = append(columns, standardColumns[std])
			}
			changed = true
			err = tx.Create(ctx, t.source.name, Table{Name: t.name, Columns: append(columns, added...)})
		case len(added) > 0:
			changed = true
			err = tx.AddColumns(ctx, t.source.name, t.name, added)
		}
		if err != nil {
			return changed, err
		}
		var n int64
		if t.layout.objects {
			n, err = b.upsert(ctx, tx, t)
		} else {
			b.narrowRows(t)
			if rows := b.kept(t); rows.Len() > 0 {
				n, err = tx.Write(ctx, t.source.name, t.name, rows, Keep)
			}
		}
		if err != nil {
			return changed, err
		}
		l.count(s, t, n)
	}
	return changed, nil
}

// count adds to the rows of a table in a report.
func (l *loader) count(s *Sync, t *table, n int64) {
	if n > 0 {
		s.Tables[l.tableName(t)] += n
	}
}

// tableName is how reports call a table.
func (l *loader) tableName(t *table) string {
	if t.source.name == l.d.home {
		return t.name
	}
	return t.source.name + "." + t.name
}

// advance writes how far the log is loaded now.
func (l *loader) advance(ctx context.Context, tx Tx, b *analytics.Batch, changed bool) error {
	now := TimeValue(time.Now())
	rows := plainRows{columns: positionColumns, values: [][]Value{{StringValue(b.Log.String()), IntValue(int64(b.To)), now}}}
	if changed {
		rows.values = append(rows.values, []Value{StringValue(rowVersion), IntValue(l.version), now})
		for name := range l.sources {
			if name != l.d.home {
				rows.values = append(rows.values, []Value{StringValue(rowSource + name), {}, now})
			}
		}
	}
	_, err := tx.Write(ctx, l.d.home, tablePositions, rows, Replace)
	return err
}

// settle enters what is in the database now.
func (l *loader) settle() {
	for _, t := range l.batch.touched {
		t.made()
	}
}

// failTimeout is how long the history of a load that failed may take.
const failTimeout = 2 * time.Second

// fail writes a load that failed into the history, if the database takes that.
func (l *loader) fail(ctx context.Context, s *Sync, cause error) {
	s.Status, s.Error, s.Finished, s.Tables, s.Notices = Failure, cause.Error(), time.Now().UTC(), nil, nil
	defer l.report(s)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), failTimeout) // that of the load may be over
	defer cancel()
	tx, err := l.d.Store.Begin(ctx, l.d.home)
	if err != nil {
		return
	}
	defer tx.Rollback() //nolint:errcheck // after Commit it does nothing, and before it there is an error already
	if _, _, err := l.position(ctx, tx, analytics.LogID{}); err != nil || !l.ready {
		l.ready = false
		return
	}
	if err := l.d.record(ctx, tx, s); err != nil {
		return
	}
	_ = tx.Commit(ctx) // the load itself has failed, and that is reported
}
