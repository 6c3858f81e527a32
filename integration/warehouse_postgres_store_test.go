package integration

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/postgres"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

func postgresSetup(t *testing.T) warehousetest.Setup {
	server := postgresURL(t)
	return warehousetest.Setup{
		New: func(t *testing.T) warehouse.Store { return &postgres.Store{URL: postgresDatabase(t, server)} },
		Again: func(_ *testing.T, first warehouse.Store) warehouse.Store {
			return &postgres.Store{URL: first.(*postgres.Store).URL}
		},
		Take: func(t *testing.T, s warehouse.Store, schema, name string) error {
			postgresExec(t, s.(*postgres.Store).URL, `CREATE VIEW "`+schema+`"."`+name+`" AS SELECT 1`)
			return nil
		},
	}
}

func TestPostgresStoreConforms(t *testing.T) { warehousetest.Run(t, postgresSetup(t)) }

// openPostgres opens a store; its database is a new one unless a URL is given.
func openPostgres(t *testing.T, url string) *postgres.Store {
	t.Helper()
	s := &postgres.Store{URL: url}
	require.NoError(t, s.Open(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func newPostgres(t *testing.T) *postgres.Store {
	t.Helper()
	return openPostgres(t, postgresDatabase(t, postgresURL(t)))
}

func beginPostgres(t *testing.T, s *postgres.Store, home string) warehouse.Tx {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	x, err := s.Begin(ctx, home)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Rollback()) })
	return x
}

// makeOrders commits the table shop.orders with a number beside the key.
func makeOrders(t *testing.T, s *postgres.Store) {
	t.Helper()
	x := beginPostgres(t, s, "shop")
	require.NoError(t, x.Create(t.Context(), "shop", warehouse.Table{Name: "orders", Columns: orderColumns}))
	require.NoError(t, x.Commit(t.Context()))
}

var orderColumns = []warehouse.Column{{Name: "id", Kind: warehouse.String}, {Name: "n", Kind: warehouse.Int}}

// orderRows are rows of it.
func orderRows(keys ...string) *rowList {
	r := &rowList{columns: orderColumns}
	for i, key := range keys {
		r.rows = append(r.rows, []warehouse.Value{warehouse.StringValue(key), warehouse.IntValue(int64(i))})
	}
	return r
}

type rowList struct {
	columns []warehouse.Column
	rows    [][]warehouse.Value
}

func (r *rowList) Columns() []warehouse.Column       { return r.columns }
func (r *rowList) Len() int                          { return len(r.rows) }
func (r *rowList) Row(i int, into []warehouse.Value) { copy(into, r.rows[i]) }

func requireWord(t *testing.T, want analytics.Word, err error) {
	t.Helper()
	require.Error(t, err)
	got, _ := analytics.Classify(err)
	require.Equal(t, want, got, "%v", err)
}

// A loader of another source writes the same key into the same schema, and has not
// committed when this one asks for it.
func TestPostgresKeyThatTurnsUp(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	held := keyOfAnother(t, s)

	x := beginPostgres(t, s, "shop")
	done := make(chan error, 1)
	go func() {
		_, err := x.Write(t.Context(), "shop", "orders", orderRows("b", "a"), warehouse.Keep)
		done <- err
	}()
	postgresWaits(t, s)
	require.NoError(t, held.Commit(t.Context()))
	requireWord(t, analytics.WordAgain, <-done)
	require.NoError(t, x.Rollback())
	for range 2 { // the second time in the ordinary way
		x = beginPostgres(t, s, "shop")
		_, err := x.Write(t.Context(), "shop", "orders", orderRows("b", "a"), warehouse.Keep)
		require.NoError(t, err)
		require.NoError(t, x.Commit(t.Context()))
	}
	require.Equal(t, "a0 b0", postgresExec(t, s.URL, `SELECT string_agg(id || n, ' ' ORDER BY id) FROM shop.orders`))
}

// An index of the owner on another column is no reason to try for ever.
func TestPostgresUniqueIndexOfTheOwner(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	postgresExec(t, s.URL, `CREATE UNIQUE INDEX ON shop.orders (n); INSERT INTO shop.orders VALUES ('a', 0)`)
	for _, want := range []analytics.Word{analytics.WordAgain, analytics.WordSplit, analytics.WordSplit} {
		x := beginPostgres(t, s, "shop")
		_, err := x.Write(t.Context(), "shop", "orders", orderRows("b"), warehouse.Keep)
		requireWord(t, want, err)
		require.NoError(t, x.Rollback())
	}
}

