package destinationtest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/destinationtest"
)

func goodSetups() map[string]destinationtest.Setup {
	raw := acmeSetup(func() analytics.Destination { return &rawAcme{acme: *newAcme()} })
	raw.Seen = seenRaw
	exception := acmeSetup(func() analytics.Destination {
		d := &twisted{acme: newAcme()}
		d.deliver = func(ctx context.Context, b *analytics.Batch) error {
			err := d.acme.Deliver(ctx, b)
			var status *analytics.StatusError
			if errors.As(err, &status) && status.Status == 410 {
				return status
			}
			return err
		}
		return d
	})
	exception.Words = map[int]destinationtest.Exception{410: {Word: analytics.WordAgain, Reason: "the test wants it"}}
	realTime := acmeSetup(func() analytics.Destination { return newAcme() })
	realTime.RealTime = "the test wants it"
	file := storeSetup(func(d *store) { d.receive = func(context.Context, ...string) error { return nil } })
	return map[string]destinationtest.Setup{
		"HTTP":                  acmeSetup(func() analytics.Destination { return newAcme() }),
		"HTTP with words":       exception,
		"HTTP in real time":     realTime,
		"HTTP behind a wrapper": acmeSetup(func() analytics.Destination { return wrapper{newAcme()} }),
		"raw":                   raw,
		"own cursor":            storeSetup(nil),
		"nothing but a file":    file,
	}
}

// wrapper hides the optional interfaces of what it wraps.
type wrapper struct{ d analytics.Destination }

func (w wrapper) Describe() analytics.Description                        { return w.d.Describe() }
func (w wrapper) Translate(e *analytics.Event) ([]analytics.Item, error) { return w.d.Translate(e) }
func (w wrapper) Deliver(ctx context.Context, b *analytics.Batch) (err error) {
	return w.d.Deliver(ctx, b)
}
func (w wrapper) Unwrap() analytics.Destination { return w.d }

func TestGoodDestinationsPass(t *testing.T) {
	for name, setup := range goodSetups() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Empty(t, destinationtest.Check(t, setup))
		})
	}
}

func TestRun(t *testing.T) {
	for _, name := range []string{"HTTP", "own cursor"} {
		t.Run(name, func(t *testing.T) { destinationtest.Run(t, goodSetups()[name]) })
	}
}

// broken is a destination that breaks a rule, and the rules that cannot but fail
// with it.
type broken struct {
	rule         string
	how          string
	setup        destinationtest.Setup
	consequences []string
}

// twist makes acme and lets f replace methods of it.
func twist(f func(d *twisted)) destinationtest.Setup {
	return acmeSetup(func() analytics.Destination {
		d := &twisted{acme: newAcme()}
		f(d)
		return d
	})
}

func limits(f func(events *analytics.Limits)) destinationtest.Setup {
	return describing(func(desc analytics.Description) analytics.Description {
		l := desc.Lanes["events"]
		f(&l)
		desc.Lanes["events"] = l
		return desc
	})
}

func describing(f func(analytics.Description) analytics.Description) destinationtest.Setup {
	return twist(func(d *twisted) { d.describe = f })
}

func translating(f func(d *acme, e *analytics.Event) ([]analytics.Item, error)) destinationtest.Setup {
	return twist(func(d *twisted) {
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) { return f(d.acme, e) }
	})
}

func delivering(f func(ctx context.Context, d *acme, b *analytics.Batch) error) destinationtest.Setup {
	return twist(func(d *twisted) {
		d.deliver = func(ctx context.Context, b *analytics.Batch) error { return f(ctx, d.acme, b) }
	})
}

// responding is acme that does something with the response of its own.
func responding(f func(ctx context.Context, b *analytics.Batch, res *http.Response) error) destinationtest.Setup {
	return delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
		res, err := d.send(ctx, b)
		if err != nil {
			return err
		}
		return f(ctx, b, res)
	})
}

func rawly(f func(*analytics.Header, []byte) (analytics.Item, error)) destinationtest.Setup {
	s := acmeSetup(func() analytics.Destination { return &rawAcme{acme: *newAcme(), raw: f} })
	s.Seen = seenRaw
	return s
}

func with(s destinationtest.Setup, f func(*destinationtest.Setup)) destinationtest.Setup {
	f(&s)
	return s
}

func brokenOnes() []broken {
	good := goodSetups()["HTTP"]
	return slices.Concat(brokenSetups(good), brokenDescriptions(), brokenTranslations(), brokenDeliveries(), brokenAnswers(), brokenLives(), brokenPositions())
}

