package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
)

// A place is one of the two destinations.
type place int

const (
	cloud  place = iota // batches to a Segment-compatible endpoint, in any order
	device              // decoded events, in order for each writer of each process
	places
)

func (p place) String() string { return [...]string{"cloud", "device"}[p] }

// ordered tells whether events have to come in the order in which a writer made them.
func (p place) ordered() bool { return p == device }

const (
	cloudPath  = "/v1/batch"
	devicePath = "/device"
)

// weather is how well a place is.
type weather int32

const (
	fair   weather = iota // it takes everything
	rough                 // part of the requests fail, in every way that there is
	outage                // all do
)

// receiver is both destinations. It passes on what it takes, whether or not the sender
// gets to know.
type receiver struct {
	take    func(arrival, []json.RawMessage)
	weather [places]atomic.Int32
	server  *http.Server
	url     string

	mu     sync.Mutex
	random *rand.Rand
}

func startReceiver(seed uint64, take func(arrival, []json.RawMessage)) (*receiver, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{take: take, random: rand.New(rand.NewPCG(seed, 1)), url: "http://" + listener.Addr().String()}
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+cloudPath, func(w http.ResponseWriter, req *http.Request) { r.serve(cloud, w, req) })
	mux.HandleFunc("POST "+devicePath, func(w http.ResponseWriter, req *http.Request) { r.serve(device, w, req) })
	r.server = &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = r.server.Serve(listener) }() // ends by close
	return r, nil
}

func (r *receiver) close() { _ = r.server.Close() }

func (r *receiver) set(now [places]weather) {
	for p, w := range now {
		r.weather[p].Store(int32(w))
	}
}

// fault is what goes wrong with a request.
type fault int

const (
	nothing     fault = iota
	unavailable       // 503, nothing is taken
	throttled         // 429 with Retry-After, nothing is taken
	broken            // the connection is reset before the body is read
	slow              // taken, and answered late
	lost              // taken, but the connection is reset instead of an answer
	hanging           // taken, and never answered
)

// faults are drawn from with equal chances in rough weather; in an outage, of the first
// entries.
var faults = [...]fault{
	unavailable, unavailable, broken, throttled, // nothing is taken
	slow, slow, lost, lost, hanging,
	nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing,
	nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing,
}

const outages = 4

func (r *receiver) draw(p place) (f fault, pause time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	pause = time.Duration(r.random.IntN(150)) * time.Millisecond
	switch weather(r.weather[p].Load()) {
	case rough:
		return faults[r.random.IntN(len(faults))], pause
	case outage:
		return faults[r.random.IntN(outages)], pause
	}
	return nothing, 0
}

func (r *receiver) serve(p place, w http.ResponseWriter, req *http.Request) {
	f, pause := r.draw(p)
	switch f {
	case unavailable:
		http.Error(w, "", http.StatusServiceUnavailable)
		return
	case throttled:
		w.Header().Set("Retry-After", "1")
		http.Error(w, "", http.StatusTooManyRequests)
		return
	case broken:
		reset(w)
		return
	}
	a, events, err := read(p, req)
	if err != nil { // its sender was killed while it wrote; what is not whole is not taken
		reset(w)
		return
	}
	r.take(a, events)
	switch f {
	case slow:
		time.Sleep(pause)
	case lost:
		reset(w)
	case hanging:
		<-req.Context().Done()
	}
}

// reset breaks a connection.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}

func read(p place, req *http.Request) (a arrival, events []json.RawMessage, err error) {
	a.place = p
	if a.process, err = strconv.Atoi(req.Header.Get(processHeader)); err != nil {
		return a, nil, err
	}
	if a.request, err = strconv.Atoi(req.Header.Get(requestHeader)); err != nil {
		return a, nil, err
	}
	body := io.Reader(req.Body)
	if req.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(body); err != nil {
			return a, nil, err
		}
	}
	raw, err := io.ReadAll(body)
	if err != nil {
		return a, nil, err
	}
	if p == device {
		for line := range bytes.Lines(raw) {
			events = append(events, line)
		}
		return a, events, nil
	}
	var batch struct{ Batch []json.RawMessage }
	if err := json.Unmarshal(raw, &batch); err != nil {
		return a, nil, fmt.Errorf("a batch is no JSON: %w", err)
	}
	return a, batch.Batch, nil
}
