package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

var orderTime = time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)

func TestFaultsOfFieldsAreNamed(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	year := func(y int) time.Time { return time.Date(y, 6, 1, 0, 0, 0, 0, time.UTC) }
	id101 := strings.Repeat("é", 101)
	tests := []struct {
		name   string
		m      analytics.Message
		fields []string
	}{
		{"identify without ids", analytics.Identify{}, []string{"userId"}},
		{"track without ids", analytics.Track{Event: "E"}, []string{"userId"}},
		{"page without ids", analytics.Page{Name: "N"}, []string{"userId"}},
		{"screen without ids", analytics.Screen{Name: "N"}, []string{"userId"}},
		{"group without ids", analytics.Group{GroupID: "g"}, []string{"userId"}},
		{"event without ids", analytics.Event{Type: "track", Event: "E"}, []string{"userId"}},
		{"track without event", analytics.Track{UserID: "u"}, []string{"event"}},
		{"track with nothing", analytics.Track{}, []string{"event", "userId"}},
		{"pointer to a track with nothing", &analytics.Track{}, []string{"event", "userId"}},
		{"group without groupId", analytics.Group{UserID: "u"}, []string{"groupId"}},
		{"group with nothing", analytics.Group{}, []string{"groupId", "userId"}},
		{"alias without userId", analytics.Alias{PreviousID: "p"}, []string{"userId"}},
		{"alias with an anonymousId only", analytics.Alias{PreviousID: "p", AnonymousID: "a"}, []string{"userId"}},
		{"alias without previousId", analytics.Alias{UserID: "u"}, []string{"previousId"}},
		{"alias with nothing", analytics.Alias{}, []string{"previousId", "userId"}},
		{"object with nothing", analytics.Object{Properties: map[string]any{}}, []string{"collection", "id"}},
		{"object with a bad collection", analytics.Object{Collection: "Rooms", ID: "1", Properties: map[string]any{}}, []string{"collection"}},
		{"object with an outer underscore", analytics.Object{Collection: "rooms_", ID: "1", Properties: map[string]any{}}, []string{"collection"}},
		{"object with a long collection", analytics.Object{Collection: strings.Repeat("a", 101), ID: "1", Properties: map[string]any{}}, []string{"collection"}},
		{"object with a long id", analytics.Object{Collection: "rooms", ID: id101, Properties: map[string]any{}}, []string{"id"}},
		{"object without properties", analytics.Object{Collection: "rooms", ID: "1"}, []string{"properties"}},
		{"object with nested properties", analytics.Object{Collection: "rooms", ID: "1", Properties: map[string]any{"a": []int{1}, "b": map[string]any{}, "c": 1}}, []string{"properties.a", "properties.b"}},
		{"messageId of 101 characters", analytics.Track{MessageID: id101, UserID: "u", Event: "E"}, []string{"messageId"}},
		{"several at once", analytics.Event{Type: "track", MessageID: id101, Timestamp: year(-1), SentAt: year(10000), OriginalTimestamp: year(0), ReceivedAt: year(12000)},
			[]string{"event", "messageId", "originalTimestamp", "receivedAt", "sentAt", "timestamp", "userId"}},

		{"timestamp in the year 0", analytics.Track{UserID: "u", Event: "E", Timestamp: year(0)}, []string{"timestamp"}},
		{"timestamp before Christ", analytics.Track{UserID: "u", Event: "E", Timestamp: year(-400)}, []string{"timestamp"}},
		{"timestamp in the year 10000", analytics.Track{UserID: "u", Event: "E", Timestamp: year(10000)}, []string{"timestamp"}},
		{"timestamp at the end of time", analytics.Track{UserID: "u", Event: "E", Timestamp: time.Unix(math.MaxInt64, 0)}, []string{"timestamp"}},
		{"timestamp at the beginning of time", analytics.Track{UserID: "u", Event: "E", Timestamp: time.Unix(math.MinInt64, 0)}, []string{"timestamp"}},

		{"no type", analytics.Event{UserID: "u"}, []string{"type"}},
		{"unknown type", analytics.Event{UserID: "u", Type: "click"}, []string{"type"}},
		{"type in another case", analytics.Event{UserID: "u", Type: "Track", Event: "E"}, []string{"type"}},

		{"nil message", nil, []string{"message"}},
		{"nil *Track", (*analytics.Track)(nil), []string{"message"}},
		{"nil *Event", (*analytics.Event)(nil), []string{"message"}},
		{"nil *Object", (*analytics.Object)(nil), []string{"message"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := r.on(t)
			require.Equal(t, tt.fields, faultsOf(t, r.refused(tt.m)))
		})
	}
}

