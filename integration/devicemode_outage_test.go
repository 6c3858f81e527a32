package integration_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// sick are the tools that fail for a while, each in its way, and what their destination
// says that it waits for.
var sick = map[string]struct {
	weather weather
	waiting string
}{
	"PostHog":     {dead, "retry"},
	"Customer.io": {hanging, "retry"},
	"Amplitude":   {status(http.StatusTooManyRequests, "Retry-After", "600"), "retry after"},
	"Braze":       {status(http.StatusUnauthorized), "unauthorized"},
}

// linger is how long an event waits for others. Which of them share a request is a matter
// of the moment, so that an event may come a linger later another time.
const linger = time.Second

// arrivals are when each event came to a tool for the first time, since start.
func arrivals(kept []piece, start time.Time) map[string]time.Duration {
	at := map[string]time.Duration{}
	for _, p := range kept {
		if _, ok := at[p.mark]; !ok {
			at[p.mark] = p.at.Sub(start)
		}
	}
	return at
}

// Four tools fail, each in its way. The others get everything as soon as without them;
// the four hold theirs, and deliver it when they are well again.
func TestDeviceModeFourAreSick(t *testing.T) {
	healthy := map[string]map[string]time.Duration{}
	synctest.Test(t, func(t *testing.T) {
		n, start := newTools(), time.Now()
		client := open(t, n, &watch{}, analytics.Config{Destinations: pick(adapters(t.TempDir()))})
		send(t, client, mix(start, 300, 20))
		require.NoError(t, client.Close(in(t, time.Hour)))
		for name := range hosts {
			healthy[name] = arrivals(n.of(name).kept(), start)
		}
	})
	logs(t, func(t *testing.T, spool analytics.Spool) {
		n, w, start, folder := newTools(), &watch{}, time.Now(), t.TempDir()
		all := adapters(folder)
		for name, s := range sick {
			n.of(name).set(s.weather)
		}
		client := open(t, n, w, analytics.Config{Destinations: pick(all), Spool: spool})
		events := mix(start, 300, 20)
		send(t, client, events)

		var left *analytics.PendingError
		require.ErrorAs(t, client.Flush(in(t, 4*time.Minute)), &left)
		require.ElementsMatch(t, slices.Collect(maps.Keys(sick)), slices.Collect(maps.Keys(left.Destinations)), "%v", left)
		for name := range hosts {
			if _, ok := sick[name]; !ok {
				complete(t, name, n.of(name).kept(), events)
				for mark, at := range arrivals(n.of(name).kept(), start) {
					require.LessOrEqual(t, at, healthy[name][mark]+linger, "%s: %s is delayed", name, mark)
				}
			}
		}
		file, err := os.ReadFile(filepath.Join(folder, "events.ndjson"))
		require.NoError(t, err)
		complete(t, "File", lines(file), events)
		for name, s := range sick {
			d := balanced(t, client)[name]
			require.Zero(t, d.Delivered+analytics.Sum(d.Dropped), name)
			require.Equal(t, analytics.Pending{Events: int(d.Pending), Reason: s.waiting}, left.Destinations[name], name)
			paused := w.of(name, analytics.Paused)
			require.Len(t, paused, map[string]int{"Braze": 1}[name], name)
			if len(paused) > 0 {
				require.Equal(t, analytics.ReasonUnauthorized, paused[0].Reason)
			}
		}

		for name := range sick {
			n.of(name).set(nil)
		}
		require.NoError(t, client.Close(in(t, time.Hour)))
		stats := balanced(t, client)
		for name := range sick {
			took := complete(t, name, n.of(name).kept(), events)
			require.EqualValues(t, took, stats[name].Delivered, name)
			inOrder(t, all[name], n.of(name).first(), events)
			for key, times := range n.of(name).keys() {
				require.Equal(t, 1, times, "%s: %s", name, key)
			}
		}
		require.Empty(t, w.letters)
	})
}

// A Retry-After keeps one lane of one tool quiet for as long as it says, and nobody else.
func TestDeviceModeRetryAfterIsOneToolsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, start := newTools(), time.Now()
		client := open(t, n, &watch{}, analytics.Config{Destinations: pick(adapters(t.TempDir()), "Amplitude", "Mixpanel", "Webhook")})
		n.of("Amplitude").set(status(http.StatusTooManyRequests, "Retry-After", "90"))
		throttled := status(http.StatusTooManyRequests, "Retry-After", "45")
		n.of("Mixpanel").set(func(r *http.Request) (*answer, error) {
			if r.URL.Path == "/engage" {
				return throttled(r)
			}
			return nil, nil
		})
		events := mix(start, 60, 20)
		for i, e := range events { // over a minute
			require.NoError(t, client.Enqueue(t.Context(), e.message))
			time.Sleep(time.Second)
			if i == 5 {
				n.of("Amplitude").set(nil)
				n.of("Mixpanel").set(nil)
			}
		}
		require.NoError(t, client.Close(in(t, time.Hour)))
		for _, name := range []string{"Amplitude", "Mixpanel", "Webhook"} {
			complete(t, name, n.of(name).kept(), events)
		}
		for i, e := range events {
			at, most := time.Duration(i)*time.Second, 2*linger
			require.Less(t, arrivals(n.of("Webhook").kept(), start)[e.mark], at+most, "webhook, event %d", i)
			if at := arrivals(n.of("Amplitude").kept(), start); at[e.mark] > 0 {
				require.Greater(t, at[e.mark], 90*time.Second, "amplitude, event %d", i)
			}
			for _, p := range n.of("Mixpanel").kept() {
				switch {
				case p.mark != e.mark:
				case p.path == "/engage":
					require.Greater(t, p.at.Sub(start), 45*time.Second, "mixpanel, profile %d", i)
				default:
					require.Less(t, p.at.Sub(start), at+most, "mixpanel %s, event %d", p.path, i)
				}
			}
		}
		var asked []string
		for _, r := range n.of("Amplitude").asked() {
			asked = append(asked, strconv.Itoa(int(r.at.Sub(start).Seconds())))
		}
		require.Equal(t, []string{"1", "91"}, asked[:min(2, len(asked))], "nobody asks during the pause")
	})
}
