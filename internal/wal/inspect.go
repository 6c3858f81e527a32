package wal

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// View is what can be seen of a slot from outside, without its lock: for people who
// look after a spool, beside a process that works in it or after one that died. Neither
// [Inspect] nor the methods of a View write, create, lock or rename anything, and files
// that disappear meanwhile are none. Beside a running process a View is what was there
// at one moment or a little later.
type View struct {
	Path string
	ID   Identity

	// Broken is why there is no identity: fs.ErrNotExist where there was never one,
	// ErrDamaged, or ErrVersion; then the rest of the View is empty.
	Broken error

	PID      int // in the file LOCK, which stays when the process is gone; 0: none
	Ring     RingView
	Segments []SegmentView // in order
	Cursors  []CursorView  // by name
	Bad      int           // files in quarantine
	BadBytes int64

	fsys FS
}

// SegmentView is the file of a segment.
type SegmentView struct {
	Name       string
	First, End uint64 // sequence numbers; End is not in it
	Size       int64  // of the file
	Sealed     bool   // whole: nothing is written to it any more
	Damaged    bool   // its header
	Err        error  // it cannot be opened, or has a newer version
	At         int64  // of its first event, Unix milliseconds
}

// RingView is the ring of a slot. What was drained into segments counts no more, nor
// what every cursor has passed.
type RingView struct {
	Name    string
	Found   bool
	Damaged bool // it is not readable, or that of another slot
	Err     error
	Use     RingUse
	Size    int // bytes of records

	First, End uint64 // sequence numbers
	Events     int
	Bytes      int64 // of their bodies
	At         int64 // of its first event, Unix milliseconds
}

// CursorView is where a destination stands.
type CursorView struct {
	File        string // its name, as FileName makes it
	Destination string
	Place
	Damaged bool // it cannot be read, so that the destination begins at the oldest event
	Torn    bool // one of its two slots cannot be read, the other is used

	found bool
}

// unfinished counts what is not finished of a span.
func (p Place) unfinished(s Span) uint64 {
	s.From = max(s.From, p.Done)
	if s.From >= s.To {
		return 0
	}
	n := s.To - s.From
	for _, have := range p.Ahead {
		if from, to := max(have.From, s.From), min(have.To, s.To); from < to {
			n -= to - from
		}
	}
	return n
}

// Has tells whether a sequence number is finished.
func (p Place) Has(seq uint64) bool {
	return seq < p.Done || slices.ContainsFunc(p.Ahead, func(s Span) bool { return s.From <= seq && seq < s.To })
}

// Inspect looks into a slot. It reads the names, headers and seals, those segments that
// are not sealed, and the ring; never more at a time than a frame or two, or the ring.
// It fails only if the slot or what is in it cannot be read at all.
func Inspect(fsys FS, path string) (*View, error) {
	if _, err := fsys.ReadDir(path); err != nil {
		return nil, err
	}
	v := &View{Path: path, fsys: fsys}
	if b, err := readWhole(fsys, filepath.Join(path, lockName), 64); err == nil {
		v.PID, _ = strconv.Atoi(strings.TrimSpace(string(b)))
		v.PID = max(v.PID, 0)
	}
	v.ID, v.Broken = ReadIdentity(fsys, path)
	switch {
	case errors.Is(v.Broken, ErrVersion):
		return v, nil
	case v.Broken == nil, isMissing(v.Broken), errors.Is(v.Broken, ErrDamaged):
	case v.oversized():
		v.Broken = ErrDamaged
	default:
		return nil, v.Broken
	}
	var err error
	if v.Cursors, err = v.readCursors(); err != nil {
		return nil, err
	}
	ring := v.readRing() // before the segments, into which it is drained
	if err := v.readSegments(); err != nil {
		return nil, err
	}
	v.settle()
	v.Ring = v.describe(ring)
	v.Bad, v.BadBytes = v.readBad()
	return v, nil
}

// oversized tells whether the identity is a file too large to be one.
func (v *View) oversized() bool {
	size, err := v.size(filepath.Join(v.Path, idName))
	return err == nil && size > mostIdentity
}

func (v *View) size(name string) (int64, error) {
	f, err := v.fsys.Open(name, false, false)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Size()
}

// Newer tells whether the slot, or a segment in it, was written by a newer version.
func (v *View) Newer() bool {
	return errors.Is(v.Broken, ErrVersion) ||
		slices.ContainsFunc(v.Segments, func(s SegmentView) bool { return errors.Is(s.Err, ErrVersion) })
}

// Damaged tells whether something is damaged that can be seen without reading every
// frame; [View.Verify] reads them.
func (v *View) Damaged() bool {
	return errors.Is(v.Broken, ErrDamaged) || v.Ring.Damaged ||
		slices.ContainsFunc(v.Segments, func(s SegmentView) bool { return s.Damaged && s.Size >= SegmentHeader }) ||
		slices.ContainsFunc(v.Cursors, func(c CursorView) bool { return c.Damaged })
}

