package analytics

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

var (
	// ErrQueueFull is returned by a call when the log is at its bound even for the
	// destination that is furthest ahead (Config.WhenFull). The event was not
	// accepted and is counted in Stats.Refused.
	ErrQueueFull = errors.New("analytics: queue full")

	// ErrNotDurable is returned where an event is accepted but not known to survive a
	// loss of power: by Client.Sync, and by calls with Sync: Always.
	ErrNotDurable = errors.New("analytics: not durable")

	// ErrClosed is returned by calls after Close.
	ErrClosed = errors.New("analytics: client closed")

	// ErrIgnored is what Translate returns for an event that is not for this tool.
	// It counts as filtered and makes no noise.
	ErrIgnored = errors.New("analytics: event ignored")
)

// An InvalidError names the field of a message, of an event or of the
// configuration that cannot be taken, and why. It holds no value.
type InvalidError struct {
	Field  string // as in the JSON: "properties.revenue"; of a Config: "Region"
	Reason string
	cause  error
}

// Error returns "field: reason".
func (e *InvalidError) Error() string { return e.Field + ": " + e.Reason }

// Unwrap returns what the value's own encoding said, if that was the reason.
func (e *InvalidError) Unwrap() error { return e.cause }

func invalid(field, format string, args ...any) *InvalidError {
	return &InvalidError{Field: field, Reason: fmt.Sprintf(format, args...)}
}

// The words of Deliver. Each wraps its cause; nil means that all items arrived,
// any other error that it should be tried again later, with the same items.

// Word is what an answer of Deliver says.
type Word uint8

// The words, as the functions below say them.
const (
	WordDelivered Word = iota // nil
	WordAgain                 // a plain error
	WordRetryAfter
	WordRetryAtMost
	WordPermanent
	WordUnauthorized
	WordSplit
)

// String describes the word.
func (w Word) String() string {
	words := [...]string{"delivered", "again", "retry after a pause", "retry a few times", "permanent", "unauthorized", "split"}
	if int(w) >= len(words) {
		return "unknown"
	}
	return words[w]
}

// Classify finds the word of an answer of Deliver, and the pause that goes with
// it. Wrappers and tests of destinations use it. A [*BatchError] is WordAgain: its
// items speak for themselves.
func Classify(err error) (w Word, after time.Duration) {
	if err == nil {
		return WordDelivered, 0
	}
	e := wordOf(err)
	return e.word, e.after
}

type wordError struct {
	word  Word
	after time.Duration
	n     int
	cause error
}

func (e *wordError) Error() string {
	if e.cause != nil {
		return e.cause.Error()
	}
	return e.word.String()
}

func (e *wordError) Unwrap() error { return e.cause }

// RetryAfter says: not before d has passed. For a whole batch it pauses the lane;
// inside a [*BatchError] it delays that item and its key only. It does not count as
// an attempt. With d of zero or less the backoff chooses the pause.
func RetryAfter(d time.Duration, err error) error {
	return &wordError{word: WordRetryAfter, after: max(d, 0), cause: err}
}

// RetryAtMost says: try n more times at the most, each after the given pause, then
// never. With a pause of zero or less the backoff chooses it.
func RetryAtMost(n int, after time.Duration, err error) error {
	return &wordError{word: WordRetryAtMost, n: max(n, 0), after: max(after, 0), cause: err}
}

// Permanent says: never. The events are dropped as rejected and go to the dead
// letters.
func Permanent(err error) error { return &wordError{word: WordPermanent, cause: err} }

// Unauthorized says that key or settings are refused: the whole destination
// pauses and is tried once a minute, while its events wait within the bounds.
func Unauthorized(err error) error { return &wordError{word: WordUnauthorized, cause: err} }

// Split says that the batch is too large or that one of its items is bad: it is
// halved and tried again. For a single item it means [Permanent].
func Split(err error) error { return &wordError{word: WordSplit, cause: err} }

// wordOf finds the word of an error, which is a plain "again" where none was said.
// It does not look into a BatchError.
func wordOf(err error) *wordError {
	var w *wordError
	if errors.As(err, &w) {
		return w
	}
	return &wordError{word: WordAgain, cause: err}
}

// hideURLs returns err with a text in which the addresses of HTTP requests end behind
// their host: the rest may hold a key. The text is made now, so that it is not made
// later where a foreign method must not panic.
func hideURLs(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	for _, e := range urlErrors(err, nil) {
		short := "an address"
		if u, parseErr := url.Parse(e.URL); parseErr == nil {
			short = (&url.URL{Scheme: u.Scheme, Host: u.Host}).String()
		}
		if e.URL != "" {
			text = strings.ReplaceAll(text, e.URL, short)
		}
	}
	w := wordOf(err)
	return &wordError{word: w.word, after: w.after, n: w.n, cause: &textError{text, err}}
}

