package archive_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/archive"
)

// noise is a property that does not compress.
func noise(random *rand.Rand, size int) string {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte('!' + random.IntN(90))
	}
	return string(b)
}

func TestJudgeRotationBySize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		random := rand.New(rand.NewPCG(1, 2))
		d := &archive.Destination{Bucket: s, MaxBytes: 200 << 10}
		tap := archived(t, analytics.Config{}, d, func(c *analytics.Client) {
			for i := range 1000 {
				require.NoError(t, c.Track(t.Context(), analytics.Track{UserID: "u", Event: "E", Properties: analytics.Properties{"x": noise(random, 2000)}}))
				if i%10 == 9 {
					require.NoError(t, c.Flush(t.Context()))
				}
			}
		})
		requireArchived(t, s, shape{compression: archive.Gzip}, tap.events)
		files := s.data()
		require.Greater(t, len(files), 5)
		small := 0
		for _, key := range files {
			size := len(s.files[key])
			require.Less(t, size, 200<<10+10*4000, "larger by more than a batch")
			if size < 200<<10 {
				small++
			}
		}
		require.LessOrEqual(t, small, 1, "only the last file is smaller than MaxBytes")
	})
}

func TestJudgeRotationByAge(t *testing.T) {
	for _, age := range []time.Duration{0, 10 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s, dir := newShelf(), quickDir(t)
			limit := age
			if limit == 0 {
				limit = time.Hour
			}
			time.Sleep(2 * time.Hour)
			client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{&archive.Destination{Bucket: s, Dir: dir, MaxAge: age, Every: time.Minute}}})
			require.NoError(t, err)
			leftAlone(t, client)
			track := func() {
				require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
			}
			track()
			time.Sleep(61 * time.Second) // it is read
			require.Empty(t, s.data())
			time.Sleep(limit / 2)
			track()
			time.Sleep(limit/2 - 3*time.Minute)
			require.Empty(t, s.data(), "before its time")
			time.Sleep(6 * time.Minute)
			require.Len(t, s.data(), 1, "no event comes any more, and the file is old")
			require.Len(t, read(t, s, "", archive.Query{}), 2)
			time.Sleep(5 * limit)
			require.Len(t, s.data(), 1, "nothing came")
			track()
			time.Sleep(time.Minute + limit + 5*time.Minute)
			require.Len(t, s.data(), 2)
			require.NoError(t, client.Close(t.Context()))
			requireVerified(t, s, "", 3)
		})
	}
}

// A part that an earlier process has left is finished by age as well, although nothing
// comes any more.
func TestJudgeRotationByAgeAfterADeath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		dir := quickDir(t)
		f := newFeed('r', 20, time.Now(), 0)
		d := &archive.Destination{Bucket: s, Dir: dir, SourceOf: byUserPrefix}
		require.NoError(t, d.Open(analytics.Env{}))
		require.NoError(t, f.run(t, d, 10, 20))
		left := copyDir(t, dir)
		require.NoError(t, d.Close(t.Context()))
		s = newShelf()
		d = &archive.Destination{Bucket: s, Dir: left, SourceOf: byUserPrefix}
		require.NoError(t, d.Open(analytics.Env{}))
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		requireArchived(t, s, shape{compression: archive.Gzip}, f.all())
		require.NoError(t, d.Close(t.Context()))
	})
}

// A bucket that is down when a file is old gets it when it is up again.
func TestJudgeRotationByAgeTriesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		door := s.door()
		door.dead = true
		f := newFeed('x', 20, time.Now(), 0)
		d := &archive.Destination{Bucket: door, Dir: quickDir(t), SourceOf: byUserPrefix}
		require.NoError(t, d.Open(analytics.Env{}))
		require.NoError(t, f.run(t, d, 10, 20), "parts are local: events are promised while the bucket is down")
		time.Sleep(5 * time.Hour)
		require.Empty(t, s.data())
		door.gate.Lock()
		door.dead = false
		door.gate.Unlock()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		requireArchived(t, s, shape{compression: archive.Gzip}, f.all())
		require.NoError(t, d.Close(t.Context()))
		require.NoError(t, d.Close(t.Context()), "closing twice")
	})
}

func TestJudgeRotateAndClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newShelf()
		d := &archive.Destination{Bucket: s, Dir: quickDir(t), Every: time.Hour}
		tap := newTap(home)
		client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{d, tap}})
		require.NoError(t, err)
		leftAlone(t, client)
		for i := range 3 {
			require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: fmt.Sprint("E", i)}))
			require.NoError(t, client.Flush(t.Context()))
			require.Len(t, s.data(), i, "Flush delivers into the part and finishes nothing")
			require.NoError(t, d.Rotate(t.Context()))
			require.Len(t, s.data(), i+1)
			require.Len(t, read(t, s, "", archive.Query{}), i+1)
			require.NoError(t, d.Rotate(t.Context()), "with nothing to do")
			require.Len(t, s.data(), i+1)
		}
		require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "last"}))
		require.NoError(t, client.Close(t.Context()))
		requireArchived(t, s, shape{compression: archive.Gzip}, tap.events)
		require.Len(t, s.data(), 4)
	})
}

// Rotate may be called beside deliveries.
func TestJudgeRotateBesideDeliveries(t *testing.T) {
	s := newShelf()
	d := &archive.Destination{Bucket: s, Every: time.Millisecond}
	tap := archived(t, analytics.Config{}, d, func(c *analytics.Client) {
		done := make(chan error, 1)
		go func() {
			var err error
			for i := 0; i < 50 && err == nil; i++ {
				err = d.Rotate(t.Context())
			}
			done <- err
		}()
		for i := range 2000 {
			require.NoError(t, c.Track(t.Context(), analytics.Track{UserID: "u", Event: fmt.Sprint(i % 10)}))
		}
		require.NoError(t, <-done)
	})
	if !strings.HasPrefix(s.data()[0], "segment-logs/default/") {
		t.Fatal(s.data()[0])
	}
	for _, e := range tap.events {
		e.source = "default"
	}
	requireArchived(t, s, shape{compression: archive.Gzip}, tap.events)
	require.Empty(t, s.changed)
}
