package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ncruces/go-sqlite3"

	"github.com/tributary-dev/analytics/warehouse"
)

// maxColumns is the limit of SQLite as it is compiled into the driver.
const maxColumns = 2000

// Tables lists the tables of a schema, which in main are also those that others made.
// Names that are taken by something else are tables without columns. All names are in
// lower case, since SQLite does not tell others apart.
func (t *Tx) Tables(ctx context.Context, schema string) (tables []warehouse.Table, err error) {
	err = t.do(ctx, "list tables", func(c *conn) error {
		tables, err = c.tables(schema)
		return err
	})
	return tables, err
}

// namesSQL lists what a table cannot be called, and whether it is a table that can be
// written. Virtual tables have no root page. Triggers have names of their own.
const namesSQL = "SELECT name, type = 'table' AND rootpage > 0 FROM main.sqlite_schema WHERE type IN ('table', 'view', 'index')"

func (c *conn) tables(schema string) (tables []warehouse.Table, err error) {
	writable := make(map[string]bool)
	err = c.rows(namesSQL, nil, func(s *sqlite3.Stmt) error {
		writable[s.ColumnText(0)] = s.ColumnBool(1)
		return nil
	})
	if err != nil {
		return nil, err
	}
	for name, writable := range writable {
		var columns []warehouse.Column
		table, ok := tableOf(schema, lower(name))
		if !ok {
			continue
		}
		if writable && name == lower(name) {
			if columns, err = c.columns(name); err != nil {
				return nil, err
			}
			for i := range columns {
				columns[i].Name = lower(columns[i].Name)
			}
		}
		tables = append(tables, warehouse.Table{Name: table, Columns: columns})
	}
	slices.SortFunc(tables, func(a, b warehouse.Table) int { return strings.Compare(a.Name, b.Name) })
	return tables, nil
}

// targets are the kinds of the columns of tables that are written, by their names.
type targets map[string]map[string]warehouse.Kind

// target finds the kinds of a table, once a transaction and change of tables.
func (c *conn) target(name string) (map[string]warehouse.Kind, error) {
	if kinds := c.targets[name]; kinds != nil {
		return kinds, nil
	}
	columns, err := c.columns(name)
	if err != nil {
		return nil, err
	}
	if len(columns) == 0 {
		return nil, errNoTable
	}
	kinds := make(map[string]warehouse.Kind, len(columns))
	for _, column := range columns {
		kinds[lower(column.Name)] = column.Kind
	}
	if c.targets == nil {
		c.targets = make(targets)
	}
	c.targets[name] = kinds
	return kinds, nil
}

var errNoTable = errors.New("there is no such table")

// columns are those of the table of that name in the file.
func (c *conn) columns(name string) (columns []warehouse.Column, err error) {
	err = c.rows("SELECT name, type, hidden FROM pragma_table_xinfo(?, 'main') ORDER BY cid", []string{name}, func(s *sqlite3.Stmt) error {
		column := warehouse.Column{Name: s.ColumnText(0), Kind: kindOf(s.ColumnText(1))}
		if s.ColumnInt(2) != 0 { // computed from others
			column.Kind = warehouse.Null
		}
		columns = append(columns, column)
		return nil
	})
	return columns, err
}

// change is do for what changes tables.
func (t *Tx) change(ctx context.Context, what string, f func(*conn) error) error {
	return t.do(ctx, what, func(c *conn) error {
		c.targets = nil
		return f(c)
	})
}

// Create makes a table.
func (t *Tx) Create(ctx context.Context, schema string, want warehouse.Table) error {
	name := tableName(schema, want.Name)
	return t.change(ctx, "create "+name, func(c *conn) error { return c.Exec(definition(name, want.Columns)) })
}

// definition is the statement that makes a table, in the form in which SQLite keeps it.
func definition(name string, columns []warehouse.Column) string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (", quote(name))
	for i, column := range columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quote(column.Name) + " " + declared[column.Kind])
		if i == 0 {
			b.WriteString(" NOT NULL PRIMARY KEY")
		}
	}
	return b.String() + ")"
}

