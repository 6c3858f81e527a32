package main

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
)

// uuid returns a version 4 UUID.
func uuid(r *rand.Rand) string {
	var b [16]byte
	binary.BigEndian.PutUint64(b[:8], r.Uint64())
	binary.BigEndian.PutUint64(b[8:], r.Uint64())
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// shortID returns an id as the database of the shop gives it: "cart_5c01f2a9".
func shortID(r *rand.Rand, prefix string) string { return fmt.Sprintf("%s_%08x", prefix, r.Uint32()) }

// midnightOrder is far beyond 2^53 and odd, like every order number, so that a
// receiver shows if it reads them as float64.
const midnightOrder int64 = 7_214_385_093_000_000_001

// orderNumber counts with the time at which the checkout began.
func orderNumber(at moment) int64 { return midnightOrder + 2*int64(at) }

// address returns an IP address of the ranges reserved for documentation.
func address(r *rand.Rand) string {
	if chance(r, 25) {
		return fmt.Sprintf("2001:db8:%x:%x::%x", 1+r.IntN(0xfffe), 1+r.IntN(0xfffe), 1+r.IntN(0xfffe))
	}
	return fmt.Sprintf("%s.%d", pick(r, []string{"192.0.2", "198.51.100", "203.0.113"}), 1+r.IntN(254))
}
