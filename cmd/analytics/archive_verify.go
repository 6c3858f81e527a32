package main

import (
	"cmp"

	"github.com/tributary-dev/analytics/archive"
)

type archiveVerify struct {
	archiveAt
}

// Run reads everything.
func (cmd *archiveVerify) Run(c *command) error {
	a, err := cmd.openWritten()
	if err != nil {
		return err
	}
	var b *bar
	report, err := a.Verify(c.ctx, func(p archive.Progress) {
		if b == nil {
			b = c.longBar("verify", p.AllBytes, true)
		}
		b.set(p.Bytes)
	})
	if b != nil {
		b.clear()
	}
	if err != nil {
		return err
	}
	sound := len(report.Faults) == 0
	if c.json {
		if report.Faults == nil {
			report.Faults = []archive.Fault{}
		}
		err = c.printJSON(map[string]any{"report": report, "damaged": !sound})
	} else {
		c.verdict(&report)
	}
	return cmp.Or(err, told(!sound))
}

func (c *command) verdict(r *archive.Report) {
	c.printf("%s in %s, %s\n", count(r.Events, "event"), count(r.Files, "file"), bytesOf(r.Bytes))
	for _, f := range r.Faults {
		c.printf("  damaged  %s: %s\n", printable(f.Key), printable(f.Problem))
	}
	if r.MoreFaults > 0 {
		c.printf("  and %d more\n", r.MoreFaults)
	}
	if r.Lost > 0 {
		c.printf("  %s lost to a damaged disk before their files were finished\n", count(r.Lost, "event"))
	}
	if r.Parts > 0 {
		c.printf("  %s not looked into\n", count(r.Parts, "unfinished file"))
	}
	if len(r.Faults) == 0 {
		c.printf("  no damage\n")
	}
}
