package trackingapi_test

import (
	"encoding/binary"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

const windowDir = "/window"

// openOn opens a window in a directory of fsys.
func openOn(t testing.TB, fsys wal.FS, cfg trackingapi.WindowConfig) *trackingapi.Window {
	t.Helper()
	cfg.Dir = windowDir
	w, err := trackingapi.OpenWindowFS(cfg, fsys)
	require.NoError(t, err)
	t.Cleanup(func() { _ = w.Close() })
	return w
}

// claimAll claims the ids from one number to another, which have to be new or not.
func claimAll(t testing.TB, w *trackingapi.Window, from, to int, isNew bool) {
	t.Helper()
	for i := from; i < to; i++ {
		require.Equal(t, isNew, w.Claim("web", strconv.Itoa(i)), "id %d", i)
	}
}

// idFiles are the files of ids in a directory, in their order.
func idFiles(t testing.TB, fsys wal.FS) (names []string) {
	t.Helper()
	all, err := fsys.ReadDir(windowDir)
	require.NoError(t, err)
	for _, name := range all {
		if strings.HasSuffix(name, ".ids") {
			names = append(names, filepath.Join(windowDir, name))
		}
	}
	return names
}

func TestWindowSurvivesRestart(t *testing.T) {
	cfg := trackingapi.WindowConfig{Dir: filepath.Join(t.TempDir(), "a", "window")}
	for life := range 5 {
		w := openWindow(t, cfg)
		claimAll(t, w, 0, life*1000, false)
		claimAll(t, w, life*1000, (life+1)*1000, true)
		w.Release("web", "7")
		require.True(t, w.Claim("web", "7"))
		w.Release("web", strconv.Itoa((life+1)*1000-1))
		require.NoError(t, w.Close())
		require.NoError(t, w.Close(), "again")

		w = openWindow(t, cfg)
		claimAll(t, w, (life+1)*1000-1, (life+1)*1000, true)
		s := w.Stats()
		require.Equal(t, (life+1)*1000, s.IDs)
		require.Zero(t, s.Damaged+s.Faults+s.Unsaved)
		require.NoError(t, w.Close())
		require.True(t, w.Claim("web", "after Close"))
		require.False(t, w.Claim("web", "after Close"))
	}
	names, err := filepath.Glob(filepath.Join(cfg.Dir, "*.ids"))
	require.NoError(t, err)
	require.LessOrEqual(t, len(names), 2, "short lives share a file")
}

// A copy of the directory is what is left when the process is killed.
func TestWindowSurvivesKill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, left := t.TempDir(), t.TempDir()
		w := openWindow(t, trackingapi.WindowConfig{Dir: dir})
		claimAll(t, w, 0, 1000, true)
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		claimAll(t, w, 1000, 1100, true)
		time.Sleep(49 * time.Millisecond)
		synctest.Wait()
		require.NoError(t, os.CopyFS(filepath.Join(left, "copy"), os.DirFS(dir)))

		w = openWindow(t, trackingapi.WindowConfig{Dir: filepath.Join(left, "copy")})
		claimAll(t, w, 0, 1000, false)
		claimAll(t, w, 1000, 1100, true) // lost are the last milliseconds
		require.Zero(t, w.Stats().Damaged)
	})
}

// What is being accepted is not on the disk yet, however much comes: a kill must not make
// a duplicate of a message that nobody has.
func TestWindowWritesNoClaimThatIsYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		w := openOn(t, fsys, trackingapi.WindowConfig{})
		for n := 0; n < 20_000; n += 1000 {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			claimAll(t, w, n, n+1000, true)
			held := int(w.Stats().DiskSize/trackingapi.WindowRecord) - 1
			require.LessOrEqual(t, held, max(n-4000, 0), "at least 50 ms old")
			require.GreaterOrEqual(t, held, n-10_000, "at most 100 ms old")
		}
	})
}

func TestWindowForgetsAfterSpanOverRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		for hour := range 60 {
			w := openOn(t, fsys, trackingapi.WindowConfig{})
			claimAll(t, w, max(0, hour-24), hour, false)
			claimAll(t, w, hour, hour+1, true)
			require.LessOrEqual(t, len(idFiles(t, fsys)), 25)
			require.NoError(t, w.Close())
			time.Sleep(time.Hour)
		}
		w := openOn(t, fsys, trackingapi.WindowConfig{})
		require.Equal(t, 24, w.Stats().IDs)
	})
}

