package webhook_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strings"
	"sync"
	"unicode/utf8"
)

// fake plays a receiver. Any endpoint may be one, so the rules that it checks are those
// that the package promises to receivers.
type fake struct {
	method  string            // empty: POST
	url     string            // empty: hookURL
	secret  string            // empty: no signature is expected
	headers map[string]string // fixed ones
	batch   bool              // bodies are lists
	most    int               // largest body that is taken, in bytes; zero: any

	refuse map[string]refusal // messageId to what a batch's answer says of it, once
	poison map[string]bool    // messageIds that make the whole request a 400

	mu         sync.Mutex
	queue      []answer
	violations []string
	accepted   []string // messageIds in the order of arrival
	keys       []string // the Idempotency-Key of each request
	taken      map[string]bool
	duplicates int // requests whose Idempotency-Key was accepted before
}

// refusal is an entry of the errors that a receiver answers.
type refusal struct {
	message string
	retry   bool
}

type answer struct {
	status int
	header http.Header
	body   string
}

// next makes the receiver answer one of the next requests so, whatever it holds.
func (f *fake) next(status int, header http.Header, body string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = append(f.queue, answer{status, header, body})
}

// ServeHTTP checks the request and answers it.
func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	body, err := io.ReadAll(r.Body)
	f.check(err == nil, "the body cannot be read")
	before := len(f.violations)
	f.checkRequest(r, body)
	ids := f.messages(body)
	f.checkKey(r.Header.Get("Idempotency-Key"), ids)
	a := f.answer(len(f.violations) > before, ids, len(body))
	if a.status < 300 {
		f.take(r.Header.Get("Idempotency-Key"), ids)
	}
	for name, values := range a.header {
		w.Header()[name] = values
	}
	w.WriteHeader(a.status)
	_, _ = io.WriteString(w, a.body)
}

func (f *fake) check(ok bool, format string, args ...any) {
	if !ok {
		f.violations = append(f.violations, fmt.Sprintf(format, args...))
	}
}

func (f *fake) checkRequest(r *http.Request, body []byte) {
	method, url := f.method, f.url
	if method == "" {
		method = http.MethodPost
	}
	if url == "" {
		url = hookURL
	}
	f.check(r.Method == method, "the method is %s", r.Method)
	f.check(r.URL.String() == url, "the address is %s", r.URL)
	// sheet: Request, Content-Type: application/json and the SDK's User-Agent.
	f.check(r.Header.Get("Content-Type") == "application/json", "Content-Type is %q", r.Header.Get("Content-Type"))
	f.check(strings.HasPrefix(r.UserAgent(), "analytics-go/"), "User-Agent is %q", r.UserAgent())
	for name, want := range f.headers {
		f.check(r.Header.Get(name) == want, "header %s is %q", name, r.Header.Get(name))
	}
	f.check(utf8.Valid(body), "the body is not UTF-8")
	// sheet: Request, HTML characters are not escaped.
	for _, escaped := range []string{`\u003c`, `\u003e`, `\u0026`} {
		f.check(!bytes.Contains(body, []byte(escaped)), "the body holds %s", escaped)
	}
	if f.secret == "" {
		f.check(r.Header["X-Signature"] == nil && r.Header["X-Signature-256"] == nil, "a signature without a secret")
	} else {
		f.checkSignature(r.Header, body)
	}
}

// checkSignature recomputes both signatures from the bytes of the JSON that came; with
// gzip, the package says, they are over what is compressed.
// sheet: Request, lower-case hex HMAC-SHA1, and the same with SHA-256.
func (f *fake) checkSignature(h http.Header, body []byte) {
	f.check(h.Get("X-Signature") == sign(sha1.New, f.secret, body), "X-Signature does not fit the body")
	f.check(h.Get("X-Signature-256") == sign(sha256.New, f.secret, body), "X-Signature-256 does not fit the body")
}

func sign(algorithm func() hash.Hash, secret string, body []byte) string {
	mac := hmac.New(algorithm, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// messages returns the ids of the messages in a body.
func (f *fake) messages(body []byte) []string {
	list := []json.RawMessage{body}
	if f.batch {
		list = nil
		f.check(json.Unmarshal(body, &list) == nil && len(list) > 0, "the body is no list with messages")
	}
	ids := make([]string, len(list))
	for i, raw := range list {
		var m map[string]any
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber() // numbers may be larger than any float
		if dec.Decode(&m) != nil || m == nil {
			f.check(false, "message %d is no object", i)
			continue
		}
		ids[i], _ = m["messageId"].(string)
		f.check(ids[i] != "", "message %d has no messageId", i)
		f.checkMessage(i, m)
	}
	return ids
}

// checkMessage checks one message: it is one of the six calls, and what is absent is left
// out. What a caller gave a wrong type stays as it was given.
func (f *fake) checkMessage(i int, m map[string]any) {
	kind, _ := m["type"].(string)
	switch kind {
	case "track", "page", "screen", "identify", "group", "alias":
	default:
		f.check(false, "message %d has type %q", i, kind)
	}
	for _, name := range []string{"userId", "anonymousId", "event", "name", "category", "groupId", "previousId", "timestamp"} {
		f.check(m[name] != "", "message %d has an empty %s", i, name)
	}
}

// checkKey checks the key by which receivers dedupe.
// sheet: Request, the messageId; of a batch the first 32 digits of the SHA-256 in hex
// of the joined messageIds.
func (f *fake) checkKey(key string, ids []string) {
	f.keys = append(f.keys, key)
	if !f.batch {
		id := ids[0]
		plain := strings.IndexFunc(id, func(r rune) bool { return r <= ' ' || r >= 0x7f }) < 0
		f.check(key == id || !plain && key != "", "Idempotency-Key is %q of message %q", key, id)
		return
	}
	_, err := hex.DecodeString(key)
	f.check(err == nil && len(key) == 32 && strings.ToLower(key) == key, "Idempotency-Key is %q", key)
}

// answer decides what the receiver says.
func (f *fake) answer(broken bool, ids []string, size int) answer {
	switch {
	case broken:
		return answer{status: 400, body: `{"message":"invalid"}`}
	case len(f.queue) > 0:
		a := f.queue[0]
		f.queue = f.queue[1:]
		return a
	case f.most > 0 && size > f.most:
		return answer{status: 413}
	}
	var errs []map[string]any
	for i, id := range ids {
		if f.poison[id] {
			return answer{status: 400, body: `{"message":"invalid"}`}
		}
		if x, ok := f.refuse[id]; ok && f.batch {
			errs = append(errs, map[string]any{"index": i, "message": x.message, "retry": x.retry})
		}
	}
	if errs == nil {
		return answer{status: 200, body: "{}"}
	}
	body, _ := json.Marshal(map[string]any{"errors": errs})
	return answer{status: 207, body: string(body)}
}

// take keeps the messages but for those that the answer refuses.
func (f *fake) take(key string, ids []string) {
	if f.taken == nil {
		f.taken = map[string]bool{}
	}
	if f.taken[key] {
		f.duplicates++
	}
	f.taken[key] = true
	for _, id := range ids {
		if x, ok := f.refuse[id]; ok && f.batch {
			if x.retry {
				delete(f.refuse, id)
			}
			continue
		}
		f.accepted = append(f.accepted, id)
	}
}
