package destinationtest

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptrace"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
)

func deliverRules() []rule {
	return []rule{
		{
			name:     "deliver-once",
			sentence: "Deliver sends every item of the batch once, in the order of the batch, and nothing else, and returns nil when the tool has taken them.",
			needs:    needItems | needIDs,
			test:     testOnce,
		},
		{
			name:     "deliver-sizes",
			sentence: "A batch of one and a batch as large as the lane's limits allow are sent like any other.",
			needs:    needItems | needIDs,
			test:     testSizes,
		},
		{
			name:     "deliver-bytes",
			sentence: "A request is no larger than the client has counted: Overhead, and for each item its size and ItemOverhead, before compression.",
			needs:    needItems | needHTTP,
			test:     testBytes,
		},
		{
			name:     "deliver-again",
			sentence: "A batch that is tried again carries the ids it would have carried the first time, by which the tool dedupes.",
			needs:    needItems | needIDs | needFailure,
			test:     testAgain,
		},
		{
			name:     "deliver-no-retry",
			sentence: "Deliver neither retries nor sleeps: both are the client's.",
			needs:    needItems | needFailure,
			test:     testNoRetry,
		},
		{
			name:     "deliver-batch",
			sentence: "Deliver does not change the batch, its items or their bytes: the same batch may be tried again.",
			needs:    needItems,
			test:     testBatchUnchanged,
		},
		{
			name:     "deliver-keeps",
			sentence: "Deliver keeps no item and no bytes after it has returned, with an error or without.",
			needs:    needItems | needIDs,
			test:     testKeepsNothing,
		},
		{
			name:     "deliver-concurrent",
			sentence: "Calls of Deliver may overlap, as many as the lane's Concurrency. Run the kit with -race.",
			needs:    needItems | needIDs,
			test:     testConcurrentDeliver,
		},
		{
			name:     "deliver-ctx",
			sentence: "Deliver returns within 100 ms of the end of its ctx, with an error, also if the tool never answers.",
			needs:    needItems | needFailure | needFakeTime,
			test:     testCtx,
		},
		{
			name:     "deliver-network",
			sentence: "A network error and a time-out are plain errors: not now.",
			needs:    needItems | needFailure,
			test:     testNetwork,
		},
		{
			name:     "deliver-client",
			sentence: "Every request goes through Env.HTTP, with the ctx of Deliver.",
			needs:    needItems | needHTTP,
			test:     testClient,
		},
		{
			name:     "deliver-secrets",
			sentence: "Errors and logs hold neither secrets, which may be part of an address, nor content of events, which tools like to quote.",
			needs:    needItems | needFailure,
			test:     testDeliverSecrets,
		},
	}
}

// eachBatch runs f with every batch of the samples, on one instance.
func (t *trial) eachBatch(f func(d *instance, b *analytics.Batch)) {
	t.withOpen(func(d *instance) {
		for _, b := range d.batches(d.supported(t.samples())) {
			f(d, b)
		}
	})
}

// eachLane runs f with the longest batch of each lane, on an instance and a service
// of their own, so that one failure is not taken for another.
func (t *trial) eachLane(f func(d *instance, b *analytics.Batch)) {
	t.withOpen(func(first *instance) {
		for _, b := range byLane(first.batches(first.supported(t.samples()))) {
			if d := t.open(); d != nil {
				f(d, b)
			}
		}
	})
}

func failWith(r reply) func(*Request) reply { return func(*Request) reply { return r } }

func status(code int) reply { return reply{Response: Response{Status: code, Body: "{}"}} }

func describe(b *analytics.Batch) string {
	if b.Lane == "" {
		return fmt.Sprintf("a batch of %d", len(b.Items))
	}
	return fmt.Sprintf("a batch of %d for lane %q", len(b.Items), b.Lane)
}

func testOnce(t *trial) {
	var sent []*analytics.Batch
	t.eachBatch(func(d *instance, b *analytics.Batch) {
		t.svc.script(nil)
		sent = append(sent, b)
		err, ok := d.deliver(b)
		if !ok {
			return
		}
		if err != nil {
			t.errorf("%s: the tool has taken it, Deliver says %v", describe(b), err)
			return
		}
		t.compareArrived(b, sent)
	})
}

