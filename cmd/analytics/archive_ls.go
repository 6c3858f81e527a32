package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/archive"
)

type archiveLs struct {
	archiveAt
	Source []string `sep:"none" placeholder:"NAME" help:"Only files of this source."`
	archiveQuery
	Limit int `help:"At most so many files; 0 means all. The totals are of all."`
}

type archiveFileJSON struct {
	Key           string `json:"key"`
	Source        string `json:"source"`
	Log           string `json:"log"`
	From          uint64 `json:"from"`
	To            uint64 `json:"to"` // not in it
	Events        int64  `json:"events"`
	Bytes         int64  `json:"bytes"`
	RawBytes      int64  `json:"rawBytes"` // without compression
	FirstReceived string `json:"firstReceived"`
	LastReceived  string `json:"lastReceived"`
	Lost          int64  `json:"lost,omitempty"`   // events that the disk had damaged before it was finished
	Erased        string `json:"erased,omitempty"` // when somebody was
	Rewriting     bool   `json:"rewriting,omitempty"`
}

type archiveTotalJSON struct {
	Files    int64 `json:"files"`
	Events   int64 `json:"events"`
	Bytes    int64 `json:"bytes"`
	RawBytes int64 `json:"rawBytes"`
}

// Run lists files.
func (cmd *archiveLs) Run(c *command) error {
	a, err := cmd.open()
	if err != nil {
		return err
	}
	list := []archiveFileJSON{}
	totals := make(map[string]archiveTotalJSON)
	bad := 0
	for f, err := range a.Files(c.ctx, cmd.query(cmd.Source)) {
		if err != nil { // the others follow
			bad = c.damaged(err, bad)
			continue
		}
		t := totals[f.Source]
		totals[f.Source] = archiveTotalJSON{t.Files + 1, t.Events + f.Count, t.Bytes + f.Bytes, t.RawBytes + f.RawBytes}
		if cmd.Limit <= 0 || len(list) < cmd.Limit {
			list = append(list, archiveFileOf(f))
		}
	}
	if c.json {
		err = c.printJSON(map[string]any{"files": list, "sources": totals})
	} else {
		err = c.archiveTable(list, totals)
	}
	return cmp.Or(err, c.ctx.Err(), told(bad > 0))
}

func archiveFileOf(f archive.File) archiveFileJSON {
	out := archiveFileJSON{
		Key: f.Key, Source: f.Source, Log: f.Log, From: f.From, To: f.To, Events: f.Count, Bytes: f.Bytes, RawBytes: f.RawBytes,
		FirstReceived: at(f.FirstReceived), LastReceived: at(f.LastReceived), Lost: f.Lost, Rewriting: f.Rewriting != nil,
	}
	if f.Erased != nil {
		out.Erased = at(*f.Erased)
	}
	return out
}

func (c *command) archiveTable(list []archiveFileJSON, totals map[string]archiveTotalJSON) error {
	if len(totals) == 0 {
		c.printf("no files\n")
		return nil
	}
	t := newTable(c.stdout, "SOURCE", "FIRST RECEIVED", "LAST RECEIVED", "EVENTS", "BYTES", "UNPACKED", "NOTE", "KEY")
	for i, f := range list {
		note := "-"
		switch {
		case f.Rewriting:
			note = "erasure not finished"
		case f.Erased != "":
			note = "erased"
		}
		if f.Lost > 0 {
			note = strings.TrimPrefix(fmt.Sprintf("%s, %d lost", note, f.Lost), "-, ")
		}
		t.row(f.Source, cmp.Or(f.FirstReceived, "-"), cmp.Or(f.LastReceived, "-"), f.Events, bytesOf(f.Bytes), bytesOf(f.RawBytes), note, f.Key)
		if i%flushEvery == flushEvery-1 {
			if err := t.print(); err != nil {
				return err
			}
		}
	}
	if err := t.print(); err != nil {
		return err
	}
	c.printf("\n")
	for _, source := range slices.Sorted(maps.Keys(totals)) {
		n := totals[source]
		c.printf("%s: %s, %s, %s (%s unpacked)\n", printable(source), count(n.Files, "file"), count(n.Events, "event"), bytesOf(n.Bytes), bytesOf(n.RawBytes))
	}
	return nil
}
