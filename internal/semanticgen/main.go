// Semanticgen writes the typed semantic events: events.go and append.go of the
// packages ecommerce, lifecycle and b2b, and docs/semantic-events.md. All of it
// comes from the tables in this folder. Run it in the repository's root:
//
//	go run ./internal/semanticgen
//
// The packages share no code, because they import nothing of ours: each has the
// part of append.tmpl that it needs.
package main

import (
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

//go:generate go run . -root ../..

func main() {
	log.SetFlags(0)
	root := flag.String("root", ".", "the root of the repository")
	flag.Parse()

	files, err := generate()
	if err != nil {
		log.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := os.WriteFile(filepath.Join(*root, name), files[name], 0o644); err != nil {
			log.Fatal(err)
		}
	}
}

// generate returns each file by its path in the repository.
func generate() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, f := range families {
		for _, part := range []string{"events", "append"} {
			text, err := source(part, f)
			if err != nil {
				return nil, fmt.Errorf("%s.go of %s: %w", part, f.Package, err)
			}
			files[f.Package+"/"+part+".go"] = text
		}
	}
	text, err := document(families)
	if err != nil {
		return nil, fmt.Errorf("the document: %w", err)
	}
	files["docs/semantic-events.md"] = text
	return files, nil
}
