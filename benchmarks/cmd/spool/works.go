package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
	"github.com/tributary-dev/analytics/benchmarks/internal/usage"
)

const (
	filling  kind = "fill"    // a backlog, then waits to be killed
	opening  kind = "open"    // what another process left
	lanes    kind = "lanes"   // a steady load, and how long it takes to arrive
	heaping  kind = "heap"    // a backlog for some destinations
	syncing  kind = "sync"    // many goroutines
	durable  kind = "durable" // as fast as it goes, to a receiver
	draining kind = "drain"   // a backlog, while events come in
	calling  kind = "call"    // one at a time, with pauses
	hogging  kind = "hog"     // the disk, until killed
)

var works = map[kind]func(task) (result, error){
	filling: fill, opening: open, lanes: deliver, heaping: heap, syncing: syncMany,
	durable: send, draining: drain, calling: call, hogging: hog,
}

// track tracks n events of 1 KB, the first of them with the number from.
func track(c *analytics.Client, all []note, from, n int) error {
	for i := from; i < from+n; i++ {
		m := analytics.Track{MessageID: id(i), UserID: sdk.UserID, Event: sdk.Event, Properties: all[i%len(all)]}
		if err := c.Track(context.Background(), m); err != nil {
			return err
		}
	}
	return nil
}

// fill leaves a backlog.
func fill(t task) (r result, err error) {
	s := &sink{name: "sink", deliver: hangs}
	var d analytics.Destination = s
	if t.URL != "" {
		d = t.cloud()
	}
	c, err := analytics.New(t.config(t.N, d))
	if err != nil {
		return r, err
	}
	start := time.Now()
	if err := track(c, notes(), 0, t.N); err != nil {
		return r, err
	}
	r.N, r.Took = t.N, time.Since(start)
	if err := c.Sync(context.Background()); err != nil {
		return r, err
	}
	if n := s.events.Load(); n > 0 {
		r.Payload = float64(s.bytes.Load()) / float64(n)
	}
	if r.Disk, err = usage.Disk(t.Dir); err != nil {
		return r, err
	}
	return r, stay(r)
}

// open opens a backlog, lets the destination begin, and leaves it.
func open(t task) (r result, err error) {
	cfg := t.config(t.N, &sink{name: "sink", deliver: hangs})
	start := time.Now()
	c, err := analytics.New(cfg)
	if err != nil {
		return r, err
	}
	r.Took = time.Since(start)
	time.Sleep(time.Second)
	r.PeakRSS = usage.PeakRSS()
	r.Missing = t.N - int(c.Stats().Destinations["sink"].Pending)
	_ = c.Close(atOnce()) // says that all is pending
	return r, nil
}

// deliver measures from the call to Deliver. The load goes on until all that is
// measured has arrived.
func deliver(t task) (r result, err error) {
	n := int(float64(t.Rate) * t.For.Seconds())
	called, took := make([]atomic.Int64, n), make([]atomic.Int64, n)
	var arrived atomic.Int64
	start := time.Now()
	good := &sink{name: "good", deliver: func(_ context.Context, b *analytics.Batch) error {
		now := int64(time.Since(start))
		for _, it := range b.Items {
			if i, ok := numberOf(it.ID); ok && i < n && took[i].CompareAndSwap(0, now-called[i].Load()) {
				arrived.Add(1)
			}
		}
		return nil
	}}
	destinations := []analytics.Destination{good}
	if t.Bad {
		destinations = append(destinations, &sink{name: "dead", deliver: dead}, &sink{name: "hangs", deliver: hangs},
			&sink{name: "slow", deliver: slow}, &sink{name: "flaky", deliver: flaky()})
	}
	cfg := t.config(n, destinations...)
	cfg.FlushInterval = t.Linger
	c, err := analytics.New(cfg)
	if err != nil {
		return r, err
	}
	all := notes()
	for i := 0; i < n || arrived.Load() < int64(n) && time.Since(start) < t.For+10*time.Second; i++ {
		time.Sleep(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(t.Rate))))
		if i < n {
			called[i].Store(int64(time.Since(start)))
		}
		if err := track(c, all, i, 1); err != nil {
			return r, err
		}
	}
	_ = c.Close(atOnce())
	var times []time.Duration
	for i := range took {
		if d := took[i].Load(); d > 0 {
			times = append(times, time.Duration(d))
		}
	}
	r.Missing = n - len(times)
	r.quantiles(times)
	return r, nil
}

