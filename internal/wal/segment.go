package wal

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Segment is one file of the log: a header and frames. It is written by one process,
// once, from front to back. Its methods may be called from any goroutine if only one
// at a time calls Append, Seal and Close.
type Segment struct {
	First uint64 // its first sequence number, which names the file

	file File
	name string
	salt uint32
	lost bool  // the header is damaged: the salt is that of the frames
	any  bool  // while it is looked for, frames with any salt pass
	end  int64 // behind the last frame

	mu     sync.Mutex
	places []place // of some frames, in order
}

// place tells where the frame with a sequence number begins.
type place struct {
	first uint64
	off   int64
}

// A segment file is a header and frames; a frame is a header and records:
//
//	magic u64 | first seq u64 | salt u32 | version u32 | 0 u32 | crc u32
//	magic u32 | salt u32 | first seq u64 | accepted at u64 ms | len u16 | count u16 | crc u32 | records | pad to 8
//	len u24, flags u8 | accepted at, behind that of the frame i32 ms | body
//
// len counts the records. The checksum of a frame is over its header and records,
// beginning with the salt of the file, which each of them repeats: so the frames can be
// read although the header of the file is damaged. A frame without records seals the file: its
// first seq is the end of the segment, its payload how many bytes the log counts for it.
const (
	segmentMagic  = 0x676f6c5f_6c617761 // "awal_log"
	SegmentHeader = 32
	frameMagic    = 0x6d617266 // "fram"
	frameHeader   = 32
	recordHeader  = 8
	sealSize      = frameHeader + 8

	// FrameSize is the most bytes of a frame.
	FrameSize = 64 << 10
)

// Errors of segments.
var (
	// ErrDamaged is returned for what is not as it was written.
	ErrDamaged = errors.New("damaged")

	// ErrVersion is returned for files of a newer version.
	ErrVersion = errors.New("written by a newer version")
)

const segmentSuffix = ".seg"

// SegmentName is the name of the file that begins with a sequence number.
func SegmentName(first uint64) string { return fmt.Sprintf("%016x%s", first, segmentSuffix) }

// segmentFirst is the sequence number in the name of a file.
func segmentFirst(name string) (first uint64, ok bool) {
	digits, found := strings.CutSuffix(name, segmentSuffix)
	first, err := strconv.ParseUint(digits, 16, 64)
	return first, found && err == nil && SegmentName(first) == name
}

// CreateSegment begins a segment. What lies there under its name has nothing in it
// that was ever acknowledged, and is replaced.
func CreateSegment(fsys FS, dir string, first uint64) (*Segment, error) {
	name := filepath.Join(dir, SegmentName(first))
	if err := fsys.Remove(name); err != nil && !isMissing(err) {
		return nil, err
	}
	f, err := fsys.Open(name, true, true)
	if err != nil {
		return nil, err
	}
	b := make([]byte, SegmentHeader)
	_, _ = rand.Read(b[16:20])
	le.PutUint64(b, segmentMagic)
	le.PutUint64(b[8:], first)
	le.PutUint32(b[20:], Version)
	le.PutUint32(b[28:], seeded(0, b[:28]))
	if _, err := f.WriteAt(b, 0); err != nil {
		return nil, errors.Join(err, f.Close(), fsys.Remove(name))
	}
	return &Segment{First: first, file: f, name: name, salt: le.Uint32(b[16:]), end: SegmentHeader}, nil
}

// OpenSegment opens a segment that was written before, for reading. Its header may be
// damaged; see Damaged.
func OpenSegment(fsys FS, dir string, first uint64) (*Segment, error) {
	s := &Segment{First: first, name: filepath.Join(dir, SegmentName(first))}
	var err error
	if s.file, err = fsys.Open(s.name, false, false); err != nil {
		return nil, err
	}
	if err = s.readHeader(); err != nil {
		return nil, errors.Join(err, s.file.Close())
	}
	return s, nil
}

func (s *Segment) readHeader() error {
	b, err := readFull(s.file, 0, SegmentHeader)
	if err != nil {
		return err
	}
	if s.end, err = s.file.Size(); err != nil {
		return err
	}
	switch {
	case len(b) < SegmentHeader || le.Uint64(b) != segmentMagic || le.Uint32(b[28:]) != seeded(0, b[:28]) || le.Uint64(b[8:]) != s.First:
		s.lost = true
		return s.vote()
	case le.Uint32(b[20:]) > Version:
		return &fs.PathError{Op: "open", Path: s.name, Err: ErrVersion}
	}
	s.salt = le.Uint32(b[16:])
	return nil
}

