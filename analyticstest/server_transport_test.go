package analyticstest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

// serverDo sends one flawless request within a time limit (none if 0).
func serverDo(t *testing.T, srv *analyticstest.Server, limit time.Duration) (*http.Response, error) {
	t.Helper()
	client := http.Client{Transport: srv.Transport(), Timeout: limit}
	return client.Do(serverRequest(t.Context(), t, srv, serverBatch(serverTrack("m"))))
}

// serverAfter requires that exactly d passed since start, on the bubble's clock.
func serverAfter(t *testing.T, start time.Time, d time.Duration) {
	t.Helper()
	require.Equal(t, d, time.Since(start))
}

func TestServerDelaysInMemory(t *testing.T) {
	t.Run("answer", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.Script(analyticstest.Reply{Delay: time.Hour})
			start := time.Now()
			res, err := serverDo(t, srv, 0)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			serverAfter(t, start, time.Hour)
			require.Equal(t, start, srv.Log()[0].Time)
		})
	})
	t.Run("client gives up and sends again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.Script(analyticstest.Reply{Delay: time.Hour})
			start := time.Now()
			_, err := serverDo(t, srv, time.Second)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			serverAfter(t, start, time.Second)
			require.Zero(t, srv.Log()[0].Status)
			res, err := serverDo(t, srv, 0)
			require.NoError(t, err)
			require.NoError(t, res.Body.Close())
			require.Equal(t, 1, srv.Duplicates())
		})
	})
	t.Run("outage by the clock", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			over := time.Now().Add(5 * time.Second)
			srv.Respond(func(r *analyticstest.Request) analyticstest.Reply {
				if r.Time.Before(over) {
					return analyticstest.Reply{Status: 503}
				}
				return analyticstest.Reply{}
			})
			for _, want := range []int{503, 503, 200} {
				res, err := serverDo(t, srv, 0)
				require.NoError(t, err)
				require.NoError(t, res.Body.Close())
				require.Equal(t, want, res.StatusCode)
				time.Sleep(2500 * time.Millisecond)
			}
		})
	})
}

func TestServerBreaksInMemory(t *testing.T) {
	t.Run("reset is not judged", func(t *testing.T) {
		srv := analyticstest.NewServer()
		srv.Script(analyticstest.Reply{Reset: true})
		_, err := serverDo(t, srv, 0)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.Equal(t, 1, srv.Requests())
		require.Zero(t, srv.Accepted())
	})
	t.Run("lost answer is judged", func(t *testing.T) {
		srv := analyticstest.NewServer()
		srv.Script(analyticstest.Reply{LoseAnswer: true})
		_, err := serverDo(t, srv, 0)
		require.ErrorIs(t, err, syscall.ECONNRESET)
		require.Equal(t, 1, srv.Accepted())
		require.Zero(t, srv.Log()[0].Status)
	})
	t.Run("closed server refuses", func(t *testing.T) {
		srv := analyticstest.NewServer()
		srv.Close()
		srv.Close()
		_, err := serverDo(t, srv, 0)
		require.ErrorIs(t, err, syscall.ECONNREFUSED)
		require.Zero(t, srv.Requests())
	})
}

func TestServerHangsInMemory(t *testing.T) {
	t.Run("until the client goes away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.Script(analyticstest.Reply{Hang: true})
			ctx, cancel := context.WithCancelCause(t.Context())
			why := errors.New("why")
			time.AfterFunc(time.Minute, func() { cancel(why) })
			_, err := srv.Transport().RoundTrip(serverRequest(ctx, t, srv, serverBatch(serverTrack("m"))))
			require.Equal(t, why, err)
			require.Zero(t, srv.Accepted())
		})
	})
	t.Run("until the server is closed", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.Script(analyticstest.Reply{Hang: true, LoseAnswer: true})
			time.AfterFunc(time.Minute, srv.Close)
			_, err := serverDo(t, srv, 0)
			require.ErrorIs(t, err, syscall.ECONNRESET)
			require.Equal(t, 1, srv.Accepted())
		})
	})
}

