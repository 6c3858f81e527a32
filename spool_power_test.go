package analytics

import (
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// losses counts the power losses of a run.
var losses atomic.Int64

// powerSchedules is how many schedules each test of power loss runs.
const powerSchedules = 400

// TestDiskPowerLoss drives logs through random schedules of appends, reads, syncs,
// kills and power losses. SPOOL_LONG=n runs n times as many, SPOOL_SEED=n only that one.
func TestDiskPowerLoss(t *testing.T) {
	for _, kind := range []scheduleKind{
		{name: "quiet"},
		{name: "interval", interval: true},
		{name: "evicting", evicting: true},
		{name: "faults", per: 12},
	} {
		t.Run(kind.name, func(t *testing.T) {
			before := losses.Load()
			runSchedules(t, kind, powerSchedules)
			t.Logf("%d power losses", losses.Load()-before)
		})
	}
}

type scheduleKind struct {
	name     string
	interval bool
	evicting bool
	per      int // one operation in so many fails, in bad times
	wrap     func(wal.FS) wal.FS
	hidden   bool // the log is not told of syncs that fail, which is no excuse
}

func runSchedules(t *testing.T, kind scheduleKind, n int) {
	if s := os.Getenv("SPOOL_SEED"); s != "" {
		seed, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err)
		synctest.Test(t, func(t *testing.T) { runSchedule(t, kind, seed) })
		return
	}
	n *= long(t)
	if underRace || testing.Short() {
		n /= 10
	}
	for seed := range uint64(n) {
		synctest.Test(t, func(t *testing.T) { runSchedule(t, kind, seed) })
	}
}

func runSchedule(t testing.TB, kind scheduleKind, seed uint64) {
	what := fmt.Sprintf("SPOOL_SEED=%d go test -run '^TestDiskPowerLoss$/^%s$' .", seed, kind.name)
	w := newWorld(t, what, seed, logSettings{})
	w.opts = w.settings(kind)
	w.wrap, w.hidden = kind.wrap, kind.hidden
	w.cursors = []*worldCursor{{name: "a"}, {name: "b"}}[:1+w.rng.IntN(2)]
	w.open()
	for range 25 + w.rng.IntN(40) {
		w.step(kind)
		if !w.alive() {
			w.kill(w.rng.IntN(3) > 0)
			w.reopen()
		}
	}
	w.faults.set(0)
	w.kill(true)
	w.open()
	w.check()
	w.shut()
}

func (w *world) settings(kind scheduleKind) logSettings {
	unit := int64(300 + w.rng.IntN(6000))
	o := logSettings{mode: Never, interval: time.Second, unit: unit, limit: 4 << 20, writeCall: w.rng.IntN(4) == 0}
	if kind.interval {
		o.mode = Interval
		o.interval = time.Duration(1+w.rng.IntN(1000)) * time.Millisecond
	}
	if kind.evicting {
		o.limit = max(unit, leastDiskSegment) * int64(2+w.rng.IntN(5))
		o.oldest = w.rng.IntN(2) == 0
	}
	if kind.per > 0 && w.rng.IntN(3) == 0 {
		o.fallback = 100 << 10
	}
	return o
}

// reopen opens the log after a crash and, half of the time, reads all that is there.
func (w *world) reopen() {
	w.open()
	if w.rng.IntN(2) == 0 {
		for _, c := range w.cursors {
			for w.read(c, 100, 1<<20) > 0 {
			}
		}
	}
}

func (w *world) step(kind scheduleKind) {
	w.t.Helper()
	c := w.cursors[w.rng.IntN(len(w.cursors))]
	switch k := w.rng.IntN(100); {
	case k < 34:
		for range 1 + w.rng.IntN(6) {
			_ = w.append(w.size())
		}
	case k < 46:
		w.read(c, 1+w.rng.IntN(12), 1+w.rng.IntN(3000))
	case k < 60:
		some := w.rng.IntN(2) == 0
		w.finish(c, func(int) bool { return !some || w.rng.IntN(2) == 0 })
	case k < 70:
		_ = w.sync()
	case k < 76:
		w.sleep(time.Duration(w.rng.Int64N(int64(2 * w.opts.interval))))
	case k < 80:
		w.shut()
		w.reopen()
	case k < 85:
		w.kill(false)
		w.reopen()
	case k < 89:
		w.kill(true)
		w.reopen()
	case k < 93:
		w.stop = w.fs.Ops() + w.rng.IntN(25)
		w.fs.Stop(w.stop)
	case k < 96:
		if kind.per > 0 {
			w.faults.set(w.rng.IntN(2) * (1 + w.rng.IntN(kind.per)))
			w.note("faults 1/%d", w.faults.per)
		}
	default:
		w.fs.EachPowerLoss(4, func(left *faultfs.FS) {
			b := w.branch(left)
			b.open()
			b.check()
			b.shut()
		})
	}
}

func (w *world) size() int {
	if w.rng.IntN(40) == 0 {
		return w.rng.IntN(maxEventBytes)
	}
	return w.rng.IntN(400)
}

// TestDiskEachPowerLoss loses the power in all ways that there are after each step of
// short traces.
func TestDiskEachPowerLoss(t *testing.T) {
	before, seeds := losses.Load(), uint64(30)
	if underRace {
		seeds = 4
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) { eachLoss(t, seed) })
	}
	t.Logf("%d power losses", losses.Load()-before)
}

func eachLoss(t *testing.T, seed uint64) {
	w := newWorld(t, fmt.Sprintf("seed %d of TestDiskEachPowerLoss", seed), seed, logSettings{mode: Never, interval: time.Second, unit: 300, limit: 1 << 20})
	w.cursors = []*worldCursor{{name: "a"}}
	w.fs.SetWriteback(0)
	w.fs.SetGarbage(false)
	w.open()
	_ = w.append(30)
	_ = w.sync()
	for range 4 {
		w.shortStep()
		w.fs.EachPowerLoss(150, func(left *faultfs.FS) {
			b := w.branch(left)
			b.open()
			b.check()
			b.shut()
		})
	}
	w.shut()
}

func (w *world) shortStep() {
	switch w.rng.IntN(6) {
	case 0, 1:
		_ = w.append(100)
	case 2:
		_ = w.sync()
	case 3:
		w.read(w.cursors[0], 2, 1000)
		w.finish(w.cursors[0], func(int) bool { return true })
	case 4:
		w.sleep(10 * time.Millisecond)
	case 5:
		w.shut()
		w.open()
	}
}
