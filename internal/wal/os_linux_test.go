package wal_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal"
)

// blocks is how many bytes of a file are on the disk.
func blocks(t *testing.T, name string) int64 {
	info, err := os.Stat(name)
	require.NoError(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

// places are directories on the file systems that this machine has.
func places(t *testing.T) map[string]string {
	list := map[string]string{"disk": t.TempDir()}
	if shm, err := os.MkdirTemp("/dev/shm", "wal"); err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(shm) })
		list["tmpfs"] = shm
	}
	return list
}

func TestOSMap(t *testing.T) {
	for kind, dir := range places(t) {
		t.Run(kind, func(t *testing.T) {
			name := filepath.Join(dir, "f")
			const size = 300_000
			m, err := wal.OS{}.Map(name, size)
			require.NoError(t, err)
			require.Len(t, m.Bytes(), size)
			require.GreaterOrEqual(t, blocks(t, name), int64(size), "allocated")
			copy(m.Bytes()[1000:], "hello")
			b, err := os.ReadFile(name)
			require.NoError(t, err)
			require.Equal(t, "hello", string(b[1000:1005]), "shared")
			require.NoError(t, m.Close())

			for _, size := range []int{400_000, 2000} { // it grows and shrinks
				m, err = wal.OS{}.Map(name, int64(size))
				require.NoError(t, err)
				require.Len(t, m.Bytes(), size)
				require.Equal(t, "hello", string(m.Bytes()[1000:1005]), "what was there stays")
				if size > 300_000 {
					require.Equal(t, make([]byte, 100_000), m.Bytes()[300_000:])
				}
				require.GreaterOrEqual(t, blocks(t, name), int64(size))
				require.NoError(t, m.Close())
				info, err := os.Stat(name)
				require.NoError(t, err)
				require.Equal(t, int64(size), info.Size())
				require.Equal(t, fs.FileMode(0o600), info.Mode())
			}

			f, err := os.Create(name) // a hole
			require.NoError(t, err)
			require.NoError(t, f.Truncate(size))
			require.NoError(t, f.Close())
			m, err = wal.OS{}.Map(name, size)
			require.NoError(t, err)
			require.GreaterOrEqual(t, blocks(t, name), int64(size), "holes are filled")
			require.NoError(t, m.Close())
			require.Error(t, m.Close(), "only once")
		})
	}
}

func TestOSMapFails(t *testing.T) {
	dir := t.TempDir()
	_, err := wal.OS{}.Map(filepath.Join(dir, "missing", "f"), 4096)
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = wal.OS{}.Map(dir, 4096)
	require.Error(t, err)
	_, err = wal.OS{}.Map(filepath.Join(dir, "f"), 1<<60)
	require.Error(t, err)
	_, err = wal.OS{}.Map(filepath.Join(dir, "f"), -1)
	require.Error(t, err)
}

// The descriptor is closed once the file is mapped.
func TestOSMapClosesItsFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	m, err := wal.OS{}.Map(name, 4096)
	require.NoError(t, err)
	fds, err := os.ReadDir("/proc/self/fd")
	require.NoError(t, err)
	for _, fd := range fds {
		target, _ := os.Readlink("/proc/self/fd/" + fd.Name())
		require.NotEqual(t, name, target)
	}
	require.NoError(t, m.Close())
}

func TestOSLocal(t *testing.T) {
	for kind, dir := range places(t) {
		if kind == "tmpfs" {
			require.True(t, wal.OS{}.Local(dir))
		}
	}
	require.False(t, wal.OS{}.Local("/proc"))
}

func TestOSBootID(t *testing.T) {
	id := wal.OS{}.BootID()
	require.Regexp(t, regexp.MustCompile(`^[0-9a-f-]{36}$`), id)
	require.Equal(t, id, wal.OS{}.BootID())
}

// faulty is a mapped ring whose file has been cut.
func faulty(t *testing.T, fill int, size int64) (r *wal.Ring, name string) {
	name = filepath.Join(t.TempDir(), "ring")
	r, left, damage, err := wal.OpenRing(wal.OS{}, name, wal.RingLeast, testSlot, wal.Mapped)
	require.NoError(t, err)
	require.Empty(t, left)
	require.Empty(t, damage)
	t.Cleanup(func() { _ = r.Close() })
	fillTo(t, r, fill)
	mustPut(t, r, rec(7, 100))
	require.NoError(t, os.Truncate(name, size))
	return r, name
}

