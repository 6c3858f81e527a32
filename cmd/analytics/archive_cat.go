package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
)

type archiveCat struct {
	archiveAt
	Source []string `sep:"none" placeholder:"NAME" help:"Only events of this source."`
	archiveQuery
	Limit int `help:"At most so many events; 0 means all."`
}

// Run prints events as they are in the files, one a line.
func (cmd *archiveCat) Run(c *command) error {
	a, err := cmd.open()
	if err != nil {
		return err
	}
	left, bad := cmd.Limit, 0
	for e, err := range a.Events(c.ctx, cmd.query(cmd.Source)) {
		if err != nil { // the files behind it follow
			bad = c.damaged(err, bad)
			continue
		}
		line, err := eventLine(e.Raw)
		if err != nil {
			return err
		}
		if _, err := c.stdout.Write(append(line, '\n')); err != nil {
			return err
		}
		if left--; left == 0 {
			break
		}
	}
	return cmp.Or(c.ctx.Err(), told(bad > 0))
}

// damaged names what cannot be read, up to a number of lines, and counts it.
func (c *command) damaged(err error, before int) int {
	switch {
	case before < mostComplaints:
		c.warn("%v", err)
	case before == mostComplaints:
		c.warn("and more")
	}
	return before + 1
}

// eventLine is an event as it is, or, where it has something that is not printable, the
// same JSON with that escaped. The result is not part of raw.
func eventLine(raw []byte) ([]byte, error) {
	if bytes.IndexFunc(raw, unprintable) < 0 {
		return bytes.Clone(raw), nil
	}
	var line bytes.Buffer
	if json.Compact(&line, bytes.ToValidUTF8(raw, []byte("\uFFFD"))) != nil {
		return nil, errors.New("a line is no JSON: run analytics archive verify")
	}
	return printableJSON(line.Bytes()), nil
}
