package wal

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// Span is a range of sequence numbers; To is not in it.
type Span struct{ From, To uint64 }

// Place is where a destination stands in a log.
type Place struct {
	Done  uint64 // everything below is finished
	Ahead []Span // finished beyond it: in order, apart from each other
}

// End is the lowest number that lies behind all that is finished.
func (p Place) End() uint64 {
	if n := len(p.Ahead); n > 0 {
		return max(p.Done, p.Ahead[n-1].To)
	}
	return p.Done
}

// CursorFile keeps the place of one destination: two slots, written in turn, so that
// one is always whole. Its methods may be called from any goroutine.
type CursorFile struct {
	mu         sync.Mutex
	file       File
	slots      [2 * cursorSlot]byte
	generation uint64
	dirty      bool // written since the last Sync
	failed     bool // of the last Sync: what it had to write may be gone
}

// A slot has 512 bytes:
//
//	magic u32 | version u16 | ranges u16 | generation u64 | done u64 | ranges × (from u64, to u64) | crc u32 at the end
const (
	cursorMagic  = 0x73727563 // "curs"
	cursorSlot   = 512
	cursorHeader = 24

	// MostAhead is how many ranges ahead of the place are kept.
	MostAhead = 25
)

const cursorSuffix = ".cur"

// mostName is the longest name that a file system takes for sure, less the suffixes.
const mostName = 200

// FileName is the name of the file for a destination, without a suffix. It has nothing
// in it but lower case letters, digits and - _ % ~, as there are file systems that do not
// tell upper case from lower.
func FileName(destination string) string {
	var b strings.Builder
	for i := range len(destination) {
		c := destination[i]
		if 'a' <= c && c <= 'z' && (i > 0 || !slices.Contains(devices, destination)) || '0' <= c && c <= '9' || c == '-' || c == '_' {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02x", c)
		}
	}
	name := b.String()
	if len(name) <= mostName {
		return name
	}
	sum := sha256.Sum256([]byte(destination))
	return name[:mostName-33] + "~" + hex.EncodeToString(sum[:16])
}

// devices are no files on Windows, whatever their suffix.
var devices = strings.Fields("con prn aux nul com0 com1 com2 com3 com4 com5 com6 com7 com8 com9 lpt0 lpt1 lpt2 lpt3 lpt4 lpt5 lpt6 lpt7 lpt8 lpt9")

// destinationOf is the destination in the name of a file. That of a name which was too
// long is not known any more.
func destinationOf(file, suffix string) (name string, ok bool) {
	file, ok = strings.CutSuffix(file, suffix)
	if !ok {
		return "", false
	}
	name, err := url.PathUnescape(file)
	return name, err == nil && name != ""
}

// OpenCursor opens the file of a cursor. found is false if there is none, or none that
// can be read: then damaged is set.
func OpenCursor(fsys FS, name string) (c *CursorFile, p Place, found, damaged bool, err error) {
	f, err := fsys.Open(name, true, true)
	if err != nil {
		return nil, p, false, false, err
	}
	c = &CursorFile{file: f}
	b, err := readFull(f, 0, 2*cursorSlot)
	c.dirty = len(b) > 0 // nobody knows what an earlier process has synced,
	c.failed = c.dirty   // or whether that failed
	if err != nil {
		return nil, p, false, false, cmp.Or(err, f.Close())
	}
	if newerCursor(b) {
		return nil, p, false, false, errors.Join(&fs.PathError{Op: "open", Path: name, Err: ErrVersion}, f.Close())
	}
	copy(c.slots[:], b)
	c.generation, p, found = readCursor(b)
	return c, p, found, !found && len(b) > 0, nil
}

// readCursor returns the newer of the two slots.
func readCursor(b []byte) (generation uint64, p Place, found bool) {
	for len(b) >= cursorSlot {
		if g, place, ok := parseCursor(b[:cursorSlot]); ok && (!found || g > generation) {
			generation, p, found = g, place, true
		}
		b = b[cursorSlot:]
	}
	return generation, p, found
}

// newerCursor tells whether one of the slots was written by a newer version.
func newerCursor(b []byte) bool {
	for ; len(b) >= cursorSlot; b = b[cursorSlot:] {
		if le.Uint32(b) == cursorMagic && le.Uint16(b[4:]) > Version && le.Uint32(b[cursorSlot-4:]) == seeded(0, b[:cursorSlot-4]) {
			return true
		}
	}
	return false
}

func parseCursor(b []byte) (generation uint64, p Place, ok bool) {
	n := int(le.Uint16(b[6:]))
	if le.Uint32(b) != cursorMagic || le.Uint16(b[4:]) > Version || n > MostAhead || le.Uint32(b[cursorSlot-4:]) != seeded(0, b[:cursorSlot-4]) {
		return 0, p, false
	}
	p.Done = le.Uint64(b[16:])
	last := p.Done
	for i := range n {
		s := Span{le.Uint64(b[cursorHeader+16*i:]), le.Uint64(b[cursorHeader+16*i+8:])}
		if s.From < last || s.From >= s.To {
			return 0, Place{}, false
		}
		last = s.To
		p.Ahead = append(p.Ahead, s)
	}
	return le.Uint64(b[8:]), p, true
}

// Write keeps a place. Of more than MostAhead ranges the longest are kept: what is in
// the others will be delivered again.
func (c *CursorFile) Write(p Place) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	off := int(c.generation % 2 * cursorSlot)
	b := c.slots[off : off+cursorSlot]
	clear(b)
	ahead := longest(p.Ahead, MostAhead)
	le.PutUint32(b, cursorMagic)
	le.PutUint16(b[4:], Version)
	le.PutUint16(b[6:], uint16(len(ahead)))
	le.PutUint64(b[8:], c.generation+1)
	le.PutUint64(b[16:], p.Done)
	for i, s := range ahead {
		le.PutUint64(b[cursorHeader+16*i:], s.From)
		le.PutUint64(b[cursorHeader+16*i+8:], s.To)
	}
	le.PutUint32(b[cursorSlot-4:], seeded(0, b[:cursorSlot-4]))
	c.dirty = true
	if _, err := c.file.WriteAt(b, int64(off)); err != nil {
		return err
	}
	c.generation++
	return nil
}

// longest returns the n longest spans, in order.
func longest(spans []Span, n int) []Span {
	if len(spans) <= n {
		return spans
	}
	spans = slices.Clone(spans)
	slices.SortStableFunc(spans, func(a, b Span) int { return cmp.Compare(b.To-b.From, a.To-a.From) })
	spans = spans[:n]
	slices.SortFunc(spans, func(a, b Span) int { return cmp.Compare(a.From, b.From) })
	return spans
}

// Sync makes the place survive a loss of power, if it was written since the last Sync.
func (c *CursorFile) Sync() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.dirty {
		return nil
	}
	if c.failed {
		if _, err := c.file.WriteAt(c.slots[:], 0); err != nil {
			return err
		}
	}
	if err := c.file.Sync(); err != nil {
		c.failed = true
		return err
	}
	c.dirty, c.failed = false, false
	return nil
}

// Close closes the file.
func (c *CursorFile) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.file.Close()
}
