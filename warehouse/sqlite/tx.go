package sqlite

import (
	"context"
	"errors"
	"fmt"

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
