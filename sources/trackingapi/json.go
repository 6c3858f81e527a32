package trackingapi

import (
	"unsafe"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// Bodies are scanned without recursion, however deep they nest: one message that is too
// deep must not cost the others of its batch.

// text is b without a copy: a body is not changed while its parts are used.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// raw is s without a copy; it is only read.
func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// nesting is what is open: a bit for each level, set for an object.
type nesting struct {
	depth int
	few   [16]uint64
	more  []uint64
}

func (n *nesting) word(level int) *uint64 {
	if i := level / 64; i < len(n.few) {
		return &n.few[i]
	}
	i := level/64 - len(n.few)
	if i >= len(n.more) {
		n.more = append(n.more, 0)
	}
	return &n.more[i]
}

func (n *nesting) open(object bool) {
	w, bit := n.word(n.depth), uint64(1)<<(n.depth%64)
	if *w &^= bit; object {
		*w |= bit
	}
	n.depth++
}

// inObject tells what the innermost is.
func (n *nesting) inObject() bool { return *n.word(n.depth - 1)&(1<<((n.depth-1)%64)) != 0 }

// value returns the end of the value at i, or -1 if there is none. It may be of any depth.
func value(s string, i int) int {
	if end := jsontext.SkipValue(s, i, 0); end >= 0 {
		return end
	}
	return deep(s, i)
}

// deep is value without recursion, which is slower.
func deep(s string, i int) int {
	var open nesting
	for {
		// A value begins at i.
		if i >= len(s) {
			return -1
		}
		begun := false
		switch s[i] {
		case '{':
			open.open(true)
			if i = jsontext.SkipSpace(s, i+1); i < len(s) && s[i] == '}' {
				break
			}
			if i = key(s, i); i < 0 {
				return -1
			}
			begun = true
		case '[':
			open.open(false)
			i = jsontext.SkipSpace(s, i+1)
			begun = i >= len(s) || s[i] != ']'
		default:
			if i = jsontext.SkipValue(s, i, 0); i < 0 {
				return -1
			}
		}
		if begun {
			continue
		}
		if i = ended(s, i, &open); i < 0 || open.depth == 0 {
			return i
		}
	}
}

// key skips the key of a member and its colon.
func key(s string, i int) int {
	if i >= len(s) || s[i] != '"' {
		return -1
	}
	if i = jsontext.SkipString(s, i); i < 0 {
		return -1
	}
	if i = jsontext.SkipSpace(s, i); i >= len(s) || s[i] != ':' {
		return -1
	}
	return jsontext.SkipSpace(s, i+1)
}

// ended skips what closes behind a value, up to where the next one begins, or to where
// nothing is open.
func ended(s string, i int, open *nesting) int {
	for open.depth > 0 {
		i = jsontext.SkipSpace(s, i)
		if i >= len(s) {
			return -1
		}
		object := open.inObject()
		switch {
		case s[i] == ',' && object:
			return key(s, jsontext.SkipSpace(s, i+1))
		case s[i] == ',':
			return jsontext.SkipSpace(s, i+1)
		case s[i] == '}' && object, s[i] == ']' && !object:
			open.depth--
			i++
		default:
			return -1
		}
	}
	return i
}

// skip returns the end of the value at i of valid JSON.
func skip(s string, i int) int {
	depth := 0
	for {
		switch s[i] {
		case '"':
			i = jsontext.SkipString(s, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
			continue
		default:
			i = jsontext.SkipValue(s, i, 0)
		}
		if depth == 0 {
			return i
		}
	}
}

// eachMember calls f with every key and value of an object in valid JSON; false if it is
// none.
func eachMember(s string, f func(key, value string)) bool {
	i := jsontext.SkipSpace(s, 0)
	if s[i] != '{' {
		return false
	}
	for i = jsontext.SkipSpace(s, i+1); s[i] != '}'; {
		end := jsontext.SkipString(s, i)
		name := s[i:end]
		i = jsontext.SkipSpace(s, jsontext.SkipSpace(s, end)+1)
		end = skip(s, i)
		f(jsontext.Unquote(name), s[i:end])
		if i = jsontext.SkipSpace(s, end); s[i] == ',' {
			i = jsontext.SkipSpace(s, i+1)
		}
	}
	return true
}

// eachElement calls f with every element of a list in valid JSON, until f returns false.
func eachElement(list string, f func(string) bool) {
	i := jsontext.SkipSpace(list, 1)
	for list[i] != ']' {
		end := skip(list, i)
		if !f(list[i:end]) {
			return
		}
		if i = jsontext.SkipSpace(list, end); list[i] == ',' {
			i = jsontext.SkipSpace(list, i+1)
		}
	}
}

// member is the value of one key of an object in valid JSON, the last of equal ones;
// empty if there is none.
func member(s, key string) (found string) {
	eachMember(s, func(k, value string) {
		if k == key {
			found = value
		}
	})
	return found
}

// str is the text of a JSON value that is one, else nothing.
func str(value string) string {
	if value == "" || value[0] != '"' {
		return ""
	}
	return jsontext.Unquote(value)
}
