package warehousetest

import (
	"regexp"

	"github.com/tributary-dev/analytics/warehouse"
)

func openRules() []rule {
	return []rule{
		{
			name:     "open",
			sentence: "Open takes good settings, and the new database has no tables.",
			test:     testOpen,
		},
		{
			name:     "dialect",
			sentence: "Dialect depends on the settings only, before Open and after; it has a name, a schema and limits that a table can live with.",
			test:     testDialect,
		},
	}
}

func testOpen(t *trial) {
	s := t.open()
	s.look(func(x *tx) {
		for _, schema := range []string{home, s.Dialect().Schema} {
			if tables := x.tables(schema); len(tables) > 0 {
				t.errorf("Tables of a new database has %d", len(tables))
			}
		}
	})
}

var wellFormed = regexp.MustCompile(`^[a-z_][a-z0-9_]*$`)

func testDialect(t *trial) {
	unopened := t.setup.New(t.testing)
	t.opened = append(t.opened, unopened)
	before := unopened.Dialect()
	s := t.opens(unopened)
	if after := s.Dialect(); after != before {
		t.errorf("Dialect is %+v after Open and was %+v", after, before)
	}
	if other := s.again().Dialect(); other != before {
		t.errorf("Dialect of a second store is %+v, of the first %+v", other, before)
	}
	if before.Name == "" {
		t.errorf("Dialect has no Name")
	}
	if !wellFormed.MatchString(before.Schema) {
		t.errorf("the Schema %q is not a name of a-z, 0-9 and _", before.Schema)
	}
	const shortest, fewest = 32, 100 // what the names and columns of the standard need
	if before.MaxName != 0 && before.MaxName < shortest {
		t.errorf("MaxName is %d, want 0 or at least %d", before.MaxName, shortest)
	}
	if before.MaxColumns != 0 && before.MaxColumns < fewest {
		t.errorf("MaxColumns is %d, want 0 or at least %d", before.MaxColumns, fewest)
	}
	if before.MaxRow != 0 && before.MaxRow < 22*fewest {
		t.errorf("MaxRow is %d, want 0 or at least %d", before.MaxRow, 22*fewest)
	}
}

// widest is how many columns a table may have.
func widest(d warehouse.Dialect) int {
	const most = 1000
	return min(maxColumns(d), most)
}
