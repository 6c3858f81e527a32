package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tributary-dev/analytics/internal/wal"
)

// spoolDir is the argument that all commands of a spool have.
type spoolDir struct {
	Dir string `arg:"" help:"Directory of the spool."`
}

// slot is a slot as this command shows it.
type slot struct {
	*wal.View
	name string
	pid  int // of the process that has it
}

// The states of a slot.
const (
	stateLocked   = "locked"        // a process works in it, or delivers what another has left
	stateIdle     = "idle"          // nothing is in it
	stateLeftover = "leftover"      // a process has left something: the next of the same spool delivers it
	stateNewer    = "newer version" // it cannot be read by this version
	stateDamaged  = "damaged"       // something cannot be read; run verify
)

func (s *slot) state() string {
	switch {
	case s.Newer():
		return stateNewer
	case s.pid > 0:
		return stateLocked
	case s.Damaged():
		return stateDamaged
	case s.Idle():
		return stateIdle
	}
	return stateLeftover
}

// where is the state for people.
func (s *slot) where() string {
	if s.pid > 0 {
		who := fmt.Sprintf("locked by %d", s.pid)
		if state := s.state(); state == stateNewer {
			return who + ", " + state
		}
		if s.Damaged() {
			return who + ", " + stateDamaged
		}
		return who
	}
	return s.state()
}

// slots looks into the slots of a spool, or into one of them. Those that cannot be read
// are reported, and told by bad.
func (c *command) slots(dir, only string) (slots []*slot, bad bool, err error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, false, err
	} else if !info.IsDir() {
		return nil, false, fmt.Errorf("%w: %s is not a directory", errUsage, dir)
	}
	paths, err := wal.Slots(wal.OS{}, dir)
	if err != nil {
		return nil, false, err
	}
	known := false
	for _, path := range paths {
		name := filepath.Base(path)
		if only != "" && name != only {
			continue
		}
		known = true
		view, err := wal.Inspect(wal.OS{}, path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was there a moment ago
		}
		if err != nil {
			c.warn("%s cannot be read: %v", name, err)
			bad = true
			continue
		}
		slots = append(slots, &slot{View: view, name: name, pid: holder(path, view.PID)})
	}
	if only != "" && !known {
		return nil, false, fmt.Errorf("%w: %s has no slot %s", errUsage, dir, only)
	}
	return slots, bad, nil
}

// told turns a fault that was reported into the exit code.
func told(bad bool) error {
	if bad {
		return errTold
	}
	return nil
}

// relative is a path within the directory of the spool, to be shown.
func relative(dir, name string) string {
	if rel, err := filepath.Rel(dir, name); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return name
}
