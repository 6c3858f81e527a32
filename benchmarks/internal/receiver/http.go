package receiver

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"strconv"

	"github.com/klauspost/compress/gzip"
)

const (
	maxHead = 64 << 10
	maxBody = 64 << 20
)

// request is one request, read whole. It is reused for the next on its connection.
type request struct {
	method, path string
	zipped       bool
	body         []byte // as sent, decompressed if it was zipped

	wire     []byte
	unzipper *gzip.Reader
}

// read reads the next request: as much of HTTP/1.1 as clients of an API send. The
// standard server does more, for ten times the time.
func (r *request) read(in *bufio.Reader, out io.Writer) error {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return err
	}
	method, rest, _ := bytes.Cut(line, []byte(" "))
	path, _, ok := bytes.Cut(rest, []byte(" HTTP/1.1"))
	if !ok {
		return fmt.Errorf("not a request: %q", line)
	}
	r.method, r.path = string(method), string(path)
	h, err := readHead(in)
	if err != nil {
		return err
	}
	if h.expects {
		if _, err := io.WriteString(out, "HTTP/1.1 100 Continue\r\n\r\n"); err != nil {
			return err
		}
	}
	if err := r.readBody(in, h); err != nil {
		return err
	}
	r.zipped, r.body = h.zipped, r.wire
	if h.zipped {
		return r.unzip()
	}
	return nil
}

type head struct {
	length                   int
	chunked, zipped, expects bool
}

func readHead(in *bufio.Reader) (h head, err error) {
	for size := 0; ; {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		if size += len(line); size > maxHead {
			return h, errors.New("header is too long")
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			return h, nil
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if h.length, err = strconv.Atoi(string(value)); err != nil || h.length < 0 || h.length > maxBody {
				return h, fmt.Errorf("content length %q", value)
			}
		case bytes.EqualFold(name, []byte("Transfer-Encoding")):
			h.chunked = bytes.EqualFold(value, []byte("chunked"))
		case bytes.EqualFold(name, []byte("Content-Encoding")):
			h.zipped = bytes.EqualFold(value, []byte("gzip"))
		case bytes.EqualFold(name, []byte("Expect")):
			h.expects = true
		}
	}
}

func (r *request) readBody(in *bufio.Reader, h head) (err error) {
	if !h.chunked {
		r.wire = grow(r.wire, h.length)
		_, err = io.ReadFull(in, r.wire)
		return err
	}
	body := bytes.NewBuffer(r.wire[:0])
	if _, err = body.ReadFrom(io.LimitReader(httputil.NewChunkedReader(in), maxBody)); err != nil {
		return err
	}
	r.wire = body.Bytes()
	_, err = readHead(in) // trailer
	return err
}

func grow(b []byte, n int) []byte {
	if cap(b) < n {
		return make([]byte, n)
	}
	return b[:n]
}

func (r *request) unzip() (err error) {
	in := bytes.NewReader(r.wire)
	if r.unzipper == nil {
		r.unzipper, err = gzip.NewReader(in)
	} else {
		err = r.unzipper.Reset(in)
	}
	if err != nil {
		return err
	}
	body := bytes.NewBuffer(make([]byte, 0, 8*len(r.wire)))
	_, err = body.ReadFrom(io.LimitReader(r.unzipper, maxBody))
	r.body = body.Bytes()
	return err
}

// appendAnswer appends an answer. Its body is in the shape of the Tracking API, with
// the code that amplitude-go looks for.
func appendAnswer(b []byte, status int, retryAfter string) []byte {
	body := fmt.Sprintf(`{"success":%t,"code":%d}`, status == http.StatusOK, status)
	if status != http.StatusOK && retryAfter != "" {
		retryAfter = "Retry-After: " + retryAfter + "\r\n"
	} else {
		retryAfter = ""
	}
	return appendResponse(b, status, retryAfter, body)
}

func appendResponse[T string | []byte](b []byte, status int, header string, body T) []byte {
	b = fmt.Appendf(b, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n%s\r\n", status, http.StatusText(status), len(body), header)
	return append(b, body...)
}
