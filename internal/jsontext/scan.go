package jsontext

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"unicode/utf8"
	"unsafe"
)

// The scanner walks JSON without building anything. Each function takes the text and an
// offset, and returns the offset behind what it skipped, or -1.

// MaxDepth is how deep objects and lists may nest.
const MaxDepth = 100

// Valid tells whether s is one JSON value.
func Valid(s string) bool {
	end := SkipValue(s, SkipSpace(s, 0), 0)
	return end >= 0 && SkipSpace(s, end) == len(s)
}

// SkipSpace skips white space.
func SkipSpace(s string, i int) int {
	for i < len(s) && s[i] <= ' ' && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// SkipValue skips a value that stands so deep in others; at the top depth is 0.
func SkipValue(s string, i, depth int) int {
	if i < 0 || i >= len(s) {
		return -1
	}
	switch c := s[i]; c {
	case '"':
		return SkipString(s, i)
	case '{':
		return skipObject(s, i, depth)
	case '[':
		return skipArray(s, i, depth)
	case 't':
		return skipWord(s, i, "true")
	case 'f':
		return skipWord(s, i, "false")
	case 'n':
		return skipWord(s, i, "null")
	default:
		return SkipNumber(s, i)
	}
}

func skipWord(s string, i int, word string) int {
	if len(s)-i < len(word) || s[i:i+len(word)] != word {
		return -1
	}
	return i + len(word)
}

func skipObject(s string, i, depth int) int {
	if depth >= MaxDepth {
		return -1
	}
	i = SkipSpace(s, i+1)
	if i < len(s) && s[i] == '}' {
		return i + 1
	}
	for i < len(s) {
		if s[i] != '"' {
			return -1
		}
		if i = SkipString(s, i); i < 0 {
			return -1
		}
		if i = SkipSpace(s, i); i >= len(s) || s[i] != ':' {
			return -1
		}
		if i = SkipValue(s, SkipSpace(s, i+1), depth+1); i < 0 {
			return -1
		}
		if i = SkipSpace(s, i); i >= len(s) {
			return -1
		}
		if s[i] == '}' {
			return i + 1
		}
		if s[i] != ',' {
			return -1
		}
		i = SkipSpace(s, i+1)
	}
	return -1
}

func skipArray(s string, i, depth int) int {
	if depth >= MaxDepth {
		return -1
	}
	i = SkipSpace(s, i+1)
	if i < len(s) && s[i] == ']' {
		return i + 1
	}
	for i < len(s) {
		if i = SkipValue(s, i, depth+1); i < 0 {
			return -1
		}
		if i = SkipSpace(s, i); i >= len(s) {
			return -1
		}
		if s[i] == ']' {
			return i + 1
		}
		if s[i] != ',' {
			return -1
		}
		i = SkipSpace(s, i+1)
	}
	return -1
}

// SkipString skips the string that begins with the quote at i.
func SkipString(s string, i int) int {
	for i++; ; {
		if i = ordinary(s, i); i >= len(s) {
			return -1
		}
		switch {
		case s[i] == '"':
			return i + 1
		case s[i] < ' ':
			return -1
		case i+1 >= len(s):
			return -1
		case s[i+1] == 'u':
			if _, ok := hex4(s, i+2); !ok {
				return -1
			}
			i += 6
		default:
			if !slices.Contains([]byte(`"\/bfnrt`), s[i+1]) {
				return -1
			}
			i += 2
		}
	}
}

// ordinary is the offset, from i on, of the first byte that ends a string, begins an
// escape or must not stand in one.
func ordinary(s string, i int) int {
	p := unsafe.Slice(unsafe.StringData(s), len(s))
	for ; i+8 <= len(p); i += 8 {
		w := binary.LittleEndian.Uint64(p[i:])
		quote, back := w^(ones*'"'), w^(ones*'\\')
		if w = ((w-ones*' ')&^w | (quote-ones)&^quote | (back-ones)&^back) & highs; w != 0 {
			return i + bits.TrailingZeros64(w)/8 // the first alarm is a true one
		}
	}
	for i < len(p) && p[i] >= ' ' && p[i] != '"' && p[i] != '\\' {
		i++
	}
	return i
}

func hex4(s string, i int) (r rune, ok bool) {
	if len(s)-i < 4 {
		return 0, false
	}
	for _, c := range []byte(s[i : i+4]) {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c >= 'a' && c <= 'f':
			c -= 'a' - 10
		case c >= 'A' && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// SkipNumber skips a number.
func SkipNumber(s string, i int) int {
	digits := func(i int) int {
		start := i
		for i < len(s) && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		if i == start {
			return -1
		}
		return i
	}
	if i < len(s) && s[i] == '-' {
		i++
	}
	if i < len(s) && s[i] == '0' {
		i++
	} else if i = digits(i); i < 0 {
		return -1
	}
	if i < len(s) && s[i] == '.' {
		if i = digits(i + 1); i < 0 {
			return -1
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if i = digits(i); i < 0 {
			return -1
		}
	}
	return i
}

// EachMember calls f with every key and raw value of the object in s, until f
// returns false. Keys with escapes are unescaped. ok is false if s is not an
// object up to where it was read.
func EachMember(s string, f func(key, value string) bool) (ok bool) {
	i := SkipSpace(s, 0)
	if i >= len(s) || s[i] != '{' {
		return false
	}
	i = SkipSpace(s, i+1)
	if i < len(s) && s[i] == '}' {
		return true
	}
	for i < len(s) && s[i] == '"' {
		end := SkipString(s, i)
		if end < 0 {
			return false
		}
		key := Unquote(s[i:end])
		if i = SkipSpace(s, end); i >= len(s) || s[i] != ':' {
			return false
		}
		i = SkipSpace(s, i+1)
		if end = SkipValue(s, i, 0); end < 0 {
			return false
		}
		if !f(key, s[i:end]) {
			return true
		}
		if i = SkipSpace(s, end); i < len(s) && s[i] == '}' {
			return true
		}
		if i >= len(s) || s[i] != ',' {
			return false
		}
		i = SkipSpace(s, i+1)
	}
	return false
}

// Member returns the raw value of one key of the object in s, "" if absent.
func Member(s, key string) (value string) {
	EachMember(s, func(k, v string) bool {
		if k == key {
			value = v // the last one counts, as everywhere
		}
		return true
	})
	return value
}

// Unquote turns a valid JSON string with its quotes into its text. Without
// escapes it is a part of s itself.
func Unquote(s string) string {
	s = s[1 : len(s)-1]
	n := PlainPrefix(s)
	if n == len(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		c := s[i]
		if c != '\\' {
			r, size := utf8.DecodeRuneInString(s[i:])
			b = utf8.AppendRune(b, r)
			i += size
			continue
		}
		c = s[i+1]
		i += 2
		if at := slices.Index([]byte(`"\/bfnrt`), c); at >= 0 {
			b = append(b, "\"\\/\b\f\n\r\t"[at])
			continue
		}
		r, _ := hex4(s, i)
		i += 4
		if r >= 0xd800 && r < 0xdc00 && i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
			if low, _ := hex4(s, i+2); low >= 0xdc00 && low < 0xe000 {
				r = (r-0xd800)<<10 + low - 0xdc00 + 0x10000
				i += 6
			}
		}
		b = utf8.AppendRune(b, r) // a lone surrogate becomes U+FFFD
	}
	return string(b)
}
