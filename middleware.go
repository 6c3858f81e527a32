package analytics

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// RequestFacts says which facts of an HTTP request become part of the events that
// are made while it is served, and whom to believe. The zero value is a good
// default for a server that faces the internet without a proxy. A RequestFacts may
// be used from any goroutine once it is not changed any more.
//
// The facts are the client's address (context.ip), User-Agent, the preferred tag of
// Accept-Language, the page (path, query and URL as requested; the referring URL),
// the utm parameters of the query as context.campaign, the brands, platform and
// form factor of the Sec-CH-UA headers, and the ids in analytics.js' cookies.
//
// Whatever a request holds, its facts stay below 24 KB of JSON, and below 12 KB if
// it holds no quotes and backslashes, so that a hostile one does not make the event
// too large. What is too long is cut, or left out where a part of it would mean
// something else; what is malformed is left out. User and password of a URL are
// removed; the query is taken as it is, so keep secrets out of it.
type RequestFacts struct {
	// TrustedProxies are the networks of the proxies in front of the server. Where
	// the peer is one of them, the address it reports is taken for the client's: the
	// list is walked from its end to the first address that is not trusted, and ends
	// before anything that is no address. The peer's scheme and host count as well.
	// Nil: no header is believed, the peer is the client. A peer without an address,
	// such as one on a Unix socket, is not trusted.
	TrustedProxies []netip.Prefix

	// ForwardedHeader names the one header that these proxies write: a list of
	// addresses like X-Forwarded-For, a single address like X-Real-IP, or Forwarded
	// (RFC 7239). No other is read, since a proxy passes on what it does not write,
	// and a client can write anything. Empty means X-Forwarded-For. With all but
	// Forwarded, scheme and host come from X-Forwarded-Proto and X-Forwarded-Host.
	ForwardedHeader string

	// UserCookie takes the userId from the cookie ajs_user_id. Anyone can forge
	// it: without it only the anonymousId is taken from cookies.
	UserCookie bool
}

// Middleware adds the facts of each request to its ctx, with the zero
// [RequestFacts]: calls made with r.Context() carry them.
func Middleware(next http.Handler) http.Handler { return RequestFacts{}.Middleware(next) }

// Middleware adds the facts of each request to its ctx, as [NewContext] and
// [NewIdentity] would: calls made with r.Context() carry them, also after the
// handler has returned. The facts are those of the request as it arrives here, so
// put the middleware outside of whatever rewrites it. Until a call asks for them,
// nothing is parsed.
func (f RequestFacts) Middleware(next http.Handler) http.Handler {
	f.TrustedProxies = slices.Clone(f.TrustedProxies)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(&requestCtx{Context: r.Context(), from: &f, request: f.keep(r)}))
	})
}

// requestCtx is the ctx of a request; its facts are made when they are first asked
// for.
type requestCtx struct {
	context.Context
	from    *RequestFacts
	request *http.Request
	once    sync.Once
	facts   facts
}

// Value returns what NewContext and NewIdentity would have put into a ctx.
func (c *requestCtx) Value(key any) any {
	if key != (factsKey{}) {
		return c.Context.Value(key)
	}
	c.once.Do(func() {
		c.facts = factsFrom(NewIdentity(NewContext(c.Context, c.from.Context(c.request)), c.from.Identity(c.request)))
		c.request = nil
	})
	return c.facts
}

