package analytics

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics/internal/jsontext"
)

// Client accepts events and delivers them to its destinations. All methods may be
// called from any goroutine, at the same time; Flush and Close not from OnOutcome.
type Client struct {
	cfg      Config
	log      eventLog
	spool    *spool        // nil: events are kept in memory
	kept     *spoolLetters // nil: dead letters go elsewhere, or nowhere
	env      *surroundings
	nothing  *surroundings // what others have sent gets nothing of ours
	bare     *surroundings // without Config.Context: plugins may take all of it away
	loops    []*loop
	outcomes *outcomes // nil: nobody listens

	opened uint64 // end of the log when the client was opened

	refused  atomic.Uint64
	filtered atomic.Uint64
	letters  atomic.Uint64 // dead letters that could not be written

	closing  sync.Once
	closed   chan struct{} // the first Close has returned closeErr
	closeErr error
}

// New returns a client that is ready for events. It reports everything that is
// wrong with the configuration at once, each with its field.
func New(cfg Config) (*Client, error) {
	cfg = cfg.withDefaults()
	if cfg.Spool.Dir != "" {
		return open(cfg, nil)
	}
	return open(cfg, newMemoryLog(cfg.MaxMemory, cfg.WhenFull == DropOldest))
}

// open makes a client over a log of its own, nil for one in the spool, and those that
// others have left.
func open(cfg Config, log eventLog, leftovers ...eventLog) (*Client, error) {
	descs, err := cfg.describe()
	env, contextErr := newSurroundings(cfg.Context)
	bare, _ := newSurroundings(nil)
	if contextErr != nil {
		contextErr = at("Context", contextErr)
	}
	var started atomic.Pointer[Client]
	opened, openErr := cfg.open(descs, func(ctx context.Context, i int) error {
		c := started.Load()
		if c == nil {
			return errNotStarted
		}
		return c.flush(ctx, c.loops[i:i+1])
	})
	if err = errors.Join(cfg.validate(), contextErr, err, openErr); err != nil {
		closeAll(opened)
		return nil, fmt.Errorf("analytics: %w", err)
	}
	c := &Client{cfg: cfg, log: log, env: env, bare: bare, nothing: &surroundings{base: &Context{}}, closed: make(chan struct{})}
	if log == nil {
		if c.spool, err = openSpool(&c.cfg, descs); err != nil {
			closeAll(opened)
			return nil, fmt.Errorf("analytics: %w", err)
		}
		c.log = c.spool.own
		if cfg.DeadLetters == nil {
			c.kept = newSpoolLetters(c.spool.own.slot.LettersPath)
			c.cfg.DeadLetters = c.kept.write
		}
	}
	c.opened = c.log.end()
	var report func(Outcome)
	if cfg.OnOutcome != nil {
		c.outcomes = newOutcomes(cfg.OnOutcome, cfg.Logger)
		report = c.outcomes.report
	}
	events := &eventCache{}
	for i, d := range cfg.Destinations {
		l := newLoop(&c.cfg, d, descs[i], time.Now())
		l.events, l.report = events, report
		if c.cfg.DeadLetters != nil {
			l.bury = c.bury
		}
		for _, log := range append([]eventLog{c.log}, leftovers...) {
			l.adopt(log)
		}
		c.loops = append(c.loops, l)
	}
	for _, l := range c.loops {
		go l.run()
	}
	if c.spool != nil {
		c.spool.start(c.adopt, c.release)
	}
	started.Store(c)
	return c, nil
}

// errNotStarted is the answer to a destination that flushes itself while it is opened.
var errNotStarted = errors.New("analytics: the client has not started yet")

// adopt lets all destinations deliver what is in a log.
func (c *Client) adopt(log eventLog) {
	for _, l := range c.loops {
		l.call(func() { l.adopt(log) })
	}
}

// release takes a log away from the destinations once all of them have finished it.
func (c *Client) release(log eventLog) bool {
	done := true
	for _, l := range c.loops {
		l.call(func() { done = l.drop(log) && done })
	}
	return done
}

// Identify ties a user to an id and traits. It returns nil when the event was
// accepted, an [*InvalidError] for each thing that is wrong with it, [ErrQueueFull] or
// [ErrClosed]. ctx brings facts of the request ([NewContext]) and ends waiting where
// the configuration says Block; an event is accepted even if ctx is done.
func (c *Client) Identify(ctx context.Context, m Identify) error {
	f := m.fields()
	return c.enqueue(ctx, &f)
}

// Track records one action; see [Client.Identify] for what it returns.
func (c *Client) Track(ctx context.Context, m Track) error {
	f := m.fields()
	return c.enqueue(ctx, &f)
}

// Page records the view of a web page; see [Client.Identify] for what it returns.
func (c *Client) Page(ctx context.Context, m Page) error {
	f := m.fields()
	return c.enqueue(ctx, &f)
}

