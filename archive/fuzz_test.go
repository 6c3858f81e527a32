package archive_test

import (
	"bytes"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
)

// addFiles adds files of events to what is fuzzed, and returns the length of their lines.
func addFiles(f *testing.F) int64 {
	lines := []byte(track("m-0", "u") + "\n" + track("m-1", "v") + "\n")
	var gz bytes.Buffer
	w := gzip.NewWriter(&gz)
	for range 2 { // members
		_, err := w.Write(lines)
		require.NoError(f, err)
		require.NoError(f, w.Close())
		w.Reset(&gz)
	}
	enc, err := zstd.NewWriter(nil)
	require.NoError(f, err)
	zs := enc.EncodeAll(lines, nil)
	f.Add(gz.Bytes(), false)
	f.Add(zs, true)
	f.Add(gz.Bytes()[:gz.Len()/2], false)
	f.Add(zs[:len(zs)-1], true)
	f.Add([]byte{}, false)
	return 2 * int64(len(lines))
}

// extensions are those of the files of addFiles.
var extensions = map[bool]string{false: ".gz", true: ".zst"}

// FuzzRead reads whatever is said to be a file of events.
func FuzzRead(f *testing.F) {
	most := addFiles(f)
	f.Fuzz(func(_ *testing.T, raw []byte, zstd bool) {
		_, _ = archive.EachLine(raw, "x"+extensions[zstd], most) // it must not panic, nor take for ever
	})
}

// FuzzSoundFront reads unfinished files that the disk has damaged. What is called sound can
// be read, and is all that it says.
func FuzzSoundFront(f *testing.F) {
	most := addFiles(f)
	f.Fuzz(func(t *testing.T, raw []byte, zstd bool) {
		size, rawBytes, count := archive.SoundFront(raw, extensions[zstd], most)
		require.LessOrEqual(t, size, int64(len(raw)))
		require.LessOrEqual(t, rawBytes, most)
		if count == 0 {
			return
		}
		n, err := archive.EachLine(raw[:size], "x"+extensions[zstd], rawBytes)
		require.NoError(t, err)
		require.EqualValues(t, count, n)
	})
}

// FuzzLines reads lines that are whole files.
func FuzzLines(f *testing.F) {
	for _, line := range []string{track("m-0", "u"), `{"messageId":"m","messageId":null}`, `{"messageId":"\ud800"}`, "", "{", `{"messageId":1}`} {
		f.Add([]byte(line))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		var gz bytes.Buffer
		w := gzip.NewWriter(&gz)
		_, err := w.Write(append(bytes.ReplaceAll(line, []byte("\n"), nil), '\n'))
		require.NoError(t, err)
		require.NoError(t, w.Close())
		n, err := archive.EachLine(gz.Bytes(), "x.gz", 1<<30)
		require.Error(t, err, "it is shorter than its manifest says")
		require.LessOrEqual(t, n, 1)
	})
}

// FuzzManifest reads whatever is said to be a manifest. What is taken for one is written
// again as it was.
func FuzzManifest(f *testing.F) {
	m := newMemory()
	d := open(f, &archive.Destination{Bucket: m, Dir: f.TempDir()})
	require.NoError(f, deliver(f, d, 0, track("m-0", "u")))
	require.NoError(f, d.Close(f.Context()))
	key := m.keys()[0]
	f.Add(m.files[key])
	f.Add(bytes.Replace(m.files[key], []byte(`"count":1`), []byte(`"count":-1`), 1))
	f.Add([]byte("null"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		parsed, err := archive.ParseManifest(raw, "", key)
		if err != nil {
			return
		}
		require.GreaterOrEqual(t, parsed.Count, int64(0))
		require.Less(t, parsed.From, parsed.To)
		_ = parsed.IDs.HasUser("u")
	})
}
