package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

func TestNamesThatAreTakenHaveNoColumns(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", narrow)) })
	c := raw(t, file)
	require.NoError(t, c.Exec(`
		CREATE VIEW Daily_Narrow AS SELECT * FROM narrow;
		CREATE VIEW broken AS SELECT * FROM nowhere;
		CREATE INDEX by_note ON narrow (note);
		CREATE UNIQUE INDEX shop__By_Note ON narrow (note);
		CREATE TABLE "Upper" (id TEXT PRIMARY KEY, n INTEGER UNIQUE);
		CREATE TABLE mixed (ID TEXT PRIMARY KEY, "eMail" TEXT);
		CREATE TRIGGER a_trigger AFTER INSERT ON narrow BEGIN SELECT 1; END;
		ANALYZE;
		PRAGMA writable_schema = ON; -- the driver has no virtual tables of its own
		INSERT INTO sqlite_schema VALUES ('table', 'places', 'places', 0, 'CREATE VIRTUAL TABLE places USING rtree (id, low, high)')`))
	taken := map[string][]string{
		"main": {"broken", "by_note", "daily_narrow", "places", "upper"},
		"shop": {"by_note"},
	}
	for schema, want := range taken {
		tx := begin(t, s)
		tables, err := tx.Tables(t.Context(), schema)
		require.NoError(t, err)
		var got []string
		for _, table := range tables {
			if table.Columns == nil {
				got = append(got, table.Name)
			}
		}
		require.Equal(t, want, got)
		require.NoError(t, tx.Rollback())
		for _, name := range want {
			tx := begin(t, s)
			require.Error(t, tx.Create(t.Context(), schema, warehouse.Table{Name: name, Columns: narrow.Columns}), name)
			require.NoError(t, tx.Rollback())
		}
	}
	tx := begin(t, s)
	tables, err := tx.Tables(t.Context(), "main")
	require.NoError(t, err)
	require.Contains(t, tables, narrow)
	mixed := warehouse.Table{Name: "mixed", Columns: []warehouse.Column{{Name: "id", Kind: warehouse.String}, {Name: "email", Kind: warehouse.String}}}
	require.Contains(t, tables, mixed, "names of columns are in lower case as well: others that differ by case only are refused")
	write(t, tx, "main", "mixed", &rows{columns: mixed.Columns, values: notes("a", "b").values})
	for _, name := range []string{"a_trigger", "json_each"} { // which are no names of tables
		require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: name, Columns: narrow.Columns}))
		write(t, tx, "main", name, notes("a", "b"))
	}
}

func TestSchemasThatLookLikeOnesOfSQLite(t *testing.T) {
	s := open(t, newFile(t))
	schemas := []string{"sqlite", "sqlite_", "_sqlite", "x_sqlite", "temp", "temp_", "main", "main_", "_main"}
	do(t, s, func(tx warehouse.Tx) {
		for _, schema := range schemas {
			require.NoError(t, tx.Create(t.Context(), schema, narrow), schema)
			write(t, tx, schema, "narrow", notes(schema, ""))
		}
	})
	tx := begin(t, s)
	for _, schema := range schemas {
		tables, err := tx.Tables(t.Context(), schema)
		require.NoError(t, err)
		require.Equal(t, []warehouse.Table{narrow}, tables, schema)
		require.Equal(t, []string{schema}, keys(t, tx, schema, "narrow"))
	}
}