// What is accepted must not be rejected by the API, behind a 200 that nobody looks
// into. null counts as absent there, "" does not.
func TestFaultsOfDecodedEventsAreNamed(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	tests := []struct {
		doc    string
		fields []string // none: accepted
	}{
		{`{"userId":5,"anonymousId":"a","type":"track","event":"E"}`, []string{"userId"}},
		{`{"userId":"","anonymousId":"a","type":"track","event":"E"}`, []string{"userId"}},
		{`{"userId":"u","anonymousId":"","type":"track","event":"E"}`, []string{"anonymousId"}},
		{`{"userId":"u","anonymousId":false,"type":"track","event":"E"}`, []string{"anonymousId"}},
		{`{"userId":null,"anonymousId":"a","type":"track","event":"E"}`, nil},
		{`{"userId":null,"anonymousId":null,"type":"track","event":"E"}`, []string{"userId"}},
		{`{"userId":[],"type":"identify"}`, []string{"userId"}},
		{`{"userId":"u","groupId":5,"type":"track","event":"E"}`, []string{"groupId"}},
		{`{"userId":"u","groupId":"","type":"track","event":"E"}`, []string{"groupId"}},
		{`{"userId":"u","groupId":"","type":"group"}`, []string{"groupId"}},
		{`{"userId":"u","groupId":null,"type":"group"}`, []string{"groupId"}},
		{`{"userId":"u","previousId":{},"type":"alias"}`, []string{"previousId"}},
		{`{"userId":"u","previousId":"","type":"alias"}`, []string{"previousId"}},
		{`{"userId":"u","previousId":7,"type":"track","event":"E"}`, []string{"previousId"}},
		{`{"userId":"u","messageId":7,"type":"track","event":"E"}`, []string{"messageId"}},
		{`{"userId":"u","messageId":null,"type":"track","event":"E"}`, nil},
		{`{"userId":"u","type":"track","event":5}`, []string{"event"}},
		{`{"userId":"u","type":"track","event":""}`, []string{"event"}},
		{`{"userId":"u","type":"track","event":null}`, []string{"event"}},
		{`{"userId":"u","type":"track"}`, []string{"event"}},
		{`{"userId":"u","type":5}`, []string{"type"}},
		{`{"userId":"u","type":""}`, []string{"type"}},
		{`{"userId":"u"}`, []string{"type"}},
		{`{}`, []string{"type", "userId"}},

		{`{"userId":"u","type":"page"}`, nil},
		{`{"userId":"u","type":"page","name":""}`, []string{"name"}},
		{`{"userId":"u","type":"page","name":"N","category":""}`, []string{"category"}},
		{`{"userId":"u","type":"page","name":5,"category":{}}`, []string{"category", "name"}},
		{`{"userId":"u","type":"screen","name":true,"category":""}`, []string{"category", "name"}},
		{`{"userId":"u","type":"screen","name":null,"category":null}`, nil},
		{`{"userId":"u","type":"track","event":"E","name":5,"category":""}`, nil},

		{`{"userId":"u","type":"track","event":"E","properties":[]}`, []string{"properties"}},
		{`{"userId":"u","type":"track","event":"E","properties":"x"}`, []string{"properties"}},
		{`{"userId":"u","type":"track","event":"E","properties":""}`, []string{"properties"}},
		{`{"userId":"u","type":"track","event":"E","properties":0}`, []string{"properties"}},
		{`{"userId":"u","type":"track","event":"E","properties":false}`, []string{"properties"}},
		{`{"userId":"u","type":"track","event":"E","properties":null}`, nil},
		{`{"userId":"u","type":"identify","traits":[]}`, []string{"traits"}},
		{`{"userId":"u","type":"identify","traits":null}`, nil},
		{`{"userId":"u","type":"identify","context":"x"}`, []string{"context"}},
		{`{"userId":"u","type":"identify","context":[]}`, []string{"context"}},
		{`{"userId":"u","type":"identify","context":null}`, nil},
		{`{"userId":"u","type":"identify","integrations":[]}`, []string{"integrations"}},
		{`{"userId":"u","type":"identify","integrations":false}`, []string{"integrations"}},
		{`{"userId":"u","type":"identify","integrations":null}`, nil},

		{`{"userId":"u","type":"identify","timestamp":"yesterday"}`, []string{"timestamp"}},
		{`{"userId":"u","type":"identify","timestamp":1767322800}`, []string{"timestamp"}},
		{`{"userId":"u","type":"identify","timestamp":null}`, nil},
		{`{"userId":"u","type":"identify","originalTimestamp":true,"sentAt":[],"receivedAt":"12:00"}`, []string{"originalTimestamp", "receivedAt", "sentAt"}},
		{`{"userId":"u","type":"identify","timestamp":"9999-12-31T23:59:59-01:00"}`, []string{"timestamp"}},
		{`{"userId":"u","type":"identify","timestamp":"0001-01-01T00:00:00+01:00"}`, []string{"timestamp"}},
		{`{"userId":"u","type":"identify","timestamp":"2026-01-02T03:04:05+01:00"}`, nil},

		{`{"userId":7,"type":"page","name":"","properties":[],"timestamp":0}`, []string{"name", "properties", "timestamp", "userId"}},
	}
	for _, tt := range tests {
		t.Run(tt.doc, func(t *testing.T) {
			r := r.on(t)
			if tt.fields == nil {
				r.sent(t.Context(), decoded(t, tt.doc))
				return
			}
			require.Equal(t, tt.fields, faultsOf(t, r.refused(decoded(t, tt.doc))))
		})
	}
}

func TestAnIDThatIsAStringIsNotCalledADate(t *testing.T) {
	for _, key := range []string{"userId", "anonymousId", "groupId", "previousId", "event", "messageId", "type"} {
		e := analytics.Event{Type: analytics.CallTrack, UserID: "u", Event: "E", Extra: map[string]any{key: "text"}}
		if err := newRecording(t, analytics.Config{}).Enqueue(t.Context(), e); err != nil {
			require.NotContains(t, err.Error(), "ISO", key)
		}
	}
}

// The spec types a timestamp as an ISO 8601 date, which need not be an RFC 3339 one.
func TestISODatesAreTimestamps(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for _, date := range []string{
		"2026-01-02T03:04:05Z", "2026-01-02T03:04:05.6Z", "2026-01-02T03:04:05.123456789Z", "2026-01-02T03:04:05+05:30",
		"2026-01-02", "2026-01-02T03:04Z", "2026-01-02T03:04:05", "2026-01-02T03:04:05+0100", "20260102T030405Z",
	} {
		t.Run(date, func(t *testing.T) {
			r := r.on(t)
			r.sent(t.Context(), decoded(t, fmt.Sprintf(`{"type":"identify","userId":"u","timestamp":%q}`, date)))
		})
	}
}

func TestFaultsOfFieldsAndOfValuesAreReportedTogether(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	err := r.refused(analytics.Track{UserID: "u", Properties: map[string]any{"a": math.NaN()}})
	require.Equal(t, []string{"event", "properties.a"}, faultsOf(t, err))
	err = r.refused(analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"a": math.NaN()},
		Integrations: analytics.Integrations{"X": math.NaN()}, Context: &analytics.Context{Extra: map[string]any{"x": math.NaN()}}})
	require.Equal(t, []string{"context.x", "integrations.X", "properties.a"}, faultsOf(t, err))
}

