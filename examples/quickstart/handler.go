package main

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// handler is a receiver made of this library: a handler of package trackingapi over a
// client whose only destination counts what arrives.
type handler struct {
	counter
	client *analytics.Client
	api    *trackingapi.Handler
	server *http.Server
	gone   chan struct{} // closed when the server has ended; nil without one

	mu       sync.Mutex
	respond  func(*analyticstest.Request) analyticstest.Reply
	log      []analyticstest.Request
	problems []string
}

func newHandler() (*handler, error) {
	h := &handler{counter: counter{copies: make(map[string]int)}}
	var err error
	h.client, err = analytics.New(analytics.Config{Destinations: []analytics.Destination{&h.counter}})
	if err != nil {
		return nil, err
	}

	// This is all that it takes to receive.
	h.api, err = trackingapi.New(trackingapi.Config{
		Keys:      trackingapi.Keys{writeKey: {Name: "shop", Client: h.client}},
		OnDiscard: func(d trackingapi.Discard) { h.problem("event " + d.MessageID + ": " + string(d.Code)) },
	})
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	return h, err
}

// Start serves on the loopback interface.
func (h *handler) Start() (url string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err) // as analyticstest.Server does
	}
	h.gone = make(chan struct{})
	go func() {
		defer close(h.gone)
		_ = h.server.Serve(l) // until Close
	}()
	return "http://" + l.Addr().String()
}

// Close ends the server and waits until all that it took has arrived.
func (h *handler) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	err := errors.Join(h.api.Close(ctx), h.server.Shutdown(ctx), h.client.Close(ctx))
	if h.gone != nil {
		<-h.gone
	}
	if err != nil {
		h.problem(err.Error())
	}
}

func (h *handler) problem(text string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.problems = append(h.problems, text)
}

// ServeHTTP is the handler behind the outage.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	respond := h.respond
	h.mu.Unlock()
	s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
	reply := respond(&analyticstest.Request{Time: time.Now(), Method: r.Method, Path: r.URL.Path})
	if reply.Status == 0 {
		h.api.ServeHTTP(s, r)
	} else {
		if reply.RetryAfter != "" {
			w.Header().Set("Retry-After", reply.RetryAfter)
		}
		s.WriteHeader(reply.Status)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.log = append(h.log, analyticstest.Request{Number: len(h.log) + 1, Method: r.Method, Path: r.URL.Path, Status: s.status})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	w.status = status
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Respond has f answer requests, as far as it wants.
func (h *handler) Respond(f func(*analyticstest.Request) analyticstest.Reply) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.respond = f
}

// Log is every request that was answered.
func (h *handler) Log() []analyticstest.Request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.log)
}

// Duplicates is how many events came again, and were not taken again.
func (h *handler) Duplicates() int { return int(h.api.Stats().Duplicates) }

// Violations is what was wrong.
func (h *handler) Violations() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.problems)
}

// counter is a destination for every event, also for those that are meant for warehouses
// only.
type counter struct {
	mu     sync.Mutex
	copies map[string]int
}

// Describe names the limits.
func (*counter) Describe() analytics.Description {
	return analytics.Description{Name: "Counter", IgnoreAll: true}
}

// Translate keeps nothing of an event but its id.
func (*counter) Translate(*analytics.Event) ([]analytics.Item, error) {
	return []analytics.Item{{}}, nil
}

// Deliver counts.
func (c *counter) Deliver(_ context.Context, b *analytics.Batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, item := range b.Items {
		c.copies[item.ID]++
	}
	return nil
}

// Copies tells how often an event has arrived.
func (c *counter) Copies(messageID string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.copies[messageID]
}

// Unique is how many events have arrived.
func (c *counter) Unique() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.copies)
}
