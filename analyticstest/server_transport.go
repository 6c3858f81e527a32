package analyticstest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Transport reaches the server in memory, whatever host the URL names. It keeps
// to what net/http's transport promises: the request's body is closed, a
// cancelled context ends the call with its cause, and a response body streams.
// It starts no goroutine, waits on timers and channels only, and so runs inside
// a synctest bubble.
func (s *Server) Transport() http.RoundTripper { return transport{s} }

type transport struct{ s *Server }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx := r.Context()
	in, body := incoming(r)
	defer body.Close()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	select {
	case <-t.s.closed:
		return nil, networkError("dial", "connect", syscall.ECONNREFUSED)
	default:
	}
	// A body that blocks, such as a pipe, is released by closing it.
	stop := context.AfterFunc(ctx, func() { body.Close() })
	defer stop()

	a, err := t.s.receive(in)
	if err == nil {
		err = t.s.hold(ctx, a)
	}
	switch {
	case err == nil:
		return t.response(r, a), nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, errReset) || errors.Is(err, errClosed):
		return nil, networkError("read", "read", syscall.ECONNRESET)
	}
	return nil, err
}

func (t transport) response(r *http.Request, a answer) *http.Response {
	return &http.Response{
		Status:     strconv.Itoa(a.status) + " " + http.StatusText(a.status),
		StatusCode: a.status,
		Proto:      "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header:        a.header.Clone(),
		Body:          newBody(r.Context(), t.s.closed, a),
		ContentLength: a.size,
		Request:       r,
	}
}

// incoming turns the client's view of a request into the server's.
func incoming(r *http.Request) (*http.Request, *sentBody) {
	in := r.WithContext(r.Context()) // a copy
	body := &sentBody{ReadCloser: http.NoBody}
	switch {
	case r.Body == nil || r.Body == http.NoBody:
		in.ContentLength = 0
	case r.ContentLength == 0:
		in.ContentLength = -1 // unknown
		fallthrough
	default:
		body.ReadCloser = r.Body
	}
	in.Body, body.want = body, in.ContentLength
	in.Method = cmp.Or(r.Method, http.MethodGet)
	in.Host = cmp.Or(r.Host, r.URL.Host)
	if in.Header == nil {
		in.Header = http.Header{}
	}
	return in, body
}

// sentBody is a request's body that must be as long as announced and is closed
// once.
type sentBody struct {
	io.ReadCloser
	n    int64
	want int64 // negative is unknown
	once sync.Once
}

// lengthError is what net/http's transport says of a body that is shorter or
// longer than its Content-Length.
type lengthError struct{ want, got int64 }

func (e lengthError) Error() string {
	return fmt.Sprintf("http: ContentLength=%d with Body length %d", e.want, e.got)
}

func (b *sentBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.n += int64(n)
	if b.want >= 0 && (b.n > b.want || err == io.EOF && b.n < b.want) {
		return n, lengthError{b.want, b.n}
	}
	return n, err
}

func (b *sentBody) Close() (err error) {
	b.once.Do(func() { err = b.ReadCloser.Close() })
	return err
}

// networkError looks like what the net package reports.
func networkError(op, syscallName string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Err: os.NewSyscallError(syscallName, err)}
}

// dribble is an answer's body, made as it is read.
type dribble struct {
	ctx    context.Context // of the request; it outlives no other call
	server <-chan struct{}
	a      answer
	at     int64
	closed chan struct{}
	once   sync.Once
}

func newBody(ctx context.Context, server <-chan struct{}, a answer) *dribble {
	return &dribble{ctx: ctx, server: server, a: a, closed: make(chan struct{})}
}

// Read delivers one byte after each pause, or as much as fits without one.
func (d *dribble) Read(p []byte) (int, error) {
	if err := d.gone(); err != nil {
		return 0, err
	}
	if d.a.size >= 0 {
		p = p[:min(int64(len(p)), d.a.size-d.at)]
		if d.at == d.a.size {
			return 0, io.EOF
		}
	}
	if len(p) == 0 {
		return 0, nil
	}
	if d.a.bodyDelay > 0 {
		p = p[:1]
		if err := d.pause(); err != nil {
			return 0, err
		}
	}
	n := 0
	if d.at < int64(len(d.a.body)) {
		n = copy(p, d.a.body[d.at:])
	}
	for i := n; i < len(p); i++ {
		p[i] = ' '
	}
	d.at += int64(len(p))
	return len(p), nil
}

// gone reports who ended the body early.
func (d *dribble) gone() error {
	select {
	case <-d.closed:
		return http.ErrBodyReadAfterClose
	case <-d.ctx.Done():
		return context.Cause(d.ctx)
	case <-d.server:
		return io.ErrUnexpectedEOF
	default:
		return nil
	}
}

func (d *dribble) pause() error {
	timer := time.NewTimer(d.a.bodyDelay)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-d.closed:
	case <-d.ctx.Done():
	case <-d.server:
	}
	return d.gone()
}

// Close implements [io.Closer] and releases a Read that waits.
func (d *dribble) Close() error {
	d.once.Do(func() { close(d.closed) })
	return nil
}
