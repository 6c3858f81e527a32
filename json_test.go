package analytics

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// documents are texts that are JSON or nearly so. What is what, encoding/json says.
var documents = []string{
	// scalars
	`null`, `true`, `false`, `nul`, `nulll`, `Null`, `True`, `tru`, `fals`, `falsey`, `n`, `t`, `f`, ``, ` `, "\n", `undefined`, `NaN`, `Infinity`, `-Infinity`,
	// numbers
	`0`, `-0`, `1`, `-1`, `01`, `-01`, `00`, `1.0`, `0.10`, `1.`, `.5`, `-.5`, `-`, `+1`, `--1`, `1e1`, `1E1`, `1e+1`, `1e-1`, `1e`, `1e+`, `1e-`, `1.e1`, `1.0e`, `0e0`, `0e`, `0E+`, `0.e1`, `1e400`, `1e1.5`,
	`9007199254740993`, `123456789012345678901234567890`, `0x1F`, `1_000`, `1,000`, `1 2`, `1a`, `- 1`, `2.e3`, `1ee1`, `-0.0e-0`, `１`, `0b1`, `1.2.3`, `-foo`,
	// strings
	`""`, `"a"`, `"a`, `"`, `a"`, `'a'`, `"\""`, `"\"`, `"\\"`, `"\\\"`, `"\/"`, `"\b\f\n\r\t"`, `"\a"`, `"\v"`, `"\x41"`, `"\0"`, `"\u0041"`, `"\u004"`, `"\u"`, `"\u00G0"`, `"\U0041"`, `"\u 041"`, `"\u-041"`,
	`"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`, `"\ud83d\ud83d\ude00"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`, `"\ud83d\u"`, `"\uD83D\uDE00"`, `"\uffff"`, `"\u0000"`, `"\ud800\udc00"`, `"\udbff\udfff"`, `"\udc00\ud800"`,
	"\"\x00\"", "\"\x1f\"", "\"\n\"", "\"\t\"", "\"\x7f\"", "\"\x80\"", "\"\xff\xfe\"", "\"\xc3\x28\"", "\"\xe2\x82\"", "\"\xf0\x9f\x98\x80\"", "\"\xed\xa0\x80\"", "\"\xc0\x80\"", "\"é\u2028\u2029\"", `"<>&"`,
	`"01234567"`, `"0123456"`, `"012345678"`, `"0123456\"8"`, `"01234567\n"`, "\"0123456\x01\"", "\"01234567\x01\"", "\"0123456\xff\"", `"` + strings.Repeat("a", 100) + `"`, `"` + strings.Repeat("é", 100) + `"`, `"a" "b"`, `"a"b`,
	// lists
	`[]`, `[ ]`, "[\n\t\r ]", `[1]`, `[1,2]`, `[ 1 , 2 ]`, `[1,]`, `[,1]`, `[,]`, `[1,,2]`, `[1 2]`, `[1`, `[`, `]`, `[1]]`, `[[]`, `[[]]`, `[[],[]]`, `[null,true,false]`, `["a",1,{}]`, `[1,2`, `["a"`, `["a",`, `[1:2]`, `["a\"]`, `[-]`, `[nul]`, "[\f]", "[\v1]", "[\u00a01]", `[1}`, `[}`,
	// objects
	`{}`, `{ }`, `{"a":1}`, ` { "a" : 1 } `, `{"a":1,"b":2}`, `{"a":1,}`, `{,"a":1}`, `{"a"}`, `{"a":}`, `{"a",1}`, `{"a" 1}`, `{a:1}`, `{'a':1}`, `{1:1}`, `{null:1}`, `{"a":1`, `{"a":`, `{"a"`, `{"a`, `{`, `}`, `{"a":1}}`, `{"a":1]`, `{"a":1 "b":2}`, `{"a":1;"b":2}`,
	`{"":0}`, `{"a":{"b":{"c":[]}}}`, `{"a":1,"a":2}`, `{"a":{"x":1},"a":{"y":2}}`, `{"\u0061":1}`, `{"a":1,"\u0061":2}`, `{"\ud83d":1}`, "{\"\xff\":1}", `{"a\"b":1}`, `{"a\\":1}`, `{"a":"}"}`, `{"}":"{"}`, `{"a":null,"b":true,"c":false}`, `{"a"::1}`, `{:1}`, `{"a":1,,"b":2}`, `{"a":1}{}`, `{"a":1},`, `{"a":1}x`, `{"a": 1}` + "\n", `{"a":-}`, `{"a":01}`, `{"a":1.}`, `{"a":tru}`, `{"a":truex}`, `{"a":"` + "\x01" + `"}`, `{"a":[1,{"b":[2,{"c":3}]}]}`, `{[]:1}`, `{"a":1 , "b" : [ ] , "c" : { } }`,
	// white space and other starts
	" \t\r\n1 \t\r\n", "\ufeff1", "\x001", "1\x00", "//1", `1//`, `/**/1`, `{"a":/**/1}`, `#1`, "\v1", "\f1", "\u00a01", "*", "(1)", "<1>",
}

