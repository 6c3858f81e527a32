package wal_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// allocated is how many bytes f allocates. It counts what goes on beside it too, and is
// good for a coarse bound only.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// spare is what the file system of the tests and the fuzzer may need beside.
const spare = 16 << 20

// FuzzSegment reads arbitrary bytes as a segment. It may take no more than some bytes for
// each of the file, and every record must lie in the file under a right checksum.
func FuzzSegment(f *testing.F) {
	l := small(f)
	sealed := func() []byte {
		fsys := faultfs.New(1)
		seg := segment(f, fsys, run(1, 3, 20))
		require.NoError(f, seg.Seal(4, 7))
		return content(f, fsys, seg.Name())
	}()
	f.Add(l.b)
	f.Add(sealed)
	f.Add(l.b[:len(l.b)-5])
	f.Add(l.b[wal.SegmentHeader:])
	f.Add([]byte{})
	f.Add(bytes.Repeat(le.AppendUint64(nil, wal.FrameMagic), 100))
	f.Add(append(bytes.Clone(l.b), sealed...))
	f.Fuzz(func(t *testing.T, b []byte) {
		fsys := faultfs.New(1)
		write(t, fsys, "/"+wal.SegmentName(1), b)
		n := allocated(func() {
			seg, err := wal.OpenSegment(fsys, "/", 1)
			if err != nil {
				require.ErrorIs(t, err, wal.ErrVersion)
				return
			}
			seg.Sealed()
			r := wal.Reader{Force: true}
			r.Seek(seg, 0)
			covered := int64(0)
			for {
				frame, d, ok, err := r.Frame(seg.End())
				require.NoError(t, err)
				require.GreaterOrEqual(t, d.Len, int64(0))
				covered += d.Len
				if !ok {
					break
				}
				covered += checkFrame(t, b, frame)
			}
			require.LessOrEqual(t, covered, int64(len(b)))
			seg.Raw(wal.Damage{Len: int64(len(b))})
		})
		require.Less(t, n, uint64(64*len(b)+spare))
	})
}

// checkFrame looks for a frame in the bytes of a file, under a right checksum, and
// returns how long it is.
func checkFrame(t *testing.T, b []byte, frame wal.Frame) int64 {
	for off := wal.SegmentHeader; off+wal.FrameHeader <= len(b); off += 8 {
		head := b[off : off+wal.FrameHeader]
		end := off + wal.FrameHeader + int(le.Uint16(head[24:]))
		if le.Uint32(head) != wal.FrameMagic || end > len(b) || le.Uint64(head[8:]) != frame.First || int(le.Uint16(head[26:])) != frame.Count {
			continue
		}
		if le.Uint32(head[28:]) != wal.Seeded(wal.Seeded(le.Uint32(head[4:]), head[:28]), b[off+wal.FrameHeader:end]) {
			continue
		}
		records := b[off+wal.FrameHeader : end]
		for r, ok := frame.Next(); ok; r, ok = frame.Next() {
			n := int(le.Uint32(records) & 0xffffff)
			require.Equal(t, records[3], r.Flags)
			require.Equal(t, records[wal.RecordHeader:wal.RecordHeader+n], r.Body)
			records = records[wal.RecordHeader+n:]
		}
		require.Empty(t, records)
		return int64((end - off + 7) &^ 7)
	}
	require.Fail(t, "a frame that is not in the file")
	return 0
}

// FuzzRing reads arbitrary bytes as a ring, and as what is behind a right header. It
// may take three times the file, and every record must lie in it under a right checksum.
func FuzzRing(f *testing.F) {
	fsys := faultfs.New(1)
	r, _ := openRing(f, fsys, wal.RingLeast, wal.Mapped)
	for seq := range uint64(5) {
		mustPut(f, r, rec(seq, int(20*seq)))
	}
	good := content(f, fsys, ringFile)[:wal.RingPage+1000]
	f.Add(good, false)
	f.Add(good[:wal.RingPage+70], false)
	f.Add(good[wal.RingPage:], true)
	f.Add(make([]byte, 100), true)
	f.Add(bytes.Repeat([]byte{0xff}, 100), true)
	f.Add([]byte{}, false)
	head := bytes.Clone(good[:wal.RingPage])
	f.Fuzz(func(t *testing.T, b []byte, headed bool) {
		if headed {
			b = append(bytes.Clone(head), b...)
		}
		fsys := faultfs.New(1)
		write(t, fsys, ringFile, b)
		n := allocated(func() {
			left, damage, err := wal.RingRecords(fsys, ringFile, testSlot)
			require.NoError(t, err)
			if len(damage) > 0 {
				require.Equal(t, b, damage)
				require.Empty(t, left)
			}
			for _, r := range left {
				require.True(t, ringHas(b, r), "a record that is not in the file")
			}
			if size := le.Uint64(append(bytes.Clone(b), make([]byte, 24)...)[16:]); len(left) > 0 && size > 1<<20 {
				return // of a file that large nobody learns more
			}
			r, again, _, err := wal.OpenRing(fsys, ringFile, wal.RingLeast, testSlot, wal.PerCall)
			require.NoError(t, err)
			same(t, left, again)
			require.NoError(t, r.Resume())
			same(t, left, leftOver(t, fsys))
			r.Roomy()
			if _, err := put(r, rec(1<<40, 100)); err == nil {
				_, err = r.Each(r.Tail()-136, r.Extent(), func(rec wal.Record) bool { return true })
				require.NoError(t, err)
			}
		})
		require.Less(t, n, uint64(64*len(b)+2*spare))
	})
}

