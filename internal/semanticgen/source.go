package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"go/format"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

var (
	//go:embed events.tmpl
	eventsText string

	//go:embed append.tmpl
	appendText string
)

// templates make Go files of a family.
var templates = map[string]*template.Template{
	"events": parse("events", eventsText),
	"append": parse("append", appendText),
}

func parse(name, text string) *template.Template {
	return template.Must(template.New(name).Funcs(template.FuncMap{
		"comment":   comment,
		"goName":    goName,
		"hasLegacy": hasLegacy,
		"keys":      keys,
		"quote":     strconv.Quote,
		"write":     write,
	}).Parse(text))
}

// source returns one formatted Go file of a family's package.
func source(part string, f family) ([]byte, error) {
	var b bytes.Buffer
	if err := templates[part].Execute(&b, f); err != nil {
		return nil, err
	}
	return format.Source(b.Bytes())
}

// write is the statement that encodes a field of an event.
func write(f field) string {
	switch f.Kind {
	case inline:
		return fmt.Sprintf("e.%s.fields(&o)", f.Shape)
	case item, items: // functions, as methods have no type parameters
		return fmt.Sprintf("%s(&o, %s, e.%s)", f.Kind, f.Constant(), f.Name())
	}
	return fmt.Sprintf("o.%s(%s, e.%s)", f.Kind, f.Constant(), f.Name())
}

// keys are all property keys of the family, sorted, each once.
func keys(f family) []string {
	seen := map[string]bool{}
	for _, fields := range f.structs() {
		for _, field := range fields {
			if field.Kind != inline {
				seen[field.Key] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

func hasLegacy(f family) bool {
	for _, g := range f.Groups {
		for _, e := range g.Events {
			if e.Legacy != "" {
				return true
			}
		}
	}
	return false
}

// comment is the doc comment of a name.
func comment(name, doc string) string { return wrap(name+" "+doc, "// ", 90) }

// wrap breaks text into lines that begin with prefix and have at most width bytes,
// unless one word is longer.
func wrap(text, prefix string, width int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = prefix + word
		case len(line)+1+len(word) > width:
			lines = append(lines, line)
			line = prefix + word
		default:
			line += " " + word
		}
	}
	return strings.Join(append(lines, line), "\n")
}
