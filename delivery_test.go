package analytics_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
)

// double is a destination whose every part a test may set.
type double struct {
	desc      analytics.Description
	translate func(*analytics.Event) ([]analytics.Item, error)
	deliver   func(context.Context, *analytics.Batch) error

	mu   sync.Mutex
	sent []sent
}

// sent is one call of Deliver.
type sent struct {
	at      time.Time
	lane    string
	attempt int
	ids     []string
	log     analytics.LogID
	from    uint64
	to      uint64
}

func newDouble(name string, answers ...error) *double {
	d := &double{desc: analytics.Description{Name: name}}
	n := 0
	d.deliver = func(context.Context, *analytics.Batch) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		n++
		if n <= len(answers) {
			return answers[n-1]
		}
		return nil
	}
	return d
}

func (d *double) Describe() analytics.Description { return d.desc }

func (d *double) Translate(e *analytics.Event) ([]analytics.Item, error) {
	if d.translate != nil {
		return d.translate(e)
	}
	return []analytics.Item{{Body: []byte(`"` + e.MessageID + `"`)}}, nil
}

func (d *double) Deliver(ctx context.Context, b *analytics.Batch) error {
	s := sent{at: time.Now(), lane: b.Lane, attempt: b.Attempt, log: b.Log, from: b.From, to: b.To}
	for _, it := range b.Items {
		s.ids = append(s.ids, it.ID)
	}
	d.mu.Lock()
	d.sent = append(d.sent, s)
	d.mu.Unlock()
	return d.deliver(ctx, b)
}

// calls returns a copy of what was sent so far.
func (d *double) calls() []sent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.sent)
}

// count is how often an id was sent.
func (d *double) count(id string) (n int) {
	for _, s := range d.calls() {
		for _, have := range s.ids {
			if have == id {
				n++
			}
		}
	}
	return n
}

// outcomes collects what OnOutcome is told.
type outcomes struct {
	mu  sync.Mutex
	all []analytics.Outcome
}

func (o *outcomes) add(out analytics.Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.all = append(o.all, out)
}

func (o *outcomes) of(id string) []analytics.Outcome {
	o.mu.Lock()
	defer o.mu.Unlock()
	var found []analytics.Outcome
	for _, out := range o.all {
		if out.MessageID == id {
			found = append(found, out)
		}
	}
	return found
}

func (o *outcomes) withStatus(s analytics.Status) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, out := range o.all {
		if out.Status == s {
			n += max(out.Events, 1)
		}
	}
	return n
}

func open(t *testing.T, cfg analytics.Config) *analytics.Client {
	t.Helper()
	cfg.Logger = cmp.Or(cfg.Logger, slog.New(slog.DiscardHandler))
	client, err := newClient(t, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = client.Close(ctx)
		time.Sleep(time.Hour) // whoever ignores contexts leaves the bubble
	})
	return client
}

func track(t *testing.T, c *analytics.Client, user, id string) {
	t.Helper()
	require.NoError(t, c.Track(t.Context(), analytics.Track{UserID: user, MessageID: id, Event: "Tested"}))
}

func balanced(t *testing.T, c *analytics.Client) {
	t.Helper()
	for name, d := range c.Stats().Destinations {
		require.Equal(t, d.Accepted, d.Delivered+analytics.Sum(d.Filtered)+analytics.Sum(d.Dropped)+d.Pending, "%s %+v", name, d)
	}
}

