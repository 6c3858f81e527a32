package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// The packages are what this program writes, and nobody has edited them since.
func TestFilesAreUpToDate(t *testing.T) {
	files, err := generate()
	require.NoError(t, err)
	require.Len(t, files, 2*len(families)+1)
	for name, want := range files {
		have, err := os.ReadFile(filepath.Join("../..", name))
		require.NoError(t, err)
		have = bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n"))
		require.Equal(t, string(want), string(have), "%s is out of date, run: go run ./internal/semanticgen", name)
	}
}

// One key has one constant, so two keys must not have the same name in Go, and a field
// must not hide one of an embedded struct.
func TestNamesAreUnique(t *testing.T) {
	for _, f := range families {
		of := map[string]string{}
		name := func(goName, what string) {
			if before, ok := of[goName]; ok {
				require.Equal(t, before, what, "%s.%s", f.Package, goName)
			}
			of[goName] = what
		}
		for _, key := range keys(f) {
			name("Property"+goName(key), key)
		}
		shapes := map[string][]field{}
		for _, s := range f.Shapes {
			name(s.Name, "the shape "+s.Name)
			shapes[s.Name] = s.Fields
		}
		for _, g := range f.Groups {
			for _, e := range g.Events {
				name(e.Type(), "the event "+e.Name)
				requireUniqueFields(t, e, shapes)
			}
		}
	}
}

func requireUniqueFields(t *testing.T, e event, shapes map[string][]field) {
	t.Helper()
	seen := map[string]bool{"Extra": true}
	for _, f := range e.Fields {
		fields := []field{f}
		if f.Kind == inline {
			fields = shapes[f.Shape]
			require.NotEmpty(t, fields, "%s: no shape is named %s", e.Name, f.Shape)
		}
		for _, f := range fields {
			require.False(t, seen[f.Name()], "%s has %s twice", e.Name, f.Name())
			seen[f.Name()] = true
		}
	}
}

func TestGoName(t *testing.T) {
	for given, want := range map[string]string{
		"Product Added to Wishlist": "ProductAddedToWishlist",
		"order_id":                  "OrderID",
		"image_url":                 "ImageURL",
		"sku":                       "SKU",
		"orderId":                   "OrderID",
	} {
		require.Equal(t, want, goName(given))
	}
}

func TestTextIsWrapped(t *testing.T) {
	require.Equal(t, "// Total is the sum.", comment("Total", "is the sum."))
	require.Equal(t, "> a bb\n> ccc\n> dddddddd", wrap("a bb ccc dddddddd", "> ", 7))
}
