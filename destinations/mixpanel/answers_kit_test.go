package mixpanel_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/mixpanel"
)

func TestSettings(t *testing.T) {
	for fact, c := range map[string]struct {
		d    *mixpanel.Destination
		want []string
	}{
		"the token is required":                  {&mixpanel.Destination{}, []string{"ProjectToken"}},
		"a blank token is none":                  {&mixpanel.Destination{ProjectToken: " "}, []string{"ProjectToken"}},
		"there are three regions":                {&mixpanel.Destination{ProjectToken: token, Region: "IN"}, []string{"Region"}},
		"all faults are reported at once":        {&mixpanel.Destination{Region: "mars", ServiceAccount: "s"}, []string{"ProjectToken", "Region", "ServiceSecret", "ProjectID"}},
		"an account needs secret and project":    {&mixpanel.Destination{ProjectToken: token, ServiceAccount: "s"}, []string{"ServiceSecret", "ProjectID"}},
		"a service secret needs its account":     {&mixpanel.Destination{ProjectToken: token, ServiceSecret: serviceSecret, ProjectID: "7"}, []string{"ServiceAccount"}},
		"an account needs its project":           {&mixpanel.Destination{ProjectToken: token, ServiceAccount: "s", ServiceSecret: serviceSecret}, []string{"ProjectID"}},
		"the token is enough":                    {&mixpanel.Destination{ProjectToken: token}, nil},
		"token and secret are usable":            {settings(), nil},
		"all settings together are usable":       {withEverything(), nil},
		"the default settings can be written":    {&mixpanel.Destination{ProjectToken: token, Region: "us", GroupKey: "$group_id"}, nil},
		"the third region is usable":             {&mixpanel.Destination{ProjectToken: token, Region: "in"}, nil},
		"another key of groups is usable":        {&mixpanel.Destination{ProjectToken: token, GroupKey: "company id"}, nil},
		"a secret with line breaks is no secret": {&mixpanel.Destination{ProjectToken: token, APISecret: apiSecret + "\n"}, []string{"APISecret"}},
	} {
		t.Run(fact, func(t *testing.T) {
			err := c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client(), Logger: slog.New(slog.DiscardHandler)})
			require.ElementsMatch(t, c.want, faults(err), "%v", err)
			require.Equal(t, c.want == nil, err == nil)
			if err != nil {
				require.NotContains(t, err.Error(), serviceSecret)
				require.NotContains(t, err.Error(), apiSecret)
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

func TestRequests(t *testing.T) {
	for fact, c := range map[string]struct {
		d    *mixpanel.Destination
		host string
		auth string
	}{ // sheet: Requests, and Settings
		"us by token":           {&mixpanel.Destination{ProjectToken: token}, "https://api.mixpanel.com", token + ":"},
		"us by secret":          {settings(), "https://api.mixpanel.com", apiSecret + ":"},
		"in by secret":          {&mixpanel.Destination{ProjectToken: token, APISecret: apiSecret, Region: "in"}, "https://api-in.mixpanel.com", apiSecret + ":"},
		"eu by service account": {withEverything(), "https://api-eu.mixpanel.com", "service-1:" + serviceSecret},
	} {
		t.Run(fact, func(t *testing.T) {
			f, tool := start(t, c.d)
			require.True(t, desttest.Deliver(t, c.d, mixed(t)...).All(analytics.WordDelivered))
			require.Empty(t, f.violations)
			require.Len(t, tool.Requests(), len(lanes))
			for _, r := range tool.Requests() {
				require.True(t, strings.HasPrefix(r.URL, c.host+"/"), r.URL)
				if strings.HasPrefix(r.URL, c.host+"/import") {
					require.Equal(t, "Basic "+base64.StdEncoding.EncodeToString([]byte(c.auth)), r.Header.Get("Authorization"))
					require.Equal(t, c.d.Gzip, r.Header.Get("Content-Encoding") == "gzip")
					continue
				}
				require.NotContains(t, r.Header, "Authorization")
				require.NotContains(t, r.Header, "Content-Encoding") // sheet: Requests, no gzip
			}
		})
	}
}

func TestAlias(t *testing.T) { // sheet: the table of calls, alias
	alias := message(t, 1, `"type":"alias","userId":"u1","previousId":"before-1"`)
	without := settings()
	_, tool := start(t, without)
	require.Empty(t, desttest.Deliver(t, without, alias))
	require.Empty(t, tool.Requests())

	with := withEverything()
	f, _ := start(t, with)
	require.True(t, desttest.Deliver(t, with, alias, identify(t, 2, "u2")).All(analytics.WordDelivered))
	require.Equal(t, []string{"$create_alias", "$identify", "/engage"}, f.labels())
	require.Equal(t, map[string]any{"distinct_id": "before-1", "alias": "u1", "token": token}, f.accepted[0].properties())
	require.Empty(t, f.violations)
}

func TestIDs(t *testing.T) {
	for fact, rest := range map[string]string{ // sheet: Mapping, and the table of calls
		"nobody's event":              `"type":"track","event":"E"`,
		"an event without a name":     `"type":"track","userId":"u1"`,
		"nobody's traits":             `"type":"identify","traits":{"plan":"pro"}`,
		"traits of a visitor":         `"type":"identify","anonymousId":"a1","traits":{"plan":"pro"}`,
		"a group without an id":       `"type":"group","userId":"u1","traits":{"name":"Lee Inc"}`,
		"a group of nobody":           `"type":"group","groupId":"g1","traits":{"name":"Lee Inc"}`,
		"a group by a number":         `"type":"group","groupId":"g1","traits":{"company_id":7,"name":"Lee Inc"}`,
		"a group by an object":        `"type":"group","groupId":"g1","traits":{"company_id":{"a":1},"name":"Lee Inc"}`,
		"an alias without userId":     `"type":"alias","previousId":"before"`,
		"an alias without previousId": `"type":"alias","userId":"u1"`,
	} {
		t.Run(fact, func(t *testing.T) {
			d := withEverything()
			f, _ := start(t, d)
			for _, b := range desttest.Batches(t, d, translated(t, d, desttest.Input{Event: message(t, 1, rest)})) {
				desttest.DeliverBatch(t, d, b)
			}
			require.Empty(t, f.violations)
		})
	}
	t.Run("nobody's event has an empty distinct_id", func(t *testing.T) { // sheet: Mapping, distinct_id
		d := settings()
		f, _ := start(t, d)
		require.True(t, desttest.Deliver(t, d, message(t, 1, `"type":"track","event":"E"`)).All(analytics.WordDelivered))
		require.Equal(t, "", f.accepted[0].properties()["distinct_id"])
	})
}

func TestWide(t *testing.T) {
	// What Mixpanel refuses by the clock. Sheet: Limits, time.
	mayBeRefused := []string{"timestamp-before-1971", "timestamp-before-1970", "timestamp-in-the-far-future"}
	for name, d := range map[string]*mixpanel.Destination{"few settings": settings(), "all settings": withEverything()} {
		t.Run(name, func(t *testing.T) {
			f, _ := start(t, d)
			for _, in := range append(desttest.Inputs(t), desttest.Wide(t)...) {
				before := len(f.refused)
				for _, b := range desttest.Batches(t, d, translated(t, d, in)) {
					results := desttest.DeliverBatch(t, d, b)
					require.Empty(t, f.violations, "%s: %s", in.ID, in.Raw)
					require.Equal(t, len(f.refused) == before, results.All(analytics.WordDelivered), in.ID)
				}
				if len(f.refused) > before {
					require.Contains(t, mayBeRefused, in.ID, f.refused[before])
				}
			}
			require.Greater(t, len(f.accepted), 200)
			require.Zero(t, f.duplicates)
			for _, path := range lanes {
				require.True(t, strings.Contains(strings.Join(paths(f), " "), path), path)
			}
		})
	}
}

// paths are the endpoints of what was accepted.
func paths(f *fake) (list []string) {
	for _, it := range f.accepted {
		list = append(list, it.path)
	}
	return list
}

// translated are the items of an event. It may be refused, then there are none.
func translated(t testing.TB, d analytics.Destination, in desttest.Input) []analytics.Item {
	t.Helper()
	if calls := d.Describe().Calls; calls != 0 && !calls.Has(in.Event.Type) {
		return nil
	}
	if _, err := d.Translate(in.Event); err != nil {
		desttest.CheckError(t, err, apiSecret, serviceSecret)
		return nil
	}
	return desttest.Translate(t, d, in.Event)
}

func TestExpectations(t *testing.T) {
	desttest.Expectations(t, "mixpanel", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &mixpanel.Destination{ProjectToken: "mp_token", APISecret: "mp_secret"}
		_, tool := start(t, d)
		return d, tool
	})
}

// hidden are the secrets, and as what they are sent.
func hidden() []string {
	return []string{
		apiSecret, serviceSecret,
		base64.StdEncoding.EncodeToString([]byte(apiSecret + ":")), base64.StdEncoding.EncodeToString([]byte("service-1:" + serviceSecret)),
	}
}

func TestSecrets(t *testing.T) {
	for _, d := range []*mixpanel.Destination{settings(), withEverything()} {
		start(t, d)
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
			for _, secret := range hidden() {
				require.NotContains(t, fmt.Sprintf(format, d), secret)
				require.NotContains(t, fmt.Sprintf(format, []any{d}), secret)
			}
		}
		require.Contains(t, fmt.Sprintf("%v", d), token) // the others are shown
	}
	quoted := fmt.Sprintf(`{"status":0,"error":"%[1]s %[2]s","failed_records":[{"index":0,"insert_id":"%[2]s %[1]s","field":"%[2]s %[1]s","message":"%[1]s %[2]s"}]}`, apiSecret, content)
	for lane, path := range lanes {
		for _, status := range []int{200, 302, 400, 401, 403, 404, 413, 422, 429, 500, 503} {
			if status == 200 && path == "/import" {
				continue // a success
			}
			for _, body := range []string{quoted, content + apiSecret} {
				if status == 200 && body != quoted {
					continue
				}
				d := settings()
				f, _ := start(t, d)
				f.next(status, http.Header{"Location": {"https://elsewhere.example/" + apiSecret}}, body)
				mustNotTell(t, d.Deliver(t.Context(), batch(t, d, lane, four(t, lane)...)))
			}
		}
		d := withEverything()
		_, tool := start(t, d)
		ctx, cancel := context.WithCancel(t.Context())
		cancel() // the network fails
		mustNotTell(t, d.Deliver(ctx, batch(t, d, lane, four(t, lane)...)))
		require.Empty(t, tool.Requests())
	}
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
		for _, secret := range append(hidden(), content, "who-1", "visitor-1") {
			require.NotContains(t, text, secret)
		}
	}
}

