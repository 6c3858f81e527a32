// Package examples has what the programs in its folders share: the recorded day of a shop.
package examples

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/tributary-dev/analytics"
)

//go:embed quickstart/testdata/*.ndjson
var testdata embed.FS

// A Recording is a day of the shop.
type Recording struct {
	// Midnight is when the day began, in UTC.
	Midnight time.Time

	// Events are in the order in which things happened.
	Events []*analytics.Event

	// Bytes is how long their JSON was.
	Bytes int
}

// ShopDay merges the recordings of all channels. Each event gets a messageId from its
// place in the day, so that sending the day twice would not count anything twice.
func ShopDay() (*Recording, error) {
	files, err := fs.Glob(testdata, "quickstart/testdata/*.ndjson")
	if err != nil {
		return nil, err
	}
	day := new(Recording)
	for _, name := range files {
		data, err := testdata.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for n, line := range bytes.Split(bytes.TrimSpace(data), []byte("\n")) {
			e := new(analytics.Event)
			if err := e.UnmarshalJSON(line); err != nil {
				return nil, fmt.Errorf("%s:%d: %w", name, n+1, err)
			}
			day.Events = append(day.Events, e)
			day.Bytes += len(line)
		}
	}
	if len(day.Events) == 0 {
		return nil, fmt.Errorf("the recording is empty")
	}
	slices.SortStableFunc(day.Events, func(a, b *analytics.Event) int { return a.Timestamp.Compare(b.Timestamp) })
	day.Midnight = day.Events[0].Timestamp.UTC().Truncate(24 * time.Hour)
	for i, e := range day.Events {
		e.MessageID = fmt.Sprintf("shop-%s-%05d", day.Midnight.Format(time.DateOnly), i+1)
	}
	return day, nil
}
