package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
)

// kept is how many messages a page that is opened later still gets.
const kept = 200

// live is the messages that arrived last, and who waits for more. Watchers come and take;
// nobody waits for them.
type live struct {
	mu      sync.Mutex
	recent  [][]byte
	total   int           // messages so far; the last of recent has this number
	changed chan struct{} // closed at the next change
	closed  bool
}

func newLive() *live { return &live{changed: make(chan struct{})} }

func (l *live) add(message []byte) {
	l.mu.Lock()
	l.recent = append(l.recent, message)
	l.recent = l.recent[max(0, len(l.recent)-kept):]
	l.total++
	l.mu.Unlock()
	l.touch()
}

// touch wakes the watchers.
func (l *live) touch() {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.changed)
	l.changed = make(chan struct{})
}

// close ends the streams.
func (l *live) close() {
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
	l.touch()
}

// since returns the messages behind number n that are still there, the number of the last
// one, and what is closed when there is more. open false: nothing will come any more.
func (l *live) since(n int) (messages [][]byte, last int, changed <-chan struct{}, open bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n < 0 || n > l.total { // of an earlier run
		n = 0
	}
	fresh := min(l.total-n, len(l.recent))
	return l.recent[len(l.recent)-fresh:], l.total, l.changed, !l.closed
}

// stream is the messages and counters as server-sent events. Browsers that lost the
// connection say which message they have last.
func (c *collector) stream(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	n, _ := strconv.Atoi(r.Header.Get("Last-Event-ID"))
	for {
		messages, last, changed, open := c.live.since(n)
		for i, message := range messages {
			fmt.Fprintf(w, "id: %d\nevent: message\ndata: %s\n\n", last-len(messages)+i+1, message)
		}
		n = last
		counted, _ := json.Marshal(c.counters()) // numbers
		fmt.Fprintf(w, "event: counters\ndata: %s\n\n", counted)
		if control.Flush() != nil || !open {
			return
		}
		select {
		case <-changed:
		case <-r.Context().Done():
			return
		}
	}
}