func TestEdgesOfWhatIsAccepted(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	id100 := strings.Repeat("😀", 100)
	tests := []struct {
		name string
		m    analytics.Message
		path string
		want string
	}{
		{"messageId of 100 characters of four bytes", analytics.Track{MessageID: id100, UserID: "u", Event: "E"}, "messageId", `"` + id100 + `"`},
		{"the last moment of the year 9999", analytics.Track{UserID: "u", Event: "E", Timestamp: time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC)}, "timestamp", `"9999-12-31T23:59:59.999999999Z"`},
		{"the first second of the year 1", analytics.Track{UserID: "u", Event: "E", Timestamp: time.Date(1, 1, 1, 0, 0, 1, 0, time.UTC)}, "timestamp", `"0001-01-01T00:00:01.000Z"`},
		{"a timestamp in another zone", analytics.Track{UserID: "u", Event: "E", Timestamp: orderTime.In(time.FixedZone("", 5*3600+1800))}, "timestamp", `"2026-01-02T03:04:05.678Z"`},
		{"group with an anonymousId", analytics.Group{AnonymousID: "a", GroupID: "g"}, "groupId", `"g"`},
		{"alias needs no anonymousId", analytics.Alias{UserID: "u", PreviousID: "p"}, "previousId", `"p"`},
		{"page without a name", analytics.Page{UserID: "u"}, "name", ``},
		{"object of 100 characters", analytics.Object{Collection: strings.Repeat("a", 100), ID: strings.Repeat("é", 100), Properties: map[string]any{}}, "properties", `{}`},
		{"object with null", analytics.Object{Collection: "a_b", ID: "1", Properties: map[string]any{"a": nil}}, "properties", `{"a":null}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := r.on(t)
			require.Equal(t, tt.want, get(t, r.sent(t.Context(), tt.m), tt.path))
		})
	}
}

func TestAMissingTimestampIsNow(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	doc := send(t, analytics.Track{UserID: "u", Event: "E"})
	at, err := time.Parse(`"2006-01-02T15:04:05.000Z"`, get(t, doc, "timestamp"))
	require.NoError(t, err)
	require.False(t, at.Before(before))
	require.False(t, at.After(time.Now()))
}

func TestLimitIsExactToTheByte(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for _, tt := range []struct {
		name  string
		limit int
		make  func(pad string) analytics.Message
	}{
		{"a call has 32,000 bytes", 32_000, func(pad string) analytics.Message {
			return analytics.Track{MessageID: "m", UserID: "u", Event: "E", Timestamp: orderTime, Properties: map[string]any{"p": pad}}
		}},
		{"an identify too", 32_000, func(pad string) analytics.Message {
			return &analytics.Identify{MessageID: "m", UserID: pad, Timestamp: orderTime}
		}},
		{"an object too", 32_000, func(pad string) analytics.Message {
			return analytics.Object{MessageID: "m", Collection: "a", ID: "1", Timestamp: orderTime, Properties: map[string]any{"p": pad}}
		}},
		{"an event has 32,768 bytes", 32_768, func(pad string) analytics.Message {
			return analytics.Event{Type: "track", MessageID: "m", UserID: "u", Event: "E", Timestamp: orderTime, Properties: map[string]any{"p": pad}}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.on(t)
			room := tt.limit - len(r.sent(t.Context(), tt.make("x"))) + 1
			require.Len(t, r.sent(t.Context(), tt.make(strings.Repeat("x", room))), tt.limit)
			require.Equal(t, []string{"message"}, faultsOf(t, r.refused(tt.make(strings.Repeat("x", room+1)))))

			// Real bytes: an escaped quote has two, a control character six, an é two.
			quotes := strings.Repeat(`"`, room/2) + strings.Repeat("x", room%2)
			require.Len(t, r.sent(t.Context(), tt.make(quotes)), tt.limit)
			require.Equal(t, []string{"message"}, faultsOf(t, r.refused(tt.make(quotes+"x"))))
			controls := strings.Repeat("\x01", room/6) + strings.Repeat("x", room%6)
			require.Len(t, r.sent(t.Context(), tt.make(controls)), tt.limit)
			require.Equal(t, []string{"message"}, faultsOf(t, r.refused(tt.make(controls+"x"))))
			accents := strings.Repeat("é", room/2) + strings.Repeat("x", room%2)
			require.Len(t, r.sent(t.Context(), tt.make(accents)), tt.limit)
			require.Equal(t, []string{"message"}, faultsOf(t, r.refused(tt.make(accents+"x"))))
		})
	}
	t.Run("the limit is in the error", func(t *testing.T) {
		err := r.refused(analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"p": strings.Repeat("x", 40_000)}})
		require.ErrorContains(t, err, "32000")
	})
}

// appender appends what it holds, as generated types do.
type appender string

func (a appender) AppendJSON(b []byte) ([]byte, error) { return append(b, a...), nil }

// appendFunc is a value whose AppendJSON is f.
type appendFunc func([]byte) ([]byte, error)

func (f appendFunc) AppendJSON(b []byte) ([]byte, error) { return f(b) }

type pointerAppender struct{ n int }

func (p *pointerAppender) AppendJSON(b []byte) ([]byte, error) {
	return fmt.Appendf(b, `{"own":%d}`, p.n), nil
}

type marshaler func() ([]byte, error)

func (f marshaler) MarshalJSON() ([]byte, error) { return f() }

type textMarshaler func() ([]byte, error)

func (f textMarshaler) MarshalText() ([]byte, error) { return f() }

type money struct {
	Amount   float64 `json:"amount"`
	Currency string  `json:"currency,omitempty"`
}

