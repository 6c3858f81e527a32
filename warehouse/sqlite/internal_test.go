package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ncruces/go-sqlite3"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

func TestTimes(t *testing.T) {
	moments := []int64{firstTime, firstTime + 1, -1, 0, 1, lastTime}
	for _, day := range []string{"0001-12-31", "0004-02-29", "1600-02-29", "1900-02-28", "1900-03-01", "2000-02-29", "2024-12-31", "9999-12-31"} {
		at, err := time.Parse(time.DateOnly, day)
		require.NoError(t, err)
		moments = append(moments, at.UnixMicro(), at.UnixMicro()+86_399_999_999)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		n := firstTime + r.Int64N(lastTime-firstTime+1)
		moments = append(moments, n, n, min(n+r.Int64N(86_400_000_000), lastTime)) // the same again, and mostly one of its day
	}
	var c clock
	for _, n := range moments {
		text, ok := c.put(n)
		require.True(t, ok)
		require.Equal(t, time.UnixMicro(n).UTC().Format(timeLayout), string(text))
		back, ok := parseTime(string(text))
		require.True(t, ok)
		require.Equal(t, n, back)
	}
	for _, n := range []int64{firstTime - 1, lastTime + 1} {
		_, ok := c.put(n)
		require.False(t, ok)
	}
}

func TestErrorsBecomeWords(t *testing.T) {
	for err, want := range map[error]analytics.Word{
		sqlite3.FULL:                         analytics.WordAgain,
		sqlite3.BUSY:                         analytics.WordAgain,
		sqlite3.IOERR_FSYNC:                  analytics.WordAgain,
		sqlite3.CANTOPEN:                     analytics.WordAgain,
		sqlite3.READONLY_DBMOVED:             analytics.WordAgain,
		sqlite3.ERROR:                        analytics.WordAgain,
		errMoved:                             analytics.WordAgain,
		sqlite3.PERM:                         analytics.WordUnauthorized,
		sqlite3.READONLY:                     analytics.WordUnauthorized,
		sqlite3.READONLY_DIRECTORY:           analytics.WordUnauthorized,
		sqlite3.CANTOPEN_ISDIR:               analytics.WordUnauthorized,
		sqlite3.CORRUPT_INDEX:                analytics.WordUnauthorized,
		sqlite3.NOTADB:                       analytics.WordUnauthorized,
		&fs.PathError{Err: fs.ErrPermission}: analytics.WordUnauthorized,
		sqlite3.CONSTRAINT_UNIQUE:            analytics.WordSplit,
		sqlite3.TOOBIG:                       analytics.WordSplit,
		errLarge:                             analytics.WordSplit,
	} {
		d := newDatabase("", false)
		word, _ := analytics.Classify(explain(d.with(t.Context()), "test", err))
		require.Equal(t, want, word, "%v", err)
	}
}

func openStore(t *testing.T, s *Store) *Store {
	s.Path = filepath.Join(t.TempDir(), "shop.db")
	require.NoError(t, s.Open(t.Context()))
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

type column struct {
	columns []warehouse.Column
	n       int
	text    string
}

func (c *column) Columns() []warehouse.Column { return c.columns }
func (c *column) Len() int                    { return c.n }
func (c *column) Row(i int, into []warehouse.Value) {
	into[0] = warehouse.StringValue(fmt.Sprint(i))
	for j := 1; j < len(into); j++ {
		into[j] = warehouse.StringValue(c.text)
	}
}

func wide(n int) (columns []warehouse.Column) {
	for i := range n {
		columns = append(columns, warehouse.Column{Name: fmt.Sprint("c", i), Kind: warehouse.String})
	}
	return columns
}

func TestAFullDiskIsTriedAgain(t *testing.T) {
	s := openStore(t, &Store{})
	tx, err := s.Begin(t.Context(), "main")
	require.NoError(t, err)
	require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: "t", Columns: wide(2)}))
	require.NoError(t, s.db.conn.Exec("PRAGMA max_page_count = 20"))
	_, err = tx.Write(t.Context(), "main", "t", &column{wide(2), 1000, strings.Repeat("x", 1000)}, warehouse.Keep)
	require.ErrorIs(t, err, sqlite3.FULL)
	word, _ := analytics.Classify(err)
	require.Equal(t, analytics.WordAgain, word)
	require.Error(t, tx.Commit(t.Context()))
	require.NoError(t, tx.Rollback())
	require.NoError(t, s.db.conn.Exec("PRAGMA max_page_count = 4294967294"))
	tx, err = s.Begin(t.Context(), "main")
	require.NoError(t, err)
	require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: "t", Columns: wide(2)}))
	require.NoError(t, tx.Commit(t.Context()))
}

func TestSettingsReachTheFile(t *testing.T) {
	for noSync, want := range map[bool]int{false: 2, true: 1} {
		s := openStore(t, &Store{NoSync: noSync})
		tx, err := s.Begin(t.Context(), "main")
		require.NoError(t, err)
		for pragma, want := range map[string]int{"synchronous": want, "page_size": pageSize, "cache_size": -cacheSize >> 10, "wal_autocheckpoint": walSize / pageSize} {
			require.NoError(t, s.db.conn.rows("PRAGMA "+pragma, nil, func(s *sqlite3.Stmt) error {
				require.Equal(t, want, s.ColumnInt(0), pragma)
				return nil
			}))
		}
		require.True(t, s.db.conn.wal)
		require.NoError(t, tx.Rollback())
	}
}

