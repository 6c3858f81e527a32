package archive_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

func TestReceived(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 5e6, time.UTC)
	for line, want := range map[string]struct {
		at  time.Time
		own bool
	}{
		`{"type":"track"}`: {},
		`{"type":"track","receivedAt":"2026-11-23T12:00:00.005Z"}`:                          {at, true},
		`{"type":"track","receivedAt":"2026-11-23T12:00:00.005Z","x":1}`:                    {at, true},
		`{"receivedAt" : "2026-11-23T13:00:00.005+01:00"}`:                                  {at, true},
		`{"r\u0065ceivedAt":"2026-11-23T12:00:00.005Z","receivedAt":null}`:                  {time.Time{}, true},
		`{"type":"track","receivedAt":"2026-13-23T12:00:00.005Z"}`:                          {time.Time{}, true},
		`{"type":"track","receivedAt":"2026-02-30T12:00:00.005Z"}`:                          {time.Time{}, true},
		`{"type":"track","receivedAt":17}`:                                                  {time.Time{}, true},
		`{"properties":{"receivedAt":"2026-11-23T12:00:00.005Z"}}`:                          {},
		`{"x":"\"receivedAt\":\"2026-11-23T12:00:00.005Z"}`:                                 {},
		`{"AAAAAAAAAAAA":"A","receivedA":1,"xreceivedAt":"2026-11-23T12:00:00.005Z"}`:       {},
		`{"x":[{"receivedAt":1}],"receivedAt":"2026-11-23T12:00:00.005Z","y":"receivedAt"}`: {at, true},
	} {
		got, own := archive.Received([]byte(line))
		require.Equal(t, want.own, own, line)
		require.True(t, want.at.Equal(got), "%s: %s", line, got)
	}
}

func TestTimeOf(t *testing.T) {
	for raw, want := range map[string]time.Time{
		`"2026-11-23T12:00:00.005Z"`:       time.Date(2026, 11, 23, 12, 0, 0, 5e6, time.UTC),
		`"2026-11-23T12:00:00Z"`:           time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		`"2026-11-23T12:00:00.000000001Z"`: time.Date(2026, 11, 23, 12, 0, 0, 1, time.UTC),
		`"2024-02-29T23:59:59.999Z"`:       time.Date(2024, 2, 29, 23, 59, 59, 999e6, time.UTC),
		`"2023-02-29T23:59:59.999Z"`:       {},
		`"2026-11-23T24:00:00.000Z"`:       {},
		`"2026-11-23 12:00:00.000Z"`:       {},
		`"2026-1x-23T12:00:00.000Z"`:       {},
		`"yesterday"`:                      {}, `17`: {}, `null`: {}, ``: {},
	} {
		require.True(t, want.Equal(archive.TimeOf(raw)), raw)
	}
}

// Days are those of package time: each one of 400 years, then one of each month.
func TestTimeOfEachDay(t *testing.T) {
	for day := time.Date(0, 1, 1, 23, 59, 59, 999e6, time.UTC); day.Year() < 9999; {
		step := 29
		if day.Year() >= 1800 && day.Year() < 2200 {
			step = 1
		}
		day = day.AddDate(0, 0, step)
		if got := archive.TimeOf(`"` + day.Format("2006-01-02T15:04:05.000Z") + `"`); !got.Equal(day) {
			require.Fail(t, "another time", "%s: %s", day, got)
		}
	}
}

func TestPathPart(t *testing.T) {
	for name, want := range map[string]string{
		"web": "web", "Web-2_x.y": "Web-2_x.y", "a/b": "a~2fb", "..": "~2e.", ".x": "~2ex", "ü": "~c3~bc", "a b": "a~20b", "~": "~7e",
	} {
		require.Equal(t, want, archive.PathPart(name))
	}
	long := archive.PathPart(strings.Repeat("x", 300))
	require.Less(t, len(long), 130)
	require.NotEqual(t, long, archive.PathPart(strings.Repeat("x", 301)))
}

func TestTranslateRawRefusesWhatIsNoObject(t *testing.T) {
	d := &archive.Destination{}
	for _, raw := range []string{"", "17", "[1]", `"x"`, "{", "{}x", "{\n"} {
		_, err := d.TranslateRaw(&analytics.Header{MessageID: "m"}, []byte(raw))
		var invalid *analytics.InvalidError
		require.ErrorAs(t, err, &invalid, raw)
	}
	it, err := d.TranslateRaw(&analytics.Header{MessageID: "m"}, []byte("{\r\n\"a\": [1,\n2] }\n"))
	require.NoError(t, err)
	require.Equal(t, `{"a":[1,2]}`, string(it.Body))
}

func TestWithMember(t *testing.T) {
	value := []byte(`{"All":false}`)
	for object, want := range map[string]string{
		`{"a":1}`:                               `{"a":1,"integrations":{"All":false}}`,
		`{"integrations":{"x":1},"a":1}`:        `{"a":1,"integrations":{"All":false}}`,
		`{ "a" : [1, 2] , "integrations":null}`: `{"a":[1, 2],"integrations":{"All":false}}`,
		`{}`:                                    `{"integrations":{"All":false}}`,
	} {
		require.Equal(t, want, string(archive.WithMember([]byte(object), "integrations", value)))
	}
}

func TestFitting(t *testing.T) {
	event := func(n int) string { return `{"x":"` + strings.Repeat("x", n-len(`{"x":""}`)) + `"}` }
	const added = `,"receivedAt":"2026-11-23T12:00:00.000Z"}`
	largest := strings.TrimSuffix(event(32<<10), "}")
	require.Equal(t, largest+"}", string(archive.Fitting([]byte(largest+added))), "it was as large as may be")
	small := strings.TrimSuffix(event(100), "}") + added
	require.Equal(t, small, string(archive.Fitting([]byte(small))))
	huge := event(33 << 10)
	require.Equal(t, huge, string(archive.Fitting([]byte(huge))), "the client says what is wrong with it")
}
