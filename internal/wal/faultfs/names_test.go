package faultfs_test

import (
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// outcomes returns all that can be left after a power loss, sorted, as describe tells it.
func outcomes(t *testing.T, f *faultfs.FS, describe func(*faultfs.FS) string) []string {
	t.Helper()
	var all []string
	require.True(t, f.EachPowerLoss(1<<12, func(next *faultfs.FS) {
		all = append(all, describe(next))
	}))
	slices.Sort(all)
	return slices.Compact(all)
}

// files tells which files there are and what is in them.
func files(t *testing.T) func(*faultfs.FS) string {
	return func(f *faultfs.FS) string {
		var all []string
		for _, name := range f.Files() {
			data, err := f.ReadFile(name)
			require.NoError(t, err)
			all = append(all, name+"="+string(data))
		}
		return strings.Join(all, " ")
	}
}

func TestNewFileNeedsSyncDir(t *testing.T) {
	f := faultfs.New(1)
	file := open(t, f, "/a")
	write(t, file, 0, "x")
	require.NoError(t, file.Sync())
	assert.Equal(t, []string{"", "/a=x"}, outcomes(t, f, files(t)))
	require.NoError(t, f.SyncDir("/"))
	assert.Equal(t, []string{"/a=x"}, outcomes(t, f, files(t)))
}

func TestNewNameDoesNotBringTheData(t *testing.T) {
	f := faultfs.New(1)
	f.SetGarbage(false)
	write(t, open(t, f, "/a"), 0, "x")
	require.NoError(t, f.SyncDir("/"))
	assert.Equal(t, []string{"/a=", "/a=\x00", "/a=x"}, outcomes(t, f, files(t)))
}

func TestNewDirectoryIsLostWithAllThatIsInIt(t *testing.T) {
	f := faultfs.New(1)
	require.NoError(t, f.MkdirAll("/d/e"))
	put(t, f, "/d/e/a", "x")
	assert.Equal(t, []string{"", "/d/e/a=x"}, outcomes(t, f, files(t)))
	require.NoError(t, f.SyncDir("/"))
	assert.Equal(t, []string{"", "/d/e/a=x"}, outcomes(t, f, files(t)))
	require.NoError(t, f.SyncDir("/d"))
	assert.Equal(t, []string{"/d/e/a=x"}, outcomes(t, f, files(t)))
}

func TestRemovalNeedsSyncDir(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/a", "x")
	require.NoError(t, f.Remove("/a"))
	assert.Empty(t, f.Files())
	assert.Equal(t, []string{"", "/a=x"}, outcomes(t, f, files(t)))
	require.NoError(t, f.SyncDir("/"))
	assert.Equal(t, []string{""}, outcomes(t, f, files(t)))
}

func TestEntriesAreIndependent(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/old", "x")
	require.NoError(t, open(t, f, "/new").Sync())
	require.NoError(t, f.Remove("/old"))
	assert.Equal(t, []string{"", "/new=", "/new= /old=x", "/old=x"}, outcomes(t, f, files(t)))
}

func TestRenameIsOneChange(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/a", "x")
	require.NoError(t, f.Rename("/a", "/b"))
	assert.Equal(t, []string{"/a=x", "/b=x"}, outcomes(t, f, files(t)))
	require.NoError(t, f.Rename("/b", "/c"))
	assert.Equal(t, []string{"/a=x", "/b=x", "/c=x"}, outcomes(t, f, files(t)))
	require.NoError(t, f.SyncDir("/"))
	assert.Equal(t, []string{"/c=x"}, outcomes(t, f, files(t)))
}

func TestRenameReplacesOrDoesNot(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/a", "new")
	put(t, f, "/b", "old")
	require.NoError(t, f.Rename("/a", "/b"))
	assert.Equal(t, []string{"/a=new /b=old", "/b=new"}, outcomes(t, f, files(t)))
}

func TestRenameOfANewFileMayLoseIt(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/b", "old")
	tmp := open(t, f, "/tmp")
	write(t, tmp, 0, "new")
	require.NoError(t, tmp.Sync())
	require.NoError(t, f.Rename("/tmp", "/b"))
	assert.Equal(t, []string{"/b=new", "/b=old", "/b=old /tmp=new"}, outcomes(t, f, files(t)))
	require.NoError(t, f.SyncDir("/"))
	assert.Equal(t, []string{"/b=new"}, outcomes(t, f, files(t)))
}

// A file that was on the disk is never lost by a rename, whatever else is pending.
func TestRenamedFileIsAlwaysThere(t *testing.T) {
	steps := map[string]func(t *testing.T, f *faultfs.FS){
		"its name is taken by a new file": func(t *testing.T, f *faultfs.FS) {
			require.NoError(t, f.Rename("/a", "/b"))
			require.NoError(t, open(t, f, "/a").Sync())
		},
		"its name is taken by another file": func(t *testing.T, f *faultfs.FS) {
			require.NoError(t, f.Rename("/a", "/b"))
			require.NoError(t, open(t, f, "/c").Sync())
			require.NoError(t, f.Rename("/c", "/a"))
		},
		"its name is taken and that is synced": func(t *testing.T, f *faultfs.FS) {
			require.NoError(t, f.MkdirAll("/d"))
			require.NoError(t, f.Rename("/a", "/d/b"))
			require.NoError(t, open(t, f, "/a").Sync())
			require.NoError(t, f.SyncDir("/"))
		},
		"into a new directory": func(t *testing.T, f *faultfs.FS) {
			require.NoError(t, f.MkdirAll("/d/e"))
			require.NoError(t, f.Rename("/a", "/d/e/a"))
			require.NoError(t, f.Rename("/d/e/a", "/d/e/b"))
		},
		"into a new directory that is synced": func(t *testing.T, f *faultfs.FS) {
			require.NoError(t, f.MkdirAll("/d/e"))
			require.NoError(t, f.Rename("/a", "/d/e/a"))
			require.NoError(t, f.SyncDir("/d/e"))
		},
		"out of a directory that is removed": func(t *testing.T, f *faultfs.FS) {
			require.NoError(t, f.MkdirAll("/d"))
			require.NoError(t, f.SyncDir("/"))
			require.NoError(t, f.Rename("/a", "/d/a"))
			require.NoError(t, f.SyncDir("/d"))
			require.NoError(t, f.SyncDir("/"))
			require.NoError(t, f.Rename("/d/a", "/b"))
			require.NoError(t, f.Remove("/d"))
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			f := faultfs.New(1)
			put(t, f, "/a", "precious")
			step(t, f)
			for _, left := range outcomes(t, f, files(t)) {
				assert.Equal(t, 1, strings.Count(left, "=precious"), left)
			}
		})
	}
}

