package analytics_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

func ExampleMiddleware() {
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{
		analytics.DestinationFunc("printer", func(_ context.Context, events []*analytics.Event) error {
			for _, e := range events {
				fmt.Println(e.Event, e.AnonymousID, e.Context.IP, e.Context.Page.Path, e.Context.Campaign.Source)
			}
			return nil
		}),
	}})
	if err != nil {
		panic(err)
	}
	signup := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := client.Track(r.Context(), analytics.Track{Event: "Signed Up"}); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
	handler := analytics.Middleware(signup)

	r := httptest.NewRequest(http.MethodPost, "/signup?utm_source=newsletter", nil)
	r.RemoteAddr = "203.0.113.9:50000"
	r.AddCookie(&http.Cookie{Name: "ajs_anonymous_id", Value: "anon-7"})
	handler.ServeHTTP(httptest.NewRecorder(), r)

	if err := client.Close(context.Background()); err != nil {
		panic(err)
	}
	// Output: Signed Up anon-7 203.0.113.9 /signup newsletter
}

// request makes a request from headers in pairs of name and line.
func request(target string, headers ...string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr = "203.0.113.9:50000"
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func prefixes(list ...string) (p []netip.Prefix) {
	for _, s := range list {
		p = append(p, netip.MustParsePrefix(s))
	}
	return p
}

func TestRequestIP(t *testing.T) {
	behindProxies := analytics.RequestFacts{TrustedProxies: prefixes("10.0.0.0/8", "fd00::/8")}
	const lb = "10.0.0.1:443"
	for _, tt := range []struct {
		name  string
		facts analytics.RequestFacts
		peer  string
		lines []string // of X-Forwarded-For
		want  string
	}{
		{"the peer is the client", analytics.RequestFacts{}, "203.0.113.9:50000", nil, "203.0.113.9"},
		{"an IPv6 peer has brackets", analytics.RequestFacts{}, "[2001:db8::1]:50000", nil, "2001:db8::1"},
		{"a zone is left out", analytics.RequestFacts{}, "[fe80::1%eth0]:50000", nil, "fe80::1"},
		{"IPv4 in IPv6 is IPv4", analytics.RequestFacts{}, "[::ffff:203.0.113.9]:50000", nil, "203.0.113.9"},
		{"a peer without a port is taken", analytics.RequestFacts{}, "203.0.113.9", nil, "203.0.113.9"},
		{"a Unix socket has no address", analytics.RequestFacts{}, "@", nil, ""},
		{"a Unix socket is not trusted", behindProxies, "@", []string{"198.51.100.7"}, ""},
		{"no header is believed by default", analytics.RequestFacts{}, "10.0.0.1:443", []string{"198.51.100.7"}, "10.0.0.1"},
		{"no header is believed of a stranger", behindProxies, "203.0.113.9:50000", []string{"198.51.100.7"}, "203.0.113.9"},

		{"a trusted peer names the client", behindProxies, lb, []string{"198.51.100.7"}, "198.51.100.7"},
		{"a trusted peer without a header is the client", behindProxies, lb, nil, "10.0.0.1"},
		{"trusted proxies are walked through", behindProxies, lb, []string{"198.51.100.7, 10.0.0.3, 10.0.0.2"}, "198.51.100.7"},
		{"the walk crosses lines", behindProxies, lb, []string{"198.51.100.7", "10.0.0.3", "10.0.0.2"}, "198.51.100.7"},
		{"what the client put in front is not believed", behindProxies, lb, []string{"1.1.1.1, 198.51.100.7"}, "198.51.100.7"},
		{"a line of the client's own is not believed", behindProxies, lb, []string{"1.1.1.1", "198.51.100.7"}, "198.51.100.7"},
		{"a trusted address behind the client's is not believed", behindProxies, lb, []string{"1.1.1.1, 10.0.0.9, 198.51.100.7, 10.0.0.2"}, "198.51.100.7"},
		{"if all are trusted the first is the client", behindProxies, lb, []string{"10.1.1.1, 10.0.0.2"}, "10.1.1.1"},

		{"garbage ends the walk", behindProxies, lb, []string{"1.1.1.1, unknown, 10.0.0.2"}, "10.0.0.2"},
		{"an empty element ends the walk", behindProxies, lb, []string{"1.1.1.1,"}, "10.0.0.1"},
		{"an empty line ends the walk", behindProxies, lb, []string{"1.1.1.1", ""}, "10.0.0.1"},
		{"a line of commas is no address", behindProxies, lb, []string{",,,,"}, "10.0.0.1"},
		{"the unspecified address is nobody", behindProxies, lb, []string{"0.0.0.0"}, "10.0.0.1"},
		{"a name is no address", behindProxies, lb, []string{"client.example"}, "10.0.0.1"},
		{"leading zeros are no address", behindProxies, lb, []string{"198.051.100.007"}, "10.0.0.1"},
		{"an open quote in front changes nothing", behindProxies, lb, []string{`"1.1.1.1, 198.51.100.7`}, "198.51.100.7"},
		{"a chain has an end", behindProxies, lb, []string{"1.1.1.1" + strings.Repeat(", 10.0.0.2", 1000)}, "10.0.0.2"},

		{"a port is left out", behindProxies, lb, []string{"198.51.100.7:4711"}, "198.51.100.7"},
		{"a port is a number", behindProxies, lb, []string{"198.51.100.7:99999"}, "10.0.0.1"},
		{"IPv6 is bare", behindProxies, lb, []string{"2001:db8::7"}, "2001:db8::7"},
		{"IPv6 has brackets", behindProxies, lb, []string{"[2001:db8::7]"}, "2001:db8::7"},
		{"IPv6 has brackets and a port", behindProxies, lb, []string{"[2001:db8::7]:4711"}, "2001:db8::7"},
		{"IPv6 has a zone", behindProxies, lb, []string{"fe80::7%eth0"}, "fe80::7"},
		{"IPv6 is written the short way", behindProxies, lb, []string{"2001:0DB8:0:0:0:0:0:7"}, "2001:db8::7"},
		{"an open bracket is garbage", behindProxies, lb, []string{"[2001:db8::7"}, "10.0.0.1"},
		{"something behind the bracket is garbage", behindProxies, lb, []string{"[2001:db8::7]4711"}, "10.0.0.1"},
		{"IPv4 in brackets is garbage", behindProxies, lb, []string{"[198.51.100.7]"}, "10.0.0.1"},
		{"an IPv6 proxy is trusted", behindProxies, "[fd00::1]:443", []string{"198.51.100.7, fd00::2"}, "198.51.100.7"},
		{"a proxy with a zone is trusted", behindProxies, "[fd00::1%eth0]:443", []string{"198.51.100.7"}, "198.51.100.7"},
		{"a proxy written as IPv4 in IPv6 is trusted", behindProxies, "[::ffff:10.0.0.1]:443", []string{"198.51.100.7"}, "198.51.100.7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("/")
			r.RemoteAddr = tt.peer
			r.Header["X-Forwarded-For"] = tt.lines
			require.Equal(t, tt.want, tt.facts.Context(r).IP)
		})
	}
}

