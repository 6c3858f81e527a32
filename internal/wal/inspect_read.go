package wal

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"time"
)

// Found is a place in a file that there is something to say of.
type Found struct {
	File     string
	Off, Len int64
	What     string
}

// Reading says what [View.Read] is to read, and is told what it finds. Its functions
// may be nil.
type Reading struct {
	// From is the first sequence number that is wanted.
	From uint64

	// Record gets the events in order, each once. The body is good until it returns.
	// An error ends the reading.
	Record func(r Record, inRing bool) error

	// Damage gets the places that cannot be read, Note those where nothing is lost
	// although something is not as it should be.
	Damage, Note func(Found)

	// Missing gets the numbers before an event that are in no file. Where every
	// destination has finished them, that is how it should be.
	Missing func(Span)

	// Progress gets how many bytes more were read, about View.Bytes and the ring in
	// all.
	Progress func(bytes int64)

	frame func()
}

// Beside a process that writes, a frame or a record may be seen before it is whole, or
// on its way from the ring into a segment: then everything from there on is read again.
const (
	rereadPause = 20 * time.Millisecond
	rereads     = 4
)

// Read reads the events of the slot: those in segments, then those that are only in the
// ring. It holds a frame or two and a copy of the ring. It reads what is there now, not
// what was there when the View was made.
func (v *View) Read(r Reading) error {
	s := scan{View: v, Reading: r, next: r.From, told: make(map[string]bool)}
	if v.Newer() {
		return fmt.Errorf("%s: %w", v.Path, ErrVersion)
	}
	for s.try = 0; ; s.try++ {
		again, err := s.pass()
		if err != nil || !again {
			return err
		}
		time.Sleep(rereadPause)
	}
}

// scan is a reading under way.
type scan struct {
	*View
	Reading
	next uint64 // the next sequence number
	try  int
	tail *Found // damage at the end of a segment: nothing is lost if the next event follows
	told map[string]bool
}

// pass reads everything from next on. again: it should be repeated in a moment.
func (s *scan) pass() (again bool, err error) {
	s.tail = nil
	ring := s.readRing() // first: what leaves it meanwhile is in the segments
	dir := filepath.Join(s.Path, segmentsDir)
	firsts, err := segmentsIn(s.fsys, dir)
	if unlessMissing(err) != nil {
		return false, err
	}
	for i, first := range firsts {
		limit := uint64(math.MaxUint64)
		if i+1 < len(firsts) {
			limit = firsts[i+1]
		}
		if limit <= s.next {
			continue
		}
		if err := s.segment(dir, first, limit); err != nil {
			return false, err
		}
	}
	if again, err = s.ring(ring); again || err != nil {
		return again, err
	}
	if s.tail != nil {
		if s.try < rereads {
			return true, nil
		}
		s.damage(*s.tail)
	}
	return false, nil
}

// segment reads the events of a file that come before limit.
func (s *scan) segment(dir string, first, limit uint64) error {
	name := filepath.Join(dir, SegmentName(first))
	file, err := OpenSegment(s.fsys, dir, first)
	switch {
	case isMissing(err):
		return nil
	case errors.Is(err, ErrVersion):
		return err
	case err != nil:
		s.damage(Found{File: name, What: err.Error()})
		return nil
	}
	defer file.Close()
	size := file.End()
	if size < SegmentHeader {
		s.note(Found{name, 0, size, "begun, but nothing was written to it"})
		return nil
	}
	if file.Damaged() {
		s.damage(Found{name, 0, SegmentHeader, "the header of the segment is damaged"})
	}
	r := Reader{Force: true}
	r.Seek(file, first)
	for end := first; ; {
		before := r.off
		f, d, ok, err := r.Frame(size)
		s.progress(r.off - before)
		if err != nil {
			return err
		}
		if d.Len > 0 {
			bad := Found{name, d.Off, d.Len, "no frame, or one with a wrong checksum"}
			if !ok && d.Off+d.Len >= size {
				s.tail = &bad
				return nil
			}
			s.damage(bad)
		}
		if !ok {
			s.progress(size - r.off)
			return nil
		}
		if f.First < end {
			s.damage(Found{name, before, r.off - before, fmt.Sprintf("a frame begins with event %d, which comes before %d", f.First, end)})
			continue
		}
		end = f.End()
		if s.frame != nil && end > s.next { // not read again
			s.frame()
		}
		for {
			rec, ok := f.Next()
			if !ok || rec.Seq >= limit {
				break
			}
			if err := s.take(rec, false); err != nil {
				return err
			}
		}
	}
}

// ring reads the events that are in no segment.
func (s *scan) ring(ring ringImage) (again bool, err error) {
	cursors, err := s.readCursors()
	if err != nil {
		return false, err
	}
	if ring.damaged {
		s.damage(Found{ring.name, 0, ringPage, "the header of the ring is damaged, or that of another slot"})
	}
	if ring.torn {
		s.note(Found{ring.name, 0, ringPage, "one of the two headers of the ring cannot be read; the other is used"})
	}
	if ring.err != nil && !ring.damaged {
		s.damage(Found{File: ring.name, What: ring.err.Error()})
	}
	finished := finishedBelow(cursors)
	for i, rec := range ring.records {
		from := max(s.next, finished)
		if rec.Seq < from || rec.Seq == math.MaxUint64 {
			continue
		}
		if rec.Seq > from && s.try < rereads {
			return true, nil
		}
		if rec.Seq > from && i > 0 {
			s.gap(ring, ring.records[i-1], rec)
		}
		if err := s.take(rec.Record, true); err != nil {
			return false, err
		}
	}
	s.progress(int64(ring.size))
	return false, nil
}

