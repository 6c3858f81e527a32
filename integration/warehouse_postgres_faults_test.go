package integration

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// withOption is a URL with one more parameter.
func withOption(t *testing.T, raw, name, value string) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	q := u.Query()
	q.Set(name, value)
	u.RawQuery = q.Encode()
	return u.String()
}

// The server takes the bytes of a COPY for whatever type the column has: a number with a
// fraction would become another one.
func TestPostgresKindsThatAreNotThoseOfTheTable(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	postgresExec(t, s.URL, `ALTER TABLE shop.orders ALTER COLUMN n TYPE double precision, ADD COLUMN amount numeric`)
	for column, want := range map[string]string{
		"n":       "is float",
		"amount":  "has a type of no kind",
		"missing": "is missing",
	} {
		for _, n := range []int{1, 101, 20_000} {
			for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
				rows := orderRows()
				rows.columns = []warehouse.Column{orderColumns[0], {Name: column, Kind: warehouse.Int}}
				for i := range n {
					rows.rows = append(rows.rows, []warehouse.Value{warehouse.StringValue(strconv.Itoa(i)), warehouse.IntValue(3)})
				}
				x := beginPostgres(t, s, "shop")
				_, err := x.Write(t.Context(), "shop", "orders", rows, on)
				require.EqualError(t, err, "postgres: write shop.orders: column "+column+" "+want+", the rows have int")
				requireWord(t, analytics.WordAgain, err)
				require.NoError(t, x.Rollback())
			}
		}
	}
	require.Equal(t, "0", postgresExec(t, s.URL, `SELECT count(*) FROM shop.orders`))
}

// What a transaction knows of a table is as its own changes have left it.
func TestPostgresKindsAfterChangesOfTheTransaction(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	as := func(key, column string, v warehouse.Value) *rowList {
		return &rowList{
			columns: []warehouse.Column{orderColumns[0], {Name: column, Kind: v.Kind}},
			rows:    [][]warehouse.Value{{warehouse.StringValue(key), v}},
		}
	}
	for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
		x := beginPostgres(t, s, "shop")
		write := func(rows *rowList) error {
			_, err := x.Write(t.Context(), "shop", "orders", rows, on)
			return err
		}
		require.NoError(t, write(as("a", "n", warehouse.IntValue(1))))
		require.NoError(t, x.AddColumns(t.Context(), "shop", "orders", []warehouse.Column{{Name: "f", Kind: warehouse.Float}}))
		require.NoError(t, write(as("b", "f", warehouse.FloatValue(1.5))))
		require.NoError(t, x.SwapColumn(t.Context(), "shop", "orders", "n", "f"))
		require.NoError(t, write(as("c", "n", warehouse.FloatValue(2.5))))
		require.ErrorContains(t, write(as("d", "n", warehouse.IntValue(1))), "column n is float, the rows have int")
		require.NoError(t, x.Rollback())
	}
}

// Nobody can recover a panic on a goroutine of the driver.
func TestPostgresRowsThatPanic(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	broken := errors.New("the rows are broken")
	for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
		rows := &panicRows{rowList: orderRows(), value: broken}
		for i := range 20_000 {
			rows.rows = append(rows.rows, orderRows(strconv.Itoa(i)).rows...)
		}
		rows.left = 30_000 // in the second half of the second time, which is the COPY
		if on == warehouse.Replace {
			rows.left = 10_000
		}
		x := beginPostgres(t, s, "shop")
		require.PanicsWithValue(t, broken, func() { _, _ = x.Write(t.Context(), "shop", "orders", rows, on) })
		require.Error(t, x.Commit(t.Context()))
		require.NoError(t, x.Rollback())
	}
	x := beginPostgres(t, s, "shop")
	n, err := x.Write(t.Context(), "shop", "orders", orderRows("a"), warehouse.Keep)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.NoError(t, x.Commit(t.Context()))
	require.Equal(t, "1", postgresExec(t, s.URL, `SELECT count(*) FROM shop.orders`))
}

type panicRows struct {
	*rowList
	left  int
	value any
}

func (r *panicRows) Row(i int, into []warehouse.Value) {
	if r.left--; r.left == 0 {
		panic(r.value)
	}
	r.rowList.Row(i, into)
}

