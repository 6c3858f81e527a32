package wal

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

func syncFile(f *os.File) error { return f.Sync() }

// SyncDir does nothing: this system writes the entries of directories with the files.
func (OS) SyncDir(string) error { return nil }

// Local is false: files are written call by call here.
func (OS) Local(string) bool { return false }

// Map is not supported here, and not used where Local is false.
func (OS) Map(string, int64) (Mapping, error) { return nil, errors.ErrUnsupported }

// BootID has no value here: an unclean end then counts as one of the machine.
func (OS) BootID() string { return "" }

// Free is what this user may still write.
func (OS) Free(name string) (int64, error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, err
	}
	var free uint64
	if err := windows.GetDiskFreeSpaceEx(p, &free, nil, nil); err != nil {
		return 0, &os.PathError{Op: "free", Path: name, Err: err}
	}
	return int64(free), nil
}

func lockFile(f *os.File) error {
	const flags = windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY
	// the lock is put far behind the content, which people may want to read
	err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, &windows.Overlapped{OffsetHigh: 1})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return ErrLocked
	}
	return err
}
