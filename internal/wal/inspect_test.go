package wal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
)

// onlyReads is a file system that fails the test when anything is changed, made or
// locked.
type onlyReads struct {
	wal.OS
	t testing.TB
}

func (f onlyReads) Open(name string, write, create bool) (wal.File, error) {
	if write || create {
		f.t.Errorf("%s was opened to be written", name)
	}
	file, err := f.OS.Open(name, false, false)
	if err != nil {
		return nil, err
	}
	return onlyRead{file, f.t}, nil
}

func (f onlyReads) refuse(what, name string) error {
	f.t.Errorf("%s of %s", what, name)
	return errors.ErrUnsupported
}

func (f onlyReads) Map(name string, _ int64) (wal.Mapping, error) { return nil, f.refuse("Map", name) }
func (f onlyReads) MkdirAll(name string) error                    { return f.refuse("MkdirAll", name) }
func (f onlyReads) Rename(name, _ string) error                   { return f.refuse("Rename", name) }
func (f onlyReads) Remove(name string) error                      { return f.refuse("Remove", name) }
func (f onlyReads) SyncDir(name string) error                     { return f.refuse("SyncDir", name) }
func (f onlyReads) Lock(name string) (io.Closer, error)           { return nil, f.refuse("Lock", name) }

type onlyRead struct {
	wal.File
	t testing.TB
}

func (f onlyRead) ReadAt(b []byte, off int64) (int, error) {
	if len(b) > inspectRing+4096 {
		f.t.Errorf("%d bytes were read at once", len(b))
	}
	return f.File.ReadAt(b, off)
}

func (f onlyRead) WriteAt([]byte, int64) (int, error) { return 0, f.refuse("WriteAt") }
func (f onlyRead) Sync() error                        { return f.refuse("Sync") }

func (f onlyRead) refuse(what string) error {
	f.t.Error(what)
	return errors.ErrUnsupported
}

const inspectRing = 1 << 20

// inspected is a slot that a test fills by hand.
type inspected struct {
	t    testing.TB
	slot *wal.Slot
}

func newInspected(t testing.TB) *inspected {
	t.Helper()
	slot, err := wal.OpenSlot(wal.OS{}, filepath.Join(t.TempDir(), "p-0"))
	require.NoError(t, err)
	t.Cleanup(func() { _ = slot.Unlock() })
	slot.ID = wal.Identity{Log: wal.NewID(), Slot: wal.NewID(), Spool: "s", Boot: "b", Ring: slot.RingPath("")}
	require.NoError(t, slot.Save())
	return &inspected{t, slot}
}

func bodyOf(seq uint64) []byte { return fmt.Appendf(nil, `{"n":%d}`, seq) }

// segment writes events, one to a frame, and seals if it is told to.
func (s *inspected) segment(from, to uint64, seal bool) (name string) {
	s.t.Helper()
	seg, err := wal.CreateSegment(s.slot.FS, s.slot.SegmentsDir(), from)
	require.NoError(s.t, err)
	for seq := from; seq < to; seq++ {
		w := seg.Frames()
		w.Add(wal.Record{Seq: seq, At: int64(1000 + seq), Body: bodyOf(seq)})
		require.NoError(s.t, seg.Append(w.Finish()))
	}
	if seal {
		require.NoError(s.t, seg.Seal(to, 1))
	}
	require.NoError(s.t, seg.Close())
	return seg.Name()
}

func (s *inspected) ring(from, to uint64) (name string) {
	s.t.Helper()
	name = s.slot.RingPath("")
	r, _, _, err := wal.OpenRing(s.slot.FS, name, inspectRing, s.slot.ID.Slot, wal.PerCall)
	require.NoError(s.t, err)
	for seq := from; seq < to; seq++ {
		body := bodyOf(seq)
		pos, err := r.Reserve(len(body))
		require.NoError(s.t, err)
		require.NoError(s.t, r.Write(pos, seq, int64(1000+seq), 0, body, r.Sum(body)))
		r.Commit(pos, len(body))
	}
	require.NoError(s.t, r.Close())
	return name
}

