package main

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

// sample is a catalogue that does not change with the adapters.
var sample = []catalog.Entry{{
	Name: "Acme CRM", Aliases: []string{"Acme", "Acme (Actions)"}, Package: "example.com/destinations/acme",
	Title: "Sends events to Acme.", Doc: "Sends events to Acme.\n\nA second paragraph.", Category: "CRM", API: "/v1/events", Auth: "Bearer",
	Calls: []string{"track", "identify"}, Order: "per user",
	Lanes: []catalog.Lane{
		{Name: "events", MaxItems: 50, MaxBytes: 200_000, MaxItemBytes: 32_000, Concurrency: 4, Timeout: "30s",
			Rates: []catalog.Rate{{Requests: 20, Per: "1s"}, {Items: 9000, Per: "1m"}}},
		{Name: "profiles", MaxItems: 1, MaxBytes: 1_000_000, Concurrency: 1, Linger: "0s", Timeout: "10s"},
	},
	Changes: []catalog.Change{
		{With: "MapUsers", Calls: []string{"track", "identify", "alias"}, Lanes: []catalog.Lane{
			{Name: "aliases", MaxItems: 1, MaxBytes: 1_000_000, Concurrency: 4, Linger: "1s", Timeout: "30s"}}},
		{With: "Mode strict", Order: "total"},
	},
	Settings: []catalog.Setting{
		{Field: "APIKey", Key: "apiKey", Type: "string", Required: true, Secret: true, Doc: "APIKey is the key."},
		{Field: "Mode", Key: "mode", Type: "string", OneOf: []string{"lax", "strict"}, Default: "lax", Doc: "Mode says how."},
		{Field: "MapUsers", Key: "mapUsers", Type: "bool", Doc: "MapUsers sends alias calls."},
		{Field: "Hook", Type: "func", Doc: "Hook is for Go."},
		{Field: "Rules", Key: "rules", Type: "map", Doc: "Rules are rules.", Fields: []catalog.Setting{
			{Field: "Text", Key: "text", Type: "string", Doc: "Text is sent."}, {Field: "URL", Key: "url", Type: "string", Secret: true}}},
	},
	Example: `&acme.Destination{APIKey: "…"}`,
}, {
	Name: "File", Package: "example.com/destinations/file", Title: "Writes.", Doc: "Writes.", Category: "storage", API: "NDJSON",
	Calls: []string{"track"}, Order: "total",
	Lanes:    []catalog.Lane{{MaxItems: 1000, MaxBytes: 1_000_000, Concurrency: 1, Timeout: "30s"}},
	Settings: []catalog.Setting{{Field: "Path", Key: "path", Type: "string", Required: true, Doc: "Path is the file."}},
	Example:  `&file.Destination{Path: "events.ndjson"}`,
}}

func TestDestinations(t *testing.T) {
	golden(t, t.TempDir(), "destinations",
		[]string{"destinations"},
		[]string{"destinations", "acme"},
		[]string{"destinations", "file"},
		[]string{"destinations", "--json", "acme (actions)"},
		[]string{"destinations", "nobody"},
	)
}

func TestDestinationsOfTheLibrary(t *testing.T) {
	r := analyzeAs(t, command{catalog: catalog.All()}, "destinations", "--json")
	var list struct {
		Destinations  []catalog.Entry
		SettingsOfAll []catalog.Setting
	}
	require.NoError(t, json.Unmarshal([]byte(r.stdout), &list))
	require.Equal(t, catalog.All(), list.Destinations)
	require.Equal(t, catalog.Hooks(), list.SettingsOfAll)

	for _, e := range catalog.All() {
		r = analyzeAs(t, command{catalog: catalog.All()}, "destinations", e.Name)
		require.Equal(t, exitFine, r.code, r.stderr)
		for _, s := range e.Settings {
			require.Contains(t, r.stdout, s.Field+" ", e.Name)
		}
		r = analyzeAs(t, command{catalog: catalog.All()}, "destinations", "--json", e.Name)
		var back catalog.Entry
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &back))
		require.Equal(t, e, back)
	}
}
