package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

func TestMain(m *testing.M) {
	if file := os.Getenv(crashEnv); file != "" {
		crash(file)
	}
	os.Exit(m.Run())
}

// open returns a store that is open, on a file that need not exist.
func open(t testing.TB, file string) *sqlite.Store {
	s := &sqlite.Store{Path: file}
	require.NoError(t, s.Open(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

func newFile(t testing.TB) string { return filepath.Join(t.TempDir(), "shop.db") }

func begin(t testing.TB, s *sqlite.Store) warehouse.Tx {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tx, err := s.Begin(ctx, "main")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tx.Rollback()) })
	return tx
}

// do runs f in a transaction that is committed.
func do(t testing.TB, s *sqlite.Store, f func(tx warehouse.Tx)) {
	tx := begin(t, s)
	f(tx)
	require.NoError(t, tx.Commit(t.Context()))
}

// raw is a connection of somebody else.
func raw(t testing.TB, file string) *sqlite3.Conn {
	c, err := sqlite3.OpenFlags(file, sqlite3.OPEN_READWRITE|sqlite3.OPEN_CREATE)
	require.NoError(t, err)
	require.NoError(t, c.BusyTimeout(time.Minute))
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	return c
}

// ask returns the rows of a query as texts.
func ask(t testing.TB, c *sqlite3.Conn, sql string) (rows [][]string) {
	s, _, err := c.Prepare(sql)
	require.NoError(t, err)
	defer s.Close()
	for s.Step() {
		row := make([]string, s.ColumnCount())
		for i := range row {
			row[i] = s.ColumnText(i)
		}
		rows = append(rows, row)
	}
	require.NoError(t, s.Err())
	return rows
}

// table of the tests: a key and one column of each kind.
var (
	orders = warehouse.Table{Name: "orders", Columns: []warehouse.Column{
		{Name: "id", Kind: warehouse.String}, {Name: "flag", Kind: warehouse.Bool}, {Name: "count", Kind: warehouse.Int},
		{Name: "total", Kind: warehouse.Float}, {Name: "at", Kind: warehouse.Time}, {Name: "note", Kind: warehouse.String},
		{Name: "more", Kind: warehouse.JSON},
	}}
	narrow = warehouse.Table{Name: "narrow", Columns: []warehouse.Column{
		{Name: "id", Kind: warehouse.String}, {Name: "note", Kind: warehouse.String},
	}}
)

// rows are what is written.
type rows struct {
	columns []warehouse.Column
	values  [][]warehouse.Value
	called  func(i int)
}

func (r *rows) Columns() []warehouse.Column { return r.columns }
func (r *rows) Len() int                    { return len(r.values) }
func (r *rows) Row(i int, into []warehouse.Value) {
	if r.called != nil {
		r.called(i)
	}
	copy(into, r.values[i])
}

// notes are rows of narrow.
func notes(pairs ...string) *rows {
	r := &rows{columns: narrow.Columns}
	for i := 0; i < len(pairs); i += 2 {
		r.values = append(r.values, []warehouse.Value{warehouse.StringValue(pairs[i]), warehouse.StringValue(pairs[i+1])})
	}
	return r
}

func write(t testing.TB, tx warehouse.Tx, schema, table string, r *rows) {
	n, err := tx.Write(t.Context(), schema, table, r, warehouse.Keep)
	require.NoError(t, err)
	require.EqualValues(t, r.Len(), n)
}

// keys are those of a table, in order.
func keys(t testing.TB, tx warehouse.Tx, schema, table string) (all []string) {
	err := tx.Read(t.Context(), schema, table, []string{"id"}, warehouse.Query{}, func(v []warehouse.Value) error {
		all = append(all, v[0].S)
		return nil
	})
	require.NoError(t, err)
	return all
}

func word(err error) analytics.Word {
	w, _ := analytics.Classify(err)
	return w
}

func TestOpenNamesTheField(t *testing.T) {
	for _, path := range []string{"", "a\x00b"} {
		var invalid *analytics.InvalidError
		require.ErrorAs(t, (&sqlite.Store{Path: path}).Open(t.Context()), &invalid)
		require.Equal(t, "Path", invalid.Field)
	}
	_, err := new(sqlite.Store).Begin(t.Context(), "main")
	require.Error(t, err)
	require.NoError(t, new(sqlite.Store).Close())
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"a b&c=d?e#f%20.db", "+ü;'\".db", ":memory:", "file:x.db", "deep/er/shop.db"} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), name)
			s := open(t, file)
			do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", narrow)) })
			require.FileExists(t, file)
			require.FileExists(t, file+"-wal")
			for _, f := range []string{file, file + "-wal"} {
				info, err := os.Stat(f)
				require.NoError(t, err)
				require.Equal(t, "-rw-------", info.Mode().String(), "files with events are for their owner only")
			}
			require.NoError(t, s.Close())
			require.NoFileExists(t, file+"-wal", "the last one to close folds it in")
		})
	}
}

func ExampleStore() {
	dir, _ := os.MkdirTemp("", "")
	defer os.RemoveAll(dir)
	store := &sqlite.Store{Path: filepath.Join(dir, "shop.db")}
	ctx := context.Background()
	if err := store.Open(ctx); err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()

	tx, err := store.Begin(ctx, "shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = tx.Create(ctx, "shop", narrow)
	n, _ := tx.Write(ctx, "shop", "narrow", notes("1", "first", "2", "second", "1", "again"), warehouse.Keep)
	fmt.Println(n, "rows,", tx.Commit(ctx))
	// Output: 2 rows, <nil>
}
