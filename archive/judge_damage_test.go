package archive_test

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
)

// healthy is an archive of two files.
func healthy(t *testing.T, compression archive.Compression) *shelf {
	t.Helper()
	s := newShelf()
	d := opened(t, &archive.Destination{Bucket: s, Dir: quickDir(t), Compression: compression})
	f := newFeed('d', 40, night.Add(-time.Hour), time.Millisecond)
	require.NoError(t, f.run(t, d, 7, 20))
	require.NoError(t, d.Rotate(t.Context()))
	require.NoError(t, f.run(t, d, 7, 40))
	require.NoError(t, d.Close(t.Context()))
	require.Len(t, s.data(), 2)
	requireVerified(t, s, "", len(f.all()))
	return s
}

// faultsOf is what Verify says.
func faultsOf(t *testing.T, b archive.Bucket) []archive.Fault {
	t.Helper()
	a, err := archive.Open(b, "")
	require.NoError(t, err)
	calls := 0
	report, err := a.Verify(t.Context(), func(archive.Progress) { calls++ })
	require.NoError(t, err)
	require.Positive(t, calls)
	return report.Faults
}

// requireFault expects that exactly this file is found to be wrong, and that reading its
// events does not panic.
func requireFault(t *testing.T, s *shelf, key string, what ...string) {
	t.Helper()
	faults := faultsOf(t, s)
	require.NotEmpty(t, faults, "nobody noticed")
	for _, f := range faults {
		require.True(t, f.Key == key || isManifest(f.Key) && strings.Contains(key, strings.TrimSuffix(f.Key[strings.LastIndexByte(f.Key, '/')+1:], ".json")) ||
			isManifest(key) && strings.Contains(f.Key, strings.TrimSuffix(key[strings.LastIndexByte(key, '/')+1:], ".json")), "%s is blamed for %s: %s", f.Key, key, f.Problem)
		require.NotEmpty(t, f.Problem)
		require.NotContains(t, f.Problem, "Step", "content of events")
	}
	for _, word := range what {
		require.True(t, slices.ContainsFunc(faults, func(f archive.Fault) bool { return strings.Contains(strings.ToLower(f.Problem), word) }), "%q in %v", word, faults)
	}
	a, err := archive.Open(s, "")
	require.NoError(t, err)
	for _, err := range a.Events(t.Context(), archive.Query{}) {
		if err != nil {
			require.NotContains(t, err.Error(), "Step", "content of events")
			break
		}
	}
}

func TestJudgeDamagedFiles(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		t.Run(string(compression), func(t *testing.T) {
			good := healthy(t, compression)
			key, other := good.data()[0], good.data()[1]
			whole := good.files[key]
			damage := func(name string, data []byte) {
				s := good.copy()
				s.files[key] = data
				t.Run(name, func(t *testing.T) { requireFault(t, s, key) })
			}
			for end := 0; end < len(whole); end += max(1, len(whole)/60) {
				damage(fmt.Sprint("cut at ", end), whole[:end])
			}
			damage("a byte is missing", whole[:len(whole)-1])
			for at := 0; at < len(whole); at += max(1, len(whole)/80) {
				data := bytes.Clone(whole)
				data[at] ^= 1 << (at % 8)
				damage(fmt.Sprint("bit flipped at ", at), data)
			}
			damage("another file", good.files[other])
			damage("twice", append(bytes.Clone(whole), whole...))
			damage("zeros behind", append(bytes.Clone(whole), make([]byte, 512)...))
			damage("text behind", append(bytes.Clone(whole), "hello"...))
			damage("plain text", []byte("hello\n"))
			damage("not compressed", []byte(strings.Join(linesOf(t, good, key), "\n")+"\n"))
			damage("the same events, compressed otherwise", packed(t, strings.Join(linesOf(t, good, key), "\n")+"\n"))
		})
	}
}

// A file of which only the first members are left can be read to its end. Who reads has to
// notice, and not take them for all of it.
func TestJudgeFilesThatAreCutBetweenMembers(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		good := healthy(t, compression)
		key := good.data()[0]
		ends := cleanCuts(key, good.files[key])
		require.GreaterOrEqual(t, len(ends), 2)
		for _, end := range ends {
			s := good.copy()
			s.files[key] = good.files[key][:end]
			requireFault(t, s, key)
			a, err := archive.Open(s, "")
			require.NoError(t, err)
			var failed error
			for _, err := range a.Events(t.Context(), archive.Query{}) {
				failed = cmp.Or(failed, err)
			}
			require.Error(t, failed, "Events, cut at %d", end)
			_, err = a.Replay(t.Context(), archive.Query{}, archive.ToDestination(newSink("Sink")), archive.ReplayOptions{})
			require.Error(t, err, "Replay, cut at %d", end)
			_, err = a.Forget(t.Context(), archive.Identity{UserID: "shop:1"})
			require.Error(t, err, "Forget, cut at %d", end)
			require.Len(t, s.files[key], end)
		}
	}
}

