package destinationtest

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// marker is in every value of the kit's events that is content and may be any text,
// so that content can be found in errors and logs, whatever the case. The anonymous
// ids have anonymousMark.
const (
	marker        = "zq7kit"
	anonymousMark = "7c9e6679-7425-40de"
)

var allCalls = []analytics.Call{
	analytics.CallIdentify, analytics.CallTrack, analytics.CallPage, analytics.CallScreen,
	analytics.CallGroup, analytics.CallAlias, analytics.CallObject,
}

// sampleUsers is how many users the samples have.
const sampleUsers = 3

// samples are ordinary events, every call of several users, and the author's own, as
// they come out of the log.
func (t *trial) samples() []*analytics.Event {
	var list []*analytics.Event
	for n := range sampleUsers {
		for _, call := range allCalls {
			list = append(list, fromLog(sample(call, n, t.now)))
		}
		list = append(list, fromLog(song(n, t.now)))
	}
	for _, e := range t.setup.Events {
		list = append(list, fromLog(e.Clone()))
	}
	return list
}

// supported are those of the events whose call the destination takes.
func (d *instance) supported(events []*analytics.Event) []*analytics.Event {
	var list []*analytics.Event
	for _, e := range events {
		if d.calls().Has(e.Type) {
			list = append(list, e)
		}
	}
	return list
}

// fromLog returns the event as it comes back from its JSON.
func fromLog(e *analytics.Event) *analytics.Event {
	raw, err := e.MarshalJSON()
	if err != nil {
		return e
	}
	back := &analytics.Event{}
	if back.UnmarshalJSON(raw) != nil {
		return e
	}
	return back
}

// sample is a usual event of its kind.
func sample(call analytics.Call, n int, now time.Time) *analytics.Event {
	e := &analytics.Event{
		Type: call, MessageID: messageID(n, string(call)), UserID: userID(n), AnonymousID: anonymousID(n),
		Timestamp: now.Add(-time.Minute).UTC().Truncate(time.Millisecond),
		Context:   sampleContext(n),
	}
	switch call {
	case analytics.CallIdentify:
		e.Traits = person(n)
	case analytics.CallTrack:
		e.Event, e.Properties = "Order Completed", order(n)
	case analytics.CallPage:
		e.Name, e.Category = "Home", "Start"
		e.Properties = map[string]any{
			"title": marker + " home", "url": "https://shop.example/" + marker, "path": "/" + marker,
			"referrer": "https://search.example/" + marker, "email": email(n),
		}
	case analytics.CallScreen:
		e.Name = "Cart"
		e.Properties = map[string]any{"items": 3, "note": marker, "email": email(n)}
	case analytics.CallGroup:
		e.GroupID = fmt.Sprintf("%s-org-%d", marker, n)
		e.Traits = map[string]any{
			"name": marker + " Inc", "industry": marker, "employees": 40, "plan": marker,
			"website": "https://" + marker + ".example", "createdAt": "2024-01-01T00:00:00Z",
		}
	case analytics.CallAlias:
		e.PreviousID = fmt.Sprintf("%s-before-%d", marker, n)
	case analytics.CallObject:
		e.UserID, e.AnonymousID, e.Context = "", "", nil
		e.Collection, e.ObjectID = "products", fmt.Sprintf("%s-product-%d", marker, n)
		e.Properties = map[string]any{"name": marker, "price": 9.5, "in_stock": true}
	}
	return e
}

// song is a track call that is not of commerce.
func song(n int, now time.Time) *analytics.Event {
	e := sample(analytics.CallTrack, n, now)
	e.MessageID, e.Event = messageID(n, "song"), "Song Played"
	e.Properties = map[string]any{
		"title": marker + " train", "seconds": 642, "tags": []any{marker, "vinyl"}, "shared": false, "email": email(n),
	}
	return e
}

// messageID has the form of a UUID, the same for the same n and kind.
func messageID(n int, kind string) string {
	var h uint32 = 2166136261 // FNV-1a
	for _, c := range []byte(kind) {
		h = (h ^ uint32(c)) * 16777619
	}
	return fmt.Sprintf("%08x-7f5e-7b0e-9a44-%012x", h, n+1)
}

func userID(n int) string      { return fmt.Sprintf("%s-user-%d", marker, n) }
func anonymousID(n int) string { return fmt.Sprintf("%s-944b-%012x", anonymousMark, n+1) }
func email(n int) string       { return fmt.Sprintf("%s.%d@example.com", marker, n) }

