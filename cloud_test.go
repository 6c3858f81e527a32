package analytics_test

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
)

func TestCloudConforms(t *testing.T) {
	const key = "cloud-write-key"
	destinationtest.Run(t, destinationtest.Setup{
		New: func(s *destinationtest.Service) analytics.Destination {
			return &analytics.Cloud{WriteKey: key, Endpoint: s.URL()}
		},
		Seen: func(r *destinationtest.Request) []string {
			var body struct {
				Batch []struct {
					MessageID string `json:"messageId"`
				}
			}
			_ = json.Unmarshal(r.Body, &body)
			var ids []string
			for _, m := range body.Batch {
				ids = append(ids, m.MessageID)
			}
			return ids
		},
		Secrets: []string{key},
		Words: map[int]destinationtest.Exception{
			410: {Word: analytics.WordAgain, Reason: "Segment's own clients try it again"},
			460: {Word: analytics.WordAgain, Reason: "Segment's own clients try it again"},
		},
	})
}

// cloud opens a client in cloud mode over srv, in the bubble of the caller.
func cloud(t *testing.T, srv *analyticstest.Server, c *analytics.Cloud, more ...analytics.Destination) *analytics.Client {
	t.Helper()
	if c.WriteKey == "" {
		c.WriteKey = "key"
	}
	if c.Endpoint == "" && c.Region == "" {
		c.Endpoint = srv.URL()
	}
	t.Cleanup(srv.Close)
	return open(t, analytics.Config{
		Destinations: append([]analytics.Destination{c}, more...),
		HTTPClient:   &http.Client{Transport: srv.Transport()},
	})
}

func TestCloudRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer(500, 200)
		srv.SetRules(analyticstest.Rules{WriteKeys: []string{"key"}})
		client := cloud(t, srv, &analytics.Cloud{})
		track(t, client, "u", "m1")
		begun := time.Now()
		time.Sleep(time.Minute)
		require.NoError(t, client.Close(in(t, time.Minute)))
		log := srv.Log()
		require.Len(t, log, 2)
		for i, r := range log {
			require.Equal(t, "POST", r.Method)
			require.Equal(t, "/v1/batch", r.Path)
			require.Equal(t, "application/json", r.Header.Get("Content-Type"))
			require.Equal(t, "gzip", r.Header.Get("Content-Encoding"))
			require.Equal(t, "Basic a2V5Og==", r.Header.Get("Authorization"))
			require.Equal(t, "tributary-go/"+analytics.Version, r.Header.Get("User-Agent"))
			var body struct {
				Batch    []map[string]any
				SentAt   time.Time
				WriteKey string
			}
			require.NoError(t, json.Unmarshal(r.Body, &body))
			require.Equal(t, "key", body.WriteKey)
			require.Len(t, body.Batch, 1)
			require.NotContains(t, body.Batch[0], "_metadata")
			require.WithinDuration(t, r.Time, body.SentAt, time.Millisecond, "sentAt is that of the attempt")
			want := ""
			if i > 0 {
				want = strconv.Itoa(i)
			}
			require.Equal(t, want, r.Header.Get("X-Retry-Count"))
		}
		require.GreaterOrEqual(t, log[0].Time.Sub(begun), 5*time.Second, "FlushInterval")
		require.Empty(t, srv.Violations())
		require.Equal(t, 1, srv.Unique())
	})
}

func TestCloudAddresses(t *testing.T) {
	for _, row := range []struct {
		name       string
		cloud      *analytics.Cloud
		host, path string
	}{
		{"the default is us", &analytics.Cloud{}, "api.segment.io", "/v1/batch"},
		{"us", &analytics.Cloud{Region: "us"}, "api.segment.io", "/v1/batch"},
		{"eu", &analytics.Cloud{Region: "eu"}, "events.eu1.segmentapis.com", "/v1/batch"},
		{"an endpoint with a prefix", &analytics.Cloud{Endpoint: "http://shop.test/events/"}, "shop.test", "/events/v1/batch"},
		{"a path", &analytics.Cloud{Endpoint: "https://shop.test:8080", Path: "/v1/b"}, "shop.test:8080", "/v1/b"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var got *http.Request
				row.cloud.WriteKey = "key"
				client := open(t, analytics.Config{Destinations: []analytics.Destination{row.cloud}, HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					got = r
					return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
				})}})
				track(t, client, "u", "m")
				require.NoError(t, client.Close(in(t, time.Minute)))
				require.Equal(t, row.host, got.URL.Host)
				require.Equal(t, row.path, got.URL.Path)
			})
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCloudSettingsAreChecked(t *testing.T) {
	for field, c := range map[string]*analytics.Cloud{
		"WriteKey":    {Endpoint: "http://x.test"},
		"Region":      {WriteKey: "secret-key", Region: "mars"},
		"Endpoint":    {WriteKey: "secret-key", Endpoint: "ftp://x.test"},
		"Endpoint ":   {WriteKey: "secret-key", Endpoint: "http://user:pass-word@x.test"},
		"Endpoint  ":  {WriteKey: "secret-key", Endpoint: "http://x.test?key=pass-word"},
		"Endpoint   ": {WriteKey: "secret-key", Endpoint: "http://x.test", Region: "eu"},
		"Path":        {WriteKey: "secret-key", Path: "v1"},
		"Concurrency": {WriteKey: "secret-key", Concurrency: -1},
		"Timeout":     {WriteKey: "secret-key", Timeout: -1},
	} {
		_, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{c}})
		var inv *analytics.InvalidError
		require.ErrorAs(t, err, &inv, field)
		if strings.TrimSpace(field) != "Concurrency" && strings.TrimSpace(field) != "Timeout" { // the lane complains first
			require.Equal(t, strings.TrimSpace(field), inv.Field)
		}
		require.NotContains(t, err.Error(), "secret-key")
		require.NotContains(t, err.Error(), "pass-word")
	}
}

