package archive_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// files is an archive with a file for each of the users.
func files(t *testing.T, users ...string) (*memory, *archive.Archive) {
	t.Helper()
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir()})
	for i, user := range users {
		require.NoError(t, deliver(t, d, uint64(i), track(fmt.Sprint("m-", i), user)))
		require.NoError(t, d.Rotate(t.Context()))
	}
	a, err := archive.Open(m, "")
	require.NoError(t, err)
	return m, a
}

// below are the keys of a bucket below a prefix, in order.
func (m *memory) below(t *testing.T, prefix string) (keys []string) {
	for o, err := range m.List(t.Context(), prefix) {
		require.NoError(t, err)
		keys = append(keys, o.Key)
	}
	return keys
}

// One damaged file is no reason to leave somebody in the others.
func TestForgetGoesOnBehindDamage(t *testing.T) {
	for _, where := range []string{"archive/_manifest/", "archive/segment-logs/"} {
		m, a := files(t, "gone", "gone", "gone")
		bad := ""
		for _, key := range m.below(t, "") {
			if bad == "" && strings.Contains("archive/"+key, where) {
				bad = key
			}
		}
		require.NotEmpty(t, bad, "%s of %v", where, m.below(t, ""))
		m.files[bad] = []byte("x")
		report, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
		require.ErrorContains(t, err, bad)
		require.Equal(t, []string{bad}, report.Unread)
		require.EqualValues(t, 2, report.Events)
	}
}

func TestForgetFindsIDsThatAreNoUTF8(t *testing.T) {
	_, a := files(t, "Jos\ufffd\ufffd", "other")
	who := "Jos\xe9\xe9"
	found := 0
	for _, err := range a.Events(t.Context(), archive.Query{UserIDs: []string{who}}) {
		require.NoError(t, err)
		found++
	}
	require.Equal(t, 1, found)
	report, err := a.Forget(t.Context(), archive.Identity{UserID: who})
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Events)
}

// A plugin may leave an event without an id, which nobody could read again.
func TestEventWithoutIDIsRefused(t *testing.T) {
	d := open(t, &archive.Destination{Bucket: newMemory(), Dir: t.TempDir()})
	var invalid *analytics.InvalidError
	_, err := d.Translate(&analytics.Event{Type: "track", UserID: "u", Event: "E", Timestamp: time.Now()})
	require.ErrorAs(t, err, &invalid)
	_, err = d.TranslateRaw(&analytics.Header{Type: "track"}, []byte(`{"type":"track"}`))
	require.ErrorAs(t, err, &invalid)
}

// A time that is in year 10000 by its zone can be in no manifest.
func TestReceivedInYear10000(t *testing.T) {
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir()})
	require.NoError(t, deliver(t, d, 0, strings.Replace(track("m-1", "u"), "{", `{"receivedAt":"9999-12-31T23:59:59-10:00",`, 1)))
	require.NoError(t, d.Rotate(t.Context()))
	_, err := d.Forget(t.Context(), archive.Identity{UserID: "u"})
	require.NoError(t, err)
}

// Names of sources come from events, and stand in the note.
func TestManyLongSources(t *testing.T) {
	n := 0
	dir := t.TempDir()
	d := &archive.Destination{Bucket: newMemory(), Dir: dir, SourceOf: func([]byte) string { n++; return fmt.Sprint(n, strings.Repeat("<", 30_000)) }}
	require.NoError(t, d.Open(analytics.Env{}))
	for i := range 5 {
		var raws []string
		for k := range 100 {
			raws = append(raws, track(fmt.Sprint("m-", i, "-", k), "u"))
		}
		require.NoError(t, deliver(t, d, uint64(100*i), raws...))
	}
	again := &archive.Destination{Bucket: newMemory(), Dir: copied(t, dir)}
	require.NoError(t, again.Open(analytics.Env{}))
	next, ok, err := again.Position(t.Context(), analytics.LogID{7})
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 500, next)
	require.NoError(t, again.Close(t.Context()))
	require.NoError(t, d.Close(t.Context()))
	info, err := os.Stat(filepath.Join(dir, "note-0"))
	require.NoError(t, err)
	require.Less(t, info.Size(), int64(4<<20))
}

