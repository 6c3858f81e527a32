package sqlite_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

func TestOtherToolsUnderstandTheValues(t *testing.T) {
	file := newFile(t)
	do(t, open(t, file), func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", orders))
		write(t, tx, "main", "orders", &rows{columns: orders.Columns, values: [][]warehouse.Value{{
			warehouse.StringValue("007"), warehouse.BoolValue(true), warehouse.IntValue(1<<53 + 1),
			warehouse.FloatValue(math.MaxFloat64), {Kind: warehouse.Time, N: 1777745045250000},
			warehouse.StringValue("1e3"), warehouse.JSONValue("12345678901234567890.50"),
		}}})
	})
	c := raw(t, file)
	require.Equal(t, [][]string{{"BOOLEAN", "INTEGER", "REAL", "TIMESTAMP", "TEXT", "JSON TEXT"}}, ask(t, c,
		`SELECT max(iif(name = 'flag', type, '')), max(iif(name = 'count', type, '')), max(iif(name = 'total', type, '')),
		max(iif(name = 'at', type, '')), max(iif(name = 'note', type, '')), max(iif(name = 'more', type, ''))
		FROM pragma_table_info('orders')`))
	require.Equal(t, [][]string{{"text", "integer", "integer", "real", "text", "text", "text"}}, ask(t, c,
		`SELECT typeof(id), typeof(flag), typeof("count"), typeof(total), typeof("at"), typeof(note), typeof(more) FROM orders`))
	require.Equal(t, [][]string{{"007", "1", "9007199254740993", "2026-05-02 18:04:05.250000Z", "2026-05-02", "1e3", "12345678901234567890.50"}},
		ask(t, c, `SELECT id, flag, "count", "at", date("at"), note, more FROM orders WHERE flag AND "count" = 9007199254740993`))
}

func TestMinusZeroIsZero(t *testing.T) {
	tx := begin(t, open(t, newFile(t)))
	require.NoError(t, tx.Create(t.Context(), "main", orders))
	write(t, tx, "main", "orders", &rows{columns: []warehouse.Column{orders.Columns[0], orders.Columns[3]},
		values: [][]warehouse.Value{{warehouse.StringValue("a"), warehouse.FloatValue(math.Copysign(0, -1))}}})
	err := tx.Read(t.Context(), "main", "orders", []string{"total"}, warehouse.Query{}, func(v []warehouse.Value) error {
		require.Equal(t, warehouse.FloatValue(0), v[0])
		return nil
	})
	require.NoError(t, err)
}

func TestNumbersThatAreNone(t *testing.T) {
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		tx := begin(t, open(t, newFile(t)))
		require.NoError(t, tx.Create(t.Context(), "main", orders))
		_, err := tx.Write(t.Context(), "main", "orders", &rows{columns: []warehouse.Column{orders.Columns[0], orders.Columns[3]},
			values: [][]warehouse.Value{{warehouse.StringValue("a"), warehouse.FloatValue(f)}}}, warehouse.Keep)
		require.Equal(t, analytics.WordSplit, word(err))
	}
}

func TestWhatAnotherHandWroteIsReadIfItFits(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", orders)) })
	c := raw(t, file)
	require.NoError(t, c.Exec(`INSERT INTO orders VALUES
		('a', 1.0, '25', 7, '2026-05-02', 12, 7), ('b', 'no', 'many', 'free', 'soon', x'00', x'00'), ('c', 0, 3.0, NULL, '2026-05-02T18:04:05+02:00', '', '[1]')`))
	var got []string
	tx := begin(t, s)
	err := tx.Read(t.Context(), "main", "orders", []string{"flag", "count", "total", "at", "note", "more"}, warehouse.Query{Keys: []string{"a", "c"}}, func(v []warehouse.Value) error {
		got = append(got, fmt.Sprint(v))
		return nil
	})
	require.NoError(t, err)
	require.Equal(t, []string{
		fmt.Sprint([]warehouse.Value{warehouse.BoolValue(true), warehouse.IntValue(25), warehouse.FloatValue(7),
			{Kind: warehouse.Time, N: 1777680000000000}, warehouse.StringValue("12"), warehouse.JSONValue("7")}),
		fmt.Sprint([]warehouse.Value{warehouse.BoolValue(false), warehouse.IntValue(3), {},
			{Kind: warehouse.Time, N: 1777737845000000}, warehouse.StringValue(""), warehouse.JSONValue("[1]")}),
	}, got)
}

