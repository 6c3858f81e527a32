package analyticstest_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
)

// checkout is the code to test.
func checkout(ctx context.Context, client *analytics.Client, user string, total float64) error {
	return client.Track(ctx, analytics.Track{
		UserID: user, Event: "Order Completed",
		Properties: analytics.Properties{}.SetRevenue(total).SetCurrency("EUR"),
	})
}

func ExampleRecord() {
	// In a test of yours: func TestCheckout(t *testing.T)
	test := func(t testing.TB) {
		client, rec := analyticstest.Record(t)
		if err := checkout(t.Context(), client, "u-42", 39.95); err != nil {
			t.Fatalf("checkout: %v", err)
		}
		analyticstest.Flush(t, client)
		for _, e := range rec.Named("Order Completed") {
			fmt.Println(e.UserID, "paid", e.Properties["revenue"], e.Properties["currency"])
		}
	}

	tested(context.Background(), test)
	// Output: u-42 paid 39.95 EUR
}

func ExampleNewClient() {
	// In a test of yours: func TestCheckoutIsSent(t *testing.T). In testing/synctest,
	// srv.Script makes it fail first and the retries take no time.
	test := func(t testing.TB) {
		client, srv := analyticstest.NewClient(t)
		if err := checkout(t.Context(), client, "u-42", 39.95); err != nil {
			t.Fatalf("checkout: %v", err)
		}
		analyticstest.Flush(t, client)
		fmt.Println(srv.Requests(), "request,", srv.Unique(), "event:", srv.Decoded()[0]["event"])
	}

	tested(context.Background(), test)
	// Output: 1 request, 1 event: Order Completed
}

func ExampleNewRecorder() {
	rec := analyticstest.NewRecorder()
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{rec}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	if err := checkout(ctx, client, "u-42", 39.95); err != nil {
		fmt.Println(err)
	}
	if err := client.Close(ctx); err != nil {
		fmt.Println(err)
	}
	fmt.Println(rec.Len(), "event of", rec.Events()[0].UserID)
	// Output: 1 event of u-42
}