func TestForwardedHeader(t *testing.T) {
	facts := analytics.RequestFacts{TrustedProxies: prefixes("10.0.0.0/8"), ForwardedHeader: "forwarded"}
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"for is the client", []string{"for=198.51.100.7"}, "198.51.100.7"},
		{"names have any case", []string{"By=10.0.0.1;FOR=198.51.100.7;Proto=https"}, "198.51.100.7"},
		{"a value is quoted", []string{`for="198.51.100.7:4711"`}, "198.51.100.7"},
		{"a quoted value has escapes", []string{`for="198.51.100.\7"`}, "198.51.100.7"},
		{"IPv6 is quoted and has brackets", []string{`for="[2001:db8::7]:4711"`}, "2001:db8::7"},
		{"a port is obfuscated", []string{`for="198.51.100.7:_x"`}, "198.51.100.7"},
		{"the walk crosses elements and lines", []string{"for=1.1.1.1, for=198.51.100.7", "for=10.0.0.3, for=10.0.0.2"}, "198.51.100.7"},
		{"unknown ends the walk", []string{"for=1.1.1.1, for=unknown"}, "10.0.0.1"},
		{"a hidden client ends the walk", []string{"for=1.1.1.1, for=_hidden, for=10.0.0.2"}, "10.0.0.2"},
		{"an element without for ends the walk", []string{"for=1.1.1.1, proto=https"}, "10.0.0.1"},
		{"two for are none", []string{"for=1.1.1.1;for=198.51.100.7"}, "10.0.0.1"},
		{"an open quote is garbage", []string{`for="198.51.100.7`}, "10.0.0.1"},
		{"an open quote in front changes nothing", []string{`for=1.1.1.1;x=", for=198.51.100.7`}, "198.51.100.7"},
		{"a quote across elements changes nothing", []string{`for=1.1.1.1;x=", for="[2001:db8::7]"`}, "2001:db8::7"},
		{"a quoted comma does not separate", []string{`for=198.51.100.7;x="a, for=1.1.1.1"`}, "198.51.100.7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("/", "X-Forwarded-For", "1.2.3.4")
			r.RemoteAddr = "10.0.0.1:443"
			r.Header["Forwarded"] = tt.lines
			require.Equal(t, tt.want, facts.Context(r).IP)
		})
	}

	t.Run("the header that is not named is not read", func(t *testing.T) {
		r := request("/", "Forwarded", "for=1.1.1.1;proto=https;host=evil.example", "X-Forwarded-For", "198.51.100.7")
		r.RemoteAddr = "10.0.0.1:443"
		c := analytics.RequestFacts{TrustedProxies: facts.TrustedProxies}.Context(r)
		require.Equal(t, "198.51.100.7", c.IP)
		require.Equal(t, "http://example.com/", c.Page.URL)
	})
	t.Run("a header with a single address is taken", func(t *testing.T) {
		r := request("/", "X-Real-IP", "198.51.100.7")
		r.RemoteAddr = "10.0.0.1:443"
		c := analytics.RequestFacts{TrustedProxies: facts.TrustedProxies, ForwardedHeader: "X-Real-IP"}.Context(r)
		require.Equal(t, "198.51.100.7", c.IP)
	})
}

