package wal_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

const slotPath = "/spool/p-0"

func openSlot(t testing.TB, fsys wal.FS) *wal.Slot {
	s, err := wal.OpenSlot(fsys, slotPath)
	require.NoError(t, err)
	return s
}

// tree is everything in a file system.
func tree(t testing.TB, fsys *faultfs.FS) map[string]string {
	all := map[string]string{}
	for _, name := range fsys.Files() {
		all[name] = string(content(t, fsys, name))
	}
	return all
}

func TestID(t *testing.T) {
	id := wal.NewID()
	require.NotEqual(t, id, wal.NewID())
	text, err := id.MarshalText()
	require.NoError(t, err)
	require.Len(t, text, 32)
	var got wal.ID
	require.NoError(t, got.UnmarshalText(text))
	require.Equal(t, id, got)
	for _, bad := range []string{"", "00", string(text) + "00", strings.Repeat("g", 32), strings.Repeat("0", 31)} {
		require.Error(t, got.UnmarshalText([]byte(bad)), bad)
	}
}

func TestSlots(t *testing.T) {
	fsys := faultfs.New(1)
	_, err := wal.Slots(fsys, "/spool")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, name := range []string{"p-10", "p-2", "p-0", "p-00", "p-01", "p--1", "p-+1", "p-", "p-x", "q-1", "P-3", "p-3.bak", "p-99999999999999999999"} {
		require.NoError(t, fsys.MkdirAll("/spool/"+name))
	}
	got, err := wal.Slots(fsys, "/spool")
	require.NoError(t, err)
	require.Equal(t, []string{"/spool/p-0", "/spool/p-2", "/spool/p-10"}, got)
	require.Equal(t, "p-7", wal.SlotName(7))
}

func TestSlotLocks(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	require.True(t, s.Fresh)
	require.False(t, s.Damaged)
	_, err := wal.OpenSlot(fsys, slotPath)
	require.ErrorIs(t, err, wal.ErrLocked)
	require.NoError(t, s.Unlock())
	require.NoError(t, openSlot(t, fsys).Unlock())
}

func TestSlotIdentity(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	s.ID = wal.Identity{Log: wal.NewID(), Slot: wal.NewID(), Spool: "a \"b\"\nc\x00", Boot: "boot", Clean: true, Ring: "/x/ring"}
	require.NoError(t, s.Save())
	require.Equal(t, wal.Version, s.ID.Version)
	want := s.ID
	require.NoError(t, s.Unlock())
	s = openSlot(t, fsys)
	require.False(t, s.Fresh || s.Damaged)
	require.Equal(t, want, s.ID)
	got, err := wal.ReadIdentity(fsys, slotPath)
	require.NoError(t, err)
	require.Equal(t, want, got)
}

func TestSlotOfANewerVersion(t *testing.T) {
	for name, id := range map[string]string{
		"as ours":          `{"version":2,"log":"00000000000000000000000000000000"}`,
		"more fields":      `{"version":2,"what":{}}`,
		"far newer":        `{"version":1000000}`,
		"other types":      `{"version":2,"log":{"id":7},"clean":"yes"}`,
		"ids are longer":   `{"version":2,"slot":"0000000000000000000000000000000000000000"}`,
		"something behind": `{"version":2}` + "\n",
	} {
		fsys := faultfs.New(1)
		require.NoError(t, fsys.MkdirAll(slotPath))
		write(t, fsys, filepath.Join(slotPath, wal.IDName), []byte(id))
		write(t, fsys, filepath.Join(slotPath, "other"), []byte("x"))
		before := tree(t, fsys)
		names, err := fsys.ReadDir(slotPath)
		require.NoError(t, err)
		s, err := wal.OpenSlot(fsys, slotPath)
		require.ErrorIs(t, err, wal.ErrVersion, name)
		require.Nil(t, s)
		after, err := fsys.ReadDir(slotPath)
		require.NoError(t, err)
		require.Equal(t, names, after, name)
		require.Equal(t, before, tree(t, fsys), name)
	}
}

// The version may become newer while the lock is taken.
func TestSlotBecomesNewerMeanwhile(t *testing.T) {
	fsys := faultfs.New(1)
	fsys.Inject(func(op faultfs.Op) error {
		if op.Kind == faultfs.Lock {
			fsys.Inject(nil)
			write(t, fsys, filepath.Join(slotPath, wal.IDName), []byte(`{"version":2}`))
		}
		return nil
	})
	_, err := wal.OpenSlot(fsys, slotPath)
	require.ErrorIs(t, err, wal.ErrVersion)
	lock, err := fsys.Lock(filepath.Join(slotPath, wal.LockName))
	require.NoError(t, err, "it is free again")
	require.NoError(t, lock.Close())
}

