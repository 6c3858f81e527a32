package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/usage"
)

// maxFlatten is the target for an event.
const maxFlatten = 6 * time.Microsecond

// flattening measures all that happens before a database: raw JSON to values.
func (r *run) flattening() (figures []page.Figure, err error) {
	rows := newReader(false)
	d, err := opened(rows)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, d.Close(context.Background())) }()
	var times, cpu []time.Duration
	for i := range r.flatten + 1 {
		b := events(i*r.batch, r.batch)
		runtime.GC()
		used, start := usage.CPU(), time.Now()
		if err := r.deliver(d, b); err != nil {
			return nil, err
		}
		if i > 0 { // the first one makes the tables
			times, cpu = append(times, time.Since(start)), append(cpu, usage.CPU()-used)
		}
	}
	if want := 2 * r.batch * (r.flatten + 1); rows.read != want {
		return nil, fmt.Errorf("there were %d rows, want %d", rows.read, want)
	}
	return flattenFigures(median(times)/time.Duration(r.batch), median(cpu)/time.Duration(r.batch)), nil
}

func flattenFigures(took, cpu time.Duration) []page.Figure {
	return []page.Figure{{
		Name:   "flatten: an event from raw JSON to the values of two rows",
		Value:  fmt.Sprintf("%s, CPU %s", page.Nanoseconds(float64(took)), page.Nanoseconds(float64(cpu))),
		Target: "≤ " + page.Nanoseconds(float64(maxFlatten)), Met: took <= maxFlatten,
	}}
}
