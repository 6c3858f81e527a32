package archive_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
)

// without are the events that are left when nobody of these users is there any more; "gone"
// stands for goneIDs.
func without(all []*accepted, users ...string) []*accepted {
	return slices.DeleteFunc(slices.Clone(all), func(e *accepted) bool {
		return slices.Contains(users, "gone") && isGone(e) || slices.ContainsFunc(users, func(u string) bool { return bytes.Contains(e.raw, []byte(`Z","userId":"`+u+`"`)) })
	})
}

// Forget that is interrupted at two places, for the same people or for others, and then
// comes to its end. In between, nothing that is left is called damaged.
func TestJudgeForgetIsInterruptedTwice(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	others := []archive.Identity{{UserID: "u-1"}, {UserID: "u-5"}, {UserID: "u-7"}, {UserID: "u-9"}}
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		good, all := crowd(t, compression)
		rest := without(all, "gone", "u-1", "u-5", "u-7", "u-9")
		require.Less(t, len(rest), len(without(all, "gone")))
		for range sparse(120, 12) {
			s := good.copy()
			trail := ""
			for _, who := range [][]archive.Identity{goneIDs, [][]archive.Identity{goneIDs, others, others[:1], append(goneIDs, others...)}[rng.IntN(4)]} {
				door := s.door()
				door.at, door.how = rng.IntN(50), []failure{refuses, readsHalf, loses, diesBefore, diesBehind}[rng.IntN(5)]
				a, err := archive.Open(door, "")
				require.NoError(t, err)
				_, _ = a.Forget(t.Context(), who...)
				trail += fmt.Sprintf("%s at %d of %d, ", door.how, door.at, len(door.calls))
				found := read(t, s, "", archive.Query{})
				for _, e := range rest {
					require.Equal(t, e.line(), found[e.id], trail)
				}
			}
			forgotten(t, s, slices.Concat(others, goneIDs)...)
			requireArchived(t, s, shape{compression: compression}, rest)
			requireVerified(t, s, "", len(rest))
			for _, id := range []string{"gone", "u-1", "u-5"} {
				require.Empty(t, read(t, s, "", archive.Query{UserIDs: []string{id}}), trail)
			}
		}
	}
}

// equals is an archive of two files of four batches with an event each, whose lines are all
// of one length; "gone" has the first event of each file.
func equals(t *testing.T, compression archive.Compression) (*shelf, []*accepted) {
	t.Helper()
	s := newShelf()
	d := opened(t, &archive.Destination{Bucket: s, Dir: quickDir(t), Compression: compression})
	f := homeFeed('e', 8)
	for i := range f.events {
		user := []string{"gone", "ua-1", "ua-2", "ua-3"}[i%4]
		f.events[i] = &accepted{id: fmt.Sprint("e-", i), log: f.log.String(), seq: uint64(i), at: night.Add(-1e9), source: "default", raw: fmt.Appendf(nil,
			`{"type":"track","messageId":"e-%d","timestamp":"2026-11-23T00:00:00.000Z","userId":"%s","event":"Step %d"}`, i, user, i%4)}
	}
	require.NoError(t, f.run(t, d, 1, 4))
	require.NoError(t, d.Rotate(t.Context()))
	require.NoError(t, f.run(t, d, 1, 8))
	require.NoError(t, d.Close(t.Context()))
	require.Len(t, s.data(), 2)
	return s, f.events
}

// pressed is a file of lines, as its key says.
func pressed(t *testing.T, key string, lines ...string) []byte {
	t.Helper()
	text := strings.Join(lines, "\n") + "\n"
	if !strings.HasSuffix(key, ".zst") {
		return packed(t, text)
	}
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, errors.Join(err, w.Close()))
	return b.Bytes()
}

// interrupted is what a Forget leaves that dies at the Put of the first file, or behind it.
func interrupted(t *testing.T, good *shelf, how failure, who ...archive.Identity) (s *shelf, key string) {
	t.Helper()
	s, key = good.copy(), good.data()[0]
	door := s.door()
	door.on, door.how = []string{"Put " + key, "Delete " + key}, how
	a, err := archive.Open(door, "")
	require.NoError(t, err)
	_, err = a.Forget(t.Context(), who...)
	require.Error(t, err, "it has never put the file")
	require.True(t, door.dead)
	return s, key
}

func manifestOf(t *testing.T, s *shelf, key string) archive.Manifest {
	t.Helper()
	var m archive.Manifest
	name := key[strings.LastIndexByte(key, '/')+1:]
	require.NoError(t, json.Unmarshal(s.files["archive/_manifest/"+name[:strings.IndexByte(name, '.')]+".json"], &m))
	return m
}

func TestJudgeTheManifestSaysWhatForgetLeaves(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		good, all := equals(t, compression)
		for _, how := range []failure{diesBefore, diesBehind} {
			s, key := interrupted(t, good, how, archive.Identity{UserID: "gone"})
			text := all[1].line() + "\n" + all[2].line() + "\n" + all[3].line() + "\n"
			sum := sha256.Sum256([]byte(text))
			m := manifestOf(t, s, key)
			require.Equal(t, &archive.Remainder{Count: 3, RawBytes: int64(len(text)), SHA256: hex.EncodeToString(sum[:])}, m.Rewriting)
			require.Equal(t, manifestOf(t, good, key).SHA256, m.SHA256, "that of the file before")
			require.Contains(t, []int{0, 1}, len(read(t, s, "", archive.Query{UserIDs: []string{"gone"}, MessageIDs: []string{"e-0"}})))
			forgotten(t, s, archive.Identity{UserID: "gone"})
			require.Nil(t, manifestOf(t, s, key).Rewriting)
		}
	}
}