// keep copies what the facts are made from: a handler may change its request while
// a goroutine of its own makes events.
func (f RequestFacts) keep(r *http.Request) *http.Request {
	kept := &http.Request{Host: r.Host, RemoteAddr: r.RemoteAddr, TLS: r.TLS, Header: make(http.Header, len(factHeaders)+1)}
	if r.URL != nil {
		kept.URL = &url.URL{Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	}
	for _, key := range factHeaders {
		if lines, ok := r.Header[key]; ok {
			kept.Header[key] = lines
		}
	}
	if len(f.TrustedProxies) > 0 {
		kept.Header[f.forwardedHeader()] = r.Header[f.forwardedHeader()]
	}
	return kept
}

// factHeaders are in canonical form.
var factHeaders = [...]string{
	"Accept-Language", "Cookie", "Referer", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform",
	"User-Agent", "X-Forwarded-Host", "X-Forwarded-Proto",
}

func (f RequestFacts) forwardedHeader() string {
	return http.CanonicalHeaderKey(cmp.Or(f.ForwardedHeader, "X-Forwarded-For"))
}

// Bounds of what is taken from a request, in bytes where nothing else is said.
const (
	maxFactURL       = 1536 // each of path, search, url and referrer
	maxFactUserAgent = 1024
	maxFactQuery     = 8192 // of a query that is searched for utm parameters
	maxFactHeader    = 2048 // of a line of Accept-Language, and of a client hint
	maxFactHost      = 255  // as long as a name in the DNS
	maxFactLocale    = 35
	maxFactBrands    = 6 // entries
	maxFactBrand     = 48
	maxUTM           = 10 // parameters without a field of their own
	maxUTMName       = 48
	maxUTMValue      = 150
	maxCookieValue   = 1024
	maxCookieID      = 256
	maxProxies       = 32 // addresses
)

// Context returns the facts of r. It reads r and keeps nothing of it but strings.
func (f RequestFacts) Context(r *http.Request) *Context {
	from := f.originOf(r)
	c := &Context{
		UserAgent: clip(r.Header.Get("User-Agent"), maxFactUserAgent),
		Locale:    locale(r.Header["Accept-Language"]),
		Page:      PageInfo{Referrer: referrer(r.Header.Get("Referer"))},
		UserAgentData: UserAgentData{
			Brands:   brands(r.Header["Sec-Ch-Ua"]),
			Mobile:   hintFlag(r.Header.Get("Sec-Ch-Ua-Mobile")),
			Platform: hintString(r.Header.Get("Sec-Ch-Ua-Platform")),
		},
	}
	if from.client.IsValid() {
		c.IP = from.client.String()
	}
	c.Referrer.URL = c.Page.Referrer
	if r.URL != nil {
		c.Campaign = campaign(r.URL.RawQuery)
		from.page(&c.Page, r.URL)
	}
	return c
}

// Identity returns the ids that r carries in the cookies of analytics.js. Only
// with UserCookie set does it return a UserID.
func (f RequestFacts) Identity(r *http.Request) Identity {
	id := Identity{AnonymousID: cookieID(r, "ajs_anonymous_id")}
	if f.UserCookie {
		id.UserID = cookieID(r, "ajs_user_id")
	}
	return id
}

// page fills in what was asked for. The URL is left out where the host could
// bring more than a host into it.
func (o origin) page(p *PageInfo, u *url.URL) {
	path, search := u.EscapedPath(), ""
	if !strings.HasPrefix(path, "/") {
		return // CONNECT, or "*" of OPTIONS
	}
	if u.RawQuery != "" {
		search = "?" + u.RawQuery
	}
	p.Path, p.Search = clip(path, maxFactURL), clip(search, maxFactURL)
	if isHost(o.host) {
		p.URL = clip(o.scheme+"://"+o.host+path+search, maxFactURL)
	}
}

// referrer returns a Referer without user, password and fragment; "" if it is not
// an absolute URL.
func referrer(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Scheme == "" || u.Host == "" {
		return ""
	}
	if u.User == nil && u.Fragment == "" {
		return clip(s, maxFactURL)
	}
	u.User, u.Fragment, u.RawFragment = nil, "", ""
	return clip(u.String(), maxFactURL)
}

// locale returns the tag that Accept-Language likes best, the first of equals; "*"
// is none.
func locale(lines []string) string {
	best, tag := 0.0, ""
	for _, line := range lines {
		for part := range strings.SplitSeq(line[:min(len(line), maxFactHeader)], ",") {
			t, params, _ := strings.Cut(part, ";")
			if t = strings.TrimSpace(t); !isLanguageTag(t) {
				continue
			}
			if q := quality(params); q > best {
				best, tag = q, t
			}
		}
	}
	return tag
}

// quality reads ";q=0.8"; what is no weight makes the tag unacceptable.
func quality(params string) float64 {
	if strings.TrimSpace(params) == "" {
		return 1
	}
	name, v, _ := strings.Cut(params, "=")
	q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
	if err != nil || !strings.EqualFold(strings.TrimSpace(name), "q") || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

func isLanguageTag(s string) bool {
	if len(s) > maxFactLocale {
		return false
	}
	for sub := range strings.SplitSeq(s, "-") {
		if sub == "" || len(sub) > 8 || strings.ContainsFunc(sub, func(r rune) bool { return !isAlphanumeric(r) }) {
			return false
		}
	}
	return s[0] > '9'
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// campaign reads the utm parameters as analytics.js does: "?" separates like "&",
// names are taken as they are written, the last of equal names counts, and a value
// that does not decode is kept as it is. Unlike there, a value may hold a "=".
func campaign(query string) (c Campaign) {
	query = query[:min(len(query), maxFactQuery)]
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == '?' }) {
		name, value, _ := strings.Cut(pair, "=")
		name, ok := strings.CutPrefix(name, "utm_")
		if !ok || name == "" {
			continue
		}
		if v, err := url.QueryUnescape(value); err == nil && utf8.ValidString(v) {
			value = v
		}
		if value = clip(value, maxUTMValue); value != "" {
			c.set(name, value)
		}
	}
	return c
}

func (c *Campaign) set(name, value string) {
	switch name {
	case "campaign", "name":
		c.Name = value
	case "source":
		c.Source = value
	case "medium":
		c.Medium = value
	case "term":
		c.Term = value
	case "content":
		c.Content = value
	default:
		if _, known := c.Extra[name]; clip(name, maxUTMName) != name || !known && len(c.Extra) == maxUTM {
			return
		}
		if c.Extra == nil {
			c.Extra = make(map[string]any)
		}
		c.Extra[name] = value
	}
}

// brands reads Sec-CH-UA: a list of quoted names, each with its version as
// parameter v. A malformed list has no brands.
func brands(lines []string) []Brand {
	var list []Brand
	s := strings.Join(lines, ",")
	for len(s) <= maxFactHeader && len(list) < maxFactBrands {
		name, rest, ok := quotedString(strings.TrimSpace(s))
		if !ok {
			return nil
		}
		params, more := rest, false
		if i := indexUnquoted(rest, ','); i >= 0 {
			params, s, more = rest[:i], rest[i+1:], true
		}
		list = append(list, Brand{Brand: clip(name, maxFactBrand), Version: clip(parameter(params, "v"), maxFactBrand)})
		if !more {
			break
		}
	}
	return list
}

// hintFlag reads a boolean of a structured field.
func hintFlag(s string) *bool {
	switch s {
	case "?1":
		return Ptr(true)
	case "?0":
		return Ptr(false)
	}
	return nil
}

// hintString reads a string of a structured field.
func hintString(s string) string {
	if len(s) > maxFactHeader {
		return ""
	}
	v, rest, _ := quotedString(s)
	if rest != "" {
		return ""
	}
	return clip(v, maxFactBrand)
}

// cookieID returns the id in a cookie of analytics.js, from the first one of that
// name that holds an id.
func cookieID(r *http.Request, name string) string {
	for _, c := range r.CookiesNamed(name) {
		if id := parseID(c.Value); id != "" {
			return id
		}
	}
	return ""
}

// parseID reads what analytics.js has written: the id, percent-encoded where a
// cookie needs it; in earlier versions the id as JSON. A number is an id as it is
// written. Other JSON is none, and neither is what is too long or does not print.
func parseID(v string) string {
	if len(v) > maxCookieValue {
		return ""
	}
	if v = strings.TrimSpace(percentDecode(v)); v == "" || len(v) > maxCookieValue {
		return ""
	}
	if json.Valid([]byte(v)) {
		switch {
		case v[0] == '"':
			if json.Unmarshal([]byte(v), &v) != nil {
				return ""
			}
		case v[0] != '-' && (v[0] < '0' || v[0] > '9'):
			return ""
		}
	}
	if clip(v, maxCookieID) != v {
		return ""
	}
	return v
}

// percentDecode decodes each %XX and leaves any other percent sign alone, as the
// cookie library of analytics.js does. A "+" is a plus.
func percentDecode(s string) string {
	if !strings.Contains(s, "%") {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b = append(b, byte(c))
				i += 2
				continue
			}
		}
		b = append(b, s[i])
	}
	return string(b)
}

// clip returns the first n bytes of s at the most, without control characters and
// without what is not UTF-8.
func clip(s string, n int) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || unicode.IsControl(r) {
			return -1
		}
		return r
	}, s[:min(len(s), n)])
}
