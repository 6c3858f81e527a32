package analytics

import (
	"errors"
	"reflect"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// A Message is something to enqueue: [Identify], [Track], [Page], [Screen],
// [Group], [Alias], [Event] or [Object], as a value or a pointer.
//
// The fields that all six calls share:
//
//   - MessageID, at most 100 characters, is the key by which everything
//     downstream dedupes. Empty: the client makes a UUIDv7.
//   - UserID is the permanent id of the user, AnonymousID stands in for it; one
//     of the two is needed, both link the two.
//   - Timestamp is when it happened. Zero: now. Years 1 to 9999.
//   - Context adds facts about the surroundings; see [Context] for what it is
//     merged with. Nothing but context.library is added that nobody gave.
//   - Integrations chooses destinations and gives them options.
//
// Properties and Traits may be a map ([Properties], [Traits], map[string]any), any
// struct with json tags, or a type with AppendJSON([]byte) ([]byte, error), which
// is the fastest. nil, also a typed nil, is absent. A message is read during the
// call only; afterwards the caller may change everything in it.
type Message interface {
	fields() message
}

// Identify ties a user to an id and traits.
type Identify struct {
	MessageID           string
	UserID, AnonymousID string
	Traits              any
	Timestamp           time.Time
	Context             *Context
	Integrations        Integrations
}

// Track records one action. Event is its name, a noun and a verb in the past
// tense: "Order Completed".
type Track struct {
	MessageID           string
	UserID, AnonymousID string
	Event               string // required
	Properties          any
	Timestamp           time.Time
	Context             *Context
	Integrations        Integrations
}

// Page records the view of a web page.
type Page struct {
	MessageID           string
	UserID, AnonymousID string
	Name, Category      string
	Properties          any
	Timestamp           time.Time
	Context             *Context
	Integrations        Integrations
}

// Screen records the view of a screen of an app.
type Screen struct {
	MessageID           string
	UserID, AnonymousID string
	Name, Category      string
	Properties          any
	Timestamp           time.Time
	Context             *Context
	Integrations        Integrations
}

// Group ties a user to an account, company or team. Traits are the group's.
type Group struct {
	MessageID           string
	UserID, AnonymousID string
	GroupID             string // required
	Traits              any
	Timestamp           time.Time
	Context             *Context
	Integrations        Integrations
}

// Alias tells destinations that PreviousID and UserID are one user.
type Alias struct {
	MessageID    string
	UserID       string // required: the id that stays
	PreviousID   string // required: the id that goes
	AnonymousID  string
	Timestamp    time.Time
	Context      *Context
	Integrations Integrations
}

// Object is an entity of the objects API: a row that warehouses upsert by
// collection and id. No user is needed.
type Object struct {
	MessageID string

	// Collection becomes the table: lower-case letters and underscores, none at
	// either end, at most 100 characters. Required.
	Collection string

	// ID is the object's id, at most 100 characters. Required.
	ID string

	// Properties are required and flat: strings, numbers, booleans, dates and
	// null, no lists or objects.
	Properties   any
	Timestamp    time.Time
	Integrations Integrations
}

// Event is the canonical message with every field: what sources enqueue, plugins
// change and destinations translate.
//
// Decoded from JSON, numbers are json.Number, so that 64-bit integers survive,
// and whatever a field cannot express (an unknown key, a null, an empty string, a
// number in place of an id) is in Extra under its key, so that an event encodes to
// what it was decoded from.
type Event struct {
	Type                Call
	MessageID           string
	UserID, AnonymousID string
	Event               string // track
	Name, Category      string // page, screen
	GroupID             string // group
	PreviousID          string // alias
	Collection          string // object
	ObjectID            string // object; its key is "id"
	Properties          map[string]any
	Traits              map[string]any
	Context             *Context
	Integrations        Integrations
	Channel             string // "server", "browser" or "mobile"
	Timestamp           time.Time
	OriginalTimestamp   time.Time
	SentAt              time.Time
	ReceivedAt          time.Time
	Metadata            map[string]any // "_metadata" of device-mode clients
	Extra               map[string]any
}

// Call is the type of a message, as in its JSON.
type Call string

// The six calls of the spec, and the objects API.
const (
	CallIdentify Call = "identify"
	CallTrack    Call = "track"
	CallPage     Call = "page"
	CallScreen   Call = "screen"
	CallGroup    Call = "group"
	CallAlias    Call = "alias"
	CallObject   Call = "object"
)

// Calls is a set of calls.
type Calls uint8

// CallsOf returns the set of the calls given. Unknown ones are left out.
func CallsOf(calls ...Call) Calls {
	var set Calls
	for _, c := range calls {
		set |= c.bit()
	}
	return set
}

// SixCalls are identify, track, page, screen, group and alias.
const SixCalls Calls = 1<<6 - 1

// Has tells whether c is in the set.
func (s Calls) Has(c Call) bool { return s&c.bit() != 0 }

// callCode numbers the calls from 1; 0 is unknown. It is stored with each record
// of the log.
type callCode uint8

const (
	callIdentify callCode = iota + 1
	callTrack
	callPage
	callScreen
	callGroup
	callAlias
	callObject
)

var calls = [...]Call{"", CallIdentify, CallTrack, CallPage, CallScreen, CallGroup, CallAlias, CallObject}

func (c Call) code() callCode {
	for i := 1; i < len(calls); i++ {
		if calls[i] == c {
			return callCode(i)
		}
	}
	return 0
}

func (c Call) bit() Calls { return c.code().bit() }

func (n callCode) bit() Calls {
	if n == 0 {
		return 0
	}
	return 1 << (n - 1)
}

// Limits of a message. Where sources differ on what 32 KB are, the smaller number
// holds for what we send and the larger for what is passed on.
const (
	maxMessageBytes   = 32_000    // the calls
	maxEventBytes     = 32 * 1024 // Event, which may come from another client
	maxMessageIDRunes = 100
)

// message is what all kinds have in common. It lives on the stack of the caller.
type message struct {
	call                                             callCode
	limit                                            int
	id, userID, anonymousID                          string
	event, name, category, groupID, previousID       string
	collection, objectID, channel                    string
	properties, traits                               any
	timestamp, originalTimestamp, sentAt, receivedAt time.Time
	context                                          *Context
	integrations                                     Integrations
	metadata, extra                                  map[string]any
}

func (m Identify) fields() message {
	return message{call: callIdentify, limit: maxMessageBytes, id: m.MessageID, userID: m.UserID, anonymousID: m.AnonymousID,
		traits: m.Traits, timestamp: m.Timestamp, context: m.Context, integrations: m.Integrations}
}

func (m Track) fields() message {
	return message{call: callTrack, limit: maxMessageBytes, id: m.MessageID, userID: m.UserID, anonymousID: m.AnonymousID,
		event: m.Event, properties: m.Properties, timestamp: m.Timestamp, context: m.Context, integrations: m.Integrations}
}

func (m Page) fields() message {
	return message{call: callPage, limit: maxMessageBytes, id: m.MessageID, userID: m.UserID, anonymousID: m.AnonymousID,
		name: m.Name, category: m.Category, properties: m.Properties, timestamp: m.Timestamp, context: m.Context, integrations: m.Integrations}
}

func (m Screen) fields() message {
	f := Page(m).fields()
	f.call = callScreen
	return f
}

func (m Group) fields() message {
	return message{call: callGroup, limit: maxMessageBytes, id: m.MessageID, userID: m.UserID, anonymousID: m.AnonymousID,
		groupID: m.GroupID, traits: m.Traits, timestamp: m.Timestamp, context: m.Context, integrations: m.Integrations}
}

func (m Alias) fields() message {
	return message{call: callAlias, limit: maxMessageBytes, id: m.MessageID, userID: m.UserID, anonymousID: m.AnonymousID,
		previousID: m.PreviousID, timestamp: m.Timestamp, context: m.Context, integrations: m.Integrations}
}

func (m Object) fields() message {
	return message{call: callObject, limit: maxMessageBytes, id: m.MessageID, collection: m.Collection, objectID: m.ID,
		properties: m.Properties, timestamp: m.Timestamp, integrations: m.Integrations}
}

func (e Event) fields() message {
	return message{call: e.Type.code(), limit: maxEventBytes, id: e.MessageID, userID: e.UserID, anonymousID: e.AnonymousID,
		event: e.Event, name: e.Name, category: e.Category, groupID: e.GroupID, previousID: e.PreviousID,
		collection: e.Collection, objectID: e.ObjectID, channel: e.Channel, properties: e.Properties, traits: e.Traits,
		timestamp: e.Timestamp, originalTimestamp: e.OriginalTimestamp, sentAt: e.SentAt, receivedAt: e.ReceivedAt,
		context: e.Context, integrations: e.Integrations, metadata: e.Metadata, extra: e.Extra}
}

// fieldsOf is m.fields() for any Message, also for a nil one.
func fieldsOf(m Message) (message, error) {
	if m == nil {
		return message{}, invalid("message", "is nil")
	}
	if v := reflect.ValueOf(m); v.Kind() == reflect.Pointer && v.IsNil() {
		return message{}, invalid("message", "is a nil %T", m)
	}
	return m.fields(), nil
}

// Clone returns a copy that shares no map, list or pointer with e, but for structs
// that somebody put into its maps.
func (e *Event) Clone() *Event { return clone(e) }

// MarshalJSON encodes the event as it goes over the wire.
func (e Event) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil) }

