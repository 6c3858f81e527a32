package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// An Archive reads what a [Destination] has written. Its methods may be called from
// several goroutines, also while the destination writes; but one Forget at a time.
type Archive struct {
	bucket Bucket
	prefix string
}

// Open returns the archive in a bucket; prefix is that of the Destination. It reads
// nothing yet.
func Open(bucket Bucket, prefix string) (*Archive, error) {
	folder, local := bucket.(*Folder)
	switch {
	case bucket == nil:
		return nil, &analytics.InvalidError{Field: "bucket", Reason: "is nil"}
	case local && (folder == nil || folder.Path == ""):
		return nil, &analytics.InvalidError{Field: "bucket", Reason: "is a Folder without Path"}
	case badPrefix(cleanPrefix(prefix)):
		return nil, &analytics.InvalidError{Field: "prefix", Reason: "is not a path of names"}
	}
	return &Archive{bucket, cleanPrefix(prefix)}, nil
}

// partsDir is where the unfinished files of a folder are; empty if that is not known.
func (a *Archive) partsDir() string {
	if folder, ok := a.bucket.(*Folder); ok {
		return filepath.Join(folder.Path, partsFolder)
	}
	return ""
}

// A File is a finished file of an archive, as its manifest describes it.
type File struct{ Manifest }

// An Event is one line of a file.
type Event struct {
	// Raw is the JSON of the event, valid until the next one.
	Raw []byte

	// Key is that of the file, Line the number of the line, from 1.
	Key  string
	Line int64

	// Source is that of the file.
	Source string

	Type                           analytics.Call
	MessageID, UserID, AnonymousID string
	PreviousID                     string    // of an alias call
	Event                          string    // of a track call
	Timestamp, ReceivedAt          time.Time // zero if there is none
}

// Files yields the files that may have events of the query, by their manifests: in the
// order of FirstReceived, then of keys. It reads the manifests twice, and keeps about
// 200 bytes of each. A manifest that is damaged is an error, and the others follow.
func (a *Archive) Files(ctx context.Context, q Query) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		places, err := a.places(ctx, &q, func(err error) bool { return yield(File{}, err) })
		if err != nil {
			if !errors.Is(err, errEnough) {
				yield(File{}, err)
			}
			return
		}
		for _, p := range places {
			m, err := a.manifest(ctx, p.manifest)
			if errors.Is(err, ErrNotFound) {
				continue // Forget has left nothing of it
			}
			if err != nil {
				if !yield(File{}, err) || ctx.Err() != nil {
					return
				}
				continue
			}
			if !yield(File{*m}, nil) {
				return
			}
		}
	}
}

// errEnough says that the caller wants no more.
var errEnough = errors.New("enough")

// place is what the order of files needs to know.
type place struct {
	received      time.Time
	key, manifest string
}

func (p place) compare(o place) int {
	return cmp.Or(p.received.Compare(o.received), cmp.Compare(p.key, o.key))
}

// places are the files of a query in their order. damaged is told of manifests that are.
func (a *Archive) places(ctx context.Context, q *Query, damaged func(error) bool) ([]place, error) {
	var places []place
	for key, err := range a.manifests(ctx) {
		if err != nil {
			return nil, err
		}
		m, err := a.manifest(ctx, key)
		var bad *fault
		switch {
		case errors.Is(err, ErrNotFound):
		case errors.As(err, &bad):
			if !damaged(err) {
				return nil, errEnough
			}
		case err != nil:
			return nil, err
		case q.file(m):
			places = append(places, place{m.FirstReceived, m.Key, key})
		}
	}
	slices.SortFunc(places, place.compare)
	return places, nil
}

// manifests yields the keys of all manifests.
func (a *Archive) manifests(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for o, err := range a.bucket.List(ctx, a.prefix+manifestFolder) {
			if err != nil {
				yield("", fmt.Errorf("archive: list: %w", err))
				return
			}
			if strings.HasSuffix(o.Key, manifestSuffix) && !yield(o.Key, nil) {
				return
			}
		}
	}
}