// deepDocuments nest close to the bound.
func deepDocuments() (docs []string) {
	for _, n := range []int{1, 2, 50, 99, 100, 101, 102, 103, 200, 5000} {
		docs = append(docs,
			strings.Repeat("[", n)+strings.Repeat("]", n),
			strings.Repeat("[", n)+"1"+strings.Repeat("]", n),
			strings.Repeat(`{"a":`, n)+"1"+strings.Repeat("}", n),
			strings.Repeat(`{"a":[`, n)+strings.Repeat("]}", n),
			strings.Repeat("[", n), strings.Repeat(`{"a":`, n), strings.Repeat("[", n)+strings.Repeat("]", n-1))
	}
	return docs
}

// levels is how deep lists and objects nest in valid JSON.
func levels(doc string) (most int) {
	d := json.NewDecoder(strings.NewReader(doc))
	for level := 0; ; {
		tok, err := d.Token()
		if err != nil {
			return most
		}
		switch tok {
		case json.Delim('['), json.Delim('{'):
			level++
			most = max(most, level)
		case json.Delim(']'), json.Delim('}'):
			level--
		}
	}
}

func decodeStd(doc string) (v any, err error) {
	d := json.NewDecoder(strings.NewReader(doc))
	d.UseNumber()
	if err = d.Decode(&v); err == nil && d.More() {
		err = errors.New("more than one value")
	}
	return v, err
}

func TestScannerAgreesWithEncodingJSON(t *testing.T) {
	require.GreaterOrEqual(t, len(documents), 80)
	for _, doc := range append(documents, deepDocuments()...) {
		checkScanner(t, doc)
	}
}

func checkScanner(t *testing.T, doc string) {
	t.Helper()
	valid := json.Valid([]byte(doc))
	if deep := valid && levels(doc) >= maxDepth; deep && levels(doc) > maxDepth+1 {
		require.False(t, jsontext.Valid(doc), "deep: %.80q", doc)
	} else if !deep {
		require.Equal(t, valid, jsontext.Valid(doc), "%.80q", doc)
	}
	if !jsontext.Valid(doc) {
		return
	}
	// A value inside of something else ends where it should.
	trimmed := strings.Trim(doc, " \t\r\n")
	for _, after := range []string{"", ",", "]", "}", " ", "\n"} {
		require.Equal(t, 3+len(trimmed), jsontext.SkipValue("[[ "+trimmed+after, 3, 0), "%.80q", doc)
	}
	for i := 1; i < len(trimmed); i++ { // what is cut off does not run over the end
		if end := jsontext.SkipValue(trimmed[:i], 0, 0); end > i {
			t.Fatalf("%.80q, cut off at %d: %d", doc, i, end)
		}
	}
	if trimmed == "" {
		return
	}
	want, err := decodeStd(doc)
	require.NoError(t, err)
	got, end := parseValue(trimmed, 0)
	require.Equal(t, len(trimmed), end)
	require.Equal(t, want, got, "%.80q", doc)
	if s, ok := want.(string); ok {
		require.Equal(t, s, jsontext.Unquote(trimmed))
	}
}

