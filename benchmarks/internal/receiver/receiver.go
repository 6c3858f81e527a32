// Package receiver is the other side of the comparison: a small and fast HTTP/1.1
// server that counts messages, requests and connections, and fails by plan. It runs
// in a process of its own, see [Start].
package receiver

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Report is what was received since the last plan.
type Report struct {
	Requests    int   // all, whatever became of them
	Connections int   // that brought a request, or were reset by plan
	Resets      int   // connections broken by plan
	Messages    int   // in requests that were processed
	Distinct    int   // ids among them, with Plan.Distinct
	Bytes       int64 // of bodies, as on the wire
	Zipped      int   // requests with gzip
	Malformed   int   // requests that could not be read

	// InsidePause counts the requests that came while a Retry-After was running,
	// but for those of the first 20 ms, which were on their way.
	InsidePause int
}

// Server counts. Its methods may be called concurrently.
type Server struct {
	mu         sync.Mutex
	plan       Plan
	report     Report
	ids        []uint64
	first      time.Time // first request of the plan
	pauseFrom  time.Time
	pauseUntil time.Time
	conns      map[net.Conn]struct{} // that are counted in report
	closed     chan struct{}
}

// New returns a server with the zero plan.
func New() *Server {
	return &Server{conns: make(map[net.Conn]struct{}), closed: make(chan struct{})}
}

// Serve answers on l until it is closed.
func (s *Server) Serve(l net.Listener) error {
	defer close(s.closed)
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go s.serve(conn)
	}
}

const controlPath = "/receiver/"

func (s *Server) serve(conn net.Conn) {
	defer s.forget(conn)
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	var r request
	var out []byte
	for {
		if err := r.read(in, conn); err != nil {
			if s.began(in) {
				s.malformed()
			}
			return
		}
		if strings.HasPrefix(r.path, controlPath) {
			out = appendResponse(out[:0], http.StatusOK, "", s.control(&r))
			if _, err := conn.Write(out); err != nil {
				return
			}
			continue
		}
		v, plan := s.arrive(conn)
		switch {
		case v.reset:
			breakConnection(conn)
			return
		case v.hang:
			s.hang(conn)
			return
		}
		if v.status == http.StatusOK {
			s.count(&r, plan)
		}
		if plan.Delay > 0 {
			time.Sleep(plan.Delay)
		}
		if v.lose {
			breakConnection(conn)
			return
		}
		s.answered(v.status, plan)
		out = appendAnswer(out[:0], v.status, plan.RetryAfter)
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// began tells whether a request that could not be read was more than the end of the
// connection.
func (s *Server) began(in *bufio.Reader) bool { return in.Buffered() > 0 }

func (s *Server) malformed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Malformed++
}

// arrive enters a request and decides about it.
func (s *Server) arrive(conn net.Conn) (verdict, *Plan) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.first.IsZero() {
		s.first = now
	}
	if _, known := s.conns[conn]; !known {
		s.conns[conn] = struct{}{}
		s.report.Connections++
	}
	s.report.Requests++
	if now.After(s.pauseFrom) && now.Before(s.pauseUntil) {
		s.report.InsidePause++
	}
	v := s.plan.judge(s.report.Requests, now.Sub(s.first))
	if v.reset || v.lose {
		s.report.Resets++
	}
	plan := s.plan
	return v, &plan
}

// count enters the messages of a request.
func (s *Server) count(r *request, p *Plan) {
	messages, ids := scan(r.body, p.Marker, p.Distinct)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.report.Messages += messages
	s.report.Bytes += int64(len(r.wire))
	if r.zipped {
		s.report.Zipped++
	}
	s.ids = append(s.ids, ids...)
}

const onTheirWay = 20 * time.Millisecond

// answered notes that a pause begins.
func (s *Server) answered(status int, p *Plan) {
	if status == http.StatusOK || p.RetryAfter == "" {
		return
	}
	pause, err := time.ParseDuration(p.RetryAfter + "s")
	if err != nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.After(s.pauseUntil) {
		s.pauseFrom = now.Add(onTheirWay)
	}
	s.pauseUntil = now.Add(pause)
}

// hang waits until the client gives up.
func (s *Server) hang(conn net.Conn) {
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = conn.Read(make([]byte, 1))
	}()
	select {
	case <-gone:
	case <-s.closed:
	}
}

func (s *Server) forget(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, conn)
}

// scan finds the messages of a body by their ids.
func scan(body []byte, marker string, hash bool) (n int, ids []uint64) {
	if marker == "" {
		return 0, nil
	}
	sep := []byte(marker)
	if bytes.HasPrefix(body, []byte("{"+marker)) {
		body = body[1+len(sep):]
	}
	if !hash {
		return bytes.Count(body, sep), nil
	}
	for {
		i := bytes.Index(body, sep)
		if i < 0 {
			return n, ids
		}
		body = body[i+len(sep):]
		end := max(bytes.IndexByte(body, '"'), 0)
		ids = append(ids, Hash(body[:end]))
		n++
	}
}

// Hash is what stands for an id: FNV-1a.
func Hash[T string | []byte](id T) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h
}

// control answers the parent process.
func (s *Server) control(r *request) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	var answer any
	switch strings.TrimPrefix(r.path, controlPath) {
	case "plan":
		var p Plan
		if err := json.Unmarshal(r.body, &p); err != nil {
			return []byte(err.Error())
		}
		s.plan, s.report, s.ids = p, Report{}, nil
		s.first, s.pauseFrom, s.pauseUntil = time.Time{}, time.Time{}, time.Time{}
		s.conns = make(map[net.Conn]struct{})
	case "heal":
		s.plan = Plan{Marker: s.plan.Marker, Distinct: s.plan.Distinct}
	case "report":
		s.distinct()
		s.report.Distinct = len(s.ids)
		answer = s.report
	case "ids":
		s.distinct()
		answer = s.ids
	}
	b, _ := json.Marshal(answer)
	return b
}

func (s *Server) distinct() {
	slices.Sort(s.ids)
	s.ids = slices.Compact(s.ids)
}

// breakConnection resets instead of closing in good order.
func breakConnection(conn net.Conn) {
	if t, ok := conn.(*net.TCPConn); ok {
		_ = t.SetLinger(0)
	}
	_ = conn.Close()
}