// Events yields the events of the query, in the order of Files and in a file in that of
// the log. A file that is missing or damaged is an error behind what could be read of it,
// and the others follow.
func (a *Archive) Events(ctx context.Context, q Query) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		s := q.selector()
		for f, err := range a.Files(ctx, q) {
			if err == nil {
				err = a.read(ctx, &f.Manifest, func(n int64, line []byte, v *fields) error {
					if s.selects(v) && !yield(eventOf(&f, n, line, v), nil) {
						return errEnough
					}
					return nil
				})
			}
			if errors.Is(err, errEnough) || err != nil && (!yield(Event{}, err) || ctx.Err() != nil) {
				return
			}
		}
	}
}

func eventOf(f *File, n int64, line []byte, v *fields) Event {
	return Event{
		Raw: line, Key: f.Key, Line: n, Source: f.Source, Type: analytics.Call(strings.Clone(string(v.call))),
		MessageID: strings.Clone(v.id), UserID: strings.Clone(v.user), AnonymousID: strings.Clone(v.anonymous),
		PreviousID: strings.Clone(v.former), Event: strings.Clone(v.event), Timestamp: v.timestamp, ReceivedAt: v.received,
	}
}

// read calls f with each line of a file, from number 1 on, until it fails. What f is given
// is valid during the call.
func (a *Archive) read(ctx context.Context, m *Manifest, f func(n int64, line []byte, v *fields) error) error {
	r, err := a.bucket.Get(ctx, m.Key)
	if errors.Is(err, ErrNotFound) && m.Rewriting {
		return nil // Forget has died behind the last event
	}
	if errors.Is(err, ErrNotFound) {
		return &fault{m.Key, fmt.Errorf("the file is missing: %w", err)}
	}
	if err != nil {
		return fmt.Errorf("archive: %s: %w", m.Key, err)
	}
	defer r.Close()
	from := &watched{r: &ctxReader{ctx, r}}
	err = eachLine(from, m, f)
	if err == nil && m.Rewriting {
		err = a.whole(ctx, m.Key, from.n)
	}
	var bad *fault
	switch {
	case ctx.Err() != nil && !errors.Is(err, errEnough) && err != nil:
		return context.Cause(ctx)
	case from.err != nil && errors.As(err, &bad): // it is not the file that is damaged
		return fmt.Errorf("archive: %s: %w", m.Key, from.err)
	}
	return err
}

// whole tells whether so many bytes are all of a file, of which the manifest cannot tell.
func (a *Archive) whole(ctx context.Context, key string, n int64) error {
	o, err := a.bucket.Stat(ctx, key)
	if err == nil && o.Size != n {
		err = fmt.Errorf("%d bytes of %d could be read", n, o.Size)
	}
	if err != nil {
		return fmt.Errorf("archive: %s: %w", key, err)
	}
	return nil
}

// eachLine is read without the bucket.
func eachLine(r io.Reader, m *Manifest, f func(n int64, line []byte, v *fields) error) error {
	lines, err := readLines(r, m.Key)
	if err != nil {
		return &fault{m.Key, err}
	}
	defer lines.close()
	for {
		line, err := lines.next()
		switch {
		case err == io.EOF && lines.bytes != m.RawBytes && !m.Rewriting:
			return &fault{m.Key, fmt.Errorf("it ends behind line %d, its manifest has more", lines.n)}
		case err == io.EOF:
			return nil
		case err != nil:
			return &fault{m.Key, err}
		case m.RawBytes < lines.bytes && !m.Rewriting:
			return &fault{m.Key, lines.fault(fmt.Errorf("there are more than the %d bytes of the manifest", m.RawBytes))}
		}
		v, ok := parseLine(line)
		if !ok {
			return &fault{m.Key, lines.fault(errNoEvent)}
		}
		if err := f(lines.n, line, &v); err != nil {
			return err
		}
	}
}
