package trackingapi_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// route is a path and what its body looks like.
type route struct {
	path  string
	call  string // of a single message; empty: a batch
	wants string // members that messages of the call need
}

func routes() []route {
	var all []route
	for _, r := range []struct{ long, short, wants string }{
		{"identify", "i", `"traits":{"plan":"pro"}`}, {"track", "t", `"event":"Order Completed","properties":{"total":19.90}`},
		{"page", "p", `"name":"Pricing"`}, {"screen", "s", `"name":"Cart"`}, {"group", "g", `"groupId":"g-1"`}, {"alias", "a", `"previousId":"anon-1"`},
	} {
		all = append(all, route{"/v1/" + r.long, r.long, r.wants}, route{"/v1/" + r.short, r.long, r.wants})
	}
	return append(all, route{path: "/v1/batch"}, route{path: "/v1/b"}, route{path: "/v1/import"}, route{path: "/below/any/prefix/v1/batch"},
		route{"/below/any/prefix/v1/t", "track", `"event":"Order Completed"`})
}

// body is a valid one with messages of these ids, of which a single call takes one.
// more are members of the envelope, which a single message is for itself.
func (r route) body(more string, ids ...string) string {
	if r.call != "" {
		return fmt.Sprintf(`{"messageId":%q,"userId":"u-1",%s%s}`, ids[0], r.wants, more)
	}
	var messages []string
	for _, id := range ids {
		messages = append(messages, fmt.Sprintf(`{"type":"track","event":"Order Completed","userId":"u-1","messageId":%q}`, id))
	}
	return `{"batch":[` + strings.Join(messages, ",") + `]` + more + `}`
}

// takes is how many of n messages a body of the route has room for.
func (r route) takes(n int) int {
	if r.call != "" {
		return 1
	}
	return n
}

// credentials are a way to say who one is.
type credentials struct {
	name   string
	header http.Header
	body   string // members
	query  string
	ok     bool
}

