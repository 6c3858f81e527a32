package customerio_test

import (
	"context"
	"encoding/base64"
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
	"github.com/tributary-dev/analytics/destinations/customerio"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
)

func TestSettings(t *testing.T) {
	for fact, c := range map[string]struct {
		d    *customerio.Destination
		want []string
	}{
		"site and key are required":         {&customerio.Destination{}, []string{"SiteID", "APIKey"}},
		"the site is required":              {&customerio.Destination{APIKey: secret}, []string{"SiteID"}},
		"the key is required":               {&customerio.Destination{SiteID: site}, []string{"APIKey"}},
		"there are two regions":             {&customerio.Destination{SiteID: site, APIKey: secret, Region: "EU"}, []string{"Region"}},
		"all faults are reported at once":   {&customerio.Destination{APIKey: " ", Region: "mars"}, []string{"SiteID", "APIKey", "Region"}},
		"site and key are enough":           {settings(), nil},
		"all settings together are usable":  {withEverything(), nil},
		"the default region can be written": {&customerio.Destination{SiteID: site, APIKey: secret, Region: "us"}, nil},
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

func TestRegions(t *testing.T) {
	for region, host := range map[string]string{"": "track.customer.io", "us": "track.customer.io", "eu": "track-eu.customer.io"} { // sheet: Settings
		d := settings()
		d.Region = region
		f, tool := start(t, d)
		require.True(t, desttest.Deliver(t, d, mixed(t)...).All(analytics.WordDelivered))
		require.Equal(t, "https://"+host+"/api/v2/batch", tool.Requests()[0].URL)
		require.Empty(t, f.violations)
	}
}

func TestWide(t *testing.T) {
	for name, d := range map[string]*customerio.Destination{"few settings": settings(), "all settings": withEverything()} {
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

func TestExpectations(t *testing.T) {
	desttest.Expectations(t, "customerio", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &customerio.Destination{SiteID: "cio_site", APIKey: "cio_key"}
		tool := desttest.Serve(nil)
		desttest.Open(t, d, tool)
		return d, tool
	})
}

func TestSecrets(t *testing.T) {
	d := settings()
	_, tool := start(t, d)
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		require.NotContains(t, fmt.Sprintf(format, d), secret)
		require.NotContains(t, fmt.Sprintf(format, d), basic())
	}
	require.Contains(t, fmt.Sprintf("%v", d), site) // the others are shown

	quoted := fmt.Sprintf(`{"meta":{"error":"%[1]s %[2]s"},"errors":[{"batch_index":0,"reason":"%[1]s %[2]s","field":"%[2]s %[1]s","message":"%[1]s %[2]s"}]}`, secret, content)
	for _, status := range []int{207, 302, 400, 401, 403, 404, 413, 422, 429, 500, 503} {
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
	require.Error(t, err) // sheet: Identifiers, none is invalid
	mustNotTell(t, err)
}

// basic is the secret as it is sent.
func basic() string { return base64.StdEncoding.EncodeToString([]byte(site + ":" + secret)) }

// odd are further events that Customer.io's rules are about.
func odd(t testing.TB) (list []desttest.Input) {
	t.Helper()
	key, value := strings.Repeat("k", 151), strings.Repeat("ü", 501)
	var many strings.Builder
	for i := range 320 {
		fmt.Fprintf(&many, `"k%d":%d,`, i, i)
	}
	for i, rest := range []string{
		`"type":"identify","userId":"u1","traits":{"` + key + `":1,"bio":"` + value + `"}`,
		`"type":"group","userId":"u1","groupId":"g1","traits":{"` + key + `":1,"bio":"` + value + `"}`,
		`"type":"group","anonymousId":"a1","groupId":"g1","traits":{"objectAttributes":{"` + key + `":1,"createdAt":"2025-12-01","since":"2025-12-01"}}`,
		`"type":"identify","userId":"u1","anonymousId":"a1","traits":{` + many.String() + `"email":"a@example.com","createdAt":1700000000}`,
		`"type":"identify","userId":"u1","traits":{"createdAt":"some day","anonymous_id":"x","a":{"b":{"c":"2025-12-01T10:00+02:00"}},"d":["2025-12-01"]}`,
		`"type":"identify","userId":"u1","traits":{"objectId":7,"relationshipAttributes":{"since":"2025-12-01"}}`,
		`"type":"page","userId":"u1","properties":{"url":"https://shop.example/` + value + `"}`,
		`"type":"track","userId":"u1","event":"Device Created or Updated","context":{"device":{"token":"t1","type":"ios"},"app":{"version":"1"}},"properties":{"app_version":"0","at":"2025-12-01"}`,
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

func BenchmarkTranslate(b *testing.B) {
	d := settings()
	start(b, d)
	desttest.BenchmarkTranslate(b, d)
}

func TestConforms(t *testing.T) {
	for name, build := range map[string]func() *customerio.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			known := &register{ids: map[string]string{}}
			destinationtest.Run(t, destinationtest.Setup{
				New: func(*destinationtest.Service) analytics.Destination {
					return &learning{Destination: build(), in: known}
				},
				Seen:    known.seen,
				Events:  append(mixed(t), track(t, 9, "own-9", "Device Deleted"), track(t, 10, "own-10", "User Deleted")),
				Secrets: []string{secret, basic()},
			})
		})
	}
}

// register knows the message of each item: only events carry its id.
type register struct {
	mu  sync.Mutex
	ids map[string]string // by item
}

// learning is an adapter whose items are noted when they are translated.
type learning struct {
	*customerio.Destination
	in *register
}

// Translate translates and notes.
func (l *learning) Translate(e *analytics.Event) ([]analytics.Item, error) {
	items, err := l.Destination.Translate(e)
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	for _, it := range items {
		id := it.ID
		if id == "" {
			id = e.MessageID
		}
		l.in.ids[string(it.Body)] = id
	}
	return items, err
}

func (r *register) seen(req *destinationtest.Request) (ids []string) {
	var body struct{ Batch []json.RawMessage }
	_ = json.Unmarshal(req.Body, &body)
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, raw := range body.Batch {
		id, ok := r.ids[string(raw)]
		if !ok {
			id = "an item that nobody made"
		}
		ids = append(ids, id)
	}
	return ids
}
