package analytics

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// read fills the lanes that could send more than they have.
func (l *loop) read(now time.Time, next *time.Time) {
	l.turn++
	for i := range l.sources {
		s := l.sources[(i+l.turn)%len(l.sources)]
		if !l.readable(s, now, next) {
			continue
		}
		for {
			if l.budget <= 0 {
				*next = now
				return
			}
			n := min(l.appetite(now, next), windowEvents-len(s.window), readChunk, max((s.most-s.bytes)/max(l.typical, leastTypical), 1))
			if l.desc.Every > 0 {
				n = int(min(uint64(max(n, 0)), max(l.schedule.goals[s], s.read)-s.read))
			}
			if n <= 0 || s.bytes >= s.most || !l.readSome(s, n, now) {
				break
			}
			l.changed = true
		}
	}
}

// readable tells whether s may be read: a destination that owns its cursor has
// said from where, a scheduled one is awake.
func (l *loop) readable(s *source, now time.Time, next *time.Time) bool {
	if !s.ready {
		if !s.asked && !now.Before(s.askAt) {
			s.asked = true
			l.ask(s)
		}
		if !s.asked {
			*next = earliest(*next, s.askAt)
		}
		return false
	}
	return l.desc.Every == 0 || l.schedule.goals != nil
}

// appetite is how many events the hungriest lane wants: one that may send now and
// has less than a full batch. If there is nothing more to read, the log is to wake
// the loop when a batch has come together.
func (l *loop) appetite(now time.Time, next *time.Time) int {
	most := 0
	for _, ln := range l.lanes {
		if l.mayLaunch(ln, now, nil) {
			most = max(most, ln.batcher.limits.MaxItems-ln.fullest(now))
		}
	}
	return most
}

// fullest is how many items the fullest request would have that may go now. What waits in
// other groups does not fill it, nor does what the rate of its own group holds back.
func (ln *lane) fullest(now time.Time) (most int) {
	for _, q := range ln.batcher.order {
		if q.len() > most && !ln.held(q.id.group, now) {
			most = q.len()
		}
	}
	return most
}

// held tells whether the rates of a group let nothing pass now.
func (ln *lane) held(group string, now time.Time) bool {
	if ln.rates == 0 {
		return false
	}
	own := ln.bucketsOf(group, now)[len(ln.buckets):]
	return slices.ContainsFunc(own, func(b *bucket) bool { return b.wait(now, 1) > 0 })
}

// readSome reads, routes and translates up to n events.
func (l *loop) readSome(s *source, n int, now time.Time) bool {
	l.records = l.records[:0]
	for room := s.most - s.bytes; len(l.records) < n && room > 0; {
		had := len(l.records)
		l.mu.Lock()
		l.records = s.cursor.read(l.records, min(n-had, readBurst), room)
		l.account.open += uint64(len(l.records) - had)
		l.mu.Unlock()
		if len(l.records) == had {
			break
		}
		for _, r := range l.records[had:] {
			room -= len(r.body)
		}
	}
	if len(l.records) == 0 {
		l.arm(s)
		return false
	}
	l.budget -= len(l.records)
	total := 0
	entries := make([]entry, len(l.records))
	l.items = make([]item, len(l.records))
	for i, r := range l.records {
		e := &entries[i]
		e.source, e.record, e.call, e.bytes = s, r, calls[r.flags.call()], len(r.body)
		if e.since = e.accepted(); e.since.After(now) {
			e.since = now
		}
		if e.past = s.recall(r.seq); e.past != nil {
			e.sent = e.past.sent
			s.marked++
		}
		s.window = append(s.window, e)
		s.read = r.seq + 1
		if l.ctx.Err() == nil {
			l.prepare(e)
		}
		s.bytes += e.bytes
		total += e.bytes
	}
	l.typical = total / len(entries)
	l.commit()
	clear(l.records)
	l.items = nil
	return true
}