func TestRequestPage(t *testing.T) {
	trusting := analytics.RequestFacts{TrustedProxies: prefixes("203.0.113.0/24", "10.0.0.0/8")}
	rfc7239 := trusting
	rfc7239.ForwardedHeader = "Forwarded"
	for _, tt := range []struct {
		name    string
		facts   analytics.RequestFacts
		target  string
		headers []string
		want    analytics.PageInfo
	}{
		{"path and query are as requested", analytics.RequestFacts{}, "http://shop.example/a%20b/%C3%BC?q=1&r", nil,
			analytics.PageInfo{Path: "/a%20b/%C3%BC", Search: "?q=1&r", URL: "http://shop.example/a%20b/%C3%BC?q=1&r"}},
		{"TLS makes it https", analytics.RequestFacts{}, "https://shop.example:8443/", nil,
			analytics.PageInfo{Path: "/", URL: "https://shop.example:8443/"}},
		{"an IPv6 host has brackets", analytics.RequestFacts{}, "http://[2001:db8::1]:8080/", nil,
			analytics.PageInfo{Path: "/", URL: "http://[2001:db8::1]:8080/"}},
		{"a stranger's scheme and host are not believed", analytics.RequestFacts{}, "http://shop.example/",
			[]string{"X-Forwarded-Proto", "https", "X-Forwarded-Host", "evil.example"},
			analytics.PageInfo{Path: "/", URL: "http://shop.example/"}},
		{"a trusted proxy's scheme and host count", trusting, "http://10.0.0.5:8080/",
			[]string{"X-Forwarded-Proto", "HTTPS", "X-Forwarded-Host", "shop.example"},
			analytics.PageInfo{Path: "/", URL: "https://shop.example/"}},
		{"the first trusted proxy saw the client's scheme", trusting, "http://10.0.0.5/",
			[]string{"X-Forwarded-For", "1.1.1.1, 198.51.100.7, 10.0.0.2", "X-Forwarded-Proto", "gopher, https, http", "X-Forwarded-Host", "evil.example, shop.example, inner"},
			analytics.PageInfo{Path: "/", URL: "https://shop.example/"}},
		{"a scheme that is none is ignored", trusting, "http://shop.example/",
			[]string{"X-Forwarded-Proto", "javascript", "X-Forwarded-Host", "shop.example/x?y@z"},
			analytics.PageInfo{Path: "/", URL: "http://shop.example/"}},
		{"Forwarded brings scheme and host", rfc7239, "http://10.0.0.5/",
			[]string{"Forwarded", `for=1.1.1.1;host=evil.example, for=198.51.100.7;proto=https;host="shop.example:8443", for=10.0.0.2`, "X-Forwarded-Proto", "http"},
			analytics.PageInfo{Path: "/", URL: "https://shop.example:8443/"}},
		{"the referrer comes along", analytics.RequestFacts{}, "http://shop.example/", []string{"Referer", "https://news.example/a?b=c"},
			analytics.PageInfo{Path: "/", URL: "http://shop.example/", Referrer: "https://news.example/a?b=c"}},
		{"credentials of the referrer do not", analytics.RequestFacts{}, "http://shop.example/", []string{"Referer", "https://ann:secret@news.example/a#frag"},
			analytics.PageInfo{Path: "/", URL: "http://shop.example/", Referrer: "https://news.example/a"}},
		{"a referrer that is no URL does not", analytics.RequestFacts{}, "http://shop.example/", []string{"Referer", "ann:secret@news.example"},
			analytics.PageInfo{Path: "/", URL: "http://shop.example/"}},
		{"a relative referrer does not", analytics.RequestFacts{}, "http://shop.example/", []string{"Referer", "//ann:secret@news.example/"},
			analytics.PageInfo{Path: "/", URL: "http://shop.example/"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.facts.Context(request(tt.target, tt.headers...))
			require.Equal(t, tt.want, c.Page)
			require.Equal(t, tt.want.Referrer, c.Referrer.URL)
		})
	}

	t.Run("credentials in the host leave no URL", func(t *testing.T) {
		r := request("/")
		r.Host = "ann:secret@shop.example"
		require.Equal(t, analytics.PageInfo{Path: "/"}, analytics.RequestFacts{}.Context(r).Page)
	})
	t.Run("credentials in the request line are left out", func(t *testing.T) {
		r := request("http://ann:secret@shop.example/")
		require.Equal(t, analytics.PageInfo{Path: "/", URL: "http://" + r.Host + "/"}, analytics.RequestFacts{}.Context(r).Page)
		require.NotContains(t, r.Host, "secret")
	})
	t.Run("OPTIONS * is no page", func(t *testing.T) {
		r := request("/")
		r.URL = &url.URL{Path: "*"}
		require.Zero(t, analytics.RequestFacts{}.Context(r).Page)
	})
	t.Run("a request made by hand has no facts", func(t *testing.T) {
		require.Equal(t, &analytics.Context{}, analytics.RequestFacts{TrustedProxies: prefixes("::/0")}.Context(&http.Request{}))
		require.Zero(t, analytics.RequestFacts{}.Identity(&http.Request{}))
	})
}

