package analytics

import (
	"bytes"
	"encoding"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// The append-style encoder. It writes what encoding/json would, but for four
// things: maps keep the order of iteration, HTML is not escaped, an error names
// the path to the value, and nothing is allocated for the types that messages are
// made of.
//
//   - NaN and infinities, channels, funcs, complex numbers: an error.
//   - Invalid UTF-8: each bad byte becomes U+FFFD.
//   - Cycles, anything nested deeper than maxDepth or larger than maxValue: an error.
//   - time.Time: RFC 3339 with its zone. []byte: base64. time.Duration: nanoseconds.
//   - AppendJSON is asked of properties and traits, and of the values in maps and
//     lists; structs are left to encoding/json, which asks for MarshalJSON.

// maxDepth is how deep objects and lists may nest, in what is encoded and in what
// is decoded. maxValue ends the encoding of values that will be refused anyway, in
// bytes.
const (
	maxDepth = jsontext.MaxDepth
	maxValue = 1 << 20
)

// jsonAppender is a value that appends its own JSON, as generated types do.
type jsonAppender interface {
	AppendJSON([]byte) ([]byte, error)
}

// at puts key in front of the path of an error.
func at(key string, err error) error {
	inv, ok := err.(*InvalidError)
	if !ok {
		inv = &InvalidError{Reason: err.Error()}
	}
	if inv.Field != "" {
		key += "." + inv.Field
	}
	return &InvalidError{Field: key, Reason: inv.Reason, cause: inv.cause}
}

func appendValue(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return jsontext.AppendString(b, v), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case float64:
		return appendFloat(b, v, 64)
	case map[string]any:
		return appendMap(b, v, depth)
	case Properties:
		return appendMap(b, v, depth)
	case Traits:
		return appendMap(b, v, depth)
	case []any:
		return appendList(b, v, depth, appendValue)
	case json.Number:
		return appendNumber(b, v)
	case int64:
		return strconv.AppendInt(b, v, 10), nil
	case int32:
		return strconv.AppendInt(b, int64(v), 10), nil
	case uint64:
		return strconv.AppendUint(b, v, 10), nil
	case uint32:
		return strconv.AppendUint(b, uint64(v), 10), nil
	case uint:
		return strconv.AppendUint(b, uint64(v), 10), nil
	case float32:
		return appendFloat(b, float64(v), 32)
	case time.Time:
		return appendZonedTime(b, v)
	case []string:
		return appendList(b, v, depth, func(b []byte, s string, _ int) ([]byte, error) { return jsontext.AppendString(b, s), nil })
	case []map[string]any:
		return appendList(b, v, depth, appendNilableMap)
	case map[string]string:
		return appendStrings(b, v)
	case jsonAppender:
		return appendOwn(b, v, depth)
	}
	return appendReflected(b, v, depth)
}

func appendMap(b []byte, m map[string]any, depth int) ([]byte, error) {
	if m == nil {
		return append(b, "null"...), nil
	}
	if depth >= maxDepth {
		return b, errTooDeep
	}
	b = append(b, '{')
	for k, v := range m {
		b = jsontext.AppendKey(b, k)
		var err error
		if b, err = appendValue(b, v, depth+1); err != nil {
			return b, at(k, err)
		}
		if b = append(b, ','); len(b) > maxValue {
			return b, errTooLarge
		}
	}
	return closeWith(b, '{', '}'), nil
}

var errTooLarge = &InvalidError{Reason: "is larger than " + strconv.Itoa(maxValue) + " bytes"}

var errTooDeep = &InvalidError{Reason: "nested deeper than " + strconv.Itoa(maxDepth) + " levels, or a cycle"}

// closeWith ends an object or a list of which every member wrote a comma.
func closeWith(b []byte, opening, closing byte) []byte {
	if b[len(b)-1] == ',' {
		b[len(b)-1] = closing
		return b
	}
	return append(b, closing)
}

func appendNilableMap(b []byte, m map[string]any, depth int) ([]byte, error) {
	return appendMap(b, m, depth)
}

