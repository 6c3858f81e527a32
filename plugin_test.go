package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// nothing is a plugin that does nothing.
type nothing struct{}

func (nothing) Process(context.Context, *analytics.Event) error { return nil }

// brittle is a plugin that panics.
type brittle struct{ with any }

func (b *brittle) Process(context.Context, *analytics.Event) error { panic(b.with) }

// plug makes a client with plugins of these funcs.
func plug(t *testing.T, fs ...func(context.Context, *analytics.Event) error) *recording {
	var plugins []analytics.Plugin
	for _, f := range fs {
		plugins = append(plugins, analytics.PluginFunc(f))
	}
	return newRecording(t, analytics.Config{Plugins: plugins})
}

// changing makes a client with one plugin that changes the event.
func changing(t *testing.T, f func(*analytics.Event)) *recording {
	return plug(t, func(_ context.Context, e *analytics.Event) error {
		f(e)
		return nil
	})
}

var aTrack = analytics.Track{MessageID: "m", UserID: "u", Event: "E", Timestamp: orderTime, Properties: map[string]any{"a": 1, "nested": map[string]any{"b": 2}}}

func TestPluginsRunInOrder(t *testing.T) {
	note := func(name string) func(context.Context, *analytics.Event) error {
		return func(_ context.Context, e *analytics.Event) error {
			order, _ := e.Properties["order"].(string)
			e.Properties["order"] = order + name
			return nil
		}
	}
	r := plug(t, note("a"), note("b"), note("c"))
	require.Equal(t, `"abc"`, get(t, r.sent(t.Context(), aTrack), "properties.order"))
}

func TestPluginsSeeTheWholeEvent(t *testing.T) {
	var seen *analytics.Event
	var seenCtx context.Context
	r := plug(t, func(ctx context.Context, e *analytics.Event) error {
		seen, seenCtx = e.Clone(), ctx
		return nil
	})
	type key struct{}
	ctx := analytics.NewIdentity(analytics.NewContext(context.WithValue(t.Context(), key{}, 7), &analytics.Context{IP: "1.2.3.4"}), analytics.Identity{AnonymousID: "a"})
	r.sent(ctx, aTrack)
	require.Equal(t, 7, seenCtx.Value(key{}))
	require.Equal(t, analytics.CallTrack, seen.Type)
	require.Equal(t, "m", seen.MessageID)
	require.Equal(t, "a", seen.AnonymousID)
	require.Equal(t, "1.2.3.4", seen.Context.IP)
	require.NotEmpty(t, seen.Context.Library.Name)
	require.True(t, orderTime.Equal(seen.Timestamp))

	r.sent(t.Context(), analytics.Track{UserID: "u", Event: "E"})
	require.Len(t, seen.MessageID, 36)
	require.WithinDuration(t, time.Now(), seen.Timestamp, time.Minute)
}

func TestPluginsChangeAnEventOfTheirOwn(t *testing.T) {
	var kept *analytics.Event
	r := changing(t, func(e *analytics.Event) {
		e.Properties["nested"].(map[string]any)["b"] = "changed"
		e.Properties["new"] = "x"
		e.Context.Traits["t"] = "changed"
		e.Integrations["All"] = false
		e.Event += "!"
		kept = e
	})
	properties := map[string]any{"nested": map[string]any{"b": 2}}
	traits, integrations := analytics.Traits{"t": 1}, analytics.Integrations{"All": true}
	m := analytics.Track{UserID: "u", Event: "E", Properties: properties, Context: &analytics.Context{Traits: traits}, Integrations: integrations}
	require.NoError(t, r.Enqueue(t.Context(), m))
	kept.Properties["later"], kept.UserID = 1, "later"
	doc := r.wire()[0]
	require.JSONEq(t, `{"nested":{"b":"changed"},"new":"x"}`, get(t, doc, "properties"))
	require.Equal(t, `"E!"`, get(t, doc, "event"))
	require.Equal(t, `"u"`, get(t, doc, "userId"))
	require.Equal(t, map[string]any{"nested": map[string]any{"b": 2}}, properties)
	require.Equal(t, analytics.Traits{"t": 1}, traits)
	require.Equal(t, analytics.Integrations{"All": true}, integrations)

	e := decoded(t, `{"type":"track","userId":"u","event":"E","properties":{"nested":{"b":2}},"context":{"traits":{"t":1}},"integrations":{"All":true}}`)
	before := e.Clone()
	require.NoError(t, r.Enqueue(t.Context(), e))
	require.Equal(t, before, e)
}

