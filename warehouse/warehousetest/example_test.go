package warehousetest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/warehousetest"
)

func ExampleNewStore() {
	store := warehousetest.NewStore()
	events := &warehouse.Destination{Store: store}
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{events}})
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_ = client.Track(ctx, analytics.Track{UserID: "ann", Event: "Order Completed", Properties: analytics.Properties{"revenue": 9.5}})
	if err := events.SyncNow(ctx); err != nil {
		panic(err)
	}
	for _, row := range store.Rows("events", "order_completed") {
		fmt.Println(row["user_id"], row["revenue"])
	}
	_ = client.Close(ctx)
	// Output: ann 9.5
}

func ExampleRun() {
	_ = func(t *testing.T) { // TestConforms of a store
		warehousetest.Run(t, warehousetest.Setup{
			New:   func(*testing.T) warehouse.Store { return warehousetest.NewStore() },
			Again: func(_ *testing.T, first warehouse.Store) warehouse.Store { return first.(*warehousetest.Store).Again() },
		})
	}
	// Output:
}

func ExampleCheck() {
	_ = func(t *testing.T) { // findings instead of a failed test
		for _, v := range warehousetest.Check(t, memory()) {
			t.Log(v)
		}
	}
	// Output:
}

func ExampleRules() {
	for _, r := range warehousetest.Rules()[:3] {
		fmt.Println(r.Name)
	}
	// Output:
	// setup
	// open
	// dialect
}
