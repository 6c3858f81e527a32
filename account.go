package analytics

import (
	"slices"
	"strings"
	"time"
)

// Stats is what a client has done, one snapshot per destination. For each of them
//
//	Accepted = Delivered + Filtered + Dropped + Pending
//
// holds at every moment, counted in events.
type Stats struct {
	// Accepted is how many calls returned nil with an event in the log; Refused how
	// many failed with ErrQueueFull; Filtered how many events a plugin of the client
	// dropped.
	Accepted, Refused, Filtered uint64

	// QueueBytes of QueueLimit are in use.
	QueueBytes, QueueLimit int64

	// Spool is what there is to know of the spool; zero without one.
	Spool SpoolStats

	// OutcomesLost is how many events had an outcome that OnOutcome was too slow for. LettersLost is
	// how many dead letters could not be written.
	OutcomesLost, LettersLost uint64

	Destinations map[string]DestinationStats
}

// DestinationStats is the account of one destination.
type DestinationStats struct {
	// Accepted counts what was there for the destination when the client was opened
	// and what was accepted since.
	Accepted, Delivered, Pending uint64

	// Filtered and Dropped are by reason; only those that occurred are in them.
	Filtered, Dropped map[Reason]uint64

	// Partial is how many of the dropped events arrived in part.
	Partial uint64

	// Requests is how many deliveries were started, Retries how many of them had
	// been tried before, Throttled how many were answered with RetryAfter, Splits how
	// often a batch was halved.
	Requests, Retries, Throttled, Splits uint64

	// Overtaken counts items that arrived although an earlier one of their key, in
	// the same request, is still to come.
	Overtaken uint64

	// InFlight is how many deliveries are under way; Waiting what the rest waits for:
	// "", "retry", "retry after", "unauthorized", "position", "in flight".
	InFlight int
	Waiting  string
}

// Sum adds up counts by reason.
func Sum(counts map[Reason]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// account is what a loop counts. unread events are counted by the cursors.
type account struct {
	open      uint64 // read and not resolved
	placed    uint64 // found unfinished by Position, beyond what the cursor knew
	delivered uint64
	filtered  [reasonCount]uint64
	dropped   [reasonCount]uint64
	partial   uint64

	requests, retries, throttled, splits, overtaken uint64

	flying int
	state  string
}

// place enters the move of a cursor by Position: what lies before it has been
// delivered, what was thought finished is not, and what is gone is dropped.
func (a *account) place(before, after cursorState, gone uint64) {
	now := after.unread + gone - (after.end - before.end)
	for why := range after.evicted { // meanwhile
		now += after.evicted[why] - before.evicted[why]
	}
	a.dropped[ReasonEvicted] += gone
	if now >= before.unread {
		a.placed += now - before.unread
	} else {
		a.delivered += before.unread - now
	}
}

func (l *loop) resolveAll(f *flight, s Status, why Reason, err error) {
	for _, it := range f.items {
		l.resolve(it, s, why, err)
	}
	f.items = nil
}

// resolve notes what became of an item, and of its event with the last one.
func (l *loop) resolve(it *item, s Status, why Reason, err error) {
	l.changed = true
	l.unlink(it)
	it.flight = nil
	e := it.event
	e.left--
	e.sent = max(e.sent, it.sent)
	switch {
	case s == Delivered:
		e.delivered = true
	case e.dropped == ReasonNone:
		e.dropped, e.err = why, err
	}
	switch {
	case e.left > 0:
	case e.dropped != ReasonNone:
		l.settle(e, Dropped, e.dropped, e.err)
	default:
		l.settle(e, Delivered, ReasonNone, nil)
	}
}

// settle enters the outcome of an event into the account, once. A dead letter is
// written before.
func (l *loop) settle(e *entry, status Status, why Reason, err error) {
	if e.messageID == "" && (l.report != nil || l.bury != nil && status == Dropped) {
		e.messageID = headerOf(e.record.body).MessageID
	}
	if status == Dropped && l.bury != nil {
		l.bury(DeadLetter{
			Time: time.Now(), Destination: l.name, Reason: why, Attempts: e.sent, Error: errorText(err),
			MessageID: strings.Clone(e.messageID), Event: slices.Clone(e.record.body),
		})
	}
	e.resolved = true
	e.source.done = append(e.source.done, e.record.seq)
	l.mu.Lock()
	a := &l.account
	a.open--
	switch status {
	case Delivered:
		a.delivered++
	case Filtered:
		a.filtered[why]++
	default:
		a.dropped[why]++
		if e.delivered {
			a.partial++
		}
	}
	l.mu.Unlock()
	if l.report != nil {
		l.report(Outcome{
			Destination: l.name, Status: status, Reason: why, Type: e.call, MessageID: strings.Clone(e.messageID),
			Events: 1, Attempts: e.sent, Partial: status == Dropped && e.delivered, Err: err,
		})
	}
	e.messageID = ""
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// snapshot is the account with what the cursors count, all of one moment.
func (l *loop) snapshot() DestinationStats {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &l.account
	s := DestinationStats{
		Accepted: a.placed, Delivered: a.delivered, Pending: a.open, Partial: a.partial,
		Requests: a.requests, Retries: a.retries, Throttled: a.throttled, Splits: a.splits, Overtaken: a.overtaken,
		InFlight: a.flying, Waiting: a.state,
	}
	dropped := a.dropped
	for _, src := range l.sources {
		st := src.cursor.state()
		s.Accepted += src.base + st.end - src.opened
		s.Pending += st.unread
		for why, n := range st.evicted {
			dropped[why] += n
		}
	}
	s.Filtered, s.Dropped = byReason(a.filtered), byReason(dropped)
	return s
}

func byReason(counts [reasonCount]uint64) map[Reason]uint64 {
	m := make(map[Reason]uint64)
	for why, n := range counts {
		if n > 0 {
			m[Reason(why)] = n
		}
	}
	return m
}

// pending is what has no outcome, and why.
func (l *loop) pending() Pending {
	s := l.snapshot()
	p := Pending{Events: int(s.Pending), Reason: s.Waiting}
	if p.Reason == "" {
		p.Reason = "waiting"
	}
	return p
}
