package trackingapi

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/wal"
)

// Window remembers the messageIds of the last hours, so that each message of a source is
// accepted once however often it is sent. It is safe for concurrent use.
//
// What counts is the whole messageId and the name of the source. Of both it keeps a hash
// of 128 bits (SipHash-2-4) under a random key of its own, so that nobody can make ids
// that collide. That one id is taken for another among a million happens once in 2^108
// claims: at ten thousand a second, about once in 10^21 years.
//
// # Memory
//
// An id takes at most 64 bytes, whatever its length: 64 MB for the default of a million.
// The memory is taken as ids come and not given back. With a directory come up to 2 MB of
// what is not yet written.
//
// # Disk
//
// What is claimed is written by a goroutine of the window when it is between 50 and 100
// milliseconds old, and by Close. So a SIGKILL loses at most the last 100 milliseconds: a
// message of those that is sent again is accepted again, and it is the destinations that
// dedupe it by its messageId. It is not written earlier, because a message that is claimed
// and not yet accepted when the process is killed has to be accepted when it is sent again.
// Nothing is synced, so that a loss of power costs what the system had not yet written.
//
// A directory takes at most 50 bytes per id and 2 MB more: it keeps the newest changes, twice
// as many as there are ids. When half of those are releases, older ids do not survive. When
// it cannot be written, as on a full disk, the window goes on in memory, counts that, and
// writes again when it can.
type Window struct {
	hasher windowHasher
	shards []*windowShard
	clock  windowClock

	store *windowStore // nil: in memory only
	kick  chan struct{}
	stop  chan struct{}
	gone  chan struct{}

	closing  sync.Once
	closeErr error
}

// WindowConfig says what a [Window] remembers. Zero is the default; negative is a fault.
type WindowConfig struct {
	// Span is how long an id is remembered, by the first time it was claimed. Ids are
	// forgotten by generations of a twenty-fourth of it, so that it can be that much
	// longer. Zero means 24 hours; the most is ten years.
	Span time.Duration

	// IDs is the most ids that are remembered. When there are more the oldest go before
	// their time. From 16,384 on ids are kept in parts by their hash, and each part forgets
	// its own oldest: somewhat before the whole is full. Zero means a million; the most
	// is a thousand millions.
	IDs int

	// Dir is a directory in which ids survive restarts. It is made where it is missing,
	// and belongs to one window at a time. Empty means memory only.
	Dir string
}

const (
	maxWindowSpan = 10 * 366 * 24 * time.Hour
	maxWindowIDs  = 1_000_000_000

	windowGenerations = 24
)

func (c WindowConfig) withDefaults() WindowConfig {
	c.Span = cmp.Or(c.Span, 24*time.Hour)
	c.IDs = cmp.Or(c.IDs, 1_000_000)
	return c
}

func (c WindowConfig) faults() error {
	var errs []error
	if c.Span < 0 || c.Span > maxWindowSpan {
		errs = append(errs, &analytics.InvalidError{Field: "Span", Reason: fmt.Sprintf("is %s, want 0 to %s", c.Span, maxWindowSpan)})
	}
	if c.IDs < 0 || c.IDs > maxWindowIDs {
		errs = append(errs, &analytics.InvalidError{Field: "IDs", Reason: fmt.Sprintf("is %d, want 0 to %d", c.IDs, maxWindowIDs)})
	}
	return errors.Join(errs...)
}

// OpenWindow makes a window, with the ids that an earlier one has left in cfg.Dir. It
// fails if the directory cannot be read or is in use. What is damaged in there is left
// out and counted.
func OpenWindow(cfg WindowConfig) (*Window, error) {
	return openWindow(cfg, wal.OS{})
}

func openWindow(cfg WindowConfig, fsys wal.FS) (*Window, error) {
	if err := cfg.faults(); err != nil {
		return nil, fmt.Errorf("trackingapi: window: %w", err)
	}
	cfg = cfg.withDefaults()
	w := &Window{clock: newWindowClock(cfg.Span)}
	shards := (cfg.IDs + maxShard - 1) / maxShard
	for i := range shards {
		limit := cfg.IDs / shards
		if i < cfg.IDs%shards {
			limit++
		}
		w.shards = append(w.shards, newWindowShard(limit, cfg.Span))
	}
	key := windowKey{}
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("trackingapi: window: %w", err)
	}
	if cfg.Dir == "" {
		w.hasher = newWindowHasher(key)
		return w, nil
	}
	if err := w.open(cfg, fsys, key); err != nil {
		return nil, fmt.Errorf("trackingapi: window in %s: %w", cfg.Dir, err)
	}
	return w, nil
}

// Claim tells whether the id is new within the span, and makes it known: of two calls at
// the same time one has it. What was claimed and then not accepted has to be released.
// After Close the window still works, in memory.
func (w *Window) Claim(source, messageID string) bool {
	id := w.hasher.sum(source, messageID)
	now := w.clock.now()
	s := w.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.claim(id, now, &w.clock) {
		return false
	}
	w.log(s, id, recordClaim)
	return true
}

// Release forgets an id, so that it can be claimed again. It is for the holder of the
// claim: an id that was accepted must not be released.
func (w *Window) Release(source, messageID string) {
	id := w.hasher.sum(source, messageID)
	s := w.shard(id)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.release(id) {
		w.log(s, id, recordRelease)
	}
}

func (w *Window) shard(id windowID) *windowShard {
	i, _ := bits.Mul64(id.b, uint64(len(w.shards)))
	return w.shards[i]
}

// WindowStats are the state of a window and its counters since it was opened.
type WindowStats struct {
	IDs        int    // remembered now
	Claims     uint64 // of ids that were new
	Duplicates uint64 // claims that were refused
	Evicted    uint64 // ids that had to go before their time
	Bytes      int64  // of memory

	Damaged  uint64 // files and records that could not be read, torn ends among them
	Faults   uint64 // attempts to write that failed
	Unsaved  uint64 // changes that will not survive a restart, for lack of disk
	DiskSize int64  // of the files, in bytes
}

// Stats returns the counters.
func (w *Window) Stats() WindowStats {
	var all WindowStats
	now := w.clock.now()
	for _, s := range w.shards {
		s.mu.Lock()
		s.expire(now)
		all.IDs += s.n
		all.Claims += s.claims
		all.Duplicates += s.duplicates
		all.Evicted += s.evicted
		all.Unsaved += s.unsaved
		all.Bytes += s.bytes()
		s.mu.Unlock()
	}
	if w.store != nil {
		w.store.count(&all)
	}
	return all
}

// Close writes what is not yet written and gives the directory back. Its error tells that
// some ids will not survive. A second call returns the same.
func (w *Window) Close() error {
	w.closing.Do(func() {
		if w.store == nil {
			return
		}
		close(w.stop)
		<-w.gone
		if err := w.store.close(); err != nil {
			w.closeErr = fmt.Errorf("trackingapi: window in %s: %w", w.store.dir, err)
		}
	})
	return w.closeErr
}

// windowClock tells the time by a clock that nobody sets, so that ids are neither kept for
// ever nor forgotten at once when the time of day jumps.
type windowClock struct {
	opened time.Time
	wall   int64 // of opened, in ns
	width  int64 // of a generation
}

func newWindowClock(span time.Duration) windowClock {
	opened := time.Now()
	return windowClock{opened: opened, wall: opened.UnixNano(), width: (int64(span) + windowGenerations - 1) / windowGenerations}
}

func (c *windowClock) now() int64 { return c.wall + int64(time.Since(c.opened)) }

// until is the end of the generation that now belongs to.
func (c *windowClock) until(now int64) int64 { return now - now%c.width + c.width }
