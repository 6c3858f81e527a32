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
