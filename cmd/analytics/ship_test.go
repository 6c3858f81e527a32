package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/warehouse"
	"github.com/tributary-dev/analytics/warehouse/sqlite"
)

// idsIn are the keys of a table of SQLite.
func idsIn(t *testing.T, file, schema, table string) (ids []string) {
	t.Helper()
	s := &sqlite.Store{Path: file}
	require.NoError(t, s.Open(t.Context()))
	defer s.Close()
	tx, err := s.Begin(t.Context(), schema)
	require.NoError(t, err)
	defer tx.Rollback() //nolint:errcheck // it only reads
	require.NoError(t, tx.Read(t.Context(), schema, table, []string{"id"}, warehouse.Query{}, func(v []warehouse.Value) error {
		ids = append(ids, strings.Clone(v[0].S))
		return nil
	}))
	return ids
}

func TestWarehouseSync(t *testing.T) {
	dir := stored(t, visits()...)
	store(t, dir, "blog", analytics.Event{Type: analytics.CallTrack, MessageID: "b1", UserID: "u9", Event: "Post Read", Timestamp: time.Now()})
	file := filepath.Join(t.TempDir(), "shop.db")
	sync := []string{"warehouse", "sync", "--archive", dir, "--archive-source", "shop", "--store", "sqlite:" + file, "--source", "shop", "--json"}

	out := jsonOf[shipmentJSON](t, analyze(t, sync...).stdout)
	require.False(t, out.Sent)
	require.EqualValues(t, 5, out.Events)
	require.EqualValues(t, 2, out.Files)
	require.True(t, out.Exact)
	require.NoFileExists(t, file)

	for range 2 { // the second time all of it is there already
		r := analyze(t, append(sync, "--yes")...)
		require.Equal(t, exitFine, r.code, r.stdout+r.stderr)
		out = jsonOf[shipmentJSON](t, r.stdout)
		require.True(t, out.Sent)
		require.EqualValues(t, 5, out.Accepted)
		require.EqualValues(t, 5, out.Delivered)
		require.Equal(t, []string{"v1", "v2", "v5"}, idsIn(t, file, "shop", "tracks"))
		require.Equal(t, []string{"v1", "v5"}, idsIn(t, file, "shop", "order_paid"))
		require.Equal(t, []string{"v4"}, idsIn(t, file, "shop", "pages"))
		require.Equal(t, []string{"u1"}, idsIn(t, file, "shop", "users"))
	}
	status := jsonOf[statusJSON](t, analyze(t, "warehouse", "status", "--store", "sqlite:"+file, "--source", "shop", "--json").stdout)
	require.GreaterOrEqual(t, status.Total.Success, 2)
	require.EqualValues(t, 10, status.Total.Rows, "of events 8, and one user each time")
	require.Len(t, status.Positions, 2)

	t.Setenv("ANALYTICS_WAREHOUSE", "sqlite:"+file)
	plain := analyze(t, "archive", "replay", dir, "--to", "warehouse", "--warehouse-source", "shop", "--source", "blog", "--yes")
	require.Equal(t, exitFine, plain.code, plain.stderr)
	require.Regexp(t, `^replayed 1 event from 1 file \([0-9]+ B\) to sqlite:.*shop\.db, source shop: 1 delivered\n$`, plain.stdout)
	require.Equal(t, []string{"b1"}, idsIn(t, file, "shop", "post_read"))
}

// shipped runs archive replay against a server.
func shipped(t *testing.T, transport http.RoundTripper, args ...string) (shipmentJSON, result) {
	t.Helper()
	r := analyzeOver(t, transport, append([]string{"archive", "replay", "--json", "--to", "cloud", "--endpoint", "http://segment.test"}, args...)...)
	require.NotContains(t, r.stdout+r.stderr, secret)
	if r.stdout == "" {
		return shipmentJSON{}, r
	}
	return jsonOf[shipmentJSON](t, r.stdout), r
}

