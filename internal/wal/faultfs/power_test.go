package faultfs_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

func TestKillKeepsTheCache(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/old", "x")
	file := put(t, f, "/a", sectors("a"))
	write(t, file, 0, sectors("A"))
	m, err := f.Map("/m", 10)
	require.NoError(t, err)
	require.NoError(t, f.SyncDir("/"))
	copy(m.Bytes(), "stored")
	require.NoError(t, f.Rename("/old", "/new"))
	want := dump(t, f)

	next := f.Kill()
	m.Bytes()[0] = 'S'
	assert.Equal(t, want, dump(t, next))
	assert.Zero(t, next.Ops())

	// What was pending still is.
	assert.Equal(t, []string{"A", "a"}, outcomes(t, next, letters(t, "/a")))
	names := func(f *faultfs.FS) string { return strings.Join(f.Files(), " ") }
	assert.Equal(t, []string{"/a /m /new", "/a /m /old"}, outcomes(t, next, names))
	next.SetGarbage(false)
	assert.Equal(t, []string{"", "0", "s"}, outcomes(t, next, letters(t, "/m")))
}

func TestKilledMappingIsStillDirty(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/m", sectors("abcdefgh"))
	m, err := f.Map("/m", 4096)
	require.NoError(t, err)
	m.Bytes()[512] = 'B'
	f = f.Kill()
	assert.Equal(t, []string{"aBcdefgh", "abcdefgh"}, outcomes(t, f, letters(t, "/m")))
	require.NoError(t, open(t, f, "/m").Sync())
	assert.Equal(t, []string{"aBcdefgh"}, outcomes(t, f, letters(t, "/m")))
}

// Each of three sectors and two names is kept and is lost, in each combination.
func TestPowerLossChoosesAnyCombination(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(20 * seeds) {
		f := faultfs.New(seed)
		file := put(t, f, "/a", sectors("abc"))
		write(t, file, 0, sectors("ABC"))
		require.NoError(t, open(t, f, "/x").Sync())
		require.NoError(t, open(t, f, "/y").Sync())
		next := f.PowerLoss()
		seen[letters(t, "/a")(next)+fmt.Sprint(next.Files())]++
	}
	assert.Len(t, seen, 32)
}

func TestAfterPowerLossNothingIsPending(t *testing.T) {
	for seed := range uint64(seeds) {
		f := faultfs.New(seed)
		require.NoError(t, script(f))
		f = f.PowerLoss()
		want := dump(t, f)
		for range 3 {
			f = f.PowerLoss()
			require.Equal(t, want, dump(t, f))
		}
		count := 0
		require.True(t, f.EachPowerLoss(1, func(*faultfs.FS) { count++ }))
		require.Equal(t, 1, count)
	}
}

func TestEachPowerLossIsExactlyAll(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", sectors("abc"))
	write(t, file, 0, sectors("ABC"))
	require.NoError(t, open(t, f, "/x").Sync())
	before := dump(t, f)

	seen := map[string]int{}
	require.True(t, f.EachPowerLoss(16, func(next *faultfs.FS) {
		seen[dump(t, next)]++
		require.NoError(t, next.MkdirAll("/each/is/its/own"))
	}))
	assert.Len(t, seen, 16)
	for left, times := range seen {
		assert.Equal(t, 1, times, left)
	}

	count := 0
	require.False(t, f.EachPowerLoss(15, func(*faultfs.FS) { count++ }))
	assert.Equal(t, 15, count)

	assert.Equal(t, before, dump(t, f))
	write(t, file, 0, "the file system goes on")
	require.NoError(t, file.Sync())
}

func TestEachPowerLossSeesOneMoment(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", "0")
	write(t, file, 0, "1")
	f.EachPowerLoss(2, func(next *faultfs.FS) {
		write(t, file, 0, "2")
		assert.NotEqual(t, "/a=2", files(t)(next))
	})
}

// Whatever a schedule does, what was promised is there. This is the use of it all.
func TestCrashAnywhere(t *testing.T) {
	run := func(f *faultfs.FS) (promised string) {
		if f.MkdirAll("/d") != nil || f.SyncDir("/") != nil {
			return ""
		}
		for _, data := range []string{"one", "two", "three"} {
			tmp, err := f.Open("/d/tmp", true, true)
			if err != nil {
				return promised
			}
			if _, err := tmp.WriteAt([]byte(data), 0); err != nil || tmp.Sync() != nil {
				return promised
			}
			if f.Rename("/d/tmp", "/d/file") != nil || f.SyncDir("/d") != nil {
				return promised
			}
			promised = data
		}
		return promised
	}
	clean := faultfs.New(1)
	require.Equal(t, "three", run(clean))
	after := map[string][]string{
		"": {"", "one"}, "one": {"one", "two"}, "two": {"two", "three"}, "three": {"three"},
	}
	for n := range clean.Ops() + 1 {
		f := faultfs.New(1)
		f.Stop(n)
		promised := run(f)
		require.True(t, f.EachPowerLoss(1<<12, func(next *faultfs.FS) {
			data, _ := next.ReadFile("/d/file")
			assert.Contains(t, after[promised], string(data), "after %d", n)
		}))
	}
}

func TestPowerLossTakesSpaceForWhatCameBack(t *testing.T) {
	f := faultfs.New(1)
	f.SetFree(4096)
	require.NoError(t, put(t, f, "/old", "x").Close())
	require.NoError(t, f.Remove("/old"))
	file := open(t, f, "/new")
	write(t, file, 0, "x") // where the old one was, which may come back
	require.NoError(t, file.Sync())
	f.EachPowerLoss(4, func(next *faultfs.FS) {
		free, err := next.Free("/")
		require.NoError(t, err)
		assert.Equal(t, len(next.Files()) > 0, free == 0)
		assert.GreaterOrEqual(t, free, int64(0))
	})
}

func TestPowerLossMayLoseAllAndMayLoseNothing(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", sectors(strings.Repeat("a", 20)))
	write(t, file, 0, sectors(strings.Repeat("A", 20)))
	kept := map[int]bool{}
	for range seeds {
		f.EachPowerLoss(1, func(next *faultfs.FS) {
			kept[strings.Count(letters(t, "/a")(next), "A")] = true
		})
	}
	for _, n := range []int{0, 10, 20} {
		assert.True(t, kept[n], n)
	}
}

func TestFaultsEndWithTheProcess(t *testing.T) {
	f := faultfs.New(1)
	f.Inject(func(faultfs.Op) error { return syscall.EIO })
	f.Stop(0)
	require.NoError(t, f.Kill().MkdirAll("/d"))
	require.NoError(t, f.PowerLoss().MkdirAll("/d"))
}