// Screen records the view of a screen; see [Client.Identify] for what it returns.
func (c *Client) Screen(ctx context.Context, m Screen) error {
	f := m.fields()
	return c.enqueue(ctx, &f)
}

// Group ties a user to an account; see [Client.Identify] for what it returns.
func (c *Client) Group(ctx context.Context, m Group) error {
	f := m.fields()
	return c.enqueue(ctx, &f)
}

// Alias tells that two ids are one user; see [Client.Identify] for what it returns.
func (c *Client) Alias(ctx context.Context, m Alias) error {
	f := m.fields()
	return c.enqueue(ctx, &f)
}

// Enqueue takes any message; see [Client.Identify] for what it returns.
func (c *Client) Enqueue(ctx context.Context, m Message) error {
	f, err := fieldsOf(m)
	if err != nil {
		return err
	}
	return c.enqueue(ctx, &f)
}

// buffers are for encoding. Those that grew large are not kept.
var buffers = sync.Pool{New: func() any { return &buffer{b: make([]byte, 0, 1024)} }}

type buffer struct{ b []byte }

const largestBuffer = 64 << 10

func (c *Client) enqueue(ctx context.Context, m *message) error {
	if ctx == nil {
		ctx = context.Background()
	}
	buf := buffers.Get().(*buffer)
	now := time.Now()
	flags, err := c.encode(ctx, m, buf, now)
	if err == nil {
		err = c.accept(ctx, now, flags, buf.b)
	} else if dropped := (*dropError)(nil); errors.As(err, &dropped) {
		c.filtered.Add(1)
		err = nil
	}
	buf.release()
	return err
}

func (b *buffer) release() {
	if cap(b.b) <= largestBuffer {
		buffers.Put(b)
	}
}

// encode stamps, checks and encodes a message into buf, with the plugins of the
// client in between.
func (c *Client) encode(ctx context.Context, m *message, buf *buffer, now time.Time) (flags recordFlags, err error) {
	f := factsFrom(ctx)
	m.stamp(now, f.identity)
	if flags, err = m.check(buf, now, c.env, f.context); err != nil {
		return 0, err
	}
	if len(c.cfg.Plugins) > 0 {
		if flags, err = c.plug(ctx, buf, now, c.bare); err != nil {
			return 0, err
		}
	}
	if len(buf.b) > m.limit {
		return 0, invalid("message", "has %d bytes of JSON, the limit is %d", len(buf.b), m.limit)
	}
	if flags.call() == callObject {
		return flags, flatProperties(buf.b)
	}
	return flags, nil
}

// check validates and encodes a message; what it returns names every fault.
func (m *message) check(buf *buffer, now time.Time, env *surroundings, ctx *Context) (flags recordFlags, err error) {
	f := m.validate()
	if len(f) == 0 {
		if buf.b, flags, err = m.append(buf.b[:0], now, env, ctx); err == nil {
			return flags, nil
		}
	}
	if f = append(f, m.faultsOfValues(env, ctx)...); len(f) > 0 {
		err = f.err() // which names them all
	}
	return 0, err
}

// plug shows the encoded event to the plugins and encodes what they made of it.
func (c *Client) plug(ctx context.Context, buf *buffer, now time.Time, env *surroundings) (recordFlags, error) {
	e := &Event{}
	if err := e.UnmarshalJSON(buf.b); err != nil {
		return 0, err
	}
	if err := process(ctx, c.cfg.Plugins, e); err != nil {
		return 0, err
	}
	m := e.fields()
	m.stamp(now, Identity{})
	return m.check(buf, now, env, nil)
}

// flatProperties checks the rule of the objects API.
func flatProperties(event []byte) error {
	properties := jsontext.Member(text(event), "properties")
	if properties == "" {
		return invalid("properties", "is required")
	}
	var f faults
	jsontext.EachMember(properties, func(key, value string) bool {
		if value[0] == '{' || value[0] == '[' {
			f.add("properties."+key, "is an object or a list, which objects cannot hold")
		}
		return true
	})
	return f.err()
}

// accept appends the event to the log, and waits for the disk where calls do.
func (c *Client) accept(ctx context.Context, now time.Time, flags recordFlags, event []byte) error {
	if err := c.admit(ctx, now, flags, event); err != nil {
		return err
	}
	return c.settleSync(ctx)
}

// admit appends the event to the log, waiting for room where that is wanted, but not for
// the disk.
func (c *Client) admit(ctx context.Context, now time.Time, flags recordFlags, event []byte) error {
	for {
		err := c.log.append(now.UnixMilli(), flags, event)
		if !errors.Is(err, ErrQueueFull) {
			return err
		}
		if c.cfg.WhenFull != Block {
			c.refused.Add(1)
			return err
		}
		select {
		case <-c.log.space():
		case <-ctx.Done():
			c.refused.Add(1)
			return fmt.Errorf("%w: %w", ErrQueueFull, context.Cause(ctx))
		}
	}
}

