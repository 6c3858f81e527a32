package analytics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/retry"
)

// lives are clients that live one after the other over one log, in memory and kept, or
// in a spool. The tool that they deliver to outlives them.
type lives struct {
	t      *testing.T
	cfg    Config
	log    *memoryLog // nil: a spool
	client *Client
	tool   *tool

	mu    sync.Mutex
	calls []call
}

// call is one call of Deliver.
type call struct {
	at      time.Time
	lane    string
	attempt int
	ids     []string
}

var errTool = errors.New("the tool fails")

// newLives has a tool that answers what answer says of the nth call, from 0.
func newLives(t *testing.T, cfg Config, answer func(n int, b *Batch) error) *lives {
	l := &lives{t: t, cfg: cfg, tool: &tool{desc: Description{Name: "acme"}}}
	l.tool.deliver = func(_ context.Context, b *Batch) error {
		c := call{at: time.Now(), lane: b.Lane, attempt: b.Attempt}
		for _, it := range b.Items {
			c.ids = append(c.ids, it.ID)
		}
		l.mu.Lock()
		n := len(l.calls)
		l.calls = append(l.calls, c)
		l.mu.Unlock()
		return answer(n, b)
	}
	l.cfg.Destinations, l.cfg.Logger = append(l.cfg.Destinations, l.tool), quiet()
	if cfg.Spool.Dir == "" {
		l.log = newMemoryLog(8<<20, false)
		l.log.kept = true
	}
	t.Cleanup(func() { shutNow(l.client) })
	return l
}

// begin opens the next client.
func (l *lives) begin() {
	l.t.Helper()
	var err error
	if l.log != nil {
		l.log.closed = false
		l.client, err = open(l.cfg.withDefaults(), l.log)
	} else {
		l.client, err = New(l.cfg)
	}
	require.NoError(l.t, err)
}

// restart closes the client, without waiting for anything, and opens the next.
func (l *lives) restart() {
	l.t.Helper()
	l.end()
	l.begin()
}

func (l *lives) end() {
	l.t.Helper()
	synctest.Wait()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := l.client.Close(ctx)
	var pending *PendingError
	require.True(l.t, err == nil || errors.As(err, &pending), "%v", err)
}

func (l *lives) track(ids ...string) {
	l.t.Helper()
	for _, id := range ids {
		require.NoError(l.t, l.client.Track(context.Background(), Track{UserID: "u-" + id, MessageID: id, Event: "E"}))
	}
	if l.log == nil {
		time.Sleep(2 * drainPause) // until they can be read
	}
}

func (l *lives) sent() []call {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.calls)
}

// next waits for the next call, at most a second longer than until it comes.
func (l *lives) next() call {
	l.t.Helper()
	seen := len(l.sent())
	for range 3600 {
		if calls := l.sent(); len(calls) > seen {
			return calls[seen]
		}
		time.Sleep(time.Second)
	}
	require.Fail(l.t, "no call in an hour")
	return call{}
}

func (l *lives) attempts() (list []int) {
	for _, c := range l.sent() {
		list = append(list, c.attempt)
	}
	return list
}

func (l *lives) stats() DestinationStats { return l.client.Stats().Destinations["acme"] }

// look shows the log of the client, as the loop sees it.
func (l *lives) look(f func(*source)) {
	synctest.Wait()
	l.client.loops[0].call(func() { f(l.client.loops[0].sources[0]) })
}

// kept is what is kept at the moment.
func (l *lives) kept() (b []byte) {
	l.look(func(s *source) { b = s.cursor.kept() })
	return b
}

// overLogs runs a test over a log in memory that is kept, and over a spool.
func overLogs(t *testing.T, cfg Config, f func(t *testing.T, cfg Config)) {
	t.Run("memory", func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, cfg) }) })
	t.Run("spool", func(t *testing.T) {
		cfg.Spool = Spool{Dir: t.TempDir(), Sync: Never, settings: smallRing}
		synctest.Test(t, func(t *testing.T) { f(t, cfg) })
	})
}

// smallRing makes opening a spool cheap.
func smallRing(o *logSettings) { o.ringSize = 1 << 20 }

func firstly(n int, err error) func(int, *Batch) error {
	return func(i int, _ *Batch) error {
		if i < n {
			return err
		}
		return nil
	}
}

