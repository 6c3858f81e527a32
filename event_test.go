package analytics_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// exactly decodes JSON with numbers as their text.
func exactly(t *testing.T, doc string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	var v any
	require.NoError(t, d.Decode(&v), doc)
	return v
}

// sameInstants puts the times of an event, which are written in UTC, into one form.
func sameInstants(v any) any {
	m, _ := v.(map[string]any)
	for _, key := range []string{"timestamp", "originalTimestamp", "sentAt", "receivedAt"} {
		if s, ok := m[key].(string); ok {
			for _, layout := range []string{
				time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04Z07:00",
				"2006-01-02T15:04", "2006-01-02", "20060102T150405Z0700", "20060102T150405", "20060102",
			} {
				if at, err := time.Parse(layout, s); err == nil {
					m[key] = at.UTC()
				}
			}
		}
	}
	return v
}

// requireRoundTrip checks that an event encodes to what it was decoded from, and
// that decoding that makes the same event.
func requireRoundTrip(t *testing.T, doc string) {
	t.Helper()
	e := decoded(t, doc)
	var b []byte
	var err error
	require.NotPanics(t, func() { b, err = e.MarshalJSON() })
	require.NoError(t, err, doc)
	require.Equal(t, sameInstants(exactly(t, doc)), sameInstants(exactly(t, string(b))), "%s became %s", doc, b)
	again := decoded(t, string(b))
	b2, err := again.AppendJSON([]byte("x"))
	require.NoError(t, err)
	require.Equal(t, sameInstants(exactly(t, doc)), sameInstants(exactly(t, string(b2[1:]))))
	c, err := e.Clone().MarshalJSON()
	require.NoError(t, err)
	require.Equal(t, sameInstants(exactly(t, doc)), sameInstants(exactly(t, string(c))), "clone of %s became %s", doc, c)
}