func (r *result) quantiles(times []time.Duration) {
	if r.N = len(times); r.N == 0 {
		return
	}
	slices.Sort(times)
	r.P50, r.P99, r.P999, r.Most = page.Quantile(times, 0.5), page.Quantile(times, 0.99), page.Quantile(times, 0.999), times[r.N-1]
}

// heap watches the heap while a backlog grows.
func heap(t task) (r result, err error) {
	destinations := []analytics.Destination{&sink{name: "good", deliver: takes}}
	for i := range 4 {
		destinations = append(destinations, &sink{name: fmt.Sprint("bad", i), deliver: hangs})
	}
	c, err := analytics.New(t.config(t.N, destinations...))
	if err != nil {
		return r, err
	}
	all := notes()
	var most atomic.Uint64
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		var m runtime.MemStats
		for {
			select {
			case <-stop:
				return
			case <-time.After(100 * time.Millisecond):
				runtime.ReadMemStats(&m)
				most.Store(max(most.Load(), m.HeapInuse))
			}
		}
	}()
	if err := track(c, all, 0, t.N/2); err != nil {
		return r, err
	}
	r.Half = liveHeap()
	if err := track(c, all, t.N/2, t.N-t.N/2); err != nil {
		return r, err
	}
	r.Live = liveHeap()
	close(stop)
	<-done
	r.InUse = max(most.Load(), r.Half, r.Live)
	r.Waiting = int(c.Stats().Destinations["bad0"].Pending)
	r.Missing = t.N - r.Waiting
	_ = c.Close(atOnce())
	return r, nil
}

