package analytics_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The arrows of docs/design.md: a package imports packages of lower layers, never a
// neighbour, never upwards. A package without a layer fails the test: whoever adds
// one says here where it stands.
const module = "github.com/tributary-dev/analytics"

type layer int

const (
	nowhere layer = iota
	base          // imports nothing of ours
	root
	feature
	child // parent/x: one vendor, store, source
	workspace
	program
)

var (
	// bases are the semantic events and what else knows nothing of the root;
	// internal/… belongs to them too.
	bases = []string{"b2b", "ecommerce", "fql", "lifecycle"}

	features = []string{
		"archive", "destinations/dest", "filter", "privacy", "profiles", "session", "trackingplan", "warehouse",
	}

	// parents have children of layer child, whether they are packages or mere folders.
	parents = []string{"archive", "destinations", "profiles", "sources", "telemetry", "trackingplan", "warehouse"}

	programs = []string{"benchmarks", "cmd", "examples", "integration"}

	// kits are for tests, with the contract that each may import.
	kits = map[string]string{
		"analyticstest":                "",
		"destinations/destinationtest": "",
		"destinations/dest/desttest":   "destinations/dest",
		"sources/sourcetest":           "",
		"warehouse/warehousetest":      "warehouse",
		"internal/wal/faultfs":         "internal/wal",
	}

	// foreign is all that the root module may import besides the standard
	// library. What needs more is a nested module.
	foreign = []string{
		"github.com/cenkalti/backoff/v4",
		"github.com/google/uuid",
		"github.com/klauspost/compress",
		"golang.org/x/sys",
	}

	foreignInTests = []string{"github.com/stretchr/testify"}
)

// layerOf takes a path inside the module; the root's is empty.
func layerOf(pkg string) layer {
	pkg = home(pkg)
	top, rest, _ := strings.Cut(pkg, "/")
	switch {
	case pkg == "":
		return root
	case top == "internal", slices.Contains(bases, pkg):
		return base
	case slices.Contains(features, pkg):
		return feature
	case top == "workspace":
		return workspace
	case slices.Contains(programs, top):
		return program
	case slices.Contains(parents, top) && rest != "":
		return child
	}
	return nowhere
}

// placed tells whether it was decided where pkg stands.
func placed(pkg string) bool {
	_, kit := kits[pkg]
	return kit || layerOf(pkg) != nowhere
}

// home is the package that pkg is a part of: warehouse/internal/sql belongs to
// warehouse, and all examples and benchmarks are one each.
func home(pkg string) string {
	top, _, _ := strings.Cut(pkg, "/")
	if top == "examples" || top == "benchmarks" || top == "integration" {
		return top
	}
	pkg, _, _ = strings.Cut(pkg+"/", "/internal/")
	return strings.TrimSuffix(pkg, "/")
}

// refused says why one package of ours must not import another, or nothing.
func refused(importer, imported string) string {
	from, to := layerOf(importer), layerOf(imported)
	contract, isKit := kits[importer]
	_, ofKit := kits[imported]
	switch {
	case !placed(importer):
		return "the importer has no layer in deps_test.go"
	case !placed(imported):
		return "the imported package has no layer in deps_test.go"
	case isKit && imported != "" && imported != contract:
		return "a kit imports its contract only"
	case isKit:
		return ""
	case ofKit && from != program:
		return "kits are for tests, and must not end up in users' binaries"
	case ofKit, home(importer) == home(imported):
		return ""
	case imported == "destinations/dest" && from == child && !strings.HasPrefix(importer, "destinations/"):
		return "only destinations share destinations/dest"
	case from == to:
		return "neighbours do not import each other"
	case from < to:
		return "the arrow points the other way"
	}
	return ""
}

// refusedInTest is refused for test files, which may use kits and, being external,
// import the package that they test.
func refusedInTest(importer, imported string) string {
	if _, ok := kits[imported]; ok || importer == imported {
		return ""
	}
	return refused(importer, imported)
}

// refusedForeign does the same for what is not ours.
func refusedForeign(imported string, allowed []string) string {
	for _, a := range allowed {
		if imported == a || strings.HasPrefix(imported, a+"/") {
			return ""
		}
	}
	return "not on the root module's list of dependencies"
}

