package trackingapi

import (
	"sync"
	"time"
)

// rates are token buckets of the sources that have a rate, by their names.
type rates struct {
	mu      sync.Mutex
	buckets map[string]*bucket
}

type bucket struct {
	tokens float64
	at     time.Time
}

// maxBuckets bounds the memory: beyond it, those that are full are forgotten.
const maxBuckets = 10_000

// wait takes a token, or says how long there will be none.
func (r *rates) wait(s *Source, now time.Time) time.Duration {
	if s.Requests <= 0 {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.buckets == nil {
		r.buckets = map[string]*bucket{}
	}
	rate := float64(s.Requests)
	b := r.buckets[s.Name]
	if b == nil {
		r.shrink(now)
		b = &bucket{tokens: rate, at: now}
		r.buckets[s.Name] = b
	}
	b.tokens = min(rate, b.tokens+now.Sub(b.at).Seconds()*rate)
	b.at = now
	if b.tokens < 1 {
		return time.Duration((1 - b.tokens) / rate * float64(time.Second))
	}
	b.tokens--
	return 0
}

func (r *rates) shrink(now time.Time) {
	if len(r.buckets) < maxBuckets {
		return
	}
	for name, b := range r.buckets {
		if now.Sub(b.at) > time.Second { // full again
			delete(r.buckets, name)
		}
	}
}
