package main

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/postgres"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

// warehouseAt are the flags of the commands that look into a warehouse.
type warehouseAt struct {
	Store  string `env:"ANALYTICS_WAREHOUSE" required:"" placeholder:"ADDRESS" help:"Database: sqlite:PATH, or postgres://USER@HOST/DATABASE. Give one with a password in the environment, where other users cannot see it."`
	Source string `help:"Source, which is the schema of the tables. Empty means the one that destinations have without a source."`
}

// A database is a store with its name, which has no password.
type database struct {
	store warehouse.Store
	name  string
	file  string // of SQLite
}

const (
	sqliteScheme = "sqlite:"
	addressForms = "sqlite:PATH or postgres://USER@HOST/DATABASE"
)

// databaseAt reads an address, which is never shown: it may have a password.
func databaseAt(address string) (database, error) {
	if path, ok := strings.CutPrefix(address, sqliteScheme); ok && path != "" {
		name, _, _ := strings.Cut(address, "?") // behind which there may be a key
		return database{&sqlite.Store{Path: path}, name, path}, nil
	}
	if strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://") {
		cfg, err := pgconn.ParseConfig(address)
		if err != nil { // its text quotes parts of the address
			return database{}, fmt.Errorf("%w: the address of PostgreSQL cannot be read, or a file that it names", errUsage)
		}
		host := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
		return database{store: &postgres.Store{URL: address}, name: "postgres://" + host + "/" + cfg.Database}, nil
	}
	return database{}, fmt.Errorf("%w: the address of the warehouse is neither %s", errUsage, strings.Replace(addressForms, " or ", " nor ", 1))
}

// isDatabase tells whether databaseAt would understand an address.
func isDatabase(address string) bool {
	return strings.HasPrefix(address, sqliteScheme) || strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

// exists is an error where a command would make the database by looking into it.
func (d *database) exists() error {
	if d.file == "" {
		return nil
	}
	_, err := os.Stat(d.file)
	return err
}

// opened is a warehouse that is ready for use outside of a client.
type opened struct {
	*warehouse.Destination
	database
	source string
}

// open opens the warehouse, which must be there, and bounds what is done with it.
func (w *warehouseAt) open(c *command, timeout time.Duration) (o *opened, ctx context.Context, done func(), err error) {
	db, err := databaseAt(w.Store)
	if err != nil {
		return nil, nil, nil, err
	}
	if err := db.exists(); err != nil {
		return nil, nil, nil, err
	}
	o = &opened{&warehouse.Destination{Store: db.store, Source: w.Source}, db, cmp.Or(w.Source, db.store.Dialect().Schema)}
	if err := o.Open(analytics.Env{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		return nil, nil, nil, fmt.Errorf("%w: %w", errUsage, err)
	}
	ctx, cancel := context.WithTimeoutCause(c.ctx, timeout, fmt.Errorf("not finished within %s", timeout))
	return o, ctx, func() {
		cancel()
		_ = o.Close(context.Background()) // nothing is under way
	}, nil
}

// milliseconds writes a duration for people.
func milliseconds(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
