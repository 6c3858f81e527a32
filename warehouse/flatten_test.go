package warehouse

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// rowsOf loads events into a batch without a database and returns what each table would
// get: by id, the values by column.
func rowsOf(t testing.TB, careful bool, events ...string) (map[string]map[string]map[string]Value, *batch) {
	t.Helper()
	d := &Destination{dialect: Dialect{MaxName: defaultName}, home: "shop"}
	s := d.newSource("shop")
	b := &batch{d: d, sources: map[string]*source{"shop": s}}
	if careful {
		b.begin()
		for i, e := range events {
			b.index, b.body, b.careful, b.told = int32(i), e, true, false
			if err := b.add(&meta{accepted: 1, known: true}); err != nil {
				b.invalid[i] = err
			}
		}
		for _, table := range b.touched {
			table.count(b)
		}
	} else {
		items := make([]analytics.Item, len(events))
		for i, e := range events {
			items[i] = analytics.Item{Body: []byte(e), Data: &meta{accepted: 1, known: true}}
		}
		require.NoError(t, b.prepare(items, 0, leave))
	}
	tables := make(map[string]map[string]map[string]Value)
	for _, table := range b.touched {
		table.settle(b)
		rows := b.kept(table)
		tables[table.name] = make(map[string]map[string]Value)
		into := make([]Value, len(rows.Columns()))
		for i := range rows.Len() {
			rows.Row(i, into)
			row := make(map[string]Value)
			for k, c := range rows.Columns() {
				if into[k].Kind != Null {
					row[c.Name] = into[k]
				}
			}
			tables[table.name][into[0].S] = row
		}
	}
	return tables, b
}

// leave takes no rows before all are there.
func leave() error { return nil }

func track(properties string) string {
	return `{"type":"track","messageId":"m","timestamp":"2026-05-02T18:04:05Z","event":"E","properties":` + properties + `}`
}

func TestLaterKeyWins(t *testing.T) {
	for properties, want := range map[string]string{
		`{"first_name":"b","firstName":"a"}`:                         "b",
		`{"firstName":"a","first_name":"b"}`:                         "b",
		`{"first_name":"c","firstName":"b","first":{"name":"a"}}`:    "c",
		`{"firstName":"b","first":{"name":"a"}}`:                     "b",
		`{"firstName":"b","first":{"name":"a"},"first_name":"c"}`:    "c",
		`{"first_name":"b","first_name":"d","firstName":"a"}`:        "d",
		`{"first\u005fname":"e","firstName":"a"}`:                    "e",
		`{"firstName":1,"first_name":true,"first":{"name":"never"}}`: "true",
	} {
		tables, _ := rowsOf(t, false, track(properties))
		v := tables["e"]["m"]["first_name"]
		require.Equal(t, want, v.text(), properties)
	}
	tables, _ := rowsOf(t, false, track(`{"first_name":null,"firstName":"a"}`))
	require.NotContains(t, tables["e"]["m"], "first_name", "null is a value, and the later one")
}

// The kind of a column does not come from a value that lost its place.
func TestLoserHasNoKind(t *testing.T) {
	tables, _ := rowsOf(t, false, track(`{"first_name":true,"firstName":"a"}`))
	require.Equal(t, BoolValue(true), tables["e"]["m"]["first_name"])
}

func TestDynamicKeysBecomeJSON(t *testing.T) {
	var events []string
	for i := range 120 {
		events = append(events, fmt.Sprintf(`{"type":"track","messageId":"m%d","event":"E","properties":{"plan":"p","scores":{"u%d":%d}}}`, i, i, i))
	}
	tables, b := rowsOf(t, false, events...)
	require.Equal(t, JSONValue(`{"u7":7}`), tables["e"]["m7"]["scores"])
	require.Equal(t, []Notice{{Kind: DynamicKeys, Table: "e", Column: "scores", Count: 1}}, b.notices.list())
	require.Less(t, len(b.sources["shop"].tables["e"].columns), 30)
}

