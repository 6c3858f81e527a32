package dest

import (
	"math"
	"strings"
	"time"
)

// AppendTime writes t as ISO 8601 in UTC with milliseconds, or with as many more
// digits, in threes, as t has.
func AppendTime(b []byte, t time.Time) []byte {
	layout := "2006-01-02T15:04:05.000Z"
	switch ns := t.Nanosecond(); {
	case ns%1_000 != 0:
		layout = "2006-01-02T15:04:05.000000000Z"
	case ns%1_000_000 != 0:
		layout = "2006-01-02T15:04:05.000000Z"
	}
	return t.UTC().AppendFormat(b, layout)
}

// FormatTime is AppendTime into a string.
func FormatTime(t time.Time) string { return string(AppendTime(nil, t)) }

// FormatMillis writes t as ISO 8601 in UTC with three digits of a second.
func FormatMillis(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// ParseDate recognises a date in ISO 8601: 2006-01-02, or with a time as in
// 2006-01-02T15:04, with or without seconds, a fraction, and Z or an offset like
// +02:00. Without a zone it is UTC. A date that does not exist is none.
func ParseDate(s string) (time.Time, bool) {
	if len(s) < len("2006-01-02") || len(s) > 40 || s[4] != '-' || s[7] != '-' {
		return time.Time{}, false
	}
	layout := "2006-01-02"
	if len(s) > len(layout) {
		layout += "T15:04"
		if len(s) < len(layout) || s[13] != ':' {
			return time.Time{}, false // time.Parse takes hours of one digit
		}
		rest := s[len(layout):]
		if len(rest) > 0 && rest[0] == ':' {
			layout += ":05" // time.Parse takes a fraction behind the seconds by itself
			rest = rest[1:]
		}
		if n := len(rest); n > 0 && rest[n-1] == 'Z' || n >= 6 && (rest[n-6] == '+' || rest[n-6] == '-') {
			layout += "Z07:00"
		}
	}
	t, err := time.Parse(layout, s) // which takes a comma for the point of a fraction
	if err != nil || strings.Contains(s, ",") {
		return time.Time{}, false
	}
	return t, true
}

// millisFrom is the number above which a time cannot be meant in seconds: they would
// be in the year 5138.
const millisFrom = 1e11

// UnixSeconds reads a point in time: a date as [ParseDate] takes it, or a number of
// seconds, or of milliseconds where it is above 10^11. Whole seconds, rounded down.
func (v Value) UnixSeconds() (int64, bool) {
	if f, ok := v.Float(); ok {
		if f > millisFrom || f < -millisFrom {
			f /= 1000
		}
		f = math.Floor(f)
		if f > 253402300799 || f < -62135596800 { // the years 1 to 9999
			return 0, false
		}
		return int64(f), true
	}
	s, ok := v.Text()
	if !ok {
		return 0, false
	}
	t, ok := ParseDate(s)
	return t.Unix(), ok
}
