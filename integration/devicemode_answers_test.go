package integration_test

import (
	"bytes"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// judges are the tools that say which of the events they refuse, and the kinds of which
// they say it. Amplitude and Klaviyo store nothing of a request then.
var judges = map[string][]kind{
	"Amplitude":   {track, order, identify, page, screen, group},
	"Mixpanel":    {track, order, page, screen},
	"Braze":       {track, order, identify},
	"Customer.io": {track, order, identify, page, screen, group, alias},
	"Klaviyo":     {track, order, identify},
	"HubSpot":     {group, identify},
}

// Where a tool refuses a part of a request, the good events arrive once, and the bad ones
// become dead letters without a second try.
func TestDeviceModePartialFailures(t *testing.T) {
	logs(t, func(t *testing.T, spool analytics.Spool) {
		n, w := newTools(), &watch{}
		events := mix(time.Now(), 120, 20)
		var names []string
		for name, kinds := range judges {
			names = append(names, name)
			for i, e := range events {
				// Of HubSpot's contacts one that is not merged with others.
				if slices.Contains(kinds, e.kind) && i%10 == 7 && (name != "HubSpot" || e.kind == group || i == 7) {
					n.of(name).bad[e.mark] = true
				}
			}
			require.Greater(t, len(n.of(name).bad), 1, name)
		}
		made := &request{url: &url.URL{Path: "/crm/v3/properties/companies"}} // which would take requests of its own
		n.of("HubSpot").vendor(made, nil)
		client := open(t, n, w, analytics.Config{Destinations: pick(adapters(t.TempDir()), names...), Spool: spool})
		send(t, client, events)
		require.NoError(t, client.Close(in(t, time.Hour)))

		stats := balanced(t, client)
		for _, name := range names {
			to := n.of(name)
			good := slices.DeleteFunc(slices.Clone(events), func(e event) bool { return to.bad[e.mark] })
			took := complete(t, name, to.kept(), good)
			for key, times := range to.keys() {
				require.Equal(t, 1, times, "%s: %s", name, key)
			}
			require.EqualValues(t, took, stats[name].Delivered, name)
			require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonRejected: uint64(len(to.bad))}, stats[name].Dropped, name)
			for mark := range to.bad {
				require.Equal(t, 1, to.sent(mark), "%s: %s", name, mark)
			}
			buried := w.buried(name)
			require.Len(t, buried, len(to.bad), name)
			for _, l := range buried {
				require.True(t, to.bad[l.MessageID], "%s: %s", name, l.MessageID)
				require.Equal(t, analytics.ReasonRejected, l.Reason, name)
				require.Equal(t, 1, l.Attempts, name)
				require.NotEmpty(t, l.Error, name)
				require.Contains(t, string(l.Event), l.MessageID)
			}
		}
	})
}

// sent is how many requests had an event.
func (t *tool) sent(mark string) (n int) {
	for _, r := range t.asked() {
		if bytes.Contains(r.body, []byte(mark)) {
			n++
		}
	}
	return n
}

// buried are the dead letters of a destination.
func (w *watch) buried(destination string) (list []analytics.DeadLetter) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, l := range w.letters {
		if l.Destination == destination {
			list = append(list, l)
		}
	}
	return list
}

// dedupers are the tools that dedupe by a key in each event.
var dedupers = []string{"Amplitude", "Customer.io", "Facebook Conversions API", "Klaviyo", "Mixpanel", "PostHog", "Webhook"}

// repeated checks that a tool got some pieces more than once, and each time the same
// bytes. It returns their keys.
func repeated(t *testing.T, name string, kept []piece) (keys []string) {
	t.Helper()
	first := map[string]piece{}
	for _, p := range kept {
		if before, ok := first[p.key]; ok {
			if p.path == before.path { // one event alone may go another way
				require.Equal(t, before.body, p.body, name)
			}
			keys = append(keys, p.key)
			continue
		}
		first[p.key] = p
	}
	require.NotEmpty(t, keys, name)
	return keys
}

// An answer that is lost after the tool took the batch makes duplicates, which the tool
// knows by their key.
func TestDeviceModeLostAnswers(t *testing.T) {
	logs(t, func(t *testing.T, spool analytics.Spool) {
		n, w := newTools(), &watch{}
		for _, name := range dedupers {
			n.of(name).lost = 3
		}
		all := adapters(t.TempDir())
		client := open(t, n, w, analytics.Config{Destinations: pick(all, dedupers...), Spool: spool})
		events := mix(time.Now(), 200, 20)
		send(t, client, events)
		require.NoError(t, client.Close(in(t, time.Hour)))
		stats := balanced(t, client)
		for _, name := range dedupers {
			took := complete(t, name, n.of(name).kept(), events)
			repeated(t, name, n.of(name).kept())
			inOrder(t, all[name], n.of(name).first(), events)
			require.EqualValues(t, took, stats[name].Delivered, name)
			require.GreaterOrEqual(t, stats[name].Retries, uint64(3), name)
		}
		require.Empty(t, w.letters)
	})
}

// A process that ends while batches are retried leaves them to the next one, which makes
// the same keys of them.
func TestDeviceModeRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w := newTools(), &watch{}
		for _, name := range dedupers {
			n.of(name).lost = 1000
		}
		spool, events := analytics.Spool{Dir: t.TempDir(), MinFree: -1}, mix(time.Now(), 200, 20)
		all := adapters(t.TempDir())
		client := open(t, n, w, analytics.Config{Destinations: pick(all, dedupers...), Spool: spool})
		send(t, client, events)
		var left *analytics.PendingError
		require.ErrorAs(t, client.Close(in(t, 10*time.Second)), &left)
		require.Len(t, left.Destinations, len(dedupers))
		before := balanced(t, client)

		time.Sleep(time.Hour)
		restarted := time.Now()
		for _, name := range dedupers {
			n.of(name).lost = 1
		}
		all = adapters(t.TempDir())
		client = open(t, n, w, analytics.Config{Destinations: pick(all, dedupers...), Spool: spool})
		require.NoError(t, client.Close(in(t, time.Hour)))
		after := balanced(t, client)
		for _, name := range dedupers {
			kept := n.of(name).kept()
			took := complete(t, name, kept, events)
			repeated(t, name, kept)
			old := slices.IndexFunc(kept, func(p piece) bool { return !p.at.Before(restarted) })
			require.Positive(t, old, name)
			require.NotEmpty(t, shared(kept[:old], kept[old:]), "%s: nothing went out in both processes", name)
			inOrder(t, all[name], n.of(name).first(), events)
			require.EqualValues(t, took, before[name].Delivered+after[name].Delivered, name)
			// What was finished far ahead of the cursor, here by filters, is read again.
			require.GreaterOrEqual(t, after[name].Accepted, uint64(left.Destinations[name].Events), name)
		}
		require.Empty(t, w.letters)
	})
}

// shared are the keys that are in both lists.
func shared(a, b []piece) (keys []string) {
	in := map[string]bool{}
	for _, p := range a {
		in[p.key] = true
	}
	for _, p := range b {
		if in[p.key] {
			keys = append(keys, p.key)
		}
	}
	return keys
}
