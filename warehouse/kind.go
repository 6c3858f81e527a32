package warehouse

import (
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// cell is one value of an event on its way into a column. text is the value as it was
// sent, without the quotes of a string: every kind can become a String.
type cell struct {
	column int32
	kind   Kind
	lost   bool // not written: its value stands in _unmapped
	n      int64
	text   string
}

// largestExact is how far from zero every whole number is a float64.
const largestExact = 1 << 53

// fit converts the value to a kind if nothing is lost by that.
func (c *cell) fit(kind Kind) (v Value, ok bool) {
	switch {
	case c.kind == Null:
		return Value{}, true
	case c.kind == kind:
		switch kind {
		case String, JSON:
			return Value{Kind: kind, S: c.text}, true
		}
		return Value{Kind: kind, N: c.n}, true
	case kind == String:
		return Value{Kind: String, S: c.text}, true
	case kind == JSON:
		return Value{Kind: JSON, S: c.json()}, true
	case kind == Float && c.kind == Int && c.n >= -largestExact && c.n <= largestExact:
		return FloatValue(float64(c.n)), true
	case kind == Int && c.kind == Float:
		f := math.Float64frombits(uint64(c.n))
		if f == math.Trunc(f) && f >= -1<<63 && f < 1<<63 {
			return IntValue(int64(f)), true
		}
	}
	return Value{}, false
}

// json is the value as JSON.
func (c *cell) json() string {
	switch c.kind {
	case String, Time:
		if c.list() {
			return c.text
		}
		return string(jsontext.AppendString(nil, c.text))
	case Null:
		return "null"
	case Int, Float:
		if unbearable(c.text) {
			return string(jsontext.AppendString(nil, c.text))
		}
	}
	return c.text
}

// list tells whether the text of a String is a list, and number 1 says so.
func (c *cell) list() bool { return c.kind == String && c.n == isJSON }

// What n says of a String: that it is the JSON text of something else.
const isJSON = 1

// kinds is a set of kinds, those of the values of a column.
type kindSet uint8

const wideInt = kindSet(1) << 7 // an Int that is no float64

func (s *kindSet) add(c *cell) {
	*s |= 1 << c.kind
	if c.kind == Int && (c.n < -largestExact || c.n > largestExact) {
		*s |= wideInt
	}
}

// join is the kind of a column that can hold them all.
func (s kindSet) join(name string) Kind {
	switch s {
	case 1 << Bool:
		return Bool
	case 1 << Int:
		if fractional[name] {
			return Float
		}
		return Int
	case 1<<Int | wideInt:
		return Int
	case 1 << Float, 1<<Float | 1<<Int:
		return Float
	case 1 << Time:
		return Time
	}
	if s&(1<<JSON) != 0 {
		return JSON
	}
	return String
}

// fractional are the amounts of money in the semantic events, and the fields of the context
// that have decimals as a rule: in a new column they are Float, also if the first ones
// happen to be whole.
var fractional = words(`revenue price value total subtotal tax shipping discount
	context_location_latitude context_location_longitude context_location_speed context_screen_density`)

// number reads a number: as an Int if it is written as a whole one that fits, as a
// Float if that is finite and, for a whole one, exact, and else as a String.
func number(text string) cell {
	if n, ok := wholeNumber(text); ok {
		return cell{kind: Int, n: n, text: text}
	}
	f, err := strconv.ParseFloat(text, 64)
	whole := !strings.ContainsAny(text, ".eE")
	switch {
	case unbearable(text):
		return cell{kind: String, text: text}
	case err != nil, whole && strconv.FormatFloat(f, 'f', 0, 64) != text:
		return cell{kind: String, n: isJSON, text: text}
	}
	return cell{kind: Float, n: int64(math.Float64bits(f)), text: text}
}

func wholeNumber(s string) (n int64, ok bool) {
	if len(s) > 18 {
		n, err := strconv.ParseInt(s, 10, 64)
		return n, err == nil
	}
	i := 0
	if s[0] == '-' {
		i = 1
	}
	for ; i < len(s); i++ {
		d := s[i] - '0'
		if d > 9 {
			return 0, false
		}
		n = n*10 + int64(d)
	}
	if s[0] == '-' {
		n = -n
	}
	return n, true
}

// timestamp reads a date and time with zone, as RFC 3339 writes it, of which no digit is
// lost in microseconds.
func timestamp(s string) (micros int64, ok bool) {
	if len(s) < len("2006-01-02T15:04:05Z") || len(s) > len("2006-01-02T15:04:05.000000+00:00") ||
		s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' {
		return 0, false
	}
	year, month, day := digits(s[0:4]), digits(s[5:7]), digits(s[8:10])
	hour, minute, second := digits(s[11:13]), digits(s[14:16]), digits(s[17:19])
	if year < 1 || month < 1 || month > 12 || day < 1 || day > daysIn(year, month) ||
		hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 {
		return 0, false
	}
	rest := s[19:]
	fraction := 0
	if rest[0] == '.' {
		end := 1
		for end < len(rest) && rest[end] >= '0' && rest[end] <= '9' {
			end++
		}
		if end == 1 || end > 7 {
			return 0, false
		}
		fraction = digits(rest[1:end])
		for range 7 - end {
			fraction *= 10
		}
		rest = rest[end:]
	}
	offset, ok := zone(rest)
	if !ok {
		return 0, false
	}
	seconds := daysSince1970(year, month, day)*86400 + int64(hour*3600+minute*60+second-offset)
	micros = seconds*1e6 + int64(fraction)
	return micros, micros >= firstMicro && micros <= lastMicro
}

