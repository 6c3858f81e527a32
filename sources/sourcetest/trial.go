package sourcetest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dev/analytics"
)

// need is what a rule cannot be tested without.
type need uint

const (
	needSign     need = 1 << iota // Setup.Sign
	needMessages                  // the request becomes messages, and can be known again
	needPost                      // the request has a body
)

// patience is longer than any answer may take, in the time of a bubble.
const patience = 10 * time.Minute

// trial is one run of one rule, for one request where the rule looks at each.
type trial struct {
	testing *testing.T
	setup   *Setup
	log     *logBuffer
	req     *Recorded // the one that it is about
	reqs    []*Recorded

	mu     sync.Mutex
	found  []string
	opened []*source
}

// try tests the rule, in a bubble or, where it looks at each request, in one for each.
func (r *rule) try(t *testing.T, s Setup) (found []string, skipped string) {
	if reason, ok := s.Skip[r.name]; ok && strings.TrimSpace(reason) != "" {
		return nil, reason
	}
	if r.name == "setup" {
		tr := &trial{setup: &s}
		r.test(tr)
		return tr.found, ""
	}
	if s.New == nil {
		return nil, "Setup has no New"
	}
	if r.needs&needSign != 0 && s.Sign == nil {
		return nil, "Setup has no Sign: nothing is signed"
	}
	reqs := r.requests(s.Requests)
	if len(reqs) == 0 {
		return nil, "no request of the Setup can show it"
	}
	if !r.each {
		return r.run(t, &s, reqs), ""
	}
	for _, req := range reqs {
		for _, f := range r.run(t, &s, []*Recorded{req}) {
			found = append(found, req.Name+": "+f)
		}
	}
	return found, ""
}

// requests are those that have what the rule needs.
func (r *rule) requests(all []Recorded) (list []*Recorded) {
	for i := range all {
		q := &all[i]
		if r.needs&needMessages != 0 && (len(q.Messages) == 0 || q.Fresh) {
			continue
		}
		if r.needs&needPost != 0 && (q.method() != http.MethodPost || len(q.Body) == 0) {
			continue
		}
		list = append(list, q)
	}
	return list
}

// others is held for reading by rules that may run beside each other, in tests that are
// parallel, and for writing by those that measure the process or change it.
var others sync.RWMutex

func (r *rule) run(t *testing.T, s *Setup, reqs []*Recorded) []string {
	if r.alone {
		others.Lock()
		defer others.Unlock()
	} else {
		others.RLock()
		defer others.RUnlock()
	}
	tr := &trial{setup: s, log: &logBuffer{}, reqs: reqs, req: reqs[0]}
	bubble(t, func(t *testing.T) {
		tr.testing = t
		defer tr.close()
		r.test(tr)
	})
	return tr.found
}

// bubble runs f in a bubble. Goroutines that a source leaves behind do no harm: they
// stand still.
func bubble(t *testing.T, f func(*testing.T)) {
	defer func() {
		v := recover()
		if err, ok := v.(error); ok && strings.Contains(err.Error(), "deadlock") {
			return
		}
		if v != nil {
			panic(v)
		}
	}()
	synctest.Test(t, f)
}

func (t *trial) errorf(format string, args ...any) {
	const most = 8
	t.mu.Lock()
	defer t.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	switch {
	case len(t.found) < most && !slices.Contains(t.found, text):
		t.found = append(t.found, text)
	case len(t.found) == most:
		t.found = append(t.found, "and more")
	}
}

// source is a source that runs, with the client behind it.
type source struct {
	t       *trial
	client  *analytics.Client
	sink    *sink
	handler http.Handler
	net     *network
}

// open starts a source over a client of its own.
func (t *trial) open() *source {
	sink := &sink{}
	client, err := analytics.New(analytics.Config{
		Destinations: []analytics.Destination{sink},
		MaxMemory:    256 << 10,
		Logger:       slog.New(slog.NewTextHandler(t.log, nil)),
	})
	if err != nil {
		panic(err) // a bug of the kit
	}
	return t.openOver(client, sink)
}

// openOver starts a source over a client that exists.
func (t *trial) openOver(client *analytics.Client, sink *sink) *source {
	s := &source{t: t, client: client, sink: sink}
	s.handler = t.setup.New(output{t.testing, t.log}, client)
	s.net = listen(http.HandlerFunc(s.serve), t.log)
	t.opened = append(t.opened, s)
	return s
}

// serve lets the handler work and notes its panics.
func (s *source) serve(w http.ResponseWriter, r *http.Request) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v != http.ErrAbortHandler {
			s.t.errorf("%s %s: panic: %v", r.Method, r.URL.Path, v)
		}
		panic(http.ErrAbortHandler)
	}()
	s.handler.ServeHTTP(w, r)
}

// close ends everything that the run has opened.
func (t *trial) close() {
	for _, s := range t.opened {
		s.net.close()
		s.sink.release()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		_ = s.client.Close(ctx)
		cancel()
	}
}

// arrived returns the messages that got in since it was asked last.
func (s *source) arrived() [][]byte {
	synctest.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = s.client.Flush(ctx)
	return s.sink.take()
}

// nothing reports what got in.
func (s *source) nothing(what string) {
	if n := len(s.arrived()); n > 0 {
		s.t.errorf("%s: %d messages got in", what, n)
	}
}

// sink is the destination behind the client.
type sink struct {
	mu     sync.Mutex
	events [][]byte
	gate   chan struct{} // holds deliveries until it is closed
}

var _ analytics.RawTranslator = (*sink)(nil)

// Describe asks for everything at once and in order.
func (s *sink) Describe() analytics.Description {
	return analytics.Description{
		Name: "Sourcetest", Calls: analytics.SixCalls | analytics.CallsOf(analytics.CallObject), Order: analytics.Total, IgnoreAll: true,
		Lanes: map[string]analytics.Limits{"": {Linger: -1}},
	}
}

// Translate is not called.
func (s *sink) Translate(*analytics.Event) ([]analytics.Item, error) {
	return nil, analytics.ErrIgnored
}

// TranslateRaw takes the message as it is.
func (s *sink) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	return analytics.Item{Body: raw}, nil
}

// Deliver keeps the messages, once the gate is open.
func (s *sink) Deliver(ctx context.Context, b *analytics.Batch) error {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b.Items {
		s.events = append(s.events, bytes.Clone(b.Items[i].Body))
	}
	return nil
}

// hold stops deliveries, so that the client's queue fills.
func (s *sink) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = make(chan struct{})
}

func (s *sink) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
}

func (s *sink) take() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// output is a testing.TB whose log is kept.
type output struct {
	testing.TB
	log *logBuffer
}

// Output is the log.
func (o output) Output() io.Writer { return o.log }

// Log writes to the log.
func (o output) Log(args ...any) { _, _ = fmt.Fprintln(o.log, args...) }

// Logf writes to the log.
func (o output) Logf(format string, args ...any) { _, _ = fmt.Fprintf(o.log, format+"\n", args...) }

// logBuffer holds what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all of it.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
