package postgres

import (
	"context"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tributary-dev/analytics/warehouse"
)

// tx is a transaction of a session.
type tx struct {
	n    *session
	done bool

	// types are those of the columns of tables that were written to. The table is locked
	// since, so that nobody but this transaction changes them.
	types map[string]map[string]uint32
}

var _ warehouse.Tx = (*tx)(nil)

func (x *tx) use(ctx context.Context, doing string, during phase, f func(context.Context, *pgconn.PgConn) error) error {
	if x.done {
		return errEnded
	}
	return x.n.use(ctx, doing, during, func(ctx context.Context) error { return f(ctx, x.n.conn) })
}

// Commit tells apart what the server does not: it answers COMMIT of a transaction that
// has failed with ROLLBACK, and COMMIT of none with COMMIT, and no error.
func (x *tx) Commit(ctx context.Context) error {
	err := x.use(ctx, "commit", duringSetup, func(ctx context.Context, conn *pgconn.PgConn) error {
		if conn.TxStatus() != 'T' {
			return errAborted
		}
		results, err := conn.Exec(ctx, "COMMIT").ReadAll()
		if err == nil && results[0].CommandTag.String() != "COMMIT" {
			err = errAborted
		}
		x.n.careful = x.n.careful && err != nil
		return err
	})
	if err == nil {
		x.end()
	}
	return err
}

// Rollback has no error: what cannot be sent to the server ends with the connection.
func (x *tx) Rollback() error {
	if x.done {
		return nil
	}
	x.n.mu.Lock()
	defer x.n.mu.Unlock()
	x.n.abandon()
	x.end()
	return nil
}

func (x *tx) end() {
	x.done = true
	<-x.n.turn
}

// run executes statements without parameters.
func run(ctx context.Context, conn *pgconn.PgConn, sql string) error {
	_, err := conn.Exec(ctx, sql).ReadAll()
	return err
}

// exec executes a statement with one parameter in binary format.
func exec(ctx context.Context, conn *pgconn.PgConn, sql string, oid uint32, param []byte) *pgconn.ResultReader {
	return conn.ExecParams(ctx, sql, [][]byte{param}, []uint32{oid}, binaryFormat, binaryFormat)
}

// quote makes an identifier of any name.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

func qualified(schema, table string) string { return quote(schema) + "." + quote(table) }

// list joins the quoted names of columns.
func list(columns []warehouse.Column) string {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = quote(c.Name)
	}
	return strings.Join(names, ", ")
}
