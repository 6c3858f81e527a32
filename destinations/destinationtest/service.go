package destinationtest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"sync"
)

// Service plays the tool, in memory and for every host. It records what it is sent
// and answers as the rule in hand wants it. It is an [http.RoundTripper]; fakes of
// tools that do not speak HTTP call Receive.
type Service struct {
	answer   func(*Request) Response
	released chan struct{} // closed at the end of a trial; ends every wait

	mu       sync.Mutex
	dir      string
	reply    func(*Request) reply // nil: answer
	requests []*Request
	open     int   // bodies not closed
	read     int64 // bytes read from bodies
}

// A Request is one request as the service received it.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte // whole, with Content-Encoding gzip undone

	// Answered tells whether the kit let it succeed.
	Answered bool

	ids []string // given to Receive
}

// A Response is what the tool answers. Status zero means 200.
type Response struct {
	Status int
	Header http.Header
	Body   string
}

// reply is what a request gets: one of its parts.
type reply struct {
	Response
	body  io.Reader // in place of Response.Body
	yield bool      // lets others run first
	err   error     // the network failed
	hang  bool      // never answers
	stall bool      // the body never ends
}

// yields is how often a request that yields lets others run: enough for all that are
// ready. A sleep would never end in a bubble where others wait for a mutex.
const yields = 100

func newService(answer func(*Request) Response) *Service {
	if answer == nil {
		answer = func(*Request) Response { return Response{Body: "{}"} }
	}
	return &Service{answer: answer, released: make(chan struct{})}
}

// URL is an address of the service, for settings that need one.
func (s *Service) URL() string { return "https://service.test" }

// Client returns a client that reaches nothing but the service, and follows no
// redirects.
func (s *Service) Client() *http.Client {
	return &http.Client{
		Transport:     s,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Dir returns a directory for what New's destination stores, removed after the
// rule. Empty if there is none to be had.
func (s *Service) Dir() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir == "" {
		s.dir, _ = os.MkdirTemp("", "destinationtest")
	}
	return s.dir
}

// Receive takes items in the place of an HTTP request, from a fake of a tool that
// speaks something else. Its error is the failure that the rule in hand wants; nil
// means that the items arrived.
func (s *Service) Receive(ctx context.Context, ids ...string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := &Request{URL: &url.URL{}, Header: http.Header{}, ids: slices.Clone(ids)}
	rep := s.record(r)
	switch {
	case rep.hang, rep.stall:
		return s.wait(ctx)
	case rep.err != nil:
		return rep.err
	case !rep.success():
		return errors.New("the service refused")
	}
	s.succeed(r)
	return nil
}

// RoundTrip answers a request.
func (s *Service) RoundTrip(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		body, err = io.ReadAll(req.Body)
		req.Body.Close()
		if err != nil {
			return nil, err
		}
	}
	if err := req.Context().Err(); err != nil {
		return nil, err
	}
	u := *req.URL
	r := &Request{Method: req.Method, URL: &u, Header: req.Header.Clone(), Body: plain(req.Header, body)}
	rep := s.record(r)
	switch {
	case rep.hang:
		return nil, s.wait(req.Context())
	case rep.err != nil:
		return nil, rep.err
	}
	if rep.success() {
		s.succeed(r)
	}
	return s.response(req, rep), nil
}

// response makes the answer; its body counts as open until it is closed.
func (s *Service) response(req *http.Request, rep reply) *http.Response {
	res := &http.Response{
		StatusCode: rep.Status, Status: http.StatusText(rep.Status),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: rep.Header.Clone(), ContentLength: -1, Request: req,
	}
	if res.Header == nil {
		res.Header = http.Header{}
	}
	src := rep.body
	if src == nil {
		src = bytes.NewReader([]byte(rep.Body))
		res.ContentLength = int64(len(rep.Body))
	}
	s.mu.Lock()
	s.open++
	s.mu.Unlock()
	res.Body = &body{s: s, ctx: req.Context(), src: src, stall: rep.stall, closed: make(chan struct{})}
	return res
}

func (rep reply) success() bool { return rep.err == nil && rep.Status >= 200 && rep.Status < 300 }

// record keeps the request and decides on its reply.
func (s *Service) record(r *Request) reply {
	s.mu.Lock()
	s.requests = append(s.requests, r)
	f := s.reply
	s.mu.Unlock()
	var rep reply
	if f == nil {
		rep.Response = s.answer(r)
	} else {
		rep = f(r)
	}
	if rep.Status == 0 {
		rep.Status = http.StatusOK
	}
	for range yields {
		if !rep.yield {
			break
		}
		runtime.Gosched()
	}
	return rep
}

func (s *Service) succeed(r *Request) {
	s.mu.Lock()
	r.Answered = true
	s.mu.Unlock()
}

// script sets the replies from now on and forgets the requests so far. Nil: all is
// well.
func (s *Service) script(f func(*Request) reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reply, s.requests, s.read = f, nil, 0
}

func (s *Service) received() []*Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// bodies returns how many bodies are open and how many bytes were read of all since
// the last script.
func (s *Service) bodies() (open int, read int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.open, s.read
}

// wait is what hanging requests do.
func (s *Service) wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-s.released:
		return errReset
	}
}

// end lets go of everything that waits and removes the directory.
func (s *Service) end() {
	close(s.released)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

var errReset = errors.New("read: connection reset by peer")

// body is a response body that is counted.
type body struct {
	s      *Service
	ctx    context.Context // of the request: its end ends a stalled body, as in net/http
	src    io.Reader
	stall  bool
	closed chan struct{}
	once   sync.Once
}

// Read reads, and once the source has ended waits if the body is a stalled one.
func (b *body) Read(p []byte) (int, error) {
	select {
	case <-b.closed:
		return 0, http.ErrBodyReadAfterClose
	default:
	}
	n, err := b.src.Read(p)
	b.s.mu.Lock()
	b.s.read += int64(n)
	b.s.mu.Unlock()
	if n > 0 || err != io.EOF || !b.stall {
		return n, err
	}
	select {
	case <-b.closed:
		return 0, http.ErrBodyReadAfterClose
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	case <-b.s.released:
		return 0, errReset
	}
}

// Close ends a waiting Read.
func (b *body) Close() error {
	b.once.Do(func() {
		close(b.closed)
		b.s.mu.Lock()
		b.s.open--
		b.s.mu.Unlock()
	})
	return nil
}

// plain undoes gzip; what cannot be undone stays as it is.
func plain(h http.Header, raw []byte) []byte {
	if h.Get("Content-Encoding") != "gzip" {
		return raw
	}
	zr, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return raw
	}
	out, err := io.ReadAll(zr)
	if err != nil {
		return raw
	}
	return out
}
