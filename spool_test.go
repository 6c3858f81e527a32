package analytics_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
)

// spooled is a client over a spool in dir.
func spooled(t *testing.T, dir string, cfg analytics.Config) *analytics.Client {
	t.Helper()
	cfg.Spool.Dir, cfg.Spool.MinFree = dir, -1
	client, err := analytics.New(cfg)
	require.NoError(t, err)
	return client
}

func TestSpoolConfig(t *testing.T) {
	d := []analytics.Destination{newDouble("acme")}
	for field, s := range map[string]analytics.Spool{
		"Spool.Dir":       {ID: "x"},
		"Spool.Sync":      {Dir: t.TempDir(), Sync: 9},
		"Spool.SyncEvery": {Dir: t.TempDir(), SyncEvery: -1},
		"Spool.MaxBytes":  {Dir: t.TempDir(), MaxBytes: 1000},
	} {
		_, err := analytics.New(analytics.Config{Destinations: d, Spool: s})
		require.ErrorContains(t, err, field)
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := analytics.New(analytics.Config{Destinations: d, Spool: analytics.Spool{Dir: filepath.Join(file, "dir")}})
	require.ErrorContains(t, err, "Spool.Dir")
	_, err = analytics.New(analytics.Config{Destinations: d, Spool: analytics.Spool{Dir: t.TempDir(), RingDir: filepath.Join(file, "dir")}})
	require.ErrorContains(t, err, "Spool.RingDir")
}

// What a client has accepted and could not deliver, the next one does, with the same
// messageIds, in the same order, and counts it.
func TestSpoolOutlivesTheClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		down := newDouble("acme")
		down.deliver = func(context.Context, *analytics.Batch) error { return errCause }
		client := spooled(t, dir, analytics.Config{Destinations: []analytics.Destination{down}})
		for _, id := range []string{"m0", "m1", "m2"} {
			track(t, client, "u", id)
		}
		var pending *analytics.PendingError
		require.ErrorAs(t, client.Close(in(t, 5*time.Millisecond)), &pending)
		require.Equal(t, 3, pending.Destinations["acme"].Events)

		d := newDouble("acme")
		client = spooled(t, dir, analytics.Config{Destinations: []analytics.Destination{d}})
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.Equal(t, []string{"m0", "m1", "m2"}, idsOf(d))
		s := client.Stats().Destinations["acme"]
		require.EqualValues(t, 3, s.Accepted)
		require.EqualValues(t, 3, s.Delivered)
		require.Zero(t, client.Stats().Accepted)
	})
}

// idsOf are the ids of what a destination was sent, in order.
func idsOf(d *double) (ids []string) {
	for _, s := range d.calls() {
		ids = append(ids, s.ids...)
	}
	return ids
}

// What a process has left is delivered by another one that lives, within a minute, and
// counted there; then its slot is free for the next.
func TestSpoolIsAdopted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		dead := newDouble("acme")
		dead.deliver = func(context.Context, *analytics.Batch) error { return errCause }
		first := spooled(t, dir, analytics.Config{Destinations: []analytics.Destination{dead}})
		d := newDouble("acme")
		second := spooled(t, dir, analytics.Config{Destinations: []analytics.Destination{d}})
		require.NotEqual(t, first.Stats().Spool.Slot, second.Stats().Spool.Slot)
		for _, id := range []string{"m0", "m1", "m2"} {
			track(t, first, "u", id)
		}
		track(t, second, "u", "own")
		require.Error(t, first.Close(in(t, time.Second)))
		time.Sleep(time.Minute)
		require.ElementsMatch(t, []string{"own", "m0", "m1", "m2"}, idsOf(d))
		s := second.Stats()
		require.EqualValues(t, 1, s.Accepted)
		require.EqualValues(t, 4, s.Destinations["acme"].Accepted)
		require.EqualValues(t, 4, s.Destinations["acme"].Delivered)
		balanced(t, second)
		time.Sleep(time.Minute)
		require.Zero(t, second.Stats().Spool.Adopted, "it is used up")
		require.EqualValues(t, 4, second.Stats().Destinations["acme"].Accepted, "and its figures stay")
		balanced(t, second)
		third := spooled(t, dir, analytics.Config{Destinations: []analytics.Destination{newDouble("acme")}})
		require.Equal(t, first.Stats().Spool.Slot, third.Stats().Spool.Slot)
		require.NoError(t, third.Close(in(t, time.Minute)))
		require.NoError(t, second.Close(in(t, time.Minute)))
	})
}

