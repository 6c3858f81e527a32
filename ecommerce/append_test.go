package ecommerce_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/ecommerce"
)

// Short names for long tables.
type (
	product = ecommerce.Product
	order   = ecommerce.OrderCompleted
	cart    = ecommerce.CartViewed
	extra   = map[string]any
)

func TestZerosAreAbsentAndExtraWins(t *testing.T) {
	for name, c := range map[string]struct {
		event properties
		want  string
	}{
		"a negative zero is absent":   {order{Total: math.Copysign(0, -1)}, `{}`},
		"a nil list is absent":        {cart{Products: nil}, `{}`},
		"an empty list is not":        {cart{Products: []product{}}, `{"products":[]}`},
		"an empty product is an item": {cart{Products: []product{{}, {SKU: "s"}}}, `{"products":[{},{"sku":"s"}]}`},
		"Extra is sorted":             {order{OrderID: "o", Extra: extra{"b": 1, "a": 2, "c": 3}}, `{"order_id":"o","a":2,"b":1,"c":3}`},
		"Extra brings zeros":          {order{Extra: extra{"total": 0}}, `{"total":0}`},
		"Extra wins over a text":      {order{OrderID: "o", Coupon: "c", Extra: extra{"coupon": nil}}, `{"order_id":"o","coupon":null}`},
		"Extra wins over a number":    {order{Total: 3, Tax: 1, Extra: extra{"total": "3.00"}}, `{"tax":1,"total":"3.00"}`},
		"Extra wins over a list":      {cart{Products: []product{lp}, Extra: extra{"products": 0}}, `{"products":0}`},
		"Extra wins over NaN":         {order{Total: math.NaN(), Extra: extra{"total": 1}}, `{"total":1}`},
		"a query may be an object": {
			ecommerce.ProductsSearched{Extra: extra{"query": extra{"q": "x"}}}, `{"query":{"q":"x"}}`,
		},
		"items have their own Extra": {
			cart{Products: []product{{SKU: "s", Extra: extra{"gift": true}}}}, `{"products":[{"sku":"s","gift":true}]}`,
		},
		"Extra of an embedded product": {
			ecommerce.ProductAdded{CartID: "c", Product: product{Extra: extra{"gift": true}}}, `{"cart_id":"c","gift":true}`,
		},
		"both, and the event's wins": {
			ecommerce.ProductAdded{Product: product{SKU: "s", Extra: extra{"a": 1, "b": 1}}, Extra: extra{"b": 2, "sku": ""}},
			`{"a":1,"b":2,"sku":""}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, encode(t, c.event))
		})
	}
}

func TestMergingChangesNoMap(t *testing.T) {
	e := ecommerce.ProductAdded{Product: product{Extra: extra{"a": 1}}, Extra: extra{"b": 2}}
	require.Equal(t, `{"a":1,"b":2}`, encode(t, e))
	require.Equal(t, map[string]any{"a": 1}, e.Product.Extra)
	require.Equal(t, map[string]any{"b": 2}, e.Extra)
}

type size int

func TestExtraValues(t *testing.T) {
	at := time.Date(2026, 5, 2, 18, 10, 0, 5e6, time.FixedZone("", 2*3600))
	for name, c := range map[string]struct {
		value any
		want  string
	}{
		"nil":                {nil, `null`},
		"string":             {"a\"b", `"a\"b"`},
		"bool":               {false, `false`},
		"int":                {-3, `-3`},
		"int8":               {int8(-128), `-128`},
		"int16":              {int16(1), `1`},
		"int32":              {int32(2), `2`},
		"int64":              {int64(math.MinInt64), `-9223372036854775808`},
		"uint":               {uint(3), `3`},
		"uint8":              {uint8(255), `255`},
		"uint16":             {uint16(4), `4`},
		"uint32":             {uint32(5), `5`},
		"uint64":             {uint64(math.MaxUint64), `18446744073709551615`},
		"float32":            {float32(0.1), `0.1`},
		"float64":            {0.1, `0.1`},
		"number":             {json.Number("12345678901234567890"), `12345678901234567890`},
		"exponent":           {json.Number("-1.5e9"), `-1.5e9`},
		"time":               {at, `"2026-05-02T18:10:00.005+02:00"`},
		"map":                {map[string]any{"b": []any{1, "x"}, "a": map[string]any{}}, `{"a":{},"b":[1,"x"]}`},
		"nil map":            {map[string]any(nil), `null`},
		"list":               {[]any{nil, true, []any{}}, `[null,true,[]]`},
		"nil list":           {[]any(nil), `null`},
		"strings":            {[]string{"<a>", "b"}, `["<a>","b"]`},
		"no strings":         {[]string{}, `[]`},
		"nil strings":        {[]string(nil), `null`},
		"anything else":      {struct{ A string }{"<&>"}, `{"A":"<&>"}`},
		"a type of its own":  {[]size{4}, `[4]`},
		"one of ours":        {&product{SKU: "<s>"}, `{"sku":"<s>"}`},
		"raw JSON":           {json.RawMessage(`{"a": [1, 2]}`), `{"a":[1,2]}`},
		"raw JSON, not UTF8": {json.RawMessage("\"\xff\""), "\"\ufffd\""},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, `{"k":`+c.want+`}`, encode(t, product{Extra: extra{"k": c.value}}))
		})
	}
}

func TestMoreKeysThanTheStackHolds(t *testing.T) {
	many := extra{}
	for _, c := range "zyxwvutsrqponmlkjihgfedcba" {
		many[string(c)] = 1
	}
	text := encode(t, product{Extra: many})
	require.True(t, strings.HasPrefix(text, `{"a":1,"b":1,`), text)
	require.True(t, strings.HasSuffix(text, `,"y":1,"z":1}`), text)
}

func TestStrings(t *testing.T) {
	for given, want := range map[string]string{
		`say "hi" \ <b>&amp;</b>`: `"say \"hi\" \\ <b>&amp;</b>"`,
		"a\nb\rc\td":              `"a\nb\rc\td"`,
		"\x00\x1f\x7f":            "\"\\u0000\\u001f\x7f\"",
		"grün \u2028 😀":           "\"grün \u2028 😀\"",
		"a\xff\xfeb":              "\"a\ufffd\ufffdb\"",
		"\xe2\x82":                "\"\ufffd\ufffd\"",
		"\ufffd":                  "\"\ufffd\"",
	} {
		b, err := ecommerce.ProductsSearched{Query: given}.AppendJSON(nil)
		require.NoError(t, err)
		require.Equal(t, `{"query":`+want+`}`, string(b))
		b, err = ecommerce.ProductsSearched{Extra: extra{given: 1}}.AppendJSON(nil)
		require.NoError(t, err)
		require.Equal(t, `{`+want+`:1}`, string(b))
	}
}

func TestFloatsAreThoseOfEncodingJSON(t *testing.T) {
	for _, f := range []float64{
		1, -1, 29.5, 0.1 + 0.2, 1e-6, 9.99e-7, -1e-9, 1.5e-10, 1e20, 1e21, -1e22, 1e300, 5e-324, math.MaxFloat64, 1 << 53,
		float64(float32(1e-6)),
	} {
		want, err := json.Marshal(f)
		require.NoError(t, err)
		require.Equal(t, `{"price":`+string(want)+`}`, encode(t, product{Price: f}))

		want, err = json.Marshal(float32(f))
		if err == nil { // not all of them have one
			require.Equal(t, `{"k":`+string(want)+`}`, encode(t, product{Extra: extra{"k": float32(f)}}))
		}
	}
}

func TestErrorsNameTheKey(t *testing.T) {
	cycle := map[string]any{}
	cycle["again"] = []any{cycle}
	for name, c := range map[string]struct {
		event properties
		want  string
	}{
		"NaN":                {order{OrderID: "o", Total: math.NaN(), Tax: 1}, "total: NaN is not a JSON number"},
		"the first one":      {order{Subtotal: math.Inf(1), Total: math.NaN()}, "subtotal: +Inf is not a JSON number"},
		"in an item":         {order{Products: []product{{}, {Price: math.Inf(-1)}}}, "products.1.price: -Inf is not a JSON number"},
		"before a list":      {order{Tax: math.NaN(), Products: []product{lp}}, "tax: NaN is not a JSON number"},
		"embedded":           {ecommerce.ProductAdded{CartID: "c", Product: product{Quantity: math.NaN()}}, "quantity: NaN is not a JSON number"},
		"in Extra":           {ecommerce.ProductAdded{Extra: extra{"a": []any{1, extra{"b": math.NaN()}}}}, "a.1.b: NaN is not a JSON number"},
		"float32 in Extra":   {ecommerce.ProductAdded{Extra: extra{"a": float32(math.Inf(1))}}, "a: +Inf is not a JSON number"},
		"no number":          {product{Extra: extra{"n": json.Number("1 ")}}, "n: a json.Number that is not a number"},
		"an empty number":    {product{Extra: extra{"n": json.Number("")}}, "n: a json.Number that is not a number"},
		"a word as a number": {product{Extra: extra{"n": json.Number("true")}}, "n: a json.Number that is not a number"},
		"a leading zero":     {product{Extra: extra{"n": json.Number("01")}}, "n: a json.Number that is not a number"},
		"a late year":        {product{Extra: extra{"t": time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}, "t: "},
		"a channel":          {product{Extra: extra{"c": make(chan int)}}, "c: json: unsupported type: chan int"},
		"a cycle":            {product{Extra: cycle}, "again.0.again.0."},
		"how deep it is":     {product{Extra: cycle}, "nested deeper than 100 levels, or a cycle"},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := c.event.AppendJSON([]byte("before"))
			require.ErrorContains(t, err, c.want)
			require.Equal(t, "before", string(b))
			_, err = c.event.MarshalJSON()
			require.ErrorContains(t, err, c.want)
			_, err = json.Marshal(c.event)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// Callers can still tell what encoding/json has said.
func TestErrorsWrapTheirCause(t *testing.T) {
	_, err := product{Extra: extra{"a": []any{func() {}}}}.AppendJSON(nil)
	var kind *json.UnsupportedTypeError
	require.ErrorAs(t, err, &kind)
}

func TestEncodingAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 8<<10)
	for _, row := range rows {
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := row.event.AppendJSON(buf); err != nil {
				t.Error(err)
			}
		})
		require.Zero(t, allocs, row.name)
	}
}

// Neither do few properties without a field.
func TestExtraAllocatesNothing(t *testing.T) {
	buf := make([]byte, 0, 8<<10)
	e := order{OrderID: "o", Extra: extra{
		"gift": true, "total": 0, "tags": []string{"a"}, "at": time.Unix(0, 0),
		"more": extra{"n": 1.5, "list": []any{1, "x"}},
	}}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := e.AppendJSON(buf); err != nil {
			t.Error(err)
		}
	}))
}
