package analytics

import (
	"math"
	"slices"
	"sync"
)

// backlog is what the logs in memory and on disk have in common: which segments there
// are, where the cursors stand in them, what is given up to make room, and who is
// woken. What a segment holds is for the log that embeds it.
type backlog struct {
	ident       LogID
	segmentSize int64
	smallest    int64 // segment that is worth beginning, near the limit
	least       int64 // what a segment counts for, however little is in it
	oldest      bool  // evict the oldest instead of refusing
	hole        Reason
	dropped     func(*segment) // called with mu held for each segment that goes

	mu         sync.Mutex
	limit      int64      // bytes
	charged    int64      // what the segments count for; the last one counts as full
	segments   []*segment // in order; there may be holes between them
	next       uint64
	written    uint64 // bytes ever
	shown      uint64 // the next sequence number to be read without waiting
	shownBytes uint64
	places     []*place
	wakeAt     uint64 // the least that a cursor waits for: events,
	wakeOn     uint64 // and bytes
	room       chan struct{}
	closed     bool
}

// segment is a piece of the log: the least that can be given back.
type segment struct {
	first, end uint64
	start      uint64       // bytes written before it
	size       int64        // bytes in it
	room       int64        // the most that may be in it
	full       bool         // it takes no more, and counts for no more than it has
	buf        []byte       // of the log in memory: its records
	disk       *diskSegment // of the log on disk
}

const never = math.MaxUint64

func newBacklog(segmentSize, limit int64, oldest bool) backlog {
	return backlog{segmentSize: segmentSize, smallest: segmentSize, limit: limit, oldest: oldest, wakeAt: never, wakeOn: never}
}

func (l *backlog) id() LogID { return l.ident }

// admit returns the segment that takes the next n bytes, making room if it has to.
func (l *backlog) admit(n int) (*segment, error) {
	if l.closed {
		return nil, ErrClosed
	}
	s := l.tail()
	if s == nil || s.full || s.size+int64(n) > s.room {
		if s = l.grow(); s == nil {
			return nil, ErrQueueFull
		}
	}
	return s, nil
}

// enter counts an event of n bytes that s has taken.
func (l *backlog) enter(s *segment, n int) {
	s.end++
	s.size += int64(n)
	l.next++
	l.written += uint64(n)
}

// show wakes those who wait for what can now be read.
func (l *backlog) show(next, bytes uint64) {
	l.shown, l.shownBytes = next, bytes
	if next >= l.wakeAt || bytes >= l.wakeOn {
		l.wake()
	}
}

func (l *backlog) tail() *segment {
	if len(l.segments) == 0 {
		return nil
	}
	return l.segments[len(l.segments)-1]
}

// charge is what a segment counts for that takes no more events.
func (l *backlog) charge(s *segment) int64 { return max(s.size, l.least) }

// grow adds a segment, making room if it has to. nil: the log is full.
func (l *backlog) grow() *segment {
	for l.spare() < l.smallest {
		if !l.evict(ReasonLagged) && (!l.oldest || !l.evict(ReasonOverflow)) {
			return nil
		}
	}
	l.seal()
	s := &segment{first: l.next, end: l.next, start: l.written, room: min(l.spare(), l.segmentSize)}
	l.charged += s.room
	l.segments = append(l.segments, s)
	if l.half() {
		for _, p := range l.places {
			if p.early && p.wants() {
				p.notify()
			}
		}
	}
	return s
}

// spare is what a new segment may have: what the log may still hold once the last one is
// sealed.
func (l *backlog) spare() int64 {
	n := l.limit - l.charged
	if t := l.tail(); t != nil && !t.full {
		n += t.room - l.charge(t)
	}
	return n
}

// seal ends the last segment: from now on it counts for what is in it.
func (l *backlog) seal() {
	if t := l.tail(); t != nil && !t.full {
		l.charged -= t.room - l.charge(t)
		t.full = true
	}
}

// half tells whether half of the log is in use.
func (l *backlog) half() bool { return 2*l.charged >= l.limit }

// evict frees the oldest segment that can be freed; what cursors have not read of it
// is dropped.
func (l *backlog) evict(why Reason) bool {
	i := l.evictable(why)
	if i < 0 {
		return false
	}
	s := l.segments[i]
	for _, p := range l.places {
		p.evict(span{max(p.at, s.first), s.end}, why)
	}
	l.remove(i, i+1)
	return true
}

// remove lets segments go that are not the last.
func (l *backlog) remove(from, to int) {
	for _, s := range l.segments[from:to] {
		l.charged -= l.charge(s)
		l.dropped(s)
	}
	l.segments = slices.Delete(l.segments, from, to)
}

