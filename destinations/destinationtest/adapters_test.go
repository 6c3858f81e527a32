package destinationtest_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"sync"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
)

const acmeKey = "acme-secret-key"

// acme is a correct adapter with two lanes. Its key is part of the address.
type acme struct {
	url  string
	key  string
	http *http.Client
}

var (
	_ analytics.Destination   = (*acme)(nil)
	_ analytics.Opener        = (*acme)(nil)
	_ analytics.Closer        = (*acme)(nil)
	_ analytics.RawTranslator = (*rawAcme)(nil)
	_ analytics.Positioner    = (*store)(nil)
)

func newAcme() *acme { return &acme{url: "https://api.acme.example", key: acmeKey} }

func acmeSetup(make func() analytics.Destination) destinationtest.Setup {
	return destinationtest.Setup{
		New:     func(*destinationtest.Service) analytics.Destination { return make() },
		Seen:    seenAcme,
		Secrets: []string{acmeKey},
	}
}

func seenAcme(r *destinationtest.Request) []string {
	var body struct {
		ID    *string
		Batch []struct{ ID string }
	}
	_ = json.NewDecoder(bytes.NewReader(r.Body)).Decode(&body)
	if body.ID != nil {
		return []string{*body.ID}
	}
	var ids []string
	for _, item := range body.Batch {
		ids = append(ids, item.ID)
	}
	return ids
}

func (d *acme) Describe() analytics.Description {
	return analytics.Description{
		Name: "Acme", Aliases: []string{"Acme (Actions)"}, Order: analytics.PerKey,
		Lanes: map[string]analytics.Limits{
			"events":   {MaxItems: 20, MaxBytes: 64_000, Overhead: len(`{"batch":[]}`), ItemOverhead: 1, Rates: []analytics.Rate{{Requests: 10}}},
			"profiles": {MaxItems: 1, Linger: -1},
		},
	}
}

func (d *acme) Open(env analytics.Env) error {
	if d.key == "" {
		return errors.New("key is empty")
	}
	d.http = env.HTTP
	return nil
}

func (d *acme) Translate(e *analytics.Event) ([]analytics.Item, error) {
	item := analytics.Item{Lane: "events"}
	data := e.Properties
	switch e.Type {
	case analytics.CallTrack, analytics.CallPage, analytics.CallScreen:
	case analytics.CallIdentify:
		item.Lane, data = "profiles", e.Traits
	default:
		return nil, analytics.ErrIgnored
	}
	if e.UserID == "" && e.AnonymousID == "" {
		return nil, &analytics.InvalidError{Field: "userId", Reason: "is missing, and so is anonymousId"}
	}
	body, err := json.Marshal(map[string]any{
		"id": e.MessageID, "user": cmp.Or(e.UserID, e.AnonymousID), "name": cmp.Or(e.Event, e.Name), "data": data,
	})
	if err != nil {
		return nil, &analytics.InvalidError{Field: "properties", Reason: "cannot be encoded"}
	}
	item.Body = body
	return []analytics.Item{item}, nil
}

func (d *acme) Deliver(ctx context.Context, b *analytics.Batch) error {
	res, err := d.send(ctx, b)
	if err != nil {
		return err
	}
	return analytics.ResponseError(res)
}

// send makes the request. The error of net/http quotes the address and with it the
// key, so only its cause is passed on.
func (d *acme) send(ctx context.Context, b *analytics.Batch) (*http.Response, error) {
	res, err := d.http.Do(d.request(ctx, b))
	var failed *url.Error
	if errors.As(err, &failed) {
		err = failed.Err
	}
	return res, err
}

func (d *acme) request(ctx context.Context, b *analytics.Batch) *http.Request {
	body := b.Items[0].Body
	if b.Lane == "events" {
		bodies := make([][]byte, len(b.Items))
		for i := range b.Items {
			bodies[i] = b.Items[i].Body
		}
		body = fmt.Appendf(nil, `{"batch":[%s]}`, bytes.Join(bodies, []byte(",")))
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.url+"/"+b.Lane+"?key="+d.key, bytes.NewReader(body))
	if err != nil {
		panic(err)
	}
	return req
}

func (d *acme) Close(context.Context) error { return nil }

// twisted is acme with a method or two replaced.
type twisted struct {
	*acme
	describe  func(analytics.Description) analytics.Description
	open      func(analytics.Env) error
	translate func(*analytics.Event) ([]analytics.Item, error)
	deliver   func(context.Context, *analytics.Batch) error
	close     func(context.Context) error
}

func (d *twisted) Describe() analytics.Description {
	if d.describe != nil {
		return d.describe(d.acme.Describe())
	}
	return d.acme.Describe()
}

func (d *twisted) Open(env analytics.Env) error {
	if err := d.acme.Open(env); err != nil || d.open == nil {
		return err
	}
	return d.open(env)
}

