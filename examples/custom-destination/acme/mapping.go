package acme

import (
	"cmp"
	"encoding/json"

	"github.com/tributary-dev/analytics"
)

// event is one as Acme wants it.
type event struct {
	ID   string         `json:"id"` // Acme drops the second of two with one id
	Kind string         `json:"kind"`
	User string         `json:"user"`
	Name string         `json:"name,omitempty"`
	At   int64          `json:"at"` // milliseconds
	Data map[string]any `json:"data,omitempty"`
}

// Translate is a pure function from an event to what is sent for it.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	out := event{ID: e.MessageID, User: cmp.Or(e.UserID, e.AnonymousID), At: e.Timestamp.UnixMilli()}
	switch e.Type {
	case analytics.CallTrack:
		out.Kind, out.Name, out.Data = "action", e.Event, e.Properties
	case analytics.CallIdentify:
		if e.UserID == "" {
			return nil, analytics.ErrIgnored // Acme has no profiles of visitors
		}
		out.Kind, out.Data = "profile", e.Traits
	default:
		return nil, analytics.ErrIgnored // Describe leaves them out
	}
	if len(out.User) > 64 {
		return nil, &analytics.InvalidError{Field: "userId", Reason: "is longer than the 64 characters that Acme takes"}
	}
	body, err := json.Marshal(out)
	return []analytics.Item{{Body: body}}, err
}
