package main

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"

	"github.com/tributary-dev/analytics/internal/wal"
)

type spoolDropCursor struct {
	spoolDir
	Destination string `arg:"" help:"Name of the destination."`
	Slot        string `help:"Only in this slot, p-0 for example."`
	Yes         bool   `help:"Do it. Without it the command says what it would do."`
}

// dropJSON is a cursor that is, or would be, removed.
type dropJSON struct {
	Slot        string `json:"slot"`
	Destination string `json:"destination"`
	Unread      uint64 `json:"unread"` // events that it will not get
	Freed       uint64 `json:"freed"`  // of those, the ones that no other destination waits for
	NewLog      bool   `json:"newLog"` // the log gets a new id, since only this cursor knows its last number
	Removed     bool   `json:"removed"`
	Refused     string `json:"refused,omitempty"`

	file string
}

// Run removes cursors.
func (cmd *spoolDropCursor) Run(c *command) error {
	slots, bad, err := c.slots(cmd.Dir, cmd.Slot)
	if err != nil {
		return err
	}
	list := []dropJSON{}
	for _, s := range slots {
		if s.Newer() {
			c.warn("%s was written by a newer version", s.name)
			bad = true
			continue
		}
		d, ok := s.plan(cmd.Destination)
		if !ok {
			continue
		}
		switch {
		case s.pid > 0:
			d.Refused = fmt.Sprintf("process %d works in the slot: stop it first", s.pid)
		case cmd.Yes:
			d = s.drop(cmd.Destination, d)
		}
		bad = bad || d.Refused != ""
		list = append(list, d)
	}
	if len(list) == 0 && !bad {
		return fmt.Errorf("there is no cursor of %q", cmd.Destination)
	}
	if c.json {
		err = c.printJSON(map[string]any{"cursors": list})
	} else {
		for _, d := range list {
			d.print(c, cmd.Yes)
		}
	}
	return cmp.Or(err, told(bad))
}

// plan says what removing a cursor would mean.
func (s *slot) plan(destination string) (d dropJSON, ok bool) {
	cur, ok := s.cursor(destination)
	if !ok {
		return d, false
	}
	d = dropJSON{Slot: s.name, Destination: cur.Destination, Unread: s.Unread(cur.Place), file: cur.File}
	d.NewLog = s.Broken == nil && cur.End() > s.End(cur.File)
	done := uint64(math.MaxUint64) // by all the others
	for _, c := range s.Cursors {
		if c.File != cur.File {
			done = min(done, c.Done)
		}
	}
	d.Freed = d.Unread - s.Unread(wal.Place{Done: max(cur.Done, done), Ahead: cur.Ahead})
	return d, true
}

// drop removes a cursor under the lock of the slot.
func (s *slot) drop(destination string, d dropJSON) dropJSON {
	locked, err := wal.OpenSlot(wal.OS{}, s.Path)
	if errors.Is(err, wal.ErrLocked) {
		d.Refused = "another process has just taken the slot"
		return d
	}
	if err == nil {
		err = errors.Join(s.dropLocked(locked, destination, &d), locked.Unlock())
	}
	if err != nil {
		d.Refused = err.Error()
	}
	return d
}

func (s *slot) dropLocked(locked *wal.Slot, destination string, d *dropJSON) error {
	view, err := wal.Inspect(wal.OS{}, s.Path)
	if err != nil {
		return err
	}
	now := slot{View: view, name: s.name}
	plan, ok := now.plan(destination)
	if !ok {
		return errors.New("the cursor is gone")
	}
	*d = plan
	if d.NewLog { // before the cursor goes, so that no number is given out twice under one id
		locked.ID.Log = wal.NewID()
		if err := locked.Save(); err != nil {
			return err
		}
	}
	for _, name := range []string{locked.StatePath(d.file), locked.CursorPath(d.file)} {
		if err := locked.FS.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	d.Removed = true
	return locked.SyncNames()
}

func (d *dropJSON) print(c *command, yes bool) {
	what := "would remove"
	if d.Removed {
		what = "removed"
	}
	c.printf("%s: %s the cursor of %s, which has %s unread", d.Slot, what, printable(d.Destination), count(d.Unread, "event"))
	c.printf("; %d of them are kept for it alone\n", d.Freed)
	if d.NewLog {
		c.printf("  the log gets a new id, since only this cursor knows how far its numbers go\n")
	}
	if d.Refused != "" {
		c.printf("  refused: %s\n", printable(d.Refused))
	} else if !yes {
		c.printf("  a destination of this name that comes back begins behind what is there now; nothing was changed, add --yes\n")
	}
}
