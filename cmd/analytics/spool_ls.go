package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/tributary-dev/analytics/internal/wal"
)

type spoolLs struct {
	spoolDir
}

// slotJSON is a slot in the output of ls.
type slotJSON struct {
	Slot         string       `json:"slot"`
	State        string       `json:"state"`
	PID          int          `json:"pid,omitempty"` // of the process that has it
	Spool        string       `json:"spool"`         // the id of the spool
	Log          *wal.ID      `json:"log"`
	Ring         *ringJSON    `json:"ring"`
	Segments     int          `json:"segments"`
	Events       uint64       `json:"events"`
	Bytes        int64        `json:"bytes"`
	Oldest       string       `json:"oldest,omitempty"`
	Destinations []unreadJSON `json:"destinations"`
	Bad          int          `json:"quarantinedFiles"`
	BadBytes     int64        `json:"quarantinedBytes"`
}

type ringJSON struct {
	File   string `json:"file"`
	Mode   string `json:"mode"`
	Bytes  int    `json:"bytes"`
	Events int    `json:"events"` // that are in no segment
}

type unreadJSON struct {
	Name    string `json:"name"`
	Unread  uint64 `json:"unread"`
	Damaged bool   `json:"damagedCursor,omitempty"`
}

// Run lists the slots.
func (cmd *spoolLs) Run(c *command) error {
	slots, bad, err := c.slots(cmd.Dir, "")
	if err != nil {
		return err
	}
	list := make([]slotJSON, 0, len(slots))
	for _, s := range slots {
		list = append(list, s.describe())
	}
	if c.json {
		err = c.printJSON(map[string]any{"slots": list})
	} else {
		err = c.list(cmd.Dir, slots, list)
	}
	return cmp.Or(err, told(bad))
}

func (s *slot) describe() slotJSON {
	out := slotJSON{
		Slot: s.name, State: s.state(), PID: s.pid, Spool: s.ID.Spool, Segments: len(s.Segments), Events: s.Events(), Bytes: s.Bytes(),
		Destinations: []unreadJSON{}, Bad: s.Bad, BadBytes: s.BadBytes,
	}
	if s.Broken == nil {
		out.Log = &s.ID.Log
	}
	if s.Ring.Size > 0 {
		out.Ring = &ringJSON{s.Ring.Name, s.Ring.Use.String(), s.Ring.Size, s.Ring.Events}
	}
	if at, ok := s.Oldest(); ok {
		out.Oldest = moment(at)
	}
	for _, cur := range s.Cursors {
		out.Destinations = append(out.Destinations, unreadJSON{cur.Destination, s.Unread(cur.Place), cur.Damaged})
	}
	return out
}

func (c *command) list(dir string, slots []*slot, list []slotJSON) error {
	if len(list) == 0 {
		c.printf("no slots in %s\n", printable(dir))
		return nil
	}
	t := newTable(c.stdout, "SLOT", "STATE", "LOG", "RING", "SEGMENTS", "EVENTS", "BYTES", "OLDEST")
	for i, s := range list {
		log, ring := "-", "-"
		if s.Log != nil {
			text, _ := s.Log.MarshalText()
			log = string(text)
		}
		if s.Ring != nil {
			ring = fmt.Sprintf("%s %s", bytesOf(s.Ring.Bytes), s.Ring.Mode)
		}
		t.row(s.Slot, slots[i].where(), log, ring, s.Segments, s.Events, bytesOf(s.Bytes), cmp.Or(s.Oldest, "-"))
	}
	if err := t.print(); err != nil {
		return err
	}
	for i, s := range list {
		c.printf("\n%s\n", s.Slot)
		if s.Spool != "" {
			c.printf("  spool id: %s\n", printable(strings.ReplaceAll(s.Spool, "\n", ", ")))
		}
		if s.Ring != nil && filepath.Dir(s.Ring.File) != slots[i].Path {
			c.printf("  ring: %s\n", printable(s.Ring.File))
		}
		if s.Ring != nil && s.Ring.Events > 0 {
			c.printf("  only in the ring: %s\n", count(s.Ring.Events, "event"))
		}
		for _, d := range s.Destinations {
			note := ""
			if d.Damaged {
				note = ", the cursor is damaged"
			}
			c.printf("  %s: %d unread%s\n", printable(d.Name), d.Unread, note)
		}
		if s.Bad > 0 {
			c.printf("  quarantine: %s, %s\n", count(s.Bad, "file"), bytesOf(s.BadBytes))
		}
	}
	return nil
}
