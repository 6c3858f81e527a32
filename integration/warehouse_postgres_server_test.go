package integration

import (
	"context"
	"crypto/rand"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// postgresURL is that of a server and a role that may create databases: what
// ANALYTICS_POSTGRES says, or a role of its own on the server of this machine, which goes
// with the test. That needs root and peer authentication of the user postgres.
func postgresURL(t *testing.T) string {
	t.Helper()
	wanted(t)
	if u := os.Getenv("ANALYTICS_POSTGRES"); u != "" {
		return u
	}
	name, password := "analytics_"+postgresSuffix(), rand.Text()
	psql(t, `CREATE ROLE `+name+` LOGIN CREATEDB PASSWORD '`+password+`'`)
	t.Cleanup(func() { psql(t, `DROP ROLE `+name) })
	return "postgres://" + name + ":" + password + "@127.0.0.1:5432/postgres?sslmode=prefer"
}

// postgresDatabase makes a database on the server, and drops it with the test, whoever is
// connected. It returns its URL.
func postgresDatabase(t *testing.T, server string) string {
	t.Helper()
	name := "analytics_" + postgresSuffix()
	postgresExec(t, server, `CREATE DATABASE `+name)
	t.Cleanup(func() { postgresExec(t, server, `DROP DATABASE `+name+` WITH (FORCE)`) })
	u, err := url.Parse(server)
	require.NoError(t, err)
	u.Path = "/" + name
	return u.String()
}

// postgresExec executes statements and returns the first field of the last result.
func postgresExec(t *testing.T, url, sql string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	conn, err := pgconn.Connect(ctx, url)
	require.NoError(t, err)
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, sql).ReadAll()
	require.NoError(t, err)
	if last := results[len(results)-1]; len(last.Rows) > 0 {
		return string(last.Rows[0][0])
	}
	return ""
}

func psql(t *testing.T, sql string) {
	t.Helper()
	cmd := exec.Command("su", "postgres", "-c", "psql -qX -v ON_ERROR_STOP=1")
	cmd.Dir, cmd.Stdin = "/", strings.NewReader(sql)
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

func postgresSuffix() string { return strings.ToLower(rand.Text()[:12]) }