// Idle tells whether there is nothing in the slot that anybody waits for.
func (v *View) Idle() bool { return v.Ring.Events == 0 && len(v.Segments) == 0 }

// Bytes is what the segments take on disk.
func (v *View) Bytes() (n int64) {
	for _, s := range v.Segments {
		n += s.Size
	}
	return n
}

// Events is how many events there are. Damage inside of segments is not looked for.
func (v *View) Events() uint64 { return v.Unread(Place{}) }

// Unread is how many of them a destination at a place has not finished.
func (v *View) Unread(p Place) (n uint64) {
	for _, s := range v.Segments {
		n += p.unfinished(Span{s.First, s.End})
	}
	return n + p.unfinished(Span{v.Ring.First, v.Ring.End})
}

// Oldest is when the oldest event was accepted, in Unix milliseconds.
func (v *View) Oldest() (at int64, ok bool) {
	for _, s := range v.Segments {
		if s.First < s.End {
			return s.At, true
		}
	}
	return v.Ring.At, v.Ring.Events > 0
}

// End is the sequence number behind all that the log has or has had, as far as can be
// told without one of the cursors, by the name of its file.
func (v *View) End(without string) uint64 {
	end := v.Ring.End
	for _, s := range v.Segments {
		end = max(end, s.End)
	}
	for _, c := range v.Cursors {
		if c.File != without {
			end = max(end, c.End())
		}
	}
	return end
}

// readCursors reads where the destinations stand.
func (v *View) readCursors() ([]CursorView, error) {
	dir := filepath.Join(v.Path, cursorsDir)
	names, err := cursorsIn(v.fsys, dir)
	if err != nil {
		return nil, unlessMissing(err)
	}
	var list []CursorView
	for _, name := range names {
		c := CursorView{File: name, Destination: name}
		if d, ok := destinationOf(name, ""); ok {
			c.Destination = d
		}
		var err error
		for range 3 { // it may be being written
			if err = v.readCursor(&c, filepath.Join(dir, name+cursorSuffix)); err == nil && c.found && !c.Torn {
				break
			}
		}
		if !isMissing(err) {
			list = append(list, c)
		}
	}
	return list, nil
}

func (v *View) readCursor(c *CursorView, name string) error {
	b, err := v.readSome(name, 2*cursorSlot)
	_, c.Place, c.found = readCursor(b)
	c.Damaged = !c.found && (err != nil || len(b) > 0)
	c.Torn = c.found && tornCursor(b)
	return err
}

func unlessMissing(err error) error {
	if isMissing(err) {
		return nil
	}
	return err
}

