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

// Tx is a transaction of a [Store]. It holds the file's one lock for writing.
type Tx struct {
	db   *database
	over bool
	err  error // why it can only be rolled back
}

var _ warehouse.Tx = (*Tx)(nil)

var (
	errOver   = errors.New("the transaction is over")
	errBroken = errors.New("the transaction was left by a panic")
)

// do runs f, unless something failed before: SQLite may have ended the transaction then,
// and what came behind it would stay.
func (t *Tx) do(ctx context.Context, what string, f func(*conn) error) error {
	switch {
	case t.over:
		return fmt.Errorf("sqlite: %s: %w", what, errOver)
	case t.err != nil:
		return fmt.Errorf("sqlite: %s: the transaction has failed: %w", what, t.err)
	}
	t.err = errBroken
	t.err = t.db.do(ctx, what, f)
	return t.err
}

// Tables lists the tables of a schema, which in main are also those that others made.
func (t *Tx) Tables(ctx context.Context, schema string) (tables []warehouse.Table, err error) {
	err = t.do(ctx, "list tables", func(c *conn) error {
		tables, err = c.tables(schema)
		return err
	})
	return tables, err
}

func (c *conn) tables(schema string) (tables []warehouse.Table, err error) {
	var names []string
	// Virtual tables have no root page.
	err = c.rows("SELECT name FROM main.sqlite_schema WHERE type = 'table' AND rootpage > 0", nil, func(s *sqlite3.Stmt) error {
		names = append(names, s.ColumnText(0))
		return nil
	})
	for _, name := range names {
		table, ok := tableOf(schema, name)
		if err != nil || !ok {
			continue
		}
		var columns []warehouse.Column
		if columns, err = c.columns(name); err == nil {
			tables = append(tables, warehouse.Table{Name: table, Columns: columns})
		}
	}
	slices.SortFunc(tables, func(a, b warehouse.Table) int { return strings.Compare(a.Name, b.Name) })
	return tables, err
}

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

// Create makes a table.
func (t *Tx) Create(ctx context.Context, schema string, want warehouse.Table) error {
	name := tableName(schema, want.Name)
	return t.do(ctx, "create "+name, func(c *conn) error {
		var b strings.Builder
		fmt.Fprintf(&b, "CREATE TABLE %s (", table(name))
		for i, column := range want.Columns {
			if i > 0 {
				b.WriteString(", ")
			}
			fmt.Fprintf(&b, "%s %s", quote(column.Name), declared[column.Kind])
			if i == 0 {
				b.WriteString(" NOT NULL PRIMARY KEY")
			}
		}
		b.WriteString(")")
		return c.Exec(b.String())
	})
}

// AddColumns adds one after the other: SQLite has no statement for several.
func (t *Tx) AddColumns(ctx context.Context, schema, name string, columns []warehouse.Column) error {
	name = tableName(schema, name)
	return t.do(ctx, "add columns to "+name, func(c *conn) error {
		for _, column := range columns {
			sql := fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", table(name), quote(column.Name), declared[column.Kind])
			if err := c.Exec(sql); err != nil {
				return err
			}
		}
		return nil
	})
}

// SwapColumn writes all rows of the table again.
func (t *Tx) SwapColumn(ctx context.Context, schema, name, old, by string) error {
	name = tableName(schema, name)
	return t.do(ctx, "swap a column of "+name, func(c *conn) error {
		return c.Exec(fmt.Sprintf("ALTER TABLE %[1]s DROP COLUMN %[2]s; ALTER TABLE %[1]s RENAME COLUMN %[3]s TO %[2]s",
			table(name), quote(old), quote(by)))
	})
}

// Commit fails if the file was removed or replaced meanwhile, also if that is found out
// only when all was written: the rows are in a file that nobody reads then.
func (t *Tx) Commit(ctx context.Context) error {
	err := t.do(ctx, "commit", func(c *conn) error {
		if c.moved() {
			return errMoved
		}
		if err := c.Exec("COMMIT"); err != nil {
			return withoutText(err)
		}
		if c.moved() {
			return errMoved
		}
		return nil
	})
	if err == nil {
		t.over = true
		t.db.end()
	}
	return err
}

// Rollback undoes everything. A connection that cannot even do that is closed, which
// undoes it as well.
func (t *Tx) Rollback() error {
	if t.over {
		return nil
	}
	t.over = true
	defer t.db.end()
	err := t.db.do(context.Background(), "roll back", func(c *conn) error {
		if c.Conn == nil {
			return nil
		}
		if c.lost {
			c.drop()
			return nil
		}
		if c.GetAutocommit() {
			return nil
		}
		err := c.Exec("ROLLBACK")
		if err != nil {
			c.drop()
		}
		return err
	})
	if errors.Is(err, errClosed) {
		return nil // which has undone it
	}
	return err
}
