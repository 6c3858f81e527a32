package analytics

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// world is a log on a disk that breaks, and what it has promised. It lives as long as
// the disk: through many processes, each with a diskLog of its own. It is used in a
// bubble of synctest.
type world struct {
	t       testing.TB
	what    string // names the run in a failure
	rng     *rand.Rand
	fs      *faultfs.FS
	wrap    func(wal.FS) wal.FS // nil, or what the log sees in place of fs
	opts    logSettings
	logger  *slog.Logger
	log     *diskLog
	events  []worldEvent        // by their sequence numbers
	most    uint64              // events that there ever were
	numbers map[eventKey]uint64 // every event that was ever accepted or handed out
	count   uint64              // events ever accepted
	cursors []*worldCursor
	trace   []string
	stop    int  // the operation at which the process dies
	calm    bool // no fault in this process so far
	running bool
	hidden  bool // what syncs have failed to write is missed
	faults  *chance
}

// eventKey is what names an event for a destination that owns its cursor.
type eventKey struct {
	log LogID
	seq uint64
}

// worldEvent is an accepted event.
type worldEvent struct {
	number  uint64 // no other event has it
	body    []byte
	at      time.Time
	durable bool // a sync has returned since
	maybe   bool // it was not durable when the power was lost, and was not seen since
	risky   bool // a sync of the files failed since it was accepted
}

type worldCursor struct {
	name    string
	c       *diskCursor
	fates   []eventFate
	over    uint64 // finished in this process, or before it
	evicted uint64
	corrupt uint64
	window  []uint64
}

type eventFate uint8

const (
	isUnread eventFate = iota
	isRead
	isFinished
	isEvicted
	isAgain // finished or evicted, but perhaps that was not written down
)

// chance makes operations fail, at random or as planned.
type chance struct {
	mu   sync.Mutex
	rng  *rand.Rand
	per  int // one in so many operations
	hit  bool
	risk bool                   // a sync of a segment failed
	plan func(faultfs.Op) error // in place of chance, if it is set
	last string                 // what failed last
}

func (f *chance) inject(op faultfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.plan != nil {
		err := f.plan(op)
		if err != nil {
			f.hit, f.last = true, fmt.Sprintf("fault: %v %s: %v", op.Kind, op.Name, err)
		}
		f.risk = f.risk || err != nil && op.Kind == faultfs.Sync && strings.HasSuffix(op.Name, ".seg")
		return err
	}
	if f.per == 0 || f.rng.IntN(f.per) > 0 {
		return nil
	}
	f.hit = true
	err := []error{syscall.EIO, syscall.ENOSPC, syscall.EROFS}[f.rng.IntN(3)]
	switch op.Kind {
	case faultfs.Write:
		if f.rng.IntN(2) == 0 {
			return faultfs.ShortWrite{N: int(f.rng.Int64N(op.Length + 1)), Err: err}
		}
	case faultfs.Sync:
		f.risk = f.risk || strings.HasSuffix(op.Name, ".seg")
	}
	return err
}

func (f *chance) set(per int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.per, f.plan = per, nil
}

// follow makes operations fail as planned.
func (f *chance) follow(plan func(faultfs.Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.plan = plan
}

func (f *chance) take() (hit, risk bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	hit, risk = f.hit, f.risk
	f.hit, f.risk = false, false
	return hit, risk
}

const noStop = math.MaxInt32

func newWorld(t testing.TB, what string, seed uint64, opts logSettings) *world {
	rng := rand.New(rand.NewPCG(seed, 11))
	w := &world{
		t: t, what: what, rng: rng, fs: faultfs.New(seed), opts: opts, logger: quiet(), numbers: map[eventKey]uint64{}, stop: noStop,
		faults: &chance{rng: rand.New(rand.NewPCG(seed, 12))},
	}
	if err := errors.Join(w.fs.MkdirAll("/spool"), w.fs.SyncDir("/")); err != nil {
		t.Fatal(err)
	}
	w.fs.Inject(w.faults.inject)
	return w
}

func (w *world) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
}

func (w *world) fail(format string, args ...any) {
	w.t.Helper()
	w.t.Fatalf("%s\n%s\nsettings %+v\ntrace:\n%s", fmt.Sprintf(format, args...), w.what, w.opts, strings.Join(w.trace, "\n"))
}

