package archive

import (
	"bytes"
	"time"
	"unsafe"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// Times of the encoder are milliseconds in UTC.
const (
	timeLayout  = "2006-01-02T15:04:05.000Z"
	receivedKey = `,"receivedAt":"`
	spliceBytes = len(receivedKey) + len(timeLayout) + len(`"`)
)

// text turns bytes into a string without a copy. It must not outlive them.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// received is receivedAt of an event, zero if it has none that is a time, and whether it
// has the member at all. The encoder writes it last.
func received(line []byte) (at time.Time, own bool) {
	if n := len(line) - spliceBytes - 1; n > 0 && line[n] == ',' && string(line[n:n+len(receivedKey)]) == receivedKey && line[len(line)-2] == '"' {
		if at, ok := parseMillis(text(line[n+len(receivedKey) : len(line)-2])); ok {
			return at, true
		}
	}
	if !mentionsReceived(line) {
		return at, false
	}
	raw := jsontext.Member(text(line), "receivedAt")
	return timeOf(raw), raw != ""
}

// mentionsReceived finds the key, wherever it is. It looks for the rarest of its letters.
func mentionsReceived(line []byte) bool {
	const key, at = `"receivedAt"`, 9
	for i := at; ; i++ {
		next := bytes.IndexByte(line[min(i, len(line)):], key[at])
		if next < 0 {
			return false
		}
		if i += next; bytes.HasPrefix(line[i-at:], []byte(key)) {
			return true
		}
	}
}

// timeOf is a time in JSON, zero if it is none.
func timeOf(raw string) time.Time {
	if len(raw) < 2 || raw[0] != '"' {
		return time.Time{}
	}
	s := jsontext.Unquote(raw)
	if t, ok := parseMillis(s); ok {
		return t
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}
	}
	if t = t.UTC(); t.Year() < 1 || t.Year() > 9999 { // by its zone; a manifest could not say it
		return time.Time{}
	}
	return t
}

// parseMillis reads a time as the encoder writes it.
func parseMillis(s string) (t time.Time, ok bool) {
	if len(s) != len(timeLayout) || s[4] != '-' || s[7] != '-' || s[10] != 'T' || s[13] != ':' || s[16] != ':' || s[19] != '.' || s[23] != 'Z' {
		return t, false
	}
	var n [7]int
	for i, at := range [...][2]int{{0, 4}, {5, 7}, {8, 10}, {11, 13}, {14, 16}, {17, 19}, {20, 23}} {
		for _, c := range []byte(s[at[0]:at[1]]) {
			if c < '0' || c > '9' {
				return t, false
			}
			n[i] = 10*n[i] + int(c-'0')
		}
	}
	year, month, day := n[0], n[1], n[2]
	if month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || n[3] > 23 || n[4] > 59 || n[5] > 59 {
		return t, false
	}
	seconds := (daysBefore(year, month)+int64(day-1))*86_400 + int64(n[3]*3600+n[4]*60+n[5])
	return time.Unix(seconds, int64(n[6])*int64(time.Millisecond)).UTC(), true
}

func daysIn(year, month int) int {
	leap := year%4 == 0 && (year%100 != 0 || year%400 == 0)
	if month == 2 && leap {
		return 29
	}
	return [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[month-1]
}

// daysBefore is the days from 1970 to the first of a month. A year begins in March here, so
// that the leap day is its last, and there are 146,097 days in 400 of them.
func daysBefore(year, month int) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	y := int64(year)
	return 365*y + floor(y, 4) - floor(y, 100) + floor(y, 400) + int64(153*(month-3)+2)/5 - 719_468
}

func floor(a, b int64) int64 {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}

// timestampOf is the timestamp of an event, which the encoder writes behind type and
// messageId.
func timestampOf(line []byte, call analytics.Call, messageID string) (at time.Time) {
	const before, between, key = `{"type":"`, `","messageId":"`, `","timestamp":"`
	id := len(before) + len(call) + len(between)
	end := id + len(messageID)
	from := end + len(key)
	if from+len(timeLayout) < len(line) && line[from+len(timeLayout)] == '"' && string(line[end:from]) == key &&
		string(line[:len(before)]) == before && string(line[id-len(between):id]) == between && string(line[id:end]) == messageID {
		if t, ok := parseMillis(text(line[from : from+len(timeLayout)])); ok {
			return t
		}
	}
	jsontext.EachMember(text(line), func(key, value string) bool {
		if key != "timestamp" {
			return true
		}
		at = timeOf(value)
		return false
	})
	return at
}

// acceptedText writes the time at which events were accepted, many of which are the same.
type acceptedText struct {
	at   int64
	text []byte
}

func (t *acceptedText) append(b []byte, at int64) []byte {
	if t.at != at || t.text == nil {
		t.at, t.text = at, time.UnixMilli(at).UTC().AppendFormat(t.text[:0], timeLayout)
	}
	return append(b, t.text...)
}

// fields are what reading looks at in a line. Its strings are parts of the line.
type fields struct {
	call                        analytics.Call
	id, user, anonymous, former string
	event                       string
	timestamp, received         time.Time
}

// parseLine reads a line; ok is false if it is no event: one JSON object with a
// messageId.
func parseLine(line []byte) (f fields, ok bool) {
	s, timed := text(line), false
	whole := jsontext.Valid(s) && jsontext.EachMember(s, func(key, value string) bool {
		var p *string
		switch key {
		case "type":
			p = (*string)(&f.call)
		case "messageId":
			p = &f.id
		case "userId":
			p = &f.user
		case "anonymousId":
			p = &f.anonymous
		case "previousId":
			p = &f.former
		case "event":
			p = &f.event
		case "timestamp":
			if !timed { // as timestampOf does
				f.timestamp, timed = timeOf(value), true
			}
			return true
		case "receivedAt":
			f.received = timeOf(value)
			return true
		default:
			return true
		}
		if *p = ""; value[0] == '"' {
			*p = jsontext.Unquote(value)
		}
		return true
	})
	if f.call != analytics.CallTrack {
		f.event = ""
	}
	if f.call != analytics.CallAlias {
		f.former = ""
	}
	return f, whole && f.id != ""
}