// evictable is the index of the oldest segment that can be freed, -1 if there is none.
// For ReasonLagged that is one which the destination furthest ahead has finished.
// For ReasonOverflow any segment will do. A segment of which something is in a window,
// read and not finished, stays. Cursors without a destination never lead.
func (l *backlog) evictable(why Reason) int {
	leader := uint64(0)
	led := false
	for _, p := range l.places {
		if p.woken != nil {
			leader, led = max(leader, p.at), true
		}
	}
	if !led || len(l.segments) == 0 {
		return -1
	}
	for i, s := range l.segments[:len(l.segments)-1] {
		if why == ReasonLagged && leader < s.end {
			break
		}
		if !slices.ContainsFunc(l.places, func(p *place) bool { return !p.over(span{s.first, min(p.at, s.end)}) }) {
			return i
		}
	}
	return -1
}

// trim lets the segments go that every cursor has finished.
func (l *backlog) trim() {
	done, n := l.finishedBelow(), 0
	for n < len(l.segments)-1 && l.segments[n].end <= done {
		n++
	}
	l.remove(0, n)
}

// finishedBelow is the sequence number up to which every cursor has finished.
func (l *backlog) finishedBelow() uint64 {
	if len(l.places) == 0 {
		return 0
	}
	done := uint64(never)
	for _, p := range l.places {
		done = min(done, p.done)
	}
	return done
}

// invite wakes the calls that wait for room: there may be some, or somebody to take it
// from.
func (l *backlog) invite() {
	if l.room != nil {
		close(l.room)
		l.room = nil
	}
}

// wake signals the cursors that have what they wait for.
func (l *backlog) wake() {
	for _, p := range l.places {
		if l.shown >= p.wakeAt || l.shownBytes >= p.wakeOn {
			p.notify()
		}
	}
	l.rearm()
}

func (l *backlog) rearm() {
	l.wakeAt, l.wakeOn = never, never
	for _, p := range l.places {
		l.wakeAt = min(l.wakeAt, p.wakeAt)
		l.wakeOn = min(l.wakeOn, p.wakeOn)
	}
}

func (l *backlog) space() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wait(l.closed || l.roomy())
}

// roomy tells whether there is room for a new segment, or somebody to take it from.
func (l *backlog) roomy() bool { return l.spare() >= l.smallest || l.evictable(ReasonLagged) >= 0 }

// wait returns a channel that is closed already, or will be by invite.
func (l *backlog) wait(open bool) <-chan struct{} {
	if open {
		c := make(chan struct{})
		close(c)
		return c
	}
	if l.room == nil {
		l.room = make(chan struct{})
	}
	return l.room
}

func (l *backlog) end() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.next
}

func (l *backlog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	l.invite()
}

func (l *backlog) usage() (used, limit int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if slices.ContainsFunc(l.places, func(p *place) bool { return p.done < l.next }) {
		for _, s := range l.segments {
			used += s.size
		}
	}
	return used, l.limit
}

// place returns the place of a destination, nil if it has none.
func (l *backlog) place(name string) *place {
	for _, p := range l.places {
		if p.name == name {
			return p
		}
	}
	return nil
}

// claim finds the place of a destination, under a former name if it must, or makes one.
func (l *backlog) claim(name string, former []string) *place {
	p := l.place(name)
	for i := 0; p == nil && i < len(former); i++ {
		if p = l.place(former[i]); p != nil && p.woken != nil {
			p = nil // of another destination
		}
	}
	if p == nil {
		p = l.addPlace(name, position{done: l.next})
	}
	return p
}

// position is where a destination stands.
type position struct {
	done  uint64 // everything below is finished
	ahead []span // finished beyond done: in order, apart from each other
}

func (l *backlog) addPlace(name string, at position) *place {
	p := &place{log: l, name: name, position: at, wakeAt: never, wakeOn: never}
	p.move(at.done)
	l.places = append(l.places, p)
	return p
}

// place is where a destination stands in a log, under its mutex.
type place struct {
	position
	log     *backlog
	name    string
	at      uint64 // the next to read
	evicted [reasonCount]uint64
	lost    []span // evicted before the first read, so that a seek does not count them again
	fresh   bool   // nothing has been read yet

	in  *segment // where read is, nil if that is to be looked up
	off int64    // bytes of it before the next record, -1 if that is not known

	early          bool
	wakeAt, wakeOn uint64
	woken          chan<- struct{} // nil: no destination reads here

	memory []byte     // what the destination keeps, of the log in memory
	disk   *diskPlace // of the log on disk
}

// begin makes p ready for the destination that reads from now on.
func (p *place) begin(wake chan<- struct{}) {
	p.woken = wake
	p.move(p.done)
	p.evicted, p.lost, p.fresh = [reasonCount]uint64{}, nil, true
}

func (p *place) notify() {
	p.wakeAt, p.wakeOn = never, never
	select {
	case p.woken <- struct{}{}:
	default:
	}
}

func (p *place) arm(events, bytes int, early bool) {
	l := p.log
	l.mu.Lock()
	defer l.mu.Unlock()
	p.early = early
	p.wakeAt, p.wakeOn = never, never
	if events > 0 {
		p.wakeAt = p.at + uint64(events)
		p.wakeOn = p.passed() + uint64(bytes)
		if l.shown >= p.wakeAt || l.shownBytes >= p.wakeOn {
			p.notify()
		}
	}
	if early && l.half() && p.wants() {
		p.notify()
	}
	l.rearm()
}