func TestArrowsRefuse(t *testing.T) {
	const ok = ""
	for _, c := range []struct{ importer, imported, want string }{
		{"internal/retry", "", "the other way"},
		{"internal/retry", "internal/wal", "neighbours"},
		{"ecommerce", "", "the other way"},
		{"ecommerce", "fql", "neighbours"},
		{"", "internal/retry", ok},
		{"", "fql", ok},
		{"", "filter", "the other way"},
		{"", "destinations/dest", "the other way"},
		{"", "analyticstest", "for tests"},
		{"", "destinations/destinationtest", "for tests"},
		{"filter", "", ok},
		{"filter", "fql", ok},
		{"filter", "privacy", "neighbours"},
		{"filter", "warehouse/sqlite", "the other way"},
		{"filter", "analyticstest", "for tests"},
		{"warehouse", "warehouse/internal/sql", ok},
		{"warehouse", "warehouse/sqlite", "the other way"},
		{"warehouse/internal/sql", "filter", "neighbours"},
		{"warehouse/sqlite", "warehouse", ok},
		{"warehouse/sqlite", "warehouse/postgres", "neighbours"},
		{"warehouse/sqlite", "warehouse/warehousetest", "for tests"},
		{"destinations/amplitude", "", ok},
		{"destinations/amplitude", "destinations/dest", ok},
		{"destinations/amplitude", "destinations/mixpanel", "neighbours"},
		{"destinations/amplitude", "workspace", "the other way"},
		{"destinations/dest", "destinations/amplitude", "the other way"},
		{"destinations/dest", "filter", "neighbours"},
		{"sources/trackingapi", "destinations/dest", "only destinations"},
		{"filter", "destinations/dest", "neighbours"},
		{"destinations/destinationtest", "", ok},
		{"destinations/destinationtest", "analyticstest", "contract only"},
		{"warehouse/warehousetest", "warehouse", ok},
		{"analyticstest", "internal/retry", "contract only"},
		{"workspace", "destinations/amplitude", ok},
		{"workspace", "cmd/e2e", "the other way"},
		{"cmd/analytics", "workspace", ok},
		{"cmd/analytics", "cmd/e2e", "neighbours"},
		{"cmd/analytics", "cmd/analytics/internal/ui", ok},
		{"examples/testing", "analyticstest", ok},
		{"examples/quickstart", "examples/quickstart/gen", ok},
		{"examples/quickstart", "benchmarks/internal/sdk", "neighbours"},
		{"", "utils", "imported package has no layer"},
		{"utils", "", "importer has no layer"},
		{"telemetry", "", "importer has no layer"},
		{"telemetry/otel", "", ok},
	} {
		got := refused(c.importer, c.imported)
		if c.want == ok {
			require.Empty(t, got, "%q imports %q", c.importer, c.imported)
		} else {
			require.Contains(t, got, c.want, "%q imports %q", c.importer, c.imported)
		}
	}

	require.Empty(t, refusedInTest("", ""))
	require.Empty(t, refusedInTest("", "analyticstest"))
	require.Empty(t, refusedInTest("destinations/amplitude", "destinations/destinationtest"))
	require.NotEmpty(t, refusedInTest("", "filter"))
	require.NotEmpty(t, refusedInTest("filter", "privacy"))

	require.Empty(t, refusedForeign("github.com/klauspost/compress", foreign))
	require.Empty(t, refusedForeign("github.com/klauspost/compress/gzip", foreign))
	require.NotEmpty(t, refusedForeign("github.com/klauspost/compressor", foreign))
	require.NotEmpty(t, refusedForeign("github.com/stretchr/testify/require", foreign))
	require.NotEmpty(t, refusedForeign("golang.org/x/sync/errgroup", foreign))
}

func TestArrows(t *testing.T) {
	openFolders(t)
	for _, system := range []string{"linux", "darwin", "windows"} {
		t.Run(system, func(t *testing.T) {
			t.Parallel()
			packages := list(t, system, "work")
			require.NotEmpty(t, packages)
			for _, p := range packages {
				if pkg, _ := inside(p.ImportPath); !placed(pkg) {
					t.Errorf("%s has no layer in deps_test.go", p.ImportPath)
				}
				for _, imported := range p.Imports {
					if why := p.refuses(imported, refused, foreign); why != "" {
						t.Errorf("%s imports %s: %s", p.ImportPath, imported, why)
					}
				}
				for _, imported := range slices.Concat(p.TestImports, p.XTestImports) {
					if why := p.refuses(imported, refusedInTest, slices.Concat(foreign, foreignInTests)); why != "" {
						t.Errorf("a test of %s imports %s: %s", p.ImportPath, imported, why)
					}
				}
			}
		})
	}
}

// TestDependencies looks at what users link: all that the packages of the root module
// pull in, through other modules too.
func TestDependencies(t *testing.T) {
	openFolders(t)
	for _, p := range list(t, "linux", "-deps", "./...") {
		if p.Standard || p.Module.Path == module {
			continue
		}
		require.Empty(t, refusedForeign(p.ImportPath, foreign), p.ImportPath)
	}
}

// goPackage is the part of go list's answer that matters here.
type goPackage struct {
	ImportPath   string
	Standard     bool
	Module       struct{ Path string }
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// refuses applies rule to imports within our modules, and the list of dependencies to
// the others, from which nested modules are free.
func (p goPackage) refuses(imported string, rule func(importer, imported string) string, allowed []string) string {
	host, _, _ := strings.Cut(imported, "/")
	switch ours, ok := inside(imported); {
	case ok:
		importer, _ := inside(p.ImportPath)
		return rule(importer, ours)
	case !strings.Contains(host, "."): // the standard library, or C
		return ""
	case p.Module.Path != module:
		return ""
	}
	return refusedForeign(imported, allowed)
}

// inside cuts the module's path off.
func inside(pkg string) (string, bool) {
	if pkg == module {
		return "", true
	}
	return strings.CutPrefix(pkg, module+"/")
}

// openFolders opens each folder of the repository. The result of a test is cached until
// something changes that the test itself has opened, and what go list reads is not that.
func openFolders(t *testing.T) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && name != "." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		return err
	}))
}

// list runs go list as on the given system. A package that does not build is listed
// all the same: compiling is another test's business.
func list(t *testing.T, system string, args ...string) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"list", "-e", "-json"}, args)...)
	cmd.Env = append(os.Environ(), "GOOS="+system)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	require.NoError(t, err, complaints.String())

	var packages []goPackage
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		}
		require.NoError(t, err)
		packages = append(packages, p)
	}
}
