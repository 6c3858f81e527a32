package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/warehouse"
)

type archiveForget struct {
	archiveAt
	User            []string      `sep:"none" placeholder:"ID" help:"Erase events with this userId; can be given several times."`
	Anonymous       []string      `sep:"none" placeholder:"ID" help:"Erase events with this anonymousId; can be given several times."`
	Store           string        `env:"ANALYTICS_WAREHOUSE" placeholder:"ADDRESS" help:"Erase in this warehouse too: an address as in warehouse status."`
	WarehouseSource string        `placeholder:"NAME" help:"Source in the warehouse, which is the schema of the tables."`
	Timeout         time.Duration `default:"24h" help:"Give up after so long; run it again then."`
	Yes             bool          `help:"Do it. Without it the command says what it would do."`
}

// forgottenJSON is what was erased, or would be.
type forgottenJSON struct {
	Done      bool                 `json:"done"` // false: there was no --yes, or it ended early
	Archive   archive.Forgotten    `json:"archive"`
	Warehouse *warehouseErasedJSON `json:"warehouse,omitempty"`
	Error     string               `json:"error,omitempty"`
}

type warehouseErasedJSON struct {
	Name   string           `json:"name"`
	Source string           `json:"source"`
	Done   bool             `json:"done"`
	Tables map[string]int64 `json:"tables"` // rows; none without --yes, which would have to erase to know
}

// Run erases somebody: first where tables can be made from again.
func (cmd *archiveForget) Run(c *command) error {
	if len(cmd.User)+len(cmd.Anonymous) == 0 {
		return fmt.Errorf("%w: say who, with --user or --anonymous", errUsage)
	}
	if slices.Contains(cmd.User, "") || slices.Contains(cmd.Anonymous, "") {
		return fmt.Errorf("%w: an id is empty", errUsage)
	}
	a, err := cmd.openWritten()
	if err != nil {
		return err
	}
	out := forgottenJSON{}
	var w *opened
	ctx, cancel := context.WithTimeoutCause(c.ctx, cmd.Timeout, fmt.Errorf("not finished within %s", cmd.Timeout))
	defer cancel()
	if cmd.Store != "" {
		place := warehouseAt{Store: cmd.Store, Source: cmd.WarehouseSource}
		opened, _, done, err := place.open(c, cmd.Timeout)
		if err != nil {
			return err
		}
		defer done()
		w = opened
		out.Warehouse = &warehouseErasedJSON{Name: w.name, Source: w.source, Tables: map[string]int64{}}
	}
	if cmd.Yes {
		err = cmd.erase(ctx, a, w, &out)
	} else {
		out.Archive, err = a.WouldForget(ctx, cmd.whom()...)
	}
	if err != nil {
		out.Error = err.Error()
	}
	if c.json {
		err = c.printJSON(out)
	} else {
		err = out.print(c, cmd.Yes)
	}
	if err != nil {
		return err
	}
	return told(out.Error != "" || cmd.Yes && out.Archive.Parts > 0)
}

// whom are those to be erased.
func (cmd *archiveForget) whom() (who []archive.Identity) {
	for _, id := range cmd.User {
		who = append(who, archive.Identity{UserID: id})
	}
	for _, id := range cmd.Anonymous {
		who = append(who, archive.Identity{AnonymousID: id})
	}
	return who
}

func (cmd *archiveForget) erase(ctx context.Context, a *archive.Archive, w *opened, out *forgottenJSON) (err error) {
	out.Archive, err = a.Forget(ctx, cmd.whom()...)
	if w != nil { // also where a file of the archive is damaged
		var who []warehouse.Identity
		for _, id := range cmd.whom() {
			who = append(who, warehouse.Identity(id))
		}
		erased, fault := w.Forget(ctx, who...)
		if fault == nil {
			out.Warehouse.Tables, out.Warehouse.Done = erased.Tables, true
		}
		err = errors.Join(err, fault)
	}
	out.Done = err == nil
	return err
}

func (o *forgottenJSON) print(c *command, yes bool) error {
	what := "would erase"
	if yes {
		what = "erased"
	}
	c.printf("archive: %s %s in %s\n", what, count(o.Archive.Events, "event"), count(len(o.Archive.Files), "file"))
	err := o.printFiles(c, yes)
	for _, key := range o.Archive.Unread {
		c.printf("  %s cannot be read: they may still be in it\n", printable(key))
	}
	if o.Archive.Parts > 0 {
		c.printf("  %s not looked into: stop the process that writes them, or let it erase, and run this again; remove damaged ones\n", count(o.Archive.Parts, "unfinished file"))
	}
	if w := o.Warehouse; w != nil {
		c.printf("%s, source %s: ", printable(w.Name), printable(w.Source))
		switch {
		case !yes:
			c.printf("would erase the rows of the same ids\n")
		case !w.Done:
			c.printf("nothing was erased\n")
		default:
			err = cmp.Or(err, w.print(c))
		}
	}
	switch {
	case o.Error != "":
		c.printf("ended early: %s; run it again\n", printable(o.Error))
	case !yes:
		c.printf("nothing was erased, add --yes\n")
	}
	return err
}

func (o *forgottenJSON) printFiles(c *command, yes bool) error {
	if len(o.Archive.Files) == 0 {
		return nil
	}
	t := newTable(c.stdout, "FILE", "EVENTS", "NOTE")
	for _, f := range o.Archive.Files {
		note := "-"
		switch {
		case f.Deleted && yes:
			note = "the file is gone"
		case f.Deleted:
			note = "nothing is left of it"
		}
		t.row(f.Key, f.Events, note)
	}
	return t.print()
}

func (w *warehouseErasedJSON) print(c *command) error {
	total := int64(0)
	for _, n := range w.Tables {
		total += n
	}
	c.printf("erased %s\n", count(total, "row"))
	if total == 0 {
		return nil
	}
	t := newTable(c.stdout, "TABLE", "ROWS")
	for _, name := range slices.Sorted(maps.Keys(w.Tables)) {
		t.row(name, w.Tables[name])
	}
	return t.print()
}
