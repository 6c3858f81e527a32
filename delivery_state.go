package analytics

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/tributary-dev/analytics/internal/retry"
)

// What a loop keeps for each of its logs, so that the next process goes on where this
// one was: the pauses that a tool has asked for, the breakers, and what the events have
// been through that were sent and are not finished. It is a hint. A loop that finds
// nothing, or nonsense, begins as a new one does.

// past is what an event has been through. It does not change once it is made: the
// events of a batch share it.
type past struct {
	sent    int       // requests; of an event in a window, entry.sent counts
	tries   int       // failures
	blamed  int       // of those, while others got through
	atMost  int       // answers of RetryAtMost
	suspect bool      // it was split from a batch that has failed too often
	floor   time.Time // the tool said: not before; zero: it did not
}

// pastSpan is what a run of events has been through, all of them the same.
type pastSpan struct {
	span
	past *past
}

// keptState is what is kept for one log.
type keptState struct {
	refused bool
	lanes   []laneState // those that are not as new
	events  []pastSpan
}

type laneState struct {
	name    string
	paused  time.Time
	pauses  int // of a length of our own, in a row
	breaker retry.State
}

const (
	keepEvery   = time.Second // between two times of writing
	mostPasts   = 500         // spans: the first are kept, the others begin anew
	mostCounted = 1_000_000   // of anything that is read back
	keptVersion = 1
)

// remember notes what an event has been through. Of an event with several items it is
// the worst.
func (e *entry) remember(p *past) {
	if e.past == nil {
		e.source.marked++
	} else if e.left > 1 {
		p = e.past.worse(p)
	}
	e.past = p
}

func (p *past) worse(q *past) *past {
	return &past{
		tries: max(p.tries, q.tries), blamed: max(p.blamed, q.blamed), atMost: max(p.atMost, q.atMost),
		suspect: p.suspect || q.suspect, floor: latest(p.floor, q.floor),
	}
}

// past is what the events of a batch have been through.
func (f *flight) past(now time.Time) *past {
	p := &past{tries: f.tries, blamed: f.blamed, atMost: f.atMost, suspect: f.suspect}
	if f.floor.After(now) && f.floor != f.lane.paused {
		p.floor = f.floor
	}
	return p
}

// past is what the event of an item that was given back has been through.
func (it *item) past(floor time.Time) *past {
	return &past{tries: it.failed, blamed: it.blamed, atMost: it.atMost, floor: floor}
}

// inherit makes a new batch go on where its items were in an earlier process. They have
// all been through the same: batcher.cut sees to it.
func (f *flight) inherit() {
	if len(f.items) == 0 || f.items[0].before == nil {
		return
	}
	p := f.items[0].before
	f.tries, f.blamed, f.atMost, f.suspect = p.tries, p.blamed, p.atMost, p.suspect
	f.backoff.Resume(p.tries - p.blamed)
	for _, it := range f.items {
		it.before = nil
	}
}

// joins tells whether it may ride in a batch with another. Of those that an earlier process
// has sent, only what has been through the same may, so that failures count against what
// they counted against before; and an item that fails alone while others get through has
// to fail alone.
func (it *item) joins(first *item) bool {
	p := it.before
	return p == first.before && (p == nil || !p.suspect || p.blamed == 0)
}

// inherit makes a new item go on where its event was in an earlier process.
func (it *item) inherit(p *past) {
	it.before = p
	it.sent, it.failed, it.blamed, it.atMost, it.after = p.sent, p.tries, p.blamed, p.atMost, p.floor
}

// recall finds what an event has been through in an earlier process, when it is read;
// nil if nothing is known.
func (s *source) recall(seq uint64) *past {
	for len(s.pasts) > 0 && s.pasts[0].to <= seq {
		s.pasts = s.pasts[1:]
	}
	if len(s.pasts) == 0 || seq < s.pasts[0].from {
		return nil
	}
	return s.pasts[0].past
}

// keepUp writes down what is to outlive this process, if it has changed, but not more
// often than once a second. What it returns is when there will be more to do. While all
// is well there is nothing to write but, once, that it is.
func (l *loop) keepUp(now, next time.Time) time.Time {
	if !slices.ContainsFunc(l.sources, func(s *source) bool { return s.log.durable() && (s.stale || l.troubled(s, now)) }) {
		return next
	}
	if now.Before(l.keepAt) {
		return earliest(next, l.keepAt)
	}
	l.keepAt = now.Add(keepEvery)
	l.keep(now, false)
	return next
}

