// Package desttest is what the tests of the library's own adapters share: the tool's
// side of a connection in memory, events to translate, and the recorded requests that
// they must become. The rules of the contract are tested by destinationtest.
package desttest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// A Request is one request as the tool received it.
type Request struct {
	Method string
	URL    string // as sent, with its query
	Header http.Header
	Body   []byte // with Content-Encoding gzip undone
}

// A Tool is an [http.RoundTripper] in front of a handler that plays the tool. It
// records what it is sent. Safe for concurrent use.
type Tool struct {
	handler http.Handler

	mu       sync.Mutex
	requests []Request
}

// Serve returns the connection to a fake tool. Nil answers 200 and {} to everything.
func Serve(h http.Handler) *Tool {
	if h == nil {
		h = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "{}") })
	}
	return &Tool{handler: h}
}

// Client returns a client that reaches the tool and nothing else, whatever the host,
// and follows no redirects.
func (t *Tool) Client() *http.Client {
	return &http.Client{
		Transport:     t,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Requests returns what was sent so far, oldest first.
func (t *Tool) Requests() []Request {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]Request(nil), t.requests...)
}

// RoundTrip hands the request to the handler, its body in plain text, and records it.
func (t *Tool) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	t.requests = append(t.requests, Request{Method: r.Method, URL: r.URL.String(), Header: r.Header.Clone(), Body: body})
	t.mu.Unlock()

	in := r.Clone(r.Context())
	in.Body, in.ContentLength, in.RequestURI = io.NopCloser(bytes.NewReader(body)), int64(len(body)), r.URL.RequestURI()
	in.Header.Del("Content-Encoding")
	if in.Host == "" {
		in.Host = in.URL.Host
	}
	w := httptest.NewRecorder()
	t.handler.ServeHTTP(w, in)
	res := w.Result()
	res.Request = r
	return res, nil
}

func readBody(r *http.Request) ([]byte, error) {
	if r.Body == nil {
		return nil, nil
	}
	defer r.Body.Close()
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(from)
		if err != nil {
			return nil, err
		}
		from = zr
	}
	return io.ReadAll(from)
}

// Open opens d with the tool in place of the network, and closes it when the test is
// over.
func Open(t testing.TB, d analytics.Destination, tool *Tool) {
	t.Helper()
	if o, ok := d.(analytics.Opener); ok {
		if err := o.Open(analytics.Env{HTTP: tool.Client(), Logger: slog.New(slog.DiscardHandler)}); err != nil {
			t.Fatalf("Open: %v", err)
		}
	}
	if c, ok := d.(analytics.Closer); ok {
		t.Cleanup(func() { _ = c.Close(context.Background()) })
	}
}

// Event decodes an event as it comes out of the log.
func Event(t testing.TB, raw string) *analytics.Event {
	t.Helper()
	e := &analytics.Event{}
	if err := e.UnmarshalJSON([]byte(raw)); err != nil {
		t.Fatalf("event: %v", err)
	}
	return e
}

// Translate translates the events into items, in their order. Calls that the
// destination does not describe and events that it ignores become none; any other
// error fails the test.
func Translate(t testing.TB, d analytics.Destination, events ...*analytics.Event) []analytics.Item {
	t.Helper()
	var all []analytics.Item
	for _, e := range events {
		if !takes(d, e.Type) {
			continue
		}
		items, err := translate(d, e)
		switch {
		case errors.Is(err, analytics.ErrIgnored):
		case err != nil:
			t.Fatalf("translate %s %s: %v", e.Type, e.MessageID, err)
		}
		all = append(all, items...)
	}
	return all
}

func takes(d analytics.Destination, call analytics.Call) bool {
	calls := d.Describe().Calls
	if calls == 0 {
		calls = analytics.SixCalls
	}
	return calls.Has(call)
}