// AddColumns adds them to the table's definition, since SQLite has no statement for
// several, and reads the whole schema again after each one: with 2,000 tables that is a
// fifth of a second a column. A table that is not in our own form is altered column by
// column.
func (t *Tx) AddColumns(ctx context.Context, schema, name string, columns []warehouse.Column) error {
	name = tableName(schema, name)
	return t.change(ctx, "add columns to "+name, func(c *conn) error {
		whole, err := c.widened(name, columns)
		if err != nil {
			return err
		}
		if whole != nil {
			return c.define(name, whole)
		}
		for _, column := range columns {
			sql := fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", table(name), quote(column.Name), declared[column.Kind])
			if err := c.Exec(sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// widened returns the columns of the table with the new ones, if there are several and
// its definition is the one that we would write, so that it can be written again.
func (c *conn) widened(name string, columns []warehouse.Column) ([]warehouse.Column, error) {
	if len(columns) < 2 {
		return nil, nil
	}
	whole, err := c.columns(name)
	if err != nil {
		return nil, err
	}
	ours := false
	err = c.rows("SELECT sql FROM main.sqlite_schema WHERE type = 'table' AND name = ?", []string{name}, func(s *sqlite3.Stmt) error {
		ours = s.ColumnText(0) == definition(name, whole)
		return nil
	})
	if err != nil || !ours || len(whole)+len(columns) > maxColumns {
		return nil, err
	}
	for _, column := range columns {
		taken := func(c warehouse.Column) bool { return strings.EqualFold(c.Name, column.Name) }
		if declared[column.Kind] == "" || slices.ContainsFunc(whole, taken) {
			return nil, nil // ALTER TABLE says what is wrong
		}
		whole = append(whole, column)
	}
	return whole, nil
}

// define writes the definition of a table that got columns. Its rows stay as they are:
// what they are short of is NULL. The procedure is the one that the documentation of
// ALTER TABLE has for changes that do not touch what is stored. What SQLite makes of the
// result is compared with what was meant, while it can be undone.
func (c *conn) define(name string, columns []warehouse.Column) (err error) {
	version := 0
	err = c.rows("PRAGMA main.schema_version", nil, func(s *sqlite3.Stmt) error {
		version = s.ColumnInt(0)
		return nil
	})
	if err != nil {
		return err
	}
	if err := c.Exec("PRAGMA writable_schema = ON"); err != nil {
		return err
	}
	defer func() { c.lost = c.lost || err != nil }() // it may still be on
	err = errors.Join(
		c.rows("UPDATE main.sqlite_schema SET sql = ? WHERE type = 'table' AND name = ?",
			[]string{definition(name, columns), name}, func(*sqlite3.Stmt) error { return nil }),
		c.Exec(fmt.Sprintf("PRAGMA main.schema_version = %d", version+1)),
		c.Exec("PRAGMA writable_schema = OFF"),
	)
	if err != nil {
		return err
	}
	got, err := c.columns(name)
	if err == nil && !slices.Equal(got, columns) {
		err = errors.New("the columns are not what they should be")
	}
	return err
}

// SwapColumn writes all rows of the table again.
func (t *Tx) SwapColumn(ctx context.Context, schema, name, old, by string) error {
	name = tableName(schema, name)
	return t.change(ctx, "swap a column of "+name, func(c *conn) error { return c.swap(name, old, by) })
}

// swap takes the indexes away that others made of the column, or it could not be dropped,
// and makes them again of the new one.
func (c *conn) swap(name, old, by string) error {
	indexes, err := c.indexesOf(name, old)
	if err != nil {
		return err
	}
	for _, index := range indexes {
		if err := c.Exec("DROP INDEX " + table(index.name)); err != nil {
			return fmt.Errorf("drop the index %q: %w", index.name, err)
		}
	}
	err = c.Exec(fmt.Sprintf("ALTER TABLE %[1]s DROP COLUMN %[2]s; ALTER TABLE %[1]s RENAME COLUMN %[3]s TO %[2]s",
		table(name), quote(old), quote(by)))
	if err != nil {
		if text := err.Error(); strings.Contains(text, "error in view") || strings.Contains(text, "error in trigger") {
			return fmt.Errorf("a view or trigger needs the column or is broken: drop it and make it again afterwards: %w", err)
		}
		return err
	}
	for _, index := range indexes {
		if err := c.Exec(index.sql); err != nil {
			return fmt.Errorf("make the index %q again: %w", index.name, withoutText(err))
		}
	}
	return nil
}

type index struct{ name, sql string }

// indexesOf are the indexes of a table that have the name of a column in their
// definition, also within an expression or a condition. Those that only look like it are
// made again for nothing.
func (c *conn) indexesOf(name, column string) (all []index, err error) {
	err = c.rows("SELECT name, sql FROM main.sqlite_schema WHERE type = 'index' AND sql IS NOT NULL AND tbl_name = ? COLLATE NOCASE",
		[]string{name}, func(s *sqlite3.Stmt) error {
			if i := (index{s.ColumnText(0), s.ColumnText(1)}); strings.Contains(lower(i.sql), lower(column)) {
				all = append(all, i)
			}
			return nil
		})
	return all, err
}
