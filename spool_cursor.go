package analytics

import (
	"errors"
	"io/fs"
	"slices"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

// diskPlace is what a place has on disk.
type diskPlace struct {
	file    *wal.CursorFile // nil: it cannot be opened
	saved   position
	unnamed bool // the name of the file may not survive a loss of power
}

// diskCursor is a place in a diskLog, with what its reader has at hand.
type diskCursor struct {
	*place
	log    *diskLog
	reader wal.Reader
	seg    *segment // where the reader is
	frame  wal.Frame
	next   uint64 // the sequence number that the reader comes to next, or one before it
	ringAt uint64 // the position in the ring of ringTo
	ringTo uint64
	rings  int       // and the ring
	failed time.Time // when the file could not be read any more; zero: it can
}

// Reading a file that cannot be read is tried again every retryRead. After patience,
// what still cannot be read of it is given up.
const (
	retryRead = time.Second
	patience  = time.Minute
)

// cursor opens the cursor of a destination.
func (l *diskLog) cursor(name string, former []string, wake chan<- struct{}) logCursor {
	p := l.claim(name, former, wake)
	l.openCursor(p, wal.FileName(name))
	return &diskCursor{place: p, log: l}
}

// claim finds the place of a destination, or makes one.
func (l *diskLog) claim(name string, former []string, wake chan<- struct{}) *place {
	files := make([]string, len(former))
	for i, f := range former {
		files[i] = wal.FileName(f)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.backlog.claim(wal.FileName(name), files)
	if p.disk == nil {
		p.disk = &diskPlace{}
	}
	p.begin(wake)
	return p
}

// openCursor gives a place its file, under its name, and sees to it that the file is
// there after a loss of power as well: a destination without one would begin at the end.
func (l *diskLog) openCursor(p *place, name string) {
	l.files.Lock()
	defer l.files.Unlock()
	err := l.renameCursor(p, name)
	for range 2 { // a fault may be over at once
		if err = errors.Join(l.save(p, true), err); p.disk.file != nil {
			break
		}
	}
	if p.disk.file != nil {
		err = errors.Join(err, p.disk.file.Sync(), l.slot.SyncNames())
	}
	if p.disk.unnamed = err != nil; err == nil {
		return
	}
	l.mu.Lock()
	l.cursorless = l.cursorless || p.disk.file == nil
	l.mu.Unlock()
	poke(l.kick)
	l.complain("a cursor cannot be written", err)
}

func (l *diskLog) renameCursor(p *place, name string) error {
	if p.name == name {
		return nil
	}
	fsys, slot := l.slot.FS, l.slot
	if err := fsys.Rename(slot.StatePath(p.name), slot.StatePath(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err // before the cursor: where that is missing, nobody looks for the rest
	}
	if err := fsys.Rename(slot.CursorPath(p.name), slot.CursorPath(name)); err != nil {
		return err
	}
	l.mu.Lock()
	p.name = name
	l.mu.Unlock()
	return nil
}

// save writes where a destination stands, if it has moved; files is held.
func (l *diskLog) save(p *place, force bool) error {
	l.mu.Lock()
	at := position{p.done, slices.Clone(p.ahead)}
	l.mu.Unlock()
	d := p.disk
	if d.file == nil {
		var err error
		if d.file, _, _, _, err = wal.OpenCursor(l.slot.FS, l.slot.CursorPath(p.name)); err != nil {
			return err
		}
		d.unnamed, force = true, true
	}
	if !force && at.done == d.saved.done && slices.Equal(at.ahead, d.saved.ahead) {
		return nil
	}
	ahead := make([]wal.Span, len(at.ahead))
	for i, s := range at.ahead {
		ahead[i] = wal.Span{From: s.from, To: s.to}
	}
	err := d.file.Write(wal.Place{Done: at.done, Ahead: ahead})
	if err == nil {
		d.saved = at
	}
	return err
}

func (c *diskCursor) finish(spans []span) {
	l := c.log
	l.mu.Lock()
	c.finished(spans)
	if l.fault != nil {
		l.passFinished()
	}
	l.mu.Unlock()
	c.persist()
}

// persist writes the place down. Where that fails, what is finished may be delivered
// again after a crash, unless a later time succeeds.
func (c *diskCursor) persist() {
	l := c.log
	l.files.Lock()
	defer l.files.Unlock()
	if l.sealed {
		return
	}
	if err := l.save(c.place, false); err != nil {
		l.complain("a cursor cannot be written", err)
	}
}

func (c *diskCursor) keep(b []byte) error {
	l := c.log
	l.files.Lock()
	defer l.files.Unlock()
	if l.sealed {
		return ErrClosed
	}
	err := wal.Replace(l.slot.FS, l.slot.StatePath(c.name), b)
	if err != nil {
		l.complain("what a destination keeps cannot be written", err)
	}
	return err
}

func (c *diskCursor) kept() []byte {
	b, err := wal.ReadSmall(c.log.slot.FS, c.log.slot.StatePath(c.name))
	if err != nil || len(b) > mostKept {
		return nil
	}
	return b
}

func (c *diskCursor) seek(next uint64) (gone uint64, ok bool) {
	c.log.mu.Lock()
	gone, ok = c.seekTo(next)
	c.log.mu.Unlock()
	c.persist()
	return gone, ok
}

// arm asks for no signal while the file cannot be read: there will be one when it is
// time to try again.
func (c *diskCursor) arm(events, bytes int, early bool) {
	if !c.failed.IsZero() {
		events, early = 0, false
	}
	c.place.arm(events, bytes, early)
}

func (c *diskCursor) read(recs []record, n, maxBytes int) []record {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	c.fresh, c.lost = false, nil
	r := reading{recs: recs, n: n, maxBytes: maxBytes}
	tried := false
	for r.wants() && !l.stopped && c.skip() {
		if !c.enterSegment() {
			continue
		}
		s := c.in
		r.from, r.to, r.bytes = c.at, c.until(s), 0
		had := len(r.recs)
		var err error
		switch {
		case c.at < s.disk.drained && s.disk.file == nil:
			r.to = min(r.to, s.disk.drained)
			r.heap(s.disk.heap)
			c.apply(&r)
		case c.at < s.disk.drained:
			r.to = min(r.to, s.disk.drained)
			err = c.readFile(&r, s)
		case l.fault != nil:
			err = c.readRing(&r)
		case !tried:
			tried = true
			l.mu.Unlock()
			_ = l.drain() // which keeps its error
			l.mu.Lock()
			continue
		default: // what has come since can wait for the next read
			return r.recs
		}
		if err != nil || len(r.recs) == had && len(r.lost) == 0 {
			break
		}
		r.lost = r.lost[:0]
	}
	return r.recs
}

// until is where what is to be read of s ends: there, or where something is finished.
func (c *diskCursor) until(s *segment) uint64 {
	if i := c.aheadOf(c.at); i < len(c.ahead) {
		return min(s.end, c.ahead[i].from)
	}
	return s.end
}

// apply moves behind what was read. What was missing is given up.
func (c *diskCursor) apply(r *reading) {
	c.at = r.from
	if c.off >= 0 {
		c.off += r.bytes
	}
	for _, lost := range r.lost {
		c.off = -1
		c.evict(lost, ReasonCorrupt)
	}
}

// readRing reads what could not be drained yet.
func (c *diskCursor) readRing(r *reading) error {
	l := c.log
	ring := l.ring.Load()
	if ring == nil {
		return errNoRing
	}
	pos := l.at
	if c.ringTo == c.at && c.ringAt >= l.at && c.rings == l.rings {
		pos = c.ringAt
	}
	next, err := ring.Each(pos, ring.Extent(), func(rec wal.Record) bool {
		return rec.Seq < r.from || r.more() && r.take(rec, true)
	})
	if err == nil && r.more() {
		r.miss(r.to)
	}
	c.apply(r)
	c.ringTo, c.ringAt, c.rings = c.at, next, l.rings
	return err
}

// readFile reads from the file of s, without the lock: meanwhile the place lies behind
// what may be read, so that nobody takes it away.
func (c *diskCursor) readFile(r *reading, s *segment) error {
	l := c.log
	in, off := c.in, c.off
	file, end := s.disk.file, s.disk.end
	c.at = r.to
	l.mu.Unlock()
	if c.seg != s || c.next > r.from {
		c.reader.Recent = &l.recent
		c.reader.Seek(file, r.from)
		c.seg, c.frame = s, wal.Frame{}
	}
	damage, err := c.frames(r, end)
	for _, d := range damage {
		l.quarantine(file, d)
	}
	c.next = r.from
	c.try(err)
	l.mu.Lock()
	c.in, c.off = in, off
	c.apply(r)
	return err
}

// frames reads frames up to an offset of the file.
func (c *diskCursor) frames(r *reading, end int64) (damage []wal.Damage, err error) {
	for r.more() {
		if rec, ok := c.frame.Next(); ok {
			if !r.take(rec, false) {
				c.seg = nil // the record is still to be read
			}
			continue
		}
		f, d, ok, err := c.reader.Frame(end)
		if d.Len > 0 && err == nil {
			damage = append(damage, d)
		}
		switch {
		case err != nil:
			return damage, err
		case !ok:
			r.miss(r.to)
		default:
			c.frame = f
		}
	}
	return damage, nil
}

// try notes whether the file could be read, and when to try again.
func (c *diskCursor) try(err error) {
	switch {
	case err == nil:
		c.failed, c.reader.Force = time.Time{}, false
		return
	case c.failed.IsZero():
		c.failed = time.Now()
		c.log.complain("a segment cannot be read", err)
	case time.Since(c.failed) >= patience:
		c.reader.Force = true
	}
	wake := c.woken
	time.AfterFunc(retryRead, func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	})
}

// reading is what a read still wants, and what it has.
type reading struct {
	recs     []record
	n        int
	maxBytes int
	from, to uint64 // what is to be read of the present source
	bytes    int64  // read from it, as the log counts
	lost     []span // missing in it
}

func (r *reading) wants() bool { return r.n > 0 && r.maxBytes > 0 }

func (r *reading) more() bool { return r.wants() && r.from < r.to }

// take takes a record; before it, something may be missing. It returns false for one
// that lies behind what is to be read.
func (r *reading) take(rec wal.Record, clone bool) bool {
	if rec.Seq < r.from {
		return true
	}
	r.miss(min(rec.Seq, r.to))
	if r.from == r.to {
		return false
	}
	if clone {
		rec.Body = slices.Clone(rec.Body)
	}
	r.recs = append(r.recs, record{seq: rec.Seq, at: rec.At, flags: recordFlags(rec.Flags), body: rec.Body})
	r.from = rec.Seq + 1
	r.n--
	r.maxBytes -= len(rec.Body)
	r.bytes += int64(diskCost(len(rec.Body)))
	return true
}

// miss notes that what is left before a sequence number is not there.
func (r *reading) miss(to uint64) {
	if r.from < to {
		r.lost = append(r.lost, span{r.from, to})
		r.from = to
	}
}

// heap reads from records in memory.
func (r *reading) heap(list []wal.Record) {
	i, _ := slices.BinarySearchFunc(list, r.from, func(rec wal.Record, seq uint64) int {
		if rec.Seq < seq {
			return -1
		}
		return 1
	})
	for ; i < len(list) && r.more(); i++ {
		r.take(list[i], false)
	}
	if r.more() {
		r.miss(r.to)
	}
}
