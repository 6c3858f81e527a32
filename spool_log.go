package analytics

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

// diskLog is the log on disk. A call stores its event in the ring; a goroutine of the
// log, or a reader that is in a hurry, drains the ring into the files of the segments;
// readers read from there. Only where the files cannot be written do they read from
// the ring itself.
//
// mu of the backlog is held for moments and never while a file is touched. drains is
// held while the ring is drained, or a file is removed.
type diskLog struct {
	backlog
	slot  *wal.Slot
	opts  logSettings
	log   *slog.Logger
	ring  atomic.Pointer[wal.Ring] // nil: none can be made, or the log takes no events
	calls sync.Mutex               // of calls that write the ring by system calls

	files  sync.Mutex // held while the files of cursors are written
	sealed bool       // they are closed

	drains sync.Mutex
	recent wal.Recent

	// under mu:
	rings      int    // how often there was another ring
	at         uint64 // position in the ring of the first record that is not drained
	drained    uint64 // its sequence number, or one before it
	held       bool   // the ring is not given back: what an earlier process left is in it
	idle       bool   // the ring is empty: the next event wakes the drainer
	urged      bool   // the drainer was told to hurry
	starved    bool   // a call was refused for the ring was full
	unsaved    bool   // who the slot is, or the names in it, may not survive a loss of power
	nameless   bool   // without what could not be saved, the next process does not find the ring
	risked     bool   // a sync failed
	cursorless bool   // a destination has no file yet: what is accepted now would not be for it after a crash
	stopped    bool   // shut: nothing is read or written any more
	fault      error  // of the last drain
	complained map[string]bool
	heapBytes  int64 // of segments in memory
	garbage    []*segment
	stale      []string // files of segments in which there is nothing
	round      *syncRound
	counts     spoolCounts

	kick chan struct{} // there is something to drain, in a moment
	urge chan struct{} // at once
	stop chan struct{}
	gone chan struct{}
}

// logSettings are what a diskLog is to do.
type logSettings struct {
	mode      SyncMode
	interval  time.Duration
	minFree   int64
	fallback  int64 // bytes in memory while the disk refuses writes
	ringSize  int
	ringDir   string
	unit      int64
	limit     int64
	oldest    bool
	adopted   bool // left by another process: it takes no events
	writeCall bool // the ring is written by system calls
}

// diskSegment is what a segment has on disk. Events below drained are in the file, or
// in heap where there is no file yet; the others are in the ring.
type diskSegment struct {
	drained  uint64
	bytes    int64 // of the log, up to drained
	file     *wal.Segment
	end      int64 // of the file
	heap     []wal.Record
	unsynced bool
	unnamed  bool // the name of the file may not survive a loss of power
	ended    bool // nothing is to be written to the file any more
	atRisk   bool // a sync failed
	removed  bool
}

// spoolCounts are figures for Stats.
type spoolCounts struct {
	quarantined uint64 // places that were damaged
	recovered   uint64 // events found in the ring
}

type syncRound struct {
	done chan struct{}
	err  error // of this round
	risk error // of rounds before it, which what was accepted earlier depends on
}

const diskHeader = 40 // what an event counts for beside its body: no less than it needs in ring or file

func diskCost(n int) int { return (n + diskHeader + 7) &^ 7 }

func (l *diskLog) durable() bool { return true }
func (l *diskLog) retain()       {}

func (l *diskLog) append(at int64, flags recordFlags, body []byte) error {
	ring := l.ring.Load()
	if ring == nil {
		return l.noRing()
	}
	if ring.Use() == wal.PerCall {
		return l.appendPerCall(at, flags, body)
	}
	sum := ring.Sum(body)
	l.mu.Lock()
	if now := l.ring.Load(); now != ring { // just moved, see rebuild
		ring, sum = now, now.Sum(body)
	}
	s, err := l.admit(diskCost(len(body)))
	if err == nil {
		var pos uint64
		if pos, err = ring.Reserve(len(body)); err == nil {
			err = ring.Write(pos, l.next, at, uint8(flags), body, sum)
		}
		if err == nil {
			ring.Commit(pos, len(body))
			l.accepted(s, ring, len(body))
		}
	}
	kick, urge := l.signals(ring, err)
	l.mu.Unlock()
	l.signal(kick, urge)
	return refusedBy(err)
}

