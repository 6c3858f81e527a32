package analytics_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics"
)

// A Flush that comes during the round of a scheduled destination is answered with
// PendingError at once when the round ends: nothing begins the next one.
func TestFlushDuringARoundOfASchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("nightly")
		d.desc.Every = time.Hour
		d.deliver = func(context.Context, *analytics.Batch) error { time.Sleep(time.Second); return nil }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		time.Sleep(time.Second)
		track(t, client, "u", "m1")
		go client.Flush(in(t, time.Minute))
		time.Sleep(500 * time.Millisecond) // m1 is on its way
		track(t, client, "u", "m2")
		require.NoError(t, client.Flush(in(t, time.Minute)))
	})
}

func TestCloseDuringARoundDeliversWhatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("nightly")
		d.desc.Every = time.Hour
		d.deliver = func(context.Context, *analytics.Batch) error { time.Sleep(time.Second); return nil }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		time.Sleep(time.Minute)
		track(t, client, "u", "m1")
		time.Sleep(time.Hour - time.Minute + 500*time.Millisecond) // m1 is on its way
		track(t, client, "u", "m2")
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.EqualValues(t, 2, client.Stats().Destinations["nightly"].Delivered)
	})
}

// Five batches that the tool cannot bear open the breaker; from then on only they
// are tried, and nothing else until they are too old.
func TestPoisonDoesNotKeepTheBreakerOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 1}}
		d.deliver = func(_ context.Context, b *analytics.Batch) error {
			if strings.HasPrefix(b.Items[0].ID, "poison") {
				return errCause // 500, for ever
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, FlushAt: 1})
		for i := range 6 {
			track(t, client, "u"+strconv.Itoa(i), "poison"+strconv.Itoa(i))
		}
		for i := range 50 {
			track(t, client, "v"+strconv.Itoa(i), "m"+strconv.Itoa(i))
		}
		time.Sleep(time.Hour)
		require.EqualValues(t, 50, client.Stats().Destinations["acme"].Delivered)
	})
}

// The event of a lane without linger waits for the linger of another lane.
func TestLaneDoesNotWaitForTheLingerOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"slow": {Linger: time.Minute}, "fast": {Linger: -1}}
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			return []analytics.Item{{Lane: e.MessageID, Body: []byte("1")}}, nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		track(t, client, "u", "slow")
		time.Sleep(time.Second)
		track(t, client, "u", "fast")
		time.Sleep(time.Second)
		require.Len(t, d.calls(), 1, "the fast lane has sent")
	})
}

func TestUnauthorizedProbesOnceAMinute(t *testing.T) {
	for name, word := range map[string]func() error{
		"items again": func() error {
			return &analytics.BatchError{Items: map[int]error{0: errCause}}
		},
		"items RetryAfter": func() error {
			return &analytics.BatchError{Items: map[int]error{0: analytics.RetryAfter(time.Second, errCause)}}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := 0
				d := newDouble("acme")
				d.deliver = func(context.Context, *analytics.Batch) error {
					if n++; n == 1 {
						return analytics.Unauthorized(errCause)
					}
					return word()
				}
				client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
				track(t, client, "u", "m")
				time.Sleep(10 * time.Minute)
				require.LessOrEqual(t, len(d.calls()), 12)
			})
		})
	}
}

// What Deliver says about an address with a key must not be seen.
func TestPromiseNoAddressInErrors(t *testing.T) {
	leak := &url.Error{Op: "Post", URL: "https://acme.example/?api_secret=S3CRET", Err: errCause}
	for name, err := range map[string]error{
		"wrapped":         analytics.Permanent(fmt.Errorf("acme: %w", leak)),
		"in a BatchError": &analytics.BatchError{Items: map[int]error{0: analytics.Permanent(&url.Error{Op: "Post", URL: leak.URL, Err: errCause})}},
		"second of two":   analytics.Permanent(errors.Join(&url.Error{Op: "Get", URL: "https://a.example", Err: errCause}, &url.Error{Op: "Post", URL: leak.URL, Err: errCause})),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d, seen := newDouble("acme", err), &outcomes{}
				client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, OnOutcome: seen.add})
				track(t, client, "u", "m")
				require.NoError(t, client.Close(in(t, time.Minute)))
				require.NotContains(t, seen.of("m")[0].Err.Error(), "S3CRET")
			})
		})
	}
}

// The classic mistake `var e *BatchError; return e` ends the process.
func TestErrorsThatPanicEndNothing(t *testing.T) {
	for name, answer := range map[string]error{
		"a nil BatchError":        (*analytics.BatchError)(nil),
		"a nil error of a vendor": (*vendorError)(nil),
		"one inside a word":       analytics.Permanent((*vendorError)(nil)),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDouble("acme", answer)
				client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, DeadLetters: func(analytics.DeadLetter) error { return nil }})
				track(t, client, "u", "m")
				require.NoError(t, client.Close(in(t, time.Hour)))
				balanced(t, client)
			})
		})
	}
}

type vendorError struct{ cause error }