func TestSlotWithADamagedIdentity(t *testing.T) {
	for name, id := range map[string]string{
		"empty":        "",
		"zeros":        strings.Repeat("\x00", 300),
		"cut":          `{"version":1,"log":"0000`,
		"no version":   `{}`,
		"version 0":    `{"version":0}`,
		"negative":     `{"version":-1}`,
		"a short id":   `{"version":1,"log":"00"}`,
		"no hex":       `{"version":1,"log":"` + strings.Repeat("g", 32) + `"}`,
		"another type": `[1]`,
		"twice":        `{"version":1}{"version":1}`,
		"too large":    `{"version":1,"spool":"` + strings.Repeat("x", wal.MostIdentity) + `"}`,
	} {
		fsys := faultfs.New(1)
		require.NoError(t, fsys.MkdirAll(slotPath))
		write(t, fsys, filepath.Join(slotPath, wal.IDName), []byte(id))
		_, err := wal.ReadIdentity(fsys, slotPath)
		require.ErrorIs(t, err, wal.ErrDamaged, name)
		s, err := wal.OpenSlot(fsys, slotPath)
		require.NoError(t, err, name)
		require.True(t, s.Damaged, name)
		require.False(t, s.Fresh, name)
		require.Zero(t, s.ID, name)
		require.False(t, s.Idle(), name)
		require.NoError(t, s.Save(), name)
		require.NoError(t, s.Unlock())
		require.False(t, openSlot(t, fsys).Damaged, name)
	}
}

// One flipped byte in an identity is found: another id would be one of another log, and
// the ring that of another slot.
func TestSlotIdentityFlips(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	s.ID = wal.Identity{Log: wal.NewID(), Slot: wal.NewID(), Spool: "spool", Boot: "boot", Ring: "/ring"}
	require.NoError(t, s.Save())
	want := s.ID
	require.NoError(t, s.Unlock())
	name := filepath.Join(slotPath, wal.IDName)
	good := content(t, fsys, name)
	unseen := 0
	for i := range good {
		for bit := range 8 {
			b := bytes.Clone(good)
			b[i] ^= 1 << bit
			fsys := faultfs.New(1)
			require.NoError(t, fsys.MkdirAll(slotPath))
			write(t, fsys, name, b)
			got, err := wal.ReadIdentity(fsys, slotPath)
			if err == nil && got != want {
				unseen++
			}
		}
	}
	require.Zero(t, unseen, "of %d flips", 8*len(good))
}

// Save leaves the old identity or the new, wherever the power is lost.
func TestSlotSaveAndPowerLoss(t *testing.T) {
	prepare := func(seed uint64) (*faultfs.FS, *wal.Slot) {
		fsys := faultfs.New(seed)
		s := openSlot(t, fsys)
		s.ID = wal.Identity{Log: wal.NewID(), Spool: "old"}
		require.NoError(t, s.Save())
		require.NoError(t, s.SyncNames())
		require.NoError(t, fsys.SyncDir("/"))
		s.ID.Spool = "new " + strings.Repeat("x", 2000)
		return fsys, s
	}
	fsys, s := prepare(1)
	before := fsys.Ops()
	require.NoError(t, s.Save())
	ops := fsys.Ops() - before
	require.Greater(t, ops, 4)
	for stop := range ops + 1 {
		fsys, s := prepare(1)
		fsys.Stop(fsys.Ops() + stop)
		err := s.Save()
		require.Equal(t, stop == ops, err == nil)
		seen := map[string]bool{}
		check := func(after *faultfs.FS) {
			id, err := wal.ReadIdentity(after, slotPath)
			require.NoError(t, err)
			require.Contains(t, []string{"old", s.ID.Spool}, id.Spool)
			seen[id.Spool[:3]] = true
		}
		fsys.EachPowerLoss(300, check)
		if stop == ops {
			require.Equal(t, map[string]bool{"new": true}, seen)
		}
		check(fsys.Kill())
	}
}

