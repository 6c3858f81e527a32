package analytics

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// logOptions ask for a log of units pieces of unit bytes: a unit is the least that
// the log can give back. The suite needs no more of a log than its interface, and
// the hooks that newLog fills in.
type logOptions struct {
	unit, units int
	dropOldest  bool
	kept        bool // it will be reopened
	hooks       *logHooks
}

// logHooks are what the suite cannot do by the interface.
type logHooks struct {
	// reopen ends the process that holds the log and begins the next one, which
	// finds it with its cursors.
	reopen func() eventLog

	// cost is how many bytes of a unit a body of n bytes takes. A log that gives it
	// fills units one after another, each as far as it goes, and the model predicts
	// exactly what it refuses and evicts.
	cost func(n int) int

	// fresh is set by a log that begins a new unit when it is reopened, ranges by one
	// that keeps only so many finished ranges ahead of a cursor; 0 is no limit.
	fresh  bool
	ranges int
}

// TestMemoryLog runs the suite over the log in memory.
func TestMemoryLog(t *testing.T) {
	newLog := func(_ testing.TB, o logOptions) eventLog {
		l := newSlabLog(o.unit, o.units, o.dropOldest)
		l.kept = o.kept
		o.hooks.cost = func(n int) int { return recordHeader + n }
		o.hooks.reopen = func() eventLog {
			l.closed = false
			return l
		}
		return l
	}
	testLog(t, newLog)
	t.Run("a model agrees", func(t *testing.T) {
		n := 2000
		if underRace {
			n = 300
		}
		testLogModel(t, n, newLog)
	})
}

// testLog is what every eventLog has to pass.
func testLog(t *testing.T, newLog func(t testing.TB, opts logOptions) eventLog) {
	run := func(name string, o logOptions, test func(t *testing.T, l *testedLog)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o.hooks = &logHooks{}
			test(t, &testedLog{eventLog: newLog(t, o), t: t, o: o})
		})
	}
	large := logOptions{unit: 64 << 10, units: 16}
	small := logOptions{unit: 1 << 10, units: 8}
	kept := large
	kept.kept = true
	dropping := small
	dropping.dropOldest = true

	run("sequences are dense, and records come back as they were", large, testLogRecords)
	run("read stops at n and at maxBytes", large, testLogReadLimits)
	run("a new cursor begins at the end", large, testLogNewCursor)
	run("finished ranges may lie ahead and out of order", large, testLogFinish)
	run("a log that is reopened is read again where it is not finished", kept, testLogReopen)
	run("finished ranges are kept over several reopenings", kept, testLogReopenTwice)
	run("read never points to what is finished", kept, testLogReadPassesFinished)
	run("cursors go at their own pace", large, testLogPaces)
	run("space is given back when all have finished", small, testLogGivesBack)
	run("usage stays within its limit", small, testLogBounds)
	run("a call is refused only if the leader is at the bound", small, testLogLeaderRefuses)
	run("the destination furthest behind makes room, oldest first", small, testLogLaggard)
	run("what is in a window is never evicted", small, testLogWindowStays)
	run("a window that hangs lets others go on", small, testLogHungWindow)
	run("DropOldest evicts what the leader has not read", dropping, testLogDropOldest)
	run("DropOldest spares what is in a window", dropping, testLogDropOldestWindow)
	run("space is open while there is room", small, testLogSpaceOpen)
	run("space wakes a blocked call when the leader finishes", small, testLogSpaceFinish)
	run("space is open once the leader has caught up", small, testLogSpaceLeaderCaughtUp)
	run("space wakes a blocked call when a seek makes room", small, testLogSpaceSeek)
	run("space wakes on close", small, testLogSpaceClose)
	run("blocked calls and a reader get everything through", small, testLogBlocked)
	run("arm counts unread events", large, testLogArmEvents)
	run("arm counts unread bytes", large, testLogArmBytes)
	run("arm counts the bytes that are unread already", large, testLogArmBytesBefore)
	run("early signals a log that is half full", small, testLogArmEarly)
	run("seek goes forward", kept, testLogSeekForward)
	run("seek goes back to what the log still has", small, testLogSeekBack)
	run("seek beyond the end moves nothing", large, testLogSeekBeyond)
	run("seek counts what is gone at the front", small, testLogSeekGone)
	run("seek counts what is gone in the middle", small, testLogSeekHole)
	run("a closed log can be read and finished", large, testLogClose)
	run("retain keeps memory that was handed out", small, testLogRetain)
	run("bodies stay until their record is finished", small, testLogBodiesStay)
	run("calls and readers may overlap", logOptions{unit: 8 << 10, units: 8}, testLogConcurrent)
	t.Run("ids differ", func(t *testing.T) {
		seen := map[LogID]bool{}
		for range 100 {
			o := large
			o.hooks = &logHooks{}
			id := newLog(t, o).id()
			require.False(t, seen[id])
			seen[id] = true
			require.Len(t, id.String(), 32)
		}
	})
}

// testedLog is a log with what the tests do with it again and again.
type testedLog struct {
	eventLog
	t testing.TB
	o logOptions
}

