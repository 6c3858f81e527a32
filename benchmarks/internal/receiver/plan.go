package receiver

import (
	"net/http"
	"time"
)

// Plan says what the receiver counts and how it fails. The zero Plan answers 200 to
// everything and counts requests only.
type Plan struct {
	// Marker precedes the id of each message in a body: `"messageId":"`. Every
	// occurrence is a message, but for one at the very beginning of the body, which
	// is the id of an envelope.
	Marker string

	// Distinct keeps eight bytes of hash for each id, for Report.Distinct and IDs.
	Distinct bool

	// For is how long the fault lasts, from the first request on; negative
	// means for ever.
	For time.Duration

	// Status is what requests get during the fault, RetryAfter the header with it.
	Status     int
	RetryAfter string

	// Reset resets the connections during the fault.
	Reset bool

	// Hang leaves requests without an answer during the fault.
	Hang bool

	// ResetEvery resets each nth request before it is counted. LoseEvery counts each
	// nth request and then cuts the connection. Both for ever.
	ResetEvery, LoseEvery int

	// Delay is how long every answer takes.
	Delay time.Duration
}

// verdict is what happens to one request.
type verdict struct {
	status      int
	reset, hang bool // not processed
	lose        bool // processed, not answered
}

// judge decides about the nth request, counted from 1, at a time after the
// first.
func (p *Plan) judge(n int, since time.Duration) verdict {
	switch {
	case p.lasts(since) && p.Reset:
		return verdict{reset: true}
	case p.lasts(since) && p.Hang:
		return verdict{hang: true}
	case p.lasts(since) && p.Status != 0:
		return verdict{status: p.Status}
	case every(p.ResetEvery, n):
		return verdict{reset: true}
	case every(p.LoseEvery, n):
		return verdict{status: http.StatusOK, lose: true}
	}
	return verdict{status: http.StatusOK}
}

func (p *Plan) lasts(since time.Duration) bool { return p.For < 0 || since < p.For }

func every(nth, n int) bool { return nth > 0 && n%nth == 0 }