func TestDropIsFilteredAndNoError(t *testing.T) {
	for name, drop := range map[string]error{"Drop": analytics.Drop("why"), "wrapped": fmt.Errorf("plugin: %w", analytics.Drop("why"))} {
		t.Run(name, func(t *testing.T) {
			later := 0
			r := plug(t, func(_ context.Context, e *analytics.Event) error {
				if e.Event == "E" {
					return drop
				}
				return nil
			}, func(context.Context, *analytics.Event) error { later++; return nil })
			require.NoError(t, r.Enqueue(t.Context(), aTrack))
			require.NoError(t, r.Track(t.Context(), analytics.Track{UserID: "u", Event: "Other"}))
			require.Len(t, r.wire(), 1)
			stats := r.Stats()
			require.EqualValues(t, 1, stats.Filtered)
			require.EqualValues(t, 1, stats.Accepted)
			require.Equal(t, 1, later, "what is dropped is not shown to later plugins")
		})
	}
	require.ErrorContains(t, analytics.Drop("why"), "why")
}

func TestErrorOfAPluginIsTheErrorOfTheCall(t *testing.T) {
	no := errors.New("no")
	fail := true
	r := plug(t, func(context.Context, *analytics.Event) error {
		if fail {
			return no
		}
		return nil
	})
	before := r.Stats()
	require.ErrorIs(t, r.Track(t.Context(), aTrack), no)
	require.Equal(t, before, r.Stats())
	fail = false
	r.sent(t.Context(), aTrack)
}

func TestPanicOfAPluginNamesItsType(t *testing.T) {
	for _, with := range []any{secret, errors.New(secret), fmt.Errorf("x: %w", analytics.Drop(secret)), 7, nil} {
		r := newRecording(t, analytics.Config{Plugins: []analytics.Plugin{&brittle{with}}})
		before := r.Stats()
		var err error
		require.NotPanics(t, func() { err = r.Track(context.Background(), aTrack) })
		require.ErrorContains(t, err, "*analytics_test.brittle")
		require.NotContains(t, err.Error(), secret)
		require.Equal(t, before, r.Stats(), "not filtered, not accepted")
	}
	t.Run("a nil pointer as plugin", func(t *testing.T) {
		r := newRecording(t, analytics.Config{Plugins: []analytics.Plugin{(*brittle)(nil)}})
		require.ErrorContains(t, r.Track(t.Context(), aTrack), "*analytics_test.brittle")
	})
	t.Run("a nil plugin is a fault of the configuration", func(t *testing.T) {
		_, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{&recorder{}}, Plugins: []analytics.Plugin{nothing{}, nil}})
		require.ErrorContains(t, err, "Plugins[1]")
	})
}

func TestWhatPluginsChangeIsCheckedAgain(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*analytics.Event)
		fields []string
	}{
		"no ids":              {func(e *analytics.Event) { e.UserID = "" }, []string{"userId"}},
		"no event":            {func(e *analytics.Event) { e.Event = "" }, []string{"event"}},
		"long messageId":      {func(e *analytics.Event) { e.MessageID = strings.Repeat("x", 101) }, []string{"messageId"}},
		"unknown type":        {func(e *analytics.Event) { e.Type = "click" }, []string{"type"}},
		"year 10000":          {func(e *analytics.Event) { e.Timestamp = time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC) }, []string{"timestamp"}},
		"NaN":                 {func(e *analytics.Event) { e.Properties["a"] = math.NaN() }, []string{"properties.a"}},
		"channel in Extra":    {func(e *analytics.Event) { e.Extra = map[string]any{"x": make(chan int)} }, []string{"x"}},
		"channel in context":  {func(e *analytics.Event) { e.Context.Extra = map[string]any{"x": make(chan int)} }, []string{"context.x"}},
		"another call":        {func(e *analytics.Event) { e.Type = "group" }, []string{"groupId"}},
		"too large":           {func(e *analytics.Event) { e.Properties["a"] = strings.Repeat("x", 32_768) }, []string{"message"}},
		"everything":          {func(e *analytics.Event) { *e = analytics.Event{} }, []string{"type", "userId"}},
		"properties in Extra": {func(e *analytics.Event) { e.Properties, e.Extra = nil, map[string]any{"properties": 5} }, []string{"properties"}},
		"a number as userId":  {func(e *analytics.Event) { e.UserID, e.Extra = "", map[string]any{"userId": 5} }, []string{"userId"}},
		"cycle":               {func(e *analytics.Event) { e.Properties["p"] = e.Properties }, []string{"properties." + strings.Repeat("p.", 97) + "p"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := changing(t, func(e *analytics.Event) {
				if e.Event != "After" {
					tt.change(e)
				}
			})
			fields := faultsOf(t, r.refused(aTrack))
			if name == "cycle" {
				require.Len(t, fields, 1)
				require.True(t, strings.HasPrefix(fields[0], "properties.p.p."))
				return
			}
			require.Equal(t, tt.fields, fields)
		})
	}
}

