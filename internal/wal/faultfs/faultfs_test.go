package faultfs_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// seeds is how many a test tries that waits for something to happen and for something
// else to happen.
const seeds = 200

// open opens a file for writing, which is made if it is missing.
func open(t *testing.T, f *faultfs.FS, name string) wal.File {
	t.Helper()
	file, err := f.Open(name, true, true)
	require.NoError(t, err)
	return file
}

func write(t *testing.T, file wal.File, off int64, data string) {
	t.Helper()
	n, err := file.WriteAt([]byte(data), off)
	require.NoError(t, err)
	require.Equal(t, len(data), n)
}

// put makes a file that is on the disk, together with its name.
func put(t *testing.T, f *faultfs.FS, name, data string) wal.File {
	t.Helper()
	file := open(t, f, name)
	write(t, file, 0, data)
	require.NoError(t, file.Sync())
	require.NoError(t, f.SyncDir(name[:strings.LastIndex(name, "/")+1]))
	return file
}

// dump is everything that programs see.
func dump(t *testing.T, f *faultfs.FS) string {
	t.Helper()
	var b strings.Builder
	for _, name := range f.Files() {
		data, err := f.ReadFile(name)
		require.NoError(t, err)
		fmt.Fprintf(&b, "%s=%q\n", name, data)
	}
	return b.String()
}

