package trackingapi_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/sources/trackingapi"
)

// wait demands Retry-After and X-RateLimit-Reset, in seconds.
func wait(t testing.TB, r reply) time.Duration {
	t.Helper()
	n, err := strconv.Atoi(r.header.Get("Retry-After"))
	require.NoError(t, err)
	require.Positive(t, n)
	return time.Duration(n) * time.Second
}

func (f *fixture) tooMany(r reply) time.Duration {
	f.t.Helper()
	f.refused(r, http.StatusTooManyRequests, "too_many_requests")
	n, err := strconv.Atoi(r.header.Get("X-RateLimit-Reset"))
	require.NoError(f.t, err)
	require.Positive(f.t, n)
	return wait(f.t, r)
}

func batchOf(ids ...string) string { return route{path: "/v1/batch"}.body("", ids...) }

func numbered(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(prefix, i)
	}
	return ids
}

// fill puts small events into a queue that stands still until it is full, or n.
func (f *fixture) fill(n int) int {
	f.sink.hold()
	for i := range n {
		if f.client.Track(context.Background(), analytics.Track{MessageID: fmt.Sprint("filler-", i), UserID: "u", Event: "E"}) != nil {
			return i
		}
	}
	return n
}

func small(_ *trackingapi.Config, cfg *analytics.Config) { cfg.MaxMemory = 256 << 10 }

// TestAFullQueueLosesNothing: what was accepted before the queue was full is not accepted
// twice when the whole batch comes again.
func TestAFullQueueLosesNothing(t *testing.T) {
	all := newFixture(t, small).fill(1 << 20)
	ids := numbered("m-", 20)
	partial := 0
	for _, room := range []int{0, 1, 2, 5, 10, 15} {
		f := newFixture(t, small)
		f.fill(all - room)
		f.tooMany(f.post("/v1/batch", batchOf(ids...)))
		before := f.client.Stats().Accepted
		f.tooMany(f.post("/v1/batch", batchOf(ids...)))
		require.Equal(t, before, f.client.Stats().Accepted)
		if before > uint64(all-room) {
			partial++
		}
		f.sink.release()
		got := f.ids()
		f.accepted(f.post("/v1/batch", batchOf(ids...)))
		f.accepted(f.post("/v1/batch", batchOf(ids...)))
		got = append(got, f.ids()...)
		count := map[string]int{}
		for _, id := range got {
			count[id]++
		}
		for _, id := range ids {
			require.Equal(t, 1, count[id], "%s with room for %d", id, room)
		}
	}
	require.Positive(t, partial, "no queue had room for a part")
}

func TestAClosedHandler(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.h.Close(t.Context()))
	require.NoError(t, f.h.Close(t.Context()), "twice is not wrong")
	for _, path := range []string{"/v1/track", "/v1/batch"} {
		answer := f.post(path, route{path, "track", `"event":"E"`}.body("", "m-1"))
		require.Equal(t, http.StatusServiceUnavailable, answer.status)
		requireJSON(t, answer)
		wait(t, answer)
	}
	require.Empty(t, f.ids())
}

func TestAClosedClient(t *testing.T) {
	f := newFixture(t)
	require.NoError(t, f.client.Close(t.Context()))
	answer := f.post("/v1/batch", batchOf("m-1"))
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	requireJSON(t, answer)
	wait(t, answer)
}

func TestRateOfAKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t)
		post := func(key string, n int) reply {
			return f.do(call{http.MethodPost, "/v1/track", basic(key + ":"), strings.NewReader(route{"", "track", `"event":"E"`}.body("", fmt.Sprint(key, n)))})
		}
		time.Sleep(time.Hour)
		taken := 0
		for n := range 100 {
			answer := post(limitedKey, n)
			if answer.status == http.StatusOK {
				taken++
				continue
			}
			require.LessOrEqual(t, f.tooMany(answer), 2*time.Second)
		}
		require.GreaterOrEqual(t, taken, 2)
		require.LessOrEqual(t, taken, 4)
		f.accepted(post(fixtureKey, 1)) // of another source
		time.Sleep(f.tooMany(post(limitedKey, 100)))
		f.accepted(post(limitedKey, 100))
		require.Len(t, f.ids(), taken+2)
	})
}