// translate translates as the client does: raw where the destination can.
func translate(d analytics.Destination, e *analytics.Event) ([]analytics.Item, error) {
	var items []analytics.Item
	if raw, ok := d.(analytics.RawTranslator); ok {
		body, err := e.AppendJSON(nil)
		if err == nil {
			body, err = dest.Canonical(body) // what is in the log does not change either
		}
		if err != nil {
			return nil, err
		}
		h := &analytics.Header{
			Type: e.Type, MessageID: e.MessageID, UserID: e.UserID, AnonymousID: e.AnonymousID,
			Event: e.Event, HasMetadata: e.Metadata != nil,
		}
		if h.Event == "" {
			h.Event = e.Name
		}
		it, err := raw.TranslateRaw(h, body)
		if err != nil {
			return nil, err
		}
		items = []analytics.Item{it}
	} else {
		var err error
		if items, err = d.Translate(e); err != nil {
			return nil, err
		}
	}
	key := e.UserID
	if key == "" {
		key = e.AnonymousID
	}
	for i := range items {
		it := &items[i]
		if it.ID == "" {
			it.ID = e.MessageID
		}
		if it.Key == "" {
			it.Key = key
		}
		if it.Size == 0 {
			it.Size = len(it.Body)
		}
	}
	return items, nil
}

// Batches cuts items into batches by lane, group, count and bytes, as the client does
// when all of them are due, in the order of each batch's first item.
func Batches(t testing.TB, d analytics.Destination, items []analytics.Item) []*analytics.Batch {
	t.Helper()
	lanes := d.Describe().Lanes
	if lanes == nil {
		lanes = map[string]analytics.Limits{"": {}}
	}
	type open struct{ lane, group string }
	var all []*analytics.Batch
	current, size := map[open]*analytics.Batch{}, map[open]int{}
	for _, it := range items {
		limits, ok := lanes[it.Lane]
		if !ok {
			t.Fatalf("item %s is for lane %q, which is not described", it.ID, it.Lane)
		}
		maxItems, maxBytes := limits.MaxItems, limits.MaxBytes
		if maxItems == 0 {
			maxItems = 1000
		}
		if maxBytes == 0 {
			maxBytes = 1_000_000
		}
		n := it.Size + limits.ItemOverhead
		if limits.MaxItemBytes > 0 && it.Size > limits.MaxItemBytes || n+limits.Overhead > maxBytes {
			t.Fatalf("item %s has %d bytes, more than lane %q takes", it.ID, it.Size, it.Lane)
		}
		at := open{it.Lane, it.Group}
		b := current[at]
		if b == nil || len(b.Items) == maxItems || size[at]+n > maxBytes {
			b = &analytics.Batch{Lane: it.Lane}
			current[at], size[at] = b, limits.Overhead
			all = append(all, b)
		}
		b.Items, size[at] = append(b.Items, it), size[at]+n
	}
	return all
}

// Deliver translates the events, cuts batches and delivers each once.
func Deliver(t testing.TB, d analytics.Destination, events ...*analytics.Event) Results {
	t.Helper()
	var all Results
	for _, b := range Batches(t, d, Translate(t, d, events...)) {
		all = append(all, DeliverBatch(t, d, b)...)
	}
	return all
}

// DeliverBatch delivers a batch once and returns what was said of each item.
func DeliverBatch(t testing.TB, d analytics.Destination, b *analytics.Batch) Results {
	t.Helper()
	err := d.Deliver(t.Context(), b)
	var each *analytics.BatchError
	if errors.As(err, &each) {
		for i := range each.Items {
			if i < 0 || i >= len(b.Items) {
				t.Fatalf("BatchError names item %d of %d", i, len(b.Items))
			}
		}
	}
	results := make(Results, len(b.Items))
	for i, it := range b.Items {
		answer := err
		if each != nil {
			answer = each.Items[i]
		}
		word, after := analytics.Classify(answer)
		results[i] = Result{ID: it.ID, Lane: b.Lane, Word: word, After: after, Err: answer}
	}
	return results
}
