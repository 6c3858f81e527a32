package dest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// JSON writes one JSON value by appending. Commas are put where they belong, HTML is
// not escaped, and objects of an event are written with their keys in order, so that
// the same event is always the same bytes. The zero JSON is ready; for one goroutine.
type JSON struct {
	// MaxText cuts the texts of values, also inside objects and lists, to so many
	// characters. Zero: no limit. Keys are not cut. It can change at any time.
	MaxText int

	b   []byte
	err error
}

// itemBytes is the room for an ordinary item.
const itemBytes = 1024

// NewJSON returns a writer with room for an ordinary item.
func NewJSON() *JSON { return &JSON{b: make([]byte, 0, itemBytes)} }

// Bytes returns what was written, or the first value that could not be.
func (j *JSON) Bytes() ([]byte, error) { return j.b, j.err }

// Len is how many bytes are written.
func (j *JSON) Len() int { return len(j.b) }

// Open begins an object.
func (j *JSON) Open() { j.comma(); j.b = append(j.b, '{') }

// Close ends an object.
func (j *JSON) Close() { j.b = append(j.b, '}') }

// OpenList begins a list.
func (j *JSON) OpenList() { j.comma(); j.b = append(j.b, '[') }

// CloseList ends a list.
func (j *JSON) CloseList() { j.b = append(j.b, ']') }

// OpenAt begins the object that is the member key.
func (j *JSON) OpenAt(key string) { j.Key(key); j.b = append(j.b, '{') }

// OpenListAt begins the list that is the member key.
func (j *JSON) OpenListAt(key string) { j.Key(key); j.b = append(j.b, '[') }

// Key begins a member; a value has to follow.
func (j *JSON) Key(key string) { j.comma(); j.b = jsontext.AppendKey(j.b, key) }

// comma separates from what is before, unless that has just been opened.
func (j *JSON) comma() {
	if n := len(j.b); n > 0 {
		switch j.b[n-1] {
		case '{', '[', ':':
		default:
			j.b = append(j.b, ',')
		}
	}
}

// Text writes the member key.
func (j *JSON) Text(key, s string) { j.Key(key); j.b = j.appendText(j.b, s) }

// TextUnlessEmpty writes the member key if there is something to write.
func (j *JSON) TextUnlessEmpty(key, s string) {
	if s != "" {
		j.Text(key, s)
	}
}

// Int writes the member key.
func (j *JSON) Int(key string, n int64) { j.Key(key); j.b = strconv.AppendInt(j.b, n, 10) }

// Number writes the member key with the digits of n.
func (j *JSON) Number(key string, n json.Number) { j.Key(key); j.append(n) }

// Bool writes the member key.
func (j *JSON) Bool(key string, v bool) { j.Key(key); j.b = strconv.AppendBool(j.b, v) }

// Time writes the member key as ISO 8601 in UTC, see [FormatTime].
func (j *JSON) Time(key string, t time.Time) {
	j.Key(key)
	j.b = append(AppendTime(append(j.b, '"'), t), '"')
}

// Field writes the member key, unless v is empty.
func (j *JSON) Field(key string, v Value) {
	if !v.Empty() {
		j.Key(key)
		j.value(v)
	}
}

// Any writes the member key with a value of an event, which may be null.
func (j *JSON) Any(key string, v any) { j.Key(key); j.append(v) }

// Value writes v as an element of a list.
func (j *JSON) Value(v Value) { j.comma(); j.value(v) }

// Raw writes JSON as an element of a list, or as the value behind [JSON.Key].
func (j *JSON) Raw(raw []byte) { j.comma(); j.b = append(j.b, raw...) }

// Object writes the members of m into the open object, in the order of their keys, but
// for those that skip names; nil skips none.
func (j *JSON) Object(m map[string]any, skip func(key string) bool) {
	var few [32]string
	for _, key := range sortedKeys(few[:0], m) {
		if skip == nil || !skip(key) {
			j.Any(key, m[key])
		}
	}
}

