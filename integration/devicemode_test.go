package integration_test

import (
	"bytes"
	"cmp"
	"context"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// The promises of the core, with the real adapters in place of a test double, and small
// tools in memory in place of the vendors.

// watch is what a client tells of itself.
type watch struct {
	mu       sync.Mutex
	outcomes []analytics.Outcome
	letters  []analytics.DeadLetter
	log      bytes.Buffer
}

func (w *watch) outcome(o analytics.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.outcomes = append(w.outcomes, o)
}

func (w *watch) letter(l analytics.DeadLetter) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.letters = append(w.letters, l)
	return nil
}

// Write takes a line of the log.
func (w *watch) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(line)
}

// of returns the outcomes at a destination with a status.
func (w *watch) of(destination string, s analytics.Status) (list []analytics.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, o := range w.outcomes {
		if o.Destination == destination && o.Status == s {
			list = append(list, o)
		}
	}
	return list
}

// open makes a client whose network is n. It ends with the test.
func open(t *testing.T, n tools, w *watch, cfg analytics.Config) *analytics.Client {
	t.Helper()
	cfg.HTTPClient = &http.Client{Transport: n}
	cfg.Logger = slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.OnOutcome, cfg.DeadLetters = w.outcome, w.letter
	client, err := analytics.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = client.Close(ctx)
	})
	return client
}

// in is a context that ends after d.
func in(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// pick chooses adapters by the names of their tools, all if none is named.
func pick(all map[string]analytics.Destination, names ...string) (list []analytics.Destination) {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if len(names) == 0 || slices.Contains(names, name) {
			list = append(list, all[name])
		}
	}
	return list
}

// balanced checks the account of each destination, and returns it.
func balanced(t *testing.T, client *analytics.Client) map[string]analytics.DestinationStats {
	t.Helper()
	stats := client.Stats().Destinations
	for name, d := range stats {
		require.Equal(t, d.Accepted, d.Delivered+analytics.Sum(d.Filtered)+analytics.Sum(d.Dropped)+d.Pending, "%s %+v", name, d)
	}
	return stats
}

// logs runs a test over the log in memory and over the one on disk.
func logs(t *testing.T, test func(t *testing.T, spool analytics.Spool)) {
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, analytics.Spool{}) })
	})
	t.Run("spool", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { test(t, analytics.Spool{Dir: t.TempDir(), MinFree: -1}) })
	})
}

// complete checks that a tool has every event that is for it, as the pieces that it
// becomes, and nothing else. It returns how many events that are.
func complete(t *testing.T, name string, kept []piece, events []event) (n int) {
	t.Helper()
	keys := map[string]map[string]bool{}
	for _, p := range kept {
		if keys[p.mark] == nil {
			keys[p.mark] = map[string]bool{}
		}
		keys[p.mark][p.key] = true
	}
	for _, e := range events {
		require.Len(t, keys[e.mark], wants[name][e.kind], "%s: %s %s", name, e.kind, e.mark)
		if wants[name][e.kind] > 0 {
			n++
		}
		delete(keys, e.mark)
	}
	require.Empty(t, keys, "%s has what nobody sent", name)
	return n
}

// inOrder checks the order in which events came for the first time: that of each user,
// or of all, as the destination describes it.
func inOrder(t *testing.T, d analytics.Destination, came []string, events []event) {
	t.Helper()
	desc := d.Describe()
	if desc.Order == analytics.Unordered {
		return
	}
	of := map[string]event{}
	for _, e := range events {
		of[e.mark] = e
	}
	last := map[string]string{}
	for _, mark := range came {
		key := of[mark].user
		switch {
		case desc.Order == analytics.Total, desc.Name == "Slack": // its key is the channel
			key = ""
		case desc.Name == "HubSpot" && of[mark].kind == group: // its key is the company
			key = mark
		}
		require.Less(t, last[key], mark, "%s: order of %s", desc.Name, key)
		last[key] = mark
	}
}

// Every tool gets what is for it, once and in order, and the account of each balances.
func TestDeviceModeAllTools(t *testing.T) {
	logs(t, func(t *testing.T, spool analytics.Spool) {
		n, w, folder := newTools(), &watch{}, t.TempDir()
		all := adapters(folder)
		client := open(t, n, w, analytics.Config{Destinations: pick(all), Spool: spool})
		events := mix(time.Now(), 500, 20)
		send(t, client, events)
		balanced(t, client)
		require.NoError(t, client.Close(in(t, time.Hour)))

		file, err := os.ReadFile(filepath.Join(folder, "events.ndjson"))
		require.NoError(t, err)
		n["file"] = &tool{pieces: lines(file)}
		stats := balanced(t, client)
		require.Len(t, stats, len(wants))
		for name, d := range all {
			to := n[cmp.Or(hosts[name], "file")]
			took := complete(t, name, to.kept(), events)
			for key, times := range to.keys() {
				require.Equal(t, 1, times, "%s: %s", name, key)
			}
			inOrder(t, d, to.first(), events)
			require.EqualValues(t, took, stats[name].Delivered, name)
			require.EqualValues(t, len(events)-took, analytics.Sum(stats[name].Filtered), name)
			require.Len(t, w.of(name, analytics.Delivered), took, name)
		}
		require.Empty(t, w.letters)
	})
}