// compareArrived compares what arrived with the batch, or what is stored with all
// that was sent.
func (t *trial) compareArrived(b *analytics.Batch, sent []*analytics.Batch) {
	got, ordered := t.arrived()
	want := idsOf(b)
	if !ordered {
		want = slices.Sorted(slices.Values(idsOf(sent...)))
	}
	if !slices.Equal(got, want) {
		t.errorf("%s: the tool received %s, want %s", describe(b), list(got), list(want))
	}
}

func list(ids []string) string {
	const most = 6
	if len(ids) > most {
		return fmt.Sprintf("%q… (%d)", ids[:most], len(ids))
	}
	return fmt.Sprintf("%q", ids)
}

func testSizes(t *trial) {
	t.withOpen(func(d *instance) {
		events := d.supported(t.samples())
		for _, lane := range d.laneNames() {
			full := d.full(lane, events)
			if full == nil {
				continue
			}
			one := *full
			one.Items = full.Items[:1]
			for _, b := range []*analytics.Batch{&one, full} {
				fresh := t.alone()
				if fresh == nil {
					return
				}
				if _, ok := fresh.deliver(b); ok {
					fresh.t.compareArrived(b, []*analytics.Batch{b})
				}
				fresh.t.finish(t)
			}
		}
	})
}

// alone opens an instance on a service of its own; finish of its trial ends it.
func (t *trial) alone() *instance {
	own := &trial{setup: t.setup, rules: t.rules, svc: newService(t.setup.Answer), log: t.log, now: t.now, fake: t.fake}
	d := own.open()
	if d == nil {
		own.svc.end()
	}
	return d
}

// finish closes what t has opened and hands its findings to parent.
func (t *trial) finish(parent *trial) {
	t.close()
	t.svc.end()
	for _, f := range t.found {
		parent.errorf("%s", f)
	}
}

func testBytes(t *trial) {
	t.withOpen(func(d *instance) {
		events := d.supported(t.samples())
		batches := d.batches(events)
		for _, lane := range d.laneNames() {
			if full := d.full(lane, events); full != nil && d.desc.Order != analytics.Total {
				batches = append(batches, full)
			}
		}
		for _, b := range batches {
			l := d.lanes()[b.Lane]
			counted := l.Overhead
			for i := range b.Items {
				counted += size(&b.Items[i]) + l.ItemOverhead
			}
			t.svc.script(nil)
			if _, ok := d.deliver(b); !ok {
				return
			}
			for _, r := range t.svc.received() {
				if len(r.Body) > counted {
					t.errorf("%s counts as %d bytes, the request has %d: Overhead and ItemOverhead are too small", describe(b), counted, len(r.Body))
				}
			}
		}
	})
}

func testAgain(t *trial) {
	t.eachLane(func(d *instance, b *analytics.Batch) {
		fresh := t.alone()
		if fresh == nil {
			return
		}
		_, _ = fresh.deliver(b)
		want := fresh.t.seen(nil)
		fresh.t.close()
		fresh.t.svc.end()

		t.svc.script(failWith(t.failure()))
		if _, ok := d.deliver(b); !ok {
			return
		}
		again := copyOf(b)
		again.Attempt = 1
		t.svc.script(nil)
		if _, ok := d.deliver(again); !ok {
			return
		}
		if got := t.seen(nil); !slices.Equal(got, want) {
			t.errorf("%s: the second try carries %s, the first would have carried %s", describe(b), list(got), list(want))
		}
	})
}

// failure is a passing failure.
func (t *trial) failure() reply {
	if t.setup.Seen == nil {
		return reply{err: errReset}
	}
	return status(503)
}

func testNoRetry(t *trial) {
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, f := range []func(*Request) reply{nil, failWith(t.failure())} {
			t.svc.script(f)
			start := time.Now()
			if _, ok := d.deliver(b); !ok {
				return
			}
			if took := time.Since(start); t.fake && took > 0 {
				t.errorf("%s: Deliver slept for %v", describe(b), took)
			}
			if f == nil {
				continue
			}
			var before []string
			for _, r := range t.svc.received() {
				key := fmt.Sprint(r.Method, r.URL, r.ids, string(r.Body))
				if slices.Contains(before, key) {
					t.errorf("%s: the request was sent again after a failure", describe(b))
				}
				before = append(before, key)
			}
		}
	})
}

