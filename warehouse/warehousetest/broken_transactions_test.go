package warehousetest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// again ends the inner transaction and begins another one: what was done so far is
// committed.
func (x *twistedTx) again(ctx context.Context) error {
	if err := x.Tx.Commit(ctx); err != nil {
		return err
	}
	inner, err := x.store.Store.Begin(ctx, x.home)
	if err == nil {
		x.Tx = inner
	}
	return err
}

func brokenTransactions() []broken {
	return []broken{
		{rule: "own-writes", how: "has looked at the tables before", setup: tx(func(x *twistedTx) {
			before := map[string][]warehouse.Table{}
			for _, schema := range []string{"shop", "another"} {
				before[schema], _ = x.Tx.Tables(x.ctx, schema)
			}
			x.tables = func(ctx context.Context, schema string) ([]warehouse.Table, error) {
				if tables, ok := before[schema]; ok {
					return tables, nil
				}
				return x.Tx.Tables(ctx, schema)
			}
		}), consequences: []string{"add-columns", "create"}},
		{rule: "rollback", how: "commits tables at once", setup: hanging(func(x *twistedTx) {
			x.create = func(ctx context.Context, schema string, t warehouse.Table) error {
				if err := x.Tx.Create(ctx, schema, t); err != nil {
					return err
				}
				return x.again(ctx)
			}
		}), consequences: []string{"failed", "invisible", "lock-handed-on"}},
		{rule: "rollback", how: "commits columns at once", setup: tx(func(x *twistedTx) {
			x.add = func(ctx context.Context, schema, table string, columns []warehouse.Column) error {
				if err := x.Tx.AddColumns(ctx, schema, table, columns); err != nil {
					return err
				}
				return x.again(ctx)
			}
		})},
		{rule: "rollback-after-commit", how: "is an error", setup: tx(func(x *twistedTx) {
			ended := false
			x.commit = func(ctx context.Context) error {
				err := x.Tx.Commit(ctx)
				ended = err == nil
				return err
			}
			x.rollback = func() error {
				if ended {
					return errors.New("the transaction has been committed already")
				}
				return x.Tx.Rollback()
			}
		})},
		{rule: "rollback-after-commit", how: "gives back a home that is somebody else's", setup: locking(func(x *twistedTx, lock chan struct{}) {
			x.commit = func(ctx context.Context) error { defer unlock(lock); return x.Tx.Commit(ctx) }
			x.rollback = func() error { defer unlock(lock); return x.Tx.Rollback() }
		}), consequences: []string{"reopened"}},
		{rule: "invisible", how: "commits every row at once", setup: hanging(func(x *twistedTx) {
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
				n, err := x.Tx.Write(ctx, schema, table, r, on)
				if err != nil {
					return n, err
				}
				return n, x.again(ctx)
			}
		}), consequences: []string{"cancelled", "close-early", "failed", "lock-handed-on", "panic", "reopened", "rollback"}},
		{rule: "again", how: "has a database for itself", setup: with(func(s *warehousetest.Setup) {
			s.Again = func(t *testing.T, _ warehouse.Store) warehouse.Store { return s.New(t) }
		}), more: true},
		{rule: "begin-ctx", how: "ends with the ctx of Begin", setup: tx(func(x *twistedTx) {
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
				if err := x.ctx.Err(); err != nil {
					return 0, err
				}
				return x.Tx.Write(ctx, schema, table, r, on)
			}
		})},
	}
}

