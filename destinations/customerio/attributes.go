package customerio

import (
	"maps"
	"math"
	"slices"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// attributes writes the members of m into the open object, but for those that skip
// names, in the order of their keys.
func (t *translation) attributes(m map[string]any, skip func(string) bool) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if skip == nil || !skip(key) {
			t.attribute(key, m[key], math.MaxInt)
		}
	}
}

// profile writes the attributes of a person or an object as attributes does, at most so
// many: Customer.io refuses those with longer keys or texts than it takes, which the
// properties of events may have. A long key is left out, a long text is cut.
func (t *translation) profile(m map[string]any, skip func(string) bool, most int) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if skip(key) || key == "" || len(key) > maxID {
			continue
		}
		if most == 0 {
			return
		}
		most--
		t.attribute(key, m[key], maxValue)
	}
}

func (t *translation) attribute(key string, value any, maxBytes int) {
	v := dest.Of(value)
	switch s, isText := v.Text(); {
	case isText:
		if at, ok := dest.ParseDate(s); ok && !t.d.KeepDates {
			t.j.Int(key, at.Unix())
			return
		}
		t.j.Text(key, dest.TruncateBytes(s, maxBytes))
	case v.Object() != nil:
		t.j.OpenAt(key)
		for _, inner := range slices.Sorted(maps.Keys(v.Object())) {
			t.attribute(inner, v.Object()[inner], maxBytes)
		}
		t.j.Close()
	default:
		t.j.Any(key, value)
	}
}

// created is when the person or the object was created. A number stays as it is.
func created(traits map[string]any) dest.Value {
	for _, key := range []string{"created_at", analytics.TraitCreatedAt} {
		v := dest.Of(traits[key])
		if v.IsNumber() {
			return v
		}
		if at := dest.AsUnixSeconds(v); !at.Empty() {
			return at
		}
	}
	return dest.Value{}
}