// A transaction from before Close does nothing to the store that was opened again.
func TestPostgresTransactionFromBeforeClose(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	for name, call := range map[string]func(x warehouse.Tx) error{
		"Commit": func(x warehouse.Tx) error { return x.Commit(t.Context()) },
		"Write": func(x warehouse.Tx) error {
			_, err := x.Write(t.Context(), "shop", "orders", orderRows("old"), warehouse.Keep)
			return err
		},
		"Rollback": func(x warehouse.Tx) error {
			require.NoError(t, x.Rollback())
			return errors.New("postgres: store closed")
		},
	} {
		t.Run(name, func(t *testing.T) {
			old, err := s.Begin(t.Context(), "shop")
			require.NoError(t, err)
			require.NoError(t, s.Close())
			require.NoError(t, s.Open(t.Context()))
			x, err := s.Begin(t.Context(), "shop")
			require.NoError(t, err)
			_, err = x.Write(t.Context(), "shop", "orders", orderRows(name), warehouse.Keep)
			require.NoError(t, err)
			require.EqualError(t, call(old), "postgres: store closed")
			done := make(chan error, 1)
			go func() { done <- errors.Join(old.Rollback(), x.Commit(context.Background()), x.Rollback()) }()
			select {
			case err := <-done:
				require.NoError(t, err)
			case <-time.After(time.Minute):
				require.Fail(t, "it waits for ever")
			}
			require.Equal(t, "1", postgresExec(t, s.URL, `SELECT count(*) FROM shop.orders WHERE id = '`+name+`'`))
		})
	}
	require.Equal(t, "0", postgresExec(t, s.URL, `SELECT count(*) FROM shop.orders WHERE id = 'old'`))
}

// Begin of a store that is closed and opened again while it waits for its turn is not one
// of the store that was opened.
func TestPostgresCloseEndsWhatWaitsForItsTurn(t *testing.T) {
	s := newPostgres(t)
	held, err := s.Begin(t.Context(), "shop")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := s.Begin(context.Background(), "shop")
		done <- err
	}()
	time.Sleep(20 * time.Millisecond) // either way it is an error
	require.NoError(t, s.Close())
	require.EqualError(t, <-done, "postgres: store closed")
	require.NoError(t, held.Rollback())
}

func TestPostgresCloseEndsAWrite(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	keyOfAnother(t, s)
	x := beginPostgres(t, s, "shop")
	done := make(chan error, 1)
	go func() {
		_, err := x.Write(context.Background(), "shop", "orders", orderRows("a"), warehouse.Keep)
		done <- err
	}()
	postgresWaits(t, s)
	require.NoError(t, s.Close())
	require.EqualError(t, <-done, "postgres: store closed")
}

// What is no table, but keeps one of its name from being made, is listed without columns;
// and nothing else does.
func TestPostgresNamesThatAreTaken(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	postgresExec(t, s.URL, `SET search_path = shop; CREATE VIEW a_view AS SELECT 1 AS n; CREATE MATERIALIZED VIEW a_matview AS SELECT 1 AS n;
		CREATE INDEX an_index ON orders (n); CREATE SEQUENCE a_sequence; CREATE TYPE a_row AS (n bigint); CREATE TYPE an_enum AS ENUM ('a');
		CREATE DOMAIN a_domain AS bigint; CREATE TYPE a_range AS RANGE (subtype = bigint, multirange_type_name = ranges);
		CREATE TABLE theirs (id text PRIMARY KEY, n bigserial UNIQUE);
		CREATE TABLE parted (id text, n bigint) PARTITION BY RANGE (n); CREATE TABLE part PARTITION OF parted DEFAULT; CREATE INDEX parted_index ON parted (n);
		CREATE TABLE bare ()`)
	x := beginPostgres(t, s, "shop")
	tables, err := x.Tables(t.Context(), "shop")
	require.NoError(t, err)
	var taken, real []string
	for _, table := range tables {
		if len(table.Columns) == 0 {
			taken = append(taken, table.Name)
		} else {
			real = append(real, table.Name)
		}
	}
	require.Equal(t, []string{
		"a_domain", "a_matview", "a_range", "a_row", "a_sequence", "a_view", "an_enum", "an_index", "bare",
		"part", "part_n_idx", "parted_index", "ranges", "theirs_n_key", "theirs_n_seq", "theirs_pkey",
	}, taken)
	require.Equal(t, []string{"orders", "parted", "theirs"}, real)
	require.IsIncreasing(t, names(tables))
	require.NoError(t, x.Rollback())
	for _, name := range taken {
		x := beginPostgres(t, s, "shop")
		require.Error(t, x.Create(t.Context(), "shop", warehouse.Table{Name: name, Columns: orderColumns}), name)
		require.NoError(t, x.Rollback())
	}
	x = beginPostgres(t, s, "shop")
	for _, name := range []string{"_orders", "_an_enum", "_a_row", "_a_range", "_ranges"} {
		require.NoError(t, x.Create(t.Context(), "shop", warehouse.Table{Name: name, Columns: orderColumns}), name)
	}
}

