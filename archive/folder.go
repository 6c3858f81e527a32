package archive

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

// Folder is a [Bucket] in a local folder. Files and folders are made for the user of the
// process alone.
//
// Files that are being written are in the folder _tmp; those of a process that died there
// are removed after a day. Unfinished files of a [Destination] are in _parts. Neither is a
// key.
type Folder struct {
	// Path is the folder. It is made where it is missing.
	Path string `json:"path"`
}

var _ Bucket = (*Folder)(nil)

// What stands in a folder beside the files of the bucket.
const (
	partsFolder = "_parts"
	tempFolder  = "_tmp"
	tempLife    = 24 * time.Hour
	forgetLock  = "forget.lock"
)

// path is where a key is. Keys come from file names of a listing and from manifests too,
// so one that leads out of the folder is refused.
func (f *Folder) path(key string) (string, error) {
	if f.Path == "" {
		return "", errors.New("archive: Folder.Path is empty")
	}
	if !validKey(key) || reserved(key) {
		return "", fmt.Errorf("archive: %q is no key", key)
	}
	return filepath.Join(f.Path, filepath.FromSlash(key)), nil
}

// reserved tells whether what is there is no key: it is below the folder of unfinished or
// of temporary files.
func reserved(key string) bool {
	return strings.HasPrefix(key, partsFolder+"/") || strings.HasPrefix(key, tempFolder+"/")
}

// validKey tells whether a key is a path of names.
func validKey(key string) bool {
	return fs.ValidPath(key) && key != "." && !strings.ContainsAny(key, "\\\x00")
}

// Put writes a file under another name, waits until the disk has it, and gives it its
// name.
func (f *Folder) Put(ctx context.Context, key string, r io.Reader, o PutOptions) (err error) {
	path, err := f.path(key)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(path); err == nil && o.IfAbsent {
		return f.exists(path)
	}
	_, missing := os.Stat(f.Path)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	if missing != nil {
		syncAbove(wal.OS{}, f.Path)
	}
	temp, err := f.temp()
	if err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	defer os.Remove(temp) // which is there if something went wrong
	if err := writeFile(ctx, temp, r); err != nil {
		return fmt.Errorf("archive: put %s: %w", key, err)
	}
	if o.IfAbsent {
		err = link(temp, path)
	} else {
		err = os.Rename(temp, path)
	}
	if errors.Is(err, fs.ErrExist) {
		return f.exists(path)
	}
	if err == nil {
		err = f.syncFolders(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("archive: put %s: %w", key, err)
	}
	return nil
}

// exists is the answer for a name that is taken. Who gave it may have died before it was
// safe from a loss of power, and the caller now relies on it.
func (f *Folder) exists(path string) error {
	if err := f.syncFolders(filepath.Dir(path)); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return ErrExists
}

// lockForget lets one Forget work at a time. The lock goes with the process that has it.
func (f *Folder) lockForget() (unlock func() error, err error) {
	dir := filepath.Join(f.Path, tempFolder)
	err = os.Mkdir(dir, 0o700)
	if errors.Is(err, fs.ErrNotExist) { // nothing is there
		return func() error { return nil }, nil
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("archive: %w", err)
	}
	name := filepath.Join(dir, forgetLock)
	lock, err := wal.OS{}.Lock(name)
	if errors.Is(err, wal.ErrLocked) {
		return nil, fmt.Errorf("archive: another Forget is at work on this folder: %w", err)
	}
	if err != nil {
		return nil, fmt.Errorf("archive: %w", err)
	}
	return func() error {
		_ = os.Remove(name) // else it stays, which says nothing
		return lock.Close()
	}, nil
}

// temp is a name for a file that is being written. What earlier processes have left is
// removed.
func (f *Folder) temp() (string, error) {
	dir := filepath.Join(f.Path, tempFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && e.Name() != forgetLock && time.Since(info.ModTime()) > tempLife {
			_ = os.Remove(filepath.Join(dir, e.Name())) // else another time
		}
	}
	return filepath.Join(dir, rand.Text()), err
}

// link gives a file its name unless that is taken. Where the file system has no links
// there is a moment between asking and doing.
func link(temp, path string) error {
	err := os.Link(temp, path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, missing := os.Lstat(path); !errors.Is(missing, fs.ErrNotExist) {
		return cmp.Or(missing, fs.ErrExist)
	}
	return os.Rename(temp, path)
}

// writeFile makes a file that the disk has when it returns.
func writeFile(ctx context.Context, path string, r io.Reader) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, &ctxReader{ctx, r})
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// ctxReader ends with its ctx.
type ctxReader struct {
	ctx context.Context
	r   io.Reader
}

func (r *ctxReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// syncFolders makes the names in a folder, and the folders up to Path, last.
func (f *Folder) syncFolders(dir string) error {
	root := filepath.Clean(f.Path)
	for {
		if err := (wal.OS{}).SyncDir(dir); err != nil {
			return err
		}
		if dir == root || len(dir) < len(root) {
			return nil
		}
		dir = filepath.Dir(dir)
	}
}
