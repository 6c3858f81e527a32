package main

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
)

//go:embed testdata/*.ndjson
var testdata embed.FS

// recording is a day of the shop, in the order in which things happened.
type recording struct {
	midnight time.Time
	events   []*analytics.Event
	bytes    int // of their JSON
}

// read merges the recordings of all channels. Each event gets a messageId from its
// place in the day, so that sending the day twice would not count anything twice.
func read() (day recording, err error) {
	files, err := fs.Glob(testdata, "testdata/*.ndjson")
	if err != nil {
		return day, err
	}
	for _, name := range files {
		data, err := testdata.ReadFile(name)
		if err != nil {
			return day, err
		}
		for n, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
			e := new(analytics.Event)
			if err := e.UnmarshalJSON(line); err != nil {
				return day, fmt.Errorf("%s:%d: %w", name, n+1, err)
			}
			day.events = append(day.events, e)
			day.bytes += len(line)
		}
	}
	if len(day.events) == 0 {
		return day, fmt.Errorf("the recording is empty")
	}
	slices.SortStableFunc(day.events, func(a, b *analytics.Event) int { return a.Timestamp.Compare(b.Timestamp) })
	day.midnight = day.events[0].Timestamp.UTC().Truncate(24 * time.Hour)
	for i, e := range day.events {
		e.MessageID = fmt.Sprintf("shop-%s-%05d", day.midnight.Format(time.DateOnly), i+1)
	}
	return day, nil
}