func TestServerStreamsSlowBodies(t *testing.T) {
	slow := analyticstest.Reply{Body: []byte("abc"), BodyDelay: time.Second}
	endless := analyticstest.Reply{BodySize: -1, BodyDelay: time.Second}
	open := func(t *testing.T, r analyticstest.Reply, limit time.Duration) (*analyticstest.Server, *http.Response) {
		srv := analyticstest.NewServer()
		srv.Script(r)
		res, err := serverDo(t, srv, limit)
		require.NoError(t, err)
		return srv, res
	}
	t.Run("one byte after each pause", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, res := open(t, slow, 0)
			serverAfter(t, start, 0)
			b, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Equal(t, "abc", string(b))
			serverAfter(t, start, 3*time.Second)
			require.NoError(t, res.Body.Close())
			_, err = res.Body.Read(make([]byte, 1))
			require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		})
	})
	t.Run("cut off by the client's time limit", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, res := open(t, endless, 90*time.Second)
			require.EqualValues(t, -1, res.ContentLength)
			b, err := io.ReadAll(res.Body)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.InDelta(t, 90, len(b), 1)
			serverAfter(t, start, 90*time.Second)
			require.NoError(t, res.Body.Close())
		})
	})
	t.Run("close releases a reader", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, res := open(t, analyticstest.Reply{BodySize: -1, BodyDelay: 1000 * time.Hour}, 0)
			time.AfterFunc(time.Minute, func() { res.Body.Close() })
			_, err := res.Body.Read(make([]byte, 1))
			require.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		})
	})
	t.Run("server closed midway", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv, res := open(t, endless, 0)
			time.AfterFunc(time.Minute, srv.Close)
			_, err := io.Copy(io.Discard, res.Body)
			require.ErrorIs(t, err, io.ErrUnexpectedEOF)
		})
	})
	t.Run("closed unread", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			_, res := open(t, endless, 0)
			require.NoError(t, res.Body.Close())
		})
	})
	t.Run("huge", func(t *testing.T) {
		_, res := open(t, analyticstest.Reply{Body: []byte("head"), BodySize: 64 << 20}, 0)
		n, err := io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		require.EqualValues(t, 64<<20, n)
	})
}

// serverBody tells whether it was closed.
type serverBody struct {
	io.Reader
	closed bool
}

func (b *serverBody) Close() error { b.closed = true; return nil }

func TestServerTreatsRequestBodiesLikeNetHTTP(t *testing.T) {
	t.Run("closed after use", func(t *testing.T) {
		srv := analyticstest.NewServer()
		body := &serverBody{Reader: strings.NewReader(serverBatch(serverTrack("m")))}
		r := serverRequest(t.Context(), t, srv, "", func(r *http.Request) { r.Body, r.ContentLength = body, 0 })
		res, err := srv.Transport().RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, 200, res.StatusCode)
		require.True(t, body.closed)
	})
	t.Run("closed when cancelled before", func(t *testing.T) {
		srv := analyticstest.NewServer()
		body := &serverBody{Reader: strings.NewReader("")}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		r := serverRequest(ctx, t, srv, "", func(r *http.Request) { r.Body = body })
		_, err := srv.Transport().RoundTrip(r)
		require.ErrorIs(t, err, context.Canceled)
		require.True(t, body.closed)
		require.Zero(t, srv.Requests())
	})
	t.Run("cancelled while it blocks", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			in, out := io.Pipe()
			defer out.Close()
			r := serverRequest(ctx, t, srv, "", func(r *http.Request) { r.Body, r.ContentLength = in, -1 })
			_, err := srv.Transport().RoundTrip(r)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 1, srv.Requests())
		})
	})
	t.Run("its error is returned", func(t *testing.T) {
		srv := analyticstest.NewServer()
		broken := errors.New("broken")
		in, out := io.Pipe()
		out.CloseWithError(broken)
		r := serverRequest(t.Context(), t, srv, "", func(r *http.Request) { r.Body, r.ContentLength = in, -1 })
		_, err := srv.Transport().RoundTrip(r)
		require.ErrorIs(t, err, broken)
		require.Empty(t, srv.Violations())
	})
	t.Run("nil", func(t *testing.T) {
		srv := analyticstest.NewServer()
		r := serverRequest(t.Context(), t, srv, "", func(r *http.Request) { r.Body = nil })
		res, err := srv.Transport().RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, 400, res.StatusCode)
	})
}
