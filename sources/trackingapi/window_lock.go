package trackingapi

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/tributary-dev/analytics/internal/wal"
)

// errWindowInUse tells that another window has the directory, here or in another process.
var errWindowInUse = errors.New("is in use by another window, in this process or another")

// lockWindow takes a directory until the lock is closed or the process ends.
func lockWindow(fsys wal.FS, dir string) (io.Closer, error) {
	name := filepath.Join(dir, windowLock)
	lock, err := fsys.Lock(name)
	switch {
	case errors.Is(err, wal.ErrLocked):
		return nil, errWindowInUse
	case errors.Is(err, errors.ErrUnsupported):
		return lockByName(name + ".pid")
	}
	return lock, err
}

// namedLock is a file that is there while its maker is. It is for systems that lock no
// files, and outlives a process that is killed: people have to remove it then.
type namedLock string

func lockByName(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		pid, _ := os.ReadFile(name)
		return nil, fmt.Errorf("%w: by process %s, or remove %s if that was killed", errWindowInUse, strings.TrimSpace(string(pid)), name)
	}
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintln(f, os.Getpid())
	if err := errors.Join(err, f.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(name))
	}
	return namedLock(name), nil
}

// Close removes the file.
func (l namedLock) Close() error { return os.Remove(string(l)) }
