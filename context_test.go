package analytics_test

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// contextOf parses the JSON of a context; nil of "".
func contextOf(t *testing.T, doc string) *analytics.Context {
	t.Helper()
	if doc == "" {
		return nil
	}
	return decoded(t, `{"context":`+doc+`}`).Context
}

func TestContextsAreMergedFieldByField(t *testing.T) {
	const lib = `"library":{"name":"L","version":"1"}`
	for _, tt := range []struct{ name, given, ctx, config, want string }{
		{"nothing", ``, ``, `{}`, `{}`},
		{"given only", `{"ip":"g"}`, ``, `{}`, `{"ip":"g"}`},
		{"ctx only", ``, `{"ip":"c"}`, `{}`, `{"ip":"c"}`},
		{"Config only", ``, ``, `{"ip":"f"}`, `{"ip":"f"}`},
		{"given over ctx over Config", `{"ip":"g"}`, `{"ip":"c","locale":"c"}`, `{"ip":"f","locale":"f","timezone":"f"}`, `{"ip":"g","locale":"c","timezone":"f"}`},
		{"parts by their fields", `{"app":{"name":"g"}}`, `{"app":{"name":"c","version":"c"}}`, `{"app":{"name":"f","version":"f","build":"f"},"os":{"name":"f"}}`, `{"app":{"name":"g","version":"c","build":"f"},"os":{"name":"f"}}`},
		{"unknown keys", `{"x":"g"}`, `{"x":"c","y":"c"}`, `{"x":"f","y":"f","z":"f"}`, `{"x":"g","y":"c","z":"f"}`},
		{"unknown keys of parts", `{"app":{"x":"g"}}`, `{"app":{"x":"c","y":"c"}}`, `{"app":{"x":"f","z":"f"}}`, `{"app":{"x":"g","y":"c","z":"f"}}`},
		{"false is a value", `{"active":false,"network":{"wifi":false}}`, `{"active":true,"network":{"wifi":true,"cellular":false}}`, `{"active":true,"direct":false,"network":{"cellular":true}}`, `{"active":false,"direct":false,"network":{"wifi":false,"cellular":false}}`},
		{"0 is a value", `{"location":{"latitude":0}}`, `{"location":{"latitude":1,"longitude":0}}`, `{"location":{"longitude":2,"speed":3}}`, `{"location":{"latitude":0,"longitude":0,"speed":3}}`},
		{"null is a value", `{"ip":null}`, `{"ip":"c","locale":null}`, `{"ip":"f","locale":"f"}`, `{"ip":null,"locale":null}`},
		{"empty is a value", `{"ip":""}`, `{"ip":"c","locale":""}`, `{"ip":"f","locale":"f"}`, `{"ip":"","locale":""}`},
		{"a value over null", `{"ip":"g"}`, `{"ip":null,"locale":"c"}`, `{"ip":"f","locale":null}`, `{"ip":"g","locale":"c"}`},
		{"a value over empty", `{"ip":"g"}`, `{"ip":"","locale":"c"}`, `{"locale":""}`, `{"ip":"g","locale":"c"}`},
		{"null inside a part", `{"app":{"name":null}}`, `{"app":{"name":"c","version":""}}`, `{"app":{"name":"f","version":"f"}}`, `{"app":{"name":null,"version":""}}`},
		{"null in place of a part", `{"app":null}`, `{"app":{"name":"c"}}`, `{"app":{"version":"f"}}`, `{"app":null}`},
		{"null of ctx in place of a part", ``, `{"app":null}`, `{"app":{"version":"f"}}`, `{"app":null}`},
		{"a part over null", `{"app":{"name":"g"}}`, `{"app":null}`, `{"app":null}`, `{"app":{"name":"g"}}`},
		{"an empty part does not hide one", `{"app":{}}`, ``, `{"os":{"name":"f"}}`, `{"app":{},"os":{"name":"f"}}`},
		{"lists are not merged", `{"externalIds":[{"id":"g"}]}`, `{"externalIds":[{"id":"c"},{"id":"d"}]}`, `{}`, `{"externalIds":[{"id":"g"}]}`},
		{"an empty list is a value", `{"externalIds":[]}`, `{"externalIds":[{"id":"c"}]}`, `{}`, `{"externalIds":[]}`},
		{"traits are not merged", `{"traits":{"a":"g"}}`, `{"traits":{"b":"c"}}`, `{"traits":{"c":"f"}}`, `{"traits":{"a":"g"}}`},
		{"empty traits are a value", `{"traits":{}}`, `{"traits":{"b":"c"}}`, `{}`, `{"traits":{}}`},
		{"preferences are not merged", `{"consent":{"categoryPreferences":{"a":true}}}`, `{"consent":{"categoryPreferences":{"b":true},"version":2}}`, `{}`, `{"consent":{"categoryPreferences":{"a":true},"version":2}}`},
		{"empty preferences are a value", `{"consent":{"categoryPreferences":{}}}`, `{"consent":{"categoryPreferences":{"b":true}}}`, `{}`, `{"consent":{"categoryPreferences":{}}}`},
		{"wrong kinds are values", `{"screen":{"width":"wide"}}`, `{"screen":{"width":1,"height":"c"}}`, `{"screen":{"height":2,"density":3}}`, `{"screen":{"width":"wide","height":"c","density":3}}`},
		{"zeros in Extra are values", `{"screen":{"width":0}}`, `{"screen":{"width":1}}`, `{}`, `{"screen":{"width":0}}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			config := contextOf(t, tt.config)
			config.Library = analytics.Library{Name: "L", Version: "1"}
			r := newRecording(t, analytics.Config{Context: config})
			want := `{` + lib + `}`
			if tt.want != `{}` {
				want = tt.want[:len(tt.want)-1] + `,` + lib + `}`
			}
			ctx := t.Context()
			if tt.ctx != "" {
				ctx = analytics.NewContext(ctx, contextOf(t, tt.ctx))
			}
			given := contextOf(t, tt.given)
			untouched := given
			if given != nil {
				untouched = (&analytics.Event{Context: given}).Clone().Context
			}
			for range 2 { // a call leaves nothing for the next one
				require.JSONEq(t, want, get(t, r.sent(ctx, analytics.Track{UserID: "u", Event: "E", Context: given}), "context"))
				require.JSONEq(t, want, get(t, r.sent(ctx, analytics.Event{Type: "track", UserID: "u", Event: "E", Context: given}), "context"))
				require.Equal(t, untouched, given, "the caller's context is not changed")
			}
			require.JSONEq(t, withLibrary(tt.config, lib), get(t, r.sent(t.Context(), analytics.Identify{UserID: "u"}), "context"))

			// NewContext merges in the same way.
			outer := analytics.NewContext(analytics.NewContext(t.Context(), config), contextOf(t, tt.ctx))
			all := analytics.NewContext(outer, given)
			plain := newRecording(t, analytics.Config{})
			require.JSONEq(t, want, get(t, plain.sent(all, analytics.Track{UserID: "u", Event: "E"}), "context"))
			require.JSONEq(t, want, get(t, plain.sent(t.Context(), analytics.Track{UserID: "u", Event: "E", Context: analytics.FromContext(all)}), "context"))
		})
	}
}

func withLibrary(doc, lib string) string {
	if doc == `{}` {
		return `{` + lib + `}`
	}
	return doc[:len(doc)-1] + `,` + lib + `}`
}

func TestLibraryIsAddedAndCanBeSet(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	library := func(r *recording, c *analytics.Context) string {
		return get(t, r.sent(t.Context(), analytics.Track{UserID: "u", Event: "E", Context: c}), "context.library")
	}
	ours := library(r, nil)
	require.JSONEq(t, `"`+analytics.Version+`"`, get(t, ours, "version"))
	require.Equal(t, []string{"name", "version"}, keysOf(t, ours))
	require.JSONEq(t, ours, library(r, &analytics.Context{IP: "1.2.3.4"}))
	require.JSONEq(t, `{"name":"mine","version":"9"}`, library(r, &analytics.Context{Library: analytics.Library{Name: "mine", Version: "9"}}))
	require.JSONEq(t, `{"name":"mine","version":"9","x":1}`, library(r, &analytics.Context{Library: analytics.Library{Name: "mine", Version: "9", Extra: map[string]any{"x": 1}}}))
	require.Equal(t, `null`, library(r, &analytics.Context{Extra: map[string]any{"library": nil}}))
	require.Equal(t, `"old"`, library(r, &analytics.Context{Extra: map[string]any{"library": "old"}}))
	r = newRecording(t, analytics.Config{Context: &analytics.Context{Library: analytics.Library{Name: "mine", Version: "9"}}})
	require.JSONEq(t, `{"name":"mine","version":"9"}`, library(r, nil))
}

// A library's name with the version of another one would be a lie.
func TestNameAndVersionOfTheLibraryGoTogether(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	doc := r.sent(t.Context(), analytics.Track{UserID: "u", Event: "E", Context: &analytics.Context{Library: analytics.Library{Name: "mine"}}})
	require.JSONEq(t, `{"name":"mine"}`, get(t, doc, "context.library"))
}

func TestObjectHasNoContext(t *testing.T) {
	r := newRecording(t, analytics.Config{Context: &analytics.Context{IP: "1.2.3.4"}})
	ctx := analytics.NewIdentity(analytics.NewContext(t.Context(), &analytics.Context{Locale: "de"}), analytics.Identity{UserID: "u", AnonymousID: "a"})
	doc := r.sent(ctx, analytics.Object{Collection: "rooms", ID: "1", Properties: map[string]any{}})
	require.Equal(t, []string{"collection", "id", "messageId", "properties", "timestamp", "type"}, keysOf(t, doc))
}

func TestIdentityOfCtxFillsEmptyIDs(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	both := analytics.NewIdentity(t.Context(), analytics.Identity{UserID: "cu", AnonymousID: "ca"})
	anonymous := analytics.NewIdentity(t.Context(), analytics.Identity{AnonymousID: "ca"})
	for _, tt := range []struct {
		name            string
		ctx             context.Context
		m               analytics.Message
		user, anonymous string
	}{
		{"both from ctx", both, analytics.Track{Event: "E"}, `"cu"`, `"ca"`},
		{"given over ctx", both, analytics.Track{UserID: "u", AnonymousID: "a", Event: "E"}, `"u"`, `"a"`},
		{"one of each", both, analytics.Identify{UserID: "u"}, `"u"`, `"ca"`},
		{"one only", anonymous, analytics.Page{}, ``, `"ca"`},
		{"group", both, analytics.Group{GroupID: "g"}, `"cu"`, `"ca"`},
		{"screen", anonymous, analytics.Screen{UserID: "u"}, `"u"`, `"ca"`},
		{"event", both, analytics.Event{Type: "track", Event: "E"}, `"cu"`, `"ca"`},
		{"alias takes none", both, analytics.Alias{UserID: "u", PreviousID: "p"}, `"u"`, ``},
		{"nested, filled up", analytics.NewIdentity(anonymous, analytics.Identity{UserID: "inner"}), analytics.Track{Event: "E"}, `"inner"`, `"ca"`},
		{"nested, replaced", analytics.NewIdentity(both, analytics.Identity{UserID: "inner"}), analytics.Track{Event: "E"}, `"inner"`, `"ca"`},
		{"nested, empty", analytics.NewIdentity(both, analytics.Identity{}), analytics.Track{Event: "E"}, `"cu"`, `"ca"`},
		{"beside a context", analytics.NewContext(both, &analytics.Context{IP: "1"}), analytics.Track{Event: "E"}, `"cu"`, `"ca"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := r.on(t).sent(tt.ctx, tt.m)
			require.Equal(t, tt.user, get(t, doc, "userId"))
			require.Equal(t, tt.anonymous, get(t, doc, "anonymousId"))
		})
	}
	require.Equal(t, []string{"userId"}, faultsOf(t, r.Enqueue(both, analytics.Alias{PreviousID: "p"})))
	require.Equal(t, analytics.Identity{UserID: "cu", AnonymousID: "ca"}, analytics.IdentityFromContext(both))
	require.Zero(t, analytics.IdentityFromContext(t.Context()))
	require.Nil(t, analytics.FromContext(both))
}

