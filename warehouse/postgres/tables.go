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

// tablesSQL gives a row for each column, and one with NULLs for a table without any and
// for what is no table but keeps one of its name from being made: views, indexes,
// sequences, parts of tables, types. The types of arrays do not: the server gives them
// another name. Nor is an index with a blank in its name listed, as those of createSQL
// are: no table is called so. A varchar of limited length and a generated column have no
// type here: they do not take every value.
const tablesSQL = `
SELECT t.name, t.attname, t.type
FROM (
	SELECT c.relname::text AS name, a.attname::text AS attname, a.attnum,
		CASE WHEN a.attgenerated <> '' OR a.attidentity = 'a' OR a.atttypmod >= 0 THEN 0 ELSE a.atttypid::int8 END AS type
	FROM pg_catalog.pg_namespace n
	JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
	LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
		AND c.relkind IN ('r', 'p') AND NOT c.relispartition
	WHERE n.nspname = $1 AND NOT (c.relkind IN ('i', 'I') AND pg_catalog.strpos(c.relname::text, ' ') > 0)
	UNION ALL
	SELECT y.typname::text, NULL, NULL, NULL
	FROM pg_catalog.pg_namespace n
	JOIN pg_catalog.pg_type y ON y.typnamespace = n.oid AND y.typrelid = 0 AND y.typisdefined
	WHERE n.nspname = $1 AND NOT EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = y.oid)
) t
ORDER BY t.name COLLATE "C", t.attnum`

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
	delete(x.types, qualified(schema, t.Name))
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
	delete(x.types, qualified(schema, table))
	return x.use(ctx, "add columns to "+schema+"."+table, duringSetup, func(ctx context.Context, conn *pgconn.PgConn) error {
		added := make([]string, len(columns))
		for i, c := range columns {
			added[i] = "ADD COLUMN " + quote(c.Name) + " " + typeOf(c.Kind)
		}
		return run(ctx, conn, "ALTER TABLE "+qualified(schema, table)+" "+strings.Join(added, ", "))
	})
}

// ownSQL gives what the owner has made on a column and the server drops with it:
// constraints, and indexes with the statements that make them. There is none for an index
// of a table in parts. An index that is not valid is what a failed statement has left.
const ownSQL = `
WITH t AS (
	SELECT a.attrelid, a.attnum
	FROM pg_catalog.pg_namespace n
	JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid
	JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
	WHERE n.nspname = $1 AND c.relname = $2 AND a.attname = $3
), uses AS (
	SELECT d.classid, d.objid
	FROM t JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
		AND d.refobjid = t.attrelid AND d.refobjsubid = t.attnum
)
SELECT 'constraint ' || o.conname AS name, NULL
FROM t JOIN pg_catalog.pg_constraint o ON o.conrelid = t.attrelid
WHERE o.contype <> 'n' AND (t.attnum = ANY (o.conkey)
	OR EXISTS (SELECT FROM uses u WHERE u.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND u.objid = o.oid)
	OR EXISTS (SELECT FROM uses u WHERE u.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND u.objid = o.conindid))
UNION ALL
SELECT CASE c.relkind WHEN 'I' THEN 'index ' ELSE '' END || c.relname,
	CASE c.relkind WHEN 'I' THEN NULL ELSE pg_catalog.pg_get_indexdef(i.indexrelid) END
FROM t JOIN pg_catalog.pg_index i ON i.indrelid = t.attrelid AND i.indisvalid
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
WHERE (t.attnum = ANY (i.indkey)
	OR EXISTS (SELECT FROM uses u WHERE u.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND u.objid = i.indexrelid))
	AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint o WHERE o.conindid = i.indexrelid AND o.conrelid = t.attrelid)
ORDER BY name`

// index is one that the owner has made.
type index struct{ name, made string }

// SwapColumn makes indexes of the owner again that the server drops with the column. What
// makes them names the column, and so the one that takes its place.
func (x *tx) SwapColumn(ctx context.Context, schema, table, old, by string) error {
	delete(x.types, qualified(schema, table))
	return x.use(ctx, "swap column "+old+" of "+schema+"."+table, duringSetup, func(ctx context.Context, conn *pgconn.PgConn) error {
		indexes, err := indexesOf(ctx, conn, schema, table, old)
		if err != nil {
			return err
		}
		alter := "ALTER TABLE " + qualified(schema, table)
		err = run(ctx, conn, alter+" DROP COLUMN "+quote(old)+"; "+alter+" RENAME COLUMN "+quote(by)+" TO "+quote(old))
		if err != nil {
			return err
		}
		for _, i := range indexes {
			if err := run(ctx, conn, i.made); err != nil {
				return &indexError{i.name, err}
			}
		}
		return nil
	})
}

// indexesOf finds the indexes of a column. What cannot be made again is an error. A
// constraint is not: it says what the owner wants of the values, which may not hold for
// those of another kind.
func indexesOf(ctx context.Context, conn *pgconn.PgConn, schema, table, column string) (indexes []index, err error) {
	rows := conn.ExecParams(ctx, ownSQL, [][]byte{[]byte(schema), []byte(table), []byte(column)}, []uint32{oidText, oidText, oidText}, binaryFormat, binaryFormat)
	for rows.NextRow() {
		name, made := string(rows.Values()[0]), rows.Values()[1]
		if made == nil && err == nil {
			err = lossError(name)
		}
		indexes = append(indexes, index{name, string(made)})
	}
	if _, closed := rows.Close(); closed != nil {
		return nil, closed
	}
	return indexes, err
}
