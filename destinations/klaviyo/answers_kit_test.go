package klaviyo_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/klaviyo"
)

// roundTrip is a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

func TestSecrets(t *testing.T) {
	check := func(t *testing.T, d *klaviyo.Destination, m mode) {
		t.Helper()
		for _, b := range desttest.Batches(t, d, desttest.Translate(t, d, m.events(t)...)) {
			err := d.Deliver(t.Context(), b)
			require.Error(t, err)
			told := err.Error()
			var each *analytics.BatchError
			if errors.As(err, &each) {
				for _, err := range each.Items {
					told += err.Error()
				}
			}
			for _, s := range []string{secret, "example.com", "Good", "user-"} {
				require.NotContains(t, told, s)
			}
		}
	}
	for _, m := range modes {
		for _, status := range []int{301, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503} {
			t.Run(fmt.Sprint(m.name, ", ", status), func(t *testing.T) {
				d, _ := m.open(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					var body bytes.Buffer
					_, _ = body.ReadFrom(r.Body)
					quote := body.String() + r.Header.Get("Authorization")
					w.WriteHeader(status)
					_, _ = fmt.Fprint(w, fault(status, quote, eventsPointer+"1/"+quote, profilesPointer+"1/"+quote).body)
				}))
				check(t, d, m)
			})
		}
		t.Run(m.name+" without a network", func(t *testing.T) {
			d := &klaviyo.Destination{APIKey: secret, NoBulk: m.noBulk}
			require.NoError(t, d.Open(analytics.Env{Logger: slog.New(slog.DiscardHandler), HTTP: &http.Client{
				Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }),
			}}))
			check(t, d, m)
		})
	}
	t.Run("printed", func(t *testing.T) {
		d := &klaviyo.Destination{APIKey: secret}
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", d, d, d, d), secret)
	})
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		d      *klaviyo.Destination
		fields []string
	}{
		"nothing":                      {&klaviyo.Destination{}, []string{"APIKey"}},
		"a key with a line break":      {&klaviyo.Destination{APIKey: secret + "\n"}, []string{"APIKey"}},
		"a revision with a line break": {&klaviyo.Destination{APIKey: secret, Revision: "2025-01-15\n"}, []string{"Revision"}},
		"all faults at once":           {&klaviyo.Destination{Revision: " 2025-01-15", ListID: " L"}, []string{"APIKey", "ListID", "Revision"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client(), Logger: slog.New(slog.DiscardHandler)})
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
			require.Equal(t, c.fields, faulty(err))
		})
	}
	t.Run("another revision, other names of events", func(t *testing.T) {
		f := newFake()
		f.revision = "2026-04-15"
		d := &klaviyo.Destination{APIKey: secret, Revision: "2026-04-15", OrderEvent: "Placed Order", ProductEvent: "Bought Product"}
		desttest.Open(t, d, desttest.Serve(f))
		require.True(t, desttest.Deliver(t, d, desttest.Inputs(t)[1].Event).All(analytics.WordDelivered))
		var names []any
		for _, r := range f.accepted {
			names = append(names, in(r.attributes["metric"], "data", "attributes", "name"))
		}
		require.Equal(t, []any{"Placed Order", "Bought Product", "Bought Product"}, names)
	})
}

// faulty names the fields of all the faults in err, each once, sorted.
func faulty(err error) []string {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	var fields []string
	for _, one := range all {
		var invalid *analytics.InvalidError
		if errors.As(one, &invalid) {
			fields = append(fields, invalid.Field)
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

func FuzzTranslate(f *testing.F) {
	d := &klaviyo.Destination{APIKey: secret}
	desttest.Open(f, d, desttest.Serve(nil))
	desttest.FuzzTranslate(f, d, secret)
}

// named remembers which item became which profile: those hold no messageId.
type named struct {
	analytics.Destination
	ids *sync.Map // from the external_id
}

func (n named) Unwrap() analytics.Destination { return n.Destination }

// Translate notes the ids.
func (n named) Translate(e *analytics.Event) ([]analytics.Item, error) {
	items, err := n.Destination.Translate(e)
	if len(items) == 1 && items[0].Lane == "profiles" && e.UserID != "" {
		id := items[0].ID
		if id == "" {
			id = e.MessageID
		}
		n.ids.Store(e.UserID, id)
	}
	return items, err
}

func TestConforms(t *testing.T) {
	for _, noBulk := range []bool{false, true} {
		t.Run(fmt.Sprintf("NoBulk %v", noBulk), func(t *testing.T) {
			var profiles sync.Map
			destinationtest.Run(t, destinationtest.Setup{
				New: func(*destinationtest.Service) analytics.Destination {
					return named{&klaviyo.Destination{APIKey: secret, NoBulk: noBulk}, &profiles}
				},
				Seen: func(r *destinationtest.Request) []string { return seen(r, &profiles) },
				Answer: func(r *destinationtest.Request) destinationtest.Response {
					if r.URL.Path == "/api/profile-import/" {
						return destinationtest.Response{Status: 201, Body: `{"data":{"type":"profile","id":"01GDDKASAP8TKDDA2GRZDSVP4H"}}`}
					}
					return destinationtest.Response{Status: 202}
				},
				Events:  append(ofBubble(events(t, "events", 2)), events(t, "profiles", 2)...),
				Secrets: []string{secret},
			})
		})
	}
}

// ofBubble are the events at the time when the clock of a bubble begins: their own would
// be more than a year ahead.
func ofBubble(list []*analytics.Event) []*analytics.Event {
	for _, e := range list {
		e.Timestamp = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	return list
}

// seen reads the ids of the items out of a request of any kind.
func seen(r *destinationtest.Request, profiles *sync.Map) []string {
	var document map[string]any
	_ = json.Unmarshal(r.Body, &document)
	a, _ := in(document, "data", "attributes").(map[string]any)
	all := []any{in(document, "data")}
	for _, key := range []string{"events-bulk-create", "profiles"} {
		if list, ok := in(a, key, "data").([]any); ok {
			all = list
		}
	}
	var ids []string
	for _, one := range all {
		one, _ := in(one, "attributes").(map[string]any)
		if list, ok := in(one, "events", "data").([]any); ok {
			one, _ = in(list[0], "attributes").(map[string]any)
		}
		external, _ := one["external_id"].(string)
		if id, ok := profiles.Load(external); ok && external != "" {
			ids = append(ids, id.(string))
		} else if unique, ok := one["unique_id"].(string); ok {
			ids = append(ids, unique)
		}
	}
	return ids
}