func TestTablesOfOthers(t *testing.T) {
	file := newFile(t)
	c := raw(t, file)
	require.NoError(t, c.Exec(`
		CREATE TABLE foreign_one (id VARCHAR(20) PRIMARY KEY, n BIGINT, d DATE, x DECIMAL(9,2), f DOUBLE PRECISION, j JSON,
			b BLOB, anything, doubled INT AS (n * 2), seen DATETIME, CHECK (n > 0)) WITHOUT ROWID;
		CREATE VIEW a_view AS SELECT * FROM foreign_one;
		CREATE TABLE shop__orders (id TEXT PRIMARY KEY)`))
	tx := begin(t, open(t, file))
	tables, err := tx.Tables(t.Context(), "main")
	require.NoError(t, err)
	require.Equal(t, warehouse.Table{Name: "foreign_one", Columns: []warehouse.Column{
		{Name: "id", Kind: warehouse.String}, {Name: "n", Kind: warehouse.Int}, {Name: "d"}, {Name: "x"},
		{Name: "f", Kind: warehouse.Float}, {Name: "j"}, {Name: "b"}, {Name: "anything", Kind: warehouse.String},
		{Name: "doubled"}, {Name: "seen", Kind: warehouse.Time},
	}}, tables[1])
	for _, table := range tables {
		require.NotContains(t, []string{"shop__orders", "orders"}, table.Name)
	}

	// Columns are added to what is not in our form as well: here ahead of the CHECK.
	require.NoError(t, tx.AddColumns(t.Context(), "main", "foreign_one", orders.Columns[4:6]))
	tables, err = tx.Tables(t.Context(), "main")
	require.NoError(t, err)
	require.Equal(t, orders.Columns[4:6], tables[1].Columns[10:])
}

func TestManyColumnsAtOnce(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", narrow))
		write(t, tx, "main", "narrow", notes("old", "x"))
	})
	var added []warehouse.Column
	for i := range 1500 {
		added = append(added, warehouse.Column{Name: fmt.Sprintf("column_%d", i), Kind: warehouse.Bool + warehouse.Kind(i%6)})
	}
	all := append(narrow.Columns[:2:2], added...)
	do(t, s, func(tx warehouse.Tx) {
		require.NoError(t, tx.AddColumns(t.Context(), "main", "narrow", added))
		r := &rows{columns: all, values: [][]warehouse.Value{make([]warehouse.Value, len(all))}}
		for i := range all {
			r.values[0][i] = warehouse.Value{Kind: all[i].Kind, N: int64(i % 2), S: "1"}
		}
		write(t, tx, "main", "narrow", r)
	})
	tx := begin(t, s)
	tables, err := tx.Tables(t.Context(), "main")
	require.NoError(t, err)
	require.Equal(t, []warehouse.Table{{Name: "narrow", Columns: all}}, tables)
	require.NoError(t, tx.Rollback())

	c := raw(t, file)
	require.Equal(t, [][]string{{"ok"}}, ask(t, c, "PRAGMA integrity_check"))
	require.Equal(t, [][]string{{"1", "1"}, {"old", ""}}, ask(t, c, "SELECT id, column_1498 FROM narrow ORDER BY id"))
}

func TestAddColumnsRefusesWhatIsThere(t *testing.T) {
	wide := warehouse.Table{Name: "wide", Columns: []warehouse.Column{{Name: "id", Kind: warehouse.String}}}
	for i := range 1990 {
		wide.Columns = append(wide.Columns, warehouse.Column{Name: fmt.Sprint("c", i), Kind: warehouse.Int})
	}
	var more []warehouse.Column
	for i := range 10 {
		more = append(more, warehouse.Column{Name: fmt.Sprint("more", i), Kind: warehouse.Int})
	}
	for name, columns := range map[string][]warehouse.Column{
		"a column of the table": {{Name: "new", Kind: warehouse.Int}, {Name: "C7", Kind: warehouse.Int}},
		"the same one twice":    {{Name: "new", Kind: warehouse.Int}, {Name: "new", Kind: warehouse.Int}},
		"too many":              more,
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, newFile(t))
			do(t, s, func(tx warehouse.Tx) { require.NoError(t, tx.Create(t.Context(), "main", wide)) })
			tx := begin(t, s)
			require.Error(t, tx.AddColumns(t.Context(), "main", "wide", columns))
			require.NoError(t, tx.Rollback())
			tx = begin(t, s)
			tables, err := tx.Tables(t.Context(), "main")
			require.NoError(t, err)
			require.Equal(t, []warehouse.Table{wide}, tables)
			require.NoError(t, tx.AddColumns(t.Context(), "main", "wide", more[:9]), "there is room for 2,000")
		})
	}
}