// body makes the n-th body: any two differ, in length as well.
func testBody(n uint64) []byte {
	b := binary.BigEndian.AppendUint64(nil, n)
	for i := range 20 + n%50 {
		b = append(b, byte(n+i))
	}
	return b
}

// put appends n events and returns the first error.
func (l *testedLog) put(n int) error {
	for range n {
		if err := l.append(int64(l.end()), recordFlags(l.end()%7), testBody(l.end())); err != nil {
			return err
		}
	}
	return nil
}

func (l *testedLog) mustPut(n int) {
	l.t.Helper()
	require.NoError(l.t, l.put(n))
}

// fill appends until the log refuses and returns how many it took.
func (l *testedLog) fill() int {
	l.t.Helper()
	for n := 0; ; n++ {
		if err := l.put(1); err != nil {
			require.Equal(l.t, ErrQueueFull, err)
			return n
		}
		require.Less(l.t, n, 1_000_000, "the log never gets full")
	}
}

func (l *testedLog) open(name string) (logCursor, chan struct{}) {
	wake := make(chan struct{}, 1)
	return l.cursor(name, nil, wake), wake
}

func (l *testedLog) reopen() {
	l.close()
	l.eventLog = l.o.hooks.reopen()
}

// readAll reads until there is no more, in reads of n.
func readAll(t testing.TB, c logCursor, n int) (recs []record) {
	t.Helper()
	for {
		before := len(recs)
		if recs = c.read(recs, n, 1<<30); len(recs) == before {
			return recs
		}
		require.LessOrEqual(t, len(recs)-before, n)
	}
}

func seqs(recs []record) []uint64 {
	list := make([]uint64, len(recs))
	for i, r := range recs {
		list[i] = r.seq
	}
	return list
}

func seqRange(from, to uint64) []uint64 {
	list := []uint64{}
	for ; from < to; from++ {
		list = append(list, from)
	}
	return list
}

func finishAll(c logCursor, recs []record) {
	for _, r := range recs {
		c.finish([]span{{r.seq, r.seq + 1}})
	}
}

func evictedOf(c logCursor) (n uint64) {
	for _, k := range c.state().evicted {
		n += k
	}
	return n
}

func requireRecord(t testing.TB, r record) {
	t.Helper()
	require.Equal(t, testBody(r.seq), r.body, "seq %d", r.seq)
	require.Equal(t, int64(r.seq), r.at)
	require.Equal(t, recordFlags(r.seq%7), r.flags)
}

// isOpen tells whether a channel is closed already.
func isOpen(space <-chan struct{}) bool {
	select {
	case <-space:
		return true
	default:
		return false
	}
}

// signalled waits for a signal that has to come.
func signalled(t testing.TB, wake <-chan struct{}) {
	t.Helper()
	select {
	case <-wake:
	case <-time.After(10 * time.Second):
		require.Fail(t, "no signal")
	}
}

func silent(t testing.TB, wake <-chan struct{}) {
	t.Helper()
	select {
	case <-wake:
		require.Fail(t, "a signal that nobody asked for")
	default:
	}
}

func testLogRecords(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	require.Zero(t, l.end())
	for i := range uint64(1000) {
		require.Equal(t, i, l.end())
		l.mustPut(1)
	}
	body := []byte("the log keeps a copy")
	require.NoError(t, l.append(1<<45, 0xff, body))
	require.NoError(t, l.append(-1, 0, nil))
	copy(body, bytes.Repeat([]byte{0}, len(body)))

	recs := readAll(t, c, 7)
	require.Equal(t, seqRange(0, 1002), seqs(recs))
	for _, r := range recs[:1000] {
		requireRecord(t, r)
	}
	require.Equal(t, record{seq: 1000, at: 1 << 45, flags: 0xff, body: []byte("the log keeps a copy")}, recs[1000])
	require.Equal(t, int64(-1), recs[1001].at)
	require.Empty(t, recs[1001].body)
	require.Empty(t, c.read(nil, 10, 1<<20))

	l.mustPut(3)
	require.Equal(t, seqRange(1002, 1005), seqs(readAll(t, c, 2)), "reading goes on where it stopped")
}

func testLogReadLimits(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	for range 20 {
		require.NoError(t, l.append(0, 0, make([]byte, 100)))
	}
	require.Empty(t, c.read(nil, 0, 1000))
	require.Empty(t, c.read(nil, 10, 0))
	require.Empty(t, c.read(nil, 10, -5))
	require.Len(t, c.read(nil, 3, 1<<20), 3)
	require.Len(t, c.read(nil, 10, 1), 1, "one that goes over the limit is the last")
	require.Len(t, c.read(nil, 10, 100), 1, "bodies that reach the limit are enough")
	require.Len(t, c.read(nil, 10, 101), 2)
	require.Len(t, c.read(nil, 10, 300), 3)
	recs := c.read([]record{{seq: 77}}, 2, 1<<20)
	require.Equal(t, []uint64{77, 10, 11}, seqs(recs), "read appends")
	require.Equal(t, uint64(12), c.state().read)
	require.Len(t, c.read(nil, 100, 1<<20), 8)
}

