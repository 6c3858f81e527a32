package main

import (
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

func TestMain(m *testing.M) {
	receiver.RunIfAsked()
	workIfAsked()
	_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // for the child processes, or each takes a second longer
	os.Exit(m.Run())
}

// Every kind of task, in processes of its own, with few events.
func TestTasks(t *testing.T) {
	for _, name := range []string{sdk.Ours, sdk.Anchor} {
		for _, k := range []kind{saturated, single, counted, pipeline, flooded, faulty} {
			t.Run(name+" "+string(k), func(t *testing.T) {
				t.Parallel()
				in := task{Kind: k, Library: name, N: 300, Warm: 10, Goroutines: 2, Rate: 10_000, Block: true, Close: 5 * time.Second, Patience: 5 * time.Second}
				if k == flooded {
					in.Plan, in.Close = receiver.Plan{For: -1, Status: 503}, time.Millisecond
				}
				r, err := in.inChild(t.Context())
				require.NoError(t, err)
				accepted := 300
				if in.warmsUp() {
					accepted += in.Warm
				}
				want := account{Accepted: accepted, Delivered: accepted}
				if k == flooded {
					want = account{Accepted: accepted, Reported: accepted}
				}
				require.Equal(t, want, r.Account)
				require.True(t, r.Closed)
			})
		}
	}
}

func TestEncodingTask(t *testing.T) {
	for _, e := range sdk.Encoders() {
		r, err := task{Kind: encoding, Library: e.Name, N: 10}.encode()
		require.NoError(t, err)
		require.Positive(t, r.PerCall)
	}
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-quick", "-out", "page.md", "-only", "faults", "-reps=3"})
	require.NoError(t, err)
	require.Equal(t, settings{quick: true, out: "page.md", only: "faults", reps: 3}, s)
	for _, args := range [][]string{{"-only", "x"}, {"-reps", "-1"}, {"rest"}} {
		_, err := parse(args)
		require.Error(t, err)
	}
}

func TestCommandLineNamesNoDirectoryOfThisMachine(t *testing.T) {
	abs := filepath.Join(t.TempDir(), "page.md")
	require.Equal(t, " -quick -out page.md", commandLine([]string{"-quick", "-out", abs}))
	require.Equal(t, " -out=page.md", commandLine([]string{"-out=" + abs}))
	require.Equal(t, " -out docs/benchmarks.md", commandLine([]string{"-out", "docs/benchmarks.md"}))
}

func TestParsing(t *testing.T) {
	n, ok := parsePeak("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n")
	require.True(t, ok)
	require.EqualValues(t, 2<<20, n)
	_, ok = parsePeak("VmRSS: 1 kB")
	require.False(t, ok)

	require.Equal(t, "Some CPU", parseModel("processor\t: 0\nmodel name\t: Some CPU\nmodel name\t: Other\n"))
	require.Equal(t, "unknown model", parseModel(""))

	ns, allocs, err := parseBenchmark("goos: linux\nBenchmarkX-2  \t 100 \t 330.6 ns/op \t 0 B/op \t 2 allocs/op\nPASS\n", "BenchmarkX")
	require.NoError(t, err)
	require.Equal(t, []float64{330.6, 2}, []float64{ns, allocs})
	_, _, err = parseBenchmark("PASS\n", "BenchmarkX")
	require.Error(t, err)
}

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"7": grouped(7), "999": grouped(999), "1,000": grouped(1_000), "1,234,567": grouped(1_234_567),
		"412 ns": nanoseconds(412), "12.5 µs": nanoseconds(12_500), "250 ms": nanoseconds(250e6), "32 MiB": mebibytes(32 << 20),
		"1 run": plural(1, "run"), "5 runs": plural(5, "run"),
	} {
		require.Equal(t, want, got)
	}
	require.Equal(t, 3, quantile([]int{1, 2, 3, 4}, 0.5))
	require.Equal(t, 4, quantile([]int{1, 2, 3, 4}, 1))
}

func TestRow(t *testing.T) {
	libs, err := sdk.Select(sdk.Ours + "," + sdk.Anchor + ",posthog-go,rudder-go")
	require.NoError(t, err)
	by := runs{sdk.Ours: {{PerCall: 300}, {PerCall: 100}, {PerCall: 200}}, sdk.Anchor: {{PerCall: 1_000}}, "posthog-go": {{PerCall: 800}}}
	f := figure{name: "call", value: perCall, format: nanoseconds, ratio: 1. / 3, limit: atMost(250), above: "250 ns"}

	r := f.row(libs, by)
	require.Equal(t, []float64{200, 1_000, 800}, r.medians[:3])
	require.True(t, math.IsNaN(r.medians[3]), "a library that failed")
	require.Equal(t, 50.0, math.Round(r.spreads[0]))
	require.Equal(t, []float64{0.2, 0.25}, []float64{r.anchor, r.fastest})
	require.Equal(t, "≤ 0.33 × analytics-go, ≤ 250 ns", r.target)
	require.Equal(t, "yes", r.met)

	f.limit = atMost(199)
	require.Equal(t, "**no**", f.row(libs, by).met)
	f.limit, f.ratio = nil, 0.1
	require.Equal(t, "**no**", f.row(libs, by).met)
	f.ratio = 0
	require.Empty(t, f.row(libs, by).met)
}

func TestBalance(t *testing.T) {
	hash := func(ids ...string) (h []uint64) {
		for _, id := range ids {
			h = append(h, receiver.Hash(id))
		}
		return h
	}
	fill := func(ids ...string) *ledger {
		l := &ledger{keep: true}
		for _, id := range ids {
			require.NoError(t, l.called(receiver.Hash(id), nil))
		}
		return l
	}
	t.Run("what neither arrived nor was reported is lost", func(t *testing.T) {
		l := fill("a", "b", "c", "d")
		require.NoError(t, l.called(0, sdk.ErrRefused))
		l.outcome("b", 1, false)
		l.outcome("a", 1, true)
		require.Equal(t, account{Accepted: 4, Refused: 1, Delivered: 1, Reported: 1, Lost: 2, Duplicates: 1},
			l.balance(receiver.Report{Messages: 2}, hash("a"), -1))
	})
	t.Run("what was reported and arrived all the same hides no loss", func(t *testing.T) {
		l := fill("a", "b")
		l.outcome("a", 1, false)
		require.Equal(t, 1, l.balance(receiver.Report{Messages: 1}, hash("a"), -1).Lost)
	})
	t.Run("reports without an id count", func(t *testing.T) {
		l := fill("a", "b", "c")
		l.outcome("", 2, false)
		require.Zero(t, l.balance(receiver.Report{Messages: 1}, hash("a"), -1).Lost)
	})
	t.Run("the library's own count stands in for callbacks that had no room", func(t *testing.T) {
		a := fill("a", "b").balance(receiver.Report{}, nil, 2)
		require.Equal(t, account{Accepted: 2, Reported: 2}, a)
	})
	t.Run("without ids of ours numbers are compared", func(t *testing.T) {
		l := &ledger{accepted: 10}
		l.outcome("x", 1, false)
		require.Equal(t, account{Accepted: 10, Delivered: 3, Reported: 1, Lost: 6, Duplicates: 1},
			l.balance(receiver.Report{Messages: 4}, []uint64{1, 2, 3}, -1))
	})
	t.Run("ids made by the server are all the same", func(t *testing.T) {
		l := &ledger{accepted: 5}
		require.Equal(t, account{Accepted: 5, Delivered: 5}, l.balance(receiver.Report{Messages: 5}, hash(""), -1))
	})
}
