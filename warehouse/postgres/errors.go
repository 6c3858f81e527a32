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
	errClosed  = errors.New("postgres: store closed")
	errEnded   = errors.New("postgres: transaction has ended")

	errAborted     = errors.New("an earlier call of the transaction has failed")
	errKeyTurnedUp = errors.New("a key, or what another index keeps unique, is there already")
)

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
)

// meanings are the states that an operator is likely to meet. Others are numbers, which
// appendix A of PostgreSQL's manual explains.
var meanings = map[string]string{
	"0A000":         "not supported",
	"22003":         "number out of range",
	"22021":         "text that is not valid",
	"22P02":         "JSON that is not valid",
	"22P05":         "JSON with a character that cannot be stored",
	"23502":         "a column must not be null",
	uniqueViolation: "value of a unique index twice",
	"28000":         "login refused",
	"28P01":         "password refused",
	"2BP01":         "a view or an index depends on it",
	"3D000":         "no such database",
	"40P01":         "deadlock",
	"42501":         "permission denied",
	"42701":         "column exists",
	"42703":         "no such column",
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
	switch {
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

// reason is what is wrong with the connection, without its address.
func reason(err error) string {
	var (
		errno   syscall.Errno
		name    *net.DNSError
		cert    *tls.CertificateVerificationError
		network net.Error
	)
	switch {
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