// settleSync waits for the event that was just accepted to be on the disk, where every
// call is to.
func (c *Client) settleSync(ctx context.Context) error {
	if c.spool == nil || c.cfg.Spool.Sync != Always {
		return nil
	}
	return c.spool.own.syncAccepted(ctx)
}

// Settle waits as calls do: with Sync: Always until what was accepted before it is safe
// from a loss of power, else not at all. For those who use [Client.EnqueueJSON].
func (c *Client) Settle(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	return c.settleSync(ctx)
}

// Sync waits until every event that was accepted before it is safe from a loss of
// power, as far as the disk tells the truth. It returns [ErrNotDurable], with the
// cause, when ctx ends, when the disk fails, or when a sync of earlier events has
// failed that are not delivered yet. Many calls at a time share one sync. Without a
// spool nothing is ever safe.
func (c *Client) Sync(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	return c.log.sync(ctx)
}

// bury hands a dead letter to the configuration.
func (c *Client) bury(letter DeadLetter) {
	if err := protect(c.cfg.DeadLetters, func() error { return c.cfg.DeadLetters(letter) }); err != nil {
		if c.letters.Add(1) == 1 {
			c.cfg.Logger.Error("dead letters cannot be written", "error", err)
		}
	}
}

// Stats returns the account of the moment.
func (c *Client) Stats() Stats {
	s := Stats{
		Accepted: c.log.end() - c.opened, Refused: c.refused.Load(), Filtered: c.filtered.Load(), LettersLost: c.letters.Load(),
		Destinations: make(map[string]DestinationStats, len(c.loops)),
	}
	s.QueueBytes, s.QueueLimit = c.log.usage()
	if c.spool != nil {
		s.Spool = c.spool.stats()
	}
	if c.outcomes != nil {
		s.OutcomesLost = c.outcomes.lost.Load()
	}
	for _, l := range c.loops {
		s.Destinations[l.name] = l.snapshot()
	}
	return s
}

// Flush waits until everything that was accepted before it has an outcome at every
// destination: it cuts the waiting for fuller batches short and wakes destinations
// that have a schedule, but no pause that a tool has asked for. It returns nil, or a
// [*PendingError] that names what is left: when ctx ends, or at once when all that
// is left waits for longer than ctx lasts.
func (c *Client) Flush(ctx context.Context) error {
	return c.flush(ctx, c.loops)
}

// flush flushes some of the destinations.
func (c *Client) flush(ctx context.Context, loops []*loop) error {
	if ctx == nil {
		ctx = context.Background()
	}
	left := make([]Pending, len(loops))
	var wg sync.WaitGroup
	for i, l := range loops {
		wg.Add(1)
		go func() {
			defer wg.Done()
			left[i] = l.flush(ctx)
		}()
	}
	wg.Wait()
	return pendingError(loops, left)
}

// Close refuses further calls, flushes, and ends the client. When ctx ends, or all
// that is left waits for longer than ctx lasts, it cancels what is under way, gives
// it 100 ms and abandons the rest. What then has no outcome is dropped with the
// reason closed, closed_unknown for what was under way and unauthorized where the
// destination refused our credentials, and Close returns a [*PendingError] that
// names it, joined with what else went wrong. Give ctx a deadline: with none, Close waits as long as MaxAge for a tool
// that is down.
//
// A second Close waits for the first and returns the same.
func (c *Client) Close(ctx context.Context) error {
	if ctx == nil {
		ctx = context.Background()
	}
	c.closing.Do(func() {
		defer close(c.closed)
		c.log.close()
		c.closeErr = c.end(ctx)
	})
	<-c.closed
	return c.closeErr
}

func (c *Client) end(ctx context.Context) error {
	if c.spool != nil {
		c.spool.quit(ctx)
	}
	_ = c.Flush(ctx) // what it could not wait for is counted below
	errs := make([]error, len(c.loops), len(c.loops)+3)
	left := make([]Pending, len(c.loops))
	var wg sync.WaitGroup
	for i, l := range c.loops {
		wg.Add(1)
		go func() {
			defer wg.Done()
			left[i], errs[i] = l.shut(ctx)
		}()
	}
	wg.Wait()
	if c.outcomes != nil {
		c.outcomes.end(ctx)
	}
	if c.spool != nil {
		errs = append(errs, c.spool.shut(ctx))
	}
	if c.kept != nil {
		errs = append(errs, c.kept.close())
	}
	errs = slices.DeleteFunc(append(errs, pendingError(c.loops, left)), func(err error) bool { return err == nil })
	if len(errs) == 1 {
		return errs[0]
	}
	return errors.Join(errs...)
}

// pendingError names the destinations that have something left; nil if none has.
func pendingError(loops []*loop, left []Pending) error {
	err := &PendingError{Destinations: make(map[string]Pending)}
	for i, p := range left {
		if p.Events > 0 {
			err.Destinations[loops[i].name] = p
		}
	}
	if len(err.Destinations) == 0 {
		return nil
	}
	return err
}