// admit is that of the backlog, where all destinations have their cursors.
func (l *diskLog) admit(n int) (*segment, error) {
	if l.cursorless && !l.closed {
		return nil, ErrQueueFull
	}
	return l.backlog.admit(n)
}

// appendPerCall is append where a call writes to the ring by a system call, which may
// take long: the others that call wait, and nobody else.
func (l *diskLog) appendPerCall(at int64, flags recordFlags, body []byte) error {
	l.calls.Lock()
	defer l.calls.Unlock()
	ring := l.ring.Load()
	l.mu.Lock()
	_, err := l.admit(diskCost(len(body)))
	var pos uint64
	if err == nil {
		pos, err = ring.Reserve(len(body))
	}
	seq := l.next
	kick, urge := l.signals(ring, err)
	l.mu.Unlock()
	l.signal(kick, urge)
	if err == nil {
		err = ring.Write(pos, seq, at, uint8(flags), body, ring.Sum(body))
	}
	if err != nil {
		return refusedBy(err)
	}
	l.mu.Lock()
	s := l.tail() // that admit has chosen, or what it was divided into
	if l.closed {
		err = ErrClosed
	} else {
		ring.Commit(pos, len(body))
		l.accepted(s, ring, len(body))
	}
	kick, urge = l.signals(ring, err)
	l.mu.Unlock()
	l.signal(kick, urge)
	return refusedBy(err)
}

// refusedBy makes the error of a call of what the ring said.
func refusedBy(err error) error {
	switch {
	case err == nil, err == ErrQueueFull, err == ErrClosed:
		return err
	case errors.Is(err, wal.ErrRingFull):
		return ErrQueueFull
	}
	return fmt.Errorf("%w: %w", ErrQueueFull, err)
}

func (l *diskLog) noRing() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || l.fault == nil {
		return ErrClosed
	}
	return refusedBy(l.fault)
}

// accepted enters an event that is in the ring.
func (l *diskLog) accepted(s *segment, ring *wal.Ring, n int) {
	if s.disk == nil {
		s.disk = &diskSegment{drained: s.first}
	}
	l.enter(s, diskCost(n))
	if l.fault != nil { // it will be read from the ring
		l.show(l.next, l.written)
	}
}

// signals tells whom an append has to wake.
func (l *diskLog) signals(ring *wal.Ring, err error) (kick, urge bool) {
	if err == nil && l.idle {
		l.idle, kick = false, true
	}
	full := errors.Is(err, wal.ErrRingFull)
	l.starved = l.starved || full
	if l.fault == nil && (full || !l.urged && (4*(ring.Tail()-l.at) >= uint64(ring.Size()) || l.next >= l.wakeAt || l.written >= l.wakeOn)) {
		l.urged, urge = true, true
	}
	return kick, urge
}

func (l *diskLog) signal(kick, urge bool) {
	if kick {
		poke(l.kick)
	}
	if urge {
		poke(l.urge)
	}
}

// poke sends a signal unless there is one already.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *diskLog) space() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	ring := l.ring.Load()
	open := l.closed || l.roomy() && ring != nil && ring.Roomy()
	l.starved = l.starved || !open
	return l.wait(open)
}

func (l *diskLog) usage() (used, limit int64) {
	used, _ = l.backlog.usage()
	return used, l.opts.limit
}

// sync waits for a round that begins after the call, together with all others who wait
// for it.
func (l *diskLog) sync(ctx context.Context) error { return l.awaitRound(ctx, true) }

// syncAccepted is sync for an event that was just accepted: what failed before it does
// not matter.
func (l *diskLog) syncAccepted(ctx context.Context) error { return l.awaitRound(ctx, false) }

func (l *diskLog) awaitRound(ctx context.Context, all bool) error {
	l.mu.Lock()
	if l.stopped {
		l.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrNotDurable, ErrClosed)
	}
	r := l.round
	if r == nil {
		r = &syncRound{done: make(chan struct{})}
		l.round = r
	}
	l.mu.Unlock()
	poke(l.urge)
	select {
	case <-r.done:
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotDurable, context.Cause(ctx))
	}
	err := r.err
	if all {
		err = errors.Join(r.err, r.risk)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return nil
}

// complain logs a fault of the file system, once until the disk works again.
func (l *diskLog) complain(what string, err error) {
	l.mu.Lock()
	quiet := l.complained[what]
	l.complained[what] = true
	l.mu.Unlock()
	if !quiet {
		l.log.Error("spool: "+what, "slot", l.slot.Path, "error", err)
	}
}