// AppendJSON appends the event's JSON to b. What cannot be encoded is an
// [*InvalidError].
func (e Event) AppendJSON(b []byte) ([]byte, error) {
	enc := &encoder{b: b[len(b):]}
	enc.members(&e)
	if enc.err != nil {
		return b, enc.err
	}
	return append(b, enc.b...), nil
}

// UnmarshalJSON decodes an event: numbers as json.Number, unknown keys into Extra.
func (e *Event) UnmarshalJSON(raw []byte) error {
	m, err := decodeObject(raw)
	if err != nil {
		return err
	}
	*e = Event{}
	decodeFields(e, m)
	return nil
}

// faults collects what is wrong with a message.
type faults []error

func (f *faults) add(field, format string, args ...any) {
	*f = append(*f, invalid(field, format, args...))
}

func (f faults) err() error {
	if len(f) == 1 {
		return f[0]
	}
	return errors.Join(f...) // nil of none
}

// validate names every fault of the fields; those of values come up while they are
// encoded.
func (m *message) validate() (f faults) {
	if len(m.id) > maxMessageIDRunes && utf8.RuneCountInString(m.id) > maxMessageIDRunes {
		f.add("messageId", "is longer than %d characters", maxMessageIDRunes)
	}
	switch m.call {
	case callTrack:
		if m.event == "" {
			f.add("event", "is required")
		}
	case callGroup:
		if m.groupID == "" {
			f.add("groupId", "is required")
		}
	case callAlias:
		if m.userID == "" {
			f.add("userId", "is required")
		}
		if m.previousID == "" {
			f.add("previousId", "is required")
		}
	case callObject:
		m.validateObject(&f)
	case 0:
		f.add("type", "is none of identify, track, page, screen, group, alias and object")
	}
	if m.userID == "" && m.anonymousID == "" && m.call != callAlias && m.call != callObject {
		f.add("userId", "is required, or anonymousId")
	}
	for _, t := range [...]struct {
		field string
		t     time.Time
	}{{"timestamp", m.timestamp}, {"originalTimestamp", m.originalTimestamp}, {"sentAt", m.sentAt}, {"receivedAt", m.receivedAt}} {
		if !t.t.IsZero() && !inRange(t.t) {
			f.add(t.field, "is outside of the years 1 to 9999")
		}
	}
	if len(m.extra) > 0 {
		m.validateExtra(&f)
	}
	return f
}

