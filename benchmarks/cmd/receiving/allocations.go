package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// batchSizes are those whose allocations are compared.
var batchSizes = [...]int{1, 100, 1000}

// allocation is what one batch of so many events takes.
type allocation struct {
	events, bytes, allocs, ns int64
	body                      int // bytes of it
}

// allocations measures the handler alone: no connection, no other process.
func allocations() (all []allocation, err error) {
	client, err := open(task{}, &gate{})
	if err != nil {
		return nil, err
	}
	defer closeNow(client)
	// Small, so that it has its memory when the measurement begins.
	window, err := trackingapi.OpenWindow(trackingapi.WindowConfig{IDs: 4000})
	if err != nil {
		return nil, err
	}
	h, err := handler(client, window)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, h.Close(context.Background())) }()
	next := 0
	for _, events := range batchSizes {
		a, err := allocationOf(h, events, &next)
		if err != nil {
			return nil, err
		}
		all = append(all, a)
	}
	return all, nil
}

// allocationOf numbers the events from next on.
func allocationOf(h http.Handler, events int, next *int) (allocation, error) {
	f := newForm(events, false)
	body := &prepared{}
	r := httptest.NewRequest(http.MethodPost, "http://collector.example/v1/batch", nil)
	r.RemoteAddr = "203.0.113.9:50000"
	r.Header.Set("Content-Type", "application/json")
	r.ContentLength, r.Body = int64(len(f.body)), body
	w := &silent{header: http.Header{}}
	failed := 0
	serve := func() {
		body.Reset(f.number(*next))
		*next += events
		clear(w.header)
		if h.ServeHTTP(w, r); w.status != http.StatusOK {
			failed = w.status
		}
	}
	for n := 0; n < 5*4000; n += events { // pools and window have what they need
		serve()
	}
	result := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			serve()
		}
	})
	if failed != 0 || result.N == 0 {
		return allocation{}, fmt.Errorf("a batch of %d was answered with %d", events, failed)
	}
	return allocation{int64(events), result.AllocedBytesPerOp(), result.AllocsPerOp(), result.NsPerOp(), len(f.body)}, nil
}

// prepared is a body that can be read again.
type prepared struct{ bytes.Reader }

func (*prepared) Close() error { return nil }

var _ io.ReadCloser = &prepared{}

// silent takes an answer and keeps its status.
type silent struct {
	header http.Header
	status int
}

func (s *silent) Header() http.Header             { return s.header }
func (s *silent) WriteHeader(status int)          { s.status = status }
func (s *silent) Write(b []byte) (int, error)     { return len(b), nil }
func (s *silent) SetReadDeadline(time.Time) error { return nil }

// closeNow leaves what waits behind.
func closeNow(client *analytics.Client) {
	done, cancel := context.WithCancel(context.Background())
	cancel()
	_ = client.Close(done)
}

// maxAllocated is the target for what an event of a large batch may add: a part of an
// allocation, and less than its body and its copy in the log have.
const (
	maxAllocs = 0.01
	maxBytes  = 512
)

func allocationFigures(all []allocation) (figures []page.Figure) {
	least, most := all[0], all[len(all)-1]
	more := float64(most.events - least.events)
	allocs, size := float64(most.allocs-least.allocs)/more, float64(most.bytes-least.bytes)/more
	figures = append(figures, page.Figure{
		Name:   fmt.Sprintf("allocations for each further event of a batch, %d against %d", most.events, least.events),
		Value:  fmt.Sprintf("%.4f, %.1f bytes", max(allocs, 0), max(size, 0)),
		Target: fmt.Sprintf("≤ %g, ≤ %d bytes", maxAllocs, maxBytes), Met: allocs <= maxAllocs && size <= maxBytes,
	})
	for _, a := range all {
		figures = append(figures, page.Figure{
			Name:  fmt.Sprintf("a batch of %s, %s bytes, in process", page.Plural(int(a.events), "event"), page.Grouped(a.body)),
			Value: fmt.Sprintf("%d allocations, %s bytes, %s, %s an event", a.allocs, page.Grouped(int(a.bytes)), page.Nanoseconds(float64(a.ns)), page.Nanoseconds(float64(a.ns/a.events))),
		})
	}
	return figures
}