func TestPropertiesAndTraitsAreObjects(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	objects := map[string]struct {
		v    any
		want string
	}{
		"Properties":                {analytics.Properties{"a": 1}, `{"a":1}`},
		"Traits":                    {analytics.Traits{"a": 1}, `{"a":1}`},
		"map[string]any":            {map[string]any{"a": 1}, `{"a":1}`},
		"map[string]string":         {map[string]string{"a": "1"}, `{"a":"1"}`},
		"map[string]float64":        {map[string]float64{"a": 0.1}, `{"a":0.1}`},
		"map[int]bool":              {map[int]bool{1: true}, `{"1":true}`},
		"struct":                    {money{1, "EUR"}, `{"amount":1,"currency":"EUR"}`},
		"pointer to struct":         {&money{1, ""}, `{"amount":1}`},
		"pointer to a pointer":      {analytics.Ptr(&money{1, ""}), `{"amount":1}`},
		"pointer to map":            {&map[string]any{"a": 1}, `{"a":1}`},
		"empty struct":              {struct{}{}, `{}`},
		"empty map":                 {map[string]any{}, `{}`},
		"json.RawMessage":           {json.RawMessage(` { "a" : 1 } `), `{"a":1}`},
		"AppendJSON":                {appender(`{"a":1}`), `{"a":1}`},
		"AppendJSON of a pointer":   {&pointerAppender{7}, `{"own":7}`},
		"AppendJSON with spaces":    {appender(" {\"a\": 1}\n"), `{"a":1}`},
		"MarshalJSON":               {marshaler(func() ([]byte, error) { return []byte(`{"a":1}`), nil }), `{"a":1}`},
		"nil":                       {nil, ``},
		"nil Properties":            {analytics.Properties(nil), ``},
		"nil Traits":                {analytics.Traits(nil), ``},
		"nil map":                   {map[string]any(nil), ``},
		"nil typed map":             {map[string]string(nil), ``},
		"nil other map":             {map[string]int(nil), ``},
		"nil pointer":               {(*money)(nil), ``},
		"nil pointer to map":        {(*map[string]any)(nil), ``},
		"nil pointer, AppendJSON":   {(*pointerAppender)(nil), ``},
		"nil json.RawMessage":       {json.RawMessage(nil), ``},
		"AppendJSON of null":        {appender(`null`), ``},
		"json.RawMessage of null":   {json.RawMessage(`null`), ``},
		"pointer to a nil Traits":   {analytics.Ptr(analytics.Traits(nil)), ``},
		"pointer to a nil *pointer": {analytics.Ptr((*money)(nil)), ``},
	}
	for name, tt := range sorted(objects) {
		t.Run(name, func(t *testing.T) {
			r := r.on(t)
			for _, m := range []analytics.Message{
				analytics.Track{UserID: "u", Event: "E", Properties: tt.v},
				analytics.Page{UserID: "u", Properties: tt.v},
				analytics.Screen{UserID: "u", Properties: tt.v},
				analytics.Identify{UserID: "u", Traits: tt.v},
				analytics.Group{UserID: "u", GroupID: "g", Traits: tt.v},
			} {
				require.NoError(t, r.Enqueue(t.Context(), m))
			}
			for i, doc := range r.wire() {
				key := []string{"properties", "properties", "properties", "traits", "traits"}[i]
				if got := get(t, doc, key); tt.want == "" {
					require.Empty(t, got)
				} else {
					require.JSONEq(t, tt.want, got)
				}
			}
		})
	}
	for name, v := range map[string]any{
		"slice": []any{}, "typed slice": []int{1}, "array": [2]int{}, "string": "x", "empty string": "", "int": 1, "float": 1.5,
		"bool": true, "time": orderTime, "bytes": []byte("x"), "raw list": json.RawMessage(`[1]`), "appended list": appender(`[1]`),
		"appended string": appender(`"{"`), "number": json.Number("1"), "pointer to int": analytics.Ptr(1), "duration": time.Second,
		"slice of maps": []map[string]any{{}}, "strings": []string{"a"},
	} {
		t.Run("refuses "+name, func(t *testing.T) {
			r := r.on(t)
			require.Equal(t, []string{"properties"}, faultsOf(t, r.refused(analytics.Track{UserID: "u", Event: "E", Properties: v})))
			require.Equal(t, []string{"traits"}, faultsOf(t, r.refused(analytics.Identify{UserID: "u", Traits: v})))
			require.Equal(t, []string{"traits"}, faultsOf(t, r.refused(&analytics.Group{UserID: "u", GroupID: "g", Traits: v})))
		})
	}
}

type node struct {
	Name string `json:"name"`
	Next *node  `json:"next,omitempty"`
}

// chain nests n objects through pointers.
func chain(n int) *node {
	var c *node
	for range n {
		c = &node{Next: c}
	}
	return c
}

const secret = "s3cret"