func TestMembersAgreeWithEncodingJSON(t *testing.T) {
	for _, doc := range append(documents, deepDocuments()...) {
		var want map[string]json.RawMessage
		valid := json.Unmarshal([]byte(doc), &want) == nil && want != nil && levels(doc) < maxDepth
		got := map[string]string{}
		ok := jsontext.EachMember(doc, func(k, v string) bool {
			got[k] = v
			return true
		})
		if !valid {
			if ok { // it does not look at what follows the object
				end := jsontext.SkipValue(doc, jsontext.SkipSpace(doc, 0), -1)
				require.Positive(t, end, "%.80q", doc)
				require.True(t, json.Valid([]byte(doc[:end])), "%.80q", doc)
			}
			continue
		}
		require.True(t, ok, "%.80q", doc)
		require.Len(t, got, len(want), "%.80q", doc)
		for k, raw := range want {
			require.JSONEq(t, string(raw), got[k], "%.80q", doc)
			require.Equal(t, got[k], jsontext.Member(doc, k), "%.80q", doc)
		}
		require.Empty(t, jsontext.Member(doc, "absent"))
		m, err := decodeObject([]byte(doc))
		require.NoError(t, err)
		std, err := decodeStd(doc)
		require.NoError(t, err)
		require.Equal(t, std, any(m))
	}
	t.Run("stops when asked to", func(t *testing.T) {
		n := 0
		require.True(t, jsontext.EachMember(`{"a":1,"b":2,"c":`, func(string, string) bool { n++; return n < 2 }))
		require.Equal(t, 2, n)
	})
	t.Run("only objects decode", func(t *testing.T) {
		for _, doc := range documents {
			if _, err := decodeObject([]byte(doc)); err == nil {
				require.True(t, json.Valid([]byte(doc)), doc)
				require.Equal(t, byte('{'), strings.TrimLeft(doc, " \t\r\n")[0], doc)
			}
		}
	})
}

func FuzzScanner(f *testing.F) {
	for _, doc := range documents {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		if len(doc) < 1<<9 {
			checkScanner(t, doc)
			jsontext.EachMember(doc, func(string, string) bool { return true })
			_ = headerOf([]byte(doc))
		}
	})
}