// vote takes the salt of a segment with a damaged header from its frames: that of most of
// their bytes, since what lies in a body may look like a frame with a salt of its own.
func (s *Segment) vote() error {
	votes := make(map[uint32]int)
	look := Segment{First: s.First, file: s.file, end: s.end, any: true}
	r := Reader{Force: true}
	r.Seek(&look, 0)
	for {
		f, _, ok, err := r.Frame(s.end)
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		votes[f.salt] += len(f.payload)
	}
	most := -1
	for salt, n := range votes {
		if n > most {
			s.salt, most = salt, n
		}
	}
	if b, err := readFull(s.file, max(s.end-sealSize, 0), sealSize); most < 0 && err == nil && len(b) == sealSize {
		s.salt = le.Uint32(b[4:]) // nothing but a seal
	}
	return nil
}

// Damaged tells whether the header of the file cannot be read.
func (s *Segment) Damaged() bool { return s.lost }

// Name is the path of the file.
func (s *Segment) Name() string { return s.name }

// Gone tells whether the file has lost its name.
func (s *Segment) Gone(fsys FS) bool {
	f, err := fsys.Open(s.name, false, false)
	if err == nil {
		_ = f.Close()
	}
	return isMissing(err)
}

// End is where the next frame goes.
func (s *Segment) End() int64 { return s.end }

// Frames begins a run of frames for this segment.
func (s *Segment) Frames() *FrameWriter { return &FrameWriter{salt: s.salt} }

// Append writes frames behind the others. After an error the segment must not be
// written to any more.
func (s *Segment) Append(frames []byte) error {
	if _, err := s.file.WriteAt(frames, s.end); err != nil {
		return err
	}
	s.end += int64(len(frames))
	return nil
}

// Seal writes the last frame. end is the sequence number behind the last record, size
// what the log counts for them.
func (s *Segment) Seal(end uint64, size int64) error {
	b := make([]byte, sealSize)
	le.PutUint64(b[frameHeader:], uint64(size))
	putFrameHeader(b, s.salt, 8, end, 0, 0)
	return s.Append(b)
}

// Sync makes what was written survive a loss of power, but for the name of the file.
func (s *Segment) Sync() error { return s.file.Sync() }

// Close closes the file.
func (s *Segment) Close() error { return s.file.Close() }

// Sealed returns what Seal has written.
func (s *Segment) Sealed() (end uint64, size int64, ok bool) {
	if s.end < SegmentHeader+sealSize {
		return 0, 0, false
	}
	b, err := readFull(s.file, s.end-sealSize, sealSize)
	if err != nil {
		return 0, 0, false
	}
	f, n, err := s.Parse(b)
	if err != nil || n == 0 || !f.seal() {
		return 0, 0, false
	}
	size = int64(le.Uint64(f.payload))
	return f.First, size, size >= 0
}

// FrameWriter puts records into frames. The zero value is not usable; see Frames.
type FrameWriter struct {
	salt  uint32
	bytes []byte
	start int // of the open frame
	first Record
	count int
}

// Add adds a record, which must follow the one before.
func (w *FrameWriter) Add(r Record) {
	after := r.At - w.first.At
	fits := len(w.bytes)-w.start+recordHeader+len(r.Body)+7 <= FrameSize && int64(int32(after)) == after
	if w.count == 0 || !fits || r.Seq != w.first.Seq+uint64(w.count) {
		w.endFrame()
		w.start, w.first, after = len(w.bytes), r, 0
		w.bytes = append(w.bytes, make([]byte, frameHeader)...)
	}
	w.count++
	w.bytes = le.AppendUint32(w.bytes, uint32(len(r.Body))|uint32(r.Flags)<<24)
	w.bytes = le.AppendUint32(w.bytes, uint32(int32(after)))
	w.bytes = append(w.bytes, r.Body...)
}

func (w *FrameWriter) endFrame() {
	if w.count == 0 {
		return
	}
	n := len(w.bytes) - w.start - frameHeader
	w.bytes = append(w.bytes, make([]byte, align(n)-n)...)
	putFrameHeader(w.bytes[w.start:], w.salt, n, w.first.Seq, w.first.At, w.count)
	w.count = 0
}