func liveHeap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools held
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// syncMany measures Sync with many goroutines, and what one sync of the disk takes.
func syncMany(t task) (r result, err error) {
	file := filepath.Join(filepath.Dir(t.Dir), "single")
	before, err := disks(file, t.For/4)
	if err != nil {
		return r, err
	}
	c, err := analytics.New(t.config(0, &sink{name: "sink", deliver: takes}))
	if err != nil {
		return r, err
	}
	all, until := notes(), time.Now().Add(t.For)
	times, errs := make([][]time.Duration, t.N), make([]error, t.N)
	var wg sync.WaitGroup
	for g := range t.N {
		wg.Go(func() {
			for i := 0; time.Now().Before(until) && errs[g] == nil; i++ {
				if errs[g] = track(c, all, g+i*t.N, 1); errs[g] == nil {
					start := time.Now()
					errs[g] = c.Sync(context.Background())
					times[g] = append(times[g], time.Since(start))
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return r, err
		}
	}
	_ = c.Close(atOnce())
	after, err := disks(file, t.For/4)
	if err != nil {
		return r, err
	}
	for k := range before {
		both := append(before[k], after[k]...)
		slices.Sort(both)
		r.Disks = append(r.Disks, page.Quantile(both, 0.5))
	}
	r.quantiles(slices.Concat(times...))
	return r, nil
}

// disks measures single syncs, for a time each: of a file that grows by 4 KiB before
// each, and of one that does not grow.
func disks(name string, limit time.Duration) (times [2][]time.Duration, err error) {
	block := make([]byte, 4096)
	for k := range times {
		file, err := os.Create(name)
		if err != nil {
			return times, err
		}
		for off, until := int64(0), time.Now().Add(limit/2); time.Now().Before(until); {
			if _, err := file.WriteAt(block, off); err != nil {
				return times, err
			}
			start := time.Now()
			if err := datasync(file); err != nil {
				return times, err
			}
			if k == 0 {
				off += int64(len(block))
			}
			times[k] = append(times[k], time.Since(start))
		}
		times[k] = times[k][min(len(times[k])-1, 5):] // the first ones make the file
		if err := file.Close(); err != nil {
			return times, err
		}
		if err := os.Remove(name); err != nil {
			return times, err
		}
	}
	return times, nil
}

// send sends the work of the comparison from end to end.
func send(t task) (r result, err error) {
	libs, err := sdk.Select(sdk.Spool)
	if err != nil {
		return r, err
	}
	c, err := libs[0].New(sdk.Options{URL: t.URL, Block: true, Dir: t.Dir})
	if err != nil {
		return r, err
	}
	properties := sdk.Properties()
	cpu, start := usage.CPU(), time.Now()
	if _, err := sdk.Saturate(c, 8, t.N, func(c sdk.Client) error { return c.Track("", properties) }, &sdk.Stopwatch{}); err != nil {
		return r, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err = c.Close(ctx)
	r.N, r.Took, r.CPU = t.N, time.Since(start), usage.CPU()-cpu
	return r, err
}

// drain delivers a backlog of N while events come in.
func drain(t task) (r result, err error) {
	begin := time.Now()
	c, err := analytics.New(t.config(t.N, t.cloud()))
	if err != nil {
		return r, err
	}
	stop, done := make(chan struct{}), make(chan error, 1)
	var calls atomic.Int64
	go func() {
		all, start := notes(), time.Now()
		for i := 0; ; i++ {
			select {
			case <-stop:
				done <- nil
				return
			case <-time.After(time.Until(start.Add(time.Duration(i) * time.Second / time.Duration(t.Rate)))):
			}
			if err := track(c, all, t.N+i, 1); err != nil {
				done <- err
				return
			}
			calls.Add(1)
		}
	}()
	delivered := func() (n int) {
		for _, d := range c.Stats().Destinations {
			n += int(d.Delivered)
		}
		return n
	}
	first := 0
	for first == 0 {
		if first = delivered(); time.Since(begin) > time.Minute {
			return r, fmt.Errorf("nothing was delivered")
		}
		time.Sleep(time.Millisecond)
	}
	start, n := time.Now(), 0
	r.DelayOfWork = start.Sub(begin)
	for n < t.N {
		if n = delivered(); time.Since(start) > time.Minute {
			return r, fmt.Errorf("%d of %d events were delivered in a minute", n, t.N)
		}
		time.Sleep(time.Millisecond)
	}
	r.N, r.Took = n-first, time.Since(start)
	close(stop)
	if err := <-done; err != nil {
		return r, err
	}
	r.Waiting = t.N + int(calls.Load()) // events that there were
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return r, c.Close(ctx)
}

// pace is the pause between single calls.
const pace = 200 * time.Microsecond

// call measures single calls.
func call(t task) (r result, err error) {
	c, err := analytics.New(t.config(t.N, &sink{name: "sink", deliver: takes}))
	if err != nil {
		return r, err
	}
	properties, times := sdk.Properties(), make([]time.Duration, t.N)
	m := analytics.Track{UserID: sdk.UserID, Event: sdk.Event, Properties: properties}
	next := time.Now()
	for i := range times {
		next = next.Add(pace)
		time.Sleep(time.Until(next))
		start := time.Now()
		err := c.Track(context.Background(), m)
		times[i] = time.Since(start)
		if err != nil {
			return r, err
		}
	}
	r.quantiles(times)
	_ = c.Close(atOnce())
	return r, nil
}

// hog writes and syncs as fast as it can, over and over the same 128 MiB.
func hog(t task) (r result, err error) {
	file, err := os.Create(filepath.Join(filepath.Dir(t.Dir), "hog"))
	if err != nil {
		return r, err
	}
	block := make([]byte, 1<<20)
	for i := range block {
		block[i] = byte(i * 7)
	}
	step := func(i int) error {
		if _, err := file.WriteAt(block, int64(i%128)<<20); err != nil {
			return err
		}
		return file.Sync()
	}
	for i := range 3 {
		if err := step(i); err != nil {
			return r, err
		}
	}
	go func() {
		for i := 3; ; i++ {
			if err := step(i); err != nil {
				fmt.Fprintln(os.Stderr, "hog:", err)
				os.Exit(1)
			}
		}
	}()
	return r, stay(r)
}