func allCredentials() []credentials {
	key := `,"writeKey":"` + fixtureKey + `"`
	bearer := func(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
	return []credentials{
		{"basic", basic(fixtureKey + ":"), "", "", true},
		{"basic without the colon", basic(fixtureKey), "", "", true},
		{"body", nil, key, "", true},
		{"basic and body", basic(fixtureKey + ":"), key, "", true},
		{"token and body", bearer(fixtureToken), key, "", true},
		{"token alone", bearer(fixtureToken), "", "", false},
		{"token of another source", bearer(limitedToken), key, "", false},
		{"wrong token", bearer("nonsense"), key, "", false},
		{"no token", bearer(""), key, "", false},
		{"none", nil, "", "", false},
		{"query, which is for pixels", nil, "", "?writeKey=" + fixtureKey, false},
		{"wrong basic", basic("wk-wrong:"), "", "", false},
		{"wrong body", nil, `,"writeKey":"wk-wrong"`, "", false},
		{"empty basic", basic(":"), "", "", false},
		{"a key that is no text", nil, `,"writeKey":7`, "", false},
		{"basic that is not base64", http.Header{"Authorization": {"Basic %%%"}}, "", "", false},
	}
}

// encoding is how a body travels.
type encoding struct {
	name   string
	header http.Header
	pack   func(string) io.Reader
}

// plainReader has no length that net/http knows.
type plainReader struct{ io.Reader }

const bom = "\xef\xbb\xbf"

func encodings() []encoding {
	packed := http.Header{"Content-Encoding": {"gzip"}}
	return []encoding{
		{"identity", nil, func(s string) io.Reader { return strings.NewReader(s) }},
		{"gzip", packed, func(s string) io.Reader { return strings.NewReader(zip(s)) }},
		{"chunked", nil, func(s string) io.Reader { return plainReader{strings.NewReader(s)} }},
		{"BOM", nil, func(s string) io.Reader { return strings.NewReader(bom + s) }},
		{"gzip, chunked, BOM", packed, func(s string) io.Reader { return plainReader{strings.NewReader(zip(bom + s))} }},
	}
}

func contentTypes() []http.Header {
	var all []http.Header
	for _, v := range []string{"application/json", "application/json; charset=utf-8", "text/plain", "text/plain;charset=UTF-8", "application/octet-stream"} {
		all = append(all, http.Header{"Content-Type": {v}})
	}
	return append(all, nil)
}

func joined(headers ...http.Header) http.Header {
	all := http.Header{}
	for _, h := range headers {
		for name, values := range h {
			all[name] = values
		}
	}
	return all
}

// TestEveryRequest is each path, with each way to say who one is, each content type and
// each encoding.
func TestEveryRequest(t *testing.T) {
	f := newFixture(t)
	n := 0
	origin := http.Header{"Origin": {"https://shop.example"}}
	for _, r := range routes() {
		t.Run(strings.ReplaceAll(r.path[1:], "/", "."), func(t *testing.T) {
			f.t = t
			f.raw() // nothing of another test
			f.seen = f.client.Stats().Accepted
			for _, c := range allCredentials() {
				for _, kind := range contentTypes() {
					for _, e := range encodings() {
						n++
						ids := []string{fmt.Sprint("m-", n), fmt.Sprint("n-", n)}
						answer := f.do(call{http.MethodPost, r.path + c.query, joined(c.header, kind, e.header, origin), e.pack(r.body(c.body, ids...))})
						what := fmt.Sprint(c.name, kind, e.name)
						require.Equal(t, "*", answer.header.Get("Access-Control-Allow-Origin"), what)
						require.Contains(t, answer.header.Get("Access-Control-Expose-Headers"), "Retry-After", what)
						if !c.ok {
							require.Equal(t, http.StatusUnauthorized, answer.status, what)
							f.refused(answer, http.StatusUnauthorized, "unknown_source")
							f.unchanged()
							continue
						}
						f.accepted(answer)
						got := f.events()
						f.seen += uint64(len(got))
						require.Len(t, got, r.takes(2), what)
						for i, e := range got {
							require.Equal(t, ids[i], e["messageId"], what)
							require.Equal(t, "u-1", e["userId"], what)
							require.NotContains(t, e, "writeKey", what)
							if r.call != "" {
								require.Equal(t, r.call, e["type"], what)
							}
						}
					}
				}
			}
		})
	}
	require.NotContains(t, f.logs.String(), fixtureKey)
	require.NotContains(t, f.logs.String(), "u-1")
}

// TestEveryFault is each path with each way to say who one is and each body that cannot
// be read.
func TestEveryFault(t *testing.T) {
	f := newFixture(t)
	n := 0
	for _, r := range routes() {
		t.Run(strings.ReplaceAll(r.path[1:], "/", "."), func(t *testing.T) {
			f.t = t
			for _, c := range allCredentials() {
				if !c.ok {
					continue
				}
				for _, e := range encodings() {
					n++
					body := r.body(c.body, fmt.Sprint("f-", n), fmt.Sprint("g-", n))
					all := faults(body)
					if c.name == "basic" && (r.path == "/v1/t" || r.path == "/v1/batch") {
						maps.Copy(all, giants(body))
					}
					for what, body := range all {
						answer := f.do(call{http.MethodPost, r.path, joined(c.header, e.header), e.pack(body)})
						require.Equal(t, http.StatusBadRequest, answer.status, "%s, %s, %s: %s", what, c.name, e.name, answer.body)
						f.refused(answer, http.StatusBadRequest, "bad_request")
						f.unchanged()
					}
				}
			}
		})
	}
}

// faults are what may become of a body.
func faults(body string) map[string]string {
	return map[string]string{
		"empty":                  "",
		"blank":                  " \r\n\t",
		"no JSON":                "hello",
		"a form":                 "writeKey=" + fixtureKey + "&event=x",
		"HTML":                   "<html></html>",
		"null":                   "null",
		"a list":                 "[" + body + "]",
		"a text":                 `"hello"`,
		"a number":               "5",
		"something behind it":    body + "x",
		"another body behind it": body + body,
		"a comma behind it":      body + ",",
		"without its end":        body[:len(body)-1],
		"half":                   body[:len(body)/2],
		"a comma too much":       body[:len(body)-1] + ",}",
		"a control character":    strings.Replace(body, "u-1", "u\x01", 1),
		"an unknown escape":      strings.Replace(body, "u-1", `u\x`, 1),
		"single quotes":          strings.ReplaceAll(body, `"`, `'`),
		"a comment":              "/* */" + body,
		"a number that is none":  body[:len(body)-1] + `,"n":01}`,
		"a word that is none":    body[:len(body)-1] + `,"n":True}`,
		"two byte order marks":   bom + bom + body,
	}
}

// giants are bodies that nobody should hold in memory.
func giants(body string) map[string]string {
	return map[string]string{
		"larger than any limit":      body[:len(body)-1] + `,"pad":"` + strings.Repeat("x", 1_200_000) + `"}`,
		"larger by blanks":           strings.Repeat(" ", 1_200_000) + body,
		"the brackets of ten giants": strings.Repeat("[", 100_000),
	}
}

func TestBodiesThatDoNotUnpack(t *testing.T) {
	f := newFixture(t)
	body := route{path: "/v1/batch"}.body("", "m-1", "m-2")
	packed := zip(body)
	flipped := []byte(packed)
	flipped[len(flipped)-6] ^= 1 // of the check
	for what, c := range map[string][2]string{
		"no gzip":              {"gzip", body},
		"nothing":              {"gzip", ""},
		"gzip of nothing":      {"gzip", zip("")},
		"cut off":              {"gzip", packed[:len(packed)-9]},
		"without its check":    {"gzip", packed[:len(packed)-8]},
		"a wrong check":        {"gzip", string(flipped)},
		"a header only":        {"gzip", packed[:10]},
		"something behind it":  {"gzip", packed + "x"},
		"an unknown encoding":  {"br", body},
		"a list of encodings":  {"gzip, gzip", zip(packed)},
		"a second body packed": {"gzip", packed + packed},
	} {
		h := joined(basic(fixtureKey+":"), http.Header{"Content-Encoding": {c[0]}})
		answer := f.do(call{http.MethodPost, "/v1/batch", h, strings.NewReader(c[1])})
		require.Equal(t, http.StatusBadRequest, answer.status, what)
		f.refused(answer, http.StatusBadRequest, "bad_request")
		require.Empty(t, f.ids(), what)
	}
}

func TestPathsAndMethods(t *testing.T) {
	f := newFixture(t)
	body := route{"/v1/track", "track", `"event":"E"`}.body("", "m-1")
	for _, path := range []string{"/", "/v1", "/v1/", "/v1/x", "/v1/tracks", "/v1/Track", "/v1/track/more", "/v2/track", "/track", "/v1/pixel", "/v1/batch/track"} {
		answer := f.post(path, body)
		require.Equal(t, http.StatusNotFound, answer.status, path)
		require.Empty(t, f.ids(), path)
	}
	for _, path := range []string{"/v1/track/", "//v1/track", "/v1//track", "/./v1/track", "/x/../v1/track"} {
		f.post(path, body) // do looks for redirects
	}
	f.raw()
	for _, r := range append(routes(), route{path: "/v1/m"}) {
		for _, method := range []string{http.MethodGet, http.MethodPut, http.MethodDelete, http.MethodPatch} {
			answer := f.do(call{method, r.path, basic(fixtureKey + ":"), strings.NewReader(r.body("", "m-2"))})
			require.Equal(t, http.StatusMethodNotAllowed, answer.status, "%s %s", method, r.path)
			require.Contains(t, answer.header.Get("Allow"), "POST", r.path)
			require.NotContains(t, answer.header.Get("Allow"), "GET", r.path)
			require.Empty(t, f.ids())
		}
	}
	answer := f.do(call{http.MethodPost, "/v1/pixel/track", basic(fixtureKey + ":"), strings.NewReader(body)})
	require.Equal(t, http.StatusMethodNotAllowed, answer.status)
	require.Contains(t, answer.header.Get("Allow"), "GET")
	answer = f.do(call{http.MethodDelete, "/v1/projects/" + fixtureKey + "/settings", nil, nil})
	require.Equal(t, http.StatusMethodNotAllowed, answer.status)
	require.Contains(t, answer.header.Get("Allow"), "GET")
}

func TestTelemetryIsDropped(t *testing.T) {
	f := newFixture(t)
	for _, h := range []http.Header{nil, basic(fixtureKey + ":")} {
		answer := f.do(call{http.MethodPost, "/v1/m", h, strings.NewReader(`{"series":[{"type":"Counter","metric":"analytics_js.invoke","value":1,"tags":{}}]}`)})
		require.Equal(t, http.StatusOK, answer.status)
		require.Empty(t, f.ids())
		require.Empty(t, f.codes())
	}
}

// TestPreflight sends what Chromium sends before a POST with these headers.
func TestPreflight(t *testing.T) {
	preflight := func(names string) http.Header {
		h := http.Header{
			"Accept": {"*/*"}, "Origin": {"https://shop.example"}, "Access-Control-Request-Method": {"POST"},
			"Referer": {"https://shop.example/"}, "Sec-Fetch-Dest": {"empty"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Site": {"cross-site"},
		}
		if names != "" {
			h["Access-Control-Request-Headers"] = []string{names}
		}
		return h
	}
	f := newFixture(t)
	for _, r := range append(routes(), route{path: "/v1/m"}) {
		for _, names := range []string{"", "content-type", "authorization,content-type", "authorization,content-type,x-retry-count", "x-retry-count"} {
			answer := f.do(call{http.MethodOptions, r.path, preflight(names), nil})
			require.Contains(t, []int{http.StatusOK, http.StatusNoContent}, answer.status, r.path)
			require.Empty(t, answer.body)
			require.Equal(t, "*", answer.header.Get("Access-Control-Allow-Origin"))
			require.Contains(t, answer.header.Get("Access-Control-Allow-Methods"), "POST")
			allowed := strings.ToLower(answer.header.Get("Access-Control-Allow-Headers"))
			for _, name := range []string{"authorization", "content-type", "x-retry-count"} {
				require.Contains(t, allowed, name) // "*" does not stand for authorization
			}
			require.Equal(t, "86400", answer.header.Get("Access-Control-Max-Age"))
		}
	}
}

func TestOrigins(t *testing.T) {
	f := newFixture(t, withOrigins("https://shop.example"))
	body := route{"/v1/track", "track", `"event":"E"`}.body("", "m-1")
	for origin, want := range map[string]string{"https://shop.example": "https://shop.example", "https://evil.example": "", "https://shop.example.evil.example": "", "null": "", "http://shop.example": ""} {
		for _, method := range []string{http.MethodOptions, http.MethodPost} {
			h := joined(basic(fixtureKey+":"), http.Header{"Origin": {origin}, "Access-Control-Request-Method": {"POST"}})
			answer := f.do(call{method, "/v1/track", h, strings.NewReader(body)})
			require.Equal(t, want, answer.header.Get("Access-Control-Allow-Origin"), origin)
			require.Contains(t, answer.header.Values("Vary"), "Origin", "a cache must not give it to another origin")
		}
	}
}

func TestStrictAnswersWithTheCode(t *testing.T) {
	f := newFixture(t, strict)
	f.refused(f.post("/v1/track", `{"event":"E"}`), http.StatusBadRequest, "no_user_anon_id")
	f.accepted(f.post("/v1/track", `{"event":"E","userId":"u-1","messageId":"ok"}`))
	f.refused(f.post("/v1/batch", `{"batch":[{"type":"track","userId":"u-1"}]}`), http.StatusBadRequest, "event_not_defined")
	require.Equal(t, []string{"ok"}, f.ids())
	f.refused(f.post("/v1/batch", `{"batch":[]}`), http.StatusBadRequest, "empty_batch")
}

func TestUnknownFieldsAndNumbersSurvive(t *testing.T) {
	f := newFixture(t)
	const members = `"version":2,"channel":"browser","x":{"deep":[1,{"y":null}]},"properties":{"big":9007199254740993,"long":0.1000000000000000055511151231257827,"e":1e400,"price":19.90,"neg":-0,"text":"ü\u00fc\ud83d\ude00<&>","none":null,"empty":"","list":[]}`
	for _, path := range []string{"/v1/track", "/v1/batch"} {
		message := fmt.Sprintf(`{"type":"track","event":"E","userId":"u-1","messageId":"m%s",%s}`, path, members)
		body := message
		if path == "/v1/batch" {
			body = `{"batch":[` + message + `]}`
		}
		f.accepted(f.post(path, body))
		got := f.events()
		require.Len(t, got, 1)
		want := decoded(t, message)
		for key, value := range want {
			require.Equal(t, value, got[0][key], key)
		}
		delete(got[0], "timestamp")
		delete(got[0], "receivedAt")
		delete(got[0], "context") // the address of the peer
		require.Len(t, got[0], len(want))
	}
}

func TestDuplicateKeys(t *testing.T) {
	f := newFixture(t)
	f.accepted(f.post("/v1/track", `{"event":"A","event":"B","userId":"u-1","x":1,"x":2,"messageId":"m-1"}`))
	raw := f.raw()
	require.Len(t, raw, 1)
	require.Equal(t, "B", decoded(t, raw[0])["event"])
	for _, name := range []string{`"event":`, `"x":`} {
		require.Equal(t, 1, strings.Count(raw[0], name), raw[0])
	}
	require.True(t, json.Valid([]byte(raw[0])))
}
