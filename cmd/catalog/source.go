package main

import (
	"go/ast"
	"go/doc"
	"go/doc/comment"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// source is what the files of a package say in comments.
type source struct {
	name    string
	comment string // of the package
	types   map[string]ast.Expr
	shared  *source // package dest, whose structs are embedded
	files   *token.FileSet
}

func readSource(dir string, shared *source) (*source, error) {
	s := &source{types: map[string]ast.Expr{}, shared: shared, files: token.NewFileSet()}
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		if err := s.add(name, text); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *source) add(name string, text []byte) error {
	file, err := parser.ParseFile(s.files, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	s.name = file.Name.Name
	if file.Doc != nil {
		s.comment = file.Doc.Text()
	}
	for _, d := range file.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		for _, spec := range gen.Specs {
			t := spec.(*ast.TypeSpec)
			s.types[t.Name.Name] = t.Type
		}
	}
	return nil
}

// fieldDocs are the comments of a struct's fields, by name; those of embedded structs are
// among them. A field that follows another without a blank line or a comment of its own
// shares that one's; a comment behind a field is better than none.
func (s *source) fieldDocs(typeName string) map[string]string {
	docs := map[string]string{}
	t, ok := s.types[typeName].(*ast.StructType)
	if !ok {
		return docs
	}
	text, end := "", 0
	for _, f := range t.Fields.List {
		begin := s.files.Position(f.Pos()).Line
		switch {
		case f.Doc != nil:
			text = inline(f.Doc.Text())
		case begin != end+1:
			text = ""
		}
		end = s.files.Position(f.End()).Line
		for _, name := range f.Names {
			docs[name.Name] = text
			if text == "" && f.Comment != nil {
				docs[name.Name] = inline(f.Comment.Text())
			}
		}
		if f.Names == nil {
			maps.Copy(docs, s.embedded(f.Type))
		}
	}
	return docs
}

func (s *source) embedded(t ast.Expr) map[string]string {
	switch t := t.(type) {
	case *ast.Ident:
		return s.fieldDocs(t.Name)
	case *ast.SelectorExpr:
		if pkg, ok := t.X.(*ast.Ident); ok && pkg.Name == "dest" && s.shared != nil {
			return s.shared.fieldDocs(t.Sel.Name)
		}
	}
	return nil
}

// about is the comment of the package up to its first heading or code: its first
// sentence, and all of it. "Package x" is left out.
func (s *source) about() (title, all string) {
	text := strings.TrimPrefix(s.comment, "Package "+s.name+" ")
	title = capital(new(doc.Package).Synopsis(text))
	return title, capital(strings.Join(paragraphs(text), "\n\n"))
}

func capital(s string) string {
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// inline is a comment in one line.
func inline(text string) string { return strings.Join(paragraphs(text), " ") }

// paragraphs are those of a comment, each in one line and without markup, up to what is
// no paragraph.
func paragraphs(text string) (list []string) {
	parser := comment.Parser{ // any name in brackets is a link
		LookupPackage: func(name string) (string, bool) { return name, true },
		LookupSym:     func(string, string) bool { return true },
	}
	for _, block := range parser.Parse(text).Content {
		p, ok := block.(*comment.Paragraph)
		if !ok {
			return withoutPromise(list)
		}
		list = append(list, strings.Join(strings.Fields(plain(p.Text)), " "))
	}
	return list
}

// withoutPromise takes out the last sentence if it announces, with a colon, what is left
// out.
func withoutPromise(list []string) []string {
	last := len(list) - 1
	if last < 0 || !strings.HasSuffix(list[last], ":") {
		return list
	}
	i := strings.LastIndex(list[last], ". ")
	if i < 0 {
		return list[:last]
	}
	list[last] = list[last][:i+1]
	return list
}

func plain(text []comment.Text) string {
	var b strings.Builder
	for _, t := range text {
		switch t := t.(type) {
		case comment.Plain:
			b.WriteString(string(t))
		case comment.Italic:
			b.WriteString(string(t))
		case *comment.Link:
			b.WriteString(plain(t.Text))
		case *comment.DocLink:
			b.WriteString(plain(t.Text))
		}
	}
	return b.String()
}
