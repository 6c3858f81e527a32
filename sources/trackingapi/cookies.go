package trackingapi

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// Cookies writes the ids of a visitor into the cookies of analytics.js, so that pages and
// their server know the same visitor. The zero value is good where one host serves both.
// Reading them is [analytics.RequestFacts.Identity].
//
// Cookies set by a server last longer than those of scripts in some browsers. They are
// not HttpOnly, since the library in the browser reads them, and SameSite=Lax.
type Cookies struct {
	// Domain is whose hosts share the cookies: "shop.example". analytics.js sets its own
	// for the registrable domain, so do the same where it runs. Empty: the host only.
	Domain string

	// Path is below which they are sent. Empty means "/".
	Path string

	// MaxAge is how long they last. Zero means 365 days; negative, until the browser is
	// closed.
	MaxAge time.Duration

	// Insecure sends them over HTTP as well, for development.
	Insecure bool
}

const (
	cookieAnonymousID = "ajs_anonymous_id"
	cookieUserID      = "ajs_user_id"

	cookieAge = 365 * 24 * time.Hour

	// What RequestFacts takes, in bytes.
	maxCookieID    = 256
	maxCookieValue = 1024
)

// Write sets the cookies of the ids that are not empty. Ids that could not be read again,
// such as those with more than 256 bytes or with control characters, are left out.
func (c Cookies) Write(w http.ResponseWriter, id analytics.Identity) {
	c.set(w, cookieAnonymousID, id.AnonymousID)
	c.set(w, cookieUserID, id.UserID)
}

// Clear removes both cookies, as when a user logs out of a shared device. Domain and Path
// have to be those with which they were written.
func (c Cookies) Clear(w http.ResponseWriter) {
	for _, name := range []string{cookieAnonymousID, cookieUserID} {
		cookie := c.cookie(name, "")
		cookie.MaxAge = -1
		replace(w.Header(), cookie)
	}
}

// Ensure returns the anonymousId of the visitor: that of the request's cookie, else a new
// one, which is written. It never returns a UserID, since whoever sends a cookie can forge
// it. Call it before the answer is begun; put the result into the ctx of calls with
// [analytics.NewIdentity].
func (c Cookies) Ensure(w http.ResponseWriter, r *http.Request) analytics.Identity {
	id := writtenID(w.Header())
	if id == nil {
		id = &analytics.Identity{AnonymousID: analytics.RequestFacts{}.Identity(r).AnonymousID}
	}
	if id.AnonymousID == "" {
		id.AnonymousID = newUUID()
		c.Write(w, *id)
	}
	return *id
}

// writtenID is the anonymousId that this answer sets already, nil if it sets none.
func writtenID(header http.Header) *analytics.Identity {
	for _, line := range header["Set-Cookie"] {
		cookie, err := http.ParseSetCookie(line)
		if err != nil || cookie.Name != cookieAnonymousID {
			continue
		}
		r := &http.Request{Header: http.Header{}}
		r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value})
		return &analytics.Identity{AnonymousID: analytics.RequestFacts{}.Identity(r).AnonymousID}
	}
	return nil
}

func (c Cookies) set(w http.ResponseWriter, name, id string) {
	if value := cookieValue(id); readable(id) && len(value) <= maxCookieValue {
		replace(w.Header(), c.cookie(name, value))
	}
}

func (c Cookies) cookie(name, value string) *http.Cookie {
	cookie := &http.Cookie{Name: name, Value: value, Domain: c.Domain, Path: c.Path,
		Secure: !c.Insecure, SameSite: http.SameSiteLaxMode}
	if c.Path == "" {
		cookie.Path = "/"
	}
	switch {
	case c.MaxAge == 0:
		cookie.MaxAge = int(cookieAge / time.Second)
	case c.MaxAge > 0:
		cookie.MaxAge = max(int(c.MaxAge/time.Second), 1)
	}
	return cookie
}

// replace adds a cookie to an answer in place of an earlier one of its name: an answer
// should not have two.
func replace(header http.Header, cookie *http.Cookie) {
	lines := slices.DeleteFunc(header["Set-Cookie"], func(line string) bool {
		return strings.HasPrefix(line, cookie.Name+"=")
	})
	header["Set-Cookie"] = append(lines, cookie.String())
}

// readable tells whether analytics.RequestFacts would take the id.
func readable(id string) bool {
	return len(id) <= maxCookieID && utf8.ValidString(id) && strings.TrimSpace(id) != "" &&
		!strings.ContainsFunc(id, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) })
}

// cookieValue is what analytics.js reads the id from. It takes what is JSON for JSON, so
// that an id of digits would become a number and lose some: that is written as a text of
// JSON, and so is one with space around it.
func cookieValue(id string) string {
	if json.Valid([]byte(id)) || strings.TrimSpace(id) != id {
		id = string(jsontext.AppendString(nil, id))
	}
	return url.PathEscape(id)
}

// newUUID is a random UUID, of version 4: nobody guesses it.
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
