package sourcetest

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
)

func safetyRules() []rule {
	return []rule{
		{
			name:     "secrets",
			sentence: "Neither a log line nor an answer, whether all is well or not, holds a secret or content of a message.",
			each:     true,
			alone:    true,
			test:     testSecrets,
		},
		{
			name:     "panics",
			sentence: "Nobody can make the source panic, and every request has an answer.",
			each:     true,
			test:     testPanics,
		},
	}
}

// oddBodies are none of anybody's.
func oddBodies() []string {
	return []string{
		"", " ", "null", "true", "0", `""`, "[]", "{}", "[null]", `{"batch":null}`, `{"batch":[null,1,"",[],{}]}`,
		strings.Repeat("[", 10_000), strings.Repeat(`{"a":`, 10_000), "\xef\xbb\xbf", "\xff\xfe{\x00}\x00", "\x1f\x8b", "a=b&c=%zz", "--x\r\n",
	}
}

// tries are the request as it is and what goes wrong with it.
func (t *trial) tries() []*request {
	whole := t.request(t.req)
	unsigned := t.request(t.req)
	unsigned.sign = nil
	method := t.request(t.req)
	method.method = http.MethodPut
	half := t.with(t.req, t.req.Body[:len(t.req.Body)/2])
	more := t.with(t.req, append(append([]byte{}, t.req.Body...), t.req.Body...))
	return []*request{whole, unsigned, method, half, more}
}

// capture sends the default logs to the log of the trial until the func is called.
func (t *trial) capture() (restore func()) {
	logger, w, flags := slog.Default(), log.Writer(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(t.log, &slog.HandlerOptions{Level: slog.LevelDebug})))
	return func() {
		slog.SetDefault(logger)
		log.SetOutput(w)
		log.SetFlags(flags)
	}
}

func testSecrets(t *trial) {
	defer t.capture()()
	s := t.open()
	var answers strings.Builder
	send := func() {
		for _, q := range t.tries() {
			a := s.send(q)
			_, _ = fmt.Fprintln(&answers, a.header, string(a.body))
		}
	}
	send()
	s.arrived()
	_ = s.client.Close(context.Background())
	send()
	for i, secret := range t.setup.Secrets {
		if strings.Contains(t.log.String(), secret) {
			t.errorf("Secrets[%d] is in the log", i)
		}
		if strings.Contains(answers.String(), secret) {
			t.errorf("Secrets[%d] is in an answer", i)
		}
	}
	for _, word := range t.content() {
		if strings.Contains(t.log.String(), word) {
			t.errorf("%q, which is content, is in the log", word)
		}
		if strings.Contains(answers.String(), word) {
			t.errorf("%q, which is content, is in an answer", word)
		}
	}
}

// content are the texts of the messages that come from whom they are about.
func (t *trial) content() (words []string) {
	path, _, _ := strings.Cut(t.req.Path, "?")
	var walk func(v any)
	walk = func(v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, inner := range v {
				switch key {
				case "type", "messageId", "timestamp", "originalTimestamp", "sentAt", "receivedAt", "library":
				default:
					walk(inner)
				}
			}
		case []any:
			for _, inner := range v {
				walk(inner)
			}
		case string:
			if len(v) >= 6 && v != Any && !strings.Contains(path, v) {
				words = append(words, v)
			}
		}
	}
	for _, m := range t.req.Messages {
		if v, err := decode(m); err == nil {
			walk(v)
		}
	}
	return words
}

func testPanics(t *trial) {
	s := t.open()
	requests := t.tries()
	for _, body := range oddBodies() {
		requests = append(requests, t.with(t.req, []byte(body)))
	}
	for _, h := range [][2]string{
		{"Content-Type", "a/b; c="}, {"Content-Type", ""}, {"Content-Encoding", "br"}, {"Content-Encoding", "gzip, gzip"}, {"Authorization", "Basic"},
		{"Authorization", "Basic !"}, {"Authorization", "Bearer "}, {"Origin", "null"}, {"X-Forwarded-For", ",,"}, {"Expect", "wonders"},
	} {
		q := t.request(t.req)
		q.header.Set(h[0], h[1])
		requests = append(requests, q)
	}
	path, _, _ := strings.Cut(t.req.Path, "?")
	for _, odd := range []string{"/", "//", "/%00", path + "?%zz", path + "?" + strings.Repeat("a&", 5_000)} {
		q := t.request(t.req)
		q.path = odd
		requests = append(requests, q)
	}
	for _, q := range requests {
		if a := s.send(q); a.err != nil {
			t.errorf("%s %.40s has no answer: %v", q.method, q.path, a.err)
		}
	}
}
