package archive_test

import (
	"bytes"
	"context"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// memory is a bucket that may be out of reach.
type memory struct {
	mu    sync.Mutex
	files map[string][]byte
	down  error
	loses bool // answers are lost: what was asked for is done
	onPut func(key string)
}

func newMemory() *memory { return &memory{files: make(map[string][]byte)} }

func (m *memory) Put(_ context.Context, key string, r io.Reader, o archive.PutOptions) error {
	raw, err := io.ReadAll(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	_, there := m.files[key]
	switch {
	case m.down != nil:
		return m.down
	case err != nil:
		return err
	case there && o.IfAbsent:
		return archive.ErrExists
	}
	m.files[key] = raw
	if m.onPut != nil {
		m.onPut(key)
	}
	if m.loses {
		return errDown
	}
	return nil
}

func (m *memory) Get(_ context.Context, key string) (io.ReadCloser, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.files[key]
	if !ok {
		return nil, archive.ErrNotFound
	}
	return io.NopCloser(bytes.NewReader(raw)), nil
}

func (m *memory) Stat(_ context.Context, key string) (archive.Object, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	raw, ok := m.files[key]
	if !ok {
		return archive.Object{}, archive.ErrNotFound
	}
	return archive.Object{Key: key, Size: int64(len(raw))}, nil
}

func (m *memory) List(_ context.Context, prefix string) iter.Seq2[archive.Object, error] {
	return func(yield func(archive.Object, error) bool) {
		for _, key := range m.keys() {
			if strings.HasPrefix(key, prefix) && !yield(archive.Object{Key: key}, nil) {
				return
			}
		}
	}
}

func (m *memory) Delete(_ context.Context, key string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.files, key)
	return nil
}

func (m *memory) keys() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.files))
}

func (m *memory) setDown(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.down = err
}

// eventsIn returns the events of a query as lines by id. Each is there once.
func eventsIn(t testing.TB, b archive.Bucket, q archive.Query) map[string]string {
	t.Helper()
	a, err := archive.Open(b, "")
	require.NoError(t, err)
	found := make(map[string]string)
	for e, err := range a.Events(t.Context(), q) {
		require.NoError(t, err)
		require.NotContains(t, found, e.MessageID)
		found[e.MessageID] = string(e.Raw)
	}
	return found
}

// requireSound expects that Verify finds so many events and no fault.
func requireSound(t testing.TB, b archive.Bucket, events int) {
	t.Helper()
	a, err := archive.Open(b, "")
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.Empty(t, report.Faults)
	require.EqualValues(t, events, report.Events)
}

// item is what the client makes of an event.
func item(t testing.TB, d *archive.Destination, h analytics.Header, raw string) analytics.Item {
	t.Helper()
	it, err := d.TranslateRaw(&h, []byte(raw))
	require.NoError(t, err)
	return it
}

// deliver delivers events as one batch that begins at a sequence number.
func deliver(t testing.TB, d *archive.Destination, from uint64, raws ...string) error {
	t.Helper()
	b := &analytics.Batch{Log: analytics.LogID{7}, From: from, To: from + uint64(len(raws))}
	for i, raw := range raws {
		e := analytics.Event{}
		require.NoError(t, e.UnmarshalJSON([]byte(raw)))
		b.Items = append(b.Items, item(t, d, analytics.Header{
			Type: e.Type, MessageID: e.MessageID, UserID: e.UserID, AnonymousID: e.AnonymousID, Event: e.Event,
			AcceptedAt: noon, Log: b.Log, Seq: from + uint64(i),
		}, raw))
	}
	return d.Deliver(t.Context(), b)
}

func open(t testing.TB, d *archive.Destination) *archive.Destination {
	t.Helper()
	require.NoError(t, d.Open(analytics.Env{}))
	t.Cleanup(func() { _ = d.Close(context.Background()) })
	return d
}
