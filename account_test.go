package analytics

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// The property test of the account: random destinations, random faults, random
// calls of Flush and Close, a log that is kept over restarts. Whatever happens,
//
//   - accepted = delivered + filtered + dropped + pending, at every sample;
//   - each event has one outcome at each destination, over all processes, or is
//     among those that the log says it evicted;
//   - what counts as delivered has arrived, what counts as filtered has not;
//   - items of one key arrive in order, but for siblings in one request;
//   - a destination that owns its cursor has each row once;
//   - a healthy destination gets everything, whatever the other one does.

const schedules = 1000

func TestPromiseAccountBalances(t *testing.T) {
	n := schedules
	if testing.Short() || underRace {
		n /= 10
	}
	for seed := range n {
		if !t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { newTrial(t, uint64(seed)).run() })
		}) {
			return
		}
	}
}

// trial is one random schedule.
type trial struct {
	t       *testing.T
	rng     *rand.Rand
	log     *memoryLog
	kept    bool
	cfg     Config
	client  *Client
	wild    *wild
	ledger  *ledger
	healthy *healthy

	mu       sync.Mutex
	outcomes map[string]map[string][]Outcome // destination, messageId
	evicted  map[string]int
	accepted []string
	next     int
}

func newTrial(t *testing.T, seed uint64) *trial {
	rng := rand.New(rand.NewPCG(seed, 1))
	tr := &trial{
		t: t, rng: rng, kept: rng.IntN(3) > 0, healthy: &healthy{got: map[string]int{}},
		outcomes: map[string]map[string][]Outcome{}, evicted: map[string]int{},
	}
	tr.log = newSlabLog(1500+rng.IntN(3000), 3+rng.IntN(60), rng.IntN(4) == 0)
	tr.log.kept = tr.kept
	tr.wild = newWild(rng)
	tr.cfg = Config{
		Destinations: []Destination{tr.healthy, tr.wild},
		FlushAt:      1 + rng.IntN(20), FlushInterval: time.Duration(rng.IntN(4)-1) * time.Second,
		MaxAge:    time.Duration(1+rng.IntN(120)) * time.Minute,
		OnOutcome: tr.note, Logger: slog.New(slog.DiscardHandler),
	}
	if rng.IntN(3) == 0 {
		tr.cfg.MaxAttempts = 1 + rng.IntN(5)
	}
	if rng.IntN(2) == 0 {
		tr.ledger = newLedger(rng)
		tr.cfg.Destinations = append(tr.cfg.Destinations, tr.ledger)
	}
	tr.cfg = tr.cfg.withDefaults()
	return tr
}

func (tr *trial) run() {
	defer func() { // also on failure: nobody may stay in the bubble
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = tr.client.Close(ctx)
		time.Sleep(2 * time.Minute)
	}()
	tr.open()
	for range 20 + tr.rng.IntN(40) {
		switch tr.rng.IntN(12) {
		case 0, 1, 2, 3, 4:
			tr.enqueue(1 + tr.rng.IntN(30))
		case 5, 6, 7:
			tr.sleep()
		case 8:
			ctx, cancel := context.WithTimeout(context.Background(), time.Duration(tr.rng.IntN(20_000))*time.Millisecond)
			err := tr.client.Flush(ctx)
			cancel()
			tr.checkPending(err)
		case 9:
			if tr.kept {
				_ = tr.close(time.Duration(tr.rng.IntN(3)) * time.Second)
				tr.open()
			}
		default:
			tr.balanced()
		}
	}
	tr.calm()
	require.NoError(tr.t, tr.close(100*time.Hour), "nothing is wrong any more: all is delivered or dropped")
	tr.settle()
}

func (tr *trial) open() {
	var err error
	tr.log.closed = false
	tr.wild.reborn()
	if tr.ledger != nil {
		tr.ledger.reborn()
	}
	tr.client, err = open(tr.cfg, tr.log)
	require.NoError(tr.t, err)
	tr.balanced()
}

