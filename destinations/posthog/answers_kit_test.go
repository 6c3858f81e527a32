package posthog_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/posthog"
)

func TestSettings(t *testing.T) {
	for fact, c := range map[string]struct {
		d    *posthog.Destination
		want []string
	}{
		"the key is required":              {&posthog.Destination{}, []string{"APIKey"}},
		"the endpoint is an address":       {&posthog.Destination{APIKey: secret, Endpoint: "us.i.posthog.com"}, []string{"Endpoint"}},
		"the endpoint is a web address":    {&posthog.Destination{APIKey: secret, Endpoint: "ftp://us.i.posthog.com"}, []string{"Endpoint"}},
		"there are three person profiles":  {&posthog.Destination{APIKey: secret, PersonProfiles: "sometimes"}, []string{"PersonProfiles"}},
		"all faults are reported at once":  {&posthog.Destination{APIKey: " ", Endpoint: "nowhere", PersonProfiles: "Always"}, []string{"APIKey", "Endpoint", "PersonProfiles"}},
		"the key is enough":                {settings(), nil},
		"all settings together are usable": {withEverything(), nil},
		"defaults can be written": {&posthog.Destination{
			APIKey: secret, Endpoint: "https://us.i.posthog.com", GroupType: "company", PersonProfiles: "identified_only",
		}, nil},
	} {
		t.Run(fact, func(t *testing.T) {
			err := c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client(), Logger: slog.New(slog.DiscardHandler)})
			require.ElementsMatch(t, c.want, faults(err), "%v", err)
			require.Equal(t, c.want == nil, err == nil)
			if err != nil {
				require.NotContains(t, err.Error(), secret)
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
	for name, d := range map[string]*posthog.Destination{"few settings": settings(), "all settings": withEverything()} {
		t.Run(name, func(t *testing.T) {
			f, _ := start(t, d)
			for _, in := range slices.Concat(desttest.Inputs(t), desttest.Wide(t), odd(t)) {
				for _, it := range translated(t, d, in) {
					require.NotEmpty(t, desttest.DeliverBatch(t, d, &analytics.Batch{Lane: it.Lane, Items: []analytics.Item{it}}))
					require.Empty(t, f.violations, "%s: %s", in.ID, it.Body)
				}
			}
			require.NotEmpty(t, f.accepted)
			require.Zero(t, f.duplicates)
		})
	}
}

// odd are further events that PostHog's rules are about.
func odd(t testing.TB) (list []desttest.Input) {
	t.Helper()
	for i, rest := range []string{
		`"type":"track","userId":"u1","event":"Large","properties":{"text":"` + strings.Repeat("x", 1_000_000) + `"}`,
		`"type":"track","userId":"u1","event":"E","properties":{"distinct_id":null,"$process_person_profile":null,"$groups":"x","$set":7}`,
		`"type":"track","userId":"u1","event":"","properties":{"a":1}`,
		`"type":"group","anonymousId":"a1","groupId":"g1"`,
		`"type":"group","userId":"u1","traits":{"name":"x"}`,
		`"type":"alias","userId":"u1"`,
		`"type":"alias","previousId":"a1"`,
		`"type":"identify","userId":"u1","anonymousId":"u1"`,
		`"type":"identify","traits":{"a":1}`,
		`"type":"screen","userId":"u1"`,
	} {
		list = append(list, desttest.Input{ID: fmt.Sprintf("odd %d", i), Event: event(t, i, rest)})
	}
	return list
}

// translated are the items of an event but for those that the client would drop as too
// large. The event may be refused.
func translated(t testing.TB, d analytics.Destination, in desttest.Input) (items []analytics.Item) {
	t.Helper()
	is := d.Describe()
	if is.Calls != 0 && !is.Calls.Has(in.Event.Type) {
		return nil
	}
	all, err := d.Translate(in.Event)
	if err != nil {
		desttest.CheckError(t, err, secret)
		return nil
	}
	for _, it := range all {
		if l := is.Lanes[it.Lane]; l.MaxItemBytes == 0 || max(it.Size, len(it.Body)) <= l.MaxItemBytes {
			items = append(items, it)
		}
	}
	return items
}

func TestExpectations(t *testing.T) {
	desttest.Expectations(t, "posthog", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &posthog.Destination{APIKey: "phc_test"}
		tool := desttest.Serve(nil)
		desttest.Open(t, d, tool)
		return d, tool
	})
}

func TestSecrets(t *testing.T) {
	d := withEverything()
	_, tool := start(t, d)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(format, d), secret)
	}
	require.Contains(t, fmt.Sprintf("%v", d), d.Endpoint) // the others are shown

	quoted := fmt.Sprintf(`{"type":"%[1]s %[2]s","code":"%[1]s","detail":"%[1]s %[2]s","attr":"%[2]s","quota_limited":["events","%[1]s %[2]s"]}`, secret, content)
	for _, status := range []int{200, 302, 400, 401, 403, 404, 413, 422, 429, 500, 503} {
		f, own := newFake(), settings()
		desttest.Open(t, own, desttest.Serve(f))
		f.next(status, http.Header{"Location": {"https://elsewhere.example/" + secret}}, quoted)
		mustNotTell(t, own.Deliver(t.Context(), batch(t, own, mixed(t)...)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the network fails
	mustNotTell(t, d.Deliver(ctx, batch(t, d, mixed(t)...)))
	require.Empty(t, tool.Requests())

	_, err := d.Translate(event(t, 1, fmt.Sprintf(`"type":"track","event":%q,"properties":{"email":"%s@example.com"}`, content, content)))
	require.Error(t, err) // sheet: Mapping, distinct_id: nobody's event is invalid
	mustNotTell(t, err)
}

// mustNotTell fails if an error, or one of a BatchError, holds a secret or content.
func mustNotTell(t testing.TB, err error) {
	t.Helper()
	if err == nil {
		t.Fatal("there is no error")
	}
	all := []string{err.Error()}
	var each *analytics.BatchError
	if errors.As(err, &each) {
		for _, one := range each.Items {
			all = append(all, one.Error())
		}
	}
	for _, text := range all {
		require.NotContains(t, text, secret)
		require.NotContains(t, text, content)
		require.NotContains(t, text, "example.com")
	}
}

func FuzzTranslate(f *testing.F) {
	d := withEverything()
	start(f, d)
	desttest.FuzzTranslate(f, d, secret)
}

func BenchmarkTranslate(b *testing.B) {
	d := settings()
	start(b, d)
	desttest.BenchmarkTranslate(b, d)
}

func TestConforms(t *testing.T) {
	for name, build := range map[string]func() *posthog.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			destinationtest.Run(t, destinationtest.Setup{
				New: func(*destinationtest.Service) analytics.Destination { return build() },
				Seen: func(r *destinationtest.Request) (ids []string) {
					var body struct{ Batch []struct{ UUID string } }
					_ = json.Unmarshal(r.Body, &body)
					for _, one := range body.Batch {
						ids = append(ids, one.UUID)
					}
					return ids
				},
				Answer: func(*destinationtest.Request) destinationtest.Response {
					return destinationtest.Response{Body: `{"status":"Ok"}`}
				},
				Events:  mixed(t),
				Secrets: []string{secret},
			})
		})
	}
}
