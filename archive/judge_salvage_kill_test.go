package archive_test

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/internal/wal/faultfs"
)

// Damage between two batches of a process that lives, and what it delivers behind that.
func TestJudgeSalvageBetweenBatches(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		for _, again := range []bool{true, false} {
			for at := 0; at < 700; at += sparse(50, 170) {
				h := newHurt(t, compression, 7)
				if again {
					h.kill(t)
				}
				bad := bytes.Clone(h.good)
				bad[at%len(bad)] ^= 0x10
				h.damage(t, bad)
				require.NoError(t, h.f.run(t, h.d, 7, 35), "a batch behind the damage")
				err := h.d.Rotate(t.Context())
				require.NoError(t, h.f.run(t, h.d, 7, 42))
				require.NoError(t, h.d.Close(t.Context()))
				a, opened := archive.Open(h.s, "")
				require.NoError(t, opened)
				report, failed := a.Verify(t.Context(), nil)
				require.NoError(t, failed)
				require.Empty(t, report.Faults)
				found, all := read(t, h.s, "", archive.Query{}), h.f.all()
				for i, e := range all {
					if line, ok := found[e.id]; ok || i >= 30 {
						require.Equal(t, e.line(), line)
					}
				}
				if report.Lost > 0 || len(found) == len(all) {
					require.EqualValues(t, len(all), report.Events+report.Lost)
				}
				if len(found) < len(all) {
					requireTold(t, err, len(all)-len(found))
					require.Len(t, h.aside(t), 1)
				}
			}
		}
	}
}

func TestJudgeSalvageOfAPartThatIsGone(t *testing.T) {
	for _, lives := range []bool{true, false} {
		h := newHurt(t, archive.Gzip, 7)
		if !lives {
			h.kill(t)
		}
		require.NoError(t, h.fs.Remove(h.part))
		err := h.d.Rotate(t.Context())
		require.Error(t, err)
		require.False(t, errors.Is(err, errBroken))
		require.Regexp(t, `\b24\b`, err.Error())
		require.Empty(t, h.s.keys(""))
		require.NoError(t, h.f.run(t, h.d, 7, 42))
		require.NoError(t, h.d.Close(t.Context()), "it is said once")
		requireLost(t, h.s, 12, 0)
	}
}

// dieAt ends the process at an operation of the disk, counted from now, or at a call of the
// bucket. The other is -1.
func (h *hurt) dieAt(op, call int, how failure) {
	h.door.calls = nil
	h.door.at, h.door.how = call, how
	fs, door := h.fs, h.door
	door.died = func() { fs.Stop(fs.Ops()) }
	if op < 0 {
		return
	}
	first := fs.Ops()
	fs.Inject(func(o faultfs.Op) error {
		if o.Number == first+op {
			fs.Stop(o.Number)
			door.gate.Lock()
			door.dead = true
			door.gate.Unlock()
		}
		return nil
	})
}

// older puts something of that name aside before.
func (h *hurt) older(t *testing.T) {
	t.Helper()
	file, err := h.fs.Open(h.part+".damaged", true, true)
	require.NoError(t, err)
	_, err = file.WriteAt([]byte("older"), 0)
	require.NoError(t, errors.Join(err, file.Sync(), file.Close(), h.fs.SyncDir("/parts")))
}

