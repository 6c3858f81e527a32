package wal_test

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

const ringFile = "/ring"

var (
	le       = binary.LittleEndian
	testSlot = wal.ID{1, 2, 3}
	uses     = []wal.RingUse{wal.Mapped, wal.PerCall, wal.InMemory}
	kept     = []wal.RingUse{wal.Mapped, wal.PerCall}
)

// eachUse runs a test for some of the ways to write a ring.
func eachUse(t *testing.T, list []wal.RingUse, f func(t *testing.T, use wal.RingUse)) {
	for _, use := range list {
		t.Run(use.String(), func(t *testing.T) { f(t, use) })
	}
}

// openRing opens a ring that nothing is wrong with.
func openRing(t testing.TB, fsys wal.FS, size int, use wal.RingUse) (*wal.Ring, []wal.Record) {
	if use == wal.InMemory {
		return wal.MemoryRing(size), nil
	}
	r, left, damage, err := wal.OpenRing(fsys, ringFile, size, testSlot, use)
	require.NoError(t, err)
	require.Empty(t, damage)
	return r, left
}

// put puts a record into a ring.
func put(r *wal.Ring, rec wal.Record) (pos uint64, err error) {
	pos, err = r.Reserve(len(rec.Body))
	if err == nil {
		err = r.Write(pos, rec.Seq, rec.At, rec.Flags, rec.Body, r.Sum(rec.Body))
	}
	if err == nil {
		r.Commit(pos, len(rec.Body))
	}
	return pos, err
}

func mustPut(t testing.TB, r *wal.Ring, rec wal.Record) (pos uint64) {
	pos, err := put(r, rec)
	require.NoError(t, err)
	return pos
}

// each returns what is in a ring from a position on.
func each(t testing.TB, r *wal.Ring, pos uint64) (list []wal.Record) {
	next, err := r.Each(pos, r.Extent(), func(rec wal.Record) bool {
		rec.Body = bytes.Clone(rec.Body)
		list = append(list, rec)
		return true
	})
	require.NoError(t, err)
	require.Equal(t, r.Tail(), next)
	return list
}

// left returns what a next process would find in a ring.
func left(t testing.TB, fsys wal.FS) []wal.Record {
	list, damage, err := wal.RingRecords(fsys, ringFile, testSlot)
	require.NoError(t, err)
	require.Empty(t, damage)
	return list
}

// leftIn is left for a file with some bytes.
func leftIn(t testing.TB, b []byte) []wal.Record {
	fsys := faultfs.New(1)
	write(t, fsys, ringFile, b)
	return left(t, fsys)
}

