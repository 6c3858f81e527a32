package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLiveRemembersTheLast(t *testing.T) {
	l := newLive()
	_, _, changed, open := l.since(0)
	require.True(t, open)
	for range kept + 5 {
		l.add([]byte("{}"))
	}
	<-changed // or this hangs

	messages, last, _, _ := l.since(0)
	require.Len(t, messages, kept)
	require.Equal(t, kept+5, last)
	messages, _, changed, _ = l.since(last - 2)
	require.Len(t, messages, 2)
	messages, _, _, _ = l.since(last + 1) // a browser that has seen an earlier run
	require.Len(t, messages, kept)

	l.close()
	<-changed
	_, _, _, open = l.since(last)
	require.False(t, open)
}

func get(t *testing.T, c *collector, path string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	c.site().ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestPage(t *testing.T) {
	modules := t.TempDir()
	c, err := newCollector(modules)
	require.NoError(t, err)
	defer func() { require.NoError(t, c.close()) }()

	require.Contains(t, get(t, c, "/").Body.String(), `src="/site/own.js"`)
	require.Equal(t, http.StatusOK, get(t, c, "/site/own.js").Code)

	require.NoError(t, os.MkdirAll(c.bundles, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(c.bundles, "index.js"), []byte("published"), 0o600))
	require.Contains(t, get(t, c, "/").Body.String(), `src="/analytics-next/bundles/index.js"`)
	require.Equal(t, "published", get(t, c, "/analytics-next/bundles/index.js").Body.String())
	require.Contains(t, get(t, c, "/?script=own.js").Body.String(), `src="/site/own.js"`)
}

func TestStreamGoesOnWhereItEnded(t *testing.T) {
	c, err := newCollector(t.TempDir())
	require.NoError(t, err)
	for _, message := range []string{`{"n":1}`, `{"n":2}`, `{"n":3}`} {
		c.live.add([]byte(message))
	}
	require.NoError(t, c.close()) // else it would not end
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "/live", nil)
	r.Header.Set("Last-Event-ID", "2")
	c.stream(w, r)
	require.True(t, strings.HasPrefix(w.Body.String(), "id: 3\nevent: message\ndata: {\"n\":3}\n\nevent: counters\n"), w.Body)
}

// The API has an address of its own, and the visitor is sent there.
func TestVisitOfTwoOrigins(t *testing.T) {
	var out bytes.Buffer
	o := options{addr: "127.0.0.1:0", events: "127.0.0.1:0", visit: true}
	require.NoError(t, run(context.Background(), &out, o))
	require.Contains(t, out.String(), "7 messages arrived, each once; 1 more was a duplicate.")
}

func TestVisitFindsWhatArrivedTwice(t *testing.T) {
	stream := "event: message\ndata: {\"messageId\":\"a\"}\n\nevent: message\ndata: {\"messageId\":\"a\"}\n\n" +
		"event: message\ndata: {\"messageId\":\"b\"}\n\nevent: counters\ndata: {\"accepted\":2}\n\n"
	require.ErrorContains(t, watch(&bytes.Buffer{}, strings.NewReader(stream), 2), "a arrived 2 times")
}