func brokenSetups(good destinationtest.Setup) []broken {
	return []broken{
		{rule: "setup", how: "has no New", setup: with(good, func(s *destinationtest.Setup) { s.New = nil })},
		{rule: "setup", how: "skips a rule that is none", setup: with(good, func(s *destinationtest.Setup) {
			s.Skip = map[string]string{"deliver-maybe": "no such rule"}
		})},
		{rule: "setup", how: "skips without a reason", setup: with(good, func(s *destinationtest.Setup) {
			s.Skip = map[string]string{"close": ""}
		})},
		{rule: "setup", how: "has an exception without a reason", setup: with(good, func(s *destinationtest.Setup) {
			s.Words = map[int]destinationtest.Exception{404: {Word: analytics.WordPermanent}}
		})},
	}
}

func brokenDescriptions() []broken {
	return []broken{
		{rule: "describe-stable", how: "learns in Open", setup: twist(func(d *twisted) {
			opened := false
			d.open = func(analytics.Env) error { opened = true; return nil }
			d.describe = func(desc analytics.Description) analytics.Description {
				if opened {
					desc.Every = time.Hour
				}
				return desc
			}
		})},
		{rule: "describe-name", how: "has its name as an alias", setup: describing(func(desc analytics.Description) analytics.Description {
			desc.Aliases = []string{desc.Name}
			return desc
		})},
		{rule: "describe-name", how: "has no name", setup: describing(func(desc analytics.Description) analytics.Description {
			desc.Name = ""
			return desc
		})},
		{rule: "describe-limits", how: "has a rate that limits nothing", setup: limits(func(l *analytics.Limits) { l.Rates = []analytics.Rate{{Burst: 3}} })},
		{rule: "describe-limits", how: "is negative", setup: limits(func(l *analytics.Limits) { l.Overhead = -1 }), consequences: []string{"deliver-bytes"}},
		{rule: "describe-limits", how: "has items larger than requests", setup: limits(func(l *analytics.Limits) { l.MaxItemBytes = l.MaxBytes })},
		{rule: "describe-positioner", how: "asks for no order", setup: storeSetup(func(d *store) { d.order = analytics.Unordered })},
		{rule: "open", how: "refuses good settings", setup: twist(func(d *twisted) {
			d.open = func(analytics.Env) error { return errors.New("the key does not please") }
		})},
	}
}

func brokenTranslations() []broken {
	return []broken{
		{rule: "translate-samples", how: "ignores everything", setup: translating(func(*acme, *analytics.Event) ([]analytics.Item, error) {
			return nil, analytics.ErrIgnored
		})},
		{rule: "translate-panics", how: "trusts the spec", setup: translating(func(d *acme, e *analytics.Event) ([]analytics.Item, error) {
			if list := e.Properties["products"]; list != nil {
				for _, p := range list.([]any) {
					_ = p.(map[string]any)
				}
			}
			return d.Translate(e)
		})},
		{rule: "translate-pure", how: "reads the clock", setup: translating(func(d *acme, e *analytics.Event) ([]analytics.Item, error) {
			items, err := d.Translate(e)
			for i := range items {
				items[i].Group = time.Now().Format("15")
			}
			return items, err
		})},
		{rule: "translate-io", how: "looks something up", setup: translating(func(d *acme, e *analytics.Event) ([]analytics.Item, error) {
			if res, err := d.http.Get(d.url + "/lookup"); err == nil {
				res.Body.Close()
			}
			return d.Translate(e)
		})},
		{rule: "translate-event", how: "fills in a field", setup: twist(func(d *twisted) {
			var mu sync.Mutex // the test is about the change, not about the race
			d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
				mu.Lock()
				defer mu.Unlock()
				e.Channel = "server"
				return d.acme.Translate(e)
			}
		})},
		{rule: "translate-memory", how: "shares bodies", setup: twist(func(d *twisted) {
			var mu sync.Mutex
			cache := map[string][]byte{}
			d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
				mu.Lock()
				defer mu.Unlock()
				items, err := d.acme.Translate(e)
				for i, it := range items {
					key := string(it.Body)
					if cache[key] == nil {
						cache[key] = it.Body
					}
					items[i].Body = cache[key]
				}
				return items, err
			}
		})},
		{rule: "translate-lanes", how: "invents a lane", setup: translating(func(d *acme, e *analytics.Event) ([]analytics.Item, error) {
			items, err := d.Translate(e)
			if e.Type == analytics.CallPage && len(items) > 0 {
				items[0].Lane = "pages"
			}
			return items, err
		})},
		{rule: "translate-size", how: "makes items that its lane does not take", setup: limits(func(l *analytics.Limits) { l.MaxItemBytes = 64 })},
		{rule: "translate-encoding", how: "writes JSON by hand", setup: translating(func(d *acme, e *analytics.Event) ([]analytics.Item, error) {
			items, err := d.Translate(e)
			for i := range items {
				items[i].Body = fmt.Appendf(nil, `{"id":%q,"title":%q}`, e.MessageID, fmt.Sprint(e.Properties["title"]))
			}
			return items, err
		})},
		{rule: "translate-errors", how: "has an error of its own", setup: translating(func(d *acme, e *analytics.Event) ([]analytics.Item, error) {
			items, err := d.Translate(e)
			var bad *analytics.InvalidError
			if errors.As(err, &bad) {
				err = errors.New("no user")
			}
			return items, err
		})},
		{rule: "translate-secrets", how: "quotes the value", setup: translating(func(d *acme, e *analytics.Event) ([]analytics.Item, error) {
			if s, ok := e.Properties["revenue"].(string); ok {
				return nil, &analytics.InvalidError{Field: "properties.revenue", Reason: fmt.Sprintf("is %q", s)}
			}
			return d.Translate(e)
		})},
		{rule: "translate-raw", how: "has another key", setup: rawly(func(h *analytics.Header, raw []byte) (analytics.Item, error) {
			item, err := goodRaw(h, raw)
			item.Key = h.MessageID
			return item, err
		})},
		{rule: "translate-raw", how: "refuses nothing", setup: rawly(func(_ *analytics.Header, raw []byte) (analytics.Item, error) {
			return analytics.Item{Lane: "events", Body: raw}, nil
		})},
		{rule: "translate-raw", how: "writes over the log", setup: rawly(func(h *analytics.Header, raw []byte) (analytics.Item, error) {
			raw[len(raw)-1] = ' '
			return goodRaw(h, raw)
		})},
		{rule: "translate-concurrent", how: "has one desk for all", setup: twist(func(d *twisted) {
			var desk atomic.Pointer[analytics.Event]
			d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
				desk.Store(e)
				time.Sleep(time.Millisecond)
				return d.acme.Translate(desk.Load())
			}
		})},
	}
}

