package slack_test

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/slack"
)

const (
	delivered    = analytics.WordDelivered
	again        = analytics.WordAgain
	later        = analytics.WordRetryAfter
	permanent    = analytics.WordPermanent
	unauthorized = analytics.WordUnauthorized
	content      = "zq-content-of-an-event"
)

// rules are those of the fixtures, and one with content.
func rules(template string) map[string]slack.Rule {
	return map[string]slack.Rule{"*": {Template: template}}
}

func hook(template string) *slack.Destination {
	return &slack.Destination{WebhookURL: hookURL, Events: rules(template)}
}

func bot(template string) *slack.Destination {
	return &slack.Destination{BotToken: botToken, Channel: "#shop", Events: rules(template)}
}

func open(t testing.TB, d *slack.Destination, f *fake) *desttest.Tool {
	t.Helper()
	tool := desttest.Serve(f)
	desttest.Open(t, d, tool)
	return tool
}

// track is a call of that user; its event is the name of the message.
func track(t testing.TB, event, user string) *analytics.Event {
	t.Helper()
	return desttest.Event(t, fmt.Sprintf(`{"type":"track","messageId":"m-%s","userId":%q,"event":%q,"timestamp":"2026-05-02T18:04:05.250Z","properties":{"title":%q}}`,
		event, user, event, content))
}

func tracks(t testing.TB, names ...string) []*analytics.Event {
	events := make([]*analytics.Event, len(names))
	for i, name := range names {
		events[i] = track(t, name, "u-1")
	}
	return events
}

// settle delivers as the client would, in order, until every item has its outcome, and
// returns the ids of those that were dropped.
func settle(t *testing.T, d analytics.Destination, events ...*analytics.Event) (dropped []string) {
	t.Helper()
	work := desttest.Batches(t, d, desttest.Translate(t, d, events...))
	for rounds := 0; len(work) > 0; rounds++ {
		require.Less(t, rounds, 1000, "it never ends")
		b := work[0]
		n := len(b.Items)
		switch desttest.DeliverBatch(t, d, b)[0].Word {
		case delivered:
			work = work[1:]
		case again, later:
			b.Attempt++
		case analytics.WordSplit:
			if n > 1 {
				work = append([]*analytics.Batch{{Items: b.Items[:n/2]}, {Items: b.Items[n/2:]}}, work[1:]...)
				continue
			}
			fallthrough
		default:
			for _, it := range b.Items {
				dropped = append(dropped, it.ID)
			}
			work = work[1:]
		}
	}
	return dropped
}

// answers is the sheet's response table.
var answers = []struct {
	bot    bool
	status int
	header http.Header
	body   string
	want   analytics.Word
	after  time.Duration
}{
	{false, 200, nil, "ok", delivered, 0},
	{false, 400, nil, "invalid_payload", permanent, 0},
	{false, 400, nil, "no_text", permanent, 0},
	{false, 400, nil, "invalid_blocks", permanent, 0},
	{false, 403, nil, "action_prohibited", unauthorized, 0},
	{false, 403, nil, "invalid_token", unauthorized, 0},
	{false, 404, nil, "no_service", unauthorized, 0},
	{false, 404, nil, "channel_not_found", unauthorized, 0},
	{false, 404, nil, "no_team", unauthorized, 0},
	{false, 404, nil, "user_not_found", unauthorized, 0},
	{false, 410, nil, "channel_is_archived", unauthorized, 0},
	{false, 401, nil, "", unauthorized, 0},
	{false, 429, http.Header{"Retry-After": {"7"}}, "rate_limited", later, 7 * time.Second},
	{false, 429, nil, "rate_limited", later, 30 * time.Second}, // sheet: Responses, 429, default 30
	{false, 500, nil, "rollup_error", again, 0},
	{false, 502, nil, "<html>", again, 0},
	{false, 503, http.Header{"Retry-After": {"9"}}, "", again, 9 * time.Second},
	{false, 408, nil, "", again, 0},
	{false, 302, nil, "", permanent, 0},
	{false, 405, nil, "", permanent, 0},

	{true, 200, nil, `{"ok":true}`, delivered, 0},
	{true, 200, nil, `{"ok":false,"error":"invalid_arguments"}`, permanent, 0},
	{true, 200, nil, `{"ok":false,"error":"msg_too_long"}`, permanent, 0},
	{true, 200, nil, `{"ok":false,"error":"invalid_auth"}`, unauthorized, 0},
	{true, 200, nil, `{"ok":false,"error":"not_authed"}`, unauthorized, 0},
	{true, 200, nil, `{"ok":false,"error":"token_revoked"}`, unauthorized, 0},
	{true, 200, nil, `{"ok":false,"error":"not_in_channel"}`, unauthorized, 0},
	{true, 200, nil, `{"ok":false,"error":"is_archived"}`, unauthorized, 0},
	{true, 200, nil, `{"ok":false,"error":"channel_not_found"}`, unauthorized, 0}, // the code of the webhooks' 404
	{true, 200, http.Header{"Retry-After": {"7"}}, `{"ok":false,"error":"ratelimited"}`, later, 7 * time.Second},
	{true, 200, nil, `{"ok":false,"error":"ratelimited"}`, later, 30 * time.Second},
	{true, 429, http.Header{"Retry-After": {"7"}}, `{"ok":false,"error":"ratelimited"}`, later, 7 * time.Second},
	{true, 429, nil, `{"ok":false,"error":"ratelimited"}`, later, 30 * time.Second},
	{true, 500, nil, `{"ok":false,"error":"internal_error"}`, again, 0},
	{true, 503, nil, "", again, 0},
	{true, 401, nil, "", unauthorized, 0},
}

