package faultfs_test

import (
	"bytes"
	"io"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// letters tells a file by the first letter of each sector, and its size.
func letters(t *testing.T, name string) func(*faultfs.FS) string {
	return func(f *faultfs.FS) string {
		data, err := f.ReadFile(name)
		require.NoError(t, err)
		var b strings.Builder
		for i := 0; i < len(data); i += 512 {
			b.WriteString(strings.ReplaceAll(string(data[i:i+1]), "\x00", "0"))
		}
		return b.String()
	}
}

// sectors is data that letters tells as s.
func sectors(s string) string {
	var b strings.Builder
	for _, c := range s {
		b.WriteString(strings.Repeat(string(c), 512))
	}
	return b.String()
}

func TestReadAndWrite(t *testing.T) {
	f := faultfs.New(1)
	file := open(t, f, "/a")
	write(t, file, 5000, "end")
	size, err := file.Size()
	require.NoError(t, err)
	assert.Equal(t, int64(5003), size)
	b := make([]byte, 10)
	n, err := file.ReadAt(b, 4995)
	assert.ErrorIs(t, err, io.EOF)
	assert.Equal(t, "\x00\x00\x00\x00\x00end", string(b[:n]))
	_, err = file.ReadAt(b, 5003)
	assert.Equal(t, io.EOF, err)
	n, err = file.ReadAt(b[:3], 5000)
	assert.NoError(t, err)
	assert.Equal(t, 3, n)
	_, err = file.ReadAt(b, -1)
	assert.ErrorIs(t, err, syscall.EINVAL)
	_, err = file.WriteAt(b, -1)
	assert.ErrorIs(t, err, syscall.EINVAL)

	reader, err := f.Open("/a", false, false)
	require.NoError(t, err)
	_, err = reader.WriteAt(b, 0)
	assert.ErrorIs(t, err, syscall.EBADF)
	write(t, file, 0, strings.Repeat("x", 9000))
	n, err = reader.ReadAt(make([]byte, 9000), 0)
	assert.NoError(t, err)
	assert.Equal(t, 9000, n)
}

func TestSectorsAreIndependent(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", sectors("abc"))
	write(t, file, 0, sectors("A"))
	write(t, file, 1024, sectors("C"))
	want := []string{"AbC", "Abc", "abC", "abc"}
	assert.Equal(t, want, outcomes(t, f, letters(t, "/a")))
	require.NoError(t, file.Sync())
	assert.Equal(t, []string{"AbC"}, outcomes(t, f, letters(t, "/a")))
}

func TestSectorsAreWhole(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", strings.Repeat("a", 1024))
	write(t, file, 500, strings.Repeat("b", 24))
	for _, left := range outcomes(t, f, files(t)) {
		first, second := left[len("/a="):][:512], left[len("/a="):][512:]
		assert.Contains(t, []int{0, 12}, strings.Count(first, "b"))
		assert.Contains(t, []int{0, 12}, strings.Count(second, "b"))
	}
	assert.Len(t, outcomes(t, f, files(t)), 4)
}

func TestSectorMayHoldWhatWasWrittenInBetween(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", "0")
	for _, s := range []string{"1", "2", "3"} {
		write(t, file, 0, s)
	}
	assert.Equal(t, []string{"/a=0", "/a=1", "/a=2", "/a=3"}, outcomes(t, f, files(t)))
	write(t, file, 0, "0")
	assert.Equal(t, []string{"/a=0", "/a=1", "/a=2", "/a=3"}, outcomes(t, f, files(t)))
	for range 20 {
		write(t, file, 0, "4")
		write(t, file, 0, "5")
	}
	assert.Contains(t, outcomes(t, f, files(t)), "/a=5")
	require.NoError(t, file.Sync())
	assert.Equal(t, []string{"/a=5"}, outcomes(t, f, files(t)))
}

func TestGrownFileHasAnySizeInBetween(t *testing.T) {
	f := faultfs.New(1)
	f.SetGarbage(false)
	file := put(t, f, "/a", "ab")
	write(t, file, 2, "cd")
	write(t, file, 4, "ef")
	size := func(f *faultfs.FS) string {
		data, err := f.ReadFile("/a")
		require.NoError(t, err)
		return string(rune('0' + len(data)))
	}
	assert.Equal(t, []string{"2", "4", "6"}, outcomes(t, f, size))
	assert.Contains(t, outcomes(t, f, files(t)), "/a=ab\x00\x00\x00\x00")
	assert.Contains(t, outcomes(t, f, files(t)), "/a=abcd\x00\x00", "an older sector, the latest size")

	seen := map[string]bool{}
	for range seeds {
		f.EachPowerLoss(-1, nil)
		next := f
		require.False(t, f.EachPowerLoss(1, func(g *faultfs.FS) { next = g }))
		seen[size(next)] = true
	}
	for _, s := range []string{"2", "3", "4", "5", "6"} {
		assert.True(t, seen[s], s)
	}
	require.NoError(t, file.Sync())
	assert.Equal(t, []string{"/a=abcdef"}, outcomes(t, f, files(t)))
}

func TestGrownFileMayEndAtAPage(t *testing.T) {
	f := faultfs.New(1)
	f.SetGarbage(false)
	file := put(t, f, "/a", "")
	write(t, file, 9000, "x")
	sizes := outcomes(t, f, func(f *faultfs.FS) string {
		data, err := f.ReadFile("/a")
		require.NoError(t, err)
		return string(rune('0' + len(data)/4096))
	})
	assert.Equal(t, []string{"0", "1", "2"}, sizes)
}

func TestCutFileHasTheOldSizeOrTheNew(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/a", sectors("abcd"))
	m, err := f.Map("/a", 512)
	require.NoError(t, err)
	assert.Equal(t, []string{"a", "abcd"}, outcomes(t, f, letters(t, "/a")))
	require.NoError(t, m.Close())
	m, err = f.Map("/a", 1024)
	require.NoError(t, err)
	assert.Zero(t, m.Bytes()[512], "what is new reads as zero")
	assert.Equal(t, []string{"a", "a0", "a0cd", "ab", "abcd"}, outcomes(t, f, letters(t, "/a")))
	file := open(t, f, "/a")
	require.NoError(t, file.Sync())
	assert.Equal(t, []string{"a0"}, outcomes(t, f, letters(t, "/a")))
}

func TestCutFileGrowsByWriting(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", sectors("abcd"))
	m, err := f.Map("/a", 512)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	write(t, file, 1536, sectors("D"))
	left := outcomes(t, f, letters(t, "/a"))
	for _, want := range []string{"a", "abcd", "a0cD", "ab0d", "a00D"} {
		assert.Contains(t, left, want)
	}
	require.NoError(t, file.Sync())
	assert.Equal(t, []string{"a00D"}, outcomes(t, f, letters(t, "/a")))

	file = put(t, f, "/pages", sectors(strings.Repeat("abcdefgh", 3)))
	m, err = f.Map("/pages", 512)
	require.NoError(t, err)
	require.NoError(t, m.Close())
	write(t, file, 23*512, sectors("H"))
	require.NoError(t, file.Sync())
	want := "a" + strings.Repeat("0", 22) + "H"
	assert.Equal(t, []string{want}, outcomes(t, f, letters(t, "/pages")))
}

func TestNothingIsBehindTheEnd(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", "ab")
	write(t, file, 2, "cd")
	f.EachPowerLoss(1<<12, func(next *faultfs.FS) {
		data, err := next.ReadFile("/a")
		require.NoError(t, err)
		write(t, open(t, next, "/a"), 100, "x")
		grown, err := next.ReadFile("/a")
		require.NoError(t, err)
		assert.Equal(t, string(data)+strings.Repeat("\x00", 100-len(data))+"x", string(grown))
	})
}

func TestSyncForgetsWhatWasInBetween(t *testing.T) {
	for _, fault := range []error{nil, syscall.EIO} {
		f := faultfs.New(1)
		file := put(t, f, "/a", "0")
		write(t, file, 0, "1")
		write(t, file, 0, "0")
		f.Inject(func(faultfs.Op) error { return fault })
		require.ErrorIs(t, file.Sync(), fault)
		assert.Equal(t, []string{"/a=0"}, outcomes(t, f, files(t)))
	}
}

func TestZerosThatNobodyWroteAreNotLost(t *testing.T) {
	for seed := range uint64(20) {
		f := faultfs.New(seed)
		file := put(t, f, "/m", "")
		m, err := f.Map("/m", 4096)
		require.NoError(t, err)
		f.Inject(func(faultfs.Op) error { return syscall.EIO })
		require.Error(t, file.Sync())
		f.Inject(nil)
		require.NoError(t, file.Sync())
		assert.Equal(t, []string{"00000000"}, outcomes(t, f, letters(t, "/m")))
		require.NoError(t, m.Close())
	}
}

func TestNewSectorsMayBeGarbage(t *testing.T) {
	isGarbage := func(f *faultfs.FS) string {
		data, err := f.ReadFile("/a")
		require.NoError(t, err)
		if rest := bytes.Trim(data[min(1, len(data)):], "\x00"); len(rest) > 100 {
			return "garbage"
		}
		return "zero"
	}
	f := faultfs.New(1)
	file := put(t, f, "/a", "")
	write(t, file, 0, "a"+strings.Repeat("\x00", 511))
	assert.Equal(t, []string{"garbage", "zero"}, outcomes(t, f, isGarbage))
	seen := map[string]int{}
	for range seeds {
		f.EachPowerLoss(1, func(f *faultfs.FS) { seen[isGarbage(f)]++ })
	}
	assert.Len(t, seen, 2)

	count := 0
	require.True(t, f.EachPowerLoss(4, func(*faultfs.FS) { count++ }))
	assert.Equal(t, 4, count, "no sector, or one with the data, with zeros, with garbage")

	f.SetGarbage(false)
	assert.Equal(t, []string{"zero"}, outcomes(t, f, isGarbage))
	f.SetGarbage(true)
	require.NoError(t, file.Sync())
	write(t, file, 0, "b")
	assert.Equal(t, []string{"zero"}, outcomes(t, f, isGarbage), "what was on the disk once is never garbage")
}

func TestOneSectorMayBeGarbageAndAnotherNot(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", "")
	write(t, file, 0, sectors("ab"))
	zero := make([]byte, 512)
	seen := map[[2]bool]bool{}
	for range 20 * seeds {
		f.EachPowerLoss(1, func(next *faultfs.FS) {
			data, err := next.ReadFile("/a")
			require.NoError(t, err)
			if len(data) == 1024 && data[0] != 'a' && data[512] != 'b' {
				seen[[2]bool{bytes.Equal(data[:512], zero), bytes.Equal(data[512:], zero)}] = true
			}
		})
	}
	assert.Len(t, seen, 4)
}

func TestMappingIsTheCache(t *testing.T) {
	f := faultfs.New(1)
	file := open(t, f, "/m")
	write(t, file, 0, "kept")
	m, err := f.Map("/m", 10000)
	require.NoError(t, err)
	b := m.Bytes()
	require.Len(t, b, 10000)
	assert.Equal(t, 10000, cap(b))
	assert.Zero(t, uintptr(unsafe.Pointer(&b[0]))%8)
	assert.Equal(t, "kept\x00", string(b[:5]))

	copy(b[9000:], "stored")
	p := make([]byte, 6)
	_, err = file.ReadAt(p, 9000)
	require.NoError(t, err)
	assert.Equal(t, "stored", string(p))
	write(t, file, 4090, "across pages")
	assert.Equal(t, "across pages", string(b[4090:4102]))

	write(t, file, 9998, "behind the mapping"+strings.Repeat("x", 9000))
	assert.Equal(t, "be", string(b[9998:]))
	b[9999] = 'E'
	p = make([]byte, 4)
	_, err = file.ReadAt(p, 9998)
	require.NoError(t, err)
	assert.Equal(t, "bEhi", string(p))

	again, err := f.Map("/m", 5000)
	require.NoError(t, err)
	again.Bytes()[0] = 'K'
	assert.Equal(t, byte('K'), b[0])
	_, err = f.Map("/m", 1<<20)
	require.ErrorContains(t, err, "while it is mapped")

	require.NoError(t, m.Close())
	again.Bytes()[1] = 'E'
	require.NoError(t, again.Close())
	data, err := f.ReadFile("/m")
	require.NoError(t, err)
	assert.Len(t, data, 5000)
	assert.Equal(t, "KEpt", string(data[:4]))
	assert.NotEqual(t, "KEpt", string(b[:4]), "nobody must read it any more")
}

func TestMappedFileIsCutAndGrowsAgain(t *testing.T) {
	f := faultfs.New(1)
	m, err := f.Map("/m", 8192)
	require.NoError(t, err)
	copy(m.Bytes()[5000:], "gone")
	short, err := f.Map("/m", 100)
	require.NoError(t, err)
	write(t, open(t, f, "/m"), 8191, "x")
	assert.Equal(t, "\x00\x00\x00\x00", string(m.Bytes()[5000:5004]))
	assert.Equal(t, byte('x'), m.Bytes()[8191])
	require.NoError(t, short.Close())
	require.NoError(t, m.Close())
}

func TestPagesAreWrittenInAnyOrder(t *testing.T) {
	f := faultfs.New(1)
	put(t, f, "/m", strings.Repeat("-", 8192))
	m, err := f.Map("/m", 8192)
	require.NoError(t, err)
	m.Bytes()[0] = 'a'
	m.Bytes()[4096] = 'b'
	pages := func(f *faultfs.FS) string {
		data, err := f.ReadFile("/m")
		require.NoError(t, err)
		return string(data[0]) + string(data[4096])
	}
	assert.Equal(t, []string{"--", "-b", "a-", "ab"}, outcomes(t, f, pages))

	require.NoError(t, m.Close())
	assert.Equal(t, []string{"--", "-b", "a-", "ab"}, outcomes(t, f, pages), "Close syncs nothing")
	file := open(t, f, "/m")
	m, err = f.Map("/m", 8192)
	require.NoError(t, err)
	m.Bytes()[0] = 'A'
	require.NoError(t, file.Sync(), "of another handle")
	assert.Equal(t, []string{"Ab"}, outcomes(t, f, pages))
	m.Bytes()[4096] = 'B'
	assert.Equal(t, []string{"AB", "Ab"}, outcomes(t, f, pages))
}

func TestKernelWritesPagesInBetween(t *testing.T) {
	first := func(f *faultfs.FS) string {
		data, err := f.ReadFile("/m")
		require.NoError(t, err)
		return string(data[0])
	}
	f := faultfs.New(1)
	f.SetWriteback(0)
	put(t, f, "/m", strings.Repeat("a", 4096))
	m, err := f.Map("/m", 4096)
	require.NoError(t, err)
	m.Bytes()[0] = 'b'
	_, err = f.ReadDir("/")
	require.NoError(t, err)
	m.Bytes()[0] = 'c'
	assert.Equal(t, []string{"a", "c"}, outcomes(t, f, first))
	f.Writeback()
	m.Bytes()[0] = 'd'
	assert.Equal(t, []string{"a", "c", "d"}, outcomes(t, f, first))
	f.SetWriteback(1)
	_, err = f.ReadDir("/")
	require.NoError(t, err)
	m.Bytes()[0] = 'e'
	assert.Equal(t, []string{"a", "c", "d", "e"}, outcomes(t, f, first))
}

func TestFailedSyncLosesSectorsForGood(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(seeds) {
		f := faultfs.New(seed)
		file := put(t, f, "/a", sectors("abc"))
		write(t, file, 0, sectors("AB"))
		f.Inject(func(faultfs.Op) error { return syscall.EIO })
		require.ErrorIs(t, file.Sync(), syscall.EIO)
		f.Inject(nil)
		assert.Equal(t, "ABc", letters(t, "/a")(f), "the cache still shows it")

		left := outcomes(t, f, letters(t, "/a"))
		require.Len(t, left, 1, "nothing is pending")
		seen[left[0]]++
		require.NoError(t, file.Sync())
		assert.Equal(t, left, outcomes(t, f, letters(t, "/a")), "a later Sync does not help")
		assert.Equal(t, left[0], letters(t, "/a")(f.Kill().PowerLoss()))

		f = f.Kill()
		file = open(t, f, "/a")
		write(t, file, 0, sectors("A"))
		require.NoError(t, file.Sync())
		assert.Equal(t, []string{"A" + left[0][1:]}, outcomes(t, f, letters(t, "/a")), "what is written again is")
	}
	assert.Len(t, seen, 4)
}

func TestFailedSyncOfANewFile(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(seeds) {
		f := faultfs.New(seed)
		f.SetGarbage(false)
		file := put(t, f, "/a", "")
		write(t, file, 0, sectors("AB"))
		f.Inject(func(faultfs.Op) error { return syscall.EIO })
		require.ErrorIs(t, file.Sync(), syscall.EIO)
		f.Inject(nil)
		seen["size "+outcomes(t, f, letters(t, "/a"))[0]]++
		require.NoError(t, file.Sync())
		left := outcomes(t, f, letters(t, "/a"))
		require.Len(t, left, 1)
		seen[left[0]]++
	}
	for _, want := range []string{"00", "A0", "0B", "AB", "size ", "size AB"} {
		assert.Positive(t, seen[want], want)
	}
}

func TestFailedSyncLosesPages(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(seeds) {
		f := faultfs.New(seed)
		f.SetWriteback(0)
		file := put(t, f, "/m", sectors("abcdefgh"))
		m, err := f.Map("/m", 4096)
		require.NoError(t, err)
		m.Bytes()[0] = 'A'
		f.Inject(func(faultfs.Op) error { return syscall.EIO })
		require.Error(t, file.Sync())
		f.Inject(nil)
		require.NoError(t, file.Sync())
		left := outcomes(t, f, letters(t, "/m"))
		require.Len(t, left, 1)
		seen[left[0]]++
		m.Bytes()[0] = 'B'
		require.NoError(t, file.Sync())
		assert.Equal(t, []string{"Bbcdefgh"}, outcomes(t, f, letters(t, "/m")))
	}
	assert.Len(t, seen, 2)
}

func TestCorruptChangesBothImages(t *testing.T) {
	f := faultfs.New(1)
	file := put(t, f, "/a", sectors("abc"))
	write(t, file, 512, sectors("B"))
	require.NoError(t, f.Corrupt("/a", func(b []byte) []byte {
		b[0] = 'X'
		return b
	}))
	assert.Equal(t, []string{"XBc", "Xbc"}, outcomes(t, f, letters(t, "/a")))
	assert.Equal(t, "XBc", letters(t, "/a")(f.Kill()))
}

func TestCorruptChangesTheSize(t *testing.T) {
	for want, change := range map[string]func([]byte) []byte{
		"a":    func(b []byte) []byte { return b[:512] },
		"":     func([]byte) []byte { return nil },
		"abcd": func(b []byte) []byte { return append(b, sectors("d")...) },
	} {
		f := faultfs.New(1)
		f.SetFree(1 << 20)
		put(t, f, "/a", sectors("abc"))
		require.NoError(t, f.Corrupt("/a", change))
		assert.Equal(t, want, letters(t, "/a")(f))
		free, err := f.Free("/")
		require.NoError(t, err)
		assert.Equal(t, want == "", free == 1<<20)
		assert.Equal(t, []string{want}, outcomes(t, f, letters(t, "/a")))
	}
}

func TestCorruptReachesMappings(t *testing.T) {
	f := faultfs.New(1)
	m, err := f.Map("/m", 100)
	require.NoError(t, err)
	require.NoError(t, f.Corrupt("/m", func(b []byte) []byte { b[7] = 'x'; return b }))
	assert.Equal(t, byte('x'), m.Bytes()[7])
}
