package dest_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/dest"
)

func TestProducts(t *testing.T) {
	one, two := map[string]any{"name": "LP"}, map[string]any{"name": "Sleeve"}
	for _, c := range []struct {
		v    any
		want []map[string]any
	}{
		{nil, nil}, {"LP", nil}, {one, nil}, {7, nil}, {[]any{}, []map[string]any{}}, {[]any{one, nil, "x", 5, []any{one}, two}, []map[string]any{one, two}},
		{[]map[string]any{one, two}, []map[string]any{one, two}}, {[]struct{ N json.Number }{{"9007199254740993"}}, []map[string]any{{"N": json.Number("9007199254740993")}}},
	} {
		require.Equal(t, c.want, dest.Products(map[string]any{"products": c.v}), "%v", c.v)
	}
	require.Nil(t, dest.Products(nil))
}

func TestCurrency(t *testing.T) {
	for in, want := range map[string]string{
		"EUR": "EUR", "usd": "USD", " Jpy\n": "JPY", "AED": "AED", "zwg": "ZWG", "chf": "CHF",
		"": "", "EU": "", "EURO": "", "E R": "", "XYZ": "", "€": "", "D A": "", "AED AFN": "", "\u00e9ur": "", "US\x00": "",
	} {
		got, ok := dest.Currency(dest.Text(in))
		require.Equal(t, want != "", ok, "%q", in)
		if ok {
			require.Equal(t, want, got, "%q", in)
		}
	}
	for _, v := range []any{978, nil, true, []any{"EUR"}} {
		_, ok := dest.Currency(dest.Of(v))
		require.False(t, ok)
	}
}

func TestRoundCents(t *testing.T) {
	for amount, want := range map[float64]string{
		0: "0", 29.5: "29.5", 0.1 + 0.2: "0.3", 1.999: "2", -2.345678: "-2.35", 0.004: "0", 1e20: "100000000000000000000", -0.001: "0",
		math.Inf(1): "", math.NaN(): "", math.MaxFloat64: "",
	} {
		require.Equal(t, want, json1(t, dest.RoundCents(amount)), "%v", amount)
	}
}

func TestSum(t *testing.T) {
	for _, c := range []struct {
		price, quantity any
		want            float64
		ok              bool
	}{
		{20, 2, 40, true}, {"2.5", "2", 5, true}, {20, nil, 20, true}, {20, "many", 20, true}, {20, 0, 0, true}, {-5, 2, -10, true},
		{nil, 2, 0, false}, {"free", 2, 0, false}, {"", 2, 0, false}, {true, 2, 0, false}, {1e308, 10, 0, false}, {math.NaN(), 1, 0, false},
	} {
		got, ok := dest.Sum(dest.Of(c.price), dest.Of(c.quantity))
		require.Equal(t, c.ok, ok, "%v × %v", c.price, c.quantity)
		if ok {
			require.Equal(t, c.want, got)
		}
	}
}

func TestWholeNumber(t *testing.T) {
	for in, want := range map[string]json.Number{
		"2": "2", "2.5": "3", "-2.5": "-3", "0.4": "0", " 7 ": "7", "1e3": "1000", "9007199254740992": "9007199254740992", "-9007199254740992": "-9007199254740992",
		"-0.4": "0", "9007199254740994": "", "1e300": "", "-1e300": "", "x": "", "": "", "1e999": "",
	} {
		got, ok := dest.WholeNumber(dest.Text(in))
		require.Equal(t, want != "", ok, "%q", in)
		require.Equal(t, want, got, "%q", in)
	}
}
