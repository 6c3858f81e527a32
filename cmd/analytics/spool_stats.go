package main

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

type spoolStats struct {
	spoolDir
}

// standingJSON is where a destination stands in a slot.
type standingJSON struct {
	Slot        string      `json:"slot"`
	Destination string      `json:"destination"`
	Done        uint64      `json:"done"` // everything below is finished
	Unread      uint64      `json:"unread"`
	UnreadBytes int64       `json:"unreadBytes"`
	Oldest      string      `json:"oldest,omitempty"` // unread event
	OldestAge   float64     `json:"oldestAgeSeconds,omitempty"`
	Ahead       [][2]uint64 `json:"ahead"` // finished beyond done: from, to; to is not in it
	Damaged     bool        `json:"damagedCursor,omitempty"`

	at int64
}

// Run counts what is unread.
func (cmd *spoolStats) Run(c *command) error {
	slots, bad, err := c.slots(cmd.Dir, "")
	if err != nil {
		return err
	}
	bar := c.bar("stats", size(slots), true)
	defer bar.clear()
	list := []standingJSON{}
	damaged := false
	for _, s := range slots {
		standings, err := s.standings(func(wal.Found) { damaged = true }, bar.add)
		switch {
		case errors.Is(err, wal.ErrVersion):
			c.warn("%s was written by a newer version", s.name)
			bad = true
		case err != nil:
			return err
		}
		list = append(list, standings...)
	}
	bar.clear()
	now := c.now()
	for i := range list {
		if d := &list[i]; d.Unread > 0 {
			d.Oldest, d.OldestAge = moment(d.at), max(now.Sub(time.UnixMilli(d.at)), 0).Round(time.Millisecond).Seconds()
		}
	}
	if c.json {
		err = c.printJSON(map[string]any{"destinations": list})
	} else {
		err = c.stand(list)
	}
	if damaged {
		c.warn("something is damaged: run analytics spool verify")
	}
	return cmp.Or(err, told(bad || damaged))
}

// standings reads the events of a slot and counts them for each destination.
func (s *slot) standings(damage func(wal.Found), progress func(int64)) ([]standingJSON, error) {
	list := make([]standingJSON, len(s.Cursors))
	for i, cur := range s.Cursors {
		list[i] = standingJSON{Slot: s.name, Destination: cur.Destination, Done: cur.Done, Ahead: [][2]uint64{}, Damaged: cur.Damaged}
		if cur.Damaged {
			damage(wal.Found{})
		}
		for _, span := range cur.Ahead {
			list[i].Ahead = append(list[i].Ahead, [2]uint64{span.From, span.To})
		}
	}
	return list, s.Read(wal.Reading{Damage: damage, Progress: progress, Record: func(rec wal.Record, _ bool) error {
		for i, cur := range s.Cursors {
			if d := &list[i]; !cur.Has(rec.Seq) {
				if d.Unread == 0 {
					d.at = rec.At
				}
				d.Unread++
				d.UnreadBytes += int64(len(rec.Body))
			}
		}
		return nil
	}})
}

func (c *command) stand(list []standingJSON) error {
	if len(list) == 0 {
		c.printf("no destination has a cursor\n")
		return nil
	}
	t := newTable(c.stdout, "SLOT", "DESTINATION", "DONE", "UNREAD", "BYTES", "OLDEST", "AGE", "FINISHED AHEAD")
	for _, d := range list {
		oldest, age := "-", "-"
		if d.Unread > 0 {
			oldest, age = d.Oldest, (time.Duration(d.OldestAge) * time.Second).String()
		}
		name := d.Destination
		if d.Damaged {
			name += " (damaged cursor)"
		}
		t.row(d.Slot, name, d.Done, d.Unread, bytesOf(d.UnreadBytes), oldest, age, spans(d.Ahead))
	}
	return t.print()
}

// spans writes ranges with their last number.
func spans(list [][2]uint64) string {
	text := make([]string, 0, len(list))
	for _, s := range list {
		text = append(text, fmt.Sprintf("%d-%d", s[0], s[1]-1))
	}
	return cmp.Or(strings.Join(text, " "), "-")
}