func TestRestartDoesNotEndAPause(t *testing.T) {
	overLogs(t, Config{FlushAt: 1}, func(t *testing.T, cfg Config) {
		l := newLives(t, cfg, firstly(1, RetryAfter(300*time.Second, errTool)))
		l.begin()
		begun := time.Now()
		l.track("a")
		time.Sleep(10 * time.Second)
		require.Len(t, l.sent(), 1)
		for range 3 {
			l.restart()
			synctest.Wait()
			require.Equal(t, "retry after", l.stats().Waiting)
			l.track("b" + strconv.Itoa(int(time.Since(begun).Seconds())))
			now := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			err := l.client.Flush(ctx)
			cancel()
			var pending *PendingError
			require.ErrorAs(t, err, &pending)
			require.Equal(t, "retry after", pending.Destinations["acme"].Reason)
			require.Zero(t, time.Since(now), "Flush returns at once")
			time.Sleep(10 * time.Second)
		}
		time.Sleep(300*time.Second - time.Since(begun) - time.Millisecond)
		require.Len(t, l.sent(), 1, "the pause is not over")
		time.Sleep(time.Second)
		require.EqualValues(t, 4, l.stats().Delivered)
		require.Equal(t, []string{"a"}, l.sent()[1].ids, "what was sent before shares no batch with what was not")
		require.Equal(t, 1, l.sent()[1].attempt)
		require.Zero(t, l.sent()[2].attempt)
		time.Sleep(2 * time.Second)
		l.track("c")
		require.Empty(t, l.kept(), "all is well again")
	})
}

func TestRestartDoesNotForgetAttempts(t *testing.T) {
	overLogs(t, Config{FlushAt: 1, MaxAttempts: 3}, func(t *testing.T, cfg Config) {
		l := newLives(t, cfg, firstly(100, errTool))
		l.begin()
		l.track("a")
		require.Equal(t, []int{0}, l.attempts())
		l.restart()
		require.Equal(t, []int{0, 1}, l.attempts(), "a batch does not wait for its backoff in a new process")
		l.restart()
		require.Equal(t, []int{0, 1, 2}, l.attempts())
		require.Equal(t, map[Reason]uint64{ReasonAttempts: 1}, l.stats().Dropped)
	})
}

func TestRestartCountsItemsThatWereGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLives(t, Config{FlushAt: 3, MaxAttempts: 3}, func(_ int, b *Batch) error {
			e := &BatchError{}
			for i, it := range b.Items {
				switch it.ID {
				case "a":
					e.Set(i, errTool)
				case "b":
					e.Set(i, RetryAfter(time.Hour, errTool))
				}
			}
			return e.OrNil()
		})
		l.begin()
		begun := time.Now()
		l.track("a", "b", "c")
		synctest.Wait()
		l.restart()
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"a"}, l.sent()[1].ids, "b waits for as long as the tool said")
		l.restart()
		require.Equal(t, []int{0, 1, 2}, l.attempts())
		require.Equal(t, map[Reason]uint64{ReasonAttempts: 1}, l.stats().Dropped)
		time.Sleep(time.Hour - time.Since(begun) - time.Millisecond)
		require.Len(t, l.sent(), 3)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"b"}, l.sent()[3].ids)
		require.Equal(t, 1, l.sent()[3].attempt)
	})
}

func TestRestartDoesNotForgetRetryAtMost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLives(t, Config{FlushAt: 1}, firstly(100, RetryAtMost(2, 0, errTool)))
		l.begin()
		l.track("a")
		l.restart()
		l.restart()
		require.Len(t, l.sent(), 3)
		require.Equal(t, map[Reason]uint64{ReasonAttempts: 1}, l.stats().Dropped)
	})
}

// A Retry-After of a 503 is the least wait for its batch, and for nobody else.
func TestRestartDoesNotShortenTheLeastWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLives(t, Config{FlushAt: 1}, firstly(1, &wordError{word: WordAgain, after: 2 * time.Minute, cause: errTool}))
		l.begin()
		begun := time.Now()
		l.track("a")
		synctest.Wait()
		l.restart()
		l.track("b")
		require.Equal(t, []string{"b"}, l.sent()[1].ids)
		time.Sleep(2*time.Minute - time.Since(begun) - time.Millisecond)
		require.Len(t, l.sent(), 2)
		time.Sleep(time.Second)
		require.Equal(t, []string{"a"}, l.sent()[2].ids)
	})
}

