package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

// orders are events of a day, the last with an amount that is none.
func orders() []*analytics.Event {
	at := time.Date(2026, 5, 2, 18, 4, 5, 0, time.UTC)
	order := func(id string, amount any) *analytics.Event {
		return &analytics.Event{
			Type: analytics.CallTrack, MessageID: id, UserID: "u1", Event: "Order Paid", Timestamp: at,
			Properties: map[string]any{"amount": amount, "count": 2},
		}
	}
	return []*analytics.Event{
		order("m1", 5), order("m2", 6),
		{Type: analytics.CallIdentify, MessageID: "m3", UserID: "u1", AnonymousID: "a1", Timestamp: at, Traits: map[string]any{"plan": "pro"}},
		order("m4", "none"),
	}
}

// deliver loads events of a log at once, as a client does when it is time.
func deliver(t *testing.T, d *warehouse.Destination, log byte, from uint64, events ...*analytics.Event) error {
	t.Helper()
	b := &analytics.Batch{Log: analytics.LogID{log}, From: from, To: from + uint64(len(events))}
	for _, e := range events {
		items, err := d.Translate(e)
		require.NoError(t, err)
		b.Items = append(b.Items, items...)
	}
	return d.Deliver(t.Context(), b)
}

// openedShop is a warehouse without a client.
func openedShop(t *testing.T, s warehouse.Store) *warehouse.Destination {
	t.Helper()
	d := &warehouse.Destination{Store: s, Source: "shop"}
	require.NoError(t, d.Open(analytics.Env{}))
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d
}

// shop is a warehouse in a file, loaded twice.
func shop(t *testing.T) (dir, address string) {
	t.Helper()
	dir = t.TempDir()
	file := filepath.Join(dir, "shop.db")
	d := openedShop(t, &sqlite.Store{Path: file})
	require.NoError(t, deliver(t, d, 1, 0, orders()[:3]...))
	require.NoError(t, deliver(t, d, 1, 3, orders()[3:]...))
	require.NoError(t, d.Close(t.Context()))
	return dir, "sqlite:" + file
}

func TestWarehouse(t *testing.T) {
	dir, address := shop(t)
	golden(t, dir, "warehouse",
		[]string{"warehouse", "status", "--store", address, "--source", "shop"},
		[]string{"warehouse", "status", "--store", address, "--source", "shop", "--limit", "1"},
		[]string{"warehouse", "status", "--store", address, "--source", "shop", "--failed"},
		[]string{"warehouse", "status", "--store", address, "--source", "shop", "--json"},
		[]string{"warehouse", "status", "--store", address},
		[]string{"warehouse", "schema", "--store", address, "--source", "shop"},
		[]string{"warehouse", "schema", "--store", address, "--source", "shop", "order_paid"},
		[]string{"warehouse", "schema", "--store", address, "--source", "shop", "users", "--json"},
		[]string{"warehouse", "schema", "--store", address, "--source", "shop", "nothing"},
		[]string{"warehouse", "schema", "--store", address},
		[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "amount", "string"},
		[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "amount", "string", "--yes"},
		[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "amount", "string"},
		[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "amount", "int", "--yes", "--json"},
		[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "amount", "json", "--json"},
		[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "user_id", "json", "--yes"},
		[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "price", "json"},
		[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "amount", "decimal"},
	)
}

// broken is a store that cannot write into tracks.
type broken struct{ warehouse.Store }

func (b broken) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	tx, err := b.Store.Begin(ctx, home)
	return brokenTx{tx}, err
}

type brokenTx struct{ warehouse.Tx }

func (b brokenTx) Write(ctx context.Context, schema, table string, rows warehouse.Rows, on warehouse.Conflict) (int64, error) {
	if table == "tracks" {
		return 0, analytics.Unauthorized(errors.New("no \x1b[2J permission"))
	}
	return b.Tx.Write(ctx, schema, table, rows, on)
}

