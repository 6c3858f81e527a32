package analytics_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

func TestReceivedFaultsAreNamed(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for message, fields := range map[string][]string{
		``: {"message"}, `[]`: {"message"}, `{`: {"message"}, "\ufeff{}": {"message"}, aReceived + "x": {"message"}, aReceived + aReceived: {"message"},
		`{"type":"track","userId":"u","event":"E","x":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`: {"message"},
		`{}`:                            {"type", "userId"},
		`{"userId":"u"}`:                {"type"},
		`{"type":"Track","userId":"u"}`: {"type"}, `{"type":7,"userId":"u"}`: {"type"}, `{"type":"object","collection":"c","id":"1","properties":{}}`: {"type"},
		`{"type":"track","userId":"u"}`: {"event"}, `{"type":"track","userId":"u","event":""}`: {"event"}, `{"type":"track","userId":"u","event":5}`: {"event"},
		`{"type":"track","event":"E"}`: {"userId"}, `{"type":"track","event":"E","userId":""}`: {"userId"}, `{"type":"track","event":"E","userId":7}`: {"userId"},
		`{"type":"page","anonymousId":7}`: {"anonymousId", "userId"}, `{"type":"page","userId":null}`: {"userId"},
		`{"type":"group","userId":"u"}`: {"groupId"}, `{"type":"group","userId":"u","groupId":7}`: {"groupId"},
		`{"type":"alias","userId":"u"}`: {"previousId"}, `{"type":"alias","anonymousId":"a","previousId":"p"}`: {"userId"}, `{"type":"alias","userId":"u","previousId":[]}`: {"previousId"},
		`{"type":"page","userId":"u","name":7,"category":""}`: {"category", "name"},
		member(`"properties":[]`):                             {"properties"}, member(`"traits":"x"`): {"traits"}, member(`"context":1`): {"context"}, member(`"integrations":false`): {"integrations"},
	} {
		for way, in := range ways(analytics.Inbound{}) {
			in.Claim = func(string) bool { t.Error("claimed what is refused"); return true }
			require.Equal(t, fields, faultsOf(t, r.EnqueueJSON(t.Context(), []byte(message), in)), "%s, %s", message, way)
		}
	}
	require.Zero(t, r.Stats().Accepted)
	require.Equal(t, `"page"`, get(t, r.received(`{"userId":"u"}`, &analytics.Inbound{Call: analytics.CallPage}), "type"), "the path says what a message does not")
	require.Equal(t, `"track"`, get(t, r.received(aReceived, &analytics.Inbound{Call: analytics.CallPage}), "type"))
	require.Equal(t, []string{"type"}, faultsOf(t, r.EnqueueJSON(t.Context(), []byte(`{"type":null,"userId":"u"}`), &analytics.Inbound{Call: analytics.CallPage})))
	require.Equal(t, []string{"type"}, faultsOf(t, r.EnqueueJSON(t.Context(), []byte(`{"userId":"u","collection":"c","id":"1"}`), &analytics.Inbound{Call: analytics.CallObject})))
}

func TestReceivedSize(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	sized := func(n int) []byte { return []byte(member(`"properties":{"x":"` + strings.Repeat("x", n) + `"}`)) }
	n := 32<<10 - len(r.received(string(sized(1)), &analytics.Inbound{ReceivedAt: orderTime})) + 1
	for _, in := range ways(analytics.Inbound{ReceivedAt: orderTime}) {
		require.Len(t, r.received(string(sized(n)), in), 32<<10)
		require.Equal(t, []string{"message"}, faultsOf(t, r.EnqueueJSON(t.Context(), sized(n+1), in)))
		require.Equal(t, []string{"message"}, faultsOf(t, r.EnqueueJSON(t.Context(), sized(100_000), in)))
	}
}

// blocked delivers nothing until it is released.
func blocked(t *testing.T) (*double, func()) {
	d, released := newDouble("acme"), make(chan struct{})
	d.deliver = func(ctx context.Context, _ *analytics.Batch) error {
		select {
		case <-released:
		case <-ctx.Done():
		}
		return nil
	}
	release := func() { close(released) }
	return d, release
}

func TestReceivedByAFullOrClosedClient(t *testing.T) {
	large := []byte(member(`"properties":{"x":"` + strings.Repeat("x", 30_000) + `"}`))
	for name, cfg := range map[string]analytics.Config{"refuses": {}, "blocks": {WhenFull: analytics.Block}} {
		d, release := blocked(t)
		cfg.Destinations, cfg.MaxMemory = []analytics.Destination{d}, 1<<20
		client, err := newClient(t, cfg)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		if name == "blocks" {
			cancel() // nothing waits then
		}
		claimed := 0
		in := &analytics.Inbound{Claim: func(string) bool { claimed++; return true }}
		err = nil
		accepted := 0
		for ; err == nil && accepted < 1e4; accepted++ {
			err = client.EnqueueJSON(ctx, large, in)
		}
		require.ErrorIs(t, err, analytics.ErrQueueFull, name)
		require.Equal(t, name == "blocks", errors.Is(err, context.Canceled))
		require.Equal(t, accepted, claimed, "claimed also where it was not accepted")
		require.EqualValues(t, 1, client.Stats().Refused)
		cancel()
		release()
		require.NoError(t, client.Flush(timeout(t)))
		require.NotPanics(t, func() { err = client.EnqueueJSON(nil, large, nil) }) //nolint:staticcheck // as for every other call
		require.NoError(t, err)
		require.NoError(t, client.Close(timeout(t)))
		require.ErrorIs(t, client.EnqueueJSON(t.Context(), large, in), analytics.ErrClosed)
	}
}

