package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

const crashEnv = "SQLITE_CRASH_FILE"

// crash is a process that commits a row and dies while it writes more.
func crash(file string) {
	s := &sqlite.Store{Path: file}
	ctx := context.Background()
	fail := func(err error) {
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	fail(s.Open(ctx))
	tx, err := s.Begin(ctx, "main")
	fail(err)
	fail(tx.Create(ctx, "main", narrow))
	_, err = tx.Write(ctx, "main", "narrow", notes("committed", ""), warehouse.Keep)
	fail(err)
	fail(tx.Commit(ctx))
	tx, err = s.Begin(ctx, "main")
	fail(err)
	fail(tx.AddColumns(ctx, "main", "narrow", orders.Columns[1:5]))
	r := notes()
	for i := range 20_000 { // more than the cache holds, so that the WAL has some of it
		r.values = append(r.values, notes(fmt.Sprint(i), strings.Repeat("x", 4000)).values...)
	}
	_, err = tx.Write(ctx, "main", "narrow", r, warehouse.Keep)
	fail(err)
	me, err := os.FindProcess(os.Getpid())
	fail(err)
	fail(me.Kill())
	select {}
}

func TestKilledInATransaction(t *testing.T) {
	file := newFile(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashEnv+"="+file)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, -1, exit.ExitCode(), "killed by a signal: %s", out)

	tx := begin(t, open(t, file))
	require.Equal(t, []string{"committed"}, keys(t, tx, "main", "narrow"))
	tables, err := tx.Tables(t.Context(), "main")
	require.NoError(t, err)
	require.Equal(t, []warehouse.Table{narrow}, tables)
	require.NoError(t, tx.Rollback())
	require.Equal(t, [][]string{{"ok"}}, ask(t, raw(t, file), "PRAGMA integrity_check"))
}

func TestTheFileIsReplacedBetweenTransactions(t *testing.T) {
	for name, replace := range map[string]func(t *testing.T, file string){
		"removed": func(t *testing.T, file string) {
			for _, suffix := range []string{"", "-wal", "-shm"} {
				require.NoError(t, os.Remove(file+suffix))
			}
		},
		"another one": func(t *testing.T, file string) {
			other := file + ".new"
			c := raw(t, other)
			require.NoError(t, c.Exec("CREATE TABLE other (id TEXT PRIMARY KEY)"))
			require.NoError(t, os.Remove(file+"-wal"))
			require.NoError(t, os.Remove(file+"-shm"))
			require.NoError(t, os.Rename(other, file))
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := newFile(t)
			s := open(t, file)
			do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", narrow)) })
			replace(t, file)
			other := raw(t, file)
			require.NoError(t, other.Exec("PRAGMA journal_mode = WAL; CREATE TABLE another (id TEXT PRIMARY KEY)"))
			do(t, s, func(tx warehouse.Tx) {
				tables, err := tx.Tables(t.Context(), "main")
				require.NoError(t, err)
				for _, table := range tables {
					require.Contains(t, []string{"another", "other"}, table.Name)
				}
				require.NoError(t, tx.Create(t.Context(), "main", narrow))
				write(t, tx, "main", "narrow", notes("a", ""))
			})
			require.Equal(t, [][]string{{"a"}}, ask(t, other, "SELECT id FROM narrow"), "the WAL that was there stays")
		})
	}
}

func TestTheFileIsRemovedDuringATransaction(t *testing.T) {
	for _, suffix := range []string{"", "-wal"} {
		file := newFile(t)
		s := open(t, file)
		do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", narrow)) })
		tx := begin(t, s)
		write(t, tx, "main", "narrow", notes("a", ""))
		require.NoError(t, os.Remove(file+suffix))
		err := tx.Commit(t.Context())
		require.ErrorContains(t, err, "removed or replaced")
		require.Equal(t, analytics.WordAgain, word(err))
		require.NoError(t, tx.Rollback())

		// What is lost is made again, and is in the file then.
		do(t, s, func(tx warehouse.Tx) {
			tables, err := tx.Tables(t.Context(), "main")
			require.NoError(t, err)
			if len(tables) == 0 {
				require.NoError(t, tx.Create(t.Context(), "main", narrow))
			}
			write(t, tx, "main", "narrow", notes("a", ""))
		})
		require.Equal(t, [][]string{{"a"}}, ask(t, raw(t, file), "SELECT id FROM narrow"))
	}
}

