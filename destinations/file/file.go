// Package file writes events to a file or to any writer, such as standard output, as
// NDJSON: one event a line, as it is in the log, in the order in which the events were
// accepted.
//
// Files are rotated by size and by age, and compressed if that is wanted. A batch is one
// write; of a write that fails half way nothing remains, so that every line is whole.
// After a crash a batch may be there twice. One file belongs to one destination.
package file

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/destinations/dest"
)

// Destination writes events as NDJSON. Its fields are its settings.
type Destination struct {
	// Path is the file that is written to. It and its folder are made where they are
	// missing, for the user of the process alone. Path or Writer is required.
	Path string `json:"path,omitempty"`

	// Writer is written to in place of a file. It is not closed.
	Writer io.Writer `json:"-"`

	// MaxBytes rotates the file before it gets larger. Negative: never.
	MaxBytes int64 `json:"maxBytes,omitempty" default:"100000000" negative:"never"`

	// MaxAge rotates the file when its first event has been written so long ago; of a
	// file that was there before, the last write counts. Zero: never.
	MaxAge time.Duration `json:"maxAge,omitempty"`

	// MaxFiles keeps so many rotated files and removes the oldest. Zero: all.
	MaxFiles int `json:"maxFiles,omitempty"`

	// Gzip compresses rotated files.
	Gzip bool `json:"gzip,omitempty"`

	// Sync waits after each batch until the disk has it.
	Sync bool `json:"sync,omitempty"`

	dest.Hooks

	mu   sync.Mutex
	file *rotating // nil: Writer
	torn bool      // Writer has a line that is not ended
}

var (
	_ analytics.Destination   = (*Destination)(nil)
	_ analytics.Opener        = (*Destination)(nil)
	_ analytics.Closer        = (*Destination)(nil)
	_ analytics.RawTranslator = (*Destination)(nil)
)

const (
	maxItems   = 1000
	maxWrite   = 4_000_000
	maxFile    = 100_000_000
	timeToSync = time.Minute // and to compress a file
)

// Describe states how much is written at a time.
func (d *Destination) Describe() analytics.Description {
	return analytics.Description{
		Name:  "File",
		Calls: analytics.SixCalls | analytics.CallsOf(analytics.CallObject),
		Order: analytics.Total,
		Lanes: map[string]analytics.Limits{"": {
			MaxItems: maxItems, MaxBytes: maxWrite, ItemOverhead: len("\n"),
			Concurrency: 1, Linger: dest.Linger, Timeout: timeToSync,
		}},
	}
}

// Open checks the settings and opens the file.
func (d *Destination) Open(analytics.Env) error {
	faults := dest.Check(d)
	if (d.Path == "") == (d.Writer == nil) {
		faults.Add("Path", "or Writer is required, and not both")
	}
	if err := faults.Err(); err != nil || d.Path == "" {
		return err
	}
	d.file = &rotating{path: d.Path, maxBytes: cmp.Or(d.MaxBytes, maxFile), maxAge: d.MaxAge, maxFiles: d.MaxFiles, gzip: d.Gzip}
	if err := d.file.open(); err != nil {
		return &analytics.InvalidError{Field: "Path", Reason: "cannot be opened: " + err.Error()}
	}
	return nil
}

// Close closes the file.
func (d *Destination) Close(context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.file == nil {
		return nil
	}
	return d.file.close()
}

// Translate makes the line of an event that was decoded.
func (d *Destination) Translate(e *analytics.Event) ([]analytics.Item, error) {
	raw, err := dest.Raw(e)
	if err != nil {
		return nil, err
	}
	it, err := d.TranslateRaw(nil, raw)
	if err != nil {
		return nil, err
	}
	return []analytics.Item{it}, nil
}

// TranslateRaw takes the event as it is in the log, unless the hooks change it.
func (d *Destination) TranslateRaw(_ *analytics.Header, raw []byte) (analytics.Item, error) {
	body, err := d.ApplyRaw(raw)
	if err != nil || bytes.IndexByte(body, '\n') < 0 {
		return analytics.Item{Body: body}, err
	}
	var line bytes.Buffer // white space between values may hold line breaks
	if err := json.Compact(&line, body); err != nil {
		return analytics.Item{}, err
	}
	return analytics.Item{Body: line.Bytes()}, nil
}

// Deliver writes one batch. Any error is one that may pass: a full disk, a missing
// permission.
func (d *Destination) Deliver(ctx context.Context, b *analytics.Batch) error {
	var lines bytes.Buffer
	for i := range b.Items {
		lines.Write(b.Items[i].Body)
		lines.WriteByte('\n')
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if d.file == nil {
		return d.write(lines.Bytes())
	}
	if err := d.file.write(lines.Bytes(), time.Now(), d.Sync); err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return nil
}

// write writes to Writer, which cannot be taken back: a line that broke off is ended
// before the batch is written again.
func (d *Destination) write(lines []byte) error {
	if d.torn {
		lines = append([]byte{'\n'}, lines...)
	}
	n, err := d.Writer.Write(lines)
	if err == nil && n < len(lines) {
		err = io.ErrShortWrite
	}
	if n > 0 {
		d.torn = lines[min(n, len(lines))-1] != '\n'
	}
	if s, ok := d.Writer.(interface{ Sync() error }); ok && d.Sync && err == nil {
		err = s.Sync()
	}
	if err != nil {
		return fmt.Errorf("file: %w", err)
	}
	return nil
}

// errClosed says that a batch came after Close.
var errClosed = errors.New("closed")

// Format prints the settings.
func (d *Destination) Format(f fmt.State, _ rune) { dest.Format(f, d) }

// LogValue is what Format prints.
func (d *Destination) LogValue() slog.Value { return dest.LogValue(d) }
