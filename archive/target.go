package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/jsontext"
)

// A Target is where Replay sends events: [ToClient] or [ToDestination].
type Target struct {
	client *analytics.Client
	name   string   // of the destination in the client
	key    string   // in the integrations object
	others []string // further keys, of a destination of ToDestination
	d      analytics.Destination

	ignoresAll bool
	dropped    *atomic.Int64
}

// ToClient sends events to one destination of a client, by its name in Stats. key is its
// key in the integrations object; empty means that it is the name, as it is unless
// [analytics.Named] has given another.
//
// The integrations of the events become {"All": false, "<key>": true}, as at Segment, and
// {"All": false, "Warehouses": {"all": true}} for a warehouse. What All does not stop, such
// as the cloud mode, other warehouses and archives, gets an entry of its own that does:
// see [analytics.Client.Replay].
func ToClient(client *analytics.Client, name, key string) Target {
	return Target{client: client, name: name, key: cmp.Or(key, name)}
}

// ToDestination sends events to a destination that no client has, such as a fresh
// warehouse: Replay makes a client in memory for it, and closes both. The integrations of
// the events stay as they are, so that a warehouse that is built again is what it was; but
// where they say no to this destination, they become those of [ToClient].
func ToDestination(d analytics.Destination) Target { return Target{d: d} }

const (
	replayAge  = 30 * 24 * time.Hour // what a destination may take to come back
	closeAfter = 10 * time.Second    // what it may take to end when ctx is over
	mostEvent  = 32 << 10            // of a client, bytes
)

// open makes the client of a destination. cancel is called when that refuses its settings,
// for then nothing goes on.
func (t *Target) open(cancel context.CancelCauseFunc) (err error) {
	t.dropped = &atomic.Int64{}
	if t.d == nil {
		if t.client == nil {
			return &analytics.InvalidError{Field: "to", Reason: "is no target"}
		}
		if _, ok := t.client.Stats().Destinations[t.name]; !ok {
			return &analytics.InvalidError{Field: "to", Reason: "is no destination of the client"}
		}
		return nil
	}
	desc := t.d.Describe()
	t.key, t.others, t.ignoresAll = desc.Name, desc.Aliases, desc.IgnoreAll
	t.client, err = analytics.New(analytics.Config{
		Destinations: []analytics.Destination{t.d}, WhenFull: analytics.Block, MaxAge: replayAge,
		DeadLetters: func(analytics.DeadLetter) error { t.dropped.Add(1); return nil },
		OnOutcome: func(o analytics.Outcome) {
			if o.Status == analytics.Paused {
				cancel(fmt.Errorf("archive: replay: %w", cmp.Or(o.Err, errPaused)))
			}
		},
	})
	if err != nil {
		return err
	}
	for name := range t.client.Stats().Destinations {
		t.name = name
	}
	return nil
}

var errPaused = errors.New("the destination is paused")

// flush waits until what was sent has an outcome at the target. Other destinations of a
// client may take longer.
func (t *Target) flush(ctx context.Context) error {
	for wait := time.Second; ; wait = min(2*wait, time.Hour) { // a short one would never end beside live events
		short, cancel := context.WithTimeout(ctx, wait)
		err := t.client.Flush(short)
		cancel()
		var pending *analytics.PendingError
		if err == nil || !errors.As(err, &pending) {
			return err
		}
		if _, waits := pending.Destinations[t.name]; !waits {
			return nil
		}
		if err := sleep(ctx, time.Second); err != nil { // Flush returns at once where the target waits for longer
			return err
		}
	}
}

// close closes the client that was made.
func (t *Target) close(ctx context.Context) error {
	if t.d == nil {
		return nil
	}
	if ctx.Err() != nil { // what is on its way may arrive, and is sent again otherwise
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), closeAfter)
		defer cancel()
	}
	return t.client.Close(ctx)
}

// addressed is an event with integrations that lead to the target.
func (t *Target) addressed(line []byte) []byte {
	if t.d != nil && !t.refusedBy(line) {
		return fitting(line)
	}
	var integrations []byte
	integrations = append(integrations, `{"All":false,`...)
	integrations = jsontext.AppendKey(integrations, t.key)
	if t.key == analytics.IntegrationWarehouses {
		integrations = append(integrations, `{"all":true}}`...)
	} else {
		integrations = append(integrations, "true}"...)
	}
	return fitting(withMember(line, "integrations", integrations))
}

// offByDefault is the destination that gets only events that name it.
const offByDefault = "Salesforce"

// refusedBy tells whether the integrations of an event may say no to the target, as a
// client reads them.
func (t *Target) refusedBy(line []byte) bool {
	integrations := jsontext.Member(text(line), "integrations")
	own, all := "", jsontext.Member(integrations, analytics.IntegrationAll)
	for _, key := range append([]string{t.key}, t.others...) {
		if own == "" || own == "null" {
			own = jsontext.Member(integrations, key)
		}
	}
	switch {
	case t.key == offByDefault:
		return own == "" || own == "null" || own == "false"
	case t.key == analytics.IntegrationWarehouses:
		return own == "false" || jsontext.Member(own, analytics.WarehousesAll) == "false" || jsontext.Member(own, analytics.WarehousesIDs) != ""
	case own == "" || own == "null":
		return all == "false" && !t.ignoresAll
	}
	return own == "false"
}

// withMember is an object with another value for a key.
func withMember(object []byte, key string, value []byte) []byte {
	out := append(make([]byte, 0, len(object)+len(value)), '{')
	jsontext.EachMember(text(object), func(k, v string) bool {
		if k != key {
			out = append(append(jsontext.AppendKey(out, k), v...), ',')
		}
		return true
	})
	return append(append(jsontext.AppendKey(out, key), value...), '}')
}

// fitting is an event without the receivedAt that the archive has added, if it is too large
// with it.
func fitting(event []byte) []byte {
	if len(event) <= mostEvent || len(event) > mostEvent+spliceBytes {
		return event
	}
	out := append(make([]byte, 0, len(event)), '{')
	jsontext.EachMember(text(event), func(k, v string) bool {
		if k != "receivedAt" {
			out = append(append(jsontext.AppendKey(out, k), v...), ',')
		}
		return true
	})
	out[len(out)-1] = '}'
	return out
}
