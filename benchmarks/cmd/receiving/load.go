package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

const (
	loaded     = 64       // connections
	loadMemory = 16 << 20 // of the client, so that the queue is full soon
)

// loadResult is what the load test found.
type loadResult struct {
	took        time.Duration
	answers     []time.Duration // sorted
	full        int             // answers with 429
	wrong       int             // of them without the right headers
	early, late report          // soon after the beginning, and before the destination goes on
	sent        int             // events
	delivered   report
	afterwards  time.Duration
}

// load sends batches while the destination is stalled, without pause and whatever the
// server answers, and sees that each arrives once when the destination goes on.
func (r *run) load() (l loadResult, err error) {
	p, err := task{Kind: ours, Memory: loadMemory, Full: true}.start(r.ctx)
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, p.stop()) }()
	start := time.Now()
	s := stall{full: make(chan struct{}, 1), over: make(chan struct{})}
	stalled := make(chan error, 1)
	go func() { stalled <- r.stalled(p, &l, start, s) }()
	err = l.send(r, p, s)
	if err = errors.Join(err, <-stalled); err != nil {
		return l, err
	}
	if l.delivered, err = p.ask(finish); err != nil {
		return l, err
	}
	l.afterwards = time.Since(start) - l.took
	slices.Sort(l.answers)
	return l, l.fault()
}

// stall is the time while the destination takes nothing.
type stall struct {
	full chan struct{} // gets one for the first 429
	over chan struct{} // closed at the end
}

func (s stall) isOver() bool {
	select {
	case <-s.over:
		return true
	default:
		return false
	}
}

// patience is how much longer than asked the stall lasts at most, until the queue is full:
// filling it takes a busy machine a while.
const patience = time.Minute

// stalled looks at the server after a fifth of the time and at its end, and then opens
// the gate.
func (r *run) stalled(p *process, l *loadResult, start time.Time, s stall) (err error) {
	wait := func(until time.Duration, unless <-chan struct{}) {
		select {
		case <-time.After(time.Until(start.Add(until))):
		case <-unless:
		case <-r.ctx.Done():
		}
	}
	wait(r.loading/5, nil)
	if l.early, err = p.ask(howMuch); err == nil {
		wait(r.loading, nil)
		wait(r.loading+patience, s.full)
	}
	close(s.over)
	if err != nil {
		return err
	}
	if l.late, err = p.ask(howMuch); err != nil {
		return err
	}
	l.took = time.Since(start)
	_, err = p.ask(goOn)
	return err
}

// pausing is how long a connection waits behind a 429 once the stall is over.
const pausing = 20 * time.Millisecond

// send begins no batch after the stall, and sends each until it is accepted, as libraries
// do. Only answers to what was sent before count as latencies.
func (l *loadResult) send(r *run, p *process, s stall) error {
	var batches atomic.Int64
	var mu sync.Mutex
	err := each(r.ctx, loaded, p.address, func(c *connection) error {
		f, mine := newForm(perBatch, false), loadResult{}
		for !s.isOver() {
			body := f.number(int(batches.Add(1)-1) * perBatch)
			if err := mine.deliver(r, c, body, s); err != nil {
				return err
			}
		}
		mu.Lock()
		defer mu.Unlock()
		l.answers = append(l.answers, mine.answers...)
		l.full += mine.full
		l.wrong += mine.wrong
		return nil
	})
	l.sent = int(batches.Load()) * perBatch
	return err
}

// deliver sends one batch until it is accepted.
func (l *loadResult) deliver(r *run, c *connection, body []byte, s stall) error {
	for {
		over, begun := s.isOver(), time.Now()
		res, err := c.post(body, "")
		if err != nil {
			return err
		}
		if !over {
			l.answers = append(l.answers, time.Since(begun))
		}
		switch res.StatusCode {
		case http.StatusOK:
			return nil
		case http.StatusTooManyRequests:
			l.full++
			select {
			case s.full <- struct{}{}:
			default:
			}
			if !seconds(res, "Retry-After") || !seconds(res, "X-RateLimit-Reset") {
				l.wrong++
			}
		default:
			return fmt.Errorf("answered with %s", res.Status)
		}
		if err := r.ctx.Err(); err != nil {
			return err
		}
		if over {
			time.Sleep(pausing)
		}
	}
}

// seconds tells whether a header says how long to wait.
func seconds(res *http.Response, header string) bool {
	n, err := strconv.Atoi(res.Header.Get(header))
	return err == nil && n > 0
}

// fault is what must not be, whatever the machine.
func (l *loadResult) fault() error {
	d := l.delivered
	switch {
	case l.full == 0:
		return errors.New("the queue was never full")
	case l.wrong > 0:
		return fmt.Errorf("%d of %d answers with 429 do not say how long to wait", l.wrong, l.full)
	case d.Delivered != l.sent || d.Distinct != l.sent || d.Least != 0 || d.Most != l.sent-1 || d.Events != uint64(l.sent):
		return fmt.Errorf("%d events were sent, %d accepted, %d delivered, %d different ones from %d to %d", l.sent, d.Events, d.Delivered, d.Distinct, d.Least, d.Most)
	}
	return nil
}

// maxGrowth is the target for the heap.
const maxGrowth = 1.1

func (l *loadResult) figures() []page.Figure {
	growth := float64(l.late.Live) / float64(cmp.Or(l.early.Live, 1))
	quantile := func(q float64) string { return page.Nanoseconds(float64(page.Quantile(l.answers, q))) }
	requests := len(l.answers)
	return []page.Figure{
		{
			Name: fmt.Sprintf("%d connections for %.0f s, the destination stalled: time of an answer", loaded, l.took.Seconds()),
			Value: fmt.Sprintf("p50 %s, p99 %s, most %s; %s requests, %s a second", quantile(0.5), quantile(0.99), quantile(1),
				page.Grouped(requests), page.Grouped(int(float64(requests)/l.took.Seconds()))),
		},
		{
			Name:   "the same: live heap at the end, against a fifth of the time",
			Value:  fmt.Sprintf("%.1f MB, %.2f ×; in use at most %.1f MB, of which the queue may have %.1f MB", mb(l.late.Live), growth, mb(l.late.InUse), mb(loadMemory)),
			Target: fmt.Sprintf("≤ %g ×", maxGrowth), Met: growth <= maxGrowth,
		},
		{
			Name:  "the same: answers with 429 without Retry-After and X-RateLimit-Reset",
			Value: fmt.Sprintf("%s of %s", page.Grouped(l.wrong), page.Grouped(l.full)), Target: "0", Met: l.wrong == 0,
		},
		{
			Name: "the same: delivered when the destination went on",
			Value: fmt.Sprintf("%s of %s events, %s of them twice, within %.1f s", page.Grouped(l.delivered.Distinct), page.Grouped(l.sent),
				page.Grouped(l.delivered.Delivered-l.delivered.Distinct), l.afterwards.Seconds()),
			Target: "all, once", Met: l.fault() == nil,
		},
	}
}

func mb[N uint64 | int](n N) float64 { return float64(n) / 1e6 }