// The goroutine of the window removes what is over, also when nothing comes any more.
func TestWindowRemovesFilesOfGenerationsThatAreOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		w := openOn(t, fsys, trackingapi.WindowConfig{Span: 48 * time.Minute})
		for i := range 100 {
			claimAll(t, w, i, i+1, true)
			time.Sleep(2 * time.Minute)
			require.LessOrEqual(t, len(idFiles(t, fsys)), 26)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, idFiles(t, fsys))
		require.Zero(t, w.Stats().DiskSize)
		claimAll(t, w, 0, 1, true)
		require.NoError(t, w.Close())
		require.Len(t, idFiles(t, fsys), 1)
	})
}

// Files do not grow with what comes within a generation, nor with what is released.
func TestWindowBoundsItsFiles(t *testing.T) {
	const ids = 20_000
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		w := openOn(t, fsys, trackingapi.WindowConfig{IDs: ids})
		for n := 0; n < 20*ids; n += 2000 {
			claimAll(t, w, n, n+2000, true)
			for i := n; i < n+500; i++ {
				w.Release("web", strconv.Itoa(i))
			}
			time.Sleep(200 * time.Millisecond)
			s := w.Stats()
			require.LessOrEqual(t, s.DiskSize, int64(50*ids+2<<20))
			require.LessOrEqual(t, s.Bytes, int64(64*ids+2<<20))
		}
		var size int64
		for _, name := range idFiles(t, fsys) {
			b, err := fsys.ReadFile(name)
			require.NoError(t, err)
			size += int64(len(b))
		}
		require.Equal(t, size, w.Stats().DiskSize)
		require.Zero(t, w.Stats().Unsaved)
		require.NoError(t, w.Close())

		w = openOn(t, fsys, trackingapi.WindowConfig{IDs: ids})
		for i := 19 * ids; i < 20*ids; i++ {
			require.Equal(t, i%2000 < 500, w.Claim("web", strconv.Itoa(i)), "id %d", i)
		}
	})
}

func TestWindowLeavesOutWhatIsDamaged(t *testing.T) {
	const record = trackingapi.WindowRecord
	for _, tt := range []struct {
		name    string
		change  func([]byte) []byte
		lost    int // of 10 ids
		damaged int
	}{
		{"a torn end", func(b []byte) []byte { return b[:len(b)-1] }, 1, 1},
		{"a torn end of another record", func(b []byte) []byte { return append(b, 1, 2, 3) }, 0, 1},
		{"a changed record", func(b []byte) []byte { b[3*record+5] ^= 1; return b }, 1, 1},
		{"zeros at the end", func(b []byte) []byte { return append(b, make([]byte, 2*record)...) }, 0, 2},
		{"a changed header", func(b []byte) []byte { b[9] ^= 1; return b }, 10, 1},
		{"a torn header", func(b []byte) []byte { return b[:record-1] }, 10, 1},
		{"an empty file", func([]byte) []byte { return nil }, 10, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := faultfs.New(1)
				w := openOn(t, fsys, trackingapi.WindowConfig{})
				claimAll(t, w, 0, 10, true)
				require.NoError(t, w.Close())
				require.NoError(t, fsys.Corrupt(idFiles(t, fsys)[0], tt.change))

				w = openOn(t, fsys, trackingapi.WindowConfig{})
				require.Equal(t, 10-tt.lost, w.Stats().IDs)
				require.EqualValues(t, tt.damaged, w.Stats().Damaged)
				claimAll(t, w, 100, 110, true)
				require.NoError(t, w.Close())

				w = openOn(t, fsys, trackingapi.WindowConfig{})
				require.Equal(t, 20-tt.lost, w.Stats().IDs, "what came later lies behind the damage")
				claimAll(t, w, 100, 110, false)
			})
		})
	}
}

func TestWindowBeginsAnewWithoutItsKey(t *testing.T) {
	key := filepath.Join(windowDir, "key")
	for name, damage := range map[string]func(*faultfs.FS) error{
		"missing": func(fsys *faultfs.FS) error { return fsys.Remove(key) },
		"damaged": func(fsys *faultfs.FS) error {
			return fsys.Corrupt(key, func(b []byte) []byte { b[10] ^= 1; return b })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := faultfs.New(1)
				w := openOn(t, fsys, trackingapi.WindowConfig{})
				claimAll(t, w, 0, 10, true)
				require.NoError(t, w.Close())
				require.NoError(t, damage(fsys))

				w = openOn(t, fsys, trackingapi.WindowConfig{})
				require.NotZero(t, w.Stats().Damaged)
				require.Empty(t, idFiles(t, fsys), "they are of no use")
				claimAll(t, w, 0, 10, true)
				require.NoError(t, w.Close())
				w = openOn(t, fsys, trackingapi.WindowConfig{})
				claimAll(t, w, 0, 10, false)
				require.Zero(t, w.Stats().Damaged)
			})
		})
	}
}