func (s *inspected) cursor(destination string, p wal.Place) (name string) {
	s.t.Helper()
	name = s.slot.CursorPath(wal.FileName(destination))
	c, _, _, _, err := wal.OpenCursor(s.slot.FS, name)
	require.NoError(s.t, err)
	require.NoError(s.t, c.Write(p))
	require.NoError(s.t, c.Close())
	return name
}

func (s *inspected) edit(name string, f func([]byte) []byte) {
	s.t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(name, f(b), 0o600))
}

func (s *inspected) inspect() *wal.View {
	s.t.Helper()
	v, err := wal.Inspect(onlyReads{t: s.t}, s.slot.Path)
	require.NoError(s.t, err)
	return v
}

func (s *inspected) verify() *wal.Report {
	s.t.Helper()
	r, err := s.inspect().Verify(nil)
	require.NoError(s.t, err)
	return r
}

// read returns the numbers of the events, and of those that are in the ring only.
func (s *inspected) read(from uint64) (all, inRing []uint64) {
	s.t.Helper()
	require.NoError(s.t, s.inspect().Read(wal.Reading{From: from, Record: func(r wal.Record, ring bool) error {
		require.Equal(s.t, string(bodyOf(r.Seq)), string(r.Body))
		require.EqualValues(s.t, 1000+r.Seq, r.At)
		all = append(all, r.Seq)
		if ring {
			inRing = append(inRing, r.Seq)
		}
		return nil
	}}))
	return all, inRing
}

func TestInspect(t *testing.T) {
	s := newInspected(t)
	s.segment(3, 5, true)
	s.segment(5, 8, false)
	s.ring(6, 10) // 6 and 7 were drained
	s.cursor("a.b/c", wal.Place{Done: 4, Ahead: []wal.Span{{From: 6, To: 9}}})
	s.cursor("z", wal.Place{Done: 3})
	v := s.inspect()
	require.Equal(t, os.Getpid(), v.PID)
	require.Equal(t, s.slot.ID, v.ID)
	require.NoError(t, v.Broken)
	require.False(t, v.Idle())
	require.False(t, v.Damaged())
	require.Len(t, v.Segments, 2)
	require.True(t, v.Segments[0].Sealed)
	require.False(t, v.Segments[1].Sealed)
	require.EqualValues(t, 8, v.Segments[1].End)
	require.Equal(t, 2, v.Ring.Events)
	require.EqualValues(t, 8, v.Ring.First)
	require.EqualValues(t, 7, v.Events())
	require.EqualValues(t, 10, v.End(""))
	at, ok := v.Oldest()
	require.True(t, ok)
	require.EqualValues(t, 1003, at)
	require.Equal(t, "a.b/c", v.Cursors[0].Destination)
	require.EqualValues(t, 3, v.Unread(v.Cursors[0].Place), "4, 5 and 9")
	require.EqualValues(t, 7, v.Unread(v.Cursors[1].Place))

	all, inRing := s.read(0)
	require.Equal(t, []uint64{3, 4, 5, 6, 7, 8, 9}, all)
	require.Equal(t, []uint64{8, 9}, inRing)
	all, _ = s.read(7)
	require.Equal(t, []uint64{7, 8, 9}, all)

	r := s.verify()
	require.True(t, r.Sound(), r)
	require.Empty(t, r.Notes)
	require.EqualValues(t, 5, r.Frames)
	require.EqualValues(t, 7, r.Events)
	require.EqualValues(t, 2, r.RingEvents)

	enough := errors.New("enough")
	require.ErrorIs(t, v.Read(wal.Reading{Record: func(wal.Record, bool) error { return enough }}), enough)
}