// write makes a file.
func write(t testing.TB, fsys wal.FS, name string, b []byte) {
	f, err := fsys.Open(name, true, true)
	require.NoError(t, err)
	_, err = f.WriteAt(b, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
}

// content reads a file.
func content(t testing.TB, fsys *faultfs.FS, name string) []byte {
	b, err := fsys.ReadFile(name)
	require.NoError(t, err)
	return b
}

// same requires two lists of records to be equal; nil and empty bodies are.
func same(t testing.TB, want, got []wal.Record) {
	t.Helper()
	require.Equal(t, len(want), len(got), "records")
	for i := range want {
		require.True(t, equal(want[i], got[i]), "record %d: want %s, got %s", i, brief(want[i]), brief(got[i]))
	}
}

func equal(a, b wal.Record) bool {
	return a.Seq == b.Seq && a.At == b.At && a.Flags == b.Flags && bytes.Equal(a.Body, b.Body)
}

func brief(r wal.Record) string {
	return fmt.Sprintf("%d at %d, flags %x, %d bytes", r.Seq, r.At, r.Flags, len(r.Body))
}

func seqs(list []wal.Record) (s []uint64) {
	for _, r := range list {
		s = append(s, r.Seq)
	}
	return s
}

// body is n bytes that follow from a seed.
func body(seed uint64, n int) []byte {
	b := make([]byte, n+7)
	rng := rand.NewPCG(seed, 1)
	for i := 0; i < n; i += 8 {
		le.PutUint64(b[i&^7:][:8:8], rng.Uint64())
		if i+16 > len(b) {
			break
		}
	}
	return b[:n]
}

// rec is a record with a body of n bytes.
func rec(seq uint64, n int) wal.Record {
	return wal.Record{Seq: seq, At: int64(1000 + seq), Flags: uint8(seq), Body: body(seq, n)}
}

// fillTo fills a ring up to an offset of its first lap and releases what it has put.
func fillTo(t testing.TB, r *wal.Ring, off int) {
	for int(r.Tail()) < off {
		n := min(off-int(r.Tail()), 60_000)
		if rest := off - int(r.Tail()) - n; rest > 0 && rest < wal.RingRecord {
			n -= wal.RingRecord
		}
		mustPut(t, r, wal.Record{Seq: 1, Body: body(9, n-wal.RingRecord)})
		r.Release(r.Tail())
	}
	require.Equal(t, uint64(off), r.Tail())
}

func TestRingReturnsWhatWasPut(t *testing.T) {
	eachUse(t, uses, func(t *testing.T, use wal.RingUse) {
		fsys := faultfs.New(1)
		r, old := openRing(t, fsys, 1<<20, use)
		require.Empty(t, old)
		require.Equal(t, use, r.Use())
		require.Equal(t, 1<<20, r.Size())
		want := []wal.Record{
			{Seq: 7, At: math.MinInt64, Flags: 0xff, Body: nil},
			{Seq: 8, At: math.MaxInt64, Flags: 0, Body: []byte("x")},
			rec(9, 7), rec(10, 8), rec(11, 9), rec(12, wal.MaxBody),
			{Seq: math.MaxUint64, At: -1, Flags: 1, Body: body(3, 100)},
		}
		for _, rec := range want {
			mustPut(t, r, rec)
		}
		same(t, want, each(t, r, 0))
		require.True(t, r.Extent().Ends(r.Tail()))
		require.False(t, r.Extent().Ends(r.Tail()-1))
		if use != wal.InMemory {
			same(t, want, left(t, fsys))
		}
		require.NoError(t, r.Close())
	})
}

func TestRingUseHasAName(t *testing.T) {
	require.Equal(t, "mapped", wal.Mapped.String())
	require.Equal(t, "write per call", wal.PerCall.String())
	require.Equal(t, "memory only", wal.InMemory.String())
}

func TestRingEachStopsWhereItIsTold(t *testing.T) {
	r := wal.MemoryRing(0)
	require.Equal(t, wal.RingLeast, r.Size())
	var at []uint64
	for i := range uint64(5) {
		at = append(at, mustPut(t, r, rec(i, 10)))
	}
	extent := r.Extent()
	mustPut(t, r, rec(5, 10))
	var got []uint64
	next, err := r.Each(at[1], extent, func(rec wal.Record) bool {
		if rec.Seq == 3 {
			return false
		}
		got = append(got, rec.Seq)
		return true
	})
	require.NoError(t, err)
	require.Equal(t, at[3], next)
	require.Equal(t, []uint64{1, 2}, got)
	got = nil
	_, err = r.Each(next, extent, func(rec wal.Record) bool { got = append(got, rec.Seq); return true })
	require.NoError(t, err)
	require.Equal(t, []uint64{3, 4}, got, "the extent ends before what was put later")
}

// The end of the lap lies at every distance behind the tail.
func TestRingWrapsAtEveryOffset(t *testing.T) {
	eachUse(t, uses, func(t *testing.T, use wal.RingUse) {
		gaps := []int{1000, 4096, 30_000}
		for gap := 0; gap <= 160; gap += 8 {
			gaps = append(gaps, gap)
		}
		for _, gap := range gaps {
			fsys := faultfs.New(1)
			r, _ := openRing(t, fsys, wal.RingLeast, use)
			fillTo(t, r, wal.RingLeast-gap)
			from := r.Tail()
			var want []wal.Record
			for i := range uint64(8) {
				n := []int{0, 8, 40, 1, 100, 33, 5000, 0}[i]
				want = append(want, rec(2+i, n))
				pos := mustPut(t, r, want[i])
				off := int(pos % wal.RingLeast)
				require.LessOrEqual(t, off+wal.RingRecord+n, wal.RingLeast, "in one piece")
			}
			same(t, want, each(t, r, from))
			if use == wal.InMemory {
				continue
			}
			got := left(t, fsys)
			same(t, want, slices.DeleteFunc(got, func(rec wal.Record) bool { return rec.Seq < 2 }))
		}
	})
}

func TestRingFull(t *testing.T) {
	eachUse(t, uses, func(t *testing.T, use wal.RingUse) {
		r, _ := openRing(t, faultfs.New(1), wal.RingLeast, use)
		var want []wal.Record
		var at []uint64
		var err error
		for seq := uint64(1); err == nil; seq++ {
			var pos uint64
			if pos, err = put(r, rec(seq, 1000)); err == nil {
				want, at = append(want, rec(seq, 1000)), append(at, pos)
			}
		}
		require.ErrorIs(t, err, wal.ErrRingFull)
		require.Greater(t, (len(want)+1)*(wal.RingRecord+1000), wal.RingLeast)
		same(t, want, each(t, r, 0))
		require.False(t, r.Roomy())
		r.Release(at[1])
		pos, err := put(r, rec(500, 1000))
		require.NoError(t, err)
		require.Equal(t, uint64(wal.RingLeast), pos)
		_, err = put(r, rec(501, 1000))
		require.ErrorIs(t, err, wal.ErrRingFull)
		same(t, append(want[1:], rec(500, 1000)), each(t, r, at[1]))

		r.Release(r.Tail())
		r.Release(at[0])
		_, err = put(r, rec(501, 1000))
		require.NoError(t, err, "Release never goes back")
	})
}

// The last byte is used, and no more.
func TestRingFullToTheByte(t *testing.T) {
	r := wal.MemoryRing(wal.RingLeast)
	fillTo(t, r, 1000) // and released
	mustPut(t, r, wal.Record{Body: make([]byte, 60_000)})
	mustPut(t, r, wal.Record{Body: make([]byte, wal.RingLeast-61_032-wal.RingRecord)})
	require.Equal(t, uint64(wal.RingLeast), r.Tail())
	mustPut(t, r, wal.Record{Body: make([]byte, 960-wal.RingRecord)})
	_, err := r.Reserve(9)
	require.ErrorIs(t, err, wal.ErrRingFull)
	_, err = r.Reserve(8)
	require.NoError(t, err)
}

// Whatever the tail, an empty ring takes a record of any size, and Roomy says so.
func TestRingThatIsEmptyIsRoomy(t *testing.T) {
	for off := 0; off < wal.RingLeast; off += 8 * 61 {
		r := wal.MemoryRing(wal.RingLeast)
		if off > 0 && off < wal.RingRecord {
			continue
		}
		fillTo(t, r, off)
		require.True(t, r.Roomy(), off)
		_, err := r.Reserve(wal.MaxBody)
		require.NoError(t, err, off)
	}
}

func TestRingRoomyMeansRoomForAny(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	r := wal.MemoryRing(300_000)
	var at []uint64
	roomy := map[bool]int{}
	for range 20_000 {
		_, err := r.Reserve(wal.MaxBody)
		is := r.Roomy()
		roomy[is]++
		if is {
			require.NoError(t, err)
		}
		if n := rng.IntN(5000); !is && len(at) > 0 {
			at = at[1:]
			if len(at) > 0 {
				r.Release(at[0])
			} else {
				r.Release(r.Tail())
			}
		} else if pos, err := put(r, rec(1, n)); err == nil {
			at = append(at, pos)
		}
	}
	require.NotZero(t, roomy[true])
	require.NotZero(t, roomy[false])
}

// A model: the ring does what a slice would do, and on disk there is always what is in it.
func TestRingModel(t *testing.T) {
	eachUse(t, uses, func(t *testing.T, use wal.RingUse) {
		for seed := range uint64(4) {
			rng := rand.New(rand.NewPCG(seed, 3))
			fsys := faultfs.New(seed)
			r, _ := openRing(t, fsys, wal.RingLeast, use)
			var model []wal.Record
			var at []uint64
			seq := uint64(1)
			for step := range 1500 {
				if rng.IntN(3) > 0 {
					n := rng.IntN(1 << rng.IntN(16))
					pos, err := put(r, rec(seq, n))
					if err != nil {
						require.ErrorIs(t, err, wal.ErrRingFull)
					} else {
						model, at = append(model, rec(seq, n)), append(at, pos)
						seq++
					}
				} else if k := rng.IntN(len(at) + 1); k > 0 {
					model, at = model[k:], at[k:]
					r.Release(append(at, r.Tail())[0])
				}
				if step%50 == 0 {
					same(t, model, each(t, r, append(at, r.Tail())[0]))
				}
				if use != wal.InMemory && step%200 == 0 {
					got := left(t, fsys)
					require.True(t, slices.IsSortedFunc(got, func(a, b wal.Record) int { return cmp.Compare(a.Seq, b.Seq) }))
					require.GreaterOrEqual(t, len(got), len(model))
					same(t, model, got[len(got)-len(model):])
				}
			}
			require.NoError(t, r.Close())
		}
	})
}

// Both ways to write leave the same file.
func TestRingPerCallEqualsMapped(t *testing.T) {
	base := faultfs.New(1)
	r, _ := openRing(t, base, wal.RingLeast, wal.Mapped)
	mustPut(t, r, rec(1, 50))
	before := content(t, base, ringFile)
	var files [][]byte
	for _, use := range kept {
		fsys := faultfs.New(2)
		write(t, fsys, ringFile, before)
		r, old := openRing(t, fsys, wal.RingLeast, use)
		require.Len(t, old, 1)
		require.NoError(t, r.Resume())
		rng := rand.New(rand.NewPCG(5, 5))
		for seq := uint64(2); seq < 300; seq++ {
			mustPut(t, r, rec(seq, rng.IntN(9000)))
			if rng.IntN(4) == 0 {
				r.Release(r.Tail())
			}
			if r.Tail()%wal.RingLeast < 70_000 {
				r.Release(r.Tail())
			}
			r.Release(r.Tail())
		}
		files = append(files, content(t, fsys, ringFile))
	}
	for _, b := range files {
		clear(b[wal.RingNext : wal.RingNext+8]) // the mark, which a ring that is written per call does not have
	}
	require.True(t, bytes.Equal(files[0], files[1]))
}

// A ring of a newer version is left alone.
func TestRingOfANewerVersion(t *testing.T) {
	eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
		fsys := faultfs.New(1)
		r, _ := openRing(t, fsys, wal.RingLeast, use)
		mustPut(t, r, rec(1, 10))
		require.NoError(t, r.Close())
		require.NoError(t, fsys.Corrupt(ringFile, func(b []byte) []byte {
			b[8]++
			le.PutUint32(b[40:], wal.Seeded(0, b[:40]))
			return b
		}))
		before := content(t, fsys, ringFile)
		_, _, err := wal.RingRecords(fsys, ringFile, testSlot)
		require.ErrorIs(t, err, wal.ErrVersion)
		_, _, _, err = wal.OpenRing(fsys, ringFile, wal.RingLeast, testSlot, use)
		require.ErrorIs(t, err, wal.ErrVersion)
		require.Equal(t, before, content(t, fsys, ringFile))
	})
}

