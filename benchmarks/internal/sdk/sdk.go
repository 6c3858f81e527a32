// Package sdk holds the libraries of the comparison behind one small interface, and
// the work that all of them do.
package sdk

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
)

// ErrRefused is a call that was not accepted and said so.
var ErrRefused = errors.New("refused")

// Client is one library, ready for events. Track may be called concurrently.
type Client interface {
	// Track is the call on the work: one event with a user and properties. An empty
	// id leaves id and time to the library. It returns ErrRefused where the event
	// was not accepted for want of room.
	Track(id string, properties map[string]any) error

	// TrackAppending is Track with properties that append their own JSON. Only
	// where Library.Appends.
	TrackAppending(o *Order) error

	// Idle tells whether there is room again after a refusal.
	Idle() bool

	// Close is the library's own. Where it does not take a context it is left
	// running when ctx ends.
	Close(ctx context.Context) error

	// Dropped is how many events the library itself says it dropped; -1 if it does
	// not count. Valid after Close.
	Dropped() int
}

// Options are what a measurement asks of a library.
type Options struct {
	URL   string
	Plain bool // no compression, where there would be by default
	Block bool // wait for room in place of refusing, where that is a choice

	// Room is how many events the queue should hold, where there is an option.
	Room int

	// Batch is the number of events in a batch, where it should not be the default.
	// Timers are off then.
	Batch int

	// Dir is where events are kept, for a library that keeps them on disk.
	Dir string

	// Outcome is told the end of each event, from any goroutine. id is empty
	// where the library does not say which one.
	Outcome func(id string, n int, delivered bool)
}

// Library is one of those that are compared.
type Library struct {
	Name   string // without spaces, for flags and benchmarks
	Title  string // in tables
	Module string // in go.mod
	Marker string // precedes the id of an event in a request's body

	OwnIDs  bool // makes ids itself
	Gzip    bool // can compress
	Plain   bool // can do without
	Appends bool // takes properties that append their own JSON
	Hurries bool // Close returns when its context ends
	Own     bool // of this repository
	Keeps   bool // on disk, in Options.Dir: what is left at the end is for the next process

	New func(Options) (Client, error)
}

// Ours and Spool are the names of this library with its events in memory and on disk,
// Anchor is that of the one that targets refer to.
const (
	Ours   = "analytics"
	Spool  = "analytics-spool"
	Anchor = "analytics-go"
)

// Libraries returns all of them, ours first.
func Libraries() []Library {
	all := []Library{ours, spooled, segment, posthogGo, rudder, amplitudeGo}
	for i := range all {
		all[i].Title = cmp.Or(all[i].Title, all[i].Name)
	}
	return all
}

// Select returns the libraries named in a comma-separated list; all for "".
func Select(names string) ([]Library, error) {
	all := Libraries()
	if names == "" {
		return all, nil
	}
	var some []Library
	for name := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(l Library) bool { return l.Name == name })
		if i < 0 {
			return nil, errors.New("no library " + name)
		}
		some = append(some, all[i])
	}
	return some, nil
}

// noAppending is for the libraries that have nothing of the kind.
type noAppending struct{}

func (noAppending) TrackAppending(*Order) error { return errors.ErrUnsupported }

// blocking is for the libraries whose calls wait for room.
type blocking struct{}

func (blocking) Idle() bool   { return true }
func (blocking) Dropped() int { return -1 }

// within runs close, which cannot be hurried, and gives up at ctx's end.
func within(ctx context.Context, close func() error) error {
	done := make(chan error, 1)
	go func() { done <- close() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// silent is a logger for all of them. Logging is not what is measured.
type silent struct{}

func (silent) Logf(string, ...any)   {}
func (silent) Debugf(string, ...any) {}
func (silent) Infof(string, ...any)  {}
func (silent) Warnf(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
