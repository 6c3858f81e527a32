package analytics

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// damages are ways to damage a file. lost is how many events that may cost where each
// is in a frame of its own; -1: all that are in the file.
var damages = []struct {
	name string
	lost int
	do   func(rng *rand.Rand, b []byte) []byte
}{
	{"cut", -1, func(rng *rand.Rand, b []byte) []byte { return b[:rng.IntN(len(b)+1)] }},
	{"one bit", 1, func(rng *rand.Rand, b []byte) []byte {
		if len(b) > 0 {
			b[rng.IntN(len(b))] ^= 1 << rng.IntN(8)
		}
		return b
	}},
	{"garbage", -1, func(rng *rand.Rand, b []byte) []byte {
		if len(b) > 0 {
			for i := rng.IntN(len(b)); i < len(b) && rng.IntN(200) > 0; i++ {
				b[i] = byte(rng.Uint32())
			}
		}
		return b
	}},
	{"a zero page", -1, func(rng *rand.Rand, b []byte) []byte {
		if len(b) > 0 {
			off := rng.IntN(len(b)) &^ 4095
			clear(b[off:min(off+4096, len(b))])
		}
		return b
	}},
	{"zeros", -1, func(_ *rand.Rand, b []byte) []byte { clear(b); return b }},
	{"all garbage", -1, func(rng *rand.Rand, b []byte) []byte {
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}},
	{"more behind the end", 0, func(rng *rand.Rand, b []byte) []byte {
		for range rng.IntN(100) {
			b = append(b, byte(rng.Uint32()))
		}
		return b
	}},
}

// TestDiskDamage damages each kind of file in each way, after a clean end and after a
// kill.
func TestDiskDamage(t *testing.T) {
	seeds := 40
	if underRace {
		seeds = 4
	}
	for _, d := range damages {
		for _, clean := range []bool{true, false} {
			for _, kind := range []string{".seg", "/ring", ".cur", "/id", "/LOCK"} {
				t.Run(fmt.Sprintf("%s of %s, clean %v", d.name, kind, clean), func(t *testing.T) {
					for seed := range uint64(seeds) {
						synctest.Test(t, func(t *testing.T) {
							w := filled(t, seed, clean)
							name := w.pick(kind)
							w.note("damage of %s", name)
							inFile := w.lossIn(name, d.lost)
							require.NoError(t, w.fs.Corrupt(name, func(b []byte) []byte { return d.do(w.rng, b) }))
							w.survive(inFile)
						})
					}
				})
			}
		}
	}
}

// filled is a log with events in several files, in the ring, and finished ones.
func filled(t *testing.T, seed uint64, clean bool) *world {
	w := newWorld(t, fmt.Sprintf("%s: seed %d", t.Name(), seed), seed, logSettings{mode: Interval, interval: time.Second, unit: 1000, limit: 1 << 20})
	w.cursors = []*worldCursor{{name: "a"}, {name: "b"}}
	w.open()
	for range 30 { // each in a frame of its own
		w.put(1)
		w.sleep(10 * time.Millisecond)
	}
	w.read(w.cursors[0], 5+w.rng.IntN(5), 1<<20)
	w.finish(w.cursors[0], func(i int) bool { return i != 2 })
	if w.rng.IntN(3) == 0 { // all are finished, so that only the cursors know the next number
		w.check()
	}
	if clean {
		w.shut()
		return w
	}
	w.put(3) // in the ring only
	w.kill(false)
	return w
}

// pick returns a file of a kind.
func (w *world) pick(kind string) string {
	files := slices.DeleteFunc(w.fs.Files(), func(name string) bool { return !strings.HasSuffix(name, kind) })
	if len(files) == 0 {
		return "/spool/p-0/LOCK"
	}
	return files[w.rng.IntN(len(files))]
}

// lossIn is how many events the damage of a file may cost each cursor.
func (w *world) lossIn(name string, most int) int {
	switch {
	case strings.HasSuffix(name, ".seg") && most < 0:
		return 8 // of about 150 bytes in 1000
	case strings.HasSuffix(name, "/ring") && most < 0:
		return 3
	case strings.HasSuffix(name, ".seg"), strings.HasSuffix(name, "/ring"):
		return most
	}
	return 0
}