func urlErrors(err error, found []*url.Error) []*url.Error {
	if e, ok := err.(*url.Error); ok && e != nil {
		found = append(found, e)
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		if inner := e.Unwrap(); inner != nil {
			found = urlErrors(inner, found)
		}
	case interface{ Unwrap() []error }:
		for _, inner := range e.Unwrap() {
			found = urlErrors(inner, found)
		}
	}
	return found
}

// textError is an error with another text.
type textError struct {
	text string
	err  error
}

func (e *textError) Error() string { return e.text }
func (e *textError) Unwrap() error { return e.err }

// BatchError answers for the items of a batch one by one: index in Batch.Items to
// one of the words. Items that are not named were delivered. It does not unwrap,
// or one rejected item would make the whole batch look rejected.
type BatchError struct {
	Items map[int]error
}

// Error counts the items and quotes the first one.
func (e *BatchError) Error() string {
	if len(e.Items) == 0 {
		return "no item failed"
	}
	first := -1
	for i := range e.Items {
		if first < 0 || i < first {
			first = i
		}
	}
	return fmt.Sprintf("%d items failed, item %d: %v", len(e.Items), first, e.Items[first])
}

// Set names item i. The first word for an item stays.
func (e *BatchError) Set(i int, err error) {
	if e.Items == nil {
		e.Items = make(map[int]error)
	}
	if _, ok := e.Items[i]; !ok {
		e.Items[i] = err
	}
}

// OrNil returns e, or nil where no item failed.
func (e *BatchError) OrNil() error {
	if e == nil || len(e.Items) == 0 {
		return nil
	}
	return e
}

// PendingError names what had no outcome when Flush or Close returned, by
// destination.
type PendingError struct {
	Destinations map[string]Pending
}

// Pending is what one destination had left, and what it was waiting for: "in
// flight", "waiting", "retry", "retry after", "unauthorized", "position".
type Pending struct {
	Events int
	Reason string
}

// Error lists the destinations.
func (e *PendingError) Error() string {
	names := make([]string, 0, len(e.Destinations))
	for name, p := range e.Destinations {
		names = append(names, fmt.Sprintf("%s %d (%s)", name, p.Events, p.Reason))
	}
	slices.Sort(names)
	return "analytics: events without an outcome: " + strings.Join(names, ", ")
}

// ResponseError is the one place where the status of an HTTP response becomes a
// word of Deliver. It reads what is left of the body, up to 64 KiB and for a second
// at the most, so that the connection can be used again, and closes it.
//
//	2xx                                                     nil
//	408, 425, 5xx but for 501, 505 and 511                  again; a Retry-After is the least wait
//	423, 429                                                RetryAfter
//	401, 403, 407, 511                                      Unauthorized
//	413, and 400 and 422 of a batch of more than one        Split
//	3xx and everything else                                 Permanent
//
// Split of a single item is Permanent, so 400 and 422 need no count here. Network
// errors come from the HTTP client and are plain errors already.
func ResponseError(res *http.Response) error {
	drain(res.Body)
	return statusError(res.StatusCode, res.Header)
}

func statusError(status int, h http.Header) error {
	if status >= 200 && status < 300 {
		return nil
	}
	err := &StatusError{Status: status}
	switch {
	case status == 423, status == 429:
		after, _ := parseRetryAfter(h, time.Now())
		return RetryAfter(after, err)
	case status == 401, status == 403, status == 407, status == 511:
		return Unauthorized(err)
	case status == 400, status == 413, status == 422:
		return Split(err)
	case status == 408, status == 425, status >= 500 && status != 501 && status != 505:
		after, _ := parseRetryAfter(h, time.Now())
		return &wordError{word: WordAgain, after: after, cause: err}
	}
	return Permanent(err)
}

// StatusError is an HTTP status that is not a success.
type StatusError struct{ Status int }

// Error gives the number and its text. The body is left out: vendors quote
// content of events and keys in it.
func (e *StatusError) Error() string {
	return strings.TrimSpace("status " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status))
}

const (
	drainBytes = 64 << 10
	drainTime  = time.Second
)

// drain reads the rest of a body so that its connection is kept, and closes it.
// A body that is too long or too slow costs its connection and nothing else.
func drain(body io.ReadCloser) {
	if body == nil {
		return
	}
	stop := time.AfterFunc(drainTime, func() { body.Close() })
	_, _ = io.CopyN(io.Discard, body, drainBytes+1)
	stop.Stop()
	body.Close()
}

// parseRetryAfter reads Retry-After as seconds or as an HTTP date. A negative or
// past value is a wait of zero; anything unreadable is not ok.
func parseRetryAfter(h http.Header, now time.Time) (d time.Duration, ok bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if secs, err := strconv.ParseFloat(v, 64); err == nil {
		if !(secs > 0) {
			return 0, secs <= 0
		}
		return time.Duration(min(secs, maxRetryAfter.Seconds()) * float64(time.Second)), true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}

// maxRetryAfter bounds what a server can ask for: longer than any MaxAge, short
// enough for the arithmetic of times.
const maxRetryAfter = 30 * 24 * time.Hour
