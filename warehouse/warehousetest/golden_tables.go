package warehousetest

import (
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tributary-dev/analytics/warehouse"
)

// add adds a row. Its uuid is the hash of its id unless it says otherwise.
func (t *goldenTable) add(r object) error {
	row := map[string]string{}
	for _, c := range t.columns {
		raw, ok := r[c.Name]
		delete(r, c.Name)
		if !ok || string(raw) == "null" {
			continue
		}
		text, err := wantText(c.Kind, raw)
		if err != nil {
			return fmt.Errorf("column %s: %w", c.Name, err)
		}
		row[c.Name] = text
	}
	for name := range r {
		return fmt.Errorf("a row has %s, which is no column", name)
	}
	var id string
	if err := json.Unmarshal([]byte(row["id"]), &id); err != nil {
		return fmt.Errorf("id: %w", err)
	}
	if _, ok := row["uuid"]; !ok {
		row["uuid"] = strconv.FormatInt(goldenUUID(id), 10)
	}
	if t.rows[id] != nil {
		return fmt.Errorf("id %s comes twice", id)
	}
	t.rows[id] = row
	return nil
}

// goldenUUID is the FNV-1a hash of an id in 63 bits.
func goldenUUID(id string) int64 {
	h := fnv.New64a()
	h.Write([]byte(id))
	return int64(h.Sum64() & math.MaxInt64)
}

// common is the table tracks of a case: the standard columns of its tables of events.
func (c *goldenCase) common(name string) *goldenTable {
	schema := name[:strings.LastIndexByte(name, '.')+1]
	t := &goldenTable{rows: map[string]map[string]string{}}
	for _, text := range standardColumns("tracks", false) {
		column, _ := parseColumn(text)
		t.columns = append(t.columns, column)
	}
	for other, table := range c.tables {
		if _, ok := table.column("event_text"); !ok || other[:strings.LastIndexByte(other, '.')+1] != schema || other == name {
			continue
		}
		for id, row := range table.rows {
			row = maps.Clone(row)
			maps.DeleteFunc(row, func(column, _ string) bool {
				_, ok := t.column(column)
				return !ok || column == "_unmapped"
			})
			t.rows[id] = row
		}
	}
	return t
}

// column finds a column, also none of no table.
func (t *goldenTable) column(name string) (warehouse.Column, bool) {
	if t == nil {
		return warehouse.Column{}, false
	}
	return (&warehouse.Table{Columns: t.columns}).Column(name)
}

// readTables reads a schema, without the tables of the loader itself.
func readTables(ctx context.Context, t *testing.T, s warehouse.Store, home, schema string) map[string]*goldenTable {
	tx, err := s.Begin(ctx, home)
	if err != nil {
		t.Fatalf("Begin: %v", err)
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	list, err := tx.Tables(ctx, schema)
	if err != nil {
		t.Fatalf("Tables: %v", err)
	}
	all := map[string]*goldenTable{}
	for _, table := range list {
		if slices.Contains([]string{"_positions", "_syncs"}, table.Name) {
			continue
		}
		g := &goldenTable{columns: table.Columns, rows: map[string]map[string]string{}}
		all[table.Name] = g
		names := make([]string, len(g.columns))
		for i, c := range g.columns {
			names[i] = c.Name
		}
		err := tx.Read(ctx, schema, table.Name, names, warehouse.Query{}, func(v []warehouse.Value) error {
			row := map[string]string{}
			for i, name := range names {
				if v[i].Kind != warehouse.Null {
					row[name] = strings.Clone(gotText(v[i]))
				}
			}
			g.rows[strings.Clone(v[0].S)] = row
			return nil
		})
		if err != nil {
			t.Fatalf("Read %s: %v", table.Name, err)
		}
	}
	return all
}
