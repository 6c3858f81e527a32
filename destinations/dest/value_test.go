package dest_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

type (
	word  string
	money struct {
		Amount int64  `json:"amount"`
		Unit   string `json:"unit,omitempty"`
		hidden int
	}
	ring      map[string]ring
	link      struct{ Next *link }
	faulty    struct{}
	upperCase string
)

func (faulty) MarshalJSON() ([]byte, error)      { return nil, errors.New("no") }
func (u upperCase) MarshalText() ([]byte, error) { return []byte(strings.ToUpper(string(u))), nil }

// Everything that Go can put into an event is what its JSON is.
func TestValueOfGoTypes(t *testing.T) {
	text, at := "p", time.Date(2024, 2, 29, 23, 0, 0, 5_000_000, time.FixedZone("", -3600))
	for _, c := range []struct {
		v    any
		want string // "" is absent
	}{
		{nil, ""}, {"x", `"x"`}, {"", `""`}, {true, "true"}, {json.Number("1.50"), "1.50"}, {json.Number("-0"), "-0"},
		{int(-1), "-1"}, {int8(-128), "-128"}, {int16(3), "3"}, {int32(math.MinInt32), "-2147483648"}, {int64(math.MinInt64), "-9223372036854775808"},
		{uint(1), "1"}, {uint8(255), "255"}, {uint16(3), "3"}, {uint32(math.MaxUint32), "4294967295"}, {uint64(math.MaxUint64), "18446744073709551615"},
		{float32(0.1), "0.1"}, {0.1, "0.1"}, {float64(1 << 60), "1152921504606847000"}, {1e21, "1000000000000000000000"}, {-2.5e-7, "-0.00000025"},
		{math.NaN(), ""}, {math.Inf(1), ""}, {math.Inf(-1), ""}, {float32(math.Inf(1)), ""}, {complex(1, 2), ""},
		{at, `"2024-03-01T00:00:00.005Z"`}, {&at, `"2024-02-29T23:00:00.005-01:00"`}, {time.Second, "1000000000"},
		{[]byte("hi"), `"aGk="`}, {[]string{"a", "<b>"}, `["a","<b>"]`}, {[]string(nil), ""}, {[2]int{1, 2}, "[1,2]"},
		{map[string]string{"b": "2", "a": "1"}, `{"a":"1","b":"2"}`}, {map[int]bool{2: true, 1: false}, `{"1":false,"2":true}`},
		{money{5, "EUR", 1}, `{"amount":5,"unit":"EUR"}`}, {&money{Amount: math.MaxInt64}, `{"amount":9223372036854775807}`},
		{(*money)(nil), ""}, {(*string)(nil), ""}, {&text, `"p"`}, {word("w"), `"w"`}, {upperCase("up"), `"UP"`}, {faulty{}, ""},
		{func() {}, ""}, {make(chan int), ""}, {map[string]any{"f": func() {}}["f"], ""}, {[]any{1, nil, "x"}, `[1,null,"x"]`},
		{json.RawMessage(` {"b":1.0,"a":[1e400]} `), `{"a":[1e400],"b":1.0}`}, {json.RawMessage("{"), ""}, {json.RawMessage("null"), ""},
		{big.NewInt(0).Exp(big.NewInt(10), big.NewInt(30), nil), "1000000000000000000000000000000"}, {&url.URL{Host: "h"}, ""},
		{analytics.Properties{"a": 1}, `{"a":1}`}, {analytics.Traits(nil), ""}, {map[string]any(nil), ""}, {struct{}{}, "{}"},
	} {
		v := dest.Of(c.v)
		if _, isURL := c.v.(*url.URL); isURL {
			require.Equal(t, "h", v.Object()["Host"])
			continue
		}
		require.Equal(t, c.want, json1(t, v), "%T", c.v)
		if c.want == "" {
			require.True(t, v.Empty(), "%T", c.v)
			require.Empty(t, v.String(), "%T", c.v)
			require.False(t, v.Scalar(), "%T", c.v)
		}
	}
}

// What contains itself is an error or nothing, and never a hang.
func TestValueOfCycles(t *testing.T) {
	own := map[string]any{"n": 1}
	own["self"] = own
	list := []any{nil}
	list[0] = list
	typed := ring{}
	typed["r"] = typed
	chain := &link{}
	chain.Next = chain

	for _, v := range []any{own, list} {
		_, err := dest.Of(v).JSON()
		requireInvalid(t, err)
		require.False(t, dest.Of(v).Empty())
	}
	for _, v := range []any{typed, chain, map[string]*link{"c": chain}} {
		require.True(t, dest.Of(v).Empty(), "%T", v)
		j := dest.NewJSON()
		j.Any("k", v)
		_, err := j.Bytes()
		requireInvalid(t, err)
	}
	e := &analytics.Event{Properties: own}
	require.Equal(t, "1", json1(t, dest.At("properties"+strings.Repeat(".self", 10_000)+".n").In(e)))
}

