package warehousetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/tributary-dev/analytics/warehouse"
)

// goldenOrder loads the events of order.json in the order of the file and in random ones,
// in random batches, and wants the same tables each time. Each order has a source of its
// own.
func goldenOrder(t *testing.T, s Setup) {
	c := parseGolden(t, "testdata/golden/order.json").Cases[0]
	events := make([]goldenEvent, len(c.Steps[0].Load))
	for i, e := range c.Steps[0].Load {
		events[i] = e.encode()
	}
	g := &goldenStore{setup: s}
	for seed := range uint64(goldenOrders) {
		r := rand.New(rand.NewPCG(seed, 6))
		if seed > 0 {
			r.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		}
		l := &goldenLoader{t: t, source: fmt.Sprintf("order_%02d", seed), log: goldenLog, next: 1}
		l.open = func() warehouse.Store { return g.open(t, t) }
		l.settings(nil)
		sizes := cut(r, len(events))
		l.loadAll(events, sizes)
		got := readTables(context.Background(), t, l.store, l.source, l.source)
		compareTables(t, c.tables, got, false)
		l.close()
		if t.Failed() {
			var ids []string
			for _, e := range events {
				ids = append(ids, e.header.MessageID)
			}
			t.Fatalf("order %d: %v in batches of %v\n\trule: %s", seed, ids, sizes, c.Why)
		}
	}
}

// cut divides n events into batches.
func cut(r *rand.Rand, n int) (sizes []int) {
	most := 1 + r.IntN(n)
	for n > 0 {
		size := 1 + r.IntN(min(most, n))
		sizes = append(sizes, size)
		n -= size
	}
	return sizes
}

// loadAll loads the events in batches of these sizes.
func (l *goldenLoader) loadAll(events []goldenEvent, sizes []int) {
	l.t.Helper()
	for _, n := range sizes {
		l.load(events[:n])
		events = events[n:]
	}
}
