// Package wal keeps events on disk: the files of one process in a spool directory, and
// what can be read and repaired in them. What an event is, who reads it and when it may
// go is for others to say; see docs/spool.md for the formats and the rules.
package wal

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Version is that of all the files here.
const Version = 1

// The names in a slot.
const (
	lockName    = "LOCK"
	idName      = "id"
	ringName    = "ring"
	segmentsDir = "seg"
	cursorsDir  = "cur"
	lettersDir  = "dlq"
	badDir      = "bad"
	stateSuffix = ".state"
)

// ID is a random identity.
type ID [16]byte

// NewID makes an identity.
func NewID() (id ID) {
	_, _ = rand.Read(id[:])
	return id
}

// MarshalText writes an identity as 32 hexadecimal digits.
func (id ID) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(id[:])), nil }

// UnmarshalText reads what MarshalText has written.
func (id *ID) UnmarshalText(b []byte) error {
	if len(b) != 2*len(id) {
		return errors.New("an id has 32 hexadecimal digits")
	}
	_, err := hex.Decode(id[:], b)
	return err
}

// Identity says what a slot is, in its file "id".
type Identity struct {
	Version int    `json:"version"`
	Log     ID     `json:"log"`   // with a sequence number, names an event
	Slot    ID     `json:"slot"`  // stays as long as the directory
	Spool   string `json:"spool"` // who may deliver what is in here
	Boot    string `json:"boot"`  // of the machine that opened it last
	Clean   bool   `json:"clean"` // closed, with everything synced
	Next    uint64 `json:"next"`  // the next sequence number, where it was closed cleanly
	Ring    string `json:"ring"`  // where the ring is, "" if there is none
}

// Slot is the directory of one process in a spool. It is locked as long as it is open.
type Slot struct {
	FS   FS
	Path string
	ID   Identity

	Fresh   bool // it had no identity
	Damaged bool // it had one that cannot be read

	lock io.Closer

	mu  sync.Mutex
	bad int64 // bytes in quarantine, -1 if they were not counted yet
}

// SlotName is the name of the n-th slot in a spool.
func SlotName(n int) string { return "p-" + strconv.Itoa(n) }

// Slots returns the paths of the slots in a spool, by their numbers.
func Slots(fsys FS, dir string) ([]string, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var numbers []int
	for _, name := range names {
		if digits, ok := strings.CutPrefix(name, "p-"); ok {
			if n, err := strconv.Atoi(digits); err == nil && n >= 0 && SlotName(n) == name {
				numbers = append(numbers, n)
			}
		}
	}
	slices.Sort(numbers)
	paths := make([]string, len(numbers))
	for i, n := range numbers {
		paths[i] = filepath.Join(dir, SlotName(n))
	}
	return paths, nil
}

// OpenSlot takes the lock of a slot, making the slot where it is missing, and reads who
// it is. It fails with ErrLocked if another process has it, and with ErrVersion if it
// was written by a newer version: then nothing in it has changed.
func OpenSlot(fsys FS, path string) (*Slot, error) {
	if _, err := ReadIdentity(fsys, path); errors.Is(err, ErrVersion) {
		return nil, err
	}
	s := &Slot{FS: fsys, Path: path, bad: -1}
	if err := s.MakeDirs(); err != nil {
		return nil, err
	}
	var err error
	if s.lock, err = fsys.Lock(filepath.Join(path, lockName)); err != nil {
		return nil, err
	}
	switch s.ID, err = ReadIdentity(fsys, path); {
	case isMissing(err):
		s.Fresh = true
	case errors.Is(err, ErrDamaged):
		s.Damaged = true
	case err != nil:
		return nil, errors.Join(err, s.lock.Close())
	}
	return s, nil
}

// MakeDirs makes the directories of the slot.
func (s *Slot) MakeDirs() error {
	for _, dir := range []string{segmentsDir, cursorsDir, badDir} {
		if err := s.FS.MkdirAll(filepath.Join(s.Path, dir)); err != nil {
			return err
		}
	}
	return nil
}

const mostIdentity = 64 << 10

// ReadIdentity reads who a slot is, without its lock.
func ReadIdentity(fsys FS, path string) (id Identity, err error) {
	name := filepath.Join(path, idName)
	b, err := readWhole(fsys, name, mostIdentity)
	if err != nil {
		return id, err
	}
	var v struct{ Version int } // what else there is in a newer version, nobody knows
	if json.NewDecoder(bytes.NewReader(b)).Decode(&v) == nil && v.Version > Version {
		return Identity{Version: v.Version}, &fs.PathError{Op: "open", Path: name, Err: ErrVersion}
	}
	text, ok := bytes.CutSuffix(b, idSum(b[:max(len(b)-idSumSize, 0)]))
	if err := json.Unmarshal(text, &id); !ok || err != nil || id.Version < 1 {
		return Identity{}, &fs.PathError{Op: "read", Path: name, Err: ErrDamaged}
	}
	return id, nil
}

// idSum is the line behind an identity, with its checksum.
func idSum(text []byte) []byte { return fmt.Appendf(nil, "\n%08x\n", seeded(0, text)) }

const idSumSize = 10

// Save writes who the slot is: whole, or not at all.
func (s *Slot) Save() error {
	s.ID.Version = Version
	b, err := json.Marshal(s.ID)
	if err != nil {
		return err
	}
	return replace(s.FS, filepath.Join(s.Path, idName), append(b, idSum(b)...), true)
}

// Replace writes a file: whole, or not at all. It may be gone after a loss of power.
func Replace(fsys FS, name string, b []byte) error { return replace(fsys, name, b, false) }