// A mapped ring knows which number comes next, also when it is empty.
func TestRingKnowsWhatComesNext(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	_, _, known, ok := wal.RingHead(fsys, ringFile)
	require.True(t, ok)
	require.False(t, known, "nothing was written yet")
	mustPut(t, r, rec(41, 10))
	_, next, known, _ := wal.RingHead(fsys, ringFile)
	require.True(t, known)
	require.Equal(t, uint64(42), next)
	require.NoError(t, r.Restart(testSlot))
	_, _, known, _ = wal.RingHead(fsys, ringFile)
	require.False(t, known)
	require.NoError(t, r.Mark(77))
	_, next, known, _ = wal.RingHead(fsys, ringFile)
	require.True(t, known)
	require.Equal(t, uint64(77), next)
	require.NoError(t, r.Close())
	require.NoError(t, fsys.Corrupt(ringFile, func(b []byte) []byte { b[wal.RingNext]++; return b }))
	_, _, known, _ = wal.RingHead(fsys, ringFile)
	require.False(t, known)
}

// dying is a ring in its second lap, with the bytes before and after the write of one
// more record on top of an old one.
func dying(t *testing.T) (before, after []byte, old []wal.Record, next wal.Record, off int) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	for seq := uint64(1); seq < 1200; seq++ {
		mustPut(t, r, rec(seq, 100))
		r.Release(r.Tail())
	}
	before = content(t, fsys, ringFile)
	old = left(t, fsys)
	next = rec(1200, 120)
	pos := mustPut(t, r, next)
	require.Greater(t, pos, uint64(wal.RingLeast))
	return before, content(t, fsys, ringFile), old, next, wal.RingPage + int(pos%wal.RingLeast)
}

