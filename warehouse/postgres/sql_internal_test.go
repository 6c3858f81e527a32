package postgres

import (
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/warehouse"
)

func TestNamesAreQuoted(t *testing.T) {
	require.Equal(t, `"select"`, quote("select"))
	require.Equal(t, `"a""; DROP TABLE b; --"`, quote(`a"; DROP TABLE b; --`))
	require.Equal(t, `"s"."t"`, qualified("s", "t"))
	require.Equal(t, `CREATE TABLE "s"."o""o" ("id" text COLLATE "C" CONSTRAINT "o""o pkey" PRIMARY KEY, `+
		`"b" boolean, "n" bigint, "f" double precision, "t" timestamp with time zone, "x" text, "j" jsonb)`,
		createSQL("s", warehouse.Table{Name: `o"o`, Columns: []warehouse.Column{
			{Name: "id", Kind: warehouse.String}, {Name: "b", Kind: warehouse.Bool}, {Name: "n", Kind: warehouse.Int},
			{Name: "f", Kind: warehouse.Float}, {Name: "t", Kind: warehouse.Time}, {Name: "x", Kind: warehouse.String}, {Name: "j", Kind: warehouse.JSON},
		}}))
}

func TestIndexNames(t *testing.T) {
	long := strings.Repeat("a", maxName)
	require.Equal(t, "orders pkey", indexName("orders"))
	seen := map[string]bool{}
	for _, table := range []string{long[:58], long[:59], long[:62], long, long[:62] + "b", long[:62] + "c"} {
		name := indexName(table)
		require.LessOrEqual(t, len(name), maxName)
		require.Contains(t, name, " ", "no table has such a name")
		require.False(t, seen[name], "%s twice", name)
		seen[name] = true
	}
}

func TestReplaceSetsAllButTheKey(t *testing.T) {
	columns := []warehouse.Column{{Name: "id"}, {Name: "a"}, {Name: `b"`}}
	require.Equal(t, ` DO UPDATE SET "a" = excluded."a", "b""" = excluded."b"""`, (&load{rows: &table{columns: columns}}).set())
	require.Equal(t, " DO NOTHING", (&load{rows: &table{columns: columns[:1]}}).set())
}

// What is read is what was written.
func TestDecode(t *testing.T) {
	row := []warehouse.Value{
		warehouse.StringValue("ä"), {}, warehouse.JSONValue(`{"a":1}`), warehouse.StringValue(""), warehouse.BoolValue(true), warehouse.BoolValue(false),
		warehouse.IntValue(-1), warehouse.FloatValue(1.5), warehouse.TimeValue(time.Date(1, 1, 1, 0, 0, 0, 1000, time.UTC)), warehouse.JSONValue("1"),
	}
	fields := make([]pgconn.FieldDescription, len(row))
	values := make([][]byte, len(row))
	for i := range row {
		fields[i].DataTypeOID = oidOf(row[i].Kind)
		if b := appendValue(nil, &row[i]); int32(binary.BigEndian.Uint32(b)) >= 0 {
			values[i] = b[4:]
		}
	}
	d := decoder{row: make([]warehouse.Value, len(row))}
	for range 2 { // the decoder is used for all rows
		require.NoError(t, d.decode(fields, values))
		require.Equal(t, row, d.row)
	}
	fields[0].DataTypeOID = 1700 // numeric
	require.ErrorIs(t, d.decode(fields, values), errType)
}

func TestKindsComeBack(t *testing.T) {
	for k := warehouse.Bool; k <= warehouse.JSON; k++ {
		require.Equal(t, k, kindOf(oidOf(k)))
	}
	require.Equal(t, warehouse.String, kindOf(oidVarchar))
	require.Equal(t, warehouse.Null, kindOf(0))
	require.Equal(t, warehouse.Null, kindOf(23), "an integer of 4 bytes does not take 8")
}

func TestKindsAreThoseOfTheColumns(t *testing.T) {
	types := map[string]uint32{"id": oidVarchar, "n": oidInt8, "amount": 1700}
	for want, c := range map[string]warehouse.Column{
		"":                                       {Name: "n", Kind: warehouse.Int},
		"column n is int, the rows have float":   {Name: "n", Kind: warehouse.Float},
		"column m is missing, the rows have int": {Name: "m", Kind: warehouse.Int},
		"column amount has a type of no kind, the rows have int": {Name: "amount", Kind: warehouse.Int},
	} {
		err := checkKinds([]warehouse.Column{{Name: "id", Kind: warehouse.String}, c}, types)
		if want == "" {
			require.NoError(t, err)
		} else {
			require.EqualError(t, err, want)
		}
	}
}
