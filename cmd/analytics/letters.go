package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics"
)

// letterPath is the argument of the commands of dead letters.
type letterPath struct {
	Path        string `arg:"" name:"file|dir" help:"File of dead letters, with those beside it that are older; or a directory with such files, that of a spool for example."`
	Destination string `help:"Only the letters of this destination."`
	Reason      string `help:"Only the letters with this reason."`
	Limit       int    `help:"At most so many letters; 0 means all."`
}

// letterFile is an open file of dead letters, with the size that it had then: a client
// may write to it.
type letterFile struct {
	*os.File
	size int64
}

// letterSuffixes are those of the files beside a file of dead letters: what it was
// rotated to, and what a program that died was replaying. In the order in which a file
// may be renamed.
var letterSuffixes = []string{"", ".1", ".replay"}

// openLetters opens the files of dead letters at a path, each one behind those beside it
// that are older.
func openLetters(path string) (files []letterFile, err error) {
	defer func() {
		if err != nil {
			closeLetters(files)
			files = nil
		}
	}()
	names, err := letterNames(path)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		at := len(files)
		for _, suffix := range letterSuffixes {
			// A file that is renamed just now is opened twice, and not never.
			f, err := openLetter(name + suffix)
			if err != nil {
				return files, err
			}
			if f != nil && !slices.ContainsFunc(files[at:], f.same) {
				files = slices.Insert(files, at, *f)
			} else if f != nil {
				f.Close()
			}
		}
	}
	if len(files) == 0 && len(names) > 0 {
		return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
	return files, nil
}

// openLetter opens a file; nil: there is none.
func openLetter(name string) (*letterFile, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return nil, err
	}
	return &letterFile{f, info.Size()}, nil
}

func (f *letterFile) same(other letterFile) bool {
	a, errA := f.Stat()
	b, errB := other.Stat()
	return errA == nil && errB == nil && os.SameFile(a, b)
}

func closeLetters(files []letterFile) {
	for _, f := range files {
		f.Close()
	}
}

// letterNames lists the files at a path, without those beside them.
func letterNames(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil || !info.IsDir() {
		return []string{path}, nil
	}
	var names []string
	for _, pattern := range []string{"", "dlq", filepath.Join("p-*", "dlq")} {
		for _, suffix := range letterSuffixes {
			found, err := fs.Glob(os.DirFS(path), filepath.ToSlash(filepath.Join(pattern, "*.ndjson"+suffix)))
			if err != nil {
				return nil, err
			}
			for _, name := range found {
				names = append(names, filepath.Join(path, filepath.FromSlash(strings.TrimSuffix(name, suffix))))
			}
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// check refuses a reason that there is not.
func (p *letterPath) check() error {
	var r analytics.Reason
	if p.Reason != "" && r.UnmarshalText([]byte(p.Reason)) != nil {
		return fmt.Errorf("%w: there is no reason %q", errUsage, p.Reason)
	}
	return nil
}

func (p *letterPath) wants(l *analytics.DeadLetter) bool {
	return (p.Destination == "" || l.Destination == p.Destination) && (p.Reason == "" || l.Reason.String() == p.Reason)
}

const mostComplaints = 20

// each calls f for the letters that are wanted and returns how many lines could not be
// read; the first of them are named on the side.
func (p *letterPath) each(c *command, files []letterFile, f func(*analytics.DeadLetter) error) (unreadable int, err error) {
	for _, file := range files {
		for letter, err := range analytics.ReadDeadLetters(io.NewSectionReader(file, 0, file.size)) {
			if invalid := (*analytics.InvalidError)(nil); errors.As(err, &invalid) {
				if unreadable++; unreadable <= mostComplaints {
					c.warn("%s: %v", relative(p.Path, file.Name()), err)
				}
				continue
			}
			if err != nil {
				return unreadable, fmt.Errorf("%s: %w", file.Name(), err)
			}
			if !p.wants(&letter) {
				continue
			}
			if err := f(&letter); err != nil {
				return unreadable, err
			}
		}
	}
	return unreadable, nil
}

// reasonCounts counts letters by destination and reason.
type reasonCounts map[string]map[string]int

func (r reasonCounts) add(l *analytics.DeadLetter) {
	reasons := r[l.Destination]
	if reasons == nil {
		reasons = make(map[string]int)
		r[l.Destination] = reasons
	}
	reasons[cmp.Or(l.Reason.String(), "unknown")]++
}

// text is "3 expired, 1 rejected".
func text(reasons map[string]int) string {
	list := make([]string, 0, len(reasons))
	for reason, n := range reasons {
		list = append(list, fmt.Sprintf("%d %s", n, reason))
	}
	slices.SortFunc(list, func(a, b string) int {
		_, nameA, _ := strings.Cut(a, " ")
		_, nameB, _ := strings.Cut(b, " ")
		return strings.Compare(nameA, nameB)
	})
	return strings.Join(list, ", ")
}