// script is a bit of everything. It returns at the first error.
func script(f *faultfs.FS) error {
	if err := f.MkdirAll("/d"); err != nil {
		return err
	}
	lock, err := f.Lock("/d/lock")
	if err != nil {
		return err
	}
	defer lock.Close()
	file, err := f.Open("/d/a", true, true)
	if err != nil {
		return err
	}
	m, err := f.Map("/d/m", 5000)
	if err != nil {
		return err
	}
	copy(m.Bytes(), "mapped")
	if _, err := file.WriteAt(make([]byte, 3000), 10); err != nil {
		return err
	}
	if _, err := file.ReadAt(make([]byte, 7), 10); err != nil {
		return err
	}
	for _, step := range []func() error{
		file.Sync,
		func() error { return f.Rename("/d/a", "/d/b") },
		func() error { return f.SyncDir("/d") },
		func() error { _, err := f.ReadDir("/d"); return err },
		func() error { _, err := f.Free("/d"); return err },
		func() error { return f.Remove("/d/b") },
		func() error { _, err := f.Open("/d/m", false, false); return err },
		file.Sync,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func TestAllFollowsFromTheSeed(t *testing.T) {
	after := func(seed uint64) string {
		f := faultfs.New(seed)
		require.NoError(t, script(f))
		return f.BootID() + dump(t, f.PowerLoss())
	}
	distinct := map[string]bool{}
	for seed := range uint64(20) {
		once := after(seed)
		assert.Equal(t, once, after(seed))
		distinct[once] = true
	}
	assert.Greater(t, len(distinct), 10)
}

func TestHookSeesEveryOperation(t *testing.T) {
	f := faultfs.New(1)
	var seen []faultfs.Op
	f.Inject(func(op faultfs.Op) error {
		seen = append(seen, op)
		return nil
	})
	require.NoError(t, script(f))
	want := []faultfs.Op{
		{Kind: faultfs.Mkdir, Name: "/d"},
		{Kind: faultfs.Lock, Name: "/d/lock"},
		{Kind: faultfs.Create, Name: "/d/a"},
		{Kind: faultfs.Map, Name: "/d/m", Length: 5000},
		{Kind: faultfs.Write, Name: "/d/a", Offset: 10, Length: 3000},
		{Kind: faultfs.Read, Name: "/d/a", Offset: 10, Length: 7},
		{Kind: faultfs.Sync, Name: "/d/a"},
		{Kind: faultfs.Rename, Name: "/d/a", To: "/d/b"},
		{Kind: faultfs.SyncDir, Name: "/d"},
		{Kind: faultfs.ReadDir, Name: "/d"},
		{Kind: faultfs.Free, Name: "/d"},
		{Kind: faultfs.Remove, Name: "/d/b"},
		{Kind: faultfs.Open, Name: "/d/m"},
		{Kind: faultfs.Sync, Name: "/d/a"},
	}
	for i := range want {
		want[i].Number = i
	}
	assert.Equal(t, want, seen)
	assert.Equal(t, len(want), f.Ops())
	assert.Equal(t, "syncdir", faultfs.SyncDir.String())
}

func TestInjectedErrorIsTheResultAndNothingHappens(t *testing.T) {
	clean := faultfs.New(1)
	require.NoError(t, script(clean))
	for n := range clean.Ops() {
		f := faultfs.New(1)
		var before string
		var failed faultfs.Op
		f.Inject(func(op faultfs.Op) error {
			if op.Number != n {
				return nil
			}
			before, failed = dump(t, f), op
			return syscall.EDQUOT
		})
		err := script(f)
		require.ErrorIs(t, err, syscall.EDQUOT)
		assert.Equal(t, before, dump(t, f), "%v", failed)
		assert.Equal(t, n+1, f.Ops())
		var path *fs.PathError
		var link *os.LinkError
		if failed.Kind == faultfs.Rename {
			require.ErrorAs(t, err, &link)
			assert.Equal(t, []string{"/d/a", "/d/b"}, []string{link.Old, link.New})
		} else {
			require.ErrorAs(t, err, &path)
			assert.Equal(t, failed.Name, path.Path)
			assert.Equal(t, failed.Kind.String(), path.Op)
		}
	}
}

func TestHookUsesTheFileSystem(t *testing.T) {
	f := faultfs.New(1)
	require.NoError(t, f.MkdirAll("/d"))
	var next *faultfs.FS
	f.Inject(func(faultfs.Op) error {
		next = f.Kill()
		return nil
	})
	require.ErrorIs(t, f.MkdirAll("/e"), syscall.EIO)
	names, err := next.ReadDir("/")
	require.NoError(t, err)
	assert.Equal(t, []string{"d"}, names)

	next.Inject(func(op faultfs.Op) error {
		next.Stop(op.Number)
		return nil
	})
	require.ErrorIs(t, next.Remove("/d"), faultfs.ErrStopped)
}

func TestShortWriteWritesItsFirstBytes(t *testing.T) {
	for n, want := range map[int]string{-1: "old!", 0: "old!", 2: "ned!", 9: "new!"} {
		f := faultfs.New(1)
		file := open(t, f, "/a")
		write(t, file, 0, "old!")
		f.Inject(func(faultfs.Op) error {
			return fmt.Errorf("as ordered: %w", faultfs.ShortWrite{N: n, Err: syscall.EDQUOT})
		})
		got, err := file.WriteAt([]byte("new"), 0)
		require.ErrorIs(t, err, syscall.EDQUOT)
		assert.Equal(t, min(3, max(0, n)), got)
		data, err := f.ReadFile("/a")
		require.NoError(t, err)
		assert.Equal(t, want, string(data))
		require.ErrorIs(t, file.Sync(), syscall.EDQUOT)
	}
	assert.ErrorIs(t, faultfs.ShortWrite{}, syscall.EIO)
	assert.Equal(t, "3 bytes were written: file too large", faultfs.ShortWrite{N: 3, Err: syscall.EFBIG}.Error())
}

func TestStopCutsAtAnyOperation(t *testing.T) {
	clean := faultfs.New(1)
	states := []string{}
	clean.Inject(func(faultfs.Op) error {
		states = append(states, dump(t, clean))
		return nil
	})
	require.NoError(t, script(clean))
	for n := range clean.Ops() {
		f := faultfs.New(1)
		f.Stop(n)
		require.ErrorIs(t, script(f), faultfs.ErrStopped)
		assert.Equal(t, n, f.Ops())
		assert.Equal(t, states[n], dump(t, f), "after %d", n)
	}
}

func TestWhatIsStoppedReleasesNothing(t *testing.T) {
	f := faultfs.New(1)
	lock, err := f.Lock("/lock")
	require.NoError(t, err)
	file := open(t, f, "/a")
	m, err := f.Map("/m", 10)
	require.NoError(t, err)
	f.Stop(f.Ops())
	for _, c := range []interface{ Close() error }{lock, file, m} {
		require.ErrorIs(t, c.Close(), faultfs.ErrStopped)
	}
	_, err = file.Size()
	require.ErrorIs(t, err, faultfs.ErrStopped)
	m.Bytes()[0] = 'x' // what cannot be stopped

	f.Stop(1000)
	_, err = f.Lock("/lock")
	require.ErrorIs(t, err, wal.ErrLocked)
	_, err = file.Size()
	require.NoError(t, err)

	_, err = f.Kill().Lock("/lock")
	require.NoError(t, err)
}

func TestReadOnlyRefusesEveryChange(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", "data")
	m, err := f.Map("/m", 100)
	require.NoError(t, err)
	f.SetReadOnly(true)
	before := dump(t, f)
	changes := map[string]func() error{
		"open":    func() error { _, err := f.Open("/a", true, false); return err },
		"create":  func() error { _, err := f.Open("/b", false, true); return err },
		"map":     func() error { _, err := f.Map("/m", 100); return err },
		"write":   func() error { _, err := file.WriteAt([]byte("x"), 0); return err },
		"rename":  func() error { return f.Rename("/a", "/b") },
		"remove":  func() error { return f.Remove("/a") },
		"mkdir":   func() error { return f.MkdirAll("/d") },
		"lock":    func() error { _, err := f.Lock("/lock"); return err },
		"syncdir": func() error { return f.SyncDir("/") }, // m is new there
	}
	for name, change := range changes {
		assert.ErrorIs(t, change(), syscall.EROFS, name)
	}
	assert.Equal(t, before, dump(t, f))

	require.NoError(t, file.Sync(), "nothing is pending")
	_, err = f.Open("/a", false, true)
	require.NoError(t, err)
	_, err = f.Open("/missing", true, false)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.NoError(t, f.MkdirAll("/"))
	m.Bytes()[0] = 'x'
	data, err := f.ReadFile("/m")
	require.NoError(t, err)
	assert.Equal(t, byte('x'), data[0])
	onM, err := f.Open("/m", false, false)
	require.NoError(t, err)
	require.ErrorIs(t, onM.Sync(), syscall.EROFS)

	f.Inject(func(faultfs.Op) error { return syscall.EIO })
	for range 20 {
		require.ErrorIs(t, onM.Sync(), syscall.EIO)
	}
	require.ErrorIs(t, f.SyncDir("/"), syscall.EIO)
	f.Inject(nil)
	require.ErrorIs(t, onM.Sync(), syscall.EROFS, "it is as pending as before")

	f.SetReadOnly(false)
	require.NoError(t, onM.Sync())
}

func TestSettingsOutliveProcessAndPower(t *testing.T) {
	f := faultfs.New(1)
	f.SetBoot("first")
	f.SetLocal(false)
	f.SetReadOnly(true)
	f.SetFree(8192)

	f = f.Kill()
	assert.Equal(t, "first", f.BootID())
	f = f.PowerLoss()
	assert.NotEqual(t, "first", f.BootID())
	assert.NotEmpty(t, f.BootID())
	f.EachPowerLoss(1, func(next *faultfs.FS) { assert.NotEqual(t, f.BootID(), next.BootID()) })
	assert.False(t, f.Local("/"))
	require.ErrorIs(t, f.MkdirAll("/d"), syscall.EROFS)
	free, err := f.Free("/")
	require.NoError(t, err)
	assert.Equal(t, int64(8192), free)

	f.SetBoot("")
	assert.Empty(t, f.PowerLoss().BootID())
	assert.True(t, faultfs.New(1).Local("/"))
}

func TestSpaceIsTakenInBlocksAndGivenBack(t *testing.T) {
	f := faultfs.New(1)
	f.SetFree(3 * 4096)
	free := func() int64 {
		n, err := f.Free("/")
		require.NoError(t, err)
		return n
	}
	a := open(t, f, "/a")
	assert.Equal(t, int64(3*4096), free())
	write(t, a, 0, "x")
	write(t, a, 4000, "x")
	assert.Equal(t, int64(2*4096), free())

	n, err := a.WriteAt(make([]byte, 20000), 4096)
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Equal(t, 8192, n)
	n, err = a.WriteAt([]byte("more"), 3*4096)
	require.ErrorIs(t, err, syscall.ENOSPC)
	assert.Zero(t, n)
	write(t, a, 100, "in place")
	_, err = f.Map("/m", 1)
	require.ErrorIs(t, err, syscall.ENOSPC)
	data, err := f.ReadFile("/m")
	require.NoError(t, err)
	assert.Empty(t, data)

	require.NoError(t, f.Remove("/a"))
	assert.Zero(t, free(), "the handle still has the file")
	require.NoError(t, a.Close())
	assert.Equal(t, int64(3*4096), free())
	m, err := f.Map("/m", 3*4096)
	require.NoError(t, err)
	assert.Zero(t, free())
	require.NoError(t, m.Close())
	assert.Zero(t, free())

	write(t, open(t, f, "/empty"), 0, "")
	require.NoError(t, f.Rename("/empty", "/m"))
	assert.Equal(t, int64(3*4096), free(), "the file was replaced")
	_, err = f.Free("/missing")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestSpaceOfOpenFilesEndsWithTheProcess(t *testing.T) {
	f := faultfs.New(1)
	f.SetFree(4096)
	write(t, open(t, f, "/a"), 0, "x")
	require.NoError(t, f.Remove("/a"))
	free, err := f.Kill().Free("/")
	require.NoError(t, err)
	assert.Equal(t, int64(4096), free)
}

func TestConcurrentUse(t *testing.T) {
	f := faultfs.New(1)
	require.NoError(t, f.MkdirAll("/d"))
	m, err := f.Map("/d/shared", 64<<10)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := m.Bytes()[i*8<<10:][:8<<10]
			name := fmt.Sprint("/d/", i)
			for range 50 {
				for j := range own {
					own[j]++ // without a lock, as a program does
				}
				file, err := f.Open(name, true, true)
				if !assert.NoError(t, err) {
					return
				}
				_, _ = file.WriteAt(own[:100], 0)
				_ = file.Sync()
				_ = f.SyncDir("/d")
				_, _ = f.ReadDir("/d")
				_ = f.Rename(name, name+"x")
				_ = f.Remove(name + "x")
				_ = file.Close()
				shared, err := f.Open("/d/shared", false, false)
				if assert.NoError(t, err) {
					_, _ = shared.ReadAt(make([]byte, 64<<10), 0)
					_ = shared.Sync()
				}
				f.EachPowerLoss(1, func(next *faultfs.FS) { next.Files() })
				f.SetFree(1 << 30)
			}
		})
	}
	wg.Wait()
	require.NoError(t, m.Close())
	f.Kill().PowerLoss()
}

