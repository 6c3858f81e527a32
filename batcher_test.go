package analytics

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// epoch is when the tests of the batcher begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// batchLine is a lane with the events that go through it, as the loop uses them.
type batchLine struct {
	l    *loop
	ln   *lane
	src  *source
	next uint64
}

func newBatchLine(order Order, limits Limits) *batchLine {
	d := Description{Order: order, Lanes: map[string]Limits{"": limits}}.withDefaults(&Config{FlushInterval: time.Second})
	l := &loop{desc: d}
	src := &source{lines: map[string]*item{}}
	l.sources = []*source{src}
	ln := &lane{groups: map[string][]*bucket{}}
	ln.batcher = batcher{limits: d.Lanes[""], ordered: order != Unordered, trigger: d.Lanes[""].MaxItems, whole: order == Total}
	l.lanes = []*lane{ln}
	return &batchLine{l: l, ln: ln, src: src}
}

func (b *batchLine) batcher() *batcher { return &b.ln.batcher }

// event queues an event of the given items, accepted at the time given.
func (b *batchLine) event(at time.Time, items ...Item) *entry {
	e := &entry{source: b.src, record: record{seq: b.next, at: at.UnixMilli()}, since: at, left: len(items)}
	b.next++
	b.src.window = append(b.src.window, e)
	for i := range items {
		b.l.enqueue(&item{Item: items[i], event: e})
	}
	return e
}

func (b *batchLine) put(at time.Time, key string, size int) { b.event(at, Item{Key: key, Size: size}) }

// cut takes the next batch, at most n items; nil if there is no queue.
func (b *batchLine) cut(n int) *flight {
	q, _ := b.batcher().due(epoch, true, always)
	if q == nil {
		return nil
	}
	f := &flight{lane: b.ln, source: b.src}
	b.batcher().cut(q, f, n)
	return f
}

func (b *batchLine) resolve(f *flight) {
	for _, it := range f.items {
		b.l.unlink(it)
	}
}

func always(*queue) bool { return true }

func itemSeqs(f *flight) []uint64 {
	list := []uint64{}
	for _, it := range f.items {
		list = append(list, it.event.record.seq)
	}
	return list
}

func TestBatcherCountsItems(t *testing.T) {
	b := newBatchLine(Unordered, Limits{MaxItems: 3})
	for range 8 {
		b.put(epoch, "", 1)
	}
	require.Equal(t, []uint64{0, 1, 2}, itemSeqs(b.cut(3)))
	require.Equal(t, []uint64{3}, itemSeqs(b.cut(1)), "a smaller batch may be asked for")
	require.Equal(t, []uint64{4, 5, 6}, itemSeqs(b.cut(3)))
	require.Equal(t, []uint64{7}, itemSeqs(b.cut(3)))
	require.Nil(t, b.cut(3))
	require.Zero(t, b.batcher().items)
}

func TestBatcherCountsBytes(t *testing.T) {
	for _, row := range []struct {
		name                             string
		max, overhead, itemOverhead, one int
		want                             int
	}{
		{"bodies alone, to the byte", 300, 0, 0, 100, 3},
		{"a byte less", 299, 0, 0, 100, 2},
		{"the envelope counts", 300, 1, 0, 100, 2},
		{"the envelope to the byte", 301, 1, 0, 100, 3},
		{"separators count for each item", 302, 0, 1, 100, 2},
		{"separators to the byte", 303, 0, 1, 100, 3},
		{"all of it to the byte", 317, 2, 5, 100, 3},
		{"all of it, a byte less", 316, 2, 5, 100, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := newBatchLine(Unordered, Limits{MaxBytes: row.max, Overhead: row.overhead, ItemOverhead: row.itemOverhead})
			for range 10 {
				b.event(epoch, Item{Body: make([]byte, row.one)})
			}
			require.Len(t, b.cut(100).items, row.want)
		})
	}
	t.Run("Size stands for the body", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{MaxBytes: 100})
		b.event(epoch, Item{Body: make([]byte, 10), Size: 60})
		b.event(epoch, Item{Body: make([]byte, 10), Size: 60})
		require.Len(t, b.cut(100).items, 1)
	})
	t.Run("the largest item fits alone", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{MaxBytes: 100, Overhead: 7, ItemOverhead: 3})
		require.Equal(t, 90, b.batcher().limits.MaxItemBytes)
		b.event(epoch, Item{Size: 90})
		b.event(epoch, Item{Size: 1})
		require.Len(t, b.cut(100).items, 1)
	})
}

