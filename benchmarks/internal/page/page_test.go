package page

import (
	"math"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDocument(t *testing.T) {
	d := &Document{}
	d.Header("Title", "some", []string{"-quick"}, []string{"mode", "quick"})
	require.Contains(t, d.String(), "# Title\n\nWritten by a command; do not edit. From the root of the repository:\n\n    go run ./benchmarks/cmd/some -quick\n\n|  |  |\n|---|---|\n| date | ")
	require.Contains(t, d.String(), "| mode | quick |\n\n")
	d.Reset()
	d.Table([]string{"a", "b"}, []string{"1", "2"})
	d.Notes([]string{"x", "y"})
	d.Notes(nil)
	require.Equal(t, "| a | b |\n|---|---|\n| 1 | 2 |\n\n- x\n- y\n\n", d.String())
}

func TestCommandLineNamesNoDirectoryOfThisMachine(t *testing.T) {
	abs := filepath.Join(t.TempDir(), "page.md")
	require.Equal(t, " -quick -out page.md", CommandLine([]string{"-quick", "-out", abs}))
	require.Equal(t, " -out=page.md", CommandLine([]string{"-out=" + abs}))
	require.Equal(t, " -out docs/benchmarks.md", CommandLine([]string{"-out", "docs/benchmarks.md"}))
}

func TestParsing(t *testing.T) {
	require.Equal(t, "Some CPU", parseModel("processor\t: 0\nmodel name\t: Some CPU\nmodel name\t: Other\n"))
	require.Equal(t, "unknown model", parseModel(""))
	mounts := "x / ext4 rw 0 0\ny /data xfs rw 0 0\nz /database btrfs rw 0 0\n"
	require.Equal(t, "ext4", parseMounts(mounts, "/tmp/a"))
	require.Equal(t, "xfs", parseMounts(mounts, "/data/a"))
	require.Equal(t, "unknown", parseMounts("", "/data"))
}

func TestFormats(t *testing.T) {
	for want, got := range map[string]string{
		"7": Grouped(7), "999": Grouped(999), "1,000": Grouped(1_000), "1,234,567": Grouped(1_234_567),
		"412 ns": Nanoseconds(412), "12.5 µs": Nanoseconds(12_500), "250 ms": Nanoseconds(250e6), "32 MiB": Mebibytes(32 << 20),
		"1 run": Plural(1, "run"), "5 runs": Plural(5, "run"),
		"": Verdict(math.NaN(), 1), "yes": Verdict(1, 1), "**no**": Verdict(1.1, 1), "0.50": Ratio(0.5),
	} {
		require.Equal(t, want, got)
	}
	require.Empty(t, Ratio(math.NaN()))
	require.Equal(t, 3, Quantile([]int{1, 2, 3, 4}, 0.5))
	require.Equal(t, 4, Quantile([]int{1, 2, 3, 4}, 1))
}
