package main

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// A history is all that happened: what the processes wrote down, and what arrived.
type history struct {
	mu       sync.Mutex
	records  map[int]*record // by process, once it has ended
	arrivals []arrival       // in their order
	arrived  map[source]*arrived
	alien    [places]int // events that nobody made, or that are not what they were
	latest   time.Time   // something arrived
	examples []string    // of violations, a few
}

// An arrival is a request that a place has taken.
type arrival struct {
	place            place
	process, request int // as it names itself
	events           []eventID
}

// source is where the events of one writer arrive.
type source struct {
	place           place
	process, writer int
}

// arrived is what has arrived of a source, by the number of the event. Requests are
// indexes of arrivals, and one more, so that 0 stands for none.
type arrived struct {
	first   []int32
	more    map[int][]int32
	highest int // number that has arrived
	late    int // events that came for the first time behind a higher number
}

const mostExamples = 20

func newHistory() *history {
	return &history{records: make(map[int]*record), arrived: make(map[source]*arrived)}
}

// example keeps what a violation looks like.
func (h *history) example(format string, args ...any) {
	if len(h.examples) < mostExamples {
		h.examples = append(h.examples, fmt.Sprintf(format, args...))
	}
}

// take enters a request with the events in it.
func (h *history) take(a arrival, events []json.RawMessage) {
	var aliens []json.RawMessage
	for _, raw := range events {
		if id, ok := readEvent(raw); ok {
			a.events = append(a.events, id)
		} else {
			aliens = append(aliens, raw)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.latest = time.Now()
	h.arrivals = append(h.arrivals, a)
	for _, raw := range aliens {
		h.alien[a.place]++
		h.example("%v: an event that nobody made: %.200s", a.place, raw)
	}
	for _, id := range a.events {
		s := source{a.place, id.process, id.writer}
		if h.arrived[s] == nil {
			h.arrived[s] = &arrived{more: make(map[int][]int32), highest: -1}
		}
		if in := h.arrived[s]; !in.add(id.number, int32(len(h.arrivals))) && a.place.ordered() {
			h.example("%v: %v arrives behind number %d", a.place, id, in.highest)
		}
	}
}

// add returns false for an event that comes for the first time, and too late.
func (a *arrived) add(number int, request int32) bool {
	for len(a.first) <= number {
		a.first = append(a.first, 0)
	}
	if a.first[number] != 0 {
		a.more[number] = append(a.more[number], request)
		return true
	}
	a.first[number] = request
	if number < a.highest {
		a.late++
		return false
	}
	a.highest = number
	return true
}

// enter takes the journal of a process that has ended.
func (h *history) enter(process int, r *record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r.end = len(h.records)
	h.records[process] = r
}

// missing is how many accepted events have not arrived, and when the last one has.
func (h *history) missing() (n [places]int, latest time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for p := range places {
		h.each(p, func(_ eventID, call byte, requests []int32) {
			if call == accepted && len(requests) == 0 {
				n[p]++
			}
		})
	}
	return n, h.latest
}

// each visits all events that were intended or have arrived at a place, with the
// requests that brought them. call is 0 for those that were not intended.
func (h *history) each(p place, f func(id eventID, call byte, requests []int32)) {
	sources := make(map[source]bool)
	for s := range h.arrived {
		sources[s] = s.place == p
	}
	for process := range h.records {
		for w := range writers {
			sources[source{p, process, w}] = true
		}
	}
	var requests []int32
	for s, here := range sources {
		if !here {
			continue
		}
		var calls []byte
		if r := h.records[s.process]; r != nil {
			calls = r.calls[s.writer]
		}
		in := h.arrived[s]
		if in == nil {
			in = &arrived{}
		}
		for n := range max(len(calls), len(in.first)) {
			var call byte
			if n < len(calls) {
				call = calls[n]
			}
			requests = requests[:0]
			if n < len(in.first) && in.first[n] != 0 {
				requests = append(append(requests, in.first[n]), in.more[n]...)
			}
			f(eventID{s.process, s.writer, n}, call, requests)
		}
	}
}
