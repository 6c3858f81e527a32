package wal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// frames puts records into frames.
func frames(seg *wal.Segment, list ...wal.Record) []byte {
	w := seg.Frames()
	for _, r := range list {
		w.Add(r)
	}
	return w.Finish()
}

// segment makes a segment that begins at 1, with a run of frames for each list.
func segment(t testing.TB, fsys wal.FS, lists ...[]wal.Record) *wal.Segment {
	seg, err := wal.CreateSegment(fsys, "/", 1)
	require.NoError(t, err)
	for _, list := range lists {
		require.NoError(t, seg.Append(frames(seg, list...)))
	}
	return seg
}

// openAt opens the segment of a file with these bytes.
func openAt(t testing.TB, b []byte) *wal.Segment {
	fsys := faultfs.New(1)
	write(t, fsys, "/"+wal.SegmentName(1), b)
	seg, err := wal.OpenSegment(fsys, "/", 1)
	require.NoError(t, err)
	return seg
}

// outcome is what was read of a segment.
type outcome struct {
	records []wal.Record
	damage  []wal.Damage
	frames  int
}

// readAll reads what a reader still finds before a limit.
func readAll(t testing.TB, r *wal.Reader, limit int64) (o outcome) {
	for {
		f, d, ok, err := r.Frame(limit)
		require.NoError(t, err)
		if d.Len != 0 {
			o.damage = append(o.damage, d)
		}
		if !ok {
			return o
		}
		o.frames++
		count, first, end := 0, f.First, f.End()
		for {
			rec, ok := f.Next()
			if !ok {
				break
			}
			require.Equal(t, first+uint64(count), rec.Seq)
			count++
			rec.Body = bytes.Clone(rec.Body)
			o.records = append(o.records, rec)
		}
		require.Equal(t, end, first+uint64(count))
		require.Equal(t, f.Count, count)
	}
}

// readSegment reads a segment from its beginning.
func readSegment(t testing.TB, seg *wal.Segment) outcome {
	var r wal.Reader
	r.Seek(seg, seg.First)
	return readAll(t, &r, seg.End())
}

func run(from uint64, n, size int) (list []wal.Record) {
	for i := range n {
		list = append(list, rec(from+uint64(i), size))
	}
	return list
}

func segmentBytes(t testing.TB, lists ...[]wal.Record) (b []byte, salt uint32) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys, lists...)
	return content(t, fsys, seg.Name()), seg.Salt()
}

func TestSegmentRoundTrip(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fsys := faultfs.New(seed)
		seg := segment(t, fsys)
		w := seg.Frames()
		var want []wal.Record
		seq, at := uint64(1), int64(0)
		for range 400 {
			switch rng.IntN(12) {
			case 0:
				seq += rng.Uint64N(1000)
			case 1:
				at = rng.Int64() * int64(rng.IntN(3)-1)
			case 2:
				at += math.MaxInt32 + int64(rng.IntN(3)-1)
			case 3:
				at += math.MinInt32 + int64(rng.IntN(3)-1)
			case 4:
				at = []int64{math.MinInt64, math.MaxInt64, 0}[rng.IntN(3)]
			default:
				at += rng.Int64N(100) - 20
			}
			n := min(rng.IntN(1<<rng.IntN(17)), wal.MaxBody)
			if rng.IntN(30) == 0 {
				n = wal.MaxBody - rng.IntN(10)
			}
			r := wal.Record{Seq: seq, At: at, Flags: uint8(rng.Uint32()), Body: body(seq, n)}
			want = append(want, r)
			w.Add(r)
			seq++
			if rng.IntN(40) == 0 {
				w.Grow(rng.IntN(1000))
				size := w.Len()
				b := w.Finish()
				require.GreaterOrEqual(t, len(b), size)
				require.Zero(t, len(b)%8)
				require.NoError(t, seg.Append(b))
				require.Zero(t, w.Len())
			}
		}
		require.NoError(t, seg.Append(w.Finish()))
		require.Empty(t, w.Finish())
		got := readSegment(t, seg)
		require.Empty(t, got.damage)
		same(t, want, got.records)

		require.NoError(t, seg.Seal(seq, 12345))
		require.NoError(t, seg.Sync())
		require.NoError(t, seg.Close())
		seg, err := wal.OpenSegment(fsys, "/", 1)
		require.NoError(t, err)
		require.False(t, seg.Damaged())
		end, size, ok := seg.Sealed()
		require.True(t, ok)
		require.Equal(t, seq, end)
		require.Equal(t, int64(12345), size)
		got = readSegment(t, seg)
		require.Empty(t, got.damage)
		same(t, want, got.records)
		require.NoError(t, seg.Close())
	}
}