func TestInspectEmptySlots(t *testing.T) {
	_, err := wal.Inspect(wal.OS{}, filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, fs.ErrNotExist)

	v, err := wal.Inspect(onlyReads{t: t}, t.TempDir())
	require.NoError(t, err)
	require.ErrorIs(t, v.Broken, fs.ErrNotExist)
	require.True(t, v.Idle())
	r, err := v.Verify(nil)
	require.NoError(t, err)
	require.True(t, r.Sound())

	s := newInspected(t)
	s.slot.ID.Clean = true
	require.NoError(t, s.slot.Save())
	s.cursor("a", wal.Place{Done: 9})
	require.True(t, s.inspect().Idle())
	require.True(t, s.verify().Sound())
	require.Empty(t, s.verify().Notes, "a log that is used up ends before its cursors")
}

func TestInspectNewerVersion(t *testing.T) {
	s := newInspected(t)
	name := s.segment(0, 3, true)
	s.edit(name, func(b []byte) []byte {
		b[20] = wal.Version + 1
		binary.LittleEndian.PutUint32(b[28:], crc32.Checksum(b[:28], crc32.MakeTable(crc32.Castagnoli)))
		return b
	})
	v := s.inspect()
	require.True(t, v.Newer())
	require.ErrorIs(t, v.Read(wal.Reading{}), wal.ErrVersion)

	s = newInspected(t)
	s.edit(filepath.Join(s.slot.Path, "id"), func([]byte) []byte { return []byte(`{"version":2}`) })
	require.True(t, s.inspect().Newer())
}

func TestInspectDamage(t *testing.T) {
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte {
			if at < 0 {
				at += len(b)
			}
			b[at] ^= 0x40
			return b
		}
	}
	frame := 32 + 8 + 8 // of one event of 7 bytes
	for name, c := range map[string]struct {
		damage  func(s *inspected, seg, ring, cursor string)
		places  []string // what is damaged, by the kind of file
		off     int64
		bytes   int64
		events  uint64
		missing []wal.Span
		notes   int
	}{
		"a frame": {
			damage: func(s *inspected, seg, _, _ string) { s.edit(seg, flip(32+frame+40)) },
			places: []string{".seg"}, off: int64(32 + frame), bytes: int64(frame), events: 6, missing: []wal.Span{{From: 1, To: 2}},
		},
		"the header of a segment": {
			damage: func(s *inspected, seg, _, _ string) { s.edit(seg, flip(3)) },
			places: []string{".seg"}, bytes: 32, events: 7,
		},
		"the end of a segment, whose events are in the ring": {
			damage: func(s *inspected, seg, _, _ string) { s.edit(seg, func(b []byte) []byte { return b[:len(b)-5] }) },
			events: 7, notes: 1,
		},
		"the end of a segment, whose events are nowhere": {
			damage: func(s *inspected, seg, ring, _ string) {
				s.edit(seg, flip(-3))
				require.NoError(s.t, os.Remove(ring))
			},
			places: []string{".seg"}, off: int64(32 + 3*frame), bytes: int64(frame), events: 3,
		},
		"a record of the ring": {
			damage: func(s *inspected, _, ring, _ string) { s.edit(ring, flip(4096+40*2+33)) },
			places: []string{""}, off: 4096 + 40*2, bytes: 40, events: 6, missing: []wal.Span{{From: 5, To: 6}},
		},
		"the header of the ring": {
			damage: func(s *inspected, _, ring, _ string) {
				s.edit(ring, func(b []byte) []byte { return append(bytes.Repeat([]byte{1}, 4096), b[4096:]...) })
			},
			places: []string{""}, bytes: 4096, events: 4,
		},
		"one of two headers of the ring": {
			damage: func(s *inspected, _, ring, _ string) { s.edit(ring, flip(1)) },
			events: 7, notes: 1,
		},
		"the ring of another slot": {
			damage: func(s *inspected, _, _, _ string) {
				s.slot.ID.Slot = wal.NewID()
				require.NoError(s.t, s.slot.Save())
			},
			places: []string{""}, bytes: 4096, events: 4,
		},
		"a cursor": {
			damage: func(s *inspected, _, _, cursor string) { s.edit(cursor, flip(17)) },
			places: []string{".cur"}, bytes: 512, events: 7,
		},
		"one of two slots of a cursor": {
			damage: func(s *inspected, _, _, cursor string) {
				s.cursor("a", wal.Place{Done: 1})
				s.edit(cursor, flip(17))
			},
			events: 7, notes: 1,
		},
		"the identity": {
			damage: func(s *inspected, _, _, _ string) {
				s.edit(filepath.Join(s.slot.Path, "id"), func([]byte) []byte { return []byte("{") })
			},
			places: []string{""}, bytes: 1, events: 7,
		},
		"a segment that was begun": {
			damage: func(s *inspected, _, _, _ string) {
				require.NoError(s.t, os.WriteFile(filepath.Join(s.slot.SegmentsDir(), wal.SegmentName(7)), []byte("awal"), 0o600))
			},
			events: 7, notes: 1,
		},
		"a cursor behind the end": {
			damage: func(s *inspected, _, _, _ string) { s.cursor("b", wal.Place{Done: 99}) },
			events: 7, notes: 1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newInspected(t)
			seg := s.segment(0, 4, false)
			ring := s.ring(3, 7)
			cursor := s.cursor("a", wal.Place{})
			c.damage(s, seg, ring, cursor)
			r := s.verify()
			require.Equal(t, c.events, r.Events)
			require.Len(t, r.Damage, len(c.places), r)
			require.Len(t, r.Notes, c.notes, r)
			for i, ext := range c.places {
				require.Equal(t, ext, filepath.Ext(r.Damage[i].File), r)
				require.Equal(t, c.off, r.Damage[i].Off, r)
				require.Equal(t, c.bytes, r.Damage[i].Len, r)
			}
			require.Len(t, r.Missing, len(c.missing), r)
			for i, m := range c.missing {
				require.Equal(t, wal.Missing{Span: m, Destinations: []string{"a"}}, r.Missing[i])
			}
		})
	}
}

