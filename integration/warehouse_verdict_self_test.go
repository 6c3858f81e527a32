package integration

import (
	"log/slog"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// The verdict of the tests with killed processes finds what is wrong, and nothing else.
func TestWarehouseVerdict(t *testing.T) {
	const events = 450
	store, sent := warehousetest.NewStore(), sentEvents{}
	client, err := analytics.New(analytics.Config{
		Destinations: []analytics.Destination{&warehouse.Destination{Store: store.Again(), Every: time.Hour}},
		Logger:       slog.New(slog.DiscardHandler),
	})
	require.NoError(t, err)
	for n := range events {
		m, _ := warehouseEvent(n)
		require.NoError(t, client.Enqueue(t.Context(), m))
		if sent[n] = true; n%100 == 0 {
			require.NoError(t, client.Flush(t.Context()))
		}
	}
	require.NoError(t, client.Close(t.Context()))
	read := func() map[string]*warehouseTable {
		tables, err := readWarehouse(t.Context(), store)
		require.NoError(t, err)
		return tables
	}
	require.Empty(t, judge(read(), sent))

	for name, spoil := range map[string]func(map[string]*warehouseTable, sentEvents){
		"a row is lost":          func(w map[string]*warehouseTable, _ sentEvents) { delete(w["tracks"].rows, "e-11") },
		"a row of two is lost":   func(w map[string]*warehouseTable, _ sentEvents) { delete(w["kind_0"].rows, "e-11") },
		"a user is lost":         func(w map[string]*warehouseTable, _ sentEvents) { delete(w["users"].rows, "u-5") },
		"an object is lost":      func(w map[string]*warehouseTable, _ sentEvents) { delete(w["things"].rows, "t-8") },
		"a table is lost":        func(w map[string]*warehouseTable, _ sentEvents) { delete(w, "pages") },
		"nobody sent it":         func(_ map[string]*warehouseTable, s sentEvents) { delete(s, 11) },
		"a call did not return":  func(_ map[string]*warehouseTable, s sentEvents) { s[events] = true },
		"a row of nobody":        func(w map[string]*warehouseTable, _ sentEvents) { again(w["tracks"], "e-11", "e-011") },
		"a row is there twice":   func(w map[string]*warehouseTable, _ sentEvents) { again(w["identifies"], "e-5", "e-15") },
		"a value is another one": func(w map[string]*warehouseTable, _ sentEvents) { swap(w["kind_1"], "e-200", "e-201", "number") },
		"a value is lost":        func(w map[string]*warehouseTable, _ sentEvents) { delete(w["groups"].rows["e-7"], "plan") },
		"an older trait":         func(w map[string]*warehouseTable, _ sentEvents) { swap(w["users"], "u-5", "u-6", "number") },
		"a value of nobody": func(w map[string]*warehouseTable, _ sentEvents) {
			w["tracks"].rows["e-11"]["x"] = warehouse.IntValue(1)
		},
		"a value is not kept":      func(w map[string]*warehouseTable, _ sentEvents) { forget(w, "_unmapped") },
		"a time is missing":        func(w map[string]*warehouseTable, _ sentEvents) { delete(w["tracks"].rows["e-11"], "received_at") },
		"the position is behind":   func(w map[string]*warehouseTable, _ sentEvents) { move(w["_positions"], "next", -1) },
		"the position is ahead":    func(w map[string]*warehouseTable, _ sentEvents) { move(w["_positions"], "next", 1) },
		"events are counted twice": func(w map[string]*warehouseTable, _ sentEvents) { move(w["_syncs"], "events", 1) },
		"there is no journal":      func(w map[string]*warehouseTable, _ sentEvents) { delete(w, "_positions") },
	} {
		tables, changed := read(), maps.Clone(sent)
		spoil(tables, changed)
		require.NotEmpty(t, judge(tables, changed), name)
	}

	sent[events] = false // its call did not return: both is right
	require.Empty(t, judge(read(), sent))
	sent[11] = false
	require.Empty(t, judge(read(), sent))
}

func again(t *warehouseTable, key, other string) { t.rows[other] = maps.Clone(t.rows[key]) }

func swap(t *warehouseTable, a, b, column string) {
	t.rows[a][column], t.rows[b][column] = t.rows[b][column], t.rows[a][column]
}

func forget(tables map[string]*warehouseTable, column string) {
	for _, t := range tables {
		for _, row := range t.rows {
			delete(row, column)
		}
	}
}

// move changes a number in one row.
func move(t *warehouseTable, column string, by int64) {
	for key, row := range t.rows {
		if v, ok := row[column]; ok && key != "version" {
			row[column] = warehouse.IntValue(v.N + by)
			return
		}
	}
}
