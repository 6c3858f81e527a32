package dest_test

import (
	"bytes"
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func written(t testing.TB, j *dest.JSON) string {
	t.Helper()
	raw, err := j.Bytes()
	require.NoError(t, err)
	require.True(t, json.Valid(raw), "%s", raw)
	require.True(t, utf8.Valid(raw), "%q", raw)
	return string(raw)
}

func TestJSONWritesCommas(t *testing.T) {
	var j dest.JSON
	j.OpenList()
	j.Open()
	j.Close()
	j.OpenList()
	j.CloseList()
	j.Value(dest.Value{})
	j.Value(dest.Text("},{["))
	j.Raw([]byte(`{"raw":1}`))
	j.Open()
	j.Text(`a"{`, ":")
	j.TextUnlessEmpty("none", "")
	j.TextUnlessEmpty("some", "[")
	j.Int("i", math.MinInt64)
	j.Number("n", "1.50")
	j.Bool("b", false)
	j.Time("t", time.Unix(0, 1_000_000).In(time.FixedZone("", 3600)))
	j.Field("gone", dest.Text(""))
	j.Field("f", dest.Of([]any{}))
	j.Field("g", dest.Of(map[string]any{"x": nil}))
	j.Any("null", nil)
	j.Key("k")
	j.Raw([]byte("[1]"))
	j.Key("v")
	j.Value(dest.Int(2))
	j.OpenAt("o")
	j.Object(map[string]any{"z": 1, "a": "<&>\u2028", "m": "skipped"}, dest.Keys("m"))
	j.Close()
	j.OpenListAt("l")
	j.CloseList()
	j.OpenAt("e")
	j.Object(nil, nil)
	j.Close()
	j.Close()
	j.CloseList()
	want := `[{},[],null,"},{[",{"raw":1},{"a\"{":":","some":"[","i":-9223372036854775808,"n":1.50,"b":false,"t":"1970-01-01T00:00:00.001Z",` +
		`"g":{"x":null},"null":null,"k":[1],"v":2,"o":{"a":"<&>` + "\u2028" + `","z":1},"l":[],"e":{}}]`
	require.Equal(t, want, written(t, &j))
	require.Equal(t, len(want), j.Len())
}

func TestJSONStrings(t *testing.T) {
	for s, want := range map[string]string{
		"\x00\x1f\n\r\t\b\f\x7f":   `"\u0000\u001f\n\r\t\u0008\u000c` + "\x7f" + `"`,
		`quote " back \ /`:         `"quote \" back \\ /"`,
		"bad \xff\xfe end\xe2\x82": `"bad ` + "\ufffd\ufffd end\ufffd\ufffd" + `"`,
		"\xed\xa0\x80":             `"` + "\ufffd\ufffd\ufffd" + `"`, // a surrogate
		"<script>&'\u2029😀":        "\"<script>&'\u2029😀\"",
	} {
		j := dest.NewJSON()
		j.Open()
		j.Text(s, s)
		j.Close()
		require.Equal(t, "{"+want+":"+want+"}", written(t, j))
		require.Equal(t, want, string(dest.AppendText(nil, s)))
	}
}

// MaxText cuts texts wherever they are, whatever Go type holds them, and no keys.
func TestMaxText(t *testing.T) {
	type named string
	long := strings.Repeat("é", 9)
	deep := any(long)
	want := `"ééé"`
	for range 50 {
		deep = []any{map[string]any{long: deep}}
		want = `[{"` + long + `":` + want + `}]`
	}
	for _, c := range []struct {
		v    any
		want string
	}{
		{long, `"ééé"`}, {"éé\xff\xff", "\"éé\ufffd\""}, {deep, want}, {analytics.Properties{"a": long}, `{"a":"ééé"}`},
		{[]string{long, "é"}, `["ééé","é"]`}, {map[string]string{long: long}, `{"` + long + `":"ééé"}`}, {named(long), `"ééé"`},
		{struct{ B, A string }{long, "a"}, `{"A":"a","B":"ééé"}`}, {[]any{[]string{long}}, `[["ééé"]]`}, {json.Number("12345"), "12345"},
	} {
		j := dest.NewJSON()
		j.MaxText = 3
		j.OpenList()
		j.Value(dest.Of(c.v))
		j.Open()
		j.Any("k", c.v)
		j.Field("f", dest.Of(c.v))
		j.Close()
		j.CloseList()
		require.Equal(t, "["+c.want+`,{"k":`+c.want+`,"f":`+c.want+"}]", written(t, j), "%T", c.v)
	}
	j := dest.NewJSON()
	j.Open()
	j.MaxText = 1
	j.Text("a", long)
	j.MaxText = 0
	j.Text("b", long)
	j.Close()
	require.Equal(t, `{"a":"é","b":"`+long+`"}`, written(t, j))
}

// What a plugin has put into an event is written in order, in valid UTF-8, and alike
// through Any and Field.
func TestJSONOfGoValues(t *testing.T) {
	type row struct {
		Z int            `json:"z"`
		A map[string]int `json:"a"`
	}
	for _, c := range []struct {
		v    any
		want string
	}{
		{row{1, map[string]int{"y": 2, "b": 3}}, `{"a":{"b":3,"y":2},"z":1}`},
		{json.RawMessage("[\"\xff\", 1.0]"), "[\"\ufffd\",1.0]"},
		{json.RawMessage(`{"b":1,"a":2,"b":3}`), `{"a":2,"b":3}`},
		{[]string{"<\xff>"}, "[\"<\ufffd>\"]"}, {uint64(math.MaxUint64), "18446744073709551615"}, {float32(0.1), "0.1"}, {1e21, "1000000000000000000000"},
		{time.Unix(0, 0).UTC(), `"1970-01-01T00:00:00.000Z"`},
	} {
		j := dest.NewJSON()
		j.Open()
		j.Any("any", c.v)
		j.Field("field", dest.Of(c.v))
		j.OpenAt("object")
		j.Object(map[string]any{"v": c.v}, nil)
		j.Close()
		j.Any("list", []any{c.v})
		j.Close()
		require.Equal(t, `{"any":`+c.want+`,"field":`+c.want+`,"object":{"v":`+c.want+`},"list":[`+c.want+`]}`, written(t, j), "%T", c.v)
	}
}

func TestJSONRefuses(t *testing.T) {
	cycle := map[string]any{}
	cycle["a"] = []any{cycle}
	for name, v := range map[string]any{
		"NaN": math.NaN(), "infinity": []any{math.Inf(1)}, "func": func() {}, "channel": map[string]any{"c": make(chan int)},
		"no number": json.Number("abc"), "empty number": []any{json.Number("")}, "two numbers": json.Number("1,2"), "cycle": cycle,
		"list cycle": []any{cycle}, "bad raw": json.RawMessage("{]"), "faulty": faulty{}, "number of JSON that breaks out": json.Number(`1,"x":2`),
	} {
		j := dest.NewJSON()
		j.Open()
		j.Text("before", "x")
		j.Any("bad", v)
		j.Text("after", "x")
		j.Close()
		_, err := j.Bytes()
		requireInvalid(t, err)
		require.NotContains(t, err.Error(), "abc", name)
	}
	for _, n := range []json.Number{"", "NaN", "1 2", "0x1"} {
		j := dest.NewJSON()
		j.Open()
		j.Number("bad", n)
		j.Close()
		_, err := j.Bytes()
		requireInvalid(t, err)
	}
}

// Bytes tells the first of two faults.
func TestJSONTellsTheFirstFault(t *testing.T) {
	var j dest.JSON
	j.Any("a", json.Number("x"))
	_, first := j.Bytes()
	j.Any("b", func() {})
	_, err := j.Bytes()
	require.Error(t, first)
	require.Equal(t, first, err)
}

// The deepest event that the client takes can be written; what is deeper is refused.
func TestJSONDepth(t *testing.T) {
	nest := func(n int) string { return strings.Repeat(`{"a":[`, n/2) + strings.Repeat("]}", n/2) }
	deepest := `{"type":"track","properties":{"p":` + nest(98) + `}}`
	e := desttest.Event(t, deepest)
	j := dest.NewJSON()
	j.Open()
	j.Object(e.Properties, nil)
	j.Close()
	require.Equal(t, `{"p":`+nest(98)+`}`, written(t, j))
	raw, err := dest.Canonical([]byte(deepest))
	require.NoError(t, err)
	require.JSONEq(t, deepest, string(raw))

	_, err = dest.Canonical([]byte(nest(200)))
	requireInvalid(t, err)
}

func TestCanonical(t *testing.T) {
	for in, want := range map[string]string{
		` {"b":1.0,"a":{"d":1e400,"c":[]},"":null} `: `{"":null,"a":{"c":[],"d":1e400},"b":1.0}`,
		`{"a":1,"a":2}`:          `{"a":2}`,
		`"\ud800\u00e9\u003c"`:   "\"\ufffdé<\"",
		`[12345678901234567890]`: `[12345678901234567890]`,
		"[\"\xff\"]":             "[\"\ufffd\"]",
		`-0`:                     `-0`,
	} {
		got, err := dest.Canonical([]byte(in))
		require.NoError(t, err)
		require.Equal(t, want, string(got))
		again, err := dest.Canonical(got)
		require.NoError(t, err)
		require.Equal(t, want, string(again))
	}
	for _, in := range []string{"", " ", "{", "{}{}", "1 2", "{}]", `{"a":}`, "nul", `"`, "[1,]", "\ufeff{}"} {
		_, err := dest.Canonical([]byte(in))
		requireInvalid(t, err)
	}
}

func TestMarshal(t *testing.T) {
	raw, err := dest.Marshal(map[string]any{"b": "<a&b>\n", "a": 1})
	require.NoError(t, err)
	require.Equal(t, `{"a":1,"b":"<a&b>\n"}`, string(raw))
	_, err = dest.Marshal(math.NaN())
	require.Error(t, err)
}

// sorted fails if the keys of an object of the JSON are not in order or one is there twice.
func sorted(t *testing.T, raw []byte) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	var last []*string // of the open objects, nil for a list
	key := false
	for {
		tok, err := dec.Token()
		if err != nil {
			return
		}
		inObject := len(last) > 0 && last[len(last)-1] != nil
		if d, ok := tok.(json.Delim); ok {
			switch d {
			case '{':
				first := "\x00first"
				last, key = append(last, &first), true
				continue
			case '[':
				last = append(last, nil)
				continue
			}
			last = last[:len(last)-1]
			key = true
			continue
		}
		if !inObject {
			continue
		}
		if key {
			k := tok.(string)
			if before := *last[len(last)-1]; before != "\x00first" && before >= k {
				t.Fatalf("%q stands before %q in %s", before, k, raw)
			}
			last[len(last)-1] = &k
		}
		key = !key
	}
}

