package hubspot_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/hubspot"
)

// roundTrip is a network.
type roundTrip func(*http.Request) (*http.Response, error)

func (r roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return r(req) }

func TestSecrets(t *testing.T) {
	check := func(t *testing.T, err error) {
		t.Helper()
		var each *analytics.BatchError
		if errors.As(err, &each) {
			for _, err := range each.Items {
				require.NotContains(t, err.Error(), secret)
				require.NotContains(t, err.Error(), "example.com")
			}
		}
		require.Error(t, err)
		for _, s := range []string{secret, "example.com", "Good", "org-"} {
			require.NotContains(t, err.Error(), s)
		}
	}
	for _, lane := range lanes {
		for _, status := range []int{301, 400, 401, 403, 404, 409, 413, 423, 429, 500, 503} {
			t.Run(fmt.Sprint(lane, " ", status), func(t *testing.T) {
				d := newHubSpot()
				desttest.Open(t, d, desttest.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					var body bytes.Buffer
					_, _ = body.ReadFrom(r.Body)
					quote := body.String() + r.Header.Get("Authorization")
					w.WriteHeader(status)
					_, _ = fmt.Fprint(w, fault(status, quote, quote, quote).body)
				})))
				check(t, d.Deliver(t.Context(), batch(t, d, events(t, lane, 3))))
			})
		}
		t.Run(lane+" without a network", func(t *testing.T) {
			d := newHubSpot()
			require.NoError(t, d.Open(analytics.Env{Logger: slog.New(slog.DiscardHandler), HTTP: &http.Client{
				Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }),
			}}))
			check(t, d.Deliver(t.Context(), batch(t, d, events(t, lane, 3))))
		})
	}
	t.Run("207", func(t *testing.T) {
		f := newFake()
		f.bad, f.partial = isBad, true
		d, _ := open(t, f)
		check(t, d.Deliver(t.Context(), batch(t, d, events(t, "contacts", 3, 0))))
	})
	t.Run("printed", func(t *testing.T) {
		d := newHubSpot()
		require.NotContains(t, fmt.Sprintf("%v %+v %#v %s", d, d, d, d), secret)
	})
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		d      *hubspot.Destination
		fields []string
	}{
		"nothing":                    {&hubspot.Destination{}, []string{"AccessToken"}},
		"names of events, no portal": {&hubspot.Destination{AccessToken: secret, AutoEvents: true}, []string{"PortalID"}},
		"all faults at once":         {&hubspot.Destination{AutoEvents: true}, []string{"AccessToken", "PortalID"}},
		"a token with a line break":  {&hubspot.Destination{AccessToken: secret + "\n", PortalID: portal}, []string{"AccessToken"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client(), Logger: slog.New(slog.DiscardHandler)})
			require.Error(t, err)
			require.NotContains(t, err.Error(), secret)
			require.Equal(t, c.fields, faulty(err))
		})
	}
}

// faulty names the fields of all the faults in err, each once, in their order.
func faulty(err error) []string {
	all := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		all = joined.Unwrap()
	}
	var fields []string
	for _, one := range all {
		var invalid *analytics.InvalidError
		if errors.As(one, &invalid) && !slices.Contains(fields, invalid.Field) {
			fields = append(fields, invalid.Field)
		}
	}
	return fields
}

func FuzzTranslate(f *testing.F) {
	d := newHubSpot()
	desttest.Open(f, d, desttest.Serve(nil))
	desttest.FuzzTranslate(f, d, secret)
}

// named remembers which item became which contact or company: requests hold no
// messageId of those.
type named struct {
	analytics.Destination
	ids    *sync.Map // from the id of an input to that of its item
	events bool      // leaves the lane "events" and no other
}

func (n named) Unwrap() analytics.Destination { return n.Destination }

// Translate notes the ids, and leaves out the items of the lanes that are not tested.
func (n named) Translate(e *analytics.Event) ([]analytics.Item, error) {
	items, err := n.Destination.Translate(e)
	for _, it := range items {
		var in struct{ ID string }
		if json.Unmarshal(it.Body, &in) == nil && in.ID != "" {
			id := it.ID
			if id == "" {
				id = e.MessageID
			}
			n.ids.Store(in.ID, id)
		}
	}
	return slices.DeleteFunc(items, func(it analytics.Item) bool { return (it.Lane == "events") != n.events }), err
}

// What the kit expects of a status is the same for all lanes. HubSpot's is not: 204 is a
// success of events, and of objects one that lists nothing.
func TestConforms(t *testing.T) {
	t.Run("contacts and companies", func(t *testing.T) {
		testConforms(t, false, map[int]destinationtest.Exception{
			204: {Word: analytics.WordRetryAtMost, Reason: "a success without results and errors is a silent failure: it is tried once more"},
			409: {Word: analytics.WordRetryAtMost, Reason: "two requests met at one object: it is tried once more"},
		}, append(events(t, "contacts", 2), events(t, "companies", 2)...))
	})
	t.Run("events", func(t *testing.T) {
		testConforms(t, true, map[int]destinationtest.Exception{
			409: {Word: analytics.WordRetryAtMost, Reason: "two requests met at one object: it is tried once more"},
		}, events(t, "events", 2))
	})
}

func testConforms(t *testing.T, events bool, words map[int]destinationtest.Exception, more []*analytics.Event) {
	var items sync.Map
	destinationtest.Run(t, destinationtest.Setup{
		New: func(*destinationtest.Service) analytics.Destination { return named{newHubSpot(), &items, events} },
		Seen: func(r *destinationtest.Request) []string {
			var body struct{ Inputs []struct{ ID, UUID string } }
			_ = json.Unmarshal(r.Body, &body)
			var seen []string
			for _, in := range body.Inputs {
				if id, ok := items.Load(in.ID); ok {
					seen = append(seen, id.(string))
				} else if in.UUID != "" {
					seen = append(seen, in.UUID)
				}
			}
			return seen
		},
		Answer: func(r *destinationtest.Request) destinationtest.Response {
			if r.URL.String() == eventsURL {
				return destinationtest.Response{Status: 204}
			}
			results := strings.Repeat(`,{"id":"1"}`, strings.Count(string(r.Body), `"idProperty"`))
			return destinationtest.Response{Body: `{"status":"COMPLETE","results":[` + strings.TrimPrefix(results, ",") + `]}`}
		},
		Events:  more,
		Secrets: []string{secret},
		Words:   words,
	})
}
