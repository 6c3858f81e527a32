package integration

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/warehouse"
)

// rowWidth is what Dialect.MaxRow counts.
func rowWidth(v warehouse.Value) int {
	switch v.Kind {
	case warehouse.Null:
		return 0
	case warehouse.String:
		return min((len(v.S)+8)&^7, 24)
	case warehouse.JSON:
		return 24
	}
	return 8
}

// A row of 1,000 columns within Dialect.MaxRow fits into a page, whatever alignment and
// compression make of it, in both ways of writing.
func TestPostgresRowsFit(t *testing.T) {
	s := newPostgres(t)
	most := s.Dialect().MaxRow
	r := rand.New(rand.NewPCG(1, 2))
	for name, text := range rowTexts(r) {
		for layout, kinds := range map[string][]warehouse.Kind{
			"texts":             {warehouse.String},
			"texts and numbers": {warehouse.String, warehouse.Int},
			"texts and bools":   {warehouse.String, warehouse.Bool},
			"bools and times":   {warehouse.Bool, warehouse.Time},
			"all but JSON":      {warehouse.Bool, warehouse.String, warehouse.Float, warehouse.String, warehouse.Bool, warehouse.Bool, warehouse.Int},
		} {
			rows := &rowList{columns: []warehouse.Column{{Name: "id", Kind: warehouse.String}}}
			for i := range 999 {
				rows.columns = append(rows.columns, warehouse.Column{Name: "c" + strconv.Itoa(i), Kind: kinds[i%len(kinds)]})
			}
			x := beginPostgres(t, s, "shop")
			require.NoError(t, x.Create(t.Context(), "shop", warehouse.Table{Name: "wide", Columns: rows.columns}))
			for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
				for key, places := range map[string][]int{"front": upTo(999), "spread": r.Perm(999)} {
					rows.rows = [][]warehouse.Value{filledRow(rows.columns, key+strconv.Itoa(int(on)), places, text, most)}
					_, err := x.Write(t.Context(), "shop", "wide", rows, on)
					require.NoError(t, err, "%s of %s, %s", layout, name, key)
				}
			}
			require.NoError(t, x.Rollback())
		}
	}
}

// rowTexts make strings that end up as they are, compressed, or elsewhere.
func rowTexts(r *rand.Rand) map[string]func() string {
	letters := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte('a' + r.IntN(26))
		}
		return string(b)
	}
	return map[string]func() string{
		"no length":      func() string { return "" },
		"23 bytes":       func() string { return letters(23) },
		"any few bytes":  func() string { return letters(r.IntN(40)) },
		"one repetition": func() string { return strings.Repeat("ab", 20+r.IntN(400)) },
		"some length":    func() string { return letters(100 + r.IntN(60)) },
		"much length":    func() string { return letters(r.IntN(3000)) },
	}
}

func upTo(n int) []int {
	s := make([]int, n)
	for i := range s {
		s[i] = i
	}
	return s
}

// filledRow is a row with values in these places as long as there is room.
func filledRow(columns []warehouse.Column, key string, places []int, text func() string, most int) []warehouse.Value {
	row := make([]warehouse.Value, len(columns))
	row[0] = warehouse.StringValue(key)
	sum := rowWidth(row[0])
	for _, i := range places {
		v := warehouse.Value{Kind: columns[i+1].Kind, N: math.MaxInt32}
		if v.Kind == warehouse.String {
			v.S = text()
		}
		if w := rowWidth(v); sum+w <= most {
			row[i+1] = v
			sum += w
		}
	}
	return row
}