func TestLimitsOfSize(t *testing.T) {
	f := newFixture(t)
	pad := func(n int) string { return `,"pad":"` + strings.Repeat("x", n) + `"` }
	track := route{"/v1/track", "track", `"event":"E"`}
	f.accepted(f.post("/v1/track", track.body(pad(30<<10), "fits")))
	require.Equal(t, []string{"fits"}, f.ids())
	f.refused(f.post("/v1/track", track.body(pad(64<<10), "large")), http.StatusBadRequest, "bad_request")

	f.accepted(f.post("/v1/batch", batchOf(numbered("all-", 2_500)...)))
	require.Len(t, f.ids(), 2_500)

	var messages []string
	for i := range 1_000 { // 950 KB
		messages = append(messages, fmt.Sprintf(`{"type":"track","event":"E","userId":"u-1","messageId":"big-%d"%s}`, i, pad(870)))
	}
	body := `{"batch":[` + strings.Join(messages, ",") + `]}`
	require.Greater(t, len(body), 900_000)
	f.accepted(f.post("/v1/batch", body))
	require.Len(t, f.ids(), 1_000)

	own := newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) {
		cfg.Limits = trackingapi.Limits{BodyBytes: 2_000, Messages: 5, MessageBytes: 500}
	})
	own.accepted(own.post("/v1/batch", batchOf(numbered("own-", 5)...)))
	require.Len(t, own.ids(), 5)
	own.refused(own.post("/v1/batch", route{path: "/v1/batch"}.body(pad(2_000), "x")), http.StatusBadRequest, "bad_request")
	own.accepted(own.post("/v1/batch", `{"batch":[{"type":"track","event":"E","userId":"u-1"`+pad(500)+`},{"type":"track","event":"E","userId":"u-1","messageId":"ok"}]}`))
	require.Equal(t, []string{"ok"}, own.ids())
	require.Equal(t, []string{"bad_request"}, own.codes())
}

// TestTooManyMessages: none of them gets in, and the answer is that of the real API.
func TestTooManyMessages(t *testing.T) {
	f := newFixture(t)
	f.accepted(f.post("/v1/batch", batchOf(numbered("m-", 2_501)...)))
	require.Empty(t, f.ids())
	require.Equal(t, []string{"bad_request"}, f.codes())
	f.accepted(f.post("/v1/batch", batchOf("m-1"))) // nothing of it was taken for accepted
	require.Equal(t, []string{"m-1"}, f.ids())
	f.refused(newFixture(t, strict).post("/v1/batch", batchOf(numbered("m-", 2_501)...)), http.StatusBadRequest, "bad_request")
}

func TestStats(t *testing.T) {
	f := newFixture(t)
	body := `{"batch":[{"type":"track","event":"E","userId":"u-1","messageId":"a"},{"type":"track","event":"E","userId":"u-1","messageId":"a"},{"type":"track","userId":"u-1"},7]}`
	f.accepted(f.post("/v1/batch", body))
	f.post("/v1/batch", "x")
	f.post("/v1/nothing", "x")
	f.do(call{http.MethodPost, "/v1/track", nil, strings.NewReader(`{}`)})
	s := f.h.Stats()
	require.Equal(t, map[int]uint64{200: 1, 400: 1, 401: 1, 404: 1}, s.Requests)
	require.Equal(t, uint64(1), s.Events)
	require.Equal(t, uint64(1), s.Duplicates)
	require.Equal(t, map[trackingapi.Code]uint64{"event_not_defined": 1, "bad_request": 1}, s.Discards)
	require.Equal(t, uint64(len(body)+len("x")+len("{}")), s.Bytes)
	var counted uint64
	for _, n := range s.Latency {
		counted += n
	}
	require.Equal(t, uint64(4), counted)
	s.Requests[200] = 9
	require.Equal(t, uint64(1), f.h.Stats().Requests[200], "a copy")
}

// TestAPanicOfOthers: a KeyStore that panics does not keep the handler from closing.
func TestAPanicOfOthers(t *testing.T) {
	f := newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) { cfg.Keys = panicking{} })
	require.Panics(t, func() { f.post("/v1/track", `{"event":"E"}`) })
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	require.NoError(t, f.h.Close(ctx))
}

type panicking struct{}

func (panicking) Source(context.Context, string) (*trackingapi.Source, error) { panic("a bug") }