func testLogNewCursor(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	l.mustPut(10)
	b, _ := l.open("b")
	require.Equal(t, cursorState{done: 10, read: 10, end: 10}, b.state())
	require.Equal(t, cursorState{unread: 10, end: 10}, a.state())
	l.mustPut(5)
	require.Equal(t, seqRange(10, 15), seqs(readAll(t, b, 100)))
	require.Equal(t, seqRange(0, 15), seqs(readAll(t, a, 100)))
}

func testLogFinish(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	l.mustPut(100)
	readAll(t, c, 100)
	at := func(done uint64, why string) {
		t.Helper()
		require.Equal(t, cursorState{done: done, read: 100, end: 100}, c.state(), why)
	}
	c.finish(nil)
	c.finish([]span{})
	at(0, "nothing is finished")
	c.finish([]span{{10, 20}, {30, 40}, {50, 51}})
	at(0, "the front is open")
	c.finish([]span{{0, 5}})
	at(5, "the front is finished up to 5")
	c.finish([]span{{20, 30}})
	at(5, "a gap ahead is closed")
	c.finish([]span{{5, 10}})
	at(40, "all of it joins")
	c.finish([]span{{41, 50}})
	at(40, "40 is open")
	c.finish([]span{{40, 41}})
	at(51, "up to 51")
	for i := uint64(99); i >= 51; i-- {
		c.finish([]span{{i, i + 1}})
	}
	at(100, "from the back")
	l.mustPut(1)
	require.Equal(t, cursorState{done: 100, read: 100, unread: 1, end: 101}, c.state())
}

func testLogReopen(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	b, _ := l.open("b")
	l.mustPut(100)
	id := l.id()
	require.Equal(t, seqRange(0, 60), seqs(a.read(nil, 60, 1<<20)))
	a.finish([]span{{0, 10}, {20, 30}, {59, 60}})
	require.Len(t, b.read(nil, 100, 1<<20), 100)

	l.reopen()
	require.Equal(t, id, l.id())
	require.Equal(t, uint64(100), l.end())
	a, _ = l.open("a")
	require.Equal(t, cursorState{done: 10, read: 10, unread: 100 - 21, end: 100}, a.state(),
		"what was read and not finished is unread again")
	l.mustPut(10)
	want := slices.Concat(seqRange(10, 20), seqRange(30, 59), seqRange(60, 110))
	recs := readAll(t, a, 7)
	require.Equal(t, want, seqs(recs))
	for _, r := range recs {
		requireRecord(t, r)
	}
	b, _ = l.open("b")
	c, wake := l.open("c")
	require.Equal(t, uint64(110), c.state().done)
	require.Equal(t, seqRange(0, 110), seqs(readAll(t, b, 200)))

	a.finish([]span{{10, 20}, {30, 59}, {60, 110}})
	require.Equal(t, uint64(110), a.state().done)
	c.arm(1, 1, false)
	l.mustPut(1)
	signalled(t, wake)
}

func testLogReopenTwice(t *testing.T, l *testedLog) {
	rng := rand.New(rand.NewPCG(1, 2))
	open := map[uint64]bool{}
	c, _ := l.open("a")
	for round := range 20 {
		from := l.end()
		l.mustPut(40)
		for i := from; i < l.end(); i++ {
			open[i] = true
		}
		recs := readAll(t, c, 10)
		want := []uint64{}
		for i := range open {
			want = append(want, i)
		}
		slices.Sort(want)
		require.Equal(t, want, seqs(recs), "round %d", round)
		for _, r := range recs {
			requireRecord(t, r)
			if rng.IntN(3) > 0 {
				c.finish([]span{{r.seq, r.seq + 1}})
				delete(open, r.seq)
			}
		}
		l.reopen()
		c, _ = l.open("a")
		require.Equal(t, uint64(len(open)), c.state().unread)
	}
}

// The reader of a reopened log finishes what stood before a range that was finished
// in the process before. read is then behind that range, or the log takes the
// destination for further back than it is.
func testLogReadPassesFinished(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	l.mustPut(20)
	readAll(t, c, 20)
	c.finish([]span{{5, 20}})
	l.reopen()
	c, _ = l.open("a")
	require.Len(t, c.read(nil, 5, 1<<20), 5)
	require.Equal(t, cursorState{read: 20, end: 20}, c.state())
	c.finish([]span{{0, 5}})
	require.Equal(t, cursorState{done: 20, read: 20, end: 20}, c.state())
}

func testLogPaces(t *testing.T, l *testedLog) {
	var cursors []logCursor
	for i := range 5 {
		c, _ := l.open(fmt.Sprint(i))
		cursors = append(cursors, c)
	}
	got := make([]uint64, len(cursors))
	for range 50 {
		l.mustPut(4)
		for i, c := range cursors {
			recs := c.read(nil, i+1, 1<<20)
			for _, r := range recs {
				require.Equal(t, got[i], r.seq)
				requireRecord(t, r)
				got[i]++
			}
			finishAll(c, recs)
			require.Equal(t, cursorState{done: got[i], read: got[i], unread: l.end() - got[i], end: l.end()}, c.state())
		}
	}
	for i, c := range cursors {
		require.Len(t, readAll(t, c, 1000), int(l.end()-got[i]))
	}
}

