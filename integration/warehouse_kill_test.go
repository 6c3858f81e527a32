package integration

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// killer starts one process after another on each of some logs, all into one database,
// and kills them.
type killer struct {
	t        *testing.T
	database loaderTask
	logs     []*loaderLog
	random   *rand.Rand
	kills    map[byte]int // by the mark at which the process was
}

func newKiller(t *testing.T, database loaderTask, logs int, seed uint64) *killer {
	k := &killer{t: t, database: database, random: rand.New(rand.NewPCG(seed, 0)), kills: map[byte]int{}}
	for range logs {
		k.logs = append(k.logs, newLoaderLog(t))
	}
	return k
}

// killPlan is the end of a process: so long after a mark came for the nth time, or while
// it stands still there.
type killPlan struct {
	mark  byte
	nth   int
	still bool
	after time.Duration
}

func (k *killer) upTo(most time.Duration) time.Duration {
	return time.Duration(k.random.Int64N(int64(most)))
}

// plan draws how a process ends: while it opens, at any time, standing still at a step of
// a load, or shortly behind it.
func (k *killer) plan() killPlan {
	steps := []byte{markDeliver, markBegun, markTables, markRows, markCommit, markCommit, markDone, markDone, markAnswered}
	p := killPlan{mark: steps[k.random.IntN(len(steps))], nth: 1 + k.random.IntN(4)}
	switch n := k.random.IntN(100); {
	case n < 10:
		return killPlan{mark: markOpening, nth: 1, after: k.upTo(30 * time.Millisecond)}
	case n < 40:
		return killPlan{mark: markReady, nth: 1, after: k.upTo(150 * time.Millisecond)}
	case n < 65:
		p.still = true
	default:
		p.after = k.upTo(3 * time.Millisecond)
	}
	return p
}

// task draws what a process does until then.
func (k *killer) task(log *loaderLog, p killPlan) loaderTask {
	t := k.database
	t.Spool, t.Journal, t.First, t.Count = log.spool, log.journal, log.next, 300
	t.Burst, t.Pause = 1+k.random.IntN(15), time.Duration(1+k.random.IntN(5))*time.Millisecond
	t.Every = time.Duration(2+k.random.IntN(18)) * time.Millisecond
	t.MaxItems = []int{0, 150, 20, 1}[k.random.IntN(4)]
	if p.still {
		t.Hold, t.Each = p.mark, p.nth
	}
	return t
}

// killTime is how long the step may take to come at which a process is to be killed.
const killTime = time.Second

// round runs a process on each log, at the same time, and kills each as it is planned.
func (k *killer) round() {
	k.t.Helper()
	var processes []*loaderProcess
	var wg sync.WaitGroup
	for _, log := range k.logs {
		plan := k.plan()
		p := startLoader(k.t, k.task(log, plan))
		processes = append(processes, p)
		wg.Go(func() {
			plan.await(p)
			_ = p.cmd.Process.Kill() // what comes of it, kill finds out
		})
	}
	wg.Wait()
	for i, p := range processes {
		k.kills[p.kill()]++
		k.logs[i].sent(k.t)
	}
}

// await returns when the process is to be killed.
func (plan killPlan) await(p *loaderProcess) {
	if plan.mark != markOpening && !p.reach(markReady, 1, loaderPatience) {
		return
	}
	if plan.mark == markReady || p.reach(plan.mark, plan.nth, killTime) && !plan.still {
		<-time.After(plan.after)
	}
}

// total is how many processes were killed at these marks; at any, if there is none.
func (k *killer) total(marks ...byte) (n int) {
	for m, times := range k.kills {
		if len(marks) == 0 || slices.Contains(marks, m) {
			n += times
		}
	}
	return n
}

// drain lets a last process for each log load the rest.
func (k *killer) drain() {
	k.t.Helper()
	for _, log := range k.logs {
		t := k.database
		t.Spool, t.Journal, t.Then, t.Every = log.spool, log.journal, thenDrain, time.Minute
		startLoader(k.t, t).done()
	}
}

// judge compares the tables with what was sent.
func (k *killer) judge() (faults []string, tables map[string]*warehouseTable) {
	k.t.Helper()
	tables = warehouseOf(k.t, k.database)
	var logs []sentEvents
	for _, log := range k.logs {
		logs = append(logs, log.sent(k.t))
	}
	return judge(tables, logs...), tables
}

