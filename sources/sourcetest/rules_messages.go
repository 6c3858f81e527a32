package sourcetest

import (
	"encoding/json"
	"slices"
	"sync"
)

func messageRules() []rule {
	return []rule{
		{
			name:     "messages",
			sentence: "A recorded request becomes exactly the messages that it stands for, in their order, and has its answer.",
			each:     true,
			test:     testMessages,
		},
		{
			name:     "again",
			sentence: "A request that is sent again, also after a restart, becomes nothing, or the same messages with the same messageIds.",
			needs:    needMessages,
			each:     true,
			test:     testAgain,
		},
		{
			name:     "concurrent",
			sentence: "Requests may come at the same time, and none loses a message of another. Run the kit with -race.",
			needs:    needMessages,
			test:     testConcurrent,
		},
	}
}

func testMessages(t *trial) {
	s := t.open()
	a := s.send(t.request(t.req))
	if a.err != nil || a.status != t.req.status() {
		t.errorf("the answer is %s, want %d", a, t.req.status())
	}
	got := s.arrived()
	for i := range max(len(got), len(t.req.Messages)) {
		switch {
		case i >= len(got):
			t.errorf("message %d did not come", i)
		case i >= len(t.req.Messages):
			t.errorf("a message too much: %s", got[i])
		default:
			w, _ := decode(t.req.Messages[i])
			g, err := decode(got[i])
			if err != nil {
				t.errorf("message %d is no JSON: %v", i, err)
			} else if d := differs("", w, g); d != "" {
				t.errorf("message %d: %s", i, d)
			}
		}
	}
}

func testAgain(t *trial) {
	s := t.open()
	s.send(t.request(t.req))
	first := idsOf(s.arrived())
	restarted := t.openOver(s.client, s.sink)
	for _, one := range []struct {
		what string
		*source
	}{{"sent again", s}, {"sent again after a restart", restarted}} {
		a := one.send(t.request(t.req))
		if a.err != nil || a.status != t.req.status() {
			t.errorf("%s, the answer is %s, want %d", one.what, a, t.req.status())
		}
		for _, id := range idsOf(one.arrived()) {
			if !slices.Contains(first, id) {
				t.errorf("%s, it becomes a message with another messageId", one.what)
			}
		}
	}
}

func idsOf(messages [][]byte) []string {
	ids := make([]string, len(messages))
	for i, m := range messages {
		ids[i] = idOf(m)
	}
	return ids
}

func testConcurrent(t *trial) {
	const senders = 4
	s := t.open()
	var all sync.WaitGroup
	for range senders {
		for _, r := range t.reqs {
			all.Go(func() {
				if a := s.send(t.request(r)); a.err != nil || a.status != r.status() {
					t.errorf("%s: the answer is %s, want %d", r.Name, a, r.status())
				}
			})
		}
	}
	all.Wait()
	got := s.arrived()
	for _, m := range got {
		if !json.Valid(m) {
			t.errorf("a message is no JSON")
		}
	}
	came := idsOf(got)
	for _, r := range t.reqs {
		for _, id := range r.ids() {
			if !slices.Contains(came, id) {
				t.errorf("%s: message %s did not come", r.Name, id)
			}
		}
	}
}