func TestCloudFillsBatchesToTheByte(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		client := cloud(t, srv, &analytics.Cloud{})
		for i := range 200 {
			require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"pad": strings.Repeat("é", 1+i*37)}}))
		}
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.Equal(t, 200, srv.Unique())
		require.Empty(t, srv.Violations())
		small := 0
		for _, r := range srv.Log() {
			require.LessOrEqual(t, r.BodyBytes, int64(500_000))
			if r.BodyBytes < 500_000-33_000 {
				small++
			}
		}
		require.LessOrEqual(t, small, 1, "a batch takes what fits; the last one takes the rest")
	})
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		client := cloud(t, srv, &analytics.Cloud{})
		for range 6000 {
			require.NoError(t, client.Alias(t.Context(), analytics.Alias{UserID: "u", PreviousID: "p"}))
		}
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.Equal(t, 6000, srv.Unique())
		for _, r := range srv.Log() {
			require.LessOrEqual(t, r.Messages, 2500)
		}
	})
}

// plainOnly is an endpoint that knows no gzip.
func plainOnly(srv *analyticstest.Server, status int) http.RoundTripper {
	inner := srv.Transport()
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Header.Get("Content-Encoding") == "gzip" {
			r.Body.Close()
			return &http.Response{StatusCode: status, Body: http.NoBody, Header: http.Header{}}, nil
		}
		return inner.RoundTrip(r)
	})
}

func TestCloudRemembersEndpointsWithoutGzip(t *testing.T) {
	for _, status := range []int{400, 415} {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			refused := 0
			inner := plainOnly(srv, status)
			client := open(t, analytics.Config{WriteKey: "key", Endpoint: srv.URL(), FlushAt: 1, HTTPClient: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
				res, err := inner.RoundTrip(r)
				if res.StatusCode == status {
					refused++
				}
				return res, err
			})}})
			for i := range 5 {
				track(t, client, "u", "m"+strconv.Itoa(i))
				time.Sleep(time.Second)
			}
			require.NoError(t, client.Close(in(t, time.Minute)))
			require.Equal(t, 5, srv.Unique())
			require.Equal(t, 1, refused)
			srv.Close()
		})
	}
	t.Run("a message that is bad either way is no reason", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer(400, 400, 200)
			client := cloud(t, srv, &analytics.Cloud{})
			track(t, client, "u", "bad")
			time.Sleep(time.Minute)
			track(t, client, "u", "good")
			require.NoError(t, client.Close(in(t, time.Minute)))
			log := srv.Log()
			require.Equal(t, []string{"gzip", "", "gzip"}, []string{log[0].Header.Get("Content-Encoding"), log[1].Header.Get("Content-Encoding"), log[2].Header.Get("Content-Encoding")})
			require.EqualValues(t, 1, client.Stats().Destinations["Segment.io"].Dropped[analytics.ReasonRejected])
		})
	})
	t.Run("NoGzip sends plain", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			client := cloud(t, srv, &analytics.Cloud{NoGzip: true})
			track(t, client, "u", "m")
			require.NoError(t, client.Close(in(t, time.Minute)))
			require.Empty(t, srv.Log()[0].Header.Get("Content-Encoding"))
		})
	})
}

func TestCloudMetadataNamesDeviceModeDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := analyticstest.NewServer()
		client := cloud(t, srv, &analytics.Cloud{}, newDouble("Amplitude"), newDouble("Mixpanel"))
		track(t, client, "u", "m1")
		require.NoError(t, client.Enqueue(t.Context(), analytics.Event{
			Type: analytics.CallTrack, MessageID: "m2", UserID: "u", Event: "E", Metadata: map[string]any{"bundled": []any{"Braze"}},
		}))
		require.NoError(t, client.Close(in(t, time.Minute)))
		var own, given map[string]any
		for _, m := range srv.Decoded() {
			if m["messageId"] == "m1" {
				own = m["_metadata"].(map[string]any)
			} else {
				given = m["_metadata"].(map[string]any)
			}
		}
		require.Equal(t, map[string]any{"bundled": []any{"Amplitude", "Mixpanel"}, "unbundled": []any{}, "bundledIds": []any{}}, own)
		require.Equal(t, map[string]any{"bundled": []any{"Braze"}}, given, "an event's own is kept")
		require.Empty(t, srv.Violations())
	})
}

func TestCloudStatuses(t *testing.T) {
	for _, row := range []struct {
		status int
		want   string // of the event that met it first
	}{
		{200, "delivered"}, {202, "delivered"},
		{301, "rejected"}, {302, "rejected"}, {307, "rejected"},
		{400, "rejected"}, {404, "rejected"}, {405, "rejected"}, {406, "rejected"}, {409, "rejected"}, {413, "rejected"}, {415, "rejected"}, {418, "rejected"}, {422, "rejected"},
		{408, "delivered"}, {410, "delivered"}, {425, "delivered"}, {429, "delivered"}, {423, "delivered"}, {460, "delivered"},
		{500, "delivered"}, {502, "delivered"}, {503, "delivered"}, {504, "delivered"}, {599, "delivered"},
		{501, "rejected"}, {505, "rejected"},
		{401, "delivered"}, {403, "delivered"}, {407, "delivered"}, {511, "delivered"},
	} {
		t.Run(strconv.Itoa(row.status), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := analyticstest.NewServer(row.status)
				if row.status == 400 || row.status == 415 {
					srv = analyticstest.NewServer(row.status, row.status) // also without gzip
				}
				client := cloud(t, srv, &analytics.Cloud{})
				track(t, client, "u", "m")
				require.NoError(t, client.Flush(in(t, time.Hour)))
				s := client.Stats().Destinations["Segment.io"]
				if row.want == "delivered" {
					require.EqualValues(t, 1, s.Delivered)
				} else {
					require.EqualValues(t, 1, s.Dropped[analytics.ReasonRejected])
				}
			})
		})
	}
}

func TestCloudRetryAfter(t *testing.T) {
	for _, row := range []struct {
		name  string
		reply analyticstest.Reply
		least time.Duration
		most  time.Duration
	}{
		{"seconds", analyticstest.Reply{Status: 429, RetryAfter: "7"}, 7 * time.Second, 8 * time.Second},
		{"a date", analyticstest.Reply{Status: 429, RetryAfter: "Sat, 01 Jan 2000 00:01:00 GMT"}, 50 * time.Second, 60 * time.Second},
		{"no header leaves it to the backoff", analyticstest.Reply{Status: 429}, 250 * time.Millisecond, time.Second},
		{"garbage leaves it to the backoff", analyticstest.Reply{Status: 429, RetryAfter: "soon"}, 250 * time.Millisecond, time.Second},
		{"an hour is cut to five minutes", analyticstest.Reply{Status: 429, RetryAfter: "3600"}, 300 * time.Second, 301 * time.Second},
		{"503 waits at least as long", analyticstest.Reply{Status: 503, RetryAfter: "30"}, 30 * time.Second, 31 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := analyticstest.NewServer()
				srv.Script(row.reply)
				client := cloud(t, srv, &analytics.Cloud{})
				track(t, client, "u", "m")
				require.NoError(t, client.Flush(in(t, time.Hour)))
				log := srv.Log()
				require.Len(t, log, 2)
				pause := log[1].Time.Sub(log[0].Time)
				require.GreaterOrEqual(t, pause, row.least)
				require.LessOrEqual(t, pause, row.most)
			})
		})
	}
}

func TestCloudSurvivesStrangeAnswers(t *testing.T) {
	for name, reply := range map[string]analyticstest.Reply{
		"an endless body":          {BodySize: -1},
		"a body that dribbles":     {BodySize: 1000, BodyDelay: time.Minute},
		"an endless slow refusal":  {Status: 400, BodySize: -1, BodyDelay: time.Second},
		"a reset":                  {Reset: true},
		"a lost answer":            {LoseAnswer: true},
		"an answer after a minute": {Delay: time.Minute},
		"no answer":                {Hang: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				srv := analyticstest.NewServer()
				srv.Script(reply)
				client := cloud(t, srv, &analytics.Cloud{})
				track(t, client, "u", "m")
				begun := time.Now()
				require.NoError(t, client.Flush(in(t, time.Hour)))
				require.Less(t, time.Since(begun), 40*time.Second)
				require.EqualValues(t, 1, client.Stats().Destinations["Segment.io"].Delivered)
				require.Equal(t, 1, srv.Unique())
			})
		})
	}
}

