package analytics_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// recorder is a raw destination that keeps the bytes of every event, in order.
type recorder struct {
	mu     sync.Mutex
	events []string
}

var _ analytics.RawTranslator = (*recorder)(nil)

func (r *recorder) Describe() analytics.Description {
	return analytics.Description{
		Name: "Recorder", Calls: analytics.SixCalls | analytics.CallsOf(analytics.CallObject), Order: analytics.Total, IgnoreAll: true,
		Lanes: map[string]analytics.Limits{"": {Linger: -1}},
	}
}

func (r *recorder) Translate(*analytics.Event) ([]analytics.Item, error) {
	return nil, errors.New("the recorder takes raw events")
}

func (r *recorder) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	return analytics.Item{Body: raw}, nil
}

func (r *recorder) Deliver(_ context.Context, b *analytics.Batch) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, it := range b.Items {
		r.events = append(r.events, string(it.Body))
	}
	return nil
}

// recording is a client over a recorder.
type recording struct {
	*analytics.Client
	t        *testing.T
	recorder *recorder
}

func newRecording(t *testing.T, cfg analytics.Config) *recording {
	r := &recording{t: t, recorder: &recorder{}}
	cfg.Destinations = []analytics.Destination{r.recorder}
	var err error
	r.Client, err = newClient(t, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = r.Close(context.Background()) })
	return r
}

// on reports to a subtest from now on.
func (r *recording) on(t *testing.T) *recording {
	return &recording{Client: r.Client, t: t, recorder: r.recorder}
}

// wire returns the events that have arrived since it was called last.
func (r *recording) wire() []string {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(r.t, r.Flush(ctx))
	r.recorder.mu.Lock()
	defer r.recorder.mu.Unlock()
	events := r.recorder.events
	r.recorder.events = nil
	return events
}

// sent enqueues one message and returns its JSON.
func (r *recording) sent(ctx context.Context, m analytics.Message) string {
	r.t.Helper()
	require.NoError(r.t, r.Enqueue(ctx, m))
	events := r.wire()
	require.Len(r.t, events, 1)
	return events[0]
}

// refused enqueues a message that must be refused and leave nothing behind.
func (r *recording) refused(m analytics.Message) error {
	r.t.Helper()
	before := r.Stats()
	var err error
	require.NotPanics(r.t, func() { err = r.Enqueue(context.Background(), m) })
	if err == nil {
		r.wire() // not for the next test
	}
	require.Error(r.t, err)
	require.Equal(r.t, before, r.Stats(), "a refused event is not counted")
	require.JSONEq(r.t, `{"n":1}`, get(r.t, r.sent(context.Background(), analytics.Track{UserID: "u", Event: "After", Properties: map[string]int{"n": 1}}), "properties"))
	return err
}

// send sends one message through a client of its own.
func send(t *testing.T, m analytics.Message) string {
	t.Helper()
	return newRecording(t, analytics.Config{}).sent(t.Context(), m)
}

// faultsOf lists the fields that an error names, each once, in order of the alphabet.
func faultsOf(t *testing.T, err error) []string {
	t.Helper()
	var fields []string
	var walk func(error)
	walk = func(err error) {
		if joined, ok := err.(interface{ Unwrap() []error }); ok {
			for _, e := range joined.Unwrap() {
				walk(e)
			}
			return
		}
		var inv *analytics.InvalidError
		require.ErrorAs(t, err, &inv)
		require.NotEmpty(t, inv.Reason)
		fields = append(fields, inv.Field)
	}
	walk(err)
	slices.Sort(fields)
	return slices.Compact(fields)
}

// sorted walks over a map in the order of its keys.
func sorted[V any](m map[string]V) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for _, k := range slices.Sorted(maps.Keys(m)) {
			if !yield(k, m[k]) {
				return
			}
		}
	}
}

// get returns the raw JSON at a path of keys, "" where there is none.
func get(t *testing.T, doc, path string) string {
	t.Helper()
	for _, key := range strings.Split(path, ".") {
		var m map[string]json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(doc), &m), doc)
		raw, ok := m[key]
		if !ok {
			return ""
		}
		doc = string(raw)
	}
	return doc
}

// keysOf returns the keys of a JSON object, sorted.
func keysOf(t *testing.T, doc string) []string {
	t.Helper()
	var m map[string]json.RawMessage
	require.NoError(t, json.Unmarshal([]byte(doc), &m), doc)
	keys := []string{}
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// decoded is the event that a text stands for.
func decoded(t *testing.T, doc string) *analytics.Event {
	t.Helper()
	var e analytics.Event
	require.NoError(t, json.Unmarshal([]byte(doc), &e), doc)
	return &e
}
