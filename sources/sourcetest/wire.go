package sourcetest

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"time"
)

// network is an http.Server over connections in memory.
type network struct {
	server *http.Server
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func listen(h http.Handler, logs io.Writer) *network {
	n := &network{conns: make(chan net.Conn), closed: make(chan struct{})}
	n.server = &http.Server{Handler: h, ErrorLog: log.New(logs, "", 0), ReadHeaderTimeout: time.Hour}
	go func() { _ = n.server.Serve(n) }()
	return n
}

func (n *network) close() {
	_ = n.server.Close()
	_ = n.Close()
}

// Accept returns the next connection.
func (n *network) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (n *network) Close() error {
	n.once.Do(func() { close(n.closed) })
	return nil
}

// Addr is no address.
func (n *network) Addr() net.Addr { return memory{} }

type memory struct{}

// Network names the network.
func (memory) Network() string { return "memory" }

// String is the address of everybody.
func (memory) String() string { return "memory" }

// peer gives the server's end of a pipe the address of a client.
type peer struct{ net.Conn }

// RemoteAddr is one of those that documentation uses.
func (peer) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 50000} }

// request is what is sent: a recorded request, or something that is made of one.
type request struct {
	method, path string
	header       http.Header
	body         func() io.Reader
	size         int64 // -1: chunked
	sign         func(*http.Request)
	broken       bool // the connection ends where the body does
}

// request makes the recorded request with another body, plain here, if there is one.
func (t *trial) request(r *Recorded) *request { return t.with(r, r.Body) }

func (t *trial) with(r *Recorded, body []byte) *request {
	q := &request{method: r.method(), path: r.Path, header: r.Header.Clone(), sign: t.setup.Sign}
	if q.header == nil {
		q.header = http.Header{}
	}
	if r.Gzip {
		body = compress(body)
		q.header.Set("Content-Encoding", "gzip")
	}
	q.bytes(body)
	return q
}

func (q *request) bytes(body []byte) {
	q.body, q.size = func() io.Reader { return bytes.NewReader(body) }, int64(len(body))
}

// answer is what came back. err is that of a connection without an answer.
type answer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

var errSlow = errors.New("no answer within 10 minutes")

// send sends the request over a connection of its own and waits for the answer.
func (s *source) send(q *request) answer {
	r, err := q.build()
	if err != nil {
		return answer{err: err}
	}
	return s.do(r, q.broken)
}

// do sends what was built. broken closes the connection where writing fails.
func (s *source) do(r *http.Request, broken bool) answer {
	near, far := net.Pipe()
	defer near.Close() //nolint:errcheck // of a pipe
	select {
	case s.net.conns <- peer{far}:
	case <-s.net.closed:
		return answer{err: net.ErrClosed}
	}
	_ = near.SetDeadline(time.Now().Add(patience))
	go func() {
		if r.Write(near) != nil && broken {
			_ = near.Close()
		}
	}()
	return read(near, r)
}

func read(conn net.Conn, r *http.Request) answer {
	res, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err == nil {
		defer res.Body.Close() //nolint:errcheck // in memory
		var a answer
		a.status, a.header = res.StatusCode, res.Header
		if a.body, err = io.ReadAll(io.LimitReader(res.Body, 16<<20)); err == nil {
			return a
		}
	}
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		err = errSlow
	}
	return answer{err: err}
}

// build makes the request, signed.
func (q *request) build() (*http.Request, error) {
	r, err := http.NewRequest(q.method, "http://source.example"+q.path, nil)
	if err != nil {
		return nil, err
	}
	r.Header = q.header.Clone()
	if _, given := r.Header["User-Agent"]; !given {
		r.Header["User-Agent"] = []string{""} // not that of Go
	}
	if q.size != 0 {
		r.ContentLength = q.size
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(q.body()), nil }
		r.Body, _ = r.GetBody()
	} else {
		r.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	if q.sign != nil {
		q.sign(r)
	}
	return r, nil
}
