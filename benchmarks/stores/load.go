package main

import (
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"
)

// recovery is how long a store may take until it appends again when all is drained.
const recovery = 2 * time.Second

// chunkSize is how many events are made at once, outside of what is timed.
const chunkSize = 2000

// fill appends until N events, Limit or an error. Only the store's calls are timed.
func (w *worker) fill(s store) {
	c := newChunk(chunkSize)
	c.number(0)
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for w.r.Appended < w.N && (w.Limit == 0 || w.r.Append < w.Limit) && w.r.AppendErr == "" && w.r.SyncErr == "" {
		n := min(chunkSize, w.N-w.r.Appended)
		c.number(w.r.Appended)
		start, cpu := time.Now(), cpuTime()
		w.appendChunk(s, c[:n], start)
		w.r.Append += time.Since(start)
		w.r.AppendCPU += cpuTime() - cpu
	}
	runtime.ReadMemStats(&after)
	w.r.Allocs = float64(after.Mallocs-before.Mallocs) / float64(max(1, w.r.Appended))
}

// appendChunk hands over the events batch by batch.
func (w *worker) appendChunk(s store, c chunk, start time.Time) {
	for len(c) > 0 && (w.Limit == 0 || w.r.Append+time.Since(start) < w.Limit) {
		n := min(w.Batch, len(c))
		if err := s.append(c[:n]); err != nil {
			w.r.AppendErr = w.text(err)
			return
		}
		w.r.Appended += n
		if w.Synced {
			if err := s.sync(); err != nil {
				w.r.SyncErr = w.text(err)
				return
			}
		}
		c = c[n:]
	}
}

// backlog appends everything, then drains everything.
func (w *worker) backlog(s store) error {
	w.fill(s)
	if w.r.AppendErr != "" {
		return errors.New(w.r.AppendErr)
	}
	d := newDrain(w.r.Appended)
	for d.Whole < w.r.Appended {
		start, cpu := time.Now(), cpuTime()
		events, err := s.read(readLimit)
		if err == nil {
			err = s.commit()
		}
		w.r.Drain += time.Since(start)
		w.r.DrainCPU += cpuTime() - cpu
		if err != nil {
			return err
		}
		if d.take(events); d.idle > patience {
			return fmt.Errorf("drained %d of %d events", d.Whole, w.r.Appended)
		}
	}
	w.r.Account = d.balance()
	w.settle()
	return d.wrong()
}

// settle gives a store that tidies up in the background time for it.
func (w *worker) settle() {
	last, _ := allocated(w.Dir)
	for range 10 {
		time.Sleep(300 * time.Millisecond)
		now, _ := allocated(w.Dir)
		if now == last {
			return
		}
		last = now
	}
}

// pass appends in one goroutine and drains in another, until all is out.
func (w *worker) pass(s store) error {
	var appended atomic.Int64
	filled := make(chan struct{})
	start := time.Now()
	go func() {
		defer close(filled)
		c := newChunk(w.Batch)
		for n := 0; n < w.N && time.Since(start) < w.Limit; n += w.Batch {
			c.number(n)
			if err := s.append(c); err != nil {
				w.r.AppendErr = w.text(err)
				return
			}
			appended.Store(int64(n + w.Batch))
		}
	}()
	d := newDrain(w.N)
	for {
		ended := false
		select {
		case <-filled:
			ended = true
		default:
		}
		events, err := s.read(readLimit)
		if err == nil && len(events) > 0 {
			err = s.commit()
		}
		if err != nil {
			return err
		}
		if ended && d.Whole+len(events) >= int(appended.Load()) {
			d.take(events)
			break
		}
		if d.take(events); d.idle > 0 && !ended {
			time.Sleep(100 * time.Microsecond)
		} else if d.idle > patience {
			return fmt.Errorf("drained %d of %d events", d.Whole, appended.Load())
		}
	}
	w.r.Wall, w.r.Appended = time.Since(start), int(appended.Load())
	d.accepted = w.r.Appended
	w.r.Account = d.balance()
	if w.r.AppendErr != "" {
		return errors.New(w.r.AppendErr)
	}
	return d.wrong()
}

// fillAndWait leaves a store as a process leaves it that dies with all synced.
func (w *worker) fillAndWait(s store) error {
	w.fill(s)
	if err := w.r.AppendErr + w.r.SyncErr; err != "" {
		return errors.New(err)
	}
	w.accepted(w.r.Appended)
	time.Sleep(time.Hour)
	return nil
}

// appendOn appends until it is killed, or until N events or an error, and tells after
// each batch.
func (w *worker) appendOn(s store) {
	c := newChunk(w.Batch)
	for w.r.Appended < w.N {
		c.number(w.r.Appended)
		if err := s.append(c); err != nil {
			w.r.AppendErr = w.text(err)
			return
		}
		w.r.Appended += len(c)
		w.accepted(w.r.Appended)
	}
}

// drainAll reads what an earlier process left, then appends a batch and reads it.
func (w *worker) drainAll(s store) {
	d := newDrain(w.Accepted)
	for d.idle <= patience && d.errors < 3 {
		events, err := s.read(readLimit)
		if err == nil && len(events) > 0 {
			err = s.commit()
		}
		d.take(events)
		if err != nil {
			d.fail(w.text(err))
		}
	}
	w.r.Account = d.balance()
	c := newChunk(w.Batch)
	c.number(1e9)
	for start := time.Now(); ; time.Sleep(100 * time.Millisecond) {
		err := s.append(c)
		if w.r.AgainErr = w.text(err); err == nil || time.Since(start) > recovery {
			return
		}
	}
}
