package analytics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Config is what a client is made of. Its zero is a good default, but for one
// thing: set WriteKey or at least one of Destinations. New reads it once and never
// writes to it.
type Config struct {
	// WriteKey names the source at a Segment-compatible endpoint and turns the
	// cloud mode on. It stands for a [Cloud] with this key, Endpoint and Region, and
	// defaults for the rest.
	WriteKey string

	// Endpoint is where the cloud mode sends to: scheme, host and an optional
	// prefix of the path, "https://events.example.com". Empty means Region.
	Endpoint string

	// Region is "us" or "eu". Empty means "us".
	Region string

	// Destinations get the events beside the cloud mode, each at its own pace.
	Destinations []Destination

	// Plugins see every event, in order, on the goroutine of the call.
	Plugins []Plugin

	// Context is part of every event that does not say otherwise.
	Context *Context

	// Consent maps categories of consent to the destinations that need them, by
	// their keys in the integrations object. A destination in several needs all of
	// them; one in none needs no consent.
	Consent map[string][]string

	// Spool keeps events on disk instead of in memory, so that they survive the
	// process. It needs a Dir.
	Spool Spool

	// MaxMemory bounds the events that wait in memory, in bytes. Zero means 32 MiB;
	// the least is 256 KiB.
	MaxMemory int

	// WhenFull is what a call does when even the destination furthest ahead has
	// MaxMemory (with a spool, its MaxBytes) before it: Reject, Block or DropOldest.
	WhenFull WhenFull

	// FlushAt is how many waiting events are worth a request before FlushInterval
	// has passed. A request takes what is there, up to the limits of the
	// destination. Zero means 250.
	FlushAt int

	// FlushInterval is the longest that an event waits for others to share a
	// request with. Zero means 5 seconds; negative means that nothing waits.
	FlushInterval time.Duration

	// MaxAge ends the retrying of an event, counted from when it was accepted. Zero
	// means 4 hours, and 72 hours with a spool.
	MaxAge time.Duration

	// MaxAttempts drops a batch that has failed so often. Zero means no such limit:
	// what ends retrying is MaxAge, and ten failures while others got through.
	MaxAttempts int

	// HTTPClient sends the requests of all destinations; its time-out should be
	// longer than those of their lanes. Redirects are not followed. Nil means a
	// client of its own, which keeps its connections.
	HTTPClient *http.Client

	// OnOutcome is told what became of each event at each destination, on a
	// goroutine of its own, behind a queue of 4,096 outcomes; what does not fit is
	// counted in Stats.OutcomesLost. It must not call Flush or Close.
	OnOutcome func(Outcome)

	// DeadLetters gets the events that a destination will never get, before they
	// are forgotten, but for those that made room unread (lagged, overflow, evicted).
	// It holds up its destination, and no other; several may call it at once. A letter
	// that it refuses is counted in Stats.LettersLost. Nil means nobody, and with a
	// spool a file for each destination beside it. See [DeadLetterFile],
	// [ReadDeadLetters] and [Client.Replay].
	DeadLetters func(DeadLetter) error

	// Logger gets few lines, none of them per event. Nil means slog.Default().
	Logger *slog.Logger
}

// WhenFull is what a call does when the log is full.
type WhenFull uint8

const (
	// Reject returns ErrQueueFull at once.
	Reject WhenFull = iota

	// Block waits until there is room or ctx ends.
	Block

	// DropOldest drops the oldest events that are not on their way, with the reason
	// overflow.
	DropOldest
)

const (
	defaultMemory = 32 << 20
	leastMemory   = 256 << 10
	defaultFlush  = 250
	defaultLinger = 5 * time.Second
	defaultMaxAge = 4 * time.Hour
)

func (c Config) withDefaults() Config {
	c.MaxMemory = cmp.Or(c.MaxMemory, defaultMemory)
	c.FlushAt = cmp.Or(c.FlushAt, defaultFlush)
	c.FlushInterval = cmp.Or(c.FlushInterval, defaultLinger)
	if c.Spool = c.Spool.withDefaults(); c.Spool.Dir != "" {
		c.MaxAge = cmp.Or(c.MaxAge, defaultSpoolAge)
	}
	c.MaxAge = cmp.Or(c.MaxAge, defaultMaxAge)
	c.Logger = slog.New(containedHandler{cmp.Or(c.Logger, slog.Default()).Handler()})
	c.HTTPClient = httpClient(c.HTTPClient)
	c.Destinations = slices.Clone(c.Destinations)
	c.Plugins = slices.Clone(c.Plugins)
	c.Consent = maps.Clone(c.Consent)
	if c.WriteKey != "" {
		c.Destinations = slices.Insert(c.Destinations, 0, Destination(&Cloud{WriteKey: c.WriteKey, Endpoint: c.Endpoint, Region: c.Region}))
	}
	return c
}

// httpClient is a copy of c that follows no redirects.
func httpClient(c *http.Client) *http.Client {
	own := http.Client{}
	if c != nil {
		own = *c
	} else {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = idleConnections
		own.Transport = t
	}
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &own
}

// idleConnections is more than the concurrency of any lane should be, so that no
// connection is closed between two requests.
const idleConnections = 64