func TestSlotSaveFails(t *testing.T) {
	for _, kind := range []faultfs.Kind{faultfs.Remove, faultfs.Create, faultfs.Write, faultfs.Sync, faultfs.Rename, faultfs.SyncDir} {
		fsys := faultfs.New(1)
		s := openSlot(t, fsys)
		s.ID.Spool = "old"
		require.NoError(t, s.Save())
		fsys.Inject(func(op faultfs.Op) error {
			if op.Kind == kind {
				return syscall.EIO
			}
			return nil
		})
		s.ID.Spool = "new"
		require.ErrorIs(t, s.Save(), syscall.EIO, kind)
		fsys.Inject(nil)
		id, err := wal.ReadIdentity(fsys, slotPath)
		require.NoError(t, err)
		require.Equal(t, kind == faultfs.SyncDir, id.Spool == "new", kind)
		s.ID.Spool = "third"
		require.NoError(t, s.Save(), kind)
		id, err = wal.ReadIdentity(fsys, slotPath)
		require.NoError(t, err)
		require.Equal(t, "third", id.Spool)
		require.NotContains(t, fsys.Files(), filepath.Join(slotPath, wal.IDName+".new"))
	}
}

// A process that dies during Replace leaves the old file or the new one.
func TestReplace(t *testing.T) {
	const name = "/state"
	fsys := faultfs.New(1)
	require.NoError(t, wal.Replace(fsys, name, []byte("a long old one")))
	before := fsys.Ops()
	require.NoError(t, wal.Replace(fsys, name, []byte("new")))
	require.Equal(t, "new", string(content(t, fsys, name)))
	ops := fsys.Ops() - before
	for stop := range ops + 1 {
		fsys := faultfs.New(1)
		require.NoError(t, wal.Replace(fsys, name, []byte("a long old one")))
		fsys.Stop(fsys.Ops() + stop)
		_ = wal.Replace(fsys, name, []byte("new"))
		b := string(content(t, fsys, name))
		require.Contains(t, []string{"a long old one", "new"}, b)
		require.Equal(t, stop == ops, b == "new")
	}
}

func TestSlotIdle(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	require.True(t, s.Idle(), "fresh")
	require.NoError(t, s.Save())
	require.NoError(t, s.Unlock())
	s = openSlot(t, fsys)
	require.False(t, s.Idle(), "not clean")
	s.ID.Clean = true
	require.True(t, s.Idle())
	seg, err := wal.CreateSegment(fsys, s.SegmentsDir(), 5)
	require.NoError(t, err)
	require.False(t, s.Idle(), "a segment")
	require.NoError(t, fsys.Remove(seg.Name()))
	write(t, fsys, filepath.Join(s.SegmentsDir(), "foreign"), nil)
	require.True(t, s.Idle())
	fsys.Inject(func(faultfs.Op) error { return syscall.EIO })
	require.False(t, s.Idle(), "nobody knows")
}

func TestSlotLists(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	for _, first := range []uint64{300, 2, 1 << 60, 16} {
		seg, err := wal.CreateSegment(fsys, s.SegmentsDir(), first)
		require.NoError(t, err)
		require.Equal(t, filepath.Join(s.SegmentsDir(), wal.SegmentName(first)), seg.Name())
	}
	write(t, fsys, filepath.Join(s.SegmentsDir(), "foreign.seg"), nil)
	firsts, err := s.Segments()
	require.NoError(t, err)
	require.Equal(t, []uint64{2, 16, 300, 1 << 60}, firsts)

	for _, d := range []string{"b", "a.b", "é"} {
		write(t, fsys, s.CursorPath(wal.FileName(d)), nil)
		write(t, fsys, s.StatePath(wal.FileName(d)), nil)
	}
	names, err := s.Cursors()
	require.NoError(t, err)
	require.ElementsMatch(t, []string{wal.FileName("b"), wal.FileName("a.b"), wal.FileName("é")}, names)

	fsys.Inject(func(faultfs.Op) error { return syscall.EIO })
	_, err = s.Segments()
	require.ErrorIs(t, err, syscall.EIO)
	_, err = s.Cursors()
	require.ErrorIs(t, err, syscall.EIO)
}

func TestSlotPaths(t *testing.T) {
	s := openSlot(t, faultfs.New(1))
	s.ID.Slot = wal.ID{0xab}
	require.Equal(t, slotPath+"/ring", s.RingPath(""))
	require.Equal(t, "/shm/ab"+strings.Repeat("0", 30)+".ring", s.RingPath("/shm"))
	require.Equal(t, slotPath+"/dlq/"+wal.FileName("a/b")+".ndjson", s.LettersPath("a/b"))
	require.Equal(t, slotPath+"/cur/x.cur", s.CursorPath("x"))
	require.Equal(t, slotPath+"/cur/x.state", s.StatePath("x"))
}

