package sourcetest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

func clientRules() []rule {
	return []rule{
		{
			name:     "full",
			sentence: "While the client's queue is full, a request with a body is answered with 429 or 503 and Retry-After; sent again later, every message gets in, whatever was accepted before.",
			needs:    needMessages | needPost,
			each:     true,
			test:     testFull,
		},
		{
			name:     "closed",
			sentence: "After the client was closed, a request with a body is answered with 503.",
			needs:    needMessages | needPost,
			each:     true,
			test:     testClosed,
		},
	}
}

// filler is part of the messageIds of the events that fill the queue.
const filler = "sourcetest-filler-"

// fill fills a queue that stands still: with large events while they find room, then with
// small ones, at most n. It returns how many of those found room.
func (s *source) fill(n int) int {
	s.sink.hold()
	for i := 0; s.put(i, strings.Repeat("x", 8<<10)) == nil; i++ {
	}
	for i := range n {
		if s.put(i, "") != nil {
			return i
		}
	}
	return n
}

func (s *source) put(i int, pad string) error {
	return s.client.Track(context.Background(), analytics.Track{
		MessageID: filler + strconv.Itoa(i), UserID: "u", Event: "Filled", Properties: map[string]any{"pad": pad},
	})
}

func testFull(t *trial) {
	const plenty = 1 << 20
	all := t.open().fill(plenty)
	for _, room := range []int{0, 1, 2, 4, 8} {
		s := t.open()
		s.fill(all - room)
		a := s.send(t.request(t.req))
		what := fmt.Sprintf("with room for %d small events", room)
		switch {
		case room > 0 && a.err == nil && a.status == t.req.status():
		case a.err != nil || a.status != http.StatusTooManyRequests && a.status != http.StatusServiceUnavailable:
			t.errorf("%s, the answer is %s, want 429 or 503", what, a)
		case !waits(a.header.Get("Retry-After")):
			t.errorf("%s, the answer is %s with Retry-After: %q, want seconds or a date", what, a, a.header.Get("Retry-After"))
		}
		s.sink.release()
		came := idsOf(s.arrived())
		if a = s.send(t.request(t.req)); a.err != nil || a.status != t.req.status() {
			t.errorf("%s before, sent again the answer is %s, want %d", what, a, t.req.status())
		}
		came = append(came, idsOf(s.arrived())...)
		came = slices.DeleteFunc(came, func(id string) bool { return strings.HasPrefix(id, filler) })
		for _, id := range t.req.ids() {
			if !slices.Contains(came, id) {
				t.errorf("%s before, sent again message %s is missing", what, id)
			}
		}
	}
}

// waits tells whether s is a Retry-After.
func waits(s string) bool {
	if n, err := strconv.Atoi(s); err == nil {
		return n > 0
	}
	_, err := http.ParseTime(s)
	return err == nil
}

func testClosed(t *trial) {
	s := t.open()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_ = s.client.Close(ctx)
	if a := s.send(t.request(t.req)); a.err != nil || a.status != http.StatusServiceUnavailable {
		t.errorf("the answer is %s, want 503", a)
	}
}