func testLogGivesBack(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	b, _ := l.open("b")
	for used, limit := l.usage(); 2*used < limit; used, _ = l.usage() {
		l.mustPut(1)
	}
	half, _ := l.usage()
	finishAll(a, readAll(t, a, 10))
	used, _ := l.usage()
	require.Equal(t, half, used, "b has not read any of it")
	recs := readAll(t, b, 10)
	used, _ = l.usage()
	require.Equal(t, half, used, "b has not finished any of it")
	finishAll(b, recs[1:])
	used, _ = l.usage()
	require.Equal(t, half, used, "the first is in the window of b")
	finishAll(b, recs[:1])
	used, _ = l.usage()
	require.LessOrEqual(t, used, int64(l.o.unit), "all have finished all")
	require.Zero(t, evictedOf(a)+evictedOf(b))
}

func testLogBounds(t *testing.T, l *testedLog) {
	lead, _ := l.open("lead")
	slow, _ := l.open("slow")
	_, limit := l.usage()
	require.Equal(t, int64(l.o.unit*l.o.units), limit)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		err := l.append(0, 0, make([]byte, rng.IntN(l.o.unit/2)))
		used, now := l.usage()
		require.LessOrEqual(t, used, limit)
		require.Equal(t, limit, now)
		if err != nil {
			require.Equal(t, ErrQueueFull, err)
			finishAll(lead, readAll(t, lead, 10))
		}
		if rng.IntN(10) == 0 {
			finishAll(slow, slow.read(nil, 2, 1<<20))
		}
	}
}

func testLogLeaderRefuses(t *testing.T, l *testedLog) {
	lead, _ := l.open("lead")
	dead, _ := l.open("dead")
	n := l.fill()
	require.GreaterOrEqual(t, n, (l.o.units-2)*l.o.unit/120, "most of the space is used before a call is refused")
	before, state := l.end(), lead.state()
	for range 3 {
		require.Equal(t, ErrQueueFull, l.append(0, 0, testBody(0)))
	}
	require.Equal(t, before, l.end(), "a call that is refused changes nothing")
	require.Equal(t, state, lead.state())
	require.Zero(t, evictedOf(dead), "nobody has to give way to a full log")

	for range 20 * n {
		finishAll(lead, readAll(t, lead, 100))
		l.mustPut(1) // the leader is ahead: whoever is behind makes room
	}
	require.Zero(t, evictedOf(lead))
}

func testLogLaggard(t *testing.T, l *testedLog) {
	lead, _ := l.open("lead")
	mid, _ := l.open("mid")
	last, _ := l.open("last")
	var midRead uint64
	for i := range uint64(2000) {
		l.mustPut(1)
		finishAll(lead, readAll(t, lead, 100))
		if i%4 == 0 && mid.state().unread > 10 {
			recs := mid.read(nil, 3, 1<<20)
			midRead += uint64(len(recs))
			finishAll(mid, recs)
		}
		m, n := mid.state(), last.state()
		require.LessOrEqual(t, n.read, m.read, "the last is evicted before the one in the middle")
		for _, s := range []cursorState{m, n} {
			require.Equal(t, s.read, s.done, "what is evicted is finished, from the front")
			require.Equal(t, s.evicted[ReasonLagged]+s.unread, s.end-map[bool]uint64{true: midRead}[s == m])
		}
	}
	require.Zero(t, evictedOf(lead))
	n := last.state()
	require.Positive(t, n.evicted[ReasonLagged])
	require.Equal(t, n.evicted[ReasonLagged], evictedOf(last), "lagged is the only reason")
	require.Equal(t, seqRange(n.read, l.end()), seqs(readAll(t, last, 100)), "the newest are left")
	require.Equal(t, l.end(), n.unread+n.evicted[ReasonLagged])
}

func testLogWindowStays(t *testing.T, l *testedLog) {
	lead, _ := l.open("lead")
	slow, _ := l.open("slow")
	l.mustPut(30)
	window := slow.read(nil, 7, 1<<20)
	require.Len(t, window, 7)
	for range 3000 {
		finishAll(lead, readAll(t, lead, 100))
		l.mustPut(1)
		for _, r := range window {
			requireRecord(t, r)
		}
	}
	s := slow.state()
	require.Zero(t, s.done)
	require.Equal(t, s.end, 7+s.unread+s.evicted[ReasonLagged])
	slow.finish([]span{{0, 7}})
	require.Equal(t, s.evicted, slow.state().evicted, "what is finished was not evicted")
	rest := readAll(t, slow, 100)
	require.Len(t, rest, int(s.unread))
	for _, r := range rest {
		requireRecord(t, r)
	}
	finishAll(slow, rest)
	require.Equal(t, l.end(), slow.state().done)
}

func testLogHungWindow(t *testing.T, l *testedLog) {
	lead, _ := l.open("lead")
	hung, _ := l.open("hung")
	other, _ := l.open("other")
	l.mustPut(2)
	window := hung.read(nil, 1, 1<<20)
	for range 5000 {
		finishAll(lead, readAll(t, lead, 100))
		finishAll(other, readAll(t, other, 100))
		l.mustPut(1)
		used, limit := l.usage()
		require.LessOrEqual(t, used, limit)
	}
	requireRecord(t, window[0])
	require.Zero(t, evictedOf(lead)+evictedOf(other))
	s := hung.state()
	require.Equal(t, s.end, 1+s.unread+s.evicted[ReasonLagged])
	finishAll(hung, window)
	rest := readAll(t, hung, 100)
	require.Len(t, rest, int(s.unread))
	require.True(t, slices.IsSorted(seqs(rest)))
	require.Equal(t, l.end()-1, rest[len(rest)-1].seq, "the newest are left")
}

