package warehousetest

import (
	"context"
	"fmt"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

func lockRules() []rule {
	return []rule{
		{
			name:     "lock",
			sentence: "Begin waits while another loader has a transaction of the same home, and fails when its ctx ends; Commit and Rollback give the home back.",
			test:     testLock,
		},
		{
			name:     "lock-handed-on",
			sentence: "A Begin that has waited gets the home when the other transaction ends, and sees what that one has committed.",
			test:     testLockHandedOn,
		},
		{
			name:     "homes",
			sentence: "Loaders of different homes do not wait for each other.",
			writers:  true,
			test:     testHomes,
		},
		{
			name:     "loaders",
			sentence: "However many loaders share a home, no update is lost, and the first one of all makes the tables.",
			test:     testLoaders,
		},
	}
}

// waits reports a Begin that does not wait for the end of its ctx.
func (s *store) waits(home, when string) {
	ctx, cancel := context.WithTimeout(bg, s.t.brief())
	defer cancel()
	x, err := s.beginWith(ctx, home)
	if err == nil {
		x.giveUp()
		s.t.errorf("%s: Begin does not wait for the transaction that is open", when)
	} else if ctx.Err() == nil {
		s.t.errorf("%s: Begin does not wait until its ctx ends, but fails: %v", when, err)
	}
}

func testLock(t *trial) {
	s := t.open()
	other := s.again()
	for _, end := range []struct {
		name string
		f    func(*tx)
	}{
		{"Commit", (*tx).commit},
		{"Rollback", (*tx).rollback},
		{"Commit of a change", func(x *tx) {
			x.create(home, "orders", columns("id")...)
			x.commit()
		}},
	} {
		x := s.begin(home)
		other.waits(home, "before "+end.name)
		end.f(x)
		other.begin(home).rollback()
		s, other = other, s
	}
}

func testLockHandedOn(t *trial) {
	s := t.open()
	cols := s.filled("orders", "a")
	other := s.again()
	x := s.begin(home)
	x.write(home, "orders", rowsOf(cols, row("b", 1, "text")), warehouse.Keep, 1)
	ctx, cancel := context.WithTimeout(bg, t.patience())
	defer cancel()
	var y warehouse.Tx
	done := make(chan error, 1)
	go func() {
		done <- t.await(func() (err error) {
			y, err = other.Begin(ctx, home)
			return err
		})
	}()
	timer := time.NewTimer(t.brief())
	defer timer.Stop()
	select {
	case err := <-done:
		t.fatalf("Begin does not wait for the transaction that is open (error: %v)", err)
	case <-timer.C:
	}
	x.write(home, "orders", rowsOf(cols, row("c", 2, "text")), warehouse.Keep, 1)
	x.create(home, "users", cols...)
	x.commit()
	if err := <-done; err != nil {
		t.fatalf("Begin after the other transaction has ended: %v", err)
	}
	next := &tx{y, t}
	next.expect("after waiting", home, "orders", names(cols), warehouse.Query{}, row("a", 0, "text"), row("b", 1, "text"), row("c", 2, "text"))
	t.sameTable("after waiting", next.tables(home), "users", cols)
	next.rollback()
}

func testHomes(t *trial) {
	s := t.open()
	other := s.again()
	cols := columns("id")
	x := s.begin(home)
	ctx, cancel := context.WithTimeout(bg, t.patience())
	defer cancel()
	y, err := other.beginWith(ctx, "another")
	if err != nil {
		t.fatalf("Begin of another home: %v", err)
	}
	x.create(home, "orders", cols...)
	y.create("another", "orders", cols...)
	x.write(home, "orders", rowsOf(cols, row("a")), warehouse.Keep, 1)
	y.write("another", "orders", rowsOf(cols, row("b")), warehouse.Keep, 1)
	y.commit()
	x.commit()
	s.look(func(x *tx) {
		x.expect("the first home", home, "orders", names(cols), warehouse.Query{}, row("a"))
		x.expect("the second home", "another", "orders", names(cols), warehouse.Query{}, row("b"))
	})
}

func testLoaders(t *trial) {
	const loaders, loads = 3, 6
	first := t.open()
	stores := []*store{first}
	for len(stores) < loaders {
		stores = append(stores, first.again())
	}
	done := make(chan error, loaders)
	for _, s := range stores {
		go func() {
			done <- t.await(func() error {
				for i := range loads {
					if err := s.count(i == 0); err != nil {
						return err
					}
				}
				return nil
			})
		}()
	}
	for range loaders {
		if err := <-done; err != nil {
			t.errorf("one of %d loaders: %v", loaders, err)
		}
	}
	first.look(func(x *tx) {
		x.expect("at the end", home, "counter", []string{"id", "n"}, warehouse.Query{}, row("n", loaders*loads))
	})
}

// count adds one to a number in a table, which it makes where it is missing. A slow one
// leaves time for others to come between.
func (s *store) count(slow bool) error {
	ctx, cancel := context.WithTimeout(bg, s.t.patience())
	defer cancel()
	x, err := s.Begin(ctx, home)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := addOne(ctx, x); err != nil {
		_ = x.Rollback()
		return err
	}
	if slow {
		timer := time.NewTimer(s.t.brief() / 4)
		defer timer.Stop()
		<-timer.C
	}
	return x.Commit(ctx)
}

func addOne(ctx context.Context, x warehouse.Tx) error {
	cols := columns("id", "n:int")
	tables, err := x.Tables(ctx, home)
	if err != nil {
		return fmt.Errorf("tables: %w", err)
	}
	if len(tables) == 0 {
		if err := x.Create(ctx, home, warehouse.Table{Name: "counter", Columns: cols}); err != nil {
			return fmt.Errorf("create: %w", err)
		}
	}
	n := int64(0)
	err = x.Read(ctx, home, "counter", []string{"n"}, warehouse.Query{Keys: []string{"n"}}, func(v []warehouse.Value) error {
		n = v[0].N
		return nil
	})
	if err != nil {
		return fmt.Errorf("read: %w", err)
	}
	_, err = x.Write(ctx, home, "counter", rowsOf(cols, row("n", n+1)), warehouse.Replace)
	return err
}
