package postgres_test

import (
	"context"
	"fmt"

	"github.com/tributary-dev/analytics/warehouse/postgres"
)

// Settings are checked before anything is sent.
func ExampleStore() {
	store := &postgres.Store{URL: "postgres://loader:secret@db.example.com/shop?sslmode=maybe"}
	fmt.Println(store.Open(context.Background()))

	store.URL = "postgres://loader:secret@db.example.com/shop?sslmode=verify-full"
	fmt.Println(store.Open(context.Background()))
	// Output:
	// URL: is not one that the driver takes, or a file that it names cannot be read; want postgres://user:password@host:port/database
	// <nil>
}