// validate reports everything that is wrong, each with its field. It is asked after
// withDefaults.
func (c *Config) validate() error {
	var f faults
	if len(c.Destinations) == 0 {
		f.add("WriteKey", "is empty and there are no Destinations: set one of them")
	}
	if c.WriteKey == "" && (c.Endpoint != "" || c.Region != "") {
		f.add("Endpoint", "and Region need a WriteKey")
	}
	if c.MaxMemory < leastMemory {
		f.add("MaxMemory", "is %d bytes, want at least %d", c.MaxMemory, leastMemory)
	}
	c.Spool.validate(&f)
	if c.WhenFull > DropOldest {
		f.add("WhenFull", "is none of Reject, Block and DropOldest")
	}
	if c.FlushAt < 1 {
		f.add("FlushAt", "is %d, want at least 1", c.FlushAt)
	}
	if c.MaxAge < 0 {
		f.add("MaxAge", "is negative")
	}
	if c.MaxAttempts < 0 {
		f.add("MaxAttempts", "is negative")
	}
	for i, p := range c.Plugins {
		if p == nil {
			f.add(fmt.Sprintf("Plugins[%d]", i), "is nil")
		}
	}
	return f.err()
}

// describe asks the destinations what they are and checks it. Faults carry the
// place in Destinations, or the name where there is one.
func (c *Config) describe() ([]Description, error) {
	var f faults
	descs := make([]Description, len(c.Destinations))
	seen := map[string]bool{}
	for i, d := range c.Destinations {
		field := fmt.Sprintf("Destinations[%d]", i)
		if isNilDestination(d) {
			f.add(field, "is nil")
			continue
		}
		if hasNil(d) {
			f.add(field, "has a plugin or func that is nil")
			continue
		}
		var desc Description
		if err := protect(d, func() error { desc = d.Describe(); return nil }); err != nil {
			f.add(field, "%v", err)
			continue
		}
		name := instanceName(d, desc)
		if name != "" {
			field = name
		}
		switch {
		case desc.Name == "" || name == "":
			f.add(field, "has no name")
		case seen[name]:
			f.add(field, "stands twice in Destinations: give the second a name of its own with Named")
		}
		seen[name] = true
		_, owns := as[Positioner](d)
		descs[i] = desc.withDefaults(c)
		descs[i].validate(field, owns, &f)
	}
	return descs, f.err()
}

// withDefaults fills in limits, in a map of its own.
func (d Description) withDefaults(c *Config) Description {
	if d.Calls == 0 {
		d.Calls = SixCalls
	}
	lanes := d.Lanes
	if len(lanes) == 0 {
		lanes = map[string]Limits{"": {}}
	}
	d.Lanes = make(map[string]Limits, len(lanes))
	for name, l := range lanes {
		l.MaxItems = cmp.Or(l.MaxItems, defaultItems)
		l.MaxBytes = cmp.Or(l.MaxBytes, defaultBytes)
		room := l.MaxBytes - l.Overhead - l.ItemOverhead
		l.MaxItemBytes = min(cmp.Or(l.MaxItemBytes, room), room)
		l.Concurrency = cmp.Or(l.Concurrency, defaultConcurrency)
		l.Linger = max(cmp.Or(l.Linger, c.FlushInterval), 0)
		l.Timeout = cmp.Or(l.Timeout, defaultTimeout)
		l.Rates = slices.Clone(l.Rates)
		for i := range l.Rates {
			l.Rates[i].Per = cmp.Or(l.Rates[i].Per, time.Second)
		}
		d.Lanes[name] = l
	}
	return d
}

func (d Description) validate(field string, ownsCursor bool, f *faults) {
	if d.Every < 0 {
		f.add(field, "has a negative Every")
	}
	if d.Order > Total {
		f.add(field, "has an unknown Order")
	}
	if ownsCursor && (d.Order != Total || len(d.Lanes) != 1) {
		f.add(field, "owns its cursor and needs Total order and one lane")
	}
	for name, l := range d.Lanes {
		field := strings.TrimSuffix(field+" lane "+name, " lane ")
		if l.MaxItems < 1 || l.MaxBytes < 1 || l.MaxItemBytes < 1 || l.Overhead < 0 || l.ItemOverhead < 0 || l.Concurrency < 1 || l.Timeout < 0 {
			f.add(field, "has limits that let nothing pass")
		}
		for _, r := range l.Rates {
			if r.Requests < 0 || r.Items < 0 || r.Burst < 0 || r.Per < 0 || r.Requests == 0 && r.Items == 0 {
				f.add(field, "has a rate that lets nothing pass, or limits nothing")
			}
		}
	}
}

// open opens the destinations; every fault of every one of them is reported. opened
// are those that have to be closed. flush flushes the destination of that number.
func (c *Config) open(descs []Description, flush func(ctx context.Context, i int) error) (opened []Destination, err error) {
	var errs []error
	for i, d := range c.Destinations {
		o, ok := as[Opener](d)
		if !ok || descs[i].Name == "" {
			continue
		}
		env := Env{HTTP: c.HTTPClient, Logger: c.Logger, Flush: func(ctx context.Context) error { return flush(ctx, i) }}
		for j, other := range descs {
			if j != i && !other.IgnoreAll && !slices.Contains(env.DeviceMode, other.Name) {
				env.DeviceMode = append(env.DeviceMode, other.Name)
			}
		}
		if err := protect(d, func() error { return o.Open(env) }); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", instanceName(d, descs[i]), err))
		} else {
			opened = append(opened, d)
		}
	}
	return opened, errors.Join(errs...)
}

// closeAll closes destinations of a client that could not be made.
func closeAll(opened []Destination) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, d := range opened {
		if closer, ok := as[Closer](d); ok {
			_ = protect(d, func() error { return closer.Close(ctx) })
		}
	}
}

// containedHandler keeps a handler of the user that panics from ending the process.
type containedHandler struct{ slog.Handler }

func (h containedHandler) Handle(ctx context.Context, r slog.Record) error {
	return protect(h.Handler, func() error { return h.Handler.Handle(ctx, r) })
}

func (h containedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return containedHandler{h.Handler.WithAttrs(attrs)}
}

func (h containedHandler) WithGroup(name string) slog.Handler {
	return containedHandler{h.Handler.WithGroup(name)}
}