// open begins a process: it opens the log and the cursors.
func (w *world) open() {
	w.t.Helper()
	w.calm = true
	if w.opts.writeCall {
		w.fs.SetLocal(false)
	}
	l, err := w.tryOpen()
	if err != nil {
		if hit, _ := w.faults.take(); !hit {
			w.fail("open: %v", err)
		}
		per := w.faults.per
		w.faults.set(0)
		if l, err = w.tryOpen(); err != nil {
			w.fail("open after a fault: %v", err)
		}
		w.faults.set(per)
	}
	w.log, w.running = l, true
	w.t.Cleanup(w.abandon) // if a check fails
	for i := range w.events {
		w.events[i].at = time.Now() // nobody could sync before
	}
	w.note("open: %s, end %d of %d", l.ident, l.end(), len(w.events))
	w.truncate(l.end())
	for _, c := range w.cursors {
		w.openCursor(c)
	}
	w.settle()
}

// abandon ends the goroutines of a log that nobody needs any more.
func (w *world) abandon() {
	if w.running {
		w.running = false
		_ = w.log.shut(context.Background())
	}
}

func (w *world) tryOpen() (*diskLog, error) {
	fsys := wal.FS(w.fs)
	if w.wrap != nil {
		fsys = w.wrap(fsys)
	}
	slot, err := wal.OpenSlot(fsys, "/spool/p-0")
	if err != nil {
		return nil, err
	}
	l, err := openDiskLog(slot, w.opts, w.logger)
	if err != nil {
		return nil, errors.Join(err, slot.Unlock())
	}
	return l, nil
}

// truncate forgets the events whose numbers will be given out again. They must not be
// missed by anybody.
func (w *world) truncate(end uint64) {
	w.t.Helper()
	w.most = max(w.most, uint64(len(w.events)))
	if end > w.most {
		w.fail("the log ends at %d, and only %d events were accepted", end, w.most)
	}
	for end > uint64(len(w.events)) { // of a number that was given out the ring may know after all
		w.events = append(w.events, worldEvent{number: math.MaxUint64, maybe: true})
		for _, c := range w.cursors {
			c.fates = append(c.fates, isUnread)
		}
	}
	for _, c := range w.cursors {
		for seq := end; seq < uint64(len(w.events)); seq++ {
			if c.fates[seq] == isUnread && !w.events[seq].maybe {
				w.fail("%s: the log ends at %d, and event %d is lost", c.name, end, seq)
			}
		}
		c.fates = c.fates[:end]
	}
	w.events = w.events[:end]
}

// openCursor opens a cursor and compares what it has finished with what it should have.
func (w *world) openCursor(c *worldCursor) {
	w.t.Helper()
	for len(c.fates) < len(w.events) { // a new one begins at the end
		c.fates = append(c.fates, isFinished)
	}
	c.c = w.log.cursor(c.name, nil, make(chan struct{}, 1)).(*diskCursor)
	s := c.c.state()
	c.evicted, c.corrupt, c.window = 0, 0, nil
	c.over = s.end - s.unread - evictedSum(s)
	for seq := range uint64(len(w.events)) {
		over := c.isOver(seq)
		switch fate := c.fates[seq]; {
		case fate == isUnread && over && w.events[seq].maybe: // with the cursor itself
			c.fates[seq] = isFinished
		case fate == isUnread && over:
			w.fail("%s: event %d counts as finished, and is not", c.name, seq)
		case fate == isAgain && over, fate == isFinished && over:
			c.fates[seq] = isFinished
		case fate == isFinished && !over:
			c.fates[seq] = isAgain
		}
	}
}

func evictedSum(s cursorState) (n uint64) {
	for _, k := range s.evicted {
		n += k
	}
	return n
}

// isOver tells whether the log counts an event as finished or evicted.
func (c *worldCursor) isOver(seq uint64) bool {
	c.c.place.log.mu.Lock()
	defer c.c.place.log.mu.Unlock()
	return c.c.over(span{seq, seq + 1})
}

// settle takes in what has happened: faults, syncs in the background, evictions.
func (w *world) settle() {
	w.t.Helper()
	synctest.Wait()
	hit, risk := w.faults.take()
	w.calm = w.calm && !hit
	if hit && w.faults.last != "" {
		w.note("%s", w.faults.last)
	}
	if risk && !w.hidden {
		for i := range w.events {
			w.events[i].risky = w.events[i].risky || !w.events[i].durable
		}
	}
	if w.calm && w.alive() && w.opts.mode == Interval {
		w.believe(func(e *worldEvent) bool { return time.Since(e.at) >= w.opts.interval+intervalSlack })
	}
	for _, c := range w.cursors {
		w.settleCursor(c)
	}
}

// intervalSlack is how much longer than the interval an event may be at risk. There is
// a test for exactly the interval.
const intervalSlack = 2 * drainPause

// believe notes that events are safe.
func (w *world) believe(which func(*worldEvent) bool) {
	for i := range w.events {
		if e := &w.events[i]; !e.maybe && !e.risky && which(e) {
			e.durable = true
		}
	}
}

