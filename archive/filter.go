package archive

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
)

// A Filter is a Bloom filter of the ids in a file. It never misses one, and takes a
// stranger for one of them in less than one of a hundred cases. Its zero takes everybody
// for one of them. It is read only, and may be asked by several goroutines.
//
// As text it is base64 of little-endian words of 64 bits. An id has 7 bits: the first is
// its hash, each further one is larger by the hash shifted right by 17, with the lowest
// bit set; all modulo the number of bits, which is a power of two. The hash is FNV-1a
// (64 bits) of "u" for user ids and "a" for anonymous ids, then the id; then twice
// h ^= h>>32, h *= 0xd6e8feb86659fd93; then h ^= h>>32, and 1 in place of 0.
type Filter struct {
	words []uint64
}

const (
	leastWords  = 8
	mostWords   = 1 << 19 // 4 MiB
	bloomHashes = 7
	idBits      = 10        // of the filter for each id
	maxIDs      = 3_300_000 // of a file: the largest filter has ten bits for each
)

// The kinds of ids.
const (
	userKind      = 'u'
	anonymousKind = 'a'
)

// HasUser tells whether the file may have an event of this user. Of alias events the
// former id counts as well.
func (f *Filter) HasUser(userID string) bool { return f.has(idHash(userKind, userID)) }

// HasAnonymous tells the same of an anonymous id.
func (f *Filter) HasAnonymous(anonymousID string) bool {
	return f.has(idHash(anonymousKind, anonymousID))
}

func idHash(kind byte, id string) uint64 {
	h := uint64(14695981039346656037)
	h = (h ^ uint64(kind)) * 1099511628211
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	h ^= h >> 32
	h *= 0xd6e8feb86659fd93
	return max(h^h>>32, 1)
}

func (f *Filter) has(h uint64) bool {
	if len(f.words) == 0 {
		return true
	}
	step, mask := h>>17|1, uint64(len(f.words))*64-1
	for range bloomHashes {
		bit := h & mask
		if f.words[bit/64]&(1<<(bit%64)) == 0 {
			return false
		}
		h += step
	}
	return true
}

// add tells whether the hash is new.
func (f *Filter) add(h uint64) (fresh bool) {
	step, mask := h>>17|1, uint64(len(f.words))*64-1
	for range bloomHashes {
		bit := h & mask
		if word := &f.words[bit/64]; *word&(1<<(bit%64)) == 0 {
			*word |= 1 << (bit % 64)
			fresh = true
		}
		h += step
	}
	return fresh
}

// MarshalText makes base64.
func (f Filter) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 8*len(f.words))
	for _, w := range f.words {
		raw = binary.LittleEndian.AppendUint64(raw, w)
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText reads it.
func (f *Filter) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	n := len(raw) / 8
	if err != nil || len(raw)%8 != 0 || n < leastWords || n > mostWords || n&(n-1) != 0 {
		return errors.New("archive: the filter of ids is not one")
	}
	f.words = make([]uint64, n)
	for i := range f.words {
		f.words[i] = binary.LittleEndian.Uint64(raw[8*i:])
	}
	return nil
}

// idSet collects hashes of ids: in a table while there are few, then in a filter of the
// largest size, which is folded in the end.
type idSet struct {
	table []uint64 // open addressing, at most half full; zero is a free place
	large *Filter
	count int // in large, nearly
}

const (
	leastTable = 1 << 7
	mostTable  = 1 << 19
)

func (s *idSet) add(h uint64) {
	if s.large != nil {
		if s.large.add(h) {
			s.count++
		}
		return
	}
	if 2*s.count >= len(s.table) {
		s.grow()
		s.add(h)
		return
	}
	if insert(s.table, h) {
		s.count++
	}
}

// insert tells whether the hash is new.
func insert(table []uint64, h uint64) bool {
	mask := uint64(len(table) - 1)
	for i := h & mask; ; i = (i + 1) & mask {
		switch table[i] {
		case h:
			return false
		case 0:
			table[i] = h
			return true
		}
	}
}

// grow doubles the table, or ends it.
func (s *idSet) grow() {
	old := s.table
	if len(old) == mostTable {
		s.table, s.large = nil, &Filter{make([]uint64, mostWords)}
		for _, h := range old {
			if h != 0 {
				s.large.add(h)
			}
		}
		return
	}
	s.table = make([]uint64, max(2*len(old), leastTable))
	for _, h := range old {
		if h != 0 {
			insert(s.table, h)
		}
	}
}

// memory is about how many bytes it takes.
func (s *idSet) memory() int {
	if s.large != nil {
		return 8 * mostWords
	}
	return 8 * len(s.table)
}

// filter is that of all ids.
func (s *idSet) filter() Filter {
	words := leastWords
	for words < mostWords && words*64 < idBits*s.count {
		words *= 2
	}
	f := Filter{make([]uint64, words)}
	for _, h := range s.table {
		if h != 0 {
			f.add(h)
		}
	}
	if s.large != nil {
		for i, w := range s.large.words {
			f.words[i%words] |= w
		}
	}
	return f
}