func (e *vendorError) Error() string { return e.cause.Error() }
func (e *vendorError) Unwrap() error { return e.cause }

// A loop that Close has abandoned in foreign code goes on when that returns: it
// delivers after Close, accounts for nothing and never ends.
func TestAbandonedLoopDeliversNothingAfterClose(t *testing.T) {
	d := newDouble("acme")
	d.desc.Lanes = map[string]analytics.Limits{"": {Linger: -1}}
	d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
		time.Sleep(500 * time.Millisecond)
		return []analytics.Item{{Body: []byte("1")}}, nil
	}
	client, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{d}})
	require.NoError(t, err)
	track(t, client, "u", "m")
	time.Sleep(50 * time.Millisecond)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, client.Close(done))
	time.Sleep(time.Second)
	require.Empty(t, d.calls(), "delivered after Close")
	if !analytics.TestSpool {
		require.Zero(t, client.Stats().Destinations["acme"].Pending, "memory mode counts what is left as dropped")
	}
}

// DeadLetters that takes its time keeps the loop from hearing anything else: answers
// of Deliver wait until the whole log has been read.
func TestSlowDeadLettersDoNotHoldUpCommits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"": {Linger: -1}}
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			if e.MessageID == "good" {
				return []analytics.Item{{Body: []byte("1")}}, nil
			}
			return nil, errCause
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, DeadLetters: func(analytics.DeadLetter) error {
			time.Sleep(10 * time.Millisecond)
			return nil
		}})
		track(t, client, "u", "good")
		synctest.Wait()
		for i := range 10_000 {
			track(t, client, "u", "m"+strconv.Itoa(i))
		}
		time.Sleep(time.Second)
		track(t, client, "u", "good")
		time.Sleep(10 * time.Second)
		before := client.Stats()
		time.Sleep(80 * time.Second)
		after := client.Stats()
		require.NoError(t, client.Close(in(t, time.Hour)))
		require.Less(t, after.QueueBytes, before.QueueBytes, "nothing was committed in 80 seconds")
	})
}

func TestAttemptsOfWhatCloseDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d, seen := newDouble("acme"), &outcomes{}
		d.deliver = func(context.Context, *analytics.Batch) error { return errCause }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, OnOutcome: seen.add})
		track(t, client, "u", "m")
		time.Sleep(10 * time.Minute)
		require.Error(t, client.Close(in(t, 0)))
		if analytics.TestSpool {
			require.Empty(t, seen.of("m"), "it stays in the spool")
			return
		}
		require.Equal(t, analytics.ReasonClosed, seen.of("m")[0].Reason)
		require.Equal(t, len(d.calls()), seen.of("m")[0].Attempts)
	})
}

func TestNothingIsInFlightAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.deliver = func(ctx context.Context, _ *analytics.Batch) error { <-ctx.Done(); return ctx.Err() }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		track(t, client, "u", "m")
		require.Error(t, client.Close(in(t, time.Second)))
		require.Zero(t, client.Stats().Destinations["acme"].InFlight, "Deliver has returned")
	})
}

// flaky encodes at its second try.
type flaky struct{ n *int }

func (f flaky) AppendJSON(b []byte) ([]byte, error) {
	if *f.n++; *f.n == 1 {
		return b, errCause
	}
	return append(b, `{}`...), nil
}

func TestErrorThatGoesAwayIsStillAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		err := client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", MessageID: "m", Properties: flaky{new(int)}})
		require.NoError(t, client.Flush(in(t, time.Minute)))
		require.True(t, err != nil || d.count("m") == 1, "nil, but the event went nowhere: %+v", client.Stats().Destinations["acme"])
	})
}

// owner owns its cursor.
type owner struct{ *double }

func (o *owner) Position(context.Context, analytics.LogID) (uint64, bool, error) {
	return 0, false, nil
}

// The notice that a range was filtered is overtaken by the batch behind it.
func TestRangesNeverGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("ledger")
		d.desc.Order = analytics.Total
		d.desc.Lanes = map[string]analytics.Limits{"": {Linger: -1}}
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			if e.UserID == "nobody" {
				return nil, nil
			}
			return []analytics.Item{{Body: []byte("1")}}, nil
		}
		n := 0
		d.deliver = func(_ context.Context, b *analytics.Batch) error {
			if n++; n == 1 {
				return errCause
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{&owner{double: d}}})
		for i := range 1500 {
			track(t, client, "nobody", "f"+strconv.Itoa(i))
		}
		synctest.Wait()
		track(t, client, "u", "m")
		time.Sleep(time.Minute)
		require.NoError(t, client.Close(in(t, time.Minute)))
		var last uint64
		for _, s := range d.calls() {
			require.GreaterOrEqual(t, s.to, last, "ranges go back: %v", d.calls())
			last = s.to
		}
	})
}

