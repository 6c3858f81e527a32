package warehousetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/warehouse"
)

// goldenLog is the log that the cases' events come from.
var goldenLog = analytics.LogID{0: 'g', 1: 'o', 2: 'l', 3: 'd', 4: 'e', 5: 'n'}

// goldenAccepted is when they were accepted.
var goldenAccepted = time.Date(2026, 5, 2, 12, 0, 0, 0, time.UTC)

// goldenStore gives the cases of a file one database, each of them with a schema of its
// own.
type goldenStore struct {
	setup Setup
	first warehouse.Store
}

func (g *goldenStore) open(t *testing.T, topT *testing.T) warehouse.Store {
	if g.first == nil {
		g.first = g.setup.New(topT)
		return g.first
	}
	return g.setup.Again(t, g.first)
}

// goldenLoader is a destination and what came of its loads.
type goldenLoader struct {
	t       *testing.T
	open    func() warehouse.Store
	source  string
	dest    *warehouse.Destination
	store   warehouse.Store
	log     analytics.LogID
	next    uint64
	last    *analytics.Batch
	syncs   []warehouse.Sync
	letters []string
}

// settings makes the destination anew, as after a restart.
func (l *goldenLoader) settings(raw json.RawMessage) {
	l.t.Helper()
	l.close()
	var s struct {
		warehouse.Destination
		SourceOf string `json:"sourceOf"` // the member of an event that names its source
	}
	if raw == nil {
		raw = json.RawMessage("{}")
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		l.t.Fatalf("settings: %v", err)
	}
	l.store = l.open()
	l.dest = &warehouse.Destination{
		Store: l.store, Source: l.source, Contract: s.Contract, Contracts: s.Contracts, Only: s.Only, Skip: s.Skip,
		MaxColumns: s.MaxColumns, MaxTables: s.MaxTables, PrefixReserved: s.PrefixReserved,
		OnSync: func(s warehouse.Sync) { l.syncs = append(l.syncs, s) },
	}
	if s.SourceOf != "" {
		l.dest.SourceOf = func(event []byte) string { return member(event, s.SourceOf) }
	}
	if err := l.dest.Open(analytics.Env{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		l.t.Fatalf("Open: %v", err)
	}
}

func (l *goldenLoader) close() {
	if l.dest == nil {
		return
	}
	if err := l.dest.Close(context.Background()); err != nil {
		l.t.Errorf("Close: %v", err)
	}
	l.dest = nil
}

// goldenEvent is an event as it lies in the log.
type goldenEvent struct {
	raw    []byte
	header analytics.Header
}

// load delivers events as one batch.
func (l *goldenLoader) load(events []goldenEvent) {
	l.t.Helper()
	b := &analytics.Batch{Log: l.log, From: l.next, To: l.next + uint64(len(events))}
	for i, e := range events {
		h := e.header
		h.Log, h.Seq = l.log, l.next+uint64(i)
		item, err := l.dest.TranslateRaw(&h, e.raw)
		if err != nil {
			l.letters = append(l.letters, h.MessageID)
			continue
		}
		if item.ID == "" {
			item.ID = h.MessageID
		}
		b.Items = append(b.Items, item)
	}
	l.next, l.last = b.To, b
	l.deliver(b)
	next, ok, err := l.dest.Position(context.Background(), l.log)
	if err != nil || !ok || next != b.To {
		l.t.Fatalf("Position after the load is (%d, %t, %v), want %d", next, ok, err, b.To)
	}
}

// deliver takes the answer apart as a client does.
func (l *goldenLoader) deliver(b *analytics.Batch) {
	l.t.Helper()
	err := l.dest.Deliver(context.Background(), b)
	var each *analytics.BatchError
	if !errors.As(err, &each) {
		if err != nil {
			l.t.Fatalf("Deliver: %v", err)
		}
		return
	}
	for _, i := range slices.Sorted(maps.Keys(each.Items)) {
		if word, _ := analytics.Classify(each.Items[i]); word != analytics.WordPermanent {
			l.t.Fatalf("Deliver: item %d: %s: %v", i, word, each.Items[i])
		}
		l.letters = append(l.letters, b.Items[i].ID)
	}
}

// logOrder is that of the keys in a log: what a Header is made of, then the rest.
var logOrder = []string{"type", "messageId", "timestamp", "userId", "anonymousId", "event", "name", "category", "groupId",
	"previousId", "collection", "id", "integrations", "_metadata", "context", "properties", "traits", "channel"}

// encode makes the event of a case. "$accepted" is when it was accepted.
func (o object) encode() goldenEvent {
	accepted := goldenAccepted
	if text := o.text("$accepted"); text != "" {
		accepted, _ = time.Parse(time.RFC3339, text)
	}
	rest := slices.DeleteFunc(slices.Sorted(maps.Keys(o)), func(key string) bool {
		return key == "$accepted" || slices.Contains(logOrder, key)
	})
	raw := []byte{'{'}
	for _, key := range slices.Concat(logOrder, rest) {
		if v, ok := o[key]; ok {
			raw = fmt.Appendf(raw, "%q:%s,", key, v)
		}
	}
	raw[len(raw)-1] = '}'
	return goldenEvent{raw: raw, header: headerOf(o, accepted)}
}

func headerOf(o object, accepted time.Time) analytics.Header {
	h := analytics.Header{Type: analytics.Call(o.text("type")), MessageID: o.text("messageId"), UserID: o.text("userId"),
		AnonymousID: o.text("anonymousId"), AcceptedAt: accepted}
	switch h.Type {
	case analytics.CallTrack:
		h.Event = o.text("event")
	case analytics.CallPage, analytics.CallScreen:
		h.Event = o.text("name")
	case analytics.CallObject:
		h.Event = o.text("collection")
	}
	_, h.HasMetadata = o["_metadata"]
	return h
}

// text is a member that is a string.
func (o object) text(key string) (s string) {
	_ = json.Unmarshal(o[key], &s) // else empty, as in a Header
	return s
}

func member(event []byte, key string) string {
	var o object
	_ = json.Unmarshal(event, &o) // what is no JSON has no member
	return o.text(key)
}