func TestDeathWhileOthersWork(t *testing.T) {
	f := faultfs.New(1)
	m, err := f.Map("/m", 8192)
	require.NoError(t, err)
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			file, err := f.Open(fmt.Sprint("/", i), true, true)
			for ; err == nil; _, err = file.WriteAt([]byte("x"), 0) {
				m.Bytes()[i]++
			}
			assert.ErrorIs(t, err, syscall.EIO)
		})
	}
	next := f.Kill()
	wg.Wait()
	want := dump(t, next)
	m.Bytes()[9] = 'x' // goes nowhere
	assert.Equal(t, want, dump(t, next))
}

func TestInABubbleAHookCanWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := faultfs.New(1)
		f.Inject(func(op faultfs.Op) error {
			if op.Kind == faultfs.Sync {
				time.Sleep(time.Hour) // of the bubble
			}
			return nil
		})
		file := open(t, f, "/a")
		write(t, file, 0, "x")
		synced := make(chan error, 1)
		go func() { synced <- file.Sync() }()
		synctest.Wait()
		write(t, file, 1, "y") // the others go on
		assert.Empty(t, synced)
		require.NoError(t, <-synced)
		assert.Equal(t, "/a=\"xy\"\n", dump(t, f))
	})
}

func TestClosedHandles(t *testing.T) {
	f := faultfs.New(1)
	file := open(t, f, "/a")
	lock, err := f.Lock("/lock")
	require.NoError(t, err)
	m, err := f.Map("/m", 10)
	require.NoError(t, err)
	for _, c := range []interface{ Close() error }{lock, file, m} {
		require.NoError(t, c.Close())
		require.ErrorIs(t, c.Close(), fs.ErrClosed)
	}
	_, err = file.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = file.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, fs.ErrClosed)
	_, err = file.Size()
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, file.Sync(), fs.ErrClosed)
}