func TestRequestLocale(t *testing.T) {
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"the first tag wins", []string{"de-CH,de;q=0.9,en;q=0.8"}, "de-CH"},
		{"the largest q wins", []string{"en;q=0.5, fr ; q=0.8 ,de;q=0.7"}, "fr"},
		{"the first of equals wins", []string{"en;q=0.5,fr;q=0.5"}, "en"},
		{"lines are one list", []string{"en;q=0.5", "zh-Hans-CN"}, "zh-Hans-CN"},
		{"a star is no tag", []string{"*,en;q=0.1"}, "en"},
		{"a star alone is nothing", []string{"*"}, ""},
		{"q=0 is not acceptable", []string{"en;q=0"}, ""},
		{"a q that is no weight is not acceptable", []string{"en;q=7,fr;q=NaN,es;x=1,it;q=,de;q=0.1"}, "de"},
		{"garbage is no tag", []string{"<script>,en_US,-en,1a," + strings.Repeat("a", 50) + ",toolongsub,en;q=0.2"}, "en"},
		{"nothing is nothing", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("/")
			r.Header["Accept-Language"] = tt.lines
			require.Equal(t, tt.want, analytics.RequestFacts{}.Context(r).Locale)
		})
	}
}

func TestRequestCampaign(t *testing.T) {
	many := ""
	for i := range 100 {
		many += fmt.Sprintf("utm_x%d=1&", i)
	}
	for _, tt := range []struct {
		name  string
		query string
		want  analytics.Campaign
	}{
		{"the five names have fields", "utm_campaign=spring&utm_source=mail&utm_medium=email&utm_term=t&utm_content=c",
			analytics.Campaign{Name: "spring", Source: "mail", Medium: "email", Term: "t", Content: "c"}},
		{"others go to Extra", "utm_id=7&q=1&utm_source=a", analytics.Campaign{Source: "a", Extra: map[string]any{"id": "7"}}},
		{"values are decoded", "utm_source=a+b%26c%C3%BC", analytics.Campaign{Source: "a b&cü"}},
		{"what does not decode stays", "utm_source=100%&utm_medium=%ff", analytics.Campaign{Source: "100%", Medium: "%ff"}},
		{"a value may hold an equals sign", "utm_source=a=b", analytics.Campaign{Source: "a=b"}},
		{"the last of equals wins", "utm_source=a&utm_source=b", analytics.Campaign{Source: "b"}},
		{"a second question mark separates", "x=1?utm_source=a", analytics.Campaign{Source: "a"}},
		{"empty names and values are nothing", "utm_=1&utm_source=&utm_medium", analytics.Campaign{}},
		{"a long value is cut", "utm_source=" + strings.Repeat("ü", 500), analytics.Campaign{Source: strings.Repeat("ü", 75)}},
		{"a long name is left out", "utm_" + strings.Repeat("x", 500) + "=1", analytics.Campaign{}},
		{"control characters are left out", "utm_source=a%00b%0a", analytics.Campaign{Source: "ab"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("/")
			r.URL.RawQuery = tt.query
			require.Equal(t, tt.want, analytics.RequestFacts{}.Context(r).Campaign)
		})
	}
	t.Run("the number of parameters is bounded", func(t *testing.T) {
		require.Len(t, analytics.RequestFacts{}.Context(request("/?"+many)).Campaign.Extra, 10)
	})
}

