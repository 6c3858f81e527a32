package analytics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// flushRequest is a Flush that waits for this destination.
type flushRequest struct {
	goal     uint64          // of the client's own log
	deadline time.Time       // zero: none
	given    <-chan struct{} // closed: nobody waits any more
	done     chan Pending
}

// answer ends the flushes that are over: all they wait for has an outcome, or all
// that is left waits for longer than they do.
func (l *loop) answer(now, next time.Time) time.Time {
	l.note()
	if len(l.flushes) == 0 {
		return next
	}
	own := l.sources[0]
	done := own.cursor.state().done
	busy := l.inflight > 0 || slices.ContainsFunc(l.sources, func(s *source) bool { return s.asked })
	l.flushes = slices.DeleteFunc(l.flushes, func(r *flushRequest) bool {
		select {
		case <-r.given:
			return true
		default:
		}
		switch {
		case own.ready && done >= r.goal && (l.position == nil || own.covered >= min(r.goal, own.read)):
			r.done <- Pending{}
		case !busy && !r.deadline.IsZero() && (next.IsZero() || next.After(r.deadline)):
			r.done <- l.pending()
		default:
			return false
		}
		return true
	})
	return next
}

// note keeps what the destination waits for where others can see it.
func (l *loop) note() {
	state := ""
	switch {
	case l.refused.active:
		state = "unauthorized"
	case slices.ContainsFunc(l.sources, func(s *source) bool { return !s.ready }):
		state = "position"
	case slices.ContainsFunc(l.lanes, func(ln *lane) bool { return ln.paused.After(time.Now()) }):
		state = "retry after"
	case slices.ContainsFunc(l.lanes, func(ln *lane) bool { return ln.breaker.Open() || len(ln.waiting) > 0 || len(ln.delayed) > 0 }):
		state = "retry"
	case l.inflight > 0:
		state = "in flight"
	}
	l.count(func(a *account) { a.state = state })
	if l.report == nil {
		return
	}
	for _, s := range l.sources {
		evicted := s.cursor.state().evicted
		for why, n := range evicted {
			if more := n - s.reported[why]; more > 0 {
				l.report(Outcome{Destination: l.name, Status: Dropped, Reason: Reason(why), Events: int(more)})
			}
		}
		s.reported = evicted
	}
}

// flush waits until everything accepted so far has an outcome at this destination.
// What it returns is what is left: no events if all have one.
func (l *loop) flush(ctx context.Context) Pending {
	if ctx.Err() != nil {
		return l.pending()
	}
	given := make(chan struct{})
	defer close(given)
	r := &flushRequest{given: given, done: make(chan Pending, 1)}
	r.deadline, _ = ctx.Deadline()
	select {
	case l.requests <- func(time.Time) {
		r.goal = l.sources[0].log.end()
		l.flushes = append(l.flushes, r)
	}:
	case <-l.gone:
		return l.pending()
	case <-ctx.Done():
		return l.pending()
	}
	select {
	case p := <-r.done:
		return p
	case <-l.gone:
	case <-ctx.Done():
	}
	return l.pending()
}

// call runs f on the goroutine of the loop and waits for it, unless the loop ends.
func (l *loop) call(f func()) {
	done := make(chan struct{})
	select {
	case l.requests <- func(time.Time) { f(); close(done) }:
		<-done
	case <-l.gone:
	}
}

// shut ends the loop and closes the destination. What is under way is cancelled
// and given 100 ms. What it returns is what has no outcome but that of Close.
func (l *loop) shut(ctx context.Context) (Pending, error) {
	l.cancel()
	grace := time.NewTimer(abandonAfter)
	defer grace.Stop()
	select {
	case <-l.ending:
	case <-grace.C:
		return l.pending(), fmt.Errorf("%s: is stuck in foreign code and was abandoned", l.name)
	}
	grace.Reset(accountingTime)
	select {
	case <-l.gone:
	case <-grace.C:
		return l.pending(), fmt.Errorf("%s: takes too long to account for what is left", l.name)
	}
	closer, ok := as[Closer](l.dest)
	if !ok {
		return l.left, nil
	}
	done := make(chan error, 1)
	go func() { done <- protect(l.dest, func() error { return closer.Close(ctx) }) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		grace.Reset(abandonAfter)
		select {
		case err = <-done:
		case <-grace.C:
			err = errors.New("Close ignores its context and was abandoned")
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", l.name, err)
	}
	return l.left, err
}

// accountingTime is how long Close waits for a loop to write down what is left.
const accountingTime = 5 * time.Second

// end waits a moment for what is under way and accounts for what is left.
func (l *loop) end() {
	grace := time.NewTimer(abandonAfter)
	defer grace.Stop()
	now := time.Now()
	for waiting := true; waiting && l.inflight > 0; {
		select {
		case r := <-l.results:
			l.handleLate(r, now)
		case <-grace.C:
			waiting = false
		}
	}
	if l.inflight > 0 {
		l.log.Warn("deliveries ignore their context and were abandoned", "destination", l.name, "requests", l.inflight)
		for _, s := range l.sources {
			s.log.retain()
		}
	}
	l.left = l.pending()
	for _, s := range l.sources {
		if !s.log.durable() {
			l.giveUp(s)
		}
	}
	l.commit()
	l.keep(now, true)
	l.note()
	for _, r := range l.flushes {
		r.done <- l.left
	}
	l.flushes = nil
}

// handleLate takes an answer that comes after the deliveries were cancelled: what
// is certain counts, what is not may have arrived.
func (l *loop) handleLate(r result, now time.Time) {
	switch {
	case r.source != nil:
	case r.items != nil, r.word == nil, r.word.word == WordPermanent:
		l.handle(r, now)
	default: // its items stay aloft
		l.inflight--
		l.count(func(a *account) { a.flying-- })
	}
}

// giveUp drops what is left of a log that ends with the process.
func (l *loop) giveUp(s *source) {
	why := ReasonClosed
	if l.refused.active {
		why = ReasonUnauthorized
	}
	for _, e := range s.window {
		if e.resolved {
			continue
		}
		reason := why
		if e.aloft > 0 {
			reason = ReasonClosedUnknown
		}
		l.settle(e, Dropped, reason, e.err)
	}
	s.window = nil
	for {
		l.mu.Lock()
		l.records = s.cursor.read(l.records[:0], readChunk, windowBytes)
		l.account.open += uint64(len(l.records))
		l.mu.Unlock()
		if len(l.records) == 0 {
			return
		}
		for _, r := range l.records {
			e := &entry{source: s, record: r, call: calls[r.flags.call()]}
			if reason := l.router.route(r.flags, text(r.body)); reason != ReasonNone {
				l.settle(e, Filtered, reason, nil)
			} else {
				l.settle(e, Dropped, why, nil)
			}
		}
		l.commit()
	}
}
