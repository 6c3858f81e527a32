package wal

import (
	"bytes"
	"slices"
	"sync"
)

// Reader reads the frames of a segment from front to back. It is for one goroutine.
type Reader struct {
	// Recent has what was written lately. Nil means that all is read from the file.
	Recent *Recent

	// Force takes what the disk refuses to read for zeros, instead of failing.
	Force bool

	seg   *Segment
	off   int64  // of the next frame
	rest  []byte // what was read from there on
	trust bool   // rest was written by this process
}

// Damage is a part of a segment that holds no frame.
type Damage struct{ Off, Len int64 }

const (
	readSize   = 2 * FrameSize
	placeEvery = FrameSize
)

// Seek goes to the frame that holds a sequence number of seg, or to one before it.
func (r *Reader) Seek(seg *Segment, seq uint64) {
	r.seg, r.off, r.rest = seg, seg.find(seq), nil
}

// Frame returns the next frame before limit, an offset where a frame ends. ok is false
// if there is none. Damage on the way to it is skipped and returned. After an error of
// the file system, Frame tries the same again.
func (r *Reader) Frame(limit int64) (f Frame, damage Damage, ok bool, err error) {
	for r.off < limit {
		if len(r.rest) == 0 {
			if err := r.read(limit); err != nil {
				if damage.Len > 0 {
					r.off = damage.Off // to be found again
				}
				return f, Damage{}, false, err
			}
		}
		n := 0
		if r.trust {
			f = Trusted(r.rest)
			n, _ = frameLength(r.rest)
		} else {
			whole := r.off+int64(len(r.rest)) >= limit || len(r.rest) >= readSize
			if f, n, err = r.seg.Parse(r.rest); n == 0 && err == nil && !whole {
				r.rest = nil
				continue
			}
		}
		if n == 0 {
			if damage.Len == 0 {
				damage.Off = r.off
			}
			r.skip(r.skipTo())
			damage.Len = r.off - damage.Off
			continue
		}
		if f.seal() {
			return f, damage, false, nil
		}
		r.seg.note(f.First, r.off)
		r.skip(n)
		return f, damage, true, nil
	}
	if damage.Len > 0 {
		damage.Len = min(damage.Len, limit-damage.Off)
	}
	return f, damage, false, nil
}

func (r *Reader) skip(n int) {
	n = min(n, len(r.rest))
	r.off += int64(n)
	r.rest = r.rest[n:]
}

// skipTo is how far the next place is that may be a frame. Frames begin at multiples
// of eight.
func (r *Reader) skipTo() int {
	magic := le.AppendUint32(nil, frameMagic)
	for from := 8; from < len(r.rest); {
		i := bytes.Index(r.rest[from:], magic)
		if i < 0 {
			break
		}
		if (from+i)%8 == 0 {
			return from + i
		}
		from += i + 1
	}
	return max(len(r.rest)&^7, 8)
}

func (r *Reader) read(limit int64) error {
	if r.Recent != nil {
		if r.rest = r.Recent.find(r.seg, r.off); len(r.rest) > 0 {
			r.rest = r.rest[:min(int64(len(r.rest)), limit-r.off)]
			r.trust = true
			return nil
		}
	}
	n := int(min(readSize, limit-r.off))
	b, err := readFull(r.seg.file, r.off, n)
	if err != nil && r.Force {
		b, err = r.pieces(n), nil
	}
	if err != nil {
		return err
	}
	if len(b) < n { // the file is shorter than it was
		b = append(b, make([]byte, n-len(b))...)
	}
	r.rest, r.trust = b, false
	return nil
}

// pieces reads what can be read, in pieces as small as disks have them, and where disks
// have them.
func (r *Reader) pieces(n int) []byte {
	const piece = 512
	b := make([]byte, n)
	for i := 0; i < n; {
		end := min(i+piece-int((r.off+int64(i))%piece), n)
		_, _ = r.seg.file.ReadAt(b[i:end], r.off+int64(i))
		i = end
	}
	return b
}

// note remembers where a frame begins, if the last that was noted is far enough.
func (s *Segment) note(first uint64, off int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.places); n == 0 || off >= s.places[n-1].off+placeEvery {
		s.places = append(s.places, place{first, off})
	}
}

// find is where to begin to read for a sequence number.
func (s *Segment) find(seq uint64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, _ := slices.BinarySearchFunc(s.places, seq, func(p place, seq uint64) int {
		if p.first <= seq {
			return -1
		}
		return 1
	})
	if i == 0 {
		return SegmentHeader
	}
	return s.places[i-1].off
}

// Recent holds the frames that were written last, so that those who read at the end of
// the log need not read them from the file. Its methods may be called from any
// goroutine.
type Recent struct {
	mu   sync.Mutex
	runs []run // oldest first
	size int
}

type run struct {
	seg   *Segment
	off   int64
	bytes []byte
}

const (
	recentSize = 4 << 20 // bytes
	recentRuns = 1 << 10 // which are looked through
)

// Add adds frames that were written at an offset.
func (r *Recent) Add(seg *Segment, off int64, frames []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, run{seg, off, frames})
	r.size += cap(frames)
	n := 0
	for r.size > recentSize || len(r.runs)-n > recentRuns {
		r.size -= cap(r.runs[n].bytes)
		n++
	}
	r.runs = slices.Delete(r.runs, 0, n)
}

// Clear lets go of everything.
func (r *Recent) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs, r.size = nil, 0
}

func (r *Recent) find(seg *Segment, off int64) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.runs) - 1; i >= 0; i-- {
		run := &r.runs[i]
		if run.seg == seg && run.off <= off && off < run.off+int64(len(run.bytes)) {
			return run.bytes[off-run.off:]
		}
	}
	return nil
}
