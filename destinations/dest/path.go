package dest

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/tributary-dev/analytics"
)

// A Path says where in an event something is: "userId", "properties.products.0.name",
// "context.device.type". Names are those of the JSON, parts are separated by dots,
// lists are counted from 0.
type Path struct {
	text  string
	parts []string
	get   func(*analytics.Event) Value // of a field; nil: walk
}

// At is ParsePath for paths that are written in code; it panics on a bad one.
func At(path string) Path {
	p, err := ParsePath(path)
	if err != nil {
		panic(err)
	}
	return p
}

// ParsePath reads a path. It begins with properties, traits, context or integrations,
// or is a field of the event.
func ParsePath(path string) (Path, error) {
	p := Path{text: path, parts: strings.Split(path, ".")}
	if get, ok := fields[path]; ok {
		p.get = get
		return p, nil
	}
	if get, ok := contextFields[path]; ok {
		p.get = func(e *analytics.Event) Value { return get(Context(e)) }
		return p, nil
	}
	switch p.parts[0] {
	case "properties", "traits", "context", "integrations":
	default:
		return Path{}, fmt.Errorf("%q is no path into an event", path)
	}
	for _, part := range p.parts {
		if part == "" {
			return Path{}, fmt.Errorf("%q has an empty part", path)
		}
	}
	return p, nil
}

// String returns the path as it was written.
func (p Path) String() string { return p.text }

// In returns what e has there.
func (p Path) In(e *analytics.Event) Value {
	if p.get != nil {
		return p.get(e)
	}
	rest := p.parts[1:]
	switch p.parts[0] {
	case "properties":
		return walk(e.Properties, rest)
	case "traits":
		return walk(e.Traits, rest)
	case "integrations":
		return walk(e.Integrations, rest)
	}
	return walkContext(Context(e), rest)
}

// First returns the first of the paths that is not empty in e.
func First(e *analytics.Event, paths ...Path) Value {
	for _, p := range paths {
		if v := p.In(e); !v.Empty() {
			return v
		}
	}
	return Value{}
}

// Lookup returns what is at a dotted path below m.
func Lookup(m map[string]any, path string) Value {
	for {
		key, rest, more := strings.Cut(path, ".")
		if !more {
			return Of(m[key])
		}
		m, path = Of(m[key]).Object(), rest
	}
}

func walk(m map[string]any, parts []string) Value {
	if len(parts) == 0 {
		if m == nil {
			return Value{}
		}
		return Value{kind: other, v: m}
	}
	v := Of(m[parts[0]])
	for _, part := range parts[1:] {
		switch o := v.v.(type) {
		case map[string]any:
			v = Of(o[part])
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || !isDigits(part) || i >= len(o) {
				return Value{}
			}
			v = Of(o[i])
		default:
			return Value{}
		}
	}
	return v
}

// walkContext finds what has no field of its own: keys that are in an Extra, and whole
// parts, which are taken from the JSON of the context.
func walkContext(c *analytics.Context, parts []string) Value {
	if len(parts) > 0 {
		if parts[0] == "traits" && c.Traits != nil {
			return walk(c.Traits, parts[1:])
		}
		if _, ok := c.Extra[parts[0]]; ok {
			return walk(c.Extra, parts)
		}
	}
	raw, err := analytics.Event{Context: c}.AppendJSON(nil)
	if err != nil {
		return Value{}
	}
	v, err := decode(raw)
	if err != nil {
		return Value{}
	}
	return walk(Of(Of(v).Object()["context"]).Object(), parts)
}

var noContext analytics.Context

// Context returns the context of e, an empty one if it has none. It is read-only.
func Context(e *analytics.Event) *analytics.Context {
	if e.Context == nil {
		return &noContext
	}
	return e.Context
}

// Options returns the options that the message has for a destination: the object in
// its integrations under its name or one of its aliases; nil if there is none.
func Options(e *analytics.Event, names ...string) map[string]any {
	if len(e.Integrations) == 0 {
		return nil
	}
	for _, name := range names {
		if o := Of(e.Integrations[name]).Object(); o != nil {
			return o
		}
	}
	return nil
}

// fields of an event, as in its JSON.
var fields = map[string]func(*analytics.Event) Value{
	"type":        func(e *analytics.Event) Value { return Text(string(e.Type)) },
	"messageId":   func(e *analytics.Event) Value { return Text(e.MessageID) },
	"userId":      func(e *analytics.Event) Value { return Text(e.UserID) },
	"anonymousId": func(e *analytics.Event) Value { return Text(e.AnonymousID) },
	"event":       func(e *analytics.Event) Value { return Text(e.Event) },
	"name":        func(e *analytics.Event) Value { return Text(e.Name) },
	"category":    func(e *analytics.Event) Value { return Text(e.Category) },
	"groupId":     func(e *analytics.Event) Value { return Text(e.GroupID) },
	"previousId":  func(e *analytics.Event) Value { return Text(e.PreviousID) },
	"channel":     func(e *analytics.Event) Value { return Text(e.Channel) },
	"timestamp":   timestamp,
}

func timestamp(e *analytics.Event) Value {
	if e.Timestamp.IsZero() {
		return Value{}
	}
	return Text(FormatTime(e.Timestamp))
}