func TestBatcherDue(t *testing.T) {
	due := func(b *batchLine, now time.Time, flush bool) (bool, time.Time) {
		q, next := b.batcher().due(now, flush, always)
		return q != nil, next
	}
	t.Run("nothing is never due", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{})
		ready, next := due(b, epoch.Add(time.Hour), true)
		require.False(t, ready)
		require.Zero(t, next)
	})
	t.Run("by age of the oldest, from when it was accepted", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{Linger: time.Minute})
		b.put(epoch, "", 1)
		b.put(epoch.Add(50*time.Second), "", 1)
		ready, next := due(b, epoch.Add(59*time.Second), false)
		require.False(t, ready)
		require.True(t, next.Equal(epoch.Add(time.Minute)), next)
		ready, _ = due(b, epoch.Add(time.Minute), false)
		require.True(t, ready)
	})
	t.Run("by count", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{MaxItems: 10, Linger: time.Hour})
		b.batcher().trigger = 3
		for i := range 3 {
			ready, _ := due(b, epoch, false)
			require.False(t, ready, i)
			b.put(epoch, "", 1)
		}
		ready, next := due(b, epoch, false)
		require.True(t, ready)
		require.Zero(t, next)
	})
	t.Run("by bytes, with envelope and separators", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{MaxBytes: 1000, Overhead: 100, ItemOverhead: 50, Linger: time.Hour})
		for i := range 3 {
			ready, _ := due(b, epoch, false)
			require.False(t, ready, i)
			b.put(epoch, "", 250)
		}
		ready, _ := due(b, epoch, false)
		require.True(t, ready)
	})
	t.Run("by flush", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{Linger: time.Hour})
		b.put(epoch, "", 1)
		ready, _ := due(b, epoch, true)
		require.True(t, ready)
	})
	t.Run("no linger", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{Linger: -1})
		b.put(epoch, "", 1)
		ready, _ := due(b, epoch, false)
		require.True(t, ready)
	})
	t.Run("a queue that is not allowed lets the next one pass", func(t *testing.T) {
		b := newBatchLine(Unordered, Limits{})
		b.event(epoch, Item{Group: "x", Size: 1})
		b.event(epoch, Item{Group: "y", Size: 1})
		q, _ := b.batcher().due(epoch, true, func(q *queue) bool { return q.id.group != "x" })
		require.Equal(t, "y", q.id.group)
		q, next := b.batcher().due(epoch, true, func(*queue) bool { return false })
		require.Nil(t, q)
		require.Zero(t, next, "what keeps it is not its age")
	})
}

func TestBatcherKeepsGroupsAndLogsApart(t *testing.T) {
	b := newBatchLine(Unordered, Limits{})
	other := &source{lines: map[string]*item{}}
	for i := range 12 {
		e := &entry{source: []*source{b.src, other}[i%2], record: record{seq: uint64(i), at: epoch.UnixMilli()}, since: epoch, left: 1}
		b.l.enqueue(&item{Item: Item{Group: []string{"", "g", "h"}[i%3], Size: 1}, event: e})
	}
	batches := 0
	for f := b.cut(100); f != nil; f = b.cut(100) {
		batches++
		for _, it := range f.items {
			require.Equal(t, f.items[0].Group, it.Group)
			require.Same(t, f.items[0].event.source, it.event.source)
		}
	}
	require.Equal(t, 6, batches)
	require.Empty(t, b.batcher().queues, "queues without items are forgotten")
}

// "order: those with items, the longest waiting first": a group that always has a
// batch ready does not keep another from its turn.
func TestBatcherBusyGroupDoesNotStarveOthers(t *testing.T) {
	b := newBatchLine(Unordered, Limits{MaxItems: 10, Linger: time.Second})
	fill := func(now time.Time) {
		for q := b.batcher(); q.items < 21; {
			b.event(now, Item{Group: "busy", Size: 1})
		}
	}
	b.event(epoch, Item{Group: "busy", Size: 1})
	b.event(epoch, Item{Group: "quiet", Size: 1})
	for i := range 100 {
		now := epoch.Add(time.Duration(i) * time.Second)
		fill(now)
		q, _ := b.batcher().due(now, false, always)
		if q.id.group == "quiet" {
			return
		}
		b.batcher().cut(q, &flight{}, 10)
	}
	require.Fail(t, "an item has waited for 100 seconds, its linger is one")
}

