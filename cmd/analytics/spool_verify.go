package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/tributary-dev/analytics/internal/wal"
)

type spoolVerify struct {
	spoolDir
}

// verdictJSON is what verify says of a slot.
type verdictJSON struct {
	Slot       string        `json:"slot"`
	State      string        `json:"state"`
	Frames     uint64        `json:"frames"`
	Events     uint64        `json:"events"`
	RingEvents uint64        `json:"ringEvents"`
	Damage     []placeJSON   `json:"damage"`
	Missing    []missingJSON `json:"missing"`
	Notes      []placeJSON   `json:"notes"` // nothing is lost there
}

type placeJSON struct {
	File   string `json:"file"`
	Offset int64  `json:"offset"`
	Bytes  int64  `json:"bytes"`
	What   string `json:"what"`
}

type missingJSON struct {
	From         uint64   `json:"from"`
	To           uint64   `json:"to"` // not missing itself
	Destinations []string `json:"destinations"`
}

// Run reads everything.
func (cmd *spoolVerify) Run(c *command) error {
	slots, bad, err := c.slots(cmd.Dir, "")
	if err != nil {
		return err
	}
	bar := c.bar("verify", size(slots), true)
	defer bar.clear()
	list := make([]verdictJSON, 0, len(slots))
	damaged := false
	for _, s := range slots {
		v := verdictJSON{Slot: s.name, State: s.state(), Damage: []placeJSON{}, Missing: []missingJSON{}, Notes: []placeJSON{}}
		r, err := s.Verify(bar.add)
		switch {
		case errors.Is(err, wal.ErrVersion):
			v.State = stateNewer
			v.Notes = append(v.Notes, placeJSON{File: s.name, What: "written by a newer version, and not read"})
			bad = true
		case err != nil:
			return err
		default:
			v.report(cmd.Dir, r)
			damaged = damaged || !r.Sound()
		}
		list = append(list, v)
	}
	bar.clear()
	if c.json {
		err = c.printJSON(map[string]any{"slots": list, "damaged": damaged})
	} else {
		for _, v := range list {
			v.print(c)
		}
	}
	return cmp.Or(err, told(bad || damaged))
}

// size is what there is to read.
func size(slots []*slot) (n int64) {
	for _, s := range slots {
		n += s.Bytes() + int64(s.Ring.Size)
	}
	return n
}

func (v *verdictJSON) report(dir string, r *wal.Report) {
	v.Frames, v.Events, v.RingEvents = r.Frames, r.Events, r.RingEvents
	for _, f := range r.Damage {
		v.Damage = append(v.Damage, placeOf(dir, f))
	}
	for _, f := range r.Notes {
		v.Notes = append(v.Notes, placeOf(dir, f))
	}
	for _, m := range r.Missing {
		v.Missing = append(v.Missing, missingJSON{m.From, m.To, m.Destinations})
	}
}

func placeOf(dir string, f wal.Found) placeJSON {
	return placeJSON{relative(dir, f.File), f.Off, f.Len, f.What}
}

func (p placeJSON) String() string {
	return fmt.Sprintf("%s: offset %d, %d bytes: %s", p.File, p.Offset, p.Bytes, p.What)
}

func (v *verdictJSON) print(c *command) {
	c.printf("%s: %s in %s, %d of them only in the ring\n", v.Slot, count(v.Events, "event"), count(v.Frames, "frame"), v.RingEvents)
	for _, p := range v.Damage {
		c.printf("  damaged  %s\n", printable(p.String()))
	}
	for _, m := range v.Missing {
		c.printf("  missing  events %d to %d, for which these wait:", m.From, m.To-1)
		for _, d := range m.Destinations {
			c.printf(" %s", printable(d))
		}
		c.printf("\n")
	}
	for _, p := range v.Notes {
		c.printf("  note     %s\n", printable(p.String()))
	}
	if len(v.Damage)+len(v.Missing) == 0 && v.State != stateNewer {
		c.printf("  no damage\n")
	}
}
