package trackingapi

import (
	"math/bits"
	"sync"
	"time"
	"unsafe"
)

// windowShard is a part of a window: a list of ids from the oldest to the newest, and a
// hash table with open addressing that finds them. Both grow to a limit and stay there.
type windowShard struct {
	mu      sync.Mutex
	limit   int
	span    int64
	until   int64         // the end of the present generation
	n       int           // ids in the list
	entries []windowEntry // the first is the ends of the list
	free    uint16        // the first of the entries that are not in use, 0: none
	index   []windowSlot  // a power of two, never full

	// Changes that are not yet written. They are ripe when they were young one round
	// of the writer before.
	young, ripe []byte
	room        int // of each, 0 when nothing is written

	claims, duplicates, evicted, unsaved uint64
}

// windowEntry is an id in the list. next also joins the free ones.
type windowEntry struct {
	id         windowID
	until      int64 // the end of its generation, when it begins to count the span
	prev, next uint16
}

// windowSlot is a place of the table: which entry, 0 in an empty one, and above that as
// much of the hash as fits. That tells where the slot would like to be, and saves looking
// at most entries that are not the one.
type windowSlot uint32

const (
	slotBits = 14
	maxShard = 1<<slotBits - 1
)

func newWindowSlot(id windowID, at uint16) windowSlot { return tagOf(id) | windowSlot(at) }

func tagOf(id windowID) windowSlot { return windowSlot(id.a) << slotBits }

func (s windowSlot) at() uint16      { return uint16(s & maxShard) }
func (s windowSlot) home() uint32    { return uint32(s >> slotBits) }
func (s windowSlot) tag() windowSlot { return s &^ maxShard }

const (
	entrySize = int64(unsafe.Sizeof(windowEntry{}))
	slotSize  = int64(unsafe.Sizeof(windowSlot(0)))

	firstEntries = 32
)

func newWindowShard(limit int, span time.Duration) *windowShard {
	s := &windowShard{limit: limit, span: int64(span), entries: make([]windowEntry, 1)}
	s.grow()
	return s
}

// claim makes an id known, or tells that it is. Calls may come with times that are not
// quite in order; the list is in order all the same.
func (s *windowShard) claim(id windowID, now int64, clock *windowClock) bool {
	if now >= s.until {
		s.until = clock.until(now)
	}
	s.expire(now)
	i, found := s.find(id)
	if found {
		s.duplicates++
		return false
	}
	if s.n == s.limit {
		s.forget(s.entries[0].next)
		s.evicted++
		i, _ = s.find(id)
	}
	s.add(i, id, s.until)
	s.claims++
	return true
}

// restore makes an id known as the newest, as it was when it was claimed. It is called
// with generations in their order, and before any claim.
func (s *windowShard) restore(id windowID, until int64) {
	s.release(id)
	if s.n == s.limit {
		s.forget(s.entries[0].next)
	}
	i, _ := s.find(id)
	s.add(i, id, until)
}

// release forgets an id, if it is known.
func (s *windowShard) release(id windowID) bool {
	i, found := s.find(id)
	if found {
		s.remove(i)
	}
	return found
}

// expire forgets the generations that are over.
func (s *windowShard) expire(now int64) {
	for s.n > 0 {
		oldest := s.entries[0].next
		if now-s.entries[oldest].until < s.span {
			return
		}
		s.forget(oldest)
	}
}

func (s *windowShard) forget(at uint16) {
	i, _ := s.find(s.entries[at].id)
	s.remove(i)
}

// find returns the place of an id in the table, or the one that it would have.
func (s *windowShard) find(id windowID) (i uint32, found bool) {
	tag, mask := tagOf(id), uint32(len(s.index)-1)
	for i = tag.home() & mask; ; i = (i + 1) & mask {
		slot := s.index[i]
		if slot == 0 {
			return i, false
		}
		if slot.tag() == tag && s.entries[slot.at()].id == id {
			return i, true
		}
	}
}

// add puts an id, which is not known, to the end of the list and into place i of the table.
func (s *windowShard) add(i uint32, id windowID, until int64) {
	at := s.free
	if at != 0 {
		s.free = s.entries[at].next
	} else {
		if len(s.entries) == cap(s.entries) {
			s.grow()
			i, _ = s.find(id)
		}
		at = uint16(len(s.entries))
		s.entries = s.entries[:at+1]
	}
	ends := &s.entries[0]
	newest := ends.prev
	s.entries[at] = windowEntry{id: id, until: until, prev: newest}
	s.entries[newest].next, ends.prev = at, at
	s.index[i] = newWindowSlot(id, at)
	s.n++
}

// remove takes the id in place i out, and moves those behind it that would not be found
// any more.
func (s *windowShard) remove(i uint32) {
	at := s.index[i].at()
	e := &s.entries[at]
	s.entries[e.prev].next, s.entries[e.next].prev = e.next, e.prev
	e.next, s.free = s.free, at
	s.n--
	mask := uint32(len(s.index) - 1)
	for j := (i + 1) & mask; s.index[j] != 0; j = (j + 1) & mask {
		if (j-s.index[j].home())&mask >= (j-i)&mask {
			s.index[i] = s.index[j]
			i = j
		}
	}
	s.index[i] = 0
}

// grow doubles the room, up to the limit. A quarter of the table stays empty at least.
func (s *windowShard) grow() {
	most := min(max(2*(cap(s.entries)-1), firstEntries), s.limit)
	entries := make([]windowEntry, len(s.entries), most+1)
	copy(entries, s.entries)
	old := s.index
	s.entries, s.index = entries, make([]windowSlot, 1<<bits.Len(uint(most+most/3)))
	mask := uint32(len(s.index) - 1)
	for _, slot := range old {
		if slot == 0 {
			continue
		}
		i := slot.home() & mask
		for s.index[i] != 0 {
			i = (i + 1) & mask
		}
		s.index[i] = slot
	}
}

func (s *windowShard) bytes() int64 {
	return int64(unsafe.Sizeof(*s)) + entrySize*int64(cap(s.entries)) + slotSize*int64(len(s.index)) + int64(cap(s.young)+cap(s.ripe))
}
