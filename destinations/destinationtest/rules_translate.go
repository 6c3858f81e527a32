package destinationtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tributary-dev/analytics"
)

func translateRules() []rule {
	return []rule{
		{
			name:     "translate-samples",
			sentence: "At least one of the kit's events, or of Setup.Events, becomes an item: without items nothing about Deliver can be tested.",
			test:     testSamples,
		},
		{
			name:     "translate-panics",
			sentence: "Translate never panics, whatever an event holds.",
			test:     testPanics,
		},
		{
			name:     "translate-pure",
			sentence: "Translate depends on the event and the settings only: the same event becomes the same items the second time, an hour later, and from a fresh value after a restart.",
			test:     testPure,
		},
		{
			name:     "translate-io",
			sentence: "Translate does no I/O: what needs a request belongs into Deliver.",
			test:     testNoIO,
		},
		{
			name:     "translate-event",
			sentence: "Translate does not change the event, which other destinations hold as well.",
			test:     testEventUnchanged,
		},
		{
			name:     "translate-memory",
			sentence: "The Body of an item is its own: neither later changes of the event, nor further calls of Translate, nor the reuse of another body change it.",
			test:     testMemory,
		},
		{
			name:     "translate-lanes",
			sentence: "Items name lanes of the description.",
			test:     testLanes,
		},
		{
			name:     "translate-size",
			sentence: "An item has a Body, or a Size where it is Data, and one of an ordinary event is within MaxItemBytes.",
			test:     testSize,
		},
		{
			name:     "translate-encoding",
			sentence: "Bodies are valid UTF-8, and JSON unless Setup.NotJSON says otherwise, whatever an event holds.",
			test:     testEncoding,
		},
		{
			name:     "translate-errors",
			sentence: "An error of Translate is ErrIgnored, without items beside it, or an InvalidError with a Field and a Reason.",
			test:     testErrors,
		},
		{
			name:     "translate-secrets",
			sentence: "Errors and logs of Translate hold neither secrets nor values of the event.",
			test:     testTranslateSecrets,
		},
		{
			name:     "translate-raw",
			sentence: "TranslateRaw agrees with Translate, on the lane, key, group, id, body and size of the item and on what is refused, and leaves header and bytes as they are.",
			needs:    needRaw,
			test:     testRaw,
		},
		{
			name:     "translate-concurrent",
			sentence: "Translate of one event may run many times at once: the results are those of one at a time. Run the kit with -race.",
			test:     testConcurrentTranslate,
		},
	}
}

// eachEvent calls f with every sample and nasty event that the destination takes.
// event returns it afresh each time.
func (d *instance) eachEvent(f func(name string, event func() *analytics.Event)) {
	d.eachSample(f)
	for _, x := range d.nastyEvents() {
		f(x.name, func() *analytics.Event { return x.make(d.t) })
	}
}

func (d *instance) eachSample(f func(name string, event func() *analytics.Event)) {
	for i, e := range d.supported(d.t.samples()) {
		f(fmt.Sprintf("sample %d, %s", i, e.Type), e.Clone)
	}
}

// withOpen runs the test on an opened instance.
func (t *trial) withOpen(f func(d *instance)) {
	if d := t.open(); d != nil {
		f(d)
	} else {
		t.skipf("Open refuses the settings")
	}
}

func testSamples(t *trial) {
	t.withOpen(func(d *instance) {
		if len(d.batches(d.supported(t.samples()))) == 0 {
			t.errorf("%d events became no item that could be sent", len(d.supported(t.samples())))
		}
	})
}

func testPanics(t *trial) {
	t.withOpen(func(d *instance) {
		d.eachEvent(func(name string, event func() *analytics.Event) {
			if _, err := d.translate(event()); errors.Is(err, errPanic) {
				t.errorf("%s: %v", name, err)
			}
		})
	})
}