func (d *twisted) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if d.translate != nil {
		return d.translate(e)
	}
	return d.acme.Translate(e)
}

func (d *twisted) Deliver(ctx context.Context, b *analytics.Batch) error {
	if d.deliver != nil {
		return d.deliver(ctx, b)
	}
	return d.acme.Deliver(ctx, b)
}

func (d *twisted) Close(ctx context.Context) error {
	if d.close != nil {
		return d.close(ctx)
	}
	return d.acme.Close(ctx)
}

// rawAcme takes events without decoding: one item for everything.
type rawAcme struct {
	acme
	raw func(*analytics.Header, []byte) (analytics.Item, error)
}

func (d *rawAcme) Describe() analytics.Description {
	desc := d.acme.Describe()
	desc.Calls = analytics.SixCalls | analytics.CallsOf(analytics.CallObject)
	return desc
}

func (d *rawAcme) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if e.MessageID == "" {
		return nil, &analytics.InvalidError{Field: "messageId", Reason: "is missing"}
	}
	body, err := e.MarshalJSON()
	if err != nil {
		return nil, err
	}
	return []analytics.Item{{Lane: "events", Body: body}}, nil
}

func (d *rawAcme) TranslateRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	if d.raw != nil {
		return d.raw(h, raw)
	}
	return goodRaw(h, raw)
}

func goodRaw(h *analytics.Header, raw []byte) (analytics.Item, error) {
	if h.MessageID == "" {
		return analytics.Item{}, &analytics.InvalidError{Field: "messageId", Reason: "is missing"}
	}
	return analytics.Item{Lane: "events", Body: raw}, nil
}

func seenRaw(r *destinationtest.Request) []string {
	var body struct{ Batch []struct{ MessageID string } }
	_ = json.Unmarshal(r.Body, &body)
	var ids []string
	for _, item := range body.Batch {
		ids = append(ids, item.MessageID)
	}
	return ids
}

// store owns its cursor. Rows and position are one file.
type store struct {
	path    string
	receive func(ctx context.Context, ids ...string) error
	order   analytics.Order

	// What the broken ones do.
	knowsAll, skipsEmpty, commitsFirst, appendsAlways, forgets bool

	mu     sync.Mutex
	memory map[analytics.LogID]uint64 // of the one that forgets
}

type table struct {
	Rows []string
	Next map[string]uint64
}

func storeSetup(twist func(*store)) destinationtest.Setup {
	return destinationtest.Setup{
		New: func(s *destinationtest.Service) analytics.Destination {
			d := &store{path: filepath.Join(s.Dir(), "table.json"), receive: s.Receive, order: analytics.Total, memory: map[analytics.LogID]uint64{}}
			if twist != nil {
				twist(d)
			}
			return d
		},
		Stored: func(s *destinationtest.Service) ([]string, error) {
			t, err := (&store{path: filepath.Join(s.Dir(), "table.json")}).load()
			return t.Rows, err
		},
	}
}

func (d *store) Describe() analytics.Description {
	return analytics.Description{
		Name: "Store", Calls: analytics.SixCalls | analytics.CallsOf(analytics.CallObject), Order: d.order,
		Lanes: map[string]analytics.Limits{"": {MaxItems: 7, Concurrency: 1}},
	}
}

func (d *store) Translate(e *analytics.Event) ([]analytics.Item, error) {
	return []analytics.Item{{Size: 100, Data: e.MessageID}}, nil
}

func (d *store) Deliver(ctx context.Context, b *analytics.Batch) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	t, err := d.load()
	if err != nil {
		return err
	}
	log := b.Log.String()
	if b.To <= t.Next[log] && !d.appendsAlways {
		return nil
	}
	if len(b.Items) == 0 && d.skipsEmpty {
		return nil
	}
	t.Next[log] = b.To
	if d.commitsFirst {
		if err := d.save(t); err != nil {
			return err
		}
	}
	var ids []string
	for i := range b.Items {
		ids = append(ids, b.Items[i].ID)
	}
	if err := d.receive(ctx, ids...); err != nil {
		return err
	}
	t.Rows = append(t.Rows, ids...)
	d.memory[b.Log] = b.To
	return d.save(t)
}

func (d *store) Position(_ context.Context, log analytics.LogID) (next uint64, ok bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.forgets {
		next, ok = d.memory[log]
		return next, ok, nil
	}
	t, err := d.load()
	next, ok = t.Next[log.String()]
	return next, ok || d.knowsAll, err
}

func (d *store) load() (table, error) {
	t := table{Next: map[string]uint64{}}
	raw, err := os.ReadFile(d.path)
	if errors.Is(err, os.ErrNotExist) {
		return t, nil
	}
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(raw, &t)
}

func (d *store) save(t table) error {
	raw, err := json.Marshal(t)
	if err != nil {
		return err
	}
	return os.WriteFile(d.path, raw, 0o600)
}
