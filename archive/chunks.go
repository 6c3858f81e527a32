package archive

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"runtime"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// compressor is a gzip or zstd writer.
type compressor interface {
	io.WriteCloser
	Reset(io.Writer)
}

func newCompressor(ext string) (compressor, error) {
	if strings.HasSuffix(ext, zstdSuffix) {
		return zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	}
	return gzip.NewWriterLevel(nil, gzipLevel)
}

const (
	gzipLevel     = 6
	chunk         = 64 << 10
	parallelBytes = 256 << 10 // of lines, from which on two compressors are worth it
	mostKept      = 4 << 20   // bytes of a buffer that waits for the next batch
)

// packer compresses lines into one member.
type packer struct {
	z    map[string]compressor // by extension
	out  bytes.Buffer
	raw  int64 // bytes of the lines
	text acceptedText
}

// compress makes members of the entries of a part: two at the same time, if there are many
// lines. A member is whole by itself, so files are what they would be otherwise.
func (d *Destination) compress(p *part) ([]*packer, error) {
	n := 0
	for i := range p.entries {
		n += len(p.entries[i].line)
	}
	if n < parallelBytes || len(p.entries) < 2 || runtime.GOMAXPROCS(0) < 2 {
		return d.packers[:1], d.packers[0].pack(p.Ext, p.entries)
	}
	half := len(p.entries) / 2
	second := make(chan error, 1)
	go func() { second <- d.packers[1].pack(p.Ext, p.entries[half:]) }()
	err := d.packers[0].pack(p.Ext, p.entries[:half])
	return d.packers[:], cmp.Or(err, <-second)
}

func (k *packer) pack(ext string, entries []entry) (err error) {
	if k.out.Cap() > mostKept {
		k.out = bytes.Buffer{}
	}
	k.out.Reset()
	z := k.z[ext]
	if z == nil {
		if z, err = newCompressor(ext); err != nil {
			return err
		}
		k.z[ext] = z
	}
	c := newChunks(z, &k.out)
	for i := range entries {
		if err := k.line(c, &entries[i]); err != nil {
			return err
		}
	}
	err = c.close()
	k.raw = c.raw
	return err
}

// line writes an event, with the time at which it was accepted if it does not say when it
// was received.
func (k *packer) line(c *chunks, e *entry) error {
	if e.m.own {
		return c.line(e.line)
	}
	if err := c.room(len(e.line) + spliceBytes + 1); err != nil {
		return err
	}
	c.b = append(append(c.b, e.line[:len(e.line)-1]...), receivedKey...)
	c.b = append(k.text.append(c.b, e.accepted), "\"}\n"...)
	return nil
}

// chunks hands lines to a compressor in large pieces, and what it makes of them to the
// writer behind it, which is faster than one by one.
type chunks struct {
	z   compressor
	out *bufio.Writer
	b   []byte
	raw int64 // bytes of lines that were handed on
}

// newChunks begins a member with a compressor.
func newChunks(z compressor, w io.Writer) *chunks {
	c := &chunks{z: z, out: bufio.NewWriterSize(w, chunk), b: make([]byte, 0, chunk)}
	z.Reset(c.out)
	return c
}

// room sees to it that n bytes fit.
func (c *chunks) room(n int) error {
	if len(c.b)+n <= cap(c.b) || len(c.b) == 0 {
		return nil
	}
	return c.flush()
}

func (c *chunks) flush() error {
	n, err := c.z.Write(c.b)
	c.raw += int64(n)
	c.b = c.b[:0]
	return err
}

func (c *chunks) line(line []byte) error {
	if err := c.room(len(line) + 1); err != nil {
		return err
	}
	c.b = append(append(c.b, line...), '\n')
	return nil
}

// close ends the member.
func (c *chunks) close() error { return errors.Join(c.flush(), c.z.Close(), c.out.Flush()) }
