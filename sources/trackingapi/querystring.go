package trackingapi

import (
	"net/url"
	"regexp"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
)

// The parameters of the Querystring API.
const (
	paramAnonymousID = "ajs_aid"
	paramUserID      = "ajs_uid"
	paramTrait       = "ajs_trait_" // and a name
	paramEvent       = "ajs_event"
	paramProperty    = "ajs_prop_" // and a name
)

// Bounds of what is taken from a query.
const (
	maxLinkValue  = 1024 // characters of a value
	maxLinkValues = 50   // traits, and properties
)

// Querystring says which parameters of the Querystring API are believed. Anyone can make
// up a link, so each has to match its pattern from the first character to the last; one
// without a pattern is ignored. A link that came from somewhere you trust is read by
// [ParseQuerystring].
//
// Do not copy a Querystring that is in use. It may be used by several goroutines.
type Querystring struct {
	AnonymousID *regexp.Regexp // of ajs_aid
	UserID      *regexp.Regexp // of ajs_uid; the traits come with it
	Event       *regexp.Regexp // of ajs_event; the properties come with it

	once                        sync.Once
	anonymousID, userID, events *regexp.Regexp // the same, which look for the longest match
}

// Calls returns the calls that a URL asks for, in the order in which analytics.js makes
// them: identify, track. Both have the anonymousId of the link, and the track call has the
// userId. An anonymousId alone makes no call.
func (q *Querystring) Calls(u *url.URL) []analytics.Message {
	l, ok := ParseQuerystring(u)
	if !ok {
		return nil
	}
	q.once.Do(func() {
		q.anonymousID, q.userID, q.events = longest(q.AnonymousID), longest(q.UserID), longest(q.Event)
	})
	if !matches(q.anonymousID, l.AnonymousID) {
		l.AnonymousID = ""
	}
	if !matches(q.userID, l.UserID) {
		l.UserID, l.Traits = "", nil
	}
	if !matches(q.events, l.Event) {
		l.Event, l.Properties = "", nil
	}
	return l.Calls()
}

// longest is a copy of re that prefers longer matches: one of the whole text is the
// longest that there is.
func longest(re *regexp.Regexp) *regexp.Regexp {
	if re == nil {
		return nil
	}
	re = regexp.MustCompile(re.String())
	re.Longest()
	return re
}

func matches(re *regexp.Regexp, s string) bool {
	if re == nil {
		return false
	}
	at := re.FindStringIndex(s)
	return at != nil && at[0] == 0 && at[1] == len(s)
}

// Calls returns the calls that the link asks for, as [Querystring.Calls] does, without
// asking whether it is to be believed.
func (l Link) Calls() []analytics.Message {
	var calls []analytics.Message
	if l.UserID != "" {
		calls = append(calls, analytics.Identify{UserID: l.UserID, AnonymousID: l.AnonymousID, Traits: values(l.Traits)})
	}
	if l.Event != "" {
		calls = append(calls, analytics.Track{UserID: l.UserID, AnonymousID: l.AnonymousID, Event: l.Event, Properties: values(l.Properties)})
	}
	return calls
}

// values are nil where there are none, which is absent in a message.
func values(m map[string]string) any {
	if len(m) == 0 {
		return nil
	}
	return m
}

// ParseQuerystring reads the parameters of the Querystring API as analytics.js does, with
// bounds of its own: of equal names the first counts, at most 50 traits and 50 properties
// are taken, and none that has more than 1,024 characters. Nothing is checked: a user id
// in a link is what whoever made the link says. ok is false if there is neither an
// anonymousId nor a call.
func ParseQuerystring(u *url.URL) (l Link, ok bool) {
	seen := map[string]bool{}
	traits, properties := map[string]string{}, map[string]string{}
	for pair := range strings.SplitSeq(u.RawQuery, "&") {
		name, raw, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "ajs_") || len(name) > maxLinkValue {
			continue
		}
		if name == paramAnonymousID || name == paramUserID || name == paramEvent {
			if !seen[name] {
				seen[name] = true
				l.trigger(name, raw)
			}
			continue
		}
		if key, is := strings.CutPrefix(name, paramTrait); is {
			take(traits, key, raw)
		} else if key, is := strings.CutPrefix(name, paramProperty); is {
			take(properties, key, raw)
		}
	}
	if l.UserID != "" && len(traits) > 0 {
		l.Traits = traits
	}
	if l.Event != "" && len(properties) > 0 {
		l.Properties = properties
	}
	return l, l.AnonymousID != "" || l.UserID != "" || l.Event != ""
}

func (l *Link) trigger(name, raw string) {
	value, _ := decodeValue(raw) // too long is empty
	switch name {
	case paramAnonymousID:
		l.AnonymousID = value
	case paramUserID:
		l.UserID = value
	case paramEvent:
		l.Event = value
	}
}

// take adds a trait or a property unless it is there, or there is no room.
func take(to map[string]string, key, raw string) {
	_, found := to[key]
	if key == "" || found || len(to) == maxLinkValues || !utf8.ValidString(key) {
		return
	}
	if value, ok := decodeValue(raw); ok {
		to[key] = value
	}
}

// decodeValue decodes a value as decodeURIComponent does, which leaves it as it is where
// it cannot be decoded as a whole. ok is false if it is too long.
func decodeValue(raw string) (value string, ok bool) {
	if len(raw) > 3*utf8.UTFMax*maxLinkValue {
		return "", false
	}
	value, err := url.QueryUnescape(raw)
	if err != nil || !utf8.ValidString(value) {
		value = strings.ToValidUTF8(raw, "\ufffd")
	}
	if utf8.RuneCountInString(value) > maxLinkValue {
		return "", false
	}
	return value, true
}