func TestRowsOfOtherKindsAreNotWritten(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", orders)) })
	c := raw(t, file)
	require.NoError(t, c.Exec(`CREATE TABLE users (id INTEGER PRIMARY KEY, email TEXT);
		CREATE TABLE sums (id TEXT PRIMARY KEY, n DECIMAL(9, 2), twice INTEGER AS (n * 2))`))
	key := warehouse.StringValue("zebra")
	for name, test := range map[string]struct {
		table  string
		column warehouse.Column
		says   string
	}{
		"another kind":        {"orders", warehouse.Column{Name: "count", Kind: warehouse.String}, `orders: the column "count" holds int, and the rows have string`},
		"one that would fit":  {"orders", warehouse.Column{Name: "total", Kind: warehouse.Int}, `orders: the column "total" holds float, and the rows have int`},
		"JSON":                {"orders", warehouse.Column{Name: "note", Kind: warehouse.JSON}, `orders: the column "note" holds string, and the rows have json`},
		"no such column":      {"orders", warehouse.Column{Name: "none", Kind: warehouse.Int}, `orders: there is no column "none"`},
		"a type of others":    {"sums", warehouse.Column{Name: "n", Kind: warehouse.Float}, `sums: the column "n" holds null, and the rows have float`},
		"a computed one":      {"sums", warehouse.Column{Name: "twice", Kind: warehouse.Int}, `sums: the column "twice" holds null, and the rows have int`},
		"a key that is none":  {"users", warehouse.Column{Name: "email", Kind: warehouse.String}, `users: the column "id" holds int, and the rows have string`},
		"a table that is not": {"nobody", warehouse.Column{Name: "note", Kind: warehouse.String}, `nobody: there is no such table`},
	} {
		for _, on := range []warehouse.Conflict{warehouse.Keep, warehouse.Replace} {
			t.Run(fmt.Sprint(name, on), func(t *testing.T) {
				tx := begin(t, s)
				r := &rows{columns: []warehouse.Column{{Name: "id", Kind: warehouse.String}, test.column},
					values: [][]warehouse.Value{{key, {}}, {key, {Kind: test.column.Kind, S: "12"}}}}
				_, err := tx.Write(t.Context(), "main", test.table, r, on)
				require.ErrorContains(t, err, test.says)
				require.Equal(t, analytics.WordAgain, word(err), "no event is to blame")
				require.NoError(t, tx.Rollback())
			})
		}
	}
	require.Equal(t, [][]string{{"0"}}, ask(t, c, "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM users) + (SELECT count(*) FROM sums)"))
}

func TestKindsAreThoseOfNow(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	row := func(kind warehouse.Kind) *rows {
		return &rows{columns: []warehouse.Column{narrow.Columns[0], {Name: "n", Kind: kind}}, values: [][]warehouse.Value{{warehouse.StringValue(kind.String()), {}}}}
	}
	refused := func(kind warehouse.Kind) {
		tx := begin(t, s)
		_, err := tx.Write(t.Context(), "main", "narrow", row(kind), warehouse.Keep)
		require.Error(t, err)
		require.NoError(t, tx.Rollback())
	}
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		write(t, tx, "main", "narrow", notes("a", "b"))
		require.NoError(t, tx.AddColumns(t.Context(), "main", "narrow", []warehouse.Column{{Name: "n", Kind: warehouse.Int}}))
		write(t, tx, "main", "narrow", row(warehouse.Int))
		require.NoError(t, tx.AddColumns(t.Context(), "main", "narrow", []warehouse.Column{{Name: "by", Kind: warehouse.Time}}))
		require.NoError(t, tx.SwapColumn(t.Context(), "main", "narrow", "n", "by"))
		write(t, tx, "main", "narrow", row(warehouse.Time))
	})
	refused(warehouse.Int)
	require.NoError(t, raw(t, file).Exec("ALTER TABLE narrow DROP COLUMN n; ALTER TABLE narrow ADD COLUMN n REAL"))
	refused(warehouse.Time)
	do(t, s, func(tx warehouse.Tx) { write(t, tx, "main", "narrow", row(warehouse.Float)) })
}

func TestWhatDoesNotFitItsColumnIsNotRead(t *testing.T) {
	for _, c := range []struct{ column, kind, value, typ string }{
		{"count", "int", "1.5", "real"},
		{"count", "int", "'zebra'", "text"},
		{"count", "int", "9e999", "real"},
		{"total", "float", "'zebra'", "text"},
		{"total", "float", "-9e999", "real"},
		{"flag", "bool", "4711", "integer"},
		{"flag", "bool", "'zebra'", "text"},
		{"at", "time", "1777745045", "integer"},
		{"at", "time", "'zebra'", "text"},
		{"note", "string", "x'7a65627261'", "blob"},
		{"more", "json", "x'00'", "blob"},
	} {
		t.Run(c.column+" "+c.value, func(t *testing.T) {
			file := newFile(t)
			s := open(t, file)
			do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", orders)) })
			other := raw(t, file)
			require.NoError(t, other.Exec(fmt.Sprintf(`INSERT INTO orders (id, "%s") VALUES ('zebra', %s)`, c.column, c.value)))
			tx := begin(t, s)
			err := tx.Read(t.Context(), "main", "orders", []string{"id", c.column}, warehouse.Query{}, func([]warehouse.Value) error { return nil })
			where := fmt.Sprintf(`typeof("%s") = '%s'`, c.column, c.typ)
			require.ErrorContains(t, err, fmt.Sprintf("read orders: the column %q holds %s", c.column, c.kind))
			require.ErrorContains(t, err, where)
			require.NotContains(t, err.Error(), "zebra")
			require.NotContains(t, err.Error(), "4711")
			require.NoError(t, tx.Commit(t.Context()), "reading breaks nothing")
			require.Equal(t, [][]string{{"zebra"}}, ask(t, other, "SELECT id FROM orders WHERE "+where), "so it can be found")
		})
	}
}

