package integration_test

import (
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	hubspotdest "github.com/tributary-dev/analytics/destinations/hubspot"
	slackdest "github.com/tributary-dev/analytics/destinations/slack"
)

// mostWithin is the most of these times that lie within d of each other.
func mostWithin(times []time.Time, d time.Duration) (most int) {
	from := 0
	for i := range times {
		for times[i].Sub(times[from]) >= d {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// Slack gets a message a second for each channel, three of them at once after a quiet
// time. A channel does not wait for another that has more than it may send.
func TestDeviceModeSlackRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, start := newTools(), time.Now()
		d := &slackdest.Destination{WebhookURL: "https://hooks.slack.com/services/orders", Events: map[string]slackdest.Rule{
			"Order Completed": {Template: "{{.Properties.mark}}"},
			"Song Played":     {Template: "{{.Properties.mark}}", WebhookURL: "https://hooks.slack.com/services/songs"},
		}}
		client := open(t, n, &watch{}, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 40 {
			require.NoError(t, client.Enqueue(t.Context(), newEvent(i, order, "u", start, 0).message))
		}
		time.Sleep(10*time.Second + 500*time.Millisecond)
		quiet := time.Now()
		for i := range 10 {
			require.NoError(t, client.Enqueue(t.Context(), newEvent(100+i, track, "u", start, 0).message))
		}
		require.NoError(t, client.Close(in(t, time.Hour)))
		for channel, c := range map[string]struct {
			since    time.Time
			messages int
		}{"/services/orders": {start, 40}, "/services/songs": {quiet, 10}} {
			var at []time.Time
			for _, p := range n.of("Slack").kept() {
				if p.group == channel {
					at = append(at, p.at)
				}
			}
			require.Len(t, at, c.messages, channel)
			require.Equal(t, 3, mostWithin(at, time.Millisecond), "%s: at once", channel)
			for _, seconds := range []int{1, 5, 20} {
				require.LessOrEqual(t, mostWithin(at, time.Duration(seconds)*time.Second), 3+seconds, channel)
			}
			require.WithinDuration(t, c.since, at[2], 100*time.Millisecond, "%s: the third waits", channel)
			due := c.since.Add(time.Duration(c.messages-3) * time.Second)
			require.WithinDuration(t, due, at[c.messages-1], 100*time.Millisecond, "%s: the last", channel)
		}
	})
}

// HubSpot allows a private app 100 requests within any ten seconds, contacts and
// companies together.
func TestDeviceModeHubSpotRate(t *testing.T) {
	for _, companies := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			n := newTools()
			d := &hubspotdest.Destination{AccessToken: secret, Companies: companies}
			client := open(t, n, &watch{}, analytics.Config{Destinations: []analytics.Destination{d}, FlushAt: 1})
			for i := range 3000 { // over thirty seconds, so many that each could be a request
				k := identify
				if companies && i%2 == 1 {
					k = group
				}
				require.NoError(t, client.Enqueue(t.Context(), newEvent(i, k, "u"+strconv.Itoa(i), time.Now(), 0).message))
				time.Sleep(10 * time.Millisecond)
			}
			require.NoError(t, client.Close(in(t, time.Hour)))
			var times []time.Time
			for _, r := range n.of("HubSpot").asked() {
				times = append(times, r.at)
			}
			require.Greater(t, len(times), 150, "the rate is made use of")
			require.LessOrEqual(t, mostWithin(times, 10*time.Second), 100, "companies: %t", companies)
			require.EqualValues(t, 3000, balanced(t, client)["HubSpot"].Delivered)
		})
	}
}

// A request to GA4 is of one client, and has 25 events at the most.
func TestDeviceModeGA4Requests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, start := newTools(), time.Now()
		client := open(t, n, &watch{}, analytics.Config{Destinations: pick(adapters(""), ga4Name)})
		var events []event
		users := map[string]string{}
		for i := range 400 {
			user := "many"
			if i >= 100 {
				user = "few-" + strconv.Itoa(i%8)
			}
			e := newEvent(i, track, user, start, 0)
			events, users[e.mark] = append(events, e), user
			require.NoError(t, client.Enqueue(t.Context(), e.message))
		}
		require.NoError(t, client.Close(in(t, time.Hour)))
		complete(t, ga4Name, n.of(ga4Name).kept(), events)
		sizes, most := map[int]int{}, 0
		for _, p := range n.of(ga4Name).kept() {
			require.Equal(t, users[p.mark], p.group, "an event of another client")
			sizes[p.request]++
			most = max(most, sizes[p.request])
		}
		require.Equal(t, 25, most)
	})
}

// Events of many clients share few requests, so that GA4 keeps up: here with 200 events a
// second of 20 clients, a tenth of a second for each request.
func TestDeviceModeGA4KeepsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newTools()
		n.of(ga4Name).set(func(*http.Request) (*answer, error) {
			time.Sleep(100 * time.Millisecond)
			return nil, nil
		})
		client := open(t, n, &watch{}, analytics.Config{Destinations: pick(adapters(""), ga4Name)})
		for i := range 4000 {
			require.NoError(t, client.Enqueue(t.Context(), newEvent(i, track, "u"+strconv.Itoa(i%20), time.Now(), 0).message))
			time.Sleep(5 * time.Millisecond)
		}
		require.Less(t, balanced(t, client)[ga4Name].Pending, uint64(600), "three seconds' worth")
	})
}

const ga4Name = "Google Analytics 4"
