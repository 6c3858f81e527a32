package warehousetest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tributary-dev/analytics/warehouse"
)

// memoryTx is a transaction of a Store. It copies a table before its first change to it.
type memoryTx struct {
	store   *Store
	session context.Context              // of the store
	release func()                       // gives the home back, once
	stop    func() bool                  // so that the end of the session does not
	ended   bool                         // by Commit or Rollback
	base    map[string]map[string]*table // as it found them
	now     map[string]map[string]*table // as it leaves them
	err     error                        // what broke it
}

var (
	errEnded    = errors.New("warehousetest: the transaction has ended")
	errPanicked = errors.New("a call has panicked")
)

// ready tells whether the transaction can do something.
func (tx *memoryTx) ready(ctx context.Context) error {
	switch {
	case tx.ended:
		return errEnded
	case tx.err != nil:
		return fmt.Errorf("warehousetest: the transaction is broken: %w", tx.err)
	case tx.session.Err() != nil:
		return errClosed
	}
	return ctx.Err()
}

// change lets f change a table. What fails breaks the transaction.
func (tx *memoryTx) change(ctx context.Context, what, schema, name string, f func(*table) error) error {
	err := tx.ready(ctx)
	if err == nil {
		tx.err = errPanicked // unless f returns
		err = tx.changeTable(schema, name, f)
		tx.err = nil
	}
	if err != nil && tx.err == nil {
		tx.err = err
	}
	if err != nil {
		return fmt.Errorf("warehousetest: %s %q.%q: %w", what, schema, name, err)
	}
	return nil
}

func (tx *memoryTx) changeTable(schema, name string, f func(*table) error) error {
	t := tx.now[schema][name]
	if t == nil || !t.real() {
		return errNoTable
	}
	if !t.mine {
		t = t.own()
		tx.now[schema][name] = t
	}
	return f(t)
}

var errNoTable = errors.New("there is no such table")

// Tables returns copies.
func (tx *memoryTx) Tables(ctx context.Context, schema string) ([]warehouse.Table, error) {
	if err := tx.ready(ctx); err != nil {
		return nil, err
	}
	var all []warehouse.Table
	for _, name := range slices.Sorted(maps.Keys(tx.now[schema])) {
		all = append(all, warehouse.Table{Name: name, Columns: slices.Clone(tx.now[schema][name].columns)})
	}
	return all, nil
}

// Create refuses a table that exists.
func (tx *memoryTx) Create(ctx context.Context, schema string, want warehouse.Table) error {
	err := tx.ready(ctx)
	if err == nil {
		err = tx.create(schema, want)
	}
	if err != nil && tx.err == nil {
		tx.err = err
	}
	if err != nil {
		return fmt.Errorf("warehousetest: create %q.%q: %w", schema, want.Name, err)
	}
	return nil
}

func (tx *memoryTx) create(schema string, want warehouse.Table) error {
	d := tx.store.Dialect()
	if err := errors.Join(checkName(schema, d), checkName(want.Name, d)); err != nil {
		return err
	}
	if tx.now[schema][want.Name] != nil {
		return errors.New("there is such a table already, or something else of that name")
	}
	if len(want.Columns) == 0 || want.Columns[0].Kind != warehouse.String {
		return errors.New("the first column is no String")
	}
	t := &table{rows: map[string][]warehouse.Value{}, mine: true}
	if err := t.add(want.Columns, d); err != nil {
		return err
	}
	if tx.now[schema] == nil {
		tx.now[schema] = map[string]*table{}
	}
	tx.now[schema][want.Name] = t
	return nil
}

// AddColumns refuses columns that exist.
func (tx *memoryTx) AddColumns(ctx context.Context, schema, name string, columns []warehouse.Column) error {
	return tx.change(ctx, "add columns to", schema, name, func(t *table) error { return t.add(columns, tx.store.Dialect()) })
}

// SwapColumn refuses the key.
func (tx *memoryTx) SwapColumn(ctx context.Context, schema, name, old, by string) error {
	return tx.change(ctx, "swap a column of", schema, name, func(t *table) error { return t.swap(old, by) })
}

// Commit fails if a table was changed by a transaction of another home meanwhile.
func (tx *memoryTx) Commit(ctx context.Context) error {
	if err := tx.ready(ctx); err != nil {
		return err
	}
	if err := tx.publish(); err != nil {
		tx.err = err
		return err
	}
	tx.end()
	return nil
}

func (tx *memoryTx) publish() error {
	db := tx.store.db
	db.mu.Lock()
	defer db.mu.Unlock()
	if tx.session.Err() != nil { // since Commit began
		return errClosed
	}
	for schema, tables := range tx.now {
		for name, t := range tables {
			if t.mine && db.schemas[schema][name] != tx.base[schema][name] {
				return fmt.Errorf("warehousetest: commit: %q.%q was changed by another loader", schema, name)
			}
		}
	}
	for schema, tables := range tx.now {
		for name, t := range tables {
			if t.mine {
				t.mine = false
				db.put(schema, name, t)
			}
		}
	}
	return nil
}

// Rollback forgets the changes.
func (tx *memoryTx) Rollback() error {
	tx.end()
	return nil
}

// end gives the home back, once.
func (tx *memoryTx) end() {
	tx.ended = true
	tx.stop()
	tx.release()
}
