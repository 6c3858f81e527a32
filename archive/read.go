package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/tributary-dev/analytics"
)

// An Archive reads what a [Destination] has written. Its methods may be called from
// several goroutines, also while the destination writes.
type Archive struct {
	bucket Bucket
	prefix string
}

// Open returns the archive in a bucket; prefix is that of the Destination. It reads
// nothing yet.
func Open(bucket Bucket, prefix string) (*Archive, error) {
	folder, local := bucket.(*Folder)
	reason := prefixFault(cleanPrefix(prefix), local)
	switch {
	case bucket == nil:
		return nil, &analytics.InvalidError{Field: "bucket", Reason: "is nil"}
	case local && (folder == nil || folder.Path == ""):
		return nil, &analytics.InvalidError{Field: "bucket", Reason: "is a Folder without Path"}
	case reason != "":
		return nil, &analytics.InvalidError{Field: "prefix", Reason: reason}
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
				_, err = a.read(ctx, &f.Manifest, func(n int64, line []byte, v *fields) error {
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
