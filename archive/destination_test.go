package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// track is an event of a user.
func track(id, user string) string {
	return fmt.Sprintf(`{"type":"track","messageId":%q,"timestamp":"2026-11-23T11:59:00.000Z","userId":%q,"event":"E"}`, id, user)
}

func TestOpenNamesEachFault(t *testing.T) {
	err := (&archive.Destination{
		Layout: "flat", Compression: "lz4", Prefix: "a/../b", Every: -1, MaxBytes: -1, MaxAge: -1,
	}).Open(analytics.Env{})
	for _, field := range []string{"Bucket: is required", "Layout", "Compression", "Prefix", "Every", "MaxBytes", "MaxAge"} {
		require.ErrorContains(t, err, field)
	}
	require.ErrorContains(t, (&archive.Destination{Bucket: newMemory()}).Open(analytics.Env{}), "Dir: is required")
	require.ErrorContains(t, (&archive.Destination{Bucket: &archive.Folder{}}).Open(analytics.Env{}), "Bucket: is a Folder without Path")
	var folder *archive.Folder
	require.ErrorContains(t, (&archive.Destination{Bucket: folder}).Open(analytics.Env{}), "Bucket: is a Folder without Path")
}

// A destination that is open already is not disturbed by a second Open.
func TestOpenTwice(t *testing.T) {
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir()})
	require.NoError(t, deliver(t, d, 0, track("m-0", "u")))
	require.ErrorContains(t, d.Open(analytics.Env{}), "another destination works there")
	require.NoError(t, deliver(t, d, 1, track("m-1", "u")))
	require.NoError(t, d.Close(t.Context()))
	require.NoError(t, d.Close(t.Context()))
	require.ErrorContains(t, deliver(t, d, 2, track("m-2", "u")), "not open")
	require.ErrorContains(t, d.Rotate(t.Context()), "not open")
	require.Len(t, eventsIn(t, m, archive.Query{}), 2)

	require.NoError(t, d.Open(analytics.Env{}), "and it can be opened again")
	require.NoError(t, deliver(t, d, 2, track("m-2", "u")))
	require.NoError(t, d.Close(t.Context()))
	requireSound(t, m, 3)
}

// left is a folder of parts of a process that died with two events in a part.
func left(t *testing.T, bucket archive.Bucket) string {
	t.Helper()
	dir, dead := t.TempDir(), t.TempDir()
	d := open(t, &archive.Destination{Bucket: bucket, Dir: dir})
	require.NoError(t, deliver(t, d, 0, track("m-0", "u"), track("m-1", "v")))
	require.NoError(t, os.CopyFS(dead, os.DirFS(dir)))
	require.NoError(t, os.Remove(filepath.Join(dead, "lock")))
	return dead
}

func TestPartsAreTakenUp(t *testing.T) {
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: left(t, newMemory())})
	next, ok, err := d.Position(t.Context(), analytics.LogID{7})
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 2, next)
	require.NoError(t, deliver(t, d, 1, track("m-1", "v"), track("m-2", "w")), "cut otherwise than before")
	require.NoError(t, d.Close(t.Context()))
	requireSound(t, m, 3)
	require.Len(t, m.keys(), 2, "one file, one manifest")
	require.Len(t, eventsIn(t, m, archive.Query{UserIDs: []string{"u"}}), 1, "ids of the dead process are in the filter")
}

func TestFoldersOfPartsThatAreDamaged(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(dir string) error
		want   string
	}{
		"no note": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, "note-0")), os.Remove(filepath.Join(dir, "note-1")))
		}, "no note"},
		"both notes": {func(dir string) error {
			return errors.Join(os.WriteFile(filepath.Join(dir, "note-0"), []byte("x"), 0o600), os.Truncate(filepath.Join(dir, "note-1"), 50))
		}, "damaged"},
		"a newer version": {func(dir string) error {
			newest := filepath.Join(dir, "note-1")
			raw, err := os.ReadFile(newest)
			return errors.Join(err, os.WriteFile(newest, bytes.Replace(raw, []byte("note 1 "), []byte("note 2 "), 1), 0o600))
		}, "version 2"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := left(t, newMemory())
			require.NoError(t, c.damage(dir))
			err := (&archive.Destination{Bucket: newMemory(), Dir: dir}).Open(analytics.Env{})
			require.ErrorContains(t, err, c.want)
			require.ErrorContains(t, err, "Dir: cannot be used")
			parts, _ := filepath.Glob(filepath.Join(dir, "*.part"))
			require.Len(t, parts, 1, "nothing is thrown away")
		})
	}
}

// A part that cannot be read holds up nothing, and is kept for people.
func TestPartsThatAreDamaged(t *testing.T) {
	for name, damage := range map[string]func(part string) error{
		"shorter": func(part string) error { return os.Truncate(part, 40) },
		"changed": func(part string) error { return os.WriteFile(part, make([]byte, 4000), 0o600) },
		"missing": os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			m, dir := newMemory(), left(t, newMemory())
			parts, _ := filepath.Glob(filepath.Join(dir, "*.part"))
			require.NoError(t, damage(parts[0]))
			var log bytes.Buffer
			d := &archive.Destination{Bucket: m, Dir: dir, Source: "other"}
			require.NoError(t, d.Open(analytics.Env{Logger: slog.New(slog.NewTextHandler(&log, nil))}))
			require.NoError(t, deliver(t, d, 2, track("m-2", "u")), "the others go on")
			err := d.Rotate(t.Context())
			require.ErrorContains(t, err, "damaged")
			require.ErrorContains(t, err, "2 of its 2 events are lost")
			require.NoError(t, d.Rotate(t.Context()), "it is said once")
			require.NoError(t, d.Close(t.Context()))
			requireSound(t, m, 1)
			require.Contains(t, log.String(), "a damaged unfinished file")
			require.Contains(t, log.String(), "events=2")
			kept, _ := filepath.Glob(filepath.Join(dir, "*.damaged"))
			require.Equal(t, name == "missing", len(kept) == 0)
			d = open(t, &archive.Destination{Bucket: m, Dir: dir, Source: "other"})
			erased, err := d.Forget(t.Context(), archive.Identity{UserID: "somebody"})
			require.NoError(t, err)
			require.Equal(t, len(kept), erased.Parts, "nobody has looked into them")
		})
	}
}

