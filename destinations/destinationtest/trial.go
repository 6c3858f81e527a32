package destinationtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tributary-dev/analytics"
)

// need is what a rule cannot be tested without.
type need uint

const (
	needItems    need = 1 << iota // an event that becomes an item
	needHTTP                      // Setup.Seen
	needIDs                       // a way to see ids: Seen, Receive or Stored
	needFailure                   // a way to make Deliver fail: Seen or Receive
	needFakeTime                  // a bubble
	needCloser
	needRaw
	needPositioner
)

const (
	patience = 5 * time.Minute        // longer than any flow; fake in a bubble
	hurry    = 20 * time.Second       // the same where time is real
	grace    = 100 * time.Millisecond // what Close leaves a Deliver whose ctx ended
)

// trial is one run of one rule, on a service of its own.
type trial struct {
	setup  *Setup
	rules  []rule
	svc    *Service
	log    *logBuffer
	now    time.Time
	fake   bool // inside a bubble
	opened []*instance

	mu      sync.Mutex
	found   []string
	skipped string
}

// try tests the rule once, in a bubble unless the setup has real time.
func (r *rule) try(t *testing.T, s Setup) (found []string, skipped string) {
	tr := &trial{setup: &s, rules: rules, now: time.Now(), fake: s.RealTime == "", log: &logBuffer{}}
	if reason, ok := s.Skip[r.name]; ok {
		return nil, reason
	}
	if s.New == nil {
		if r.name == "setup" {
			r.test(tr)
		}
		return tr.found, "Setup has no New"
	}
	if !tr.fake {
		tr.run(r)
		return tr.found, tr.skipped
	}
	if left := bubble(t, func() { tr.run(r) }); left != nil && r.name == ruleNoGoroutine && len(tr.found) == 0 {
		tr.errorf("%v", left)
	}
	return tr.found, tr.skipped
}

// bubble runs f in a bubble. What it returns is not nil if goroutines were left
// behind, which otherwise do no harm: they stand still.
func bubble(t *testing.T, f func()) (left error) {
	defer func() {
		v := recover()
		if err, ok := v.(error); ok && strings.Contains(err.Error(), "deadlock") {
			left = err
			return
		}
		if v != nil {
			panic(v)
		}
	}()
	synctest.Test(t, func(*testing.T) { f() })
	return nil
}

func (t *trial) run(r *rule) {
	t.now = time.Now()
	t.svc = newService(t.setup.Answer)
	defer t.svc.end()
	if t.skipped = t.lacks(r.needs); t.skipped != "" {
		return
	}
	defer t.close()
	r.test(t)
}

// lacks says what of the needs is missing. It tries them on a service of its own.
func (t *trial) lacks(n need) string {
	if n&needHTTP != 0 && t.setup.Seen == nil {
		return "Setup has no Seen: the rules about HTTP are left out"
	}
	if n&needFakeTime != 0 && !t.fake {
		return "runs in real time: " + t.setup.RealTime
	}
	if n == 0 {
		return ""
	}
	probe := &trial{setup: t.setup, fake: t.fake, log: &logBuffer{}, now: t.now, svc: newService(t.setup.Answer)}
	defer probe.svc.end()
	defer probe.close()
	d := probe.open()
	if d == nil {
		return "Open refuses the settings"
	}
	if n&needCloser != 0 && find[analytics.Closer](d.Destination) == nil {
		return "has no Close"
	}
	if n&needRaw != 0 && find[analytics.RawTranslator](d.Destination) == nil {
		return "has no TranslateRaw"
	}
	if n&needPositioner != 0 && find[analytics.Positioner](d.Destination) == nil {
		return "has no Position"
	}
	if n&(needItems|needIDs|needFailure) == 0 {
		return ""
	}
	batches := d.batches(probe.samples())
	if len(batches) == 0 {
		return "no event became an item: give Setup.Events"
	}
	if t.setup.Seen != nil || n&(needIDs|needFailure) == 0 || n&needFailure == 0 && t.setup.Stored != nil {
		return ""
	}
	_, _ = d.deliver(batches[0]) // whatever it says: did anything arrive?
	if len(probe.svc.received()) == 0 {
		return "Setup has no Seen, and nothing came to Service.Receive"
	}
	return ""
}

func (t *trial) errorf(format string, args ...any) {
	const most = 8
	t.mu.Lock()
	defer t.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	switch {
	case len(t.found) < most && !slices.Contains(t.found, text):
		t.found = append(t.found, text)
	case len(t.found) == most:
		t.found = append(t.found, "and more")
	}
}

func (t *trial) skipf(format string, args ...any) { t.skipped = fmt.Sprintf(format, args...) }

// instance is a Destination that was opened, and what the rules do with it.
type instance struct {
	analytics.Destination
	t    *trial
	desc analytics.Description
}

// open returns a fresh instance, opened; nil if that failed, which is the business
// of one rule only.
func (t *trial) open() *instance {
	d := &instance{Destination: t.setup.New(t.svc), t: t}
	if err := protect(func() error { d.desc = d.Describe(); return nil }); err != nil {
		return nil
	}
	if o := find[analytics.Opener](d.Destination); o != nil {
		if err := protect(func() error { return o.Open(t.env()) }); err != nil {
			return nil
		}
	}
	t.opened = append(t.opened, d)
	return d
}

// close closes what was opened. What goes wrong there is the business of one rule.
func (t *trial) close() {
	for _, d := range t.opened {
		c := find[analytics.Closer](d.Destination)
		if c == nil {
			continue
		}
		t.await(t.patience(), func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
			defer cancel()
			_ = protect(func() error { return c.Close(ctx) })
		})
	}
	t.opened = nil
}

