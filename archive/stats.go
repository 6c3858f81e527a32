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

// add counts an event. Its strings are kept, but not those of a name that is known.
func (s *stats) add(f *fields, kept func(string) string) {
	s.count++
	widen(&s.firstReceived, &s.lastReceived, f.received)
	widen(&s.firstTime, &s.lastTime, f.timestamp)
	if f.user != "" {
		s.ids.add(idHash(userKind, f.user))
	}
	if f.anonymous != "" {
		s.ids.add(idHash(anonymousKind, f.anonymous))
	}
	if f.former != "" { // it may be either
		s.ids.add(idHash(userKind, f.former))
		s.ids.add(idHash(anonymousKind, f.former))
	}
	if f.event == "" {
		return
	}
	n := s.events[f.event] // events[name]++ would keep this name, not the first one
	switch {
	case n != nil:
		*n++
	case len(s.events) >= mostNames || len(f.event) > longName:
		s.more = true
	default:
		one := int64(1)
		s.events[kept(f.event)] = &one
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
	s.add(f, strings.Clone)
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
