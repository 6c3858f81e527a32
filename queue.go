package analytics

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"slices"
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
	// that is not finished; if there is none, one that has a former name of the
	// destination, and then it has the new name. A new cursor begins at the end of the
	// log. wake, which has room for one, gets the signals that arm asks for.
	cursor(name string, former []string, wake chan<- struct{}) logCursor

	// close stops append. What is in the log can still be read and finished.
	close()

	// durable tells whether events outlive the process.
	durable() bool

	// sync waits until everything accepted before it is safe from a loss of power. It
	// fails with ErrNotDurable if that cannot be had, or not before ctx ends.
	sync(ctx context.Context) error

	// shut ends the use of the log, when nobody reads it any more.
	shut(ctx context.Context) error

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

	// keep stores what the destination wants to know when the log is opened the next
	// time, at most mostKept bytes; kept returns it. It may be lost in a crash.
	keep(b []byte) error
	kept() []byte

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

// memoryLog is the log in memory. Its segments are buffers, used again when every
// cursor has finished them.
type memoryLog struct {
	backlog
	free   [][]byte // of segments that are gone
	kept   bool     // survives Close, as a log on disk does
	pinned bool     // retain was called
}

// mostKept is the most that a cursor keeps for its destination, in bytes.
const mostKept = 64 << 10

const (
	recordHeader = 12 // length u24, flags u8, accepted at u64
	maxRecord    = recordHeader + maxEventBytes
)

// newMemoryLog returns a log of at most limit bytes.
func newMemoryLog(limit int, dropOldest bool) *memoryLog {
	size := min(max(limit/64, maxRecord), 256<<10)
	return newSlabLog(size, max(limit/size, 2), dropOldest)
}

func newSlabLog(size, count int, dropOldest bool) *memoryLog {
	l := &memoryLog{backlog: newBacklog(int64(size), int64(size)*int64(count), dropOldest)}
	l.least = l.segmentSize
	l.hole = ReasonEvicted
	l.dropped = l.reuse
	_, _ = rand.Read(l.ident[:])
	return l
}

func (l *memoryLog) durable() bool              { return l.kept }
func (l *memoryLog) sync(context.Context) error { return ErrNotDurable }
func (l *memoryLog) shut(context.Context) error { return nil }

func (l *memoryLog) append(at int64, flags recordFlags, body []byte) error {
	n := recordHeader + len(body)
	l.mu.Lock()
	s, err := l.admit(n)
	if err != nil {
		l.mu.Unlock()
		return err
	}
	if s.buf == nil {
		s.buf = l.buffer()
	}
	b := binary.LittleEndian.AppendUint32(s.buf, uint32(len(body))|uint32(flags)<<24)
	b = binary.LittleEndian.AppendUint64(b, uint64(at))
	s.buf = append(b, body...)
	l.enter(s, n)
	l.show(l.next, l.written)
	l.mu.Unlock()
	return nil
}

// buffer returns memory for a segment.
func (l *memoryLog) buffer() (b []byte) {
	n := len(l.free)
	if n == 0 {
		return make([]byte, 0, l.segmentSize)
	}
	b, l.free = l.free[n-1], l.free[:n-1]
	return b
}

// reuse takes the memory of a segment that is gone. The segment itself is never used
// again: a cursor may still point to it.
func (l *memoryLog) reuse(s *segment) {
	if !l.pinned && s.buf != nil {
		l.free = append(l.free, s.buf[:0])
	}
}

func (l *memoryLog) retain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pinned = true
	l.free = nil
}

func (l *memoryLog) cursor(name string, former []string, wake chan<- struct{}) logCursor {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.claim(name, former)
	p.name = name
	p.begin(wake)
	return &memoryCursor{place: p}
}

// memoryCursor is a place in a memoryLog.
type memoryCursor struct{ *place }

func (c memoryCursor) record(s *segment, off int64) (record, int64) {
	head := binary.LittleEndian.Uint32(s.buf[off:])
	n := int64(head & 0xffffff)
	at := int64(binary.LittleEndian.Uint64(s.buf[off+4:]))
	start := off + recordHeader
	return record{at: at, flags: recordFlags(head >> 24), body: s.buf[start : start+n : start+n]}, start + n
}

func (c memoryCursor) read(recs []record, n, maxBytes int) []record {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.fresh, c.lost = false, nil
	for n > 0 && maxBytes > 0 && c.skip() {
		if !c.enterSegment() {
			continue
		}
		if c.off < 0 {
			c.off = 0
			for seq := c.in.first; seq < c.at; seq++ {
				_, c.off = c.record(c.in, c.off)
			}
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

func (c memoryCursor) finish(spans []span) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.finished(spans)
}

func (c memoryCursor) keep(b []byte) error {
	c.memory = slices.Clone(b)
	return nil
}

func (c memoryCursor) kept() []byte { return c.memory }

func (c memoryCursor) seek(next uint64) (gone uint64, ok bool) {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	return c.seekTo(next)
}

// String prints a log id as 32 hexadecimal digits.
func (id LogID) String() string { return hex.EncodeToString(id[:]) }
