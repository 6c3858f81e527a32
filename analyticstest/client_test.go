package analyticstest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
)

var sold = analytics.Track{UserID: "u1", Event: "Order Completed"}

// other is the test of somebody else: it fails without failing ours.
type other struct {
	testing.TB
	ctx      context.Context
	output   strings.Builder
	cleanups []func()
	failures []string
}

func (o *other) Helper()                  {}
func (o *other) Context() context.Context { return o.ctx }
func (o *other) Output() io.Writer        { return &o.output }
func (o *other) Cleanup(f func())         { o.cleanups = append(o.cleanups, f) }
func (o *other) Errorf(format string, args ...any) {
	o.failures = append(o.failures, fmt.Sprintf(format, args...))
}

func (o *other) Fatalf(format string, args ...any) {
	o.Errorf(format, args...)
	runtime.Goexit()
}

// tested runs f as somebody else's test, to the end of its cleanups.
func tested(ctx context.Context, f func(testing.TB)) *other {
	ctx, cancel := context.WithCancel(ctx)
	o := &other{ctx: ctx}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(o)
	}()
	<-done
	cancel()
	for i := len(o.cleanups); i > 0; i-- {
		o.cleanups[i-1]()
	}
	return o
}

func TestNewClientSendsToItsServer(t *testing.T) {
	client, srv := analyticstest.NewClient(t)
	require.NoError(t, client.Track(t.Context(), sold))
	analyticstest.Flush(t, client)
	require.Equal(t, "Order Completed", srv.Decoded()[0]["event"])
	require.Empty(t, srv.Violations())
}

func TestNewClientRetriesInSynctest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, srv := analyticstest.NewClient(t)
		srv.Script(analyticstest.Statuses(503, 503)...)
		require.NoError(t, client.Track(t.Context(), sold))
		synctest.Wait()
		require.Equal(t, 1, srv.Requests())
		time.Sleep(time.Minute)
		require.Equal(t, 3, srv.Requests())
		require.Equal(t, 1, srv.Accepted())
	})
}

func TestWhatIsLeftIsDeliveredWhenTheTestEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var server *analyticstest.Server
		o := tested(t.Context(), func(t testing.TB) {
			client, srv := analyticstest.NewClient(t)
			server = srv
			srv.Script(analyticstest.Statuses(503, 503)...)
			_ = client.Track(t.Context(), sold)
		})
		require.Empty(t, o.failures)
		require.Equal(t, 1, server.Accepted())
	})
}

func TestSetupChangesTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := analyticstest.NewRecorder()
		client, srv := analyticstest.NewClient(t, func(s *analyticstest.Setup) {
			s.FlushInterval = time.Second
			s.Destinations = append(s.Destinations, rec)
		})
		require.NoError(t, client.Track(t.Context(), sold))
		synctest.Wait()
		require.Zero(t, srv.Requests())
		require.Equal(t, 1, rec.Len())
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, 1, srv.Requests())
	})
}