func appendList[T any](b []byte, list []T, depth int, one func([]byte, T, int) ([]byte, error)) ([]byte, error) {
	if list == nil {
		return append(b, "null"...), nil
	}
	if depth >= maxDepth {
		return b, errTooDeep
	}
	b = append(b, '[')
	for i, v := range list {
		var err error
		if b, err = one(b, v, depth+1); err != nil {
			return b, at(strconv.Itoa(i), err)
		}
		if b = append(b, ','); len(b) > maxValue {
			return b, errTooLarge
		}
	}
	return closeWith(b, '[', ']'), nil
}

func appendStrings(b []byte, m map[string]string) ([]byte, error) {
	if m == nil {
		return append(b, "null"...), nil
	}
	b = append(b, '{')
	for k, v := range m {
		b = jsontext.AppendKey(b, k)
		b = append(jsontext.AppendString(b, v), ',')
	}
	return closeWith(b, '{', '}'), nil
}

// appendOwn lets a value append its own JSON and checks what it wrote: one bad
// value would take the whole batch with it. The value never sees what stands before.
func appendOwn(b []byte, v jsonAppender, depth int) (_ []byte, err error) {
	if p := reflect.ValueOf(v); p.Kind() == reflect.Pointer && p.IsNil() {
		return append(b, "null"...), nil
	}
	defer func() {
		if thrown := recover(); thrown != nil {
			err = panicError(v, thrown)
		}
	}()
	room := b[len(b):]
	if cap(room) > 0 {
		room[:1][0] = 0 // no JSON begins so: what was there before is not taken for what it wrote
	}
	own, err := v.AppendJSON(room)
	if err != nil {
		return b, &InvalidError{Reason: fmt.Sprintf("AppendJSON of %T failed", v), cause: err}
	}
	return appendForeign(b, own, v, depth)
}

// appendForeign appends JSON that is not of our making.
func appendForeign(b, own []byte, from any, depth int) ([]byte, error) {
	s := text(own)
	start := jsontext.SkipSpace(s, 0)
	end := jsontext.SkipValue(s, start, depth)
	switch {
	case end >= 0 && jsontext.SkipSpace(s, end) == len(s):
	default:
		return b, invalid("", "%T wrote something that is not JSON, or is nested too deeply", from)
	}
	if own = own[start:end]; !utf8.Valid(own) {
		own = bytes.ToValidUTF8(own, []byte("\ufffd"))
	}
	return append(b, own...), nil
}

