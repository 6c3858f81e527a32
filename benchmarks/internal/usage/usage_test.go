//go:build unix

package usage

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPeak(t *testing.T) {
	n, ok := parsePeak("Name:\tx\nVmHWM:\t    2048 kB\nVmRSS:\t 1 kB\n")
	require.True(t, ok)
	require.EqualValues(t, 2<<20, n)
	_, ok = parsePeak("VmRSS: 1 kB")
	require.False(t, ok)
	require.Positive(t, PeakRSS())
	require.Positive(t, CPU())
}

func TestDisk(t *testing.T) {
	dir := t.TempDir()
	file, err := os.Create(filepath.Join(dir, "holes"))
	require.NoError(t, err)
	require.NoError(t, file.Truncate(1<<30))
	require.NoError(t, file.Close())
	n, err := Disk(dir)
	require.NoError(t, err)
	require.Less(t, n, int64(1<<20))
}