// has tells whether a record is in a list.
func has(list []wal.Record, r wal.Record) bool {
	return slices.ContainsFunc(list, func(have wal.Record) bool { return equal(have, r) })
}

// A process that dies while it stores a record leaves all that was before, and of that
// record nothing.
func TestRingDeathDuringAStore(t *testing.T) {
	before, after, old, next, off := dying(t)
	end := off + wal.RingRecord + len(next.Body)
	rng := rand.New(rand.NewPCG(1, 1))
	check := func(b []byte, whole bool, what any) {
		got := leftIn(t, b)
		require.Equal(t, whole, has(got, next), "%v", what)
		for _, r := range got {
			require.True(t, equal(r, next) || has(old, r), "%v: %s was never written", what, brief(r))
		}
		require.True(t, has(got, old[len(old)-1]), "%v", what)
	}
	for cut := off + 8; cut <= end; cut++ { // the first word is not stored yet
		b := bytes.Clone(before)
		copy(b[off+8:cut], after[off+8:cut])
		check(b, false, cut)
	}
	for i := range 200 { // nothing orders the stores but the last
		b := bytes.Clone(before)
		for at := off + 8; at < end; at++ {
			if rng.IntN(2) == 0 {
				b[at] = after[at]
			}
		}
		check(b, false, i)
	}
	check(after, true, "whole")
	for cut := off + 1; cut < end; cut++ { // if the first word were stored first
		b := bytes.Clone(before)
		copy(b[off:cut], after[off:cut])
		check(b, false, cut)
	}
}

// A process that dies within the system call leaves the beginning of the record.
func TestRingDeathDuringACall(t *testing.T) {
	const n = 75
	whole := wal.RingRecord + n
	for cut := 0; cut <= (whole+7)&^7; cut++ {
		fsys := faultfs.New(1)
		r, _ := openRing(t, fsys, wal.RingLeast, wal.PerCall)
		mustPut(t, r, rec(1, 20))
		fsys.Inject(func(faultfs.Op) error {
			fsys.Inject(func(faultfs.Op) error { return faultfs.ErrStopped })
			return faultfs.ShortWrite{N: cut}
		})
		_, err := put(r, rec(2, n))
		require.ErrorIs(t, err, syscall.EIO)
		want := []wal.Record{rec(1, 20)}
		if cut >= whole {
			want = append(want, rec(2, n)) // nobody was told that it is there, nor that it is not
		}
		same(t, want, left(t, fsys.Kill()))
	}
}

// A call that has failed has not put anything: its number is given to the next one.
func TestRingFailedWriteDoesNotShadowTheNext(t *testing.T) {
	for _, cut := range []int{50, wal.RingRecord + 1000, wal.RingRecord + 1008} {
		fsys := faultfs.New(1)
		r, _ := openRing(t, fsys, wal.RingLeast, wal.PerCall)
		fillTo(t, r, wal.RingLeast-2000)
		fsys.Inject(func(op faultfs.Op) error {
			if op.Kind == faultfs.Write && op.Length > 1000 {
				return faultfs.ShortWrite{N: cut}
			}
			return nil
		})
		refused, accepted := rec(2, 1001), rec(2, 5000)
		refused.Body = body(77, 1001)
		_, err := put(r, refused)
		require.Error(t, err)
		fsys.Inject(nil)
		mustPut(t, r, accepted) // it does not fit behind it, and goes to the next lap
		got := left(t, fsys)
		got = slices.DeleteFunc(got, func(r wal.Record) bool { return r.Seq < 2 })
		require.Equal(t, []uint64{2}, seqs(got), "cut at %d: two records have one number", cut)
		same(t, []wal.Record{accepted}, got)
	}
}

func TestRingIsAsBeforeAfterAFailedWrite(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.PerCall)
	mustPut(t, r, rec(1, 10))
	tail, extent := r.Tail(), r.Extent()
	fsys.Inject(func(faultfs.Op) error { return syscall.ENOSPC })
	_, err := put(r, rec(2, 10))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, tail, r.Tail())
	require.Equal(t, extent, r.Extent())
	fsys.Inject(nil)
	mustPut(t, r, rec(2, 3))
	same(t, []wal.Record{rec(1, 10), rec(2, 3)}, each(t, r, 0))
	same(t, []wal.Record{rec(1, 10), rec(2, 3)}, left(t, fsys))
}

func TestRingRestartHidesEverything(t *testing.T) {
	eachUse(t, uses, func(t *testing.T, use wal.RingUse) {
		fsys := faultfs.New(1)
		r, _ := openRing(t, fsys, wal.RingLeast, use)
		for seq := range uint64(100) {
			mustPut(t, r, rec(seq, 1000))
		}
		require.NoError(t, r.Restart(testSlot))
		require.Zero(t, r.Tail())
		require.Empty(t, each(t, r, 0))
		if use != wal.InMemory {
			require.Empty(t, left(t, fsys))
		}
		mustPut(t, r, rec(200, 500)) // upon an old one, behind it others
		same(t, []wal.Record{rec(200, 500)}, each(t, r, 0))
		if use != wal.InMemory {
			same(t, []wal.Record{rec(200, 500)}, left(t, fsys))
		}
	})
}