// appendReflected is for what the type switch does not know.
func appendReflected(b []byte, v any, depth int) ([]byte, error) {
	switch v := v.(type) {
	case json.Marshaler, encoding.TextMarshaler:
		return appendMarshaled(b, v, depth)
	case []byte:
		if v == nil {
			return append(b, "null"...), nil
		}
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v)
		return append(b, '"'), nil
	}
	r := reflect.ValueOf(v)
	switch r.Kind() {
	case reflect.Bool:
		return strconv.AppendBool(b, r.Bool()), nil
	case reflect.String:
		return jsontext.AppendString(b, r.String()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.AppendInt(b, r.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr:
		return strconv.AppendUint(b, r.Uint(), 10), nil
	case reflect.Float32, reflect.Float64:
		return appendFloat(b, r.Float(), r.Type().Bits())
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return b, invalid("", "a %s has no JSON", r.Type())
	}
	if depth >= maxDepth {
		return b, errTooDeep
	}
	switch r.Kind() {
	case reflect.Pointer:
		if r.IsNil() {
			return append(b, "null"...), nil
		}
		switch elem := r.Elem(); {
		case elem.Kind() == reflect.Struct: // a pointer to it may have more methods
		case elem.Kind() == reflect.Array && elem.Type().Elem().Kind() != reflect.Uint8: // so may pointers into it
			return appendReflectedList(b, elem, depth)
		default:
			return appendValue(b, elem.Interface(), depth+1)
		}
	case reflect.Map:
		if r.Type().Key().Kind() == reflect.String && !r.Type().Key().Implements(textMarshaler) {
			return appendReflectedMap(b, r, depth)
		}
	case reflect.Slice, reflect.Array:
		if r.Type().Elem().Kind() != reflect.Uint8 {
			return appendReflectedList(b, r, depth)
		}
	}
	return appendMarshaled(b, v, depth)
}

var textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

func appendReflectedMap(b []byte, m reflect.Value, depth int) ([]byte, error) {
	if m.IsNil() {
		return append(b, "null"...), nil
	}
	b = append(b, '{')
	for it := m.MapRange(); it.Next(); {
		k := it.Key().String()
		b = jsontext.AppendKey(b, k)
		var err error
		if b, err = appendValue(b, it.Value().Interface(), depth+1); err != nil {
			return b, at(k, err)
		}
		if b = append(b, ','); len(b) > maxValue {
			return b, errTooLarge
		}
	}
	return closeWith(b, '{', '}'), nil
}

func appendReflectedList(b []byte, list reflect.Value, depth int) ([]byte, error) {
	if list.Kind() == reflect.Slice && list.IsNil() {
		return append(b, "null"...), nil
	}
	b = append(b, '[')
	for i := range list.Len() {
		v := list.Index(i)
		if v.CanAddr() && v.Kind() != reflect.Interface && v.Kind() != reflect.Pointer {
			v = v.Addr() // which may have more methods
		}
		var err error
		if b, err = appendValue(b, v.Interface(), depth+1); err != nil {
			return b, at(strconv.Itoa(i), err)
		}
		if b = append(b, ','); len(b) > maxValue {
			return b, errTooLarge
		}
	}
	return closeWith(b, '[', ']'), nil
}

// appendMarshaled leaves structs, marshalers and maps with other keys to
// encoding/json, which knows their rules. Its errors may quote values, so they are
// only named by kind.
func appendMarshaled(b []byte, v any, depth int) ([]byte, error) {
	var own appendWriter
	enc := json.NewEncoder(&own)
	enc.SetEscapeHTML(false)
	err := protect(v, func() error { return enc.Encode(v) })
	var value *json.UnsupportedValueError
	var kind *json.UnsupportedTypeError
	switch {
	case err == nil:
		return appendForeign(b, own, v, depth)
	case errors.As(err, &value):
		return b, &InvalidError{Reason: value.Str + " is not a JSON value", cause: err}
	case errors.As(err, &kind):
		return b, &InvalidError{Reason: fmt.Sprintf("a %s has no JSON", kind.Type), cause: err}
	case errors.Is(err, errPanic):
		return b, err
	}
	return b, &InvalidError{Reason: fmt.Sprintf("a %T does not encode", v), cause: err}
}

type appendWriter []byte

func (w *appendWriter) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

func appendNumber(b []byte, n json.Number) ([]byte, error) {
	if end := jsontext.SkipNumber(string(n), 0); end != len(n) || end == 0 {
		return b, invalid("", "a json.Number that is not a number")
	}
	return append(b, n...), nil
}

// appendFloat writes a float as encoding/json does: plain digits in the middle
// range, an exponent outside of it.
func appendFloat(b []byte, f float64, bits int) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return b, invalid("", "%v is not a JSON number", f)
	}
	abs := math.Abs(f)
	exact := 1e15
	if bits == 32 {
		exact = 1 << 24
	}
	if i := int64(f); abs < exact && float64(i) == f && (i != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(b, i, 10), nil
	}
	if i := int64(math.Round(abs * 1e4)); bits == 64 && abs >= 1e-4 && abs < 1e9 && float64(i)/1e4 == abs {
		return appendFixed(b, i, math.Signbit(f)), nil
	}
	small, large := abs < 1e-6, abs >= 1e21
	if bits == 32 {
		small, large = float32(abs) < 1e-6, float32(abs) >= 1e21
	}
	if abs == 0 || !small && !large {
		return strconv.AppendFloat(b, f, 'f', -1, bits), nil
	}
	b = strconv.AppendFloat(b, f, 'e', -1, bits)
	if n := len(b); n >= 4 && b[n-4] == 'e' && b[n-3] == '-' && b[n-2] == '0' { // e-09 becomes e-9
		b[n-2] = b[n-1]
		b = b[:n-1]
	}
	return b, nil
}

