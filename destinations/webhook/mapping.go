package webhook

import (
	"errors"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// TranslateRaw takes the event as it is in the log, unless the user changes it. What
// Transform makes need not be an object, so that the hooks are not asked then.
func (d *Destination) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	if d.Transform == nil {
		body, err := d.ApplyRaw(raw)
		return analytics.Item{Body: body}, err
	}
	e := &analytics.Event{}
	if err := e.UnmarshalJSON(raw); err != nil {
		return analytics.Item{}, err
	}
	body, err := d.transform(e)
	return analytics.Item{Body: body}, err
}

// Translate does what TranslateRaw does for an event that was decoded.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	var body []byte
	var err error
	if d.Transform != nil {
		body, err = d.transform(e)
	} else if body, err = dest.Raw(e); err == nil {
		body, err = d.ApplyRaw(body)
	}
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Body: body}}, nil
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