func TestFramesAreSmallEnough(t *testing.T) {
	seg := segment(t, faultfs.New(1))
	rng := rand.New(rand.NewPCG(1, 1))
	for _, sizes := range [][]int{{wal.MaxBody}, {0}, {1, wal.MaxBody, 2}, {30_000, 35_440, 35_448, 35_449}, {65_000, 500, 480, 481, 488}} {
		w := seg.Frames()
		for i := range 20_000 {
			w.Add(rec(uint64(1+i), sizes[rng.IntN(len(sizes))]))
			if w.Len() > 3<<20 {
				break
			}
		}
		b := w.Finish()
		for len(b) > 0 {
			f, n, err := seg.Parse(b)
			require.NoError(t, err)
			require.Positive(t, n)
			require.LessOrEqual(t, n, wal.FrameSize)
			require.Equal(t, f.First, wal.Trusted(b).First)
			require.Equal(t, f.Count, wal.Trusted(b).Count)
			b = b[n:]
		}
	}
}

// Frames end where records do not follow or lie too far apart in time.
func TestFramesBreak(t *testing.T) {
	seg := segment(t, faultfs.New(1))
	at := func(seq uint64, at int64) wal.Record { return wal.Record{Seq: seq, At: at} }
	for _, c := range []struct {
		name   string
		list   []wal.Record
		frames int
	}{
		{"one after the other", []wal.Record{at(1, 0), at(2, 5), at(3, -5)}, 1},
		{"a gap", []wal.Record{at(1, 0), at(3, 0)}, 2},
		{"the same number", []wal.Record{at(1, 0), at(1, 0)}, 2},
		{"as late as there is", []wal.Record{at(1, 0), at(2, math.MaxInt32)}, 1},
		{"too late", []wal.Record{at(1, 0), at(2, math.MaxInt32+1)}, 2},
		{"as early as there is", []wal.Record{at(1, 0), at(2, math.MinInt32)}, 1},
		{"too early", []wal.Record{at(1, 0), at(2, math.MinInt32-1)}, 2},
		{"around", []wal.Record{at(1, math.MinInt64), at(2, math.MaxInt64)}, 1},
	} {
		b := frames(seg, c.list...)
		n := 0
		var got []wal.Record
		for len(b) > 0 {
			f, size, err := seg.Parse(b)
			require.NoError(t, err, c.name)
			for r, ok := f.Next(); ok; r, ok = f.Next() {
				got = append(got, r)
			}
			n++
			b = b[size:]
		}
		require.Equal(t, c.frames, n, c.name)
		same(t, c.list, got)
	}
}

func TestSegmentNames(t *testing.T) {
	require.Equal(t, "000000000000002a.seg", wal.SegmentName(42))
	for name, want := range map[string]bool{
		"000000000000002a.seg": true, "ffffffffffffffff.seg": true, "0000000000000000.seg": true,
		"000000000000002A.seg": false, // nobody writes it, and no file would be opened for it
		"2a.seg":               false, "000000000000002a": false, "000000000000002a.seg.new": false,
		"00000000000000000.seg": false, "000000000000002g.seg": false, "+00000000000002a.seg": false, "0x0000000000002a.seg": false, ".seg": false, "": false,
	} {
		first, ok := wal.SegmentFirst(name)
		require.Equal(t, want, ok, name)
		if ok {
			require.Equal(t, name, wal.SegmentName(first))
		}
	}
}

func TestCreateSegmentReplaces(t *testing.T) {
	fsys := faultfs.New(1)
	old := segment(t, fsys, run(1, 50, 100))
	require.NoError(t, old.Close())
	seg := segment(t, fsys, run(1, 1, 3))
	require.Equal(t, int64(len(content(t, fsys, seg.Name()))), seg.End())
	require.NotEqual(t, old.Salt(), seg.Salt())
	got := readSegment(t, seg)
	require.Empty(t, got.damage)
	same(t, run(1, 1, 3), got.records)
}

