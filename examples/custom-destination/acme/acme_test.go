package acme_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/examples/custom-destination/acme"
)

// An adapter is done when this passes.
func TestConforms(t *testing.T) {
	destinationtest.Run(t, destinationtest.Setup{
		New: func(*destinationtest.Service) analytics.Destination {
			return &acme.Destination{APIKey: "acme-secret"}
		},
		Seen: func(r *destinationtest.Request) []string {
			var body struct{ Events []struct{ ID string } }
			_ = json.Unmarshal(r.Body, &body)
			var ids []string
			for _, e := range body.Events {
				ids = append(ids, e.ID)
			}
			return ids
		},
		Secrets: []string{"acme-secret"},
	})
}

// The rest is what is Acme's own: the mapping, and the answers that the kit does not
// know.
func TestTranslate(t *testing.T) {
	at := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		event analytics.Event
		want  string
	}{
		"a track call is an action": {
			analytics.Event{Type: analytics.CallTrack, UserID: "u", Event: "E", Properties: map[string]any{"n": json.Number("9007199254740993")}},
			`{"id":"m","kind":"action","user":"u","name":"E","at":1795176000000,"data":{"n":9007199254740993}}`,
		},
		"a visitor acts under the anonymousId": {
			analytics.Event{Type: analytics.CallTrack, AnonymousID: "a", Event: "E"},
			`{"id":"m","kind":"action","user":"a","name":"E","at":1795176000000}`,
		},
		"an identify call is a profile": {
			analytics.Event{Type: analytics.CallIdentify, UserID: "u", AnonymousID: "a", Traits: map[string]any{"plan": nil}},
			`{"id":"m","kind":"profile","user":"u","at":1795176000000,"data":{"plan":null}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			c.event.MessageID, c.event.Timestamp = "m", at
			items, err := new(acme.Destination).Translate(&c.event)
			require.NoError(t, err)
			require.Len(t, items, 1)
			require.JSONEq(t, c.want, string(items[0].Body))
		})
	}

	_, err := new(acme.Destination).Translate(&analytics.Event{Type: analytics.CallIdentify, AnonymousID: "a"})
	require.ErrorIs(t, err, analytics.ErrIgnored)

	_, err = new(acme.Destination).Translate(&analytics.Event{Type: analytics.CallTrack, UserID: strings.Repeat("u", 65), Event: "E"})
	var invalid *analytics.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "userId", invalid.Field)
}

func TestOpenReportsEverything(t *testing.T) {
	err := (&acme.Destination{Endpoint: "nowhere"}).Open(analytics.Env{HTTP: http.DefaultClient})
	require.ErrorContains(t, err, "APIKey: is required")
	require.ErrorContains(t, err, "Endpoint: is not a URL")
}

func TestAnEventThatIsRefusedTakesNoOtherWithIt(t *testing.T) {
	for body, want := range map[string]map[int]analytics.Word{
		`{"errors":[{"index":1,"code":"invalid"},{"index":2,"code":"busy"}]}`: {1: analytics.WordPermanent, 2: analytics.WordAgain},
		`{"errors":[]}`: nil,
	} {
		err := deliver(t, http.StatusMultiStatus, body)
		var items *analytics.BatchError
		if want == nil {
			require.NoError(t, err)
			continue
		}
		require.True(t, errors.As(err, &items))
		require.Len(t, items.Items, len(want))
		for i, word := range want {
			got, _ := analytics.Classify(items.Items[i])
			require.Equal(t, word, got)
		}
	}
	word, _ := analytics.Classify(deliver(t, http.StatusMultiStatus, `{"errors":`))
	require.Equal(t, analytics.WordAgain, word)
}

// deliver gives three items to an Acme that answers so.
func deliver(t *testing.T, status int, body string) error {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer srv.Close()
	d := &acme.Destination{APIKey: "k", Endpoint: srv.URL}
	require.NoError(t, d.Open(analytics.Env{HTTP: srv.Client()}))
	return d.Deliver(t.Context(), &analytics.Batch{Items: []analytics.Item{{Body: []byte(`{}`)}, {Body: []byte(`{}`)}, {Body: []byte(`{}`)}}})
}
