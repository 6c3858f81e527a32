package metacapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/metacapi"
)

func TestSettings(t *testing.T) {
	for fact, c := range map[string]struct {
		d    *metacapi.Destination
		want []string
	}{
		"pixel and token are required":     {&metacapi.Destination{}, []string{"PixelID", "AccessToken"}},
		"the pixel is required":            {&metacapi.Destination{AccessToken: secret}, []string{"PixelID"}},
		"the token is required":            {&metacapi.Destination{PixelID: pixel}, []string{"AccessToken"}},
		"the source is one of Meta's":      {&metacapi.Destination{PixelID: pixel, AccessToken: secret, ActionSource: "web"}, []string{"ActionSource"}},
		"all faults are reported at once":  {&metacapi.Destination{PixelID: " ", ActionSource: "mars"}, []string{"PixelID", "AccessToken", "ActionSource"}},
		"pixel and token are enough":       {settings(), nil},
		"all settings together are usable": {withEverything(), nil},
		"defaults can be written":          {&metacapi.Destination{PixelID: pixel, AccessToken: secret, APIVersion: "v24.0"}, nil},
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
	for name, build := range map[string]func() *metacapi.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			d, f, _ := start(t, build())
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

// odd are further events that Meta's rules are about.
func odd(t testing.TB) (list []desttest.Input) {
	t.Helper()
	for i, rest := range []string{
		`"type":"track","userId":"u1","event":"Order Completed","properties":{"revenue":"25,0","currency":"EUR"}`,
		`"type":"track","userId":"u1","event":"Order Completed","properties":{"revenue":1,"currency":"EUR","products":[{"product_id":7,"quantity":"2","price":"x"},{"product_id":""},7,null]}`,
		`"type":"track","userId":"u1","event":"Product Viewed","properties":{"product_id":"","price":"1.5","currency":"eur "}`,
		`"type":"track","userId":"u1","event":"Product Added","properties":{"product_id":["p"],"price":{},"currency":null}`,
		`"type":"track","userId":"u1","event":"Products Searched","properties":{"query":["x"],"currency":"usd"}`,
		`"type":"track","userId":"u1","event":"E","properties":{"email":"a@example.com","firstname":"A","nothing":null}`,
		`"type":"track","userId":"u1","event":"Trial Started","properties":{"phone":"1","zip":null}`,
		`"type":"track","userId":"u1","event":""`,
		`"type":"track","anonymousId":" ","event":"E"`,
		`"type":"track","event":"E","context":{"ip":"192.0.2.1"}`,
		`"type":"track","event":"E","context":{"traits":{"email":" ","phone":"none","gender":"f","birthday":"soon","address":"street","firstName":7}}`,
		`"type":"track","userId":"u1","event":"E","context":{"device":{"type":"iOS"},"page":{"url":""}}`,
		`"type":"track","userId":"u1","event":"E","properties":{"fbc":7,"fbp":""},"integrations":{"Meta Conversions API":{"fbc":"","fbp":[]}}`,
		`"type":"page","userId":"u1","properties":{"title":"T"},` + browser,
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
	desttest.Expectations(t, "metacapi", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &metacapi.Destination{PixelID: "123321", AccessToken: "fb_token"}
		tool := desttest.Serve(nil)
		desttest.Open(t, d, tool)
		return early{d, t}, tool
	})
}

func TestSecrets(t *testing.T) {
	d, _, tool := start(t, withEverything())
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(format, d.Destination), secret)
	}
	require.Contains(t, fmt.Sprintf("%v", d.Destination), pixel) // the others are shown

	quoted := make([]string, 0, 3)
	for _, code := range []int{100, 190, 2500} {
		quoted = append(quoted, failure(code, fmt.Sprintf("Event with index 0: %s %s", secret, content)))
	}
	for _, body := range quoted {
		for _, status := range []int{302, 400, 401, 403, 404, 413, 422, 429, 500, 503} {
			own, f, _ := start(t, settings())
			f.next(status, http.Header{"Location": {"https://elsewhere.example/" + secret}}, body)
			mustNotTell(t, own.Deliver(t.Context(), batch(t, own, mixed(t)...)))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the network fails
	mustNotTell(t, d.Deliver(ctx, batch(t, d, mixed(t)...)))
	mustNotTell(t, d.Destination.Deliver(t.Context(), batch(t, d, event(t, 1, `"type":"track","userId":"u1","event":"`+content+`"`))))
	require.Empty(t, tool.Requests()) // the last one was too old: now it is not the year 2000

	_, err := d.Translate(event(t, 1, fmt.Sprintf(`"type":"track","userId":"u1","event":"Order Completed","properties":{"revenue":1,"currency":%q}`, content)))
	require.Error(t, err) // sheet: Mapping, unknown code is invalid
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
	desttest.Open(f, d, desttest.Serve(nil))
	desttest.FuzzTranslate(f, d, secret)
}

func BenchmarkTranslate(b *testing.B) {
	d := settings()
	desttest.Open(b, d, desttest.Serve(nil))
	desttest.BenchmarkTranslate(b, d)
}

func TestConforms(t *testing.T) {
	for name, build := range map[string]func() *metacapi.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			destinationtest.Run(t, destinationtest.Setup{
				New: func(*destinationtest.Service) analytics.Destination { return build() },
				Seen: func(r *destinationtest.Request) (ids []string) {
					var body struct {
						Data []struct {
							ID string `json:"event_id"`
						}
					}
					_ = json.Unmarshal(r.Body, &body)
					for _, one := range body.Data {
						ids = append(ids, one.ID)
					}
					return ids
				},
				Answer: func(*destinationtest.Request) destinationtest.Response {
					return destinationtest.Response{Body: received(3)}
				},
				Events:  mixed(t),
				Secrets: []string{secret},
			})
		})
	}
}