// What the note cannot hold is refused before it is written, and halves of it are taken.
func TestMoreSourcesThanTheNoteHolds(t *testing.T) {
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir(), SourceOf: func(event []byte) string {
		_, id, _ := strings.Cut(string(event), "m-")
		return "s-" + id[:2]
	}})
	d.LimitNote(14_000)
	var raws []string
	for i := range 20 {
		raws = append(raws, track(fmt.Sprintf("m-%02d", i), "u"))
	}
	err := deliver(t, d, 0, raws...)
	word, _ := analytics.Classify(err)
	require.Equal(t, analytics.WordSplit, word, "%v", err)
	require.NoError(t, deliver(t, d, 0, raws[:10]...))
	err = deliver(t, d, 10, raws[10:]...)
	word, _ = analytics.Classify(err)
	require.Equal(t, analytics.WordSplit, word, "beside the others there is no room")
	require.NoError(t, deliver(t, d, 10, raws[10:]...), "which are finished now")
	require.NoError(t, d.Rotate(t.Context()))
	a, err := archive.Open(m, "")
	require.NoError(t, err)
	found := make(map[string]int)
	for e, err := range a.Events(t.Context(), archive.Query{}) {
		require.NoError(t, err)
		found[e.MessageID]++
	}
	require.Len(t, found, 20)
	for id, n := range found {
		require.Equal(t, 1, n, id)
	}
}

// copied is a copy of a folder, as another process would find it after a kill.
func copied(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}

// What ends in the middle is not all done.
func TestRotateThatIsCutShortIsAnError(t *testing.T) {
	m := newMemory()
	n := 0
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir(), SourceOf: func([]byte) string { n++; return fmt.Sprint("s", n) }})
	require.NoError(t, deliver(t, d, 0, track("m-1", "u"), track("m-2", "u")))
	ctx, cancel := context.WithCancel(t.Context())
	m.onPut = func(key string) {
		if strings.HasSuffix(key, ".json") {
			cancel()
		}
	}
	require.ErrorIs(t, d.Rotate(ctx), context.Canceled)
	m.onPut = nil
	require.NoError(t, d.Rotate(t.Context()))
}

// A pause is not made up for at full speed.
func TestReplayKeepsItsRate(t *testing.T) {
	_, a := files(t, "a", "b", "c", "d")
	synctest.Test(t, func(t *testing.T) {
		var at []time.Time
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{
			analytics.DestinationFunc("F", func(context.Context, []*analytics.Event) error { return nil }),
		}})
		require.NoError(t, err)
		defer client.Close(context.Background())
		_, err = a.Replay(t.Context(), archive.Query{}, archive.ToClient(client, "F", "F"), archive.ReplayOptions{Rate: 1, Progress: func(p archive.Progress) {
			at = append(at, time.Now())
			if p.Events == 1 {
				time.Sleep(time.Minute)
			}
		}})
		require.NoError(t, err)
		require.Greater(t, at[len(at)-1].Sub(at[0]), time.Minute+time.Second, "the others are a second apart")
	})
}

// A target that waits for long is not asked all the time.
func TestReplayDoesNotSpin(t *testing.T) {
	_, a := files(t, "a")
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Hour)
		defer cancel()
		tries := 0
		d := analytics.DestinationFunc("Down", func(context.Context, []*analytics.Event) error {
			if tries++; tries > 3 {
				return nil
			}
			return analytics.RetryAfter(time.Hour, errors.New("later"))
		})
		done, err := a.Replay(ctx, archive.Query{}, archive.ToDestination(d), archive.ReplayOptions{})
		require.NoError(t, err)
		require.EqualValues(t, 1, done.Events)
	})
}