// eventDocuments are events, among them odd ones.
func eventDocuments() []string {
	docs := []string{
		`{}`, ` { } `, `{"type":"track"}`,
		`{"type":"track","messageId":"m","timestamp":"2026-01-02T03:04:05.678Z","userId":"u","anonymousId":"a","event":"E","properties":{"revenue":0.10},"context":{"ip":"1.2.3.4"},"integrations":{"All":true}}`,
		`{"type":"object","collection":"rooms","id":"1","properties":{"a":1}}`,
		`{"timestamp":"2026-01-02T03:04:05+05:30","originalTimestamp":"2026-01-02T03:04:05Z","sentAt":"2026-01-02T03:04:05.1Z","receivedAt":"2026-01-02T03:04:05.123456789Z"}`,
		`{"timestamp":"yesterday","originalTimestamp":"","sentAt":null,"receivedAt":5}`, `{"timestamp":"0001-01-01T00:00:00Z"}`,
		`{"timestamp":"9999-12-31T23:59:59.999Z","sentAt":"0001-01-01T00:00:01Z","receivedAt":"0000-06-01T00:00:00Z"}`,
		`{"sentAt":"9999-12-31T23:59:59-01:00"}`, `{"sentAt":"0000-01-01T00:00:00+01:00"}`,
		`{"_metadata":{"bundled":["A"],"unbundled":[]},"channel":"server","version":2,"writeKey":"k"}`,
		`{"context":{"screen":{"width":1280,"height":720,"density":2.5}}}`, `{"context":{"screen":{"width":0,"height":-0,"density":0.0}}}`, `{"context":{"screen":{"width":1.0,"height":1e3,"density":1e0}}}`,
		`{"context":{"screen":{"width":9223372036854775807,"height":9223372036854775808,"density":9007199254740993}}}`, `{"context":{"screen":{"width":-9223372036854775808,"height":1e400,"density":1e-400}}}`,
		`{"context":{"screen":{"width":"5","height":null,"density":[]}}}`, `{"context":{"screen":{"width":0.5,"height":1e21,"density":1e+21}}}`, `{"context":{"screen":{"width":4611686018427387904,"height":123456789012345678,"density":2}}}`,
		`{"context":{"location":{"latitude":-0,"longitude":0,"speed":0.10}}}`, `{"context":{"location":{"latitude":52.520008,"longitude":13.404954,"speed":1e400}}}`, `{"context":{"location":{"latitude":null,"longitude":"x"}}}`,
		`{"context":{"userAgentData":{"brands":[{"brand":"A","version":"1"}],"mobile":false,"fullVersionList":[]}}}`,
		`{"context":{"userAgentData":{"brands":[{"brand":"A","version":1},{"brand":"B","version":"2"}]}}}`, `{"context":{"userAgentData":{"brands":[{}],"fullVersionList":[{"brand":""}]}}}`, `{"context":{"userAgentData":{"brands":[{"brand":"A","x":1}],"fullVersionList":[null]}}}`,
		`{"context":{"userAgentData":{"brands":{},"mobile":null,"wow64":"no"}}}`, `{"context":{"userAgentData":{"brands":[],"mobile":0}}}`,
		`{"context":{"externalIds":[{"id":"1","type":"email","collection":"users","encoding":"none"}]}}`, `{"context":{"externalIds":[{"id":1}]}}`, `{"context":{"externalIds":[]}}`, `{"context":{"externalIds":[{}]}}`, `{"context":{"externalIds":null}}`, `{"context":{"externalIds":[{"id":"1"},5]}}`,
		`{"context":{"consent":{"categoryPreferences":{"a":true,"b":false}}}}`, `{"context":{"consent":{"categoryPreferences":{}}}}`, `{"context":{"consent":{"categoryPreferences":{"a":1}}}}`, `{"context":{"consent":{"categoryPreferences":null,"version":2}}}`, `{"context":{"consent":{}}}`, `{"context":{"consent":null}}`, `{"context":{"consent":[]}}`, `{"context":{"consent":{"categoryPreferences":{"a":true,"b":null}}}}`,
		`{"context":{}}`, `{"context":null}`, `{"context":[]}`, `{"context":"x"}`, `{"context":{"app":{}}}`, `{"context":{"app":null,"os":"linux","network":[],"page":{"url":""},"library":"x","device":5,"campaign":{"name":null,"id":7},"referrer":false}}`,
		`{"context":{"active":false,"direct":true,"network":{"wifi":false,"cellular":true,"bluetooth":null,"carrier":""}}}`, `{"context":{"active":null,"direct":0,"ip":"","locale":null,"timezone":5,"userAgent":[],"groupId":{}}}`,
		`{"context":{"traits":{}}}`, `{"context":{"traits":null}}`, `{"context":{"traits":{"a":{"b":[]}}}}`, `{"context":{"traits":[]}}`,
		`{"context":{"app":{"name":"A","x":{"y":[1,{"z":null}]}},"x":{"app":{"name":"B"}}}}`, `{"context":{"context":{"context":{}}}}`,
		`{"properties":null,"traits":null,"integrations":null}`, `{"properties":{},"traits":{},"integrations":{}}`, `{"properties":[],"traits":"","integrations":0}`, `{"properties":{"properties":{"properties":{}}}}`,
		`{"a":1,"a":2}`, `{"userId":"a","userId":"b"}`, `{"userId":"a","userId":5}`, `{"userId":5,"userId":"a"}`, `{"userId":"a","userId":null}`, `{"context":{"ip":"a"},"context":{"locale":"b"}}`, `{"context":{"app":{"name":"a"},"app":{"version":"b"}}}`, `{"properties":{"a":{"b":1},"a":{"c":2}}}`, `{"properties":{"a":1},"properties":null}`, `{"event":"A","\u0065vent":"B"}`,
		`{"Type":"x","USERID":"y","Extra":{"z":1},"extra":2,"":3,"-":4}`, `{"objectId":"1","ObjectID":"2","id":3}`, `{"\u0000":"\u0000","\ud83d\ude00":"\ud83d","<>&":"\u2028"}`,
		"{\"\xff\":\"\xfe\"}", "{\"userId\":\"\xff\",\"context\":{\"ip\":\"\xc3\"}}",
	}
	for _, n := range []string{"0", "-0", "1", "1.0", "0.10", "1e400", "-1e400", "1e-400", "9007199254740993", "9223372036854775808", "18446744073709551616", "1E5", "1e+5", "0.1e1", "123456789.123456789123456789", "-0.0", "1e0"} {
		for _, doc := range []string{`{"properties":{"n":#,"l":[#],"o":{"n":#}}}`, `{"traits":{"n":#},"n":#,"integrations":{"n":#},"_metadata":{"n":#}}`, `{"context":{"n":#,"app":{"n":#},"traits":{"n":#},"screen":{"width":#,"height":#,"density":#,"n":#},"location":{"latitude":#,"longitude":#,"speed":#}}}`, `{"type":#,"messageId":#,"userId":#,"event":#,"timestamp":#,"channel":#}`} {
			docs = append(docs, strings.ReplaceAll(doc, "#", n))
		}
	}
	for _, v := range []string{`null`, `""`, `"x"`, `false`, `true`, `{}`, `[]`, `[null]`, `{"":null}`, `0`} {
		doc := `{"type":#,"messageId":#,"timestamp":#,"userId":#,"anonymousId":#,"event":#,"name":#,"category":#,"groupId":#,"previousId":#,"collection":#,"id":#,"properties":#,"traits":#,"integrations":#,"channel":#,"originalTimestamp":#,"sentAt":#,"receivedAt":#,"_metadata":#,"version":#,"writeKey":#,"x":#}`
		inner := `{"library":#,"active":#,"ip":#,"locale":#,"timezone":#,"userAgent":#,"channel":#,"groupId":#,"direct":#,"app":#,"campaign":#,"device":#,"location":#,"network":#,"os":#,"page":#,"referrer":#,"screen":#,"userAgentData":#,"consent":#,"traits":#,"externalIds":#,"protocols":#,"x":#}`
		docs = append(docs, strings.ReplaceAll(doc, "#", v), strings.ReplaceAll(`{"context":`+inner+`}`, "#", v))
		for part, keys := range contextParts {
			fields := []string{}
			for _, key := range keys {
				fields = append(fields, `"`+key+`":`+v)
			}
			docs = append(docs, `{"context":{"`+part+`":{`+strings.Join(fields, ",")+`,"other":`+v+`}}}`)
		}
	}
	return docs
}

