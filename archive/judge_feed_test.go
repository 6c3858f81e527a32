package archive_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// feed is a log whose batches are given to a Destination by hand.
type feed struct {
	log    analytics.LogID
	events []*accepted
}

// newFeed makes a log of n events; every seventh is not for the archive.
func newFeed(name byte, n int, start time.Time, step time.Duration) *feed {
	f := &feed{log: analytics.LogID{name}}
	for i := range n {
		at := start.Add(time.Duration(i) * step)
		user := []string{"shop:1", "blog:2", "u"}[i%3]
		e := &accepted{id: fmt.Sprintf("%c-%d", name, i), log: f.log.String(), seq: uint64(i), at: at, source: orDefault(byUserPrefix, "default")([]byte(`"userId":"` + user + `"`))}
		e.raw = fmt.Appendf(nil, `{"type":"track","messageId":"%s","timestamp":"%s","userId":"%s","event":"Step %d","properties":{"n":%d}}`,
			e.id, at.UTC().Format("2006-01-02T15:04:05.000Z"), user, i%4, i)
		if i%7 == 6 {
			e = nil
		}
		f.events = append(f.events, e)
	}
	return f
}

// all are the events that are for the archive.
func (f *feed) all() (all []*accepted) {
	for _, e := range f.events {
		if e != nil {
			all = append(all, e)
		}
	}
	return all
}

// batch is a range of the log, as the client cuts it.
func (f *feed) batch(t *testing.T, d *archive.Destination, from, to uint64) *analytics.Batch {
	t.Helper()
	b := &analytics.Batch{Log: f.log, From: from, To: to}
	for seq := from; seq < to; seq++ {
		e := f.events[seq]
		if e == nil {
			continue
		}
		h := &analytics.Header{Type: analytics.CallTrack, MessageID: e.id, Log: f.log, Seq: seq, AcceptedAt: e.at, UserID: userOf(e.raw), Event: fmt.Sprintf("Step %d", seq%4)}
		it, err := d.TranslateRaw(h, e.raw)
		require.NoError(t, err)
		it.ID, it.Key = cmp.Or(it.ID, e.id), cmp.Or(it.Key, h.Key())
		b.Items = append(b.Items, it)
	}
	return b
}

func userOf(raw []byte) string {
	var e struct{ UserID string }
	if err := json.Unmarshal(raw, &e); err != nil {
		panic(err)
	}
	return e.UserID
}

// run delivers what the destination has not got, some events at a time, as a client does
// after a start. It ends at the first error.
func (f *feed) run(t *testing.T, d *archive.Destination, size, to uint64) error {
	t.Helper()
	next, ok, err := d.Position(t.Context(), f.log)
	if err != nil {
		return err
	}
	if !ok {
		next = 0
	}
	require.LessOrEqual(t, next, uint64(len(f.events)), "it stands behind the end of the log")
	for next < to {
		end := min(next+size, to)
		if err := d.Deliver(t.Context(), f.batch(t, d, next, end)); err != nil {
			return err
		}
		next = end
	}
	at, ok, err := d.Position(t.Context(), f.log)
	require.NoError(t, err)
	require.True(t, ok)
	require.GreaterOrEqual(t, at, to, "a batch was answered with nil, and is not counted")
	return nil
}

// opened opens a Destination; the test closes it.
func opened(t *testing.T, d *archive.Destination) *archive.Destination {
	t.Helper()
	require.NoError(t, d.Open(analytics.Env{}))
	t.Cleanup(func() { _ = d.Close(t.Context()) })
	return d
}

// quickDir is a folder in memory where the system has one: a disk that syncs thousands of
// small files takes minutes.
func quickDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "archive")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// copyDir keeps what a process that dies now leaves.
func copyDir(t *testing.T, dir string) string {
	t.Helper()
	to := quickDir(t)
	require.NoError(t, os.CopyFS(to, os.DirFS(dir)))
	return to
}