func TestFailedLoad(t *testing.T) {
	dir, address := shop(t)
	d := openedShop(t, broken{&sqlite.Store{Path: filepath.Join(dir, "shop.db")}})
	require.Error(t, deliver(t, d, 2, 0, orders()[0]))

	golden(t, dir, "warehouse_failed",
		[]string{"warehouse", "status", "--store", address, "--source", "shop"},
		[]string{"warehouse", "status", "--store", address, "--source", "shop", "--failed", "--json"},
	)
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"sqlite:/var/lib/shop.db": "sqlite:/var/lib/shop.db",
		"sqlite:shop.db":          "sqlite:shop.db",
		"postgres://loader:pa55word@db.test/shop?sslmode=disable":               "postgres://db.test:5432/shop",
		"postgresql://loader:pa55w%40rd@db.test:6432/shop?sslmode=disable":      "postgres://db.test:6432/shop",
		"postgres://db.test/shop?user=loader&password=pa55word&sslmode=disable": "postgres://db.test:5432/shop",
		"postgres://loader:pa55word@[::1]:5433/shop?sslmode=disable":            "postgres://[::1]:5433/shop",
		"postgres://loader:pa55word@one.test:1,two.test:2/shop?sslmode=disable": "postgres://one.test:1/shop",
		"postgres://loader:pa55word@/shop?host=/var/run/pg&sslmode=disable":     "postgres:///var/run/pg:5432/shop",
	} {
		db, err := databaseAt(address)
		require.NoError(t, err, address)
		require.Equal(t, want, db.name)
		require.True(t, isDatabase(address))
	}
	for _, address := range []string{
		"", "sqlite:", "shop.db", "mysql://loader:pa55word@db.test/shop", "postgres://loader:pa55word@db.test:port/shop",
		"postgres://loader:pa55word@db.test/shop?sslmode=pa55word", "loader:pa55word@db.test",
	} {
		_, err := databaseAt(address)
		require.ErrorIs(t, err, errUsage, address)
		require.NotContains(t, err.Error(), "pa55w", address)
	}
}

// A password reaches neither the screen nor a program that reads the output.
func TestPasswordIsNotPrinted(t *testing.T) {
	const password = "pa55word"
	for _, address := range []string{
		"postgres://loader:" + password + "@127.0.0.1:1/shop?sslmode=disable",
		"postgres://127.0.0.1:1/shop?sslmode=disable&user=loader&password=" + password,
		"postgres://loader:" + password + "@127.0.0.1:port/shop",
		"mysql://loader:" + password + "@127.0.0.1/shop",
		url.QueryEscape("postgres://loader:" + password + "@127.0.0.1/shop"),
	} {
		t.Setenv("ANALYTICS_WAREHOUSE", address)
		for _, args := range [][]string{
			{"--help"}, {"warehouse", "status", "--help"}, {"warehouse", "status"}, {"warehouse", "status", "--json"}, {"warehouse", "schema"},
			{"warehouse", "status", "--wrong"}, {"warehouse", "schema", "--timeout", "x"}, {"warehouse", "retype", "t", "c", "int", "--yes"},
			{"warehouse", "status", "--store", address, "--limit", "x"},
		} {
			r := analyze(t, args...)
			require.NotContains(t, r.stdout+r.stderr, password, "%v", args)
			if args[len(args)-1] != "--help" {
				require.NotEqual(t, exitFine, r.code, "%v", args)
			}
		}
	}
}

func TestWrongCallsOfTheWarehouse(t *testing.T) {
	dir, address := shop(t)
	for _, c := range []struct {
		args []string
		want int
	}{
		{[]string{"warehouse", "status"}, exitUsage},
		{[]string{"warehouse", "status", "--store", "shop.db"}, exitUsage},
		{[]string{"warehouse", "status", "--store", address, "--source", "!"}, exitUsage},
		{[]string{"warehouse", "status", "--store", "sqlite:" + filepath.Join(dir, "none.db")}, exitFault},
		{[]string{"warehouse", "schema", "--store", "sqlite:" + filepath.Join(dir, "none.db")}, exitFault},
		{[]string{"warehouse", "retype", "--store", address, "--source", "shop", "order_paid", "amount"}, exitUsage},
	} {
		r := analyze(t, c.args...)
		require.Equal(t, c.want, r.code, "%v: %s", c.args, r.stderr)
	}
	require.NoFileExists(t, filepath.Join(dir, "none.db"), "looking makes no database")
}

// jsonOf checks that the output of a program is JSON, and returns it.
func jsonOf[T any](t *testing.T, text string) (v T) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(text))
	require.NoError(t, dec.Decode(&v), text)
	_, err := dec.Token()
	require.ErrorIs(t, err, io.EOF)
	return v
}

func TestStatusTotals(t *testing.T) {
	_, address := shop(t)
	out := jsonOf[statusJSON](t, analyze(t, "warehouse", "status", "--store", address, "--source", "shop", "--json", "--limit", "1").stdout)
	require.Len(t, out.Syncs, 1)
	require.Equal(t, totalJSON{Success: 1, Partial: 1, Events: 4, Rows: 8,
		Notices: []warehouse.Notice{{Kind: warehouse.Misfit, Table: "order_paid", Column: "amount", Count: 1}}}, out.Total)
	require.Equal(t, []positionJSON{{out.Syncs[0].Log, 4}}, out.Positions)
}