// Whenever the process dies while it looks after a damaged part, the next one comes to the
// same end.
func TestJudgeSalvageIsKilledAnywhere(t *testing.T) {
	for name, damage := range map[string]func(h *hurt) []byte{
		"in the third batch": func(h *hurt) []byte {
			return append(append(bytes.Clone(h.good[:h.ends[1]+30]), h.good[h.ends[1]+30]^8), h.good[h.ends[1]+31:]...)
		},
		"in the first batch": func(h *hurt) []byte { return h.good[:20] },
		"in a header":        func(h *hurt) []byte { return append(append(bytes.Clone(h.good[:4]), 0x55), h.good[5:]...) },
	} {
		for _, older := range []bool{false, true} {
			run := func(t *testing.T, op, call int, how failure) (*hurt, int) {
				h := newHurt(t, archive.Gzip, 7)
				if older {
					h.older(t)
				}
				bad := damage(h)
				h.damage(t, bad)
				h.dieAt(op, call, how)
				first := h.fs.Ops()
				_ = h.d.Rotate(t.Context()) // it may die in there
				ops := h.fs.Ops() - first
				if call >= 0 || op >= 0 {
					h.kill(t)
					if err := h.d.Rotate(t.Context()); err != nil {
						require.ErrorContains(t, err, "damaged")
					}
					require.NoError(t, h.d.Rotate(t.Context()), "it is said once")
				}
				kept, want := h.kept(t, bad), map[string]int{}
				if older {
					want["older"] = 1
				}
				if kept < hurtEvents {
					want[string(bad)] = 1
				}
				found := map[string]int{}
				for _, data := range h.aside(t) {
					found[data]++
				}
				require.Equal(t, want, found, "what was put aside")
				if older {
					require.Equal(t, "older", h.aside(t)[h.part+".damaged"])
				}
				return h, ops
			}
			want, ops := run(t, -1, -1, refuses)
			calls := len(want.door.calls)
			require.Equal(t, name == "in the first batch", calls == 0 || len(want.s.keys("")) == 0)
			same := func(name string, op, call int, how failure) {
				t.Run(name, func(t *testing.T) {
					h, _ := run(t, op, call, how)
					require.Equal(t, want.s.keys(""), h.s.keys(""))
					require.Equal(t, want.s.files[want.key], h.s.files[want.key])
					require.NoError(t, h.f.run(t, h.d, 7, 42))
					require.NoError(t, h.d.Close(t.Context()))
					require.Len(t, read(t, h.s, "", archive.Query{}), 12+len(read(t, want.s, "", archive.Query{})))
				})
			}
			for op := 0; op < ops; op += sparse(1, 3) {
				same(fmt.Sprintf("%s, older %v, operation %d", name, older, op), op, -1, refuses)
			}
			for call := 0; call < calls; call += sparse(1, 2) {
				same(fmt.Sprintf("%s, older %v, before call %d", name, older, call), -1, call, diesBefore)
				same(fmt.Sprintf("%s, older %v, behind call %d", name, older, call), -1, call, diesBehind)
			}
		}
	}
}

// The bucket has the whole file from a try before, and then the part is damaged.
func TestJudgeSalvageOfWhatTheBucketHas(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		fine := newHurt(t, compression, 7)
		require.NoError(t, fine.d.Close(t.Context()))
		put := slices.Index(fine.door.calls, "Put "+fine.key)
		last := slices.IndexFunc(fine.door.calls, func(call string) bool { return strings.HasPrefix(call, "Put archive/_manifest/") })
		require.True(t, put >= 0 && last > put, "%v", fine.door.calls)
		for _, call := range []int{put, last} {
			for _, how := range []failure{loses, diesBehind} {
				for _, at := range []int{0, 5, 300, len(fine.good) - 1}[sparse(0, 2):] {
					for _, bad := range [][]byte{fine.good[:at], append(append(bytes.Clone(fine.good[:at]), fine.good[at]^2), fine.good[at+1:]...)} {
						h := newHurt(t, compression, 7)
						h.dieAt(-1, call, how)
						require.Error(t, h.d.Rotate(t.Context()))
						if how == diesBehind {
							h.kill(t)
						}
						h.damage(t, bad)
						_ = h.d.Rotate(t.Context())
						require.Equal(t, hurtEvents, h.kept(t, bad), "%s, call %d, damage at %d", how, call, at)
						require.Equal(t, h.good, h.s.files[h.key])
						require.NoError(t, h.f.run(t, h.d, 7, 42))
						require.NoError(t, h.d.Close(t.Context()))
						requireArchived(t, h.s, shape{compression: compression}, h.f.all())
					}
				}
			}
		}
	}
}