// TestKeyStoresMayKeepTheKey: a cache of keys outlives the body that a key came in.
func TestKeyStoresMayKeepTheKey(t *testing.T) {
	store := &remembering{}
	f := newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) { cfg.Keys = store })
	store.client = f.client
	for i := range 50 {
		f.do(call{http.MethodPost, "/v1/track", nil, strings.NewReader(fmt.Sprintf(`{"writeKey":"key-%04d","event":"E","userId":"u-1"}`, i))})
	}
	for i, key := range store.keys {
		require.Equal(t, fmt.Sprintf("key-%04d", i), key)
	}
}

// remembering keeps every key that it was asked for.
type remembering struct {
	client *analytics.Client
	keys   []string
}

func (r *remembering) Source(_ context.Context, key string) (*trackingapi.Source, error) {
	r.keys = append(r.keys, key)
	return &trackingapi.Source{Name: "all", Client: r.client}, nil
}

func TestSourcesThatAreOff(t *testing.T) {
	f := newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) { cfg.Keys = failing{trackingapi.ErrDisabled} })
	f.accepted(f.post("/v1/track", `{"event":"E","userId":"u-1"}`)) // as at Segment
	require.Equal(t, []string{"source_disabled"}, f.codes())
	require.Empty(t, f.ids())

	f = newFixture(t, func(cfg *trackingapi.Config, _ *analytics.Config) {
		cfg.Keys = failing{errors.New("the database of " + fixtureKey + " is down")}
	})
	answer := f.post("/v1/track", `{"event":"E","userId":"u-1"}`)
	require.Equal(t, http.StatusServiceUnavailable, answer.status)
	wait(t, answer)
	require.NotContains(t, answer.body, fixtureKey)
}

type failing struct{ err error }

func (f failing) Source(context.Context, string) (*trackingapi.Source, error) { return nil, f.err }

func TestConfigIsChecked(t *testing.T) {
	_, err := trackingapi.New(trackingapi.Config{Limits: trackingapi.Limits{MessageBytes: -1, BodyBytes: -1, Messages: -1, ReadTimeout: -1}})
	require.Error(t, err)
	for _, field := range []string{"Keys", "MessageBytes", "BodyBytes", "Messages", "ReadTimeout"} {
		require.ErrorContains(t, err, field)
	}
}

// allocated is what f allocates, the least of three times.
func allocated(f func()) (least uint64) {
	for i := range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; i == 0 || n < least {
			least = n
		}
	}
	return least
}

// TestMemoryIsBounded: what is sent may be small and cost much.
func TestMemoryIsBounded(t *testing.T) {
	const most = 16 << 20
	f := newFixture(t)
	blanks := strings.Repeat(" ", 64<<20)
	packed := http.Header{"Content-Encoding": {"gzip"}}
	for name, c := range map[string]struct {
		body   string
		header http.Header
		status int
	}{
		"a bomb of blanks":          {zip(blanks + batchOf("m-1")), packed, http.StatusBadRequest},
		"a bomb in a text":          {zip(`{"batch":[{"type":"track","event":"` + blanks + `"}]}`), packed, http.StatusBadRequest},
		"a bomb before its brace":   {zip(`{"batch":[` + blanks + `]}`), packed, http.StatusBadRequest},
		"nothing but open lists":    {strings.Repeat("[", 900_000), nil, http.StatusBadRequest},
		"lists in a batch":          {`{"batch":` + strings.Repeat("[", 900_000), nil, http.StatusBadRequest},
		"10,000 lists as a message": {`{"batch":[` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `]}`, nil, http.StatusOK},
		"many empty messages":       {`{"batch":[` + strings.Repeat("{},", 2_499) + `{}]}`, nil, http.StatusOK},
		"many more empty messages":  {`{"batch":[` + strings.Repeat("{},", 300_000) + `{}]}`, nil, http.StatusOK},
		"10,000 lists as a context": {`{"batch":[],"context":{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}}`, nil, 0},
	} {
		var answer reply
		n := allocated(func() {
			answer = f.do(call{http.MethodPost, "/v1/batch", joined(basic(fixtureKey+":"), c.header), strings.NewReader(c.body)})
		})
		require.Less(t, n, uint64(most), "%s: %d MiB", name, n>>20)
		if c.status != 0 {
			require.Equal(t, c.status, answer.status, name)
		}
		require.Contains(t, []int{http.StatusOK, http.StatusBadRequest}, answer.status, name)
		require.Empty(t, f.ids(), name)
		f.codes()
	}
}
