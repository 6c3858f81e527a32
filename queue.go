package analytics

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"sync"
)

// An eventLog holds accepted events, each once, until every cursor has finished
// it: a dense run of records, numbered from 0, and a cursor per destination. The
// memory log below is one; whatever else implements it passes the same tests.
type eventLog interface {
	id() LogID

	// append accepts an event for all cursors. It fails with ErrQueueFull or
	// ErrClosed, and then nothing has changed. It copies body.
	append(at int64, flags recordFlags, body []byte) error

	// space returns a channel that is closed when there is room again, or when the
	// log is closed.
	space() <-chan struct{}

	// end is the sequence number that the next event will get.
	end() uint64

	// cursor opens the cursor of that name where it stands, with everything unread
	// that is not finished. A new name begins at the end of the log. wake, which has
	// room for one, gets the signals that arm asks for.
	cursor(name string, wake chan<- struct{}) logCursor

	// close stops append. What is in the log can still be read and finished.
	close()

	// durable tells whether events outlive the process.
	durable() bool

	// retain is called when a delivery was abandoned: from then on, the memory of
	// records that were handed out is never used again.
	retain()

	// usage is how many bytes are in use, none if everything is finished, and the most
	// that may be.
	usage() (used, limit int64)
}

// A logCursor is the place of one destination in a log. read, seek and finish are
// for its one reader; the log moves it past what it evicts.
type logCursor interface {
	// read appends the next unread records to recs, at most n, and stops early
	// behind the one that brings their bodies to maxBytes. Bodies stay as they are
	// until their record is finished.
	read(recs []record, n, maxBytes int) []record

	// finish marks what is over. Spans are in order and do not overlap.
	finish(spans []span)

	// seek moves to next, before the first read: the destination knows better.
	// Records before next count as finished, those from next on as unread, but for
	// what was finished ahead of a cursor that moves forward; gone is how many the log
	// no longer has. ok is false, and nothing moved, if next lies beyond the end.
	seek(next uint64) (gone uint64, ok bool)

	state() cursorState

	// arm asks for a signal once so many events or bytes are unread; early also
	// asks for one when the log is half full. Zero events disarm.
	arm(events, bytes int, early bool)
}

// record is one event in a log.
type record struct {
	seq   uint64
	at    int64 // when it was accepted, Unix milliseconds
	flags recordFlags
	body  []byte
}

// span is a range of sequence numbers; to is not in it.
type span struct{ from, to uint64 }

// cursorState is where a cursor stands, all at one moment.
type cursorState struct {
	done    uint64 // everything below is finished
	read    uint64 // the next to read
	unread  uint64 // events still to read
	end     uint64 // of the log
	evicted [reasonCount]uint64
}

// memoryLog is the log in memory: slabs under one mutex, within a bound. Slabs are
// used again when every cursor has finished them.
type memoryLog struct {
	ident    LogID
	slabSize int
	maxSlabs int
	oldest   bool // evict the oldest instead of refusing

	mu      sync.Mutex
	slabs   []*slab  // in order; those in the middle may be gone
	free    [][]byte // of slabs that are gone
	next    uint64
	written uint64 // bytes ever
	cursors []*memoryCursor
	wakeAt  uint64 // the least that a cursor waits for: events,
	wakeOn  uint64 // and bytes
	room    chan struct{}
	closed  bool
	kept    bool // survives Close, as a log on disk does
	pinned  bool // retain was called
}

type slab struct {
	first, end uint64
	start      uint64 // bytes written before it
	buf        []byte
}

const (
	recordHeader = 12 // length u24, flags u8, accepted at u64
	maxRecord    = recordHeader + maxEventBytes
	never        = math.MaxUint64
)

// newMemoryLog returns a log of at most limit bytes.
func newMemoryLog(limit int, dropOldest bool) *memoryLog {
	size := min(max(limit/64, maxRecord), 256<<10)
	return newSlabLog(size, max(limit/size, 2), dropOldest)
}

func newSlabLog(size, count int, dropOldest bool) *memoryLog {
	l := &memoryLog{slabSize: size, maxSlabs: count, oldest: dropOldest, wakeAt: never, wakeOn: never}
	_, _ = rand.Read(l.ident[:])
	return l
}

