package archive

import (
	"bufio"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/tributary-dev/analytics/internal/wal"
)

// salvage makes a damaged part what is sound in front of the damage, and keeps the damaged
// file for people, who learn of it at once and from the next Rotate or Close. sound is
// false where nothing is. A process that dies meanwhile leaves the file under one of two
// names, both of which are in the note.
func (d *Destination) salvage(p *part, why error) (sound bool, err error) {
	front, err := d.soundFrontOf(p, p.File)
	if err == nil && front.count == p.Count && front.rawLen == p.RawBytes { // what was changed says nothing of the events
		d.log.Warn("archive has a damaged unfinished file, of which all can be read", "file", p.File, "events", p.Count, "error", why)
		p.stats, p.Bytes, p.Sum = nil, front.bytes, front.sum
		return true, d.save()
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("archive: %w", err)
	}
	if err := d.putAside(p); err != nil {
		return false, fmt.Errorf("%w, since %w", err, why)
	}
	where := "kept in " + filepath.Join(d.dir, p.Aside)
	front, err = d.soundFrontOf(p, p.Aside)
	if errors.Is(err, fs.ErrNotExist) {
		where, err = "gone", nil
	}
	if err != nil {
		return false, fmt.Errorf("archive: %w, since %w", err, why)
	}
	count, lost := p.Count, p.Count-front.count
	d.log.Error("archive has a damaged unfinished file", "file", p.File, "events", count, "lost", lost, "where", where, "error", why)
	d.aside = append(d.aside, fmt.Errorf("%w; %d of its %d events are lost, it is %s", why, lost, count, where))
	if front.count == 0 {
		return false, nil
	}
	p.stats, p.Count, p.Bytes, p.RawBytes, p.Sum, p.Lost = nil, front.count, front.bytes, front.rawLen, front.sum, p.Lost+lost
	return true, d.save()
}

// putAside gives a damaged file another name. The next process finds the name in the note,
// and nothing else that was put aside has it.
func (d *Destination) putAside(p *part) error {
	if p.Aside == "" {
		names, err := d.fs.ReadDir(d.dir)
		if err != nil {
			return fmt.Errorf("archive: %w", err)
		}
		p.Aside, d.unsure = p.File+damagedSuffix, true
		for slices.Contains(names, p.Aside) {
			d.serial++
			p.Aside = partName(d.serial) + damagedSuffix
		}
	}
	if err := d.assure(); err != nil {
		return err
	}
	err := d.fs.Rename(filepath.Join(d.dir, p.File), filepath.Join(d.dir, p.Aside))
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	if err = cmp.Or(err, d.fs.SyncDir(d.dir)); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// openPart opens the file of a part, under either of its names.
func (d *Destination) openPart(p *part) (wal.File, error) {
	if p.Aside != "" {
		file, err := d.fs.Open(filepath.Join(d.dir, p.Aside), false, false)
		if !errors.Is(err, fs.ErrNotExist) {
			return file, err
		}
	}
	return d.fs.Open(filepath.Join(d.dir, p.File), false, false)
}

// soundFrontOf measures what is sound in a file of a part.
func (d *Destination) soundFrontOf(p *part, name string) (front extent, err error) {
	from, err := d.fs.Open(filepath.Join(d.dir, name), false, false)
	if err != nil {
		return front, err
	}
	defer from.Close()
	size, err := from.Size()
	if err != nil {
		return front, err
	}
	disk := &watchedAt{r: from}
	front = soundFront(io.NewSectionReader(disk, 0, min(size, p.Bytes)), p)
	if disk.err != nil { // which says nothing of what is there
		return front, disk.err
	}
	sum := crc32.New(castagnoli)
	_, err = io.Copy(sum, io.NewSectionReader(from, 0, front.bytes))
	front.sum = sum.Sum32()
	return front, err
}

// watchedAt knows whether reading has failed other than by the end.
type watchedAt struct {
	r   io.ReaderAt
	err error
}

func (w *watchedAt) ReadAt(p []byte, at int64) (int, error) {
	n, err := w.r.ReadAt(p, at)
	if err != nil && err != io.EOF {
		w.err = err
	}
	return n, err
}

// soundFront measures the members up to the first that is damaged.
func soundFront(r *io.SectionReader, p *part) (front extent) {
	for front.bytes < r.Size() {
		m, err := readMember(r, front.bytes, p.Ext)
		if err != nil {
			return front
		}
		err = m.drain(p.RawBytes - front.rawLen)
		m.lines.close()
		if err != nil || front.count+m.lines.n > p.Count { // or of another file
			return front
		}
		front.count += m.lines.n
		front.rawLen += m.lines.bytes
		front.bytes += m.size()
	}
	return front
}

// member is one gzip member or zstd frame of a file.
type member struct {
	lines *lines
	size  func() int64 // bytes, once it is read
}

// readMember reads the one that begins at a place.
func readMember(r *io.SectionReader, at int64, ext string) (*member, error) {
	if strings.HasSuffix(ext, zstdSuffix) {
		size, err := frameSize(r, at)
		if err != nil {
			return nil, err
		}
		lines, err := readLines(io.NewSectionReader(r, at, size), ext)
		return &member{lines, func() int64 { return size }}, err
	}
	from := &watched{r: io.NewSectionReader(r, at, r.Size()-at)}
	buffer := bufio.NewReader(from) // of which gzip takes no byte too many
	z, err := gzip.NewReader(buffer)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	lines := &lines{r: bufio.NewReaderSize(z, chunk), close: func() {}}
	return &member{lines, func() int64 { return from.n - int64(buffer.Buffered()) }}, nil
}

// drain reads all lines, which have to be events and at most so many bytes. The checksum
// of the member is behind the last.
func (m *member) drain(most int64) error {
	for {
		line, err := m.lines.next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, ok := parseLine(line); !ok || m.lines.bytes > most {
			return errNoEvent
		}
	}
}

// frameSize is the length of a zstd frame: header, blocks, checksum (RFC 8878, 3.1.1).
func frameSize(r io.ReaderAt, at int64) (int64, error) {
	const blockHead, checksum = 3, 4
	head := make([]byte, zstd.HeaderMaxSize)
	n, err := r.ReadAt(head, at)
	if err != nil && err != io.EOF {
		return 0, err
	}
	var h zstd.Header
	if err := h.Decode(head[:n]); err != nil {
		return 0, err
	}
	if h.Skippable { // nothing that was written here
		return 0, errNoEvent
	}
	size := int64(h.HeaderSize)
	for last := false; !last; {
		var b [4]byte
		if _, err := r.ReadAt(b[:blockHead], at+size); err != nil {
			return 0, err
		}
		block := binary.LittleEndian.Uint32(b[:])
		last = block&1 == 1
		size += blockHead
		if block>>1&3 == 1 { // one byte, repeated
			size++
		} else {
			size += int64(block >> 3)
		}
	}
	if h.HasCheckSum {
		size += checksum
	}
	return size, nil
}
