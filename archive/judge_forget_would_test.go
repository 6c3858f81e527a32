package archive_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// requireWould expects that WouldForget says what Forget does then, and changes nothing.
func requireWould(t *testing.T, s *shelf, who ...archive.Identity) archive.Forgotten {
	t.Helper()
	before, door := s.copy(), s.door()
	a, err := archive.Open(door, "")
	require.NoError(t, err)
	would, first := a.WouldForget(t.Context(), who...)
	require.Equal(t, before.files, s.files)
	for _, call := range door.calls {
		require.False(t, strings.HasPrefix(call, "Put") || strings.HasPrefix(call, "Delete"), call)
	}
	a, err = archive.Open(s, "")
	require.NoError(t, err)
	did, second := a.Forget(t.Context(), who...)
	require.Equal(t, did, would)
	require.Equal(t, second == nil, first == nil, "%v, %v", first, second)
	require.Equal(t, errors.Is(second, archive.ErrDamaged), errors.Is(first, archive.ErrDamaged))
	return would
}

func TestJudgeWouldForget(t *testing.T) {
	for _, compression := range []archive.Compression{archive.Gzip, archive.Zstd} {
		good, all := crowd(t, compression)
		report := requireWould(t, good.copy(), goneIDs...)
		require.EqualValues(t, len(all)-len(without(all, "gone")), report.Events)
		require.Len(t, report.Files, 4)
		require.True(t, report.Files[3].Deleted)
		require.EqualValues(t, 1, requireWould(t, good.copy(), archive.Identity{UserID: "kept"}).Events, "it is somebody's former id")
		require.EqualValues(t, 1, requireWould(t, good.copy(), archive.Identity{AnonymousID: "kept"}).Events)
		require.EqualValues(t, 2, requireWould(t, good.copy(), archive.Identity{UserID: "u-1"}, archive.Identity{UserID: "u-2"}).Events)
		require.Zero(t, requireWould(t, good.copy(), archive.Identity{UserID: "stranger"}).Events)
		require.Zero(t, requireWould(t, good.copy()).Events)

		a, err := archive.Open(good, "")
		require.NoError(t, err)
		_, err = a.WouldForget(t.Context(), archive.Identity{UserID: "gone"}, archive.Identity{})
		var invalid *analytics.InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, "who[1]", invalid.Field)

		for i, bad := range [][]byte{nil, []byte("x"), good.files[good.data()[0]][:30]} {
			for _, key := range []string{good.data()[0], good.data()[2], good.keys("archive/_manifest/")[1]} {
				s := good.copy()
				if s.files[key] = bad; bad == nil && !isManifest(key) {
					delete(s.files, key)
				}
				report := requireWould(t, s, goneIDs...)
				require.Equal(t, []string{key}, report.Unread, i)
				require.Positive(t, report.Events, "the others")
			}
		}
	}
}

// What an interrupted Forget has left is said as it is done.
func TestJudgeWouldForgetBehindAnother(t *testing.T) {
	good, _ := crowd(t, "")
	for _, who := range [][]archive.Identity{goneIDs, {{UserID: "u-1"}, {UserID: "u-7"}}} {
		eachFailure(t, func(t *testing.T, at int, how failure) []string {
			s := good.copy()
			door := s.door()
			door.at, door.how = at, how
			a, err := archive.Open(door, "")
			require.NoError(t, err)
			_, _ = a.Forget(t.Context(), goneIDs...)
			requireWould(t, s, who...)
			return door.calls
		}, diesBefore, diesBehind)
	}
}

func TestJudgeWouldForgetCountsParts(t *testing.T) {
	dir := t.TempDir()
	folder := &archive.Folder{Path: dir}
	d := opened(t, &archive.Destination{Bucket: folder})
	require.NoError(t, deliver(t, d, 0, track("m-0", "gone"), track("m-1", "u")))
	require.NoError(t, d.Rotate(t.Context()))
	require.NoError(t, deliver(t, d, 2, track("m-2", "gone")))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "_parts", "p-99.part.damaged"), []byte("x"), 0o600))
	a, err := archive.Open(folder, "")
	require.NoError(t, err)
	before := filesOf(t, folder)
	would, err := a.WouldForget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.Equal(t, before, filesOf(t, folder))
	require.Equal(t, 2, would.Parts)
	require.EqualValues(t, 1, would.Events, "what is unfinished is not looked into")
	did, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.Equal(t, did, would)
}

