package trackingapi

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
)

// maxPixelURL is how long the address of a pixel may be, in characters: servers and mail
// programs cut what is longer.
const maxPixelURL = 8000

// PixelURL returns the address of an image that makes the call m when it is fetched, for
// mails and places without scripts:
//
//	PixelURL("https://events.shop.example", "my-write-key", analytics.Track{
//		UserID: "user-1", Event: "Email Opened",
//	}, rules)
//
// endpoint is where a [Handler] is mounted, or Segment's, with or without its /v1. With
// rules.Secret the address is signed. A message without MessageID and Timestamp, which is
// the usual one, is another event each time, of the time at which the image is fetched.
// Keep secrets and personal data out of it: base64 hides nothing.
func PixelURL(endpoint, writeKey string, m analytics.Message, rules PixelRules) (string, error) {
	u, err := url.Parse(endpoint)
	switch {
	case err != nil:
		return "", invalid("endpoint", "is no URL")
	case u.Scheme != "https" && u.Scheme != "http", u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "", invalid("endpoint", "is not just scheme, host and path")
	case writeKey == "":
		return "", invalid("writeKey", "is required")
	}
	message, call, err := pixelData(m, writeKey)
	if err != nil {
		return "", err
	}
	query := url.Values{paramData: {base64.RawURLEncoding.EncodeToString(message)}}
	if len(rules.Secret) > 0 {
		query.Set(paramSignature, rules.sign(string(call), query))
	}
	for _, p := range []*string{&u.Path, &u.RawPath} {
		*p = strings.TrimSuffix(strings.TrimSuffix(*p, "/"), "/v1")
	}
	u = u.JoinPath("v1/pixel", string(call))
	u.RawQuery = query.Encode()
	address := u.String()
	if n := len(address); n > maxPixelURL {
		return "", invalid("message", "makes an address of %d characters, the limit is %d", n, maxPixelURL)
	}
	return address, nil
}

func invalid(field, format string, args ...any) error {
	return &analytics.InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// pixelData is the JSON of a message with its write key, keys in order, so that the same
// message has the same address.
func pixelData(m analytics.Message, writeKey string) ([]byte, analytics.Call, error) {
	e, err := eventOf(m)
	if err != nil {
		return nil, "", err
	}
	raw, err := e.AppendJSON(nil)
	if err != nil {
		return nil, "", err
	}
	var message map[string]any
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&message); err != nil {
		return nil, "", err
	}
	for _, field := range []string{"properties", "traits"} {
		switch message[field].(type) {
		case nil:
			delete(message, field) // a typed nil
		case map[string]any:
		default:
			return nil, "", invalid(field, "is not an object")
		}
	}
	for _, field := range []string{"sentAt", "receivedAt"} {
		delete(message, field)
	}
	if err := missing(message, e.Type); err != nil {
		return nil, "", err
	}
	message[paramWriteKey] = writeKey
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	err = enc.Encode(message)
	return bytes.TrimSpace(out.Bytes()), e.Type, err
}

// missing says what a message lacks. Nobody would notice later: pixels are always
// answered with an image.
func missing(message map[string]any, call analytics.Call) error {
	required := map[analytics.Call][]string{
		analytics.CallTrack: {"event"}, analytics.CallGroup: {"groupId"}, analytics.CallAlias: {"userId", "previousId"},
	}
	var errs []error
	for _, field := range required[call] {
		if message[field] == nil {
			errs = append(errs, invalid(field, "is required"))
		}
	}
	if call != analytics.CallAlias && message["userId"] == nil && message["anonymousId"] == nil {
		errs = append(errs, invalid("userId", "is required, or anonymousId"))
	}
	return errors.Join(errs...)
}

