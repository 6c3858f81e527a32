package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
)

func TestMain(m *testing.M) {
	serveIfAsked()
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // for the child processes, or each takes a second longer
	os.Exit(m.Run())
}

// Everything, with few events, in processes of its own.
func TestQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for some seconds")
	}
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, measure(t.Context(), []string{"-quick", "-dir", dir, "-out", out}))
	b, err := os.ReadFile(out)
	require.NoError(t, err)
	page := string(b)
	require.NotContains(t, page, "!(")
	require.NotContains(t, page, dir)
	require.NotContains(t, page, "NaN")
	for _, v := range variants {
		require.Contains(t, page, "| "+v.name+": CPU an event | ")
	}
	for _, name := range []string{"for each further event of a batch", "a batch of 1000 events", "64 connections", "live heap", "with 429", "delivered when"} {
		require.Contains(t, page, name)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "folders are removed")
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-quick", "-out", "page.md", "-dir=disk", "-load", "5s"})
	require.NoError(t, err)
	require.Equal(t, settings{quick: true, out: "page.md", dir: "disk", load: 5 * time.Second}, s)
	require.Equal(t, 5*time.Second, s.sizes().loading)
	require.Equal(t, 30*time.Second, settings{}.sizes().loading)
	for _, args := range [][]string{{"-load", "-1s"}, {"-load", "x"}, {"rest"}} {
		_, err := parse(args)
		require.Error(t, err)
	}
}

func TestBodies(t *testing.T) {
	type batch struct {
		WriteKey string
		Context  map[string]any
		Batch    []struct{ MessageID string }
	}
	read := func(b []byte) (got batch) {
		require.NoError(t, json.Unmarshal(b, &got))
		require.Equal(t, writeKey, got.WriteKey)
		return got
	}
	f := newForm(3, true)
	require.NotNil(t, read(f.body).Context)
	for _, first := range []int{0, 999_999_999} {
		for i, m := range read(f.number(first)).Batch {
			require.Equal(t, first+i, numberOf(m.MessageID))
		}
	}
	require.InDelta(t, 512, len(newForm(100, false).body)/100, 12, "half a kilobyte")
	for _, id := range []string{"", "x", strings.Repeat("x", len(idPrefix)+idDigits)} {
		require.Equal(t, -1, numberOf(id))
	}

	all, err := zipped(2, 3)
	require.NoError(t, err)
	zr, err := gzip.NewReader(bytes.NewReader(all[1]))
	require.NoError(t, err)
	plain, err := io.ReadAll(zr)
	require.NoError(t, err)
	require.Equal(t, 5, numberOf(read(plain).Batch[2].MessageID))
}

func TestAServerThatFailsSaysSo(t *testing.T) {
	_, err := task{Kind: "none"}.start(t.Context())
	require.ErrorContains(t, err, "exit status 1")
}

func TestWaitsAreChecked(t *testing.T) {
	for value, want := range map[string]bool{"2": true, "0": false, "": false, "soon": false} {
		require.Equal(t, want, seconds(&http.Response{Header: http.Header{"Retry-After": {value}}}, "Retry-After"), value)
	}
}

// passed is a load test without fault.
func passed() loadResult {
	return loadResult{
		took: time.Second, answers: []time.Duration{1, 2, 3}, full: 2, sent: 200,
		early: report{Live: 10e6}, late: report{Live: 11e6},
		delivered: report{Events: 200, Delivered: 200, Distinct: 200, Most: 199},
	}
}

func TestWhatIsLostOrComesTwiceIsAFault(t *testing.T) {
	good := passed()
	require.NoError(t, good.fault())
	for name, edit := range map[string]func(*loadResult){
		"never full":           func(l *loadResult) { l.full = 0 },
		"without headers":      func(l *loadResult) { l.wrong = 1 },
		"lost":                 func(l *loadResult) { l.delivered.Delivered, l.delivered.Distinct = 199, 199 },
		"twice":                func(l *loadResult) { l.delivered.Delivered = 201 },
		"one for another":      func(l *loadResult) { l.delivered.Most = 200 },
		"nobody has sent that": func(l *loadResult) { l.delivered.Least = -1 },
		"accepted twice":       func(l *loadResult) { l.delivered.Events = 201 },
	} {
		bad := passed()
		edit(&bad)
		require.Error(t, bad.fault(), name)
	}
}

func TestFiguresAndTheirTargets(t *testing.T) {
	grown, good := passed(), passed()
	grown.late.Live = 12e6
	fast := make([]measured, len(variants))
	fast[1] = measured{event: 7_900, rate: 1234, share: 0.6}
	fast[2] = measured{event: 12_100, share: 0.59}
	fast[3] = measured{event: 8_100, share: 0.7}
	fast[7] = measured{event: 8_200}
	speed := speedFigures(fast)
	for _, test := range []struct {
		name  string
		got   page.Figure
		value string
		met   bool
	}{
		{"reading", speed[1], "0", false},
		{"memory", speed[2], "7900 ns", true},
		{"memory, requests", speed[3], "1,234, 60 % of reading alone", true},
		{"spool", speed[4], "12.1 µs", false},
		{"spool, requests", speed[5], "0, 59 % of reading alone", false},
		{"a destination has no target", speed[6], "8100 ns", false},
		{"gzip", speed[14], "8200 ns", false},
		{"allocations", allocationFigures([]allocation{{events: 1, allocs: 20, bytes: 900}, {events: 1001, allocs: 25, bytes: 1900}})[0], "0.0050, 1.0 bytes", true},
		{"allocations, one each", allocationFigures([]allocation{{events: 1, allocs: 20}, {events: 1001, allocs: 1020}})[0], "1.0000", false},
		{"allocations, much", allocationFigures([]allocation{{events: 1}, {events: 1001, bytes: 600_000}})[0], "0.0000, 600.0 bytes", false},
		{"times", good.figures()[0], "p50 2 ns, p99 3 ns, most 3 ns; 3 requests, 3 a second", false},
		{"heap", good.figures()[1], "11.0 MB, 1.10 ×", true},
		{"heap, growing", grown.figures()[1], "12.0 MB, 1.20 ×", false},
		{"delivered", good.figures()[3], "200 of 200 events, 0 of them twice", true},
	} {
		require.True(t, strings.HasPrefix(test.got.Value, test.value), "%s: %s", test.name, test.got.Value)
		require.Equal(t, test.met, test.got.Met, test.name)
	}
}