// in is a context with a time-out, in the time of the bubble.
func in(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

var errCause = errors.New("cause")

// TestAnswers has a row for every word of Deliver: design, the table of answers.
func TestAnswers(t *testing.T) {
	one := func(err error) error {
		e := &analytics.BatchError{}
		e.Set(1, err)
		return e
	}
	for _, row := range []struct {
		name    string
		answers []error // of the requests in turn; then nil
		events  int
		want    string // "delivered", or the reason of the drop, of the event in the middle
		others  string // the same for the other events
		calls   [][]string
		waits   time.Duration // at least, between the first two requests
	}{
		{"nil is all arrived", nil, 3, "delivered", "delivered", [][]string{{"m0", "m1", "m2"}}, 0},
		{"any error is tried again with the same items", []error{errCause, errCause}, 3, "delivered", "delivered",
			[][]string{{"m0", "m1", "m2"}, {"m0", "m1", "m2"}, {"m0", "m1", "m2"}}, 250 * time.Millisecond},
		{"RetryAfter pauses as long as it says", []error{analytics.RetryAfter(7*time.Second, errCause)}, 3, "delivered", "delivered",
			[][]string{{"m0", "m1", "m2"}, {"m0", "m1", "m2"}}, 7 * time.Second},
		{"RetryAfter without a time leaves it to the backoff", []error{analytics.RetryAfter(0, errCause)}, 3, "delivered", "delivered",
			[][]string{{"m0", "m1", "m2"}, {"m0", "m1", "m2"}}, 250 * time.Millisecond},
		{"RetryAtMost gives up in the end", []error{analytics.RetryAtMost(2, time.Second, errCause), analytics.RetryAtMost(2, time.Second, errCause), analytics.RetryAtMost(2, time.Second, errCause)},
			3, "attempts", "attempts", [][]string{{"m0", "m1", "m2"}, {"m0", "m1", "m2"}, {"m0", "m1", "m2"}}, time.Second},
		{"RetryAtMost of zero gives up at once", []error{analytics.RetryAtMost(0, 0, errCause)}, 3, "attempts", "attempts", [][]string{{"m0", "m1", "m2"}}, 0},
		{"Permanent is never", []error{analytics.Permanent(errCause)}, 3, "rejected", "rejected", [][]string{{"m0", "m1", "m2"}}, 0},
		{"Unauthorized waits a minute", []error{analytics.Unauthorized(errCause)}, 3, "delivered", "delivered",
			[][]string{{"m0", "m1", "m2"}, {"m0", "m1", "m2"}}, time.Minute},
		{"Split halves and tries again", []error{analytics.Split(errCause)}, 3, "delivered", "delivered",
			[][]string{{"m0", "m1", "m2"}, {"m0"}, {"m1", "m2"}}, 0},
		{"Split of a single item is never", []error{analytics.Split(errCause)}, 1, "", "rejected", [][]string{{"m0"}}, 0},
		{"an item may fail alone: again", []error{one(errCause)}, 3, "delivered", "delivered", [][]string{{"m0", "m1", "m2"}, {"m1"}}, 250 * time.Millisecond},
		{"an item may fail alone: RetryAfter", []error{one(analytics.RetryAfter(9*time.Second, errCause))}, 3, "delivered", "delivered", [][]string{{"m0", "m1", "m2"}, {"m1"}}, 9 * time.Second},
		{"an item may fail alone: RetryAtMost", []error{one(analytics.RetryAtMost(0, 0, errCause))}, 3, "attempts", "delivered", [][]string{{"m0", "m1", "m2"}}, 0},
		{"an item may fail alone: Permanent", []error{one(analytics.Permanent(errCause))}, 3, "rejected", "delivered", [][]string{{"m0", "m1", "m2"}}, 0},
		{"Split of an item is Permanent", []error{one(analytics.Split(errCause))}, 3, "rejected", "delivered", [][]string{{"m0", "m1", "m2"}}, 0},
		{"Unauthorized of an item is the destination", []error{one(analytics.Unauthorized(errCause))}, 3, "delivered", "delivered", [][]string{{"m0", "m1", "m2"}, {"m1"}}, time.Minute},
		{"an item that fails without an error has arrived", []error{one(nil)}, 3, "delivered", "delivered", [][]string{{"m0", "m1", "m2"}}, 0},
		{"an index out of range is ignored", []error{&analytics.BatchError{Items: map[int]error{7: errCause, -1: errCause}}}, 3, "delivered", "delivered", [][]string{{"m0", "m1", "m2"}}, 0},
		{"a wrapped word counts", []error{fmt.Errorf("acme: %w", analytics.Permanent(errCause))}, 3, "rejected", "rejected", [][]string{{"m0", "m1", "m2"}}, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, seen := newDouble("acme", row.answers...), &outcomes{}
				d.desc.Lanes = map[string]analytics.Limits{"": {Concurrency: 1}}
				client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, OnOutcome: seen.add})
				for i := range row.events {
					track(t, client, "u", "m"+strconv.Itoa(i))
				}
				require.NoError(t, client.Flush(in(t, time.Hour)))
				require.NoError(t, client.Close(in(t, time.Hour)))
				var got [][]string
				for _, s := range d.calls() {
					got = append(got, s.ids)
				}
				require.Equal(t, row.calls, got)
				if row.waits > 0 {
					require.GreaterOrEqual(t, d.calls()[1].at.Sub(d.calls()[0].at), row.waits)
				}
				for i := range row.events {
					want := row.others
					if i == 1 {
						want = row.want
					}
					outs := seen.of("m" + strconv.Itoa(i))
					require.Len(t, outs, 1)
					if want == "delivered" {
						require.Equal(t, analytics.Delivered, outs[0].Status)
						continue
					}
					require.Equal(t, analytics.Dropped, outs[0].Status)
					require.Equal(t, want, outs[0].Reason.String())
					require.ErrorIs(t, outs[0].Err, errCause)
				}
				balanced(t, client)
			})
		})
	}
}

