package analytics

import (
	"encoding/json"
	"errors"
	"time"
	"unsafe"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// text turns bytes into a string without a copy, for the scanner of internal/jsontext.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// parseValue builds the value at i, which jsontext.SkipValue has found valid: nil, bool,
// string, json.Number, []any or map[string]any. Strings are parts of s.
func parseValue(s string, i int) (v any, end int) {
	switch s[i] {
	case '"':
		end = jsontext.SkipString(s, i)
		return jsontext.Unquote(s[i:end]), end
	case '{':
		return parseObject(s, i)
	case '[':
		list := []any{}
		i = jsontext.SkipSpace(s, i+1)
		if s[i] == ']' {
			return list, i + 1
		}
		for {
			v, i = parseValue(s, i)
			list = append(list, v)
			if i = jsontext.SkipSpace(s, i); s[i] == ']' {
				return list, i + 1
			}
			i = jsontext.SkipSpace(s, i+1)
		}
	case 't':
		return true, i + 4
	case 'f':
		return false, i + 5
	case 'n':
		return nil, i + 4
	}
	end = jsontext.SkipNumber(s, i)
	return json.Number(s[i:end]), end
}

func parseObject(s string, i int) (m map[string]any, end int) {
	m = map[string]any{}
	i = jsontext.SkipSpace(s, i+1)
	if s[i] == '}' {
		return m, i + 1
	}
	for {
		end := jsontext.SkipString(s, i)
		key := jsontext.Unquote(s[i:end])
		i = jsontext.SkipSpace(s, jsontext.SkipSpace(s, end)+1)
		m[key], i = parseValue(s, i)
		if i = jsontext.SkipSpace(s, i); s[i] == '}' {
			return m, i + 1
		}
		i = jsontext.SkipSpace(s, i+1)
	}
}

var errNotObject = errors.New("analytics: not a JSON object")

// decodeObject decodes one JSON object.
func decodeObject(raw []byte) (map[string]any, error) {
	s := string(raw)
	i := jsontext.SkipSpace(s, 0)
	if i >= len(s) || s[i] != '{' {
		return nil, errNotObject
	}
	if end := jsontext.SkipValue(s, i, 0); end < 0 || jsontext.SkipSpace(s, end) != len(s) {
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
