package amplitude_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/amplitude"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func TestSettingsChangeRequests(t *testing.T) {
	for fact, c := range map[string]struct {
		d   *amplitude.Destination
		url string
	}{ // sheet: Requests, hosts and paths
		"us is the default": {settings(), "https://api2.amplitude.com/2/httpapi"},
		"us":                {&amplitude.Destination{APIKey: apiKey, Region: "us"}, "https://api2.amplitude.com/2/httpapi"},
		"eu":                {&amplitude.Destination{APIKey: apiKey, Region: "eu"}, "https://api.eu.amplitude.com/2/httpapi"},
		"batch":             {&amplitude.Destination{APIKey: apiKey, UseBatchEndpoint: true}, "https://api2.amplitude.com/batch"},
		"batch in the eu":   {&amplitude.Destination{APIKey: apiKey, UseBatchEndpoint: true, Region: "eu"}, "https://api.eu.amplitude.com/batch"},
	} {
		t.Run(fact, func(t *testing.T) {
			f, tool := start(t, c.d)
			require.True(t, desttest.Deliver(t, c.d, mixed(t)...).All(analytics.WordDelivered))
			require.Equal(t, c.url, tool.Requests()[0].URL)
			require.Empty(t, f.violations)
		})
	}
	t.Run("short ids need a setting", func(t *testing.T) { // sheet: Settings, MinIDLength
		without, with := settings(), &amplitude.Destination{APIKey: apiKey, MinIDLength: 1}
		f, _ := start(t, without)
		results := settle(t, without, batch(t, without, append(four(t), track(t, 5, "7", "Short"))...))
		require.Equal(t, analytics.WordPermanent, results[0].Word)
		require.Equal(t, fourLabels(), f.labels())
		f, _ = start(t, with)
		require.True(t, desttest.Deliver(t, with, track(t, 5, "7", "Short")).All(analytics.WordDelivered))
		require.Empty(t, f.violations)
	})
	t.Run("groups have another type", func(t *testing.T) {
		d := &amplitude.Destination{APIKey: apiKey, GroupType: "team"}
		f, _ := start(t, d)
		require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
		require.Empty(t, f.violations)
		require.Equal(t, map[string]any{"team": "org-9"}, f.accepted[4].fields["groups"])
	})
	t.Run("groups can be turned off", func(t *testing.T) { // sheet: Settings, GroupType
		d := &amplitude.Destination{APIKey: apiKey, NoGroups: true}
		f, _ := start(t, d)
		require.True(t, desttest.Deliver(t, d, append(mixed(t), desttest.Inputs(t)[0].Event)...).All(analytics.WordDelivered))
		require.NotContains(t, f.labels(), "$groupidentify")
		for _, e := range f.accepted {
			require.NotContains(t, e.fields, "groups")
		}
	})
	t.Run("revenue moves to the products", func(t *testing.T) { // sheet: Mapping, Order Completed
		d := &amplitude.Destination{APIKey: apiKey, TrackRevenuePerProduct: true}
		f, _ := start(t, d)
		require.True(t, desttest.Deliver(t, d, mixed(t)[6]).All(analytics.WordDelivered))
		require.Empty(t, f.violations)
		for _, key := range []string{"revenue", "revenueType", "price", "quantity", "productId"} {
			require.NotContains(t, f.accepted[0].fields, key)
		}
		for i, want := range []string{"20", "5"} { // 20 × 1, 2.5 × 2
			got := f.accepted[i+1].fields
			require.Empty(t, desttest.DiffJSON([]byte(want), []byte(fmt.Sprint(got["revenue"]))))
			require.Equal(t, "Purchase", got["revenueType"])
			require.Equal(t, json.Number(fmt.Sprint(i+1)), got["quantity"])
			require.Contains(t, got, "price")
		}
	})
}

func TestMapUsers(t *testing.T) { // sheet: Requests, alias
	d := &amplitude.Destination{APIKey: apiKey, MapUsers: true}
	f, tool := start(t, d)
	events := append(mixed(t), alias(t, 8, "user-8"), alias(t, 9, "user-9"))
	require.True(t, desttest.Deliver(t, d, events...).All(analytics.WordDelivered))
	require.Equal(t, []mapping{{"before-user-8", "user-8"}, {"before-user-9", "user-9"}}, f.mapped)
	require.Equal(t, mixedLabels(), f.labels())
	require.Empty(t, f.violations)
	require.Equal(t, "https://api.amplitude.com/usermap", tool.Requests()[1].URL)

	for fact, c := range map[string]struct {
		status int
		word   analytics.Word
	}{ // the contract's table
		"a bad mapping is rejected":     {400, analytics.WordPermanent},
		"a mapping without rights":      {403, analytics.WordUnauthorized},
		"a mapping that has to wait":    {429, analytics.WordRetryAfter},
		"a mapping that is tried again": {503, analytics.WordAgain},
	} {
		t.Run(fact, func(t *testing.T) {
			f.next(c.status, nil, content)
			results := desttest.Deliver(t, d, alias(t, 8, "user-8"))
			if results[0].Word == analytics.WordSplit { // of one item
				results[0].Word = analytics.WordPermanent
			}
			require.Equal(t, []analytics.Word{c.word}, results.Words())
			require.NotContains(t, results[0].Err.Error(), content)
		})
	}
}

func TestIDs(t *testing.T) {
	d := &amplitude.Destination{APIKey: apiKey, MapUsers: true}
	start(t, d)
	for fact, rest := range map[string]string{ // sheet: Mapping, user_id and device_id: one of the two is required
		"nobody's event":              `"type":"track","event":"E"`,
		"nobody's traits":             `"type":"identify","traits":{"plan":"pro"}`,
		"a group of nobody":           `"type":"group","groupId":"g1"`,
		"a page of nobody":            `"type":"page","name":"Home"`,
		"a group without an id":       `"type":"group","userId":"user-1","traits":{"name":"Lee Inc"}`,
		"an event without a name":     `"type":"track","userId":"user-1"`,
		"an alias without previousId": `"type":"alias","userId":"user-1"`, // sheet: Requests, alias
		"an alias without userId":     `"type":"alias","previousId":"before-1"`,
	} {
		t.Run(fact+" is invalid", func(t *testing.T) {
			_, err := d.Translate(message(t, 1, rest))
			require.Error(t, err)
			desttest.CheckError(t, err)
			require.NotErrorIs(t, err, analytics.ErrIgnored)
		})
	}
}
