package webhook_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/webhook"
)

const (
	hookURL    = "https://hook.example.com/in"
	hookSecret = "whsec_test"
	content    = "zq-content-of-an-event"
)

const (
	delivered    = analytics.WordDelivered
	again        = analytics.WordAgain
	later        = analytics.WordRetryAfter
	permanent    = analytics.WordPermanent
	unauthorized = analytics.WordUnauthorized
	split        = analytics.WordSplit
)

func open(t testing.TB, d *webhook.Destination, f *fake) *desttest.Tool {
	t.Helper()
	tool := desttest.Serve(f)
	desttest.Open(t, d, tool)
	return tool
}

// single opens a destination that sends each message by itself.
func single(t testing.TB, f *fake) *webhook.Destination {
	d := &webhook.Destination{URL: hookURL, SharedSecret: hookSecret}
	f.secret = hookSecret
	open(t, d, f)
	return d
}

// batched opens a destination that sends lists.
func batched(t testing.TB, f *fake) *webhook.Destination {
	d := &webhook.Destination{URL: hookURL, SharedSecret: hookSecret, Batch: true}
	f.secret, f.batch = hookSecret, true
	open(t, d, f)
	return d
}

// track is a message of that id; properties is the JSON of an object.
func track(t testing.TB, id, properties string) *analytics.Event {
	return desttest.Event(t, fmt.Sprintf(
		`{"type":"track","messageId":%q,"userId":"u-1","event":"Song Played","timestamp":"2026-05-02T18:04:05.250Z","properties":%s}`, id, properties))
}

func tracks(t testing.TB, ids ...string) []*analytics.Event {
	events := make([]*analytics.Event, len(ids))
	for i, id := range ids {
		events[i] = track(t, id, `{"title":"`+content+`"}`)
	}
	return events
}

// settle delivers as the client would until every item has its outcome, and returns
// the ids of those that were dropped.
func settle(t *testing.T, d analytics.Destination, events ...*analytics.Event) (dropped []string) {
	t.Helper()
	work := desttest.Batches(t, d, desttest.Translate(t, d, events...))
	for rounds := 0; len(work) > 0; rounds++ {
		require.Less(t, rounds, 100, "it never ends")
		b := work[0]
		work = work[1:]
		var back, halves []analytics.Item
		for i, r := range desttest.DeliverBatch(t, d, b) {
			switch {
			case r.Word == delivered:
			case r.Word == permanent, r.Word == split && len(b.Items) == 1:
				dropped = append(dropped, r.ID)
			case r.Word == split:
				halves = append(halves, b.Items[i])
			default:
				back = append(back, b.Items[i])
			}
		}
		var next []*analytics.Batch
		for _, items := range [][]analytics.Item{back, halves[:len(halves)/2], halves[len(halves)/2:]} {
			if len(items) > 0 {
				next = append(next, &analytics.Batch{Lane: b.Lane, Items: items, Attempt: b.Attempt + 1})
			}
		}
		work = append(next, work...)
	}
	return dropped
}

// statuses is the sheet's response table; where it and the contract's table differ,
// the contract wins: 407, 505 and 511 are not in the sheet's words.
var statuses = []struct {
	status int
	body   string
	want   analytics.Word
}{
	{200, "", delivered}, {200, "ok", delivered}, {201, "{}", delivered}, {202, "<html>", delivered}, {204, "", delivered},
	{200, `{"errors":[]}`, delivered}, {200, `{"errors":"none"}`, delivered}, {207, "[]", delivered},
	{408, "", again}, {425, "", again}, {500, "", again}, {502, "", again}, {503, "", again}, {504, "", again}, {599, "", again},
	{423, "", later}, {429, "", later},
	{401, "", unauthorized}, {403, "", unauthorized}, {407, "", unauthorized}, {511, "", unauthorized},
	{410, "", unauthorized}, // sheet: Responses, 410, "switch the destination off"
	{404, "", permanent}, {405, "", permanent}, {406, "", permanent}, {409, "", permanent}, {415, "", permanent},
	{418, "", permanent}, {501, "", permanent}, {505, "", permanent},
	{301, "", permanent}, {302, "", permanent}, {303, "", permanent}, {307, "", permanent}, {308, "", permanent},
	{400, "", split}, {413, "", split}, {422, "", split},
}