func person(n int) map[string]any {
	return map[string]any{
		"email": email(n), "firstName": "Ann" + marker, "lastName": "Lee" + marker, "name": "Ann Lee " + marker,
		"phone": fmt.Sprintf("+1415555%04d", n%10000), "plan": marker, "age": 31, "createdAt": "2025-12-01T00:00:00Z",
		"company": map[string]any{"name": marker + " Inc"},
		"address": map[string]any{"city": marker, "state": "MA", "postalCode": "02108", "country": "US"},
	}
}

func order(n int) map[string]any {
	return map[string]any{
		"order_id": fmt.Sprintf("%s-order-%d", marker, n), "revenue": 25, "total": 29.5, "tax": 2, "shipping": 2.5,
		"currency": "USD", "coupon": marker, "email": email(n),
		"products": []any{
			map[string]any{"product_id": marker + "1", "sku": marker, "name": marker, "price": 20, "quantity": 1, "category": marker},
			map[string]any{"product_id": marker + "2", "sku": marker, "name": marker, "price": 2.5, "quantity": 2},
		},
	}
}

func sampleContext(n int) *analytics.Context {
	return &analytics.Context{
		IP: "192.0.2.10", Locale: "en-US", Timezone: "Europe/Berlin", UserAgent: "Mozilla/5.0 (X11; Linux x86_64) " + marker,
		Library:  analytics.Library{Name: "destinationtest", Version: "1.0.0"},
		Page:     analytics.PageInfo{URL: "https://shop.example/" + marker, Path: "/" + marker, Title: marker, Referrer: "https://search.example/"},
		Campaign: analytics.Campaign{Name: marker, Source: "mail"},
		OS:       analytics.OS{Name: "linux", Version: "6"},
		Traits:   person(n),
		GroupID:  marker + "-org",
	}
}

// otherMessage is e as another message of the same user.
func otherMessage(e *analytics.Event, n int) *analytics.Event {
	c := e.Clone()
	c.MessageID = messageID(n, "copy of "+e.MessageID)
	return c
}

// otherUser is e as a message of another user.
func otherUser(e *analytics.Event, n int) *analytics.Event {
	c := otherMessage(e, n)
	if c.UserID != "" {
		c.UserID = userID(1000 + n)
	}
	if c.AnonymousID != "" {
		c.AnonymousID = anonymousID(1000 + n)
	}
	if c.GroupID != "" {
		c.GroupID = fmt.Sprintf("%s-org-%d", marker, 1000+n)
	}
	if c.ObjectID != "" {
		c.ObjectID = fmt.Sprintf("%s-product-%d", marker, 1000+n)
	}
	for _, m := range []map[string]any{c.Properties, c.Traits, contextTraits(c)} {
		if _, ok := m["email"].(string); ok {
			m["email"] = email(1000 + n)
		}
		if _, ok := m["phone"].(string); ok {
			m["phone"] = fmt.Sprintf("+1415555%04d", n%10000)
		}
	}
	return c
}

func contextTraits(e *analytics.Event) map[string]any {
	if e.Context == nil {
		return nil
	}
	return e.Context.Traits
}

// nasty is an event that programs trip over. make returns it afresh each time, for
// Type is set and memory is poisoned.
type nasty struct {
	name string
	make func(t *trial) *analytics.Event
}

// nastyEvents are the nasty events of every call that the destination takes.
func (d *instance) nastyEvents() []nasty {
	var list []nasty
	for _, call := range allCalls {
		if !d.calls().Has(call) {
			continue
		}
		for _, x := range nasties {
			list = append(list, nasty{
				name: string(call) + " with " + x.name,
				make: func(t *trial) *analytics.Event {
					e := x.make(t)
					e.Type = call
					return e
				},
			})
		}
		base := fromLog(sample(call, 0, d.t.now))
		for _, x := range spoilers {
			list = append(list, nasty{
				name: string(call) + " with " + x.name,
				make: func(*trial) *analytics.Event {
					e := base.Clone()
					x.spoil(e)
					return e
				},
			})
		}
	}
	return list
}

