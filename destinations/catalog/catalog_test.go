package catalog_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

func TestFindTakesEveryName(t *testing.T) {
	for _, name := range []string{"webhook", "Webhook", "WEBHOOKS", "Webhook (Actions)"} {
		e, ok := catalog.Find(name)
		require.True(t, ok, name)
		require.Equal(t, "Webhook", e.Name)
	}
	for _, name := range []string{"", "web", "github.com/tributary-dev/analytics/destinations/webhook"} {
		_, ok := catalog.Find(name)
		require.False(t, ok, name)
	}
}

func TestNamesAreDistinct(t *testing.T) {
	owner := map[string]string{}
	for _, e := range catalog.All() {
		for _, name := range append([]string{e.Name}, e.Aliases...) {
			name = strings.ToLower(name)
			require.Contains(t, []string{"", e.Name}, owner[name], "%s is a name of two", name)
			owner[name] = e.Name
			found, _ := catalog.Find(name)
			require.Equal(t, e.Name, found.Name, name)
		}
	}
}

func TestEntriesAreComplete(t *testing.T) {
	require.NotEmpty(t, catalog.All())
	for _, e := range catalog.All() {
		for what, text := range map[string]string{
			"package": e.Package, "title": e.Title, "doc": e.Doc, "category": e.Category, "api": e.API, "order": e.Order, "example": e.Example,
		} {
			require.NotEmpty(t, text, "%s has no %s", e.Name, what)
		}
		require.True(t, strings.HasPrefix(e.Doc, e.Title), e.Name)
		require.NotEmpty(t, e.Calls, e.Name)
		require.NotEmpty(t, e.Lanes, e.Name)
		for _, l := range e.Lanes {
			require.Positive(t, l.MaxItems, e.Name)
			require.Positive(t, l.MaxBytes, e.Name)
			require.Positive(t, l.Concurrency, e.Name)
			require.NotEmpty(t, l.Timeout, e.Name)
		}
	}
}

func TestSettingsAreDescribed(t *testing.T) {
	check := func(owner string, settings []catalog.Setting) {
		require.NotEmpty(t, settings, owner)
		for _, s := range settings {
			require.NotEmpty(t, s.Doc, "%s.%s", owner, s.Field)
			require.NotEmpty(t, s.Type, "%s.%s", owner, s.Field)
			if s.OneOf != nil && s.Default != "" {
				require.Contains(t, s.OneOf, s.Default, "%s.%s", owner, s.Field)
			}
			if s.Required {
				require.NotEmpty(t, s.Key, "%s.%s", owner, s.Field)
				require.Empty(t, s.Default, "%s.%s", owner, s.Field)
			}
		}
	}
	check("hooks", catalog.Hooks())
	for _, e := range catalog.All() {
		check(e.Name, e.Settings)
	}
}

// open are the settings that sound secret and are not, each with the reason.
var open = map[string]string{
	"Mixpanel.ProjectToken": "is in every page that reports to the project",
	"Mixpanel.GroupKey":     "is the name of a property",
	"Intercom.MetadataKeys": "is a number",
}

func TestWhatSoundsSecretIsSecret(t *testing.T) {
	secretive := func(s catalog.Setting) bool {
		for _, word := range []string{"key", "token", "secret", "password"} {
			if strings.Contains(strings.ToLower(s.Field), word) {
				return true
			}
		}
		return false
	}
	unused := len(open)
	for _, e := range catalog.All() {
		for _, s := range e.Settings {
			switch _, excepted := open[e.Name+"."+s.Field]; {
			case excepted:
				unused--
				require.False(t, s.Secret, "%s.%s needs no exception", e.Name, s.Field)
			case secretive(s):
				require.True(t, s.Secret, "%s.%s", e.Name, s.Field)
			}
		}
	}
	require.Zero(t, unused, "exceptions without a setting")
}

func TestAllBelongsToTheCaller(t *testing.T) {
	first := catalog.All()
	first[0].Name, first[0].Lanes[0].MaxItems, first[0].Settings[0].Field = "", -1, ""
	second := catalog.All()
	require.NotEmpty(t, second[0].Name)
	require.Positive(t, second[0].Lanes[0].MaxItems)
	require.NotEmpty(t, second[0].Settings[0].Field)
}

func TestJSONHoldsAll(t *testing.T) {
	b, err := json.Marshal(catalog.All())
	require.NoError(t, err)
	var back []catalog.Entry
	require.NoError(t, json.Unmarshal(b, &back))
	require.Equal(t, catalog.All(), back)
}

func TestTexts(t *testing.T) {
	for b, want := range map[catalog.Bytes]string{
		0: "0 B", 999: "999 B", 1000: "1 kB", 1024: "1024 B", 130_000: "130 kB", 512_000: "512 kB",
		1_000_000: "1 MB", 1_048_576: "1048576 B", 2_500_000: "2.5 MB", 20_000_000: "20 MB",
	} {
		require.Equal(t, want, b.String())
	}
	require.Equal(t, "1 request per second", catalog.Rate{Requests: 1, Per: "1s"}.String())
	require.Equal(t, "3 requests and 30000 items per 1m30s, 5 at once, for each group",
		catalog.Rate{Requests: 3, Items: 30_000, Per: "1m30s", Burst: 5, PerGroup: true}.String())
}
