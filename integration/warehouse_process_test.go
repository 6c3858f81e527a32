package integration

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// loaderProcess is a process that loads.
type loaderProcess struct {
	t     *testing.T
	cmd   *exec.Cmd
	stdin io.WriteCloser
	marks chan byte // closed at the end of its output
	last  byte      // of the marks that were read
	log   bytes.Buffer
}

// patience is how long a process may take for anything.
const loaderPatience = 2 * time.Minute

func startLoader(t *testing.T, task loaderTask) *loaderProcess {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	order, err := json.Marshal(task)
	require.NoError(t, err)
	p := &loaderProcess{t: t, cmd: exec.Command(self), marks: make(chan byte, 1<<16)}
	p.cmd.Env = append(os.Environ(), loaderEnv+"="+string(order))
	p.cmd.Stderr = &p.log
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	out, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() { _ = p.cmd.Process.Kill() })
	go func() {
		defer close(p.marks)
		for in := bufio.NewReader(out); ; {
			m, err := in.ReadByte()
			if err != nil {
				return
			}
			p.marks <- m
		}
	}()
	return p
}

// reach reads marks until one has come n times; false: the time is over, or the process.
func (p *loaderProcess) reach(m byte, n int, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for n > 0 {
		select {
		case got, ok := <-p.marks:
			if !ok {
				return false
			}
			if got != markHolding {
				p.last = got
			}
			if got == m {
				n--
			}
		case <-timer.C:
			return false
		}
	}
	return true
}

// release lets a process go on that stands still.
func (p *loaderProcess) release() {
	p.t.Helper()
	_, err := p.stdin.Write([]byte{'\n'})
	require.NoError(p.t, err)
}

// goOn releases the process as often as it stands still, to its end.
func (p *loaderProcess) goOn() {
	p.t.Helper()
	for p.release(); p.reach(markHolding, 1, loaderPatience); {
		p.release()
	}
}

// kill kills the process, and tells at which mark it was.
func (p *loaderProcess) kill() byte {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Kill(), "%s", &p.log)
	require.Error(p.t, p.wait(), "a process that is killed does not end well")
	require.Equal(p.t, -1, p.cmd.ProcessState.ExitCode(), "it ended before it was killed: %s", &p.log)
	return p.last
}

// wait waits for the end of the process, reading what it says.
func (p *loaderProcess) wait() error {
	for m := range p.marks {
		if m != markHolding {
			p.last = m
		}
	}
	return p.cmd.Wait()
}

// done expects that the process ends by itself, and well.
func (p *loaderProcess) done() {
	p.t.Helper()
	timer := time.AfterFunc(loaderPatience, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	require.NoError(p.t, p.wait(), "after %c: %s", p.last, &p.log)
}

// loaderLog is a spool, and what was sent through it.
type loaderLog struct {
	spool, journal string
	next           int // the first number that nobody has tried
}

func newLoaderLog(t *testing.T) *loaderLog {
	dir := t.TempDir()
	return &loaderLog{spool: filepath.Join(dir, "spool"), journal: filepath.Join(dir, "journal")}
}

// sent reads what the processes have noted.
func (l *loaderLog) sent(t *testing.T) sentEvents {
	t.Helper()
	text, err := os.ReadFile(l.journal)
	if os.IsNotExist(err) {
		return sentEvents{}
	}
	require.NoError(t, err)
	sent := sentEvents{}
	for line := range strings.Lines(string(text)) {
		var word string
		var n int
		_, err := fmt.Sscanf(line, "%s %d\n", &word, &n)
		require.NoError(t, err, "%q", line)
		sent[n] = word == "took"
		l.next = max(l.next, n+1)
	}
	return sent
}

// warehouseOf reads the tables of the database that a task loads into.
func warehouseOf(t *testing.T, task loaderTask) map[string]*warehouseTable {
	t.Helper()
	store := task.store()
	ctx, cancel := context.WithTimeout(context.Background(), loaderPatience)
	defer cancel()
	require.NoError(t, store.Open(ctx))
	defer store.Close()
	tables, err := readWarehouse(ctx, store)
	require.NoError(t, err)
	return tables
}

// onEachStore runs a test over a database in each store. The task names the database.
func onEachStore(t *testing.T, test func(t *testing.T, database loaderTask)) {
	wanted(t)
	t.Run("sqlite", func(t *testing.T) {
		test(t, loaderTask{SQLite: filepath.Join(t.TempDir(), "warehouse.db"), Skip: 3})
	})
	t.Run("postgres", func(t *testing.T) {
		test(t, loaderTask{Postgres: postgresDatabase(t, postgresURL(t)), Skip: 3})
	})
}