// appendFixed writes n/10000. A decimal of so few digits is the shortest one for its
// float64, so it is what strconv finds after a longer search.
func appendFixed(b []byte, n int64, negative bool) []byte {
	if negative {
		b = append(b, '-')
	}
	b = strconv.AppendInt(b, n/1e4, 10)
	rest := n % 1e4
	if rest == 0 {
		return b
	}
	b = append(b, '.', pairs[rest/100*2], pairs[rest/100*2+1], pairs[rest%100*2], pairs[rest%100*2+1])
	for b[len(b)-1] == '0' {
		b = b[:len(b)-1]
	}
	return b
}

const hexDigits = "0123456789abcdef"

// appendTime writes t, in the years 0 to 9999, in UTC as ISO 8601 with milliseconds,
// or with as many more digits, in threes, as t has.
func appendTime(b []byte, t time.Time) []byte {
	sec := t.Unix()
	days, rest := sec/86400, int(sec%86400)
	if rest < 0 {
		days, rest = days-1, rest+86400
	}
	year, month, day := civil(days)
	a := [30]byte([]byte(`"0000-00-00T00:00:00.000000000`))
	put2(&a, 1, year/100)
	put2(&a, 3, year%100)
	put2(&a, 6, month)
	put2(&a, 9, day)
	put2(&a, 12, rest/3600)
	put2(&a, 15, rest/60%60)
	put2(&a, 18, rest%60)
	ns := t.Nanosecond()
	put3(&a, 21, ns/1e6)
	n := 24
	if ns%1e6 != 0 {
		put3(&a, 24, ns/1e3%1e3)
		n = 27
		if ns%1e3 != 0 {
			put3(&a, 27, ns%1e3)
			n = 30
		}
	}
	return append(append(b, a[:n]...), 'Z', '"')
}

// pairs are the numbers from 00 to 99.
const pairs = "00010203040506070809" + "10111213141516171819" + "20212223242526272829" + "30313233343536373839" + "40414243444546474849" +
	"50515253545556575859" + "60616263646566676869" + "70717273747576777879" + "80818283848586878889" + "90919293949596979899"

func put2(a *[30]byte, at, n int) {
	a[at], a[at+1] = pairs[2*n], pairs[2*n+1]
}

func put3(a *[30]byte, at, n int) {
	a[at] = '0' + byte(n/100)
	put2(a, at+1, n%100)
}

// civil turns days since 1970-01-01 into a date of the Gregorian calendar, by
// counting from March in eras of 400 years.
func civil(days int64) (year, month, day int) {
	z := days + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = int(doy - (153*mp+2)/5 + 1)
	month = int(mp + 3)
	if month > 12 {
		month -= 12
	}
	year = int(yoe + era*400)
	if month <= 2 {
		year++
	}
	return year, month, day
}

// appendZonedTime keeps the zone, as encoding/json does.
func appendZonedTime(b []byte, t time.Time) ([]byte, error) {
	out, err := t.AppendText(append(b, '"'))
	if err != nil {
		return b, invalid("", "a time in the year %d, or in a zone of a day or more", t.Year())
	}
	return append(out, '"'), nil
}

// appendUUID appends a UUIDv7: milliseconds, the fraction of one in 12 bits, and 62
// bits from the ChaCha8 source of the runtime. Ids sort by time, which is what
// databases like best.
func appendUUID(b []byte, now time.Time) []byte {
	fraction := uint64(now.Nanosecond()%1e6) << 12 / 1e6
	hi := uint64(now.UnixMilli())<<16 | 0x7000 | fraction
	lo := 1<<63 | rand.Uint64()>>2
	a := [36]byte([]byte("00000000-0000-0000-0000-000000000000"))
	for i, at := range [...]int{0, 2, 4, 6, 9, 11, 14, 16} {
		putHex(&a, at, byte(hi>>(56-8*i)))
	}
	for i, at := range [...]int{19, 21, 24, 26, 28, 30, 32, 34} {
		putHex(&a, at, byte(lo>>(56-8*i)))
	}
	return append(b, a[:]...)
}

func putHex(a *[36]byte, at int, c byte) {
	a[at], a[at+1] = hexDigits[c>>4], hexDigits[c&15]
}