func TestSegmentErrorsOfTheFileSystem(t *testing.T) {
	for _, c := range []struct {
		kind faultfs.Kind
		op   func(fsys *faultfs.FS) error
	}{
		{faultfs.Remove, create}, {faultfs.Create, create}, {faultfs.Write, create},
		{faultfs.Open, reopen}, {faultfs.Read, reopen},
	} {
		fsys := faultfs.New(1)
		require.NoError(t, segment(t, fsys, run(1, 3, 10)).Close())
		fsys.Inject(func(op faultfs.Op) error {
			if op.Kind == c.kind {
				return syscall.EIO
			}
			return nil
		})
		require.ErrorIs(t, c.op(fsys), syscall.EIO, c.kind)
		if c.kind == faultfs.Write {
			require.Empty(t, fsys.Files(), "nothing is left of it")
		}
	}
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	fsys.Inject(func(faultfs.Op) error { return syscall.ENOSPC })
	end := seg.End()
	require.ErrorIs(t, seg.Append(make([]byte, 64)), syscall.ENOSPC)
	require.ErrorIs(t, seg.Seal(1, 1), syscall.ENOSPC)
	require.ErrorIs(t, seg.Sync(), syscall.ENOSPC)
	require.Equal(t, end, seg.End())
	_, _, ok := seg.Sealed()
	require.False(t, ok)
}

func create(fsys *faultfs.FS) error { _, err := wal.CreateSegment(fsys, "/", 1); return err }
func reopen(fsys *faultfs.FS) error { _, err := wal.OpenSegment(fsys, "/", 1); return err }

func TestSegmentSealedCannotBeRead(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys, run(1, 3, 10))
	require.NoError(t, seg.Seal(4, 99))
	_, _, ok := seg.Sealed()
	require.True(t, ok)
	fsys.Inject(func(faultfs.Op) error { return syscall.EIO })
	_, _, ok = seg.Sealed()
	require.False(t, ok)
}

// A seal is not one in the middle, not a frame, and not one with an end before its file.
func TestSegmentSealed(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	_, _, ok := seg.Sealed()
	require.False(t, ok, "empty")
	require.NoError(t, seg.Append(frames(seg, wal.Record{Seq: 1})))
	_, _, ok = seg.Sealed()
	require.False(t, ok, "a frame of the same size")
	for _, c := range []struct {
		end  uint64
		size int64
		ok   bool
	}{{0, 5, false}, {1, 5, true}, {1, 0, true}, {math.MaxUint64, math.MaxInt64, true}, {7, -1, false}} {
		require.NoError(t, seg.Seal(c.end, c.size))
		end, size, ok := seg.Sealed()
		require.Equal(t, c.ok, ok, "%v", c)
		if ok {
			require.Equal(t, c.end, end)
			require.Equal(t, c.size, size)
		}
	}
	require.NoError(t, seg.Append(frames(seg, run(1, 1, 100)...)))
	_, _, ok = seg.Sealed()
	require.False(t, ok, "something behind it")
}

// Nothing is read behind the seal.
func TestReaderStopsAtTheSeal(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys, run(1, 3, 10))
	require.NoError(t, seg.Seal(4, 99))
	require.NoError(t, seg.Append(frames(seg, run(4, 3, 10)...)))
	got := readSegment(t, seg)
	require.Empty(t, got.damage)
	same(t, run(1, 3, 10), got.records)
}

func TestSegmentOfANewerVersion(t *testing.T) {
	b, _ := segmentBytes(t, run(1, 3, 10))
	le.PutUint32(b[20:], wal.Version+1)
	le.PutUint32(b[28:], wal.Seeded(0, b[:28]))
	fsys := faultfs.New(1)
	name := "/" + wal.SegmentName(1)
	write(t, fsys, name, b)
	_, err := wal.OpenSegment(fsys, "/", 1)
	require.ErrorIs(t, err, wal.ErrVersion)
	var pathErr *fs.PathError
	require.True(t, errors.As(err, &pathErr))
	require.Equal(t, name, pathErr.Path)
	require.Equal(t, b, content(t, fsys, name))
}

// layout is a small file: its bytes, and where its frames are, with their records.
type layout struct {
	b     []byte
	spans []wal.Damage
	lists [][]wal.Record
}

func small(t testing.TB) (l layout) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	for i := range 5 {
		list := run(uint64(1+10*i), 1+i%3, 11*i)
		off := seg.End()
		require.NoError(t, seg.Append(frames(seg, list...)))
		l.spans = append(l.spans, wal.Damage{Off: off, Len: seg.End() - off})
		l.lists = append(l.lists, list)
	}
	l.b = content(t, fsys, seg.Name())
	return l
}

func (l layout) without(lost ...int) (list []wal.Record) {
	for i, r := range l.lists {
		if !slices.Contains(lost, i) {
			list = append(list, r...)
		}
	}
	return list
}