func TestTheDeadFail(t *testing.T) {
	die := map[string]func(*faultfs.FS){
		"killed":   func(f *faultfs.FS) { f.Kill() },
		"no power": func(f *faultfs.FS) { f.PowerLoss() },
	}
	for name, die := range die {
		t.Run(name, func(t *testing.T) {
			f := faultfs.New(1)
			file := put(t, f, "/a", "data")
			lock, err := f.Lock("/lock")
			require.NoError(t, err)
			m, err := f.Map("/m", 10)
			require.NoError(t, err)
			die(f)
			_, readErr := file.ReadAt(make([]byte, 1), 0)
			_, writeErr := file.WriteAt([]byte("x"), 0)
			_, sizeErr := file.Size()
			_, openErr := f.Open("/a", false, false)
			for _, err := range []error{
				readErr, writeErr, sizeErr, openErr, file.Sync(), file.Close(),
				lock.Close(), m.Close(), f.SyncDir("/"), f.Remove("/a"),
			} {
				require.ErrorIs(t, err, syscall.EIO)
			}
			m.Bytes()[0] = 'x'
		})
	}
}

func TestErrorsAreNotFaults(t *testing.T) {
	// A stopped or dead process must not drop the sectors of a Sync that it never did.
	f := faultfs.New(1)
	file := put(t, f, "/a", "old")
	write(t, file, 0, "new")
	f.Stop(f.Ops())
	require.ErrorIs(t, file.Sync(), faultfs.ErrStopped)
	f.Stop(1000)
	require.NoError(t, file.Sync())
	assert.Equal(t, "/a=\"new\"\n", dump(t, f.PowerLoss()))
	require.True(t, errors.Is(file.Sync(), syscall.EIO))
}