func testBatchUnchanged(t *trial) {
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, f := range []func(*Request) reply{nil, failWith(t.failure())} {
			t.svc.script(f)
			c := copyOf(b)
			ctx, cancel := context.WithTimeout(context.Background(), d.lanes()[b.Lane].Timeout)
			_, ok := d.deliverCtx(ctx, c)
			cancel()
			if !ok {
				return
			}
			if diff := differ(b.Items, c.Items); diff != "" {
				t.errorf("%s: %s", describe(b), diff)
			}
			if c.Lane != b.Lane || c.Attempt != b.Attempt || c.Log != b.Log || c.From != b.From || c.To != b.To {
				t.errorf("%s: a field of the batch changed", describe(b))
			}
		}
	})
}

func testKeepsNothing(t *trial) {
	t.withOpen(func(d *instance) {
		events := d.supported(t.samples())
		for n, e := range slices.Clone(events) {
			events = append(events, otherUser(e, n))
		}
		var poisoned []string
		for _, b := range d.batches(events) {
			for _, f := range []func(*Request) reply{failWith(t.failure()), nil} {
				t.svc.script(f)
				c := copyOf(b)
				ctx, cancel := context.WithTimeout(context.Background(), d.lanes()[b.Lane].Timeout)
				_, ok := d.deliverCtx(ctx, c)
				cancel()
				if !ok {
					return
				}
				t.findStrangers(b, poisoned)
				for i := range c.Items {
					poisonBytes(c.Items[i].Body)
					c.Items[i] = analytics.Item{ID: "poison", Body: []byte{0xff, 0xff}}
				}
			}
			poisoned = append(poisoned, idsOf(b)...)
		}
	})
}

// findStrangers reports what the service has received that is not of the batch.
func (t *trial) findStrangers(b *analytics.Batch, earlier []string) {
	own := idsOf(b)
	for _, id := range t.seen(nil) {
		switch {
		case slices.Contains(own, id):
		case slices.Contains(earlier, id):
			t.errorf("%s: item %q of an earlier batch was sent again", describe(b), id)
		case id == "poison":
			t.errorf("%s: an item of an earlier batch was used after Deliver had returned", describe(b))
		}
	}
	for _, r := range t.svc.received() {
		if !t.setup.NotJSON && strings.Contains(string(r.Body), "\xff\xff") {
			t.errorf("%s: bytes of an earlier batch were used after Deliver had returned", describe(b))
		}
	}
}

func testConcurrentDeliver(t *trial) {
	t.withOpen(func(d *instance) {
		if d.desc.Order == analytics.Total {
			t.skipf("Total order: one request at a time")
			return
		}
		for _, b := range byLane(d.batches(d.supported(t.samples()))) {
			workers := min(d.lanes()[b.Lane].Concurrency, 16)
			if workers < 2 {
				continue
			}
			t.svc.script(func(r *Request) reply { return reply{Response: t.svc.answer(r), yield: true} })
			work := make(chan *analytics.Batch)
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for one := range work {
						_, _ = d.deliver(one)
					}
				})
			}
			for i := range b.Items {
				one := *b
				one.Items = b.Items[i : i+1]
				work <- &one
			}
			close(work)
			wg.Wait()
			got, _ := t.arrived()
			slices.Sort(got)
			want := slices.Sorted(slices.Values(idsOf(b)))
			if !slices.Equal(got, want) {
				t.errorf("%d batches of one at once: the tool received %s, want %s", len(b.Items), list(got), list(want))
			}
		}
	})
}