func (tr *trial) enqueue(n int) {
	for range n {
		id := "m" + strconv.Itoa(tr.next)
		tr.next++
		err := tr.client.Track(context.Background(), Track{
			MessageID: id, UserID: "u" + strconv.Itoa(tr.rng.IntN(5)), Event: "E",
			Properties: map[string]any{"pad": strings.Repeat("x", tr.rng.IntN(300))},
		})
		if errors.Is(err, ErrQueueFull) {
			continue
		}
		require.NoError(tr.t, err)
		tr.accepted = append(tr.accepted, id)
	}
	tr.balanced()
}

func (tr *trial) sleep() {
	d := time.Duration(tr.rng.IntN(5_000)) * time.Millisecond
	if tr.rng.IntN(5) == 0 {
		d = time.Duration(tr.rng.IntN(20)) * time.Minute
	}
	for range 5 {
		time.Sleep(d / 5)
		tr.balanced()
	}
}

// balanced samples the account.
func (tr *trial) balanced() {
	for name, d := range tr.client.Stats().Destinations {
		require.Equal(tr.t, d.Accepted, d.Delivered+Sum(d.Filtered)+Sum(d.Dropped)+d.Pending, "%s: %+v", name, d)
	}
}

func (tr *trial) checkPending(err error) {
	var p *PendingError
	if err != nil {
		require.ErrorAs(tr.t, err, &p)
		for name, left := range p.Destinations {
			require.Positive(tr.t, left.Events, name)
			require.NotEmpty(tr.t, left.Reason, name)
		}
	}
	tr.balanced()
}

func (tr *trial) calm() {
	tr.wild.set(func() { tr.wild.calm = true })
	if tr.ledger != nil {
		tr.ledger.set(func() { tr.ledger.calm = true })
	}
}

func (tr *trial) close(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	begun := time.Now()
	err := tr.client.Close(ctx)
	require.LessOrEqual(tr.t, time.Since(begun), limit+time.Second)
	require.Equal(tr.t, err, tr.client.Close(context.Background()))
	tr.checkPending(err)
	require.ErrorIs(tr.t, tr.client.Track(context.Background(), Track{UserID: "u", Event: "E"}), ErrClosed)
	s := tr.client.Stats()
	require.Zero(tr.t, s.OutcomesLost)
	for name, d := range s.Destinations {
		if !tr.kept {
			require.Zero(tr.t, d.Pending, name)
		}
		if err == nil {
			require.Zero(tr.t, d.Pending, name)
			require.Zero(tr.t, d.Dropped[ReasonClosed]+d.Dropped[ReasonClosedUnknown], name)
		}
	}
	return err
}

func (tr *trial) note(o Outcome) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	switch {
	case o.Status == Paused:
	case o.MessageID == "":
		tr.evicted[o.Destination] += o.Events
	default:
		if tr.outcomes[o.Destination] == nil {
			tr.outcomes[o.Destination] = map[string][]Outcome{}
		}
		tr.outcomes[o.Destination][o.MessageID] = append(tr.outcomes[o.Destination][o.MessageID], o)
	}
}

// settle compares the outcomes with what the destinations saw.
func (tr *trial) settle() {
	for _, d := range tr.cfg.Destinations {
		name := d.Describe().Name
		silent, explained := 0, 0
		for _, id := range tr.accepted {
			got := tr.outcomes[name][id]
			if name == "ledger" && len(got) > 1 { // what the process before has given up is read again
				for _, o := range got[:len(got)-1] {
					require.NotEqual(tr.t, Delivered, o.Status, "%s %v", id, got)
				}
				got = got[len(got)-1:]
			}
			require.LessOrEqual(tr.t, len(got), 1, "%s %s has several outcomes: %v", name, id, got)
			if len(got) == 0 {
				silent++
				if name == "ledger" && (tr.ledger.rows[id] == 1 || !tr.ledger.wants(id)) {
					explained++ // the process that stored it did not live to say so
				}
				continue
			}
			tr.check(name, id, got[0])
		}
		if name != "ledger" { // which asks for what is gone again, in each process
			require.LessOrEqual(tr.t, tr.evicted[name], silent, "%s: an evicted event has an outcome", name)
		}
		require.GreaterOrEqual(tr.t, tr.evicted[name], silent-explained, "%s: an event has no outcome and was not evicted", name)
	}
	tr.wild.inOrder(tr.t)
}

