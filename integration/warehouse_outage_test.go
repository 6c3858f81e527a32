package integration

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// The server is restarted in the middle of loads: while a process stands still before it
// changes a table, writes rows or commits, or behind its commit, and a moment after each
// of these. All processes of the server are killed.
func TestWarehousePostgresRestarts(t *testing.T) {
	wanted(t)
	server := newPostgresCluster(t)
	database, log := loaderTask{Postgres: server.url(), Skip: 3}, newLoaderLog(t)
	restarts := 0
	for i, step := range []byte{markTables, markRows, markCommit, markDone} {
		for _, still := range []bool{true, false} {
			task := log.on(database, thenDrain, 100)
			task.First, task.Count, task.Pause = log.next, 600, 3*time.Millisecond
			if still {
				task.Hold, task.Each = step, 4+i
			}
			p := startLoader(t, task)
			require.True(t, p.reach(step, 4+i, loaderPatience), "%s", &p.log)
			server.restart()
			restarts++
			if still {
				p.goOn()
			}
			p.done()
			log.sent(t)
		}
	}
	tables := warehouseOf(t, database)
	require.Empty(t, judge(tables, log.sent(t)))
	t.Logf("%d restarts, %d loads", restarts, len(tables["_syncs"].rows))
}

// outage is a database that nobody can load into for a while.
type outage struct {
	store func() warehouse.Store
	end   func()
}

// Nobody can load for an hour. The events stay in the spool, also over a restart of the
// program; another destination gets them as they come; and afterwards all are loaded.
func TestWarehouseOutage(t *testing.T) {
	wanted(t)
	for name, begin := range map[string]func(*testing.T) outage{"sqlite": lockedSQLite, "postgres": stoppedPostgres} {
		t.Run(name, func(t *testing.T) {
			o := begin(t)
			synctest.Test(t, func(t *testing.T) { o.run(t) })
		})
	}
}

// lockedSQLite is a file that another process has locked.
func lockedSQLite(t *testing.T) outage {
	database := loaderTask{SQLite: filepath.Join(t.TempDir(), "warehouse.db"), Then: thenLock}
	holder := startLoader(t, database)
	require.True(t, holder.reach(markHolding, 1, loaderPatience), "%s", &holder.log)
	ended := make(chan error, 1)
	go func() { ended <- holder.wait() }()
	return outage{store: database.store, end: func() {
		holder.release()
		require.NoError(t, <-ended)
	}}
}

// stoppedPostgres is a server that is down.
func stoppedPostgres(t *testing.T) outage {
	server := newPostgresCluster(t)
	server.stop()
	database := loaderTask{Postgres: server.url()}
	return outage{store: database.store, end: server.start}
}

// run lasts an hour and a bit, by the clock of its bubble.
func (o *outage) run(t *testing.T) {
	const events, half = 600, 300
	other, spool, sent := &tool{got: map[string]int{}}, filepath.Join(t.TempDir(), "spool"), sentEvents{}
	taken := 0 // by the other one
	other.up.Store(true)
	open := func() *analytics.Client {
		client, err := analytics.New(analytics.Config{
			Destinations:  []analytics.Destination{&warehouse.Destination{Store: o.store()}, other},
			Spool:         analytics.Spool{Dir: spool, MinFree: -1},
			FlushInterval: time.Second,
			DeadLetters:   func(l analytics.DeadLetter) error { t.Errorf("a dead letter: %s", l.Reason); return nil },
			Logger:        slog.New(slog.DiscardHandler),
		})
		require.NoError(t, err)
		return client
	}
	within := func(d time.Duration, f func(context.Context) error) error {
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		return f(ctx)
	}
	send := func(client *analytics.Client, from, to int) {
		for n := from; n < to; n++ {
			m, _ := warehouseEvent(n)
			require.NoError(t, client.Enqueue(t.Context(), m))
			sent[n] = true
			<-time.After(6 * time.Second)
			if _, ok := m.(analytics.Object); !ok { // objects are for warehouses only
				taken++
			}
			require.Equal(t, taken, other.count(), "event %d is held up by the other destination", n)
		}
	}

	client := open()
	send(client, 0, half)
	var left *analytics.PendingError
	require.ErrorAs(t, within(time.Second, client.Close), &left)
	require.Equal(t, half, left.Destinations[analytics.IntegrationWarehouses].Events)
	client = open()
	send(client, half, events)
	stats := client.Stats().Destinations[analytics.IntegrationWarehouses]
	require.EqualValues(t, events, stats.Pending, "%+v", stats)
	require.Zero(t, stats.Delivered+analytics.Sum(stats.Dropped))

	o.end()
	err := within(10*time.Minute, client.Close)
	require.NoError(t, err, "%v", errors.Unwrap(err))
	require.Equal(t, taken, other.count())
	store := o.store()
	require.NoError(t, store.Open(t.Context()))
	defer store.Close()
	tables, err := readWarehouse(t.Context(), store)
	require.NoError(t, err)
	require.Empty(t, judge(tables, sent))
}

// count is how many events the tool has got, each of them once.
func (d *tool) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	total := 0
	for _, n := range d.got {
		total += n
	}
	return total
}