// The endpoint of the cloud mode is told how often a batch was sent, over restarts.
func TestRestartGoesOnWithXRetryCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var counts []string
		cfg := Config{WriteKey: "key", FlushAt: 1, HTTPClient: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			counts = append(counts, r.Header.Get("X-Retry-Count"))
			return &http.Response{StatusCode: 500, Body: io.NopCloser(strings.NewReader(""))}, nil
		})}}
		l := newLives(t, cfg, firstly(0, nil))
		l.begin()
		l.track("a")
		synctest.Wait()
		l.restart()
		time.Sleep(2 * time.Second)
		l.end()
		require.Equal(t, []string{"", "1", "2"}, counts[:3])
	})
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRestartDoesNotCloseTheBreaker(t *testing.T) {
	overLogs(t, Config{FlushAt: 1}, func(t *testing.T, cfg Config) {
		up := time.Now().Add(time.Hour)
		l := newLives(t, cfg, func(int, *Batch) error {
			if time.Now().Before(up) {
				return errTool
			}
			return nil
		})
		l.begin()
		l.track("a")
		time.Sleep(10 * time.Minute) // the pauses are 30 to 60 s by now
		for range 5 {
			last := l.next()
			before := len(l.sent())
			l.restart()
			for i := range 20 {
				l.track(fmt.Sprint("b", before, i))
			}
			synctest.Wait()
			require.Equal(t, "retry", l.stats().Waiting)
			time.Sleep(time.Until(last.at.Add(29 * time.Second)))
			require.Len(t, l.sent(), before, "it is too early for a probe")
			require.Less(t, l.next().at.Sub(last.at), 61*time.Second)
			require.Len(t, l.sent(), before+1, "one probe")
		}
		before := len(l.sent())
		time.Sleep(10 * time.Minute)
		require.InDelta(t, 13, len(l.sent())-before, 8, "probes as before")
		time.Sleep(time.Until(up) + 2*time.Minute)
		require.EqualValues(t, 101, l.stats().Delivered)
		l.restart()
		require.Empty(t, l.kept())
	})
}

// Failures in a row are counted over restarts: a process that is started again and again
// is no reason to ask a broken tool more often.
func TestRestartLoopOpensTheBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLives(t, Config{FlushAt: 1}, firstly(1000, errTool))
		l.begin()
		l.track("a")
		for range 300 {
			time.Sleep(100 * time.Millisecond)
			l.restart()
		}
		require.LessOrEqual(t, len(l.sent()), 12)
		require.EqualValues(t, 1, l.stats().Pending)
	})
}

func TestRestartDoesNotHidePoison(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLives(t, Config{FlushAt: 20}, nil)
		restarts, poisoned := 0, 0
		l.tool.deliver = func(_ context.Context, b *Batch) error {
			if slices.ContainsFunc(b.Items, func(it Item) bool { return it.ID == "poison" }) {
				poisoned++
				return errTool
			}
			return nil
		}
		l.begin()
		for i := 0; l.stats().Dropped[ReasonAttempts] == 0 && i < 400; i++ {
			for j := range 20 {
				if id := fmt.Sprint(i, "-", j); id == "0-13" {
					l.track("poison")
				} else {
					l.track(id)
				}
			}
			time.Sleep(time.Minute)
			require.Zero(t, l.stats().Dropped[ReasonExpired])
			if l.stats().Dropped[ReasonAttempts] == 0 && i%3 == 2 {
				restarts++
				l.restart()
			}
		}
		require.EqualValues(t, 1, l.stats().Dropped[ReasonAttempts])
		require.Equal(t, 1, len(l.stats().Dropped))
		require.Zero(t, l.stats().Pending, "the others of its batch have arrived")
		require.Greater(t, restarts, 3, "no process of these would have found it alone")
		require.Less(t, poisoned, 400)
	})
}

// After a restart the credentials may be others: they are tried at once, by one request.
func TestRestartTriesTheCredentials(t *testing.T) {
	overLogs(t, Config{FlushAt: 1}, func(t *testing.T, cfg Config) {
		rotated := false
		paused := 0
		cfg.OnOutcome = func(o Outcome) {
			if o.Status == Paused {
				paused++
			}
		}
		l := newLives(t, cfg, func(int, *Batch) error {
			time.Sleep(time.Second)
			if rotated {
				return nil
			}
			return Unauthorized(errTool)
		})
		l.tool.desc.Lanes = map[string]Limits{"one": {}, "two": {}}
		l.tool.translate = func(*Event) ([]Item, error) { return []Item{{Lane: "one"}, {Lane: "two"}}, nil }
		l.begin()
		l.track("a")
		time.Sleep(2 * time.Second)
		require.Equal(t, "unauthorized", l.stats().Waiting)
		before := len(l.sent())
		require.Equal(t, 2, before, "one of each lane")
		l.restart()
		require.Len(t, l.sent(), before+1, "one for all lanes, at once")
		require.Equal(t, "unauthorized", l.stats().Waiting)
		time.Sleep(2 * time.Second)
		require.Len(t, l.sent(), before+1)
		require.Equal(t, 2, paused, "reported once in each process")
		time.Sleep(time.Minute)
		require.Len(t, l.sent(), before+2, "then once a minute")
		rotated = true
		l.restart()
		time.Sleep(5 * time.Second)
		require.EqualValues(t, 1, l.stats().Delivered)
		require.Equal(t, 2, paused)
		time.Sleep(time.Second)
		l.restart()
		require.Empty(t, l.stats().Waiting)
		require.Empty(t, l.kept())
	})
}

