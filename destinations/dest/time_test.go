package dest_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/dest"
)

func TestFormatTime(t *testing.T) {
	zone := time.FixedZone("", 2*3600)
	for _, c := range []struct {
		ns           int
		time, millis string
	}{
		{0, "2024-02-28T22:30:05.000Z", "2024-02-28T22:30:05.000Z"},
		{250_000_000, "2024-02-28T22:30:05.250Z", "2024-02-28T22:30:05.250Z"},
		{999_999_000, "2024-02-28T22:30:05.999999Z", "2024-02-28T22:30:05.999Z"},
		{1, "2024-02-28T22:30:05.000000001Z", "2024-02-28T22:30:05.000Z"},
		{1_000, "2024-02-28T22:30:05.000001Z", "2024-02-28T22:30:05.000Z"},
	} {
		at := time.Date(2024, 2, 29, 0, 30, 5, c.ns, zone)
		require.Equal(t, c.time, dest.FormatTime(at))
		require.Equal(t, c.millis, dest.FormatMillis(at))
		require.Equal(t, "x"+c.time, string(dest.AppendTime([]byte("x"), at)))
		back, ok := dest.ParseDate(c.time)
		require.True(t, ok)
		require.True(t, at.Equal(back))
	}
}

func TestParseDate(t *testing.T) {
	for s, want := range map[string]string{ // in RFC 3339
		"2024-02-29":                          "2024-02-29T00:00:00Z",
		"2000-02-29":                          "2000-02-29T00:00:00Z",
		"0001-01-01":                          "0001-01-01T00:00:00Z",
		"9999-12-31":                          "9999-12-31T00:00:00Z",
		"2024-02-29T23:59":                    "2024-02-29T23:59:00Z",
		"2024-02-29T23:59Z":                   "2024-02-29T23:59:00Z",
		"2024-02-29T23:59+02:00":              "2024-02-29T21:59:00Z",
		"2024-02-29T23:59:58":                 "2024-02-29T23:59:58Z",
		"2024-02-29T23:59:58Z":                "2024-02-29T23:59:58Z",
		"2024-02-29T23:59:58.5":               "2024-02-29T23:59:58.5Z",
		"2024-02-29T23:59:58.123456789Z":      "2024-02-29T23:59:58.123456789Z",
		"2024-02-29T23:59:58.1234567891-0330": "",
		"2024-02-29T23:59:58.123456-03:30":    "2024-03-01T03:29:58.123456Z",
		"2024-02-29T00:00:00+14:00":           "2024-02-28T10:00:00Z",
		"2024-02-29T00:00:00-00:00":           "2024-02-29T00:00:00Z",

		"2023-02-29": "", "1900-02-29": "", "2024-02-30": "", "2024-13-01": "", "2024-00-01": "", "2024-01-00": "", "2024-04-31": "",
		"2024-02-29T24:00": "", "2024-02-29T24:00:00Z": "", "2024-02-29T23:60": "", "2024-02-29T23:59:60Z": "", "2024-02-29T23:59:58,5Z": "",
		"2024-02-29 23:59": "", "2024-02-29t23:59:58z": "", "2024-02-29T23:59:58+0200": "", "2024-02-29T23:59:58+02": "", "2024-02-29T23": "",
		"2024-02-29T": "", "2024-02-29T23:": "", "2024-02-29T23:59:": "", "2024-02-29T23:59:5": "", "2024-02-29T3:04": "", "2024-02-29T23:5": "",
		"2024-02-29T23:59.5": "", "2024-02-29T23:59:58.": "", "2024-02-29T23:59:58.Z": "", "2024-02-29Z": "", "2024-02-29T23:59ZZ": "",
		"2024-2-29": "", "24-02-29": "", "20240229": "", "2024-060": "", "2024-W09-4": "", "02/29/2024": "", "+2024-02-29": "", "-2024-02-29": "",
		" 2024-02-29": "", "2024-02-29 ": "", "2024-02-29\n": "", "２０２４-02-29": "", "": "", "2024": "", "2024-02-29T+02:00": "", "12024-02-29": "",
		"2024-02-29T23:59:58." + strings.Repeat("1", 40) + "Z": "", "Thu, 29 Feb 2024 23:59:58 GMT": "", "2024-02-29T23:59:58 +02:00": "",
	} {
		got, ok := dest.ParseDate(s)
		require.Equal(t, want != "", ok, "%q", s)
		if ok {
			require.Equal(t, want, got.UTC().Format(time.RFC3339Nano), "%q", s)
		}
	}
}

