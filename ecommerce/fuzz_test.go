package ecommerce_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/ecommerce"
)

// FuzzOrderCompleted encodes any strings and numbers and decodes them again: they are
// still the same, but for bytes that are no UTF-8.
func FuzzOrderCompleted(f *testing.F) {
	f.Add("o-1", "EUR", "p-1", "gift", "yes", 29.5, 14.75)
	f.Add("", "<&>", "\u2028\x00", "total", "\xff\"\\", 0.0, -1e-9)
	f.Add("\xe2\x82", "\n", "", "a\xffb", "", 1e21, math.MaxFloat64)
	f.Add("", "", "", "order_id", "", math.NaN(), 1.0)
	f.Add("", "", "", "", "", 1.0, math.Inf(-1))
	f.Fuzz(func(t *testing.T, order, currency, product, key, value string, total, price float64) {
		e := ecommerce.OrderCompleted{
			OrderID: order, Total: total, Currency: currency,
			Products: []ecommerce.Product{{ProductID: product, Price: price}},
			Extra:    map[string]any{key: value},
		}
		b, err := e.AppendJSON(nil)
		if key != ecommerce.PropertyTotal && !finite(total) || key != ecommerce.PropertyProducts && !finite(price) {
			require.Error(t, err)
			require.Empty(t, b)
			return
		}
		require.NoError(t, err)
		var got map[string]any
		require.NoError(t, json.Unmarshal(b, &got), "%q", b)

		item := members{}.text("product_id", product).number("price", price)
		want := members{}.text("order_id", order).number("total", total).text("currency", currency)
		want["products"] = []any{map[string]any(item)}
		want[clean(key)] = clean(value)
		require.Equal(t, map[string]any(want), got, "%q", b)
	})
}

func finite(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }

// clean turns each byte that is no UTF-8 into U+FFFD.
func clean(s string) string { return string([]rune(s)) }

// members are an object as it is decoded; zeros are absent.
type members map[string]any

func (m members) text(key, v string) members {
	if v != "" {
		m[key] = clean(v)
	}
	return m
}

func (m members) number(key string, v float64) members {
	if v != 0 {
		m[key] = v
	}
	return m
}