func (tr *trial) check(name, id string, o Outcome) {
	switch name {
	case "healthy":
		if o.Status == Delivered {
			require.Positive(tr.t, tr.healthy.got[id], id)
		} else {
			require.Contains(tr.t, []Reason{ReasonLagged, ReasonOverflow, ReasonClosed, ReasonClosedUnknown}, o.Reason)
		}
	case "ledger":
		if o.Status == Delivered {
			require.Equal(tr.t, 1, tr.ledger.rows[id], id)
		} else {
			require.LessOrEqual(tr.t, tr.ledger.rows[id], 1, id)
		}
	case "wild":
		want := tr.wild.items(id)
		arrived := 0
		for i := range want {
			if tr.wild.arrived[itemID(id, i)] > 0 {
				arrived++
			}
		}
		switch {
		case o.Status == Delivered:
			require.Equal(tr.t, want, arrived, id)
		case o.Status == Filtered:
			require.Zero(tr.t, arrived, id)
		case o.Partial:
			require.Positive(tr.t, arrived, id)
		}
	}
}

// healthy takes everything at once.
type healthy struct {
	mu  sync.Mutex
	got map[string]int
}

func (h *healthy) Describe() Description { return Description{Name: "healthy"} }

func (h *healthy) Translate(e *Event) ([]Item, error) {
	return []Item{{Body: []byte(e.MessageID)}}, nil
}

func (h *healthy) Deliver(_ context.Context, b *Batch) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, it := range b.Items {
		h.got[it.ID]++
	}
	return nil
}

// wild has random limits and answers whatever comes into its mind.
type wild struct {
	desc Description

	mu      sync.Mutex
	rng     *rand.Rand
	calm    bool
	life    int
	arrived map[string]int
	rides   map[string][]int // requests of each item, in order
	keys    map[lifeKey][]ride
	request int
}

// ride is the arrival of an item.
type ride struct {
	id      string
	n       int // of the event
	request int
}

func newWild(rng *rand.Rand) *wild {
	w := &wild{
		rng: rand.New(rand.NewPCG(rng.Uint64(), 2)), arrived: map[string]int{}, rides: map[string][]int{}, keys: map[lifeKey][]ride{},
		desc: Description{Name: "wild", Order: Order(rng.IntN(3)), Lanes: map[string]Limits{}},
	}
	for i := range 1 + rng.IntN(3) {
		l := Limits{MaxItems: 1 + rng.IntN(12), MaxBytes: 200 + rng.IntN(2000), Overhead: rng.IntN(30), ItemOverhead: rng.IntN(3), Concurrency: 1 + rng.IntN(3), Timeout: time.Duration(1+rng.IntN(20)) * time.Second}
		if rng.IntN(4) == 0 {
			l.Rates = []Rate{{Requests: 1 + rng.IntN(5), Items: rng.IntN(20), PerGroup: rng.IntN(2) == 0}}
		}
		w.desc.Lanes["lane"+strconv.Itoa(i)] = l
	}
	if rng.IntN(5) == 0 {
		w.desc.Every = time.Duration(1+rng.IntN(300)) * time.Second
	}
	return w
}

func (w *wild) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// reborn begins another process: deliveries of the one before have no effect any
// more.
func (w *wild) reborn() { w.set(func() { w.life++ }) }

func (w *wild) Describe() Description { return w.desc }

