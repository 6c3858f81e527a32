package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// files keeps each batch in a file of its own, one event a line, as the SDKs for
// phones do: written under a temporary name, then renamed, deleted when delivered.
type files struct {
	dir    string
	synced bool
	buf    []byte

	mu   sync.Mutex
	next int
	wait []string // names of batches not yet read

	done []string // read, not committed
}

const pending = ".tmp"

func openFiles(o options) (store, error) {
	names, err := os.ReadDir(o.dir) // sorted
	if err != nil {
		return nil, err
	}
	f := &files{dir: o.dir, synced: o.synced}
	for _, e := range names {
		name := e.Name()
		if strings.HasSuffix(name, pending) {
			if err := os.Remove(filepath.Join(o.dir, name)); err != nil {
				return nil, err
			}
			continue
		}
		f.wait = append(f.wait, name)
		if _, err := fmt.Sscanf(name, "%d", &f.next); err != nil {
			return nil, fmt.Errorf("%s is no batch: %w", name, err)
		}
	}
	return f, nil
}

func (f *files) append(batch [][]byte) error {
	f.buf = f.buf[:0]
	for _, e := range batch {
		f.buf = append(append(f.buf, e...), '\n')
	}
	f.mu.Lock()
	f.next++
	name := fmt.Sprintf("%016d.ndjson", f.next)
	f.mu.Unlock()
	path := filepath.Join(f.dir, name)
	if err := f.write(path + pending); err != nil {
		return errors.Join(err, os.Remove(path+pending))
	}
	if err := os.Rename(path+pending, path); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wait = append(f.wait, name)
	return nil
}

func (f *files) write(path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	_, err = file.Write(f.buf)
	if err == nil && f.synced {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// sync makes the names durable. The contents are synced before the rename, or an
// empty file could bear the name.
func (f *files) sync() error { return syncFolder(f.dir) }

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (f *files) read(limit int) (out [][]byte, err error) {
	for len(out) < limit {
		f.mu.Lock()
		if len(f.wait) == 0 {
			f.mu.Unlock()
			return out, nil
		}
		name := f.wait[0]
		f.wait = f.wait[1:]
		f.mu.Unlock()
		data, err := os.ReadFile(filepath.Join(f.dir, name))
		if err != nil {
			return out, err
		}
		f.done = append(f.done, name)
		for line := range bytes.Lines(data) {
			out = append(out, bytes.TrimSuffix(line, []byte{'\n'}))
		}
	}
	return out, nil
}

func (f *files) commit() error {
	for _, name := range f.done {
		if err := os.Remove(filepath.Join(f.dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f.done = f.done[:0]
	return nil
}

func (f *files) close() error { return nil }