// While a manifest says that a file is written again, it is one of two, and nothing else.
func TestJudgeDamageWhileRewriting(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		good, all := equals(t, compression)
		s, key := interrupted(t, good, diesBefore, archive.Identity{UserID: "gone"})
		old := good.files[key]
		line := func(i int) string { return all[i].line() }
		bad := map[string][]byte{
			"other lines":       pressed(t, key, line(5), line(6), line(7)),
			"another order":     pressed(t, key, line(2), line(1), line(3)),
			"one more":          pressed(t, key, line(1), line(2), line(3), line(3)),
			"one less":          pressed(t, key, line(1), line(2)),
			"who is to be gone": pressed(t, key, line(0), line(2), line(3)),
			"old lines, packed": pressed(t, key, line(0), line(1), line(2), line(3)),
			"another file":      good.files[good.data()[1]],
			"no event":          pressed(t, key, "{}", "{}", "{}"),
			"a torn line":       pressed(t, key, line(1), line(2), line(3)[:50]),
			"nothing":           {},
			"missing":           nil,
			"half of it":        old[:len(old)/2],
			"twice":             append(bytes.Clone(old), old...),
			"a byte more":       append(bytes.Clone(old), 0),
		}
		for i, end := range cleanCuts(key, old) { // of which one has the length of what is to be left
			bad[fmt.Sprintf("cut behind %d events", i+1)] = old[:end]
		}
		require.Contains(t, bad, "cut behind 3 events")
		for name, data := range bad {
			t.Run(fmt.Sprintf("%s, %s", compression, name), func(t *testing.T) {
				requireDamagedWhileRewriting(t, s.copy(), key, data, all)
			})
		}
		for name, data := range map[string][]byte{"before": old, "left": pressed(t, key, line(1), line(2), line(3))} {
			t.Run(fmt.Sprintf("%s, fine: %s", compression, name), func(t *testing.T) {
				s := s.copy()
				s.files[key] = data
				found := read(t, s, "", archive.Query{})
				for _, e := range []*accepted{all[1], all[2], all[3], all[5]} {
					require.Equal(t, e.line(), found[e.id])
				}
				forgotten(t, s, archive.Identity{UserID: "gone"})
				requireVerified(t, s, "", 6)
				requireArchived(t, s, shape{compression: compression}, slices.Delete(slices.Delete(slices.Clone(all), 4, 5), 0, 1))
			})
		}
	}
}

func requireDamagedWhileRewriting(t *testing.T, s *shelf, key string, data []byte, all []*accepted) {
	if s.files[key] = data; data == nil {
		delete(s.files, key)
	}
	a, err := archive.Open(s, "")
	require.NoError(t, err)
	found, faults := map[string]bool{}, 0
	for e, err := range a.Events(t.Context(), archive.Query{}) {
		if err != nil {
			require.ErrorIs(t, err, archive.ErrDamaged)
			require.ErrorContains(t, err, key)
			faults++
		}
		found[e.MessageID] = true
	}
	require.Equal(t, 1, faults, "Events")
	for _, e := range all[4:] {
		require.True(t, found[e.id], "the next file")
	}
	report, err := a.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.True(t, slices.ContainsFunc(report.Faults, func(f archive.Fault) bool { return f.Key == key && !strings.Contains(f.Problem, "Forget") }), "%v", report.Faults)
	synctest.Test(t, func(t *testing.T) {
		a, err := archive.Open(s, "")
		require.NoError(t, err)
		_, err = a.Replay(t.Context(), archive.Query{}, archive.ToDestination(newSink("Sink")), archive.ReplayOptions{})
		require.ErrorIs(t, err, archive.ErrDamaged)
	})
	for range 2 {
		gone, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
		require.ErrorIs(t, err, archive.ErrDamaged)
		require.Equal(t, []string{key}, gone.Unread)
		left, there := s.files[key]
		require.Equal(t, data != nil, there)
		require.Equal(t, string(data), string(left), "what is damaged stays for people")
		require.NotNil(t, manifestOf(t, s, key).Rewriting)
		lines := linesOf(t, s, s.data()[len(s.data())-1])
		require.Equal(t, []string{all[5].line(), all[6].line(), all[7].line()}, lines, "the other file")
	}
}

// A file of which nothing is to be left may be gone already.
func TestJudgeNothingIsLeftWhileRewriting(t *testing.T) {
	good, _ := equals(t, archive.Gzip)
	who := []archive.Identity{{UserID: "gone"}, {UserID: "ua-1"}, {UserID: "ua-2"}, {UserID: "ua-3"}}
	s, key := interrupted(t, good, diesBehind, who...)
	require.NotContains(t, s.files, key)
	require.NotNil(t, manifestOf(t, s, key).Rewriting)
	require.Zero(t, manifestOf(t, s, key).Rewriting.Count)
	require.Len(t, read(t, s, "", archive.Query{}), 4)
	for _, f := range faultsOf(t, s) {
		require.Contains(t, f.Problem, "Forget")
	}
	for _, again := range [][]archive.Identity{who, {{UserID: "stranger"}}, {{UserID: "ua-1"}}} {
		s := s.copy()
		forgotten(t, s, again...)
		requireLost(t, s, len(read(t, s, "", archive.Query{})), 0)
		require.NotContains(t, s.files, key)
	}
}
