package intercom_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/intercom"
)

const (
	delivered    = analytics.WordDelivered
	again        = analytics.WordAgain
	later        = analytics.WordRetryAfter
	atMost       = analytics.WordRetryAtMost
	permanent    = analytics.WordPermanent
	unauthorized = analytics.WordUnauthorized
	content      = "zq-content-of-an-event"
)

func open(t testing.TB, d *intercom.Destination, f *fake) *desttest.Tool {
	t.Helper()
	tool := desttest.Serve(f)
	desttest.Open(t, d, tool)
	return tool
}

// opened is a destination over f.
func opened(t testing.TB, f *fake) *intercom.Destination {
	d := &intercom.Destination{AccessToken: token}
	open(t, d, f)
	return d
}

const at = `"timestamp":"2026-05-02T18:00:00.000Z"`

func track(t testing.TB, name, user string) *analytics.Event {
	t.Helper()
	return desttest.Event(t, fmt.Sprintf(`{"type":"track","messageId":"m-%s","userId":%q,"event":%q,%s,"properties":{"title":%q}}`, name, user, name, at, content))
}

func identify(t testing.TB, user, name string) *analytics.Event {
	t.Helper()
	return desttest.Event(t, fmt.Sprintf(`{"type":"identify","messageId":"m-%s","userId":%q,%s,"traits":{"name":%q,"email":%q}}`, name, user, at, name, user+"@example.com"))
}

func group(t testing.TB, user, id string) *analytics.Event {
	t.Helper()
	return desttest.Event(t, fmt.Sprintf(`{"type":"group","messageId":"m-%s","userId":%q,"groupId":%q,%s,"traits":{"name":%q}}`, id, user, id, at, content))
}

// settle delivers as the client would, in order, until every item has its outcome, and
// returns the last word for each. It waits for nothing.
func settle(t *testing.T, d analytics.Destination, events ...*analytics.Event) []analytics.Word {
	t.Helper()
	var words []analytics.Word
	for _, b := range desttest.Batches(t, d, desttest.Translate(t, d, events...)) {
		for b.Attempt = 0; ; b.Attempt++ {
			require.Less(t, b.Attempt, 10, "it never ends")
			if w := desttest.DeliverBatch(t, d, b)[0].Word; w != again && w != later && w != atMost {
				words = append(words, w)
				break
			}
		}
	}
	return words
}

// flows are the calls, each with the routes that its requests take where there is no
// contact yet, and where there is one.
var flows = []struct {
	call           string
	event          func(t testing.TB) *analytics.Event
	unknown, found []string
}{
	{"track", func(t testing.TB) *analytics.Event { return track(t, "A", "u-1") }, nil, []string{"POST /events"}},
	{
		"identify", func(t testing.TB) *analytics.Event { return identify(t, "u-1", "Ann") },
		[]string{"POST /contacts/search", "POST /contacts"}, []string{"POST /contacts/search", "PUT /contacts/{id}"},
	},
	{
		"group", func(t testing.TB) *analytics.Event { return group(t, "u-1", "g-1") },
		[]string{"POST /contacts/search", "POST /companies"},
		[]string{"POST /contacts/search", "POST /companies", "POST /contacts/{id}/companies"},
	},
}

const rejected = `{"type":"error.list","errors":[{"code":"parameter_invalid","message":"` + content + `","field":"x"}]}`

// statuses are the rows of the sheet that hold for every request.
var statuses = []struct {
	status int
	body   string
	want   analytics.Word
}{
	{400, rejected, permanent}, {422, rejected, permanent},
	{401, rejected, unauthorized}, {403, rejected, unauthorized},
	{429, `{"type":"error.list","errors":[{"code":"rate_limit_exceeded"}]}`, later},
	{408, "", again}, {500, "", again}, {502, "<html>", again}, {503, "", again}, {504, "", again},
	{302, "", permanent}, {405, "", permanent}, {501, "", permanent},
}

