package archive_test

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// filesFor counts the files that may have events of a query.
func filesFor(t *testing.T, a *archive.Archive, q archive.Query) (n int) {
	t.Helper()
	for _, err := range a.Files(t.Context(), q) {
		require.NoError(t, err)
		n++
	}
	return n
}

// written archives what events says for each number, in one file.
func written(t *testing.T, s *shelf, log byte, n int, event func(i int) string) {
	t.Helper()
	d := opened(t, &archive.Destination{Bucket: s, Dir: quickDir(t)})
	f := &feed{log: analytics.LogID{log}}
	b := &analytics.Batch{Log: f.log, To: uint64(n)}
	for i := range n {
		raw := []byte(event(i))
		h := headerOf(t, raw)
		h.Log, h.Seq, h.AcceptedAt = f.log, uint64(i), night.Add(-1)
		it, err := d.TranslateRaw(&h, raw)
		require.NoError(t, err)
		b.Items = append(b.Items, it)
	}
	require.NoError(t, d.Deliver(t.Context(), b))
	require.NoError(t, d.Close(t.Context()))
}

// filterOf is the filter of the only file.
func filterOf(t *testing.T, s *shelf) *archive.Filter {
	t.Helper()
	var m archive.Manifest
	require.NoError(t, json.Unmarshal(s.files[s.keys("archive/_manifest/")[0]], &m))
	return &m.IDs
}

// publicFilter is the filter as anybody can read it who has its description.
type publicFilter []uint64

func readFilter(t *testing.T, s *shelf) (f publicFilter) {
	t.Helper()
	var m struct{ IDs []byte }
	require.NoError(t, json.Unmarshal(s.files[s.keys("archive/_manifest/")[0]], &m))
	require.NotEmpty(t, m.IDs)
	require.Zero(t, len(m.IDs)%8)
	for ; len(m.IDs) > 0; m.IDs = m.IDs[8:] {
		f = append(f, binary.LittleEndian.Uint64(m.IDs))
	}
	return f
}

func (f publicFilter) has(kind byte, id string) bool {
	sum := fnv.New64a()
	_, _ = sum.Write(append([]byte{kind}, id...))
	h := sum.Sum64()
	for range 2 {
		h ^= h >> 32
		h *= 0xd6e8feb86659fd93
	}
	h ^= h >> 32
	bit, step := h, h>>17|1
	for range 7 {
		at := bit % (uint64(len(f)) * 64)
		if f[at/64]>>(at%64)&1 == 0 {
			return false
		}
		bit += step
	}
	return true
}

func TestJudgeBloomFiltersOfManyUsers(t *testing.T) {
	for _, users := range []int{1, 20, 1000, 20_000} {
		t.Run(fmt.Sprint(users), func(t *testing.T) {
			s := newShelf()
			written(t, s, 'b', users, func(i int) string {
				return fmt.Sprintf(`{"type":"identify","messageId":"m-%d","timestamp":"2026-11-23T00:00:00.000Z","userId":"user-%d","anonymousId":"anonymous-%d"}`, i, i, i)
			})
			a, err := archive.Open(s, "")
			require.NoError(t, err)
			for i := 0; i < users; i += max(1, users/20) {
				require.Equal(t, 1, filesFor(t, a, archive.Query{UserIDs: []string{fmt.Sprint("user-", i)}}), "a false negative")
				require.Equal(t, 1, filesFor(t, a, archive.Query{AnonymousIDs: []string{fmt.Sprint("anonymous-", i)}}), "a false negative")
			}
			ids, mine := filterOf(t, s), readFilter(t, s)
			for i := range users {
				require.True(t, ids.HasUser(fmt.Sprint("user-", i)) && ids.HasAnonymous(fmt.Sprint("anonymous-", i)), "a false negative")
			}
			wrong, other, asked := 0, 0, 20_000
			for i := range asked {
				for _, yes := range []bool{ids.HasUser(fmt.Sprint("user-", users+i)), ids.HasAnonymous(fmt.Sprint("user-", i))} {
					if yes {
						wrong++
					}
				}
				for _, yes := range []bool{mine.has('u', fmt.Sprint("user-", users+i)), mine.has('a', fmt.Sprint("user-", i))} {
					if yes {
						other++
					}
				}
			}
			require.Equal(t, other, wrong, "the filter is as documented")
			t.Logf("%d users: %d of %d strangers were taken for one of them (%.2f %%)", users, wrong, 2*asked, 50*float64(wrong)/float64(asked))
			require.LessOrEqual(t, wrong, 2*asked*2/100)
			if users == 20_000 {
				key := s.keys("archive/_manifest/")[0]
				require.Less(t, len(s.files[key]), 200<<10, "a manifest is small")
			}
		})
	}
}

// The same filter is read by another process: its hash must not depend on the process. In
// one process the test can only see that it does not depend on who made the filter.
func TestJudgeBloomFiltersAreStable(t *testing.T) {
	event := func(i int) string {
		return fmt.Sprintf(`{"type":"track","messageId":"m-%d","timestamp":"2026-11-23T00:00:00.000Z","userId":"user-%d","event":"E"}`, i, i)
	}
	one, two := newShelf(), newShelf()
	written(t, one, 'b', 500, event)
	written(t, two, 'b', 500, event)
	key := one.keys("archive/_manifest/")[0]
	require.JSONEq(t, string(one.files[key]), string(two.files[key]))
}

// A repeated user is in the filter once: it does not grow with events.
func TestJudgeManifestsAreBounded(t *testing.T) {
	s := newShelf()
	written(t, s, 'n', 5000, func(i int) string {
		return fmt.Sprintf(`{"type":"track","messageId":"m-%d","timestamp":"2026-11-23T00:00:00.000Z","userId":"one","event":"Event %d"}`, i, i)
	})
	a, err := archive.Open(s, "")
	require.NoError(t, err)
	for f, err := range a.Files(t.Context(), archive.Query{}) {
		require.NoError(t, err)
		require.True(t, f.MoreEvents)
		require.LessOrEqual(t, len(f.Events), 1000)
		require.EqualValues(t, 5000, f.Count)
	}
	require.Len(t, read(t, s, "", archive.Query{Events: []string{"Event 4999"}}), 1, "a name beyond the thousand is found all the same")
	require.Len(t, read(t, s, "", archive.Query{Events: []string{"Event 0", "Event 2500"}}), 2)
	require.Empty(t, read(t, s, "", archive.Query{Events: []string{"Event 5000"}}))
}
