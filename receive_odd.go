package analytics

import (
	"time"
)

// receiveOdd does what receive does for any message, by decoding it.
func (c *Client) receiveOdd(message []byte, in *Inbound, buf *buffer, now time.Time) (recordFlags, error) {
	e := &Event{}
	if err := e.UnmarshalJSON(message); err != nil {
		return 0, invalid("message", "is not a JSON object, or is nested too deeply")
	}
	if _, given := e.Extra[partNames[partType]]; e.Type == "" && !given {
		e.Type = in.Call
	}
	if e.Type == CallObject {
		return 0, invalid("type", "is none of identify, track, page, screen, group and alias")
	}
	delete(e.Extra, partNames[partWriteKey])
	in.complete(e, now)
	m := e.fields()
	m.stamp(now, Identity{})
	if m.id == "" {
		m.id = string(appendUUID(nil, now))
	}
	flags, err := m.check(buf, now, c.nothing, nil)
	if err == nil && in.Claim != nil && !in.Claim(m.id) {
		return 0, ErrDuplicate
	}
	return flags, err
}

// complete adds to an event what the request knows.
func (in *Inbound) complete(e *Event, now time.Time) {
	if in.Context != nil {
		if e.Context == nil {
			e.Context = &Context{}
		}
		merge(e.Context, clone(in.Context))
	}
	for name, v := range in.Integrations {
		if _, given := e.Integrations[name]; !given {
			e.Integrations = set(e.Integrations, name, v)
		}
	}
	t := times{original: e.OriginalTimestamp, sent: e.SentAt}
	t.settle(e.Timestamp, in, now)
	e.Timestamp, e.OriginalTimestamp, e.SentAt, e.ReceivedAt = t.corrected, t.original, t.sent, t.received
	for _, part := range [...]int{partTimestamp, partOriginalTimestamp, partSentAt, partReceivedAt} {
		if v, given := e.Extra[partNames[part]]; given && (v == nil || part == partReceivedAt) {
			delete(e.Extra, partNames[part])
		}
	}
	if in.IP == "" {
		return
	}
	direct, library := "", ""
	if ctx := e.Context; ctx != nil {
		if _, odd := ctx.Extra["ip"]; ctx.IP != "" || odd {
			return
		}
		if ctx.Direct != nil {
			direct = map[bool]string{true: "true", false: "false"}[*ctx.Direct]
		}
		library = ctx.Library.Name
	} else if e.Extra[partNames[partContext]] != nil {
		return
	}
	if records(direct, func() string { return library }) {
		if e.Context == nil {
			e.Context = &Context{}
		}
		e.Context.IP = in.IP
	}
}
