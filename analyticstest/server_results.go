package analyticstest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
)

// Requests is the number of requests that arrived, whatever came of them. The
// token endpoint is not counted; see [Server.TokenRequests].
func (s *Server) Requests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records.log)
}

// Log returns all requests in order of arrival, without those for tokens.
func (s *Server) Log() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copyLog(s.records.log)
}

// TokenRequests is the number of requests to the token endpoint.
func (s *Server) TokenRequests() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.records.tokenLog)
}

// TokenLog returns the requests to the token endpoint in order of arrival.
func (s *Server) TokenLog() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return copyLog(s.records.tokenLog)
}

func copyLog(log []*Request) []Request {
	all := make([]Request, len(log))
	for i, e := range log {
		all[i] = *e
	}
	return all
}

// Messages returns the accepted messages in order of arrival, each exactly as
// received: the batch's context and integrations are not merged in, duplicates
// are not removed. Empty with Rules.IDsOnly. Do not change the bytes.
func (s *Server) Messages() []json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records.messages)
}

// Decoded is [Server.Messages] decoded, with numbers as [json.Number].
func (s *Server) Decoded() []map[string]any {
	raw := s.Messages()
	all := make([]map[string]any, len(raw))
	for i, m := range raw {
		d := json.NewDecoder(bytes.NewReader(m))
		d.UseNumber()
		if err := d.Decode(&all[i]); err != nil {
			panic(fmt.Sprintf("analyticstest: accepted message does not decode: %v", err))
		}
	}
	return all
}

// Accepted is the number of accepted messages, duplicates included.
func (s *Server) Accepted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records.accepted
}

// Unique is the number of accepted messages without duplicates. A message that
// came without a messageId is never a duplicate: the API gives it one.
func (s *Server) Unique() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records.accepted - s.records.duplicates
}

// Duplicates is the number of messages accepted although one with the same
// messageId had been accepted before. The real API drops them quietly.
func (s *Server) Duplicates() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.records.duplicates
}

// Copies is how often a message with this id was accepted.
func (s *Server) Copies(messageID string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.records.copies[hashID(messageID)])
}

// Rejected returns the messages that were rejected behind a 200.
func (s *Server) Rejected() []Rejection {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.records.rejected)
}

// Violations lists what requests did that a well-behaved client library does
// not, each line naming its request. The list is cut off after a thousand.
func (s *Server) Violations() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := slices.Clone(s.records.violations)
	if s.records.unlisted > 0 {
		v = append(v, fmt.Sprintf("and %d more", s.records.unlisted))
	}
	return v
}

// Reset forgets everything recorded, the ids seen included, so a retry that
// arrives after it looks like a first try. Rules, scripts and tokens stay.
func (s *Server) Reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.records.reset()
}
