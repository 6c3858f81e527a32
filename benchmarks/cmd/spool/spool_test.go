package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
)

func TestMain(m *testing.M) {
	receiver.RunIfAsked()
	workIfAsked()
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // for the child processes, or each takes a second longer
	os.Exit(m.Run())
}

// Everything, with few events, in processes of its own.
func TestQuick(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, measure(t.Context(), []string{"-quick", "-dir", dir, "-out", out}))
	page, err := os.ReadFile(out)
	require.NoError(t, err)
	require.NotContains(t, string(page), "!(")
	require.NotContains(t, string(page), dir)
	require.NotContains(t, string(page), "NaN")
	for _, name := range []string{
		"New with 20,000 events of 1 KB waiting, after SIGKILL", "after Close |", "RSS", "disk for each", "a healthy destination beside", "heap in use",
		"Sync with 64 goroutines", "end to end", "CPU an event", "drain of a backlog", "beside a disk hog",
	} {
		require.Contains(t, string(page), name)
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "folders are removed")
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-quick", "-out", "page.md", "-only", "sync", "-dir=disk"})
	require.NoError(t, err)
	require.Equal(t, settings{quick: true, out: "page.md", only: "sync", dir: "disk"}, s)
	for _, args := range [][]string{{"-only", "x"}, {"rest"}} {
		_, err := parse(args)
		require.Error(t, err)
	}
}

func TestATaskThatFailsSaysSo(t *testing.T) {
	_, err := task{Kind: "none"}.run(t.Context(), nil)
	require.ErrorContains(t, err, "none: exit status 1")
}

func TestFiguresAndTheirTargets(t *testing.T) {
	const ms = time.Millisecond
	for _, test := range []struct {
		name  string
		got   []page.Figure
		value string // of the first
		met   bool
	}{
		{"open", openFigures(1_000_000, result{Took: 20 * ms, PeakRSS: 50e6}, result{Took: 300 * ms, PeakRSS: 70e6}), "20.0 ms", true},
		{"open, closed", openFigures(1_000_000, result{}, result{Took: 300 * ms})[1:], "300.0 ms", false},
		{"open, RSS", openFigures(1_000_000, result{PeakRSS: 50e6}, result{PeakRSS: 70e6})[2:], "70 MB", false},
		{"disk", []page.Figure{diskFigure(1_000_000, result{Payload: 1000, Disk: 1_080_000_000})}, "1080 bytes, 1.080 × payload of 1000 bytes", true},
		{"disk, too much", []page.Figure{diskFigure(1_000_000, result{Payload: 1000, Disk: 1_090_000_000})}, "1090 bytes, 1.090 × payload of 1000 bytes", false},
		{
			"lanes", laneFigures([2][2][]result{{{{P50: 100 * ms}, {P50: 90 * ms}, {P50: 200 * ms}}, {{P50: 121 * ms}}}, {{{P50: ms}}, {{P50: 2 * ms}}}}),
			"121 ms, 1.21 × the 100 ms alone", false,
		},
		{"heap", heapFigures(500_000, result{InUse: 30e6, Half: 10e6, Live: 12e6}), "30.0 MB", true},
		{"heap, flat", heapFigures(500_000, result{InUse: 30e6, Half: 10e6, Live: 12e6})[1:], "12.0 MB, 1.20 ×", false},
		{"sync", []page.Figure{syncFigure(result{P50: ms, Disks: []time.Duration{ms / 5, ms / 10}})}, "1000.0 µs, 5.0 × one fdatasync of 200.0 µs (100.0 µs)", true},
		{"end", endFigures(result{N: 1_000, CPU: 4 * ms, Took: 2 * ms}), "250 k", true},
		{"end, slow", endFigures(result{N: 1_000, CPU: 6 * ms, Took: 2 * ms})[1:], "6000 ns", false},
		{"drain", drainFigures(10_000, result{N: 10_000, Took: time.Second}), "10,000 events/s, 10 × the inflow", true},
		{"hog", []page.Figure{hogFigure(result{}, result{P999: 2 * ms})}, "2000.0 µs (", false},
	} {
		require.True(t, strings.HasPrefix(test.got[0].Value, test.value), "%s: %s", test.name, test.got[0].Value)
		require.Equal(t, test.met, test.got[0].Met, test.name)
	}
}

func TestThePage(t *testing.T) {
	d := &document{}
	d.header(settings{quick: true}, []string{"-quick"})
	d.figures([]page.Figure{{Name: "a", Value: "1", Target: "≤ 2", Met: true}, {Name: "b", Value: "3", Target: "≤ 2", Met: false}, {Name: "c", Value: "4", Target: "", Met: false}})
	for _, line := range []string{
		"# Benchmarks of the spool\n", "    go run ./benchmarks/cmd/spool -quick\n", "| mode | quick: ",
		"| a | 1 | ≤ 2 | yes |\n", "| b | 3 | ≤ 2 | **no** |\n", "| c | 4 |  |  |\n",
	} {
		require.Contains(t, d.String(), line)
	}
}
