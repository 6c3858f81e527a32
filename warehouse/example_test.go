package warehouse_test

import (
	"context"
	"fmt"
	"log"
	"maps"
	"slices"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

func ExampleDestination() {
	ctx := context.Background()
	rows := make(map[string]int64) // by table, of all loads
	d := &warehouse.Destination{
		Store:  warehousetest.NewStore(), // or &sqlite.Store{…}, &postgres.Store{…}
		Source: "shop",
		OnSync: func(s warehouse.Sync) {
			for table, n := range s.Tables {
				rows[table] += n
			}
		},
	}
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{d}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close(ctx)

	user := "u-42"
	err = client.Identify(ctx, analytics.Identify{UserID: user, Traits: analytics.Traits{"plan": "pro"}})
	if err != nil {
		log.Fatal(err)
	}
	err = client.Track(ctx, analytics.Track{UserID: user, Event: "Order Completed", Properties: analytics.Properties{"revenue": 39.95}})
	if err != nil {
		log.Fatal(err)
	}
	if err := d.SyncNow(ctx); err != nil {
		log.Fatal(err)
	}
	for _, table := range slices.Sorted(maps.Keys(rows)) {
		fmt.Println(table, rows[table])
	}
	// Output:
	// identifies 1
	// order_completed 1
	// tracks 1
	// users 1
}
