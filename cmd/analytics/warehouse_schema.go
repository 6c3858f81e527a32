package main

import (
	"fmt"
	"time"

	"github.com/tributary-dev/analytics/warehouse"
)

type warehouseSchema struct {
	warehouseAt
	Timeout time.Duration `default:"1m" help:"Give up after so long, where a loader is at work for example."`
	Table   string        `arg:"" optional:"" help:"Only this table, with its columns."`
}

type tableJSON struct {
	Name    string       `json:"name"`
	Columns []columnJSON `json:"columns"`
}

// columnJSON has the kind null where the column is of a type that the loader does not
// make.
type columnJSON struct {
	Name string `json:"name"`
	Kind string `json:"kind"`
}

// Run prints tables.
func (cmd *warehouseSchema) Run(c *command) error {
	w, ctx, done, err := cmd.open(c, cmd.Timeout)
	if err != nil {
		return err
	}
	defer done()
	tables, err := w.Schema(ctx)
	if err != nil {
		return err
	}
	list := []tableJSON{}
	for _, t := range tables {
		if cmd.Table == "" || t.Name == cmd.Table {
			list = append(list, tableOf(t))
		}
	}
	switch {
	case cmd.Table != "" && len(list) == 0:
		return fmt.Errorf("source %s has no table %q", w.source, cmd.Table)
	case c.json:
		return c.printJSON(map[string]any{"warehouse": w.name, "source": w.source, "tables": list})
	case cmd.Table != "":
		t := newTable(c.stdout, "COLUMN", "KIND")
		for _, col := range list[0].Columns {
			t.row(col.Name, col.Kind)
		}
		return t.print()
	case len(list) == 0:
		c.printf("source %s has no tables\n", printable(w.source))
		return nil
	}
	t := newTable(c.stdout, "TABLE", "COLUMNS")
	for _, table := range list {
		t.row(table.Name, len(table.Columns))
	}
	return t.print()
}

func tableOf(t warehouse.Table) tableJSON {
	out := tableJSON{Name: t.Name, Columns: make([]columnJSON, len(t.Columns))}
	for i, col := range t.Columns {
		out.Columns[i] = columnJSON{col.Name, kindOf(col.Kind)}
	}
	return out
}

func kindOf(k warehouse.Kind) string {
	if k == warehouse.Null {
		return "null"
	}
	return k.String()
}