func TestFilesThatAreNoDatabase(t *testing.T) {
	for name, make := range map[string]func(file string) error{
		"text": func(file string) error {
			return os.WriteFile(file, []byte(strings.Repeat("not a database\n", 100)), 0o600)
		},
		"a folder": func(file string) error { return os.Mkdir(file, 0o700) },
		"damaged": func(file string) error {
			c := raw(t, file)
			err := c.Exec("PRAGMA page_size = 512; CREATE TABLE narrow (id TEXT NOT NULL PRIMARY KEY, note TEXT)")
			for i := 0; err == nil && i < 100; i++ {
				err = c.Exec(fmt.Sprintf("INSERT INTO narrow VALUES ('%d', 'x')", i))
			}
			b, readErr := os.ReadFile(file)
			for i := 1024; i < len(b); i++ {
				b[i] = 0xa5
			}
			return errors.Join(err, readErr, os.WriteFile(file, b, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			file := newFile(t)
			require.NoError(t, make(file))
			tx, err := open(t, file).Begin(t.Context(), "main")
			if err == nil {
				_, err = tx.Write(t.Context(), "main", "narrow", notes("zebra", "y"), warehouse.Keep)
				require.NoError(t, tx.Rollback())
			}
			require.Equal(t, analytics.WordUnauthorized, word(err), "%v", err)
			require.NotContains(t, err.Error(), "zebra")
		})
	}
}

func TestRowsThatAreNeverTaken(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		require.NoError(t, tx.AddColumns(t.Context(), "main", "narrow", orders.Columns[4:5]))
	})
	require.NoError(t, raw(t, file).Exec(`CREATE UNIQUE INDEX one_note ON narrow (note);
		CREATE TRIGGER strict BEFORE INSERT ON narrow WHEN new.id = 'trigger' BEGIN SELECT RAISE(ABORT, new.note); END;
		CREATE TRIGGER odd BEFORE INSERT ON narrow WHEN new.id = 'odd' BEGIN SELECT json_extract('{}', new.note); END`))
	for name, r := range map[string]*rows{
		"unique index": notes("a", "zebra", "b", "zebra"),
		"trigger":      notes("trigger", "zebra"),
		"function":     notes("odd", "zebra"),
		"no key":       {columns: narrow.Columns, values: [][]warehouse.Value{{{}, warehouse.StringValue("zebra")}}},
		"large":        notes("a", strings.Repeat("zebra", 8<<20)),
		"no time": {columns: []warehouse.Column{narrow.Columns[0], orders.Columns[4]},
			values: [][]warehouse.Value{{warehouse.StringValue("zebra"), {Kind: warehouse.Time, N: 1 << 62}}}},
	} {
		t.Run(name, func(t *testing.T) {
			tx := begin(t, s)
			_, err := tx.Write(t.Context(), "main", "narrow", r, warehouse.Keep)
			require.Error(t, err)
			if name != "function" { // of somebody else, who may mend it
				require.Equal(t, analytics.WordSplit, word(err))
			}
			require.NotContains(t, fmt.Sprintf("%+v", err), "zebra")
			for e := err; e != nil; e = errors.Unwrap(e) {
				require.NotContains(t, e.Error(), "zebra")
			}
			require.Error(t, tx.Commit(t.Context()), "nothing of it counts")
			require.NoError(t, tx.Rollback())
			require.Empty(t, keys(t, begin(t, s), "main", "narrow"))
		})
	}
}

func TestTwoStoresWaitForEachOther(t *testing.T) {
	file := newFile(t)
	a, b := open(t, file), open(t, file)
	tx := begin(t, a)
	require.NoError(t, tx.Create(t.Context(), "main", narrow))

	for _, s := range []*sqlite.Store{a, b} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		_, err := s.Begin(ctx, "other")
		cancel()
		require.ErrorIs(t, err, context.DeadlineExceeded)
	}
	began := make(chan error)
	go func() {
		tx, err := b.Begin(t.Context(), "main")
		if err == nil {
			_, err = tx.Write(t.Context(), "main", "narrow", notes("b", ""), warehouse.Keep)
			err = errors.Join(err, tx.Commit(t.Context()))
		}
		began <- err
	}()
	require.NoError(t, tx.Commit(t.Context()))
	require.NoError(t, <-began)
	require.Equal(t, []string{"b"}, keys(t, begin(t, a), "main", "narrow"))
}

func TestReadersDoNotWait(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		write(t, tx, "main", "narrow", notes("a", ""))
	})
	tx := begin(t, s)
	write(t, tx, "main", "narrow", notes("b", ""))
	c := raw(t, file)
	require.NoError(t, c.Exec("BEGIN"))
	require.Equal(t, [][]string{{"a"}}, ask(t, c, "SELECT id FROM narrow"))
	require.NoError(t, tx.Commit(t.Context()), "nor does the loader wait for them")
	require.Equal(t, [][]string{{"a"}}, ask(t, c, "SELECT id FROM narrow"))
	require.NoError(t, c.Exec("COMMIT"))
	require.Equal(t, [][]string{{"a"}, {"b"}}, ask(t, c, "SELECT id FROM narrow"))
}

