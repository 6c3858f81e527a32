package wal_test

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
)

func TestOSFiles(t *testing.T) {
	dir := t.TempDir()
	fsys := wal.OS{}
	require.NoError(t, fsys.MkdirAll(filepath.Join(dir, "a", "b")))
	require.NoError(t, fsys.MkdirAll(filepath.Join(dir, "a", "b")))
	name := filepath.Join(dir, "a", "f")
	for _, write := range []bool{false, true} {
		_, err := fsys.Open(name, write, false)
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	f, err := fsys.Open(name, true, true)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("hello"), 3)
	require.NoError(t, err)
	size, err := f.Size()
	require.NoError(t, err)
	require.Equal(t, int64(8), size)
	require.NoError(t, f.Sync())
	require.NoError(t, f.Close())
	_, err = f.Size()
	require.ErrorIs(t, err, fs.ErrClosed)
	require.Error(t, f.Sync())

	f, err = fsys.Open(name, false, false)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("x"), 0)
	require.Error(t, err)
	require.NoError(t, f.Close())
	b, err := wal.ReadSmall(fsys, name)
	require.NoError(t, err)
	require.Equal(t, "\x00\x00\x00hello", string(b))

	if runtime.GOOS != "windows" {
		for path, perm := range map[string]fs.FileMode{name: 0o600, filepath.Join(dir, "a"): 0o700} {
			info, err := os.Stat(path)
			require.NoError(t, err)
			require.Equal(t, perm, info.Mode().Perm(), "for its owner only")
		}
	}

	require.NoError(t, fsys.Rename(name, filepath.Join(dir, "a", "c")))
	names, err := fsys.ReadDir(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.Equal(t, []string{"b", "c"}, names)
	require.NoError(t, fsys.SyncDir(dir))
	require.NoError(t, fsys.Remove(filepath.Join(dir, "a", "c")))
	require.ErrorIs(t, fsys.Remove(filepath.Join(dir, "a", "c")), fs.ErrNotExist)
	_, err = fsys.ReadDir(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fsys.ReadDir(name)
	require.Error(t, err)
}

func TestOSFree(t *testing.T) {
	free, err := wal.OS{}.Free(t.TempDir())
	require.NoError(t, err)
	require.Positive(t, free)
}

func TestOSMissingDirectory(t *testing.T) {
	if runtime.GOOS != "linux" && runtime.GOOS != "darwin" {
		t.Skip("other systems do not know")
	}
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := wal.OS{}.Free(missing)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, wal.OS{}.SyncDir(missing), fs.ErrNotExist)
	require.False(t, wal.OS{}.Local(missing))
	_, err = wal.OS{}.Lock(filepath.Join(missing, "LOCK"))
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestOSLock(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	lock, err := wal.OS{}.Lock(name)
	require.NoError(t, err)
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(os.Getpid())+"\n", string(b))
	_, err = wal.OS{}.Lock(name)
	require.ErrorIs(t, err, wal.ErrLocked)
	require.NoError(t, lock.Close())
	lock, err = wal.OS{}.Lock(name)
	require.NoError(t, err)
	require.NoError(t, lock.Close())
}

// A file that was removed is not the one whose lock counts.
func TestOSLockAfterTheFileWasRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a locked file cannot be removed")
	}
	name := filepath.Join(t.TempDir(), "LOCK")
	old, err := wal.OS{}.Lock(name)
	require.NoError(t, err)
	require.NoError(t, os.Remove(name))
	lock, err := wal.OS{}.Lock(name)
	require.NoError(t, err)
	require.NoError(t, old.Close())
	_, err = wal.OS{}.Lock(name)
	require.ErrorIs(t, err, wal.ErrLocked)
	require.NoError(t, lock.Close())
}

// Whoever has the lock is the only one, although each removes the file when it is done.
func TestOSLockWhileTheFileIsRemoved(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a locked file cannot be removed")
	}
	name := filepath.Join(t.TempDir(), "LOCK")
	var holders atomic.Int32
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 2000 {
				lock, err := wal.OS{}.Lock(name)
				if err != nil {
					continue
				}
				if holders.Add(1) != 1 {
					t.Error("two have the lock")
				}
				runtime.Gosched()
				holders.Add(-1)
				_ = os.Remove(name)
				_ = lock.Close()
			}
		})
	}
	wg.Wait()
}

const lockEnv = "WAL_TEST_LOCK"

// TestLockHelper is no test but the other process of those below: it takes a lock, says
// so, and waits until it dies.
func TestLockHelper(t *testing.T) {
	name := os.Getenv(lockEnv)
	if name == "" {
		t.Skip("only as another process")
	}
	_, err := wal.OS{}.Lock(name)
	switch {
	case errors.Is(err, wal.ErrLocked):
		os.Stdout.WriteString("taken\n")
	case err != nil:
		os.Stdout.WriteString(err.Error() + "\n")
	default:
		os.Stdout.WriteString("locked\n")
	}
	_, _ = os.Stdin.Read(make([]byte, 1))
	os.Exit(0)
}

// other starts a process that tries to take a lock, and returns what it says and how to
// kill it.
func other(t *testing.T, name string) (says string, kill func()) {
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, "-test.run=^TestLockHelper$")
	cmd.Env = append(os.Environ(), lockEnv+"="+name)
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	kill = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = in.Close()
	}
	t.Cleanup(kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return line, kill
}

func TestOSLockBetweenProcesses(t *testing.T) {
	name := filepath.Join(t.TempDir(), "LOCK")
	says, kill := other(t, name)
	require.Equal(t, "locked\n", says)
	_, err := wal.OS{}.Lock(name)
	require.ErrorIs(t, err, wal.ErrLocked)
	kill()
	lock, err := wal.OS{}.Lock(name)
	require.NoError(t, err, "the lock ends with the process, however that ends")
	says, _ = other(t, name)
	require.Equal(t, "taken\n", says)
	require.NoError(t, lock.Close())
	says, _ = other(t, name)
	require.Equal(t, "locked\n", says)
}

// A process that we start does not inherit the lock.
func TestOSLockIsNotInherited(t *testing.T) {
	dir := t.TempDir()
	lock, err := wal.OS{}.Lock(filepath.Join(dir, "a"))
	require.NoError(t, err)
	says, _ := other(t, filepath.Join(dir, "b"))
	require.Equal(t, "locked\n", says)
	require.NoError(t, lock.Close())
	lock, err = wal.OS{}.Lock(filepath.Join(dir, "a"))
	require.NoError(t, err)
	require.NoError(t, lock.Close())
}

func TestSlotOfTheOS(t *testing.T) {
	path := filepath.Join(t.TempDir(), "p-0")
	s, err := wal.OpenSlot(wal.OS{}, path)
	require.NoError(t, err)
	s.ID.Slot = wal.NewID()
	require.NoError(t, s.Save())
	require.NoError(t, s.SyncNames())
	_, err = wal.OpenSlot(wal.OS{}, path)
	require.ErrorIs(t, err, wal.ErrLocked)
	if runtime.GOOS != "windows" {
		require.NoError(t, os.RemoveAll(path))
		require.True(t, s.Gone())
		require.NoError(t, s.Rebuild())
	}
	require.NoError(t, s.Unlock())
}