func TestNewContextReadsNow(t *testing.T) {
	require.Nil(t, analytics.FromContext(t.Context()))
	c := &analytics.Context{IP: "1", Extra: map[string]any{"x": map[string]any{"y": 1}}, Traits: analytics.Traits{"l": []any{1}}, Active: analytics.Ptr(true), App: analytics.App{Extra: map[string]any{"z": 1}}}
	ctx := analytics.NewContext(t.Context(), c)
	c.IP, *c.Active, c.App.Extra["z"] = "2", false, 2
	c.Extra["x"].(map[string]any)["y"] = 2
	c.Traits["l"].([]any)[0] = 2
	got := analytics.FromContext(ctx)
	require.Equal(t, &analytics.Context{IP: "1", Extra: map[string]any{"x": map[string]any{"y": 1}}, Traits: analytics.Traits{"l": []any{1}}, Active: analytics.Ptr(true), App: analytics.App{Extra: map[string]any{"z": 1}}}, got)
	got.IP, got.Extra["x"] = "3", 3
	require.Equal(t, "1", analytics.FromContext(ctx).IP, "FromContext returns a copy")
	require.Equal(t, map[string]any{"y": 1}, analytics.FromContext(ctx).Extra["x"])

	nested := analytics.NewContext(ctx, &analytics.Context{Locale: "de", App: analytics.App{Extra: map[string]any{"z": 5}}})
	require.Equal(t, "1", analytics.FromContext(nested).IP)
	require.Equal(t, map[string]any{"z": 5}, analytics.FromContext(nested).App.Extra)
	require.Equal(t, map[string]any{"z": 1}, analytics.FromContext(ctx).App.Extra, "the outer one is as it was")
	require.Equal(t, "1", analytics.FromContext(analytics.NewContext(ctx, nil)).IP)
}

