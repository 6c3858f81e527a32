package analytics

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"
)

// Replay enqueues the event of a dead letter again, for its destination only. It
// returns nil when the event was accepted, an [*InvalidError] for each thing that
// is wrong with the letter, [ErrQueueFull] or [ErrClosed]. ctx ends waiting where the
// configuration says Block; what it knows of a request ([NewContext], [NewIdentity]) is
// left out.
//
// The event stays as it is, with its messageId, its times and its unknown fields. It
// has been through the plugins of the client and has got Config.Context; neither
// happens again. Plugins of the destination ([With]) see it again, and its age
// counts from now. An event that somebody has corrected is checked as
// [Client.Enqueue] does, and must have messageId and timestamp.
//
// The other destinations that would get the event are shut off: their entries in its
// integrations object become false, by their names, and they count it as filtered. All
// and the entry of the destination itself, with its options, stay, since whoever gets
// the event next may read them: Segment does. Of several warehouses under the key
// Warehouses, the entry names the one (warehouseIds). Where nothing has to be shut
// off, nothing is changed.
//
// Replay fails if the destination would not get the event: because its call,
// integrations or consent say no. It also fails where others cannot be shut off: if
// another instance has the same key ([Named]); if an event without integrations has a
// consent object without preferences, to which any entry means no; or if the event
// grows beyond 32,768 bytes. Then replay with a client that has no other destination.
//
// Nobody remembers what was replayed. A letter that is replayed twice arrives twice,
// under one messageId.
func (c *Client) Replay(ctx context.Context, letter DeadLetter) error {
	if ctx == nil {
		ctx = context.Background()
	}
	to, err := c.loopOf(letter.Destination)
	if err != nil {
		return err
	}
	e := &Event{}
	if e.UnmarshalJSON(letter.Event) != nil {
		return invalid("letter.event", "is not one whole JSON object, or nested deeper than %d levels", maxDepth)
	}
	r := replay{client: c, to: to, event: e, now: time.Now()}
	if err := r.encode(); err != nil {
		return err
	}
	if err := r.separate(); err != nil {
		return err
	}
	return c.accept(ctx, r.now, r.flags, r.buf.b)
}

// loopOf finds a destination by the name of its instance.
func (c *Client) loopOf(name string) (*loop, error) {
	names := make([]string, len(c.loops))
	for i, l := range c.loops {
		if l.name == name {
			return l, nil
		}
		names[i] = l.name
	}
	return nil, invalid("letter.destination", "is none of this client, which has %s", strings.Join(names, ", "))
}

// replay is an event on its way back to one destination.
type replay struct {
	client *Client
	to     *loop
	event  *Event
	now    time.Time
	buf    buffer // the event as the log gets it
	flags  recordFlags
}

// encode is Client.encode without what has been done to the event already.
func (r *replay) encode() (err error) {
	m := r.event.fields()
	r.flags, err = m.check(&r.buf, r.now, r.client.nothing, nil)
	if err = errors.Join(unstamped(r.event), err); err != nil {
		return err
	}
	if len(r.buf.b) > m.limit {
		return invalid("message", "has %d bytes of JSON, the limit is %d", len(r.buf.b), m.limit)
	}
	if r.flags.call() == callObject {
		return flatProperties(r.buf.b)
	}
	return nil
}

// unstamped names what every event of the log has, and what a replay must not make.
func unstamped(e *Event) error {
	var f faults
	if e.MessageID == "" {
		f.add("messageId", "is required: a replay keeps it")
	}
	if e.Timestamp.IsZero() && e.Extra["timestamp"] == nil {
		f.add("timestamp", "is required: a replay keeps it")
	}
	return f.err()
}

// reaches tells why the event would not get to a destination, ReasonNone if it would.
func (r *replay) reaches(l *loop) Reason { return l.router.route(r.flags, text(r.buf.b)) }

// separate shuts off the other destinations that would get the event.
func (r *replay) separate() error {
	if why := r.reaches(r.to); why != ReasonNone {
		return invalid("letter.destination", "would not get the event: %s", why)
	}
	changed := false
	for _, l := range r.client.loops {
		if l == r.to || r.reaches(l) != ReasonNone {
			continue
		}
		if err := r.shutOff(l); err != nil {
			return err
		}
		changed = true
	}
	if !changed {
		return nil
	}
	if err := r.encode(); err != nil {
		return err
	}
	if why := r.reaches(r.to); why != ReasonNone {
		return invalid("letter.destination", "would not get the event once others are shut off: %s; replay with a client that has no other", why)
	}
	return nil
}

// shutOff writes into the integrations of the event that l is not to get it. The first
// name of a destination goes before its aliases, so false under it is the last word.
func (r *replay) shutOff(l *loop) error {
	key := l.router.names[0]
	if !slices.Contains(r.to.router.names, key) {
		r.event.Integrations = r.event.Integrations.Disable(key)
		return nil
	}
	if key != IntegrationWarehouses {
		return invalid("letter.destination", "shares its key of the integrations object with %s: replay with a client that has no other", l.name)
	}
	entry, _ := r.event.Integrations[key].(map[string]any)
	entry = maps.Clone(entry)
	r.event.Integrations = r.event.Integrations.SetOptions(key, set(entry, WarehousesIDs, list([]string{r.to.name})))
	return nil
}
