package main

import (
	"net/http"
	"os"
	"path"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/tributary-dev/analytics/destinations/dest"
	"github.com/tributary-dev/analytics/destinations/dest/desttest"
)

func TestEveryAdapterIsInTheTable(t *testing.T) {
	var have, want []string
	for _, a := range adapters {
		have = append(have, path.Base(a.importPath()))
	}
	folders, err := os.ReadDir("../../destinations")
	require.NoError(t, err)
	for _, f := range folders {
		src, err := readSource(filepath.Join("../../destinations", f.Name()), nil)
		require.NoError(t, err)
		if _, ok := src.types["Destination"]; ok {
			want = append(want, f.Name())
		}
	}
	require.ElementsMatch(t, want, have)
}

// What the page shows as an example has to be accepted.
func TestExamplesOpen(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, a := range adapters {
		t.Run(path.Base(a.importPath()), func(t *testing.T) {
			desttest.Open(t, a.example, desttest.Serve(http.NotFoundHandler()))
		})
	}
}

// The tables of settings leave the hooks out, since all have them.
func TestAdaptersHaveAllHooks(t *testing.T) {
	require.NotEmpty(t, hooks())
	for _, a := range adapters {
		require.Len(t, dest.SettingsOf(a.example), len(own(a.example))+len(hooks()), a.importPath())
	}
}

func TestCompareNamesEachLine(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("same", []byte("a\r\nb\r\n"), 0o600))
	require.NoError(t, os.WriteFile("changed", []byte("a\nb\nc\n"), 0o600))
	want := map[string]string{"same": "a\nb\n", "changed": "a\nd\nc\n"}
	diff, err := compare(want)
	require.NoError(t, err)
	require.Equal(t, "changed\n- b\n+ d\n", diff)

	require.NoError(t, write(want))
	diff, err = compare(want)
	require.NoError(t, err)
	require.Empty(t, diff)

	_, err = compare(map[string]string{"missing": ""})
	require.ErrorIs(t, err, os.ErrNotExist)
}
