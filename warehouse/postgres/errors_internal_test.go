package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

const marker = "xyzzy-4711"

// state is what the server says, with values of rows wherever it may quote them.
func state(code string) error {
	return fmt.Errorf("around: %w", &pgconn.PgError{
		Severity: "ERROR", Code: code, Message: marker, Detail: "Key (id)=(" + marker + ")", Hint: marker,
		Where: "COPY t, line 1, column a: " + marker, InternalQuery: marker,
		SchemaName: "shop", TableName: "orders", ColumnName: "total", ConstraintName: "positive",
	})
}

func TestWords(t *testing.T) {
	const (
		again        = analytics.WordAgain
		unauthorized = analytics.WordUnauthorized
		split        = analytics.WordSplit
	)
	for _, c := range []struct {
		codes       []string
		setup, rows analytics.Word
		why         string
	}{
		{[]string{"08006", "57P01", "57P02", "57P03", "57014"}, again, again, "a connection or server that goes away comes back"},
		{[]string{"53100", "53200", "53300", "58030"}, again, again, "a disk can be made larger"},
		{[]string{"40001", "40P01", "55P03"}, again, again, "others were in the way"},
		{[]string{"42P01", "42703", "42701", "42P07", "42710", "42804", "42883", "428C9", "XX000", "25006", "0A000"}, again, again, "the next try looks at the tables afresh"},
		{[]string{"28000", "28P01", "3D000", "42501", "42939"}, unauthorized, unauthorized, "the settings are refused"},
		{[]string{"54011"}, unauthorized, unauthorized, "no row is at fault"},
		{[]string{"22003", "22021", "22P02", "22P05"}, again, split, "a value that is refused"},
		{[]string{"23502", "23505", "23514"}, again, split, "a constraint of the owner"},
		{[]string{"54000", "54001"}, again, split, "a row that is too big"},
		{[]string{"", "5"}, again, again, "a server that is none"},
	} {
		for _, code := range c.codes {
			for during, want := range map[phase]analytics.Word{duringSetup: c.setup, duringRows: c.rows} {
				err := fault(t.Context(), "write shop.orders", during, state(code))
				word, _ := analytics.Classify(err)
				require.Equal(t, want, word, "%s: %s", code, c.why)
			}
		}
	}
}

func TestErrorsQuoteNoValues(t *testing.T) {
	for code := range meanings {
		err := fault(t.Context(), "write shop.orders", duringRows, state(code))
		require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), marker)
		require.ErrorContains(t, err, "postgres: write shop.orders: ")
		require.ErrorContains(t, err, "SQLSTATE "+code)
		require.ErrorContains(t, err, "column total")
		require.ErrorContains(t, err, "constraint positive")
		var e *pgconn.PgError
		require.False(t, errors.As(err, &e), "whoever unwraps it would log the row")
	}
	for _, code := range []string{"25006", "428C9", "42710", "42804", "42883"} {
		require.NotEmpty(t, meanings[code], code)
	}
	index := fault(t.Context(), "swap column n of shop.orders", duringSetup, &indexError{"by_n", state("42804")})
	require.NotContains(t, index.Error(), marker)
	require.ErrorContains(t, index, "swap column n of shop.orders: make index by_n again: a column has another type (SQLSTATE 42804")
	require.EqualError(t, fault(t.Context(), "begin", duringSetup, &pgconn.PgError{Code: "99999"}), "postgres: begin: (SQLSTATE 99999)")
}

func TestReasonsNameNoAddress(t *testing.T) {
	const host = "db.example.com"
	address := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5432}
	for want, err := range map[string]error{
		"connection refused":                                          &net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)},
		"the host is not known":                                       &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host", Name: host}},
		"the connection has ended":                                    fmt.Errorf("%s: %w", host, io.ErrUnexpectedEOF),
		"no answer in time":                                           &net.OpError{Op: "read", Addr: address, Err: os.ErrDeadlineExceeded},
		"the connection failed":                                       errors.New(host),
		"an earlier call of the transaction has failed":               errAborted,
		"column n is int, the rows have float":                        kindError("column n is int, the rows have float"),
		"constraint positive would go with the column; drop it first": lossError("constraint positive"),
		"the certificate of the server is not accepted":               fmt.Errorf("%s: %w", host, &tls.CertificateVerificationError{Err: errors.New(host)}),
	} {
		got := fault(t.Context(), "begin", duringSetup, err)
		require.EqualError(t, got, "postgres: begin: "+want)
		word, _ := analytics.Classify(got)
		require.Equal(t, analytics.WordAgain, word)
	}
}

func TestEndedContextIsTheReason(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := fault(ctx, "write shop.orders", duringRows, state("22003"))
	require.ErrorIs(t, err, context.Canceled)
	word, _ := analytics.Classify(err)
	require.Equal(t, analytics.WordAgain, word, "the server may have been stopped in mid-statement")
}

func TestClosedStoreIsTheReason(t *testing.T) {
	ctx, end := context.WithCancelCause(t.Context())
	end(errClosed)
	require.Equal(t, errClosed, fault(ctx, "write shop.orders", duringRows, state("57014")))
}
