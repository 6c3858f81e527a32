package main

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	"github.com/tributary-dev/analytics"
)

type letterLs struct {
	letterPath
}

type letterJSON struct {
	Time        string `json:"time"`
	Destination string `json:"destination"`
	Reason      string `json:"reason"`
	Attempts    int    `json:"attempts"`
	MessageID   string `json:"messageId"`
	Error       string `json:"error,omitempty"`
}

// flushEvery bounds how many rows a table holds.
const flushEvery = 500

// Run lists letters.
func (cmd *letterLs) Run(c *command) error {
	if err := cmd.check(); err != nil {
		return err
	}
	files, err := openLetters(cmd.Path)
	if err != nil {
		return err
	}
	defer closeLetters(files)
	counts := make(reasonCounts)
	show, end := c.letterTable()
	if c.json {
		show, end = c.letterJSON(counts)
	}
	n := 0
	unreadable, err := cmd.each(c, files, func(l *analytics.DeadLetter) error {
		counts.add(l)
		if n++; cmd.Limit > 0 && n > cmd.Limit {
			return nil
		}
		return show(letterJSON{l.Time.UTC().Format(timeFormat), l.Destination, cmp.Or(l.Reason.String(), "unknown"), l.Attempts, l.MessageID, l.Error})
	})
	if err == nil {
		err = end(unreadable)
	}
	if err == nil && !c.json {
		c.count(n, counts, unreadable)
	}
	return cmp.Or(err, told(unreadable > 0))
}

// letterTable prints rows, some hundreds at a time.
func (c *command) letterTable() (show func(letterJSON) error, end func(unreadable int) error) {
	t := newTable(c.stdout, "TIME", "DESTINATION", "REASON", "ATTEMPTS", "MESSAGE ID", "ERROR")
	n := 0
	return func(l letterJSON) error {
			t.row(l.Time, l.Destination, l.Reason, l.Attempts, cmp.Or(l.MessageID, "-"), cmp.Or(l.Error, "-"))
			if n++; n%flushEvery == 0 {
				return t.print()
			}
			return nil
		}, func(int) error {
			if n == 0 {
				return nil
			}
			return t.print()
		}
}

// letterJSON prints one object, a letter at a time.
func (c *command) letterJSON(counts reasonCounts) (show func(letterJSON) error, end func(unreadable int) error) {
	before := `{"letters":[`
	return func(l letterJSON) error {
			b, err := json.Marshal(l)
			c.printf("%s%s", before, printableJSON(b))
			before = ",\n"
			return err
		}, func(unreadable int) error {
			if before != ",\n" {
				c.printf("%s", before)
			}
			b, err := json.Marshal(counts)
			c.printf("],\"counts\":%s,\"unreadable\":%d}\n", printableJSON(b), unreadable)
			return err
		}
}

func (c *command) count(n int, counts reasonCounts, unreadable int) {
	if n == 0 {
		c.printf("no dead letters\n")
	} else {
		c.printf("\n%s\n", count(n, "letter"))
	}
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		c.printf("  %s: %s\n", printable(name), text(counts[name]))
	}
	if unreadable > 0 {
		c.printf("  %s cannot be read\n", count(unreadable, "line"))
	}
}
