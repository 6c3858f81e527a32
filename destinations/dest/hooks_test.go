package dest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func TestHooksName(t *testing.T) {
	upper := func(s string) string { return strings.ToUpper(s) }
	for _, c := range []struct {
		hooks      dest.Hooks
		name, want string // "" is ignored
	}{
		{dest.Hooks{}, "a", "a"}, {dest.Hooks{}, "", ""},
		{dest.Hooks{EventNames: map[string]string{"a": "b", "b": "c"}}, "a", "b"},
		{dest.Hooks{EventNames: map[string]string{"a": "b"}}, "A", "A"},
		{dest.Hooks{EventNames: map[string]string{"a": ""}}, "a", ""},
		{dest.Hooks{EventName: upper}, "a", "A"},
		{dest.Hooks{EventName: upper, EventNames: map[string]string{"a": "b", "A": "c"}}, "a", "B"},
		{dest.Hooks{EventName: func(string) string { return "" }, EventNames: map[string]string{"a": "b"}}, "a", ""},
	} {
		got, err := c.hooks.Name(c.name)
		require.Equal(t, c.want, got)
		if c.want == "" {
			require.ErrorIs(t, err, analytics.ErrIgnored)
		} else {
			require.NoError(t, err)
		}
	}
}

func apply(t testing.TB, h dest.Hooks, e *analytics.Event, item string) string {
	t.Helper()
	before, err := json.Marshal(e)
	require.NoError(t, err)
	got, err := h.Apply(e, []byte(item))
	require.NoError(t, err)
	again, err := h.Apply(e, []byte(item))
	require.NoError(t, err)
	require.Equal(t, string(got), string(again))
	require.True(t, json.Valid(got), "%s", got)
	after, err := json.Marshal(e)
	require.NoError(t, err)
	require.JSONEq(t, string(before), string(after), "the event was changed")
	return string(got)
}

func TestHooksFields(t *testing.T) {
	e := desttest.Event(t, shopEvent)
	const item = `{"z":1,"a":{"b":{"c":2},"n":null},"list":[{"x":1}],"keep":1.50}`
	for _, c := range []struct {
		fields map[string]string
		want   string
	}{
		{map[string]string{"new": "userId"}, `{"a":{"b":{"c":2},"n":null},"keep":1.50,"list":[{"x":1}],"new":"u-1","z":1}`},
		{map[string]string{"a.b.c": "properties.id", "a.d.e": "context.traits.plan"}, `{"a":{"b":{"c":9007199254740993},"d":{"e":"pro"},"n":null},"keep":1.50,"list":[{"x":1}],"z":1}`},
		{map[string]string{"a.b.c.d": "properties.yes", "a.n.m": "event"}, `{"a":{"b":{"c":{"d":true}},"n":{"m":"E"}},"keep":1.50,"list":[{"x":1}],"z":1}`},
		{map[string]string{"a": "properties.price", "z": ""}, `{"a":29.50,"keep":1.50,"list":[{"x":1}]}`},
		{map[string]string{"a.b.c": "", "list": "", "z": ""}, `{"a":{"b":{},"n":null},"keep":1.50}`},
		{map[string]string{"a.gone": "", "gone.b.c": "", "z.y": "", "list.0": "", "a.n.x": ""}, item},
		{map[string]string{"a": "properties.gone", "z": "properties.no", "x.y": "properties.empty", "keep": "properties.none", "list": "properties.list"}, item},
		// in the order of the targets: the object first, what is in it then
		{map[string]string{"a": "traits", "a.email": "", "a.address.zip": "properties.1"}, `{"a":{"address":{"city":"Köln","zip":"one"}},"keep":1.50,"list":[{"x":1}],"z":1}`},
		{map[string]string{"a": "", "a.x": "event"}, `{"a":{"x":"E"},"keep":1.50,"list":[{"x":1}],"z":1}`},
		{map[string]string{"a": "properties.deep.er", "list": "properties.products.0.tags", "z": "timestamp"},
			`{"a":{"est":-0.5},"keep":1.50,"list":["x","y"],"z":"2026-05-02T18:04:05.250Z"}`},
	} {
		require.JSONEq(t, c.want, apply(t, dest.Hooks{Fields: c.fields}, e, item), "%v", c.fields)
		require.Contains(t, apply(t, dest.Hooks{Fields: c.fields}, e, item), `"keep":1.50`)
	}
	_, err := (&dest.Hooks{Fields: map[string]string{"a": "nowhere"}}).Apply(e, []byte(item))
	requireInvalid(t, err)
}

// Without hooks that change items they are the very same bytes, JSON or not.
func TestHooksWithoutChanges(t *testing.T) {
	item := []byte("no JSON")
	for _, h := range []dest.Hooks{{}, {EventNames: map[string]string{"a": "b"}, EventName: strings.ToUpper}, {Fields: map[string]string{}}} {
		require.False(t, h.Changes())
		got, err := h.Apply(&analytics.Event{}, item)
		require.NoError(t, err)
		require.Same(t, &item[0], &got[0])
	}
}

