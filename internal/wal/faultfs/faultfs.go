// Package faultfs is a file system in memory that loses power. It keeps two images of
// everything: the cache, which programs see and which survives the death of a process,
// and the disk, which holds what surely survives the loss of power. In between is what
// is pending: each sector, each size and each directory entry of it can be kept or lost.
//
// It is as strict as POSIX allows and no file system is. What it does depends only on
// its seed and on the order of the calls; it starts no goroutine and reads no clock.
//
// # What survives the loss of power
//
// A file is written in sectors of 512 bytes. A sector that was written and not synced
// holds afterwards what the disk had before, or what was written last, or what was
// written in between. A file that grew has a size between the old one and the new one,
// whatever became of its sectors; one that was cut has the old size or the new. A sector
// that never was on the disk and is not kept reads as zero or as garbage (see
// [FS.SetGarbage]).
//
// [wal.File] Sync makes the data and the size of the file survive, its mappings
// included, but not its directory entry, even if the file is new. For that SyncDir of
// the directory is needed, and of each directory above that is new; a rename from one
// directory to another needs it for both. Until then each creation, each removal and
// each rename is kept or lost on its own, with one reservation: a file that was on the
// disk and was renamed is always there under one of its names. A change without which
// it would not be is kept.
//
// # When Sync fails
//
// Where a function given to [FS.Inject] makes Sync fail, each dirty sector of the file is
// brought to the disk or is not, at random, and counts as clean from then on, as on
// Linux. The cache still shows it, but a sector that is not on the disk is brought there
// by a later Sync only if it has been written again, and through a mapping only if that
// made it differ. SyncDir that fails leaves everything pending.
//
// # Mappings
//
// The bytes of a mapping are the cache of the file. As the kernel does, and unlike
// other goroutines, the file system reads and writes them without regard to who else
// does, and the race detector does not see it; races among the goroutines of the
// program it sees. A file cannot be mapped larger than it is while it is mapped. Once
// the last mapping of a file is closed its bytes hold rubbish, and the race detector
// reports who still uses them.
package faultfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"syscall"

	"github.com/tributary-dev/analytics/internal/wal"
)

// FS is the file system as the processes of one boot, up to the death of one, see it.
// After PowerLoss and Kill everything that was got from it fails with syscall.EIO.
type FS struct {
	mu   sync.Mutex
	rng  *rand.Rand
	dead bool

	root    *node
	cache   namespace
	disk    namespace
	changes []*change // of names, not yet on the disk, in their order
	locked  map[*node]bool
	mapped  []*node

	capacity  int64 // in bytes
	used      int64 // in blocks
	readOnly  bool
	local     bool
	garbage   bool
	writeback int
	boot      string

	ops    int
	stop   int
	inject func(Op) error
}

var _ wal.FS = (*FS)(nil)

// New returns an empty file system with plenty of space. All that happens at random
// follows from seed.
func New(seed uint64) *FS {
	f := newFS(rand.New(rand.NewPCG(seed, seed)))
	f.capacity = 1 << 50
	f.local = true
	f.garbage = true
	f.writeback = 8
	f.boot = newBoot(f.rng)
	return f
}

func newFS(rng *rand.Rand) *FS {
	return &FS{
		rng:    rng,
		root:   newNode(true),
		cache:  newNamespace(),
		disk:   newNamespace(),
		locked: map[*node]bool{},
		stop:   math.MaxInt,
	}
}

// inherit takes over what belongs to the machine and not to a process.
func (f *FS) inherit(from *FS) {
	f.capacity = from.capacity
	f.readOnly = from.readOnly
	f.local = from.local
	f.garbage = from.garbage
	f.writeback = from.writeback
	f.boot = from.boot
}

func newBoot(rng *rand.Rand) string { return fmt.Sprintf("boot-%016x", rng.Uint64()) }

func split(rng *rand.Rand) *rand.Rand {
	return rand.New(rand.NewPCG(rng.Uint64(), rng.Uint64()))
}

// SetFree sets how many bytes can still be written. Files take it in blocks of 4096
// bytes; removing a file gives it back once no handle has the file open. The setting
// outlives Kill and PowerLoss, as do all that begin with Set.
func (f *FS) SetFree(n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.capacity = n + f.used*pageSize
}

// SetReadOnly makes everything that would change something fail with syscall.EROFS, or
// ends that. Stores into mappings still work. Sync and SyncDir fail where something is
// pending, which stays so; Lock fails always, as a lock file is opened for writing.
func (f *FS) SetReadOnly(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.readOnly = on
}

// SetLocal sets what Local returns, which is true in the beginning.
func (f *FS) SetLocal(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.local = on
}

// SetBoot sets what BootID returns. PowerLoss replaces it, unless it is "": a machine
// that has no name for its boots has none for the next one.
func (f *FS) SetBoot(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.boot = id
}