// After SyncNames the power takes no name.
func TestSlotSyncNames(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	require.NoError(t, fsys.SyncDir("/"))
	_, err := wal.CreateSegment(fsys, s.SegmentsDir(), 1)
	require.NoError(t, err)
	write(t, fsys, s.CursorPath("a"), []byte("x"))
	write(t, fsys, s.RingPath(""), []byte("x"))
	require.NoError(t, s.SyncNames())
	want := fsys.Files()
	require.Len(t, want, 4)
	fsys.EachPowerLoss(50, func(lost *faultfs.FS) { require.Equal(t, want, lost.Files()) })
	fsys.Inject(func(op faultfs.Op) error {
		if op.Kind == faultfs.SyncDir {
			return syscall.EIO
		}
		return nil
	})
	require.ErrorIs(t, s.SyncNames(), syscall.EIO)
}

func TestSlotErrorsOfTheFileSystem(t *testing.T) {
	for _, kind := range []faultfs.Kind{faultfs.Mkdir, faultfs.Lock} {
		fsys := faultfs.New(1)
		fsys.Inject(func(op faultfs.Op) error {
			if op.Kind == kind {
				return syscall.EROFS
			}
			return nil
		})
		_, err := wal.OpenSlot(fsys, slotPath)
		require.ErrorIs(t, err, syscall.EROFS)
	}
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	require.NoError(t, s.Save())
	require.NoError(t, s.Unlock())
	fsys.Inject(func(op faultfs.Op) error {
		if op.Kind == faultfs.Read {
			return syscall.EIO
		}
		return nil
	})
	_, err := wal.OpenSlot(fsys, slotPath)
	require.ErrorIs(t, err, syscall.EIO, "an identity that cannot be read is not replaced")
	fsys.Inject(nil)
	require.NoError(t, openSlot(t, fsys).Unlock(), "the lock is free again")
}

// saved is a slot with an identity of its own.
func saved(t testing.TB, fsys wal.FS) *wal.Slot {
	s := openSlot(t, fsys)
	s.ID.Slot = wal.NewID()
	require.NoError(t, s.Save())
	return s
}

func TestSlotGone(t *testing.T) {
	fsys := faultfs.New(1)
	s := saved(t, fsys)
	require.False(t, s.Gone())
	fsys.RemoveAll(slotPath)
	require.True(t, s.Gone())
	require.NoError(t, s.Rebuild())
	require.NoError(t, s.Save())
	require.False(t, s.Gone())
	_, err := wal.OpenSlot(fsys, slotPath)
	require.ErrorIs(t, err, wal.ErrLocked)
	require.NoError(t, s.Unlock())
	require.NoError(t, openSlot(t, fsys).Unlock())
}

// The directory may be there again: then it is that of the process which made it.
func TestSlotGoneAndTakenByAnother(t *testing.T) {
	fsys := faultfs.New(1)
	s := saved(t, fsys)
	fsys.RemoveAll(slotPath)
	other := saved(t, fsys)
	require.True(t, other.ID.Slot != s.ID.Slot && !other.Gone())
	require.ErrorIs(t, s.Rebuild(), wal.ErrLocked)
	require.True(t, s.Gone(), "another process has it")
}

// Where only the identity was removed, nobody else has the lock.
func TestSlotGoneButForItsLock(t *testing.T) {
	fsys := faultfs.New(1)
	s := saved(t, fsys)
	require.NoError(t, fsys.Remove(filepath.Join(slotPath, wal.IDName)))
	require.True(t, s.Gone())
	require.NoError(t, s.Rebuild())
	require.NoError(t, s.Save())
	require.False(t, s.Gone())
}

func TestSlotRebuildFails(t *testing.T) {
	fsys := faultfs.New(1)
	s := saved(t, fsys)
	fsys.RemoveAll(slotPath)
	fsys.SetReadOnly(true)
	require.ErrorIs(t, s.Rebuild(), syscall.EROFS)
	fsys.SetReadOnly(false)
	require.NoError(t, s.Rebuild())
}

func TestSegmentGone(t *testing.T) {
	fsys := faultfs.New(1)
	seg := segment(t, fsys)
	require.False(t, seg.Gone(fsys))
	fsys.RemoveAll(seg.Name())
	require.True(t, seg.Gone(fsys))
}

// quarantined is how many bytes are in quarantine, and how many files.
func quarantined(t testing.TB, fsys *faultfs.FS, s *wal.Slot) (bytes, files int) {
	names, err := fsys.ReadDir(filepath.Join(s.Path, wal.BadDirName))
	require.NoError(t, err)
	for _, name := range names {
		bytes += len(content(t, fsys, filepath.Join(s.Path, wal.BadDirName, name)))
	}
	return bytes, len(names)
}