func hashOf(id string) uint32 {
	h := fnv.New32a()
	_, _ = io.WriteString(h, id)
	return h.Sum32()
}

// items is how many items an event becomes.
func (w *wild) items(id string) int { return [...]int{1, 1, 1, 1, 2, 3, 1, 0}[hashOf(id)%8] }

func itemID(id string, i int) string { return id + "/" + strconv.Itoa(i) }

func (w *wild) Translate(e *Event) ([]Item, error) {
	h := hashOf(e.MessageID)
	switch h % 97 {
	case 0:
		return nil, &InvalidError{Field: "event", Reason: "is odd"}
	case 1:
		panic("translate")
	case 2:
		return nil, ErrIgnored
	case 3:
		return []Item{{Lane: "lane0", Body: make([]byte, 5000)}}, nil
	}
	items := make([]Item, w.items(e.MessageID))
	for i := range items {
		items[i] = Item{
			Lane: "lane" + strconv.Itoa((int(h)+i)%len(w.desc.Lanes)), ID: itemID(e.MessageID, i),
			Body: []byte(strings.Repeat("b", 20+int(h%100))),
		}
		if h%5 == 0 {
			items[i].Group = strconv.Itoa(int(h % 3))
		}
	}
	return items, nil
}

func (w *wild) Deliver(ctx context.Context, b *Batch) error {
	w.mu.Lock()
	life, calm, mood := w.life, w.calm, w.rng.IntN(30)
	pause := time.Duration(w.rng.IntN(300)) * time.Millisecond
	words := make([]int, len(b.Items))
	for i := range words {
		words[i] = w.rng.IntN(9)
	}
	after := time.Duration(w.rng.IntN(3000)) * time.Millisecond
	poison := false
	for _, it := range b.Items {
		poison = poison || hashOf(it.ID)%61 == 0
	}
	w.mu.Unlock()
	if poison && !calm {
		return errors.New("poison")
	}
	if calm {
		mood = 100
	}
	switch mood {
	case 0:
		<-ctx.Done()
		return ctx.Err()
	case 1:
		time.Sleep(40 * time.Second) // deaf
		return errors.New("late")
	case 2:
		panic("deliver")
	}
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	cause := errors.New("mood")
	switch mood {
	case 3, 4:
		return cause
	case 5:
		return RetryAfter(after, cause)
	case 6:
		return RetryAtMost(2, after, cause)
	case 7:
		return Permanent(cause)
	case 8:
		return Unauthorized(cause)
	case 9, 10:
		return Split(cause)
	case 11, 12, 13:
		answer := &BatchError{}
		var arrived []Item
		for i, it := range b.Items {
			switch words[i] {
			case 0:
				answer.Set(i, cause)
			case 1:
				answer.Set(i, RetryAfter(after, cause))
			case 2:
				answer.Set(i, RetryAtMost(1, after, cause))
			case 3:
				answer.Set(i, Permanent(cause))
			case 4:
				answer.Set(i, Split(cause))
			default:
				arrived = append(arrived, it)
			}
		}
		answer.Set(len(b.Items)+3, cause)
		w.arrive(life, b.Items, arrived)
		return answer
	case 14: // the answer is lost
		w.arrive(life, b.Items, b.Items)
		return cause
	}
	w.arrive(life, b.Items, b.Items)
	return nil
}

func (w *wild) arrive(life int, all, items []Item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if life != w.life {
		return
	}
	w.request++
	for _, it := range all {
		w.rides[it.ID] = append(w.rides[it.ID], w.request)
	}
	for _, it := range items {
		w.arrived[it.ID]++
		n, _ := strconv.Atoi(it.ID[1:strings.IndexByte(it.ID, '/')])
		k := lifeKey{life, it.Key}
		if !slices.ContainsFunc(w.keys[k], func(r ride) bool { return r.id == it.ID }) {
			w.keys[k] = append(w.keys[k], ride{it.ID, n, w.request})
		}
	}
}