// survive opens the log, and checks that no more is missing than may be, that it is
// counted, and that no number names two events.
func (w *world) survive(lost int) {
	w.t.Helper()
	unread := make([]int, len(w.cursors))
	for i, c := range w.cursors {
		for seq := range c.fates {
			if c.fates[seq] == isUnread {
				unread[i]++
			}
		}
	}
	for i := range w.events {
		w.events[i].maybe = true
	}
	had := len(w.events)
	w.open()
	cut := had - len(w.events)
	for i, c := range w.cursors {
		for w.read(c, 100, 1<<20) > 0 {
		}
		got := 0
		for _, seq := range c.window {
			if c.fates[seq] == isRead {
				got++
			}
		}
		if missing := unread[i] - got; missing > lost {
			w.fail("%s: %d events are missing, of at most %d", c.name, missing, lost)
		} else if missing > int(c.corrupt)+cut {
			w.fail("%s: %d events are missing, and %d are counted as corrupt", c.name, missing, c.corrupt)
		}
	}
	w.put(5)
	w.check()
	w.shut()
	var bad int64
	for _, name := range w.fs.Files() {
		if strings.Contains(name, "/bad/") {
			b, err := w.fs.ReadFile(name)
			require.NoError(w.t, err)
			bad += int64(len(b))
		}
	}
	require.LessOrEqual(w.t, bad, int64(17<<20))
	w.open()
	w.check()
	w.shut()
}

// TestDiskFileRemoved removes a file of each kind but cursors: a destination without one
// is a new one.
func TestDiskFileRemoved(t *testing.T) {
	for _, clean := range []bool{true, false} {
		for _, kind := range []string{".seg", "/ring", "/id", "/LOCK"} {
			t.Run(fmt.Sprintf("%s, clean %v", kind, clean), func(t *testing.T) {
				for seed := range uint64(20) {
					synctest.Test(t, func(t *testing.T) {
						w := filled(t, seed, clean)
						name := w.pick(kind)
						w.note("%s is removed", name)
						w.fs.RemoveAll(name)
						w.survive(w.lossIn(name, -1))
					})
				}
			})
		}
	}
}

// TestDiskFilesSwapped swaps two files of segments.
func TestDiskFilesSwapped(t *testing.T) {
	for seed := range uint64(20) {
		synctest.Test(t, func(t *testing.T) {
			w := filled(t, seed, seed%2 == 0)
			a, b := w.pick(".seg"), w.pick(".seg")
			w.note("%s and %s are swapped", a, b)
			if a != b {
				require.NoError(t, w.fs.Rename(a, a+".x"))
				require.NoError(t, w.fs.Rename(b, a))
				require.NoError(t, w.fs.Rename(a+".x", b))
			}
			w.survive(16)
		})
	}
}

// TestDiskNewerVersion leaves a slot alone of which any file is of a newer version.
func TestDiskNewerVersion(t *testing.T) {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	seal := func(b []byte, at int) { binary.LittleEndian.PutUint32(b[at:], crc32.Update(0, castagnoli, b[:at])) }
	for kind, change := range map[string]func(b []byte) []byte{
		".seg": func(b []byte) []byte { b[20] = wal.Version + 1; seal(b, 28); return b },
		"/ring": func(b []byte) []byte {
			b[8] = wal.Version + 1
			seal(b, 40)
			return b
		},
		".cur": func(b []byte) []byte {
			for slot := b; len(slot) >= 512; slot = slot[512:] {
				slot[4] = wal.Version + 1
				seal(slot, 508)
			}
			return b
		},
		"/id": func(b []byte) []byte {
			return []byte(strings.Replace(string(b), `"version":1`, `"version":2`, 1))
		},
	} {
		t.Run(kind, func(t *testing.T) {
			for seed := range uint64(10) {
				synctest.Test(t, func(t *testing.T) {
					w := filled(t, seed, seed%2 == 0)
					name := w.pick(kind)
					if strings.HasSuffix(name, "LOCK") {
						return
					}
					require.NoError(t, w.fs.Corrupt(name, change))
					before := contents(t, w.fs)
					l, err := w.tryOpen()
					if err == nil {
						_ = l.shut(t.Context())
					}
					require.ErrorIs(t, err, wal.ErrVersion, name)
					require.Equal(t, before, contents(t, w.fs))
				})
			}
		})
	}
}

func contents(t *testing.T, fsys *faultfs.FS) map[string]string {
	m := map[string]string{}
	for _, name := range fsys.Files() {
		b, err := fsys.ReadFile(name)
		require.NoError(t, err)
		m[filepath.Base(name)] = string(b)
	}
	return m
}