func TestStatuses(t *testing.T) {
	for _, c := range statuses {
		t.Run(fmt.Sprintf("%d %s to one message concerns that message", c.status, c.body), func(t *testing.T) {
			f := &fake{}
			d := single(t, f)
			events := tracks(t, "m-1", "m-2", "m-3")
			f.next(200, nil, "")
			f.next(c.status, nil, c.body)
			results := desttest.Deliver(t, d, events...)
			want := c.want
			if results[1].Word == permanent && want == split {
				want = permanent // for a single item they are the same
			}
			require.Equal(t, []analytics.Word{delivered, want, delivered}, results.Words())
			require.Empty(t, f.violations)
		})
		t.Run(fmt.Sprintf("%d %s to a batch concerns all of it", c.status, c.body), func(t *testing.T) {
			f := &fake{}
			d := batched(t, f)
			f.next(c.status, nil, c.body)
			results := desttest.Deliver(t, d, tracks(t, "m-1", "m-2", "m-3")...)
			require.Len(t, results, 3)
			require.True(t, results.All(c.want), "%v", results.Words())
			require.Empty(t, f.violations)
		})
	}
}

func TestWaits(t *testing.T) {
	for _, status := range []int{408, 423, 425, 429, 500, 503} {
		for _, c := range []struct {
			name, header string
			least, most  time.Duration
		}{
			{"in seconds is waited", "120", 120 * time.Second, 120 * time.Second},
			{"as a date is waited", time.Now().Add(2 * time.Minute).UTC().Format(http.TimeFormat), 110 * time.Second, 121 * time.Second},
			// sheet: Responses, Retry-After, at most 10 min.
			{"of an hour is ten minutes", "3600", 10 * time.Minute, 10 * time.Minute},
			{"as a date next year is ten minutes", time.Now().AddDate(1, 0, 0).UTC().Format(http.TimeFormat), 10 * time.Minute, 10 * time.Minute},
			{"that is no time is the backoff's business", "soon", 0, 0},
		} {
			t.Run(fmt.Sprintf("%d with Retry-After %s", status, c.name), func(t *testing.T) {
				f := &fake{}
				d := batched(t, f)
				f.next(status, http.Header{"Retry-After": {c.header}}, "")
				for _, r := range desttest.Deliver(t, d, tracks(t, "m-1", "m-2", "m-3")...) {
					require.GreaterOrEqual(t, r.After, c.least)
					require.LessOrEqual(t, r.After, c.most)
				}
			})
		}
	}
}

func TestRefusedEntriesOfABatch(t *testing.T) {
	for _, status := range []int{200, 207} { // sheet: Responses, partial failure
		t.Run(fmt.Sprintf("%d with errors rejects or retries those and no other", status), func(t *testing.T) {
			f := &fake{}
			d := batched(t, f)
			f.next(status, nil, `{"errors":[{"index":1,"message":"bad","retry":false},{"index":3,"message":"busy","retry":true},{"index":4,"message":"bad"}]}`)
			results := desttest.Deliver(t, d, tracks(t, "m-0", "m-1", "m-2", "m-3", "m-4")...)
			require.Equal(t, []analytics.Word{delivered, permanent, delivered, again, permanent}, results.Words())
		})
	}
	t.Run("201 with errors is delivered", func(t *testing.T) {
		f := &fake{}
		d := batched(t, f)
		f.next(201, nil, `{"errors":[{"index":0,"message":"bad"}]}`)
		require.True(t, desttest.Deliver(t, d, tracks(t, "m-0", "m-1", "m-2")...).All(delivered))
	})
	t.Run("each good message arrives once, the others are tried again or dropped", func(t *testing.T) {
		f := &fake{refuse: map[string]refusal{"m-1": {"bad", false}, "m-2": {"busy", true}}}
		d := batched(t, f)
		require.Equal(t, []string{"m-1"}, settle(t, d, tracks(t, "m-0", "m-1", "m-2", "m-3")...))
		require.ElementsMatch(t, []string{"m-0", "m-2", "m-3"}, f.accepted)
		require.Empty(t, f.violations)
	})
	t.Run("400 to a batch with one bad message costs that one", func(t *testing.T) {
		f := &fake{poison: map[string]bool{"m-2": true}}
		d := batched(t, f)
		require.Equal(t, []string{"m-2"}, settle(t, d, tracks(t, "m-0", "m-1", "m-2", "m-3", "m-4")...))
		require.ElementsMatch(t, []string{"m-0", "m-1", "m-3", "m-4"}, f.accepted)
		require.Empty(t, f.violations)
	})
	t.Run("413 halves a batch until it fits, and drops what alone is too large", func(t *testing.T) {
		f := &fake{most: 1000}
		d := batched(t, f)
		events := tracks(t, "m-0", "m-1", "m-2", "m-3", "m-4", "m-5", "m-6")
		events[3] = track(t, "m-3", `{"title":"`+strings.Repeat("x", 1000)+`"}`)
		require.Equal(t, []string{"m-3"}, settle(t, d, events...))
		require.ElementsMatch(t, []string{"m-0", "m-1", "m-2", "m-4", "m-5", "m-6"}, f.accepted)
		require.Empty(t, f.violations)
	})
	t.Run("a failure that passes sends the same messages under the same key", func(t *testing.T) {
		f := &fake{}
		d := batched(t, f)
		f.next(503, nil, "")
		f.next(429, nil, "")
		require.Empty(t, settle(t, d, tracks(t, "m-0", "m-1", "m-2")...))
		require.Equal(t, []string{"m-0", "m-1", "m-2"}, f.accepted)
		require.Len(t, f.keys, 3)
		require.Equal(t, []string{f.keys[0], f.keys[0]}, f.keys[1:])
	})
}

