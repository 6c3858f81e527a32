package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuick(t *testing.T) {
	if testing.Short() {
		t.Skip("measures for some seconds")
	}
	out := filepath.Join(t.TempDir(), "page.md")
	require.NoError(t, measure(t.Context(), []string{"-quick", "-out", out}))
	page, err := os.ReadFile(out)
	require.NoError(t, err)
	for _, d := range adapters() {
		require.Contains(t, string(page), "| "+d.Describe().Name+" |")
	}
	require.Equal(t, 2, strings.Count(string(page), "behind one log ("))
}