// What is in the bucket under the key of a part, without a manifest, gives way to it.
func TestJudgeStrangeFilesInThePlaceOfAPart(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		good := newHurt(t, compression, 7)
		other := bytes.Clone(good.good)
		other[len(other)/2] ^= 1
		for name, strange := range map[string][]byte{
			"of the same length": other, "nothing": {}, "text": []byte("hello"), "its front": good.good[:good.ends[1]], "half of it": good.good[:len(good.good)/2],
			"longer": append(bytes.Clone(good.good), good.good...), "zeros": make([]byte, len(good.good)), "another file": packed(t, good.f.all()[0].line()+"\n"),
		} {
			for _, lives := range []bool{true, false} {
				t.Run(fmt.Sprintf("%s, %s, lives %v", compression, name, lives), func(t *testing.T) {
					for _, damaged := range []bool{false, true} {
						h := newHurt(t, compression, 7)
						if !lives {
							h.kill(t)
						}
						h.s.files[h.key] = bytes.Clone(strange)
						if !damaged {
							require.NoError(t, h.d.Rotate(t.Context()))
							require.Equal(t, hurtEvents, h.kept(t, h.good))
							require.NoError(t, h.d.Close(t.Context()))
							requireArchived(t, h.s, shape{compression: compression}, h.f.all()[:hurtEvents])
							continue
						}
						bad := bytes.Clone(h.good)
						bad[h.ends[2]+25] ^= 4
						h.requireSalvaged(t, bad)
					}
				})
			}
		}
	}
}

// many is a destination with a part for each of n sources, and an event in each.
func many(t *testing.T, n int) *hurt {
	t.Helper()
	h := &hurt{fs: faultfs.New(2), s: newShelf()}
	h.open(t)
	h.d.SourceOf = func(event []byte) string { return "s" + string(event[bytes.Index(event, []byte("m-"))+2:][:3]) }
	var raws []string
	for i := range n {
		raws = append(raws, track(fmt.Sprintf("m-%03d", i), "u"))
	}
	require.NoError(t, deliver(t, h.d, 0, raws...))
	return h
}

func TestJudgeManyPartsAndFewNotes(t *testing.T) {
	for _, lives := range []bool{true, false} {
		for _, damaged := range []int{0, 3} {
			if raced && lives == (damaged == 0) {
				continue
			}
			h := many(t, 500)
			if !lives {
				h.kill(t)
			}
			for i := range damaged {
				require.NoError(t, h.fs.Corrupt(fmt.Sprintf("/parts/p-%d.part", 100*i+50), func(b []byte) []byte { return b[:len(b)-1] }))
			}
			notes := 0
			h.fs.Inject(func(o faultfs.Op) error {
				if o.Kind == faultfs.Write && strings.HasPrefix(filepath.Base(o.Name), "note-") {
					notes++
				}
				return nil
			})
			err := h.d.Rotate(t.Context())
			require.Equal(t, damaged > 0, err != nil, "%v", err)
			require.Less(t, notes, 100)
			require.Positive(t, notes)
			require.NoError(t, h.d.Close(t.Context()))
			require.Len(t, h.aside(t), damaged)
			requireVerified(t, h.s, "", 500-damaged)
			require.Len(t, h.s.data(), 500-damaged)
		}
	}
}

// Few notes are no reason to lose a part, to take one for lost that is placed, or to place
// one twice.
func TestJudgeManyPartsAreKilledAnywhere(t *testing.T) {
	const parts = 40
	step := sparse(3, 31)
	end := func(op, call int, how failure) *hurt {
		h := many(t, parts)
		h.dieAt(op, call, how)
		_ = h.d.Rotate(t.Context())
		h.kill(t)
		require.NoError(t, h.d.Close(t.Context()), "operation %d, call %d", op, call)
		require.Empty(t, h.aside(t))
		requireVerified(t, h.s, "", parts)
		require.Len(t, h.s.data(), parts)
		require.Empty(t, h.s.changed)
		return h
	}
	h := many(t, parts)
	first := h.fs.Ops()
	require.NoError(t, h.d.Rotate(t.Context()))
	ops, calls := h.fs.Ops()-first, len(h.door.calls)
	for op := 0; op < ops; op += step {
		end(op, -1, refuses)
	}
	for call := 0; call < calls; call += step {
		end(-1, call, diesBefore)
		end(-1, call+1, diesBehind)
	}
}
