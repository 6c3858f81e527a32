package analytics

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tributary-dev/analytics/internal/retry"
)

// A loop delivers the events of one destination. Its goroutine, run, owns the
// fields of the first group; requests reach it as funcs, answers of Deliver as
// results. Everything that others look at is in the account, under mu.
type loop struct {
	name     string // of this instance
	dest     Destination
	raw      RawTranslator // nil: events are decoded
	position Positioner    // nil: the log's cursor counts
	desc     Description
	router   *router
	cfg      *Config
	log      *slog.Logger
	events   *eventCache
	report   func(Outcome)    // nil: nobody listens
	bury     func(DeadLetter) // nil: nobody listens

	sources  []*source
	lanes    []*lane
	header   Header  // of the event at hand
	one      [1]Item // its item, where it is translated raw
	records  []record
	items    []item // to be used, allocated with those of other events
	spans    []span
	flushes  []*flushRequest
	inflight int
	changed  bool      // in this step: something was read, sent or resolved
	budget   int       // events that this step may still read
	turn     int       // which source is read first
	typical  int       // bytes of an event in the window, by the last ones read
	owedAt   time.Time // when a range without items may be told again
	owedWait retry.Backoff
	refused  refusal
	schedule schedule
	keepAt   time.Time // when keep may write again
	left     Pending   // what Close left; for others once gone is closed

	ctx      context.Context // of deliveries; the loop ends with it
	cancel   context.CancelFunc
	results  chan result
	requests chan func(now time.Time)
	wake     chan struct{}
	ending   chan struct{} // closed: the loop accounts for what is left
	gone     chan struct{} // closed: it has

	mu      sync.Mutex
	account account
}

// source is one log that the loop reads, and its window: the events between the
// cursor and the place where reading goes on.
type source struct {
	log    eventLog
	cursor logCursor
	base   uint64 // unfinished when the cursor was opened
	opened uint64 // the log's end at that moment

	window  []*entry // from the first that is not resolved
	bytes   int
	most    int              // bytes
	done    []uint64         // resolved, to be committed
	lines   map[string]*item // last unresolved item of each key
	read    uint64           // where reading goes on
	covered uint64           // up to where batches have named their ranges

	asked bool // Position is being asked
	ready bool // Position has answered, or is not needed
	mute  bool // Position has failed, and it was said
	askAt time.Time
	retry retry.Backoff

	reported [reasonCount]uint64 // of what the log evicted

	marked int        // events in the window that have a past
	pasts  []pastSpan // of events that an earlier process has sent, and that are still to be read
	kept   keptState  // as it was written last
	stale  bool       // something is kept, and it may be out of date
}

// entry is one event in a window.
type entry struct {
	source    *source
	record    record
	call      Call
	messageID string
	bytes     int
	left      int // items to be resolved
	delivered bool
	dropped   Reason
	err       error
	sent      int
	aloft     int       // items that are with Deliver
	past      *past     // nil: nothing has gone wrong yet
	since     time.Time // accepted, or read if the clock says that this was earlier
	resolved  bool
}

func (e *entry) accepted() time.Time { return time.UnixMilli(e.record.at) }

// lane sends one kind of request.
type lane struct {
	name    string
	batcher batcher
	delayed []*item   // not before their time
	waiting []*flight // to be tried again
	paused  time.Time
	pauses  retry.Backoff
	breaker retry.Breaker
	buckets []*bucket
	groups  map[string][]*bucket
	scanAt  int  // so many groups are worth looking for some to forget
	rates   int  // of limits.Rates that are per group
	starved bool // a batch that waits lacks only what the rates allow
	probes  int  // of the open breaker
	size    int  // the most items in a batch since the last split; 0 is no bound
	pace    pace
	flying  int
	wins    uint64 // batches that got through
}

// flight is a batch from the moment it is cut until its last item is resolved or
// given back.
type flight struct {
	lane     *lane
	source   *source
	items    []*item
	from, to uint64
	sent     int // requests
	tries    int // of those, the ones that count
	blamed   int // failures while others got through
	suspect  bool
	owed     bool // it has no items from the start
	apart    bool // of a split: its items look for their key again
	wins     uint64
	atMost   int // answers of RetryAtMost
	backoff  retry.Backoff
	due      time.Time
	floor    time.Time // the tool said: not before
	started  time.Time
}

