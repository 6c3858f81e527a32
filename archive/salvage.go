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
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// salvage puts the sound front of a damaged part in its place, under another name, and
// keeps the damaged file for people, who learn of it at once and from the next Rotate or
// Close. sound is false where there is no such front. A process that dies meanwhile finds
// the damaged file under either name.
func (d *Destination) salvage(p *part, why error) (sound bool, err error) {
	aside := filepath.Join(d.dir, p.File+damagedSuffix)
	if err := d.fs.Rename(filepath.Join(d.dir, p.File), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("archive: %w", err)
	}
	where := "it is kept in " + aside
	d.serial++
	front, err := d.copyFront(p, aside, partName(d.serial))
	if errors.Is(err, fs.ErrNotExist) {
		where, err = "it is gone", nil
	}
	if err = cmp.Or(err, d.fs.SyncDir(d.dir)); err != nil {
		return false, fmt.Errorf("archive: %w", err)
	}
	count, lost := p.Count, p.Count-front.count
	tell := d.log.Error
	if lost == 0 {
		tell, where = d.log.Warn, "nothing of it is"
	} else {
		d.aside = append(d.aside, fmt.Errorf("%w; %d of its %d events are lost, %s", why, lost, count, where))
	}
	tell("archive has a damaged unfinished file", "file", p.File, "events", count, "lost", lost, "where", where, "error", why)
	if front.count == 0 {
		return false, nil
	}
	p.File, p.stats = partName(d.serial), nil
	p.Count, p.Bytes, p.RawBytes, p.Sum, p.Lost = front.count, front.bytes, front.rawLen, front.sum, p.Lost+lost
	if err := d.save(); err != nil {
		return false, err
	}
	if lost > 0 {
		return true, nil
	}
	return true, d.removeFile(aside)
}

// copyFront copies the members in front of the damage into a part of their own, if there
// are any.
func (d *Destination) copyFront(p *part, damaged, name string) (extent, error) {
	from, err := d.fs.Open(damaged, false, false)
	if err != nil {
		return extent{}, err
	}
	defer from.Close()
	size, err := from.Size()
	if err != nil {
		return extent{}, err
	}
	front := soundFront(io.NewSectionReader(from, 0, min(size, p.Bytes)), p)
	if front.count == 0 {
		return front, nil
	}
	to, err := d.fs.Open(filepath.Join(d.dir, name), true, true)
	if err != nil {
		return front, err
	}
	sum := crc32.New(castagnoli)
	_, err = io.Copy(io.MultiWriter(io.NewOffsetWriter(to, 0), sum), io.NewSectionReader(from, 0, front.bytes))
	if err == nil {
		err = to.Sync()
	}
	front.sum = sum.Sum32()
	return front, errors.Join(err, to.Close())
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
		if err != nil {
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
