package postgres

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tributary-dev/analytics/warehouse"
)

// tablesSQL gives a row for each column, and one with NULLs for a table without any. A
// varchar of limited length and a generated column have no type here: they do not take
// every value.
const tablesSQL = `
SELECT c.relname::text, a.attname::text,
	CASE WHEN a.attgenerated <> '' OR a.attidentity = 'a' OR a.atttypmod >= 0 THEN 0 ELSE a.atttypid::int8 END
FROM pg_catalog.pg_namespace n
JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE n.nspname = $1
ORDER BY c.relname::text COLLATE "C", a.attnum`

func (x *tx) Tables(ctx context.Context, schema string) (tables []warehouse.Table, err error) {
	err = x.use(ctx, "list the tables of "+schema, duringSetup, func(ctx context.Context, conn *pgconn.PgConn) error {
		rows := exec(ctx, conn, tablesSQL, oidText, []byte(schema))
		for rows.NextRow() {
			tables = addColumn(tables, rows.Values())
		}
		_, err := rows.Close()
		return err
	})
	if err != nil {
		return nil, err
	}
	return tables, nil
}

func addColumn(tables []warehouse.Table, row [][]byte) []warehouse.Table {
	if n := len(tables); n == 0 || tables[n-1].Name != string(row[0]) {
		tables = append(tables, warehouse.Table{Name: string(row[0])})
	}
	if row[1] != nil {
		t := &tables[len(tables)-1]
		kind := kindOf(uint32(binary.BigEndian.Uint64(row[2])))
		t.Columns = append(t.Columns, warehouse.Column{Name: string(row[1]), Kind: kind})
	}
	return tables
}

func (x *tx) Create(ctx context.Context, schema string, t warehouse.Table) error {
	return x.use(ctx, "create "+schema+"."+t.Name, duringSetup, func(ctx context.Context, conn *pgconn.PgConn) error {
		// IF NOT EXISTS asks for the right to create a schema even if it is there.
		rows := exec(ctx, conn, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1", oidText, []byte(schema))
		found := rows.NextRow()
		if _, err := rows.Close(); err != nil {
			return err
		}
		sql := createSQL(schema, t)
		if !found {
			sql = "CREATE SCHEMA " + quote(schema) + "; " + sql
		}
		return run(ctx, conn, sql)
	})
}

// createSQL collates the key by bytes: it is the order of Read, and the cheapest index.
// The index has a name that no table can have.
func createSQL(schema string, t warehouse.Table) string {
	var sql strings.Builder
	sql.WriteString("CREATE TABLE " + qualified(schema, t.Name) + " (")
	for i, c := range t.Columns {
		if i > 0 {
			sql.WriteString(", ")
		}
		sql.WriteString(quote(c.Name) + " " + typeOf(c.Kind))
		if i == 0 {
			sql.WriteString(` COLLATE "C" CONSTRAINT ` + quote(indexName(t.Name)) + ` PRIMARY KEY`)
		}
	}
	sql.WriteString(")")
	return sql.String()
}

// indexName is that of the primary key. A table and an index of a schema share their
// names: what the server would choose is what an event "orders pkey" wants for its table.
// A blank is in no name that package warehouse gives.
func indexName(table string) string {
	const behind = " pkey"
	if len(table)+len(behind) <= maxName {
		return table + behind
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(table))
	hash := fmt.Sprintf(" %016x", h.Sum64())
	return table[:maxName-len(hash)-len(behind)] + hash + behind
}

func (x *tx) AddColumns(ctx context.Context, schema, table string, columns []warehouse.Column) error {
	if len(columns) == 0 {
		return nil
	}
	return x.use(ctx, "add columns to "+schema+"."+table, duringSetup, func(ctx context.Context, conn *pgconn.PgConn) error {
		added := make([]string, len(columns))
		for i, c := range columns {
			added[i] = "ADD COLUMN " + quote(c.Name) + " " + typeOf(c.Kind)
		}
		return run(ctx, conn, "ALTER TABLE "+qualified(schema, table)+" "+strings.Join(added, ", "))
	})
}

func (x *tx) SwapColumn(ctx context.Context, schema, table, old, by string) error {
	return x.use(ctx, "swap column "+old+" of "+schema+"."+table, duringSetup, func(ctx context.Context, conn *pgconn.PgConn) error {
		alter := "ALTER TABLE " + qualified(schema, table)
		return run(ctx, conn, alter+" DROP COLUMN "+quote(old)+"; "+alter+" RENAME COLUMN "+quote(by)+" TO "+quote(old))
	})
}
