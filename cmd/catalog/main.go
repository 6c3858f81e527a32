// Catalog writes what the adapters in destinations/ say of themselves into
// destinations/catalog/entries.go and docs/destinations.md: the limits of Describe, the
// settings with their tags, and the comments of both. Run it in the repository's root:
//
//	go run ./cmd/catalog         # refresh both
//	go run ./cmd/catalog -check  # exit 1 when one of them is out of date
//
// A new adapter gets a row in adapters.go. After a change of the catalogue's types, under
// which entries.go does not compile, let its functions return nil and run this.
package main

import (
	"bytes"
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

func main() {
	log.SetFlags(0)
	check := flag.Bool("check", false, "compare with the files and change nothing")
	flag.Parse()

	want, err := generate(".", adapters)
	if err != nil {
		log.Fatal(err)
	}
	if !*check {
		if err := write(want); err != nil {
			log.Fatal(err)
		}
		return
	}
	diff, err := compare(want)
	if err != nil {
		log.Fatal(err)
	}
	if diff != "" {
		log.Fatalf("%sthe catalogue is out of date; if the change is meant, run: make catalog", diff)
	}
}

// generate returns the files that are written, by name. root is that of the repository.
func generate(root string, adapters []adapter) (map[string]string, error) {
	shared, err := readSource(filepath.Join(root, "destinations", "dest"), nil)
	if err != nil {
		return nil, err
	}
	var entries []catalog.Entry
	for _, a := range adapters {
		e, err := a.entry(root, shared)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", a.importPath(), err)
		}
		entries = append(entries, e)
	}
	hooks, err := settings(hooks(), shared.fieldDocs("Hooks"))
	if err != nil {
		return nil, err
	}
	code, err := goFile(entries, hooks)
	if err != nil {
		return nil, err
	}
	return map[string]string{
		"destinations/catalog/entries.go": code,
		"docs/destinations.md":            page(entries, hooks),
	}, nil
}

func write(files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// compare lists the lines that went (-) and came (+), by file. Empty means that nothing
// differs.
func compare(want map[string]string) (string, error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(want)) {
		text, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		have := string(bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")))
		if have == want[name] {
			continue
		}
		fmt.Fprintln(&b, name)
		without(&b, "- ", have, want[name])
		without(&b, "+ ", want[name], have)
	}
	return b.String(), nil
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
