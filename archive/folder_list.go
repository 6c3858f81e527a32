package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Get opens a file.
func (f *Folder) Get(_ context.Context, key string) (io.ReadCloser, error) {
	path, err := f.path(key)
	if err != nil {
		return nil, err
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, found(err)
	}
	return file, nil
}

// Stat describes a file.
func (f *Folder) Stat(_ context.Context, key string) (Object, error) {
	path, err := f.path(key)
	if err != nil {
		return Object{}, err
	}
	info, err := os.Stat(path)
	if err == nil && info.IsDir() {
		return Object{}, ErrNotFound
	}
	if err != nil {
		return Object{}, found(err)
	}
	return Object{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil
}

func found(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNotFound
	case err != nil:
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// Delete removes a file.
func (f *Folder) Delete(_ context.Context, key string) error {
	path, err := f.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return fmt.Errorf("archive: %w", err)
	}
	return f.syncFolders(filepath.Dir(path)) // what was erased is not to come back with the power
}

// List yields the files, folder by folder.
func (f *Folder) List(ctx context.Context, prefix string) iter.Seq2[Object, error] {
	return func(yield func(Object, error) bool) {
		if f.Path == "" {
			yield(Object{}, errors.New("archive: Folder.Path is empty"))
			return
		}
		f.walk(ctx, "", prefix, yield)
	}
}

// walk yields what is in the folder of a key; false when it is to end.
func (f *Folder) walk(ctx context.Context, dir, prefix string, yield func(Object, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(Object{}, err)
		return false
	}
	entries, err := os.ReadDir(filepath.Join(f.Path, filepath.FromSlash(dir)))
	if errors.Is(err, fs.ErrNotExist) {
		return true
	}
	if err != nil {
		yield(Object{}, fmt.Errorf("archive: %w", err))
		return false
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(keyOf(dir, a), keyOf(dir, b)) })
	for _, e := range entries {
		key := keyOf(dir, e)
		n := min(len(key), len(prefix))
		switch {
		case key[:n] != prefix[:n], key == partsFolder+"/", key == tempFolder+"/":
		case e.IsDir():
			if !f.walk(ctx, key, prefix, yield) {
				return false
			}
		case len(key) >= len(prefix) && e.Type().IsRegular():
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue // it has gone meanwhile
			}
			if err != nil {
				yield(Object{}, fmt.Errorf("archive: %w", err))
				return false
			}
			if !yield(Object{Key: key, Size: info.Size(), Modified: info.ModTime()}, nil) {
				return false
			}
		}
	}
	return true
}

// keyOf is the key of an entry; that of a folder ends in a slash, as the keys in it go on.
func keyOf(dir string, e fs.DirEntry) string {
	if e.IsDir() {
		return dir + e.Name() + "/"
	}
	return dir + e.Name()
}
