package archive_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// tap is a destination that keeps each event as it is in the log.
type tap struct {
	source func([]byte) string
	mu     sync.Mutex
	events []*accepted
	seen   map[string]bool
}

func newTap(source func([]byte) string) *tap { return &tap{source: source, seen: map[string]bool{}} }

func (d *tap) Describe() analytics.Description {
	all := analytics.SixCalls | analytics.CallsOf(analytics.CallObject)
	return analytics.Description{Name: "Tap", Order: analytics.Total, IgnoreAll: true, Calls: all, Lanes: map[string]analytics.Limits{"": {Linger: -1}}}
}

func (d *tap) Translate(e *analytics.Event) ([]analytics.Item, error) { panic("nobody decodes") }

func (d *tap) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	e := &accepted{id: h.MessageID, log: h.Log.String(), seq: h.Seq, raw: bytes.Clone(raw), at: h.AcceptedAt, source: d.source(raw)}
	return analytics.Item{Body: raw, Data: e}, nil
}

func (d *tap) Deliver(_ context.Context, b *analytics.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, it := range b.Items {
		if e := it.Data.(*accepted); !d.seen[e.log+e.id] {
			d.seen[e.log+e.id] = true
			d.events = append(d.events, e)
		}
	}
	return nil
}

// home is the source of everything in tests with one source.
func home([]byte) string { return "default" }

// byUserPrefix takes the source from the userId: "shop:42" is of shop.
func byUserPrefix(raw []byte) string {
	_, rest, found := bytes.Cut(raw, []byte(`"userId":"`))
	source, _, colon := bytes.Cut(rest, []byte(":"))
	if !found || !colon || bytes.ContainsAny(source, `",`) {
		return ""
	}
	return string(source)
}

// orDefault is what a source becomes that SourceOf does not name.
func orDefault(of func([]byte) string, name string) func([]byte) string {
	return func(raw []byte) string {
		if s := of(raw); s != "" {
			return s
		}
		return name
	}
}

// leftAlone ends a client when its test has failed before it could.
func leftAlone(t *testing.T, client *analytics.Client) {
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		_ = client.Close(ended)
	})
}

// archived makes a client with an archive and a tap, sends, and closes both.
func archived(t *testing.T, cfg analytics.Config, d *archive.Destination, send func(*analytics.Client)) *tap {
	t.Helper()
	source := home
	if d.Source != "" {
		source = func([]byte) string { return d.Source }
	}
	if d.SourceOf != nil {
		source = orDefault(d.SourceOf, source(nil))
	}
	if d.Dir == "" {
		d.Dir = quickDir(t)
	}
	tap := newTap(source)
	cfg.Destinations = append(cfg.Destinations, d, tap)
	client, err := analytics.New(cfg)
	require.NoError(t, err)
	leftAlone(t, client)
	send(client)
	require.NoError(t, client.Flush(t.Context()))
	stats := client.Stats()
	require.Equal(t, stats.Accepted, stats.Destinations["Archive"].Delivered, "%+v", stats.Destinations["Archive"])
	require.NoError(t, client.Close(t.Context()))
	require.EqualValues(t, stats.Accepted, len(tap.events))
	return tap
}