func TestUnixSeconds(t *testing.T) {
	for _, c := range []struct {
		v    any
		want int64
		ok   bool
	}{
		{json.Number("0"), 0, true}, {json.Number("1700000000"), 1700000000, true}, {json.Number("1700000000.999"), 1700000000, true},
		{json.Number("-0.5"), -1, true}, {json.Number("-1"), -1, true}, {json.Number("1.7e9"), 1700000000, true},
		{json.Number("100000000000"), 100000000000, true}, // seconds, in 5138
		{json.Number("100000000001"), 100000000, true},    // milliseconds, in 1973
		{json.Number("1700000000999"), 1700000000, true}, {json.Number("-1700000000999"), -1700000001, true},
		{json.Number("253402300799000"), 253402300799, true}, {json.Number("253402300799999"), 253402300799, true},
		{json.Number("253402300800000"), 0, false}, {json.Number("-62135596800000"), -62135596800, true}, {json.Number("-62135596801000"), 0, false},
		{json.Number("1700000000000000"), 0, false}, // microseconds
		{json.Number("1e300"), 0, false}, {json.Number("-1e300"), 0, false}, {json.Number("1e999"), 0, false}, {json.Number("x"), 0, false},
		{"1700000000", 1700000000, true}, {" 1700000000999 ", 1700000000, true}, {"2024-02-29", 1709164800, true},
		{"2024-02-29T00:00:00.999+01:00", 1709161200, true}, {"1969-12-31T23:59:59.5Z", -1, true}, {"yesterday", 0, false}, {"", 0, false},
		{"1e999", 0, false}, {true, 0, false}, {nil, 0, false}, {[]any{1}, 0, false}, {map[string]any{}, 0, false},
		{time.Unix(1709164800, 1), 1709164800, true}, {int64(5), 5, true}, {uint32(5), 5, true},
	} {
		got, ok := dest.Of(c.v).UnixSeconds()
		require.Equal(t, c.ok, ok, "%v", c.v)
		if ok {
			require.Equal(t, c.want, got, "%v", c.v)
			require.Equal(t, c.want, mustInt(t, dest.AsUnixSeconds(dest.Of(c.v))), "%v", c.v)
		} else {
			require.True(t, dest.AsUnixSeconds(dest.Of(c.v)).Empty(), "%v", c.v)
		}
	}
}

func mustInt(t *testing.T, v dest.Value) int64 {
	t.Helper()
	n, ok := v.Number()
	require.True(t, ok)
	i, err := n.Int64()
	require.NoError(t, err)
	return i
}

// What ParseDate accepts, the layouts of time.Parse accept as the same time.
func FuzzParseDate(f *testing.F) {
	for _, s := range []string{"2024-02-29", "2024-02-29T23:59Z", "2024-02-29T23:59:58.5+02:00", "2024-02-29T3:04", "2024-02-29T23:59:58,5Z",
		"2024-02-30T23:59", "2024-02-29T23:59:58.999999999999-14:00", "9999-12-31T23:59:59-24:00"} {
		f.Add(s)
	}
	layouts := []string{"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05", "2006-01-02T15:04:05Z07:00"}
	f.Fuzz(func(t *testing.T, s string) {
		got, ok := dest.ParseDate(s)
		if !ok {
			return
		}
		if len(s) > 10 && (len(s) < 16 || s[13] != ':') {
			t.Fatalf("%q has not two digits of an hour", s)
		}
		for _, layout := range layouts {
			if want, err := time.Parse(layout, s); err == nil {
				if !want.Equal(got) {
					t.Fatalf("%q is %v, not %v", s, got, want)
				}
				secs, ok := dest.Text(s).UnixSeconds()
				if ok && secs != got.Unix() {
					t.Fatalf("%q is %d seconds, not %d", s, secs, got.Unix())
				}
				return
			}
		}
		t.Fatalf("%q is accepted", s)
	})
}