// What is not read between two restarts has its past all the same.
func TestRestartBeforeEverythingIsRead(t *testing.T) {
	overLogs(t, Config{FlushAt: 1}, func(t *testing.T, cfg Config) {
		l := newLives(t, cfg, func(n int, _ *Batch) error {
			switch {
			case n < 4:
				return errTool
			case n == 4:
				return RetryAfter(time.Hour, errTool)
			}
			return nil
		})
		l.tool.desc.Lanes = map[string]Limits{"": {MaxItems: 1}}
		l.begin()
		l.track("a", "b", "c", "d")
		time.Sleep(2 * time.Second)
		for range 5 { // the lane reads no more than it could send
			l.restart()
			time.Sleep(2 * time.Second)
			require.Len(t, l.sent(), 5)
			l.look(func(s *source) { require.Less(t, len(s.window), 4) })
		}
		time.Sleep(time.Hour)
		require.EqualValues(t, 4, l.stats().Delivered)
		attempts := l.attempts()[5:]
		slices.Sort(attempts)
		require.Equal(t, []int{1, 1, 1, 2}, attempts)
	})
}

// A process is killed while a request hangs: its batch is sent again by the next one,
// under the same ids.
func TestKillInFlight(t *testing.T) {
	dir, next := t.TempDir(), t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		l := newLives(t, Config{FlushAt: 3, Spool: Spool{Dir: dir, Sync: Never, settings: smallRing}}, func(n int, _ *Batch) error {
			switch n {
			case 0, 1:
				return errTool
			case 2:
				<-hang
			}
			return nil
		})
		l.begin()
		l.track("a", "b", "c")
		for len(l.sent()) < 3 {
			time.Sleep(time.Second)
		}
		time.Sleep(2 * time.Second)
		copyDir(t, dir, next)
		killed := l.client
		defer func() {
			close(hang)
			shutNow(killed)
		}()

		l.cfg.Spool.Dir = next
		l.begin()
		time.Sleep(10 * time.Second)
		calls := l.sent()
		require.Len(t, calls, 4)
		require.Equal(t, []string{"a", "b", "c"}, calls[3].ids)
		require.Equal(t, calls[0].ids, calls[3].ids)
		require.Equal(t, 3, calls[3].attempt, "two that failed, and one that never came back")
		require.EqualValues(t, 3, l.stats().Delivered)
	})
}

// copyDir copies what a process would leave if it were killed now.
func copyDir(t *testing.T, from, to string) {
	require.NoError(t, filepath.WalkDir(from, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o700)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, rel), b, 0o600)
	}))
}

// spyLog counts what its cursors keep.
type spyLog struct {
	*memoryLog
	mu    sync.Mutex
	kept  []time.Time
	sizes []int
	fail  bool
}

type spyCursor struct {
	logCursor
	log *spyLog
}

func (l *spyLog) cursor(name string, former []string, wake chan<- struct{}) logCursor {
	return spyCursor{l.memoryLog.cursor(name, former, wake), l}
}

func (c spyCursor) keep(b []byte) error {
	c.log.mu.Lock()
	defer c.log.mu.Unlock()
	c.log.kept, c.log.sizes = append(c.log.kept, time.Now()), append(c.log.sizes, len(b))
	if c.log.fail {
		return errTool
	}
	return c.logCursor.keep(b)
}

func newSpy() *spyLog {
	l := &spyLog{memoryLog: newMemoryLog(32<<20, false)}
	l.memoryLog.kept = true
	return l
}