// While the bucket takes nothing, parts pile up to a bound; then events wait in the log.
func TestABucketThatIsDown(t *testing.T) {
	m := newMemory()
	m.setDown(errDown)
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir(), MaxBytes: 200})
	var err error
	n := uint64(0)
	for ; err == nil; n++ {
		require.Less(t, n, uint64(100), "there is no bound")
		err = deliver(t, d, n, track(fmt.Sprint("m-", n), "u"))
	}
	require.ErrorIs(t, err, errDown)
	m.setDown(nil)
	require.NoError(t, deliver(t, d, n-1, track(fmt.Sprint("m-", n-1), "u")))
	require.NoError(t, d.Close(t.Context()))
	requireSound(t, m, int(n))
}

func TestCloseSaysWhatStays(t *testing.T) {
	m, dir := newMemory(), t.TempDir()
	d := open(t, &archive.Destination{Bucket: m, Dir: dir})
	require.NoError(t, deliver(t, d, 0, track("m-0", "u")))
	m.setDown(errDown)
	err := d.Close(t.Context())
	require.ErrorIs(t, err, errDown)
	require.ErrorContains(t, err, "1 unfinished files stay in Dir")
	m.setDown(nil)
	d = open(t, &archive.Destination{Bucket: m, Dir: dir, Prefix: "moved", Compression: archive.Zstd})
	require.NoError(t, d.Close(t.Context()))
	requireSound(t, m, 1) // where it was begun, whatever the settings are now
}

// Many sources at once are bounded by memory, not by a number of files.
func TestManySources(t *testing.T) {
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir(), SourceOf: func(event []byte) string {
		return string(event[bytes.Index(event, []byte("m-")):][:4])
	}})
	var raws []string
	for i := range 300 {
		raws = append(raws, track(fmt.Sprintf("m-%02d-%d", i%50, i), "u"))
	}
	require.NoError(t, deliver(t, d, 0, raws...))
	require.NoError(t, d.Close(t.Context()))
	requireSound(t, m, 300)
	require.Len(t, m.keys(), 100)
	require.Len(t, eventsIn(t, m, archive.Query{Sources: []string{"m-07"}}), 6)
}

func TestSettingsArePrintedWithoutTheBucket(t *testing.T) {
	d := &archive.Destination{Bucket: &archive.Folder{Path: "secret-bucket"}, Dir: "parts", Source: "web"}
	for _, s := range []string{fmt.Sprintf("%v %+v %s", d, d, d), fmt.Sprint(d.LogValue())} {
		require.NotContains(t, s, "secret-bucket")
		require.True(t, strings.Contains(s, "parts") && strings.Contains(s, "web"), s)
	}
}

// Forget of a destination reaches what is not finished.
func TestForgetOfADestination(t *testing.T) {
	dir := t.TempDir()
	folder := &archive.Folder{Path: dir}
	d := open(t, &archive.Destination{Bucket: folder})
	require.NoError(t, deliver(t, d, 0, track("m-0", "u"), track("m-1", "gone"), track("m-2", "u")))
	a, err := archive.Open(folder, "")
	require.NoError(t, err)
	report, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.Equal(t, 1, report.Parts, "somebody has to know")
	require.Zero(t, report.Events)

	report, err = d.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.Zero(t, report.Parts)
	require.EqualValues(t, 1, report.Events)
	require.Len(t, report.Files, 1)
	requireSound(t, folder, 2)

	require.NoError(t, deliver(t, d, 3, track("m-3", "u")))
	require.NoError(t, d.Close(t.Context()))
	requireSound(t, folder, 3)
	for f, err := range a.Files(t.Context(), archive.Query{UserIDs: []string{"gone"}}) {
		require.NoError(t, err)
		require.Fail(t, "the filter still has the id", f.Key)
	}
	_, err = d.Forget(t.Context(), archive.Identity{})
	require.ErrorContains(t, err, "not open")
	_, err = a.Forget(t.Context(), archive.Identity{UserID: "u"}, archive.Identity{})
	require.ErrorContains(t, err, "who[1]")
}

// A damaged unfinished file beside a folder is named by Verify, and counted by Forget.
func TestDamagedPartsOfAFolder(t *testing.T) {
	dir := t.TempDir()
	folder := &archive.Folder{Path: dir}
	d := open(t, &archive.Destination{Bucket: folder})
	require.NoError(t, deliver(t, d, 0, track("m-0", "u")))
	parts, _ := filepath.Glob(filepath.Join(dir, "_parts", "*.part"))
	require.Len(t, parts, 1)
	require.NoError(t, os.Truncate(parts[0], 20))
	require.ErrorContains(t, d.Rotate(t.Context()), "damaged")
	a, err := archive.Open(folder, "")
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.Zero(t, report.Parts)
	require.Equal(t, []archive.Fault{{Key: "_parts/" + filepath.Base(parts[0]) + ".damaged", Problem: "it was damaged before it was finished, and put aside"}}, report.Faults)
	erased, err := d.Forget(t.Context(), archive.Identity{UserID: "u"})
	require.NoError(t, err)
	require.Equal(t, 1, erased.Parts)
}
