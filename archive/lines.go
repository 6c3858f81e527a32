package archive

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// lines reads the lines of a compressed file with bounded memory, whatever the file is.
type lines struct {
	r     *bufio.Reader
	close func()
	long  []byte // a line that is longer than the buffer of r
	n     int64  // lines so far
	bytes int64  // of them, without compression
}

var (
	errLongLine = errors.New("a line is longer than 1 MiB")
	errTornLine = errors.New("the last line is not ended")
	errNoEvent  = errors.New("it is no event: one JSON object with a messageId")
)

// ErrDamaged is an error that says that a file or a manifest is damaged or missing. The
// others may be sound.
var ErrDamaged = errors.New("archive: damaged")

// fault is something that is wrong with a file or a manifest. It holds no content.
type fault struct {
	key   string
	cause error
}

func (f *fault) Error() string { return "archive: " + f.key + ": " + f.cause.Error() }
func (f *fault) Unwrap() error { return f.cause }

// Is tells that it is [ErrDamaged].
func (f *fault) Is(target error) bool { return target == ErrDamaged }

// watched knows how much was read, and whether that has failed other than by the end.
type watched struct {
	r   io.Reader
	n   int64
	err error
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.n += int64(n)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

const mostWindow = 64 << 20 // of zstd, bytes

// readLines reads what is compressed as the key says.
func readLines(r io.Reader, key string) (*lines, error) {
	if strings.HasSuffix(key, zstdSuffix) {
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(mostWindow))
		if err != nil {
			return nil, fmt.Errorf("it is no zstd: %w", err)
		}
		return &lines{r: bufio.NewReaderSize(z, chunk), close: z.Close}, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("it is no gzip: %w", err)
	}
	return &lines{r: bufio.NewReaderSize(z, chunk), close: func() {}}, nil
}

// fault says that the newest line is wrong.
func (l *lines) fault(err error) error { return fmt.Errorf("line %d: %w", l.n, err) }

// next returns the next line without its line break, valid until the next call; io.EOF
// behind the last one.
func (l *lines) next() ([]byte, error) {
	l.long = l.long[:0]
	for {
		b, err := l.r.ReadSlice('\n')
		if len(l.long)+len(b) > maxLine {
			return nil, fmt.Errorf("line %d: %w", l.n+1, errLongLine)
		}
		switch {
		case err == nil:
			if len(l.long) > 0 {
				l.long = append(l.long, b...)
				b = l.long
			}
			l.n++
			l.bytes += int64(len(b))
			return b[:len(b)-1], nil
		case errors.Is(err, bufio.ErrBufferFull):
			l.long = append(l.long, b...)
		case err == io.EOF && len(b)+len(l.long) > 0:
			return nil, fmt.Errorf("line %d: %w", l.n+1, errTornLine)
		case err == io.EOF:
			return nil, io.EOF
		default:
			return nil, fmt.Errorf("it cannot be decompressed behind line %d: %w", l.n, err)
		}
	}
}