// arm asks the log for a signal when a batch has come together: for a lane that has
// nothing yet any event will do, since its time begins to run.
func (l *loop) arm(s *source) {
	if l.desc.Every > 0 {
		return
	}
	events, bytes := 0, 0
	for _, ln := range l.lanes {
		b := &ln.batcher
		room := max(b.limits.MaxBytes-b.limits.Overhead-b.bytes, 1)
		switch missing := max(min(b.trigger-b.items, room/max(l.typical, 1)), 1); {
		case !l.mayLaunch(ln, time.Time{}, nil):
		case b.items == 0:
			events, bytes = 1, 1
		case events == 0 || missing < events:
			events, bytes = missing, room
		}
	}
	s.cursor.arm(max(events, 1), max(bytes, 1), false)
}

// shrink drops what is resolved at the front of the window.
func (s *source) shrink() {
	n := 0
	for n < len(s.window) && s.window[n].resolved {
		s.bytes -= s.window[n].bytes
		if s.window[n].past != nil {
			s.marked--
		}
		n++
	}
	s.window = slices.Delete(s.window, 0, n)
}

// commit tells the logs what is finished.
func (l *loop) commit() {
	for _, s := range l.sources {
		if len(s.done) == 0 {
			continue
		}
		slices.Sort(s.done)
		l.spans = l.spans[:0]
		for _, seq := range s.done {
			if n := len(l.spans); n > 0 && l.spans[n-1].to == seq {
				l.spans[n-1].to++
			} else {
				l.spans = append(l.spans, span{seq, seq + 1})
			}
		}
		s.done = s.done[:0]
		s.shrink()
		s.cursor.finish(l.spans)
	}
}

// prepare routes and translates an event, and queues its items.
func (l *loop) prepare(e *entry) {
	items, reason, err := l.translate(e)
	if reason != ReasonNone {
		if reason.filters() {
			l.settle(e, Filtered, reason, nil)
		} else {
			l.settle(e, Dropped, reason, err)
		}
		return
	}
	e.left = len(items)
	for i := range items {
		if len(l.items) == 0 {
			l.items = make([]item, len(items)-i)
		}
		it := &l.items[0]
		l.items = l.items[1:]
		it.Item, it.event = items[i], e
		l.enqueue(it)
	}
}

func (l *loop) translate(e *entry) (items []Item, reason Reason, err error) {
	r := &e.record
	body := text(r.body)
	if reason = l.router.route(r.flags, body); reason != ReasonNone {
		return nil, reason, nil
	}
	if l.raw != nil {
		l.header = Header{AcceptedAt: e.accepted(), Log: e.source.log.id(), Seq: r.seq, HasMetadata: r.flags&flagMetadata != 0}
		l.header.scan(r.body)
		e.messageID = l.header.MessageID
		items = l.one[:]
		err = l.translateRaw(r.body)
		l.fillIn(items, l.header.MessageID, l.header.Key())
	} else {
		ev, decodeErr := l.events.get(e.source.log.id(), r.seq, r.body)
		if decodeErr != nil {
			return nil, ReasonCorrupt, decodeErr
		}
		e.messageID = ev.MessageID
		err = protect(l.dest, func() (err error) {
			items, err = l.dest.Translate(ev)
			return err
		})
		l.fillIn(items, ev.MessageID, cmp.Or(ev.UserID, ev.AnonymousID))
	}
	judged := protect(l.dest, func() error {
		reason, err = reasonOf(items, err)
		return nil
	})
	if judged != nil {
		return nil, ReasonPanic, judged
	}
	return items, reason, err
}

// reasonOf takes what Translate returned apart. The text of its error is made here,
// where its methods may panic.
func reasonOf(items []Item, err error) (Reason, error) {
	var dropped *dropError
	switch {
	case err == nil && len(items) > 0:
		return ReasonNone, nil
	case err == nil, errors.Is(err, ErrIgnored):
		return ReasonIgnored, nil
	case errors.As(err, &dropped):
		return ReasonPlugin, nil
	case errors.Is(err, errPanic):
		return ReasonPanic, err
	}
	return ReasonInvalid, &textError{err.Error(), err}
}

