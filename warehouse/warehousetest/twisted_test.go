package warehousetest_test

import (
	"context"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// memory is a Setup over NewStore.
func memory() warehousetest.Setup {
	return warehousetest.Setup{
		New: func(*testing.T) warehouse.Store { return warehousetest.NewStore() },
		Again: func(_ *testing.T, first warehouse.Store) warehouse.Store {
			return first.(*warehousetest.Store).Again()
		},
		Take: func(_ *testing.T, s warehouse.Store, schema, name string) error {
			return s.(*warehousetest.Store).Take(schema, name)
		},
	}
}

// twisted is a store in memory with a method or two replaced.
type twisted struct {
	*warehousetest.Store
	shared *shared

	dialect func(warehouse.Dialect) warehouse.Dialect
	open    func() error
	begin   func(ctx context.Context, home string) (warehouse.Tx, error)
	twist   func(*twistedTx)
	close   func() error
	last    *twistedTx
}

// shared is what stores of one database share.
type shared struct {
	locks chan map[string]chan struct{} // for those that lock in a way of their own
	n     chan int
}

func newShared() *shared {
	s := &shared{locks: make(chan map[string]chan struct{}, 1), n: make(chan int, 1)}
	s.locks <- map[string]chan struct{}{}
	s.n <- 0
	return s
}

// lock returns the lock of a home.
func (s *shared) lock(home string) chan struct{} {
	locks := <-s.locks
	defer func() { s.locks <- locks }()
	if locks[home] == nil {
		locks[home] = make(chan struct{}, 1)
	}
	return locks[home]
}

// next counts.
func (s *shared) next() int {
	n := <-s.n + 1
	s.n <- n
	return n
}

func (s *twisted) Dialect() warehouse.Dialect {
	if s.dialect != nil {
		return s.dialect(s.Store.Dialect())
	}
	return s.Store.Dialect()
}

func (s *twisted) Open(ctx context.Context) error {
	if s.open != nil {
		return s.open()
	}
	return s.Store.Open(ctx)
}

func (s *twisted) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	begin := s.Store.Begin
	if s.begin != nil {
		begin = s.begin
	}
	inner, err := begin(ctx, home)
	if err != nil {
		return nil, err
	}
	x := &twistedTx{Tx: inner, store: s, ctx: ctx, home: home}
	if s.twist != nil {
		s.twist(x)
	}
	s.last = x
	return x, nil
}

func (s *twisted) Close() error {
	if s.close != nil {
		return s.close()
	}
	return s.Store.Close()
}

// twistedTx is a transaction with a method or two replaced.
type twistedTx struct {
	warehouse.Tx
	store *twisted
	ctx   context.Context // of Begin
	home  string

	tables   func(ctx context.Context, schema string) ([]warehouse.Table, error)
	create   func(ctx context.Context, schema string, t warehouse.Table) error
	add      func(ctx context.Context, schema, table string, columns []warehouse.Column) error
	swap     func(ctx context.Context, schema, table, old, by string) error
	write    func(ctx context.Context, schema, table string, rows warehouse.Rows, on warehouse.Conflict) (int64, error)
	read     readFunc
	delete   func(ctx context.Context, schema, table, column string, values []string) (int64, error)
	commit   func(ctx context.Context) error
	rollback func() error
}

// panicked tells, from now on, whether a Write has panicked.
func (x *twistedTx) panicked() *bool {
	panicked := new(bool)
	x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
		*panicked = true
		n, err := x.Tx.Write(ctx, schema, table, r, on)
		*panicked = false
		return n, err
	}
	return panicked
}

type readFunc func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error

func (x *twistedTx) Tables(ctx context.Context, schema string) ([]warehouse.Table, error) {
	if x.tables != nil {
		return x.tables(ctx, schema)
	}
	return x.Tx.Tables(ctx, schema)
}

func (x *twistedTx) Create(ctx context.Context, schema string, t warehouse.Table) error {
	if x.create != nil {
		return x.create(ctx, schema, t)
	}
	return x.Tx.Create(ctx, schema, t)
}

func (x *twistedTx) AddColumns(ctx context.Context, schema, table string, columns []warehouse.Column) error {
	if x.add != nil {
		return x.add(ctx, schema, table, columns)
	}
	return x.Tx.AddColumns(ctx, schema, table, columns)
}

func (x *twistedTx) SwapColumn(ctx context.Context, schema, table, old, by string) error {
	if x.swap != nil {
		return x.swap(ctx, schema, table, old, by)
	}
	return x.Tx.SwapColumn(ctx, schema, table, old, by)
}

func (x *twistedTx) Write(ctx context.Context, schema, table string, rows warehouse.Rows, on warehouse.Conflict) (int64, error) {
	if x.write != nil {
		return x.write(ctx, schema, table, rows, on)
	}
	return x.Tx.Write(ctx, schema, table, rows, on)
}

func (x *twistedTx) Read(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
	if x.read != nil {
		return x.read(ctx, schema, table, columns, q, f)
	}
	return x.Tx.Read(ctx, schema, table, columns, q, f)
}

