package retry_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/tributary-dev/analytics/internal/retry"
)

func TestBackoffGrowsToAMinute(t *testing.T) {
	for range 50 {
		var b retry.Backoff
		base := retry.Initial
		for range 30 {
			d := b.Next()
			require.GreaterOrEqual(t, d, base/2)
			require.LessOrEqual(t, d, min(base+base/2, retry.Longest))
			base = min(2*base, retry.Longest)
		}
		b.Reset()
		require.LessOrEqual(t, b.Next(), retry.Initial*3/2)
	}
}

func TestBreaker(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	var b retry.Breaker
	for range 4 {
		b.Fail(now)
		require.False(t, b.Open())
		require.True(t, b.Until().IsZero())
	}
	b.Fail(now)
	require.True(t, b.Open())
	first := b.Until().Sub(now)
	require.Greater(t, first, time.Duration(0))
	require.LessOrEqual(t, first, time.Second)
	for range 20 {
		b.Fail(now)
	}
	require.LessOrEqual(t, b.Until().Sub(now), retry.Longest)
	require.Greater(t, b.Until().Sub(now), 10*time.Second)
	require.True(t, b.Succeed())
	require.False(t, b.Open())
	require.False(t, b.Succeed())
}

func TestBreakerForgetsFailuresThatAreNotInARow(t *testing.T) {
	var b retry.Breaker
	for range 20 {
		for range 4 {
			b.Fail(time.Now())
		}
		b.Succeed()
	}
	require.False(t, b.Open())
}

func TestBackoffResumes(t *testing.T) {
	for range 50 {
		var b retry.Backoff
		require.Zero(t, b.Steps())
		for range 4 {
			b.Next()
		}
		require.Equal(t, 4, b.Steps())
		var again retry.Backoff
		again.Resume(b.Steps())
		require.Equal(t, b.Steps(), again.Steps())
		d := again.Next()
		require.GreaterOrEqual(t, d, 4*time.Second, "the fifth pause: 8 s, spread by half")
		require.LessOrEqual(t, d, 12*time.Second)
		again.Reset()
		require.Zero(t, again.Steps())
		again.Resume(1 << 40)
		require.GreaterOrEqual(t, again.Next(), retry.Longest/2)
		again.Resume(again.Steps())
		require.GreaterOrEqual(t, again.Next(), retry.Longest/2, "what is stored is enough for the longest pause")
		again.Resume(-1)
		require.LessOrEqual(t, again.Next(), retry.Initial*3/2)
	}
}

func TestBreakerResumes(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	resumed := func(s retry.State) (b retry.Breaker) {
		b.Resume(s, now)
		return b
	}
	var b retry.Breaker
	require.Equal(t, retry.State{}, b.State())
	for n := range 4 {
		b.Fail(now)
		require.Equal(t, retry.State{Failures: n + 1}, b.State())
	}
	again := resumed(b.State())
	require.False(t, again.Open())
	again.Fail(now)
	require.True(t, again.Open(), "the failures of both are in a row")

	for range 10 {
		b.Fail(now)
	}
	again = resumed(b.State())
	require.True(t, again.Open())
	require.Equal(t, b.Until(), again.Until())
	require.Equal(t, b.State(), again.State())
	again.Fail(now)
	require.Greater(t, again.Until().Sub(now), 10*time.Second, "the pauses are as long as they were")
	require.True(t, again.Succeed())
	require.Equal(t, retry.State{}, again.State())

	for _, s := range []retry.State{{Failures: -1}, {Failures: -1 << 62, Steps: -1, Until: now.Add(1 << 62)}, {Failures: 4, Until: now.Add(time.Hour)}} {
		b = resumed(s)
		require.False(t, b.Open())
		require.True(t, b.Until().IsZero())
	}
	b = resumed(retry.State{Failures: 1 << 62, Steps: 1 << 62, Until: now.Add(1 << 62)})
	require.Equal(t, now.Add(retry.Longest), b.Until())
	b = resumed(retry.State{Failures: 5})
	require.True(t, b.Open())
	require.True(t, b.Until().IsZero(), "the probe is due")
}
