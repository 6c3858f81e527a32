package analyticstest

import (
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"time"
)

// ServeHTTP answers over any HTTP server. A scripted reset is a TCP reset where
// the connection can be taken over, and an aborted stream elsewhere.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a, err := s.receive(r)
	if err == nil {
		err = s.hold(r.Context(), a)
	}
	if err != nil {
		breakConnection(w)
		return
	}
	maps.Copy(w.Header(), a.header)
	w.WriteHeader(a.status)
	body := newBody(r.Context(), s.closed, a)
	defer body.Close()
	if a.bodyDelay > 0 {
		slow := flushing{w, http.NewResponseController(w)}
		_ = slow.control.Flush() // the header does not wait for the first byte
		w = slow
	}
	if _, err := io.Copy(w, body); err != nil {
		panic(http.ErrAbortHandler) // the client must not take it for complete
	}
}

// flushing sends each write at once.
type flushing struct {
	http.ResponseWriter
	control *http.ResponseController
}

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	_ = f.control.Flush() // a broken connection shows at the next write
	return n, err
}

// breakConnection resets instead of closing in good order.
func breakConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // HTTP/2: ends the stream
	}
	raw := conn
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		raw = t.NetConn() // below TLS
	}
	if t, ok := raw.(*net.TCPConn); ok {
		_ = t.SetLinger(0) // closing then resets; if not, it only closes
	}
	_ = raw.Close()
}

// inMemoryURL is the base for use over Transport, which never resolves it.
const inMemoryURL = "http://segment.test"

// URL is the base of all paths: the listener's address once the server is
// started, a made-up host before.
func (s *Server) URL() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.url()
}

func (s *Server) url() string {
	if s.listener == nil {
		return inMemoryURL
	}
	return "http://" + s.listener.Addr().String()
}

// Start listens on a free port of the loopback interface and returns the URL.
// It panics if it cannot, like net/http/httptest. A second call changes nothing.
func (s *Server) Start() (url string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.listener != nil {
		return s.url()
	}
	select {
	case <-s.closed:
		panic("analyticstest: Start after Close")
	default:
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic("analyticstest: listen on the loopback interface: " + err.Error())
	}
	s.listener = listener
	server := &http.Server{
		Handler:           http.HandlerFunc(s.serveCounted),
		ConnState:         s.countConn,
		ReadHeaderTimeout: time.Minute,
		ErrorLog:          log.New(io.Discard, "", 0),
	}
	s.http = server
	s.serving.Go(func() { _ = server.Serve(listener) }) // ends by Close
	return s.url()
}

// serveCounted lets Close wait for handlers that hijacked their connection.
func (s *Server) serveCounted(w http.ResponseWriter, r *http.Request) {
	s.serving.Add(1)
	defer s.serving.Done()
	s.ServeHTTP(w, r)
}

// countConn lets Close wait for connections. Each begins inside Serve, which is
// counted itself, so the count cannot rise from zero.
func (s *Server) countConn(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.serving.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.serving.Done()
	}
}

// Close ends all waiting answers, stops listening and waits until every
// goroutine of the server has ended. Requests over Transport fail from now on,
// as if nobody listened. What was recorded stays readable.
func (s *Server) Close() {
	s.closeOnce.Do(func() { close(s.closed) })
	s.mu.Lock()
	server := s.http
	s.mu.Unlock()
	if server != nil {
		_ = server.Close()
	}
	s.serving.Wait()
}