// A nil ctx waits for room as any other.
func TestReceivedWaitsForRoom(t *testing.T) {
	d, release := blocked(t)
	client, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{d}, MaxMemory: 1 << 20, WhenFull: analytics.Block, FlushAt: 1})
	require.NoError(t, err)
	large := []byte(member(`"properties":{"x":"` + strings.Repeat("x", 30_000) + `"}`))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for err == nil {
		err = client.EnqueueJSON(ctx, large, nil)
	}
	done := make(chan error)
	go func() { done <- client.EnqueueJSON(nil, large, nil) }() //nolint:staticcheck // as for every other call
	release()
	require.NoError(t, <-done)
	require.NoError(t, client.Close(timeout(t)))
}

func timeout(t *testing.T) context.Context { return in(t, time.Minute) }

// EnqueueJSON does not wait for the disk; Settle and Sync do.
func TestReceivedIsDurableWhenSettled(t *testing.T) {
	client := spooled(t, t.TempDir(), analytics.Config{Destinations: []analytics.Destination{newDouble("acme")}, Spool: analytics.Spool{Sync: analytics.Always}})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, client.Enqueue(gone, aTrack), analytics.ErrNotDurable, "a call waits")
	for range 100 {
		require.NoError(t, client.EnqueueJSON(gone, []byte(aReceived), nil))
	}
	require.ErrorIs(t, client.Settle(gone), analytics.ErrNotDurable)
	require.NoError(t, client.Settle(t.Context()))
	require.NoError(t, client.Sync(t.Context()))
	require.EqualValues(t, 101, client.Stats().Accepted)
	require.NoError(t, client.Close(timeout(t)))
}

// header is a raw destination that keeps the headers.
type header struct {
	recorder
	headers []analytics.Header
}

func (h *header) TranslateRaw(head *analytics.Header, raw []byte) (analytics.Item, error) {
	h.headers = append(h.headers, *head)
	return analytics.Item{Body: raw}, nil
}

func TestReceivedHeaders(t *testing.T) {
	d := &header{}
	client, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{d}})
	require.NoError(t, err)
	var want []analytics.Header
	for _, row := range []struct {
		message string
		header  analytics.Header
	}{
		{aReceived, analytics.Header{Type: "track", MessageID: "m", UserID: "u", Event: "E"}},
		{`{"traits":{},"context":{"ip":"x"},"event":"E\u00e9","anonymousId":"a\"b","messageId":"m","type":"track" ,"userId": "u"}`, analytics.Header{Type: "track", MessageID: "m", UserID: "u", AnonymousID: `a"b`, Event: "Eé"}},
		{`{"previousId":"p","groupId":"g","category":"c","name":"n","event":"E","anonymousId":"a","messageId":"m","type":"screen"}`, analytics.Header{Type: "screen", MessageID: "m", AnonymousID: "a", Event: "n"}},
		{`{"type":"identify","messageId":"m","userId":"last","x":{"userId":"no"},"_metadata":{},"userId":"u"}`, analytics.Header{Type: "identify", MessageID: "m", UserID: "u", HasMetadata: true}},
	} {
		for _, in := range ways(analytics.Inbound{}) {
			require.NoError(t, client.EnqueueJSON(t.Context(), []byte(row.message), in))
			want = append(want, row.header)
		}
	}
	require.NoError(t, client.Close(timeout(t)))
	for i := range d.headers {
		h := &d.headers[i]
		require.WithinDuration(t, time.Now(), h.AcceptedAt, time.Minute)
		require.EqualValues(t, i, h.Seq)
		h.AcceptedAt, h.Log, h.Seq = time.Time{}, analytics.LogID{}, 0
	}
	require.Equal(t, want, d.headers)
}

// The message is the caller's again when the call is over.
func TestReceivedIsReadDuringTheCall(t *testing.T) {
	r := newRecording(t, analytics.Config{})
	for _, in := range ways(analytics.Inbound{ReceivedAt: orderTime}) {
		message := []byte(member(`"properties":{"a":"b"},"x":"y"`))
		want := string(message)
		require.NoError(t, r.EnqueueJSON(t.Context(), message, in))
		require.Equal(t, want, string(message))
		for i := range message {
			message[i] = '#'
		}
		require.NotContains(t, r.wire()[0], "#")
	}
}