// A flipped byte costs the frame that it lies in, and no other.
func TestSegmentFlips(t *testing.T) {
	l := small(t)
	flips := []byte{0x01, 0x80, 0xff, 0x10}
	for i := range l.b {
		for _, flip := range flips {
			b := bytes.Clone(l.b)
			b[i] ^= flip
			seg := openAt(t, b)
			hit := slices.IndexFunc(l.spans, func(d wal.Damage) bool { return d.Off <= int64(i) && int64(i) < d.Off+d.Len })
			if hit < 0 && i >= 20 && i < 24 { // a version: it is not believed
				require.True(t, seg.Damaged())
			}
			require.Equal(t, hit < 0, seg.Damaged(), "byte %d", i)
			got := readSegment(t, seg)
			if hit < 0 {
				require.Empty(t, got.damage, "byte %d", i)
				same(t, l.without(), got.records)
				continue
			}
			if len(got.damage) == 0 { // in the padding? that is under the checksum too, but for what is behind len
				same(t, l.without(), got.records)
				require.True(t, l.isPadding(hit, i), "byte %d", i)
				continue
			}
			require.Equal(t, []wal.Damage{l.spans[hit]}, got.damage, "byte %d", i)
			same(t, l.without(hit), got.records)
			require.Equal(t, b[l.spans[hit].Off:][:l.spans[hit].Len], seg.Raw(got.damage[0]))
		}
	}
}

// isPadding tells whether a byte lies behind the records of a frame.
func (l layout) isPadding(frame, i int) bool {
	off := int(l.spans[frame].Off)
	return i >= off+wal.FrameHeader+int(le.Uint16(l.b[off+24:]))
}

// Damage to the header and to a frame behind it cost no more than those.
func TestSegmentFlipsWithADamagedHeader(t *testing.T) {
	l := small(t)
	for i := wal.SegmentHeader; i < len(l.b); i++ {
		b := bytes.Clone(l.b)
		b[3] ^= 1
		b[i] ^= 0x40
		hit := slices.IndexFunc(l.spans, func(d wal.Damage) bool { return d.Off <= int64(i) && int64(i) < d.Off+d.Len })
		got := readSegment(t, openAt(t, b))
		if !l.isPadding(hit, i) {
			same(t, l.without(hit), got.records)
		}
	}
}

// A file that ends anywhere gives the frames that are whole.
func TestSegmentTornTail(t *testing.T) {
	l := small(t)
	for cut := range l.b {
		for _, behind := range []int{0, 1, 7, 8, 600} { // and zeros behind it
			b := append(bytes.Clone(l.b[:cut]), make([]byte, behind)...)
			seg := openAt(t, b)
			require.Equal(t, int64(len(b)), seg.End())
			got := readSegment(t, seg)
			var want []wal.Record
			whole := int64(wal.SegmentHeader)
			for i, d := range l.spans {
				if bytes.Equal(l.b[:d.Off+d.Len], append(bytes.Clone(b), make([]byte, len(l.b))...)[:d.Off+d.Len]) && d.Off+d.Len <= int64(len(b)) {
					want, whole = append(want, l.lists[i]...), d.Off+d.Len
				}
			}
			if cut < wal.SegmentHeader {
				require.Empty(t, got.records)
				continue
			}
			same(t, want, got.records)
			if rest := int64(len(b)) - whole; rest > 0 {
				require.Equal(t, []wal.Damage{{Off: whole, Len: rest}}, got.damage, "cut at %d, %d zeros", cut, behind)
			} else {
				require.Empty(t, got.damage)
			}
			_, _, sealed := seg.Sealed()
			require.False(t, sealed)
		}
	}
}