func testLogDropOldest(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	b, _ := l.open("b")
	l.mustPut(5)
	finishAll(a, readAll(t, a, 100))
	l.mustPut(3000)
	for name, c := range map[string]logCursor{"a": a, "b": b} {
		s := c.state()
		require.Positive(t, s.evicted[ReasonOverflow], name)
		require.Equal(t, s.end, s.unread+evictedOf(c)+map[string]uint64{"a": 5}[name], name)
		require.Equal(t, s.read, s.done, name)
		recs := readAll(t, c, 100)
		require.Equal(t, seqRange(s.read, l.end()), seqs(recs), name)
		for _, r := range recs {
			requireRecord(t, r)
		}
	}
	require.Equal(t, evictedOf(a), a.state().evicted[ReasonOverflow])
}

func testLogDropOldestWindow(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	l.mustPut(20)
	window := c.read(nil, 5, 1<<20)
	l.mustPut(3000)
	for _, r := range window {
		requireRecord(t, r)
	}
	s := c.state()
	require.Zero(t, s.done)
	require.Equal(t, s.end, 5+s.unread+s.evicted[ReasonOverflow])

	window = append(window, readAll(t, c, 100)...)
	for i := 0; ; i++ {
		if err := l.put(1); err != nil {
			require.Equal(t, ErrQueueFull, err, "all is in a window: there is nothing to drop")
			break
		}
		require.Less(t, i, 1000)
	}
	for _, r := range window {
		requireRecord(t, r)
	}
	finishAll(c, window)
	l.mustPut(1)
}

func testLogSpaceOpen(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	require.True(t, isOpen(l.space()))
	l.mustPut(3)
	require.True(t, isOpen(l.space()))
	l.fill()
	require.False(t, isOpen(l.space()))
	recs := readAll(t, c, 100)
	require.False(t, isOpen(l.space()), "what is read is not finished")
	finishAll(c, recs)
	require.True(t, isOpen(l.space()))
	l.mustPut(1)
}

func testLogSpaceFinish(t *testing.T, l *testedLog) {
	lead, _ := l.open("lead")
	l.open("dead")
	l.fill()
	space := l.space()
	require.False(t, isOpen(space))
	finishAll(lead, readAll(t, lead, 100))
	signalled(t, space)
	l.mustPut(1)
}

// The leader catches up between the call that was refused and its question for
// space. Nothing will ever be finished again, for the other destination is dead,
// and a call that waits would wait for ever:
//
//	call     append: full
//	leader   finish, nobody waits
//	call     space: not yet
func testLogSpaceLeaderCaughtUp(t *testing.T, l *testedLog) {
	lead, _ := l.open("lead")
	l.open("dead")
	l.fill()
	finishAll(lead, readAll(t, lead, 100))
	require.True(t, isOpen(l.space()), "a call would be accepted")
	l.mustPut(1)
}

func testLogSpaceSeek(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	l.fill()
	space := l.space()
	require.False(t, isOpen(space))
	_, ok := c.seek(l.end())
	require.True(t, ok)
	require.True(t, isOpen(space), "a destination that owns its cursor has finished all")
	l.mustPut(1)
}

func testLogSpaceClose(t *testing.T, l *testedLog) {
	l.open("a")
	l.fill()
	space := l.space()
	require.False(t, isOpen(space))
	l.close()
	signalled(t, space)
	require.Equal(t, ErrClosed, l.put(1))
	require.True(t, isOpen(l.space()))
}

func testLogBlocked(t *testing.T, l *testedLog) {
	c, wake := l.open("a")
	const callers, each = 8, 300
	var wg sync.WaitGroup
	for range callers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range each {
				for l.append(0, 0, make([]byte, 60)) != nil {
					<-l.space()
				}
			}
		}()
	}
	next := uint64(0)
	for next < callers*each {
		recs := c.read(nil, 50, 1<<20)
		for _, r := range recs {
			require.Equal(t, next, r.seq)
			next++
		}
		finishAll(c, recs)
		if len(recs) == 0 {
			c.arm(1, 1, false)
			if next < callers*each {
				signalled(t, wake)
			}
		}
	}
	wg.Wait()
}

func testLogArmEvents(t *testing.T, l *testedLog) {
	c, wake := l.open("a")
	l.mustPut(10)
	silent(t, wake) // nobody asked
	readAll(t, c, 100)
	c.arm(3, 1<<20, false)
	l.mustPut(2)
	silent(t, wake)
	l.mustPut(1)
	signalled(t, wake)
	l.mustPut(10)
	silent(t, wake) // one signal for one arm

	c.arm(5, 1<<20, false)
	signalled(t, wake) // 11 are unread already
	readAll(t, c, 100)
	c.arm(5, 1<<20, false)
	c.arm(0, 0, false)
	l.mustPut(10)
	silent(t, wake) // disarmed

	c.arm(100, 1<<20, false)
	c.arm(12, 1<<20, false)
	l.mustPut(2)
	signalled(t, wake) // the last arm counts

	b, other := l.open("b")
	b.arm(2, 1<<20, false)
	readAll(t, c, 100)
	c.arm(3, 1<<20, false)
	l.mustPut(2)
	signalled(t, other)
	silent(t, wake)
	l.mustPut(1)
	signalled(t, wake)

	wake <- struct{}{} // full: the log does not wait for its reader
	c.arm(1, 1, false)
	l.mustPut(1)
}

