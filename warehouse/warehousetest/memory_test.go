package warehousetest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

var everyKind = []warehouse.Column{
	{Name: "id", Kind: warehouse.String}, {Name: "b", Kind: warehouse.Bool}, {Name: "n", Kind: warehouse.Int}, {Name: "f", Kind: warehouse.Float},
	{Name: "t", Kind: warehouse.Time}, {Name: "s", Kind: warehouse.String}, {Name: "j", Kind: warehouse.JSON},
}

var aMoment = time.Date(2026, 5, 2, 18, 4, 5, 250_000_000, time.UTC)

func fullRow(id string) []warehouse.Value {
	return []warehouse.Value{
		warehouse.StringValue(id), warehouse.BoolValue(true), warehouse.IntValue(7), warehouse.FloatValue(0.5),
		warehouse.TimeValue(aMoment), warehouse.StringValue("text"), warehouse.JSONValue(`{"a":1}`),
	}
}

// inOrders returns a store with a table, and a transaction in it.
func inOrders(t *testing.T) (*warehousetest.Store, warehouse.Tx) {
	s := warehousetest.NewStore()
	tx, err := s.Begin(t.Context(), "shop")
	require.NoError(t, err)
	require.NoError(t, tx.Create(t.Context(), "shop", warehouse.Table{Name: "orders", Columns: everyKind}))
	require.NoError(t, tx.Commit(t.Context()))
	tx, err = s.Begin(t.Context(), "shop")
	require.NoError(t, err)
	return s, tx
}

func TestRowsAreWhatIsCommitted(t *testing.T) {
	s, tx := inOrders(t)
	empty := make([]warehouse.Value, len(everyKind))
	empty[0] = warehouse.StringValue("a")
	_, err := tx.Write(t.Context(), "shop", "orders", &rows{everyKind, [][]warehouse.Value{fullRow("b"), empty}}, warehouse.Keep)
	require.NoError(t, err)
	require.Empty(t, s.Rows("shop", "orders"))
	require.NotNil(t, s.Rows("shop", "orders"))
	require.NoError(t, tx.Commit(t.Context()))
	want := []map[string]any{
		{"id": "a"},
		{"id": "b", "b": true, "n": int64(7), "f": 0.5, "t": aMoment, "s": "text", "j": json.RawMessage(`{"a":1}`)},
	}
	require.Equal(t, want, s.Rows("shop", "orders"))
	require.Equal(t, want, s.Again().Rows("shop", "orders"))
	require.Nil(t, s.Rows("shop", "missing"))
	require.Nil(t, s.Rows("missing", "orders"))
}

func TestMemoryRefusesRows(t *testing.T) {
	set := func(i int, v warehouse.Value) []warehouse.Value {
		values := fullRow("secret-key")
		values[i] = v
		return values
	}
	for name, values := range map[string][]warehouse.Value{
		"no key":              set(0, warehouse.Value{}),
		"a bool of two":       set(1, warehouse.Value{Kind: warehouse.Bool, N: 2}),
		"a string for an int": set(2, warehouse.StringValue("secret")),
		"an int for a float":  set(3, warehouse.IntValue(1)),
		"NaN":                 set(3, warehouse.FloatValue(math.NaN())),
		"infinity":            set(3, warehouse.FloatValue(math.Inf(-1))),
		"year 0":              set(4, warehouse.TimeValue(time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC))),
		"year 10000":          set(4, warehouse.TimeValue(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))),
		"NUL":                 set(5, warehouse.StringValue("secret\x00")),
		"no UTF-8":            set(5, warehouse.StringValue("secret\xff")),
		"no JSON":             set(6, warehouse.JSONValue(`{"secret"`)),
		"JSON with NUL":       set(6, warehouse.JSONValue(`["\\\u0000secret"]`)),
	} {
		t.Run(name, func(t *testing.T) {
			_, tx := inOrders(t)
			_, err := tx.Write(t.Context(), "shop", "orders", &rows{everyKind, [][]warehouse.Value{values}}, warehouse.Keep)
			word, _ := analytics.Classify(err)
			require.Equal(t, analytics.WordSplit, word, "%v", err)
			require.NotContains(t, err.Error(), "secret")
			require.ErrorContains(t, tx.Commit(t.Context()), "broken")
			require.NoError(t, tx.Rollback())
		})
	}
	_, tx := inOrders(t)
	taken := set(6, warehouse.JSONValue(`["\\u0000"]`)) // a backslash and u0000
	n, err := tx.Write(t.Context(), "shop", "orders", &rows{everyKind, [][]warehouse.Value{taken}}, warehouse.Keep)
	require.NoError(t, err)
	require.EqualValues(t, 1, n)
}

