package trackingapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// serve asks a handler.
func serve(h http.Handler, r *http.Request) reply {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	body, _ := io.ReadAll(w.Result().Body)
	return reply{w.Code, w.Result().Header, string(body)}
}

// inMemory is a transport to a handler.
type inMemory struct{ h http.Handler }

func (m inMemory) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RemoteAddr, in.RequestURI = "192.0.2.7:40000", r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	m.h.ServeHTTP(w, in)
	_ = in.Body.Close()
	res := w.Result()
	res.Request = r
	return res, nil
}

// examples are events of the spec, with every field that it names.
func examples(t *testing.T) []json.RawMessage {
	text, err := os.ReadFile("testdata/examples.json")
	require.NoError(t, err)
	var list []json.RawMessage
	require.NoError(t, json.Unmarshal(text, &list))
	require.Greater(t, len(list), 90)
	return list
}

var addedTimes = regexp.MustCompile(`,"originalTimestamp":"[^"]*","sentAt":"[^"]*","receivedAt":"[^"]*"`)

// TestOwnClient sends every example with our own client. What arrives is what was sent,
// byte by byte, but for the times that a receiver adds.
func TestOwnClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		sent := &wireSink{}
		client, err := analytics.New(analytics.Config{
			WriteKey: fixtureKey, Endpoint: "https://events.example.com/prefix", Destinations: []analytics.Destination{sent},
			HTTPClient: &http.Client{Transport: inMemory{f.h}},
		})
		require.NoError(t, err)
		time.Sleep(time.Hour)
		all := examples(t)
		for _, raw := range all {
			var e analytics.Event
			require.NoError(t, json.Unmarshal(raw, &e))
			require.NoError(t, client.Enqueue(t.Context(), e), "%s", raw)
		}
		time.Sleep(time.Minute)
		require.NoError(t, client.Flush(t.Context()))
		require.NoError(t, client.Close(t.Context()))

		want, got := sent.take(), f.raw()
		require.Len(t, want, len(all))
		require.Len(t, got, len(all))
		require.Empty(t, f.codes())
		byID := map[any]string{}
		for _, raw := range got {
			byID[decoded(t, raw)["messageId"]] = raw
		}
		for _, raw := range want {
			w := decoded(t, raw)
			arrived := byID[w["messageId"]]
			require.NotEmpty(t, arrived)
			g := decoded(t, arrived)
			require.Equal(t, w["timestamp"], g["originalTimestamp"])
			require.NotEmpty(t, g["receivedAt"])
			require.NotEmpty(t, g["sentAt"])
			require.Equal(t, w["timestamp"], g["timestamp"], "both clocks are one")
			for _, added := range []string{"receivedAt", "originalTimestamp", "sentAt"} {
				delete(g, added)
			}
			require.Equal(t, w, g)
			require.Equal(t, raw, addedTimes.ReplaceAllString(arrived, ""), "byte by byte")
		}
	})
}

// TestOwnClientIsSlowedDown: 429 holds it up, and nothing is lost.
func TestOwnClientIsSlowedDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		client, err := analytics.New(analytics.Config{WriteKey: limitedKey, Endpoint: "https://events.example.com", HTTPClient: &http.Client{Transport: inMemory{f.h}}, FlushInterval: -1})
		require.NoError(t, err)
		ids := numbered("m-", 30)
		for _, id := range ids {
			require.NoError(t, client.Track(t.Context(), analytics.Track{MessageID: id, UserID: "u-1", Event: "E"}))
			time.Sleep(50 * time.Millisecond)
		}
		require.NoError(t, client.Close(t.Context()))
		require.Equal(t, sortedCopy(ids), sortedCopy(f.ids()))
	})
}
