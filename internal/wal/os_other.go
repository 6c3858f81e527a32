//go:build !linux && !darwin && !windows

package wal

import (
	"errors"
	"math"
	"os"
)

func syncFile(f *os.File) error { return f.Sync() }

// SyncDir syncs a directory where the system can.
func (OS) SyncDir(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_ = f.Sync()
	return f.Close()
}

// Local is false: files are written call by call here.
func (OS) Local(string) bool { return false }

// Map is not supported here, and not used where Local is false.
func (OS) Map(string, int64) (Mapping, error) { return nil, errors.ErrUnsupported }

// BootID has no value here: an unclean end then counts as one of the machine.
func (OS) BootID() string { return "" }

// Free is not known here.
func (OS) Free(string) (int64, error) { return math.MaxInt64, nil }

// lockFile cannot lock here, so that a spool is refused.
func lockFile(*os.File) error { return errors.ErrUnsupported }