func TestArchiveReplayToTheCloud(t *testing.T) {
	t.Setenv("SEGMENT_WRITE_KEY", secret)
	dir := stored(t, visits()...)
	before := tree(t, dir)
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{WriteKeys: []string{secret}})

	out, r := shipped(t, srv.Transport(), dir)
	require.Equal(t, exitFine, r.code)
	require.EqualValues(t, 5, out.Events)
	require.Zero(t, srv.Requests(), "nothing is sent without --yes")

	out, r = shipped(t, srv.Transport(), dir, "--yes")
	require.Equal(t, exitFine, r.code, r.stderr)
	require.EqualValues(t, 5, out.Delivered)
	require.Equal(t, 5, srv.Unique())
	require.Equal(t, before, tree(t, dir), "the archive is as it was")

	srv.Reset()
	out, _ = shipped(t, srv.Transport(), dir, "--yes", "--event", "Order Paid", "--user", "u2")
	require.EqualValues(t, 1, out.Accepted)
	require.False(t, out.Exact)
	require.Equal(t, 1, srv.Copies("v5"))
	require.Equal(t, 1, srv.Unique())
}

func TestArchiveReplayThatIsRefused(t *testing.T) {
	t.Setenv("SEGMENT_WRITE_KEY", secret)
	dir := stored(t, visits()...)
	srv := analyticstest.NewServer()
	srv.Script(analyticstest.Reply{Status: 400, Times: 1 << 30})
	out, r := shipped(t, srv.Transport(), dir, "--yes")
	require.Equal(t, exitFault, r.code)
	require.Equal(t, map[string]int{"rejected": 5}, out.Dropped)
	require.Contains(t, r.stderr, "v1: rejected")

	srv = analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{WriteKeys: []string{"another"}})
	out, r = shipped(t, srv.Transport(), dir, "--yes")
	require.Equal(t, exitFault, r.code)
	require.Equal(t, errUnauthorized.Error(), out.Error)

	srv = analyticstest.NewServer()
	srv.Script(analyticstest.Reply{Status: 503, Times: 1 << 30})
	out, r = shipped(t, srv.Transport(), dir, "--yes", "--timeout", "50ms")
	require.Equal(t, exitFault, r.code)
	require.Equal(t, "not finished within 50ms", out.Error)

	_, r = shipped(t, srv.Transport(), dir, "--yes", "--region", "mars")
	require.Equal(t, exitUsage, r.code)
}

// A warehouse that is out of reach is told at once, and why.
func TestSyncWithoutADatabase(t *testing.T) {
	dir := stored(t, visits()...)
	r := analyze(t, "warehouse", "sync", "--archive", dir, "--store", "postgres://loader@127.0.0.1:1/shop?sslmode=disable", "--yes")
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stderr, "connection refused")
	require.Empty(t, r.stdout)

	file := filepath.Join(t.TempDir(), "shop.db")
	require.NoError(t, os.WriteFile(file, bytes.Repeat([]byte("no database "), 1000), 0o600))
	r = analyze(t, "warehouse", "sync", "--archive", dir, "--store", "sqlite:"+file, "--yes")
	require.Equal(t, exitFault, r.code)
	require.Contains(t, r.stderr, "sqlite: begin: ")
}

// What goes wrong later is told while it is tried again.
func TestSyncThatFailsLater(t *testing.T) {
	dir := stored(t, visits()...)
	a, err := archiveIn(dir, "")
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "shop.db")
	var stdout, stderr bytes.Buffer
	c := &command{ctx: t.Context(), stdout: &stdout, stderr: &stderr, now: time.Now}
	db := database{store: broken{&sqlite.Store{Path: file}}, name: "sqlite:" + file, file: file}
	s := shipment{
		c: c, archive: a, whole: true, sending: sending{Yes: true, Timeout: time.Minute}, to: db.target("shop"), verb: "load", past: "loaded",
	}
	require.ErrorIs(t, s.run(dir, ""), errTold)
	require.Contains(t, stderr.String(), `a load has failed and is tried again: warehouse: no \x1b[2J permission`)
	require.Contains(t, stdout.String(), "ended early: "+errWarehouseRefuses.Error()+"\nthe same command begins again")
}

// stopper ends a run of the command once so many requests got through.
type stopper struct {
	http.RoundTripper
	stop  context.CancelFunc
	file  string // a run ends when it is there
	ended atomic.Bool
}

func (s *stopper) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, err := os.Stat(s.file); err == nil {
		s.ended.Store(true)
		s.stop()
		return nil, errors.New("the run has ended")
	}
	return s.RoundTripper.RoundTrip(r)
}