// What a plugin takes away stays away, wherever it came from: that is what plugins
// for privacy do.
func TestPluginsCanRemove(t *testing.T) {
	cfg := analytics.Config{Context: &analytics.Context{IP: "1.2.3.4", Locale: "de", Extra: map[string]any{"x": 1}, Traits: analytics.Traits{"email": "e"}, App: analytics.App{Name: "A", Version: "1"}}}
	ctx := analytics.NewIdentity(analytics.NewContext(t.Context(), &analytics.Context{UserAgent: "UA"}), analytics.Identity{AnonymousID: "a"})
	for name, tt := range map[string]struct {
		change func(*analytics.Event)
		gone   []string
	}{
		"ids of ctx":                  {func(e *analytics.Event) { e.AnonymousID = "" }, []string{"anonymousId"}},
		"properties":                  {func(e *analytics.Event) { e.Properties = nil }, []string{"properties"}},
		"facts of ctx":                {func(e *analytics.Event) { e.Context.UserAgent = "" }, []string{"context.userAgent"}},
		"a field of Config.Context":   {func(e *analytics.Event) { e.Context.IP = "" }, []string{"context.ip"}},
		"Extra of Config.Context":     {func(e *analytics.Event) { delete(e.Context.Extra, "x") }, []string{"context.x"}},
		"traits of Config.Context":    {func(e *analytics.Event) { e.Context.Traits = nil }, []string{"context.traits"}},
		"part of a part":              {func(e *analytics.Event) { e.Context.App.Version = "" }, []string{"context.app.version"}},
		"the whole context":           {func(e *analytics.Event) { e.Context = nil }, []string{"context.ip", "context.userAgent", "context.app", "context.x"}},
		"the context by an empty one": {func(e *analytics.Event) { e.Context = &analytics.Context{} }, []string{"context.ip", "context.userAgent", "context.app", "context.x"}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.Plugins = []analytics.Plugin{analytics.PluginFunc(func(_ context.Context, e *analytics.Event) error { tt.change(e); return nil })}
			doc := newRecording(t, cfg).sent(ctx, aTrack)
			for _, path := range tt.gone {
				require.Empty(t, get(t, withContext(t, doc), path), path)
			}
		})
	}
}

// withContext makes sure that paths into the context can be followed.
func withContext(t *testing.T, doc string) string {
	if get(t, doc, "context") == "" {
		return strings.Replace(doc, "{", `{"context":{},`, 1)
	}
	return doc
}

func TestPluginsMayClearWhatEveryMessageHas(t *testing.T) {
	r := changing(t, func(e *analytics.Event) { e.MessageID, e.Timestamp = "", time.Time{} })
	doc := r.sent(t.Context(), aTrack)
	require.Len(t, get(t, doc, "messageId"), 38)
	require.NotContains(t, get(t, doc, "timestamp"), "2026-01-02")
}

// With plugins the event is decoded and encoded again; that must not show.
func TestPluginsThatDoNothingChangeNothing(t *testing.T) {
	plain, plugged := newRecording(t, analytics.Config{}), newRecording(t, analytics.Config{Plugins: []analytics.Plugin{nothing{}}})
	for _, g := range goldens() {
		require.Equal(t, exactly(t, plain.sent(t.Context(), g.m)), exactly(t, plugged.sent(t.Context(), g.m)), g.file)
	}
	m := analytics.Track{MessageID: "m", UserID: "u", Event: "E", Timestamp: orderTime.Add(123), Properties: map[string]any{"i": int64(1<<53 + 1), "n": nil, "e": map[string]any{}, "l": []int{}, "f": 1e300, "s": "\x00\xff"}}
	require.Equal(t, exactly(t, plain.sent(t.Context(), m)), exactly(t, plugged.sent(t.Context(), m)))
}
