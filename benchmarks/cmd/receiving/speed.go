package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

const (
	perBatch    = 100 // events
	connections = 8
)

// variant is one of the things that are compared.
type variant struct {
	name   string
	task   task
	spool  bool
	zip    bool
	shared bool // a context for all in the envelope
	single bool // one event in a batch
}

// events are those of a batch.
func (v variant) events() int {
	if v.single {
		return 1
	}
	return perBatch
}

// requests are more where each has less to do.
func (v variant) requests(r *run) int {
	if v.single {
		return 10 * r.requests
	}
	return r.requests
}

// The first of a group is what the others of it are related to.
var variants = [...]variant{
	{name: "reads the body and answers 200", task: task{Kind: reads}},
	{name: "handler, in memory", task: task{Kind: ours}},
	{name: "handler, with a spool", task: task{Kind: ours}, spool: true},
	{name: "handler, in memory, and a destination that takes all", task: task{Kind: ours, Taking: true}},
	{name: "handler, in memory, a context for the whole batch", task: task{Kind: ours}, shared: true},
	{name: "reads the body with gzip and answers 200", task: task{Kind: reads}, zip: true},
	{name: "decompresses the body and answers 200", task: task{Kind: unzip}, zip: true},
	{name: "handler, in memory, gzip", task: task{Kind: ours}, zip: true},
	{name: "handler, with a spool, gzip", task: task{Kind: ours}, zip: true, spool: true},
	{name: "one event in a request: reads the body and answers 200", task: task{Kind: reads}, single: true},
	{name: "one event in a request: handler, in memory", task: task{Kind: ours}, single: true},
}

// measured is a round of a variant, or the median of its rounds.
type measured struct {
	event float64 // nanoseconds of CPU of the server
	rate  float64 // requests a second
	share float64 // of the rate of the first of the group, in the same round
}

// speeds measures all variants in alternating rounds, each with a process of its own.
func (r *run) speeds() ([]measured, error) {
	bodies, err := zipped(r.requests, perBatch)
	if err != nil {
		return nil, err
	}
	rounds := make([][]measured, len(variants))
	for n := range r.rounds {
		r.progress("speed, round %d of %d", n+1, r.rounds)
		base := 0.0
		for i, v := range variants {
			m, err := r.speed(v, bodies)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", v.name, err)
			}
			if v.task.Kind == reads {
				base = m.rate
			}
			m.share = m.rate / base
			rounds[i] = append(rounds[i], m)
		}
	}
	medians := make([]measured, len(variants))
	for i, all := range rounds {
		medians[i] = measured{
			median(all, func(m measured) float64 { return m.event }),
			median(all, func(m measured) float64 { return m.rate }),
			median(all, func(m measured) float64 { return m.share }),
		}
	}
	return medians, nil
}

func median(all []measured, of func(measured) float64) float64 {
	var values []float64
	for _, m := range all {
		values = append(values, of(m))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// speed measures one round of a variant.
func (r *run) speed(v variant, zipped [][]byte) (m measured, err error) {
	t := v.task
	if v.spool {
		dir, err := os.MkdirTemp(r.dir, "round")
		if err != nil {
			return m, err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		t.Dir = filepath.Join(dir, "spool")
	}
	p, err := t.start(r.ctx)
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	// Not counted: connections are made, pools filled.
	requests := v.requests(r)
	warm := max(requests/10, connections)
	if err := r.send(p, v, zipped, 0, warm); err != nil {
		return m, err
	}
	before, err := p.ask(howMuch)
	if err != nil {
		return m, err
	}
	start := time.Now()
	if err := r.send(p, v, zipped, warm, requests); err != nil {
		return m, err
	}
	took := time.Since(start)
	after, err := p.ask(howMuch)
	if err != nil {
		return m, err
	}
	sent := requests - warm
	events := sent * v.events()
	if got := after.Events - before.Events; t.Kind == ours && got != uint64(events) {
		return m, fmt.Errorf("%d of %d events were accepted", got, events)
	}
	return measured{event: float64(after.CPU-before.CPU) / float64(events), rate: float64(sent) / took.Seconds()}, nil
}

// send sends the batches from one number up to another, over all connections.
func (r *run) send(p *process, v variant, zipped [][]byte, from, to int) error {
	var next atomic.Int64
	next.Store(int64(from))
	return each(r.ctx, connections, p.address, func(c *connection) error {
		f := newForm(v.events(), v.shared)
		for {
			n := int(next.Add(1)) - 1
			if n >= to {
				return nil
			}
			body, encoding := []byte(nil), ""
			if v.zip {
				body, encoding = zipped[n], "gzip"
			} else {
				body = f.number(n * v.events())
			}
			res, err := c.post(body, encoding)
			for err == nil && res.StatusCode == http.StatusTooManyRequests { // the disk is behind
				time.Sleep(time.Millisecond)
				res, err = c.post(body, encoding)
			}
			if err != nil {
				return err
			}
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("batch %d was answered with %s", n, res.Status)
			}
		}
	})
}

// each runs do on so many connections at a time. They end with ctx.
func each(ctx context.Context, n int, address string, do func(*connection) error) error {
	errs := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Add(1)
		go func() {
			defer all.Done()
			c, err := dial(address)
			if err != nil {
				errs[i] = err
				return
			}
			defer context.AfterFunc(ctx, func() { _ = c.Close() })()
			errs[i] = errors.Join(do(c), c.Close())
		}()
	}
	all.Wait()
	return errors.Join(errs...)
}

// The targets.
const (
	maxMemory = 8_000.0 // nanoseconds of CPU an event
	maxSpool  = 12_000.0
	minShare  = 0.6
)

func speedFigures(medians []measured) (figures []page.Figure) {
	for i, m := range medians {
		v := variants[i]
		cpu := page.Figure{Name: v.name + ": CPU an event", Value: page.Nanoseconds(m.event)}
		rate := page.Figure{Name: v.name + ": requests/s", Value: page.Grouped(int(m.rate))}
		if v.task.Kind == ours {
			rate.Value += fmt.Sprintf(", %.0f %% of reading alone", 100*m.share)
			rate.Target, rate.Met = fmt.Sprintf("≥ %.0f %%", 100*minShare), m.share >= minShare
		}
		if most := v.most(); most > 0 {
			cpu.Target, cpu.Met = "≤ "+page.Nanoseconds(most), m.event <= most
		}
		figures = append(figures, cpu, rate)
	}
	return figures
}

// most is the target for the CPU of an event, 0 where there is none: where HTTP or the
// deliveries are the greater part.
func (v variant) most() float64 {
	switch {
	case v.task.Kind != ours, v.task.Taking, v.single:
		return 0
	case v.spool:
		return maxSpool
	}
	return maxMemory
}