func names(tables []warehouse.Table) []string {
	list := make([]string, len(tables))
	for i, t := range tables {
		list[i] = t.Name
	}
	return list
}

// How long Begin waits is said by its ctx, not by the role.
func TestPostgresLimitsOfTheRole(t *testing.T) {
	s := newPostgres(t)
	for _, option := range []string{"lock_timeout", "statement_timeout"} {
		held := beginPostgres(t, s, "shop")
		other := openPostgres(t, withOption(t, s.URL, option, "50"))
		done := make(chan error, 1)
		go func() {
			x, err := other.Begin(context.Background(), "shop")
			if err == nil {
				err = x.Rollback()
			}
			done <- err
		}()
		postgresWaits(t, s)
		select {
		case err := <-done:
			require.NoError(t, err, "%s: it did not wait", option)
		case <-time.After(300 * time.Millisecond):
		}
		require.NoError(t, held.Rollback())
		require.NoError(t, <-done, option)
	}
}

// Indexes of the owner outlive the column that they are about.
func TestPostgresIndexesOfASwappedColumn(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	postgresExec(t, s.URL, `ALTER TABLE shop.orders ADD COLUMN other bigint; INSERT INTO shop.orders SELECT i::text, i, i FROM generate_series(1, 100) i;
		CREATE INDEX ON shop.orders (n); CREATE INDEX both_of ON shop.orders (other DESC, n); CREATE UNIQUE INDEX "the ""N""" ON shop.orders (n);
		CREATE INDEX expression ON shop.orders ((n + 1)); CREATE INDEX partial ON shop.orders (other) WHERE n > 10;
		CREATE INDEX covering ON shop.orders (other) INCLUDE (n); CREATE INDEX of_other ON shop.orders (other)`)
	const all = `SELECT string_agg(indexdef, E'\n' ORDER BY indexname) FROM pg_indexes WHERE schemaname = 'shop'`
	before := postgresExec(t, s.URL, all)
	swap := func(kind warehouse.Kind) (warehouse.Tx, error) {
		x := beginPostgres(t, s, "shop")
		require.NoError(t, x.AddColumns(t.Context(), "shop", "orders", []warehouse.Column{{Name: "by", Kind: kind}}))
		return x, x.SwapColumn(t.Context(), "shop", "orders", "n", "by")
	}
	x, err := swap(warehouse.Int)
	require.NoError(t, err)
	require.NoError(t, x.Commit(t.Context()))
	require.Equal(t, before, postgresExec(t, s.URL, all))
	require.Equal(t, "0", postgresExec(t, s.URL, `SELECT count(*) FROM pg_index WHERE NOT indisvalid`))

	x, err = swap(warehouse.JSON)
	require.ErrorContains(t, err, "postgres: swap column n of shop.orders: make index expression again: ")
	require.NoError(t, x.Rollback())
	require.Equal(t, before, postgresExec(t, s.URL, all))
}

// A constraint says what the owner wants of the values: it does not go unnoticed.
func TestPostgresConstraintsOfASwappedColumn(t *testing.T) {
	for _, constraint := range []string{"UNIQUE (n)", "UNIQUE (other, n)", "CHECK (n > other)", "EXCLUDE USING btree ((n + 1) WITH =)", "FOREIGN KEY (n) REFERENCES shop.others"} {
		s := newPostgres(t)
		makeOrders(t, s)
		postgresExec(t, s.URL, `CREATE TABLE shop.others (n bigint PRIMARY KEY); ALTER TABLE shop.orders ADD COLUMN other bigint, ADD CONSTRAINT "mine" `+constraint)
		x := beginPostgres(t, s, "shop")
		require.NoError(t, x.AddColumns(t.Context(), "shop", "orders", []warehouse.Column{{Name: "by", Kind: warehouse.Int}}))
		require.EqualError(t, x.SwapColumn(t.Context(), "shop", "orders", "n", "by"),
			"postgres: swap column n of shop.orders: constraint mine would go with the column; drop it first", constraint)
	}
}