// eventOf is any of the six calls as an event. Properties and traits of all kinds are in
// its Extra, which takes them.
func eventOf(m analytics.Message) (analytics.Event, error) {
	if v := reflect.ValueOf(m); v.Kind() == reflect.Pointer && !v.IsNil() {
		m = v.Elem().Interface().(analytics.Message)
	}
	var e analytics.Event
	var properties, traits any
	switch m := m.(type) {
	case analytics.Identify:
		e = analytics.Event{Type: analytics.CallIdentify, MessageID: m.MessageID, UserID: m.UserID, AnonymousID: m.AnonymousID,
			Timestamp: m.Timestamp, Context: m.Context, Integrations: m.Integrations}
		traits = m.Traits
	case analytics.Track:
		e = analytics.Event{Type: analytics.CallTrack, MessageID: m.MessageID, UserID: m.UserID, AnonymousID: m.AnonymousID,
			Event: m.Event, Timestamp: m.Timestamp, Context: m.Context, Integrations: m.Integrations}
		properties = m.Properties
	case analytics.Page:
		e = analytics.Event{Type: analytics.CallPage, MessageID: m.MessageID, UserID: m.UserID, AnonymousID: m.AnonymousID,
			Name: m.Name, Category: m.Category, Timestamp: m.Timestamp, Context: m.Context, Integrations: m.Integrations}
		properties = m.Properties
	case analytics.Screen:
		e, err := eventOf(analytics.Page(m))
		e.Type = analytics.CallScreen
		return e, err
	case analytics.Group:
		e = analytics.Event{Type: analytics.CallGroup, MessageID: m.MessageID, UserID: m.UserID, AnonymousID: m.AnonymousID,
			GroupID: m.GroupID, Timestamp: m.Timestamp, Context: m.Context, Integrations: m.Integrations}
		traits = m.Traits
	case analytics.Alias:
		e = analytics.Event{Type: analytics.CallAlias, MessageID: m.MessageID, UserID: m.UserID, AnonymousID: m.AnonymousID,
			PreviousID: m.PreviousID, Timestamp: m.Timestamp, Context: m.Context, Integrations: m.Integrations}
	case analytics.Event:
		if !analytics.SixCalls.Has(m.Type) {
			return e, invalid("type", "is none of identify, track, page, screen, group and alias")
		}
		return m, nil
	default:
		return e, invalid("message", "a %T makes no pixel", m)
	}
	e.Extra = map[string]any{"properties": properties, "traits": traits}
	return e, nil
}

// Link is what the Querystring API puts into the address of a page, for links in mails
// and between domains.
type Link struct {
	// AnonymousID is taken over for the visitor.
	AnonymousID string

	// UserID makes an identify call with Traits, which are ignored without it.
	UserID string
	Traits map[string]string

	// Event makes a track call with Properties, which are ignored without it.
	Event      string
	Properties map[string]string
}

// LinkURL adds a link's parameters to the address of a page, whose own query and fragment
// stay as they are. The names of traits and properties are read as they are written, by
// analytics.js too, so they may only hold letters and digits of ASCII, "_", "-", "." and
// "~".
func LinkURL(target string, l Link) (string, error) {
	u, err := url.Parse(target)
	if err != nil {
		return "", invalid("target", "is no URL")
	}
	if strings.Contains("&"+u.RawQuery, "&ajs_") {
		return "", invalid("target", "has parameters of the Querystring API already")
	}
	b := &linkBuilder{}
	b.trigger("AnonymousID", paramAnonymousID, l.AnonymousID)
	b.trigger("UserID", paramUserID, l.UserID)
	b.addAll("Traits", paramTrait, l.Traits, l.UserID)
	b.trigger("Event", paramEvent, l.Event)
	b.addAll("Properties", paramProperty, l.Properties, l.Event)
	if err := errors.Join(b.errs...); err != nil {
		return "", err
	}
	if len(b.params) == 0 {
		return target, nil
	}
	if u.RawQuery != "" {
		b.params = slices.Insert(b.params, 0, u.RawQuery)
	}
	u.RawQuery = strings.Join(b.params, "&")
	return u.String(), nil
}

type linkBuilder struct {
	params []string
	errs   []error
}

func (b *linkBuilder) trigger(field, name, value string) {
	if value != "" {
		b.add(field, name, value)
	}
}

func (b *linkBuilder) add(field, name, value string) {
	switch {
	case utf8.RuneCountInString(value) > maxLinkValue:
		b.errs = append(b.errs, invalid(field, "is longer than %d characters", maxLinkValue))
	case !utf8.ValidString(value):
		b.errs = append(b.errs, invalid(field, "is not UTF-8"))
	}
	b.params = append(b.params, name+"="+url.QueryEscape(value))
}

// addAll adds the parameters that belong to a trigger.
func (b *linkBuilder) addAll(field, prefix string, values map[string]string, trigger string) {
	if len(values) > 0 && trigger == "" {
		b.errs = append(b.errs, invalid(field, "would be ignored: the call that they belong to is not made"))
	}
	if len(values) > maxLinkValues {
		b.errs = append(b.errs, invalid(field, "are more than %d", maxLinkValues))
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if name == "" || len(name) > maxLinkValue || url.QueryEscape(name) != name {
			b.errs = append(b.errs, invalid(field, "has the name %q, which does not survive in a query", clipped(name)))
		}
		b.add(field+"."+clipped(name), prefix+name, values[name])
	}
}