// Between frames anything may lie: the next one is found.
func TestSegmentGarbageBetween(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	junk := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	magic := le.AppendUint32(nil, wal.FrameMagic)
	full := make([]byte, 32)
	copy(full, magic)
	le.PutUint16(full[24:], math.MaxUint16)
	l := small(t)
	cut := l.spans[2].Off
	for name, garbage := range map[string][]byte{
		"eight bytes":           junk(8),
		"a little":              junk(1000),
		"more than one read":    junk(wal.ReadSize + 5000&^7),
		"more than two":         junk(2*wal.ReadSize + 800),
		"zeros":                 make([]byte, 300_000),
		"magic words":           bytes.Repeat(magic, 50_000),
		"beginnings of frames":  bytes.Repeat(full, 10_000),
		"a magic word not at 8": append(append(junk(4), magic...), junk(16)...),
		"up to a read":          junk(wal.ReadSize - int(cut-wal.SegmentHeader)),
		"up to a read, nearly":  junk(wal.ReadSize - int(cut-wal.SegmentHeader) - 8),
		"a frame of another":    otherFrame(t),
		"an earlier frame":      nil,
	} {
		if name == "an earlier frame" { // a lost write, and what was there before
			seg := openAt(t, l.b)
			earlier := bytes.Clone(frames(seg, wal.Record{Seq: 1}))
			le.PutUint64(earlier[8:], 0)
			garbage = earlier
		}
		b := slices.Concat(l.b[:cut], garbage, l.b[cut:])
		got := readSegment(t, openAt(t, b))
		same(t, l.without(), got.records)
		require.Equal(t, []wal.Damage{{Off: cut, Len: int64(len(garbage))}}, got.damage, name)
	}
}

// otherFrame is a frame of another segment.
func otherFrame(t *testing.T) []byte {
	return frames(segment(t, faultfs.New(1)), rec(5, 100))
}

// A frame before the first sequence number of the file is none of it.
func TestSegmentFrameBeforeItsFirst(t *testing.T) {
	fsys := faultfs.New(1)
	seg, err := wal.CreateSegment(fsys, "/", 100)
	require.NoError(t, err)
	require.NoError(t, seg.Append(frames(seg, rec(99, 10))))
	require.NoError(t, seg.Append(frames(seg, rec(100, 10))))
	require.Equal(t, []uint64{100}, seqs(readSegment(t, seg).records))
}

// signed gives a frame that somebody made up the right checksum.
func signed(b []byte, salt uint32) []byte {
	le.PutUint32(b, wal.FrameMagic)
	le.PutUint32(b[4:], salt)
	end := wal.FrameHeader + int(le.Uint16(b[24:]))
	le.PutUint32(b[28:], wal.Seeded(wal.Seeded(salt, b[:28]), b[wal.FrameHeader:end]))
	return b
}

// A frame with the right checksum that nobody here has written does not end in a panic.
func TestParseOfMadeUpFrames(t *testing.T) {
	seg := segment(t, faultfs.New(1))
	made := func(first uint64, n, count int, records ...byte) []byte {
		b := make([]byte, wal.FrameHeader+(n+7)&^7)
		le.PutUint64(b[8:], first)
		le.PutUint16(b[24:], uint16(n))
		le.PutUint16(b[26:], uint16(count))
		copy(b[wal.FrameHeader:], records)
		return signed(b, seg.Salt())
	}
	for name, b := range map[string][]byte{
		"a seal without a payload":     made(1, 0, 0),
		"a seal with a long one":       made(1, 16, 0),
		"no room for the record":       made(1, 4, 1),
		"a record too long":            made(1, 8, 1, 1),
		"more records than counted":    made(1, 16, 1),
		"fewer records than counted":   made(1, 8, 2),
		"numbers beyond the last":      made(math.MaxUint64, 8, 1),
		"numbers before the first":     made(0, 8, 1),
		"a record of sixteen megabyte": made(1, 8, 1, 0xff, 0xff, 0xff),
	} {
		_, n, err := seg.Parse(b)
		require.ErrorIs(t, err, wal.ErrDamaged, name)
		require.Zero(t, n, name)
	}
	_, n, err := seg.Parse(made(1, 8, 1))
	require.NoError(t, err)
	require.Equal(t, 40, n)
	_, n, err = seg.Parse(made(1, 8, 0))
	require.NoError(t, err)
	require.Equal(t, 40, n)
	for k := range 40 {
		_, n, err := seg.Parse(made(1, 8, 1)[:k])
		require.NoError(t, err)
		require.Zero(t, n, "it may go on")
	}
}

// An event that holds a whole valid frame of its own file.
func TestSegmentFrameInsideABody(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	inner := frames(seg, wal.Record{Seq: 777, Body: []byte("inner")})
	for shift := range 8 {
		outer := wal.Record{Seq: uint64(1 + shift), Body: append(make([]byte, shift), inner...)}
		require.NoError(t, seg.Append(frames(seg, outer)))
	}
	got := readSegment(t, seg)
	require.Empty(t, got.damage)
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8}, seqs(got.records), "the outer are whole")

	good := content(t, fsys, seg.Name())
	size := (len(good) - wal.SegmentHeader) / 8
	for i, salt := range []uint32{seg.Salt(), seg.Salt() + 1} {
		b := bytes.Clone(good)
		b[wal.SegmentHeader+8]++ // the first outer frame is damaged, whose inner one is at a multiple of eight
		copy(b[wal.SegmentHeader+wal.FrameHeader+wal.RecordHeader:], signed(bytes.Clone(inner), salt))
		got := readSegment(t, openAt(t, b))
		want := []uint64{2, 3, 4, 5, 6, 7, 8}
		if i == 0 {
			want = append([]uint64{777}, want...) // it takes the salt of the file
		}
		require.Equal(t, want, seqs(got.records))
		require.LessOrEqual(t, got.damage[0].Len, int64(size))
	}
}