func TestNamesNeverBreakOut(t *testing.T) {
	file := newFile(t)
	s := open(t, file)
	for i, evil := range []string{`x"; DROP TABLE "victim`, `"`, `""`, `'`, "`", `x" TEXT); --`, `)`, `?`, `%s`, `select`, `a b`, `rowid`, `ü`} {
		do(t, s, func(tx warehouse.Tx) {
			table := warehouse.Table{Name: evil, Columns: []warehouse.Column{{Name: "id", Kind: warehouse.String}, {Name: evil, Kind: warehouse.String}}}
			if i == 0 {
				require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: "victim", Columns: narrow.Columns}))
			}
			for _, schema := range []string{"main", evil} {
				require.NoError(t, tx.Create(t.Context(), schema, table))
				write(t, tx, schema, evil, &rows{columns: table.Columns, values: [][]warehouse.Value{{warehouse.StringValue("k"), warehouse.StringValue(evil)}}})
				more := []warehouse.Column{{Name: evil + "2", Kind: warehouse.Int}, {Name: evil + "3", Kind: warehouse.JSON}}
				require.NoError(t, tx.AddColumns(t.Context(), schema, evil, more))
				require.NoError(t, tx.AddColumns(t.Context(), schema, evil, []warehouse.Column{{Name: evil + "4", Kind: warehouse.String}}))
				require.NoError(t, tx.SwapColumn(t.Context(), schema, evil, evil+"2", evil+"4"))
				n, err := tx.Delete(t.Context(), schema, evil, evil, []string{evil})
				require.NoError(t, err)
				require.EqualValues(t, 1, n)
			}
		})
	}
	c := raw(t, file)
	require.Equal(t, [][]string{{"27"}}, ask(t, c, "SELECT count(*) FROM sqlite_schema WHERE type = 'table'"))
	require.Equal(t, [][]string{{"ok"}}, ask(t, c, "PRAGMA integrity_check"))
}

func TestSchemasAreSeparate(t *testing.T) {
	s := open(t, newFile(t))
	long := strings.Repeat("a", 53)
	schemas := []string{"main", "shop", "shop_", "shop__x", "shop___x", "_shop", "sqlite_shop", long + "__deadbeef", long + "_", long}
	tables := []string{"orders", "_users", "x__orders", "_x__orders", "__orders", "sqlite_opened", "deadbeef__orders", "main__orders", "shop__orders"}
	do(t, s, func(tx warehouse.Tx) {
		for _, schema := range schemas {
			for _, table := range tables {
				require.NoError(t, tx.Create(t.Context(), schema, warehouse.Table{Name: table, Columns: narrow.Columns}), "%s %s", schema, table)
				write(t, tx, schema, table, notes(schema+"."+table, ""))
			}
		}
	})
	tx := begin(t, s)
	for _, schema := range schemas {
		got, err := tx.Tables(t.Context(), schema)
		require.NoError(t, err)
		require.Len(t, got, len(tables), schema)
		for _, table := range got {
			require.Contains(t, tables, table.Name)
			require.Equal(t, []string{schema + "." + table.Name}, keys(t, tx, schema, table.Name))
		}
	}
	got, err := tx.Tables(t.Context(), "nobody")
	require.NoError(t, err)
	require.Empty(t, got)
}

func TestNamesAsTheyAreDocumented(t *testing.T) {
	file := newFile(t)
	do(t, open(t, file), func(tx warehouse.Tx) {
		require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: "tracks", Columns: narrow.Columns}))
		require.NoError(t, tx.Create(t.Context(), "shop", warehouse.Table{Name: "tracks", Columns: narrow.Columns}))
		require.NoError(t, tx.Create(t.Context(), "main", warehouse.Table{Name: "sqlite_opened", Columns: narrow.Columns}))
	})
	require.Equal(t, [][]string{{"main__sqlite_opened"}, {"shop__tracks"}, {"tracks"}},
		ask(t, raw(t, file), "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"))
}

func TestAMissingColumnIsAnError(t *testing.T) {
	tx := begin(t, open(t, newFile(t)))
	require.NoError(t, tx.Create(t.Context(), "main", narrow))
	write(t, tx, "main", "narrow", notes("a", "b"))
	for range 2 { // an error of Read breaks nothing
		require.ErrorContains(t, tx.Read(t.Context(), "main", "narrow", []string{"id", "none"}, warehouse.Query{}, func([]warehouse.Value) error { return nil }), "none")
	}
	_, err := tx.Delete(t.Context(), "main", "narrow", "none", []string{"none"})
	require.ErrorContains(t, err, "none")
}