// Edit comes last, and sees what Fields did and the numbers with their digits.
func TestHooksEdit(t *testing.T) {
	e := desttest.Event(t, shopEvent)
	h := dest.Hooks{Fields: map[string]string{"id": "properties.id", "gone": ""}, Edit: func(got *analytics.Event, item map[string]any) error {
		require.Same(t, e, got)
		require.Equal(t, map[string]any{"id": json.Number("9007199254740993"), "n": json.Number("1.0")}, item)
		item["go"] = []any{int8(1), struct{ B, A string }{"<b>", "a"}, []string{"\xff"}}
		delete(item, "n")
		return nil
	}}
	require.Equal(t, "{\"go\":[1,{\"A\":\"a\",\"B\":\"<b>\"},[\"\ufffd\"]],\"id\":9007199254740993}", apply(t, h, e, `{"n":1.0,"gone":1}`))
}

// scribble changes everything in an item that can be changed.
func scribble(v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, inner := range v {
			scribble(inner)
			v[k] = "scribble"
		}
	case []any:
		for i, inner := range v {
			scribble(inner)
			v[i] = "scribble"
		}
	}
}

// An item shares nothing with the event, which other destinations hold as well.
func TestHooksNeverChangeTheEvent(t *testing.T) {
	fields := map[string]string{"p": "properties", "p.new": "userId", "p.deep": "", "t": "traits", "t.address.zip": "event", "list": "properties.products",
		"own": "context.own", "own.x": "userId", "ct": "context.traits", "ct.list": "", "i": "integrations.Amplitude", "i.nested.on": "event", "page": "context.page"}
	e := desttest.Event(t, strings.Replace(shopEvent, `"context":{`, `"context":{"page":{"url":"u","extra":{"a":[1]}},`, 1))
	got := apply(t, dest.Hooks{Fields: fields, Edit: func(_ *analytics.Event, item map[string]any) error {
		scribble(item)
		return nil
	}}, e, `{}`)
	require.Contains(t, got, "scribble")
}

