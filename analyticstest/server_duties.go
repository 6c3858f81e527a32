package analyticstest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// duties lists what a well-behaved client library would not have done in this
// request, whether or not the API lets it pass: each request names its client,
// carries sentAt once, and every message has its type, messageId and timestamp
// when it leaves the client.
func (c *call) duties(r *http.Request) []string {
	var v []string
	add := func(format string, args ...any) { v = append(v, fmt.Sprintf(format, args...)) }

	if agent := r.Header.Get("User-Agent"); agent == "" || strings.HasPrefix(agent, "Go-http-client/") {
		add("no User-Agent that names the library and its version")
	}
	if n, err := strconv.Atoi(r.Header.Get("X-Retry-Count")); retryCounted(r.Header) && (err != nil || n < 1) {
		add("X-Retry-Count is no positive number")
	}
	if c.basicKey != "" && !c.hasColon {
		add("Basic credentials without the colon")
	}
	if c.basicKey != "" && c.bodyKey != "" && c.basicKey != c.bodyKey {
		add("different write keys in header and body")
	}
	if c.fault != nil {
		add("%s %s: %s", r.Method, r.URL.Path, c.fault.message)
		return v
	}
	if c.noBatch || c.kind == kindBatch && len(c.messages) == 0 {
		add("batch without messages")
	}
	if len(c.messages) > defaultMaxMessages {
		add("batch of %d messages, at most %d", len(c.messages), defaultMaxMessages)
	}
	if problem := badDate(c.top["sentAt"]); problem != "" {
		add("sentAt %s", problem)
	}
	for i, m := range c.messages {
		for _, problem := range m.duties(c.kind) {
			add("message %d: %s", i, problem)
		}
	}
	return v
}

// duties of one message; kind is that of the path.
func (m message) duties(kind string) []string {
	if m.fields == nil {
		return []string{"is no object"}
	}
	var v []string
	typ, _ := text(m.fields["type"])
	switch {
	case typ == "" && kind == kindBatch:
		v = append(v, "no type")
	case typ != "" && typ != kind && kind != kindBatch:
		v = append(v, "type differs from the path")
	}
	switch {
	case m.id == "":
		v = append(v, "no messageId")
	case utf8.RuneCountInString(m.id) > maxMessageID:
		v = append(v, fmt.Sprintf("messageId longer than %d characters", maxMessageID))
	}
	if problem := badDate(m.fields["timestamp"]); problem != "" {
		v = append(v, "timestamp "+problem)
	}
	if len(m.raw) > strictMaxMessage {
		v = append(v, fmt.Sprintf("%d bytes, at most %d", len(m.raw), strictMaxMessage))
	}
	return v
}

// badDate says what is wrong with a required ISO-8601 date, if anything.
func badDate(raw json.RawMessage) string {
	if absent(raw) {
		return "is missing"
	}
	s, ok := text(raw)
	if !ok {
		return "is no string"
	}
	if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
		return "is no ISO-8601 date"
	}
	return ""
}

func retryCounted(h http.Header) bool { return len(h.Values("X-Retry-Count")) > 0 }
