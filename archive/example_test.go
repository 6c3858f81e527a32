package archive_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// An archive in a local folder: it is written, read, and checked.
func Example() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	folder := &archive.Folder{Path: dir}
	client, err := analytics.New(analytics.Config{
		Destinations: []analytics.Destination{&archive.Destination{Bucket: folder, Source: "shop"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, user := range []string{"ann", "bob", "ann"} {
		if err := client.Track(ctx, analytics.Track{UserID: user, Event: "Order Completed"}); err != nil {
			log.Fatal(err)
		}
	}
	if err := client.Close(ctx); err != nil {
		log.Fatal(err)
	}

	a, err := archive.Open(folder, "")
	if err != nil {
		log.Fatal(err)
	}
	for e, err := range a.Events(ctx, archive.Query{UserIDs: []string{"ann"}}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Source, e.Event, e.UserID)
	}
	erased, err := a.Forget(ctx, archive.Identity{UserID: "ann"})
	if err != nil {
		log.Fatal(err)
	}
	report, err := a.Verify(ctx, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(erased.Events, "erased,", report.Events, "left,", len(report.Faults), "faults")
	// Output:
	// shop Order Completed ann
	// shop Order Completed ann
	// 2 erased, 1 left, 0 faults
}

// What an archive has is sent to a destination once more, here one that prints.
func ExampleArchive_Replay() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "archive")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	folder := &archive.Folder{Path: dir}
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{&archive.Destination{Bucket: folder}}})
	if err != nil {
		log.Fatal(err)
	}
	for _, event := range []string{"Product Viewed", "Order Completed", "Order Completed"} {
		if err := client.Track(ctx, analytics.Track{UserID: "ann", Event: event}); err != nil {
			log.Fatal(err)
		}
	}
	if err := client.Close(ctx); err != nil {
		log.Fatal(err)
	}

	a, err := archive.Open(folder, "")
	if err != nil {
		log.Fatal(err)
	}
	fresh := analytics.DestinationFunc("Fresh", func(_ context.Context, events []*analytics.Event) error {
		for _, e := range events {
			fmt.Println(e.Event, "of", e.UserID)
		}
		return nil
	})
	done, err := a.Replay(ctx, archive.Query{Events: []string{"Order Completed"}}, archive.ToDestination(fresh), archive.ReplayOptions{})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(done.Events, "replayed")
	// Output:
	// Order Completed of ann
	// Order Completed of ann
	// 2 replayed
}
