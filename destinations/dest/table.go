package dest

import (
	"github.com/tributary-dev/analytics"
)

// A Row says where a field of the tool comes from: the first of the places that is not
// empty. As turns it into what the tool takes; what it makes empty is left out, as is
// what is missing.
type Row struct {
	To   string
	From []Path
	As   func(Value) Value // nil: as it is
}

// From makes a row of paths that are written in code; a bad one panics.
func From(to string, paths ...string) Row {
	row := Row{To: to, From: make([]Path, len(paths))}
	for i, p := range paths {
		row.From[i] = At(p)
	}
	return row
}

// With returns the row with a conversion.
func (r Row) With(as func(Value) Value) Row {
	r.As = as
	return r
}

// In returns the row's value for an event.
func (r *Row) In(e *analytics.Event) Value {
	v := First(e, r.From...)
	if r.As != nil && !v.Empty() {
		v = r.As(v)
	}
	return v
}

// A Table is a flat mapping, in the order in which its fields are written.
type Table []Row

// Write writes the fields that e has into the open object, but for those that skip
// names; nil skips none.
func (t Table) Write(j *JSON, e *analytics.Event, skip func(key string) bool) {
	for i := range t {
		if skip == nil || !skip(t[i].To) {
			j.Field(t[i].To, t[i].In(e))
		}
	}
}

// The conversions. What does not fit becomes absent.

// AsText takes strings, and numbers and booleans as their digits and words.
func AsText(v Value) Value {
	if v.Scalar() {
		return Text(v.String())
	}
	return Value{}
}

// AsNumber takes numbers and strings that hold one.
func AsNumber(v Value) Value {
	n, ok := v.Number()
	if !ok {
		return Value{}
	}
	return Value{kind: number, s: string(n)}
}

// AsUnixSeconds takes points in time, see [Value.UnixSeconds].
func AsUnixSeconds(v Value) Value {
	if n, ok := v.UnixSeconds(); ok {
		return Int(n)
	}
	return Value{}
}

// AsScalar takes strings, numbers and booleans as they are.
func AsScalar(v Value) Value {
	if v.Scalar() {
		return v
	}
	return Value{}
}

// Keys returns a func that tells whether a key is one of those given, for the skip of
// [JSON.Object] and [Table.Write].
func Keys(keys ...string) func(string) bool {
	set := make(map[string]bool, len(keys))
	for _, k := range keys {
		set[k] = true
	}
	return func(k string) bool { return set[k] }
}
