package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"time"
)

// local sends every request to the local server that stands for its host, and none
// anywhere else. Tests of your own reach their fakes in the same way.
type local map[string]string // address by host

// RoundTrip changes where the request goes to, and nothing that the tool gets to see.
func (l local) RoundTrip(r *http.Request) (*http.Response, error) {
	address, ok := l[r.URL.Host]
	if !ok {
		return nil, fmt.Errorf("nobody stands for %s", r.URL.Host)
	}
	r = r.Clone(r.Context())
	r.URL.Scheme, r.URL.Host = "http", address // r.Host stays
	return http.DefaultTransport.RoundTrip(r)
}

// tools are the three of this program.
type tools struct{ amplitude, posthog, customerio *tool }

func newTools() *tools {
	return &tools{
		amplitude:  &tool{name: amplitudeName, host: amplitudeHost, judge: judgeAmplitude},
		posthog:    &tool{name: posthogName, host: posthogHost, judge: judgePostHog},
		customerio: &tool{name: customerioName, host: customerioHost, judge: judgeCustomerio},
	}
}

func (t *tools) all() []*tool { return []*tool{t.amplitude, t.posthog, t.customerio} }

// alive are those that are never down.
func (t *tools) alive() []*tool { return []*tool{t.amplitude, t.customerio} }

// listen opens a server for each tool.
func (t *tools) listen() (network local, shut func()) {
	network = local{}
	var servers []*httptest.Server
	for _, one := range t.all() {
		srv := httptest.NewServer(one)
		servers, network[one.host] = append(servers, srv), srv.Listener.Addr().String()
	}
	return network, func() {
		for _, srv := range servers {
			srv.Close()
		}
	}
}

// A tool is a fake of one. It judges what it is sent as the real one does, keeps what it
// takes, and knows by the key what it has already.
type tool struct {
	name, host string
	judge      func(r *http.Request, body []byte) verdict // several at a time

	mu         sync.Mutex
	down       bool
	visits     []call
	records    []record // in the order in which they came, each key once
	complaints []string
}

// A verdict is the answer to a request, and what is stored of it.
type verdict struct {
	status int
	answer string
	stored []record
}

// A call is a request to a tool: what was new in it, and what was there already.
type call struct {
	at         time.Time
	status     int
	fresh, old int
}

// set turns the tool off and on.
func (t *tool) set(down bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.down = down
}

// ServeHTTP answers a request. A tool that is down breaks in the middle of its first one:
// that is stored, and the answer is 503 all the same.
func (t *tool) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 1<<20))
	if err != nil {
		w.WriteHeader(http.StatusRequestEntityTooLarge)
		return
	}
	v := t.judge(r, body)
	t.mu.Lock()
	defer t.mu.Unlock()
	if v.status != http.StatusOK {
		t.complaints = append(t.complaints, fmt.Sprintf("%s answers %d: %s", t.name, v.status, v.answer))
	}
	if t.down {
		v.status, v.answer = http.StatusServiceUnavailable, ""
		if len(t.visits) > 0 {
			v.stored = nil
		}
	}
	c := call{at: time.Now(), status: v.status}
	for _, one := range v.stored {
		if slices.ContainsFunc(t.records, func(has record) bool { return has.key == one.key }) {
			c.old++
			continue
		}
		c.fresh++
		t.records = append(t.records, one)
	}
	t.visits = append(t.visits, c)
	w.WriteHeader(v.status)
	_, _ = io.WriteString(w, v.answer)
}

// holds is what the tool has.
func (t *tool) holds() []record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.records)
}

// calls are the requests so far, whatever came of them.
func (t *tool) calls() []call {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.visits)
}

// twice is how many records came that the tool had already.
func (t *tool) twice() (n int) {
	for _, c := range t.calls() {
		n += c.old
	}
	return n
}

// complains is what was wrong with requests, by the rules of the tool.
func (t *tool) complains() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.complaints)
}
