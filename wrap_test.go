package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
)

// rawTool is a tool with the raw path.
type rawTool struct {
	*tool
	raw int
}

func (d *rawTool) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	d.raw++
	return analytics.Item{ID: h.MessageID, Body: raw}, nil
}

// inbox notes what arrives, by destination.
type inbox struct {
	mu      sync.Mutex
	letters []analytics.DeadLetter
}

func (b *inbox) bury(l analytics.DeadLetter) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.letters = append(b.letters, l)
	return nil
}

// deliverAll sends messages through a client with these destinations and returns
// its last account.
func deliverAll(t *testing.T, box *inbox, dests []analytics.Destination, messages ...analytics.Message) map[string]analytics.DestinationStats {
	t.Helper()
	client := start(t, analytics.Config{Destinations: dests, DeadLetters: box.bury, Logger: quiet})
	for _, m := range messages {
		require.NoError(t, client.Enqueue(t.Context(), m))
	}
	require.NoError(t, client.Close(t.Context()))
	return client.Stats().Destinations
}

func seen(d *tool) *[]string {
	events := &[]string{}
	var mu sync.Mutex
	d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
		b, err := e.AppendJSON(nil)
		return []analytics.Item{{Body: b}}, err
	}
	d.deliver = func(_ context.Context, b *analytics.Batch) error {
		mu.Lock()
		defer mu.Unlock()
		for _, it := range b.Items {
			*events = append(*events, string(it.Body))
		}
		return nil
	}
	return events
}

func plugin(f func(*analytics.Event) error) analytics.Plugin {
	return analytics.PluginFunc(func(_ context.Context, e *analytics.Event) error { return f(e) })
}

func order(id string) analytics.Track {
	return analytics.Track{
		MessageID: id, UserID: "u", Event: "Order Completed", Timestamp: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		Properties: map[string]any{"revenue": 5, "items": []any{map[string]any{"sku": "a"}}},
		Context:    &analytics.Context{IP: "1.2.3.4", Traits: analytics.Traits{"plan": "x"}},
	}
}

func TestWithWorksOnACopy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		vandal := plugin(func(e *analytics.Event) error {
			e.Event, e.UserID = "changed", "changed"
			e.Properties["items"].([]any)[0].(map[string]any)["sku"] = "changed"
			delete(e.Properties, "revenue")
			e.Context.IP = "changed"
			e.Context.Traits["plan"] = "changed"
			return nil
		})
		first, last, changed := named("first"), named("last"), named("changed")
		events := []*[]string{seen(first), seen(last), seen(changed)}
		stats := deliverAll(t, &inbox{}, []analytics.Destination{first, analytics.With(changed, vandal), last}, order("m1"), order("m2"))
		require.Equal(t, uint64(2), stats["changed"].Delivered)
		for _, list := range events[:2] {
			require.Len(t, *list, 2)
			for _, e := range *list {
				require.NotContains(t, e, "changed")
				require.Contains(t, e, `"revenue":5`)
			}
		}
		require.Len(t, *events[2], 2)
		for _, e := range *events[2] {
			var got struct {
				Event, UserID string
				Properties    struct{ Items []struct{ SKU string } }
				Context       struct {
					IP     string
					Traits struct{ Plan string }
				}
			}
			require.NoError(t, json.Unmarshal([]byte(e), &got))
			require.Equal(t, "changed", got.Event)
			require.Equal(t, "changed", got.Properties.Items[0].SKU)
			require.Equal(t, "changed", got.Context.IP)
			require.Equal(t, "changed", got.Context.Traits.Plan)
			require.NotContains(t, e, "revenue")
		}
	})
}

func TestWithDropsAndFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cause := errors.New("no rule for it")
		choosy := plugin(func(e *analytics.Event) error {
			switch e.MessageID {
			case "drop":
				return analytics.Drop("sampled")
			case "fail":
				return cause
			case "panic":
				panic("a value with a secret")
			case "ignored":
				return analytics.ErrIgnored
			}
			return nil
		})
		var after []string
		second := plugin(func(e *analytics.Event) error { after = append(after, e.MessageID); return nil })
		a := named("A")
		events := seen(a)
		plugins := []analytics.Plugin{choosy, second}
		dest := analytics.With(a, plugins...)
		plugins[0] = nil // With keeps a list of its own
		box := &inbox{}
		stats := deliverAll(t, box, []analytics.Destination{dest}, order("drop"), order("fail"), order("panic"), order("ignored"), order("ok"))["A"]
		require.Equal(t, uint64(1), stats.Delivered)
		require.Len(t, *events, 1)
		require.Equal(t, []string{"ok"}, after, "the first error ends the row")
		require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonPlugin: 1, analytics.ReasonIgnored: 1}, stats.Filtered)
		require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonInvalid: 1, analytics.ReasonPanic: 1}, stats.Dropped)
		require.Len(t, box.letters, 2)
		for _, l := range box.letters {
			require.Contains(t, []string{"fail", "panic"}, l.MessageID)
			require.NotContains(t, l.Error, "secret")
			if l.MessageID == "fail" {
				require.Equal(t, "no rule for it", l.Error)
			}
			require.Contains(t, string(l.Event), `"Order Completed"`)
			require.Zero(t, l.Attempts)
		}
	})
}

func TestWithSeesEventsThatHaveARawPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, wrap := range map[string]func(analytics.Destination, analytics.Plugin) analytics.Destination{
			"With": func(d analytics.Destination, p analytics.Plugin) analytics.Destination { return analytics.With(d, p) },
			"Named With": func(d analytics.Destination, p analytics.Plugin) analytics.Destination {
				return analytics.Named("N", analytics.With(d, p))
			},
			"With Named": func(d analytics.Destination, p analytics.Plugin) analytics.Destination {
				return analytics.With(analytics.Named("N", d), p)
			},
		} {
			calls := 0
			raw := &rawTool{tool: named("A")}
			dest := wrap(raw, plugin(func(*analytics.Event) error { calls++; return nil }))
			stats := deliverAll(t, &inbox{}, []analytics.Destination{dest}, order("m1"), order("m2"))
			require.Equal(t, 2, calls, name)
			require.Zero(t, raw.raw, name)
			require.Len(t, stats, 1)
		}
	})
}

func TestNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first, second, third := &rawTool{tool: named("A")}, &rawTool{tool: named("A")}, named("A")
		calls := 0
		third.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			calls++
			return []analytics.Item{{Body: []byte("x")}}, nil
		}
		third.deliver = func(context.Context, *analytics.Batch) error { return analytics.Permanent(errors.New("no")) }
		off := order("off")
		off.Integrations = analytics.Integrations{}.Disable("A")
		other := order("other")
		other.Integrations = analytics.Integrations{}.Disable("A-2")
		stats := deliverAll(t, &inbox{}, []analytics.Destination{first, analytics.Named("A-2", second), analytics.Named("A-4", analytics.Named("A-3", third))}, off, other, order("m"))
		require.Len(t, stats, 3)
		for _, name := range []string{"A", "A-2", "A-4"} {
			require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonIntegrations: 1}, stats[name].Filtered, "%s has the key A", name)
			require.Equal(t, uint64(3), stats[name].Accepted)
		}
		require.Equal(t, uint64(2), stats["A-2"].Delivered, "its own figures")
		require.Equal(t, uint64(2), stats["A-4"].Dropped[analytics.ReasonRejected])
		require.Equal(t, 2, first.raw)
		require.Equal(t, 2, second.raw, "the raw path is kept")
		require.Equal(t, 2, calls)
	})
}

func TestNamedKeepsWhatADestinationCanDo(t *testing.T) {
	inner := &openTool{tool: named("A"), open: func(analytics.Env) error { return nil }}
	opened := 0
	inner.open = func(analytics.Env) error { opened++; return nil }
	client := start(t, analytics.Config{Logger: quiet, Destinations: []analytics.Destination{analytics.Named("x", analytics.With(analytics.Named("y", inner)))}})
	require.Equal(t, 1, opened)
	require.NoError(t, client.Close(t.Context()))
	require.NoError(t, client.Close(t.Context()))
	require.Equal(t, 1, inner.closed)
}

func TestDestinationFunc(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		attempts, sizes := 0, []int{}
		other := named("other")
		events := seen(other)
		f := analytics.DestinationFunc("mine", func(_ context.Context, list []*analytics.Event) error {
			sizes = append(sizes, len(list))
			for _, e := range list {
				require.Equal(t, "Order Completed", e.Event, "attempt %d has an event as it was accepted", attempts)
				require.Equal(t, "a", e.Properties["items"].([]any)[0].(map[string]any)["sku"])
				e.Event = "changed"
				e.Properties["items"].([]any)[0].(map[string]any)["sku"] = "changed"
				clear(e.Context.Traits)
			}
			if attempts++; attempts < 4 {
				return errors.New("again")
			}
			return nil
		})
		stats := deliverAll(t, &inbox{}, []analytics.Destination{f, other}, order("m1"), order("m2"))
		require.Equal(t, 4, attempts)
		require.Equal(t, []int{2, 2, 2, 2}, sizes)
		require.Equal(t, uint64(2), stats["mine"].Delivered)
		require.Len(t, *events, 2)
		for _, e := range *events {
			require.NotContains(t, e, "changed")
		}
	})
}

func TestDestinationFuncTakesHundredAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		flying := 0
		f := analytics.DestinationFunc("mine", func(_ context.Context, list []*analytics.Event) error {
			flying++
			require.Equal(t, 1, flying, "one batch after another")
			sizes = append(sizes, len(list))
			time.Sleep(time.Second)
			flying--
			return nil
		})
		messages := make([]analytics.Message, 250)
		for i := range messages {
			messages[i] = order("")
		}
		messages[7] = analytics.Object{Collection: "rooms", ID: "1", Properties: map[string]any{"a": 1}}
		stats := deliverAll(t, &inbox{}, []analytics.Destination{f}, messages...)
		require.Equal(t, []int{100, 100, 50}, sizes)
		require.Equal(t, uint64(250), stats["mine"].Delivered)
	})
}

func TestDestinationFuncSpeaksTheWords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := analytics.DestinationFunc("mine", func(_ context.Context, list []*analytics.Event) error {
			b := &analytics.BatchError{}
			for i, e := range list {
				if e.MessageID == "bad" {
					b.Set(i, analytics.Permanent(errors.New("bad")))
				}
			}
			return b.OrNil()
		})
		box := &inbox{}
		stats := deliverAll(t, box, []analytics.Destination{f}, order("good"), order("bad"), order("good2"))["mine"]
		require.Equal(t, uint64(2), stats.Delivered)
		require.Equal(t, uint64(1), stats.Dropped[analytics.ReasonRejected])
		require.Len(t, box.letters, 1)
		require.Equal(t, "bad", box.letters[0].MessageID)
		require.Equal(t, 1, box.letters[0].Attempts)
	})
}