// report says what was killed, and what of.
func (k *killer) report(tables map[string]*warehouseTable) {
	var marks []string
	for _, m := range slices.Sorted(maps.Keys(k.kills)) {
		marks = append(marks, fmt.Sprintf("%c %d", m, k.kills[m]))
	}
	sent, inDoubt, columns := 0, 0, 0
	for _, log := range k.logs {
		s := log.sent(k.t)
		sent, inDoubt = sent+len(s), inDoubt+len(s)-s.accepted()
	}
	for _, t := range tables {
		columns += len(t.kinds)
	}
	k.t.Logf("%d kills (%s), %d events, %d of them in doubt, %d loads, %d tables, %d columns",
		k.total(), strings.Join(marks, ", "), sent, inDoubt, len(tables["_syncs"].rows), len(tables), columns)
}

// mustBeWell is the verdict; a second drain finds nothing more to load.
func (k *killer) mustBeWell() {
	k.t.Helper()
	k.drain()
	faults, tables := k.judge()
	k.report(tables)
	require.Empty(k.t, faults)
	noFailures(k.t, tables)
	k.drain()
	_, again := k.judge()
	require.Equal(k.t, len(tables["_syncs"].rows), len(again["_syncs"].rows), "loads without events")
}

// A loader that is killed a hundred times, at every step of a load, ends with exactly the
// rows of what was accepted.
func TestWarehouseKill(t *testing.T) {
	onEachStore(t, func(t *testing.T, database loaderTask) {
		k := newKiller(t, database, 1, 6)
		for k.total() < 110 {
			k.round()
		}
		k.mustBeWell()
		require.Greater(t, k.total(markBegun, markTables, markRows, markCommit), 20, "in the middle of a load")
		require.Greater(t, k.total(markTables), 3, "while tables change")
		require.Greater(t, k.total(markCommit, markDone), 5, "around a commit")
	})
}

// flatEvent is one of many that bring no new column, and so are written while others are
// read.
func flatEvent(n int) analytics.Message {
	return analytics.Track{
		MessageID: warehouseID(n), UserID: warehouseUser(n), Timestamp: warehouseTime(n), Event: "Flat",
		Properties: analytics.Properties{"n": n, "half": float64(n) + 0.5, "text": fmt.Sprint("text ", n)},
	}
}

// A loader of a backlog is killed while rows of a large load are written, which others of
// it are made beside.
func TestWarehouseKillOfLargeLoads(t *testing.T) {
	const batch, batches, kills = 3000, 6, 12
	onEachStore(t, func(t *testing.T, database loaderTask) {
		k := newKiller(t, database, 1, 8)
		k.database.Flat = true
		log := k.logs[0]
		run := func(then loaderEnd, count int, every time.Duration) loaderTask {
			task := k.database
			task.Spool, task.Journal, task.First, task.Count, task.Burst = log.spool, log.journal, log.next, count, count
			task.Then, task.Every, task.MaxItems = then, every, batch
			return task
		}
		startLoader(t, run(thenDrain, 10, time.Minute)).done() // makes the tables
		log.sent(t)
		startLoader(t, run(thenLeave, batch*batches, time.Hour)).done()
		require.Less(t, len(warehouseOf(t, database)["flat"].rows), batch, "a new process loads once at once, and then each hour")
		for k.total() < kills {
			task := run(thenWait, 0, time.Millisecond)
			task.Hold, task.Each = markRows, []int{1, 2, 3, 4, 6}[k.total()%5] // in the first load, or behind it
			p := startLoader(t, task)
			require.True(t, p.reach(markHolding, 1, loaderPatience), "%s", &p.log)
			<-time.After(k.upTo(10 * time.Millisecond))
			k.kills[p.kill()]++
		}
		k.drain()
		tables, sent := warehouseOf(t, database), log.sent(t)
		k.report(tables)
		require.Len(t, tables["flat"].rows, len(sent))
		require.Len(t, tables["tracks"].rows, len(sent))
		for n := range sent {
			row := tables["flat"].rows[warehouseID(n)]
			require.Equal(t, warehouse.IntValue(int64(n)), row["n"])
			require.Equal(t, warehouse.StringValue(fmt.Sprint("text ", n)), row["text"])
		}
		noFailures(t, tables)
	})
}

// A loader whose journal is not in the transaction of the rows is found out.
func TestWarehouseKillFindsTornLoads(t *testing.T) {
	onEachStore(t, func(t *testing.T, database loaderTask) {
		k := newKiller(t, database, 1, 7)
		k.database.Tear = true
		var faults []string
		for len(faults) == 0 {
			require.Less(t, k.total(), 5, "nobody noticed")
			task := k.task(k.logs[0], killPlan{mark: markTorn, nth: 2, still: true})
			p := startLoader(t, task)
			require.True(t, p.reach(markHolding, 1, loaderPatience), "%s", &p.log)
			k.kills[p.kill()]++
			k.logs[0].sent(t)
			k.drain()
			faults, _ = k.judge()
		}
		t.Logf("%d kills: %s", k.total(), strings.Join(faults[:min(3, len(faults))], "; "))
	})
}
