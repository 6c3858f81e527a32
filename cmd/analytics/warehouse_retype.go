package main

import (
	"fmt"
	"slices"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

type warehouseRetype struct {
	warehouseAt
	Timeout time.Duration `default:"1h" help:"Give up after so long; everything is as it was then."`
	Table   string        `arg:"" help:"Name of the table."`
	Column  string        `arg:"" help:"Name of the column."`
	Kind    string        `arg:"" enum:"bool,int,float,time,string,json" help:"Kind that the column gets: bool, int, float, time, string or json."`
	Yes     bool          `help:"Do it. Without it the command says what it would do."`
}

// retypeJSON is what became of a column, or would.
type retypeJSON struct {
	Table    string `json:"table"`
	Column   string `json:"column"`
	From     string `json:"from"`
	To       string `json:"to"`
	Done     bool   `json:"done"`
	Rows     int64  `json:"rows"`     // that had a value
	Restored int64  `json:"restored"` // values of _unmapped that fit now
	SetAside int64  `json:"setAside"` // values that fit no longer, and are in _unmapped now
}

// Run changes the kind of a column.
func (cmd *warehouseRetype) Run(c *command) error {
	var kind warehouse.Kind
	if err := kind.UnmarshalText([]byte(cmd.Kind)); err != nil {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	w, ctx, done, err := cmd.open(c, cmd.Timeout)
	if err != nil {
		return err
	}
	defer done()
	tables, err := w.Schema(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(tables, func(t warehouse.Table) bool { return t.Name == cmd.Table })
	if i < 0 {
		return fmt.Errorf("source %s has no table %q", w.source, cmd.Table)
	}
	col, ok := tables[i].Column(cmd.Column)
	if !ok {
		return fmt.Errorf("table %s has no column %q", cmd.Table, cmd.Column)
	}
	if col.Kind == kind {
		return fmt.Errorf("%s.%s is of the kind %s already", cmd.Table, cmd.Column, kind)
	}
	out := retypeJSON{Table: cmd.Table, Column: cmd.Column, From: kindOf(col.Kind), To: kind.String()}
	if cmd.Yes {
		r, err := w.Retype(ctx, cmd.Table, cmd.Column, kind)
		if err != nil {
			return err
		}
		out.Done, out.Rows, out.Restored, out.SetAside = true, r.Rows, r.Restored, r.SetAside
	}
	if c.json {
		return c.printJSON(out)
	}
	out.print(c)
	return nil
}

func (r *retypeJSON) print(c *command) {
	if !r.Done {
		c.printf("would make %s.%s of the kind %s, which is of the kind %s\n", printable(r.Table), printable(r.Column), r.To, r.From)
		c.printf("nothing was changed, add --yes; loads wait meanwhile\n")
		return
	}
	c.printf("%s.%s is of the kind %s, and was of the kind %s\n", printable(r.Table), printable(r.Column), r.To, r.From)
	c.printf("  %s; %d restored from _unmapped, %d set aside there\n", rowsWithValue(r.Rows), r.Restored, r.SetAside)
}

func rowsWithValue(n int64) string { return count(int(n), "row") + " with a value" }
