package warehousetest

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

// goldenShop loads the day of a shop at once, in batches of one size and in random ones.
// A column whose first batch had whole numbers only is an Int then, and Retype makes of it
// what one batch does: the tables are the same each time, but for the order of columns.
func goldenShop(t *testing.T, s Setup) {
	events := shopEvents(t)
	want := shopTables(t)
	var fives []int
	for left := len(events); left > 0; left -= 500 {
		fives = append(fives, min(500, left))
	}
	t.Run("in_one_batch", func(t *testing.T) { loadShop(t, s, want, events, []int{len(events)}) })
	t.Run("in_batches", func(t *testing.T) { loadShop(t, s, want, events, fives) })
	t.Run("in_odd_batches", func(t *testing.T) {
		loadShop(t, s, want, events, cut(rand.New(rand.NewPCG(1, 6)), len(events)))
	})
}

func loadShop(t *testing.T, s Setup, want map[string]*goldenTable, events []goldenEvent, sizes []int) {
	began := time.Now().Add(-time.Minute)
	g := &goldenStore{setup: s}
	l := &goldenLoader{t: t, source: "shop", log: goldenLog, next: 1}
	l.open = func() warehouse.Store { return g.open(t, t) }
	defer l.close()
	l.settings(nil)
	l.loadAll(events, sizes)
	retyped := l.retypeLike(want)
	got := readTables(context.Background(), t, l.store, "shop", "shop")
	compareTables(t, want, got, len(sizes) == 1)
	checkLoaded(t, got, began, time.Now().Add(time.Minute))
	l.compareList("letters", nil, l.letters)
	l.compareHistory()
	for _, n := range noticesOf(l.syncs) {
		if !slices.ContainsFunc(retyped, func(column string) bool { return strings.HasPrefix(n, "misfit "+column+" ") }) {
			t.Errorf("notice %s", n)
		}
	}
}

// retypeLike gives the columns the kinds that they should have, and returns those that
// had another.
func (l *goldenLoader) retypeLike(want map[string]*goldenTable) (columns []string) {
	l.t.Helper()
	tables, err := l.dest.Schema(context.Background())
	if err != nil {
		l.t.Fatalf("Schema: %v", err)
	}
	for _, table := range tables {
		for _, c := range table.Columns {
			if like, ok := want[table.Name].column(c.Name); ok && like.Kind != c.Kind {
				if _, err := l.dest.Retype(context.Background(), table.Name, c.Name, like.Kind); err != nil {
					l.t.Fatalf("Retype: %v", err)
				}
				columns = append(columns, table.Name+" "+c.Name)
			}
		}
	}
	return columns
}

// shopEvents are the events of the day as they lay in a log.
func shopEvents(t *testing.T) (all []goldenEvent) {
	for line := range bytes.Lines(unzipped(t, "shop.ndjson.gz")) {
		var e struct {
			AcceptedAt time.Time       `json:"acceptedAt"`
			Event      json.RawMessage `json:"event"`
		}
		var o object
		if err := json.Unmarshal(line, &e); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(e.Event, &o); err != nil {
			t.Fatal(err)
		}
		all = append(all, goldenEvent{raw: e.Event, header: headerOf(o, e.AcceptedAt)})
	}
	return all
}

// shopTables are what becomes of them.
func shopTables(t *testing.T) map[string]*goldenTable {
	var read map[string]json.RawMessage
	if err := json.Unmarshal(unzipped(t, "shop.json.gz"), &read); err != nil {
		t.Fatal(err)
	}
	all := map[string]*goldenTable{}
	for name, raw := range read {
		table, err := parseTable(name, raw, nil)
		if err != nil {
			t.Fatalf("shop.json: table %s: %v", name, err)
		}
		all[name] = table
	}
	return all
}

func unzipped(t *testing.T, name string) []byte {
	f, err := goldenFiles.Open("testdata/golden/" + name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
