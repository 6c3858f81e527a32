package sqlite

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"
)

// create makes the file, so that it is for its owner only, as other files with events.
// Folders in which a name is new are synced: the database syncs what is in the file.
func create(file string, sync func(folder string) error) error {
	if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
		return nil // what is wrong with it, the driver says
	}
	folder := filepath.Dir(file)
	if err := makeFolder(folder, sync); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return createTarget(file, sync)
	}
	if err != nil {
		return err
	}
	return cmp.Or(f.Close(), sync(folder))
}

// createTarget makes the file that a link leads to. Its folder is not made: where that is
// missing, it may be a disk.
func createTarget(link string, sync func(folder string) error) error {
	target, err := os.Readlink(link)
	if err != nil {
		return nil // it is none: somebody was faster
	}
	f, err := os.OpenFile(link, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("%s is a link to %s: %w", link, target, err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	file, err := filepath.EvalSymlinks(link)
	if err != nil {
		return err
	}
	return sync(filepath.Dir(file))
}

// makeFolder makes a folder with its parents.
func makeFolder(folder string, sync func(folder string) error) error {
	var parents []string
	for dir := folder; filepath.Dir(dir) != dir; dir = filepath.Dir(dir) {
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		parents = append(parents, filepath.Dir(dir))
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	for _, dir := range slices.Backward(parents) {
		if err := sync(dir); err != nil {
			return err
		}
	}
	return nil
}

// syncFolder makes the names of a folder survive a power cut, where the system and the
// file system have such a thing.
func syncFolder(folder string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(folder)
	if errors.Is(err, fs.ErrPermission) {
		return nil // files can be made in it, but it cannot be read
	}
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, syscall.EINVAL) {
		return nil
	}
	return err
}
