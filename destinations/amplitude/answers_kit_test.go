package amplitude_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/amplitude"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
)

func TestSettings(t *testing.T) {
	for fact, c := range map[string]struct {
		d    *amplitude.Destination
		want []string
	}{
		"the key is required":               {&amplitude.Destination{}, []string{"APIKey"}},
		"a blank key is none":               {&amplitude.Destination{APIKey: " "}, []string{"APIKey"}},
		"there are two regions":             {&amplitude.Destination{APIKey: apiKey, Region: "EU"}, []string{"Region"}},
		"a length is not negative":          {&amplitude.Destination{APIKey: apiKey, MinIDLength: -1}, []string{"MinIDLength"}},
		"all faults are reported at once":   {&amplitude.Destination{Region: "mars", MinIDLength: -1}, []string{"APIKey", "Region", "MinIDLength"}},
		"the key is enough":                 {settings(), nil},
		"all settings together are usable":  {withEverything(), nil},
		"the default region can be written": {&amplitude.Destination{APIKey: apiKey, Region: "us"}, nil},
		"groups can be turned off":          {&amplitude.Destination{APIKey: apiKey, NoGroups: true}, nil},
	} {
		t.Run(fact, func(t *testing.T) {
			err := c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client(), Logger: slog.New(slog.DiscardHandler)})
			require.ElementsMatch(t, c.want, faults(err), "%v", err)
			require.Equal(t, c.want == nil, err == nil)
			if err != nil {
				require.NotContains(t, err.Error(), apiKey)
			}
		})
	}
}

// faults are the fields of all InvalidErrors in err.
func faults(err error) (fields []string) {
	var invalid *analytics.InvalidError
	switch e := err.(type) {
	case nil:
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			fields = append(fields, faults(one)...)
		}
	default:
		if errors.As(err, &invalid) {
			fields = append(fields, invalid.Field)
		}
	}
	return fields
}

func TestWide(t *testing.T) {
	for name, d := range map[string]*amplitude.Destination{"few settings": settings(), "all settings": withEverything(), "no groups": {APIKey: apiKey, NoGroups: true}} {
		t.Run(name, func(t *testing.T) {
			f, _ := start(t, d)
			for _, in := range append(desttest.Inputs(t), desttest.Wide(t)...) {
				for _, b := range desttest.Batches(t, d, translated(t, d, in)) {
					before := len(f.accepted) + len(f.mapped)
					results := desttest.DeliverBatch(t, d, b)
					require.Empty(t, f.violations, "%s: %s", in.ID, in.Raw)
					if results.All(analytics.WordDelivered) {
						require.Equal(t, before+len(b.Items), len(f.accepted)+len(f.mapped), in.ID)
					}
				}
			}
			require.Greater(t, len(f.accepted), 200)
			require.Zero(t, f.duplicates)
		})
	}
}

// translated are the items of an event. It may be refused, then there are none.
func translated(t testing.TB, d analytics.Destination, in desttest.Input) []analytics.Item {
	t.Helper()
	if calls := d.Describe().Calls; calls != 0 && !calls.Has(in.Event.Type) {
		return nil
	}
	if _, err := d.Translate(in.Event); err != nil {
		desttest.CheckError(t, err, apiKey)
		return nil
	}
	return desttest.Translate(t, d, in.Event)
}

func TestExpectations(t *testing.T) {
	desttest.Expectations(t, "amplitude", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := settings()
		tool := desttest.Serve(nil)
		desttest.Open(t, d, tool)
		return d, tool
	})
}

