package braze_test

import (
	"context"
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
	"github.com/tributary-dev/analytics/destinations/braze"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
)

func TestSettings(t *testing.T) {
	for fact, c := range map[string]struct {
		d    *braze.Destination
		want []string
	}{
		"key and endpoint are required":    {&braze.Destination{}, []string{"APIKey", "Endpoint"}},
		"the key is required":              {&braze.Destination{Endpoint: endpoint}, []string{"APIKey"}},
		"the endpoint is required":         {&braze.Destination{APIKey: secret}, []string{"Endpoint"}},
		"the endpoint is an address":       {&braze.Destination{APIKey: secret, Endpoint: "rest.iad-01.braze.com"}, []string{"Endpoint"}},
		"the endpoint is a web address":    {&braze.Destination{APIKey: secret, Endpoint: "ftp://rest.iad-01.braze.com"}, []string{"Endpoint"}},
		"the key fits into a header":       {&braze.Destination{APIKey: secret + "\r\nA: b", Endpoint: endpoint}, []string{"APIKey"}},
		"all faults are reported at once":  {&braze.Destination{APIKey: " ", Endpoint: "nowhere"}, []string{"APIKey", "Endpoint"}},
		"key and endpoint are enough":      {&braze.Destination{APIKey: secret, Endpoint: endpoint}, nil},
		"all settings together are usable": {withEverything(), nil},
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

func TestClusters(t *testing.T) {
	hosts := []string{ // sheet: Settings, Endpoint
		"rest.us-09.braze.com", "rest.us-10.braze.com", "rest.fra-01.braze.eu", "rest.fra-02.braze.eu",
		"rest.au-01.braze.com", "rest.id-01.braze.com", "rest.jp-01.braze.com",
	}
	for n := range 8 {
		hosts = append(hosts, fmt.Sprintf("rest.iad-%02d.braze.com", n+1))
	}
	for _, host := range hosts {
		d := settings()
		d.Endpoint = "https://" + host
		f, tool := start(t, d)
		f.endpoint = d.Endpoint
		require.True(t, desttest.Deliver(t, d, track(t, 1, "u1", "E")).All(analytics.WordDelivered))
		require.Equal(t, "https://"+host+"/users/track", tool.Requests()[0].URL)
	}
}

func TestWide(t *testing.T) {
	for name, d := range map[string]*braze.Destination{"few settings": settings(), "all settings": withEverything()} {
		t.Run(name, func(t *testing.T) {
			f, _ := start(t, d)
			for _, in := range slices.Concat(desttest.Inputs(t), desttest.Wide(t), odd(t)) {
				for _, it := range translated(t, d, in) {
					require.NotEmpty(t, desttest.DeliverBatch(t, d, &analytics.Batch{Lane: it.Lane, Items: []analytics.Item{it}}))
					require.Empty(t, f.violations, "%s: %s", in.ID, it.Body)
				}
			}
			require.NotEmpty(t, f.accepted)
		})
	}
}

// odd are further events that Braze's rules are about.
func odd(t testing.TB) (list []desttest.Input) {
	t.Helper()
	long := strings.Repeat("x", 300)
	for i, rest := range []string{
		`"type":"track","userId":"u1","event":"Order Completed","properties":{"products":[{"product_id":"p1","price":"2.5","quantity":1.5}]}`,
		`"type":"track","userId":"u1","event":"Order Completed","properties":{"currency":"eur ","products":[{"product_id":7,"price":1,"quantity":"2"}]}`,
		`"type":"track","userId":"u1","event":"Order Completed","properties":{"products":[{"product_id":"` + long + `","price":1,"name":"` + long + `"}]}`,
		`"type":"track","userId":"u1","event":"Order Completed","properties":{"order_id":"o1","total":9,"currency":"eur","products":[{"product_id":"p1","name":"P","price":1,"quantity":0.5}]}`,
		`"type":"track","userId":"u1","event":"Product Viewed","properties":{"currency":"eur","product_id":"p1","name":"P","price":"1"}`,
		`"type":"track","userId":"u1","event":"Product Added","properties":{"currency":"eur","cart_id":7,"product_id":"p1","name":"P","price":1,"quantity":2}`,
		`"type":"track","userId":"u1","event":"Order Cancelled","properties":{"currency":"eur","order_id":"o1","reason":"late","total":1,"products":[{"product_id":"p1","name":"P","price":1,"quantity":2}]}`,
		`"type":"identify","userId":"u1","traits":{"firstName":7,"first_name":"A","avatar":["x"],"time":"now","home_city":"X","address":{"city":"Y"},"bio":"` + long + `"}`,
		`"type":"identify","userId":"u1","traits":{"country":"DE"},"context":{"location":{"country":"AT","latitude":48.2}}`,
		`"type":"identify","userId":"u1","traits":{"current_location":"home"},"context":{"location":{"latitude":48.2,"longitude":16.4}}`,
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
	desttest.Expectations(t, "braze", func(t *testing.T) (analytics.Destination, *desttest.Tool) {
		d := &braze.Destination{APIKey: "braze_key", AppID: "braze_app", Endpoint: endpoint}
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
	require.Contains(t, fmt.Sprintf("%v", d), endpoint) // the others are shown

	quoted := fmt.Sprintf(`{"message":"%[1]s %[2]s u1","errors":[{"type":"%[1]s %[2]s u1","input_array":"events","index":0}]}`, secret, content)
	for _, status := range []int{200, 201, 302, 400, 401, 403, 404, 413, 422, 429, 500, 503} {
		f, own := newFake(), withEverything()
		desttest.Open(t, own, desttest.Serve(f))
		f.next(status, http.Header{"Location": {"https://elsewhere.example/" + secret}}, quoted)
		mustNotTell(t, own.Deliver(t.Context(), batch(t, own, mixed(t)...)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // the network fails
	mustNotTell(t, d.Deliver(ctx, batch(t, d, mixed(t)...)))
	require.Empty(t, tool.Requests())

	_, err := settings().Translate(event(t, 1, fmt.Sprintf(`"type":"track","anonymousId":%q,"event":%q`, content, content)))
	require.Error(t, err) // sheet: Settings, AnonymousAliasLabel: without it this is nobody's
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
	for name, build := range map[string]func() *braze.Destination{"few settings": settings, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			known := &register{}
			destinationtest.Run(t, destinationtest.Setup{
				New:    func(*destinationtest.Service) analytics.Destination { return known.learn(build()) },
				Seen:   func(r *destinationtest.Request) []string { return known.ids(r.Body) },
				Answer: func(*destinationtest.Request) destinationtest.Response { return success },
				Events: []*analytics.Event{
					track(t, 1, "own-1", "One"), track(t, 2, "own-2", "Two"), order(t, 3, "own-3", "p1", "p2", "p3"),
					alias(t, 4, "own-4"), alias(t, 5, "own-5"),
				},
				Secrets: []string{secret},
				Words: map[int]destinationtest.Exception{
					404: {Word: analytics.WordUnauthorized, Reason: "the endpoint is another cluster than the key's: a fault of the settings"},
				},
			})
		})
	}
}

var success = destinationtest.Response{Status: 201, Body: `{"message":"success"}`}

// register knows which item each object is of. Braze has no dedupe key, so a request
// does not tell: each item is sent by itself to another Braze first.
type register struct {
	mu    sync.Mutex
	n     int
	known map[string]entry
}

type entry struct {
	id   string
	rank int  // items are sent in the order of their ranks
	more bool // not the first object of its item
}

// learning is an adapter whose items are noted when they are translated.
type learning struct {
	*braze.Destination
	probe *braze.Destination
	tool  *desttest.Tool
	in    *register
}

func (r *register) learn(d *braze.Destination) analytics.Destination {
	probe := *d
	l := &learning{Destination: d, probe: &probe, in: r}
	l.tool = desttest.Serve(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(success.Status)
		_, _ = w.Write([]byte(success.Body))
	}))
	if err := probe.Open(analytics.Env{HTTP: l.tool.Client(), Logger: slog.New(slog.DiscardHandler)}); err != nil {
		panic(err)
	}
	return l
}

// Translate translates and notes.
func (l *learning) Translate(e *analytics.Event) ([]analytics.Item, error) {
	items, err := l.Destination.Translate(e)
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	for _, it := range items {
		if it.ID == "" {
			it.ID = e.MessageID
		}
		if l.probe.Deliver(context.Background(), &analytics.Batch{Lane: it.Lane, Items: []analytics.Item{it}}) != nil {
			continue
		}
		sent := l.tool.Requests()
		l.in.note(it.ID, sent[len(sent)-1].Body)
	}
	return items, err
}

func (r *register) note(id string, body []byte) {
	if r.known == nil {
		r.known = map[string]entry{}
	}
	r.n++
	more := false
	for _, list := range objectsOf(body) {
		for _, o := range list {
			r.known[o] = entry{id, r.n, more}
			more = true
		}
	}
}

// ids returns the items of a request in the order in which they were sent: each list
// keeps its own, and the lists are merged by the order of translation.
func (r *register) ids(body []byte) (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	lists := objectsOf(body)
	for {
		var next *[]string
		for i := range lists {
			if len(lists[i]) > 0 && (next == nil || r.known[lists[i][0]].rank < r.known[(*next)[0]].rank) {
				next = &lists[i]
			}
		}
		if next == nil {
			return ids
		}
		if e := r.known[(*next)[0]]; !e.more {
			ids = append(ids, e.id)
		}
		*next = (*next)[1:]
	}
}

// objectsOf returns the lists of a request, each object with the name of its list.
func objectsOf(body []byte) (lists [][]string) {
	var all map[string][]json.RawMessage
	_ = json.Unmarshal(body, &all)
	for _, kind := range strings.Fields("attributes events purchases user_aliases") {
		var list []string
		for _, raw := range all[kind] {
			list = append(list, kind+string(raw))
		}
		lists = append(lists, list)
	}
	return lists
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
