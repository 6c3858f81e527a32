package archive_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// crowd is an archive of six files with events of some users; the last file has only those
// of "gone".
func crowd(t *testing.T, compression archive.Compression) (*shelf, []*accepted) {
	t.Helper()
	s := newShelf()
	d := opened(t, &archive.Destination{Bucket: s, Dir: quickDir(t), Compression: compression})
	var all []*accepted
	log := analytics.LogID{'f'}
	seq := uint64(0)
	write := func(raws ...string) {
		for _, raw := range raws { // each a batch, and so a member of the file
			e := &accepted{id: fmt.Sprint("m-", seq), log: log.String(), seq: seq, at: night.Add(-time.Hour), source: "default"}
			e.raw = fmt.Appendf(nil, raw, e.id)
			h := headerOf(t, e.raw)
			h.Log, h.Seq, h.AcceptedAt = log, seq, e.at
			it, err := d.TranslateRaw(&h, e.raw)
			require.NoError(t, err)
			require.NoError(t, d.Deliver(t.Context(), &analytics.Batch{Log: log, From: seq, To: seq + 1, Items: []analytics.Item{it}}))
			all, seq = append(all, e), seq+1
		}
		require.NoError(t, d.Rotate(t.Context()))
	}
	const head = `{"type":"track","messageId":"%s","timestamp":"2026-11-23T00:00:00.000Z",`
	other := func(name string) string {
		return head + `"userId":"` + name + `","event":"E","properties":{"a":"gone"}}`
	}
	gone := head + `"userId":"gone","event":"E"}`
	write(other("u-1"), other("u-2"), gone, other("gone2"))
	write(other("u-3"), other("u-4"))
	write(gone, head+`"anonymousId":"gone-a","event":"E"}`, head+`"anonymousId":"gone","event":"an anonymousId that looks so"}`, other("u-5"))
	write(`{"type":"alias","messageId":"%s","timestamp":"2026-11-23T00:00:00.000Z","userId":"u-6","previousId":"gone"}`,
		`{"type":"alias","messageId":"%s","timestamp":"2026-11-23T00:00:00.000Z","userId":"u-6","previousId":"kept"}`,
		head+`"userId":"u-7","anonymousId":"gone-a","event":"E"}`)
	write(other("u-8"), head+`"userId":"u-9","event":"E","context":{"userId":"gone","traits":{"userId":"gone"}},"properties":{"userId":"gone","previousId":"gone"}}`)
	write(gone, gone, gone)
	require.Len(t, s.data(), 6)
	requireArchived(t, s, shape{compression: compressionOf(compression)}, all)
	return s, all
}

func compressionOf(c archive.Compression) archive.Compression {
	if c == "" {
		return archive.Gzip
	}
	return c
}

// isGone tells which events of the crowd are to be erased.
func isGone(e *accepted) bool {
	var top struct{ UserID, AnonymousID, PreviousID string }
	if err := json.Unmarshal(e.raw, &top); err != nil {
		panic(err)
	}
	return top.UserID == "gone" || top.AnonymousID == "gone-a" || top.PreviousID == "gone"
}

var goneIDs = []archive.Identity{{UserID: "gone", AnonymousID: "gone-a"}}

func forgotten(t *testing.T, b archive.Bucket, who ...archive.Identity) archive.Forgotten {
	t.Helper()
	a, err := archive.Open(b, "")
	require.NoError(t, err)
	report, err := a.Forget(t.Context(), who...)
	require.NoError(t, err)
	return report
}

