package trackingapi

import (
	"encoding/binary"
	"math/bits"
)

// windowKey is what makes the hashes of a window its own.
type windowKey [16]byte

// windowID is the hash of a source and a messageId.
type windowID struct{ a, b uint64 }

// windowHasher is SipHash-2-4 with 128 bits, in the state that the key gives it.
type windowHasher struct{ v0, v1, v2, v3 uint64 }

func newWindowHasher(key windowKey) windowHasher {
	k0, k1 := binary.LittleEndian.Uint64(key[:8]), binary.LittleEndian.Uint64(key[8:])
	return windowHasher{
		v0: k0 ^ 0x736f6d6570736575,
		v1: k1 ^ 0x646f72616e646f6d ^ 0xee,
		v2: k0 ^ 0x6c7967656e657261,
		v3: k1 ^ 0x7465646279746573,
	}
}

// sum hashes the two, each padded with zeros to whole words, and a word with their
// lengths, so that no two pairs are the same input.
func (h windowHasher) sum(source, messageID string) windowID {
	h = h.text(source).text(messageID)
	h = h.word(uint64(len(messageID))<<32 | uint64(uint32(len(source))))
	words := (len(source)+7)/8 + (len(messageID)+7)/8 + 1
	return h.finish(words)
}

func (h windowHasher) text(s string) windowHasher {
	for ; len(s) >= 8; s = s[8:] {
		h = h.word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
	}
	if s == "" {
		return h
	}
	var last uint64
	for i := range len(s) {
		last |= uint64(s[i]) << (8 * i)
	}
	return h.word(last)
}

// word takes eight bytes of input.
func (h windowHasher) word(m uint64) windowHasher {
	h.v3 ^= m
	h = h.round().round()
	h.v0 ^= m
	return h
}

// finish ends an input of so many words.
func (h windowHasher) finish(words int) (id windowID) {
	h = h.word(uint64(words*8) << 56)
	h.v2 ^= 0xee
	h = h.round().round().round().round()
	id.a = h.v0 ^ h.v1 ^ h.v2 ^ h.v3
	h.v1 ^= 0xdd
	h = h.round().round().round().round()
	id.b = h.v0 ^ h.v1 ^ h.v2 ^ h.v3
	return id
}

// round is written so that it is inlined.
func (h windowHasher) round() windowHasher {
	a, b, c, d := h.v0+h.v1, bits.RotateLeft64(h.v1, 13), h.v2+h.v3, bits.RotateLeft64(h.v3, 16)
	b ^= a
	d ^= c
	c += b
	a = bits.RotateLeft64(a, 32) + d
	return windowHasher{a, bits.RotateLeft64(b, 17) ^ c, bits.RotateLeft64(c, 32), bits.RotateLeft64(d, 21) ^ a}
}
