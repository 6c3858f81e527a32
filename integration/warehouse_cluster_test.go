package integration

import (
	"crypto/rand"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// postgresCluster is a server of the test's own, which can be stopped. It runs as the user
// postgres, on a free port of the loopback interface, with the settings that a server has
// that nobody has tuned.
type postgresCluster struct {
	t        *testing.T
	programs string // folder
	dir      string
	port     int
	password string
}

// newPostgresCluster makes a server and starts it.
func newPostgresCluster(t *testing.T) *postgresCluster {
	t.Helper()
	wanted(t)
	c := &postgresCluster{t: t, programs: postgresPrograms(t), port: freePort(t), password: rand.Text()}
	owner, err := user.Lookup("postgres")
	require.NoError(t, err)
	uid, err := strconv.Atoi(owner.Uid)
	require.NoError(t, err)
	gid, err := strconv.Atoi(owner.Gid)
	require.NoError(t, err)
	dir, err := os.MkdirTemp("", "analytics-postgres-") // a folder of the test is for its user only
	require.NoError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	c.dir = filepath.Join(dir, "data")
	require.NoError(t, os.WriteFile(filepath.Join(dir, "password"), []byte(c.password), 0o600))
	for _, name := range []string{dir, filepath.Join(dir, "password")} {
		require.NoError(t, os.Chown(name, uid, gid))
	}
	c.run("initdb", "--auth=scram-sha-256", "--username=postgres", "--pwfile="+filepath.Join(dir, "password"),
		"--encoding=UTF8", "--locale=C", "--no-sync", "--pgdata="+c.dir)
	c.start()
	t.Cleanup(func() { _, _ = c.command("pg_ctl", "stop", "--mode=immediate", "--pgdata="+c.dir).CombinedOutput() })
	return c
}

// postgresPrograms is the folder of the newest server on this machine.
func postgresPrograms(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	require.NoError(t, err)
	require.NotEmpty(t, found, "PostgreSQL is not installed")
	return filepath.Dir(slices.MaxFunc(found, func(a, b string) int {
		return len(a) - len(b) + strings.Compare(a, b)
	}))
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *postgresCluster) command(program string, args ...string) *exec.Cmd {
	line := filepath.Join(c.programs, program)
	for _, a := range args {
		line += " '" + a + "'"
	}
	cmd := exec.Command("su", "postgres", "-s", "/bin/sh", "-c", line)
	cmd.Dir = "/"
	return cmd
}

func (c *postgresCluster) run(program string, args ...string) {
	c.t.Helper()
	// The server that pg_ctl starts would keep a pipe open.
	out, err := os.CreateTemp(c.t.TempDir(), "output")
	require.NoError(c.t, err)
	defer out.Close()
	cmd := c.command(program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(out.Name())
		require.NoError(c.t, err, "%s: %s", program, said)
	}
}

func (c *postgresCluster) start() {
	c.t.Helper()
	c.run("pg_ctl", "start", "--wait", "--pgdata="+c.dir, "--log="+filepath.Join(filepath.Dir(c.dir), "log"),
		fmt.Sprintf(`--options=-p %d -c listen_addresses=127.0.0.1 -c unix_socket_directories=%s`, c.port, filepath.Dir(c.dir)))
}

// restart kills all processes of the server, without a checkpoint, and starts it again.
func (c *postgresCluster) restart() {
	c.t.Helper()
	c.run("pg_ctl", "restart", "--wait", "--mode=immediate", "--pgdata="+c.dir, "--log="+filepath.Join(filepath.Dir(c.dir), "log"))
}

func (c *postgresCluster) stop() {
	c.t.Helper()
	c.run("pg_ctl", "stop", "--wait", "--mode=immediate", "--pgdata="+c.dir)
}

// url is that of the database postgres.
func (c *postgresCluster) url() string {
	return fmt.Sprintf("postgres://postgres:%s@127.0.0.1:%d/postgres?sslmode=disable", c.password, c.port)
}