func testLogArmBytes(t *testing.T, l *testedLog) {
	c, wake := l.open("a")
	c.arm(1000, 5000, false)
	for range 4 {
		require.NoError(t, l.append(0, 0, make([]byte, 1000)))
	}
	silent(t, wake)
	require.NoError(t, l.append(0, 0, make([]byte, 1000)))
	signalled(t, wake)
	require.NoError(t, l.append(0, 0, make([]byte, 10_000)))
	silent(t, wake)
}

// Events that come between the last read and arm are unread as well.
func testLogArmBytesBefore(t *testing.T, l *testedLog) {
	c, wake := l.open("a")
	for range 6 {
		require.NoError(t, l.append(0, 0, make([]byte, 1000)))
	}
	c.arm(1000, 5000, false)
	signalled(t, wake) // 6,000 bytes are unread
}

func testLogArmEarly(t *testing.T, l *testedLog) {
	c, wake := l.open("a")
	c.arm(0, 0, true)
	for used, limit := l.usage(); used < limit/3; used, _ = l.usage() {
		l.mustPut(1)
	}
	silent(t, wake)
	for used, limit := l.usage(); used < limit*2/3; used, _ = l.usage() {
		l.mustPut(1)
	}
	signalled(t, wake)
	c.arm(0, 0, true)
	signalled(t, wake) // it is half full already
	finishAll(c, readAll(t, c, 100))
	c.arm(0, 0, true)
	silent(t, wake) // nothing is unread
	c.arm(0, 0, false)
	finishAll(c, readAll(t, c, 100))
	l.fill()
	silent(t, wake)
}

func testLogSeekForward(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	l.mustPut(50)
	gone, ok := c.seek(30)
	require.True(t, ok)
	require.Zero(t, gone)
	require.Equal(t, cursorState{done: 30, read: 30, unread: 20, end: 50}, c.state())
	gone, ok = c.seek(30)
	require.True(t, ok)
	require.Zero(t, gone)
	require.Equal(t, seqRange(30, 50), seqs(readAll(t, c, 7)))
	c.finish([]span{{30, 35}})
	l.reopen()
	c, _ = l.open("a")
	require.Equal(t, cursorState{done: 35, read: 35, unread: 15, end: 50}, c.state())
	_, ok = c.seek(50)
	require.True(t, ok)
	require.Equal(t, cursorState{done: 50, read: 50, end: 50}, c.state())
	l.mustPut(1)
	require.Equal(t, []uint64{50}, seqs(readAll(t, c, 7)))
}

func testLogSeekBack(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	l.open("keeps")
	l.mustPut(40)
	finishAll(a, readAll(t, a, 100))
	require.Equal(t, uint64(40), a.state().done)
	gone, ok := a.seek(12)
	require.True(t, ok)
	require.Zero(t, gone)
	require.Equal(t, cursorState{done: 12, read: 12, unread: 28, end: 40}, a.state())
	recs := readAll(t, a, 5)
	require.Equal(t, seqRange(12, 40), seqs(recs))
	for _, r := range recs {
		requireRecord(t, r)
	}
	finishAll(a, recs)
	require.Equal(t, cursorState{done: 40, read: 40, end: 40}, a.state())

	gone, ok = a.seek(0)
	require.True(t, ok)
	require.Zero(t, gone)
	require.Len(t, readAll(t, a, 100), 40)
}

func testLogSeekBeyond(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	l.mustPut(10)
	finishAll(c, c.read(nil, 4, 1<<20))
	before := c.state()
	gone, ok := c.seek(11)
	require.False(t, ok)
	require.Zero(t, gone)
	require.Equal(t, before, c.state())
	_, ok = c.seek(10)
	require.True(t, ok)
}

func testLogSeekGone(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	for range 500 {
		l.mustPut(1)
		finishAll(a, readAll(t, a, 100))
	}
	gone, ok := a.seek(3)
	require.True(t, ok)
	require.Positive(t, gone)
	s := a.state()
	require.Equal(t, 3+gone, s.done)
	require.Equal(t, s.done, s.read)
	require.Equal(t, l.end()-3, gone+s.unread)
	require.Zero(t, evictedOf(a), "who seeks is told by the result")
	require.Equal(t, seqRange(3+gone, l.end()), seqs(readAll(t, a, 100)))
	require.Zero(t, evictedOf(a))
}

