package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

func settingsTable(b *strings.Builder, settings []catalog.Setting) {
	row(b, "setting", "in JSON", "type", "default", "required", "secret", "what")
	b.WriteString("|---|---|---|---|---|---|---|\n")
	for _, s := range settings {
		settingRow(b, s)
		for _, f := range s.Fields {
			f.Field, f.Key = s.Field+"."+f.Field, s.Key+"."+f.Key
			settingRow(b, f)
		}
	}
}

func settingRow(b *strings.Builder, s catalog.Setting) {
	row(b, code(s.Field), codeOr(s.Key), kind(s), codeOr(s.Default), yes(s.Required), yes(s.Secret), plainText.Replace(s.Doc))
}

func kind(s catalog.Setting) string {
	if s.OneOf == nil {
		return s.Type
	}
	var values []string
	for _, v := range s.OneOf {
		values = append(values, code(v))
	}
	return strings.Join(values, ", ")
}

// codeOr marks what is not empty as code.
func codeOr(s string) string {
	if s == "" {
		return ""
	}
	return code(s)
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// limitsTable has the columns that any row fills.
func limitsTable(b *strings.Builder, e *catalog.Entry) {
	head := []string{"lane", "with", "items", "bytes", "bytes of an item", "rate", "requests at a time", "waits", "time-out"}
	rows := limits("", e.Lanes)
	for _, c := range e.Changes {
		rows = append(rows, limits(c.With, c.Lanes)...)
	}
	for i := len(head) - 1; i >= 0; i-- {
		if slices.ContainsFunc(rows, func(cells []string) bool { return cells[i] != "" }) {
			continue
		}
		head = slices.Delete(head, i, i+1)
		for r := range rows {
			rows[r] = slices.Delete(rows[r], i, i+1)
		}
	}
	row(b, head...)
	b.WriteString(strings.Repeat("|---", len(head)) + "|\n")
	for _, cells := range rows {
		row(b, cells...)
	}
}

func limits(setting string, lanes []catalog.Lane) (rows [][]string) {
	for _, l := range lanes {
		item := ""
		if l.MaxItemBytes > 0 {
			item = l.MaxItemBytes.String()
		}
		var rates []string
		for _, r := range l.Rates {
			rates = append(rates, r.String())
		}
		rows = append(rows, []string{
			l.Name, with(setting), fmt.Sprint(l.MaxItems), l.MaxBytes.String(), item,
			strings.Join(rates, "; "), fmt.Sprint(l.Concurrency), l.Linger, l.Timeout,
		})
	}
	return rows
}

// with marks the setting and its value.
func with(setting string) string {
	field, value, ok := strings.Cut(setting, " ")
	if !ok {
		return codeOr(field)
	}
	return code(field) + " " + code(value)
}
