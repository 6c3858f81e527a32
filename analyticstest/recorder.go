package analyticstest

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/tributary-dev/analytics"
)

// Recorder is a destination that keeps what is delivered to it, in the order in
// which the client accepted it. It takes every event at once, whatever the
// integrations object says of "All". [Record] makes a client with one; to place it
// beside other destinations, put it into analytics.Config.Destinations. All methods
// may be called concurrently.
type Recorder struct {
	mu      sync.Mutex
	events  []*analytics.Event
	script  []error
	arrived chan struct{} // closed and replaced when events arrive
}

var _ analytics.Destination = (*Recorder)(nil)

// RecorderName is the Recorder's key in the integrations object and in Stats.
const RecorderName = "Recorder"

// NewRecorder returns a Recorder without events.
func NewRecorder() *Recorder { return &Recorder{arrived: make(chan struct{})} }

// Events returns copies of all events. Delivery happens in the background: [Flush]
// or [Recorder.Wait] first. The events have been through JSON, so that numbers of
// properties and traits are json.Number.
func (r *Recorder) Events() []*analytics.Event {
	return r.where(func(*analytics.Event) bool { return true })
}

// Named returns copies of the events with a name: that of the action of a track
// call, of a page or a screen, or the collection of an object.
func (r *Recorder) Named(name string) []*analytics.Event {
	return r.where(func(e *analytics.Event) bool {
		switch e.Type {
		case analytics.CallTrack:
			return e.Event == name
		case analytics.CallPage, analytics.CallScreen:
			return e.Name == name
		case analytics.CallObject:
			return e.Collection == name
		}
		return false
	})
}

// Calls returns copies of the events of one call, such as analytics.CallIdentify.
func (r *Recorder) Calls(call analytics.Call) []*analytics.Event {
	return r.where(func(e *analytics.Event) bool { return e.Type == call })
}

func (r *Recorder) where(wanted func(*analytics.Event) bool) []*analytics.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*analytics.Event
	for _, e := range r.events {
		if wanted(e) {
			found = append(found, e.Clone())
		}
	}
	return found
}

// Len is the number of events.
func (r *Recorder) Len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.events)
}

// Wait waits until there are n events or more, and returns an error that counts
// them when ctx ends before. After [Recorder.Reset] the count starts again.
func (r *Recorder) Wait(ctx context.Context, n int) error {
	for {
		r.mu.Lock()
		have, arrived := len(r.events), r.arrived
		r.mu.Unlock()
		if have >= n {
			return nil
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d events arrived: %w", have, n, context.Cause(ctx))
		}
	}
}

// Reset forgets the events and the script of [Recorder.Fail].
func (r *Recorder) Reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events, r.script = nil, nil
}

// Fail makes the next deliveries answer with these errors, one each, before those
// after them succeed: a plain error to be tried again, or one of the words
// analytics.Permanent, analytics.RetryAfter and so on. nil is a success. What is
// answered with an error is not recorded; a *analytics.BatchError answers for the
// events that it names, by their place in the delivery.
func (r *Recorder) Fail(answers ...error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = append(r.script, answers...)
}

// Describe takes all calls, one request after another, without waiting.
func (r *Recorder) Describe() analytics.Description {
	return analytics.Description{
		Name:      RecorderName,
		Calls:     analytics.SixCalls | analytics.CallsOf(analytics.CallObject),
		Order:     analytics.Total,
		IgnoreAll: true,
		Lanes:     map[string]analytics.Limits{"": {Concurrency: 1, Linger: -1}},
	}
}

// Translate encodes the event.
func (r *Recorder) Translate(e *analytics.Event) ([]analytics.Item, error) {
	raw, err := e.AppendJSON(nil)
	return []analytics.Item{{Body: raw}}, err
}

// Deliver keeps the events of the batch, or answers as scripted.
func (r *Recorder) Deliver(_ context.Context, b *analytics.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var answer error
	if len(r.script) > 0 {
		answer, r.script = r.script[0], r.script[1:]
	}
	var items *analytics.BatchError
	if answer != nil && !errors.As(answer, &items) {
		return answer
	}
	for i, it := range b.Items {
		if items != nil && items.Items[i] != nil {
			continue
		}
		e := new(analytics.Event)
		if err := e.UnmarshalJSON(it.Body); err != nil {
			return analytics.Permanent(err)
		}
		r.events = append(r.events, e)
	}
	close(r.arrived)
	r.arrived = make(chan struct{})
	return answer
}