// contextParts are the objects of the context with their keys, by the spec.
var contextParts = map[string][]string{
	"app": {"name", "version", "build", "namespace"}, "campaign": {"name", "source", "medium", "term", "content"},
	"device":  {"id", "advertisingId", "adTrackingEnabled", "manufacturer", "model", "name", "type", "version", "token"},
	"library": {"name", "version"}, "network": {"bluetooth", "carrier", "cellular", "wifi"}, "os": {"name", "version"},
	"page": {"path", "referrer", "search", "title", "url"}, "referrer": {"id", "type", "name", "url", "link"}, "screen": {"density", "height", "width"},
	"userAgentData": {"brands", "mobile", "platform", "architecture", "bitness", "model", "platformVersion", "uaFullVersion", "fullVersionList", "wow64"},
	"consent":       {"categoryPreferences"}, "location": {"city", "country", "latitude", "longitude", "region", "speed"},
}

func TestEventEncodesToWhatItWasDecodedFrom(t *testing.T) {
	for _, doc := range eventDocuments() {
		t.Run(doc[:min(len(doc), 120)], func(t *testing.T) { requireRoundTrip(t, doc) })
	}
}

// The same through a client, which adds what every message has and takes away nothing.
func TestClientKeepsWhatAnEventHas(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	seen := newRecording(t, analytics.Config{Plugins: []analytics.Plugin{nothing{}}})
	for _, doc := range eventDocuments() {
		e := decoded(t, doc)
		e.Type, e.UserID, e.Event, e.MessageID, e.Timestamp = "track", "u", "E", "m", orderTime
		for _, key := range []string{"type", "userId", "event", "messageId", "timestamp", "context"} {
			delete(e.Extra, key)
		}
		if e.Context == nil {
			e.Context = &analytics.Context{}
		}
		e.Context.Library = analytics.Library{Name: "L", Version: "1"}
		delete(e.Context.Extra, "library")
		for _, r := range []*recording{r, seen} {
			if err := r.Enqueue(t.Context(), e); err != nil {
				faultsOf(t, err)
				continue
			}
			want, err := e.MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, sameInstants(exactly(t, string(want))), sameInstants(exactly(t, r.wire()[0])))
		}
	}
}

func TestDecodingRefuses(t *testing.T) {
	for _, doc := range []string{``, ` `, `[]`, `"x"`, `1`, `{`, `{"a":}`, `{"a":1}x`, `{"a":1}{}`, `{"a":01}`, strings.Repeat(`{"a":`, 200) + `1` + strings.Repeat(`}`, 200), strings.Repeat(`[`, 1_000_000), strings.Repeat(`{"a":`, 1_000_000)} {
		e := analytics.Event{UserID: "before"}
		require.Error(t, e.UnmarshalJSON([]byte(doc)), "%.40s", doc)
		require.Equal(t, analytics.Event{UserID: "before"}, e, "a refused text changes nothing")
	}
}

func TestDecodedEventKeepsNothingOfTheBytes(t *testing.T) {
	b := []byte(`{"type":"track","userId":"u","properties":{"key":"value"},"context":{"ip":"1.2.3.4"},"x":"y"}`)
	var e analytics.Event
	require.NoError(t, e.UnmarshalJSON(b))
	for i := range b {
		b[i] = '#'
	}
	require.Equal(t, "u", e.UserID)
	require.Equal(t, map[string]any{"key": "value"}, e.Properties)
	require.Equal(t, "1.2.3.4", e.Context.IP)
	require.Equal(t, map[string]any{"x": "y"}, e.Extra)
}