func TestJudgeForget(t *testing.T) {
	for _, compression := range []archive.Compression{"", archive.Zstd} {
		s, all := crowd(t, compression)
		before := s.copy()
		report := forgotten(t, s, goneIDs...)
		rest := slices.DeleteFunc(slices.Clone(all), isGone)
		requireArchived(t, s, shape{compression: compressionOf(compression)}, rest)
		requireVerified(t, s, "", len(rest))

		require.EqualValues(t, len(all)-len(rest), report.Events)
		require.GreaterOrEqual(t, report.Searched, 4)
		require.Len(t, report.Files, 4)
		keys := before.data()
		touched := map[string]archive.ForgottenFile{}
		for _, f := range report.Files {
			touched[f.Key] = f
		}
		for i, count := range []int64{1, 0, 2, 2, 0, 3} {
			f, ok := touched[keys[i]]
			require.Equal(t, count > 0, ok, keys[i])
			require.Equal(t, count, f.Events, keys[i])
			require.Equal(t, i == 5, f.Deleted, keys[i])
			_, there := s.files[keys[i]]
			require.Equal(t, i != 5, there)
			manifest := before.keys("archive/_manifest/")[i]
			if count == 0 {
				require.True(t, bytes.Equal(before.files[keys[i]], s.files[keys[i]]), "not touched")
				require.Equal(t, string(before.files[manifest]), string(s.files[manifest]))
				continue
			}
			if i == 5 {
				require.NotContains(t, s.files, manifest)
				continue
			}
			var m archive.Manifest
			require.NoError(t, json.Unmarshal(s.files[manifest], &m))
			require.NotNil(t, m.Erased)
			require.Nil(t, m.Rewriting)
		}
		a, err := archive.Open(s, "")
		require.NoError(t, err)
		require.Zero(t, filesFor(t, a, archive.Query{UserIDs: []string{"gone"}}), "the filters have forgotten too")
		for _, data := range s.files {
			require.NotContains(t, string(data), "gone-a")
		}

		after := s.copy()
		report = forgotten(t, s, goneIDs...)
		require.Zero(t, report.Events)
		require.Empty(t, report.Files)
		require.Equal(t, after.files, s.files, "nothing is left to do")
	}
}

// Each id is matched for itself.
func TestJudgeForgetByOneID(t *testing.T) {
	s, all := crowd(t, "")
	report := forgotten(t, s, archive.Identity{AnonymousID: "gone-a"})
	require.EqualValues(t, 2, report.Events)
	rest := slices.DeleteFunc(slices.Clone(all), func(e *accepted) bool { return bytes.Contains(e.raw, []byte(`"anonymousId":"gone-a"`)) })
	requireArchived(t, s, shape{compression: archive.Gzip}, rest)
	report = forgotten(t, s, archive.Identity{UserID: "u-1"}, archive.Identity{UserID: "u-2"}, archive.Identity{UserID: "gone"})
	require.EqualValues(t, 2+5+1, report.Events)
	requireVerified(t, s, "", len(rest)-8)
}

func TestJudgeForgetNobody(t *testing.T) {
	s, all := crowd(t, "")
	before := s.copy()
	for i := range 200 {
		report := forgotten(t, s, archive.Identity{UserID: fmt.Sprint("stranger-", i), AnonymousID: fmt.Sprint("stranger-", i)})
		require.Empty(t, report.Files)
		require.Zero(t, report.Events)
	}
	require.Equal(t, before.files, s.files)
	require.Equal(t, len(before.files), len(s.files))
	a, err := archive.Open(s, "")
	require.NoError(t, err)
	for _, who := range [][]archive.Identity{nil, {{}}} { // an empty id is nobody's, least of all everybody's
		_, _ = a.Forget(t.Context(), who...)
		require.Equal(t, before.files, s.files)
	}
	requireArchived(t, s, shape{compression: archive.Gzip}, all)
}

// At each call of the bucket, in each way: what is not to be erased is kept byte for byte,
// and a second run finishes.
func TestJudgeForgetFailsAnywhere(t *testing.T) {
	good, all := crowd(t, "")
	rest := slices.DeleteFunc(slices.Clone(all), isGone)
	eachFailure(t, func(t *testing.T, at int, how failure) []string {
		s := good.copy()
		door := s.door()
		door.at, door.how = at, how
		a, err := archive.Open(door, "")
		require.NoError(t, err)
		_, err = a.Forget(t.Context(), goneIDs...)
		if at < 0 {
			require.NoError(t, err)
		}
		found := read(t, s, "", archive.Query{})
		for _, e := range rest {
			require.Equal(t, e.line(), found[e.id], "in between")
		}
		if err == nil {
			requireArchived(t, s, shape{compression: archive.Gzip}, rest)
		}
		forgotten(t, s, goneIDs...)
		requireArchived(t, s, shape{compression: archive.Gzip}, rest)
		requireVerified(t, s, "", len(rest))
		return door.calls
	}, refuses, readsHalf, loses, diesBefore, diesBehind, truncates, breaksOff, cutsClean)
}