// Each flow is broken off at each of its requests; the calls of other users beside it go
// through, and the same call does once the tool is well again.
func TestStatuses(t *testing.T) {
	for _, flow := range flows {
		for _, known := range []bool{false, true} {
			routes := flow.unknown
			if known {
				routes = flow.found
			}
			for _, route := range routes {
				for _, c := range statuses {
					t.Run(fmt.Sprintf("%d to %s of %s, contact known %v", c.status, route, flow.call, known), func(t *testing.T) {
						f := &fake{}
						d := opened(t, f)
						if known {
							f.add(map[string]any{"external_id": "u-1"})
						}
						first, last := identify(t, "u-8", "Bo"), identify(t, "u-9", "Cy")
						results := desttest.Deliver(t, d, first)
						f.next(route, c.status, nil, c.body)
						results = append(results, desttest.Deliver(t, d, flow.event(t), last)...)
						if c.want == permanent && results[1].Word == analytics.WordSplit {
							results[1].Word = permanent // for a single item they are the same
						}
						require.Equal(t, []analytics.Word{delivered, c.want, delivered}, results.Words())
						require.NotContains(t, results[1].Err.Error(), content)
						require.Equal(t, []analytics.Word{delivered}, settle(t, d, flow.event(t)))
						require.Empty(t, f.violations)
						require.Len(t, f.find("external_id", "u-1"), map[bool]int{true: 1}[known || flow.call == "identify"])
					})
				}
			}
		}
	}
}

func TestFlows(t *testing.T) {
	for _, flow := range flows {
		for _, known := range []bool{false, true} {
			f := &fake{anyUser: true}
			d := opened(t, f)
			want := flow.unknown
			if known {
				f.add(map[string]any{"external_id": "u-1"})
				want = flow.found
			} else if want == nil {
				want = flow.found
			}
			require.True(t, desttest.Deliver(t, d, flow.event(t)).All(delivered))
			var got []string
			for _, r := range f.requests() {
				got = append(got, strings.ReplaceAll(r, "ic_contact_1", "{id}"))
			}
			require.Equal(t, want, got)
			require.Empty(t, f.violations)
		}
	}
}

// sheet: Responses, 404 on /events.
func TestAnEventOfAnUnknownUser(t *testing.T) {
	t.Run("404 to an event waits a minute for the contact, and no other event does", func(t *testing.T) {
		f := &fake{}
		d := opened(t, f)
		f.add(map[string]any{"external_id": "u-2"})
		results := desttest.Deliver(t, d, track(t, "A", "u-2"), track(t, "B", "u-1"), track(t, "C", "u-2"))
		require.Equal(t, []analytics.Word{delivered, atMost, delivered}, results.Words())
		require.Equal(t, time.Minute, results[1].After)
		f.add(map[string]any{"external_id": "u-1"})
		require.Equal(t, []analytics.Word{delivered}, settle(t, d, track(t, "B", "u-1")))
	})
	t.Run("it is tried three times more, a minute apart, then rejected", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f := &fake{}
			var letters []analytics.DeadLetter
			client, err := analytics.New(analytics.Config{
				Destinations: []analytics.Destination{&intercom.Destination{AccessToken: token}},
				HTTPClient:   desttest.Serve(f).Client(),
				DeadLetters: func(l analytics.DeadLetter) error {
					letters = append(letters, l)
					return nil
				},
			})
			require.NoError(t, err)
			require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u-1", Event: "A"}))
			time.Sleep(20 * time.Minute)
			synctest.Wait()
			require.NoError(t, client.Close(context.Background()))
			require.Equal(t, []string{"POST /events", "POST /events", "POST /events", "POST /events"}, f.log)
			for i := range 3 {
				require.InDelta(t, 60, f.times[i+1].Sub(f.times[i]).Seconds(), 10)
			}
			require.Len(t, letters, 1)
		})
	})
}