// The first and the last moment of a Time.
const (
	firstMicro = -62135596800 * 1e6
	lastMicro  = 253402300799*1e6 + 999999
)

// zone reads Z or ±hh:mm and returns seconds east.
func zone(s string) (offset int, ok bool) {
	if s == "Z" {
		return 0, true
	}
	if len(s) != len("+00:00") || s[3] != ':' || s[0] != '+' && s[0] != '-' {
		return 0, false
	}
	hour, minute := digits(s[1:3]), digits(s[4:6])
	if hour < 0 || hour > 23 || minute < 0 || minute > 59 {
		return 0, false
	}
	offset = hour*3600 + minute*60
	if s[0] == '-' {
		offset = -offset
	}
	return offset, true
}

// digits reads a number of digits only; it is negative if there is anything else.
func digits(s string) int {
	n := 0
	for i := range len(s) {
		d := s[i] - '0'
		if d > 9 {
			return -1
		}
		n = n*10 + int(d)
	}
	return n
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	}
	return 31
}

// daysSince1970 counts the days of the Gregorian calendar; the year begins in March, so
// that a leap day is its last.
func daysSince1970(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	ofYear := (153*(month-3)+2)/5 + day - 1
	return int64(year)*365 + int64(year/4-year/100+year/400) + int64(ofYear) - 719468
}

// str makes the cell of a string that stands in an event with its quotes. A NUL, which
// no database can hold, becomes U+FFFD.
func str(quoted string) (c cell, nul bool) {
	text, nul := replaceNUL(quoted)
	if micros, ok := timestamp(text); ok {
		return cell{kind: Time, n: micros, text: text}, nul
	}
	return cell{kind: String, text: text}, nul
}

func replaceNUL(quoted string) (text string, nul bool) {
	text = jsontext.Unquote(quoted)
	if len(text) != len(quoted)-2 && strings.IndexByte(text, 0) >= 0 {
		return strings.ReplaceAll(text, "\x00", string(utf8.RuneError)), true
	}
	return text, false
}

// tidyJSON makes a JSON text that every database takes: a NUL and half a surrogate pair
// become U+FFFD, and a number that databases do not bear a string.
func tidyJSON(s string) (tidy string, nul bool) {
	if len(s) <= digitsLimit && !strings.ContainsAny(s, `\eE`) {
		return s, false
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		switch {
		case s[i] == '"':
			end := jsontext.SkipString(s, i)
			if end < 0 {
				return s, nul
			}
			text := s[i:end]
			if plain, bad := replaceNUL(text); bad || strings.ContainsRune(plain, utf8.RuneError) {
				nul = nul || bad
				text = string(jsontext.AppendString(nil, plain))
			}
			b = append(b, text...)
			i = end
		case s[i] == '-' || s[i] >= '0' && s[i] <= '9':
			end := jsontext.SkipNumber(s, i)
			if end < 0 {
				return s, nul
			}
			if unbearable(s[i:end]) {
				b = jsontext.AppendString(b, s[i:end])
			} else {
				b = append(b, s[i:end]...)
			}
			i = end
		default:
			b = append(b, s[i])
			i++
		}
	}
	return string(b), nul
}

// What every database's numbers in JSON can bear.
const (
	exponentLimit = 1000
	digitsLimit   = 16_000
)

// unbearable tells whether a number is beyond that.
func unbearable(number string) bool {
	if len(number) > digitsLimit {
		return true
	}
	at := strings.IndexAny(number, "eE")
	if at < 0 {
		return false
	}
	n, err := strconv.Atoi(number[at+1:])
	return err != nil || n > exponentLimit || n < -exponentLimit
}

// anyTime reads a time of the top of an event, also one of which digits are lost.
func anyTime(s string) (micros int64, ok bool) {
	if micros, ok = timestamp(s); ok {
		return micros, true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return 0, false
	}
	micros = t.UnixMicro()
	return micros, micros >= firstMicro && micros <= lastMicro
}