// Where the header is damaged and the first frame as well, a frame inside of a body that
// brings a salt of its own must not stand for the file: those who make events do not
// know the salt, but need not.
func TestSegmentSaltIsNotLearntFromABody(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	forged := signed(bytes.Clone(frames(seg, wal.Record{Seq: 777, Body: []byte("forged")})), 0x41414141)
	require.NoError(t, seg.Append(frames(seg, wal.Record{Seq: 1, Body: forged})))
	for seq := uint64(2); seq < 10; seq++ {
		require.NoError(t, seg.Append(frames(seg, rec(seq, 50))))
	}
	b := content(t, fsys, seg.Name())
	clear(b[:wal.SegmentHeader+wal.FrameHeader]) // half a sector
	got := readSegment(t, openAt(t, b))
	require.Equal(t, []uint64{2, 3, 4, 5, 6, 7, 8, 9}, seqs(got.records))
}

func TestReaderLimit(t *testing.T) {
	l := small(t)
	seg := openAt(t, l.b)
	var r wal.Reader
	r.Seek(seg, 1)
	require.Zero(t, readAll(t, &r, 0))
	require.Zero(t, readAll(t, &r, wal.SegmentHeader))
	for i, d := range l.spans { // one after the other
		got := readAll(t, &r, d.Off+d.Len)
		require.Empty(t, got.damage)
		same(t, l.lists[i], got.records)
		require.Zero(t, readAll(t, &r, d.Off+d.Len))
	}
	for i, d := range l.spans { // from the beginning
		r.Seek(seg, 1)
		require.Equal(t, i+1, readAll(t, &r, d.Off+d.Len).frames)
	}
}

func TestReaderSeek(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	for i := range 400 {
		require.NoError(t, seg.Append(frames(seg, run(uint64(1+10*i), 10, 10+i*7%3000)...)))
	}
	check := func(seq uint64) (frames int) {
		var r wal.Reader
		r.Seek(seg, seq)
		for {
			f, d, ok, err := r.Frame(seg.End())
			require.NoError(t, err)
			require.True(t, ok, seq)
			require.Zero(t, d)
			require.LessOrEqual(t, f.First, seq)
			frames++
			if seq < f.End() {
				return frames
			}
		}
	}
	require.Greater(t, check(3990), 300, "nobody knows the way")
	readSegment(t, seg)
	for seq := uint64(1); seq <= 4000; seq += 7 {
		var r wal.Reader
		r.Seek(seg, seq)
		skipped := 0
		for {
			f, _, ok, err := r.Frame(seg.End())
			require.NoError(t, err)
			require.True(t, ok)
			require.LessOrEqual(t, f.First, seq)
			if seq < f.End() {
				break
			}
			for rec, ok := f.Next(); ok; rec, ok = f.Next() {
				skipped += wal.RecordHeader + len(rec.Body)
			}
		}
		require.LessOrEqual(t, skipped, wal.PlaceEvery+wal.FrameSize, seq)
	}
	var r wal.Reader
	r.Seek(seg, math.MaxUint64)
	got := readAll(t, &r, seg.End())
	require.Equal(t, uint64(4000), got.records[len(got.records)-1].Seq)
	r.Seek(seg, 0)
	require.Len(t, readAll(t, &r, seg.End()).records, 4000)
}