// troubled tells whether there is anything to be kept for s.
func (l *loop) troubled(s *source, now time.Time) bool {
	return l.refused.active || s.marked > 0 || len(s.pasts) > 0 ||
		slices.ContainsFunc(l.lanes, func(ln *lane) bool { return ln.kept(now) != laneState{name: ln.name} })
}

// keep writes down what has changed. At the end that includes what was sent for the first
// time and has had no answer.
func (l *loop) keep(now time.Time, end bool) {
	for _, s := range l.sources {
		if !s.log.durable() {
			continue
		}
		if k := l.kept(s, now, end); !k.equal(&s.kept) || s.stale && k.empty() {
			s.save(k, now)
		}
	}
}

// save writes k. If that fails, the next time will do: the log reports its faults itself.
func (s *source) save(k keptState, now time.Time) {
	if s.cursor.keep(k.encode(s.log.id(), now)) == nil {
		s.kept, s.stale = k, !k.empty()
	}
}

// kept is what is to be kept for s.
func (l *loop) kept(s *source, now time.Time, end bool) keptState {
	k := keptState{refused: l.refused.active && l.refused.by == nil, events: s.past(end)}
	for _, ln := range l.lanes {
		if state := ln.kept(now); state != (laneState{name: ln.name}) {
			k.lanes = append(k.lanes, state)
		}
	}
	return k
}

func (ln *lane) kept(now time.Time) laneState {
	s := laneState{name: ln.name, pauses: ln.pauses.Steps(), breaker: ln.breaker.State()}
	if ln.paused.After(now) {
		s.paused = ln.paused
	}
	return s
}

// past is what the events have been through that are not finished: those in the window,
// then those that an earlier process has sent and this one has not read yet. What is
// finished between them does not matter.
func (s *source) past(end bool) (list []pastSpan) {
	joined := false // to the one before
	for _, e := range s.window {
		switch {
		case e.resolved:
			continue
		case e.past == nil && (!end || e.sent == 0):
			joined = false
			continue
		}
		p := past{sent: e.sent}
		if e.past != nil {
			p = *e.past
			p.sent = e.sent
		}
		seq := e.record.seq
		if n := len(list) - 1; joined && *list[n].past == p {
			list[n].to = seq + 1
			continue
		}
		if len(list) == mostPasts {
			return list
		}
		own := p // so that p itself stays on the stack
		list = append(list, pastSpan{span{seq, seq + 1}, &own})
		joined = true
	}
	for _, p := range s.pasts {
		if p.from = max(p.from, s.read); p.from < p.to && len(list) < mostPasts {
			list = append(list, p)
		}
	}
	return list
}

func (k *keptState) empty() bool { return !k.refused && len(k.lanes) == 0 && len(k.events) == 0 }

func (k *keptState) equal(other *keptState) bool {
	return k.refused == other.refused && slices.Equal(k.lanes, other.lanes) &&
		slices.EqualFunc(k.events, other.events, func(a, b pastSpan) bool { return a.span == b.span && *a.past == *b.past })
}

// keptJSON is how a keptState is written. Times are Unix milliseconds.
type keptJSON struct {
	Version int                 `json:"v"`
	At      int64               `json:"at"`
	Log     string              `json:"log"` // whose sequence numbers these are
	Refused bool                `json:"refused,omitempty"`
	Lanes   map[string]laneJSON `json:"lanes,omitempty"`
	Events  []pastJSON          `json:"events,omitempty"`
}

type laneJSON struct {
	Paused   int64 `json:"paused,omitempty"`
	Pauses   int   `json:"pauses,omitempty"`
	Failures int   `json:"failures,omitempty"`
	Steps    int   `json:"steps,omitempty"`
	Probe    int64 `json:"probe,omitempty"`
}

// pastJSON is: from, number of events, sent, tries, blamed, at most, suspect, floor.
type pastJSON [8]int64

