package dest_test

import (
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

const shopEvent = `{"type":"track","messageId":"m-1","userId":"u-1","anonymousId":"a-1","event":"E","name":"N","category":"C",
	"groupId":"g-1","previousId":"p-1","channel":"server","timestamp":"2026-05-02T18:04:05.250Z",
	"properties":{"id":9007199254740993,"price":29.50,"no":null,"empty":"","yes":true,"a.b":1,"1":"one","blank ":2,
		"products":[{"name":"LP","tags":["x","y"]},{"name":"Sleeve"},null,7,[[8]]],"none":{},"list":[],"deep":{"er":{"est":-0.5}}},
	"traits":{"email":"ann@example.com","address":{"city":"Köln"}},
	"integrations":{"All":true,"Amplitude":{"session_id":17,"nested":{"on":false}}},
	"context":{"traits":{"plan":"pro","list":[1,2]},"own":{"x":[{"y":"z"}]}}}`

// json1 is a value as JSON, "" for what is absent.
func json1(t testing.TB, v dest.Value) string {
	t.Helper()
	raw, err := v.JSON()
	require.NoError(t, err)
	if string(raw) == "null" {
		return ""
	}
	return string(raw)
}

func TestPaths(t *testing.T) {
	e := desttest.Event(t, shopEvent)
	for path, want := range map[string]string{
		"type": `"track"`, "messageId": `"m-1"`, "userId": `"u-1"`, "anonymousId": `"a-1"`, "event": `"E"`, "name": `"N"`,
		"category": `"C"`, "groupId": `"g-1"`, "previousId": `"p-1"`, "channel": `"server"`, "timestamp": `"2026-05-02T18:04:05.250Z"`,

		"properties.id": "9007199254740993", "properties.price": "29.50", "properties.yes": "true", "properties.deep.er.est": "-0.5",
		"properties.empty": `""`, "properties.1": `"one"`, "properties.blank ": "2", "properties.none": "{}", "properties.list": "[]",
		"properties.products.0.name": `"LP"`, "properties.products.1.name": `"Sleeve"`, "properties.products.0.tags.1": `"y"`,
		"properties.products.3": "7", "properties.products.4.0.0": "8", "properties.products.4": "[[8]]",
		"traits": `{"address":{"city":"Köln"},"email":"ann@example.com"}`, "traits.address.city": `"Köln"`,
		"integrations.Amplitude.session_id": "17", "integrations.Amplitude.nested.on": "false", "integrations.All": "true",
		"context.traits.plan": `"pro"`, "context.traits": `{"list":[1,2],"plan":"pro"}`, "context.traits.list.1": "2",
		"context.own.x.0.y": `"z"`, "context": `{"own":{"x":[{"y":"z"}]},"traits":{"list":[1,2],"plan":"pro"}}`,

		// what is not there
		"properties.no": "", "properties.gone": "", "properties.no.deeper": "", "properties.id.x": "", "properties.empty.x": "",
		"properties.a.b": "", "properties.yes.0": "", "properties.products.2": "", "properties.products.2.name": "",
		"properties.products.5": "", "properties.products.-1": "", "properties.products.name": "", "properties.products.0x0": "",
		"properties.products.18446744073709551616": "", "properties.products.9223372036854775807.name": "", "properties.products.1e0": "",
		"properties.list.0": "", "properties.none.x": "", "properties.Products": "", "properties.products.+1": "", "properties.products.-0": "",
		"traits.address.city.name": "", "integrations.Mixpanel.x": "", "context.gone": "", "context.gone.deeper": "", "context.page": "",
		"context.traits.plan.x": "", "context.own.x.1": "", "context.page.gone": "", "context.externalIds.0.id": "",
	} {
		require.Equal(t, want, json1(t, dest.At(path).In(e)), path)
		require.Equal(t, path, dest.At(path).String())
	}
}

// An event without anything has nothing anywhere, and nothing panics.
func TestPathsOfAnEmptyEvent(t *testing.T) {
	for _, path := range append(contextPaths(), "type", "messageId", "userId", "anonymousId", "event", "name", "category", "groupId",
		"previousId", "channel", "timestamp", "properties", "properties.a", "properties.a.0", "traits", "traits.a", "integrations",
		"integrations.A.b", "context", "context.traits", "context.traits.a", "context.page", "context.a.b.c") {
		for _, e := range []*analytics.Event{{}, {Context: &analytics.Context{}}} {
			require.True(t, dest.At(path).In(e).Empty(), path)
			_, isText := dest.At(path).In(e).Text()
			require.False(t, isText, path)
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	for _, path := range []string{"", ".", "..", "properties.", ".properties", "properties..a", "context.", "context..page", "userId.x",
		"Properties.a", "user_id", "sentAt", "receivedAt", "_metadata", "timestamp.x", "properties.a.", "traits..", " properties.a", "$.properties"} {
		_, err := dest.ParsePath(path)
		require.ErrorContains(t, err, strconv.Quote(path))
		require.Panics(t, func() { dest.At(path) }, path)
	}
}

// A plugin in front of the destination may put what Go has into an event; a path
// reaches into it as into the JSON that it is.
func TestPathsIntoGoValues(t *testing.T) {
	type item struct {
		Name string `json:"name"`
		Tags []string
	}
	e := &analytics.Event{
		Properties: map[string]any{
			"items": []item{{Name: "LP", Tags: []string{"x"}}}, "words": map[string]string{"de": "Wort"}, "ids": map[int]uint64{7: math.MaxUint64},
			"props": analytics.Properties{"a": analytics.Traits{"b": []int{1, 2}}}, "at": &item{Name: "p"}, "nil": (*item)(nil),
		},
		Context: &analytics.Context{Extra: map[string]any{"box": map[string][]float64{"f": {0.1, 1e21}}}},
	}
	for path, want := range map[string]string{
		"properties.items.0.name": `"LP"`, "properties.items.0.Tags.0": `"x"`, "properties.words.de": `"Wort"`,
		"properties.ids.7": "18446744073709551615", "properties.props.a.b.1": "2", "properties.at.name": `"p"`, "properties.nil.name": "",
		"context.box.f.0": "0.1",
	} {
		require.Equal(t, want, json1(t, dest.At(path).In(e)), path)
	}
}

func TestTimestampPath(t *testing.T) {
	at := time.Date(2024, 2, 29, 1, 2, 3, 4, time.FixedZone("", 3600))
	require.Equal(t, `"2024-02-29T00:02:03.000000004Z"`, json1(t, dest.At("timestamp").In(&analytics.Event{Timestamp: at})))
}

func TestFirst(t *testing.T) {
	e := desttest.Event(t, shopEvent)
	for want, paths := range map[string]string{
		`"LP"`:  "properties.gone properties.no properties.empty properties.none properties.list properties.products.0.name userId",
		`"u-1"`: "userId properties.id",
		"":      "properties.empty properties.none",
		"true":  "context.active properties.yes",
	} {
		var list []dest.Path
		for _, p := range strings.Fields(paths) {
			list = append(list, dest.At(p))
		}
		require.Equal(t, want, json1(t, dest.First(e, list...)))
	}
	require.True(t, dest.First(e).Empty())
}

func TestLookup(t *testing.T) {
	m := map[string]any{"a": map[string]any{"b": analytics.Traits{"c": json.Number("1")}}, "list": []any{"x"}, "": 2}
	for path, want := range map[string]string{"a.b.c": "1", "a.b": `{"c":1}`, "a.x.c": "", "list.x": "", "": "2", "a.b.c.d": "", "a.": "", ".": ""} {
		require.Equal(t, want, json1(t, dest.Lookup(m, path)), path)
	}
	require.True(t, dest.Lookup(nil, "a.b").Empty())
}

func TestOptions(t *testing.T) {
	e := desttest.Event(t, `{"integrations":{"All":false,"Off":false,"On":true,"A":{"x":1},"Old":{"x":2},"Null":null,"Empty":{}}}`)
	require.Equal(t, map[string]any{"x": json.Number("1")}, dest.Options(e, "A", "Old"))
	require.Equal(t, map[string]any{"x": json.Number("2")}, dest.Options(e, "On", "Old", "A"))
	require.Equal(t, map[string]any{}, dest.Options(e, "Empty"))
	for _, name := range []string{"Off", "On", "Null", "a", "All", ""} {
		require.Nil(t, dest.Options(e, name), name)
	}
	require.Nil(t, dest.Options(e))
	require.Nil(t, dest.Options(&analytics.Event{}, "A"))
	e.Integrations["Go"] = struct{ X int }{3}
	require.Equal(t, map[string]any{"X": json.Number("3")}, dest.Options(e, "Go"))
}

func FuzzPath(f *testing.F) {
	for _, path := range []string{"properties.products.0.name", "context.page", "context", "userId", "properties..", "context.traits.list.-1",
		"properties.products.99999999999999999999", "integrations.Amplitude", "context.externalIds.0.id", "properties.\xff", "timestamp"} {
		f.Add(path, []byte(shopEvent))
	}
	f.Fuzz(func(t *testing.T, path string, raw []byte) {
		p, err := dest.ParsePath(path)
		if err != nil {
			return
		}
		if p.String() != path {
			t.Fatalf("%q prints as %q", path, p)
		}
		e := &analytics.Event{}
		if e.UnmarshalJSON(raw) != nil {
			return
		}
		v := p.In(e)
		if out, err := v.JSON(); err == nil && !json.Valid(out) {
			t.Fatalf("%s is no JSON: %q", path, out)
		}
		if !v.Empty() && dest.First(e, p).Empty() {
			t.Fatalf("%s is there and is not first", path)
		}
		_, _, _, _ = v.String(), v.Object(), v.List(), v.Scalar()
	})
}