func TestKeepIsRare(t *testing.T) {
	run := func(t *testing.T, log *spyLog, kept []byte, answer func(n int) error, events int) {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			d := &tool{desc: Description{Name: "acme"}, deliver: func(context.Context, *Batch) error { n++; return answer(n - 1) }}
			_ = log.memoryLog.cursor("acme", nil, make(chan struct{}, 1)).keep(kept)
			c, err := open(Config{Destinations: []Destination{d}, Logger: quiet(), FlushAt: 1}.withDefaults(), log)
			require.NoError(t, err)
			for i := range events {
				require.NoError(t, c.Track(t.Context(), Track{UserID: "u", MessageID: strconv.Itoa(i), Event: "E"}))
				time.Sleep(30 * time.Millisecond)
			}
			synctest.Wait()
			require.EqualValues(t, events, c.Stats().Destinations["acme"].Delivered)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			require.NoError(t, c.Close(ctx))
			for i := 1; i < len(log.kept)-1; i++ { // the last may be that of the end
				require.GreaterOrEqual(t, log.kept[i].Sub(log.kept[i-1]), time.Second)
			}
		})
	}
	healthy := func(int) error { return nil }
	t.Run("nothing is written while all is well", func(t *testing.T) {
		log := newSpy()
		run(t, log, nil, healthy, 200)
		require.Empty(t, log.kept)
	})
	t.Run("what is out of date is replaced once", func(t *testing.T) {
		for _, kept := range []string{"{", `{"v":1,"refused":true}`, `{"v":1,"lanes":{"":{"failures":4}}}`} {
			log := newSpy()
			run(t, log, []byte(kept), healthy, 200)
			require.Equal(t, []int{0}, log.sizes[len(log.sizes)-1:], kept)
			require.LessOrEqual(t, len(log.sizes), 2, kept)
		}
	})
	t.Run("at most once a second", func(t *testing.T) {
		log := newSpy()
		run(t, log, nil, func(n int) error {
			if n%2 == 0 {
				return RetryAfter(time.Millisecond, errTool)
			}
			return nil
		}, 300)
		require.NotEmpty(t, log.kept)
		require.Zero(t, log.sizes[len(log.sizes)-1], "all is well in the end")
	})
	t.Run("a log that cannot keep it is asked again", func(t *testing.T) {
		log := newSpy()
		log.fail = true
		run(t, log, []byte("{"), healthy, 200)
		require.Greater(t, len(log.kept), 1)
	})
	t.Run("a log that ends with the process is not asked", func(t *testing.T) {
		log := newSpy()
		log.memoryLog.kept = false
		run(t, log, []byte("{"), func(n int) error {
			if n == 0 {
				return RetryAfter(time.Second, errTool)
			}
			return nil
		}, 200)
		require.Empty(t, log.kept)
	})
}

func TestKeptStaysSmall(t *testing.T) {
	t.Run("10,000 waiting events", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			log := newSpy()
			var n atomic.Int64
			d := &tool{desc: Description{Name: "acme", Lanes: map[string]Limits{"": {MaxItems: 250, Concurrency: 4}}}}
			d.deliver = func(_ context.Context, b *Batch) error {
				e := &BatchError{}
				for i := range b.Items {
					switch n := n.Add(1); n % 3 { // the window is full of events of which no two neighbours are alike
					case 0:
						e.Set(i, RetryAfter(time.Hour+time.Duration(n)*time.Second, errTool))
					case 1:
						e.Set(i, errTool)
					}
				}
				return e.OrNil()
			}
			cfg := Config{Destinations: []Destination{d}, Logger: quiet()}.withDefaults()
			c, err := open(cfg, log)
			require.NoError(t, err)
			for i := range 12_000 {
				require.NoError(t, c.Track(t.Context(), Track{UserID: strconv.Itoa(i), Event: "E"}))
			}
			time.Sleep(10 * time.Second)
			shutNow(c)
			require.LessOrEqual(t, slices.Max(log.sizes), mostKept)
			require.Greater(t, slices.Max(log.sizes), 10_000)
			log.closed = false
			c, err = open(cfg, log)
			require.NoError(t, err)
			shutNow(c)
			k := c.loops[0].sources[0].kept
			require.Greater(t, len(k.events), mostPasts/2, "they outlive the next process as well")
		})
	})
	t.Run("the largest values", func(t *testing.T) {
		now := time.Now()
		k := keptState{refused: true}
		for i := range 600 {
			seq := uint64(math.MaxInt64) - 10_000 + 2*uint64(i)
			k.events = append(k.events, pastSpan{span{seq, seq + 1}, &past{sent: math.MaxInt - i, tries: math.MaxInt, blamed: math.MaxInt, atMost: math.MaxInt, suspect: true, floor: now.Add(time.Hour)}})
			k.lanes = append(k.lanes, laneState{name: strings.Repeat("<\x00", 100) + strconv.Itoa(i), paused: now.Add(time.Hour)})
		}
		b := k.encode(LogID{}, now)
		require.LessOrEqual(t, len(b), mostKept)
		require.True(t, decodeKept(b, LogID{}, 0, math.MaxUint64, now).refused)
		k.lanes = nil
		b = k.encode(LogID{}, now)
		require.LessOrEqual(t, len(b), mostKept)
		require.NotEmpty(t, decodeKept(b, LogID{}, 0, math.MaxUint64, now).events)
	})
}

