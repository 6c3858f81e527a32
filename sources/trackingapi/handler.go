package trackingapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
)

// Config is what a [Handler] is made of.
type Config struct {
	// Keys says which write keys are known, and whose client gets the events. Required.
	Keys KeyStore

	// Tokens checks Bearer tokens. Nil refuses them.
	Tokens TokenVerifier

	// Limits bound requests.
	Limits Limits

	// Window remembers messageIds, so that each is accepted once. Nil means one in
	// memory with the defaults of [OpenWindow], which the handler closes; a window that
	// is given belongs to the caller. NoDedupe accepts whatever comes.
	Window   *Window
	NoDedupe bool

	// Facts says which proxies are believed about the address of a client.
	Facts analytics.RequestFacts

	// Origins are the origins from which browsers may send: "https://shop.example". Nil
	// means all.
	Origins []string

	// Strict answers a request that holds a message which is discarded with 400 and the
	// code. For tests: clients drop what is answered so.
	Strict bool

	// Links turns the Querystring API on for GET requests whose query has its parameters,
	// which anyone can forge: each has to match a pattern. Nil turns it off.
	Links *Querystring

	// Pixels says whether pixels have to be signed.
	Pixels PixelRules

	// OnDiscard is told of every message that was not accepted because of what it is. It
	// is called by the request's goroutine and must not block.
	OnDiscard func(Discard)

	// Logger gets few lines, none of them per request. Nil means slog.Default().
	Logger *slog.Logger
}

// Limits bound what a request may be. Zero means the default; negative is a fault.
type Limits struct {
	// MessageBytes is the largest message. Zero means 32 KiB, which is also the most.
	MessageBytes int

	// BodyBytes is the largest body, before and after decompression. Zero means 1 MB:
	// Segment says 500 KB, and real clients send more.
	BodyBytes int

	// Messages is the most messages in a batch. Zero means 2,500.
	Messages int

	// ReadTimeout ends the reading of a body. Zero means 30 seconds.
	ReadTimeout time.Duration
}

const (
	maxMessageBytes = 32 << 10
	maxBodyBytes    = 1_000_000
	maxMessages     = 2500
	readTimeout     = 30 * time.Second
)

func (l Limits) withDefaults() Limits {
	if l.MessageBytes == 0 {
		l.MessageBytes = maxMessageBytes
	}
	if l.BodyBytes == 0 {
		l.BodyBytes = maxBodyBytes
	}
	if l.Messages == 0 {
		l.Messages = maxMessages
	}
	if l.ReadTimeout == 0 {
		l.ReadTimeout = readTimeout
	}
	return l
}

func (c *Config) faults() error {
	var errs []error
	add := func(field, reason string) { errs = append(errs, &analytics.InvalidError{Field: field, Reason: reason}) }
	if c.Keys == nil {
		add("Keys", "is required")
	}
	if keys, ok := c.Keys.(Keys); ok {
		errs = append(errs, keys.faults()...)
	}
	for _, l := range []struct {
		field string
		value int
	}{
		{"Limits.MessageBytes", c.Limits.MessageBytes}, {"Limits.BodyBytes", c.Limits.BodyBytes},
		{"Limits.Messages", c.Limits.Messages}, {"Limits.ReadTimeout", int(c.Limits.ReadTimeout)},
	} {
		if l.value < 0 {
			add(l.field, "is negative")
		}
	}
	if c.Limits.MessageBytes > maxMessageBytes {
		add("Limits.MessageBytes", fmt.Sprintf("is more than %d, which is the most that a message may be", maxMessageBytes))
	}
	if c.Window != nil && c.NoDedupe {
		add("Window", "and NoDedupe exclude each other")
	}
	for _, origin := range c.Origins {
		if origin != "*" && !isOrigin(origin) {
			add("Origins", fmt.Sprintf("has %q, which is no origin: scheme and host, nothing else", origin))
		}
	}
	if c.Pixels.Require && len(c.Pixels.Secret) == 0 {
		add("Pixels.Secret", "is required to require signatures")
	}
	return errors.Join(errs...)
}

// Handler receives requests of the Tracking API. It can be mounted under any prefix,
// since paths are read from their end. Safe for concurrent use.
type Handler struct {
	cfg     Config
	limits  Limits
	window  *Window // nil: no dedupe
	own     bool    // the window is the handler's
	rates   rates
	bulk    *bulk
	metrics metrics

	mu      sync.Mutex
	closed  bool
	serving sync.WaitGroup // added to under mu
}