func brokenDeliveries() []broken {
	return []broken{
		{rule: "deliver-once", how: "leaves out the last", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			c := *b
			c.Items = c.Items[:max(1, len(c.Items)-1)]
			return d.Deliver(ctx, &c)
		}), consequences: []string{"deliver-sizes"}},
		{rule: "deliver-once", how: "sends after it has returned", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			req := d.request(context.WithoutCancel(ctx), b)
			go func() {
				time.Sleep(time.Second)
				if res, err := d.http.Do(req); err == nil {
					res.Body.Close()
				}
			}()
			return nil
		}), consequences: []string{
			"deliver-sizes", "deliver-concurrent", "deliver-ctx", "deliver-network", "deliver-client", "goroutines",
			"answer-words", "answer-retry-after",
		}},
		{rule: "deliver-sizes", how: "cuts large batches", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			c := *b
			c.Items = c.Items[:min(15, len(c.Items))]
			return d.Deliver(ctx, &c)
		})},
		{rule: "deliver-bytes", how: "forgets the envelope", setup: limits(func(l *analytics.Limits) { l.Overhead = 0 })},
		{rule: "deliver-again", how: "makes ids for each try", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			c := *b
			c.Items = slices.Clone(b.Items)
			for i := range c.Items {
				if b.Attempt > 0 {
					body := strings.Replace(string(c.Items[i].Body), `"id":"`, fmt.Sprintf(`"id":"%d-`, b.Attempt), 1)
					c.Items[i].Body = []byte(body)
				}
			}
			return d.Deliver(ctx, &c)
		})},
		{rule: "deliver-no-retry", how: "tries twice", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			err := d.Deliver(ctx, b)
			var status *analytics.StatusError
			if errors.As(err, &status) && status.Status == 503 {
				return d.Deliver(ctx, b)
			}
			return err
		})},
		{rule: "deliver-no-retry", how: "sleeps", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			select {
			case <-time.After(time.Millisecond):
			case <-ctx.Done():
				return ctx.Err()
			}
			return d.Deliver(ctx, b)
		})},
		{rule: "deliver-batch", how: "reuses the bytes", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			err := d.Deliver(ctx, b)
			clear(b.Items[0].Body)
			return err
		})},
		{rule: "deliver-keeps", how: "remembers the last body", setup: twist(func(d *twisted) {
			var mu sync.Mutex
			last := map[string][]byte{}
			d.describe = func(desc analytics.Description) analytics.Description {
				for name, l := range desc.Lanes {
					l.Overhead += 8000
					desc.Lanes[name] = l
				}
				return desc
			}
			d.deliver = func(ctx context.Context, b *analytics.Batch) error {
				req := d.request(ctx, b)
				body, _ := io.ReadAll(req.Body)
				mu.Lock()
				body = append(body, last[b.Lane]...) // the test's reader stops before it
				last[b.Lane] = b.Items[0].Body
				mu.Unlock()
				req.Body = io.NopCloser(strings.NewReader(string(body)))
				req.ContentLength = int64(len(body))
				res, err := d.http.Do(req)
				if err != nil {
					return errors.Unwrap(err)
				}
				return analytics.ResponseError(res)
			}
		})},
		{rule: "deliver-keeps", how: "sends what failed with the next", setup: twist(func(d *twisted) {
			var mu sync.Mutex
			failed := map[string][]analytics.Item{}
			d.deliver = func(ctx context.Context, b *analytics.Batch) error {
				mu.Lock()
				defer mu.Unlock()
				c := *b
				if b.Lane == "events" {
					c.Items = slices.Concat(failed[b.Lane], b.Items)
				}
				err := d.acme.Deliver(ctx, &c)
				failed[b.Lane] = nil
				if err != nil {
					failed[b.Lane] = b.Items
				}
				return err
			}
		}), consequences: []string{"deliver-again"}},
		{rule: "deliver-concurrent", how: "takes one at a time and loses the others", setup: twist(func(d *twisted) {
			var busy atomic.Bool
			d.deliver = func(ctx context.Context, b *analytics.Batch) error {
				if !busy.CompareAndSwap(false, true) {
					return nil
				}
				defer busy.Store(false)
				return d.acme.Deliver(ctx, b)
			}
		})},
		{rule: "deliver-ctx", how: "has a time-out of its own only", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
			defer cancel()
			return d.Deliver(ctx, b)
		})},
		{rule: "deliver-network", how: "gives up", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			res, err := d.send(ctx, b)
			if err != nil {
				return analytics.Permanent(err)
			}
			return analytics.ResponseError(res)
		})},
		{rule: "deliver-client", how: "has a client of its own", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			own := &http.Client{Transport: &http.Transport{
				DialContext: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no network in tests") },
			}}
			req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://telemetry.acme.example/", nil)
			if res, err := own.Do(req); err == nil {
				res.Body.Close()
			}
			return d.Deliver(ctx, b)
		})},
		{rule: "deliver-secrets", how: "returns the error of net/http", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			res, err := d.http.Do(d.request(ctx, b))
			if err != nil {
				return err
			}
			return analytics.ResponseError(res)
		})},
		{rule: "deliver-secrets", how: "quotes the tool", setup: responding(func(_ context.Context, _ *analytics.Batch, res *http.Response) error {
			message, _ := io.ReadAll(io.LimitReader(res.Body, 4096))
			if err := analytics.ResponseError(res); err != nil {
				return fmt.Errorf("%w: %s", err, message)
			}
			return nil
		})},
	}
}