// Each row is a test that loses something, the end of what it is told, and whether
// MayLose makes it pass.
func TestLossFailsTheTest(t *testing.T) {
	for name, c := range map[string]struct {
		test func(testing.TB, *analytics.Client, *analyticstest.Server)
		want string
	}{
		"an event that the endpoint refuses": {
			func(t testing.TB, client *analytics.Client, srv *analyticstest.Server) {
				srv.Script(analyticstest.Reply{Status: 404})
				_ = client.Track(t.Context(), sold)
			},
			"Segment.io lost 1 events: rejected",
		},
		"an endpoint that stays down": {
			func(t testing.TB, client *analytics.Client, srv *analyticstest.Server) {
				srv.Script(analyticstest.Reply{Status: 503, Times: -1})
				_ = client.Track(t.Context(), sold)
			},
			"Segment.io lost 1 events: closed\n\tanalytics: events without an outcome: Segment.io 1 (retry)",
		},
		"a client that was closed too early": {
			func(t testing.TB, client *analytics.Client, srv *analyticstest.Server) {
				srv.Script(analyticstest.Reply{Status: 503, Times: -1})
				_ = client.Track(t.Context(), sold)
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_ = client.Close(ctx)
			},
			"Segment.io lost 1 events: closed\n\tanalytics: events without an outcome: Segment.io 1 (retry)",
		},
		"a source that is disabled": {
			func(t testing.TB, client *analytics.Client, srv *analyticstest.Server) {
				srv.SetRules(analyticstest.Rules{RejectAll: "source_disabled"})
				_ = client.Track(t.Context(), sold)
			},
			"the server rejected 1 events behind a 200: source_disabled",
		},
		"a full queue": {
			func(t testing.TB, client *analytics.Client, srv *analyticstest.Server) {
				srv.Script(analyticstest.Reply{Delay: time.Second})
				big := analytics.Properties{"text": strings.Repeat("x", 30_000)}
				for range 20 {
					_ = client.Track(t.Context(), analytics.Track{UserID: "u1", Event: "E", Properties: big})
				}
			},
			"calls failed with a full queue",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for _, may := range []bool{false, true} {
					o := tested(t.Context(), func(t testing.TB) {
						client, srv := analyticstest.NewClient(t, func(s *analyticstest.Setup) {
							s.MaxMemory = 256 << 10
							s.MayLose = may
						})
						c.test(t, client, srv)
					})
					if may {
						require.Empty(t, o.failures)
						continue
					}
					require.Len(t, o.failures, 1)
					require.Contains(t, o.failures[0], c.want)
				}
			})
		})
	}
}

func TestCloseWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		o := tested(t.Context(), func(t testing.TB) {
			client, srv := analyticstest.NewClient(t, func(s *analyticstest.Setup) { s.CloseWithin = time.Minute })
			srv.Script(analyticstest.Reply{Hang: true, Times: -1})
			_ = client.Track(t.Context(), sold)
		})
		require.Len(t, o.failures, 1)
		require.Contains(t, o.failures[0], "closed_unknown")
		require.InDelta(t, time.Minute, time.Since(start), float64(time.Second))
	})
}

func TestFlushFailsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		after := false
		o := tested(t.Context(), func(t testing.TB) {
			client, srv := analyticstest.NewClient(t, func(s *analyticstest.Setup) { s.MayLose = true })
			srv.Script(analyticstest.Reply{Status: 503, Times: -1})
			_ = client.Track(t.Context(), sold)
			analyticstest.Flush(t, client)
			after = true
		})
		require.Equal(t, []string{"analyticstest: flush: analytics: events without an outcome: Segment.io 1 (retry)"}, o.failures)
		require.False(t, after, "the test goes on")
	})
}

func TestABadConfigurationFailsTheTest(t *testing.T) {
	o := tested(t.Context(), func(t testing.TB) {
		analyticstest.Record(t, func(s *analyticstest.Setup) { s.FlushAt = -1 })
	})
	require.Equal(t, []string{"analyticstest: analytics: FlushAt: is -1, want at least 1"}, o.failures)
}

func TestTheClientLogsToTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := tested(t.Context(), func(t testing.TB) {
			client, srv := analyticstest.NewClient(t, func(s *analyticstest.Setup) { s.MayLose = true })
			srv.Script(analyticstest.Reply{Status: 401, Times: -1})
			_ = client.Track(t.Context(), sold)
			synctest.Wait()
		})
		require.Contains(t, o.output.String(), "destination is paused")
	})
}

