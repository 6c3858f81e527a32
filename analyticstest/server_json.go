package analyticstest

import (
	"bytes"
	"encoding/json"
)

// The functions here take JSON apart without copying it. They rely on
// json.Valid having passed on the whole text before. Names are matched exactly,
// which encoding/json would not do.

// members splits a JSON object. Of members with the same name the last counts.
func members(object []byte) map[string]json.RawMessage {
	m := make(map[string]json.RawMessage, 16)
	i := space(object, 1)
	for object[i] != '}' {
		end := skip(object, i)
		name, _ := text(object[i:end])
		i = space(object, end)      // at the colon
		i = space(object, i+1)      // at the value
		end = skip(object, i)       // behind the value
		m[name] = object[i:end:end] // a later append must not overwrite the rest
		i = nextItem(object, end)
	}
	return m
}

// elements splits a JSON array.
func elements(array []byte) []json.RawMessage {
	var all []json.RawMessage
	i := space(array, 1)
	for array[i] != ']' {
		end := skip(array, i)
		all = append(all, array[i:end:end])
		i = nextItem(array, end)
	}
	return all
}

// nextItem goes from behind a value to the next value or the closing bracket.
func nextItem(b []byte, i int) int {
	i = space(b, i)
	if b[i] == ',' {
		i = space(b, i+1)
	}
	return i
}

// space returns the index of the first byte from i on that is not white space.
func space(b []byte, i int) int {
	for b[i] == ' ' || b[i] == '\t' || b[i] == '\n' || b[i] == '\r' {
		i++
	}
	return i
}

// skip returns the index behind the value that starts at i.
func skip(b []byte, i int) int {
	switch b[i] {
	case '"':
		return skipString(b, i)
	case '{', '[':
		return skipNested(b, i)
	}
	for i < len(b) && !bytes.ContainsRune([]byte(" \t\r\n,]}"), rune(b[i])) {
		i++
	}
	return i
}

func skipString(b []byte, i int) int {
	for i++; b[i] != '"'; i++ {
		if b[i] == '\\' {
			i++
		}
	}
	return i + 1
}

func skipNested(b []byte, i int) int {
	for depth := 0; ; {
		switch b[i] {
		case '"':
			i = skipString(b, i)
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		i++
		if depth == 0 {
			return i
		}
	}
}

// absent reports a missing member; an explicit null counts as missing too.
func absent(raw json.RawMessage) bool { return len(raw) == 0 || raw[0] == 'n' }

func isObject(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '{' }

func isArray(raw json.RawMessage) bool { return len(raw) > 0 && raw[0] == '[' }

func isBool(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == 't' || raw[0] == 'f')
}

func isNumber(raw json.RawMessage) bool {
	return len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9')
}

// text returns the value of a JSON string; ok is false for anything else.
func text(raw json.RawMessage) (s string, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if inner := raw[1 : len(raw)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return string(inner), true
	}
	err := json.Unmarshal(raw, &s)
	return s, err == nil
}