// The window of another destination holds the oldest records, and what came behind
// them is gone: a destination that goes back to the front is told of all that is
// gone.
func testLogSeekHole(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	hung, _ := l.open("hung")
	for range 500 {
		l.mustPut(1)
		finishAll(a, readAll(t, a, 100))
		if l.end() == 1 {
			readAll(t, hung, 1)
		}
	}
	gone, ok := a.seek(0)
	require.True(t, ok)
	s := a.state()
	recs := readAll(t, a, 100)
	require.Less(t, len(recs), 500, "there is a hole")
	require.Zero(t, recs[0].seq)
	require.Equal(t, uint64(500), uint64(len(recs))+gone+evictedOf(a), "nothing is lost silently")
	require.Equal(t, uint64(500-len(recs)), gone, "gone is how many the log no longer has")
	require.Equal(t, uint64(len(recs)), s.unread, "unread is what is still to read")
}

func testLogClose(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	l.mustPut(10)
	l.close()
	l.close()
	require.Equal(t, ErrClosed, l.put(1))
	require.Equal(t, uint64(10), l.end())
	recs := readAll(t, a, 3)
	require.Equal(t, seqRange(0, 10), seqs(recs))
	finishAll(a, recs)
	require.Equal(t, cursorState{done: 10, read: 10, end: 10}, a.state())
	b, _ := l.open("b")
	require.Equal(t, uint64(10), b.state().done)
}

func testLogRetain(t *testing.T, l *testedLog) {
	c, _ := l.open("a")
	l.mustPut(10)
	recs := readAll(t, c, 100)
	finishAll(c, recs)
	l.mustPut(30)
	recs = append(recs, readAll(t, c, 100)...)
	finishAll(c, recs)
	recs = slices.DeleteFunc(recs, func(r record) bool { return !bytes.Equal(r.body, testBody(r.seq)) }) // reused before
	require.NotEmpty(t, recs)
	l.retain()
	for range 3000 {
		l.mustPut(1)
		more := c.read(nil, 10, 1<<20)
		finishAll(c, more)
		if len(recs) < 500 {
			recs = append(recs, more...)
		}
	}
	for _, r := range recs {
		requireRecord(t, r)
	}
	used, limit := l.usage()
	require.LessOrEqual(t, used, limit)
}

func testLogBodiesStay(t *testing.T, l *testedLog) {
	a, _ := l.open("a")
	b, _ := l.open("b")
	rng := rand.New(rand.NewPCG(3, 4))
	windows := map[logCursor][]record{a: nil, b: nil}
	for range 5000 {
		if err := l.put(1); err != nil {
			require.Equal(t, ErrQueueFull, err)
		}
		for c, window := range windows {
			window = c.read(window, rng.IntN(3), 1<<20)
			for len(window) > 0 && (len(window) > 30 || rng.IntN(3) == 0) {
				i := rng.IntN(len(window))
				requireRecord(t, window[i])
				c.finish([]span{{window[i].seq, window[i].seq + 1}})
				window = slices.Delete(window, i, i+1)
			}
			windows[c] = window
		}
	}
	for _, window := range windows {
		for _, r := range window {
			requireRecord(t, r)
		}
	}
}

func testLogConcurrent(t *testing.T, l *testedLog) {
	const callers, each = 64, 200
	var accepted atomic.Uint64
	var calls, readers sync.WaitGroup
	stop := make(chan struct{})
	for i, name := range []string{"fast", "slow", "backwards"} {
		c, wake := l.open(name)
		readers.Add(1)
		go func() {
			defer readers.Done()
			count, last, done := uint64(0), int64(-1), false
			for {
				recs := c.read(nil, 1+i*7, 4<<10)
				if i == 2 {
					slices.Reverse(recs)
				}
				for _, r := range recs {
					if i < 2 && int64(r.seq) <= last || !bytes.Equal(r.body, testBody(uint64(r.at))) {
						t.Errorf("%s: seq %d behind %d, body of %d", name, r.seq, last, r.at)
					}
					last = int64(r.seq)
					c.finish([]span{{r.seq, r.seq + 1}})
				}
				count += uint64(len(recs))
				if len(recs) > 0 {
					continue
				}
				if done {
					break
				}
				c.arm(1, 1, false)
				select {
				case <-wake:
				case <-stop:
					done = true
				}
			}
			if s := c.state(); s.end != count+evictedOf(c) || s.done != s.end || s.unread != 0 {
				t.Errorf("%s: read %d, %+v", name, count, s)
			}
		}()
	}
	for i := range callers {
		calls.Add(1)
		go func() {
			defer calls.Done()
			for j := range each {
				n := uint64(i*each + j)
				err := l.append(int64(n), 0, testBody(n))
				for errors.Is(err, ErrQueueFull) {
					<-l.space()
					err = l.append(int64(n), 0, testBody(n))
				}
				if err != nil {
					t.Error(err)
				}
				accepted.Add(1)
				l.usage()
			}
		}()
	}
	calls.Wait()
	close(stop)
	readers.Wait()
	require.Equal(t, uint64(callers*each), l.end())
	require.Equal(t, l.end(), accepted.Load())
}

// The log of a client takes every event that a message may be, within the bound
// that was asked for.
func TestMemoryLogSizes(t *testing.T) {
	for _, limit := range []int{leastMemory, leastMemory + 1, 300_000, 1 << 20, 10 << 20, defaultMemory, 100_000_001} {
		l := newMemoryLog(limit, false)
		l.cursor("a", nil, make(chan struct{}, 1))
		used, bound := l.usage()
		require.Zero(t, used)
		require.LessOrEqual(t, bound, int64(limit))
		require.GreaterOrEqual(t, bound, int64(limit)*2/3, "limit %d", limit)
		body, n := make([]byte, maxEventBytes), 0
		for l.append(0, 0, body) == nil {
			n++
		}
		used, _ = l.usage()
		require.LessOrEqual(t, used, bound)
		require.GreaterOrEqual(t, n, 4)
	}
}

