package postgres

import (
	"context"
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

	config *pgconn.Config
	turn   chan struct{} // holds one while there is a transaction

	mu   sync.Mutex // held while conn is used
	conn *pgconn.PgConn

	// careful is set when a key turned up between the question for it and the COPY. Until
	// the next commit rows are inserted in a way that bears it.
	careful bool

	state  sync.Mutex // guards the rest
	closed bool
	stop   context.CancelFunc // ends what uses conn
}

var _ warehouse.Store = (*Store)(nil)

const (
	// cancelTime is how long the server has to stop a statement whose ctx has ended. Then
	// the connection is closed.
	cancelTime = 5 * time.Second

	// endTime bounds what has no ctx: Rollback and Close.
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
	s.state.Lock()
	defer s.state.Unlock()
	s.config, s.turn, s.closed = config, make(chan struct{}, 1), false
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
	if s.config == nil {
		return nil, errNotOpen
	}
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fault(ctx, "begin", duringSetup, ctx.Err())
	}
	err := s.use(ctx, "begin", duringSetup, func(ctx context.Context) error { return s.begin(ctx, home) })
	if err != nil {
		<-s.turn
		return nil, err
	}
	return &tx{s: s}, nil
}

// begin tries again where a connection turns out to be broken that was idle.
func (s *Store) begin(ctx context.Context, home string) error {
	if s.conn != nil && !s.conn.IsClosed() {
		err := s.start(ctx, home)
		if err == nil || !s.conn.IsClosed() || ctx.Err() != nil {
			return err
		}
	}
	conn, err := pgconn.ConnectConfig(ctx, s.config)
	if err != nil {
		return err
	}
	s.conn = conn
	return s.start(ctx, home)
}

// lockName is hashed, with the home behind it, into the key of the lock.
const lockName = "analytics.warehouse:"

// start begins the transaction in one round trip. The level of isolation is said because
// a role can have another default: with a snapshot that was taken before the lock was
// there, the loader would not see what the one before it has committed. Plans may not
// scan a whole table for the keys of a batch, nor compile.
func (s *Store) start(ctx context.Context, home string) error {
	var b pgconn.Batch
	b.ExecParams("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", nil, nil, nil, nil)
	b.ExecParams("SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended($1, 0))",
		[][]byte{[]byte(lockName + home)}, []uint32{oidText}, nil, nil)
	b.ExecParams("SELECT pg_catalog.set_config('enable_seqscan', 'off', true), pg_catalog.set_config('jit', 'off', true), "+
		"pg_catalog.set_config('lock_timeout', '30s', true)", nil, nil, nil, nil)
	_, err := s.conn.ExecBatch(ctx, &b).ReadAll()
	if err != nil {
		s.abandon()
	}
	return err
}

// abandon ends a transaction whatever state it is in. Without a connection the server
// does it by itself.
func (s *Store) abandon() {
	if s.conn == nil || s.conn.IsClosed() {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endTime)
	defer cancel()
	if _, err := s.conn.Exec(ctx, "ROLLBACK").ReadAll(); err != nil {
		_ = s.conn.Close(ctx)
	}
}

// use calls f with the connection, under a ctx that Close ends too.
func (s *Store) use(ctx context.Context, doing string, during phase, f func(context.Context) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s.state.Lock()
	closed := s.closed
	s.stop = stop
	s.state.Unlock()
	if closed {
		return errClosed
	}
	if err := f(ctx); err != nil {
		return fault(ctx, doing, during, err)
	}
	return nil
}

// Close ends what is running, and with the connection its transaction. It may be called
// at any time.
func (s *Store) Close() error {
	s.state.Lock()
	s.closed = true
	if s.stop != nil {
		s.stop()
	}
	s.state.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conn != nil {
		ctx, cancel := context.WithTimeout(context.Background(), endTime)
		defer cancel()
		_ = s.conn.Close(ctx)
		s.conn = nil
	}
	return nil
}
