package analytics

import (
	"context"
	"log/slog"
	"net/http"
	"time"
)

// A Destination receives events: a description of what it takes, a pure
// translation, and one request. Queueing, batching, order, rates, retries,
// pauses, splitting, dead letters, counting and draining are done around it by
// the [Client]; an adapter never sleeps, retries or starts goroutines, and keeps
// no event, item or bytes after Deliver has returned.
//
// What a destination can do beyond the three methods is looked up once by [New]:
// [Opener], [Closer], [RawTranslator] and [Positioner].
type Destination interface {
	// Describe depends on the fields of the implementing struct only. New calls
	// it once, before Open.
	Describe() Description

	// Translate turns one event into the items that stand for it. It is pure: no
	// I/O, no clock, no randomness, so that the same event becomes the same items
	// after a restart. The event is shared with other destinations and must not be
	// changed. No items, or [ErrIgnored], count as filtered; an [*InvalidError]
	// sends the event to the dead letters, and so does any other error.
	Translate(*Event) ([]Item, error)

	// Deliver sends one batch in one request, or in a short flow that is fixed.
	// Its error says what happens next: see the words in errors.go. ctx ends at
	// the lane's Timeout, and when the client is closed. Calls may overlap, as many
	// at a time as the lane's Concurrency.
	Deliver(ctx context.Context, b *Batch) error
}

// An Opener is opened by New before the first event reaches it. Open checks the
// settings and reports every fault at once, each with its field.
type Opener interface {
	Open(Env) error
}

// A Closer is closed once, after the last Deliver returned or was abandoned.
type Closer interface {
	Close(ctx context.Context) error
}

// A RawTranslator takes events as the JSON that the log holds, without decoding:
// the way of the cloud mode, of brokers, files and warehouses. It is used in place
// of Translate wherever nothing has to look into the event.
type RawTranslator interface {
	// TranslateRaw must agree with Translate. raw is read-only and may serve as
	// Item.Body; it stays as it is until the item is resolved. Copy it into the body
	// of a request: net/http may read that after Do has returned.
	TranslateRaw(h *Header, raw []byte) (Item, error)
}

// A Positioner owns its cursor: it stores, in one transaction with the rows of a
// batch, up to where it has read a log. Its Description asks for [Total] order
// and one lane, so that the ranges of its batches follow one another without gap
// or overlap; a batch without items says that nothing of its range was for it.
type Positioner interface {
	// Position is asked once per log before the first event of it is read: next is
	// the first sequence number that has not been stored; ok false means that the
	// log is new to the destination. On an error the destination waits and is
	// asked again.
	Position(ctx context.Context, log LogID) (next uint64, ok bool, err error)
}

// Env is what the client lends to a destination.
type Env struct {
	// HTTP follows no redirects and keeps connections alive. The ctx of Deliver ends
	// a request; only Config.HTTPClient may have a time-out of its own.
	HTTP *http.Client

	// Logger is for warnings about the configuration. Never log content of events.
	Logger *slog.Logger

	// DeviceMode names the other destinations of the client that get events
	// directly, as keys of the integrations object.
	DeviceMode []string

	// Flush is Client.Flush for this destination alone: what was accepted before it has
	// an outcome when it returns nil, whatever the schedule says. It is for methods that
	// users call; a call out of Deliver, Translate or Position would wait for itself. It
	// fails until New has returned.
	Flush func(ctx context.Context) error
}

// A Description says what a destination takes, and how.
type Description struct {
	// Name is the destination's key in the integrations object, and its name in
	// Stats and outcomes unless [Named] gives it another. Case-sensitive.
	Name string

	// Aliases are former and alternative keys in the integrations object.
	Aliases []string

	// Calls are the calls that are supported; zero means the six calls.
	Calls Calls

	// Order is what has to stay in order, over all lanes.
	Order Order

	// Every wakes the destination on this schedule instead of whenever there are
	// events: it then reads up to what was accepted when it woke. Zero: as events
	// come.
	Every time.Duration

	// IgnoreAll keeps `"All": false` of the integrations object from stopping this
	// destination, as it does for the cloud mode and for warehouses.
	IgnoreAll bool

	// Lanes are the kinds of request, each with its limits: "events", "profiles".
	// Most destinations have one, named "". Nil means one lane with defaults.
	Lanes map[string]Limits
}