func (x *twistedTx) Delete(ctx context.Context, schema, table, column string, values []string) (int64, error) {
	if x.delete != nil {
		return x.delete(ctx, schema, table, column, values)
	}
	return x.Tx.Delete(ctx, schema, table, column, values)
}

func (x *twistedTx) Commit(ctx context.Context) error {
	if x.commit != nil {
		return x.commit(ctx)
	}
	return x.Tx.Commit(ctx)
}

func (x *twistedTx) Rollback() error {
	if x.rollback != nil {
		return x.rollback()
	}
	return x.Tx.Rollback()
}

// store makes stores that edit changes, each in the same way.
func store(edit func(*twisted)) warehousetest.Setup {
	return impatient(time.Minute, edit)
}

func impatient(patience time.Duration, edit func(*twisted)) warehousetest.Setup {
	return warehousetest.Quick(warehousetest.Setup{
		New: func(*testing.T) warehouse.Store {
			s := &twisted{Store: warehousetest.NewStore(), shared: newShared()}
			edit(s)
			return s
		},
		Again: func(_ *testing.T, first warehouse.Store) warehouse.Store {
			f := first.(*twisted)
			s := &twisted{Store: f.Again(), shared: f.shared}
			edit(s)
			return s
		},
		Take: func(_ *testing.T, s warehouse.Store, schema, name string) error {
			return s.(*twisted).Take(schema, name)
		},
	}, patience)
}

// tx makes stores with changed transactions.
func tx(edit func(*twistedTx)) warehousetest.Setup {
	return store(func(s *twisted) { s.twist = edit })
}

// hanging is tx where something does not return.
func hanging(edit func(*twistedTx)) warehousetest.Setup {
	return impatient(2*time.Second, func(s *twisted) { s.twist = edit })
}

// rows are changed rows.
type rows struct {
	columns []warehouse.Column
	values  [][]warehouse.Value
}

func (r *rows) Columns() []warehouse.Column       { return r.columns }
func (r *rows) Len() int                          { return len(r.values) }
func (r *rows) Row(i int, into []warehouse.Value) { copy(into, r.values[i]) }

// copyOf reads all rows.
func copyOf(r warehouse.Rows) *rows {
	c := &rows{columns: r.Columns()}
	for i := range r.Len() {
		values := make([]warehouse.Value, len(c.columns))
		r.Row(i, values)
		c.values = append(c.values, values)
	}
	return c
}

// writing makes stores that write other rows than they are given.
func writing(edit func(*rows, warehouse.Conflict)) warehousetest.Setup {
	return tx(func(x *twistedTx) {
		x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
			c := copyOf(r)
			edit(c, on)
			return x.Tx.Write(ctx, schema, table, c, on)
		}
	})
}

// storing makes stores that store other values than they are given, but for keys.
func storing(edit func(warehouse.Value) warehouse.Value) warehousetest.Setup {
	return writing(func(r *rows, _ warehouse.Conflict) {
		for _, values := range r.values {
			for i := 1; i < len(values); i++ {
				if values[i].Kind != warehouse.Null {
					values[i] = edit(values[i])
				}
			}
		}
	})
}

// reading makes stores that read in another way.
func reading(read func(read readFunc, ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error) warehousetest.Setup {
	return tx(func(x *twistedTx) {
		x.read = func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			return read(x.Tx.Read, ctx, schema, table, columns, q, f)
		}
	})
}

// named makes stores that change the names of schemas, tables and columns, also in what
// Tables returns.
func named(edit func(string) string) warehousetest.Setup {
	columns := func(list []warehouse.Column) []warehouse.Column {
		list = append([]warehouse.Column{}, list...)
		for i := range list {
			list[i].Name = edit(list[i].Name)
		}
		return list
	}
	return tx(func(x *twistedTx) {
		x.tables = func(ctx context.Context, schema string) ([]warehouse.Table, error) {
			return x.Tx.Tables(ctx, edit(schema))
		}
		x.create = func(ctx context.Context, schema string, t warehouse.Table) error {
			return x.Tx.Create(ctx, edit(schema), warehouse.Table{Name: edit(t.Name), Columns: columns(t.Columns)})
		}
		x.add = func(ctx context.Context, schema, table string, list []warehouse.Column) error {
			return x.Tx.AddColumns(ctx, edit(schema), edit(table), columns(list))
		}
		x.swap = func(ctx context.Context, schema, table, old, by string) error {
			return x.Tx.SwapColumn(ctx, edit(schema), edit(table), edit(old), edit(by))
		}
		x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
			c := copyOf(r)
			c.columns = columns(c.columns)
			return x.Tx.Write(ctx, edit(schema), edit(table), c, on)
		}
		x.read = func(ctx context.Context, schema, table string, list []string, q warehouse.Query, f func([]warehouse.Value) error) error {
			list = append([]string{}, list...)
			for i := range list {
				list[i] = edit(list[i])
			}
			return x.Tx.Read(ctx, edit(schema), edit(table), list, q, f)
		}
		x.delete = func(ctx context.Context, schema, table, column string, values []string) (int64, error) {
			return x.Tx.Delete(ctx, edit(schema), edit(table), edit(column), values)
		}
	})
}
