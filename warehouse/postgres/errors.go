package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tributary-dev/analytics"
)

var (
	errNotOpen = errors.New("postgres: store is not open")
	errOpen    = errors.New("postgres: store is open already")
	errClosed  = errors.New("postgres: store closed")
	errEnded   = errors.New("postgres: transaction has ended")

	errAborted     = errors.New("an earlier call of the transaction has failed")
	errKeyTurnedUp = errors.New("a key, or what another index keeps unique, is there already")
	errPanicked    = errors.New("the rows have panicked")
)

// kindError is about rows and columns that do not fit together.
type kindError string

func (e kindError) Error() string { return string(e) }

// lossError is what of the owner's would go with a column, and cannot be made again.
type lossError string

func (e lossError) Error() string { return string(e) + " would go with the column; drop it first" }

// indexError is what the server says to the making of an index.
type indexError struct {
	name string
	err  error
}

func (e *indexError) Error() string { return "index " + e.name + ": " + e.err.Error() }
func (e *indexError) Unwrap() error { return e.err }

// phase is what a call is about, which decides whether rows can be at fault.
type phase uint8

const (
	duringSetup phase = iota // connection, transaction, tables
	duringRows
)

// States that are asked for by name.
const (
	uniqueViolation = "23505"
	tooManyColumns  = "54011"
	reservedName    = "42939"
	notSupported    = "0A000"
	readOnly        = "25006"
)

// meanings are the states that an operator is likely to meet. Others are numbers, which
// appendix A of PostgreSQL's manual explains.
var meanings = map[string]string{
	notSupported:    "not supported",
	"22003":         "number out of range",
	"22021":         "text that is not valid",
	"22P02":         "JSON that is not valid",
	"22P05":         "JSON with a character that cannot be stored",
	"23502":         "a column must not be null",
	uniqueViolation: "value of a unique index twice",
	readOnly:        "the server or the transaction takes no changes",
	"28000":         "login refused",
	"28P01":         "password refused",
	"2BP01":         "a view or an index depends on it",
	"3D000":         "no such database",
	"40P01":         "deadlock",
	"428C9":         "the column is generated and takes no values",
	"42501":         "permission denied",
	"42701":         "column exists",
	"42703":         "no such column",
	"42710":         "an object of that name exists",
	"42804":         "a column has another type",
	"42883":         "no such function or operator, or none for the type of a column",
	reservedName:    "names of schemas do not begin with pg_",
	"42P01":         "no such table",
	"42P07":         "table exists",
	"53100":         "disk full",
	"53300":         "too many connections",
	"54000":         "row or key too big",
	"54001":         "nested too deeply",
	tooManyColumns:  "too many columns; dropped ones count until the table is rebuilt",
	"55P03":         "waited too long for a lock",
	"57014":         "stopped by the server",
	"57P01":         "server is shutting down",
	"57P02":         "server has crashed",
	"57P03":         "server is starting or stopping",
}

// fault is the error of a call, in our own words. The driver's errors are not wrapped:
// the server quotes values of rows in its messages, and the driver the user and the host.
func fault(ctx context.Context, doing string, during phase, err error) error {
	var e *pgconn.PgError
	var index *indexError
	if errors.As(err, &index) {
		doing += ": make index " + index.name + " again"
	}
	switch {
	case errors.Is(context.Cause(ctx), errClosed):
		return errClosed
	case ctx.Err() != nil:
		return fmt.Errorf("postgres: %s: %w", doing, ctx.Err())
	case errors.As(err, &e):
		return word(e.Code, during, fmt.Errorf("postgres: %s: %s", doing, describe(e)))
	}
	return fmt.Errorf("postgres: %s: %s", doing, reason(err))
}

// describe names the state and, where the server does, column and index.
func describe(e *pgconn.PgError) string {
	var s strings.Builder
	if m := meanings[e.Code]; m != "" {
		s.WriteString(m + " ")
	}
	s.WriteString("(SQLSTATE " + e.Code)
	if e.ColumnName != "" {
		s.WriteString(", column " + e.ColumnName)
	}
	if e.ConstraintName != "" {
		s.WriteString(", constraint " + e.ConstraintName)
	}
	s.WriteString(")")
	return s.String()
}

// word says what happens next. Whatever is not named is tried again: connections (08),
// resources (53), an operator who stops the server (57), errors of its disk (58),
// serialisation and deadlocks (40), locks (55), and tables that another one has changed
// meanwhile (42), since the next try looks at them afresh.
func word(code string, during phase, err error) error {
	switch {
	case code == tooManyColumns:
		// No row is at fault, and nothing will fit before somebody rebuilds the table.
		return analytics.Unauthorized(err)
	case strings.HasPrefix(code, "28"), code == "42501", code == "3D000", code == reservedName:
		return analytics.Unauthorized(err)
	case during == duringRows && (strings.HasPrefix(code, "22") || strings.HasPrefix(code, "23") || strings.HasPrefix(code, "54")):
		// A value that the type does not take, a constraint that the owner has added, a
		// row that is too big: without the row the rest goes through.
		return analytics.Split(err)
	}
	return err
}

// misplaced tells whether the server, which may have been another one when the connection
// was made, takes no changes: a standby refuses a transaction that may write as something
// that is not supported.
func misplaced(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && (e.Code == notSupported || e.Code == readOnly)
}

// reason is what is wrong with the connection, without its address.
func reason(err error) string {
	var (
		kind    kindError
		loss    lossError
		errno   syscall.Errno
		name    *net.DNSError
		cert    *tls.CertificateVerificationError
		network net.Error
	)
	switch {
	case errors.As(err, &kind):
		return kind.Error()
	case errors.As(err, &loss):
		return loss.Error()
	case errors.Is(err, errAborted), errors.Is(err, errKeyTurnedUp), errors.Is(err, errType):
		return err.Error()
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &name):
		return "the host is not known"
	case errors.As(err, &cert):
		return "the certificate of the server is not accepted"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, pgconn.ErrConnClosed), errors.Is(err, net.ErrClosed):
		return "the connection has ended"
	case errors.As(err, &network) && network.Timeout():
		return "no answer in time"
	}
	return "the connection failed"
}