// Only a client with related destinations, or with the same ID, delivers what another
// has left.
func TestSpoolBelongsToSomebody(t *testing.T) {
	acme, emca, renamed := newDouble("acme"), newDouble("emca"), newDouble("acme")
	renamed.desc.Aliases = []string{"older"}
	for name, row := range map[string]struct {
		id, other     string
		before, after []analytics.Destination
		adopts        bool
	}{
		"the same":        {before: []analytics.Destination{acme}, after: []analytics.Destination{newDouble("acme")}, adopts: true},
		"one more":        {before: []analytics.Destination{acme}, after: []analytics.Destination{newDouble("acme"), emca}, adopts: true},
		"one less":        {before: []analytics.Destination{acme, emca}, after: []analytics.Destination{newDouble("acme")}, adopts: true},
		"one in common":   {before: []analytics.Destination{acme, emca}, after: []analytics.Destination{newDouble("acme"), newDouble("more")}, adopts: true},
		"a new name":      {before: []analytics.Destination{newDouble("older")}, after: []analytics.Destination{renamed}, adopts: true},
		"others":          {before: []analytics.Destination{acme}, after: []analytics.Destination{newDouble("acme two")}},
		"the same ID":     {id: "a", other: "a", before: []analytics.Destination{acme}, after: []analytics.Destination{newDouble("acme")}, adopts: true},
		"another ID":      {id: "a", other: "b", before: []analytics.Destination{acme}, after: []analytics.Destination{newDouble("acme")}},
		"an ID and none":  {id: "a", before: []analytics.Destination{acme}, after: []analytics.Destination{newDouble("acme")}},
		"other endpoints": {before: []analytics.Destination{acme, &analytics.Cloud{WriteKey: "k", Endpoint: "https://a.example"}}, after: []analytics.Destination{newDouble("acme"), &analytics.Cloud{WriteKey: "k", Endpoint: "https://b.example"}}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cfg := analytics.Config{Destinations: row.before, HTTPClient: offline}
			cfg.Spool.ID = row.id
			first := spooled(t, dir, cfg)
			track(t, first, "u", "m")
			require.Error(t, first.Close(in(t, 0)))
			cfg.Destinations, cfg.Spool.ID = row.after, row.other
			second := spooled(t, dir, cfg)
			defer second.Close(in(t, 0))
			if row.adopts {
				require.Equal(t, first.Stats().Spool.Slot, second.Stats().Spool.Slot)
				require.EqualValues(t, 1, second.Stats().Destinations["acme"].Accepted)
			} else {
				require.NotEqual(t, first.Stats().Spool.Slot, second.Stats().Spool.Slot)
			}
		})
	}
}

// offline is a network that is down.
var offline = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { return nil, errCause })}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A destination that was added gets what comes from then on; one that was removed and
// comes back goes on where it stood; one under a new name has the cursor of its alias.
func TestSpoolDestinationsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		session := func(id string, destinations ...*double) {
			cfg := analytics.Config{}
			for _, d := range destinations {
				cfg.Destinations = append(cfg.Destinations, d)
			}
			client := spooled(t, dir, cfg)
			track(t, client, "u", id)
			_ = client.Close(in(t, time.Second))
			balanced(t, client)
		}
		down := func(name string) *double {
			d := newDouble(name)
			d.deliver = func(context.Context, *analytics.Batch) error { return errCause }
			return d
		}
		a := newDouble("a")
		session("m0", a, down("b"))
		session("m1", a)
		c := newDouble("c")
		session("m2", a, c)
		require.Equal(t, []string{"m0", "m1", "m2"}, idsOf(a))
		require.Equal(t, []string{"m2"}, idsOf(c))
		b := newDouble("new b")
		b.desc.Aliases = []string{"older b", "b"}
		session("m3", a, b)
		require.Equal(t, []string{"m0", "m1", "m2", "m3"}, idsOf(b), "its cursor held them")
		b = newDouble("new b")
		session("m4", a, b)
		require.Equal(t, []string{"m4"}, idsOf(b), "the cursor has the new name")
	})
}

func TestSpoolKeepsDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := newDouble("ac/me")
		d.deliver = func(context.Context, *analytics.Batch) error { return analytics.Permanent(errCause) }
		client := spooled(t, dir, analytics.Config{Destinations: []analytics.Destination{d, newDouble("other")}})
		track(t, client, "u", "m0")
		track(t, client, "u", "m1")
		require.NoError(t, client.Flush(in(t, time.Minute)))
		require.EqualValues(t, 2, client.Stats().Destinations["ac/me"].Dropped[analytics.ReasonRejected])
		files, err := filepath.Glob(filepath.Join(client.Stats().Spool.Slot, "dlq", "*"))
		require.NoError(t, err)
		require.Len(t, files, 1)
		info, err := os.Stat(files[0])
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

		_, err = client.ReplayDeadLetters(t.Context(), "nobody")
		require.ErrorContains(t, err, "none of this client")
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		n, err := client.ReplayDeadLetters(gone, "ac/me")
		require.ErrorIs(t, err, context.Canceled)
		require.Zero(t, n)
		d.deliver = func(context.Context, *analytics.Batch) error { return nil }
		n, err = client.ReplayDeadLetters(t.Context(), "ac/me")
		require.NoError(t, err)
		require.Equal(t, 2, n)
		require.NoError(t, client.Flush(in(t, time.Minute)))
		require.EqualValues(t, 2, client.Stats().Destinations["ac/me"].Delivered)
		n, err = client.ReplayDeadLetters(t.Context(), "ac/me")
		require.NoError(t, err)
		require.Zero(t, n)
		require.NoError(t, client.Close(in(t, time.Minute)))
	})
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{newDouble("acme")}})
	require.NoError(t, err)
	_, err = client.ReplayDeadLetters(t.Context(), "acme")
	require.Error(t, err)
	require.NoError(t, client.Close(in(t, time.Minute)))
}

func TestSync(t *testing.T) {
	client, err := analytics.New(analytics.Config{Destinations: []analytics.Destination{newDouble("acme")}})
	require.NoError(t, err)
	require.ErrorIs(t, client.Sync(t.Context()), analytics.ErrNotDurable, "in memory, nothing is")
	require.NoError(t, client.Close(in(t, time.Minute)))
	for _, mode := range []analytics.SyncMode{analytics.Interval, analytics.Always, analytics.Never} {
		client := spooled(t, t.TempDir(), analytics.Config{Destinations: []analytics.Destination{newDouble("acme")}, Spool: analytics.Spool{Sync: mode}})
		var wg sync.WaitGroup
		for range 16 {
			wg.Go(func() {
				for range 10 {
					require.NoError(t, client.Track(t.Context(), analytics.Track{UserID: "u", Event: "E"}))
					require.NoError(t, client.Sync(t.Context()))
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 160, client.Stats().Accepted)
		require.NoError(t, client.Close(in(t, time.Minute)))
		require.ErrorIs(t, client.Sync(t.Context()), analytics.ErrNotDurable)
	}
}

// Somebody removes the directory below a client that cannot deliver: nothing is lost,
// and once the client has noticed, what it accepts survives it again.
func TestSpoolDirectoryIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := newDouble("acme")
		down := true
		d.deliver = func(context.Context, *analytics.Batch) error {
			if down {
				return errCause
			}
			return nil
		}
		client := spooled(t, dir, analytics.Config{Destinations: []analytics.Destination{d}, Logger: quiet, FlushInterval: -1})
		track(t, client, "u", "m0")
		time.Sleep(time.Second)
		require.NoError(t, os.RemoveAll(dir))
		track(t, client, "u", "m1")
		time.Sleep(15 * time.Second)
		track(t, client, "u", "m2")
		time.Sleep(time.Second)
		require.ErrorIs(t, client.Sync(t.Context()), analytics.ErrNotDurable, "m0 is in a file without a name")
		require.NoError(t, os.RemoveAll(filepath.Join(dir, "p-0", "seg")))
		for range 30 {
			track(t, client, "u", "more")
			time.Sleep(time.Second)
		}
		down = false
		require.NoError(t, client.Flush(in(t, time.Hour)))
		require.Subset(t, idsOf(d), []string{"m0", "m1", "m2"})
		require.NoError(t, client.Sync(t.Context()))
		down = true
		track(t, client, "u", "last")
		require.Error(t, client.Close(in(t, time.Second)))

		next := newDouble("acme")
		client = spooled(t, dir, analytics.Config{Destinations: []analytics.Destination{next}})
		require.NoError(t, client.Close(in(t, time.Hour)))
		require.Equal(t, []string{"last"}, idsOf(next))
	})
}
