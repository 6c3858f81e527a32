package warehouse_test

import (
	"context"
	"regexp"
	"slices"
	"sync"
	"testing"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

// TestConforms runs the kit for destinations over a store in memory.
func TestConforms(t *testing.T) {
	var mu sync.Mutex
	stores := make(map[*destinationtest.Service]*warehousetest.Store)
	storeOf := func(s *destinationtest.Service) *warehousetest.Store {
		mu.Lock()
		defer mu.Unlock()
		if stores[s] == nil {
			stores[s] = warehousetest.NewStore()
		}
		return stores[s].Again()
	}
	destinationtest.Run(t, destinationtest.Setup{
		New: func(s *destinationtest.Service) analytics.Destination {
			return &warehouse.Destination{Store: storeOf(s)}
		},
		Stored: func(s *destinationtest.Service) ([]string, error) { return messageIDs(storeOf(s)) },
	})
}

// messageIDs are the ids of the events in all tables, each once; of objects, those that
// have set a value.
func messageIDs(store warehouse.Store) (ids []string, err error) {
	ctx := context.Background()
	tx, err := store.Begin(ctx, "reader")
	if err != nil {
		return nil, err
	}
	defer tx.Rollback() //nolint:errcheck // it only reads
	schema := store.Dialect().Schema
	tables, err := tx.Tables(ctx, schema)
	for _, t := range tables {
		column := "id"
		if _, ok := t.Column("_newest"); ok {
			column = "_newest"
		} else if _, ok := t.Column("original_timestamp"); !ok {
			continue // of the loader itself
		}
		err := tx.Read(ctx, schema, t.Name, []string{column}, warehouse.Query{}, func(v []warehouse.Value) error {
			ids = append(ids, v[0].S)
			if column == "_newest" {
				ids = slices.Concat(ids[:len(ids)-1], sources(v[0].S))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), err
}

// sources are the messages that the values of an object come from.
func sources(newest string) (ids []string) {
	for _, part := range regexp.MustCompile(`"([^"]*)",\[`).FindAllStringSubmatch(newest, -1) {
		ids = append(ids, part[1])
	}
	return ids
}
