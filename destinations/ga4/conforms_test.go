package ga4_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
	"github.com/tributary-dev/analytics/destinations/ga4"
)

func TestConforms(t *testing.T) {
	few := func() *ga4.Destination { return &ga4.Destination{APISecret: secret, MeasurementID: measurementID} }
	for name, build := range map[string]func() *ga4.Destination{"few settings": few, "all settings": withEverything} {
		t.Run(name, func(t *testing.T) {
			known := &register{ids: map[string]string{}}
			destinationtest.Run(t, destinationtest.Setup{
				New:     func(*destinationtest.Service) analytics.Destination { return known.learn(build()) },
				Seen:    func(r *destinationtest.Request) []string { return known.seen(r.Body) },
				Answer:  func(*destinationtest.Request) destinationtest.Response { return destinationtest.Response{Status: 204} },
				Events:  append(mixed(t), joined(t, 7), joined(t, 8)),
				Secrets: []string{secret, escaped},
			})
		})
	}
}

// joined is a message that differs from the kit's copies of it by the group only, so
// that all of them are of one client and share a request.
func joined(t testing.TB, n int) *analytics.Event {
	t.Helper()
	return event(t, n, fmt.Sprintf(`"type":"group","anonymousId":"a%d","groupId":"org-%d","integrations":{"GA4":{"clientId":"c1"}}`, n, n))
}

// register knows which message each event is of. Google has no dedupe key, so a request
// does not tell: each item is sent by itself to another Google first.
type register struct {
	mu  sync.Mutex
	ids map[string]string
}

// learning is an adapter whose items are noted when they are translated.
type learning struct {
	*ga4.Destination
	probe *ga4.Destination
	tool  *desttest.Tool
	in    *register
}

func (r *register) learn(d *ga4.Destination) analytics.Destination {
	probe := *d
	l := &learning{Destination: d, probe: &probe, tool: desttest.Serve(nil), in: r}
	l.probe.AllowOld = true
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
		id := it.ID
		if id == "" {
			id = e.MessageID
		}
		if l.probe.Deliver(context.Background(), &analytics.Batch{Lane: it.Lane, Items: []analytics.Item{it}}) != nil {
			continue
		}
		sent := l.tool.Requests()
		for _, key := range keys(sent[len(sent)-1].Body) {
			l.in.ids[key] = id
		}
	}
	return items, err
}

func (r *register) seen(body []byte) (ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, key := range keys(body) {
		id, ok := r.ids[key]
		if !ok {
			id = "an event that nobody made"
		}
		ids = append(ids, id)
	}
	return ids
}

// keys are the events of a request, each with what stands around all of them.
func keys(body []byte) (list []string) {
	around := map[string]json.RawMessage{}
	_ = json.Unmarshal(body, &around)
	var events []json.RawMessage
	_ = json.Unmarshal(around["events"], &events)
	delete(around, "events")
	envelope, _ := json.Marshal(around)
	for _, e := range events {
		list = append(list, string(envelope)+string(e))
	}
	return list
}
