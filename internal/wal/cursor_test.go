package wal_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

const cursorFile = "/a.cur"

// openCursor opens a cursor that nothing is wrong with.
func openCursor(t testing.TB, fsys wal.FS) (*wal.CursorFile, wal.Place, bool) {
	c, p, found, damaged, err := wal.OpenCursor(fsys, cursorFile)
	require.NoError(t, err)
	require.False(t, damaged)
	return c, p, found
}

// placeIn is what a next process would find.
func placeIn(t testing.TB, fsys wal.FS) wal.Place {
	c, p, found := openCursor(t, fsys)
	require.True(t, found)
	require.NoError(t, c.Close())
	return p
}

// randomPlace is a place with up to n ranges ahead of it.
func randomPlace(rng *rand.Rand, n int) (p wal.Place) {
	p.Done = rng.Uint64N(1 << rng.IntN(60))
	at := p.Done
	for range rng.IntN(n + 1) {
		from := at + rng.Uint64N(100)
		at = from + 1 + rng.Uint64N(100)
		p.Ahead = append(p.Ahead, wal.Span{From: from, To: at})
	}
	return p
}

func TestPlaceEnd(t *testing.T) {
	require.Equal(t, uint64(7), wal.Place{Done: 7}.End())
	require.Equal(t, uint64(20), wal.Place{Done: 7, Ahead: []wal.Span{{9, 10}, {12, 20}}}.End())
}

func TestCursorRoundTrip(t *testing.T) {
	fsys := faultfs.New(1)
	c, p, found := openCursor(t, fsys)
	require.False(t, found)
	require.Zero(t, p)
	rng := rand.New(rand.NewPCG(1, 1))
	var offsets []int64
	fsys.Inject(func(op faultfs.Op) error {
		if op.Kind == faultfs.Write {
			offsets = append(offsets, op.Offset)
			require.Equal(t, int64(wal.CursorSlot), op.Length)
		}
		return nil
	})
	for i := range 60 {
		want := randomPlace(rng, wal.MostAhead)
		require.NoError(t, c.Write(want))
		if i%7 == 0 {
			require.NoError(t, c.Close())
			var found bool
			c, p, found = openCursor(t, fsys)
			require.True(t, found)
		} else {
			p = placeIn(t, fsys)
		}
		require.Equal(t, want, p)
	}
	for i, off := range offsets {
		require.Equal(t, int64(i%2*wal.CursorSlot), off, "in turn, also after it was opened again")
	}
	require.Len(t, content(t, fsys, cursorFile), 2*wal.CursorSlot)
}

func TestCursorKeepsTheLongestRanges(t *testing.T) {
	fsys := faultfs.New(1)
	c, _, _ := openCursor(t, fsys)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		p := randomPlace(rng, 80)
		given := slices.Clone(p.Ahead)
		require.NoError(t, c.Write(p))
		require.Equal(t, given, p.Ahead, "it is the caller's")
		got := placeIn(t, fsys)
		require.Equal(t, p.Done, got.Done)
		require.Len(t, got.Ahead, min(len(p.Ahead), wal.MostAhead))
		shortest := uint64(math.MaxUint64)
		last := p.Done
		for _, s := range got.Ahead {
			require.Contains(t, p.Ahead, s)
			require.GreaterOrEqual(t, s.From, last)
			last = s.To
			shortest = min(shortest, s.To-s.From)
		}
		for _, s := range p.Ahead {
			if !slices.Contains(got.Ahead, s) {
				require.LessOrEqual(t, s.To-s.From, shortest)
			}
		}
	}
}

// A write that is cut anywhere leaves the place that was or the one that was to be, and
// the file as good as new.
func TestCursorTornWrites(t *testing.T) {
	older := wal.Place{Done: 10, Ahead: []wal.Span{{12, 15}}}
	old := wal.Place{Done: 20, Ahead: []wal.Span{{22, 25}, {30, 31}}}
	next := wal.Place{Done: 30, Ahead: []wal.Span{{33, 39}}}
	for writes := range 3 {
		for cut := 0; cut <= wal.CursorSlot; cut++ {
			fsys := faultfs.New(1)
			c, _, _ := openCursor(t, fsys)
			want := []wal.Place{next}
			for i := range writes {
				require.NoError(t, c.Write([]wal.Place{older, old}[i]))
				want = []wal.Place{[]wal.Place{older, old}[i], next}
			}
			fsys.Inject(func(op faultfs.Op) error {
				if op.Kind == faultfs.Write {
					return faultfs.ShortWrite{N: cut}
				}
				return nil
			})
			require.ErrorIs(t, c.Write(next), syscall.EIO)
			fsys = fsys.Kill()
			c, p, found, damaged, err := wal.OpenCursor(fsys, cursorFile)
			require.NoError(t, err)
			if writes == 0 && cut < wal.CursorSlot {
				require.False(t, found)
				require.Equal(t, cut > 0, damaged)
			} else {
				require.True(t, found)
				require.Contains(t, want, p, "cut at %d", cut)
			}
			require.NoError(t, c.Write(wal.Place{Done: 99}))
			require.Equal(t, uint64(99), placeIn(t, fsys).Done)
		}
	}
}

