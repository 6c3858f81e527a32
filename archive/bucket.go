package archive

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"
)

// A Bucket holds files by key: a local folder ([Folder]), or an object store. Keys are
// paths with "/" between their parts. Its methods may be called from several goroutines.
type Bucket interface {
	// Put stores what r reads: whole or not at all. Where o says IfAbsent and the key is
	// there, it returns [ErrExists] and changes nothing.
	Put(ctx context.Context, key string, r io.Reader, o PutOptions) error

	// Get opens a file; [ErrNotFound] if there is none. The caller closes it.
	Get(ctx context.Context, key string) (io.ReadCloser, error)

	// List yields the files whose keys begin with prefix, in the byte order of their
	// keys, and ends with the first error.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]

	// Stat describes a file; [ErrNotFound] if there is none.
	Stat(ctx context.Context, key string) (Object, error)

	// Delete removes a file. One that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// PutOptions say how a file is stored.
type PutOptions struct {
	// IfAbsent leaves a file alone that is there already.
	IfAbsent bool

	// ContentType and ContentEncoding are for stores that keep them.
	ContentType, ContentEncoding string
}

// An Object is a file of a [Bucket].
type Object struct {
	Key      string
	Size     int64 // bytes
	Modified time.Time
}

var (
	// ErrExists is what Put returns of a key that is there already.
	ErrExists = errors.New("archive: the key exists")

	// ErrNotFound is what Get and Stat return of a key that is not there.
	ErrNotFound = errors.New("archive: no such key")
)
