package clients_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	segment "github.com/segmentio/analytics-go/v3"
	"github.com/stretchr/testify/require"
)

// TestSegmentForGo runs github.com/segmentio/analytics-go, in this process.
func TestSegmentForGo(t *testing.T) {
	for name, c := range map[string]struct {
		config  segment.Config
		trouble []trouble
	}{
		"as it is":       {},
		"gzip":           {config: segment.Config{Transport: zipping{}}},
		"one at a time":  {config: segment.Config{BatchSize: 1}},
		"with a context": {config: segment.Config{DefaultContext: &segment.Context{App: segment.AppInfo{Name: "Default", Namespace: "com.example"}, Locale: "en-GB"}}},
		"trouble":        {config: segment.Config{BatchSize: 50}, trouble: bad},
	} {
		t.Run(name, func(t *testing.T) {
			r := newReceiver(t, c.trouble...)
			list := messages(t, most)
			r.sendSegment(list, c.config)
			var defaults object
			if d := c.config.DefaultContext; d != nil {
				defaults = object{"app": object{"name": d.App.Name, "namespace": d.App.Namespace}, "locale": d.Locale}
			}
			r.expect(list, func(m object) {
				delete(m, "category") // which it has not
				m["context"] = under(m["context"], defaults)
			})
			if c.trouble != nil {
				r.expectTrouble()
			} else if c.config.Transport == nil {
				r.expectFacts("analytics-go")
			}
		})
	}
}

// sendSegment sends the list and waits until the client knows what became of it: closing
// it would end its retries.
func (r *receiver) sendSegment(list []object, config segment.Config) {
	r.t.Helper()
	told := &outcomes{}
	told.pending.Add(len(list))
	config.Endpoint, config.Interval, config.Callback, config.Logger = r.url, 20*time.Millisecond, told, silent{}
	client, err := segment.NewWithConfig(writeKey, config)
	require.NoError(r.t, err)
	for _, m := range list {
		require.NoError(r.t, client.Enqueue(segmentMessage(r.t, m)))
	}
	told.pending.Wait()
	require.NoError(r.t, client.Close())
	require.Empty(r.t, told.failures)
}

// segmentMessage is a message of the list as a value of the client.
func segmentMessage(t *testing.T, m object) segment.Message {
	t.Helper()
	switch m["type"] {
	case "identify":
		v := into[segment.Identify](t, m)
		extend(v.Context, m)
		return v
	case "track":
		v := into[segment.Track](t, m)
		extend(v.Context, m)
		return v
	case "page":
		v := into[segment.Page](t, m)
		extend(v.Context, m)
		return v
	case "screen":
		v := into[segment.Screen](t, m)
		extend(v.Context, m)
		return v
	case "group":
		v := into[segment.Group](t, m)
		extend(v.Context, m)
		return v
	default:
		v := into[segment.Alias](t, m)
		extend(v.Context, m)
		return v
	}
}

// extend adds to a context what it has no field for.
func extend(c *segment.Context, m object) {
	context, _ := m["context"].(object)
	if v, given := context["unheard"]; given {
		c.Extra = object{"unheard": v}
	}
}

// outcomes are what the client tells.
type outcomes struct {
	pending  sync.WaitGroup
	mu       sync.Mutex
	failures []error
}

func (o *outcomes) Success(segment.Message) { o.pending.Done() }

func (o *outcomes) Failure(_ segment.Message, err error) {
	o.mu.Lock()
	o.failures = append(o.failures, err)
	o.mu.Unlock()
	o.pending.Done()
}

type silent struct{}

func (silent) Logf(string, ...any)   {}
func (silent) Errorf(string, ...any) {}

// zipping compresses requests, which the client cannot.
type zipping struct{}

func (zipping) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	zw := gzip.NewWriter(&b)
	_, _ = zw.Write(body) // into memory
	_ = zw.Close()
	out := r.Clone(r.Context())
	out.Body, out.ContentLength = io.NopCloser(&b), int64(b.Len())
	out.Header.Set("Content-Length", strconv.Itoa(b.Len()))
	out.Header.Set("Content-Encoding", "gzip")
	return http.DefaultTransport.RoundTrip(out)
}