// badValues cannot be encoded. Panics and texts hold the secret, which must not
// appear in an error.
func badValues() map[string]any {
	mapCycle := map[string]any{}
	mapCycle["self"] = mapCycle
	listCycle := []any{nil}
	listCycle[0] = listCycle
	typedMap := map[string]analytics.Properties{"p": {}}
	typedMap["p"]["back"] = typedMap
	type list []list
	typedList := list{nil}
	typedList[0] = typedList
	structCycle := &node{}
	structCycle.Next = structCycle
	type pointer *pointer
	var self pointer
	self = &self
	var anyCycle any
	anyCycle = &anyCycle
	deep := any(1)
	for range 200 {
		deep = []any{deep}
	}
	panics := func() ([]byte, error) { panic(secret) }
	return map[string]any{
		"NaN": math.NaN(), "+Inf": math.Inf(1), "-Inf": math.Inf(-1), "float32 NaN": float32(math.NaN()), "pointer to NaN": analytics.Ptr(math.NaN()),
		"channel": make(chan int), "nil channel": (chan int)(nil), "func": func() {}, "nil func": (func())(nil), "complex64": complex64(1), "complex128": 1i,
		"unsafe pointer": unsafe.Pointer(new(int)),
		"map cycle":      mapCycle, "list cycle": listCycle, "typed map cycle": typedMap, "typed list cycle": typedList, "struct cycle": structCycle,
		"pointer cycle": self, "interface cycle": anyCycle, "struct cycle by value": *structCycle, "201 levels": deep,
		"json.Number text": json.Number(secret), "json.Number hex": json.Number("0x1F"), "json.Number NaN": json.Number("NaN"), "json.Number 01": json.Number("01"),
		"json.Number 1.": json.Number("1."), "json.Number .5": json.Number(".5"), "json.Number +1": json.Number("+1"), "json.Number with a space": json.Number(" 1"),
		"json.Number 1e": json.Number("1e"), "json.Number -": json.Number("-"), "json.Number with an object": json.Number(`1,"x":2`),
		"json.Number in a struct": struct{ N json.Number }{json.Number(secret)},
		"json.Number in a map":    map[int]json.Number{1: json.Number(secret)},
		"raw text":                json.RawMessage(secret), "raw nothing": json.RawMessage(""), "raw two values": json.RawMessage(`{}{}`), "raw cut off": json.RawMessage(`{"a":`),
		"raw in a struct":    struct{ R json.RawMessage }{json.RawMessage(secret)},
		"raw comma":          json.RawMessage(`1,"x":2`),
		"AppendJSON garbage": appender(secret), "AppendJSON nothing": appender(""), "AppendJSON two": appender(`{}{}`), "AppendJSON comma": appender(`1,"x":2`),
		"AppendJSON cut off": appender(`{"a":`), "AppendJSON raw control": appender("\"\n\""),
		"AppendJSON error":     appendFunc(func(b []byte) ([]byte, error) { return b, errors.New("no") }),
		"AppendJSON nil":       appendFunc(func([]byte) ([]byte, error) { return nil, nil }),
		"AppendJSON shorter":   appendFunc(func(b []byte) ([]byte, error) { return b[:1], nil }),
		"AppendJSON panics":    appendFunc(func([]byte) ([]byte, error) { panic(secret) }),
		"AppendJSON index":     appendFunc(func(b []byte) ([]byte, error) { return b[:cap(b)+1], nil }),
		"AppendJSON and fail":  appendFunc(func(b []byte) ([]byte, error) { return append(b, secret...), errors.New("no") }),
		"AppendJSON too deep":  appender(strings.Repeat("[", 200) + strings.Repeat("]", 200)),
		"AppendJSON, nil func": appendFunc(nil),
		"MarshalJSON panics":   marshaler(panics), "MarshalJSON garbage": marshaler(func() ([]byte, error) { return []byte(secret), nil }),
		"MarshalJSON nothing": marshaler(func() ([]byte, error) { return nil, nil }), "MarshalJSON error": marshaler(func() ([]byte, error) { return nil, errors.New("no") }),
		"MarshalText panics": textMarshaler(panics), "MarshalText error": textMarshaler(func() ([]byte, error) { return nil, errors.New("no") }),
		"MarshalJSON panics in a struct": struct{ M marshaler }{panics},
		"MarshalText panics in a key":    map[textKey]int{{"x"}: 1},
		"year 10000":                     time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), "year -1": time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC),
		"zone of 30 hours":       time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", 30*3600)),
		"channel in a struct":    struct{ C chan int }{},
		"func in a struct":       &struct{ F func() }{func() {}},
		"NaN in a struct":        money{Amount: math.NaN()},
		"NaN behind a pointer":   &money{Amount: math.Inf(1)},
		"map with odd keys":      map[struct{ A int }]int{{1}: 1},
		"map with bool keys":     map[bool]int{true: 1},
		"150 pointers deep":      chain(150),
		"raw, 150 levels":        json.RawMessage(strings.Repeat("[", 150) + strings.Repeat("]", 150)),
		"MarshalJSON 150 levels": marshaler(func() ([]byte, error) { return []byte(strings.Repeat("[", 150) + strings.Repeat("]", 150)), nil }),
	}
}

type textKey struct{ s string }

func (textKey) MarshalText() ([]byte, error) { panic(secret) }