// A write that failed is tried again in the same slot: the other is the one that counts.
func TestCursorWriteFailsAndSucceeds(t *testing.T) {
	fsys := faultfs.New(1)
	c, _, _ := openCursor(t, fsys)
	require.NoError(t, c.Write(wal.Place{Done: 1}))
	require.NoError(t, c.Write(wal.Place{Done: 2}))
	for range 3 {
		fsys.Inject(func(faultfs.Op) error { return faultfs.ShortWrite{N: 100, Err: syscall.ENOSPC} })
		require.ErrorIs(t, c.Write(wal.Place{Done: 3}), syscall.ENOSPC)
		fsys.Inject(nil)
		require.Equal(t, uint64(2), placeIn(t, fsys).Done)
	}
	require.NoError(t, c.Write(wal.Place{Done: 4}))
	require.Equal(t, uint64(4), placeIn(t, fsys).Done)
}

func TestCursorDamaged(t *testing.T) {
	make2 := func() *faultfs.FS {
		fsys := faultfs.New(1)
		c, _, _ := openCursor(t, fsys)
		require.NoError(t, c.Write(wal.Place{Done: 1, Ahead: []wal.Span{{3, 4}}}))
		require.NoError(t, c.Write(wal.Place{Done: 2, Ahead: []wal.Span{{3, 4}}}))
		require.NoError(t, c.Close())
		return fsys
	}
	sign := func(b []byte) { le.PutUint32(b[wal.CursorSlot-4:], wal.Seeded(0, b[:wal.CursorSlot-4])) }
	for name, damage := range map[string]func(slot []byte){
		"magic":           func(b []byte) { b[0]++; sign(b) },
		"too many ranges": func(b []byte) { le.PutUint16(b[6:], wal.MostAhead+1); sign(b) },
		"checksum":        func(b []byte) { b[wal.CursorSlot-1]++ },
		"a byte":          func(b []byte) { b[300]++ },
		"range before":    func(b []byte) { le.PutUint64(b[24:], 0); sign(b) },
		"range empty":     func(b []byte) { le.PutUint64(b[32:], 3); sign(b) },
		"range backwards": func(b []byte) { le.PutUint64(b[32:], 2); sign(b) },
		"zero":            func(b []byte) { clear(b) },
	} {
		for slots := range 4 {
			fsys := make2()
			require.NoError(t, fsys.Corrupt(cursorFile, func(b []byte) []byte {
				for i := range 2 {
					if slots>>i&1 != 0 {
						damage(b[i*wal.CursorSlot:][:wal.CursorSlot])
					}
				}
				return b
			}))
			c, p, found, damaged, err := wal.OpenCursor(fsys, cursorFile)
			require.NoError(t, err, name)
			require.Equal(t, slots == 3, damaged, name)
			require.Equal(t, slots != 3, found, name)
			require.Equal(t, []uint64{2, 2, 1, 0}[slots], p.Done, name)
			for done := uint64(50); done < 53; done++ {
				require.NoError(t, c.Write(wal.Place{Done: done}), name)
				require.Equal(t, done, placeIn(t, fsys).Done, name)
			}
		}
	}
}

// Two ranges that touch each other, or the place, are read back.
func TestCursorRangesThatTouch(t *testing.T) {
	fsys := faultfs.New(1)
	c, _, _ := openCursor(t, fsys)
	p := wal.Place{Done: 5, Ahead: []wal.Span{{5, 6}, {6, 7}}}
	require.NoError(t, c.Write(p))
	require.Equal(t, p, placeIn(t, fsys))
}

