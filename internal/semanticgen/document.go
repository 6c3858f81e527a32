package main

import (
	"bytes"
	_ "embed"
	"fmt"
	"strings"
	"text/template"
)

//go:embed document.tmpl
var documentText string

// document returns docs/semantic-events.md.
func document(families []family) ([]byte, error) {
	t, err := template.New("document").Funcs(template.FuncMap{
		"hasLegacy":  hasLegacy,
		"properties": properties,
		"trim":       strings.TrimSuffix,
		"wrap":       wrap,
	}).Parse(documentText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, families)
	return b.Bytes(), err
}

// properties lists fields in the cell of a table.
func properties(fields []field) string {
	if len(fields) == 0 {
		return "none"
	}
	var all []string
	for _, f := range fields {
		all = append(all, property(f))
	}
	return strings.Join(all, ", ")
}

func property(f field) string {
	switch f.Kind {
	case number:
		return fmt.Sprintf("`%s` number", f.Key)
	case boolean:
		return fmt.Sprintf("`%s` boolean", f.Key)
	case moment:
		return fmt.Sprintf("`%s` date", f.Key)
	case item:
		return fmt.Sprintf("`%s` %s", f.Key, f.Shape)
	case items:
		return fmt.Sprintf("`%s` list of %s", f.Key, f.Shape)
	case inline:
		return "those of " + f.Shape
	}
	return fmt.Sprintf("`%s`", f.Key)
}
