package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics"
	"github.com/tributary-dev/analytics/analyticstest"
)

const secret = "the-write-key"

// letter is a dead letter with an event that can be replayed, unless it is damaged.
func letter(id, destination string, reason analytics.Reason) analytics.DeadLetter {
	l := analytics.DeadLetter{
		Time: time.Date(2026, 1, 2, 3, 4, 5, 6e6, time.UTC), Destination: destination, Reason: reason, Attempts: 3,
		Error: "400 \x1b[2J\"no\" \u202e", MessageID: id,
	}
	l.Event = []byte(`{"type":"track","messageId":"` + id + `","timestamp":"2026-01-02T03:04:05.000Z","userId":"u","event":"E"}`)
	return l
}

// deadLetters makes the files of two slots, one of them rotated.
func deadLetters(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	write := func(name string, letters ...analytics.DeadLetter) {
		name = filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o700))
		f := analytics.DeadLetterFile{Path: name}
		for _, l := range letters {
			require.NoError(t, f.Write(l))
		}
		require.NoError(t, f.Close())
	}
	broken := letter("m4", "Segment.io", analytics.ReasonCorrupt)
	broken.Event = []byte("\xff no event")
	write("p-0/dlq/Segment%2Eio.ndjson.1", letter("m1", "Segment.io", analytics.ReasonExpired))
	write("p-0/dlq/Segment%2Eio.ndjson", letter("m2", "Segment.io", analytics.ReasonRejected), letter("m3", "Segment.io", analytics.ReasonExpired))
	write("p-1/dlq/Segment%2Eio.ndjson.replay", broken)
	write("p-1/dlq/Acme.ndjson", letter("m5", "Acme \x07", analytics.ReasonRejected))
	edit(t, filepath.Join(dir, "p-1", "dlq", "Acme.ndjson"), func(b []byte) []byte { return append(b, "{\"half"...) })
	return dir
}

func TestDeadLetters(t *testing.T) {
	dir := deadLetters(t)
	segment := filepath.Join(dir, "p-0", "dlq", "Segment%2Eio.ndjson")
	golden(t, dir, "letters",
		[]string{"deadletter", "ls", dir},
		[]string{"deadletter", "ls", "--json", dir},
		[]string{"deadletter", "ls", segment, "--reason", "expired"},
		[]string{"deadletter", "ls", segment + ".1"},
		[]string{"deadletter", "ls", dir, "--destination", "Segment.io", "--limit", "1"},
		[]string{"deadletter", "replay", dir},
		[]string{"deadletter", "replay", "--json", dir, "--limit", "1", "--reason", "expired"},
	)
	unchanged(t, dir)
	for _, args := range [][]string{{"deadletter", "ls", dir}, {"deadletter", "ls", "--json", dir}, {"deadletter", "replay", dir}} {
		r := analyze(t, args...)
		require.Equal(t, -1, strings.IndexFunc(strings.ReplaceAll(r.stdout+r.stderr, "\n", ""), unprintable), args)
	}
}

func replay(t *testing.T, srv *analyticstest.Server, args ...string) (replayJSON, result) {
	t.Helper()
	r := analyzeOver(t, srv.Transport(), append([]string{"deadletter", "replay", "--json", "--endpoint", "http://segment.test"}, args...)...)
	require.NotContains(t, r.stdout+r.stderr, secret)
	var out replayJSON
	if r.stdout != "" {
		require.NoError(t, json.Unmarshal([]byte(r.stdout), &out), r.stdout)
	}
	return out, r
}

func TestReplay(t *testing.T) {
	dir := deadLetters(t)
	before := tree(t, dir)
	t.Setenv("SEGMENT_WRITE_KEY", secret)
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{WriteKeys: []string{secret}})

	out, r := replay(t, srv, dir)
	require.Equal(t, exitFault, r.code, "a line cannot be read")
	require.False(t, out.Sent)
	require.Zero(t, srv.Requests(), "nothing is sent without --yes")

	out, r = replay(t, srv, dir, "--yes")
	require.Equal(t, exitFault, r.code)
	require.EqualValues(t, 3, out.Delivered)
	require.Equal(t, 4, out.Selected)
	require.Equal(t, 1, out.Refused, "the damaged event")
	require.Equal(t, map[string]int{"Acme \x07": 1}, out.Impossible)
	require.Equal(t, 3, srv.Unique())
	require.Equal(t, before, tree(t, dir), "the files are as they were")

	srv.Reset()
	out, r = replay(t, srv, filepath.Join(dir, "p-0"), "--yes", "--reason", "expired", "--limit", "1")
	require.Equal(t, exitFine, r.code, r.stderr)
	require.EqualValues(t, 1, out.Delivered)
	require.Equal(t, 1, srv.Copies("m1"))

	out, r = replay(t, srv, filepath.Join(dir, "p-1"), "--yes", "--destination", "Acme \x07")
	require.Equal(t, exitFault, r.code)
	require.False(t, out.Sent)

	plain := analyzeOver(t, srv.Transport(), "deadletter", "replay", filepath.Join(dir, "p-0"), "--endpoint", "http://segment.test", "--yes")
	require.Equal(t, "replayed 3 letters of Segment.io to http://segment.test: 3 delivered\n"+
		"the files are as they were: a letter that is replayed twice arrives twice, under one messageId\n", plain.stdout)
}

func TestReplayThatIsRefused(t *testing.T) {
	dir := deadLetters(t)
	t.Setenv("SEGMENT_WRITE_KEY", secret)
	srv := analyticstest.NewServer()
	srv.Script(analyticstest.Reply{Status: 400, Times: 1 << 30})
	out, r := replay(t, srv, filepath.Join(dir, "p-0"), "--yes")
	require.Equal(t, exitFault, r.code)
	require.Equal(t, map[string]int{"rejected": 3}, out.Dropped)
	require.Contains(t, r.stderr, "m1: rejected")

	srv = analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{WriteKeys: []string{"another"}})
	out, r = replay(t, srv, filepath.Join(dir, "p-0"), "--yes")
	require.Equal(t, exitFault, r.code)
	require.Equal(t, errUnauthorized.Error(), out.Error)

	srv = analyticstest.NewServer()
	srv.Script(analyticstest.Reply{Status: 503, Times: 1 << 30})
	out, r = replay(t, srv, filepath.Join(dir, "p-0"), "--yes", "--timeout", "50ms")
	require.Equal(t, exitFault, r.code)
	require.NotEmpty(t, out.Error)

	_, r = replay(t, srv, dir, "--yes", "--region", "mars")
	require.Equal(t, exitUsage, r.code)
}

func TestTheWriteKeyIsNotPrinted(t *testing.T) {
	dir := deadLetters(t)
	t.Setenv("SEGMENT_WRITE_KEY", secret)
	for _, args := range [][]string{{"--help"}, {"--wrong"}, {"--timeout", "x"}, {"--yes", "--endpoint", "::"}} {
		r := analyze(t, append([]string{"deadletter", "replay", dir}, args...)...)
		require.NotContains(t, r.stdout+r.stderr, secret)
	}
}
