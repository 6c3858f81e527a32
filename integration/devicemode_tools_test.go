package integration_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// A piece is one thing that a tool keeps: an event, a profile, a purchase.
type piece struct {
	at      time.Time
	request int    // its number
	path    string // of the request
	mark    string // the messageId of the event that it came from
	key     string // by which the tool dedupes, or what it overwrites
	group   string // what the pieces of a request must share: a client, a project, a channel
	body    string
}

// marks are the messageIds of the tests, which each event also has in a property, since
// not every tool gets a messageId.
var marks = regexp.MustCompile(`00000000-0000-4000-8000-\d{12}`)

// A request is what came over the wire.
type request struct {
	number int // of the tool, from 0
	at     time.Time
	url    *url.URL
	body   []byte // with gzip undone
}

// An answer is what a tool says to a request; the zero value is 200 and {}.
type answer struct {
	status int
	header http.Header
	body   string
}

// A vendor takes a request apart. What it returns is kept by the tool. bad tells of
// events that the vendor refuses, in its own way.
type vendor func(r *request, bad func(mark string) bool) ([]piece, answer)

// A weather keeps a request, its body in plain text, from the tool: it answers in its
// place. With neither an answer nor an error the request gets through.
type weather func(r *http.Request) (*answer, error)

// A tool is one vendor with what it was sent. Safe for concurrent use.
type tool struct {
	vendor vendor

	mu       sync.Mutex
	weather  weather
	bad      map[string]bool // marks
	lost     int             // so many answers are lost, the pieces are kept
	pieces   []piece         // in the order of their arrival
	requests []request       // also those that the weather has kept away
}

// set changes the weather; nil is fine.
func (t *tool) set(w weather) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.weather = w
}

// kept returns what the tool has taken so far, oldest first.
func (t *tool) kept() []piece {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.pieces)
}

// asked returns the requests so far, oldest first.
func (t *tool) asked() []request {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.requests)
}

// first are the marks in the order in which they came for the first time.
func (t *tool) first() []string {
	var list []string
	seen := map[string]bool{}
	for _, p := range t.kept() {
		if !seen[p.mark] {
			seen[p.mark] = true
			list = append(list, p.mark)
		}
	}
	return list
}

// keys counts how often each key came.
func (t *tool) keys() map[string]int {
	counts := map[string]int{}
	for _, p := range t.kept() {
		counts[p.key]++
	}
	return counts
}

// tools are the network: a tool by its host. It is the [http.RoundTripper] of the
// client, and whatever else is asked for is no host.
type tools map[string]*tool

// RoundTrip brings a request to its tool.
func (n tools) RoundTrip(r *http.Request) (*http.Response, error) {
	t := n[r.URL.Host]
	if t == nil {
		return nil, fmt.Errorf("no such host: %s", r.URL.Host)
	}
	in, err := received(r)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	in.number = len(t.requests)
	t.requests = append(t.requests, in)
	w := t.weather
	t.mu.Unlock()
	if w != nil {
		plain := r.Clone(r.Context())
		plain.Body = io.NopCloser(bytes.NewReader(in.body))
		if a, err := w(plain); a != nil || err != nil {
			return a.response(r), err
		}
	}
	return t.take(r, &in)
}

func (t *tool) take(r *http.Request, in *request) (*http.Response, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	pieces, a := t.vendor(in, func(mark string) bool { return t.bad[mark] })
	for _, p := range pieces {
		p.at, p.request, p.path = in.at, in.number, in.url.Path
		t.pieces = append(t.pieces, p)
	}
	if t.lost > 0 && len(pieces) > 0 {
		t.lost--
		return nil, syscall.ECONNRESET
	}
	return a.response(r), nil
}

func received(r *http.Request) (request, error) {
	in := request{at: time.Now(), url: r.URL}
	if r.Body == nil {
		return in, nil
	}
	defer r.Body.Close()
	var from io.Reader = r.Body
	if r.Header.Get("Content-Encoding") == "gzip" {
		zr, err := gzip.NewReader(from)
		if err != nil {
			return in, err
		}
		from = zr
	}
	var err error
	in.body, err = io.ReadAll(from)
	return in, err
}

func (a *answer) response(r *http.Request) *http.Response {
	if a == nil {
		return nil
	}
	status, body := a.status, a.body
	if status == 0 {
		status = http.StatusOK
	}
	if body == "" && status != http.StatusNoContent {
		body = "{}"
	}
	header := a.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	return &http.Response{
		StatusCode: status, Status: strconv.Itoa(status), Header: header, Request: r, ContentLength: int64(len(body)),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// dead is a host where nobody listens.
func dead(*http.Request) (*answer, error) { return nil, syscall.ECONNREFUSED }

// hanging is a host that takes the request and says nothing.
func hanging(r *http.Request) (*answer, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// status answers everything with one status, and headers in pairs of name and value.
func status(code int, headers ...string) weather {
	h := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		h.Set(headers[i], headers[i+1])
	}
	return func(*http.Request) (*answer, error) { return &answer{status: code, header: h}, nil }
}

// pieceOf is a piece of JSON, with the one mark that is in it.
func pieceOf(body []byte, key string) piece {
	return piece{mark: string(marks.Find(body)), key: key, body: string(bytes.TrimSpace(body))}
}
