package wal

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"unsafe"
)

// Ring takes the records that are accepted: a file of fixed size, written round and
// round. A record in it survives the death of the process as soon as Write has returned.
// It lies there until Release gives its place back.
//
// Positions count the bytes that ever went through the ring. Its methods are for one
// goroutine at a time, but for Sum, Write and Each.
type Ring struct {
	mapped Mapping // nil: written call by call, and read from a copy in memory
	file   File    // nil: mapped, or in memory only
	all    []byte
	area   []byte // behind the header
	salt   uint32
	head   uint64 // the oldest record
	tail   uint64 // where the next one goes, if it fits there
	wrap   uint64 // where the last lap ended
}

// A ring file begins with a page of its own, in which a mapped ring also marks at 64
// which sequence number comes next:
//
//	magic u64 | version u32 | salt u32 | size u64 | slot 16 bytes | crc u32; the same at 2048
//
// and each record is
//
//	len u24, flags u8 | crc u32 | position u64 | seq u64 | accepted at u64 ms | body | pad to 8
//
// The checksum is over the body, then length and flags, then the three numbers. The
// first eight bytes are stored last, in one piece.
const (
	ringMagic  = 0x676e6972_6c617761 // "awalring"
	ringPage   = 4096
	ringHeader = 44
	ringSpare  = 2048 // a second header, in another sector
	ringNext   = 64   // where the mark is: the sequence number behind the last record
	ringRecord = 32
	ringLeast  = 128 << 10 // for two of the largest records
	ringMost   = 1 << 30
	mostPut    = ringRecord + MaxBody + 7
)

// Errors of the ring.
var (
	// ErrRingFull is returned if there is no room for a record.
	ErrRingFull = errors.New("the ring is full")
	errFault    = errors.New("the file behind a mapping cannot be read or written")
)

// RingUse is how the ring is written.
type RingUse uint8

// The ways.
const (
	Mapped   RingUse = iota // stored into a mapping
	PerCall                 // written by a system call each
	InMemory                // not kept at all
)

// String names the way.
func (u RingUse) String() string {
	return [...]string{"mapped", "write per call", "memory only"}[u]
}

// OpenRing opens the ring of a slot, or makes it, and returns the records that an
// earlier process has left in it, by sequence number. The ring still holds them:
// either Restart it, once they are safe elsewhere, or Resume it to go on behind them,
// and Release them later. left is returned with an error as well, if it could be read.
// A ring that belongs to another slot, or that nobody can read, counts as empty and is
// returned as damage.
func OpenRing(fsys FS, name string, size int, slot ID, use RingUse) (r *Ring, left []Record, damage []byte, err error) {
	size = align(min(max(size, ringLeast), ringMost))
	r = &Ring{}
	old, left, damage, err := r.load(fsys, name, slot)
	if errors.Is(err, errTooLarge) { // and stays so, if it is not mapped
		err = fsys.Remove(name)
	}
	if err != nil {
		return nil, nil, damage, err
	}
	if len(left) > 0 {
		size = old // for as long as there is something in it
	}
	if err = r.attach(fsys, name, size, use); err != nil {
		return nil, left, damage, err
	}
	if len(left) == 0 {
		err = r.Restart(slot)
	}
	if err != nil {
		return nil, left, damage, errors.Join(err, r.Close())
	}
	return r, left, damage, nil
}

// RingRecords returns what is left in the ring of a slot, without opening it.
func RingRecords(fsys FS, name string, slot ID) (left []Record, damage []byte, err error) {
	_, left, damage, err = (&Ring{}).load(fsys, name, slot)
	if errors.Is(err, errTooLarge) {
		err = nil
	}
	return left, damage, err
}

// RingHead returns what a ring says of itself: the slot that it belongs to and, where
// that is known, the sequence number behind the last record that was written to it.
func RingHead(fsys FS, name string) (slot ID, next uint64, known, ok bool) {
	f, err := fsys.Open(name, false, false)
	if err != nil {
		return slot, 0, false, false
	}
	defer f.Close()
	b, err := readFull(f, 0, ringPage)
	if err != nil {
		return slot, 0, false, false
	}
	h, ok := parseRing(b)
	if !ok {
		return slot, 0, false, false
	}
	next, known = readMark(le.Uint64(b[ringNext:]))
	return h.slot, next, known, true
}

// A mark is a sequence number with a checksum in its highest 16 bits, so that it is
// stored in one piece.
const markBits = 48

func makeMark(next uint64) uint64 { return next&(1<<markBits-1) | markSum(next)<<markBits }

