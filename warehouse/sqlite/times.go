package sqlite

import "time"

// timeLayout is how a Time stands in a table: of one width, so that it sorts, and known
// to SQLite's functions of date and time.
const timeLayout = "2006-01-02 15:04:05.000000Z"

// The first and last moment of the years 1 to 9999, in microseconds since 1970.
const (
	firstTime = -62135596800 * 1_000_000
	lastTime  = 253402300799*1_000_000 + 999_999
)

// putTime writes a time. It does what AppendFormat does in a sixth of the time, which is
// worth it for five times a row.
func putTime(b *[len(timeLayout)]byte, micros int64) bool {
	if micros < firstTime || micros > lastTime {
		return false
	}
	const day = 24 * 60 * 60 * 1_000_000
	micros -= firstTime
	year, month, ofMonth := date(micros / day)
	micros %= day
	copy(b[:], timeLayout)
	put(b[0:4], year)
	put(b[5:7], month)
	put(b[8:10], ofMonth)
	put(b[11:13], int(micros/3_600_000_000))
	put(b[14:16], int(micros/60_000_000%60))
	put(b[17:19], int(micros/1_000_000%60))
	put(b[20:26], int(micros%1_000_000))
	return true
}

func put(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// date is the date of a day, counted from January 1st of the year 1. Years begin in
// March here, so that a leap day is the last of one.
func date(day int64) (year, month, ofMonth int) {
	day += 306 // from March 1st of the year 0
	era := day / 146097
	day %= 146097
	y := (day - day/1460 + day/36524 - day/146096) / 365
	day -= 365*y + y/4 - y/100
	m := (5*day + 2) / 153
	ofMonth = int(day-(153*m+2)/5) + 1
	year, month = int(era*400+y), int(m)+3
	if month > 12 {
		year, month = year+1, month-12
	}
	return year, month, ofMonth
}

// Times as others write them for SQLite.
var layouts = []string{timeLayout, time.RFC3339Nano, "2006-01-02 15:04:05.999999999Z07:00", time.DateTime, time.DateOnly}

// parseTime reads a time, to the microsecond.
func parseTime(s string) (micros int64, ok bool) {
	for _, layout := range layouts {
		if t, err := time.Parse(layout, s); err == nil {
			micros = t.UnixMicro()
			return micros, micros >= firstTime && micros <= lastTime
		}
	}
	return 0, false
}