// lifeKey is an ordering key within one process: an event of several items that
// was not over when a process ended is sent again whole.
type lifeKey struct {
	life int
	key  string
}

// inOrder checks the first arrivals of each key.
func (w *wild) inOrder(t *testing.T) {
	keys := w.keys
	switch w.desc.Order {
	case Unordered:
		return
	case Total:
		keys = map[lifeKey][]ride{}
		for k, rides := range w.keys {
			k.key = ""
			keys[k] = append(keys[k], rides...)
		}
		for _, rides := range keys {
			slices.SortStableFunc(rides, func(a, b ride) int { return a.request - b.request })
		}
	}
	for key, rides := range keys {
		for i := 1; i < len(rides); i++ {
			a, b := rides[i-1], rides[i]
			if a.n <= b.n || a.request == b.request {
				continue
			}
			require.Contains(t, w.rides[b.id], a.request, "%v: %v arrived before %v", key, a, b)
		}
	}
}

// ledger owns its cursor: rows and position in one transaction.
type ledger struct {
	every time.Duration

	mu   sync.Mutex
	rng  *rand.Rand
	calm bool
	life int
	rows map[string]int
	next map[LogID]uint64
}

func newLedger(rng *rand.Rand) *ledger {
	l := &ledger{rng: rand.New(rand.NewPCG(rng.Uint64(), 3)), rows: map[string]int{}, next: map[LogID]uint64{}}
	if rng.IntN(2) == 0 {
		l.every = time.Duration(1+rng.IntN(100)) * time.Second
	}
	return l
}

func (l *ledger) set(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

func (l *ledger) reborn() { l.set(func() { l.life++ }) }

func (l *ledger) Describe() Description {
	return Description{Name: "ledger", Order: Total, Every: l.every, IgnoreAll: true, Lanes: map[string]Limits{"": {MaxItems: 20, Timeout: 10 * time.Second}}}
}

func (l *ledger) Translate(*Event) ([]Item, error) { panic("the raw way is taken") }

func (l *ledger) TranslateRaw(h *Header, raw []byte) (Item, error) {
	if !l.wants(h.MessageID) {
		return Item{}, ErrIgnored
	}
	var e struct{ MessageID string }
	if err := json.Unmarshal(raw, &e); err != nil || e.MessageID != h.MessageID {
		return Item{}, fmt.Errorf("header %q, event %q: %w", h.MessageID, e.MessageID, err)
	}
	return Item{Body: raw}, nil
}

func (l *ledger) wants(id string) bool { return hashOf(id)%3 != 0 }

func (l *ledger) Position(_ context.Context, log LogID) (uint64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.calm && l.rng.IntN(5) == 0 {
		return 0, false, errors.New("not yet")
	}
	next, ok := l.next[log]
	return next, ok, nil
}

func (l *ledger) Deliver(ctx context.Context, b *Batch) error {
	l.mu.Lock()
	life := l.life
	mood := l.rng.IntN(12)
	if l.calm {
		mood = 100
	}
	pause := time.Duration(l.rng.IntN(500)) * time.Millisecond
	l.mu.Unlock()
	select {
	case <-time.After(pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if life != l.life {
		return errors.New("the process is dead")
	}
	switch mood {
	case 0, 1:
		return errors.New("no connection")
	case 2:
		return RetryAfter(time.Second, errors.New("busy"))
	case 3:
		if len(b.Items) > 1 {
			return Split(errors.New("too large"))
		}
	}
	next, known := l.next[b.Log]
	switch {
	case known && b.To <= next: // a batch whose answer was lost
	case known && b.From < next:
		return Split(fmt.Errorf("range %d to %d overlaps %d", b.From, b.To, next))
	default:
		for _, it := range b.Items {
			l.rows[it.ID]++
		}
		l.next[b.Log] = b.To
	}
	if mood == 4 {
		return errors.New("the answer is lost")
	}
	return nil
}
