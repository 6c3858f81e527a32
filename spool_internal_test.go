package analytics

import (
	"context"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// testSettings are those of a log that is small, and syncs when it is told to.
func testSettings(o logOptions, ring int) logSettings {
	return logSettings{
		mode: Never, interval: time.Second, ringSize: ring, unit: int64(o.unit), limit: int64(o.unit) * int64(o.units), oldest: o.dropOldest,
	}
}

func openTestLog(t testing.TB, fsys wal.FS, dir string, opts logSettings) *diskLog {
	t.Helper()
	slot, err := wal.OpenSlot(fsys, dir)
	require.NoError(t, err)
	l, err := openDiskLog(slot, opts, quiet())
	require.NoError(t, err)
	return l
}

// TestDiskLog runs the suite of all logs over the log on disk: on the disk of this
// machine, and on one in memory.
func TestDiskLog(t *testing.T) {
	t.Run("disk", func(t *testing.T) {
		testLog(t, func(t testing.TB, o logOptions) eventLog { return newSuiteLog(t, wal.OS{}, t.TempDir(), 1<<20, o) })
	})
	t.Run("memory", func(t *testing.T) {
		testLog(t, func(t testing.TB, o logOptions) eventLog { return newSuiteLog(t, faultfs.New(1), "/spool", 1<<20, o) })
		t.Run("a model agrees", func(t *testing.T) {
			n := 1000
			if underRace {
				n = 150
			}
			testLogModel(t, n, func(t testing.TB, o logOptions) eventLog { return newSuiteLog(t, faultfs.New(1), "/spool", 256<<10, o) })
		})
	})
}

func newSuiteLog(t testing.TB, fsys wal.FS, dir string, ring int, o logOptions) eventLog {
	l := openTestLog(t, fsys, dir, testSettings(o, ring))
	t.Cleanup(func() { _ = l.shut(context.Background()) })
	o.hooks.cost, o.hooks.fresh, o.hooks.ranges = diskCost, true, wal.MostAhead
	o.hooks.reopen = func() eventLog {
		require.NoError(t, l.shut(context.Background()))
		l = openTestLog(t, fsys, dir, testSettings(o, ring))
		return l
	}
	return l
}

// Where no ring can be made and memory is allowed to stand in, events are accepted, get
// into segments, and from then on survive; once there can be a ring, there is one.
func TestDiskRingInMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		fsys.Inject(func(op faultfs.Op) error {
			if op.Kind == faultfs.Map {
				return syscall.ENOSPC
			}
			return nil
		})
		opts := testSettings(logOptions{unit: 64 << 10, units: 16}, 256<<10)
		opts.fallback = 1 << 20
		l := openTestLog(t, fsys, "/spool", opts)
		l.cursor("a", nil, make(chan struct{}, 1))
		require.NoError(t, l.append(1, 0, []byte("one")))
		require.Equal(t, wal.InMemory, l.ring.Load().Use())
		require.NoError(t, l.sync(t.Context()))
		require.NoError(t, l.append(2, 0, []byte("two")))
		fsys.Inject(nil)
		time.Sleep(2 * time.Second)
		require.Equal(t, wal.Mapped, l.ring.Load().Use())
		require.NoError(t, l.append(3, 0, []byte("three")))
		fsys = fsys.Kill()
		_ = l.shut(t.Context())

		l = openTestLog(t, fsys, "/spool", opts)
		recs := l.cursor("a", nil, make(chan struct{}, 1)).read(nil, 10, 1000)
		require.Equal(t, seqRange(0, 3), seqs(recs))
		require.Equal(t, "three", string(recs[2].body))
		require.NoError(t, l.shut(t.Context()))
	})
}
