package analytics

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"
)

// A Reason says why an event was dropped or filtered.
type Reason uint8

// The reasons. The first group is of events that were dropped, the second of
// events that were filtered: kept from a destination because somebody said so.
const (
	ReasonNone Reason = iota

	ReasonInvalid       // Translate refused it, or it is larger than the lane allows
	ReasonRejected      // the tool said never
	ReasonUnauthorized  // unauthorized until Close
	ReasonAttempts      // failed too often while others got through, or more than allowed
	ReasonExpired       // older than MaxAge
	ReasonLagged        // made room: its destination was the furthest behind
	ReasonEvicted       // no longer in the log when its destination asked for it
	ReasonOverflow      // made room for newer ones (WhenFull: DropOldest)
	ReasonCorrupt       // damaged in the log
	ReasonClosed        // not sent when the client was closed
	ReasonClosedUnknown // on its way when the client was closed; may have arrived
	ReasonPanic         // Translate panicked, or Deliver whenever it was in a batch

	ReasonUnsupported  // the destination does not take this call
	ReasonConsent      // a consent category of the destination is not granted
	ReasonIntegrations // the integrations object says no
	ReasonDevice       // _metadata says that the device has delivered it
	ReasonPlugin       // a plugin dropped it
	ReasonIgnored      // Translate had nothing to send

	reasonCount
)

var reasonNames = [reasonCount]string{
	"", "invalid", "rejected", "unauthorized", "attempts", "expired", "lagged", "evicted", "overflow",
	"corrupt", "closed", "closed_unknown", "panic",
	"unsupported", "consent", "integrations", "device", "plugin", "ignored",
}

// String returns the reason as it stands in logs, dead letters and metrics.
func (r Reason) String() string {
	if r >= reasonCount {
		return "unknown"
	}
	return reasonNames[r]
}

// MarshalText is String, so that maps of reasons encode to JSON by name.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText takes the name of a reason, as String has it; of [ReasonNone] that is
// empty. Any other text is an [*InvalidError], and r stays what it was.
func (r *Reason) UnmarshalText(name []byte) error {
	i := slices.Index(reasonNames[:], string(name))
	if i < 0 {
		return invalid("reason", "is none that this version knows")
	}
	*r = Reason(i)
	return nil
}

// Status is how it ended for an event at a destination.
type Status uint8

// How it can end.
const (
	Delivered Status = iota + 1 // every item has arrived
	Filtered                    // not meant for the destination
	Dropped                     // lost, with a reason

	// Paused is no end: the destination refuses our credentials, or (without a reason)
	// names a position beyond the end of the log. It is tried again once a minute, and
	// its events wait within the bounds of the log.
	Paused
)

// String names the status in lower case.
func (s Status) String() string {
	switch s {
	case Delivered:
		return "delivered"
	case Filtered:
		return "filtered"
	case Dropped:
		return "dropped"
	case Paused:
		return "paused"
	}
	return "unknown"
}

// An Outcome tells what became of an event at one destination.
type Outcome struct {
	Destination string
	Status      Status
	Reason      Reason

	// Type and MessageID name the event. Both are empty where the outcome stands
	// for events that were never read.
	Type      Call
	MessageID string

	// Events is how many events it stands for: 1, or more where events were
	// dropped unread.
	Events int

	// Attempts is how often the event was sent.
	Attempts int

	// Partial is set where an event became several items and some arrived although
	// the event counts as dropped.
	Partial bool

	// Err is the last error, without content of the event.
	Err error
}

// A DeadLetter is an event that a destination will never get.
type DeadLetter struct {
	Time        time.Time
	Destination string
	Reason      Reason
	Attempts    int
	Error       string
	MessageID   string

	// Event is the event's JSON. It belongs to the receiver.
	Event []byte
}

// filters tells whether events with this reason count as filtered.
func (r Reason) filters() bool { return r >= ReasonUnsupported }

// outcomes calls OnOutcome on a goroutine of its own, with a bounded queue before
// it.
type outcomes struct {
	f     func(Outcome)
	queue chan Outcome
	lost  atomic.Uint64
	given atomic.Bool // Close waits no longer: the rest is lost
	log   *slog.Logger
	stop  chan struct{}
	gone  chan struct{}
}

const outcomeQueue = 4096

func newOutcomes(f func(Outcome), log *slog.Logger) *outcomes {
	o := &outcomes{f: f, queue: make(chan Outcome, outcomeQueue), log: log, stop: make(chan struct{}), gone: make(chan struct{})}
	go o.run()
	return o
}

func (o *outcomes) run() {
	defer close(o.gone)
	for {
		select {
		case outcome := <-o.queue:
			o.tell(outcome)
			continue
		default:
		}
		select {
		case outcome := <-o.queue:
			o.tell(outcome)
		case <-o.stop:
			o.empty()
			return
		}
	}
}

// empty tells what is still in the queue: stop may win although there is something.
func (o *outcomes) empty() {
	for {
		select {
		case outcome := <-o.queue:
			o.tell(outcome)
		default:
			return
		}
	}
}

func (o *outcomes) tell(outcome Outcome) {
	if o.given.Load() {
		o.lost.Add(uint64(max(outcome.Events, 1)))
		return
	}
	if err := protect(o.f, func() error { o.f(outcome); return nil }); err != nil {
		o.log.Error("OnOutcome panicked", "error", err)
	}
}

func (o *outcomes) report(outcome Outcome) {
	select {
	case o.queue <- outcome:
	default:
		o.lost.Add(uint64(max(outcome.Events, 1)))
	}
}

// end waits until everything in the queue was told, or a moment longer than ctx.
func (o *outcomes) end(ctx context.Context) {
	close(o.stop)
	select {
	case <-o.gone:
		return
	case <-ctx.Done():
	}
	grace := time.NewTimer(abandonAfter)
	defer grace.Stop()
	select {
	case <-o.gone:
	case <-grace.C:
		o.given.Store(true)
	}
}