func FuzzJSON(f *testing.F) {
	for _, s := range []string{shopEvent, `[1,-0,1e400,"\ud800",{"a":{"b":[]},"":{}},null,true]`, "\"\xff\"", `{"b":1,"a":2,"b":{"z":1,"y":[{"d":1,"c":2}]}}`} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, raw []byte, most int) {
		v, ok := decodeNumbers(raw)
		if !ok {
			return
		}
		j := dest.NewJSON()
		j.Open()
		j.Any("v", v)
		j.Close()
		out, err := j.Bytes()
		if err != nil {
			requireInvalid(t, err) // too deep, or a number too long
			return
		}
		if !utf8.Valid(out) {
			t.Fatalf("no UTF-8: %q", out)
		}
		back, ok := decodeNumbers(out)
		if !ok || !reflect.DeepEqual(map[string]any{"v": v}, back) {
			t.Fatalf("%s became %s", raw, out)
		}
		sorted(t, out)
		canonical, err := dest.Canonical(raw)
		if err != nil || string(out) != `{"v":`+string(canonical)+"}" {
			t.Fatalf("canonical is %s, not %s", canonical, out)
		}
		cut := &dest.JSON{MaxText: most}
		cut.Value(dest.Of(v))
		if out, err = cut.Bytes(); err != nil || !json.Valid(out) || !utf8.Valid(out) {
			t.Fatalf("cut to %d: %q %v", most, out, err)
		}
	})
}

func decodeNumbers(raw []byte) (v any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil, false
	}
	return v, !dec.More() && len(bytes.TrimSpace(raw[dec.InputOffset():])) == 0
}

// BenchmarkJSONObject writes the properties of the ordinary track event.
func BenchmarkJSONObject(b *testing.B) {
	properties := desttest.Inputs(b)[0].Event.Properties
	b.ReportAllocs()
	for b.Loop() {
		j := dest.NewJSON()
		j.Open()
		j.Object(properties, nil)
		j.Close()
		if _, err := j.Bytes(); err != nil {
			b.Fatal(err)
		}
	}
}
