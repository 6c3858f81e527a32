package sourcetest

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"time"
)

func bodyRules() []rule {
	return []rule{
		{
			name:     "body-unreadable",
			sentence: "A body that is not readable as a whole is refused with a status of 400 to 499, and nothing of it gets in.",
			needs:    needMessages | needPost,
			each:     true,
			test:     testUnreadable,
		},
		{
			name:     "body-oversize",
			sentence: "A body without end is refused with 400 or 413, costs bounded memory, and nothing of it gets in.",
			needs:    needMessages | needPost,
			alone:    true,
			test:     testOversize,
		},
		{
			name:     "body-bomb",
			sentence: "A body that compresses well is refused with a status of 400 to 499, costs bounded memory, and nothing of it gets in.",
			needs:    needMessages | needPost,
			alone:    true,
			test:     testBomb,
		},
		{
			name:     "body-slow",
			sentence: "A body that comes a byte at a time does not hold a request for more than 10 minutes, and nothing of it gets in.",
			needs:    needMessages | needPost,
			test:     testSlow,
		},
		{
			name:     "body-broken",
			sentence: "A connection that breaks in the middle of a body brings nothing in, and no panic.",
			needs:    needMessages | needPost,
			each:     true,
			test:     testBroken,
		},
	}
}

func testUnreadable(t *trial) {
	body := t.req.Body
	if !t.req.isJSON() {
		return // any part of it may be a body too
	}
	s := t.open()
	for _, one := range []struct {
		what string
		body []byte
	}{
		{"no body", nil},
		{"half of a body", body[:len(body)/2]},
		{"a body without its last byte", bytes.TrimSpace(body)[:len(bytes.TrimSpace(body))-1]},
		{"a body with more behind it", append(bytes.Clone(body), '}')},
		{"a page of HTML", []byte("<html><body>" + string(body) + "</body></html>")},
	} {
		if a := s.send(t.with(t.req, one.body)); !a.isRefusal() {
			t.errorf("%s is answered with %s, want 400 to 499", one.what, a)
		}
		s.nothing(one.what)
	}
	if t.req.Gzip {
		q := t.request(t.req)
		packed := compress(body)
		q.bytes(packed[:len(packed)-9]) // the end of the data, and all of the check
		if a := s.send(q); !a.isRefusal() {
			t.errorf("a compressed body that is cut off is answered with %s, want 400 to 499", a)
		}
		s.nothing("a compressed body that is cut off")
	}
}

const (
	endless    = 32 << 20
	mostMemory = 16 << 20
)

// spaces are what JSON may have between its parts, as much as one likes.
type spaces struct{}

var block = bytes.Repeat([]byte{' '}, 32<<10)

// Read gives some.
func (spaces) Read(p []byte) (int, error) { return copy(p, block), nil }

// padded is the body with spaces before it.
func padded(body []byte, n int64) io.Reader {
	return io.MultiReader(io.LimitReader(spaces{}, n), bytes.NewReader(body))
}

func testOversize(t *trial) {
	s := t.open()
	for _, chunked := range []bool{false, true} {
		q := t.request(t.req)
		q.header.Del("Content-Encoding")
		q.body, q.size = func() io.Reader { return padded(t.req.Body, endless) }, endless+int64(len(t.req.Body))
		if chunked {
			q.size = -1
		}
		a, most := s.measured(q)
		if a.err != nil || a.status != http.StatusBadRequest && a.status != http.StatusRequestEntityTooLarge {
			t.errorf("a body of 32 MiB is answered with %s, want 400 or 413", a)
		}
		if most > mostMemory {
			t.errorf("a body of 32 MiB costs %d MiB of memory, want at most %d", most>>20, mostMemory>>20)
		}
		s.nothing("a body of 32 MiB")
	}
}

// packedSpaces are many spaces, compressed as well as can be.
var packedSpaces = sync.OnceValue(func() []byte {
	var out bytes.Buffer
	w, _ := gzip.NewWriterLevel(&out, gzip.BestCompression)
	_, _ = io.Copy(w, io.LimitReader(spaces{}, endless))
	_ = w.Close()
	return out.Bytes()
})

func testBomb(t *trial) {
	s := t.open()
	q := t.request(t.req)
	q.header.Set("Content-Encoding", "gzip")
	q.bytes(append(slices.Clip(packedSpaces()), compress(t.req.Body)...)) // gzip of both, one behind the other
	a, most := s.measured(q)
	if !a.isRefusal() {
		t.errorf("a bomb is answered with %s, want 400 to 499", a)
	}
	if most > mostMemory {
		t.errorf("a bomb costs %d MiB of memory, want at most %d", most>>20, mostMemory>>20)
	}
	s.nothing("a bomb")
}

// measured sends a request and returns what was allocated meanwhile. The least of three
// counts: other tests allocate too.
func (s *source) measured(q *request) (a answer, least uint64) {
	for i := range 3 {
		r, err := q.build() // signing may cost what it likes
		if err != nil {
			return answer{err: err}, 0
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		a = s.do(r, false)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; i == 0 || n < least {
			least = n
		}
		if least <= mostMemory {
			break
		}
	}
	return a, least
}

// drip gives a byte each second.
type drip struct{ r io.Reader }

// Read waits for its byte.
func (d drip) Read(p []byte) (int, error) {
	time.Sleep(time.Second)
	return d.r.Read(p[:1])
}

func testSlow(t *trial) {
	const size = 10_000
	s := t.open()
	q := t.request(t.req)
	q.header.Del("Content-Encoding")
	q.body, q.size = func() io.Reader { return drip{padded(t.req.Body, size)} }, size+int64(len(t.req.Body))
	if sign := q.sign; sign != nil {
		q.sign = func(r *http.Request) {
			slow := r.GetBody
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(padded(t.req.Body, size)), nil }
			sign(r)
			r.GetBody = slow
		}
	}
	a := s.send(q)
	if errors.Is(a.err, errSlow) {
		t.errorf("there is no answer, and the connection stays open")
	}
	if a.err == nil && a.status < 400 {
		t.errorf("a body that never came is answered with %s", a)
	}
	s.nothing("a slow body")
}

// errBroken ends a body early.
var errBroken = errors.New("the connection broke")

type failing struct{}

// Read fails.
func (failing) Read([]byte) (int, error) { return 0, errBroken }

func testBroken(t *trial) {
	s := t.open()
	for _, chunked := range []bool{false, true} {
		q := t.request(t.req)
		whole, _ := io.ReadAll(q.body())
		part := whole[:len(whole)-1]
		q.body = func() io.Reader { return io.MultiReader(bytes.NewReader(part), failing{}) }
		q.broken = true
		if chunked {
			q.size = -1
		}
		if sign := q.sign; sign != nil {
			q.sign = func(r *http.Request) {
				r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(whole)), nil }
				sign(r)
			}
		}
		s.send(q)
		s.nothing("a connection that broke")
	}
}
