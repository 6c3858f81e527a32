package analytics

import (
	"context"
	"runtime"
	"testing"
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

// TestDiskDrainTakesRoomForWhatThereIs: a trickle of events, each drained alone, does not
// take memory for a whole write each time.
func TestDiskDrainTakesRoomForWhatThereIs(t *testing.T) {
	l := openTestLog(t, wal.OS{}, t.TempDir(), testSettings(logOptions{unit: 1 << 20, units: 4}, 1<<20))
	defer func() { require.NoError(t, l.shut(context.Background())) }()
	put := func() {
		require.NoError(t, l.append(1, 0, []byte("an event")))
		require.NoError(t, l.drain())
	}
	put() // which makes the file
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const events = 200
	for range events {
		put()
	}
	runtime.ReadMemStats(&after)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(events*8<<10))
}