// encodeStd is what encoding/json makes of v.
func encodeStd(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func TestFloatsAreThoseOfEncodingJSON(t *testing.T) {
	check := func(t *testing.T, v any) {
		t.Helper()
		want, err := encodeStd(v)
		got, own := appendValue(nil, v, 0)
		if (err == nil) != (own == nil) || err == nil && want != string(got) {
			t.Fatalf("%T %v became %s, %v; encoding/json says %s, %v", v, v, got, own, want, err)
		}
	}
	edges := []float64{0, math.Copysign(0, -1), 1, -1, 0.1, 0.10, 1e-6, 9.999999e-7, 1e-7, 1e-9, 1e-10, 1e-100, 1e15, 1e15 - 1, 1e15 + 1, -1e15, 1 << 53, 1<<53 + 2, 1e20, 1e21, 9.99e20, 1e22, 1e100,
		math.MaxFloat64, math.SmallestNonzeroFloat64, math.MaxFloat32, math.SmallestNonzeroFloat32, math.MaxInt64, math.MinInt64, 1 << 63, math.Pi, 1.5, 2.5e-8, 123456789, 16777217, 0.5, 1e14 + 0.5, 999999999999999.9}
	rng := rand.New(rand.NewPCG(1, 2))
	t.Run("float64", func(t *testing.T) {
		for _, f := range edges {
			check(t, f)
			check(t, -f)
		}
		for range 200_000 {
			check(t, math.Float64frombits(rng.Uint64()))
		}
		for range 100_000 {
			check(t, rng.NormFloat64()*math.Pow(10, float64(rng.IntN(40)-15)))
			check(t, float64(rng.Int64N(1<<55)-1<<54))
			check(t, math.Round(rng.Float64()*1e6)/100)
		}
	})
	t.Run("float32", func(t *testing.T) {
		for _, f := range edges {
			check(t, float32(f))
			check(t, -float32(f))
		}
		for range 200_000 {
			check(t, math.Float32frombits(rng.Uint32()))
		}
		for range 100_000 {
			check(t, float32(rng.NormFloat64()*math.Pow(10, float64(rng.IntN(40)-15))))
			check(t, float32(rng.IntN(1<<30)))
		}
	})
}

func TestStringsAreThoseOfEncodingJSON(t *testing.T) {
	check := func(s string) {
		t.Helper()
		got := string(jsontext.AppendString(nil, s))
		var back string
		if err := json.Unmarshal([]byte(got), &back); err != nil || !utf8.ValidString(got) || back != replaced(s) || jsontext.Unquote(got) != back || jsontext.SkipString(got, 0) != len(got) {
			t.Fatalf("%q became %s, %v", s, got, err)
		}
	}
	for r := rune(0); r <= utf8.MaxRune; r++ {
		if r < 0x100 || r > 0xd700 && r < 0xe100 || r == 0x2028 || r == 0x2029 || r > 0xffe0 && r < 0x10020 {
			check(string(r))
			check("abcdefg" + string(r) + "h")
		} else if s := "abcdefg" + string(r) + "h"; string(jsontext.AppendString(nil, s)) != `"`+s+`"` {
			check(s)
			t.Fatalf("%q is not written as it is", r)
		}
	}
	rng := rand.New(rand.NewPCG(3, 4))
	for range 50_000 {
		b := make([]byte, rng.IntN(40))
		for i := range b {
			switch rng.IntN(4) {
			case 0:
				b[i] = byte(rng.Uint32())
			case 1:
				b[i] = "\"\\/<>&\n\r\t\x00\x1f\x7f \x80\xc3\xa9\xe2"[rng.IntN(17)]
			default:
				b[i] = 'a' + byte(rng.IntN(26))
			}
		}
		check(string(b))
	}
	t.Run("one byte at each place", func(t *testing.T) {
		for n := range 20 {
			for at := range n {
				for c := range 256 {
					b := bytes.Repeat([]byte("x"), n)
					b[at] = byte(c)
					check(string(b))
				}
			}
		}
	})
}

func TestTimesAreThoseOfFormat(t *testing.T) {
	format := func(at time.Time) string {
		at = at.UTC()
		layout := "2006-01-02T15:04:05.000Z"
		switch ns := at.Nanosecond(); {
		case ns%1e3 != 0:
			layout = "2006-01-02T15:04:05.000000000Z"
		case ns%1e6 != 0:
			layout = "2006-01-02T15:04:05.000000Z"
		}
		return `"` + at.Format(layout) + `"`
	}
	check := func(at time.Time) {
		t.Helper()
		if want, got := format(at), string(appendTime(nil, at)); want != got {
			t.Fatalf("%s, want %s", got, want)
		}
	}
	zones := []*time.Location{time.UTC, time.FixedZone("", 14*3600), time.FixedZone("", -12*3600), time.FixedZone("", 3601)}
	for year := 1; year <= 9999; year++ {
		check(time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC))
		check(time.Date(year, 2, 28, 23, 59, 59, 999999999, time.UTC))
		check(time.Date(year, 2, 29, 0, 0, 0, 0, time.UTC))
		check(time.Date(year, 3, 1, 12, 0, 0, 1e6, time.UTC))
		check(time.Date(year, 12, 31, 23, 59, 59, 999e6, time.UTC))
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for range 300_000 {
		at := time.Unix(minTime+rng.Int64N(maxTime-minTime+1), rng.Int64N(1e9))
		switch rng.IntN(3) {
		case 0:
			at = at.Truncate(time.Millisecond)
		case 1:
			at = at.Truncate(time.Microsecond)
		}
		check(at.In(zones[rng.IntN(len(zones))]))
	}
	check(time.Unix(minTime, 0))
	check(time.Unix(maxTime, 999999999))
	check(time.Unix(-1, 999999999))
	check(time.Unix(0, 0))
	t.Run("every day of 800 years", func(t *testing.T) {
		for day := range int64(2 * 146097) {
			y, m, d := civil(day - 719468)
			at := time.Unix((day-719468)*86400, 0).UTC()
			if [3]int{at.Year(), int(at.Month()), at.Day()} != [3]int{y, m, d} {
				t.Fatalf("%v became %d-%d-%d", at, y, m, d)
			}
		}
	})
}

// The client refuses such years. AppendJSON of an event has to say so as well: what
// it writes must be a time, or nothing at all.
func TestEventsOfOtherYearsDoNotBecomeGarbage(t *testing.T) {
	for _, at := range []time.Time{
		time.Date(-1, 12, 31, 23, 0, 0, 0, time.UTC), time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-5000, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Date(123456, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(math.MaxInt64, 0), time.Unix(math.MinInt64, 0),
	} {
		var b []byte
		var err error
		require.NotPanics(t, func() { b, err = (&Event{SentAt: at}).AppendJSON(nil) })
		if err == nil {
			_, err = time.Parse(`{"sentAt":"2006-01-02T15:04:05.999Z"}`, string(b))
			require.NoError(t, err)
		}
	}
}

func TestZonedTimesAreThoseOfEncodingJSON(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	check := func(at time.Time) {
		t.Helper()
		want, err := encodeStd(at)
		got, own := appendValue(nil, at, 0)
		if (err == nil) != (own == nil) || err == nil && want != string(got) {
			t.Errorf("%v became %s, %v; encoding/json says %s, %v", at, got, own, want, err)
		}
	}
	for _, offset := range []int{0, 3600, -3600, 5*3600 + 1800, 3601, -59, 14 * 3600, 24*3600 - 60, 24 * 3600, 30 * 3600, -24 * 3600} {
		check(time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("", offset)))
		check(time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", offset)))
		check(time.Date(0, 1, 1, 0, 0, 0, 0, time.FixedZone("", offset)))
		check(time.Date(-1, 12, 31, 23, 0, 0, 0, time.FixedZone("", offset)))
	}
	for range 50_000 {
		check(time.Unix(rng.Int64N(1<<39)-1<<38, rng.Int64N(1e9)).In(time.FixedZone("", (rng.IntN(27*60)-13*60)*60)))
	}
	check(time.Time{})
}

// RFC 9562: 48 bits of milliseconds, version 7, variant 10.
var uuidText = regexp.MustCompile(`^([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestMessageIDsParse(t *testing.T) {
	last := ""
	for i := range 10_000 {
		text := string(appendUUID(nil, time.Unix(1_767_322_800, int64(i)*300_000)))
		id, err := uuid.Parse(text)
		require.NoError(t, err)
		require.Equal(t, uuid.Version(7), id.Version())
		require.Equal(t, uuid.RFC4122, id.Variant())
		require.Less(t, last, text, "ids sort by time")
		last = text
	}
}

func TestMessageIDsAreUUIDv7(t *testing.T) {
	for _, ms := range []int64{0, 1, 1767322800123, 1<<48 - 1} {
		for range 1000 {
			parts := uuidText.FindStringSubmatch(string(appendUUID(nil, time.UnixMilli(ms))))
			require.NotNil(t, parts)
			got, err := strconv.ParseInt(parts[1]+parts[2], 16, 64)
			require.NoError(t, err)
			require.Equal(t, ms, got)
		}
	}
	t.Run("later ones sort behind", func(t *testing.T) {
		last := ""
		at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
		for range 50_000 {
			id := string(appendUUID(nil, at))
			require.Less(t, last, id)
			last = id
			at = at.Add(250 * time.Nanosecond)
		}
		for range 20_000 {
			id := string(appendUUID(nil, at))
			require.Less(t, last, id)
			last = id
			at = at.Add(time.Millisecond)
		}
	})
	t.Run("at any fraction of a millisecond", func(t *testing.T) {
		for ns := int64(0); ns < 1e6; ns += 499 {
			id := string(appendUUID(nil, time.Unix(0, 1767322800123e6+ns)))
			parts := uuidText.FindStringSubmatch(id)
			require.NotNil(t, parts, id)
			require.Equal(t, "019b7ca5cffb", parts[1]+parts[2])
		}
		require.Regexp(t, uuidText, string(appendUUID(nil, time.Unix(0, 1767322800123999999))))
	})
	t.Run("a million of one moment are unique, and their random bits are even", func(t *testing.T) {
		seen := make(map[string]struct{}, 1e6)
		var counts [36][256]int
		for range int(1e6) {
			id := string(appendUUID(nil, time.UnixMilli(1767322800000)))
			seen[id] = struct{}{}
			for i := range 36 {
				counts[i][id[i]]++
			}
		}
		require.Len(t, seen, 1e6)
		for i := 20; i < 36; i++ {
			for _, digit := range []byte(hexDigits) {
				if i != 23 {
					require.InDelta(t, 1e6/16, counts[i][digit], 3000, "place %d, digit %c", i, digit)
				}
			}
		}
	})
}

// Types whose JSON encoding/json knows. Ours must be the same.
type (
	celsius     float64
	level       int8
	shade       string
	flag        bool
	shades      []shade
	byShade     map[shade]level
	rawBytes    []byte
	byteArray   [4]byte
	pointerJSON struct{ n int }
	pointerText struct{ n int }
	valueJSON   struct{ n int }
	textKeyed   struct{ n int }
	base        struct {
		ID   string `json:"id"`
		Kind string `json:"kind"`
	}
	inner  struct{ Level level }
	tagged struct {
		base
		*inner
		Value      *valueJSON `json:"value"`
		Kind       string     `json:"kind"`
		Empty      string     `json:"empty,omitempty"`
		Zero       time.Time  `json:"zero,omitzero"`
		Number     int64      `json:"number,string"`
		Skipped    string     `json:"-"`
		Dash       string     `json:"-,"` //nolint:staticcheck // named "-"
		Untagged   []int
		Any        any             `json:"any"`
		Raw        json.RawMessage `json:"raw,omitempty"`
		When       time.Time       `json:"when"`
		Took       time.Duration   `json:"took"`
		Bytes      []byte          `json:"bytes"`
		Map        map[int]string  `json:"map"`
		HTML       string          `json:"html"`
		Num        json.Number     `json:"num"`
		unexported int             //nolint:unused // not encoded
	}
	holder struct {
		Big   big.Int     `json:"big"`
		Own   pointerJSON `json:"own"`
		Text  pointerText `json:"text"`
		List  []pointerJSON
		Event Event `json:"event"`
	}
)

func (p *pointerJSON) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `{"p":%d}`, p.n), nil }
func (p *pointerText) MarshalText() ([]byte, error) { return fmt.Appendf(nil, `p%d`, p.n), nil }
func (v valueJSON) MarshalJSON() ([]byte, error)    { return fmt.Appendf(nil, ` { "v" : %d } `, v.n), nil }
func (k textKeyed) MarshalText() ([]byte, error)    { return fmt.Appendf(nil, `k%d"<`, k.n), nil }

func encodables() map[string]any {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))
	one := 1
	p := &one
	full := tagged{base: base{"7", "inner"}, inner: &inner{Level: 3}, Value: &valueJSON{1}, Kind: "outer", Number: math.MaxInt64, Dash: "d", Any: map[string]any{"x": nil}, Raw: json.RawMessage(`{ "a" : [ 1 ] }`),
		When: at, Took: time.Second, Bytes: []byte{0, 255}, Map: map[int]string{-1: "a"}, HTML: "<&>", Num: "1.50"}
	return map[string]any{
		"nil": nil, "true": true, "flag": flag(true), "string": "é\"\\\n\u2028<", "shade": shade("x\xff"), "int": -7, "int8": int8(-8), "int16": int16(-16), "int32": int32(-32), "int64": int64(math.MinInt64),
		"uint": uint(7), "uint8": uint8(8), "uint16": uint16(16), "uint32": uint32(32), "uint64": uint64(math.MaxUint64), "uintptr": uintptr(9), "level": level(-3), "celsius": celsius(36.6), "2^53+1": int64(1<<53 + 1),
		"float32": float32(0.1), "float64": 0.1, "number": json.Number("1e400"), "number exact": json.Number("0.10"), "number minus zero": json.Number("-0"),
		"time": at, "time zero": time.Time{}, "duration": 90 * time.Second, "month": time.May, "pointer to time": &at,
		"bytes": []byte{0, 1, 254, 255}, "empty bytes": []byte{}, "nil bytes": []byte(nil), "named bytes": rawBytes("ab"), "byte array": byteArray{1, 2, 3, 4}, "pointer to bytes": &[]byte{1},
		"raw": json.RawMessage(` { "a" : [ 1 , 2 ] , "b" : 1.0 } `), "nil raw": json.RawMessage(nil), "pointer to raw": &json.RawMessage{'1'}, "raw in list": []json.RawMessage{json.RawMessage(`1`), nil},
		"pointer": p, "pointer to pointer": &p, "nil pointer": (*int)(nil), "nil map": map[string]any(nil), "nil list": []any(nil), "nil strings": []string(nil), "nil string map": map[string]string(nil),
		"nil maps": []map[string]any{nil, {}}, "nil typed": map[string]int(nil), "nil typed list": []int(nil),
		"list": []any{nil, 1, "a", []any{}, map[string]any{}}, "strings": []string{"a", "\x00"}, "ints": []int{1, 2}, "floats": []float64{1, 0.5}, "array": [2]bool{true, false}, "empty array": [0]int{}, "matrix": [][]int{{1}, nil, {}},
		"map": map[string]any{"a": map[string]any{"b": []any{1}}}, "string map": map[string]string{"a": "b", "": ""}, "int map": map[string]int{"a": 1}, "int keys": map[int]string{1: "a", -1: "b"}, "uint8 keys": map[uint8]bool{7: true},
		"named keys": byShade{"x": 1, "\xff": 2}, "text keys": map[textKeyed]int{{1}: 1}, "shades": shades{"a", "b"}, "maps of maps": map[string]map[string][]int{"a": {"b": {1}}}, "Properties": Properties{"a": Properties{"b": Traits{"c": 1}}},
		"list of Properties": []Properties{{"a": 1}, nil}, "list of pointers": []*int{p, nil}, "map of pointers": map[string]*int{"a": p, "b": nil}, "interface list": []fmt.Stringer{time.May}, "errors": errors.New("x"),
		"struct": full, "pointer to struct": &full, "struct list": []tagged{full, {}}, "anonymous": struct{ A, B int }{1, 2}, "empty struct": struct{}{}, "unexported": struct{ a int }{1}, "nested": struct{ X any }{struct{ Y any }{[]any{1}}},
		"value marshaler": valueJSON{1}, "pointer to value marshaler": &valueJSON{1}, "nil *valueJSON": (*valueJSON)(nil), "marshaler list": []valueJSON{{1}}, "marshaler map": map[string]valueJSON{"a": {1}},
		"pointer marshaler": &pointerJSON{2}, "by value": pointerJSON{2}, "list of pointer marshalers": []pointerJSON{{1}, {2}}, "list of pointers to them": []*pointerJSON{{1}, nil}, "map of them": map[string]pointerJSON{"a": {1}},
		"list of pointer text marshalers": []pointerText{{1}}, "array of pointer marshalers": [1]pointerJSON{{1}}, "pointer to array of them": &[1]pointerJSON{{1}}, "pointer to list of them": &[]pointerJSON{{1}},
		"pointer to struct with them": &holder{Big: *big.NewInt(12), Own: pointerJSON{1}, Text: pointerText{2}, List: []pointerJSON{{3}}}, "struct with them": holder{List: []pointerJSON{{3}}},
		"list of structs with them": []holder{{Big: *big.NewInt(5)}}, "list of big.Int": []big.Int{*big.NewInt(1)}, "big.Int": big.NewInt(1), "huge": new(big.Int).Exp(big.NewInt(10), big.NewInt(40), nil), "big.Float": big.NewFloat(1.5), "big.Rat": big.NewRat(1, 3),
		"netip": netip.MustParseAddr("::1"), "netip keys": map[netip.Addr]int{netip.MustParseAddr("1.2.3.4"): 1}, "list of events": []Event{{Type: CallTrack, UserID: "u"}}, "pointer to event": &Event{UserID: "u"}, "map[string]Event": map[string]*Event{"a": {UserID: "u"}},
	}
}

func TestValuesAreThoseOfEncodingJSON(t *testing.T) {
	for name, v := range encodables() {
		t.Run(name, func(t *testing.T) {
			for _, v := range []any{v, map[string]any{"k": v}, []any{v}, &v, struct{ X any }{v}} {
				want, err := encodeStd(v)
				require.NoError(t, err)
				got, err := appendValue(nil, v, 0)
				require.NoError(t, err)
				require.True(t, utf8.Valid(got))
				require.Equal(t, decodeAny(t, want), decodeAny(t, string(got)), "%s, encoding/json says %s", got, want)
			}
		})
	}
}

func decodeAny(t *testing.T, doc string) any {
	t.Helper()
	v, err := decodeStd(doc)
	require.NoError(t, err, doc)
	return v
}

// Event is a message by value and by pointer; its JSON must not depend on which.
func TestEventEncodesAlikeByValueAndByPointer(t *testing.T) {
	e := Event{Type: CallTrack, UserID: "u", Event: "E"}
	require.Implements(t, (*json.Marshaler)(nil), &e)
	byPointer, err := json.Marshal(&e)
	require.NoError(t, err)
	byValue, err := json.Marshal(e)
	require.NoError(t, err)
	require.JSONEq(t, string(byPointer), string(byValue))
}

// own appends its own JSON; it has no fields that encoding/json would see.
type own struct{ text string }

func (o own) AppendJSON(b []byte) ([]byte, error) { return append(b, o.text...), nil }

type pointerOwn struct{ text string }

func (o *pointerOwn) AppendJSON(b []byte) ([]byte, error) { return append(b, o.text...), nil }

func TestAppendJSONIsUsedInMapsAndLists(t *testing.T) {
	o, po := own{`{"o":1}`}, pointerOwn{`{"o":1}`}
	for name, tt := range map[string]struct {
		v    any
		want string
	}{
		"alone": {o, `{"o":1}`}, "pointer": {&o, `{"o":1}`}, "in a map": {map[string]any{"k": o}, `{"k":{"o":1}}`}, "in a list": {[]any{o}, `[{"o":1}]`},
		"in a typed list": {[]own{o}, `[{"o":1}]`}, "in a typed map": {map[string]own{"k": o}, `{"k":{"o":1}}`},
		"addressable in a list": {[]pointerOwn{po}, `[{"o":1}]`}, "list of pointers": {[]*pointerOwn{&po, nil}, `[{"o":1},null]`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := appendValue(nil, tt.v, 0)
			require.NoError(t, err)
			require.JSONEq(t, tt.want, string(got))
		})
	}
}

