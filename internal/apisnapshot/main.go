// Apisnapshot writes what each public package exports into api/, one line for
// every constant, variable, function, type, field and method, so that a change
// of the API is a change of a file that somebody reads. Run it in the
// repository's root:
//
//	go run ./internal/apisnapshot         # refresh api/
//	go run ./internal/apisnapshot -check  # exit 1 when api/ is out of date
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"io/fs"
	"log"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// module is the path that all public packages share, nested modules included.
const module = "github.com/tributary-dev/analytics"

func main() {
	log.SetFlags(0)
	check := flag.Bool("check", false, "compare with api/ and change nothing")
	flag.Parse()

	want, err := describeAll()
	if err != nil {
		log.Fatal(err)
	}
	if !*check {
		if err := write("api", want); err != nil {
			log.Fatal(err)
		}
		return
	}
	have, err := read("api")
	if err != nil {
		log.Fatal(err)
	}
	if diff := compare(have, want); diff != "" {
		log.Fatalf("%sapi/ is out of date; if the change is meant, run: make api", diff)
	}
}

// describeAll returns, for each file of the snapshot, what it should contain.
func describeAll() (map[string]string, error) {
	exports, err := build()
	if err != nil {
		return nil, err
	}
	open := func(pkg string) (io.ReadCloser, error) { return os.Open(exports[pkg]) }
	compiled := importer.ForCompiler(token.NewFileSet(), "gc", open)

	files := map[string]string{}
	for _, p := range slices.Sorted(maps.Keys(exports)) {
		if !public(p) {
			continue
		}
		pkg, err := compiled.Import(p)
		if err != nil {
			return nil, fmt.Errorf("read what %s exports: %w", p, err)
		}
		if pkg.Name() != "main" {
			files[fileName(p)] = describe(pkg)
		}
	}
	return files, nil
}

// build compiles all packages of the workspace and returns where the compiler
// left the export data of each, and of each package that they import. It is
// always Linux that is described: the snapshot must not depend on who makes it.
func build() (map[string]string, error) {
	cmd := exec.Command("go", "list", "-e", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}", "work")
	cmd.Env = append(os.Environ(), "GOOS=linux")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(out)) {
		pkg, file, _ := strings.Cut(strings.TrimSpace(line), " ")
		exports[pkg] = file
	}
	return exports, nil
}

// public tells whether others can import the package and should.
func public(pkg string) bool {
	inside, ok := strings.CutPrefix(pkg+"/", module+"/")
	if !ok {
		return false
	}
	top, _, _ := strings.Cut(inside, "/")
	switch top {
	case "benchmarks", "cmd", "examples", "integration":
		return false
	}
	return !strings.Contains("/"+inside, "/internal/")
}

// fileName is analytics.txt for the root and the package's own path for others.
func fileName(pkg string) string {
	if pkg == module {
		return path.Base(module) + ".txt"
	}
	return strings.TrimPrefix(pkg, module+"/") + ".txt"
}

func read(dir string) (map[string]string, error) {
	files := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".txt" {
			return err
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		files[filepath.ToSlash(rel)] = string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil // the first snapshot
	}
	return files, err
}

// write makes dir hold the given files, and removes snapshots of packages that
// are gone.
func write(dir string, files map[string]string) error {
	have, err := read(dir)
	if err != nil {
		return err
	}
	for name := range have {
		if _, ok := files[name]; !ok {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare lists the lines that went (-) and came (+), by file. Empty means that
// nothing differs.
func compare(have, want map[string]string) string {
	names := map[string]bool{}
	for name := range have {
		names[name] = true
	}
	for name := range want {
		names[name] = true
	}
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if have[name] == want[name] {
			continue
		}
		fmt.Fprintf(&b, "api/%s\n", name)
		without(&b, "- ", have[name], want[name])
		without(&b, "+ ", want[name], have[name])
	}
	return b.String()
}

// without writes the lines of text that other does not have.
func without(b *strings.Builder, mark, text, other string) {
	known := map[string]bool{}
	for line := range strings.Lines(other) {
		known[line] = true
	}
	for line := range strings.Lines(text) {
		if !known[line] {
			b.WriteString(mark + line)
		}
	}
}

// describe returns a line for each exported name of the package, sorted.
func describe(pkg *types.Package) string {
	d := describer{pkg: pkg}
	for _, name := range pkg.Scope().Names() {
		if obj := pkg.Scope().Lookup(name); obj.Exported() {
			d.object(obj)
		}
	}
	slices.Sort(d.lines)
	return strings.Join(d.lines, "")
}

type describer struct {
	pkg   *types.Package
	lines []string
}

func (d *describer) line(format string, args ...any) {
	d.lines = append(d.lines, fmt.Sprintf(format+"\n", args...))
}

// spell writes a type the way the package's own source would.
func (d *describer) spell(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string {
		if p == d.pkg {
			return ""
		}
		return p.Name()
	})
}

func (d *describer) object(obj types.Object) {
	switch obj := obj.(type) {
	case *types.Const:
		d.line("const %s %s = %s", obj.Name(), d.spell(obj.Type()), obj.Val().ExactString())
	case *types.Var:
		d.line("var %s %s", obj.Name(), d.spell(obj.Type()))
	case *types.Func:
		d.line("func %s%s", obj.Name(), d.signature(obj))
	case *types.TypeName:
		if alias, ok := obj.Type().(*types.Alias); ok {
			d.line("type %s = %s", obj.Name(), d.spell(alias.Rhs()))
			return
		}
		d.typeName(obj)
	}
}

// typeName describes a type with all that can be selected from it. Names that a
// type owes to an embedded one count as its own.
func (d *describer) typeName(obj *types.TypeName) {
	name := obj.Name()
	switch t := obj.Type().Underlying().(type) {
	case *types.Struct:
		d.line("type %s struct", d.spell(obj.Type()))
		d.fields(name, t)
	case *types.Interface:
		d.line("type %s interface%s", d.spell(obj.Type()), closed(t))
		for m := range t.Methods() {
			if m.Exported() {
				d.line("method (%s) %s%s", name, m.Name(), d.signature(m))
			}
		}
		return
	default:
		d.line("type %s %s", d.spell(obj.Type()), d.spell(t))
	}
	values := types.NewMethodSet(obj.Type())
	for m := range types.NewMethodSet(types.NewPointer(obj.Type())).Methods() {
		if !m.Obj().Exported() {
			continue
		}
		receiver := "*" + name
		if values.Lookup(d.pkg, m.Obj().Name()) != nil {
			receiver = name
		}
		d.line("method (%s) %s%s", receiver, m.Obj().Name(), d.signature(m.Obj()))
	}
}

func (d *describer) fields(name string, t *types.Struct) {
	for i := range t.NumFields() {
		f := t.Field(i)
		switch {
		case f.Exported():
			tag := t.Tag(i)
			if tag != "" {
				tag = " `" + tag + "`"
			}
			d.line("field %s.%s %s%s", name, f.Name(), d.spell(f.Type()), tag)
		case f.Embedded(): // its exported fields are reachable all the same
			if inner, ok := f.Type().Underlying().(*types.Struct); ok {
				d.fields(name, inner)
			}
		}
	}
}

func (d *describer) signature(f types.Object) string {
	return strings.TrimPrefix(d.spell(f.Type()), "func")
}

// closed notes that no other package can implement the interface.
func closed(t *types.Interface) string {
	for m := range t.Methods() {
		if !m.Exported() {
			return " // closed"
		}
	}
	return ""
}