// Somebody else is forgotten before the first erasure was finished.
func TestJudgeForgetAnotherInBetween(t *testing.T) {
	good, all := crowd(t, "")
	eachFailure(t, func(t *testing.T, at int, how failure) []string {
		s := good.copy()
		door := s.door()
		door.at, door.how = at, how
		a, err := archive.Open(door, "")
		require.NoError(t, err)
		_, _ = a.Forget(t.Context(), goneIDs...)
		forgotten(t, s, archive.Identity{UserID: "u-1"})
		forgotten(t, s, goneIDs...)
		rest := slices.DeleteFunc(slices.Clone(all), func(e *accepted) bool { return isGone(e) || bytes.Contains(e.raw, []byte(`"userId":"u-1"`)) })
		requireArchived(t, s, shape{compression: archive.Gzip}, rest)
		requireVerified(t, s, "", len(rest))
		return door.calls
	}, refuses, diesBehind)
}

// Damage is no reason to lose what is left.
func TestJudgeForgetInADamagedArchive(t *testing.T) {
	good, _ := crowd(t, "")
	key := good.data()[0]
	for _, data := range [][]byte{good.files[key][:len(good.files[key])/2], packed(t, "hello\n"), []byte("x"), {}} {
		s := good.copy()
		s.files[key] = data
		a, err := archive.Open(s, "")
		require.NoError(t, err)
		_, err = a.Forget(t.Context(), goneIDs...)
		require.Error(t, err)
		require.Equal(t, string(data), string(s.files[key]), "what cannot be read is not written again")
	}
}

// Ids that are written with escapes, or by other clients, are the same ids.
func TestJudgeForgetEscapedIDs(t *testing.T) {
	s := newShelf()
	tap := archived(t, analytics.Config{}, &archive.Destination{Bucket: s}, func(c *analytics.Client) {
		for _, message := range []string{
			`{"type":"track","event":"E","userId":"\u0067one"}`, `{"properties":{"userId":"kept"},"type":"track","event":"E","userId":"gone"}`,
			"{ \"type\" : \"track\" ,\n \"event\":\"E\", \"userId\" : \"gone\" }", `{"type":"alias","userId":"u","previousId":"\u0067one"}`,
			`{"type":"track","event":"E","userId":"kept","properties":{"userId":"gone"}}`, `{"type":"track","event":"E","userId":"kept","x":"\"userId\":\"gone\""}`,
			`{"type":"track","event":"E","userId":"d\"q\\ü"}`, `{"type":"track","event":"E","anonymousId":"gone"}`,
		} {
			require.NoError(t, c.EnqueueJSON(t.Context(), []byte(message), nil))
		}
	})
	require.EqualValues(t, 4, forgotten(t, s, archive.Identity{UserID: "gone"}).Events)
	require.EqualValues(t, 1, forgotten(t, s, archive.Identity{UserID: `d"q\ü`}).Events)
	requireVerified(t, s, "", len(tap.events)-5)
}

// What is in unfinished files is erased as well, and what a client sends again afterwards
// does not come back.
func TestJudgeForgetWhileWriting(t *testing.T) {
	s, dir := newShelf(), quickDir(t)
	f := newFeed('w', 60, night.Add(-time.Hour), time.Millisecond)
	d := opened(t, &archive.Destination{Bucket: s, Dir: dir, SourceOf: byUserPrefix})
	require.NoError(t, f.run(t, d, 7, 20))
	require.NoError(t, d.Rotate(t.Context()))
	require.NoError(t, f.run(t, d, 7, 40))
	report, err := d.Forget(t.Context(), archive.Identity{UserID: "blog:2"})
	require.NoError(t, err)
	before := f.all()
	erased := func(e *accepted) bool { return e.seq < 40 && userOf(e.raw) == "blog:2" }
	rest := slices.DeleteFunc(slices.Clone(before), erased)
	require.EqualValues(t, len(before)-len(rest), report.Events)
	require.NoError(t, d.Deliver(t.Context(), f.batch(t, d, 10, 40)), "the answer was lost")
	require.NoError(t, d.Close(t.Context()))

	d = opened(t, &archive.Destination{Bucket: s, Dir: dir, SourceOf: byUserPrefix})
	require.NoError(t, d.Deliver(t.Context(), f.batch(t, d, 0, 40)))
	require.NoError(t, f.run(t, d, 9, 60))
	require.NoError(t, d.Close(t.Context()))
	requireArchived(t, s, shape{compression: archive.Gzip}, rest)
	requireVerified(t, s, "", len(rest))
}