func brokenAnswers() []broken {
	return []broken{
		{rule: "answer-words", how: "takes a conflict for success", setup: responding(func(_ context.Context, _ *analytics.Batch, res *http.Response) error {
			if res.StatusCode == http.StatusConflict {
				res.Body.Close()
				return nil
			}
			return analytics.ResponseError(res)
		})},
		{rule: "answer-words", how: "speaks of one item and forgets the others", setup: responding(func(_ context.Context, b *analytics.Batch, res *http.Response) error {
			err := analytics.ResponseError(res)
			if res.StatusCode == http.StatusNotFound {
				return &analytics.BatchError{Items: map[int]error{0: err}}
			}
			return err
		})},
		{rule: "answer-retry-after", how: "does not read the header", setup: responding(func(_ context.Context, _ *analytics.Batch, res *http.Response) error {
			err := analytics.ResponseError(res)
			if res.StatusCode == http.StatusTooManyRequests {
				return analytics.RetryAfter(time.Second, errors.New("slow down"))
			}
			return err
		})},
		{rule: "answer-redirect", how: "follows", setup: twist(func(d *twisted) {
			d.open = func(env analytics.Env) error {
				d.http = &http.Client{Transport: env.HTTP.Transport}
				return nil
			}
		}), consequences: []string{"answer-words"}},
		{rule: "answer-closed", how: "does not look at good news", setup: responding(func(_ context.Context, _ *analytics.Batch, res *http.Response) error {
			if res.StatusCode/100 == 2 {
				return nil
			}
			return analytics.ResponseError(res)
		})},
		{rule: "answer-huge", how: "reads all", setup: responding(func(_ context.Context, _ *analytics.Batch, res *http.Response) error {
			_, _ = io.Copy(io.Discard, res.Body)
			return analytics.ResponseError(res)
		})},
		{rule: "answer-slow", how: "waits for the body with a ctx of its own", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			own, cancel := context.WithCancel(context.WithoutCancel(ctx))
			defer cancel()
			stop := context.AfterFunc(ctx, cancel)
			res, err := d.send(own, b)
			stop()
			if err != nil {
				return err
			}
			_, _ = io.CopyN(io.Discard, res.Body, 1<<20)
			return analytics.ResponseError(res)
		})},
		{rule: "answer-garbage", how: "trusts the tool", setup: responding(func(_ context.Context, b *analytics.Batch, res *http.Response) error {
			body := make([]byte, 1<<16)
			n, _ := io.ReadFull(res.Body, body)
			if err := analytics.ResponseError(res); err != nil {
				return err
			}
			if strings.Contains(string(body[:n]), `"index":-1`) {
				_ = b.Items[int(math.Inf(-1))]
			}
			return nil
		})},
	}
}

