package analytics

import (
	"slices"
	"sync"
	"unsafe"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// router decides whether a destination gets an event, from the flags of its record
// and, where those say that there is something to look at, from its JSON.
type router struct {
	instance   string
	names      []string // in the integrations object: the name and its aliases
	calls      Calls
	ignoreAll  bool
	categories []string // of consent; all must be granted
}

func newRouter(instance string, desc Description, consent map[string][]string) *router {
	r := &router{instance: instance, names: append([]string{desc.Name}, desc.Aliases...), calls: desc.Calls, ignoreAll: desc.IgnoreAll}
	for category, names := range consent {
		if slices.ContainsFunc(names, func(n string) bool { return slices.Contains(r.names, n) }) {
			r.categories = append(r.categories, category)
		}
	}
	return r
}

// route returns why the event is not for this destination, ReasonNone if it is.
// Plugins and translation come later.
func (r *router) route(flags recordFlags, event string) Reason {
	integrations := ""
	if flags&flagIntegrations != 0 {
		integrations = jsontext.Member(event, "integrations")
	}
	switch {
	case r.calls&flags.call().bit() == 0:
		return ReasonUnsupported
	case flags&flagConsent != 0 && len(r.categories) > 0 && !r.consents(event, integrations):
		return ReasonConsent
	case integrations != "" && !r.switchedOn(integrations):
		return ReasonIntegrations
	case integrations == "" && slices.Contains(r.names, offByDefault):
		return ReasonIntegrations
	case flags&flagMetadata != 0 && !r.ignoreAll && r.bundled(event):
		return ReasonDevice
	}
	return ReasonNone
}

// offByDefault is the one destination that an absent entry turns off.
const offByDefault = "Salesforce"

// consents tells whether every category of the destination is granted. A consent
// object without preferences enforces nothing, unless the event chooses
// destinations by itself.
func (r *router) consents(event, integrations string) bool {
	preferences := jsontext.Member(jsontext.Member(jsontext.Member(event, "context"), "consent"), "categoryPreferences")
	if preferences == "" {
		return integrations == "" || !eachMemberAny(integrations)
	}
	for _, c := range r.categories {
		if jsontext.Member(preferences, c) != "true" {
			return false
		}
	}
	return true
}

func eachMemberAny(object string) (any bool) {
	jsontext.EachMember(object, func(string, string) bool {
		any = true
		return false
	})
	return any
}

// switchedOn reads the integrations object: the entry of the destination, by its
// name before its aliases, else All, else yes. An object as entry is a yes with
// options.
func (r *router) switchedOn(integrations string) bool {
	own, all, rank := "", "", len(r.names)
	jsontext.EachMember(integrations, func(key, value string) bool {
		if key == IntegrationAll {
			all = value
		}
		if i := slices.Index(r.names, key); i >= 0 && i <= rank && value != "null" {
			own, rank = value, i
		}
		return true
	})
	switch {
	case own == "false":
		return false
	case own != "":
		return !slices.Contains(r.names, IntegrationWarehouses) || r.warehouse(own)
	case slices.Contains(r.names, offByDefault):
		return false
	}
	return all != "false" || r.ignoreAll
}

// warehouse reads the entry of warehouses: {all: bool}, or the ids of those meant.
func (r *router) warehouse(entry string) bool {
	if jsontext.Member(entry, WarehousesAll) == "false" {
		return false
	}
	ids := jsontext.Member(entry, WarehousesIDs)
	return ids == "" || listHas(ids, r.instance)
}

// bundled tells whether the device has delivered the event to the destination.
func (r *router) bundled(event string) bool {
	bundled := jsontext.Member(jsontext.Member(event, "_metadata"), "bundled")
	return slices.ContainsFunc(r.names, func(name string) bool { return listHas(bundled, name) })
}

// listHas tells whether a JSON list of strings holds s.
func listHas(list, s string) bool {
	if len(list) == 0 || list[0] != '[' || jsontext.SkipValue(list, 0, 0) != len(list) {
		return false
	}
	v, _ := parseValue(list, 0)
	return slices.Contains(v.([]any), any(s))
}

// scan fills in what stands in front of an event that message.append has encoded:
// members whose values are strings, without white space, up to the first key of
// another kind. What it keeps is a copy: the event lies in memory of the log.
func (h *Header) scan(event []byte) {
	s := text(event)
	end, kept := 1, 0
	for end < len(s) && s[end] == '"' {
		colon := jsontext.SkipString(s, end)
		if colon < 0 || colon+1 >= len(s) || s[colon+1] != '"' {
			break
		}
		key, value := s[end+1:colon-1], colon+1
		if end = jsontext.SkipString(s, value); end < 0 {
			break
		}
		var p *string
		switch key {
		case "type":
			p = (*string)(&h.Type)
		case "messageId":
			p = &h.MessageID
		case "userId":
			p = &h.UserID
		case "anonymousId":
			p = &h.AnonymousID
		case h.nameKey():
			if key != "" {
				p = &h.Event
			}
		}
		if p != nil {
			*p, kept = jsontext.Unquote(s[value:end]), end
		}
		end++ // the comma
	}
	front := string(event[:kept])
	for _, p := range [...]*string{(*string)(&h.Type), &h.MessageID, &h.UserID, &h.AnonymousID, &h.Event} {
		if at := offset(s, *p); at >= 0 && at < kept {
			*p = front[at : at+len(*p)]
		}
	}
}

// nameKey is the key of what Event holds.
func (h *Header) nameKey() string {
	switch h.Type {
	case CallTrack:
		return "event"
	case CallPage, CallScreen:
		return "name"
	case CallObject:
		return "collection"
	}
	return ""
}

// offset is where part lies in s, which it may not.
func offset(s, part string) int {
	return int(uintptr(unsafe.Pointer(unsafe.StringData(part))) - uintptr(unsafe.Pointer(unsafe.StringData(s))))
}

func headerOf(event []byte) (h Header) {
	h.scan(event)
	return h
}

// eventCache decodes each event once for all destinations that are near each
// other in the log.
type eventCache struct {
	mu    sync.Mutex
	slots [1024]cachedEvent
}

type cachedEvent struct {
	log   LogID
	seq   uint64
	event *Event
}

func (c *eventCache) get(log LogID, seq uint64, raw []byte) (*Event, error) {
	slot := &c.slots[seq%uint64(len(c.slots))]
	c.mu.Lock()
	cached := *slot
	c.mu.Unlock()
	if cached.event != nil && cached.seq == seq && cached.log == log {
		return cached.event, nil
	}
	e := &Event{}
	if err := e.UnmarshalJSON(raw); err != nil {
		return nil, err
	}
	c.mu.Lock()
	*slot = cachedEvent{log, seq, e}
	c.mu.Unlock()
	return e, nil
}
