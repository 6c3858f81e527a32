package postgres

import (
	"encoding/hex"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/warehouse"
)

// table is Rows in memory.
type table struct {
	columns []warehouse.Column
	rows    [][]warehouse.Value
}

func (t *table) Columns() []warehouse.Column       { return t.columns }
func (t *table) Len() int                          { return len(t.rows) }
func (t *table) Row(i int, into []warehouse.Value) { copy(into, t.rows[i]) }

// strings1 has one column and a row for each text.
func strings1(texts ...string) *table {
	t := &table{columns: []warehouse.Column{{Name: "id", Kind: warehouse.String}}}
	for _, s := range texts {
		t.rows = append(t.rows, []warehouse.Value{warehouse.StringValue(s)})
	}
	return t
}

func date(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }

func TestValuesAreBinary(t *testing.T) {
	last := time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	for name, c := range map[string]struct {
		v    warehouse.Value
		want string // length and bytes in hexadecimal, as the server sends them
	}{
		"null":              {warehouse.Value{}, "ffffffff"},
		"true":              {warehouse.BoolValue(true), "00000001" + "01"},
		"false":             {warehouse.BoolValue(false), "00000001" + "00"},
		"one":               {warehouse.IntValue(1), "00000008" + "0000000000000001"},
		"least int":         {warehouse.IntValue(math.MinInt64), "00000008" + "8000000000000000"},
		"two to the 53rd+1": {warehouse.IntValue(1<<53 + 1), "00000008" + "0020000000000001"},
		"float":             {warehouse.FloatValue(1.5), "00000008" + "3ff8000000000000"},
		"least float":       {warehouse.FloatValue(math.SmallestNonzeroFloat64), "00000008" + "0000000000000001"},
		"negative zero":     {warehouse.FloatValue(math.Copysign(0, -1)), "00000008" + "8000000000000000"},
		"epoch":             {warehouse.TimeValue(date(2000)), "00000008" + "0000000000000000"},
		"before the epoch":  {warehouse.TimeValue(date(2000).Add(-time.Microsecond)), "00000008" + "ffffffffffffffff"},
		"1970":              {warehouse.TimeValue(date(1970)), "00000008" + "fffca2fec4c82000"},
		"year 1":            {warehouse.TimeValue(date(1)), "00000008" + "ff1fe2ffc59c6000"},
		"year 9999":         {warehouse.TimeValue(last), "00000008" + "0380e70b913b7fff"},
		"string":            {warehouse.StringValue("ä"), "00000002" + "c3a4"},
		"empty string":      {warehouse.StringValue(""), "00000000"},
		"JSON":              {warehouse.JSONValue("{}"), "00000003" + "01" + "7b7d"},
	} {
		t.Run(name, func(t *testing.T) {
			require.Equal(t, c.want, hex.EncodeToString(appendValue(nil, &c.v)))
		})
	}
}

func TestStreamHasHeaderRowsAndTrailer(t *testing.T) {
	rows := &table{
		columns: []warehouse.Column{{Name: "id", Kind: warehouse.String}, {Name: "n", Kind: warehouse.Int}},
		rows: [][]warehouse.Value{
			{warehouse.StringValue("a"), warehouse.IntValue(7)},
			{warehouse.StringValue("b"), {}},
		},
	}
	got, err := io.ReadAll(newEncoder(rows, 0, 2, nil, nil))
	require.NoError(t, err)
	require.Equal(t, "PGCOPY\n\xff\r\n\x00"+"\x00\x00\x00\x00"+"\x00\x00\x00\x00"+
		"\x00\x02"+"\x00\x00\x00\x01a"+"\x00\x00\x00\x08"+"\x00\x00\x00\x00\x00\x00\x00\x07"+
		"\x00\x02"+"\x00\x00\x00\x01b"+"\xff\xff\xff\xff"+
		"\xff\xff", string(got))
}

func TestStreamOfPartOfTheRows(t *testing.T) {
	got, err := io.ReadAll(newEncoder(strings1("a", "b", "c", "d", "e"), 1, 4, []bool{false, true, false}, nil))
	require.NoError(t, err)
	want, err := io.ReadAll(newEncoder(strings1("b", "d"), 0, 2, nil, nil))
	require.NoError(t, err)
	require.Equal(t, want, got)
}