func TestMemoryRefusesCalls(t *testing.T) {
	write := func(columns []warehouse.Column, on warehouse.Conflict, values ...[]warehouse.Value) func(warehouse.Tx) error {
		return func(tx warehouse.Tx) error {
			_, err := tx.Write(context.Background(), "shop", "orders", &rows{columns, values}, on)
			return err
		}
	}
	create := func(name string, columns ...warehouse.Column) func(warehouse.Tx) error {
		return func(tx warehouse.Tx) error {
			return tx.Create(context.Background(), "shop", warehouse.Table{Name: name, Columns: columns})
		}
	}
	id, n := everyKind[0], everyKind[2]
	wide := []warehouse.Column{id}
	for i := range 1000 {
		wide = append(wide, warehouse.Column{Name: fmt.Sprint("column_", i), Kind: warehouse.Int})
	}
	for want, call := range map[string]func(warehouse.Tx) error{
		"has the key of another one":    write(everyKind, warehouse.Replace, fullRow("a"), fullRow("a")),
		"is not the key":                write(everyKind[1:2], warehouse.Keep),
		"named twice":                   write([]warehouse.Column{id, n, n}, warehouse.Keep),
		`holds int and not string`:      write([]warehouse.Column{id, {Name: "n", Kind: warehouse.String}}, warehouse.Keep),
		"the first column is no String": create("new", n),
		`there is a column "n" already`: create("new", id, n, n),
		"has the kind null":             create("new", id, warehouse.Column{Name: "x"}),
		"has 64 bytes, want 1 to 63":    create(strings.Repeat("x", 64), id),
		"has 0 bytes":                   create("", id),
		"1001 columns are too many":     create("new", wide...),
		"the key cannot be swapped":     func(tx warehouse.Tx) error { return tx.SwapColumn(context.Background(), "shop", "orders", "id", "s") },
		`"n" holds int and not string`: func(tx warehouse.Tx) error {
			_, err := tx.Delete(context.Background(), "shop", "orders", "n", nil)
			return err
		},
	} {
		_, tx := inOrders(t)
		require.ErrorContains(t, call(tx), want)
		require.NoError(t, tx.Rollback())
		_, err := tx.Tables(t.Context(), "shop")
		require.ErrorContains(t, err, "has ended")
	}
}

func TestMemoryReadsIntoOneSlice(t *testing.T) {
	_, tx := inOrders(t)
	_, err := tx.Write(t.Context(), "shop", "orders", &rows{everyKind, [][]warehouse.Value{fullRow("a"), fullRow("b")}}, warehouse.Keep)
	require.NoError(t, err)
	var kept [][]warehouse.Value
	require.NoError(t, tx.Read(t.Context(), "shop", "orders", []string{"id"}, warehouse.Query{}, func(values []warehouse.Value) error {
		kept = append(kept, values)
		return nil
	}))
	require.Equal(t, [][]warehouse.Value{{{}}, {{}}}, kept, "who keeps the slice is to notice")
}

func TestMemoryOfTwoHomes(t *testing.T) {
	s, first := inOrders(t)
	second, err := s.Again().Begin(t.Context(), "store")
	require.NoError(t, err)
	for _, tx := range []warehouse.Tx{first, second} {
		_, err = tx.Write(t.Context(), "shop", "orders", &rows{everyKind, [][]warehouse.Value{fullRow("a")}}, warehouse.Keep)
		require.NoError(t, err)
	}
	require.NoError(t, second.Commit(t.Context()))
	require.ErrorContains(t, first.Commit(t.Context()), "was changed by another loader")
	require.NoError(t, first.Rollback())
	require.Len(t, s.Rows("shop", "orders"), 1)
}

func TestMemoryCloseEndsWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, tx := inOrders(t)
		other, done := s.Again(), make(chan error)
		go func() {
			_, err := other.Begin(context.Background(), "shop")
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, other.Close())
		require.ErrorContains(t, <-done, "closed")
		require.NoError(t, s.Close())
		require.ErrorContains(t, tx.Commit(t.Context()), "closed")
		require.NoError(t, tx.Rollback())
	})
}

func TestMemoryThatWasOpenedAgain(t *testing.T) {
	s, before := inOrders(t)
	require.NoError(t, s.Close())
	_, err := s.Begin(t.Context(), "shop")
	require.ErrorContains(t, err, "closed")
	require.NoError(t, s.Open(t.Context()))
	tx, err := s.Begin(t.Context(), "shop")
	require.NoError(t, err)
	require.ErrorContains(t, before.Commit(t.Context()), "closed")
	require.NoError(t, before.Rollback())
	_, err = tx.Write(t.Context(), "shop", "orders", &rows{everyKind, [][]warehouse.Value{fullRow("a")}}, warehouse.Keep)
	require.NoError(t, err)
	require.NoError(t, tx.Commit(t.Context()))
	require.Len(t, s.Rows("shop", "orders"), 1)
}

func TestMemoryWithATakenName(t *testing.T) {
	s, tx := inOrders(t)
	require.NoError(t, tx.Rollback())
	require.NoError(t, s.Take("shop", "view"))
	require.NoError(t, s.Take("store", "view"))
	require.ErrorContains(t, s.Take("shop", "orders"), "taken")
	require.ErrorContains(t, s.Take("shop", "view"), "taken")
	require.Nil(t, s.Rows("shop", "view"))
	tx, err := s.Again().Begin(t.Context(), "shop")
	require.NoError(t, err)
	tables, err := tx.Tables(t.Context(), "shop")
	require.NoError(t, err)
	require.Equal(t, []warehouse.Table{{Name: "orders", Columns: everyKind}, {Name: "view"}}, tables)
	err = tx.Read(t.Context(), "shop", "view", nil, warehouse.Query{}, func([]warehouse.Value) error { return nil })
	require.ErrorContains(t, err, "no such table")
	require.ErrorContains(t, tx.AddColumns(t.Context(), "shop", "view", everyKind), "no such table")
	require.ErrorContains(t, tx.Commit(t.Context()), "broken")
}

type panicking struct{ rows }

func (p *panicking) Row(i int, into []warehouse.Value) {
	if i == 1 {
		panic("a row")
	}
	p.rows.Row(i, into)
}

func TestMemoryDoesNotCommitAfterAPanic(t *testing.T) {
	s, tx := inOrders(t)
	require.PanicsWithValue(t, "a row", func() {
		p := &panicking{rows{everyKind, [][]warehouse.Value{fullRow("a"), fullRow("b")}}}
		_, _ = tx.Write(t.Context(), "shop", "orders", p, warehouse.Keep)
	})
	require.ErrorContains(t, tx.Commit(t.Context()), "panicked")
	require.NoError(t, tx.Rollback())
	require.Empty(t, s.Rows("shop", "orders"))
}
