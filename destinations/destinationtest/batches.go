package destinationtest

import (
	"slices"

	"github.com/tributary-dev/analytics"
)

// testLog is the log that the kit's batches come from.
var testLog = analytics.LogID{0xde, 0x57}

// batches translates the events and cuts batches as the client does: by lane, by
// group and within the limits, each with its range of sequence numbers. Events that
// become no items are left out.
func (d *instance) batches(events []*analytics.Event) []*analytics.Batch {
	c := cutter{limits: d.lanes(), total: d.desc.Order == analytics.Total}
	for _, e := range events {
		items, err := d.translate(e)
		if err != nil {
			items = nil
		}
		c.event(items)
	}
	return c.done
}

// cutter cuts batches.
type cutter struct {
	limits map[string]analytics.Limits
	total  bool // one batch after the other, ranges without gaps
	open   []*openBatch
	done   []*analytics.Batch
	seq    uint64 // of the current event; the first is 1
}

type openBatch struct {
	*analytics.Batch
	group string
	bytes int
}

func (c *cutter) event(items []analytics.Item) {
	c.seq++
	for _, it := range items {
		l, ok := c.limits[it.Lane]
		if !ok || size(&it) > l.MaxItemBytes {
			continue
		}
		c.item(it, l)
	}
	if c.total && len(c.done) > 0 {
		c.done[len(c.done)-1].To = c.seq + 1
	}
}

func (c *cutter) item(it analytics.Item, l analytics.Limits) {
	need := size(&it) + l.ItemOverhead
	i := slices.IndexFunc(c.open, func(b *openBatch) bool { return b.Lane == it.Lane && b.group == it.Group })
	if i >= 0 && (len(c.open[i].Items) >= l.MaxItems || c.open[i].bytes+need > l.MaxBytes) {
		c.open = slices.Delete(c.open, i, i+1)
		i = -1
	}
	if i < 0 {
		if c.total {
			c.open = nil
		}
		b := &analytics.Batch{Lane: it.Lane, Log: testLog, From: c.from()}
		c.done = append(c.done, b)
		c.open = append(c.open, &openBatch{Batch: b, group: it.Group, bytes: l.Overhead})
		i = len(c.open) - 1
	}
	b := c.open[i]
	b.Items = append(b.Items, it)
	b.bytes += need
	b.To = c.seq + 1
}

// from is where a new batch begins: at its event, or where ranges follow one another
// at the end of the one before.
func (c *cutter) from() uint64 {
	switch {
	case !c.total:
		return c.seq
	case len(c.done) == 0:
		return 1
	}
	return c.done[len(c.done)-1].To
}

// full returns the largest batch that the lane takes, up to most items, nil if there
// is nothing to fill it with.
func (d *instance) full(lane string, events []*analytics.Event) *analytics.Batch {
	const most = 10_000
	limit := min(d.lanes()[lane].MaxItems, most)
	var best *analytics.Batch
	for _, vary := range []func(*analytics.Event, int) *analytics.Event{otherUser, otherMessage} {
		for _, e := range events {
			if b := d.fill(lane, limit, e, vary); b != nil && (best == nil || len(b.Items) > len(best.Items)) {
				best = b
			}
			if best != nil && len(best.Items) > 1 {
				return best
			}
		}
	}
	return best
}

// fill makes variations of e until the first batch of the lane is full.
func (d *instance) fill(lane string, limit int, e *analytics.Event, vary func(*analytics.Event, int) *analytics.Event) *analytics.Batch {
	c := cutter{limits: d.lanes(), total: d.desc.Order == analytics.Total}
	for n := range limit {
		items, err := d.translate(vary(e, n))
		if err != nil || len(items) == 0 {
			return nil
		}
		c.event(slices.DeleteFunc(items, func(it analytics.Item) bool { return it.Lane != lane }))
		if len(c.done) == 0 {
			return nil
		}
		if len(c.done) > 1 {
			break
		}
	}
	return c.done[0]
}

// byLane returns for each lane its longest batch.
func byLane(batches []*analytics.Batch) []*analytics.Batch {
	var best []*analytics.Batch
	for _, b := range batches {
		i := slices.IndexFunc(best, func(o *analytics.Batch) bool { return o.Lane == b.Lane })
		switch {
		case i < 0:
			best = append(best, b)
		case len(b.Items) > len(best[i].Items):
			best[i] = b
		}
	}
	return best
}