func TestRingGetsANewSaltWhenItIsOpened(t *testing.T) {
	fsys := faultfs.New(1)
	seen := map[uint32]bool{}
	for range 4 {
		r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
		seen[r.Sum([]byte("body"))] = true
		require.NoError(t, r.Close())
	}
	require.Len(t, seen, 4)
}

func TestRingResume(t *testing.T) {
	eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
		for _, laps := range []int{0, 1, 2} {
			fsys := faultfs.New(1)
			r, _ := openRing(t, fsys, wal.RingLeast, use)
			seq := uint64(1)
			for int(r.Tail()) < laps*wal.RingLeast+50_000 {
				mustPut(t, r, rec(seq, 5000))
				seq++
				r.Release(r.Tail())
			}
			tail := r.Tail()
			fsys = fsys.Kill()
			r, old := openRing(t, fsys, 1<<20, use)
			require.Equal(t, wal.RingLeast, r.Size(), "as long as there is something in it")
			require.Equal(t, seq-1, old[len(old)-1].Seq)
			require.NoError(t, r.Resume())
			require.Equal(t, tail, r.Tail())
			same(t, old, left(t, fsys))

			var put []wal.Record
			for range 400 {
				if _, err := r.Reserve(200); err != nil {
					break
				}
				put = append(put, rec(seq, 200))
				mustPut(t, r, put[len(put)-1])
				seq++
			}
			same(t, put, each(t, r, tail))
			same(t, append(old, put...), left(t, fsys))
			_, err := r.Reserve(wal.MaxBody)
			require.ErrorIs(t, err, wal.ErrRingFull, "what was left is not overwritten")
			r.Release(tail)
			for range 20 {
				if _, err := r.Reserve(3000); err != nil {
					break
				}
				put = append(put, rec(seq, 3000))
				mustPut(t, r, put[len(put)-1])
				seq++
			}
			same(t, put, each(t, r, tail))
		}
	})
}

// What Resume does not keep, it clears.
func TestRingResumeClears(t *testing.T) {
	eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
		for _, at := range []int{0, 60_000, 90_000} {
			fsys := faultfs.New(1)
			r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
			fillTo(t, r, at)
			r.Release(r.Tail())
			pos := mustPut(t, r, rec(5, 60_000-wal.RingRecord))
			require.NoError(t, r.Close())
			off := int(pos % wal.RingLeast)
			require.NoError(t, fsys.Corrupt(ringFile, func(b []byte) []byte {
				for i := range wal.RingLeast {
					if i < off || i >= off+60_000 {
						b[wal.RingPage+i] = 0xee
					}
				}
				return b
			}))
			r, old := openRing(t, fsys, wal.RingLeast, use)
			require.Equal(t, []uint64{5}, seqs(old))
			require.NoError(t, r.Resume())
			require.NoError(t, r.Close())
			b := content(t, fsys, ringFile)[wal.RingPage:]
			require.Zero(t, bytes.Count(b[:off], []byte{0xee}))
			require.Zero(t, bytes.Count(b[off+60_000:], []byte{0xee}))
			same(t, old, left(t, fsys))
		}
	})
}

// A record of an earlier lap may lie behind the end of the last one, where nothing has
// come since. Then the ring is not full of it for ever.
func TestRingResumeWithAnOldRecordBehindTheLap(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	fillTo(t, r, wal.RingLeast-40)
	old := mustPut(t, r, rec(2, 8)) // the last 40 bytes of the first lap
	r.Release(r.Tail())
	fillMoreTo(t, r, 2*wal.RingLeast-48) // the second ends before it
	for seq := uint64(3); seq < 9; seq++ {
		mustPut(t, r, rec(seq, 100)) // in the third
		r.Release(r.Tail())
	}
	fsys = fsys.Kill()
	r, list := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	require.Equal(t, uint64(2), list[slices.IndexFunc(list, func(r wal.Record) bool { return r.Seq == 2 })].Seq)
	require.Greater(t, r.Tail()-old, uint64(wal.RingLeast))
	require.NoError(t, r.Resume())
	_, err := r.Reserve(100)
	require.ErrorIs(t, err, wal.ErrRingFull)
	r.Release(r.Tail())
	mustPut(t, r, rec(900, 100))
}

func TestRingOfOthersIsDamage(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	mustPut(t, r, rec(1, 10))
	require.NoError(t, r.Close())
	good := content(t, fsys, ringFile)
	edit := func(f func(b []byte)) []byte { // both headers
		b := bytes.Clone(good)
		f(b)
		f(b[wal.RingSpare:])
		return b
	}
	signed := func(f func(b []byte)) []byte {
		return edit(func(b []byte) {
			f(b)
			le.PutUint32(b[40:], wal.Seeded(0, b[:40]))
		})
	}
	for _, c := range []struct {
		name   string
		b      []byte
		damage bool
	}{
		{"empty", nil, false},
		{"only zeros", make([]byte, 10_000), false},
		{"another slot", signed(func(b []byte) { b[24]++ }), true},
		{"magic", signed(func(b []byte) { b[0]++ }), true},
		{"checksum", edit(func(b []byte) { b[40]++ }), true},
		{"salt", edit(func(b []byte) { b[12]++ }), true},
		{"size too small", signed(func(b []byte) { le.PutUint64(b[16:], wal.RingLeast-8) }), true},
		{"size too large", signed(func(b []byte) { le.PutUint64(b[16:], wal.RingMost+8) }), true},
		{"size odd", signed(func(b []byte) { le.PutUint64(b[16:], wal.RingLeast+4) }), true},
		{"cut within the header", good[:43], true},
		{"cut within the page", good[:wal.RingPage-1], true},
		{"text", []byte("nothing of ours"), true},
	} {
		eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
			fsys := faultfs.New(1)
			write(t, fsys, ringFile, c.b)
			list, damage, err := wal.RingRecords(fsys, ringFile, testSlot)
			require.NoError(t, err, c.name)
			require.Empty(t, list, c.name)
			require.Equal(t, c.damage, len(damage) > 0, c.name)
			r, list, damage, err := wal.OpenRing(fsys, ringFile, wal.RingLeast, testSlot, use)
			require.NoError(t, err, c.name)
			require.Empty(t, list, c.name)
			if c.damage {
				require.Equal(t, c.b, damage, c.name)
			}
			mustPut(t, r, rec(9, 9))
			same(t, []wal.Record{rec(9, 9)}, left(t, fsys))
			require.NoError(t, r.Close())
		})
	}
}

