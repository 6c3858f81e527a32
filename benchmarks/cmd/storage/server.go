package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

const postgresEnv = "ANALYTICS_POSTGRES"

// server is a PostgreSQL server, with a role that may create databases.
type server struct {
	url     string
	version string
	role    string // made for this run; empty: it was there
}

// findServer takes the server of a URL, or that of the environment, or makes a role on
// that of this machine, which needs root and peer authentication of the user postgres.
// It returns nil if there is none.
func findServer(ctx context.Context, address string) (*server, error) {
	if address == "" {
		address = os.Getenv(postgresEnv)
	}
	s := &server{url: address}
	if address == "" {
		role, password := "analytics_"+suffix(), rand.Text()
		if os.Geteuid() != 0 || psql(ctx, `CREATE ROLE `+role+` LOGIN CREATEDB PASSWORD '`+password+`'`) != nil {
			return nil, nil
		}
		s.role = role
		s.url = "postgres://" + role + ":" + password + "@127.0.0.1:5432/postgres?sslmode=prefer"
	}
	err := s.with(ctx, s.url, func(c *pgx.Conn) error { return c.QueryRow(ctx, "SHOW server_version").Scan(&s.version) })
	if err != nil {
		return nil, errors.Join(errors.New("the PostgreSQL server cannot be used"), s.drop())
	}
	return s, nil
}

// drop removes the role.
func (s *server) drop() error {
	if s.role == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return psql(ctx, "DROP ROLE "+s.role)
}

func (s *server) describe() string {
	if s == nil {
		return "none: its measurements are left out"
	}
	return s.version
}

// database has a new database as long as do runs.
func (s *server) database(ctx context.Context, do func(url string) error) error {
	name := "analytics_" + suffix()
	u, err := url.Parse(s.url)
	if err != nil {
		return errors.New("the address of the PostgreSQL server is no URL")
	}
	if err := s.exec(ctx, "CREATE DATABASE "+name); err != nil {
		return err
	}
	u.Path = "/" + name
	err = do(u.String())
	end, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(err, s.exec(end, "DROP DATABASE "+name+" WITH (FORCE)"))
}

func (s *server) exec(ctx context.Context, sql string) error {
	return s.with(ctx, s.url, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql)
		return err
	})
}

func (s *server) with(ctx context.Context, url string, do func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return errors.Join(do(c), c.Close(context.Background()))
}

func psql(ctx context.Context, sql string) error {
	cmd := exec.CommandContext(ctx, "su", "postgres", "-c", "psql -qX -v ON_ERROR_STOP=1")
	cmd.Dir, cmd.Stdin = "/", strings.NewReader(sql)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("psql: %w: %s", err, out)
	}
	return nil
}

func suffix() string { return strings.ToLower(rand.Text()[:12]) }
