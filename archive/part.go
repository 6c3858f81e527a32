package archive

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/tributary-dev/analytics"
)

// part is an unfinished file, as the note has it. What is in its file beyond Bytes was
// never promised, and is overwritten.
type part struct {
	File     string    `json:"file"`
	Prefix   string    `json:"prefix"`
	Folder   string    `json:"folder"` // of the key that it is going to have
	Ext      string    `json:"ext"`
	Layout   Layout    `json:"layout"`
	Source   string    `json:"source"`
	Log      string    `json:"log"`
	Begin    int64     `json:"begin"` // of its period, Unix milliseconds
	Since    time.Time `json:"since"` // when its first event came
	From     uint64    `json:"from"`
	To       uint64    `json:"to"`
	Count    int64     `json:"count"`
	Bytes    int64     `json:"bytes"`
	RawBytes int64     `json:"rawBytes"`
	Sealed   bool      `json:"sealed,omitempty"` // nothing is added any more

	stats   *stats  // nil: of an earlier process, it is read again
	entries []entry // of the batch that is being written
	before  extent
}

// extent is what a batch changes of a part.
type extent struct {
	from, to             uint64
	count, bytes, rawLen int64
}

// partKey finds the part of an event.
type partKey struct{ folder, ext, log string }

// entry is an event of a batch on its way into a part.
type entry struct {
	line     []byte
	m        *meta
	received time.Time // as it stands in the line
	accepted int64
	seq      uint64
	splice   bool // receivedAt is to be added
}

func (p *part) key() string {
	return p.Folder + fileName(p.Log, p.From, p.To) + p.Ext
}

// openKey finds it among those that are written to.
func (p *part) openKey() partKey { return partKey{p.Folder, p.Ext, p.Log} }

func (p *part) end() int64 { return p.Begin + p.Layout.period() }

func (p *part) save() {
	p.before = extent{p.From, p.To, p.Count, p.Bytes, p.RawBytes}
}

func (p *part) undo() {
	p.From, p.To, p.Count, p.Bytes, p.RawBytes = p.before.from, p.before.to, p.before.count, p.before.bytes, p.before.rawLen
	p.drop()
}

// drop forgets the events of the batch: they belong to the log.
func (p *part) drop() {
	clear(p.entries)
	p.entries = p.entries[:0]
}

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
	gzipLevel = 6
	chunk     = 64 << 10
)

// write appends the entries of a batch as one member, which is on the disk when it
// returns.
func (d *Destination) write(p *part) (err error) {
	file, err := d.fs.Open(filepath.Join(d.dir, p.File), true, true)
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer func() {
		if closed := file.Close(); err == nil {
			err = closed
		}
		if err != nil {
			err = fmt.Errorf("archive: write %s: %w", p.File, err)
		}
	}()
	z := d.writers[p.Ext]
	if z == nil {
		if z, err = newCompressor(p.Ext); err != nil {
			return err
		}
		d.writers[p.Ext] = z
	}
	to := &counter{w: io.NewOffsetWriter(file, p.Bytes)}
	out := newChunks(z, to)
	for i := range p.entries {
		if err = d.writeLine(out, &p.entries[i]); err != nil {
			break
		}
	}
	if err = cmp.Or(err, out.close()); err == nil {
		err = file.Sync()
	}
	if err != nil {
		return err
	}
	if p.Count == 0 {
		p.From = p.entries[0].seq
	}
	p.To = p.entries[len(p.entries)-1].seq + 1
	p.Count += int64(len(p.entries))
	p.Bytes += to.n
	p.RawBytes += out.raw
	return nil
}

// writeLine writes an event, with the time at which it was accepted if it does not say
// when it was received.
func (d *Destination) writeLine(w *chunks, e *entry) error {
	if !e.splice {
		return w.line(e.line)
	}
	if err := w.room(len(e.line) + spliceBytes + 1); err != nil {
		return err
	}
	w.b = append(append(w.b, e.line[:len(e.line)-1]...), receivedKey...)
	w.b = append(d.text.append(w.b, e.accepted), "\"}\n"...)
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

// counter counts what goes through it.
type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// commit counts the entries, now that the note has them.
func (p *part) commit() {
	if p.stats != nil {
		for i := range p.entries {
			e := &p.entries[i]
			f := fields{
				call: e.m.call, user: e.m.userID, anonymous: e.m.anonymousID, event: e.m.name,
				timestamp: timestampOf(e.line), received: e.received,
			}
			if f.call == analytics.CallAlias {
				whole, _ := parseLine(e.line)
				f.former = whole.former
			}
			p.stats.add(&f, func(name string) string { return name })
		}
	}
	p.drop()
}