// many are more events than lie between two checkpoints.
func many(n int) (all []analytics.Message) {
	at := time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)
	for i := range n {
		at := at.Add(time.Duration(i) * time.Second)
		all = append(all, analytics.Event{Type: analytics.CallTrack, MessageID: fmt.Sprintf("n%d", i), UserID: "u", Event: "E", Timestamp: at, ReceivedAt: at})
	}
	return all
}

func TestReplayGoesOn(t *testing.T) {
	t.Setenv("SEGMENT_WRITE_KEY", secret)
	const n = 12_000
	dir := stored(t, many(n)...)
	state := filepath.Join(t.TempDir(), "state.json")
	srv := analyticstest.NewServer()
	args := []string{"--json", "archive", "replay", dir, "--to", "cloud", "--endpoint", "http://segment.test", "--yes", "--state", state}

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var stdout, stderr bytes.Buffer
	stop := &stopper{RoundTripper: srv.Transport(), stop: cancel, file: state}
	c := command{ctx: ctx, stdout: &stdout, stderr: &stderr, now: time.Now, transport: stop}
	require.Equal(t, exitFault, c.run(args), stderr.String())
	require.True(t, stop.ended.Load())
	out := jsonOf[shipmentJSON](t, stdout.String())
	require.Equal(t, errInterrupted.Error(), out.Error)
	first := srv.Unique()
	require.Less(t, first, n)
	require.FileExists(t, state)

	r := analyzeOver(t, srv.Transport(), args...)
	require.Equal(t, exitFine, r.code, r.stdout+r.stderr)
	out = jsonOf[shipmentJSON](t, r.stdout)
	require.Positive(t, out.Before)
	require.EqualValues(t, n-out.Before, out.Delivered, "what is done is not sent again")
	require.Equal(t, n, srv.Unique())
	require.NoFileExists(t, state, "it is removed at the end")

	of := shipmentID(dir, "", archive.Query{}, "target")
	require.NoError(t, (&checkpoint{file: state, of: of, key: secret}).save(archive.Checkpoint{Key: "k"}))
	for key, fine := range map[string]bool{secret: true, "": true, "another": false} { // none: nothing is sent
		err := (&checkpoint{file: state, of: of, key: key}).load()
		require.Equal(t, fine, err == nil, err)
	}
	raw, err := os.ReadFile(state)
	require.NoError(t, err)
	require.NotContains(t, string(raw), secret)
}

func TestStateOfAnother(t *testing.T) {
	dir := stored(t, visits()...)
	folder := t.TempDir()
	state, db := filepath.Join(folder, "state"), "sqlite:"+filepath.Join(folder, "shop.db")
	sync := []string{"warehouse", "sync", "--archive", dir, "--store", db, "--state", state}
	to, err := warehouseTarget(db, "")
	require.NoError(t, err)
	file := filesOf(t, dir)[0]
	key, err := filepath.Rel(dir, file)
	require.NoError(t, err)
	body, err := os.ReadFile(file)
	require.NoError(t, err)
	mark := checkpoint{file: state, of: shipmentID(dir, "", archive.Query{}, to.name)}
	at := archive.Checkpoint{
		Key: filepath.ToSlash(key), FirstReceived: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
		SHA256: fmt.Sprintf("%x", sha256.Sum256(body)), Line: 2,
	}
	require.NoError(t, mark.save(at))

	r := analyze(t, sync...)
	require.Equal(t, exitFine, r.code, r.stderr)
	require.Contains(t, r.stdout, "an earlier run has dealt with 2 of them\n")
	require.Equal(t, exitUsage, analyze(t, append(sync, "--user", "u1")...).code)
	require.Equal(t, exitUsage, analyze(t, append(sync, "--source", "shop")...).code)

	r = analyze(t, append(sync, "--yes")...)
	require.Equal(t, exitFine, r.code, r.stderr)
	require.Contains(t, r.stdout, "loaded 3 events")
	require.Equal(t, []string{"v5"}, idsIn(t, filepath.Join(folder, "shop.db"), "main", "tracks"))

	for _, broken := range []string{"", "{", `{"version":2}`, `{"version":1,"of":"x"}`} {
		require.NoError(t, os.WriteFile(state, []byte(broken), 0o600))
		require.Equal(t, exitUsage, analyze(t, sync...).code, broken)
	}
}
