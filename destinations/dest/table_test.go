package dest_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func TestTableWrites(t *testing.T) {
	upper := func(v dest.Value) dest.Value {
		s, _ := v.Text()
		return dest.Text(strings.ToUpper(s))
	}
	table := dest.Table{
		dest.From("z", "properties.gone", "properties.empty", "properties.price", "properties.id"),
		dest.From("id", "properties.id"),
		dest.From("text id", "properties.id").With(dest.AsText),
		dest.From("none", "properties.gone"),
		dest.From("skipped", "userId"),
		dest.From("upper", "userId").With(upper),
		dest.From("unfit", "properties.products").With(dest.AsScalar),
		dest.From("emptied", "properties.price").With(upper),
		dest.From("when", "timestamp").With(dest.AsUnixSeconds),
		dest.From("no places"),
		dest.From("product", "properties.products.0"),
		{To: "a", From: []dest.Path{dest.At("event")}},
	}
	j := dest.NewJSON()
	j.Open()
	table.Write(j, desttest.Event(t, shopEvent), dest.Keys("skipped"))
	j.Close()
	require.Equal(t, `{"z":29.50,"id":9007199254740993,"text id":"9007199254740993","upper":"U-1","when":1777745045,`+
		`"product":{"name":"LP","tags":["x","y"]},"a":"E"}`, written(t, j))

	j = dest.NewJSON()
	j.Open()
	table.Write(j, &analytics.Event{}, nil)
	j.Close()
	require.Equal(t, `{}`, written(t, j))
	require.Panics(t, func() { dest.From("x", "nowhere") })
}

// With leaves the row as it was: tables are shared.
func TestWithCopies(t *testing.T) {
	row := dest.From("x", "properties.id")
	text := row.With(dest.AsText)
	e := desttest.Event(t, shopEvent)
	require.True(t, row.In(e).IsNumber())
	require.False(t, text.In(e).IsNumber())
}

// A conversion is not asked about what is empty.
func TestConversionsSeeNoEmptyValues(t *testing.T) {
	row := dest.From("x", "properties.gone", "properties.empty").With(func(dest.Value) dest.Value { panic("asked") })
	require.True(t, row.In(desttest.Event(t, shopEvent)).Empty())
}

func TestConversions(t *testing.T) {
	for _, c := range []struct {
		v                    any
		text, number, scalar string
	}{
		{"x", `"x"`, "", `"x"`}, {" 5 ", `" 5 "`, "5", `" 5 "`}, {1.5, `"1.5"`, "1.5", "1.5"}, {true, `"true"`, "", "true"},
		{false, `"false"`, "", "false"}, {nil, "", "", ""}, {[]any{"x"}, "", "", ""}, {map[string]any{"a": 1}, "", "", ""},
		{uint64(1<<64 - 1), `"18446744073709551615"`, "18446744073709551615", "18446744073709551615"},
	} {
		v := dest.Of(c.v)
		require.Equal(t, c.text, json1(t, dest.AsText(v)))
		require.Equal(t, c.number, json1(t, dest.AsNumber(v)))
		require.Equal(t, c.scalar, json1(t, dest.AsScalar(v)))
	}
}

func TestKeys(t *testing.T) {
	in := dest.Keys("a", "", "a")
	require.True(t, in("a"))
	require.True(t, in(""))
	require.False(t, in("A"))
	require.False(t, dest.Keys()(""))
}
