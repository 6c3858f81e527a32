package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// Without a spool, Close says what it could not deliver, and to whom; each event is
// dropped with the reason.
func TestDeviceModeCloseIsHonest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, w := newTools(), &watch{}
		n.of("Amplitude").set(dead)
		n.of("Customer.io").set(hanging)
		n.of("Braze").set(status(http.StatusUnauthorized))
		n.of("Klaviyo").set(status(http.StatusTooManyRequests, "Retry-After", "3600"))
		names := []string{"Amplitude", "Braze", "Customer.io", "Klaviyo", "PostHog"}
		client := open(t, n, w, analytics.Config{Destinations: pick(adapters(t.TempDir()), names...)})
		events := mix(time.Now(), 200, 20)
		send(t, client, events)

		closing := time.Now()
		err := client.Close(in(t, 10*time.Second))
		require.LessOrEqual(t, time.Since(closing), 11*time.Second)
		require.Equal(t, err, client.Close(in(t, time.Hour)), "a second Close says the same")
		var left *analytics.PendingError
		require.ErrorAs(t, err, &left)
		stats := balanced(t, client)
		reasons := map[string]string{"Amplitude": "retry", "Braze": "unauthorized", "Customer.io": "in flight", "Klaviyo": "retry after"}
		require.Len(t, left.Destinations, len(reasons))
		total := 0
		for name, reason := range reasons {
			mine, d := 0, stats[name]
			for _, e := range events {
				mine += min(wants[name][e.kind], 1)
			}
			total += mine
			require.Equal(t, analytics.Pending{Events: mine, Reason: reason}, left.Destinations[name], name)
			require.Zero(t, d.Delivered+d.Pending, name)
			require.EqualValues(t, mine, analytics.Sum(d.Dropped), name)
			require.Len(t, w.of(name, analytics.Dropped), mine, name)
			require.Len(t, w.buried(name), mine, name)
		}
		require.Len(t, w.letters, total)
		require.Equal(t, []analytics.Reason{analytics.ReasonClosed}, why(stats["Amplitude"]))
		require.Equal(t, []analytics.Reason{analytics.ReasonUnauthorized}, why(stats["Braze"]))
		require.Equal(t, []analytics.Reason{analytics.ReasonClosed}, why(stats["Klaviyo"]))
		require.Positive(t, stats["Customer.io"].Dropped[analytics.ReasonClosedUnknown], "what was under way may have arrived")
		complete(t, "PostHog", n.of("PostHog").kept(), events)
		require.Zero(t, analytics.Sum(stats["PostHog"].Dropped))
		require.ErrorIs(t, client.Enqueue(t.Context(), events[0].message), analytics.ErrClosed)
	})
}

// why are the reasons for which events were dropped.
func why(d analytics.DestinationStats) (list []analytics.Reason) {
	for r := range d.Dropped {
		list = append(list, r)
	}
	return list
}

// echo answers with a status, and quotes all of the request wherever a vendor may quote
// something.
func echo(code int) weather {
	return func(r *http.Request) (*answer, error) {
		asked, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		quote := r.URL.String() + " " + encode(r.Header) + " " + string(asked)
		fault := map[string]any{
			"code": quote, "message": quote, "detail": quote, "error": quote, "reason": quote, "field": quote, "category": quote,
			"context":     map[string]any{"ids": []string{"nobody"}, "objectWriteTraceId": []string{"0"}},
			"batch_index": 0, "index": 0, "input_array": "events",
			"source": map[string]any{"pointer": "/data/attributes/events-bulk-create/data/0/" + quote},
		}
		body := map[string]any{
			"error": quote, "message": quote, "errors": []any{fault}, "failed_records": []any{fault}, "policyName": quote,
			"events_with_invalid_fields": map[string]any{quote: []int{0}}, "quota_limited": []string{quote},
		}
		if r.URL.Host == hosts["Facebook Conversions API"] {
			body["error"] = map[string]any{"code": 100, "message": quote, "error_user_msg": quote, "type": quote}
		}
		h := http.Header{"Location": {"https://elsewhere.example/%zz?" + quote}, "X-Request-Id": {quote}}
		return &answer{status: code, header: h, body: encode(body)}, nil
	}
}

// Whatever the tools quote, and whatever is wrong with an event: no key and nothing of an
// event's content is in an error, in the log or in the text of a dead letter.
func TestDeviceModeNothingLeaks(t *testing.T) {
	for _, c := range []struct {
		name    string
		weather weather
	}{
		{"no connection", dead},
		{"success", echo(http.StatusOK)},
		{"partial", echo(http.StatusMultiStatus)},
		{"redirect", echo(http.StatusFound)},
		{"bad request", echo(http.StatusBadRequest)},
		{"unauthorized", echo(http.StatusUnauthorized)},
		{"forbidden", echo(http.StatusForbidden)},
		{"not found", echo(http.StatusNotFound)},
		{"conflict", echo(http.StatusConflict)},
		{"gone", echo(http.StatusGone)},
		{"too large", echo(http.StatusRequestEntityTooLarge)},
		{"throttled", echo(http.StatusTooManyRequests)},
		{"server error", echo(http.StatusInternalServerError)},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n, w := newTools(), &watch{}
				for name := range hosts {
					n.of(name).set(c.weather)
				}
				client := open(t, n, w, analytics.Config{Destinations: pick(adapters(t.TempDir()))})
				send(t, client, append(mix(time.Now(), 40, 4), faulty()...))
				err := client.Close(in(t, time.Minute))
				texts := []string{w.log.String()}
				if err != nil {
					texts = append(texts, err.Error())
				}
				for _, o := range w.outcomes {
					if o.Err != nil {
						texts = append(texts, o.Destination+": "+o.Err.Error())
					}
				}
				for _, l := range w.letters {
					texts = append(texts, l.Destination+": "+l.Error)
				}
				require.Greater(t, len(texts), 10)
				for _, text := range texts {
					for _, no := range []string{secret, content, "Song Played", "shop.example", "/in?", "/services"} {
						require.NotContains(t, text, no)
					}
				}
			})
		})
	}
}

// faulty are events that one adapter or another refuses to translate.
func faulty() (list []event) {
	for i, properties := range []analytics.Properties{
		{"currency": content, "revenue": content, "order_id": content, "products": content},
		{"currency": "EUR", "revenue": content, "products": []any{content, map[string]any{"price": content}}},
		{"objectId": strings.Repeat(content, 20), "huge": json.Number("1e999999")},
	} {
		name := "Order Completed"
		if i == 2 {
			name = "Object Deleted"
		}
		user := strings.Repeat(content, 20) // longer than most tools take
		list = append(list, event{message: analytics.Track{UserID: user, Event: name, Properties: properties, Timestamp: time.Unix(-1, 0)}})
		list = append(list, event{message: analytics.Page{AnonymousID: user, Name: content, Properties: properties}})
	}
	return list
}
