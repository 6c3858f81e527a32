package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/benchmarks/internal/usage"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// task is what a server process does.
type task struct {
	Kind   kind
	Dir    string // of a spool; empty: in memory
	Memory int    // Config.MaxMemory; zero: the default
	Taking bool   // the destination takes events from the start on
	Full   bool   // a full queue refuses, in place of dropping the oldest, and deliveries are counted
}

type kind string

const (
	ours  kind = "handler" // trackingapi
	reads kind = "reads"   // reads bodies and answers 200
	unzip kind = "unzips"  // the same, after decompression
)

// question is what the parent asks of a server, one line each.
type question string

const (
	howMuch question = "how much" // report
	goOn    question = "go on"    // the destination takes events from now on
	finish  question = "finish"   // Close waits until all is delivered; report
)

// report is an answer.
type report struct {
	URL string // only the first, which nobody asks for
	Err string

	CPU    time.Duration
	Events uint64 // accepted
	Live   uint64 // heap after a collection
	InUse  uint64 // most of the heap that was seen

	Delivered, Distinct, Least, Most int // by the numbers of events
}

const serverFlag = "-server"

// serveIfAsked is what child processes do in place of main. They end with their standard
// input.
func serveIfAsked() {
	if len(os.Args) < 2 || os.Args[1] != serverFlag {
		return
	}
	if err := serve(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "server:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serve(in io.Reader, out io.Writer) error {
	questions, answers := json.NewDecoder(in), json.NewEncoder(out)
	var t task
	if err := questions.Decode(&t); err != nil {
		return err
	}
	s, err := newServer(t)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go func() { _ = http.Serve(l, s.handler) }()
	go s.watch()
	if err := answers.Encode(report{URL: l.Addr().String()}); err != nil {
		return err
	}
	for {
		var q question
		if err := questions.Decode(&q); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		if err := answers.Encode(s.answer(q)); err != nil {
			return err
		}
	}
}

// server is what a process serves.
type server struct {
	handler http.Handler
	api     *trackingapi.Handler // nil unless it is ours
	client  *analytics.Client
	gate    *gate
	inUse   atomic.Uint64
}

func newServer(t task) (*server, error) {
	switch t.Kind {
	case reads:
		return &server{handler: reader(false)}, nil
	case unzip:
		return &server{handler: reader(true)}, nil
	case ours:
	default:
		return nil, fmt.Errorf("unknown kind of server %q", t.Kind)
	}
	s := &server{gate: &gate{}}
	s.gate.open.Store(t.Taking)
	if t.Full {
		s.gate.numbers = map[int]int{}
	}
	var err error
	if s.client, err = open(t, s.gate); err != nil {
		return nil, err
	}
	if s.api, err = handler(s.client, nil); err != nil {
		return nil, err
	}
	s.handler = s.api
	return s, nil
}

// open makes the client behind the handler.
func open(t task, d analytics.Destination) (*analytics.Client, error) {
	cfg := analytics.Config{
		Destinations: []analytics.Destination{d}, MaxMemory: t.Memory, WhenFull: analytics.DropOldest, Logger: slog.New(slog.DiscardHandler),
	}
	switch cfg.Spool.Dir = t.Dir; {
	case t.Full:
		cfg.WhenFull = analytics.Reject
	case t.Dir != "": // there is room for all, but the disk may be slower than events come
		cfg.WhenFull = analytics.Block
	}
	return analytics.New(cfg)
}

func handler(client *analytics.Client, window *trackingapi.Window) (*trackingapi.Handler, error) {
	return trackingapi.New(trackingapi.Config{
		Keys: trackingapi.Keys{writeKey: {Name: "source", Client: client}}, Window: window, Logger: slog.New(slog.DiscardHandler),
	})
}

// bodies are for reading into, as quickly as it can be done.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// reader reads a body and answers as the Tracking API does.
func reader(unzips bool) http.HandlerFunc {
	var zippers sync.Pool
	return func(w http.ResponseWriter, r *http.Request) {
		b := bodies.Get().(*bytes.Buffer)
		defer bodies.Put(b)
		b.Reset()
		b.Grow(int(r.ContentLength) + bytes.MinRead)
		from := io.Reader(r.Body)
		if unzips {
			zr, _ := zippers.Get().(*gzip.Reader)
			if zr == nil {
				zr = new(gzip.Reader)
			}
			defer zippers.Put(zr)
			if err := zr.Reset(r.Body); err != nil {
				w.WriteHeader(http.StatusBadRequest)
				return
			}
			from = zr
		}
		if _, err := b.ReadFrom(from); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"success":true}`)
	}
}

// gate is the destination: closed it never answers, open it takes everything at once.
type gate struct {
	open atomic.Bool

	mu      sync.Mutex
	numbers map[int]int // how often each event came; nil: nobody wants to know
}

func (*gate) Describe() analytics.Description { return analytics.Description{Name: "gate"} }

func (*gate) Translate(*analytics.Event) ([]analytics.Item, error) {
	return nil, errors.New("events come as JSON")
}

// TranslateRaw takes the event as it is.
func (*gate) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	return analytics.Item{ID: h.MessageID, Body: raw}, nil
}

const looking = 20 * time.Millisecond

func (g *gate) Deliver(ctx context.Context, b *analytics.Batch) error {
	for !g.open.Load() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(looking):
		}
	}
	if g.numbers == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range b.Items {
		g.numbers[numberOf(b.Items[i].ID)]++
	}
	return nil
}

// count says what has come.
func (g *gate) count(r *report) {
	g.mu.Lock()
	defer g.mu.Unlock()
	first := true
	for number, times := range g.numbers {
		if first {
			r.Least, r.Most, first = number, number, false
		}
		r.Least, r.Most = min(r.Least, number), max(r.Most, number)
		r.Distinct++
		r.Delivered += times
	}
}

// watch keeps the most of the heap.
func (s *server) watch() {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	for ; ; time.Sleep(100 * time.Millisecond) {
		metrics.Read(sample)
		s.inUse.Store(max(s.inUse.Load(), sample[0].Value.Uint64()))
	}
}

func (s *server) answer(q question) (r report) {
	r.CPU = usage.CPU() // without what the answer takes
	switch {
	case q == goOn && s.gate != nil:
		s.gate.open.Store(true)
	case q == finish && s.client != nil:
		ctx, cancel := context.WithTimeout(context.Background(), childLimit)
		defer cancel()
		if err := errors.Join(s.api.Close(ctx), s.client.Close(ctx)); err != nil {
			r.Err = err.Error()
		}
		s.gate.count(&r)
	case q == howMuch:
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		r.Live = m.HeapAlloc
	}
	if s.api != nil {
		r.Events = s.api.Stats().Events
	}
	r.InUse = s.inUse.Load()
	return r
}