func TestPromiseBadValuesAreNamedWithTheirPath(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for name, v := range sorted(badValues()) {
		t.Run(name, func(t *testing.T) {
			r := r.on(t)
			for path, m := range sorted(map[string]analytics.Message{
				"properties.a.b":   analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"ok": 1, "a": map[string]any{"b": v}}},
				"properties.a.1.b": analytics.Page{UserID: "u", Properties: analytics.Properties{"a": []any{1, analytics.Properties{"b": v}}}},
				"traits.a.b":       analytics.Identify{UserID: "u", Traits: analytics.Traits{"a": analytics.Traits{"b": v}}},
				"traits.b":         &analytics.Group{UserID: "u", GroupID: "g", Traits: map[string]any{"b": v}},
				"integrations.X.b": analytics.Alias{UserID: "u", PreviousID: "p", Integrations: analytics.Integrations{"X": map[string]any{"b": v}}},
				"context.traits.b": analytics.Screen{UserID: "u", Context: &analytics.Context{Traits: analytics.Traits{"b": v}}},
				"context.b":        analytics.Screen{UserID: "u", Context: &analytics.Context{Extra: map[string]any{"b": v}}},
				"properties.b":     analytics.Event{Type: "track", UserID: "u", Event: "E", Properties: map[string]any{"b": v}},
				"b":                analytics.Event{Type: "track", UserID: "u", Event: "E", Extra: map[string]any{"b": v}},
				"_metadata.b":      analytics.Event{Type: "track", UserID: "u", Event: "E", Metadata: map[string]any{"b": v}},
			}) {
				err := r.refused(m)
				fields := faultsOf(t, err)
				require.Len(t, fields, 1)
				require.True(t, fields[0] == path || strings.HasPrefix(fields[0], path+"."), "%s, want %s", fields[0], path)
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

// The room behind what is written has what was there before, of another event maybe.
func TestAppendJSONThatWritesNothingTakesNoOldBytes(t *testing.T) {
	for _, n := range []int{1, 2} {
		old := []byte(strings.Repeat("1", 4096))
		b, err := analytics.Event{Type: "track", UserID: "u", Event: "E", Properties: map[string]any{
			"b": appendFunc(func(b []byte) ([]byte, error) { return b[:n], nil }),
		}}.AppendJSON(old[:0])
		require.Error(t, err, "%s", b)
	}
}

func TestPathsOfBadValues(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	nan := math.NaN()
	for _, row := range []struct {
		path string
		v    any
	}{
		{"properties.x", map[string]float64{"ok": 1, "x": nan}},
		{"properties.m.x", map[string]map[string]float64{"m": {"x": nan}}},
		{"properties.l.2", map[string]any{"l": []float64{1, 2, nan}}},
		{"properties.l.1.x", map[string]any{"l": []map[string]any{{"x": 1}, {"x": nan}}}},
		{"properties.a.0", map[string]any{"a": [1]float64{nan}}},
		{"properties.p.x", map[string]any{"p": &map[string]any{"x": nan}}},
		// What is left to encoding/json is named as a whole.
		{"properties", map[int]float64{1: nan}},
		{"properties", money{Amount: nan}},
		{"properties.price", map[string]any{"price": &money{Amount: nan}}},
		{"properties.items.1", map[string]any{"items": []money{{}, {Amount: nan}}}},
		{"properties", struct {
			C chan int `json:"ch"`
		}{}},
	} {
		t.Run(row.path, func(t *testing.T) {
			r := r.on(t)
			require.Equal(t, []string{row.path}, faultsOf(t, r.refused(analytics.Track{UserID: "u", Event: "E", Properties: row.v})))
		})
	}
	for path, c := range map[string]*analytics.Context{
		"context.x":                 {Extra: map[string]any{"x": nan}},
		"context.app.x":             {App: analytics.App{Extra: map[string]any{"x": nan}}},
		"context.campaign.x":        {Campaign: analytics.Campaign{Extra: map[string]any{"ok": 1, "x": nan}}},
		"context.location.latitude": {Location: analytics.Location{Latitude: &nan}},
		"context.screen.density":    {Screen: analytics.ScreenInfo{Density: nan}},
		"context.traits.x":          {Traits: analytics.Traits{"x": nan}},
		"context.userAgentData.x":   {UserAgentData: analytics.UserAgentData{Extra: map[string]any{"x": nan}}},
		"context.consent.x":         {Consent: analytics.ConsentPreferences{Extra: map[string]any{"x": nan}}},
		"context.library.x.y":       {Library: analytics.Library{Extra: map[string]any{"x": map[string]any{"y": nan}}}},
	} {
		t.Run(path, func(t *testing.T) {
			r := r.on(t)
			require.Equal(t, []string{path}, faultsOf(t, r.refused(analytics.Track{UserID: "u", Event: "E", Context: c})))
			ctx := analytics.NewContext(t.Context(), c)
			require.Equal(t, []string{path}, faultsOf(t, r.Enqueue(ctx, analytics.Track{UserID: "u", Event: "E"})))
			_, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{&recorder{}}, Context: c})
			require.ErrorContains(t, err, "C"+path[1:]+": ")
		})
	}
}

// What is accepted has to be decodable again: plugins and destinations that
// translate see the decoded event.
func TestWhatIsAcceptedCanBeDecoded(t *testing.T) {
	nested := func(levels int) any {
		v := any(map[string]any{"leaf": 1})
		for range levels - 1 {
			v = map[string]any{"n": v}
		}
		return v
	}
	r := newRecording(t, analytics.Config{})
	for levels := 90; levels <= 110; levels++ {
		brackets := strings.Repeat(`[`, levels-1) + strings.Repeat(`]`, levels-1)
		for name, m := range map[string]analytics.Message{
			"properties":      analytics.Track{UserID: "u", Event: "E", Properties: nested(levels)},
			"struct":          analytics.Track{UserID: "u", Event: "E", Properties: chain(levels)},
			"raw":             analytics.Track{UserID: "u", Event: "E", Properties: json.RawMessage(`{"a":` + brackets + `}`)},
			"raw inside":      analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"a": map[string]any{"b": json.RawMessage(brackets)}}},
			"appended":        analytics.Track{UserID: "u", Event: "E", Properties: appender(`{"a":` + brackets + `}`)},
			"appended inside": analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"a": map[string]any{"b": appender(brackets)}}},
			"integrations":    analytics.Track{UserID: "u", Event: "E", Integrations: analytics.Integrations{"X": nested(levels)}},
			"context":         analytics.Track{UserID: "u", Event: "E", Context: &analytics.Context{Extra: map[string]any{"x": nested(levels)}}},
			"context.app":     analytics.Track{UserID: "u", Event: "E", Context: &analytics.Context{App: analytics.App{Extra: map[string]any{"x": nested(levels)}}}},
			"context.traits":  analytics.Track{UserID: "u", Event: "E", Context: &analytics.Context{Traits: analytics.Traits{"x": nested(levels)}}},
			"extra":           analytics.Event{Type: "track", UserID: "u", Event: "E", Extra: map[string]any{"x": nested(levels)}},
			"empty lists":     analytics.Event{Type: "track", UserID: "u", Event: "E", Extra: map[string]any{"x": json.RawMessage(brackets)}},
		} {
			if err := r.Enqueue(t.Context(), m); err != nil {
				faultsOf(t, err)
				continue
			}
			var e analytics.Event
			for _, doc := range r.wire() {
				if err := e.UnmarshalJSON([]byte(doc)); err != nil {
					t.Errorf("%s, %d levels: accepted, but %v", name, levels, err)
				}
			}
		}
	}
}

func TestInvalidUTF8IsReplaced(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	const bad, good = "a\xffb\xc3", "a\ufffdb\ufffd"
	e := analytics.Event{
		Type: "track", MessageID: bad, UserID: bad, AnonymousID: bad, Event: bad, Name: bad, Category: bad, GroupID: bad, PreviousID: bad, Channel: bad,
		Properties:   map[string]any{bad: bad, "list": []any{bad}, "strings": []string{bad}, "map": map[string]string{bad: bad}, "struct": node{Name: bad}, "named": appender(`"x"`), "typed": map[appKey]appKey{bad: bad}},
		Traits:       map[string]any{bad: map[string]any{bad: bad}},
		Integrations: analytics.Integrations{bad: bad},
		Context:      &analytics.Context{IP: bad, App: analytics.App{Name: bad}, Extra: map[string]any{bad: bad}, Consent: analytics.ConsentPreferences{CategoryPreferences: map[string]bool{bad: true}}},
		Extra:        map[string]any{bad: bad},
	}
	doc := r.sent(t.Context(), e)
	require.NotContains(t, doc, "\xff")
	for _, path := range []string{"messageId", "userId", "anonymousId", "event", "name", "category", "groupId", "previousId", "channel", "properties." + good,
		"properties.map." + good, "properties.struct.name", "properties.typed." + good, "traits." + good + "." + good, "integrations." + good, "context.ip", "context.app.name", "context." + good, good} {
		require.JSONEq(t, `"`+good+`"`, get(t, doc, path), path)
	}
	require.Equal(t, `true`, get(t, doc, "context.consent.categoryPreferences."+good))
	require.Equal(t, `["`+good+`"]`, get(t, doc, "properties.list"))
	require.Equal(t, `["`+good+`"]`, get(t, doc, "properties.strings"))
}

type appKey string