// Len is how many bytes the frames have so far.
func (w *FrameWriter) Len() int { return len(w.bytes) }

// Finish returns the frames, which belong to the caller.
func (w *FrameWriter) Finish() []byte {
	w.endFrame()
	b := w.bytes
	w.bytes, w.start = nil, 0
	return b
}

// Grow makes room for so many bytes of records.
func (w *FrameWriter) Grow(n int) { w.bytes = slices.Grow(w.bytes, n) }

func putFrameHeader(b []byte, salt uint32, n int, first uint64, at int64, count int) {
	le.PutUint32(b, frameMagic)
	le.PutUint32(b[4:], salt)
	le.PutUint64(b[8:], first)
	le.PutUint64(b[16:], uint64(at))
	le.PutUint16(b[24:], uint16(n))
	le.PutUint16(b[26:], uint16(count))
	le.PutUint32(b[28:], frameSum(salt, b[:frameHeader+n]))
}

func frameSum(salt uint32, b []byte) uint32 { return seeded(seeded(salt, b[:28]), b[frameHeader:]) }

// Frame is a frame that was read. Next takes its records out.
type Frame struct {
	First uint64
	Count int

	at      int64
	salt    uint32
	payload []byte
	seq     uint64
}

// seal tells whether this is the last frame of a sealed segment.
func (f *Frame) seal() bool { return f.Count == 0 }

// End is the sequence number behind the last record.
func (f *Frame) End() uint64 { return f.First + uint64(f.Count) }

// Parse reads the frame at the beginning of b and returns how many bytes it takes: 0,
// without an error, if b ends within what may be a frame. It fails with ErrDamaged.
func (s *Segment) Parse(b []byte) (f Frame, n int, err error) {
	if len(b) < frameHeader {
		return f, 0, nil
	}
	n, ok := frameLength(b)
	if !ok {
		return f, 0, ErrDamaged
	}
	if n > len(b) {
		return f, 0, nil
	}
	salt := le.Uint32(b[4:])
	f = frameOf(b)
	if salt != s.salt && !s.any || le.Uint32(b[28:]) != frameSum(salt, b[:frameHeader+len(f.payload)]) || f.First < s.First || !f.whole() {
		return Frame{}, 0, ErrDamaged
	}
	return f, n, nil
}

// frameLength is how long the frame is that begins with b, by its header.
func frameLength(b []byte) (n int, ok bool) {
	return frameHeader + align(int(le.Uint16(b[24:]))), le.Uint32(b) == frameMagic
}

// frameOf is the frame at the beginning of b, which is long enough.
func frameOf(b []byte) Frame {
	first, end := le.Uint64(b[8:]), frameHeader+int(le.Uint16(b[24:]))
	return Frame{First: first, Count: int(le.Uint16(b[26:])), at: int64(le.Uint64(b[16:])), salt: le.Uint32(b[4:]), payload: b[frameHeader:end:end], seq: first}
}

// Trusted is the frame at the beginning of b, which FrameWriter has made in this
// process.
func Trusted(b []byte) Frame { return frameOf(b) }

// whole tells whether the payload is exactly the records that the header counts: a
// frame that anybody else has made with the right checksum is not to end in a panic.
func (f *Frame) whole() bool {
	if f.seal() {
		return len(f.payload) == 8
	}
	if f.First > math.MaxUint64-uint64(f.Count) {
		return false
	}
	rest := f.payload
	for range f.Count {
		if len(rest) < recordHeader {
			return false
		}
		n := int(le.Uint32(rest)&0xffffff) + recordHeader
		if n > len(rest) {
			return false
		}
		rest = rest[n:]
	}
	return len(rest) == 0
}

// Next returns the next record, false behind the last. Its body aliases the frame.
func (f *Frame) Next() (r Record, ok bool) {
	if f.seq == f.End() {
		return r, false
	}
	first := le.Uint32(f.payload)
	n := recordHeader + int(first&0xffffff)
	r = Record{Seq: f.seq, At: f.at + int64(int32(le.Uint32(f.payload[4:]))), Flags: uint8(first >> 24), Body: f.payload[recordHeader:n:n]}
	f.payload = f.payload[n:]
	f.seq++
	return r, true
}

func isMissing(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// Raw returns the bytes of a damaged part, no more than are kept of one.
func (s *Segment) Raw(d Damage) []byte {
	b, _ := readFull(s.file, d.Off, int(min(d.Len, mostBadFile)))
	return b
}