func TestRequestClientHints(t *testing.T) {
	read := func(headers ...string) analytics.UserAgentData {
		return analytics.RequestFacts{}.Context(request("/", headers...)).UserAgentData
	}
	t.Run("brands, mobile and platform are read", func(t *testing.T) {
		require.Equal(t, analytics.UserAgentData{
			Brands:   []analytics.Brand{{Brand: "Chromium", Version: "124"}, {Brand: `Not(A;Br"and,`, Version: "99"}},
			Mobile:   analytics.Ptr(false),
			Platform: "macOS",
		}, read("Sec-CH-UA", `"Chromium";v="124", "Not(A;Br\"and,";v="99"`, "Sec-CH-UA-Mobile", "?0", "Sec-CH-UA-Platform", `"macOS"`))
	})
	t.Run("garbage is left out", func(t *testing.T) {
		for _, s := range []string{`Chromium`, `"Chromium`, `"Chromium";v="124",`, `"a" , b`, `\`, `"\`, strings.Repeat(`"a",`, 2000)} {
			require.Zero(t, read("Sec-CH-UA", s, "Sec-CH-UA-Mobile", s, "Sec-CH-UA-Platform", s+"x"), s)
		}
	})
}

func TestRequestCookies(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cookies []string // lines
		want    string
	}{
		{"an id is taken as it is", []string{"a=b; ajs_anonymous_id=6e5c7f0a-3d5e-4ce5-b1c5-0c1f4d5e6f70; c=d"}, "6e5c7f0a-3d5e-4ce5-b1c5-0c1f4d5e6f70"},
		{"percent signs are decoded", []string{"ajs_anonymous_id=a%20b%3B%C3%BC"}, "a b;ü"},
		{"a plus is a plus", []string{"ajs_anonymous_id=a+b"}, "a+b"},
		{"a lone percent sign stays", []string{"ajs_anonymous_id=100%25%zz%4"}, "100%%zz%4"},
		{"JSON quotes go", []string{"ajs_anonymous_id=%22anon-7%22"}, "anon-7"},
		{"JSON escapes go", []string{`ajs_anonymous_id=%22a%5Cu00fc%22`}, "aü"},
		{"quotes of the cookie go", []string{`ajs_anonymous_id="anon-7"`}, "anon-7"},
		{"a number stays as it is written", []string{"ajs_anonymous_id=12345678901234567890"}, "12345678901234567890"},
		{"null is none", []string{"ajs_anonymous_id=null"}, ""},
		{"a boolean is none", []string{"ajs_anonymous_id=true"}, ""},
		{"an object is none", []string{"ajs_anonymous_id=%7B%22id%22:1%7D"}, ""},
		{"braces are no object", []string{"ajs_anonymous_id={8f3a}"}, "{8f3a}"},
		{"what is not UTF-8 is none", []string{"ajs_anonymous_id=%ff%fe"}, ""},
		{"half a surrogate is none", []string{"ajs_anonymous_id=%22%5Cud800%22"}, ""},
		{"control characters are none", []string{"ajs_anonymous_id=a%00b"}, ""},
		{"blanks are none", []string{"ajs_anonymous_id=%20%20"}, ""},
		{"what is too long is none", []string{"ajs_anonymous_id=" + strings.Repeat("a", 257)}, ""},
		{"the first usable one wins", []string{"ajs_anonymous_id=null; ajs_anonymous_id=a", "ajs_anonymous_id=b"}, "a"},
		{"another name is another cookie", []string{"xajs_anonymous_id=a; AJS_ANONYMOUS_ID=b"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := request("/")
			r.Header["Cookie"] = tt.cookies
			require.Equal(t, analytics.Identity{AnonymousID: tt.want}, analytics.RequestFacts{}.Identity(r))
		})
	}

	r := request("/", "Cookie", "ajs_user_id=%22u-42%22; ajs_anonymous_id=anon-7")
	t.Run("the user cookie is not believed by default", func(t *testing.T) {
		require.Equal(t, analytics.Identity{AnonymousID: "anon-7"}, analytics.RequestFacts{}.Identity(r))
	})
	t.Run("the user cookie is believed where it is said", func(t *testing.T) {
		require.Equal(t, analytics.Identity{UserID: "u-42", AnonymousID: "anon-7"}, analytics.RequestFacts{UserCookie: true}.Identity(r))
	})
}