func sortedKeys(keys []string, m map[string]any) []string {
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

func (j *JSON) value(v Value) {
	switch v.kind {
	case text:
		j.b = j.appendText(j.b, v.s)
	case number:
		j.b = append(j.b, v.s...)
	case boolean:
		j.b = strconv.AppendBool(j.b, v.b)
	case other:
		j.append(v.v)
	default:
		j.b = append(j.b, "null"...)
	}
}

func (j *JSON) append(v any) {
	var err error
	if j.b, err = j.appendAny(j.b, v, 0); err != nil {
		j.fail(err)
	}
}

func (j *JSON) appendText(b []byte, s string) []byte {
	if j.MaxText > 0 {
		s = Truncate(s, j.MaxText)
	}
	return jsontext.AppendString(b, s)
}

func (j *JSON) fail(err error) {
	if j.err == nil {
		j.err = err
	}
}

// maxDepth is how deep events nest; what a plugin has made may be a cycle.
const maxDepth = 100

var (
	errNumber = &analytics.InvalidError{Field: "event", Reason: "holds a number that is none"}
	errDepth  = &analytics.InvalidError{Field: "event", Reason: "is nested deeper than " + strconv.Itoa(maxDepth) + " levels"}
	errValue  = &analytics.InvalidError{Field: "event", Reason: "holds a value that JSON cannot express"}
)

func (j *JSON) appendAny(b []byte, v any, depth int) ([]byte, error) {
	if depth > maxDepth {
		return b, errDepth
	}
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return j.appendText(b, v), nil
	case json.Number:
		if !isNumber(string(v)) {
			return append(b, "null"...), errNumber
		}
		return append(b, v...), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case map[string]any:
		return j.appendObject(b, v, depth)
	case []any:
		return j.appendList(b, v, depth)
	}
	return j.appendForeign(b, v, depth)
}

func (j *JSON) appendObject(b []byte, m map[string]any, depth int) (_ []byte, err error) {
	if m == nil {
		return append(b, "null"...), nil
	}
	var few [16]string
	b = append(b, '{')
	for i, key := range sortedKeys(few[:0], m) {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = j.appendAny(jsontext.AppendKey(b, key), m[key], depth+1); err != nil {
			return b, err
		}
	}
	return append(b, '}'), nil
}

func (j *JSON) appendList(b []byte, list []any, depth int) (_ []byte, err error) {
	b = append(b, '[')
	for i, v := range list {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = j.appendAny(b, v, depth+1); err != nil {
			return b, err
		}
	}
	return append(b, ']'), nil
}

// appendForeign writes what only a plugin can have put into an event, as [Of] reads it.
func (j *JSON) appendForeign(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case analytics.Properties:
		return j.appendObject(b, v, depth)
	case analytics.Traits:
		return j.appendObject(b, v, depth)
	case time.Time:
		return append(AppendTime(append(b, '"'), v), '"'), nil
	case float64:
		if n := Float(v); n.IsNumber() {
			return append(b, n.s...), nil
		}
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return append(b, "null"...), errValue
	}
	back, err := decode(raw)
	if err != nil {
		return append(b, "null"...), errValue
	}
	return j.appendAny(b, back, depth)
}

// Marshal is json.Marshal without escaping HTML.
func Marshal(v any) ([]byte, error) {
	var w bytes.Buffer
	enc := json.NewEncoder(&w)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(w.Bytes(), []byte("\n")), nil
}

// Canonical returns the JSON with the keys of its objects in order.
func Canonical(raw []byte) ([]byte, error) {
	v, err := decode(raw)
	if err != nil {
		return nil, errValue
	}
	return new(JSON).appendAny(make([]byte, 0, len(raw)), v, 0)
}

// decode reads one JSON value, its numbers as json.Number.
func decode(raw []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err = dec.Decode(&v); err != nil {
		return nil, err
	}
	if _, err = dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// AppendText writes s as a JSON string.
func AppendText(b []byte, s string) []byte { return jsontext.AppendString(b, s) }
