package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

// load sends the events to a database and an archive at once. Close delivers all that is
// in the spool, so nothing has to be waited for.
func load(ctx context.Context, events []*analytics.Event, spool, database string, files archive.Bucket) error {
	client, err := analytics.New(analytics.Config{
		Spool: analytics.Spool{Dir: spool},
		Destinations: []analytics.Destination{
			&warehouse.Destination{Store: &sqlite.Store{Path: database}},
			&archive.Destination{Bucket: files},
		},
	})
	if err != nil {
		return err
	}
	for _, e := range events {
		if err := client.Enqueue(ctx, e); err != nil {
			return errors.Join(fmt.Errorf("event %s: %w", e.MessageID, err), client.Close(ctx))
		}
	}
	return client.Close(ctx)
}

// counts are events by call.
type counts map[analytics.Call]int

// rebuild checks every byte of the archive, counts its events, and fills a fresh database
// with them.
func rebuild(ctx context.Context, files archive.Bucket, database string) (counts, error) {
	a, err := archive.Open(files, "")
	if err != nil {
		return nil, err
	}
	report, err := a.Verify(ctx, nil)
	if err != nil {
		return nil, err
	}
	if len(report.Faults) > 0 {
		return nil, fmt.Errorf("the archive is damaged: %v", report.Faults)
	}
	found, err := countFiles(ctx, a)
	if err != nil {
		return nil, err
	}
	fresh := &warehouse.Destination{Store: &sqlite.Store{Path: database}}
	_, err = a.Replay(ctx, archive.Query{}, archive.ToDestination(fresh), archive.ReplayOptions{})
	return found, err
}

// countFiles reads the archive as the programs do that use it.
func countFiles(ctx context.Context, a *archive.Archive) (counts, error) {
	found, seen := make(counts), make(map[string]bool)
	for e, err := range a.Events(ctx, archive.Query{}) {
		if err != nil {
			return nil, err
		}
		if seen[e.MessageID] {
			return nil, fmt.Errorf("the archive has %s twice", e.MessageID)
		}
		seen[e.MessageID] = true
		found[e.Type]++
	}
	return found, nil
}
