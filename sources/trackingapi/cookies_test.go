package trackingapi_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// next is the request of a browser that has got the answer w.
func next(w *httptest.ResponseRecorder) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	for _, c := range w.Result().Cookies() {
		if c.MaxAge >= 0 {
			r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		}
	}
	return r
}

func identityIn(r *http.Request) analytics.Identity {
	return analytics.RequestFacts{UserCookie: true}.Identity(r)
}

func TestCookiesWrite(t *testing.T) {
	id := analytics.Identity{AnonymousID: "anon-7", UserID: "u;7"}
	for name, tc := range map[string]struct {
		cookies trackingapi.Cookies
		want    []string
	}{
		"defaults": {trackingapi.Cookies{}, []string{
			"ajs_anonymous_id=anon-7; Path=/; Max-Age=31536000; Secure; SameSite=Lax",
			"ajs_user_id=u%3B7; Path=/; Max-Age=31536000; Secure; SameSite=Lax"}},
		"all set": {trackingapi.Cookies{Domain: "shop.example", Path: "/app", MaxAge: time.Hour, Insecure: true}, []string{
			"ajs_anonymous_id=anon-7; Path=/app; Domain=shop.example; Max-Age=3600; SameSite=Lax",
			"ajs_user_id=u%3B7; Path=/app; Domain=shop.example; Max-Age=3600; SameSite=Lax"}},
		"until the browser is closed": {trackingapi.Cookies{MaxAge: -1}, []string{
			"ajs_anonymous_id=anon-7; Path=/; Secure; SameSite=Lax",
			"ajs_user_id=u%3B7; Path=/; Secure; SameSite=Lax"}},
		"less than a second is no removal": {trackingapi.Cookies{MaxAge: time.Millisecond}, []string{
			"ajs_anonymous_id=anon-7; Path=/; Max-Age=1; Secure; SameSite=Lax",
			"ajs_user_id=u%3B7; Path=/; Max-Age=1; Secure; SameSite=Lax"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := httptest.NewRecorder()
			tc.cookies.Write(w, id)
			require.Equal(t, tc.want, w.Header()["Set-Cookie"])
			require.Equal(t, id, identityIn(next(w)))
		})
	}
}

func TestCookiesSpelling(t *testing.T) {
	for id, want := range map[string]string{
		"6e5c7f0a-3d5e-4ce5-b1c5-0c1f4d5e6f70": "6e5c7f0a-3d5e-4ce5-b1c5-0c1f4d5e6f70",
		"mail@shop.example":                    "mail@shop.example",
		"a b,c;d=\"e\"\\":                      "a%20b%2Cc%3Bd=%22e%22%5C",
		"ü%25+":                                "%C3%BC%2525+",
		"12345678901234567890":                 "%2212345678901234567890%22", // which analytics.js would round
		"null":                                 "%22null%22",
		`"quoted"`:                             "%22%5C%22quoted%5C%22%22",
		" padded ":                             "%22%20padded%20%22",
		"{8f3a}":                               "%7B8f3a%7D",
	} {
		w := httptest.NewRecorder()
		trackingapi.Cookies{}.Write(w, analytics.Identity{UserID: id})
		value, _, _ := strings.Cut(strings.TrimPrefix(w.Header().Get("Set-Cookie"), "ajs_user_id="), ";")
		require.Equal(t, want, value)
		require.Equal(t, id, identityIn(next(w)).UserID)
	}
}

func TestCookiesUnreadableIDs(t *testing.T) {
	for name, id := range map[string]string{
		"empty":         "",
		"space":         "  ",
		"long":          strings.Repeat("x", 257),
		"control":       "a\nb",
		"no UTF-8":      "a\xff",
		"long escapes":  " " + strings.Repeat(`"`, 250),
		"a replacement": "a\ufffd",
	} {
		w := httptest.NewRecorder()
		trackingapi.Cookies{}.Write(w, analytics.Identity{AnonymousID: id, UserID: id})
		require.Empty(t, w.Header(), name)
	}
}

func TestCookiesClear(t *testing.T) {
	w := httptest.NewRecorder()
	c := trackingapi.Cookies{Domain: "shop.example"}
	c.Write(w, analytics.Identity{AnonymousID: "a", UserID: "u"})
	http.SetCookie(w, &http.Cookie{Name: "ajs_user_id_of_another", Value: "x"})
	c.Clear(w)
	require.Equal(t, []string{
		"ajs_user_id_of_another=x",
		"ajs_anonymous_id=; Path=/; Domain=shop.example; Max-Age=0; Secure; SameSite=Lax",
		"ajs_user_id=; Path=/; Domain=shop.example; Max-Age=0; Secure; SameSite=Lax",
	}, w.Header()["Set-Cookie"], "an answer sets each once")
	require.Zero(t, identityIn(next(w)))
}

func TestCookiesEnsure(t *testing.T) {
	c := trackingapi.Cookies{}
	w := httptest.NewRecorder()
	first := c.Ensure(w, httptest.NewRequest(http.MethodGet, "/", nil))
	require.Regexp(t, regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`), first.AnonymousID)
	require.Empty(t, first.UserID)
	require.Len(t, w.Header()["Set-Cookie"], 1)
	require.Equal(t, first, identityIn(next(w)))
	require.Equal(t, first, c.Ensure(w, httptest.NewRequest(http.MethodGet, "/", nil)), "the same while the request is served")
	require.Len(t, w.Header()["Set-Cookie"], 1)

	again := httptest.NewRecorder()
	require.Equal(t, first, c.Ensure(again, next(w)))
	require.Empty(t, again.Header(), "a visitor with an id gets no cookie")

	other := c.Ensure(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	require.NotEqual(t, first, other)

	forged := httptest.NewRequest(http.MethodGet, "/", nil)
	forged.Header.Set("Cookie", "ajs_user_id=admin; ajs_anonymous_id=null")
	id := c.Ensure(httptest.NewRecorder(), forged)
	require.Empty(t, id.UserID)
	require.Len(t, id.AnonymousID, 36, "what is no id is replaced")

	cleared := httptest.NewRecorder()
	c.Clear(cleared)
	require.NotEqual(t, first, c.Ensure(cleared, next(w)), "a visitor who was forgotten is another")

	written := httptest.NewRecorder()
	c.Write(written, analytics.Identity{AnonymousID: "chosen"})
	require.Equal(t, "chosen", c.Ensure(written, next(w)).AnonymousID)
}

func FuzzCookies(f *testing.F) {
	for _, id := range []string{"anon-7", "1e400", `"\u00fc"`, " a;b ", "%zz", "\u00a0", "{}", "tr\u00fce", "\x00"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		w := httptest.NewRecorder()
		trackingapi.Cookies{}.Write(w, analytics.Identity{AnonymousID: id})
		if len(w.Header()) > 0 {
			require.Equal(t, id, identityIn(next(w)).AnonymousID)
		} else if len(id) > 0 && len(id) < 80 {
			require.NotRegexp(t, `^[[:alnum:]]+$`, id, "an ordinary id is written")
		}
	})
}