// After Sync has returned nil, the power takes nothing of it, whatever failed before, as
// long as a sector is whole: of two writes behind it, each may have the place of one that
// was synced.
func TestCursorSync(t *testing.T) {
	for seed := range uint64(40) {
		fsys := faultfs.New(seed)
		c, _, _ := openCursor(t, fsys)
		require.NoError(t, fsys.SyncDir("/"))
		rng := rand.New(rand.NewPCG(seed, 3))
		done, synced := uint64(0), uint64(0)
		for range 30 {
			fail := rng.IntN(3) == 0
			fsys.Inject(func(op faultfs.Op) error {
				if fail && (op.Kind == faultfs.Sync || op.Kind == faultfs.Write && rng.IntN(2) == 0) {
					return faultfs.ShortWrite{N: rng.IntN(3) * wal.CursorSlot}
				}
				return nil
			})
			if rng.IntN(3) > 0 {
				if c.Write(wal.Place{Done: done + 1}) == nil {
					done++
				}
			} else if c.Sync() == nil {
				synced = done
			}
			if rng.IntN(10) > 0 {
				continue
			}
			fsys.EachPowerLoss(40, func(lost *faultfs.FS) {
				_, p, _, _, err := wal.OpenCursor(lost, cursorFile)
				require.NoError(t, err)
				require.GreaterOrEqual(t, p.Done, synced, "seed %d", seed)
				require.LessOrEqual(t, p.Done, done+1, "seed %d", seed)
			})
		}
	}
}

func TestCursorSyncsOnlyWhatWasWritten(t *testing.T) {
	fsys := faultfs.New(1)
	c, _, _ := openCursor(t, fsys)
	count := func() int { before := fsys.Ops(); require.NoError(t, c.Sync()); return fsys.Ops() - before }
	require.Zero(t, count())
	require.NoError(t, c.Write(wal.Place{Done: 1}))
	require.Equal(t, 1, count())
	require.Zero(t, count())
}

// What an earlier process wrote and did not sync is not safe either: Sync is what makes
// the place survive that OpenCursor has returned.
func TestCursorSyncsWhatAnEarlierProcessLeft(t *testing.T) {
	for _, failed := range []bool{false, true} {
		fsys := faultfs.New(1)
		c, _, _ := openCursor(t, fsys)
		require.NoError(t, fsys.SyncDir("/"))
		require.NoError(t, c.Write(wal.Place{Done: 1}))
		require.NoError(t, c.Sync())
		require.NoError(t, c.Write(wal.Place{Done: 2}))
		if failed {
			fsys.Inject(func(op faultfs.Op) error {
				if op.Kind == faultfs.Sync {
					return syscall.EIO
				}
				return nil
			})
			require.Error(t, c.Sync())
		}
		fsys = fsys.Kill()
		c, p, _ := openCursor(t, fsys)
		require.Equal(t, uint64(2), p.Done)
		require.NoError(t, c.Sync())
		fsys.EachPowerLoss(100, func(lost *faultfs.FS) {
			require.Equal(t, uint64(2), placeIn(t, lost).Done, "a segment before 2 may be gone already")
		})
	}
}

func TestCursorErrorsOfTheFileSystem(t *testing.T) {
	for _, kind := range []faultfs.Kind{faultfs.Create, faultfs.Read} {
		fsys := faultfs.New(1)
		fsys.Inject(func(op faultfs.Op) error {
			if op.Kind == kind {
				return syscall.EIO
			}
			return nil
		})
		_, _, found, damaged, err := wal.OpenCursor(fsys, cursorFile)
		require.ErrorIs(t, err, syscall.EIO)
		require.False(t, found || damaged)
	}
}

func TestCursorConcurrent(t *testing.T) {
	fsys := faultfs.New(1)
	c, _, _ := openCursor(t, fsys)
	var wg sync.WaitGroup
	for i := range uint64(4) {
		wg.Go(func() {
			for n := range uint64(50) {
				if c.Write(wal.Place{Done: 4*n + i}) != nil || c.Sync() != nil {
					t.Error("it failed")
				}
			}
		})
	}
	wg.Wait()
	require.Less(t, placeIn(t, fsys).Done, uint64(200))
}

// tricky are names of destinations that a file system may dislike or confuse.
var tricky = []string{
	"Mixpanel", "a", "A", "b.c", "b%2Ec", "b%2ec", ".", "..", "...", "/", "\\", "a/b", "a\\b", "a:b", "a%3Ab", "a\x00b", "\x00",
	"a b", " a", "a ", "a.", "a+b", "a&b", "a=b", "a@b", "a$b", "a~b", "~", "a*b", "a?b", "a\"b", "a<b", "a>b", "a|b", "a\nb", "%", "%%", "%41",
	"ä", "a\u0308", "Ä", "日本", "\xff", "\xff\xfe", "CON", "con", "NUL", "aux", "COM1", "lpt9", "prn", "a.cur", "a.state", "a.new", "-", "_",
	strings.Repeat("x", wal.MostName), strings.Repeat("x", wal.MostName+1), strings.Repeat("x", wal.MostName+2),
	strings.Repeat("x", wal.MostName) + "y", strings.Repeat("é", 100), strings.Repeat("é", 33) + "ab", strings.Repeat(".", 300), strings.Repeat("/", 299),
}