// TestKeptIsBounded looks at what is read back.
func TestKeptIsBounded(t *testing.T) {
	now := time.Now()
	id := LogID{1}
	read := func(format string, args ...any) keptState {
		return decodeKept(fmt.Appendf(nil, `{"v":1,"log":"`+id.String()+`",`+format+`}`, args...), id, 10, 100, now)
	}
	lane := func(format string, args ...any) laneState {
		k := read(`"at":`+format[:strings.IndexByte(format, ' ')]+`,"lanes":{"":{`+format[strings.IndexByte(format, ' ')+1:]+`}}`, args...)
		require.Len(t, k.lanes, 1)
		return k.lanes[0]
	}
	ms := func(d time.Duration) int64 { return now.Add(d).UnixMilli() }
	t.Run("pauses", func(t *testing.T) {
		for _, row := range []struct {
			name      string
			at, until int64
			want      time.Duration
		}{
			{"what is left of it", ms(-time.Minute), ms(4 * time.Minute), 4 * time.Minute},
			{"it is over", ms(-time.Minute), ms(-time.Second), 0},
			{"the clock was set back by a day", ms(24 * time.Hour), ms(24*time.Hour + 5*time.Minute), 5 * time.Minute},
			{"the clock was set forward by a day", ms(-24 * time.Hour), ms(-24*time.Hour + 5*time.Minute), 0},
			{"it was over when it was written", ms(time.Hour), ms(time.Minute), 0},
			{"longer than a server can ask for", ms(0), ms(365 * 24 * time.Hour), maxRetryAfter},
			{"without a time of writing", 0, ms(math.MaxInt64), maxRetryAfter},
			{"the end of time", 0, math.MaxInt64, maxRetryAfter},
			{"before all times", math.MinInt64, math.MinInt64, 0},
			{"written at the end of time", math.MaxInt64, math.MaxInt64, 0},
			{"over the whole range", math.MinInt64, math.MaxInt64, maxRetryAfter},
			{"zero", 0, 0, 0},
		} {
			got := lane("%d \"paused\":%d", row.at, row.until).paused
			if row.want == 0 {
				require.True(t, got.IsZero(), "%s: %v", row.name, got)
				continue
			}
			require.InDelta(t, row.want, got.Sub(now), float64(time.Millisecond), row.name)
		}
	})
	t.Run("the probe of a breaker", func(t *testing.T) {
		var b retry.Breaker
		b.Resume(lane("0 \"failures\":7,\"steps\":-3,\"probe\":%d", ms(time.Hour)).breaker, now)
		require.True(t, b.Open())
		require.Equal(t, now.Add(retry.Longest), b.Until())
		b.Resume(lane("0 \"failures\":-7").breaker, now)
		require.False(t, b.Open())
	})
	t.Run("events", func(t *testing.T) {
		big := strconv.FormatInt(math.MaxInt64, 10)
		k := read(`"events":[[0,12,1],[11,1,1],[20,5,-1,-1,-1,-1,0,-1],[22,5,` + big + `,` + big + `,` + big + `,` + big + `,9,0],[-5,3,1],[40,-1,1],[50,0,1],[40,2,1,2,3,4,0,0,99,100],[90,` + big + `,2],[` + big + `,` + big + `,2]]`)
		var got []string
		for _, e := range k.events {
			p := e.past
			require.True(t, p.floor.IsZero())
			got = append(got, fmt.Sprint(e.span, p.sent, p.tries, p.blamed, p.atMost, p.suspect))
		}
		require.Equal(t, []string{
			"{10 12} 1 0 0 0 false", "{20 25} 0 0 0 0 false", "{25 27} 1000000 1000000 9 1000000 true",
			"{40 42} 1 2 3 4 false", "{90 100} 2 0 0 0 false",
		}, got)
	})
	t.Run("events of a log with another id", func(t *testing.T) {
		b := (&keptState{refused: true, events: []pastSpan{{span{10, 20}, &past{sent: 1}}}}).encode(LogID{2}, now)
		k := decodeKept(b, id, 0, 100, now)
		require.True(t, k.refused)
		require.Empty(t, k.events, "its numbers mean other events")
		require.Len(t, decodeKept(b, LogID{2}, 0, 100, now).events, 1)
	})
	t.Run("what is not understood", func(t *testing.T) {
		require.True(t, read(`"refused":true,"later":[{}],"lanes":{"":{"later":1}}`).refused, "unknown fields are ignored")
		for _, b := range []string{
			``, `null`, `[]`, `7`, `{}`, `{"v":1`, `{"v":2,"refused":true}`, `{"v":-1,"refused":true}`, `{"v":"1","refused":true}`,
			`{"v":1,"refused":1}`, `{"v":1,"refused":true,"events":[["1"]]}`, `{"v":1,"refused":true,"lanes":{"":{"failures":1e99}}}`,
			"\x00", strings.Repeat("[", 60_000), `{"v":1,"refused":true,"x":"` + strings.Repeat("x", mostKept) + `"}`,
		} {
			k := decodeKept([]byte(b), id, 0, 100, now)
			require.True(t, k.empty(), "%.60s", b)
		}
	})
}