// locking makes stores that lock in a way of their own. The transaction has the lock when
// edit changes it.
func locking(edit func(x *twistedTx, lock chan struct{})) warehousetest.Setup {
	return store(func(s *twisted) {
		s.begin = func(ctx context.Context, home string) (warehouse.Tx, error) {
			select {
			case s.shared.lock(home) <- struct{}{}:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
			tx, err := s.Store.Begin(ctx, fmt.Sprint("lock ", s.shared.next()))
			if err != nil {
				<-s.shared.lock(home)
			}
			return tx, err
		}
		s.twist = func(x *twistedTx) { edit(x, s.shared.lock(x.home)) }
		s.close = func() error {
			if s.last != nil {
				unlock(s.shared.lock(s.last.home))
			}
			return s.Store.Close()
		}
	})
}

// unlock frees a lock, whoever has it.
func unlock(lock chan struct{}) {
	select {
	case <-lock:
	default:
	}
}

// beginning makes stores that begin in another way.
func beginning(begin func(s *twisted, ctx context.Context, home string) (warehouse.Tx, error)) warehousetest.Setup {
	return impatient(2*time.Second, func(s *twisted) {
		s.begin = func(ctx context.Context, home string) (warehouse.Tx, error) { return begin(s, ctx, home) }
	})
}

// staleTx has looked at the database before it had the home.
type staleTx struct {
	warehouse.Tx
	home warehouse.Tx
}

func (x *staleTx) Commit(ctx context.Context) error {
	defer func() { _ = x.home.Rollback() }()
	return x.Tx.Commit(ctx)
}

func (x *staleTx) Rollback() error {
	defer func() { _ = x.home.Rollback() }()
	return x.Tx.Rollback()
}

func brokenLocks() []broken {
	return []broken{
		{rule: "lock", how: "is none", setup: beginning(func(s *twisted, ctx context.Context, _ string) (warehouse.Tx, error) {
			return s.Store.Begin(ctx, fmt.Sprint("nobody's ", s.shared.next()))
		}), consequences: []string{"lock-handed-on", "reopened", "rollback-after-commit"}, perhaps: []string{"loaders"}},
		{rule: "lock", how: "is not waited for", setup: beginning(func(s *twisted, ctx context.Context, home string) (warehouse.Tx, error) {
			now, cancel := context.WithTimeout(ctx, time.Millisecond)
			defer cancel()
			tx, err := s.Store.Begin(now, home)
			if err != nil {
				err = errors.New("the database is locked")
			}
			return tx, err
		}), consequences: []string{"lock-handed-on", "reopened", "rollback-after-commit"}, perhaps: []string{"loaders"}},
		{rule: "lock", how: "is waited for in any case", setup: beginning(func(s *twisted, _ context.Context, home string) (warehouse.Tx, error) {
			return s.Store.Begin(context.Background(), home)
		}), consequences: []string{"cancelled", "reopened", "rollback-after-commit"}},
		{rule: "lock-handed-on", how: "comes after the snapshot", setup: beginning(func(s *twisted, ctx context.Context, home string) (warehouse.Tx, error) {
			inner, err := s.Store.Begin(ctx, fmt.Sprint("nobody's ", s.shared.next()))
			if err != nil {
				return nil, err
			}
			lock, err := s.Store.Begin(ctx, home)
			if err != nil {
				return nil, err
			}
			return &staleTx{inner, lock}, nil
		}), perhaps: []string{"loaders"}},
		{rule: "homes", how: "share a lock", setup: beginning(func(s *twisted, ctx context.Context, _ string) (warehouse.Tx, error) {
			return s.Store.Begin(ctx, "the only one")
		}), consequences: []string{"invisible"}},
		{rule: "loaders", how: "remember what they have written", setup: store(func(s *twisted) {
			var known []warehouse.Value
			s.twist = func(x *twistedTx) {
				x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
					if table == "counter" {
						known = copyOf(r).values[0]
					}
					return x.Tx.Write(ctx, schema, table, r, on)
				}
				x.read = func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
					if table == "counter" && known != nil {
						return f(known[len(known)-len(columns):])
					}
					return x.Tx.Read(ctx, schema, table, columns, q, f)
				}
			}
		})},
	}
}

func brokenErrors() []broken {
	return []broken{
		{rule: "missing", how: "makes only what is not there", setup: tx(func(x *twistedTx) {
			x.create = func(ctx context.Context, schema string, t warehouse.Table) error {
				tables, err := x.Tx.Tables(ctx, schema)
				for _, have := range tables {
					if have.Name == t.Name {
						return nil
					}
				}
				if err != nil {
					return err
				}
				return x.Tx.Create(ctx, schema, t)
			}
		}), consequences: []string{"taken-names"}},
		{rule: "missing", how: "takes a name for a text", setup: tx(func(x *twistedTx) {
			x.read = func(ctx context.Context, schema, table string, columns []string, q warehouse.Query, f func([]warehouse.Value) error) error {
				if columns[len(columns)-1] == "missing" {
					columns = columns[:1]
				}
				return x.Tx.Read(ctx, schema, table, columns, q, f)
			}
			x.delete = func(ctx context.Context, schema, table, column string, values []string) (int64, error) {
				if column == "missing" {
					return 0, nil
				}
				return x.Tx.Delete(ctx, schema, table, column, values)
			}
		})},
		{rule: "failed", how: "cannot be rolled back", setup: tx(func(x *twistedTx) {
			var failed error
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (n int64, err error) {
				n, failed = x.Tx.Write(ctx, schema, table, r, on)
				return n, failed
			}
			x.rollback = func() error { return errors.Join(failed, x.Tx.Rollback()) }
		}), consequences: []string{"kinds", "kinds-of-values"}},
		{rule: "no-values", how: "quotes the row", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			n, err := x.Tx.Write(ctx, schema, table, r, on)
			if err != nil && len(r.values) > 0 {
				err = fmt.Errorf("%w: failing row contains (%s)", err, r.values[0][0].S)
			}
			return n, err
		})},
		{rule: "no-values", how: "quotes the statement", setup: tx(func(x *twistedTx) {
			x.delete = func(ctx context.Context, schema, table, column string, values []string) (int64, error) {
				n, err := x.Tx.Delete(ctx, schema, table, column, values)
				if err != nil {
					err = fmt.Errorf("delete where %s in (%s): %w", column, strings.Join(values, ", "), err)
				}
				return n, err
			}
		})},
		{rule: "split", how: "wants to try again", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			for _, values := range r.values {
				if len(values[0].S) > 2700 {
					return 0, errors.New("index row size exceeds maximum")
				}
			}
			return x.Tx.Write(ctx, schema, table, r, on)
		})},
		{rule: "split", how: "gives up", setup: inserting(func(x *twistedTx, ctx context.Context, schema, table string, r *rows, on warehouse.Conflict) (int64, error) {
			for _, values := range r.values {
				if strings.Contains(values[len(values)-1].S, "e1000000") {
					return 0, analytics.Permanent(errors.New("value overflows numeric format"))
				}
			}
			return x.Tx.Write(ctx, schema, table, r, on)
		})},
		{rule: "panic", how: "makes an error of it", setup: tx(func(x *twistedTx) {
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (n int64, err error) {
				defer func() {
					if recover() != nil {
						err = errors.New("there was a panic")
					}
				}()
				return x.Tx.Write(ctx, schema, table, r, on)
			}
		})},
		{rule: "panic", how: "makes a text of it", setup: tx(func(x *twistedTx) {
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
				defer func() {
					if v := recover(); v != nil {
						panic(fmt.Sprint(v))
					}
				}()
				return x.Tx.Write(ctx, schema, table, r, on)
			}
		})},
		{rule: "panic", how: "is never done with the rows", setup: hanging(func(x *twistedTx) {
			panicked := x.panicked()
			x.rollback = func() error {
				if *panicked {
					return errors.New("the connection is busy")
				}
				return x.Tx.Rollback()
			}
		})},
		{rule: "panic", how: "keeps the home", setup: hanging(func(x *twistedTx) {
			panicked := x.panicked()
			x.rollback = func() error {
				if *panicked {
					return nil
				}
				return x.Tx.Rollback()
			}
		})},
		{rule: "split", how: "changes the row", setup: storing(func(v warehouse.Value) warehouse.Value {
			v.S = strings.Replace(v.S, "e1000000", "e1000", 1)
			return v
		})},
	}
}

