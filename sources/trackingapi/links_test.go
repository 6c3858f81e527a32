package trackingapi_test

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// pixelOf is where an address of PixelURL leads, and the message in it.
func pixelOf(t *testing.T, address string) (where, message string, u *url.URL) {
	t.Helper()
	u, err := url.Parse(address)
	require.NoError(t, err)
	raw, err := base64.RawURLEncoding.DecodeString(u.Query().Get("data"))
	require.NoError(t, err)
	return u.Scheme + "://" + u.Host + u.EscapedPath(), string(raw), u
}

func TestPixelURL(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	type subject struct {
		Subject string `json:"subject"`
	}
	for _, tc := range []struct {
		m          analytics.Message
		path, want string
	}{
		{analytics.Track{UserID: "u", Event: "Email Opened", Properties: analytics.Properties{"b": 1, "a": "<&>"}}, "track",
			`{"event":"Email Opened","properties":{"a":"<&>","b":1},"type":"track","userId":"u","writeKey":"k"}`},
		{&analytics.Track{MessageID: "m", AnonymousID: "a", Event: "E", Properties: subject{"hi"}, Timestamp: at}, "track",
			`{"anonymousId":"a","event":"E","messageId":"m","properties":{"subject":"hi"},"timestamp":"2026-03-04T05:06:07.000Z","type":"track","writeKey":"k"}`},
		{analytics.Identify{UserID: "u", Traits: (*subject)(nil)}, "identify", `{"type":"identify","userId":"u","writeKey":"k"}`},
		{analytics.Page{UserID: "u", Name: "n", Category: "c"}, "page", `{"category":"c","name":"n","type":"page","userId":"u","writeKey":"k"}`},
		{analytics.Screen{UserID: "u", Name: "n", Properties: map[string]any{"x": nil}}, "screen", `{"name":"n","properties":{"x":null},"type":"screen","userId":"u","writeKey":"k"}`},
		{analytics.Group{AnonymousID: "a", GroupID: "g", Context: &analytics.Context{Locale: "de"}}, "group",
			`{"anonymousId":"a","context":{"locale":"de"},"groupId":"g","type":"group","writeKey":"k"}`},
		{analytics.Alias{UserID: "u", PreviousID: "p", Integrations: analytics.Integrations{"All": false}}, "alias",
			`{"integrations":{"All":false},"previousId":"p","type":"alias","userId":"u","writeKey":"k"}`},
		{analytics.Event{Type: analytics.CallTrack, UserID: "u", Event: "E", SentAt: at, ReceivedAt: at, Extra: map[string]any{"n": json.Number("12345678901234567890")}}, "track",
			`{"event":"E","n":12345678901234567890,"type":"track","userId":"u","writeKey":"k"}`},
	} {
		address, err := trackingapi.PixelURL("https://e.example/v1/", "k", tc.m, trackingapi.PixelRules{})
		require.NoError(t, err)
		where, message, u := pixelOf(t, address)
		require.Equal(t, "https://e.example/v1/pixel/"+tc.path, where)
		require.Equal(t, tc.want, message)
		require.Len(t, u.Query(), 1, "not signed")
		again, err := trackingapi.PixelURL("https://e.example", "k", tc.m, trackingapi.PixelRules{})
		require.NoError(t, err)
		require.Equal(t, address, again)
	}
}

func TestPixelURLEndpoints(t *testing.T) {
	m := analytics.Page{UserID: "u"}
	for endpoint, want := range map[string]string{
		"http://localhost:8080":         "http://localhost:8080/v1/pixel/page",
		"https://e.example/":            "https://e.example/v1/pixel/page",
		"https://e.example/in/v1":       "https://e.example/in/v1/pixel/page",
		"https://e.example/a%2Fb/in":    "https://e.example/a%2Fb/in/v1/pixel/page",
		"https://e.example/a%2Fb/in/v1": "https://e.example/a%2Fb/in/v1/pixel/page",
	} {
		address, err := trackingapi.PixelURL(endpoint, "k", m, trackingapi.PixelRules{})
		require.NoError(t, err, endpoint)
		where, _, _ := pixelOf(t, address)
		require.Equal(t, want, where)
	}
	for _, endpoint := range []string{"", "e.example", "ftp://e.example", "https://", "https://e.example?a=b", "https://e.example#f", "https://u:p@e.example", "https://e.example/%zz"} {
		_, err := trackingapi.PixelURL(endpoint, "k", m, trackingapi.PixelRules{})
		require.ErrorContains(t, err, "endpoint: ", endpoint)
	}
}

func TestPixelURLRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		key  string
		m    analytics.Message
		want string
	}{
		"no key":              {"", analytics.Page{UserID: "u"}, "writeKey: is required"},
		"no message":          {"k", nil, "message: a <nil> makes no pixel"},
		"a nil message":       {"k", (*analytics.Track)(nil), "message: a *analytics.Track makes no pixel"},
		"an object":           {"k", analytics.Object{Collection: "c", ID: "1"}, "message: a analytics.Object makes no pixel"},
		"an event of another": {"k", analytics.Event{Type: analytics.CallObject}, "type: is none of identify, track, page, screen, group and alias"},
		"no user":             {"k", analytics.Page{}, "userId: is required, or anonymousId"},
		"no event, no user":   {"k", analytics.Track{}, "event: is required\nuserId: is required, or anonymousId"},
		"no group":            {"k", analytics.Group{UserID: "u"}, "groupId: is required"},
		"half an alias":       {"k", analytics.Alias{UserID: "u"}, "previousId: is required"},
		"no object":           {"k", analytics.Identify{UserID: "u", Traits: []int{1}}, "traits: is not an object"},
		"no JSON":             {"k", analytics.Identify{UserID: "u", Traits: map[string]any{"f": func() {}}}, "traits.f: a func() has no JSON"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := trackingapi.PixelURL("https://e.example", tc.key, tc.m, trackingapi.PixelRules{})
			require.EqualError(t, err, tc.want)
		})
	}
}

func TestPixelURLLength(t *testing.T) {
	build := func(prefix string) (string, error) {
		return trackingapi.PixelURL("https://e.example/"+prefix, "k", analytics.Track{UserID: "u", Event: strings.Repeat("x", 5000)}, trackingapi.PixelRules{})
	}
	address, err := build("p")
	require.NoError(t, err)
	room := 8000 - len(address)
	address, err = build("p" + strings.Repeat("p", room))
	require.NoError(t, err)
	require.Len(t, address, 8000)
	_, err = build("pp" + strings.Repeat("p", room))
	require.EqualError(t, err, "message: makes an address of 8001 characters, the limit is 8000")
}

func TestPixelSignature(t *testing.T) {
	rules := trackingapi.PixelRules{Secret: []byte("hush"), Require: true}
	address, err := trackingapi.PixelURL("https://e.example/in", "k", analytics.Page{UserID: "u"}, rules)
	require.NoError(t, err)
	u, err := url.Parse(address)
	require.NoError(t, err)
	require.NoError(t, rules.Verify(u))
	sig := u.Query().Get("sig")
	data := u.Query().Get("data")

	at := func(path, query string) *url.URL { return &url.URL{Path: path, RawQuery: query} }
	flipped := "A" + sig[1:]
	if sig[0] == 'A' {
		flipped = "B" + sig[1:]
	}
	for name, tc := range map[string]struct {
		rules trackingapi.PixelRules
		u     *url.URL
		want  string
	}{
		"another prefix, another order":  {rules, at("/v1/pixel/page", "sig="+sig+"&data="+data), ""},
		"other escapes":                  {rules, at("/v1/pixel/page/", "sig="+sig+"&%64ata="+data), ""},
		"another type":                   {rules, at("/v1/pixel/track", "sig="+sig+"&data="+data), "the signature of the pixel is wrong"},
		"another message":                {rules, at("/v1/pixel/page", "sig="+sig+"&data=x"+data), "the signature of the pixel is wrong"},
		"one more parameter":             {rules, at("/v1/pixel/page", "sig="+sig+"&data="+data+"&a=b"), "the signature of the pixel is wrong"},
		"the message twice":              {rules, at("/v1/pixel/page", "sig="+sig+"&data="+data+"&data="+data), "the signature of the pixel is wrong"},
		"the signature twice":            {rules, at("/v1/pixel/page", "sig="+sig+"&sig="+sig+"&data="+data), "the signature of the pixel is wrong"},
		"another signature":              {rules, at("/v1/pixel/page", "sig="+flipped+"&data="+data), "the signature of the pixel is wrong"},
		"an empty signature":             {rules, at("/v1/pixel/page", "sig=&data="+data), "the signature of the pixel is wrong"},
		"what cannot be read":            {rules, at("/v1/pixel/page", "sig="+sig+"&data="+data+"&a=%zz"), "the signature of the pixel is wrong"},
		"none where one is required":     {rules, at("/v1/pixel/page", "data="+data), "the pixel is not signed"},
		"none where none is required":    {trackingapi.PixelRules{Secret: []byte("hush")}, at("/v1/pixel/page", "data="+data), ""},
		"wrong where none is required":   {trackingapi.PixelRules{Secret: []byte("hush")}, at("/v1/pixel/page", "sig=x&data="+data), "the signature of the pixel is wrong"},
		"nothing to check it with":       {trackingapi.PixelRules{}, at("/v1/pixel/page", "sig=x&data="+data), ""},
		"required, nothing to check":     {trackingapi.PixelRules{Require: true}, at("/v1/pixel/page", "sig=x&data="+data), "the pixel is not signed"},
		"the signature of another owner": {trackingapi.PixelRules{Secret: []byte("other")}, u, "the signature of the pixel is wrong"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := tc.rules.Verify(tc.u); tc.want == "" {
				require.NoError(t, err)
			} else {
				require.EqualError(t, err, tc.want)
			}
		})
	}
}

