package main

import (
	"math"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/benchmarks/internal/page"
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
	for _, name := range []string{sdk.Ours, sdk.Spool, sdk.Anchor} {
		for _, k := range []kind{saturated, single, counted, pipeline, flooded, faulty} {
			t.Run(name+" "+string(k), func(t *testing.T) {
				t.Parallel()
				in := task{Kind: k, Library: name, N: 300, Warm: 10, Goroutines: 2, Rate: 10_000, Block: true, Close: time.Minute, Patience: time.Minute}
				if k == flooded {
					in.Plan, in.Close = receiver.Plan{For: -1, Status: 503}, time.Millisecond
				}
				r, err := in.inChild(t.Context(), t.TempDir())
				require.NoError(t, err)
				accepted := 300
				if in.warmsUp() {
					accepted += in.Warm
				}
				want := account{Accepted: accepted, Delivered: accepted}
				if k == flooded {
					want = account{Accepted: accepted, Reported: accepted}
					if name == sdk.Spool {
						want = account{Accepted: accepted, Kept: accepted}
					}
				}
				require.Equal(t, want, r.Account)
				require.True(t, r.Closed)
			})
		}
	}
}

// The spool loses nothing to a SIGKILL; in an outage memory loses everything.
func TestKilled(t *testing.T) {
	for _, name := range []string{sdk.Ours, sdk.Spool, sdk.Anchor} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := task{Library: name, N: 100_000, Rate: 2_000, Plan: receiver.Plan{For: -1, Status: 503}, Close: time.Minute, Patience: time.Minute}
			r, err := in.killed(t.Context(), t.TempDir(), 200*time.Millisecond, true)
			require.NoError(t, err)
			require.True(t, r.Closed)
			require.Positive(t, r.Account.Accepted)
			want := account{Accepted: r.Account.Accepted, Lost: r.Account.Accepted}
			if name == sdk.Spool {
				want.Lost, want.Kept = 0, want.Accepted
			}
			require.Equal(t, want, r.Account)
		})
	}
}

func TestAProcessThatEndsByItselfWasNotKilled(t *testing.T) {
	in := task{Library: sdk.Ours, N: 3, Rate: 1_000}
	_, err := in.killed(t.Context(), t.TempDir(), time.Minute, false)
	require.ErrorContains(t, err, "ended before it was killed")
}

func TestEncodingTask(t *testing.T) {
	for _, e := range sdk.Encoders() {
		r, err := task{Kind: encoding, Library: e.Name, N: 10}.encode()
		require.NoError(t, err)
		require.Positive(t, r.PerCall)
	}
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-quick", "-out", "page.md", "-only", "faults", "-reps=3", "-dir", "disk"})
	require.NoError(t, err)
	require.Equal(t, settings{quick: true, out: "page.md", only: "faults", reps: 3, dir: "disk"}, s)
	for _, args := range [][]string{{"-only", "x"}, {"-reps", "-1"}, {"rest"}} {
		_, err := parse(args)
		require.Error(t, err)
	}
}

func TestParsingABenchmark(t *testing.T) {
	ns, allocs, err := parseBenchmark("goos: linux\nBenchmarkX-2  \t 100 \t 330.6 ns/op \t 0 B/op \t 2 allocs/op\nPASS\n", "BenchmarkX")
	require.NoError(t, err)
	require.Equal(t, []float64{330.6, 2}, []float64{ns, allocs})
	_, _, err = parseBenchmark("PASS\n", "BenchmarkX")
	require.Error(t, err)
}

func TestRow(t *testing.T) {
	libs, err := sdk.Select(sdk.Ours + "," + sdk.Anchor + ",posthog-go,rudder-go," + sdk.Spool)
	require.NoError(t, err)
	by := runs{sdk.Ours: {{PerCall: 300}, {PerCall: 100}, {PerCall: 200}}, sdk.Anchor: {{PerCall: 1_000}}, sdk.Spool: {{PerCall: 600}}, "posthog-go": {{PerCall: 800}}}
	f := figure{name: "call", value: perCall, format: page.Nanoseconds, goal: goal{ratio: 1. / 3, limit: atMost(250), above: "250 ns"}, spool: goal{ratio: 0.5}}

	r := f.row(libs, by, sdk.Ours)
	require.Equal(t, []float64{200, 1_000, 800}, r.medians[:3])
	require.True(t, math.IsNaN(r.medians[3]), "a library that failed")
	require.Equal(t, 50.0, math.Round(r.spreads[0]))
	require.Equal(t, []float64{0.2, 0.25}, []float64{r.anchor, r.fastest})
	require.Equal(t, "≤ 0.33 × analytics-go, ≤ 250 ns", r.target)
	require.Equal(t, "yes", r.met)
	require.Equal(t, 600.0, r.medians[4], "no peer, though it is the fastest of the others")

	r = f.row(libs, by, sdk.Spool)
	require.Equal(t, []float64{0.6, 0.75}, []float64{r.anchor, r.fastest})
	require.Equal(t, "≤ 0.5 × analytics-go", r.target)
	require.Equal(t, "**no**", r.met)

	f.limit = atMost(199)
	require.Equal(t, "**no**", f.row(libs, by, sdk.Ours).met)
	f.limit, f.ratio = nil, 0.1
	require.Equal(t, "**no**", f.row(libs, by, sdk.Ours).met)
	f.ratio = 0
	require.Empty(t, f.row(libs, by, sdk.Ours).met)
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

func TestThePage(t *testing.T) {
	libs, err := sdk.Select(sdk.Ours + "," + sdk.Spool + "," + sdk.Anchor)
	require.NoError(t, err)
	all := []measurement{{name: "call", figures: []figure{{
		name: "call", value: perCall, format: page.Nanoseconds, goal: goal{ratio: 0.5}, spool: below(250, "250 ns"),
	}}}}
	by := []runs{{sdk.Ours: {{PerCall: 100}}, sdk.Spool: {{PerCall: 300, Account: account{Accepted: 9, Refused: 1}}}, sdk.Anchor: {{PerCall: 1_000}}}}
	d := &document{}
	d.header(settings{}, []string{"-reps", "1"}, "full", 1, libs)
	d.speed(all, libs, by)
	f := fault{name: "SIGKILL", about: "Text.", kill: time.Second}
	d.fault(f, libs, []result{{Closed: true}, {Closed: true, Account: account{Accepted: 5, Delivered: 2, Kept: 3}}, {Account: account{Accepted: 5, Lost: 5}}})
	for _, line := range []string{
		"[benchmarks-spool.md](benchmarks-spool.md)",
		"| libraries | analytics = `github.com/tributary-dev/analytics` v",
		"| figure | analytics | analytics, spool | analytics-go | ÷ analytics-go | ÷ fastest peer | target | met |",
		"| call | 100 ns | 300 ns | 1000 ns | 0.10 | 0.10 | ≤ 0.5 × analytics-go | yes |",
		"| call | 300 ns | 3.00 | 0.30 | 0.30 | ≤ 250 ns | **no** |",
		"- call: analytics, spool refused 1 of 10 calls",
		"| analytics, spool | 5 | 0 | 2 | 3 | 0 | 0 | 0 | 0 | 0.0 s |  |",
		"| analytics-go | 5 | 0 | 0 | 0 | 0 | 5 | 0 | 0 | > 0.0 s | Close had not returned |",
	} {
		require.Contains(t, d.String(), line)
	}
	require.NotContains(t, d.String(), "!(")
}
