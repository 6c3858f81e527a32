package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/pprof"
	"slices"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/usage"
	"github.com/tributary-dev/analytics/warehouse"
)

// byHand loads prepared rows.
type byHand interface {
	// setup makes the tables, and may try so often what is fastest.
	setup(ctx context.Context, tables []prepared, tries int) error
	// ready gives rows the types of the driver, before the clock starts.
	ready(tables []prepared)
	// load loads what was made ready, in one transaction.
	load(ctx context.Context) error
}

// contents is what a database has to hold in the end.
type contents struct {
	Events, Tracks int64
	Cents          int64 // the revenue of all events, exactly
}

// loading is one comparison.
type loading struct {
	*run
	ours  *warehouse.Destination
	hand  byHand
	rows  *reader // makes the prepared rows
	maker *warehouse.Destination

	columns int // of the table of the event that get values
	share   []float64
	mine    []time.Duration // of a round
	theirs  []time.Duration
	cpu     [2]time.Duration // of this process, in all: by hand, ours
}

// compare loads all batches both ways.
func (r *run) compare(store warehouse.Store, hand byHand) (l *loading, err error) {
	l = &loading{run: r, hand: hand, rows: newReader(true)}
	if l.ours, err = opened(store); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.ours.Close(context.Background())) }()
	if l.maker, err = opened(l.rows); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, l.maker.Close(context.Background())) }()
	if err := l.first(); err != nil {
		return nil, err
	}
	for round := range r.rounds {
		if err := l.round(round); err != nil {
			return nil, err
		}
	}
	return l, nil
}

// first makes the tables.
func (l *loading) first() error {
	b := events(0, l.batch)
	if err := l.deliver(l.maker, b); err != nil {
		return err
	}
	tables := l.rows.tables
	i := slices.IndexFunc(tables, func(p prepared) bool { return p.name == eventTable })
	if len(tables) != 2 || i < 0 {
		return fmt.Errorf("a batch has the rows of %d tables, want 2", len(tables))
	}
	l.columns = len(tables[i].columns)
	if err := l.hand.setup(l.ctx, tables, l.tries); err != nil {
		return err
	}
	l.hand.ready(tables)
	return errors.Join(l.hand.load(l.ctx), l.deliver(l.ours, b))
}

func (l *loading) round(round int) error {
	var took [2]time.Duration // by hand, ours
	for i := range l.batches {
		n := round*l.batches + i + 1
		b := events(n*l.batch, l.batch)
		if err := l.deliver(l.maker, b); err != nil {
			return err
		}
		l.hand.ready(l.rows.tables)
		l.rows.tables = nil
		for k := range 2 {
			side := (n + k) % 2
			runtime.GC()
			used, start := usage.CPU(), time.Now()
			var err error
			if side == 0 {
				err = l.hand.load(l.ctx)
			} else {
				pprof.Do(l.ctx, pprof.Labels("side", "ours"), func(context.Context) { err = l.deliver(l.ours, b) })
			}
			if err != nil {
				return err
			}
			took[side] += time.Since(start)
			l.cpu[side] += usage.CPU() - used
		}
	}
	l.share = append(l.share, float64(took[0])/float64(took[1]))
	l.theirs, l.mine = append(l.theirs, took[0]), append(l.mine, took[1])
	return nil
}

// check compares what both databases hold.
func (l *loading) check(hand, ours contents) error {
	want := int64(l.events() + l.batch)
	if ours != hand || ours.Events != want || ours.Tracks != want {
		return fmt.Errorf("ours holds %v, that by hand %v, of %d events", ours, hand, want)
	}
	return nil
}

// minShare is the target for loads.
const minShare = 0.8

func (l *loading) figures(database, hand string) []page.Figure {
	perRound := float64(l.batches * l.batch)
	rate := func(all []time.Duration, cpu time.Duration) string {
		return fmt.Sprintf("%s events/s, CPU %s an event", page.Grouped(int(perRound/median(all).Seconds())), page.Nanoseconds(float64(cpu)/float64(l.events())))
	}
	share := median(l.share)
	name := fmt.Sprintf("%s: load of %s events, %d columns of values", database, page.Grouped(l.events()), l.columns)
	return []page.Figure{
		{Name: name + ": " + hand, Value: rate(l.theirs, l.cpu[0])},
		{
			Name:   "the same: ours, from raw JSON",
			Value:  fmt.Sprintf("%s, %.0f %% of by hand (rounds: %.0f to %.0f %%)", rate(l.mine, l.cpu[1]), 100*share, 100*slices.Min(l.share), 100*slices.Max(l.share)),
			Target: fmt.Sprintf("≥ %.0f %%", 100*minShare), Met: share >= minShare,
		},
	}
}
