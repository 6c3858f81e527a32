package sourcetest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

func routeRules() []rule {
	return []rule{
		{
			name:     "route-unknown",
			sentence: "A path that is none of the source's is answered with 404, and nothing gets in.",
			each:     true,
			test:     testUnknown,
		},
		{
			name:     "route-method",
			sentence: "Another method on a path of the source is answered with 405 and an Allow that names the right one, and nothing gets in.",
			each:     true,
			test:     testMethod,
		},
		{
			name:     "route-redirect",
			sentence: "A POST is never redirected: many clients would come back with a GET and without their body.",
			needs:    needPost,
			each:     true,
			test:     testRedirect,
		},
		{
			name:     "signature",
			sentence: "Without its signature, with a wrong one or with that of another body, a request is refused with 400, 401 or 403, and nothing gets in.",
			needs:    needSign | needMessages,
			each:     true,
			test:     testSignature,
		},
	}
}

// String is the answer in a sentence.
func (a answer) String() string {
	if a.err != nil {
		return fmt.Sprintf("none (%v)", a.err)
	}
	return fmt.Sprint(a.status)
}

func (a answer) isRefusal() bool { return a.err == nil && a.status >= 400 && a.status < 500 }

func testUnknown(t *trial) {
	s := t.open()
	path, query, _ := strings.Cut(t.req.Path, "?")
	paths := []string{"/sourcetest-knows-no-such-path"}
	if t.req.method() == http.MethodPost {
		paths = append(paths, strings.TrimSuffix(path, "/")+"/sourcetest")
	}
	for _, path := range paths {
		q := t.request(t.req)
		q.path = path
		if query != "" {
			q.path += "?" + query
		}
		if a := s.send(q); a.err != nil || a.status != http.StatusNotFound {
			t.errorf("%s is answered with %s, want 404", path, a)
		}
		s.nothing(path)
	}
}

func testMethod(t *trial) {
	s := t.open()
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		if t.servesToo(method) {
			continue
		}
		q := t.request(t.req)
		q.method = method
		a := s.send(q)
		if a.err != nil || a.status != http.StatusMethodNotAllowed {
			t.errorf("%s is answered with %s, want 405", method, a)
			continue
		}
		allowed := strings.FieldsFunc(strings.Join(a.header.Values("Allow"), ","), func(r rune) bool { return r == ',' || r == ' ' })
		if !slices.Contains(allowed, t.req.method()) || slices.Contains(allowed, method) {
			t.errorf("%s is answered with Allow: %s, want it with %s", method, strings.Join(allowed, ", "), t.req.method())
		}
		s.nothing(method)
	}
}

// servesToo tells whether a request with that method is recorded for the path.
func (t *trial) servesToo(method string) bool {
	path, _, _ := strings.Cut(t.req.Path, "?")
	return slices.ContainsFunc(t.setup.Requests, func(r Recorded) bool {
		other, _, _ := strings.Cut(r.Path, "?")
		return other == path && r.method() == method
	})
}

func testRedirect(t *trial) {
	s := t.open()
	path, query, _ := strings.Cut(t.req.Path, "?")
	for _, path := range []string{path, path + "/", "/" + path, "/." + path, "/x/.." + path} {
		q := t.request(t.req)
		q.path = path
		if query != "" {
			q.path += "?" + query
		}
		a := s.send(q)
		if a.err != nil {
			t.errorf("%s has no answer: %v", path, a.err)
		} else if a.status >= 300 && a.status < 400 || a.header.Get("Location") != "" {
			t.errorf("%s is answered with %s and Location: %s", path, a, a.header.Get("Location"))
		}
	}
}

func testSignature(t *trial) {
	s := t.open()
	unsigned := t.request(t.req)
	unsigned.sign = nil
	t.refuses(s, "unsigned", unsigned)

	other := t.request(t.req)
	other.sign = func(r *http.Request) {
		body := append([]byte(" "), t.req.Body...)
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		t.setup.Sign(r)
	}
	t.refuses(s, "with the signature of another body", other)

	wrong := t.request(t.req)
	wrong.sign = func(r *http.Request) {
		before := r.Header.Clone()
		t.setup.Sign(r)
		for name, values := range r.Header {
			if !slices.Equal(before[name], values) {
				r.Header[name] = []string{flip(values[0])}
			}
		}
	}
	t.refuses(s, "with a wrong signature", wrong)
}

// flip changes the last letter or digit.
func flip(s string) string {
	b := []byte(s)
	for i := len(b) - 1; i >= 0; i-- {
		switch {
		case b[i] == '0':
			b[i] = '1'
			return string(b)
		case b[i] >= '1' && b[i] <= '9', b[i] >= 'a' && b[i] <= 'z', b[i] >= 'A' && b[i] <= 'Z':
			b[i] = '0'
			return string(b)
		}
	}
	return s + "0"
}

func (t *trial) refuses(s *source, what string, q *request) {
	switch a := s.send(q); {
	case a.err != nil:
		t.errorf("%s, the request has no answer: %v", what, a.err)
	case a.status != http.StatusBadRequest && a.status != http.StatusUnauthorized && a.status != http.StatusForbidden:
		t.errorf("%s, the answer is %s, want 400, 401 or 403", what, a)
	}
	s.nothing(what)
}