// Promise 5 with the least memory that a configuration may have: a destination
// that is dead takes nothing from another that is idle.
func TestDeadDestinationDoesNotFillASmallLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		arrived := 0
		client, err := New(Config{
			MaxMemory: leastMemory, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Destinations: []Destination{
				DestinationFunc("healthy", func(_ context.Context, events []*Event) error { arrived += len(events); return nil }),
				&fixed{Description{Name: "dead"}},
			},
		})
		require.NoError(t, err)
		const n = 5000
		refused := 0
		for i := range n {
			err := client.Track(t.Context(), Track{UserID: "u", Event: "E", Properties: Properties{"pad": strings.Repeat("x", 300)}})
			if errors.Is(err, ErrQueueFull) {
				refused++
			} else {
				require.NoError(t, err)
			}
			if i%150 == 149 {
				time.Sleep(10 * time.Second) // everything that can be delivered is
			}
		}
		s := client.Stats()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_ = client.Close(ctx)
		require.Zero(t, refused, "healthy had %d of %d bytes waiting, and %d events pending", s.QueueBytes, s.QueueLimit, s.Destinations["healthy"].Pending)
		require.Equal(t, n, arrived)
	})
}

// fixed is a destination that never succeeds.
type fixed struct{ desc Description }

func (f *fixed) Describe() Description { return f.desc }

func (f *fixed) Translate(e *Event) ([]Item, error) { return []Item{{Body: []byte(e.MessageID)}}, nil }

func (f *fixed) Deliver(context.Context, *Batch) error { return errors.New("dead") }

func BenchmarkLogAppend(b *testing.B) {
	body := make([]byte, 500)
	for _, callers := range []int{1, 8, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", callers), func(b *testing.B) {
			l := newMemoryLog(defaultMemory, true)
			l.cursor("a", nil, make(chan struct{}, 1))
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			b.ResetTimer()
			for range callers {
				wg.Add(1)
				go func() {
					defer wg.Done()
					for left.Add(-1) >= 0 {
						if err := l.append(0, 0, body); err != nil {
							b.Error(err)
						}
					}
				}()
			}
			wg.Wait()
		})
	}
}

// BenchmarkLogRead is append, read and finish of one event, with so many ranges
// finished ahead of one that hangs.
func BenchmarkLogRead(b *testing.B) {
	for _, ranges := range []int{0, 100, 4000} {
		b.Run(fmt.Sprintf("ahead=%d", ranges), func(b *testing.B) {
			l := newMemoryLog(defaultMemory, false)
			c := l.cursor("a", nil, make(chan struct{}, 1))
			body := make([]byte, 500)
			for range 2*ranges + 1 {
				_ = l.append(0, 0, body)
			}
			recs := c.read(nil, 2*ranges, 1<<30)
			for i := range ranges {
				c.finish([]span{{uint64(2*i + 1), uint64(2*i + 2)}})
			}
			b.ReportAllocs()
			for b.Loop() {
				for range 64 {
					if err := l.append(0, 0, body); err != nil {
						b.Fatal(err)
					}
				}
				for {
					recs = c.read(recs[:0], 64, 1<<20)
					if len(recs) == 0 {
						break
					}
					c.finish([]span{{recs[0].seq, recs[len(recs)-1].seq + 1}})
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/64, "ns/event")
		})
	}
}

// An event is counted once at each destination: what had to make room before the
// destination told its position is not accepted, and dropped, once more.
func TestSeekCountsEvictedEventsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answer := make(chan struct{})
		slow := &positioned{fixed: fixed{Description{Name: "slow", Order: Total}}, answer: answer}
		cfg := Config{
			Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
			Destinations: []Destination{
				DestinationFunc("healthy", func(context.Context, []*Event) error { return nil }), slow,
			},
		}.withDefaults()
		client, err := open(cfg, newSlabLog(2000, 4, false))
		require.NoError(t, err)
		for range 200 {
			require.NoError(t, client.Track(t.Context(), Track{UserID: "u", Event: "E"}))
			time.Sleep(6 * time.Second)
		}
		s := client.Stats().Destinations["slow"]
		require.Positive(t, s.Dropped[ReasonLagged])
		close(answer)
		synctest.Wait()
		s = client.Stats().Destinations["slow"]
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = client.Close(ctx)
		require.Equal(t, uint64(200), s.Accepted, "200 events were accepted: %+v", s)
		require.Equal(t, s.Accepted, s.Delivered+s.Pending+Sum(s.Dropped)+Sum(s.Filtered))
	})
}

// positioned owns its cursor and takes its time to tell where it stands: at the
// beginning.
type positioned struct {
	fixed
	answer chan struct{}
}

func (p *positioned) Position(ctx context.Context, _ LogID) (uint64, bool, error) {
	select {
	case <-p.answer:
		return 0, true, nil
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
}