// JSON that a value brings along is checked too: one event with bytes that are no
// UTF-8 makes the whole batch unreadable.
func TestInvalidUTF8OfForeignJSONNeverReachesTheWire(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for name, v := range map[string]any{
		"AppendJSON":  appender("{\"a\":\"\xff\"}"),
		"RawMessage":  json.RawMessage("{\"a\":\"\xff\"}"),
		"MarshalJSON": marshaler(func() ([]byte, error) { return []byte("{\"a\":\"\xff\"}"), nil }),
		"key":         appender("{\"\xff\":1}"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := r.Enqueue(t.Context(), analytics.Track{UserID: "u", Event: "E", Properties: v}); err != nil {
				require.Contains(t, faultsOf(t, err)[0], "properties")
				return
			}
			require.NotContains(t, r.wire()[0], "\xff")
		})
	}
}

func TestTheCallerMayChangeEverythingAfterTheCall(t *testing.T) {
	r := newRecording(t, analytics.Config{Plugins: []analytics.Plugin{analytics.PluginFunc(func(context.Context, *analytics.Event) error { return nil })}})
	plain := newRecording(t, analytics.Config{})
	nested := map[string]any{"n": 0}
	list := []any{0}
	properties := map[string]any{"n": 0, "nested": nested, "list": list}
	c := &analytics.Context{Extra: map[string]any{"n": 0}, Traits: analytics.Traits{"n": 0}, ExternalIDs: []analytics.ExternalID{{ID: "0"}},
		Consent: analytics.ConsentPreferences{CategoryPreferences: map[string]bool{"n": true}}, Active: analytics.Ptr(true)}
	integrations := analytics.Integrations{"n": 0}
	const n = 200
	for i := range n {
		properties["n"], nested["n"], list[0], c.Extra["n"], c.Traits["n"], integrations["n"] = i, i, i, i, i, i
		c.ExternalIDs[0].ID, *c.Active, c.Consent.CategoryPreferences["n"] = fmt.Sprint(i), i%2 == 0, i%2 == 0
		m := analytics.Track{UserID: "u", Event: "E", Properties: properties, Context: c, Integrations: integrations}
		require.NoError(t, r.Track(t.Context(), m))
		require.NoError(t, plain.Track(t.Context(), m))
	}
	for _, events := range [][]string{r.wire(), plain.wire()} {
		require.Len(t, events, n)
		for i, doc := range events {
			require.JSONEq(t, fmt.Sprintf(`{"n":%d,"nested":{"n":%[1]d},"list":[%[1]d]}`, i), get(t, doc, "properties"))
			require.Equal(t, fmt.Sprint(i), get(t, doc, "context.n"))
			require.Equal(t, fmt.Sprint(i), get(t, doc, "context.traits.n"))
			require.Equal(t, fmt.Sprintf(`[{"id":"%d"}]`, i), get(t, doc, "context.externalIds"))
			require.Equal(t, fmt.Sprint(i%2 == 0), get(t, doc, "context.active"))
			require.Equal(t, fmt.Sprintf(`{"n":%t}`, i%2 == 0), get(t, doc, "context.consent.categoryPreferences"))
			require.Equal(t, fmt.Sprintf(`{"n":%d}`, i), get(t, doc, "integrations"))
		}
	}
}

func TestNothingIsAddedThatWasNotGiven(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	always := []string{"context", "messageId", "timestamp", "type"}
	with := func(keys ...string) []string { return append(append([]string{}, always...), keys...) }
	at := orderTime
	ints := analytics.Integrations{}
	p, c := analytics.Properties{}, &analytics.Context{}
	for _, tt := range []struct {
		name string
		m    analytics.Message
		keys []string
	}{
		{"identify, least", analytics.Identify{UserID: "u"}, with("userId")},
		{"identify, all", analytics.Identify{MessageID: "m", UserID: "u", AnonymousID: "a", Traits: p, Timestamp: at, Context: c, Integrations: ints}, with("userId", "anonymousId", "traits", "integrations")},
		{"track, least", analytics.Track{AnonymousID: "a", Event: "E"}, with("anonymousId", "event")},
		{"track, all", analytics.Track{MessageID: "m", UserID: "u", AnonymousID: "a", Event: "E", Properties: p, Timestamp: at, Context: c, Integrations: ints}, with("userId", "anonymousId", "event", "properties", "integrations")},
		{"page, least", analytics.Page{UserID: "u"}, with("userId")},
		{"page with name and category", analytics.Page{UserID: "u", Name: "N", Category: "C"}, with("userId", "name", "category")},
		{"page, all", analytics.Page{MessageID: "m", UserID: "u", AnonymousID: "a", Name: "N", Category: "C", Properties: p, Timestamp: at, Context: c, Integrations: ints}, with("userId", "anonymousId", "name", "category", "properties", "integrations")},
		{"screen, least", analytics.Screen{UserID: "u"}, with("userId")},
		{"screen, all", analytics.Screen{MessageID: "m", UserID: "u", AnonymousID: "a", Name: "N", Category: "C", Properties: p, Timestamp: at, Context: c, Integrations: ints}, with("userId", "anonymousId", "name", "category", "properties", "integrations")},
		{"group, least", analytics.Group{UserID: "u", GroupID: "g"}, with("userId", "groupId")},
		{"group, all", analytics.Group{MessageID: "m", UserID: "u", AnonymousID: "a", GroupID: "g", Traits: p, Timestamp: at, Context: c, Integrations: ints}, with("userId", "anonymousId", "groupId", "traits", "integrations")},
		{"alias, least", analytics.Alias{UserID: "u", PreviousID: "p"}, with("userId", "previousId")},
		{"alias, all", analytics.Alias{MessageID: "m", UserID: "u", PreviousID: "p", AnonymousID: "a", Timestamp: at, Context: c, Integrations: ints}, with("userId", "previousId", "anonymousId", "integrations")},
		{"object, least", analytics.Object{Collection: "c", ID: "1", Properties: p}, []string{"collection", "id", "messageId", "properties", "timestamp", "type"}},
		{"object, all", analytics.Object{MessageID: "m", Collection: "c", ID: "1", Properties: p, Timestamp: at, Integrations: ints}, []string{"collection", "id", "integrations", "messageId", "properties", "timestamp", "type"}},
		{"event, least", analytics.Event{Type: "page", UserID: "u"}, with("userId")},
		{"event, all", analytics.Event{Type: "page", MessageID: "m", UserID: "u", AnonymousID: "a", Event: "E", Name: "N", Category: "C", GroupID: "g", PreviousID: "p", Collection: "c", ObjectID: "1",
			Properties: p, Traits: p, Context: c, Integrations: ints, Channel: "server", Timestamp: at, OriginalTimestamp: at, SentAt: at, ReceivedAt: at, Metadata: map[string]any{}, Extra: map[string]any{"x": nil}},
			with("userId", "anonymousId", "event", "name", "category", "groupId", "previousId", "collection", "id", "properties", "traits", "integrations", "channel", "originalTimestamp", "sentAt", "receivedAt", "_metadata", "x")},
		{"event of an object", analytics.Event{Type: "object", Collection: "c", ObjectID: "1", Properties: p}, []string{"collection", "id", "messageId", "properties", "timestamp", "type"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := r.on(t)
			doc := r.sent(t.Context(), tt.m)
			require.ElementsMatch(t, tt.keys, keysOf(t, doc))
			if context := get(t, doc, "context"); context != "" {
				require.JSONEq(t, fmt.Sprintf(`{"library":{"name":"%s","version":"%s"}}`, "analytics-go", analytics.Version), withName(t, context))
			}
			for _, key := range []string{"properties", "traits", "integrations", "_metadata"} {
				if v := get(t, doc, key); v != "" {
					require.Equal(t, `{}`, v, key)
				}
			}
		})
	}
}