func TestRenameDoesNotBringANewDirectory(t *testing.T) {
	f := faultfs.New(1)
	require.NoError(t, f.MkdirAll("/d"))
	require.NoError(t, open(t, f, "/d/tmp").Sync())
	require.NoError(t, f.Rename("/d/tmp", "/d/a"))
	require.NoError(t, f.SyncDir("/d"))
	assert.Equal(t, []string{"", "/d/a="}, outcomes(t, f, files(t)))
}

func TestRenameBetweenDirectoriesNeedsBoth(t *testing.T) {
	for _, order := range [][]string{{"/d", "/"}, {"/", "/d"}} {
		f := faultfs.New(1)
		require.NoError(t, f.MkdirAll("/d"))
		put(t, f, "/a", "x")
		require.NoError(t, f.Rename("/a", "/d/b"))
		require.NoError(t, f.SyncDir(order[0]))
		assert.Equal(t, []string{"/a=x", "/d/b=x"}, outcomes(t, f, files(t)))
		require.NoError(t, f.SyncDir(order[1]))
		assert.Equal(t, []string{"/d/b=x"}, outcomes(t, f, files(t)))
	}
}

func TestWhatIsSyncedIsNotUndoneByWhatCameBefore(t *testing.T) {
	f := faultfs.New(1)
	require.NoError(t, f.MkdirAll("/d"))
	put(t, f, "/a", "x")
	require.NoError(t, f.Rename("/a", "/d/b"))
	require.NoError(t, f.SyncDir("/d")) // and not yet of /
	require.NoError(t, f.Rename("/d/b", "/d/c"))
	require.NoError(t, f.SyncDir("/d"))
	assert.Equal(t, []string{"/d/c=x"}, outcomes(t, f, files(t)))

	put(t, f, "/y", "y")
	require.NoError(t, f.Rename("/y", "/d/b"))
	put(t, f, "/d/z", "z")
	require.NoError(t, f.Rename("/d/z", "/d/b"))
	require.NoError(t, f.SyncDir("/d"))
	assert.Equal(t, []string{"/d/b=z /d/c=x"}, outcomes(t, f, files(t)))
}

func TestSyncDirThatFailsLeavesAllPending(t *testing.T) {
	f := faultfs.New(1)
	require.NoError(t, open(t, f, "/a").Sync())
	f.Inject(func(faultfs.Op) error { return syscall.EIO })
	require.ErrorIs(t, f.SyncDir("/"), syscall.EIO)
	f.Inject(nil)
	assert.Equal(t, []string{"", "/a="}, outcomes(t, f, files(t)))
	require.NoError(t, f.SyncDir("/"))
	assert.Equal(t, []string{"/a="}, outcomes(t, f, files(t)))
}

func TestRemoveAllLeavesHandles(t *testing.T) {
	f := faultfs.New(1)
	require.NoError(t, f.MkdirAll("/d/e"))
	require.NoError(t, f.SyncDir("/"))
	require.NoError(t, f.SyncDir("/d"))
	file := put(t, f, "/d/e/a", "x")
	f.SetReadOnly(true)
	ops := f.Ops()
	f.RemoveAll("/d")
	f.RemoveAll("/missing")
	assert.Equal(t, ops, f.Ops())
	f.SetReadOnly(false)

	assert.Empty(t, f.Files())
	_, err := f.ReadDir("/d")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, f.SyncDir("/d"), fs.ErrNotExist)
	_, err = f.Open("/d/e/b", true, true)
	require.ErrorIs(t, err, fs.ErrNotExist)
	write(t, file, 1, "y")
	require.NoError(t, file.Sync())
	b := make([]byte, 2)
	_, err = file.ReadAt(b, 0)
	require.NoError(t, err)
	assert.Equal(t, "xy", string(b))
	assert.Equal(t, []string{"", "/d/e/a=xy"}, outcomes(t, f, files(t)))

	require.NoError(t, f.SyncDir("/"))
	f.RemoveAll("/")
	assert.Empty(t, f.Kill().Files())
}

