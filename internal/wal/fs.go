package wal

import (
	"errors"
	"io"
)

// FS is the file system as the spool uses it: [OS] is the real one, the tests have
// one that loses power. Names are paths as package os takes them. Errors are those of
// package os, so that errors.Is works with fs.ErrNotExist, syscall.ENOSPC and so on.
// All methods may be called from any goroutine.
type FS interface {
	// Open opens a file for reading and, where write is set, writing. With create it
	// makes the file where it is missing, readable by its owner only.
	Open(name string, write, create bool) (File, error)

	// Map opens a file of size bytes and maps it, shared. It makes the file where it
	// is missing, changes its size where it differs, and has all of its blocks
	// allocated, so that a store into the mapping does not need space later; what was
	// in the file stays, what is new reads as zero.
	Map(name string, size int64) (Mapping, error)

	// ReadDir returns the names in a directory, sorted.
	ReadDir(name string) ([]string, error)

	// MkdirAll makes a directory with its parents, open to its owner only.
	MkdirAll(name string) error

	Rename(from, to string) error
	Remove(name string) error

	// SyncDir makes what was created, renamed or removed in a directory survive power
	// loss.
	SyncDir(name string) error

	// Lock takes the exclusive lock of a file, making the file where it is missing,
	// and fails at once with ErrLocked where another holds it, in this process or any
	// other. The lock ends with the process that holds it, however that ends.
	Lock(name string) (io.Closer, error)

	// Free is how many bytes can still be written below a directory.
	Free(name string) (int64, error)

	// Local tells whether files below a directory may be mapped: their pages are on
	// a disk or in the memory of this machine, so that a page fault does not wait for
	// the network or for another process.
	Local(name string) bool

	// BootID names the present run of the kernel, "" if it has no name.
	BootID() string
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Size() (int64, error)

	// Sync makes what was written, and the size, survive power loss. After an error
	// it must not be believed again: what it had to write may be lost although a
	// later call succeeds.
	Sync() error
}

// Mapping is a file in memory.
type Mapping interface {
	// Bytes is the whole file. It begins at a multiple of eight. What is stored there
	// survives the death of the process, not that of the machine.
	Bytes() []byte

	// Close ends the mapping. Bytes must not be touched any more.
	Close() error
}

// ErrLocked is returned by Lock where the lock is taken.
var ErrLocked = errors.New("the lock is taken")
