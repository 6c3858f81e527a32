package main

// Internal, as a program exports nothing to test it by.

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

// replay runs the quickstart in memory, with a clock that is not waited for.
func replay(srv *analyticstest.Server) (string, error) {
	var out bytes.Buffer
	err := run(&out, srv, srv.URL(), &http.Client{Transport: srv.Transport()})
	srv.Close()
	return out.String(), err
}

func TestTheDayArrives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		start := time.Now()
		out, err := replay(srv)
		require.NoError(t, err, out)
		require.Less(t, time.Since(start), 10*time.Second)
		require.Contains(t, out, "exactly once")
		require.Contains(t, out, "after 4 × 503 and 2 × 429")
		for _, m := range srv.Decoded() {
			require.Equal(t, "shop-2026-11-20", m["messageId"].(string)[:15])
		}
	})
}

// TestTheDayArrivesAtAHandler loses the first answer, so that the events of that request
// come twice. They are taken once.
func TestTheDayArrivesAtAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := newHandler()
		require.NoError(t, err)
		defer h.Close()
		var out bytes.Buffer
		err = run(&out, h, "http://handler.example", &http.Client{Transport: &forgetful{to: h}})
		require.NoError(t, err, out.String())
		require.Contains(t, out.String(), "exactly once")
		require.Contains(t, out.String(), "after 4 × 503 and 2 × 429")
		require.Regexp(t, `duplicates seen +[1-9]`, out.String())
		require.Equal(t, http.StatusOK, h.Log()[0].Status)
	})
}

// forgetful is a transport that loses the first answer.
type forgetful struct {
	to   http.Handler
	lost atomic.Bool
}

func (f *forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	in := r.Clone(r.Context())
	in.RequestURI, in.RemoteAddr = r.URL.RequestURI(), "192.0.2.1:1234"
	f.to.ServeHTTP(w, in)
	_ = r.Body.Close()
	if f.lost.CompareAndSwap(false, true) {
		return nil, io.ErrUnexpectedEOF
	}
	return w.Result(), nil
}

func TestAHandlerThatRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, err := newHandler()
		require.NoError(t, err)
		require.NoError(t, h.api.Close(t.Context()))
		defer h.Close()
		var out bytes.Buffer
		err = run(&out, h, "http://handler.example", &http.Client{Transport: &forgetful{to: h}})
		require.ErrorContains(t, err, "events without an outcome")
	})
}

func TestTheBooksAreOpened(t *testing.T) {
	for name, c := range map[string]struct {
		replies []analyticstest.Reply
		rules   analyticstest.Rules
		want    string
	}{
		"an answer that is lost makes duplicates": {
			replies: []analyticstest.Reply{{LoseAnswer: true}}, want: "more than once",
		},
		"a request that is refused for good": {
			replies: []analyticstest.Reply{{Status: http.StatusNotFound}}, want: "accepted events were not delivered",
		},
		"events that are dropped behind a 200": {
			rules: analyticstest.Rules{RejectAll: "source_disabled"}, want: "the receiver misses",
		},
		"a receiver that never comes back": {
			replies: []analyticstest.Reply{{Status: http.StatusServiceUnavailable, Times: -1}}, want: "events without an outcome",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := analyticstest.NewServer()
				srv.SetRules(c.rules)
				srv.Script(c.replies...)
				out, err := replay(srv)
				require.ErrorContains(t, err, c.want)
				require.NotContains(t, out, "exactly once")
			})
		})
	}
}

func TestGrouped(t *testing.T) {
	require.Equal(t, "0", grouped(0))
	require.Equal(t, "999", grouped(999))
	require.Equal(t, "1,000", grouped(1000))
	require.Equal(t, "12,345,678", grouped(uint64(12345678)))
}
