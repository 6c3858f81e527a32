package main

import "strings"

// families are the packages to generate.
var families = []family{ecommerce, lifecycle, b2b}

// A family is one package: events with a common subject, and the objects that occur
// in them.
type family struct {
	Package string
	Title   string // of its section in the document
	Intro   string // of its section in the document
	Groups  []group
	Shapes  []shape

	// LegacyKeys are property keys of events with legacy names.
	LegacyKeys []legacyKey
}

// A group is a run of events under one heading.
type group struct {
	Title  string
	Events []event
}

// An event is a struct with its name.
type event struct {
	Name   string
	Legacy string // the name in the first version of the specification, if it had another
	Doc    string // what has happened
	Fields []field
}

// A shape is the struct of an object in properties.
type shape struct {
	Name   string
	Doc    string // continues "Name is …"
	Fields []field
}

type legacyKey struct {
	Key, Today string
}

// A field is a property.
type field struct {
	Key   string
	Kind  kind
	Shape string // of kinds item, items and inline
	Doc   string // continues the name of the field
}

type kind string

// The names are those of the methods in append.tmpl.
const (
	text    kind = "text"
	number  kind = "number"
	boolean kind = "flag"
	moment  kind = "moment"
	item    kind = "item"   // one object
	items   kind = "items"  // a list of objects
	inline  kind = "inline" // the keys of an object, beside the others
)

func str(key, doc string) field  { return field{Key: key, Kind: text, Doc: doc} }
func num(key, doc string) field  { return field{Key: key, Kind: number, Doc: doc} }
func yes(key, doc string) field  { return field{Key: key, Kind: boolean, Doc: doc} }
func date(key, doc string) field { return field{Key: key, Kind: moment, Doc: doc} }

func one(key, shape, doc string) field {
	return field{Key: key, Kind: item, Shape: shape, Doc: doc}
}

func many(key, shape, doc string) field {
	return field{Key: key, Kind: items, Shape: shape, Doc: doc}
}

func embedded(shape string) field {
	return field{Kind: inline, Shape: shape, Doc: "is encoded inline: its keys stand beside the others."}
}

// Type is the name of the event's struct.
func (e event) Type() string { return goName(e.Name) }

// LegacyType is the same for its old name.
func (e event) LegacyType() string { return goName(e.Legacy) }

// Name is that of the field in Go.
func (f field) Name() string {
	if f.Kind == inline {
		return f.Shape
	}
	return goName(f.Key)
}

// Constant is the name of the constant that holds the key.
func (f field) Constant() string { return "Property" + goName(f.Key) }

// Type is that of the field in Go.
func (f field) Type() string {
	switch f.Kind {
	case number:
		return "float64"
	case boolean:
		return "bool"
	case moment:
		return "time.Time"
	case item:
		return f.Shape
	case items:
		return "[]" + f.Shape
	}
	return "string"
}

// Inlined is the shape whose keys stand among those of the event, or nothing.
func (e event) Inlined() string {
	for _, f := range e.Fields {
		if f.Kind == inline {
			return f.Shape
		}
	}
	return ""
}

// Uses tells whether a field of the family has the kind.
func (f family) Uses(k kind) bool {
	for _, s := range f.structs() {
		for _, field := range s {
			if field.Kind == k {
				return true
			}
		}
	}
	return false
}

// structs are the fields of all structs.
func (f family) structs() [][]field {
	var all [][]field
	for _, g := range f.Groups {
		for _, e := range g.Events {
			all = append(all, e.Fields)
		}
	}
	for _, s := range f.Shapes {
		all = append(all, s.Fields)
	}
	return all
}

// initialisms are words whose names in Go are not theirs with a capital letter.
var initialisms = map[string]string{"id": "ID", "orderId": "OrderID", "sku": "SKU", "url": "URL"}

// goName makes an exported name of an event's name or a key.
func goName(s string) string {
	var b strings.Builder
	for _, word := range strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == '_' }) {
		if known, ok := initialisms[word]; ok {
			b.WriteString(known)
			continue
		}
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}
