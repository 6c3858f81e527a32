package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// threeBatches is a destination with one unfinished file of three members of one event.
func threeBatches(t *testing.T, m *memory, c archive.Compression) (d *archive.Destination, part string, ends []int64) {
	t.Helper()
	d = open(t, &archive.Destination{Bucket: m, Dir: t.TempDir(), Compression: c})
	for i := range 3 {
		require.NoError(t, deliver(t, d, uint64(i), track(fmt.Sprint("m-", i), "u")))
		parts, err := filepath.Glob(filepath.Join(d.Dir, "*.part"))
		require.NoError(t, err)
		require.Len(t, parts, 1)
		info, err := os.Stat(parts[0])
		require.NoError(t, err)
		part, ends = parts[0], append(ends, info.Size())
	}
	return d, part, ends
}

// flip changes a bit of a file.
func flip(t *testing.T, name string, at int64) {
	t.Helper()
	raw, err := os.ReadFile(name)
	require.NoError(t, err)
	raw[at] ^= 8
	require.NoError(t, os.WriteFile(name, raw, 0o600))
}

// What stands in front of the damage is finished, though the process has not written to
// that part of the disk again.
func TestDamageOfALivingPart(t *testing.T) {
	for _, c := range []archive.Compression{archive.Gzip, archive.Zstd} {
		for member := range int64(3) {
			m := newMemory()
			d, part, ends := threeBatches(t, m, c)
			flip(t, part, ends[member]-3) // in a checksum
			require.ErrorContains(t, d.Rotate(t.Context()), fmt.Sprintf("%d of its 3 events are lost", 3-member))
			require.NoError(t, d.Rotate(t.Context()))
			requireSound(t, m, int(member))
			a, err := archive.Open(m, "")
			require.NoError(t, err)
			report, err := a.Verify(t.Context(), nil)
			require.NoError(t, err)
			require.Equal(t, member > 0, report.Lost == 3-member)
			require.FileExists(t, part+".damaged")
			require.NoFileExists(t, part)
		}
	}
}

// Bits that say nothing about the events, such as the time in a gzip header, cost none.
func TestHarmlessDamage(t *testing.T) {
	m := newMemory()
	d, part, _ := threeBatches(t, m, archive.Gzip)
	flip(t, part, 4)
	require.NoError(t, d.Rotate(t.Context()))
	requireSound(t, m, 3)
	left, err := filepath.Glob(filepath.Join(d.Dir, "p-*"))
	require.NoError(t, err)
	require.Empty(t, left)
}

// A file that a try before has put is better than what is left on the disk, and worse than
// what is sound there.
func TestFilesWithoutManifest(t *testing.T) {
	m := newMemory()
	d, part, _ := threeBatches(t, m, archive.Gzip)
	raw, err := os.ReadFile(part)
	require.NoError(t, err)
	m.onPut = func(string) { m.down = errDown } // before the manifest
	require.ErrorIs(t, d.Rotate(t.Context()), errDown)
	m.onPut = nil
	m.setDown(nil)
	keys := m.keys()
	require.Len(t, keys, 1)
	require.Equal(t, raw, m.files[keys[0]])

	flip(t, part, 30)
	require.NoError(t, d.Rotate(t.Context()))
	requireSound(t, m, 3)

	for _, there := range [][]byte{[]byte("x"), bytes.Repeat([]byte("x"), len(raw))} {
		m = newMemory()
		d, _, _ = threeBatches(t, m, archive.Gzip)
		m.files[keys[0]] = there
		require.NoError(t, d.Rotate(t.Context()))
		requireSound(t, m, 3)
	}
}

// Nothing that was kept is written over, whatever its name.
func TestDamagedPartsThatWereKept(t *testing.T) {
	d, part, ends := threeBatches(t, newMemory(), archive.Zstd)
	dir := copied(t, d.Dir)
	part = filepath.Join(dir, filepath.Base(part))
	flip(t, part, ends[1]-3)
	older := []string{part + ".damaged", filepath.Join(dir, "p-7.part.damaged")}
	for _, name := range older {
		require.NoError(t, os.WriteFile(name, []byte("kept"), 0o600))
	}

	m := newMemory()
	d = open(t, &archive.Destination{Bucket: m, Dir: dir})
	require.ErrorContains(t, d.Rotate(t.Context()), "2 of its 3 events are lost")
	requireSound(t, m, 1)
	for i := range 10 {
		require.NoError(t, deliver(t, d, uint64(3+i), track(fmt.Sprint("n-", i), "u")))
		parts, err := filepath.Glob(filepath.Join(dir, "*.part"))
		require.NoError(t, err)
		require.Len(t, parts, 1)
		require.NoError(t, os.Truncate(parts[0], 0))
		require.Error(t, d.Rotate(t.Context()))
	}
	for _, name := range older {
		raw, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, "kept", string(raw))
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*.damaged"))
	require.NoError(t, err)
	require.Len(t, kept, 13)
}

// A note for each of many files would be most of the work.
func TestNotesOfManyFinishedFiles(t *testing.T) {
	n := 0
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir(), SourceOf: func([]byte) string { n++; return fmt.Sprint("s-", n) }})
	var raws []string
	for i := range 300 {
		raws = append(raws, track(fmt.Sprint("m-", i), "u"))
	}
	require.NoError(t, deliver(t, d, 0, raws...))
	before := turn(t, d.Dir)
	require.NoError(t, d.Rotate(t.Context()))
	require.Less(t, turn(t, d.Dir)-before, 10)
	requireSound(t, m, 300)
}

// turn is how many notes were written to a folder.
func turn(t *testing.T, dir string) (newest int) {
	t.Helper()
	for _, name := range []string{"note-0", "note-1"} {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		var version, n int
		_, err = fmt.Sscanf(string(raw), "analytics archive note %d %d", &version, &n)
		require.NoError(t, err)
		newest = max(newest, n)
	}
	return newest
}

// A disk that cannot be read for a moment is not a damaged one: nothing is given up for it.
func TestSalvageFromADiskThatFails(t *testing.T) {
	for _, c := range []archive.Compression{archive.Gzip, archive.Zstd} {
		for n := 0; ; n++ {
			fs, m := faultfs.New(1), newMemory()
			d := &archive.Destination{Bucket: m, Dir: "/parts", Compression: c}
			d.UseFS(fs)
			require.NoError(t, d.Open(analytics.Env{}))
			for i := range 3 {
				require.NoError(t, deliver(t, d, uint64(i), track(fmt.Sprint("m-", i), "u")))
			}
			require.NoError(t, fs.Corrupt("/parts/p-1.part", func(raw []byte) []byte {
				raw[len(raw)-3] ^= 8
				return raw
			}))
			reads := 0
			fs.Inject(func(op faultfs.Op) error {
				if op.Kind != faultfs.Read || !strings.Contains(op.Name, ".part") {
					return nil
				}
				if reads++; reads == n+1 {
					return syscall.EIO
				}
				return nil
			})
			err := d.Rotate(t.Context())
			if reads > n {
				require.ErrorIs(t, err, syscall.EIO)
				err = errors.Join(err, d.Rotate(t.Context()))
			}
			require.ErrorContains(t, err, "1 of its 3 events are lost")
			require.NoError(t, d.Close(t.Context()))
			requireSound(t, m, 2)
			if reads <= n {
				require.Greater(t, n, 5)
				break
			}
		}
	}
}
