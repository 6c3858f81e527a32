package main

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

// callEncoder is the encoder of our calls. It is not exported, so that the root's own
// benchmark measures it.
const callEncoder = "analytics, as in the call"

const (
	root          = "github.com/tributary-dev/analytics"
	rootBenchmark = "BenchmarkEncodeProperties"
)

// encoderTargets are what ours may take at the most, in relation to others.
var encoderTargets = map[string]float64{
	"segmentio/encoding": 0.7, "segmentio/encoding, keys sorted, HTML escaped": 0.7, "encoding/json": 0.15,
}

// encoderNames returns ours first.
func encoderNames() []string {
	names := []string{callEncoder}
	for _, e := range sdk.Encoders() {
		names = append(names, e.Name)
	}
	return names
}

// encoders measures the encoders, each in a process of its own, in an order that
// rotates. The benchmark of the root needs its source; where there is none its row
// stays empty.
func encoders(ctx context.Context, s sizes, progress func(string, ...any)) (runs, error) {
	names, by := encoderNames(), runs{}
	for rep := range s.reps {
		for k := range names {
			name := names[(k+rep)%len(names)]
			progress("%d/%d  encoder, %s", rep+1, s.reps, name)
			t := task{Kind: encoding, Library: name, N: s.encoded, Warm: s.encoded / 10}
			if name == callEncoder {
				r, err := t.asBenchmark(ctx)
				if err != nil {
					progress("not measured: %v", err)
					continue
				}
				by[name] = append(by[name], r)
				continue
			}
			r, err := t.inChild(ctx, "")
			if err != nil {
				return nil, err
			}
			by[name] = append(by[name], r)
		}
	}
	return by, nil
}

// encode does the task in a child process.
func (t task) encode() (r result, err error) {
	encoders := sdk.Encoders()
	i := slices.IndexFunc(encoders, func(e sdk.Encoder) bool { return e.Name == t.Library })
	if i < 0 {
		return r, fmt.Errorf("no encoder %q", t.Library)
	}
	var start time.Time
	var before, after runtime.MemStats
	buf := make([]byte, 0, 1024)
	for n := range t.Warm + t.N {
		if n == t.Warm {
			runtime.ReadMemStats(&before)
			start = time.Now()
		}
		if buf, err = encoders[i].Append(buf[:0]); err != nil {
			return r, err
		}
	}
	r.PerCall = float64(time.Since(start)) / float64(t.N)
	runtime.ReadMemStats(&after)
	r.Allocs = float64((after.Mallocs - before.Mallocs) / uint64(t.N))
	return r, nil
}

// asBenchmark has the go command run the benchmark of the root.
func (t task) asBenchmark(ctx context.Context) (r result, err error) {
	cmd := exec.CommandContext(ctx, "go", "test", "-run", "^$", "-bench", "^"+rootBenchmark+"$", "-benchtime", fmt.Sprint(t.N)+"x", root)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return r, fmt.Errorf("benchmark of the root: %w: %s", err, out)
	}
	if r.PerCall, r.Allocs, err = parseBenchmark(string(out), rootBenchmark); err != nil {
		return r, err
	}
	return r, nil
}

// parseBenchmark finds the time and the allocations of one benchmark in the output
// of go test.
func parseBenchmark(out, name string) (ns, allocs float64, err error) {
	lines := bufio.NewScanner(strings.NewReader(out))
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) == 0 || strings.TrimRight(fields[0], "-0123456789") != name {
			continue
		}
		for i, unit := range fields[1:] {
			switch unit {
			case "ns/op":
				ns, err = strconv.ParseFloat(fields[i], 64)
			case "allocs/op":
				allocs, err = strconv.ParseFloat(fields[i], 64)
			}
			if err != nil {
				return 0, 0, err
			}
		}
		return ns, allocs, nil
	}
	return 0, 0, fmt.Errorf("no %s in %q", name, out)
}
