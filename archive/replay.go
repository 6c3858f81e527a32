package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tributary-dev/analytics"
)

// ReplayOptions change how Replay works.
type ReplayOptions struct {
	// Rate is the most events a second. Zero: no limit.
	Rate int

	// From goes on behind a checkpoint of an earlier replay of the same query. Files that
	// have been finished since, with events that were received before it, are not sent.
	From Checkpoint

	// SkipDamaged goes on behind a damaged file: what is in front of the damage is sent, and
	// what is damaged is in Replayed.Faults. Otherwise Replay ends there, with an error that
	// is [ErrDamaged].
	SkipDamaged bool

	// Save is called when all events up to a checkpoint have an outcome, after about each
	// 10,000 events and at the end. An error ends the replay.
	Save func(Checkpoint) error

	// Progress is called after each file and each checkpoint.
	Progress func(Progress)
}

// A Checkpoint is a place of a replay. Its JSON can be kept. Where Forget has changed the
// file since, that is sent from its start.
type Checkpoint struct {
	FirstReceived time.Time `json:"firstReceived"` // of the file
	Key           string    `json:"key"`
	SHA256        string    `json:"sha256"` // of the file: another one is sent from its start
	Line          int64     `json:"line"`   // the last one that is done

	// Damaged is how many files were skipped in front of it, with SkipDamaged.
	Damaged int64 `json:"damaged,omitempty"`
}

// Replayed says what a replay has done.
type Replayed struct {
	Files  int64 `json:"files"`
	Events int64 `json:"events"` // that were accepted

	// Refused are events that the target does not take: it does not support their call,
	// their consent says no, or they have grown too large. Reason is that of the first.
	Refused int64  `json:"refused"`
	Reason  string `json:"reason,omitempty"`

	// Dropped are events that a destination of ToDestination has refused for good.
	Dropped int64 `json:"dropped,omitempty"`

	// Faults are what was damaged, with SkipDamaged, behind ReplayOptions.From: the first 1,000;
	// MoreFaults counts the others.
	Faults     []Fault `json:"faults,omitempty"`
	MoreFaults int64   `json:"moreFaults,omitempty"`

	// Last is the checkpoint from which to go on.
	Last Checkpoint `json:"last"`
}

const (
	saveEvery = 10_000 // events between two checkpoints
	fullPause = 20 * time.Millisecond
)

// Replay sends the events of a query once more, to one destination. All but integrations
// stays: messageId, times, receivedAt and consent among it, so that a tool that dedupes
// has each event once; see [ToClient] and [ToDestination]. Plugins of the client see
// none of them.
//
// A full queue is waited for, until ctx ends. When Replay returns nil, every event that
// was accepted has an outcome at the target. Ended early, it can go on behind the
// checkpoint in what it returns; what it has sent behind that is sent again.
//
// An event that is larger than 32,768 bytes only by the receivedAt that the archive has
// added is sent without it.
func (a *Archive) Replay(ctx context.Context, q Query, to Target, o ReplayOptions) (done Replayed, err error) {
	if o.Rate < 0 {
		return done, &analytics.InvalidError{Field: "Rate", Reason: "is negative"}
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if err := to.open(cancel); err != nil {
		return done, err
	}
	r := replay{a: a, to: &to, s: q.selector(), o: o, done: Replayed{Last: o.From}, damaged: o.From.Damaged}
	err = errors.Join(r.run(ctx, &q), to.close(ctx))
	r.done.Dropped = to.dropped.Load()
	return r.done, err
}

type replay struct {
	a   *Archive
	to  *Target
	s   *selector
	o   ReplayOptions
	due time.Time // of the next event

	done     Replayed
	progress Progress
	at       Checkpoint // the last event that was looked at
	damaged  int64      // files in front of it
	since    int        // events behind the last checkpoint
	sent     int64
}

func (r *replay) run(ctx context.Context, q *Query) error {
	var damaged error
	places, err := r.a.places(ctx, q, func(err error) bool { damaged = r.skipped(err); return damaged == nil })
	if err = cmp.Or(damaged, err); err != nil {
		return err
	}
	if err := r.measure(ctx, places); err != nil {
		return err
	}
	from := place{received: r.o.From.FirstReceived, key: r.o.From.Key}
	for _, p := range places {
		if err := r.place(ctx, p, from); err != nil {
			return err
		}
		r.progress.Files++
		r.tell()
	}
	return r.save(ctx)
}

// place sends the events of a file that is not in front of where to begin.
func (r *replay) place(ctx context.Context, p, from place) error {
	m, err := r.a.manifest(ctx, p.manifest)
	if errors.Is(err, ErrNotFound) {
		return nil // Forget has left nothing of it
	}
	if err != nil {
		return r.skipped(err)
	}
	if from.key != "" && p.compare(from) < 0 {
		r.progress.Bytes += m.Bytes
		return nil
	}
	skip := int64(0)
	if p.key == from.key && m.SHA256 == r.o.From.SHA256 && m.Rewriting == nil { // then the file may be another already
		skip = r.o.From.Line
	}
	got, err := r.file(ctx, m, skip)
	if err == nil && got.other && skip > 0 { // which counts the lines of another file
		return r.place(ctx, p, from)
	}
	r.progress.Bytes += m.Bytes
	if err == nil {
		r.done.Files++
	}
	if errors.Is(err, ErrDamaged) {
		r.damaged++
	}
	return r.skipped(err)
}

// skipped notes damage that is no reason to end, and returns what is one.
func (r *replay) skipped(err error) error {
	var bad *fault
	if !r.o.SkipDamaged || !errors.As(err, &bad) {
		return err
	}
	noteFault(&r.done.Faults, &r.done.MoreFaults, bad)
	return nil
}

// measure finds out how much there is, if anybody wants to know.
func (r *replay) measure(ctx context.Context, places []place) error {
	r.progress.AllFiles = int64(len(places))
	for _, p := range places {
		if r.o.Progress == nil {
			return nil
		}
		o, err := r.a.bucket.Stat(ctx, p.key)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("archive: %s: %w", p.key, err)
		}
		r.progress.AllBytes += o.Size
	}
	return nil
}

