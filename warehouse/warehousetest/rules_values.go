package warehousetest

import (
	"math"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

func valueRules() []rule {
	kind := func(name, sentence string, kind warehouse.Kind, values func() []any) rule {
		return rule{name: name, sentence: sentence, test: func(t *trial) { testKind(t, kind, values()) }}
	}
	return []rule{
		{
			name:     "null",
			sentence: "A value that is Null is NULL in a column of any kind, and comes back as Null: not as false, 0 or an empty text.",
			test:     testNull,
		},
		kind("bool", "A Bool comes back as it was written.", warehouse.Bool, func() []any { return []any{true, false} }),
		kind("int", "An Int of 64 bits comes back to the last digit.", warehouse.Int, ints),
		kind("float", "A Float comes back to the last bit; -0 may become 0.", warehouse.Float, floats),
		kind("time", "A Time comes back to the microsecond, from year 1 to 9999, whatever zones are set.", warehouse.Time, times),
		kind("string", "A String comes back byte by byte, whatever it looks like and however long it is.", warehouse.String, stringValues),
		kind("json", "A JSON comes back with the same content: numbers to the last digit, and null is not NULL.", warehouse.JSON, jsons),
	}
}

// testKind writes values in three ways: into a new row, over NULL and over a value.
func testKind(t *trial, kind warehouse.Kind, values []any) {
	s := t.open()
	cols := []warehouse.Column{column("id"), {Name: "v", Kind: kind}}
	r, empty := rowsOf(cols), rowsOf(cols)
	for i, v := range values {
		r.values = append(r.values, row(padded(i), v))
		empty.values = append(empty.values, row(padded(i), nil))
	}
	turned := rowsOf(cols) // each value over the one before it
	for i := range values {
		turned.values = append(turned.values, row(padded(i), values[(i+1)%len(values)]))
	}
	n := int64(len(values))
	s.do(func(x *tx) {
		x.create(home, "inserted", cols...)
		x.write(home, "inserted", r, warehouse.Keep, n)
		x.create(home, "replaced", cols...)
		x.write(home, "replaced", empty, warehouse.Replace, n)
		x.write(home, "replaced", r, warehouse.Replace, 0)
		x.create(home, "turned", cols...)
		x.write(home, "turned", turned, warehouse.Replace, n)
		x.write(home, "turned", r, warehouse.Replace, 0)
	})
	s.look(func(x *tx) {
		for _, table := range []string{"inserted", "replaced", "turned"} {
			x.expect(table, home, table, names(cols), warehouse.Query{}, r.values...)
		}
	})
}

func testNull(t *trial) {
	s := t.open()
	zero := row("zero", false, 0, 0.0, time.Unix(0, 0), "", text(`""`))
	null := row("null", nil, nil, nil, nil, nil, nil)
	s.do(func(x *tx) {
		x.create(home, "orders", every()...)
		x.write(home, "orders", rowsOf(every(), zero, null), warehouse.Keep, 2)
		x.expect("in the transaction", home, "orders", names(every()), warehouse.Query{}, null, zero)
	})
	s.do(func(x *tx) {
		x.expect("after Commit", home, "orders", names(every()), warehouse.Query{}, null, zero)
		null[0], zero[0] = zero[0], null[0]
		x.write(home, "orders", rowsOf(every(), null, zero), warehouse.Replace, 0)
		x.expect("after Replace", home, "orders", names(every()), warehouse.Query{}, zero, null)
	})
}

func ints() []any {
	return []any{
		0, 1, -1, int64(math.MaxInt64), int64(math.MinInt64), int64(1<<53 + 1), int64(-(1<<53 + 1)), math.MaxInt32, int64(math.MaxInt32 + 1),
		int64(math.MinInt32 - 1), int64(math.MaxUint32 + 1),
	}
}

func floats() []any {
	return []any{
		0.0, math.Copysign(0, -1), 1.0, -1.0, 0.1, 1.0 / 3, math.Pi, math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64,
		-math.SmallestNonzeroFloat64, 2.2250738585072014e-308, 1e21, 123456789.125, float64(1<<53 + 2), 1e15, 1e-7, 4.35, 9.95, float64(math.MaxInt64),
	}
}

func times() []any {
	east, west := time.FixedZone("", 14*3600), time.FixedZone("", -12*3600)
	return []any{
		time.Unix(0, 0), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC), time.Date(1969, 12, 31, 23, 59, 59, 999_999_000, time.UTC),
		time.Date(2026, 5, 2, 18, 4, 5, 250_000_000, time.UTC), time.Date(2026, 5, 2, 18, 4, 5, 1000, time.UTC), time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 29, 2, 30, 0, 0, time.UTC), time.Date(2026, 10, 25, 1, 30, 0, 123_456_000, time.UTC), time.Date(1582, 10, 10, 0, 0, 0, 0, time.UTC),
		time.Date(1899, 12, 31, 23, 0, 0, 0, time.UTC), time.Date(2000, 1, 1, 0, 0, 0, 0, east), time.Date(2000, 1, 1, 0, 0, 0, 0, west),
	}
}

// shortStrings are also used as keys.
var shortStrings = []string{
	"a", "A", "a ", " a", "b", "B", "Z", "z", "_", "0", "00", "10", "9", "1e5", "0x1F", "007", "1.0", "-0", "12345678901234567890",
	"true", "null", "NULL", `\N`, `\.`, `\\`, `\`, `'`, `''`, `"`, `""`, "`", "%", "%s", "$1", "?", ":id", "@id", "{}", "{a,b}", "[1]", `{"a":1}`,
	"'; DROP TABLE orders; --", "a,b", "a\tb", "a\nb", "a\r\nb", "\x01", "\x1b", "\x7f", "\u0080", "é", "e\u0301", "É", "ß", "ss", "ﬀ", "ff", "İ", "ı",
	"日本語", "עברית", "\ufeff", "\ufffd", "\uffff", "\u2028", "😀", "👩‍👩‍👧", "\U0010ffff", "NaN", "Infinity", "infinity", "now", "2026-05-02", "\u00a0",
}

func stringValues() []any {
	values := []any{
		"", strings.Repeat("x", 300), strings.Repeat("ü", 40_000), strings.Repeat(`\'"`, 3_000), strings.Repeat("0123456789abcdef", 1<<16), incompressible(100_000),
	}
	for _, s := range shortStrings {
		values = append(values, s)
	}
	return values
}

func jsons() []any {
	texts := []string{
		"null", "true", "false", "0", "-1", "1.50", "123", "9007199254740993", "12345678901234567890", "0.1000000000000000055511151231257827", "1e400", "1E+2", "-2.5e-400",
		`""`, `"text"`, `"123"`, `"null"`, `"a\"b\\c\/d\n\t"`, `"\u00e9 \ud83d\ude00 é 😀"`, `"\\u0000"`, `"'; --"`, `"\\N"`, "[]", "{}", `[null,1,"a",[[]],{}]`,
		` { "b" : 1 , "a" : [ 1 , 2 ] } `, `{"":"","a.b":{"a b":null},"A":1,"a":2,"\"":"'"}`, `{"a":1.10,"b":1e2,"c":100}`, `"` + strings.Repeat("x", 1<<20) + `"`,
		"[" + strings.Repeat("1,", 50_000) + "2]", strings.Repeat("[", 500) + strings.Repeat("]", 500),
	}
	values := make([]any, len(texts))
	for i, s := range texts {
		values[i] = text(s)
	}
	return values
}
