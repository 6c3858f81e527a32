package analytics

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// origin is where a request comes from and what it was addressed to, as far as
// that can be believed.
type origin struct {
	client       netip.Addr
	scheme, host string
}

// originOf walks from the peer towards the client, one element of the header for
// each trusted address. Each element was written by the proxy that the walk has
// just come through, so the last one read is the last that can be believed.
func (f RequestFacts) originOf(r *http.Request) origin {
	o := origin{scheme: "http", host: r.Host}
	if r.TLS != nil {
		o.scheme = "https"
	}
	o.client, _ = parseHop(r.RemoteAddr)
	if !f.trusts(o.client) {
		return o
	}
	name := f.forwardedHeader()
	hops, read, scheme, host := listOf(r.Header[name]), 0, "", ""
	for read < maxProxies && f.trusts(o.client) {
		address, ok := hops.last()
		if !ok {
			break
		}
		read++
		if name == "Forwarded" {
			element := address
			address, scheme, host = parameter(element, "for"), parameter(element, "proto"), parameter(element, "host")
		}
		addr, ok := parseHop(address)
		if !ok {
			break
		}
		o.client = addr
	}
	if name != "Forwarded" {
		scheme = listOf(r.Header["X-Forwarded-Proto"]).fromEnd(read)
		host = listOf(r.Header["X-Forwarded-Host"]).fromEnd(read)
	}
	if scheme = strings.ToLower(scheme); scheme == "http" || scheme == "https" {
		o.scheme = scheme
	}
	if isHost(host) {
		o.host = host
	}
	return o
}

func (f RequestFacts) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(f.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(addr) })
}

// isHost tells whether s is a host with or without a port, and nothing more.
func isHost(s string) bool {
	if s == "" || len(s) > maxFactHost || strings.ContainsFunc(s, func(r rune) bool { return !isAlphanumeric(r) && !strings.ContainsRune("-._:[]", r) }) {
		return false
	}
	u, err := url.Parse("//" + s)
	return err == nil && u.Host == s
}

// hopList is the list of a header that proxies append to, by its lines. It is read
// from the end, so that nothing a client put in front can change how the part of
// the trusted proxies reads: not a line of its own, not an open quote.
type hopList struct {
	lines []string
	line  string // what is left of the line at hand
	open  bool   // a line is at hand, even if nothing but "" is left of it
}

func listOf(lines []string) *hopList { return &hopList{lines: lines} }

// last removes the last element. An empty one counts: some proxy had no address to
// write, and what is before it is not its word.
func (l *hopList) last() (element string, ok bool) {
	if !l.open {
		n := len(l.lines) - 1
		if n < 0 {
			return "", false
		}
		l.lines, l.line, l.open = l.lines[:n], l.lines[n], true
	}
	quoted := false
	for i := len(l.line) - 1; i >= 0; i-- {
		switch c := l.line[i]; {
		case c == '"' && (i == 0 || l.line[i-1] != '\\'):
			quoted = !quoted
		case c == ',' && !quoted:
			element, l.line = l.line[i+1:], l.line[:i]
			return strings.TrimSpace(element), true
		}
	}
	element, l.line, l.open = l.line, "", false
	return strings.TrimSpace(element), true
}

// fromEnd returns the nth element from the end, at least the last one, or the
// first where there are fewer: a proxy may replace such a header instead of adding
// to it.
func (l *hopList) fromEnd(n int) (element string) {
	for range max(n, 1) {
		e, ok := l.last()
		if !ok {
			break
		}
		element = e
	}
	return element
}

// parameter returns a parameter of an element of Forwarded: for=…;proto=…;host=….
// One that occurs twice is not there.
func parameter(element, name string) string {
	value, seen := "", false
	for element != "" {
		pair := element
		if i := indexUnquoted(element, ';'); i >= 0 {
			pair, element = element[:i], element[i+1:]
		} else {
			element = ""
		}
		key, v, _ := strings.Cut(pair, "=")
		if !strings.EqualFold(strings.TrimSpace(key), name) {
			continue
		}
		if seen {
			return ""
		}
		value, seen = strings.TrimSpace(v), true
		if s, rest, ok := quotedString(value); ok && rest == "" {
			value = s
		}
	}
	return value
}

func indexUnquoted(s string, sep byte) int {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case quoted && s[i] == '\\':
			i++
		case s[i] == '"':
			quoted = !quoted
		case s[i] == sep && !quoted:
			return i
		}
	}
	return -1
}

// quotedString reads the quoted string at the start of s, and returns what follows
// it.
func quotedString(s string) (v, rest string, ok bool) {
	if s == "" || s[0] != '"' {
		return "", s, false
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch c := s[i]; {
		case c == '"':
			return b.String(), s[i+1:], true
		case c == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", s, false
}

// parseHop reads an address as peers and proxies write it: bare, with a port, IPv6
// in brackets. IPv4 in IPv6 becomes IPv4, and zones, which mean nothing elsewhere,
// go. The unspecified address is nobody's.
func parseHop(s string) (addr netip.Addr, ok bool) {
	port := ""
	if host, found := strings.CutPrefix(s, "["); found {
		if s, port, found = strings.Cut(host, "]"); !found || !strings.Contains(s, ":") {
			return netip.Addr{}, false
		}
	} else if i := strings.IndexByte(s, ':'); i >= 0 && i == strings.LastIndexByte(s, ':') {
		s, port = s[:i], s[i:]
	}
	addr, err := netip.ParseAddr(s)
	if err != nil || addr.IsUnspecified() || !isPort(port) {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}

// isPort takes what follows an address: nothing, a port, or one obfuscated as in
// RFC 7239.
func isPort(s string) bool {
	if s == "" {
		return true
	}
	port, ok := strings.CutPrefix(s, ":")
	if _, err := strconv.ParseUint(port, 10, 16); err == nil {
		return ok
	}
	return ok && strings.HasPrefix(port, "_")
}
