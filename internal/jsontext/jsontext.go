// Package jsontext writes strings of JSON: the part of encoding that everything which
// makes JSON here shares.
package jsontext

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
	"unsafe"
)

const hexDigits = "0123456789abcdef"

// Plain is s as AppendString writes it, when that is read again: each byte that is no UTF-8
// is U+FFFD.
func Plain(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s))
}

// AppendString writes s as a JSON string. HTML is not escaped, and each byte that is no
// UTF-8 becomes U+FFFD.
func AppendString(b []byte, s string) []byte {
	n := len(b)
	if !plain(s) {
		return append(appendEscaped(append(b, '"'), s), '"')
	}
	b = slices.Grow(b, len(s)+2)[:n+len(s)+2]
	b[n] = '"'
	copy(b[n+1:], s)
	b[len(b)-1] = '"'
	return b
}

// AppendKey writes s as the key of a member, with its colon.
func AppendKey(b []byte, s string) []byte {
	n := len(b)
	if !plain(s) {
		return append(AppendString(b, s), ':')
	}
	b = slices.Grow(b, len(s)+3)[:n+len(s)+3]
	b[n] = '"'
	copy(b[n+1:], s)
	b[len(b)-2] = '"'
	b[len(b)-1] = ':'
	return b
}

func appendEscaped(b []byte, s string) []byte {
	for len(s) > 0 {
		c := s[0]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				b = append(b, '\\', c)
			case c >= ' ':
				b = append(b, c)
			case c == '\n':
				b = append(b, '\\', 'n')
			case c == '\r':
				b = append(b, '\\', 'r')
			case c == '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			s = s[1:]
		} else {
			r, size := utf8.DecodeRuneInString(s)
			if r == utf8.RuneError && size == 1 {
				b = append(b, "\ufffd"...)
			} else {
				b = append(b, s[:size]...)
			}
			s = s[size:]
		}
		n := PlainPrefix(s)
		b = append(b, s[:n]...)
		s = s[n:]
	}
	return b
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// odd is not zero if any of eight bytes cannot stand in a JSON string as it is: a
// quote, a backslash, a control character, or beyond ASCII. A borrow can only raise
// a false alarm behind a true one.
func odd(w uint64) uint64 {
	quote, back := w^(ones*'"'), w^(ones*'\\')
	return (w | (w-ones*' ')&^w | (quote-ones)&^quote | (back-ones)&^back) & highs
}

// plain tells whether all of s stands in a JSON string as it is. The last bytes are
// looked at together with some before them.
func plain(s string) bool {
	p := unsafe.Slice(unsafe.StringData(s), len(s))
	switch n := len(p); {
	case n >= 8:
		for i := 0; i+8 < n; i += 8 {
			if odd(binary.LittleEndian.Uint64(p[i:])) != 0 {
				return false
			}
		}
		return odd(binary.LittleEndian.Uint64(p[n-8:])) == 0
	case n >= 4:
		return odd(uint64(binary.LittleEndian.Uint32(p))|uint64(binary.LittleEndian.Uint32(p[n-4:]))<<32) == 0
	}
	for _, c := range p {
		if c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// PlainPrefix is the length of the prefix of s that stands in a JSON string as it
// is.
func PlainPrefix(s string) int {
	p := unsafe.Slice(unsafe.StringData(s), len(s))
	i := 0
	for ; i+8 <= len(p); i += 8 {
		if w := odd(binary.LittleEndian.Uint64(p[i:])); w != 0 {
			return i + bits.TrailingZeros64(w)/8 // the first alarm is a true one
		}
	}
	for ; i < len(p); i++ {
		if c := p[i]; c < ' ' || c >= utf8.RuneSelf || c == '"' || c == '\\' {
			return i
		}
	}
	return i
}