// result is an answer of Deliver, or of Position. What foreign errors say is found out
// where they come from: their methods may panic.
type result struct {
	flight *flight
	word   *wordError  // of the whole batch; nil: all has arrived
	items  *BatchError // nil: the word is for all

	source *source // of an answer of Position:
	next   uint64
	ok     bool
	err    error
}

// judge takes an error of Deliver apart.
func (r *result) judge(err error) {
	r.word, r.items = nil, nil
	var items *BatchError
	switch {
	case err == nil:
	case errors.As(err, &items):
		r.items = &BatchError{}
		if items == nil {
			return
		}
		for i, err := range items.Items {
			if err != nil {
				r.items.Set(i, wordOf(hideURLs(err)))
			}
		}
	default:
		r.word = wordOf(hideURLs(err))
	}
}

// refusal is the state of a destination that does not accept our credentials.
type refusal struct {
	active bool
	untold bool    // it began in an earlier process, and nobody was told in this one
	by     *source // of which the position cannot be true; nil: credentials
	probe  time.Time
}

// schedule is the state of a destination with Every.
type schedule struct {
	due    time.Time
	goals  map[*source]uint64 // up to where this round reads; nil: asleep
	filled bool               // the log asks to be emptied
}

// A window holds at most so many events, and so many bytes or a quarter of what the
// log may hold: what is in a window cannot be evicted to make room.
const (
	windowEvents = 10_000
	windowBytes  = 8 << 20
	readChunk    = 512
	leastTypical = 256           // bytes of an event, before any was read
	readBurst    = 32            // under one lock of the log, for which callers wait spinning
	stepEvents   = 8 * readChunk // then answers, flushes and Close have their turn

	blameLimit   = 10
	probePause   = time.Minute
	abandonAfter = 100 * time.Millisecond

	defaultItems       = 1_000
	defaultBytes       = 1_000_000
	defaultConcurrency = 4
	defaultTimeout     = 30 * time.Second
)

// newLoop prepares the delivery to one destination, which has been checked.
func newLoop(cfg *Config, d Destination, desc Description, now time.Time) *loop {
	l := &loop{
		name: instanceName(d, desc), dest: d, desc: desc, cfg: cfg, log: cfg.Logger,
		results: make(chan result, 1), requests: make(chan func(time.Time)), wake: make(chan struct{}, 1), ending: make(chan struct{}), gone: make(chan struct{}),
	}
	l.raw, _ = d.(RawTranslator)
	l.position, _ = as[Positioner](d)
	l.router = newRouter(l.name, desc, cfg.Consent)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	calls := 1 // of Position
	for name, limits := range desc.Lanes {
		ln := &lane{name: name, pace: pace{most: limits.Concurrency}, groups: make(map[string][]*bucket)}
		ln.batcher = batcher{limits: limits, ordered: desc.Order != Unordered, trigger: min(cfg.FlushAt, limits.MaxItems), whole: desc.Order == Total && len(desc.Lanes) == 1}
		for _, r := range limits.Rates {
			if r.PerGroup {
				ln.rates++
			} else {
				ln.buckets = append(ln.buckets, newBucket(r, now))
			}
		}
		l.lanes = append(l.lanes, ln)
		calls += limits.Concurrency
	}
	slices.SortFunc(l.lanes, func(a, b *lane) int { return strings.Compare(a.name, b.name) })
	l.results = make(chan result, calls) // room for all: an abandoned call that returns late blocks nobody
	return l
}

// adopt adds a log: call it before run, or through requests.
func (l *loop) adopt(log eventLog) {
	c := log.cursor(l.name, formerNames(l.name, l.desc), l.wake)
	st := c.state()
	_, limit := log.usage()
	s := &source{
		most: int(min(windowBytes, limit/4)), log: log, cursor: c, base: st.unread, opened: st.end,
		lines: make(map[string]*item), read: st.done, covered: st.done, ready: l.position == nil,
	}
	l.restore(s, len(l.sources) == 0)
	l.mu.Lock()
	l.sources = append(l.sources, s)
	l.mu.Unlock()
}

