package main

// An account is what became of the events at one place.
type account struct {
	Delivered int `json:"delivered"` // different events

	// Duplicates are arrivals beyond the first, by what explains them.
	Unanswered int `json:"failed"`    // Deliver returned an error: the answer was lost, or came too late
	InFlight   int `json:"in_flight"` // the process ended before Deliver returned
	Unnoted    int `json:"unnoted"`   // it ended before it had stored that Deliver returned nil
	Forgotten  int `json:"forgotten"` // finished ahead of others, in more ranges than a cursor keeps

	Lost        int `json:"lost"`        // accepted, and never arrived
	Invented    int `json:"invented"`    // arrived, but never intended, or not as it was
	Disordered  int `json:"disordered"`  // came for the first time behind a later one of its writer
	Unconfirmed int `json:"unconfirmed"` // arrived, but Deliver never returned nil: nobody may have stopped trying
	Unexplained int `json:"unexplained"` // duplicates that should not be
}

func (a account) duplicates() int {
	return a.Unanswered + a.InFlight + a.Unnoted + a.Forgotten + a.Unexplained
}

// violations are what must not be.
func (a account) violations() int {
	return a.Lost + a.Invented + a.Disordered + a.Unconfirmed + a.Unexplained
}

// verdict adds up what happened at a place, when all is over.
func (h *history) verdict(p place) (a account) {
	h.mu.Lock()
	defer h.mu.Unlock()
	a.Invented = h.alien[p]
	for s, in := range h.arrived {
		if s.place == p && p.ordered() {
			a.Disordered += in.late
		}
	}
	b := h.bounds(p)
	h.each(p, func(id eventID, call byte, requests []int32) {
		switch {
		case len(requests) > 0:
			a.Delivered++
			if call == 0 {
				a.Invented++
				h.example("%v: %v arrived and was not intended", p, id)
			}
			h.explain(&a, b, p, id, requests)
		case call == accepted:
			a.Lost++
			h.example("%v: %v was accepted and is lost", p, id)
		}
	})
	return a
}

// explain finds out why an event arrived as often as it did. An arrival that the library
// does not know of has to be repeated. One that it knows of may only be repeated if the
// process ended too early, see bounds.
func (h *history) explain(a *account, b *bounds, p place, id eventID, requests []int32) {
	var known []copied
	for _, n := range requests {
		in := h.arrivals[n-1]
		q := h.request(in)
		switch {
		case q == nil || q.place != p:
			a.Unexplained++
			h.example("%v: %v came with request %d of process %d, which was not sent", p, id, in.request, in.process)
		case q.fate == failed:
			a.Unanswered++
		case q.fate == sent:
			a.InFlight++
		default:
			known = append(known, copied{h.records[in.process], q})
		}
	}
	if len(known) == 0 {
		// The first arrival is no duplicate, whatever became of it.
		a.Unconfirmed++
		h.example("%v: %v arrived %d times, but Deliver never returned nil", p, id, len(requests))
		return
	}
	byEnd(known)
	for i, k := range known[:len(known)-1] {
		switch next := known[i+1]; {
		case k.record == next.record:
			a.Unexplained++
			h.example("%v: %v was delivered twice by one process", p, id)
		case b.unnoted(k):
			a.Unnoted++
		case b.forgotten(id, k, next):
			a.Forgotten++
		default:
			a.Unexplained++
			h.example("%v: %v was delivered again by the process that ended as number %d, though number %d should have noted it", p, id, next.record.end, k.record.end)
		}
	}
}

func (h *history) request(a arrival) *request {
	r := h.records[a.process]
	if r == nil {
		return nil
	}
	return r.requests[a.request]
}
