package warehousetest

import (
	"embed"
	"path"
	"strings"
	"testing"
)

//go:embed testdata/golden
var goldenFiles embed.FS

// Golden loads recorded events into new databases of s and compares the tables with
// expected ones: a whole day of a shop, and cases that were each written by hand for one
// rule of what an event becomes. With this a database that passes [Run] is known to hold
// the same as all others.
//
// The cases are in testdata/golden; their format is explained in its README.md. Limits
// that are lower than usual (see [warehouse.Dialect]) lead to other tables.
func Golden(t *testing.T, s Setup) {
	t.Helper()
	for _, name := range goldenNames(t) {
		t.Run(strings.TrimSuffix(path.Base(name), ".json"), func(t *testing.T) {
			f := parseGolden(t, name)
			g := &goldenStore{setup: s}
			for _, c := range f.Cases {
				t.Run(c.Name, func(inner *testing.T) { c.run(inner, t, g) })
			}
		})
	}
	t.Run("sizes", func(t *testing.T) {
		g := &goldenStore{setup: s}
		for _, c := range goldenSizes() {
			t.Run(c.Name, func(inner *testing.T) { c.run(inner, t, g) })
		}
	})
	t.Run("order", func(t *testing.T) { goldenOrder(t, s) })
	t.Run("shop", func(t *testing.T) { goldenShop(t, s) })
}

// goldenNames are the files with cases.
func goldenNames(t *testing.T) []string {
	entries, err := goldenFiles.ReadDir("testdata/golden/nasty")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, "testdata/golden/nasty/"+e.Name())
	}
	return names
}