// formerNames are the names that the cursor of a destination may have had. An instance
// with a name of its own has had no other.
func formerNames(name string, desc Description) []string {
	if name != desc.Name {
		return nil
	}
	return desc.Aliases
}

// drop lets go of a log if nothing in it is unfinished here, and keeps its figures.
func (l *loop) drop(log eventLog) bool {
	i := slices.IndexFunc(l.sources, func(s *source) bool { return s.log == log })
	if i < 0 {
		return true
	}
	s := l.sources[i]
	st := s.cursor.state()
	if st.done < st.end || len(s.window) > 0 || s.asked || l.schedule.goals != nil || l.inflight > 0 && l.position != nil {
		return false
	}
	if s.stale {
		s.save(keptState{}, time.Now())
	}
	l.note()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sources = slices.Delete(l.sources, i, i+1)
	l.account.placed += s.base + st.end - s.opened
	for why, n := range st.evicted {
		l.account.dropped[why] += n
	}
	return true
}

func (l *loop) run() {
	defer close(l.gone)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for l.ctx.Err() == nil {
		now := time.Now()
		next := l.step(now)
		if next.IsZero() {
			timer.Stop()
		} else {
			timer.Reset(max(next.Sub(now), 0))
		}
		select {
		case <-l.ctx.Done():
		case r := <-l.results:
			if l.ctx.Err() == nil {
				l.handle(r, time.Now())
			} else {
				l.handleLate(r, time.Now())
			}
		case f := <-l.requests:
			f(time.Now())
		case <-l.wake:
			l.schedule.filled = true
		case <-timer.C:
		}
	}
	close(l.ending)
	l.end()
}

// step does all that can be done at the time now and returns when there will be
// more to do by the clock alone; zero is never.
func (l *loop) step(now time.Time) (next time.Time) {
	l.beginRound(now)
	l.budget = stepEvents
	for l.changed = true; l.changed; {
		l.changed = false
		l.commit() // which makes room in the window
		next = time.Time{}
		l.read(now, &next)
		for _, ln := range l.lanes {
			for l.launch(ln, now, &next) {
				l.changed = true
			}
		}
	}
	l.endRound(now, &next)
	return l.keepUp(now, l.answer(now, next))
}

// beginRound wakes a scheduled destination: it will read up to the present end of
// each log.
func (l *loop) beginRound(now time.Time) {
	s := &l.schedule
	if l.desc.Every == 0 || s.goals != nil || now.Before(s.due) && !s.filled && len(l.flushes) == 0 {
		return
	}
	s.goals, s.filled = make(map[*source]uint64), false
	for _, src := range l.sources {
		s.goals[src] = src.cursor.state().end
	}
}

// endRound lets a scheduled destination sleep once all of its round is resolved.
func (l *loop) endRound(now time.Time, next *time.Time) {
	s := &l.schedule
	if l.desc.Every == 0 {
		return
	}
	if s.goals != nil {
		for src, goal := range s.goals {
			if st := src.cursor.state(); st.done < goal {
				return
			}
		}
		s.goals, s.due = nil, now.Add(l.desc.Every)
		if more := l.sources[0].cursor.state().unread > 0; more && (s.filled || len(l.flushes) > 0) {
			*next = now // the next round begins at once
			return
		}
		for _, src := range l.sources {
			src.cursor.arm(0, 0, true)
		}
	}
	*next = earliest(*next, s.due)
}

// eager tells whether what is there is sent without waiting for more.
func (l *loop) eager() bool { return len(l.flushes) > 0 || l.schedule.goals != nil }

func (l *loop) lane(name string) *lane {
	for _, ln := range l.lanes {
		if ln.name == name {
			return ln
		}
	}
	return nil
}

func (l *loop) count(f func(*account)) {
	l.mu.Lock()
	f(&l.account)
	l.mu.Unlock()
}

func (l *loop) tiled() bool { return l.desc.Order == Total && len(l.lanes) == 1 }

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
