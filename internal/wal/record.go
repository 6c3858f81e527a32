package wal

import (
	"encoding/binary"
	"hash/crc32"
)

// Record is one event.
type Record struct {
	Seq   uint64
	At    int64 // when it was accepted, Unix milliseconds
	Flags uint8
	Body  []byte

	pos uint64 // in the ring in which it was found
}

// MaxBody is the most bytes of a body, so that one record fits into a frame.
const MaxBody = 64<<10 - frameHeader - recordHeader

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seeded is the checksum of b, beginning with a salt.
func seeded(salt uint32, b []byte) uint32 { return crc32.Update(salt, castagnoli, b) }

// align rounds up to a multiple of eight.
func align(n int) int { return (n + 7) &^ 7 }

var le = binary.LittleEndian