// What all have finished need not be there.
func TestInspectHolesThatNobodyMisses(t *testing.T) {
	s := newInspected(t)
	s.segment(0, 2, true)
	s.segment(5, 7, true)
	s.cursor("a", wal.Place{Done: 1, Ahead: []wal.Span{{From: 2, To: 5}}})
	s.cursor("b", wal.Place{Done: 6})
	r := s.verify()
	require.True(t, r.Sound(), r)
	s.cursor("c", wal.Place{Done: 3})
	r = s.verify()
	require.Equal(t, []wal.Missing{{Span: wal.Span{From: 2, To: 5}, Destinations: []string{"c"}}}, r.Missing)
}

// A ring may still have what was delivered long ago.
func TestInspectOldRing(t *testing.T) {
	s := newInspected(t)
	s.ring(0, 5)
	s.cursor("a", wal.Place{Done: 5})
	require.Zero(t, s.inspect().Ring.Events)
	all, _ := s.read(0)
	require.Empty(t, all)
}

// The identity of a copied slot still names the ring of the original.
func TestInspectCopiedSlot(t *testing.T) {
	s := newInspected(t)
	s.ring(0, 5)
	path := filepath.Join(t.TempDir(), "p-3")
	require.NoError(t, os.CopyFS(path, os.DirFS(s.slot.Path)))
	s.edit(s.slot.RingPath(""), func(b []byte) []byte { return b[:4096] })
	v, err := wal.Inspect(onlyReads{t: t}, path)
	require.NoError(t, err)
	require.Equal(t, 5, v.Ring.Events)
	require.Zero(t, s.inspect().Ring.Events)
}

func TestInspectRingElsewhere(t *testing.T) {
	s := newInspected(t)
	from := s.ring(0, 5)
	to := filepath.Join(t.TempDir(), "x.ring")
	require.NoError(t, os.Rename(from, to))
	s.slot.ID.Ring = to
	require.NoError(t, s.slot.Save())
	require.Equal(t, 5, s.inspect().Ring.Events)
	require.Equal(t, to, s.inspect().Ring.Name)

	require.NoError(t, os.Rename(to, from)) // as if the spool was moved
	require.Equal(t, 5, s.inspect().Ring.Events)
	require.Equal(t, from, s.inspect().Ring.Name)
}