// serve returns the ctx that a handler behind the middleware sees.
func serve(mw func(http.Handler) http.Handler, r *http.Request, inside ...func(*http.Request)) (ctx context.Context) {
	mw(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		for _, f := range inside {
			f(r)
		}
		ctx = r.Context()
	})).ServeHTTP(httptest.NewRecorder(), r)
	return ctx
}

func TestMiddleware(t *testing.T) {
	facts := analytics.RequestFacts{TrustedProxies: prefixes("203.0.113.0/24"), UserCookie: true}
	full := func() *http.Request {
		return request("https://shop.example/cart?utm_source=mail&utm_id=7", "X-Forwarded-For", "198.51.100.7", "User-Agent", "Mozilla/5.0",
			"Accept-Language", "de", "Referer", "https://news.example/", "Sec-CH-UA", `"Chromium";v="124"`, "Sec-CH-UA-Mobile", "?1", "Sec-CH-UA-Platform", `"Android"`,
			"Cookie", "ajs_anonymous_id=anon-7; ajs_user_id=u-42", "X-Forwarded-Proto", "https", "X-Forwarded-Host", "shop.example")
	}

	t.Run("ctx carries what Context and Identity return", func(t *testing.T) {
		ctx := serve(facts.Middleware, full())
		require.Equal(t, facts.Context(full()), analytics.FromContext(ctx))
		require.Equal(t, facts.Identity(full()), analytics.IdentityFromContext(ctx))
	})
	t.Run("the plain middleware trusts nobody", func(t *testing.T) {
		ctx := serve(analytics.Middleware, full())
		require.Equal(t, "203.0.113.9", analytics.FromContext(ctx).IP)
		require.Equal(t, analytics.Identity{AnonymousID: "anon-7"}, analytics.IdentityFromContext(ctx))
	})
	t.Run("a header of one's own is kept as well", func(t *testing.T) {
		own := facts
		own.ForwardedHeader = "x-real-ip"
		ctx := serve(own.Middleware, request("/", "X-Real-IP", "198.51.100.8"))
		require.Equal(t, "198.51.100.8", analytics.FromContext(ctx).IP)
	})
	t.Run("the request wins over what ctx carried before", func(t *testing.T) {
		r := full()
		ctx := analytics.NewContext(r.Context(), &analytics.Context{Locale: "en", Timezone: "Europe/Berlin"})
		ctx = analytics.NewIdentity(ctx, analytics.Identity{UserID: "u-1"})
		ctx = serve(analytics.Middleware, r.WithContext(ctx))
		require.Equal(t, "de", analytics.FromContext(ctx).Locale)
		require.Equal(t, "Europe/Berlin", analytics.FromContext(ctx).Timezone)
		require.Equal(t, analytics.Identity{UserID: "u-1", AnonymousID: "anon-7"}, analytics.IdentityFromContext(ctx))
	})
	t.Run("a handler's own facts win over the request", func(t *testing.T) {
		ctx := analytics.NewContext(serve(analytics.Middleware, full()), &analytics.Context{Locale: "fr"})
		require.Equal(t, "fr", analytics.FromContext(ctx).Locale)
		require.Equal(t, "203.0.113.9", analytics.FromContext(ctx).IP)
	})
	t.Run("middlewares nest", func(t *testing.T) {
		ctx := serve(func(next http.Handler) http.Handler { return analytics.Middleware(facts.Middleware(next)) }, full())
		require.Equal(t, "198.51.100.7", analytics.FromContext(ctx).IP)
	})
	t.Run("what a handler changes is not seen", func(t *testing.T) {
		want := facts.Context(full())
		ctx := serve(facts.Middleware, full(), func(r *http.Request) {
			r.Header.Set("User-Agent", "changed")
			r.Header.Del("Cookie")
			r.URL.Path, r.URL.RawQuery, r.Host, r.RemoteAddr = "/changed", "", "changed", "changed"
		})
		require.Equal(t, want, analytics.FromContext(ctx))
		require.Equal(t, "anon-7", analytics.IdentityFromContext(ctx).AnonymousID)
	})
	t.Run("goroutines may ask while the handler changes its request", func(t *testing.T) {
		asked := make(chan *analytics.Context, 8)
		serve(facts.Middleware, full(), func(r *http.Request) {
			for range cap(asked) {
				go func() { asked <- analytics.FromContext(r.Context()) }()
			}
			r.Header.Set("User-Agent", "changed")
			r.URL.Path = "/changed"
		})
		for range cap(asked) {
			require.Equal(t, facts.Context(full()), <-asked)
		}
	})
	t.Run("other values and the end of ctx pass through", func(t *testing.T) {
		type key struct{}
		outer, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, 7))
		ctx, stop := context.WithCancel(serve(analytics.Middleware, full().WithContext(outer)))
		defer stop()
		require.Equal(t, 7, ctx.Value(key{}))
		cancel()
		<-ctx.Done()
		require.ErrorIs(t, ctx.Err(), context.Canceled)
	})
	t.Run("proxies cannot be changed afterwards", func(t *testing.T) {
		own := analytics.RequestFacts{TrustedProxies: prefixes("203.0.113.0/24")}
		mw := own.Middleware
		ctx := serve(func(next http.Handler) http.Handler {
			h := mw(next)
			own.TrustedProxies[0] = netip.MustParsePrefix("192.0.2.0/24")
			return h
		}, full())
		require.Equal(t, "198.51.100.7", analytics.FromContext(ctx).IP)
	})
}

