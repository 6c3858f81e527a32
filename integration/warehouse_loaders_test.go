package integration

import (
	"maps"
	"math"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// on is the task of a process that works on a log.
func (l *loaderLog) on(database loaderTask, then loaderEnd, maxItems int) loaderTask {
	database.Spool, database.Journal, database.Then = l.spool, l.journal, then
	database.Every, database.MaxItems, database.Burst = 3*time.Millisecond, maxItems, 7
	return database
}

// copy is the same log once more: the same id, the same events.
func (l *loaderLog) copy(t *testing.T) *loaderLog {
	t.Helper()
	again := newLoaderLog(t)
	require.NoError(t, os.CopyFS(again.spool, os.DirFS(l.spool)))
	return again
}

// fill accepts events and loads none.
func (l *loaderLog) fill(t *testing.T, database loaderTask, count int) {
	t.Helper()
	task := l.on(database, thenLeave, 0)
	task.Every, task.Count = time.Hour, count
	startLoader(t, task).done()
}

// Two processes with logs of their own load the same tables at the same time. A third of
// the events is in both logs, and both need the same new tables and columns.
func TestWarehouseTwoLoaders(t *testing.T) {
	onEachStore(t, func(t *testing.T, database loaderTask) {
		logs := []*loaderLog{newLoaderLog(t), newLoaderLog(t)}
		var processes []*loaderProcess
		for i, log := range logs {
			task := log.on(database, thenDrain, 50)
			task.Count, task.Skip, task.Pause = 3000, i, 2*time.Millisecond
			processes = append(processes, startLoader(t, task))
		}
		for _, p := range processes {
			p.done()
		}
		sent := []sentEvents{logs[0].sent(t), logs[1].sent(t)}
		tables := warehouseOf(t, database)
		require.Empty(t, judge(tables, sent...))
		noFailures(t, tables)
		require.Equal(t, 2000, sent[0].accepted())
		require.Positive(t, turns(tables), "one was not there: how often they take turns depends on the machine")
		t.Logf("%d loads, %d turns", len(tables["_syncs"].rows), turns(tables))
	})
}

// turns is how often a load was of another log than the one before.
func turns(tables map[string]*warehouseTable) (n int) {
	before := ""
	for _, id := range slices.Sorted(maps.Keys(tables["_syncs"].rows)) { // ids go back in time
		log := tables["_syncs"].rows[id]["log"].S
		if before != "" && before != log {
			n++
		}
		before = log
	}
	return n
}

// Two loaders that are killed again and again.
func TestWarehouseTwoLoadersKilled(t *testing.T) {
	onEachStore(t, func(t *testing.T, database loaderTask) {
		k := newKiller(t, database, 2, 8)
		for k.total() < 30 {
			k.round()
		}
		k.mustBeWell()
	})
}

// Two processes load the same log, since somebody has copied the spool. They are kept at
// the same place of it, but their loads have different sizes, so that one finds a part of
// its range loaded. Nothing is in the tables twice, and each event is counted once.
func TestWarehouseOneLogTwice(t *testing.T) {
	onEachStore(t, func(t *testing.T, database loaderTask) {
		log := newLoaderLog(t)
		log.fill(t, database, 1500)
		var processes []*loaderProcess
		sizes := []int{37, 53}
		for i, same := range []*loaderLog{log, log.copy(t)} {
			task := same.on(database, thenDrain, sizes[i])
			task.Hold, task.Each = markDeliver, 1
			processes = append(processes, startLoader(t, task))
		}
		for _, p := range processes { // none goes on before both know where to begin
			require.True(t, p.reach(markHolding, 1, loaderPatience), "%s", &p.log)
		}
		for _, p := range processes {
			p.release()
		}
		for at := slices.Clone(sizes); min(at[0], at[1]) < math.MaxInt; {
			i := slices.Index(at, slices.Min(at)) // the one that is behind
			if processes[i].reach(markHolding, 1, loaderPatience) {
				processes[i].release()
				at[i] += sizes[i]
			} else {
				processes[i].done()
				at[i] = math.MaxInt
			}
		}
		tables := warehouseOf(t, database)
		require.Empty(t, judge(tables, log.sent(t)))
		parts := 0
		for _, row := range tables["_syncs"].rows {
			if !slices.Contains(sizes, int(row["events"].N)) {
				parts++
			}
		}
		t.Logf("%d loads, %d of them of a part", len(tables["_syncs"].rows), parts)
		require.Greater(t, parts, 5, "no range was loaded in part")
	})
}

// A process stands still in the middle of its log. Another one, which has the same log,
// loads all of it. When the first goes on, what it knows of tables and positions is old.
func TestWarehouseZombie(t *testing.T) {
	onEachStore(t, func(t *testing.T, database loaderTask) {
		log := newLoaderLog(t)
		log.fill(t, database, 1500)
		other := log.copy(t)
		task := log.on(database, thenDrain, 40)
		task.Hold, task.Each = markDeliver, 12
		zombie := startLoader(t, task)
		require.True(t, zombie.reach(markHolding, 1, loaderPatience), "%s", &zombie.log)

		startLoader(t, other.on(database, thenDrain, 53)).done()
		sent := log.sent(t)
		before := warehouseOf(t, database)
		require.Empty(t, judge(before, sent))

		zombie.goOn()
		zombie.done()
		after := warehouseOf(t, database)
		require.Empty(t, judge(after, sent))
		require.Equal(t, before, after, "the zombie has changed something")
	})
}