func (w *world) settleCursor(c *worldCursor) {
	w.t.Helper()
	s := c.c.state()
	lagged := s.evicted[ReasonLagged] + s.evicted[ReasonOverflow]
	corrupt := s.evicted[ReasonCorrupt]
	before := c.evicted
	missed := uint64(0)
	for seq := range uint64(len(w.events)) {
		if fate := c.fates[seq]; (fate == isUnread || fate == isAgain) && c.isOver(seq) {
			if fate == isUnread && !w.events[seq].maybe {
				missed++
			}
			c.fates[seq] = isEvicted
			c.evicted++
		}
	}
	if total := evictedSum(s); total != c.evicted || total != lagged+corrupt {
		w.fail("%s: %d events are counted as evicted, and %d are", c.name, total, c.evicted)
	}
	if missed > c.evicted-before-(corrupt-c.corrupt) {
		w.fail("%s: %d events are counted as corrupt, and some of them have to be there", c.name, corrupt-c.corrupt)
	}
	c.corrupt = corrupt
	if s.end != c.over+c.evicted+s.unread+uint64(len(c.window)) || s.end != uint64(len(w.events)) {
		w.fail("%s: the account does not balance: %+v, over %d, evicted %d, in the window %d", c.name, s, c.over, c.evicted, len(c.window))
	}
}

// alive tells whether the process may go on.
func (w *world) alive() bool { return w.fs.Ops() < w.stop }

func (w *world) append(n int) error {
	w.t.Helper()
	err := w.accept(n)
	w.settle()
	return err
}

// accept is append for where nobody can wait until the log has come to rest.
func (w *world) accept(n int) error {
	w.t.Helper()
	if !w.alive() {
		return ErrClosed
	}
	seq := w.log.end()
	e := worldEvent{number: w.count, body: worldBody(w.count, seq, n), at: time.Now()}
	w.count++
	err := w.log.append(int64(e.number), recordFlags(seq), e.body)
	w.note("append %d, %d bytes: %v", seq, len(e.body), err)
	switch {
	case err == nil:
		w.name(seq, e.number)
		w.events = append(w.events, e)
		for _, c := range w.cursors {
			c.fates = append(c.fates, isUnread)
		}
	case !errors.Is(err, ErrQueueFull):
		w.fail("append: %v", err)
	}
	if end := w.log.end(); end != uint64(len(w.events)) {
		w.fail("the log ends at %d after %d events", end, len(w.events))
	}
	return err
}

// name notes which event a sequence number of the log means.
func (w *world) name(seq, number uint64) {
	w.t.Helper()
	key := eventKey{w.log.ident, seq}
	if had, ok := w.numbers[key]; ok && had != number {
		w.fail("%s %d names two events: %d and %d", key.log, seq, had, number)
	}
	w.numbers[key] = number
}

const worldHeader = 20

// worldBody says which event it is, and whether it is whole.
func worldBody(number, seq uint64, n int) []byte {
	b := make([]byte, max(n, worldHeader))
	r := rand.NewPCG(number, seq)
	for i := worldHeader; i < len(b); i++ {
		b[i] = byte(r.Uint64())
	}
	binary.LittleEndian.PutUint64(b, number)
	binary.LittleEndian.PutUint64(b[8:], seq)
	binary.LittleEndian.PutUint32(b[16:], crc32.ChecksumIEEE(b[worldHeader:]))
	return b
}

// read reads once and checks what comes.
func (w *world) read(c *worldCursor, n, maxBytes int) int {
	w.t.Helper()
	recs := c.c.read(nil, n, maxBytes)
	w.note("%s read %d %d: %v", c.name, n, maxBytes, seqs(recs))
	for _, r := range recs {
		w.take(c, r)
	}
	w.settle()
	low := uint64(len(w.events))
	if k := len(recs); k > 0 {
		low = recs[k-1].seq
	} else if !c.c.failed.IsZero() || !w.calm || !w.alive() {
		return 0
	}
	for seq := range low {
		if f := c.fates[seq]; f == isUnread || f == isAgain {
			w.fail("%s: event %d was not handed out (%v)", c.name, seq, f)
		}
	}
	return len(recs)
}