var nasties = []nasty{
	{"no fields", func(*trial) *analytics.Event { return &analytics.Event{} }},
	{"a messageId only", func(*trial) *analytics.Event { return &analytics.Event{MessageID: messageID(1, "bare")} }},
	{"empty maps", func(*trial) *analytics.Event {
		return &analytics.Event{
			MessageID: messageID(1, "empty"), UserID: userID(1), Properties: map[string]any{}, Traits: map[string]any{},
			Context: &analytics.Context{}, Integrations: analytics.Integrations{}, Metadata: map[string]any{}, Extra: map[string]any{},
		}
	}},
	{"keys of the spec that are of the wrong type", func(t *trial) *analytics.Event {
		e := &analytics.Event{}
		_ = e.UnmarshalJSON([]byte(`{"messageId":["` + marker + `"],"userId":12345678901234567890,"anonymousId":null,"event":{},"name":7,` +
			`"groupId":false,"previousId":[],"timestamp":"yesterday","properties":"` + marker + `","traits":[1],"context":"` + marker + `",` +
			`"integrations":[],"unknown":{"a":["` + marker + `",null]},"channel":1}`))
		return e
	}},
}

// spoilers spoil an ordinary event.
var spoilers = []struct {
	name  string
	spoil func(*analytics.Event)
}{
	{"nil maps", func(e *analytics.Event) { e.Properties, e.Traits, e.Integrations, e.Extra = nil, nil, nil, nil }},
	{"no context", func(e *analytics.Event) { e.Context = nil }},
	{"no ids", func(e *analytics.Event) {
		e.MessageID, e.UserID, e.AnonymousID, e.GroupID, e.PreviousID, e.ObjectID = "", "", "", "", "", ""
	}},
	{"no names", func(e *analytics.Event) { e.Event, e.Name, e.Category, e.Collection = "", "", "", "" }},
	{"no timestamp", func(e *analytics.Event) { e.Timestamp = time.Time{} }},
	{"a timestamp of the year 9999", func(e *analytics.Event) { e.Timestamp = time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC) }},
	{"a timestamp of the year 1", func(e *analytics.Event) { e.Timestamp = time.Date(1, 1, 1, 0, 0, 0, 1, time.UTC) }},
	{"null everywhere", everywhere(nil)},
	{"texts everywhere", everywhere(marker)},
	{"empty texts everywhere", everywhere("")},
	{"booleans everywhere", everywhere(true)},
	{"lists everywhere", everywhere([]any{nil, marker, []any{}, map[string]any{}})},
	{"objects everywhere", everywhere(map[string]any{"": marker, "a": map[string]any{"b": nil}})},
	{"empty lists everywhere", everywhere([]any{})},
	{"a huge number everywhere", everywhere(json.Number("1e999999"))},
	{"a long integer everywhere", everywhere(json.Number("-123456789012345678901234567890"))},
	{"a tiny number everywhere", everywhere(json.Number("0.1e-999999"))},
	{"minus zero everywhere", everywhere(json.Number("-0"))},
	{"texts of other scripts", everywhere("日本語 שלום 👩‍👩‍👧 e\u0301 \u2028 " + marker)},
	{"control characters", everywhere("\x00\x01\t\r\n\x7f" + marker)},
	{"texts that are not UTF-8", everywhere("\xff\xfe\xc3(" + marker)},
	{"texts that are HTML and formulas", everywhere(`<script>"'&{{.}}=1+1` + marker)},
	{"a list of odd products", func(e *analytics.Event) {
		put(e, "products", []any{nil, 1, marker, []any{}, map[string]any{"price": marker, "quantity": nil}, map[string]any{}})
	}},
	{"values that run deep", func(e *analytics.Event) {
		var v any = marker
		for i := range 80 {
			if i%2 == 0 {
				v = []any{v}
			} else {
				v = map[string]any{"a": v}
			}
		}
		put(e, "deep", v)
	}},
	{"a long text", func(e *analytics.Event) { put(e, "text", strings.Repeat(marker+"ü", 2500)) }},
	{"many keys", func(e *analytics.Event) {
		for i := range 1000 {
			put(e, fmt.Sprintf("key %d", i), i)
		}
	}},
	{"odd keys", func(e *analytics.Event) {
		for _, k := range []string{"", " ", ".", "a.b", "$set", "__proto__", "日本", "\xff", "\x00", "a\"b", strings.Repeat("k", 300)} {
			put(e, k, marker)
		}
	}},
	{"long ids", func(e *analytics.Event) {
		long := strings.Repeat(marker, 500)
		e.UserID, e.AnonymousID, e.GroupID, e.PreviousID, e.Event, e.Name = long, long, long, long, long, long
	}},
	{"ids that are blank", func(e *analytics.Event) { e.UserID, e.AnonymousID, e.GroupID, e.PreviousID = " ", "\t", "\n", " " }},
	{"unknown fields", func(e *analytics.Event) {
		e.Extra = map[string]any{"unknown": marker, "userId": json.Number("7"), "list": []any{nil, map[string]any{}}}
		e.Metadata = map[string]any{"bundled": marker}
	}},
	{"odd integrations", func(e *analytics.Event) {
		e.Integrations = analytics.Integrations{"All": marker, "Other": json.Number("7"), "Third": []any{nil}, "": nil}
	}},
	{"an odd context", func(e *analytics.Event) {
		inf := math.MaxFloat64
		e.Context = &analytics.Context{
			IP: marker, Locale: "-", Timezone: "Mars/" + marker, UserAgent: "\x00", Screen: analytics.ScreenInfo{Width: -1, Density: -inf},
			Location: analytics.Location{Latitude: &inf}, ExternalIDs: []analytics.ExternalID{{}, {ID: marker}},
			UserAgentData: analytics.UserAgentData{Brands: []analytics.Brand{{}}}, Page: analytics.PageInfo{URL: "%zz" + marker},
			Consent: analytics.ConsentPreferences{CategoryPreferences: map[string]bool{}}, Extra: map[string]any{"page": marker},
		}
	}},
	{"values of Go types", func(e *analytics.Event) {
		put(e, "int", 7)
		put(e, "revenue", uint64(math.MaxUint64))
		put(e, "price", float32(0.5))
		put(e, "time", time.Date(2026, 5, 2, 18, 4, 5, 0, time.UTC))
		put(e, "texts", []string{marker})
		put(e, "products", []map[string]any{{"price": 1}, nil})
		put(e, "map", map[string]string{"a": marker})
		put(e, "raw", json.RawMessage(`{"a":1}`))
		put(e, "bytes", []byte(marker))
		put(e, "pointer", (*int)(nil))
		put(e, "none", map[string]any(nil))
		put(e, "props", analytics.Properties{"a": marker})
	}},
}

