package archive_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// row is an archive of five files, each of three batches with two events.
func row(t *testing.T, compression archive.Compression) (*shelf, []*accepted) {
	t.Helper()
	s := newShelf()
	d := opened(t, &archive.Destination{Bucket: s, Dir: quickDir(t), Compression: compression})
	f := homeFeed('k', 35) // of which every seventh is not for the archive
	for i := range uint64(5) {
		for _, to := range []uint64{2, 4, 7} {
			require.NoError(t, f.run(t, d, 3, 7*i+to))
		}
		require.NoError(t, d.Rotate(t.Context()))
	}
	require.NoError(t, d.Close(t.Context()))
	require.Len(t, s.data(), 5)
	requireArchived(t, s, shape{compression: compression}, f.all())
	return s, f.all()
}

// harm is damage of a file, and how many of its events can be read in front of it at least.
type harm struct {
	name  string
	do    func(s *shelf, key, manifest string)
	front int
	whole bool // not even the manifest can be read
}

// harms leave what can be read as it was.
func harms() []harm {
	change := func(f func(old []byte, ends []int) []byte) func(*shelf, string, string) {
		return func(s *shelf, key, _ string) {
			old := s.files[key]
			s.files[key] = f(bytes.Clone(old), append(cleanCuts(key, old), len(old)))
		}
	}
	return []harm{
		{"missing", func(s *shelf, key, _ string) { delete(s.files, key) }, 0, false},
		{"empty", change(func([]byte, []int) []byte { return nil }), 0, false},
		{"text", change(func([]byte, []int) []byte { return []byte("hello\n") }), 0, false},
		{"first header", change(func(old []byte, _ []int) []byte { old[0] ^= 1; return old }), 0, false},
		{"second header", change(func(old []byte, ends []int) []byte { old[ends[0]] ^= 1; return old }), 2, false},
		{"third header", change(func(old []byte, ends []int) []byte { old[ends[1]] ^= 1; return old }), 4, false},
		{"cut between members", change(func(old []byte, ends []int) []byte { return old[:ends[1]] }), 4, false},
		{"cut in a member", change(func(old []byte, ends []int) []byte { return old[:ends[1]+12] }), 4, false},
		{"a byte is missing", change(func(old []byte, ends []int) []byte { return old[:len(old)-1] }), 4, false},
		{"garbage behind", change(func(old []byte, ends []int) []byte { return append(old, "hello"...) }), 6, false},
		{"a member less", change(func(old []byte, ends []int) []byte { return append(old[:ends[0]], old[ends[1]:]...) }), 2, false},
		{"checksum", change(func(old []byte, ends []int) []byte { old[ends[1]-1] ^= 1; return old }), 2, false},
		{"no manifest of anything", func(s *shelf, _, manifest string) { s.files[manifest] = []byte("x") }, 0, true},
		{"half a manifest", func(s *shelf, _, manifest string) { s.files[manifest] = s.files[manifest][:len(s.files[manifest])/2] }, 0, true},
	}
}

// bad is an archive of which some files are damaged, and what each of its faults is of.
type bad struct {
	s      *shelf
	all    []*accepted
	faults []string
	must   []string // ids that have to come
	front  map[string]bool
}

// hit damages files of a row.
func hit(good *shelf, all []*accepted, wounds map[int]harm) bad {
	b := bad{s: good.copy(), all: all, front: map[string]bool{}}
	data, manifests := good.data(), good.keys("archive/_manifest/")
	for i := range data {
		h, ok := wounds[i]
		n := 6
		if ok {
			h.do(b.s, data[i], manifests[i])
			n = h.front
			if b.faults = append(b.faults, data[i]); h.whole {
				b.faults[len(b.faults)-1] = manifests[i]
			}
		}
		for k, e := range all[6*i : 6*i+6] {
			if k < n {
				b.must = append(b.must, e.id)
			}
			b.front[e.id] = !ok || !h.whole
		}
	}
	slices.Sort(b.must)
	return b
}

// allIn is a sink that takes everything.
func allIn() *sink {
	d := newSink("Sink")
	d.desc.IgnoreAll = true
	return d
}

// requireSent expects what stands in front of the damage, and nothing that was not delivered.
func (b *bad) requireSent(t *testing.T, to *sink) {
	t.Helper()
	ids := to.ids(t)
	for _, id := range b.must {
		require.Contains(t, ids, id)
	}
	for _, event := range to.got {
		at := slices.IndexFunc(b.all, func(e *accepted) bool { return e.id == idOf(t, event) })
		require.GreaterOrEqual(t, at, 0, event)
		require.True(t, b.front[b.all[at].id], "it stands in a file that nobody can know of")
		is, _ := decoded(t, event)
		was, _ := decoded(t, b.all[at].line())
		require.Equal(t, was, is)
	}
}

func (b *bad) requireFaults(t *testing.T, done archive.Replayed) {
	t.Helper()
	var keys []string
	for _, f := range done.Faults {
		require.NotEmpty(t, f.Problem)
		require.NotContains(t, f.Problem, "Step", "content of events")
		keys = append(keys, f.Key)
	}
	require.ElementsMatch(t, b.faults, keys, "%v", done.Faults)
	require.Zero(t, done.MoreFaults)
}