func TestPromiseNothingSecretInLogsAndErrors(t *testing.T) {
	const key, content = "very-secret-key", "very-private-content"
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{400, 401, 404, 429, 500, 503} {
			var logged strings.Builder
			srv := analyticstest.NewServer()
			srv.Script(analyticstest.Reply{Status: status, Body: []byte(`{"message":"bad event ` + content + ` of key ` + key + `"}`), Times: -1})
			client, err := newClient(t, analytics.Config{
				WriteKey: key, Endpoint: srv.URL(), HTTPClient: &http.Client{Transport: srv.Transport()}, Logger: textLogger(&logged), MaxAttempts: 3,
				OnOutcome: func(o analytics.Outcome) {
					require.NotContains(t, fmt.Sprint(o, o.Err), content)
					require.NotContains(t, fmt.Sprint(o, o.Err), key)
				},
				DeadLetters: func(l analytics.DeadLetter) error {
					require.NotContains(t, l.Error, content)
					require.NotContains(t, l.Error, key)
					return nil
				},
				Destinations: []analytics.Destination{&panicking{}},
			})
			require.NoError(t, err)
			require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: content, Event: content, Properties: map[string]any{content: content}}))
			err = client.Close(in(t, 10*time.Second))
			require.NotContains(t, fmt.Sprint(err), content)
			require.NotContains(t, logged.String(), content)
			require.NotContains(t, logged.String(), key)
			srv.Close()
		}
	})
}

// panicking throws the event.
type panicking struct{}

func (*panicking) Describe() analytics.Description { return analytics.Description{Name: "panicking"} }
func (*panicking) Translate(e *analytics.Event) ([]analytics.Item, error) {
	return []analytics.Item{{Data: e, Size: 1}}, nil
}
func (*panicking) Deliver(_ context.Context, b *analytics.Batch) error {
	panic(b.Items[0].Data.(*analytics.Event).UserID)
}

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// The token endpoint and the receiver are the fake server's, which knows the
// documents and not our client.
func TestCloudWithOAuth(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, status := range []int{401, 403, 511} {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.SetRules(analyticstest.Rules{OAuth: analyticstest.OAuthRules{
				Keys: map[string]*rsa.PublicKey{"key-1": &key.PublicKey}, AppID: "app-1", Audience: srv.URL(), Required: true,
			}})
			tokens := &analytics.OAuth{
				ClientID: "app-1", KeyID: "key-1", PrivateKey: key, Endpoint: srv.URL(), HTTP: &http.Client{Transport: srv.Transport()},
			}
			client := cloud(t, srv, &analytics.Cloud{Tokens: tokens})
			for i := range 3 {
				track(t, client, "u", "m"+strconv.Itoa(i))
				require.NoError(t, client.Flush(in(t, time.Minute)))
				srv.RevokeTokens(status)
			}
			require.Equal(t, 3, srv.Unique())
			require.Empty(t, srv.Violations())
			require.GreaterOrEqual(t, srv.TokenRequests(), 3)
			for _, r := range srv.Log() {
				require.True(t, strings.HasPrefix(r.Header.Get("Authorization"), "Bearer "))
			}
			require.NoError(t, client.Close(in(t, time.Minute)))
		})
	}
	t.Run("a refused application pauses the destination", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			srv := analyticstest.NewServer()
			srv.SetRules(analyticstest.Rules{OAuth: analyticstest.OAuthRules{Keys: map[string]*rsa.PublicKey{}, Required: true}})
			tokens := &analytics.OAuth{ClientID: "app-1", KeyID: "key-1", PrivateKey: key, Endpoint: srv.URL(), HTTP: &http.Client{Transport: srv.Transport()}}
			client := cloud(t, srv, &analytics.Cloud{Tokens: tokens})
			track(t, client, "u", "m")
			err := client.Flush(in(t, 30*time.Second))
			var pending *analytics.PendingError
			require.ErrorAs(t, err, &pending)
			require.Equal(t, "unauthorized", pending.Destinations["Segment.io"].Reason)
			require.Zero(t, srv.Requests())
		})
	})
	t.Run("settings are checked by New", func(t *testing.T) {
		_, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{&analytics.Cloud{WriteKey: "k", Tokens: &analytics.OAuth{}}}})
		require.ErrorContains(t, err, "ClientID")
	})
}