func TestFactsAreBounded(t *testing.T) {
	for _, tt := range []struct {
		name, fill string
		most       int
	}{
		{"of a hostile request", `"`, 24_000},
		{"of a request without quotes", "é", 12_000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			lots := strings.Repeat(tt.fill, 5000)
			query := ""
			for _, name := range append(strings.Fields("campaign source medium term content"), strings.Fields("a b c d e f g h i j k l m")...) {
				query += "utm_" + name + strings.Repeat(name, len(name)/2*47) + "=" + lots[:400] + "&"
			}
			for i := range 20 {
				query += fmt.Sprintf("utm_%d%s=%s&", i, strings.Repeat(tt.fill, 46/len(tt.fill)), lots[:160])
			}
			r := request("/", "User-Agent", lots, "Accept-Language", lots, "Referer", "https://news.example/?"+lots, "Sec-CH-UA-Platform", `"`+lots[:100]+`"`,
				"Sec-CH-UA", strings.Repeat(`"`+strings.Repeat(`\"`, 60)+`";v="`+strings.Repeat(`\"`, 60)+`",`, 5)+`"a"`,
				"Cookie", "ajs_anonymous_id="+strings.Repeat("a", 256))
			r.URL = &url.URL{Path: "/" + lots, RawQuery: query + lots}
			c := analytics.RequestFacts{}.Context(r)
			b, err := (&analytics.Event{Context: c}).AppendJSON(nil)
			require.NoError(t, err)
			require.Less(t, len(b), tt.most)
			require.Greater(t, len(b), tt.most/2)
		})
	}
}

