package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
)

// ourOwn returns the row of this repository's spool. The log itself is not exported, so
// what is measured is a public client: append is a call of Track for each event, with
// the 1 KB event as properties around which the client puts what it stamps; so the speed
// stands in a table of its own, with the CPU an event, encoding included.
func ourOwn() []contender {
	return []contender{{name: "analytics (spool)", module: "github.com/tributary-dev/analytics", whole: true, copies: "ring", open: openOwn}}
}

// ownStore is a client with one destination, which hands each batch to read and answers
// when commit is called.
type ownStore struct {
	client  *analytics.Client
	sink    *ownSink
	current *ownBatch // handed out, at least in part, and not answered
	given   int       // items of it that were read
	event   ownEvent
	out     [][]byte // of the last read
	buf     []byte
}

const ownName = "store"

func openOwn(o options) (store, error) {
	s := &ownStore{sink: &ownSink{batches: make(chan *ownBatch)}}
	s.sink.hold()
	cfg := analytics.Config{
		Destinations: []analytics.Destination{s.sink},
		Spool:        analytics.Spool{Dir: filepath.Join(o.dir, "spool"), MaxBytes: 16 << 30},
		WhenFull:     analytics.Block, // for a disk that is slower than the calls
		Logger:       slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	if o.small { // a call that waits for room on a full disk would wait for ever
		cfg.WhenFull, cfg.Spool.MinFree, cfg.Spool.MaxBytes = analytics.Reject, -1, 32<<20
	}
	var err error
	s.client, err = analytics.New(cfg)
	return s, err
}

// ownEvent is properties that are already encoded.
type ownEvent struct{ body []byte }

// AppendJSON appends them.
func (e *ownEvent) AppendJSON(b []byte) ([]byte, error) { return append(b, e.body...), nil }

func (s *ownStore) append(batch [][]byte) error {
	for _, e := range batch {
		s.event.body = e
		if err := s.client.Track(context.Background(), analytics.Track{UserID: "user-42", Event: "Order Completed", Properties: &s.event}); err != nil {
			return err
		}
	}
	return nil
}

func (s *ownStore) sync() error { return s.client.Sync(context.Background()) }

// read hands out the rest of the current batch, or waits for one as long as something
// is pending. There is no second batch before the first is answered.
func (s *ownStore) read(limit int) ([][]byte, error) {
	s.sink.letGo()
	if s.current == nil {
		s.next(func(n uint64) bool { return n > 0 })
	}
	if s.current == nil {
		s.sink.hold() // the next events gather again
		return nil, nil
	}
	items := s.current.items[s.given:]
	items = items[:min(limit, len(items))]
	s.given += len(items)
	s.out, s.buf = s.out[:0], s.buf[:0]
	for _, it := range items {
		s.buf = append(s.buf, it.Body...)
	}
	for rest := s.buf; len(items) > 0; items = items[1:] {
		n := len(items[0].Body)
		s.out, rest = append(s.out, rest[:n:n]), rest[n:]
	}
	return s.out, nil
}

// next waits for a batch, until what is pending says that there is none to come.
func (s *ownStore) next(more func(pending uint64) bool) {
	for s.current == nil {
		select {
		case s.current = <-s.sink.batches:
			s.given = 0
		case <-time.After(time.Millisecond):
			if !more(s.client.Stats().Destinations[ownName].Pending) {
				return
			}
		}
	}
}

// commit answers for what was read and waits until the client goes on. Of a batch that
// was read in part, the rest is asked for again.
func (s *ownStore) commit() error {
	b := s.current
	if b == nil {
		return nil
	}
	before := s.client.Stats().Destinations[ownName].Pending
	var answer analytics.BatchError
	for i := s.given; i < len(b.items); i++ {
		answer.Set(i, analytics.RetryAfter(time.Millisecond, errors.New("not read yet")))
	}
	s.current = nil
	b.answer <- answer.OrNil()
	s.next(func(pending uint64) bool { return pending >= before })
	return nil
}

// close leaves what was not read to the next process.
func (s *ownStore) close() error {
	s.sink.letGo()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := s.client.Close(ctx)
	if pending := (*analytics.PendingError)(nil); errors.As(err, &pending) {
		return nil
	}
	return err
}

// ownSink is the destination.
type ownSink struct {
	batches chan *ownBatch

	mu   sync.Mutex
	gate chan struct{} // not closed: the first event of a batch waits, so that others gather
	held bool
}

type ownBatch struct {
	items  []analytics.Item
	answer chan error
}

func (s *ownSink) hold() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held {
		s.held, s.gate = true, make(chan struct{})
	}
}

func (s *ownSink) letGo() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held {
		s.held = false
		close(s.gate)
	}
}

// Describe asks for batches of readLimit, one at a time, without waiting for more.
func (s *ownSink) Describe() analytics.Description {
	return analytics.Description{
		Name: ownName, Order: analytics.Total,
		Lanes: map[string]analytics.Limits{"": {MaxItems: readLimit, Concurrency: 1, Linger: -1, Timeout: time.Hour}},
	}
}

// Translate is not called: TranslateRaw is.
func (s *ownSink) Translate(*analytics.Event) ([]analytics.Item, error) {
	return nil, errors.ErrUnsupported
}

var ownMark = []byte(`"properties":` + head)

// TranslateRaw finds the event that append was given.
func (s *ownSink) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	s.mu.Lock()
	gate := s.gate
	s.mu.Unlock()
	<-gate
	i := bytes.Index(raw, ownMark) + len(ownMark) - len(head)
	if i < 0 || len(raw) < i+eventSize {
		return analytics.Item{Body: raw}, nil // whoever reads it will notice
	}
	return analytics.Item{Body: raw[i : i+eventSize]}, nil
}

// Deliver waits until the batch is read and committed.
func (s *ownSink) Deliver(ctx context.Context, b *analytics.Batch) error {
	mine := &ownBatch{items: b.Items, answer: make(chan error, 1)}
	select {
	case s.batches <- mine:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case err := <-mine.answer:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
