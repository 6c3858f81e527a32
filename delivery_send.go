package analytics

import (
	"context"
	"errors"
	"slices"
	"time"
)

// mayLaunch tells whether ln may send a request now. If only the time keeps it from
// doing so, next is brought forward to when that has passed.
func (l *loop) mayLaunch(ln *lane, now time.Time, next *time.Time) bool {
	if l.ctx.Err() != nil || ln.flying >= ln.pace.allowed() || l.refused.active && l.inflight > 0 || ln.breaker.Open() && ln.flying > 0 {
		return false
	}
	at := latest(ln.paused, ln.breaker.Until())
	if l.refused.active {
		at = latest(at, l.refused.probe)
	}
	if !at.After(now) || next == nil {
		return true
	}
	*next = earliest(*next, at)
	return false
}

// launch starts one delivery of ln, if there is one to start, and tells whether
// there may be more.
func (l *loop) launch(ln *lane, now time.Time, next *time.Time) bool {
	ln.wakeDelayed(now, next)
	owed := l.owed(now, next)
	if ln.batcher.items == 0 && len(ln.waiting) == 0 && owed == nil || !l.mayLaunch(ln, now, next) {
		return false
	}
	if ln.breaker.Open() {
		ln.probes++
	}
	fresh := ln.breaker.Open() && ln.probes%2 == 0 // what has failed before may be what is bad
	if fresh && l.launchNew(ln, now, next) {
		return true
	}
	if f := l.takeWaiting(ln, now, next); f != nil {
		l.send(f, now)
		return true
	}
	held := ln.starved || ln.breaker.Open() && len(ln.waiting) > 0
	if !fresh && !held && l.launchNew(ln, now, next) {
		return true
	}
	if owed != nil {
		l.send(&flight{lane: ln, source: owed, owed: true, from: owed.covered, to: owed.read}, now)
		return true
	}
	return false
}

// launchNew cuts a batch and sends it.
func (l *loop) launchNew(ln *lane, now time.Time, next *time.Time) bool {
	b := &ln.batcher
	q, due := b.due(now, l.eager(), func(q *queue) bool {
		wait := ln.rateWait(q.id.group, now, min(q.len(), ln.most()))
		if wait > 0 {
			*next = earliest(*next, now.Add(wait))
		}
		return wait == 0
	})
	if q == nil {
		*next = earliest(*next, due)
		return false
	}
	f := &flight{lane: ln, source: q.id.source}
	b.cut(q, f, ln.room(q.id.group, now))
	f.inherit()
	l.expire(f, now)
	if len(f.items) > 0 {
		l.cover(f)
		l.send(f, now)
	}
	return true
}

// cover names the range of a new batch. With Total order and one lane it reaches
// from the end of the batch before to the next event that has items.
func (l *loop) cover(f *flight) {
	last := f.items[len(f.items)-1]
	if !l.tiled() {
		f.from, f.to = f.items[0].event.record.seq, last.event.record.seq+1
		for _, it := range f.items {
			f.from, f.to = min(f.from, it.event.record.seq), max(f.to, it.event.record.seq+1)
		}
		return
	}
	f.from, f.to = f.source.covered, f.source.read
	if last.next != nil {
		f.to = last.next.event.record.seq
	}
}

// owedEvents is how many events may be filtered in a row before a destination that
// owns its cursor is told of them, even if no batch is due.
const owedEvents = 1_000

// owed finds a log of which a destination that owns its cursor is to be told that
// nothing of a range was for it.
func (l *loop) owed(now time.Time, next *time.Time) *source {
	if l.position == nil || l.inflight > 0 {
		return nil
	}
	for _, s := range l.sources {
		if s.ready && len(s.lines) == 0 && (s.read-s.covered >= owedEvents || s.read > s.covered && l.eager()) {
			if l.owedAt.After(now) {
				*next = earliest(*next, l.owedAt)
				return nil
			}
			return s
		}
	}
	return nil
}

// wakeDelayed queues the items whose time has come.
func (ln *lane) wakeDelayed(now time.Time, next *time.Time) {
	ln.delayed = slices.DeleteFunc(ln.delayed, func(it *item) bool {
		if it.after.After(now) {
			*next = earliest(*next, it.after)
			return false
		}
		ln.batcher.putBack(it)
		return true
	})
}

// takeWaiting returns the waiting batch whose time has come first. The probe of an
// open breaker needs only to respect what the tool said.
func (l *loop) takeWaiting(ln *lane, now time.Time, next *time.Time) *flight {
	best := -1
	ln.starved = false
	for i, f := range ln.waiting {
		due := f.due
		if ln.breaker.Open() || l.refused.active {
			due = f.floor
		}
		if due.After(now) {
			*next = earliest(*next, due)
			continue
		}
		if wait := ln.rateWait(f.group(), now, len(f.items)); wait > 0 {
			ln.starved = true
			*next = earliest(*next, now.Add(wait))
			continue
		}
		if best < 0 || f.due.Before(ln.waiting[best].due) {
			best = i
		}
	}
	if best < 0 {
		return nil
	}
	f := ln.waiting[best]
	ln.waiting = slices.Delete(ln.waiting, best, best+1)
	l.admit(f)
	l.expire(f, now)
	if len(f.items) == 0 && !f.owed {
		return l.takeWaiting(ln, now, next)
	}
	return f
}