// One header is enough.
func TestRingHasTwoHeaders(t *testing.T) {
	eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
		fsys := faultfs.New(1)
		r, _ := openRing(t, fsys, wal.RingLeast, use)
		mustPut(t, r, rec(1, 10))
		good := content(t, fsys, ringFile)
		for _, off := range []int{0, 8, 12, 16, 24, 40, wal.RingSpare, wal.RingSpare + 12, wal.RingSpare + 40} {
			b := bytes.Clone(good)
			b[off] ^= 1
			same(t, []wal.Record{rec(1, 10)}, leftIn(t, b))
		}
		require.Equal(t, good[:44], good[wal.RingSpare:][:44])
	})
}

func TestRingSlot(t *testing.T) {
	fsys := faultfs.New(1)
	_, _, _, ok := wal.RingHead(fsys, ringFile)
	require.False(t, ok)
	openRing(t, fsys, wal.RingLeast, wal.Mapped)
	id, _, _, ok := wal.RingHead(fsys, ringFile)
	require.True(t, ok)
	require.Equal(t, testSlot, id)
	fsys.Inject(func(op faultfs.Op) error {
		if op.Kind == faultfs.Read {
			return syscall.EIO
		}
		return nil
	})
	_, _, _, ok = wal.RingHead(fsys, ringFile)
	require.False(t, ok)
	fsys.Inject(nil)
	write(t, fsys, ringFile, make([]byte, wal.RingPage))
	_, _, _, ok = wal.RingHead(fsys, ringFile)
	require.False(t, ok)
}

// A file that is far too large is damage too, and not the end of the spool.
func TestRingFileTooLargeIsDamage(t *testing.T) {
	fsys := faultfs.New(1)
	f, err := fsys.Open(ringFile, true, true)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte{1}, wal.RingPage+wal.RingMost)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	_, list, _, err := wal.OpenRing(fsys, ringFile, wal.RingLeast, testSlot, wal.Mapped)
	require.NoError(t, err)
	require.Empty(t, list)
}

func TestRingWithoutAFile(t *testing.T) {
	list, damage, err := wal.RingRecords(faultfs.New(1), ringFile, testSlot)
	require.NoError(t, err)
	require.Empty(t, list)
	require.Empty(t, damage)
}

func TestRingSize(t *testing.T) {
	eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
		fsys := faultfs.New(1)
		for _, c := range []struct{ ask, get int }{
			{0, wal.RingLeast}, {-1, wal.RingLeast}, {wal.RingLeast + 1, wal.RingLeast + 8}, {200_000, 200_000}, {wal.RingLeast, wal.RingLeast},
		} {
			r, old := openRing(t, fsys, c.ask, use)
			require.Empty(t, old)
			require.Equal(t, c.get, r.Size())
			require.NoError(t, r.Close())
		}
		r, _ := openRing(t, fsys, 200_000, use)
		fillTo(t, r, 190_000)
		mustPut(t, r, rec(5, 3000))
		fsys = fsys.Kill()
		for _, ask := range []int{wal.RingLeast, 400_000} {
			r, old := openRing(t, fsys, ask, use)
			require.Equal(t, uint64(5), old[len(old)-1].Seq)
			require.Equal(t, 200_000, r.Size())
			require.NoError(t, r.Close())
		}
		r, _ = openRing(t, fsys, 400_000, use)
		require.NoError(t, r.Restart(testSlot))
		require.NoError(t, r.Close())
		r, old := openRing(t, fsys, 400_000, use)
		require.Empty(t, old)
		require.Equal(t, 400_000, r.Size())
	})
}

// A file that was cut gives what is left in it.
func TestRingThatWasCut(t *testing.T) {
	eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
		fsys := faultfs.New(1)
		r, _ := openRing(t, fsys, wal.RingLeast, use)
		for seq := range uint64(10) {
			mustPut(t, r, rec(seq, 500))
		}
		fsys = fsys.Kill()
		require.NoError(t, fsys.Corrupt(ringFile, func(b []byte) []byte { return b[:wal.RingPage+3*536+300] }))
		r, old := openRing(t, fsys, wal.RingLeast, use)
		require.Equal(t, []uint64{0, 1, 2}, seqs(old))
		require.Equal(t, wal.RingLeast, r.Size())
		require.NoError(t, r.Resume())
		mustPut(t, r, rec(3, 5000))
		require.Equal(t, []uint64{0, 1, 2, 3}, seqs(left(t, fsys)))
	})
}