func TestAnswers(t *testing.T) {
	for _, c := range answers {
		d, kind := hook("{{.Event}}"), "a webhook"
		if c.bot {
			d, kind = bot("{{.Event}}"), "chat.postMessage"
		}
		t.Run(fmt.Sprintf("%d %s of %s concerns that message", c.status, c.body, kind), func(t *testing.T) {
			f := &fake{}
			open(t, d, f)
			success := refusal(c.bot, "").body
			f.next(200, nil, success)
			f.next(c.status, c.header, c.body)
			results := desttest.Deliver(t, d, tracks(t, "A", "B", "C")...)
			if c.want == permanent && results[1].Word == analytics.WordSplit {
				results[1].Word = permanent // for a single item they are the same
			}
			require.Equal(t, []analytics.Word{delivered, c.want, delivered}, results.Words())
			require.Equal(t, c.after, results[1].After)
			require.Empty(t, f.violations)
		})
	}
}

// sheet: Request, only {"ok":true} says that a bot's message arrived: the status is 200
// for a failure as well.
func TestABotsFailureIsNoSuccess(t *testing.T) {
	for _, body := range []string{
		`{"ok":false}`, `{"ok":false,"error":"an_error_of_next_year"}`, `{"ok":false,"error":7}`, `{"ok":0}`, "{}", "<html>a proxy</html>", "ok", "",
	} {
		f := &fake{}
		d := bot("{{.Event}}")
		open(t, d, f)
		f.next(200, nil, body)
		results := desttest.Deliver(t, d, tracks(t, "A", "B", "C")...)
		require.NotEqual(t, delivered, results[0].Word, body)
		require.Equal(t, []analytics.Word{delivered, delivered}, results.Words()[1:])
	}
}

func TestMessagesArriveOnceAndInOrder(t *testing.T) {
	for _, d := range []*slack.Destination{hook("{{.Event}}"), bot("{{.Event}}")} {
		f := &fake{}
		open(t, d, f)
		f.next(503, nil, "")
		f.next(429, http.Header{"Retry-After": {"1"}}, "")
		f.next(500, nil, "rollup_error")
		settle(t, d, tracks(t, "A", "B", "C", "D")...)
		require.Equal(t, []string{"A", "B", "C", "D"}, f.texts())
		require.Empty(t, f.violations)
	}
}

func TestNoSuchWebhook(t *testing.T) {
	f := &fake{}
	d := hook("{{.Event}}")
	d.WebhookURL = "https://hooks.slack.com/services/T000/B000/gone"
	open(t, d, f)
	require.True(t, desttest.Deliver(t, d, tracks(t, "A", "B", "C")...).All(unauthorized))
}

func TestARevokedToken(t *testing.T) {
	f := &fake{}
	d := bot("{{.Event}}")
	d.BotToken = "xoxb-of-last-year"
	open(t, d, f)
	require.True(t, desttest.Deliver(t, d, tracks(t, "A", "B", "C")...).All(unauthorized))
}

func TestNetwork(t *testing.T) {
	d := hook("{{.Event}}")
	require.NoError(t, d.Open(analytics.Env{HTTP: &http.Client{Transport: failing{}}}))
	results := desttest.Deliver(t, d, tracks(t, "A", "B", "C")...)
	require.Len(t, results, 3)
	require.True(t, results.All(again))
	require.NotContains(t, results[0].Err.Error(), "XXXX")
}

// failing is a network that fails.
type failing struct{}

func (failing) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, errors.New("connection reset by peer")
}

func TestSecrets(t *testing.T) {
	const rulesURL = "https://hooks.slack.com/services/T000/B222/ZZZZ"
	secrets := []string{"B000/XXXX", "B222/ZZZZ", botToken}
	ds := []*slack.Destination{hook("{{.Properties.title}}"), bot("{{.Properties.title}}")}
	ds[0].Events["A"] = slack.Rule{Template: "{{.Properties.title}}", WebhookURL: rulesURL}
	for i, d := range ds {
		for _, status := range []int{200, 302, 400, 401, 403, 404, 410, 429, 500} {
			f := &fake{}
			open(t, d, f)
			quote := strings.Join(append(slices.Clone(secrets), content), " ")
			for range 3 {
				f.next(status, http.Header{"Location": {hookURL}}, `{"ok":false,"error":"`+quote+`"}`)
			}
			for _, r := range desttest.Deliver(t, d, tracks(t, "A", "B", "C")...) {
				if r.Err == nil {
					require.Equal(t, 0, i, "a webhook's success has no body that matters")
					continue
				}
				for _, hidden := range append(slices.Clone(secrets), content) {
					require.NotContains(t, r.Err.Error(), hidden, "status %d", status)
				}
			}
		}
		for _, s := range secrets {
			require.NotContains(t, printed(d), s)
		}
	}
}

// printed is d in all the ways in which a program may come to print it.
func printed(d *slack.Destination) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%v %+v %#v %s", d, d, d, d)
	slog.New(slog.NewJSONHandler(&b, nil)).Info("settings", "destination", d)
	slog.New(slog.NewTextHandler(&b, nil)).Info("settings", "destination", d)
	return b.String()
}