// admit gives back the items of a split batch that have to wait for another of
// their key.
func (l *loop) admit(f *flight) {
	if !f.apart || l.desc.Order == Unordered {
		return
	}
	f.apart = false
	f.items = slices.DeleteFunc(f.items, func(it *item) bool {
		if !it.waits(f) {
			return false
		}
		it.flight, it.parked = nil, true
		return true
	})
}

// expire drops the items of f that are too old to be sent.
func (l *loop) expire(f *flight, now time.Time) {
	limit := now.Add(-l.cfg.MaxAge)
	f.items = slices.DeleteFunc(f.items, func(it *item) bool {
		if !it.event.accepted().Before(limit) {
			return false
		}
		l.resolve(it, Dropped, ReasonExpired, it.event.err)
		return true
	})
}

// send hands a batch to Deliver, on a goroutine of its own. The adapter gets a copy
// of the list, so that what it does to it does not matter.
func (l *loop) send(f *flight, now time.Time) {
	ln := f.lane
	for _, b := range ln.bucketsOf(f.group(), now) {
		b.take(len(f.items))
	}
	batch := &Batch{Lane: ln.name, Log: f.source.log.id(), From: f.from, To: f.to, Items: make([]Item, len(f.items)), Attempt: f.sent}
	for i, it := range f.items {
		batch.Items[i] = it.Item
		if i == 0 || it.sent < batch.Attempt {
			batch.Attempt = it.sent
		}
	}
	for _, it := range f.items {
		it.sent++
		it.event.aloft++
		it.event.sent = max(it.event.sent, it.sent)
	}
	if f.sent == 0 {
		f.wins = ln.wins
	}
	f.sent++
	f.started = now
	ln.flying++
	l.inflight++
	l.mu.Lock()
	l.account.requests++
	l.account.flying++
	if batch.Attempt > 0 {
		l.account.retries++
	}
	l.mu.Unlock()
	go l.deliver(f, batch)
}

// deliver calls Deliver. Whatever happens in there, a panic or the end of the
// goroutine, becomes a result.
func (l *loop) deliver(f *flight, batch *Batch) {
	ctx, cancel := context.WithTimeout(l.ctx, f.lane.batcher.limits.Timeout)
	r := result{flight: f}
	r.judge(errGoexit)
	defer func() {
		cancel()
		l.hand(r)
	}()
	err := protect(l.dest, func() error {
		r.judge(l.dest.Deliver(ctx, batch))
		return nil
	})
	if err != nil {
		r.judge(err)
	}
}

// hand brings a result to the loop, if it still runs.
func (l *loop) hand(r result) {
	select {
	case l.results <- r:
	case <-l.gone:
	}
}

var errGoexit = errors.New("Deliver ended its goroutine")

func (f *flight) group() string {
	if len(f.items) == 0 {
		return ""
	}
	return f.items[0].Group
}

// most is how many items the next batch of the lane may have.
func (ln *lane) most() int {
	n := ln.batcher.limits.MaxItems
	if ln.size > 0 {
		n = min(n, ln.size)
	}
	for _, r := range ln.batcher.limits.Rates {
		if m := r.most(); m > 0 {
			n = min(n, m)
		}
	}
	return n
}

// rateWait is how long the rates want a request of n items of a group to wait.
func (ln *lane) rateWait(group string, now time.Time, n int) (wait time.Duration) {
	for _, b := range ln.bucketsOf(group, now) {
		wait = max(wait, b.wait(now, n))
	}
	return wait
}

// room is how many items the next batch of a group may have at the most, now that it
// does not have to wait.
func (ln *lane) room(group string, now time.Time) int {
	n := ln.most()
	for _, b := range ln.bucketsOf(group, now) {
		if b.rate.Items > 0 {
			n = min(n, int(b.items+1e-9))
		}
	}
	return max(n, 1)
}

// groupBuckets is how many groups have rates of their own at a time; beyond, those
// that are full again are forgotten.
const groupBuckets = 1_000

func (ln *lane) bucketsOf(group string, now time.Time) []*bucket {
	if ln.rates == 0 {
		return ln.buckets
	}
	own, ok := ln.groups[group]
	if !ok {
		if len(ln.groups) >= max(ln.scanAt, groupBuckets) {
			for name, buckets := range ln.groups {
				if !slices.ContainsFunc(buckets[len(ln.buckets):], func(b *bucket) bool { return !b.full(now) }) {
					delete(ln.groups, name)
				}
			}
			ln.scanAt = 2 * len(ln.groups)
		}
		own = slices.Clip(slices.Clone(ln.buckets))
		for _, r := range ln.batcher.limits.Rates {
			if r.PerGroup {
				own = append(own, newBucket(r, now))
			}
		}
		ln.groups[group] = own
	}
	return own
}

// pace adapts how many requests a lane has under way: one more for each round of
// successes, half as many when the tool throttles or answers slowly.
type pace struct {
	limit float64
	most  int
	best  time.Duration // round trip, forgotten slowly
}

// slowMargin keeps the jitter of fast round trips from looking like congestion.
const slowMargin = 20 * time.Millisecond

func (p *pace) allowed() int { return max(int(p.limit), 1) }

func (p *pace) succeed(trip time.Duration) {
	if p.best == 0 || trip < p.best {
		p.best = trip
	}
	if trip > p.best*3/2 && trip > p.best+slowMargin {
		p.slow()
	} else {
		p.limit = max(p.limit, 1)
		p.limit = min(p.limit+1/p.limit, float64(p.most))
	}
	p.best += p.best / 64
}

func (p *pace) slow() { p.limit = max(p.limit/2, 1) }
