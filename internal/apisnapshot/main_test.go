package main

import (
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

const source = `package shop

import "time"

const Limit = 10
const (
	Red Colour = iota
	Green
)
const hidden = 1

var ErrSold = error(nil)
var Total, cost = 1.5, 2

type Colour uint8

func (c Colour) String() string { return "" }

type Cart struct {
	base
	Items []Item ` + "`json:\"items\"`" + `
	owner string
}

type base struct {
	Opened time.Time
	secret string
}

func (b *base) Close() error { return nil }
func (b *base) reset() {}

type Item = struct{ Name string }

type Goods interface {
	Price() (cents int, err error)
	sealed()
}

type Open interface{ Open() }

type Set[T comparable] map[T]bool

func (s Set[T]) Has(t T) bool { return s[t] }

func New(name string, more ...func(*Cart)) *Cart { return nil }
func internal() {}
`

func TestDescribe(t *testing.T) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "shop.go", source, 0)
	require.NoError(t, err)
	conf := types.Config{Importer: importer.ForCompiler(fset, "source", nil)}
	pkg, err := conf.Check("shop", fset, []*ast.File{file}, nil)
	require.NoError(t, err)

	require.Equal(t, `const Green Colour = 1
const Limit untyped int = 10
const Red Colour = 0
field Cart.Items []Item `+"`json:\"items\"`"+`
field Cart.Opened time.Time
func New(name string, more ...func(*Cart)) *Cart
method (*Cart) Close() error
method (Colour) String() string
method (Goods) Price() (cents int, err error)
method (Open) Open()
method (Set) Has(t T) bool
type Cart struct
type Colour uint8
type Goods interface // closed
type Item = struct{Name string}
type Open interface
type Set[T comparable] map[T]bool
var ErrSold error
var Total float64
`, describe(pkg))
}

func TestPublic(t *testing.T) {
	for pkg, want := range map[string]bool{
		module:                           true,
		module + "/destinations/dest":    true,
		module + "/internal/retry":       false,
		module + "/warehouse/internal/x": false,
		module + "/cmd/e2e":              false,
		module + "/examples/quickstart":  false,
		module + "-next":                 false,
		"net/http":                       false,
	} {
		require.Equal(t, want, public(pkg), pkg)
	}
}

func TestCompareNamesEachLine(t *testing.T) {
	have := map[string]string{"same.txt": "a\n", "changed.txt": "a\nb\n", "gone.txt": "c\n"}
	want := map[string]string{"same.txt": "a\n", "changed.txt": "a\nd\n", "new.txt": "e\n"}
	require.Empty(t, compare(have, have))
	require.Equal(t, "api/changed.txt\n- b\n+ d\napi/gone.txt\n- c\napi/new.txt\n+ e\n", compare(have, want))
}

func TestWriteRemovesWhatIsGone(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, write(dir, map[string]string{"old/gone.txt": "x\n"}))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "README.md"), []byte("kept"), 0o600))

	files := map[string]string{"analytics.txt": "a\n", "destinations/dest.txt": "b\n"}
	require.NoError(t, write(dir, files))

	have, err := read(dir)
	require.NoError(t, err)
	require.Equal(t, files, have)
	require.FileExists(t, filepath.Join(dir, "README.md"))
}