func brokenLives() []broken {
	return []broken{
		{rule: "close", how: "panics the second time", setup: twist(func(d *twisted) {
			gone := make(chan struct{})
			d.close = func(context.Context) error {
				close(gone)
				return nil
			}
		})},
		{rule: "close", how: "says goodbye without ctx", setup: twist(func(d *twisted) {
			d.close = func(context.Context) error {
				res, err := d.http.Post(d.url+"/goodbye", "text/plain", nil)
				if err != nil {
					return errors.Unwrap(err)
				}
				return analytics.ResponseError(res)
			}
		}), consequences: []string{"goroutines"}},
		{rule: "goroutines", how: "leaves one for each batch", setup: delivering(func(ctx context.Context, d *acme, b *analytics.Batch) error {
			go func() {
				<-make(chan int)
			}()
			return d.Deliver(ctx, b)
		})},
		{rule: "goroutines", how: "does not end what Open started", setup: twist(func(d *twisted) {
			d.open = func(analytics.Env) error {
				go func() {
					for {
						time.Sleep(time.Minute)
					}
				}()
				return nil
			}
		})},
	}
}

func brokenPositions() []broken {
	return []broken{
		{rule: "position-new", how: "knows every log", setup: storeSetup(func(d *store) { d.knowsAll = true }), consequences: []string{"position-advances"}},
		{rule: "position-advances", how: "does not care for empty batches", setup: storeSetup(func(d *store) { d.skipsEmpty = true })},
		{rule: "position-failed", how: "commits the position first", setup: storeSetup(func(d *store) { d.commitsFirst = true }), consequences: []string{
			"deliver-again", // the second try finds its range done
			"deliver-ctx", "deliver-network",
		}},
		{rule: "position-again", how: "appends whatever comes", setup: storeSetup(func(d *store) { d.appendsAlways = true })},
		{rule: "position-restart", how: "keeps the position in memory", setup: storeSetup(func(d *store) { d.forgets = true })},
	}
}

func TestBrokenDestinationsFail(t *testing.T) {
	if underRace {
		t.Skip("each destination is used as by TestRun, a hundred times over")
	}
	for _, b := range brokenOnes() {
		t.Run(b.rule+" "+b.how, func(t *testing.T) {
			t.Parallel()
			found := map[string][]string{}
			for _, v := range destinationtest.Check(t, b.setup) {
				require.NotEmpty(t, v.Detail)
				found[v.Rule.Name] = append(found[v.Rule.Name], v.Detail)
			}
			require.Contains(t, found, b.rule, "the rule does not notice")
			t.Log(found[b.rule][0])
			want := slices.Sorted(slices.Values(append(b.consequences, b.rule)))
			require.Equal(t, want, slices.Sorted(maps.Keys(found)), "%s", found)
		})
	}
}

func TestEveryRuleHasABrokenDestination(t *testing.T) {
	seen := map[string]bool{}
	for _, b := range brokenOnes() {
		seen[b.rule] = true
	}
	for _, r := range destinationtest.Rules() {
		require.True(t, seen[r.Name], "no broken destination breaks %s", r.Name)
		delete(seen, r.Name)
	}
	require.Empty(t, seen, "rules that do not exist")
}

func TestRulesAreSentences(t *testing.T) {
	names := map[string]bool{}
	for _, r := range destinationtest.Rules() {
		require.False(t, names[r.Name], r.Name)
		names[r.Name] = true
		require.Regexp(t, `^[a-z]+(-[a-z]+)*$`, r.Name)
		require.Regexp(t, `^[A-Z].*\.$`, r.Sentence)
	}
}