func TestFileName(t *testing.T) {
	seen := map[string]string{}
	for _, name := range tricky {
		file := wal.FileName(name)
		require.Equal(t, file, wal.FileName(name))
		require.Empty(t, seen[file], "it is that of %q as well", name)
		seen[file] = name
		require.NotEmpty(t, file)
		require.LessOrEqual(t, len(file), wal.MostName)
		require.NotContains(t, file, ".")
		require.False(t, strings.ContainsAny(file, "/\\\x00*?\"<>|\n "), file)
		for _, r := range file {
			require.True(t, r >= ' ' && r < 0x7f, "%q", file)
		}
		got, ok := wal.DestinationOf(file+wal.CursorSuffix, wal.CursorSuffix)
		if len(file) < wal.MostName {
			require.True(t, ok)
			require.Equal(t, name, got)
		}
	}
}

// On Windows a colon names a stream of another file.
func TestFileNameHasNoColon(t *testing.T) {
	require.NotContains(t, wal.FileName("https://eu.example.com"), ":")
}

// macOS and Windows do not tell upper case from lower case.
func TestFileNameTellsCase(t *testing.T) {
	seen := map[string]string{}
	for _, name := range append(tricky, "Acme", "acme", "ACME", "aCme") {
		folded := strings.ToLower(wal.FileName(name))
		require.True(t, seen[folded] == "" || seen[folded] == name, "%q and %q have one file", name, seen[folded])
		seen[folded] = name
	}
}

// A name that was too long has a file that no other has, not even one that is as long as
// its file.
func TestFileNameOfLongNames(t *testing.T) {
	long := strings.Repeat("x", 300)
	require.NotEqual(t, wal.FileName(long), wal.FileName(wal.FileName(long)))
}

// Two names of the same checksum.
func TestFileNameOfLongNamesWithOneChecksum(t *testing.T) {
	prefix := strings.Repeat("x", 300)
	seen := map[string]string{}
	for i := range 300_000 {
		name := prefix + string([]byte{'a' + byte(i%26), 'a' + byte(i/26%26), 'a' + byte(i/676%26), 'a' + byte(i/17576%26)}) + collide(i)
		file := wal.FileName(name)
		require.Empty(t, seen[file], "it is that of %q as well", name[300:])
		seen[file] = name[300:]
	}
}

// collide spreads the names over more than the 32 bits of a checksum.
func collide(i int) string {
	rng := rand.New(rand.NewPCG(uint64(i), 7))
	b := make([]byte, 8)
	for k := range b {
		b[k] = 'a' + byte(rng.IntN(26))
	}
	return string(b)
}

func TestDestinationOf(t *testing.T) {
	for file, want := range map[string]string{"a.cur": "a", "b%2Ec.cur": "b.c", "%2F.cur": "/"} {
		got, ok := wal.DestinationOf(file, wal.CursorSuffix)
		require.True(t, ok)
		require.Equal(t, want, got)
	}
	for _, file := range []string{".cur", "a", "a.state", "a%2.cur", "%zz.cur", ""} {
		_, ok := wal.DestinationOf(file, wal.CursorSuffix)
		require.False(t, ok, file)
	}
}

// A cursor of a newer version is left alone.
func TestCursorOfANewerVersion(t *testing.T) {
	fsys := faultfs.New(1)
	c, _, _, _, err := wal.OpenCursor(fsys, cursorFile)
	require.NoError(t, err)
	require.NoError(t, c.Write(wal.Place{Done: 1}))
	require.NoError(t, c.Write(wal.Place{Done: 2}))
	require.NoError(t, fsys.Corrupt(cursorFile, func(b []byte) []byte {
		slot := b[wal.CursorSlot:][:wal.CursorSlot]
		le.PutUint16(slot[4:], wal.Version+1)
		le.PutUint32(slot[wal.CursorSlot-4:], wal.Seeded(0, slot[:wal.CursorSlot-4]))
		return b
	}))
	before := content(t, fsys, cursorFile)
	_, _, _, _, err = wal.OpenCursor(fsys, cursorFile)
	require.ErrorIs(t, err, wal.ErrVersion)
	require.Equal(t, before, content(t, fsys, cursorFile))
}