func TestKeptIsReadAsItWasWritten(t *testing.T) {
	now := time.Now()
	k := keptState{
		refused: true,
		lanes: []laneState{
			{name: "", paused: now.Add(time.Minute), pauses: 3},
			{name: "profiles", breaker: retry.State{Failures: 5, Steps: 2, Until: now.Add(time.Second)}},
		},
		events: []pastSpan{{span{3, 9}, &past{sent: 4, tries: 3, blamed: 2, atMost: 1, suspect: true, floor: now.Add(time.Hour)}}, {span{9, 11}, &past{sent: 1}}},
	}
	again := decodeKept(k.encode(LogID{7}, now), LogID{7}, 0, 100, now)
	slices.SortFunc(again.lanes, func(a, b laneState) int { return strings.Compare(a.name, b.name) })
	rounded := func(got *time.Time, want time.Time) {
		require.False(t, got.Before(want), "never earlier")
		require.LessOrEqual(t, got.Sub(want), time.Millisecond)
		*got = want
	}
	rounded(&again.lanes[0].paused, k.lanes[0].paused)
	rounded(&again.lanes[1].breaker.Until, k.lanes[1].breaker.Until)
	rounded(&again.events[0].past.floor, k.events[0].past.floor)
	require.True(t, k.equal(&again), "%+v", again)
}

// Whatever lies on the disk, a client opens, delivers and closes.
func TestDamagedStateIsIgnored(t *testing.T) {
	overLogs(t, Config{FlushAt: 1}, func(t *testing.T, cfg Config) {
		l := newLives(t, cfg, firstly(1, errTool))
		l.begin()
		l.track("a")
		l.end()
		whole := slices.Clone(l.client.loops[0].sources[0].cursor.kept())
		require.NotEmpty(t, whole)
		for i, b := range [][]byte{nil, whole[:len(whole)/2], bytes.Repeat(whole, 5), bytes.Repeat([]byte("x"), mostKept+1), make([]byte, 100), bytes.ReplaceAll(whole, []byte(`"v":1`), []byte(`"v":9`))} {
			if l.log != nil {
				l.log.places[0].memory = b
			} else {
				require.NoError(t, os.WriteFile(l.client.spool.own.slot.StatePath("acme"), b, 0o600))
			}
			l.begin()
			l.track("b" + strconv.Itoa(i))
			time.Sleep(5 * time.Second)
			require.EqualValues(t, 0, l.stats().Pending)
			require.Empty(t, l.kept())
			l.end()
		}
		for _, c := range l.sent()[1:] {
			require.Zero(t, c.attempt)
		}
	})
}

// What another process has left can make a pause longer, and nothing else.
func TestLeftoversKeepThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		left := func(paused time.Duration) *memoryLog {
			log := newMemoryLog(1<<20, false)
			log.kept = true
			cur := log.cursor("acme", nil, make(chan struct{}, 1))
			put(t, log, Track{UserID: "u", Event: "E", MessageID: "left " + paused.String()}, time.Now())
			k := keptState{
				refused: true,
				lanes:   []laneState{{paused: time.Now().Add(paused), pauses: 7, breaker: retry.State{Failures: 5, Steps: 7, Until: time.Now().Add(time.Minute)}}},
				events:  []pastSpan{{span{0, 1}, &past{sent: 8}}},
			}
			require.NoError(t, cur.keep(k.encode(log.id(), time.Now())))
			return log
		}
		l := newLives(t, Config{FlushAt: 1}, firstly(1, RetryAfter(5*time.Minute, errTool)))
		l.begin()
		begun := time.Now()
		l.track("a")
		synctest.Wait()
		short, long := left(time.Minute), left(10*time.Minute)
		l.client.adopt(short)
		time.Sleep(5*time.Minute - time.Millisecond)
		require.Len(t, l.sent(), 1, "the pause of the loop is not shortened")
		l.client.adopt(long)
		time.Sleep(5 * time.Minute)
		require.Len(t, l.sent(), 1, "the later of two pauses")
		require.Equal(t, "retry after", l.stats().Waiting)
		time.Sleep(time.Second)
		synctest.Wait()
		require.EqualValues(t, 3, l.stats().Delivered, "neither breaker nor credentials are those of another process")
		require.LessOrEqual(t, time.Since(begun), 10*time.Minute+time.Second)
		require.ElementsMatch(t, []int{0, 1, 8, 8}, l.attempts())
		time.Sleep(time.Minute)
		require.True(t, l.client.release(short))
		require.True(t, l.client.release(long))
		require.Empty(t, short.places[0].memory, "a log that is given back says nothing about the tool")
		require.Empty(t, long.places[0].memory)
	})
}

