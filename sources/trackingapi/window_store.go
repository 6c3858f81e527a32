package trackingapi

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/tributary-dev/analytics/internal/wal"
)

// windowStore is the directory of a window. Everything but the counters belongs to the
// goroutine that writes.
type windowStore struct {
	fs     wal.FS
	dir    string
	key    windowKey
	keyed  bool // the key is on the disk, without which nothing else there is of use
	format windowFormat
	lock   io.Closer

	files []windowFile // from the oldest to the newest
	next  uint64       // number of a file
	out   wal.File     // the last of files, open for writing; or nil
	batch []byte       // what is to be written next
	last  error        // of the last attempt

	perFile int64 // bytes after which a new file is begun
	keep    int64 // bytes of the newest changes that are kept

	damaged, faults, lost atomic.Uint64
	size                  atomic.Int64
	buffer                atomic.Int64
}

const (
	// windowRound is how often changes are written; those that are younger wait for
	// the next round.
	windowRound = 50 * time.Millisecond

	// windowRetry is how long to wait after an attempt to write that failed.
	windowRetry = time.Second

	// windowPending bounds the changes that wait for a round, in bytes. A shard has room
	// for leastPending records at least.
	windowPending = 512 << 10
	leastPending  = 64

	leastFileRecords = 4096
)

// open takes the directory and what is in it.
func (w *Window) open(cfg WindowConfig, fsys wal.FS, key windowKey) error {
	s := &windowStore{fs: fsys, dir: cfg.Dir, key: key, next: 1}
	s.perFile = recordSize * max(int64(cfg.IDs)/4, leastFileRecords)
	s.keep = recordSize * max(2*int64(cfg.IDs), leastFileRecords)
	if err := fsys.MkdirAll(cfg.Dir); err != nil {
		return err
	}
	lock, err := lockWindow(fsys, cfg.Dir)
	if err != nil {
		return err
	}
	s.lock = lock
	if err := s.load(w, int64(cfg.Span)); err != nil {
		return errors.Join(err, lock.Close())
	}
	for _, shard := range w.shards {
		shard.room = recordSize * max(windowPending/len(w.shards)/recordSize, leastPending)
	}
	w.store, w.kick, w.stop, w.gone = s, make(chan struct{}, 1), make(chan struct{}), make(chan struct{})
	go w.run()
	return nil
}

// load reads what earlier windows have left.
func (s *windowStore) load(w *Window, span int64) error {
	names, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return err
	}
	key, found, damaged, err := readWindowKey(s.fs, s.dir)
	if err != nil {
		return err
	}
	if damaged {
		s.damaged.Add(1)
	}
	if found {
		s.key, s.keyed = key, true
	}
	w.hasher, s.format = newWindowHasher(s.key), newWindowFormat(s.key)
	now := w.clock.now()
	for _, name := range names {
		if seq, ok := parseWindowFile(name); ok {
			if err := s.loadFile(w, seq, now); err != nil {
				return err
			}
		}
	}
	s.trim(now, span)
	for _, shard := range w.shards {
		shard.expire(now)
	}
	if !s.keyed {
		_ = s.saveKey() // counted, and tried again before the first write
	}
	return nil
}

// loadFile reads the ids of a file. What is of no use is removed.
func (s *windowStore) loadFile(w *Window, seq uint64, now int64) error {
	s.next = seq + 1
	f, err := s.fs.Open(s.path(seq), false, false)
	if err != nil {
		return err
	}
	oldest, newest := int64(0), w.clock.until(now)
	if n := len(s.files); n > 0 {
		oldest = s.files[n-1].until
	}
	settle := func(until int64) int64 { return max(oldest, min(until, newest)) } // a clock may have been wrong
	file, damaged, err := readWindowFile(f, &s.format, func(id windowID, kind recordKind, until int64) {
		shard := w.shard(id)
		if kind == recordRelease {
			shard.release(id)
		} else {
			shard.restore(id, settle(until))
		}
	})
	if err := cmp.Or(err, f.Close()); err != nil {
		return err
	}
	s.damaged.Add(damaged)
	if file.size == 0 {
		s.remove(seq)
		return nil
	}
	file.seq, file.until = seq, settle(file.until)
	s.files = append(s.files, file)
	s.size.Add(file.size)
	return nil
}

