package analytics

import (
	"errors"
	"time"

	"github.com/tributary-dev/analytics/internal/retry"
)

// handle takes the answer of one Deliver.
func (l *loop) handle(r result, now time.Time) {
	if r.source != nil {
		l.placed(r, now)
		return
	}
	f, to := r.flight, r.flight.to
	l.landed(f)
	if f.owed {
		l.told(r, now)
		return
	}
	w := r.word
	switch {
	case r.items != nil:
		l.handleItems(f, r.items, now)
	case w == nil:
		l.won(f, now)
		l.restored(now)
		l.resolveAll(f, Delivered, ReasonNone, nil)
	case w.word == WordAgain:
		l.failed(f, w, now)
	case w.word == WordRetryAfter:
		f.lane.pace.slow()
		f.lane.pause(f, w.after, now)
		l.stillRefused(now)
		l.count(func(a *account) { a.throttled++ })
		l.wait(f, w, now)
	case w.word == WordRetryAtMost:
		f.atMost++
		l.failed(f, w, now)
	case w.word == WordUnauthorized:
		l.complain(ReasonUnauthorized, nil, w, now)
		f.due, f.floor = now, now
		l.wait(f, w, now)
	case w.word == WordSplit && len(f.items) > 1:
		l.works(f, now)
		l.restored(now)
		l.split(f, false, now)
	default:
		l.won(f, now)
		l.restored(now)
		l.resolveAll(f, Dropped, ReasonRejected, w)
	}
	if l.tiled() {
		l.advance(f.source, to)
	}
}

// told takes the answer to a range without items. If it was not taken, the range is
// told again later, with what has come behind it.
func (l *loop) told(r result, now time.Time) {
	f := r.flight
	switch {
	case r.word == nil:
		l.won(f, now)
		l.restored(now)
		l.owedAt, l.owedWait = time.Time{}, retry.Backoff{}
		l.advance(f.source, f.to)
		return
	case r.word.word == WordUnauthorized:
		l.complain(ReasonUnauthorized, nil, r.word, now)
	case r.word.word == WordRetryAfter:
		f.lane.pause(f, r.word.after, now)
	default:
		f.lane.breaker.Fail(now)
	}
	l.stillRefused(now)
	l.owedAt = now.Add(max(l.owedWait.Next(), r.word.after))
}

// landed takes note that a delivery has come back.
func (l *loop) landed(f *flight) {
	f.lane.flying--
	l.inflight--
	for _, it := range f.items {
		it.event.aloft--
	}
	l.count(func(a *account) { a.flying-- })
}

// works takes note that the tool answers.
func (l *loop) works(f *flight, now time.Time) {
	f.lane.pauses.Reset()
	f.lane.pace.succeed(now.Sub(f.started))
	if f.lane.breaker.Succeed() {
		f.lane.release(now)
	}
}

// won takes note that a batch got through: the tool has taken or judged it.
func (l *loop) won(f *flight, now time.Time) {
	l.works(f, now)
	ln := f.lane
	ln.wins++
	if ln.size > 0 {
		if ln.size *= 2; ln.size >= ln.batcher.limits.MaxItems {
			ln.size = 0
		}
	}
}

// release makes everything that waits due, but for what the tool itself put off.
func (ln *lane) release(now time.Time) {
	for _, w := range ln.waiting {
		w.due = latest(now, w.floor)
	}
}

// pause keeps the lane quiet as long as the tool said.
func (ln *lane) pause(f *flight, d time.Duration, now time.Time) {
	if d <= 0 {
		d = ln.pauses.Next()
	}
	ln.paused = latest(ln.paused, now.Add(d))
	f.due, f.floor = ln.paused, ln.paused
}

// complain pauses the whole destination: it refuses our credentials, or its
// position cannot be true.
func (l *loop) complain(why Reason, by *source, err error, now time.Time) {
	first := !l.refused.active || l.refused.untold
	l.refused = refusal{active: true, by: by, probe: now.Add(probePause)}
	if !first {
		return
	}
	l.log.Warn("destination is paused", "destination", l.name, "error", err)
	if l.report != nil {
		l.report(Outcome{Destination: l.name, Status: Paused, Reason: why, Err: err})
	}
}

// stillRefused puts off the probe of a paused destination whose answer said neither
// yes nor no.
func (l *loop) stillRefused(now time.Time) {
	if l.refused.active {
		l.refused.probe = now.Add(probePause)
	}
}

// restored ends the pause of complain, now that our credentials are accepted.
func (l *loop) restored(now time.Time) {
	if l.refused.active && l.refused.by == nil {
		l.resume(now)
	}
}

func (l *loop) resume(now time.Time) {
	l.refused = refusal{}
	for _, ln := range l.lanes {
		ln.release(now)
	}
	l.log.Info("destination is back", "destination", l.name)
}

// wait keeps a batch, as it is, for its next try.
func (l *loop) wait(f *flight, err error, now time.Time) {
	p := f.past(now)
	for _, it := range f.items {
		it.event.err = err
		it.event.remember(p)
	}
	f.lane.waiting = append(f.lane.waiting, f)
}

