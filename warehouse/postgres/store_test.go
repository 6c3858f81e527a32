package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/postgres"
)

const password = "pw-4711"

func TestOpenChecksTheURL(t *testing.T) {
	for name, url := range map[string]string{
		"missing":            "",
		"no port":            "postgres://u:" + password + "@host:" + password + "/db",
		"no URL":             password,
		"broken escape":      "postgres://u:" + password + "%zz@host/db",
		"no such TLS mode":   "postgres://u:" + password + "@host/db?sslmode=" + password,
		"no such root":       "postgres://u:" + password + "@host/db?sslmode=verify-full&sslrootcert=/none/" + password,
		"no such time":       "host=h password=" + password + " connect_timeout=" + password,
		"unfinished keyword": "host=h password='" + password,
	} {
		t.Run(name, func(t *testing.T) {
			err := (&postgres.Store{URL: url}).Open(t.Context())
			var invalid *analytics.InvalidError
			require.ErrorAs(t, err, &invalid)
			require.Equal(t, "URL", invalid.Field)
			require.NotContains(t, err.Error(), password)
		})
	}
}

func TestOpenDoesNotConnect(t *testing.T) {
	for _, url := range []string{
		"postgres://u:" + password + "@127.0.0.1:1/db",
		"host=127.0.0.1 port=1 user=u",
	} {
		s := &postgres.Store{URL: url}
		require.NoError(t, s.Open(t.Context()))
		require.NoError(t, s.Close())
	}
}

func TestDialectFitsTheContract(t *testing.T) {
	d := (&postgres.Store{}).Dialect()
	require.Equal(t, warehouse.Dialect{Name: "postgres", Schema: "analytics", MaxName: 63, MaxColumns: 1000, MaxRow: 7936}, d)
}

func TestStoreThatIsNotOpen(t *testing.T) {
	s := &postgres.Store{URL: "postgres://u@127.0.0.1:1/db"}
	_, err := s.Begin(t.Context(), "analytics")
	require.EqualError(t, err, "postgres: store is not open")
	require.NoError(t, s.Open(t.Context()))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	_, err = s.Begin(t.Context(), "analytics")
	require.EqualError(t, err, "postgres: store closed")
}

func TestOpenOfAnOpenStore(t *testing.T) {
	s := &postgres.Store{URL: "postgres://u@127.0.0.1:1/db"}
	require.NoError(t, s.Open(t.Context()))
	require.EqualError(t, s.Open(t.Context()), "postgres: store is open already")
	for range 2 {
		require.NoError(t, s.Close())
		require.NoError(t, s.Open(t.Context()))
	}
	require.NoError(t, s.Close())
}

func TestStorePrintsWithoutItsURL(t *testing.T) {
	s := &postgres.Store{URL: "postgres://u:" + password + "@host/db"}
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%d"} {
		require.Equal(t, "postgres{URL:[hidden]}", fmt.Sprintf(format, s))
	}
	require.Equal(t, "postgres{}", fmt.Sprint(&postgres.Store{}))
	var text, json strings.Builder
	slog.New(slog.NewTextHandler(&text, nil)).Info("opened", "store", s)
	slog.New(slog.NewJSONHandler(&json, nil)).Info("opened", "store", s)
	require.NotContains(t, text.String()+json.String(), password)
	require.Contains(t, text.String(), "store.name=postgres store.URL=[hidden]")
}

func TestServerThatIsNotThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	address := l.Addr().String()
	require.NoError(t, l.Close())
	s := &postgres.Store{URL: "postgres://u:" + password + "@" + address + "/db?sslmode=disable"}
	require.NoError(t, s.Open(t.Context()))
	defer s.Close()
	_, err = s.Begin(t.Context(), "analytics")
	require.EqualError(t, err, "postgres: begin: connection refused")
	word, _ := analytics.Classify(err)
	require.Equal(t, analytics.WordAgain, word)
}

func TestBeginEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	s := &postgres.Store{URL: "postgres://u@" + l.Addr().String() + "/db?sslmode=disable"}
	require.NoError(t, s.Open(t.Context()))
	defer s.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	go func() {
		conn, err := l.Accept() // and never answers
		cancel(nil)
		if err == nil {
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 1<<10))
		}
	}()
	_, err = s.Begin(ctx, "analytics")
	require.ErrorIs(t, err, context.Canceled)
}