// moved is a destination with another prefix than that of the process before, which has
// left a finished file and an unfinished one.
func moved(t *testing.T, prefix string) (*shelf, *archive.Destination) {
	t.Helper()
	s, dir := newShelf(), quickDir(t)
	door := s.door()
	d := opened(t, &archive.Destination{Bucket: door, Dir: dir, Prefix: "old"})
	require.NoError(t, deliver(t, d, 0, track("m-0", "gone"), track("m-1", "u")))
	require.NoError(t, d.Rotate(t.Context()))
	require.NoError(t, deliver(t, d, 2, track("m-2", "gone"), track("m-3", "u")))
	left := copyDir(t, dir)
	door.dead = true
	d = opened(t, &archive.Destination{Bucket: s, Dir: left, Prefix: prefix})
	require.NoError(t, deliver(t, d, 4, track("m-4", "u"), track("m-5", "gone")))
	return s, d
}

// Unfinished files are finished under the prefix that they had, and are searched there.
func TestJudgeForgetUnderAnEarlierPrefix(t *testing.T) {
	for _, prefix := range []string{"", "new", "older", "old/er"} {
		s, d := moved(t, prefix)
		report, err := d.Forget(t.Context(), archive.Identity{UserID: "nobody"})
		require.NoError(t, err)
		require.Empty(t, report.Files)
		require.Len(t, read(t, s, "old", archive.Query{}), 4)
		require.Len(t, read(t, s, prefix, archive.Query{}), 2)

		s, d = moved(t, prefix)
		report, err = d.Forget(t.Context(), archive.Identity{UserID: "gone"})
		require.NoError(t, err)
		require.EqualValues(t, 3, report.Events)
		require.Len(t, report.Files, 3)
		require.Zero(t, report.Parts)
		require.NoError(t, d.Close(t.Context()))
		requireVerified(t, s, "old", 2)
		requireVerified(t, s, prefix, 1)
		for _, key := range s.data() {
			require.NotContains(t, strings.Join(linesOf(t, s, key), "\n"), "gone")
		}
	}
}

// Damaged parts are counted, whatever else is wrong, and each once.
func TestJudgeForgetCountsDamagedParts(t *testing.T) {
	for _, local := range []bool{false, true} {
		dir, top := quickDir(t), quickDir(t)
		s := newShelf()
		d := &archive.Destination{Bucket: s, Dir: dir}
		if local {
			d, dir = &archive.Destination{Bucket: &archive.Folder{Path: top}}, filepath.Join(top, "_parts")
		}
		opened(t, d)
		for i := range uint64(3) {
			require.NoError(t, deliver(t, d, 2*i, track("m-"+string(rune('0'+2*i)), "gone"), track("m-"+string(rune('1'+2*i)), "u")))
			if i == 2 {
				parts, _ := filepath.Glob(filepath.Join(dir, "*.part"))
				require.Len(t, parts, 1)
				require.NoError(t, os.Truncate(parts[0], 5))
				require.ErrorContains(t, d.Rotate(t.Context()), "damaged")
				break
			}
			require.NoError(t, d.Rotate(t.Context()))
		}
		bad := ""
		if local {
			bad = slices.DeleteFunc(listed(t, d.Bucket, ""), isManifest)[0]
			require.NoError(t, os.WriteFile(filepath.Join(top, filepath.FromSlash(bad)), []byte("x"), 0o600))
		} else {
			bad = s.data()[0]
			s.files[bad] = []byte("x")
		}
		report, err := d.Forget(t.Context(), archive.Identity{UserID: "gone"})
		require.ErrorIs(t, err, archive.ErrDamaged)
		require.Equal(t, []string{bad}, report.Unread)
		require.EqualValues(t, 1, report.Events)
		require.Equal(t, 1, report.Parts)
	}
}

