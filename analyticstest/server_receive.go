package analyticstest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// receive reads, judges and records one request and decides on the answer. An
// error means that the request could not be read to its end.
func (s *Server) receive(r *http.Request) (answer, error) {
	s.mu.Lock()
	rules := s.rules
	s.mu.Unlock()
	if route(r, rules) == tokenPath {
		return s.receiveToken(r, rules)
	}

	s.mu.Lock()
	e := newRequest(r, len(s.records.log)+1, rules)
	s.records.log = append(s.records.log, e)
	reply, scripted := s.script.next()
	respond := s.respond
	s.mu.Unlock()

	c, err := readCall(r, rules)
	s.note(e, r, c, rules, err)
	if err != nil {
		return answer{}, err
	}
	if !scripted && respond != nil {
		seen := s.entry(e)
		reply = respond(&seen)
	}
	if !reply.judges() {
		return reply.answer(e, reply.Status, reportBody(reply.Status, http.StatusText(reply.Status)), rules.now()), nil
	}
	v := s.judge(c, rules)
	s.mu.Lock()
	s.records.keep(e, v, rules)
	s.mu.Unlock()
	if v.status == http.StatusOK && reply.Status != 0 {
		v.status = reply.Status
	}
	return reply.answer(e, v.status, reportBody(v.status, v.message), rules.now()), nil
}

// note records what was read and which duties were neglected.
func (s *Server) note(e *Request, r *http.Request, c *call, rules Rules, failed error) {
	var neglected []string
	var length lengthError
	switch {
	case failed == nil:
		neglected = c.duties(r)
	case errors.As(failed, &length):
		neglected = []string{fmt.Sprintf("Content-Length is %d, the body has %d bytes", length.want, length.got)}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e.WireBytes, e.BodyBytes, e.Messages = c.wire, c.size, len(c.messages)
	if !rules.IDsOnly {
		e.Body = c.data
	}
	for _, what := range neglected {
		s.records.violate(e, what)
	}
	s.records.see(e, c, retryCounted(r.Header))
}

// entry copies a log entry that others may be writing.
func (s *Server) entry(e *Request) Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return *e
}

// hold waits for the time of the answer and notes that it leaves. It fails if
// the client or the server goes away before.
func (s *Server) hold(ctx context.Context, a answer) error {
	if err := wait(ctx, s.closed, a.delay, a.hang); err != nil {
		return err
	}
	if a.reset {
		return errReset
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	a.entry.Status = a.status
	return nil
}

var (
	errReset  = errors.New("analyticstest: scripted reset")
	errClosed = errors.New("analyticstest: server closed")
)

// wait lets d pass, or waits for ever, while client and server are there.
func wait(ctx context.Context, closed <-chan struct{}, d time.Duration, forever bool) error {
	var over <-chan time.Time
	if !forever {
		if d <= 0 {
			return nil
		}
		timer := time.NewTimer(d)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-over:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-closed:
		return errClosed
	}
}
