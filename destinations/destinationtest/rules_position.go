package destinationtest

import (
	"context"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
)

func positionRules() []rule {
	return []rule{
		{
			name:     "position-new",
			sentence: "Position of a log that the tool has not seen is ok false, without an error.",
			needs:    needPositioner,
			test:     testPositionNew,
		},
		{
			name:     "position-advances",
			sentence: "After a batch was delivered Position is its To, for its log only, also if the batch had no items.",
			needs:    needPositioner | needItems,
			test:     testPositionAdvances,
		},
		{
			name:     "position-failed",
			sentence: "A batch that was not delivered does not move Position.",
			needs:    needPositioner | needItems | needFailure,
			test:     testPositionFailed,
		},
		{
			name:     "position-again",
			sentence: "Delivering a range again is answered with nil and changes nothing: neither Position nor what is stored.",
			needs:    needPositioner | needItems,
			test:     testPositionAgain,
		},
		{
			name:     "position-restart",
			sentence: "Position is stored with the rows: it is the same after a restart.",
			needs:    needPositioner | needItems,
			test:     testPositionRestart,
		},
	}
}

// at reports where Position is not what is wanted.
func (d *instance) at(log analytics.LogID, next uint64, ok bool, when string) {
	p := find[analytics.Positioner](d.Destination)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var gotNext uint64
	var gotOK bool
	err := protect(func() (err error) {
		gotNext, gotOK, err = p.Position(ctx, log)
		return err
	})
	switch {
	case err != nil:
		d.t.errorf("Position %s: %v", when, err)
	case gotOK != ok, ok && gotNext != next:
		d.t.errorf("Position %s is (%d, %t), want (%d, %t)", when, gotNext, gotOK, next, ok)
	}
}

// deliverAll delivers the batches of the samples one after the other, calling after
// with each. It returns the last, nil if one was not taken.
func (d *instance) deliverAll(after func(*analytics.Batch)) *analytics.Batch {
	var last *analytics.Batch
	for _, b := range d.batches(d.supported(d.t.samples())) {
		if err, ok := d.deliver(b); err != nil || !ok {
			return nil
		}
		last = b
		if after != nil {
			after(b)
		}
	}
	return last
}

func testPositionNew(t *trial) {
	t.withOpen(func(d *instance) { d.at(testLog, 0, false, "of a new log") })
}

func testPositionAdvances(t *trial) {
	t.withOpen(func(d *instance) {
		last := d.deliverAll(func(b *analytics.Batch) { d.at(testLog, b.To, true, "after "+describe(b)) })
		if last == nil {
			return
		}
		d.at(analytics.LogID{1}, 0, false, "of another log")
		empty := &analytics.Batch{Lane: last.Lane, Log: testLog, From: last.To, To: last.To + 3}
		if err, ok := d.deliver(empty); ok && err != nil {
			t.errorf("a batch without items: %v", err)
			return
		}
		d.at(testLog, empty.To, true, "after a batch without items")
	})
}

func testPositionFailed(t *trial) {
	t.withOpen(func(d *instance) {
		last := d.deliverAll(nil)
		if last == nil {
			return
		}
		next := copyOf(last)
		next.From, next.To = last.To, last.To+uint64(len(last.Items))
		for i := range next.Items {
			next.Items[i].ID += "-next"
		}
		t.svc.script(failWith(t.failure()))
		if err, ok := d.deliver(next); !ok || err == nil {
			return
		}
		d.at(testLog, last.To, true, "after a batch that failed")
	})
}

func testPositionAgain(t *trial) {
	t.withOpen(func(d *instance) {
		last := d.deliverAll(nil)
		if last == nil {
			return
		}
		before := t.stored()
		again := copyOf(last)
		again.Attempt = 1
		if err, ok := d.deliver(again); ok && err != nil {
			t.errorf("%s again: %v", describe(last), err)
		}
		d.at(testLog, last.To, true, "after a batch that came again")
		if after := t.stored(); !slices.Equal(before, after) {
			t.errorf("stored were %s, and after the batch came again %s", list(before), list(after))
		}
	})
}

// stored is what Setup.Stored reads back, sorted.
func (t *trial) stored() []string {
	if t.setup.Stored == nil {
		return nil
	}
	ids, err := t.setup.Stored(t.svc)
	if err != nil {
		t.errorf("Setup.Stored: %v", err)
	}
	return slices.Sorted(slices.Values(ids))
}

func testPositionRestart(t *trial) {
	t.withOpen(func(d *instance) {
		last := d.deliverAll(nil)
		if last == nil {
			return
		}
		t.close()
		if fresh := t.open(); fresh != nil {
			fresh.at(testLog, last.To, true, "after a restart")
		}
	})
}