func TestTranslateAnswers(t *testing.T) {
	for _, row := range []struct {
		name   string
		items  []analytics.Item
		err    error
		status analytics.Status
		reason string
	}{
		{"items are delivered", []analytics.Item{{Body: []byte("1")}}, nil, analytics.Delivered, ""},
		{"no items are filtered", nil, nil, analytics.Filtered, "ignored"},
		{"ErrIgnored is filtered", nil, fmt.Errorf("acme: %w", analytics.ErrIgnored), analytics.Filtered, "ignored"},
		{"an InvalidError is dropped", nil, &analytics.InvalidError{Field: "email", Reason: "is required"}, analytics.Dropped, "invalid"},
		{"any other error is dropped", nil, errCause, analytics.Dropped, "invalid"},
		{"an unknown lane is dropped", []analytics.Item{{Lane: "nowhere", Body: []byte("1")}}, nil, analytics.Dropped, "invalid"},
		{"an item beyond the limit is dropped", []analytics.Item{{Body: make([]byte, 2_000_000)}}, nil, analytics.Dropped, "invalid"},
		{"of several items one is enough to drop the event", []analytics.Item{{Body: []byte("1")}, {Lane: "nowhere"}}, nil, analytics.Dropped, "invalid"},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, seen := newDouble("acme"), &outcomes{}
				d.translate = func(*analytics.Event) ([]analytics.Item, error) { return row.items, row.err }
				var letters []analytics.DeadLetter
				client := open(t, analytics.Config{
					Destinations: []analytics.Destination{d}, OnOutcome: seen.add,
					DeadLetters: func(l analytics.DeadLetter) error { letters = append(letters, l); return nil },
				})
				track(t, client, "u", "m")
				require.NoError(t, client.Close(in(t, time.Hour)))
				require.Equal(t, row.status, seen.of("m")[0].Status)
				require.Equal(t, row.reason, seen.of("m")[0].Reason.String())
				require.Equal(t, len(row.items) > 1, seen.of("m")[0].Partial)
				if row.status != analytics.Dropped {
					require.Empty(t, letters)
					return
				}
				require.Len(t, letters, 1)
				require.Equal(t, "m", letters[0].MessageID)
				require.Contains(t, string(letters[0].Event), `"event":"Tested"`)
				require.NotEmpty(t, letters[0].Error)
			})
		})
	}
}

func TestPromiseCallsNeverWait(t *testing.T) {
	fill := func(t *testing.T, c *analytics.Client) (accepted int, err error) {
		for range 1_000_000 {
			begun := time.Now()
			err = c.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"pad": make([]int, 1000)}})
			require.Zero(t, time.Since(begun), "a call waited")
			if err != nil {
				return accepted, err
			}
			accepted++
		}
		return accepted, nil
	}
	hanging := func() *double {
		d := newDouble("hanging")
		d.deliver = func(ctx context.Context, _ *analytics.Batch) error { <-ctx.Done(); return ctx.Err() }
		return d
	}
	t.Run("a full queue refuses at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := open(t, analytics.Config{Destinations: []analytics.Destination{hanging()}, MaxMemory: 256 << 10})
			_, err := fill(t, client)
			require.ErrorIs(t, err, analytics.ErrQueueFull)
			require.EqualValues(t, 1, client.Stats().Refused)
			require.LessOrEqual(t, client.Stats().QueueBytes, client.Stats().QueueLimit)
			balanced(t, client)
		})
	})
	t.Run("Block waits until ctx ends", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := open(t, analytics.Config{Destinations: []analytics.Destination{hanging()}, MaxMemory: 256 << 10, WhenFull: analytics.Block})
			begun := time.Now()
			var err error
			for err == nil {
				err = client.Track(in(t, 3*time.Second), analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"pad": make([]int, 1000)}})
			}
			require.ErrorIs(t, err, analytics.ErrQueueFull)
			require.ErrorIs(t, err, context.DeadlineExceeded)
			require.Equal(t, 3*time.Second, time.Since(begun))
		})
	})
	t.Run("Block goes on when there is room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDouble("slow")
			d.deliver = func(context.Context, *analytics.Batch) error { time.Sleep(time.Second); return nil }
			client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, MaxMemory: 256 << 10, WhenFull: analytics.Block})
			for range 1000 {
				require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"pad": make([]int, 1000)}}))
			}
			require.NoError(t, client.Close(in(t, time.Hour)))
			require.EqualValues(t, 1000, client.Stats().Destinations["slow"].Delivered)
		})
	})
	t.Run("Close frees those who wait", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := open(t, analytics.Config{Destinations: []analytics.Destination{hanging()}, MaxMemory: 256 << 10, WhenFull: analytics.Block})
			done := make(chan error)
			go func() {
				var err error
				for err == nil {
					err = client.Track(context.Background(), analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"pad": make([]int, 1000)}})
				}
				done <- err
			}()
			synctest.Wait()
			require.Error(t, client.Close(in(t, time.Second)))
			require.ErrorIs(t, <-done, analytics.ErrClosed)
		})
	})
	t.Run("DropOldest makes room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			client := open(t, analytics.Config{Destinations: []analytics.Destination{hanging()}, MaxMemory: 256 << 10, WhenFull: analytics.DropOldest})
			for i := range 2000 {
				if i%50 == 0 {
					synctest.Wait() // the destination takes what it can hold
				}
				require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"pad": make([]int, 1000)}}))
			}
			s := client.Stats()
			require.Zero(t, s.Refused)
			require.Positive(t, s.Destinations["hanging"].Dropped[analytics.ReasonOverflow])
			balanced(t, client)
		})
	})
}