func TestWindowRefusesADirectoryThat(t *testing.T) {
	refused := func(t *testing.T, dir, want string) {
		t.Helper()
		_, err := trackingapi.OpenWindow(trackingapi.WindowConfig{Dir: dir})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "trackingapi: window in "+dir)
	}
	t.Run("another window has", func(t *testing.T) {
		dir := t.TempDir()
		w := openWindow(t, trackingapi.WindowConfig{Dir: dir})
		refused(t, dir, "is in use by another window")
		require.NoError(t, w.Close())
		openWindow(t, trackingapi.WindowConfig{Dir: dir})
	})
	t.Run("is a file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "file")
		require.NoError(t, os.WriteFile(name, nil, 0o600))
		refused(t, name, "not a directory")
	})
	t.Run("a later version has written", func(t *testing.T) {
		dir := t.TempDir()
		key := append([]byte("tapi wi2"), make([]byte, 16)...)
		key = binary.LittleEndian.AppendUint32(key, crc32.Checksum(key, crc32.MakeTable(crc32.Castagnoli)))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "key"), key, 0o600))
		refused(t, dir, "was written by another version")
	})
	t.Run("cannot be read", func(t *testing.T) {
		fsys := faultfs.New(1)
		fsys.Inject(func(op faultfs.Op) error {
			if op.Kind == faultfs.ReadDir {
				return syscall.EACCES
			}
			return nil
		})
		_, err := trackingapi.OpenWindowFS(trackingapi.WindowConfig{Dir: windowDir}, fsys)
		require.ErrorIs(t, err, syscall.EACCES)
		fsys.Inject(nil)
		openOn(t, fsys, trackingapi.WindowConfig{}) // the lock was given back
	})
}

func TestWindowLockByNameIsForOne(t *testing.T) {
	name := filepath.Join(t.TempDir(), "lock.pid")
	lock, err := trackingapi.LockByName(name)
	require.NoError(t, err)
	_, err = trackingapi.LockByName(name)
	require.ErrorContains(t, err, "by process "+strconv.Itoa(os.Getpid()))
	require.ErrorContains(t, err, name)
	require.NoError(t, lock.Close())
	lock, err = trackingapi.LockByName(name)
	require.NoError(t, err)
	require.NoError(t, lock.Close())
}

// A full disk is counted and waited for; what comes meanwhile is remembered, and written
// when there is room.
func TestWindowGoesOnWhenTheDiskIsFull(t *testing.T) {
	for name, full := range map[string]func(op faultfs.Op) error{
		"from the beginning": func(op faultfs.Op) error {
			if op.Kind == faultfs.Write || op.Kind == faultfs.Create && !strings.HasSuffix(op.Name, "lock") {
				return syscall.ENOSPC
			}
			return nil
		},
		"within a write": func(op faultfs.Op) error {
			if op.Kind == faultfs.Write && strings.HasSuffix(op.Name, ".ids") {
				return faultfs.ShortWrite{N: int(op.Length) - 1, Err: syscall.ENOSPC}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fsys := faultfs.New(1)
				fsys.Inject(full)
				w := openOn(t, fsys, trackingapi.WindowConfig{IDs: 200_000})
				claimAll(t, w, 0, 100, true)
				time.Sleep(10 * time.Second)
				claimAll(t, w, 0, 100, false)
				require.NotZero(t, w.Stats().Faults)
				require.Zero(t, w.Stats().Unsaved, "it waits")
				claimAll(t, w, 100, 150_000, true)
				s := w.Stats()
				require.NotZero(t, s.Unsaved, "what waits is bounded")
				require.LessOrEqual(t, s.Bytes, int64(64*200_000+2<<20))

				fsys.Inject(nil)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				claimAll(t, w, 200_000, 200_100, true)
				require.NoError(t, w.Close())
				require.Equal(t, s.Unsaved, w.Stats().Unsaved)
				w = openOn(t, fsys, trackingapi.WindowConfig{IDs: 200_000})
				claimAll(t, w, 0, 100, false)
				claimAll(t, w, 200_000, 200_100, false)
				require.Equal(t, 150_100-int(s.Unsaved), w.Stats().IDs)
				require.Zero(t, w.Stats().Damaged)
			})
		})
	}
}

func TestWindowCloseTellsWhatIsNotSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fsys := faultfs.New(1)
		w := openOn(t, fsys, trackingapi.WindowConfig{})
		claimAll(t, w, 0, 10, true)
		fsys.SetFree(0)
		require.ErrorIs(t, w.Close(), syscall.ENOSPC)
		require.EqualValues(t, 10, w.Stats().Unsaved)
		fsys.SetFree(1 << 20)
		claimAll(t, openOn(t, fsys, trackingapi.WindowConfig{}), 0, 10, true)
	})
}

// After a loss of power some ids are gone, and nothing else is wrong.
func TestWindowSurvivesPowerLoss(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			fsys := faultfs.New(seed)
			w := openOn(t, fsys, trackingapi.WindowConfig{})
			claimAll(t, w, 0, 3000, true)
			time.Sleep(time.Second)
			fsys = fsys.PowerLoss()
			w = openOn(t, fsys, trackingapi.WindowConfig{})
			require.LessOrEqual(t, w.Stats().IDs, 3000)
			for i := range 3000 {
				w.Claim("web", strconv.Itoa(i))
			}
			require.Equal(t, 3000, w.Stats().IDs)
			require.NoError(t, w.Close())
			claimAll(t, openOn(t, fsys, trackingapi.WindowConfig{}), 0, 3000, false)
		})
	}
}

// An earlier process may have had a wrong clock, in which case its ids go with those of now.
func TestWindowBelievesNoFileFromTheFuture(t *testing.T) {
	future := faultfs.New(1)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1000 * time.Hour)
		w := openOn(t, future, trackingapi.WindowConfig{})
		claimAll(t, w, 0, 10, true)
		require.NoError(t, w.Close())
	})
	synctest.Test(t, func(t *testing.T) {
		w := openOn(t, future, trackingapi.WindowConfig{})
		claimAll(t, w, 0, 10, false)
		time.Sleep(25 * time.Hour)
		synctest.Wait()
		require.Zero(t, w.Stats().IDs)
		require.Empty(t, idFiles(t, future))
	})
}

// Whatever is in a file, it is read within bounds, and the window works as a new one does.
func FuzzWindowFile(f *testing.F) {
	key := [16]byte{7}
	fsys := faultfs.New(1)
	require.NoError(f, fsys.MkdirAll(windowDir))
	require.NoError(f, trackingapi.WriteWindowKey(fsys, windowDir, key))
	w := openOn(f, fsys, trackingapi.WindowConfig{})
	claimAll(f, w, 0, 40, true)
	w.Release("web", "7")
	require.NoError(f, w.Close())
	good, err := fsys.ReadFile(idFiles(f, fsys)[0])
	require.NoError(f, err)
	f.Add(good, false)
	f.Add(good, true)
	f.Add(good[:len(good)-7], false)
	f.Add(good[trackingapi.WindowRecord:], false)
	f.Add(append(good[:len(good):len(good)], make([]byte, 50)...), true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, signed bool) {
		if signed {
			b = append([]byte(nil), b...)
			trackingapi.SignWindowFile(key, b)
		}
		synctest.Test(t, func(t *testing.T) { readAny(t, key, b) })
	})
}

func readAny(t *testing.T, key [16]byte, b []byte) {
	const ids = 50
	fsys := faultfs.New(1)
	require.NoError(t, fsys.MkdirAll(windowDir))
	require.NoError(t, trackingapi.WriteWindowKey(fsys, windowDir, key))
	file, err := fsys.Open(filepath.Join(windowDir, "0000000000000009.ids"), true, true)
	require.NoError(t, err)
	_, err = file.WriteAt(b, 0)
	require.NoError(t, err)
	require.NoError(t, file.Close())

	w := openOn(t, fsys, trackingapi.WindowConfig{IDs: ids})
	s := w.Stats()
	require.LessOrEqual(t, s.IDs, min(ids, len(b)/trackingapi.WindowRecord))
	require.LessOrEqual(t, s.Damaged, uint64(len(b)/trackingapi.WindowRecord+1))
	for i := range ids {
		w.Claim("other", strconv.Itoa(i))
	}
	require.NoError(t, w.Close())
	w = openOn(t, fsys, trackingapi.WindowConfig{IDs: ids})
	require.Equal(t, ids, w.Stats().IDs)
	for i := range ids {
		require.False(t, w.Claim("other", strconv.Itoa(i)))
	}
	require.NoError(t, w.Close())
}
