package wal_test

import (
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
)

const benchBody = 1024

func benchRing(b *testing.B, use wal.RingUse) *wal.Ring {
	r, _, _, err := wal.OpenRing(wal.OS{}, filepath.Join(b.TempDir(), "ring"), 16<<20, testSlot, use)
	require.NoError(b, err)
	b.Cleanup(func() { _ = r.Close() })
	return r
}

// putOne puts a record and makes room for the next where it must.
func putOne(b *testing.B, r *wal.Ring, seq uint64, body []byte, sum uint32) {
	pos, err := r.Reserve(len(body))
	if err != nil {
		r.Release(r.Tail())
		if pos, err = r.Reserve(len(body)); err != nil {
			b.Error(err)
			return
		}
	}
	if err := r.Write(pos, seq, 1, 0, body, sum); err != nil {
		b.Error(err)
		return
	}
	r.Commit(pos, len(body))
}

func BenchmarkRingPut(b *testing.B) {
	for _, use := range kept {
		b.Run(use.String(), func(b *testing.B) {
			r := benchRing(b, use)
			body := body(1, benchBody)
			b.SetBytes(benchBody)
			b.ReportAllocs()
			for seq := uint64(0); b.Loop(); seq++ {
				putOne(b, r, seq, body, r.Sum(body))
			}
		})
	}
	b.Run("parallel", func(b *testing.B) {
		r := benchRing(b, wal.Mapped)
		body := body(1, benchBody)
		var mu sync.Mutex
		seq := uint64(0)
		b.SetBytes(benchBody)
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				sum := r.Sum(body)
				mu.Lock()
				seq++
				putOne(b, r, seq, body, sum)
				mu.Unlock()
			}
		})
	})
}

const drained = 1000 // records at a time

// drain makes frames of what is in a ring.
func drain(b *testing.B, r *wal.Ring, w *wal.FrameWriter) []byte {
	w.Grow(drained * (benchBody + 64))
	if _, err := r.Each(0, r.Extent(), func(rec wal.Record) bool { w.Add(rec); return true }); err != nil {
		b.Fatal(err)
	}
	return w.Finish()
}

func BenchmarkDrainFrames(b *testing.B) {
	r := benchRing(b, wal.Mapped)
	body := body(1, benchBody)
	for seq := range uint64(drained) {
		putOne(b, r, seq, body, r.Sum(body))
	}
	seg, err := wal.CreateSegment(wal.OS{}, b.TempDir(), 0)
	require.NoError(b, err)
	defer seg.Close()
	w := seg.Frames()
	b.SetBytes(drained * benchBody)
	b.ReportAllocs()
	for b.Loop() {
		drain(b, r, w)
	}
}

// full is an unsealed segment of 16 MiB.
func full(b *testing.B) (dir string) {
	dir = b.TempDir()
	seg, err := wal.CreateSegment(wal.OS{}, dir, 1)
	require.NoError(b, err)
	for seq := uint64(1); seg.End() < 16<<20; seq += 60 {
		require.NoError(b, seg.Append(frames(seg, run(seq, 60, benchBody)...)))
	}
	require.NoError(b, seg.Close())
	return dir
}

// readRecords reads a segment and returns how many records there are.
func readRecords(b *testing.B, seg *wal.Segment) (n int) {
	var r wal.Reader
	r.Seek(seg, 0)
	for {
		f, _, ok, err := r.Frame(seg.End())
		if err != nil {
			b.Fatal(err)
		}
		if !ok {
			return n
		}
		for _, ok := f.Next(); ok; _, ok = f.Next() {
			n++
		}
	}
}

func BenchmarkReadFrames(b *testing.B) {
	seg, err := wal.OpenSegment(wal.OS{}, full(b), 1)
	require.NoError(b, err)
	defer seg.Close()
	b.SetBytes(seg.End())
	b.ReportAllocs()
	for b.Loop() {
		if readRecords(b, seg) == 0 {
			b.Fatal("nothing was read")
		}
	}
}

// BenchmarkScan is what the open of a segment costs that nobody has sealed.
func BenchmarkScan(b *testing.B) {
	dir := full(b)
	b.SetBytes(16 << 20)
	b.ReportAllocs()
	for b.Loop() {
		seg, err := wal.OpenSegment(wal.OS{}, dir, 1)
		if err != nil {
			b.Fatal(err)
		}
		if _, _, ok := seg.Sealed(); ok || readRecords(b, seg) == 0 {
			b.Fatal("it is not as it was written")
		}
		_ = seg.Close()
	}
}
