package archive

import (
	"strings"
	"time"
)

// stats are what a manifest says of the events in a file.
type stats struct {
	count, rawBytes             int64 // rawBytes where lines are read
	firstReceived, lastReceived time.Time
	firstTime, lastTime         time.Time
	events                      map[string]*int64
	more                        bool
	ids                         idSet
}

const (
	mostNames = 1000 // names of events in a manifest
	longName  = 200  // bytes of the longest of them
)

func newStats() *stats { return &stats{events: make(map[string]*int64)} }

// facts are what is counted of an event.
type facts struct {
	received, timestamp time.Time
	user, anonymous     uint64    // hashes; zero: none
	former              [2]uint64 // of an alias: it may be either
	name                string    // of a track call
}

func hashOf(kind byte, id string) uint64 {
	if id == "" {
		return 0
	}
	return idHash(kind, id)
}

func (f *fields) facts() facts {
	return facts{
		received: f.received, timestamp: f.timestamp, user: hashOf(userKind, f.user), anonymous: hashOf(anonymousKind, f.anonymous),
		former: formerOf(f.former), name: f.event,
	}
}

func formerOf(id string) [2]uint64 { return [2]uint64{hashOf(userKind, id), hashOf(anonymousKind, id)} }

// add counts an event. It keeps what kept makes of a name that is new.
func (s *stats) add(f *facts, kept func(string) string) {
	s.count++
	widen(&s.firstReceived, &s.lastReceived, f.received)
	widen(&s.firstTime, &s.lastTime, f.timestamp)
	for _, h := range [...]uint64{f.user, f.anonymous, f.former[0], f.former[1]} {
		if h != 0 {
			s.ids.add(h)
		}
	}
	if f.name == "" {
		return
	}
	n := s.events[f.name] // events[name]++ would keep this name, not the first one
	switch {
	case n != nil:
		*n++
	case len(s.events) >= mostNames || len(f.name) > longName:
		s.more = true
	default:
		one := int64(1)
		s.events[kept(f.name)] = &one
	}
}

// names are the counts of names.
func (s *stats) names() map[string]int64 {
	names := make(map[string]int64, len(s.events))
	for name, n := range s.events {
		names[name] = *n
	}
	return names
}

// addLine counts a line that was read.
func (s *stats) addLine(line []byte, f *fields) {
	facts := f.facts()
	s.add(&facts, strings.Clone)
	s.rawBytes += int64(len(line)) + 1
}

func widen(first, last *time.Time, at time.Time) {
	if at.IsZero() {
		return
	}
	if first.IsZero() || at.Before(*first) {
		*first = at
	}
	if at.After(*last) {
		*last = at
	}
}

// memory is about how many bytes they take.
func (s *stats) memory() int {
	const name = 100
	return s.ids.memory() + name*len(s.events)
}
