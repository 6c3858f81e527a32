package trackingapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	gifs "image/gif"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

func TestPixelGIF(t *testing.T) {
	image, err := gifs.Decode(bytes.NewReader(gif))
	require.NoError(t, err)
	require.Equal(t, 1, image.Bounds().Dx())
	require.Equal(t, 1, image.Bounds().Dy())
	_, _, _, alpha := image.At(0, 0).RGBA()
	require.Zero(t, alpha, "transparent")
}

func TestPixelPlain(t *testing.T) {
	for name, tc := range map[string]struct{ query, want, key string }{
		"the sample of the docs": {
			"writeKey=k1&userId=u1&event=Email+Opened&properties.subject=Welcome&properties.campaign.id=7",
			`{"type":"track","event":"Email Opened","properties":{"campaign":{"id":"7"},"subject":"Welcome"},"userId":"u1"}`, "k1"},
		"values are texts":                  {"userId=1&properties.a=true&properties.b=2.5&properties.c=", `{"type":"track","properties":{"a":"true","b":"2.5","c":""},"userId":"1"}`, ""},
		"but for what switches":             {"integrations.All=false&integrations.Amplitude=true&context.direct=true", `{"type":"track","context":{"direct":true},"integrations":{"All":false,"Amplitude":true}}`, ""},
		"consent switches":                  {"context.consent.categoryPreferences.Ads=false&context.consent.version=true", `{"type":"track","context":{"consent":{"categoryPreferences":{"Ads":false},"version":"true"}}}`, ""},
		"switches have two words":           {"integrations.All=0", `{"type":"track","integrations":{"All":"0"}}`, ""},
		"the last of equal names":           {"event=a&event=b&writeKey=k1&writeKey=k2", `{"type":"track","event":"b"}`, "k2"},
		"the path has said the type":        {"type=alias&event=a", `{"type":"track","event":"a"}`, ""},
		"what is not of the message":        {"sig=x&sentAt=2026-01-01T00:00:00Z&event=a", `{"type":"track","event":"a"}`, ""},
		"escapes":                           {"event=%22%0A%C3%BC%ff&properties.a%20b=1", `{"type":"track","event":"\"\nü` + "\ufffd" + `","properties":{"a b":"1"}}`, ""},
		"nothing":                           {"", `{"type":"track"}`, ""},
		"ten parts":                         {"a.b.c.d.e.f.g.h.i.j=1", `{"type":"track","a":{"b":{"c":{"d":{"e":{"f":{"g":{"h":{"i":{"j":"1"}}}}}}}}}}`, ""},
		"a value where an object should be": {"properties=x", `{"type":"track","properties":"x"}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			query, err := url.ParseQuery(tc.query)
			require.NoError(t, err)
			message, key, err := pixelMessage(query, analytics.CallTrack)
			require.NoError(t, err)
			require.Equal(t, tc.want, string(message))
			require.Equal(t, tc.key, key)
		})
	}
}

func TestPixelPlainRefused(t *testing.T) {
	many := url.Values{}
	for i := range maxPixelNames + 1 {
		many.Set(fmt.Sprint("properties.p", i), "")
	}
	for name, tc := range map[string]struct{ query, want string }{
		"a value and an object":        {"a=1&a.b=2", "a.b: is a value and an object at once"},
		"in the other order":           {"a.b=2&a=1", "a.b: is a value and an object at once"},
		"a value and an object, below": {"a.b.c=1&a.b=2", "a.b.c: is a value and an object at once"},
		"sorted in between":            {"a=1&a-b=3&a.b=2", "a.b: is a value and an object at once"},
		"an object before its value":   {"a!.b=1&a!=2", "a!.b: is a value and an object at once"},
		"a name without an end":        {"a.=1", "a.: has an empty part in its name"},
		"a name without a beginning":   {".a=1", ".a: has an empty part in its name"},
		"a name without a middle":      {"a..b=1", "a..b: has an empty part in its name"},
		"no name":                      {"=1", ": has an empty part in its name"},
		"eleven parts":                 {"a.b.c.d.e.f.g.h.i.j.k=1", "a.b.c.d.e.f.g.h.i.j.k: has more than 10 parts in its name"},
		"parts of the type":            {"type.a=1", "type.a: cannot have parts"},
		"a long name":                  {strings.Repeat("ü", 200) + ".=1", strings.Repeat("ü", 50) + ": has an empty part in its name"},
		"many names":                   {many.Encode(), errPixelNames.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			query, err := url.ParseQuery(tc.query)
			require.NoError(t, err)
			message, _, err := pixelMessage(query, analytics.CallTrack)
			require.EqualError(t, err, tc.want)
			require.Nil(t, message)
		})
	}
}

func TestPixelEncoded(t *testing.T) {
	// Bytes that need both of the letters in which the alphabets differ.
	const object = `{"event":"Ünï?>~ÿÿ","userId":"u","properties":{"n":12345678901234567890.10},"custom":[1]}`
	const want = `{"type":"page","event":"Ünï?>~ÿÿ","userId":"u","properties":{"n":12345678901234567890.10},"custom":[1]}`
	require.Contains(t, base64.StdEncoding.EncodeToString([]byte(object)), "/")
	for name, data := range map[string]string{
		"standard":             base64.StdEncoding.EncodeToString([]byte(object)),
		"standard, not padded": base64.RawStdEncoding.EncodeToString([]byte(object)),
		"URL":                  base64.URLEncoding.EncodeToString([]byte(object)),
		"URL, not padded":      base64.RawURLEncoding.EncodeToString([]byte(object)),
		"plus as space":        strings.ReplaceAll(base64.StdEncoding.EncodeToString([]byte(object)), "+", " "),
		"byte order mark":      base64.URLEncoding.EncodeToString([]byte("\ufeff" + object)),
	} {
		message, key, err := pixelMessage(url.Values{"data": {data}, "event": {"ignored"}}, analytics.CallPage)
		require.NoError(t, err, name)
		require.Equal(t, want, string(message), name)
		require.Empty(t, key, name)
	}
}

func TestPixelEncodedKey(t *testing.T) {
	for _, tc := range []struct{ object, query, want string }{
		{`{"writeKey":"in"}`, "", "in"},
		{`{"writeKey":"in"}`, "out", "in"},
		{`{}`, "out", "out"},
		{`{"writeKey":7}`, "out", "out"},
		{`{"writeKey":"a","writeKey":"b"}`, "", "b"},
	} {
		query := url.Values{"data": {base64.URLEncoding.EncodeToString([]byte(tc.object))}}
		if tc.query != "" {
			query.Set("writeKey", tc.query)
		}
		message, key, err := pixelMessage(query, analytics.CallTrack)
		require.NoError(t, err)
		require.Equal(t, tc.want, key, "%+v", tc)
		require.Equal(t, `{"type":"track"}`, string(message))
	}
	message, _, err := pixelMessage(url.Values{"data": {base64.URLEncoding.EncodeToString([]byte(`{"type":"alias","sentAt":"x","a\"b":1}`))}}, analytics.CallGroup)
	require.NoError(t, err)
	require.Equal(t, `{"type":"group","a\"b":1}`, string(message))
}

func TestPixelEncodedRefused(t *testing.T) {
	encode := base64.URLEncoding.EncodeToString
	for name, tc := range map[string]struct {
		data string
		want error
	}{
		"nothing":          {"", errPixelData},
		"no base64":        {"!!!", errPixelData},
		"no JSON":          {encode([]byte("hello")), errPixelData},
		"no object":        {encode([]byte("[1]")), errPixelData},
		"half an object":   {encode([]byte(`{"a":1`)), errPixelData},
		"more behind":      {encode([]byte(`{"a":1}}`)), errPixelData},
		"nested too deep":  {encode([]byte(`{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`)), errPixelData},
		"larger than ever": {encode(bytes.Repeat([]byte(" "), maxMessageBytes+1)), errPixelSize},
	} {
		message, _, err := pixelMessage(url.Values{"data": {tc.data}}, analytics.CallTrack)
		require.ErrorIs(t, err, tc.want, name)
		require.Nil(t, message, name)
	}
	largest := []byte(`{"a":"` + strings.Repeat("x", maxMessageBytes-8) + `"}`)
	require.Len(t, largest, maxMessageBytes)
	_, _, err := pixelMessage(url.Values{"data": {encode(largest)}}, analytics.CallTrack)
	require.NoError(t, err)
}

// What PixelURL makes is what a handler reads.
func TestPixelURLIsRead(t *testing.T) {
	rules := PixelRules{Secret: []byte("hush"), Require: true}
	address, err := PixelURL("https://e.example", "k1", analytics.Group{UserID: "u", GroupID: "g", Traits: map[string]any{"n": json.Number("1.50")}}, rules)
	require.NoError(t, err)
	u, err := url.Parse(address)
	require.NoError(t, err)
	require.NoError(t, rules.Verify(u))
	message, key, err := pixelMessage(u.Query(), analytics.CallGroup)
	require.NoError(t, err)
	require.Equal(t, "k1", key)
	require.Equal(t, `{"type":"group","groupId":"g","traits":{"n":1.50},"userId":"u"}`, string(message))
}

func FuzzPixelMessage(f *testing.F) {
	f.Add("writeKey=k&userId=u&event=e&properties.a.b=1&a=1&a.b=2")
	f.Add("data=" + base64.RawURLEncoding.EncodeToString([]byte(`{"writeKey":"k","userId":"u","type":"x"}`)))
	f.Add("integrations.All=false&context.consent.categoryPreferences.x=true&type.a=1&=")
	f.Fuzz(func(t *testing.T, raw string) {
		query, err := url.ParseQuery(raw)
		if err != nil {
			return
		}
		message, _, err := pixelMessage(query, analytics.CallTrack)
		if err != nil {
			require.Nil(t, message)
			return
		}
		require.True(t, jsontext.Valid(string(message)), "%s", message)
		require.Equal(t, `"track"`, jsontext.Member(string(message), "type"))
		require.Empty(t, jsontext.Member(string(message), "writeKey"))
		again, _, err := pixelMessage(query, analytics.CallTrack)
		require.NoError(t, err)
		require.Equal(t, message, again)
	})
}
