package file_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/file"
)

// writer counts the writes that it gets, and fails those for which there is an error.
type writer struct {
	strings.Builder
	writes int
	fail   func(p []byte) (n int, err error) // nil: takes everything
	closed bool
}

func (w *writer) Write(p []byte) (int, error) {
	w.writes++
	if w.fail != nil {
		n, err := w.fail(p)
		_, _ = w.Builder.Write(p[:n])
		return n, err
	}
	return w.Builder.Write(p)
}

func (w *writer) Close() error {
	w.closed = true
	return nil
}

func (w *writer) ids(t *testing.T) []string {
	t.Helper()
	list, err := idsIn(strings.Split(strings.TrimSuffix(w.String(), "\n"), "\n"))
	require.NoError(t, err)
	return list
}

func TestWriter(t *testing.T) {
	w := &writer{}
	d := open(t, &file.Destination{Writer: w})
	write(t, d, event(t, "m-1", 0), event(t, "m-2", 30_000), event(t, "m-3", 0))
	require.Equal(t, 1, w.writes, "a batch is one write")
	write(t, d, event(t, "m-4", 0))
	require.Equal(t, 2, w.writes)
	require.Equal(t, []string{"m-1", "m-2", "m-3", "m-4"}, w.ids(t))
	require.True(t, strings.HasSuffix(w.String(), "\n"))
	require.NoError(t, d.Close(t.Context()))
	require.False(t, w.closed, "a writer belongs to the program, as os.Stdout does")
}

func TestAWriterIsNotRotated(t *testing.T) {
	w := &writer{}
	d := open(t, &file.Destination{Writer: w, MaxBytes: 100, MaxAge: 1, MaxFiles: 1, Gzip: true, Sync: true})
	for _, id := range []string{"m-1", "m-2", "m-3"} {
		write(t, d, event(t, id, 200))
	}
	require.Equal(t, []string{"m-1", "m-2", "m-3"}, w.ids(t))
}

func TestFailedWritesAreTriedAgain(t *testing.T) {
	for name, fail := range map[string]func(p []byte) (int, error){
		"a full disk":                     func([]byte) (int, error) { return 0, syscall.ENOSPC },
		"a quota":                         func([]byte) (int, error) { return 0, syscall.EDQUOT },
		"a permission that is missing":    func([]byte) (int, error) { return 0, os.ErrPermission },
		"a disk with faults":              func([]byte) (int, error) { return 0, syscall.EIO },
		"a pipe that is closed":           func([]byte) (int, error) { return 0, io.ErrClosedPipe },
		"a write that ended half way":     func(p []byte) (int, error) { return len(p) / 2, syscall.ENOSPC },
		"a short write without an error":  func(p []byte) (int, error) { return len(p) / 2, nil },
		"a write that took all but fails": func(p []byte) (int, error) { return len(p), errors.New("late") },
	} {
		t.Run(name, func(t *testing.T) {
			w := &writer{}
			d := open(t, &file.Destination{Writer: w})
			write(t, d, event(t, "m-0", 0))
			w.fail = fail
			b := desttest.Batches(t, d, desttest.Translate(t, d, event(t, "m-1", 0), event(t, "m-2", 0), event(t, "m-3", 0)))[0]
			results := desttest.DeliverBatch(t, d, b)
			require.True(t, results.All(again), "%v", results.Words())
			require.NotContains(t, results[0].Err.Error(), "Song Played")
			w.fail = nil
			require.True(t, desttest.DeliverBatch(t, d, b).All(delivered))
			// Half a line cannot be taken back here, but the next one is whole.
			var whole []string
			for line := range strings.Lines(w.String()) {
				if list, err := idsIn([]string{strings.TrimSuffix(line, "\n")}); err == nil {
					whole = append(whole, list...)
				}
			}
			require.GreaterOrEqual(t, len(whole), 4)
			require.Equal(t, []string{"m-1", "m-2", "m-3"}, whole[len(whole)-3:])
		})
	}
}

// A directory that goes away while the program runs, as one on a mount does.
func TestALostDirectoryLosesNothingThatIsNotThere(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "mount")
	require.NoError(t, os.Mkdir(dir, 0o700))
	path := filepath.Join(dir, "events.ndjson")
	d := open(t, &file.Destination{Path: path, MaxBytes: 300})
	write(t, d, event(t, "m-0", 400))
	require.NoError(t, os.RemoveAll(dir))
	b := desttest.Batches(t, d, desttest.Translate(t, d, event(t, "m-1", 0), event(t, "m-2", 0), event(t, "m-3", 0)))[0]
	if results := desttest.DeliverBatch(t, d, b); !results.All(delivered) {
		require.True(t, results.All(again), "%v", results.Words())
		require.NoError(t, os.MkdirAll(dir, 0o700))
		require.True(t, desttest.DeliverBatch(t, d, b).All(delivered))
	}
	got, err := stored(dir, "events.ndjson")
	require.NoError(t, err)
	require.Equal(t, []string{"m-1", "m-2", "m-3"}, got)
}
