package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/internal/wal"
)

// Destination writes every event into the files of a bucket. Its fields are its settings.
//
// It owns its cursor: what it has read of a log is on disk, in unfinished files (parts)
// and in a note of what is in them, before the log lets go of it. So each event is in one
// file once, however often the process dies. Finished files are named by log and range
// and never change, but for erasure.
//
// The option All of the integrations object does not keep an event from the archive;
// "Archive": false does.
type Destination struct {
	// Bucket is where finished files go. Required.
	Bucket Bucket `json:"-"`

	// Dir is the local folder of unfinished files. Two destinations must not share one,
	// so it is locked while this one is open. Required, unless Bucket is a *Folder: then
	// it is _parts in there.
	Dir string `json:"dir,omitempty"`

	// Prefix goes before all keys.
	Prefix string `json:"prefix,omitempty"`

	// Source names the source in keys. Empty means "default".
	Source string `json:"source,omitempty"`

	// SourceOf names the source of an event that comes from another; empty means Source.
	// It is pure, keeps nothing of the event, and is called by one goroutine.
	SourceOf func(event []byte) string `json:"-"`

	// Layout is where files are. Empty means Segment.
	Layout Layout `json:"layout,omitempty"`

	// Env is the environment in keys of the layout Hive. Empty means "production".
	Env string `json:"env,omitempty"`

	// SecondDays writes the day of the layout Segment in seconds, not milliseconds.
	SecondDays bool `json:"secondDays,omitempty"`

	// Compression is Gzip or Zstd. Empty means Gzip.
	Compression Compression `json:"compression,omitempty"`

	// Every is the time between two readings of the log. Zero means a minute.
	Every time.Duration `json:"every,omitempty"`

	// MaxBytes finishes a file that has become so large, compressed. Zero means 100 MB
	// (100,000,000). A file gets larger by what is in one batch at most.
	MaxBytes int64 `json:"maxBytes,omitempty"`

	// MaxAge finishes a file so long after its first event came. Zero means an hour. It is
	// looked at four times in that time, once a minute at least.
	MaxAge time.Duration `json:"maxAge,omitempty"`

	log  *slog.Logger
	fs   wal.FS
	dir  string
	lock io.Closer
	stop context.CancelFunc // of the goroutine that finishes aged files
	gone chan struct{}
	busy chan struct{} // holds a token while nobody uses what follows

	closed  bool
	unsure  bool   // the note is not known to be saved
	turn    uint64 // of the newest note
	serial  uint64 // of the newest part
	logs    map[string]*position
	parts   []*part
	open    map[partKey]*part // those that are written to
	pending []*part           // of the batch that is being written

	noteLimit int // zero: what a note may have
	packers   [2]*packer
	aside     []error // one for each part that was put aside, until somebody is told
}

var (
	_ analytics.Destination   = (*Destination)(nil)
	_ analytics.Opener        = (*Destination)(nil)
	_ analytics.Closer        = (*Destination)(nil)
	_ analytics.RawTranslator = (*Destination)(nil)
	_ analytics.Positioner    = (*Destination)(nil)
)

const (
	maxItems      = 10_000
	maxBatch      = 8 << 20
	maxLine       = 1 << 20 // of an event; reading refuses longer lines
	timeToStore   = 10 * time.Minute
	defaultEvery  = time.Minute
	defaultBytes  = 100_000_000
	defaultAge    = time.Hour
	mostToAge     = time.Minute
	leastToAge    = time.Second
	defaultSource = "default"
	defaultEnv    = "production"
)

// Describe states how much is written at a time, and how often.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:      "Archive",
		Calls:     analytics.SixCalls | analytics.CallsOf(analytics.CallObject),
		Order:     analytics.Total,
		Every:     cmp.Or(d.Every, defaultEvery),
		IgnoreAll: true,
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: maxItems, MaxBytes: maxBatch, MaxItemBytes: maxLine - spliceBytes - 1,
			Concurrency: 1, Linger: -1, Timeout: timeToStore,
		}},
	}
}

func (d *Destination) prefix() string           { return cleanPrefix(d.Prefix) }
func (d *Destination) env() string              { return cmp.Or(d.Env, defaultEnv) }
func (d *Destination) compression() Compression { return cmp.Or(d.Compression, Gzip) }
func (d *Destination) maxBytes() int64          { return cmp.Or(d.MaxBytes, defaultBytes) }
func (d *Destination) maxAge() time.Duration    { return cmp.Or(d.MaxAge, defaultAge) }

// Open checks the settings and takes up the parts that an earlier process has left.
func (d *Destination) Open(env analytics.Env) error {
	if err := d.check(); err != nil {
		return err
	}
	if d.log = env.Logger; d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.fs == nil {
		d.fs = wal.OS{}
	}
	if err := d.openDir(); err != nil {
		return &analytics.InvalidError{Field: "Dir", Reason: "cannot be used: " + err.Error()}
	}
	d.busy = make(chan struct{}, 1)
	d.busy <- struct{}{}
	ctx, cancel := context.WithCancel(context.Background())
	d.stop, d.gone = cancel, make(chan struct{})
	go d.age(ctx)
	return nil
}

// Close finishes all files. What cannot be finished stays in Dir for the next process. Of
// damaged files it tells as Rotate does.
func (d *Destination) Close(ctx context.Context) error {
	if d.busy == nil {
		return nil
	}
	d.stop()
	select {
	case <-d.gone:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	if d.closed {
		return nil
	}
	d.closed = true
	err := d.finish(ctx, func(*part) bool { return true })
	if left := len(d.parts); left > 0 {
		err = fmt.Errorf("archive: %d unfinished files stay in Dir: %w", left, err)
	}
	return errors.Join(err, d.damaged(), d.lock.Close())
}

// Rotate finishes all files now, so that what was delivered can be read. An unfinished file
// that turns out to be damaged, by the disk or by hand, is kept in Dir under a name that ends
// in ".damaged", and is an error of the next Rotate, once: the others are finished.
func (d *Destination) Rotate(ctx context.Context) error {
	if d.busy == nil {
		return errClosed
	}
	if err := d.take(ctx); err != nil {
		return err
	}
	defer d.give()
	if d.closed {
		return errClosed
	}
	return errors.Join(d.finish(ctx, func(*part) bool { return true }), d.damaged())
}

// damaged tells of the parts that were put aside since it was last asked.
func (d *Destination) damaged() error {
	err := errors.Join(d.aside...)
	d.aside = nil
	return err
}

var errClosed = errors.New("archive: the destination is not open")

// take waits for what only one may use.
func (d *Destination) take(ctx context.Context) error {
	select {
	case <-d.busy:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (d *Destination) give() { d.busy <- struct{}{} }

// Position returns the end of what was written of a log.
func (d *Destination) Position(ctx context.Context, log analytics.LogID) (next uint64, ok bool, err error) {
	if err := d.take(ctx); err != nil {
		return 0, false, err
	}
	defer d.give()
	if err := d.assure(); err != nil {
		return 0, false, err
	}
	at, ok := d.logs[log.String()]
	if !ok {
		return 0, false, nil
	}
	return at.Next, true, nil
}

// Format prints the settings without the bucket, which may have secrets.
func (d *Destination) Format(f fmt.State, _ rune) { fmt.Fprintf(f, "archive %v", d.LogValue()) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value {
	return slog.GroupValue(slog.String("dir", d.Dir), slog.String("source", cmp.Or(d.Source, defaultSource)))
}
