package archive_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// halfForgotten is an archive of one file of four members, one of which is of "gone", where
// Forget has died with the file still as it was.
func halfForgotten(t *testing.T) (m *memory, a *archive.Archive, file string, ends []int64) {
	t.Helper()
	m = newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir()})
	for i, user := range []string{"u", "gone", "u", "u"} {
		require.NoError(t, deliver(t, d, uint64(i), track(fmt.Sprint("m-", i), fmt.Sprintf("%-4s", user))))
	}
	require.NoError(t, d.Rotate(t.Context()))
	a, err := archive.Open(m, "")
	require.NoError(t, err)
	m.onPut = func(string) { m.down = errDown }
	_, err = a.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.ErrorIs(t, err, errDown)
	m.onPut = nil
	m.setDown(nil)
	for _, key := range m.keys() {
		if !strings.Contains(key, "_manifest") {
			file = key
		}
	}
	return m, a, file, memberEnds(t, m.files[file])
}

func memberEnds(t *testing.T, raw []byte) (ends []int64) {
	t.Helper()
	r := bytes.NewReader(raw) // of which gzip takes no byte too many
	for r.Len() > 0 {
		z, err := gzip.NewReader(r)
		require.NoError(t, err)
		z.Multistream(false)
		_, err = new(bytes.Buffer).ReadFrom(z)
		require.NoError(t, err)
		ends = append(ends, int64(len(raw)-r.Len()))
	}
	return ends
}

// A manifest that says "rewriting" allows the file before and the one after, and no other:
// one that was cut has the length and number of lines of the one after.
func TestFilesThatAreRewrittenAreNotBelievedBlindly(t *testing.T) {
	m, a, file, ends := halfForgotten(t)
	whole := m.files[file]
	requireEvents := func(n int) {
		t.Helper()
		require.Len(t, eventsIn(t, m, archive.Query{}), n)
	}
	requireEvents(4)
	for name, raw := range map[string][]byte{"cut": whole[:ends[2]], "empty": {}, "gone": nil} {
		t.Run(name, func(t *testing.T) {
			if m.files[file] = raw; raw == nil {
				delete(m.files, file)
			}
			var err error
			for _, err = range a.Events(t.Context(), archive.Query{}) {
			}
			require.ErrorIs(t, err, archive.ErrDamaged)
			report, err := a.Verify(t.Context(), nil)
			require.NoError(t, err)
			require.Len(t, report.Faults, 2, "that, and that Forget did not end")
			erased, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
			require.ErrorIs(t, err, archive.ErrDamaged)
			require.Equal(t, []string{file}, erased.Unread)
		})
	}
	m.files[file] = whole
	_, err := a.Forget(t.Context(), archive.Identity{UserID: "somebody else"})
	require.NoError(t, err)
	requireSound(t, m, 4)
	_, err = a.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	requireSound(t, m, 3)
}

// Whoever is erased after a Forget that died behind the file, before its manifest.
func TestForgetBehindAHalfForget(t *testing.T) {
	for _, who := range []string{"gone", "u   ", "somebody else"} {
		m, a, file, _ := halfForgotten(t)
		m.onPut = func(key string) {
			if key == file {
				m.down = errDown
			}
		}
		_, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
		require.ErrorIs(t, err, errDown)
		require.Len(t, memberEnds(t, m.files[file]), 1, "it is the new one")
		m.onPut = nil
		m.setDown(nil)
		require.Len(t, eventsIn(t, m, archive.Query{}), 3)
		_, err = a.Forget(t.Context(), archive.Identity{UserID: who})
		require.NoError(t, err)
		left := 3
		if who == "u   " {
			left = 0
		}
		requireSound(t, m, left)
		require.Equal(t, left > 0, len(m.keys()) > 0)
	}
}