func testCtx(t *trial) {
	const limit, early = 10 * time.Second, 3 * time.Second
	t.eachLane(func(d *instance, b *analytics.Batch) {
		t.svc.script(failWith(reply{hang: true}))
		for _, c := range []struct {
			what string
			ends time.Duration
			make func() (context.Context, context.CancelFunc)
		}{
			{"its ctx ran out", limit, func() (context.Context, context.CancelFunc) {
				return context.WithTimeout(context.Background(), limit)
			}},
			{"its ctx was cancelled", early, func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithTimeout(context.Background(), limit)
				time.AfterFunc(early, cancel)
				return ctx, cancel
			}},
			{"its ctx was done before", 0, func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				return ctx, cancel
			}},
		} {
			ctx, cancel := c.make()
			start := time.Now()
			err, ok := d.deliverCtx(ctx, copyOf(b))
			cancel()
			if !ok {
				return
			}
			if late := time.Since(start) - c.ends; late > grace {
				t.errorf("%s: Deliver returned %v after %s", describe(b), late, c.what)
			}
			if err == nil {
				t.errorf("%s: Deliver says nil although %s", describe(b), c.what)
			}
		}
	})
}

func testNetwork(t *trial) {
	replies := []struct {
		what string
		reply
	}{
		{"the connection was reset", reply{err: errReset}},
		{"the handshake failed", reply{err: tls.RecordHeaderError{Msg: "first record does not look like a TLS handshake"}}},
	}
	if t.fake {
		replies = append(replies, struct {
			what string
			reply
		}{"the lane's time-out passed", reply{hang: true}})
	}
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, r := range replies {
			t.svc.script(failWith(r.reply))
			err, ok := d.deliver(b)
			if !ok {
				return
			}
			if wrong := wrongWord(err, b, analytics.WordAgain); wrong != "" {
				t.errorf("%s: %s, Deliver says %s", describe(b), r.what, wrong)
			}
		}
	})
}

// wrongWord compares the word of an answer with what it may be. A BatchError has to
// say one of them for every item. Empty: it does.
func wrongWord(err error, b *analytics.Batch, want ...analytics.Word) string {
	var each *analytics.BatchError
	if !errors.As(err, &each) {
		if w, _ := analytics.Classify(err); !slices.Contains(want, w) {
			return fmt.Sprintf("%q, want %q", w, want)
		}
		return ""
	}
	if slices.Contains(want, analytics.WordSplit) {
		want = append(want, analytics.WordPermanent)
	}
	for i := range b.Items {
		if w, _ := analytics.Classify(each.Items[i]); !slices.Contains(want, w) {
			return fmt.Sprintf("%q of item %d, want %q", w, i, want)
		}
	}
	return ""
}

func testClient(t *trial) {
	t.eachLane(func(d *instance, b *analytics.Batch) {
		ctx, cancel := context.WithTimeout(context.Background(), d.lanes()[b.Lane].Timeout)
		defer cancel()
		ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
			GetConn: func(addr string) {
				t.errorf("%s: a request to %s does not go through Env.HTTP", describe(b), addr)
				cancel() // before it leaves the machine
			},
		})
		t.svc.script(nil)
		if _, ok := d.deliverCtx(ctx, copyOf(b)); ok && len(t.svc.received()) == 0 {
			t.errorf("%s: no request", describe(b))
		}
	})
}

func testDeliverSecrets(t *trial) {
	replies := []func(*Request) reply{failWith(reply{err: errReset})}
	for _, code := range []int{200, 207, 302, 400, 401, 403, 404, 413, 422, 429, 500, 503} {
		replies = append(replies, func(r *Request) reply { return echo(code, r) })
	}
	if t.fake {
		replies = append(replies, failWith(reply{hang: true}))
	}
	t.eachLane(func(d *instance, b *analytics.Batch) {
		for _, f := range replies {
			t.svc.script(f)
			err, ok := d.deliver(b)
			if !ok {
				return
			}
			t.mustNotTell("the error", text(err))
			var each *analytics.BatchError
			if errors.As(err, &each) {
				for i, err := range each.Items {
					t.mustNotTell(fmt.Sprintf("the error of item %d", i), text(err))
				}
			}
		}
	})
	t.mustNotTell("the log", t.log.String())
}

// echo quotes the whole request, in the places where tools put their messages.
func echo(code int, r *Request) reply {
	all := fmt.Sprintln(r.Method, r.URL, r.Header, string(r.Body))
	body, _ := json.Marshal(map[string]any{"error": all, "message": all, "errors": []any{map[string]any{"index": 0, "message": all}}})
	return reply{Response: Response{
		Status: code, Body: string(body), Header: map[string][]string{"Content-Type": {"application/json"}, "Location": {r.URL.String()}},
	}}
}
