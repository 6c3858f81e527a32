package main

import (
	"go/ast"
	"go/token"
	"testing"

	"github.com/stretchr/testify/require"
)

func parsed(t *testing.T, shared *source, text string) *source {
	t.Helper()
	s := &source{types: map[string]ast.Expr{}, shared: shared, files: token.NewFileSet()}
	require.NoError(t, s.add("a.go", []byte(text)))
	return s
}

func TestSource(t *testing.T) {
	shared := parsed(t, nil, `package dest
type Hooks struct {
	// Edit edits.
	Edit func()
}
`)
	s := parsed(t, shared, `// Package acme sends events
// to Acme.io. They arrive.
//
// More on [Hooks], see [analytics.New].
//
// It is written so:
//
//	code
//
// Not here.
package acme

type Destination struct {
	// URL is where events go.
	// It may be long:
	//
	//	code
	URL string `+"`json:\"url\"`"+`

	// A and B belong together, for [Open].
	A, B int
	C    string

	Silent bool
	limits
	dest.Hooks
}

type limits struct {
	// Most is the limit.
	Most int

	Last int // is last
}
`)
	title, all := s.about()
	require.Equal(t, "Sends events to Acme.io.", title)
	require.Equal(t, "Sends events to Acme.io. They arrive.\n\nMore on Hooks, see analytics.New.", all)
	require.Equal(t, map[string]string{
		"URL": "URL is where events go.", "A": "A and B belong together, for Open.", "B": "A and B belong together, for Open.",
		"C": "A and B belong together, for Open.", "Silent": "", "Most": "Most is the limit.", "Edit": "Edit edits.",
		"Last": "is last",
	}, s.fieldDocs("Destination"))
	require.Empty(t, s.fieldDocs("Nothing"))
}

func TestSourceOfNothing(t *testing.T) {
	s, err := readSource(t.TempDir(), nil)
	require.NoError(t, err)
	title, all := s.about()
	require.Empty(t, title+all)
}