func TestNamesFollowPackageOS(t *testing.T) {
	f := faultfs.New(1)
	require.NoError(t, f.MkdirAll("d/e/../f"))
	put(t, f, "/d/a", "x")
	open(t, f, "d/b")
	names, err := f.ReadDir("d/")
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "b", "f"}, names)
	names, err = f.ReadDir("d/f")
	require.NoError(t, err)
	assert.NotNil(t, names)

	failing := map[string]struct {
		want error
		do   func() error
	}{
		"open missing":      {fs.ErrNotExist, func() error { _, err := f.Open("/x", true, false); return err }},
		"open nothing":      {fs.ErrNotExist, func() error { _, err := f.Open("", true, true); return err }},
		"open in missing":   {fs.ErrNotExist, func() error { _, err := f.Open("/x/a", true, true); return err }},
		"open directory":    {syscall.EISDIR, func() error { _, err := f.Open("/d", true, true); return err }},
		"open below file":   {syscall.ENOTDIR, func() error { _, err := f.Open("/d/a/b", true, true); return err }},
		"map in missing":    {fs.ErrNotExist, func() error { _, err := f.Map("/x/a", 1); return err }},
		"map of nothing":    {syscall.EINVAL, func() error { _, err := f.Map("/x", 0); return err }},
		"list missing":      {fs.ErrNotExist, func() error { _, err := f.ReadDir("/x"); return err }},
		"list file":         {syscall.ENOTDIR, func() error { _, err := f.ReadDir("/d/a"); return err }},
		"mkdir below file":  {syscall.ENOTDIR, func() error { return f.MkdirAll("/d/a/b") }},
		"rename missing":    {fs.ErrNotExist, func() error { return f.Rename("/x", "/y") }},
		"rename to missing": {fs.ErrNotExist, func() error { return f.Rename("/d/a", "/x/a") }},
		"rename onto dir":   {fs.ErrExist, func() error { return f.Rename("/d/a", "/d/f") }},
		"rename dir":        {syscall.ENOTDIR, func() error { return f.Rename("/d/f", "/d/a") }},
		"rename into self":  {syscall.EINVAL, func() error { return f.Rename("/d", "/d/f/g") }},
		"remove missing":    {fs.ErrNotExist, func() error { return f.Remove("/x") }},
		"remove full":       {syscall.ENOTEMPTY, func() error { return f.Remove("/d") }},
		"remove root":       {syscall.EBUSY, func() error { return f.Remove("/") }},
		"sync missing":      {fs.ErrNotExist, func() error { return f.SyncDir("/x") }},
		"sync file":         {syscall.ENOTDIR, func() error { return f.SyncDir("/d/a") }},
		"lock in missing":   {fs.ErrNotExist, func() error { _, err := f.Lock("/x/lock"); return err }},
		"lock directory":    {syscall.EISDIR, func() error { _, err := f.Lock("/d"); return err }},
		"corrupt missing":   {fs.ErrNotExist, func() error { return f.Corrupt("/x", nil) }},
		"read missing":      {fs.ErrNotExist, func() error { _, err := f.ReadFile("/x"); return err }},
	}
	for name, c := range failing {
		assert.ErrorIs(t, c.do(), c.want, name)
	}
	require.NoError(t, f.Rename("/d/a", "/d/a"))
	require.NoError(t, f.Rename("/d", "/moved"))
	assert.Equal(t, []string{"/moved/a", "/moved/b"}, f.Files())
	require.NoError(t, f.Remove("/moved/f"))
}

func TestLockIsExclusiveUntilItEnds(t *testing.T) {
	f := faultfs.New(1)
	lock, err := f.Lock("/lock")
	require.NoError(t, err)
	assert.Equal(t, []string{"/lock"}, f.Files())
	_, err = f.Lock("/lock")
	require.ErrorIs(t, err, wal.ErrLocked)
	_, err = f.Lock("/other")
	require.NoError(t, err)

	require.NoError(t, f.Rename("/lock", "/renamed"))
	_, err = f.Lock("/renamed")
	require.ErrorIs(t, err, wal.ErrLocked, "the lock is one of the file")
	require.NoError(t, lock.Close())
	_, err = f.Lock("/renamed")
	require.NoError(t, err)

	require.NoError(t, f.SyncDir("/"))
	for _, next := range []*faultfs.FS{f.PowerLoss(), f.Kill()} {
		_, err = next.Lock("/renamed")
		require.NoError(t, err)
	}
}