// withName replaces the name of the library, which is not for this test to know.
func withName(t *testing.T, context string) string {
	name := get(t, context, "library.name")
	require.NotEmpty(t, name)
	return strings.Replace(context, name, `"analytics-go"`, 1)
}

func TestAFieldWinsOverExtraAndIsWrittenOnce(t *testing.T) {
	other := map[string]any{"name": 1, "category": 1, "channel": 1, "collection": 1, "id": 1, "_metadata": 1, "x": 1}
	extra := func(keys ...string) map[string]any {
		m := map[string]any{"x": 1}
		for _, k := range keys {
			m[k] = 1
		}
		return m
	}
	e := analytics.Event{Type: "track", MessageID: "m", UserID: "u", Event: "E", Name: "N", Category: "C", Channel: "server", Collection: "c", ObjectID: "1", Metadata: map[string]any{}, Timestamp: orderTime, Extra: other,
		Context: &analytics.Context{IP: "1", Active: analytics.Ptr(true), Traits: analytics.Traits{}, App: analytics.App{Name: "A", Extra: extra("name")}, Screen: analytics.ScreenInfo{Width: 5, Extra: extra("width")},
			Library: analytics.Library{Name: "L", Version: "1"}, Consent: analytics.ConsentPreferences{CategoryPreferences: map[string]bool{}, Extra: extra("categoryPreferences")}, ExternalIDs: []analytics.ExternalID{},
			Extra: extra("ip", "active", "traits", "app", "screen", "library", "consent", "externalIds")}}
	want := `{"type":"track","messageId":"m","timestamp":"2026-01-02T03:04:05.678Z","userId":"u","event":"E","name":"N","category":"C","channel":"server","collection":"c","id":"1","_metadata":{},"x":1,
		"context":{"ip":"1","active":true,"traits":{},"app":{"name":"A","x":1},"screen":{"width":5,"x":1},"library":{"name":"L","version":"1"},"consent":{"categoryPreferences":{},"x":1},"externalIds":[],"x":1}}`
	own, err := e.AppendJSON(nil)
	require.NoError(t, err)
	for _, doc := range []string{send(t, e), string(own)} {
		require.JSONEq(t, want, doc)
		require.Equal(t, strings.Count(want, `":`), strings.Count(doc, `":`), doc)
	}
}

func TestMessagesAreTakenByValueAndByPointer(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	at := orderTime
	for _, pair := range [][2]analytics.Message{
		{analytics.Identify{MessageID: "m", UserID: "u", Timestamp: at}, &analytics.Identify{MessageID: "m", UserID: "u", Timestamp: at}},
		{analytics.Track{MessageID: "m", UserID: "u", Event: "E", Timestamp: at}, &analytics.Track{MessageID: "m", UserID: "u", Event: "E", Timestamp: at}},
		{analytics.Page{MessageID: "m", UserID: "u", Timestamp: at}, &analytics.Page{MessageID: "m", UserID: "u", Timestamp: at}},
		{analytics.Screen{MessageID: "m", UserID: "u", Timestamp: at}, &analytics.Screen{MessageID: "m", UserID: "u", Timestamp: at}},
		{analytics.Group{MessageID: "m", UserID: "u", GroupID: "g", Timestamp: at}, &analytics.Group{MessageID: "m", UserID: "u", GroupID: "g", Timestamp: at}},
		{analytics.Alias{MessageID: "m", UserID: "u", PreviousID: "p", Timestamp: at}, &analytics.Alias{MessageID: "m", UserID: "u", PreviousID: "p", Timestamp: at}},
		{analytics.Object{MessageID: "m", Collection: "c", ID: "1", Properties: map[string]any{}, Timestamp: at}, &analytics.Object{MessageID: "m", Collection: "c", ID: "1", Properties: map[string]any{}, Timestamp: at}},
		{analytics.Event{Type: "page", MessageID: "m", UserID: "u", Timestamp: at}, &analytics.Event{Type: "page", MessageID: "m", UserID: "u", Timestamp: at}},
	} {
		require.JSONEq(t, r.sent(t.Context(), pair[0]), r.sent(t.Context(), pair[1]))
	}
	require.NoError(t, r.Identify(t.Context(), analytics.Identify{UserID: "u"}))
	require.NoError(t, r.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
	require.NoError(t, r.Page(t.Context(), analytics.Page{UserID: "u"}))
	require.NoError(t, r.Screen(t.Context(), analytics.Screen{UserID: "u"}))
	require.NoError(t, r.Group(t.Context(), analytics.Group{UserID: "u", GroupID: "g"}))
	require.NoError(t, r.Alias(t.Context(), analytics.Alias{UserID: "u", PreviousID: "p"}))
	for i, doc := range r.wire() {
		require.Equal(t, `"`+[]string{"identify", "track", "page", "screen", "group", "alias"}[i]+`"`, get(t, doc, "type"))
	}
}
