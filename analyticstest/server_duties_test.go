package analyticstest_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

func TestServerListsViolations(t *testing.T) {
	good := serverBatch(serverTrack("m"))
	without := func(part string) string { return strings.Replace(good, part, `"x":1`, 1) }
	tests := []struct {
		name, body string
		edit       func(*http.Request)
		want       string // empty: none
	}{
		{"flawless", good, nil, ""},
		{"no sentAt", without(serverSentAt), nil, "request 1: sentAt is missing"},
		{"sentAt is no date", strings.Replace(good, "2026-01-02T03:04:06Z", "yesterday", 1), nil, "request 1: sentAt is no ISO-8601 date"},
		{"numeric sentAt", strings.Replace(good, `"2026-01-02T03:04:06Z"`, "1", 1), nil, "request 1: sentAt is no string"},
		{"no messageId", without(`"messageId":"m"`), nil, "request 1: message 0: no messageId"},
		{"long messageId", serverBatch(serverTrack(strings.Repeat("é", 101))), nil, "request 1: message 0: messageId longer than 100 characters"},
		{"messageId of 100 characters", serverBatch(serverTrack(strings.Repeat("é", 100))), nil, ""},
		{"no type", without(`"type":"track"`), nil, "request 1: message 0: no type"},
		{"no timestamp", without(serverStamp), nil, "request 1: message 0: timestamp is missing"},
		{"message is no object", serverBatch("7"), nil, "request 1: message 0: is no object"},
		{"empty batch", serverBatch(), nil, "request 1: batch without messages"},
		{"message above 32,000 bytes", serverBatch(serverTrack("a") + `,` +
			strings.Replace(serverTrack("b"), "Order", strings.Repeat("x", 32_000), 1)), nil, "request 1: message 1: 32106 bytes, at most 32000"},
		{"no User-Agent", good, func(r *http.Request) { r.Header["User-Agent"] = nil }, "request 1: no User-Agent that names the library and its version"},
		{"Go's User-Agent", good, serverHeader("User-Agent", "Go-http-client/1.1"), "request 1: no User-Agent that names the library and its version"},
		{"first try counted", good, serverHeader("X-Retry-Count", "1"), "request 1: X-Retry-Count on a first try"},
		{"no colon", good, serverHeader("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("key"))), "request 1: Basic credentials without the colon"},
		{"two keys", `{"writeKey":"other",` + good[1:], nil, "request 1: different write keys in header and body"},
		{"malformed", "{", nil, "request 1: POST /v1/batch: malformed JSON"},
		{"wrong path", good, serverPath("/v2/batch"), "request 1: POST /v2/batch: no such path"},
		{"type differs", `{` + serverSentAt + `,` + serverTrack("m")[1:], serverPath("/v1/page"), "request 1: message 0: type differs from the path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, status := range []int{200, 503} { // duties are looked at in both cases
				srv := analyticstest.NewServer(status)
				edits := []func(*http.Request){}
				if tt.edit != nil {
					edits = append(edits, tt.edit)
				}
				serverPost(t, srv, tt.body, edits...)
				if tt.want == "" {
					require.Empty(t, srv.Violations())
					continue
				}
				require.Equal(t, []string{tt.want}, srv.Violations())
			}
		})
	}
}

func TestServerChecksRetryCount(t *testing.T) {
	srv := analyticstest.NewServer(503, 503, 503)
	body := serverBatch(serverTrack("a"), serverTrack("b"))
	serverPost(t, srv, body)
	serverPost(t, srv, body, serverHeader("X-Retry-Count", "1"))
	serverPost(t, srv, serverBatch(serverTrack("b"), serverTrack("c")), serverHeader("X-Retry-Count", "2"))
	require.Empty(t, srv.Violations())
	serverPost(t, srv, body, serverHeader("X-Retry-Count", "0"))
	serverPost(t, srv, body, serverHeader("X-Retry-Count", "many"))
	require.Equal(t, []string{
		"request 4: X-Retry-Count is no positive number",
		"request 5: X-Retry-Count is no positive number",
	}, srv.Violations())
}

func TestServerComparesContentLength(t *testing.T) {
	for _, off := range []int64{-1, 1} {
		srv := analyticstest.NewServer()
		r := serverRequest(t.Context(), t, srv, serverBatch(serverTrack("m")))
		r.ContentLength += off
		_, err := srv.Transport().RoundTrip(r)
		require.ErrorContains(t, err, "http: ContentLength=")
		require.Len(t, srv.Violations(), 1)
		require.Contains(t, srv.Violations()[0], "Content-Length is ")
		require.Zero(t, srv.Accepted())
	}
}

func TestServerBoundsViolations(t *testing.T) {
	srv := analyticstest.NewServer()
	serverPost(t, srv, serverBatch(strings.TrimSuffix(strings.Repeat("7,", 1200), ",")))
	require.Len(t, srv.Violations(), 1001)
	require.Equal(t, "and 200 more", srv.Violations()[1000])
}