func TestJudgeReplaySkipsDamage(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		good, all := row(t, compression)
		for _, h := range harms() {
			for _, at := range [][]int{{0}, {2}, {4}, {1, 2}, {0, 1, 2, 3, 4}, {0, 3, 4}}[sparse(0, 5):] {
				wounds := map[int]harm{}
				for _, i := range at {
					wounds[i] = h
				}
				b := hit(good, all, wounds)
				before := b.s.copy()
				name := fmt.Sprintf("%s, %s, files %v", compression, h.name, at)
				synctest.Test(t, func(t *testing.T) {
					to := allIn()
					done := replayed(t, b.s, archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{SkipDamaged: true})
					b.requireFaults(t, done)
					b.requireSent(t, to)
					require.Len(t, to.ids(t), len(to.got), name+": twice")
					require.EqualValues(t, len(to.got), done.Events, name)

					to = allIn()
					client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{to}})
					require.NoError(t, err)
					leftAlone(t, client)
					done = replayed(t, b.s, archive.Query{}, archive.ToClient(client, "Sink", ""), archive.ReplayOptions{SkipDamaged: true})
					b.requireFaults(t, done)
					b.requireSent(t, to)
					require.NoError(t, client.Close(t.Context()))
				})
				require.Equal(t, before.files, b.s.files, "nothing is changed")
			}
		}
	}
}

// Otherwise a replay ends there, and goes on from there when the file is mended.
func TestJudgeReplayEndsAtDamage(t *testing.T) {
	good, all := row(t, archive.Gzip)
	for _, h := range harms() {
		for at := range 5 {
			b := hit(good, all, map[int]harm{at: h})
			synctest.Test(t, func(t *testing.T) {
				a, err := archive.Open(b.s, "")
				require.NoError(t, err)
				to := allIn()
				done, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{})
				require.ErrorIs(t, err, archive.ErrDamaged, "%s of file %d", h.name, at)
				require.ErrorContains(t, err, b.faults[0])
				require.Empty(t, done.Faults, "nothing was skipped")
				require.Zero(t, done.MoreFaults)
				for _, event := range to.got {
					require.NotContains(t, idsOf(all[min(6*at+6, 30):]), idOf(t, event), "behind the damage")
				}
				replayed(t, good, archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{From: done.Last})
				require.Len(t, to.ids(t), len(all), "%s of file %d, from %+v", h.name, at, done.Last)
			})
		}
	}
}

func idsOf(events []*accepted) (ids []string) {
	for _, e := range events {
		ids = append(ids, e.id)
	}
	return ids
}

// A replay beside damage that ends anywhere goes on behind its checkpoint.
func TestJudgeReplayResumesBesideDamage(t *testing.T) {
	good, all := row(t, archive.Gzip)
	for _, h := range harms() {
		for _, at := range [][]int{{0}, {2}, {4}, {1, 2}}[sparse(0, 3):] {
			wounds := map[int]harm{}
			for _, i := range at {
				wounds[i] = h
			}
			b := hit(good, all, wounds)
			synctest.Test(t, func(t *testing.T) {
				a, err := archive.Open(b.s, "")
				require.NoError(t, err)
				for stop := 0; stop < len(all); stop += sparse(4, 10) {
					to := allIn()
					ctx, cancel := context.WithCancel(t.Context())
					to.before = func(n int) error {
						if n >= stop {
							cancel()
						}
						return nil
					}
					done, err := a.Replay(ctx, archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{Rate: 100, SkipDamaged: true})
					if err != nil {
						require.ErrorIs(t, err, context.Canceled)
						require.NotErrorIs(t, err, archive.ErrDamaged)
					}
					text, err := json.Marshal(done.Last)
					require.NoError(t, err)
					var from archive.Checkpoint
					require.NoError(t, json.Unmarshal(text, &from))
					to.before = nil
					saved := archive.Checkpoint{}
					rest := replayed(t, b.s, archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{From: from, SkipDamaged: true,
						Save: func(c archive.Checkpoint) error { saved = c; return nil }})
					b.requireSent(t, to)
					require.Equal(t, saved, rest.Last, "%s of %v", h.name, at)
					if slices.Contains(at, 4) {
						continue
					}
					require.Equal(t, good.data()[4], rest.Last.Key)
					end := replayed(t, b.s, archive.Query{}, archive.ToDestination(allIn()), archive.ReplayOptions{From: rest.Last, SkipDamaged: true})
					require.Zero(t, end.Events, "behind the end there is nothing")
				}
			})
		}
	}
}

// Only damage is skipped: a bucket that fails ends a replay.
func TestJudgeReplaySkipsDamageOnly(t *testing.T) {
	good, all := row(t, archive.Gzip)
	synctest.Test(t, func(t *testing.T) {
		eachFailureInBubble(t, func(at int, how failure) []string {
			door := good.copy().door()
			door.at, door.how = at, how
			a, err := archive.Open(door, "")
			require.NoError(t, err)
			to := allIn()
			done, err := a.Replay(t.Context(), archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{SkipDamaged: true})
			require.Empty(t, done.Faults)
			if at < 0 {
				require.NoError(t, err)
				require.Len(t, to.got, len(all))
				return door.calls
			}
			require.ErrorIs(t, err, errBroken, "call %d %s", at, how)
			require.NotErrorIs(t, err, archive.ErrDamaged)
			replayed(t, good, archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{From: done.Last, SkipDamaged: true})
			require.Len(t, to.ids(t), len(all))
			return door.calls
		}, refuses, breaksOff)
	})
}

func TestJudgeMoreFaultsThanAreNamed(t *testing.T) {
	good, all := row(t, archive.Gzip)
	for i := range 1007 {
		good.files[fmt.Sprintf("archive/_manifest/%032x-%020d-%020d.json", 0xabc, i, i+1)] = []byte("x")
	}
	synctest.Test(t, func(t *testing.T) {
		to := allIn()
		done := replayed(t, good, archive.Query{}, archive.ToDestination(to), archive.ReplayOptions{SkipDamaged: true})
		require.Len(t, done.Faults, 1000)
		require.EqualValues(t, 7, done.MoreFaults)
		require.Len(t, to.got, len(all))
	})
}