func (w *world) take(c *worldCursor, r record) {
	w.t.Helper()
	if r.seq >= uint64(len(w.events)) {
		w.fail("%s: event %d is invented", c.name, r.seq)
	}
	e := &w.events[r.seq]
	if !slices.Equal(r.body, e.body) || r.at != int64(e.number) || r.flags != recordFlags(r.seq) {
		got := uint64(0)
		if len(r.body) >= worldHeader {
			got = binary.LittleEndian.Uint64(r.body)
		}
		w.fail("%s: event %d should be %d with %d bytes, and is %d with %d bytes", c.name, r.seq, e.number, len(e.body), got, len(r.body))
	}
	if f := c.fates[r.seq]; f != isUnread && f != isAgain {
		w.fail("%s: event %d was handed out again (%d)", c.name, r.seq, f)
	}
	if k := len(c.window); k > 0 && c.window[k-1] >= r.seq {
		w.fail("%s: event %d was handed out behind %d", c.name, r.seq, c.window[k-1])
	}
	w.name(r.seq, e.number)
	e.maybe = false
	c.fates[r.seq] = isRead
	c.window = append(c.window, r.seq)
}

// finish finishes what pick picks of what was read.
func (w *world) finish(c *worldCursor, pick func(i int) bool) {
	w.t.Helper()
	var spans []span
	var rest []uint64
	for i, seq := range c.window {
		if !pick(i) {
			rest = append(rest, seq)
			continue
		}
		c.fates[seq] = isFinished
		c.over++
		if k := len(spans); k > 0 && spans[k-1].to == seq {
			spans[k-1].to++
		} else {
			spans = append(spans, span{seq, seq + 1})
		}
	}
	c.window = rest
	w.note("%s finish %v", c.name, spans)
	c.c.finish(spans)
	w.settle()
}

func (w *world) sync() error {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := w.log.sync(ctx)
	w.note("sync: %v", err)
	if err == nil {
		w.settle() // what failed is at risk whatever sync says
		w.believe(func(*worldEvent) bool { return true })
	} else if errors.Is(err, context.DeadlineExceeded) {
		w.fail("sync does not return")
	}
	w.settle()
	return err
}

func (w *world) sleep(d time.Duration) {
	w.note("sleep %v", d)
	time.Sleep(d)
	w.settle()
}

// shut ends the process in order.
func (w *world) shut() {
	w.t.Helper()
	w.settle()
	w.running = false
	err := w.log.shut(context.Background())
	w.note("shut: %v", err)
	if !w.alive() {
		w.kill(false)
		return
	}
	if hit, _ := w.faults.take(); err != nil && w.calm && !hit {
		w.fail("shut: %v", err)
	}
	w.begin(true)
}

// begin makes the model ready for another process.
func (w *world) begin(clean bool) {
	w.stop = noStop
	w.fs.Stop(noStop)
	w.faults.take()
	for _, c := range w.cursors {
		for i, f := range c.fates {
			switch {
			case f == isRead:
				c.fates[i] = isUnread
			case f == isEvicted, f == isFinished && !clean:
				c.fates[i] = isAgain
			}
		}
	}
}

// kill ends the process, and the power if it is lost as well.
func (w *world) kill(power bool) {
	w.t.Helper()
	if w.running {
		w.settle()
	}
	if power {
		w.lose(w.fs.PowerLoss())
	} else {
		w.note("kill")
		w.fs = w.fs.Kill()
	}
	w.fs.Inject(w.faults.inject)
	w.abandon()
	w.begin(false)
}

// lose goes on with what a power loss has left.
func (w *world) lose(left *faultfs.FS) {
	w.note("power loss")
	losses.Add(1)
	w.fs = left
	for i := range w.events {
		e := &w.events[i]
		e.maybe = e.maybe || !e.durable
		e.risky = false
	}
}

// branch is the world as it would go on with what a power loss has left.
func (w *world) branch(left *faultfs.FS) *world {
	b := *w
	b.events = slices.Clone(w.events)
	b.trace = slices.Clone(w.trace)
	b.numbers = make(map[eventKey]uint64, len(w.numbers))
	for k, n := range w.numbers {
		b.numbers[k] = n
	}
	b.faults = &chance{rng: rand.New(rand.NewPCG(1, 1))}
	b.running = false
	b.cursors = nil
	for _, c := range w.cursors {
		b.cursors = append(b.cursors, &worldCursor{name: c.name, fates: slices.Clone(c.fates)})
	}
	b.lose(left)
	b.begin(false)
	return &b
}

// check reads everything that can be read and finishes it.
func (w *world) check() {
	w.t.Helper()
	for _, c := range w.cursors {
		for w.read(c, 100, 1<<20) > 0 {
		}
		if w.calm && w.alive() {
			w.finish(c, func(int) bool { return true })
		}
	}
}

// long tells how many times longer than usual to test.
func long(t testing.TB) int {
	n := 1
	if s := os.Getenv("SPOOL_LONG"); s != "" {
		if _, err := fmt.Sscan(s, &n); err != nil {
			t.Fatalf("SPOOL_LONG is %q, want a number", s)
		}
	}
	return n
}