// dice makes random values of fuzz bytes.
type dice struct{ b []byte }

func (s *dice) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *dice) uint64() (n uint64) {
	for range 8 {
		n = n<<8 | uint64(s.byte())
	}
	return n
}

func (s *dice) string() string {
	n := min(int(s.byte())%24, len(s.b))
	text := string(s.b[:n])
	s.b = s.b[n:]
	return text
}

func (s *dice) list(depth int) []any {
	list := make([]any, s.byte()%4)
	for i := range list {
		list[i] = s.value(depth + 1)
	}
	return list
}

func (s *dice) object(depth int) map[string]any {
	m := map[string]any{}
	for range s.byte() % 5 {
		m[strings.ToValidUTF8(s.string(), "?")] = s.value(depth + 1)
	}
	return m
}

func (s *dice) value(depth int) any {
	kind := s.byte()
	if depth > 8 {
		kind %= 18
	}
	switch kind % 34 {
	case 0:
		return nil
	case 1:
		return s.byte()%2 == 0
	case 2:
		return s.string()
	case 3:
		return int64(s.uint64())
	case 4:
		return s.uint64()
	case 5:
		return math.Float64frombits(s.uint64())
	case 6:
		return float64(int16(s.uint64())) / 4
	case 7:
		return shade(s.string())
	case 8:
		return json.Number(s.string())
	case 9:
		return json.Number(strconv.FormatUint(s.uint64(), 10) + ".10")
	case 10:
		return time.Unix(int64(s.uint64()%(1<<38)), int64(s.uint64()%1e9)).In(time.FixedZone("", int(int8(s.byte()))*600))
	case 11:
		return []byte(s.string())
	case 12:
		return level(s.byte())
	case 13:
		return time.Duration(s.uint64())
	case 14:
		return json.RawMessage(s.string())
	case 15:
		return []string{s.string(), s.string()}
	case 16:
		return uint16(s.uint64())
	case 17:
		return new(big.Int).SetUint64(s.uint64())
	case 18, 19, 20:
		return s.list(depth)
	case 21, 22, 23, 24:
		return s.object(depth)
	case 25:
		return Properties(s.object(depth))
	case 26:
		return map[string]string{strings.ToValidUTF8(s.string(), "?"): s.string()}
	case 27:
		v := s.value(depth + 1)
		return &v
	case 28:
		return []map[string]any{s.object(depth), nil}
	case 29:
		return tagged{base: base{s.string(), s.string()}, Any: s.value(depth + 1), Num: json.Number(strconv.Itoa(int(s.byte()))), HTML: s.string()}
	case 30:
		return &struct {
			A any `json:"a,omitempty"`
			B string
			C *int64 `json:",omitempty"`
		}{s.value(depth + 1), s.string(), nil}
	case 31:
		return map[int]any{int(int8(s.byte())): s.value(depth + 1)}
	case 32:
		return map[shade]any{shade(strings.ToValidUTF8(s.string(), "?")): s.value(depth + 1)}
	}
	return [2]any{s.value(depth + 1), s.value(depth + 1)}
}