func brokenEnds() []broken {
	return []broken{
		{rule: "cancelled", how: "does not look at ctx", setup: tx(func(x *twistedTx) {
			x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
				return x.Tx.Write(context.WithoutCancel(ctx), schema, table, r, on)
			}
		})},
		{rule: "cancelled", how: "has lost its connection", setup: store(func(s *twisted) {
			var lost error
			s.begin = func(ctx context.Context, home string) (warehouse.Tx, error) {
				if lost != nil {
					return nil, lost
				}
				return s.Store.Begin(ctx, home)
			}
			s.twist = func(x *twistedTx) {
				x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
					n, err := x.Tx.Write(ctx, schema, table, r, on)
					if ctx.Err() != nil {
						lost = errors.New("the connection is closed")
					}
					return n, err
				}
			}
		})},
		{rule: "cancelled", how: "commits and says that it has not", setup: tx(func(x *twistedTx) {
			x.commit = func(ctx context.Context) error {
				return errors.Join(x.Tx.Commit(context.WithoutCancel(ctx)), ctx.Err())
			}
		})},
		{rule: "close", how: "fails the second time", setup: store(func(s *twisted) {
			closed := false
			s.close = func() error {
				if closed {
					return errors.New("closed already")
				}
				closed = true
				return s.Store.Close()
			}
		})},
		{rule: "close", how: "does nothing", setup: impatient(2*time.Second, func(s *twisted) { s.close = func() error { return nil } }),
			consequences: []string{"reopened"}},
		{rule: "close-early", how: "commits", setup: store(func(s *twisted) {
			s.close = func() error {
				if s.last != nil {
					_ = s.last.Commit(context.Background())
				}
				return s.Store.Close()
			}
		}), consequences: []string{"reopened"}},
		{rule: "reopened", how: "rolls back what it has now", setup: store(func(s *twisted) {
			s.twist = func(x *twistedTx) { x.rollback = func() error { return s.last.Tx.Rollback() } }
		})},
		{rule: "reopened", how: "waits for a turn that nobody has", setup: impatient(2*time.Second, func(s *twisted) {
			closed := false
			s.close = func() error { closed = true; return s.Store.Close() }
			s.twist = func(x *twistedTx) {
				x.rollback = func() error {
					if closed && s.last == x {
						select {}
					}
					return x.Tx.Rollback()
				}
			}
		}), consequences: []string{"close-early"}},
		{rule: "reopened", how: "commits what it has now", setup: store(func(s *twisted) {
			s.twist = func(x *twistedTx) {
				x.commit = func(ctx context.Context) error { return s.last.Tx.Commit(ctx) }
			}
		})},
		{rule: "reopened", how: "writes to what it has now", setup: store(func(s *twisted) {
			s.twist = func(x *twistedTx) {
				x.write = func(ctx context.Context, schema, table string, r warehouse.Rows, on warehouse.Conflict) (int64, error) {
					return s.last.Tx.Write(ctx, schema, table, r, on)
				}
			}
		})},
		{rule: "reopened", how: "says that it has committed", setup: store(func(s *twisted) {
			closed := false
			s.close = func() error { closed = true; return s.Store.Close() }
			s.twist = func(x *twistedTx) {
				x.commit = func(ctx context.Context) error {
					if err := x.Tx.Commit(ctx); err != nil && !closed {
						return err
					}
					return nil
				}
			}
		})},
	}
}
