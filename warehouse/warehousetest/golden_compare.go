package warehousetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

// compareTables reports how two sets of tables differ.
func compareTables(t *testing.T, want, got map[string]*goldenTable, ordered bool) {
	t.Helper()
	for _, text := range tableDifferences(want, got, ordered) {
		t.Error(text)
	}
}

// tableDifferences says how two sets of tables differ. The order of columns is that of
// batches; it counts where ordered says so.
func tableDifferences(want, got map[string]*goldenTable, ordered bool) (all []string) {
	if w, g := slices.Sorted(maps.Keys(want)), slices.Sorted(maps.Keys(got)); !slices.Equal(w, g) {
		all = append(all, fmt.Sprintf("tables are %v, want %v", g, w))
	}
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got[name] != nil {
			all = append(all, want[name].differences(name, got[name], ordered)...)
		}
	}
	return all
}

func (t *goldenTable) differences(name string, got *goldenTable, ordered bool) (all []string) {
	w, g := columnTexts(t.columns), columnTexts(got.columns)
	if !ordered {
		slices.Sort(w)
		slices.Sort(g)
	}
	if !slices.Equal(w, g) {
		all = append(all, fmt.Sprintf("columns of %s are\n\t%v\nwant\n\t%v", name, g, w))
	}
	if w, g := slices.Sorted(maps.Keys(t.rows)), slices.Sorted(maps.Keys(got.rows)); !slices.Equal(w, g) {
		all = append(all, fmt.Sprintf("rows of %s are %s, want %s", name, short(g), short(w)))
	}
	const most = 20
	rows := 0
	for _, id := range slices.Sorted(maps.Keys(t.rows)) {
		for _, text := range rowDifferences(t.rows[id], got.rows[id]) {
			if rows++; rows <= most {
				all = append(all, fmt.Sprintf("%s, row %q: %s", name, id, text))
			}
		}
	}
	return all
}

// short keeps the ids of a large table readable.
func short(ids []string) string {
	if len(ids) > 20 {
		return fmt.Sprintf("%d: %q …", len(ids), ids[:20])
	}
	return fmt.Sprintf("%q", ids)
}

func columnTexts(columns []warehouse.Column) []string {
	all := make([]string, len(columns))
	for i, c := range columns {
		all[i] = c.Name + " " + c.Kind.String()
	}
	return all
}

// rowDifferences leaves out what no file can know: when a row was loaded, and how the
// loader remembers what is newest.
func rowDifferences(want, got map[string]string) (all []string) {
	if got == nil {
		return nil // was reported as a row that is missing
	}
	names := maps.Clone(want)
	maps.Copy(names, got)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if name == "uuid_ts" || name == "_newest" {
			continue
		}
		w, g := orNULL(want, name), orNULL(got, name)
		if w != g {
			all = append(all, fmt.Sprintf("%s is %s, want %s", name, g, w))
		}
	}
	return all
}

func orNULL(row map[string]string, name string) string {
	if text, ok := row[name]; ok {
		return text
	}
	return "NULL"
}

// checkLoaded tells whether uuid_ts is when the test ran.
func checkLoaded(t *testing.T, tables map[string]*goldenTable, from, to time.Time) {
	t.Helper()
	for name, table := range tables {
		for id, row := range table.rows {
			at, err := time.Parse(time.RFC3339, row["uuid_ts"])
			if err != nil || at.Before(from) || at.After(to) {
				t.Errorf("%s, row %q: uuid_ts is %s, want the time of the load", name, id, orNULL(row, "uuid_ts"))
				return
			}
		}
	}
}
