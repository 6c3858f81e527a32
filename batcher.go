package analytics

import (
	"slices"
	"time"
)

// An item is one Item of an event on its way through a lane.
type item struct {
	Item
	event *entry
	lane  *lane
	size  int // with its share of the envelope

	// prev and next are its neighbours among the unresolved items of its key.
	prev, next *item
	key        string

	flight *flight   // the batch that it rides in
	parked bool      // out of its queue, until prev is resolved or rides along
	after  time.Time // not before, where the tool said so for this item
	sent   int       // requests that it was part of
	failed int       // how often it was named as to be sent again
	blamed int       // of those, while others arrived
	atMost int       // answers of RetryAtMost
	before *past     // of its event in an earlier process, until it is sent in this one
}

// batcher collects the items of a lane and cuts batches from them: by count, by
// real bytes, by age, by log and group, by key. It reads no clock and starts
// nothing.
type batcher struct {
	limits  Limits
	ordered bool // by key
	whole   bool // the items of an event stay together
	trigger int  // so many items are worth a request

	queues map[queueID]*queue
	order  []*queue // those with items, the longest not served first
	items  int      // in all queues
	bytes  int      // of them
}

// queueID: only items of one log and one group share a request.
type queueID struct {
	source *source
	group  string
}

// queue holds the items that may share a request.
type queue struct {
	id     queueID
	items  []*item
	head   int
	bytes  int
	listed bool // in order
}

func (q *queue) len() int     { return len(q.items) - q.head }
func (q *queue) front() *item { return q.items[q.head] }

func (q *queue) pop() *item {
	it := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	q.bytes -= it.size
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	}
	return it
}

func (b *batcher) queue(it *item) *queue {
	id := queueID{it.event.source, it.Group}
	q := b.queues[id]
	if q == nil {
		if b.queues == nil {
			b.queues = make(map[queueID]*queue)
		}
		q = &queue{id: id}
		b.queues[id] = q
	}
	if !q.listed {
		q.listed = true
		b.order = append(b.order, q)
	}
	b.items++
	b.bytes += it.size
	return q
}

// take removes the first item of q.
func (b *batcher) take(q *queue) {
	b.items--
	b.bytes -= q.front().size
	q.pop()
}

// add queues a new item behind the others.
func (b *batcher) add(it *item) {
	q := b.queue(it)
	q.bytes += it.size
	if q.head >= compactAt && 2*q.head >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, it)
}

// compactAt is how many places at the front of a queue may be empty before it is
// worth moving the rest.
const compactAt = 64

// putBack queues an item that is older than those that wait.
func (b *batcher) putBack(it *item) {
	it.parked, it.flight = false, nil
	q := b.queue(it)
	q.bytes += it.size
	if q.head > 0 {
		q.head--
		q.items[q.head] = it
		return
	}
	q.items = slices.Insert(q.items, 0, it)
}

// due finds the first queue that is worth a request now and that allowed lets
// pass, and otherwise when the next one will be, by its age alone.
func (b *batcher) due(now time.Time, flush bool, allowed func(*queue) bool) (ready *queue, next time.Time) {
	b.order = slices.DeleteFunc(b.order, func(q *queue) bool {
		if q.len() > 0 {
			return false
		}
		q.listed = false
		delete(b.queues, q.id)
		return true
	})
	for _, q := range b.order {
		at := q.front().event.since.Add(b.limits.Linger)
		switch {
		case flush, q.len() >= b.trigger, b.limits.Overhead+q.bytes >= b.limits.MaxBytes, !at.After(now):
			if allowed(q) {
				return q, time.Time{}
			}
		default:
			next = earliest(next, at)
		}
	}
	return nil, next
}