func TestStatementsAreBounded(t *testing.T) {
	s := openStore(t, &Store{})
	tx, err := s.Begin(t.Context(), "main")
	require.NoError(t, err)
	for i := range 30 {
		name := fmt.Sprint("t", i)
		require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: name, Columns: wide(20)}))
		for range 2 {
			_, err := tx.Write(t.Context(), "main", name, &column{wide(20), 600, "x"}, warehouse.Keep)
			require.NoError(t, err)
		}
		all := 0
		for _, s := range s.db.conn.byKey {
			all += s.variables
		}
		require.Equal(t, s.db.conn.variables, all)
		require.LessOrEqual(t, all, maxVariables)
	}
	require.Greater(t, len(s.db.conn.byKey), 30, "those of the last tables stay")
	require.NoError(t, tx.Commit(t.Context()))
	current, _, err := s.db.conn.Status(sqlite3.DBSTATUS_STMT_USED, false)
	require.NoError(t, err)
	require.Less(t, current, int64(16<<20))
}

func TestADefinitionThatComesOutWrongIsUndone(t *testing.T) {
	s := openStore(t, &Store{})
	tx, err := s.Begin(t.Context(), "main")
	require.NoError(t, err)
	require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: "t", Columns: wide(2)}))
	require.NoError(t, tx.Commit(t.Context()))
	tx, err = s.Begin(t.Context(), "main")
	require.NoError(t, err)
	err = tx.AddColumns(t.Context(), "main", "t", []warehouse.Column{{Name: "a\x00b", Kind: warehouse.Int}, {Name: "b", Kind: warehouse.Int}})
	require.Error(t, err)
	require.NoError(t, tx.Rollback())
	tx, err = s.Begin(t.Context(), "main")
	require.NoError(t, err)
	tables, err := tx.Tables(t.Context(), "main")
	require.NoError(t, err)
	require.Equal(t, []warehouse.Table{{Name: "t", Columns: wide(2)}}, tables)
	require.NoError(t, tx.Rollback())
}

func TestGroups(t *testing.T) {
	for _, n := range []int{0, 1, 2, 8, 9, 4095, 4096, 4097, 10_000} {
		var values []string
		for i := range n {
			values = append(values, fmt.Sprint(i))
		}
		seen := map[string]bool{}
		for _, group := range groups(values) {
			require.Contains(t, []int{1, 8, 64, 512, 4096}, len(group))
			for _, v := range group {
				seen[v] = true
			}
		}
		require.Len(t, seen, n)
	}
	require.False(t, errors.Is(errKey, errLarge))
}

func TestTablesAreAllOrNone(t *testing.T) {
	s := openStore(t, &Store{})
	tx, err := s.Begin(t.Context(), "main")
	require.NoError(t, err)
	for i := range 3 {
		require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: fmt.Sprint("t", i), Columns: wide(2)}))
	}
	asked := 0
	require.NoError(t, s.db.conn.SetAuthorizer(func(op sqlite3.AuthorizerActionCode, name, _, _, _ string) sqlite3.AuthorizerReturnCode {
		if op == sqlite3.AUTH_PRAGMA && name == "table_xinfo" {
			if asked++; asked == 2 {
				return sqlite3.AUTH_DENY
			}
		}
		return sqlite3.AUTH_OK
	}))
	tables, err := tx.Tables(t.Context(), "main")
	require.Error(t, err)
	require.Empty(t, tables)
	require.NoError(t, tx.Rollback())
}

func TestWaitingWithoutACall(t *testing.T) {
	require.False(t, wait(context.Background(), 0))
}

func TestNewNamesAreSynced(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	var synced []string
	record := func(folder string) error {
		synced = append(synced, folder)
		return syncFolder(folder)
	}
	deep := filepath.Join(dir, "deep")
	file := filepath.Join(deep, "er", "shop.db")
	require.NoError(t, create(file, record))
	require.Equal(t, []string{dir, deep, filepath.Dir(file)}, synced, "each one after its parent")
	synced = nil
	require.NoError(t, create(file, record))
	require.Empty(t, synced)
	require.NoError(t, create(filepath.Join(deep, "other.db"), record))
	require.Equal(t, []string{deep}, synced)

	synced = nil
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(filepath.Join(deep, "target.db"), link); err != nil {
		t.Skip(err)
	}
	require.NoError(t, create(link, record))
	require.Equal(t, []string{deep}, synced)

	fail := func(string) error { return fs.ErrInvalid }
	require.ErrorIs(t, create(filepath.Join(dir, "unsure.db"), fail), fs.ErrInvalid)
	require.ErrorIs(t, create(filepath.Join(dir, "new", "unsure.db"), fail), fs.ErrInvalid)
}