// One event that becomes many large items counts in the window as one of them.
func TestWindowCountsAllItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		var held atomic.Int64
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			items := make([]analytics.Item, 50)
			body := make([]byte, 100_000)
			for i := range items {
				items[i].Body = body
				held.Add(int64(len(body)))
			}
			return items, nil
		}
		d.deliver = func(ctx context.Context, _ *analytics.Batch) error { <-ctx.Done(); return ctx.Err() }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 10_000 {
			track(t, client, "u", "m"+strconv.Itoa(i))
			if i == 0 {
				time.Sleep(time.Second) // the first one tells how large they are, also from a spool
			}
			if i%20 == 0 {
				synctest.Wait()
			}
		}
		time.Sleep(time.Minute)
		require.LessOrEqual(t, held.Load()>>20, int64(64), "MiB of items in a window of 8 MiB")
	})
}

// A sibling that fills the log makes a scheduled destination run all the time.
func TestScheduleIsNotWokenByWhatOthersLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, d := newDouble("dead"), newDouble("hourly")
		dead.deliver = func(ctx context.Context, _ *analytics.Batch) error { return errCause }
		d.desc.Every = time.Hour
		client := open(t, analytics.Config{Destinations: []analytics.Destination{dead, d}, MaxMemory: 1 << 20})
		for range 1200 {
			_ = client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", Properties: map[string]any{"pad": strings.Repeat("x", 1000)}})
			time.Sleep(time.Second)
		}
		require.LessOrEqual(t, len(d.calls()), 9, "an hourly destination wakes when half of the log is its own: three times, for three batches of a quarter")
	})
}

// The items of an event do not stay together, and ranges overlap, once its items
// were parked behind a batch under way.
func TestEventOfAPositionerIsNotCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("ledger")
		d.desc.Order = analytics.Total
		d.desc.Lanes = map[string]analytics.Limits{"": {Linger: -1, MaxItems: 3}}
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			return []analytics.Item{{Body: []byte("1")}, {Body: []byte("2")}}, nil
		}
		d.deliver = func(context.Context, *analytics.Batch) error { time.Sleep(time.Second); return nil }
		client := open(t, analytics.Config{Destinations: []analytics.Destination{&owner{double: d}}})
		for i := range 50 {
			track(t, client, "u", "m"+strconv.Itoa(i))
		}
		require.NoError(t, client.Close(in(t, time.Hour)))
		for _, s := range d.calls() {
			require.Len(t, s.ids, 2, "%v", d.calls())
		}
	})
}

// Items that ask for a pause of their own open the breaker of the lane.
func TestRetryAfterOfItemsDoesNotStopTheLane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 1}}
		d.deliver = func(_ context.Context, b *analytics.Batch) error {
			if b.Items[0].ID == "good" {
				return nil
			}
			return &analytics.BatchError{Items: map[int]error{0: analytics.RetryAfter(time.Hour, errCause)}}
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}, FlushAt: 1})
		for i := range 20 {
			track(t, client, "u"+strconv.Itoa(i), "m"+strconv.Itoa(i))
		}
		track(t, client, "v", "good")
		time.Sleep(10 * time.Second)
		require.Equal(t, 1, d.count("good"), "delays that item and its key only")
	})
}

func TestNilContext(t *testing.T) {
	client, err := newClient(t, analytics.Config{Destinations: []analytics.Destination{newDouble("acme")}})
	require.NoError(t, err)
	var none context.Context
	require.NoError(t, client.Track(none, analytics.Track{UserID: "u", Event: "E"}))
	require.NoError(t, client.Flush(none))
	require.NoError(t, client.Close(none))
}

// A batch that is to be tried again never finds enough tokens in its bucket: single
// items of other groups take each as it comes.
func TestRetryDoesNotStarveBehindSmallBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 10, Linger: -1, Rates: []analytics.Rate{{Items: 10}}}}
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			return []analytics.Item{{Group: e.UserID, Body: []byte("1")}}, nil
		}
		n := 0
		d.deliver = func(context.Context, *analytics.Batch) error {
			if n++; n == 1 {
				return errCause
			}
			return nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 10 {
			track(t, client, "first", "first"+strconv.Itoa(i))
		}
		for i := range 6000 {
			time.Sleep(90 * time.Millisecond) // 11 a second
			track(t, client, "u"+strconv.Itoa(i), "m"+strconv.Itoa(i))
		}
		require.Equal(t, 2, d.count("first0"), "nine minutes later")
	})
}

// The bytes that are missing are not what the loop waits for.
func TestFullByBytesDoesNotWaitForLinger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDouble("acme")
		d.desc.Lanes = map[string]analytics.Limits{"": {MaxItems: 100, MaxBytes: 100_000, Linger: time.Hour}}
		d.translate = func(e *analytics.Event) ([]analytics.Item, error) {
			return []analytics.Item{{Body: make([]byte, 20_000)}}, nil
		}
		client := open(t, analytics.Config{Destinations: []analytics.Destination{d}})
		for i := range 10 {
			track(t, client, "u", "m"+strconv.Itoa(i))
			time.Sleep(time.Second)
		}
		require.NotEmpty(t, d.calls(), "200 KB wait, 100 KB are worth a request")
	})
}
