package warehouse

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// The name of a column is that of its whole path, of which a node keeps the front only.
func TestNodesAreNamedByTheirPaths(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 5000 {
		held := 0
		prefix := []string{"", "context"}[i%2]
		keys := newTrie(prefix, 20+r.IntN(44), &held)
		n, path := &keys.root, prefix
		for range 1 + r.IntN(8) {
			key := []string{"order", "9lives", "a", "UserName", strings.Repeat("xy", r.IntN(40)+1), "1"}[r.IntN(6)]
			n = keys.child(n, nil, key)
			if path != "" {
				path += "_"
			}
			path += snake(key)
			require.Equal(t, identifier(path, keys.most), n.name, path)
			require.LessOrEqual(t, len(n.path), keys.most)
		}
	}
}

// A load of ever new keys has the values of those for which there is no memory in
// _unmapped, and columns that are known go on.
func TestKeysOfALoadAreBounded(t *testing.T) {
	d := &Destination{dialect: Dialect{MaxName: defaultName}, home: "shop"}
	s := d.newSource("shop")
	b := &batch{d: d, sources: map[string]*source{"shop": s}}
	load := func(n, keys int) {
		var items []analytics.Item
		for i := range n {
			var p strings.Builder
			for k := range keys {
				fmt.Fprintf(&p, `"k%d_%d":"v%d",`, i, k, k)
			}
			items = append(items, analytics.Item{Data: &meta{known: true}, Body: []byte(track("{" + p.String() + `"kept":1}`))})
		}
		require.NoError(t, b.prepare(items, 0, leave))
		for _, table := range b.touched {
			table.settle(b)
			table.made()
		}
	}
	load(1, 0)
	load(200, 1500)
	require.Less(t, d.loader.held, mostHeldInLoad+2<<20)
	rows := b.kept(s.tables["e"])
	into := make([]Value, len(rows.Columns()))
	rows.Row(199, into)
	var unmapped string
	kept := false
	for i, c := range rows.Columns() {
		switch c.Name {
		case "_unmapped":
			unmapped = into[i].S
		case "kept":
			kept = into[i] == IntValue(1)
		}
	}
	require.True(t, kept)
	for _, k := range []int{0, 700, 1499} {
		require.Contains(t, unmapped, fmt.Sprintf(`"k199_%d":"v%d"`, k, k))
	}
	found := 0
	for notice, count := range b.notices {
		if notice.Kind == ColumnLimit {
			found += count
		}
	}
	for _, c := range s.tables["e"].columns {
		if c.stored && strings.HasPrefix(c.Name, "k") && c.Name != "kept" {
			found++
		}
	}
	require.Equal(t, 200*1500, found, "each value is in a column or noticed")
}