func TestBatcherKeyOrder(t *testing.T) {
	t.Run("an item waits for the one before it and others pass", func(t *testing.T) {
		b := newBatchLine(PerKey, Limits{})
		b.put(epoch, "a", 1) // 0
		first := b.cut(1)
		b.put(epoch, "a", 1) // 1
		b.put(epoch, "b", 1) // 2
		b.put(epoch, "a", 1) // 3
		require.Equal(t, []uint64{2}, itemSeqs(b.cut(10)))
		require.Nil(t, b.cut(10), "1 and 3 are parked")
		b.resolve(first)
		require.Equal(t, []uint64{1, 3}, itemSeqs(b.cut(10)), "3 rides along")
	})
	t.Run("items of a key ride in one request", func(t *testing.T) {
		b := newBatchLine(PerKey, Limits{})
		for i := range 6 {
			b.put(epoch, strconv.Itoa(i%2), 1)
		}
		require.Equal(t, seqRange(0, 6), itemSeqs(b.cut(10)))
	})
	t.Run("parked items ride along as far as they fit", func(t *testing.T) {
		b := newBatchLine(PerKey, Limits{MaxBytes: 100})
		b.put(epoch, "a", 10)
		first := b.cut(10)
		for range 5 {
			b.put(epoch, "a", 40)
		}
		require.Empty(t, b.cut(10).items)
		b.resolve(first)
		second := b.cut(10)
		require.Equal(t, []uint64{1, 2}, itemSeqs(second))
		require.Nil(t, b.cut(10))
		b.resolve(second)
		third := b.cut(1)
		require.Equal(t, []uint64{3}, itemSeqs(third))
		b.resolve(third)
		require.Equal(t, []uint64{4, 5}, itemSeqs(b.cut(10)))
	})
	t.Run("an item in the middle that is resolved does not free those behind", func(t *testing.T) {
		b := newBatchLine(PerKey, Limits{})
		for range 4 {
			b.put(epoch, "a", 1)
		}
		f := b.cut(2)
		b.l.unlink(f.items[1])
		require.Empty(t, b.cut(10).items)
		b.l.unlink(f.items[0])
		require.Equal(t, []uint64{2, 3}, itemSeqs(b.cut(10)))
	})
	t.Run("an item that is put back goes first and holds back its key only", func(t *testing.T) {
		b := newBatchLine(PerKey, Limits{})
		for i := range 4 {
			b.put(epoch, strconv.Itoa(i%2), 1)
		}
		f := b.cut(2) // 0 and 1
		b.batcher().putBack(f.items[0])
		b.l.unlink(f.items[1])
		require.Equal(t, []uint64{0, 2, 3}, itemSeqs(b.cut(10)))
	})
	t.Run("groups of one key wait for each other", func(t *testing.T) {
		b := newBatchLine(PerKey, Limits{})
		b.event(epoch, Item{Key: "a", Group: "x", Size: 1})
		b.event(epoch, Item{Key: "a", Group: "y", Size: 1})
		f := b.cut(10)
		require.Equal(t, []uint64{0}, itemSeqs(f))
		require.Empty(t, b.cut(10).items)
		b.resolve(f)
		require.Equal(t, []uint64{1}, itemSeqs(b.cut(10)))
	})
	t.Run("Total keeps events whole", func(t *testing.T) {
		b := newBatchLine(Total, Limits{MaxItems: 4})
		for range 3 {
			b.event(epoch, Item{Key: "a", Size: 1}, Item{Key: "b", Size: 1}, Item{Key: "c", Size: 1})
		}
		for i := range uint64(3) {
			f := b.cut(4)
			require.Equal(t, []uint64{i, i, i}, itemSeqs(f))
			b.resolve(f)
		}
	})
	t.Run("an event that is larger than a batch is cut all the same", func(t *testing.T) {
		b := newBatchLine(Total, Limits{MaxItems: 2})
		b.event(epoch, Item{Size: 1}, Item{Size: 1}, Item{Size: 1})
		f := b.cut(2)
		require.Len(t, f.items, 2)
		b.resolve(f)
		require.Len(t, b.cut(2).items, 1)
	})
	t.Run("Total has one key", func(t *testing.T) {
		b := newBatchLine(Total, Limits{})
		b.put(epoch, "a", 1)
		f := b.cut(1)
		b.put(epoch, "b", 1)
		require.Empty(t, b.cut(1).items)
		b.resolve(f)
		require.Len(t, b.cut(1).items, 1)
	})
}

