package sqlite

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/ncruces/go-sqlite3"

	"github.com/tributary-dev/analytics"
)

// explain says of an error what was done, and with a word what it means for the load.
func explain(ctx *callCtx, what string, err error) error {
	if err == nil {
		return nil
	}
	code := codeOf(err)
	if ended := ctx.Err(); ended != nil {
		switch code {
		case sqlite3.BUSY:
			return fmt.Errorf("sqlite: %s: another transaction goes on: %w", what, ended)
		case sqlite3.INTERRUPT:
			return fmt.Errorf("sqlite: %s: %w", what, ended)
		}
	}
	err = fmt.Errorf("sqlite: %s: %w", what, err)
	switch {
	case errors.Is(err, sqlite3.READONLY_DBMOVED):
		return err // the next transaction opens the file that is there
	case errors.Is(err, fs.ErrPermission), errors.Is(err, sqlite3.CANTOPEN_ISDIR):
		return analytics.Unauthorized(err)
	}
	switch code {
	case sqlite3.PERM, sqlite3.AUTH, sqlite3.READONLY:
		return analytics.Unauthorized(err)
	case sqlite3.CORRUPT, sqlite3.NOTADB, sqlite3.FORMAT:
		// Somebody has to put a good file there: until then nothing is to be dropped.
		return analytics.Unauthorized(err)
	case sqlite3.CONSTRAINT, sqlite3.TOOBIG, sqlite3.MISMATCH:
		return analytics.Split(err)
	}
	return err // locked, a full disk, a fault of the disk
}

// codeOf is the code of SQLite, 0 for other errors.
func codeOf(err error) sqlite3.ErrorCode {
	var code sqlite3.ErrorCode
	errors.As(err, &code)
	return code
}

// passes tells whether a transaction can begin after a while.
func passes(err error) bool { return codeOf(err) == sqlite3.BUSY || errors.Is(err, errMoved) }

// loses tells whether the connection is of no use after the error.
func loses(err error) bool {
	switch codeOf(err) {
	case sqlite3.IOERR, sqlite3.CANTOPEN, sqlite3.READONLY, sqlite3.CORRUPT, sqlite3.NOTADB, sqlite3.FORMAT,
		sqlite3.PROTOCOL, sqlite3.MISUSE, sqlite3.INTERNAL, sqlite3.NOMEM:
		return true
	}
	return errors.Is(err, errMoved)
}

// withoutText reduces the error of a statement that has values to its code, where the
// text may come from a trigger or a function, which can quote them.
func withoutText(err error) error {
	var code sqlite3.ExtendedErrorCode
	if !errors.As(err, &code) {
		return err
	}
	switch code {
	case sqlite3.CONSTRAINT_PRIMARYKEY, sqlite3.CONSTRAINT_UNIQUE, sqlite3.CONSTRAINT_NOTNULL, sqlite3.CONSTRAINT_DATATYPE:
		return err // names table and column
	}
	switch code.Code() {
	case sqlite3.ERROR, sqlite3.CONSTRAINT, sqlite3.MISMATCH, sqlite3.ABORT:
		return code
	}
	return err
}

// Rows that are never taken.
var (
	errKey   = analytics.Split(errors.New("a row has no key"))
	errFloat = analytics.Split(errors.New("a number is infinite or none"))
	errTime  = analytics.Split(errors.New("a time is not in the years 1 to 9999"))
	errLarge = analytics.Split(fmt.Errorf("a row has more than %d MiB", maxRowBytes>>20))
)
