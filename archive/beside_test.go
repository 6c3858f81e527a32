package archive_test

import (
	"context"
	"fmt"
	"io"
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

// gate is a bucket of which files are asked for with something happening before.
type gate struct {
	*memory
	before func(key string) error
	reader func(io.ReadCloser) io.ReadCloser // of a file
}

func (g *gate) Get(ctx context.Context, key string) (io.ReadCloser, error) {
	if err := g.before(key); err != nil {
		return nil, err
	}
	r, err := g.memory.Get(ctx, key)
	if err == nil && g.reader != nil && !isManifest(key) {
		r = g.reader(r)
	}
	return r, err
}

// gated is an archive of ten events in a file, the first three of which somebody has who is
// erased between its manifest and it; then comes then.
func gated(t *testing.T, then func() error) (a *archive.Archive, at archive.Checkpoint) {
	t.Helper()
	var raws []string
	for i := range 10 {
		raws = append(raws, track(fmt.Sprint("m-", i), map[bool]string{true: "gone", false: "u"}[i < 3]))
	}
	plain, m := stored(t, raws...)
	for f, err := range plain.Files(t.Context(), archive.Query{}) {
		require.NoError(t, err)
		at = archive.Checkpoint{FirstReceived: f.FirstReceived, Key: f.Key, SHA256: f.SHA256, Line: 4}
	}
	erased := false
	a, err := archive.Open(&gate{memory: m, before: func(key string) error {
		if erased {
			return then()
		}
		if !isManifest(key) {
			erased = true
			_, err := plain.Forget(t.Context(), archive.Identity{UserID: "gone"})
			require.NoError(t, err)
		}
		return nil
	}}, "")
	require.NoError(t, err)
	return a, at
}

func fine() error { return nil }

// A checkpoint counts the lines of a file that has gone since its manifest was read.
func TestResumedReplayBesideForget(t *testing.T) {
	a, at := gated(t, fine)
	var got []string
	_, err := a.Replay(t.Context(), archive.Query{}, taking(&got), archive.ReplayOptions{From: at})
	require.NoError(t, err)
	for i := 4; i < 10; i++ {
		require.Contains(t, got, fmt.Sprint("m-", i))
	}
}

func TestWouldForgetBesideForget(t *testing.T) {
	a, _ := gated(t, fine)
	report, err := a.WouldForget(t.Context(), archive.Identity{UserID: "u"})
	require.NoError(t, err)
	require.EqualValues(t, 7, report.Events)
	require.Equal(t, 1, report.Searched)
}

// Whether a file is damaged is not known while the bucket is out of reach.
func TestBucketThatFailsBesideForget(t *testing.T) {
	a, _ := gated(t, func() error { return errDown })
	var last error
	for _, err := range a.Events(t.Context(), archive.Query{}) {
		last = err
	}
	require.ErrorIs(t, last, errDown)
	require.NotErrorIs(t, last, archive.ErrDamaged)
}

// failsOnce reads nothing the first time.
type failsOnce struct {
	io.ReadCloser
	failed bool
}

func (f *failsOnce) Read(p []byte) (int, error) {
	if !f.failed {
		f.failed = true
		return 0, errDown
	}
	return f.ReadCloser.Read(p)
}

func TestVerifyOverABucketThatFailsOnce(t *testing.T) {
	_, m := stored(t, track("m-0", "u"))
	a, err := archive.Open(&gate{m, func(string) error { return nil }, func(r io.ReadCloser) io.ReadCloser { return &failsOnce{ReadCloser: r} }}, "")
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), nil)
	require.ErrorIs(t, err, errDown)
	require.Empty(t, report.Faults)
}

// A file that is finished while Verify is at work is no stranger.
func TestVerifyBesideAWriter(t *testing.T) {
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir()})
	require.NoError(t, deliver(t, d, 0, track("m-0", "u")))
	require.NoError(t, d.Rotate(t.Context()))
	a, err := archive.Open(m, "")
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), func(archive.Progress) {
		require.NoError(t, deliver(t, d, 1, track("m-1", "u")))
		require.NoError(t, d.Rotate(t.Context()))
	})
	require.NoError(t, err)
	require.Empty(t, report.Faults)
	require.Len(t, m.keys(), 4)
}

// Bytes that say nothing of the events, such as the time in a gzip header, keep nobody in a
// file.
func TestForgetInAFileWithOtherBytes(t *testing.T) {
	a, m := stored(t, track("m-0", "u"), track("m-1", "gone"))
	file := m.below(t, "segment-logs/")[0]
	m.files[file][4] ^= 1
	report, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Events)
	requireSound(t, m, 1)
}

