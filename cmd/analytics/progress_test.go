package main

import (
	"bytes"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestBar(t *testing.T) {
	var out bytes.Buffer
	c := command{stderr: &out, terminal: true}
	b := c.bar("verify", 2<<20, true)
	first := out.String()
	require.Contains(t, first, "verify")
	require.Contains(t, first, "["+string(bytes.Repeat([]byte("."), barWidth))+"]")
	b.add(1 << 20)
	b.add(5 << 20)
	require.Regexp(t, regexp.MustCompile(`verify 100% \[#{30}\] \(2\.0 ?/2\.0 ?MiB`), out.String())
	b.clear()
	require.True(t, bytes.HasSuffix(out.Bytes(), []byte("\x1b[2K\r")), "%q", out.String())
	n := out.Len()
	b.clear()
	require.Equal(t, n, out.Len(), "what is not there is not taken away")
}

func TestNoBarWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	c := command{stderr: &out}
	b := c.bar("verify", 2, false)
	b.add(1)
	b.clear()
	require.Empty(t, out.String())
}

func TestLinesWithoutATerminal(t *testing.T) {
	var out bytes.Buffer
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := command{stderr: &out, now: func() time.Time { return now }}
	b := c.longBar("replay", 50, false)
	for range 12 {
		now = now.Add(time.Second)
		b.add(4)
	}
	b.clear()
	require.Equal(t, "replay: 20 of 50\nreplay: 40 of 50\n", out.String())

	out.Reset()
	b = c.longBar("verify", 2<<20, true)
	now = now.Add(lineEvery)
	b.add(1 << 20)
	require.Equal(t, "verify: 1.0 MiB of 2.0 MiB\n", out.String())
}