// earliest returns the earlier of two times, of which zero stands for never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// cut moves items from the front of q to f, at most n, as long as they fit. Items
// that have to wait for another of their key are parked on the way. Those that were sent
// by an earlier process share a batch only with others of the same past.
func (b *batcher) cut(q *queue, f *flight, n int) {
	bytes := b.limits.Overhead
	take := func(it *item) bool {
		if len(f.items) >= n || len(f.items) > 0 && (bytes+it.size > b.limits.MaxBytes || !it.joins(f.items[0])) {
			return false
		}
		bytes += it.size
		it.flight, it.parked = f, false
		f.items = append(f.items, it)
		return true
	}
	for q.len() > 0 {
		it := q.front()
		if b.ordered && it.waits(f) {
			it.parked = true
			b.take(q)
			continue
		}
		if !take(it) {
			break
		}
		b.take(q)
		for nx := it.next; nx != nil && nx.parked && nx.lane == it.lane && nx.Group == it.Group && take(nx); {
			nx = nx.next
		}
	}
	if n := len(f.items); b.whole && n > 0 && f.items[n-1].next != nil {
		b.uncut(f.items[n-1].next.event, f)
	}
	i := slices.Index(b.order, q)
	if i < 0 {
		return
	}
	b.order = slices.Delete(b.order, i, i+1)
	if q.listed = q.len() > 0; q.listed { // the others come first now
		b.order = append(b.order, q)
	} else {
		delete(b.queues, q.id)
	}
}

// waits tells whether an earlier item of the key is neither resolved nor in f.
func (it *item) waits(f *flight) bool { return it.prev != nil && it.prev.flight != f }

// uncut takes the items of an event out of f again, unless they are all there is.
func (b *batcher) uncut(ev *entry, f *flight) {
	if f.items[0].event == ev {
		return
	}
	for n := len(f.items); f.items[n-1].event == ev; n-- {
		b.putBack(f.items[n-1])
		f.items = f.items[:n-1]
	}
}

// bucket is a Rate at work: tokens for requests and for items.
type bucket struct {
	rate            Rate
	requests, items float64
	at              time.Time
}

func newBucket(r Rate, now time.Time) *bucket {
	return &bucket{rate: r, requests: r.burst(r.Requests), items: r.burst(r.Items), at: now}
}

// burst is how many tokens a full bucket holds, of those that n stands for.
func (r Rate) burst(n int) float64 {
	if r.Burst > 0 && n > 0 {
		return float64(r.Burst)
	}
	return float64(n)
}

func (b *bucket) refill(now time.Time) {
	d := now.Sub(b.at).Seconds() / b.rate.Per.Seconds()
	if d <= 0 {
		return
	}
	b.at = now
	b.requests = min(b.requests+d*float64(b.rate.Requests), b.rate.burst(b.rate.Requests))
	b.items = min(b.items+d*float64(b.rate.Items), b.rate.burst(b.rate.Items))
}

// wait is how long until a request of n items may go, or of as many as the bucket
// ever holds.
func (b *bucket) wait(now time.Time, n int) time.Duration {
	b.refill(now)
	missing := func(have float64, want float64, rate int) time.Duration {
		if rate == 0 || have >= want-1e-9 {
			return 0
		}
		return time.Duration((want-have)/float64(rate)*float64(b.rate.Per)) + 1
	}
	return max(missing(b.requests, 1, b.rate.Requests),
		missing(b.items, min(float64(n), b.rate.burst(b.rate.Items)), b.rate.Items))
}

func (b *bucket) take(n int) {
	if b.rate.Requests > 0 {
		b.requests--
	}
	if b.rate.Items > 0 {
		b.items -= float64(n)
	}
}

// full tells whether the bucket is as if it had never been used.
func (b *bucket) full(now time.Time) bool {
	b.refill(now)
	return b.requests >= b.rate.burst(b.rate.Requests) && b.items >= b.rate.burst(b.rate.Items)
}

// most is the largest request that the rate can ever let pass, 0 if any.
func (r Rate) most() int {
	if r.Items == 0 {
		return 0
	}
	return int(max(r.burst(r.Items), 1))
}