// Traits and Extra may hold any kind of map and list, as properties may.
func TestContextsAreReadWhenGiven(t *testing.T) {
	kinds := map[string]func() (value any, change func()){
		"[]string":          func() (any, func()) { v := []string{"a"}; return v, func() { v[0] = "changed" } },
		"map[string]string": func() (any, func()) { v := map[string]string{"k": "a"}; return v, func() { v["k"] = "changed" } },
		"Traits":            func() (any, func()) { v := analytics.Traits{"k": "a"}; return v, func() { v["k"] = "changed" } },
		"[]map[string]any":  func() (any, func()) { v := []map[string]any{{"k": "a"}}; return v, func() { v[0]["k"] = "changed" } },
	}
	for name, kind := range kinds {
		t.Run(name+" in NewContext", func(t *testing.T) {
			v, change := kind()
			ctx := analytics.NewContext(t.Context(), &analytics.Context{Traits: analytics.Traits{"v": v}, Extra: map[string]any{"v": v}})
			change()
			require.NotContains(t, newRecording(t, analytics.Config{}).sent(ctx, aTrack), "changed")
		})
		t.Run(name+" in Config", func(t *testing.T) {
			v, change := kind()
			r := newRecording(t, analytics.Config{Context: &analytics.Context{Traits: analytics.Traits{"v": v}, Extra: map[string]any{"v": v}}})
			change()
			require.NotContains(t, r.sent(t.Context(), aTrack), "changed")
			m := aTrack
			m.Context = &analytics.Context{IP: "1.2.3.4"} // merged, not taken as encoded
			require.NotContains(t, r.sent(t.Context(), m), "changed")
		})
	}
}