func FuzzEvent(f *testing.F) {
	for _, doc := range eventDocuments() {
		f.Add([]byte(doc))
	}
	f.Add([]byte(strings.Repeat(`{"a":`, 100) + `1` + strings.Repeat(`}`, 100)))
	f.Add([]byte(`{"a":` + strings.Repeat(`[`, 100) + strings.Repeat(`]`, 100) + `}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var e analytics.Event
		if e.UnmarshalJSON(data) != nil {
			return
		}
		require.True(t, json.Valid(data))
		requireRoundTrip(t, string(data))
	})
}

func TestDeepestEventRoundTrips(t *testing.T) {
	for levels := 90; levels < 110; levels++ {
		for _, doc := range []string{
			`{"a":` + strings.Repeat(`[`, levels) + strings.Repeat(`]`, levels) + `}`, `{"a":` + strings.Repeat(`[`, levels) + `1` + strings.Repeat(`]`, levels) + `}`,
			`{"context":{"app":{"x":` + strings.Repeat(`[`, levels) + strings.Repeat(`]`, levels) + `}}}`,
		} {
			var e analytics.Event
			if e.UnmarshalJSON([]byte(doc)) == nil {
				requireRoundTrip(t, doc)
			}
		}
	}
}

// A clone shares nothing, whatever the values are made of: plugins and destinations
// write into theirs while the other is read.
func TestCloneSharesNothing(t *testing.T) {
	number := 1
	values := func() map[string]any {
		return map[string]any{
			"map": map[string]any{"k": "v"}, "list": []any{"v"}, "strings": []string{"v"}, "ints": []int{1}, "string map": map[string]string{"k": "v"}, "Properties": analytics.Properties{"k": "v"},
			"Traits": analytics.Traits{"k": map[string]any{"k": "v"}}, "maps": []map[string]any{{"k": "v"}}, "bytes": []byte("v"), "raw": json.RawMessage(`"v"`), "pointer": &number,
		}
	}
	mutate := func(m map[string]any) {
		m["map"].(map[string]any)["k"] = "changed"
		m["list"].([]any)[0] = "changed"
		m["strings"].([]string)[0] = "changed"
		m["ints"].([]int)[0] = 2
		m["string map"].(map[string]string)["k"] = "changed"
		m["Properties"].(analytics.Properties)["k"] = "changed"
		m["Traits"].(analytics.Traits)["k"].(map[string]any)["k"] = "changed"
		m["maps"].([]map[string]any)[0]["k"] = "changed"
		m["bytes"].([]byte)[0] = 'x'
		m["raw"].(json.RawMessage)[1] = 'x'
		*m["pointer"].(*int) = 2
		m["new"] = true
	}
	for name := range values() {
		t.Run(name, func(t *testing.T) {
			number = 1
			one := func() map[string]any { return map[string]any{"v": values()[name]} }
			e := &analytics.Event{
				Type: "track", Properties: one(), Traits: one(), Integrations: one(), Metadata: one(), Extra: one(),
				Context: &analytics.Context{Active: analytics.Ptr(true), Traits: one(), Extra: one(), App: analytics.App{Extra: one()}, ExternalIDs: []analytics.ExternalID{{ID: "1"}},
					UserAgentData: analytics.UserAgentData{Brands: []analytics.Brand{{Brand: "b"}}}, Consent: analytics.ConsentPreferences{CategoryPreferences: map[string]bool{"a": true}}, Location: analytics.Location{Speed: analytics.Ptr(1.5)}},
			}
			c := e.Clone()
			before, err := c.MarshalJSON()
			require.NoError(t, err)
			for _, m := range []map[string]any{e.Properties, e.Traits, e.Integrations, e.Metadata, e.Extra, e.Context.Traits, e.Context.Extra, e.Context.App.Extra} {
				all := values()
				all[name] = m["v"]
				mutate(all)
				m["new"] = 1
			}
			*e.Context.Active, e.Context.ExternalIDs[0].ID, e.Context.UserAgentData.Brands[0].Brand, e.Context.Consent.CategoryPreferences["a"], *e.Context.Location.Speed = false, "2", "c", false, 2
			after, err := c.MarshalJSON()
			require.NoError(t, err)
			require.JSONEq(t, string(before), string(after))
		})
	}
	t.Run("nil", func(t *testing.T) { require.Nil(t, (*analytics.Event)(nil).Clone()) })
	t.Run("what is not copied is at least kept", func(t *testing.T) {
		err := errors.New("x")
		require.Equal(t, err, (&analytics.Event{Extra: map[string]any{"e": err}}).Clone().Extra["e"])
	})
}