// failing is a network that fails.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

// verification is how crypto/tls says what is wrong with a certificate.
func verification(err error) error { return &tls.CertificateVerificationError{Err: err} }

// sheet: Responses, network error, time-out, TLS failure: retry; certificate errors:
// configuration.
func TestNetwork(t *testing.T) {
	for name, c := range map[string]struct {
		err  error
		want analytics.Word
	}{
		"a reset connection is tried again":     {errors.New("connection reset by peer"), again},
		"an unexpected end is tried again":      {io.ErrUnexpectedEOF, again},
		"a time-out is tried again":             {context.DeadlineExceeded, again},
		"a name that is not found is again":     {&net.DNSError{Err: "no such host", Name: "hook.example.com", IsNotFound: true}, again},
		"a failed handshake is tried again":     {tls.RecordHeaderError{Msg: "not TLS"}, again},
		"an alert of TLS is tried again":        {tls.AlertError(80), again},
		"an unknown authority is configuration": {verification(x509.UnknownAuthorityError{}), unauthorized},
		"an expired certificate is too":         {verification(x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired}), unauthorized},
		"a certificate of another host is too":  {verification(x509.HostnameError{Certificate: &x509.Certificate{}, Host: "hook.example.com"}), unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			d := &webhook.Destination{URL: hookURL + "?key=tok-1", Batch: true}
			require.NoError(t, d.Open(analytics.Env{HTTP: &http.Client{Transport: failing{c.err}}}))
			results := desttest.Deliver(t, d, tracks(t, "m-0", "m-1", "m-2")...)
			require.Len(t, results, 3)
			require.True(t, results.All(c.want), "%v", results.Words())
			require.NotContains(t, results[0].Err.Error(), "tok-1")
		})
	}
}

func TestSecrets(t *testing.T) {
	const token, header, secret = "tok-in-the-query", "header-value-1", "whsec_hidden"
	secrets := []string{token, header, secret}
	url := hookURL + "?key=" + token
	for _, batch := range []bool{false, true} {
		d := &webhook.Destination{URL: url, SharedSecret: secret, Headers: map[string]string{"X-Key": header}, Batch: batch}
		for _, status := range []int{200, 207, 302, 400, 401, 403, 404, 410, 413, 422, 429, 500, 501} {
			f := &fake{url: url, secret: secret, headers: map[string]string{"X-Key": header}, batch: batch}
			open(t, d, f)
			quote := strings.Join(append(slices.Clone(secrets), content), " ")
			f.next(status, http.Header{"Location": {url}}, `{"errors":[{"index":0,"message":"`+quote+`"}],"message":"`+quote+`"}`)
			for _, r := range desttest.Deliver(t, d, tracks(t, "m-0", "m-1", "m-2")...) {
				if r.Err == nil {
					continue
				}
				for _, hidden := range append(slices.Clone(secrets), content) {
					require.NotContains(t, r.Err.Error(), hidden, "status %d", status)
				}
			}
			require.Empty(t, f.violations)
		}
		for _, s := range append(slices.Clone(secrets), "?key") {
			require.NotContains(t, printed(d), s)
		}
	}
}

// printed is d in all the ways in which a program may come to print it.
func printed(d *webhook.Destination) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %+v %#v %s", d, d, d, d)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("settings", "destination", d)
	slog.New(slog.NewTextHandler(&b, nil)).Info("settings", "destination", d)
	return b.String()
}