func markSum(next uint64) uint64 { return (next + 1) * 0x9e3779b97f4a7c15 >> markBits }

func readMark(mark uint64) (next uint64, ok bool) {
	next = mark & (1<<markBits - 1)
	return next, mark>>markBits == markSum(next)
}

// load reads the file of a ring, and what is left in it. None is as good as an empty
// one.
func (r *Ring) load(fsys FS, name string, slot ID) (size int, left []Record, damage []byte, err error) {
	b, err := readWhole(fsys, name, ringPage+ringMost)
	if err != nil {
		switch {
		case isMissing(err):
			err = nil
		case errors.Is(err, errTooLarge):
			damage, _ = readHead(fsys, name, mostBadFile)
		}
		return 0, nil, damage, err
	}
	h, ok := parseRing(b)
	if !ok && newerRing(b) {
		return 0, nil, nil, &fs.PathError{Op: "open", Path: name, Err: ErrVersion}
	}
	if !ok || h.slot != slot {
		if slices.ContainsFunc(b, func(b byte) bool { return b != 0 }) {
			damage = b
		}
		return 0, nil, damage, nil
	}
	r.salt = h.salt
	return h.size, r.salvage(b[ringPage:min(len(b), ringPage+h.size)], uint64(h.size)), nil, nil
}

// attach maps the file, or opens it and makes the copy in memory.
func (r *Ring) attach(fsys FS, name string, size int, use RingUse) (err error) {
	if use == Mapped {
		if r.mapped, err = fsys.Map(name, int64(ringPage+size)); err != nil {
			return err
		}
		r.all = r.mapped.Bytes()
		r.area = r.all[ringPage:]
		return nil
	}
	if r.file, err = fsys.Open(name, true, true); err != nil {
		return err
	}
	if r.all, err = readFull(r.file, 0, ringPage+size); err != nil {
		return errors.Join(err, r.file.Close())
	}
	had := len(r.all)
	r.all = append(r.all, make([]byte, ringPage+size-had)...)
	r.area = r.all[ringPage:]
	if had < len(r.all) { // the blocks are to be there before they are needed
		if _, err = r.file.WriteAt(r.all[had:], int64(had)); err != nil {
			return errors.Join(err, r.file.Close())
		}
	}
	return nil
}

// Restart empties the ring. With a new salt nothing that was in it passes for a
// record any more.
func (r *Ring) Restart(slot ID) error {
	var salt [4]byte
	_, _ = rand.Read(salt[:])
	b := make([]byte, ringSpare+ringHeader)
	le.PutUint64(b, ringMagic)
	le.PutUint32(b[8:], Version)
	copy(b[12:], salt[:])
	le.PutUint64(b[16:], uint64(len(r.area)))
	copy(b[24:], slot[:])
	le.PutUint32(b[40:], seeded(0, b[:40]))
	copy(b[ringSpare:], b[:ringHeader])
	if r.file != nil {
		if _, err := r.file.WriteAt(b, 0); err != nil {
			return err
		}
	}
	if err := r.guard(func() { copy(r.all, b) }); err != nil {
		return err
	}
	r.salt = le.Uint32(salt[:])
	r.head, r.tail, r.wrap = 0, 0, 0
	return nil
}

// Mark notes which sequence number comes next, in a mapped ring. Restart forgets it, and
// each record that is written brings its own.
func (r *Ring) Mark(next uint64) error {
	if r.mapped == nil {
		return nil
	}
	return r.guard(func() { r.mark(next) })
}

func (r *Ring) mark(next uint64) {
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&r.all[ringNext])), makeMark(next))
}

// Resume goes on behind what is left in the ring. The rest is cleared: after a loss of
// power there may be records in it whose numbers will be used again.
func (r *Ring) Resume() error {
	size := uint64(len(r.area))
	if r.tail-r.head >= size {
		return nil
	}
	free := size - (r.tail - r.head)
	from := r.tail % size
	err := r.guard(func() {
		clear(r.area[from:min(from+free, size)])
		clear(r.area[:max(from+free, size)-size])
	})
	if err == nil && r.file != nil {
		_, err = r.file.WriteAt(r.area, ringPage)
	}
	return err
}

// Use is how the ring is written.
func (r *Ring) Use() RingUse {
	switch {
	case r.mapped != nil:
		return Mapped
	case r.file != nil:
		return PerCall
	}
	return InMemory
}

// Size is how many bytes fit into the ring.
func (r *Ring) Size() int { return len(r.area) }

