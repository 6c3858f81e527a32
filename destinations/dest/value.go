package dest

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

type kind uint8

const (
	absent kind = iota
	text
	number
	boolean
	other // an object, a list, or what a plugin put there
)

// A Value is what was found in an event. The zero Value is absent, and so is null. Its
// methods allocate nothing unless they say so.
type Value struct {
	kind kind
	s    string // of text, and the digits of a number
	b    bool
	v    any
}

// Text is a string as a Value.
func Text(s string) Value { return Value{kind: text, s: s} }

// Flag is a boolean as a Value, absent where there is none.
func Flag(b *bool) Value {
	if b == nil {
		return Value{}
	}
	return Value{kind: boolean, b: *b}
}

// Of returns v, a value of properties or traits.
func Of(v any) Value {
	switch v := v.(type) {
	case nil:
		return Value{}
	case string:
		return Text(v)
	case json.Number:
		return ofNumber(string(v))
	case bool:
		return Value{kind: boolean, b: v}
	case map[string]any, []any:
		return Value{kind: other, v: v}
	case analytics.Properties:
		return Value{kind: other, v: map[string]any(v)}
	case analytics.Traits:
		return Value{kind: other, v: map[string]any(v)}
	case int:
		return Value{kind: number, s: strconv.Itoa(v)}
	case int64:
		return Value{kind: number, s: strconv.FormatInt(v, 10)}
	case float64:
		return Float(v)
	case time.Time:
		return Text(FormatTime(v))
	}
	return ofForeign(v)
}

// ofNumber is absent where JSON has no such number.
func ofNumber(digits string) Value {
	if !isNumber(digits) {
		return Value{}
	}
	return Value{kind: number, s: digits}
}

// ofForeign takes what only a plugin can have put there: it becomes what its JSON is.
func ofForeign(v any) Value {
	raw, err := json.Marshal(v)
	if err != nil {
		return Value{}
	}
	back, err := decode(raw)
	if err != nil {
		return Value{}
	}
	return Of(back)
}

// Float is a number as a Value, absent if JSON has none for it.
func Float(f float64) Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return Value{}
	}
	return Value{kind: number, s: strconv.FormatFloat(f, 'f', -1, 64)}
}

// Int is an integer as a Value.
func Int(n int64) Value { return Value{kind: number, s: strconv.FormatInt(n, 10)} }

// Empty tells whether there is nothing to send: absent, null, or an empty string, list
// or object.
func (v Value) Empty() bool {
	switch v.kind {
	case absent:
		return true
	case text:
		return v.s == ""
	case other:
		switch o := v.v.(type) {
		case map[string]any:
			return len(o) == 0
		case []any:
			return len(o) == 0
		}
	}
	return false
}

// String returns a string, the digits of a number, or true or false. Of anything else
// it is empty.
func (v Value) String() string {
	if v.kind == boolean {
		return strconv.FormatBool(v.b)
	}
	return v.s
}

// Text returns the string, if it is one and not empty.
func (v Value) Text() (string, bool) {
	if v.kind != text {
		return "", false
	}
	return v.s, v.s != ""
}

// Number returns the digits of a number, or of a string that holds one, as JSON has
// them: "29.50" stays as it is, so that no digit is lost.
func (v Value) Number() (json.Number, bool) {
	switch v.kind {
	case number:
		return json.Number(v.s), true
	case text:
		if s := strings.TrimSpace(v.s); isNumber(s) {
			return json.Number(s), true
		}
	}
	return "", false
}

// Float returns what [Value.Number] does as a float, if it is finite.
func (v Value) Float() (float64, bool) {
	n, ok := v.Number()
	if !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(string(n), 64)
	return f, err == nil
}

// IsNumber tells whether it is a number, and not a string that holds one.
func (v Value) IsNumber() bool { return v.kind == number }

// Bool returns the boolean, if it is one.
func (v Value) Bool() (value, ok bool) { return v.b, v.kind == boolean }

// Object returns the object, nil if it is none.
func (v Value) Object() map[string]any {
	m, _ := v.v.(map[string]any)
	return m
}

// List returns the list, nil if it is none.
func (v Value) List() []any {
	l, _ := v.v.([]any)
	return l
}

// Scalar tells whether it is a string, a number or a boolean.
func (v Value) Scalar() bool { return v.kind == text || v.kind == boolean || v.IsNumber() }

// isNumber tells whether s is a number in the grammar of JSON, with at most 400
// characters: longer ones are no float anywhere.
func isNumber(s string) bool {
	const most = 400
	i, n := 0, len(s)
	if n > most {
		return false
	}
	digits := func() bool {
		from := i
		for i < n && s[i] >= '0' && s[i] <= '9' {
			i++
		}
		return i > from
	}
	if i < n && s[i] == '-' {
		i++
	}
	if i < n && s[i] == '0' {
		i++
	} else if !digits() {
		return false
	}
	if i < n && s[i] == '.' {
		i++
		if !digits() {
			return false
		}
	}
	if i < n && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < n && (s[i] == '+' || s[i] == '-') {
			i++
		}
		if !digits() {
			return false
		}
	}
	return i == n
}

// own returns the value as it is decoded from JSON, with no part of the event in it.
func (v Value) own() (any, error) {
	switch v.kind {
	case text:
		return v.s, nil
	case number:
		return json.Number(v.s), nil
	case boolean:
		return v.b, nil
	}
	raw, err := v.JSON()
	if err != nil {
		return nil, err
	}
	return decode(raw)
}

// JSON returns the value as JSON.
func (v Value) JSON() ([]byte, error) {
	var j JSON
	j.value(v)
	return j.Bytes()
}
