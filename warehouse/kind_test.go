package warehouse

import (
	"encoding/json"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestNumber(t *testing.T) {
	for text, want := range map[string]cell{
		"0":                    {kind: Int},
		"-0":                   {kind: Int},
		"-17":                  {kind: Int, n: -17},
		"9007199254740993":     {kind: Int, n: 9007199254740993},
		"9223372036854775807":  {kind: Int, n: math.MaxInt64},
		"-9223372036854775808": {kind: Int, n: math.MinInt64},
		"9223372036854775808":  {kind: Float, n: int64(math.Float64bits(1 << 63))},
		"9223372036854775809":  {kind: String, n: isJSON},
		"1.5":                  {kind: Float, n: int64(math.Float64bits(1.5))},
		"5.0":                  {kind: Float, n: int64(math.Float64bits(5))},
		"1e3":                  {kind: Float, n: int64(math.Float64bits(1000))},
		"1e400":                {kind: String, n: isJSON},
		"1e99999":              {kind: String},
	} {
		want.text = text
		require.Equal(t, want, number(text), text)
	}
}

func TestFit(t *testing.T) {
	fits := func(json string, kind Kind, want Value) {
		c := cellOf(json)
		v, ok := c.fit(kind)
		require.True(t, ok, "%s as %v", json, kind)
		require.Equal(t, want, v, "%s as %v", json, kind)
	}
	fits(`5`, Float, FloatValue(5))
	fits(`9007199254740992`, Float, FloatValue(1<<53))
	fits(`5.0`, Int, IntValue(5))
	fits(`1.50`, String, StringValue("1.50"))
	fits(`true`, String, StringValue("true"))
	fits(`"a\"b"`, JSON, JSONValue(`"a\"b"`))
	fits(`[1,"x"]`, JSON, JSONValue(`[1,"x"]`))
	fits(`[1,"x"]`, String, StringValue(`[1,"x"]`))
	fits(`"2026-05-02T18:04:05+02:00"`, String, StringValue("2026-05-02T18:04:05+02:00"))
	fits(`9223372036854775809`, JSON, JSONValue(`9223372036854775809`))
	for json, kind := range map[string]Kind{
		`9007199254740993`: Float, `5.5`: Int, `1e19`: Int, `"5"`: Int, `true`: Int, `1`: Bool, `"x"`: Time, `"2026-05-02"`: Time,
	} {
		c := cellOf(json)
		_, ok := c.fit(kind)
		require.False(t, ok, "%s as %v", json, kind)
	}
}

func TestJoin(t *testing.T) {
	join := func(name string, values ...string) Kind {
		var s kindSet
		for _, v := range values {
			c := cellOf(v)
			s.add(&c)
		}
		return s.join(name)
	}
	require.Equal(t, Int, join("n", "1", "9007199254740993"))
	require.Equal(t, Float, join("n", "1", "1.5"))
	require.Equal(t, String, join("n", "9007199254740993", "1.5"))
	require.Equal(t, String, join("n", "1", `"x"`))
	require.Equal(t, String, join("n", "true", "1"))
	require.Equal(t, String, join("n", `"2026-05-02T18:04:05Z"`, `"soon"`))
	require.Equal(t, Time, join("n", `"2026-05-02T18:04:05Z"`))
	require.Equal(t, JSON, join("n", `{}`, "1"))
	require.Equal(t, Float, join("revenue", "40"))
	require.Equal(t, Int, join("revenues", "40"))
}

func TestTidyJSON(t *testing.T) {
	for in, want := range map[string]string{
		`["a\"b","\/"]`:          `["a\"b","\/"]`,
		`["a\u0000b"]`:           `["a` + "\uFFFD" + `b"]`,
		`["\\u0000"]`:            `["\\u0000"]`,
		`["\ud800"]`:             `["` + "\uFFFD" + `"]`,
		`[1e5,-1e2000,1E-40000]`: `[1e5,"-1e2000","1E-40000"]`,
		`[true,false,null,1.5]`:  `[true,false,null,1.5]`,
	} {
		got, _ := tidyJSON(in)
		require.Equal(t, want, got)
	}
}

// What the fast reader of times takes is what package time reads.
func FuzzTimestamp(f *testing.F) {
	for _, s := range []string{
		"2026-05-02T18:04:05Z", "2026-05-02T18:04:05.250Z", "2026-05-02T18:04:05.123456+02:00", "2024-02-29T00:00:00Z",
		"2023-02-29T00:00:00Z", "2026-05-02T24:00:00Z", "2016-12-31T23:59:60Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
		"0001-01-01T00:00:00+00:01", "2026-05-02 18:04:05Z", "2026-05-02T18:04:05", "2026-05-02T18:04:05.Z", "2026-05-02T18:04:05.1234567Z",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		micros, ok := timestamp(s)
		want, err := time.Parse(time.RFC3339Nano, s)
		if ok {
			require.NoError(t, err, s)
			require.Equal(t, want.UnixMicro(), micros, s)
			require.Zero(t, want.Nanosecond()%1000)
		}
	})
}

func FuzzTidyJSON(f *testing.F) {
	f.Add(`["a\u0000b",1e2000,{"k":"\ud800"}]`)
	f.Fuzz(func(t *testing.T, s string) {
		if !json.Valid([]byte(s)) {
			return
		}
		tidy, _ := tidyJSON(s)
		require.True(t, json.Valid([]byte(tidy)), tidy)
	})
}