// Order is what a destination wants kept in order.
type Order uint8

const (
	// Unordered lets any batch overtake any other.
	Unordered Order = iota

	// PerKey starts an item only when all earlier items of its Key, in any lane,
	// are resolved or ride earlier in the same request. An item that is retried
	// holds back its key and nobody else.
	PerKey

	// Total is PerKey with one key for everything.
	Total
)

// Limits are what one kind of request can bear.
type Limits struct {
	// MaxItems is the most items in a request. Zero means 1,000.
	MaxItems int

	// MaxBytes is the largest body in bytes: Overhead, and for each item its size
	// and ItemOverhead. Zero means 1 MB (1,000,000).
	MaxBytes int

	// MaxItemBytes is the largest item in bytes; a larger one is dropped as
	// invalid. Zero means what fits into MaxBytes.
	MaxItemBytes int

	// Overhead and ItemOverhead are the bytes that the envelope adds to a request
	// and to each item.
	Overhead, ItemOverhead int

	// Rates all apply, each as a token bucket.
	Rates []Rate

	// Concurrency is the most requests at a time. Zero means 4. The client starts
	// with one, adds one for each round of successes and halves the number when
	// the tool throttles or slows down.
	Concurrency int

	// Linger is the longest that an item waits for its batch to fill. Zero means
	// Config.FlushInterval; negative means not at all.
	Linger time.Duration

	// Timeout ends a request. Zero means 30 seconds.
	Timeout time.Duration
}

// A Rate allows so many requests and items per period of time. A zero count is
// not limited.
type Rate struct {
	Requests, Items int

	// Per is the period; zero means one second.
	Per time.Duration

	// Burst is the most that may go at once after a quiet time, in requests or
	// items; zero means as many as the period allows.
	Burst int

	// PerGroup applies the rate to each Group of items by itself.
	PerGroup bool
}

// An Item is one thing to deliver: an element of a request's list, or a request.
type Item struct {
	// Lane names one of the description's lanes.
	Lane string

	// Key orders items where the destination asks for PerKey. Empty means the
	// userId, else the anonymousId.
	Key string

	// Group keeps items apart: only those of one group share a request.
	Group string

	// ID is the key by which the tool dedupes. Empty means the messageId.
	ID string

	// Body is the encoded item, usually JSON. Its length counts.
	Body []byte

	// Data travels to Deliver as it is and is never stored: after a restart
	// Translate runs again.
	Data any

	// Size stands for the length of Body where the item is Data. Bytes.
	Size int
}

// A Batch is what one Deliver is asked to send.
type Batch struct {
	Lane  string
	Items []Item

	// Attempt is how often this batch was tried before: 0 on the first try.
	Attempt int

	// Log, From and To are the log and the range of sequence numbers, To not
	// included, that the batch stands for. With Total order and one lane the
	// ranges follow one another and cover the events that were filtered too.
	Log      LogID
	From, To uint64
}

// LogID names a log; no sequence number is ever used twice under one id.
type LogID [16]byte

// A Header is what is known of an event before it is decoded.
type Header struct {
	Type                Call
	MessageID           string
	UserID, AnonymousID string
	Event               string // event of a track call, name of a page or screen, collection of an object
	HasMetadata         bool   // the event brings a "_metadata" of its own
	AcceptedAt          time.Time
	Log                 LogID
	Seq                 uint64
}

// Key is the ordering key of an event that names none itself: the userId, else
// the anonymousId.
func (h *Header) Key() string {
	if h.UserID != "" {
		return h.UserID
	}
	return h.AnonymousID
}
