package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/tributary-dev/analytics/internal/wal"
)

type spoolCat struct {
	spoolDir
	Slot        string `help:"Only this slot, p-0 for example."`
	Destination string `help:"Only what this destination has not finished."`
	From        uint64 `help:"Begin at this sequence number."`
	Limit       int    `help:"At most so many events; 0 means all."`
}

// eventJSON is a line of cat. What is not JSON stands as a string and, where it is not
// UTF-8 either, in base64 too.
type eventJSON struct {
	Slot       string          `json:"slot"`
	Seq        uint64          `json:"seq"`
	AcceptedAt string          `json:"acceptedAt"`
	Ring       bool            `json:"ring,omitempty"` // it is in no segment
	Event      json.RawMessage `json:"event"`
	EventBytes []byte          `json:"eventBytes,omitempty"`
}

var errEnough = errors.New("enough")

// Run prints events.
func (cmd *spoolCat) Run(c *command) error {
	slots, bad, err := c.slots(cmd.Dir, cmd.Slot)
	if err != nil {
		return err
	}
	known := cmd.Destination == ""
	left := cmd.Limit
	for _, s := range slots {
		var at wal.Place
		if cmd.Destination != "" {
			cursor, ok := s.cursor(cmd.Destination)
			if !ok {
				continue
			}
			known, at = true, cursor.Place
		}
		r := wal.Reading{From: cmd.From, Damage: func(f wal.Found) {
			bad = true
			c.warn("damaged: %s", placeOf(cmd.Dir, f))
		}}
		r.Record = func(rec wal.Record, inRing bool) error {
			if cmd.Destination != "" && at.Has(rec.Seq) {
				return nil
			}
			if err := c.printJSON(eventOf(s.name, rec, inRing)); err != nil {
				return err
			}
			if left--; left == 0 {
				return errEnough
			}
			return nil
		}
		if err := s.Read(r); errors.Is(err, errEnough) {
			break
		} else if errors.Is(err, wal.ErrVersion) {
			bad = true
			c.warn("%s was written by a newer version", s.name)
		} else if err != nil {
			return err
		}
	}
	if !known {
		return fmt.Errorf("no slot has a cursor of %q", cmd.Destination)
	}
	return told(bad)
}

func eventOf(slot string, rec wal.Record, inRing bool) eventJSON {
	e := eventJSON{Slot: slot, Seq: rec.Seq, AcceptedAt: moment(rec.At), Ring: inRing, Event: rec.Body}
	whole := utf8.Valid(rec.Body)
	if !whole {
		e.EventBytes = rec.Body
	}
	if !whole || !json.Valid(rec.Body) {
		e.Event, _ = json.Marshal(string(bytes.ToValidUTF8(rec.Body, []byte("\uFFFD")))) // a string is never an error
	}
	return e
}

// cursor finds the cursor of a destination, by its name or that of its file.
func (s *slot) cursor(destination string) (wal.CursorView, bool) {
	for _, c := range s.Cursors {
		if c.File == wal.FileName(destination) || c.File == destination {
			return c, true
		}
	}
	return wal.CursorView{}, false
}