func FuzzForwarded(f *testing.F) {
	for _, s := range []string{
		"", ",", "1.1.1.1", "1.1.1.1, 10.0.0.2", "for=1.1.1.1", `for="[2001:db8::7]:4711";proto=https;host=a, for=_x`, `for="`, `for="\`, `x=", for=",`,
		"[fe80::1%eth0]:80", "::ffff:1.1.1.1", "[::", "unknown", `\",`, "10.0.0.2,10.0.0.2,10.0.0.2",
	} {
		f.Add("10.0.0.1:443", s, s)
	}
	f.Add("@", "1.1.1.1", "")
	f.Fuzz(func(t *testing.T, peer, first, second string) {
		for _, tt := range []struct{ header, element string }{
			{"X-Forwarded-For", "198.51.100.7"}, {"Forwarded", `for="198.51.100.7:4711";proto=https`},
		} {
			facts := analytics.RequestFacts{TrustedProxies: prefixes("10.0.0.0/8"), ForwardedHeader: tt.header}
			r := request("/")
			r.RemoteAddr = peer
			r.Header[tt.header] = []string{first, second}
			r.Header["X-Forwarded-Proto"] = []string{second}
			r.Header["X-Forwarded-Host"] = []string{first, second}
			if ip := facts.Context(r).IP; ip != "" {
				_, err := netip.ParseAddr(ip)
				require.NoError(t, err)
			}
			u, err := url.Parse(facts.Context(r).Page.URL)
			require.NoError(t, err)
			require.Nil(t, u.User)
			require.Contains(t, []string{"", "http", "https"}, u.Scheme)

			r.RemoteAddr = "198.51.100.7:443"
			require.Equal(t, "198.51.100.7", facts.Context(r).IP, "a stranger is believed")

			r.RemoteAddr = "10.0.0.1:443"
			r.Header[tt.header] = []string{first, second + ", " + tt.element}
			require.Equal(t, "198.51.100.7", facts.Context(r).IP, "what was in front of the proxy's element counts")
			r.Header[tt.header] = []string{first, second, tt.element}
			require.Equal(t, "198.51.100.7", facts.Context(r).IP, "a line of the client's own counts")
		}
	})
}

func FuzzCookies(f *testing.F) {
	for _, s := range []string{"", "anon-7", "%22anon-7%22", "%", "%2", "%ff", "null", "1e5", "{}", "%22%5Cud800%22", `"`, "a%00", "ü", "%C3%BC", strings.Repeat("%41", 400)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		r := request("/")
		r.Header["Cookie"] = []string{"ajs_anonymous_id=" + value + "; ajs_user_id=" + value}
		id := analytics.RequestFacts{UserCookie: true}.Identity(r)
		for _, s := range []string{id.UserID, id.AnonymousID} {
			require.LessOrEqual(t, len(s), 256)
			require.True(t, utf8.ValidString(s))
			require.False(t, strings.ContainsFunc(s, unicode.IsControl))
		}

		// A string, written as either version of analytics.js does, comes back.
		if value == "" || len(value) > 100 || !utf8.ValidString(value) || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }) {
			return
		}
		encoded := strings.ReplaceAll(url.QueryEscape(quoteJSON(value)), "+", "%20")
		r.Header["Cookie"] = []string{"ajs_anonymous_id=" + encoded}
		require.Equal(t, value, analytics.RequestFacts{}.Identity(r).AnonymousID)
	})
}

func quoteJSON(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

func BenchmarkMiddleware(b *testing.B) {
	r := request("https://shop.example/cart?utm_source=mail&q=1", "User-Agent", "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36", "Accept-Language", "de-CH,de;q=0.9,en;q=0.8",
		"Referer", "https://news.example/", "Cookie", "ajs_anonymous_id=6e5c7f0a-3d5e-4ce5-b1c5-0c1f4d5e6f70", "Sec-CH-UA", `"Chromium";v="124", "Not-A.Brand";v="99"`)
	r.TLS = &tls.ConnectionState{}
	for _, bb := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"no event", func(http.ResponseWriter, *http.Request) {}},
		{"facts", func(_ http.ResponseWriter, r *http.Request) { analytics.IdentityFromContext(r.Context()) }},
	} {
		b.Run(bb.name, func(b *testing.B) {
			h := analytics.Middleware(bb.handler)
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(nil, r)
			}
		})
	}
}