func TestReaderRecent(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	other := segment(t, faultfs.New(2), run(1, 3, 5))
	var recent wal.Recent
	var want []wal.Record
	var ends []int64
	rng := rand.New(rand.NewPCG(3, 1))
	seq := uint64(1)
	for range 250 {
		list := run(seq, 1+rng.IntN(30), rng.IntN(6000))
		seq += uint64(len(list))
		b := frames(seg, list...)
		off := seg.End()
		require.NoError(t, seg.Append(b))
		recent.Add(seg, off, b)
		want, ends = append(want, list...), append(ends, seg.End())
	}
	require.Greater(t, seg.End(), int64(2*wal.RecentSize))
	for _, m := range []*wal.Recent{nil, &recent, {}} {
		r := wal.Reader{Recent: m}
		r.Seek(seg, 1)
		got := readAll(t, &r, seg.End())
		require.Empty(t, got.damage)
		same(t, want, got.records)
		r.Seek(seg, 1)
		var step outcome
		for _, end := range ends {
			o := readAll(t, &r, end)
			step.records, step.frames = append(step.records, o.records...), step.frames+o.frames
		}
		same(t, want, step.records)
		require.Equal(t, got.frames, step.frames)
		r.Seek(other, 1)
		require.Equal(t, []uint64{1, 2, 3}, seqs(readAll(t, &r, other.End()).records), "of another segment")
	}
	fsys.Inject(func(op faultfs.Op) error { return syscall.EIO })
	tail := func() error {
		r := wal.Reader{Recent: &recent}
		r.Seek(seg, seq-1)
		_, _, _, err := r.Frame(seg.End())
		return err
	}
	require.NoError(t, tail(), "it is in memory")
	r := wal.Reader{Recent: &recent}
	r.Seek(seg, 1)
	_, _, _, err := r.Frame(seg.End())
	require.ErrorIs(t, err, syscall.EIO, "the oldest are not")
	recent.Clear()
	require.ErrorIs(t, tail(), syscall.EIO)

	b := frames(seg, rec(70, 5))
	recent.Add(seg, wal.SegmentHeader, b)
	r.Seek(seg, 0)
	require.Equal(t, []uint64{70}, seqs(readAll(t, &r, wal.SegmentHeader+int64(len(b))).records))
	r.Seek(other, 0)
	require.Equal(t, []uint64{1, 2, 3}, seqs(readAll(t, &r, other.End()).records), "of another segment")
	recent.Clear()
	recent.Add(seg, 0, make([]byte, wal.RecentSize+1)) // too large for itself
	recent.Add(seg, 0, make([]byte, 8))
	recent.Clear()
}

func TestReaderRecentKeepsSoManyRuns(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	var recent wal.Recent
	add := func(seq uint64) {
		b := frames(seg, rec(seq, 5))
		off := seg.End()
		require.NoError(t, seg.Append(b))
		recent.Add(seg, off, b)
	}
	first := func() error {
		r := wal.Reader{Recent: &recent}
		r.Seek(seg, 1)
		_, _, _, err := r.Frame(seg.End())
		return err
	}
	for seq := range uint64(wal.RecentRuns) {
		add(seq + 1)
	}
	fsys.Inject(func(op faultfs.Op) error {
		if op.Kind == faultfs.Read {
			return syscall.EIO
		}
		return nil
	})
	require.NoError(t, first(), "it is in memory")
	add(wal.RecentRuns + 1)
	require.ErrorIs(t, first(), syscall.EIO)
}

// badSectors makes reads of a range fail.
func badSectors(fsys *faultfs.FS, from, to int64) {
	fsys.Inject(func(op faultfs.Op) error {
		if op.Kind == faultfs.Read && op.Offset < to && op.Offset+op.Length > from {
			return syscall.EIO
		}
		return nil
	})
}

// Forced, a reader loses the frames in a sector that cannot be read, and no others.
func TestReaderForce(t *testing.T) {
	for sector := int64(0); sector < 14; sector++ {
		fsys := faultfs.New(1)
		seg := segment(t, fsys)
		type span struct{ from, to int64 }
		var spans []span
		for seq := uint64(1); seq <= 60; seq++ {
			off := seg.End()
			require.NoError(t, seg.Append(frames(seg, rec(seq, int(seq*37%150)))))
			spans = append(spans, span{off, seg.End()})
		}
		require.Greater(t, seg.End(), int64(14*512))
		from, to := 512*sector, 512*sector+512
		var want []uint64
		for i, s := range spans {
			if s.to <= from || s.from >= to {
				want = append(want, uint64(1+i))
			}
		}
		badSectors(fsys, from, to)
		var r wal.Reader
		r.Seek(seg, 1)
		for range 3 {
			_, _, ok, err := r.Frame(seg.End())
			require.ErrorIs(t, err, syscall.EIO)
			require.False(t, ok)
		}
		r.Force = true
		got := readAll(t, &r, seg.End())
		require.Equal(t, want, seqs(got.records), "sector %d", sector)
		require.Len(t, got.damage, 1)
	}
}

