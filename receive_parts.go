package analytics

import (
	"strings"
	"time"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// The members of a message that are looked at, in the order in which they are written.
const (
	partType = iota
	partMessageID
	partTimestamp
	partUserID
	partAnonymousID
	partEvent
	partName
	partCategory
	partGroupID
	partPreviousID
	partIntegrations
	partMetadata
	partContext
	partProperties
	partTraits
	partOriginalTimestamp
	partSentAt
	partReceivedAt
	partWriteKey
	partCount
)

var partNames = [partCount]string{"type", "messageId", "timestamp", "userId", "anonymousId", "event", "name", "category", "groupId",
	"previousId", "integrations", "_metadata", "context", "properties", "traits", "originalTimestamp", "sentAt", "receivedAt", "writeKey"}

// partOf is the inverse of partNames, -1 for what is in none of them.
func partOf(name string) int {
	switch name {
	case "type":
		return partType
	case "messageId":
		return partMessageID
	case "timestamp":
		return partTimestamp
	case "userId":
		return partUserID
	case "anonymousId":
		return partAnonymousID
	case "event":
		return partEvent
	case "name":
		return partName
	case "category":
		return partCategory
	case "groupId":
		return partGroupID
	case "previousId":
		return partPreviousID
	case "integrations":
		return partIntegrations
	case "_metadata":
		return partMetadata
	case "context":
		return partContext
	case "properties":
		return partProperties
	case "traits":
		return partTraits
	case "originalTimestamp":
		return partOriginalTimestamp
	case "sentAt":
		return partSentAt
	case "receivedAt":
		return partReceivedAt
	case "writeKey":
		return partWriteKey
	}
	return -1
}

// maxRest is how many unknown members an ordinary message has.
const maxRest = 16

// parts are the members of a message as they stand in its JSON.
type parts struct {
	of      [partCount]string
	context contextParts
	rest    [maxRest]struct{ name, value string }
	more    int // of rest
}

// contextParts are the members of its context that are looked at.
type contextParts struct{ ip, direct, library, consent string }

// scan finds the members of the object in s. It is false for what is not ordinary: no
// object, malformed, keys with escapes, too many unknown keys or one twice.
func (p *parts) scan(s string) bool {
	end := members(s, jsontext.SkipSpace(s, 0), func(name string, i int) int {
		part, end := partOf(name), 0
		if part == partContext {
			end = p.context.scan(s, i)
		} else {
			end = jsontext.SkipValue(s, i, 1)
		}
		switch {
		case end < 0:
			return -1
		case part >= 0:
			p.of[part] = s[i:end] // the last one counts, as everywhere
		case !p.add(name, s[i:end]):
			return -1
		}
		return end
	})
	return end >= 0 && jsontext.SkipSpace(s, end) == len(s)
}

// members walks over the members of the object at i. skip gets a name and the offset of
// its value, and returns the end of that. Like those, and like jsontext, it returns the
// end or -1.
func members(s string, i int, skip func(name string, i int) int) int {
	if i >= len(s) || s[i] != '{' {
		return -1
	}
	if i = jsontext.SkipSpace(s, i+1); i < len(s) && s[i] == '}' {
		return i + 1
	}
	for i < len(s) && s[i] == '"' {
		end := jsontext.SkipString(s, i)
		if end < 0 {
			return -1
		}
		name := s[i+1 : end-1]
		if i = jsontext.SkipSpace(s, end); i >= len(s) || s[i] != ':' {
			return -1
		}
		if i = skip(name, jsontext.SkipSpace(s, i+1)); i < 0 {
			return -1
		}
		switch i = jsontext.SkipSpace(s, i); {
		case i >= len(s):
			return -1
		case s[i] == '}':
			return i + 1
		case s[i] != ',':
			return -1
		}
		i = jsontext.SkipSpace(s, i+1)
	}
	return -1
}

// scan is jsontext.SkipValue for the context at i.
func (c *contextParts) scan(s string, i int) int {
	*c = contextParts{}
	return members(s, i, func(name string, i int) int {
		end := jsontext.SkipValue(s, i, 2)
		if end < 0 {
			return -1
		}
		switch name {
		case "ip":
			c.ip = s[i:end]
		case "direct":
			c.direct = s[i:end]
		case "library":
			c.library = s[i:end]
		case "consent":
			c.consent = s[i:end]
		default:
			if escaped(name) {
				return -1
			}
		}
		return end
	})
}

// escaped tells whether a name may be another one than it looks.
func escaped(name string) bool { return strings.IndexByte(name, '\\') >= 0 }

// add notes a member that nobody knows.
func (p *parts) add(name, value string) bool {
	if p.more == maxRest || escaped(name) {
		return false
	}
	for i := range p.rest[:p.more] {
		if p.rest[i].name == name {
			return false
		}
	}
	p.rest[p.more].name, p.rest[p.more].value = name, value
	p.more++
	return true
}

// times are those of a message that was received. Zero means absent.
type times struct{ corrected, original, sent, received time.Time }

// complete checks that every member is of the kind that it should be and that none is
// missing, and finds the times. What is not so is left to receiveOdd, which says what
// is wrong.
func (p *parts) complete(in *Inbound, now time.Time) (t times, ok bool) {
	for i := partUserID; i <= partPreviousID; i++ {
		if v := p.of[i]; v != "" && (v[0] != '"' || len(v) == 2) {
			return t, false
		}
	}
	for i := partIntegrations; i <= partTraits; i++ {
		if v := p.of[i]; v != "" && v[0] != '{' {
			return t, false
		}
	}
	if id := p.of[partMessageID]; id != "" && (id[0] != '"' || len(id) == 2 || len(id) > maxMessageIDRunes+2 || strings.IndexByte(id, '\\') >= 0) {
		return t, false
	}
	if !p.has(p.call(in)) {
		return t, false
	}
	t, ok = p.times(in, now)
	return t, ok
}

// call is the type of the message, 0 for what is none.
func (p *parts) call(in *Inbound) callCode {
	v := p.of[partType]
	if v == "" {
		return in.Call.code()
	}
	if v[0] != '"' {
		return 0
	}
	return Call(v[1 : len(v)-1]).code()
}

// has tells whether the message has all that its type needs.
func (p *parts) has(call callCode) bool {
	switch call {
	case 0, callObject:
		return false
	case callAlias:
		return p.of[partUserID] != "" && p.of[partPreviousID] != ""
	case callTrack:
		if p.of[partEvent] == "" {
			return false
		}
	case callGroup:
		if p.of[partGroupID] == "" {
			return false
		}
	}
	return p.of[partUserID] != "" || p.of[partAnonymousID] != ""
}

func (p *parts) times(in *Inbound, now time.Time) (t times, ok bool) {
	var timestamp time.Time
	for _, one := range [...]struct {
		part int
		to   *time.Time
	}{{partTimestamp, &timestamp}, {partOriginalTimestamp, &t.original}, {partSentAt, &t.sent}} {
		v := p.of[one.part]
		if v == "" {
			continue
		}
		if v[0] != '"' {
			return t, false
		}
		if *one.to, ok = parseTime(v[1 : len(v)-1]); !ok {
			return t, false
		}
	}
	t.settle(timestamp, in, now)
	return t, t.inRange()
}

// inRange is false if the receiver has given a time that cannot be written.
func (t *times) inRange() bool {
	for _, one := range [...]time.Time{t.corrected, t.original, t.sent, t.received} {
		if !one.IsZero() && !inRange(one) {
			return false
		}
	}
	return true
}

// settle applies what the batch says and corrects the timestamp by the skew of the
// client's clock.
func (t *times) settle(timestamp time.Time, in *Inbound, now time.Time) {
	if timestamp.IsZero() {
		timestamp = in.Timestamp
	}
	if t.original.IsZero() {
		t.original = timestamp
	}
	if t.sent.IsZero() {
		t.sent = in.SentAt
	}
	if t.received = in.ReceivedAt; t.received.IsZero() {
		t.received = now
	}
	t.received = t.received.Truncate(time.Millisecond)
	switch {
	case t.original.IsZero():
		t.corrected = t.received
	case t.sent.IsZero():
		t.corrected = t.original
	default:
		t.corrected = plus(t.received, t.original, t.sent)
		if t.corrected.IsZero() || !inRange(t.corrected) {
			t.corrected = t.received
		}
	}
}

// plus is t + (later - earlier), which may be more than a Duration holds.
func plus(t, later, earlier time.Time) time.Time {
	return time.Unix(t.Unix()+later.Unix()-earlier.Unix(), int64(t.Nanosecond()+later.Nanosecond()-earlier.Nanosecond()))
}

// begin writes the front of the event, as message.append orders it, and returns the
// messageId, which lies in buf.
func (p *parts) begin(buf *buffer, in *Inbound, now time.Time) (id string) {
	b := append(buf.b[:0], `{"type":"`...)
	b = append(b, calls[p.call(in)]...)
	b = append(b, `","messageId":"`...)
	n := len(b)
	if id := p.of[partMessageID]; id != "" {
		b = append(b, id[1:len(id)-1]...)
	} else {
		b = appendUUID(b, now)
	}
	buf.b = b
	return text(b[n:])
}

// append writes what follows the messageId.
func (p *parts) append(buf *buffer, in *Inbound, t times) recordFlags {
	flags := recordFlags(p.call(in))
	b := appendTime(append(buf.b, `","timestamp":`...), t.corrected)
	for i := partUserID; i <= partMetadata; i++ {
		b = appendPart(b, i, p.of[i])
	}
	if p.of[partIntegrations] != "" {
		flags |= flagIntegrations
	}
	if p.of[partMetadata] != "" {
		flags |= flagMetadata
	}
	if p.context.consent != "" {
		flags |= flagConsent
	}
	b = p.appendContext(b, in)
	b = appendPart(b, partProperties, p.of[partProperties])
	b = appendPart(b, partTraits, p.of[partTraits])
	for _, one := range [...]struct {
		part int
		t    time.Time
	}{{partOriginalTimestamp, t.original}, {partSentAt, t.sent}, {partReceivedAt, t.received}} {
		if !one.t.IsZero() {
			b = appendTime(appendPartName(b, one.part), one.t)
		}
	}
	for _, one := range p.rest[:p.more] {
		b = append(append(append(append(b, ',', '"'), one.name...), '"', ':'), one.value...)
	}
	buf.b = append(b, '}')
	return flags
}

func appendPart(b []byte, part int, value string) []byte {
	if value == "" {
		return b
	}
	return append(appendPartName(b, part), value...)
}

func appendPartName(b []byte, part int) []byte {
	return append(append(append(b, ',', '"'), partNames[part]...), '"', ':')
}

// appendContext writes the context with the address of the peer, if that belongs there.
func (p *parts) appendContext(b []byte, in *Inbound) []byte {
	c := p.of[partContext]
	if p.context.ip != "" || in.IP == "" || !records(p.context.direct, func() string { return stringMember(p.context.library, "name") }) {
		return appendPart(b, partContext, c)
	}
	b = append(appendPartName(b, partContext), `{"ip":`...)
	b = jsontext.AppendString(b, in.IP)
	if inner := strings.TrimLeft(strings.TrimPrefix(c, "{"), " \t\r\n"); inner != "" && inner != "}" {
		return append(append(b, ','), inner...)
	}
	return append(b, '}')
}

// stringMember is a text in the object s, empty if there is none.
func stringMember(s, key string) string {
	if s == "" {
		return ""
	}
	v := jsontext.Member(s, key)
	if v == "" || v[0] != '"' {
		return ""
	}
	return jsontext.Unquote(v)
}

// records tells whether the address of the peer is that of the user: if the message says
// so, or leaves it open and no library for servers has sent it.
func records(direct string, library func() string) bool {
	switch direct {
	case "true":
		return true
	case "false":
		return false
	}
	name := strings.TrimPrefix(library(), "@segment/")
	for _, server := range serverLibraries {
		if len(name) == len(server) && strings.EqualFold(name, server) {
			return false
		}
	}
	return true
}

// serverLibraries run on servers, whose address says nothing about the user.
var serverLibraries = [...]string{libraryName, "analytics-node", "analytics-go", "analytics-python", "analytics-ruby", "analytics-java",
	"analytics-php", "analytics.NET", "analytics-csharp", "analytics-rust", "analytics-clojure", "analytics-elixir"}