func requireInvalid(t testing.TB, err error) {
	t.Helper()
	var invalid *analytics.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.NotEmpty(t, invalid.Field)
	require.NotEmpty(t, invalid.Reason)
}

func TestNumbers(t *testing.T) {
	for _, s := range []string{"0", "-0", "1", "-1", "10", "9007199254740993", "12345678901234567890.12345678901234567890", "1e5", "1E+05", "1e-400",
		"0.0", "0e0", "29.50", strings.Repeat("9", 400)} {
		for _, v := range []dest.Value{dest.Of(json.Number(s)), dest.Text(s), dest.Text(" \t" + s + "\n")} {
			n, ok := v.Number()
			require.True(t, ok, s)
			require.Equal(t, json.Number(s), n)
			require.Equal(t, s, json1(t, dest.AsNumber(v)))
		}
		require.True(t, dest.Of(json.Number(s)).IsNumber())
		require.False(t, dest.Text(s).IsNumber())
	}
	for _, s := range []string{"", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "0x10", "1_000", "1,5", "NaN", "Infinity", "inf", "1 2", "١",
		"1f", "--1", "1.2.3", "00", strings.Repeat("9", 401), "0." + strings.Repeat("0", 400)} {
		for _, v := range []dest.Value{dest.Of(json.Number(s)), dest.Text(s)} {
			_, ok := v.Number()
			require.False(t, ok, s)
			_, ok = v.Float()
			require.False(t, ok, s)
			require.True(t, dest.AsNumber(v).Empty(), s)
		}
		require.False(t, dest.Of(json.Number(s)).Scalar(), s)
	}
	for _, v := range []any{true, nil, []any{1}, map[string]any{}} {
		_, ok := dest.Of(v).Number()
		require.False(t, ok)
	}
}

// A number that JSON has none for is dropped like any bad value, and the event goes on.
func TestNumbersThatAreNone(t *testing.T) {
	for _, v := range []dest.Value{dest.Of(json.Number("NaN")), dest.Of(json.Number("")), dest.Of(math.NaN()), dest.Float(math.Inf(-1))} {
		require.True(t, v.Empty())
		j := dest.NewJSON()
		j.Open()
		j.Field("bad", v)
		j.Text("good", "x")
		j.Close()
		require.Equal(t, `{"good":"x"}`, written(t, j))
	}
	e := &analytics.Event{Properties: map[string]any{"a": json.Number("x"), "b": 2}}
	require.Equal(t, "2", json1(t, dest.First(e, dest.At("properties.a"), dest.At("properties.b"))))
}

func TestFloat(t *testing.T) {
	for s, want := range map[string]float64{"1e308": 1e308, "-0.5": -0.5, "1e-400": 0, "9007199254740993": 9007199254740992} {
		f, ok := dest.Text(s).Float()
		require.True(t, ok)
		require.Equal(t, want, f)
	}
	for _, s := range []string{"1e309", "-1e400", strings.Repeat("9", 400)} {
		_, ok := dest.Of(json.Number(s)).Float()
		require.False(t, ok, s)
	}
	for _, f := range []float64{math.MaxFloat64, math.SmallestNonzeroFloat64, -math.MaxFloat64, 2.2250738585072014e-308, 0.1, 1 << 53} {
		back, ok := dest.Float(f).Float()
		require.True(t, ok)
		require.Equal(t, f, back)
	}
}

func TestKinds(t *testing.T) {
	yes := true
	for _, c := range []struct {
		v                           dest.Value
		str                         string
		text, boolean, scalar, null bool
	}{
		{dest.Text("x"), "x", true, false, true, false},
		{dest.Text("true"), "true", true, false, true, false},
		{dest.Flag(&yes), "true", false, true, true, false},
		{dest.Flag(nil), "", false, false, false, true},
		{dest.Int(math.MinInt64), "-9223372036854775808", false, false, true, false},
		{dest.Of([]any{}), "", false, false, false, true},
		{dest.Of([]any{nil}), "", false, false, false, false},
		{dest.Of(map[string]any{"a": nil}), "", false, false, false, false},
		{dest.Value{}, "", false, false, false, true},
	} {
		require.Equal(t, c.str, c.v.String())
		s, ok := c.v.Text()
		require.Equal(t, c.text, ok)
		if ok {
			require.Equal(t, c.str, s)
		}
		_, ok = c.v.Bool()
		require.Equal(t, c.boolean, ok)
		require.Equal(t, c.scalar, c.v.Scalar())
		require.Equal(t, c.null, c.v.Empty())
	}
	require.Nil(t, dest.Text("x").Object())
	require.Nil(t, dest.Of([]any{1}).Object())
	require.Nil(t, dest.Of(map[string]any{}).List())
}

func TestValuesAllocateNothing(t *testing.T) {
	v, n, m := dest.Text("29.50"), dest.Of(json.Number("7")), dest.Of(map[string]any{"a": 1})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _ = v.Number()
		_, _ = v.Float()
		_, _ = v.Text()
		_, _ = n.Bool()
		_, _, _, _, _ = n.String(), n.Scalar(), m.Object(), m.List(), m.Empty()
	}))
}
