package webhook

import (
	"errors"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// TranslateRaw takes the event as it is in the log, unless the user changes it.
func (d *Destination) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	if !d.changes() {
		return analytics.Item{Body: raw}, nil
	}
	e := &analytics.Event{}
	if err := e.UnmarshalJSON(raw); err != nil {
		return analytics.Item{}, err
	}
	body, err := d.change(e, raw)
	return analytics.Item{Body: body}, err
}

// Translate does what TranslateRaw does for an event that was decoded.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	raw, err := e.AppendJSON(nil)
	if err == nil {
		raw, err = dest.Canonical(raw)
	}
	if err != nil {
		return nil, err
	}
	if d.changes() {
		if raw, err = d.change(e, raw); err != nil {
			return nil, err
		}
	}
	return []analytics.Item{{Body: raw}}, nil
}

// changes tells whether the user makes another body of events.
func (d *Destination) changes() bool {
	return d.Transform != nil || d.EventName != nil || len(d.EventNames) > 0 || len(d.Fields) > 0 || d.Edit != nil
}

// change asks Transform, and the hooks where there is none: what Transform makes need
// not be an object.
func (d *Destination) change(e *analytics.Event, raw []byte) ([]byte, error) {
	if d.Transform != nil {
		return d.transform(e)
	}
	if e.Type == analytics.CallTrack {
		name, err := d.Name(e.Event)
		if err != nil {
			return nil, err
		}
		if name != e.Event {
			renamed := *e
			renamed.Event = name
			if raw, err = renamed.AppendJSON(nil); err != nil {
				return nil, err
			}
			if raw, err = dest.Canonical(raw); err != nil {
				return nil, err
			}
		}
	}
	return d.Apply(e, raw)
}

func (d *Destination) transform(e *analytics.Event) ([]byte, error) {
	v, err := d.Transform(e)
	var invalid *analytics.InvalidError
	switch {
	case errors.Is(err, analytics.ErrIgnored), errors.As(err, &invalid):
		return nil, err
	case err != nil:
		return nil, &analytics.InvalidError{Field: "Transform", Reason: err.Error()}
	case v == nil:
		return nil, analytics.ErrIgnored
	}
	body, err := dest.Marshal(v)
	if err != nil {
		return nil, &analytics.InvalidError{Field: "Transform", Reason: "made a value that JSON cannot express"}
	}
	return body, nil
}
