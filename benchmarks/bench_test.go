package benchmarks_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/benchmarks/internal/receiver"
	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

func TestMain(m *testing.M) {
	receiver.RunIfAsked()
	os.Exit(m.Run())
}

// BenchmarkCall is the call on the work, saturated: see sdk.Saturate. Each op is an
// accepted call; the time that a call blocks counts, the time after a refusal does
// not. To compare libraries, or memory with the spool: benchstat -col /lib.
func BenchmarkCall(b *testing.B) {
	properties := sdk.Properties()
	call := func(c sdk.Client) error { return c.Track("", properties) }
	for _, goroutines := range []int{1, 8, 64} {
		for _, lib := range sdk.Libraries() {
			b.Run(fmt.Sprintf("goroutines=%d/lib=%s", goroutines, lib.Name), func(b *testing.B) {
				if goroutines == 1 {
					repeat(b, lib, call)
				} else {
					saturate(b, lib, goroutines, call)
				}
			})
		}
	}
}

// BenchmarkCallAppending is BenchmarkCall with properties that append their own
// JSON.
func BenchmarkCallAppending(b *testing.B) {
	order := sdk.TheOrder()
	call := func(c sdk.Client) error { return c.TrackAppending(order) }
	for _, lib := range sdk.Libraries() {
		if lib.Appends {
			b.Run("lib="+lib.Name, func(b *testing.B) { repeat(b, lib, call) })
		}
	}
}

// repeat calls from one goroutine.
func repeat(b *testing.B, lib sdk.Library, call func(sdk.Client) error) {
	measure(b, lib, 100_000_000, func(c sdk.Client) (refused int) {
		for b.Loop() {
			err := call(c)
			for err == sdk.ErrRefused {
				b.StopTimer()
				refused++
				for !c.Idle() {
					time.Sleep(time.Millisecond)
				}
				b.StartTimer()
				err = call(c)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
		return refused
	})
}

// saturate calls from several. Loop is for one goroutine only.
func saturate(b *testing.B, lib sdk.Library, goroutines int, call func(sdk.Client) error) {
	measure(b, lib, b.N+1, func(c sdk.Client) int {
		b.ResetTimer()
		refused, err := sdk.Saturate(c, goroutines, b.N, call, b)
		require.NoError(b, err)
		return refused
	})
}

// measure has a client and a receiver for it; room is for libraries that would drop
// events without a word.
func measure(b *testing.B, lib sdk.Library, room int, load func(sdk.Client) (refused int)) {
	b.StopTimer()
	server, err := receiver.Start(context.Background())
	require.NoError(b, err)
	defer server.Stop()
	require.NoError(b, server.Plan(context.Background(), receiver.Plan{Marker: lib.Marker}))
	o := sdk.Options{URL: server.URL}
	if !lib.Own {
		o.Room = room
	}
	if lib.Keeps {
		o.Dir = b.TempDir()
	}
	c, err := lib.New(o)
	require.NoError(b, err)
	b.ReportAllocs()
	b.StartTimer()
	refused := load(c)
	b.StopTimer()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(b, c.Close(ctx))
	r, err := server.Report(context.Background())
	require.NoError(b, err)
	b.ReportMetric(float64(refused)/float64(b.N), "refused/op")
	b.ReportMetric(float64(b.N-r.Messages), "missing")
}

// BenchmarkEncoder encodes the properties of the work; see sdk.Encoders for what is
// comparable. BenchmarkEncodeProperties of the root belongs to it.
func BenchmarkEncoder(b *testing.B) {
	for _, e := range sdk.Encoders() {
		b.Run("lib="+e.Name, func(b *testing.B) {
			b.ReportAllocs()
			buf, err := make([]byte, 0, 1024), error(nil)
			for b.Loop() {
				if buf, err = e.Append(buf[:0]); err != nil {
					b.Fatal(err)
				}
			}
			b.SetBytes(int64(len(buf)))
		})
	}
}
