package main

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

type destinations struct {
	Name string `arg:"" optional:"" help:"Name of a destination, or of its package: all of its settings and limits."`
}

// Run prints the catalogue, or one entry of it.
func (cmd *destinations) Run(c *command) error {
	if cmd.Name == "" {
		if c.json {
			return c.printJSON(map[string]any{"destinations": c.catalog, "settingsOfAll": catalog.Hooks()})
		}
		return c.overview()
	}
	i := slices.IndexFunc(c.catalog, func(e catalog.Entry) bool { return e.Is(cmd.Name) })
	switch {
	case i < 0:
		return fmt.Errorf("%w: there is no destination %s; without a name they are listed", errUsage, cmd.Name)
	case c.json:
		return c.printJSON(c.catalog[i])
	}
	return c.destination(&c.catalog[i])
}

func (c *command) overview() error {
	t := newTable(c.stdout, "NAME", "PACKAGE", "CATEGORY", "CALLS", "ORDER", "AUTH")
	for _, e := range c.catalog {
		t.row(e.Name, path.Base(e.Package), e.Category, strings.Join(e.Calls, " "), e.Order, cmp.Or(e.Auth, "-"))
	}
	return t.print()
}

func (c *command) destination(e *catalog.Entry) error {
	c.printf("%s: %s, %s\n", e.Name, e.Category, e.API)
	for line := range strings.Lines(e.Doc) {
		c.printf("%s\n", strings.TrimSpace(line))
	}
	c.printf("\n  package: %s\n  in Go: %s\n", e.Package, e.Example)
	if len(e.Aliases) > 0 {
		c.printf("  other names: %s\n", strings.Join(e.Aliases, ", "))
	}
	c.printf("  auth: %s\n  calls: %s\n  order: %s\n", cmp.Or(e.Auth, "none"), strings.Join(e.Calls, ", "), e.Order)
	for _, change := range e.Changes {
		if change.Calls != nil {
			c.printf("  calls with %s: %s\n", change.With, strings.Join(change.Calls, ", "))
		}
		if change.Order != "" {
			c.printf("  order with %s: %s\n", change.With, change.Order)
		}
	}
	c.printf("\n")
	return cmp.Or(c.settings(e), c.limits(e))
}

func (c *command) settings(e *catalog.Entry) error {
	t := newTable(c.stdout, "SETTING", "IN JSON", "TYPE", "DEFAULT", "NOTE", "WHAT")
	for _, s := range e.Settings {
		t.setting(s)
		for _, f := range s.Fields {
			f.Field, f.Key = s.Field+"."+f.Field, s.Key+"."+f.Key
			t.setting(f)
		}
	}
	if err := t.print(); err != nil {
		return err
	}
	c.printf("and what every destination has:")
	for _, s := range catalog.Hooks() {
		c.printf(" %s", s.Field)
	}
	c.printf("\n")
	return nil
}

func (t table) setting(s catalog.Setting) {
	var notes []string
	if s.Required {
		notes = append(notes, "required")
	}
	if s.Secret {
		notes = append(notes, "secret")
	}
	t.row(s.Field, cmp.Or(s.Key, "-"), cmp.Or(strings.Join(s.OneOf, "|"), s.Type), cmp.Or(s.Default, "-"),
		cmp.Or(strings.Join(notes, ", "), "-"), cmp.Or(s.Doc, "-"))
}

func (c *command) limits(e *catalog.Entry) error {
	c.printf("\n")
	t := newTable(c.stdout, "LANE", "WITH", "ITEMS", "BYTES", "OF AN ITEM", "RATE", "AT A TIME", "WAITS", "TIME-OUT")
	rows := func(with string, lanes []catalog.Lane) {
		for _, l := range lanes {
			item, rates := "-", make([]string, len(l.Rates))
			if l.MaxItemBytes > 0 {
				item = l.MaxItemBytes.String()
			}
			for i, r := range l.Rates {
				rates[i] = r.String()
			}
			t.row(cmp.Or(l.Name, "-"), cmp.Or(with, "-"), l.MaxItems, l.MaxBytes, item, cmp.Or(strings.Join(rates, "; "), "-"),
				l.Concurrency, cmp.Or(l.Linger, "FlushInterval"), l.Timeout)
		}
	}
	rows("", e.Lanes)
	for _, change := range e.Changes {
		rows(change.With, change.Lanes)
	}
	return t.print()
}
