package file

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// rotating is a file that moves away when it is full or old. For one goroutine.
type rotating struct {
	path              string
	maxBytes          int64 // negative: no limit
	maxAge            time.Duration
	maxFiles          int
	gzip              bool
	file              *os.File
	size              int64
	since             time.Time // when its first event was written
	regular           bool      // else it is a pipe, a terminal: it has no size and stays where it is
	closed, untrusted bool      // untrusted: what a failed write left could not be removed
}

// Files are for the user of the process alone: events are about people.
const (
	fileMode   = 0o600
	folderMode = 0o700
)

// open opens the file for appending and ends a line that a crash has torn.
func (r *rotating) open() error {
	if err := os.MkdirAll(filepath.Dir(r.path), folderMode); err != nil {
		return err
	}
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE|os.O_APPEND, fileMode)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Mode().IsRegular() && info.Size() > 0 {
		err = endLine(f, info.Size())
	}
	if err == nil {
		info, err = f.Stat()
	}
	if err != nil {
		f.Close()
		return err
	}
	r.file, r.size, r.since, r.untrusted = f, info.Size(), info.ModTime(), false
	r.regular = info.Mode().IsRegular()
	return nil
}

func endLine(f *os.File, size int64) error {
	var last [1]byte
	if _, err := f.ReadAt(last[:], size-1); err != nil || last[0] == '\n' {
		return err
	}
	_, err := f.Write([]byte{'\n'})
	return err
}

func (r *rotating) close() error {
	r.closed = true
	if r.file == nil {
		return nil
	}
	err := r.file.Close()
	r.file = nil
	return err
}

// write appends lines, all of them or none.
func (r *rotating) write(lines []byte, now time.Time, sync bool) error {
	if r.closed {
		return errClosed
	}
	if err := r.ready(int64(len(lines)), now); err != nil {
		return err
	}
	n, err := r.file.Write(lines)
	if err == nil && sync {
		err = r.file.Sync()
	}
	if err != nil {
		if n > 0 && r.file.Truncate(r.size) != nil {
			r.untrusted = true // it is opened anew, which ends the torn line
		}
		return err
	}
	if r.size == 0 {
		r.since = now
	}
	r.size += int64(n)
	return nil
}

// ready sees to it that the file is open, in its place, and has room.
func (r *rotating) ready(n int64, now time.Time) error {
	if r.file != nil && (r.untrusted || r.moved()) {
		r.file.Close()
		r.file = nil
	}
	if r.file == nil {
		if err := r.open(); err != nil {
			return err
		}
	}
	full := r.maxBytes >= 0 && r.size+n > r.maxBytes
	old := r.maxAge > 0 && now.Sub(r.since) >= r.maxAge
	if r.size == 0 || !r.regular || !full && !old {
		return nil
	}
	return r.rotate(now)
}

// moved tells whether somebody else has moved or removed the file.
func (r *rotating) moved() bool {
	there, err := os.Stat(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	here, hereErr := r.file.Stat()
	return err == nil && hereErr == nil && !os.SameFile(there, here)
}

// stamp is the time in the name of a rotated file, in UTC.
const stamp = "20060102T150405.000Z"

func (r *rotating) rotate(now time.Time) error {
	if err := r.file.Close(); err != nil {
		return err
	}
	r.file = nil
	to, err := r.free(now)
	if err != nil {
		return err
	}
	if err := os.Rename(r.path, to); err != nil {
		return err
	}
	if err := r.open(); err != nil {
		return err
	}
	return r.tidy()
}

// free is a name that no rotated file has.
func (r *rotating) free(now time.Time) (string, error) {
	base, ext := r.parts()
	for {
		name := base + "-" + now.UTC().Format(stamp) + ext
		_, err := os.Lstat(name)
		_, gzErr := os.Lstat(name + gzExt)
		if errors.Is(err, fs.ErrNotExist) && errors.Is(gzErr, fs.ErrNotExist) {
			return name, nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		now = now.Add(time.Millisecond)
	}
}

func (r *rotating) parts() (base, ext string) {
	ext = filepath.Ext(r.path)
	if ext == filepath.Base(r.path) { // ".events" is all name
		ext = ""
	}
	return strings.TrimSuffix(r.path, ext), ext
}

const gzExt = ".gz"

// tidy compresses rotated files, also those that a crash has left, and removes the
// oldest.
func (r *rotating) tidy() error {
	rotated, err := r.rotated()
	if err != nil {
		return err
	}
	// A crash may come between the compressed file and the end of the plain one.
	rotated = slices.DeleteFunc(rotated, func(name string) bool {
		return slices.Contains(rotated, name+gzExt) && os.Remove(name) == nil
	})
	if r.maxFiles > 0 {
		for len(rotated) > r.maxFiles {
			if err := os.Remove(rotated[0]); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			rotated = rotated[1:]
		}
	}
	if !r.gzip {
		return nil
	}
	for _, name := range rotated {
		if !strings.HasSuffix(name, gzExt) {
			if err := compress(name); err != nil {
				return err
			}
		}
	}
	return nil
}

// rotated are the rotated files, oldest first.
func (r *rotating) rotated() ([]string, error) {
	base, ext := r.parts()
	entries, err := os.ReadDir(filepath.Dir(r.path))
	if err != nil {
		return nil, err
	}
	prefix := filepath.Base(base) + "-"
	var names []string
	for _, e := range entries {
		at, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok {
			continue
		}
		at, ok = strings.CutSuffix(strings.TrimSuffix(at, gzExt), ext)
		if _, err := time.Parse(stamp, at); ok && err == nil {
			names = append(names, filepath.Join(filepath.Dir(r.path), e.Name()))
		}
	}
	slices.Sort(names)
	return names, nil
}

// compress replaces a file by its gzip, which appears under its name when it is whole.
func compress(name string) error {
	from, err := os.Open(name)
	if err != nil {
		return err
	}
	defer from.Close()
	unfinished := name + gzExt + ".tmp"
	to, err := os.OpenFile(unfinished, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	zw := gzip.NewWriter(to)
	_, err = io.Copy(zw, from)
	err = errors.Join(err, zw.Close())
	if err == nil {
		err = to.Sync()
	}
	if err = errors.Join(err, to.Close()); err != nil {
		os.Remove(unfinished)
		return err
	}
	if err := os.Rename(unfinished, name+gzExt); err != nil {
		return err
	}
	return os.Remove(name)
}
