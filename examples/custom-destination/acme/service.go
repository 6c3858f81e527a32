package acme

import (
	"encoding/json"
	"net/http"
	"slices"
	"sync"
)

// Service stands for Acme itself, in the program of this example and in tests. Its
// zero value takes any key.
type Service struct {
	Key string // the only one that is taken, if not empty

	mu     sync.Mutex
	events []Received
	seen   map[string]bool
}

// Received is an event as the service got it.
type Received struct {
	ID   string          `json:"id"`
	Kind string          `json:"kind"`
	User string          `json:"user"`
	Name string          `json:"name"`
	At   int64           `json:"at"`
	Data json.RawMessage `json:"data"`
}

// Events returns what has arrived, each id once.
func (s *Service) Events() []Received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.events)
}

// ServeHTTP answers POST /v2/events.
func (s *Service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost || r.URL.Path != path {
		http.NotFound(w, r)
		return
	}
	if key := r.Header.Get("X-Acme-Key"); key == "" || s.Key != "" && key != s.Key {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var body struct{ Events []Received }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || len(body.Events) > 50 {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	type fault struct {
		Index int    `json:"index"`
		Code  string `json:"code"`
	}
	var faults []fault
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.seen == nil {
		s.seen = make(map[string]bool)
	}
	for i, e := range body.Events {
		switch {
		case e.ID == "" || e.User == "" || e.Kind == "action" && e.Name == "":
			faults = append(faults, fault{i, "invalid"})
		case e.Name == "Forbidden": // Acme has its reasons
			faults = append(faults, fault{i, "forbidden_name"})
		case !s.seen[e.ID]:
			s.seen[e.ID] = true
			s.events = append(s.events, e)
		}
	}
	if len(faults) > 0 {
		w.WriteHeader(http.StatusMultiStatus)
		_ = json.NewEncoder(w).Encode(map[string]any{"errors": faults})
	}
}
