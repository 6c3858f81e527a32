package integration

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/postgres"
)

// endPostgres ends all connections of loaders to the database.
func endPostgres(t *testing.T, s *postgres.Store) {
	t.Helper()
	n := postgresExec(t, s.URL, `SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_activity WHERE application_name = 'analytics' AND datname = current_database()`)
	require.NotEqual(t, "0", n)
}

// keyOfAnother is a loader of another source that has written the key a into shop.orders,
// and has not committed.
func keyOfAnother(t *testing.T, s *postgres.Store) warehouse.Tx {
	t.Helper()
	held := beginPostgres(t, openPostgres(t, s.URL), "elsewhere")
	_, err := held.Write(t.Context(), "shop", "orders", orderRows("a"), warehouse.Keep)
	require.NoError(t, err)
	return held
}

// postgresWaits returns when a loader waits for a lock. The server is asked as fast as it answers.
func postgresWaits(t *testing.T, s *postgres.Store) {
	t.Helper()
	until := time.Now().Add(time.Minute)
	for time.Now().Before(until) {
		if postgresExec(t, s.URL, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'analytics' AND datname = current_database() AND wait_event_type = 'Lock'`) != "0" {
			return
		}
	}
	require.Fail(t, "nothing waits for a lock")
}

func TestPostgresConnectionThatWasIdle(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	endPostgres(t, s)
	x := beginPostgres(t, s, "shop")
	n, err := x.Write(t.Context(), "shop", "orders", orderRows("a"), warehouse.Keep)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
	require.NoError(t, x.Commit(t.Context()))
}

func TestPostgresConnectionInATransaction(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	x := beginPostgres(t, s, "shop")
	_, err := x.Write(t.Context(), "shop", "orders", orderRows("a"), warehouse.Keep)
	require.NoError(t, err)
	endPostgres(t, s)
	_, err = x.Write(t.Context(), "shop", "orders", orderRows("b"), warehouse.Keep)
	requireWord(t, analytics.WordAgain, err)
	requireWord(t, analytics.WordAgain, x.Commit(t.Context()))
	require.NoError(t, x.Rollback())
	x = beginPostgres(t, s, "shop") // nobody has the lock any more
	n, err := x.Write(t.Context(), "shop", "orders", orderRows("a", "b"), warehouse.Keep)
	require.NoError(t, err)
	require.EqualValues(t, 2, n, "nothing was left of the first transaction")
}

func TestPostgresCommitOfAFailedTransaction(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	x := beginPostgres(t, s, "shop")
	require.Error(t, x.SwapColumn(t.Context(), "shop", "orders", "missing", "n"))
	require.EqualError(t, x.Commit(t.Context()), "postgres: commit: an earlier call of the transaction has failed")
}

// A statement that waits is stopped on the server too, so that it does not go on with the
// locks of the load.
func TestPostgresContextStopsTheServer(t *testing.T) {
	s := newPostgres(t)
	makeOrders(t, s)
	keyOfAnother(t, s)

	x := beginPostgres(t, s, "shop")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := x.Write(ctx, "shop", "orders", orderRows("b", "a"), warehouse.Keep)
		done <- err
	}()
	postgresWaits(t, s)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, x.Rollback())
	require.Equal(t, "0", postgresExec(t, s.URL, `SELECT count(*) FROM pg_locks WHERE NOT granted`))
	x = beginPostgres(t, s, "shop")
	n, err := x.Write(t.Context(), "shop", "orders", orderRows("b"), warehouse.Keep)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

func TestPostgresCloseEndsWhatWaits(t *testing.T) {
	s := newPostgres(t)
	held := beginPostgres(t, s, "shop")
	other := openPostgres(t, s.URL)
	done := make(chan error, 1)
	go func() {
		_, err := other.Begin(context.Background(), "shop")
		done <- err
	}()
	postgresWaits(t, s)
	require.NoError(t, other.Close())
	require.EqualError(t, <-done, "postgres: store closed")
	require.NoError(t, held.Create(t.Context(), "shop", warehouse.Table{Name: "orders", Columns: orderColumns}))
}