func TestSecrets(t *testing.T) {
	d := withEverything()
	_, tool := start(t, d)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(format, d), apiKey)
		require.NotContains(t, fmt.Sprintf(format, []any{d}), apiKey)
	}
	require.Contains(t, fmt.Sprintf("%v", d), "team") // the others are shown

	quoted := fmt.Sprintf(`{"error":"%[1]s %[2]s","events_with_invalid_fields":{"time":[0]},"throttled_events":[1],"throttled_users":{"%[2]s":3}}`, apiKey, content)
	wrong := fmt.Sprintf(`{"error":"Invalid API key: %[1]s","missing_field":"%[2]s"}`, apiKey, content)
	for _, status := range []int{302, 400, 401, 403, 404, 413, 422, 429, 500, 503} {
		for _, body := range []string{quoted, wrong, content + apiKey} {
			own := settings()
			f, _ := start(t, own)
			f.next(status, http.Header{"Location": {"https://elsewhere.example/" + apiKey}}, body)
			mustNotTell(t, own.Deliver(t.Context(), batch(t, own, four(t)...)))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the network fails
	mustNotTell(t, d.Deliver(ctx, batch(t, d, four(t)...)))
	mustNotTell(t, d.Deliver(ctx, batch(t, d, alias(t, 1, content))))
	require.Empty(t, tool.Requests())

	_, err := d.Translate(message(t, 1, fmt.Sprintf(`"type":"track","event":%q,"properties":{"note":%q}`, content, content)))
	mustNotTell(t, err) // nobody's event
}

// mustNotTell fails if an error, or one of a BatchError, holds a secret or content.
func mustNotTell(t testing.TB, err error) {
	t.Helper()
	require.Error(t, err)
	all := []string{err.Error()}
	var each *analytics.BatchError
	if errors.As(err, &each) {
		for _, one := range each.Items {
			all = append(all, one.Error())
		}
	}
	for _, text := range all {
		for _, hidden := range []string{apiKey, content, "user-1", "user-2", "device-3"} {
			require.NotContains(t, text, hidden)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	d := withEverything()
	start(f, d)
	desttest.FuzzTranslate(f, d, apiKey)
}

func BenchmarkTranslate(b *testing.B) {
	d := settings()
	start(b, d)
	desttest.BenchmarkTranslate(b, d)
}

func TestConforms(t *testing.T) {
	for name, build := range map[string]func() *amplitude.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			known := &register{ids: map[mapping]string{}}
			destinationtest.Run(t, destinationtest.Setup{
				New: func(*destinationtest.Service) analytics.Destination {
					return &learning{Destination: build(), in: known}
				},
				Seen: known.seen,
				Answer: func(r *destinationtest.Request) destinationtest.Response {
					return destinationtest.Response{Status: 200, Body: `{"code":200,"events_ingested":1}`} // sheet: Responses, 200
				},
				Events:  mixed(t),
				Secrets: []string{apiKey},
			})
		})
	}
}

// register knows the message of each mapping, which does not carry its id.
type register struct {
	mu  sync.Mutex
	ids map[mapping]string
}

// learning is an adapter whose mappings are noted when they are translated.
type learning struct {
	*amplitude.Destination
	in *register
}

// Translate translates and notes.
func (l *learning) Translate(e *analytics.Event) ([]analytics.Item, error) {
	items, err := l.Destination.Translate(e)
	if e.Type == analytics.CallAlias && len(items) == 1 {
		l.in.mu.Lock()
		defer l.in.mu.Unlock()
		l.in.ids[mapping{e.PreviousID, e.UserID}] = e.MessageID
	}
	return items, err
}

// seen reads the insert_ids of events, and the pairs of mappings.
func (r *register) seen(req *destinationtest.Request) (ids []string) {
	if form, err := url.ParseQuery(string(req.Body)); err == nil && form.Has("mapping") {
		var list []mapping
		_ = json.Unmarshal([]byte(form.Get("mapping")), &list)
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, m := range list {
			ids = append(ids, r.ids[m])
		}
		return ids
	}
	var body struct {
		Events []struct {
			InsertID string `json:"insert_id"`
		} `json:"events"`
	}
	_ = json.Unmarshal(req.Body, &body)
	for _, e := range body.Events {
		ids = append(ids, e.InsertID)
	}
	return ids
}