func (r *replay) tell() {
	if r.o.Progress != nil {
		r.o.Progress(r.progress)
	}
}

// file sends the events of a file, but for the first lines.
func (r *replay) file(ctx context.Context, m *Manifest, skip int64) (reading, error) {
	return r.a.read(ctx, m, func(n int64, line []byte, v *fields) error {
		if n <= skip {
			return nil
		}
		if r.s.selects(v) {
			if err := r.send(ctx, line); err != nil {
				return err
			}
			r.since++
		}
		if r.at = (Checkpoint{m.FirstReceived, m.Key, m.SHA256, n, r.damaged}); m.Rewriting != nil {
			r.at.SHA256 = ""
		}
		if r.since >= saveEvery {
			return r.save(ctx)
		}
		return nil
	})
}

// save waits until all that was sent has an outcome.
func (r *replay) save(ctx context.Context) error {
	if r.since > 0 {
		if err := r.to.flush(ctx); err != nil {
			return fmt.Errorf("archive: replay: %w", err)
		}
	}
	r.since = 0
	if r.at.Key != "" {
		r.done.Last = r.at
	}
	r.tell()
	if r.o.Save != nil && r.done.Last.Key != "" {
		return r.o.Save(r.done.Last)
	}
	return nil
}

// rateBurst is for how long a replay may be ahead of its rate, since no sleep is exact.
const rateBurst = 10 * time.Millisecond

// send gives an event to the client, when it is its turn and there is room.
func (r *replay) send(ctx context.Context, line []byte) error {
	if r.o.Rate > 0 {
		if earliest := time.Now().Add(-rateBurst); r.due.Before(earliest) { // what stood still is not made up for
			r.due = earliest
		}
		if err := sleep(ctx, time.Until(r.due)); err != nil {
			return err
		}
		r.due = r.due.Add(time.Duration(float64(time.Second) / float64(r.o.Rate)))
	}
	r.sent++
	event := r.to.addressed(line)
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		err := r.to.client.Replay(ctx, analytics.DeadLetter{Event: event, Destination: r.to.name})
		var invalid *analytics.InvalidError
		switch {
		case err == nil, errors.Is(err, analytics.ErrNotDurable): // which says that it is accepted
			r.done.Events++
			r.progress.Events++
			return nil
		case errors.Is(err, analytics.ErrQueueFull):
			if err := sleep(ctx, fullPause); err != nil {
				return err
			}
			continue
		case errors.As(err, &invalid):
			r.done.Refused++
			r.done.Reason = cmp.Or(r.done.Reason, invalid.Error())
			return nil
		}
		return fmt.Errorf("archive: replay: %w", err)
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
