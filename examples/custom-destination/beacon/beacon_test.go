package beacon_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/examples/custom-destination/beacon"
)

const token = "beacon-secret"

func TestConforms(t *testing.T) {
	destinationtest.Run(t, destinationtest.Setup{
		New: func(*destinationtest.Service) analytics.Destination { return &beacon.Destination{Token: token} },
		Seen: func(r *destinationtest.Request) []string {
			var body struct{ Signals []struct{ ID string } }
			_ = json.Unmarshal(r.Body, &body)
			var ids []string
			for _, s := range body.Signals {
				ids = append(ids, s.ID)
			}
			return ids
		},
		Secrets: []string{token},
	})
}

// decode is an event as it comes out of the log.
func decode(t *testing.T, rest string) *analytics.Event {
	t.Helper()
	e := &analytics.Event{}
	require.NoError(t, e.UnmarshalJSON([]byte(`{"messageId":"m","timestamp":"2026-11-20T12:00:00Z",`+rest+`}`)))
	return e
}

func TestTranslate(t *testing.T) {
	const common = `"id":"m","at":"2026-11-20T12:00:00.000Z","who":"u",`
	hooks := &beacon.Destination{}
	hooks.EventNames = map[string]string{"Order Completed": "sale"}
	hooks.Fields = map[string]string{"data.shop": "context.app.name", "ip": ""}
	for name, c := range map[string]struct {
		d           *beacon.Destination
		event, want string
	}{
		"what the table names is lifted, and stays in data": {
			&beacon.Destination{},
			`"type":"track","userId":"u","event":"E","properties":{"revenue":"29.50","url":"/p"},"context":{"ip":"192.0.2.1","traits":{"plan":7}}`,
			common + `"name":"E","ip":"192.0.2.1","url":"/p","plan":"7","amount":29.50,"data":{"revenue":"29.50","url":"/p"}`,
		},
		"what does not fit is left out": {
			&beacon.Destination{},
			`"type":"track","userId":"u","event":"E","properties":{"revenue":"much"},"context":{"traits":{"plan":["pro"]}}`,
			common + `"name":"E","data":{"revenue":"much"}`,
		},
		"personal properties are not sent": {
			&beacon.Destination{},
			`"type":"page","userId":"u","properties":{"email":"ann@example.com","n":9007199254740993}`,
			common + `"name":"page.viewed","data":{"n":9007199254740993}`,
		},
		"the hooks have the last word": {
			hooks,
			`"type":"track","userId":"u","event":"Order Completed","context":{"ip":"192.0.2.1","app":{"name":"Shop"}}`,
			common + `"name":"sale","data":{"shop":"Shop"}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			items, err := c.d.Translate(decode(t, c.event))
			require.NoError(t, err)
			require.Len(t, items, 1)
			require.JSONEq(t, "{"+c.want+"}", string(items[0].Body))
		})
	}

	_, err := new(beacon.Destination).Translate(decode(t, `"type":"track","event":"E"`))
	var invalid *analytics.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "userId", invalid.Field)
}

func TestOpenReportsEverything(t *testing.T) {
	d := &beacon.Destination{Region: "mars"}
	d.Fields = map[string]string{"plan": "nowhere.plan"}
	err := d.Open(analytics.Env{HTTP: http.DefaultClient})
	require.ErrorContains(t, err, "Token: is required")
	require.ErrorContains(t, err, "Region: is none of us, eu")
	require.ErrorContains(t, err, "Fields: plan")
}

func TestSettingsPrintWithoutTheToken(t *testing.T) {
	require.Equal(t, "Beacon{Token:[hidden] Region:eu}", fmt.Sprintf("%+v", &beacon.Destination{Token: token, Region: "eu"}))
}

// answers is a transport that answers so, whatever it is asked, and keeps the bodies.
type answers struct {
	status int
	body   string
	sent   []string
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent strings.Builder
	_ = r.Write(&sent)
	a.sent = append(a.sent, sent.String())
	w := httptest.NewRecorder()
	w.WriteHeader(a.status)
	_, _ = w.WriteString(a.body)
	return w.Result(), nil
}

// deliver sends three signals, the first of them too old.
func deliver(t *testing.T, tool *answers, d *beacon.Destination) map[int]error {
	t.Helper()
	d.Token = token
	require.NoError(t, d.Open(analytics.Env{HTTP: &http.Client{Transport: tool}}))
	now := time.Now()
	err := d.Deliver(context.Background(), &analytics.Batch{Items: []analytics.Item{
		{Body: []byte(`{"id":"old"}`), Data: now.Add(-8 * 24 * time.Hour)},
		{Body: []byte(`{"id":"a"}`), Data: now}, {Body: []byte(`{"id":"b"}`), Data: now},
	}})
	var each *analytics.BatchError
	if !errors.As(err, &each) {
		require.NoError(t, err)
		return nil
	}
	return each.Items
}

func TestOldSignalsAreNotSent(t *testing.T) {
	tool := &answers{status: 200, body: `{}`}
	got := deliver(t, tool, &beacon.Destination{})
	require.Len(t, got, 1)
	require.ErrorContains(t, got[0], "older than a week")
	require.Contains(t, tool.sent[0], "Host: us.beacon.example")
	require.Contains(t, tool.sent[0], `{"signals":[{"id":"a"},{"id":"b"}]}`)

	tool = &answers{status: 200, body: `{}`}
	require.Empty(t, deliver(t, tool, &beacon.Destination{KeepOld: true, Region: "eu"}))
	require.Contains(t, tool.sent[0], "Host: eu.beacon.example")
	require.Contains(t, tool.sent[0], `{"signals":[{"id":"old"},{"id":"a"},{"id":"b"}]}`)
}

func TestASignalThatIsRefusedTakesNoOtherWithIt(t *testing.T) {
	got := deliver(t, &answers{status: 207, body: `{"refused":[{"index":1,"code":"bad_name"}]}`}, &beacon.Destination{})
	require.Len(t, got, 2) // the index is that in the request, and there the old one was missing
	require.ErrorContains(t, got[2], "bad_name")
	word, _ := analytics.Classify(got[2])
	require.Equal(t, analytics.WordPermanent, word)

	got = deliver(t, &answers{status: 207, body: `<html>`}, &beacon.Destination{})
	word, _ = analytics.Classify(got[1])
	require.Equal(t, analytics.WordAgain, word)
}
