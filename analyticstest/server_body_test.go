package analyticstest_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tributary-dev/analytics/analyticstest"
)

// FuzzServerBody sends any body to a batch path, a single path and the token
// endpoint. The server must not panic, and must see in a batch the messages that
// encoding/json sees.
func FuzzServerBody(f *testing.F) {
	for _, seed := range []string{
		"", "{", "null", `"x"`, "[]", "{}", " {} ", `{"batch":[]}`, `{"batch":[ 1 , "a]" ,{}, [] ,null]}`,
		`{"batch":null}`, `{"batch":{"a":1}}`, `{"\u0062atch":[{"type":"track"}]}`, `{"batch":[1],"batch":[2,3]}`,
		serverBatch(serverTrack("a"), serverTrack(`b\"c`)), serverTrack("m"), `{"writeKey":7,"sentAt":7}`,
		`{"batch":[{"userId":"\ud800","event":"\\"}]}`, strings.Repeat("[", 20_000), "\xef\xbb\xbf{}", "{\"a\xff\":1}",
		`{"batch":[{"type":"track","userId":"u","event":"Segment Consent Preference Updated","context":{"consent":[]}}]}`,
		"grant_type=client_credentials&client_assertion=a.b.c&scope=tracking_api:write",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(serverGzip(f, seed)), true)
	}
	f.Fuzz(func(t *testing.T, body []byte, gzipped bool) {
		srv := analyticstest.NewServer()
		for _, path := range []string{"/v1/batch", "/v1/track", "/token"} {
			r := httptest.NewRequest(http.MethodPost, path, bytes.NewReader(body))
			r.Header.Set("Content-Type", "application/json")
			if path == "/token" {
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
			}
			if gzipped {
				r.Header.Set("Content-Encoding", "gzip")
			}
			r.SetBasicAuth("key", "")
			srv.ServeHTTP(httptest.NewRecorder(), r)
		}
		for range srv.Decoded() { // panics on a message that does not decode
		}
		e := srv.Log()[0]
		if want := serverFuzzMessages(body, gzipped); e.Status == 200 && e.Messages != want {
			t.Errorf("%d messages seen, want %d", e.Messages, want)
		} else if e.Accepted+e.Rejected != e.Messages && e.Status == 200 {
			t.Errorf("%d accepted and %d rejected of %d", e.Accepted, e.Rejected, e.Messages)
		}
	})
}

// serverFuzzMessages counts the messages of an envelope the standard way.
func serverFuzzMessages(body []byte, gzipped bool) int {
	if gzipped {
		z, err := gzip.NewReader(bytes.NewReader(body))
		if err != nil {
			return 0
		}
		body, _ = io.ReadAll(io.LimitReader(z, 1<<20))
	}
	var top map[string]json.RawMessage
	var batch []json.RawMessage
	if json.Unmarshal(body, &top) == nil && len(top["batch"]) > 0 {
		_ = json.Unmarshal(top["batch"], &batch)
	}
	return len(batch)
}