// A body that holds a copy of a valid record, just where that record once was, does not
// give it back while the record around it is whole. If that one is damaged, the copy is
// found, if it has the salt of the ring; with any other it is not.
func TestRingRecordInsideABody(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	fillTo(t, r, 1000)
	pos := mustPut(t, r, wal.Record{Seq: 66, Body: []byte("inner")})
	inner := bytes.Clone(content(t, fsys, ringFile)[wal.RingPage+int(pos):][:40])
	for int(r.Tail()) < wal.RingLeast {
		r.Release(r.Tail())
		mustPut(t, r, rec(67, 500))
	}
	r.Release(r.Tail())
	fillMoreTo(t, r, wal.RingLeast+800)
	r.Release(r.Tail())
	at := mustPut(t, r, wal.Record{Seq: 99, Body: append(make([]byte, 200-wal.RingRecord), inner...)})
	require.Equal(t, uint64(wal.RingLeast+800), at)

	find := func(b []byte) []wal.Record {
		return slices.DeleteFunc(leftIn(t, b), func(r wal.Record) bool { return r.Seq != 66 && r.Seq != 99 })
	}
	good := content(t, fsys, ringFile)
	require.Equal(t, []uint64{99}, seqs(find(good)))
	bad := bytes.Clone(good)
	bad[wal.RingPage+800]++
	require.Equal(t, []uint64{66}, seqs(find(bad)), "the salt is what protects")
	for i := range 40 {
		torn := bytes.Clone(bad)
		torn[wal.RingPage+1000+i] ^= 0x10
		if i < wal.RingRecord+5 { // not in the padding
			require.Empty(t, find(torn), i)
		}
	}
}

// fillMoreTo is fillTo for later laps.
func fillMoreTo(t *testing.T, r *wal.Ring, pos uint64) {
	for r.Tail() < pos {
		n := min(pos-r.Tail(), 60_000)
		mustPut(t, r, wal.Record{Seq: 1, Body: make([]byte, n-wal.RingRecord)})
		r.Release(r.Tail())
	}
	require.Equal(t, pos, r.Tail())
}

// The checksum finds every error of one bit or two in the header of a record.
func TestRingFlippedBits(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	mustPut(t, r, rec(1, 24))
	good := content(t, fsys, ringFile)[:wal.RingPage+128]
	at := wal.RingPage
	const bits = 8 * (wal.RingRecord + 24)
	flip := func(b []byte, i int) { b[at+i/8] ^= 1 << (i % 8) }
	fsys = faultfs.New(1)
	write(t, fsys, ringFile, good)
	require.Len(t, left(t, fsys), 1)
	try := func(name string, flips ...int) {
		b := bytes.Clone(good)
		for _, i := range flips {
			flip(b, i)
		}
		f, err := fsys.Open(ringFile, true, false)
		require.NoError(t, err)
		_, err = f.WriteAt(b[at:], int64(at))
		require.NoError(t, err)
		require.NoError(t, f.Close())
		require.Empty(t, seqs(left(t, fsys)), "%s %v", name, flips)
	}
	for i := range bits {
		try("bit", i)
	}
	for i := range 32 { // length and flags, with each bit of the numbers
		for j := 64; j < 8*wal.RingRecord; j++ {
			try("bits", i, j)
		}
	}
}

// What lies about in the ring of another salt, or at another place, is no record.
func TestRingRecordOfAnotherPlaceOrSalt(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	mustPut(t, r, rec(1, 24))
	b := content(t, fsys, ringFile)
	copy(b[wal.RingPage+64:], b[wal.RingPage:][:56])
	clear(b[wal.RingPage:][:56])
	require.Empty(t, leftIn(t, b), "moved")
	copy(b[wal.RingPage:], b[wal.RingPage+64:][:56])
	require.Equal(t, []uint64{1}, seqs(leftIn(t, b)), "moved back")
	le.PutUint32(b[12:], le.Uint32(b[12:])+1)
	le.PutUint32(b[40:], wal.Seeded(0, b[:40]))
	require.Empty(t, leftIn(t, b), "another salt")
}

func TestRingErrorsOfTheFileSystem(t *testing.T) {
	prepare := func() *faultfs.FS {
		fsys := faultfs.New(1)
		r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
		mustPut(t, r, rec(1, 24))
		return fsys.Kill()
	}
	for _, use := range kept {
		ops := 0
		for n := 0; ; n++ {
			fsys := prepare()
			k := 0
			failed := faultfs.Kind(-1)
			fsys.Inject(func(op faultfs.Op) error {
				if k++; k == n+1 {
					failed = op.Kind
					return syscall.EIO
				}
				return nil
			})
			r, left, damage, err := wal.OpenRing(fsys, ringFile, wal.RingLeast, testSlot, use)
			if failed < 0 {
				require.NoError(t, err)
				fsys.Inject(nil)
				require.NoError(t, r.Resume())
				break
			}
			ops++
			require.ErrorIs(t, err, syscall.EIO, failed)
			require.Nil(t, r)
			require.Empty(t, damage)
			if n >= 2 { // it was read before
				require.Len(t, left, 1, "left is returned with an error as well")
			}
		}
		require.Equal(t, map[wal.RingUse]int{wal.Mapped: 3, wal.PerCall: 4}[use], ops)
	}
	for _, use := range kept { // an empty one: what Restart and the blocks need
		for n := range 4 {
			fsys := faultfs.New(1)
			k := 0
			fsys.Inject(func(op faultfs.Op) error {
				if op.Kind == faultfs.Write {
					if k++; k == n+1 {
						return syscall.ENOSPC
					}
				}
				return nil
			})
			_, _, _, err := wal.OpenRing(fsys, ringFile, wal.RingLeast, testSlot, use)
			if use == wal.PerCall && n < 2 {
				require.ErrorIs(t, err, syscall.ENOSPC)
			} else {
				require.NoError(t, err)
			}
		}
	}
}

