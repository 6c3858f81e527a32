package analytics

import (
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
)

// TestDiskLiars runs the schedules of power loss on file systems that do not do what
// they say. That has to be noticed: the schedules are worth something only if they fail
// when a promise is broken.
func TestDiskLiars(t *testing.T) {
	for _, kind := range []scheduleKind{
		{name: "no directory is synced", wrap: func(fsys wal.FS) wal.FS { return liar{FS: fsys, dirs: true} }},
		{name: "no file is synced", wrap: func(fsys wal.FS) wal.FS { return liar{FS: fsys, files: true} }},
		{name: "a failed sync is hidden", per: 8, hidden: true, wrap: func(fsys wal.FS) wal.FS { return liar{FS: fsys, failures: true} }},
	} {
		t.Run(kind.name, func(t *testing.T) {
			for seed := range uint64(200) {
				if caught(t, func(t testing.TB) { runSchedule(t, kind, seed) }) {
					t.Logf("noticed by seed %d", seed)
					return
				}
			}
			require.Fail(t, "nobody noticed")
		})
	}
}

// caught tells whether a test fails.
func caught(t *testing.T, test func(t testing.TB)) (failed bool) {
	synctest.Test(t, func(t *testing.T) {
		c := &catcher{TB: t}
		defer func() {
			if v := recover(); v != nil && v != any(c) {
				panic(v)
			}
			failed = c.failed
		}()
		test(c)
	})
	return failed
}

// catcher is a test that may fail.
type catcher struct {
	testing.TB
	failed bool
}

func (c *catcher) Fatalf(format string, args ...any) {
	c.failed = true
	panic(c)
}

// liar says that something is synced, and it is not.
type liar struct {
	wal.FS
	dirs, files, failures bool
}

func (l liar) SyncDir(name string) error {
	if l.dirs {
		return nil
	}
	return l.FS.SyncDir(name)
}

func (l liar) Open(name string, write, create bool) (wal.File, error) {
	f, err := l.FS.Open(name, write, create)
	if err != nil {
		return nil, err
	}
	return lyingFile{f, l}, nil
}

type lyingFile struct {
	wal.File
	liar
}

func (f lyingFile) Sync() error {
	if f.files {
		return nil
	}
	err := f.File.Sync()
	if f.failures {
		return nil
	}
	return err
}
