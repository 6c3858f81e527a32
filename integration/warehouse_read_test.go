package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/warehouse"
)

// sentEvents are the numbers of the events that a process tried to send. Those that were
// accepted are true; of one that is false, the process died during the call.
type sentEvents map[int]bool

func (s sentEvents) accepted() (n int) {
	for _, yes := range s {
		if yes {
			n++
		}
	}
	return n
}

// warehouseTable is what the database has: of each row, by key, what is not NULL.
type warehouseTable struct {
	kinds map[string]warehouse.Kind
	rows  map[string]map[string]warehouse.Value
}

// readWarehouse reads all tables, in one transaction.
func readWarehouse(ctx context.Context, store warehouse.Store) (map[string]*warehouseTable, error) {
	schema := store.Dialect().Schema
	tx, err := store.Begin(ctx, schema)
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	list, err := tx.Tables(ctx, schema)
	if err != nil {
		return nil, err
	}
	tables := make(map[string]*warehouseTable)
	for _, t := range list {
		read := &warehouseTable{kinds: map[string]warehouse.Kind{}, rows: map[string]map[string]warehouse.Value{}}
		tables[t.Name] = read
		var names []string
		for _, c := range t.Columns {
			read.kinds[c.Name], names = c.Kind, append(names, c.Name)
		}
		err := tx.Read(ctx, schema, t.Name, names, warehouse.Query{}, func(values []warehouse.Value) error {
			row := make(map[string]warehouse.Value)
			for i, v := range values {
				if v.Kind != warehouse.Null {
					v.S = strings.Clone(v.S)
					row[names[i]] = v
				}
			}
			read.rows[row["id"].S] = row
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return tables, nil
}

// newestIDs are the ids of the messages that have set the columns of an object.
func newestIDs(text string) (ids []string) {
	var groups [][]any
	if json.Unmarshal([]byte(text), &groups) != nil {
		return []string{"(broken _newest)"}
	}
	for _, g := range groups {
		ids = append(ids, fmt.Sprint(g[2]))
	}
	return ids
}

// noFailures checks that no load has failed.
func noFailures(t *testing.T, tables map[string]*warehouseTable) {
	t.Helper()
	for id, row := range tables["_syncs"].rows {
		require.NotEqual(t, string(warehouse.Failure), row["status"].S, "%s: %s", id, row["error"].S)
	}
}