func testPure(t *trial) {
	t.withOpen(func(d *instance) {
		type result struct {
			name  string
			event func() *analytics.Event
			items []analytics.Item
			err   string
		}
		var first []result
		d.eachEvent(func(name string, event func() *analytics.Event) {
			items, err := d.translate(event())
			if errors.Is(err, errPanic) {
				return
			}
			first = append(first, result{name, event, items, text(err)})
		})
		compare := func(d *instance, when string) {
			for _, r := range first {
				items, err := d.translate(r.event())
				if errors.Is(err, errPanic) {
					continue
				}
				if diff := differ(r.items, items); diff != "" {
					t.errorf("%s: %s %s", r.name, diff, when)
				} else if r.err != text(err) {
					t.errorf("%s: the error was %q and is %q %s", r.name, r.err, text(err), when)
				}
			}
		}
		compare(d, "the second time")
		if t.fake {
			time.Sleep(time.Hour)
		}
		if fresh := t.open(); fresh != nil {
			compare(fresh, "after a restart")
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// differ says in what b is another list of items than a. The order of keys in JSON
// means nothing, and Data is left to Deliver.
func differ(a, b []analytics.Item) string {
	if len(a) != len(b) {
		return fmt.Sprintf("%d items became %d", len(a), len(b))
	}
	for i := range a {
		x, y := a[i], b[i]
		if sameJSON(x.Body, y.Body) {
			y.Body = x.Body
		}
		for _, f := range []struct{ name, x, y string }{
			{"Lane", x.Lane, y.Lane}, {"Key", x.Key, y.Key}, {"Group", x.Group, y.Group}, {"ID", x.ID, y.ID}, {"Body", string(x.Body), string(y.Body)},
		} {
			if f.x != f.y {
				return fmt.Sprintf("%s of item %d was %s and is %s", f.name, i, short(f.x), short(f.y))
			}
		}
		if x.Size != y.Size {
			return fmt.Sprintf("Size of item %d was %d and is %d", i, x.Size, y.Size)
		}
	}
	return ""
}

// short quotes s, cut to a length that a reader can bear.
func short(s string) string {
	const most = 300
	if len(s) > most {
		return fmt.Sprintf("%q… (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}

func testNoIO(t *trial) {
	t.withOpen(func(d *instance) {
		t.svc.script(nil)
		d.eachEvent(func(name string, event func() *analytics.Event) {
			before := len(t.svc.received())
			_, _ = d.translate(event())
			if n := len(t.svc.received()) - before; n > 0 {
				t.errorf("%s: %d requests", name, n)
			}
		})
	})
}

func testEventUnchanged(t *trial) {
	t.withOpen(func(d *instance) {
		d.eachEvent(func(name string, event func() *analytics.Event) {
			e := event()
			_, _ = d.translate(e)
			if !reflect.DeepEqual(e, event()) {
				t.errorf("%s: %s", name, changed(event(), e))
			}
		})
	})
}

// changed names the fields in which the events differ.
func changed(before, after *analytics.Event) string {
	var names []string
	a, b := reflect.ValueOf(before).Elem(), reflect.ValueOf(after).Elem()
	for i := range a.NumField() {
		if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			names = append(names, a.Type().Field(i).Name)
		}
	}
	return strings.Join(names, ", ") + " changed"
}

func testMemory(t *trial) {
	t.withOpen(func(d *instance) {
		type kept struct {
			name   string
			item   int
			body   []byte
			before string
		}
		var all []kept
		verify := func(what string) {
			for _, k := range all {
				if string(k.body) != k.before {
					t.errorf("%s: item %d was %s and is %s after %s", k.name, k.item, short(k.before), short(string(k.body)), what)
				}
			}
		}
		d.eachEvent(func(name string, event func() *analytics.Event) {
			e := event()
			items, _ := d.translate(e)
			n := len(all)
			for i, it := range items {
				all = append(all, kept{name, i, it.Body, string(it.Body)})
			}
			poison(e)
			for _, k := range all[n:] {
				if string(k.body) != k.before {
					t.errorf("%s: item %d was %s and is %s after a change of the event", k.name, k.item, short(k.before), short(string(k.body)))
				}
			}
		})
		verify("further calls of Translate")
		for len(all) > 0 && len(t.found) == 0 {
			poisonBytes(all[0].body)
			all = all[1:]
			if len(all) < 64 || len(all)%16 == 0 {
				verify("another body was overwritten")
			}
		}
	})
}

func testLanes(t *trial) {
	t.withOpen(func(d *instance) {
		lanes := d.lanes()
		d.eachEvent(func(name string, event func() *analytics.Event) {
			items, _ := d.translate(event())
			for i, it := range items {
				if _, ok := lanes[it.Lane]; !ok {
					t.errorf("%s: item %d has lane %q, the description has %q", name, i, it.Lane, d.laneNames())
				}
			}
		})
	})
}

func testSize(t *trial) {
	t.withOpen(func(d *instance) {
		lanes := d.lanes()
		d.eachSample(func(name string, event func() *analytics.Event) {
			items, _ := d.translate(event())
			for i, it := range items {
				l, ok := lanes[it.Lane]
				switch {
				case it.Size < 0:
					t.errorf("%s: item %d has Size %d", name, i, it.Size)
				case size(&it) == 0:
					t.errorf("%s: item %d has neither Body nor Size", name, i)
				case ok && size(&it) > l.MaxItemBytes:
					t.errorf("%s: item %d has %d bytes, MaxItemBytes is %d", name, i, size(&it), l.MaxItemBytes)
				}
			}
		})
	})
}

func testEncoding(t *trial) {
	t.withOpen(func(d *instance) {
		d.eachEvent(func(name string, event func() *analytics.Event) {
			items, _ := d.translate(event())
			for i, it := range items {
				switch {
				case !utf8.Valid(it.Body):
					t.errorf("%s: item %d is not UTF-8: %s", name, i, short(string(it.Body)))
				case !t.setup.NotJSON && len(it.Body) > 0 && !json.Valid(it.Body):
					t.errorf("%s: item %d is not JSON: %s", name, i, short(string(it.Body)))
				}
			}
		})
	})
}

func testErrors(t *trial) {
	t.withOpen(func(d *instance) {
		d.eachEvent(func(name string, event func() *analytics.Event) {
			items, err := d.translate(event())
			var bad *analytics.InvalidError
			switch {
			case err == nil, errors.Is(err, errPanic):
			case len(items) > 0:
				t.errorf("%s: %d items beside the error %v", name, len(items), err)
			case errors.Is(err, analytics.ErrIgnored):
			case !errors.As(err, &bad):
				t.errorf("%s: the error is a %T: %v", name, err, err)
			case bad.Field == "" || bad.Reason == "":
				t.errorf("%s: the InvalidError has Field %q and Reason %q", name, bad.Field, bad.Reason)
			}
		})
	})
}

func testTranslateSecrets(t *trial) {
	t.withOpen(func(d *instance) {
		d.eachEvent(func(name string, event func() *analytics.Event) {
			_, err := d.translate(event())
			if !errors.Is(err, errPanic) {
				t.mustNotTell(name+": the error", text(err))
			}
		})
		t.mustNotTell("the log", t.log.String())
	})
}

// mustNotTell reports secrets and content in a text that others get to see.
func (t *trial) mustNotTell(what, s string) {
	for i, secret := range t.setup.Secrets {
		if secret != "" && strings.Contains(s, secret) {
			t.errorf("%s holds Secrets[%d]", what, i)
		}
	}
	for _, mark := range []string{marker, anonymousMark} {
		if strings.Contains(strings.ToLower(s), mark) {
			t.errorf("%s holds content of an event: %s", what, short(s))
		}
	}
}

func testRaw(t *trial) {
	t.withOpen(func(d *instance) {
		raw := find[analytics.RawTranslator](d.Destination)
		d.eachEvent(func(name string, event func() *analytics.Event) {
			body, err := event().MarshalJSON()
			if err != nil {
				return // never in a log
			}
			e := &analytics.Event{}
			if e.UnmarshalJSON(body) != nil {
				return
			}
			h := headerOf(e, t.now)
			before, headerBefore := bytes.Clone(body), *h
			var item analytics.Item
			rawErr := protect(func() (err error) {
				item, err = raw.TranslateRaw(h, body)
				return err
			})
			if !bytes.Equal(body, before) || !reflect.DeepEqual(*h, headerBefore) {
				t.errorf("%s: TranslateRaw changed its input", name)
			}
			items, err := d.translate(e)
			if errors.Is(err, errPanic) {
				return
			}
			if diff := disagree(items, err, item, rawErr, h); diff != "" {
				t.errorf("%s: %s", name, diff)
			}
		})
	})
}

// headerOf is what the client would have scanned from the event's JSON.
func headerOf(e *analytics.Event, now time.Time) *analytics.Header {
	h := &analytics.Header{
		Type: e.Type, MessageID: e.MessageID, UserID: e.UserID, AnonymousID: e.AnonymousID,
		AcceptedAt: now, Log: testLog, Seq: 1,
	}
	switch e.Type {
	case analytics.CallTrack:
		h.Event = e.Event
	case analytics.CallPage, analytics.CallScreen:
		h.Event = e.Name
	case analytics.CallObject:
		h.Event = e.Collection
	}
	return h
}

// disagree says in what the raw translation is another.
func disagree(items []analytics.Item, err error, raw analytics.Item, rawErr error, h *analytics.Header) string {
	sent := err == nil && len(items) > 0
	switch {
	case errors.Is(rawErr, errPanic):
		return rawErr.Error()
	case rawErr != nil && sent:
		return fmt.Sprintf("TranslateRaw refuses (%v) what Translate takes", rawErr)
	case rawErr == nil && !sent:
		return fmt.Sprintf("TranslateRaw takes what Translate refuses (%v)", err)
	case rawErr != nil:
		ignored := err == nil || errors.Is(err, analytics.ErrIgnored)
		if ignored != errors.Is(rawErr, analytics.ErrIgnored) {
			return fmt.Sprintf("TranslateRaw says %q, Translate %q", text(rawErr), text(err))
		}
		return ""
	case len(items) != 1:
		return fmt.Sprintf("TranslateRaw makes one item, Translate %d", len(items))
	}
	list := []analytics.Item{raw}
	fillIn(list, h.MessageID, h.Key())
	if diff := differ(items, list); diff != "" {
		return "from Translate to TranslateRaw, " + diff
	}
	return ""
}

// sameJSON tells whether a and b hold the same JSON in the same number of bytes.
func sameJSON(a, b []byte) bool {
	if len(a) != len(b) || bytes.Equal(a, b) {
		return len(a) == len(b)
	}
	x, okX := decode(a)
	y, okY := decode(b)
	return okX && okY && reflect.DeepEqual(x, y)
}

func decode(b []byte) (v any, ok bool) {
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.UseNumber()
	return v, dec.Decode(&v) == nil
}

func testConcurrentTranslate(t *trial) {
	const workers = 8
	t.withOpen(func(d *instance) {
		events := d.supported(t.samples())
		if len(events) == 0 {
			return
		}
		want := make([][]analytics.Item, len(events))
		for i, e := range events {
			want[i], _ = d.translate(e)
		}
		var wg sync.WaitGroup
		for w := range workers {
			wg.Go(func() {
				order := slices.Concat(events[w%len(events):], events[:w%len(events)])
				for i, e := range order {
					items, err := d.translate(e)
					if errors.Is(err, errPanic) {
						t.errorf("%v", err)
						return
					}
					if diff := differ(want[(i+w)%len(events)], items); diff != "" {
						t.errorf("%s while others are translated: %s", e.Type, diff)
					}
				}
			})
		}
		wg.Wait()
	})
}