func (s *windowStore) path(seq uint64) string { return filepath.Join(s.dir, windowFileName(seq)) }

func (s *windowStore) saveKey() error {
	err := writeWindowKey(s.fs, s.dir, s.key)
	s.keyed = err == nil
	return s.note(err)
}

// note counts an error.
func (s *windowStore) note(err error) error {
	if err != nil {
		s.faults.Add(1)
	}
	return err
}

// write appends the batch to the file of a generation and empties it. What cannot be
// written stays in the batch.
func (s *windowStore) write(until int64) error {
	if len(s.batch) == 0 {
		return nil
	}
	if !s.keyed {
		if err := s.saveKey(); err != nil {
			return err
		}
	}
	if err := s.note(s.begin(until)); err != nil {
		return err
	}
	file := &s.files[len(s.files)-1]
	if _, err := s.out.WriteAt(s.batch, file.size); err != nil {
		return s.note(err)
	}
	file.size += int64(len(s.batch))
	s.size.Add(int64(len(s.batch)))
	s.batch = s.batch[:0]
	return nil
}

// begin sees to it that a file of the generation is open which is not full. The last one
// of an earlier window goes on, so that many short lives do not leave many files.
func (s *windowStore) begin(until int64) error {
	if n := len(s.files); n > 0 && s.files[n-1].until == until && s.files[n-1].size < s.perFile {
		if s.out != nil {
			return nil
		}
		if f, err := s.fs.Open(s.path(s.files[n-1].seq), true, false); err == nil {
			s.out = f
			return nil
		}
	}
	if err := s.end(); err != nil {
		return err
	}
	f, err := s.fs.Open(s.path(s.next), true, true)
	if err != nil {
		return err
	}
	if _, err := f.WriteAt(s.format.header(until), 0); err != nil {
		return errors.Join(err, f.Close())
	}
	s.out = f
	s.files = append(s.files, windowFile{seq: s.next, until: until, size: recordSize})
	s.size.Add(recordSize)
	s.next++
	return nil
}

// end closes the file that is written to.
func (s *windowStore) end() error {
	if s.out == nil {
		return nil
	}
	err := s.out.Close()
	s.out = nil
	return err
}

// trim removes the files of generations that are over, and the oldest ones while the rest
// holds enough: the ids in there have been evicted, or as many others were released.
func (s *windowStore) trim(now, span int64) {
	for len(s.files) > 0 {
		oldest := s.files[0]
		if now-oldest.until < span && (len(s.files) == 1 || s.size.Load()-oldest.size < s.keep) {
			return
		}
		if len(s.files) == 1 {
			_ = s.note(s.end())
		}
		s.files = s.files[1:]
		s.size.Add(-oldest.size)
		s.remove(oldest.seq)
	}
}

// remove removes a file. One that cannot be removed is left to the next window.
func (s *windowStore) remove(seq uint64) {
	if err := s.fs.Remove(s.path(seq)); !errors.Is(err, fs.ErrNotExist) {
		_ = s.note(err)
	}
}

func (s *windowStore) count(all *WindowStats) {
	all.Damaged = s.damaged.Load()
	all.Faults = s.faults.Load()
	all.Unsaved += s.lost.Load()
	all.DiskSize = s.size.Load()
	all.Bytes += s.buffer.Load()
}

// close gives the directory back, and tells what could not be written.
func (s *windowStore) close() error {
	s.lost.Add(uint64(len(s.batch) / recordSize))
	return errors.Join(s.last, s.end(), s.lock.Close())
}
