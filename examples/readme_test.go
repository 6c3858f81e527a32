package examples_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/analyticstest"
)

const (
	readme    = "../README.md"
	mostLines = 25
)

// TestReadme runs the first program of README.md, as it stands there, against the fake
// server.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(readme)
	require.NoError(t, err)
	block := regexp.MustCompile("(?ms)^```go\n(.*?)^```").FindSubmatch(text)
	require.NotNil(t, block, "README.md has no block of Go")
	program := string(block[1])
	require.Contains(t, program, "package main", "the first block of README.md is a whole program")
	require.LessOrEqual(t, strings.Count(program, "\n"), mostLines)

	file := filepath.Join(t.TempDir(), "main.go")
	require.NoError(t, os.WriteFile(file, block[1], 0o600))
	srv := analyticstest.NewServer()
	srv.SetRules(analyticstest.Rules{WriteKeys: []string{"readme"}})
	defer srv.Close()
	cmd := exec.CommandContext(t.Context(), "go", "run", file) // in this module, where its imports are found
	cmd.Env = append(os.Environ(), "SEGMENT_WRITE_KEY=readme", "SEGMENT_ENDPOINT="+srv.Start())
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)

	require.Positive(t, srv.Unique(), "the program of README.md sends nothing to SEGMENT_ENDPOINT: %s", out)
	require.Empty(t, srv.Rejected())
	require.Empty(t, srv.Violations())
}