// sheet: Responses, 429: wait until X-RateLimit-Reset, a Unix second.
func TestRateLimit(t *testing.T) {
	for name, route := range map[string]string{"an event": "POST /events", "a search": "POST /contacts/search", "a contact": "POST /contacts"} {
		t.Run("429 to "+name+" waits until the window ends", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := &fake{anyUser: true}
				d := opened(t, f)
				reset := fmt.Sprint(time.Now().Add(7 * time.Second).Unix())
				f.next(route, 429, http.Header{"X-Ratelimit-Limit": {"1667"}, "X-Ratelimit-Remaining": {"0"}, "X-Ratelimit-Reset": {reset}}, "")
				e := identify(t, "u-1", "Ann")
				if route == "POST /events" {
					e = track(t, "A", "u-1")
				}
				result := desttest.Deliver(t, d, e)[0]
				require.Equal(t, later, result.Word)
				require.InDelta(t, 7, result.After.Seconds(), 1.01)
			})
		})
	}
}

func TestOrderOfOneUser(t *testing.T) {
	f := &fake{}
	d := opened(t, f)
	require.Equal(t, analytics.PerKey, d.Describe().Order) // sheet: Limits, one at a time per user
	f.next("POST /contacts/search", 503, nil, "")
	f.next("POST /contacts", 502, nil, "")
	f.next("POST /events", 500, nil, "")
	events := []*analytics.Event{identify(t, "u-1", "Ann"), track(t, "A", "u-1"), group(t, "u-1", "g-1"), track(t, "B", "u-1")}
	for _, it := range desttest.Translate(t, d, events...) {
		require.Equal(t, "u-1", it.Key)
	}
	require.Equal(t, []analytics.Word{delivered, delivered, delivered, delivered}, settle(t, d, events...))
	require.Len(t, f.events, 2)
	require.Equal(t, "A", f.events[0]["event_name"])
	require.Len(t, f.contacts, 1)
	require.Equal(t, []string{"ic_contact_1 ic_company_1"}, f.links)
	require.Empty(t, f.violations)
}

// failing is a network that fails.
type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection reset by peer")
}

func TestNetwork(t *testing.T) {
	d := &intercom.Destination{AccessToken: token}
	require.NoError(t, d.Open(analytics.Env{HTTP: &http.Client{Transport: failing{}}}))
	results := desttest.Deliver(t, d, identify(t, "u-1", "Ann"), track(t, "A", "u-1"), group(t, "u-1", "g-1"))
	require.Len(t, results, 3)
	require.True(t, results.All(again))
}

func TestSecrets(t *testing.T) {
	hidden := []string{token, content, "u-1", "ic_contact"}
	d := &intercom.Destination{AccessToken: token}
	for _, route := range []string{"POST /contacts/search", "POST /contacts", "PUT /contacts/{id}", "POST /companies", "POST /contacts/{id}/companies", "POST /events"} {
		for _, status := range []int{200, 302, 400, 401, 404, 409, 413, 422, 429, 500} {
			f := &fake{}
			open(t, d, f)
			f.next(route, status, nil, `{"errors":[{"code":"`+strings.Join(hidden, " ")+`","message":"already exists with id=`+strings.Join(hidden, " ")+`"}]}`)
			if !strings.HasSuffix(route, "/contacts") {
				f.add(map[string]any{"external_id": "u-1"})
			}
			for _, r := range desttest.Deliver(t, d, identify(t, "u-1", content), track(t, "A", "u-1"), group(t, "u-1", "g-1")) {
				if r.Err != nil {
					require.False(t, slices.ContainsFunc(hidden, func(s string) bool { return strings.Contains(r.Err.Error(), s) }), "%s %d: %v", route, status, r.Err)
				}
			}
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v %+v %#v %s", d, d, d, d)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("settings", "destination", d)
	slog.New(slog.NewTextHandler(&b, nil)).Info("settings", "destination", d)
	require.NotContains(t, b.String(), token)
}
