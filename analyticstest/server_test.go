package analyticstest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

func TestServerAnswersTheScriptThen200(t *testing.T) {
	srv := analyticstest.NewServer(503, 429, 200)
	srv.Script(analyticstest.Reply{Status: 500, Times: 2}, analyticstest.Reply{Status: 202})
	for i, want := range []int{503, 429, 200, 500, 500, 202, 200, 200} {
		status, _ := serverPost(t, srv, serverBatch(serverTrack(fmt.Sprint("m", i))))
		require.Equal(t, want, status, "request %d", i+1)
	}
	require.Equal(t, 8, srv.Requests())
	require.Equal(t, 4, srv.Accepted())
	require.Empty(t, srv.Violations())
	for i, e := range srv.Log() {
		require.Equal(t, i+1, e.Number)
		require.Equal(t, 1, e.Messages)
	}
}

func TestServerRepeatsAStepForEver(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.Script(analyticstest.Reply{Status: 503, Times: -1}, analyticstest.Reply{Status: 404})
	for range 5 {
		status, body := serverPost(t, srv, serverBatch(serverTrack("m")))
		require.Equal(t, 503, status)
		require.JSONEq(t, `{"success":false,"message":"Service Unavailable","code":"invalid_request"}`, body)
	}
	require.Zero(t, srv.Accepted())
}

func TestServerDressesAnswers(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.Script(analyticstest.Reply{
		Status: 429, RetryAfter: "soon", Body: []byte("slow down"), BodySize: 12,
		Header: http.Header{"x-ratelimit-reset": {"7"}, "Content-Type": {"text/html"}},
	}, analyticstest.Reply{Status: 204, Body: []byte("ignored")})
	client := http.Client{Transport: srv.Transport()}
	res, err := client.Do(serverRequest(t.Context(), t, srv, serverBatch(serverTrack("m"))))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "soon", res.Header.Get("Retry-After"))
	require.Equal(t, "7", res.Header.Get("X-RateLimit-Reset"))
	require.Equal(t, "text/html", res.Header.Get("Content-Type"))
	require.EqualValues(t, 12, res.ContentLength)
	status, body := serverPost(t, srv, serverBatch(serverTrack("m")))
	require.Equal(t, 204, status)
	require.Empty(t, body)
}

func TestServerAsksRespondAfterTheScript(t *testing.T) {
	srv := analyticstest.NewServer(502)
	srv.Respond(func(r *analyticstest.Request) analyticstest.Reply {
		if srv.Requests() == r.Number && r.Messages == 2 { // no lock is held
			return analyticstest.Reply{Status: 413}
		}
		return analyticstest.Reply{}
	})
	two := serverBatch(serverTrack("a"), serverTrack("b"))
	for _, want := range []int{502, 413} {
		status, _ := serverPost(t, srv, two)
		require.Equal(t, want, status)
	}
	status, _ := serverPost(t, srv, serverBatch(serverTrack("a")))
	require.Equal(t, 200, status)
	srv.Respond(nil)
	status, _ = serverPost(t, srv, two)
	require.Equal(t, 200, status)
}

func TestServerRecordsMessagesAsReceived(t *testing.T) {
	srv := analyticstest.NewServer()
	odd := `{ "type":"identify", "messageId":"\u0061", ` + serverStamp + `, "userId":"u", "traits":{"n":12345678901234567890, "s":"}]\"\\"} }`
	serverPost(t, srv, `{"context":{"ip":"0.0.0.0"},"batch": [ `+odd+` , `+serverTrack("b")+`],`+serverSentAt+`}`)
	require.Equal(t, []json.RawMessage{json.RawMessage(odd), json.RawMessage(serverTrack("b"))}, srv.Messages())

	decoded := srv.Decoded()
	require.Equal(t, "a", decoded[0]["messageId"])
	require.Equal(t, json.Number("12345678901234567890"), decoded[0]["traits"].(map[string]any)["n"])
	require.Equal(t, 1, srv.Copies("a"))
	require.Equal(t, "Order Completed", decoded[1]["event"])
}

func TestServerCountsDuplicates(t *testing.T) {
	srv := analyticstest.NewServer()
	nameless := `{"type":"track","userId":"u","event":"e"}`
	serverPost(t, srv, serverBatch(serverTrack("a"), serverTrack("b"), nameless))
	serverPost(t, srv, serverBatch(serverTrack("a"), serverTrack("c"), nameless))
	serverPost(t, srv, serverBatch(serverTrack("a")))
	require.Equal(t, 7, srv.Accepted())
	require.Equal(t, 5, srv.Unique())
	require.Equal(t, 2, srv.Duplicates())
	require.Equal(t, 3, srv.Copies("a"))
	require.Zero(t, srv.Copies("unheard of"))

	srv.Reset()
	require.Zero(t, srv.Requests()+srv.Accepted()+srv.Unique()+srv.Duplicates()+srv.Copies("a"))
	require.Empty(t, srv.Violations())
	require.Empty(t, srv.Messages())
}

func TestServerLogsRequests(t *testing.T) {
	srv := analyticstest.NewServer()
	body := serverBatch(serverTrack("a"), `{"type":"track"}`)
	wire := serverGzip(t, body)
	serverPost(t, srv, wire, serverPath("/v1/b"), serverHeader("Content-Encoding", "gzip"), serverHeader("X-Mine", "yes"))
	e := srv.Log()[0]
	require.WithinDuration(t, time.Now(), e.Time, time.Minute)
	require.Equal(t, "yes", e.Header.Get("X-Mine"))
	require.Equal(t, body, string(e.Body))
	e.Time, e.Header, e.Body = time.Time{}, nil, nil
	require.Equal(t, analyticstest.Request{
		Number: 1, Method: "POST", Host: "segment.test", Path: "/v1/b", Status: 200, Code: "multi_user_error",
		WireBytes: int64(len(wire)), BodyBytes: int64(len(body)), Messages: 2, Accepted: 1, Rejected: 1,
	}, e)
}

func TestServerKeepsOnlyIDs(t *testing.T) {
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{IDsOnly: true})
	for range 2 {
		serverPost(t, srv, serverBatch(serverTrack("a"), `{"type":"track"}`))
	}
	require.Equal(t, 2, srv.Copies("a"))
	require.Equal(t, 1, srv.Unique())
	require.Empty(t, srv.Messages())
	require.Nil(t, srv.Rejected()[0].Message)
	require.Nil(t, srv.Log()[0].Header)
	require.Nil(t, srv.Log()[0].Body)
}

func TestServerTakesConcurrentRequests(t *testing.T) {
	srv := analyticstest.NewServer(503, 503, 503)
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			for j := range 10 {
				id := fmt.Sprintf("%d-%d", i, j)
				for status := 0; status != 200; {
					status, _ = serverPost(t, srv, serverBatch(serverTrack(id)))
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, 163, srv.Requests())
	require.Equal(t, 160, srv.Unique())
	require.Zero(t, srv.Duplicates())
}

func BenchmarkServer(b *testing.B) {
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{IDsOnly: true})
	messages := make([]string, 250)
	for i := range messages {
		messages[i] = serverTrack(fmt.Sprintf("message-%d", i))
	}
	body := serverBatch(messages...)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		serverPost(b, srv, body)
	}
}