func TestRecord(t *testing.T) {
	client, rec := analyticstest.Record(t)
	ctx := t.Context()
	require.NoError(t, client.Identify(ctx, analytics.Identify{UserID: "u1", Traits: analytics.Traits{"plan": "pro"}}))
	require.NoError(t, client.Track(ctx, analytics.Track{UserID: "u1", Event: "Home", Integrations: analytics.Integrations{"All": false}}))
	require.NoError(t, client.Page(ctx, analytics.Page{UserID: "u1", Name: "Home"}))
	require.NoError(t, client.Screen(ctx, analytics.Screen{UserID: "u1", Name: "Main"}))
	require.NoError(t, client.Group(ctx, analytics.Group{UserID: "u1", GroupID: "Home"}))
	require.NoError(t, client.Alias(ctx, analytics.Alias{UserID: "u1", PreviousID: "Home"}))
	require.NoError(t, client.Enqueue(ctx, analytics.Object{Collection: "rooms", ID: "Home", Properties: analytics.Properties{"beds": 2}}))
	analyticstest.Flush(t, client)

	require.Equal(t, 7, rec.Len())
	require.Equal(t, "track page", types(rec.Named("Home")))
	require.Equal(t, "screen", types(rec.Named("Main")))
	require.Equal(t, "object", types(rec.Named("rooms")))
	require.Empty(t, rec.Named(""))
	require.Equal(t, "group", types(rec.Calls(analytics.CallGroup)))
	require.Equal(t, "identify track page screen group alias object", types(rec.Events()))
	require.Equal(t, "pro", rec.Events()[0].Traits["plan"])

	rec.Events()[0].Traits["plan"] = "changed"
	require.Equal(t, "pro", rec.Events()[0].Traits["plan"], "events are copies")

	rec.Reset()
	require.Zero(t, rec.Len())
	require.Empty(t, rec.Events())
}

func types(events []*analytics.Event) string {
	var all []string
	for _, e := range events {
		all = append(all, string(e.Type))
	}
	return strings.Join(all, " ")
}

func TestRecorderKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, rec := analyticstest.Record(t)
		rec.Fail(errors.New("down"), nil, analytics.RetryAfter(time.Minute, errors.New("busy")))
		const n = 2_500
		for i := range n {
			require.NoError(t, client.Track(t.Context(), analytics.Track{MessageID: fmt.Sprint(i), UserID: "u", Event: "E"}))
		}
		require.NoError(t, rec.Wait(t.Context(), n))
		for i, e := range rec.Events() {
			require.Equal(t, fmt.Sprint(i), e.MessageID)
		}
	})
}

func TestRecorderFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, rec := analyticstest.Record(t, func(s *analyticstest.Setup) { s.MayLose = true })
		rec.Fail(analytics.Permanent(errors.New("no")))
		require.NoError(t, client.Track(t.Context(), sold))
		synctest.Wait()
		require.Zero(t, rec.Len())
		require.EqualValues(t, 1, client.Stats().Destinations[analyticstest.RecorderName].Dropped[analytics.ReasonRejected])

		rec.Fail(&analytics.BatchError{Items: map[int]error{0: errors.New("later")}})
		require.NoError(t, client.Track(t.Context(), sold))
		synctest.Wait()
		require.Zero(t, rec.Len())
		require.NoError(t, rec.Wait(t.Context(), 1))

		rec.Fail(errors.New("forgotten by Reset"))
		rec.Reset()
		require.NoError(t, client.Track(t.Context(), sold))
		synctest.Wait()
		require.Equal(t, 1, rec.Len())
	})
}

func TestRecorderAnswersForSomeOfABatch(t *testing.T) {
	rec := analyticstest.NewRecorder()
	var batch analytics.Batch
	for _, id := range []string{"a", "b", "c"} {
		items, err := rec.Translate(&analytics.Event{Type: analytics.CallTrack, MessageID: id, UserID: "u", Event: "E"})
		require.NoError(t, err)
		batch.Items = append(batch.Items, items...)
	}
	rec.Fail(&analytics.BatchError{Items: map[int]error{1: errors.New("later")}})
	require.Error(t, rec.Deliver(t.Context(), &batch))
	require.Equal(t, 2, rec.Len())
	require.Equal(t, "c", rec.Events()[1].MessageID)
}

func TestRecorderWaitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, rec := analyticstest.Record(t)
		require.NoError(t, client.Track(t.Context(), sold))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := rec.Wait(ctx, 2)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "1 of 2 events arrived: context deadline exceeded")
	})
}