// After an error the reader goes on where it was, and nothing is forgotten.
func TestReaderTriesAgain(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys, run(1, 1, 10))
	garbage := int64(wal.ReadSize + 80)
	from := seg.End()
	require.NoError(t, seg.Append(make([]byte, garbage)))
	require.NoError(t, seg.Append(frames(seg, run(2, 1, 10)...)))
	bad := true
	fsys.Inject(func(op faultfs.Op) error {
		if bad && op.Kind == faultfs.Read && op.Offset > from {
			return syscall.EIO
		}
		return nil
	})
	var r wal.Reader
	r.Seek(seg, 1)
	f, d, ok, err := r.Frame(seg.End())
	require.NoError(t, err)
	require.True(t, ok)
	require.Zero(t, d)
	require.Equal(t, uint64(1), f.First)
	for range 3 {
		_, _, _, err = r.Frame(seg.End())
		require.ErrorIs(t, err, syscall.EIO)
	}
	bad = false
	f, d, ok, err = r.Frame(seg.End())
	require.NoError(t, err)
	require.True(t, ok)
	require.Equal(t, uint64(2), f.First)
	require.Equal(t, wal.Damage{Off: from, Len: garbage}, d)
}

// What is missing at the end of a file that was cut counts as damage.
func TestReaderOfAFileThatWasCut(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys, run(1, 1, 100), run(2, 1, 100), run(3, 1, 100))
	end := seg.End()
	require.NoError(t, fsys.Corrupt(seg.Name(), func(b []byte) []byte { return b[:wal.SegmentHeader+250] }))
	got := readSegment(t, seg)
	require.Equal(t, []uint64{1}, seqs(got.records))
	require.Equal(t, []wal.Damage{{Off: wal.SegmentHeader + 144, Len: end - wal.SegmentHeader - 144}}, got.damage)
	require.Len(t, seg.Raw(got.damage[0]), 106)
}

func TestRawIsBounded(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	require.NoError(t, seg.Append(make([]byte, 2*wal.MostBadFile)))
	require.Len(t, seg.Raw(wal.Damage{Off: 10, Len: 2 * wal.MostBadFile}), wal.MostBadFile)
}

// The methods of a segment may be called from any goroutine: several readers read one
// whose header is damaged.
func TestSegmentConcurrentReaders(t *testing.T) {
	l := small(t)
	b := bytes.Clone(l.b)
	b[0] ^= 1
	for range 200 {
		seg := openAt(t, b)
		var wg sync.WaitGroup
		var got [4]outcome
		begin := make(chan struct{})
		for i := range got {
			wg.Go(func() {
				<-begin
				got[i] = readSegment(t, seg)
			})
		}
		close(begin)
		wg.Wait()
		for _, o := range got {
			same(t, l.without(), o.records)
		}
	}
}

// Whatever the power leaves of a file, there is no wrong record in it, and what was
// synced is there.
func TestSegmentPowerLoss(t *testing.T) {
	for seed := range uint64(80) {
		fsys := faultfs.New(seed)
		require.NoError(t, fsys.MkdirAll("/seg"))
		require.NoError(t, fsys.SyncDir("/"))
		seg, err := wal.CreateSegment(fsys, "/seg", 1)
		require.NoError(t, err)
		require.NoError(t, fsys.SyncDir("/seg"))
		var want []wal.Record
		synced := 0
		rng := rand.New(rand.NewPCG(seed, 9))
		for range 20 {
			list := run(uint64(1+len(want)), 1+rng.IntN(9), rng.IntN(500))
			require.NoError(t, seg.Append(frames(seg, list...)))
			want = append(want, list...)
			if rng.IntN(6) == 0 {
				require.NoError(t, seg.Sync())
				synced = len(want)
			}
		}
		fsys = fsys.PowerLoss()
		seg, err = wal.OpenSegment(fsys, "/seg", 1)
		require.NoError(t, err)
		got := readSegment(t, seg).records
		for _, r := range got {
			require.LessOrEqual(t, r.Seq, uint64(len(want)))
			require.True(t, equal(want[r.Seq-1], r), "seed %d", seed)
		}
		require.GreaterOrEqual(t, len(got), synced)
		same(t, want[:synced], got[:synced])
	}
}

func TestSegmentPath(t *testing.T) {
	seg := segment(t, faultfs.New(1))
	require.Equal(t, filepath.Join("/", fmt.Sprintf("%016x.seg", 1)), seg.Name())
	require.Equal(t, int64(wal.SegmentHeader), seg.End())
}