// endless makes each new row of narrow take for ever.
const endless = `CREATE TRIGGER endless AFTER INSERT ON narrow BEGIN
	SELECT count(*) FROM narrow a, narrow b, narrow c, narrow d, narrow e; END`

func endlessStore(t *testing.T) *sqlite.Store {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		r := notes()
		for i := range 2000 {
			r.values = append(r.values, notes(fmt.Sprintf("%04d", i), "").values...)
		}
		write(t, tx, "main", "narrow", r)
	})
	require.NoError(t, raw(t, file).Exec(endless))
	return s
}

func TestALongStatementEndsWithItsContext(t *testing.T) {
	s := endlessStore(t)
	tx := begin(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := tx.Write(ctx, "main", "narrow", notes("new", ""), warehouse.Keep)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = tx.Write(t.Context(), "main", "narrow", notes("0001", ""), warehouse.Keep)
	require.ErrorContains(t, err, "has failed", "SQLite has ended the transaction: this would be one of its own")
	require.NoError(t, tx.Rollback())
	require.Len(t, keys(t, begin(t, s), "main", "narrow"), 2000)
}

func TestCloseEndsWhatGoesOn(t *testing.T) {
	s := endlessStore(t)
	writing, waiting := make(chan error), make(chan error)
	started := make(chan struct{})
	tx := begin(t, s)
	go func() {
		r := notes("new", "")
		r.called = func(int) { close(started) }
		_, err := tx.Write(t.Context(), "main", "narrow", r, warehouse.Keep)
		writing <- err
	}()
	other := open(t, s.Path)
	go func() {
		_, err := other.Begin(t.Context(), "main")
		waiting <- err
	}()
	<-started
	require.NoError(t, other.Close())
	require.Error(t, <-waiting)
	require.NoError(t, s.Close())
	require.ErrorContains(t, <-writing, "closed")
	require.Error(t, tx.Commit(t.Context()))
	require.NoError(t, tx.Rollback())
	_, err := s.Begin(t.Context(), "main")
	require.Error(t, err)
}

func TestAPanicOfTheRowsLeavesNothing(t *testing.T) {
	s := open(t, newFile(t))
	do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", narrow)) })
	tx := begin(t, s)
	write(t, tx, "main", "narrow", notes("a", ""))
	r := notes("b", "")
	r.called = func(int) { panic("rows") }
	require.Panics(t, func() { _, _ = tx.Write(t.Context(), "main", "narrow", r, warehouse.Keep) })
	require.Error(t, tx.Commit(t.Context()))
	require.NoError(t, tx.Rollback())
	require.Empty(t, keys(t, begin(t, s), "main", "narrow"))
}

// largest are the most bytes of a row.
const largest = (4 + 28*int(^uint(0)>>63)) << 20

func TestLargeRows(t *testing.T) {
	s := open(t, newFile(t))
	r := notes()
	for i := range 300 {
		size := 100
		if i%40 == 7 {
			size = largest / 10
		}
		r.values = append(r.values, notes(fmt.Sprintf("%03d", i), strings.Repeat("x", size)).values...)
	}
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		write(t, tx, "main", "narrow", r)
		n, err := tx.Write(t.Context(), "main", "narrow", r, warehouse.Replace)
		require.NoError(t, err)
		require.Zero(t, n)
	})
	sizes := map[int]int{}
	err := begin(t, s).Read(t.Context(), "main", "narrow", []string{"note"}, warehouse.Query{}, func(v []warehouse.Value) error {
		sizes[len(v[0].S)]++
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, map[int]int{100: 292, largest / 10: 8}, sizes)
}

func TestTheLargestRow(t *testing.T) {
	s := open(t, newFile(t))
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		for i := range 3 {
			r := notes(fmt.Sprint(i), "", "last", strings.Repeat("x", largest-4))
			_, err := tx.Write(t.Context(), "main", "narrow", r, warehouse.Replace)
			require.NoError(t, err)
		}
	})
	require.Equal(t, []string{"0", "1", "2", "last"}, keys(t, begin(t, s), "main", "narrow"))
}

func TestAPathThatCannotBeMade(t *testing.T) {
	file := newFile(t)
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := open(t, filepath.Join(file, "shop.db")).Begin(t.Context(), "main")
	require.Error(t, err)
	require.Equal(t, analytics.WordAgain, word(err))
}
