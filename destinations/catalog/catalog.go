// Package catalog says what the adapters in destinations/ take and which settings they
// have, without linking any of them: for user interfaces, documents and whoever checks a
// configuration. All of it can be printed as JSON.
//
// It is written from the adapters themselves by go run ./cmd/catalog, and CI fails where
// the two differ.
package catalog

import (
	"path"
	"slices"
	"strings"
)

// All returns the adapters, the most asked for first. The list is the caller's.
func All() []Entry { return entries() }

// Hooks returns the settings that every adapter has besides its own.
func Hooks() []Setting { return hooks() }

// Find returns the adapter that has the name, see [Entry.Is].
func Find(name string) (Entry, bool) {
	all := entries()
	i := slices.IndexFunc(all, func(e Entry) bool { return e.Is(name) })
	if i < 0 {
		return Entry{}, false
	}
	return all[i], true
}

// An Entry is one adapter.
type Entry struct {
	// Name is the adapter's key in the integrations object, Aliases are other keys for it.
	Name    string   `json:"name"`
	Aliases []string `json:"aliases,omitempty"`

	// Package is its import path. Its type is always named Destination.
	Package string `json:"package"`

	// Title is a sentence, Doc a few more that begin with it, in paragraphs.
	Title string `json:"title"`
	Doc   string `json:"doc"`

	// Category is that of the tool, API what is called there, Auth how; in a few words.
	// Auth is empty where there is nothing to authorize.
	Category string `json:"category"`
	API      string `json:"api"`
	Auth     string `json:"auth,omitempty"`

	// Calls are those that are supported: "track", "page" and so on.
	Calls []string `json:"calls"`

	// Order is what is kept in order: "unordered" is nothing, "total" everything; with
	// "per user" or "per channel" it is what belongs to one of them.
	Order string `json:"order"`

	// Lanes are the kinds of request, by name.
	Lanes []Lane `json:"lanes"`

	// Changes say what is different with certain settings.
	Changes []Change `json:"changes,omitempty"`

	// Settings are those of the adapter itself; see [Hooks] for the others.
	Settings []Setting `json:"settings"`

	// Example is the adapter with the settings that it cannot do without, in Go.
	Example string `json:"example"`
}

// Is tells whether name, in whatever case, is that of the adapter's package, its Name or
// one of its Aliases.
func (e *Entry) Is(name string) bool {
	same := func(other string) bool { return strings.EqualFold(name, other) }
	return same(path.Base(e.Package)) || same(e.Name) || slices.ContainsFunc(e.Aliases, same)
}

// A Change is what one setting changes in what an adapter takes.
type Change struct {
	// With is the setting, and its value where that is one of several.
	With string `json:"with"`

	// Calls and Order are those of the adapter with this setting, empty where they do not
	// change.
	Calls []string `json:"calls,omitempty"`
	Order string   `json:"order,omitempty"`

	// Lanes are those that come, or have other limits.
	Lanes []Lane `json:"lanes,omitempty"`
}

// A Lane is one kind of request with its limits.
type Lane struct {
	// Name is empty where there is one kind only, or for the main one.
	Name string `json:"name"`

	// MaxItems and MaxBytes are the most in a request. MaxItemBytes is the most for an
	// item; zero: what fits into a request.
	MaxItems     int   `json:"maxItems"`
	MaxBytes     Bytes `json:"maxBytes"`
	MaxItemBytes Bytes `json:"maxItemBytes,omitempty"`

	// Rates all apply.
	Rates []Rate `json:"rates,omitempty"`

	// Concurrency is the most requests at a time.
	Concurrency int `json:"concurrency"`

	// Linger is how long an item waits for others, such as "1s"; "0s": not at all;
	// empty: as long as the client's FlushInterval.
	Linger string `json:"linger,omitempty"`

	// Timeout ends a request, such as "30s".
	Timeout string `json:"timeout"`
}

// A Setting is a field of an adapter.
type Setting struct {
	// Field is its name in Go, Key that in JSON. Without a Key it can be set in Go only.
	Field string `json:"field"`
	Key   string `json:"key,omitempty"`

	// Type is "string", "int", "bool", "duration", "list", "map", "func" and so on.
	Type string `json:"type"`

	// Default is what zero means, OneOf the values that are allowed besides it; nil: any.
	Default string   `json:"default,omitempty"`
	OneOf   []string `json:"oneOf,omitempty"`

	// Required settings must be set, Secret ones are never printed.
	Required bool `json:"required,omitempty"`
	Secret   bool `json:"secret,omitempty"`

	Doc string `json:"doc"`

	// Fields are those of each value, where Type is a map or a list of structs.
	Fields []Setting `json:"fields,omitempty"`
}
