package archive_test

import (
	"bytes"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// night is a time from which a feed goes over midnight.
var night = time.Date(2026, 11, 23, 23, 59, 59, 0, time.UTC)

// At each call of the bucket, and in each way: what fails there costs no event, and none
// is there twice, whether the process lives on or dies and leaves its folder.
func TestJudgeFailuresOfTheBucket(t *testing.T) {
	for compression, size := range map[archive.Compression]uint64{archive.Gzip: 5, archive.Zstd: 11} {
		t.Run(string(compression), func(t *testing.T) {
			t.Parallel()
			eachFailure(t, func(t *testing.T, at int, how failure) []string {
				return failingLife(t, compression, size, at, how)
			}, refuses, readsHalf, loses, diesBefore, diesBehind, breaksOff)
		})
	}
}

// failingLife writes two logs with a bucket that fails once. It rotates by size often.
func failingLife(t *testing.T, compression archive.Compression, size uint64, at int, how failure) []string {
	s := newShelf()
	door := s.door()
	door.at, door.how = at, how
	dir, left := quickDir(t), ""
	door.died = func() { left = copyDir(t, dir) }
	one, two := newFeed('a', 30, night, 50*time.Millisecond), newFeed('b', 15, night, 100*time.Millisecond)
	settings := func(b archive.Bucket, dir string) *archive.Destination {
		return &archive.Destination{Bucket: b, Dir: dir, Compression: compression, SourceOf: byUserPrefix, MaxBytes: 600}
	}
	d := settings(door, dir)
	live := func(d *archive.Destination) error {
		for _, step := range []func() error{
			func() error { return one.run(t, d, size, 12) },
			func() error { return two.run(t, d, size, 15) },
			func() error { return d.Rotate(t.Context()) },
			func() error { return one.run(t, d, size, 30) },
			func() error { return d.Close(t.Context()) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	}
	err := d.Open(analytics.Env{})
	if err == nil {
		err = live(d)
	}
	for range 3 { // a client tries again
		if err == nil || door.dead {
			break
		}
		if again := d.Open(analytics.Env{}); again != nil {
			_ = d.Close(t.Context()) // it was open; as after a restart
			d = settings(door, dir)
			require.NoError(t, d.Open(analytics.Env{}))
		}
		err = live(d)
	}
	if door.dead {
		t.Cleanup(func() { _ = d.Close(context.Background()) })
		d = settings(s, left)
		require.NoError(t, d.Open(analytics.Env{}))
		err = live(d)
	}
	require.NoError(t, err)
	requireArchived(t, s, shape{compression: compression}, append(one.all(), two.all()...))
	require.Empty(t, s.changed, "finished files never change")
	requireVerified(t, s, "", len(one.all())+len(two.all()))
	return door.calls
}

// A process that dies after any number of batches, finished files or not, and a client
// that sends again what it had sent, cut otherwise.
func TestJudgeRestartAtEachBatch(t *testing.T) {
	for _, maxBytes := range []int64{1, 500, 1 << 30} {
		for dies := uint64(1); dies <= 40; dies += 3 {
			s := newShelf()
			f := newFeed('c', 40, night, 40*time.Millisecond)
			dir := quickDir(t)
			door := s.door()
			d := opened(t, &archive.Destination{Bucket: door, Dir: dir, SourceOf: byUserPrefix, MaxBytes: maxBytes})
			require.NoError(t, f.run(t, d, 3, dies))
			left := copyDir(t, dir)
			door.dead = true

			again := &archive.Destination{Bucket: s, Dir: left, SourceOf: byUserPrefix, MaxBytes: maxBytes}
			require.NoError(t, again.Open(analytics.Env{}))
			at, ok, err := again.Position(t.Context(), f.log)
			require.NoError(t, err)
			require.True(t, ok)
			require.GreaterOrEqual(t, at, dies, "what was promised is forgotten")
			for from := uint64(0); from < dies; from += 4 { // the answers were lost
				require.NoError(t, again.Deliver(t.Context(), f.batch(t, again, from, min(from+7, 40))))
			}
			require.NoError(t, f.run(t, again, 6, 40))
			require.NoError(t, again.Close(t.Context()))
			requireArchived(t, s, shape{compression: archive.Gzip}, f.all())
			require.Empty(t, s.changed)
		}
	}
}

// The same position is reached by batches without events.
func TestJudgeEmptyBatchesMoveThePosition(t *testing.T) {
	s := newShelf()
	f := &feed{log: analytics.LogID{'e'}, events: make([]*accepted, 30)}
	dir := quickDir(t)
	d := &archive.Destination{Bucket: s, Dir: dir}
	require.NoError(t, d.Open(analytics.Env{}))
	_, ok, err := d.Position(t.Context(), f.log)
	require.NoError(t, err)
	require.False(t, ok, "the log is new")
	require.NoError(t, f.run(t, d, 10, 30))
	require.NoError(t, d.Close(t.Context()))
	require.Empty(t, s.keys(""))

	d = &archive.Destination{Bucket: s, Dir: dir}
	require.NoError(t, d.Open(analytics.Env{}))
	at, ok, err := d.Position(t.Context(), f.log)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 30, at)
	require.NoError(t, d.Close(t.Context()))
}

func TestJudgeADirHasOneOwner(t *testing.T) {
	s, dir := newShelf(), quickDir(t)
	d := &archive.Destination{Bucket: s, Dir: dir}
	require.NoError(t, d.Open(analytics.Env{}))
	other := &archive.Destination{Bucket: s, Dir: dir}
	require.Error(t, other.Open(analytics.Env{}))
	require.NoError(t, d.Close(t.Context()))
	other = &archive.Destination{Bucket: s, Dir: dir}
	require.NoError(t, other.Open(analytics.Env{}))
	require.NoError(t, other.Close(t.Context()))
}

// Each process without a spool has a log of its own, and leaves its position behind. The
// folder of parts does not fill up with them, and those of the last logs are kept.
func TestJudgeManyLogs(t *testing.T) {
	s, dir := newShelf(), quickDir(t)
	var all []*accepted
	var last *feed
	for i := range 250 {
		d := &archive.Destination{Bucket: s, Dir: dir, SourceOf: byUserPrefix}
		require.NoError(t, d.Open(analytics.Env{}), "opening %d", i)
		f := newFeed('m', 4, night.Add(-time.Hour), time.Millisecond)
		f.log[1], f.log[2] = byte(i), byte(i>>8)
		for _, e := range f.all() {
			e.id, e.log = fmt.Sprintf("%d-%s", i, e.id), f.log.String()
			e.raw = bytes.Replace(e.raw, []byte(`"messageId":"`), fmt.Appendf(nil, `"messageId":"%d-`, i), 1)
		}
		require.NoError(t, f.run(t, d, 2, 4))
		if last != nil {
			at, ok, err := d.Position(t.Context(), last.log)
			require.NoError(t, err)
			require.True(t, ok, "the log before is forgotten")
			require.EqualValues(t, 4, at)
		}
		require.NoError(t, d.Close(t.Context()))
		last, all = f, append(all, f.all()...)
	}
	requireArchived(t, s, shape{compression: archive.Gzip}, all)
	total := int64(0)
	for _, size := range sizes(t, dir) {
		total += size
	}
	require.Less(t, total, int64(256<<10))
}