// packed is a gzip file.
func packed(t *testing.T, text string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestJudgeMissingFiles(t *testing.T) {
	good := healthy(t, archive.Gzip)
	key, manifest := good.data()[0], good.keys("archive/_manifest/")[0]

	s := good.copy()
	delete(s.files, manifest)
	requireFault(t, s, key, "manifest")

	s = good.copy()
	delete(s.files, key)
	faults := faultsOf(t, s)
	require.Len(t, faults, 1)
	require.Contains(t, []string{key, manifest}, faults[0].Key)

	s = good.copy()
	s.files["segment-logs/default/1/x.gz"] = []byte("strange")
	require.Equal(t, "segment-logs/default/1/x.gz", faultsOf(t, s)[0].Key)

	s = good.copy() // belongs to somebody else
	s.files["elsewhere/x.gz"] = []byte("strange")
	s.files["segment-logs-of-old/x.gz"] = []byte("strange")
	requireVerified(t, s, "", 35)
}

// Manifests that lie, about each thing that they say, and such as are none.
func TestJudgeManifestsThatLie(t *testing.T) {
	good := healthy(t, archive.Gzip)
	key, manifest := good.data()[0], good.keys("archive/_manifest/")[0]
	lie := func(name string, text []byte) {
		s := good.copy()
		s.files[manifest] = text
		t.Run(name, func(t *testing.T) { requireFault(t, s, key) })
	}
	for name, value := range map[string]any{
		"count": 3, "bytes": 10, "rawBytes": 10, "sha256": strings.Repeat("0", 64), "log": strings.Repeat("0", 32), "from": 5, "to": 9,
		"version": 99, "key": good.data()[1], "source": "another", "compression": "zstd",
		"firstReceived": "1999-01-01T00:00:00Z", "lastReceived": "1999-01-01T00:00:00Z",
		"firstTimestamp": "1999-01-01T00:00:00Z", "lastTimestamp": "1999-01-01T00:00:00Z", "events": map[string]int{"Other": 1},
	} {
		var members map[string]any
		require.NoError(t, json.Unmarshal(good.files[manifest], &members))
		members[name] = value
		text, err := json.Marshal(members)
		require.NoError(t, err)
		lie(name, text)
	}
	whole := good.files[manifest]
	for end := 0; end < len(whole)-1; end += max(1, len(whole)/20) {
		lie(fmt.Sprint("cut at ", end), whole[:end])
	}
	lie("no JSON", []byte("hello"))
	lie("null", []byte("null"))
	lie("list", []byte("[]"))
	lie("negative count", bytes.Replace(whole, []byte(`"count":`), []byte(`"count":-`), 1))
	lie("huge", append(bytes.Repeat([]byte(" "), 20<<20), whole...))
	lie("deep", bytes.Repeat([]byte("["), 1<<20))
	lie("that of the other file", good.files[good.keys("archive/_manifest/")[1]])
	var members map[string]json.RawMessage
	require.NoError(t, json.Unmarshal(whole, &members))
	for name, ids := range map[string]string{"null": "null", "list": "[]", "text": `"!!"`, "empty": "{}"} {
		members["ids"] = json.RawMessage(ids)
		text, err := json.Marshal(members)
		require.NoError(t, err)
		s := good.copy()
		s.files[manifest] = text
		t.Run("filter is "+name, func(t *testing.T) {
			// A broken filter may be a fault, but must never hide an event.
			a, err := archive.Open(s, "")
			require.NoError(t, err)
			found := 0
			for _, err := range a.Events(t.Context(), archive.Query{UserIDs: []string{"u"}}) {
				if err != nil {
					return
				}
				found++
			}
			require.Equal(t, 12, found)
		})
	}
}

// Files whose content is no event, under manifests that are true of their bytes.
func TestJudgeLinesThatAreNoEvents(t *testing.T) {
	for name, text := range map[string]string{
		"no JSON": "hello\n", "a list": "[1]\n", "empty line": "\n", "nothing": "", "no messageId": `{"type":"track"}` + "\n",
		"a number as messageId": `{"type":"track","messageId":5}` + "\n", "no end of line": `{"type":"track","messageId":"m"}`,
		"two on a line": `{"messageId":"m"}{"messageId":"n"}` + "\n", "deep": `{"messageId":"m","a":` + strings.Repeat("[", 500_000) + "\n",
		"long": `{"messageId":"m","a":"` + strings.Repeat("x", 1<<20) + "\"}\n", "not UTF-8": "{\"messageId\":\"m\",\"a\":\"\xff\"}\n",
	} {
		t.Run(name, func(t *testing.T) {
			s := healthy(t, archive.Gzip)
			key := s.data()[0]
			forge(t, s, key, packed(t, text), int64(strings.Count(text, "\n")), int64(len(text)))
			requireFault(t, s, key)
		})
	}
}