func TestHooksRefusals(t *testing.T) {
	e := desttest.Event(t, shopEvent)
	cycle := map[string]any{}
	cycle["self"] = cycle
	put := func(v any) func(*analytics.Event, map[string]any) error {
		return func(_ *analytics.Event, item map[string]any) error { item["v"] = v; return nil }
	}
	fail := func(err error) func(*analytics.Event, map[string]any) error {
		return func(*analytics.Event, map[string]any) error { return err }
	}
	for name, c := range map[string]struct {
		edit  func(*analytics.Event, map[string]any) error
		field string
	}{
		"a cycle": {put(cycle), "event"}, "a list with a cycle": {put([]any{cycle}), "event"}, "NaN": {put(math.NaN()), "event"},
		"infinity below": {put(map[string]any{"a": []any{math.Inf(-1)}}), "event"}, "a func": {put(func() {}), "event"},
		"a number that is none": {put(json.Number("1,2")), "event"},
		"plain":                 {fail(errors.New("not for us")), "Edit"}, "without a text": {fail(errors.New("")), "Edit"},
		"a word":           {fail(analytics.Permanent(errors.New("x"))), "Edit"},
		"with a field":     {fail(fmt.Errorf("wrapped: %w", &analytics.InvalidError{Field: "properties.x", Reason: "is odd"})), "properties.x"},
		"without a field":  {fail(&analytics.InvalidError{Reason: "is odd"}), "Edit"},
		"without a reason": {fail(&analytics.InvalidError{Field: "userId"}), "userId"},
	} {
		_, err := (&dest.Hooks{Edit: c.edit}).Apply(e, []byte(`{"a":1}`))
		requireInvalid(t, err)
		var invalid *analytics.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, c.field, invalid.Field, name)
		word, _ := analytics.Classify(err)
		require.Equal(t, analytics.WordAgain, word, name)
	}
	for _, ignored := range []error{analytics.ErrIgnored, fmt.Errorf("free plan: %w", analytics.ErrIgnored)} {
		_, err := (&dest.Hooks{Edit: fail(ignored)}).Apply(e, []byte(`{"a":1}`))
		require.ErrorIs(t, err, analytics.ErrIgnored)
	}
	for _, item := range []string{"", "{", "[]", "null", `"x"`, "1", "{}{}", `{"a":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + "}"} {
		_, err := (&dest.Hooks{Fields: map[string]string{"a.b": ""}}).Apply(e, []byte(item))
		requireInvalid(t, err)
	}
}

// A value that a plugin made and that has no JSON ends as invalid also through Fields.
func TestHooksFieldsOfOddValues(t *testing.T) {
	cycle := map[string]any{}
	cycle["self"] = cycle
	for name, v := range map[string]any{"cycle": cycle, "NaN below": []any{math.NaN()}} {
		_, err := (&dest.Hooks{Fields: map[string]string{"a": "properties.v"}}).Apply(&analytics.Event{Properties: map[string]any{"v": v}}, []byte(`{}`))
		requireInvalid(t, err)
		require.NotContains(t, err.Error(), "self", name)
	}
	e := &analytics.Event{Properties: map[string]any{"v": math.NaN()}}
	got, err := (&dest.Hooks{Fields: map[string]string{"a": "properties.v"}}).Apply(e, []byte(`{"a":1}`))
	require.NoError(t, err)
	require.Equal(t, `{"a":1}`, string(got))
}

func TestHooksApplyRaw(t *testing.T) {
	const track = `{"type":"track","event":"A","messageId":"m","userId":"u","zz":1.0,"properties":{"b":1,"a":9007199254740993}}`
	raw := []byte(track)
	same, err := (&dest.Hooks{}).ApplyRaw(raw)
	require.NoError(t, err)
	require.Same(t, &raw[0], &same[0])

	rename := dest.Hooks{EventNames: map[string]string{"A": "B"}}
	got, err := rename.ApplyRaw(raw)
	require.NoError(t, err)
	require.Equal(t, `{"event":"B","messageId":"m","properties":{"a":9007199254740993,"b":1},"type":"track","userId":"u","zz":1.0}`, string(got))
	require.Equal(t, track, string(raw))

	both := dest.Hooks{EventNames: rename.EventNames, Fields: map[string]string{"properties.was": "event", "zz": ""}, Edit: func(_ *analytics.Event, item map[string]any) error {
		item["edited"] = item["event"]
		return nil
	}}
	got, err = both.ApplyRaw(raw)
	require.NoError(t, err)
	require.Equal(t, `{"edited":"B","event":"B","messageId":"m","properties":{"a":9007199254740993,"b":1,"was":"A"},"type":"track","userId":"u"}`, string(got))

	// only track events have names
	page := []byte(`{"type":"page","event":"A","name":"A","messageId":"m"}`)
	got, err = rename.ApplyRaw(page)
	require.NoError(t, err)
	require.Same(t, &page[0], &got[0])

	_, err = (&dest.Hooks{EventName: func(string) string { return "" }}).ApplyRaw(raw)
	require.ErrorIs(t, err, analytics.ErrIgnored)
	for _, bad := range []string{"", "[]", "{", `{"type":"track"}}`} {
		_, err = rename.ApplyRaw([]byte(bad))
		requireInvalid(t, err)
	}
}

func TestRaw(t *testing.T) {
	for _, in := range append(desttest.Inputs(t), desttest.Wide(t)...) {
		raw, err := dest.Raw(in.Event)
		require.NoError(t, err)
		again, err := dest.Raw(desttest.Event(t, string(raw)))
		require.NoError(t, err)
		require.Equal(t, string(raw), string(again), in.ID)
		plain, err := json.Marshal(in.Event)
		require.NoError(t, err)
		require.JSONEq(t, string(plain), string(raw), in.ID)
		sorted(t, raw)
	}
	_, err := dest.Raw(&analytics.Event{Properties: map[string]any{"f": func() {}}})
	requireInvalid(t, err)
}

func FuzzHooksFields(f *testing.F) {
	for _, c := range [][2]string{{"a", "properties"}, {"a.b", "properties.products"}, {"a.b.0", ""}, {"", "userId"}, {"..", "traits"}, {"new.\xff", "context"},
		{"c", "context.traits.list.0"}, {"a", "nowhere"}, {"list", "integrations"}} {
		f.Add(c[0], c[1], "a.new", []byte(shopEvent))
	}
	f.Fuzz(func(t *testing.T, to, place, second string, raw []byte) {
		e := &analytics.Event{}
		if e.UnmarshalJSON(raw) != nil {
			return
		}
		before, _ := dest.Raw(e)
		h := dest.Hooks{Fields: map[string]string{to: place, second: "userId"}, Edit: func(_ *analytics.Event, item map[string]any) error {
			scribble(item)
			return nil
		}}
		const item = `{"a":{"b":[1,{"c":null}]},"c":"x","list":[]}`
		got, err := h.Apply(e, []byte(item))
		again, err2 := h.Apply(e, []byte(item))
		if fmt.Sprint(err) != fmt.Sprint(err2) || string(got) != string(again) {
			t.Fatalf("not the same twice:\n%s %v\n%s %v", got, err, again, err2)
		}
		if after, _ := dest.Raw(e); string(before) != string(after) {
			t.Fatalf("the event was changed:\n%s\n%s", before, after)
		}
		if err != nil {
			desttest.CheckError(t, err)
			return
		}
		if !json.Valid(got) || !utf8.Valid(got) {
			t.Fatalf("no JSON: %q", got)
		}
	})
}

func BenchmarkHooksApply(b *testing.B) {
	e := desttest.Inputs(b)[0].Event
	item, err := dest.Raw(e)
	require.NoError(b, err)
	for name, h := range map[string]dest.Hooks{
		"none":   {EventNames: map[string]string{"a": "b"}},
		"fields": {Fields: map[string]string{"plan": "context.traits.email", "properties.title": "", "properties.ip": "context.ip"}},
		"edit":   {Edit: func(_ *analytics.Event, item map[string]any) error { item["x"] = "y"; return nil }},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := h.Apply(e, item); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