// SetGarbage sets whether sectors that never were on the disk may hold random bytes
// after the loss of power, which is so in the beginning. Otherwise they read as zero.
func (f *FS) SetGarbage(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.garbage = on
}

// SetWriteback makes the kernel write a dirty page of a mapping at about every n-th
// operation, or never if n is 0; it is 8 in the beginning. What it wrote is, beside what
// is stored later, one more thing that a sector may hold after the loss of power.
func (f *FS) SetWriteback(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.writeback = n
}

// Local is the setting of SetLocal.
func (f *FS) Local(string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.local
}

// BootID is the setting of SetBoot, at first one made from the seed.
func (f *FS) BootID() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.boot
}

// Free is how many bytes can still be written. The directory must exist.
func (f *FS) Free(name string) (free int64, err error) {
	err = f.do(Op{Kind: Free, Name: name}, func() error {
		free = f.free()
		_, err := f.find(name)
		return err
	})
	if err != nil {
		return 0, err
	}
	return free, nil
}

func (f *FS) free() int64 { return max(0, f.capacity-f.used*pageSize) }

// Kind is what an operation does.
type Kind int

// The kinds of operations. Create is an Open that makes the file; making it is part of
// Map and Lock.
const (
	Open Kind = iota
	Create
	Map
	Read
	Write
	Sync
	SyncDir
	Rename
	Remove
	ReadDir
	Mkdir
	Lock
	Free
)

var kinds = [...]string{
	"open", "create", "map", "read", "write", "sync", "syncdir",
	"rename", "remove", "readdir", "mkdir", "lock", "free",
}

// String is the name of the kind in lower case.
func (k Kind) String() string { return kinds[k] }

// Op is an operation that is about to be done.
type Op struct {
	Kind   Kind
	Name   string // as the caller gave it, or gave it to open the file
	To     string // the new name of a Rename
	Offset int64  // of Read and Write
	Length int64  // of Read and Write; the size of a Map
	Number int    // how many operations were before it
}

// wrap gives an error the form that package os gives it.
func (op Op) wrap(err error) error {
	var short ShortWrite
	if errors.As(err, &short) {
		err = short.Unwrap()
	}
	switch {
	case err == nil:
		return nil
	case op.Kind == Rename:
		return &os.LinkError{Op: op.Kind.String(), Old: op.Name, New: op.To, Err: err}
	}
	return &fs.PathError{Op: op.Kind.String(), Path: op.Name, Err: err}
}

// ErrStopped is the error of every operation from that on which Stop names.
var ErrStopped = errors.New("the process has been stopped")

// ShortWrite is an error for a function given to Inject: it lets a Write write its first
// N bytes and then fail with Err. Other operations just fail with Err.
type ShortWrite struct {
	N   int
	Err error
}

// Error says how much was written and what the error is.
func (s ShortWrite) Error() string {
	return fmt.Sprintf("%d bytes were written: %v", s.N, s.Unwrap())
}

// Unwrap is Err, or syscall.EIO where it is missing.
func (s ShortWrite) Unwrap() error {
	if s.Err == nil {
		return syscall.EIO
	}
	return s.Err
}

// Inject has hook called before each operation. An error that it returns is the result
// of the operation, which then does nothing, with two exceptions: [ShortWrite], and Sync,
// for which see the package. The hook holds no lock: it can use the file system, where
// its own operations call it again, and wait. PowerLoss and Kill do not hand it on.
func (f *FS) Inject(hook func(op Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inject = hook
}

// Ops is how many operations have begun, whatever came of them. Size, Close, Local and
// BootID are none, and none is what only this package has.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Stop lets n operations be done, counted from the first of all, and makes everything
// after them fail with ErrStopped and change nothing, as if the process had died. Stores
// into mappings cannot be stopped: whoever makes some has to ask whether Ops is still
// below n. A hook that stops at the number of its own operation stops that one too.
func (f *FS) Stop(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stop = n
}

// do runs an operation that does nothing if it is to fail.
func (f *FS) do(op Op, run func() error) error {
	err := f.enter(op)
	defer f.mu.Unlock()
	if err == nil {
		err = run()
	}
	return op.wrap(err)
}

// enter counts an operation and returns the error that it is to have. It leaves the
// file system locked.
func (f *FS) enter(op Op) error {
	f.mu.Lock()
	op.Number = f.ops
	if err := f.refusal(op.Number); err != nil {
		return err
	}
	f.ops++
	f.writeSomePage()
	if f.inject == nil {
		return nil
	}
	hook := f.inject
	f.mu.Unlock()
	err := hook(op)
	f.mu.Lock()
	if refused := f.refusal(op.Number); refused != nil {
		return refused
	}
	return err
}

// refusal is the error of an operation that comes too late.
func (f *FS) refusal(number int) error {
	switch {
	case f.dead:
		return syscall.EIO
	case number >= f.stop:
		return ErrStopped
	}
	return nil
}
