package dest

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
)

// Hooks are the ways in which a user changes what an adapter sends without writing one.
// Every adapter has them, embedded. They are asked in this order: the names, Fields,
// Edit. All of them have to be deterministic: an event is translated again after a
// restart. Choosing events and sampling is done by [analytics.With].
type Hooks struct {
	// EventNames renames events: from the name under which the tool would get them to
	// the one that it shall get. Names that the tool itself prescribes, such as
	// $identify, cannot be renamed.
	EventNames map[string]string `json:"eventNames,omitempty"`

	// EventName does what EventNames does, with code, and sees what that left. An empty
	// name ignores the event.
	EventName func(name string) string `json:"-"`

	// Fields adds fields or replaces them: from the field of the item that is sent, as a
	// dotted path, to the place in the event, a [Path]. What is missing in the event
	// changes nothing. An empty place takes the field out.
	Fields map[string]string `json:"fields,omitempty"`

	// Edit changes the item that is about to be sent, in place: objects are
	// map[string]any, numbers json.Number. The event is read-only. An error drops the
	// event as invalid, [analytics.ErrIgnored] ignores it.
	Edit func(e *analytics.Event, item map[string]any) error `json:"-"`
}

// Name asks the hooks for the name of an event. An error is [analytics.ErrIgnored].
func (h *Hooks) Name(name string) (string, error) {
	if to, ok := h.EventNames[name]; ok {
		name = to
	}
	if h.EventName != nil {
		name = h.EventName(name)
	}
	if name == "" {
		return "", analytics.ErrIgnored
	}
	return name, nil
}

// Apply asks the hooks for changes of an item, given as JSON, and returns it as it was
// if there are none.
func (h *Hooks) Apply(e *analytics.Event, item []byte) ([]byte, error) {
	if !h.Changes() {
		return item, nil
	}
	v, err := decode(item)
	if err != nil {
		return nil, errValue
	}
	m := Of(v).Object()
	if m == nil {
		return nil, errValue
	}
	if err := h.set(e, m); err != nil {
		return nil, err
	}
	if h.Edit != nil {
		if err := h.Edit(e, m); err != nil {
			return nil, refusal(err)
		}
	}
	return new(JSON).appendAny(make([]byte, 0, len(item)+len(item)/4), m, 0)
}

// Changes tells whether there are hooks that change items beside their names.
func (h *Hooks) Changes() bool { return len(h.Fields) > 0 || h.Edit != nil }

// ApplyRaw asks the hooks for changes of an event that is sent as the JSON that it is in
// the log, and returns it as it was if there are none. The names are those of track
// events.
func (h *Hooks) ApplyRaw(raw []byte) ([]byte, error) {
	if !h.Changes() && len(h.EventNames) == 0 && h.EventName == nil {
		return raw, nil
	}
	e := &analytics.Event{}
	if err := e.UnmarshalJSON(raw); err != nil {
		return nil, errValue
	}
	if e.Type != analytics.CallTrack {
		return h.Apply(e, raw)
	}
	name, err := h.Name(e.Event)
	if err != nil {
		return nil, err
	}
	if name != e.Event {
		renamed := *e
		renamed.Event = name
		if raw, err = Raw(&renamed); err != nil {
			return nil, err
		}
	}
	return h.Apply(e, raw)
}

// Raw is an event as its JSON, with the keys of objects in order.
func Raw(e *analytics.Event) ([]byte, error) {
	raw, err := e.AppendJSON(nil)
	if err != nil {
		return nil, errValue
	}
	return Canonical(raw)
}

// refusal is an error of Edit as one that names a field and a reason.
func refusal(err error) error {
	var invalid *analytics.InvalidError
	switch {
	case errors.Is(err, analytics.ErrIgnored):
		return err
	case !errors.As(err, &invalid):
		return &analytics.InvalidError{Field: "Edit", Reason: cmp.Or(err.Error(), refused)}
	case invalid.Field == "" || invalid.Reason == "":
		return &analytics.InvalidError{Field: cmp.Or(invalid.Field, "Edit"), Reason: cmp.Or(invalid.Reason, refused)}
	}
	return err
}

const refused = "refused the event"

func (h *Hooks) set(e *analytics.Event, item map[string]any) error {
	var few [16]string
	targets := few[:0]
	for to := range h.Fields {
		targets = append(targets, to)
	}
	slices.Sort(targets)
	for _, to := range targets {
		place := h.Fields[to]
		if place == "" {
			remove(item, to)
			continue
		}
		from, err := ParsePath(place)
		if err != nil {
			return &analytics.InvalidError{Field: "Fields", Reason: err.Error()}
		}
		if v := from.In(e); !v.Empty() {
			own, err := v.own() // the event is shared, and the item is changed from here on
			if err != nil {
				return err
			}
			put(item, to, own)
		}
	}
	return nil
}

// put sets the member at a dotted path, and makes the objects on the way.
func put(m map[string]any, path string, v any) {
	for {
		key, rest, more := strings.Cut(path, ".")
		if !more {
			m[key] = v
			return
		}
		inner, ok := m[key].(map[string]any)
		if !ok {
			inner = map[string]any{}
			m[key] = inner
		}
		m, path = inner, rest
	}
}

func remove(m map[string]any, path string) {
	for {
		key, rest, more := strings.Cut(path, ".")
		if !more {
			delete(m, key)
			return
		}
		inner, ok := m[key].(map[string]any)
		if !ok {
			return
		}
		m, path = inner, rest
	}
}