func TestPostgresRefusals(t *testing.T) {
	s := newPostgres(t)
	_, rest, _ := strings.Cut(s.URL, "@")
	wrong := openPostgres(t, "postgres://nobody_"+postgresSuffix()+":pw-4711@"+rest)
	_, err := wrong.Begin(t.Context(), "shop")
	requireWord(t, analytics.WordUnauthorized, err)
	require.NotContains(t, err.Error(), "pw-4711")
	require.NotContains(t, err.Error(), rest)

	gone := openPostgres(t, strings.Replace(s.URL, "/analytics_", "/none_", 1))
	_, err = gone.Begin(t.Context(), "shop")
	requireWord(t, analytics.WordUnauthorized, err)

	for _, schema := range []string{"pg_catalog", "pg_shop"} {
		x := beginPostgres(t, s, "shop")
		requireWord(t, analytics.WordUnauthorized, x.Create(t.Context(), schema, warehouse.Table{Name: "orders", Columns: orderColumns}))
		require.NoError(t, x.Rollback())
	}
}

func TestPostgresNamesOfIndexes(t *testing.T) {
	s := newPostgres(t)
	x := beginPostgres(t, s, "shop")
	long := strings.Repeat("a", 63)
	for _, name := range []string{"orders", "orders_pkey", "orders_id_key", "_orders", long, long[:62] + "b", long[:58] + "_pkey"} {
		require.NoError(t, x.Create(t.Context(), "shop", warehouse.Table{Name: name, Columns: orderColumns}), name)
	}
	require.NoError(t, x.Commit(t.Context()))
}

func TestPostgresTypesOfOthers(t *testing.T) {
	s := newPostgres(t)
	postgresExec(t, s.URL, `CREATE SCHEMA shop; CREATE TABLE shop.orders (id varchar PRIMARY KEY, short varchar(3), small integer, exact numeric,
		made bigint GENERATED ALWAYS AS (1) STORED, plain json, bare timestamp, n bigint); CREATE VIEW shop.seen AS SELECT * FROM shop.orders`)
	x := beginPostgres(t, s, "shop")
	tables, err := x.Tables(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, []warehouse.Table{{Name: "orders", Columns: []warehouse.Column{
		{Name: "id", Kind: warehouse.String}, {Name: "short"}, {Name: "small"}, {Name: "exact"}, {Name: "made"}, {Name: "plain"}, {Name: "bare"}, {Name: "n", Kind: warehouse.Int},
	}}, {Name: "orders_pkey"}, {Name: "seen"}}, tables)
	for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
		_, err = x.Write(t.Context(), "shop", "orders", orderRows("a"+strconv.Itoa(int(on))), on)
		require.NoError(t, err)
	}
	var keys []string
	require.NoError(t, x.Read(t.Context(), "shop", "orders", []string{"id"}, warehouse.Query{After: "a0"}, func(v []warehouse.Value) error {
		keys = append(keys, v[0].S)
		return nil
	}))
	require.Equal(t, []string{"a1"}, keys)
}

// Pages are read along the index of the key.
func TestPostgresReadsPagesByIndex(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	plan := postgresExec(t, s.URL, `SET enable_seqscan = off; SET enable_bitmapscan = off;
		EXPLAIN (FORMAT JSON) SELECT id FROM shop.orders WHERE "id" COLLATE "C" > 'a' ORDER BY "id" COLLATE "C" LIMIT 10`)
	require.Contains(t, plan, `"Index Name": "orders pkey"`)
	require.Contains(t, plan, `"Index Cond"`)
	require.NotContains(t, plan, `"Sort"`)
}

// Dropped columns count until the table is rebuilt. No row is at fault, so none is lost.
func TestPostgresDroppedColumns(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	postgresExec(t, s.URL, `DO $$ BEGIN FOR i IN 1..1590 LOOP
		EXECUTE 'ALTER TABLE shop.orders ADD COLUMN old bigint'; EXECUTE 'ALTER TABLE shop.orders DROP COLUMN old';
	END LOOP; END $$`)
	x := beginPostgres(t, s, "shop")
	var added []warehouse.Column
	for i := range 20 {
		added = append(added, warehouse.Column{Name: fmt.Sprint("c", i), Kind: warehouse.Int})
	}
	err := x.AddColumns(t.Context(), "shop", "orders", added)
	requireWord(t, analytics.WordUnauthorized, err)
	require.ErrorContains(t, err, "dropped ones count")
}

func TestPostgresStoreGolden(t *testing.T) { warehousetest.Golden(t, postgresSetup(t)) }
