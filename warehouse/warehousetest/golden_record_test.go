package warehousetest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

var update = flag.Bool("update", false, "record the day of the shop again; cases are written by hand")

const (
	shopEventsFile = "testdata/golden/shop.ndjson.gz"
	shopTablesFile = "testdata/golden/shop.json.gz"
)

// TestShopTables compares the tables of the day with those that the model makes of its
// events.
func TestShopTables(t *testing.T) {
	if *update {
		synctest.Test(t, func(t *testing.T) { write(t, shopEventsFile, record(t)) })
	}
	var m model
	n := 0
	for line := range bytes.Lines(unzip(t, shopEventsFile)) {
		var e recorded
		require.NoError(t, json.Unmarshal(line, &e))
		m.add(e.AcceptedAt, e.Event)
		n++
	}
	require.Equal(t, 2879, n, "the events of the day")
	got, err := json.MarshalIndent(m.file(), "", " ")
	require.NoError(t, err)
	if *update {
		write(t, shopTablesFile, got)
	}
	require.True(t, bytes.Equal(got, unzip(t, shopTablesFile)), "run the test with -update and look at what has changed")
}

// recorded is a line of the file.
type recorded struct {
	AcceptedAt time.Time       `json:"acceptedAt"`
	Event      json.RawMessage `json:"event"`
}

// record plays the day of examples/quickstart to a client, each message a moment after it
// happened, and keeps what its log holds.
func record(t *testing.T) []byte {
	messages := shopDay(t)
	time.Sleep(time.Until(messages[0].Timestamp))
	var r recorder
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{&r}})
	require.NoError(t, err)
	for _, e := range messages {
		time.Sleep(time.Until(e.Timestamp.Add(1234567 * time.Microsecond)))
		require.NoError(t, client.Enqueue(t.Context(), e))
	}
	require.NoError(t, client.Close(t.Context()))
	return r.lines.Bytes()
}

// shopDay is the recording of examples/quickstart, with the messageIds that it has there.
func shopDay(t *testing.T) (all []*analytics.Event) {
	files, err := filepath.Glob("../../examples/quickstart/testdata/*.ndjson")
	require.NoError(t, err)
	for _, name := range files {
		data, err := os.ReadFile(name)
		require.NoError(t, err)
		for line := range bytes.Lines(data) {
			e := new(analytics.Event)
			require.NoError(t, e.UnmarshalJSON(line))
			all = append(all, e)
		}
	}
	slices.SortStableFunc(all, func(a, b *analytics.Event) int { return a.Timestamp.Compare(b.Timestamp) })
	for i, e := range all {
		e.MessageID = fmt.Sprintf("shop-%s-%05d", all[0].Timestamp.UTC().Format(time.DateOnly), i+1)
	}
	return all
}

// recorder is a destination that keeps the bytes of the log, as a warehouse gets them.
type recorder struct{ lines bytes.Buffer }

func (*recorder) Describe() analytics.Description {
	return analytics.Description{Name: analytics.IntegrationWarehouses, IgnoreAll: true, Order: analytics.Total,
		Lanes: map[string]analytics.Limits{"": {Concurrency: 1}}}
}

func (*recorder) Translate(*analytics.Event) ([]analytics.Item, error) {
	panic("no plugin asks for it")
}

func (*recorder) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	line, err := json.Marshal(recorded{h.AcceptedAt.UTC(), raw})
	return analytics.Item{Body: line}, err
}

func (r *recorder) Deliver(_ context.Context, b *analytics.Batch) error {
	for _, item := range b.Items {
		r.lines.Write(append(item.Body, '\n'))
	}
	return nil
}

func unzip(t *testing.T, name string) []byte {
	data, err := os.ReadFile(name)
	require.NoError(t, err)
	z, err := gzip.NewReader(bytes.NewReader(data))
	require.NoError(t, err)
	var out bytes.Buffer
	_, err = out.ReadFrom(z)
	require.NoError(t, err)
	return out.Bytes()
}

func write(t *testing.T, name string, data []byte) {
	var out bytes.Buffer
	z, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	require.NoError(t, err)
	_, err = z.Write(data)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(name, out.Bytes(), 0o644))
}
