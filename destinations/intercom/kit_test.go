package intercom_test

import (
	"context"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/intercom"
)

func TestFixtures(t *testing.T) {
	for name, found := range map[string]bool{"examples.json": false, "examples-found.json": true} {
		t.Run(name, func(t *testing.T) {
			desttest.Fixtures(t, "testdata/"+name, func(t *testing.T) (analytics.Destination, *desttest.Tool) {
				f := &fake{anyUser: true}
				if found {
					f.add(map[string]any{"external_id": "user-1001"}) // ic_contact_1
				}
				d := &intercom.Destination{AccessToken: token}
				tool := open(t, d, f)
				t.Cleanup(func() { require.Empty(t, f.violations) })
				return d, tool
			})
		})
	}
}

func TestWide(t *testing.T) {
	f := &fake{anyUser: true}
	d := &intercom.Destination{AccessToken: token, ContactAttributes: []string{"plan", "company", "age"}, CompanyAttributes: []string{"plan", "tags"}}
	open(t, d, f)
	taken := 0
	for _, in := range append(desttest.Inputs(t), desttest.Wide(t)...) {
		if !d.Describe().Calls.Has(in.Event.Type) {
			continue
		}
		if _, err := d.Translate(in.Event); err != nil {
			desttest.CheckError(t, err, token)
			continue
		}
		for _, w := range settle(t, d, in.Event) {
			if w == delivered {
				taken++
			}
		}
	}
	require.Empty(t, f.violations)
	require.GreaterOrEqual(t, taken, 4)
}

func TestSettings(t *testing.T) {
	for name, c := range map[string]struct {
		d    *intercom.Destination
		want []string
	}{
		"no token":               {&intercom.Destination{}, []string{"AccessToken"}},
		"a token with a break":   {&intercom.Destination{AccessToken: "a\nb"}, []string{"AccessToken"}},
		"an unknown region":      {&intercom.Destination{AccessToken: token, Region: "mars"}, []string{"Region"}},
		"an unknown role":        {&intercom.Destination{AccessToken: token, Role: "admin"}, []string{"Role"}},
		"a version with a break": {&intercom.Destination{AccessToken: token, Version: "2\n"}, []string{"Version"}},
		"everything at once":     {&intercom.Destination{Region: "x", Role: "x", Version: " 2"}, []string{"AccessToken", "Region", "Role", "Version"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := c.d.Open(analytics.Env{HTTP: desttest.Serve(nil).Client()})
			require.Error(t, err)
			list := []error{err}
			if joined, ok := err.(interface{ Unwrap() []error }); ok {
				list = joined.Unwrap()
			}
			var fields []string
			for _, one := range list {
				var invalid *analytics.InvalidError
				require.ErrorAs(t, one, &invalid)
				fields = append(fields, invalid.Field)
			}
			require.ElementsMatch(t, c.want, fields)
		})
	}
}

func FuzzTranslate(f *testing.F) {
	d := &intercom.Destination{AccessToken: token}
	open(f, d, &fake{})
	desttest.FuzzTranslate(f, d, token)
}

func TestConforms(t *testing.T) {
	destinationtest.Run(t, destinationtest.Setup{
		New: func(*destinationtest.Service) analytics.Destination {
			return tagged{&intercom.Destination{AccessToken: "token-of-the-kit"}}
		},
		Env:     func(env *analytics.Env) { env.HTTP = tagging(env.HTTP) },
		Secrets: []string{"token-of-the-kit"},
		Seen: func(r *destinationtest.Request) []string {
			carries := r.Method == http.MethodPut || slices.Contains([]string{"/contacts", "/companies", "/events"}, r.URL.Path)
			if !carries {
				return nil // a search, or a link to what was sent
			}
			return r.Header.Values(tag)
		},
		Answer: func(r *destinationtest.Request) destinationtest.Response {
			switch r.URL.Path {
			case "/contacts/search":
				return destinationtest.Response{Body: `{"type":"list","data":[{"type":"contact","id":"c-1"}],"total_count":1}`}
			case "/events":
				return destinationtest.Response{Status: http.StatusAccepted}
			}
			return destinationtest.Response{Body: `{"id":"c-1"}`}
		},
	})
}

// No body holds the id of its item, so the kit sees those of the batch in a header, which
// the test adds on the way from Deliver to the tool.
const tag = "X-Test-Items"

type idsKey struct{}

type tagged struct{ *intercom.Destination }

func (d tagged) Unwrap() analytics.Destination { return d.Destination }

// Deliver puts the ids of the batch into the ctx of its requests.
func (d tagged) Deliver(ctx context.Context, b *analytics.Batch) error {
	var ids []string
	for _, it := range b.Items {
		ids = append(ids, it.ID)
	}
	return d.Destination.Deliver(context.WithValue(ctx, idsKey{}, ids), b)
}

// tagging returns a client that puts the ids of the ctx into the header.
func tagging(client *http.Client) *http.Client {
	c := *client
	c.Transport = taggingTransport{client.Transport}
	return &c
}

type taggingTransport struct{ next http.RoundTripper }

func (t taggingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	ids, _ := r.Context().Value(idsKey{}).([]string)
	r = r.Clone(r.Context())
	r.Header[tag] = ids
	return t.next.RoundTrip(r)
}
