package trackingapi_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

const (
	fixtureKey   = "wk-fixture-7f3a91"
	limitedKey   = "wk-limited-55d0e2" // two requests a second
	fixtureToken = "token-of-any-source"
	limitedToken = "token-of-limited-only"
)

// fixture is a handler over a client whose events can be read.
type fixture struct {
	t      testing.TB
	client *analytics.Client
	sink   *wireSink
	h      *trackingapi.Handler
	logs   *lockedBuffer
	seen   uint64 // events, by unchanged

	mu       sync.Mutex
	discards []trackingapi.Discard
}

// newFixture makes one; edits may change both configurations.
func newFixture(t testing.TB, edits ...func(*trackingapi.Config, *analytics.Config)) *fixture {
	t.Helper()
	f := &fixture{t: t, sink: &wireSink{}, logs: &lockedBuffer{}}
	logger := slog.New(slog.NewTextHandler(f.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	below := analytics.Config{Destinations: []analytics.Destination{f.sink}, Logger: logger}
	cfg := trackingapi.Config{Tokens: fixtureTokens{}, Logger: logger, OnDiscard: f.discarded}
	for _, edit := range edits {
		edit(&cfg, &below)
	}
	var err error
	f.client, err = analytics.New(below)
	require.NoError(t, err)
	t.Cleanup(func() {
		f.sink.release()
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		_ = f.client.Close(ctx)
	})
	if cfg.Keys == nil {
		cfg.Keys = trackingapi.Keys{
			fixtureKey: {Name: "fixture", Client: f.client},
			limitedKey: {Name: "limited", Client: f.client, Requests: 2},
		}
	}
	f.h, err = trackingapi.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = f.h.Close(ctx)
	})
	return f
}

// fixtureTokens verifies two tokens.
type fixtureTokens struct{}

func (fixtureTokens) Verify(_ context.Context, token string) ([]string, error) {
	switch token {
	case fixtureToken:
		return nil, nil
	case limitedToken:
		return []string{limitedKey}, nil
	}
	return nil, trackingapi.ErrBadToken
}

func (f *fixture) discarded(d trackingapi.Discard) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.discards = append(f.discards, d)
}

// codes are those of the discards since it was asked last.
func (f *fixture) codes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	codes := []string{}
	for _, d := range f.discards {
		codes = append(codes, string(d.Code))
	}
	f.discards = nil
	return codes
}

// call is a request.
type call struct {
	method, path string
	header       http.Header
	body         io.Reader // of unknown length unless it is one that net/http knows
}

// reply is what came back.
type reply struct {
	status int
	header http.Header
	body   string
}

// do serves the request, and looks at what holds for every answer.
func (f *fixture) do(c call) reply {
	f.t.Helper()
	r := httptest.NewRequest(c.method, c.path, c.body)
	for name, values := range c.header {
		r.Header[name] = values
	}
	w := httptest.NewRecorder()
	f.h.ServeHTTP(w, r)
	res := w.Result()
	body, err := io.ReadAll(res.Body)
	require.NoError(f.t, err)
	require.Empty(f.t, res.Header.Get("Location"))
	require.False(f.t, res.StatusCode >= 300 && res.StatusCode < 400, "a redirect")
	require.Empty(f.t, res.Header.Get("Access-Control-Allow-Credentials"))
	return reply{res.StatusCode, res.Header, string(body)}
}

// post sends a body with the key in the header.
func (f *fixture) post(path, body string) reply {
	f.t.Helper()
	return f.do(call{http.MethodPost, path, basic(fixtureKey + ":"), strings.NewReader(body)})
}

func basic(credentials string) http.Header {
	return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(credentials))}}
}

// accepted demands the answer of a request that was taken.
func (f *fixture) accepted(r reply) {
	f.t.Helper()
	require.Equal(f.t, http.StatusOK, r.status, r.body)
	require.Equal(f.t, `{"success":true}`, strings.TrimSpace(r.body))
	requireJSON(f.t, r)
}

// refused demands the answer of one that was not.
func (f *fixture) refused(r reply, status int, code string) {
	f.t.Helper()
	require.Equal(f.t, status, r.status, r.body)
	requireJSON(f.t, r)
	var answer map[string]any
	require.NoError(f.t, json.Unmarshal([]byte(r.body), &answer))
	require.Equal(f.t, false, answer["success"])
	require.Equal(f.t, code, answer["code"])
	require.NotEmpty(f.t, answer["message"])
	require.Len(f.t, answer, 3)
}

func requireJSON(t testing.TB, r reply) {
	t.Helper()
	media, _, _ := strings.Cut(r.header.Get("Content-Type"), ";")
	require.Equal(t, "application/json", media)
}

// events are those that have got in since it was asked last.
func (f *fixture) events() []map[string]any {
	f.t.Helper()
	var events []map[string]any
	for _, raw := range f.raw() {
		events = append(events, decoded(f.t, raw))
	}
	return events
}

// unchanged demands that nothing got in, without waiting for what might.
func (f *fixture) unchanged() {
	f.t.Helper()
	require.Equal(f.t, f.seen, f.client.Stats().Accepted, "something got in")
}

// raw is events as they stand in the log.
func (f *fixture) raw() []string {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(f.t, f.client.Flush(ctx))
	return f.sink.take()
}

// ids are the messageIds of events.
func (f *fixture) ids() []string {
	f.t.Helper()
	ids := []string{}
	for _, e := range f.events() {
		id, _ := e["messageId"].(string)
		ids = append(ids, id)
	}
	return ids
}

// decoded reads JSON with the digits of its numbers.
func decoded(t testing.TB, raw string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(raw))
	d.UseNumber()
	var m map[string]any
	require.NoError(t, d.Decode(&m), raw)
	return m
}

func zip(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, s)
	_ = w.Close()
	return b.String()
}

// wireSink keeps events as they stand in the log.
type wireSink struct {
	mu     sync.Mutex
	events []string
	gate   chan struct{}
}

var _ analytics.RawTranslator = (*wireSink)(nil)

func (*wireSink) Describe() analytics.Description {
	return analytics.Description{
		Name: "Wire", Calls: analytics.SixCalls | analytics.CallsOf(analytics.CallObject), Order: analytics.Total, IgnoreAll: true,
		Lanes: map[string]analytics.Limits{"": {Linger: -1}},
	}
}

func (*wireSink) Translate(*analytics.Event) ([]analytics.Item, error) {
	return nil, errors.New("the sink takes raw events")
}

func (*wireSink) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	return analytics.Item{Body: raw}, nil
}

func (s *wireSink) Deliver(ctx context.Context, b *analytics.Batch) error {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range b.Items {
		s.events = append(s.events, string(b.Items[i].Body))
	}
	return nil
}

func (s *wireSink) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.events
	s.events = nil
	return events
}

// hold lets the queue fill until release.
func (s *wireSink) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gate = make(chan struct{})
}

func (s *wireSink) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gate != nil {
		close(s.gate)
		s.gate = nil
	}
}

// lockedBuffer is a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// sortedCopy is for multisets.
func sortedCopy(s []string) []string { return slices.Sorted(slices.Values(s)) }
