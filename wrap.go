package analytics

import (
	"context"
	"log/slog"
	"reflect"
	"slices"
)

// as finds an optional interface of a destination, also behind wrappers.
func as[T any](d Destination) (found T, ok bool) {
	for d != nil {
		if found, ok = d.(T); ok {
			return found, true
		}
		w, wraps := d.(interface{ Unwrap() Destination })
		if !wraps {
			break
		}
		d = w.Unwrap()
	}
	return found, false
}

// With puts plugins in front of one destination. They work on a copy of the event
// and have to be deterministic: an event is translated again after a restart, so
// they sample by hash and not by chance.
func With(d Destination, plugins ...Plugin) Destination {
	return &withPlugins{Destination: d, plugins: slices.Clone(plugins)}
}

type withPlugins struct {
	Destination
	plugins []Plugin
}

// Unwrap returns the destination behind the plugins.
func (w *withPlugins) Unwrap() Destination { return w.Destination }

// LogValue is that of the destination, which may hide secrets.
func (w *withPlugins) LogValue() slog.Value { return slog.AnyValue(w.Destination).Resolve() }

func (w *withPlugins) Translate(e *Event) ([]Item, error) {
	e = e.Clone()
	if err := process(context.Background(), w.plugins, e); err != nil {
		return nil, err
	}
	return w.Destination.Translate(e)
}

// Named makes a second instance of a destination, with its own cursor and figures,
// under the same key of the integrations object.
func Named(name string, d Destination) Destination {
	n := &named{Destination: d, name: name}
	if raw, ok := d.(RawTranslator); ok {
		return &namedRaw{named: n, RawTranslator: raw}
	}
	return n
}

type named struct {
	Destination
	name string
}

type namedRaw struct {
	*named
	RawTranslator
}

// Unwrap returns the destination behind the name.
func (n *named) Unwrap() Destination { return n.Destination }

// LogValue is that of the destination, which may hide secrets.
func (n *named) LogValue() slog.Value { return slog.AnyValue(n.Destination).Resolve() }

func (n *named) instance() string { return n.name }

// instanceName is the name of a destination in stats, outcomes and cursors.
func instanceName(d Destination, desc Description) string {
	if n, ok := as[interface{ instance() string }](d); ok {
		return n.instance()
	}
	return desc.Name
}

// DestinationFunc is a destination that hands events to f, at most 100 at a time and
// one batch after another. What f returns are the words of Deliver. The events
// belong to f.
func DestinationFunc(name string, f func(context.Context, []*Event) error) Destination {
	return &funcDestination{name: name, f: f}
}

type funcDestination struct {
	name string
	f    func(context.Context, []*Event) error
}

// funcBatch is how many events a func gets at a time.
const funcBatch = 100

func (d *funcDestination) Describe() Description {
	return Description{
		Name:  d.name,
		Calls: SixCalls | CallsOf(CallObject),
		Lanes: map[string]Limits{"": {MaxItems: funcBatch, MaxBytes: funcBatch * maxEventBytes, Concurrency: 1}},
	}
}

func (d *funcDestination) Translate(e *Event) ([]Item, error) {
	size, err := e.AppendJSON(nil)
	return []Item{{Data: e, Size: len(size)}}, err
}

func (d *funcDestination) Deliver(ctx context.Context, b *Batch) error {
	events := make([]*Event, len(b.Items))
	for i := range b.Items {
		events[i] = b.Items[i].Data.(*Event).Clone()
	}
	return d.f(ctx, events)
}

// hasNil tells whether a wrapper of ours holds a nil where foreign code should be.
func hasNil(d Destination) bool {
	switch d := d.(type) {
	case *withPlugins:
		return slices.Contains(d.plugins, nil) || isNilDestination(d.Destination) || hasNil(d.Destination)
	case *named:
		return isNilDestination(d.Destination) || hasNil(d.Destination)
	case *namedRaw:
		return hasNil(d.named)
	case *funcDestination:
		return d.f == nil
	}
	return false
}

// isNilDestination tells whether d is nil, or a nil pointer.
func isNilDestination(d Destination) bool {
	if d == nil {
		return true
	}
	v := reflect.ValueOf(d)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
