package file_test

import (
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/file"
)

// inChild runs the test in a process of its own, since a limit of the process also
// meets the files that go test writes. It tells whether this is that process.
func inChild(t *testing.T) bool {
	t.Helper()
	const asked = "ANALYTICS_TEST_LIMITED_FILES"
	if os.Getenv(asked) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), asked+"=1")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "--- PASS: "+t.Name())
	return false
}

// limitFiles bounds the size of the files that this process can write until the
// function is called that it returns: a write beyond it ends half way, as on a disk that
// fills up. The tests of this package run one after the other.
func limitFiles(t *testing.T, size int64) (restore func()) {
	t.Helper()
	signal.Ignore(syscall.SIGXFSZ)
	var before syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before))
	limited := before
	limited.Cur = uint64(size)
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limited))
	return func() {
		require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before))
		signal.Reset(syscall.SIGXFSZ)
	}
}

func TestAWriteThatEndedHalfWayIsTakenBack(t *testing.T) {
	if !inChild(t) {
		return
	}
	for name, sync := range map[string]bool{"plain": false, "with sync": true} {
		t.Run(name, func(t *testing.T) {
			d := open(t, &file.Destination{Path: pathIn(t), Sync: sync})
			write(t, d, event(t, "m-0", 0))
			before, err := os.ReadFile(d.Path)
			require.NoError(t, err)
			b := desttest.Batches(t, d, desttest.Translate(t, d, event(t, "m-1", 100), event(t, "m-2", 100), event(t, "m-3", 100)))[0]

			restore := limitFiles(t, int64(len(before)+len(b.Items[0].Body)+20)) // in the middle of the second line
			results := desttest.DeliverBatch(t, d, b)
			restore()
			require.True(t, results.All(again), "%v", results.Words())
			after, err := os.ReadFile(d.Path)
			require.NoError(t, err)
			require.Equal(t, string(before), string(after))

			require.True(t, desttest.DeliverBatch(t, d, b).All(delivered))
			requireStored(t, d.Path, "m-0", "m-1", "m-2", "m-3")
		})
	}
}

// Compressing needs room as well: where there is none, nothing is lost.
func TestARotationThatFailsLosesNothing(t *testing.T) {
	if !inChild(t) {
		return
	}
	for _, compress := range []bool{false, true} {
		path := pathIn(t)
		d := open(t, &file.Destination{Path: path, MaxBytes: 300, Gzip: compress})
		write(t, d, event(t, "m-0", 400))
		b := desttest.Batches(t, d, desttest.Translate(t, d, event(t, "m-1", 400), event(t, "m-2", 0)))[0]
		restore := limitFiles(t, 10)
		results := desttest.DeliverBatch(t, d, b)
		restore()
		require.True(t, results.All(again), "%v", results.Words())
		require.True(t, desttest.DeliverBatch(t, d, b).All(delivered))
		write(t, d, event(t, "m-3", 400))
		requireStored(t, path, "m-0", "m-1", "m-2", "m-3")
	}
}

// A pipe, a terminal and /dev/stdout are no files that could be moved away.
func TestWhatIsNoRegularFileIsNotRotated(t *testing.T) {
	path := pathIn(t)
	require.NoError(t, syscall.Mkfifo(path, 0o600))
	pipe, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer pipe.Close()
	d := open(t, &file.Destination{Path: path, MaxBytes: 300, MaxAge: time.Nanosecond, MaxFiles: 1})
	for _, id := range []string{"m-0", "m-1", "m-2"} {
		write(t, d, event(t, id, 400))
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
	require.Equal(t, os.ModeNamedPipe, entries[0].Type())
}

func TestCloseLeavesNoFileOpen(t *testing.T) {
	path := pathIn(t)
	d := open(t, &file.Destination{Path: path, MaxBytes: 300, Gzip: true})
	for _, id := range []string{"m-0", "m-1", "m-2"} {
		write(t, d, event(t, id, 400))
	}
	require.NotEmpty(t, openFiles(t, filepath.Dir(path)))
	require.NoError(t, d.Close(t.Context()))
	require.Empty(t, openFiles(t, filepath.Dir(path)))
}

// openFiles lists what this process has open below dir.
func openFiles(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	var open []string
	for _, e := range entries {
		target, err := os.Readlink("/proc/self/fd/" + e.Name())
		if err == nil && filepath.Dir(target) == dir {
			open = append(open, target)
		}
	}
	return open
}
