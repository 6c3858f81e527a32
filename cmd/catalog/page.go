package main

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tributary-dev/analytics/destinations/catalog"
)

const pageHead = `# Destinations

The adapters that come with the library. Each is a package in [destinations/](../destinations) whose type ` + "`Destination`" + ` has its settings
as fields:

` + "```go" + `
client, err := analytics.New(analytics.Config{
	Destinations: []analytics.Destination{
		&posthog.Destination{APIKey: os.Getenv("POSTHOG_KEY")},
	},
})
` + "```" + `

` + "`New`" + ` checks the settings and names every fault at once. What happens to an event is in [delivery.md](delivery.md); how to write an
adapter of your own in [writing-a-destination.md](writing-a-destination.md).

This page is written by ` + "`go run ./cmd/catalog`" + ` from the adapters themselves. Programs find the same in the package
` + "`destinations/catalog`" + `, which links none of them; on a command line, ` + "`analytics destinations [NAME]`" + ` prints it.

`

const overviewHead = `## Overview

Calls: T track, P page, S screen, I identify, G group, A alias, O object; those in parentheses need a setting. Order: what stays in
order. Per request: the most items and bytes in any of the requests.

| name | package | category | API | calls | order | per request | auth |
|---|---|---|---|---|---|---|---|
`

const hooksHead = `
## Settings of all of them

Every adapter has these besides its own, in ` + "`dest.Hooks`" + `; the tables further down leave them out. They are asked in this order. All of
them have to be deterministic: an event is translated again after a restart.

`

const settingsNote = `
A setting that is left at zero has its default. Those without a name in JSON can be set in Go only. Secret settings never print: logs,
errors and ` + "`fmt`" + ` show ` + "`[hidden]`" + ` in their place. ` + "`encoding/json`" + ` writes them, since it is how
settings are stored: log an adapter, not a list of them, where logs are JSON.

In the tables of limits, a row *with* a setting says what holds once that is set. A rate that is not given is not limited, and a request
waits for others as long as the client's ` + "`FlushInterval`" + ` where no wait is given.
`

// page is docs/destinations.md.
func page(entries []catalog.Entry, hooks []catalog.Setting) string {
	var b strings.Builder
	b.WriteString(pageHead + overviewHead)
	for i := range entries {
		e := &entries[i]
		row(&b, link(e.Name), code(path.Base(e.Package)), e.Category, e.API, letters(e), order(e.Order), most(e), cmp.Or(e.Auth, "–"))
	}
	b.WriteString(hooksHead)
	settingsTable(&b, hooks)
	b.WriteString(settingsNote)
	for i := range entries {
		section(&b, &entries[i])
	}
	return b.String()
}

func section(b *strings.Builder, e *catalog.Entry) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", e.Name, plainText.Replace(e.Doc))
	fmt.Fprintf(b, "```go\n%s\n```\n\n", e.Example)
	fmt.Fprintf(b, "In the integrations object it is %s.\n\n", either(append([]string{e.Name}, e.Aliases...)))
	settingsTable(b, e.Settings)
	b.WriteString("\n")
	limitsTable(b, e)
	for _, c := range e.Changes {
		if c.Calls != nil {
			fmt.Fprintf(b, "\nWith %s the calls are %s.\n", with(c.With), strings.Join(c.Calls, ", "))
		}
		if c.Order != "" {
			fmt.Fprintf(b, "\nWith %s the order is %s.\n", with(c.With), c.Order)
		}
	}
}

func row(b *strings.Builder, cells ...string) {
	for _, c := range cells {
		b.WriteString("| " + strings.ReplaceAll(c, "|", `\|`) + " ")
	}
	b.WriteString("|\n")
}

func code(s string) string { return "`" + s + "`" }

// either lists names.
func either(names []string) string {
	for i := range names {
		names[i] = code(names[i])
	}
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// plainText keeps what comments hold from being markup.
var plainText = strings.NewReplacer("<", "&lt;", "*", `\*`)

// link leads to the section with the heading.
func link(heading string) string {
	anchor := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z':
			return r
		}
		return -1
	}, strings.ToLower(heading))
	return fmt.Sprintf("[%s](#%s)", heading, anchor)
}

// letters are the calls as in the legend.
func letters(e *catalog.Entry) string {
	var always, maybe string
	for _, c := range callOrder {
		letter := strings.ToUpper(string(c)[:1])
		has := func(calls []string) bool { return slices.Contains(calls, string(c)) }
		switch {
		case has(e.Calls):
			always += letter
		case slices.ContainsFunc(e.Changes, func(c catalog.Change) bool { return has(c.Calls) }):
			maybe += letter
		}
	}
	if maybe != "" {
		maybe = "(" + maybe + ")"
	}
	return always + maybe
}

func order(name string) string {
	if name == "unordered" {
		return "–"
	}
	return name
}

// most is the largest request in any lane and with any setting.
func most(e *catalog.Entry) string {
	items, bytes := 0, catalog.Bytes(0)
	see := func(lanes []catalog.Lane) {
		for _, l := range lanes {
			items, bytes = max(items, l.MaxItems), max(bytes, l.MaxBytes)
		}
	}
	see(e.Lanes)
	for _, c := range e.Changes {
		see(c.Lanes)
	}
	return fmt.Sprintf("%d, %s", items, bytes)
}
