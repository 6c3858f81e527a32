package archive_test

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// sizes tells how large each file of a folder is.
func sizes(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	found := map[string]int64{}
	require.NoError(t, filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		name, _ := filepath.Rel(dir, path)
		found[name] = info.Size()
		return err
	}))
	return found
}

// A batch that was being written when the process died, at any byte: it was not promised,
// so the client sends it again, and each event is there once.
func TestJudgeTornTails(t *testing.T) {
	f := newFeed('t', 30, night.Add(-time.Hour), time.Millisecond)
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		dir := quickDir(t)
		d := opened(t, &archive.Destination{Bucket: newShelf(), Dir: dir, Compression: compression})
		require.NoError(t, f.run(t, d, 10, 20))
		before := copyDir(t, dir)
		require.NoError(t, d.Deliver(t.Context(), f.batch(t, d, 20, 30)))
		behind := copyDir(t, dir)

		torn := 0
		was := sizes(t, before)
		for name, size := range sizes(t, behind) {
			old, there := was[name]
			if !there || size <= old {
				continue // not appended to: written whole, under another name
			}
			whole, err := os.ReadFile(filepath.Join(behind, name))
			require.NoError(t, err)
			for end := old; end <= size; end += max(1, (size-old)/40) {
				torn++
				left := copyDir(t, before)
				require.NoError(t, os.WriteFile(filepath.Join(left, name), whole[:end], 0o600))
				requireGoesOn(t, left, compression, f)

				garbage := copyDir(t, before) // the blocks came, their bytes did not
				require.NoError(t, os.WriteFile(filepath.Join(garbage, name), append(whole[:end:end], make([]byte, size-end)...), 0o600))
				requireGoesOn(t, garbage, compression, f)
			}
		}
		require.Greater(t, torn, 20, "which file grows when a batch comes?")
	}
}

func requireGoesOn(t *testing.T, dir string, compression archive.Compression, f *feed) {
	t.Helper()
	s := newShelf()
	d := &archive.Destination{Bucket: s, Dir: dir, Compression: compression}
	require.NoError(t, d.Open(analytics.Env{}))
	require.NoError(t, f.run(t, d, 4, 30))
	require.NoError(t, d.Close(t.Context()))
	want := f.all()
	for i := range want {
		e := *want[i]
		e.source = "default"
		want[i] = &e
	}
	requireArchived(t, s, shape{compression: compression}, want)
	requireVerified(t, s, "", len(want))
}

// Damage to what has been promised cannot be made good here. It must not be silent: an
// error, or a line of the log and the file kept aside.
func TestJudgeDamagedDirs(t *testing.T) {
	f := newFeed('t', 30, night.Add(-time.Hour), time.Millisecond)
	dir := quickDir(t)
	d := opened(t, &archive.Destination{Bucket: newShelf(), Dir: dir})
	require.NoError(t, f.run(t, d, 10, 20))
	good, tried := copyDir(t, dir), 0
	for name := range sizes(t, good) {
		whole, err := os.ReadFile(filepath.Join(good, name))
		require.NoError(t, err)
		for at := 0; at < len(whole); at += max(1, len(whole)/25) {
			flipped := bytes.Clone(whole)
			flipped[at] ^= 4
			for _, data := range [][]byte{flipped, whole[:at], nil} {
				tried++
				left := copyDir(t, good)
				require.NoError(t, os.WriteFile(filepath.Join(left, name), data, 0o600))
				requireLoud(t, left, f)
			}
		}
	}
	require.Greater(t, tried, 50)
}

func requireLoud(t *testing.T, dir string, f *feed) {
	t.Helper()
	var log strings.Builder
	s := newShelf()
	d := &archive.Destination{Bucket: s, Dir: dir}
	err := d.Open(analytics.Env{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if err == nil {
		err = errors.Join(f.run(t, d, 4, 30), d.Close(t.Context()))
	}
	found := read(t, s, "", archive.Query{}) // none twice
	requireVerified(t, s, "", len(found))
	if err != nil || len(found) == len(f.all()) {
		return
	}
	aside := 0
	for name := range sizes(t, dir) {
		if strings.Contains(name, "damaged") {
			aside++
		}
	}
	require.Positive(t, aside, "%d events are missing", len(f.all())-len(found))
	require.Contains(t, log.String(), "ERROR")
	require.NotContains(t, log.String(), "Step", "content of events")
}
