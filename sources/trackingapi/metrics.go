package trackingapi

import (
	"maps"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Stats are the counters of a handler since it was made.
type Stats struct {
	Requests   map[int]uint64 // by status
	Events     uint64         // accepted by the clients
	Duplicates uint64         // whose messageId had been accepted before
	Discards   map[Code]uint64
	Bytes      uint64 // of bodies, as they came

	// Latency counts requests by how long their answer took: element i those up to
	// LatencyBounds[i], the last one those above all of them. Took is the sum.
	Latency [len(LatencyBounds) + 1]uint64
	Took    time.Duration
}

// LatencyBounds are those of Stats.Latency.
var LatencyBounds = [...]time.Duration{
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 5 * time.Second,
}

// metrics are what Stats are taken from.
type metrics struct {
	events, duplicates, bytes, took atomic.Uint64
	latency                         [len(LatencyBounds) + 1]atomic.Uint64

	mu       sync.Mutex
	requests map[int]uint64
	discards map[Code]uint64
}

func (m *metrics) done(status int, took time.Duration) {
	i := 0
	for i < len(LatencyBounds) && took > LatencyBounds[i] {
		i++
	}
	m.latency[i].Add(1)
	m.took.Add(uint64(took))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.requests == nil {
		m.requests = map[int]uint64{}
	}
	m.requests[status]++
}

// discard counts a message that was not accepted, and tells the configuration.
func (h *Handler) discard(d Discard) {
	h.metrics.mu.Lock()
	if h.metrics.discards == nil {
		h.metrics.discards = map[Code]uint64{}
	}
	h.metrics.discards[d.Code]++
	h.metrics.mu.Unlock()
	if h.cfg.OnDiscard != nil {
		h.cfg.OnDiscard(d)
	}
}

// Stats returns the counters.
func (h *Handler) Stats() Stats {
	m := &h.metrics
	s := Stats{
		Events: m.events.Load(), Duplicates: m.duplicates.Load(), Bytes: m.bytes.Load(), Took: time.Duration(m.took.Load()),
	}
	for i := range m.latency {
		s.Latency[i] = m.latency[i].Load()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Requests, s.Discards = maps.Clone(m.requests), maps.Clone(m.discards)
	return s
}

// health says whether the handler takes requests.
func (c *exchange) health() {
	c.h.mu.Lock()
	closed := c.h.closed
	c.h.mu.Unlock()
	if closed {
		c.unavailable("shutting down")
		return
	}
	c.write(http.StatusOK, []byte(`{"status":"ok"}`))
}