// New makes a handler. It reports everything that is wrong with cfg at once.
func New(cfg Config) (*Handler, error) {
	if err := cfg.faults(); err != nil {
		return nil, fmt.Errorf("trackingapi: %w", err)
	}
	cfg.Origins = slices.Clone(cfg.Origins)
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	h := &Handler{cfg: cfg, limits: cfg.Limits.withDefaults(), window: cfg.Window, bulk: newBulk()}
	if cfg.Window == nil && !cfg.NoDedupe {
		w, err := OpenWindow(WindowConfig{})
		if err != nil {
			return nil, fmt.Errorf("trackingapi: %w", err)
		}
		h.window, h.own = w, true
	}
	return h, nil
}

// Close refuses what comes from now on with 503, so that clients try again elsewhere or
// later, and waits until the requests in progress are answered or ctx ends. It does not
// close the clients.
func (h *Handler) Close(ctx context.Context) error {
	h.mu.Lock()
	first := !h.closed
	h.closed = true
	h.mu.Unlock()
	done := make(chan struct{})
	go func() { h.serving.Wait(); close(done) }()
	select {
	case <-done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if h.own && first {
		return h.window.Close()
	}
	return nil
}

// begin tells whether the handler is open, and counts the request if it is.
func (h *Handler) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return false
	}
	h.serving.Add(1)
	return true
}

// ServeHTTP answers a request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	rt, found := routeOf(r.URL.Path)
	h.allowOrigin(w, r)
	c := &exchange{h: h, w: w, r: r, route: rt, received: start}
	switch {
	case !found && h.isLink(r):
		c.link()
	case !found:
		c.refuse(http.StatusNotFound, codeBadRequest, "no such path")
	case r.Method == http.MethodOptions:
		c.preflight()
	case !slices.Contains(rt.methods(), r.Method):
		w.Header().Set("Allow", strings.Join(append(rt.methods(), http.MethodOptions), ", "))
		c.refuse(http.StatusMethodNotAllowed, codeBadRequest, "method not allowed")
	case rt.kind == kindHealth:
		c.health()
	case !h.begin():
		c.unavailable("shutting down")
	default:
		defer h.serving.Done() // also of what panics
		c.serve()
	}
	h.metrics.done(c.status, time.Since(start))
}

// kind is what a path is for.
type kind int

const (
	kindCall  kind = iota // one message
	kindBatch             // an envelope
	kindMetrics
	kindPixel
	kindSettings
	kindSet
	kindBulkStart
	kindBulkUpload
	kindKeepAlive
	kindBulkFinish
	kindHealth
)

// route is what a path means.
type route struct {
	kind  kind
	call  analytics.Call
	param string // the write key of settings, the id of an upload
}

func (rt route) methods() []string {
	switch rt.kind {
	case kindPixel, kindSettings, kindHealth:
		return []string{http.MethodGet, http.MethodHead}
	}
	return []string{http.MethodPost}
}

var callPaths = map[string]analytics.Call{
	"identify": analytics.CallIdentify, "i": analytics.CallIdentify,
	"track": analytics.CallTrack, "t": analytics.CallTrack,
	"page": analytics.CallPage, "p": analytics.CallPage,
	"screen": analytics.CallScreen, "s": analytics.CallScreen,
	"group": analytics.CallGroup, "g": analytics.CallGroup,
	"alias": analytics.CallAlias, "a": analytics.CallAlias,
}

// routeOf reads a path from its end, so that whatever is in front of it may be a prefix.
func routeOf(path string) (route, bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	at := func(fromEnd int) string {
		if i := len(parts) - 1 - fromEnd; i >= 0 {
			return parts[i]
		}
		return ""
	}
	last := at(0)
	switch {
	case at(1) == "v1":
		return v1Route(last)
	case at(2) == "v1" && at(1) == "pixel":
		call, ok := callPaths[last]
		if !ok || len(last) == 1 {
			return route{}, false
		}
		return route{kind: kindPixel, call: call}, true
	case at(2) == "projects" && last == "settings":
		return route{kind: kindSettings, param: at(1)}, at(1) != ""
	case at(1) == "v0" && last == "start":
		return route{kind: kindBulkStart}, true
	case at(2) == "v0":
		k, ok := map[string]kind{"upload": kindBulkUpload, "keep-alive": kindKeepAlive, "finish": kindBulkFinish}[at(1)]
		return route{kind: k, param: last}, ok
	}
	return route{}, false
}

func v1Route(last string) (route, bool) {
	switch last {
	case "batch", "import", "b":
		return route{kind: kindBatch}, true
	case "m":
		return route{kind: kindMetrics}, true
	case "set":
		return route{kind: kindSet}, true
	case "health":
		return route{kind: kindHealth}, true
	}
	call, ok := callPaths[last]
	return route{kind: kindCall, call: call}, ok
}