func (l *memoryLog) id() LogID     { return l.ident }
func (l *memoryLog) durable() bool { return l.kept }

func (l *memoryLog) append(at int64, flags recordFlags, body []byte) error {
	n := recordHeader + len(body)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return ErrClosed
	}
	s := l.tail()
	if s == nil || len(s.buf)+n > l.slabSize {
		if s = l.grow(); s == nil {
			l.mu.Unlock()
			return ErrQueueFull
		}
	}
	b := binary.LittleEndian.AppendUint32(s.buf, uint32(len(body))|uint32(flags)<<24)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	s.buf = append(b, body...)
	s.end++
	l.next++
	l.written += uint64(n)
	if l.next >= l.wakeAt || l.written >= l.wakeOn {
		l.wake()
	}
	l.mu.Unlock()
	return nil
}

func (l *memoryLog) tail() *slab {
	if len(l.slabs) == 0 {
		return nil
	}
	return l.slabs[len(l.slabs)-1]
}

// grow adds a slab, making room if it has to. nil: the log is full.
func (l *memoryLog) grow() *slab {
	if len(l.slabs) >= l.maxSlabs && !l.evict(ReasonLagged) && (!l.oldest || !l.evict(ReasonOverflow)) {
		return nil
	}
	s := &slab{first: l.next, end: l.next, start: l.written} // never used again: a cursor may still point to it
	if n := len(l.free); n > 0 {
		s.buf, l.free = l.free[n-1], l.free[:n-1]
	} else {
		s.buf = make([]byte, 0, l.slabSize)
	}
	l.slabs = append(l.slabs, s)
	if 2*len(l.slabs) >= l.maxSlabs {
		for _, c := range l.cursors {
			if c.early && c.wants() {
				c.notify()
			}
		}
	}
	return s
}

// evict frees the oldest slab that can be freed; what cursors have not read of it is
// dropped.
func (l *memoryLog) evict(why Reason) bool {
	i := l.evictable(why)
	if i < 0 {
		return false
	}
	s := l.slabs[i]
	for _, c := range l.cursors {
		c.evict(span{max(c.at, s.first), s.end}, why)
	}
	l.slabs = slices.Delete(l.slabs, i, i+1)
	l.reuse(s)
	return true
}

// evictable is the index of the oldest slab that can be freed, -1 if there is none.
// For ReasonLagged that is one which the destination furthest ahead has finished.
// For ReasonOverflow any slab will do. A slab of which something is in a window, read
// and not finished, stays.
func (l *memoryLog) evictable(why Reason) int {
	if len(l.cursors) == 0 || len(l.slabs) == 0 {
		return -1
	}
	leader := slices.MaxFunc(l.cursors, func(a, b *memoryCursor) int { return compare(a.at, b.at) })
	for i, s := range l.slabs[:len(l.slabs)-1] {
		if why == ReasonLagged && leader.at < s.end {
			break
		}
		if !slices.ContainsFunc(l.cursors, func(c *memoryCursor) bool {
			return !c.finished(span{s.first, min(c.at, s.end)})
		}) {
			return i
		}
	}
	return -1
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

func (l *memoryLog) reuse(s *slab) {
	if !l.pinned {
		l.free = append(l.free, s.buf[:0])
	}
}

// trim lets the slabs go that every cursor has finished.
func (l *memoryLog) trim() {
	if len(l.cursors) == 0 {
		return
	}
	done := l.cursors[0].done
	for _, c := range l.cursors[1:] {
		done = min(done, c.done)
	}
	n := 0
	for n < len(l.slabs)-1 && l.slabs[n].end <= done {
		l.reuse(l.slabs[n])
		n++
	}
	l.slabs = slices.Delete(l.slabs, 0, n)
}

// admit wakes the calls that wait for room: there may be some, or somebody to take
// it from.
func (l *memoryLog) admit() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// wake signals the cursors that have what they wait for.
func (l *memoryLog) wake() {
	for _, c := range l.cursors {
		if l.next >= c.wakeAt || l.written >= c.wakeOn {
			c.notify()
		}
	}
	l.rearm()
}

func (l *memoryLog) rearm() {
	l.wakeAt, l.wakeOn = never, never
	for _, c := range l.cursors {
		l.wakeAt = min(l.wakeAt, c.wakeAt)
		l.wakeOn = min(l.wakeOn, c.wakeOn)
	}
}

func (l *memoryLog) space() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || len(l.slabs) < l.maxSlabs || l.evictable(ReasonLagged) >= 0 {
		open := make(chan struct{})
		close(open)
		return open
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

func (l *memoryLog) end() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

func (l *memoryLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.admit()
}

func (l *memoryLog) retain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pinned = true
	l.free = nil
}

func (l *memoryLog) usage() (used, limit int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.cursors, func(c *memoryCursor) bool { return c.done < l.next }) {
		for _, s := range l.slabs {
			used += int64(len(s.buf))
		}
	}
	return used, int64(l.slabSize) * int64(l.maxSlabs)
}

