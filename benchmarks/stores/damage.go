package main

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
)

// copyFolder copies regular files and folders, and leaves holes where there are
// zeros.
func copyFolder(to, from string) error {
	return filepath.WalkDir(from, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		switch {
		case e.IsDir():
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		case e.Type().IsRegular():
			return copyFile(filepath.Join(to, rel), path)
		}
		return nil
	})
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	block, zero := make([]byte, 64<<10), make([]byte, 64<<10)
	for size := int64(0); ; {
		n, err := io.ReadFull(in, block)
		if n > 0 && !bytes.Equal(block[:n], zero[:n]) {
			if _, err := out.WriteAt(block[:n], size); err != nil {
				return err
			}
		}
		size += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return errors.Join(out.Truncate(size), out.Close())
		}
		if err != nil {
			return err
		}
	}
}

// place is somewhere in a file.
type place struct {
	path   string
	offset int64
}

// locate finds the event of a number below a folder: in the largest file that has it,
// but for the one named copies, the last time it is there. A store may keep events compressed; then ok is false.
func locate(dir string, n int, copies string) (p place, ok bool, err error) {
	id, size := idOf(n), -1
	err = eachFile(dir, func(path string, data []byte) {
		if i := bytes.LastIndex(data, id); i >= 0 && len(data) > size && filepath.Base(path) != copies {
			p, ok, size = place{path, int64(i)}, true, len(data)
		}
	})
	return p, ok, err
}

// largest returns the file with most bytes.
func largest(dir string) (name string, size int64, err error) {
	err = eachFile(dir, func(path string, data []byte) {
		if int64(len(data)) > size {
			name, size = path, int64(len(data))
		}
	})
	return name, size, err
}

func eachFile(dir string, f func(path string, data []byte)) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil {
			f(path, data)
		}
		return err
	})
}

// flip changes one byte in or right before the event of trial k of trials, the events
// being spread over all n; or, where no event can be seen, a byte of the largest file.
func flip(dir, copies string, k, trials, n int) error {
	p, ok, err := locate(dir, n*(2*k+1)/(2*trials), copies)
	if err != nil {
		return err
	}
	const before = 32 // what a store may keep beside the event
	p.offset = max(0, p.offset+rand.New(rand.NewPCG(uint64(k), 7)).Int64N(before+eventSize)-before)
	if !ok {
		name, size, err := largest(dir)
		if err != nil {
			return err
		}
		p = place{name, size * int64(2*k+1) / int64(2*trials)}
	}
	file, err := os.OpenFile(p.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	var b [1]byte
	if _, err := file.ReadAt(b[:], p.offset); err != nil {
		return errors.Join(err, file.Close())
	}
	b[0] ^= 0x04 // stays a letter where it was one, mostly
	_, err = file.WriteAt(b[:], p.offset)
	return errors.Join(err, file.Close())
}

// cutBytes is how much a cut file misses.
const cutBytes = 100

// cut shortens the file that has the newest of n events by cutBytes, counted from its
// last byte that is not zero where a store reserves space that it has not yet written.
func cut(dir, copies string, n int) error {
	p, ok, err := locate(dir, n-1, copies)
	if err != nil {
		return err
	}
	if !ok {
		if p.path, err = newest(dir); err != nil {
			return err
		}
	}
	data, err := os.ReadFile(p.path)
	if err != nil {
		return err
	}
	end := len(data)
	if used := bytes.TrimRight(data, "\x00"); end-len(used) >= cutBytes {
		end = len(used)
	}
	return os.Truncate(p.path, int64(max(0, end-cutBytes)))
}

// newest returns the file with bytes in it that was changed last.
func newest(dir string) (string, error) {
	type dated struct {
		path string
		info fs.FileInfo
	}
	var all []dated
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		info, err := e.Info()
		if err == nil && info.Size() > cutBytes {
			all = append(all, dated{path, info})
		}
		return err
	})
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("no file to cut")
	}
	return slices.MaxFunc(all, func(a, b dated) int { return a.info.ModTime().Compare(b.info.ModTime()) }).path, nil
}