// A file that the disk does not give is damaged like others: it ends nothing.
func TestFilesThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	folder := &archive.Folder{Path: dir}
	d := open(t, &archive.Destination{Bucket: folder})
	for i := range 4 {
		require.NoError(t, deliver(t, d, uint64(i), track(fmt.Sprint("m-", i), "gone")))
		require.NoError(t, d.Rotate(t.Context()))
	}
	names, err := filepath.Glob(filepath.Join(dir, "segment-logs", "default", "*", "*.gz"))
	require.NoError(t, err)
	require.Len(t, names, 4)
	require.NoError(t, os.Remove(names[0]))
	require.NoError(t, os.Mkdir(names[0], 0o700)) // which can be opened and not read

	a, err := archive.Open(folder, "")
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, report.Faults, 1)
	require.EqualValues(t, 3, report.Events)
	var got []string
	done, err := a.Replay(t.Context(), archive.Query{}, taking(&got), archive.ReplayOptions{SkipDamaged: true})
	require.NoError(t, err)
	require.Len(t, done.Faults, 1)
	require.Len(t, got, 3)
	require.EqualValues(t, 1, done.Last.Damaged)
	again, err := a.Replay(t.Context(), archive.Query{}, taking(&got), archive.ReplayOptions{SkipDamaged: true, From: done.Last})
	require.NoError(t, err)
	require.Empty(t, again.Faults)
	require.EqualValues(t, 1, again.Last.Damaged, "by the run before")
	erased, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.ErrorIs(t, err, archive.ErrDamaged)
	require.Len(t, erased.Unread, 1)
	require.EqualValues(t, 3, erased.Events)
}

// onDisk is a destination with an unfinished file of three members on a disk of the test.
func onDisk(t *testing.T, m *memory) (*archive.Destination, *faultfs.FS) {
	t.Helper()
	fs := faultfs.New(1)
	d := &archive.Destination{Bucket: m, Dir: "/parts"}
	d.UseFS(fs)
	require.NoError(t, d.Open(analytics.Env{}))
	for i := range 3 {
		require.NoError(t, deliver(t, d, uint64(i), track(fmt.Sprint("m-", i), "gone")))
	}
	return d, fs
}

const onDiskPart = "/parts/p-1.part"

// A part that the disk does not give waits for better times, and keeps nobody in what is
// finished.
func TestForgetBesideAPartThatCannotBeRead(t *testing.T) {
	m := newMemory()
	d, fs := onDisk(t, m)
	require.NoError(t, d.Rotate(t.Context()))
	require.NoError(t, deliver(t, d, 3, track("n-0", "gone")))
	fs.Inject(func(op faultfs.Op) error {
		if op.Kind == faultfs.Read && strings.HasSuffix(op.Name, ".part") {
			return syscall.EIO
		}
		return nil
	})
	report, err := d.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.ErrorIs(t, err, syscall.EIO)
	require.EqualValues(t, 3, report.Events)
	require.Equal(t, 1, report.Parts)
	fs.Inject(nil)
	report, err = d.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Events)
	require.NoError(t, d.Close(t.Context()))
}

// What is sound stays where it is, so a full disk is no reason to wait.
func TestSalvageOnAFullDisk(t *testing.T) {
	m := newMemory()
	d, fs := onDisk(t, m)
	require.NoError(t, fs.Corrupt(onDiskPart, func(raw []byte) []byte {
		raw[len(raw)-3] ^= 8
		return raw
	}))
	fs.Inject(func(op faultfs.Op) error {
		if (op.Kind == faultfs.Write || op.Kind == faultfs.Create) && !strings.HasPrefix(filepath.Base(op.Name), "note-") {
			return syscall.ENOSPC
		}
		return nil
	})
	require.ErrorContains(t, d.Rotate(t.Context()), "1 of its 3 events are lost")
	requireSound(t, m, 2)
	names, err := fs.ReadDir("/parts")
	require.NoError(t, err)
	require.Equal(t, []string{"lock", "note-0", "note-1", "p-1.part.damaged"}, names)
	require.NoError(t, d.Close(t.Context()))
}

// The file of another destination, which all begin with the same name, has more events.
func TestPartOfAnother(t *testing.T) {
	m := newMemory()
	d, fs := onDisk(t, m)
	other := open(t, &archive.Destination{Bucket: newMemory(), Dir: t.TempDir()})
	require.NoError(t, deliver(t, other, 0, track("a", ""), track("b", ""), track("c", ""), track("d", "")))
	parts, err := filepath.Glob(filepath.Join(other.Dir, "*.part"))
	require.NoError(t, err)
	raw, err := os.ReadFile(parts[0])
	require.NoError(t, err)
	require.NoError(t, deliver(t, d, 3, track(strings.Repeat("x", 500), "u"))) // so that the lengths allow it
	require.NoError(t, fs.Corrupt(onDiskPart, func([]byte) []byte { return append(raw, raw...) }))
	require.ErrorContains(t, d.Rotate(t.Context()), "0 of its 4 events are lost")
	requireSound(t, m, 4)
	require.NoError(t, d.Close(t.Context()))
}