// gap tells of what lies between two records of a ring.
func (s *scan) gap(ring ringImage, before, behind placedRecord) {
	size := uint64(ring.size)
	off := before.end() % size
	if n := min(behind.pos-before.end(), size-off); before.end() < behind.pos && n > 0 {
		s.damage(Found{ring.name, int64(ringPage + off), int64(n), "no record, or one with a wrong checksum"})
	}
}

func (s *scan) take(rec Record, inRing bool) error {
	if rec.Seq < s.next {
		return nil
	}
	if s.tail != nil {
		if rec.Seq == s.next {
			s.tail.What = "a write that was not finished; its events follow elsewhere"
			s.note(*s.tail)
		} else {
			s.damage(*s.tail)
		}
		s.tail = nil
	}
	if rec.Seq > s.next && s.Missing != nil {
		s.Missing(Span{s.next, rec.Seq})
	}
	s.next = rec.Seq + 1
	if s.Record == nil {
		return nil
	}
	return s.Record(rec, inRing)
}

func (s *scan) damage(f Found) { s.tell(s.Damage, f) }
func (s *scan) note(f Found)   { s.tell(s.Note, f) }

// tell tells of a place once, although it may be read again.
func (s *scan) tell(who func(Found), f Found) {
	place := fmt.Sprint(f.File, " ", f.Off)
	if who != nil && !s.told[place] {
		s.told[place] = true
		who(f)
	}
}

func (s *scan) progress(n int64) {
	if s.Progress != nil && s.try == 0 && n > 0 {
		s.Progress(n)
	}
}

// Report is what [View.Verify] has found.
type Report struct {
	Frames, Events, RingEvents uint64

	Damage  []Found   // places that cannot be read
	Notes   []Found   // places that are not as they should be, where nothing is lost
	Missing []Missing // events that destinations wait for and that are in no file
}

// Missing is a range of events that cannot be read any more.
type Missing struct {
	Span
	Destinations []string
}

// Sound tells whether there is no damage.
func (r *Report) Sound() bool { return len(r.Damage) == 0 && len(r.Missing) == 0 }

// Verify reads every frame and every record, and compares them with the cursors. Beside
// a process that writes it may take what is newest for what is not there yet, never for
// damage.
func (v *View) Verify(progress func(bytes int64)) (*Report, error) {
	r := &Report{}
	v.verifySmall(r)
	var holes []Span
	err := v.Read(Reading{
		Record: func(_ Record, inRing bool) error {
			r.Events++
			if inRing {
				r.RingEvents++
			}
			return nil
		},
		Damage:   func(f Found) { r.Damage = append(r.Damage, f) },
		Note:     func(f Found) { r.Notes = append(r.Notes, f) },
		Missing:  func(s Span) { holes = append(holes, s) },
		Progress: progress,
		frame:    func() { r.Frames++ },
	})
	if err != nil {
		return nil, err
	}
	// Only now: cursors are written before the segments go that they have passed.
	cursors, err := v.readCursors()
	if err != nil {
		return nil, err
	}
	for _, hole := range holes {
		m := Missing{Span: hole}
		for _, c := range cursors {
			if !c.Damaged && c.unfinished(hole) > 0 {
				m.Destinations = append(m.Destinations, c.Destination)
			}
		}
		if len(m.Destinations) > 0 {
			r.Missing = append(r.Missing, m)
		}
	}
	return r, nil
}

// verifySmall looks at the files that are read whole.
func (v *View) verifySmall(r *Report) {
	id := filepath.Join(v.Path, idName)
	switch {
	case errors.Is(v.Broken, ErrDamaged):
		size, _ := v.size(id)
		r.Damage = append(r.Damage, Found{id, 0, size, "the identity of the slot cannot be read"})
	case v.Broken != nil && len(v.Segments) > 0:
		r.Damage = append(r.Damage, Found{File: id, What: "the slot has events and no identity"})
	}
	end := v.End("")
	for _, c := range v.Cursors {
		name := filepath.Join(v.Path, cursorsDir, c.File+cursorSuffix)
		size, _ := v.size(name)
		switch {
		case c.Damaged:
			r.Damage = append(r.Damage, Found{name, 0, size, "the cursor cannot be read: its destination begins at the oldest event"})
		case c.Torn:
			r.Notes = append(r.Notes, Found{name, 0, size, "one of the two slots of the cursor cannot be read; the other is used"})
		}
		if last := v.logEnd(); !c.Damaged && last > 0 && c.End() > last {
			r.Notes = append(r.Notes, Found{name, 0, size, fmt.Sprintf("the cursor is at event %d, and the log ends before %d: the next process begins at %d", c.End(), last, end)})
		}
	}
}

// logEnd is the sequence number behind all events that are there, 0 if there are none.
func (v *View) logEnd() uint64 {
	end := v.Ring.End
	for _, s := range v.Segments {
		if s.End > s.First {
			end = max(end, s.End)
		}
	}
	return end
}