// server answers each login with an error, and returns the parameters of the first.
func server(t *testing.T, e *pgproto3.ErrorResponse) (address string, params chan map[string]string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	params = make(chan map[string]string, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			if m, err := backend.ReceiveStartupMessage(); err == nil {
				select {
				case params <- m.(*pgproto3.StartupMessage).Parameters:
				default:
				}
			}
			backend.Send(e)
			_ = backend.Flush()
			conn.Close()
		}
	}()
	return l.Addr().String(), params
}

func TestLoginThatIsRefused(t *testing.T) {
	address, params := server(t, &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "28P01", Message: "password " + password + " is wrong"})
	s := &postgres.Store{URL: "postgres://somebody:" + password + "@" + address + "/db?sslmode=disable"}
	require.NoError(t, s.Open(t.Context()))
	defer s.Close()
	_, err := s.Begin(t.Context(), "analytics")
	require.EqualError(t, err, "postgres: begin: password refused (SQLSTATE 28P01)")
	word, _ := analytics.Classify(err)
	require.Equal(t, analytics.WordUnauthorized, word)
	p := <-params
	require.Equal(t, "analytics", p["application_name"])
	require.Equal(t, "UTF8", p["client_encoding"])
}

func TestApplicationNameOfTheURL(t *testing.T) {
	address, params := server(t, &pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: "57P03"})
	s := &postgres.Store{URL: "postgres://u@" + address + "/db?sslmode=disable&application_name=loader"}
	require.NoError(t, s.Open(t.Context()))
	defer s.Close()
	_, err := s.Begin(t.Context(), "analytics")
	require.EqualError(t, err, "postgres: begin: server is starting or stopping (SQLSTATE 57P03)")
	require.Equal(t, "loader", (<-params)["application_name"])
}

// sessions is a server that takes every login. It gives an answer to each request with
// parameters, and pretends to do what has none. It returns how many logins there were.
func sessions(t *testing.T, answer pgproto3.BackendMessage) (url string, logins *atomic.Int32) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	logins = new(atomic.Int32)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				b := pgproto3.NewBackend(conn, conn)
				if _, err := b.ReceiveStartupMessage(); err != nil {
					return
				}
				logins.Add(1)
				b.Send(&pgproto3.AuthenticationOk{})
				b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
				for b.Flush() == nil {
					m, err := b.Receive()
					if err != nil {
						return
					}
					switch m := m.(type) {
					case *pgproto3.Sync:
						b.Send(answer)
						b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
					case *pgproto3.Query:
						b.Send(&pgproto3.CommandComplete{CommandTag: []byte(m.String)})
						b.Send(&pgproto3.ReadyForQuery{TxStatus: 'I'})
					}
				}
			}()
		}
	}()
	return "postgres://u@" + l.Addr().String() + "/db?sslmode=disable", logins
}

// A standby says so to BEGIN. The next connection may be to the server that has taken over
// from it, or from which it has.
func TestServerThatHasBecomeAStandby(t *testing.T) {
	url, logins := sessions(t, &pgproto3.ErrorResponse{Severity: "ERROR", SeverityUnlocalized: "ERROR", Code: "0A000"})
	s := &postgres.Store{URL: url}
	require.NoError(t, s.Open(t.Context()))
	defer s.Close()
	for i := range 3 {
		_, err := s.Begin(t.Context(), "analytics")
		require.EqualError(t, err, "postgres: begin: not supported (SQLSTATE 0A000)")
		require.EqualValues(t, i+1, logins.Load())
	}
}

// A pooler that lends connections for a statement has no transactions.
func TestCommitOfNoTransaction(t *testing.T) {
	url, _ := sessions(t, &pgproto3.CommandComplete{CommandTag: []byte("SELECT 1")})
	s := &postgres.Store{URL: url}
	require.NoError(t, s.Open(t.Context()))
	defer s.Close()
	x, err := s.Begin(t.Context(), "analytics")
	require.NoError(t, err)
	require.EqualError(t, x.Commit(t.Context()), "postgres: commit: an earlier call of the transaction has failed")
	require.NoError(t, x.Rollback())
}