func leftOver(t *testing.T, fsys wal.FS) []wal.Record {
	list, _, err := wal.RingRecords(fsys, ringFile, testSlot)
	require.NoError(t, err)
	return list
}

// ringHas tells whether a record is in the bytes of a ring, in its place.
func ringHas(b []byte, r wal.Record) bool {
	h := b
	if le.Uint32(h[40:]) != wal.Seeded(0, h[:40]) {
		h = b[wal.RingSpare:]
	}
	salt, size := le.Uint32(h[12:]), le.Uint64(h[16:])
	for off := wal.RingPage; off+wal.RingRecord+len(r.Body) <= len(b); off += 8 {
		h := b[off : off+wal.RingRecord]
		first := le.Uint32(h)
		if int(first&0xffffff) != len(r.Body) || uint8(first>>24) != r.Flags || le.Uint64(h[16:]) != r.Seq || int64(le.Uint64(h[24:])) != r.At {
			continue
		}
		place := le.Uint64(h[8:])%size == uint64(off-wal.RingPage)
		if place && bytes.Equal(b[off+wal.RingRecord:][:len(r.Body)], r.Body) && le.Uint32(h[4:]) == wal.RingSum(wal.Seeded(salt, r.Body), h[8:], first) {
			return true
		}
	}
	return false
}

// FuzzCursor reads arbitrary bytes as a cursor, which can be written afterwards.
func FuzzCursor(f *testing.F) {
	fsys := faultfs.New(1)
	c, _, _ := openCursor(f, fsys)
	require.NoError(f, c.Write(wal.Place{Done: 1, Ahead: []wal.Span{{3, 4}}}))
	f.Add(content(f, fsys, cursorFile), false)
	require.NoError(f, c.Write(wal.Place{Done: 2, Ahead: []wal.Span{{3, 4}, {7, 900}}}))
	good := content(f, fsys, cursorFile)
	f.Add(good, false)
	f.Add(good, true)
	f.Add(good[:700], true)
	f.Add([]byte{}, false)
	f.Fuzz(func(t *testing.T, b []byte, signed bool) {
		if signed {
			b = bytes.Clone(b)
			for slot := b; len(slot) >= wal.CursorSlot; slot = slot[wal.CursorSlot:] {
				le.PutUint32(slot, wal.CursorMagic)
				le.PutUint32(slot[wal.CursorSlot-4:], wal.Seeded(0, slot[:wal.CursorSlot-4]))
			}
		}
		fsys := faultfs.New(1)
		write(t, fsys, cursorFile, b)
		n := allocated(func() {
			c, p, found, damaged, err := wal.OpenCursor(fsys, cursorFile)
			if errors.Is(err, wal.ErrVersion) { // which any number but ours may be
				return
			}
			require.NoError(t, err)
			require.Equal(t, !found && len(b) > 0, damaged)
			require.LessOrEqual(t, len(p.Ahead), wal.MostAhead)
			last := p.Done
			for _, s := range p.Ahead {
				require.True(t, last <= s.From && s.From < s.To)
				last = s.To
			}
			require.Equal(t, last, p.End())
			require.NoError(t, c.Write(p))
			require.NoError(t, c.Sync())
			c, again, found, _, err := wal.OpenCursor(fsys, cursorFile)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, p, again)
			require.NoError(t, c.Close())
		})
		require.Less(t, n, uint64(spare))
	})
}

// FuzzIdentity reads arbitrary bytes as an identity. One that is good is kept by Save; a
// slot with a newer one is not opened.
func FuzzIdentity(f *testing.F) {
	fsys := faultfs.New(1)
	s := openSlot(f, fsys)
	s.ID = wal.Identity{Log: wal.ID{1}, Slot: wal.ID{2}, Spool: "names a\nb", Boot: "boot", Clean: true, Ring: "/ring"}
	require.NoError(f, s.Save())
	name := filepath.Join(slotPath, wal.IDName)
	f.Add(content(f, fsys, name))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"Version":1,"spool":"\ud800"}`))
	f.Add([]byte("\x00"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		fsys := faultfs.New(1)
		require.NoError(t, fsys.MkdirAll(slotPath))
		write(t, fsys, name, b)
		n := allocated(func() {
			s, err := wal.OpenSlot(fsys, slotPath)
			if err != nil {
				require.ErrorIs(t, err, wal.ErrVersion)
				require.Equal(t, b, content(t, fsys, name))
				return
			}
			require.False(t, s.Fresh)
			if s.Damaged {
				require.Zero(t, s.ID)
			}
			s.Idle()
			want := s.ID
			want.Version = wal.Version
			require.NoError(t, s.Save())
			got, err := wal.ReadIdentity(fsys, slotPath)
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
		require.Less(t, n, uint64(64*len(b)+spare))
	})
}