func replace(fsys FS, name string, b []byte, sync bool) error {
	if err := fsys.Remove(name + ".new"); err != nil && !isMissing(err) { // left by a crash
		return err
	}
	f, err := fsys.Open(name+".new", true, true)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(b, 0)
	if err == nil && sync {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = fsys.Rename(name+".new", name); err == nil && sync {
		err = fsys.SyncDir(filepath.Dir(name))
	}
	return err
}

// Idle tells whether there is nothing in the slot that anybody waits for.
func (s *Slot) Idle() bool {
	if s.Fresh {
		return true
	}
	firsts, err := s.Segments()
	return err == nil && s.ID.Clean && len(firsts) == 0
}

// SegmentsDir is where the segments are.
func (s *Slot) SegmentsDir() string { return filepath.Join(s.Path, segmentsDir) }

// RingPath is where the ring is: in the slot, or in a directory of its own.
func (s *Slot) RingPath(dir string) string {
	if dir == "" {
		return filepath.Join(s.Path, ringName)
	}
	return filepath.Join(dir, hex.EncodeToString(s.ID.Slot[:])+"."+ringName)
}

// LettersPath is where the dead letters of a destination are.
func (s *Slot) LettersPath(destination string) string {
	return filepath.Join(s.Path, lettersDir, FileName(destination)+".ndjson")
}

// Segments returns the first sequence numbers of the segments, in order.
func (s *Slot) Segments() ([]uint64, error) { return segmentsIn(s.FS, s.SegmentsDir()) }

func segmentsIn(fsys FS, dir string) ([]uint64, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var firsts []uint64
	for _, name := range names {
		if first, ok := segmentFirst(name); ok {
			firsts = append(firsts, first)
		}
	}
	return firsts, nil
}

// Cursors returns the names of the destinations that have a cursor, as FileName
// makes them.
func (s *Slot) Cursors() ([]string, error) { return cursorsIn(s.FS, filepath.Join(s.Path, cursorsDir)) }

func cursorsIn(fsys FS, dir string) ([]string, error) {
	names, err := fsys.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []string
	for _, name := range names {
		if base, ok := strings.CutSuffix(name, cursorSuffix); ok {
			list = append(list, base)
		}
	}
	return list, nil
}

// CursorPath is the file of a cursor; name is what FileName makes of the destination.
func (s *Slot) CursorPath(name string) string {
	return filepath.Join(s.Path, cursorsDir, name+cursorSuffix)
}

// StatePath is the file of what a destination keeps beside its cursor.
func (s *Slot) StatePath(name string) string {
	return filepath.Join(s.Path, cursorsDir, name+stateSuffix)
}

// SyncParents makes the directories above the slot survive a loss of power, as far as
// they may be opened: they may be as new as the slot.
func (s *Slot) SyncParents() {
	for dir := filepath.Dir(s.Path); dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		_ = s.FS.SyncDir(filepath.Dir(dir))
	}
}

// SyncNames makes the names of files in the slot survive a loss of power.
func (s *Slot) SyncNames() error {
	return errors.Join(
		s.FS.SyncDir(s.SegmentsDir()), s.FS.SyncDir(filepath.Join(s.Path, cursorsDir)),
		s.FS.SyncDir(s.Path), s.FS.SyncDir(filepath.Dir(s.Path)),
	)
}

// Gone tells whether the directory of the slot was removed below us, so that the lock
// is worth nothing.
func (s *Slot) Gone() bool {
	id, err := ReadIdentity(s.FS, s.Path)
	return isMissing(err) || err == nil && id.Slot != s.ID.Slot
}

// Rebuild makes the directory of the slot again, after it was removed, and takes its
// lock. It fails with ErrLocked if another process has done so.
func (s *Slot) Rebuild() error {
	if err := s.MakeDirs(); err != nil {
		return err
	}
	_ = s.lock.Close() // it is worth nothing, unless only the identity is gone: then it is in the way
	lock, err := s.FS.Lock(filepath.Join(s.Path, lockName))
	if err != nil {
		return err
	}
	s.lock = lock
	return nil
}

// Unlock lets go of the slot.
func (s *Slot) Unlock() error { return s.lock.Close() }

// Quarantine bounds.
const (
	mostBad     = 16 << 20 // bytes in all
	mostBadFile = 1 << 20  // of one damage
)

// Quarantine copies what is damaged aside, with the place where it was and why: as
// much as the bounds allow, and without complaint if nothing can be written.
func (s *Slot) Quarantine(name string, off int64, b []byte, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	dir := filepath.Join(s.Path, badDir)
	if s.bad < 0 {
		s.bad = s.badBytes(dir)
	}
	b = b[:min(len(b), mostBadFile)]
	kept := filepath.Join(dir, fmt.Sprintf("%s-%d", filepath.Base(name), off))
	note, _ := json.Marshal(map[string]any{"file": filepath.Base(name), "offset": off, "bytes": len(b), "reason": reason})
	if s.bad+int64(len(b)+len(note)+1) > mostBad {
		return
	}
	s.bad += s.writeBad(kept, b) + s.writeBad(kept+".json", append(note, '\n'))
}

func (s *Slot) badBytes(dir string) (n int64) {
	names, _ := s.FS.ReadDir(dir)
	for _, name := range names {
		if f, err := s.FS.Open(filepath.Join(dir, name), false, false); err == nil {
			size, _ := f.Size()
			n += size
			_ = f.Close()
		}
	}
	return n
}

// writeBad writes a file, unless it is there already.
func (s *Slot) writeBad(name string, b []byte) int64 {
	if f, err := s.FS.Open(name, false, false); err == nil {
		_ = f.Close()
		return 0
	}
	f, err := s.FS.Open(name, true, true)
	if err != nil {
		return 0
	}
	n, _ := f.WriteAt(b, 0)
	_ = f.Close()
	return int64(n)
}