func TestPostgresIndexesOfATableInParts(t *testing.T) {
	s := newPostgres(t)
	postgresExec(t, s.URL, `CREATE SCHEMA shop; CREATE TABLE shop.orders (id text PRIMARY KEY, n bigint, by bigint) PARTITION BY HASH (id);
		CREATE TABLE shop.part PARTITION OF shop.orders FOR VALUES WITH (MODULUS 1, REMAINDER 0); CREATE INDEX mine ON shop.orders (n)`)
	x := beginPostgres(t, s, "shop")
	require.EqualError(t, x.SwapColumn(t.Context(), "shop", "orders", "n", "by"),
		"postgres: swap column n of shop.orders: index mine would go with the column; drop it first")
}

// Without a network Rollback has an end all the same.
func TestPostgresRollbackWithoutANetwork(t *testing.T) {
	s := newPostgres(t)
	u, err := url.Parse(s.URL)
	require.NoError(t, err)
	address, lose := losing(t, u.Host)
	u.Host = address
	far := openPostgres(t, withOption(t, u.String(), "sslmode", "disable"))
	x := beginPostgres(t, far, "shop")
	lose()
	start := time.Now()
	require.NoError(t, x.Rollback())
	require.Less(t, time.Since(start), 8*time.Second)
}

// losing passes on to an address what it gets, until it loses everything.
func losing(t *testing.T, to string) (address string, lose func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	var lost atomic.Bool
	pass := func(from, to net.Conn) {
		defer to.Close()
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			if err != nil {
				return
			}
			if !lost.Load() {
				_, _ = to.Write(b[:n])
			}
		}
	}
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			if lost.Load() {
				t.Cleanup(func() { near.Close() })
				continue
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				return
			}
			go pass(near, far)
			go pass(far, near)
		}
	}()
	return l.Addr().String(), func() { lost.Store(true) }
}

// A server that has become a standby refuses what changes it. The next transaction is one
// of a new connection, which the URL may lead to another server.
func TestPostgresServerThatTakesNoChanges(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	for code, kept := range map[string]bool{"25006": false, "0A000": false, "22000": true} {
		postgresExec(t, s.URL, fmt.Sprintf(`CREATE OR REPLACE FUNCTION shop.refuse() RETURNS trigger LANGUAGE plpgsql AS
			$$ BEGIN RAISE EXCEPTION USING ERRCODE = '%s'; END $$; CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON shop.orders EXECUTE FUNCTION shop.refuse()`, code))
		x := beginPostgres(t, s, "shop")
		const loader = `SELECT coalesce(min(pid), 0) FROM pg_stat_activity WHERE application_name = 'analytics' AND datname = current_database()`
		before := postgresExec(t, s.URL, loader)
		_, err := x.Write(t.Context(), "shop", "orders", orderRows("a"), warehouse.Keep)
		require.ErrorContains(t, err, code)
		require.NoError(t, x.Rollback())
		x = beginPostgres(t, s, "shop")
		require.Equal(t, kept, before == postgresExec(t, s.URL, loader), code)
		require.NoError(t, x.Rollback())
	}
}

// After without a key is the beginning, where the empty key is.
func TestPostgresReadsTheEmptyKey(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	x := beginPostgres(t, s, "shop")
	_, err := x.Write(t.Context(), "shop", "orders", orderRows("", "b"), warehouse.Keep)
	require.NoError(t, err)
	for after, want := range map[string][]string{"": {"", "b"}, "a": {"b"}} {
		var keys []string
		require.NoError(t, x.Read(t.Context(), "shop", "orders", []string{"id"}, warehouse.Query{After: after}, func(v []warehouse.Value) error {
			keys = append(keys, v[0].S)
			return nil
		}))
		require.Equal(t, want, keys)
	}
}
