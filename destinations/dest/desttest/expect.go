package desttest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dev/analytics"
)

// An expectation is one thing that an event of [Wide] becomes for one destination. One
// of Ignored, Invalid, Want and Absent is set.
type expectation struct {
	ID          string // of the event
	Destination string // its package
	Why         string // the tool's rule
	Ignored     bool
	Invalid     string // fields, with blanks between them; the error names one of them
	Path        string // into the body of a request
	Request     *int   // index of the request; without it the first that has the path
	Want        json.RawMessage
	Absent      bool // nothing is at the path, but for its last part it is there
}

// Expectations delivers events of [Wide], each by itself, and compares what testdata's
// expect.json says of the destination whose package is called name. open returns a
// destination with the settings of its recorded requests, opened with a new tool.
//
// A path is made of keys and of indexes of lists, with dots between them; a key may have
// dots itself.
func Expectations(t *testing.T, name string, open func(t *testing.T) (analytics.Destination, *Tool)) {
	of := make(map[string][]expectation)
	for _, x := range expectations(t) {
		if x.Destination == name {
			of[x.ID] = append(of[x.ID], x)
		}
	}
	if len(of) == 0 {
		t.Fatalf("nothing is expected of %q", name)
	}
	for _, in := range Wide(t) {
		if len(of[in.ID]) == 0 {
			continue
		}
		t.Run(in.ID, func(t *testing.T) {
			d, tool := open(t)
			o := send(t, d, tool, in.Event)
			for _, x := range of[in.ID] {
				if fault := x.fault(o); fault != "" {
					t.Errorf("%s: %s", x.Why, fault)
				}
			}
			if t.Failed() {
				t.Logf("event: %s\nrequests: %s", in.Raw, bodies(tool.Requests()))
			}
		})
	}
}

func expectations(t testing.TB) []expectation {
	t.Helper()
	const name = "testdata/expect.json"
	raw, err := testdata.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var list []expectation
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&list); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return list
}

// outcome is what came of one event.
type outcome struct {
	err     error // of Translate
	results Results
	bodies  []any // of the requests, decoded; nil for what is no JSON
}

// send translates and delivers one event. An event that is ignored has an empty outcome.
func send(t testing.TB, d analytics.Destination, tool *Tool, e *analytics.Event) (o outcome) {
	t.Helper()
	if !takes(d, e.Type) {
		return o
	}
	before := len(tool.Requests())
	items, err := translate(d, e)
	if err != nil {
		if !errors.Is(err, analytics.ErrIgnored) {
			o.err = err
		}
		return o
	}
	for _, b := range Batches(t, d, items) {
		o.results = append(o.results, DeliverBatch(t, d, b)...)
	}
	for _, r := range tool.Requests()[before:] {
		body, err := decode(r.Body)
		if err != nil {
			body = nil
		}
		o.bodies = append(o.bodies, body)
	}
	return o
}

// fault says what is not as expected, or nothing.
func (x *expectation) fault(o outcome) string {
	var invalid *analytics.InvalidError
	switch {
	case x.Invalid != "" && !errors.As(o.err, &invalid):
		return fmt.Sprintf("the error is %v, want one that names %s", o.err, x.Invalid)
	case x.Invalid != "" && !slices.Contains(strings.Fields(x.Invalid), invalid.Field):
		return fmt.Sprintf("the error names %s, want %s", invalid.Field, x.Invalid)
	case x.Invalid != "":
		return ""
	case o.err != nil:
		return fmt.Sprintf("it is refused: %v", o.err)
	case x.Ignored && len(o.results)+len(o.bodies) > 0:
		return "it is not ignored"
	case x.Ignored:
		return ""
	case len(o.results) == 0:
		return "it is ignored"
	case !o.results.All(analytics.WordDelivered):
		return fmt.Sprintf("it is not delivered: %+v", o.results)
	}
	bodies := o.bodies
	if x.Request != nil {
		if i := *x.Request; i >= len(bodies) {
			return fmt.Sprintf("there is no request %d of %d", i, len(bodies))
		}
		bodies = bodies[*x.Request:][:1]
	}
	if x.Absent {
		return x.presence(bodies)
	}
	return x.difference(bodies)
}

// difference compares what the first of the bodies that has the path has there.
func (x *expectation) difference(bodies []any) string {
	want, err := decode(x.Want)
	if err != nil {
		return "what is wanted is not JSON: " + err.Error()
	}
	for _, body := range bodies {
		if got, ok := lookup(body, x.Path); ok {
			return diff(x.Path, want, got)
		}
	}
	return fmt.Sprintf("%s is missing, want %s", x.Path, text(want))
}

// presence looks for the path where it should not be. What it would be a part of has to
// be there, or a slip in the path would go unnoticed.
func (x *expectation) presence(bodies []any) string {
	dot := strings.LastIndexByte(x.Path, '.')
	whole := len(bodies) > 0 && dot < 0
	for _, body := range bodies {
		if got, ok := lookup(body, x.Path); ok {
			return fmt.Sprintf("%s is %s, want none", x.Path, text(got))
		}
		if dot >= 0 && !whole {
			_, whole = lookup(body, x.Path[:dot])
		}
	}
	if !whole {
		return fmt.Sprintf("what %s would be a part of is missing", x.Path)
	}
	return ""
}

// lookup finds a value by its path. Where a key has dots, the whole rest of the path is
// tried first, then its beginnings from the shortest on.
func lookup(v any, path string) (any, bool) {
	switch v := v.(type) {
	case []any:
		index, rest, more := strings.Cut(path, ".")
		i, err := strconv.Atoi(index)
		switch {
		case err != nil || i < 0 || i >= len(v):
			return nil, false
		case more:
			return lookup(v[i], rest)
		}
		return v[i], true
	case map[string]any:
		if found, ok := v[path]; ok {
			return found, true
		}
		for i := range len(path) {
			if path[i] != '.' {
				continue
			}
			if found, ok := lookup(v[path[:i]], path[i+1:]); ok {
				return found, true
			}
		}
	}
	return nil, false
}