// failed counts a failure and decides whether the batch is tried again. A failure
// counts against a batch only if another got through since its last try: in an
// outage nothing counts but age.
func (l *loop) failed(f *flight, w *wordError, now time.Time) {
	ln := f.lane
	ln.breaker.Fail(now)
	l.stillRefused(now)
	f.tries++
	if ln.wins > f.wins {
		f.blamed++
		f.backoff.Reset() // the tool works
	}
	f.wins = ln.wins
	switch {
	case w.word == WordRetryAtMost && f.atMost > w.n, l.cfg.MaxAttempts > 0 && f.tries >= l.cfg.MaxAttempts:
		l.resolveAll(f, Dropped, ReasonAttempts, w)
		return
	case f.blamed >= blameLimit, f.suspect && f.blamed > 0 && len(f.items) > 1:
		if len(f.items) > 1 {
			l.split(f, true, now)
			return
		}
		reason := ReasonAttempts
		if errors.Is(w, errPanic) {
			reason = ReasonPanic
		}
		l.resolveAll(f, Dropped, reason, w)
		return
	}
	pause := f.backoff.Next()
	if w.word == WordRetryAtMost && w.after > 0 {
		pause = w.after
	}
	f.floor = now.Add(w.after)
	f.due = latest(now.Add(pause), f.floor)
	l.wait(f, w, now)
}

// split halves a batch. Both halves are tried at once, each from its own start.
func (l *loop) split(f *flight, suspect bool, now time.Time) {
	l.count(func(a *account) { a.splits++ })
	n := l.middle(f.items)
	f.lane.size = n
	mid := f.items[n].event.record.seq
	for _, half := range []*flight{
		{items: f.items[:n:n], from: f.from, to: mid},
		{items: f.items[n:], from: mid, to: f.to},
	} {
		half.lane, half.source, half.suspect, half.apart = f.lane, f.source, suspect, true
		half.sent, half.tries, half.wins = f.sent, f.tries, f.lane.wins
		half.due, half.floor = now, now
		p := half.past(now)
		for _, it := range half.items {
			it.flight = half
			it.event.remember(p)
		}
		f.lane.waiting = append(f.lane.waiting, half)
	}
	f.items = nil
}

// middle is where to cut a batch in two: between events where ranges tile the log, so
// that a range ends with whole events.
func (l *loop) middle(items []*item) int {
	half := len(items) / 2
	if !l.tiled() {
		return half
	}
	for n := half; n > 0; n-- {
		if items[n-1].event != items[n].event {
			return n
		}
	}
	for n := half + 1; n < len(items); n++ {
		if items[n-1].event != items[n].event {
			return n
		}
	}
	return half // it is one event
}

// handleItems takes an answer that names items.
func (l *loop) handleItems(f *flight, answer *BatchError, now time.Time) {
	words := make([]*wordError, len(f.items))
	arrived, refused, failed := len(f.items), false, false
	for i, err := range answer.Items {
		if i < 0 || i >= len(words) {
			l.log.Warn("destination answered for an item that was not in the batch", "destination", l.name)
			continue
		}
		if err == nil {
			continue
		}
		words[i] = wordOf(err)
		switch words[i].word {
		case WordUnauthorized:
			refused = true
			arrived--
		case WordAgain, WordRetryAtMost:
			failed = true
			arrived--
		case WordRetryAfter:
			arrived--
		}
	}
	if arrived > 0 || len(f.items) == 0 {
		l.won(f, now)
		if !refused {
			l.restored(now)
		}
	} else {
		l.stillRefused(now)
		if failed {
			f.lane.breaker.Fail(now)
		}
	}
	blame := arrived > 0 || f.lane.wins > f.wins
	for i, it := range f.items {
		w := words[i]
		switch {
		case w == nil:
			if it.prev != nil {
				l.count(func(a *account) { a.overtaken++ })
			}
			l.resolve(it, Delivered, ReasonNone, nil)
		case w.word == WordPermanent, w.word == WordSplit:
			l.resolve(it, Dropped, ReasonRejected, w)
		default:
			l.retryItem(it, w, blame, now)
		}
	}
}

// retryItem gives one item back, or drops it if it has failed too often.
func (l *loop) retryItem(it *item, w *wordError, blame bool, now time.Time) {
	it.flight, it.event.err = nil, w
	pause := w.after
	switch w.word {
	case WordUnauthorized:
		l.complain(ReasonUnauthorized, nil, w, now)
		it.event.remember(it.past(time.Time{}))
		it.lane.batcher.putBack(it)
		return
	case WordAgain:
		it.failed++
		if blame {
			it.blamed++
		}
		if it.blamed >= blameLimit || l.cfg.MaxAttempts > 0 && it.failed >= l.cfg.MaxAttempts {
			l.resolve(it, Dropped, ReasonAttempts, w)
			return
		}
		pause = max(it.pause(), w.after)
	case WordRetryAtMost:
		if it.atMost++; it.atMost > w.n {
			l.resolve(it, Dropped, ReasonAttempts, w)
			return
		}
	}
	if pause <= 0 {
		pause = it.pause()
	}
	it.after = now.Add(pause)
	floor := it.after
	if w.after <= 0 { // nobody asked for it
		floor = time.Time{}
	}
	it.event.remember(it.past(floor))
	it.lane.delayed = append(it.lane.delayed, it)
}

// pause is the backoff of an item by itself, from how often it was sent.
func (it *item) pause() time.Duration {
	var b retry.Backoff
	for range min(it.sent, 8) - 1 {
		b.Next()
	}
	return b.Next()
}

// advance moves the end of the ranges that were named behind a batch that has come
// back: to its end, or to the first event that is still to come. So ranges never
// overlap, and a gap between two that arrived is what was dropped.
func (l *loop) advance(s *source, to uint64) {
	s.shrink()
	if len(s.window) > 0 {
		to = min(to, s.window[0].record.seq)
	}
	s.covered = max(s.covered, to)
}
