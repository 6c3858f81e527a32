package warehousetest

import (
	"maps"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/warehouse"
)

// TestGoldenCasesAreCases keeps a name from standing for two schemas, and a case from
// being empty.
func TestGoldenCasesAreCases(t *testing.T) {
	all := goldenSizes()
	for _, name := range goldenNames(t) {
		all = append(all, parseGolden(t, name).Cases...)
	}
	names, events := map[string]bool{}, 0
	for _, c := range all {
		require.Regexp(t, `^[a-z][a-z0-9_]+$`, c.Name)
		require.False(t, names[c.Name], c.Name)
		names[c.Name] = true
		require.Regexp(t, `^[A-Z0-9a-z_].*\.$`, c.Why, c.Name)
		loaded := 0
		for _, s := range c.Steps {
			loaded += len(s.Load)
		}
		require.Positive(t, loaded, c.Name)
		events += loaded
	}
	require.Greater(t, len(all), 100)
	require.Greater(t, events, 300)
}

// TestGoldenNoticesEachDifference changes the tables of a load in one place at a time.
func TestGoldenNoticesEachDifference(t *testing.T) {
	load := func() map[string]*goldenTable {
		s := NewStore()
		l := &goldenLoader{t: t, source: "shop", log: goldenLog, next: 1, open: func() warehouse.Store { return s.Again() }}
		l.settings(nil)
		defer l.close()
		l.load([]goldenEvent{parsedObject(`{"type": "track", "messageId": "m1", "event": "Tested", "userId": "u1", "timestamp": "2026-05-02T10:00:00Z",
			"properties": {"n": 1, "f": 1.5, "b": true, "s": "x", "at": "2026-05-02T10:00:00Z", "é": [1]}}`).encode()})
		return readTables(t.Context(), t, l.store, "shop", "shop")
	}
	want := load()
	require.Empty(t, tableDifferences(want, load(), true))
	for _, column := range []string{"n", "f", "b", "s", "at", "_unmapped", "user_id", "uuid", "received_at", "event"} {
		got := load()
		got["tested"].rows["m1"][column] += "0"
		require.Len(t, tableDifferences(want, got, true), 1, column)
		delete(got["tested"].rows["m1"], column)
		require.Len(t, tableDifferences(want, got, true), 1, column)
	}
	for name, change := range map[string]func(map[string]*goldenTable){
		"a table less":  func(all map[string]*goldenTable) { delete(all, "tracks") },
		"a table more":  func(all map[string]*goldenTable) { all["more"] = all["tracks"] },
		"a row less":    func(all map[string]*goldenTable) { delete(all["tested"].rows, "m1") },
		"a row more":    func(all map[string]*goldenTable) { all["tested"].rows["m2"] = map[string]string{} },
		"a column less": func(all map[string]*goldenTable) { all["tested"].columns = all["tested"].columns[1:] },
		"another kind":  func(all map[string]*goldenTable) { all["tested"].columns[0].Kind = warehouse.Int },
		"another order": func(all map[string]*goldenTable) {
			c := all["tested"].columns
			c[0], c[1] = c[1], c[0]
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := load()
			change(got)
			require.Len(t, tableDifferences(want, got, true), 1)
			require.Equal(t, name == "another order", len(tableDifferences(want, got, false)) == 0)
		})
	}
}

// TestGoldenValuesAreComparedByMeaning pins the texts by which values are compared.
func TestGoldenValuesAreComparedByMeaning(t *testing.T) {
	for name, c := range map[string]struct {
		kind  warehouse.Kind
		file  string
		store warehouse.Value
		same  bool
	}{
		"order of keys":       {warehouse.JSON, `{"a": 1, "b": 2}`, warehouse.JSONValue(`{"b":2,"a":1}`), true},
		"order of a list":     {warehouse.JSON, `[1, 2]`, warehouse.JSONValue(`[2,1]`), false},
		"writing of a number": {warehouse.JSON, `[1.50, 1e3]`, warehouse.JSONValue(`[1.5,1000]`), true},
		"a large number":      {warehouse.JSON, `9007199254740993`, warehouse.JSONValue(`9007199254740992`), false},
		"beyond all numbers":  {warehouse.JSON, `1e400`, warehouse.JSONValue("1" + strings.Repeat("0", 400)), true},
		"number and text":     {warehouse.JSON, `1`, warehouse.JSONValue(`"1"`), false},
		"zones":               {warehouse.Time, `"2026-05-02T12:00:00+02:00"`, warehouse.TimeValue(goldenAccepted.Add(-2 * 3600e9)), true},
		"minus zero":          {warehouse.Float, `0`, warehouse.FloatValue(-1 / 1e308 / 1e308), true},
		"int and float":       {warehouse.Int, `1`, warehouse.IntValue(2), false},
		"empty and NULL":      {warehouse.String, `""`, warehouse.Value{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := wantText(c.kind, []byte(c.file))
			require.NoError(t, err)
			require.Equal(t, c.same, text == gotText(c.store), "%s and %s", text, gotText(c.store))
		})
	}
}

// TestGoldenReadsEachPartOfACase holds the parser to what the README says.
func TestGoldenReadsEachPartOfACase(t *testing.T) {
	f := &goldenFile{Event: parsedObject(`{"type": "track", "userId": "u1"}`), Rows: map[string]object{"*": parsedObject(`{"user_id": "u1"}`)}}
	e := merged(f.Event, parsedObject(`{"userId": null, "messageId": "m1", "properties": {"a":1,"a":1e400}, "event": "A", "$accepted": "2026-05-02T13:00:00Z"}`)).encode()
	require.Equal(t, `{"type":"track","messageId":"m1","event":"A","properties":{"a":1,"a":1e400}}`, string(e.raw))
	require.Equal(t, "A", e.header.Event)
	require.Equal(t, 13, e.header.AcceptedAt.Hour())

	table, err := parseTable("other.tested", []byte(`{"also": ["n int"], "rows": [{"id": "m1", "n": 1}, {"id": "m2", "user_id": null}]}`), f.Rows)
	require.NoError(t, err)
	require.Equal(t, map[string]string{"id": `"m1"`, "user_id": `"u1"`, "n": "1", "uuid": table.rows["m1"]["uuid"]}, table.rows["m1"])
	require.NotContains(t, maps.Clone(table.rows["m2"]), "user_id")
	for _, wrong := range []string{`{"rows": [{"id": "m1", "missing": 1}]}`, `{"rows": [{"id": "m1"}, {"id": "m1"}]}`, `{"rows": [{}]}`, `{"also": ["n"]}`, `{"more": 1}`} {
		_, err := parseTable("tested", []byte(wrong), nil)
		require.Error(t, err, wrong)
	}
}