// Tail is the position behind the newest record.
func (r *Ring) Tail() uint64 { return r.tail }

// Sum is the part of a record's checksum that does not depend on its place.
func (r *Ring) Sum(body []byte) uint32 { return seeded(r.salt, body) }

// place is where a record of n bytes goes, and whether there is room for it.
func (r *Ring) place(n int) (pos uint64, ok bool) {
	size := uint64(len(r.area))
	pos = r.tail
	if off := pos % size; off+uint64(n) > size {
		pos += size - off
	}
	return pos, pos+uint64(n)-r.head <= size
}

// Room is how many bytes are free in the ring.
func (r *Ring) Room() int { return len(r.area) - int(r.tail-r.head) }

// Roomy tells whether there is room for a record of any size.
func (r *Ring) Roomy() bool {
	_, ok := r.place(mostPut)
	return ok
}

// Reserve is where a record with a body of n bytes goes. It fails with ErrRingFull. n
// must not be more than MaxBody.
func (r *Ring) Reserve(n int) (pos uint64, err error) {
	pos, ok := r.place(align(ringRecord + n))
	if !ok {
		return 0, ErrRingFull
	}
	return pos, nil
}

// Write puts a record where Reserve said; sum is that of its body. It may run beside
// all but Write and Commit. After an error the ring is as before.
func (r *Ring) Write(pos, seq uint64, at int64, flags uint8, body []byte, sum uint32) error {
	off := pos % uint64(len(r.area))
	if err := r.store(off, pos, seq, at, flags, body, sum); err != nil {
		return err
	}
	if r.file != nil {
		if _, err := r.file.WriteAt(r.area[off:off+uint64(align(ringRecord+len(body)))], int64(ringPage+off)); err != nil {
			clear(r.area[off : off+8])
			_, _ = r.file.WriteAt(r.area[off:off+8], int64(ringPage+off)) // it may be there all the same
			return err
		}
	}
	return nil
}

// Commit makes the record that was written at pos, with a body of n bytes, a part of
// the ring.
func (r *Ring) Commit(pos uint64, n int) {
	if pos != r.tail {
		r.wrap = r.tail
	}
	r.tail = pos + uint64(align(ringRecord+n))
}

// store copies a record into the ring. A store that the file system cannot take, since
// the disk is full or gone, is an error like any other.
func (r *Ring) store(off, pos, seq uint64, at int64, flags uint8, body []byte, sum uint32) (err error) {
	if r.mapped != nil {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if v := recover(); v != nil {
				err = faultOf(v)
			}
		}()
	}
	b := r.area[off : off+ringRecord+uint64(len(body))]
	le.PutUint64(b[8:], pos)
	le.PutUint64(b[16:], seq)
	le.PutUint64(b[24:], uint64(at))
	copy(b[ringRecord:], body)
	first := uint32(len(body)) | uint32(flags)<<24
	word := uint64(first) | uint64(ringSum(sum, b[8:ringRecord], first))<<32
	atomic.StoreUint64((*uint64)(unsafe.Pointer(&b[0])), word)
	if r.mapped != nil {
		r.mark(seq + 1)
	}
	return nil
}

// ringSum completes the checksum of a body, as if length and flags were four more bytes of
// it. To give those to crc32.Update would allocate them.
func ringSum(body uint32, numbers []byte, first uint32) uint32 {
	sum := ^body ^ first
	for range 4 {
		sum = castagnoli[byte(sum)] ^ sum>>8
	}
	return seeded(^sum, numbers)
}

// guard runs f, which touches the mapping.
func (r *Ring) guard(f func()) (err error) {
	if r.mapped != nil {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() {
			if v := recover(); v != nil {
				err = faultOf(v)
			}
		}()
	}
	f()
	return nil
}

// faultOf makes an error of a page fault that failed; anything else goes on as it was.
func faultOf(v any) error {
	if f, ok := v.(interface {
		error
		Addr() uintptr
	}); ok {
		return fmt.Errorf("%w: %w", errFault, f)
	}
	panic(v)
}

// Extent is what was in the ring at some moment.
type Extent struct{ tail, wrap uint64 }

// Extent is what is in the ring now.
func (r *Ring) Extent() Extent { return Extent{r.tail, r.wrap} }

// Ends tells whether nothing of the extent lies behind a position.
func (e Extent) Ends(pos uint64) bool { return pos >= e.tail }

