package warehousetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tributary-dev/analytics/warehouse"
)

// Store is a database in memory: for tests of those who use a [warehouse.Destination],
// and the reference of what the contract means. It takes nothing that the contract does
// not allow: a name that is too long, a NUL in a string, the same key twice under
// Replace are errors.
//
// All methods may be called by several goroutines, those of a transaction by one at a
// time.
type Store struct {
	db *database

	// Of db.mu. What was begun in a ctx ends with it.
	ctx    context.Context // from Open to Close
	cancel context.CancelFunc
}

var (
	_ warehouse.Store = (*Store)(nil)
	_ warehouse.Tx    = (*memoryTx)(nil)
)

// database is what stores of the same data share. A table that is in it never changes;
// a transaction puts another one in its place.
type database struct {
	mu      sync.Mutex
	schemas map[string]map[string]*table
	homes   map[string]chan struct{} // each holds one token while a transaction has the home
}

// NewStore returns a Store of a new, empty database.
func NewStore() *Store {
	return newStore(&database{schemas: map[string]map[string]*table{}, homes: map[string]chan struct{}{}})
}

func newStore(db *database) *Store {
	s := &Store{db: db}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// session returns the ctx that ends with the next Close.
func (s *Store) session() context.Context {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	return s.ctx
}

// Again returns another Store of the same database: a second loader, or the same one
// after a restart. It works whether s is closed or not.
func (s *Store) Again() *Store { return newStore(s.db) }

// Dialect has the default limits and the schema "events".
func (s *Store) Dialect() warehouse.Dialect {
	return warehouse.Dialect{Name: "memory", Schema: "events"}
}

// Open does nothing, but for a store that was closed: this one can be used again.
func (s *Store) Open(context.Context) error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if s.ctx.Err() != nil {
		s.ctx, s.cancel = context.WithCancel(context.Background())
	}
	return nil
}

// Take makes something in a schema that is no table, as a view would be: Tables has its
// name without columns, and no table of that name can be made. It is an error if the
// name is taken.
func (s *Store) Take(schema, name string) error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	if s.db.schemas[schema][name] != nil {
		return fmt.Errorf("warehousetest: take %q.%q: the name is taken", schema, name)
	}
	s.db.put(schema, name, &table{})
	return nil
}

// Begin starts a transaction. It works on the tables as they were when it got the home.
func (s *Store) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	lock, session := s.db.home(home), s.session()
	if session.Err() != nil {
		return nil, errClosed
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case lock <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("warehousetest: wait for another loader: %w", ctx.Err())
	case <-session.Done():
		return nil, errClosed
	}
	tx := &memoryTx{store: s, session: session, base: s.db.snapshot()}
	tx.now = clone(tx.base)
	tx.release = sync.OnceFunc(func() { <-lock })
	tx.stop = context.AfterFunc(session, tx.release)
	return tx, nil
}

var errClosed = errors.New("warehousetest: the store is closed")

// Close ends all that waits in Begin. Transactions that are open give their homes back
// and can only be rolled back, also when the store was opened again.
func (s *Store) Close() error {
	s.db.mu.Lock()
	defer s.db.mu.Unlock()
	s.cancel()
	return nil
}

func (d *database) home(name string) chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.homes[name] == nil {
		d.homes[name] = make(chan struct{}, 1)
	}
	return d.homes[name]
}

// put sets a table. The caller has mu.
func (d *database) put(schema, name string, t *table) {
	if d.schemas[schema] == nil {
		d.schemas[schema] = map[string]*table{}
	}
	d.schemas[schema][name] = t
}

func (d *database) snapshot() map[string]map[string]*table {
	d.mu.Lock()
	defer d.mu.Unlock()
	return clone(d.schemas)
}

// clone copies the maps and not the tables.
func clone(schemas map[string]map[string]*table) map[string]map[string]*table {
	c := make(map[string]map[string]*table, len(schemas))
	for name, tables := range schemas {
		c[name] = maps.Clone(tables)
	}
	return c
}

// Rows returns what is committed in a table, in the order of the keys: for each row the
// columns that are not NULL, as bool, int64, float64, [time.Time], string and
// [json.RawMessage]. It is nil if there is no such table.
func (s *Store) Rows(schema, table string) []map[string]any {
	t := s.db.snapshot()[schema][table]
	if t == nil || !t.real() {
		return nil
	}
	all := make([]map[string]any, 0, len(t.rows))
	for _, key := range slices.Sorted(maps.Keys(t.rows)) {
		row := map[string]any{}
		for i, v := range t.rows[key] {
			if v.Kind != warehouse.Null {
				row[t.columns[i].Name] = plain(v)
			}
		}
		all = append(all, row)
	}
	return all
}

// plain is a value as Go has it.
func plain(v warehouse.Value) any {
	switch v.Kind {
	case warehouse.Bool:
		return v.Bool()
	case warehouse.Int:
		return v.N
	case warehouse.Float:
		return v.Float()
	case warehouse.Time:
		return v.Time()
	case warehouse.String:
		return v.S
	case warehouse.JSON:
		return json.RawMessage(v.S)
	}
	return nil
}
