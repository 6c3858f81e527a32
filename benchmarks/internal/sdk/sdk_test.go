package sdk_test

import (
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/benchmarks/internal/sdk"
)

func TestSameWork(t *testing.T) {
	want, err := json.Marshal(sdk.Properties())
	require.NoError(t, err)
	appended, err := sdk.TheOrder().AppendJSON(nil)
	require.NoError(t, err)
	require.JSONEq(t, string(want), string(appended))
	for _, e := range sdk.Encoders() {
		b, err := e.Append(nil)
		require.NoError(t, err)
		got := string(b)
		if strings.HasPrefix(e.Name, sdk.Ours) {
			var event struct{ Properties json.RawMessage }
			require.NoError(t, json.Unmarshal(b, &event))
			got = string(event.Properties)
		}
		require.JSONEq(t, string(want), got, e.Name)
	}
}

func TestSelect(t *testing.T) {
	libs, err := sdk.Select("")
	require.NoError(t, err)
	require.Len(t, libs, 6)
	libs, err = sdk.Select(sdk.Anchor + "," + sdk.Ours)
	require.NoError(t, err)
	require.Equal(t, sdk.Anchor, libs[0].Name)
	_, err = sdk.Select("nobody")
	require.Error(t, err)
}

// bounded refuses each hundredth call.
type bounded struct {
	sdk.Client
	calls atomic.Int64
}

func (b *bounded) Track(string, map[string]any) error {
	if b.calls.Add(1)%100 == 0 {
		return sdk.ErrRefused
	}
	return nil
}

func (b *bounded) Idle() bool { return true }

type clock struct{ running, started int }

func (c *clock) StartTimer() { c.running++; c.started++ }
func (c *clock) StopTimer()  { c.running-- }

func TestSaturateCountsWhatWasAccepted(t *testing.T) {
	for _, goroutines := range []int{1, 8} {
		b, c := &bounded{}, &clock{}
		refused, err := sdk.Saturate(b, goroutines, 1_000, func(c sdk.Client) error { return c.Track("", nil) }, c)
		require.NoError(t, err)
		require.Equal(t, int64(1_000+refused), b.calls.Load())
		require.GreaterOrEqual(t, refused, 10)
		require.Zero(t, c.running)
		require.LessOrEqual(t, c.started, refused+1)
	}
}

func TestSaturateEndsWithAnError(t *testing.T) {
	broken := errors.New("broken")
	_, err := sdk.Saturate(&bounded{}, 2, 10, func(sdk.Client) error { return broken }, &clock{})
	require.Equal(t, broken, err)
}