// Files go while they are read, and a process drains and delivers.
func TestInspectBesideAWriter(t *testing.T) {
	s := newInspected(t)
	seg := s.segment(0, 2, true)
	s.segment(2, 4, true)
	s.cursor("a", wal.Place{})
	v := s.inspect()
	s.cursor("a", wal.Place{Done: 2})
	require.NoError(t, os.Remove(seg))
	r, err := v.Verify(nil)
	require.NoError(t, err)
	require.True(t, r.Sound(), r)
	require.EqualValues(t, 2, r.Events)

	require.NoError(t, os.RemoveAll(s.slot.Path))
	r, err = v.Verify(nil)
	require.NoError(t, err)
	require.True(t, r.Sound(), r)
}

func FuzzInspect(f *testing.F) {
	s := newInspected(f)
	read := func(name string) []byte {
		b, err := os.ReadFile(name)
		require.NoError(f, err)
		return b
	}
	seg := read(s.segment(0, 4, true))
	ring := read(s.ring(3, 7))[:4096+400]
	cursor := read(s.cursor("a", wal.Place{Done: 1, Ahead: []wal.Span{{From: 2, To: 3}}}))
	id := read(filepath.Join(s.slot.Path, "id"))
	f.Add(seg, ring, cursor, id)
	f.Add(seg[:40], ring[:44], cursor[:100], id[:9])
	f.Add([]byte{}, make([]byte, 5000), []byte{0}, []byte("{}"))
	f.Fuzz(func(t *testing.T, seg, ring, cursor, id []byte) {
		fsys := inMemory{files: map[string][]byte{
			filepath.Join("p-0", "seg", wal.SegmentName(0)): seg, filepath.Join("p-0", "seg", wal.SegmentName(3)): seg,
			filepath.Join("p-0", "ring"): ring, filepath.Join("p-0", "cur", "a.cur"): cursor, filepath.Join("p-0", "id"): id,
		}}
		synctest.Test(t, func(t *testing.T) { inspectAll(t, fsys, "p-0") }) // in which pauses take no time
	})
}

// inMemory is a file system that can only be read; whatever else is asked of it panics.
type inMemory struct {
	wal.FS
	files map[string][]byte
}

func (m inMemory) Local(string) bool { return true }

func (m inMemory) Open(name string, write, create bool) (wal.File, error) {
	b, ok := m.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	if write || create {
		panic(name + " was opened to be written")
	}
	return memoryFile{Reader: bytes.NewReader(b)}, nil
}

func (m inMemory) ReadDir(dir string) (names []string, err error) {
	for name := range m.files {
		if filepath.Dir(name) == dir {
			names = append(names, filepath.Base(name))
		}
	}
	slices.Sort(names)
	return names, nil
}

type memoryFile struct {
	wal.File
	*bytes.Reader
}

func (f memoryFile) Size() (int64, error)                          { return f.Reader.Size(), nil }
func (f memoryFile) ReadAt(b []byte, off int64) (n int, err error) { return f.Reader.ReadAt(b, off) }
func (f memoryFile) Close() error                                  { return nil }

// inspectAll reads whatever is in a slot, and must not panic, write, or repeat an event.
func inspectAll(t *testing.T, fsys wal.FS, dir string) {
	v, err := wal.Inspect(fsys, dir)
	require.NoError(t, err)
	for _, c := range v.Cursors {
		v.Unread(c.Place)
		v.End(c.File)
	}
	next := uint64(0)
	err = v.Read(wal.Reading{Record: func(r wal.Record, _ bool) error {
		if r.Seq < next || r.Seq == math.MaxUint64 {
			t.Fatalf("event %d comes behind %d", r.Seq, next)
		}
		next = r.Seq + 1
		return nil
	}})
	if err != nil && !errors.Is(err, wal.ErrVersion) {
		t.Fatal(err)
	}
	if _, err := v.Verify(nil); err != nil && !errors.Is(err, wal.ErrVersion) {
		t.Fatal(err)
	}
}
