package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strconv"
)

// An event is a JSON object of eventSize bytes with a number that tells its place,
// and a checksum over all of it, so that a reader can tell whether it is whole. The
// text of the rest is made of words, so that it compresses about as events do.
const (
	eventSize = 1024
	digits    = 16
	head      = `{"messageId":"`
	sumHead   = `","sum":"`
	idAt      = len(head)
	sumAt     = idAt + digits + len(sumHead)
	sumLen    = 8
	bodyHead  = `","type":"track","event":"Order Completed","properties":{"note":"`
	bodyTail  = `"}}`
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// chunk is a number of events that are made anew again and again, in the same memory.
type chunk [][]byte

// newChunk makes n events whose text differs.
func newChunk(n int) chunk {
	random := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 512)
	for i := range words {
		words[i] = strconv.FormatUint(random.Uint64(), 36)[:3+random.IntN(8)]
	}
	c := make(chunk, n)
	for i := range c {
		b := make([]byte, 0, eventSize+16)
		b = append(b, head...)
		b = append(b, bytes.Repeat([]byte{'0'}, digits)...)
		b = append(append(b, sumHead...), bytes.Repeat([]byte{'0'}, sumLen)...)
		b = append(b, bodyHead...)
		for len(b) < eventSize-len(bodyTail) {
			b = append(append(b, words[random.IntN(len(words))]...), ' ')
		}
		c[i] = append(b[:eventSize-len(bodyTail)], bodyTail...)
	}
	return c
}

// number gives the events the numbers from first on.
func (c chunk) number(first int) {
	for i, b := range c {
		n := first + i
		for k := idAt + digits - 1; k >= idAt; k-- {
			b[k] = byte('0' + n%10)
			n /= 10
		}
		var sum [4]byte
		binary.BigEndian.PutUint32(sum[:], checksum(b))
		hex.Encode(b[sumAt:sumAt+sumLen], sum[:])
	}
}

// checksum is over the event without the checksum itself.
func checksum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:sumAt], castagnoli), castagnoli, b[sumAt+sumLen:])
}

// check returns the number of an event, and whether the event is as it was made.
func check(b []byte) (n int, whole bool) {
	if len(b) != eventSize {
		return 0, false
	}
	var sum [4]byte
	if _, err := hex.Decode(sum[:], b[sumAt:sumAt+sumLen]); err != nil || binary.BigEndian.Uint32(sum[:]) != checksum(b) {
		return 0, false
	}
	n, err := strconv.Atoi(string(b[idAt : idAt+digits]))
	return n, err == nil
}

// idOf is how the event of a number begins.
func idOf(n int) []byte { return fmt.Appendf(nil, "%s%0*d", head, digits, n) }