func TestRetypeKeepsWhatCannotBeRead(t *testing.T) {
	file := newFile(t)
	do(t, open(t, file), func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: "orders", Columns: append(orders.Columns[:3:3],
			warehouse.Column{Name: "event_text", Kind: warehouse.String}, warehouse.Column{Name: "uuid_ts", Kind: warehouse.Time},
			warehouse.Column{Name: "_unmapped", Kind: warehouse.JSON})}))
	})
	c := raw(t, file)
	require.NoError(t, c.Exec(`INSERT INTO orders (id, "count") VALUES ('a', 1.5), ('b', 3)`))
	d := &warehouse.Destination{Store: &sqlite.Store{Path: file}}
	require.NoError(t, d.Open(analytics.Env{}))
	defer func() { require.NoError(t, d.Close(context.Background())) }()
	require.NoError(t, d.Deliver(t.Context(), &analytics.Batch{To: 1, Log: analytics.LogID{1}}), "a load, of nothing")
	_, err := d.Retype(t.Context(), "orders", "count", warehouse.String)
	require.ErrorContains(t, err, `the column "count" holds int`)
	require.Equal(t, [][]string{{"1.5"}, {"3"}}, ask(t, c, `SELECT "count" FROM orders`))
	require.NoError(t, c.Exec(`UPDATE orders SET "count" = 2 WHERE typeof("count") = 'real'`))
	_, err = d.Retype(t.Context(), "orders", "count", warehouse.String)
	require.NoError(t, err)
	require.Equal(t, [][]string{{"2"}, {"3"}}, ask(t, c, `SELECT "count" FROM orders`))
}

func TestColumnsOfOtherTypesHaveNoValues(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	require.NoError(t, raw(t, file).Exec(`CREATE TABLE sums (id TEXT PRIMARY KEY, n DECIMAL(9, 2), b BLOB); INSERT INTO sums VALUES ('a', 1.5, x'00')`))
	tx := begin(t, s)
	require.NoError(t, tx.Read(t.Context(), "main", "sums", []string{"n", "b"}, warehouse.Query{}, func(v []warehouse.Value) error {
		require.Equal(t, []warehouse.Value{{}, {}}, v)
		return nil
	}))
}

func TestTheEmptyKeyIsRead(t *testing.T) {
	tx := begin(t, open(t, newFile(t)))
	require.NoError(t, tx.Create(t.Context(), "main", narrow))
	write(t, tx, "main", "narrow", notes("", "x", "b", "y"))
	require.Equal(t, []string{"", "b"}, keys(t, tx, "main", "narrow"))
	for after, want := range map[string][]string{"": {"", "b"}, "a": {"b"}, "b": nil} {
		var got []string
		err := tx.Read(t.Context(), "main", "narrow", []string{"id"}, warehouse.Query{After: after, Limit: 2}, func(v []warehouse.Value) error {
			got = append(got, v[0].S)
			return nil
		})
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

func TestIndexesOfASwappedColumnStay(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", orders))
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		write(t, tx, "main", "orders", &rows{columns: orders.Columns[:1], values: [][]warehouse.Value{{warehouse.StringValue("a")}, {warehouse.StringValue("b")}}})
		require.NoError(t, tx.AddColumns(t.Context(), "main", "orders", []warehouse.Column{{Name: "_retyped", Kind: warehouse.String}}))
	})
	c := raw(t, file)
	require.NoError(t, c.Exec(`CREATE INDEX By_Count ON orders ("COUNT", note);
		CREATE UNIQUE INDEX whole ON orders (id, abs("count")) WHERE "count" > 5;
		CREATE INDEX some ON orders (id) WHERE [count] IS NULL;
		CREATE INDEX another ON orders (note);
		CREATE INDEX of_another ON narrow (note || 'count')`))
	const indexes = "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL ORDER BY name"
	before := ask(t, c, indexes)
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.SwapColumn(t.Context(), "main", "orders", "count", "_retyped"))
		tables, err := tx.Tables(t.Context(), "main")
		require.NoError(t, err)
		want := append(append(orders.Columns[:2:2], orders.Columns[3:]...), warehouse.Column{Name: "count", Kind: warehouse.String})
		require.Contains(t, tables, warehouse.Table{Name: "orders", Columns: want})
	})
	require.Equal(t, before, ask(t, c, indexes))
	require.Equal(t, [][]string{{"ok"}}, ask(t, c, "PRAGMA integrity_check"))
}

