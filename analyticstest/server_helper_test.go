package analyticstest_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

// sentAt, messageId and timestamp as a well-behaved client would send them.
const (
	serverSentAt = `"sentAt":"2026-01-02T03:04:06Z"`
	serverStamp  = `"timestamp":"2026-01-02T03:04:05.678Z"`
)

// serverTrack is a flawless track message with the given id.
func serverTrack(id string) string {
	return fmt.Sprintf(`{"type":"track","messageId":%q,%s,"userId":"u1","event":"Order Completed"}`, id, serverStamp)
}

// serverBatch is a flawless envelope around the messages.
func serverBatch(messages ...string) string {
	return `{"batch":[` + strings.Join(messages, ",") + `],` + serverSentAt + `}`
}

// serverRequest is a flawless request with the key "key" to /v1/batch; edit changes it.
func serverRequest(ctx context.Context, t testing.TB, srv *analyticstest.Server, body string, edit ...func(*http.Request)) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, srv.URL()+"/v1/batch", strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("User-Agent", "tributary-test/1.0")
	r.SetBasicAuth("key", "")
	for _, e := range edit {
		e(r)
	}
	return r
}

// serverPost sends a request over Transport and returns status and body.
func serverPost(t testing.TB, srv *analyticstest.Server, body string, edit ...func(*http.Request)) (int, string) {
	t.Helper()
	client := http.Client{Transport: srv.Transport()}
	res, err := client.Do(serverRequest(t.Context(), t, srv, body, edit...))
	require.NoError(t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, string(b)
}

func serverPath(path string) func(*http.Request) {
	return func(r *http.Request) { r.URL.Path = path }
}

func serverHeader(name, value string) func(*http.Request) {
	return func(r *http.Request) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

func serverGzip(t testing.TB, s string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, err := io.WriteString(z, s)
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return b.String()
}