func (l *memoryLog) cursor(name string, wake chan<- struct{}) logCursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.cursors {
		if c.name == name {
			c.woken = wake
			c.move(c.done)
			c.evicted, c.lost, c.fresh = [reasonCount]uint64{}, nil, true
			return c
		}
	}
	c := &memoryCursor{log: l, name: name, woken: wake, wakeAt: never, wakeOn: never, fresh: true}
	c.done, c.at = l.next, l.next
	l.cursors = append(l.cursors, c)
	return c
}

// memoryCursor is a place in a memoryLog, under its mutex.
type memoryCursor struct {
	log     *memoryLog
	name    string
	done    uint64 // everything below is finished
	at      uint64 // the next to read
	ahead   []span // finished beyond done: in order, apart from each other
	evicted [reasonCount]uint64
	lost    []span // evicted before the first read, so that a seek does not count them again
	fresh   bool   // nothing has been read yet

	in  *slab // where read is, if it was reached by reading on
	off int

	early          bool
	wakeAt, wakeOn uint64
	woken          chan<- struct{}
}

func (c *memoryCursor) notify() {
	c.wakeAt, c.wakeOn = never, never
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (c *memoryCursor) arm(events, bytes int, early bool) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	c.early = early
	c.wakeAt, c.wakeOn = never, never
	if events > 0 {
		c.wakeAt = c.at + uint64(events)
		c.wakeOn = c.passed() + uint64(bytes)
		if l.next >= c.wakeAt || l.written >= c.wakeOn {
			c.notify()
		}
	}
	if early && 2*len(l.slabs) >= l.maxSlabs && c.wants() {
		c.notify()
	}
	l.rearm()
}

// wants tells whether what this cursor has not read would fill half of the log.
func (c *memoryCursor) wants() bool {
	return 2*(c.log.written-c.passed()) >= uint64(c.log.slabSize)*uint64(c.log.maxSlabs)
}

// passed is how many bytes of the log lie before the next unread record.
func (c *memoryCursor) passed() uint64 {
	if !c.skip() || (c.in == nil || c.at >= c.in.end) && !c.find() {
		return c.log.written
	}
	return c.in.start + uint64(c.off)
}

func (c *memoryCursor) record(s *slab, off int) (record, int) {
	head := binary.LittleEndian.Uint32(s.buf[off:])
	n := int(head & 0xffffff)
	at := int64(binary.LittleEndian.Uint64(s.buf[off+4:]))
	start := off + recordHeader
	return record{at: at, flags: recordFlags(head >> 24), body: s.buf[start : start+n : start+n]}, start + n
}

func (c *memoryCursor) read(recs []record, n, maxBytes int) []record {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.fresh, c.lost = false, nil
	for n > 0 && maxBytes > 0 && c.skip() {
		if (c.in == nil || c.at >= c.in.end) && !c.find() {
			continue
		}
		var r record
		r, c.off = c.record(c.in, c.off)
		r.seq = c.at
		recs = append(recs, r)
		c.at++
		n--
		maxBytes -= len(r.body)
	}
	return recs
}

// skip moves read past what is finished and tells whether there is more.
func (c *memoryCursor) skip() bool {
	i, _ := slices.BinarySearchFunc(c.ahead, c.at, func(have span, at uint64) int {
		if have.to <= at {
			return -1
		}
		return 1
	})
	if i < len(c.ahead) && c.ahead[i].from <= c.at {
		c.move(c.ahead[i].to)
	}
	return c.at < c.log.next
}

