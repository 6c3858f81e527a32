package main

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSecretsInAddressesAreNotPrinted(t *testing.T) {
	dir := stored(t, visits()...)
	t.Setenv("SEGMENT_WRITE_KEY", "k")
	file := "sqlite:file:" + filepath.Join(t.TempDir(), "x.db")
	for _, row := range []struct{ endpoint, to, shown string }{
		{"https://user:s3cr3t@collector.test/in?key=s3cr3t#s3cr3t", "cloud", "https://collector.test/in"},
		{"https://s3cr3t@collector.test/", "cloud", "https://collector.test/"},
		{"user:s3cr3t@collector.test/x", "cloud", "the endpoint"},
		{"", file + "?_pragma=key('s3cr3t')", file},
	} {
		t.Setenv("SEGMENT_ENDPOINT", row.endpoint)
		for _, more := range []string{"--json=false", "--json"} {
			r := analyze(t, "archive", "replay", dir, "--to", row.to, more)
			require.NotContains(t, r.stdout+r.stderr, "s3cr3t")
			require.Contains(t, r.stdout+r.stderr, row.shown)
		}
	}
}

// transportFunc answers requests.
type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// An endpoint that is down for longer than a client in memory waits is waited for.
func TestReplayOutlastsAnOutage(t *testing.T) {
	t.Setenv("SEGMENT_WRITE_KEY", "k")
	dir := stored(t, visits()...)
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		taken := 0
		c := command{ctx: t.Context(), stdout: io.Discard, stderr: io.Discard, now: time.Now, transport: transportFunc(func(r *http.Request) (*http.Response, error) {
			code := http.StatusOK
			if time.Since(start) < 10*time.Hour {
				code = http.StatusServiceUnavailable
			} else {
				taken++
			}
			return &http.Response{StatusCode: code, Body: io.NopCloser(strings.NewReader("{}")), Header: http.Header{}, Request: r}, nil
		})}
		require.Zero(t, c.run([]string{"archive", "replay", dir, "--to", "cloud", "--yes"}))
		require.Positive(t, taken)
	})
}

func TestForgetWantsAnID(t *testing.T) {
	require.Equal(t, 2, analyze(t, "archive", "forget", stored(t, visits()...), "--user", "", "--yes").code)
}