// wants tells whether what this cursor has not read would fill half of the log.
func (p *place) wants() bool { return 2*(p.log.written-p.passed()) >= uint64(p.log.limit) }

// passed is how many bytes of the log lie before the next unread record; inside of a
// segment that was not read from its start it is an estimate.
func (p *place) passed() uint64 {
	if !p.skip() || !p.enterSegment() {
		return p.log.written
	}
	if p.off >= 0 {
		return p.in.start + uint64(p.off)
	}
	part := float64(p.at-p.in.first) / float64(p.in.end-p.in.first)
	return p.in.start + uint64(part*float64(p.in.size))
}

// skip moves read past what is finished and tells whether there is more.
func (p *place) skip() bool {
	if i := p.aheadOf(p.at); i < len(p.ahead) && p.ahead[i].from <= p.at {
		p.move(p.ahead[i].to)
	}
	return p.at < p.log.next
}

// aheadOf is the index of the first finished span that ends behind seq.
func (p *place) aheadOf(seq uint64) int {
	i, _ := slices.BinarySearchFunc(p.ahead, seq, func(have span, seq uint64) int {
		if have.to <= seq {
			return -1
		}
		return 1
	})
	return i
}

// enterSegment looks up the segment that holds the next record, if it is not known. If
// there is none, what is missing is given up, and false returned.
func (p *place) enterSegment() bool {
	if p.in != nil && p.at < p.in.end {
		return true
	}
	l := p.log
	i, _ := slices.BinarySearchFunc(l.segments, p.at, func(s *segment, seq uint64) int {
		if s.end <= seq {
			return -1
		}
		return 1
	})
	if i == len(l.segments) || l.segments[i].first > p.at {
		to := l.next
		if i < len(l.segments) {
			to = l.segments[i].first
		}
		p.evict(span{p.at, to}, l.hole)
		return false
	}
	p.in, p.off = l.segments[i], -1
	if p.in.first == p.at {
		p.off = 0
	}
	return true
}

// finished notes what is over and lets go what nobody needs.
func (p *place) finished(spans []span) {
	for _, s := range spans {
		p.ahead = insertSpan(p.ahead, s)
	}
	p.advance()
	p.log.trim()
	p.log.invite()
}

// advance moves done over what is finished next to it; reading goes on behind.
func (p *place) advance() {
	n := 0
	for n < len(p.ahead) && p.ahead[n].from <= p.done {
		p.done = max(p.done, p.ahead[n].to)
		n++
	}
	p.ahead = slices.Delete(p.ahead, 0, n)
	if p.at < p.done {
		p.move(p.done)
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

// over tells whether all of s is finished.
func (p *place) over(s span) bool {
	s.from = max(s.from, p.done)
	if s.from >= s.to {
		return true
	}
	return slices.ContainsFunc(p.ahead, func(have span) bool { return have.from <= s.from && s.to <= have.to })
}

// evict gives up the unread events of s.
func (p *place) evict(s span, why Reason) {
	if s.from >= s.to {
		return
	}
	p.evicted[why] += p.unfinished(s)
	if p.fresh {
		p.lost = insertSpan(p.lost, s)
	}
	p.ahead = insertSpan(p.ahead, s)
	if s.from <= p.at && p.at < s.to {
		p.move(s.to)
	}
	p.advance()
}

// unfinished counts the events of s that are not finished.
func (p *place) unfinished(s span) uint64 {
	s.from = max(s.from, p.done)
	if s.from >= s.to {
		return 0
	}
	n := s.to - s.from
	for _, have := range p.ahead {
		if from, to := max(have.from, s.from), min(have.to, s.to); from < to {
			n -= to - from
		}
	}
	return n
}

func (p *place) state() cursorState {
	p.log.mu.Lock()
	defer p.log.mu.Unlock()
	p.skip()
	return cursorState{done: p.done, read: p.at, unread: p.unfinished(span{p.at, p.log.next}), end: p.log.next, evicted: p.evicted}
}

func (p *place) seekTo(next uint64) (gone uint64, ok bool) {
	l := p.log
	if next > l.next {
		return 0, false
	}
	if next < p.done {
		p.ahead, p.done = slices.Clone(p.lost), next
	} else {
		p.ahead = insertSpan(p.ahead, span{p.done, next})
	}
	p.move(next)
	have := next // up to where nothing is missing
	for _, s := range l.segments {
		if have < s.first {
			gone += p.unfinished(span{have, s.first})
			p.ahead = insertSpan(p.ahead, span{have, s.first})
		}
		have = max(have, s.end)
	}
	p.advance()
	l.trim()
	l.invite()
	return gone, true
}

func (p *place) move(to uint64) { p.at, p.in, p.off = to, nil, -1 }