func TestKeysAreBounded(t *testing.T) {
	d := &Destination{dialect: Dialect{MaxName: defaultName}, home: "shop"}
	s := d.newSource("shop")
	b := &batch{d: d, sources: map[string]*source{"shop": s}}
	most := 0
	for load := range 100 {
		var items []analytics.Item
		for i := range 1000 {
			items = append(items, analytics.Item{Data: &meta{known: true}, Body: []byte(track(fmt.Sprintf(`{"k%d_%d":1,"kept":1}`, load, i)))})
		}
		require.NoError(t, b.prepare(items, 0, leave))
		for _, table := range b.touched {
			table.settle(b)
			table.made()
		}
		most = max(most, d.loader.held)
	}
	require.Less(t, most, mostHeld+2<<20)
	require.Greater(t, most, mostHeld, "the bound was met")
	require.Less(t, s.tables["e"].data.size, 50_000)
	require.Contains(t, s.tables["e"].byName, "kept")
	require.LessOrEqual(t, s.tables["e"].live, defaultColumns)
}

// The one pass over the bytes finds what the way through sorted keys finds, whatever the
// event is, and neither fails in any other way than by an error.
func FuzzFlatten(f *testing.F) {
	for _, s := range []string{
		track(`{"a":1,"b":{"c":[1,{"d":null}],"日本":{"x":1}},"e":"2026-05-02T18:04:05Z","n":1e400}`),
		track(`{"first_name":"b","firstName":null,"first":{"name":1}}`),
		track(`{ "a" : [ ] , "a":{} , "\u0000" : "\u0000", "context_ip":"p"}`),
		`{"context":{"ip":"i","page":{"url":"u"}},"properties":{"context_ip":1},"event":"E","messageId":"m","type":"track"}`,
		`{"type":"identify","messageId":"m","userId":"u","traits":{"id":1,"email":"e"}}`,
		`{"type":"object","messageId":"m","collection":"c","id":"1","properties":{"a":1}}`,
		`{"type":"page","messageId":"m","name":"n","properties":null}`, `{`, `[]`, `{"type":"track"}`, track(`{"a"`), track(`7`),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, event string) {
		got, fast := rowsOf(t, false, event)
		if !json.Valid([]byte(event)) {
			return
		}
		want, slow := rowsOf(t, true, event)
		require.Equal(t, slow.invalid, fast.invalid)
		if !slices.ContainsFunc(slices.Collect(maps.Keys(fast.notices)), func(n Notice) bool { return n.Kind == DynamicKeys }) {
			require.Equal(t, without(want), without(got), event)
		}
	})
}

// without leaves out _unmapped, whose order follows that of the keys.
func without(tables map[string]map[string]map[string]Value) map[string]map[string]map[string]Value {
	for _, rows := range tables {
		for _, row := range rows {
			if v, ok := row["_unmapped"]; ok {
				row["_unmapped"] = Value{Kind: JSON, N: int64(strings.Count(v.S, ":"))}
			}
		}
	}
	return tables
}

// Between two loads there is no more memory than a usual one needs, and nothing of the
// events.
func TestMemoryBetweenLoads(t *testing.T) {
	d := &Destination{dialect: Dialect{MaxName: defaultName}, home: "shop"}
	s := d.newSource("shop")
	b := &batch{d: d, sources: map[string]*source{"shop": s}}
	load := func(n, keys int) (cells, rows int) {
		var properties strings.Builder
		for i := range keys {
			fmt.Fprintf(&properties, `"k%d":%d,`, i, i)
		}
		items := make([]analytics.Item, n)
		for i := range items {
			e := fmt.Sprintf(`{"type":"track","messageId":"m%d","event":"E%d","properties":{%s"last":1}}`, i, i%5, properties.String())
			items[i] = analytics.Item{Data: &meta{known: true}, Body: []byte(e)}
		}
		require.NoError(t, b.prepare(items, 0, leave))
		for _, block := range b.arena.blocks {
			cells += len(block)
		}
		for _, t := range b.touched {
			rows += len(t.rows)
		}
		b.release()
		return cells, rows
	}
	cells, _ := load(2000, 500)
	_, rows := load(20_000, 1)
	require.Greater(t, cells, mostCells, "that is no large load")
	require.Greater(t, rows, mostSpare, "that is no large load")
	cells, rows = 0, 0
	for _, block := range b.arena.blocks {
		require.Empty(t, block)
		require.False(t, slices.ContainsFunc(block[:cap(block)], func(c cell) bool { return c != cell{} }))
		cells += cap(block)
	}
	for _, r := range b.spare {
		rows += cap(r)
	}
	require.LessOrEqual(t, cells, mostCells)
	require.LessOrEqual(t, rows, mostSpare)
	require.Equal(t, rows, b.room)
}
