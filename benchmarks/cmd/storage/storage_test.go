package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/archive"
	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/warehouse"
)

func TestMain(m *testing.M) {
	workIfAsked()
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // for the child processes, or each takes a second longer
	os.Exit(m.Run())
}

// Everything that is there on this machine, with few events.
func TestQuick(t *testing.T) {
	if underRace {
		t.Skip("it takes two minutes, and what it runs is raced by its own tests")
	}
	dir, out := t.TempDir(), filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, measure(t.Context(), []string{"-quick", "-dir", dir, "-out", out}))
	raw, err := os.ReadFile(out)
	require.NoError(t, err)
	page := string(raw)
	for _, never := range []string{"!(", "NaN", dir, "postgres://"} {
		require.NotContains(t, page, never)
	}
	for _, name := range []string{
		"PostgreSQL: load", "SQLite: load", "flatten: an event", "archive of 20,000 events, gzip", "archive of 20,000 events, zstd",
		"of a spool into SQLite", "of a spool into PostgreSQL", "of a spool into an archive",
	} {
		require.Contains(t, page, name)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "folders are removed")
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-quick", "-out", "page.md", "-only", "sqlite", "-dir=disk", "-postgres", "postgres://u@h/d", "-cpuprofile=p"})
	require.NoError(t, err)
	require.Equal(t, settings{quick: true, out: "page.md", only: "sqlite", dir: "disk", postgres: "postgres://u@h/d", profile: "p"}, s)
	for _, args := range [][]string{{"-only", "x"}, {"rest"}} {
		_, err := parse(args)
		require.Error(t, err)
	}
}

func TestThePageDoesNotHoldTheAddressOfTheServer(t *testing.T) {
	for _, args := range [][]string{
		{"-postgres", "postgres://u:secret@h/d", "-quick"}, {"--postgres=postgres://u:secret@h/d", "-quick"}, {"-quick", "-postgres"},
	} {
		require.Equal(t, []string{"-quick"}, shown(args))
	}
}

func TestAServerThatCannotBeUsed(t *testing.T) {
	_, err := findServer(t.Context(), "postgres://u:secret@127.0.0.1:1/d?connect_timeout=1")
	require.ErrorContains(t, err, "cannot be used")
	require.NotContains(t, err.Error(), "secret")
}

func TestMessageIDsAreInOrder(t *testing.T) {
	last := ""
	for i := range 100_000 {
		id := messageID(i)
		require.Len(t, id, 36)
		require.Equal(t, "7", id[14:15])
		require.Equal(t, "8", id[19:20])
		require.Less(t, last, id)
		last = id
	}
}

// The rows by hand are those of the destination, one in each of two tables.
func TestPreparedRows(t *testing.T) {
	r := &run{ctx: t.Context()}
	rows := newReader(true)
	d, err := opened(rows)
	require.NoError(t, err)
	defer d.Close(context.Background())
	b := events(7, 3)
	require.NoError(t, r.deliver(d, b))
	require.Len(t, rows.tables, 2)
	for _, p := range rows.tables {
		require.Len(t, p.rows, 3)
		require.Equal(t, warehouse.Column{Name: "id", Kind: warehouse.String}, p.columns[0])
		for i, row := range p.rows {
			require.Equal(t, b.headers[i].MessageID, row[0].S)
		}
	}
	require.Equal(t, 6, rows.read)
	require.NoError(t, r.deliver(d, events(10, 3)), "the loader finds its position and its tables")
	require.Equal(t, 12, rows.read)
}

func TestRowsThatAreMissingAreAnError(t *testing.T) {
	l := &loading{run: &run{sizes: sizes{rounds: 2, batches: 1, batch: 10}}}
	good := contents{Events: 30, Tracks: 30, Cents: 5}
	require.NoError(t, l.check(good, good))
	for _, bad := range []contents{{29, 30, 5}, {30, 29, 5}, {30, 30, 4}} {
		require.Error(t, l.check(good, bad), "they differ")
	}
	require.Error(t, l.check(contents{29, 30, 5}, contents{29, 30, 5}), "both are short")
}