// Promise 7: a queue that never runs empty holds on to what waits in it, not to
// all that went through.
func TestBatcherQueueStaysSmall(t *testing.T) {
	b := newBatchLine(Unordered, Limits{MaxItems: 10})
	most := 0
	for range 20_000 {
		for b.batcher().items < 15 {
			b.put(epoch, "", 1)
		}
		q, _ := b.batcher().due(epoch, true, always)
		b.batcher().cut(q, &flight{}, 10)
		most = max(most, cap(q.items))
		b.src.window = nil
	}
	require.Less(t, most, 1000, "15 items were in it at the most")
}

// Every item is cut exactly once, no batch is over its limits, and items of a key
// keep their order, whatever comes back and whatever waits.
func TestBatcherRandom(t *testing.T) {
	n := 3000
	if testing.Short() {
		n /= 10
	}
	for seed := range n {
		batcherTrial(t, rand.New(rand.NewPCG(uint64(seed), 11)), fmt.Sprintf("seed %d", seed))
	}
}

func batcherTrial(t *testing.T, rng *rand.Rand, seed string) {
	order := Order(rng.IntN(3))
	limits := Limits{MaxItems: 1 + rng.IntN(8), MaxBytes: 100 + rng.IntN(200), Overhead: rng.IntN(20), ItemOverhead: rng.IntN(4)}
	b := newBatchLine(order, limits)
	groups := 1 + rng.IntN(3)
	if order == Total {
		groups = 1
	}
	cuts, queued := map[*item]int{}, 0
	var flights []*flight
	resolved := map[string]uint64{} // the last of each key, with one added
	now := epoch
	step := func() {
		switch rng.IntN(4) {
		case 0:
			for range rng.IntN(6) {
				items := make([]Item, 1+rng.IntN(3)/2)
				for i := range items {
					items[i] = Item{Key: strconv.Itoa(rng.IntN(4)), Group: strconv.Itoa(rng.IntN(groups)), Size: 1 + rng.IntN(60)}
				}
				queued += len(items)
				b.event(now, items...)
			}
		case 1, 2:
			now = now.Add(time.Duration(rng.IntN(1500)) * time.Millisecond)
			q, next := b.batcher().due(now, rng.IntN(3) == 0, always)
			if q == nil {
				if !next.IsZero() {
					require.True(t, next.After(now), seed)
				}
				return
			}
			before := b.batcher().items
			require.Positive(t, before, seed)
			f := &flight{lane: b.ln, source: b.src}
			b.batcher().cut(q, f, 1+rng.IntN(limits.MaxItems))
			require.LessOrEqual(t, len(f.items), limits.MaxItems, seed)
			bytes, seen := limits.Overhead, map[string]uint64{}
			for _, it := range f.items {
				bytes += it.Size + limits.ItemOverhead
				cuts[it]++
				require.Equal(t, 1, cuts[it], seed)
				require.Equal(t, q.id.group, it.Group, seed)
				if order != Unordered {
					require.GreaterOrEqual(t, it.event.record.seq+1, max(resolved[it.key], seen[it.key]), "%s: out of order", seed)
					require.True(t, it.prev == nil || it.prev.flight == f, seed)
					seen[it.key] = it.event.record.seq + 1
				}
			}
			require.LessOrEqual(t, bytes, limits.MaxBytes, seed)
			if len(f.items) > 0 {
				flights = append(flights, f)
			}
		case 3:
			if len(flights) == 0 {
				return
			}
			i := rng.IntN(len(flights))
			f := flights[i]
			flights = slices.Delete(flights, i, i+1)
			for _, it := range f.items {
				if rng.IntN(6) == 0 {
					cuts[it]--
					b.batcher().putBack(it)
					continue
				}
				if order != Unordered && it.prev == nil {
					require.GreaterOrEqual(t, it.event.record.seq+1, resolved[it.key], seed)
					resolved[it.key] = it.event.record.seq + 1
				}
				it.flight = nil
				b.l.unlink(it)
			}
		}
	}
	for range 60 + rng.IntN(100) {
		step()
	}
	for range 10_000 { // the rest
		q, _ := b.batcher().due(now, true, always)
		if q != nil {
			f := &flight{lane: b.ln, source: b.src}
			b.batcher().cut(q, f, limits.MaxItems)
			for _, it := range f.items {
				cuts[it]++
			}
			flights = append(flights, f)
			continue
		}
		if len(flights) == 0 {
			break
		}
		for _, it := range flights[0].items {
			it.flight = nil
			b.l.unlink(it)
		}
		flights = flights[1:]
	}
	require.Len(t, cuts, queued, seed)
	for _, n := range cuts {
		require.Equal(t, 1, n, seed)
	}
	require.Empty(t, b.src.lines, seed)
	require.Zero(t, b.batcher().items, seed)
}