func TestLinkURL(t *testing.T) {
	full := trackingapi.Link{AnonymousID: "a 1", UserID: "u+1", Traits: map[string]string{"b": "2&3", "a": ""}, Event: "Clicked=", Properties: map[string]string{"x.y": "ü%"}}
	const params = "ajs_aid=a+1&ajs_uid=u%2B1&ajs_trait_a=&ajs_trait_b=2%263&ajs_event=Clicked%3D&ajs_prop_x.y=%C3%BC%25"
	for _, tc := range []struct {
		target string
		link   trackingapi.Link
		want   string
	}{
		{"https://shop.example/p", full, "https://shop.example/p?" + params},
		{"https://shop.example/p?b=1&a=%7e+;x#top%20", full, "https://shop.example/p?b=1&a=%7e+;x&" + params + "#top%20"},
		{"/p?q#f", trackingapi.Link{AnonymousID: "a"}, "/p?q&ajs_aid=a#f"},
		{"https://shop.example/p?q#f", trackingapi.Link{}, "https://shop.example/p?q#f"},
		{"https://shop.example?next=/ajs_x", trackingapi.Link{Event: "E"}, "https://shop.example?next=/ajs_x&ajs_event=E"},
	} {
		got, err := trackingapi.LinkURL(tc.target, tc.link)
		require.NoError(t, err)
		require.Equal(t, tc.want, got)
		u, err := url.Parse(got)
		require.NoError(t, err)
		back, _ := trackingapi.ParseQuerystring(u)
		require.Equal(t, tc.link, back)
	}
}

func TestLinkURLRefuses(t *testing.T) {
	many := map[string]string{}
	for i := range 51 {
		many[strings.Repeat("x", i+1)] = ""
	}
	long := strings.Repeat("ü", 1025)
	for name, tc := range map[string]struct {
		target string
		link   trackingapi.Link
		want   string
	}{
		"no URL":                  {"https://e.example/%zz", trackingapi.Link{Event: "E"}, "target: is no URL"},
		"a link already":          {"https://e.example?a&ajs_uid=u", trackingapi.Link{Event: "E"}, "target: has parameters of the Querystring API already"},
		"traits of nobody":        {"/", trackingapi.Link{Traits: map[string]string{"a": "b"}, Event: "E"}, "Traits: would be ignored: the call that they belong to is not made"},
		"properties of nothing":   {"/", trackingapi.Link{UserID: "u", Properties: map[string]string{"a": "b"}}, "Properties: would be ignored: the call that they belong to is not made"},
		"many traits":             {"/", trackingapi.Link{UserID: "u", Traits: many}, "Traits: are more than 50"},
		"a name with a space":     {"/", trackingapi.Link{UserID: "u", Traits: map[string]string{"a b": "c"}}, `Traits: has the name "a b", which does not survive in a query`},
		"no name":                 {"/", trackingapi.Link{UserID: "u", Traits: map[string]string{"": "c"}}, `Traits: has the name "", which does not survive in a query`},
		"a long id":               {"/", trackingapi.Link{UserID: long}, "UserID: is longer than 1024 characters"},
		"a long property, no UTF": {"/", trackingapi.Link{UserID: "\xff", Event: "E", Properties: map[string]string{"p": long}}, "UserID: is not UTF-8\nProperties.p: is longer than 1024 characters"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := trackingapi.LinkURL(tc.target, tc.link)
			require.EqualError(t, err, tc.want)
		})
	}
}

func FuzzLinkURL(f *testing.F) {
	f.Add("https://shop.example/p?a=b#c", "a", "u", "name", "v", "e")
	f.Add("?&", "%", "+", "a.b", "=", "&")
	f.Fuzz(func(t *testing.T, target, anonymousID, userID, name, value, event string) {
		l := trackingapi.Link{AnonymousID: anonymousID, UserID: userID, Event: event}
		if userID != "" {
			l.Traits = map[string]string{name: value}
		}
		if event != "" {
			l.Properties = map[string]string{name: value}
		}
		address, err := trackingapi.LinkURL(target, l)
		if err != nil {
			return
		}
		u, err := url.Parse(address)
		require.NoError(t, err)
		back, _ := trackingapi.ParseQuerystring(u)
		require.Equal(t, l, back)
	})
}
