package file_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/file"
)

const nameTime = "20060102T150405.000Z"

var rotatedName = regexp.MustCompile(`^events-(\d{8}T\d{6}\.\d{3}Z)\.ndjson(\.gz)?$`)

// rotated returns the names of the rotated files beside path, oldest first, and when
// each was rotated.
func rotated(t testing.TB, path string) (names []string, times []time.Time) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	for _, e := range entries {
		if e.Name() == filepath.Base(path) {
			continue
		}
		m := rotatedName.FindStringSubmatch(e.Name())
		require.NotNil(t, m, e.Name())
		at, err := time.Parse(nameTime, m[1])
		require.NoError(t, err)
		names, times = append(names, e.Name()), append(times, at)
	}
	return names, times
}

func ids(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("m-%d", i)
	}
	return list
}

func TestRotationBySize(t *testing.T) {
	for _, compress := range []bool{false, true} {
		t.Run(fmt.Sprintf("Gzip is %v", compress), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				path := pathIn(t)
				d := open(t, &file.Destination{Path: path, MaxBytes: 2000, Gzip: compress})
				start := time.Now()
				for i := range 10 { // batches of more than 1,200 bytes
					time.Sleep(time.Second)
					write(t, d, event(t, fmt.Sprintf("m-%d", 2*i), 500), event(t, fmt.Sprintf("m-%d", 2*i+1), 500))
				}
				names, times := rotated(t, path)
				require.GreaterOrEqual(t, len(names), 4)
				for i, name := range names {
					require.Equal(t, compress, strings.HasSuffix(name, ".gz"))
					require.WithinRange(t, times[i], start, time.Now())
					size := 0
					lines := linesOf(t, filepath.Join(filepath.Dir(path), name))
					for _, line := range lines {
						size += len(line) + 1
					}
					require.Zero(t, len(lines)%2, "a batch lies in two files")
					require.Less(t, size, 2000+1400, "one batch more than MaxBytes at the most")
				}
				requireStored(t, path, ids(20)...)
			})
		})
	}
}

func TestNoRotationBelowTheSize(t *testing.T) {
	for name, most := range map[string]int64{"100 MB by default": 0, "a negative size is none": -1} {
		t.Run(name, func(t *testing.T) {
			path := pathIn(t)
			d := open(t, &file.Destination{Path: path, MaxBytes: most})
			for i := range 20 {
				write(t, d, event(t, fmt.Sprintf("m-%d", i), 30_000))
			}
			names, _ := rotated(t, path)
			require.Empty(t, names)
			requireStored(t, path, ids(20)...)
		})
	}
}

func TestASizeThatWasThereCounts(t *testing.T) {
	path := pathIn(t)
	d := open(t, &file.Destination{Path: path, MaxBytes: 1000})
	write(t, d, event(t, "m-0", 600))
	require.NoError(t, d.Close(t.Context()))
	d = open(t, &file.Destination{Path: path, MaxBytes: 1000})
	write(t, d, event(t, "m-1", 600))
	write(t, d, event(t, "m-2", 10))
	names, _ := rotated(t, path)
	require.NotEmpty(t, names)
	requireStored(t, path, ids(3)...)
}

func TestRotationByAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := pathIn(t)
		d := open(t, &file.Destination{Path: path, MaxAge: time.Hour})
		write(t, d, event(t, "m-0", 0))
		time.Sleep(59 * time.Minute)
		write(t, d, event(t, "m-1", 0))
		names, _ := rotated(t, path)
		require.Empty(t, names)
		time.Sleep(2 * time.Minute)
		write(t, d, event(t, "m-2", 0))
		names, times := rotated(t, path)
		require.Len(t, names, 1)
		require.WithinDuration(t, time.Now(), times[0], 61*time.Minute)
		require.Len(t, linesOf(t, path), 1)
		requireStored(t, path, ids(3)...)

		time.Sleep(59 * time.Minute) // the new file has its own age
		write(t, d, event(t, "m-3", 0))
		names, _ = rotated(t, path)
		require.Len(t, names, 1)
	})
}

func TestNoRotationByAgeUnlessAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := pathIn(t)
		d := open(t, &file.Destination{Path: path})
		write(t, d, event(t, "m-0", 0))
		time.Sleep(10_000 * time.Hour)
		write(t, d, event(t, "m-1", 0))
		names, _ := rotated(t, path)
		require.Empty(t, names)
	})
}

func TestTwoRotationsInOneMillisecondAreTwoFiles(t *testing.T) {
	for _, compress := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { // where no time passes
			path := pathIn(t)
			d := open(t, &file.Destination{Path: path, MaxBytes: 300, Gzip: compress})
			for i := range 6 {
				write(t, d, event(t, fmt.Sprintf("m-%d", i), 400))
			}
			names, _ := rotated(t, path)
			require.GreaterOrEqual(t, len(names), 5)
			requireStored(t, path, ids(6)...)
		})
	}
}

func TestOldFilesGo(t *testing.T) {
	for _, compress := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			path := pathIn(t)
			dir := filepath.Dir(path)
			ending := ".ndjson"
			if compress {
				ending += ".gz"
			}
			earlier := "events-19991231T235900.000Z" + ending // of a run before
			others := []string{"events-notes.ndjson", "events.ndjson.bak", "other-19990101T000000.000Z.ndjson", "events-2.txt"}
			for _, name := range append([]string{earlier}, others...) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte("{}\n"), 0o600))
			}
			d := open(t, &file.Destination{Path: path, MaxBytes: 300, MaxFiles: 2, Gzip: compress})
			for i := range 8 {
				time.Sleep(time.Second)
				write(t, d, event(t, fmt.Sprintf("m-%d", i), 400))
			}
			for _, name := range others {
				require.FileExists(t, filepath.Join(dir, name))
				require.NoError(t, os.Remove(filepath.Join(dir, name)))
			}
			names, _ := rotated(t, path)
			require.Len(t, names, 2)
			require.NotContains(t, names, earlier)
			got, err := stored(dir, filepath.Base(path))
			require.NoError(t, err)
			require.Equal(t, ids(8)[8-len(got):], got, "the newest are kept")
			require.GreaterOrEqual(t, len(got), 2)
		})
	}
}

func TestAllFilesAreKeptByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := pathIn(t)
		d := open(t, &file.Destination{Path: path, MaxBytes: 300})
		for i := range 30 {
			time.Sleep(time.Second)
			write(t, d, event(t, fmt.Sprintf("m-%d", i), 400))
		}
		requireStored(t, path, ids(30)...)
	})
}

// The files of a run before are found by their names, whatever the file is called.
func TestNamesOfRotatedFiles(t *testing.T) {
	for current, want := range map[string]string{
		"events.ndjson": `^events-\d{8}T\d{6}\.\d{3}Z\.ndjson\.gz$`,
		"a.b.log":       `^a\.b-\d{8}T\d{6}\.\d{3}Z\.log\.gz$`,
		"events":        `^events-\d{8}T\d{6}\.\d{3}Z\.gz$`,
		".events":       `^\.events-\d{8}T\d{6}\.\d{3}Z\.gz$`,
	} {
		t.Run(current, func(t *testing.T) {
			dir := t.TempDir()
			d := open(t, &file.Destination{Path: filepath.Join(dir, current), MaxBytes: 300, MaxFiles: 2, Gzip: true})
			for i := range 5 {
				write(t, d, event(t, fmt.Sprintf("m-%d", i), 400))
			}
			entries, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, entries, 3)
			for _, e := range entries {
				require.True(t, e.Name() == current || regexp.MustCompile(want).MatchString(e.Name()), e.Name())
			}
		})
	}
}