// A past lives on in a batch of its own: others that wait share no request with it.
func TestBatchesOfOnePast(t *testing.T) {
	one, two, bad := &past{tries: 1}, &past{tries: 2}, &past{tries: 7, blamed: 1, suspect: true}
	b := &batcher{limits: Limits{MaxItems: 100, MaxBytes: 1000}}
	src := &source{}
	for _, p := range []*past{one, one, two, nil, nil, one, bad, bad} {
		b.add(&item{event: &entry{source: src}, size: 1, before: p})
	}
	var got []int
	for b.items > 0 {
		q, _ := b.due(time.Now(), true, func(*queue) bool { return true })
		f := &flight{}
		b.cut(q, f, 100)
		f.inherit()
		got = append(got, len(f.items)*10+f.tries)
	}
	require.Equal(t, []int{21, 12, 20, 11, 17, 17}, got, "what is nearly convicted rides alone")
}

func FuzzKept(f *testing.F) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	k := keptState{
		refused: true, lanes: []laneState{{name: "a", paused: now.Add(time.Hour), pauses: 2, breaker: retry.State{Failures: 5, Steps: 1, Until: now.Add(time.Minute)}}},
		events: []pastSpan{{span{3, 9}, &past{sent: 4, tries: 3, blamed: 2, atMost: 1, suspect: true, floor: now.Add(time.Hour)}}},
	}
	f.Add(k.encode(LogID{}, now))
	f.Add([]byte(`{"v":1,"at":-9223372036854775808,"lanes":{"":{"paused":9223372036854775807,"pauses":-1,"failures":99}},"events":[[],[1],[9223372036854775807,9223372036854775807]]}`))
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		const done, end = 2, 1000
		k := decodeKept(b, LogID{}, done, end, now)
		within := func(at time.Time) {
			require.True(t, at.IsZero() || at.After(now) && !at.After(now.Add(maxRetryAfter)), "%v", at)
		}
		for _, ln := range k.lanes {
			within(ln.paused)
			var breaker retry.Breaker
			breaker.Resume(ln.breaker, now)
			require.False(t, breaker.Until().After(now.Add(retry.Longest)))
			var pauses retry.Backoff
			pauses.Resume(ln.pauses)
			require.LessOrEqual(t, pauses.Next(), retry.Longest)
		}
		at := uint64(done)
		for _, e := range k.events {
			require.True(t, at <= e.from && e.from < e.to && e.to <= end, "%v", e.span)
			at = e.to
			p := e.past
			within(p.floor)
			require.True(t, min(p.sent, p.tries, p.blamed, p.atMost) >= 0 && max(p.sent, p.tries, p.atMost) <= mostCounted && p.blamed < blameLimit)
		}
		require.LessOrEqual(t, len(k.events), mostPasts)
		require.LessOrEqual(t, len(k.encode(LogID{}, now)), mostKept)
	})
}

func TestRestartUnderANewName(t *testing.T) {
	cfg := Config{FlushAt: 1, Spool: Spool{Dir: t.TempDir(), Sync: Never, ID: "x"}}
	synctest.Test(t, func(t *testing.T) {
		l := newLives(t, cfg, firstly(1, RetryAfter(300*time.Second, errTool)))
		l.begin()
		l.track("a")
		time.Sleep(10 * time.Second)
		l.end()
		l.tool.desc.Name, l.tool.desc.Aliases = "apex", []string{"acme"}
		l.begin()
		time.Sleep(280 * time.Second)
		require.Len(t, l.sent(), 1)
		time.Sleep(20 * time.Second)
		require.Equal(t, []int{0, 1}, l.attempts())
	})
}