// The stream is the same however it is read, also with rows that are longer than a chunk.
func TestStreamDoesNotDependOnReads(t *testing.T) {
	rows := strings1("a", strings.Repeat("long", copyChunk), "", strings.Repeat("x", copyChunk-1), "b")
	for i := range 3000 {
		rows.rows = append(rows.rows, strings1(strings.Repeat("y", i%90)).rows[0])
	}
	whole := []byte(copyHeader)
	for _, r := range rows.rows {
		whole = appendRow(whole, r)
	}
	whole = append(whole, copyTrailer...)
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"as a whole":       func(r io.Reader) io.Reader { return r },
		"byte by byte":     iotest.OneByteReader,
		"half a buffer":    iotest.HalfReader,
		"error at the end": iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := io.ReadAll(wrap(newEncoder(rows, 0, rows.Len(), nil, nil)))
			require.NoError(t, err)
			require.True(t, string(whole) == string(got), "%d bytes, want %d", len(got), len(whole))
		})
	}
}

// The driver may go on reading on its own goroutine after COPY has returned.
func TestStoppedStreamLeavesRowsAlone(t *testing.T) {
	rows := strings1("a", "b")
	e := newEncoder(rows, 0, 2, nil, nil)
	buf := e.stop()
	rows.rows = nil
	n, err := e.Read(make([]byte, 100))
	require.Zero(t, n)
	require.ErrorIs(t, err, io.ErrClosedPipe)
	require.NotZero(t, cap(buf))
}

// The driver reads on a goroutine of its own, where nobody recovers a panic.
func TestStreamOfRowsThatPanic(t *testing.T) {
	e := newEncoder(&panicking{strings1("a", "b", "c"), 1}, 0, 3, nil, nil)
	got, err := io.ReadAll(e)
	require.ErrorIs(t, err, errPanicked)
	require.Empty(t, got)
	require.Equal(t, "row 1", e.panicked)
	_, err = e.Read(make([]byte, 100))
	require.ErrorIs(t, err, errPanicked)
	e.stop()
}

// panicking are rows of which one panics.
type panicking struct {
	*table
	at int
}

func (p *panicking) Row(i int, into []warehouse.Value) {
	if i == p.at {
		panic("row " + strconv.Itoa(i))
	}
	p.table.Row(i, into)
}

func TestValueOfAnotherKind(t *testing.T) {
	rows := strings1("a", "b")
	rows.columns = append(rows.columns, warehouse.Column{Name: "n", Kind: warehouse.Int})
	rows.rows[0] = append(rows.rows[0], warehouse.Value{})
	rows.rows[1] = append(rows.rows[1], warehouse.FloatValue(1.5))
	const want = "column n is int, a value is float"
	e := newEncoder(rows, 0, 2, nil, nil)
	_, err := io.ReadAll(e)
	require.EqualError(t, err, want)
	require.EqualError(t, e.wrong, want)
	_, err = newParams(rows, 0, 2, make([]warehouse.Value, 2))
	require.EqualError(t, err, want)
}

func TestMemoryIsBounded(t *testing.T) {
	rows := strings1()
	for i := range 50_000 {
		rows.rows = append(rows.rows, strings1("row " + strconv.Itoa(i)).rows[0])
	}
	e := newEncoder(rows, 0, rows.Len(), nil, nil)
	n, err := io.Copy(io.Discard, struct{ io.Reader }{e})
	require.NoError(t, err)
	require.Greater(t, n, int64(10*copyChunk))
	require.Less(t, cap(e.stop()), 3*copyChunk)
}

func TestParamsAreTheValuesOfTheRows(t *testing.T) {
	rows := &table{
		columns: []warehouse.Column{{Name: "id", Kind: warehouse.String}, {Name: "n", Kind: warehouse.Float}, {Name: "j", Kind: warehouse.JSON}},
		rows: [][]warehouse.Value{
			{warehouse.StringValue("skipped"), {}, {}},
			{warehouse.StringValue(""), {}, warehouse.JSONValue("1")},
			{warehouse.StringValue("b"), warehouse.FloatValue(1), {}},
		},
	}
	p, err := newParams(rows, 1, 3, make([]warehouse.Value, 3))
	require.NoError(t, err)
	require.Equal(t, [][]byte{{}, nil, []byte("\x011"), []byte("b"), []byte("\x3f\xf0\x00\x00\x00\x00\x00\x00"), nil}, p.values)
	require.Equal(t, []uint32{oidText, oidFloat8, oidJSONB, oidText, oidFloat8, oidJSONB}, p.oids)
	require.Equal(t, "($1,$2,$3),($4,$5,$6)", placeholders(2, 3))
	require.Equal(t, "($1)", placeholders(1, 1))
}

func TestTextArray(t *testing.T) {
	require.Equal(t, "00000001"+"00000000"+"00000019"+"00000002"+"00000001"+
		"0000000161"+"00000000", hex.EncodeToString(textArray([]string{"a", ""})))
}