func TestBucket(t *testing.T) {
	at := func(s float64) time.Time { return epoch.Add(time.Duration(s * float64(time.Second))) }
	t.Run("requests", func(t *testing.T) {
		b := newBucket(Rate{Requests: 2, Per: time.Second}, epoch)
		for range 2 {
			require.Zero(t, b.wait(epoch, 1000))
			b.take(1000)
		}
		require.InDelta(t, 0.5, b.wait(epoch, 1).Seconds(), 1e-6)
		require.InDelta(t, 0.3, b.wait(at(0.2), 1).Seconds(), 1e-6)
		require.Zero(t, b.wait(at(0.2).Add(b.wait(at(0.2), 1)), 1), "wait says exactly how long")
	})
	t.Run("items", func(t *testing.T) {
		b := newBucket(Rate{Items: 100, Per: time.Minute}, epoch)
		require.Zero(t, b.wait(epoch, 100))
		b.take(70)
		require.Zero(t, b.wait(epoch, 30))
		require.InDelta(t, 6, b.wait(epoch, 40).Seconds(), 1e-6)
		require.InDelta(t, 42, b.wait(epoch, 1000).Seconds(), 1e-6, "more than the bucket holds is as much as it holds")
	})
	t.Run("both", func(t *testing.T) {
		b := newBucket(Rate{Requests: 1, Items: 10, Per: time.Second}, epoch)
		b.take(10)
		require.InDelta(t, 1, b.wait(epoch, 1).Seconds(), 1e-6)
		require.InDelta(t, 1, b.wait(epoch, 10).Seconds(), 1e-6)
	})
	t.Run("a quiet time saves up to Burst", func(t *testing.T) {
		b := newBucket(Rate{Requests: 10, Per: time.Second, Burst: 3}, epoch)
		for range 3 {
			require.Zero(t, b.wait(at(3600), 1))
			b.take(1)
		}
		require.Positive(t, b.wait(at(3600), 1))
	})
	t.Run("a clock that goes back gives nothing", func(t *testing.T) {
		b := newBucket(Rate{Requests: 1, Per: time.Second}, epoch)
		b.take(1)
		require.Positive(t, b.wait(at(-100), 1))
		require.InDelta(t, 1, b.wait(epoch, 1).Seconds(), 1e-6)
	})
	t.Run("the rate holds over any time", func(t *testing.T) {
		rng := rand.New(rand.NewPCG(1, 1))
		for range 200 {
			r := Rate{Requests: 1 + rng.IntN(20), Items: 1 + rng.IntN(50), Per: time.Duration(1+rng.IntN(5000)) * time.Millisecond}
			b := newBucket(r, epoch)
			now, requests, items := epoch, 0, 0
			for range 200 {
				n := 1 + rng.IntN(r.most())
				now = now.Add(b.wait(now, n) + time.Duration(rng.IntN(3))*time.Millisecond)
				require.Zero(t, b.wait(now, n))
				b.take(n)
				requests, items = requests+1, items+n
				periods := 1 + now.Sub(epoch).Seconds()/r.Per.Seconds()
				require.LessOrEqual(t, float64(requests), float64(r.Requests)*periods+1e-6)
				require.LessOrEqual(t, float64(items), float64(r.Items)*periods+1e-6)
			}
		}
	})
	t.Run("most", func(t *testing.T) {
		require.Zero(t, Rate{Requests: 5}.most())
		require.Equal(t, 5, Rate{Items: 5}.most())
		require.Equal(t, 7, Rate{Items: 5, Burst: 7}.most())
	})
}