// encode writes k, less of it if it is too much. Nothing stands for the empty state.
func (k *keptState) encode(id LogID, now time.Time) []byte {
	if k.empty() {
		return nil
	}
	j := keptJSON{Version: keptVersion, At: now.UnixMilli(), Log: id.String(), Refused: k.refused, Lanes: make(map[string]laneJSON)}
	for _, ln := range k.lanes {
		b := ln.breaker
		j.Lanes[ln.name] = laneJSON{Paused: millis(ln.paused, now), Pauses: ln.pauses, Failures: b.Failures, Steps: b.Steps, Probe: millis(b.Until, now)}
	}
	for _, e := range k.events {
		p := e.past
		row := pastJSON{int64(e.from), int64(e.to - e.from), int64(p.sent), int64(p.tries), int64(p.blamed), int64(p.atMost), 0, millis(p.floor, now)}
		if p.suspect {
			row[6] = 1
		}
		j.Events = append(j.Events, row)
	}
	for {
		b, err := json.Marshal(j)
		switch {
		case err == nil && len(b) <= mostKept:
			return b
		case len(j.Events) > 0:
			j.Events = j.Events[:len(j.Events)/2]
		case len(j.Lanes) > 0:
			j.Lanes = nil
		default:
			return nil
		}
	}
}

// millis is a time of this process on the clock of the wall as it goes now, rounded up.
func millis(t, now time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return now.Round(0).Add(t.Sub(now)).UnixMilli() + 1
}

// decodeKept reads what encode has written, perhaps in another version or on a disk that
// is not what it was: there are no errors, and what comes back makes sense, or is empty.
// Of the events of a log it returns those between done and end.
func decodeKept(b []byte, id LogID, done, end uint64, now time.Time) (k keptState) {
	var j keptJSON
	if len(b) > mostKept || json.Unmarshal(b, &j) != nil || j.Version != keptVersion {
		return k
	}
	k.refused = j.Refused
	for name, ln := range j.Lanes {
		k.lanes = append(k.lanes, laneState{
			name: name, paused: j.time(ln.Paused, now), pauses: ln.Pauses,
			breaker: retry.State{Failures: ln.Failures, Steps: ln.Steps, Until: j.time(ln.Probe, now)},
		})
	}
	if j.Log == id.String() {
		k.events = j.events(done, end, now)
	}
	return k
}

// time is a time on the clock of the wall as one of this process; zero if it is over. No
// pause becomes longer than it was when it was written down, whatever the clock has done
// since, nor longer than a server can ask for.
func (j *keptJSON) time(at int64, now time.Time) time.Time {
	left := time.UnixMilli(at).Sub(latest(now, time.UnixMilli(j.At)))
	if at <= 0 || left <= 0 {
		return time.Time{}
	}
	return now.Add(min(left, maxRetryAfter))
}

func (j *keptJSON) events(done, end uint64, now time.Time) (list []pastSpan) {
	same := make(map[past]*past) // so that events of several spans can share a batch
	next := done
	for _, row := range j.Events[:min(len(j.Events), mostPasts)] {
		s := span{uint64(max(row[0], 0)), uint64(max(row[0], 0)) + uint64(counted(row[1]))}
		if s.from, s.to = max(s.from, next), min(s.to, end); s.from >= s.to {
			continue
		}
		next = s.to
		p := past{sent: counted(row[2]), tries: counted(row[3]), blamed: min(counted(row[4]), blameLimit-1), atMost: counted(row[5]), suspect: row[6] != 0, floor: j.time(row[7], now)}
		if same[p] == nil {
			same[p] = &p
		}
		list = append(list, pastSpan{s, same[p]})
	}
	return list
}

func counted(n int64) int { return int(min(max(n, 0), mostCounted)) }

// restore goes on from what was kept for s. Pauses hold for the tool, so of two the later
// counts. Of the rest, a loop that has a log of its own knows better than what others
// have left. Whether the tool still refuses our credentials is asked at once, by one
// request: they may be others now.
func (l *loop) restore(s *source, own bool) {
	b := s.cursor.kept()
	if len(b) == 0 {
		return
	}
	s.stale = true
	now, st := time.Now(), s.cursor.state()
	k := decodeKept(b, s.log.id(), st.done, st.end, now)
	s.pasts = k.events
	for _, was := range k.lanes {
		ln := l.lane(was.name)
		if ln == nil {
			continue
		}
		ln.paused = latest(ln.paused, was.paused)
		if own {
			ln.pauses.Resume(was.pauses)
			ln.breaker.Resume(was.breaker, now)
		}
	}
	if own && k.refused && st.unread > 0 {
		l.refused = refusal{active: true, untold: true, probe: now}
	}
}