// knownKeys are the names to which the specs give a meaning.
var knownKeys = []string{
	"revenue", "value", "total", "price", "quantity", "currency", "products", "product_id", "order_id", "email", "phone", "name",
	"firstName", "lastName", "first_name", "title", "url", "path", "referrer", "search", "keywords", "address", "company", "age",
	"birthday", "createdAt", "created_at", "avatar", "username", "gender", "id", "plan", "description", "employees", "website",
	"coupon", "category", "tax", "shipping", "discount", "query", "user_id", "event_id", "timestamp", "ip", "$insert_id",
}

// everywhere puts v under every known key.
func everywhere(v any) func(*analytics.Event) {
	return func(e *analytics.Event) {
		for _, k := range knownKeys {
			put(e, k, copyValue(v))
		}
		if e.Context != nil {
			for k := range e.Context.Traits {
				e.Context.Traits[k] = copyValue(v)
			}
			e.Context.Extra = map[string]any{"x": copyValue(v)}
		}
	}
}

// put sets a property and a trait.
func put(e *analytics.Event, key string, v any) {
	if e.Properties == nil {
		e.Properties = map[string]any{}
	}
	if e.Traits == nil {
		e.Traits = map[string]any{}
	}
	e.Properties[key], e.Traits[key] = v, copyValue(v)
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if v == nil {
			return v
		}
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copyValue(e)
		}
		return m
	case []any:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = copyValue(e)
		}
		return list
	}
	return v
}

// poison overwrites all that a holder of the event's memory could see change.
func poison(e *analytics.Event) {
	poisonMap(e.Properties)
	poisonMap(e.Traits)
	poisonMap(e.Integrations)
	poisonMap(e.Metadata)
	poisonMap(e.Extra)
	if e.Context != nil {
		poisonMap(e.Context.Traits)
		poisonMap(e.Context.Extra)
		*e.Context = analytics.Context{IP: "poison"}
	}
	*e = analytics.Event{MessageID: "poison"}
}

func poisonMap(m map[string]any) {
	for k, v := range m {
		poisonValue(v)
		m[k] = "poison"
	}
}

func poisonValue(v any) {
	switch v := v.(type) {
	case map[string]any:
		poisonMap(v)
	case []any:
		for i := range v {
			poisonValue(v[i])
			v[i] = "poison"
		}
	case json.RawMessage:
		poisonBytes(v)
	case []byte:
		poisonBytes(v)
	}
}

func poisonBytes(b []byte) {
	for i := range b {
		b[i] = 0xff
	}
}