// find looks up the slab that holds the next record, and where in it. Where a seek
// went back to what is gone, the gap is evicted and false returned.
func (c *memoryCursor) find() bool {
	l := c.log
	i, _ := slices.BinarySearchFunc(l.slabs, c.at, func(s *slab, seq uint64) int {
		if s.end <= seq {
			return -1
		}
		return 1
	})
	if i == len(l.slabs) || l.slabs[i].first > c.at {
		to := l.next
		if i < len(l.slabs) {
			to = l.slabs[i].first
		}
		c.evict(span{c.at, to}, ReasonEvicted)
		return false
	}
	c.in, c.off = l.slabs[i], 0
	for seq := c.in.first; seq < c.at; seq++ {
		_, c.off = c.record(c.in, c.off)
	}
	return true
}

func (c *memoryCursor) finish(spans []span) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	for _, s := range spans {
		c.ahead = insertSpan(c.ahead, s)
	}
	c.advance()
	c.log.trim()
	c.log.admit()
}

// advance moves done over what is finished next to it; reading goes on behind.
func (c *memoryCursor) advance() {
	n := 0
	for n < len(c.ahead) && c.ahead[n].from <= c.done {
		c.done = max(c.done, c.ahead[n].to)
		n++
	}
	c.ahead = slices.Delete(c.ahead, 0, n)
	if c.at < c.done {
		c.move(c.done)
	}
}

// insertSpan adds a span to a list of spans, joining those that touch.
func insertSpan(list []span, s span) []span {
	if s.from >= s.to {
		return list
	}
	i, _ := slices.BinarySearchFunc(list, s.from, func(have span, from uint64) int {
		if have.to < from {
			return -1
		}
		return 1
	})
	j := i
	for j < len(list) && list[j].from <= s.to {
		s.from, s.to = min(s.from, list[j].from), max(s.to, list[j].to)
		j++
	}
	return slices.Replace(list, i, j, s)
}

// finished tells whether all of s is finished.
func (c *memoryCursor) finished(s span) bool {
	s.from = max(s.from, c.done)
	if s.from >= s.to {
		return true
	}
	return slices.ContainsFunc(c.ahead, func(have span) bool { return have.from <= s.from && s.to <= have.to })
}

// evict gives up the unread events of s.
func (c *memoryCursor) evict(s span, why Reason) {
	if s.from >= s.to {
		return
	}
	c.evicted[why] += c.unfinished(s)
	if c.fresh {
		c.lost = insertSpan(c.lost, s)
	}
	c.ahead = insertSpan(c.ahead, s)
	if s.from <= c.at && c.at < s.to {
		c.move(s.to)
	}
	c.advance()
}

// unfinished counts the events of s that are not finished.
func (c *memoryCursor) unfinished(s span) uint64 {
	s.from = max(s.from, c.done)
	if s.from >= s.to {
		return 0
	}
	n := s.to - s.from
	for _, have := range c.ahead {
		if from, to := max(have.from, s.from), min(have.to, s.to); from < to {
			n -= to - from
		}
	}
	return n
}

func (c *memoryCursor) unread() uint64 { return c.unfinished(span{c.at, c.log.next}) }

func (c *memoryCursor) state() cursorState {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.skip()
	return cursorState{done: c.done, read: c.at, unread: c.unread(), end: c.log.next, evicted: c.evicted}
}

func (c *memoryCursor) seek(next uint64) (gone uint64, ok bool) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if next > l.next {
		return 0, false
	}
	if next < c.done {
		c.ahead, c.done = slices.Clone(c.lost), next
	} else {
		c.ahead = insertSpan(c.ahead, span{c.done, next})
	}
	c.move(next)
	have := next // up to where nothing is missing
	for _, s := range l.slabs {
		if have < s.first {
			gone += c.unfinished(span{have, s.first})
			c.ahead = insertSpan(c.ahead, span{have, s.first})
		}
		have = max(have, s.end)
	}
	c.advance()
	l.trim()
	l.admit()
	return gone, true
}

func (c *memoryCursor) move(to uint64) { c.at, c.in, c.off = to, nil, 0 }

// String prints a log id as 32 hexadecimal digits.
func (id LogID) String() string { return hex.EncodeToString(id[:]) }
