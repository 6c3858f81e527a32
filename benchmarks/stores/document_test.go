package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func example() (*report, []contender) {
	ran := result{
		Appended: 1000, Append: 10 * time.Millisecond, AppendCPU: 5 * time.Millisecond,
		Drain: 2 * time.Millisecond, DrainCPU: time.Millisecond, Wall: 20 * time.Millisecond,
		Allocs: 1.25, PeakRSS: 50_000_000, Left: 2_500_000,
	}
	r := &report{
		Date: "2026-11-28 10:00 UTC", Machine: "linux/amd64, 2 CPUs, Fast", Go: "go1.26.8", FileSystem: "ext4",
		Args: []string{"-size=200"}, Events: 1000, Reps: 1, Versions: []string{"a = `example.org/a` v1.2.3"},
		Speed:  map[string][]speeds{"a": {{One: ran, Synced: ran, Pass: ran, Backlog: ran}}, "client": {{One: ran, Synced: ran, Pass: ran, Backlog: ran}}},
		Failed: map[string]string{"b": "backlog: it `broke`"},
		Faults: map[string]faults{
			"a": {
				Killed:  []trial{{Accepted: 1500, After: outcome{Result: result{Account: account{Whole: 1488, Lost: 12}}}}},
				Cut:     []trial{{Accepted: 10, After: outcome{Died: "fatal error: fault"}}},
				Flipped: []trial{{Accepted: 10, After: outcome{Result: result{Account: account{Whole: 9, Lost: 1, Damaged: 1}}}}, {Accepted: 10, After: outcome{Result: result{OpenErr: "corrupt"}}}},
				Full:    []trial{{Accepted: 2000, AppendErr: "no space", After: outcome{Result: result{AgainErr: "no space"}}}},
			},
			"b": {Failed: "gone", Skipped: "no root"},
		},
	}
	return r, []contender{{name: "a", module: "example.org/a"}, {name: "b"}, {name: "client", whole: true}}
}

func TestThePage(t *testing.T) {
	r, all := example()
	page := r.render(all, false)
	require.NotContains(t, page, "!(")
	for _, line := range []string{
		"    GOWORK=off go run . -size=200\n",
		"| file system | ext4 |\n",
		"| a | 100 k/s | 100 k/s | 100 k/s | 500 k/s | 50.0 k/s | 1.2 / 1.2 | 5.0 µs / 5.0 µs / 1.0 µs | 2.5 MB | 50 MB |\n",
		"| b | failed | failed |",
		"The same through the call of a client, with stamping and encoding: ",
		"- b, `backlog: it 'broke'`\n",
		"| a | lost 12 of 1,500 | crashes | does not open 1/2, lost 1, **hands out damaged 1/2** | refuses, lost 0 of 2,000, still refuses when drained |\n",
		"| b | failed | failed | failed | skipped |\n",
		"- a, cut: the next process: `fatal error: fault`\n",
		"- a, flipped: open: `corrupt`\n",
		"- b failed, `gone`\n",
		"- b, full disk: skipped, no root\n",
	} {
		require.Contains(t, page, line)
	}
}

func TestATerminalGetsAlignedTablesWithoutTheProse(t *testing.T) {
	r, all := example()
	text := r.render(all, true)
	require.NotContains(t, text, "|")
	require.NotContains(t, text, "SIGKILL")
	require.Contains(t, text, "store  killed            cut      flipped")
}

func TestFiguresAreMediansOfRuns(t *testing.T) {
	of := func(values ...int64) (runs []speeds) {
		for _, v := range values {
			runs = append(runs, speeds{Backlog: result{Left: v}})
		}
		return runs
	}
	left := func(s speeds) float64 { return float64(s.Backlog.Left) }
	require.EqualValues(t, 2, median(of(9, 1, 2), left))
	require.EqualValues(t, 3, median(of(4, 2), left))
}

func TestFlags(t *testing.T) {
	s, err := parse([]string{"-size", "5", "-only", "faults", "-out", "page.md", "-json=x.json"})
	require.NoError(t, err)
	require.Equal(t, settings{size: 5, limit: 3 * time.Second, reps: 1, only: "faults", out: "page.md", json: "x.json"}, s)
	for _, args := range [][]string{{"-only", "x"}, {"-size", "0"}, {"-reps", "-1"}, {"rest"}} {
		_, err := parse(args)
		require.Error(t, err)
	}
	_, err = chosen("bbolt, pebble")
	require.NoError(t, err)
	_, err = chosen("bolt")
	require.Error(t, err)
}

func TestThePageNamesNoFolderOfThisMachine(t *testing.T) {
	abs := t.TempDir()
	require.Equal(t, "page.md", argument("/some/where/page.md"))
	require.Equal(t, "-out=page.md", argument("-out=/some/where/page.md"))
	require.Equal(t, "docs/page.md", argument("docs/page.md"))
	require.Equal(t, "open log: no", oneLine("open "+abs+"/log:\n no", abs))
}

func TestLastWords(t *testing.T) {
	require.Equal(t, "panic: open x", lastWords("noise\npanic: open /d/x\n\ngoroutine 1\n", "/d"))
	require.Equal(t, "fatal error: fault", lastWords("unexpected fault address 0x1\nfatal error: fault\n", "/d"))
	require.Empty(t, lastWords("", "/d"))
}

func TestTheFileSystemOfAFolder(t *testing.T) {
	mounts := "x / ext4 rw 0 0\ny /data xfs rw 0 0\nz /database btrfs rw 0 0\n"
	require.Equal(t, "ext4", parseMounts(mounts, "/tmp/a"))
	require.Equal(t, "xfs", parseMounts(mounts, "/data/a"))
	require.Equal(t, "unknown", parseMounts("", "/data"))
}
