package dest_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

// parts are the fields of a context by part; "" are those of the context itself.
var parts = map[string]string{
	"":              "ip locale timezone userAgent channel groupId active direct",
	"app":           "name version build namespace platform",
	"campaign":      "name source medium term content",
	"device":        "id advertisingId idfa brand manufacturer model name type version token adTrackingEnabled",
	"library":       "name version",
	"location":      "city country region latitude longitude speed",
	"network":       "bluetooth carrier cellular wifi",
	"os":            "name version",
	"page":          "path referrer search title url",
	"referrer":      "id type name url link",
	"screen":        "width height density",
	"userAgentData": "brands mobile platform platformVersion architecture bitness model uaFullVersion fullVersionList wow64",
	"consent":       "categoryPreferences",
	"own":           "a",
}

func contextPaths() []string {
	var paths []string
	for part, fields := range parts {
		for _, field := range strings.Fields(fields) {
			paths = append(paths, strings.Replace("context."+part+"."+field, "..", ".", 1))
		}
	}
	return paths
}

// nested returns an event that has a value at a path, with a sibling at each level.
func nested(path, value string) string {
	keys := strings.Split(path, ".")
	for i := len(keys) - 1; i >= 0; i-- {
		value = `{"` + keys[i] + `":` + value + `,"sibling":[0]}`
	}
	return value
}

// Whatever is in a field of the context is found, of the field's type or not.
func TestContextFieldsOfAnyType(t *testing.T) {
	values := []string{`"text"`, `" "`, `"7"`, `7`, `0`, `-1`, `1.50`, `1e3`, `2147483648`, `9007199254740993`, `0.1234567890123456789`,
		`true`, `false`, `[]`, `[1,"a"]`, `[{"brand":"B","version":"1"}]`, `[{"brand":"B","x":"1"}]`, `{}`, `{"a":true}`, `{"a":{"b":[1]}}`}
	for _, path := range contextPaths() {
		for _, value := range values {
			e := desttest.Event(t, nested(path, value))
			require.JSONEq(t, value, json1(t, dest.At(path).In(e)), path)
			require.Equal(t, "0", json1(t, dest.At(path[:strings.LastIndex(path, ".")]+".sibling.0").In(e)), path)
		}
		for _, value := range []string{`null`, `""`} {
			require.True(t, dest.At(path).In(desttest.Event(t, nested(path, value))).Empty(), path)
		}
	}
}

// Numbers keep their digits also where the field has a type of its own.
func TestContextNumbersKeepDigits(t *testing.T) {
	for _, path := range []string{"context.screen.width", "context.screen.density", "context.location.latitude", "context.location.speed", "context.ip"} {
		for _, digits := range []string{"9007199254740993", "12345678901234567890123", "0.1000", "1.0", "1E2", "5", "0", "48.8566140000000000001"} {
			require.Equal(t, digits, json1(t, dest.At(path).In(desttest.Event(t, nested(path, digits)))), path)
		}
	}
	e := &analytics.Event{Context: &analytics.Context{Screen: analytics.ScreenInfo{Width: 1<<53 + 1}}}
	require.Equal(t, "9007199254740993", json1(t, dest.At("context.screen.width").In(e)))
}

// A part is found whole, with what is in its Extra; one of the wrong type as it is.
func TestContextParts(t *testing.T) {
	for part, fields := range parts {
		if part == "" {
			continue
		}
		path := dest.At("context." + part)
		for _, field := range strings.Fields(fields) {
			for _, value := range []string{`"x"`, `5`, `true`, `[]`} {
				e := desttest.Event(t, nested("context."+part+"."+field, value))
				require.JSONEq(t, `{"`+field+`":`+value+`,"sibling":[0]}`, json1(t, path.In(e)), part)
			}
		}
		for _, value := range []string{`"text"`, `5`, `false`, `[{"name":"x"}]`} {
			e := desttest.Event(t, nested("context."+part, value))
			require.JSONEq(t, value, json1(t, path.In(e)), part)
		}
		require.True(t, path.In(desttest.Event(t, nested("context."+part, "{}"))).Empty(), part)
	}
}

func TestContextTraitsOfTheWrongType(t *testing.T) {
	path := dest.At("context.traits")
	for _, value := range []string{`"text"`, `5`, `[{"email":"x"}]`} {
		require.JSONEq(t, value, json1(t, path.In(desttest.Event(t, nested("context.traits", value)))))
	}
	e := desttest.Event(t, nested("context.traits", `[{"email":"x"}]`))
	require.Equal(t, `"x"`, json1(t, dest.At("context.traits.0.email").In(e)))
	require.True(t, dest.At("context.traits.email").In(e).Empty())
}

func TestExternalIDs(t *testing.T) {
	for _, ids := range []string{
		`[{"id":"1","type":"braze"},{"id":"2","collection":"users"}]`,
		`[{"id":"1","type":"braze","more":1},{"id":"2"}]`,
		`[{"id":"1"},{"id":"2"},"odd"]`,
	} {
		e := desttest.Event(t, `{"context":{"externalIds":`+ids+`}}`)
		require.Equal(t, `"1"`, json1(t, dest.At("context.externalIds.0.id").In(e)))
		require.Equal(t, `"2"`, json1(t, dest.At("context.externalIds.1.id").In(e)))
		require.JSONEq(t, ids, json1(t, dest.At("context.externalIds").In(e)))
	}
}

func TestConsentPath(t *testing.T) {
	e := desttest.Event(t, `{"context":{"consent":{"categoryPreferences":{"ads":false,"C0001":true},"tcf":"x"}}}`)
	for path, want := range map[string]string{
		"context.consent.categoryPreferences.ads": "false", "context.consent.categoryPreferences.C0001": "true",
		"context.consent.tcf": `"x"`, "context.consent.categoryPreferences.gone": "",
	} {
		require.Equal(t, want, json1(t, dest.At(path).In(e)), path)
	}
}

// A field wins over a key of the same name in Extra, as in the event's JSON.
func TestFieldsWinOverExtra(t *testing.T) {
	yes := true
	e := &analytics.Event{Context: &analytics.Context{
		IP: "192.0.2.1", Active: &yes, Screen: analytics.ScreenInfo{Width: 3, Extra: map[string]any{"width": 4}},
		Location: analytics.Location{Latitude: new(float64), Extra: map[string]any{"latitude": 9}},
		Extra:    map[string]any{"ip": "198.51.100.1", "active": "no"},
	}}
	for path, want := range map[string]string{
		"context.ip": `"192.0.2.1"`, "context.active": "true", "context.screen.width": "3", "context.location.latitude": "0",
	} {
		require.Equal(t, want, json1(t, dest.At(path).In(e)), path)
		raw, err := json.Marshal(e)
		require.NoError(t, err)
		require.Equal(t, want, json1(t, dest.At(path).In(desttest.Event(t, string(raw)))), path)
	}
}

func TestContextOfAnEventWithoutOne(t *testing.T) {
	require.Equal(t, &analytics.Context{}, dest.Context(&analytics.Event{}))
	c := &analytics.Context{IP: "192.0.2.1"}
	require.Same(t, c, dest.Context(&analytics.Event{Context: c}))
}
