package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/warehouse"
)

// loadRows is how many rows a load has, as the destination's largest one.
const loadRows = 10_000

// tracks are rows of 24 columns and about 560 bytes.
type tracks struct {
	columns []warehouse.Column
	values  [][]warehouse.Value
	next    int
	random  bool
}

func newTracks(random bool) *tracks {
	r := &tracks{random: random}
	for i, kind := range []warehouse.Kind{
		warehouse.String, warehouse.String, warehouse.String, warehouse.String, warehouse.String,
		warehouse.Time, warehouse.Time, warehouse.Time, warehouse.Time, warehouse.Int, warehouse.Time, warehouse.JSON,
		warehouse.String, warehouse.String, warehouse.String, warehouse.String, warehouse.String, warehouse.String,
		warehouse.Float, warehouse.Float, warehouse.Float, warehouse.Int, warehouse.Int, warehouse.Bool,
	} {
		r.columns = append(r.columns, warehouse.Column{Name: fmt.Sprint("column_", i), Kind: kind})
	}
	r.columns[0].Name = "id"
	return r
}

// another makes the rows of the next load.
func (r *tracks) another() {
	random := rand.New(rand.NewPCG(1, uint64(r.next)))
	r.values = make([][]warehouse.Value, loadRows)
	for i := range r.values {
		row := make([]warehouse.Value, len(r.columns))
		for j, c := range r.columns {
			n := random.Int64()
			switch c.Kind {
			case warehouse.String:
				row[j] = warehouse.StringValue(fmt.Sprintf("a property's value, %019d", n))
			case warehouse.Float:
				row[j] = warehouse.FloatValue(float64(n) / 1000)
			case warehouse.Time:
				row[j] = warehouse.Value{Kind: warehouse.Time, N: 1777745045250000 + n%1e15}
			case warehouse.JSON: // _unmapped, which is seldom there
			default:
				row[j] = warehouse.Value{Kind: c.Kind, N: n}
			}
		}
		row[0] = warehouse.StringValue(fmt.Sprintf("01900000-%04x-7%011x-%016x", r.next>>16, r.next, random.Uint64()))
		if r.random {
			row[0] = warehouse.StringValue(fmt.Sprintf("%016x-%018x", random.Uint64(), random.Uint64()))
		}
		r.next++
		r.values[i] = row
	}
}

func (r *tracks) Columns() []warehouse.Column { return r.columns }
func (r *tracks) Len() int                    { return len(r.values) }
func (r *tracks) Row(i int, into []warehouse.Value) {
	copy(into, r.values[i])
}

// BenchmarkWrite compares a load through a store with the best that can be written by
// hand with the same driver: one prepared statement of 256 rows, times that were made
// texts before.
func BenchmarkWrite(b *testing.B) {
	for _, ids := range []string{"ordered", "random"} {
		b.Run("ids="+ids+"/store", func(b *testing.B) { benchmarkStore(b, newTracks(ids == "random")) })
		b.Run("ids="+ids+"/hand", func(b *testing.B) { benchmarkHand(b, newTracks(ids == "random")) })
	}
}

func benchmarkStore(b *testing.B, r *tracks) {
	s := open(b, newFile(b))
	table := warehouse.Table{Name: "tracks", Columns: r.columns}
	do(b, s, func(tx warehouse.Tx) { require.NoError(b, tx.Create(b.Context(), "main", table)) })
	measure(b, r, func() {
		do(b, s, func(tx warehouse.Tx) { write(b, tx, "main", "tracks", &rows{columns: r.columns, values: r.values}) })
	})
}

func benchmarkHand(b *testing.B, r *tracks) {
	c := raw(b, newFile(b))
	names := make([]string, len(r.columns))
	types := map[warehouse.Kind]string{warehouse.Bool: "BOOLEAN", warehouse.Int: "INTEGER", warehouse.Float: "REAL",
		warehouse.Time: "TIMESTAMP", warehouse.String: "TEXT", warehouse.JSON: "JSON TEXT"}
	for i, column := range r.columns {
		names[i] = column.Name + " " + types[column.Kind]
	}
	names[0] += " NOT NULL PRIMARY KEY"
	require.NoError(b, c.Exec(`PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
		PRAGMA cache_size = -32768; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = 8192;
		CREATE TABLE tracks (`+strings.Join(names, ", ")+`)`))
	prepare := func(rows int) *sqlite3.Stmt {
		row := "(?" + strings.Repeat(", ?", len(names)-1) + ")"
		s, _, err := c.Prepare("INSERT OR ROLLBACK INTO tracks VALUES " + row + strings.Repeat(", "+row, rows-1) + " ON CONFLICT (id) DO NOTHING")
		require.NoError(b, err)
		return s
	}
	many, rest := prepare(256), prepare(loadRows%256)
	defer many.Close()
	defer rest.Close()
	texts := make([][]warehouse.Value, loadRows)
	measure(b, r, func() {
		b.StopTimer()
		for i, row := range r.values {
			texts[i] = append(texts[i][:0], row...)
			for j, v := range row {
				if v.Kind == warehouse.Time {
					texts[i][j] = warehouse.StringValue(v.Time().Format("2006-01-02 15:04:05.000000Z"))
				}
			}
		}
		b.StartTimer()
		require.NoError(b, c.Exec("BEGIN IMMEDIATE"))
		for from := 0; from < loadRows; from += 256 {
			s, n := many, 256
			if loadRows-from < 256 {
				s, n = rest, loadRows-from
			}
			for i, row := range texts[from : from+n] {
				bind(b, s, i*len(row), row)
			}
			require.NoError(b, s.Exec())
		}
		require.NoError(b, c.Exec("COMMIT"))
	})
}

func bind(b *testing.B, s *sqlite3.Stmt, at int, row []warehouse.Value) {
	for i, v := range row {
		var err error
		switch v.Kind {
		case warehouse.Null:
			err = s.BindNull(at + i + 1)
		case warehouse.Float:
			err = s.BindFloat(at+i+1, v.Float())
		case warehouse.String, warehouse.JSON:
			err = s.BindText(at+i+1, v.S)
		default:
			err = s.BindInt64(at+i+1, v.N)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

// measure loads again and again. Making the rows does not count.
func measure(b *testing.B, r *tracks, load func()) {
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		r.another()
		b.StartTimer()
		load()
	}
	b.ReportMetric(float64(b.N)*loadRows/b.Elapsed().Seconds(), "rows/s")
}
