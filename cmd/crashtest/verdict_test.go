package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// story makes a history by hand: processes with one writer that end in their order.
type story struct {
	t *testing.T
	h *history
	r []*record
}

func newStory(t *testing.T, processes int) *story {
	s := &story{t: t, h: newHistory()}
	for p := range processes {
		r := &record{requests: make(map[int]*request)}
		s.r = append(s.r, r)
		s.h.enter(p, r)
	}
	return s
}

// calls are the marks of the writer of a process.
func (s *story) calls(process int, marks string) { s.r[process].calls[0] = []byte(marks) }

// request is one that a process has sent; it arrives with these events of process 0,
// whose numbers are those in the log.
func (s *story) request(p place, process int, f fate, numbers ...int) {
	s.t.Helper()
	r := s.r[process]
	n := len(r.requests)
	q := &request{place: p, fate: f, log: "log"}
	if f != sent {
		q.answer = r.answers[p]
		r.answers[p]++
	}
	r.requests[n] = q
	var events []json.RawMessage
	for _, number := range numbers {
		q.seqs = append(q.seqs, uint64(number))
		events = append(events, event(s.t, eventID{0, 0, number}))
	}
	s.h.take(arrival{place: p, process: process, request: n}, events)
}

// answers lets a process have so many more answers, of requests without events.
func (s *story) answers(p place, process, n int) {
	for range n {
		s.request(p, process, taken)
	}
}

func TestVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		tell func(*story)
		want account
	}{
		"all is well": {func(s *story) {
			s.calls(0, "aara")
			s.request(cloud, 0, taken, 0, 1, 3)
		}, account{Delivered: 3}},
		"an accepted event is lost": {func(s *story) {
			s.calls(0, "aaa")
			s.request(cloud, 0, taken, 0, 2)
		}, account{Delivered: 2, Lost: 1}},
		"a call that was cut off may have accepted": {func(s *story) {
			s.calls(0, "ai")
			s.request(cloud, 0, taken, 0, 1)
		}, account{Delivered: 2}},
		"a call that was cut off need not have accepted": {func(s *story) {
			s.calls(0, "ai")
			s.request(cloud, 0, taken, 0)
		}, account{Delivered: 1}},
		"an event that nobody intended is invented": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, taken, 0, 1)
		}, account{Delivered: 2, Invented: 1}},
		"an answer that was lost explains a duplicate": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, failed, 0)
			s.request(cloud, 0, taken, 0)
		}, account{Delivered: 1, Unanswered: 1}},
		"a request that was under way explains a duplicate": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, sent, 0)
			s.request(cloud, 1, taken, 0)
		}, account{Delivered: 1, InFlight: 1}},
		"it may arrive behind the one that repeats it": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 1, taken, 0)
			s.request(cloud, 0, sent, 0)
		}, account{Delivered: 1, InFlight: 1}},
		"nobody may stop trying without an answer": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, failed, 0)
		}, account{Delivered: 1, Unanswered: 1, Unconfirmed: 1}},
		"one process may not repeat what was taken": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, taken, 0)
			s.request(cloud, 0, taken, 0)
		}, account{Delivered: 1, Unexplained: 1}},
		"the last answers of a process may be unnoted": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, taken, 0)
			s.answers(cloud, 0, concurrency-1)
			s.request(cloud, 1, taken, 0)
		}, account{Delivered: 1, Unnoted: 1}},
		"those before may not": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, taken, 0)
			s.answers(cloud, 0, concurrency)
			s.request(cloud, 1, taken, 0)
		}, account{Delivered: 1, Unexplained: 1}},
		"answers of the other place do not count": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, taken, 0)
			s.answers(device, 0, concurrency)
			s.request(cloud, 1, taken, 0)
		}, account{Delivered: 1, Unnoted: 1}},
		"a request that was not sent": {func(s *story) {
			s.calls(0, "a")
			s.request(cloud, 0, taken, 0)
			s.h.take(arrival{place: cloud, process: 0, request: 7}, []json.RawMessage{event(s.t, eventID{0, 0, 0})})
		}, account{Delivered: 1, Unexplained: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t, 3)
			c.tell(s)
			require.Equal(t, c.want, s.h.verdict(cloud), "%q", s.h.examples)
			require.Equal(t, c.want.violations() > 0, len(s.h.examples) > 0)
		})
	}
}

func TestAlteredEventsAreInvented(t *testing.T) {
	s := newStory(t, 1)
	s.calls(0, "a")
	raw := event(t, eventID{0, 0, 0})
	raw[len(raw)-4] ^= 1
	s.h.take(arrival{place: cloud}, []json.RawMessage{raw})
	require.Equal(t, account{Lost: 1, Invented: 1}, s.h.verdict(cloud))
}

func TestOrder(t *testing.T) {
	s := newStory(t, 1)
	s.calls(0, "aaaa")
	for p := range places {
		s.request(p, 0, failed, 0)
		s.request(p, 0, taken, 0, 1)
		s.request(p, 0, taken, 3)
		s.request(p, 0, taken, 2)
	}
	require.Equal(t, account{Delivered: 4, Unanswered: 1}, s.h.verdict(cloud), "which asks for no order")
	require.Equal(t, account{Delivered: 4, Unanswered: 1, Disordered: 1}, s.h.verdict(device))
}

// TestForgottenRanges lets a process deliver every other event, so that each is a range.
func TestForgottenRanges(t *testing.T) {
	for ranges, want := range map[int]account{
		mostRanges - 1: {Delivered: mostRanges - 1, Unexplained: 1}, // one more may be a hole
		mostRanges + 1: {Delivered: mostRanges + 1, Forgotten: 1},
	} {
		t.Run(fmt.Sprint(ranges), func(t *testing.T) {
			s := newStory(t, 3)
			s.calls(0, strings.Repeat("ar", ranges))
			for n := range ranges {
				s.request(cloud, 0, taken, 2*n)
			}
			s.answers(cloud, 0, concurrency)
			s.request(cloud, 2, taken, 0) // the process in between keeps what it knows
			require.Equal(t, want, s.h.verdict(cloud), "%q", s.h.examples)
		})
	}
}

func TestCrowds(t *testing.T) {
	seqs := func(from, n, step int) (s []uint64) {
		for i := range n {
			s = append(s, uint64(from+i*step))
		}
		return s
	}
	for name, c := range map[string]struct {
		pieces []*piece
		want   []bool
	}{
		"one range is no crowd":              {[]*piece{{end: 0, seqs: seqs(0, 1000, 1)}}, []bool{false, false, false}},
		"25 are none either":                 {[]*piece{{end: 0, seqs: seqs(0, 25, 2)}}, []bool{false, false, false}},
		"26 are, until the holes are filled": {[]*piece{{end: 0, seqs: seqs(0, 26, 2)}, {end: 2, seqs: seqs(1, 25, 2)}}, []bool{true, true, false}},
		"what comes again was a hole, perhaps": {
			[]*piece{{end: 0, seqs: seqs(0, 25, 2)}, {end: 2, seqs: seqs(48, 1, 1)}}, []bool{true, true, false},
		},
		"so was what was not noted, at the end of its process": {
			[]*piece{{end: 1, seqs: seqs(0, 24, 2)}, {end: 1, seqs: seqs(100, 100, 1), late: true}}, []bool{false, true, false},
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, crowds(c.pieces, 3))
		})
	}
}