func (t *trial) env() analytics.Env {
	env := analytics.Env{HTTP: t.svc.Client(), Logger: slog.New(slog.NewTextHandler(t.log, nil))}
	if t.setup.Env != nil {
		t.setup.Env(&env)
	}
	return env
}

func (t *trial) patience() time.Duration {
	if t.fake {
		return patience
	}
	return hurry
}

// await runs f and tells whether it ended within d.
func (t *trial) await(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// lanes returns the lanes with the defaults filled in.
func (d *instance) lanes() map[string]analytics.Limits {
	lanes := map[string]analytics.Limits{}
	for name, l := range d.desc.Lanes {
		lanes[name] = withDefaults(l)
	}
	if len(lanes) == 0 {
		lanes[""] = withDefaults(analytics.Limits{})
	}
	return lanes
}

func (d *instance) laneNames() []string { return slices.Sorted(maps.Keys(d.lanes())) }

// withDefaults is what analytics.Limits documents.
func withDefaults(l analytics.Limits) analytics.Limits {
	l.MaxItems = cmp.Or(l.MaxItems, 1000)
	l.MaxBytes = cmp.Or(l.MaxBytes, 1_000_000)
	l.MaxItemBytes = cmp.Or(l.MaxItemBytes, l.MaxBytes-l.Overhead-l.ItemOverhead)
	l.Concurrency = cmp.Or(l.Concurrency, 4)
	l.Timeout = cmp.Or(l.Timeout, 30*time.Second)
	return l
}

func (d *instance) calls() analytics.Calls { return cmp.Or(d.desc.Calls, analytics.SixCalls) }

// translate is Translate with ids and keys filled in as the client does, and its
// panic as an error.
func (d *instance) translate(e *analytics.Event) (items []analytics.Item, err error) {
	err = protect(func() (err error) {
		items, err = d.Translate(e)
		return err
	})
	fillIn(items, e.MessageID, cmp.Or(e.UserID, e.AnonymousID))
	return items, err
}

func fillIn(items []analytics.Item, id, key string) {
	for i := range items {
		items[i].ID = cmp.Or(items[i].ID, id)
		items[i].Key = cmp.Or(items[i].Key, key)
	}
}

func size(it *analytics.Item) int { return cmp.Or(it.Size, len(it.Body)) }

// deliver is Deliver of a copy of b, within the lane's time-out. ok is false where
// Deliver panicked or did not return, which it reports.
func (d *instance) deliver(b *analytics.Batch) (err error, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), d.lanes()[b.Lane].Timeout)
	defer cancel()
	return d.deliverCtx(ctx, copyOf(b))
}

func (d *instance) deliverCtx(ctx context.Context, b *analytics.Batch) (err error, ok bool) {
	var answer error
	if !d.t.await(d.t.patience(), func() {
		answer = protect(func() error { return d.Deliver(ctx, b) })
	}) {
		d.t.errorf("Deliver did not return within %v", d.t.patience())
		return nil, false
	}
	if errors.Is(answer, errPanic) {
		d.t.errorf("Deliver panicked: %v", answer)
		return answer, false
	}
	return answer, true
}

// copyOf shares nothing with b but Data.
func copyOf(b *analytics.Batch) *analytics.Batch {
	c := *b
	c.Items = slices.Clone(b.Items)
	for i := range c.Items {
		c.Items[i].Body = bytes.Clone(c.Items[i].Body)
	}
	return &c
}

// seen returns the ids that reached the service since the last script, in the
// requests that the filter takes.
func (t *trial) seen(take func(*Request) bool) []string {
	ids := []string{}
	for _, r := range t.svc.received() {
		switch {
		case take != nil && !take(r):
		case r.ids != nil:
			ids = append(ids, r.ids...)
		case t.setup.Seen != nil:
			ids = append(ids, t.setup.Seen(r)...)
		}
	}
	return ids
}

// arrived returns what the tool has accepted since the last script, or all that it
// stores; ordered tells whether the order means anything.
func (t *trial) arrived() (ids []string, ordered bool) {
	if t.setup.Seen != nil || len(t.svc.received()) > 0 || t.setup.Stored == nil {
		return t.seen(func(r *Request) bool { return r.Answered }), true
	}
	return t.stored(), false
}

func idsOf(batches ...*analytics.Batch) []string {
	ids := []string{}
	for _, b := range batches {
		for i := range b.Items {
			ids = append(ids, b.Items[i].ID)
		}
	}
	return ids
}

// find looks for an optional interface the way New does.
func find[T any](d analytics.Destination) T {
	for d != nil {
		if v, ok := d.(T); ok {
			return v
		}
		w, ok := d.(interface{ Unwrap() analytics.Destination })
		if !ok {
			break
		}
		d = w.Unwrap()
	}
	var none T
	return none
}

var errPanic = errors.New("panic")

// protect turns a panic into an error that says where it came from.
func protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("%w: %v at %s", errPanic, v, origin())
		}
	}()
	return f()
}

// origin names the function that panicked: the first frame above the runtime.
func origin() string {
	pcs := make([]uintptr, 32)
	frames := runtime.CallersFrames(pcs[:runtime.Callers(3, pcs)])
	for {
		f, more := frames.Next()
		if !strings.HasPrefix(f.Function, "runtime.") {
			return fmt.Sprintf("%s:%d", f.Function, f.Line)
		}
		if !more {
			return "an unknown place"
		}
	}
}

// logBuffer holds what was logged.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns all of it.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