func TestRingResumeAndRestartFail(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.PerCall)
	mustPut(t, r, rec(1, 24))
	fsys.Inject(func(faultfs.Op) error { return syscall.EIO })
	require.ErrorIs(t, r.Resume(), syscall.EIO)
	require.ErrorIs(t, r.Restart(testSlot), syscall.EIO)
	require.NotZero(t, r.Tail(), "Restart that fails changes nothing")
	fsys.Inject(nil)
	same(t, []wal.Record{rec(1, 24)}, left(t, fsys))
}

// Space that a ring will need is taken when it is opened.
func TestRingTakesItsBlocks(t *testing.T) {
	eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
		fsys := faultfs.New(1)
		fsys.SetFree(wal.RingLeast)
		_, _, _, err := wal.OpenRing(fsys, ringFile, wal.RingLeast, testSlot, use)
		require.ErrorIs(t, err, syscall.ENOSPC)
		fsys.SetFree(2*wal.RingLeast + wal.RingPage)
		r, _ := openRing(t, fsys, wal.RingLeast, use)
		fsys.SetFree(0)
		for seq := range uint64(100) {
			mustPut(t, r, rec(seq, 1200))
		}
	})
}

func TestRingGuardLetsOtherPanicsThrough(t *testing.T) {
	fsys := faultfs.New(1)
	r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
	require.PanicsWithValue(t, "own", func() { _ = r.Guard(func() { panic("own") }) })
	var m map[int]int
	require.Panics(t, func() { _ = r.Guard(func() { m[1] = 1 }) })
	require.Panics(t, func() { _ = r.Guard(func() { var p *int; *p = 1 }) })
	require.NoError(t, r.Guard(func() {}))
}

// Somebody who changes the file of a ring in use gets wrong records out of it, but does
// not end the process.
func TestRingChangedBelow(t *testing.T) {
	for _, first := range []uint32{math.MaxUint32, 0xffff, wal.MaxBody} {
		fsys := faultfs.New(1)
		r, _ := openRing(t, fsys, wal.RingLeast, wal.Mapped)
		fillTo(t, r, wal.RingLeast-104)
		pos := mustPut(t, r, rec(1, 24))
		require.NoError(t, fsys.Corrupt(ringFile, func(b []byte) []byte {
			le.PutUint32(b[wal.RingPage+int(pos):], first)
			return b
		}))
		require.NotPanics(t, func() {
			_, err := r.Each(pos, r.Extent(), func(wal.Record) bool { return true })
			require.Error(t, err)
		})
	}
}

// Write, Each and Sum run beside each other, as their comments allow.
func TestRingConcurrent(t *testing.T) {
	eachUse(t, uses, func(t *testing.T, use wal.RingUse) {
		r, _ := openRing(t, faultfs.New(1), 1<<20, use)
		var mu sync.Mutex
		const records = 1500
		done := make(chan struct{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
						_ = r.Sum([]byte("another"))
					}
				}
			})
		}
		var got []wal.Record
		wg.Go(func() {
			pos := uint64(0)
			for len(got) < records {
				mu.Lock()
				extent := r.Extent()
				mu.Unlock()
				next, err := r.Each(pos, extent, func(rec wal.Record) bool {
					rec.Body = bytes.Clone(rec.Body)
					got = append(got, rec)
					return true
				})
				if err != nil {
					t.Error(err)
					return
				}
				pos = next
				mu.Lock()
				r.Release(pos)
				mu.Unlock()
			}
		})
		for seq := uint64(0); seq < records; {
			rec := rec(seq, int(seq*7%3000))
			sum := r.Sum(rec.Body)
			mu.Lock()
			pos, err := r.Reserve(len(rec.Body))
			mu.Unlock()
			if err != nil {
				continue
			}
			require.NoError(t, r.Write(pos, rec.Seq, rec.At, rec.Flags, rec.Body, sum))
			mu.Lock()
			r.Commit(pos, len(rec.Body))
			mu.Unlock()
			seq++
		}
		close(done)
		wg.Wait()
		for seq := range uint64(records) {
			require.True(t, equal(rec(seq, int(seq*7%3000)), got[seq]))
		}
	})
}

// What survives the loss of power is some of the records, each as it was.
func TestRingPowerLoss(t *testing.T) {
	for seed := range uint64(60) {
		fsys := faultfs.New(seed)
		r, _ := openRing(t, fsys, wal.RingLeast, kept[seed%2])
		require.NoError(t, fsys.SyncDir("/"))
		f, err := fsys.Open(ringFile, true, false)
		require.NoError(t, err)
		require.NoError(t, f.Sync())
		for seq := range uint64(300) {
			mustPut(t, r, rec(seq, int(seq*13%700)))
			r.Release(r.Tail())
		}
		fsys = fsys.PowerLoss()
		list, damage, err := wal.RingRecords(fsys, ringFile, testSlot)
		require.NoError(t, err)
		require.Empty(t, damage)
		for _, got := range list {
			require.True(t, equal(rec(got.Seq, int(got.Seq*13%700)), got), seed)
		}
	}
}

func TestRingPutDoesNotAllocate(t *testing.T) {
	r := wal.MemoryRing(1 << 20)
	one := rec(1, 100)
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if _, err := put(r, one); err != nil {
			t.Error(err)
		}
	}))
}

func TestRingClose(t *testing.T) {
	eachUse(t, uses, func(t *testing.T, use wal.RingUse) {
		r, _ := openRing(t, faultfs.New(1), 0, use)
		require.NoError(t, r.Close())
	})
}
