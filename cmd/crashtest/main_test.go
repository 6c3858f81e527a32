package main

// The tests are internal: a command exports nothing to test it by.

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestMain lets the binary of the tests be the process that is killed.
func TestMain(m *testing.M) {
	if order := os.Getenv(taskEnv); order != "" {
		os.Exit(serve(order))
	}
	os.Exit(m.Run())
}

// TestNothingIsLost is a short version of the command; CI runs it in full.
func TestNothingIsLost(t *testing.T) {
	t.Parallel()
	r, err := spooled(settings{kills: 20, seed: 1, dir: t.TempDir(), two: 0.3, progress: t.Logf})
	require.NoError(t, err)
	var out bytes.Buffer
	r.print(&out)
	t.Log(out.String())
	require.Empty(t, r.Violations)
	require.GreaterOrEqual(t, r.Kills, 20)
	for p := range places {
		require.GreaterOrEqual(t, r.Destinations[p.String()].Delivered, r.Accepted)
	}
}

func TestMemoryLoses(t *testing.T) {
	t.Parallel()
	lost, err := control(settings{seed: 1, dir: t.TempDir()})
	require.NoError(t, err)
	require.Positive(t, lost)
}

func TestUsage(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"help":                {[]string{"-h"}, 0},
		"no kills":            {[]string{"-kills", "0"}, 2},
		"an argument":         {[]string{"200"}, 2},
		"a flag of something": {[]string{"-loss"}, 2},
	} {
		t.Run(name, func(t *testing.T) {
			var out, complaints bytes.Buffer
			require.Equal(t, c.code, run(c.args, &out, &complaints))
			require.NotEmpty(t, complaints.String())
		})
	}
}

// event is what arrives of an id.
func event(t *testing.T, id eventID) json.RawMessage {
	t.Helper()
	pad := "<\u2028>"
	raw, err := json.Marshal(map[string]any{
		"type": "track", "event": "Crash Survived", "messageId": id.String(), "userId": id.user(),
		"properties": map[string]any{"pad": pad, "sum": id.sum(pad)},
	})
	require.NoError(t, err)
	return raw
}

func TestReadEvent(t *testing.T) {
	id := eventID{3, 2, 14}
	got, ok := readEvent(event(t, id))
	require.True(t, ok)
	require.Equal(t, id, got)
	for _, part := range []string{"3-2-14", "w-3-2", "Crash Survived", "track", "<"} {
		raw := event(t, id)
		at := bytes.Index(raw, []byte(part))
		if part == "<" {
			at = bytes.Index(raw, []byte(`\u003c`)) + len(`\u003`)
		}
		require.Positive(t, at)
		raw[at] ^= 1
		_, ok = readEvent(raw)
		require.False(t, ok, "%s", raw)
	}
	for _, name := range []string{"", "1-2", "1-2-3-4", "1--2", "01-2-3", "1-9-3", "a-b-c"} {
		_, ok := parseEventID(name)
		require.False(t, ok, name)
	}
}

func TestReadMarks(t *testing.T) {
	calls, err := readMarks([]byte("iairi"))
	require.NoError(t, err)
	require.Equal(t, "ari", string(calls))
	for _, marks := range []string{"a", "ii", "iaa", "ix"} {
		_, err := readMarks([]byte(marks))
		require.Error(t, err, marks)
	}
}

func TestReadJournal(t *testing.T) {
	dir := t.TempDir()
	r, err := readJournal(dir, 0)
	require.NoError(t, err, "a process may be killed before it can write anything")
	require.Zero(t, r.opened)

	require.NoError(t, os.WriteFile(writerFile(dir, 0, 2), []byte("iai"), 0o600))
	life := "opening\nready 5000000 12\nsent 0 1 ab 7 8\nsent 1 2\ntaken 1\nclosing\nfailed 2\nclosed \"a\\nb\"\nsent 1 3\ntaken"
	require.NoError(t, os.WriteFile(lifeFile(dir, 0), []byte(life), 0o600))
	r, err = readJournal(dir, 0)
	require.NoError(t, err)
	require.EqualValues(t, 5000000, r.opened)
	require.Equal(t, 12, r.left)
	require.Equal(t, "ai", string(r.calls[2]))
	require.Equal(t, "a\nb", r.closeErr)
	require.Equal(t, map[int]*request{
		1: {place: cloud, fate: taken, log: "ab", seqs: []uint64{7, 8}},
		2: {place: device, fate: failed},
		3: {place: device},
	}, r.requests)

	for _, wrong := range []string{"taken 1", "sent 1", "sent x 1", "ready", "cheerful", "closed", "sent 0 1 ab x"} {
		require.NoError(t, os.WriteFile(lifeFile(dir, 1), []byte(wrong+"\n"), 0o600))
		_, err := readJournal(dir, 1)
		require.Error(t, err, wrong)
	}
}