// translateRaw translates into l.one. It is protect without a closure, since this is
// done for every event of the cloud mode.
func (l *loop) translateRaw(raw []byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(l.dest, v)
		}
	}()
	l.one[0], err = l.raw.TranslateRaw(&l.header, raw)
	return err
}

func (l *loop) fillIn(items []Item, id, key string) {
	for i := range items {
		items[i].ID = cmp.Or(items[i].ID, id)
		items[i].Key = cmp.Or(items[i].Key, key)
	}
}

// enqueue puts an item into its lane, behind the others of its key.
func (l *loop) enqueue(it *item) {
	ln := l.lane(it.Lane)
	if ln == nil {
		l.resolve(it, Dropped, ReasonInvalid, invalid("Item.Lane", "is not one of the destination's lanes"))
		return
	}
	limits := &ln.batcher.limits
	size := cmp.Or(it.Size, len(it.Body))
	it.size = size + limits.ItemOverhead
	if l.raw == nil { // a raw item is the event itself
		it.event.bytes += size
	}
	if size > limits.MaxItemBytes {
		l.resolve(it, Dropped, ReasonInvalid, invalid("Item.Body", "has %d bytes, the limit of the destination is %d", size, limits.MaxItemBytes))
		return
	}
	it.lane = ln
	if l.desc.Order != Unordered {
		if l.desc.Order == PerKey {
			it.key = it.Key
		}
		it.event.source.queueKey(it)
	}
	if p := it.event.past; p != nil {
		it.inherit(p)
	}
	if it.after.IsZero() {
		ln.batcher.add(it)
	} else {
		ln.delayed = append(ln.delayed, it)
	}
}

// queueKey links an item behind the last unresolved one of its key.
func (s *source) queueKey(it *item) {
	last, ok := s.lines[it.key]
	if ok {
		it.prev, last.next, it.key = last, it, last.key
	} else {
		it.key = strings.Clone(it.key) // the map is not to hold on to the event
	}
	s.lines[it.key] = it
}

// unlink takes a resolved item out of the line of its key and lets the next one go.
func (l *loop) unlink(it *item) {
	if l.desc.Order == Unordered || it.lane == nil {
		return
	}
	s := it.event.source
	switch {
	case it.next != nil:
		it.next.prev = it.prev
	case it.prev != nil:
		s.lines[it.key] = it.prev
	default:
		delete(s.lines, it.key)
	}
	if it.prev != nil {
		it.prev.next = it.next
	}
	if it.next != nil && it.next.parked && it.prev == nil {
		it.next.lane.batcher.putBack(it.next)
	}
	it.prev, it.next = nil, nil
}

// ask asks a destination that owns its cursor where it stands.
func (l *loop) ask(s *source) {
	s.asked = true
	go func() {
		ctx, cancel := context.WithTimeout(l.ctx, defaultTimeout)
		r := result{source: s, err: errGoexit}
		defer func() {
			cancel()
			l.hand(r)
		}()
		r.err = protect(l.dest, func() (err error) {
			r.next, r.ok, err = l.position.Position(ctx, s.log.id())
			return hideURLs(err)
		})
	}()
}

// placed takes the answer of Position.
func (l *loop) placed(r result, now time.Time) {
	s := r.source
	s.asked = false
	if r.err != nil {
		s.askAt = now.Add(s.retry.Next())
		if !s.mute {
			s.mute = true
			l.log.Warn("destination does not tell its position", "destination", l.name, "error", r.err)
		}
		return
	}
	if r.ok {
		l.mu.Lock()
		before := s.cursor.state()
		gone, ok := s.cursor.seek(r.next)
		if ok {
			l.account.place(before, s.cursor.state(), gone)
		}
		l.mu.Unlock()
		if !ok {
			s.askAt = now.Add(probePause)
			l.complain(ReasonNone, s, errBeyond, now)
			return
		}
	}
	st := s.cursor.state()
	s.ready, s.read, s.covered = true, st.done, st.done
	if l.refused.by == s {
		l.resume(now)
	}
}

var errBeyond = errors.New("its position lies beyond the end of the log")
