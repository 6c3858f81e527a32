package wal

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
)

// OS is the file system of this machine.
type OS struct{}

// Open opens a file.
func (OS) Open(name string, write, create bool) (File, error) {
	flag := os.O_RDONLY
	if write {
		flag = os.O_RDWR
	}
	if create {
		flag |= os.O_CREATE
	}
	f, err := os.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// ReadDir returns the names in a directory, sorted.
func (OS) ReadDir(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	names, err := f.Readdirnames(-1)
	slices.Sort(names)
	return names, cmp.Or(err, f.Close())
}

// MkdirAll makes a directory with its parents.
func (OS) MkdirAll(name string) error { return os.MkdirAll(name, 0o700) }

// Rename renames a file, over another if there is one.
func (OS) Rename(from, to string) error { return os.Rename(from, to) }

// Remove removes a file or an empty directory.
func (OS) Remove(name string) error { return os.Remove(name) }

// Lock takes the lock of a file and writes the number of this process into it, for
// people. A file that was removed while its lock was being taken is locked anew, or
// two could hold locks of the same name.
func (OS) Lock(name string) (io.Closer, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		if err := lockFile(f); err != nil {
			return nil, cmp.Or(err, f.Close())
		}
		if sameFile(f, name) {
			_ = f.Truncate(0)
			_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
			return f, nil
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
}

func sameFile(f *os.File, name string) bool {
	a, errA := f.Stat()
	b, errB := os.Stat(name)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

func (f osFile) Sync() error { return syncFile(f.File) }

// ReadSmall reads a whole file of at most a megabyte.
func ReadSmall(fsys FS, name string) ([]byte, error) { return readWhole(fsys, name, 1<<20) }

// readWhole reads a whole file that should have at most limit bytes.
func readWhole(fsys FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name, false, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > limit {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("%w: it has more than %d bytes", errTooLarge, limit)}
	}
	return readFull(f, 0, int(size))
}

var errTooLarge = fmt.Errorf("%w: the file is too large", ErrDamaged)

// readHead reads the beginning of a file.
func readHead(fsys FS, name string, n int) ([]byte, error) {
	f, err := fsys.Open(name, false, false)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readFull(f, 0, n)
}

// readFull reads n bytes, fewer where the file ends.
func readFull(f File, off int64, n int) ([]byte, error) {
	b := make([]byte, n)
	k, err := f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return b[:k], err
}
