package trackingapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/gzip"
)

// What can be wrong with a body. The texts are answers.
var (
	errTooLarge  = errors.New("the body is too large")
	errEncoding  = errors.New("the content encoding is not supported; gzip is")
	errGzip      = errors.New("the body is not gzip")
	errSlow      = errors.New("the body did not come in time")
	errBroken    = errors.New("the body ended early")
	errEmptyBody = errors.New("the body is empty")
	errNoList    = errors.New("batch is not a list")
	errShared    = errors.New("context, integrations or times of the batch cannot be read")
	errTooMany   = errors.New("more messages than a request may have")
)

// bodies are for reading into. Those that grew large are kept, since their size is
// bounded by Limits.BodyBytes, and the garbage collector takes what is not used.
var bodies = sync.Pool{New: func() any { return new(bytes.Buffer) }}

var gzipReaders sync.Pool

// firstGrow is as much room as is made before anything has come, in bytes.
const firstGrow = 64 << 10

// readBody reads the body in plain, at most so many bytes before and after
// decompression. The buffer goes back by release.
func (c *exchange) readBody(most int) (body *bytes.Buffer, err error) {
	if c.r.ContentLength > int64(most) {
		return nil, errTooLarge
	}
	// Not every server can: then its own time-outs hold.
	control := http.NewResponseController(c.w)
	_ = control.SetReadDeadline(time.Now().Add(c.h.limits.ReadTimeout))
	defer func() { _ = control.SetReadDeadline(time.Time{}) }()

	body = bodies.Get().(*bytes.Buffer)
	body.Reset()
	if n := c.r.ContentLength; n > 0 {
		body.Grow(min(int(n), firstGrow) + bytes.MinRead) // what is declared need not come
	}
	counted := &limited{r: c.r.Body, left: most}
	switch strings.ToLower(c.r.Header.Get("Content-Encoding")) {
	case "", "identity":
		_, err = body.ReadFrom(counted)
	case "gzip", "x-gzip":
		err = gunzip(body, counted, most)
	default:
		err = errEncoding
	}
	c.h.metrics.bytes.Add(uint64(most - max(counted.left, 0)))
	if err != nil {
		release(body)
		return nil, plainly(err)
	}
	return body, nil
}

func release(b *bytes.Buffer) { bodies.Put(b) }

func gunzip(to *bytes.Buffer, from io.Reader, most int) (err error) {
	zr, _ := gzipReaders.Get().(*gzip.Reader)
	if zr == nil {
		zr = new(gzip.Reader)
	}
	defer gzipReaders.Put(zr)
	if err = zr.Reset(from); err == nil {
		_, err = to.ReadFrom(&limited{r: zr, left: most})
	}
	if err != nil && !errors.Is(err, errTooLarge) && !errors.Is(err, os.ErrDeadlineExceeded) {
		return errGzip
	}
	return err
}

// limited fails behind so many bytes, where an io.LimitedReader would end.
type limited struct {
	r    io.Reader
	left int
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left < 0 {
		return 0, errTooLarge
	}
	if len(p) > l.left+1 {
		p = p[:l.left+1]
	}
	n, err := l.r.Read(p)
	if l.left -= n; l.left < 0 {
		return n, errTooLarge
	}
	return n, err
}

// steady gives each read of a long body its time, and counts.
type steady struct {
	r       io.Reader
	control *http.ResponseController
	within  time.Duration
	count   *atomic.Uint64
}

func (s *steady) Read(p []byte) (int, error) {
	_ = s.control.SetReadDeadline(time.Now().Add(s.within)) // not every server can
	n, err := s.r.Read(p)
	s.count.Add(uint64(n))
	return n, err
}

// plainly is an error of reading as one of ours, which can be shown.
func plainly(err error) error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &tooLarge):
		return errTooLarge
	case errors.Is(err, errEncoding), errors.Is(err, errGzip):
		return err
	case errors.Is(err, os.ErrDeadlineExceeded):
		return errSlow
	}
	return errBroken
}

// refuseBody answers a body that could not be read. What is left of it is not: the
// connection ends, so that no bytes of it are taken for another request.
func (c *exchange) refuseBody(err error) {
	c.w.Header().Set("Connection", "close")
	if errors.Is(err, errSlow) {
		c.refuse(http.StatusRequestTimeout, CodeBadRequest, err.Error())
		return
	}
	c.refuse(http.StatusBadRequest, CodeBadRequest, err.Error())
}