func TestPromiseAtLeastOnceUnderOneID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		lossy, plain := newDouble("lossy"), newDouble("plain")
		lossy.deliver = func(context.Context, *analytics.Batch) error {
			if n++; n%3 != 0 {
				return errCause // after it has taken the batch
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{lossy, plain}, FlushAt: 10})
		for range 500 {
			require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
		}
		require.NoError(t, client.Close(in(t, time.Hour)))
		ids := map[string]bool{}
		for _, s := range plain.calls() {
			for _, id := range s.ids {
				require.False(t, ids[id], "%s was sent twice although it had arrived", id)
				ids[id] = true
			}
		}
		require.Len(t, ids, 500)
		for id := range ids {
			require.Positive(t, lossy.count(id))
		}
	})
}

func TestPromiseOrderOverLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("ordered")
		d.desc.Order = analytics.PerKey
		d.desc.Lanes = map[string]analytics.Limits{"a": {MaxItems: 7}, "b": {MaxItems: 5}}
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			lane := "a"
			if n, _ := strconv.Atoi(e.MessageID[1:]); n%3 == 0 {
				lane = "b"
			}
			return []analytics.Item{{Lane: lane, Body: []byte("1")}}, nil
		}
		var mu sync.Mutex
		arrived := map[string][]int{}
		n := 0
		d.deliver = func(_ context.Context, b *analytics.Batch) error {
			mu.Lock()
			n++
			fail, pause := n%4 == 0, time.Duration(n%5)*100*time.Millisecond
			mu.Unlock()
			time.Sleep(pause)
			if fail {
				return errCause
			}
			mu.Lock()
			defer mu.Unlock()
			for _, it := range b.Items {
				i, _ := strconv.Atoi(it.ID[1:])
				arrived[it.Key] = append(arrived[it.Key], i)
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 400 {
			track(t, client, "u"+strconv.Itoa(i%6), "m"+strconv.Itoa(i))
		}
		require.NoError(t, client.Close(in(t, time.Hour)))
		total := 0
		for key, list := range arrived {
			require.True(t, slices.IsSorted(list), "%s arrived as %v", key, list)
			total += len(list)
		}
		require.Equal(t, 400, total)
	})
}

// kept tells whether what a client could not deliver when it was closed is kept, all of
// it, or in memory, where nothing is.
func kept(t *testing.T, client *analytics.Client, name string, left uint64) bool {
	t.Helper()
	pending := client.Stats().Destinations[name].Pending
	if analytics.TestSpool {
		require.Equal(t, left, pending)
	} else {
		require.Zero(t, pending)
	}
	return analytics.TestSpool
}

func TestPromiseNoDestinationDelaysAnother(t *testing.T) {
	for name, deliver := range map[string]func(context.Context, *analytics.Batch) error{
		"dead":         func(context.Context, *analytics.Batch) error { return errCause },
		"slow":         func(context.Context, *analytics.Batch) error { time.Sleep(25 * time.Second); return nil },
		"hanging":      func(ctx context.Context, _ *analytics.Batch) error { <-ctx.Done(); return ctx.Err() },
		"deaf":         func(context.Context, *analytics.Batch) error { time.Sleep(50 * time.Minute); return nil },
		"panicking":    func(context.Context, *analytics.Batch) error { panic("deliver") },
		"unauthorized": func(context.Context, *analytics.Batch) error { return analytics.Unauthorized(errCause) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, good := newDouble("bad"), newDouble("good")
				bad.deliver = deliver
				client := open(t, analytics.Config{Destinations: []analytics.Destination{bad, good}, FlushInterval: time.Second, MaxMemory: 1 << 20})
				const events = 20_000
				for i := range events {
					track(t, client, "u", "m"+strconv.Itoa(i))
					if i%100 == 0 {
						time.Sleep(10 * time.Millisecond)
					}
				}
				time.Sleep(2 * time.Second)
				s := client.Stats()
				require.EqualValues(t, events, s.Destinations["good"].Delivered, "the healthy one has everything")
				require.Zero(t, s.Refused, "the one that lags makes room")
				require.LessOrEqual(t, s.QueueBytes, s.QueueLimit)
				balanced(t, client)
				require.Error(t, client.Close(in(t, time.Second)))
				balanced(t, client)
				kept(t, client, "bad", s.Destinations["bad"].Pending)
			})
		})
	}
}

func TestPromisePanickingTranslateLosesItsEventOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, seen := newDouble("acme"), &outcomes{}
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			if e.MessageID == "m3" {
				panic("translate")
			}
			return []analytics.Item{{Body: []byte("1")}}, nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, OnOutcome: seen.add})
		for i := range 10 {
			track(t, client, "u", "m"+strconv.Itoa(i))
		}
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.Equal(t, analytics.ReasonPanic, seen.of("m3")[0].Reason)
		require.EqualValues(t, 9, client.Stats().Destinations["acme"].Delivered)
	})
}

func TestPromiseRetryAfterIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme", analytics.RetryAfter(2*time.Second, errCause), analytics.RetryAfter(90*time.Second, errCause))
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, FlushAt: 1, MaxAttempts: 1})
		for i := range 50 {
			track(t, client, "u", "m"+strconv.Itoa(i))
			time.Sleep(100 * time.Millisecond)
		}
		err := client.Flush(in(t, 10*time.Second))
		var pending *analytics.PendingError
		require.ErrorAs(t, err, &pending, "a Flush does not shorten the pause")
		require.Equal(t, "retry after", pending.Destinations["acme"].Reason)
		require.NoError(t, client.Close(in(t, time.Hour)))
		calls := d.calls()
		require.GreaterOrEqual(t, calls[1].at.Sub(calls[0].at), 2*time.Second)
		require.GreaterOrEqual(t, calls[2].at.Sub(calls[1].at), 90*time.Second)
		require.EqualValues(t, 50, client.Stats().Destinations["acme"].Delivered, "pauses are no attempts")
		require.EqualValues(t, 2, client.Stats().Destinations["acme"].Throttled)
	})
}

func TestPromiseOneBadBatchOfAThousand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, seen := newDouble("acme"), &outcomes{}
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 10}}
		d.deliver = func(_ context.Context, b *analytics.Batch) error {
			for _, it := range b.Items {
				if it.ID == "m4321" {
					return analytics.Split(errCause) // 400: one of them is bad
				}
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, OnOutcome: seen.add})
		for i := range 10_000 {
			track(t, client, "u", "m"+strconv.Itoa(i))
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		require.NoError(t, client.Close(in(t, time.Minute)))
		s := client.Stats().Destinations["acme"]
		require.EqualValues(t, 9_999, s.Delivered)
		require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonRejected: 1}, s.Dropped)
		require.Equal(t, analytics.ReasonRejected, seen.of("m4321")[0].Reason)
	})
}

func TestPromisePoisonIsDroppedAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, seen := newDouble("acme"), &outcomes{}
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 20}}
		d.deliver = func(_ context.Context, b *analytics.Batch) error {
			for _, it := range b.Items {
				if it.ID == "m13" {
					return errCause // 500, for ever
				}
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, OnOutcome: seen.add, FlushAt: 20})
		for i := range 20_000 {
			track(t, client, "u"+strconv.Itoa(i%7), "m"+strconv.Itoa(i))
			if i%20 == 0 {
				time.Sleep(time.Second)
			}
		}
		require.NoError(t, client.Close(in(t, time.Hour)))
		s := client.Stats().Destinations["acme"]
		require.EqualValues(t, 19_999, s.Delivered)
		require.Equal(t, analytics.ReasonAttempts, seen.of("m13")[0].Reason)
		require.GreaterOrEqual(t, seen.of("m13")[0].Attempts, 20)
	})
}

func TestOutageCountsNothingButAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		up := time.Now().Add(3 * time.Hour)
		d.deliver = func(context.Context, *analytics.Batch) error {
			if time.Now().Before(up) {
				return errCause
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		track(t, client, "u", "early")
		time.Sleep(2 * time.Hour)
		track(t, client, "u", "late")
		time.Sleep(90 * time.Minute)
		synctest.Wait()
		require.EqualValues(t, 2, client.Stats().Destinations["acme"].Delivered)
	})
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.deliver = func(context.Context, *analytics.Batch) error { return errCause }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, MaxAge: time.Hour})
		track(t, client, "u", "m")
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.EqualValues(t, 1, client.Stats().Destinations["acme"].Dropped[analytics.ReasonExpired])
		require.Less(t, len(d.calls()), 100, "one probe at a time, at most one a minute in the end")
	})
}

func TestPromiseUnauthorizedHoldsTheEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, seen := newDouble("acme"), &outcomes{}
		var mu sync.Mutex
		refuse := true
		d.deliver = func(context.Context, *analytics.Batch) error {
			mu.Lock()
			defer mu.Unlock()
			if refuse {
				return analytics.Unauthorized(errCause)
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, OnOutcome: seen.add, FlushAt: 1})
		for i := range 100 {
			track(t, client, "u", "m"+strconv.Itoa(i))
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, len(d.calls()), 2, "one request a minute after the first")
		require.Equal(t, 1, seen.withStatus(analytics.Paused), "reported once, at once")
		require.Equal(t, "unauthorized", client.Stats().Destinations["acme"].Waiting)
		err := client.Flush(in(t, time.Second))
		var pending *analytics.PendingError
		require.ErrorAs(t, err, &pending)
		require.Equal(t, analytics.Pending{Events: 100, Reason: "unauthorized"}, pending.Destinations["acme"])
		mu.Lock()
		refuse = false // the key was rotated
		mu.Unlock()
		time.Sleep(2 * time.Minute)
		require.EqualValues(t, 100, client.Stats().Destinations["acme"].Delivered)
		require.NoError(t, client.Close(in(t, time.Second)))
	})
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.deliver = func(context.Context, *analytics.Batch) error { return analytics.Unauthorized(errCause) }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		track(t, client, "u", "m")
		time.Sleep(time.Minute)
		require.Error(t, client.Close(in(t, time.Second)))
		if kept(t, client, "acme", 1) {
			return
		}
		require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonUnauthorized: 1}, client.Stats().Destinations["acme"].Dropped)
	})
}

func TestPromiseMemoryStaysWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, deaf := newDouble("dead"), newDouble("deaf")
		dead.deliver = func(context.Context, *analytics.Batch) error { return errCause }
		deaf.deliver = func(context.Context, *analytics.Batch) error { time.Sleep(50 * time.Minute); return errCause }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{dead, deaf}, MaxMemory: 1 << 20})
		refused := 0
		for i := range 50_000 {
			if client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", MessageID: strconv.Itoa(i)}) != nil {
				refused++
			}
			if i%1000 == 0 {
				time.Sleep(time.Second)
				balanced(t, client)
				s := client.Stats()
				require.LessOrEqual(t, s.QueueBytes, int64(1<<20))
			}
		}
		s := client.Stats()
		require.EqualValues(t, refused, s.Refused)
		require.EqualValues(t, 50_000-refused, s.Accepted)
		require.Positive(t, refused)
	})
}

func TestPromiseFlushAndCloseAreHonest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, FlushInterval: time.Hour})
		require.NoError(t, client.Flush(in(t, time.Second)), "nothing to wait for")
		track(t, client, "u", "m")
		begun := time.Now()
		require.NoError(t, client.Flush(in(t, time.Second)), "lingers are cut")
		require.Zero(t, time.Since(begun))
		require.Equal(t, 1, d.count("m"))

		done, cancel := context.WithCancel(t.Context())
		cancel()
		track(t, client, "u", "m2")
		var pending *analytics.PendingError
		require.ErrorAs(t, client.Flush(done), &pending)
		require.Equal(t, 1, pending.Destinations["acme"].Events)
		require.NoError(t, client.Close(in(t, time.Second)))
		require.ErrorIs(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}), analytics.ErrClosed)
		require.NoError(t, client.Close(done), "a second Close returns what the first did")
		require.NoError(t, client.Flush(in(t, time.Second)))
	})
	t.Run("Close waits out an outage that ends before ctx", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDouble("acme")
			up := time.Now().Add(3 * time.Second)
			d.deliver = func(context.Context, *analytics.Batch) error {
				if time.Now().Before(up) {
					return errCause
				}
				return nil
			}
			client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
			for i := range 100 {
				track(t, client, "u", "m"+strconv.Itoa(i))
			}
			require.NoError(t, client.Close(in(t, 30*time.Second)))
			require.EqualValues(t, 100, client.Stats().Destinations["acme"].Delivered)
		})
	})
	for name, deliver := range map[string]func(context.Context, *analytics.Batch) error{
		"hears":   func(ctx context.Context, _ *analytics.Batch) error { <-ctx.Done(); return ctx.Err() },
		"is deaf": func(context.Context, *analytics.Batch) error { time.Sleep(10 * time.Minute); return nil },
	} {
		t.Run("Close returns at ctx if the tool never answers and "+name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble("acme")
				d.deliver = deliver
				d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 10, Timeout: time.Hour}}
				var mu sync.Mutex
				letters := map[analytics.Reason]int{}
				client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, DeadLetters: func(l analytics.DeadLetter) error {
					mu.Lock()
					defer mu.Unlock()
					letters[l.Reason]++
					return nil
				}})
				for i := range 25 {
					track(t, client, "u", "m"+strconv.Itoa(i))
				}
				begun := time.Now()
				err := client.Close(in(t, 2*time.Second))
				require.LessOrEqual(t, time.Since(begun), 2500*time.Millisecond)
				var pending *analytics.PendingError
				require.ErrorAs(t, err, &pending)
				require.Equal(t, 25, pending.Destinations["acme"].Events)
				if kept(t, client, "acme", 25) {
					return
				}
				require.Equal(t, map[analytics.Reason]uint64{analytics.ReasonClosed: 15, analytics.ReasonClosedUnknown: 10}, client.Stats().Destinations["acme"].Dropped)
				mu.Lock()
				defer mu.Unlock()
				require.Equal(t, map[analytics.Reason]int{analytics.ReasonClosed: 15, analytics.ReasonClosedUnknown: 10}, letters, "what is lost can be found")
			})
		})
	}
	t.Run("Close with a ctx that is done returns at once", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDouble("acme")
			client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, FlushInterval: time.Hour})
			track(t, client, "u", "m")
			done, cancel := context.WithCancel(t.Context())
			cancel()
			begun := time.Now()
			require.Error(t, client.Close(done))
			require.LessOrEqual(t, time.Since(begun), 200*time.Millisecond)
			balanced(t, client)
		})
	})
	t.Run("64 goroutines enqueue while another closes", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDouble("acme")
			client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
			var wg sync.WaitGroup
			var mu sync.Mutex
			accepted := 0
			for range 64 {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for {
						err := client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"})
						if errors.Is(err, analytics.ErrClosed) {
							return
						}
						if err == nil {
							mu.Lock()
							accepted++
							mu.Unlock()
						}
						time.Sleep(time.Millisecond)
					}
				}()
			}
			time.Sleep(100 * time.Millisecond)
			require.NoError(t, client.Close(in(t, time.Minute)))
			wg.Wait()
			require.EqualValues(t, accepted, client.Stats().Accepted)
			require.EqualValues(t, accepted, client.Stats().Destinations["acme"].Delivered)
		})
	})
}

func TestScheduleWakesAndSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("nightly")
		d.desc.Every = time.Minute
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, MaxMemory: 256 << 10})
		time.Sleep(time.Second)
		begun := time.Now()
		track(t, client, "u", "m1")
		time.Sleep(30 * time.Second)
		require.Empty(t, d.calls())
		time.Sleep(31 * time.Second)
		require.Len(t, d.calls(), 1)
		require.InDelta(t, 59*time.Second, d.calls()[0].at.Sub(begun), float64(time.Second))

		track(t, client, "u", "m2")
		require.NoError(t, client.Flush(in(t, time.Second)), "a flush wakes it")
		require.Len(t, d.calls(), 2)

		for range 600 {
			require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"pad": make([]int, 200)}}))
			time.Sleep(time.Millisecond)
		}
		require.Greater(t, len(d.calls()), 2, "so does a log that is half full")
		require.NoError(t, client.Close(in(t, time.Second)))
		require.EqualValues(t, 602, client.Stats().Destinations["nightly"].Delivered)
	})
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 1, Rates: []analytics.Rate{{Requests: 2}}}}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 20 {
			track(t, client, "u", "m"+strconv.Itoa(i))
		}
		require.NoError(t, client.Close(in(t, time.Minute)))
		calls := d.calls()
		for i := 2; i < len(calls); i++ {
			require.GreaterOrEqual(t, calls[i].at.Sub(calls[0].at), time.Duration(i-1)*499*time.Millisecond, "two at once, then two a second")
		}
	})
}

func TestConcurrencyIsBoundedAndAdapts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 1, Concurrency: 3}}
		var mu sync.Mutex
		running, most, early := 0, 0, 0
		d.deliver = func(context.Context, *analytics.Batch) error {
			mu.Lock()
			running++
			most = max(most, running)
			if len(d.calls()) <= 1 {
				early = max(early, running)
			}
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 30 {
			track(t, client, "u", "m"+strconv.Itoa(i))
		}
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.Equal(t, 3, most)
		require.Equal(t, 1, early, "it begins with one request")
	})
}

func TestBreakerLetsOneProbePass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 1, Concurrency: 8}}
		var mu sync.Mutex
		running, most := 0, 0
		down := time.Now().Add(30 * time.Minute)
		d.deliver = func(context.Context, *analytics.Batch) error {
			mu.Lock()
			running++
			if time.Now().After(down.Add(-20*time.Minute)) && time.Now().Before(down) {
				most = max(most, running)
			}
			mu.Unlock()
			time.Sleep(100 * time.Millisecond)
			mu.Lock()
			defer mu.Unlock()
			running--
			if time.Now().Before(down) {
				return errCause
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 300 {
			track(t, client, "u", "m"+strconv.Itoa(i))
		}
		time.Sleep(25 * time.Minute)
		mu.Lock()
		require.Equal(t, 1, most, "one probe at a time")
		mu.Unlock()
		time.Sleep(8 * time.Minute)
		require.EqualValues(t, 300, client.Stats().Destinations["acme"].Delivered, "the rest follows the first success at once")
	})
}

func TestGroupsDoNotShareRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			return []analytics.Item{{Group: e.UserID, Body: []byte("1")}}, nil
		}
		d.deliver = func(_ context.Context, b *analytics.Batch) error {
			for _, it := range b.Items {
				if it.Group != b.Items[0].Group {
					return analytics.Permanent(errCause)
				}
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 90 {
			track(t, client, "u"+strconv.Itoa(i%3), "m"+strconv.Itoa(i))
		}
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.EqualValues(t, 90, client.Stats().Destinations["acme"].Delivered)
		require.Len(t, d.calls(), 3)
	})
}

func TestCloseEndsALoopThatIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.translate = func(*analytics.Event) ([]analytics.Item, error) {
			time.Sleep(time.Minute)
			return []analytics.Item{{Body: []byte("1")}}, nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		track(t, client, "u", "m")
		synctest.Wait()
		begun := time.Now()
		err := client.Close(in(t, time.Second))
		require.ErrorContains(t, err, "stuck")
		require.LessOrEqual(t, time.Since(begun), 2*time.Second)
		time.Sleep(time.Hour)
		require.Empty(t, d.calls(), "nothing is delivered after Close")
		balanced(t, client)
		kept(t, client, "acme", 1)
	})
}

func TestUnauthorizedItemIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, seen := newDouble("acme"), &outcomes{}
		d.deliver = func(_ context.Context, b *analytics.Batch) error {
			e := &analytics.BatchError{}
			for i, it := range b.Items {
				if it.ID == "m0" {
					e.Set(i, analytics.Unauthorized(errCause))
				}
			}
			return e.OrNil()
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, OnOutcome: seen.add})
		for i := range 100 {
			track(t, client, "u", "m"+strconv.Itoa(i))
			time.Sleep(6 * time.Second)
		}
		require.Equal(t, 1, seen.withStatus(analytics.Paused))
		require.LessOrEqual(t, len(d.calls()), 11)
	})
}

func TestProbeThatIsThrottledWaitsAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme", analytics.Unauthorized(errCause), analytics.RetryAfter(time.Second, errCause), errCause)
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		track(t, client, "u", "m")
		require.NoError(t, client.Flush(in(t, time.Hour)))
		calls := d.calls()
		require.Len(t, calls, 4)
		for i := 1; i < 4; i++ {
			require.GreaterOrEqual(t, calls[i].at.Sub(calls[i-1].at), time.Minute)
		}
	})
}

func TestAttemptsAreCounted(t *testing.T) {
	t.Run("halves go on counting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			d := newDouble("acme", errCause, errCause, analytics.Split(errCause), errCause, errCause, errCause)
			client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, MaxAttempts: 3})
			track(t, client, "u", "m0")
			track(t, client, "u", "m1")
			require.NoError(t, client.Close(in(t, time.Hour)))
			require.EqualValues(t, 2, client.Stats().Destinations["acme"].Dropped[analytics.ReasonAttempts])
			require.Equal(t, 4, d.count("m0"), "two failures, the split, one failure")
		})
	})
	t.Run("RetryAtMost counts its own answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			most := analytics.RetryAtMost(2, time.Second, errCause)
			d := newDouble("acme", errCause, errCause, errCause, most, errCause, most)
			client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
			track(t, client, "u", "m")
			require.NoError(t, client.Close(in(t, time.Hour)))
			require.EqualValues(t, 1, client.Stats().Destinations["acme"].Delivered)
		})
	})
	t.Run("pauses do not count against an item", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			wait := &analytics.BatchError{Items: map[int]error{0: analytics.RetryAfter(time.Second, errCause)}}
			d := newDouble("acme", wait, wait, wait, wait, &analytics.BatchError{Items: map[int]error{0: errCause}})
			client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, MaxAttempts: 2})
			track(t, client, "u", "m")
			require.NoError(t, client.Close(in(t, time.Hour)))
			require.EqualValues(t, 1, client.Stats().Destinations["acme"].Delivered)
		})
	})
}

func TestSlowAndPanickingListeners(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			if e.MessageID == "m0" {
				return nil, errCause
			}
			return []analytics.Item{{Body: []byte("1")}}, nil
		}
		var mu sync.Mutex
		told := 0
		client := open(t, analytics.Config{
			Destinations: []analytics.Destination{d},
			OnOutcome: func(analytics.Outcome) {
				mu.Lock()
				told++
				mu.Unlock()
				time.Sleep(time.Second)
				panic("listener")
			},
			DeadLetters: func(analytics.DeadLetter) error { panic("letters") },
		})
		for i := range 10_000 {
			track(t, client, "u", "m"+strconv.Itoa(i))
		}
		require.NoError(t, client.Flush(in(t, time.Minute)))
		s := client.Stats()
		require.EqualValues(t, 9_999, s.Destinations["acme"].Delivered)
		require.EqualValues(t, 1, s.LettersLost)
		mu.Lock()
		n := told
		mu.Unlock()
		require.Positive(t, s.OutcomesLost)
		require.LessOrEqual(t, s.OutcomesLost+uint64(n), uint64(10_000), "what is lost is counted")
		begun := time.Now()
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.LessOrEqual(t, time.Since(begun), time.Minute+time.Second, "Close does not wait for a listener without end")
	})
}