// readSome reads the beginning of a file.
func (v *View) readSome(name string, n int) ([]byte, error) {
	f, err := v.fsys.Open(name, false, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readFull(f, 0, n)
}

// tornCursor tells whether a slot has something in it that cannot be read.
func tornCursor(b []byte) bool {
	for slot := range slices.Chunk(b, cursorSlot) {
		if isZero(slot) {
			continue
		}
		if len(slot) < cursorSlot {
			return true
		}
		if _, _, ok := parseCursor(slot); !ok {
			return true
		}
	}
	return false
}

func isZero(b []byte) bool { return !slices.ContainsFunc(b, func(b byte) bool { return b != 0 }) }

// readSegments looks at the segments, and reads those that are not sealed.
func (v *View) readSegments() error {
	dir := filepath.Join(v.Path, segmentsDir)
	firsts, err := segmentsIn(v.fsys, dir)
	if err != nil {
		return unlessMissing(err)
	}
	for i, first := range firsts {
		s, err := v.readSegment(dir, first)
		if isMissing(err) {
			continue
		}
		if err != nil {
			s.Err = err
		}
		if i+1 < len(firsts) {
			s.End = min(s.End, firsts[i+1])
		}
		v.Segments = append(v.Segments, s)
	}
	return nil
}

func (v *View) readSegment(dir string, first uint64) (SegmentView, error) {
	s := SegmentView{Name: filepath.Join(dir, SegmentName(first)), First: first, End: first}
	file, err := OpenSegment(v.fsys, dir, first)
	if err != nil {
		return s, err
	}
	defer file.Close()
	s.Size, s.Damaged = file.End(), file.Damaged()
	end, _, sealed := file.Sealed()
	if s.Sealed = sealed && !s.Damaged; s.Sealed {
		s.End = end
	}
	r := Reader{Force: true}
	r.Seek(file, first)
	for found := false; !found || !s.Sealed; {
		f, _, ok, err := r.Frame(file.End())
		if err != nil || !ok {
			return s, err
		}
		if f.End() <= s.First || !s.Sealed && f.First < s.End {
			continue
		}
		if !s.Sealed {
			s.End = f.End()
		}
		if !found {
			found = true
			rec, _ := f.Next()
			s.At = rec.At
		}
	}
	return s, nil
}

// settle puts the cursors that have no place where a process would put them.
func (v *View) settle() {
	for i := range v.Cursors {
		if c := &v.Cursors[i]; !c.found && len(v.Segments) > 0 {
			c.Done = v.Segments[0].First
		}
	}
}

// finishedBelow is up to where every destination has finished.
func finishedBelow(cursors []CursorView) uint64 {
	if len(cursors) == 0 {
		return 0
	}
	done := uint64(math.MaxUint64)
	for _, c := range cursors {
		done = min(done, c.Done)
	}
	return done
}

func (v *View) readBad() (files int, bytes int64) {
	dir := filepath.Join(v.Path, badDir)
	names, _ := v.fsys.ReadDir(dir)
	for _, name := range names {
		size, err := v.size(filepath.Join(dir, name))
		if err == nil {
			files++
			bytes += size
		}
	}
	return files, bytes
}

// ringImage is a ring as it was read, in memory.
type ringImage struct {
	name    string
	found   bool
	damaged bool
	torn    bool // one of the two headers cannot be read, the other is used
	err     error
	size    int
	records []placedRecord // by sequence number
}

type placedRecord struct {
	Record
	pos uint64
}

func (p placedRecord) end() uint64 { return p.pos + uint64(align(ringRecord+len(p.Body))) }

// readRing copies the ring. It is in the slot, unless the identity names one in a
// directory of its own; a path in a slot is where the slot was before it was moved.
func (v *View) readRing() ringImage {
	elsewhere := v.Broken == nil && v.ID.Ring != "" && filepath.Base(v.ID.Ring) != ringName
	if elsewhere {
		if r := v.copyRing(v.ID.Ring); r.found && !r.damaged {
			return r
		}
	}
	r := v.copyRing(filepath.Join(v.Path, ringName))
	if elsewhere && !r.found {
		r.name = v.ID.Ring
	}
	return r
}

func (v *View) copyRing(name string) (r ringImage) {
	r.name = name
	f, err := v.fsys.Open(name, false, false)
	if err != nil {
		r.err = unlessMissing(err)
		return r
	}
	defer f.Close()
	r.found = true
	page, err := readFull(f, 0, ringPage)
	if err != nil {
		r.err, r.damaged = err, true
		return r
	}
	h, ok := parseRing(page)
	if !ok || v.Broken == nil && h.slot != v.ID.Slot {
		r.damaged = !blank(f)
		return r
	}
	_, first := parseRingHead(page)
	_, spare := parseRingHead(page[ringSpare:])
	r.torn = !first || !spare
	size, err := f.Size()
	if err != nil {
		r.err = err
		return r
	}
	area, err := readFull(f, ringPage, int(min(int64(h.size), max(size-ringPage, 0))))
	r.size, r.err, r.records = h.size, err, placed(area, h)
	return r
}

// blank tells whether a file has only zeros in it, as a ring that was never begun.
func blank(f File) bool {
	for off := int64(0); ; off += readSize {
		b, err := readFull(f, off, readSize)
		if err != nil || !isZero(b) {
			return false
		}
		if len(b) < readSize || off > ringMost {
			return true
		}
	}
}

// placed finds the records in the area of a ring, with their positions. It steps over
// pages of zeros, of which an unused ring is made.
func placed(area []byte, h ringHead) (list []placedRecord) {
	zeros := make([]byte, ringPage)
	for off := 0; off+ringRecord <= len(area); {
		b := area[off:]
		if off%ringPage == 0 && bytes.HasPrefix(b, zeros) {
			off += ringPage
			continue
		}
		first, pos := le.Uint32(b), le.Uint64(b[8:])
		n := int(first & 0xffffff)
		fits := pos%uint64(h.size) == uint64(off) && n <= MaxBody && ringRecord+n <= len(b)
		if !fits || le.Uint32(b[4:]) != ringSum(seeded(h.salt, b[ringRecord:ringRecord+n]), b[8:ringRecord], first) {
			off += 8
			continue
		}
		rec := Record{Seq: le.Uint64(b[16:]), At: int64(le.Uint64(b[24:])), Flags: uint8(first >> 24), Body: b[ringRecord : ringRecord+n : ringRecord+n]}
		list = append(list, placedRecord{rec, pos})
		off += align(ringRecord + n)
	}
	slices.SortFunc(list, func(a, b placedRecord) int { return cmp.Compare(a.Seq, b.Seq) })
	return list
}

// describe tells what there is in a ring beyond the segments.
func (v *View) describe(r ringImage) RingView {
	out := RingView{Name: r.name, Found: r.found, Damaged: r.damaged, Err: r.err, Size: r.size, Use: PerCall}
	if v.fsys.Local(filepath.Dir(r.name)) {
		out.Use = Mapped
	}
	from := finishedBelow(v.Cursors)
	for _, s := range v.Segments {
		from = max(from, s.End)
	}
	for _, rec := range r.records {
		if rec.Seq < from || rec.Seq == math.MaxUint64 {
			continue
		}
		if out.Events == 0 {
			out.First, out.At = rec.Seq, rec.At
		}
		out.Events++
		out.Bytes += int64(len(rec.Body))
		out.End = rec.Seq + 1
		from = out.End
	}
	return out
}