// A file that is cut below its mapping makes errors, not crashes.
func TestRingFaults(t *testing.T) {
	r, name := faulty(t, 10_000, wal.RingPage)
	tail := r.Tail()
	_, err := put(r, rec(8, 100))
	require.ErrorIs(t, err, wal.ErrFault)
	_, err = r.Each(10_000, r.Extent(), func(wal.Record) bool { t.Error("there is none"); return true })
	require.ErrorIs(t, err, wal.ErrFault)
	require.ErrorIs(t, r.Resume(), wal.ErrFault)
	require.NoError(t, r.Restart(testSlot), "the header is still there")
	require.NoError(t, os.Truncate(name, 0))
	require.ErrorIs(t, r.Restart(testSlot), wal.ErrFault)
	require.NotEqual(t, tail, r.Tail())

	require.NoError(t, os.Truncate(name, wal.RingPage+wal.RingLeast)) // and it is there again
	require.NoError(t, r.Restart(testSlot))
	mustPut(t, r, rec(8, 100))
	same(t, []wal.Record{rec(8, 100)}, each(t, r, 0))
}

// A body that faults while the caller of Each looks at it is an error of Each.
func TestRingFaultInTheFunctionOfEach(t *testing.T) {
	r, _ := faulty(t, 4000, wal.RingPage+4096)
	sum := 0
	next, err := r.Each(4000, r.Extent(), func(rec wal.Record) bool {
		for _, b := range rec.Body {
			sum += int(b)
		}
		return true
	})
	require.ErrorIs(t, err, wal.ErrFault)
	require.Equal(t, uint64(4000), next, "it is still to be read")
}

// The first word of a record is stored last: where the store ends with a fault in the
// body, there is nothing of the record.
func TestRingStoresTheFirstWordLast(t *testing.T) {
	r, name := faulty(t, 3800, wal.RingPage+4096)
	pos := r.Tail()
	require.Less(t, pos, uint64(4096-wal.RingRecord))
	before, err := os.ReadFile(name)
	require.NoError(t, err)
	big := rec(8, 2000)
	_, err = put(r, big)
	require.ErrorIs(t, err, wal.ErrFault)
	require.Equal(t, pos, r.Tail())
	after, err := os.ReadFile(name)
	require.NoError(t, err)
	at := wal.RingPage + int(pos)
	require.Equal(t, before[at:at+8], after[at:at+8])
	require.NotEqual(t, before[at+8:at+32], after[at+8:at+32], "it had begun")

	require.NoError(t, os.Truncate(name, wal.RingPage+wal.RingLeast))
	mustPut(t, r, big)
	list, _, err := wal.RingRecords(wal.OS{}, name, testSlot)
	require.NoError(t, err)
	require.Contains(t, seqs(list), uint64(8))
}

// A ring of the OS that a process has left is read by the next one.
func TestRingOfTheOS(t *testing.T) {
	for kind, dir := range places(t) {
		eachUse(t, kept, func(t *testing.T, use wal.RingUse) {
			name := filepath.Join(dir, kind+use.String())
			r, _, _, err := wal.OpenRing(wal.OS{}, name, 200_000, testSlot, use)
			require.NoError(t, err)
			var want []wal.Record
			for seq := range uint64(100) {
				want = append(want, rec(seq, int(seq*17%900)))
				mustPut(t, r, want[seq])
			}
			require.GreaterOrEqual(t, blocks(t, name), int64(200_000))
			require.NoError(t, r.Close())
			r, left, damage, err := wal.OpenRing(wal.OS{}, name, 300_000, testSlot, use)
			require.NoError(t, err)
			require.Empty(t, damage)
			same(t, want, left)
			require.NoError(t, r.Resume())
			mustPut(t, r, rec(100, 5))
			require.NoError(t, r.Close())
		})
	}
}

// Where blocks cannot be allocated, zeros are written.
func TestFill(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(name)
	require.NoError(t, err)
	_, err = f.WriteString("hello")
	require.NoError(t, err)
	for _, size := range []int64{5, 3, 200_001} {
		require.NoError(t, wal.Fill(f, size))
		require.GreaterOrEqual(t, blocks(t, name), size)
	}
	require.NoError(t, f.Close())
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	require.Equal(t, append([]byte("hello"), make([]byte, 200_001-5)...), b)
	require.Error(t, wal.Fill(f, 10))
	f, err = os.Open(name)
	require.NoError(t, err)
	require.Error(t, wal.Fill(f, 300_000), "it is open for reading")
	require.NoError(t, f.Close())
}