const maxObjectID = 100

func (m *message) validateObject(f *faults) {
	c := m.collection
	switch {
	case c == "":
		f.add("collection", "is required")
	case len(c) > maxObjectID:
		f.add("collection", "is longer than %d characters", maxObjectID)
	case c[0] == '_' || c[len(c)-1] == '_' || strings.ContainsFunc(c, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') }):
		f.add("collection", "may hold lower-case letters and inner underscores only")
	}
	if m.objectID == "" {
		f.add("id", "is required")
	} else if utf8.RuneCountInString(m.objectID) > maxObjectID {
		f.add("id", "is longer than %d characters", maxObjectID)
	}
}

// validateExtra looks at the known keys that landed in Extra because their value
// is of the wrong kind. null is let through: stored messages have it.
func (m *message) validateExtra(f *faults) {
	for _, key := range [...]string{"type", "messageId", "userId", "anonymousId", "event", "groupId", "previousId"} {
		switch v := m.extra[key].(type) {
		case nil:
		case string:
			switch {
			case v != "":
				f.add(key, "belongs into its field, not into Extra")
			case key != "messageId" && key != "event":
				f.add(key, "is empty")
			}
		default:
			f.add(key, "is not a string")
		}
	}
	for _, key := range [...]string{"timestamp", "originalTimestamp", "sentAt", "receivedAt"} {
		if m.extra[key] != nil {
			f.add(key, "is not an ISO 8601 date of the years 1 to 9999")
		}
	}
	for _, key := range [...]string{"properties", "traits", "context", "integrations"} {
		if m.extra[key] != nil {
			f.add(key, "is not an object")
		}
	}
	if m.call == callPage || m.call == callScreen {
		for _, key := range [...]string{"name", "category"} {
			if m.extra[key] != nil {
				f.add(key, "is empty or not a string")
			}
		}
	}
}

// faultsOfValues names what is wrong with the values, each for itself.
func (m *message) faultsOfValues(env *surroundings, ctx *Context) (f faults) {
	note := func(field string, err error) {
		if err != nil && field != "" {
			err = at(field, err)
		}
		if err != nil {
			f = append(f, err)
		}
	}
	_, err := appendMap(nil, m.integrations, 1)
	note("integrations", err)
	_, err = appendMap(nil, m.metadata, 1)
	note("_metadata", err)
	_, _, err = env.append(nil, m.context, ctx)
	note("context", err)
	_, err = appendData(nil, "", "properties", m.properties)
	note("", err)
	_, err = appendData(nil, "", "traits", m.traits)
	note("", err)
	for k, v := range m.extra {
		_, err = appendValue(nil, v, 1)
		note(k, err)
	}
	if m.call == callObject && err == nil {
		event, _ := appendData([]byte{'{'}, `"properties":`, "properties", m.properties)
		note("", flatProperties(append(event, '}')))
	}
	return f
}

// recordFlags are stored with each record: the call in the low bits, and what
// routing has to look for in the JSON.
type recordFlags uint8

const (
	flagCall         recordFlags = 7
	flagIntegrations recordFlags = 1 << 3
	flagConsent      recordFlags = 1 << 4
	flagMetadata     recordFlags = 1 << 5
)

func (f recordFlags) call() callCode { return callCode(f & flagCall) }

// stamp gives the message what every message has: an id and a time. The ids that
// ctx carries fill those that are empty.
func (m *message) stamp(now time.Time, ids Identity) {
	if m.timestamp.IsZero() {
		m.timestamp = now.Truncate(time.Millisecond)
	}
	if m.call == callAlias || m.call == callObject {
		return
	}
	if m.userID == "" {
		m.userID = ids.UserID
	}
	if m.anonymousID == "" {
		m.anonymousID = ids.AnonymousID
	}
}

// append encodes the message. What routing and ordering need comes first, so that
// it can be found without reading the rest: scanHeader stops at the first key that
// is none of those.
func (m *message) append(b []byte, now time.Time, env *surroundings, ctx *Context) ([]byte, recordFlags, error) {
	flags := recordFlags(m.call)
	b = append(b, `{"type":"`...)
	b = append(b, calls[m.call]...)
	b = append(b, `","messageId":"`...)
	if m.id == "" {
		b = append(appendUUID(b, now), '"')
	} else {
		b = jsontext.AppendString(b[:len(b)-1], m.id)
	}
	b = append(b, `,"timestamp":`...)
	b = appendTime(b, m.timestamp)
	b = appendField(b, `,"userId":`, m.userID)
	b = appendField(b, `,"anonymousId":`, m.anonymousID)
	b = appendField(b, `,"event":`, m.event)
	b = appendField(b, `,"name":`, m.name)
	b = appendField(b, `,"category":`, m.category)
	b = appendField(b, `,"groupId":`, m.groupID)
	b = appendField(b, `,"previousId":`, m.previousID)
	b = appendField(b, `,"collection":`, m.collection)
	b = appendField(b, `,"id":`, m.objectID)
	var err error
	if m.integrations != nil {
		flags |= flagIntegrations
		b = append(b, `,"integrations":`...)
		if b, err = appendMap(b, m.integrations, 1); err != nil {
			return b, 0, at("integrations", err)
		}
	}
	if m.metadata != nil {
		flags |= flagMetadata
		b = append(b, `,"_metadata":`...)
		if b, err = appendMap(b, m.metadata, 1); err != nil {
			return b, 0, at("_metadata", err)
		}
	}
	if m.call != callObject && !env.empty(m.context, ctx) {
		var consent bool
		b = append(b, `,"context":`...)
		if b, consent, err = env.append(b, m.context, ctx); err != nil {
			return b, 0, at("context", err)
		}
		if consent {
			flags |= flagConsent
		}
	}
	if b, err = appendData(b, `,"properties":`, "properties", m.properties); err != nil {
		return b, 0, err
	}
	if b, err = appendData(b, `,"traits":`, "traits", m.traits); err != nil {
		return b, 0, err
	}
	if m.limit == maxEventBytes {
		if _, odd := m.extra["_metadata"]; odd {
			flags |= flagMetadata
		}
		if b, err = m.appendRest(b); err != nil {
			return b, 0, err
		}
	}
	return append(b, '}'), flags, nil
}

func appendField(b []byte, key, value string) []byte {
	if value == "" {
		return b
	}
	return jsontext.AppendString(append(b, key...), value)
}

// appendData appends properties or traits, which have to be an object. nil, also a
// typed nil, is absent.
func appendData(b []byte, key, field string, v any) ([]byte, error) {
	if v == nil {
		return b, nil
	}
	n := len(b)
	b = append(b, key...)
	start := len(b)
	b, err := appendValue(b, v, 1)
	if err != nil {
		return b, at(field, err)
	}
	switch value := text(b[start:]); {
	case value[0] == '{':
		return b, nil
	case value == "null":
		return b[:n], nil
	}
	return b, invalid(field, "a %T is not an object", v)
}

// appendRest appends what only an Event has.
func (m *message) appendRest(b []byte) ([]byte, error) {
	b = appendField(b, `,"channel":`, m.channel)
	for _, t := range [...]struct {
		key string
		t   time.Time
	}{{`,"originalTimestamp":`, m.originalTimestamp}, {`,"sentAt":`, m.sentAt}, {`,"receivedAt":`, m.receivedAt}} {
		if !t.t.IsZero() {
			b = appendTime(append(b, t.key...), t.t)
		}
	}
	for k, v := range m.extra {
		if m.has(k) {
			continue
		}
		b = append(jsontext.AppendString(append(b, ','), k), ':')
		var err error
		if b, err = appendValue(b, v, 1); err != nil {
			return b, at(k, err)
		}
	}
	return b, nil
}

// has tells whether a field of the message has written the key already.
func (m *message) has(key string) bool {
	switch key {
	case "type", "messageId", "timestamp":
		return true
	case "context":
		return m.call != callObject
	case "userId":
		return m.userID != ""
	case "anonymousId":
		return m.anonymousID != ""
	case "event":
		return m.event != ""
	case "name":
		return m.name != ""
	case "category":
		return m.category != ""
	case "groupId":
		return m.groupID != ""
	case "previousId":
		return m.previousID != ""
	case "collection":
		return m.collection != ""
	case "id":
		return m.objectID != ""
	case "integrations":
		return m.integrations != nil
	case "_metadata":
		return m.metadata != nil
	case "properties":
		return !isNil(m.properties)
	case "traits":
		return !isNil(m.traits)
	case "channel":
		return m.channel != ""
	case "originalTimestamp":
		return !m.originalTimestamp.IsZero()
	case "sentAt":
		return !m.sentAt.IsZero()
	case "receivedAt":
		return !m.receivedAt.IsZero()
	}
	return false
}

func isNil(v any) bool {
	m, ok := v.(map[string]any)
	return v == nil || ok && m == nil
}
