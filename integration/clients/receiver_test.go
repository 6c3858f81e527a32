package clients_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

const writeKey = "wk-clients-3b81f0"

// trouble is what happens to a request.
type trouble int

const (
	none    trouble = iota
	broken          // 503, unread
	busy            // 429 with Retry-After
	cut             // read, and then the connection ends
	unheard         // taken, and then the connection ends: the client cannot know
)

// bad is one of each, and 503 twice.
var bad = []trouble{broken, unheard, busy, cut, broken}

// receiver is a handler on the loopback interface, over a client that records.
type receiver struct {
	t       *testing.T
	url     string
	client  *analytics.Client
	handler *trackingapi.Handler

	mu       sync.Mutex
	planned  []trouble
	requests []request
	events   []*analytics.Event
	discards []trackingapi.Discard
}

// request is what came.
type request struct {
	method, path string
	header       http.Header
	body         object
	trouble      trouble
}

func newReceiver(t *testing.T, planned ...trouble) *receiver {
	t.Helper()
	r := &receiver{t: t, planned: planned}
	quiet := slog.New(slog.DiscardHandler)
	var err error
	r.client, err = analytics.New(analytics.Config{
		Destinations: []analytics.Destination{analytics.DestinationFunc("Recorder", r.record)}, Logger: quiet,
	})
	require.NoError(t, err)
	r.handler, err = trackingapi.New(trackingapi.Config{
		Keys:      trackingapi.Keys{writeKey: {Name: "clients", Client: r.client}},
		OnDiscard: r.discarded, Logger: quiet,
	})
	require.NoError(t, err)
	srv := httptest.NewServer(r)
	r.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		require.NoError(t, r.handler.Close(ctx))
		require.NoError(t, r.client.Close(ctx))
	})
	return r
}

func (r *receiver) record(_ context.Context, events []*analytics.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, events...)
	return nil
}

func (r *receiver) discarded(d trackingapi.Discard) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.discards = append(r.discards, d)
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	next := r.noted(in, body)
	in.Body = io.NopCloser(bytes.NewReader(body))
	switch next {
	case broken:
		w.WriteHeader(http.StatusServiceUnavailable)
	case busy:
		w.Header().Set("Retry-After", "1")
		w.WriteHeader(http.StatusTooManyRequests)
	case cut:
		panic(http.ErrAbortHandler)
	case unheard:
		r.handler.ServeHTTP(httptest.NewRecorder(), in)
		panic(http.ErrAbortHandler)
	case none:
		r.handler.ServeHTTP(w, in)
	}
}

// noted keeps a request and tells what happens to it.
func (r *receiver) noted(in *http.Request, body []byte) trouble {
	r.mu.Lock()
	defer r.mu.Unlock()
	next := none
	if len(r.planned) > 0 {
		next, r.planned = r.planned[0], r.planned[1:]
	}
	r.requests = append(r.requests, request{in.Method, in.URL.Path, in.Header.Clone(), plain(in.Header, body), next})
	return next
}

// plain is the JSON of a body, nil if it has none.
func plain(header http.Header, body []byte) (o object) {
	var from io.Reader = bytes.NewReader(body)
	if header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(from)
		if err != nil {
			return nil
		}
		from = zr
	}
	d := json.NewDecoder(from)
	d.UseNumber()
	if d.Decode(&o) != nil {
		return nil
	}
	return o
}

// arrived are the events by their messageIds, each of which must be there once.
func (r *receiver) arrived() map[string]object {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(r.t, r.client.Flush(ctx))
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Empty(r.t, r.discards)
	all := map[string]object{}
	for _, e := range r.events {
		require.False(r.t, all[e.MessageID] != nil, "%s has arrived twice", e.MessageID)
		text, err := e.MarshalJSON()
		require.NoError(r.t, err)
		all[e.MessageID] = decode(r.t, string(text))
	}
	return all
}

// sent are the messages as they came first in a request that was taken, with what their
// envelope says.
func (r *receiver) sent() map[string]wire {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := map[string]wire{}
	for _, in := range r.requests {
		if in.trouble != none && in.trouble != unheard {
			continue
		}
		batch, _ := in.body["batch"].([]any)
		for _, m := range batch {
			m := m.(object)
			if _, again := all[id(m)]; !again {
				all[id(m)] = wire{m, in.body}
			}
		}
	}
	return all
}

// wire is a message in its envelope.
type wire struct{ message, envelope object }