func TestAnIndexThatDoesNotFitTheNewColumn(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		require.NoError(t, tx.AddColumns(t.Context(), "main", "narrow", []warehouse.Column{{Name: "_retyped", Kind: warehouse.String}}))
	})
	c := raw(t, file)
	require.NoError(t, c.Exec(`CREATE UNIQUE INDEX one_note ON narrow (note);
		INSERT INTO narrow VALUES ('a', '1', 'zebra'), ('b', '1.0', 'zebra')`))
	tx := begin(t, s)
	err := tx.SwapColumn(t.Context(), "main", "narrow", "note", "_retyped")
	require.ErrorContains(t, err, `make the index "one_note" again`)
	require.NotContains(t, err.Error(), "zebra")
	require.NoError(t, tx.Rollback())
	require.Equal(t, [][]string{{"3"}}, ask(t, c, "SELECT count(*) FROM pragma_table_info('narrow')"))
}

func TestViewsOfASwappedColumn(t *testing.T) {
	swap := func(t *testing.T, others string) error {
		file := newFile(t)
		s := open(t, file)
		do(t, s, func(tx warehouse.Tx) {
			require.NoError(t, tx.Create(t.Context(), "main", narrow))
			require.NoError(t, tx.AddColumns(t.Context(), "main", "narrow", []warehouse.Column{{Name: "_retyped", Kind: warehouse.Int}}))
		})
		require.NoError(t, raw(t, file).Exec(others))
		tx := begin(t, s)
		err := tx.SwapColumn(t.Context(), "main", "narrow", "note", "_retyped")
		require.NoError(t, tx.Rollback())
		return err
	}
	for name, others := range map[string]string{
		"view":         `CREATE VIEW theirs AS SELECT id, upper(note) FROM narrow`,
		"quoted":       `CREATE VIEW theirs AS SELECT id, "note" FROM narrow`,
		"view of view": `CREATE VIEW every AS SELECT * FROM narrow; CREATE VIEW theirs AS SELECT note FROM every`,
		"broken":       `CREATE VIEW theirs AS SELECT * FROM nowhere`,
		"trigger":      `CREATE TRIGGER theirs AFTER INSERT ON narrow WHEN new.note = '' BEGIN SELECT 1; END`,
	} {
		t.Run(name, func(t *testing.T) {
			err := swap(t, others)
			require.ErrorContains(t, err, "theirs")
			require.ErrorContains(t, err, "drop it and make it again afterwards")
		})
	}
	err := swap(t, `CREATE VIEW every AS SELECT * FROM narrow; CREATE VIEW ids AS SELECT id AS note FROM narrow;
		CREATE TRIGGER mine AFTER INSERT ON narrow WHEN new.id = '' BEGIN SELECT 1; END`)
	require.NoError(t, err, "these do not use it")
}

func TestALinkToAFileThatIsNotThere(t *testing.T) {
	for name, target := range map[string]string{"absolute": "", "relative": "../data/real.db"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			real, link := filepath.Join(dir, "data", "real.db"), filepath.Join(dir, "app", "shop.db")
			require.NoError(t, os.Mkdir(filepath.Dir(link), 0o700))
			if target == "" {
				target = real
			}
			if err := os.Symlink(target, link); err != nil {
				t.Skip(err)
			}
			s := open(t, link)
			_, err := s.Begin(t.Context(), "main")
			require.ErrorContains(t, err, "shop.db is a link to "+target, "the folder is not there, which may be a disk")
			require.Equal(t, analytics.WordAgain, word(err))

			require.NoError(t, os.Mkdir(filepath.Dir(real), 0o700))
			do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", narrow)) })
			info, err := os.Lstat(real)
			require.NoError(t, err)
			require.Equal(t, "-rw-------", info.Mode().String())
			require.FileExists(t, real+"-wal")
			do(t, s, func(tx warehouse.Tx) { write(t, tx, "main", "narrow", notes("a", "b")) })
		})
	}
}