// What a folder has of its own is no prefix.
func TestJudgePrefixesOfAFolder(t *testing.T) {
	for _, prefix := range []string{"_parts", "_tmp", "_parts/x", "_tmp/x/y", "/_parts/", "_tmp/"} {
		folder := &archive.Folder{Path: t.TempDir()}
		var invalid *analytics.InvalidError
		err := (&archive.Destination{Bucket: folder, Prefix: prefix}).Open(analytics.Env{})
		require.ErrorAs(t, err, &invalid, prefix)
		require.Equal(t, "Prefix", invalid.Field)
		_, err = archive.Open(folder, prefix)
		require.ErrorAs(t, err, &invalid, prefix)
		require.Equal(t, "prefix", invalid.Field)
	}
	for _, prefix := range []string{"_parts2", "_tm", "x/_parts", "x/_tmp/y", "_parts.x"} {
		folder := &archive.Folder{Path: t.TempDir()}
		d := opened(t, &archive.Destination{Bucket: folder, Prefix: prefix})
		require.NoError(t, deliver(t, d, 0, track("m-0", "u")))
		require.NoError(t, d.Close(t.Context()))
		requireVerified(t, folder, prefix, 1)
		require.Len(t, read(t, folder, prefix, archive.Query{}), 1)
	}
}

// What is damaged is one error, wherever it is said, and what is not is none.
func TestJudgeErrDamaged(t *testing.T) {
	good, all := row(t, archive.Zstd)
	for _, h := range harms() {
		b := hit(good, all, map[int]harm{1: h, 3: h})
		a, err := archive.Open(b.s, "")
		require.NoError(t, err)
		errs, found := 0, map[string]bool{}
		for e, err := range a.Events(t.Context(), archive.Query{}) {
			if err == nil {
				found[e.MessageID] = true
				continue
			}
			errs++
			require.ErrorIs(t, err, archive.ErrDamaged, h.name)
		}
		require.Equal(t, 2, errs, h.name)
		for _, id := range b.must {
			require.True(t, found[id], h.name)
		}
		errs = 0
		for _, err := range a.Files(t.Context(), archive.Query{}) {
			if err != nil {
				errs++
				require.ErrorIs(t, err, archive.ErrDamaged, h.name)
			}
		}
		require.Equal(t, h.whole, errs == 2, h.name)
		would, err := a.WouldForget(t.Context(), archive.Identity{UserID: "shop:1"})
		require.ErrorIs(t, err, archive.ErrDamaged, h.name)
		gone, err := a.Forget(t.Context(), archive.Identity{UserID: "shop:1"})
		require.ErrorIs(t, err, archive.ErrDamaged, h.name)
		require.ElementsMatch(t, b.faults, gone.Unread, h.name)
		require.Equal(t, gone, would)
	}
	door := good.door()
	door.dead = true
	a, err := archive.Open(door, "")
	require.NoError(t, err)
	for _, err := range a.Events(t.Context(), archive.Query{}) {
		require.True(t, errors.Is(err, errBroken) && !errors.Is(err, archive.ErrDamaged), "%v", err)
	}
	_, err = a.Forget(t.Context(), archive.Identity{UserID: "shop:1"})
	require.True(t, errors.Is(err, errBroken) && !errors.Is(err, archive.ErrDamaged), "%v", err)
}

// Beside a folder, Verify names what was put aside, and finds no fault of what was saved.
func TestJudgeSalvageBesideAFolder(t *testing.T) {
	dir := t.TempDir()
	folder := &archive.Folder{Path: dir}
	d := opened(t, &archive.Destination{Bucket: folder})
	f := homeFeed('o', 21)
	require.NoError(t, f.run(t, d, 7, 14))
	parts, _ := filepath.Glob(filepath.Join(dir, "_parts", "*.part"))
	require.Len(t, parts, 1)
	info, err := os.Stat(parts[0])
	require.NoError(t, err)
	require.NoError(t, os.Truncate(parts[0], info.Size()-1))
	requireTold(t, d.Rotate(t.Context()), 6)
	require.NoError(t, f.run(t, d, 7, 21))
	require.NoError(t, d.Close(t.Context()))
	a, err := archive.Open(folder, "")
	require.NoError(t, err)
	report, err := a.Verify(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, report.Faults, 1)
	require.Equal(t, "_parts/"+filepath.Base(parts[0])+".damaged", report.Faults[0].Key)
	require.EqualValues(t, 6, report.Lost)
	require.EqualValues(t, 12, report.Events)
	require.Len(t, read(t, folder, "", archive.Query{}), 12)
}
