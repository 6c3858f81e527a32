package receiver_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
)

func TestMain(m *testing.M) {
	receiver.RunIfAsked()
	os.Exit(m.Run())
}

// start serves inside the test.
func start(t *testing.T, p receiver.Plan) (receiver.Control, *http.Client) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = receiver.New().Serve(l)
	}()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		client.CloseIdleConnections()
		_ = l.Close()
		<-done
	})
	c := receiver.Control{URL: "http://" + l.Addr().String()}
	p.Marker, p.Distinct = `"messageId":"`, true
	require.NoError(t, c.Plan(t.Context(), p))
	return c, client
}

const body = `{"messageId":"envelope","batch":[{"messageId":"a"},{"messageId":"b"},{"messageId":"a"}]}`

func post(t *testing.T, client *http.Client, url string, body io.Reader, encoding string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/batch", body)
	require.NoError(t, err)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	res, err := client.Do(req)
	if err == nil {
		_, _ = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
	}
	return res, err
}

func TestCountsMessages(t *testing.T) {
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, err := io.WriteString(w, body)
	require.NoError(t, err)
	require.NoError(t, w.Close())

	for _, test := range []struct {
		name, encoding string
		body           io.Reader
	}{
		{"plain", "", strings.NewReader(body)},
		{"chunked", "", io.MultiReader(strings.NewReader(body[:40]), strings.NewReader(body[40:]))},
		{"gzip", "gzip", &zipped},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, client := start(t, receiver.Plan{})
			res, err := post(t, client, c.URL, test.body, test.encoding)
			require.NoError(t, err)
			require.Equal(t, 200, res.StatusCode)
			_, err = post(t, client, c.URL, strings.NewReader(`{"batch":[]}`), "")
			require.NoError(t, err)

			r, err := c.Report(t.Context())
			require.NoError(t, err)
			require.Equal(t, 2, r.Requests)
			require.Equal(t, 1, r.Connections, "asking opens none, and they are kept")
			require.Equal(t, 3, r.Messages, "the envelope's id is none of a message")
			require.Equal(t, 2, r.Distinct)
			require.Zero(t, r.Malformed)
			ids, err := c.IDs(t.Context())
			require.NoError(t, err)
			require.ElementsMatch(t, []uint64{receiver.Hash("a"), receiver.Hash("b")}, ids)
		})
	}
}

func TestFailsByPlan(t *testing.T) {
	for _, test := range []struct {
		name     string
		plan     receiver.Plan
		statuses []int // 0 is a broken connection
		report   receiver.Report
	}{
		{
			"a status for ever", receiver.Plan{For: -1, Status: 503}, []int{503, 503},
			receiver.Report{Requests: 2, Connections: 1},
		}, {
			"a pause", receiver.Plan{For: -1, Status: 429, RetryAfter: "60"}, []int{429, 429},
			receiver.Report{Requests: 2, Connections: 1, InsidePause: 1},
		}, {
			"every second reset", receiver.Plan{ResetEvery: 2}, []int{200, 0, 200, 0},
			receiver.Report{Requests: 4, Connections: 2, Resets: 2, Messages: 6, Distinct: 2},
		}, {
			"every second answer lost", receiver.Plan{LoseEvery: 2}, []int{200, 0},
			receiver.Report{Requests: 2, Connections: 1, Resets: 1, Messages: 6, Distinct: 2},
		}, {
			"an outage", receiver.Plan{For: -1, Reset: true}, []int{0, 0},
			receiver.Report{Requests: 2, Connections: 2, Resets: 2},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			c, client := start(t, test.plan)
			for i, want := range test.statuses {
				if i == 1 && test.plan.RetryAfter != "" {
					time.Sleep(30 * time.Millisecond) // what comes sooner was on its way
				}
				res, err := post(t, client, c.URL, strings.NewReader(body), "")
				if want == 0 {
					require.Error(t, err)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, want, res.StatusCode)
				require.Equal(t, test.plan.RetryAfter, res.Header.Get("Retry-After"))
			}
			r, err := c.Report(t.Context())
			require.NoError(t, err)
			r.Bytes = 0
			require.Equal(t, test.report, r)
		})
	}
}

func TestHangs(t *testing.T) {
	c, client := start(t, receiver.Plan{For: -1, Hang: true})
	client.Timeout = 20 * time.Millisecond
	_, err := post(t, client, c.URL, strings.NewReader(body), "")
	require.Error(t, err)
	r, err := c.Report(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, r.Requests)
	require.Zero(t, r.Messages)
}

func TestFaultEnds(t *testing.T) {
	c, client := start(t, receiver.Plan{For: time.Nanosecond, Status: 500})
	statuses := []int{}
	for range 2 {
		res, err := post(t, client, c.URL, strings.NewReader(body), "")
		require.NoError(t, err)
		statuses = append(statuses, res.StatusCode)
	}
	require.Equal(t, []int{500, 200}, statuses)
}

func TestHealing(t *testing.T) {
	c, client := start(t, receiver.Plan{For: -1, Status: 503, LoseEvery: 2})
	for _, want := range []int{503, 200, 200} {
		res, err := post(t, client, c.URL, strings.NewReader(body), "")
		require.NoError(t, err)
		require.Equal(t, want, res.StatusCode)
		require.NoError(t, c.Heal(t.Context()))
	}
	r, err := c.Report(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, r.Requests)
	require.Equal(t, 6, r.Messages)
}

func TestProcess(t *testing.T) {
	p, err := receiver.Start(context.Background())
	require.NoError(t, err)
	defer p.Stop()
	require.NoError(t, p.Plan(t.Context(), receiver.Plan{Marker: `"messageId":"`}))
	_, err = post(t, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}, p.URL, strings.NewReader(body), "")
	require.NoError(t, err)
	r, err := p.Report(t.Context())
	require.NoError(t, err)
	require.Equal(t, 3, r.Messages)
}