// Events go on while the finished files are searched.
func TestForgetHoldsUpNobody(t *testing.T) {
	m := newMemory()
	d := open(t, &archive.Destination{Bucket: m, Dir: t.TempDir()})
	require.NoError(t, deliver(t, d, 0, track("m-0", "gone"), track("m-1", "u")))
	asked := 0
	m.onPut = func(key string) {
		if asked++; asked == 3 { // file and manifest of what was not finished, then the mark
			require.NoError(t, deliver(t, d, 2, track("m-2", "u")))
		}
	}
	report, err := d.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.EqualValues(t, 1, report.Events)
	require.GreaterOrEqual(t, asked, 3)
	require.Zero(t, report.Parts, "what came later is not its")
}

// An earlier process has written under another prefix.
func TestForgetUnderAnotherPrefix(t *testing.T) {
	m := newMemory()
	dir := left(t, m)
	d := open(t, &archive.Destination{Bucket: m, Dir: dir, Prefix: "moved"})
	require.NoError(t, deliver(t, d, 2, track("m-2", "u")))
	report, err := d.Forget(t.Context(), archive.Identity{UserID: "u"})
	require.NoError(t, err)
	require.EqualValues(t, 2, report.Events)
	require.Len(t, report.Files, 2)
}

func TestOneForgetAtATime(t *testing.T) {
	folder := &archive.Folder{Path: t.TempDir()}
	d := open(t, &archive.Destination{Bucket: folder})
	require.NoError(t, deliver(t, d, 0, track("m-0", "gone"), track("m-1", "u")))
	require.NoError(t, d.Rotate(t.Context()))
	a, err := archive.Open(folder, "")
	require.NoError(t, err)
	unlock, err := archive.LockForget(folder)
	require.NoError(t, err)
	_, err = a.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.ErrorContains(t, err, "another Forget is at work")
	would, err := a.WouldForget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.NoError(t, unlock())
	requireSound(t, folder, 2)
	report, err := a.Forget(t.Context(), archive.Identity{UserID: "gone"})
	require.NoError(t, err)
	require.Equal(t, report, would)
	requireSound(t, folder, 1)
}

func TestPrefixesThatAreNoKeys(t *testing.T) {
	for _, prefix := range []string{"_parts", "_tmp/x"} {
		folder := &archive.Folder{Path: t.TempDir()}
		_, err := archive.Open(folder, prefix)
		require.ErrorContains(t, err, "prefix")
		require.ErrorContains(t, (&archive.Destination{Bucket: folder, Prefix: prefix}).Open(analytics.Env{}), "Prefix")
		_, err = archive.Open(newMemory(), prefix)
		require.NoError(t, err)
	}
}

// hookedCtx is a ctx that does something when it is asked for the n-th time.
type hookedCtx struct {
	context.Context
	left atomic.Int64 // Forget asks in more than one goroutine
	do   func()
}

func (h *hookedCtx) Err() error {
	if h.left.Add(-1) == 0 {
		h.do()
	}
	return h.Context.Err()
}

// A file that is finished while Forget works is searched, or among Parts.
func TestFilesThatAreFinishedWhileForgetWorks(t *testing.T) {
	erased := 0
	for n := int64(1); ; n++ {
		folder := &archive.Folder{Path: t.TempDir()}
		d := open(t, &archive.Destination{Bucket: folder})
		require.NoError(t, deliver(t, d, 0, track("m-0", "u"), track("m-1", "gone")))
		require.NoError(t, d.Rotate(t.Context()))
		require.NoError(t, deliver(t, d, 2, track("m-2", "gone")))
		a, err := archive.Open(folder, "")
		require.NoError(t, err)
		var rotated error
		ctx := &hookedCtx{Context: t.Context(), do: func() { rotated = d.Rotate(t.Context()) }}
		ctx.left.Store(n)
		report, err := a.Forget(ctx, archive.Identity{UserID: "gone"})
		require.NoError(t, errors.Join(err, rotated))
		if ctx.left.Load() > 0 {
			require.Greater(t, n, int64(5))
			require.Positive(t, erased)
			return
		}
		left := eventsIn(t, folder, archive.Query{UserIDs: []string{"gone"}})
		require.True(t, len(left) == 0 || report.Parts == 1, "%d: %v", n, report)
		erased += len(left) ^ 1
	}
}
