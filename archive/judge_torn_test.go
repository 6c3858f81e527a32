package archive_test

import (
	"io/fs"
	"os"
	"path/filepath"
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