func TestBucketsPerGroup(t *testing.T) {
	b := newBatchLine(Unordered, Limits{Rates: []Rate{{Requests: 1, PerGroup: true}, {Requests: 3}}})
	ln := b.ln
	ln.buckets, ln.rates = []*bucket{newBucket(ln.batcher.limits.Rates[1], epoch)}, 1
	send := func(group string) bool {
		if ln.rateWait(group, epoch, 1) > 0 {
			return false
		}
		for _, b := range ln.bucketsOf(group, epoch) {
			b.take(1)
		}
		return true
	}
	require.True(t, send("a"))
	require.False(t, send("a"), "a has used its own")
	require.True(t, send("b"))
	require.True(t, send("c"))
	require.False(t, send("d"), "the rate of all is used")
}

// groupBuckets bounds the groups that have rates of their own: those that are full
// again are forgotten.
func TestBucketsOfGroupsAreForgotten(t *testing.T) {
	for name, rates := range map[string][]Rate{
		"requests":                    {{Requests: 10, PerGroup: true}},
		"items":                       {{Items: 10, PerGroup: true}},
		"both":                        {{Requests: 10, Items: 10, PerGroup: true}},
		"with a rate for all in use":  {{Requests: 10, PerGroup: true}, {Requests: 90}},
		"with a rate for all by item": {{Requests: 10, PerGroup: true}, {Items: 90}},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBatchLine(Unordered, Limits{Rates: rates})
			ln := b.ln
			for _, r := range ln.batcher.limits.Rates {
				if r.PerGroup {
					ln.rates++
				} else {
					ln.buckets = append(ln.buckets, newBucket(r, epoch))
				}
			}
			for i := range 6000 {
				now := epoch.Add(time.Duration(i) * 10 * time.Millisecond) // 100 a second, full again after one
				for _, b := range ln.bucketsOf(strconv.Itoa(i), now) {
					b.take(1)
				}
			}
			require.LessOrEqual(t, len(ln.groups), 2*groupBuckets)
		})
	}
}

// Items that were parked ride along with the first of their key; the rate counts
// them like any other.
func TestRateHoldsForItemsThatRideAlong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &timed{desc: Description{Name: "timed", Order: PerKey, Lanes: map[string]Limits{"": {
			Linger: -1, Concurrency: 8, Rates: []Rate{{Items: 10}},
		}}}}
		client, err := New(Config{Destinations: []Destination{d}, FlushInterval: -1, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
		require.NoError(t, err)
		defer func() { _ = client.Close(context.Background()) }()
		send := func(user string, n int) {
			for range n {
				require.NoError(t, client.Track(t.Context(), Track{UserID: user, Event: "E"}))
			}
			synctest.Wait()
		}
		for range 6 { // the lane finds out how many requests it may have
			send("w", 1)
			time.Sleep(time.Second)
		}
		send("slow", 1)
		send("slow", 10)
		time.Sleep(2900 * time.Millisecond)
		send("other", 10)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		d.mu.Lock()
		defer d.mu.Unlock()
		for i, from := range d.sent {
			items := 0
			for _, s := range d.sent[i:] {
				items += s.items
				require.LessOrEqual(t, float64(items), 10+10*s.at.Sub(from.at).Seconds()+0.01, "%d items within %v", items, s.at.Sub(from.at))
			}
		}
		require.Equal(t, uint64(27), client.Stats().Destinations["timed"].Delivered)
	})
}

// timed notes when it is asked for what; the user slow has to wait.
type timed struct {
	desc Description
	mu   sync.Mutex
	sent []struct {
		at    time.Time
		items int
	}
}

func (d *timed) Describe() Description { return d.desc }

func (d *timed) Translate(e *Event) ([]Item, error) { return []Item{{Body: []byte(e.MessageID)}}, nil }

func (d *timed) Deliver(_ context.Context, b *Batch) error {
	d.mu.Lock()
	d.sent = append(d.sent, struct {
		at    time.Time
		items int
	}{time.Now(), len(b.Items)})
	d.mu.Unlock()
	if b.Items[0].Key == "slow" {
		time.Sleep(3 * time.Second)
	}
	return nil
}
