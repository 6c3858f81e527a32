package analyticstest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

// serverLoopback starts a server and a client with connections of its own.
func serverLoopback(t *testing.T) (*analyticstest.Server, *http.Client) {
	t.Helper()
	srv := analyticstest.NewServer()
	require.Equal(t, "http://segment.test", srv.URL())
	url := srv.Start()
	require.Equal(t, url, srv.URL())
	require.Equal(t, url, srv.Start())
	transport := &http.Transport{}
	t.Cleanup(func() {
		srv.Close()
		transport.CloseIdleConnections()
	})
	return srv, &http.Client{Transport: transport}
}

func TestServerOverLoopback(t *testing.T) {
	srv, client := serverLoopback(t)
	srv.Script(
		analyticstest.Reply{Reset: true},
		analyticstest.Reply{LoseAnswer: true},
		analyticstest.Reply{Status: 429, RetryAfter: "3", Delay: time.Millisecond},
		analyticstest.Reply{BodySize: 1 << 20},
		analyticstest.Reply{Body: []byte("abc"), BodyDelay: time.Millisecond},
	)
	body := serverBatch(serverTrack("m"))
	send := func() (*http.Response, error) { return client.Do(serverRequest(t.Context(), t, srv, body)) }
	read := func() (*http.Response, string) {
		res, err := send()
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res, string(b)
	}

	_, err := send()
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.Zero(t, srv.Accepted())
	_, err = send()
	require.ErrorIs(t, err, syscall.ECONNRESET)
	require.Equal(t, 1, srv.Accepted())

	res, _ := read()
	require.Equal(t, 429, res.StatusCode)
	require.Equal(t, "3", res.Header.Get("Retry-After"))
	_, answer := read()
	require.Len(t, answer, 1<<20)
	_, answer = read()
	require.Equal(t, "abc", answer)
	_, answer = read()
	require.JSONEq(t, `{"success":true}`, answer)

	require.Equal(t, 6, srv.Requests())
	require.Equal(t, 3, srv.Duplicates())
	require.Equal(t, strings.TrimPrefix(srv.URL(), "http://"), srv.Log()[0].Host)
	require.Empty(t, srv.Violations())
}

func TestServerCutsEndlessBodiesOnClose(t *testing.T) {
	srv, client := serverLoopback(t)
	srv.Script(analyticstest.Reply{BodySize: -1})
	res, err := client.Do(serverRequest(t.Context(), t, srv, serverBatch(serverTrack("m"))))
	require.NoError(t, err)
	defer res.Body.Close()
	_, err = io.CopyN(io.Discard, res.Body, 1<<20)
	require.NoError(t, err)
	srv.Close()
	_, err = io.Copy(io.Discard, res.Body)
	require.Error(t, err)
}

// The bubble ends only when every goroutine started in it has ended.
func TestServerLeavesNoGoroutines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv, client := serverLoopback(t)
		const n = 4
		arrived := make(chan struct{}, n)
		srv.Respond(func(r *analyticstest.Request) analyticstest.Reply {
			arrived <- struct{}{}
			return analyticstest.Reply{Hang: r.Number%2 == 0, Delay: time.Duration(r.Number%2) * 1000 * time.Hour}
		})
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				res, err := client.Do(serverRequest(context.Background(), t, srv, serverBatch(serverTrack(fmt.Sprint(i)))))
				if err == nil {
					res.Body.Close()
					t.Error("a hanging request was answered")
				}
			})
		}
		for range n {
			<-arrived
		}
		srv.Close()
		wg.Wait()
		require.PanicsWithValue(t, "analyticstest: Start after Close", func() {
			unstarted := analyticstest.NewServer()
			unstarted.Close()
			unstarted.Start()
		})
	})
}

func TestServerIsAHandler(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.Script(analyticstest.Reply{}, analyticstest.Reply{Reset: true})
	request := func() *http.Request {
		r := httptest.NewRequest(http.MethodPost, "/v1/batch", bytes.NewBufferString(serverBatch(serverTrack("m"))))
		r.Header.Set("Content-Type", "application/json")
		r.SetBasicAuth("key", "")
		return r
	}
	w := httptest.NewRecorder()
	srv.ServeHTTP(w, request())
	require.Equal(t, 200, w.Code)
	require.NotEmpty(t, w.Header().Get("Date"))
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { srv.ServeHTTP(httptest.NewRecorder(), request()) })
}

func TestServerResetsOtherProtocols(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		t.Run(fmt.Sprintf("http2 %t", http2), func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.Script(analyticstest.Reply{LoseAnswer: true})
			host := httptest.NewUnstartedServer(srv)
			host.EnableHTTP2 = http2
			host.StartTLS()
			defer host.Close()
			r := serverRequest(t.Context(), t, srv, serverBatch(serverTrack("m")), func(r *http.Request) {
				r.URL.Scheme, r.URL.Host, r.Host = "https", host.Listener.Addr().String(), ""
			})
			_, err := host.Client().Do(r)
			require.Error(t, err)
			require.Equal(t, 1, srv.Accepted())
		})
	}
}