func FuzzTranslate(f *testing.F) {
	d := withEverything()
	start(f, d)
	desttest.FuzzTranslate(f, d, apiSecret, serviceSecret)
}

func BenchmarkTranslate(b *testing.B) {
	d := settings()
	start(b, d)
	desttest.BenchmarkTranslate(b, d)
}

func TestConforms(t *testing.T) {
	var own []*analytics.Event
	for _, lane := range []string{"events", "identity", "groups"} {
		own = append(own, four(t, lane)...)
	}
	for name, build := range map[string]func() *mixpanel.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			known := &register{ids: map[string]string{}}
			destinationtest.Run(t, destinationtest.Setup{
				New: func(*destinationtest.Service) analytics.Destination {
					return &learning{Destination: build(), in: known}
				},
				Seen: known.seen,
				Answer: func(r *destinationtest.Request) destinationtest.Response {
					if r.URL.Path == "/import" {
						return destinationtest.Response{Status: 200, Body: `{"code":200,"num_records_imported":1,"status":"OK"}`}
					}
					return destinationtest.Response{Status: 200, Body: `{"status":1}`}
				},
				Events:  append(own, mixed(t)...),
				Secrets: hidden(),
			})
		})
	}
}

// register knows the id of each item: only events carry one.
type register struct {
	mu  sync.Mutex
	ids map[string]string // by item
}

// learning is an adapter whose items are noted when they are translated.
type learning struct {
	*mixpanel.Destination
	in *register
}

// Translate translates and notes.
func (l *learning) Translate(e *analytics.Event) ([]analytics.Item, error) {
	items, err := l.Destination.Translate(e)
	ids := map[string]string{}
	for _, it := range items {
		ids[string(it.Body)] = it.ID
		if it.ID == "" {
			ids[string(it.Body)] = e.MessageID
		}
	}
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	maps.Copy(l.in.ids, ids)
	return items, err
}

func (r *register) seen(req *destinationtest.Request) (ids []string) {
	var body []json.RawMessage
	_ = json.Unmarshal(req.Body, &body)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range body {
		id, ok := r.ids[string(raw)]
		if !ok {
			id = "an item that nobody made"
		}
		ids = append(ids, id)
	}
	return ids
}