func TestMembersByHand(t *testing.T) {
	z, err := newCompressor(archive.Gzip)
	require.NoError(t, err)
	f := &partFile{dir: t.TempDir(), z: z}
	first, second := lines(events(0, 300)), lines(events(300, 5))
	require.NoError(t, errors.Join(f.add(first), f.add(second)))
	file, err := os.Open(f.name())
	require.NoError(t, err)
	defer file.Close()
	in, err := gzip.NewReader(file)
	require.NoError(t, err)
	all, err := io.ReadAll(in)
	require.NoError(t, err)
	require.Equal(t, 305, strings.Count(string(all), "\n"))
	require.Contains(t, string(all), `,"receivedAt":"2026-05-02T18:04:05.250Z"}`+"\n")
	require.NoError(t, f.remove())
}

func TestATaskThatFailsSaysSo(t *testing.T) {
	_, err := task{Loader: "none", Dir: t.TempDir()}.run(t.Context())
	require.ErrorContains(t, err, "none: exit status 1")
}

func TestFiguresAndTheirTargets(t *testing.T) {
	const us = time.Microsecond
	times := func(d ...time.Duration) []time.Duration { return d }
	load := func(share float64) []page.Figure {
		l := &loading{run: &run{sizes: sizes{rounds: 1, batches: 1, batch: 1000}}, columns: 25,
			share: []float64{share}, mine: times(10 * time.Millisecond), theirs: times(5 * time.Millisecond), cpu: [2]time.Duration{2 * time.Millisecond, 3 * time.Millisecond}}
		return l.figures("SQLite", "hand")[1:]
	}
	files := func(hand time.Duration) []page.Figure {
		a := &archiving{run: &run{sizes: sizes{rounds: 1, batches: 1, batch: 1000}}, compression: archive.Gzip, bytes: 1e6}
		a.took = [sides][]time.Duration{times(50 * us), times(hand), times(100 * us)}
		return a.figures()[2:]
	}
	for _, test := range []struct {
		name  string
		got   []page.Figure
		value string
		met   bool
	}{
		{"load", load(0.8), "100,000 events/s, CPU 3000 ns an event, 80 % of by hand", true},
		{"load, slow", load(0.79), "100,000 events/s, CPU 3000 ns an event, 79 % of by hand", false},
		{"flatten", flattenFigures(6*us, 5*us), "6000 ns, CPU 5000 ns", true},
		{"flatten, slow", flattenFigures(6*us+1, 5*us), "6001 ns", false},
		{"archive", files(90 * us), "10000 MB/s, 90 % of by hand (rounds: 90 to 90 %), 50 % of alone", true},
		{"archive, slow", files(89 * us), "10000 MB/s, 89 %", false},
		{"memory", []page.Figure{memoryFigure("m", 10, result{PeakRSS: 128 << 20, Took: time.Second})}, "128 MiB; 10 events/s", true},
		{"memory, more", []page.Figure{memoryFigure("m", 10, result{PeakRSS: 129 << 20, Took: time.Second})}, "129 MiB", false},
	} {
		require.True(t, strings.HasPrefix(test.got[0].Value, test.value), "%s: %s", test.name, test.got[0].Value)
		require.Equal(t, test.met, test.got[0].Met, test.name)
	}
}

func TestThePage(t *testing.T) {
	d := &document{}
	d.header(settings{quick: true}, []string{"-quick"}, &run{})
	d.figures([]page.Figure{{Name: "a", Value: "1", Target: "≤ 2", Met: true}, {Name: "b", Value: "3", Target: "≤ 2", Met: false}, {Name: "c", Value: "4", Target: "", Met: false}})
	for _, line := range []string{
		"# Benchmarks of storage\n", "    go run ./benchmarks/cmd/storage -quick\n", "| PostgreSQL | none: ", "| mode | quick: ",
		"| a | 1 | ≤ 2 | yes |\n", "| b | 3 | ≤ 2 | **no** |\n", "| c | 4 |  |  |\n",
	} {
		require.Contains(t, d.String(), line)
	}
}