// Each calls f for the records of an extent from a position on, until f returns false,
// and returns the position of the one that f refused, or the end. Bodies alias the
// ring. It may run beside all but Release.
func (r *Ring) Each(pos uint64, in Extent, f func(Record) bool) (next uint64, err error) {
	size, damaged := uint64(len(r.area)), false
	err = r.guard(func() {
		for pos < in.tail {
			if pos == in.wrap && pos%size != 0 {
				pos += size - pos%size
				continue
			}
			b := r.area[pos%size:]
			if len(b) < ringRecord || le.Uint64(b[8:]) != pos || ringRecord+int(le.Uint32(b)&0xffffff) > len(b) {
				damaged = true // somebody else has written to the file
				return
			}
			first := le.Uint32(b)
			n := int(first & 0xffffff)
			rec := Record{Seq: le.Uint64(b[16:]), At: int64(le.Uint64(b[24:])), Flags: uint8(first >> 24), Body: b[ringRecord : ringRecord+n : ringRecord+n]}
			if !f(rec) {
				return
			}
			pos += uint64(align(ringRecord + n))
		}
	})
	if damaged {
		err = fmt.Errorf("the ring is %w", ErrDamaged)
	}
	return pos, err
}

// ReleaseBefore gives back what lies before a record that was found in the ring when it
// was opened, or by RingRecords.
func (r *Ring) ReleaseBefore(rec Record) { r.Release(rec.pos) }

// Release gives back what lies before a position.
func (r *Ring) Release(pos uint64) { r.head = max(r.head, pos) }

// Close ends the use of the ring.
func (r *Ring) Close() error {
	var err error
	if r.mapped != nil {
		err = r.mapped.Close()
		r.mapped, r.all, r.area = nil, nil, nil
	}
	if r.file != nil {
		err = cmp.Or(err, r.file.Close())
	}
	return err
}

type ringHead struct {
	salt uint32
	size int
	slot ID
}

// parseRing reads the header of a ring, or the copy of it.
func parseRing(b []byte) (h ringHead, ok bool) {
	if len(b) < ringPage {
		return h, false
	}
	if h, ok = parseRingHead(b); !ok && !newerRing(b) {
		h, ok = parseRingHead(b[ringSpare:])
	}
	return h, ok
}

// newerRing tells whether a header was written by a newer version.
func newerRing(b []byte) bool {
	return len(b) >= ringHeader && le.Uint64(b) == ringMagic && le.Uint32(b[8:]) > Version && le.Uint32(b[40:]) == seeded(0, b[:40])
}

func parseRingHead(b []byte) (h ringHead, ok bool) {
	if le.Uint64(b) != ringMagic || le.Uint32(b[8:]) != Version || le.Uint32(b[40:]) != seeded(0, b[:40]) {
		return h, false
	}
	size := le.Uint64(b[16:])
	if size < ringLeast || size > ringMost || size%8 != 0 {
		return h, false
	}
	h = ringHead{salt: le.Uint32(b[12:]), size: int(size)}
	copy(h.slot[:], b[24:])
	return h, true
}

// salvage finds the records in the area of a ring, wherever they are: a record tells
// by its position whether this is its place. Their bodies alias area. Of two with one
// number, the later counts: the other is of a call that has failed.
func (r *Ring) salvage(area []byte, size uint64) (left []Record) {
	at := make(map[uint64]int) // in left, by sequence number
	for off := 0; off+ringRecord <= len(area); {
		b := area[off:]
		first, pos := le.Uint32(b), le.Uint64(b[8:])
		n := int(first & 0xffffff)
		fits := pos%size == uint64(off) && n <= MaxBody && ringRecord+n <= len(b)
		if !fits || le.Uint32(b[4:]) != ringSum(seeded(r.salt, b[ringRecord:ringRecord+n]), b[8:ringRecord], first) {
			off += 8
			continue
		}
		if len(left) == 0 {
			r.head = pos
		}
		rec := Record{Seq: le.Uint64(b[16:]), At: int64(le.Uint64(b[24:])), Flags: uint8(first >> 24), Body: b[ringRecord : ringRecord+n : ringRecord+n], pos: pos}
		if i, twice := at[rec.Seq]; !twice {
			at[rec.Seq] = len(left)
			left = append(left, rec)
		} else if pos > left[i].pos {
			left[i] = rec
		}
		next := align(ringRecord + n)
		r.head, r.tail = min(r.head, pos), max(r.tail, pos+uint64(next))
		off += next
	}
	slices.SortFunc(left, func(a, b Record) int { return cmp.Compare(a.Seq, b.Seq) })
	return left
}
