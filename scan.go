package analytics

import (
	"encoding/json"
	"errors"
	"slices"
	"time"
	"unicode/utf8"
	"unsafe"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// The scanner walks JSON without building anything. Each function takes the text
// and an offset, and returns the offset behind what it skipped, or -1. It works on
// strings; text turns bytes into one without a copy.

func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

func validJSON(b []byte) bool {
	s := text(b)
	end := skipValue(s, skipSpace(s, 0), 0)
	return end >= 0 && skipSpace(s, end) == len(s)
}

func skipSpace(s string, i int) int {
	for i < len(s) && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

func skipValue(s string, i, depth int) int {
	if i < 0 || i >= len(s) {
		return -1
	}
	switch c := s[i]; c {
	case '"':
		return skipString(s, i)
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
		return skipNumber(s, i)
	}
}

func skipWord(s string, i int, word string) int {
	if len(s)-i < len(word) || s[i:i+len(word)] != word {
		return -1
	}
	return i + len(word)
}

func skipObject(s string, i, depth int) int {
	if depth >= maxDepth {
		return -1
	}
	i = skipSpace(s, i+1)
	if i < len(s) && s[i] == '}' {
		return i + 1
	}
	for i < len(s) {
		if s[i] != '"' {
			return -1
		}
		if i = skipString(s, i); i < 0 {
			return -1
		}
		if i = skipSpace(s, i); i >= len(s) || s[i] != ':' {
			return -1
		}
		if i = skipValue(s, skipSpace(s, i+1), depth+1); i < 0 {
			return -1
		}
		if i = skipSpace(s, i); i >= len(s) {
			return -1
		}
		if s[i] == '}' {
			return i + 1
		}
		if s[i] != ',' {
			return -1
		}
		i = skipSpace(s, i+1)
	}
	return -1
}

func skipArray(s string, i, depth int) int {
	if depth >= maxDepth {
		return -1
	}
	i = skipSpace(s, i+1)
	if i < len(s) && s[i] == ']' {
		return i + 1
	}
	for i < len(s) {
		if i = skipValue(s, i, depth+1); i < 0 {
			return -1
		}
		if i = skipSpace(s, i); i >= len(s) {
			return -1
		}
		if s[i] == ']' {
			return i + 1
		}
		if s[i] != ',' {
			return -1
		}
		i = skipSpace(s, i+1)
	}
	return -1
}

// skipString skips the string that begins with the quote at i.
func skipString(s string, i int) int {
	for i++; i < len(s); {
		i += jsontext.PlainPrefix(s[i:])
		if i >= len(s) {
			return -1
		}
		switch c := s[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c != '\\':
			i++ // beyond ASCII
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
	return -1
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

func skipNumber(s string, i int) int {
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

// eachMember calls f with every key and raw value of the object in s, until f
// returns false. Keys with escapes are unescaped. ok is false if s is not an
// object up to where it was read.
func eachMember(s string, f func(key, value string) bool) (ok bool) {
	i := skipSpace(s, 0)
	if i >= len(s) || s[i] != '{' {
		return false
	}
	i = skipSpace(s, i+1)
	if i < len(s) && s[i] == '}' {
		return true
	}
	for i < len(s) && s[i] == '"' {
		end := skipString(s, i)
		if end < 0 {
			return false
		}
		key := unquote(s[i:end])
		if i = skipSpace(s, end); i >= len(s) || s[i] != ':' {
			return false
		}
		i = skipSpace(s, i+1)
		if end = skipValue(s, i, 0); end < 0 {
			return false
		}
		if !f(key, s[i:end]) {
			return true
		}
		if i = skipSpace(s, end); i < len(s) && s[i] == '}' {
			return true
		}
		if i >= len(s) || s[i] != ',' {
			return false
		}
		i = skipSpace(s, i+1)
	}
	return false
}

// member returns the raw value of one key of the object in s, "" if absent.
func member(s, key string) (value string) {
	eachMember(s, func(k, v string) bool {
		if k == key {
			value = v // the last one counts, as everywhere
		}
		return true
	})
	return value
}

// unquote turns a valid JSON string with its quotes into its text. Without
// escapes it is a part of s itself.
func unquote(s string) string {
	s = s[1 : len(s)-1]
	n := jsontext.PlainPrefix(s)
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

// parseValue builds the value at i, which skipValue has found valid: nil, bool,
// string, json.Number, []any or map[string]any. Strings are parts of s.
func parseValue(s string, i int) (v any, end int) {
	switch s[i] {
	case '"':
		end = skipString(s, i)
		return unquote(s[i:end]), end
	case '{':
		return parseObject(s, i)
	case '[':
		list := []any{}
		i = skipSpace(s, i+1)
		if s[i] == ']' {
			return list, i + 1
		}
		for {
			v, i = parseValue(s, i)
			list = append(list, v)
			if i = skipSpace(s, i); s[i] == ']' {
				return list, i + 1
			}
			i = skipSpace(s, i+1)
		}
	case 't':
		return true, i + 4
	case 'f':
		return false, i + 5
	case 'n':
		return nil, i + 4
	}
	end = skipNumber(s, i)
	return json.Number(s[i:end]), end
}

func parseObject(s string, i int) (m map[string]any, end int) {
	m = map[string]any{}
	i = skipSpace(s, i+1)
	if s[i] == '}' {
		return m, i + 1
	}
	for {
		end := skipString(s, i)
		key := unquote(s[i:end])
		i = skipSpace(s, skipSpace(s, end)+1)
		m[key], i = parseValue(s, i)
		if i = skipSpace(s, i); s[i] == '}' {
			return m, i + 1
		}
		i = skipSpace(s, i+1)
	}
}

var errNotObject = errors.New("analytics: not a JSON object")

// decodeObject decodes one JSON object.
func decodeObject(raw []byte) (map[string]any, error) {
	s := string(raw)
	i := skipSpace(s, 0)
	if i >= len(s) || s[i] != '{' {
		return nil, errNotObject
	}
	if end := skipValue(s, i, 0); end < 0 || skipSpace(s, end) != len(s) {
		return nil, errors.New("analytics: malformed JSON, or nested too deeply")
	}
	m, _ := parseObject(s, i)
	return m, nil
}

// isoLayouts are the forms of ISO 8601 that are taken for a date, besides RFC 3339.
// Without a zone it is UTC.
var isoLayouts = []string{
	time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04Z07:00",
	"2006-01-02T15:04", "2006-01-02", "20060102T150405Z0700", "20060102T150405", "20060102",
}

func parseTime(s string) (time.Time, bool) {
	for _, layout := range isoLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			return t, !t.IsZero() && inRange(t)
		}
	}
	return time.Time{}, false
}

// The years 1 to 9999 of UTC, in Unix seconds.
const (
	minTime = -62135596800
	maxTime = 253402300799
)

func inRange(t time.Time) bool { return t.Unix() >= minTime && t.Unix() <= maxTime }