func FuzzEncode(f *testing.F) {
	rng := rand.New(rand.NewPCG(9, 10))
	for range 64 {
		b := make([]byte, 256)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v := (&dice{data}).object(0)
		want, err := encodeStd(v)
		got, own := appendValue(nil, v, 1)
		if err != nil || own != nil {
			// An empty json.Number is zero to encoding/json, and no number to us.
			if (err == nil) != (own == nil) && !strings.Contains(fmt.Sprint(own), "a json.Number that is not a number") {
				t.Fatalf("encoding/json says %v, we say %v", err, own)
			}
			return
		}
		if !utf8.ValidString(want) {
			return // from a json.RawMessage; TestInvalidUTF8OfForeignJSONNeverReachesTheWire
		}
		require.True(t, jsontext.Valid(string(got)))
		require.Equal(t, decodeAny(t, want), decodeAny(t, string(got)))
		m, err := decodeObject(got)
		require.NoError(t, err)
		require.Equal(t, decodeAny(t, want), any(m))
	})
}

func TestCyclesEndSoon(t *testing.T) {
	m := map[string]any{}
	m["a"], m["b"] = m, []any{m, &m}
	_, err := appendValue(nil, m, 1)
	var inv *InvalidError
	require.ErrorAs(t, err, &inv)
	require.Contains(t, inv.Reason, "100")
}

// replaced is s with U+FFFD for each byte that is no UTF-8.
func replaced(s string) string { return string([]rune(s)) }