func TestConfigContextIsNotWrittenTo(t *testing.T) {
	c := &analytics.Context{IP: "1", Extra: map[string]any{"x": 1}}
	r := newRecording(t, analytics.Config{Context: c})
	m := aTrack
	m.Context = &analytics.Context{Extra: map[string]any{"y": 1}, App: analytics.App{Extra: map[string]any{"z": 1}}}
	r.sent(analytics.NewContext(t.Context(), &analytics.Context{Extra: map[string]any{"w": 1}}), m)
	require.Equal(t, &analytics.Context{IP: "1", Extra: map[string]any{"x": 1}}, c)
	require.Equal(t, map[string]any{"y": 1}, m.Context.Extra)
}

func TestContextsMayBeSharedBetweenCalls(t *testing.T) {
	r := newRecording(t, analytics.Config{Context: &analytics.Context{Extra: map[string]any{"f": 1}, Traits: analytics.Traits{"f": 1}}})
	ctx := analytics.NewContext(t.Context(), &analytics.Context{Extra: map[string]any{"c": 1}, App: analytics.App{Extra: map[string]any{"c": 1}}})
	given := &analytics.Context{Extra: map[string]any{"g": 1}, App: analytics.App{Extra: map[string]any{"g": 1}}, Active: analytics.Ptr(true)}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 50 {
				_ = r.Track(ctx, analytics.Track{UserID: fmt.Sprint("u", i), Event: "E", Context: given})
				_ = r.Track(analytics.NewContext(ctx, given), analytics.Track{UserID: "u", Event: "E"})
			}
		})
	}
	wg.Wait()
	events := r.wire()
	require.Len(t, events, 800)
	for _, doc := range events {
		c := get(t, doc, "context")
		require.JSONEq(t, `{"c":1,"g":1}`, get(t, c, "app"))
		require.Equal(t, []string{"1", "1", "1"}, []string{get(t, c, "c"), get(t, c, "g"), get(t, c, "f")})
	}
}

// Every field of every part is encoded, decoded, merged and copied.
func TestEveryFieldOfContextIsVisited(t *testing.T) {
	full := &analytics.Context{}
	fillFields(t, reflect.ValueOf(full).Elem(), 0)
	e := &analytics.Event{Context: full}
	b, err := e.MarshalJSON()
	require.NoError(t, err)
	var back analytics.Event
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, full, back.Context, "encoded and decoded")
	require.Equal(t, full, e.Clone().Context, "cloned")
	require.Equal(t, full, analytics.FromContext(analytics.NewContext(analytics.NewContext(t.Context(), full), &analytics.Context{})), "merged")
}

func fillFields(t *testing.T, v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			fillFields(t, v.Field(i), n*30+i+1)
		}
	case reflect.String:
		v.SetString(fmt.Sprint("s", n))
	case reflect.Int:
		v.SetInt(int64(n))
	case reflect.Float64:
		v.SetFloat(float64(n) + 0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillFields(t, v.Elem(), n)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fillFields(t, v.Index(0), n*2)
		fillFields(t, v.Index(1), n*2+1)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		if value.Kind() == reflect.Interface {
			value.Set(reflect.ValueOf(fmt.Sprint("m", n)))
		} else {
			fillFields(t, value, n)
		}
		v.SetMapIndex(reflect.ValueOf(fmt.Sprint("k", n)), value)
	default:
		t.Fatalf("a field of kind %s", v.Kind())
	}
}