func TestQuarantine(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	s.Quarantine("/spool/p-0/seg/1.seg", 40, []byte("bad bytes"), "why")
	kept := filepath.Join(s.Path, wal.BadDirName, "1.seg-40")
	require.Equal(t, "bad bytes", string(content(t, fsys, kept)))
	var note map[string]any
	require.NoError(t, json.Unmarshal(content(t, fsys, kept+".json"), &note))
	require.Equal(t, map[string]any{"file": "1.seg", "offset": 40.0, "bytes": 9.0, "reason": "why"}, note)

	s.Quarantine("1.seg", 40, []byte("again"), "why")
	require.Equal(t, "bad bytes", string(content(t, fsys, kept)), "the first is kept")
	n, files := quarantined(t, fsys, s)
	require.Equal(t, 2, files)
	require.Equal(t, int64(n), s.Kept())
}

func TestQuarantineIsBounded(t *testing.T) {
	for _, size := range []int{2 * wal.MostBadFile, wal.MostBadFile, 300_000, 0} {
		fsys := faultfs.New(1)
		s := openSlot(t, fsys)
		b := make([]byte, size)
		for i := range min(40*wal.MostBadFile/(size+1), 300) {
			s.Quarantine("x.seg", int64(i), b, "why")
			if i%20 == 7 { // another process counts what is there
				require.NoError(t, s.Unlock())
				s = openSlot(t, fsys)
			}
		}
		n, _ := quarantined(t, fsys, s)
		require.LessOrEqual(t, n, wal.MostBad, "pieces of %d", size)
		if size > 0 {
			require.Greater(t, n, wal.MostBad-wal.MostBadFile-1000)
		}
		require.LessOrEqual(t, len(content(t, fsys, filepath.Join(s.Path, wal.BadDirName, "x.seg-0"))), wal.MostBadFile)
	}
}

// The notes count as well.
func TestQuarantineIsBoundedToTheByte(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	for i := int64(0); i == 0 || s.Kept() < wal.MostBad-wal.MostBadFile; i++ {
		s.Quarantine("x.seg", i, make([]byte, wal.MostBadFile), "why")
	}
	s.Quarantine("x.seg", 99, make([]byte, wal.MostBad-s.Kept()), "why")
	n, _ := quarantined(t, fsys, s)
	require.LessOrEqual(t, n, wal.MostBad)
}

func TestQuarantineOnAFullDisk(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	fsys.SetFree(8192)
	s.Quarantine("a", 1, make([]byte, 100_000), "why")
	fsys.SetReadOnly(true)
	s.Quarantine("b", 1, make([]byte, 100), "why")
	fsys.SetReadOnly(false)
	fsys.Inject(func(faultfs.Op) error { return errors.New("all is lost") })
	s.Quarantine("c", 1, make([]byte, 100), "why")
	fsys.Inject(nil)
	fsys.SetFree(1 << 20)
	s.Quarantine("d", 1, make([]byte, 100), "why")
	n, _ := quarantined(t, fsys, s)
	require.Equal(t, int64(n), s.Kept())
	require.Contains(t, fsys.Files(), s.Path+"/bad/d-1")
}

// The names of what is in quarantine are good on any file system, however long they were.
func TestQuarantineOfLongNames(t *testing.T) {
	fsys := faultfs.New(1)
	s := openSlot(t, fsys)
	s.Quarantine(s.CursorPath(wal.FileName(strings.Repeat(".", 500))), 1<<60, []byte("x"), "why")
	for _, name := range fsys.Files() {
		require.LessOrEqual(t, len(filepath.Base(name)), 255)
	}
	require.True(t, slices.ContainsFunc(fsys.Files(), func(name string) bool { return strings.HasSuffix(name, fmt.Sprint("-", int64(1<<60))) }))
}

func TestReadSmall(t *testing.T) {
	fsys := faultfs.New(1)
	for _, n := range []int{0, 1, 1 << 20} {
		write(t, fsys, "/f", make([]byte, n))
		b, err := wal.ReadSmall(fsys, "/f")
		require.NoError(t, err)
		require.Len(t, b, n)
	}
	write(t, fsys, "/f", make([]byte, 1<<20+1))
	_, err := wal.ReadSmall(fsys, "/f")
	require.Error(t, err)
	_, err = wal.ReadSmall(fsys, "/missing")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
