package postgres

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// Store loads into a PostgreSQL database.
type Store struct {
	// URL is where the database is and who loads, in the form
	// postgres://user:password@host:port/database?sslmode=verify-full or
	// "host=… user=…", with the parameters of libpq. What it leaves out comes from the
	// environment (PGHOST, PGSSLROOTCERT, …) and the password file. application_name is
	// "analytics" if it does not say otherwise. Required.
	URL string `json:"url" secret:"true"`

	mu   sync.Mutex
	last *session // that of the last Open
}

// session is what a Store has between Open and Close. A transaction keeps to that of its
// Begin, so that it does nothing to a store that was opened again.
type session struct {
	config *pgconn.Config
	turn   chan struct{}   // holds one while there is a transaction
	life   context.Context // ends with Close
	end    context.CancelFunc

	mu   sync.Mutex // held while conn is used
	conn *pgconn.PgConn

	// careful is set when a key turned up between the question for it and the COPY. Until
	// the next commit rows are inserted in a way that bears it.
	careful bool
}

var _ warehouse.Store = (*Store)(nil)

const (
	// cancelTime is how long the server has to stop a statement whose ctx has ended. Then
	// the connection is closed.
	cancelTime = 5 * time.Second

	// endTime bounds what has no ctx: the end of a transaction, and of a connection. Close
	// also waits for a call that is running, which has cancelTime.
	endTime = 5 * time.Second
)

// Dialect describes tables of PostgreSQL with pages of 8 KiB.
func (s *Store) Dialect() warehouse.Dialect {
	return warehouse.Dialect{
		Name: "postgres", Schema: "analytics",
		MaxName: maxName, MaxColumns: maxColumns, MaxRow: maxRow,
	}
}

// Open checks the URL and reads the files that it names. It does not connect.
func (s *Store) Open(context.Context) error {
	config, err := parse(s.URL)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil && s.last.life.Err() == nil {
		return errOpen
	}
	n := &session{config: config, turn: make(chan struct{}, 1)}
	n.life, n.end = context.WithCancel(context.Background())
	s.last = n
	return nil
}

func parse(url string) (*pgconn.Config, error) {
	if url == "" {
		return nil, &analytics.InvalidError{Field: "URL", Reason: "is missing"}
	}
	config, err := pgconn.ParseConfig(url)
	if err != nil {
		// The driver quotes the URL, with as little of its secrets as it can find.
		return nil, &analytics.InvalidError{Field: "URL", Reason: "is not one that the driver takes, or a file that it names cannot be read; " +
			"want postgres://user:password@host:port/database"}
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "analytics"
	}
	config.RuntimeParams["client_encoding"] = "UTF8"
	config.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: cancelTime}
	}
	return config, nil
}

// Begin connects if there is no connection, or a broken one.
func (s *Store) Begin(ctx context.Context, home string) (warehouse.Tx, error) {
	s.mu.Lock()
	n := s.last
	s.mu.Unlock()
	if n == nil {
		return nil, errNotOpen
	}
	select {
	case n.turn <- struct{}{}:
	case <-n.life.Done():
		return nil, errClosed
	case <-ctx.Done():
		return nil, fault(ctx, "begin", duringSetup, ctx.Err())
	}
	err := n.use(ctx, "begin", duringSetup, func(ctx context.Context) error { return n.begin(ctx, home) })
	if err != nil {
		<-n.turn
		return nil, err
	}
	return &tx{n: n, types: make(map[string]map[string]uint32)}, nil
}

// begin tries again where a connection turns out to be broken that was idle, or to be one
// to a server that takes no rows any more.
func (n *session) begin(ctx context.Context, home string) error {
	if n.conn != nil && !n.conn.IsClosed() {
		err := n.start(ctx, home)
		if err == nil || !n.conn.IsClosed() || ctx.Err() != nil {
			return err
		}
	}
	conn, err := pgconn.ConnectConfig(ctx, n.config)
	if err != nil {
		return err
	}
	n.conn = conn
	return n.start(ctx, home)
}

// lockName is hashed, with the home behind it, into the key of the lock.
const lockName = "analytics.warehouse:"

// start begins the transaction in one round trip. The level of isolation is said because
// a role can have another default: with a snapshot that was taken before the lock was
// there, the loader would not see what the one before it has committed. So can it have
// limits of time, but how long Begin waits is said by its ctx. Plans may not scan a whole
// table for the keys of a batch, nor compile.
func (n *session) start(ctx context.Context, home string) error {
	var b pgconn.Batch
	b.ExecParams("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", nil, nil, nil, nil)
	b.ExecParams("SELECT pg_catalog.set_config('lock_timeout', '0', true), pg_catalog.set_config('statement_timeout', '0', true)", nil, nil, nil, nil)
	b.ExecParams("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))",
		[][]byte{[]byte(lockName + home)}, []uint32{oidText}, nil, nil)
	b.ExecParams("SELECT pg_catalog.set_config('enable_seqscan', 'off', true), pg_catalog.set_config('jit', 'off', true), "+
		"pg_catalog.set_config('lock_timeout', '30s', true)", nil, nil, nil, nil)
	_, err := n.conn.ExecBatch(ctx, &b).ReadAll()
	switch {
	case misplaced(err):
		n.drop()
	case err != nil:
		n.abandon()
	}
	return err
}

// abandon ends a transaction whatever state it is in. Without a connection the server
// does it by itself. The time is that of the connection: a ctx that ends would have the
// driver ask the server to stop, and wait once more.
func (n *session) abandon() {
	if n.conn == nil || n.conn.IsClosed() {
		return
	}
	_ = n.conn.Conn().SetDeadline(time.Now().Add(endTime))
	if _, err := n.conn.Exec(context.Background(), "ROLLBACK").ReadAll(); err != nil {
		n.drop()
		return
	}
	_ = n.conn.Conn().SetDeadline(time.Time{})
}

// drop closes the connection.
func (n *session) drop() {
	if n.conn == nil || n.conn.IsClosed() {
		return
	}
	_ = n.conn.Conn().SetDeadline(time.Now().Add(endTime))
	// Not Background, with which the driver would leave a watch of a call that panicked.
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	_ = n.conn.Close(ctx)
}

// use calls f with the connection, under a ctx that Close ends too.
func (n *session) use(ctx context.Context, doing string, during phase, f func(context.Context) error) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.life.Err() != nil {
		return errClosed
	}
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	defer context.AfterFunc(n.life, func() { end(errClosed) })()
	err := f(ctx)
	if misplaced(err) {
		n.drop() // the next one may be to another server of the URL
	}
	if err != nil {
		return fault(ctx, doing, during, err)
	}
	return nil
}

// Close ends what is running, and with the connection its transaction. It may be called
// at any time.
func (s *Store) Close() error {
	s.mu.Lock()
	n := s.last
	s.mu.Unlock()
	if n == nil {
		return nil
	}
	n.end()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.drop()
	n.conn = nil
	return nil
}

// Format prints the store without its URL, which has the password.
func (s *Store) Format(w fmt.State, _ rune) {
	_, _ = io.WriteString(w, "postgres{")
	if s.URL != "" {
		_, _ = io.WriteString(w, "URL:"+hidden)
	}
	_, _ = io.WriteString(w, "}")
}

// LogValue is what Format prints.
func (s *Store) LogValue() slog.Value {
	attrs := []slog.Attr{slog.String("name", "postgres")}
	if s.URL != "" {
		attrs = append(attrs, slog.String("URL", hidden))
	}
	return slog.GroupValue(attrs...)
}

const hidden = "[hidden]"
