package main

import (
	"cmp"
	"slices"
)

// bounds tell which events a place may get again although Deliver has returned nil for
// them. The library promises to deliver at least once, so some repetition is right; but
// it stores what is finished each time when it takes note of an answer, and what was
// stored must not come again. That leaves two reasons:
//
//   - The answer was not noted yet. A request counts as under way until its answer is
//     noted, and each destination has at most four under way. So only the last four
//     answers of a process can be unnoted, whatever the machine's speed.
//
//   - It was noted, and forgotten. A cursor stores up to where everything is finished,
//     and beyond that 25 finished ranges. Where one event is in the way of many others
//     (its request fails, so all of its key wait), more ranges than that can be
//     finished, and the process after will deliver the others again. Whether there could
//     have been more is counted here, by the sequence numbers of all that was delivered
//     up to the end of a process. It is an upper bound: some of what was delivered by
//     then may not have been stored, which leaves holes, and each hole can make one more
//     range.
//
// Nothing else is accepted as an explanation, so a cursor that is not stored, stored too
// late, or not read again shows within a few kills.
type bounds struct {
	places map[eventID]position
	crowds map[string][]bool // by log: in the order of their ends, did processes have too many ranges?
}

const (
	concurrency = 4  // of both destinations, by default
	mostRanges  = 25 // in a cursor
)

// position is where an event stands.
type position struct {
	log string
	seq uint64
}

// copied is an arrival that the library knows of.
type copied struct {
	record  *record
	request *request
}

func byEnd(list []copied) {
	slices.SortFunc(list, func(a, b copied) int { return cmp.Compare(a.record.end, b.record.end) })
}

// unnoted tells whether the process may have ended before it noted the answer.
func (b *bounds) unnoted(k copied) bool {
	return k.record.answers[k.request.place]-k.request.answer <= concurrency
}

// forgotten tells whether one of the processes from k to the one before next may have had
// too many ranges.
func (b *bounds) forgotten(id eventID, k, next copied) bool {
	crowds := b.crowds[b.places[id].log]
	return slices.Contains(crowds[k.record.end:next.record.end], true)
}

// a piece is the part of a request that was known to be delivered, and how it went on.
type piece struct {
	end  int // of the process
	seqs []uint64
	next []int // by event: the end of the next process that delivered it; 0 for none
	late bool  // the answer may be unnoted
}

// bounds looks at all requests to a place.
func (h *history) bounds(p place) *bounds {
	b := &bounds{places: h.positions(), crowds: make(map[string][]bool)}
	pieces := make(map[string][]*piece) // by log
	for _, a := range h.arrivals {
		q := h.request(a)
		if a.place != p || q == nil || q.fate != taken || len(a.events) == 0 {
			continue
		}
		r := h.records[a.process]
		c := &piece{end: r.end, late: b.unnoted(copied{r, q})}
		for _, id := range a.events {
			c.seqs = append(c.seqs, b.places[id].seq)
		}
		slices.Sort(c.seqs)
		log := b.places[a.events[0]].log
		pieces[log] = append(pieces[log], c)
	}
	for log, list := range pieces {
		b.crowds[log] = crowds(list, len(h.records))
	}
	return b
}

// positions come from the cloud mode, to which every event goes.
func (h *history) positions() map[eventID]position {
	all := make(map[eventID]position)
	for _, a := range h.arrivals {
		q := h.request(a)
		if a.place != cloud || q == nil || len(q.seqs) != len(a.events) {
			continue
		}
		for i, id := range a.events {
			all[id] = position{q.log, q.seqs[i]}
		}
	}
	return all
}

// crowds tells for each process, in the order of their ends, whether a cursor could have
// had to keep more ranges than it can.
func crowds(pieces []*piece, processes int) []bool {
	slices.SortStableFunc(pieces, func(a, b *piece) int { return cmp.Compare(a.end, b.end) })
	next := make(map[uint64]int)
	for _, c := range slices.Backward(pieces) {
		c.next = make([]int, len(c.seqs))
		for i, seq := range c.seqs {
			c.next[i] = next[seq]
		}
		for _, seq := range c.seqs {
			next[seq] = c.end
		}
	}
	holes := make([]int, processes+1)
	for _, c := range pieces {
		c.cut(holes)
	}
	crowded := make([]bool, processes)
	finished := make(map[uint64]bool)
	ranges, open := 0, 0
	for end := range crowded {
		for ; len(pieces) > 0 && pieces[0].end == end; pieces = pieces[1:] {
			for _, seq := range pieces[0].seqs {
				ranges += grow(finished, seq)
			}
		}
		open += holes[end]
		crowded[end] = ranges+open > mostRanges
	}
	return crowded
}

// grow adds a number to those that are finished, and returns by how much the number of
// ranges changes.
func grow(finished map[uint64]bool, seq uint64) int {
	if finished[seq] {
		return 0
	}
	finished[seq] = true
	change := 1
	if seq > 0 && finished[seq-1] {
		change--
	}
	if finished[seq+1] {
		change--
	}
	return change
}

// cut enters the holes that a piece can leave: a run of events that were delivered again
// is one from the end of the process until then, one with an unnoted answer at the end
// of the process. holes are changes.
func (c *piece) cut(holes []int) {
	for i, seq := range c.seqs {
		if i > 0 && c.seqs[i-1]+1 == seq && c.next[i-1] == c.next[i] {
			continue
		}
		switch {
		case c.next[i] > 0:
			holes[c.end]++
			holes[c.next[i]]--
		case c.late:
			holes[c.end]++
			holes[c.end+1]--
		}
	}
}
